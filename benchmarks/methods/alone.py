"""Fits in processes of their own, so that CPU seconds have imports and compilation in them."""

from __future__ import annotations

import dataclasses
import functools
import json
import os
import pathlib
import subprocess
import sys
import tempfile
from typing import Any

import numpy as np

from ..fitting import Method, Outcome, Problem
from ..measure import Timing
from .peers import ONE_THREAD, ROOT, last_line

SOURCE = ROOT / "src"
WORKER = pathlib.Path(__file__).with_name("alone_worker.py")
TIMEOUT = 3 * 3600


@dataclasses.dataclass(frozen=True)
class Alone:
    """How to fit in another process.

    Attributes
    ----------
    fit : {"adabasis", "plain", "tolerance", "mlp", "boosting"}
        "plain" chooses among the plain bases of adabasis.
    options : mapping
        Of the estimator.
    source : path
        The folder that adabasis comes from.
    cache : str
        A folder for compiled code, or "off".
    before : int
        Fits of the same rows before the one that is measured, in the same process.
    labels : bool
        Whether targets are labels.
    """

    fit: str
    options: dict[str, Any] = dataclasses.field(default_factory=dict)
    source: pathlib.Path = SOURCE
    cache: str = "off"
    before: int = 0
    labels: bool = False

    def run(self, problem: Problem, seed: int) -> tuple[np.ndarray, dict[str, Any]]:
        """Return predictions for the test points, and the process's own record."""
        job = {"fit": self.fit, "options": self.options, "source": str(self.source), "seed": seed}
        job |= {"before": self.before, "labels": self.labels}
        with tempfile.TemporaryDirectory() as folder:
            given, result = pathlib.Path(folder, "job.npz"), pathlib.Path(folder, "result.npz")
            rows = {"x": problem.x, "y": problem.y, "x_test": problem.x_test}
            np.savez(given, job=json.dumps(job), **rows)
            # -P: the modules beside the worker must not hide installed ones of the same name.
            done = subprocess.run(
                [sys.executable, "-P", str(WORKER), str(given), str(result)],
                capture_output=True,
                text=True,
                timeout=TIMEOUT,
                cwd=folder,
                env=os.environ
                | ONE_THREAD
                | {"PYTHONPATH": str(self.source), "ADABASIS_CACHE": self.cache},
            )
            if done.returncode or not result.exists():
                raise RuntimeError(last_line(done))
            with np.load(result) as stored:
                return stored["predicted"], json.loads(str(stored["record"]))

    def outcome(self, problem: Problem, seed: int) -> Outcome:
        """Return the fit as the harness wants it."""
        predicted, record = self.run(problem, seed)
        compiling = record["compile_seconds"]
        timing = Timing(record["seconds"] - compiling, compiling, record["cpu_seconds"])
        return Outcome(lambda points: predicted, record["steps"], record["status"], timing)


def alone(name: str, fit: str, **settings: Any) -> Method:
    """Return a fit in a process of its own as a method; see :class:`Alone`."""
    return Method(name, Alone(fit, **settings).outcome)


def filled(name: str, fit: str, **settings: Any) -> Method:
    """Return a fit in a second process, which finds what a first one has compiled."""

    def twice(problem: Problem, seed: int) -> Outcome:
        with tempfile.TemporaryDirectory() as cache:
            job = Alone(fit, cache=cache, **settings)
            job.outcome(problem, seed)
            return job.outcome(problem, seed)

    return Method(name, twice)


@functools.cache
def checkout(commit: str) -> tuple[pathlib.Path | None, str]:
    """Return the folder of the package as a commit had it, or none and why there is none.

    The folder is deleted when this process ends.
    """
    asked = ["git", "-C", str(ROOT), "archive", "--format=tar", commit, "src"]
    try:
        packed = subprocess.run(asked, capture_output=True)
    except FileNotFoundError:
        return None, "git is not installed"
    if packed.returncode:
        return None, f"this copy of the repository has no commit {commit}"
    folder = pathlib.Path(_kept().name, commit)
    folder.mkdir()
    subprocess.run(["tar", "-xf", "-"], input=packed.stdout, cwd=folder, check=True)
    return folder / "src", ""


@functools.cache
def _kept() -> tempfile.TemporaryDirectory[str]:
    return tempfile.TemporaryDirectory(prefix="adabasis-", ignore_cleanup_errors=True)

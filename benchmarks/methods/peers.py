"""Peers that are too heavy for the main environment: each fit runs in ``.venv-bench``.

The worker script measures the fit alone, in its own process; starting Python and importing
torch cost nothing here.
"""

from __future__ import annotations

import functools
import json
import os
import pathlib
import subprocess
import tempfile
from typing import Any

import numpy as np

from ..fitting import Method, Outcome, Problem
from ..measure import Timing
from ..registry import Settings

ROOT = pathlib.Path(__file__).parents[2]
WORKERS = (
    "worker.py",
    "equations_worker.py",
    "pinnacle_worker.py",
    "rows_peers_worker.py",
)
TIMEOUT = 600
ADVICE = "`make bench-peers` builds .venv-bench, which holds them"
ONE_THREAD = {f"{name}_NUM_THREADS": "1" for name in ("OMP", "OPENBLAS", "MKL")}


def interpreter() -> pathlib.Path:
    """Return where the Python of the peers belongs."""
    return ROOT / ".venv-bench" / "bin" / "python"


def peers(settings: Settings, *names: str) -> list[Method]:
    """Return the named peers that are installed, and note in one line which are not."""
    there = available()
    missing = [name for name in names if name not in there]
    if missing:
        settings.note(f"without {', '.join(missing)}: {ADVICE}")
    return [_method(name) for name in names if name not in missing]


@functools.cache
def available() -> dict[str, tuple[str, str]]:
    """Return the worker and the version behind every peer's name that can be imported."""
    if not interpreter().exists():
        return {}
    found = {}
    for worker in WORKERS:
        done = _run(worker, "--list")
        if done.returncode:
            raise RuntimeError(
                f"the peers' environment does not work ({last_line(done)}); {ADVICE}."
            )
        versions = json.loads(done.stdout)
        found |= {name: (worker, version) for name, version in versions.items() if version}
    return found


def _method(name: str) -> Method:
    return Method(name, functools.partial(_fit, name))


def _fit(name: str, problem: Problem, seed: int) -> Outcome:
    with tempfile.TemporaryDirectory() as folder:
        job, result = pathlib.Path(folder, "job.npz"), pathlib.Path(folder, "result.npz")
        data = {"x": problem.x, "y": problem.y, "x_test": problem.x_test}
        np.savez(job, name=problem.name, seed=seed, **data)
        done = run_worker(name, str(job), str(result), cwd=folder)
        if done.returncode or not result.exists():
            raise RuntimeError(last_line(done))
        with np.load(result) as stored:
            predicted, record = stored["predicted"], json.loads(str(stored["record"]))
    timing = Timing(record["seconds"], 0.0, record["cpu_seconds"])
    return Outcome(lambda points: predicted, record["steps"], record["status"], timing)


def run_worker(name: str, *arguments: str, **options: Any) -> subprocess.CompletedProcess[str]:
    """Run the worker of an installed peer, in a process of its own."""
    worker, _ = available()[name]
    return _run(worker, name, *arguments, **options)


def _run(worker: str, *arguments: str, **options: Any) -> subprocess.CompletedProcess[str]:
    # -P: the modules beside the worker must not hide installed ones of the same name.
    script = str(pathlib.Path(__file__).with_name(worker))
    return subprocess.run(
        [str(interpreter()), "-P", script, *arguments],
        capture_output=True,
        text=True,
        env=os.environ | ONE_THREAD,
        **{"timeout": TIMEOUT, **options},
    )


def last_line(done: subprocess.CompletedProcess[str]) -> str:
    """Return the last line of what a process said on standard error, or its exit code."""
    lines = done.stderr.strip().splitlines()
    return lines[-1] if lines else f"exit {done.returncode}"

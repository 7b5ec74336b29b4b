"""``adabasis reproduce``: experiments by name."""

from __future__ import annotations

import contextlib
import itertools
import json
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from rich.console import Console

from .._runtime.errors import BadInput, listed
from ..experiments import EXPERIMENTS
from ..experiments.published import folded


def run(
    names: Sequence[str], full: bool, every: bool, show: bool, out: Path, console: Console
) -> int:
    """Run experiments and say where their figures are.

    Raises
    ------
    BadInput
        For a name that is not known, or none.
    """
    if show:
        for name, experiment in EXPERIMENTS.items():
            console.print(f"{name:<20} {experiment.title}", highlight=False, markup=False)
        return 0
    unknown = [name for name in names if name not in EXPERIMENTS]
    if unknown or not (names or every):
        what = f"there is no experiment {listed(unknown)}" if unknown else "name an experiment"
        raise BadInput(f"reproduce: {what}; there are {listed(EXPERIMENTS, 99)}, or --all.")
    for name in EXPERIMENTS if every else names:
        began, experiment = time.perf_counter(), EXPERIMENTS[name]
        parts = experiment.parts(out, full=full)
        if parts.exists():
            text = f"{name}: goes on with what is in {parts}; remove that to start over."
            console.print(text, highlight=False, markup=False, soft_wrap=True)
        with _status(name, console) as told:
            written = experiment.reproduce(out, full=full, told=told)
        seconds = time.perf_counter() - began
        line = f"{name}: {seconds:.0f} s; {', '.join(map(str, written))}"
        for text in [*_verdict(written[0]), line]:
            console.print(text, highlight=False, markup=False, soft_wrap=True)
    return 0


@contextlib.contextmanager
def _status(name: str, console: Console) -> Iterator[Callable[[], object]]:
    """Show that an experiment runs, and how many of its parts are done."""
    count = itertools.count(1)
    with console.status(f"{name} …") as status:
        yield lambda: status.update(f"{name}: {next(count)} trained")


def _verdict(data: Path) -> list[str]:
    """Return what a record says about the published figure, in lines of 80 columns."""
    return folded(json.loads(data.read_text("utf-8")).get("verdict", []))

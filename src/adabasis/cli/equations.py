"""``adabasis solve``: a problem of the catalogue or of a file, its solution, its certificate."""

from __future__ import annotations

import math
import runpy
import time
from pathlib import Path
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table

from .. import report
from .._runtime.errors import BadInput, listed
from ..pde import Problem, Solution, catalog
from ..pde.api import solve
from ..report.terminal import Screen
from .options import SearchOptions
from .tables import Outcome, writable


def solve_named(what: str, options: SearchOptions, paged: bool, console: Console) -> Outcome:
    """Solve one problem, print its certificate, write a report if asked for.

    Raises
    ------
    BadInput
        For a name that is not in the catalogue, or a file without a problem.
    """
    options.check()
    problem, view = find(what), Screen(console, options.quiet or options.as_json)
    page = Path(f"{Path(what).stem}.html") if paged else None
    if page:
        writable(page, "--report", options.force)
    view.text(repr(problem))
    began = time.process_time()
    with view.working("solving") as line:
        solution = solve(problem, **options.asked(), callbacks=[line] if line else [])
    seconds = time.process_time() - began
    describe(solution, seconds, view)
    if page:
        report.write(page, solution, provenance={"command": f"adabasis solve {what}"})
        view.text(f"Written: {page}")
    return Outcome(document(solution, seconds) | {"written": [str(page)] if page else []})


def find(what: str) -> Problem:
    """Return a problem of the catalogue, or the one that a Python file makes.

    Raises
    ------
    BadInput
    """
    if not what.endswith(".py"):
        if what not in catalog.PROBLEMS:
            raise BadInput(
                f"{what!r} is neither a Python file nor in the catalogue: "
                f"{listed(catalog.PROBLEMS, 99)}."
            )
        return catalog.problem(what)
    if not Path(what).is_file():
        raise BadInput(f"{what}: no such file.")
    found = runpy.run_path(what).get("problem")
    if callable(found) and not isinstance(found, Problem):
        found = found()
    if not isinstance(found, Problem):
        raise BadInput(
            f"{what}: expected it to set `problem` to a pde.Problem; adabasis solve poisson-2d "
            "shows one of the catalogue."
        )
    return found


def show_catalogue(console: Console) -> Outcome:
    """Print the names of the catalogue with their equations."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False)
    table.add_column("problem", no_wrap=True)
    table.add_column("equation")
    for name in catalog.PROBLEMS:
        table.add_row(name, catalog.describe(name))
    console.print(table, highlight=False, markup=False)
    return Outcome({"problems": list(catalog.PROBLEMS)})


def describe(solution: Solution, seconds: float, view: Screen) -> None:
    """Print the certificate, and the true error where the solution is known."""
    view.text(str(solution.certificate))
    if solution.problem.exact is not None:
        view.text(f"  true relative error       {solution.error():.1e}")
    view.text(
        f"  {solution.candidates[0]['what']}; {len(solution.candidates)} candidates, "
        f"{seconds:.1f} CPU seconds, compilation included"
    )


def document(solution: Solution, seconds: float) -> dict[str, Any]:
    """Return what a program wants to know; numbers that are none become null."""
    certificate = solution.certificate
    numbers = {
        "residual": certificate.residual,
        "boundary_violation": certificate.boundary_violation,
        "error_estimate": certificate.error_estimate,
        "error_bound": certificate.error_bound,
        "stability": certificate.stability.constant,
        "error": solution.error() if solution.problem.exact is not None else math.nan,
        "cpu_seconds": seconds,
    }
    return {
        "problem": solution.problem.name,
        "verdict": certificate.verdict,
        "solved": certificate.solved,
        "rank": certificate.rank,
        "functions": certificate.n_functions,
        "basis": repr(solution.basis),
        "terms": dict(certificate.terms),
        "timings": solution.timings and solution.timings.to_json(),
        **{k: v if math.isfinite(v) else None for k, v in numbers.items()},
    }

"""``adabasis solve``: a problem of the catalogue or of a file, its solution, its certificate."""

from __future__ import annotations

import dataclasses
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
from ..pde import LinearProblem, Solution, catalog
from ..pde.api import solve
from .tables import Outcome, writable


@dataclasses.dataclass(frozen=True)
class SolveJob:
    """The arguments of ``adabasis solve``."""

    what: str
    seed: int = 0
    max_seconds: float = math.inf
    report: bool = False
    force: bool = False


def solve_named(job: SolveJob, console: Console, *, quiet: bool = False) -> Outcome:
    """Solve one problem, print its certificate, write a report if asked for.

    Raises
    ------
    BadInput
        For a name that is not in the catalogue, or a file without a problem.
    """
    if not job.max_seconds > 0:
        raise BadInput(f"--max-seconds {job.max_seconds:g}: expected a positive number.")
    if job.seed < 0:
        raise BadInput(f"--seed {job.seed}: expected a whole number of at least 0.")
    problem = find(job.what)
    page = (
        writable(Path(f"{Path(job.what).stem}.html"), "--report", job.force) if job.report else None
    )
    if not quiet:
        console.print(f"{problem!r}", highlight=False, markup=False)
    began = time.process_time()
    solution = solve(problem, max_seconds=job.max_seconds, random_state=job.seed)
    seconds = time.process_time() - began
    if not quiet:
        describe(solution, seconds, console)
    written = []
    if page is not None:
        report.write(page, solution, provenance={"command": f"adabasis solve {job.what}"})
        written.append(str(page))
        if not quiet:
            console.print(f"Written: {page}", highlight=False, markup=False)
    return Outcome(document(solution, seconds) | {"written": written})


def find(what: str) -> LinearProblem:
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
    if callable(found) and not isinstance(found, LinearProblem):
        found = found()
    if not isinstance(found, LinearProblem):
        raise BadInput(
            f"{what}: expected it to set `problem` to a LinearProblem; adabasis solve poisson-2d "
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


def describe(solution: Solution, seconds: float, console: Console) -> None:
    """Print the certificate, and the true error where the solution is known."""
    console.print(str(solution.certificate), highlight=False, markup=False)
    if solution.problem.exact is not None:
        line = f"  true relative error       {solution.error():.1e}"
        console.print(line, highlight=False, markup=False)
    console.print(
        f"  {solution.candidates[0]['what']}; {len(solution.candidates)} candidates, "
        f"{seconds:.1f} CPU seconds, compilation included",
        highlight=False,
        markup=False,
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
        **{k: v if math.isfinite(v) else None for k, v in numbers.items()},
    }

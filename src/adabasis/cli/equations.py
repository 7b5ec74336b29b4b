"""``adabasis solve``: a problem of the catalogue or of a file, its solution, its certificate."""

from __future__ import annotations

import math
import runpy
import time
import traceback
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table

from .. import report
from .._runtime.errors import BadInput, listed
from ..pde import Problem, Solution, catalog
from ..pde.api import solve
from ..pde.meshes import CELLS, format_of
from ..report.terminal import Screen
from .options import SearchOptions
from .tables import Outcome, writable

#: The suffix of solutions; others are those of grids.
SOLUTION = ".adabasis"


def solve_named(
    what: str,
    options: SearchOptions,
    paged: bool,
    console: Console,
    *,
    kept: Sequence[Path] = (),
) -> Outcome:
    """Solve one problem, print its certificate, write what is asked for.

    Parameters
    ----------
    what : str
    options : SearchOptions
    paged : bool
        Write a report.
    console : Console
    kept : sequence of Path
        Files that the solution, or its values on a grid, are written to, as suffixes say.

    Raises
    ------
    BadInput
        For a name that is not in the catalogue, a file without a problem, or files that cannot be
        written: before anything is solved.
    """
    options.check()
    problem, view = find(what), Screen(console, options.quiet or options.as_json)
    page = Path(f"{Path(what).stem}.html") if paged else None
    if page:
        writable(page, "--report", options.force)
    for path in kept:
        saveable(path, problem, options.force)
    view.text(repr(problem))
    began = time.process_time()
    with view.working("solving") as line:
        solution = solve(problem, **options.asked(), callbacks=[line] if line else [])
    seconds = time.process_time() - began
    describe(solution, seconds, view)
    for path in kept:
        (solution.save if path.suffix == SOLUTION else solution.to_vtk)(path)
        view.text(f"Written: {path}")
    if page:
        report.write(page, solution, provenance={"command": f"adabasis solve {what}"})
        view.text(f"Written: {page}")
    written = [str(path) for path in (*kept, *([page] if page else []))]
    return Outcome(document(solution, seconds) | {"written": written})


def saveable(path: Path, problem: Problem, force: bool) -> None:
    """Say why a solution cannot be written to a path, if so, before any work.

    Raises
    ------
    BadInput
    """
    writable(path, "--save", force)
    if path.suffix == SOLUTION:
        return
    d = problem.domain.n_inputs
    if d not in CELLS:
        raise BadInput(
            f"--save {path}: {SOLUTION} keeps a solution; grids take up to three coordinates, and "
            f"this problem has {d}."
        )
    try:
        format_of("--save", path, d)
    except (ImportError, ValueError) as error:
        what = str(error).partition(": ")[2]
        raise BadInput(f"--save {path}: {SOLUTION} keeps a solution; of grids, {what}") from error


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
    try:
        found = runpy.run_path(what).get("problem")
        if callable(found) and not isinstance(found, Problem):
            found = found()
    except (Exception, SystemExit) as error:
        raise BadInput(f"{where_in(what, error)}: {type(error).__name__}: {error}") from error
    if not isinstance(found, Problem):
        raise BadInput(
            f"{what}: expected it to set `problem` to a pde.Problem; adabasis solve poisson-2d "
            "shows one of the catalogue."
        )
    return found


def where_in(what: str, error: BaseException) -> str:
    """Return the file, and its last line that an error passed through."""
    lines = [
        frame.lineno
        for frame in traceback.extract_tb(error.__traceback__)
        if frame.filename == what and frame.lineno
    ]
    if isinstance(error, SyntaxError) and error.lineno:
        lines.append(error.lineno)
    return f"{what}, line {lines[-1]}" if lines else what


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
    known: list[tuple[str, str]] = []
    if solution.problem.exact is not None:
        errors = solution.errors()
        of_each = [f"{name} {error:.1e}" for name, error in errors.items()]
        each = f" ({', '.join(of_each)})" if len(of_each) > 1 else ""
        known = [("true relative error", f"{solution.error():.1e}{each}")]
    for line in solution.certificate.with_rows(*known).splitlines():
        view.line(line, hang=2)
    view.line(
        f"  {solution.candidates[0]['what']}; {len(solution.candidates)} candidates, "
        f"{seconds:.1f} CPU seconds, compilation included",
        hang=2,
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
        "error_estimates": {
            name: e if math.isfinite(e) else None for name, e in certificate.by_unknown.items()
        },
        "terms": dict(certificate.terms),
        "timings": solution.timings and solution.timings.to_json(),
        **{k: v if math.isfinite(v) else None for k, v in numbers.items()},
    }

"""Errors against another solution, at several widths."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from .._runtime.compute import numerics
from .._runtime.registry import provided
from ..basis import EnrichedBasis, FrozenFeatures, PlacedGaussians
from ..rows.engine import current
from .cell_rows import CellProblem
from .collocation import fresh_rows
from .columns import relative
from .on_cells import CellCandidate, solved_on_cells


@dataclasses.dataclass(frozen=True)
class Study:
    """Errors at several widths; ``print`` it for a table.

    Attributes
    ----------
    widths : array of int, shape (K,)
    errors : array, shape (K,)
        Relative l2 errors.
    residuals : array, shape (K,)
        Relative residuals on fresh points.
    seconds : array, shape (K,)
    against : str
        What the errors are measured against: the exact solution, or the finest one.
    """

    widths: np.ndarray
    errors: np.ndarray
    residuals: np.ndarray
    seconds: np.ndarray
    against: str

    @property
    def order(self) -> float:
        """The slope r of error ~ width^−r, fitted over all widths with an error."""
        used = self.errors > 0
        if used.sum() < 2:
            return float("nan")
        return -float(np.polyfit(np.log(self.widths[used]), np.log(self.errors[used]), 1)[0])

    def __str__(self) -> str:
        columns = zip(self.widths, self.errors, self.residuals, self.seconds, strict=True)
        lines = [f"{w:>10,} {e:>10.1e} {r:>10.1e} {s:>8.2f}" for w, e, r, s in columns]
        head = f"{'functions':>10} {'error':>10} {'residual':>10} {'seconds':>8}"
        last = f"error ~ functions^-{self.order:.1f}, against {self.against}"
        return "\n".join([head, *lines, last])

    def plot(self) -> Any:
        """Draw errors and residuals against width; returns a Figure."""
        return provided("plot convergence")(self)


def studied(solution: Any, widths: Iterable[int] | None, x: np.ndarray) -> Study:
    """Solve at several widths, and measure errors at N points (N, D).

    See :meth:`adabasis.pde.Solution.convergence_study`.

    Raises
    ------
    ValueError
        For other functions than frozen ones and polynomials on cells, or widths below 1.
    """
    problem = solution.problem
    known = problem.exact is not None
    reference = problem.exact_values(x) if known else solution(x)
    on_cells = isinstance(solution.finalists[0], CellCandidate)
    with numerics():
        found, values = (_on_cells if on_cells else _frozen)(solution, widths, x)
    return Study(
        np.array([_width(one) for one in found]),
        np.array([relative(u - reference, reference) for u in values]),
        np.array([one.validation_error for one in found]),
        np.array([one.seconds for one in found]),
        "the exact solution" if known else "this solution",
    )


def _width(candidate: Any) -> int:
    """Return the number of functions, those that were added not counted."""
    basis = _random_part(candidate.basis)
    return basis.width if isinstance(basis, FrozenFeatures) else len(candidate.coefficients)


def _random_part(basis: Any) -> Any:
    """Return a basis without the functions that were added or placed."""
    while isinstance(basis, EnrichedBasis | PlacedGaussians):
        basis = basis.inner
    return basis


def _wanted(solution: Any, widths: Iterable[int] | None) -> list[int]:
    basis = _random_part(solution.basis)
    if not isinstance(basis, FrozenFeatures):
        raise ValueError(
            f"convergence_study: expected frozen functions, this solution has {basis!r}. Use "
            "solve(problem, FrozenFeatures(512)).convergence_study()."
        )
    wanted = sorted(set(widths or (max(8, basis.width // 2**k) for k in range(5))))
    if wanted[0] < 1:
        raise ValueError(f"convergence_study(widths={wanted}): at least 1 each.")
    return wanted


def _frozen(
    solution: Any, widths: Iterable[int] | None, x: np.ndarray
) -> tuple[Sequence[Any], list[np.ndarray]]:
    """Return candidates of so many frozen functions, and u of each."""
    wanted, basis = _wanted(solution, widths), _random_part(solution.basis)
    task = type(solution.task)(solution.task.asked, solution.problem, solution.task.sampler)
    best = solution.finalists[0]
    weight, places = best.system.weight, best.places
    if places is not None:
        task.look_at(places, best)
    at_width = functools.partial(_at_width, task, basis, weight, places)
    found = current().map(at_width, wanted, label="width")
    units = task.unit if task.scales is None else np.array(task.scales)
    return found, [units * one.system.values(x, one.coefficients) for one in found]


def _at_width(task: Any, basis: Any, weight: Any, places: Any, width: int) -> Any:
    basis = basis.replace(width=width)
    if places is not None:
        basis = PlacedGaussians(basis, len(places[0]))
    return task.frozen(basis, weight, f"{width}", places)


def _on_cells(
    solution: Any, degrees: Iterable[int] | None, x: np.ndarray
) -> tuple[Sequence[Any], list[np.ndarray]]:
    """Return candidates of such degrees on the cells of a solution, and u of each."""
    system, unit = solution.finalists[0].system, solution.output_map.scale
    wanted = sorted(set(degrees or range(2, system.space.degree + 3, 2)))
    if wanted[0] < 1:
        raise ValueError(f"convergence_study(widths={wanted}): degrees of at least 1 each.")
    problem, scales = solution.problem, solution.task.scales
    fresh, cells = fresh_rows(problem, float(unit[0]), scales), CellProblem(problem, scales)
    of_degree = functools.partial(solved_on_cells, cells, fresh, system.grid.along)
    found = current().map(of_degree, wanted, label="degree")
    z = solution.input_map(x)
    values = [unit * one.basis.sums(z, one.parameters, one.coefficients) for one in found]
    return found, [u[:, 0] if u.shape[1] == 1 else u for u in values]

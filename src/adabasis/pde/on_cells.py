"""Solving on cells: candidates, how they are judged, what may be claimed."""

from __future__ import annotations

import dataclasses
import math
import time
from collections.abc import Sequence
from typing import Any

import jax
import numpy as np

from .._runtime.notation import Parameters
from ..basis import PartitionBasis
from ..basis.pou.polynomial import derivatives
from ..geometry import Box
from ..models.record import NO_RIDGE
from ..operators.coefficients import (
    differential_coefficients,
    differential_orders,
    is_differential,
)
from .candidate import SolvedCandidate
from .cell_rows import CellProblem
from .cells import CellSystem
from .certificate import SAFETY, claimed
from .collocation import CollocationRows
from .enlarged import UNDETERMINED, WEAK
from .problem import Problem
from .system import Misfit
from .verdict import CONTRADICTION, Stability, verdict_of

#: Of the boxes that cells are made of.
MOST_COORDINATES = 3
#: A solution whose score is below this share of another's says how far that one is off.
#: If it is as near as this: what is not resolved has large residuals, and any error.
WORTH_IT, NEAR = 0.3, 0.3
#: Errors fall at least as this power of residuals: on travelling bumps as the power 0.9.
FALLS = 0.85
#: Two solutions this near each other, relative to u, differ by round-off, were γ 1.
ROUND_OFF_OF_U = 1e-11


@dataclasses.dataclass(frozen=True, eq=False, kw_only=True)
class CellCandidate(SolvedCandidate):
    """Polynomials on cells; jumps between cells count among the conditions of the misfit.

    Attributes
    ----------
    u : array, shape (N, 1)
        At the equation's fresh points, in the unit.
    """

    system: CellSystem
    u: np.ndarray


def stateable(problem: Problem) -> bool:
    """Whether a problem can be solved on cells.

    That is one linear equation on a box of up to three coordinates, all of whose operators take
    derivatives at a point, without weights of the user's, observations, or data that samples miss.
    """
    d = problem.domain.n_inputs
    if not isinstance(problem.domain, Box):
        return False
    if d > MOST_COORDINATES or not problem.linear or problem.observed or problem.weight is not None:
        return False
    if problem.n_blocks > 1 or problem.n_equations > 1:
        return False
    for one in problem.constraints:
        whole = one.equation
        on_side = one.face is not None and one.at is None
        if one.weight is not None or one.dense is not None or not (whole or on_side):
            return False
        periodic = one.label.startswith("Periodic")
        if whole and (one.where is not None or one.operator.order < 1):
            return False
        if not periodic and not is_differential(one.operator, problem.domain.bounds):
            return False
    return True


def solved_on_cells(
    cells: CellProblem, fresh: CollocationRows, counts: Sequence[int], degree: int
) -> CellCandidate:
    """Solve on so many cells along each coordinate, and judge on fresh points."""
    began = time.perf_counter()
    return _candidate(cells.system(counts, degree), fresh, began)


def solved_again(
    candidate: CellCandidate, cells: CellProblem, fresh: CollocationRows
) -> CellCandidate:
    """Solve a problem with other data on the cells of a candidate, by its factor."""
    began = time.perf_counter()
    return _candidate(cells.again(candidate.system), fresh, began)


def _candidate(system: CellSystem, fresh: CollocationRows, began: float) -> CellCandidate:
    counts, degree = system.grid.counts, system.space.degree
    basis, parameters = system.basis()
    c = system.coefficients / fresh.unit
    misfit, u = judged(system, c, fresh)
    along = " × ".join(map(str, counts))
    return CellCandidate(
        basis=basis,
        parameters=parameters,
        initial=parameters,
        label=f"polynomials of degree {degree} on {along} cells",
        validation_error=misfit.score,
        ridge=NO_RIDGE,
        system=system,
        coefficients=c,
        misfit=misfit,
        u=u,
        seconds=time.perf_counter() - began,
    )


def judged(system: CellSystem, c: np.ndarray, fresh: CollocationRows) -> tuple[Misfit, np.ndarray]:
    """Return the misfit on fresh points, and u at those of the equation, (N, 1)."""
    basis, parameters = system.basis()
    cells = _Values(system, basis, parameters, c)
    residuals, given = [], []
    for term, weighted in zip(fresh.terms, fresh.scaled(), strict=True):
        root = np.asarray(weighted.root_weights)
        x = np.asarray(term.points.x)
        data = term.data / fresh.unit
        image = cells.image(term.constraint.operator, x, _is_shifted(term))
        residuals.append(root * (image - data))
        given.append(root * data)
    u = basis.sums(cells.unit(fresh.x), parameters, c)
    jumps = _jumps(system, c)
    # Jumps are violations, too: shared out, so that every term keeps its rows.
    level = np.sqrt(np.mean(u**2))
    found = Misfit.relative([*residuals, jumps], given, level)
    return found, u


@dataclasses.dataclass(frozen=True, eq=False)
class _Values:
    """Operators of u = Σ c Φ at any points."""

    system: CellSystem
    basis: PartitionBasis
    parameters: Any
    c: np.ndarray

    def unit(self, x: np.ndarray) -> np.ndarray:
        """Return points of the unit box."""
        lower, upper = self.system.grid.bounds.T
        return (x - lower) / (upper - lower)

    def image(self, operator: Any, x: np.ndarray, shifted: Any) -> np.ndarray:
        """Return L[u] at N points, (N,)."""
        if shifted is not None:
            axis, order = shifted
            lower, upper = self.system.grid.bounds[axis]
            other = x.copy()
            other[:, axis] = upper + lower - x[:, axis]
            orders = np.zeros((1, x.shape[1]), dtype=int)
            orders[0, axis] = order
            sign = 1.0 if abs(x[0, axis] - lower) < abs(x[0, axis] - upper) else -1.0
            return np.asarray(
                sign * (self.derivatives(other, orders) - self.derivatives(x, orders))[0]
            )
        orders = differential_orders(operator, x.shape[1])
        a = differential_coefficients(operator, x)
        used = np.any(a != 0, axis=0)
        return np.asarray(np.einsum("nk,kn->n", a[:, used], self.derivatives(x, orders[used])))

    def derivatives(self, x: np.ndarray, orders: np.ndarray) -> np.ndarray:
        """Return derivatives of u at N points, (K, N)."""
        grid, space = self.system.grid, self.system.space
        partition: Any = self.basis.unity
        cells = partition.cells(self.unit(x), self.parameters.partition)
        t = (x - grid.middles[cells]) / grid.half
        pieces = self.c.reshape(grid.n_cells, -1)
        out = np.empty((len(orders), len(x)))
        at_once = max(64, 2**22 // pieces.shape[1])
        for start in range(0, len(x), at_once):
            rows = slice(start, start + at_once)
            of_points = pieces[cells[rows]]
            for k, order in enumerate(orders.tolist()):
                table = derivatives(t[rows], space.indices, tuple(order))
                scale = np.prod(grid.half ** np.array(order))
                out[k, rows] = np.einsum("np,np->n", table, of_points) / scale
        return out


def _is_shifted(term: Any) -> tuple[int, int] | None:
    """Return the coordinate and the order of a periodic condition."""
    label = term.constraint.label
    if not label.startswith("Periodic"):
        return None
    return term.constraint.face[0], int(label.rsplit(" ", 1)[1])


def _jumps(system: CellSystem, c: np.ndarray) -> np.ndarray:
    """Return what u jumps by between cells, weighted to a mean square over the borders."""
    grid, space = system.grid, system.space
    pieces, found = c.reshape(grid.n_cells, -1), []
    for axis, count in enumerate(grid.counts):
        if count == 1:
            continue
        first = np.flatnonzero(grid.places[:, axis] < count - 1)
        stride = int(np.prod(grid.counts[axis + 1 :]))
        orders = np.zeros((1, len(grid.counts)), dtype=int)
        upper = space.tables(space.face(axis, 1), orders)[0]
        lower = space.tables(space.face(axis, 0), orders)[0]
        jump = pieces[first] @ upper.T - pieces[first + stride] @ lower.T
        weight = space.on_face[1] / len(first) / len(grid.counts)
        found.append((jump * np.sqrt(weight)).ravel())
    return np.concatenate(found) if found else np.zeros(1)


def distance(one: CellCandidate, other: CellCandidate) -> float:
    """Return the root mean square of the difference on fresh points, over that of the second."""
    level = float(np.sqrt(np.mean(other.u**2))) or 1.0
    return float(np.sqrt(np.mean((one.u - other.u) ** 2))) / level


def error_beside(before: CellCandidate, last: CellCandidate) -> float | None:
    """Return the relative error of a candidate by one whose residual is larger, if it is near.

    The difference of both is the error of the first, and that of the last is less by about as much
    as its residual is: a little more, since errors of waves that are carried along fall slower.
    """
    gained, apart = last.misfit.score / max(before.misfit.score, 1e-300), distance(before, last)
    return apart * gained**FALLS if gained < WORTH_IT and apart < NEAR else None


def apart(candidates: Sequence[Any]) -> tuple[list[Any], list[Any]]:
    """Return candidates on cells, and the others."""
    on_cells = [one for one in candidates if isinstance(one, CellCandidate)]
    return on_cells, [one for one in candidates if not isinstance(one, CellCandidate)]


def certified_on_cells(ranked: Sequence[CellCandidate], fresh: CollocationRows) -> dict[str, Any]:
    """Return what a solution takes from the best candidate, its certificate among it.

    The error is that of a second solution on other cells, by how much less the residual is: where
    residuals fall together with errors, u − v is about the error of the worse one. Without a second
    one whose residual is clearly larger it is the residual over γ, which holds among functions of
    these cells, and at least the difference from the next best solution, which has others.
    """
    best, *others = ranked
    problem, misfit, system = fresh.problem, best.misfit, best.system
    weakest = system.weakest
    bound = misfit.score * weakest * math.sqrt(2.0)
    estimate = bound
    for other in others:
        apart, off = distance(other, best), error_beside(other, best)
        if off is not None:
            # What is as small as round-off does not fall with residuals; where it is enlarged, two
            # solutions may share it.
            least = ROUND_OFF_OF_U * max(weakest, 1.0)
            least = least if weakest > WEAK else min(apart, least)
            estimate = SAFETY * max(off, min(least, bound))
            break
    else:
        estimate = max([bound, *(SAFETY * distance(other, best) for other in others[:1])])
    known = 0 < misfit.score < math.inf and math.isfinite(estimate)
    as_error = estimate / misfit.score if known else 1.0
    norms = [as_error * float(np.sqrt(np.sum(r**2))) for r in misfit.by_term]
    labels = [term.constraint.label for term in fresh.terms]
    labels += ["Jumps between cells"] if system.grid.n_cells > 1 else []
    terms = dict(zip(labels, norms, strict=False))
    free = int(weakest > 1 / UNDETERMINED)
    clash = misfit.conditions if misfit.conditions > CONTRADICTION else 0.0
    examined = Stability(1 / weakest, free, clash)
    ranks = system.rank, len(best.coefficients)
    parameters: Parameters = jax.tree.map(np.asarray, best.parameters)
    said = " ".join([
        verdict_of(problem, misfit, examined, estimate, 1.0, terms, []),
        *problem.notes,
    ])  # fmt: skip
    return {
        **claimed(fresh, misfit, (estimate, bound), as_error, terms, examined, ranks, said),
        "basis": best.basis,
        "parameters": parameters,
        "initial_parameters": None,
        "coefficients": best.coefficients,
        "singular_values": system.singular_values,
        "validation_error": best.validation_error,
        "finalists": (best, *others[:1]),
    }

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
from ..geometry import Box
from ..models.record import NO_RIDGE
from ..operators.coefficients import (
    differential_coefficients,
    differential_orders,
    is_differential,
    linearisation,
)
from .candidate import SolvedCandidate
from .cell_newton import newton_on_cells, solved_by_slabs
from .cell_rows import CellProblem
from .cells import CellFunction, CellGrid, CellSystem
from .certificate import LEAST_CLAIM, SAFETY, by_unknown, claimed
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
#: As near to the best as this, others say how much error comes with a residual: on coarser cells
#: more does.
CLOSE = 1e-4
#: Round-off of u, relative, were γ 1. The largest seen is that of a string under a load of width
#: 1e-3: 1.3e-10 at 1/γ = 82.
ROUND_OFF_OF_U = 2e-12
#: What one other solution alone tells is no error below this: on four cells of time, a beam has 30
#: times the residual that it has on eight, and only twice the error, which is that of its length.
TOLD_BY_ONE = 1e-9
#: On the cells of a solution that is as near as :data:`CLOSE`, 1/γ grows by less than this where a
#: problem is well posed, and with finer cells by their ratio squared: of waves k = 40 by 2.7. Heat
#: from its end has 2.0 at degree 10, 44 at degree 16.
GROWS = 4.0


#: A violation of the conditions is a contradiction if it is at least such a share of that on other
#: cells.
STAYS = 0.5
#: Strips of a slab in which residuals are summed: where they are concentrated, slabs are divided.
STRIPS = 8


@dataclasses.dataclass(frozen=True, eq=False, kw_only=True)
class CellCandidate(SolvedCandidate):
    """Polynomials on cells; jumps between cells count among the conditions of the misfit.

    Attributes
    ----------
    x : array, shape (N, D)
        The equation's fresh points.
    u : array, shape (N, B)
        There, in the units of the unknowns.
    places : list of D arrays
        Squares of the residuals at fresh points, summed over strips: :data:`STRIPS` a slab.
    """

    system: CellSystem
    x: np.ndarray
    u: np.ndarray
    places: list[np.ndarray]


def stateable(problem: Problem) -> bool:
    """Whether a problem can be solved on cells.

    On a box of up to three coordinates, all of its operators take derivatives at a point, without
    weights of the user's or observations. What is not linear has to start from values at a time:
    there is one solution then, and slabs of time lead to it.
    """
    d, count = problem.domain.n_inputs, problem.n_blocks
    if not isinstance(problem.domain, Box) or problem.regions or d > MOST_COORDINATES:
        return False
    if problem.observed or problem.weight is not None:
        return False
    if not problem.linear and time_of(problem) is None:
        return False
    for one in problem.constraints:
        on_side = one.face is not None and one.at is None
        if one.weight is not None or not (one.equation or on_side):
            return False
        if one.equation and (one.where is not None or (count == 1 and one.operator.order < 1)):
            return False
        if one.label.startswith("Periodic"):
            if count > 1:
                return False
        elif not is_differential(one.operator, problem.domain.bounds, count):
            return False
    return True


def time_of(problem: Problem) -> int | None:
    """Return the coordinate of a problem that starts at its lower end, if there is one."""
    if len(problem.times) != 1:
        return None
    axis = problem.domain.axis(problem.times[0])
    lower, _ = problem.domain.bounds[axis]
    at_times = [one for one in problem.constraints if one.face and one.face[0] == axis]
    starts = all(one.face[1] == lower and one.operator.linear for one in at_times if one.face)
    return axis if at_times and starts else None


def solved_on_cells(
    cells: CellProblem,
    fresh: CollocationRows,
    along: Sequence[Any],
    degree: int,
    before: CellCandidate | None = None,
) -> CellCandidate:
    """Solve on slabs of cells along each coordinate, and judge on fresh points.

    Parameters
    ----------
    cells : CellProblem
    fresh : CollocationRows
    along : sequence of D int or tuples of float
        How many equal slabs, or their edges as shares of the side.
    degree : int
    before : CellCandidate, optional
        What Newton steps start from, where the problem is not linear and this one is near.
    """
    began = time.perf_counter()
    if fresh.problem.linear:
        return _candidate(cells.system(along, degree), fresh, began)
    axis = time_of(fresh.problem)
    assert axis is not None
    if before is not None and before.misfit.score < NEAR:
        system, converged = newton_on_cells(cells, along, degree, before.system.function())
        if converged:
            return _candidate(system, fresh, began)
    system, converged = solved_by_slabs(cells, along, degree, axis)
    found = _candidate(system, fresh, began)
    if converged:
        return found
    failed = dataclasses.replace(found.misfit, equation=math.inf)
    return dataclasses.replace(found, misfit=failed, validation_error=math.inf)


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
    misfit, u, places = judged(system, c, fresh)
    along = " × ".join(map(str, counts))
    kind = "cells" if system.grid.equal else "graded cells"
    return CellCandidate(
        basis=basis,
        parameters=parameters,
        initial=parameters,
        label=f"polynomials of degree {degree} on {along} {kind}",
        validation_error=misfit.score,
        ridge=NO_RIDGE,
        system=system,
        coefficients=c,
        misfit=misfit,
        x=fresh.x,
        u=u,
        places=places,
        seconds=time.perf_counter() - began,
    )


def judged(
    system: CellSystem, c: np.ndarray, fresh: CollocationRows
) -> tuple[Misfit, np.ndarray, list[np.ndarray]]:
    """Return the misfit on fresh points, u at those of the equation, (N, B), and its places."""
    function = system.function(c)
    judging = fresh if system.grid.equal else _in_every_cell(fresh, system.grid)
    residuals, given, at = [], [], []
    for term, weighted in zip(judging.terms, judging.scaled(), strict=True):
        root = np.asarray(weighted.root_weights)
        x = np.asarray(term.points.x)
        data = term.data / fresh.unit
        images = image_of(function, term.constraint.operator, x, _is_shifted(term))
        residuals.append(root * (images - data))
        given.append(root * data)
        at.append(x)
    value = np.zeros((1, fresh.x.shape[1]), dtype=int)
    scales = np.ones(1) if fresh.scales is None else np.array(fresh.scales)
    u = function.derivatives(fresh.x, value)[:, :, 0] / scales
    jumps = _jumps(system, c / scales)
    # Jumps are violations, too: shared out, so that every term keeps its rows.
    level = np.sqrt(np.mean(u**2))
    found = Misfit.relative([*residuals, jumps], given, level, fresh.n_equations)
    return found, u, _places(system.grid, at, found.by_term)


def _in_every_cell(fresh: CollocationRows, grid: CellGrid) -> CollocationRows:
    """Return rows at fresh points of every cell: those of the whole box miss narrow ones."""
    terms = []
    for term in fresh.terms:
        one = term.constraint
        if one.where is None and one.at is None and not _is_shifted(term):
            points = grid.strata(None if one.equation else one.face, len(term.data))
            values = one.values(fresh.problem.domain, points)
            data = np.array(np.broadcast_to(values, term.data.shape[1:] or (len(points.x),)))
            term = dataclasses.replace(term, points=points, data=data)
        terms.append(term)
    return dataclasses.replace(fresh, terms=terms)


def _places(
    grid: CellGrid, at: Sequence[np.ndarray], residuals: Sequence[np.ndarray]
) -> list[np.ndarray]:
    """Return squares of residuals summed over strips along each coordinate."""
    x = np.concatenate(at)
    squares = np.concatenate([np.ravel(r) ** 2 for r in residuals[: len(at)]])
    found = []
    for axis, edges in enumerate(grid.edges):
        slab = np.searchsorted(edges[1:-1], x[:, axis], side="right")
        share = (x[:, axis] - edges[slab]) / np.diff(edges)[slab]
        strip = slab * STRIPS + np.clip((share * STRIPS).astype(int), 0, STRIPS - 1)
        found.append(np.bincount(strip, squares, STRIPS * (len(edges) - 1)))
    return found


def image_of(
    function: CellFunction, operator: Any, x: np.ndarray, shifted: Any = None
) -> np.ndarray:
    """Return an operator's image of u at N points, (N,)."""
    if shifted is not None:
        axis, order = shifted
        lower, upper = function.grid.bounds[axis]
        other = x.copy()
        other[:, axis] = upper + lower - x[:, axis]
        orders = np.zeros((1, x.shape[1]), dtype=int)
        orders[0, axis] = order
        sign = 1.0 if abs(x[0, axis] - lower) < abs(x[0, axis] - upper) else -1.0
        there, here = (function.derivatives(at, orders)[:, 0, 0] for at in (other, x))
        return np.asarray(sign * (there - here))
    orders = differential_orders(operator, x.shape[1])
    if function.coefficients.shape[2] > 1 or not operator.linear:
        return linearisation(operator, x, function.derivatives(x, orders))[0]
    a = differential_coefficients(operator, x)
    used = np.any(a != 0, axis=0)
    derivatives = function.derivatives(x, orders[used])[:, 0]
    return np.asarray(np.einsum("nk,nk->n", a[:, used], derivatives))


def _is_shifted(term: Any) -> tuple[int, int] | None:
    """Return the coordinate and the order of a periodic condition."""
    label = term.constraint.label
    if not label.startswith("Periodic"):
        return None
    return term.constraint.face[0], int(label.rsplit(" ", 1)[1])


def _jumps(system: CellSystem, c: np.ndarray) -> np.ndarray:
    """Return what u jumps by between cells, weighted to a mean square over the borders."""
    grid, space = system.grid, system.space
    pieces, found = c.reshape(grid.n_cells, -1, c.shape[1]), []
    for axis, count in enumerate(grid.counts):
        if count == 1:
            continue
        first = np.flatnonzero(grid.places[:, axis] < count - 1)
        stride = int(np.prod(grid.counts[axis + 1 :]))
        orders = np.zeros((1, len(grid.counts)), dtype=int)
        upper = space.tables(space.face(axis, 1), orders)[0]
        lower = space.tables(space.face(axis, 0), orders)[0]
        jump = upper @ pieces[first] - lower @ pieces[first + stride]
        weight = space.on_face[1] / len(first) / len(grid.counts)
        found.append((jump * np.sqrt(weight)[:, None]).ravel())
    return np.concatenate(found) if found else np.zeros(1)


def distance(one: CellCandidate, other: CellCandidate) -> float:
    """Return the root mean square of the difference on fresh points, over that of the second."""
    level = float(np.sqrt(np.mean(other.u**2))) or 1.0
    return float(np.sqrt(np.mean((one.u - other.u) ** 2))) / level


def _apart_by_unknown(one: CellCandidate, other: CellCandidate) -> np.ndarray:
    """Return the root mean square of the difference of each unknown, (B,)."""
    return np.asarray(np.sqrt(np.mean((one.u - other.u) ** 2, axis=0)))


def error_beside(before: CellCandidate, last: CellCandidate) -> float | None:
    """Return the relative error of a candidate by one whose residual is larger, if it is near.

    The difference of both is the error of the first, and that of the last is less by about as much
    as its residual is: a little more, since errors of waves that are carried along fall slower.
    """
    if not math.isfinite(before.misfit.score):  # its Newton steps failed
        return None
    gained, apart = last.misfit.score / max(before.misfit.score, 1e-300), distance(before, last)
    return apart * gained**FALLS if gained < WORTH_IT and apart < NEAR else None


def grows(before: CellCandidate, last: CellCandidate) -> bool:
    """Whether ever larger functions have a small residual as more functions are taken.

    The problem is ill-posed then, whatever 1/γ is among those of a candidate's cells.
    """
    one, other = before.system, last.system
    if other.weakest < WEAK or not distance(before, last) < CLOSE:
        return False
    order = 2 * max(
        math.log(max(after / now, 1.0))
        for now, after in zip(one.grid.counts, other.grid.counts, strict=True)
    )
    sizes = one.weakest / one.narrow, other.weakest / other.narrow
    return sizes[1] > GROWS * math.exp(order) * sizes[0]


def _foreseen(others: Sequence[CellCandidate], best: CellCandidate) -> tuple[Any, float, float]:
    """Return the first of others whose residual is clearly larger, and the error by all of them.

    A residual in one coordinate may cause more error than one of that size in another: that of each
    says how much, and the most counts. Last comes the least error that so many can tell. None and
    infinity if there is none.
    """
    known = [one for one in others if error_beside(one, best) is not None]
    if not known:
        return None, math.inf, math.inf
    shares = [
        distance(one, best) * best.misfit.score / one.misfit.score
        for one in known
        if distance(one, best) < CLOSE
    ]
    nearest = error_beside(known[0], best) or 0.0
    return known[0], max([nearest, *shares]), TOLD_BY_ONE if len(shares) < 2 else 0.0


def apart(candidates: Sequence[Any]) -> tuple[list[Any], list[Any]]:
    """Return candidates on cells, and the others."""
    on_cells = [one for one in candidates if isinstance(one, CellCandidate)]
    return on_cells, [one for one in candidates if not isinstance(one, CellCandidate)]


def certified_on_cells(ranked: Sequence[CellCandidate], fresh: CollocationRows) -> dict[str, Any]:
    """Return what a solution takes from the best candidate, its certificate among it.

    The error is that of other solutions on other cells, by how much less the residual is: where
    residuals fall together with errors, u − v is about the error of the worse one. Without another
    one whose residual is clearly larger it is the residual over γ, which holds among functions of
    these cells, and at least the difference from the next best solution, which has others.
    """
    best, *others = [one for one in ranked if math.isfinite(one.misfit.score)] or ranked
    problem, misfit, system = fresh.problem, best.misfit, best.system
    weakest, blocks = system.weakest, problem.n_blocks
    bound = misfit.score * weakest * math.sqrt(2.0)
    estimate = bound
    levels, all_of_u = np.sqrt(np.mean(best.u**2, axis=0)), np.sqrt(np.mean(best.u**2))
    errors = np.full(blocks, bound * all_of_u * blocks**0.5)
    witness, off, told = _foreseen(others, best)
    if witness is not None:
        # What is as small as round-off does not fall with residuals. Where it is enlarged, along
        # functions that are hardly seen, it shows in no residual, and two solutions may share it:
        # on a ring near resonance, residual over γ is 9e-11, and the error 2e-9.
        apart, least = distance(witness, best), ROUND_OFF_OF_U * max(weakest, 1.0)
        least = least if weakest > WEAK else min(bound, apart, max(least, told))
        estimate = max(SAFETY * off, least)
        share = SAFETY * off / apart if apart else 1.0
        errors = np.maximum(share * _apart_by_unknown(witness, best), least * levels)
    else:
        estimate = max([bound, *(SAFETY * distance(other, best) for other in others[:1])])
        for other in others[:1]:
            errors = np.maximum(errors, SAFETY * _apart_by_unknown(other, best))
    each = by_unknown(problem, errors, levels) if blocks > 1 else {}
    estimate = max(each.values(), default=max(estimate, LEAST_CLAIM))
    bound = max(bound, estimate)
    known = 0 < misfit.score < math.inf and math.isfinite(estimate)
    as_error = estimate / misfit.score if known else 1.0
    norms = [as_error * float(np.sqrt(np.sum(r**2))) for r in misfit.by_term]
    labels = [term.constraint.label for term in fresh.terms]
    labels += ["Jumps between cells"] if system.grid.n_cells > 1 else []
    terms = dict(zip(labels, norms, strict=False))
    free = int(weakest > system.narrow / UNDETERMINED)
    # Conditions that contradict each other do so on all cells; those that are not resolved less on
    # finer ones.
    known_ones = [one.misfit.conditions for one in ranked if math.isfinite(one.misfit.conditions)]
    stays = misfit.conditions >= STAYS * max(known_ones, default=math.inf)
    clash = misfit.conditions if stays and misfit.conditions > CONTRADICTION else 0.0
    examined = Stability(1 / weakest, free, clash)
    ranks = system.rank, best.coefficients.size
    parameters: Parameters = jax.tree.map(np.asarray, best.parameters)
    said = " ".join([
        verdict_of(problem, misfit, examined, estimate, 1.0, terms, [], each=each),
        *problem.notes,
    ])  # fmt: skip
    return {
        **claimed(
            fresh, misfit, (estimate, bound), as_error, terms, examined, ranks, said, each=each
        ),
        "basis": best.basis,
        "parameters": parameters,
        "initial_parameters": None,
        "coefficients": best.coefficients,
        "singular_values": system.singular_values,
        "validation_error": best.validation_error,
        "finalists": (best, *others[:1]),
    }

"""Equations that are not linear, on cells: Newton steps, from slabs of time one after another.

At a function u the equations are linear ones in the next function, whose coefficients are the
slopes of the operators at u (:func:`adabasis.operators.coefficients.linearisation`). Where a
problem starts from values at a time, the first function is found slab by slab: a slab is one cell
long, goes on from the end of the one before, and is short enough for Newton steps from what it
starts with. Steps on all cells together follow, so that the solution has one residual.
"""

from __future__ import annotations

import dataclasses
import itertools
import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from ..geometry.points import Points
from ..operators.coefficients import differential_orders, linearisation
from .cell_rows import CellProblem
from .cells import CellFunction, CellGrid, CellSystem, LocalSpace

#: Newton steps at most; a step that changes the function by less is the last one, and so is one
#: that changes it by less than the second number and no less than half as much as the one before.
MOST_STEPS, CONVERGED, ROUND_OFF = 12, 1e-12, 1e-7
#: Steps that end with a larger change have not converged.
NEARLY = 1e-3
#: A slab of a system of first order in which an error may grow by more, its logarithm, is too long:
#: least squares rather change what it starts with.
AMPLIFIED = math.log(1e3)
#: What is left of equations and initial values in a slab, over the values that it starts with.
HOLDS = 0.03


@dataclasses.dataclass(frozen=True, eq=False)
class Constant:
    """A function that goes on as it ended: u(x, t) = u(x, end)."""

    function: CellFunction
    axis: int
    end: float

    def derivatives(self, x: np.ndarray, orders: np.ndarray) -> np.ndarray:
        """Return derivatives at N points, (N, B, K): 0 along the time."""
        there = x.copy()
        there[:, self.axis] = self.end
        found = self.function.derivatives(there, orders)
        return np.where(orders[:, self.axis] > 0, 0.0, found)


@dataclasses.dataclass(frozen=True, eq=False)
class Level:
    """The same values, (B,), everywhere."""

    values: np.ndarray

    def derivatives(self, x: np.ndarray, orders: np.ndarray) -> np.ndarray:
        """Return derivatives at N points, (N, B, K)."""
        here = (orders.sum(axis=1) == 0).astype(float)
        return np.broadcast_to(self.values[:, None] * here, (len(x), len(self.values), len(here)))


def level(slab: CellProblem, grid: CellGrid, space: LocalSpace, axis: int) -> Level:
    """Return the constants that meet the values at the start best."""
    x = (grid.middles[:, None] + grid.half[:, None] * space.face(axis, 0)).reshape(
        -1, len(grid.counts)
    )
    x[:, axis] = slab.bounds[axis, 0]
    zero, rows, data = Level(np.zeros(len(slab.scales))), [], []
    for one in slab.conditions:
        if one.face is not None and one.face[0] == axis:
            orders = differential_orders(one.operator, len(grid.counts))
            image, a = linearisation(one.operator, x, zero.derivatives(x, orders))
            rows.append(a[:, :, orders.sum(axis=1) == 0].sum(axis=2))
            values = one.values(slab.problem.domain, Points(x, np.ones(len(x))))
            data.append(np.asarray(values) - image)
    found, *_ = np.linalg.lstsq(np.concatenate(rows), np.concatenate(data), rcond=1e-12)
    return Level(found)


def newton_on_cells(
    cells: CellProblem, along: Sequence[Any], degree: int, start: Any = None
) -> tuple[CellSystem, bool]:
    """Return the system of the last Newton step, from a function or from 0, and if it was right."""
    at, change, system = start, np.inf, None
    for _ in range(MOST_STEPS):
        with np.errstate(invalid="ignore"):  # 1/u at 0
            system = cells.system(along, degree, at)
        found = system.function()
        size = _size(found, cells.scales)
        if not np.isfinite(size):
            return system, False
        if isinstance(at, CellFunction) and at.coefficients.shape == found.coefficients.shape:
            off = dataclasses.replace(found, coefficients=found.coefficients - at.coefficients)
            before, change = change, _size(off, cells.scales) / (size or 1.0)
            if change <= CONVERGED or (change < ROUND_OFF and change > 0.5 * before):
                break
        at = found
    assert system is not None
    return system, change < NEARLY


def solved_by_slabs(
    cells: CellProblem, along: Sequence[Any], degree: int, axis: int
) -> tuple[CellSystem, bool]:
    """Return the system of Newton steps on all cells, from slabs of time, and if it was right.

    Where the steps in one slab do not converge, or end at what does not start where it has to,
    cells are too large: the system of one step from 0 is returned then.
    """
    grid, space = CellGrid(cells.bounds, tuple(along)), LocalSpace(degree, len(along))
    across = [1 if i == axis else one for i, one in enumerate(along)]
    pieces: list[np.ndarray] = []
    before: CellFunction | None = None
    for lower, upper in itertools.pairwise(grid.edges[axis]):
        slab = cells.slab(axis, lower, upper, before)
        start: Any = None if before is None else Constant(before, axis, float(lower))
        system, converged = newton_on_cells(slab, across, degree, start)
        if start is None and not _known(slab, system.function()):
            space = LocalSpace(degree, len(across))  # √u has no slope at 0, 1/u no value
            start = level(slab, CellGrid(slab.bounds, tuple(across)), space, axis)
            system, converged = newton_on_cells(slab, across, degree, start)
        found = system.function()
        if (
            not (converged and _known(slab, found))
            or _growth(slab, found) > AMPLIFIED
            or not _holds(slab, found, before, axis)
        ):
            return cells.system(along, degree), False
        before = found
        pieces.append(before.coefficients)
    shape = [n for i, n in enumerate(grid.counts) if i != axis]
    each = [piece.reshape(*shape, *piece.shape[1:]) for piece in pieces]
    c = np.stack(each, axis=axis).reshape(-1, *pieces[0].shape[1:])
    system, converged = newton_on_cells(cells, along, degree, CellFunction(grid, space, c))
    return system, converged and _holds(cells, system.function(), None, axis)


def _holds(slab: CellProblem, found: CellFunction, before: CellFunction | None, axis: int) -> bool:
    """Whether a function starts where it has to, and solves the equations beside such values.

    Residuals are small beside a function that grows without bounds, whatever it starts with.
    """
    grid, space = found.grid, found.space
    t, _ = space.inside
    first = space.face(axis, 0)
    inside, start = (
        (grid.middles[:, None, :] + grid.half[:, None, :] * points).reshape(-1, len(grid.counts))
        for points in (t, first)
    )
    start[:, axis] = slab.bounds[axis, 0]
    calm = Constant(found, axis, float(slab.bounds[axis, 0]))
    off = size = 0.0
    for one in [*slab.equations, *(c for c in slab.conditions if c.face[0] == axis)]:
        x = inside if one.equation else start
        orders = differential_orders(one.operator, len(grid.counts))
        image, a = linearisation(one.operator, x, found.derivatives(x, orders))
        data = np.asarray(one.values(slab.problem.domain, Points(x, np.ones(len(x)))))
        if before is not None and not one.equation:
            data = np.sum(a * before.derivatives(x, orders), axis=(1, 2))
        every = np.prod((np.pi / (2 * grid.half[:, None, :])) ** orders, axis=2)
        wave = np.repeat(every, len(x) // grid.n_cells, axis=0)[:, None, :]
        # In units of u by the slopes at the start: large ones of what grows would hide residuals.
        _, slopes = linearisation(one.operator, x, calm.derivatives(x, orders))
        unit = np.mean(np.sum((slopes * slab.scales[:, None] * wave) ** 2, axis=(1, 2))) or 1.0
        off += float(np.mean((image - data) ** 2) / unit)
        size += 0.0 if one.equation else float(np.mean(data**2) / unit)
    return off <= HOLDS**2 * (size or _size(found, slab.scales) ** 2)


def _known(slab: CellProblem, found: CellFunction) -> bool:
    """Whether the equations have values and slopes at a function."""
    x = (found.grid.middles[:, None, :] + found.grid.half[:, None] * found.space.inside[0]).reshape(
        -1, len(found.grid.counts)
    )
    for one in slab.equations:
        orders = differential_orders(one.operator, x.shape[1])
        image, slopes = linearisation(one.operator, x, found.derivatives(x, orders))
        if not (np.isfinite(image).all() and np.isfinite(slopes).all()):
            return False
    return True


def _growth(slab: CellProblem, found: CellFunction) -> float:
    """Return the logarithm of what an error may grow by in a slab, 0 where that is not known.

    The integral of the largest real part of the eigenvalues of A in v' = A v, the linearisation.
    """
    x = found.grid.middles[:, None, :] + found.grid.half[:, None, :] * found.space.inside[0]
    if x.shape[2] > 1 or len(slab.equations) != len(slab.scales):
        return 0.0
    orders = np.arange(2)[:, None]
    if any(one.operator.order != 1 for one in slab.equations):
        return 0.0
    jets = found.derivatives(x.reshape(-1, 1), orders)
    each = [linearisation(one.operator, x.reshape(-1, 1), jets)[1] for one in slab.equations]
    a = np.stack(each, axis=1)
    if np.linalg.cond(a[..., 1]).max() > 1 / np.sqrt(np.finfo(float).eps):
        return 0.0  # values without derivatives among them
    rates = np.linalg.eigvals(-np.linalg.solve(a[..., 1], a[..., 0])).real.max(axis=1)
    weight = found.space.inside[1]
    mean = np.mean(np.maximum(rates.reshape(-1, len(weight)), 0.0) @ weight)
    return float(mean * np.ptp(slab.bounds[0]))


def _size(function: CellFunction, scales: np.ndarray) -> float:
    """Return the root mean square of a function, in units of the unknowns."""
    return float(np.sqrt(np.mean(np.sum((function.coefficients / scales) ** 2, axis=1))))

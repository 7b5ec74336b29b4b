"""The rows of a problem on the cells of a grid, and the system that is left of them."""

from __future__ import annotations

import copy
import dataclasses
import functools
from collections.abc import Sequence
from typing import Any

import numpy as np

from ..basis.pou.polynomial import multi_indices
from ..geometry.points import Points
from ..lstsq.dissection import SparseRows, reduce_sparse
from ..operators.coefficients import (
    differential_coefficients,
    differential_orders,
    linearisation,
)
from .cells import ON_FACES, CellGrid, CellSystem, Condensed, LocalSpace

#: The equations of functions that are not settled, σ z = Uᵀ f, count so much: without them results
#: depend on :data:`adabasis.pde.cells.SETTLED`.
KEPT_EQUATIONS = 10.0
#: Factors of equations that are kept for the cells after, some megabytes each.
KEPT_FACTORS = 32


@dataclasses.dataclass(frozen=True, eq=False)
class FaceCondition:
    """A condition on one side of the box, at points of a cell's face.

    Attributes
    ----------
    matrix : array, shape (N, P)
        Weighted rows of the cell's functions.
    rhs : array, shape (N,)
    """

    matrix: np.ndarray
    rhs: np.ndarray


class CellProblem:
    """A problem on a box, in the form that cells ask for.

    Attributes
    ----------
    problem : Problem
    bounds : array, shape (D, 2)
        Of the box, or of a slab of it.
    scales : array, shape (B,)
        Units of the unknowns.
    periodic : tuple of int
        Coordinates along which the last cells touch the first.
    start : (axis, function), optional
        Instead of the conditions on the lower face of that coordinate, a function that the solution
        goes on from: derivatives(x, orders) → (N, B, K).
    """

    def __init__(self, problem: Any, scales: Sequence[float] | None = None) -> None:
        self.problem = problem
        self.bounds = np.asarray(problem.domain.bounds, dtype=float)
        self.scales = np.ones(problem.n_blocks) if scales is None else np.array(scales, float)
        self.equations = problem.constraints[: problem.n_equations]
        conditions = problem.constraints[problem.n_equations :]
        self.periodic = tuple(
            sorted({one.face[0] for one in conditions if _is_periodic(one) and one.face})
        )
        self.conditions = [one for one in conditions if not _is_periodic(one)]
        self.start: tuple[int, Any] | None = None

    def slab(self, axis: int, lower: float, upper: float, before: Any) -> CellProblem:
        """Return the problem on a part of the box that goes on from a function, or starts."""
        part = copy.copy(self)
        part.bounds = self.bounds.copy()
        part.bounds[axis] = lower, upper
        part.start = None if before is None else (axis, before)
        return part

    def place(self, constraint: Any) -> tuple[int, float]:
        """Return the coordinate of a condition's face, and its value here."""
        axis, value = constraint.face
        return axis, float(self.bounds[axis, 0]) if self.goes_on(constraint) else value

    def goes_on(self, constraint: Any) -> bool:
        """Whether a condition takes its values from the function that the solution goes on from."""
        return self.start is not None and constraint.face[0] == self.start[0]

    def system(self, along: Sequence[Any], degree: int, at: Any = None) -> CellSystem:
        """Assemble, condense and reduce on slabs along each coordinate: how many, or their edges.

        Where the problem is not linear, it is linearised at the function ``at``, or at 0.
        """
        grid = CellGrid(self.bounds, tuple(along))
        space = LocalSpace(degree, len(self.bounds))
        local = _LocalRows(self, grid, space, at)
        known: dict[Any, Condensed] = {}
        cells, sources = [], []
        for number in range(grid.n_cells):
            key = local.key(number)
            if key not in known:
                known[key] = Condensed.of(local.equation(number)[1], local.blocks(number))
            cells.append(known[key])
            sources.append(local.source(number))
        settled, rows = self._rows(local, cells, sources)
        sizes = [int(cell.open.sum()) for cell in cells]
        triangle = reduce_sparse(grid.places.astype(float), sizes, rows)
        each = zip(grid.half_sides, local.smooth.max(axis=0), strict=True)
        narrow = max(float(np.mean(h) / h.min()) ** int(order) for h, order in each)
        return CellSystem(grid, space, cells, settled, triangle, self.scales, narrow=narrow)

    def again(self, system: CellSystem) -> CellSystem:
        """Return a system with the sources and values of this problem, nothing being factored.

        The same equation and conditions, with other data: from the triangle, R⁻¹ R⁻ᵀ Aᵀ b, and once
        more for what is left. That is enough because condensed rows are well conditioned.
        """
        local = _LocalRows(self, system.grid, system.space)
        sources = [local.source(number) for number in range(system.grid.n_cells)]
        settled, rows = self._rows(local, system.cells, sources)
        z = np.zeros((system.n_open, 1))
        for _ in range(2):
            z = z + system.triangle.solve(
                system.triangle.solve_transposed(_pulled(system, rows, z))
            )
        return dataclasses.replace(system, settled=settled, unknowns=z)

    def _rows(
        self, local: _LocalRows, cells: Sequence[Condensed], sources: Sequence[np.ndarray]
    ) -> tuple[list[np.ndarray], list[SparseRows]]:
        """Return what sources settle, cell by cell, and the rows of what is left."""
        said = [cell.said(f[:, None]) for cell, f in zip(cells, sources, strict=True)]
        settled = [given[:, 0] for given, _ in said]
        rows = []
        for number, cell in enumerate(cells):
            own = KEPT_EQUATIONS * np.diag(cell.sigma[cell.open])
            rows.append(SparseRows((number,), (own,), KEPT_EQUATIONS * said[number][1]))
            for (kind, *which), trace in zip(local.layout(number), cell.traces, strict=True):
                if kind == "condition":
                    left = local.data(number, *which) - trace @ settled[number]
                    rows.append(SparseRows((number,), (trace[:, cell.open],), left[:, None]))
                elif which[1] == 1:  # each border once, from below
                    axis, _, order, block = which
                    other = local.grid.neighbour(number, axis, axis in self.periodic)
                    assert other is not None
                    where = "border", axis, 0, order, block
                    rows += self._jump(local, cells, settled, (number, other), where, trace)
        return settled, rows

    def _jump(
        self,
        local: _LocalRows,
        cells: Sequence[Condensed],
        settled: Sequence[np.ndarray],
        pair: tuple[int, int],
        where: tuple[Any, ...],
        trace: np.ndarray,
    ) -> list[SparseRows]:
        """Return the rows of a jump between a cell and the next one above."""
        number, other = pair
        above = cells[other]
        across = above.traces[local.layout(other).index(where)]
        jump = (across @ settled[other] - trace @ settled[number])[:, None]
        if number == other:  # periodic, one cell
            both = (trace - across)[:, above.open]
            return [SparseRows((number,), (both,), jump)]
        own = trace[:, cells[number].open]
        return [SparseRows((number, other), (own, -across[:, above.open]), jump)]


class _LocalRows:
    """Weighted rows, cell by cell."""

    def __init__(
        self, problem: CellProblem, grid: CellGrid, space: LocalSpace, at: Any = None
    ) -> None:
        self.problem, self.grid, self.space, self.at = problem, grid, space, at
        t, weight = space.inside
        self.root = np.sqrt(weight)
        self.x = grid.middles[:, None, :] + grid.half[:, None, :] * t
        d, n_blocks = len(grid.counts), len(problem.scales)
        found = [self._linear(one, self.x) for one in problem.equations]
        order = max(orders.sum(axis=1).max() for orders, _, _ in found)
        every = multi_indices(d, int(order))
        used = np.zeros(len(every), dtype=bool)
        for _, a, _ in found:  # by degree: those of a lower order are the first ones
            used[: a.shape[3]] |= np.any(a != 0, axis=(0, 1, 2))
        used |= not used.any()
        self.orders = every[used]
        self.tables = space.tables(t, self.orders)
        every_cell = np.arange(grid.n_cells)
        self.equations = [
            (
                self._in_cells(a, orders, every_cell)[..., used[: a.shape[3]]],
                data,
                self._sizes(a, orders, every_cell),
            )
            for orders, a, data in found
        ]
        # How often the equations differentiate along each coordinate; values are joined anyway.
        self.smooth = np.ones((n_blocks, d), dtype=int)
        for orders, a, _ in found:
            for block, seen in enumerate(np.any(a != 0, axis=(0, 1))):
                along = orders[seen].max(axis=0, initial=1)
                self.smooth[block] = np.maximum(self.smooth[block], along)
        self.constant = all((np.ptp(a, axis=(0, 1)) == 0).all() for a, _, _ in self.equations)
        self._reduced: dict[Any, tuple[np.ndarray, np.ndarray]] = {}
        self.on_boundary = [self._condition(one) for one in problem.conditions]

    def _linear(self, constraint: Any, x: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return β, a_β in units of the unknowns, (n, N, B, K), and data (n, N), on n cells.

        Of what is not linear: L v = f − N[u] + L u at the function u that is given.
        """
        operator, flat = constraint.operator, x.reshape(-1, x.shape[-1])
        problem, n_blocks = self.problem.problem, len(self.problem.scales)
        orders = differential_orders(operator, x.shape[-1])
        values = constraint.values(problem.domain, _points(flat))
        data = np.array(np.broadcast_to(values, (len(flat),)), dtype=float)
        if n_blocks == 1 and operator.linear:
            a = differential_coefficients(operator, flat)[:, None]
        else:
            shape = len(flat), n_blocks, len(orders)
            given = self.at is not None and not operator.linear
            jets = self.at.derivatives(flat, orders) if given else np.zeros(shape)
            images, a = linearisation(operator, flat, jets)
            data = data if operator.linear else data - images + np.sum(a * jets, axis=(1, 2))
        if not constraint.equation and self.problem.goes_on(constraint):
            assert self.problem.start is not None
            before = self.problem.start[1].derivatives(flat, orders)
            data = np.sum(a * before, axis=(1, 2))
        a = a * self.problem.scales[:, None]
        return orders, a.reshape(*x.shape[:2], *a.shape[1:]), data.reshape(x.shape[:2])

    def _in_cells(self, a: np.ndarray, orders: np.ndarray, cells: np.ndarray) -> np.ndarray:
        """Return coefficients of derivatives in t ∈ [−1, 1]^D, from those in x."""
        half = np.prod(self.grid.half[cells, None, :] ** orders, axis=2)
        return np.asarray(a / half[:, None, None, :])

    def _sizes(self, a: np.ndarray, orders: np.ndarray, cells: np.ndarray) -> np.ndarray:
        """Return root mean squares of the operator on waves of half a turn a cell, (n,)."""
        wave = np.prod((np.pi / (2 * self.grid.half[cells, None, :])) ** orders, axis=2)
        squares = np.sum((a * wave[:, None, None, :]) ** 2, axis=(2, 3))
        sizes = np.sqrt(np.mean(squares, axis=1))
        return np.asarray(np.where(sizes > 0, sizes, 1.0))

    def _images(self, a: np.ndarray, tables: np.ndarray) -> np.ndarray:
        """Return rows of the functions of all unknowns, (N, B · P), from a (N, B, K)."""
        each = []
        for one in a.transpose(1, 0, 2):
            used = np.flatnonzero(one.any(axis=0))
            if len(used):
                each.append(np.einsum("nk,knp->np", one[:, used], tables[used], optimize=True))
            else:
                each.append(np.zeros(tables.shape[1:]))
        return np.concatenate(each, axis=1) if len(each) > 1 else each[0]

    def equation(self, cell: int) -> tuple[np.ndarray, np.ndarray]:
        """Return Q (E · N, B · P) and R of the rows of the equations."""
        key = self._own(cell)
        if key not in self._reduced:
            rows = np.concatenate([
                self.root[:, None] / size[cell] * self._images(a[cell], self.tables)
                for a, _, size in self.equations
            ])  # fmt: skip
            q, r = np.linalg.qr(rows)
            if len(self._reduced) >= KEPT_FACTORS:
                self._reduced.pop(next(iter(self._reduced)))
            self._reduced[key] = q, r
        return self._reduced[key]

    def _own(self, cell: int) -> Any:
        """Return what cells with the same equation have in common."""
        return () if self.constant else tuple(a[cell].tobytes() for a, _, _ in self.equations)

    def source(self, cell: int) -> np.ndarray:
        """Return the right-hand side of the equations' rows, Qᵀ f."""
        q, _ = self.equation(cell)
        data = [self.root / size[cell] * f[cell] for _, f, size in self.equations]
        return np.asarray(q.T @ np.concatenate(data))

    def layout(self, cell: int) -> list[tuple[Any, ...]]:
        """Return what the blocks on the faces are, in their order."""
        return self._layouts[tuple(self._ends(cell))]

    def _ends(self, cell: int) -> list[tuple[bool, bool]]:
        """Return whether the cell is the first or the last along each coordinate."""
        return [
            (
                axis not in self.problem.periodic and place == 0,
                axis not in self.problem.periodic and place == count - 1,
            )
            for axis, (place, count) in enumerate(
                zip(self.grid.places[cell], self.grid.counts, strict=True)
            )
        ]

    @functools.cached_property
    def _layouts(self) -> Any:
        return _Layouts(self)

    def border(self, axis: int, end: int, order: int, block: int) -> np.ndarray:
        """Return the rows of a normal derivative of an unknown on a face, in its unit."""
        key = axis, end, order
        if key not in self._borders:
            orders = np.zeros((1, len(self.grid.counts)), dtype=int)
            orders[0, axis] = order
            (table,) = self.space.tables(self.space.face(axis, end), orders)
            unit = (2.0 / np.pi) ** order  # of 1/half: the size of a wave of half a turn a cell
            root = np.sqrt(self.space.on_face[1])[:, None]
            rows = self.space.face_functions.T @ (root * table)
            self._borders[key] = ON_FACES * unit * rows
        rows = self._borders[key]
        count, width = len(self.problem.scales), rows.shape[1]
        if count == 1:
            return rows
        wide = np.zeros((len(rows), count * width))
        wide[:, block * width : (block + 1) * width] = rows
        return wide

    @functools.cached_property
    def _borders(self) -> dict[tuple[int, int, int], np.ndarray]:
        return {}

    def _condition(self, constraint: Any) -> dict[int, FaceCondition]:
        """Return the rows of a condition, for every cell that it touches."""
        axis, value = self.problem.place(constraint)
        end = int(abs(value - self.grid.bounds[axis, 1]) < abs(value - self.grid.bounds[axis, 0]))
        place = self.grid.counts[axis] - 1 if end else 0
        cells = np.flatnonzero(self.grid.places[:, axis] == place)
        t = self.space.face(axis, end)
        x = self.grid.middles[cells][:, None, :] + self.grid.half[cells][:, None, :] * t
        x[..., axis] = value
        orders, a, data = self._linear(constraint, x)
        tables = self.space.tables(t, orders)
        here = np.ones(x.shape[:2], dtype=bool)
        if constraint.where is not None:
            flat = x.reshape(-1, x.shape[-1])
            named = dict(zip(self.problem.problem.domain.names, flat.T, strict=True))
            values = np.asarray(constraint.where.evaluate(named, np), bool)
            here = np.broadcast_to(values, (len(flat),)).reshape(here.shape)
        sizes = self._sizes(a, orders, cells)[:, None]
        factor = ON_FACES / sizes * np.sqrt(self.space.on_face[1]) * here
        a = self._in_cells(a, orders, cells)
        rhs = factor * data
        found = {}
        for k, cell in enumerate(cells):
            rows, right = factor[k][:, None] * self._images(a[k], tables), rhs[k]
            if here.all() and not np.ptp(a[k], axis=0).any():  # rows are traces of polynomials
                polynomials = self.space.face_functions
                rows, right = polynomials.T @ rows, polynomials.T @ right
            found[int(cell)] = FaceCondition(rows, right)
        return found

    def blocks(self, cell: int) -> list[np.ndarray]:
        """Return the blocks on the faces."""
        ratios = self._ratios(cell)
        return [
            self.on_boundary[which[0]][cell].matrix
            if kind == "condition"
            else ratios[which[0], which[1]] ** (which[2] / 2) * self.border(*which)
            for kind, *which in self.layout(cell)
        ]

    def _ratios(self, cell: int) -> np.ndarray:
        """Return the widths of a cell's neighbours over its own, (D, 2).

        A jump of a k-th derivative counts (h h′)^{k/2} times, h and h′ the widths on both sides.
        """
        place = self.grid.places[cell]
        ratios = np.ones((len(place), 2))
        for axis, (here, widths) in enumerate(zip(place, self.grid.half_sides, strict=True)):
            for end, other in enumerate((here - 1, here + 1)):
                if 0 <= other < len(widths) or axis in self.problem.periodic:
                    ratios[axis, end] = widths[other % len(widths)] / widths[here]
        return ratios

    def data(self, cell: int, condition: int) -> np.ndarray:
        """Return the right-hand side of a condition's rows."""
        return self.on_boundary[condition][cell].rhs

    def key(self, cell: int) -> Any:
        """Return what cells with the same rows have in common."""
        conditions = [
            self.on_boundary[which[0]][cell].matrix.tobytes()
            for kind, *which in self.layout(cell)
            if kind == "condition"
        ]
        ratios = self._ratios(cell).tobytes()
        return self._own(cell), tuple(self._ends(cell)), tuple(conditions), ratios


class _Layouts(dict[Any, Any]):
    """What the blocks of a cell are, by the sides of the box that it touches."""

    def __init__(self, local: _LocalRows) -> None:
        super().__init__()
        self.local = local

    def __missing__(self, ends: Any) -> list[tuple[Any, ...]]:
        local = self.local
        found: list[tuple[Any, ...]] = []
        for axis, touches in enumerate(ends):
            for end, at_boundary in enumerate(touches):
                if not at_boundary:
                    found += [
                        ("border", axis, end, order, block)
                        for block, smooth in enumerate(local.smooth[:, axis])
                        for order in range(smooth)
                    ]
                    continue
                bound = local.grid.bounds[axis, end]
                for number, one in enumerate(local.problem.conditions):
                    face, value = local.problem.place(one)
                    if face == axis and abs(value - bound) <= 1e-9 * (
                        local.grid.bounds[axis, 1] - local.grid.bounds[axis, 0]
                    ):
                        found.append(("condition", number))
        self[ends] = found
        return found


def _is_periodic(constraint: Any) -> bool:
    return bool(constraint.label.startswith("Periodic"))


def _pulled(system: CellSystem, rows: Sequence[SparseRows], z: np.ndarray) -> np.ndarray:
    """Return Aᵀ (b − A z) for the unknowns z, (n_open, K)."""
    starts, out = system.triangle.starts, np.zeros_like(z)
    for block in rows:
        spans = [slice(starts[p], starts[p + 1]) for p in block.parts]
        left = block.rhs.copy()
        for span, matrix in zip(spans, block.matrices, strict=True):
            left = left - matrix @ z[span]
        for span, matrix in zip(spans, block.matrices, strict=True):
            out[span] += matrix.T @ left
    return out


def _points(x: np.ndarray) -> Points:
    return Points(x, np.ones(len(x)))

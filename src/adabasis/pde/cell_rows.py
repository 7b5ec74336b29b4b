"""The rows of a problem on the cells of a grid, and the system that is left of them."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Sequence
from typing import Any

import numpy as np

from ..geometry.points import Points
from ..lstsq.dissection import SparseRows, reduce_sparse
from ..operators.coefficients import differential_coefficients, differential_orders
from .cells import ON_FACES, CellGrid, CellSystem, Condensed, LocalSpace

#: The equations of functions that are not settled, σ z = Uᵀ f, count so much: without them results
#: depend on :data:`adabasis.pde.cells.SETTLED`.
KEPT_EQUATIONS = 10.0


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
    """A linear problem of one unknown on a box, in the form that cells ask for.

    Attributes
    ----------
    problem : LinearProblem
    periodic : tuple of int
        Coordinates along which the last cells touch the first.
    """

    def __init__(self, problem: Any) -> None:
        self.problem = problem
        self.bounds = np.asarray(problem.domain.bounds, dtype=float)
        self.equation, *conditions = problem.constraints
        self.periodic = tuple(
            sorted({one.face[0] for one in conditions if _is_periodic(one) and one.face})
        )
        self.conditions = [one for one in conditions if not _is_periodic(one)]
        self.orders = differential_orders(self.equation.operator, len(self.bounds))

    def system(self, counts: Sequence[int], degree: int) -> CellSystem:
        """Assemble, condense and reduce on so many cells along each coordinate."""
        grid = CellGrid(self.bounds, tuple(int(count) for count in counts))
        space = LocalSpace(degree, len(self.bounds))
        local = _LocalRows(self, grid, space)
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
        return CellSystem(grid, space, cells, settled, triangle)

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
                    axis, _, order = which
                    other = local.grid.neighbour(number, axis, axis in self.periodic)
                    assert other is not None
                    rows += self._jump(local, cells, settled, number, other, axis, order, trace)
        return settled, rows

    def _jump(
        self,
        local: _LocalRows,
        cells: Sequence[Condensed],
        settled: Sequence[np.ndarray],
        number: int,
        other: int,
        axis: int,
        order: int,
        trace: np.ndarray,
    ) -> list[SparseRows]:
        """Return the rows of a jump between a cell and the next one above."""
        above = cells[other]
        across = above.traces[local.layout(other).index(("border", axis, 0, order))]
        jump = (across @ settled[other] - trace @ settled[number])[:, None]
        if number == other:  # periodic, one cell
            both = (trace - across)[:, above.open]
            return [SparseRows((number,), (both,), jump)]
        own = trace[:, cells[number].open]
        return [SparseRows((number, other), (own, -across[:, above.open]), jump)]


class _LocalRows:
    """Weighted rows, cell by cell."""

    def __init__(self, problem: CellProblem, grid: CellGrid, space: LocalSpace) -> None:
        self.problem, self.grid, self.space = problem, grid, space
        t, weight = space.inside
        self.root = np.sqrt(weight)
        self.x = grid.middles[:, None, :] + grid.half * t
        d = len(grid.counts)
        a = self._coefficients(problem.equation.operator, self.x)
        used = np.any(a != 0, axis=(0, 1))
        used |= not used.any()
        self.a, self.orders = a[..., used], problem.orders[used]
        self.tables = space.tables(t, self.orders) / self._per_half(self.orders)
        self.size = self._sizes(self.a, self.orders)
        # How often the equation differentiates along each coordinate; values are joined anyway.
        along = self.orders.max(axis=0, initial=0)
        self.smooth = [max(1, int(along[axis])) for axis in range(d)]
        self.constant = bool((np.ptp(self.a.reshape(-1, len(self.orders)), axis=0) == 0).all())
        self._reduced: tuple[int, tuple[np.ndarray, np.ndarray]] | None = None
        self.on_boundary = [self._condition(one) for one in problem.conditions]

    def _coefficients(self, operator: Any, x: np.ndarray) -> np.ndarray:
        """Return a_β at the points (n, N, D) of n cells: (n, N, K)."""
        flat = differential_coefficients(operator, x.reshape(-1, x.shape[-1]))
        return flat.reshape(*x.shape[:2], -1)

    def _per_half(self, orders: np.ndarray) -> np.ndarray:
        return np.prod(self.grid.half**orders, axis=1)[:, None, None]

    def _sizes(self, a: np.ndarray, orders: np.ndarray) -> np.ndarray:
        """Return root mean squares of the operator on waves of half a turn a cell, (n,)."""
        wave = np.prod((np.pi / (2 * self.grid.half)) ** orders, axis=1)
        sizes = np.sqrt(np.mean(np.sum((a * wave) ** 2, axis=2), axis=1))
        return np.asarray(np.where(sizes > 0, sizes, 1.0))

    def equation(self, cell: int) -> tuple[np.ndarray, np.ndarray]:
        """Return Q (N, P) and R (P, P) of the rows of the equation."""
        if self._reduced is None or self._reduced[0] != (0 if self.constant else cell):
            rows = np.einsum("nk,knp->np", self.a[cell], self.tables, optimize=True)
            q, r = np.linalg.qr(self.root[:, None] / self.size[cell] * rows)
            self._reduced = 0 if self.constant else cell, (q, r)
        return self._reduced[1]

    def source(self, cell: int) -> np.ndarray:
        """Return the right-hand side of the equation's rows, Qᵀ f, (P,)."""
        q, _ = self.equation(cell)
        return np.asarray(q.T @ (self.root / self.size[cell] * self._sources[cell]))

    @functools.cached_property
    def _sources(self) -> np.ndarray:
        flat = self.problem.equation.values(
            self.problem.problem.domain, _points(self.x.reshape(-1, self.x.shape[-1]))
        )
        return np.broadcast_to(flat, (self.x.shape[0] * self.x.shape[1],)).reshape(self.x.shape[:2])

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

    def border(self, axis: int, end: int, order: int) -> np.ndarray:
        """Return the rows of a normal derivative on a face, in units of u: (N, P)."""
        key = axis, end, order
        if key not in self._borders:
            orders = np.zeros((1, len(self.grid.counts)), dtype=int)
            orders[0, axis] = order
            (table,) = self.space.tables(self.space.face(axis, end), orders)
            unit = (2.0 / np.pi) ** order  # of 1/half: the size of a wave of half a turn a cell
            root = np.sqrt(self.space.on_face[1])[:, None]
            rows = self.space.face_functions.T @ (root * table)
            self._borders[key] = ON_FACES * unit * rows
        return self._borders[key]

    @functools.cached_property
    def _borders(self) -> dict[tuple[int, int, int], np.ndarray]:
        return {}

    def _condition(self, constraint: Any) -> dict[int, FaceCondition]:
        """Return the rows of a condition, for every cell that it touches."""
        axis, value = constraint.face
        end = int(abs(value - self.grid.bounds[axis, 1]) < abs(value - self.grid.bounds[axis, 0]))
        place = self.grid.counts[axis] - 1 if end else 0
        cells = np.flatnonzero(self.grid.places[:, axis] == place)
        t = self.space.face(axis, end)
        x = self.grid.middles[cells][:, None, :] + self.grid.half * t
        x[..., axis] = value
        orders = differential_orders(constraint.operator, len(self.grid.counts))
        a = self._coefficients(constraint.operator, x)
        tables = self.space.tables(t, orders) / self._per_half(orders)
        flat = x.reshape(-1, x.shape[-1])
        domain = self.problem.problem.domain
        data = np.broadcast_to(constraint.values(domain, _points(flat)), (len(flat),))
        here = np.ones(len(flat), dtype=bool)
        if constraint.where is not None:
            named = dict(zip(domain.names, flat.T, strict=True))
            here = np.broadcast_to(
                np.asarray(constraint.where.evaluate(named, np), bool), here.shape
            )
        factor = ON_FACES / self._sizes(a, orders)[:, None]
        factor = factor * np.sqrt(self.space.on_face[1]) * here.reshape(x.shape[:2])
        rhs = factor * data.reshape(x.shape[:2])
        found = {}
        for k, cell in enumerate(cells):
            rows = factor[k][:, None] * np.einsum("nk,knp->np", a[k], tables, optimize=True)
            right, polynomials = rhs[k], self.space.face_functions
            if here.all() and not np.ptp(a[k], axis=0).any():  # rows are traces of polynomials
                rows, right = polynomials.T @ rows, polynomials.T @ right
            found[int(cell)] = FaceCondition(rows, right)
        return found

    def blocks(self, cell: int) -> list[np.ndarray]:
        """Return the blocks on the faces."""
        return [
            self.on_boundary[which[0]][cell].matrix if kind == "condition" else self.border(*which)
            for kind, *which in self.layout(cell)
        ]

    def data(self, cell: int, condition: int) -> np.ndarray:
        """Return the right-hand side of a condition's rows."""
        return self.on_boundary[condition][cell].rhs

    def key(self, cell: int) -> Any:
        """Return what cells with the same rows have in common."""
        own = "constant" if self.constant else self.a[cell].tobytes()
        conditions = [
            self.on_boundary[which[0]][cell].matrix.tobytes()
            for kind, *which in self.layout(cell)
            if kind == "condition"
        ]
        return own, tuple(self._ends(cell)), tuple(conditions)


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
                    orders = range(local.smooth[axis])
                    found += [("border", axis, end, order) for order in orders]
                    continue
                bound = local.grid.bounds[axis, end]
                for number, one in enumerate(local.problem.conditions):
                    face, value = one.face
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

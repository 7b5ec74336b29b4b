r"""A problem on the cells of a grid: local polynomials, their rows, and what is left of them.

Each cell has polynomials of its own, so no function belongs to more than one. Rows are the equation
at Gauss points of the cells, the conditions at points of the faces that lie on the boundary, and
jumps between neighbours: of the function, and of its normal derivatives up to one less than the
order of the equation along that coordinate.

**Condensation.** The rows of one cell, A = [E; B], E those of the equation and B traces on its
faces, become orthonormal, :math:`A = Q R`. The singular value decomposition
:math:`Q_E = U \Sigma V^T` sorts the functions of the cell by how much the equation says of them:
where :math:`\sigma` is large the source settles them, :math:`z = \sigma^{-1} U^T f`; what is left,
the *near-homogeneous* ones, solves the equation nearly, whatever their values on the faces. Only
those are unknowns of the whole. Cells of one shape with the same coefficients share all of this.

Sizes of rows. With h the side of a cell along a coordinate, waves of wave number π/h say how large
an operator is on it; each row is divided by that size, so that all of them speak in units of u.
"""

from __future__ import annotations

import dataclasses
import functools
import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from ..basis import GridPartition, PartitionBasis
from ..basis.pou.partitioned import PartitionParams
from ..basis.pou.polynomial import derivatives, multi_indices, products
from ..geometry.points import Gauss, Points
from ..lstsq.dissection import BlockTriangle

#: Rows on faces count so much more than those of the equation: a jump is an error of u itself, a
#: residual only what causes one.
ON_FACES = 10.0
#: Functions with σ above this are settled by the source of their cell.
SETTLED = 1e-2
#: Functions so large for a residual of 1 are as good as free: near resonance, or where a problem is
#: ill-posed. A plate of 30 wavelengths has 2e2.
HARDLY_SEEN = 1e3
#: Pivots of the local QR below this share of the first are round-off.
ROUND_OFF = 1e-12
#: Points of a cell for each function, about; and along a face, beyond the degree: one more than the
#: degree tell polynomials on a face apart.
POINTS_A_FUNCTION, MORE_ON_FACES = 3.0, 3


#: Slabs of a box along each coordinate: how many equal ones, or their edges as shares of the side.
Along = tuple[int | tuple[float, ...], ...]


#: Fresh points of each cell, at least, where cells are not equal, and the seed of their draw.
EACH, STRATA_SEED = 16, 7


@dataclasses.dataclass(frozen=True)
class LocalSpace:
    """The polynomials of a cell in t ∈ [−1, 1]^D, and the points at which cells are asked.

    Attributes
    ----------
    degree : int
    n_inputs : int
        D.
    """

    degree: int
    n_inputs: int

    @functools.cached_property
    def indices(self) -> np.ndarray:
        """The β, (P, D)."""
        return multi_indices(self.n_inputs, self.degree)

    @functools.cached_property
    def inside(self) -> tuple[np.ndarray, np.ndarray]:
        """Gauss points t and weights that sum to one."""
        side = math.ceil((POINTS_A_FUNCTION * len(self.indices)) ** (1 / self.n_inputs))
        points = Gauss(side).unit(0, self.n_inputs, 0)
        return 2 * np.asarray(points.x) - 1, np.asarray(points.weight)

    @functools.cached_property
    def on_face(self) -> tuple[np.ndarray, np.ndarray]:
        """Gauss points of a face in the other coordinates, (N, D − 1), and weights."""
        if self.n_inputs == 1:
            return np.zeros((1, 0)), np.ones(1)
        side = self.degree + MORE_ON_FACES
        points = Gauss(side).unit(0, self.n_inputs - 1, 0)
        return 2 * np.asarray(points.x) - 1, np.asarray(points.weight)

    def face(self, axis: int, end: int) -> np.ndarray:
        """Return the points t of a face, (N, D); ``end``: 0 for the lower one, 1 for the upper."""
        return np.insert(self.on_face[0], axis, 2.0 * end - 1, axis=1)

    @functools.cached_property
    def face_functions(self) -> np.ndarray:
        """Orthonormal polynomials of a face times roots of weights, (N, P_F).

        Traces of the cell's polynomials are sums of these: P_F rows say what N points do.
        """
        t, weight = self.on_face
        indices = multi_indices(self.n_inputs - 1, self.degree) if self.n_inputs > 1 else None
        phi = np.ones((1, 1)) if indices is None else products(t, indices)
        return np.asarray(np.sqrt(weight)[:, None] * phi)

    def tables(self, t: np.ndarray, orders: np.ndarray) -> np.ndarray:
        """Return derivatives in t at N points, (K, N, P), for the K orders."""
        return np.stack([derivatives(t, self.indices, tuple(order)) for order in orders.tolist()])


@dataclasses.dataclass(frozen=True, eq=False)
class CellGrid:
    """Cells of a box: every slab along a coordinate crosses all those along the others.

    Attributes
    ----------
    bounds : array, shape (D, 2)
    along : tuple of D int or tuples of float
        How many equal slabs along each coordinate, or the edges of slabs as shares of the side,
        0 and 1 among them.
    """

    bounds: np.ndarray
    along: Along

    @functools.cached_property
    def shares(self) -> list[np.ndarray]:
        """Edges of the slabs along each coordinate, from 0 to 1."""
        return [
            np.linspace(0.0, 1.0, one + 1) if isinstance(one, int) else np.array(one)
            for one in self.along
        ]

    @functools.cached_property
    def edges(self) -> list[np.ndarray]:
        """Edges of the slabs along each coordinate."""
        each = zip(self.bounds, self.shares, strict=True)
        return [low + (high - low) * shares for (low, high), shares in each]

    @functools.cached_property
    def counts(self) -> tuple[int, ...]:
        """Slabs along each coordinate."""
        return tuple(len(one) - 1 for one in self.shares)

    @property
    def n_cells(self) -> int:
        """How many cells there are."""
        return math.prod(self.counts)

    @property
    def equal(self) -> bool:
        """Whether all cells have one shape."""
        return all(isinstance(one, int) for one in self.along)

    @functools.cached_property
    def places(self) -> np.ndarray:
        """Which cell each is along the coordinates, (n_cells, D)."""
        return np.stack(np.unravel_index(np.arange(self.n_cells), self.counts), axis=1)

    @functools.cached_property
    def half_sides(self) -> list[np.ndarray]:
        """Half the widths of the slabs along each coordinate."""
        sides = self.bounds[:, 1] - self.bounds[:, 0]
        return [
            np.full(one, side / one / 2) if isinstance(one, int) else side * np.diff(share) / 2
            for side, one, share in zip(sides, self.along, self.shares, strict=True)
        ]

    @functools.cached_property
    def half(self) -> np.ndarray:
        """Half the sides of the cells, (n_cells, D)."""
        each = zip(self.half_sides, self.places.T, strict=True)
        return np.stack([widths[place] for widths, place in each], axis=1)

    @functools.cached_property
    def middles(self) -> np.ndarray:
        """Middles of the cells, (n_cells, D)."""
        each = zip(self.edges, self.places.T, strict=True)
        return np.stack([(e[:-1] + e[1:])[place] / 2 for e, place in each], axis=1)

    @functools.cached_property
    def volumes(self) -> np.ndarray:
        """Volumes of the cells over their mean, (n_cells,)."""
        volume = np.prod(self.half, axis=1)
        return np.asarray(volume / volume.mean())

    def of(self, x: np.ndarray) -> np.ndarray:
        """Return the cells that N points are in, (N,); those outside belong to the nearest."""
        each = zip(self.edges, x.T, strict=True)
        place = [np.searchsorted(e[1:-1], values, side="right") for e, values in each]
        return np.asarray(np.ravel_multi_index(tuple(place), self.counts))

    def strata(self, face: tuple[int, float] | None, n: int) -> Points:
        """Return random points of every cell, or of every cell's part of a face of the box.

        About n in all, :data:`EACH` a cell at least; weights are shares of the whole.
        """
        cells = np.arange(self.n_cells)
        if face is not None:
            cells = np.flatnonzero(self.places[:, face[0]] == 0)
        half, each = self.half[cells].copy(), max(EACH, n // len(cells))
        if face is not None:
            half[:, face[0]] = 1.0
        t = np.random.default_rng(STRATA_SEED).uniform(-1, 1, (len(cells), each, half.shape[1]))
        x = self.middles[cells][:, None] + half[:, None] * t
        if face is not None:
            x[..., face[0]] = face[1]
        share = np.prod(half, axis=1)
        weight = np.repeat(share / share.sum() / each, each)
        return Points(x.reshape(-1, x.shape[2]), weight)

    def neighbour(self, cell: int, axis: int, periodic: bool) -> int | None:
        """Return the cell above a cell along a coordinate, if there is one."""
        place = self.places[cell].copy()
        place[axis] += 1
        if place[axis] == self.counts[axis]:
            if not periodic:
                return None
            place[axis] = 0
        return int(np.ravel_multi_index(tuple(place), self.counts))


@dataclasses.dataclass(frozen=True, eq=False)
class CellFunction:
    """Polynomials on the cells of a grid, of several unknowns.

    Attributes
    ----------
    grid : CellGrid
    space : LocalSpace
    coefficients : array, shape (n_cells, P, B)
    """

    grid: CellGrid
    space: LocalSpace
    coefficients: np.ndarray

    def derivatives(self, x: np.ndarray, orders: np.ndarray) -> np.ndarray:
        """Return derivatives at N points, (N, B, K), for the K orders."""
        grid, space, pieces = self.grid, self.space, self.coefficients
        cells = grid.of(x)
        half = grid.half[cells]
        t = (x - grid.middles[cells]) / half
        out = np.empty((len(x), pieces.shape[2], len(orders)))
        at_once = max(64, 2**22 // pieces[0].size)
        for start in range(0, len(x), at_once):
            rows = slice(start, start + at_once)
            of_points = pieces[cells[rows]]
            for k, order in enumerate(orders.tolist()):
                table = derivatives(t[rows], space.indices, tuple(order))
                scale = np.prod(half[rows] ** np.array(order), axis=1)
                out[rows, :, k] = np.einsum("np,npb->nb", table, of_points) / scale[:, None]
        return out


@dataclasses.dataclass(frozen=True, eq=False)
class Condensed:
    """The functions of a cell, sorted by what its equation says of them.

    Attributes
    ----------
    left : array, shape (N_E, R)
        U, of the equation's rows as they were given: a triangle of them is enough.
    sigma : array, shape (R,)
    open : array of bool, shape (R,)
        Near-homogeneous functions: unknowns of the whole.
    traces : list of arrays, shapes (N_B, R)
        The rows of each block on the faces, for these functions.
    functions : array, shape (P, R)
        Coefficients of these functions.
    """

    left: np.ndarray
    sigma: np.ndarray
    open: np.ndarray
    traces: list[np.ndarray]
    functions: np.ndarray

    @classmethod
    def of(cls, equation: np.ndarray, blocks: Sequence[np.ndarray]) -> Condensed:
        """Condense the weighted rows of the equation and of the blocks on the faces."""
        from scipy.linalg import qr, solve_triangular

        whole = np.concatenate([equation, *blocks])
        norms = np.linalg.norm(whole, axis=0)
        norms = np.where(norms > 0, norms, 1.0)
        q, r, order = qr(whole / norms, mode="economic", pivoting=True, check_finite=False)
        pivots = np.abs(np.diag(r))
        rank = int(np.sum(pivots > ROUND_OFF * pivots[0]))
        q, r, chosen = q[:, :rank], r[:rank, :rank], order[:rank]
        left, sigma, turned = _svd(q[: len(equation)])
        sigma = np.concatenate([sigma, np.zeros(rank - len(sigma))])
        rows = q[len(equation) :] @ turned.T
        functions = np.zeros((whole.shape[1], rank))
        functions[chosen] = solve_triangular(r, turned.T) / norms[chosen, None]
        ends = np.cumsum([len(block) for block in blocks])[:-1]
        return cls(left, sigma, sigma <= SETTLED, np.split(rows, ends), functions)

    def said(self, source: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return what the source settles, (R, K), and Uᵀ f of the others, for f of (N_E, K)."""
        seen = np.zeros((len(self.sigma), source.shape[1]))
        seen[: self.left.shape[1]] = self.left.T @ source
        divisor = np.where(self.open, 1.0, self.sigma)[:, None]
        return np.where(self.open[:, None], 0.0, seen / divisor), seen[self.open]


def _svd(a: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return a thin U, all singular values and a square Vᵀ."""
    from scipy.linalg import svd

    full = len(a) < a.shape[1]
    try:
        u, s, vt = svd(a, full_matrices=full, check_finite=False)
    except np.linalg.LinAlgError:  # divide and conquer fails on some finite matrices
        u, s, vt = svd(a, full_matrices=full, lapack_driver="gesvd", check_finite=False)
    return u[:, : len(s)], s, vt


@dataclasses.dataclass(frozen=True, eq=False)
class CellSystem:
    """The rows of a problem on cells, condensed and reduced.

    Attributes
    ----------
    grid : CellGrid
    space : LocalSpace
    cells : list of Condensed
        Cells that are alike share theirs.
    settled : list of arrays, shapes (R,)
        What sources settle, cell by cell.
    triangle : BlockTriangle
    scales : array, shape (B,)
        Units of the unknowns, in which rows and sizes are.
    unknowns : array, shape (n_open, 1), optional
        Where the right-hand sides are not those of the triangle.
    narrow : float
        How much more rows of the narrowest slab divide derivatives by than those of a mean one: so
        much larger are functions for a residual of 1.
    """

    grid: CellGrid
    space: LocalSpace
    cells: list[Condensed]
    settled: list[np.ndarray]
    triangle: BlockTriangle
    scales: np.ndarray
    unknowns: np.ndarray | None = None
    narrow: float = 1.0

    weight = ON_FACES
    ridge = 0.0

    @functools.cached_property
    def coefficients(self) -> np.ndarray:
        """Those of the polynomials, (n_cells · P, B)."""
        z = self.triangle.coefficients if self.unknowns is None else self.unknowns
        found = self.assembled(z[:, 0], self.settled)
        each = found.reshape(self.grid.n_cells, len(self.scales), -1) * self.scales[:, None]
        return np.asarray(each.transpose(0, 2, 1).reshape(-1, len(self.scales)))

    def function(self, c: np.ndarray | None = None) -> CellFunction:
        """Return the solution, or that with coefficients (n_cells · P, B)."""
        c = self.coefficients if c is None else c
        pieces = c.reshape(self.grid.n_cells, -1, c.shape[1])
        return CellFunction(self.grid, self.space, pieces)

    def assembled(self, z: np.ndarray, settled: Sequence[np.ndarray] | None = None) -> np.ndarray:
        """Return the coefficients (n_cells · B · P,) of functions with these unknowns."""
        starts, found = self.triangle.starts, []
        for number, cell in enumerate(self.cells):
            full = np.zeros(len(cell.sigma)) if settled is None else settled[number].copy()
            full[cell.open] = z[starts[number] : starts[number + 1]]
            found.append(cell.functions @ full)
        return np.concatenate(found)

    def restricted(self, c: np.ndarray) -> np.ndarray:
        """Return the transpose of :meth:`assembled` times c, (n_cells · B · P, K)."""
        pieces = np.split(c, len(self.cells))
        return np.concatenate([
            cell.functions[:, cell.open].T @ piece
            for cell, piece in zip(self.cells, pieces, strict=True)
        ])  # fmt: skip

    @property
    def n_open(self) -> int:
        """Unknowns of the whole."""
        return int(self.triangle.starts[-1])

    @property
    def undetermined(self) -> bool:
        """Whether the rows leave functions free, or see some hardly at all."""
        # A function that no row of its cell sees was left out there.
        unseen = any(cell.functions.shape[1] < len(cell.functions) for cell in self.cells)
        return unseen or self.triangle.dependent or self.weakest > HARDLY_SEEN * self.narrow

    @property
    def n_rows(self) -> int:
        """Rows of all cells, those of borders counted for both."""
        faces = sum(len(trace) for cell in self.cells for trace in cell.traces)
        return len(self.cells) * len(self.space.inside[1]) + faces

    @property
    def rank(self) -> int:
        """Independent functions."""
        return sum(len(cell.sigma) for cell in self.cells)

    @property
    def singular_values(self) -> np.ndarray:
        """Not known: no factor of all rows is made. (1,)."""
        return np.full(1, np.nan)

    def basis(self) -> tuple[PartitionBasis, PartitionParams]:
        """Return the functions on the unit box, and their parameters."""
        d, n = len(self.grid.counts), self.grid.n_cells
        grid = self.grid
        edges = None if grid.equal else tuple(tuple(one.tolist()) for one in grid.shares)
        partition = GridPartition(n, counts=grid.counts, edges=edges)
        unit = np.stack([np.zeros(d), np.ones(d)], axis=1)
        middles, half = partition.middles(unit)
        centre: Any = middles
        scale: Any = half
        basis = PartitionBasis(n, self.space.degree, partition=partition)
        return basis, PartitionParams(unit, centre, scale)

    @functools.cached_property
    def weakest(self) -> float:
        """The largest root mean square of a function whose rows have the norm 1: 1/γ.

        The mean is over the domain, the norm that of all rows divided by √n_cells, so that both
        are means: powers of R⁻ᵀ Fᵀ F R⁻¹, F the map from unknowns to orthonormal coefficients.
        """
        block = np.random.default_rng(0).normal(size=(self.n_open, min(8, self.n_open)))
        size = np.ones(1)  # where sources settle all there is
        each = len(self.scales) * len(self.space.indices)
        share = np.sqrt(np.repeat(self.grid.volumes, each))[:, None]
        for _ in range(3 if self.n_open else 0):
            block, _ = np.linalg.qr(block)
            back = self.triangle.solve(block)
            c = np.stack([self.assembled(z) for z in back.T], axis=1) * share
            size = np.linalg.svd(c, compute_uv=False)
            block = self.triangle.solve_transposed(self.restricted(share * c))
        return float(size[0])

r"""Least squares over many parts: a multifrontal QR by nested dissection, orthogonal throughout.

Each part has columns of its own, and each block of rows touches few parts: those of one part, or
of two neighbours. The parts are halved again and again across their longest extent. A *front* is a
node of that tree: it has the rows that touch parts on both of its sides and what its halves left
over. Columns of parts that no row outside of the front touches are eliminated there by Householder
reflections,

.. math:: Q^T [A_e \; A_r \; b] = \begin{bmatrix} R_e & S & g \\ 0 & R_r & h \end{bmatrix},

and the triangle [R_r | h] of the others is handed on. With n parts in the plane the last fronts
have columns for about √n of them: the cost is n^{3/2}, against the n³ of one dense QR.

No normal equations are made. Heavy rows that come after light ones cost digits of these, as in any
QR without row pivots: weights 1e5 apart leave ten digits.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Sequence

import numpy as np

#: A front whose triangle has a diagonal below this share of its largest entry does not determine
#: all of its columns: those are found by truncated singular values instead.
DEPENDENT = 1e-13


@dataclasses.dataclass(frozen=True, eq=False)
class SparseRows:
    """Rows [A_1 | A_2 | …] c = b over the columns of few parts.

    Attributes
    ----------
    parts : tuple of int
        The parts that the rows touch, each once.
    matrices : tuple of arrays, shapes (N, P_k)
        One for each of them.
    rhs : array, shape (N, K)
        K right-hand sides.
    """

    parts: tuple[int, ...]
    matrices: tuple[np.ndarray, ...]
    rhs: np.ndarray


@dataclasses.dataclass(frozen=True, eq=False)
class Front:
    """What one front has eliminated.

    Attributes
    ----------
    eliminated, remaining : tuples of int
        Parts.
    triangle : array, shape (M, E)
        R_e; M is E, or the number of independent columns where some depend on others.
    beside : array, shape (M, R)
        S.
    rhs : array, shape (M, K)
        g.
    """

    eliminated: tuple[int, ...]
    remaining: tuple[int, ...]
    triangle: np.ndarray
    beside: np.ndarray
    rhs: np.ndarray

    @property
    def dependent(self) -> bool:
        """Whether the rows do not determine all columns."""
        return self.triangle.shape[0] < self.triangle.shape[1]

    def solved(self, rhs: np.ndarray) -> np.ndarray:
        """Return R_e⁻¹ rhs, or the solution of least size."""
        from scipy.linalg import lstsq, solve_triangular

        rhs = rhs[: len(self.triangle)]
        if self.dependent:
            return np.asarray(lstsq(self.triangle, rhs, cond=DEPENDENT, lapack_driver="gelss")[0])
        return np.asarray(solve_triangular(self.triangle, rhs))

    def solved_transposed(self, rhs: np.ndarray) -> np.ndarray:
        """Return R_e⁻ᵀ rhs, or the solution of least size, with zeros below."""
        from scipy.linalg import lstsq, solve_triangular

        if self.dependent:
            found = lstsq(self.triangle.T, rhs, cond=DEPENDENT, lapack_driver="gelss")[0]
            return np.concatenate([found, np.zeros((len(rhs) - len(found), rhs.shape[1]))])
        return np.asarray(solve_triangular(self.triangle, rhs, trans=1))


@dataclasses.dataclass(frozen=True, eq=False)
class BlockTriangle:
    """The triangular factor of sparse rows: fronts in the order in which they were reduced.

    Attributes
    ----------
    sizes : tuple of int
        Columns of each part.
    fronts : tuple of Front
    residual_norm : array, shape (K,)
        ‖A c − b‖ of the solutions.
    """

    sizes: tuple[int, ...]
    fronts: tuple[Front, ...]
    residual_norm: np.ndarray

    @functools.cached_property
    def starts(self) -> np.ndarray:
        """Where the columns of each part begin among all, (n_parts + 1,)."""
        return np.concatenate([[0], np.cumsum(self.sizes)]).astype(int)

    def _columns(self, parts: Sequence[int]) -> np.ndarray:
        spans = [np.arange(self.starts[p], self.starts[p + 1]) for p in parts]
        return np.concatenate(spans) if spans else np.zeros(0, dtype=int)

    @functools.cached_property
    def _indices(self) -> list[tuple[np.ndarray, np.ndarray]]:
        return [(self._columns(f.eliminated), self._columns(f.remaining)) for f in self.fronts]

    @property
    def dependent(self) -> bool:
        """Whether some columns depend on others."""
        return any(front.dependent for front in self.fronts)

    @property
    def n_entries(self) -> int:
        """Numbers held."""
        return sum(front.triangle.size + front.beside.size for front in self.fronts)

    @functools.cached_property
    def coefficients(self) -> np.ndarray:
        """The least-squares solutions for the right-hand sides of the rows, (P, K)."""
        return self._backwards([front.rhs for front in self.fronts])

    def solve(self, y: np.ndarray) -> np.ndarray:
        """Return R⁻¹ y for y of shape (P, K), sorted as :meth:`solve_transposed` returns it."""
        return self._backwards([
            y[own][: len(front.triangle)]
            for front, (own, _) in zip(self.fronts, self._indices, strict=True)
        ])  # fmt: skip

    def _backwards(self, rhs: Sequence[np.ndarray]) -> np.ndarray:
        found = np.zeros((int(self.starts[-1]), rhs[0].shape[1]))
        steps = list(zip(self.fronts, self._indices, rhs, strict=True))
        for front, (own, others), g in reversed(steps):
            if len(own):
                found[own] = front.solved(g - front.beside @ found[others])
        return found

    def solve_transposed(self, x: np.ndarray) -> np.ndarray:
        """Return R⁻ᵀ x for x of shape (P, K)."""
        left, found = np.array(x, dtype=float), np.zeros_like(x, dtype=float)
        for front, (own, others) in zip(self.fronts, self._indices, strict=True):
            if len(own):
                found[own] = front.solved_transposed(left[own])
                left[others] -= front.beside.T @ found[own][: len(front.beside)]
        return found


def halved(places: np.ndarray, parts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return two halves of parts, cut across the longest extent of their places (n_parts, D)."""
    here = places[parts]
    axis = int(np.argmax(np.ptp(here, axis=0)))
    order = np.argsort(here[:, axis], kind="stable")
    values = here[order, axis]
    # Between two different values, the nearest to the middle: parts in one row of a grid are not
    # torn apart, and the border is one part wide.
    cuts = np.flatnonzero(np.diff(values) > 1e-9 * (values[-1] - values[0] or 1.0)) + 1
    middle = len(parts) // 2
    cut = int(cuts[np.argmin(np.abs(cuts - middle))]) if len(cuts) else middle
    return parts[order[:cut]], parts[order[cut:]]


def reduce_sparse(
    places: np.ndarray, sizes: Sequence[int], rows: Sequence[SparseRows]
) -> BlockTriangle:
    """Return the triangular factor of rows over parts.

    Parameters
    ----------
    places : array, shape (n_parts, D)
        Where each part is: the tree is made by these.
    sizes : sequence of int
        Columns of each part.
    rows : sequence of SparseRows

    Returns
    -------
    BlockTriangle

    Raises
    ------
    ValueError
        For rows that touch no part, or a part that is none.
    """
    n_parts, n_rhs = len(places), rows[0].rhs.shape[1]
    for block in rows:
        if not block.parts or not all(0 <= p < n_parts for p in block.parts):
            raise ValueError(
                f"reduce_sparse: a block of rows touches the parts {block.parts}; there are "
                f"{n_parts}."
            )
    reduction = _Reduction(np.asarray(places, dtype=float), np.asarray(sizes), rows, n_rhs)
    reduction.visit(np.arange(n_parts), range(len(rows)))
    widths = tuple(int(width) for width in sizes)
    return BlockTriangle(widths, tuple(reduction.fronts), reduction.residual_norm)


class _Reduction:
    """The walk over the tree of halves, leaves first."""

    def __init__(
        self, places: np.ndarray, widths: np.ndarray, rows: Sequence[SparseRows], n_rhs: int
    ) -> None:
        self.places, self.widths, self.rows, self.n_rhs = places, widths, rows, n_rhs
        self.side = np.zeros(len(places), dtype=int)
        self.fronts: list[Front] = []
        self.residual_norm = np.zeros(n_rhs)

    def visit(
        self, parts: np.ndarray, numbers: Sequence[int]
    ) -> list[tuple[tuple[int, ...], np.ndarray]]:
        """Reduce the rows with these numbers, which touch none but these parts.

        Returns
        -------
        list of (parts, matrix)
            What is left over: at most one matrix, of columns that are not eliminated.
        """
        below: list[tuple[tuple[int, ...], np.ndarray]] = []
        own = list(numbers)
        if len(parts) > 1:
            halves = halved(self.places, parts)
            for name, half in enumerate(halves):
                self.side[half] = name
            sides = [{int(self.side[p]) for p in self.rows[n].parts} for n in numbers]
            own = [n for n, side in zip(numbers, sides, strict=True) if len(side) == 2]
            for name, half in enumerate(halves):
                within = [n for n, side in zip(numbers, sides, strict=True) if side == {name}]
                below += self.visit(half, within)
        return self.front(parts, below, own)

    def front(
        self,
        parts: np.ndarray,
        below: list[tuple[tuple[int, ...], np.ndarray]],
        own: Sequence[int],
    ) -> list[tuple[tuple[int, ...], np.ndarray]]:
        """Eliminate what can be, and keep the front."""
        blocks = [*below, *(self._block(self.rows[n]) for n in own)]
        for n in own:
            for p in self.rows[n].parts:
                self.left[p] -= 1
        columns = sorted({p for group, _ in blocks for p in group} | self._alone(parts))
        done = [p for p in columns if not self.left[p]]
        kept = [p for p in columns if self.left[p]]
        order = [*done, *kept]
        ends = np.cumsum([self.widths[p] for p in order], dtype=int)
        start = {p: int(end - self.widths[p]) for p, end in zip(order, ends, strict=True)}
        n_columns = int(ends[-1]) if order else 0
        front = np.zeros((sum(len(m) for _, m in blocks), n_columns + self.n_rhs), order="F")
        at = 0
        for group, matrix in blocks:
            under, offset = at + len(matrix), 0
            for p in group:
                width = int(self.widths[p])
                front[at:under, start[p] : start[p] + width] = matrix[:, offset : offset + width]
                offset += width
            front[at:under, n_columns:] = matrix[:, offset:]
            at = under
        below.clear()  # the largest matrices go before the next are made
        triangle = _triangle(front, n_columns + self.n_rhs)
        e = int(sum(self.widths[p] for p in done))
        upper, lower = _parted(triangle, e)
        own_columns, beside, rhs = np.split(upper, [e, n_columns], axis=1)
        self.fronts.append(
            Front(tuple(done), tuple(kept), own_columns.copy(), beside.copy(), rhs.copy())
        )
        if kept:
            return [(tuple(kept), lower.copy())]
        ends_here = np.linalg.norm(lower, axis=0)
        self.residual_norm = np.hypot(self.residual_norm, ends_here)
        return []

    @functools.cached_property
    def left(self) -> np.ndarray:
        """How many blocks of rows that touch each part have not been reduced."""
        touching = np.zeros(len(self.places), dtype=int)
        for block in self.rows:
            touching[list(block.parts)] += 1
        return touching

    def _alone(self, parts: np.ndarray) -> set[int]:
        """Return the part of a leaf, whether or not rows touch it."""
        return {int(parts[0])} if len(parts) == 1 else set()

    def _block(self, rows: SparseRows) -> tuple[tuple[int, ...], np.ndarray]:
        return rows.parts, np.concatenate([*rows.matrices, rows.rhs], axis=1)


def _parted(triangle: np.ndarray, e: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the rows that determine the first e columns, and those of the others.

    Where some of the first columns depend on each other, rows are left over that say something of
    the others: a QR with pivots tells which.
    """
    from scipy.linalg import qr

    diagonal = np.abs(np.diag(triangle)[:e])
    if not e or diagonal.min() > DEPENDENT * np.abs(triangle[:e, :e]).max():
        return triangle[:e], triangle[e:, e:]
    q, r, order = qr(triangle[:e, :e], pivoting=True)
    pivots = np.abs(np.diag(r))
    rank = int(np.sum(pivots > DEPENDENT * pivots[0])) if pivots[0] else 0
    turned = q.T @ triangle[:e, e:]
    first = np.zeros((rank, e))
    first[:, order] = r[:rank]
    rest = np.concatenate([turned[rank:], triangle[e:, e:]])
    lower = _triangle(np.asfortranarray(rest), rest.shape[1])
    return np.concatenate([first, turned[:rank]], axis=1), lower


def _triangle(front: np.ndarray, n_columns: int) -> np.ndarray:
    """Return the triangle of a QR, of as many rows as columns, the front being lost."""
    from scipy.linalg.lapack import dgeqrf

    if not front.size:
        return np.zeros((n_columns, n_columns))
    factored, _, _, info = dgeqrf(front, lwork=64 * n_columns, overwrite_a=1)
    if info:
        raise np.linalg.LinAlgError(f"LAPACK's dgeqrf returned {info}.")
    least = min(factored.shape)
    triangle = np.zeros((n_columns, n_columns))
    for row in range(least):  # np.triu makes two arrays more
        triangle[row, row:] = factored[row, row:]
    return triangle

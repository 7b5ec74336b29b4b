"""The row reduction: rows [A | b] to a small triangular factor that says all there is to say.

Reductions form a monoid: ``combine`` is associative, commutative up to signs of rows, and has the
reduction of no rows as its unit. Terms, ridge rows, chunks on disk and devices all use it.
"""

from __future__ import annotations

import dataclasses
import itertools

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from .._runtime.backend import namespace
from .._runtime.notation import DesignMatrix, Values, Weights
from .cholesky import cholesky_factor, suits

#: Rows of a block of a tall matrix: small enough for the cache, which halves the time.
BLOCK_ROWS = 1000
#: Functions from which a ridge's triangle is reduced in panels: below, compiling costs more.
PANELLED = 256


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class Reduction:
    """The triangular factor R of rows [A | b]: RᵀR = [A | b]ᵀ[A | b].

    Attributes
    ----------
    factor : array, shape (P + K, P + K), upper triangular
    n_rows : integer
        Number of rows reduced so far, those of zero weight not counted.
    n_functions : int
        P; the other K columns are right-hand sides.
    """

    factor: Array
    n_rows: Array | int
    n_functions: int = dataclasses.field(metadata={"static": True})

    @property
    def triangle(self) -> Array:
        """The factor of A alone, (P, P)."""
        return self.factor[: self.n_functions, : self.n_functions]

    @property
    def rotated(self) -> Array:
        """Qᵀb, (P, K)."""
        return self.factor[: self.n_functions, self.n_functions :]

    @property
    def remainder(self) -> Array:
        """The factor of the part of b outside the columns' span, (K, K)."""
        return self.factor[self.n_functions :, self.n_functions :]


def triangularize(rows: Array) -> Array:
    """Return the square upper-triangular R with RᵀR = rowsᵀ rows, padding where rows are few.

    Tall matrices go block by block (TSQR): one level of blocks that fit in the cache, then the
    stack of their factors; on accelerators by shifted Cholesky-QR as a whole.
    """
    (n, columns), xp = rows.shape, namespace(rows)
    if xp is not np and suits(n, columns):
        return cholesky_factor(rows)
    block = max(BLOCK_ROWS, 2 * columns)
    if n >= 4 * block:
        whole = n // block * block
        head = rows[:whole].reshape(-1, block, columns)
        # lax.map, not vmap: a batched QR copies the whole stack.
        factors = xp.stack([*map(_factor, head)]) if xp is np else jax.lax.map(_factor, head)
        rows = xp.concatenate([factors.reshape(-1, columns), rows[whole:]])
        return triangularize(rows)
    if n < columns:
        rows = xp.concatenate([rows, xp.zeros((columns - n, columns), rows.dtype)])
    return _factor(rows)


def _factor(rows: Array) -> Array:
    # Return R of a QR factorization that leaves the layout of its input's makers alone.
    #
    # LAPACK wants contiguous columns. Without the barrier XLA imposes that layout on whatever
    # computes the rows, every layer of a network included, which costs as much as the QR itself.
    if namespace(rows) is np:
        return np.linalg.qr(rows, mode="r")  # type: ignore[return-value]
    by_columns = jax.lax.optimization_barrier(rows.T)
    return jnp.linalg.qr(by_columns.T, mode="r")


def reduce(
    a: DesignMatrix | np.ndarray, b: Values | np.ndarray, weight: Weights | np.ndarray | None = None
) -> Reduction:
    """Reduce rows [A | b] by QR: of NumPy's arrays in NumPy, where nothing is compiled.

    Parameters
    ----------
    a : array, shape (N, P)
        A, the functions at the points.
    b : array, shape (N, K)
        The right-hand sides.
    weight : array, shape (N,), optional
        Non-negative; row i enters the sum of squares weight_i times.

    Returns
    -------
    Reduction
    """
    xp = namespace(a, b, weight)
    rows: Array = xp.concatenate([a, b], axis=1)
    n_rows: Array | int = rows.shape[0]
    if weight is not None:
        rows = xp.sqrt(weight)[:, None] * rows
        n_rows = xp.sum(weight > 0)
    return Reduction(triangularize(rows), n_rows, a.shape[1])


def combine(*reductions: Reduction) -> Reduction:
    """Reduce the rows of several reductions together.

    Raises
    ------
    ValueError
        For none, or for ones of different widths.
    """
    shapes = {(r.n_functions, r.factor.shape[1]) for r in reductions}
    if len(shapes) != 1:
        raise ValueError(
            "combine: expected reductions of one (functions, columns) shape, "
            f"got {sorted(shapes) or 'none'}."
        )
    stacked = namespace(*(r.factor for r in reductions)).concatenate([r.factor for r in reductions])
    n_rows = sum((r.n_rows for r in reductions[1:]), start=reductions[0].n_rows)
    return Reduction(triangularize(stacked), n_rows, reductions[0].n_functions)


class Fold:
    """Reductions of many chunks, combined some at a time: as few are kept as a sum has digits.

    Each is reduced with so many of its own rank, as in a tree: rounding grows with the depth of the
    tree, not with the number of chunks, and the work with the chunks alone.
    """

    #: Reductions that are combined at once.
    WAYS = 16

    def __init__(self) -> None:
        self.levels: list[list[Reduction]] = []

    def add(self, reduction: Reduction) -> None:
        """Add the next chunk."""
        for level in itertools.count():
            if level == len(self.levels):
                self.levels.append([])
            waiting = self.levels[level]
            waiting.append(reduction)
            if len(waiting) < self.WAYS:
                return
            reduction = combine(*waiting)
            self.levels[level] = []

    @property
    def reduction(self) -> Reduction:
        """That of all chunks so far, the oldest first."""
        every = [one for level in reversed(self.levels) for one in level]
        return every[0] if len(every) == 1 else combine(*every)


def with_ridge(reduction: Reduction, ridge: float | Array | np.ndarray) -> Reduction:
    """Append the rows [√ridge I | 0], that is, add ridge·‖c‖² to the sum of squares.

    An array ridge, shape (P,), gives each coefficient its own.
    """
    factor, p = reduction.factor, reduction.n_functions
    xp = namespace(factor, ridge)
    root = xp.broadcast_to(xp.sqrt(xp.asarray(ridge, factor.dtype)), (p,))
    rows = over_diagonal(factor[:p], root, panels=4 if p >= PANELLED else 1)
    outside = triangularize(xp.concatenate([rows[p:, p:], reduction.remainder]))
    below = xp.pad(outside, ((0, 0), (p, 0)))
    return dataclasses.replace(reduction, factor=xp.concatenate([rows[:p], below]))


def over_diagonal(factor: Array, diagonal: Array, panels: int = 4) -> Array:
    """Return the triangle of [R | B] with the rows [diag(d) | 0] below.

    Half of the entries of a triangle and of a diagonal are zero. Columns are reduced panel by
    panel, each without the rows that have nothing in it: 60 per cent of the work at two panels,
    45 at four, hardly less at more.

    Parameters
    ----------
    factor : array, shape (P, P + K)
        Upper triangular R beside K other columns.
    diagonal : array, shape (P,)
    panels : int

    Returns
    -------
    array, shape (P + min(P, K), P + K)
    """
    (n, columns), xp = factor.shape, namespace(factor, diagonal)
    edges = sorted({n * k // panels for k in range(panels + 1)})
    left, done = xp.zeros((0, columns), factor.dtype), []
    for start, end in itertools.pairwise(edges):
        below = xp.pad(xp.diag(diagonal[start:end]), ((0, 0), (0, columns - end)))
        stacked = xp.concatenate([left, factor[start:end, start:], below])
        rows = xp.linalg.qr(stacked, mode="r")
        done.append(xp.pad(rows[: end - start], ((0, 0), (start, 0))))
        left = rows[end - start :, end - start :]
    merged: Array = xp.concatenate([*done, xp.pad(left, ((0, 0), (n, 0)))])
    return merged

"""Coefficients from a reduction: truncated SVD by default, back-substitution where it is safe.

A ridge is one of two kinds. ``ridge`` λ acts on the coefficients as they are, λ‖c‖². A *relative*
ridge μ acts on those of unit-norm columns, in shares of their largest singular value squared:
μ σ₁² ‖diag(norms) c‖², which no choice of units changes.
"""

from __future__ import annotations

import dataclasses
import enum
from collections.abc import Sequence

import jax
import numpy as np
import scipy.linalg
from jax import Array
from jax.scipy.linalg import solve_triangular

from .._runtime.backend import namespace
from .._runtime.notation import AnyArray
from .factorize import column_norms, cut_off_for, factorize
from .reduce import Reduction, with_ridge

GRAM_LIMIT = 1e6
BACK_SUBSTITUTION_LIMIT = 1e8
METHODS = ("auto", "svd", "triangular", "gram")


class Status(enum.IntEnum):
    """Outcome of a solve; ``status.advice`` says what to do about it."""

    FULL_RANK = 0
    RANK_DEFICIENT = 1
    UNDERDETERMINED = 2
    GRAM_REFUSED = 3
    NON_FINITE = 4
    SEPARABLE = 5

    @property
    def advice(self) -> str:
        """One sentence: what happened and what to do."""
        return _ADVICE[self]

    @property
    def solved(self) -> bool:
        """Whether the coefficients can be used."""
        return self is not Status.NON_FINITE


_ADVICE = {
    Status.FULL_RANK: "All functions are independent on the data; the solution is unique.",
    Status.RANK_DEFICIENT: (
        "Some functions are combinations of others on the data. The solve dropped the directions "
        "below the cut-off, and took the smallest solution. This is usual for smooth functions."
    ),
    Status.UNDERDETERMINED: (
        "There are fewer rows than functions; the solve took the smallest solution. Use fewer "
        "functions, more data or a ridge."
    ),
    Status.GRAM_REFUSED: (
        "method='gram' squares the condition number and was refused above 1e6; the truncated SVD "
        "answered instead. Use the default method."
    ),
    Status.NON_FINITE: (
        "The rows hold NaN or infinite entries. Look at the data, at coefficient functions, and "
        "for diverged parameters (a learning rate too large)."
    ),
    Status.SEPARABLE: (
        "The functions separate the classes on the data: without a ridge the coefficients grow "
        "without end, and Newton's method was stopped. Use a ridge for probabilities that mean "
        "something."
    ),
}


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class Solution:
    """Coefficients and what the solve knows about them.

    Attributes
    ----------
    coefficients : array, shape (P, K)
    rank : integer
        Singular values above the cut-off; P where back-substitution was used.
    singular_values : array, shape (P,)
        Of the column-scaled factor, descending; NaN where back-substitution was used.
    residual_norm : array, shape (K,)
        ‖A c − b‖ of each right-hand side (with a ridge: of the appended rows too).
    status : integer
        A :class:`Status`; ``Status(int(status)).advice`` reads it.
    """

    coefficients: Array
    rank: Array
    singular_values: Array
    residual_norm: Array
    status: Array


def unit_columns(reduction: Reduction) -> tuple[Reduction, Array]:
    """Return the reduction for columns of unit norm, and the norms (P,) they had.

    Its coefficients, divided by the norms, are those of the reduction given.
    """
    norms = column_norms(reduction.triangle)
    others = reduction.factor.shape[1] - reduction.n_functions
    scale = namespace(norms).pad(norms, (0, others), constant_values=1.0)
    return dataclasses.replace(reduction, factor=reduction.factor / scale), norms


def solve(
    reduction: Reduction,
    *,
    ridge: float | AnyArray = 0.0,
    relative_ridge: float | AnyArray = 0.0,
    rcond: float | None = None,
    method: str = "svd",
) -> Solution:
    """Minimise ‖A c − b‖² + ridge ‖c‖² from the reduction of [A | b].

    A reduction of NumPy's arrays is solved in NumPy, where nothing is compiled.

    Columns are scaled to unit norm first; singular values below ``rcond`` times the largest are
    dropped, which gives the solution of least norm in the scaled columns.

    Parameters
    ----------
    reduction : Reduction
        Of the rows [A | b], from :func:`reduce` or :func:`combine`.
    ridge : float or array, shape (P,)
        λ ≥ 0, on the unscaled coefficients; the number 0 costs nothing.
    relative_ridge : float or scalar array
        μ ≥ 0: adds μ σ₁² ‖diag(norms) c‖² with σ₁ the largest singular value of the columns scaled
        to unit norm. ``"triangular"``, which knows no singular values, takes the sum of all their
        squares, P, for σ₁².
    rcond : float, optional
        Default 1e-13 in float64, 100 machine epsilons in float32.
    method : {"svd", "auto", "triangular", "gram"}
        ``"auto"`` uses back-substitution where an upper bound of the scaled condition number is
        below 1e8 and the truncated SVD elsewhere. ``"triangular"`` always back-substitutes and is
        unsafe on dependent columns without a ridge; with a relative one of 1e-26 it is as accurate
        as the SVD and several times cheaper. ``"gram"`` solves normal equations and falls back to
        the SVD, saying so, above a condition number of 1e6.

    Returns
    -------
    Solution

    Raises
    ------
    ValueError
        For an unknown method.
    """
    if method not in METHODS:
        raise ValueError(f"solve(method={method!r}): expected one of {', '.join(METHODS)}.")
    xp = namespace(reduction.factor, ridge, relative_ridge)
    p, ridged = reduction.n_functions, not (_is_zero(ridge) and _is_zero(relative_ridge))
    if xp is np and not np.isfinite(reduction.factor).all():  # of which NumPy has no SVD
        return _unsolved(reduction)
    if not _is_zero(relative_ridge):
        unit, norms = unit_columns(reduction)
        largest = p**0.5 if method == "triangular" else xp.linalg.norm(unit.triangle, ord=2)
        ridge = ridge + relative_ridge * (largest * norms) ** 2
    if ridged:
        reduction = with_ridge(reduction, ridge)
    unit, norms = unit_columns(reduction)
    scaled, rotated = unit.triangle, unit.rotated
    cut_off = cut_off_for(rcond, scaled)

    def by_svd() -> tuple[Array, Array, Array, Array]:
        factors = factorize(scaled, cut_off, unit=False)
        dropped = 1.0 - factors.shares()
        missed = dropped[:, None] * (factors.u.T @ rotated)
        return factors.solve(rotated), factors.rank, factors.s, missed

    def complete(c: Array) -> tuple[Array, Array, Array, Array]:
        with np.errstate(invalid="ignore"):  # infinite where singular
            missed = rotated - scaled @ c
        return c, xp.asarray(p), xp.full((p,), xp.nan, scaled.dtype), missed

    def by_substitution() -> tuple[Array, Array, Array, Array]:
        return complete(_solve_triangular(scaled, rotated))

    def by_gram() -> tuple[Array, Array, Array, Array]:
        gram = scaled.T @ scaled
        linalg = scipy.linalg if xp is np else jax.scipy.linalg
        return complete(linalg.solve(gram, scaled.T @ rotated, assume_a="pos"))

    status = xp.asarray(int(Status.FULL_RANK))
    if method == "svd":
        found = by_svd()
    elif method == "triangular":
        found = by_substitution()
        safe = condition_bound(scaled) < 1 / cut_off
        status = xp.where(safe, status, int(Status.RANK_DEFICIENT))
    else:
        limit = GRAM_LIMIT if method == "gram" else BACK_SUBSTITUTION_LIMIT
        safe = condition_bound(scaled) < limit
        cheap = by_gram if method == "gram" else by_substitution
        found = (cheap() if safe else by_svd()) if xp is np else jax.lax.cond(safe, cheap, by_svd)
        if method == "gram":
            status = xp.where(safe, status, int(Status.GRAM_REFUSED))
    c, rank, singular_values, missed = found
    status = xp.where((rank < p) & (status == 0), int(Status.RANK_DEFICIENT), status)
    if not ridged:
        status = xp.where(reduction.n_rows < p, int(Status.UNDERDETERMINED), status)
    finite = xp.all(xp.isfinite(reduction.factor)) & xp.all(xp.isfinite(c))
    status = xp.where(finite, status, int(Status.NON_FINITE))
    squares = xp.sum(reduction.remainder**2, axis=0) + xp.sum(missed**2, axis=0)
    return Solution(c / norms[:, None], rank, singular_values, xp.sqrt(squares), status)


def _solve_triangular(triangle: Array, b: Array, trans: int = 0) -> Array:
    if namespace(triangle, b) is not np:
        return solve_triangular(triangle, b, trans=trans)
    (trtrs,) = scipy.linalg.get_lapack_funcs(("trtrs",), (triangle, b))
    out, info = trtrs(triangle, b, trans=trans)
    solved: Array = out if info == 0 else np.full_like(out, np.inf)  # singular: as JAX has it
    return solved


def _unsolved(reduction: Reduction) -> Solution:
    """Return what JAX makes of rows with entries that are no numbers."""
    p, others = reduction.n_functions, reduction.factor.shape[1] - reduction.n_functions
    c, s, norm = (np.full(shape, np.nan) for shape in ((p, others), p, others))
    rank, status = np.asarray(0), np.asarray(int(Status.NON_FINITE))
    return Solution(c, rank, s, norm, status)  # type: ignore[arg-type]


def _is_zero(ridge: float | AnyArray) -> bool:
    # Whether there is no ridge, known before anything is computed.
    return isinstance(ridge, float | int) and ridge == 0


def average(solutions: Sequence[Solution]) -> Solution:
    """Return the solution whose prediction is the mean of those of several column blocks.

    Coefficients follow one another, each divided by the number of blocks; ranks are added,
    singular values sorted together; norms of residuals are averaged, which bounds that of the
    mean; the status is the worst.
    """
    xp = namespace(solutions[0].coefficients)
    return Solution(
        xp.concatenate([s.coefficients for s in solutions]) / len(solutions),
        xp.sum(xp.stack([s.rank for s in solutions])),
        -xp.sort(-xp.concatenate([s.singular_values for s in solutions])),
        xp.mean(xp.stack([s.residual_norm for s in solutions]), axis=0),
        xp.max(xp.stack([s.status for s in solutions])),
    )


def condition_bound(triangle: Array) -> Array:
    """Return ‖R‖_F ‖R⁻¹‖_F ≥ cond R, by one triangular inversion; infinite where singular."""
    xp = namespace(triangle)
    inverse = _solve_triangular(triangle, xp.eye(triangle.shape[0], dtype=triangle.dtype))
    bound = xp.linalg.norm(triangle) * xp.linalg.norm(inverse)
    bounded: Array = xp.where(xp.isfinite(bound), bound, xp.inf)
    return bounded


def solve_normal(triangle: Array, b: Array) -> Array:
    """Return (RᵀR)⁻¹ b: to a few digits, enough for a correction or to precondition."""
    return _solve_triangular(triangle, _solve_triangular(triangle, b, trans=1))

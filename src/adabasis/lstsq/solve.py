"""Coefficients from a reduction: truncated SVD by default, back-substitution where it is safe."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import jax
import jax.numpy as jnp
from jax import Array

from .._runtime.notation import Coefficients, DesignMatrix, Values
from .reduce import Reduction, with_ridge
from .status import Status

RCOND = 1e-13
"""Relative cut-off of singular values of the column-scaled factor.

Machine epsilon lets noise through (coefficients of 1e13 explode between the data); 1e-6 costs a
factor 60 in accuracy on differential equations.
"""
GRAM_LIMIT = 1e6
BACK_SUBSTITUTION_LIMIT = 1e8
METHODS = ("auto", "svd", "triangular", "gram")


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


def solve(
    reduction: Reduction,
    *,
    ridge: float | Array = 0.0,
    rcond: float | None = None,
    method: str = "svd",
) -> Solution:
    """Minimise ‖A c − b‖² + ridge ‖c‖² from the reduction of [A | b].

    Columns are scaled to unit norm first; singular values below ``rcond`` times the largest are
    dropped, which gives the solution of least norm in the scaled columns.

    Parameters
    ----------
    reduction : Reduction
    ridge : float or array, shape (P,)
        λ ≥ 0, on the unscaled coefficients; the number 0 costs nothing.
    rcond : float, optional
        Default 1e-13 in float64, 100 machine epsilons in float32.
    method : {"svd", "auto", "triangular", "gram"}
        ``"auto"`` uses back-substitution where an upper bound of the scaled condition number is
        below 1e8 and the truncated SVD elsewhere. ``"triangular"`` always back-substitutes and is
        unsafe on dependent columns. ``"gram"`` solves normal equations and falls back to the SVD,
        saying so, above a condition number of 1e6.

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
    if not (isinstance(ridge, float | int) and ridge == 0):
        reduction = with_ridge(reduction, ridge)
    triangle, rotated = reduction.triangle, reduction.rotated
    if rcond is None:
        rcond = max(RCOND, 100 * float(jnp.finfo(triangle.dtype).eps))
    norms = jnp.linalg.norm(triangle, axis=0)
    norms = jnp.where(norms > 0, norms, 1.0)
    scaled = triangle / norms

    def by_svd(_: None) -> tuple[Array, Array, Array, Array]:
        return _truncated_svd(scaled, rotated, rcond)

    def by_substitution(_: None) -> tuple[Array, Array, Array, Array]:
        return _complete(scaled, jax.scipy.linalg.solve_triangular(scaled, rotated), rotated)

    def by_gram(_: None) -> tuple[Array, Array, Array, Array]:
        gram = scaled.T @ scaled
        c = jax.scipy.linalg.solve(gram, scaled.T @ rotated, assume_a="pos")
        return _complete(scaled, c, rotated)

    status = jnp.asarray(int(Status.FULL_RANK))
    if method == "svd":
        found = by_svd(None)
    elif method == "triangular":
        found = by_substitution(None)
        status = jnp.where(condition_bound(scaled) < 1 / rcond, status, int(Status.RANK_DEFICIENT))
    else:
        limit = GRAM_LIMIT if method == "gram" else BACK_SUBSTITUTION_LIMIT
        safe = condition_bound(scaled) < limit
        found = jax.lax.cond(safe, by_gram if method == "gram" else by_substitution, by_svd, None)
        if method == "gram":
            status = jnp.where(safe, status, int(Status.GRAM_REFUSED))
    c, rank, singular_values, missed = found
    p = reduction.n_functions
    status = jnp.where((rank < p) & (status == 0), int(Status.RANK_DEFICIENT), status)
    if isinstance(ridge, float | int) and ridge == 0:
        status = jnp.where(reduction.n_rows < p, int(Status.UNDERDETERMINED), status)
    finite = jnp.all(jnp.isfinite(reduction.factor)) & jnp.all(jnp.isfinite(c))
    status = jnp.where(finite, status, int(Status.NON_FINITE))
    outside = jnp.sum(reduction.remainder**2, axis=0)
    residual_norm = jnp.sqrt(outside + jnp.sum(missed**2, axis=0))
    return Solution(c / norms[:, None], rank, singular_values, residual_norm, status)


def average(solutions: Sequence[Solution]) -> Solution:
    """Return the solution whose prediction is the mean of those of several column blocks.

    Coefficients follow one another, each divided by the number of blocks; ranks are added,
    singular values sorted together; norms of residuals are averaged, which bounds that of the
    mean; the status is the worst.
    """
    return Solution(
        jnp.concatenate([s.coefficients for s in solutions]) / len(solutions),
        jnp.sum(jnp.stack([s.rank for s in solutions])),
        -jnp.sort(-jnp.concatenate([s.singular_values for s in solutions])),
        jnp.mean(jnp.stack([s.residual_norm for s in solutions]), axis=0),
        jnp.max(jnp.stack([s.status for s in solutions])),
    )


def condition_bound(triangle: Array) -> Array:
    """Return ‖R‖_F ‖R⁻¹‖_F ≥ cond R, by one triangular inversion; infinite where singular."""
    eye = jnp.eye(triangle.shape[0], dtype=triangle.dtype)
    inverse = jax.scipy.linalg.solve_triangular(triangle, eye)
    bound = jnp.linalg.norm(triangle) * jnp.linalg.norm(inverse)
    return jnp.where(jnp.isfinite(bound), bound, jnp.inf)


def _truncated_svd(
    scaled: Array, rotated: Array, rcond: float
) -> tuple[Array, Array, Array, Array]:
    u, s, vt = jnp.linalg.svd(scaled, full_matrices=False)
    kept = s > rcond * s[0]
    inside = u.T @ rotated
    c = vt.T @ (jnp.where(kept, 1 / jnp.where(kept, s, 1.0), 0.0)[:, None] * inside)
    missed = jnp.where(kept, 0.0, 1.0)[:, None] * inside
    return c, jnp.sum(kept), s, missed


def _complete(scaled: Array, c: Array, rotated: Array) -> tuple[Array, Array, Array, Array]:
    p = scaled.shape[0]
    unknown = jnp.full((p,), jnp.nan, scaled.dtype)
    return c, jnp.asarray(p), unknown, rotated - scaled @ c


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class Factorization:
    """The thin orthonormal factor of A in its singular basis: A = U diag(s) Vᵀ diag(norms).

    What R alone cannot do: solve for right-hand sides that arrive later at full accuracy, and
    leverages. Holds N × P numbers.
    """

    u: Array
    s: Array
    vt: Array
    norms: Array
    rcond: float = dataclasses.field(default=RCOND, metadata={"static": True})

    @property
    def rank(self) -> Array:
        """Number of singular values above the cut-off."""
        return jnp.sum(self.s > self.rcond * self.s[0])

    def filter(self, ridge: float | Array = 0.0) -> Array:
        """Return s²/(s² + ridge), zero below the cut-off: the share of each direction kept.

        The ridge acts on the scaled coefficients: λ‖diag(norms) c‖².
        """
        kept = self.s > self.rcond * self.s[0]
        return jnp.where(kept, self.s**2 / jnp.where(kept, self.s**2 + ridge, 1.0), 0.0)

    def solve(self, b: Values, ridge: float | Array = 0.0) -> Coefficients:
        """Return the coefficients for right-hand sides b (N, K)."""
        share = self.filter(ridge) / jnp.where(self.s > 0, self.s, 1.0)
        return (self.vt.T @ (share[:, None] * (self.u.T @ b))) / self.norms[:, None]

    def leverages(self, ridge: float | Array = 0.0) -> Array:
        """Return the diagonal of the hat matrix, (N,), between 0 and 1."""
        return jnp.clip(self.u**2 @ self.filter(ridge), 0.0, 1.0)

    def left_out(self, b: Values, ridge: float | Array = 0.0) -> Values:
        """Return each row's residual when the fit leaves that row out (N, K), in closed form.

        A row of leverage 1 (to 1e-12) alone determines some direction, and without it nothing is
        known there. Such rows count for nothing (0), unless they are more than a tenth: then
        nothing is known at all (infinite).
        """
        residual = b - self.u @ (self.filter(ridge)[:, None] * (self.u.T @ b))
        left = (1.0 - self.leverages(ridge))[:, None]
        known = left > 1e-12
        present = jnp.any(self.u != 0, axis=1, keepdims=True)
        out = jnp.where(known, residual / jnp.where(known, left, 1.0), 0.0)
        return jnp.where(10 * jnp.sum(~known) > jnp.sum(present), jnp.inf, out)


def factorize(a: DesignMatrix, rcond: float = RCOND) -> Factorization:
    """Factor A (N, P) once, for leverages and for later right-hand sides."""
    norms = jnp.linalg.norm(a, axis=0)
    norms = jnp.where(norms > 0, norms, 1.0)
    q, r = jnp.linalg.qr(a / norms)
    u, s, vt = jnp.linalg.svd(r, full_matrices=False)
    return Factorization(q @ u, s, vt, norms, max(rcond, 100 * float(jnp.finfo(s.dtype).eps)))

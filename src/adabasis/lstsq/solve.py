"""Coefficients from a reduction: truncated SVD by default, back-substitution where it is safe.

A ridge is one of two kinds. ``ridge`` λ acts on the coefficients as they are, λ‖c‖². A *relative*
ridge μ acts on those of unit-norm columns, in shares of their largest singular value squared:
μ σ₁² ‖diag(norms) c‖², which no choice of units changes.
"""

from __future__ import annotations

import dataclasses
import enum
from collections.abc import Iterator, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import scipy.linalg
from jax import Array
from jax.scipy.linalg import solve_triangular

from .._runtime.notation import AnyArray, DesignMatrix, Values
from .reduce import Reduction, with_ridge

#: Relative cut-off of singular values of the column-scaled factor. Machine epsilon lets noise
#: through (coefficients of 1e13 explode between the data); 1e-6 costs a factor 60 in accuracy on
#: differential equations.
RCOND = 1e-13
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
        "Some functions are combinations of others on the data; directions below the cut-off were "
        "dropped and the smallest solution taken. Usual on smooth bases; a narrower basis or "
        "init='box' raises the share of independent functions."
    ),
    Status.UNDERDETERMINED: (
        "There are fewer rows than functions; the smallest solution was taken. Use fewer "
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


def namespace(array: AnyArray) -> Any:
    """Return the module that computes with an array: NumPy for its own, ``jax.numpy`` for others.

    Pieces of points come in hundreds of small shapes: to compile a program for each would cost more
    than all of their solves.
    """
    return np if isinstance(array, np.ndarray) else jnp


def column_norms(a: AnyArray, unseen: float | None = 1.0) -> Any:
    """Return what columns are divided by to have unit norm, (P,).

    A column of zeros gets ``unseen``, or the largest norm of all where that is ``None``.
    """
    xp = namespace(a)
    norms = xp.linalg.norm(a, axis=0)
    return xp.where(norms > 0, norms, xp.max(norms) if unseen is None else unseen)


def unit_columns(reduction: Reduction) -> tuple[Reduction, Array]:
    """Return the reduction for columns of unit norm, and the norms (P,) they had.

    Its coefficients, divided by the norms, are those of the reduction given.
    """
    norms = column_norms(reduction.triangle)
    others = reduction.factor.shape[1] - reduction.n_functions
    scale = jnp.pad(norms, (0, others), constant_values=1.0)
    return dataclasses.replace(reduction, factor=reduction.factor / scale), norms


def solve(
    reduction: Reduction,
    *,
    ridge: float | Array = 0.0,
    relative_ridge: float | Array = 0.0,
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
    p, ridged = reduction.n_functions, not (_is_zero(ridge) and _is_zero(relative_ridge))
    if not _is_zero(relative_ridge):
        unit, norms = unit_columns(reduction)
        largest = p**0.5 if method == "triangular" else jnp.linalg.norm(unit.triangle, ord=2)
        ridge = ridge + relative_ridge * (largest * norms) ** 2
    if ridged:
        reduction = with_ridge(reduction, ridge)
    unit, norms = unit_columns(reduction)
    scaled, rotated = unit.triangle, unit.rotated
    cut_off = _cut_off(rcond, scaled)

    def by_svd() -> tuple[Array, Array, Array, Array]:
        factors = factorize(scaled, cut_off, unit=False)
        dropped = 1.0 - factors.shares()
        missed = dropped[:, None] * (factors.u.T @ rotated)
        return factors.solve(rotated), factors.rank, factors.s, missed

    def complete(c: Array) -> tuple[Array, Array, Array, Array]:
        return c, jnp.asarray(p), jnp.full((p,), jnp.nan, scaled.dtype), rotated - scaled @ c

    def by_substitution() -> tuple[Array, Array, Array, Array]:
        return complete(solve_triangular(scaled, rotated))

    def by_gram() -> tuple[Array, Array, Array, Array]:
        gram = scaled.T @ scaled
        return complete(jax.scipy.linalg.solve(gram, scaled.T @ rotated, assume_a="pos"))

    status = jnp.asarray(int(Status.FULL_RANK))
    if method == "svd":
        found = by_svd()
    elif method == "triangular":
        found = by_substitution()
        safe = condition_bound(scaled) < 1 / cut_off
        status = jnp.where(safe, status, int(Status.RANK_DEFICIENT))
    else:
        limit = GRAM_LIMIT if method == "gram" else BACK_SUBSTITUTION_LIMIT
        safe = condition_bound(scaled) < limit
        found = jax.lax.cond(safe, by_gram if method == "gram" else by_substitution, by_svd)
        if method == "gram":
            status = jnp.where(safe, status, int(Status.GRAM_REFUSED))
    c, rank, singular_values, missed = found
    status = jnp.where((rank < p) & (status == 0), int(Status.RANK_DEFICIENT), status)
    if not ridged:
        status = jnp.where(reduction.n_rows < p, int(Status.UNDERDETERMINED), status)
    finite = jnp.all(jnp.isfinite(reduction.factor)) & jnp.all(jnp.isfinite(c))
    status = jnp.where(finite, status, int(Status.NON_FINITE))
    squares = jnp.sum(reduction.remainder**2, axis=0) + jnp.sum(missed**2, axis=0)
    return Solution(c / norms[:, None], rank, singular_values, jnp.sqrt(squares), status)


def _is_zero(ridge: float | Array) -> bool:
    # Whether there is no ridge, known before anything is computed.
    return isinstance(ridge, float | int) and ridge == 0


def _cut_off(rcond: float | None, a: AnyArray) -> float:
    return max(RCOND, 100 * float(jnp.finfo(a.dtype).eps)) if rcond is None else rcond


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
    inverse = solve_triangular(triangle, eye)
    bound = jnp.linalg.norm(triangle) * jnp.linalg.norm(inverse)
    return jnp.where(jnp.isfinite(bound), bound, jnp.inf)


def solve_normal(triangle: Array, b: Array) -> Array:
    """Return (RᵀR)⁻¹ b: to a few digits, enough for a correction or to precondition."""
    return solve_triangular(triangle, solve_triangular(triangle, b, trans=1))


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class Factorization:
    """The singular value decomposition of A (N, P) in scaled columns: U diag(s) Vᵀ diag(norms).

    What R alone cannot do: leverages, and all ridges at once. Of NumPy's arrays, its methods
    compute with NumPy.

    Where the last columns T of A = [F T] are not penalised, the first singular vectors are those of
    T, the others those of F less its projection onto T; ``vt`` undoes that: its product with the
    gains solves for all coefficients.
    """

    u: Array
    s: Array
    vt: Array
    norms: Array
    rcond: float = dataclasses.field(default=RCOND, metadata={"static": True})
    n_free: int = dataclasses.field(default=0, metadata={"static": True})

    @property
    def kept(self) -> Array:
        """Which singular values are above the cut-off, (P,)."""
        return self.s > self.rcond * self.s.max()

    @property
    def rank(self) -> Array:
        """Number of singular values above the cut-off."""
        return self.kept.sum()

    def gains(self, ridge: float | Array = 0.0) -> Array:
        """Return s/(s² + ridge), zero below the cut-off.

        The ridge acts on the scaled coefficients: λ‖diag(norms) c‖².
        """
        xp, kept = namespace(self.s), self.kept
        ridge = xp.where(xp.arange(len(self.s)) < self.n_free, 0.0, ridge)
        return xp.where(kept, self.s / xp.where(kept, self.s**2 + ridge, 1.0), 0.0)

    def shares(self, ridge: float | Array = 0.0) -> Array:
        """Return s²/(s² + ridge), zero below the cut-off: how much is kept of each direction."""
        return self.s * self.gains(ridge)

    def solve(self, b: Values, ridge: float | Array = 0.0) -> Any:
        """Return the coefficients (P, K) for right-hand sides b (N, K)."""
        return (self.vt.T @ (self.gains(ridge)[:, None] * (self.u.T @ b))) / self.norms[:, None]

    def leverages(self, ridge: float | Array = 0.0) -> Array:
        """Return the diagonal of the hat matrix, (N,), between 0 and 1."""
        return (self.u**2 @ self.shares(ridge)).clip(0.0, 1.0)

    def loo_residuals(
        self,
        b: Values,
        ridge: float | Array = 0.0,
        *,
        groups: np.ndarray | None = None,
        share: float | np.ndarray = 1.0,
        alone: str = "unknown",
        least: float = 1e-12,
    ) -> Any:
        """Return each row's residual when the fit leaves that row out (N, K), in closed form.

        With ρ the residuals and H the hat matrix, those of a group g left out together are
        (I − H_gg)⁻¹ ρ_g. A row of leverage 1 alone determines some direction, and without it
        nothing is known there.

        Parameters
        ----------
        b : array, shape (N, K)
        ridge : float
            On the scaled coefficients.
        groups : array of int, shape (N,), optional
            Rows of one label are left out together (NumPy's arrays alone); by default each row is.
        share : float or array, shape (N,)
            What is left out of a row: 1/k where it stands for k rows at one place, one of which is.
        alone : {"unknown", "itself"}
            What rows of leverage 1 count for: they are evidence of nothing (infinite); or their
            values themselves, as if 0 were predicted.
        least : float
            1 minus a leverage below this counts as zero.
        """
        xp = namespace(self.u)
        kept = self.shares(ridge)
        residual = b - self.u @ (kept[:, None] * (self.u.T @ b))
        left = (1.0 - share * self.leverages(ridge))[:, None]
        known = left > least
        blind = b if alone == "itself" else xp.inf
        out = xp.where(known, residual / xp.where(known, left, 1.0), blind)
        for size, members in _by_size(groups):
            u = self.u[members]
            within = np.eye(size) - np.einsum("gip,p,gjp->gij", u, kept, u)
            e, q = np.linalg.eigh(within)
            clear = (e > least)[..., None]
            turned = np.where(clear, np.swapaxes(q, 1, 2) @ residual[members], 0.0)
            solved = q @ (turned / np.where(clear, e[..., None], 1.0))
            out[members] = np.where(clear.all(axis=1, keepdims=True), solved, np.inf)
        return out


def _by_size(groups: np.ndarray | None) -> Iterator[tuple[int, np.ndarray]]:
    """Yield the size of groups of more than one row, and their rows (number of groups, size)."""
    if groups is None:
        return
    order = np.argsort(groups, kind="stable")
    _, first, count = np.unique(groups[order], return_index=True, return_counts=True)
    for size in np.unique(count[count > 1]):
        yield int(size), order[first[count == size, None] + np.arange(size)]


def factorize(
    a: Any, rcond: float | None = None, *, unit: bool = True, n_free: int = 0
) -> Factorization:
    """Factor A (N, P) once, for leverages, several ridges and later right-hand sides.

    Parameters
    ----------
    a : array, shape (N, P)
        NumPy's are factored by NumPy.
    rcond : float, optional
        As in :func:`solve`.
    unit : bool
        Whether columns are scaled to unit norm first.
    n_free : int
        So many of the last columns are not penalised by any ridge (NumPy's arrays alone).
    """
    xp = namespace(a)
    norms = column_norms(a) if unit else xp.ones(a.shape[1], a.dtype)
    cut_off = _cut_off(rcond, a)
    if not n_free:
        return Factorization(*_svd(xp, a / norms), norms, cut_off)
    f, t = np.split(a / norms, [a.shape[1] - n_free], axis=1)
    u, s, vt = _svd(xp, t)
    clear = s > cut_off * s[0]
    u, s, v = u[:, clear], s[clear], vt[clear].T
    # By reflections: what a projection leaves along T is large beside small singular values.
    q, r = np.linalg.qr(np.hstack([u, f]))
    u_f, s_f, vt_f = _svd(xp, r[len(s) :, len(s) :])
    u_f, shared = q[:, len(s) :] @ u_f, u.T @ f
    along, none = (v / s) @ (shared @ vt_f.T), np.zeros((f.shape[1], len(s)))
    undone: Any = np.block([[none, vt_f.T], [v, -along]])
    joined: Any = np.hstack([u, u_f])
    values: Any = np.append(s, s_f)
    return Factorization(joined, values, undone.T, norms, cut_off, n_free=len(s))


def _svd(xp: Any, a: Any) -> tuple[Any, Any, Any]:
    try:
        return xp.linalg.svd(a, full_matrices=False)
    except np.linalg.LinAlgError:  # gesdd gives up on a few finite matrices that gesvd factors
        return scipy.linalg.svd(a, full_matrices=False, lapack_driver="gesvd")


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class OrthonormalFactor:
    """The orthonormal factor of [A S⁻¹; δ I], S the norms of A's columns: no singular values.

    Right-hand sides that arrive later are solved at full accuracy, which R alone cannot do.

    Attributes
    ----------
    q : array, shape (N, P)
        Its rows that belong to A.
    triangle : array, shape (P, P)
    norms : array, shape (P,)
    """

    q: Array
    triangle: Array
    norms: Array

    def solve(self, b: Values) -> Array:
        """Return the coefficients (P, K) for right-hand sides b (N, K)."""
        return solve_triangular(self.triangle, self.q.T @ b) / self.norms[:, None]


def orthonormalize(a: DesignMatrix, relative_ridge: float, ridge: float = 0.0) -> OrthonormalFactor:
    """Factor A (N, P) with the ridges that ``solve(method="triangular")`` has."""
    (n, p), norms = a.shape, column_norms(a)
    below = jnp.diag(jnp.hypot((relative_ridge * p) ** 0.5, ridge**0.5 / norms))
    q, triangle = jnp.linalg.qr(jnp.concatenate([a / norms, below]))
    return OrthonormalFactor(q[:n], triangle, norms)

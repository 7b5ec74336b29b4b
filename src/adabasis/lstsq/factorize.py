"""Factorizations of A: for leverages, rows left out, several ridges and later right-hand sides."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import scipy.linalg
from jax import Array
from jax.scipy.linalg import solve_triangular

from .._runtime.backend import namespace
from .._runtime.notation import AnyArray, DesignMatrix, Values

#: Relative cut-off of singular values of the column-scaled factor. Machine epsilon lets noise
#: through (coefficients of 1e13 explode between the data); 1e-6 costs a factor 60 in accuracy on
#: differential equations.
RCOND = 1e-13


#: Least entry on the diagonal of a Cholesky factor of AᵀA, of unit columns, relative: above it the
#: columns of A R⁻¹ are orthogonal to 1e-10; and above which they are near enough to orthogonal for
#: a second pass to make them so to round-off.
WELL_CONDITIONED, NEARLY_SINGULAR = 1e-3, 1e-6


#: Rows at once where a product takes the place of one of its factors.
AT_ONCE = 1024


def column_norms(a: AnyArray, unseen: float | None = 1.0) -> Any:
    """Return what columns are divided by to have unit norm, (P,).

    A column of zeros gets ``unseen``, or the largest norm of all where that is ``None``.
    """
    xp = namespace(a)
    # Of NumPy's arrays without an array of their squares.
    squares = np.einsum("np,np->p", a, a) if xp is np else None
    norms = xp.linalg.norm(a, axis=0) if squares is None else np.sqrt(squares)
    return xp.where(norms > 0, norms, xp.max(norms) if unseen is None else unseen)


def cut_off_for(rcond: float | None, a: AnyArray) -> float:
    """Return the relative cut-off asked for, or that of the array's precision."""
    return max(RCOND, 100 * float(jnp.finfo(a.dtype).eps)) if rcond is None else rcond


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class Factorization:
    """The singular value decomposition of A (N, P) in scaled columns: U diag(s) Vᵀ diag(norms).

    What R alone cannot do: leverages, and all ridges at once. Of NumPy's arrays, its methods
    compute with NumPy.

    Where the last columns T of A = [F T] are not penalised, the first singular vectors are those of
    T, the others those of F less its projection onto T; ``vt`` undoes that: its product with the
    gains solves for all coefficients. ``largest`` is the largest singular value of all columns.
    """

    u: Array
    s: Array
    vt: Array
    norms: Array
    largest: Array
    rcond: float = dataclasses.field(default=RCOND, metadata={"static": True})
    n_free: int = dataclasses.field(default=0, metadata={"static": True})

    @property
    def kept(self) -> Array:
        """Which singular values are above the cut-off, (P,)."""
        return self.s > self.rcond * self.largest

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
    cut_off = cut_off_for(rcond, a)
    if not n_free:
        u, s, vt = _svd(xp, a / norms)
        return Factorization(u, s, vt, norms, s[0], cut_off)
    n_rows, n_others = len(a), a.shape[1] - n_free
    t = a[:, n_others:] / norms[n_others:]
    u, s, vt = _svd(xp, t)
    clear = s > cut_off * s[0]
    u, s, v = u[:, clear], s[clear], vt[clear].T
    # In one place, by columns, as LAPACK wants them: of many rows copies are most of the memory.
    joined: Any = np.empty((n_rows, len(s) + n_others), a.dtype, order="F")
    joined[:, : len(s)] = u
    np.divide(a[:, :n_others], norms[:n_others], out=joined[:, len(s) :])
    f = joined[:, len(s) :]
    shared, products = u.T @ f, np.zeros((a.shape[1],) * 2, a.dtype)
    products[:n_others, :n_others], products[n_others:, n_others:] = f.T @ f, t.T @ t
    products[n_others:, :n_others] = t.T @ f
    largest = np.linalg.eigvalsh(products)[-1] ** 0.5
    # By reflections: what a projection leaves along T is large beside small singular values.
    joined, r = scipy.linalg.qr(joined, mode="economic", overwrite_a=True, check_finite=False)
    u_f, s_f, vt_f = _svd(xp, r[len(s) :, len(s) :])
    for start in range(0, n_rows, AT_ONCE):
        part = joined[start : start + AT_ONCE, len(s) :]
        part[:] = part @ u_f
    joined[:, : len(s)] = u
    along, none = (v / s) @ (shared @ vt_f.T), np.zeros((n_others, len(s)))
    undone: Any = np.block([[none, vt_f.T], [v, -along]])
    values: Any = np.append(s, s_f)
    return Factorization(joined, values, undone.T, norms, largest, cut_off, n_free=len(s))


def factorize_full_rank(a: np.ndarray, *, overwrite: bool = False) -> Factorization:
    """Factor A (N, P), for one solve and its leverages, by QR where the columns are independent.

    Rows of a ridge below those of the data make them so. Cholesky factors of AᵀA, once or twice
    [1]_, take a third of the time of reflections, which take a quarter of that of a singular value
    decomposition; U is Q then, all singular values are 1, and V holds R⁻¹.

    Parameters
    ----------
    a : array, shape (N, P)
    overwrite : bool
        Whether A may be scaled in place.

    References
    ----------
    .. [1] Yamamoto, Nakatsukasa, Yanagisawa, Fukaya, "Roundoff error analysis of the CholeskyQR2
       algorithm", Electronic Trans. Numerical Analysis 44 (2015).
    """
    norms, cut_off = column_norms(a), cut_off_for(None, a)
    if a.shape[0] < a.shape[1]:
        return factorize(a)
    scaled = np.divide(a, norms, out=a if overwrite else None)
    found: Any = _by_products(scaled)
    if found is None:
        q, r = np.linalg.qr(scaled)
        diagonal = np.abs(np.diag(r))
        if not diagonal.min() > cut_off * diagonal.max():
            return factorize(scaled * norms)
        found = q, np.triu(scipy.linalg.lapack.dtrtri(r)[0])
    q, inverse = found
    one: Any = np.ones(len(inverse))
    return Factorization(q, one, inverse.T, norms, one[0], cut_off)


def _by_products(a: np.ndarray) -> tuple[Any, Any] | None:
    """Return Q and R⁻¹ of A (N, P) by Cholesky factors of products, where those tell enough."""
    q, inverse = a, np.eye(a.shape[1])
    for _ in range(2):
        r, failed = scipy.linalg.lapack.dpotrf(scipy.linalg.blas.dsyrk(1.0, q.T))
        diagonal = np.abs(np.diag(r))
        if failed or not diagonal.min() > NEARLY_SINGULAR * diagonal.max():
            return None
        # In columns of Qᵀ, which are rows in memory: nothing is copied the second time.
        solved = scipy.linalg.blas.dtrsm(1.0, r, q.T, trans_a=1, overwrite_b=q is not a)
        q, inverse = solved.T, np.triu(inverse @ scipy.linalg.lapack.dtrtri(r)[0])
        if diagonal.min() > WELL_CONDITIONED * diagonal.max():
            return q, inverse
    return None


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

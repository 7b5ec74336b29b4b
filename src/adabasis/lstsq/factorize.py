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
#: columns of A R⁻¹ are orthogonal to 1e-10.
WELL_CONDITIONED = 1e-3


def column_norms(a: AnyArray, unseen: float | None = 1.0) -> Any:
    """Return what columns are divided by to have unit norm, (P,).

    A column of zeros gets ``unseen``, or the largest norm of all where that is ``None``.
    """
    xp = namespace(a)
    norms = xp.linalg.norm(a, axis=0)
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
    scaled = a / norms
    f, t = np.split(scaled, [a.shape[1] - n_free], axis=1)
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
    largest = np.linalg.eigvalsh(scaled.T @ scaled)[-1] ** 0.5
    return Factorization(joined, values, undone.T, norms, largest, cut_off, n_free=len(s))


def factorize_full_rank(a: np.ndarray) -> Factorization:
    """Factor A (N, P), for one solve and its leverages, by QR where the columns are independent.

    Rows of a ridge below those of the data make them so. It takes a quarter of the time of a
    singular value decomposition, and a third of that where the Cholesky factor of AᵀA does; U is Q
    then, all singular values are 1, and V holds R⁻¹.
    """
    norms, cut_off = column_norms(a), cut_off_for(None, a)
    if a.shape[0] < a.shape[1]:
        return factorize(a)
    scaled = a / norms
    r, failed = scipy.linalg.lapack.dpotrf(scaled.T @ scaled)
    diagonal = np.abs(np.diag(r))
    if not failed and diagonal.min() > WELL_CONDITIONED * diagonal.max():
        inverse = scipy.linalg.lapack.dtrtri(r)[0]
        q = scaled @ np.triu(inverse)
    else:
        q, r = np.linalg.qr(scaled)
        diagonal = np.abs(np.diag(r))
        if not diagonal.min() > cut_off * diagonal.max():
            return factorize(a)
        inverse = scipy.linalg.lapack.dtrtri(r)[0]
    inverse = np.triu(inverse)
    one: Any = np.ones(len(r))
    return Factorization(q, one, inverse.T, norms, one[0], cut_off)


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

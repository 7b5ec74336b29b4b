r"""Newton's method for the last layer: with ξ frozen, cross-entropy is convex in c.

The rows √w Φ are reduced once, R = U S Vᵀ: in the coordinates c = V u the functions B = Φ V are
orthogonal with norms s, and ‖c‖ = ‖u‖, so that a ridge stays a ridge. The Hessian there is AᵀA + λI
with N·K rows √w_n (B_n ⊗ E D_n), D_n D_nᵀ = diag p_n − p_n p_nᵀ: D_n = diag(√p)(I − √p √pᵀ) [1]_.
Where these rows are few they are reduced too, and their triangle solves for the step; elsewhere
conjugate gradients on products with the Hessian do, scaled by its mean diagonal. A step is halved
until the loss falls as Armijo's rule demands [2]_.

References
----------
.. [1] Böhning, "Multinomial logistic regression algorithm", Ann. Inst. Stat. Math. 44 (1992).
.. [2] Patel, Trask, Gulian, Cyr, "A block coordinate descent optimizer for classification problems
   exploiting convexity", arXiv:2006.10123.
"""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import jax
import numpy as np
from jax import Array
from scipy.linalg import cho_factor, cho_solve

from .. import lstsq
from .._runtime.backend import namespace, softmax, while_loop
from .base import CrossEntropy

#: Most Newton steps, and most products with the Hessian in one of them.
STEPS, PRODUCTS = 60, 1000
#: Most halvings of a step; the share of the promised fall that it must keep (Armijo's rule).
HALVINGS, ARMIJO = 40, 1e-4
#: Multiplications of a reduction of the Hessian's rows above which products are used instead.
DIRECT_WORK = 3e7
#: Largest relative error of a step far from the optimum; it falls with the decrement.
FORCING = 0.3
#: Predicted relative fall of the loss that its round-off hides: there the gradient decides.
ROUND_OFF = 1e-13
#: The shift of a Gram matrix that is not positive definite grows so much, so many times at most:
#: from the round-off of single precision to the size of the matrix.
GROWTH, SHIFTS = 16.0, 7
#: Mean cross-entropy that means, without a ridge, that the coefficients grow without end.
SEPARATED = 1e-8


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class LastLayer:
    """The optimum of the last layer.

    Attributes
    ----------
    coefficients : array, shape (P, Q)
    loss : scalar
    gradient : scalar
        Euclidean norm of the gradient of the loss (of means: times Σw it is that of the sum).
    rank : integer
        Functions independent on the weighted rows, to 1e-13.
    singular_values : array, shape (P,)
        Of the weighted rows √w Φ, descending.
    steps, products : integers
        Newton steps, and products with the Hessian in all of them.
    """

    coefficients: Array
    loss: Array
    gradient: Array
    rank: Array
    singular_values: Array
    steps: Array
    products: Array


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class _Iterate:
    u: Array
    loss: Array
    gradient: Array
    steps: Array
    products: Array
    stalled: Array


@dataclasses.dataclass(frozen=True)
class _Rotated:
    # The loss as a function of u; ``functions`` B is (N, P), ``s`` the norms of its columns.
    objective: CrossEntropy
    functions: Array
    s: Array

    @classmethod
    def of(cls, objective: CrossEntropy, phi: Array) -> tuple[_Rotated, lstsq.Factorization]:
        xp = namespace(phi)
        triangle = lstsq.triangularize(xp.sqrt(objective.weight)[:, None] * phi)
        factors = lstsq.factorize(triangle, lstsq.RCOND, unit=False)
        kept = factors.kept
        functions = xp.where(kept, phi @ factors.vt.T, 0.0)
        return cls(objective, functions, xp.where(kept, factors.s, 0.0)), factors

    def loss(self, u: Array) -> Array:
        return self.objective.value(self.functions @ u, u)

    def gradient(self, u: Array) -> Array:
        slope = self.objective.slope(self.functions @ u)
        return self.functions.T @ slope + self.objective.ridge * u

    def hessian(self, p: Array) -> Callable[[Array], Array]:
        # Return t ↦ H t where the classes' probabilities are p (N, K).
        e, w = self.objective.link, self.objective.weight[:, None]

        def product(t: Array) -> Array:
            z = self.functions @ t @ e
            z = w * p * (z - (p * z).sum(axis=1, keepdims=True))
            return self.functions.T @ (z @ e.T) + self.objective.ridge * t

        return product

    def inverse(self, p: Array) -> Callable[[Array], Array]:
        # Return an approximate H⁻¹: by the reduction of its rows, or its mean diagonal.
        w, xp = self.objective.weight, namespace(p)
        mean = (w[:, None] * p * (1 - p)).sum() / p.shape[1]
        least = np.finfo(p.dtype).eps * (mean * self.s[0] ** 2 + self.objective.ridge)
        if not self._direct(p.shape):
            diagonal = (mean * self.s**2 + self.objective.ridge + least)[:, None]
            return lambda g: g / diagonal
        rows = xp.einsum("np,nqk->nkpq", self.functions, _roots(xp.sqrt(w), p))
        rows = rows.reshape(-1, self.functions.shape[1] * self.objective.n_outputs)
        ridge = xp.sqrt(self.objective.ridge + least) * xp.eye(rows.shape[1], dtype=p.dtype)
        triangle = lstsq.triangularize(xp.concatenate([rows, ridge]))
        return lambda g: lstsq.solve_normal(triangle, g.reshape(-1)).reshape(g.shape)

    def _direct(self, shape: tuple[int, ...]) -> bool:
        columns = self.functions.shape[1] * self.objective.n_outputs
        rows = shape[0] * self.objective.n_outputs + columns
        return 1.0 * rows * columns**2 <= DIRECT_WORK


@dataclasses.dataclass(frozen=True)
class _AsGiven(_Rotated):
    # The loss as a function of c; ``s`` is the Gram matrix of the weighted functions.
    def inverse(self, p: Array) -> Callable[[Array], Array]:
        # Return H⁻¹ for two classes; for more, that of its mean over classes and rows.
        w, phi, gram = self.objective.weight, self.functions, self.s
        if p.shape[1] == 2:
            gram = phi.T @ ((w * p[:, 0] * p[:, 1])[:, None] * phi)
        else:
            gram = gram * ((w[:, None] * p * (1 - p)).sum() / p.shape[1])
        factor = _cholesky(gram, self.objective.ridge)
        return lambda g: cho_solve(factor, g, check_finite=False)


def _cholesky(gram: np.ndarray, ridge: Any) -> Any:
    # Return the Cholesky factor of a Gram matrix and a multiple of 1. Sums over many rows in single
    # precision may leave the matrix indefinite by more than its own round-off: the multiple grows
    # until it is not, which makes steps of an approximate inverse shorter and changes no optimum.
    diagonal, shift = np.diag_indices(len(gram)), np.finfo(gram.dtype).eps * np.trace(gram)
    for _ in range(SHIFTS):
        shifted = gram.copy()
        shifted[diagonal] += ridge + shift
        with contextlib.suppress(np.linalg.LinAlgError):
            return cho_factor(shifted, lower=True, overwrite_a=True, check_finite=False)
        shift = gram.dtype.type(GROWTH * shift)
    return np.sqrt(np.diag(np.diag(gram) + ridge + shift)), True


def _roots(weight: Array, p: Array) -> Array:
    # Return √w E D (N, Q, K), or (N, 1, 1) for two classes, where it is √(w p q).
    xp = namespace(p)
    root = xp.sqrt(p)
    if p.shape[1] == 2:
        return (weight * root[:, 0] * root[:, 1])[:, None, None]
    d = xp.eye(p.shape[1], dtype=p.dtype) - root[:, :, None] * root[:, None, :]
    return weight[:, None, None] * root[:, :, None] * d


def newton(
    objective: CrossEntropy,
    phi: Array,
    start: Array,
    *,
    tol: float | Array = 0.0,
    steps: int = STEPS,
) -> LastLayer:
    """Minimise the loss over the coefficients for given functions.

    Parameters
    ----------
    objective : CrossEntropy
        Labelled points and their loss.
    phi : array, shape (N, P)
        Φ at the objective's points.
    start : array, shape (P, Q)
        Coefficients to start from.
    tol : float
        Stop where a step promises to lower the loss by less than this share; 0 goes on until
        round-off stops the gradient from falling.
    steps : int
        At most so many.

    Returns
    -------
    LastLayer
    """
    xp = namespace(phi)
    rotated, factors = _Rotated.of(objective, phi)
    u = xp.where(factors.kept[:, None], factors.vt @ start, 0.0)
    last = _descended(rotated, u, tol, steps)
    c, gradient = factors.vt.T @ last.u, xp.linalg.norm(last.gradient)
    return LastLayer(c, last.loss, gradient, factors.rank, factors.s, last.steps, last.products)


@dataclasses.dataclass(frozen=True)
class Sampled:
    """Newton steps whose Hessian is that of some rows, for gradients of all: in NumPy."""

    rotated: _Rotated
    factors: lstsq.Factorization

    @classmethod
    def of(cls, objective: CrossEntropy, phi: Any) -> Sampled:
        """Return those of an objective about some rows, its ridge that of all.

        Parameters
        ----------
        objective : CrossEntropy
        phi : array, shape (n, P)
            Φ at the objective's points.
        """
        return cls(*_Rotated.of(objective, phi))

    def step(self, c: np.ndarray, gradient: np.ndarray, loss: float) -> tuple[np.ndarray, float]:
        """Return a step from coefficients (P, Q), and twice the fall of the loss it promises.

        Directions that the functions do not tell apart at these rows are left as they are.

        Parameters
        ----------
        c, gradient : arrays, shape (P, Q)
            Where the step begins, and the gradient of the loss of all rows there.
        loss : float
            Of all rows: the step's accuracy follows from what it promises of that.
        """
        kept, v = self.factors.kept[:, None], self.factors.vt
        u, slope = np.where(kept, v @ c, 0.0), np.where(kept, v @ gradient, 0.0)
        p = softmax(self.rotated.functions @ u @ self.rotated.objective.link)
        about: Any = (u, np.asarray(loss), slope, *(np.asarray(0),) * 3)
        step, _ = _solved(self.rotated.hessian(p), self.rotated.inverse(p), _Iterate(*about))
        return np.asarray(v.T @ step), -float((slope * step).sum())


def ridge_path(
    objective: CrossEntropy, phi: np.ndarray, ridges: Iterable[float], start: Any, tol: float
) -> Iterator[np.ndarray]:
    """Yield coefficients (P, Q) that minimise the loss for one ridge after another, in NumPy.

    Functions are left as they are and their Gram matrix is taken once, in the precision of
    ``phi``: to choose a ridge a few digits do, which single precision has within a quarter of the
    time of :func:`newton`. Rank and singular values are not known.

    Parameters
    ----------
    objective : CrossEntropy
        Of any ridge.
    phi : array, shape (N, P)
    ridges : iterable of float
        In the units of that of the objective. Each begins where the last one ended.
    start : array, shape (P, Q), or None
        Where to begin; by default at 0.
    tol : float
        As for :func:`newton`; above round-off.
    """
    term, dtype = objective.term, phi.dtype
    weight, data = np.asarray(term.points.weight, dtype), np.asarray(term.data, dtype)
    points = dataclasses.replace(term.points, weight=weight)
    term = dataclasses.replace(term, points=points, data=data)
    u = np.zeros((phi.shape[1], objective.n_outputs)) if start is None else start
    gram, u = phi.T @ ((weight / weight.sum())[:, None] * phi), np.asarray(u, dtype)
    for ridge in ridges:
        one = dataclasses.replace(objective, term=term, ridge=dtype.type(ridge))
        loss: Any = _AsGiven(one, phi, gram)  # type: ignore[arg-type]
        u = np.asarray(_descended(loss, u, tol, STEPS).u)  # type: ignore[arg-type]
        yield u


def nearly(objective: CrossEntropy, phi: np.ndarray, tol: float) -> LastLayer:
    """Return about the optimum: coefficients to single precision, the rest computed in double.

    Parameters
    ----------
    objective : CrossEntropy
        With a ridge.
    phi : array, shape (N, P)
    tol : float
        As for :func:`newton`; above round-off of single precision.
    """
    ridges = [float(objective.ridge)]
    (c,) = ridge_path(objective, phi.astype(np.float32), ridges, None, tol)
    c = c.astype(float)
    root = np.sqrt(objective.weight)[:, None]
    s = np.linalg.svd(lstsq.triangularize(root * phi), compute_uv=False)
    loss: Any = _AsGiven(objective, phi, s)  # type: ignore[arg-type]
    gradient, rank = np.linalg.norm(loss.gradient(c)), np.sum(s > lstsq.RCOND * s[0])
    nothing: Any = np.asarray(0)
    return LastLayer(c, loss.loss(c), gradient, rank, s, nothing, nothing)  # type: ignore[arg-type]


def _descended(loss: _Rotated, u: Array, tol: float | Array, steps: int) -> _Iterate:
    xp = namespace(u)
    zero = xp.asarray(0)
    first = _Iterate(u, loss.loss(u), loss.gradient(u), zero, zero, xp.asarray(False))
    return while_loop(
        lambda now: (now.steps < steps) & ~now.stalled, lambda now: _step(loss, now, tol), first
    )


def average_layers(layers: Sequence[LastLayer]) -> LastLayer:
    """Return the layer whose scores are the mean of those of several blocks of functions.

    Losses and gradients are averaged, which bounds those of the mean's loss.
    """
    xp = namespace(layers[0].coefficients)

    def mean(name: str) -> Array:
        return xp.mean(xp.stack([getattr(layer, name) for layer in layers]))

    return LastLayer(
        xp.concatenate([layer.coefficients for layer in layers]) / len(layers),
        mean("loss"),
        mean("gradient"),
        xp.sum(xp.stack([layer.rank for layer in layers])),
        -xp.sort(-xp.concatenate([layer.singular_values for layer in layers])),
        xp.max(xp.stack([layer.steps for layer in layers])),
        xp.sum(xp.stack([layer.products for layer in layers])),
    )


def _step(rotated: _Rotated, now: _Iterate, tol: float | Array) -> _Iterate:
    # Take one damped step; stalled is a point where none would tell.
    objective, xp = rotated.objective, namespace(now.u)
    p = softmax(rotated.functions @ now.u @ objective.link)
    step, products = _solved(rotated.hessian(p), rotated.inverse(p), now)
    decrement = -(now.gradient * step).sum()
    hidden = decrement <= ROUND_OFF * now.loss

    def unfinished(carry: Any) -> Array:
        length, loss, halvings = carry
        enough = loss <= now.loss - ARMIJO * length * decrement
        return ~(enough | hidden) & (halvings < HALVINGS)

    def halve(carry: Any) -> Any:
        length, _, halvings = carry
        length = length / 2
        return length, rotated.loss(now.u + length * step), halvings + 1

    whole = (xp.ones_like(decrement), rotated.loss(now.u + step), xp.asarray(0))
    length, loss, halvings = while_loop(unfinished, halve, whole)
    u = now.u + length * step
    gradient = rotated.gradient(u)
    falls = xp.linalg.norm(gradient) < xp.linalg.norm(now.gradient)
    good = xp.isfinite(loss) & (decrement > 0) & xp.where(hidden, falls, halvings < HALVINGS)
    slow = xp.linalg.norm(gradient) > 0.5 * xp.linalg.norm(now.gradient)
    separated = (objective.ridge == 0) & (loss < SEPARATED)
    stalled = ~good | (hidden & slow) | (decrement <= tol * now.loss) | separated
    u, loss, gradient = (
        xp.where(good, new, old)
        for new, old in ((u, now.u), (loss, now.loss), (gradient, now.gradient))
    )
    return _Iterate(u, loss, gradient, now.steps + 1, now.products + products, stalled)


def _solved(
    hessian: Callable[[Array], Array], inverse: Callable[[Array], Array], now: _Iterate
) -> tuple[Array, Array]:
    # Return a step H t ≈ −gradient by preconditioned conjugate gradients, and the products.
    xp = namespace(now.u)
    z = inverse(-now.gradient)
    first = (-now.gradient * z).sum()
    accuracy = xp.clip(xp.sqrt(first / now.loss), 1e-10, FORCING)

    def unfinished(carry: Any) -> Array:
        i, _, _, _, size = carry
        return (i < PRODUCTS) & (size > accuracy**2 * first)

    def iterate(carry: Any) -> Any:
        i, t, residual, direction, size = carry
        image = hessian(direction)
        curvature = (direction * image).sum()
        length = xp.where(curvature > 0, size / xp.where(curvature > 0, curvature, 1.0), 0.0)
        t, residual = t + length * direction, residual - length * image
        z = inverse(residual)
        now = xp.where(curvature > 0, (residual * z).sum(), 0.0)
        return i + 1, t, residual, z + now / size * direction, now

    start = (xp.asarray(0), xp.zeros_like(z), -now.gradient, z, first)
    products, t, *_ = while_loop(unfinished, iterate, start)
    return t, products

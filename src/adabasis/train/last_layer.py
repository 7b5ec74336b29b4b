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

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array

from .. import lstsq
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
            z = w * p * (z - jnp.sum(p * z, axis=1, keepdims=True))
            return self.functions.T @ (z @ e.T) + self.objective.ridge * t

        return product

    def inverse(self, p: Array) -> Callable[[Array], Array]:
        # Return an approximate H⁻¹: by the reduction of its rows, or its mean diagonal.
        w = self.objective.weight
        mean = jnp.sum(w[:, None] * p * (1 - p)) / p.shape[1]
        least = jnp.finfo(p.dtype).eps * (mean * self.s[0] ** 2 + self.objective.ridge)
        if not self._direct(p.shape):
            diagonal = (mean * self.s**2 + self.objective.ridge + least)[:, None]
            return lambda g: g / diagonal
        rows = jnp.einsum("np,nqk->nkpq", self.functions, _roots(jnp.sqrt(w), p))
        rows = rows.reshape(-1, self.functions.shape[1] * self.objective.n_outputs)
        ridge = jnp.sqrt(self.objective.ridge + least) * jnp.eye(rows.shape[1], dtype=p.dtype)
        triangle = lstsq.triangularize(jnp.concatenate([rows, ridge]))
        return lambda g: lstsq.solve_normal(triangle, g.reshape(-1)).reshape(g.shape)

    def _direct(self, shape: tuple[int, ...]) -> bool:
        columns = self.functions.shape[1] * self.objective.n_outputs
        rows = shape[0] * self.objective.n_outputs + columns
        return 1.0 * rows * columns**2 <= DIRECT_WORK


def _roots(weight: Array, p: Array) -> Array:
    # Return √w E D (N, Q, K), or (N, 1, 1) for two classes, where it is √(w p q).
    root = jnp.sqrt(p)
    if p.shape[1] == 2:
        return (weight * root[:, 0] * root[:, 1])[:, None, None]
    d = jnp.eye(p.shape[1], dtype=p.dtype) - root[:, :, None] * root[:, None, :]
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
    phi : array, shape (N, P)
        Φ at the objective's points.
    start : array, shape (P, Q)
    tol : float
        Stop where a step promises to lower the loss by less than this share; 0 goes on until
        round-off stops the gradient from falling.
    steps : int
        At most so many.

    Returns
    -------
    LastLayer
    """
    triangle = lstsq.triangularize(jnp.sqrt(objective.weight)[:, None] * phi)
    factors = lstsq.factorize(triangle, lstsq.RCOND, unit=False)
    s, vt, kept = factors.s, factors.vt, factors.kept
    rotated = _Rotated(objective, jnp.where(kept, phi @ vt.T, 0.0), jnp.where(kept, s, 0.0))
    u = jnp.where(kept[:, None], vt @ start, 0.0)
    zero = jnp.asarray(0)
    first = _Iterate(u, rotated.loss(u), rotated.gradient(u), zero, zero, jnp.asarray(False))
    last = jax.lax.while_loop(
        lambda now: (now.steps < steps) & ~now.stalled, lambda now: _step(rotated, now, tol), first
    )
    gradient = jnp.linalg.norm(last.gradient)
    c = vt.T @ last.u
    return LastLayer(c, last.loss, gradient, factors.rank, s, last.steps, last.products)


def average_layers(layers: Sequence[LastLayer]) -> LastLayer:
    """Return the layer whose scores are the mean of those of several blocks of functions.

    Losses and gradients are averaged, which bounds those of the mean's loss.
    """

    def mean(name: str) -> Array:
        return jnp.mean(jnp.stack([getattr(layer, name) for layer in layers]))

    return LastLayer(
        jnp.concatenate([layer.coefficients for layer in layers]) / len(layers),
        mean("loss"),
        mean("gradient"),
        jnp.sum(jnp.stack([layer.rank for layer in layers])),
        -jnp.sort(-jnp.concatenate([layer.singular_values for layer in layers])),
        jnp.max(jnp.stack([layer.steps for layer in layers])),
        jnp.sum(jnp.stack([layer.products for layer in layers])),
    )


def _step(rotated: _Rotated, now: _Iterate, tol: float | Array) -> _Iterate:
    # Take one damped step; stalled is a point where none would tell.
    objective = rotated.objective
    p = jax.nn.softmax(rotated.functions @ now.u @ objective.link, axis=1)
    step, products = _solved(rotated.hessian(p), rotated.inverse(p), now)
    decrement = -jnp.sum(now.gradient * step)
    hidden = decrement <= ROUND_OFF * now.loss

    def unfinished(carry: Any) -> Array:
        length, loss, halvings = carry
        enough = loss <= now.loss - ARMIJO * length * decrement
        return ~(enough | hidden) & (halvings < HALVINGS)

    def halve(carry: Any) -> Any:
        length, _, halvings = carry
        length = length / 2
        return length, rotated.loss(now.u + length * step), halvings + 1

    whole = (jnp.ones_like(decrement), rotated.loss(now.u + step), jnp.asarray(0))
    length, loss, halvings = jax.lax.while_loop(unfinished, halve, whole)
    u = now.u + length * step
    gradient = rotated.gradient(u)
    falls = jnp.linalg.norm(gradient) < jnp.linalg.norm(now.gradient)
    good = jnp.isfinite(loss) & (decrement > 0) & jnp.where(hidden, falls, halvings < HALVINGS)
    slow = jnp.linalg.norm(gradient) > 0.5 * jnp.linalg.norm(now.gradient)
    separated = (objective.ridge == 0) & (loss < SEPARATED)
    stalled = ~good | (hidden & slow) | (decrement <= tol * now.loss) | separated
    u, loss, gradient = (
        jnp.where(good, new, old)
        for new, old in ((u, now.u), (loss, now.loss), (gradient, now.gradient))
    )
    return _Iterate(u, loss, gradient, now.steps + 1, now.products + products, stalled)


def _solved(
    hessian: Callable[[Array], Array], inverse: Callable[[Array], Array], now: _Iterate
) -> tuple[Array, Array]:
    # Return a step H t ≈ −gradient by preconditioned conjugate gradients, and the products.
    z = inverse(-now.gradient)
    first = jnp.sum(-now.gradient * z)
    accuracy = jnp.clip(jnp.sqrt(first / now.loss), 1e-10, FORCING)

    def unfinished(carry: Any) -> Array:
        i, _, _, _, size = carry
        return (i < PRODUCTS) & (size > accuracy**2 * first)

    def iterate(carry: Any) -> Any:
        i, t, residual, direction, size = carry
        image = hessian(direction)
        curvature = jnp.sum(direction * image)
        length = jnp.where(curvature > 0, size / jnp.where(curvature > 0, curvature, 1.0), 0.0)
        t, residual = t + length * direction, residual - length * image
        z = inverse(residual)
        now = jnp.where(curvature > 0, jnp.sum(residual * z), 0.0)
        return i + 1, t, residual, z + now / size * direction, now

    start = (jnp.asarray(0), jnp.zeros_like(z), -now.gradient, z, first)
    products, t, *_ = jax.lax.while_loop(unfinished, iterate, start)
    return t, products

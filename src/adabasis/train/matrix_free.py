"""The damped Gauss–Newton step without its matrix: conjugate gradients on products with it.

The matrix K = P⊥J has a row for each row of the problem and a column for each entry of ξ. A product
K s is one forward-mode pass and a projection, Kᵀu a projection and one reverse pass. Conjugate
gradients on the least-squares problem min ‖K s + ρ‖² + damping ‖D s‖² [1]_ need a few dozen of
either; K is never formed. An inexact step is as good as an exact one while the loss falls.

References
----------
.. [1] Hestenes, Stiefel, "Methods of conjugate gradients for solving linear systems", J. Res. NBS
   49 (1952), §10 (CGLS).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array

from .._runtime.notation import Parameters
from .base import Objective

#: Most iterations, and the fall of the gradient of the damped linear problem that ends them.
ITERATIONS, ACCURACY = 100, 1e-3
#: Random signs from which the norms of K's columns are estimated.
PROBES = 8


def products(
    objective: Objective, unravel: Callable[[Array], Parameters], flat: Array, c: Array, span: Array
) -> tuple[Callable[[Array], Array], Callable[[Array], Array]]:
    """Return s ↦ K s and u ↦ Kᵀu at a flat ξ; ``span`` (N + P, P) is what is projected off.

    The last P rows are those of the ridge, where J is zero.
    """
    predicted = objective.predictions(unravel(flat), c)
    value, tangent = jax.linearize(lambda flat: predicted(unravel(flat)), flat)
    cotangent = jax.linear_transpose(tangent, flat)
    n_rows, outputs = value.shape
    root = jnp.sqrt(1.0 * outputs)

    def outside(u: Array) -> Array:
        return u - span @ (span.T @ u)

    def forward(s: Array) -> Array:
        below = jnp.zeros((span.shape[0] - n_rows, outputs), value.dtype)
        return outside(jnp.concatenate([tangent(s), below])) / root

    def backward(u: Array) -> Array:
        return cotangent(outside(u)[:n_rows] / root)[0]

    return forward, backward


def estimated_norms(
    backward: Callable[[Array], Array], shape: tuple[int, ...], dtype: jnp.dtype
) -> Array:
    """Estimate ‖K e_j‖ for all j: E (Kᵀz)² = diag KᵀK for random signs z."""
    keys = jax.random.split(jax.random.key(0), PROBES)
    squares = jax.lax.map(lambda k: backward(jax.random.rademacher(k, shape, dtype)) ** 2, keys)
    return jnp.sqrt(jnp.mean(squares, axis=0))


def damped_step(
    forward: Callable[[Array], Array],
    backward: Callable[[Array], Array],
    rho: Array,
    scale: Array,
    damping: Array,
) -> tuple[Array, Array]:
    """Return s that minimises ‖K s + ρ‖² + damping ‖D s‖², and the fall of ‖K s + ρ‖² by it."""
    t, image = cgls(lambda t: forward(t / scale), lambda u: backward(u) / scale, -rho, damping)
    return t / scale, jnp.sum(image**2) + 2 * damping * jnp.sum(t**2)


def cgls(
    forward: Callable[[Array], Array],
    backward: Callable[[Array], Array],
    b: Array,
    damping: Array,
) -> tuple[Array, Array]:
    """Minimise ‖K t − b‖² + damping ‖t‖² from t = 0; return t and K t."""
    gradient = backward(b)
    first = jnp.sum(gradient**2)

    def unfinished(carry: Any) -> Array:
        i, _, _, _, square, _ = carry
        return (i < ITERATIONS) & (square > ACCURACY**2 * first)

    def iterate(carry: Any) -> Any:
        i, t, residual, direction, square, gradient = carry
        image = forward(direction)
        length = square / (jnp.sum(image**2) + damping * jnp.sum(direction**2))
        t, residual = t + length * direction, residual - length * image
        gradient = backward(residual) - damping * t
        now = jnp.sum(gradient**2)
        return i + 1, t, residual, gradient + now / square * direction, now, gradient

    start: Any = (jnp.asarray(0), jnp.zeros_like(gradient), b, gradient, first, gradient)
    _, t, residual, *_ = jax.lax.while_loop(unfinished, iterate, start)
    return t, b - residual

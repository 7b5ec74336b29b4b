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

import dataclasses
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array
from jax.flatten_util import ravel_pytree

from .._runtime.notation import Parameters
from .project import FIRST_RIDGE, NO_PROGRESS, Spectrum, damped, lowered, projected_loss
from .steps import Evaluation, Objective

ITERATIONS = 100
ACCURACY = 1e-3
"""Fall of the gradient of the damped linear problem at which its iteration ends."""
PROBES = 8
"""Random signs from which the norms of K's columns are estimated."""


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class MatrixFreeState:
    """Everything a run needs to go on; see :class:`adabasis.train.gauss_newton.GaussNewtonState`.

    There is no linear model to keep: after a rejected step it is made again at ``good``.
    """

    trial: Parameters
    good: Array
    loss: Array
    ridge: Array
    scale: Array
    damping: Array
    growth: Array
    predicted: Array


def start(parameters: Parameters, damping: float) -> MatrixFreeState:
    """Return the state of a run that starts at ``parameters`` with that damping."""
    flat, _ = ravel_pytree(parameters)

    def number(value: float) -> Array:
        return jnp.asarray(value, flat.dtype)

    return MatrixFreeState(
        trial=parameters,
        good=flat,
        loss=number(jnp.inf),
        ridge=number(FIRST_RIDGE),
        scale=jnp.zeros_like(flat),
        damping=number(damping),
        growth=number(2.0),
        predicted=number(1.0),
    )


def step(objective: Objective, state: MatrixFreeState) -> tuple[MatrixFreeState, Evaluation]:
    """Evaluate the trial, accept or reject it, and propose the next."""
    trial = state.trial
    flat, unravel = ravel_pytree(trial)
    a, b = objective.design(trial), objective.targets
    spectrum = Spectrum.of(a, b)
    ridge = spectrum.weight(state.ridge, objective.ridge)
    c = spectrum.coefficients(ridge)
    loss = projected_loss(a @ c - b, c, ridge)
    accepted, first = loss < state.loss, jnp.isinf(state.loss)
    easier = damped(state.damping, (state.loss - loss) / state.predicted, first)
    state = dataclasses.replace(
        state,
        good=jnp.where(accepted, flat, state.good),
        ridge=jnp.where(accepted, lowered(state.ridge, first), state.ridge),
        damping=jnp.where(accepted, easier, state.damping * state.growth),
        growth=jnp.where(accepted, 2.0, 2 * state.growth),
    )
    state = _propose(objective, state, unravel, accepted)
    stuck = ~(state.predicted > NO_PROGRESS * state.loss)
    return state, Evaluation(loss, trial, c, spectrum.rank, state.damping, stuck)


def _propose(
    objective: Objective,
    state: MatrixFreeState,
    unravel: Callable[[Array], Parameters],
    accepted: Array,
) -> MatrixFreeState:
    """Linearise at the good point, solve the damped problem there, and step to the next trial."""
    parameters = unravel(state.good)
    a, b = objective.design(parameters), objective.targets
    spectrum = Spectrum.of(a, b)
    ridge = spectrum.weight(state.ridge, objective.ridge)
    c = spectrum.coefficients(ridge)
    residual = a @ c - b
    loss = projected_loss(residual, c, ridge)
    outputs = b.shape[1]
    rho = jnp.concatenate([residual, jnp.sqrt(ridge) * c]) / jnp.sqrt(1.0 * outputs)
    forward, backward = _products(objective, parameters, unravel, c, spectrum.orthonormal(a, ridge))
    norms = _column_norms(backward, rho.shape, rho.dtype)
    scale = jnp.where(accepted, jnp.maximum(state.scale, norms), state.scale)
    unit = jnp.where(scale > 0, scale, 1.0)
    t, image = _cgls(lambda t: forward(t / unit), lambda u: backward(u) / unit, -rho, state.damping)
    predicted = jnp.sum(image**2) + 2 * state.damping * jnp.sum(t**2)
    return dataclasses.replace(
        state,
        trial=unravel(state.good + t / unit),
        loss=jnp.where(accepted, loss, state.loss),
        scale=scale,
        predicted=predicted,
    )


def _products(
    objective: Objective,
    parameters: Parameters,
    unravel: Callable[[Array], Parameters],
    c: Array,
    span: Array,
) -> tuple[Callable[[Array], Array], Callable[[Array], Array]]:
    """Return s ↦ K s and u ↦ Kᵀu at ``parameters``; ``span`` (N + P, P) is what is projected off.

    The last P rows are those of the ridge, where J is zero.
    """
    predicted = objective.predictions(parameters, c)
    flat, _ = ravel_pytree(parameters)
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


def _column_norms(
    backward: Callable[[Array], Array], shape: tuple[int, ...], dtype: jnp.dtype
) -> Array:
    """Estimate ‖K e_j‖ for all j: E (Kᵀz)² = diag KᵀK for random signs z."""
    keys = jax.random.split(jax.random.key(0), PROBES)
    squares = jax.lax.map(lambda k: backward(jax.random.rademacher(k, shape, dtype)) ** 2, keys)
    return jnp.sqrt(jnp.mean(squares, axis=0))


def _cgls(
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

"""Equations that are not linear in u: Gauss–Newton on the coefficients of frozen functions.

At u_k = Φ c_k the row of a point is the derivative of N[Φ c](x) in c, and the right-hand side
f − N[u_k] + (row) c_k: the linear problem of the next iterate, reduced and solved as any other.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jax import Array

from .. import lstsq, rows
from ..basis import AbstractBasis
from ..notation import Parameters
from .system import Rows, ridged

MOST_STEPS = 30
HALVINGS = 6
CONVERGED = 1e-2
"""Relative fall of the loss below which a step was the last one."""


@eqx.filter_jit
def linearised(
    basis: AbstractBasis, parameters: Parameters, terms: Sequence[rows.Term], c: Array
) -> tuple[lstsq.Reduction, Array]:
    """Return the reduced rows at c, and the loss there."""
    matrices, targets, loss = [], [], jnp.zeros(())
    for term in terms:
        x, root = jnp.asarray(term.points.x), term.root_weights
        if term.operator.linear:
            jacobian = term.design(basis, parameters)
            value = (jacobian @ c)[:, 0]
        else:

            def image(c: Array, point: Array, term: rows.Term = term) -> Array:
                return term.point_values(basis, parameters, c)(point)[0]

            value, jacobian = jax.vmap(jax.value_and_grad(image), in_axes=(None, 0))(c, x)
            jacobian = jacobian[..., 0]
        residual = term.targets[:, 0] - value
        loss = loss + jnp.sum((root * residual) ** 2)
        matrices.append(root[:, None] * jacobian)
        targets.append(root * (residual + (jacobian @ c)[:, 0]))
    block = jnp.concatenate(targets)[:, None]
    return lstsq.reduce(jnp.concatenate(matrices), block), loss


@eqx.filter_jit
def _solved(reduction: lstsq.Reduction) -> Array:
    return ridged(reduction)


def newton(basis: AbstractBasis, parameters: Parameters, found: Rows, weight: float) -> Any:
    """Return coefficients (P, 1) that minimise the loss, from u = 0 by damped steps."""
    terms = found.weighted(weight)
    n = jax.eval_shape(lambda: terms[-1].design(basis, parameters)).shape[1]
    c = jnp.zeros((n, 1))
    reduction, loss = linearised(basis, parameters, terms, c)
    for _ in range(MOST_STEPS):
        target, step = _solved(reduction), 1.0
        for _ in range(HALVINGS):
            trial = c + step * (target - c)
            next_reduction, next_loss = linearised(basis, parameters, terms, trial)
            if float(next_loss) < float(loss):
                break
            step /= 2
        else:
            return c
        gain = 1 - float(next_loss) / float(loss)
        c, reduction, loss = trial, next_reduction, next_loss
        if gain < CONVERGED:
            break
    return c

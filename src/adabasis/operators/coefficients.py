r"""The coefficients of a linear differential operator, :math:`Lu = \sum_\beta a_\beta D^\beta u`.

They are had from any operator, however it is written: of all :math:`(y - x)^\gamma / \gamma!` only
that with :math:`\gamma = \beta` has a derivative :math:`D^\beta` at x, which is 1. So the image of
that monomial at x is :math:`a_\beta(x)`. Functions whose derivatives are known need no automatic
differentiation then.
"""

from __future__ import annotations

import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from .._runtime.compute import double_precision, quickly
from ..basis.pou.polynomial import multi_indices
from .base import AbstractOperator, Identity

#: Points at once: few or many, padded, so that an operator compiles twice at most.
FEW, MANY = 64, 2048
#: Share of the image of a wave that its derivatives at the point do not explain.
NOT_LOCAL = 1e-8
#: Points and waves at which that is tried, wave numbers of half a turn to two along the box.
TRIED, WAVES = 4, 5


def differential_orders(operator: AbstractOperator, n_inputs: int) -> np.ndarray:
    """Return all β with |β| at most the operator's order, (K, D)."""
    return multi_indices(n_inputs, operator.order)


def differential_coefficients(operator: AbstractOperator, x: np.ndarray) -> np.ndarray:
    """Return a_β at N points, (N, K), for the β of :func:`differential_orders`.

    Parameters
    ----------
    operator : AbstractOperator
        Linear, bound to its coordinates, taking derivatives at the point alone:
        :func:`is_differential` tells.
    x : array, shape (N, D)
    """
    if isinstance(operator, Identity):
        return np.ones((len(x), 1))
    orders = differential_orders(operator, x.shape[1])
    at_once = FEW if len(x) <= FEW else MANY
    key = tuple(map(tuple, orders.tolist()))
    with double_precision():
        chunks = []
        for chunk in np.split(x, range(at_once, len(x), at_once)):
            padding = np.broadcast_to(chunk[:1], (at_once - len(chunk), x.shape[1]))
            filled = jnp.asarray(np.concatenate([chunk, padding]))
            chunks.append(np.asarray(_images(operator, key, filled))[: len(chunk)])
    return np.concatenate(chunks)


def is_differential(operator: AbstractOperator, bounds: np.ndarray) -> bool:
    """Whether an operator takes derivatives at the point alone: no integrals, no other places."""
    if isinstance(operator, Identity):
        return True
    rng = np.random.default_rng(0)
    lower, upper = bounds.T
    x = rng.uniform(lower, upper, (TRIED, len(bounds)))
    k = rng.uniform(np.pi, 4 * np.pi, (WAVES, len(bounds))) / (upper - lower)
    phase = x @ k.T
    orders = differential_orders(operator, len(bounds))
    with double_precision():
        images = np.asarray(_of_waves(operator, jnp.asarray(k), jnp.asarray(x)))
    derivatives = np.prod(k[:, None, :] ** orders, axis=2)[None] * np.sin(
        phase[:, :, None] + np.pi / 2 * orders.sum(axis=1)
    )
    terms = differential_coefficients(operator, x)[:, None, :] * derivatives
    off = np.abs(images - terms.sum(axis=2))
    return bool((off <= NOT_LOCAL * np.abs(terms).sum(axis=2).max()).all())


@quickly(once=True)
def _images(operator: AbstractOperator, orders: Any, x: Array) -> Array:
    def at(point: Array) -> Array:
        def monomials(y: Array) -> Array:
            step = y - point
            found = []
            for order in orders:
                one = jnp.ones((), y.dtype)
                for i, k in enumerate(order):
                    one = one * step[i] ** k / math.factorial(k) if k else one
                found.append(one)
            return jnp.stack(found)

        return operator(monomials)(point)

    return jax.vmap(at)(x)


@quickly(once=True)
def _of_waves(operator: AbstractOperator, k: Array, x: Array) -> Array:
    return jax.vmap(operator(lambda y: jnp.sin(k @ y)))(x)

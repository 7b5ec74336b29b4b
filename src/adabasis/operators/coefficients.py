r"""The coefficients of a linear differential operator, :math:`Lu = \sum_\beta a_\beta D^\beta u`.

They are had from any operator, however it is written: of all :math:`(y - x)^\gamma / \gamma!` only
that with :math:`\gamma = \beta` has a derivative :math:`D^\beta` at x, which is 1. So the image of
that monomial at x is :math:`a_\beta(x)`. Functions whose derivatives are known need no automatic
differentiation then. An operator that is not linear is a function of those derivatives, whose
slopes are the coefficients of its linearisation.
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


def linearisation(
    operator: AbstractOperator, x: np.ndarray, jets: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return N[u] at N points, (N,), and a_β of its derivative at u for each unknown, (N, B, K).

    An operator that takes derivatives at the point alone is a function of these; its slopes are the
    coefficients of the linear equation that a Newton step solves.

    Parameters
    ----------
    operator : AbstractOperator
        Bound to its coordinates, linear or not, of B unknowns.
    x : array, shape (N, D)
    jets : array, shape (N, B, K)
        D^β u_b, for the β of :func:`differential_orders`.
    """
    orders = differential_orders(operator, x.shape[1])
    at_once = FEW if len(x) <= FEW else MANY
    key = tuple(map(tuple, orders.tolist()))
    with double_precision():
        values, slopes = [], []
        for start in range(0, len(x), at_once):
            rows = slice(start, start + at_once)
            count = len(x[rows])
            filled = [
                jnp.asarray(np.concatenate([a[rows], np.repeat(a[rows][:1], at_once - count, 0)]))
                for a in (x, jets)
            ]
            found = _slopes(operator, key, *filled)
            values.append(np.asarray(found[0])[:count])
            slopes.append(np.asarray(found[1])[:count])
    return np.concatenate(values), np.concatenate(slopes)


def is_differential(operator: AbstractOperator, bounds: np.ndarray, n_unknowns: int = 1) -> bool:
    """Whether an operator takes derivatives at the point alone: no integrals, no other places."""
    if isinstance(operator, Identity):
        return True
    rng = np.random.default_rng(0)
    lower, upper = bounds.T
    x = rng.uniform(lower, upper, (TRIED, len(bounds)))
    k = rng.uniform(np.pi, 4 * np.pi, (WAVES, n_unknowns, len(bounds))) / (upper - lower)
    orders = differential_orders(operator, len(bounds))
    with double_precision():
        images = np.asarray(_of_waves(operator, jnp.asarray(k), jnp.asarray(x)))
    phase = np.einsum("wbd,nd->wnb", k, x)[..., None] + np.pi / 2 * orders.sum(axis=1)
    jets = np.prod(k[:, None, :, None] ** orders, axis=4) * np.sin(phase)
    each = [linearisation(operator, x, jet) for jet in jets]
    values = np.stack([value for value, _ in each], axis=1)
    terms = [np.abs(a * jet).sum(axis=(1, 2)) for (_, a), jet in zip(each, jets, strict=True)]
    return bool((np.abs(images - values) <= NOT_LOCAL * np.max(terms)).all())


def monomials(orders: Any, step: Array) -> Array:
    """Return step^β / β! for the β, (K,)."""
    found = []
    for order in orders:
        one = jnp.ones((), step.dtype)
        for i, k in enumerate(order):
            one = one * step[i] ** k / math.factorial(k) if k else one
        found.append(one)
    return jnp.stack(found)


@quickly(once=True)
def _images(operator: AbstractOperator, orders: Any, x: Array) -> Array:
    return jax.vmap(lambda point: operator(lambda y: monomials(orders, y - point))(point))(x)


@quickly(once=True)
def _slopes(operator: AbstractOperator, orders: Any, x: Array, jets: Array) -> tuple[Array, Array]:
    def at(point: Array, jet: Array) -> tuple[Array, Array]:
        def value(c: Array) -> Array:
            def u(y: Array) -> Array:
                values = c @ monomials(orders, y - point)
                return values[0] if len(c) == 1 else values

            return operator(u)(point)

        return jax.value_and_grad(value)(jet)

    return jax.vmap(at)(x, jets)


@quickly(once=True)
def _of_waves(operator: AbstractOperator, k: Array, x: Array) -> Array:
    def image(point: Array, wave: Array) -> Array:
        def u(y: Array) -> Array:
            values = jnp.sin(wave @ y)
            return values[0] if len(wave) == 1 else values

        return operator(u)(point)

    return jax.vmap(lambda point: jax.vmap(lambda wave: image(point, wave))(k))(x)

r"""Rows of linear differential operators on functions whose derivatives are known, in NumPy.

With :math:`L u = \sum_\beta a_\beta D^\beta u` and functions :math:`\varphi = g(w \cdot x + b)`,

.. math:: L \varphi = \sum_k g^{(k)}(w \cdot x + b) \sum_{|\beta| = k} a_\beta w^\beta,

one product of matrices for each order k. Nothing is differentiated or compiled but the monomials
that tell the :math:`a_\beta`, and what theory has added to the functions.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from numpy.polynomial import Polynomial as Powers

from .._runtime.compute import quickly
from ..basis import AbstractBasis, FrozenFeatures, MappedBasis
from ..basis.enriched import EnrichedBasis, column_mask
from ..geometry.points import AffineMap
from ..operators import (
    AbstractOperator,
    Biharmonic,
    Component,
    Coupled,
    Directional,
    Identity,
    Laplacian,
    NormalDerivative,
    Partial,
)
from ..operators.base import Composed, Scaled, Sum
from ..operators.coefficients import differential_orders, monomials
from ..operators.derivatives import Along
from .terms import AbstractTerm, Term, alike, at_spot, design, spots

#: Operators that take derivatives at a point alone, of those that they are made of.
LOCAL = (
    *(Identity, Partial, Laplacian, Biharmonic, NormalDerivative, Directional, Along),
    *(Component, Coupled, Sum, Scaled, Composed),
)
#: Numbers of an array at once: what fits in a cache of a few MB is the fastest.
AT_ONCE = 2**18

#: Values and derivatives of an array, up to an order.
Derivatives = Callable[[np.ndarray, int], list[np.ndarray]]
#: (Lφ at N points) from parameters, coefficients a (N, K), the β (K, D), and points (N, D).
Images = Callable[[Any, np.ndarray, np.ndarray, np.ndarray], np.ndarray]


def rows_in_closed_form(
    terms: Sequence[AbstractTerm], basis: AbstractBasis, parameters: Any
) -> np.ndarray | None:
    """Return the weighted matrix of all terms, (rows, C); ``None`` where all has to be compiled.

    That is inside a function that is being compiled, for functions whose derivatives are not
    known here, and where no operator takes derivatives at a point alone.
    """
    images = _images_of(basis)
    leaves = jax.tree.leaves((parameters, list(terms)))
    if images is None or any(isinstance(leaf, jax.core.Tracer) for leaf in leaves):
        return None
    groups = alike(terms)
    local = [isinstance(like[0], Term) and _is_local(like[0].operator) for like in groups]
    if not any(local):
        return None
    given, parameters, blocks = parameters, jax.tree.map(np.asarray, parameters), []
    for like, known in zip(groups, local, strict=True):
        if not known:
            blocks.append(np.asarray(_compiled(like, basis, given)))
            continue
        operator = like[0].operator  # type: ignore[attr-defined]
        points = jax.tree.map(
            lambda *parts: np.concatenate(parts), *[spots(t.points) for t in like]
        )
        weights = np.concatenate([np.asarray(t.root_weights) for t in like])
        blocks.append(weights[:, None] * _rows(operator, images, basis, parameters, points))
    return np.concatenate(blocks)


@quickly()
def _compiled(terms: Sequence[AbstractTerm], basis: AbstractBasis, parameters: Any) -> Array:
    return design(terms, basis, parameters)


def _rows(
    operator: Any, images: Images, basis: AbstractBasis, parameters: Any, points: Any
) -> np.ndarray:
    """Return LΦ at N of :func:`adabasis.rows.spots`, (N, B·P)."""
    x = np.asarray(points[0] if isinstance(points, tuple) else points)
    orders, count = differential_orders(operator, x.shape[1]), operator.n_unknowns
    key = tuple(map(tuple, orders.tolist()))
    told = np.asarray(_coefficients(operator, key, jax.tree.map(jnp.asarray, points)))
    each: list[np.ndarray | None] = []
    for a in told.reshape(len(x), count, -1).transpose(1, 0, 2):
        used = np.any(a != 0, axis=0)
        each.append(images(parameters, a[:, used], orders[used], x) if used.any() else None)
    known = [one for one in each if one is not None]
    nothing = np.zeros_like(known[0] if known else images(parameters, a, orders, x))
    whole = np.concatenate([nothing if one is None else one for one in each], axis=1)
    mask = column_mask(basis, count) if count > 1 else None
    return whole if mask is None else whole * mask


def _is_local(operator: Any) -> bool:
    def local(one: Any) -> bool:
        def is_other(node: Any) -> bool:
            return isinstance(node, AbstractOperator) and node is not one

        inside = [part for part in jax.tree.leaves(one, is_leaf=is_other) if is_other(part)]
        return type(one) in LOCAL and all(map(local, inside))

    return operator.linear and local(operator)


@quickly(once=True)
def _coefficients(operator: Any, orders: Any, points: Any) -> Array:
    """Return a_β at N points, (N, B·K): the images of monomials."""

    def at(spot: Any) -> Array:
        here, point = at_spot(operator, spot)
        return here.columns(lambda y: monomials(orders, y - point))(point)

    return jax.vmap(at)(points)


def _images_of(basis: AbstractBasis) -> Images | None:
    """Return how to evaluate images of a basis, if its derivatives are known.

    Others than those here may have a method ``images``.
    """
    if isinstance(basis, MappedBasis):
        inner = _images_of(basis.inner)
        return None if inner is None else _mapped(inner, basis.map)
    if isinstance(basis, EnrichedBasis):
        inner = _images_of(basis.inner)
        return None if inner is None else _enriched(inner, basis)
    if type(basis) is FrozenFeatures and basis.activation in DERIVATIVES:
        return functools.partial(images_of_features, DERIVATIVES[basis.activation])
    own: Images | None = getattr(basis, "images", None)
    return own


def _mapped(inner: Images, to: Any) -> Images:
    map_ = AffineMap(np.asarray(to.shift), np.asarray(to.scale))

    def images(parameters: Any, a: np.ndarray, orders: np.ndarray, x: np.ndarray) -> np.ndarray:
        chained = a / np.prod(map_.scale**orders, axis=1)
        return inner(parameters, chained, orders, map_(x))

    return images


def _enriched(inner: Images, basis: EnrichedBasis) -> Images:
    back = AffineMap(np.array(basis.shift), np.array(basis.scale))

    def images(parameters: Any, a: np.ndarray, orders: np.ndarray, z: np.ndarray) -> np.ndarray:
        x = back.inverse(z)
        # Those added are functions of x, whose derivatives along z are those along x times sides.
        along_x = a * np.prod(back.scale**orders, axis=1)
        tables = _derivatives(basis.added, int(orders.sum(axis=1).max()), jnp.asarray(x))
        added = np.zeros((len(x), basis.n_added))
        for column, order in zip(along_x.T, orders.tolist(), strict=True):
            table = np.asarray(tables[sum(order)])
            for axis in (axis for axis, times in enumerate(order) for _ in range(times)):
                table = table[:, :, axis]
            added += column[:, None] * table
        return np.concatenate([added, inner(parameters, a, orders, z)], axis=1)

    return images


@quickly(once=True)
def _derivatives(added: Any, order: int, x: Array) -> list[Array]:
    """Return the values (N, P) of what was added, first derivatives (N, P, D), and so on."""

    def function(point: Array) -> Array:
        return jnp.concatenate([one.at(point, jnp) for one in added])

    functions = [function]
    for _ in range(order):
        functions.append(jax.jacfwd(functions[-1]))
    return [jax.vmap(one)(x) for one in functions]


def images_of_features(
    activation: Derivatives, parameters: Any, a: np.ndarray, orders: np.ndarray, x: np.ndarray
) -> np.ndarray:
    """Return Σ a_β D^β of σ(w·x + b), 1 and x at N points, (N, P)."""
    weight, (n, d) = parameters.weight, x.shape
    total, width = orders.sum(axis=1), len(parameters.weight)
    found = np.zeros((n, width + 1 + d))
    slopes = np.prod(weight[:, None, :] ** orders, axis=2).T  # w^β, (K, width)
    at_once = max(1, AT_ONCE // width)
    for start in range(0, n, at_once):
        rows = slice(start, start + at_once)
        derivatives = activation(parameters.values(x[rows]), int(total.max()))
        for k in np.unique(total):
            share = a[rows][:, total == k] @ slopes[total == k]
            found[rows, :width] += derivatives[k] * share
    for column, order in zip(a.T, orders, strict=True):  # then come 1 and x
        if not order.any():
            found[:, width] += column
            found[:, width + 1 :] += column[:, None] * x
        elif order.sum() == 1:
            found[:, width + 1 + int(np.argmax(order))] += column
    return found


def _of_tanh(z: np.ndarray, highest: int) -> list[np.ndarray]:
    """Return h = tanh z and its derivatives, which are polynomials in h: p′(h) (1 − h²)."""
    h = np.tanh(z)
    p, found = Powers([0.0, 1.0]), [h]
    for _ in range(highest):
        p = p.deriv() * Powers([1.0, 0.0, -1.0])
        found.append(p(h))
    return found


def _of_gaussian(z: np.ndarray, highest: int) -> list[np.ndarray]:
    """Return h = exp(−z²) and its derivatives, h times polynomials in z: p′ − 2 z p."""
    h = np.exp(-(z**2))
    p, found = Powers([1.0]), [h]
    for _ in range(highest):
        p = p.deriv() - Powers([0.0, 2.0]) * p
        found.append(p(z) * h)
    return found


#: By the name of an activation: its values and derivatives up to an order, of an array.
DERIVATIVES: dict[Any, Derivatives] = {
    "tanh": _of_tanh,
    "gaussian": _of_gaussian,
}

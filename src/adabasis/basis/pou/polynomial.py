"""Polynomial spaces by their multi-indices, and products of Legendre polynomials that span them.

A space is a downward-closed set of multi-indices β: with P_β it holds every polynomial that divides
out of it, so it does not change when the origin is moved or a coordinate is stretched.
"""

from __future__ import annotations

import functools
import itertools
import math
from collections.abc import Iterator
from typing import Any

import jax.numpy as jnp
import numpy as np

INDEX_SETS = ("total", "tensor", "hyperbolic")
#: Functions of a space that is still made; a solve with so many takes minutes and gigabytes.
MOST_FUNCTIONS = 20_000


def check_space(degree: int, index_set: str) -> None:
    """Refuse a negative degree and an unknown index set.

    Raises
    ------
    ValueError
    """
    if degree < 0:
        raise ValueError(f"degree={degree}: must be at least 0.")
    if index_set not in INDEX_SETS:
        raise ValueError(f"index_set={index_set!r}: expected one of {', '.join(INDEX_SETS)}.")


@functools.cache
def dimension(n_inputs: int, degree: int, index_set: str = "total") -> int:
    """Return the number of functions of a space, without listing them.

    Parameters
    ----------
    n_inputs : int
        D.
    degree : int
        m ≥ 0.
    index_set : {"total", "tensor", "hyperbolic"}
        β₁ + … + β_D ≤ m; max β_i ≤ m; ∏ (β_i + 1) ≤ m + 1.

    Examples
    --------
    >>> dimension(3, 2), dimension(3, 2, "tensor"), dimension(3, 2, "hyperbolic")
    (10, 27, 7)
    """
    check_space(degree, index_set)
    if index_set == "total":
        return math.comb(n_inputs + degree, degree)
    return (degree + 1) ** n_inputs if index_set == "tensor" else _crossed(n_inputs, degree + 1)


def _crossed(n_inputs: int, most: int) -> int:
    """Count the β with ∏ (β_i + 1) ≤ most, one input after another."""
    quotients = {most // k for k in range(1, most + 1)}
    counts = dict.fromkeys(quotients, 1)
    for _ in range(n_inputs):
        counts = {m: sum(counts[m // k] for k in range(1, m + 1)) for m in quotients}
    return counts[most]


@functools.cache
def multi_indices(n_inputs: int, degree: int, index_set: str = "total") -> np.ndarray:
    """Return the multi-indices (dim V, D) of a space, the constant first, then by degree.

    Raises
    ------
    ValueError
        For more than :data:`MOST_FUNCTIONS`.
    """
    size = dimension(n_inputs, degree, index_set)
    if size > MOST_FUNCTIONS:
        raise ValueError(
            f"polynomials of degree {degree} in {n_inputs} inputs ({index_set}): {size:,} "
            f"functions, more than {MOST_FUNCTIONS:,}. Lower the degree"
            + (", or take index_set='hyperbolic'." if index_set != "hyperbolic" else ".")
        )
    if index_set == "tensor":
        rows = np.array(list(itertools.product(range(degree + 1), repeat=n_inputs)), dtype=int)
        rows = rows.reshape(size, n_inputs)
    else:
        rows = np.zeros((size, n_inputs), dtype=int)
        total = index_set == "total"
        for row, orders in zip(rows, _orders(n_inputs, degree + (not total), total), strict=True):
            for i, k in orders:
                row[i] = k
    order = sorted(range(size), key=lambda j: (rows[j].sum(), *-rows[j]))
    return rows[order]


def _orders(
    n_inputs: int, budget: int, total: bool, first: int = 0
) -> Iterator[tuple[tuple[int, int], ...]]:
    """Yield the β as their orders that are not zero, (input, order), in inputs from ``first`` on.

    Orders are taken off the budget, or divide it: few are not zero, however many inputs there are.
    """
    yield ()
    if budget < (1 if total else 2):
        return
    for i in range(first, n_inputs):
        for k in range(1, (budget if total else budget - 1) + 1):
            left = budget - k if total else budget // (k + 1)
            for rest in _orders(n_inputs, left, total, i + 1):
                yield ((i, k), *rest)


def legendre(t: Any, degree: int, *, orthonormal: bool = True) -> Any:
    """Return √(2k+1) L_k(t), k = 0 … degree, along a new last axis: orthonormal on [−1, 1].

    (k+1) L_{k+1} = (2k+1) t L_k − k L_{k−1}. Of NumPy arrays the result is one, too; without
    ``orthonormal`` the factors are left out.
    """
    if isinstance(t, np.ndarray):
        table: Any = np.polynomial.legendre.legvander(t, degree)
    else:
        values = [jnp.ones_like(t), t]
        for k in range(1, degree):
            values.append(((2 * k + 1) * t * values[k] - k * values[k - 1]) / (k + 1))
        table = jnp.stack(values[: degree + 1], axis=-1)
    factors = np.sqrt(2 * np.arange(degree + 1) + 1) if orthonormal else np.ones(degree + 1)
    return table * factors.astype(t.dtype)


def products(t: Any, indices: np.ndarray, *, orthonormal: bool = True) -> Any:
    """Return ∏_i √(2β_i+1) L_{β_i}(t_i) for every β: (…, D) → (…, dim V), as :func:`legendre`."""
    table = legendre(t, int(indices.max(initial=0)), orthonormal=orthonormal)
    xp = np if isinstance(t, np.ndarray) else jnp
    out = xp.ones((*t.shape[:-1], len(indices)), t.dtype)
    for i, orders in enumerate(indices.T):
        if orders.any():
            out = out * table[..., i, orders]
    return out


def derivatives(t: np.ndarray, indices: np.ndarray, orders: tuple[int, ...]) -> np.ndarray:
    """Return a mixed derivative of :func:`products` at N points, (N, dim V), in NumPy.

    Parameters
    ----------
    t : array, shape (N, D)
    indices : array of int, shape (dim V, D)
        The β.
    orders : tuple of D int
        How often along each coordinate.
    """
    degree = int(indices.max(initial=0))
    out = np.ones((len(t), len(indices)))
    for i, order in enumerate(orders):
        out *= (np.polynomial.legendre.legvander(t[:, i], degree) @ _differentiated(degree, order))[
            :, indices[:, i]
        ]
    return out


@functools.cache
def _differentiated(degree: int, order: int) -> np.ndarray:
    """Return the Legendre series of the derivatives of √(2k+1) L_k, a column each."""
    series = np.diag(np.sqrt(2 * np.arange(degree + 1) + 1.0))
    if order:
        below = np.polynomial.legendre.legder(series, order)
        series = np.zeros_like(series)
        series[: len(below)] = below
    return series

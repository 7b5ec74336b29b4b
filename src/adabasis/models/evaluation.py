"""A fitted function at many points, a few at a time: its values in NumPy, derivatives in JAX."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from .._runtime.compute import double_precision
from .._runtime.notation import AnyArray, Parameters
from ..basis import AbstractBasis
from ..basis.base import CACHED_NUMBERS
from ..geometry.points import AffineMap, pad_points
from ..operators import AbstractOperator

CHUNK_NUMBERS = 2**24
"""Entries of the design matrix in memory at once where JAX evaluates it (128 MiB)."""
CACHED_ROWS = 2048
"""Rows at once in NumPy, at most: see :data:`adabasis.basis.base.CACHED_NUMBERS`."""
COMPARED, CLEARLY_OFF = 256, 1e-3
"""Rows at which float32 is compared with float64, and a difference, relative to the largest value,
that is said: usual ones are 1e-6."""


class Parts(NamedTuple):
    """What a function u(X) = output map of Φ(input map of X; ξ) c is made of."""

    parameters: Parameters
    coefficients: np.ndarray
    input_map: AffineMap
    output_map: AffineMap


def by_rows(
    basis: AbstractBasis,
    parts: Parts,
    x: np.ndarray,
    function: Callable[[np.ndarray], np.ndarray] | None = None,
    dtype: Any = float,
) -> np.ndarray:
    """Return u at N points (N, D), or a ``function`` of rows of Φ instead, in NumPy.

    Functions and their sums are computed in the precision of ``dtype``.
    """
    parameters, c = jax.tree.map(
        lambda leaf: leaf.astype(dtype, copy=False) if leaf.dtype.kind == "f" else leaf,
        (parts.parameters, parts.coefficients),
    )
    known = parts._replace(parameters=parameters)
    if function is None:
        return _sums(basis, known._replace(coefficients=c), x, dtype)
    return in_chunks(basis, known, x, lambda phi, z: function(phi), dtype)


def in_chunks(
    basis: AbstractBasis,
    parts: Parts,
    x: np.ndarray,
    function: Callable[[np.ndarray, np.ndarray], np.ndarray],
    dtype: Any = float,
) -> np.ndarray:
    """Return a function of rows of Φ and of the mapped points, (N, K), a few points at a time."""
    at_once = min(max(64, CACHED_NUMBERS // len(parts.coefficients)), CACHED_ROWS)

    def of_rows(z: np.ndarray) -> np.ndarray:
        return function(basis.values(z.astype(dtype, copy=False), parts.parameters), z)

    return _chunked(of_rows, parts.input_map, x, at_once, dtype)


def _sums(basis: AbstractBasis, parts: Parts, x: np.ndarray, dtype: Any) -> np.ndarray:
    """Return u at N points, (N, Q)."""

    def of_rows(z: np.ndarray) -> np.ndarray:
        known = parts.parameters, parts.coefficients
        return parts.output_map.inverse(basis.sums(z.astype(dtype, copy=False), *known))

    return _chunked(of_rows, parts.input_map, x, CACHED_ROWS, dtype)


def _chunked(
    function: Callable[[np.ndarray], np.ndarray],
    input_map: AffineMap,
    x: np.ndarray,
    at_once: int,
    dtype: Any,
) -> np.ndarray:
    # Far away logits and exponentials overflow, to what they tend to.
    with np.errstate(all="ignore"):
        first = function(input_map(x[:at_once]))
        out = np.empty((len(x), first.shape[1]), dtype)  # also of no rows
        out[: len(first)] = first
        for start in range(at_once, len(x), at_once):
            part = function(input_map(x[start : start + at_once]))
            out[start : start + len(part)] = part
    return out


def in_single_precision(basis: AbstractBasis, parts: Parts, x: np.ndarray) -> np.ndarray:
    """Return u at N points (N, D) in float32, with a warning where too few digits are left."""
    out = by_rows(basis, parts, x, dtype=np.float32)
    some = np.arange(len(x))[:: max(1, len(x) // COMPARED)]
    exact = by_rows(basis, parts, x[some])
    off = np.abs(out[some] - exact).max(initial=0.0)
    size = np.abs(exact).max(initial=0.0)
    if not off <= CLEARLY_OFF * size:
        warnings.warn(
            f"predict(X, dtype='float32'): values are off by up to {off:.1e}, where the largest is "
            f"{size:.1e}: large coefficients cancel in this model. Use dtype='float64'.",
            stacklevel=3,
        )
    return out


def in_jax(
    basis: AbstractBasis, parts: Parts, x: np.ndarray, operator: AbstractOperator
) -> np.ndarray:
    """Return L[u] at N points (N, D), the maps being part of u: in the user's units."""
    at_once = max(64, CHUNK_NUMBERS // len(parts.coefficients))
    with double_precision():
        chunks = [
            np.asarray(_operated(operator, basis, parts, pad_points(chunk)))[: len(chunk)]
            for chunk in np.split(x, range(at_once, len(x), at_once))
        ]
    return np.concatenate(chunks)


@eqx.filter_jit
def _operated(operator: AbstractOperator, basis: AbstractBasis, parts: Parts, x: AnyArray) -> Array:
    parameters, c, input_map, output_map = parts

    def u(point: Array) -> Array:
        return output_map.inverse(basis.sum_at(input_map(point), parameters, c))

    return jax.vmap(operator(u))(jnp.asarray(x))


def probe_points(box: np.ndarray) -> np.ndarray:
    """Return five fixed points of the box, off any grid a user would choose."""
    fraction = (np.arange(1, 6)[:, None] * 0.618033988749895 * np.arange(1, len(box) + 1)) % 1.0
    return box[:, 0] + fraction * (box[:, 1] - box[:, 0])

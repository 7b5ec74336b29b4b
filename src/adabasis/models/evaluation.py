"""A fitted function at many points, a few at a time: its values in NumPy, derivatives in JAX."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from .._runtime.compute import double_precision
from .._runtime.notation import AnyArray, Parameters
from ..basis import AbstractBasis
from ..geometry.boxes import AffineMap, pad_points
from ..operators import AbstractOperator

CHUNK_NUMBERS = 2**24
"""Entries of the design matrix in memory at once where JAX evaluates it (128 MiB)."""
CACHED_NUMBERS, CACHED_ROWS = 2**18, 2048
"""Entries and rows at once in NumPy: few enough for a processor's cache, and enough of them that
calls cost little. A million rows through 128 units take 1.1 times the seconds of their products."""


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
) -> np.ndarray:
    """Return u at N points (N, D), or a ``function`` of rows of Φ instead, in NumPy."""
    function = function or (lambda phi: parts.output_map.inverse(phi @ parts.coefficients))
    at_once = min(max(64, CACHED_NUMBERS // len(parts.coefficients)), CACHED_ROWS)
    # Far away logits and exponentials overflow, to what they tend to.
    with np.errstate(all="ignore"):
        chunks = (
            function(basis.values(parts.input_map(x[start : start + at_once]), parts.parameters))
            for start in range(0, max(len(x), 1), at_once)
        )
        first = next(chunks)
        out = np.empty((len(x), first.shape[1]))  # also of no rows
        for k, chunk in enumerate(itertools.chain([first], chunks)):
            out[k * at_once :][: len(chunk)] = chunk
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
        return output_map.inverse(basis(input_map(point), parameters) @ c)

    return jax.vmap(operator(u))(jnp.asarray(x))

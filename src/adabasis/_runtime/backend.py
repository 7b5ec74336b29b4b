"""The same equation in NumPy and in JAX: which computes with an array, and draws from a key.

To compile a program takes JAX longer than most small computations take. What is computed once, or
for a few numbers, is therefore left to NumPy where it is not part of a program that is compiled
anyway.
"""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from .notation import AnyKey


def namespace(*arrays: Any) -> Any:
    """Return the module that computes with arrays: ``jax.numpy`` where one is JAX's, else NumPy.

    Pieces of points come in hundreds of small shapes: to compile a program for each would cost more
    than all of their solves.
    """
    return jnp if any(isinstance(array, jax.Array) for array in arrays) else np


def in_numpy(key: AnyKey) -> bool:
    """Whether a key is NumPy's: what is drawn from it are NumPy's arrays."""
    return isinstance(key, np.random.SeedSequence)


def split(key: AnyKey, count: int) -> Any:
    """Return so many independent keys; the same ones for the same key."""
    if isinstance(key, np.random.SeedSequence):
        return [
            np.random.SeedSequence(key.entropy, spawn_key=(*key.spawn_key, number))
            for number in range(count)
        ]
    return jax.random.split(key, count)


def uniform(
    key: AnyKey, shape: tuple[int, ...], dtype: Any, low: float = 0.0, high: float = 1.0
) -> Any:
    """Draw numbers evenly from [low, high)."""
    if isinstance(key, np.random.SeedSequence):
        return np.random.default_rng(key).uniform(low, high, shape).astype(dtype)
    return jax.random.uniform(key, shape, dtype, low, high)


def normal(key: AnyKey, shape: tuple[int, ...], dtype: Any) -> Any:
    """Draw numbers of mean 0 and variance 1 from the normal distribution."""
    if isinstance(key, np.random.SeedSequence):
        return np.random.default_rng(key).standard_normal(shape).astype(dtype)
    return jax.random.normal(key, shape, dtype)

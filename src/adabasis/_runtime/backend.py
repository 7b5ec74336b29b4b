"""The same equation in NumPy and in JAX: which computes with an array, and draws from a key.

To compile a program takes JAX longer than most small computations take. What is computed once, or
for a few numbers, is therefore left to NumPy where it is not part of a program that is compiled
anyway.
"""

from __future__ import annotations

from collections.abc import Callable
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


def while_loop(unfinished: Callable[[Any], Any], step: Callable[[Any], Any], start: Any) -> Any:
    """Take steps from a pytree on, while it is unfinished: compiled where an array is JAX's."""
    if namespace(*jax.tree.leaves(start)) is jnp:
        return jax.lax.while_loop(unfinished, step, start)
    while unfinished(start):
        start = step(start)
    return start


def softmax(scores: Any) -> Any:
    """Return the probabilities (N, K) for scores, one of them for each class."""
    if namespace(scores) is jnp:
        return jax.nn.softmax(scores, axis=1)
    # In place: SciPy's function takes four times as long.
    p = scores - scores.max(axis=1, keepdims=True)
    np.exp(p, out=p)
    p /= p.sum(axis=1, keepdims=True)
    return p


def logsumexp(scores: Any) -> Any:
    """Return log Σ exp of scores (N, K), row by row."""
    if namespace(scores) is jnp:
        return jax.nn.logsumexp(scores, axis=1)
    most = scores.max(axis=1)
    return most + np.log(np.exp(scores - most[:, None]).sum(axis=1))


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

"""Activation functions by name, each with its image of an interval.

The image is what Box initialisation needs: it carries the box of one layer's inputs to the box
of the next layer's (exactly, for these functions).
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable

import jax
import jax.numpy as jnp
from jax import Array

Interval = tuple[Array, Array]


@dataclasses.dataclass(frozen=True)
class Activation:
    """A scalar function σ, its image of an interval, and its smoothness."""

    function: Callable[[Array], Array]
    image: Callable[[Array, Array], Interval]
    smoothness: float = math.inf

    def __call__(self, z: Array) -> Array:
        """Apply σ entry by entry."""
        return self.function(z)

    def averaged(self, z: Array, gap: Array) -> Array:
        """Apply σ; its first derivative is the mean of σ′ over [z − gap/2, z + gap/2]."""
        half = jnp.maximum(gap / 2, jnp.finfo(z.dtype).tiny ** 0.5)
        slope = (self.function(z + half) - self.function(z - half)) / (2 * half)
        still = jax.lax.stop_gradient(z)
        return self.function(still) + jax.lax.stop_gradient(slope) * (z - still)


def _increasing(function: Callable[[Array], Array], smoothness: float = math.inf) -> Activation:
    return Activation(function, lambda lo, hi: (function(lo), function(hi)), smoothness)


def _one_valley(function: Callable[[Array], Array], bottom: float) -> Activation:
    """Describe a function that falls up to ``bottom`` and rises after it."""

    def image(lo: Array, hi: Array) -> Interval:
        lowest = function(jnp.clip(jnp.full_like(lo, bottom), lo, hi))
        return lowest, jnp.maximum(function(lo), function(hi))

    return Activation(function, image)


def _gelu(z: Array) -> Array:
    return jax.nn.gelu(z, approximate=False)


def _gaussian(z: Array) -> Array:
    return jnp.exp(-(z**2))


def _gaussian_image(lo: Array, hi: Array) -> Interval:
    highest = _gaussian(jnp.clip(jnp.zeros_like(lo), lo, hi))
    return jnp.minimum(_gaussian(lo), _gaussian(hi)), highest


def _sine_image(lo: Array, hi: Array) -> Interval:
    def reached(peak: float) -> Array:  # whether peak + 2πk lies in [lo, hi] for a whole k
        return jnp.floor((hi - peak) / math.tau) >= jnp.ceil((lo - peak) / math.tau)

    ends = jnp.sin(lo), jnp.sin(hi)
    lowest = jnp.where(reached(-math.pi / 2), -1.0, jnp.minimum(*ends))
    return lowest, jnp.where(reached(math.pi / 2), 1.0, jnp.maximum(*ends))


ACTIVATIONS: dict[str, Activation] = {
    "relu": _increasing(jax.nn.relu, smoothness=0),
    "tanh": _increasing(jnp.tanh),
    "sine": Activation(jnp.sin, _sine_image),
    "gelu": _one_valley(_gelu, -0.7517915246935645),
    "silu": _one_valley(jax.nn.silu, -1.2784645427610738),
    "softplus": _increasing(jax.nn.softplus),
    "sigmoid": _increasing(jax.nn.sigmoid),
    "elu": _increasing(jax.nn.elu, smoothness=1),
    "gaussian": Activation(_gaussian, _gaussian_image),
}


def activation_named(activation: str | Callable[[Array], Array]) -> Activation:
    """Look an activation up by name, or wrap a user's elementwise function.

    The image of a user's function is estimated from 65 samples of the interval.

    Raises
    ------
    ValueError
        For a name that is not registered.
    """
    if callable(activation):
        return Activation(activation, lambda lo, hi: _sampled_image(activation, lo, hi))
    if activation not in ACTIVATIONS:
        raise ValueError(
            f"activation={activation!r} is not known: expected one of "
            f"{', '.join(sorted(ACTIVATIONS))}, or a function of an array."
        )
    return ACTIVATIONS[activation]


def _sampled_image(function: Callable[[Array], Array], lo: Array, hi: Array) -> Interval:
    fraction = jnp.linspace(0.0, 1.0, 65, dtype=lo.dtype)
    values = function(lo[..., None] + (hi - lo)[..., None] * fraction)
    return values.min(axis=-1), values.max(axis=-1)

"""Activation functions by name, each with its image of an interval.

The image is what Box initialisation needs: it carries the box of one layer's inputs to the box
of the next layer's (exactly, for these functions).
"""

from __future__ import annotations

import dataclasses
import functools
import math
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array

Interval = tuple[Array, Array]


@dataclasses.dataclass(frozen=True)
class Activation:
    """A scalar function σ and what is known of it.

    Attributes
    ----------
    function : callable
    image : callable
        Of the bounds of an interval: the bounds of σ over it.
    smoothness : float
        Order of the highest continuous derivative.
    homogeneous : bool
        Whether σ(s z) = s σ(z) for s > 0: then a factor on its argument is but one on a column.
    """

    function: Callable[[Array], Array]
    image: Callable[[Array, Array], Interval]
    smoothness: float = math.inf
    homogeneous: bool = False

    def __call__(self, z: Array) -> Array:
        """Apply σ entry by entry."""
        return self.function(z)

    def averaged(self, z: Array, gap: Array) -> Array:
        """Apply σ; its first derivative is the mean of σ′ over [z − gap/2, z + gap/2]."""
        half = jnp.maximum(gap / 2, jnp.finfo(z.dtype).tiny ** 0.5)
        slope = (self.function(z + half) - self.function(z - half)) / (2 * half)
        still = jax.lax.stop_gradient(z)
        return self.function(still) + jax.lax.stop_gradient(slope) * (z - still)


def _increasing(function: Callable[[Array], Array], **known: Any) -> Activation:
    return Activation(function, lambda lo, hi: (function(lo), function(hi)), **known)


def _turning(function: Callable[[Array], Array], at: float) -> Activation:
    # A function that is monotone on either side of one point.
    def image(lo: Array, hi: Array) -> Interval:
        turn = function(jnp.clip(jnp.full_like(lo, at), lo, hi))
        low, high = function(lo), function(hi)
        return jnp.minimum(turn, jnp.minimum(low, high)), jnp.maximum(turn, jnp.maximum(low, high))

    return Activation(function, image)


def _sine_image(lo: Array, hi: Array) -> Interval:
    def reached(peak: float) -> Array:  # whether peak + 2πk lies in [lo, hi] for a whole k
        return jnp.floor((hi - peak) / math.tau) >= jnp.ceil((lo - peak) / math.tau)

    ends = jnp.sin(lo), jnp.sin(hi)
    lowest = jnp.where(reached(-math.pi / 2), -1.0, jnp.minimum(*ends))
    return lowest, jnp.where(reached(math.pi / 2), 1.0, jnp.maximum(*ends))


ACTIVATIONS: dict[str, Activation] = {
    "relu": _increasing(jax.nn.relu, smoothness=0, homogeneous=True),
    "tanh": _increasing(jnp.tanh),
    "sine": Activation(jnp.sin, _sine_image),
    "gelu": _turning(functools.partial(jax.nn.gelu, approximate=False), -0.7517915246935645),
    "silu": _turning(jax.nn.silu, -1.2784645427610738),
    "softplus": _increasing(jax.nn.softplus),
    "sigmoid": _increasing(jax.nn.sigmoid),
    "elu": _increasing(jax.nn.elu, smoothness=1),
    "gaussian": _turning(lambda z: jnp.exp(-(z**2)), 0.0),
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

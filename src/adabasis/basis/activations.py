"""Activations: scalar functions σ, their images of intervals, and σ and σ′ in NumPy."""

from __future__ import annotations

import dataclasses
import functools
import math
from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from scipy import special

from .._runtime.backend import namespace
from .._runtime.compute import double_precision
from ..geometry.points import pad_points

Interval = tuple[Array, Array]


def in_jax(function: Callable[..., Array], x: np.ndarray, *given: Any) -> np.ndarray:
    """Map JAX's function of one point and of what is ``given`` over N points: (N, D) → (N, …).

    Raises
    ------
    RuntimeError
        In a process forked from one that JAX was running in.
    """
    with double_precision():
        return np.asarray(_mapped(function, jnp.asarray(pad_points(x)), given))[: len(x)]


@eqx.filter_jit
def _mapped(function: Callable[..., Array], x: Array, given: tuple[Any, ...]) -> Array:
    return jax.vmap(lambda point: function(point, *given))(x)


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
    numpy : callable, optional
        σ of NumPy's arrays. Without it models with this activation predict in JAX, which takes
        longer to start and does not work in processes forked from one that JAX was running in.
    slope : callable, optional
        (z, σ(z)) ↦ σ′(z) of NumPy's arrays. Without it training steps are compiled by JAX.
    """

    function: Callable[[Array], Array]
    image: Callable[[Array, Array], Interval]
    smoothness: float = math.inf
    homogeneous: bool = False
    numpy: Callable[[np.ndarray], np.ndarray] | None = None
    slope: Callable[[np.ndarray, np.ndarray], np.ndarray] | None = None

    def __call__(self, z: Array) -> Array:
        """Apply σ entry by entry."""
        return self.function(z)

    def values(self, z: np.ndarray) -> np.ndarray:
        """Apply σ to NumPy's rows (N, w)."""
        return in_jax(self.function, z) if self.numpy is None else self.numpy(z)

    def averaged(self, z: Array, gap: Array) -> Array:
        """Apply σ; its first derivative is the mean of σ′ over [z − gap/2, z + gap/2]."""
        half = jnp.maximum(gap / 2, jnp.finfo(z.dtype).tiny ** 0.5)
        slope = (self.function(z + half) - self.function(z - half)) / (2 * half)
        still = jax.lax.stop_gradient(z)
        return self.function(still) + jax.lax.stop_gradient(slope) * (z - still)


def _increasing(function: Callable[[Array], Array], *, numpy: Any, **known: Any) -> Activation:
    ends = _either(function, numpy)
    return Activation(function, lambda lo, hi: (ends(lo), ends(hi)), numpy=numpy, **known)


def _either(function: Callable[[Array], Array], numpy: Any) -> Callable[[Any], Any]:
    return lambda z: (numpy if namespace(z) is np else function)(z)


def _turning(
    function: Callable[[Array], Array], at: float, *, numpy: Any, **known: Any
) -> Activation:
    # A function that is monotone on either side of one point.
    value = _either(function, numpy)

    def image(lo: Array, hi: Array) -> Interval:
        xp = namespace(lo)
        turn, low, high = value(xp.clip(xp.full_like(lo, at), lo, hi)), value(lo), value(hi)
        return xp.minimum(turn, xp.minimum(low, high)), xp.maximum(turn, xp.maximum(low, high))

    return Activation(function, image, numpy=numpy, **known)


def _sine_image(lo: Array, hi: Array) -> Interval:
    xp = namespace(lo)

    def reached(peak: float) -> Array:  # whether peak + 2πk lies in [lo, hi] for a whole k
        return xp.floor((hi - peak) / math.tau) >= xp.ceil((lo - peak) / math.tau)

    ends = xp.sin(lo), xp.sin(hi)
    lowest = xp.where(reached(-math.pi / 2), -1.0, xp.minimum(*ends))
    return lowest, xp.where(reached(math.pi / 2), 1.0, xp.maximum(*ends))


def _gelu_slope(z: np.ndarray, h: np.ndarray) -> np.ndarray:
    density = np.exp(-0.5 * z * z) / math.sqrt(math.tau)
    return 0.5 * special.erfc(-math.sqrt(0.5) * z) + z * density


def _silu_slope(z: np.ndarray, h: np.ndarray) -> np.ndarray:
    share = special.expit(z)
    return share + h * (1 - share)  # share·(1 − h) + h would cancel where z is large


ACTIVATIONS: dict[str, Activation] = {
    "relu": _increasing(
        jax.nn.relu,
        smoothness=0,
        homogeneous=True,
        numpy=lambda z: np.maximum(z, 0.0),
        slope=lambda z, h: (z > 0).astype(z.dtype),
    ),
    "tanh": _increasing(jnp.tanh, numpy=np.tanh, slope=lambda z, h: 1 - h * h),
    "sine": Activation(jnp.sin, _sine_image, numpy=np.sin, slope=lambda z, h: np.cos(z)),
    "gelu": _turning(
        functools.partial(jax.nn.gelu, approximate=False),
        -0.7517915246935645,
        numpy=lambda z: 0.5 * z * special.erfc(-math.sqrt(0.5) * z),
        slope=_gelu_slope,
    ),
    "silu": _turning(
        jax.nn.silu,
        -1.2784645427610738,
        numpy=lambda z: z * special.expit(z),
        slope=_silu_slope,
    ),
    "softplus": _increasing(
        jax.nn.softplus,
        numpy=lambda z: np.logaddexp(z, np.zeros((), z.dtype)),
        slope=lambda z, h: special.expit(z),
    ),
    "sigmoid": _increasing(jax.nn.sigmoid, numpy=special.expit, slope=lambda z, h: h * (1 - h)),
    "elu": _increasing(
        jax.nn.elu,
        smoothness=1,
        numpy=lambda z: np.where(z > 0, z, np.expm1(np.minimum(z, 0.0))),
        slope=lambda z, h: np.where(z > 0, np.ones((), z.dtype), h + 1),
    ),
    "gaussian": _turning(
        lambda z: jnp.exp(-(z**2)),
        0.0,
        numpy=lambda z: np.exp(-(z**2)),
        slope=lambda z, h: -2 * z * h,
    ),
}


@functools.cache
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

"""Initial hidden parameters: Box, He, Glorot, normal, uniform.

Box initialisation [1]_ puts the cut plane of every unit through a random point of the box its
inputs live in, so that each basis function switches on somewhere inside the data:

    σ(k (x − p)·n),   w = k n,   b = −k p·n,   k = bound / ((p_max − p)·n),

with p_max the corner of the box farthest along n. The sign of b is **minus**: the slides and
their sources print b = k p·n, which puts 29 % of the planes outside the box (width 8).

References
----------
.. [1] Cyr, Gulian, Patel, Perego, Trask, "Robust training and initialization of deep neural
   networks: an adaptive basis viewpoint", MSML 2020, arXiv:1912.04862.
"""

from __future__ import annotations

import abc
import dataclasses
import math
from collections.abc import Mapping
from typing import Any, ClassVar, NamedTuple

import jax.numpy as jnp
import numpy as np
from jax import Array

from .._runtime.backend import namespace, normal, split, uniform
from .._runtime.notation import AnyKey, BoxBounds
from ..geometry.points import unit_box
from .activations import Activation


class Affine(NamedTuple):
    """A layer x ↦ W x + b: weight (w, d), bias (w,); stacked layers have a leading axis."""

    weight: Array
    bias: Array

    def __call__(self, x: Array) -> Array:
        """Apply the layer to one point."""
        return self.weight @ x + self.bias

    def values(self, x: np.ndarray) -> np.ndarray:
        """Apply the layer to NumPy's rows: (N, d) → (N, w)."""
        return x @ self.weight.T + self.bias

    def times(self, factor: float | Array) -> Affine:
        """Return the layer whose outputs are ``factor`` times as large."""
        return Affine(factor * self.weight, factor * self.bias)


@dataclasses.dataclass(frozen=True)
class Architecture:
    """What an initialiser needs to know of a network: eq. 9 (plain) or eq. 10 (residual)."""

    width: int
    depth: int
    activation: Activation
    residual: bool


class AbstractInitializer(abc.ABC):
    """Draws the layers of a network; frozen dataclasses, so that a basis stays hashable."""

    #: Whether it takes keys and boxes of NumPy's, too, and returns such layers.
    draws_in_numpy: ClassVar[bool] = False

    def __init_subclass__(cls) -> None:
        """Say no for a class that draws in a way of its own and does not speak of it."""
        if "__call__" in vars(cls) and "draws_in_numpy" not in vars(cls):
            cls.draws_in_numpy = False

    @abc.abstractmethod
    def __call__(self, key: AnyKey, box: BoxBounds, net: Architecture) -> list[Affine]:
        """Return ``net.depth`` layers for inputs in ``box`` (D, 2)."""


def sides(box: BoxBounds) -> Array:
    """Return the lengths (D,) of the sides of a box, 1 for a side of no length."""
    return namespace(box).where(box[:, 1] > box[:, 0], box[:, 1] - box[:, 0], 1.0)


def stratified(
    point_key: AnyKey, order_key: AnyKey, shape: tuple[int, int], dtype: jnp.dtype
) -> Array:
    """Draw a Latin hypercube in [0, w]^D of ``shape`` (w, D): one point in each unit slice."""
    u, order = uniform(point_key, shape, dtype), uniform(order_key, shape, dtype)
    slices = namespace(order).argsort(order, axis=0)
    return slices.astype(u.dtype) + u


def cut_planes(p: Array, n: Array, box: BoxBounds, bound: float, max_slope: float) -> Affine:
    """Return the layer whose i-th unit is k (x − p_i)·n_i, with maximum ``bound`` over the box.

    Parameters
    ----------
    p : array, shape (w, D)
        Points of the planes, as fractions of the box's sides in [0, 1].
    n : array, shape (w, D)
        Unit normals, in the same scaled coordinates.
    box : array, shape (D, 2)
    bound : float
        The maximum over the box of every pre-activation.
    max_slope : float
        Cap on k in units of ``bound`` per side. Only D = 1 needs one: there the uncapped slope
        has infinite mean. A capped unit stays below ``bound``.

    Of NumPy's arrays the layer holds such, too.
    """
    xp = namespace(p)
    side = sides(box)
    reach = xp.sum((xp.where(n > 0, 1.0, 0.0) - p) * n, axis=1)
    slope = xp.minimum(bound / reach, max_slope * bound)
    weight = slope[:, None] * n / side
    return Affine(weight, -xp.sum(weight * (box[:, 0] + p * side), axis=1))


def random_normals(key: AnyKey, count: int, box: BoxBounds) -> Array:
    """Draw unit vectors (count, D) evenly over the sphere, in the precision of ``box``."""
    n = normal(key, (count, box.shape[0]), box.dtype)
    return n / namespace(n).linalg.norm(n, axis=1, keepdims=True)


def layer_image(layer: Affine, box: BoxBounds, activation: Activation) -> BoxBounds:
    """Return the box (w, 2) that holds σ(W x + b) for all x in ``box``, unit by unit, exactly."""
    xp = namespace(layer.weight)
    rising, falling = xp.maximum(layer.weight, 0.0), xp.minimum(layer.weight, 0.0)
    lowest = rising @ box[:, 0] + falling @ box[:, 1] + layer.bias
    highest = rising @ box[:, 1] + falling @ box[:, 0] + layer.bias
    return xp.stack(activation.image(lowest, highest), axis=1)


@dataclasses.dataclass(frozen=True)
class BoxInit(AbstractInitializer):
    """Box initialisation for plain and residual networks.

    Plain networks: every layer has maximum 1 over the image of the layer before. Residual ones:
    the first layer is plain; layer l ≥ 2 adds at most m_l/(L−1), with m_l = (1+1/(L−1))^(l−2)
    the side of the box it receives, so that all outputs stay in [0, e] for ReLU. The sources
    contradict each other here; their two variants are kept under their names.

    Parameters
    ----------
    variant : {"default", "eq16", "alg3"}
        For residual networks: ``"eq16"`` is eq. 16 of [1]_ (m_l = (1+1/L)^(l−1), maximum
        m_l/L), ``"alg3"`` its Algorithm 3 (m_l = (1+1/(L−1))^l, maximum 1/(L−1)).
    stratified : bool
        Draw the points of the first layer as a Latin hypercube (each coordinate hits each of w
        equal slices once) instead of independently, which leaves gaps.
    max_slope : float
        See :func:`cut_planes`; applied where a layer has one input.
    """

    variant: str = "default"
    stratified: bool = True
    max_slope: float = 20.0
    draws_in_numpy = True

    def __post_init__(self) -> None:
        if self.variant not in {"default", "eq16", "alg3"}:
            raise ValueError(
                f"BoxInit(variant={self.variant!r}): expected 'default', 'eq16' or 'alg3'."
            )

    def __call__(self, key: AnyKey, box: BoxBounds, net: Architecture) -> list[Affine]:
        """Draw the layers, carrying the box of each layer's inputs along."""
        layers = []
        for level, layer_key in enumerate(split(key, net.depth), start=1):
            received, bound = self._received(level, box, net)
            layer = self._draw(layer_key, received, bound, net.width, first=level == 1)
            image = layer_image(layer, box, net.activation)
            box = box + image if net.residual and level > 1 else image
            layers.append(layer)
        return layers

    def _received(self, level: int, box: BoxBounds, net: Architecture) -> tuple[Array, float]:
        """Return the box that layer ``level`` draws its points in, and its maximum."""
        if level == 1 or not net.residual:
            return box, 1.0
        depth, cube = net.depth, namespace(box).asarray(unit_box(net.width), box.dtype)
        if self.variant == "eq16":
            side = (1 + 1 / depth) ** (level - 1)
            return side * cube, side / depth
        if self.variant == "alg3":
            return (1 + 1 / (depth - 1)) ** level * cube, 1 / (depth - 1)
        return box, (1 + 1 / (depth - 1)) ** (level - 2) / (depth - 1)

    def _draw(self, key: AnyKey, box: Array, bound: float, width: int, first: bool) -> Affine:
        point_key, normal_key, shuffle_key = split(key, 3)
        shape = (width, box.shape[0])
        if first and self.stratified:
            p = stratified(point_key, shuffle_key, shape, box.dtype) / width
        else:
            p = uniform(point_key, shape, box.dtype)
        n = random_normals(normal_key, width, box)
        return cut_planes(p, n, box, bound, self.max_slope if len(box) == 1 else math.inf)


@dataclasses.dataclass(frozen=True)
class FanScaled(AbstractInitializer):
    """Independent weights with variance gain/fan: He, Glorot and their relatives.

    Parameters
    ----------
    gain : float
        The variance of a weight times its fan.
    fan : {"in", "average"}
        The number of inputs, or the mean of inputs and outputs.
    normal : bool
        Normal weights; otherwise uniform on ±√(3 gain/fan).
    uniform_bias : bool
        Biases uniform on ±1/√fan_in. With zero biases, all ReLU networks in one dimension are
        linear on [0, 1] at initialisation: report such a baseline with both.
    """

    gain: float
    fan: str = "in"
    normal: bool = False
    uniform_bias: bool = False
    draws_in_numpy = True

    def __call__(self, key: AnyKey, box: BoxBounds, net: Architecture) -> list[Affine]:
        """Draw the layers; the box sets only the number of inputs."""
        layers, inputs = [], box.shape[0]
        for layer_key in split(key, net.depth):
            weight_key, bias_key = split(layer_key, 2)
            fan = inputs if self.fan == "in" else (inputs + net.width) / 2
            deviation = math.sqrt(self.gain / fan)
            shape = (net.width, inputs)
            if self.normal:
                weight = deviation * normal(weight_key, shape, box.dtype)
            else:
                reach = math.sqrt(3.0) * deviation
                weight = uniform(weight_key, shape, box.dtype, -reach, reach)
            reach = 1 / math.sqrt(inputs) if self.uniform_bias else 0.0
            bias = reach * uniform(bias_key, (net.width,), box.dtype, -1.0, 1.0)
            layers.append(Affine(weight, bias))
            inputs = net.width
        return layers


INITIALIZERS: dict[str, AbstractInitializer] = {
    "box": BoxInit(),
    "box-independent": BoxInit(stratified=False),
    "box-eq16": BoxInit(variant="eq16"),
    "box-alg3": BoxInit(variant="alg3"),
    "he": FanScaled(gain=2.0),
    "he-uniform-bias": FanScaled(gain=2.0, uniform_bias=True),
    "glorot": FanScaled(gain=1.0, fan="average"),
    "normal": FanScaled(gain=1.0, normal=True, uniform_bias=True),
    "uniform": FanScaled(gain=1.0 / 3.0, uniform_bias=True),
}


def initializer_named(init: str | AbstractInitializer) -> AbstractInitializer:
    """Look an initialiser up by name, or pass one through.

    Raises
    ------
    ValueError
        For a name that is not registered.
    """
    if isinstance(init, AbstractInitializer):
        return init
    if init not in INITIALIZERS:
        raise ValueError(
            f"init={init!r} is not known: expected one of {', '.join(sorted(INITIALIZERS))}, "
            "or an AbstractInitializer."
        )
    return INITIALIZERS[init]


#: Kinds of initialiser that a model file can name; "Box" is the name of BoxInit in those of 0.1.
INITIALIZER_KINDS: dict[str, type[AbstractInitializer]] = {
    "BoxInit": BoxInit,
    "Box": BoxInit,
    "FanScaled": FanScaled,
}


def initializer_config(initializer: AbstractInitializer) -> dict[str, Any]:
    """Describe an initialiser object by its class's name and fields.

    Raises
    ------
    ValueError
        For a class that is not in :data:`INITIALIZER_KINDS`.
    """
    if type(initializer) not in INITIALIZER_KINDS.values():
        raise ValueError(
            f"Fitted.save: init={initializer!r} is of no registered kind, so no file can hold it. "
            "Use BoxInit, FanScaled or a name of adabasis.basis.INITIALIZERS, or register its "
            "class in adabasis.basis.layers.INITIALIZER_KINDS."
        )
    return {"kind": type(initializer).__name__, **vars(initializer)}


def initializer_from(config: Mapping[str, Any]) -> AbstractInitializer:
    """Make the initialiser that :func:`initializer_config` described."""
    fields = dict(config)
    return INITIALIZER_KINDS[fields.pop("kind")](**fields)

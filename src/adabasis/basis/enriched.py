"""Functions beside those of a basis, where theory knows what a solution is like.

Poles in holes, powers of the distance from corners, exponential layers, functions of a distance,
sums of functions of one coordinate: few of them save many smooth functions.
"""

from __future__ import annotations

import abc
import math
from collections.abc import Mapping, Sequence
from typing import Any

import equinox as eqx
import jax.numpy as jnp
import numpy as np

from .._runtime.notation import Functions, Parameters, PointX
from ..geometry.points import AffineMap
from .base import AbstractBasis, AbstractWrapper, in_model_files

#: (r/R)² below which poles are what they are there.
LEAST = 0.25


class AbstractAdded(eqx.Module):
    """Functions of a point in the user's units; fields are numbers and tuples of them."""

    @abc.abstractmethod
    def at(self, x: Any, xp: Any) -> Any:
        """Return all at points x: (…, D) → (…, P); ``xp`` is NumPy or ``jax.numpy``."""

    @property
    @abc.abstractmethod
    def count(self) -> int:
        """How many they are."""

    def to_json(self) -> dict[str, Any]:
        """Return kind and fields, arrays as lists."""
        return {"kind": type(self).__name__, **vars(self)}


def _numbers(value: Any) -> Any:
    """Return an array as tuples of floats: a basis is static, and has a hash."""
    found = np.asarray(value, dtype=float)
    return float(found) if found.ndim == 0 else tuple(map(_numbers, found))


class Poles(AbstractAdded):
    """log r and (R/r)^k cos kθ, (R/r)^k sin kθ for k = 1, …, K about centres in the plane.

    Together with smooth functions they make every harmonic function outside of holes.

    Attributes
    ----------
    centers : array, shape (J, 2)
    radii : array, shape (J,)
        R, those of the holes.
    order : int
        K.
    axes : pair of int
        Which coordinates the plane has.
    """

    centers: Any = eqx.field(static=True, converter=_numbers)
    radii: Any = eqx.field(static=True, converter=_numbers)
    order: int = eqx.field(static=True)
    axes: tuple[int, int] = eqx.field(static=True, converter=tuple, default=(0, 1))

    @property
    def count(self) -> int:
        """J (1 + 2 K)."""
        return len(self.radii) * (1 + 2 * self.order)

    def at(self, x: Any, xp: Any) -> Any:
        """Return all."""
        away = x[..., None, list(self.axes)] - np.array(self.centers)
        # Regions inside of the hole have no use for poles, which are kept from growing there.
        square = xp.maximum(xp.sum(away**2, axis=-1) / np.array(self.radii) ** 2, LEAST)
        size = xp.log(square) / 2
        angle, k = xp.arctan2(away[..., 1], away[..., 0])[..., None], np.arange(1.0, self.order + 1)
        power = xp.exp(-k * size[..., None])  # all at once: a recursion takes long to compile
        both = (power * xp.cos(k * angle), power * xp.sin(k * angle))
        return xp.concatenate([size, *(_flat(one) for one in both)], axis=-1)


class Sources(AbstractAdded):
    """|x − p|^(2 − D) for points p outside of the domain, in three or more coordinates.

    Attributes
    ----------
    points : array, shape (J, D)
    """

    points: Any = eqx.field(static=True, converter=_numbers)

    @property
    def count(self) -> int:
        """J."""
        return len(self.points)

    def at(self, x: Any, xp: Any) -> Any:
        """Return all."""
        d = len(self.points[0])
        away = x[..., None, :d] - np.array(self.points)
        return xp.sum(away**2, axis=-1) ** ((2 - d) / 2)


class Corners(AbstractAdded):
    """r^a cos bφ and r^a sin bφ about corners, φ the angle from one side of each.

    Attributes
    ----------
    corners : array, shape (J, 2)
    middles : array, shape (J,)
        The direction of the middle of the domain there, opposite to the cut of φ.
    angles : array, shape (J,)
        ω, inside the domain.
    powers, waves : arrays, shape (J, M)
        a and b.
    size : float
        What r is divided by.
    """

    corners: Any = eqx.field(static=True, converter=_numbers)
    middles: Any = eqx.field(static=True, converter=_numbers)
    angles: Any = eqx.field(static=True, converter=_numbers)
    powers: Any = eqx.field(static=True, converter=_numbers)
    waves: Any = eqx.field(static=True, converter=_numbers)
    size: float = eqx.field(static=True, default=1.0)

    @property
    def count(self) -> int:
        """2 J M."""
        return 2 * int(np.size(self.powers))

    def at(self, x: Any, xp: Any) -> Any:
        """Return all."""
        away = (x[..., None, :2] - np.array(self.corners)) / self.size
        c, s = np.cos(self.middles), np.sin(self.middles)
        along, across = away[..., 0] * c + away[..., 1] * s, away[..., 1] * c - away[..., 0] * s
        square = along**2 + across**2
        apart = square > 0  # no derivative at the corner itself is a number
        phi = xp.arctan2(across, xp.where(apart, along, 1.0)) + np.array(self.angles) / 2
        length = xp.log(xp.where(apart, square, 1.0))[..., None] / 2
        size = xp.where(apart[..., None], xp.exp(np.array(self.powers) * length), 0.0)
        turned = np.array(self.waves) * phi[..., None]
        both = (size * xp.cos(turned), size * xp.sin(turned))
        return xp.concatenate([_flat(one) for one in both], axis=-1)


class Layers(AbstractAdded):
    """exp(−|x_i − a| / δ) times Legendre polynomials of the other coordinates.

    Attributes
    ----------
    axes : tuple of int
        i, of each layer.
    places, widths : arrays, shape (J,)
        a and δ.
    degree : int
        Of the polynomials, total.
    bounds : array, shape (D, 2)
        The box in which the polynomials are at most 1.
    """

    axes: tuple[int, ...] = eqx.field(static=True, converter=tuple)
    places: Any = eqx.field(static=True, converter=_numbers)
    widths: Any = eqx.field(static=True, converter=_numbers)
    bounds: Any = eqx.field(static=True, converter=_numbers)
    degree: int = eqx.field(static=True, default=0)

    @property
    def count(self) -> int:
        """J times the number of polynomials."""
        return len(self.axes) * len(self._exponents())

    def _exponents(self) -> np.ndarray:
        others = len(self.bounds) - 1
        if not others:
            return np.zeros((1, 0), int)
        grid = np.indices((self.degree + 1,) * others).reshape(others, -1).T
        return grid[grid.sum(axis=1) <= self.degree]

    def at(self, x: Any, xp: Any) -> Any:
        """Return all."""
        lower, upper = np.array(self.bounds).T
        t, exponents, found = 2 * (x - lower) / (upper - lower) - 1, self._exponents(), []
        for axis, place, width in zip(self.axes, self.places, self.widths, strict=True):
            sign = 1.0 if place > (lower[axis] + upper[axis]) / 2 else -1.0
            layer = xp.exp(sign * (x[..., axis] - place) / width)[..., None]
            others = [i for i in range(len(lower)) if i != axis]
            table = _legendre(t[..., others], self.degree, xp)  # (degree + 1, …, D − 1)
            for powers in exponents:
                factors = [table[p][..., i] for i, p in enumerate(powers)]
                found.append(math.prod(factors, start=layer[..., 0]))
        return xp.stack(found, axis=-1)


class Radial(AbstractAdded):
    """tanh(w·z + b) of z = (|x − c|² / R², the coordinates that x − c has no part in).

    Attributes
    ----------
    center : array, shape (d,)
        Of the first d coordinates.
    radius : float
    weight : array, shape (P, 1 + D − d)
    bias : array, shape (P,)
    lower, width : arrays, shape (1 + D − d,)
        z is mapped to the unit box by these.
    """

    center: Any = eqx.field(static=True, converter=_numbers)
    radius: float = eqx.field(static=True)
    weight: Any = eqx.field(static=True, converter=_numbers)
    bias: Any = eqx.field(static=True, converter=_numbers)
    lower: Any = eqx.field(static=True, converter=_numbers)
    width: Any = eqx.field(static=True, converter=_numbers)

    @property
    def count(self) -> int:
        """P."""
        return len(self.bias)

    def at(self, x: Any, xp: Any) -> Any:
        """Return all."""
        d = len(self.center)
        away = (x[..., :d] - np.array(self.center)) / self.radius
        square = xp.sum(away**2, axis=-1, keepdims=True)
        z = xp.concatenate([square, x[..., d:]], axis=-1)
        z = (z - np.array(self.lower)) / np.array(self.width)
        return xp.tanh(z @ np.array(self.weight).T + np.array(self.bias))


class Additive(AbstractAdded):
    """Legendre polynomials of single coordinates, from degree 2 to a highest.

    Attributes
    ----------
    bounds : array, shape (D, 2)
    degree : int
    """

    bounds: Any = eqx.field(static=True, converter=_numbers)
    degree: int = eqx.field(static=True)

    @property
    def count(self) -> int:
        """D (degree − 1)."""
        return len(self.bounds) * (self.degree - 1)

    def at(self, x: Any, xp: Any) -> Any:
        """Return all."""
        lower, upper = np.array(self.bounds).T
        table = _legendre(2 * (x - lower) / (upper - lower) - 1, self.degree, xp)
        return xp.concatenate(table[2:], axis=-1)


def _flat(a: Any) -> Any:
    """Return an array with its last two axes as one."""
    return a.reshape(*a.shape[:-2], -1)


def _legendre(t: Any, degree: int, xp: Any) -> list[Any]:
    """Return Legendre polynomials of each coordinate, (…, D) each, by degree."""
    found = [xp.ones_like(t), t]
    for k in range(1, degree):
        found.append(((2 * k + 1) * t * found[k] - k * found[k - 1]) / (k + 1))
    return found[: degree + 1]


KINDS: dict[str, type[AbstractAdded]] = {
    kind.__name__: kind for kind in (Poles, Sources, Corners, Layers, Radial, Additive)
}


def _added(given: Sequence[Any]) -> tuple[AbstractAdded, ...]:
    found = []
    for one in given:
        if isinstance(one, Mapping):
            fields = {name: value for name, value in one.items() if name != "kind"}
            one = KINDS[one["kind"]](**fields)
        found.append(one)
    return tuple(found)


def column_mask(basis: Any, n_unknowns: int) -> np.ndarray | None:
    """Return 0 for functions (B·P,) that an unknown does not have, else 1; ``None`` if all do."""
    while not isinstance(basis, EnrichedBasis):
        if not hasattr(basis, "inner"):
            return None
        basis = basis.inner
    if not basis.owners:
        return None
    size = basis.size(len(basis.shift))
    mask, start = np.ones((n_unknowns, size)), 0
    for owner, one in zip(basis.owners, basis.added, strict=True):
        mask[np.arange(n_unknowns) != owner, start : start + one.count] = 0.0
        start += one.count
    return mask.ravel()


@in_model_files
class EnrichedBasis(AbstractWrapper):
    """The functions of a basis of the unit box, and others before them.

    Parameters
    ----------
    inner : AbstractBasis
        The basis of the unit box.
    added : sequence of AbstractAdded
        Functions of x in the user's units.
    shift, scale : arrays, shape (D,)
        x = shift + scale z for a point z of the unit box.
    owners : sequence of int, optional
        Of each of those added, the number of the one unknown that has it; by default all have.
    """

    inner: AbstractBasis = eqx.field(static=True)
    added: tuple[AbstractAdded, ...] = eqx.field(static=True, converter=_added)
    shift: Any = eqx.field(static=True, converter=_numbers)
    scale: Any = eqx.field(static=True, converter=_numbers)
    owners: tuple[int, ...] = eqx.field(static=True, converter=tuple, default=())

    def size(self, n_inputs: int) -> int:
        """Return the number of all functions."""
        return self.n_added + self.inner.size(n_inputs)

    @property
    def n_added(self) -> int:
        """How many were added."""
        return sum(one.count for one in self.added)

    def __call__(self, z: PointX, parameters: Parameters) -> Functions:
        """Evaluate all functions at one point of the unit box."""
        x = AffineMap(np.array(self.shift), np.array(self.scale)).inverse(z)
        return jnp.concatenate([*(one.at(x, jnp) for one in self.added), self.inner(z, parameters)])

    def values(self, z: np.ndarray, parameters: Parameters) -> np.ndarray:
        """Evaluate all functions at N points of the unit box, in NumPy."""
        x = AffineMap(np.array(self.shift), np.array(self.scale)).inverse(z)
        known = [one.at(x, np) for one in self.added]
        return np.concatenate([*known, self.inner.values(z, parameters)], axis=1)

    def linearizable(self, parameters: Parameters, x: Any) -> Any:
        """Return this basis: what is added has no kinks."""
        return self

    def members(self, parameters: Parameters) -> list[tuple[AbstractBasis, Parameters]]:
        """Return this basis: what is added belongs to no member."""
        return [(self, parameters)]

    def config(self) -> dict[str, Any]:
        """Return the arguments, what is added as plain values."""
        return {
            "inner": self.inner,
            "added": [one.to_json() for one in self.added],
            "shift": self.shift,
            "scale": self.scale,
            "owners": self.owners,
        }

    def __repr__(self) -> str:
        kinds = ", ".join(f"{one.count} {type(one).__name__.lower()}" for one in self.added)
        return f"{self.inner!r} and {kinds}"

"""Affine maps between boxes, and points with weights.

Points are padded so that few different shapes are ever compiled. A sampler knows how to place
points of a box and of its faces; how many are wanted is said by the caller, unless the sampler is
one of fixed size (a Cartesian cloud of n per side).
"""

from __future__ import annotations

import abc
import dataclasses
import math
from typing import Any

import jax
import numpy as np

from .._runtime.notation import AnyArray


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True, eq=False)
class AffineMap:
    """The map x ↦ (x − shift) / scale, column by column.

    A fitted model carries one for its inputs and one for its outputs, so that units never reach
    the basis.

    Parameters
    ----------
    shift, scale : arrays, shape (D,)
        In the user's units. ``scale`` is positive.
    """

    shift: np.ndarray
    scale: np.ndarray

    @classmethod
    def identity(cls, size: int) -> AffineMap:
        """Return the map that changes nothing."""
        return cls(np.zeros(size), np.ones(size))

    @classmethod
    def onto_unit_box(cls, box: np.ndarray) -> AffineMap:
        """Map a (D, 2) box onto [0, 1]^D; a side of no length is mapped to 0."""
        lower, upper = box[:, 0], box[:, 1]
        return cls(lower, _nonzero(upper - lower, lower))

    @classmethod
    def standardize(cls, mean: np.ndarray, spread: np.ndarray) -> AffineMap:
        """Subtract a mean (Q,) and divide by a spread (Q,), by 1 where that is round-off."""
        return cls(mean, _nonzero(spread, mean))

    def __call__(self, x: Any) -> Any:
        """Map user units to the model's."""
        moved = x - self.shift
        if isinstance(moved, np.ndarray) and moved.dtype == float:
            return np.divide(moved, self.scale, out=moved)  # millions of rows are copied once
        return moved / self.scale

    def after(self, first: AffineMap) -> AffineMap:
        """Return the map that applies another and then this one."""
        return AffineMap(first.shift + first.scale * self.shift, first.scale * self.scale)

    def inverse(self, z: Any) -> Any:
        """Map the model's units to the user's."""
        return self.shift + self.scale * z


def _nonzero(width: np.ndarray, level: np.ndarray) -> np.ndarray:
    """Replace widths that are round-off at the given level by one."""
    return np.where(width > 8 * np.finfo(float).eps * np.abs(level), width, 1.0)


def bounding_box(x: np.ndarray) -> np.ndarray:
    """Return the (D, 2) smallest box that holds the (N, D) points."""
    return np.stack([x.min(axis=0), x.max(axis=0)], axis=1)


def unit_box(size: int) -> np.ndarray:
    """Return [0, 1]^D as a (D, 2) array."""
    return np.tile([0.0, 1.0], (size, 1))


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class Points:
    """N points with non-negative weights.

    Attributes
    ----------
    x : array, shape (N, D)
    weight : array, shape (N,)
        A weight of zero makes a point count for nothing: padding is such points.
    normal : array, shape (N, D), or None
        Outward unit normals, of points on a boundary.
    """

    x: AnyArray
    weight: AnyArray
    normal: AnyArray | None = None

    def __len__(self) -> int:
        return self.x.shape[0]


def bucket(n: int) -> int:
    """Return the padded row count for ``n`` rows: the next of 64·{1, 1.25, 1.5, 1.75}·2^k.

    At most a quarter of the rows are padding; everything up to 64 rows shares one shape.
    """
    if n <= 64:
        return 64
    step = 2 ** (math.ceil(math.log2(n)) - 3)
    return step * math.ceil(n / step)


def pad_rows(a: np.ndarray, rows: int) -> np.ndarray:
    """Append zero rows to ``a`` until it has ``rows``."""
    missing = rows - len(a)
    return np.concatenate([a, np.zeros((missing, *a.shape[1:]), a.dtype)]) if missing > 0 else a


def pad_points(x: np.ndarray) -> np.ndarray:
    """Repeat the first point until there are :func:`bucket` rows.

    A repeated point is one where the basis is known to be defined.
    """
    missing = bucket(len(x)) - len(x)
    first = x[:1] if len(x) else np.zeros((1, x.shape[1]))
    return np.concatenate([x, np.broadcast_to(first, (missing, x.shape[1]))])


def padded(x: np.ndarray, weight: np.ndarray | None = None) -> Points:
    """Return the points padded to :func:`bucket` rows, the padding with weight zero."""
    weight = np.ones(len(x)) if weight is None else weight
    return Points(pad_points(x), pad_rows(weight, bucket(len(x))))


def tensor_grid(*axes: np.ndarray) -> np.ndarray:
    """Return the points of a grid with these coordinates along its D axes, (n₁ ⋯ n_D, D).

    The last coordinate varies fastest.
    """
    return np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, len(axes))


class AbstractSampler(abc.ABC):
    """A way of placing points in the unit box; frozen dataclasses."""

    per_side: int | None = None

    @abc.abstractmethod
    def unit(self, n: int, n_inputs: int, seed: int) -> Points:
        """Return about ``n`` points of [0, 1]^D with weights that sum to one."""

    def interior(self, box: np.ndarray, n: int, seed: int = 0) -> Points:
        """Return about ``n`` points of a (D, 2) box."""
        points = self.unit(n, len(box), seed)
        lower, upper = box.T
        return Points(lower + (upper - lower) * points.x, points.weight)

    def face(self, box: np.ndarray, axis: int, value: float, n: int, seed: int = 0) -> Points:
        """Return about ``n`` points of the part of the plane x_axis = value inside the box."""
        others = np.delete(box, axis, axis=0)
        if not len(others):
            return Points(np.array([[value]]), np.ones(1))
        points = self.interior(others, n, seed)
        return Points(np.insert(np.asarray(points.x), axis, value, axis=1), points.weight)

    def count(self, n_inputs: int) -> int | None:
        """Return the number of points in D dimensions, ``None`` where the caller says."""
        return None if self.per_side is None else self.per_side**n_inputs


@dataclasses.dataclass(frozen=True)
class Sobol(AbstractSampler):
    """A scrambled Sobol sequence, with equal weights."""

    def unit(self, n: int, n_inputs: int, seed: int) -> Points:
        """Return exactly ``n`` points."""
        from scipy.stats import qmc

        drawn = qmc.Sobol(n_inputs, rng=np.random.default_rng(seed))
        x = drawn.random_base2(math.ceil(math.log2(max(n, 2))))[:n]
        return Points(x, np.full(n, 1 / n))


@dataclasses.dataclass(frozen=True)
class Gauss(AbstractSampler):
    """Tensor Gauss–Legendre points with their weights.

    Parameters
    ----------
    per_side : int, optional
        Points along each side; by default as many as make up the number wanted.
    """

    per_side: int | None = None

    def unit(self, n: int, n_inputs: int, seed: int) -> Points:
        """Return per_side^D points; the seed is not used."""
        side = self.per_side or max(1, round(n ** (1 / n_inputs)))
        nodes, weights = np.polynomial.legendre.leggauss(side)
        return _tensor((nodes + 1) / 2, weights / 2, n_inputs)


@dataclasses.dataclass(frozen=True)
class Cartesian(AbstractSampler):
    """The slides' point clouds: a Cartesian grid with equal weights.

    Parameters
    ----------
    per_side : int
        Points along each side, the ends included; faces have as many.
    """

    per_side: int

    def __post_init__(self) -> None:
        if self.per_side < 2:
            raise ValueError(f"Cartesian({self.per_side}): expected at least 2 points a side.")

    def unit(self, n: int, n_inputs: int, seed: int) -> Points:
        """Return per_side^D points; the number wanted and the seed are not used."""
        nodes = np.linspace(0.0, 1.0, self.per_side)
        return _tensor(nodes, np.full(self.per_side, 1 / self.per_side), n_inputs)


def default_sampler(n_inputs: int) -> AbstractSampler:
    """Return Gauss points on an interval, a Sobol sequence in more dimensions."""
    return Gauss() if n_inputs == 1 else Sobol()


def sequence(n: int, size: int, seed: int) -> np.ndarray:
    """Return ``n`` points of a scrambled Sobol sequence in [0, 1)^size, (n, size)."""
    if size == 0:
        return np.zeros((n, 0))
    if size == 1:  # evenly spread, at a random offset: points of a curve
        return ((np.arange(n) + np.random.default_rng(seed).uniform()) / n)[:, None]
    return np.asarray(Sobol().unit(n, size, seed).x)


def _tensor(nodes: np.ndarray, weights: np.ndarray, n_inputs: int) -> Points:
    return Points(tensor_grid(*[nodes] * n_inputs), tensor_grid(*[weights] * n_inputs).prod(axis=1))

"""Parts of boundaries: spheres, sides of boxes, and what set operations leave of surfaces.

A surface maps points of the unit cube onto itself, with the factor by which it stretches areas and
with normals that point outwards. Sequences of low discrepancy in the cube become points on it, and
products of surfaces and domains come from sequences in more coordinates.
"""

from __future__ import annotations

import abc
import dataclasses
import functools
import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from .points import Points, sequence

#: Points by which it is found how much of a surface belongs to a boundary.
PROBES = 4096
#: Nodes of Gauss's rule on each part of a curve.
GAUSS = 16
#: Seed of these.
PROBE_SEED = 5_003

#: x ↦ whether points with normals belong to a boundary.
Kept = Callable[[Any, Any], np.ndarray]


class AbstractSurface(abc.ABC):
    """A part of a boundary in D dimensions.

    Attributes
    ----------
    unit_size : int
        K, the coordinates of the unit cube that it is mapped from.
    plane : tuple (axis, value) or None
        Where it is part of a plane x_axis = value.
    """

    unit_size: int
    plane: tuple[int, float] | None = None

    @abc.abstractmethod
    def from_unit(self, u: np.ndarray) -> Points:
        """Return the images of (N, K) points of the unit cube; weights have the mean ∫ dS."""

    @functools.cached_property
    def measure(self) -> float:
        """Length, area, …; 1 for a point."""
        return float(np.mean(self.from_unit(sequence(PROBES, self.unit_size, PROBE_SEED)).weight))

    def drawn(self, n: int, seed: int = 0) -> Points:
        """Return ``n`` points, evenly spread; weights sum to the measure."""
        n = n if self.unit_size else 1
        points = self.from_unit(sequence(n, self.unit_size, seed))
        return dataclasses.replace(points, weight=np.asarray(points.weight) / n)

    def quadrature(self, n: int) -> Points:
        """Return about ``n`` points and weights of a rule for integrals: here evenly spread."""
        return self.drawn(n)

    def parted(self, unseen: bool | None) -> AbstractSurface:
        """Return what solves see of it, or what they do not, where it has only so many points."""
        return self

    def reversed(self) -> AbstractSurface:
        """Return the surface with normals that point the other way."""
        return Reversed(self)

    def trimmed(self, kept: Kept) -> AbstractSurface | None:
        """Return the part where ``kept(x, normal)`` is true; ``None`` if there is none."""
        points = self.drawn(PROBES, PROBE_SEED)
        here = kept(points.x, points.normal) & (points.weight > 0)
        if here.all():
            return self
        return Trimmed(self, kept, float(here.mean())) if here.any() else None


@dataclasses.dataclass(frozen=True, eq=False)
class Turned:
    """A rule for points whose normals point the other way."""

    kept: Kept

    def __call__(self, x: np.ndarray, normal: np.ndarray) -> np.ndarray:
        """Ask the rule."""
        return self.kept(x, -normal)


@dataclasses.dataclass(frozen=True, eq=False)
class AbstractPart(AbstractSurface):
    """A surface, or a part of it."""

    inner: AbstractSurface

    @property
    def unit_size(self) -> int:  # type: ignore[override]
        """That of the surface."""
        return self.inner.unit_size

    @property
    def plane(self) -> tuple[int, float] | None:  # type: ignore[override]
        """That of the surface."""
        return self.inner.plane


@dataclasses.dataclass(frozen=True, eq=False)
class Reversed(AbstractPart):
    """A surface seen from its other side."""

    def from_unit(self, u: np.ndarray) -> Points:
        """Turn the normals."""
        return _turned(self.inner.from_unit(u))

    def quadrature(self, n: int) -> Points:
        """Turn the normals."""
        return _turned(self.inner.quadrature(n))

    def parted(self, unseen: bool | None) -> AbstractSurface:
        """Return the parts of the surface."""
        return Reversed(self.inner.parted(unseen))

    def trimmed(self, kept: Kept) -> AbstractSurface | None:
        """Trim what is inside."""
        inner = self.inner.trimmed(Turned(kept))
        return None if inner is None else Reversed(inner)


@dataclasses.dataclass(frozen=True, eq=False)
class Trimmed(AbstractPart):
    """The part of a surface that belongs to a boundary; ``share`` of its points do."""

    kept: Kept
    share: float

    def from_unit(self, u: np.ndarray) -> Points:
        """Give what does not belong to it the weight 0."""
        points = self.inner.from_unit(u)
        here = self.kept(points.x, points.normal)
        return dataclasses.replace(points, weight=np.where(here, points.weight, 0.0))

    def parted(self, unseen: bool | None) -> AbstractSurface:
        """Return the parts of the surface."""
        return dataclasses.replace(self, inner=self.inner.parted(unseen))

    def drawn(self, n: int, seed: int = 0) -> Points:
        """Draw so many that about ``n`` stay."""
        more = math.ceil(n / self.share)
        return used(super().drawn(more, seed))


class Vanished(AbstractSurface):
    """A part of a shape of which a set operation leaves nothing."""

    unit_size = 0

    def __init__(self, plane: tuple[int, float] | None) -> None:
        self.plane = plane

    def from_unit(self, u: np.ndarray) -> Points:
        """Return no points."""
        raise NotImplementedError


@dataclasses.dataclass(frozen=True, eq=False)
class Sphere(AbstractSurface):
    """A sphere in D dimensions, of two points in one; normals point away from its centre."""

    center: tuple[float, ...]
    radius: float

    @property
    def unit_size(self) -> int:  # type: ignore[override]
        """2 in three dimensions, else D."""
        return 2 if len(self.center) == 3 else len(self.center)

    @functools.cached_property
    def measure(self) -> float:
        """The area, 2 π^(D/2) r^(D−1) / Γ(D/2)."""
        d = len(self.center)
        return 2 * math.pi ** (d / 2) / math.gamma(d / 2) * self.radius ** (d - 1)

    def from_unit(self, u: np.ndarray) -> Points:
        """Return points that are spread as the area is."""
        normal = directions(u, len(self.center))
        x = np.array(self.center) + self.radius * normal
        return Points(x, np.full(len(u), self.measure), normal)

    def quadrature(self, n: int) -> Points:
        """Return Gauss's rule in height and the trapezoidal one in angle, of three dimensions."""
        if len(self.center) != 3:
            return super().quadrature(n)
        rows = max(2, math.ceil(math.sqrt(n / 2)))
        height, weight = gauss_on(0.0, 1.0, rows, most=rows)
        around = (np.arange(2 * rows) + 0.5) / (2 * rows)
        u = np.stack(np.meshgrid(height, around, indexing="ij"), axis=-1).reshape(-1, 2)
        points = self.from_unit(u)
        return dataclasses.replace(
            points, weight=np.repeat(weight, 2 * rows) / (2 * rows) * points.weight
        )


@dataclasses.dataclass(frozen=True, eq=False)
class Side(AbstractSurface):
    """A side of a box: the part of a plane within bounds (D, 2)."""

    sides: tuple[tuple[float, float], ...]
    axis: int
    value: float
    sign: float

    @property
    def unit_size(self) -> int:  # type: ignore[override]
        """D − 1."""
        return len(self.sides) - 1

    @property
    def plane(self) -> tuple[int, float]:  # type: ignore[override]
        """The plane."""
        return self.axis, self.value

    def from_unit(self, u: np.ndarray) -> Points:
        """Scale the cube to the side."""
        lower, upper = np.delete(np.array(self.sides), self.axis, axis=0).reshape(-1, 2).T
        x = np.insert(lower + (upper - lower) * u, self.axis, self.value, axis=1)
        normal = np.zeros_like(x)
        normal[:, self.axis] = self.sign
        return Points(x, np.full(len(u), float(np.prod(upper - lower))), normal)

    def quadrature(self, n: int) -> Points:
        """Return the tensor rule of Gauss."""
        size = self.unit_size
        if size == 0:
            return self.drawn(1)
        side = max(1, round(n ** (1 / size)))
        nodes, weights = gauss_on(0.0, 1.0, side, most=64)
        grid = np.stack(np.meshgrid(*[nodes] * size, indexing="ij"), axis=-1).reshape(-1, size)
        each = np.stack(np.meshgrid(*[weights] * size, indexing="ij"), axis=-1).reshape(-1, size)
        points = self.from_unit(grid)
        return dataclasses.replace(points, weight=each.prod(axis=1) * points.weight)

    def trimmed(self, kept: Kept) -> AbstractSurface | None:
        """Keep or leave the point that it is in one dimension."""
        if len(self.sides) > 1:
            return super().trimmed(kept)
        point = self.drawn(1)
        assert point.normal is not None
        return self if bool(kept(np.asarray(point.x), np.asarray(point.normal))[0]) else None


@dataclasses.dataclass(frozen=True, eq=False)
class Crossed(AbstractSurface):
    """A surface times a domain: the mantle of a cylinder.

    ``first`` columns of points come from the surface if ``surface_first``, else from the domain.
    """

    surface: AbstractSurface
    domain: Any
    surface_first: bool

    @property
    def unit_size(self) -> int:  # type: ignore[override]
        """The sum of both."""
        return self.surface.unit_size + int(self.domain.unit_size)

    @property
    def plane(self) -> tuple[int, float] | None:  # type: ignore[override]
        """That of the surface, its axis counted anew."""
        if self.surface.plane is None:
            return None
        axis, value = self.surface.plane
        return axis + (0 if self.surface_first else int(self.domain.n_inputs)), value

    def from_unit(self, u: np.ndarray) -> Points:
        """Pair the images of both."""
        size = self.surface.unit_size
        return self._paired(self.surface.from_unit(u[:, :size]), self.domain.from_unit(u[:, size:]))

    def quadrature(self, n: int) -> Points:
        """Return the products of the rules of both."""
        d = int(self.domain.n_inputs)
        on = self.surface.unit_size
        share = n ** (on / (on + d)) if on + d else 1.0
        one: Any = self.surface.quadrature(round(share))
        other = self.domain.quadrature(round(n / share))
        i, j = (g.ravel() for g in np.meshgrid(range(len(one)), range(len(other)), indexing="ij"))
        return self._paired(
            Points(one.x[i], one.weight[i], one.normal[i]), Points(other.x[j], other.weight[j])
        )

    def drawn(self, n: int, seed: int = 0) -> Points:
        """Draw so many that about ``n`` lie inside."""
        return used(super().drawn(math.ceil(n / self.domain.share), seed))

    def parted(self, unseen: bool | None) -> AbstractSurface:
        """Return the parts of both."""
        both = self.surface.parted(unseen), self.domain.parted(unseen)
        return Crossed(*both, self.surface_first)

    def _paired(self, one: Points, other: Points) -> Points:
        flat = np.zeros_like(np.asarray(other.x))
        assert one.normal is not None
        pairs = [(one.x, other.x), (one.normal, flat)]
        x, normal = (
            np.concatenate(pair if self.surface_first else pair[::-1], axis=1) for pair in pairs
        )
        return Points(x, np.asarray(one.weight) * np.asarray(other.weight), normal)


def joined(parts: Sequence[Points]) -> Points:
    """Return points one after another."""
    columns = [(p.x, p.weight, p.normal) for p in parts]
    x, weight, normal = (np.concatenate(list(column)) for column in zip(*columns, strict=True))
    return Points(x, weight, normal)


def used(points: Points) -> Points:
    """Return points without those of weight 0."""
    here = np.asarray(points.weight) > 0
    normal = None if points.normal is None else points.normal[here]
    return Points(points.x[here], points.weight[here], normal)


def _turned(points: Points) -> Points:
    assert points.normal is not None
    return dataclasses.replace(points, normal=-points.normal)


def gauss_on(a: float, b: float, n: int, most: int = GAUSS) -> tuple[np.ndarray, np.ndarray]:
    """Return about ``n`` nodes and weights: Gauss's rule with at most ``most`` on each part."""
    parts = max(1, math.ceil(n / most))
    nodes, weights = np.polynomial.legendre.leggauss(max(1, math.ceil(n / parts)))
    edges = np.linspace(a, b, parts + 1)
    half = (b - a) / parts / 2
    middle = (edges[1:] + edges[:-1]) / 2
    return (middle[:, None] + half * nodes).ravel(), np.tile(half * weights, parts)


def directions(u: np.ndarray, d: int) -> np.ndarray:
    """Return unit vectors (N, D), evenly spread as points of the unit cube are."""
    if d == 2 and u.shape[1] == 1:
        return np.stack([np.cos(2 * np.pi * u[:, 0]), np.sin(2 * np.pi * u[:, 0])], axis=1)
    if d == 3:
        height, angle = 1 - 2 * u[:, 0], 2 * np.pi * u[:, 1]
        flat = np.sqrt(np.maximum(1 - height**2, 0.0))
        return np.stack([flat * np.cos(angle), flat * np.sin(angle), height], axis=1)
    normal = _normal(u)
    return normal / np.linalg.norm(normal, axis=1, keepdims=True)


def _normal(u: np.ndarray) -> np.ndarray:
    """Return independent normal numbers for uniform ones, none of which is 0 or infinite."""
    from scipy.special import ndtri

    g = ndtri(np.clip(u, 1e-12, 1 - 1e-12))
    return np.where(g == 0, 1e-9, g)

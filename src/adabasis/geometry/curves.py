"""Curves in the plane, by a parameter: their parts are found by bisection, to round-off."""

from __future__ import annotations

import abc
import dataclasses
import functools
import math

import numpy as np

from .points import Points
from .surfaces import PROBES, AbstractSurface, Kept, Side, gauss_on

#: Steps of bisection for the ends of the parts of a curve that belong to a boundary.
BISECTIONS = 48


class AbstractCurve(AbstractSurface):
    """A curve in the plane, s ∈ [0, 1] ↦ x(s)."""

    unit_size = 1
    closed = False

    @abc.abstractmethod
    def at(self, s: np.ndarray) -> Points:
        """Return x(s), ``|x′(s)|`` as weights and normals, at N parameters."""

    def from_unit(self, u: np.ndarray) -> Points:
        """Return x(s)."""
        return self.at(u[:, 0])

    @functools.cached_property
    def measure(self) -> float:
        """The length."""
        return float(np.sum(self.quadrature(512).weight))

    def quadrature(self, n: int) -> Points:
        """Return the trapezoidal rule on a closed curve, else Gauss's on parts of it."""
        if self.closed:
            return self.drawn(n)
        s, weight = gauss_on(0.0, 1.0, n)
        points = self.at(s)
        return dataclasses.replace(points, weight=weight * points.weight)

    def trimmed(self, kept: Kept) -> AbstractSurface | None:
        """Find the ends of the parts that are kept by bisection."""

        def inside(s: np.ndarray) -> np.ndarray:
            points = self.at(s)
            return kept(points.x, points.normal)

        s = (np.arange(PROBES) + 0.5) / PROBES
        here = inside(s)
        if here.all() or not here.any():
            return self if here.all() else None
        edges = np.concatenate([[0.0], s, [1.0]])
        flags = np.concatenate([here[:1], here, here[-1:]])
        low, high = edges[:-1].copy(), edges[1:].copy()
        change = np.flatnonzero(flags[1:] != flags[:-1])
        low, high, first = low[change], high[change], flags[change]
        for _ in range(BISECTIONS):
            middle = (low + high) / 2
            same = inside(middle) == first
            low, high = np.where(same, middle, low), np.where(same, high, middle)
        ends = [*([0.0] if flags[0] else []), *((low + high) / 2), *([1.0] if flags[-1] else [])]
        return Arcs(self, tuple(zip(ends[::2], ends[1::2], strict=True)))


@dataclasses.dataclass(frozen=True, eq=False)
class Arcs(AbstractCurve):
    """Parts of a curve, by intervals of its parameter."""

    inner: AbstractCurve
    intervals: tuple[tuple[float, float], ...]

    @property
    def plane(self) -> tuple[int, float] | None:  # type: ignore[override]
        """That of the curve."""
        return self.inner.plane

    def at(self, s: np.ndarray) -> Points:
        """Run through all intervals, one after another."""
        start, end = np.array(self.intervals).T
        total = np.sum(end - start)
        before = np.concatenate([[0.0], np.cumsum(end - start)])
        number = np.clip(np.searchsorted(before, s * total, side="right") - 1, 0, len(start) - 1)
        points = self.inner.at(start[number] + s * total - before[number])
        return dataclasses.replace(points, weight=total * np.asarray(points.weight))

    def quadrature(self, n: int) -> Points:
        """Return Gauss's rule on each interval."""
        total = sum(b - a for a, b in self.intervals)
        rules = [gauss_on(a, b, math.ceil(n * (b - a) / total)) for a, b in self.intervals]
        s, weight = (np.concatenate(parts) for parts in zip(*rules, strict=True))
        points = self.inner.at(s)
        return dataclasses.replace(points, weight=weight * points.weight)


@dataclasses.dataclass(frozen=True, eq=False)
class Segment(AbstractCurve):
    """A straight line from one point to another, the domain lying to its left."""

    start: tuple[float, float]
    end: tuple[float, float]

    @property
    def plane(self) -> tuple[int, float] | None:  # type: ignore[override]
        """The line, where it is parallel to an axis."""
        for axis in range(2):
            if self.start[axis] == self.end[axis]:
                return axis, self.start[axis]
        return None

    def at(self, s: np.ndarray) -> Points:
        """Return the points."""
        start, along = np.array(self.start), np.subtract(self.end, self.start)
        length = math.hypot(*along)
        normal = np.tile([along[1] / length, -along[0] / length], (len(s), 1))
        return Points(start + s[:, None] * along, np.full(len(s), length), normal)


@dataclasses.dataclass(frozen=True, eq=False)
class Circle(AbstractCurve):
    """A circle, normals pointing away from its centre."""

    center: tuple[float, float]
    radius: float
    closed = True

    def at(self, s: np.ndarray) -> Points:
        """Return the points at angles 2πs."""
        normal = np.stack([np.cos(2 * np.pi * s), np.sin(2 * np.pi * s)], axis=1)
        length = np.full(len(s), 2 * np.pi * self.radius)
        return Points(np.array(self.center) + self.radius * normal, length, normal)


def segment_of(side: Side) -> Segment:
    """Return a side of a rectangle as a line with the rectangle to its left."""
    ends = np.zeros((2, 2))
    ends[:, side.axis] = side.value
    along = side.sides[1 - side.axis]
    forward = (side.sign > 0) == (side.axis == 0)
    ends[:, 1 - side.axis] = along if forward else along[::-1]
    start, end = (tuple(float(v) for v in end) for end in ends)
    return Segment(start, end)  # type: ignore[arg-type]

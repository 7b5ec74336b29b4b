"""Polygons, by shapely."""

from __future__ import annotations

import dataclasses
import functools
import importlib.util
import math
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from .curves import Segment
from .domains import AbstractDomain
from .pieces import Named
from .points import Points
from .shapes import coordinate_names
from .simplices import Simplices

Ring = tuple[tuple[float, float], ...]


@dataclasses.dataclass(frozen=True, init=False, eq=False, repr=False)
class Polygon(AbstractDomain):
    """A polygon, with holes or without.

    Parameters
    ----------
    corners : array-like, shape (K, 2), or a polygon of shapely's
        In either sense; the first one need not be repeated.
    holes : sequence of array-like
        Corners of each.
    sides : sequence of K str, optional
        Names of the sides, from each corner to the next; sides of one name are one piece of the
        boundary. Without names all of the boundary is one piece.
    names : pair of str, optional
        The coordinates; by default x and y, or those of what the polygon is combined with.

    Raises
    ------
    ImportError
        If shapely is not installed.
    ValueError
        For fewer than three corners, sides that cross each other, holes that are not inside, or an
        area of 0.

    Examples
    --------
    >>> triangle = Polygon([(0, 0), (1, 0), (0, 1)], sides=("floor", "slope", "wall"))
    >>> round(triangle.boundaries["slope"].measure, 4)
    1.4142
    """

    corners: Ring
    holes: tuple[Ring, ...]
    sides: tuple[str, ...] | None
    kind = "polygon"

    def __init__(
        self,
        corners: Any,
        holes: Sequence[Any] = (),
        *,
        sides: Sequence[str] | None = None,
        names: Sequence[str] | None = None,
    ) -> None:
        shapely = _shapely()
        if hasattr(corners, "geom_type"):
            if corners.geom_type != "Polygon" or corners.is_empty:
                raise ValueError(
                    f"Polygon({corners.geom_type}): expected one polygon that is not empty; make "
                    "a union of the parts of others: Polygon(a) | Polygon(b)."
                )
            holes = [ring.coords for ring in corners.interiors]
            corners = corners.exterior.coords
        outer, inner = _ring(corners), [_ring(hole, "holes") for hole in holes]
        if sides is not None and (isinstance(sides, str) or len(sides) != len(outer)):
            raise ValueError(
                f"Polygon(sides={sides!r}): expected {len(outer)} names, one for each side, the "
                "first one from the first corner to the second."
            )
        made = shapely.Polygon(outer, inner)
        if not made.is_valid:
            raise ValueError(
                f"Polygon: this is no polygon: {shapely.is_valid_reason(made)}. Sides must not "
                "meet but at their ends, and holes must lie inside."
            )
        outward, inward = _area(outer) < 0, [_area(ring) > 0 for ring in inner]
        if outward:  # the first side stays the first
            outer = outer[1::-1] + outer[:1:-1]
            sides = None if sides is None else (sides[0], *list(sides)[:0:-1])
        holes_in = tuple(r[::-1] if turn else r for r, turn in zip(inner, inward, strict=True))
        for field, value in {
            "names": coordinate_names("Polygon(…)", names, 2), "label": None, "corners": outer,
            "holes": holes_in, "sides": None if sides is None else tuple(map(str, sides)),
            "named_coordinates": names is not None,
        }.items():  # fmt: skip
            object.__setattr__(self, field, value)

    @property
    def unit_size(self) -> int:
        """How many numbers of the unit cube make a point: two."""
        return 2

    @property
    def bounds(self) -> np.ndarray:
        """Of the corners, (2, 2)."""
        x = np.array(self.corners)
        return np.stack([x.min(axis=0), x.max(axis=0)], axis=1)

    @property
    def volume(self) -> float:
        """The area."""
        return _area(self.corners) + sum(_area(hole) for hole in self.holes)

    @functools.cached_property
    def _shape(self) -> Any:
        shapely = _shapely()
        shape = shapely.Polygon(self.corners, self.holes)
        shapely.prepare(shape)
        return shape

    @functools.cached_property
    def triangles(self) -> Simplices:
        """A triangulation whose triangles have the polygon's corners."""
        parts = _shapely().constrained_delaunay_triangles(self._shape).geoms
        corners = np.array([np.asarray(part.exterior.coords)[:3] for part in parts])
        found = Simplices(corners)
        if not math.isclose(found.sizes.sum(), self.volume, rel_tol=1e-9):
            raise ValueError(f"{self!r}: its triangles do not add up to it; corners may coincide.")
        return found

    @functools.cached_property
    def _edges(self) -> Simplices:
        rings = [np.array(ring) for ring in (self.corners, *self.holes)]
        pairs = [np.stack([ring, np.roll(ring, -1, axis=0)], axis=1) for ring in rings]
        return Simplices(np.concatenate(pairs))

    def from_unit(self, u: np.ndarray) -> Points:
        """Choose a triangle, and a point of it."""
        x, _ = self.triangles.chosen(u)
        return Points(x, np.full(len(u), self.volume))

    def quadrature(self, n: int) -> Points:
        """Return Gauss's rule on each triangle."""
        x, weight, _ = self.triangles.rule(n)
        return Points(x, weight)

    def distance(self, x: np.ndarray) -> np.ndarray:
        """Return the signed distance, exact."""
        away = self._edges.nearest(x)
        # shapely leaves points within round-off of a side to either side of it.
        inside = _shapely().contains_xy(self._shape, x[:, 0], x[:, 1])
        return np.asarray(np.where(inside, -away, away))

    def surfaces(self) -> Iterator[Named]:
        """Yield the sides, those of holes too; the domain lies to their left."""
        for number, ring in enumerate((self.corners, *self.holes)):
            for i, start in enumerate(ring):
                side = None if number or self.sides is None else self.sides[i]
                shape = self.kind if self.sides is None or not number else "hole"
                yield side or self.label, shape, Segment(start, ring[(i + 1) % len(ring)])

    def angles(self) -> list[tuple[tuple[float, float], float, float]]:
        """Return each corner with the angle inside and the direction of the side that leaves it.

        Angles are in radians, those of re-entrant corners larger than π.
        """
        found = []
        for ring in (self.corners, *self.holes):
            x = np.array(ring)
            ahead, behind = np.roll(x, -1, axis=0) - x, np.roll(x, 1, axis=0) - x
            for corner, a, b in zip(ring, ahead, behind, strict=True):
                first = math.atan2(a[1], a[0])
                inside = (math.atan2(b[1], b[0]) - first) % (2 * math.pi)
                found.append((corner, inside, first))
        return found

    def renamed(self, names: Sequence[str]) -> Polygon:
        """Return it with other names of the coordinates."""
        made = Polygon(self.corners, self.holes, sides=self.sides, names=names)
        return made if self.label is None else made.named(self.label)

    def named(self, label: str) -> Polygon:
        """Return it with a name for what of its boundary has none."""
        self._checked_label(label)
        given = self.names if self.named_coordinates else None
        made = Polygon(self.corners, self.holes, sides=self.sides, names=given)
        object.__setattr__(made, "label", label)
        return made

    def __repr__(self) -> str:
        shown = ", ".join(f"({a:g}, {b:g})" for a, b in self.corners[:6])
        more = f", … {len(self.corners)} corners" if len(self.corners) > 6 else ""
        holes = f", {len(self.holes)} holes" if self.holes else ""
        return self._shown(f"Polygon([{shown}{more}]{holes})")


def _shapely() -> Any:
    if importlib.util.find_spec("shapely") is None:
        raise ImportError(
            "Polygon: it needs shapely; install it with `pip install adabasis[geometry]`."
        )
    import shapely

    return shapely


def _ring(corners: Any, what: str = "corners") -> Ring:
    """Return corners without repetitions, checked."""
    try:
        x = np.asarray(list(corners), dtype=float)
    except (TypeError, ValueError):
        x = np.zeros(0)
    if x.ndim != 2 or x.shape[1] != 2 or not np.isfinite(x).all():
        raise ValueError(
            f"Polygon({what}): expected K pairs of finite numbers, such as [(0, 0), (1, 0), "
            f"(0, 1)], got shape {x.shape}."
        )
    if len(x) > 1 and np.array_equal(x[0], x[-1]):
        x = x[:-1]
    if len(x) < 3:
        raise ValueError(f"Polygon({what}): expected at least three corners, got {len(x)}.")
    return tuple((float(a), float(b)) for a, b in x)


def _area(ring: Ring) -> float:
    x, y = np.array(ring).T
    return float(np.sum(x * np.roll(y, -1) - y * np.roll(x, -1)) / 2)

"""Disks, balls in any number of dimensions, and domains where a function is negative."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from .boxes import Box
from .curves import Circle
from .domains import AbstractDomain
from .fields import Field, as_field, evaluate, symbolic, unknown_names
from .levels import LevelSet, gradient, traced
from .pieces import Named
from .points import Points, tensor_grid
from .surfaces import Sphere, directions, gauss_on


@dataclasses.dataclass(frozen=True, init=False, eq=False, repr=False)
class Ball(AbstractDomain):
    """All points within a radius of a centre, in two or more dimensions.

    Parameters
    ----------
    center : sequence of D numbers
        Its coordinates.
    radius : float
        Larger than 0.
    names : sequence of str, optional
        The coordinates; by default x, y, z, from four on x1, x2, …, or those of what the ball is
        combined with.

    Raises
    ------
    ValueError
        For a centre or a radius that is none.

    Examples
    --------
    >>> round(Ball(center=(0, 0, 0), radius=1.0).volume, 4)
    4.1888
    """

    center: tuple[float, ...]
    radius: float
    kind = "ball"

    def __init__(
        self, center: Sequence[float], radius: float, *, names: Sequence[str] | None = None
    ) -> None:
        call = f"{type(self).__name__}(center={center!r}, radius={radius!r})"
        try:
            found, r = tuple(float(v) for v in center), float(radius)
        except (TypeError, ValueError):
            found, r = (), math.nan
        if not np.isfinite(found).all() or not self._right_size(len(found)):
            raise ValueError(f"{call}: expected a centre of {self._sizes} finite numbers.")
        if not (np.isfinite(r) and r > 0):
            raise ValueError(f"{call}: expected a positive radius.")
        called = coordinate_names(call, names, len(found))
        for field, value in {
            "names": called, "label": None, "center": found, "radius": r,
            "named_coordinates": names is not None,
        }.items():  # fmt: skip
            object.__setattr__(self, field, value)

    _sizes = "at least two"

    def _right_size(self, d: int) -> bool:
        return d >= 2

    @property
    def unit_size(self) -> int:
        """How many numbers of the unit cube make a point: D."""
        return len(self.center)

    @property
    def bounds(self) -> np.ndarray:
        """Of the box around it, (D, 2)."""
        c = np.array(self.center)
        return np.stack([c - self.radius, c + self.radius], axis=1)

    @property
    def volume(self) -> float:
        """π^(D/2) r^D / Γ(D/2 + 1)."""
        d = len(self.center)
        return math.pi ** (d / 2) / math.gamma(d / 2 + 1) * self.radius**d

    def from_unit(self, u: np.ndarray) -> Points:
        """Map the last coordinates to directions, the first one to the share of the volume."""
        from scipy.special import chdtr, ndtri

        d = len(self.center)
        if d <= 3:
            share, along = u[:, 0], directions(u[:, 1:], d)
        else:  # directions and lengths of normal vectors, which are independent
            g = ndtri(np.clip(u, 1e-12, 1 - 1e-12))
            length = np.maximum(np.linalg.norm(g, axis=1), 1e-300)
            share, along = chdtr(d, length**2), g / length[:, None]
        x = np.array(self.center) + self.radius * share[:, None] ** (1 / d) * along
        return Points(x, np.full(len(u), self.volume))

    def quadrature(self, n: int) -> Points:
        """Return Gauss's rule in the radius times one over angles, of two and three dimensions."""
        d = len(self.center)
        if d > 3:
            return super().quadrature(n)
        rows = max(2, math.ceil((n / 2) ** (1 / d)))
        r, weight = gauss_on(0.0, self.radius, rows, most=rows)
        sphere = (Circle if d == 2 else Sphere)(self.center, 1.0)  # type: ignore[arg-type]
        around = sphere.quadrature(max(1, round(n / rows)))
        assert around.normal is not None
        i, j = (g.ravel() for g in np.meshgrid(range(rows), range(len(around)), indexing="ij"))
        x = np.array(self.center) + r[i, None] * around.normal[j]
        return Points(x, weight[i] * r[i] ** (d - 1) * around.weight[j])

    def distance(self, x: np.ndarray) -> np.ndarray:
        """Return the signed distance, exact."""
        return np.asarray(np.linalg.norm(x - np.array(self.center), axis=1) - self.radius)

    def surfaces(self) -> Iterator[Named]:
        """Yield the circle or sphere."""
        made = Circle if len(self.center) == 2 else Sphere
        yield self.label, self.kind, made(self.center, self.radius)  # type: ignore[arg-type]

    def renamed(self, names: Sequence[str]) -> Ball:
        """Return it with other names of the coordinates."""
        made = type(self)(self.center, self.radius, names=names)
        return made if self.label is None else made.named(self.label)

    def named(self, label: str) -> Ball:
        """Return it with a name for its boundary."""
        self._checked_label(label)
        given = self.names if self.named_coordinates else None
        made = type(self)(self.center, self.radius, names=given)
        object.__setattr__(made, "label", label)
        return made

    def __repr__(self) -> str:
        center = ", ".join(f"{v:g}" for v in self.center)
        return self._shown(f"{type(self).__name__}(center=({center}), radius={self.radius:g})")


class Disk(Ball):
    """All points of the plane within a radius of a centre.

    Parameters
    ----------
    center : pair of numbers
        Its coordinates.
    radius : float
        Larger than 0.
    names : pair of str, optional
        The coordinates; by default x and y, or those of what the disk is combined with.

    Raises
    ------
    ValueError
        For a centre or a radius that is none.

    Examples
    --------
    >>> from adabasis import Box
    >>> plate = Box(x=(-1, 1), y=(-1, 1)) - Disk(center=(0, 0), radius=0.5).named("hole")
    >>> list(plate.boundaries)
    ['x=-1', 'x=1', 'y=-1', 'y=1', 'hole']
    """

    kind = "disk"
    _sizes = "two"

    def _right_size(self, d: int) -> bool:
        return d == 2


@dataclasses.dataclass(frozen=True, init=False, eq=False, repr=False)
class ImplicitDomain(AbstractDomain):
    """All points of a box where a function is negative: an ellipse, a star, a blob.

    Parameters
    ----------
    function : expression or function of the coordinates
        Smooth, with a gradient that does not vanish where it is 0: ``x**2 + 4 * y**2 - 1``.
        Functions must be made of operators and NumPy's functions, or of ``jax.numpy``.
    **bounds : pairs (lower, upper)
        The coordinates, and a box that holds the domain.

    Raises
    ------
    TypeError, ValueError
        For bounds that are none, a function that is nowhere negative, or one that still is at the
        sides of the box: cut it by ``& Box(…)``.

    Examples
    --------
    >>> from adabasis.geometry import coordinates
    >>> x, y = coordinates("x", "y")
    >>> ellipse = ImplicitDomain(x**2 + 4 * y**2 - 1, x=(-1.1, 1.1), y=(-0.6, 0.6))
    >>> bool(abs(ellipse.volume - np.pi / 2) < 1e-2)
    True
    """

    function: Field
    sides: tuple[tuple[float, float], ...]
    kind = "implicit"

    def __init__(self, function: Any, **bounds: tuple[float, float]) -> None:
        if not bounds:
            raise ValueError(
                "ImplicitDomain(function): expected bounds of the coordinates, such as "
                "ImplicitDomain(x**2 + y**2 - 1, x=(-1.1, 1.1), y=(-1.1, 1.1))."
            )
        box = Box(**bounds)
        field = symbolic(as_field(function), box.names)
        missing = unknown_names(field, box.names)
        if missing:
            raise ValueError(
                f"ImplicitDomain({field!r}): there is no coordinate {missing[0]!r}; the bounds "
                f"name {', '.join(box.names)}."
            )
        self._set(field, box.names, box.sides, None)
        self._check()

    def _set(self, *fields: Any) -> None:
        for name, value in zip(("function", "names", "sides", "label"), fields, strict=True):
            object.__setattr__(self, name, value)

    def _check(self) -> None:
        grid = self.bounds[:, 0] + (self.bounds[:, 1] - self.bounds[:, 0]) * tensor_grid(
            *[np.linspace(0.0, 1.0, max(5, round(4096 ** (1 / self.n_inputs))))] * self.n_inputs
        )
        values = evaluate(self.function, self.names, grid)
        if values.min() >= 0:
            raise ValueError(f"{self!r}: the function is nowhere negative in the box.")
        edge = np.any((grid == self.bounds[:, 0]) | (grid == self.bounds[:, 1]), axis=1)
        if values[edge].min() < 0:
            at = grid[edge][np.argmin(values[edge])]
            place = ", ".join(f"{n} = {v:.4g}" for n, v in zip(self.names, at, strict=True))
            raise ValueError(
                f"{self!r}: the function is negative at {place}, on a side of the box. Take a box "
                "that holds the domain, or cut it: ImplicitDomain(…) & Box(…)."
            )

    @property
    def unit_size(self) -> int:
        """How many numbers of the unit cube make a point: D."""
        return len(self.sides)

    @property
    def bounds(self) -> np.ndarray:
        """Those given."""
        return np.array(self.sides)

    def from_unit(self, u: np.ndarray) -> Points:
        """Scale the unit cube to the box; what is outside has weight 0."""
        lower, upper = self.bounds.T
        x = lower + (upper - lower) * u
        inside = evaluate(self.function, self.names, x) < 0
        return Points(x, np.where(inside, float(np.prod(upper - lower)), 0.0))

    def distance(self, x: np.ndarray) -> np.ndarray:
        """Return the function over the length of its gradient: exact at the boundary only."""
        values = evaluate(self.function, self.names, np.asarray(x))
        slope = np.linalg.norm(gradient(self.function, self.names, x), axis=1)
        low, high = self.bounds.T
        near = np.abs(values) <= slope * np.linalg.norm(high - low)
        return np.asarray(np.where(near, values / np.where(near & (slope > 0), slope, 1.0), values))

    def surfaces(self) -> Iterator[Named]:
        """Yield the curves where the function is 0, or the surface in more dimensions."""
        if self.n_inputs == 2:
            for curve in traced(self.function, self.names, self.bounds):
                yield self.label, self.kind, curve
        else:
            yield self.label, self.kind, LevelSet(self.function, self.names, self.sides)

    def renamed(self, names: Sequence[str]) -> ImplicitDomain:
        """Refuse: the function names its coordinates."""
        raise ValueError(
            f"{self!r}: expected other shapes with the coordinates {', '.join(self.names)}, got "
            f"{', '.join(names)}: the function names its own."
        )

    def named(self, label: str) -> ImplicitDomain:
        """Return it with a name for its boundary."""
        self._checked_label(label)
        made = object.__new__(ImplicitDomain)
        made._set(self.function, self.names, self.sides, label)
        return made

    def __repr__(self) -> str:
        return self._shown(f"ImplicitDomain({self.function!r} < 0)")


def coordinate_names(call: str, names: Sequence[str] | None, d: int) -> tuple[str, ...]:
    """Return names of D coordinates, checked, or the usual ones.

    Raises
    ------
    ValueError
    """
    if names is None:
        return ("x", "y", "z")[:d] if d <= 3 else tuple(f"x{i + 1}" for i in range(d))
    found = (names,) if isinstance(names, str) else tuple(names)
    if len(found) != d or len(set(found)) < d or not all(isinstance(n, str) for n in found):
        raise ValueError(f"{call}: expected {d} different names of coordinates, got {names!r}.")
    return found

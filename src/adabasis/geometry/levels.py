"""Where a function of the coordinates is 0: curves in the plane, surfaces in more dimensions."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from .._runtime.compute import double_precision, quickly
from .curves import AbstractCurve
from .fields import Field, at_point, evaluate
from .points import Points, sequence
from .surfaces import AbstractSurface, used

#: Values a side of the grid on which curves are found.
GRID = 201
#: Newton's steps onto the curve, halvings onto a surface, and places along a line between which
#: the function changes its sign once at most.
STEPS, HALVINGS, PLACES = 8, 50, 65
#: Points whose gradients are computed at once.
CHUNK = 4096
#: Lines by which the area of a surface is told.
MANY = 2**15


@functools.lru_cache(maxsize=64)
def _gradient_of(field: Field, names: tuple[str, ...]) -> Any:
    return quickly(jax.jit, once=True)(
        jax.vmap(jax.grad(lambda x: jnp.asarray(at_point(field, names, x), x.dtype)))
    )


def gradient(field: Field, names: Sequence[str], x: np.ndarray) -> np.ndarray:
    """Return the gradient at N points, (N, D)."""
    x, call = np.asarray(x, dtype=float), _gradient_of(field, tuple(names))
    found = []
    with double_precision():
        for i in range(0, len(x), CHUNK):  # of one shape, which compiles once
            part = x[i : i + CHUNK]
            padded = np.concatenate(
                [part, np.broadcast_to(part[:1], (CHUNK - len(part), x.shape[1]))]
            )
            found.append(np.asarray(call(jnp.asarray(padded)))[: len(part)])
    return np.concatenate(found) if found else np.zeros_like(x)


def onto(field: Field, names: Sequence[str], x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the nearest points where the function is 0, and unit normals, by Newton's steps."""
    for _ in range(STEPS):
        slope = gradient(field, names, x)
        values = evaluate(field, names, x)
        x = x - (values / np.maximum(np.sum(slope**2, axis=1), 1e-300))[:, None] * slope
    slope = gradient(field, names, x)
    return x, slope / np.linalg.norm(slope, axis=1, keepdims=True)


def traced(field: Field, names: Sequence[str], bounds: np.ndarray) -> list[AbstractCurve]:
    """Return the closed curves where the function is 0."""
    from contourpy import contour_generator

    first, second = (np.linspace(low, high, GRID) for low, high in bounds)
    grid = np.stack(np.meshgrid(first, second), axis=-1)
    values = evaluate(field, names, grid.reshape(-1, 2)).reshape(GRID, GRID)
    lines = contour_generator(first, second, values, name="serial").lines(0.0)
    curves: list[AbstractCurve] = []
    for line in lines:
        corners = np.asarray(line, dtype=float)
        corners = corners[np.concatenate([[True], np.any(np.diff(corners, axis=0) != 0, axis=1)])]
        if len(corners) > 3:
            curves.append(LevelCurve(field, tuple(names), corners))
    return curves


@dataclasses.dataclass(frozen=True, eq=False)
class LevelCurve(AbstractCurve):
    """A closed curve: the points of a smooth curve near a polygon, moved to where f = 0.

    Attributes
    ----------
    corners : array, shape (K, 2)
        The last one is the first.
    """

    field: Field
    names: tuple[str, ...]
    corners: np.ndarray
    closed = True

    @functools.cached_property
    def _spline(self) -> Any:
        from scipy.interpolate import CubicSpline

        x, _ = onto(self.field, self.names, self.corners)
        x[-1] = x[0]
        length = np.concatenate([[0.0], np.cumsum(np.linalg.norm(np.diff(x, axis=0), axis=1))])
        return CubicSpline(length / length[-1], x, bc_type="periodic")

    def at(self, s: np.ndarray) -> Points:
        """Return the points, moved along the gradient."""
        step = 1e-5
        near = np.concatenate([s, s - step, s + step])
        x, normal = onto(self.field, self.names, self._spline(np.mod(near, 1.0)))
        here, before, after = np.split(x, 3)
        return Points(here, np.linalg.norm(after - before, axis=1) / (2 * step), normal[: len(s)])


@dataclasses.dataclass(frozen=True, eq=False)
class LevelSet(AbstractSurface):
    """A surface f = 0 in a box, seen along the axis that its normal is nearest to.

    Lines along each axis meet it; a point where the normal has its largest component along this
    axis stands for the area of the line's cell over that component.
    """

    field: Field
    names: tuple[str, ...]
    sides: tuple[tuple[float, float], ...]

    @property
    def unit_size(self) -> int:  # type: ignore[override]
        """One more than the surface has, to choose the axis and the point on its line."""
        return len(self.sides)

    @functools.cached_property
    def measure(self) -> float:
        """The area, from some 30,000 lines."""
        return float(np.mean(self.from_unit(sequence(MANY, self.unit_size, 1)).weight))

    def from_unit(self, u: np.ndarray) -> Points:
        """Return a point of each line, with weight 0 where it has none or another axis sees it."""
        d, (lower, upper) = len(self.sides), np.array(self.sides).T
        width = upper - lower
        turn = u[:, 0] * d
        axis = np.minimum(turn.astype(int), d - 1)
        rest = turn - axis
        rows = np.arange(len(u))
        others = np.array([[i for i in range(d) if i != a] for a in range(d)])[axis]
        x = np.zeros((len(u), d))
        np.put_along_axis(
            x, others, np.take(lower, others) + np.take(width, others) * u[:, 1:], axis=1
        )
        along = np.linspace(0.0, 1.0, PLACES)
        many = np.repeat(x, PLACES, axis=0)
        many[np.arange(len(many)), np.repeat(axis, PLACES)] = (
            lower[axis][:, None] + width[axis][:, None] * along
        ).ravel()
        values = evaluate(self.field, self.names, many).reshape(len(u), PLACES)
        change = (values[:, 1:] < 0) != (values[:, :-1] < 0)
        count = change.sum(axis=1)
        wanted = np.minimum((rest * np.maximum(count, 1)).astype(int), np.maximum(count - 1, 0))
        cell = np.argmax((np.cumsum(change, axis=1) == (wanted + 1)[:, None]) & change, axis=1)
        low = lower[axis] + width[axis] * along[cell]
        high = lower[axis] + width[axis] * along[cell + 1]
        sign = values[rows, cell] < 0
        for _ in range(HALVINGS):
            x[rows, axis] = (low + high) / 2
            same = (evaluate(self.field, self.names, x) < 0) == sign
            low, high = np.where(same, x[rows, axis], low), np.where(same, high, x[rows, axis])
        slope = gradient(self.field, self.names, x)
        normal = slope / np.maximum(np.linalg.norm(slope, axis=1, keepdims=True), 1e-300)
        component = np.abs(normal[rows, axis])
        seen = (count > 0) & (np.argmax(np.abs(normal), axis=1) == axis)
        cell_area = d * np.prod(np.take(width, others), axis=1) * count
        weight = np.where(seen, cell_area / np.where(seen, component, 1.0), 0.0)
        return Points(x, weight, normal)

    def drawn(self, n: int, seed: int = 0) -> Points:
        """Draw so many that about ``n`` have weight."""
        some = super().drawn(1024, seed)
        share = max(float(np.mean(np.asarray(some.weight) > 0)), 1e-3)
        return used(super().drawn(int(n / share) + 1, seed))

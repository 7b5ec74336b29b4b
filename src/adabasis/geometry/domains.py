"""Regions of input space and the affine maps between them."""

from __future__ import annotations

import dataclasses
from typing import Any

import jax
import numpy as np


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
        return (x - self.shift) / self.scale

    def inverse(self, z: np.ndarray) -> np.ndarray:
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


@dataclasses.dataclass(frozen=True, init=False)
class Box:
    """A box with named coordinates: an interval, a rectangle, space × time.

    Parameters
    ----------
    *bounds : pairs (lower, upper)
        Without names, the coordinates are called x (one) or x1, x2, …
    **named : pairs (lower, upper)
        ``Box(x=(0, 1), t=(0, 2))``; the order given is the order of the columns of points.

    Raises
    ------
    ValueError
        For no sides, or bounds that are not two finite, increasing numbers.

    Examples
    --------
    >>> Box(x=(0, 1), t=(0, 2)).names
    ('x', 't')
    """

    names: tuple[str, ...]
    sides: tuple[tuple[float, float], ...]

    def __init__(self, *bounds: tuple[float, float], **named: tuple[float, float]) -> None:
        if not bounds and not named:
            raise ValueError("Box(): expected sides, such as Box(x=(0, 1), t=(0, 1)).")
        counted = ["x"] if len(bounds) == 1 else [f"x{i + 1}" for i in range(len(bounds))]
        given = [*zip(counted, bounds, strict=True), *named.items()]
        object.__setattr__(self, "names", tuple(name for name, _ in given))
        object.__setattr__(self, "sides", tuple(_side(name, side) for name, side in given))

    @property
    def bounds(self) -> np.ndarray:
        """Lower and upper bounds, (D, 2)."""
        return np.array(self.sides)

    @property
    def n_inputs(self) -> int:
        """D."""
        return len(self.sides)

    def axis(self, name: str) -> int:
        """Return the number of a coordinate.

        Raises
        ------
        ValueError
            If there is none of this name.
        """
        if name not in self.names:
            raise ValueError(
                f"there is no coordinate {name!r}; the domain has {', '.join(self.names)}."
            )
        return self.names.index(name)

    def contains(self, x: np.ndarray) -> np.ndarray:
        """Say which of N points lie in the box, its faces included to round-off: (N,) bools."""
        lower, upper = self.bounds.T
        slack = 1e-9 * (upper - lower)
        return np.all((x >= lower - slack) & (x <= upper + slack), axis=1)

    def __repr__(self) -> str:
        sides = (
            f"{name}=({lower:g}, {upper:g})"
            for name, (lower, upper) in zip(self.names, self.sides, strict=True)
        )
        return f"Box({', '.join(sides)})"


def _side(name: str, side: tuple[float, float]) -> tuple[float, float]:
    try:
        lower, upper = (float(v) for v in side)
    except (TypeError, ValueError):
        lower = upper = np.nan
    if not (np.isfinite([lower, upper]).all() and lower < upper):
        raise ValueError(f"Box({name}={side!r}): expected two finite numbers, the lower one first.")
    return lower, upper

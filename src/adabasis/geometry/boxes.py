"""Boxes: intervals, rectangles, space × time."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence

import numpy as np

from .curves import segment_of
from .domains import ROUND_OFF, AbstractDomain
from .pieces import Named
from .points import Points, tensor_grid
from .surfaces import Side, gauss_on


@dataclasses.dataclass(frozen=True, init=False, eq=False, repr=False)
class Box(AbstractDomain):
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

    sides: tuple[tuple[float, float], ...]

    def __init__(self, *bounds: tuple[float, float], **named: tuple[float, float]) -> None:
        if not bounds and not named:
            raise ValueError("Box(): expected sides, such as Box(x=(0, 1), t=(0, 1)).")
        counted = ["x"] if len(bounds) == 1 else [f"x{i + 1}" for i in range(len(bounds))]
        given = [*zip(counted, bounds, strict=True), *named.items()]
        object.__setattr__(self, "label", None)
        object.__setattr__(self, "named_coordinates", not bounds)
        object.__setattr__(self, "names", tuple(name for name, _ in given))
        object.__setattr__(self, "sides", tuple(_side(name, side) for name, side in given))

    @property
    def bounds(self) -> np.ndarray:
        """Lower and upper bounds, (D, 2)."""
        return np.array(self.sides)

    @property
    def unit_size(self) -> int:
        """How many numbers of the unit cube make a point: D."""
        return len(self.sides)

    @property
    def volume(self) -> float:
        """The product of the sides."""
        return float(np.prod(self.bounds[:, 1] - self.bounds[:, 0]))

    def from_unit(self, u: np.ndarray) -> Points:
        """Scale the unit cube."""
        lower, upper = self.bounds.T
        return Points(lower + (upper - lower) * u, np.full(len(u), self.volume))

    def quadrature(self, n: int) -> Points:
        """Return the tensor rule of Gauss."""
        side = max(1, round(n ** (1 / self.n_inputs)))
        nodes, weights = gauss_on(0.0, 1.0, side, most=64)
        x = self.from_unit(tensor_grid(*[nodes] * self.n_inputs)).x
        return Points(x, tensor_grid(*[weights] * self.n_inputs).prod(axis=1) * self.volume)

    def distance(self, x: np.ndarray) -> np.ndarray:
        """Return the signed distance, exact."""
        lower, upper = self.bounds.T
        beyond = np.abs(x - (lower + upper) / 2) - (upper - lower) / 2
        outside = np.linalg.norm(np.maximum(beyond, 0.0), axis=1)
        return np.asarray(outside + np.minimum(beyond.max(axis=1), 0.0))

    def contains(self, x: np.ndarray) -> np.ndarray:
        """Say which of N points lie in the box, its faces included to round-off: (N,) bools."""
        lower, upper = self.bounds.T
        slack = ROUND_OFF * (upper - lower)
        return np.all((x >= lower - slack) & (x <= upper + slack), axis=1)

    def surfaces(self) -> Iterator[Named]:
        """Yield the sides, the lower one of each coordinate first."""
        for axis, ends in enumerate(self.sides):
            for sign, value in zip((-1.0, 1.0), ends, strict=True):
                side = Side(self.sides, axis, value, sign)
                yield self.label, "box", segment_of(side) if self.n_inputs == 2 else side

    def renamed(self, names: Sequence[str]) -> Box:
        """Return it with other names of the coordinates."""
        return _made(tuple(names), self.sides, self.label, True)

    def named(self, label: str) -> Box:
        """Return the box with a name for all of its sides."""
        self._checked_label(label)
        return _made(self.names, self.sides, label, self.named_coordinates)

    def __mul__(self, other: object) -> AbstractDomain:
        product = super().__mul__(other)
        if isinstance(other, Box) and product is not NotImplemented and not other.label:
            return _made(product.names, self.sides + other.sides, self.label, True)
        return product

    def __repr__(self) -> str:
        sides = (
            f"{name}=({lower:g}, {upper:g})"
            for name, (lower, upper) in zip(self.names, self.sides, strict=True)
        )
        return self._shown(f"Box({', '.join(sides)})")


def _made(
    names: tuple[str, ...], sides: tuple[tuple[float, float], ...], label: str | None, named: bool
) -> Box:
    box = object.__new__(Box)
    given = {"names": names, "sides": sides, "label": label, "named_coordinates": named}
    for field, value in given.items():
        object.__setattr__(box, field, value)
    return box


def _side(name: str, side: tuple[float, float]) -> tuple[float, float]:
    try:
        lower, upper = (float(v) for v in side)
    except (TypeError, ValueError):
        lower = upper = np.nan
    if not (np.isfinite([lower, upper]).all() and lower < upper):
        raise ValueError(f"Box({name}={side!r}): expected two finite numbers, the lower one first.")
    return lower, upper

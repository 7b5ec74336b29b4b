"""The boundary of a domain by names: what conditions hold on."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from .points import Points
from .surfaces import AbstractSurface, Vanished, joined

#: A part of a boundary: the name of its shape, the kind of this and where it is, the surface.
Named = tuple[str | None, str, AbstractSurface]
#: A point of a boundary has the domain on one side, at this distance relative to its size.
BESIDE = 1e-7


@dataclasses.dataclass(frozen=True, eq=False)
class OnBoundary:
    """Whether points belong to a boundary: the domain lies on one side of them, and no other's."""

    domain: Any
    other: Any = None

    def __call__(self, x: np.ndarray, normal: np.ndarray) -> np.ndarray:
        """Look at both sides of N points, (N,) bools."""
        domain, step = self.domain, BESIDE * self.domain.size
        found = (domain.distance(x - step * normal) < 0) & (domain.distance(x + step * normal) > 0)
        if self.other is not None:
            found &= np.abs(self.other.distance(x)) > step / 2
        return np.asarray(found)


@dataclasses.dataclass(frozen=True, eq=False)
class Piece:
    """A named part of the boundary of a domain, for ``on=`` of conditions.

    Attributes
    ----------
    name : str
    domain : AbstractDomain
        Whose boundary it is part of.
    surfaces : tuple of AbstractSurface

    Examples
    --------
    >>> from adabasis.geometry import Disk
    >>> circle = Disk(center=(0, 0), radius=2.0).named("rim").boundaries["rim"]
    >>> round(circle.measure, 6)
    12.566371
    """

    name: str
    domain: Any
    surfaces: tuple[AbstractSurface, ...]

    @property
    def measure(self) -> float:
        """Length, area, …: the integral of 1."""
        return float(sum(surface.measure for surface in self.surfaces))

    def points(self, n: int, seed: int = 0, *, unseen: bool | None = None) -> Points:
        """Return about ``n`` evenly spread points with outward normals.

        Weights are shares of the measure. Of a cloud, points that solves see or do not see can be
        asked for.
        """
        return self._joined(n, lambda surface, k, i: surface.parted(unseen).drawn(k, seed + 17 * i))

    def quadrature(self, n: int) -> Points:
        """Return about ``n`` points with normals and weights for integrals over the piece."""
        return self._joined(n, lambda surface, k, i: surface.quadrature(k))

    def _joined(self, n: int, rule: Callable[[AbstractSurface, int, int], Points]) -> Points:
        total = self.measure
        parts = [
            rule(surface, max(1, round(n * surface.measure / total)), i)
            for i, surface in enumerate(self.surfaces)
        ]
        return joined(parts)

    def __repr__(self) -> str:
        return f"{self.name!r} of {self.domain!r}"


class Boundaries(Mapping[str, Piece]):
    """The pieces of a domain's boundary by name.

    A side of a box that has a name of its own is found by its plane, too: ``"x=0"``.
    """

    def __init__(self, domain: Any, pieces: Mapping[str, Piece], gone: Sequence[str]) -> None:
        self._domain, self._pieces, self._gone = domain, dict(pieces), tuple(gone)

    def __getitem__(self, name: str) -> Piece:
        if name in self._pieces:
            return self._pieces[name]
        sides = [
            surface for piece in self._pieces.values() for surface in piece.surfaces
            if surface.plane is not None and plane_name(self._domain.names, *surface.plane) == name
        ]  # fmt: skip
        if sides:
            return Piece(name, self._domain, tuple(sides))
        have = f"it has {', '.join(map(repr, self._pieces))}" if self._pieces else "it has none"
        why = "nothing is left of this piece" if name in self._gone else "there is no such piece"
        raise KeyError(f"boundaries[{name!r}] of {self._domain!r}: {why}; {have}.")

    def __iter__(self) -> Iterator[str]:
        return iter(self._pieces)

    def __len__(self) -> int:
        return len(self._pieces)

    def __repr__(self) -> str:
        return f"Boundaries({', '.join(map(repr, self._pieces))})"


def boundaries_of(domain: Any) -> Boundaries:
    """Return the pieces of a domain's boundary by name.

    What has no name is called by its plane, if it is a side of a box, or by kind and number.
    """
    numbers: dict[str, dict[str, str]] = {}
    pieces: dict[str, list[AbstractSurface]] = {}
    every: list[str] = []
    for label, shape, surface in domain.surfaces():
        kind, _, _ = shape.partition("#")
        if label is not None:
            name = label
        elif surface.plane is not None and kind == "box":
            name = plane_name(domain.names, *surface.plane)
        else:
            known = numbers.setdefault(kind, {})
            name = known.setdefault(shape, f"{kind}{len(known) + 1}")
        every.append(name)
        if not isinstance(surface, Vanished):
            pieces.setdefault(name, []).append(surface)
    found = {name: Piece(name, domain, tuple(parts)) for name, parts in pieces.items()}
    return Boundaries(domain, found, [name for name in every if name not in found])


def plane_name(names: Sequence[str], axis: int, value: float) -> str:
    """Return what a side of a box is called: ``"x=-0.5"``."""
    return f"{names[axis]}={value + 0.0:.12g}"

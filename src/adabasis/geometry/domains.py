"""What a domain is: where points are inside, its boundary by names, unions, differences, products.

Every domain maps points of the unit cube into itself, which makes evenly spread points of it, and
knows the signed distance from its boundary, negative inside.
"""

from __future__ import annotations

import abc
import dataclasses
import functools
import math
from collections.abc import Iterator, Sequence
from typing import Any, Self

import numpy as np

from .moments import ON_BOUNDARY, fitted
from .pieces import Boundaries, Named, OnBoundary, Piece, boundaries_of
from .points import Points, sequence
from .surfaces import PROBE_SEED, PROBES, AbstractSurface, Crossed, Vanished, used

#: Round-off of places, relative to the largest side of a domain.
ROUND_OFF = 1e-9
#: Points of volumes that no formula gives.
MANY = 2**15


@dataclasses.dataclass(frozen=True, eq=False)
class AbstractDomain(abc.ABC):
    """A set of points with named coordinates; subclasses are frozen.

    Attributes
    ----------
    names : tuple of str
        The coordinates, in the order of the columns of points.
    label : str or None
        What :meth:`named` said.
    unit_size : int
        The coordinates of the unit cube that it is mapped from.
    kind : str
        What its boundary is called with a number: ``"disk"``.
    named_coordinates : bool
        Whether the user gave the names; others take those of what they are combined with.
    """

    names: tuple[str, ...]
    label: str | None
    kind = "domain"
    named_coordinates = True

    @property
    @abc.abstractmethod
    def unit_size(self) -> int:
        """How many numbers of the unit cube make a point, K: see :meth:`from_unit`."""

    @property
    @abc.abstractmethod
    def bounds(self) -> np.ndarray:
        """Lower and upper bounds of a box that holds the domain, (D, 2)."""

    @abc.abstractmethod
    def from_unit(self, u: np.ndarray) -> Points:
        """Return the images of (N, K) points of the unit cube; weights have the mean ∫ dx.

        Images with weight 0 may lie outside.
        """

    @abc.abstractmethod
    def distance(self, x: np.ndarray) -> np.ndarray:
        """Return the signed distance of N points from the boundary, (N,), negative inside.

        Of set operations it is at most the true one, and has its sign.
        """

    @abc.abstractmethod
    def surfaces(self) -> Iterator[Named]:
        """Yield the parts of the boundary: the shape's name, its kind, the surface."""

    @abc.abstractmethod
    def renamed(self, names: Sequence[str]) -> AbstractDomain:
        """Return it with other names of the coordinates."""

    @property
    def stated(self) -> tuple[bool, ...]:
        """Which names of coordinates the user gave; others yield to them."""
        return (self.named_coordinates,) * len(self.names)

    @property
    def n_inputs(self) -> int:
        """The number of coordinates, D."""
        return len(self.names)

    @property
    def size(self) -> float:
        """The largest side of the bounding box."""
        return float(np.max(self.bounds[:, 1] - self.bounds[:, 0]))

    @functools.cached_property
    def share(self) -> float:
        """The share of the unit cube that is mapped inside."""
        points = self.from_unit(sequence(PROBES, self.unit_size, PROBE_SEED))
        return float(np.mean(np.asarray(points.weight) > 0))

    @functools.cached_property
    def volume(self) -> float:
        """Length, area, volume: exact of plain shapes, else from some 30,000 points."""
        points = self.from_unit(sequence(MANY, self.unit_size, PROBE_SEED))
        return float(np.mean(points.weight))

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

    def named(self, label: str) -> Self:
        """Return the domain with a name for its boundary, which set operations keep.

        Raises
        ------
        ValueError
            For an empty name.
        """
        self._checked_label(label)
        return dataclasses.replace(self, label=label)

    def _checked_label(self, label: str) -> None:
        if not isinstance(label, str) or not label:
            raise ValueError(f"named({label!r}): expected a name, such as 'hole'.")

    def contains(self, x: np.ndarray) -> np.ndarray:
        """Say which of N points lie inside, the boundary included to round-off: (N,) bools."""
        return np.asarray(self.distance(np.asarray(x, dtype=float)) <= ROUND_OFF * self.size)

    def interior(self, n: int, seed: int = 0, *, unseen: bool | None = None) -> Points:
        """Return about ``n`` evenly spread points inside; weights sum to the volume, or nearly.

        Of a cloud, points that solves see or do not see can be asked for.
        """
        count, part = math.ceil(n / self.share), self.parted(unseen)
        points = part.from_unit(sequence(count, self.unit_size, seed))
        return used(dataclasses.replace(points, weight=np.asarray(points.weight) / count))

    def parted(self, unseen: bool | None) -> AbstractDomain:
        """Return what solves see of it, or what they do not, where it has only so many points."""
        return self

    @property
    def n_points(self) -> int | None:
        """How many points there are, where there are only so many."""
        return None

    def quadrature(self, n: int) -> Points:
        """Return about ``n`` points and weights for integrals: Gauss's, or by its boundary's."""
        points = self.interior(n)
        every = tuple(s for piece in self.boundaries.values() for s in piece.surfaces)
        if self.n_inputs != 2 or self.n_points is not None or not every:
            return points
        edge = Piece("boundary", self, every).quadrature(ON_BOUNDARY)
        return points if edge.normal is None else fitted(points, edge, self.bounds)

    @functools.cached_property
    def boundaries(self) -> Boundaries:
        """The boundary by names: mapping of str to :class:`Piece`.

        Sides of boxes are called by their planes, ``"x=-0.5"``, other shapes by their name or by
        kind and number, ``"disk1"``.
        """
        return boundaries_of(self)

    def boundary(self, n: int, seed: int = 0) -> Points:
        """Return about ``n`` points of all of the boundary, with outward normals."""
        every = (s for piece in self.boundaries.values() for s in piece.surfaces)
        return Piece("boundary", self, tuple(every)).points(n, seed)

    def __or__(self, other: Any) -> AbstractDomain:
        return self._with("union", other)

    def __and__(self, other: Any) -> AbstractDomain:
        return self._with("intersection", other)

    def __sub__(self, other: Any) -> AbstractDomain:
        return self._with("difference", other)

    def __mul__(self, other: Any) -> AbstractDomain:
        if not isinstance(other, AbstractDomain):
            return NotImplemented
        same = [name for name in other.names if name in self.names]
        if same:
            raise ValueError(
                f"{self!r} * {other!r}: both have a coordinate {same[0]!r}. Factors of a product "
                "have different coordinates, such as Disk(…) * Box(t=(0, 3))."
            )
        return Product(self.names + other.names, None, self, other)

    def _with(self, operation: str, other: Any) -> AbstractDomain:
        if not isinstance(other, AbstractDomain):
            return NotImplemented
        return combined(operation, self, other)

    def _identity(self) -> Any:
        """Return what makes two domains equal."""
        fields = dataclasses.fields(self)
        return tuple(getattr(self, f.name) for f in fields if f.name != "label")

    def __eq__(self, other: object) -> bool:
        return type(other) is type(self) and self._identity() == other._identity()

    def __hash__(self) -> int:
        return hash((type(self).__name__, self._identity()))

    def _shown(self, text: str) -> str:
        """Return a description with the name, where there is one."""
        return text if self.label is None else f"{text}.named({self.label!r})"


SIGNS = {"union": "|", "intersection": "&", "difference": "-"}


@dataclasses.dataclass(frozen=True, eq=False, repr=False)
class AbstractOfTwo(AbstractDomain):
    """A domain made of two others."""

    left: AbstractDomain
    right: AbstractDomain

    def parted(self, unseen: bool | None) -> AbstractDomain:
        """Return the parts of both."""
        both = self.left.parted(unseen), self.right.parted(unseen)
        return dataclasses.replace(self, left=both[0], right=both[1])

    @property
    def n_points(self) -> int | None:
        """How many the left one has."""
        return self.left.n_points


@dataclasses.dataclass(frozen=True, eq=False, repr=False)
class Combined(AbstractOfTwo):
    """The union, intersection or difference of two domains with the same coordinates."""

    operation: str

    @property
    def bounds(self) -> np.ndarray:
        """Those of the operands, combined."""
        a, b = self.left.bounds, self.right.bounds
        if self.operation == "difference":
            return a
        lower, upper = (np.minimum, np.maximum)[:: 1 if self.operation == "union" else -1]
        return np.stack([lower(a[:, 0], b[:, 0]), upper(a[:, 1], b[:, 1])], axis=1)

    @property
    def _drawn_from(self) -> AbstractDomain:
        """The operand that an intersection is drawn from: the smaller one."""
        smaller = self.operation == "intersection" and self.right.volume < self.left.volume
        return self.right if smaller else self.left

    @property
    def unit_size(self) -> int:
        """That of what is drawn from; of a union one more than either's, to choose between them."""
        if self.operation == "union":
            return 1 + max(self.left.unit_size, self.right.unit_size)
        return self._drawn_from.unit_size

    def from_unit(self, u: np.ndarray) -> Points:
        """Draw from an operand; what lies outside the result has weight 0."""
        if self.operation != "union":
            points = self._drawn_from.from_unit(u)
            here = self.distance(np.asarray(points.x)) < 0
            return Points(points.x, np.where(here, points.weight, 0.0))
        share = self.left.volume / (self.left.volume + self.right.volume)
        first = u[:, 0] < share
        one = self.left.from_unit(u[:, 1 : 1 + self.left.unit_size])
        other = self.right.from_unit(u[:, 1 : 1 + self.right.unit_size])
        x = np.where(first[:, None], one.x, other.x)
        weight = np.where(first, np.asarray(one.weight) / share, other.weight / (1 - share))
        beyond = first | (self.left.distance(x) >= 0)
        return Points(x, np.where(beyond, weight, 0.0))

    def distance(self, x: np.ndarray) -> np.ndarray:
        """Return the lesser of both, the greater, or that of a difference."""
        a, b = self.left.distance(x), self.right.distance(x)
        if self.operation == "union":
            return np.minimum(a, b)
        return np.maximum(a, b if self.operation == "intersection" else -b)

    def surfaces(self) -> Iterator[Named]:
        """Yield what is left of the operands' boundaries: the domain lies on one side of it."""
        # Where both boundaries coincide a point belongs to that of the left operand.
        rules = OnBoundary(self), OnBoundary(self, self.left)
        for side, operand in enumerate((self.left, self.right)):
            for label, shape, surface in operand.surfaces():
                # The same shape on both sides has two numbers.
                seen, _, where = shape.partition("#")
                found: AbstractSurface | None = surface
                if not isinstance(surface, Vanished):
                    if side and self.operation == "difference":
                        surface = surface.reversed()
                    found = surface.trimmed(rules[side])
                yield (
                    label or self.label,
                    f"{seen}#{side}{where}",
                    Vanished(surface.plane) if found is None else found,
                )

    def renamed(self, names: Sequence[str]) -> AbstractDomain:
        """Rename both operands."""
        left, right = self.left.renamed(names), self.right.renamed(names)
        return dataclasses.replace(self, names=tuple(names), left=left, right=right)

    @property
    def stated(self) -> tuple[bool, ...]:
        """Those that the user gave of either."""
        return tuple(map(max, self.left.stated, self.right.stated))

    def __repr__(self) -> str:
        right = f"({self.right!r})" if isinstance(self.right, Combined) else repr(self.right)
        text = f"{self.left!r} {SIGNS[self.operation]} {right}"
        return self._shown(text if self.label is None else f"({text})")


@dataclasses.dataclass(frozen=True, eq=False, repr=False)
class Product(AbstractOfTwo):
    """All pairs of points of two domains: a shape times an interval of time."""

    @property
    def unit_size(self) -> int:
        """The sum of both."""
        return self.left.unit_size + self.right.unit_size

    @property
    def bounds(self) -> np.ndarray:
        """Those of both."""
        return np.concatenate([self.left.bounds, self.right.bounds])

    @functools.cached_property
    def volume(self) -> float:
        """The product of both."""
        return self.left.volume * self.right.volume

    def from_unit(self, u: np.ndarray) -> Points:
        """Pair the images of both."""
        size = self.left.unit_size
        return _pairs(self.left.from_unit(u[:, :size]), self.right.from_unit(u[:, size:]))

    def quadrature(self, n: int) -> Points:
        """Return the products of the rules of both."""
        d = self.left.n_inputs
        some = max(1, round(n ** (d / self.n_inputs)))
        one = self.left.quadrature(some)
        other = self.right.quadrature(max(1, round(n / some)))
        i, j = (g.ravel() for g in np.meshgrid(range(len(one)), range(len(other)), indexing="ij"))
        return _pairs(Points(one.x[i], one.weight[i]), Points(other.x[j], other.weight[j]))

    def distance(self, x: np.ndarray) -> np.ndarray:
        """Return the greater of both."""
        d = self.left.n_inputs
        return np.maximum(self.left.distance(x[:, :d]), self.right.distance(x[:, d:]))

    def surfaces(self) -> Iterator[Named]:
        """Yield the boundary of each factor times the other factor."""
        for side, (one, other) in enumerate([(self.left, self.right), (self.right, self.left)]):
            for label, shape, surface in one.surfaces():
                seen, _, where = shape.partition("#")
                crossed: AbstractSurface = Crossed(surface, other, side == 0)
                if isinstance(surface, Vanished):
                    crossed = Vanished(crossed.plane)
                yield label or self.label, f"{seen}#{side}{where}", crossed

    def renamed(self, names: Sequence[str]) -> AbstractDomain:
        """Rename both factors."""
        d = self.left.n_inputs
        left, right = self.left.renamed(names[:d]), self.right.renamed(names[d:])
        return dataclasses.replace(self, names=tuple(names), left=left, right=right)

    @property
    def stated(self) -> tuple[bool, ...]:
        """Those of both."""
        return self.left.stated + self.right.stated

    def __repr__(self) -> str:
        left = f"({self.left!r})" if isinstance(self.left, Combined) else repr(self.left)
        right = f"({self.right!r})" if isinstance(self.right, Combined) else repr(self.right)
        text = f"{left} * {right}"
        return self._shown(text if self.label is None else f"({text})")


def _pairs(one: Points, other: Points) -> Points:
    x = np.concatenate([one.x, other.x], axis=1)
    return Points(x, np.asarray(one.weight) * np.asarray(other.weight))


def combined(operation: str, left: AbstractDomain, right: AbstractDomain) -> AbstractDomain:
    """Return a union, an intersection or a difference, which has the coordinates of the left one.

    Raises
    ------
    ValueError
        For other coordinates, names that are given twice, or an empty result.
    """
    call = f"{left!r} {SIGNS[operation]} {right!r}"
    if left.n_inputs != right.n_inputs:
        raise ValueError(
            f"{call}: expected domains with the same coordinates, got {', '.join(left.names)} and "
            f"{', '.join(right.names)}. Multiply by what is missing, such as Disk(…) * "
            "Box(t=(0, 1))."
        )
    if left.names != right.names:
        pairs = list(zip(left.names, left.stated, right.names, right.stated, strict=True))
        if any(a != b and mine and yours for a, mine, b, yours in pairs):
            raise ValueError(
                f"{call}: expected domains with the same coordinates in the same order, got "
                f"{', '.join(left.names)} and {', '.join(right.names)}."
            )
        names = [b if yours and not mine else a for a, mine, b, yours in pairs]
        left, right = (
            one if list(one.names) == names else one.renamed(names) for one in (left, right)
        )
    both = _labels(left) & _labels(right)
    if both:
        raise ValueError(
            f"{call}: both are named {min(both)!r}. Give every shape a name of its own, "
            "or combine shapes first and name the result."
        )
    found = Combined(left.names, None, left, right, operation)
    if found.share == 0:
        raise ValueError(
            f"{call}: nothing is left: none of {PROBES:,} points of the operands lies in the "
            f"{operation}."
        )
    return found


def _labels(domain: AbstractDomain) -> set[str]:
    """Return the names that shapes of a domain were given."""
    found = set() if domain.label is None else {domain.label}
    operands = [v for v in vars(domain).values() if isinstance(v, AbstractDomain)]
    return found.union(*(_labels(one) for one in operands))

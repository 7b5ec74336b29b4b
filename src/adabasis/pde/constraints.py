"""A constraint: an operator, its data, and where it holds."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from numbers import Real
from typing import Any

import numpy as np

from ..geometry.boxes import Box
from ..geometry.domains import AbstractDomain
from ..geometry.fields import Field, evaluate, on_plane
from ..geometry.pieces import Piece
from ..geometry.points import AbstractSampler, Points
from ..operators import AbstractOperator
from .probe import Dense
from .sizes import Measure

#: So many times more points are looked at where ``where`` selects none.
MORE = 64
#: Points on a curve, at least: a small hole may have waves of 14 turns around it.
LEAST_ON_CURVE = 96


@dataclasses.dataclass(frozen=True, eq=False)
class Constraint:
    """An equation L[u] = data on the domain, on a face of it, or at points.

    Attributes
    ----------
    label : str
        For people: ``"Dirichlet on x = 0"``.
    operator : AbstractOperator
        Bound to the domain's coordinates.
    data : Field or array, shape (N,)
        An array belongs to the points ``at``.
    weight : float or None
        ε_k if the user gave one.
    face : (axis, value) or None
        ``None``: the whole domain, or a piece of its boundary.
    piece : Piece or None
        Where it holds, if on a piece of the boundary of a shape.
    where : Field or None
        True where the constraint holds, if not on the whole face.
    at : Points or None
        The only points at which it holds.
    dense : Dense or None
        Where samples do not show what the data or a coefficient does, if anywhere.
    stream : int
        Added to the seed of the points: constraints of one stream share their points.
    measure : function or None
        Of the units of several unknowns, or ``None``: the root mean square of the operator on
        waves of amplitude 1 in those units.
    equation : bool
        Whether it is one of the equations, and no condition.
    noise : float, array of shape (N,), "estimate" or None
        The standard deviation of the data, if they are not exact.
    region : AbstractDomain or None
        The part of the domain in which it holds, if not all of it.
    """

    label: str
    operator: AbstractOperator
    data: Any
    weight: float | None = None
    face: tuple[int, float] | None = None
    piece: Piece | None = None
    where: Field | None = None
    at: Points | None = None
    dense: Dense | None = None
    stream: int = 0
    measure: Measure | None = None
    equation: bool = False
    noise: Any = None
    region: AbstractDomain | None = None

    def __post_init__(self) -> None:
        weight = self.weight
        if weight is not None and not (isinstance(weight, Real) and 0 < weight < math.inf):
            raise ValueError(
                f"{self.label}: weight={weight!r}: expected a positive number, or None for one "
                "that is chosen."
            )

    @property
    def size(self) -> float:
        """The size of the operator on waves of amplitude 1."""
        return self.size_in(None)

    def size_in(self, scales: tuple[float, ...] | None) -> float:
        """Return the size of the operator on waves of one unit of each unknown."""
        return 1.0 if self.measure is None else self.measure(scales)

    @property
    def inside(self) -> bool:
        """Whether it holds in the domain, and not on a part of its boundary."""
        return self.face is None and self.piece is None

    def points(
        self,
        domain: AbstractDomain,
        sampler: AbstractSampler,
        n: int,
        n_face: int,
        seed: int,
        *,
        unseen: bool = False,
    ) -> Points:
        """Place about ``n`` points in the domain, or ``n_face`` on the face or piece.

        ``unseen`` ones are those of a cloud that no solve sees.
        """
        if self.at is not None:
            return self.at
        placed = self._placed(self.region or domain, sampler, n, n_face, seed, unseen)
        if self.where is None:
            return placed
        names = domain.names
        if not self._selected(names, placed).any():  # what it selects lies between the points
            n, n_face = MORE * n, MORE * n_face
            placed = self._placed(self.region or domain, sampler, n, n_face, seed, unseen)
        return some(placed, self._selected(names, placed))

    def _selected(self, names: Sequence[str], points: Points) -> np.ndarray:
        """Say at which points the condition holds, (N,)."""
        assert self.where is not None
        values = self.where.evaluate(dict(zip(names, np.asarray(points.x).T, strict=True)), np)
        return np.broadcast_to(np.asarray(values, dtype=bool), (len(points),))

    def _placed(
        self,
        domain: AbstractDomain,
        sampler: AbstractSampler,
        n: int,
        n_face: int,
        seed: int,
        unseen: bool,
    ) -> Points:
        if self.piece is not None:
            points = self.piece.points(
                count_on(self.piece, domain, n_face), seed + self.stream, unseen=unseen
            )
        elif self.face is not None:
            points = on_face(domain, self.face, sampler, n_face, seed + self.stream)
        else:
            points = within(domain, sampler, n, seed, unseen=unseen)
        return points if self.dense is None else self.dense.merged(points)

    def values(self, domain: AbstractDomain, points: Points) -> np.ndarray:
        """Return the data at the points, (N,)."""
        if isinstance(self.data, Field):
            normals = None if points.normal is None else np.asarray(points.normal)
            return evaluate(self.data, domain.names, np.asarray(points.x), normals)
        return np.asarray(self.data, dtype=float)


def some(points: Points, here: Any) -> Points:
    """Return those of the points where ``here``, (N,), is true."""
    normal = None if points.normal is None else points.normal[here]
    return Points(points.x[here], points.weight[here], normal)


def within(
    domain: AbstractDomain, sampler: AbstractSampler, n: int, seed: int, *, unseen: bool = False
) -> Points:
    """Return about ``n`` points of a domain, a sampler's where that says how many there are."""
    if isinstance(domain, Box):
        return sampler.interior(domain.bounds, n, seed)
    if sampler.per_side is None:
        return domain.interior(n, seed, unseen=unseen)
    points = sampler.interior(domain.bounds, n, seed)
    points = some(points, domain.contains(np.asarray(points.x)))
    return points if len(points) else domain.interior(n, seed, unseen=unseen)


def count_on(piece: Piece, domain: AbstractDomain, n_face: int) -> int:
    """Return how many points a piece has where a side of the bounding box has ``n_face``."""
    d = domain.n_inputs
    if d == 1:
        return 1
    share = piece.measure / domain.size ** (d - 1)
    return max(int(n_face * max(1.0, share)), LEAST_ON_CURVE if d == 2 else 1)


def on_face(
    domain: AbstractDomain,
    face: tuple[int, float],
    sampler: AbstractSampler,
    n: int,
    seed: int,
) -> Points:
    """Return about ``n`` points of the part of a plane that lies in a domain."""
    points = sampler.face(domain.bounds, *face, n, seed)
    if isinstance(domain, Box):
        return points
    here = domain.contains(np.asarray(points.x))
    if here.any() and not here.all():
        points = sampler.face(domain.bounds, *face, int(n / here.mean()) + 1, seed)
        here = domain.contains(np.asarray(points.x))
    return some(points, here)


@dataclasses.dataclass(frozen=True, eq=False)
class Spot:
    """A part of a boundary where a condition holds.

    Attributes
    ----------
    name : str
        For people: ``"x = 0"``, ``"hole"``.
    face : (axis, value) or None
        Of a box, or a plane through the domain.
    piece : Piece or None
    normal : tuple of D floats, or None
        Where it is the same everywhere.
    """

    name: str
    face: tuple[int, float] | None = None
    piece: Piece | None = None
    normal: tuple[float, ...] | None = None

    def facing(self, operator: AbstractOperator) -> AbstractOperator:
        """Return an operator that knows the normal, where that is a constant."""
        return operator if self.normal is None else operator.facing(self.normal)

    def given(self, data: Any, names: Any) -> Any:
        """Return data that know the normal, where that is a constant."""
        if self.normal is None or not isinstance(data, Field):
            return data
        return on_plane(data, names, self.normal)

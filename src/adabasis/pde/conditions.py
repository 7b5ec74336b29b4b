"""What holds besides the equation: on faces, at the start, across periods, at observed points."""

from __future__ import annotations

import abc
import dataclasses
import numbers
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from ..geometry.domains import Box
from ..geometry.fields import Field, as_field
from ..geometry.samplers import AbstractSampler
from ..operators import AbstractOperator, Identity, NormalDerivative, Partial, Shifted

Place = Any
"""``(coordinate, value)``, a coordinate (both its faces), a list of such; ``None``: all faces."""


@dataclasses.dataclass(frozen=True, eq=False)
class Piece:
    """An equation L[u] = data on one set of points.

    Attributes
    ----------
    label : str
        For people: ``"Dirichlet on x = 0"``.
    operator : AbstractOperator
        Bound to the domain's coordinates.
    x : array, shape (N, D)
    quadrature : array, shape (N,)
        Non-negative weights of the points.
    data : Field or array, shape (N,)
    weight : float or None
        ε_k if the user gave one.
    """

    label: str
    operator: AbstractOperator
    x: np.ndarray
    quadrature: np.ndarray
    data: Any
    weight: float | None = None


class AbstractCondition(abc.ABC):
    """A condition; subclasses are frozen dataclasses."""

    weight: float | None

    @abc.abstractmethod
    def pieces(self, world: World, sampler: AbstractSampler, n: int, seed: int) -> Iterator[Piece]:
        """Yield the condition's equations, each on about ``n`` points."""

    @property
    def times(self) -> tuple[str, ...]:
        """Coordinates that are times: faces of theirs belong to no boundary."""
        return ()


@dataclasses.dataclass(frozen=True)
class World:
    """What a condition needs to know of its problem: domain, times, order of the equation."""

    domain: Box
    times: tuple[str, ...]
    order: int

    def faces(self, place: Place) -> list[tuple[int, float]]:
        """Return the (axis, value) pairs that a place names.

        Raises
        ------
        ValueError
            If it is none, or lies outside the domain.
        """
        if place is None:
            space = [n for n in self.domain.names if n not in self.times]
            return [face for name in space for face in self.faces(name)]
        if isinstance(place, list):
            return [face for one in place for face in self.faces(one)]
        if isinstance(place, tuple):
            return [self._plane(*place)]
        axis = self.domain.axis(coordinate_name(place))
        return [(axis, value) for value in self.domain.sides[axis]]

    def _plane(self, coordinate: Any, value: float) -> tuple[int, float]:
        axis = self.domain.axis(coordinate_name(coordinate))
        lower, upper = self.domain.sides[axis]
        if not isinstance(value, numbers.Real):
            name = self.domain.names[axis]
            raise ValueError(
                f"a condition on ({name}, {value!r}): expected ({name}, number), {name} alone for "
                "both of its faces, or a list of such."
            )
        value, slack = float(value), 1e-9 * (upper - lower)
        if not lower - slack <= value <= upper + slack:
            raise ValueError(
                f"a condition at {self.domain.names[axis]} = {value:g} lies outside the domain, "
                f"where {self.domain.names[axis]} runs from {lower:g} to {upper:g}."
            )
        return axis, value

    def normal(self, axis: int, value: float) -> tuple[float, ...]:
        """Return the outward normal of a face."""
        lower, upper = self.domain.sides[axis]
        sign = -1.0 if abs(value - lower) < abs(value - upper) else 1.0
        return tuple(sign if i == axis else 0.0 for i in range(self.domain.n_inputs))


def coordinate_name(coordinate: Any) -> str:
    """Return the name of a coordinate given by name or as an expression.

    Raises
    ------
    ValueError
        For anything else.
    """
    if isinstance(coordinate, Field) and coordinate.kind == "coordinate":
        return str(coordinate.arguments[0])
    if isinstance(coordinate, str):
        return coordinate
    raise ValueError(
        f"expected a place such as on=(x, 0.0), on=x or on=[(x, 0.0), (y, 1.0)], got "
        f"{coordinate!r}."
    )


@dataclasses.dataclass(frozen=True, eq=False)
class Condition(AbstractCondition):
    """B[u] = value on faces, for any linear operator B.

    Parameters
    ----------
    operator : AbstractOperator
        May contain :class:`~adabasis.operators.NormalDerivative`.
    value : number, function or expression
        A function takes the coordinates it names, as arrays of N numbers.
    on : (coordinate, value), coordinate, list of such, or None
        ``None``: every face of every coordinate that is not a time.
    where : function, optional
        True where the condition holds, if not on the whole face.
    weight : float, optional
        ε_k, the weight of the mean square; by default it is chosen.
    """

    operator: AbstractOperator
    value: Any
    on: Place = None
    where: Any = None
    weight: float | None = None

    name = "Condition"

    def pieces(self, world: World, sampler: AbstractSampler, n: int, seed: int) -> Iterator[Piece]:
        """Yield one equation for each face."""
        names, bounds = world.domain.names, world.domain.bounds
        operator, data = self.operator.bind(names), as_field(self.value)
        for i, (axis, value) in enumerate(world.faces(self.on)):
            points = sampler.face(bounds, axis, value, n, seed + i)
            x, quadrature = np.asarray(points.x), np.asarray(points.weight)
            label = f"{self.name} on {names[axis]} = {value:g}"
            if self.where is not None:
                here = _mask(self.where, names, x)
                if not here.any():
                    continue
                x, quadrature = x[here], quadrature[here]
            faced = operator.facing(world.normal(axis, value))
            yield Piece(label, faced, x, quadrature, data, self.weight)


def _mask(where: Any, names: Sequence[str], x: np.ndarray) -> np.ndarray:
    values = as_field(where).evaluate(dict(zip(names, x.T, strict=True)), np)
    return np.broadcast_to(np.asarray(values, dtype=bool), (len(x),))


class Dirichlet(Condition):
    """u = value on faces; see :class:`Condition` for the parameters."""

    name = "Dirichlet"

    def __init__(
        self, value: Any, on: Place = None, *, where: Any = None, weight: float | None = None
    ) -> None:
        super().__init__(Identity(), value, on, where, weight)


class Neumann(Condition):
    """∂u/∂n = value on faces, n pointing outwards; see :class:`Condition`."""

    name = "Neumann"

    def __init__(
        self, value: Any, on: Place = None, *, where: Any = None, weight: float | None = None
    ) -> None:
        super().__init__(NormalDerivative(), value, on, where, weight)


class Robin(Condition):
    """α u + β ∂u/∂n = value on faces; see :class:`Condition`.

    Parameters
    ----------
    alpha, beta : numbers, functions or expressions
    """

    name = "Robin"

    def __init__(
        self,
        value: Any,
        on: Place = None,
        *,
        alpha: Any = 1.0,
        beta: Any = 1.0,
        where: Any = None,
        weight: float | None = None,
    ) -> None:
        operator = alpha * Identity() + beta * NormalDerivative()
        super().__init__(operator, value, on, where, weight)


@dataclasses.dataclass(frozen=True, eq=False)
class Initial(AbstractCondition):
    """u = value, and ∂u/∂t = velocity if given, at a time.

    Parameters
    ----------
    value : number, function or expression
        In the other coordinates: ``lambda x: ...``.
    at : (coordinate, value)
        The time: ``(t, 0.0)``.
    velocity : number, function or expression, optional
        For equations of second order in time.
    weight : float, optional
    """

    value: Any
    at: tuple[Any, float]
    velocity: Any = None
    weight: float | None = None

    @property
    def times(self) -> tuple[str, ...]:
        """The coordinate of ``at``."""
        return (coordinate_name(self.at[0]),)

    def pieces(self, world: World, sampler: AbstractSampler, n: int, seed: int) -> Iterator[Piece]:
        """Yield the initial value, then the initial velocity."""
        ((axis, value),) = world.faces(tuple(self.at))
        points = sampler.face(world.domain.bounds, axis, value, n, seed)
        where = f"at {world.domain.names[axis]} = {value:g}"
        x, quadrature = np.asarray(points.x), np.asarray(points.weight)
        equations: list[tuple[str, AbstractOperator, Any]] = [
            (f"Initial value {where}", Identity(), self.value)
        ]
        if self.velocity is not None:
            equations.append((f"Initial velocity {where}", Partial(axis), self.velocity))
        for label, operator, data in equations:
            yield Piece(label, operator, x, quadrature, as_field(data), self.weight)


@dataclasses.dataclass(frozen=True, eq=False)
class Periodic(AbstractCondition):
    """u and its derivatives agree on the two faces of a coordinate.

    Parameters
    ----------
    coordinate : coordinate
    derivatives : int, optional
        How many derivatives agree; by default one less than the order of the equation.
    weight : float, optional
    """

    coordinate: Any
    derivatives: int | None = None
    weight: float | None = None

    def pieces(self, world: World, sampler: AbstractSampler, n: int, seed: int) -> Iterator[Piece]:
        """Yield one equation for u and one for each derivative."""
        axis = world.domain.axis(coordinate_name(self.coordinate))
        lower, upper = world.domain.sides[axis]
        shift = tuple(upper - lower if i == axis else 0.0 for i in range(world.domain.n_inputs))
        points = sampler.face(world.domain.bounds, axis, lower, n, seed)
        most = world.order - 1 if self.derivatives is None else self.derivatives
        for k in range(max(most, 0) + 1):
            inner: AbstractOperator = Partial(axis, k) if k else Identity()
            operator = Shifted(shift, inner) - inner
            label = f"Periodic in {world.domain.names[axis]}, derivative {k}"
            x, quadrature = np.asarray(points.x), np.asarray(points.weight)
            yield Piece(label, operator, x, quadrature, as_field(0.0), self.weight)


@dataclasses.dataclass(frozen=True, eq=False)
class Observe(AbstractCondition):
    """Measurements: L[u](X) = y (data fusion, slides eq. 5).

    Parameters
    ----------
    X : array-like, shape (N, D)
    y : array-like, shape (N,)
    operator : AbstractOperator
        What was measured; by default u itself.
    weight : float, optional
    """

    X: Any
    y: Any
    operator: AbstractOperator = dataclasses.field(default_factory=Identity)
    weight: float | None = None

    def pieces(self, world: World, sampler: AbstractSampler, n: int, seed: int) -> Iterator[Piece]:
        """Yield the one equation, on the points given."""
        x, y = np.asarray(self.X, dtype=float), np.asarray(self.y, dtype=float)
        if x.ndim != 2 or x.shape[1] != world.domain.n_inputs or y.shape != (len(x),):
            raise ValueError(
                f"Observe(X, y): expected shapes (N, {world.domain.n_inputs}) and (N,), got "
                f"{x.shape} and {y.shape}."
            )
        if not len(x) or not (np.isfinite(x).all() and np.isfinite(y).all()):
            raise ValueError("Observe(X, y): expected at least one row, and finite numbers only.")
        outside = np.flatnonzero(~world.domain.contains(x))
        if len(outside):
            raise ValueError(
                f"Observe(X, y): row {outside[0]} ({x[outside[0]]}) and {len(outside) - 1} others "
                f"lie outside {world.domain!r}."
            )
        operator = self.operator.bind(world.domain.names)
        yield Piece("Observed", operator, x, np.full(len(x), 1 / len(x)), y, self.weight)

"""What holds besides the equation: on faces, at the start, across periods, at observed points."""

from __future__ import annotations

import abc
import dataclasses
from collections.abc import Iterator
from typing import Any, TypeAlias

import numpy as np

from ..geometry.fields import Field, as_field, evaluate
from ..geometry.points import Points
from ..operators import (
    AbstractOperator,
    Equation,
    Identity,
    NormalDerivative,
    Partial,
    Shifted,
)
from ..operators.expressions import as_expression
from .constraints import Constraint

# A Problem, which comes after its conditions on the path.
Problem: TypeAlias = Any
#: A piece of ``domain.boundaries``, ``(coordinate, value)``, a coordinate (both its faces), a list
#: of such; ``None``: all of the boundary.
Place = Any


class AbstractCondition(abc.ABC):
    """A condition; subclasses are frozen dataclasses."""

    weight: float | None

    @abc.abstractmethod
    def constraints(self, problem: Problem) -> Iterator[Constraint]:
        """Yield the condition's equations."""

    @property
    def times(self) -> tuple[str, ...]:
        """Coordinates that are times: faces of theirs belong to no boundary."""
        return ()


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
    """B[u] = value on faces, for any operator B; or an equation between expressions.

    ``Condition(d(x)(u) + v == 0, on=(x, 1.0))`` states what ``Condition(d(x), 0.0, on=…, of=u)``
    cannot: several unknowns in one condition.

    Parameters
    ----------
    operator : AbstractOperator or Equation
        May contain :class:`~adabasis.operators.NormalDerivative`.
    value : number, function or expression, or a tuple of them
        A function takes the coordinates it names, as arrays of N numbers. A tuple has a value for
        each unknown of ``of``. An equation has none.
    on : piece of a boundary, (coordinate, value), coordinate, list of such, or None
        ``domain.boundaries["hole"]``. ``None``: all of the boundary, but for faces of times.
    where : function, optional
        True where the condition holds, if not on the whole face.
    weight : float, optional
        ε_k, the weight of the mean square; by default it is chosen.
    of : unknown or tuple of unknowns, optional
        What the condition is about; may be left out where the problem has one unknown.
    """

    operator: Any
    value: Any = None
    on: Place = None
    where: Any = None
    weight: float | None = None
    of: Any = None

    def equations(self, problem: Problem) -> list[tuple[str, Equation]]:
        """Return what is stated, and the name of the unknown where the problem has several."""
        kind = type(self).__name__
        if isinstance(self.operator, Equation):
            if self.value is not None or self.of is not None:
                raise ValueError(
                    f"{kind}({self.operator!r}): an equation says itself what it is about and what "
                    "it equals; leave value and of out."
                )
            return [(repr(self.operator) if len(problem.unknowns) > 1 else "", self.operator)]
        if not isinstance(self.operator, AbstractOperator):
            raise TypeError(
                f"{kind}({self.operator!r}): expected an operator, or an equation such as "
                "u - v == 0. A comparison of what are no unknowns is True or False, and none."
            )
        return stated(kind, problem, self.operator, self.value, self.of)

    def constraints(self, problem: Problem) -> Iterator[Constraint]:
        """Yield one equation for each face and unknown."""
        names, kind = problem.domain.names, type(self).__name__
        where = None if self.where is None else as_field(self.where)
        for name, equation in self.equations(problem):
            about = f"{kind} of {name}" if name else kind
            for row in problem.rows(f"{kind}(…)", equation):
                label = " ".join(filter(None, (about, row.part and f"({row.part} part)")))
                for stream, spot in enumerate(problem.spots(kind, self.on)):
                    yield Constraint(
                        f"{label} on {spot.name}",
                        spot.facing(row.operator),
                        spot.given(row.data, names),
                        self.weight,
                        spot.face,
                        spot.piece,
                        where,
                        stream=stream,
                    )


def stated(
    call: str, problem: Problem, operator: AbstractOperator, value: Any, of: Any
) -> list[tuple[str, Equation]]:
    """Return operator(u) == value for every unknown that a condition is of."""
    found = problem.unknowns_of(f"{call}(of=…)", of)
    values = value if isinstance(value, tuple) else (value,) * len(found)
    if any(one is None for one in values):
        raise TypeError(
            f"{call}(…): no value is given. Expected a number, a function of the coordinates or an "
            "expression in them."
        )
    if len(values) != len(found):
        raise ValueError(
            f"{call}({value!r}): expected one value, or one for each of "
            f"{', '.join(u.name for u in found)}."
        )
    several = len(problem.unknowns) > 1
    return [
        (u.name if several else "", Equation(operator(u), as_expression(v)))
        for u, v in zip(found, values, strict=True)
    ]


class Dirichlet(Condition):
    """u = value on faces; see :class:`Condition` for the parameters."""

    def __init__(
        self,
        value: Any,
        on: Place = None,
        *,
        of: Any = None,
        where: Any = None,
        weight: float | None = None,
    ) -> None:
        super().__init__(Identity(), value, on, where, weight, of)


class Neumann(Condition):
    """∂u/∂n = value on faces, n pointing outwards; see :class:`Condition`."""

    def __init__(
        self,
        value: Any,
        on: Place = None,
        *,
        of: Any = None,
        where: Any = None,
        weight: float | None = None,
    ) -> None:
        super().__init__(NormalDerivative(), value, on, where, weight, of)


class Robin(Condition):
    """α u + β ∂u/∂n = value on faces; see :class:`Condition`.

    Parameters
    ----------
    alpha, beta : numbers, functions or expressions
        α and β, fields of the coordinates.
    """

    def __init__(
        self,
        value: Any,
        on: Place = None,
        *,
        alpha: Any = 1.0,
        beta: Any = 1.0,
        of: Any = None,
        where: Any = None,
        weight: float | None = None,
    ) -> None:
        operator = alpha * Identity() + beta * NormalDerivative()
        super().__init__(operator, value, on, where, weight, of)


@dataclasses.dataclass(frozen=True, eq=False)
class Initial(AbstractCondition):
    """u = value, and ∂u/∂t = velocity if given, at a time.

    Parameters
    ----------
    value : number, function or expression, or a tuple of them
        In the other coordinates: ``lambda x: ...``; one for each unknown of ``of``.
    at : (coordinate, value)
        The time: ``(t, 0.0)``.
    velocity : number, function or expression, or a tuple of them, optional
        For equations of second order in time.
    weight : float, optional
        As of :class:`Condition`.
    of : unknown or tuple of unknowns, optional
        As of :class:`Condition`.
    """

    value: Any
    at: tuple[Any, float]
    velocity: Any = None
    weight: float | None = None
    of: Any = None

    def __post_init__(self) -> None:
        if not isinstance(self.at, tuple | list) or len(self.at) != 2:
            raise ValueError(
                f"Initial(at={self.at!r}): expected a coordinate and its number, such as "
                "at=(t, 0.0)."
            )

    @property
    def times(self) -> tuple[str, ...]:
        """The coordinate of ``at``."""
        return (coordinate_name(self.at[0]),)

    def constraints(self, problem: Problem) -> Iterator[Constraint]:
        """Yield the initial values, then the initial velocities."""
        axis, value = problem.plane(*self.at)
        ((spot),) = problem.spots("Initial", tuple(self.at))
        place = f"at {problem.domain.names[axis]} = {value:g}"
        given: list[tuple[str, AbstractOperator, Any]] = [("value", Identity(), self.value)]
        if self.velocity is not None:
            given.append(("velocity", Partial(axis), self.velocity))
        for what, operator, values in given:
            for name, equation in stated("Initial", problem, operator, values, self.of):
                about = f"Initial {what} of {name} {place}" if name else f"Initial {what} {place}"
                for row in problem.rows("Initial(…)", equation):
                    label = f"{about} ({row.part} part)" if row.part else about
                    where = spot.face, spot.piece
                    yield Constraint(label, row.operator, row.data, self.weight, *where)


@dataclasses.dataclass(frozen=True, eq=False)
class Periodic(AbstractCondition):
    """u and its derivatives agree on the two faces of a coordinate.

    Parameters
    ----------
    coordinate : coordinate
        Along which u repeats.
    derivatives : int, optional
        How many derivatives agree; by default one less than the order of the equations in u.
    weight : float, optional
        As of :class:`Condition`.
    of : unknown or tuple of unknowns, optional
        By default all.
    """

    coordinate: Any
    derivatives: int | None = None
    weight: float | None = None
    of: Any = None

    def constraints(self, problem: Problem) -> Iterator[Constraint]:
        """Yield one equation for u and one for each derivative."""
        axis = problem.domain.axis(coordinate_name(self.coordinate))
        lower, upper = map(float, problem.domain.bounds[axis])
        (one,) = problem.spots("Periodic", (self.coordinate, lower))
        start = one.face, one.piece
        shift = tuple(upper - lower if i == axis else 0.0 for i in range(problem.domain.n_inputs))
        several = len(problem.unknowns) > 1
        of = problem.unknowns if self.of is None else problem.unknowns_of("Periodic(of=…)", self.of)
        for u in of:
            most = problem.order_in(u) - 1 if self.derivatives is None else self.derivatives
            for k in range(max(most, 0) + 1):
                inner: AbstractOperator = Partial(axis, k) if k else Identity()
                operator, name = Shifted(shift, inner) - inner, problem.domain.names[axis]
                label = f"Periodic{f' {u.name}' if several else ''} in {name}, derivative {k}"
                for row in problem.rows("Periodic(…)", Equation(operator(u), as_expression(0.0))):
                    label = f"{label} ({row.part} part)" if row.part else label
                    yield Constraint(label, row.operator, row.data, self.weight, *start)


@dataclasses.dataclass(frozen=True, eq=False)
class MeanValue(AbstractCondition):
    """The mean of u over the domain is a number: what settles a constant, such as a pressure's.

    Parameters
    ----------
    value : number, or a tuple of them
        The mean; of a tuple, one for each unknown of ``of``.
    of : unknown or tuple of unknowns, optional
        As of :class:`Condition`.
    weight : float, optional
        As of :class:`Condition`.
    """

    value: Any
    of: Any = None
    weight: float | None = None

    def constraints(self, problem: Problem) -> Iterator[Constraint]:
        """Yield one equation for each unknown, at the middle of the domain."""
        operator, centre = problem.mean, problem.centre[None]
        point = Points(centre, np.ones(1))
        for name, equation in stated("MeanValue", problem, operator, self.value, self.of):
            for row in problem.rows("MeanValue(…)", equation):
                data = evaluate(row.data, problem.domain.names, centre)
                label = f"Mean value of {name}" if name else "Mean value"
                label = f"{label} ({row.part} part)" if row.part else label
                yield Constraint(label, row.operator, data, self.weight, at=point)

"""What holds besides the equation: on faces, at the start, across periods, at observed points."""

from __future__ import annotations

import abc
import dataclasses
from collections.abc import Iterator
from typing import Any, TypeAlias

import numpy as np

from .._runtime.notation import AnyArray
from ..geometry.boxes import AbstractSampler, Box, Points
from ..geometry.fields import Field, as_field, evaluate
from ..operators import AbstractOperator, Identity, NormalDerivative, Partial, Shifted
from .probe import Dense

# A LinearProblem, which comes after its conditions on the path.
Problem: TypeAlias = Any
#: ``(coordinate, value)``, a coordinate (both its faces), a list of such; ``None``: all faces.
Place = Any


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
        ``None``: the whole domain.
    where : Field or None
        True where the constraint holds, if not on the whole face.
    at : Points or None
        The only points at which it holds.
    dense : Dense or None
        Where samples do not show what the data or a coefficient does, if anywhere.
    stream : int
        Added to the seed of the points: constraints of one stream share their points.
    size : float
        Root mean square of the operator on waves of amplitude 1.
    noise : float, array of shape (N,), "estimate" or None
        The standard deviation of the data, if they are not exact.
    """

    label: str
    operator: AbstractOperator
    data: Any
    weight: float | None = None
    face: tuple[int, float] | None = None
    where: Field | None = None
    at: Points | None = None
    dense: Dense | None = None
    stream: int = 0
    size: float = 1.0
    noise: Any = None

    def points(
        self, domain: Box, sampler: AbstractSampler, n: int, n_face: int, seed: int
    ) -> Points:
        """Place about ``n`` points in the domain, or ``n_face`` on the face."""
        if self.at is not None:
            return self.at
        if self.face is None:
            points = sampler.interior(domain.bounds, n, seed)
        else:
            points = sampler.face(domain.bounds, *self.face, n_face, seed + self.stream)
        if self.dense is not None:
            points = self.dense.merged(points)
        if self.where is None:
            return points
        values = self.where.evaluate(dict(zip(domain.names, points.x.T, strict=True)), np)
        here = np.broadcast_to(np.asarray(values, dtype=bool), (len(points),))
        return Points(points.x[here], points.weight[here])

    def values(self, domain: Box, x: AnyArray) -> np.ndarray:
        """Return the data at the points, (N,)."""
        if isinstance(self.data, Field):
            return evaluate(self.data, domain.names, np.asarray(x))
        return np.asarray(self.data, dtype=float)


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

    def constraints(self, problem: Problem) -> Iterator[Constraint]:
        """Yield one equation for each face."""
        names = problem.domain.names
        operator, data = self.operator.bind(names), as_field(self.value)
        where = None if self.where is None else as_field(self.where)
        for stream, (axis, value) in enumerate(problem.faces(self.on)):
            label = f"{type(self).__name__} on {names[axis]} = {value:g}"
            faced, face = operator.facing(problem.normal(axis, value)), (axis, value)
            yield Constraint(label, faced, data, self.weight, face, where, stream=stream)


class Dirichlet(Condition):
    """u = value on faces; see :class:`Condition` for the parameters."""

    def __init__(
        self, value: Any, on: Place = None, *, where: Any = None, weight: float | None = None
    ) -> None:
        super().__init__(Identity(), value, on, where, weight)


class Neumann(Condition):
    """∂u/∂n = value on faces, n pointing outwards; see :class:`Condition`."""

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

    def constraints(self, problem: Problem) -> Iterator[Constraint]:
        """Yield the initial value, then the initial velocity."""
        ((axis, value),) = problem.faces(tuple(self.at))
        place, face = f"at {problem.domain.names[axis]} = {value:g}", (axis, value)
        given = as_field(self.value)
        yield Constraint(f"Initial value {place}", Identity(), given, self.weight, face)
        if self.velocity is not None:
            given = as_field(self.velocity)
            yield Constraint(f"Initial velocity {place}", Partial(axis), given, self.weight, face)


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

    def constraints(self, problem: Problem) -> Iterator[Constraint]:
        """Yield one equation for u and one for each derivative."""
        axis = problem.domain.axis(coordinate_name(self.coordinate))
        lower, upper = problem.domain.sides[axis]
        shift = tuple(upper - lower if i == axis else 0.0 for i in range(problem.domain.n_inputs))
        most = problem.operator.order - 1 if self.derivatives is None else self.derivatives
        for k in range(max(most, 0) + 1):
            inner: AbstractOperator = Partial(axis, k) if k else Identity()
            label = f"Periodic in {problem.domain.names[axis]}, derivative {k}"
            operator = Shifted(shift, inner) - inner
            yield Constraint(label, operator, as_field(0.0), self.weight, (axis, lower))


#: What ``Observe(noise=…)`` is where the noise is to be found.
ESTIMATE = "estimate"
#: Observations from which their noise is found: of fewer, one is all there is to tell it from.
FEWEST_TO_ESTIMATE = 5


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
        ε of their mean square, where they have no noise.
    noise : float, array-like of shape (N,), "estimate" or None
        The standard deviation of their errors, in the units of y: the equation and exact conditions
        are kept then, what they leave free is weighed against the noise, and the solution knows its
        standard deviation (``predict(X, return_std=True)``). ``"estimate"`` finds it, set by set.
        ``None``: the values count as exact, like those of any condition.

    Raises
    ------
    ValueError
        When a problem is made of it: for other shapes, values that are not finite, points outside
        the domain, or noise that is not positive.
    """

    X: Any
    y: Any
    operator: AbstractOperator = dataclasses.field(default_factory=Identity)
    weight: float | None = None
    noise: Any = None

    def constraints(self, problem: Problem) -> Iterator[Constraint]:
        """Yield the one equation, at the points given."""
        x, y = np.asarray(self.X, dtype=float), np.asarray(self.y, dtype=float)
        if x.ndim != 2 or x.shape[1] != problem.domain.n_inputs or y.shape != (len(x),):
            raise ValueError(
                f"Observe(X, y): expected shapes (N, {problem.domain.n_inputs}) and (N,), got "
                f"{x.shape} and {y.shape}."
            )
        if not len(x) or not (np.isfinite(x).all() and np.isfinite(y).all()):
            raise ValueError("Observe(X, y): expected at least one row, and finite numbers only.")
        outside = np.flatnonzero(~problem.domain.contains(x))
        if len(outside):
            raise ValueError(
                f"Observe(X, y): row {outside[0]} ({x[outside[0]]}) and {len(outside) - 1} others "
                f"lie outside {problem.domain!r}."
            )
        operator = self.operator.bind(problem.domain.names)
        points, noise = Points(x, np.full(len(x), 1 / len(x))), self._noise(len(x))
        yield Constraint("Observed", operator, y, self.weight, at=points, noise=noise)

    def _noise(self, n_rows: int) -> Any:
        """Return the noise, checked."""
        found: Any
        if self.noise is None or (isinstance(self.noise, str) and self.noise == ESTIMATE):
            found = self.noise
        else:
            found = _deviations(self.noise, n_rows)
        if isinstance(found, str) and n_rows < FEWEST_TO_ESTIMATE:
            raise ValueError(
                f"Observe(X, y, noise='estimate'): {n_rows} observations do not tell how far they "
                f"are off; it takes {FEWEST_TO_ESTIMATE}. Give the noise as a number."
            )
        if found is not None and self.weight is not None:
            raise ValueError(
                f"Observe(weight={self.weight!r}, noise={self.noise!r}): the noise says how much "
                "the values count. Leave the weight out."
            )
        return found


def _deviations(noise: Any, n_rows: int) -> np.ndarray:
    """Return standard deviations, one or one for each row."""
    what = f"a positive number, {n_rows} of them (one for each row), 'estimate' or None"
    try:
        found = np.asarray(noise, dtype=float)
    except (TypeError, ValueError):
        raise ValueError(f"Observe(noise={noise!r}): expected {what}.") from None
    if isinstance(noise, bool | str) or found.shape not in ((), (n_rows,)):
        raise ValueError(
            f"Observe(noise): expected {what}, got "
            + (f"shape {found.shape}." if found.ndim else f"{noise!r}.")
        )
    if not (np.isfinite(found).all() and (found > 0).all()):
        worst = float(found[~(np.isfinite(found) & (found > 0))].flat[0])
        raise ValueError(
            f"Observe(noise): expected {what}, got {worst:g}. Values without errors are given "
            "without noise."
        )
    return found

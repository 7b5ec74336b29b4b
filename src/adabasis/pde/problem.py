"""A problem: domain, equation, conditions, observations; and its rows.

Row scaling. A term's residual is divided by the *size* of its operator: the root mean square of
L w over waves w that turn over once along the box (wave number π per side, eight directions, both
phases). So every term speaks in units of u, whatever the units of x, t and the coefficients, and
one boundary weight near 1 serves all problems. Scaling by the rows of the basis instead weighs the
equation down by what steep functions have large: derivatives of high order.
"""

from __future__ import annotations

import dataclasses
import functools
import numbers
from collections.abc import Iterator, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from .._runtime.compute import double_precision, quickly
from .._runtime.registry import provided
from ..geometry.boxes import Box, Gauss, Points
from ..geometry.fields import Field, as_field, evaluate
from ..operators import AbstractOperator
from ..operators.base import Composed, Scaled
from .conditions import AbstractCondition, Constraint, Place, coordinate_name
from .probe import Dense, look

DIRECTIONS = 8
WAVE_NUMBER = np.pi
#: Relative departure from linearity on test functions that is taken for round-off.
LINEARITY = 1e-8


class LinearProblem:
    """L[u] = f in a domain, with conditions.

    Parameters
    ----------
    domain : Box
    operator : AbstractOperator
        L; coordinates by name or number.
    source : number, function or expression
        f. Functions name the coordinates they take: ``lambda x, t: ...``.
    conditions : sequence of conditions
        Dirichlet, Neumann, Robin, Initial, Periodic, Condition.
    data : sequence of Observe
        Measurements to be honoured too.
    weight : float, optional
        ε of the equation (slides eq. 6); by default terms are scaled by their operators.
    exact : number, function or expression, optional
        The solution, where known, for tests and convergence studies.
    name : str

    Attributes
    ----------
    equation : str
        The equation in one line, as it was stated.
    linear : bool
        Whether the operator is, and with it those of all conditions.
    order : int
        The highest derivative in the equation or a condition.
    notes : list of str
        What a dense look at sources and coefficients shows, in words.
    constraints : list of Constraint
        The equation, then those of all conditions; points of no two conditions are alike.
    observed : list of Constraint
        Observations with noise.

    Raises
    ------
    TypeError, ValueError
        For an operator that is not linear, coefficients that are not finite, unknown coordinates,
        or conditions outside the domain.
    """

    def __init__(
        self,
        domain: Box,
        operator: AbstractOperator,
        source: Any = 0.0,
        conditions: Sequence[AbstractCondition] = (),
        data: Sequence[AbstractCondition] = (),
        *,
        weight: float | None = None,
        exact: Any = None,
        name: str = "problem",
    ) -> None:
        if not isinstance(domain, Box):
            raise TypeError(
                f"LinearProblem(domain={domain!r}): expected a domain such as Box(x=(0, 1))."
            )
        if not isinstance(operator, AbstractOperator):
            raise TypeError(
                f"LinearProblem(operator={operator!r}): expected an operator, such as "
                "operators.Laplacian(), or UserOperator for a function of (u, x)."
            )
        self.domain, self.name = domain, name
        self.stated, self.operator = operator, operator.bind(domain.names)
        self.source = as_field(source)
        self.conditions = tuple(_listed(conditions, "conditions"))
        self.data = tuple(_listed(data, "data"))
        self.weight = weight
        self.exact = None if exact is None else as_field(exact)
        self.times = tuple(t for c in self.conditions for t in c.times)
        self.linear, self.equation = (
            operator.linear,
            f"{operator!r} = {self.source!r} in {domain!r}",
        )
        stated = [Constraint("Equation", self.operator, self.source, weight)] + [
            dataclasses.replace(constraint, stream=constraint.stream + 101 * number)
            for number, condition in enumerate([*self.conditions, *self.data], 1)
            for constraint in condition.constraints(self)
        ]
        self.notes: list[str] = []
        sized = [dataclasses.replace(c, size=self._size(c)) for c in stated]
        self.constraints = [
            dataclasses.replace(c, dense=self._dense(c)) for c in sized if c.noise is None
        ]
        self.observed = [c for c in sized if c.noise is not None]
        if self.observed and not all(c.operator.linear for c in sized):
            raise ValueError(
                "LinearProblem(data=[Observe(…, noise=…)]): what noisy values say of a solution is "
                "known where the equation, the conditions and what is observed are linear. Leave "
                "noise out, and give a weight."
            )
        self.order = max(constraint.operator.order for constraint in stated)

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

    def exact_values(self, x: np.ndarray) -> np.ndarray:
        """Return the exact solution at N points, (N,).

        Raises
        ------
        ValueError
            If it is not known.
        """
        if self.exact is None:
            raise ValueError(f"{self.name}: no exact solution was given.")
        return evaluate(self.exact, self.domain.names, x)

    def with_data(
        self, source: Any = None, conditions: Sequence[AbstractCondition] | None = None
    ) -> LinearProblem:
        """Return the same equation with another source or other values in the conditions."""
        return LinearProblem(
            self.domain,
            self.stated,
            self.source if source is None else source,
            self.conditions if conditions is None else conditions,
            self.data,
            weight=self.weight,
            name=self.name,
        )

    def check(self, function: Any, values: Any = None) -> Any:
        """Say whether a claimed solution is one.

        Parameters
        ----------
        function : function, expression, number or fitted function
            Of the coordinates; a function has to be NumPy's on expressions, or jax.numpy's. Or the
            points X of a table, (N, D).
        values : array-like, shape (N,), optional
            u at the points of a table: derivatives come from polynomials through near rows.

        Returns
        -------
        Check
            ``print`` it; its ``verdict`` starts with "Solved", "Approximate", "Not solved" or
            "Not determined".

        Raises
        ------
        TypeError, ValueError
            For a function without derivatives, or a table that is none.
        """
        return provided("check of a claimed solution")(self, function, values)

    def _size(self, constraint: Constraint) -> float:
        """Return the operator's size: root mean square of L w over waves of amplitude 1.

        Raises
        ------
        ValueError
            If it is not linear, not finite, or its coefficients are not one number a point.
        """
        operator, domain = constraint.operator, self.domain
        points = constraint.points(domain, Gauss(5), 1, 1, 0)
        if not len(points.x):  # the part of a face that ``where`` selects lies between them
            whole = dataclasses.replace(constraint, where=None)
            points = whole.points(domain, Gauss(5), 1, 1, 0)
        x = points.x
        constraint.values(domain, x)
        with double_precision():
            try:
                found = on_waves(operator, domain.bounds, jnp.asarray(x))
            except jax.errors.TracerArrayConversionError as error:
                raise TypeError(
                    f"{constraint.label}: a coefficient of {operator!r} calls NumPy on a number "
                    "that JAX is tracing. Use jax.numpy there, or write it with NumPy functions of "
                    "the coordinates."
                ) from error
        images, mixed, zero = np.split(np.asarray(found), [-2, -1], axis=1)
        wrong = np.argwhere(~np.isfinite(images))
        if len(wrong):
            place = located(domain.names, np.asarray(x)[wrong[0][0]])
            raise ValueError(
                f"{constraint.label}: {operator!r} is not finite at {place}. Its coefficients must "
                "be finite on the whole domain."
            )
        off = max(np.abs(mixed[:, 0] - images[:, :2] @ [2.0, 3.0]).max(), np.abs(zero).max())
        if operator.linear and off > LINEARITY * max(np.abs(mixed).max(), np.abs(images).max()):
            raise ValueError(
                f"{constraint.label}: {operator!r} is not linear in u (found on test functions). "
                "Move terms without u to the source; declare a nonlinear operator as "
                "UserOperator(function, order, linear=False)."
            )
        return float(np.sqrt(np.mean(2 * images**2))) or 1.0

    def _dense(self, constraint: Constraint) -> Dense | None:
        """Look at data and coefficients densely; note what they do where samples do not look.

        Raises
        ------
        ValueError
            If one is not finite, or a coefficient jumps under a derivative.
        """
        domain, face = self.domain, constraint.face
        axes = [i for i in range(domain.n_inputs) if face is None or i != face[0]]
        if constraint.at is not None or constraint.where is not None or not axes:
            return None
        names, bounds = domain.names, domain.bounds

        def whole(x: np.ndarray) -> np.ndarray:
            return x if face is None else np.insert(x, face[0], face[1], axis=1)

        def values(field: Field, x: np.ndarray) -> np.ndarray:
            return evaluate(field, names, whole(x))

        dense = None
        for field, under in [(constraint.data, False), *coefficients(constraint.operator)]:
            if field.kind == "constant":
                continue
            seen = look(functools.partial(values, field), bounds[axes])
            what = "source" if constraint.label == "Equation" else constraint.label
            what = what if field is constraint.data else f"coefficient {field!r}"
            if seen.jump is not None:
                place = located(names, whole(seen.jump[None])[0])
                if under:
                    raise ValueError(
                        f"{constraint.label}: the {what} jumps near {place}, and a derivative is "
                        f"taken of what it multiplies ({constraint.operator!r}): the derivative of "
                        "the jump would be lost. Interfaces cannot be stated yet: solve each side "
                        "as a problem of its own, or smooth the coefficient over a stated width, "
                        "such as a + (b - a) * (1 + np.tanh((x - x0) / width)) / 2."
                    )
                self.notes.append(f"The {what} jumps, or has no bound, near {place}.")
            if seen.narrow is not None:
                place = located(names, whole(seen.narrow[None])[0])
                self.notes.append(f"The {what} is concentrated near {place}.")
                cells = Points(whole(np.asarray(seen.points.x)), seen.points.weight)
                dense = Dense(bounds, axes, seen.blocks, cells)
        return dense

    def __repr__(self) -> str:
        return f"LinearProblem({self.equation})"


def located(names: Sequence[str], point: np.ndarray) -> str:
    """Return a point in words."""
    return ", ".join(f"{name} = {value:.4g}" for name, value in zip(names, point, strict=True))


def coefficients(operator: AbstractOperator, under: bool = False) -> Iterator[tuple[Field, bool]]:
    """Yield the coefficients of an operator, and whether what they multiply is differentiated."""
    if isinstance(operator, Composed):
        yield from coefficients(operator.outer, under)
        yield from coefficients(operator.inner, under or operator.outer.order > 0)
        return
    if isinstance(operator, Scaled):
        yield operator.coefficient, under
    for inner in operator.operands:
        yield from coefficients(inner, under)


def waves(bounds: Any, x: Array) -> Array:
    """Return the test waves at one point: cosines and sines in fixed directions."""
    rng = np.random.default_rng(0)
    n = rng.normal(size=(DIRECTIONS, len(bounds)))
    n = WAVE_NUMBER * n / np.linalg.norm(n, axis=1, keepdims=True)
    phase = n @ ((x - bounds[:, 0]) / (bounds[:, 1] - bounds[:, 0]))
    return jnp.concatenate([jnp.cos(phase), jnp.sin(phase)])


@quickly(once=True)
def on_waves(operator: AbstractOperator, bounds: Any, x: Array) -> Array:
    """Return L applied to each wave at N points, to 2w₁ + 3w₂ and to 0, (N, 18)."""
    n = 2 * DIRECTIONS
    mixtures = jnp.eye(n, n + 2).at[:2, n].set(jnp.array([2.0, 3.0]))

    def at(mixture: Array) -> Array:
        return jax.vmap(operator(lambda y: waves(bounds, y) @ mixture))(x)

    # What is linear takes all functions at once.
    return at(mixtures) if operator.linear else jnp.stack([at(m) for m in mixtures.T], axis=1)


def _listed(given: Any, call: str) -> Sequence[AbstractCondition]:
    found = [given] if isinstance(given, AbstractCondition) else list(given)
    for condition in found:
        if not isinstance(condition, AbstractCondition):
            raise TypeError(
                f"LinearProblem({call}=...): expected conditions such as Dirichlet(0.0, on=(x, 0)),"
                f" got {condition!r}."
            )
    return found

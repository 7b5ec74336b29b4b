"""A problem: domain, equations, conditions, observations; and its rows.

Row scaling. A term's residual is divided by the *size* of its operator (:mod:`.sizes`). So every
term speaks in units of u, whatever those of x, t and the coefficients, and one boundary weight near
1 serves all problems. Scaling by rows of the basis instead weighs high derivatives down.
"""

from __future__ import annotations

import collections
import dataclasses
import functools
import warnings
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from .._runtime.registry import provided
from ..geometry.boxes import Box
from ..geometry.domains import AbstractDomain
from ..geometry.fields import Field, as_field, complex_values, evaluate, known_in
from ..operators import AbstractOperator, Equation, Expression, unknowns
from ..operators.expressions import as_expression
from ..operators.integrals import Averaged
from .conditions import AbstractCondition, Place
from .constraints import Constraint, Spot
from .places import plane_of, rule_on, spots_of
from .regions import (
    checked_regions,
    constraints_in,
    equation_in,
    equations_in,
    exact_by_region,
    home_of,
    unjoined,
)
from .scrutiny import looked_at, sized
from .sizes import orders_of
from .statement import Row, blocks_of, listed_equations, rows_of, unknowns_in

#: Points of a mean over the domain.
MEAN_POINTS = 2048


class Problem:
    """Equations in unknowns on a domain, with conditions.

    Parameters
    ----------
    domain : AbstractDomain
        Where the equations hold; none where ``regions`` are given.
    equations : sequence of Equation
        ``operator(u) == source``; as many as unknowns, or more. Functions among sources and
        coefficients name the coordinates they take: ``lambda x, t: ...``.
    conditions : sequence of conditions
        Dirichlet, Neumann, Robin, Initial, Periodic, MeanValue, Condition.
    data : sequence of Observe
        Measurements to be honoured too.
    regions : mapping of str to AbstractDomain, optional
        Parts with functions of their own, joined by Interface; together they are the domain.
    weight : float, optional
        ε of the equations (slides eq. 6); by default terms are scaled by their operators.
    exact : number, function or expression, or a tuple of them, optional
        The solution, where known, for tests and convergence studies; one for each unknown.
    name : str
        What messages call it.

    Attributes
    ----------
    unknowns : tuple of Expression
        Those of the equations, in the order in which they were made.
    equation : str
        The equations in one line, as they were stated.
    linear : bool
        Whether all equations and conditions are, read off their structure.
    order : int
        The highest derivative in an equation or a condition.
    notes : list of str
        What a dense look at sources and coefficients shows, in words.
    constraints : list of Constraint
        The equations, then those of all conditions; points of no two conditions are alike.
    observed : list of Constraint
        Observations with noise.

    Raises
    ------
    TypeError, ValueError
        For an entry that is no equation (its position is named), fewer equations than unknowns,
        conditions on other unknowns or outside the domain, an operator that claims to be linear
        and is not, coefficients that are not finite, unknown coordinates.

    Examples
    --------
    >>> from adabasis import Box, operators, pde
    >>> (u, v), d = pde.unknowns("u", "v"), operators.Partial("t")
    >>> problem = pde.Problem(
    ...     Box(t=(0, 1)),
    ...     [d(u) == -v, d(v) == u],
    ...     [pde.Initial((1.0, 0.0), at=("t", 0.0), of=(u, v))],
    ... )
    >>> problem.equation
    'u_t = -v; v_t = u in Box(t=(0, 1))'
    """

    def __init__(
        self,
        domain: AbstractDomain | None = None,
        equations: Sequence[Equation] = (),
        conditions: Sequence[AbstractCondition] = (),
        data: Sequence[AbstractCondition] = (),
        *,
        regions: Mapping[str, AbstractDomain] | None = None,
        weight: float | None = None,
        exact: Any = None,
        name: str = "problem",
    ) -> None:
        call = type(self).__name__
        self.regions: dict[str, AbstractDomain] = {}
        if regions is not None:
            self.regions, domain = checked_regions(call, regions, domain)
        if not isinstance(domain, AbstractDomain):
            raise TypeError(f"{call}(domain={domain!r}): expected a domain such as Box(x=(0, 1)).")
        self.domain, self.name, self.weight = domain, name, weight
        self.equations = tuple(listed_equations(call, equations))
        self.stated_unknowns = self.unknowns = unknowns_in(self.equations, domain.names)
        if len(self.equations) < len(self.unknowns):
            raise ValueError(
                f"{call}(equations=[…]): {len(self.equations)} for {len(self.unknowns)} unknowns "
                f"({', '.join(u.name for u in self.unknowns)}): expected as many, or more."
            )
        if self.regions:
            every = [e for _, e in equations_in(self.equations, list(self.regions))]
            self.unknowns = unknowns_in(every)
        self.conditions = tuple(_listed(call, conditions, "conditions"))
        self.data = tuple(_listed(call, data, "data"))
        self.exact = self._exact(exact)
        self.times = tuple(dict.fromkeys(t for c in self.conditions for t in c.times))
        self.stated_rows, holds = [], []
        for region in self.regions or [None]:
            for k, equation in enumerate(self.equations, 1):
                label = f"Equation {k}" if len(self.equations) > 1 else "Equation"
                if region is not None:
                    equation = equation_in(equation, list(self.regions), region)
                    label = f"{label} in {region}"
                for row in self.rows(f"{call}(equations=[…])", equation):
                    self.stated_rows.append((label, row))
                    holds.append(None if region is None else self.regions[region])
        self.equation = "; ".join(map(repr, self.equations)) + f" in {domain!r}"
        given = [
            Constraint(
                f"{label} ({row.part} part)" if row.part else label,
                row.operator, row.data, weight, equation=True, region=region,
            )
            for (label, row), region in zip(self.stated_rows, holds, strict=True)
        ]  # fmt: skip
        self.n_equations = len(given)
        given += [
            dataclasses.replace(constraint, stream=constraint.stream + 101 * number)
            for number, condition in enumerate([*self.conditions, *self.data], 1)
            for constraint in (
                constraints_in(self, condition) if self.regions else condition.constraints(self)
            )
        ]
        bare = unjoined(self) if self.regions else []
        if bare:
            raise ValueError(
                f"{call}(regions=…): {bare[0]} touch, and no Interface says what u does there. "
                "Add Interface(of=u, between=(…), flux=k)."
            )
        self.linear = all(c.operator.linear for c in given)
        self.notes: list[str] = []
        self.constraints: list[Constraint] = []
        self.observed: list[Constraint] = []
        for one in [sized(c, domain) for c in _distinguished(given)]:
            if one.noise is None:
                dense, notes = looked_at(one, domain)
                self.notes += notes
                self.constraints.append(dataclasses.replace(one, dense=dense))
            else:
                self.observed.append(one)
        if self.observed and (not self.linear or self.n_blocks > 1):
            raise ValueError(
                f"{call}(data=[Observe(…, noise=…)]): what noisy values say of a solution is "
                "known for one real unknown, where the equation, the conditions and what is "
                "observed are linear. Leave noise out, and give a weight."
            )
        self.order = max(constraint.operator.order for constraint in given)

    @property
    def n_blocks(self) -> int:
        """B, the number of real functions that are sought."""
        return len(self.blocks)

    @property
    def blocks(self) -> tuple[str, ...]:
        """The names of the real functions that are sought: two for a complex unknown."""
        return tuple(blocks_of(self.unknowns))

    @property
    def operator(self) -> AbstractOperator:
        """That of the first equation."""
        return self.constraints[0].operator

    @property
    def source(self) -> Any:
        """The right-hand side of the first equation."""
        return self.constraints[0].data

    @functools.cached_property
    def mean(self) -> AbstractOperator:
        """The mean over the domain, as an operator."""
        domain = self.domain
        points = rule_on(domain, MEAN_POINTS)
        return Averaged(np.asarray(points.x), np.asarray(points.weight))

    def rows(self, call: str, equation: Equation) -> list[Row]:
        """Return an equation as operators, bound to the domain, on the vector of the unknowns.

        Raises
        ------
        ValueError
            For unknowns that no equation has, or a coordinate that the domain lacks.
        """
        names = self.domain.names
        return [
            row._replace(operator=row.operator.bind(names))
            for row in rows_of(call, equation, self.unknowns)
        ]

    def unknowns_of(self, call: str, of: Any) -> tuple[Expression, ...]:
        """Return the unknowns that a condition is of.

        Raises
        ------
        TypeError, ValueError
            For what is no unknown of the problem; for none, where the problem has several.
        """
        names = ", ".join(u.name for u in self.stated_unknowns)
        if of is None:
            if len(self.stated_unknowns) > 1:
                raise ValueError(
                    f"{call}: the problem has the unknowns {names}; say which one the condition "
                    "is of."
                )
            return self.stated_unknowns
        found = tuple(of) if isinstance(of, tuple | list) else (of,)
        for one in found:
            if not (isinstance(one, Expression) and one.kind == "unknown"):
                raise TypeError(f"{call}: expected unknowns among {names}, got {one!r}.")
            if all(one.name != u.name for u in self.stated_unknowns):
                raise ValueError(
                    f"{call}: {one.name} is in no equation of the problem; its unknowns are "
                    f"{names}."
                )
        return found

    def order_in(self, unknown: Expression) -> int:
        """Return the highest derivative that the equations take of an unknown."""
        block = self.blocks.index(blocks_of([unknown])[0])
        return max(orders_of(row.operator, block) for _, row in self.stated_rows)

    @property
    def centre(self) -> np.ndarray:
        """A point of the domain, (D,): of a box the middle."""
        if isinstance(self.domain, Box):
            return np.asarray(self.domain.bounds.mean(axis=1))
        return np.asarray(self.domain.interior(16).x)[0]

    def spots(self, call: str, place: Place) -> list[Spot]:
        """Return the parts of the boundary, or of planes, that a place names.

        Raises
        ------
        ValueError
            If it is none, or lies outside the domain.
        """
        return spots_of(call, self.domain, place, self.times)

    def plane(self, coordinate: Any, value: float) -> tuple[int, float]:
        """Return the axis and the value of a plane.

        Raises
        ------
        ValueError
            If it lies outside the domain.
        """
        return plane_of(self.domain, coordinate, value)

    def _exact(self, exact: Any) -> Any:
        if exact is None:
            return None
        given = exact if isinstance(exact, tuple) else (exact,)
        if len(given) != len(self.stated_unknowns):
            raise ValueError(
                f"{type(self).__name__}(exact=…): expected {len(self.stated_unknowns)} functions, "
                f"one for each of {', '.join(u.name for u in self.stated_unknowns)}; "
                f"got {len(given)}."
            )
        fields = tuple(known_in(self.domain.names, as_field(one)) for one in given)
        return fields if len(fields) > 1 else fields[0]

    def exact_values(self, x: np.ndarray) -> np.ndarray:
        """Return the exact solution at N points, (N,), or (N, number of unknowns) for several.

        Raises
        ------
        ValueError
            If it is not known.
        """
        if self.exact is None:
            raise ValueError(f"{self.name}: no exact solution was given.")
        if self.regions:
            return exact_by_region(self, x)
        names, several = self.domain.names, not isinstance(self.exact, Field)
        fields = self.exact if several else (self.exact,)
        columns = [
            complex_values(one, names, x) if u.is_complex else evaluate(one, names, x)
            for u, one in zip(self.unknowns, fields, strict=True)
        ]
        return np.stack(columns, axis=1) if several else columns[0]

    def homes(self, x: np.ndarray) -> np.ndarray:
        """Return the number of the region that each of N points lies in, (N,)."""
        return home_of(self.regions, x)

    def check(self, function: Any, values: Any = None) -> Any:
        """Say whether a claimed solution is one.

        Parameters
        ----------
        function : function, expression, number or fitted function
            Of the coordinates; a function has to be NumPy's on expressions, or jax.numpy's. For
            several unknowns a tuple of such. Or the points X of a table, (N, D).
        values : array-like, shape (N,), optional
            u at the points of a table, for one unknown: derivatives come from polynomials through
            near rows.

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

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.equation})"


class LinearProblem(Problem):
    """L[u] = f in a domain, with conditions: a :class:`Problem` of one equation in one unknown.

    Parameters
    ----------
    operator : AbstractOperator
        L, linear; coordinates by name or number. For others state a :class:`Problem`.
    source : number, function or expression
        The right-hand side. Functions name the coordinates they take: ``lambda x, t: ...``.
    domain, conditions, data, weight, exact, name
        As of :class:`Problem`.

    Raises
    ------
    TypeError, ValueError
        As of :class:`Problem`.
    """

    def __init__(
        self,
        domain: AbstractDomain,
        operator: AbstractOperator,
        source: Any = 0.0,
        conditions: Sequence[AbstractCondition] = (),
        data: Sequence[AbstractCondition] = (),
        *,
        weight: float | None = None,
        exact: Any = None,
        name: str = "problem",
    ) -> None:
        if not isinstance(operator, AbstractOperator):
            raise TypeError(
                f"LinearProblem(operator={operator!r}): expected an operator, such as "
                "operators.Laplacian(), or UserOperator for a function of (u, x)."
            )
        if not operator.linear:
            # The name promises what the operator denies; earlier versions took it, too.
            warnings.warn(
                f"LinearProblem(operator={operator!r}): the operator is not linear. Use "
                "Problem(domain, [operator(u) == source], …) with u = unknowns('u').",
                FutureWarning,
                stacklevel=2,
            )
        self.stated = operator
        equation = Equation(operator(UNKNOWN), as_expression(source))
        super().__init__(
            domain, [equation], conditions, data, weight=weight, exact=exact, name=name
        )

    def with_data(
        self, source: Any = None, conditions: Sequence[AbstractCondition] | None = None
    ) -> LinearProblem:
        """Return the same equation with another source or other values in the conditions."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)
            return LinearProblem(
                self.domain,
                self.stated,
                self.source if source is None else source,
                self.conditions if conditions is None else conditions,
                self.data,
                weight=self.weight,
                name=self.name,
            )


#: The unknown of a :class:`LinearProblem`.
UNKNOWN: Expression = unknowns("u")


def _distinguished(constraints: Sequence[Constraint]) -> list[Constraint]:
    """Return constraints whose labels are all different, the second of one name being numbered."""
    seen: collections.Counter[str] = collections.Counter()
    found = []
    for one in constraints:
        seen[one.label] += 1
        again = f"{one.label} ({seen[one.label]})" if seen[one.label] > 1 else one.label
        found.append(dataclasses.replace(one, label=again))
    return found


def _listed(call: str, given: Any, argument: str) -> Sequence[AbstractCondition]:
    found = [given] if isinstance(given, AbstractCondition) else list(given)
    for condition in found:
        if isinstance(condition, Equation):
            raise TypeError(
                f"{call}({argument}=…): {condition!r} is an equation; say where it holds: "
                "Condition(lhs == rhs, on=(x, 0.0))."
            )
        if not isinstance(condition, AbstractCondition):
            raise TypeError(
                f"{call}({argument}=...): expected conditions such as Dirichlet(0.0, on=(x, 0)), "
                f"got {condition!r}."
            )
    return found

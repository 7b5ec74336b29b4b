"""Interfaces: regions with unknowns of their own, joined by values and fluxes.

An unknown u of a problem with regions is one function in each of them, "u in core" and "u in
shell". Equations hold in every region, with the coefficients of that region; an
:class:`Interface` says what the functions of two regions have in common where these touch.
"""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from ..geometry.domains import AbstractDomain
from ..geometry.fields import Field, as_field, evaluate
from ..geometry.pieces import OnBoundary, Piece
from ..geometry.points import Points
from ..operators import AbstractOperator, Coupled, Equation, Expression, Identity, NormalDerivative
from ..operators.base import Scaled
from ..operators.integrals import Averaged
from .conditions import AbstractCondition, MeanValue, Problem, stated
from .constraints import Constraint, Spot
from .places import plane_of, spots_of
from .statement import Row

#: Points by which overlaps and gaps are told, and the distance, relative to the size of the
#: domain, from which a point lies clearly inside.
PROBES, CLEARLY = 4096, 1e-6


def piecewise(**fields: Any) -> Field:
    """Return a coefficient, a source or a value that is another one in every region.

    Parameters
    ----------
    **fields : numbers, functions or expressions
        By the names of the regions.

    Raises
    ------
    ValueError
        For fewer than two.

    Examples
    --------
    >>> piecewise(core=1000.0, shell=1.0)
    piecewise(core=1000, shell=1)
    """
    if len(fields) < 2:
        raise ValueError("piecewise(): expected a value for every region, such as core=1, shell=2.")
    return Field("piecewise", (tuple(fields), *map(as_field, fields.values())))


def in_region(field: Field, region: str) -> Field:
    """Return a field as it is in a region.

    Raises
    ------
    ValueError
        For a region that a piecewise field does not name.
    """
    if field.kind == "piecewise":
        names, *values = field.arguments
        if region not in names:
            raise ValueError(f"{field!r}: it has no value for the region {region!r}.")
        return in_region(values[names.index(region)], region)
    inner = [in_region(a, region) if isinstance(a, Field) else a for a in field.arguments]
    return dataclasses.replace(field, arguments=tuple(inner))


def operator_in(operator: AbstractOperator, region: str) -> AbstractOperator:
    """Return an operator with the coefficients of a region."""
    if isinstance(operator, Scaled):
        inner = operator_in(operator.operator, region)
        return Scaled(in_region(operator.coefficient, region), inner, operator.names)
    return operator._over(lambda one: operator_in(one, region))


def called(name: str, region: str) -> str:
    """Return what an unknown is called in a region."""
    return f"{name} in {region}"


def expression_in(expression: Expression, regions: Sequence[str], region: str) -> Expression:
    """Return an expression with the unknowns and coefficients of a region."""
    arguments = expression.arguments
    if expression.kind == "unknown":
        name, dtype, number = arguments
        later = regions.index(region) / len(regions)
        return Expression("unknown", (called(name, region), dtype, number + later))
    found = []
    for one in arguments:
        if isinstance(one, Expression):
            one = expression_in(one, regions, region)
        elif isinstance(one, Field):
            one = in_region(one, region)
        elif isinstance(one, AbstractOperator):
            one = operator_in(one, region)
        found.append(one)
    return Expression(expression.kind, tuple(found))


def equation_in(equation: Equation, regions: Sequence[str], region: str) -> Equation:
    """Return an equation as it is in a region."""
    left, right = (expression_in(e, regions, region) for e in (equation.left, equation.right))
    return Equation(left, right)


def checked_regions(
    call: str, regions: Any, domain: AbstractDomain | None
) -> tuple[dict[str, AbstractDomain], AbstractDomain]:
    """Return regions, and the domain that they make up.

    Raises
    ------
    TypeError, ValueError
        For what is no mapping of domains, regions that overlap, or a gap between them.
    """
    if not isinstance(regions, Mapping) or len(regions) < 2:
        raise TypeError(
            f"{call}(regions={regions!r}): expected a mapping of names to domains, such as "
            '{"core": disk, "shell": box - disk}.'
        )
    for name, one in regions.items():
        if not isinstance(one, AbstractDomain):
            raise TypeError(f"{call}(regions=…): {name!r} is {one!r}, which is no domain.")
    for (a, one), (b, other) in itertools.combinations(regions.items(), 2):
        if one.n_inputs != other.n_inputs:
            raise ValueError(f"{call}(regions=…): {a!r} and {b!r} have other coordinates.")
        for inner, outer in ((one, other), (other, one)):
            x = np.asarray(inner.interior(PROBES).x)
            slack = CLEARLY * outer.size
            both = (outer.distance(x) < -slack) & (inner.distance(x) < -slack)
            if both.any():
                at = _place(one.names, x[np.argmax(both)])
                raise ValueError(f"{call}(regions=…): {a!r} and {b!r} overlap near {at}.")
    whole = domain
    for name, one in regions.items():
        if not isinstance(whole, AbstractDomain):
            break
        x = np.asarray(one.interior(PROBES).x)
        beyond = ~whole.contains(x) & (whole.distance(x) > CLEARLY * whole.size)
        if beyond.any():
            at = _place(one.names, x[np.argmax(beyond)])
            raise ValueError(f"{call}(regions=…): {name!r} reaches beyond the domain, near {at}.")
    if whole is None:
        first, *others = regions.values()
        whole = first
        for one in others:
            whole = whole | one
    x = np.asarray(whole.interior(PROBES).x)
    covered = np.any([one.distance(x) <= CLEARLY * one.size for one in regions.values()], axis=0)
    if not covered.all():
        at = _place(whole.names, x[np.argmin(covered)])
        raise ValueError(f"{call}(regions=…): no region holds the domain's points near {at}.")
    return dict(regions), whole


def _place(names: Sequence[str], x: np.ndarray) -> str:
    return ", ".join(f"{n} = {v:.4g}" for n, v in zip(names, x, strict=True))


@dataclasses.dataclass(frozen=True, eq=False)
class RegionView:
    """What a condition sees of a problem in one of its regions."""

    problem: Problem
    region: str

    @property
    def domain(self) -> AbstractDomain:
        """The region."""
        return self.problem.regions[self.region]

    @property
    def unknowns(self) -> tuple[Expression, ...]:
        """Those that equations are stated in."""
        return self.problem.stated_unknowns

    def unknowns_of(self, call: str, of: Any) -> tuple[Expression, ...]:
        """Return the unknowns that a condition is of."""
        return self.problem.unknowns_of(call, of)

    def rows(self, call: str, equation: Equation) -> list[Row]:
        """Return an equation as it is in the region."""
        regions = list(self.problem.regions)
        return self.problem.rows(call, equation_in(equation, regions, self.region))

    def order_in(self, unknown: Expression) -> int:
        """Return the highest derivative that equations take of an unknown."""
        regions = list(self.problem.regions)
        return int(self.problem.order_in(expression_in(unknown, regions, self.region)))

    def plane(self, coordinate: Any, value: float) -> tuple[int, float]:
        """Return the axis and the value of a plane of the domain."""
        return plane_of(self.problem.domain, coordinate, value)

    def spots(self, call: str, place: Any) -> list[Spot]:
        """Return the parts of the domain's boundary that a place names, those of the region."""
        whole, own = self.problem.domain, self.domain
        found = []
        for spot in spots_of(call, whole, place, self.problem.times):
            pieces = _pieces_of(whole, spot)
            if pieces is None:
                found.append(spot)
                continue
            parts = tuple(
                part for surface in pieces.surfaces if (part := surface.trimmed(OnBoundary(own)))
            )
            if parts:
                found.append(Spot(spot.name, piece=Piece(pieces.name, own, parts)))
        return found


def _pieces_of(domain: AbstractDomain, spot: Spot) -> Piece | None:
    if spot.piece is not None:
        return spot.piece
    assert spot.face is not None
    name = spot.name.replace(" = ", "=")
    try:
        return domain.boundaries[name]
    except KeyError:
        return None


@dataclasses.dataclass(frozen=True, eq=False)
class Interface(AbstractCondition):
    """What an unknown does where two regions touch: u and its flux k ∂u/∂n go through.

    Parameters
    ----------
    of : unknown or tuple of unknowns, optional
        May be left out where the problem has one unknown.
    between : pair of str
        The names of the regions.
    flux : number, expression or piecewise field
        k; usually ``piecewise(core=…, shell=…)``. A number: no coefficient jumps.
    jump, flux_jump : number, function or expression
        The value in the first region less that in the second, and the same of k ∂u/∂n, n pointing
        out of the first region.
    weight : float, optional
        As of :class:`Condition`.
    """

    of: Any = None
    between: tuple[str, str] = ()  # type: ignore[assignment]
    flux: Any = 1.0
    jump: Any = 0.0
    flux_jump: Any = 0.0
    weight: float | None = None

    def constraints(self, problem: Problem) -> Iterator[Constraint]:
        """Yield the jump of the value and that of the flux."""
        regions = dict(getattr(problem, "regions", None) or {})
        pair = tuple(self.between) if isinstance(self.between, tuple | list) else ()
        if len(pair) != 2 or any(name not in regions for name in pair) or pair[0] == pair[1]:
            raise ValueError(
                f"Interface(between={self.between!r}): expected two of the regions "
                f"{', '.join(map(repr, regions)) or '(the problem has none)'}."
            )
        piece = touching(regions[pair[0]], regions[pair[1]], pair)
        if piece is None:
            raise ValueError(f"Interface(between={pair!r}): these regions do not touch.")
        names, k = problem.domain.names, as_field(self.flux)
        for u in problem.unknowns_of("Interface(of=…)", self.of):
            about = f" of {u.name}" if len(problem.stated_unknowns) > 1 else ""
            for what, operators, data in (
                ("Value", [Identity(), Identity()], self.jump),
                ("Flux", [in_region(k, r) * NormalDerivative() for r in pair], self.flux_jump),
            ):
                blocks: list[AbstractOperator | None] = [None] * len(problem.blocks)
                for sign, region, one in zip((1.0, -1.0), pair, operators, strict=True):
                    blocks[problem.blocks.index(called(u.name, region))] = sign * one
                label = f"{what}{about} between {pair[0]} and {pair[1]}"
                operator = Coupled(blocks).bind(names)
                given = as_field(data)
                yield Constraint(label, operator, given, self.weight, piece=piece)


def touching(one: AbstractDomain, other: AbstractDomain, names: Sequence[str]) -> Piece | None:
    """Return where two domains touch, with normals that point out of the first one."""
    beyond = Beyond(other)
    surfaces = [
        part for piece in one.boundaries.values() for surface in piece.surfaces
        if (part := surface.trimmed(beyond))
    ]  # fmt: skip
    return Piece(f"{names[0]}|{names[1]}", one, tuple(surfaces)) if surfaces else None


@dataclasses.dataclass(frozen=True, eq=False)
class Beyond:
    """Whether a domain lies on the side that normals point to."""

    domain: AbstractDomain

    def __call__(self, x: np.ndarray, normal: np.ndarray) -> np.ndarray:
        """Look at N points, (N,) bools."""
        step = CLEARLY * self.domain.size
        return np.asarray(self.domain.distance(x + step * normal) < 0)


def constraints_in(problem: Problem, condition: AbstractCondition) -> Iterator[Constraint]:
    """Yield what a condition says in each of the regions of a problem.

    Raises
    ------
    ValueError
        For a condition on nothing.
    """
    if isinstance(condition, Interface):
        yield from condition.constraints(problem)
        return
    if isinstance(condition, MeanValue):
        yield from _means(problem, condition)
        return
    count = 0
    for region in problem.regions:
        for one in condition.constraints(RegionView(problem, region)):
            count += 1
            yield dataclasses.replace(
                one, label=f"{one.label} in {region}", region=problem.regions[region]
            )
    if not count:
        raise ValueError(f"{type(condition).__name__}(…): no region has a part of this boundary.")


def _means(problem: Problem, condition: MeanValue) -> Iterator[Constraint]:
    """Yield the mean over the domain of every unknown, a sum over its regions."""
    regions, mean = list(problem.regions), problem.mean
    home, place = problem.homes(np.asarray(mean.points)), problem.centre[None]
    parts = {
        region: Averaged(mean.points[home == k], mean.weights[home == k])
        for k, region in enumerate(regions)
        if np.any(home == k)
    }
    for name, one in stated("MeanValue", problem, Identity(), condition.value, condition.of):
        each = [part(expression_in(one.left, regions, region)) for region, part in parts.items()]
        whole = Equation(sum(each[1:], start=each[0]), one.right)
        for row in problem.rows("MeanValue(…)", whole):
            data = evaluate(row.data, problem.domain.names, place)
            label = f"Mean value of {name}" if name else "Mean value"
            label = f"{label} ({row.part} part)" if row.part else label
            at = Points(place, np.ones(1))
            yield Constraint(label, row.operator, data, condition.weight, at=at)


def unjoined(problem: Problem) -> list[str]:
    """Return the pairs of regions that touch and have no interface, in words."""
    joined = {frozenset(c.between) for c in problem.conditions if isinstance(c, Interface)}
    return [
        f"{a!r} and {b!r}"
        for (a, one), (b, other) in itertools.combinations(problem.regions.items(), 2)
        if frozenset((a, b)) not in joined and touching(one, other, (a, b)) is not None
    ]


def equations_in(
    equations: Sequence[Equation], regions: Sequence[str]
) -> list[tuple[str, Equation]]:
    """Return every equation in every region."""
    return [(r, equation_in(e, regions, r)) for r in regions for e in equations]


def without_region(name: str) -> str:
    """Return the unknown that a name such as "u in core" is of."""
    unknown, joined, _ = name.rpartition(" in ")
    return unknown if joined else name


def home_of(regions: Mapping[str, AbstractDomain], x: np.ndarray) -> np.ndarray:
    """Return the number of the region that each of N points lies in, (N,)."""
    return np.argmin([one.distance(x) for one in regions.values()], axis=0)


def by_region(
    regions: Mapping[str, AbstractDomain], names: Sequence[str], values: np.ndarray, X: Any
) -> np.ndarray:
    """Return values of each unknown in every region, (N, B), as those where the points are.

    ``names`` are of the B columns: "u in core". A column is left for each unknown, (N, M), (N,) if
    there is one.
    """
    if not regions or values.ndim < 2:
        return values
    home, numbers = home_of(regions, np.asarray(X, dtype=float)), list(regions)
    stated = list(dict.fromkeys(map(without_region, names)))
    found = np.zeros((len(values), len(stated)))
    for b, name in enumerate(names):
        here = home == numbers.index(name.rpartition(" in ")[2])
        found[here, stated.index(without_region(name))] = values[here, b]
    return found if len(stated) > 1 else found[:, 0]


def exact_by_region(problem: Any, x: np.ndarray) -> np.ndarray:
    """Return the exact solution at N points, (N,), or (N, number of unknowns)."""
    fields = (problem.exact,) if isinstance(problem.exact, Field) else problem.exact
    found, home = np.zeros((len(x), len(fields))), problem.homes(x)
    for k, region in enumerate(problem.regions):
        at = x[home == k]
        for q, field in enumerate(fields):
            found[home == k, q] = evaluate(in_region(field, region), problem.domain.names, at)
    return found if len(fields) > 1 else found[:, 0]

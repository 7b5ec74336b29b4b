"""From equations in unknowns to operators on the vector of them, with data on the right."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from ..geometry.fields import Field
from ..operators import AbstractOperator, Coupled, Equation, Expression, Joint
from ..operators.complex_parts import any_complex, pair_of, parts_of
from ..operators.expressions import (
    ZERO,
    affine,
    distinct,
    operator_of,
    separated,
)


class Row(NamedTuple):
    """One real equation L[u] = data in the vector of all unknowns.

    Attributes
    ----------
    part : str
        "real" or "imaginary", where it is part of a complex one.
    operator : AbstractOperator
    data : Field
    """

    part: str
    operator: AbstractOperator
    data: Field


def listed_equations(call: str, given: Any) -> list[Equation]:
    """Return equations, checked one by one.

    Raises
    ------
    TypeError, ValueError
        For what is none, with its position.
    """
    found = [given] if isinstance(given, Equation) else list(given)
    if not found:
        raise ValueError(f"{call}(equations=[]): expected at least one, such as L(u) == 0.")
    for position, one in enumerate(found):
        if isinstance(one, Equation) and one.unknowns:
            continue
        where = f"{call}(equations=[…]): entry {position} is {one!r}"
        if isinstance(one, Equation):
            raise ValueError(f"{where}, which has no unknown: it says nothing about a solution.")
        if isinstance(one, bool):
            raise TypeError(
                f"{where}: expected an equation. Python compared two things that are no "
                "expressions in unknowns; write operator(u) == value, with u from pde.unknowns."
            )
        if isinstance(one, Expression):
            raise TypeError(f"{where}, an expression: say what it equals, {one!r} == 0.")
        if isinstance(one, AbstractOperator):
            raise TypeError(f"{where}, an operator: apply it to an unknown, operator(u) == 0.")
        raise TypeError(
            f"{where}, {'a function' if callable(one) else type(one).__name__}: expected an "
            "equation, such as Laplacian()(u) == 0."
        )
    return found


def unknowns_in(
    equations: Sequence[Equation], coordinates: Sequence[str] = ()
) -> tuple[Expression, ...]:
    """Return the unknowns of equations, in the order in which they were made.

    Raises
    ------
    ValueError
        For one that is called like a coordinate.
    """
    found = distinct([u for equation in equations for u in equation.unknowns])
    for one in found:
        if one.name in coordinates:
            raise ValueError(
                f"the unknown {one.name} is called like a coordinate of the domain, which has "
                f"{', '.join(coordinates)}. Give it another name."
            )
    return found


def rows_of(call: str, equation: Equation, unknowns: Sequence[Expression]) -> list[Row]:
    """Return an equation as operators on the vector of the unknowns, and data.

    Raises
    ------
    ValueError
        If it has an unknown that is not among these, or none.
    """
    names = [u.name for u in unknowns]
    lacking = [u.name for u in equation.unknowns if u.name not in names]
    if lacking:
        raise ValueError(
            f"{call}: {equation!r} is about {', '.join(lacking)}, which is in no equation of the "
            f"problem; its unknowns are {', '.join(names)}."
        )
    if any(u.is_complex for u in unknowns):
        return _parts(call, equation, blocks_of(unknowns))
    if any_complex(equation.left) or any_complex(equation.right):
        raise ValueError(
            f"{call}: {equation!r} has complex numbers, and its unknowns are real. Make them "
            f"complex: pde.unknowns({names[0]!r}, dtype=complex)."
        )
    return [Row("", *_row(call, equation, names))]


def blocks_of(unknowns: Sequence[Expression]) -> list[str]:
    """Return the names of the real functions that unknowns consist of: two for a complex one."""
    pairs = [pair_of(u) if u.is_complex else (u,) for u in unknowns]
    return [one.name for pair in pairs for one in pair]


def _parts(call: str, equation: Equation, names: Sequence[str]) -> list[Row]:
    """Return the real and the imaginary part of an equation; one of real numbers has no other."""
    zero, rows = Expression("given", (ZERO,)), []
    pairs = zip(parts_of(equation.left), parts_of(equation.right), strict=True)
    for part, (left, right) in zip(("real", "imaginary"), pairs, strict=True):
        one = Equation(zero if left is None else left, zero if right is None else right)
        if one.unknowns:
            rows.append(Row(part, *_row(call, one, names)))
    if not rows:
        raise ValueError(f"{call}: {equation!r} has no unknown.")
    return rows


def _row(call: str, equation: Equation, names: Sequence[str]) -> tuple[AbstractOperator, Field]:
    left, right = affine(equation.left), affine(equation.right)
    if left is None or right is None:
        return _joint(equation, names)
    operators = dict(left[0])
    for name, one in right[0].items():
        operators[name] = operators[name] - one if name in operators else -one
    if not operators:
        raise ValueError(f"{call}: {equation!r} has no unknown.")
    data = _difference(right[1], left[1])
    if len(names) == 1:
        return operators[names[0]], data
    return Coupled([operators.get(name) for name in names]), data


def _joint(equation: Equation, names: Sequence[str]) -> tuple[AbstractOperator, Field]:
    (left, known), (right, source) = separated(equation.left), separated(equation.right)
    whole = left if right is None else Expression("negative", (right,))
    if left is not None and right is not None:
        whole = Expression("subtract", (left, right))
    assert whole is not None
    operator = operator_of(whole, names)
    data = _difference(source, known)
    return (operator if len(names) == 1 else Joint(operator, len(names))), data


def _difference(a: Field, b: Field) -> Field:
    return a if b == ZERO else -b if a == ZERO else a - b

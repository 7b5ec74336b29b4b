"""A close look at a constraint: how large its operator is, what its data and coefficients do."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Sequence
from typing import Any

import numpy as np

from ..geometry.boxes import Box
from ..geometry.domains import AbstractDomain
from ..geometry.fields import Field, evaluate
from ..geometry.points import Gauss, Points
from .constraints import MORE, Constraint
from .probe import Dense, look
from .sizes import coefficients, measured, transparent

#: Points of a piece of a boundary at which the size of an operator is told.
PLACES = 16


def sized(constraint: Constraint, domain: AbstractDomain) -> Constraint:
    """Return a constraint that knows the size of its operator.

    What user's code is in it is called at once, so that it complains here.
    """
    units: dict[Any, float] = {}

    def measure(scales: tuple[float, ...] | None) -> float:
        if scales not in units:
            units[scales] = _size(constraint, domain, scales)
        return units[scales]

    if not transparent(constraint.operator):
        measure(None)
    else:
        points = _places(constraint, domain)
        constraint.values(domain, points)
        for field, _ in coefficients(constraint.operator):
            evaluate(field, domain.names, np.asarray(points.x), points.normal)
    return dataclasses.replace(constraint, measure=measure)


def _places(constraint: Constraint, domain: AbstractDomain) -> Points:
    """Return some points of a constraint."""
    points = constraint.points(domain, Gauss(5), 25, PLACES, 0)
    if not len(points.x):
        raise ValueError(
            f"{constraint.label}: `where` is true nowhere: at none of some "
            f"{MORE * PLACES:,} points. Say where the condition holds, or leave it out."
        )
    return points


def _size(
    constraint: Constraint, domain: AbstractDomain, scales: tuple[float, ...] | None
) -> float:
    """Return the operator's size: root mean square of L w over waves of amplitude 1.

    Raises
    ------
    ValueError
        If it is not linear, not finite, or its coefficients are not one number a point.
    """
    operator = constraint.operator
    points = _places(constraint, domain)
    constraint.values(domain, points)
    try:
        size, wrong = measured(operator, domain.bounds, points, scales)
    except (TypeError, ValueError) as error:
        raise type(error)(f"{constraint.label}: {error}") from error
    if wrong is not None:
        raise ValueError(
            f"{constraint.label}: {operator!r} is not finite at "
            f"{located(domain.names, wrong)}. Its coefficients must be finite on the whole "
            "domain."
        )
    return size


def looked_at(constraint: Constraint, domain: AbstractDomain) -> tuple[Dense | None, list[str]]:
    """Look at data and coefficients densely; say what they do where samples do not look.

    Raises
    ------
    ValueError
        If one is not finite, or a coefficient jumps under a derivative.
    """
    face = constraint.face
    notes: list[str] = []
    if constraint.piece is not None:
        return None, notes
    axes = [i for i in range(domain.n_inputs) if face is None or i != face[0]]
    if (
        constraint.at is not None
        or not isinstance(constraint.data, Field)
        or constraint.where is not None
        or not axes
    ):
        return None, notes
    names, bounds = domain.names, domain.bounds

    def whole(x: np.ndarray) -> np.ndarray:
        return x if face is None else np.insert(x, face[0], face[1], axis=1)

    def values(field: Field, x: np.ndarray) -> np.ndarray:
        at = whole(x)
        if isinstance(domain, Box):
            return evaluate(field, names, at)
        found, inside = (
            np.full(len(at), np.nan),
            domain.contains(at),
        )  # elsewhere it may be anything
        if inside.any():
            found[inside] = evaluate(field, names, at[inside])
        return found

    dense = None
    for field, under in [(constraint.data, False), *coefficients(constraint.operator)]:
        if field.kind == "constant":
            continue
        seen = look(functools.partial(values, field), bounds[axes])
        what = "source" if constraint.equation else constraint.label
        what = what if field is constraint.data else f"coefficient {field!r}"
        if seen.jump is not None:
            place = located(names, whole(seen.jump[None])[0])
            if under:
                raise ValueError(
                    f"{constraint.label}: the {what} jumps near {place}, and a derivative is "
                    f"taken of what it multiplies ({constraint.operator!r}): the derivative of "
                    "the jump would be lost. State an interface there: "
                    'Problem(regions={"core": …, "shell": …}) with the coefficient '
                    'k = piecewise(core=…, shell=…) and Interface(of=u, between=("core", '
                    '"shell"), flux=k).'
                )
            notes.append(f"The {what} jumps, or has no bound, near {place}.")
        if seen.narrow is not None:
            place = located(names, whole(seen.narrow[None])[0])
            notes.append(f"The {what} is concentrated near {place}.")
            cells = Points(whole(np.asarray(seen.points.x)), seen.points.weight)
            dense = Dense(bounds, axes, seen.blocks, cells)
    return dense, notes


def located(names: Sequence[str], point: np.ndarray) -> str:
    """Return a point in words."""
    return ", ".join(f"{name} = {value:.4g}" for name, value in zip(names, point, strict=True))

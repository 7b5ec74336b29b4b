"""Where conditions hold: parts of boundaries, planes, and points for integrals over domains."""

from __future__ import annotations

import numbers
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ..geometry.boxes import Box
from ..geometry.domains import AbstractDomain
from ..geometry.pieces import Piece, plane_name
from ..geometry.points import Gauss, Points, Sobol
from .conditions import Place, coordinate_name
from .constraints import Spot


def spots_of(
    call: str, domain: AbstractDomain, place: Place, times: Sequence[str] = ()
) -> list[Spot]:
    """Return the parts of the boundary, or of planes, that a place names.

    Raises
    ------
    ValueError
        If it is none or nothing, or lies outside the domain.
    """
    if place is None:
        return _whole(domain, times)
    if isinstance(place, Mapping):  # domain.boundaries
        place = list(place.values())
    if isinstance(place, list | tuple) and not place:
        raise ValueError(
            f"{call}(on={place!r}): a condition on nothing. Leave on out for the whole boundary, "
            "or name a part of it, such as on=(x, 0.0)."
        )
    if isinstance(place, list):
        return [spot for one in place for spot in spots_of(call, domain, one, times)]
    if isinstance(place, Piece):
        return [_of_piece(call, domain, place)]
    if isinstance(place, tuple):
        if len(place) != 2 or isinstance(place[0], tuple | Piece):
            raise ValueError(
                f"{call}(on={place!r}): expected (coordinate, number), such as (x, 0.0). Several "
                "places make a list: on=[(x, 0.0), (y, 1.0)]."
            )
        return [_of_plane(domain, *plane_of(domain, *place))]
    if isinstance(place, str) and place not in domain.names and place in domain.boundaries:
        raise ValueError(
            f"{call}(on={place!r}): a piece is taken from its domain, whose boundary it is: "
            f"on=domain.boundaries[{place!r}]."
        )
    axis = domain.axis(coordinate_name(place))
    return [_of_plane(domain, axis, float(value)) for value in domain.bounds[axis]]


def _whole(domain: AbstractDomain, times: Sequence[str]) -> list[Spot]:
    """Return all of the boundary, but for the faces of times."""
    if isinstance(domain, Box):
        space = [name for name in domain.names if name not in times]
        return [spot for name in space for spot in spots_of("", domain, name)]
    pieces = [p for p in domain.boundaries.values() if not _of_time(domain, p, times)]
    return [Spot(piece.name, piece=piece) for piece in pieces]


def _of_time(domain: AbstractDomain, piece: Piece, times: Sequence[str]) -> bool:
    """Whether a piece is a face of a time."""
    planes = [surface.plane for surface in piece.surfaces]
    return all(plane is not None and domain.names[plane[0]] in times for plane in planes)


def _of_piece(call: str, domain: AbstractDomain, piece: Piece) -> Spot:
    if isinstance(domain, Box):
        planes = [surface.plane for surface in piece.surfaces]
        if len(planes) == 1 and planes[0] is not None:
            return _of_plane(domain, *planes[0])
    try:
        found = domain.boundaries[piece.name]
    except KeyError as error:
        raise ValueError(
            f"{call}(on={piece!r}): it is no piece of the boundary of the problem's domain, which "
            f"has {', '.join(map(repr, domain.boundaries)) or 'none'}."
        ) from error
    if domain != piece.domain and found.measure < 1e-3 * piece.measure:
        raise ValueError(f"{call}(on={piece!r}): hardly anything of it bounds the domain.")
    return Spot(piece.name, piece=found)


def _of_plane(domain: AbstractDomain, axis: int, value: float) -> Spot:
    name = f"{domain.names[axis]} = {value:g}"
    if isinstance(domain, Box):
        return Spot(name, (axis, value), normal=_normal(domain, axis, value))
    try:
        return Spot(name, piece=domain.boundaries[plane_name(domain.names, axis, value)])
    except KeyError:
        x = np.asarray(Sobol().face(domain.bounds, axis, value, 4096).x)
        if not domain.contains(x).any():
            raise ValueError(
                f"a condition on {name}: no part of this plane lies in {domain!r}; its boundary "
                f"has {', '.join(map(repr, domain.boundaries)) or 'no pieces'}."
            ) from None
        return Spot(name, (axis, value), normal=_normal(domain, axis, value))


def plane_of(domain: AbstractDomain, coordinate: Any, value: Any) -> tuple[int, float]:
    """Return the axis and the value of a plane.

    Raises
    ------
    ValueError
        If it lies outside the domain.
    """
    axis = domain.axis(coordinate_name(coordinate))
    name, (lower, upper) = domain.names[axis], map(float, domain.bounds[axis])
    if not isinstance(value, numbers.Real):
        raise ValueError(
            f"a condition on ({name}, {value!r}): expected ({name}, number), {name} alone for "
            "both of its faces, or a list of such."
        )
    value, slack = float(value), 1e-9 * (upper - lower)
    if not lower - slack <= value <= upper + slack:
        raise ValueError(
            f"a condition at {name} = {value:g} lies outside the domain, where {name} runs from "
            f"{lower:g} to {upper:g}."
        )
    return axis, value


def _normal(domain: AbstractDomain, axis: int, value: float) -> tuple[float, ...]:
    """Return the outward normal of a face of the bounding box."""
    lower, upper = domain.bounds[axis]
    sign = -1.0 if abs(value - lower) < abs(value - upper) else 1.0
    return tuple(sign if i == axis else 0.0 for i in range(domain.n_inputs))


def rule_on(domain: AbstractDomain, n: int) -> Points:
    """Return about ``n`` points of a domain with weights, which sum to 1, for means over it."""
    if isinstance(domain, Box):
        sampler: Any = Gauss() if domain.n_inputs <= 3 else Sobol()
        return sampler.interior(domain.bounds, n)
    points = domain.quadrature(n)
    weight = np.asarray(points.weight)
    return Points(points.x, weight / weight.sum())


def bare_pieces(domain: AbstractDomain, held: Sequence[Any], times: Sequence[str]) -> list[str]:
    """Return the names of pieces of a shape's boundary that no condition holds on."""
    names = {piece.name for piece in held if piece is not None}
    planes = {plane_name(domain.names, *s.plane) for piece in held if piece is not None
              for s in piece.surfaces if s.plane is not None}  # fmt: skip
    bare = []
    for piece in domain.boundaries.values():
        if piece.name in names or _of_time(domain, piece, times):
            continue
        own = [plane_name(domain.names, *s.plane) for s in piece.surfaces if s.plane is not None]
        if len(own) == len(piece.surfaces) and all(name in planes for name in own):
            continue
        bare.append(piece.name)
    return bare

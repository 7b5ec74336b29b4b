"""Domains in files: their kind and their numbers; functions as the expressions that they are."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from .boxes import Box
from .clouds import PointCloud
from .domains import AbstractDomain, Combined, Product
from .fields import Field
from .mesh import Mesh
from .polygons import Polygon
from .shapes import Ball, Disk, ImplicitDomain


def to_document(domain: AbstractDomain) -> dict[str, Any]:
    """Return a domain as values that JSON holds.

    Raises
    ------
    ValueError
        For a function of the user's, which no file holds.
    """
    about: dict[str, Any] = {"kind": type(domain).__name__, "label": domain.label}
    if isinstance(domain, Combined | Product):
        about |= {"left": to_document(domain.left), "right": to_document(domain.right)}
        if isinstance(domain, Combined):
            about["operation"] = domain.operation
        return about
    about |= {"names": list(domain.names), "stated": domain.named_coordinates}
    if isinstance(domain, Box):
        about["sides"] = [list(side) for side in domain.sides]
    elif isinstance(domain, Ball):
        about |= {"center": list(domain.center), "radius": domain.radius}
    elif isinstance(domain, Polygon):
        about |= {"corners": domain.corners, "holes": domain.holes, "sides": domain.sides}
    elif isinstance(domain, Mesh):
        groups = {name: sides.tolist() for name, sides in domain.groups if name}
        about |= {"points": domain.points.tolist(), "cells": domain.cells.tolist()}
        about["boundary"] = groups
    elif isinstance(domain, PointCloud):
        about |= {"points": domain.x.tolist(), "weights": domain.weight.tolist()}
        about["boundary"] = {
            name: [at.tolist(), normal.tolist(), weight.tolist()]
            for name, at, weight, normal in domain.pieces
        }
    elif isinstance(domain, ImplicitDomain):
        about |= {"function": _field(domain), "sides": [list(side) for side in domain.sides]}
    return about


def from_document(about: Mapping[str, Any]) -> AbstractDomain:
    """Return the domain that :func:`to_document` described, or a box of earlier versions."""
    if "kind" not in about:
        return Box(**{name: tuple(side) for name, side in about.items()})
    kind, label = about["kind"], about["label"]
    found = _made(kind, about)
    return found if label is None else found.named(label)


def _made(kind: str, about: Mapping[str, Any]) -> AbstractDomain:
    if kind in ("Combined", "Product"):
        left, right = from_document(about["left"]), from_document(about["right"])
        if kind == "Product":
            return Product(left.names + right.names, None, left, right)
        return Combined(left.names, None, left, right, about["operation"])
    names = about["names"] if about["stated"] else None
    if kind == "Box":
        sides = [tuple(side) for side in about["sides"]]
        return Box(*sides) if names is None else Box(**dict(zip(names, sides, strict=True)))
    if kind in ("Ball", "Disk"):
        made = Disk if kind == "Disk" else Ball
        return made(about["center"], about["radius"], names=names)
    if kind == "Polygon":
        return Polygon(about["corners"], about["holes"], sides=about["sides"], names=names)
    if kind == "Mesh":
        points, cells = np.array(about["points"]), np.array(about["cells"])
        return Mesh(points, cells, boundary=about["boundary"], names=names)
    if kind == "PointCloud":
        arrays = np.array(about["points"]), np.array(about["weights"])
        return PointCloud(*arrays, boundary=about["boundary"], names=names)
    box = {name: tuple(side) for name, side in zip(about["names"], about["sides"], strict=True)}
    return ImplicitDomain(_of_field(about["function"]), **box)


def _field(domain: ImplicitDomain) -> Any:
    def written(field: Any) -> Any:
        if not isinstance(field, Field):
            return field
        if field.kind == "function":
            raise ValueError(
                f"Fitted.save: {domain!r} is made of a function, which no file holds. Write it as "
                "an expression in the coordinates, such as x**2 + y**2 - 1."
            )
        return {"kind": field.kind, "arguments": [written(a) for a in field.arguments]}

    return written(domain.function)


def _of_field(about: Any) -> Any:
    if not isinstance(about, Mapping):
        return about
    return Field(about["kind"], tuple(_of_field(a) for a in about["arguments"]))

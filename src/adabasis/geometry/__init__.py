"""Where things are: domains, points with weights, samplers, functions of the coordinates."""

from .boxes import Box
from .clouds import PointCloud
from .domains import AbstractDomain
from .fields import Field, coordinates
from .mesh import Mesh
from .pieces import Boundaries, Piece
from .points import (
    AbstractSampler,
    AffineMap,
    Cartesian,
    Gauss,
    Points,
    Sobol,
    bounding_box,
    tensor_grid,
    unit_box,
)
from .polygons import Polygon
from .shapes import Ball, Disk, ImplicitDomain

__all__ = [
    "AbstractDomain",
    "AbstractSampler",
    "AffineMap",
    "Ball",
    "Boundaries",
    "Box",
    "Cartesian",
    "Disk",
    "Field",
    "Gauss",
    "ImplicitDomain",
    "Mesh",
    "Piece",
    "PointCloud",
    "Points",
    "Polygon",
    "Sobol",
    "bounding_box",
    "coordinates",
    "tensor_grid",
    "unit_box",
]

"""Where things are: domains, points with weights, samplers, functions of the coordinates."""

from .boxes import (
    AbstractSampler,
    AffineMap,
    Box,
    Cartesian,
    Gauss,
    Points,
    Sobol,
    bounding_box,
    tensor_grid,
    unit_box,
)
from .fields import Field, coordinates

__all__ = [
    "AbstractSampler",
    "AffineMap",
    "Box",
    "Cartesian",
    "Field",
    "Gauss",
    "Points",
    "Sobol",
    "bounding_box",
    "coordinates",
    "tensor_grid",
    "unit_box",
]

"""Where things are: domains, points with weights, samplers, functions of the coordinates."""

from .domains import AffineMap, Box, bounding_box, unit_box
from .fields import Field, coordinates
from .points import Points, tensor_grid
from .samplers import AbstractSampler, Cartesian, Gauss, Sobol

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

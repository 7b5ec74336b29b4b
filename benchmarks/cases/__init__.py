"""The cases; importing this package registers them."""

from . import (
    classes,
    designs,
    directions,
    growth,
    growth_curves,
    growth_tolerance,
    pde,
    pieces,
    prediction,
    robust,
    sine,
    steam,
    step_ratio,
    tables,
    training,
    uncertainty_compare,
)

__all__ = [
    "classes",
    "designs",
    "directions",
    "growth",
    "growth_curves",
    "growth_tolerance",
    "pde",
    "pieces",
    "prediction",
    "robust",
    "sine",
    "steam",
    "step_ratio",
    "tables",
    "training",
    "uncertainty_compare",
]

"""The cases; importing this package registers them."""

from . import classes, directions, pde, pieces, sine, steam, step_ratio, tables, training

__all__ = [
    "classes",
    "directions",
    "pde",
    "pieces",
    "sine",
    "steam",
    "step_ratio",
    "tables",
    "training",
]

"""Figures of fitted functions and of how they were fitted.

Every function returns a :class:`matplotlib.figure.Figure` that belongs to no window and leaves
pyplot's state alone; ``figure.savefig(path)`` writes it.
"""

from .bases import basis_functions, singular_values
from .classes import calibration, confusion, cross_entropies, regions
from .equations import convergence, residual_map
from .functions import error_map, fitted
from .importance import importance
from .partitions import partitions
from .records import candidates, histories, history, parity, residuals
from .style import names_of

__all__ = [
    "basis_functions",
    "calibration",
    "candidates",
    "confusion",
    "convergence",
    "cross_entropies",
    "error_map",
    "fitted",
    "histories",
    "history",
    "importance",
    "names_of",
    "parity",
    "partitions",
    "regions",
    "residual_map",
    "residuals",
    "singular_values",
]

"""Least squares by row reduction."""

from .reduce import Reduction, combine, over_diagonal, reduce, triangularize, with_ridge
from .solve import RCOND, Factorization, Solution, average, factorize, solve
from .status import Status

__all__ = [
    "RCOND",
    "Factorization",
    "Reduction",
    "Solution",
    "Status",
    "average",
    "combine",
    "factorize",
    "over_diagonal",
    "reduce",
    "solve",
    "triangularize",
    "with_ridge",
]

"""Least squares by row reduction."""

from .reduce import Reduction, combine, reduce, triangularize, with_ridge
from .solve import Factorization, Solution, factorize, solve
from .status import Status

__all__ = [
    "Factorization",
    "Reduction",
    "Solution",
    "Status",
    "combine",
    "factorize",
    "reduce",
    "solve",
    "triangularize",
    "with_ridge",
]

"""Least squares by row reduction: one reduction, one column scaling, one solve."""

from .factorize import (
    RCOND,
    Factorization,
    OrthonormalFactor,
    column_norms,
    factorize,
    factorize_full_rank,
    orthonormalize,
)
from .reduce import (
    Fold,
    Reduction,
    combine,
    over_diagonal,
    reduce,
    triangularize,
    with_ridge,
)
from .solve import (
    Solution,
    Status,
    average,
    solve,
    solve_normal,
    unit_columns,
)

__all__ = [
    "RCOND",
    "Factorization",
    "Fold",
    "OrthonormalFactor",
    "Reduction",
    "Solution",
    "Status",
    "average",
    "column_norms",
    "combine",
    "factorize",
    "factorize_full_rank",
    "orthonormalize",
    "over_diagonal",
    "reduce",
    "solve",
    "solve_normal",
    "triangularize",
    "unit_columns",
    "with_ridge",
]

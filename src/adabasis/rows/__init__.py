"""From (operator, basis, points, data, weight) to rows of a weighted least-squares problem."""

from .terms import (
    AbstractTerm,
    CoupledTerm,
    Rows,
    Term,
    TieTerm,
    assemble,
    design,
    evaluate,
    jacobian,
    predictions,
    targets,
    tied,
)

__all__ = [
    "AbstractTerm",
    "CoupledTerm",
    "Rows",
    "Term",
    "TieTerm",
    "assemble",
    "design",
    "evaluate",
    "jacobian",
    "predictions",
    "targets",
    "tied",
]

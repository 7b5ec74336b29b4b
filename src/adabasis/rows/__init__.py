"""Sources of data, and from (operator, basis, points, data, weight) to weighted rows."""

from .sources import AbstractPart, AbstractSource, ArraySource, Chunk, Statistics
from .terms import (
    AbstractTerm,
    CoupledTerm,
    Rows,
    Term,
    TieTerm,
    assemble,
    design,
    evaluate,
    images_of,
    jacobian,
    predictions,
    spots,
    targets,
    tied,
)

__all__ = [
    "AbstractPart",
    "AbstractSource",
    "AbstractTerm",
    "ArraySource",
    "Chunk",
    "CoupledTerm",
    "Rows",
    "Statistics",
    "Term",
    "TieTerm",
    "assemble",
    "design",
    "evaluate",
    "images_of",
    "jacobian",
    "predictions",
    "spots",
    "targets",
    "tied",
]

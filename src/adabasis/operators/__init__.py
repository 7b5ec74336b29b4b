"""Linear operators on one-point functions, as an algebra.

An operator takes a function u of one point x: (D,) and returns the function Lu of one point.
Applied to a basis (a vector-valued function), it gives all columns of the design matrix at once.
Operators add, scale by numbers and by functions of x, and compose with ``@``::

    Partial("t") + a * Partial("x") - 0.1 * Laplacian("x", "y")
"""

from .base import (
    AbstractOperator,
    Composed,
    Identity,
    Linearised,
    Scaled,
    Shifted,
    Sum,
    UserOperator,
)
from .derivatives import Biharmonic, Directional, Laplacian, NormalDerivative, Partial

__all__ = [
    "AbstractOperator",
    "Biharmonic",
    "Composed",
    "Directional",
    "Identity",
    "Laplacian",
    "Linearised",
    "NormalDerivative",
    "Partial",
    "Scaled",
    "Shifted",
    "Sum",
    "UserOperator",
]

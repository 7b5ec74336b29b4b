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
    Scaled,
    Shifted,
    Sum,
    UserOperator,
)
from .derivatives import Biharmonic, Directional, Laplacian, NormalDerivative, Partial
from .expressions import Equation, Expression, unknowns
from .several import Component, Coupled, Joint, Known, Linearised, Pointwise

__all__ = [
    "AbstractOperator",
    "Biharmonic",
    "Component",
    "Composed",
    "Coupled",
    "Directional",
    "Equation",
    "Expression",
    "Identity",
    "Joint",
    "Known",
    "Laplacian",
    "Linearised",
    "NormalDerivative",
    "Partial",
    "Pointwise",
    "Scaled",
    "Shifted",
    "Sum",
    "UserOperator",
    "unknowns",
]

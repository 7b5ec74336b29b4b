"""Differential equations: state the problem, get a solution with a certificate."""

from ..geometry.fields import coordinates, normal
from ..operators.expressions import Equation, Expression, unknowns
from ..operators.integrals import Integral
from . import catalog
from .certificate import Certificate
from .check import Check
from .conditions import Condition, Dirichlet, Initial, MeanValue, Neumann, Periodic, Robin
from .observations import Observe
from .problem import LinearProblem, Problem
from .regions import Interface, piecewise
from .solution import Solution

__all__ = [
    "Certificate",
    "Check",
    "Condition",
    "Dirichlet",
    "Equation",
    "Expression",
    "Initial",
    "Integral",
    "Interface",
    "LinearProblem",
    "MeanValue",
    "Neumann",
    "Observe",
    "Periodic",
    "Problem",
    "Robin",
    "Solution",
    "catalog",
    "coordinates",
    "normal",
    "piecewise",
    "unknowns",
]

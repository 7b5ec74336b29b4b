"""Linear differential equations: state the problem, get a solution with a certificate."""

from ..geometry.fields import coordinates
from . import catalog
from .certificate import Certificate
from .check import Check
from .conditions import Condition, Dirichlet, Initial, Neumann, Observe, Periodic, Robin
from .problem import LinearProblem
from .solution import Solution

__all__ = [
    "Certificate",
    "Check",
    "Condition",
    "Dirichlet",
    "Initial",
    "LinearProblem",
    "Neumann",
    "Observe",
    "Periodic",
    "Robin",
    "Solution",
    "catalog",
    "coordinates",
]

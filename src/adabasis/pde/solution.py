"""The solution of a problem: a fitted function that knows its equation and its certificate."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import numpy as np

from ..models.fitted import Fitted
from ..operators import AbstractOperator
from .again import resolved
from .certificate import Certificate
from .problem import LinearProblem
from .search import Trial

if TYPE_CHECKING:
    from .study import Study


@dataclasses.dataclass(frozen=True, eq=False, repr=False)
class Solution(Fitted):
    """u with L[u] = f: evaluate it, apply any operator to it, read its certificate.

    Attributes
    ----------
    problem : LinearProblem
    certificate : Certificate
    trial : Trial
        What was solved: rows, weight, coefficients in the unit of u.
    trials : tuple of Trial
        All that was tried, best first.

    See Also
    --------
    adabasis.Fitted : the attributes and methods every fitted function has.
    """

    problem: LinearProblem = None  # type: ignore[assignment]
    certificate: Certificate = None  # type: ignore[assignment]
    trial: Trial = None  # type: ignore[assignment]
    trials: tuple[Trial, ...] = ()

    def apply(self, operator: AbstractOperator, X: Any) -> np.ndarray:
        """Evaluate L[u] at N points, coordinates by name or number, in the user's units."""
        return super().apply(operator.bind(self.problem.domain.names), X)

    def residual(self, X: Any) -> np.ndarray:
        """Evaluate L[u] − f at N points, in the user's units: (N,)."""
        x = self._inputs(X, "Solution.residual(X)")
        from ..geometry.fields import evaluate

        source = evaluate(self.problem.source, self.problem.domain.names, x)
        return super().apply(self.problem.operator, x) - source

    def error(self, X: Any = None) -> float:
        """Return the relative l2 error against the exact solution, where that is known.

        Parameters
        ----------
        X : array-like, shape (N, D), optional
            By default 4,096 random points.
        """
        if X is None:
            lower, upper = self.problem.domain.bounds.T
            X = np.random.default_rng(1).uniform(lower, upper, (4096, len(lower)))
        exact = self.problem.exact_values(np.asarray(X, dtype=float))
        return float(np.linalg.norm(self(X) - exact) / np.linalg.norm(exact))

    def resolve(self, problems: Iterable[LinearProblem]) -> list[Solution]:
        """Solve the same equation for other sources and values of conditions.

        The rows are factored once, those of the runner-up too; every further right-hand side costs
        products with the orthonormal factors. Of the two answers that of the smaller residuals on
        fresh points is returned: its certificate has its own residuals, violations and error
        estimate, and the stability of this one.

        Parameters
        ----------
        problems : iterable of LinearProblem
            As made by :meth:`LinearProblem.with_data`: same domain, operator, places.

        Returns
        -------
        list of Solution

        Raises
        ------
        ValueError
            If domains, operators, places or weights differ, or the equation is not linear.
        """
        return resolved(self, list(problems))

    def convergence_study(self, widths: Iterable[int] | None = None) -> Study:
        """Solve at several widths: a table, the fitted order, a figure.

        Parameters
        ----------
        widths : iterable of int, optional
            Numbers of functions; by default halvings of this solution's.
        """
        from .study import convergence

        return convergence(self, widths)

    def plot(self, ax: Any = None) -> Any:
        """Draw u; see :func:`adabasis.plots.fitted`."""
        return super().plot(ax)

    def report(self, path: str | os.PathLike[str], X: Any = None, y: Any = None) -> None:
        """Write an HTML page: the certificate, u, its residual, what was tried."""
        super().report(path, X, y)

    def to_vtk(self, path: str | os.PathLike[str], per_side: int = 65) -> None:
        """Write u and its residual on a grid for ParaView and its like (needs meshio).

        Parameters
        ----------
        path : path
            The suffix chooses the format: ``.vtk``, ``.vtu``, ``.xdmf``.
        per_side : int

        Raises
        ------
        ImportError
            If meshio is not installed.
        ValueError
            For more than three coordinates, or a suffix that names no format.
        """
        from .export import write_grid

        write_grid(self, path, per_side)

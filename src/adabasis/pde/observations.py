"""Measurements, exact or with noise: what holds besides the equations at points of the user's."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import Any

import numpy as np

from ..geometry.fields import evaluate
from ..geometry.points import Points
from ..operators import Equation, Expression, Identity
from ..operators.expressions import as_expression
from .conditions import AbstractCondition, Problem, stated
from .constraints import Constraint

#: What ``Observe(noise=…)`` is where the noise is to be found.
ESTIMATE = "estimate"
#: Observations from which their noise is found: of fewer, one is all there is to tell it from.
FEWEST_TO_ESTIMATE = 5


@dataclasses.dataclass(frozen=True, eq=False)
class Observe(AbstractCondition):
    """Measurements: L[u](X) = y (data fusion, equation 5 of the slides).

    Parameters
    ----------
    X : array-like, shape (N, D)
        Where it was measured.
    y : array-like, shape (N,)
        What was measured there.
    operator : AbstractOperator or Expression
        What was measured; by default u itself. An expression may be of several unknowns.
    weight : float, optional
        ε of their mean square, where they have no noise.
    noise : float, array-like of shape (N,), "estimate" or None
        The standard deviation of their errors, in the units of y: the equation and exact conditions
        are kept then, what they leave free is weighed against the noise, and the solution knows its
        standard deviation (``predict(X, return_std=True)``). ``"estimate"`` finds it, set by set.
        ``None``: the values count as exact, like those of any condition.
    of : unknown, optional
        What the operator is applied to; may be left out where the problem has one unknown.

    Raises
    ------
    ValueError
        When a problem is made of it: for other shapes, values that are not finite, points outside
        the domain, or noise that is not positive.
    """

    X: Any
    y: Any
    operator: Any = dataclasses.field(default_factory=Identity)
    weight: float | None = None
    noise: Any = None
    of: Any = None

    def constraints(self, problem: Problem) -> Iterator[Constraint]:
        """Yield the one equation, at the points given."""
        x, y = np.asarray(self.X, dtype=float), np.asarray(self.y)
        y = y if np.iscomplexobj(y) else y.astype(float)
        if x.ndim != 2 or x.shape[1] != problem.domain.n_inputs or y.shape != (len(x),):
            raise ValueError(
                f"Observe(X, y): expected shapes (N, {problem.domain.n_inputs}) and (N,), got "
                f"{x.shape} and {y.shape}."
            )
        if not len(x) or not (np.isfinite(x).all() and np.isfinite(y).all()):
            raise ValueError("Observe(X, y): expected at least one row, and finite numbers only.")
        outside = np.flatnonzero(~problem.domain.contains(x))
        if len(outside):
            raise ValueError(
                f"Observe(X, y): row {outside[0]} ({x[outside[0]]}) and {len(outside) - 1} others "
                f"lie outside {problem.domain!r}."
            )
        points, noise = Points(x, np.full(len(x), 1 / len(x))), self._noise(len(x))
        if isinstance(self.operator, Expression):
            name, left = repr(self.operator), self.operator
        else:
            ((name, one),) = stated("Observe", problem, self.operator, 0.0, self.of)
            left = one.left
        about = f"Observed {name}" if name and len(problem.unknowns) > 1 else "Observed"
        rows = problem.rows("Observe(…)", Equation(left, as_expression(0.0)))
        parts = {"": y, "real": y.real, "imaginary": y.imag}
        if np.iscomplexobj(y) and not rows[0].part:
            raise ValueError(
                "Observe(X, y): y is complex and what was observed is real. Make the unknown "
                "complex: pde.unknowns('u', dtype=complex)."
            )
        for row in rows:
            known = evaluate(row.data, problem.domain.names, x)
            label = f"{about} ({row.part} part)" if row.part else about
            data = parts[row.part] + known
            yield Constraint(label, row.operator, data, self.weight, at=points, noise=noise)

    def _noise(self, n_rows: int) -> Any:
        """Return the noise, checked."""
        found: Any
        if self.noise is None or (isinstance(self.noise, str) and self.noise == ESTIMATE):
            found = self.noise
        else:
            found = _deviations(self.noise, n_rows)
        if isinstance(found, str) and n_rows < FEWEST_TO_ESTIMATE:
            raise ValueError(
                f"Observe(X, y, noise='estimate'): {n_rows} observations do not tell how far they "
                f"are off; it takes {FEWEST_TO_ESTIMATE}. Give the noise as a number."
            )
        if found is not None and self.weight is not None:
            raise ValueError(
                f"Observe(weight={self.weight!r}, noise={self.noise!r}): the noise says how much "
                "the values count. Leave the weight out."
            )
        return found


def _deviations(noise: Any, n_rows: int) -> np.ndarray:
    """Return standard deviations, one or one for each row."""
    what = f"a positive number, {n_rows} of them (one for each row), 'estimate' or None"
    try:
        found = np.asarray(noise, dtype=float)
    except (TypeError, ValueError):
        raise ValueError(f"Observe(noise={noise!r}): expected {what}.") from None
    if isinstance(noise, bool | str) or found.shape not in ((), (n_rows,)):
        raise ValueError(
            f"Observe(noise): expected {what}, got "
            + (f"shape {found.shape}." if found.ndim else f"{noise!r}.")
        )
    if not (np.isfinite(found).all() and (found > 0).all()):
        worst = float(found[~(np.isfinite(found) & (found > 0))].flat[0])
        raise ValueError(
            f"Observe(noise): expected {what}, got {worst:g}. Values without errors are given "
            "without noise."
        )
    return found

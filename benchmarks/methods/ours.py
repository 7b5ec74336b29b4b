"""adabasis: the front doors by default, and the trainers of the papers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from adabasis import AdaptiveBasisRegressor, Fitted
from adabasis.regression.api import fit as fit_data

from ..fitting import Method, Outcome, Problem


def fitted_outcome(fitted: Fitted) -> Outcome:
    """Return what the harness wants to know of a fit."""
    steps = max(0, len(fitted.history) - 1)
    return Outcome(fitted, steps, fitted.stop_reason.name.lower())


def by_fit(name: str, basis: Any = None, **options: Any) -> Method:
    """Return ``adabasis.fit`` as a method; the repeat is the seed."""

    def fit(problem: Problem, seed: int) -> Outcome:
        fitted = fit_data(problem.x, problem.y, basis, random_state=seed, **options)
        return fitted_outcome(fitted)

    return Method(name, fit)


def by_regressor(
    name: str, make: Callable[..., AdaptiveBasisRegressor] = AdaptiveBasisRegressor
) -> Method:
    """Return the scikit-learn estimator as a method."""

    def fit(problem: Problem, seed: int) -> Outcome:
        return fitted_outcome(make(random_state=seed).fit(problem.x, problem.y).fitted_)

    return Method(name, fit)


DEFAULT = by_regressor("adabasis")
"""``AdaptiveBasisRegressor()``: nothing is tuned."""

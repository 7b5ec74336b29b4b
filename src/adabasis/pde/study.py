"""How the error falls with the number of functions."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import numpy as np

from .._runtime.scope import numerics
from ..basis import FrozenFeatures

if TYPE_CHECKING:
    from .solution import Solution


@dataclasses.dataclass(frozen=True)
class Study:
    """Errors at several widths; ``print`` it for a table.

    Attributes
    ----------
    widths : array of int, shape (K,)
    errors : array, shape (K,)
        Relative l2 errors.
    residuals : array, shape (K,)
        Relative residuals on fresh points.
    seconds : array, shape (K,)
    against : str
        What the errors are measured against: the exact solution, or the finest one.
    """

    widths: np.ndarray
    errors: np.ndarray
    residuals: np.ndarray
    seconds: np.ndarray
    against: str

    @property
    def order(self) -> float:
        """The slope r of error ~ width^−r, fitted over all widths with an error."""
        used = self.errors > 0
        if used.sum() < 2:
            return float("nan")
        return -float(np.polyfit(np.log(self.widths[used]), np.log(self.errors[used]), 1)[0])

    def __str__(self) -> str:
        head = f"{'functions':>10} {'error':>10} {'residual':>10} {'seconds':>8}"
        lines = [
            f"{w:>10,} {e:>10.1e} {r:>10.1e} {s:>8.2f}"
            for w, e, r, s in zip(
                self.widths, self.errors, self.residuals, self.seconds, strict=True
            )
        ]
        last = f"error ~ functions^-{self.order:.1f}, against {self.against}"
        return "\n".join([head, *lines, last])

    def plot(self) -> Any:
        """Draw errors and residuals against width; returns a Figure."""
        from ..plots import convergence

        return convergence(self)


def convergence(solution: Solution, widths: Iterable[int] | None) -> Study:
    """Solve on other widths of the solution's frozen functions.

    Raises
    ------
    ValueError
        If the solution's functions are not frozen ones, or no width is left.
    """
    from .search import FrozenSearch
    from .solving import solved_on

    inner: Any = solution.basis
    if not isinstance(inner, FrozenFeatures):
        raise ValueError(
            f"convergence_study: expected frozen functions, this solution has {inner!r}. Use "
            "solve(problem, FrozenFeatures(512)).convergence_study()."
        )
    own = inner.width
    wanted = sorted(set(widths or (max(8, own // 2**k) for k in range(5))))
    if any(w < 1 for w in wanted):
        raise ValueError(f"convergence_study(widths={wanted}): at least 1 each.")
    with numerics():
        search = FrozenSearch.like(solution)
        trials = [search.add(inner.replace(width=w), solution.trial.weight, f"{w}") for w in wanted]
        found = [solved_on(search, trial) for trial in trials]
    problem = solution.problem
    lower, upper = problem.domain.bounds.T
    x = np.random.default_rng(1).uniform(lower, upper, (4096, len(lower)))
    if problem.exact is not None:
        reference, against = problem.exact_values(x), "the exact solution"
    else:
        reference, against = solution(x), "this solution"
    size = np.linalg.norm(reference)
    errors = [float(np.linalg.norm(u(x) - reference) / size) for u in found]
    return Study(
        np.array(wanted),
        np.array(errors),
        np.array([t.score for t in trials]),
        np.array([t.seconds for t in trials]),
        against,
    )

"""A tolerance on unseen points: smooth functions that meet it, and others that cannot."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Sequence

import numpy as np

from ..fitting import Problem, compare
from ..methods.alone import alone
from ..records import Bar, Measurement, Promise, Row
from ..registry import Settings, case
from .growth import OURS, drawn, once

TOL, BUDGET, ROWS = 1e-8, 60.0, 2000
#: Wall-clock seconds with imports, which are not of the budget.
MOST_SECONDS = BUDGET + 5.0
Function = Callable[[np.ndarray], np.ndarray]
#: Smooth functions and their numbers of inputs.
SMOOTH: dict[str, tuple[Function, int]] = {
    "sine": (lambda x: np.sin(7 * x[:, 0]), 1),
    "Runge": (lambda x: 1 / (1 + 25 * x[:, 0] ** 2), 1),
    "bump and wave": (lambda x: np.exp(-2 * x[:, 0] ** 2) * np.cos(3 * x[:, 1]), 2),
    "hyperbola": (lambda x: 1 / (3 + x[:, 0] + x[:, 1]), 2),
    "three inputs": (lambda x: np.exp(x[:, 0] * x[:, 1]) * np.sin(x[:, 2]), 3),
}
#: Functions that do not meet it, their noise, and what is to be said of them.
OTHERS: dict[str, tuple[Function, float, str]] = {
    "|x|": (lambda x: np.abs(x[:, 0]), 0.0, "not_smooth"),
    "step": (lambda x: np.where(x[:, 0] > 0.2, 1.0, 0.0), 0.0, "not_smooth"),
    "noisy sine": (lambda x: np.sin(3 * x[:, 0]), 0.05, "noise"),
}


@dataclasses.dataclass(frozen=True)
class Says:
    """A promise: all runs of a method end with these words."""

    group: str
    method: str
    words: str
    limit: float = 0.0

    @property
    def label(self) -> str:
        """What is counted, in words."""
        return f"says something else than {self.words}"

    def judge(self, rows: Sequence[Row]) -> tuple[float, bool] | None:
        """Return 0 or 1, and whether the promise is kept; None if not measured."""
        for row in rows:
            if (row.group, row.method) == (self.group, self.method):
                wrong = float(row.status != self.words)
                return wrong, not wrong
        return None


def _promises() -> Iterator[Promise]:
    for name in SMOOTH:
        yield Bar(name, OURS, "error", TOL)
    for name, (_, _, words) in OTHERS.items():
        yield Says(name, OURS, words)
        yield Bar(name, OURS, "seconds", MOST_SECONDS)


@case(
    "growth-tolerance",
    "fit_to_tolerance(1e-8): five smooth functions, |x|, a step and noise",
    error="RMSE / standard deviation, unseen points",
    repeats=1,
    reference=OURS,
    bars=tuple(_promises()),
)
def run(settings: Settings) -> Iterator[Measurement]:
    """Fit each function, a draw for each repeat; reduced, the first of both kinds."""
    smooth, others = list(SMOOTH.items()), list(OTHERS.items())
    few = 1 if settings.quick else None
    seeds = range(settings.repeats)
    problems: list[Problem] = []
    for name, (function, d) in smooth[:few]:
        problems += [drawn(name, function, d, ROWS, seed) for seed in seeds]
    for name, (function, noise, _) in others[:few]:
        problems += [drawn(name, function, 1, ROWS, seed, noise) for seed in seeds]
    method = alone(OURS, "tolerance", options={"tol": TOL, "max_seconds": BUDGET})
    yield from compare(problems, [method], once(settings))

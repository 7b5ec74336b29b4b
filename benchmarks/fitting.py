"""Fitting problems, methods that fit them, and the interleaved comparison."""

from __future__ import annotations

import dataclasses
import itertools
import warnings
from collections.abc import Callable, Iterator, Sequence

import numpy as np
from joblib import Parallel, delayed, parallel_config

from .measure import Timing, start_afresh, timed
from .records import Measurement
from .registry import Settings

NO_BETTER_THAN_THE_MEAN = 0.95


@dataclasses.dataclass(frozen=True)
class Problem:
    """Data to fit, and points the fit does not see.

    Attributes
    ----------
    group, name : str
        The problems of one group are summarised in one row.
    x, y : arrays, shapes (N, D) and (N,)
    x_test, y_test : arrays
    scale : float
        What the root mean square error on the test points is divided by.
    """

    group: str
    name: str
    x: np.ndarray
    y: np.ndarray
    x_test: np.ndarray
    y_test: np.ndarray
    scale: float

    def error(self, predicted: np.ndarray) -> float:
        """Return the relative error of predictions for the test points."""
        residual = np.asarray(predicted, dtype=float).reshape(-1) - self.y_test
        return float(np.sqrt(np.mean(residual**2)) / self.scale)

    def useless(self, error: float) -> bool:
        """Whether an error is hardly below that of the mean, or not a number."""
        return not error < NO_BETTER_THAN_THE_MEAN * self.error(np.full(1, self.y_test.mean()))


@dataclasses.dataclass(frozen=True)
class Outcome:
    """What a method made of a problem.

    ``timing`` is for methods that run elsewhere and time themselves.
    """

    predict: Callable[[np.ndarray], np.ndarray]
    steps: int | None = None
    status: str = ""
    timing: Timing | None = None


@dataclasses.dataclass(frozen=True)
class Method:
    """A name, and a function from (problem, seed) to an outcome."""

    name: str
    fit: Callable[[Problem, int], Outcome]


def compare(
    problems: Sequence[Problem], methods: Sequence[Method], settings: Settings
) -> Iterator[Measurement]:
    """Fit every problem by every method, interleaved: A B C, A B C, …

    The repeat's number is the seed of methods that draw something. With several jobs so many
    processes share the fits; each begins by emptying its caches, as in one process.
    """
    runs = [
        (problem, method, repeat)
        for repeat, problem, method in itertools.product(range(settings.repeats), problems, methods)
    ]
    if settings.jobs > 1:
        yield from _at_once(runs, settings)
        return
    for problem, method, repeat in runs:
        settings.doing(f"{problem.name}, repeat {repeat}: {method.name}")
        yield measure(problem, method, repeat)


def _at_once(
    runs: Sequence[tuple[Problem, Method, int]], settings: Settings
) -> Iterator[Measurement]:
    # Processes that start empty: one forked from a process that has computed with JAX may hang.
    with parallel_config("loky", n_jobs=settings.jobs, inner_max_num_threads=1):
        measured = Parallel(return_as="generator")(delayed(measure)(*run) for run in runs)
        for number, done in enumerate(measured, start=1):
            settings.doing(f"{number} of {len(runs)} fits, {settings.jobs} at a time")
            yield done


def measure(problem: Problem, method: Method, repeat: int) -> Measurement:
    """Fit once; a method that fails gets a row that says so."""
    start_afresh()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        timing, outcome, failure = _attempt(problem, method, repeat)
    steps, error = None, float("nan")
    status = failure
    if outcome is not None:
        error, steps = problem.error(outcome.predict(problem.x_test)), outcome.steps
        status = outcome.status or _first_of(caught)
        timing = outcome.timing or timing
        if problem.useless(error):
            status = f"no better than the mean {status}".strip()
    return Measurement(
        problem.group,
        problem.name,
        method.name,
        repeat,
        error,
        timing.seconds,
        timing.compile_seconds,
        timing.cpu_seconds,
        steps,
        status,
    )


def _attempt(problem: Problem, method: Method, repeat: int) -> tuple[Timing, Outcome | None, str]:
    outcome, failure = None, ""
    with timed() as timing:
        try:
            outcome = method.fit(problem, repeat)
        except Exception as error:
            failure = f"failed: {type(error).__name__}: {error}".splitlines()[0]
    return timing, outcome, failure


def _first_of(caught: Sequence[warnings.WarningMessage]) -> str:
    """Return the kind of the first warning about the fit, if any."""
    kinds = [w.category.__name__ for w in caught]
    return next((kind for kind in kinds if "Deprecat" not in kind and "Future" not in kind), "")

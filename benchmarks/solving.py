"""Equations by default settings: what is solved, what is measured of it, what is asked for."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np

from adabasis import pde, solve
from adabasis.operators import Partial

from .measure import timed
from .records import Bar, Measurement
from .registry import Settings, SkippedError

OURS = "adabasis"
SEEN, SEED = 4096, 1


def overall(solution: Any) -> dict[str, float]:
    """Return the relative error, that of the worst unknown."""
    return {OURS: solution.error()}


@dataclasses.dataclass(frozen=True)
class Asked:
    """A problem and its bars.

    Attributes
    ----------
    make : callable
    limits : mapping of str to float
        Bars by what is measured.
    seconds : float
        Of CPU, compilation included.
    measure : callable
        From a solution to numbers by what they are; the first one's row has the times.
    stretch : bool
        Whether the bars are no promise.
    """

    make: Callable[[], pde.Problem]
    limits: Mapping[str, float]
    seconds: float = 30.0
    measure: Callable[[Any], Mapping[str, float]] = overall
    stretch: bool = False


def bars(problems: Mapping[str, Asked]) -> tuple[Bar, ...]:
    """Return the bars of problems by name."""
    found = []
    for name, asked in problems.items():
        each = [(what, "error", limit) for what, limit in asked.limits.items()]
        each.append((next(iter(asked.limits)), "cpu_seconds", asked.seconds))
        found += [Bar(name, what, q, limit, stretch=asked.stretch) for what, q, limit in each]
    return tuple(found)


def measured(problems: Mapping[str, Asked], settings: Settings) -> Iterator[Measurement]:
    """Solve each with default settings."""
    for name, asked in problems.items():
        problem = asked.make()
        settings.doing(name)
        with timed() as timing:
            solution = solve(problem)
        try:
            found = asked.measure(solution)
        except SkippedError as reason:
            settings.note(f"{name}: {reason}")
            continue
        times = timing.seconds, timing.compile_seconds, timing.cpu_seconds
        for what, error in found.items():
            verdict = solution.certificate.verdict if what == next(iter(found)) else ""
            yield Measurement(name, name, what, 0, error, *times, status=verdict)


def by_unknown(solution: Any) -> dict[str, float]:
    """Return the relative error of every unknown."""
    x = np.asarray(solution.problem.domain.interior(SEEN, SEED).x)
    exact = solution.problem.exact_values(x)
    off = np.linalg.norm(solution(x) - exact, axis=0) / np.linalg.norm(exact, axis=0)
    return dict(zip(solution.unknowns, map(float, off), strict=True))


def divergence(solution: Any) -> float:
    """Return ‖∂u/∂x + ∂v/∂y‖ over ‖∇(u, v)‖ at random points."""
    x, d = np.asarray(solution.problem.domain.interior(SEEN, SEED).x), Partial
    of = {(n, s): solution[n].apply(d(s), x) for n in ("u", "v") for s in ("x", "y")}
    total = np.sqrt(sum(np.sum(one**2) for one in of.values()))
    return float(np.linalg.norm(of["u", "x"] + of["v", "y"]) / total)

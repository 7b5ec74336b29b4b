"""Equations on shapes: a plate with four holes, a ball of five dimensions in time.

The plate's reference is a harmonic series (``u_series`` of poisson2d_four_disks.csv in
$ADABASIS_DATA, right to 8e-8); the ball's solution is known.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from adabasis import Ball, Box, Disk, pde, solve
from adabasis.operators import Laplacian, Partial

from ..data import external
from ..measure import timed
from ..records import Bar, Measurement
from ..registry import Settings, SkippedError, case

OURS = "adabasis"
PLATE, BALL = "plate with four holes", "ball of five dimensions, heat"
#: Relative errors that are asked for.
PLATE_BAR, BALL_BAR = 1e-4, 1e-3


def plate() -> pde.LinearProblem:
    """Return Δu = 0 with 1 on a square and 0 on four circles inside it."""
    domain: Any = Box(x=(-0.5, 0.5), y=(-0.5, 0.5))
    circles = [f"circle {i}" for i in range(4)]
    for name, center in zip(
        circles, [(a, b) for a in (-0.3, 0.3) for b in (-0.3, 0.3)], strict=True
    ):
        domain = domain - Disk(center, 0.1).named(name)
    sides = [piece for name, piece in domain.boundaries.items() if name not in circles]
    conditions = [
        pde.Dirichlet(1.0, on=sides),
        pde.Dirichlet(0.0, on=[domain.boundaries[name] for name in circles]),
    ]
    return pde.LinearProblem(domain, Laplacian(), 0.0, conditions, name=PLATE)


def ball() -> pde.LinearProblem:
    """Return u_t = Δu/5 − (r²/5) e^{r²/2+t} in the unit ball of R⁵, with a flux around it."""
    names = [f"x{i + 1}" for i in range(5)]
    domain = Ball((0.0,) * 5, 1.0, names=names).named("rim") * Box(t=(0, 1))
    (t,), square = pde.coordinates("t"), sum(x**2 for x in pde.coordinates(*names))
    exact: Any = np.exp(square / 2 + t)
    conditions = [
        pde.Neumann(exact, on=domain.boundaries["rim"]),
        pde.Initial(np.exp(square / 2), at=(t, 0.0)),
    ]
    operator = Partial("t") - 0.2 * Laplacian(*names)
    return pde.LinearProblem(
        domain, operator, -square / 5 * exact, conditions, exact=exact, name=BALL
    )


@case(
    "shapes",
    "equations on a plate with holes and in a ball of five dimensions",
    error="relative l2 error",
    repeats=1,
    reference=OURS,
    bars=(Bar(PLATE, OURS, "error", PLATE_BAR), Bar(BALL, OURS, "error", BALL_BAR)),
)
def run(settings: Settings) -> Iterator[Measurement]:
    """Solve with default settings."""
    for make in (plate, ball):
        problem = make()
        settings.doing(problem.name)
        with timed() as timing:
            solution = solve(problem)
        try:
            error = _error(solution)
        except SkippedError as reason:
            settings.note(f"{problem.name}: {reason}")
            continue
        times = timing.seconds, timing.compile_seconds, timing.cpu_seconds
        verdict = solution.certificate.verdict
        yield Measurement(problem.name, problem.name, OURS, 0, error, *times, status=verdict)


def _error(solution: Any) -> float:
    if solution.problem.exact is not None:
        return float(solution.error())
    path = external("poisson2d_four_disks.csv")
    table = np.genfromtxt(path, delimiter=",", names=True)
    off = solution(np.stack([table["x"], table["y"]], axis=1)) - table["u_series"]
    return float(np.linalg.norm(off) / np.linalg.norm(table["u_series"]))

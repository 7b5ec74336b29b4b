"""Four problems of the PINNacle benchmark by default settings, DeepXDE and jinns beside them.

Poisson2d-C, Heat2d-MS, PNd and HNd of the public repository (arXiv:2306.08827). Three solutions are
known. That of Poisson2d-C is made here, by functions that are harmonic whatever their coefficients:
by the maximum principle its error is nowhere larger than what it misses on the boundary.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from adabasis import Box, pde, solve
from adabasis.operators import Laplacian

from ..fitting import Method, Outcome, Problem, compare
from ..methods.peers import ADVICE, available, peers
from ..records import Bar, Measurement
from ..registry import Settings, case
from . import large_equations, shapes

OURS, DEEPXDE, JINNS = "adabasis", "DeepXDE, 120 s", "jinns, 120 s"
SEEN = 4096
#: CPU seconds, compilation included.
SECONDS = 60.0
#: Centres and radius of the holes of Poisson2d-C.
CENTERS, RADIUS = [complex(a, b) for a in (-0.3, 0.3) for b in (-0.3, 0.3)], 0.1
#: The highest power of its harmonic polynomials and poles, and that of poles in mirrored holes.
#: They meet the boundary values to 1e-13; 16 poles a hole to 1e-11, 12 to 3e-9.
POWERS, POLES, MIRRORED = 28, 24, 4


def sum_of_sines() -> pde.LinearProblem:
    """Return PNd: −Δu = ¼ π² Σ sin ½πx_i in the unit cube of R⁵."""
    names = [f"x{i + 1}" for i in range(5)]
    exact: Any = sum(np.sin(0.5 * np.pi * x) for x in pde.coordinates(*names))
    domain, source = Box(**dict.fromkeys(names, (0, 1))), 0.25 * np.pi**2 * exact
    return pde.LinearProblem(
        domain, -1.0 * Laplacian(), source, [pde.Dirichlet(exact)], exact=exact, name="PNd"
    )


@dataclasses.dataclass(frozen=True)
class Stated:
    """A problem, and the relative errors that are asked for: the bar, and what would be better."""

    make: Callable[[], pde.LinearProblem]
    bar: float
    stretch: float | None
    by_jinns: bool = False


PROBLEMS = {
    "Poisson2d-C": Stated(shapes.plate, 1e-4, 1e-6),
    "Heat2d-MS": Stated(large_equations.heat, 1e-6, None, by_jinns=True),
    "PNd": Stated(sum_of_sines, 1e-5, 1e-8),
    "HNd": Stated(shapes.ball, 1e-3, 1e-6),
}


def _bars() -> Iterator[Bar]:
    for name, stated in PROBLEMS.items():
        yield Bar(name, OURS, "error", stated.bar)
        if stated.stretch is not None:
            yield Bar(name, OURS, "error", stated.stretch, stretch=True)
        yield Bar(name, OURS, "cpu_seconds", SECONDS)


def _columns(z: np.ndarray) -> np.ndarray:
    """Return harmonic functions at N complex points, (N, K)."""
    parts = [np.ones((len(z), 1))]
    powers = (z[:, None] / abs(complex(0.5, 0.5))) ** np.arange(1, POWERS + 1)
    parts += [powers.real, powers.imag]
    # The square's sides have one value each: the solution goes on behind them with its sign turned,
    # and so do the holes.
    for a in (-1, 0, 1):
        for b in (-1, 0, 1):
            for center in CENTERS:
                turned = complex(a + (-1) ** a * center.real, b + (-1) ** b * center.imag)
                most = POLES if a == b == 0 else MIRRORED
                away = (RADIUS / (z - turned))[:, None] ** np.arange(1, most + 1)
                parts += [away.real, away.imag, np.log(np.abs(z - turned))[:, None]]
    return np.hstack(parts)


def _boundary(per_side: int) -> tuple[np.ndarray, np.ndarray]:
    """Return points on the square and on the circles, denser near corners, and values."""
    nodes = -0.5 * np.cos(np.pi * (np.arange(per_side) + 0.5) / per_side)
    sides = [nodes - 0.5j, nodes + 0.5j, -0.5 + 1j * nodes, 0.5 + 1j * nodes]
    around = RADIUS * np.exp(2j * np.pi * np.arange(per_side) / per_side)
    circles = [center + around for center in CENTERS]
    values = np.repeat([1.0, 0.0], 4 * per_side)
    return np.concatenate(sides + circles), values


@functools.cache
def four_holes() -> tuple[Callable[[np.ndarray], np.ndarray], float]:
    """Return the solution of Poisson2d-C at N points (N, 2), and a bound of its error.

    The bound is the largest violation on a boundary grid that was not used.
    """
    z, values = _boundary(240)
    coefficients, *_ = np.linalg.lstsq(_columns(z), values, rcond=1e-14)
    other, wanted = _boundary(1111)
    bound = np.max(np.abs(_columns(other) @ coefficients - wanted))
    return lambda x: _columns(x[:, 0] + 1j * x[:, 1]) @ coefficients, float(bound)


def problem(name: str) -> Problem:
    """Return unseen points with the solution; solvers see the equation only."""
    made = PROBLEMS[name].make()
    x = np.asarray(made.domain.interior(SEEN, 1).x)
    y = made.exact_values(x) if made.exact is not None else four_holes()[0](x)
    return Problem(name, name, x[:0], y[:0], x, y, float(np.sqrt(np.mean(y**2))))


def by_default(asked: Problem, seed: int) -> Outcome:
    """Solve by default settings; the certificate's words are the status."""
    solution = solve(PROBLEMS[asked.name].make(), random_state=seed)
    return Outcome(solution, len(solution.candidates), solution.certificate.verdict)


def _absent(name: str, method: str, status: str) -> Measurement:
    nan = float("nan")
    return Measurement(name, name, method, 0, nan, nan, nan, nan, status=status)


@case(
    "pinnacle",
    "problems of PINNacle by default settings, DeepXDE and jinns with 120 s of CPU",
    error="relative l2 error on 4,096 unseen points",
    repeats=1,
    reference=OURS,
    bars=tuple(_bars()),
)
def run(settings: Settings) -> Iterator[Measurement]:
    """Solve every problem by every method that can state it; reduced, one, by ours alone."""
    names = ["PNd"] if settings.quick else list(PROBLEMS)
    if not settings.quick:
        settings.note(f"the reference of Poisson2d-C is right to {four_holes()[1]:.0e} everywhere")
    theirs = {} if settings.quick else {m.name: m for m in peers(settings, DEEPXDE, JINNS)}
    for name in names:
        asked, methods, absent = problem(name), [Method(OURS, by_default)], []
        for method in () if settings.quick else (DEEPXDE, JINNS):
            if method == JINNS and not PROBLEMS[name].by_jinns:
                absent.append(_absent(name, method, "cannot state it: no sides of this domain"))
            elif method in theirs:
                methods.append(theirs[method])
            elif method not in available():
                absent.append(_absent(name, method, f"not installed: {ADVICE}"))
        yield from compare([asked], methods, settings)
        yield from absent

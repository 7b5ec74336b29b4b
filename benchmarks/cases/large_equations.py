"""Equations whose solutions turn over many times: cells beside functions of the whole domain."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator

import numpy as np

from adabasis import Box, pde, solve
from adabasis.basis import FrozenFeatures
from adabasis.operators import Identity, Laplacian, Partial

from ..measure import timed
from ..records import Bar, Measurement
from ..registry import Settings, case

CELLS, DENSE = "adabasis, cells", "adabasis, one set of functions"
SQUARE, pi = Box(x=(0, 1), y=(0, 1)), np.pi
x, y, z, t = pde.coordinates("x", "y", "z", "t")


def membrane(k: int = 16) -> pde.LinearProblem:
    """Return −Δu = f for u = sin kπx sin kπy."""
    exact = np.sin(k * pi * x) * np.sin(k * pi * y)
    source = 2 * (k * pi) ** 2 * exact
    conditions = [pde.Dirichlet(0.0)]
    return pde.LinearProblem(SQUARE, -1.0 * Laplacian(), source, conditions, exact=exact)


def wave(k: float) -> pde.LinearProblem:
    """Return Δu + k²u = 0 for a plane wave at an angle that no grid favours."""
    exact = np.cos(k * (math.cos(0.6435) * x + math.sin(0.6435) * y) + 0.3)
    operator = Laplacian() + k**2 * Identity()
    return pde.LinearProblem(SQUARE, operator, 0.0, [pde.Dirichlet(exact)], exact=exact)


def lens(k: float = 60.0) -> pde.LinearProblem:
    """Return Δu + k²(1 + ¼ sin πx sin πy) u = f for a wave under an envelope."""
    index = 1 + 0.25 * np.sin(pi * x) * np.sin(pi * y)
    phase, envelope = k * (0.6 * x + 0.8 * y), 1 + x * y
    exact = envelope * np.cos(phase)
    # Δ(e cos φ) = (Δe − k² e) cos φ − 2 ∇e·∇φ sin φ, and e = 1 + xy is harmonic.
    across = 2 * k * (0.6 * y + 0.8 * x)
    source = k**2 * (index - 1) * exact - across * np.sin(phase)
    operator = Laplacian() + (k**2 * index) * Identity()
    return pde.LinearProblem(SQUARE, operator, source, [pde.Dirichlet(exact)], exact=exact)


def cube(k: int = 3) -> pde.LinearProblem:
    """Return −Δu = f in three coordinates for a product of sines."""
    exact = np.sin(k * pi * x) * np.sin(k * pi * y) * np.sin(k * pi * z)
    domain, source = Box(x=(0, 1), y=(0, 1), z=(0, 1)), 3 * (k * pi) ** 2 * exact
    conditions = [pde.Dirichlet(0.0)]
    return pde.LinearProblem(domain, -1.0 * Laplacian(), source, conditions, exact=exact)


def heat() -> pde.LinearProblem:
    """Return Heat2d-MS of PINNacle: twenty half-waves along x, one along y."""
    start = np.sin(20 * pi * x) * np.sin(pi * y)
    operator = Partial(t) - (1 / (500 * pi) ** 2) * Partial(x, 2) - (1 / pi**2) * Partial(y, 2)
    exact = start * np.exp(-((20 / 500) ** 2 + 1) * t)
    return pde.LinearProblem(
        Box(x=(0, 1), y=(0, 1), t=(0, 5)),
        operator,
        0.0,
        [pde.Dirichlet(0.0, on=[x, y]), pde.Initial(start, at=(t, 0.0))],
        exact=exact,
    )


#: What is solved, the relative error and the CPU seconds that are asked for.
PROBLEMS: dict[str, tuple[Callable[[], pde.LinearProblem], float, float]] = {
    "membrane, 16 half-waves": (membrane, 1e-7, 20.0),
    "wave, k = 60": (lambda: wave(60.0), 1e-6, 8.0),
    "wave, k = 100": (lambda: wave(100.0), 1e-6, 20.0),
    "wave, k = 200": (lambda: wave(200.0), 1e-6, 90.0),
    "wave in a lens, k = 60": (lens, 1e-4, 20.0),
    "cube, 3 half-waves": (cube, 1e-5, 60.0),
    "heat, 20 half-waves": (heat, 1e-6, 60.0),
}
#: Functions of the whole domain that are solved beside them.
WIDTH = 2000


@case(
    "large-equations",
    "many turns: polynomials on cells beside functions of the whole domain",
    error="relative l2 error",
    repeats=1,
    reference=CELLS,
    bars=tuple(
        bar
        for name, (_, error, seconds) in PROBLEMS.items()
        for bar in (Bar(name, CELLS, "error", error), Bar(name, CELLS, "cpu_seconds", seconds))
    ),
)
def run(settings: Settings) -> Iterator[Measurement]:
    """Solve with default settings, and on one set of functions."""
    for name, (make, _, _) in PROBLEMS.items():
        for method in (CELLS, DENSE):
            settings.doing(f"{name}, {method}")
            basis = FrozenFeatures(WIDTH) if method == DENSE else None
            with timed() as timing:
                solution = solve(make(), basis, method="frozen" if basis else "auto")
            times = timing.seconds, timing.compile_seconds, timing.cpu_seconds
            verdict = solution.certificate.verdict
            yield Measurement(name, name, method, 0, solution.error(), *times, status=verdict)

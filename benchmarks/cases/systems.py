"""Several unknowns: Stokes flow, elasticity, predators and prey, a complex wave.

Solutions are known, that of predators and prey by Dormand and Prince's method at 1e-13.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from adabasis import Box, pde, solve
from adabasis.operators import Laplacian, NormalDerivative, Partial

from ..measure import timed
from ..records import Bar, Measurement
from ..registry import Settings, case

OURS = "adabasis"
SQUARE, pi = Box(x=(0, 1), y=(0, 1)), np.pi
x, y, t = pde.coordinates("x", "y", "t")
d, laplacian = Partial, Laplacian()


def stokes() -> pde.Problem:
    """Return −Δ(u, v) + ∇p = f, div (u, v) = 0 for the stream function sin² πx sin² πy."""
    u, v, p = pde.unknowns("u", "v", "p")
    first = pi * np.sin(pi * x) ** 2 * np.sin(2 * pi * y)
    second = -pi * np.sin(2 * pi * x) * np.sin(pi * y) ** 2
    pressure = np.sin(pi * x) * np.cos(pi * y)
    bent = 2 * pi**2 * np.cos(2 * pi * x) - 4 * pi**2 * np.sin(pi * x) ** 2
    force = -pi * bent * np.sin(2 * pi * y) + pi * np.cos(pi * x) * np.cos(pi * y)
    turned = 2 * pi**2 * np.cos(2 * pi * y) - 4 * pi**2 * np.sin(pi * y) ** 2
    other = pi * turned * np.sin(2 * pi * x) - pi * np.sin(pi * x) * np.sin(pi * y)
    return pde.Problem(
        SQUARE,
        [
            -laplacian(u) + d(x)(p) == force,
            -laplacian(v) + d(y)(p) == other,
            d(x)(u) + d(y)(v) == 0.0,
        ],
        [pde.Dirichlet((first, second), of=(u, v)), pde.MeanValue(0.0, of=p)],
        exact=(first, second, pressure),
    )


def elasticity() -> pde.Problem:
    """Return μΔ(u, v) + (λ + μ)∇ div (u, v) = f for u = sin πx sin πy, v = cos πx cos πy."""
    u, v = pde.unknowns("u", "v")
    lam, mu = 2.0, 1.0
    first, second = np.sin(pi * x) * np.sin(pi * y), np.cos(pi * x) * np.cos(pi * y)
    spread = d(x)(u) + d(y)(v)
    # The divergence is 0: π cos πx sin πy − π cos πx sin πy.
    return pde.Problem(
        SQUARE,
        [
            mu * laplacian(u) + (lam + mu) * d(x)(spread) == -2 * mu * pi**2 * first,
            mu * laplacian(v) + (lam + mu) * d(y)(spread) == -2 * mu * pi**2 * second,
        ],
        [pde.Dirichlet((first, second), of=(u, v))],
        exact=(first, second),
    )


def prey() -> pde.Problem:
    """Return x′ = 1.5 x − x y, y′ = −3 y + x y from (10, 5), to t = 2."""
    a, b = pde.unknowns("a", "b")
    return pde.Problem(
        Box(t=(0, 2)),
        [d(t)(a) == 1.5 * a - a * b, d(t)(b) == -3.0 * b + a * b],
        [pde.Initial((10.0, 5.0), at=(t, 0.0), of=(a, b))],
    )


def wave() -> pde.Problem:
    """Return Δu + 400 u = 0 with ∂u/∂n + 20 i u given by a plane wave."""
    u, n = pde.unknowns("u", dtype=complex), NormalDerivative()
    exact: Any = np.exp(20j * (0.6 * x + 0.8 * y))
    faces = {(x, 0.0): -0.6, (x, 1.0): 0.6, (y, 0.0): -0.8, (y, 1.0): 0.8}
    conditions = [
        pde.Condition(n(u) + 20j * u == 20j * (1 + slope) * exact, on=face)
        for face, slope in faces.items()
    ]
    return pde.Problem(SQUARE, [laplacian(u) + 400.0 * u == 0.0], conditions, exact=exact)


#: What is solved, and the relative errors that are asked for: by unknown.
PROBLEMS: dict[str, tuple[Callable[[], pde.Problem], float]] = {
    "Stokes flow": (stokes, 1e-6),
    "elasticity": (elasticity, 1e-8),
    "predators and prey": (prey, 1e-8),
    "complex wave": (wave, 1e-8),
}


@case(
    "systems",
    "several unknowns: flow, elasticity, predators and prey, a complex wave",
    error="relative l2 error of the worst unknown",
    repeats=1,
    reference=OURS,
    bars=tuple(Bar(name, OURS, "error", bar) for name, (_, bar) in PROBLEMS.items()),
)
def run(settings: Settings) -> Iterator[Measurement]:
    """Solve with default settings."""
    for name, (make, _) in PROBLEMS.items():
        settings.doing(name)
        with timed() as timing:
            solution = solve(make())
        error = solution.error() if solution.problem.exact is not None else _off(solution)
        times = timing.seconds, timing.compile_seconds, timing.cpu_seconds
        verdict = solution.certificate.verdict
        yield Measurement(name, name, OURS, 0, error, *times, status=verdict)


def _off(solution: Any) -> float:
    from scipy.integrate import solve_ivp

    def rates(_: float, z: Any) -> list[float]:
        return [1.5 * z[0] - z[0] * z[1], -3 * z[1] + z[0] * z[1]]

    times = np.linspace(0, 2, 201)
    exact = solve_ivp(rates, (0, 2), [10.0, 5.0], "DOP853", times, rtol=1e-13, atol=1e-13).y.T
    off = np.linalg.norm(solution(times[:, None]) - exact, axis=0)
    return float(np.max(off / np.linalg.norm(exact, axis=0)))

"""Several unknowns: Stokes flow, elasticity, predators and prey, a complex wave.

Solutions are known, that of predators and prey by Dormand and Prince's method at 1e-13. Flow and
elasticity are on a square minus a disk.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator
from typing import Any

import numpy as np

from adabasis import Box, Disk, pde
from adabasis.operators import Laplacian, NormalDerivative, Partial

from ..records import Measurement
from ..registry import Settings, case
from ..solving import OURS, Asked, bars, by_unknown, divergence, measured

SQUARE, pi = Box(x=(0, 1), y=(0, 1)), np.pi
PLATE = SQUARE - Disk((0.5, 0.5), 0.2).named("hole")
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
        PLATE,
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
        PLATE,
        [
            mu * laplacian(u) + (lam + mu) * d(x)(spread) == -2 * mu * pi**2 * first,
            mu * laplacian(v) + (lam + mu) * d(y)(spread) == -2 * mu * pi**2 * second,
        ],
        [pde.Dirichlet((first, second), of=(u, v))],
        exact=(first, second),
    )


def prey(end: float) -> pde.Problem:
    """Return x′ = 1.5 x − x y, y′ = −3 y + x y from (10, 5), to some time."""
    a, b = pde.unknowns("a", "b")
    return pde.Problem(
        Box(t=(0, end)),
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


def _flow(solution: Any) -> dict[str, float]:
    each = by_unknown(solution)
    return {
        "velocities": max(each["u"], each["v"]),
        "pressure": each["p"],
        "divergence": divergence(solution),
    }


def _off(solution: Any) -> dict[str, float]:
    from scipy.integrate import solve_ivp

    def rates(_: float, z: Any) -> list[float]:
        return [1.5 * z[0] - z[0] * z[1], -3 * z[1] + z[0] * z[1]]

    (end,) = solution.domain.bounds[:, 1]
    times = np.linspace(0, end, 201)
    exact = solve_ivp(rates, (0, end), [10.0, 5.0], "DOP853", times, rtol=1e-13, atol=1e-13).y.T
    off = np.linalg.norm(solution(times[:, None]) - exact, axis=0)
    return {OURS: float(np.max(off / np.linalg.norm(exact, axis=0)))}


#: The relative errors that are asked for, of the worst unknown where none is named.
PROBLEMS = {
    "Stokes flow": Asked(
        stokes, {"velocities": 1e-8, "pressure": 1e-6, "divergence": 1e-6}, measure=_flow
    ),
    "elasticity": Asked(elasticity, {OURS: 1e-8}),
    "predators and prey, t ≤ 2": Asked(functools.partial(prey, 2.0), {OURS: 1e-8}, measure=_off),
    "predators and prey, t ≤ 10": Asked(
        functools.partial(prey, 10.0), {OURS: 1e-8}, measure=_off, stretch=True
    ),
    "complex wave": Asked(wave, {OURS: 1e-8}),
}


@case(
    "systems",
    "several unknowns: flow, elasticity, predators and prey, a complex wave",
    error="relative l2 error; of divergence its norm over that of the gradient",
    repeats=1,
    reference=OURS,
    bars=bars(PROBLEMS),
)
def run(settings: Settings) -> Iterator[Measurement]:
    """Solve with default settings."""
    yield from measured(PROBLEMS, settings)

"""Equations on shapes: holes, a ball of five dimensions, materials that meet, corners, layers.

The plate's reference is a harmonic series (``u_series`` of poisson2d_four_disks.csv in
$ADABASIS_DATA, right to 8e-8); the other solutions are known.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator
from typing import Any

import numpy as np

from adabasis import Ball, Box, Disk, pde
from adabasis.operators import Laplacian, Partial

from ..data import external
from ..records import Measurement
from ..registry import Settings, case
from ..solving import OURS, SEED, SEEN, Asked, bars, measured

PLATE, BALL = "plate with four holes", "ball of five dimensions, heat"
#: What the disk conducts, and what is around it.
CORE, SHELL = 1000.0, 1.0
x, y, d = *pde.coordinates("x", "y"), Partial


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


def materials() -> pde.Problem:
    """Return ∇·(k∇u) = 0 with k = 1000 in r < ½ and 1 outside, in a square of side 2."""
    u, core = pde.unknowns("u"), Disk((0, 0), 0.5)
    k = pde.piecewise(core=CORE, shell=SHELL)
    away = x * (1 - (CORE - SHELL) / (CORE + SHELL) / (4 * (x**2 + y**2)))
    return pde.Problem(
        regions={"core": core, "shell": Box(x=(-1, 1), y=(-1, 1)) - core},
        equations=[d(x)(k * d(x)(u)) + d(y)(k * d(y)(u)) == 0.0],
        conditions=[
            pde.Dirichlet(away),
            pde.Interface(of=u, between=("core", "shell"), flux=k),
        ],
        exact=pde.piecewise(core=2 * SHELL / (CORE + SHELL) * x, shell=away),
    )


def _by_side(solution: Any) -> dict[str, float]:
    """Return the error on each side, and by how much fluxes differ across the circle."""
    found = {}
    for name, region in solution.problem.regions.items():
        at = np.asarray(region.interior(SEEN, SEED).x)
        exact = solution.problem.exact_values(at)
        found[name] = float(np.linalg.norm(solution(at) - exact) / np.linalg.norm(exact))
    angle = np.linspace(0, 2 * np.pi, 200, endpoint=False)
    normal = np.stack([np.cos(angle), np.sin(angle)], axis=1)
    inner, outer = (
        k * np.sum(solution[f"u in {name}"].gradient(0.5 * normal).reshape(-1, 2) * normal, axis=1)
        for name, k in (("core", CORE), ("shell", SHELL))
    )
    return {**found, "flux": float(np.linalg.norm(inner - outer) / np.linalg.norm(inner))}


def rod() -> pde.Problem:
    """Return (k T′)′ = 0 on [0, 2], k = 1.38 up to y = 1 and 400 above."""
    u, k = pde.unknowns("u"), pde.piecewise(low=1.38, high=400.0)
    return pde.Problem(
        regions={"low": Box(y=(0, 1)), "high": Box(y=(1, 2))},
        equations=[d(y)(k * d(y)(u)) == 0.0],
        conditions=[
            pde.Dirichlet(293.15, on=(y, 0.0)),
            pde.Condition(k * d(y), 200.0, on=(y, 2.0)),
            pde.Interface(of=u, between=("low", "high"), flux=k),
        ],
    )


def _at_the_joint_and_the_end(solution: Any) -> dict[str, float]:
    wanted = 293.15 + np.array([200 / 1.38, 200 / 1.38 + 200 / 400])
    return {OURS: float(np.max(np.abs(solution([[1.0], [2.0]]) - wanted) / wanted))}


def corner() -> pde.LinearProblem:
    """Return Δu = 0 on an L, with the values of r^(2/3) sin ⅔θ on its boundary."""

    def power(x: Any, y: Any) -> Any:
        turned = np.arctan2(y, x)
        angle = np.where(turned < -1e-9, turned + 2 * np.pi, turned)
        return (x**2 + y**2) ** (1 / 3) * np.sin(2 / 3 * angle)

    domain = Box(x=(-1, 1), y=(-1, 1)) - Box(x=(0, 1), y=(-1, 0))
    return pde.LinearProblem(domain, Laplacian(), 0.0, [pde.Dirichlet(power)], exact=power)


def layer(width: float) -> pde.LinearProblem:
    """Return −εu″ + u′ = 1 on [0, 1], u = 0 at both ends."""

    def exact(x: Any) -> Any:
        return x - np.exp((x - 1) / width)  # what is missing is e^(−1/ε), less than 1e-434

    equation = -width * d(x, 2) + d(x)
    return pde.LinearProblem(Box(x=(0, 1)), equation, 1.0, [pde.Dirichlet(0.0)], exact=exact)


def _of_the_plate(solution: Any) -> dict[str, float]:
    path = external("poisson2d_four_disks.csv")
    table = np.genfromtxt(path, delimiter=",", names=True)
    off = solution(np.stack([table["x"], table["y"]], axis=1)) - table["u_series"]
    return {OURS: float(np.linalg.norm(off) / np.linalg.norm(table["u_series"]))}


#: The relative errors that are asked for.
PROBLEMS = {
    PLATE: Asked(plate, {OURS: 1e-4}, 60.0, _of_the_plate),
    BALL: Asked(ball, {OURS: 1e-3}, 60.0),
    "a disk that conducts better": Asked(
        materials, {"core": 1e-5, "shell": 1e-5, "flux": 1e-5}, measure=_by_side
    ),
    "a rod of two materials": Asked(rod, {OURS: 1e-6}, measure=_at_the_joint_and_the_end),
    "L-shape": Asked(corner, {OURS: 1e-6}),
    **{
        f"layer of width {width:g}": Asked(functools.partial(layer, width), {OURS: 1e-4})
        for width in (1e-3, 1e-4, 1e-5)
    },
}


@case(
    "shapes",
    "equations on shapes: holes, a ball, materials that meet, a corner, layers",
    error="relative l2 error; of a flux its jump over its size",
    repeats=1,
    reference=OURS,
    bars=bars(PROBLEMS),
)
def run(settings: Settings) -> Iterator[Measurement]:
    """Solve with default settings."""
    yield from measured(PROBLEMS, settings)

"""Poisson's equation with a known source and noisy observations: how often bands hold u.

The truth is a draw of none of the functions that solve: sin πx sin πy on the unit square. With
exact values all around, observations hardly matter; without any, the harmonic functions are theirs.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from adabasis import Box, pde, solve
from adabasis.operators import Laplacian, Partial

from ..measure import Timing, timed
from ..records import Bar, Measurement
from ..registry import SUITES, Settings, case

SEEDS, OTHER_SEEDS, ROWS, NOISE = 64, 16, 100, 0.05
OURS, FLUX = "u", "∂u/∂x"
#: Standard deviations to each side that hold 90 %.
WITHIN = 1.6449
COVERAGE, MOST_OFF = 0.9, 0.06
ALONE, SIDES, SETS = "no boundary values", "values on two sides", "two sets, noise estimated"


def true(x: np.ndarray) -> np.ndarray:
    """Return sin πx sin πy."""
    return np.sin(np.pi * x[:, 0]) * np.sin(np.pi * x[:, 1])


def problem(kind: str, seed: int) -> pde.LinearProblem:
    """Return a problem with observations drawn for a seed."""
    rng, (x, y) = np.random.default_rng(seed), pde.coordinates("x", "y")
    source = -2 * np.pi**2 * np.sin(np.pi * x) * np.sin(np.pi * y)
    at = rng.random((ROWS, 2))
    values = true(at) + NOISE * rng.normal(size=ROWS)
    data = [pde.Observe(at, values, noise=NOISE)]
    if kind == SETS:
        more = rng.random((ROWS, 2))
        others = true(more) + 4 * NOISE * rng.normal(size=ROWS)
        pairs = ((at, values), (more, others))
        data = [pde.Observe(*pair, noise="estimate") for pair in pairs]
    conditions = [pde.Dirichlet(0.0, on=x)] if kind == SIDES else []
    return pde.LinearProblem(Box(x=(0, 1), y=(0, 1)), Laplacian(), source, conditions, data)


@case(
    "uncertainty-equations",
    "Poisson's equation, a known source, 100 noisy observations: how often 90 % bands hold u",
    error="share of u outside its bands; of all seeds, the distance of their coverage from 90 %",
    repeats=1,
    reference=OURS,
    bars=tuple(Bar(f"{kind}, all seeds", OURS, "error", MOST_OFF) for kind in (ALONE, SIDES, SETS)),
)
def run(settings: Settings) -> Iterator[Measurement]:
    """Solve for every seed; reduced, for two."""
    for kind in (ALONE, SIDES, SETS):
        n_seeds = 2 if settings.quick else SEEDS if kind == ALONE else OTHER_SEEDS
        missed: dict[str, list[float]] = {OURS: [], FLUX: []}
        for seed in range(n_seeds):
            settings.doing(f"{kind}, seed {seed}")
            with timed() as timing:
                solution = solve(problem(kind, seed))
            at = np.random.default_rng([seed, 1]).random((1000, 2))
            u, deviation = solution.predict(at, return_std=True)
            flux = np.pi * np.cos(np.pi * at[:, 0]) * np.sin(np.pi * at[:, 1])
            pairs: dict[str, tuple[Any, Any]] = {
                OURS: (u - true(at), deviation),
                FLUX: (
                    solution.apply(Partial("x"), at) - flux,
                    solution.std(Partial("x"), at),
                ),
            }
            for method, (off, size) in pairs.items():
                share = float(np.mean(np.abs(off) > WITHIN * size))
                missed[method].append(share)
                yield _measured(kind, seed, method, share, timing)
        for method, shares in missed.items():
            coverage = 1 - float(np.mean(shares))
            settings.note(f"{kind}, {method}: bands of 90 % hold {coverage:.1%}")
            yield _measured(f"{kind}, all seeds", 0, method, abs(coverage - COVERAGE), timing)


def _measured(group: str, seed: int, method: str, error: float, timing: Timing) -> Measurement:
    of_time = timing.seconds, timing.compile_seconds, timing.cpu_seconds
    return Measurement(group, f"seed {seed}", method, 0, error, *of_time)


SUITES["uncertainty"] = (*SUITES.get("uncertainty", ()), "uncertainty-equations")

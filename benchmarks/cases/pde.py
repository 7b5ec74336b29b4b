"""Differential equations with known solutions: the default, random features, and libraries.

DeepXDE and jinns get 60 s of CPU on the four problems that are stated for them.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator

import numpy as np

from adabasis import FrozenFeatures, PartitionBasis, Solution, solve
from adabasis.geometry import Cartesian
from adabasis.pde import catalog

from ..fitting import Method, Outcome, Problem, compare
from ..measure import timed
from ..methods.peers import peers
from ..records import Bar, Measurement
from ..registry import Settings, case

NAMES = [name for name in catalog.PROBLEMS if name != "burgers"]
WITH_PEERS = [
    "advection-constant-tent",
    "advection-variable-tent",
    "advection-variable",
    "poisson-2d",
]
QUICK = ["poisson-1d", "poisson-2d"]
SEEN = 4096


def problem(name: str) -> Problem:
    """Return unseen points with the exact solution; the solver sees the equation only."""
    made = catalog.problem(name)
    lower, upper = made.domain.bounds.T
    x = np.random.default_rng(1).uniform(lower, upper, (SEEN, len(lower)))
    y = made.exact_values(x)
    return Problem(name, name, x[:0], y[:0], x, y, float(np.sqrt(np.mean(y**2))))


def outcome(solution: Solution) -> Outcome:
    """Return what the harness wants to know."""
    return Outcome(solution, len(solution.candidates), f"{len(solution.coefficients)} functions")


def by_default(asked: Problem, seed: int) -> Outcome:
    """Solve by default settings."""
    return outcome(solve(catalog.problem(asked.name), random_state=seed))


def random_features(asked: Problem, seed: int) -> Outcome:
    """Solve once on 512 frozen tanh functions, their slope alone being chosen."""
    basis = FrozenFeatures(512)
    return outcome(solve(catalog.problem(asked.name), basis, random_state=seed))


def on_a_cloud(asked: Problem, seed: int) -> Outcome:
    """Solve on 30 points a side, as the peers' examples do."""
    made = catalog.problem(asked.name)
    return outcome(solve(made, points=Cartesian(30), random_state=seed))


@case(
    "pde",
    "differential equations with known solutions, by default settings",
    error="relative l2 error on 4,096 unseen points",
    repeats=1,
    reference="adabasis",
    bars=(
        *(Bar(name, "adabasis", "error", 1e-6) for name in catalog.SMOOTH),
        Bar("advection-variable", "adabasis", "error", 1e-7),
        Bar("advection-constant-tent", "adabasis", "error", 1e-6),
        Bar("advection-variable-tent", "adabasis", "error", 5e-3),
        Bar("poisson-2d", "adabasis, 900 + 120 points", "error", 1e-9),
    ),
)
def run(settings: Settings) -> Iterator[Measurement]:
    """Solve every problem by every method."""
    ours = [Method("adabasis", by_default), Method("512 frozen tanh, one solve", random_features)]
    problems = [problem(name) for name in (QUICK if settings.quick else NAMES)]
    yield from compare(problems, ours, settings)
    cloud = [Method("adabasis, 900 + 120 points", on_a_cloud)]
    yield from compare([problem("poisson-2d")], cloud, settings)
    if not settings.quick:
        theirs = peers(settings, "DeepXDE, Adam then L-BFGS", "jinns, natural gradient")
        yield from compare([problem(name) for name in WITH_PEERS], theirs, settings)


def solved_on(width: int) -> Method:
    """Return one solve on given functions, certificate included, when all is compiled."""

    def fit(asked: Problem, seed: int) -> Outcome:
        made, basis = catalog.problem(asked.name), FrozenFeatures(width, scale=4.0)
        solve(made, basis, random_state=seed)
        with timed() as timing:
            solution = solve(made, basis, random_state=seed)
        return dataclasses.replace(outcome(solution), timing=timing)

    return Method("one solve", fit)


def resolved(width: int, count: int, *, stored: bool) -> Method:
    """Return so many right-hand sides, certificates included, with the factor made or at hand."""

    def fit(asked: Problem, seed: int) -> Outcome:
        made = catalog.problem(asked.name)
        sources = [made.with_data(k * made.source) for k in range(count, 0, -1)]
        first = solve(made.with_data(1.0), FrozenFeatures(width, scale=4.0), random_state=seed)
        first.resolve(sources)
        for candidate in () if stored else first.finalists:
            vars(candidate.system).pop("factor", None)
        with timed() as timing:
            *_, solution = first.resolve(sources)
        return dataclasses.replace(outcome(solution), timing=timing)

    return Method(f"resolve, {count}{', factor stored' if stored else ''}", fit)


@case(
    "sources",
    "poisson-2d on given functions for a hundred sources: rows are factored once",
    error="relative l2 error on 4,096 unseen points",
    repeats=3,
    reference="resolve, 1",
    bars=tuple(Bar("poisson-2d", f"resolve, {n}", "time_ratio", 3.0) for n in (1, 100)),
)
def run_sources(settings: Settings) -> Iterator[Measurement]:
    """Solve once, and for one and a hundred further sources."""
    width, many = (60, 5) if settings.quick else (900, 100)
    methods = [
        resolved(width, 1, stored=False),
        resolved(width, many, stored=False),
        resolved(width, many, stored=True),
        solved_on(width),
    ]
    yield from compare([problem("poisson-2d")], methods, settings)


def parts(name: str) -> PartitionBasis:
    """Return the POUnet for a problem."""
    tent = "tent" in name
    return PartitionBasis(4, 1, partition="affine") if tent else PartitionBasis(9, 5)


def pounet(name: str, method: str) -> Method:
    """Return a POUnet as the basis of an equation, as drawn or moved."""

    def fit(asked: Problem, seed: int) -> Outcome:
        made, basis = catalog.problem(asked.name), parts(asked.name)
        return outcome(solve(made, basis, method=method, max_steps=40, random_state=seed))

    return Method(name, fit)


def as_many_features(asked: Problem, seed: int) -> Outcome:
    """Solve on as many frozen tanh functions as the POUnet has."""
    made = catalog.problem(asked.name)
    basis = FrozenFeatures(parts(asked.name).size(len(made.domain.bounds)))
    return outcome(solve(made, basis, random_state=seed))


@case(
    "pde-pounets",
    "partition of unity networks as bases of equations",
    error="relative l2 error on 4,096 unseen points",
    repeats=1,
    reference="adabasis",
)
def run_pounets(settings: Settings) -> Iterator[Measurement]:
    """Compare a POUnet as drawn and moved with the default, and with as many features."""
    names = ["poisson-1d", "poisson-2d", "advection-diffusion", "advection-constant-tent"]
    methods = [
        Method("adabasis", by_default),
        pounet("POUnet as drawn", "frozen"),
        pounet("POUnet, Gauss-Newton", "lsgn"),
        Method("as many frozen tanh", as_many_features),
    ]
    problems = [problem(name) for name in (names[:1] if settings.quick else names)]
    yield from compare(problems, methods, settings)

"""Variable projection against descent: how far, how fast, and the kinks of a ReLU layer."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from adabasis import GD, LSGD, LSGN, NeuralBasis
from adabasis._runtime.compute import numerics
from adabasis.geometry.points import Points
from adabasis.operators import Identity
from adabasis.rows import Term, evaluate
from adabasis.train import AbstractTrainer, Budget, Objective, Run, StopReason, train

from ..fitting import Method, Outcome, Problem, compare
from ..measure import timed
from ..methods import ours
from ..methods.peers import peers
from ..records import Bar, Measurement
from ..registry import Settings, case
from .directions import INPUTS, ridge_function
from .directions import problem as directions_problem

SEEDS = 16
GOAL = 1e-9
X = np.linspace(0, 1, 256)[:, None]
SINE = np.sin(2 * np.pi * X[:, 0])
FREE_KNOTS = {4: 10**-2.95, 8: 10**-3.97, 16: 10**-5.08, 32: 10**-6.23}
"""Mean square of the best piecewise linear function with W + 1 pieces: a bound for large W."""


class MeanSquare(Problem):
    """The sine on the points of the fit, the error its mean square: this is about the descent."""

    def error(self, predicted: np.ndarray) -> float:
        """Return the mean squared error."""
        return super().error(predicted) ** 2


def sine(group: str) -> Problem:
    """Return sin 2πx on 256 even points."""
    return MeanSquare(group, group, X, SINE, X, SINE, 1.0)


def trained(name: str, basis: NeuralBasis, trainer: Any, **options: Any) -> Method:
    """Return a trainer on data as they are."""
    return ours.by_fit(name, basis, method=trainer, standardize=False, **options)


@case(
    "machine-precision",
    "sin 2πx by one tanh layer, at most 100 Gauss–Newton steps",
    error="mean squared error on the 256 points",
    repeats=SEEDS,
    reference="LSGN",
    bars=(Bar("width 16", "LSGN", "error", 1e-18), Bar("width 32", "LSGN", "error", 1e-24)),
)
def machine_precision(settings: Settings) -> Iterator[Measurement]:
    """Run each width; the mean of the logarithms is noted."""
    for width in (16, 32):
        method = trained("LSGN", NeuralBasis(width, 1), LSGN(), max_steps=100)
        done = []
        for measured in compare([sine(f"width {width}")], [method], settings):
            done.append(measured.error)
            yield measured
        settings.note(f"width {width}: mean log10 MSE {np.log10(done).mean():.1f}")


@case(
    "relu-knots",
    "sin 2πx by one ReLU layer with a constant, best of 4 restarts of LSGN",
    error="mean squared error over the bound of free knots",
    repeats=SEEDS,
    reference="LSGN",
    bars=(
        *(Bar(f"width {w}", "LSGN", "error", 10**0.15) for w in (8, 16, 32)),
        Bar("width 4", "LSGN", "error", 10**-2.65 / FREE_KNOTS[4]),
    ),
)
def relu_knots(settings: Settings) -> Iterator[Measurement]:
    """Run each width beside the papers' trainer."""
    for width, bound in FREE_KNOTS.items():
        basis = NeuralBasis(width, 1, activation="relu")
        problem = MeanSquare(f"width {width}", "sine", X, SINE, X, SINE, float(np.sqrt(bound)))
        steps = 100 if settings.quick else 2000
        methods = [
            trained("LSGN", basis, LSGN(), n_restarts=4),
            trained("LSGD 5e-3", basis, LSGD(5e-3), max_steps=steps),
        ]
        yield from compare([problem], methods, settings)


def until(name: str, trainer: AbstractTrainer, max_steps: int) -> Method:
    """Return a trainer that stops at the goal, or after so many steps and says so.

    It runs four times, the first uncounted: descent alone, everything compiled.
    """
    basis = NeuralBasis(8, 1, constant=False)
    tol = float(np.sqrt(GOAL / np.mean(SINE**2)))

    def fit(problem: Problem, seed: int) -> Outcome:
        with numerics():
            key = jax.random.key(seed, impl="rbg")
            term = Term(Points(problem.x, np.ones(len(problem.x))), problem.y[:, None])
            start = basis.init(key, jnp.array([[0.0, 1.0]]))

            def run() -> Run:
                budget = Budget.of(trainer, max_steps, tol)
                return train(trainer, Objective([term], 0.0, basis), start, key=key, budget=budget)

            run()
            timings = []
            for _ in range(3):
                with timed() as timing:
                    done = run()
                timings.append(timing)
            timing = min(timings, key=lambda t: t.cpu_seconds)
            values = evaluate(Identity(), basis, done.parameters, problem.x) @ done.coefficients
        reached = done.stop_reason is StopReason.TOLERANCE
        status = "reached" if reached else "never got there"
        steps = len(done.history) - 1
        return Outcome(lambda points: np.asarray(values), steps, status, timing)

    return Method(name, fit)


@case(
    "to-1e-9",
    "time to a mean square of 1e-9 on sin 2πx with 8 tanh functions",
    error="mean squared error where it ended",
    repeats=SEEDS,
    reference="LSGN",
)
def to_goal(settings: Settings) -> Iterator[Measurement]:
    """Run trainers to one goal, side by side; joint descent and torch on the first three seeds."""
    most = 500 if settings.quick else 100_000
    projected = [
        until("LSGN", LSGN(), 200),
        until("LSGD 5e-3", LSGD(5e-3), most),
        until("LSGD 5e-2", LSGD(5e-2), most),
        until("LSGD auto", LSGD("auto"), most),
    ]
    joint = [
        until("GD 5e-3", GD(5e-3), 2 * most),
        until("GD 5e-4", GD(5e-4), 2 * most),
        *peers(settings, "torch 8 tanh, Adam to 1e-9", "torch 8 tanh, L-BFGS to 1e-9"),
    ]
    yield from compare([sine("sine")], projected, settings)
    few = dataclasses.replace(settings, repeats=min(3, settings.repeats))
    yield from compare([sine("sine")], joint, few)


@case(
    "solvers",
    "30 Gauss–Newton steps by QR and by conjugate gradients, 2,000 rows of ten inputs",
    error="relative root mean square residual after 30 steps",
    repeats=1,
    reference="qr",
)
def solvers(settings: Settings) -> Iterator[Measurement]:
    """Grow the network through the size where the solvers change places."""
    shapes = ((16, 1), (16, 2), (24, 2), (32, 2), (48, 2))
    for width, depth in shapes[:1] if settings.quick else shapes:
        n = width * (INPUTS + 1 + (depth - 1) * (width + 1))
        data = directions_problem("ridge function", ridge_function, -1.0, 2000, 0)
        problem = Problem(f"n = {n:,}", "rows", data.x, data.y, data.x, data.y, data.y.std())
        methods = [
            ours.by_fit(solver, NeuralBasis(width, depth), method=LSGN(solver=solver), max_steps=30)
            for solver in ("qr", "iterative")
        ]
        yield from compare([problem], methods, settings)

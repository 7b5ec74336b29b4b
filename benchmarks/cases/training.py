"""Variable projection against descent: how far, how fast, and the kinks of a ReLU layer."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from adabasis import GD, LSGD, LSGN, NeuralBasis
from adabasis.fitting import fit as fit_data

from ..fitting import Method, Outcome, Problem, compare
from ..methods import ours
from ..methods.peers import peers
from ..records import Bar, Measurement
from ..registry import Settings, case

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


def until(name: str, trainer: Any, max_steps: int) -> Method:
    """Return a trainer that stops at the goal, or after so many steps and says so."""
    basis = NeuralBasis(8, 1)
    tol = float(np.sqrt(GOAL / np.mean(SINE**2)))

    def fit(problem: Problem, seed: int) -> Outcome:
        fitted = fit_data(
            basis,
            problem.x,
            problem.y,
            method=trainer,
            max_steps=max_steps,
            tol=tol,
            random_state=seed,
            standardize=False,
        )
        reached = problem.error(fitted(problem.x)) <= 1.05 * GOAL
        return Outcome(fitted, len(fitted.history) - 1, "reached" if reached else "never got there")

    return Method(name, fit)


@case(
    "to-1e-9",
    "time to a mean square of 1e-9 on sin 2πx with 8 tanh functions",
    error="mean squared error where it ended",
    repeats=3,
    reference="LSGN",
)
def to_goal(settings: Settings) -> Iterator[Measurement]:
    """Run trainers to one goal, side by side; torch where it is installed."""
    most = 500 if settings.quick else 100_000
    methods = [
        until("LSGN", LSGN(), 200),
        until("LSGD 5e-3", LSGD(5e-3), most),
        until("LSGD auto", LSGD("auto"), most),
        until("GD 5e-3", GD(5e-3), 2 * most),
        until("GD 5e-4", GD(5e-4), 2 * most),
        *peers(settings, "torch 8 tanh, Adam to 1e-9", "torch 8 tanh, L-BFGS to 1e-9"),
    ]
    yield from compare([sine("sine")], methods, settings)

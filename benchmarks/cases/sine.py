"""sin 2πx from 256 even points, seen at points between them."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from adabasis import GD, LSGD, NeuralBasis

from ..fitting import Method, Problem, compare
from ..methods import classical, ours
from ..methods.peers import peers
from ..records import Measurement
from ..registry import Settings, case

DEPTH_EXPONENT = 3
STEPS = 2000


def problem() -> Problem:
    """Return the published data; unseen points are random."""
    x = np.linspace(0, 1, 256)[:, None]
    unseen = np.random.default_rng(0).uniform(0, 1, (1000, 1))
    y, y_unseen = np.sin(2 * np.pi * x[:, 0]), np.sin(2 * np.pi * unseen[:, 0])
    return Problem("sine", "sine", x, y, unseen, y_unseen, float(np.sqrt(np.mean(y_unseen**2))))


def published(name: str, init: str, trainer: type[GD] | type[LSGD], steps: int) -> Method:
    """Return a trainer of the papers: depth L = 2^k, width 32, rate 2^-(k+3), data as they are."""
    basis = NeuralBasis(
        32, 2**DEPTH_EXPONENT, activation="relu", residual=True, init=init, constant=False
    )
    rate = 2.0 ** -(DEPTH_EXPONENT + 3)
    return ours.by_fit(name, basis, method=trainer(rate), max_steps=steps, standardize=False)


@case(
    "sine",
    "sin 2πx, 256 points: the default, the papers' trainers, and what a person would try first",
    error="relative l2 error on 1,000 unseen points",
    repeats=3,
    reference="adabasis",
)
def run(settings: Settings) -> Iterator[Measurement]:
    """Compare on one function of one variable."""
    steps = 100 if settings.quick else STEPS
    methods = [
        ours.by_fit("adabasis"),
        published("LSGD, Box, depth 8", "box", LSGD, steps),
        published("GD, He, depth 8", "he", GD, steps),
        classical.MLP,
        classical.EXACT_PROCESS,
        classical.CHEBYSHEV,
        classical.SPLINE,
        *peers(settings, "torch ReLU, Adam", "torch tanh, L-BFGS", "pykan"),
    ]
    yield from compare([problem()], methods, settings)

"""Functions of ten inputs that vary along few directions: where frozen features fail."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator

import numpy as np

from adabasis import FrozenFeatures

from ..fitting import Problem, compare
from ..methods import classical, ours
from ..methods.peers import peers
from ..records import Bar, Measurement
from ..registry import Settings, case

INPUTS, UNSEEN = 10, 10_000


def _unit(rng: np.random.Generator) -> np.ndarray:
    direction = rng.normal(size=INPUTS)
    return direction / np.linalg.norm(direction)


_RNG = np.random.default_rng(0)
A, B = _unit(_RNG), _unit(_RNG)


def ridge_function(x: np.ndarray) -> np.ndarray:
    """Return sin(3 a·x) + (b·x)²/2 for unit vectors a and b drawn once."""
    return np.sin(3 * x @ A) + 0.5 * (x @ B) ** 2


def friedman(x: np.ndarray) -> np.ndarray:
    """Return Friedman's first function, of five of the ten inputs."""
    curved = 10 * np.sin(np.pi * x[:, 0] * x[:, 1]) + 20 * (x[:, 2] - 0.5) ** 2
    return curved + 10 * x[:, 3] + 5 * x[:, 4]


def problem(
    name: str, function: Callable[[np.ndarray], np.ndarray], lower: float, n: int, seed: int
) -> Problem:
    """Return n random points of [lower, 1]^10 and 10,000 unseen ones."""
    rng = np.random.default_rng(100 + seed)
    x, unseen = (rng.uniform(lower, 1, (m, INPUTS)) for m in (n, UNSEEN))
    y, y_unseen = function(x), function(unseen)
    return Problem(name, f"{name} {seed}", x, y, unseen, y_unseen, float(y_unseen.std()))


@case(
    "directions",
    "a ridge function (N = 2,000) and Friedman #1 (N = 1,000) of ten inputs, 16 draws",
    error="RMSE / standard deviation on 10,000 unseen points",
    repeats=1,
    reference="adabasis",
    bars=(
        Bar("ridge function", "adabasis", "error", 1e-4),
        Bar("friedman", "adabasis", "error", 1e-3),
    ),
)
def run(settings: Settings) -> Iterator[Measurement]:
    """Compare by default; the slow process is shown on four draws."""
    draws = range(1 if settings.quick else 16)
    kinds = {"ridge function": (ridge_function, -1.0, 2000), "friedman": (friedman, 0.0, 1000)}
    methods = [
        ours.DEFAULT,
        ours.by_fit("frozen, width 256", FrozenFeatures(256), method="frozen"),
        classical.BOOSTING,
        *peers(settings, "LightGBM"),
    ]
    for name, kind in kinds.items():
        problems, errors = [problem(name, *kind, seed) for seed in draws], []
        for measured in compare(problems, methods, settings):
            if measured.method == ours.DEFAULT.name:
                errors.append(measured.error)
            yield measured
        yield from compare(problems[:4], [classical.EXACT_PROCESS], settings)
        good = sum(error <= 1e-3 for error in errors)
        settings.note(f"{name}: at most 1e-3 on {good} of {len(errors)} draws")


UNITS = {"as drawn": (1.0, 1.0), "x 1e9": (1e9, 1.0), "x 1e-9": (1e-9, 1.0),
         "y 1e9": (1.0, 1e9), "y 1e-9": (1.0, 1e-9)}  # fmt: skip


@case(
    "units",
    "Friedman #1 in other units of x and of y: the default should not notice",
    error="RMSE / standard deviation on 10,000 unseen points",
    repeats=1,
    reference="adabasis",
)
def run_units(settings: Settings) -> Iterator[Measurement]:
    """Fit the same points in five pairs of units, and note how far the errors are apart."""
    drawn, errors = problem("friedman", friedman, 0.0, 1000, 0), []
    for name, (of_x, of_y) in list(UNITS.items())[: 2 if settings.quick else None]:
        scaled = dataclasses.replace(
            drawn,
            group=name,
            name=name,
            x=of_x * drawn.x,
            y=of_y * drawn.y,
            x_test=of_x * drawn.x_test,
            y_test=of_y * drawn.y_test,
            scale=of_y * drawn.scale,
        )
        for measured in compare([scaled], [ours.DEFAULT], settings):
            errors.append(measured.error)
            yield measured
    settings.note(f"largest error over least {max(errors) / min(errors):.2f} (bar 2)")

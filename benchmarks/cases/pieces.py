"""Functions that are smooth in pieces: waves, with noise too, and jumps and kinks in the plane."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Iterator

import numpy as np

from adabasis import LSGN, PartitionBasis, TwoPhase
from adabasis.pou.starts import STARTS

from ..data import steam_split
from ..fitting import Method, Problem, compare
from ..methods import classical, ours, pieces
from ..methods.peers import peers
from ..records import Bar, Measurement
from ..registry import Settings, case

Function = Callable[[np.ndarray], np.ndarray]
UNSEEN = 10_000
PIECES = (2, 4, 8, 16, 32)
MOST_SECONDS = 60
"""Of CPU time, compilation included, for one wave."""


def triangle(x: np.ndarray, frequency: float) -> np.ndarray:
    """Return the slides' TRI, between −1 and 0: 2 · frequency linear pieces on [0, 1]."""
    t = frequency * x
    return 2 * np.abs(t - np.floor(t + 0.5)) - 1


def waves(degree: int, count: int) -> Function:
    """Return the triangle wave (degree 1) or its square (2) with so many pieces."""
    if degree == 1:
        return lambda x: triangle(x[:, 0], count / 2)
    return lambda x: triangle(x[:, 0], count) ** 2


def jumps(count: int) -> Function:
    """Return the quadratic wave with so many pieces, every other one raised by one."""
    return lambda x: triangle(x[:, 0], count) ** 2 + np.floor(count * x[:, 0]) % 2


def drawn(
    group: str, function: Function, shape: tuple[int, int], seed: int, noise: float = 0.0
) -> Problem:
    """Return random points of the unit cube; unseen points have no noise."""
    rng = np.random.default_rng(seed)
    x, unseen = rng.random(shape), rng.random((UNSEEN, shape[1]))
    y, true = function(x) + noise * rng.normal(size=shape[0]), function(unseen)
    return Problem(group, f"{group} {seed}", x, y, unseen, true, float(true.std()))


def certain(problem: Problem, count: int) -> Problem:
    """Leave out the unseen points between two points known on both sides of a jump.

    Where in such a gap the jump is, the data do not say. (Gaps of 1,024 random points are up to
    some 7/1,024 wide: a distance of 1/1,024 from every jump is not enough.)
    """
    known = np.sort(problem.x[:, 0])
    after = np.searchsorted(known, problem.x_test[:, 0])
    sides = [np.floor(count * known[np.clip(k, 0, len(known) - 1)]) for k in (after - 1, after)]
    keep = sides[0] == sides[1]
    return dataclasses.replace(problem, x_test=problem.x_test[keep], y_test=problem.y_test[keep])


KINDS = ("triangle", "quadratic", "jumps")


@case(
    "waves",
    "continuous and jumping waves of 2 to 32 pieces, 1,024 random points",
    error="RMSE / standard deviation on 10,000 unseen points",
    repeats=1,
    reference="POUnet, cells merged",
    bars=tuple(
        Bar(f"{name}, {count} pieces", method, "error", 1e-9 if count < 32 else 1e-7)
        for name in KINDS
        for count in PIECES
        for method in ("POUnet", "POUnet, cells merged")
    ),
)
def run_waves(settings: Settings) -> Iterator[Measurement]:
    """Recover every piece, with the classical start and with none."""
    for name in KINDS:
        for count in PIECES[:2] if settings.quick else PIECES:
            yield from recover(name, count, settings)


def recover(name: str, count: int, settings: Settings) -> Iterator[Measurement]:
    """Compare on one wave, and count the seeds without a classical start that find it."""
    degree = 1 if name == "triangle" else 2
    group, wave = (
        f"{name}, {count} pieces",
        jumps(count) if name == "jumps" else waves(degree, count),
    )
    problems = [drawn(group, wave, (1024, 1), seed) for seed in range(1 if settings.quick else 10)]
    if name == "jumps":
        problems = [certain(problem, count) for problem in problems]
    methods = [
        pieces.pounet("POUnet", count, degree),
        pieces.pounet("POUnet, cells merged", count, degree, start="merging"),
        pieces.SEGMENTS[degree],
    ]
    found = []
    for measured in compare(problems, methods, settings):
        if measured.method == methods[1].name:
            found.append(measured)
        yield measured
    limit, least = (1e-9, 0.9) if count < 32 else (1e-7, 0.6)
    good = sum(one.error <= limit and one.cpu_seconds <= MOST_SECONDS for one in found)
    settings.note(
        f"{group}, no classical start: {good} of {len(found)} seeds at most {limit:g} in "
        f"{MOST_SECONDS} CPU s (bar {math.ceil(least * len(found))}: "
        f"{'met' if good >= least * len(found) else 'missed'}), worst "
        f"{max(one.error for one in found):.1e}"
    )


@case(
    "starts",
    "waves of 8 and 32 pieces, and a kink in the plane: where Gauss-Newton steps begin",
    error="RMSE / standard deviation on 10,000 unseen points",
    repeats=1,
    reference="merging",
)
def run_starts(settings: Settings) -> Iterator[Measurement]:
    """Compare the starts of the pieces with random ones of several kinds."""
    seeds = range(1 if settings.quick else 5)
    for count in (8,) if settings.quick else (8, 32):
        group = f"{count} pieces"
        problems = [drawn(group, waves(2, count), (1024, 1), seed) for seed in seeds]
        methods = [pieces.pounet(start, count, 2, start=start) for start in STARTS]
        yield from compare(problems, [*methods, *at_random(count, 2, "affine")], settings)
    problems = [drawn("kink in the plane", kink, (1024, 2), seed) for seed in seeds]
    methods = [
        pieces.pounet(start, 2, 4, start=start, partition="quartic")
        for start in STARTS
        if start != "segments"
    ]
    yield from compare(problems, [*methods, *at_random(2, 4, "quartic")], settings)


def at_random(count: int, degree: int, partition: str) -> list[Method]:
    """Return random starts: one, the best of five, and one with a ridge that fades."""
    basis = PartitionBasis(count, degree, partition=partition)
    faded = TwoPhase(LSGN(), lam=1.0, rho=0.5, n_stag=2, pre_steps=60, steps=60)
    return [
        ours.by_fit("random", basis, method=LSGN(), max_steps=120),
        ours.by_fit("random, best of 5", basis, method=LSGN(), max_steps=120, n_restarts=5),
        ours.by_fit("random, ridge fading", basis, method=faded),
    ]


@case(
    "noisy-waves",
    "the quadratic wave of 8 pieces with noise N(0, 0.05²), 1,000 random points",
    error="RMSE against the clean wave / its standard deviation",
    repeats=1,
    reference="segments, Schwarz",
    bars=(Bar("noisy wave", "POUnet", "error_ratio", 0.9),),
)
def run_noisy(settings: Settings) -> Iterator[Measurement]:
    """Let every method choose its own number of pieces."""
    seeds = range(2 if settings.quick else 10)
    problems = [drawn("noisy wave", waves(2, 8), (1000, 1), seed, 0.05) for seed in seeds]
    methods = [
        pieces.SEGMENTS[2],
        pieces.FREE_KNOTS,
        pieces.pounet("POUnet", "auto", 2),
        pieces.pounet("POUnet, degree open"),
        classical.BOOSTING,
        classical.SHORT_PROCESS,
        pieces.SMOOTHING,
        *peers(settings, "LightGBM"),
    ]
    ratios: dict[int, dict[str, float]] = {}
    for measured in compare(problems, methods, settings):
        seed = int(measured.problem.split()[-1])
        ratios.setdefault(seed, {})[measured.method] = measured.error
        yield measured
    shares = [errors["POUnet"] / errors[pieces.FREE_KNOTS.name] for errors in ratios.values()]
    settings.note(f"POUnet over continuous free knots: median {np.median(shares):.3f} (bar 1.15)")


def jump(x: np.ndarray) -> np.ndarray:
    """Return a smooth function with a jump of one along a circle."""
    inside = np.sum((x - [0.55, 0.45]) ** 2, axis=1) < 0.09
    return np.sin(3 * x[:, 0]) * np.cos(2 * x[:, 1]) + inside


def kink(x: np.ndarray) -> np.ndarray:
    """Return a smooth function with a kink along a wave."""
    bend = np.abs(x[:, 1] - 0.5 - 0.2 * np.sin(2 * np.pi * x[:, 0]))
    return np.exp(-x[:, 0]) * np.cos(3 * x[:, 1]) + 2 * bend


@case(
    "pieces-2d",
    "a jump along a circle, a kink along a wave, 10,000 random points",
    error="RMSE / standard deviation on 10,000 unseen points",
    repeats=1,
    reference="POUnet",
)
def run_plane(settings: Settings) -> Iterator[Measurement]:
    """Compare with what a person would try, everything by default."""
    seeds = range(1 if settings.quick else 3)
    methods = [
        pieces.pounet("POUnet"),
        classical.BOOSTING,
        classical.MLP_LBFGS,
        pieces.SOME_PROCESS,
        *peers(settings, "LightGBM"),
    ]
    for name, function in (("jump", jump), ("kink", kink)):
        problems = [drawn(name, function, (10_000, 2), seed) for seed in seeds]
        yield from beside(name, problems, methods, settings, 1 / 2)


def beside(
    name: str, problems: list[Problem], methods: list[Method], settings: Settings, bar: float
) -> Iterator[Measurement]:
    """Compare, and note the first method's median error over the best other's."""
    errors: dict[str, list[float]] = {}
    for measured in compare(problems, methods, settings):
        errors.setdefault(measured.method, []).append(measured.error)
        yield measured
    medians = {method: float(np.median(found)) for method, found in errors.items()}
    first, *others = medians
    best = min(others, key=lambda method: medians[method])
    ratio = medians[first] / medians[best]
    settings.note(f"{name}: {first} over {best}, the best other: {ratio:.3g} (bar {bar:.3g})")


@case(
    "steam-phases",
    "enthalpy of water and steam, with the jump between them, six random splits",
    error="test RMSE / standard deviation of the test y",
    repeats=1,
    reference="POUnet",
)
def run_steam(settings: Settings) -> Iterator[Measurement]:
    """Compare where the function jumps along the saturation curve."""
    seeds = range(1 if settings.quick else 6)
    problems = [steam_split(seed, phases="all") for seed in seeds]
    methods = [
        pieces.pounet("POUnet"),
        classical.NEIGHBOURS,
        classical.BOOSTING,
        ours.by_fit("frozen", method="frozen", basis=pieces.FROZEN),
    ]
    yield from beside("steam, all phases", problems, methods, settings, 1 / 3)


def hyperplane(n_inputs: int, seed: int) -> Function:
    """Return a function with a kink along a plane, and smooth elsewhere."""
    rng = np.random.default_rng(100 + seed)
    a, b = rng.normal(size=(2, n_inputs))
    a, b = a / np.linalg.norm(a), b / np.linalg.norm(b)

    def function(x: np.ndarray) -> np.ndarray:
        bend = 4 * np.maximum(0.0, (x - 0.5) @ a - 0.05)
        return bend + np.sin(2 * x @ b) + x[:, 0] * x[:, 1]

    return function


@case(
    "hyperplane",
    "a kink along an unknown hyperplane in 5 and 8 inputs, 2,000 random points",
    error="RMSE / standard deviation on 10,000 unseen points",
    repeats=1,
    reference="POUnet",
)
def run_hyperplane(settings: Settings) -> Iterator[Measurement]:
    """Compare, and count the coefficients as the inputs grow."""
    seeds = range(1 if settings.quick else 3)
    methods = [
        pieces.pounet("POUnet"),
        pieces.POLYNOMIAL,
        classical.BOOSTING,
        classical.PROCESS,
        *peers(settings, "LightGBM"),
    ]
    sizes: dict[int, list[int]] = {}
    for n_inputs in (5,) if settings.quick else (5, 8):
        group = f"{n_inputs} inputs"
        problems = [
            drawn(group, hyperplane(n_inputs, seed), (2000, n_inputs), seed) for seed in seeds
        ]
        for measured in beside(group, problems, methods, settings, 1.0):
            if measured.method == methods[0].name:
                sizes.setdefault(n_inputs, []).append(pieces.coefficients(measured.status))
            yield measured
    used = ", ".join(
        f"{np.median(counts):g} in {n_inputs} inputs (a tensor grid of halves and lines would "
        f"have {4**n_inputs:,})"
        for n_inputs, counts in sizes.items()
    )
    settings.note(f"coefficients of the POUnet: {used}")


def bump(x: np.ndarray) -> np.ndarray:
    """Return a smooth function that varies in a small part of the cube."""
    return np.exp(-np.sum(((x - 0.4) / 0.12) ** 2, axis=1)) + np.sin(x.sum(axis=1))


@case(
    "hp",
    "a smooth function with a local feature in 3 inputs, 4,000 random points: more partitions",
    error="RMSE / standard deviation on 10,000 unseen points",
    repeats=1,
    reference="one polynomial",
)
def run_hp(settings: Settings) -> Iterator[Measurement]:
    """Compare partitions of degree 3 with one polynomial of as many numbers to choose, ξ too."""
    counts = (1, 4) if settings.quick else (1, 2, 4, 8, 16)
    errors: dict[str, dict[int, list[float]]] = {}
    for count in counts:
        numbers = 20 * count + (6 * count if count > 1 else 0)
        group = f"{count} partitions, {numbers} numbers"
        methods = [
            pieces.one_polynomial("one polynomial", numbers),
            pieces.gaussians("Gaussian partitions, degree 3", count, 3),
        ]
        problems = [
            drawn(group, bump, (4000, 3), seed) for seed in range(1 if settings.quick else 3)
        ]
        for measured in compare(problems, methods, settings):
            errors.setdefault(measured.method, {}).setdefault(count, []).append(measured.error)
            yield measured
    for method, found in errors.items():
        logs = np.log10([np.median(found[count]) for count in counts])
        rate = -np.polyfit(np.log10(counts), logs, 1)[0]
        settings.note(f"{method}: error ~ N_part^-{rate:.2f}, from {10 ** logs[0]:.1e} to "
                      f"{10 ** logs[-1]:.1e}")  # fmt: skip

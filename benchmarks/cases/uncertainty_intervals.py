"""Noise, standard deviations and intervals: do they hold what they claim?"""

from __future__ import annotations

import math
import time
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from sklearn.datasets import load_diabetes
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import RBF, ConstantKernel, WhiteKernel

import adabasis as ab
from adabasis.regression import task as search

from ..data import steam_split, table_split
from ..fitting import Problem
from ..measure import timed
from ..records import Bar, Measurement
from ..registry import SUITES, Settings, SkippedError, case

COVERAGE, NORMAL = 0.9, 1.645
OURS, GAUSSIAN, MAPIE = "adabasis", "Gaussian process", "MAPIE, split, the same model"
SINE, SEEDS, MORE_SEEDS, SIGMA = "sine", 16, 64, 0.1
GROWS, TABLES, SPLITS = "noise grows with x", ("airfoil", "concrete", "energy"), 10
MEAN, WORST = "σ̂, mean of the seeds", "σ̂, worst seed"
NEW, OF_MEAN = "coverage of new values", "coverage of the mean function"
THIRDS, WIDTH = "least coverage of a third", "width over the Gaussian process's"
Bounds = tuple[np.ndarray, np.ndarray]


def _sine(seed: int, n: int = 200) -> Bounds:
    rng = np.random.default_rng(seed)
    x = rng.uniform(size=(n, 1))
    return x, np.sin(2 * np.pi * x[:, 0]) + SIGMA * rng.normal(size=n)


def _held(bounds: Bounds, truth: np.ndarray) -> np.ndarray:
    return (bounds[0] <= truth) & (truth <= bounds[1])


def _told(group: str, method: str, error: float, timing: Any, said: str = "") -> Measurement:
    return Measurement(
        group, group, method, 0, error, timing.seconds, 0.0, timing.cpu_seconds, None, said
    )


@case(
    "uncertainty-noise",
    "sin 2πx + N(0, .1²), 200 rows: the noise found, and what 90 % intervals hold",
    error="distance from the truth: relative, of σ̂; of coverages from .9",
    repeats=1,
    reference=MEAN,
    bars=(
        Bar(SINE, MEAN, "error", 0.05),
        Bar(SINE, WORST, "error", 0.2),
        Bar(SINE, NEW, "error", 0.04),
        Bar(SINE, OF_MEAN, "error", 0.06),
    ),
)
def noise(settings: Settings) -> Iterator[Measurement]:
    """Fit by default, many draws."""
    n = 4 if settings.quick else MORE_SEEDS
    grid = np.linspace(0, 1, 401)[:, None]
    truth = np.sin(2 * np.pi * grid[:, 0])
    sigma, new, mean = [], [], []
    with timed() as timing:
        for seed in range(n):
            settings.doing(f"seed {seed}")
            model = ab.fit(*_sine(seed))
            sigma.append(float(np.median(model.uncertainty(grid).noise)) / SIGMA)
            x, y = _sine(1000 + seed, 4000)
            new.append(np.mean(_held(model.predict_interval(x, COVERAGE), y)))
            mean.append(np.mean(_held(model.predict_interval(grid, COVERAGE, of="mean"), truth)))
    few = np.array(sigma[:SEEDS])
    yield _told(SINE, MEAN, abs(few.mean() - 1), timing, f"{few.mean():.3f} of the truth")
    worst = f"from {few.min():.3f} to {few.max():.3f}"
    yield _told(SINE, WORST, float(np.abs(few - 1).max()), timing, worst)
    for name, found in ((NEW, new), (OF_MEAN, mean)):
        average = float(np.mean(found))
        yield _told(SINE, name, abs(average - COVERAGE), timing, f"{average:.3f}")


def _growing(seed: int) -> Problem:
    rng = np.random.default_rng(seed)

    def rows(n: int) -> Bounds:
        x = rng.uniform(size=(n, 1))
        size = 0.02 + 0.3 * x[:, 0]
        return x, np.sin(2 * np.pi * x[:, 0]) + size * rng.normal(size=n)

    (x, y), (unseen, truth) = rows(400), rows(4000)
    return Problem(GROWS, f"{GROWS}, seed {seed}", x, y, unseen, truth, float(truth.std()))


def _ours(problem: Problem) -> Bounds:
    return ab.fit(problem.x, problem.y).predict_interval(problem.x_test, COVERAGE)


def _gaussian(problem: Problem) -> Bounds:
    mean, scale = problem.x.mean(axis=0), problem.x.std(axis=0)
    scale = np.where(scale > 0, scale, 1.0)
    kernel = ConstantKernel() * RBF(np.ones(problem.x.shape[1]), (1e-2, 1e3)) + WhiteKernel(0.1)
    model = GaussianProcessRegressor(kernel, normalize_y=True)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model.fit((problem.x - mean) / scale, problem.y)
    value, deviation = model.predict((problem.x_test - mean) / scale, return_std=True)
    return value - NORMAL * deviation, value + NORMAL * deviation


def _of_thirds(bounds: Bounds, truth: np.ndarray) -> list[float]:
    order, held = np.argsort(bounds[1] - bounds[0]), _held(bounds, truth)
    return [float(held[part].mean()) for part in np.array_split(order, 3)]


@case(
    "uncertainty-tables",
    "90 % intervals of new values on noise that grows and on tables, beside a Gaussian process",
    error="distance of the mean coverage from .9; by how much the worst third is below .8; widths",
    repeats=1,
    reference=NEW,
    bars=tuple(
        Bar(name, quantity, "error", limit)
        for name in (GROWS, *TABLES)
        for quantity, limit in ((NEW, 0.04), (THIRDS, 0.0), (WIDTH, 1.1))
    ),
)
def tables(settings: Settings) -> Iterator[Measurement]:
    """Average coverage over splits, in all and by thirds of the width."""
    for name in (GROWS, *TABLES):
        found: dict[str, list[tuple[float, list[float], float]]] = {OURS: [], GAUSSIAN: []}
        with timed() as timing:
            for split in range(1 if settings.quick else SPLITS):
                try:
                    problem = _growing(split) if name == GROWS else table_split(name, split)
                except SkippedError as error:
                    settings.note(f"{name}: {error}")
                    break
                for method, bounded in ((OURS, _ours), (GAUSSIAN, _gaussian)):
                    settings.doing(f"{problem.name}: {method}")
                    bounds = bounded(problem)
                    held = float(_held(bounds, problem.y_test).mean())
                    width = float(np.mean(bounds[1] - bounds[0]))
                    found[method].append((held, _of_thirds(bounds, problem.y_test), width))
        if not found[OURS]:
            continue
        coverage, thirds, width = _means(found[OURS])
        theirs, _, reference = _means(found[GAUSSIAN])
        said = f"{coverage:.3f}; {GAUSSIAN} {theirs:.3f}"
        yield _told(name, NEW, abs(coverage - COVERAGE), timing, said)
        shown = ", ".join(f"{one:.3f}" for one in thirds)
        yield _told(name, THIRDS, max(0.0, 0.8 - float(min(thirds))), timing, shown)
        yield _told(name, WIDTH, width / reference, timing, f"{width:.4g} and {reference:.4g}")


def _means(found: Sequence[tuple[float, list[float], float]]) -> tuple[float, np.ndarray, float]:
    coverage, thirds, width = zip(*found, strict=True)
    return float(np.mean(coverage)), np.mean(thirds, axis=0), float(np.mean(width))


# --- Ten sets of data ----------------------------------------------------------------------------


def _drawn(
    seed: int, n_inputs: int, function: Callable[..., Any], noise: Callable[..., Any]
) -> Any:
    rng = np.random.default_rng(seed)
    x = rng.uniform(size=(900, n_inputs))
    return x, function(x) + noise(rng, x)


def _diabetes() -> Any:
    x, y = load_diabetes(return_X_y=True)
    return x, y


def _table(name: str) -> Any:
    problem = table_split(name, 0)
    return np.concatenate([problem.x, problem.x_test]), np.append(problem.y, problem.y_test)


def _steam() -> Any:
    problem = steam_split(0, "all")
    return np.concatenate([problem.x, problem.x_test]), np.append(problem.y, problem.y_test)


SETS: Mapping[str, Callable[[], Any]] = {
    "airfoil": lambda: _table("airfoil"),
    "concrete": lambda: _table("concrete"),
    "energy": lambda: _table("energy"),
    "yacht": lambda: _table("yacht"),
    "diabetes": _diabetes,
    "steam": _steam,
    "normal noise": lambda: _drawn(
        1, 2, lambda x: np.sin(6 * x[:, 0]) * x[:, 1], lambda r, x: 0.1 * r.normal(size=len(x))
    ),
    "noise that grows": lambda: _drawn(
        2, 1, lambda x: np.sin(6 * x[:, 0]), lambda r, x: (0.02 + x[:, 0]) * r.normal(size=len(x))
    ),
    "heavy tails": lambda: _drawn(
        3, 3, lambda x: x.sum(axis=1), lambda r, x: 0.1 * r.standard_t(2, size=len(x))
    ),
    "skewed noise": lambda: _drawn(
        4, 5, lambda x: x[:, 0] * x[:, 1] + x[:, 2], lambda r, x: 0.2 * r.exponential(size=len(x))
    ),
}
FAILED, AVERAGE = "sets below the bound, less one", "shortfall of the mean"


@case(
    "uncertainty-conformal",
    "split-conformal intervals on ten sets of data, beside MAPIE on the same model",
    error="sets with less than .9 - 2 √(.09 (1/n + 1/m)), one allowed; by how much the mean is low",
    repeats=1,
    reference=OURS,
    bars=(Bar(FAILED, OURS, "error", 0.0), Bar(AVERAGE, OURS, "error", 0.01)),
)
def conformal(settings: Settings) -> Iterator[Measurement]:
    """Fit with rows held out; a third of each set is for the test."""
    found: dict[str, list[tuple[float, bool]]] = {OURS: [], MAPIE: []}
    names = list(SETS)[-3:] if settings.quick else list(SETS)
    with timed() as timing:
        for number, name in enumerate(names):
            settings.doing(name)
            try:
                x, y = SETS[name]()
            except SkippedError as error:
                settings.note(f"{name}: {error}")
                continue
            order = np.random.default_rng(number).permutation(len(x))
            test, rest = np.split(order, [len(x) // 3])
            model = ab.fit(x[rest], y[rest], holdout=0.3)
            n = len(model.error_model.scores)
            least = COVERAGE - 2 * math.sqrt(0.09 * (1 / n + 1 / len(test)))
            held = float(_held(model.predict_interval(x[test], COVERAGE), y[test]).mean())
            found[OURS].append((held, held < least))
            kept, calibration = np.split(rest, [round(0.7 * len(rest))])
            theirs = _mapie(ab.fit(x[kept], y[kept]), x[calibration], y[calibration], x[test])
            if theirs is not None:
                held = float(_held(theirs, y[test]).mean())
                found[MAPIE].append((held, held < least))
    if not found[MAPIE]:
        settings.note("MAPIE is not installed here: only our own intervals are measured")
    for method, each in found.items():
        if each:
            coverages, failed = zip(*each, strict=True)
            mean, said = float(np.mean(coverages)), ", ".join(f"{c:.3f}" for c in coverages)
            yield _told(FAILED, method, max(0.0, sum(failed) - 1.0), timing, said)
            yield _told(AVERAGE, method, max(0.0, COVERAGE - mean), timing, f"{mean:.3f}")


def _mapie(model: ab.Fitted, x: np.ndarray, y: np.ndarray, test: np.ndarray) -> Bounds | None:
    try:
        from mapie.regression import SplitConformalRegressor
        from sklearn.base import BaseEstimator, RegressorMixin
    except ImportError:
        return None

    class Known(RegressorMixin, BaseEstimator):
        is_fitted_ = True

        def fit(self, X: Any, y: Any) -> Any:
            return self

        def predict(self, X: Any) -> np.ndarray:
            return model(X)

    peer = SplitConformalRegressor(Known(), confidence_level=COVERAGE, prefit=True)
    _, intervals = peer.conformalize(x, y).predict_interval(test)
    return intervals[:, 0, 0], intervals[:, 1, 0]


# --- What it costs -------------------------------------------------------------------------------

COST, PREDICT, WITH_STD = "a table of five inputs", "predict", "predict with std"
FIT, FIT_ALONE = "fit", "fit without errors known"


@case(
    "uncertainty-cost",
    "predictions with standard deviations beside those without, and fits likewise",
    error="not measured",
    repeats=5,
    reference=PREDICT,
    bars=(
        Bar(COST, WITH_STD, "cpu_seconds", 3.0, to=PREDICT),
        Bar(COST, FIT, "cpu_seconds", 1.2, to=FIT_ALONE),
    ),
)
def cost(settings: Settings) -> Iterator[Measurement]:
    """Time each in turn, on one draw of rows."""
    rng = np.random.default_rng(0)
    x = rng.uniform(size=(300 if settings.quick else 1000, 5))
    y = np.sin(6 * x[:, 0]) * x[:, 1] + x[:, 2] + 0.2 * rng.normal(size=len(x))
    model, many = ab.fit(x, y), rng.uniform(size=(100_000, 5))
    known = search.known_errors

    def alone() -> Any:
        search.known_errors = lambda *about: None  # type: ignore[assignment]
        try:
            return ab.fit(x, y)
        finally:
            search.known_errors = known

    ways: dict[str, Callable[[], Any]] = {
        PREDICT: lambda: model.predict(many),
        WITH_STD: lambda: model.predict(many, return_std=True),
        FIT_ALONE: alone,
        FIT: lambda: ab.fit(x, y),
    }
    for repeat in range(settings.repeats):
        for name, way in ways.items():
            settings.doing(f"{name}, repeat {repeat}")
            start, wall = time.process_time(), time.perf_counter()
            way()
            cpu, wall = time.process_time() - start, time.perf_counter() - wall
            yield Measurement(COST, COST, name, repeat, math.nan, wall, 0.0, cpu)


SUITES["uncertainty"] = (
    *SUITES.get("uncertainty", ()),
    "uncertainty-noise",
    "uncertainty-tables",
    "uncertainty-conformal",
    "uncertainty-cost",
)

"""Parts with a noise level each: two regimes are found, and how likely unseen rows are.

Errors of levels are |σ̂/σ − 1|, σ̂ the geometric mean of the standard deviation of the noise over a
regime, a fiftieth of the interval on both sides of the border apart. Errors of likelihood are those
of which unseen rows are as likely as they are: exp(−mean ln p) / √(2πe), σ where that is known.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import RBF, ConstantKernel, WhiteKernel

from adabasis import fit_pounet

from ..measure import Timing, timed
from ..records import Bar, Measurement, Promise, Row
from ..registry import SUITES, Settings, case

SEEDS, ROWS, UNSEEN = 16, 1000, 4000
BORDER, BESIDE = 0.5, 0.02
LEVELS = (0.02, 0.2)
OURS, PLAIN, GP = "probabilistic POUnet", "POUnet, one σ", "heteroscedastic Gaussian process"
#: Rounds of mean, noise, mean again; seeds on which the others are fitted.
ROUNDS, SEEDS_OF_PLAIN, SEEDS_OF_GP = 3, 4, 2
FUNCTIONS = {"sine": lambda x: np.sin(2 * np.pi * x[:, 0]), "line": lambda x: x[:, 0]}
GROUPS = tuple(f"{name}, σ = {level:g}" for name in FUNCTIONS for level in LEVELS)


@dataclasses.dataclass(frozen=True)
class Worst:
    """A promise: no run of a method in a group has a larger error."""

    group: str
    method: str
    limit: float
    label: str = "largest error"

    def judge(self, rows: Sequence[Row]) -> tuple[float, bool] | None:
        """Return the largest error, and whether it keeps the promise; None if not measured."""
        for row in rows:
            if (row.group, row.method) == (self.group, self.method) and row.error:
                return row.error.most, row.error.most <= self.limit
        return None


def _promises() -> Iterator[Promise]:
    for group in GROUPS:
        yield Worst(group, OURS, 0.2)
        yield Bar(f"{group}, mean of the seeds", OURS, "error", 0.1)
    for name in FUNCTIONS:
        yield Bar(f"{name}, likelihood", OURS, "error", 1.0, PLAIN)


@case(
    "uncertainty-parts",
    "two regimes of noise, 1,000 rows, 16 seeds: levels, and the likelihood of unseen rows",
    error="|σ̂/σ − 1|; of likelihood, the error of which unseen rows are as likely",
    repeats=1,
    reference=OURS,
    bars=tuple(_promises()),
)
def run(settings: Settings) -> Iterator[Measurement]:
    """Find the levels on every seed; reduced, on two."""
    seeds = range(2 if settings.quick else SEEDS)
    for name, function in FUNCTIONS.items():
        found: list[np.ndarray] = []
        for seed in seeds:
            rng = np.random.default_rng(seed)
            x, unseen = rng.random((ROWS, 1)), rng.random((UNSEEN, 1))
            y, new = (function(z) + _noise(z) * rng.normal(size=len(z)) for z in (x, unseen))
            settings.doing(f"{name}, seed {seed}: {OURS}")
            with timed() as timing:
                model: Any = fit_pounet(x, y, noise="parts")
            found.append(_levels(model) / LEVELS)
            for level, ratio in zip(LEVELS, found[-1], strict=True):
                off = abs(float(ratio) - 1)
                yield _measured(f"{name}, σ = {level:g}", seed, OURS, off, timing)
            density = float(model.log_density(unseen, new).mean())
            yield _measured(f"{name}, likelihood", seed, OURS, _as_error(density), timing)
            if seed < SEEDS_OF_PLAIN:
                settings.doing(f"{name}, seed {seed}: {PLAIN}")
                with timed() as timing:
                    plain = fit_pounet(x, y)
                basis: Any = plain.basis
                free = ROWS - plain.rank - (basis.n_partitions - 1)
                variance = float(np.sum((y - plain(x)) ** 2)) / free
                density = _log_density(new - plain(unseen), np.full(UNSEEN, variance))
                yield _measured(f"{name}, likelihood", seed, PLAIN, _as_error(density), timing)
            if seed < (0 if settings.quick else SEEDS_OF_GP):
                settings.doing(f"{name}, seed {seed}: {GP}")
                with timed() as timing:
                    mean, spread = heteroscedastic(x, y, unseen)
                density = _log_density(new - mean, spread)
                yield _measured(f"{name}, likelihood", seed, GP, _as_error(density), timing)
        for level, ratio in zip(LEVELS, np.mean(found, axis=0), strict=True):
            group = f"{name}, σ = {level:g}, mean of the seeds"
            yield _measured(group, 0, OURS, abs(float(ratio) - 1), timing)


def _measured(group: str, seed: int, method: str, error: float, timing: Timing) -> Measurement:
    of_time = timing.seconds, timing.compile_seconds, timing.cpu_seconds
    return Measurement(group, f"seed {seed}", method, 0, error, *of_time)


def _noise(x: np.ndarray) -> np.ndarray:
    return np.where(x[:, 0] < BORDER, *LEVELS)


def _levels(model: Any) -> np.ndarray:
    """Return the standard deviation of the noise in both regimes."""
    x = np.linspace(0, BORDER - BESIDE, 200)
    both = np.concatenate([x, 1 - x])[:, None]
    deviation = np.sqrt(model.variances(both)[1][:, 0])
    return np.exp([np.log(half).mean() for half in np.split(deviation, 2)])


def _as_error(log_density: float) -> float:
    return math.exp(-log_density - 0.5) / math.sqrt(2 * math.pi)


def _log_density(off: np.ndarray, variance: np.ndarray) -> float:
    each = off**2 / variance + np.log(variance) + math.log(2 * math.pi)
    return float(-0.5 * each.mean())


def heteroscedastic(
    x: np.ndarray, y: np.ndarray, unseen: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return means and variances of new values by two Gaussian processes, mean and ln noise.

    The logarithm of the squared residuals, 1.27 below that of the variance in the mean, is smoothed
    by the second (Kersting et al., ICML 2007, without sampling).
    """
    kernel = ConstantKernel(1.0) * RBF(0.3) + WhiteKernel(0.05)
    process = GaussianProcessRegressor(kernel, normalize_y=True).fit(x, y)
    residual, smooth = y - process.predict(x), process.kernel_.k1
    for _ in range(ROUNDS):
        logs = np.log(residual**2 + 1e-12) + 1.27
        of_noise = GaussianProcessRegressor(kernel, normalize_y=True).fit(x, logs)
        alpha = np.exp(of_noise.predict(x)) / y.var()
        process = GaussianProcessRegressor(smooth, alpha=alpha, normalize_y=True).fit(x, y)
        residual, smooth = y - process.predict(x), process.kernel_
    mean, deviation = process.predict(unseen, return_std=True)
    return mean, deviation**2 + np.exp(of_noise.predict(unseen))


SUITES["uncertainty"] = (*SUITES.get("uncertainty", ()), "uncertainty-parts")

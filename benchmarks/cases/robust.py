"""A few wild values among the rows: what they do to a fit, by different losses."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator

import numpy as np
from sklearn.ensemble import HistGradientBoostingRegressor
from sklearn.linear_model import HuberRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from adabasis import FrozenFeatures
from adabasis.regression.api import fit

from ..fitting import Method, Outcome, Problem, compare
from ..methods.ours import fitted_outcome
from ..records import Bar, Measurement
from ..registry import Settings, case

SHARES, SEEDS, WIDTH, NOISE, UNSEEN = (0, 1, 5, 20), 3, 64, 0.1, 2000
#: Functions, their inputs and rows.
FUNCTIONS: dict[str, tuple[Callable[[np.ndarray], np.ndarray], int, int]] = {
    "sine": (lambda x: np.sin(2 * np.pi * x[:, 0]), 1, 300),
    "product": (lambda x: np.sin(3 * x[:, 0]) * np.cos(4 * x[:, 1]), 2, 400),
    "five inputs": (lambda x: np.sin(2 * x[:, 0] + x[:, 1]) + x[:, 2] * x[:, 3], 5, 600),
}
CLEAN, OURS = "clean rows, squares", "adabasis, Huber"


@dataclasses.dataclass(frozen=True)
class Spoiled(Problem):
    """Rows of which some values are wild, and the values as they were."""

    clean: np.ndarray = dataclasses.field(default_factory=lambda: np.empty(0))


def problem(name: str, share: int, seed: int) -> Spoiled:
    """Return noisy rows, so many per cent of them wild: half far above, half on both sides."""
    function, n_inputs, n_rows = FUNCTIONS[name]
    rng = np.random.default_rng([seed, share])
    x, unseen = (rng.uniform(size=(n, n_inputs)) for n in (n_rows, UNSEEN))
    truth, spread = function(unseen), float(function(unseen).std())
    clean = function(x) + NOISE * spread * rng.normal(size=n_rows)
    y, wild = clean.copy(), rng.permutation(n_rows)[: round(share * n_rows / 100)]
    y[wild[::2]] += 1000 * spread
    y[wild[1::2]] += 3 * spread * rng.normal(size=len(wild[1::2]))
    about = (f"{share} %", f"{name} {seed}", x, y, unseen, truth, spread)
    return Spoiled(*about, clean=clean)


def _ours(name: str, *, clean: bool = False, **options: object) -> Method:
    def run(problem: Problem, seed: int) -> Outcome:
        assert isinstance(problem, Spoiled)
        y = problem.clean if clean else problem.y
        return fitted_outcome(fit(problem.x, y, FrozenFeatures(WIDTH), **options))

    return Method(name, run)


def _huber(problem: Problem, seed: int) -> Outcome:
    # Functions and outputs are standardised: in other units it stops early without a word.
    middle = np.median(problem.y)
    scale = 1.4826 * np.median(np.abs(problem.y - middle))
    functions = fit(problem.x, problem.y, FrozenFeatures(WIDTH), method="frozen").functions
    model = make_pipeline(StandardScaler(), HuberRegressor(max_iter=10_000))
    model.fit(functions(problem.x), (problem.y - middle) / scale)
    return Outcome(lambda x: middle + scale * model.predict(functions(x)))


def _boosting(problem: Problem, seed: int) -> Outcome:
    model = HistGradientBoostingRegressor(loss="absolute_error", random_state=seed)
    return Outcome(model.fit(problem.x, problem.y).predict)


@case(
    "robust",
    "wild values among 0, 1, 5 and 20 % of the rows: losses side by side",
    error="RMSE from the truth / standard deviation on 2,000 unseen points",
    repeats=1,
    reference=CLEAN,
    bars=(
        Bar("0 %", OURS, "error_ratio", 1.3),
        Bar("1 %", OURS, "error_ratio", 1.3),
        Bar("5 %", OURS, "error_ratio", 1.3),
    ),
)
def run(settings: Settings) -> Iterator[Measurement]:
    """Compare on three functions, several draws each."""
    methods = [
        _ours(CLEAN, clean=True),
        _ours(OURS, loss="huber"),
        _ours("adabasis, absolute", loss="absolute"),
        _ours("adabasis, squares"),
        Method("HuberRegressor, same functions", _huber),
        Method("boosting, absolute", _boosting),
    ]
    seeds = range(1 if settings.quick else SEEDS)
    names = list(FUNCTIONS)[: 1 if settings.quick else None]
    problems = [problem(n, share, seed) for share in SHARES for n in names for seed in seeds]
    yield from compare(problems, methods, settings)

"""Growth: default fits beside an earlier build, boosting and a stock network, each in its process.

The suite ``growth`` runs all of it. CPU seconds are of whole processes on one core, imports and
compilation among them, but for peers of ``.venv-bench``, whose imports are not counted.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Sequence

import numpy as np
from sklearn.datasets import load_digits
from sklearn.model_selection import StratifiedKFold

from ..data import table_split
from ..fitting import Method, Outcome, Problem, compare
from ..methods.alone import Alone, alone, checkout, filled
from ..methods.peers import peers
from ..records import Bar, BestOf, Measurement
from ..registry import SUITES, Settings, case
from .classes import Classes
from .tables import NAMES, SPLITS

#: The last build that did not grow.
COMMIT = "7fa67af"
OURS, OLD, SECOND = "adabasis", f"adabasis {COMMIT}", "adabasis, second process"
MLP, BOOSTING = "MLP (128, 128)", "HistGradientBoosting"
LIGHT, CAT, REAL = "LightGBM", "CatBoost", "RealMLP"
NOISE, UNSEEN = 0.05, 20_000
KIN40K, RELATIVE = "kin40k", "RMSE from the clean function / its standard deviation, unseen points"
#: Rows, and the error and CPU seconds that are promised.
MANY = {10_000: (0.0115, 15.0), 100_000: (0.0052, 45.0), 1_000_000: (0.003, 240.0)}


def five_inputs(x: np.ndarray) -> np.ndarray:
    """Return sin 3x₀x₁ + exp(−x₂²) x₃ + ½ cos 4x₄."""
    return (
        np.sin(3 * x[:, 0] * x[:, 1])
        + np.exp(-(x[:, 2] ** 2)) * x[:, 3]
        + 0.5 * np.cos(4 * x[:, 4])
    )


#: Clean smooth functions by their number of inputs.
SMOOTH: dict[int, Callable[[np.ndarray], np.ndarray]] = {
    2: lambda x: np.exp(-2 * x[:, 0] ** 2) * np.sin(4 * x[:, 1] + 2 * x[:, 0]) + x[:, 0] * x[:, 1],
    4: lambda x: np.sin(3 * x[:, 0] * x[:, 1]) + np.cos(2 * x[:, 2] + x[:, 3] ** 2) * x[:, 0],
    8: lambda x: np.sin(2 * x[:, :-1] * x[:, 1:]).sum(axis=1) + np.exp(-np.mean(x**2, axis=1)),
}


def drawn(
    group: str,
    function: Callable[[np.ndarray], np.ndarray],
    n_inputs: int,
    n_rows: int,
    seed: int,
    noise: float = 0.0,
) -> Problem:
    """Return even rows of [−1, 1]^D with noise, judged against the function without."""
    rng = np.random.default_rng([seed, n_rows, n_inputs])
    x, unseen = (rng.uniform(-1, 1, (n, n_inputs)) for n in (n_rows, UNSEEN))
    y, truth = function(x) + noise * rng.normal(size=n_rows), function(unseen)
    return Problem(group, f"{group}, draw {seed}", x, y, unseen, truth, float(truth.std()))


def noisy(n_rows: int, seed: int) -> Problem:
    """Return rows of the function of five inputs."""
    return drawn(f"{n_rows:,} rows", five_inputs, 5, n_rows, seed, NOISE)


def mlp(labels: bool = False) -> Method:
    """Return scikit-learn's network of two layers, standardised, stopped early."""
    return alone(MLP, "mlp", labels=labels)


def ours(labels: bool = False) -> Method:
    """Return a default fit."""
    return alone(OURS, "adabasis", labels=labels)


def old(settings: Settings, labels: bool = False) -> list[Method]:
    """Return a default fit of the earlier build, where git has it, and note where it has not."""
    source, why = checkout(COMMIT)
    if source is None:
        settings.note(f"without {OLD}: {why}")
        return []
    return [alone(OLD, "adabasis", source=source, labels=labels)]


def once(settings: Settings) -> Settings:
    """Return the settings for problems that are drawn anew instead of being repeated."""
    return dataclasses.replace(settings, repeats=1)


@case(
    "growth-small",
    "a noisy function of five inputs, 1,000 rows: default fits, cold and with what was compiled",
    error=RELATIVE,
    repeats=3,
    reference=OLD,
    bars=(
        Bar("1,000 rows", OURS, "cpu_seconds", 1 / 5, OLD),
        Bar("1,000 rows", SECOND, "cpu_seconds", 0.6, OURS),
        Bar("1,000 rows", OURS, "error", 1.05, OLD),
    ),
)
def small(settings: Settings) -> Iterator[Measurement]:
    """Compare on a few rows, a draw for each repeat."""
    problems = [noisy(1000, seed) for seed in range(settings.repeats)]
    methods = [ours(), filled(SECOND, "adabasis"), *old(settings), mlp()]
    yield from compare(problems, methods, once(settings))


@case(
    "growth-tables",
    "airfoil, yacht, concrete and energy, ten splits: default fits and boosting",
    error="test RMSE / standard deviation of the training y",
    repeats=1,
    reference=OLD,
    bars=(
        *(Bar(name, OURS, "cpu_seconds", 1 / 4, OLD) for name in NAMES),
        *(Bar(n, OURS, "error", 0.93 if n == "concrete" else 1.03, OLD) for n in NAMES),
        BestOf(NAMES, OURS, (CAT, LIGHT), least=3),
    ),
)
def tables(settings: Settings) -> Iterator[Measurement]:
    """Compare on every split; reduced, on the first of two tables."""
    names, splits = (("concrete", "airfoil"), SPLITS[:1]) if settings.quick else (NAMES, SPLITS)
    methods = [ours(), *old(settings), *peers(settings, CAT, LIGHT)]
    for name in names:
        yield from compare([table_split(name, split) for split in splits], methods, settings)


@case(
    "growth-kin40k",
    "kin40k, splits 0 to 2: default fits, a stock network and boosting",
    error="test RMSE / standard deviation of the training y",
    repeats=1,
    reference=MLP,
    bars=(
        Bar(KIN40K, OURS, "error", 0.4, MLP),
        Bar(KIN40K, OURS, "error", 0.025),
        Bar(KIN40K, OURS, "cpu_seconds", 0.5, MLP),
    ),
)
def kin40k(settings: Settings) -> Iterator[Measurement]:
    """Compare on three splits; reduced, on the first."""
    problems = [table_split(KIN40K, split) for split in range(1 if settings.quick else 3)]
    methods = [ours(), mlp(), *peers(settings, LIGHT, CAT, REAL)]
    yield from compare(problems, methods, settings)


@case(
    "growth-large",
    "a noisy function of five inputs, 10⁴ to 10⁶ rows: default fits, a stock network, boosting",
    error=RELATIVE,
    repeats=3,
    reference=MLP,
    bars=tuple(
        bar
        for n_rows, (error, seconds) in MANY.items()
        for group in [f"{n_rows:,} rows"]
        for bar in (
            Bar(group, OURS, "error", error),
            Bar(group, OURS, "cpu_seconds", seconds),
            Bar(group, OURS, "error", 1.0, MLP),
            Bar(group, OURS, "error", 1.0, BOOSTING),
        )
    ),
)
def large(settings: Settings) -> Iterator[Measurement]:
    """Compare on more and more rows, a draw for each repeat; reduced, on the fewest."""
    methods = [ours(), mlp(), alone(BOOSTING, "boosting")]
    for n_rows in list(MANY)[: 1 if settings.quick else None]:
        problems = [noisy(n_rows, seed) for seed in range(settings.repeats)]
        yield from compare(problems, methods, once(settings))


FEW, TENFOLD = f"{OURS}, 20,000 rows", f"{OURS}, 200,000 rows"


@case(
    "growth-clean",
    "clean smooth functions of 2, 4 and 8 inputs: what ten times the rows are worth",
    error=RELATIVE,
    repeats=3,
    reference=FEW,
    bars=tuple(Bar(f"{d} inputs", TENFOLD, "error", 0.5, FEW, enough=1e-6) for d in SMOOTH),
)
def clean(settings: Settings) -> Iterator[Measurement]:
    """Fit the first rows and all of them; reduced, a tenth of those of two inputs."""
    n_rows = 20_000 if settings.quick else 200_000

    def part(name: str, few: int) -> Method:
        def fit(problem: Problem, seed: int) -> Outcome:
            part = dataclasses.replace(problem, x=problem.x[:few], y=problem.y[:few])
            return Alone("adabasis").outcome(part, seed)

        return Method(name, fit)

    methods = [part(FEW, n_rows // 10), part(TENFOLD, n_rows)]
    for d in list(SMOOTH)[: 1 if settings.quick else None]:
        seeds = range(settings.repeats)
        problems = [drawn(f"{d} inputs", SMOOTH[d], d, n_rows, seed) for seed in seeds]
        yield from compare(problems, methods, once(settings))


PLAIN = "best plain candidate"
FIRST, COLD, WARM = "max_seconds=.01, cold", "max_seconds=2, cold", "max_seconds=2, warm"
ANYTIME = ("1,000 rows", "10,000 rows")


@case(
    "growth-anytime",
    "five inputs, 1,000 and 10,000 rows: the first answer, and that of two seconds",
    error=RELATIVE,
    repeats=3,
    reference=PLAIN,
    bars=tuple(
        Bar(group, name, quantity, limit, to)
        for group in ANYTIME
        for name, seconds in ((FIRST, 5.0), (COLD, 5.0), (WARM, 2.5))
        for quantity, limit, to in (("cpu_seconds", seconds, ""), ("error", 1.0, PLAIN))
    ),
)
def anytime(settings: Settings) -> Iterator[Measurement]:
    """Give a budget that is over at once, and two seconds, cold and after a fit of the same rows.

    The budget is of wall-clock seconds: on a machine that is busy the processor does less in it.
    """
    methods = [
        alone(PLAIN, "plain"),
        alone(FIRST, "adabasis", options={"max_seconds": 0.01}),
        alone(COLD, "adabasis", options={"max_seconds": 2.0}),
        alone(WARM, "adabasis", options={"max_seconds": 2.0}, before=1),
    ]
    problems = [noisy(n, seed) for seed in range(settings.repeats) for n in (1000, 10_000)]
    yield from compare(problems, methods, once(settings))


MEMORY = "10 inputs"


@case(
    "growth-memory",
    "peak memory of a default fit of a million rows of 10 inputs",
    error="peak memory of the process above that with 1,000 rows / size of the rows",
    repeats=1,
    reference=OURS,
    bars=(Bar(MEMORY, OURS, "error", 4.0),),
)
def memory(settings: Settings) -> Iterator[Measurement]:
    """Compare the largest resident sizes of two processes; reduced, a tenth of the rows."""
    n_rows = 100_000 if settings.quick else 1_000_000
    for repeat in range(settings.repeats):
        records = []
        for n in (1000, n_rows):
            settings.doing(f"{n:,} rows, repeat {repeat}")
            problem = drawn(MEMORY, lambda x: five_inputs(x) + x[:, 5:].sum(1), 10, n, repeat, 0.05)
            records.append(Alone("adabasis").run(problem, repeat)[1])
        size = problem.x.nbytes + problem.y.nbytes
        few, many = records
        status = f"{many['memory'] / 1e6:,.0f} MB, of 1,000 rows {few['memory'] / 1e6:,.0f} MB"
        ratio = (many["memory"] - few["memory"]) / size
        spent = many["seconds"], 0.0, many["cpu_seconds"]
        yield Measurement(
            MEMORY, f"{n_rows:,} rows", OURS, repeat, ratio, *spent, many["steps"], status
        )


@case(
    "growth-digits",
    "scikit-learn's digits, ten folds: default fits and a stock network",
    error="share of wrong labels",
    repeats=1,
    reference=OLD,
    bars=(
        Bar("digits", OURS, "cpu_seconds", 1 / 6, OLD),
        Bar("digits", OURS, "error", 1.0, OLD),
    ),
)
def digits(settings: Settings) -> Iterator[Measurement]:
    """Compare on every fold; the means are noted, as medians of shares are coarse."""
    x, y = load_digits(return_X_y=True)
    folds = StratifiedKFold(10, shuffle=True, random_state=0).split(x, y)
    problems = [
        Classes("digits", f"fold {i}", x[kept], y[kept], x[out], y[out], 1.0)
        for i, (kept, out) in enumerate(folds)
    ]
    methods = [ours(labels=True), *old(settings, labels=True), mlp(labels=True)]
    measured = []
    for m in compare(problems[: 1 if settings.quick else None], methods, settings):
        measured.append(m)
        yield m
    settings.note(", ".join(f"{m.name} {_mean(measured, m.name):.4f}" for m in methods))


def _mean(measured: Sequence[Measurement], method: str) -> float:
    return float(np.mean([m.error for m in measured if m.method == method]))


SUITES["growth"] = (
    "growth-small",
    "growth-tables",
    "growth-kin40k",
    "growth-large",
    "growth-clean",
    "growth-anytime",
    "growth-memory",
    "growth-digits",
    "growth-tolerance",
    "growth-curves",
    "prediction",
)

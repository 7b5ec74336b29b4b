"""Comparisons of two models, shares of variance, sets of labels: do they keep what they claim?"""

from __future__ import annotations

import dataclasses
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from scipy import stats
from sklearn.datasets import (
    load_breast_cancer,
    load_digits,
    load_iris,
    load_wine,
    make_classification,
    make_moons,
)

import adabasis as ab
from adabasis.evidence.label_sets import HeldOutLabels
from adabasis.evidence.sobol import Marginals, estimated
from adabasis.models.importance import EVALUATIONS

from ..measure import timed
from ..records import Bar, Measurement
from ..registry import SUITES, Settings, case

OURS = "adabasis"
Errors = tuple[np.ndarray, np.ndarray]

# --- Two models on the same rows -----------------------------------------------------------------

DRAWS, ROWS, LEVEL = 200, 1000, 0.05
RATIO, WILCOXON = "standard error of the ratio", "Wilcoxon, squared errors"
BETTER = "a tenth less, normal errors"


def _shared(rng: np.random.Generator, n: int) -> Errors:
    both = rng.standard_t(3, size=n)
    return both + 0.3 * rng.normal(size=n), both + 0.3 * rng.normal(size=n)


def _sized(rng: np.random.Generator, n: int) -> Errors:
    size = np.exp(1.5 * rng.normal(size=n))
    return size * rng.normal(size=n), size * rng.normal(size=n)


#: Errors of two models of equal error.
EQUAL: dict[str, Callable[[np.random.Generator, int], Errors]] = {
    "normal errors": lambda rng, n: (rng.normal(size=n), rng.normal(size=n)),
    "t of 3": lambda rng, n: (rng.standard_t(3, n), rng.standard_t(3, n)),
    "mostly shared": _shared,
    "lognormal sizes": _sized,
    "Laplace against normal": lambda rng, n: (
        rng.normal(size=n),
        rng.laplace(size=n) / np.sqrt(2),
    ),
}


def _ours(errors: Errors) -> float:
    a, b = errors
    x = np.random.default_rng(0).uniform(size=(len(a), 1))
    found = ab.compare(lambda X: a, lambda X: b, x, np.zeros(len(a)), level=LEVEL)
    return float(found.better is not None)


def _ratio(errors: Errors) -> float:
    a, b = (e**2 for e in errors)
    each = 0.5 * (a / a.mean() - b / b.mean())
    value = 0.5 * np.log(a.mean() / b.mean()) / (each.std(ddof=1) / np.sqrt(len(a)))
    return float(2 * stats.t.sf(abs(value), len(a) - 1) < LEVEL)


def _wilcoxon(errors: Errors) -> float:
    return float(stats.wilcoxon(errors[0] ** 2 - errors[1] ** 2).pvalue < LEVEL)


@case(
    "uncertainty-compare",
    "two models on 1,000 rows, 200 draws: false alarms at 5 %, and a tenth less error missed",
    error="share of draws that are wrong: a difference is claimed, or, if there is one, is not",
    repeats=1,
    reference=OURS,
    bars=(
        *(Bar(name, OURS, "error", 16 / 200) for name in EQUAL),
        Bar(BETTER, OURS, "error", 0.2),
    ),
)
def comparisons(settings: Settings) -> Iterator[Measurement]:
    """Draw errors of pairs of models, those of the last one a tenth larger."""
    tests = {OURS: _ours, RATIO: _ratio, WILCOXON: _wilcoxon}
    n_draws = 20 if settings.quick else DRAWS
    draws = {**EQUAL, BETTER: lambda rng, n: (rng.normal(size=n), 1.1 * rng.normal(size=n))}
    for name, draw in draws.items():
        settings.doing(name)
        for method, test in tests.items():
            rng = np.random.default_rng(1)
            with timed() as timing:
                claimed = float(np.mean([test(draw(rng, ROWS)) for _ in range(n_draws)]))
            wrong = 1 - claimed if name == BETTER else claimed
            yield _measurement(name, f"{n_draws} draws", method, 0, wrong, timing)


# --- Shares of variance --------------------------------------------------------------------------

A, B = 7.0, 0.1
TOTAL = np.array([0.5576, 0.4424, 0.2437])
FUNCTION, GROUP = "the function itself", "Ishigami"


def ishigami(x: np.ndarray) -> np.ndarray:
    """Return sin x₁ + 7 sin² x₂ + 0.1 x₃⁴ sin x₁."""
    return np.sin(x[:, 0]) + A * np.sin(x[:, 1]) ** 2 + B * x[:, 2] ** 4 * np.sin(x[:, 0])


@case(
    "uncertainty-importance",
    "total Sobol indices of the Ishigami function by a default fit of 5,000 rows",
    error="largest difference from the exact total indices",
    repeats=1,
    reference=FUNCTION,
    bars=(Bar(GROUP, OURS, "error", 0.01),),
)
def shares(settings: Settings) -> Iterator[Measurement]:
    """Fit and integrate, beside the integral of the function itself; reduced, fewer rows."""
    for repeat in range(settings.repeats):
        rng = np.random.default_rng(repeat)
        x = rng.uniform(-np.pi, np.pi, (500 if settings.quick else 5000, 3))
        settings.doing(f"draw {repeat}")
        model = ab.fit(x, ishigami(x), random_state=repeat)
        with timed() as timing:
            found = ab.importance(model, random_state=repeat)
        off = np.abs(np.array([one.total for one in found.columns]) - TOTAL).max()
        told = f"{found.how}; relative error {model.validation_error:.1e}"
        yield _measurement(GROUP, f"draw {repeat}", OURS, repeat, float(off), timing, told)
        box = Marginals(3, [(0,), (1,), (2,)], [np.array([-np.pi, np.pi])] * 3)
        with timed() as timing:
            known = estimated(lambda x: ishigami(x)[:, None], box, EVALUATIONS, 0.9, repeat)
        off = np.abs(known.total[0] - TOTAL).max()
        yield _measurement(GROUP, f"draw {repeat}", FUNCTION, repeat, float(off), timing, known.how)


# --- Sets of labels, calibration -----------------------------------------------------------------

COVERAGE, ALL = 0.9, "mean of all"
PLAIN, CALIBRATED = "as fitted", "calibrated"


def _made(n_rows: int, n_classes: int, flipped: float) -> tuple[np.ndarray, np.ndarray]:
    options: dict[str, Any] = {"n_informative": 6, "flip_y": flipped, "random_state": 0}
    return make_classification(n_rows, 10, n_classes=n_classes, **options)


#: Rows and labels: half of them are fitted.
LABELLED: dict[str, Callable[[], tuple[np.ndarray, np.ndarray]]] = {
    "iris": lambda: load_iris(return_X_y=True),
    "wine": lambda: load_wine(return_X_y=True),
    "breast cancer": lambda: load_breast_cancer(return_X_y=True),
    "digits": lambda: load_digits(return_X_y=True),
    "moons": lambda: make_moons(1000, noise=0.4, random_state=0),
    "two classes, a tenth flipped": lambda: _made(1000, 2, 0.1),
    "three classes, a fifth flipped": lambda: _made(1500, 3, 0.2),
    "five classes, a tenth flipped": lambda: _made(1000, 5, 0.1),
    "three classes, half flipped": lambda: _made(600, 3, 0.5),
    "six classes": lambda: _made(2000, 6, 0.0),
}


@dataclasses.dataclass(frozen=True)
class Halves:
    """Rows to fit and rows to judge by."""

    x: np.ndarray
    y: np.ndarray
    x_test: np.ndarray
    y_test: np.ndarray

    @classmethod
    def of(cls, name: str, seed: int) -> Halves:
        """Return the halves of one draw."""
        x, y = LABELLED[name]()
        order = np.random.default_rng(seed).permutation(len(x))
        kept, out = np.array_split(order, 2)
        return cls(x[kept], y[kept], x[out], y[out])


@case(
    "uncertainty-sets",
    "sets of labels of coverage .9 on ten data sets, half of the rows fitted",
    error="how far the coverage falls short of .9, over twice its standard deviation by chance; "
    "of all together, the difference of the mean",
    repeats=1,
    reference=OURS,
    bars=(*(Bar(name, OURS, "error", 1.0) for name in LABELLED), Bar(ALL, OURS, "error", 0.01)),
)
def label_sets(settings: Settings) -> Iterator[Measurement]:
    """Fit by default, count what is covered; reduced, on three sets."""
    for repeat in range(settings.repeats):
        covered = []
        for name in list(LABELLED)[: 3 if settings.quick else None]:
            settings.doing(f"{name}, draw {repeat}")
            data = Halves.of(name, repeat)
            with timed() as timing, warnings.catch_warnings():
                warnings.simplefilter("ignore", UserWarning)
                model = ab.classify(data.x, data.y, random_state=repeat)
                inside = model.predict_set(data.x_test, COVERAGE)
            index = np.searchsorted(model.classes, data.y_test)
            share = float(inside[np.arange(len(index)), index].mean())
            assert model.held_out_labels is not None
            n_known = len(model.held_out_labels.index)
            by_chance = np.sqrt(COVERAGE * (1 - COVERAGE) * (1 / n_known + 1 / len(index)))
            covered.append(share)
            told = f"{share:.3f} covered by {inside.sum(axis=1).mean():.2f} labels, {n_known} rows"
            short = float((COVERAGE - share) / (2 * by_chance))
            yield _measurement(name, f"draw {repeat}", OURS, repeat, short, timing, told)
        mean = COVERAGE - float(np.mean(covered))
        yield _measurement(ALL, f"draw {repeat}", OURS, repeat, mean, timing)


@case(
    "uncertainty-calibration",
    "probabilities of classes with and without calibration, half of the rows fitted",
    error="cross-entropy of the other half",
    repeats=1,
    reference=PLAIN,
    bars=tuple(Bar(name, CALIBRATED, "error", 1.03, PLAIN) for name in LABELLED),
)
def calibration(settings: Settings) -> Iterator[Measurement]:
    """Fit both ways; reduced, on three sets. What they show is the calibration error."""
    for repeat in range(settings.repeats):
        for name in list(LABELLED)[: 3 if settings.quick else None]:
            data = Halves.of(name, repeat)
            for method in (PLAIN, CALIBRATED):
                settings.doing(f"{name}, {method}, draw {repeat}")
                with timed() as timing:
                    model = ab.classify(
                        data.x, data.y, calibrate=method == CALIBRATED, random_state=repeat
                    )
                p, index = (
                    model.probabilities(data.x_test),
                    np.searchsorted(model.classes, data.y_test),
                )
                cost = -float(np.log(np.maximum(p[np.arange(len(p)), index], 1e-15)).mean())
                found = HeldOutLabels.of(p, index, None, None, "").reliability
                claimed = model.reliability
                told = f"calibration error {found.error:.3f} (chance {found.by_chance:.3f})"
                told += f", claimed {claimed.error:.3f}" if claimed else ""
                told += f", temperature {model.temperature:.2f}"
                yield _measurement(name, f"draw {repeat}", method, repeat, cost, timing, told)


def _measurement(
    group: str, problem: str, method: str, repeat: int, error: float, timing: Any, told: str = ""
) -> Measurement:
    spent = timing.seconds, timing.compile_seconds, timing.cpu_seconds
    return Measurement(group, problem, method, repeat, error, *spent, None, told)


SUITES["uncertainty"] = (
    *SUITES.get("uncertainty", ()),
    "uncertainty-compare",
    "uncertainty-importance",
    "uncertainty-sets",
    "uncertainty-calibration",
)

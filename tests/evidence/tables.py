"""Constructed tables, classes and pieces, the truth known: what is claimed beside what is true.

A case draws rows, fits them with the default call, and draws fresh rows from where the first came:
the true error is that on the fresh ones.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

import adabasis as ab

#: Fresh rows that a true error is taken on.
FRESH = 20_000
Rows = tuple[np.ndarray, np.ndarray]
Draw = Callable[[np.random.Generator, int], Any]


@dataclasses.dataclass(frozen=True)
class Case:
    """Rows to fit, and where fresh ones come from.

    Attributes
    ----------
    name : str
    n : int
        Rows that are fitted.
    draw : callable
        From a generator and n to (X, y), with ``grouped`` to (X, y, groups).
    call : callable
        A public function.
    options : mapping
    fresh : callable, optional
        Where fresh rows come from, if they are not drawn like the others.
    grouped : bool
    quick : bool
        Whether every run of the tests tries it.
    rare : bool
        Whether most of the true error comes from where no row lies: fewer than 3/n of fresh rows.
    """

    name: str
    n: int
    draw: Draw
    call: Callable[..., Any] = ab.fit
    options: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    fresh: Draw | None = None
    grouped: bool = False
    quick: bool = False
    rare: bool = False


@dataclasses.dataclass(frozen=True)
class Outcome:
    """What was claimed, what is true, also without the worst 3/n of fresh rows, and the words."""

    claimed: float
    true: float
    likely: float | None
    words: str
    model: Any

    @property
    def ratio(self) -> float:
        """The claim over the truth; errors below 1e-13 are round-off, and alike."""
        return max(self.claimed, 1e-13) / max(self.true, 1e-13)


CASES: dict[str, Case] = {}


def add(name: str, n: int, **about: Any) -> Callable[[Draw], Draw]:
    """Register what follows as a case."""

    def register(draw: Draw) -> Draw:
        CASES[name] = Case(name, n, draw, **about)
        return draw

    return register


def run(case: Case, seed: int = 0) -> Outcome:
    """Fit a case's rows, and compare the claim with the error on fresh ones."""
    X, y, *groups = case.draw(np.random.default_rng([seed, 0]), case.n)
    options = dict(case.options) | ({"groups": groups[0]} if case.grouped else {})
    model = case.call(X, y, **options)
    Z, t, *_ = (case.fresh or case.draw)(np.random.default_rng([seed, 1]), FRESH)
    likely = None
    if model.solved_from == "numbers":
        error = np.sort(np.square(model(Z) - t))[: -int(3 / case.n * FRESH)]
        likely = float(np.sqrt(error.mean()) / np.std(t))
    return Outcome(model.validation_error, true_error(model, Z, t), likely, model.verdict, model)


def true_error(model: Any, Z: np.ndarray, t: np.ndarray) -> float:
    """Return the relative error on rows, in the unit of the model's own claim."""
    if model.solved_from == "classes":
        at = np.searchsorted(model.classes, t)
        surprise = -np.log(np.maximum(model.probabilities(Z)[np.arange(len(t)), at], 1e-15))
        share = np.bincount(at, minlength=len(model.classes)) / len(t)
        return float(surprise.mean() / -np.sum(share * np.log(np.maximum(share, 1e-300))))
    return float(np.sqrt(np.mean((model(Z) - t) ** 2)) / np.std(t))


def uniform(d: int, low: float = -1.0, high: float = 1.0) -> Callable[..., np.ndarray]:
    """Return a way to draw rows evenly from a box."""
    return lambda r, n: r.uniform(low, high, (n, d))


def function(
    name: str, n: int, x: Callable[..., np.ndarray], f: Callable[..., np.ndarray],
    noise: float = 0.0, **about: Any,
) -> None:  # fmt: skip
    """Register a function of inputs, with noise relative to its spread."""

    def draw(r: np.random.Generator, m: int) -> Rows:
        X = x(r, m)
        y = f(X)
        return X, y + noise * np.std(y) * r.normal(size=m)

    add(name, n, **about)(draw)


# Smooth functions, from easy to hard, without noise and with it.
function(
    "smooth in 1-D", 100, uniform(1), lambda X: np.exp(X[:, 0]) * np.sin(5 * X[:, 0]), quick=True
)
function("smooth in 2-D", 300, uniform(2), lambda X: np.sin(3 * X[:, 0]) * np.exp(X[:, 1]))
function(
    "30 periods in 300 rows",
    300,
    uniform(1, 0, 1),
    lambda X: np.sin(60 * np.pi * X[:, 0]),
    quick=True,
)
function("12 periods, noise", 200, uniform(1, 0, 1), lambda X: np.sin(24 * np.pi * X[:, 0]), 0.2)
function("Runge", 60, uniform(1), lambda X: 1 / (1 + 25 * X[:, 0] ** 2))
function("sum of five", 200, uniform(5), lambda X: np.sin(X).sum(axis=1) + X[:, 0] * X[:, 1], 0.05)
function(
    "Friedman",
    300,
    uniform(5, 0, 1),
    lambda X: (
        10 * np.sin(np.pi * X[:, 0] * X[:, 1])
        + 20 * (X[:, 2] - 0.5) ** 2
        + 10 * X[:, 3]
        + 5 * X[:, 4]
    ),
    0.2,
)
function("product of six", 200, uniform(6), lambda X: np.prod(np.cos(2 * X), axis=1))
function("ridge function", 300, uniform(8), lambda X: np.tanh(4 * X @ np.ones(8) / 8**0.5))
function("line with noise", 80, uniform(3), lambda X: X @ [1.0, -2.0, 0.5], 0.5)
function("a line, almost nothing", 150, uniform(2), lambda X: 0 * X[:, 0] + X[:, 0] * 1e-9, 0.0)
function("mostly noise", 150, uniform(2), lambda X: X[:, 0], 3.0)
function(
    "units of 1e-9 and 1e9",
    120,
    lambda r, n: r.uniform(-1, 1, (n, 2)) * [1e-9, 1e9],
    lambda X: 1e6 + np.sin(3e9 * X[:, 0]) + (X[:, 1] / 1e9) ** 2,
)
# Functions that are rough somewhere.
function("jump in 1-D", 150, uniform(1, 0, 1), lambda X: np.sin(4 * X[:, 0]) + 2 * (X[:, 0] > 0.63))
function("jump in 2-D", 250, uniform(2), lambda X: X[:, 1] + 1.0 * (X[:, 0] + X[:, 1] ** 2 > 0.2))
function("kink in 3-D", 250, uniform(3), lambda X: np.abs(X[:, 0] - X[:, 1]) + X[:, 2])
function(
    "narrow peak",
    200,
    uniform(1),
    lambda X: X[:, 0] + 3 * np.exp(-(((X[:, 0] - 0.3) / 0.05) ** 2)),
    quick=True,
)
function("peak in 2-D", 200, uniform(2), lambda X: 1 / (0.03 + ((X - 0.2) ** 2).sum(axis=1)))
function(
    "checkerboard", 300, uniform(2), lambda X: np.sign(np.sin(6 * X[:, 0]) * np.sin(6 * X[:, 1]))
)
function("root at the edge", 100, uniform(1, 0, 1), lambda X: np.sqrt(X[:, 0]), rare=True)
function(
    "pole near the edge",
    100,
    uniform(1, 0, 1),
    lambda X: 1 / (X[:, 0] + 0.01),
    rare=True,
)
function(
    "decades",
    150,
    lambda r, n: 10 ** r.uniform(-2, 2, (n, 2)),
    lambda X: 3 * X[:, 0] ** 1.5 / X[:, 1],
    rare=True,  # y over eight decades: one or two rows have half of its spread
)
function(
    "heavy tails",
    150,
    lambda r, n: r.standard_t(2, (n, 2)),
    lambda X: np.tanh(X[:, 0]) + X[:, 1] / (1 + X[:, 1] ** 2),
    rare=True,
)


# Rows that lie unevenly.
def patch(r: np.random.Generator, n: int) -> Rows:
    far = r.random(n) < 0.05
    x = np.where(far, r.uniform(2, 30, n), r.uniform(0, 1, n))
    return x[:, None], np.sin(x)


@add("rows in a patch", 200, fresh=patch, quick=True)
def _(r: np.random.Generator, n: int) -> Rows:
    x = np.r_[np.linspace(0, 1, n - n // 20), np.linspace(2, 30, n // 20)]
    return x[:, None], np.sin(x)


add("rows in a patch, drawn", 200)(patch)


@add("patch in the plane", 250)
def _(r: np.random.Generator, n: int) -> Rows:
    X = np.where(r.random((n, 1)) < 0.06, r.uniform(-5, 5, (n, 2)), r.uniform(0, 1, (n, 2)))
    return X, np.sin(X[:, 0]) * np.cos(X[:, 1])


@add("two clusters in 4-D", 200)
def _(r: np.random.Generator, n: int) -> Rows:
    X = 0.3 * r.normal(size=(n, 4)) + 3.0 * (r.random((n, 1)) < 0.3)
    return X, np.sin(2 * X[:, 0]) + X[:, 1] * X[:, 2]


@add("diagonal cloud", 300)
def diagonal(r: np.random.Generator, n: int) -> Rows:
    a = r.uniform(-1, 1, n)
    X = np.c_[a, a + 0.02 * r.normal(size=n)]
    return X, np.sin(4 * X[:, 0]) * np.exp(X[:, 1])


@add("gap", 120)
def gap(r: np.random.Generator, n: int) -> Rows:
    x = r.uniform(0, 1, n) + 9 * (r.random(n) < 0.5)
    return x[:, None], 100 + 3 * x + 0.5 * np.sin(6 * x)


@add("log-normal inputs", 200)
def _(r: np.random.Generator, n: int) -> Rows:
    X = np.exp(1.5 * r.normal(size=(n, 2)))
    return X, np.log(X[:, 0] + X[:, 1])


# Rows that are alike.
def near(jitter: float, places: int, d: int, noise: float = 0.0) -> tuple[Draw, Draw]:
    def value(X: np.ndarray) -> np.ndarray:
        return np.sin(5 * X).prod(axis=1) + np.cos(7 * X[:, 0])

    def draw(r: np.random.Generator, n: int) -> Rows:
        X = r.uniform(-1, 1, (places, d))[np.arange(n) % places]
        X = X + jitter * r.normal(size=X.shape)
        return X, value(X) + noise * r.normal(size=n)

    def fresh(r: np.random.Generator, n: int) -> Rows:
        X = r.uniform(-1, 1, (n, d))
        return X, value(X) + noise * r.normal(size=n)

    return draw, fresh


for _name, _n, _jitter, _places, _d, _noise in (
    ("pairs 1e-7 apart", 120, 1e-7, 60, 3, 0.0),
    ("five 1e-9 apart", 200, 1e-9, 40, 2, 0.05),
    ("ten 1e-5 apart", 200, 1e-5, 20, 2, 0.0),
    ("three 1e-12 apart", 120, 1e-12, 40, 2, 0.02),
    ("exact repeats", 160, 0.0, 40, 2, 0.1),
):
    _draw, _fresh = near(_jitter, _places, _d, _noise)
    add(_name, _n, fresh=_fresh)(_draw)


def families(n_groups: int, d: int, own: float) -> Draw:
    """Groups of rows with inputs near each other and an effect of the group."""

    def draw(r: np.random.Generator, n: int) -> Any:
        m = n_groups if n < 2000 else n // 15
        group = np.arange(n) % m
        centre, effect = r.uniform(-1, 1, (m, d)), own * r.normal(size=m)
        X = centre[group] + 0.03 * r.normal(size=(n, d))
        return X, X[:, 0] + effect[group] + 0.05 * r.normal(size=n), group

    return draw


add("30 groups of 15", 450, grouped=True)(families(30, 3, 0.5))
add("20 groups of 10", 200, grouped=True, quick=True)(families(20, 5, 1.0))
add("40 groups of 5", 200, grouped=True)(families(40, 2, 0.3))


def series(f: Callable[[np.ndarray], np.ndarray], noise: float) -> tuple[Draw, Draw]:
    """The first four fifths of a series in order; the next quarter of that is the truth."""

    def rows(t: np.ndarray, r: np.random.Generator) -> Rows:
        return t[:, None], f(t) + noise * r.normal(size=len(t))

    return (
        lambda r, n: rows(np.linspace(0, 0.8, n), r),
        lambda r, n: rows(np.linspace(0.8, 1.0, n), r),
    )


for _name, _f, _noise in (
    ("next quarter of a wave", lambda t: np.sin(20 * t) + t, 0.05),
    ("next quarter of a trend", lambda t: t + 0.2 * t**2, 0.05),
    ("next quarter of a growing wave", lambda t: np.exp(2 * t) * np.sin(15 * t), 0.0),
):
    _draw, _fresh = series(_f, _noise)
    add(_name, 200, fresh=_fresh, options={"holdout": "last"})(_draw)


# Few rows.
function("12 rows of a line", 12, uniform(1), lambda X: 2 * X[:, 0], 0.1, quick=True)
function("15 rows, five inputs", 15, uniform(5), lambda X: X @ np.arange(1.0, 6), 0.05)
function("20 rows of a wave", 20, uniform(1), lambda X: np.sin(4 * X[:, 0]), 0.05)
function("30 rows, noise", 30, uniform(2), lambda X: X[:, 0] * X[:, 1], 0.3)
function("45 rows in 3-D", 45, uniform(3), lambda X: np.sin(2 * X[:, 0]) + X[:, 1] ** 2)
function(
    "a column of 0 and 1",
    200,
    lambda r, n: np.c_[r.integers(0, 2, n), r.uniform(size=n)],
    lambda X: 3 + 4 * X[:, 0],
)


# Pieces.
def _pieces(name: str, n: int, x: Any, f: Any, noise: float = 0.0, **about: Any) -> None:
    function(name, n, x, f, noise, call=ab.fit_pounet, **about)


_pieces(
    "pieces: jump between rows",
    100,
    uniform(1, 0, 1),
    lambda X: 1.0 * (X[:, 0] > 0.5) + X[:, 0],
    quick=True,
)
_pieces(
    "pieces: jumps in the plane",
    300,
    uniform(2),
    lambda X: X[:, 0] + 2.0 * (X[:, 1] > 0.3 * X[:, 0]),
)
_pieces("pieces: tent with noise", 150, uniform(1, 0, 1), lambda X: np.abs(X[:, 0] - 0.4), 0.1)
_pieces("pieces: smooth", 150, uniform(1, 0, 1), lambda X: np.sin(9 * X[:, 0]))
_pieces("pieces: four levels", 120, uniform(1, 0, 1), lambda X: np.floor(4 * X[:, 0]) % 3)


# Classes.
def _classes(name: str, n: int, x: Any, chance: Any, **about: Any) -> None:
    def draw(r: np.random.Generator, m: int) -> Rows:
        X = x(r, m)
        return X, (r.random(m) < chance(X)).astype(int)

    add(name, n, call=ab.classify, **about)(draw)


def _sigmoid(z: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-z))


_classes("classes 1:50", 600, uniform(2), lambda X: _sigmoid(6 * X[:, 0] - 7), quick=True)
_classes("classes: 40 rows", 40, uniform(2), lambda X: _sigmoid(4 * X[:, 0] + 3 * X[:, 1]))
_classes("classes: a circle", 200, uniform(2), lambda X: 1.0 * ((X**2).sum(axis=1) < 0.5))
_classes("classes: noise", 150, uniform(3), lambda X: 0.5 + 0 * X[:, 0])
_classes("classes: overlap", 200, uniform(4), lambda X: _sigmoid(2 * X.sum(axis=1)))

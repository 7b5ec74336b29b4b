"""Ten tables of each kind that claims once were wrong about; none of them was used to mend one.

Cases are those of :mod:`tests.evidence.tables`, under the name of their kind. Where rows leave a
gap, ``beside`` has places in it.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np

import adabasis as ab

from .tables import Case, Draw, Rows


@dataclasses.dataclass(frozen=True)
class Neighbour:
    """A case, places where no row is, and words that its verdict must not have."""

    case: Case
    beside: np.ndarray | None = None
    never: tuple[str, ...] = ()


KINDS: dict[str, list[Neighbour]] = {}


def add(kind: str, n: int, draw: Draw, beside: Any = None, never: Any = (), **about: Any) -> None:
    """Register one more of a kind."""
    of_kind = KINDS.setdefault(kind, [])
    of_kind.append(
        Neighbour(
            Case(f"{kind} {len(of_kind) + 1}", n, draw, **about),
            None if beside is None else np.array(beside, dtype=float),
            never,
        )
    )


def of(
    f: Callable[[np.ndarray], np.ndarray], x: Callable[..., np.ndarray], noise: float = 0.0
) -> Draw:
    """Return a draw of a function's values, with noise relative to their spread."""

    def draw(r: np.random.Generator, n: int) -> Rows:
        X = x(r, n)
        y = f(X)
        return X, y + noise * np.std(y) * r.normal(size=n)

    return draw


# Few rows far from the others.
def far(share: float, reach: float, d: int) -> Callable[..., np.ndarray]:
    """Most rows in the unit cube, some in one of many times its side."""

    def x(r: np.random.Generator, n: int) -> np.ndarray:
        return np.where(
            r.random((n, 1)) < share, r.uniform(1, reach, (n, d)), r.uniform(0, 1, (n, d))
        )

    return x


for _share, _reach, _d, _f in (
    (0.05, 20, 1, lambda X: np.cos(X[:, 0])),
    (0.1, 10, 1, lambda X: np.sin(2 * X[:, 0])),
    (0.03, 50, 1, lambda X: np.log1p(X[:, 0])),
    (0.05, 30, 1, lambda X: np.abs(X[:, 0] - 8)),
    (0.1, 5, 2, lambda X: np.sin(X[:, 0]) + X[:, 1]),
    (0.05, 10, 2, lambda X: np.tanh(X[:, 0] - X[:, 1])),
    (0.1, 4, 3, lambda X: np.cos(X).sum(axis=1)),
    (0.08, 15, 1, lambda X: np.exp(-((X[:, 0] - 7) ** 2) / 8)),
    (0.06, 8, 2, lambda X: np.sqrt(1 + X[:, 0] * X[:, 1])),
    (0.04, 25, 1, lambda X: 1 / (1 + X[:, 0])),
):
    add("far rows", 200, of(_f, far(_share, _reach, _d)))


# Clouds that do not fill their box.
def line(thin: float, d: int = 2) -> Callable[..., np.ndarray]:
    """Rows along the diagonal."""

    def x(r: np.random.Generator, n: int) -> np.ndarray:
        return r.uniform(-1, 1, (n, 1)) + thin * r.normal(size=(n, d))

    return x


def ring(r: np.random.Generator, n: int) -> np.ndarray:
    """Rows around a circle."""
    angle = r.uniform(0, 2 * np.pi, n)
    return np.c_[np.cos(angle), np.sin(angle)] * (1 + 0.02 * r.normal(size=(n, 1)))


def bow(r: np.random.Generator, n: int) -> np.ndarray:
    """Rows along a parabola."""
    a = r.uniform(-1, 1, n)
    return np.c_[a, a**2 + 0.02 * r.normal(size=n)]


def sheet(r: np.random.Generator, n: int) -> np.ndarray:
    """Rows in a plane of three inputs."""
    a = r.uniform(-1, 1, (n, 2))
    return np.c_[a, a.sum(axis=1) / 2 + 0.02 * r.normal(size=n)]


_corners = [[0.9, -0.9], [-0.9, 0.9]]
for _x, _f, _beside in (
    (line(0.02), lambda X: np.sin(3 * X[:, 0]) + X[:, 1] ** 2, _corners),
    (line(0.05), lambda X: np.exp(X[:, 0] - X[:, 1]), _corners),
    (line(0.005), lambda X: np.cos(5 * X.sum(axis=1)), _corners),
    (line(0.1), lambda X: np.tanh(3 * X[:, 0]) * X[:, 1], _corners),
    (line(0.03, 3), lambda X: X[:, 0] * X[:, 1] + np.sin(4 * X[:, 2]), [[0.9, -0.9, 0.9]]),
    (line(0.03, 4), lambda X: np.sin(2 * X).sum(axis=1), [[0.9, -0.9, 0.9, -0.9]]),
    (ring, lambda X: X[:, 0] ** 3 - X[:, 1], [[0.0, 0.0], [0.1, -0.1]]),
    (ring, lambda X: np.sin(3 * np.arctan2(X[:, 1], X[:, 0])), [[0.0, 0.0]]),
    (bow, lambda X: np.sin(4 * X[:, 0]) + X[:, 1], [[0.0, 1.0], [0.9, 0.0]]),
    (sheet, lambda X: np.cos(3 * X[:, 0]) * X[:, 1], [[-0.9, -0.9, 0.9], [0.9, 0.9, -0.9]]),
):
    add("thin clouds", 300, of(_f, _x), _beside)


# Gaps.
def apart(
    first: tuple[float, float], second: tuple[float, float], d: int = 1
) -> Callable[..., np.ndarray]:
    """Rows in two intervals of the first input."""

    def x(r: np.random.Generator, n: int) -> np.ndarray:
        X = r.uniform(0, 1, (n, d))
        a = np.where((r.random(n) < 0.5)[:, None], first, second)
        X[:, 0] = a[:, 0] + (a[:, 1] - a[:, 0]) * X[:, 0]
        return X

    return x


for _first, _second, _d, _f in (
    ((0, 1), (5, 6), 1, lambda X: np.sin(4 * X[:, 0])),
    ((0, 1), (9, 10), 1, lambda X: 3 * X[:, 0] + np.cos(5 * X[:, 0])),
    ((0, 1), (30, 31), 1, lambda X: 100 + X[:, 0] + np.sin(6 * X[:, 0])),
    ((0, 2), (8, 9), 1, lambda X: np.exp(-X[:, 0]) * np.sin(3 * X[:, 0])),
    ((-5, -4), (4, 5), 1, lambda X: X[:, 0] ** 2),
    ((0, 0.1), (0.9, 1), 1, lambda X: np.sin(40 * X[:, 0])),
    ((0, 1), (9, 10), 2, lambda X: np.sin(3 * X[:, 0]) + X[:, 1]),
    ((0, 1), (6, 7), 2, lambda X: X[:, 0] * X[:, 1] + np.cos(4 * X[:, 0])),
    ((0, 1e-3), (9e-3, 1e-2), 1, lambda X: np.sin(3e3 * X[:, 0])),
    ((0, 1), (9, 10), 3, lambda X: np.sin(2 * X[:, 0]) + X[:, 1] - X[:, 2]),
):
    _middle = np.full((1, _d), 0.5)
    _middle[0, 0] = (_first[1] + _second[0]) / 2
    add("gaps", 120, of(_f, apart(_first, _second, _d)), _middle)


# Clean signals and one that explains everything: none is "nothing".
_unit = lambda d: lambda r, n: r.uniform(0, 1, (n, d))  # noqa: E731
for _n, _x, _f in (
    (300, _unit(1), lambda X: np.sin(40 * np.pi * X[:, 0])),
    (200, _unit(1), lambda X: np.cos(50 * np.pi * X[:, 0])),
    (400, _unit(1), lambda X: np.sin(70 * np.pi * X[:, 0])),
    (300, _unit(1), lambda X: np.sign(np.sin(12 * np.pi * X[:, 0]))),
    (300, _unit(1), lambda X: np.sin(200 * X[:, 0] ** 2 / 2)),
    (200, lambda r, n: np.c_[r.integers(0, 2, n), r.uniform(size=n)], lambda X: 5 - 2 * X[:, 0]),
    (
        200,
        lambda r, n: np.c_[r.choice([-3, 8], n), r.normal(size=n)],
        lambda X: 1.0 * (X[:, 0] > 0),
    ),
    (300, lambda r, n: r.integers(0, 2, (n, 6)), lambda X: 1.0 * (X.sum(axis=1) % 2)),
    (200, lambda r, n: np.c_[r.integers(0, 3, n), r.normal(size=n)], lambda X: (X[:, 0] - 1) ** 2),
    (400, _unit(2), lambda X: np.sin(20 * X[:, 0]) * np.sin(20 * X[:, 1])),
):
    add("signals", _n, of(_f, _x), never=("No better", "found nothing"))


# Pieces beside jumps.
for _n, _x, _f, _noise in (
    (100, _unit(1), lambda X: 2.0 * (X[:, 0] > 0.37), 0.0),
    (80, _unit(1), lambda X: X[:, 0] - 3.0 * (X[:, 0] > 0.71), 0.0),
    (150, _unit(1), lambda X: np.sin(5 * X[:, 0]) + (X[:, 0] > 0.2) - (X[:, 0] > 0.8), 0.0),
    (120, _unit(1), lambda X: np.floor(3 * X[:, 0]) * X[:, 0], 0.0),
    (200, _unit(1), lambda X: np.where(X[:, 0] < 0.5, X[:, 0] ** 2, 1 - X[:, 0]), 0.02),
    (60, _unit(1), lambda X: 1.0 * (X[:, 0] > 0.5), 0.05),
    (150, _unit(1), lambda X: np.abs(X[:, 0] - 0.6), 0.0),
    (300, _unit(2), lambda X: X[:, 1] + 1.0 * (X[:, 0] > 0.4), 0.0),
    (400, _unit(2), lambda X: X[:, 0] * X[:, 1] + 2.0 * (X.sum(axis=1) > 1), 0.0),
    (200, lambda r, n: 1e6 + r.uniform(0, 1, (n, 1)), lambda X: 7.0 * (X[:, 0] > 1e6 + 0.45), 0.0),
):
    add("beside jumps", _n, of(_f, _x, _noise), call=ab.fit_pounet)


# Classes, one of them rare.
def labels(chance: Callable[[np.ndarray], np.ndarray], d: int = 2) -> Draw:
    """Return a draw of rows of two classes."""

    def draw(r: np.random.Generator, n: int) -> Rows:
        X = r.uniform(-1, 1, (n, d))
        return X, (r.random(n) < chance(X)).astype(int)

    return draw


def _sigmoid(z: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-z))


for _n, _d, _chance in (
    (600, 2, lambda X: _sigmoid(6 * X[:, 0] - 6)),
    (800, 2, lambda X: _sigmoid(8 * X[:, 1] - 9)),
    (400, 3, lambda X: _sigmoid(5 * X[:, 0] + 3 * X[:, 1] - 5)),
    (1000, 2, lambda X: _sigmoid(10 * X[:, 0] * X[:, 1] - 7)),
    (500, 4, lambda X: _sigmoid(6 * X[:, 0] - 4)),
    (300, 1, lambda X: _sigmoid(20 * X[:, 0] - 12)),
    (400, 2, lambda X: 0.95 * (X[:, 0] > 0.8) + 0.01),
    (600, 2, lambda X: _sigmoid(9 * np.hypot(X[:, 0], X[:, 1]) - 11)),
    (200, 2, lambda X: _sigmoid(7 * X[:, 0] - 4)),
    (900, 5, lambda X: _sigmoid(6 * X[:, 4] - 6)),
):
    add(
        "rare classes",
        _n,
        labels(_chance, _d),
        call=ab.classify,
        never=("found nothing", "no more than"),
    )

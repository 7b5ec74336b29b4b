"""Jackknife+ on functions that are fixed: coverage, and the same bounds by refits and by MAPIE."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

import adabasis as ab
from adabasis.basis.plain import Polynomial

from ..measure import timed
from ..records import Bar, Measurement
from ..registry import SUITES, Settings, case

COVERAGE, RIDGE, ROWS, NEW = 0.9, 0.5, 40, 500
HOLDS, REFITS, MAPIE, WIDTH = "coverage below .8", "off refits", "off MAPIE", "coverage off .9"
OURS = "jackknife+"


@case(
    "uncertainty-left-out",
    "jackknife+ of 10 polynomials, 40 rows, noise with heavy tails: coverage; refits and MAPIE",
    error="shortfall or distance of the coverage; largest distance of bounds over the spread",
    repeats=1,
    reference=OURS,
    bars=(
        Bar(HOLDS, OURS, "error", 0.0),
        Bar(WIDTH, OURS, "error", 0.04),
        Bar(REFITS, OURS, "error", 1e-6),
        Bar(MAPIE, OURS, "error", 1e-6),
    ),
)
def run(settings: Settings) -> Iterator[Measurement]:
    """Draw rows again and again; compare bounds on the first draws."""
    held, refits, theirs = [], 0.0, []
    with timed() as timing:
        for seed in range(4 if settings.quick else 200):
            rng = np.random.default_rng(seed)
            x, new = (rng.uniform(-1, 1, (n, 2)) for n in (ROWS, NEW))
            y, unseen = (
                np.sin(2 * z[:, 0]) + z[:, 1] ** 2 + 0.2 * rng.standard_t(3, len(z))
                for z in (x, new)
            )
            model = ab.fit(x, y, Polynomial(3), ridge=RIDGE)
            bounds = np.stack(model.predict_interval(new, COVERAGE, method=OURS))
            held.append(float(np.mean((bounds[0] <= unseen) & (unseen <= bounds[1]))))
            if seed < 3:
                # Where no row is near, bounds are wider by what the function may do there.
                new = new[(model.error_model.far(model.input_map(new), model._nearness) == 0)[:, 0]]
                bounds = np.stack(model.predict_interval(new, COVERAGE, method=OURS))
                known = model.functions(x), model.output_map(y[:, None])[:, 0], model.functions(new)
                refits = max(refits, _off(model, bounds, _by_refits(*known), y))
                peer = _by_mapie(*known)
                theirs += [] if peer is None else [_off(model, bounds, peer, y)]
    mean = float(np.mean(held))

    def told(group: str, error: float, said: str = "") -> Measurement:
        about = timing.seconds, 0.0, timing.cpu_seconds, None, said
        return Measurement(group, group, OURS, 0, error, *about)

    yield told(HOLDS, max(0.0, 2 * COVERAGE - 1 - mean), f"{mean:.3f}")
    yield told(WIDTH, abs(mean - COVERAGE), f"{mean:.3f}")
    yield told(REFITS, refits)
    if theirs:
        yield told(MAPIE, max(theirs))
    else:
        settings.note("MAPIE is not installed here")


def _off(model: ab.Fitted, bounds: np.ndarray, others: np.ndarray, y: np.ndarray) -> float:
    inverse = np.stack([model.output_map.inverse(end[:, None])[:, 0] for end in others])
    return float(np.abs(bounds - inverse).max() / y.std())


def _solved(phi: np.ndarray, t: np.ndarray) -> np.ndarray:
    size = phi.shape[1]
    rows = np.concatenate([phi, np.sqrt(RIDGE) * np.eye(size)])
    return np.linalg.lstsq(rows, np.append(t, np.zeros(size)), rcond=None)[0]


def _by_refits(phi: np.ndarray, t: np.ndarray, new: np.ndarray) -> np.ndarray:
    n, lower, upper = len(t), [], []
    for i in range(n):
        c = _solved(np.delete(phi, i, axis=0), np.delete(t, i))
        size = abs(t[i] - phi[i] @ c)
        lower.append(new @ c - size)
        upper.append(new @ c + size)
    first, last = int((n + 1) * (1 - COVERAGE) + 1e-9), int(np.ceil((n + 1) * COVERAGE - 1e-9))
    return np.stack([np.sort(lower, axis=0)[first - 1], np.sort(upper, axis=0)[last - 1]])


def _by_mapie(phi: np.ndarray, t: np.ndarray, new: np.ndarray) -> np.ndarray | None:
    try:
        from mapie.regression import CrossConformalRegressor
        from sklearn.linear_model import Ridge
        from sklearn.model_selection import LeaveOneOut
    except ImportError:
        return None
    ridge: Any = Ridge(alpha=RIDGE, fit_intercept=False, solver="cholesky")
    peer = CrossConformalRegressor(
        ridge, confidence_level=COVERAGE, cv=LeaveOneOut(), method="plus"
    )
    _, intervals = peer.fit_conformalize(phi, t).predict_interval(new)
    return np.stack([intervals[:, 0, 0], intervals[:, 1, 0]])


SUITES["uncertainty"] = (*SUITES.get("uncertainty", ()), "uncertainty-left-out")

"""Plain models of numbers that a verdict compares with: what one would use without thinking."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from .. import lstsq


def scaled(model: Any, x: np.ndarray, y: np.ndarray, **weights: np.ndarray) -> Any:
    """Fit a model of scikit-learn to inputs of mean zero and variance one."""
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    return make_pipeline(StandardScaler(), model).fit(x, y, **weights)


Predictor = Callable[[np.ndarray], np.ndarray]
Peer = Callable[[np.ndarray, np.ndarray, np.ndarray], Predictor]


def _boosting(x: np.ndarray, y: np.ndarray, weight: np.ndarray) -> Predictor:
    from sklearn.ensemble import HistGradientBoostingRegressor

    middle = np.average(y, axis=0, weights=weight)
    scale = np.sqrt(np.average((y - middle) ** 2, axis=0, weights=weight))
    scale = np.where(scale > 0, scale, 1.0)  # its thresholds are absolute: y in units of 1e-12
    models = [
        HistGradientBoostingRegressor(random_state=0).fit(x, column, weight)
        for column in ((y - middle) / scale).T
    ]
    return lambda z: middle + scale * np.stack([m.predict(z) for m in models], axis=1)


def _linear(x: np.ndarray, y: np.ndarray, weight: np.ndarray) -> Predictor:
    # Our own solve: that of scikit-learn 1.9 drops independent columns below 1e-6 silently.
    ones, root = np.ones((len(x), 1)), np.sqrt(weight)[:, None]
    a = root * np.hstack([ones, x - x.mean(axis=0)])
    c = lstsq.factorize(a).solve(root * y)
    return lambda z: np.hstack([np.ones((len(z), 1)), z - x.mean(axis=0)]) @ c


def _neighbours(x: np.ndarray, y: np.ndarray, weight: np.ndarray) -> Predictor:
    from sklearn.neighbors import KNeighborsRegressor

    return scaled(KNeighborsRegressor(min(5, len(x))), x, y).predict


def _constant(x: np.ndarray, y: np.ndarray, weight: np.ndarray) -> Predictor:
    middle = np.average(y, axis=0, weights=weight)
    return lambda z: np.tile(middle, (len(z), 1))


PEERS: dict[str, Peer] = {
    "gradient boosting": _boosting,
    "linear model": _linear,
    "constant": _constant,
    "nearest neighbours": _neighbours,
}
USUAL = ("gradient boosting", "linear model", "constant")

"""Plain models of numbers that a verdict compares with: what one would use without thinking."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from .. import lstsq
from ..lstsq.losses import LEAST_SCALE, SQUARES, Loss, robust_scale


def scaled(model: Any, x: np.ndarray, y: np.ndarray, **weights: np.ndarray) -> Any:
    """Fit a model of scikit-learn to inputs of mean zero and variance one."""
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    return make_pipeline(StandardScaler(), model).fit(x, y, **weights)


Predictor = Callable[[np.ndarray], np.ndarray]
Peer = Callable[[np.ndarray, np.ndarray, np.ndarray, Loss], Predictor]


def _boosting(x: np.ndarray, y: np.ndarray, weight: np.ndarray, loss: Loss = SQUARES) -> Predictor:
    from sklearn.ensemble import HistGradientBoostingRegressor

    middle = np.average(y, axis=0, weights=weight)
    scale = np.sqrt(np.average((y - middle) ** 2, axis=0, weights=weight))
    scale = np.where(scale > 0, scale, 1.0)  # its thresholds are absolute: y in units of 1e-12
    of = {"loss": "quantile", "quantile": loss.quantile} if loss.kinked else {}
    models = [
        HistGradientBoostingRegressor(random_state=0, **of).fit(x, column, weight)
        for column in ((y - middle) / scale).T
    ]
    return lambda z: middle + scale * np.stack([m.predict(z) for m in models], axis=1)


def _linear(x: np.ndarray, y: np.ndarray, weight: np.ndarray, loss: Loss = SQUARES) -> Predictor:
    # Our own solve: that of scikit-learn 1.9 drops independent columns below 1e-6 silently.
    ones, root = np.ones((len(x), 1)), np.sqrt(weight)[:, None]
    a = root * np.hstack([ones, x - x.mean(axis=0)])
    c = lstsq.factorize(a).solve(root * y)
    if loss.kinked:
        c = np.hstack([_settled(a / root, column, weight, loss) for column in y.T])
    return lambda z: np.hstack([np.ones((len(z), 1)), z - x.mean(axis=0)]) @ c


def _settled(a: np.ndarray, y: np.ndarray, weight: np.ndarray, loss: Loss) -> np.ndarray:
    # The coefficients (P, 1) by a loss, rows weighted anew until they settle.
    least = LEAST_SCALE * max(float(np.ptp(y)), 1e-300)

    def solve(share: np.ndarray, values: np.ndarray) -> np.ndarray:
        root = np.sqrt(weight * share)[:, None]
        found[:] = [lstsq.factorize(root * a).solve(root * values[:, None])]
        return np.asarray(a @ found[0])[:, 0]

    found: list[np.ndarray] = []
    start = np.full(len(y), loss.constant(y, weight))
    loss.minimized(start, y, solve, lambda r: max(robust_scale(r, weight), least))
    return found[0]


def _neighbours(
    x: np.ndarray, y: np.ndarray, weight: np.ndarray, loss: Loss = SQUARES
) -> Predictor:
    from sklearn.neighbors import KNeighborsRegressor

    return scaled(KNeighborsRegressor(min(5, len(x))), x, y).predict


def _constant(x: np.ndarray, y: np.ndarray, weight: np.ndarray, loss: Loss = SQUARES) -> Predictor:
    middle = np.array([loss.constant(column, weight) for column in y.T])
    return lambda z: np.tile(middle, (len(z), 1))


PEERS: dict[str, Peer] = {
    "gradient boosting": _boosting,
    "linear model": _linear,
    "constant": _constant,
    "nearest neighbours": _neighbours,
}
USUAL = ("gradient boosting", "linear model", "constant")

"""From coarse to fine: a piece is cut along the hyperplane, of many drawn, that helps most.

A regression tree with polynomial leaves and oblique cuts, or such along the axes, grown leaf by
leaf [1]_.

References
----------
.. [1] Loh, "Fifty years of classification and regression trees", Int. Statistical Review 82 (2014).
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from .segmentation import Cloud

DRAWN = 48
"""Directions drawn for a cut, besides those of the inputs."""
SHARES = (0.15, 0.3, 0.5, 0.7, 0.85)
"""Shares of a piece's points on one side of a cut."""


def never() -> bool:
    """Say that there is time."""
    return False


def cut(
    cloud: Cloud,
    most: int,
    rng: np.random.Generator,
    late: Callable[[], bool] = never,
    drawn: int = DRAWN,
) -> dict[int, np.ndarray]:
    """Grow pieces one by one, until it is late; with no direction drawn, along the axes.

    Returns
    -------
    dict
        Labels (N,) by number of pieces, from 1 to at most ``most``.
    """
    labels = np.zeros(len(cloud.x), dtype=int)
    found, offers = {1: labels}, {0: best_cut(cloud, labels == 0, rng, late, drawn)}
    for count in range(1, most):
        piece = max(offers, key=lambda k: offers[k][0])
        gain, side = offers[piece]
        if late() or not gain > 0:
            break
        labels = labels.copy()
        labels[side] = count
        found[count + 1] = labels
        for k in (piece, count):
            offers[k] = best_cut(cloud, labels == k, rng, late, drawn)
    return found


def best_cut(
    cloud: Cloud,
    mine: np.ndarray,
    rng: np.random.Generator,
    late: Callable[[], bool] = never,
    drawn: int = DRAWN,
) -> tuple[float, np.ndarray]:
    """Return the fall of the sum of squares by the best cut of a piece, and the points cut off.

    Of the cuts tried until it is late.
    """
    inside = np.flatnonzero(mine)
    least = 2 * cloud.size
    if len(inside) < 2 * least:
        return 0.0, inside[:0]
    x = cloud.x[inside]
    root = np.sqrt(cloud.weight[inside])[:, None]
    rows = root * np.concatenate([cloud.features[inside], cloud.y[inside]], axis=1)
    best, side = 0.0, inside[:0]
    whole = _misfit(rows, cloud.size)
    for direction in _directions(x, rng, drawn):
        if late():
            break
        order = np.argsort(x @ direction, kind="stable")
        for share in SHARES:
            at = round(share * len(order))
            if not least <= at <= len(order) - least:
                continue
            left, right = order[:at], order[at:]
            gain = whole - _misfit(rows[left], cloud.size) - _misfit(rows[right], cloud.size)
            if gain > best:
                best, side = gain, inside[right]
    return best, side


def _directions(x: np.ndarray, rng: np.random.Generator, drawn: int) -> np.ndarray:
    n_inputs = x.shape[1]
    if n_inputs == 1:
        return np.ones((1, 1))
    oblique = rng.normal(size=(drawn, n_inputs))
    oblique /= np.linalg.norm(oblique, axis=1, keepdims=True)
    return np.concatenate([np.eye(n_inputs), oblique])


def _misfit(rows: np.ndarray, size: int) -> float:
    factor = np.asarray(np.linalg.qr(rows, mode="r"))
    return float(np.sum(factor[size:, size:] ** 2))

"""Segmentation of one-dimensional data by dynamic programming: the best pieces of every number.

The classical method for functions of one variable that are smooth in pieces [1]_ [2]_: exact on
clean data, and both the baseline of POUnets and a start for them.

References
----------
.. [1] Bellman, "On the approximation of curves by line segments using dynamic programming",
   Comm. ACM 4 (1961).
.. [2] Jackson et al., "An algorithm for optimal partitioning of data on an interval", IEEE Signal
   Processing Letters 12 (2005).
"""

from __future__ import annotations

import numpy as np

MOST_PLACES = 1200
"""Places where a segment may end: every so many points where there are more."""


def segment(
    x: np.ndarray, y: np.ndarray, degree: int, most: int, *, weight: np.ndarray | None = None
) -> list[np.ndarray]:
    """Return the least-squares segmentations into 1 … ``most`` polynomials.

    Parameters
    ----------
    x : array, shape (N,)
        In ascending order.
    y : array, shape (N, Q)
    degree : int
    most : int
    weight : array, shape (N,), optional

    Returns
    -------
    list of arrays
        For every number M of segments the indices where they start, (M,): 0 first. Fewer than
        asked where there are not degree + 1 points for each.

    Examples
    --------
    >>> x = np.linspace(0, 1, 21)
    >>> segment(x, np.abs(x - 0.42)[:, None], 1, 3)[1]
    array([0, 9])
    """
    step = -(-len(x) // MOST_PLACES)
    ends = np.append(np.arange(step, len(x), step), len(x))
    starts = np.concatenate([[0], ends[:-1]])
    w = np.ones(len(x)) if weight is None else weight
    costs = np.stack([_costs(x[a:], y[a:], w[a:], degree, ends - a) for a in starts])
    best, places = costs[0], [np.zeros(1, dtype=int)]
    before: list[np.ndarray] = []
    while len(places) < most:
        # All of the first k segments end at j' < j, the next covers starts[j'+1] … ends[j].
        total = np.full((len(ends), len(ends)), np.inf)
        total[1:] = best[:-1, None] + costs[1:]
        before.append(np.argmin(total, axis=0))
        best = np.min(total, axis=0)
        if not np.isfinite(best[-1]):
            break
        places.append(_traced(before, starts))
    return places


def _traced(before: list[np.ndarray], starts: np.ndarray) -> np.ndarray:
    """Follow the choices back from the end."""
    found, last = [], len(starts) - 1
    for choice in reversed(before):
        first = choice[last]
        found.append(starts[first])
        last = first - 1
    return np.array([0, *found[::-1]])


def _costs(
    x: np.ndarray, y: np.ndarray, weight: np.ndarray, degree: int, ends: np.ndarray
) -> np.ndarray:
    """Return the sum of squares about polynomials fitted to the first ``ends`` points, (E,).

    Moments are taken about the first point and rescaled to the length of each segment, which
    keeps the normal equations of low degrees well conditioned. Too short ones cost infinity.
    """
    possible = ends > degree
    last = np.clip(ends, 1, len(x)) - 1
    length = np.where(x[last] > x[0], x[last] - x[0], 1.0)
    t, v, w = x - x[0], y - y[:1], weight[:, None]
    orders = np.arange(degree + 1)
    powers = np.cumsum(w * t[:, None] ** np.arange(2 * degree + 1), axis=0)[last]
    powers /= length[:, None] ** np.arange(2 * degree + 1)
    moments = [np.cumsum(w * t[:, None] ** k * v, axis=0)[last] for k in orders]
    rhs = np.stack(moments, axis=1) / length[:, None, None] ** orders[:, None]
    gram = powers[:, orders[:, None] + orders]
    gram[~possible] = np.eye(degree + 1)
    solved = np.linalg.solve(gram + 1e-14 * np.eye(degree + 1) * gram[:, :1, :1], rhs)
    cost = np.cumsum(np.sum(w * v**2, axis=1))[last] - np.sum(solved * rhs, axis=(1, 2))
    return np.where(possible, np.maximum(cost, 0.0), np.inf)

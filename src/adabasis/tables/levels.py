"""Categories as numbers: what the target is on each level; and whole numbers that are codes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from scipy.stats import f as f_distribution

from .columns import kind_of, numbers, texts

FOLDS = 5
"""Parts of the rows whose statistics come from the other parts."""
FEWEST_CODES, FEWEST_AT_EACH = 6, 3
"""Levels from which their order can be judged, and rows at each on average."""
SURE = 1e-3
"""Chance of so large differences between levels where there are none."""


def written(values: Any) -> Any:
    """Return the entries of a column as text; whole numbers without a point, 2 like 2.0."""
    if kind_of(values.type) != "number":
        return texts(values)
    found = numbers(values)
    whole = np.isfinite(found) & (found == np.round(found)) & (np.abs(found) < 2**53)
    if (whole | ~np.isfinite(found)).all():
        return pc.cast(
            pa.array(np.where(whole, found, 0).astype(np.int64), mask=~whole), pa.string()
        )
    return texts(pa.array(found, from_pandas=True))


def index_of(values: Any, levels: Sequence[str]) -> np.ndarray:
    """Return which of the levels each entry is, (N,); −1 for others and for gaps."""
    at = pc.index_in(written(values), value_set=pa.array(levels, pa.string()))
    return pc.fill_null(at, -1).to_numpy(zero_copy_only=False)


def statistics(index: np.ndarray, y: np.ndarray, weight: np.ndarray, n_levels: int) -> np.ndarray:
    r"""Return the expected target on every level, and last on any other: (n_levels + 1, k).

    The means of a level are drawn to that of all by the variances σ² within and τ² between levels
    (method of moments of a random effect): m + (m_j − m) n_j τ² / (n_j τ² + σ²), with n_j the
    weight of its rows. A level of one row says little; where levels differ no more than rows do,
    they say nothing.

    Parameters
    ----------
    index : array of int, shape (N,)
    y : array, shape (N, k)
    weight : array, shape (N,)
    n_levels : int
    """
    weight = weight * (len(weight) / weight.sum())
    count = np.bincount(index, weight, n_levels)
    seen, total = np.count_nonzero(count), count.sum()
    out = np.empty((n_levels + 1, y.shape[1]))
    for q, values in enumerate(y.T):
        middle = np.average(values, weights=weight)
        mean = np.divide(
            np.bincount(index, weight * (values - middle), n_levels), count, where=count > 0,
            out=np.zeros(n_levels),
        )  # fmt: skip
        within = weight @ (values - middle - mean[index]) ** 2 / max(total - seen, 1.0)
        between = (count @ mean**2 - (seen - 1) * within) / max(
            total - count @ count / total, 1e-300
        )
        between = max(between, 0.0)
        trust = count * between / np.maximum(count * between + within, 1e-300)
        share = trust / max(trust.sum(), 1e-300)
        middle_of_levels = share @ mean
        out[:-1, q] = middle + middle_of_levels + trust * (mean - middle_of_levels)
        out[-1, q] = middle + middle_of_levels
    return out


def out_of_fold(
    index: np.ndarray, y: np.ndarray, weight: np.ndarray, n_levels: int, fold: np.ndarray
) -> np.ndarray:
    """Return the statistics of each row's level among the rows of other folds, (N, k).

    A row's own target among them would tell a model what it is to predict.
    """
    out = np.empty(y.shape)
    for number in np.unique(fold):
        mine = fold == number
        others = ~mine if (~mine).any() else mine
        found = statistics(index[others], y[others], weight[others], n_levels)
        missing = np.bincount(index[others], minlength=n_levels) == 0
        found[:-1][missing] = found[-1]
        out[mine] = found[index[mine]]
    return out


def folds_of(places: np.ndarray, seed: int) -> np.ndarray:
    """Return a fold of FOLDS for each row, (N,): rows of one place share theirs."""
    number = np.random.default_rng(seed).permutation(int(places.max()) + 1) % FOLDS
    return number[places]


def looks_like_a_code(values: np.ndarray, y: np.ndarray) -> bool:
    """Say whether whole numbers (N,) name levels rather than count: their order says nothing of y.

    That takes levels whose means of y (N, k) differ beyond doubt, and that are told no better by
    the two levels beside them (on a straight line) than by the mean of all. Few levels, few rows
    and weak effects leave it at numbers.
    """
    levels, index, count = np.unique(values, return_inverse=True, return_counts=True)
    n, rows = len(levels), len(values)
    if n < FEWEST_CODES or rows < FEWEST_AT_EACH * n or (levels != np.round(levels)).any():
        return False
    left, here, right = levels[:-2], levels[1:-1], levels[2:]
    share = (here - left) / (right - left)
    for column in y.T:
        mean = np.bincount(index, column) / count
        within = np.sum((column - mean[index]) ** 2) / (rows - n)
        between = count @ (mean - column.mean()) ** 2 / (n - 1)
        if between <= 0 or f_distribution.sf(between / max(within, 1e-300), n - 1, rows - n) > SURE:
            continue
        noise = within / count
        beside = (1 - share) * mean[:-2] + share * mean[2:]
        of_beside = (1 - share) ** 2 * noise[:-2] + share**2 * noise[2:]
        off = np.sum((mean[1:-1] - beside) ** 2 - noise[1:-1] - of_beside)
        spread = np.sum((mean[1:-1] - mean.mean()) ** 2 - noise[1:-1])
        if off > spread > noise[1:-1].sum():
            return True
    return False

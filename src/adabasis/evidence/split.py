"""Which rows are held out together: groups, near-duplicates, the last rows, shares."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np
from scipy.cluster.hierarchy import fcluster, linkage
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

#: Distinct places below which rows are held out within places, besides 3(D + 1): the error of two
#: or three places says nothing.
FEWEST_PLACES = 10
#: Near-duplicates: clusters whose rows are joined by steps this many times shorter than any step
#: between clusters. Spacings of evenly drawn rows fall off more gently.
CLEAR_GAP = 20.0
#: Share of the rows that one cluster may hold: more is where most of the data are.
LARGEST_CLUSTER = 0.2
#: Rows up to which all distances are looked at.
MOST_LINKED = 4000
#: Rows from which their order is looked at, and standard errors from which it tells something.
FEWEST_IN_ORDER, CLEARLY_ALIKE = 40, 5.0
#: Share of the rows in order that ``holdout="last"`` keeps aside.
LAST = 0.2


def fewest_places(n_inputs: int) -> int:
    """Return the number of distinct places from which whole places are held out."""
    return max(FEWEST_PLACES, 3 * (n_inputs + 1))


def near_duplicates(z: np.ndarray) -> np.ndarray:
    """Return labels of distinct places, equal for those that are nearly one, (N,).

    Places are joined by the shortest steps between them (single linkage); of the lengths at which
    steps become :data:`CLEAR_GAP` times longer, the shortest counts that leaves enough clusters.

    Parameters
    ----------
    z : array, shape (N, D)
        Inputs in the unit box.
    """
    n = len(z)
    if not 2 * fewest_places(z.shape[1]) <= n <= MOST_LINKED:
        return np.arange(n)
    tree = linkage(z, "single")
    steps = tree[:, 2]
    most = n - fewest_places(z.shape[1])  # steps that may be within clusters
    for k in np.flatnonzero(steps[1 : most + 1] > CLEAR_GAP * steps[:most])[::-1]:
        labels = fcluster(tree, steps[k] * CLEAR_GAP**0.5, "distance") - 1
        if np.bincount(labels).max() <= max(2, LARGEST_CLUSTER * n):
            return labels
    return np.arange(n)


def joined(at: np.ndarray, groups: np.ndarray, n_places: int) -> np.ndarray:
    """Return labels of places, equal where rows of one group are at both, (P,).

    Parameters
    ----------
    at, groups : arrays of int, shape (N,)
        The place and the group of each row.
    n_places : int
    """
    shape = n_places, int(groups.max()) + 1
    of_row = coo_array((np.ones(len(at)), (at, groups)), shape=shape)
    links = (of_row @ of_row.T).tocsr() if shape[1] < n_places else of_row.tocsr() @ of_row.T
    return connected_components(links, directed=False)[1]


def checked_groups(call: str, groups: Any, n_rows: int) -> np.ndarray | None:
    """Return groups numbered from 0, (N,), or say what is wrong with them."""
    if groups is None:
        return None
    labels = np.asarray(groups)
    if labels.shape != (n_rows,):
        raise ValueError(
            f"{call}(groups): expected one label for each row, shape ({n_rows},), got "
            f"{labels.shape}."
        )
    numbered = np.unique(
        labels.astype(str) if labels.dtype == object else labels, return_inverse=True
    )
    if len(numbered[0]) < 2:
        raise ValueError(
            f"{call}(groups): all rows are of one group, so that none can be held out. Leave "
            "groups out, or give at least two."
        )
    return numbered[1].ravel()


def checked_holdout(call: str, holdout: Any) -> float | str | None:
    """Return what is to be held out: ``None`` for nothing, a share, or ``"last"``."""
    if holdout is None or holdout == 0 or holdout == "last":
        return holdout or None
    if isinstance(holdout, str | bool) or not 0 < holdout < 1:
        raise ValueError(
            f"{call}(holdout={holdout!r}): expected a share between 0 and 1, 'last' for the last "
            "rows in order, or None."
        )
    return float(holdout)


def split(
    x: np.ndarray, holdout: float | str | None, seed: int, groups: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Return indices of the rows to fit and of those to hold out.

    Rows of one group stay together, and so do rows at one place and near-duplicates: a measurement
    repeated on both sides would be an answer given away. With few distinct places nothing is held
    out. ``"last"`` holds out the last rows in order, with their groups.
    """
    n, nothing = len(x), np.arange(0)
    at = np.unique(x, axis=0, return_inverse=True)[1].ravel()
    n_places = int(at.max()) + 1
    if not holdout or n_places < FEWEST_PLACES:
        return np.arange(n), nothing
    if holdout == "last":
        out = np.arange(n) >= n - max(1, round(LAST * n))
        return np.flatnonzero(~out), np.flatnonzero(out)
    label = kept_together(x, at, groups)[0][at]
    n_labels = int(label.max()) + 1
    chosen = np.random.default_rng(seed).permutation(n_labels)
    out = np.isin(label, chosen[: max(min(2, n_labels - 1), round(float(holdout) * n_labels))])
    return np.flatnonzero(~out), np.flatnonzero(out)


def kept_together(
    x: np.ndarray, at: np.ndarray, groups: np.ndarray | None
) -> tuple[np.ndarray, str]:
    """Return labels of places that are held out together, (P,), and why in words.

    Parameters
    ----------
    x : array, shape (N, D)
        Rows.
    at : array of int, shape (N,)
        The place of each row.
    groups : array of int, shape (N,), optional
        From :func:`checked_groups`.
    """
    n_places = int(at.max()) + 1
    first = np.empty(n_places, dtype=int)
    first[at] = np.arange(len(x))
    label = np.arange(n_places)
    if n_places <= MOST_LINKED:
        places = x[first]
        reach = np.ptp(places, axis=0)
        label = near_duplicates((places - places.min(axis=0)) / np.where(reach > 0, reach, 1.0))
    why = "near-duplicates kept together" if label.max() + 1 < n_places else ""
    if groups is not None:
        label, why = joined(at, groups, n_places), "groups kept together"
    return label, why


def rows_together(x: np.ndarray, groups: np.ndarray | None) -> np.ndarray:
    """Return labels of rows (N,), equal for those of one group.

    Without groups: for rows at one place and near-duplicates, where there are enough places to tell
    anything of others.
    """
    if groups is not None:
        return np.unique(groups, return_inverse=True)[1].ravel()
    at = np.unique(x, axis=0, return_inverse=True)[1].ravel()
    if at.max(initial=-1) + 1 < fewest_places(x.shape[1]):
        return np.arange(len(x))
    return kept_together(x, at, None)[0][at]


def folds(n_labels: int, share: float, seed: int) -> Iterator[np.ndarray]:
    """Yield labels to hold out, none of them twice: 1/share times so many."""
    order = np.random.default_rng(seed).permutation(n_labels)
    n_out = min(max(1, round(share * n_labels)), n_labels - 1)
    for start in range(0, n_labels - n_out + 1, n_out):
        yield order[start : start + n_out]


def _is_monotone(column: np.ndarray) -> bool:
    """Whether numbers never fall, or never rise, and are not all the same."""
    steps = np.diff(column)
    return bool(((steps >= 0).all() or (steps <= 0).all()) and (steps != 0).any())


def told_by_order(x: np.ndarray, residual: np.ndarray) -> Iterator[str]:
    """Say where the order of rows tells something that rows held out at random hide.

    The lag-one autocorrelation of N independent residuals has the standard error 1/√N. In one
    input, rows in its order are nothing to speak of, and residuals follow each other.

    Parameters
    ----------
    x : array, shape (N, D)
        Rows as they were given.
    residual : array, shape (n,)
        Of the first n of them.
    """
    monotone = np.array([_is_monotone(column) for column in x.T])
    if len(x) < FEWEST_IN_ORDER or (monotone.any() and x.shape[1] == 1):
        return
    judge = "Judge the model by holdout='last' (--holdout last)"
    if monotone.any():
        number = int(np.argmax(monotone)) + 1
        yield (
            f"The rows are in order of input {number}. If those to be predicted come after them, "
            f"rows between others say little. {judge}."
        )
        return
    centred = residual - residual.mean()
    square = float(centred @ centred)
    alike = float(centred[1:] @ centred[:-1]) / square if square else 0.0
    if alike * math.sqrt(len(residual)) > CLEARLY_ALIKE:
        yield (
            f"Errors of rows next to each other in the table are alike (correlation {alike:.2f}): "
            f"they are a series, or in groups. {judge}, or name the groups (groups=, --group)."
        )

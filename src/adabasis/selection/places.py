"""Places: distinct rows of inputs, and how many measurements there are at each."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ..evidence.split import fewest_places

#: Share of the places that have copies from which they are of the table: designs repeat few.
COPIED = 0.5


def counts(weight: np.ndarray, at: np.ndarray, scatter: np.ndarray, n_inputs: int) -> np.ndarray:
    """Return the number of rows at each place, (P,); a row of a whole weight k is k rows.

    Where rows of one place never differ, and most places have several, they are copies, not
    measurements: a table that is there twice, or weights of 2. A copy that is left out is known
    from the other, and a fit that goes through all values would be without error. Few places have
    nothing else to be judged by, nor has the middle of a design.
    """
    whole = np.array_equal(weight, np.round(weight))
    count = weight if whole else np.bincount(at).astype(float)
    enough = len(weight) >= fewest_places(n_inputs)
    if enough and not scatter.any() and np.mean(count > 1) >= COPIED:
        return np.ones(len(weight))
    return count


def distinct(columns: Sequence[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Return the first of the rows at each distinct place, (P,), and the place of each, (N,).

    Places are in order by column, as by ``numpy.unique(axis=0)``, without its copies of all rows.
    """
    first, *others = columns
    order = np.argsort(first, kind="stable")
    if np.any(np.diff(first[order]) == 0):  # other columns decide
        order = np.lexsort([*others[::-1], first])
    new = np.zeros(len(order), bool)
    new[:1] = True
    for column in columns:
        column = column[order]
        new[1:] |= column[1:] != column[:-1]
    at = np.empty(len(order), dtype=int)
    at[order] = np.cumsum(new) - 1
    return order[new], at

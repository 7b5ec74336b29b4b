"""Rows at the end of a table that sum up the others, by a word: totals, means and the like."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from .errors import BadInput

#: Rows at the end that are looked at.
MOST = 8
#: Difference from what a row says of the others, over their spread, that is rounding.
ROUNDED = 0.01
_SPREAD: Callable[..., float] = lambda x: float(np.std(x, ddof=1))  # noqa: E731 (as the others)
_OF: dict[Callable[..., float], str] = {
    np.mean: "mean average avg",
    np.sum: "total sum totals subtotal",
    np.median: "median",
    np.min: "min minimum",
    np.max: "max maximum",
    np.size: "count n",
    _SPREAD: "std sd stdev",
}
WORDS = {word: function for function, words in _OF.items() for word in words.split()}
WORDS |= {"grand total": np.sum, "standard deviation": _SPREAD, "std. dev.": _SPREAD}


def holds(
    columns: Mapping[str, np.ndarray], row: int, function: Callable[..., float], n: int
) -> bool:
    """Whether most numbers of a row are a function of those above, the first of such rows aside."""
    said = right = 0
    for values in columns.values():
        if not np.isfinite(values[row]):
            continue
        said += 1
        # Rows that sum up may stand between: what a column says above them is what counts.
        for end in range(row, max(row - MOST, 1), -1):
            above = values[:end][np.isfinite(values[:end])]
            if len(above) < 2:
                break
            spread = float(np.ptp(above)) or abs(float(above[0]))
            if abs(function(above) - values[row]) <= ROUNDED * spread:
                right += 1
                break
    return 2 * right > said


def check_index(call: str, X: Any, x: np.ndarray) -> None:
    """Refuse frames whose index says that the last rows sum up the others, and whose numbers do.

    Parameters
    ----------
    call : str
    X : Any
        As it was given.
    x : array, shape (N, K)
        Its numbers, and those of the targets.

    Raises
    ------
    BadInput
    """
    index: Any = getattr(X, "index", None)
    if getattr(getattr(index, "dtype", None), "kind", "") != "O" or len(x) != len(index):
        return
    n, columns, count = len(x), {str(k): column for k, column in enumerate(x.T)}, 0
    for label in index[::-1][: min(MOST, n - 1)]:
        function = WORDS.get(str(label).strip().lower())
        if function is None or not holds(columns, n - 1 - count, function, n):
            break
        count += 1
    if count:
        raise BadInput(f"{call}(X): {told(count, str(index[-count]), 'its index')}")


def told(count: int, word: str, where: str) -> str:
    """Say which rows of a frame sum up the others, and what to do."""
    rows = "the last row sums" if count == 1 else f"the last {count} rows sum"
    it = "it" if count == 1 else "them"
    return (
        f"{rows} up the others ('{word}' in {where}): no measurement. Leave {it} out "
        f"(X.iloc[:-{count}], and y likewise)."
    )

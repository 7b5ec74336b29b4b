"""Rows at the end of a table that sum up the others: they are no rows of data."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from .columns import kind_of, texts

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


def summed_up(
    table: pa.Table, numbers: Callable[[], Mapping[str, np.ndarray]]
) -> tuple[int, str, str]:
    """Return how many rows at the end sum up those above, and the first one's word and its column.

    A row does where such a word stands in a column of numbers, or stands elsewhere and most numbers
    of the row are what it says.

    Parameters
    ----------
    table : pyarrow.Table
        As it was read, numbers in text.
    numbers : callable
        Returns columns of numbers, NaN where an entry is none.
    """
    n = table.num_rows
    begin = max(n - MOST, 1)
    tail = {
        name: [(entry or "").strip().lower().rstrip(":= ") for entry in texts(values).to_pylist()]
        for name, values in zip(table.column_names, table.slice(begin).columns, strict=True)
        if kind_of(values.type) == "text"
    }
    if not any(entry in WORDS for entries in tail.values() for entry in entries):
        return 0, "", ""
    known, last, told = numbers(), n, ("", "")
    empty = np.all([c.is_null().to_numpy() for c in table.slice(begin).columns], axis=0)
    for i in range(n - 1, begin - 1, -1):
        named = [(name, e[i - begin]) for name, e in tail.items() if e[i - begin] in WORDS]
        sure = [pair for pair in named if pair[0] in known or _holds(known, i, WORDS[pair[1]], n)]
        if sure:
            last, told = i, (str(table.column(sure[0][0])[i].as_py()).strip(), sure[0][0])
        elif not empty[i - begin]:
            break
    while last < n and last > begin and empty[last - 1 - begin]:
        last -= 1
    return n - last, *told


def _holds(
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


def numbers_of(table: pa.Table, written: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Return the columns of numbers of a table, with those that are written as text."""
    found = {
        name: pc.cast(values, pa.float64(), safe=False).to_numpy()
        for name, values in zip(table.column_names, table.columns, strict=True)
        if kind_of(values.type) == "number" and not pa.types.is_dictionary(values.type)
    }
    return {**found, **written}

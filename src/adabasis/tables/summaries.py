"""Rows at the end of a table that sum up the others: they are no rows of data."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from .._runtime.errors import BadInput
from .._runtime.summaries import MOST, WORDS, holds, told
from .columns import kind_of, texts

#: What the index of a frame is called among its columns.
INDEX = "(index)"


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
        sure = [pair for pair in named if pair[0] in known or holds(known, i, WORDS[pair[1]], n)]
        if sure:
            last, told = i, (str(table.column(sure[0][0])[i].as_py()).strip(), sure[0][0])
        elif not empty[i - begin]:
            break
    while last < n and last > begin and empty[last - 1 - begin]:
        last -= 1
    return n - last, *told


def check_none_sums_up(call: str, X: Any, table: pa.Table) -> None:
    """Refuse a frame whose last rows sum up the others, by a word in a column or in its index.

    Rows of a file are left out; those of a frame belong to a target that is given besides.

    Raises
    ------
    BadInput
    """
    index: Any = getattr(X, "index", None)
    labels = getattr(index, "dtype", None)
    if labels is not None and labels.kind == "O" and INDEX not in table.column_names:
        names = [str(label) for label in index]
        table = table.append_column(INDEX, pa.array(names, pa.string()))
    count, word, column = summed_up(table, lambda: numbers_of(table, {}))
    if count:
        where = "its index" if column == INDEX else f"column '{column}'"
        raise BadInput(f"{call}: {told(count, word, where)}")


def numbers_of(table: pa.Table, written: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Return the columns of numbers of a table, with those that are written as text."""
    found = {
        name: pc.cast(values, pa.float64(), safe=False).to_numpy()
        for name, values in zip(table.column_names, table.columns, strict=True)
        if kind_of(values.type) == "number" and not pa.types.is_dictionary(values.type)
    }
    return {**found, **written}

"""What is given as numbers: in float64, or which column and which row of it holds none."""

from __future__ import annotations

import contextlib
import datetime
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import numpy as np

from .errors import BadInput, counted

_TIMES = re.compile("date|time|duration|period", re.IGNORECASE)
"""What the types of dates, times and durations are called by NumPy, pandas, polars and Arrow."""
_OFTEN = 0.5
"""Share of a column's entries from which one that is no number is no slip."""
_MEND = {
    "X": "adabasis.tables.Preparation turns text, categories, dates and gaps into numbers, such as "
    "in make_pipeline(Preparation(), AdaptiveBasisRegressor()).",
    "y": "Turn them into numbers; for classes use classify, or AdaptiveBasisClassifier.",
}


def floats(call: str, name: str, values: Any) -> np.ndarray:
    """Return an array or a data frame in float64, NaN where entries are missing.

    Raises
    ------
    BadInput
        Naming the first column, and its first row, that holds no number. Dates are none: NumPy
        would count nanoseconds.
    TypeError
        For entries that no text could stand for, such as lists.
    """
    refuse_times(call, name, values)
    if any(str(kind).startswith("complex") for kind in _types(values)):
        raise BadInput(
            f"{call}({name}): Complex data not supported: give real and imaginary parts as two "
            "columns."
        )
    with explained(call, name, values):
        if hasattr(values, "iloc"):  # pandas, whose NA is no float
            return values.to_numpy(dtype=float, na_value=np.nan)
        return np.asarray(values, dtype=float)


def column_names(values: Any) -> tuple[str, ...]:
    """Return the names of a frame's columns; none of an array, or where they are no text."""
    names = getattr(values, "column_names", getattr(values, "columns", ()))
    found = tuple(names) if np.iterable(names) else ()
    return found if all(isinstance(name, str) for name in found) else ()


def in_order(call: str, values: Any, names: tuple[str, ...]) -> Any:
    """Return a frame with its columns as a model was fitted to them; others as they are.

    Raises
    ------
    ValueError
        Naming the columns that are missing.
    """
    given = column_names(values)
    if not given or not names or given == names:
        return values
    absent = [name for name in names if name not in given]
    if absent:
        raise ValueError(
            f"{call}: the model was fitted to the columns {', '.join(map(repr, names))}, and these "
            f"have no {', '.join(map(repr, absent))}. Name the columns likewise, or give an array."
        )
    return values.select(list(names)) if hasattr(values, "select") else values[list(names)]


def refuse_times(call: str, name: str, values: Any) -> None:
    """Refuse mappings, and arrays and columns of dates, times or durations by their type.

    Raises
    ------
    BadInput
    """
    if isinstance(values, Mapping) and not hasattr(values, "tocsr"):
        raise BadInput(f"{call}({name}): a mapping is no array of rows. {_MEND['X']}")
    if any(_TIMES.match(str(kind)) for kind in _types(values)):
        raise BadInput(f"{call}({name}): {_culprit(name, values)}")


@contextlib.contextmanager
def explained(call: str, name: str, values: Any) -> Iterator[None]:
    """Turn an error about values that are no numbers into one that says where they are."""
    try:
        yield
    except (TypeError, ValueError) as error:
        found = _culprit(name, values)
        if found is None or isinstance(error, BadInput):
            raise
        message = f"{call}({name}): {found}"
        if isinstance(error, TypeError):
            raise TypeError(f"{message} ({error})") from error
        raise BadInput(message) from error


def check_finite(call: str, name: str, array: np.ndarray, given: Any = None) -> None:
    """Refuse NaN and infinite numbers.

    Parameters
    ----------
    call, name : str
        The public function and its argument, for the message.
    array : array of floats, shape (N,) or (N, D)
    given : array-like or data frame, optional
        What the array was made from: its columns may have names.

    Raises
    ------
    BadInput
        Naming the columns, how many entries, and the first row of each.
    """
    bad = ~np.isfinite(array)
    if not bad.any():
        return
    labels = [label for label, _ in _columns(array if given is None else given)]
    by_column = bad.reshape(len(bad), -1).T
    where = []
    for label, rows in zip(labels, by_column, strict=True):
        if rows.any():
            first = f"{'row' if rows.sum() == 1 else 'the first in row'} {rows.argmax()}"
            where.append(f"{label} ({rows.sum():,} of {len(rows):,}, {first})" if label else first)
    shown = ", ".join(where[:8]) + f" and {len(where) - 8} more columns" * (len(where) > 8)
    drop = "Drop those rows" if name == "y" else "Fill them or drop those rows"
    mend = "; adabasis.tables.Preparation(impute=True) fills them." if name == "X" else "."
    raise BadInput(
        f"{call}({name}): {counted(int(bad.sum()), 'entry is', 'entries are')} NaN or infinite: "
        f"{shown}. {drop}{mend}"
    )


def _types(values: Any) -> Iterable[Any]:
    """Return the types of the columns of an array or frame, as far as they are told."""
    if hasattr(values, "dtypes"):
        return values.dtypes if np.iterable(values.dtypes) else [values.dtypes]
    if hasattr(values, "schema"):
        return values.schema.types
    return [getattr(values, "dtype", getattr(values, "type", ""))]


def _columns(values: Any) -> list[tuple[str, Any]]:
    """Return the columns of an array or frame with what to call them; one has no name."""
    if hasattr(values, "iloc") and values.ndim == 2:
        return [(f"column '{name}'", values.iloc[:, i]) for i, name in enumerate(values.columns)]
    if hasattr(values, "get_columns"):
        return [(f"column '{each.name}'", each) for each in values.get_columns()]
    if hasattr(values, "column_names"):
        return [
            (f"column '{name}'", values.column(i)) for i, name in enumerate(values.column_names)
        ]
    if isinstance(values, Mapping):
        return [(f"column '{name}'", column) for name, column in values.items()]
    array = np.asarray(values)
    if array.ndim != 2:
        return [("", array)] if array.ndim == 1 else []
    return [(f"column {i}", column) for i, column in enumerate(array.T)]


def _culprit(name: str, values: Any) -> str | None:
    """Say which column holds what is no number, and where; ``None`` if all are numbers."""
    mend = _MEND.get(name, "Expected numbers.")
    for label, column in _columns(values):
        holder = f"{label} holds" if label else "it holds"
        if any(_TIMES.match(str(kind)) for kind in _types(column)):
            first = str(np.asarray(column)[:1].tolist()[0]) if len(column) else ""
            return f"{holder} dates or times, not numbers: {first} in row 0. {mend}"
        entries = _entries(column)
        wrong = [i for i, entry in enumerate(entries) if not _number(entry)]
        if not wrong:
            continue
        entry = entries[wrong[0]]
        shown = repr(entry) if len(repr(entry)) <= 40 else f"{repr(entry)[:40]}…"
        what = "text" if isinstance(entry, str) else type(entry).__name__
        if isinstance(entry, (datetime.date, datetime.time, datetime.timedelta)):
            what = "dates or times"
        if what == "text" and len(wrong) < _OFTEN * len(entries):
            are = "is no number" if len(wrong) == 1 else "are no numbers, the first of them"
            fill = ", or let adabasis.tables.Preparation(impute=True) fill them" * (name == "X")
            return (
                f"{len(wrong):,} of {len(entries):,} entries{f' of {label}' * bool(label)} {are}: "
                f"{shown} in row {wrong[0]}. Mend them, or make them NaN "
                f"(pandas.to_numeric(…, errors='coerce')) and drop those rows{fill}."
            )
        return f"{holder} {what}, not numbers: {shown} in row {wrong[0]}. {mend}"
    return None


def _entries(column: Any) -> list[Any]:
    array = np.asarray(column)
    return [] if array.dtype.kind in "biuf" else array.tolist()


def _number(entry: Any) -> bool:
    if entry is None or type(entry).__name__ == "NAType" or isinstance(entry, complex):
        return True  # missing, or refused elsewhere
    try:
        float(entry)
    except (TypeError, ValueError, OverflowError):
        return False
    return True

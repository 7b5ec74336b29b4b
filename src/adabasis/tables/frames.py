"""Data frames of every make, mappings of columns and arrays, as tables of Arrow."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from .._runtime.arrays import explained
from .._runtime.errors import BadInput, listed


def as_table(X: Any, call: str) -> pa.Table:
    """Return a frame of pandas or polars, a table of Arrow, a mapping or an array as a table.

    Columns of arrays are called ``x0``, ``x1`` and so on.

    Raises
    ------
    BadInput
        For what has no columns, and columns of which two have the same name.
    ValueError
        For arrays of another shape, in the words of scikit-learn.
    """
    if isinstance(X, pa.Table):
        return X
    if isinstance(X, pa.RecordBatch):
        return pa.Table.from_batches([X])
    if hasattr(X, "collect_schema") and not hasattr(X, "get_columns"):
        raise BadInput(f"{call}: a query is no table yet: collect() it first.")
    if isinstance(X, Sequence) and len(X) and isinstance(X[0], Mapping):
        return pa.Table.from_pylist(list(X))
    columns = list(_named(X))
    twice = [name for name, count in Counter(name for name, _ in columns).items() if count > 1]
    if twice:
        raise BadInput(f"{call}: the columns {listed(twice)} occur more than once. Rename them.")
    if not columns or not len(columns[0][1]):
        raise BadInput(f"{call}: there are no rows.")
    arrays = [_arrow(call, name, values) for name, values in columns]
    if len({len(array) for array in arrays}) > 1:
        lengths = listed(f"{n}: {len(a)}" for (n, _), a in zip(columns, arrays, strict=True))
        raise BadInput(f"{call}: columns of one length are expected, got {lengths}.")
    return pa.table(dict(zip((name for name, _ in columns), arrays, strict=True)))


def is_named(X: Any) -> bool:
    """Say whether the columns of what :func:`as_table` takes have names of their own."""
    records = isinstance(X, Sequence) and len(X) and isinstance(X[0], Mapping)
    known = ("iloc", "get_columns", "column_names")
    return bool(records) or isinstance(X, Mapping) or any(hasattr(X, name) for name in known)


def _named(X: Any) -> list[tuple[str, Any]]:
    if isinstance(X, Mapping) and not hasattr(X, "tocsr"):  # sparse arrays may be mappings
        return [(str(name), values) for name, values in X.items()]
    if hasattr(X, "get_columns"):
        return [(each.name, each.to_arrow()) for each in X.get_columns()]
    if hasattr(X, "iloc") and X.ndim == 2:
        return [(str(name), X.iloc[:, i]) for i, name in enumerate(X.columns)]
    from sklearn.utils import check_array

    if isinstance(X, (list, tuple)):
        X = np.asarray(X, dtype=object)  # else one text makes text of all
    array = check_array(X, dtype=None, ensure_all_finite=False)
    return [(f"x{i}", column) for i, column in enumerate(array.T)]


def _arrow(call: str, name: str, values: Any) -> Any:
    """Return one column; NaN among objects is a gap."""
    if isinstance(values, (pa.Array, pa.ChunkedArray)):
        return values
    kind = str(getattr(values, "dtype", ""))
    if kind.lower().startswith("period"):
        values = values.dt.to_timestamp()
    if not hasattr(values, "iloc"):
        values = np.asarray(values) if not isinstance(values, (list, tuple)) else list(values)
        if isinstance(values, np.ndarray) and values.dtype == object:
            values = values.tolist()
        elif isinstance(values, np.ndarray) and values.dtype.kind in "mM":
            values = values.astype(f"{values.dtype.kind}8[us]")  # Arrow has no hours or years
    try:
        return pa.array(values, from_pandas=True)
    except (pa.ArrowException, TypeError, ValueError, OverflowError) as error:
        # Of columns that mix kinds, say where the first entry stands that is no number.
        with explained(call, "X", {name: values}):
            raise TypeError(
                f"{error}: every entry of column '{name}' must be of one kind; an argument must "
                "be a string or a real number"
            ) from error
        raise  # never: the context raises

"""One column: what kind of entries it holds, as numbers and as text."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

MOST_CATEGORIES = 100
_DECORATED = re.compile(r"[\s$€£<>~]*[+-]?\d[\d.,'\s]*([^\d\s]{1,8})?")
"""A number with a currency or a unit: no category."""


def kind_of(type_: pa.DataType) -> str:
    """Return "number", "bool", "text", "date" or "other"."""
    types = pa.types
    if types.is_dictionary(type_):
        return kind_of(type_.value_type)
    if types.is_boolean(type_):
        return "bool"
    if types.is_integer(type_) or types.is_floating(type_) or types.is_decimal(type_):
        return "number"
    if types.is_null(type_):
        return "number"
    if types.is_string(type_) or types.is_large_string(type_) or types.is_string_view(type_):
        return "text"
    return "date" if types.is_temporal(type_) else "other"


def _plain(values: Any) -> Any:
    if isinstance(values, pa.ChunkedArray):
        values = values.combine_chunks()
    if isinstance(values, pa.ChunkedArray):
        values = pa.concat_arrays(values.chunks)
    if not pa.types.is_dictionary(values.type):
        return values
    entries = values.dictionary
    if pa.types.is_string_view(entries.type):  # as polars writes them: no kernel takes them
        entries = pc.cast(entries, pa.string())
    return entries.take(values.indices)


def numbers(values: Any) -> np.ndarray:
    """Return a column of numbers or booleans in float64, NaN where entries are missing."""
    values = _plain(values)
    if pa.types.is_boolean(values.type):
        values = pc.cast(values, pa.int8())
    # Integers above 2^53 are rounded to float64 like any other number.
    return pc.cast(values, pa.float64(), safe=False).to_numpy(zero_copy_only=False)


def texts(values: Any) -> Any:
    """Return a column as strings; numbers and booleans are written out."""
    return pc.cast(_plain(values), pa.string())


def missing(values: Any) -> np.ndarray:
    """Say which entries are missing, NaN or infinite."""
    if kind_of(values.type) in ("number", "bool"):
        return ~np.isfinite(numbers(values))
    return _plain(values).is_null().to_numpy(zero_copy_only=False)


def looks_decorated(values: Any) -> bool:
    """Say whether a column of text holds numbers with units, currencies or separators."""
    seen = texts(values).drop_null().unique().to_pylist()
    return bool(seen) and sum(bool(_DECORATED.fullmatch(entry)) for entry in seen) > len(seen) / 2


def wrong_column(name: str, values: Any, *, encode: bool) -> str:
    """Say why a column is no number and what to do: with ``encode``, encoding is no way out."""
    kind = kind_of(values.type)
    if kind == "date":
        return (
            f"'{name}' holds dates or times ({values.type}): turn it into a number, such as days "
            "since a start, or --drop it."
        )
    if pa.types.is_binary(values.type):
        return (
            f"'{name}' holds bytes, not numbers: --drop it. NumPy integers enter SQLite as bytes; "
            "write them again as int(n)."
        )
    if kind == "other":
        return f"'{name}' holds {values.type}, not numbers: --drop it."
    entries = enumerate(values.to_pylist())
    row, example = next(((i, v) for i, v in entries if v is not None and not _number(v)), (0, ""))
    if _DECORATED.fullmatch(example):
        mend = "write plain numbers, without units or currencies, or --drop it."
    else:
        mend = "expected numbers." if encode else "--encode (one-hot) or --drop it."
    example = example if len(example) <= 30 else example[:30] + "…"
    return f"'{name}' holds text, such as '{example}' in row {row + 1}: {mend}"


def _number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True

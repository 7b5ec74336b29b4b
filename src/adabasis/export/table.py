"""The preparation of a table as Python that needs NumPy only: encodings, dates, gaps."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping
from typing import Any

from ..tables.encoding import Column
from ..tables.prepare import Preparation
from .trace import NotExportable

_READ = '''def columns_of(table):
    """Return the columns of rows that are mappings, of a mapping of columns, or of a data frame."""
    if isinstance(table, (list, tuple)):
        return {name: [row[name] for row in table] for name in COLUMNS}
    absent = [name for name in COLUMNS if name not in table]
    if absent:
        raise ValueError(f"the table lacks columns the model was fitted to: {', '.join(absent)}")
    return {name: list(table[name]) for name in COLUMNS}


def gap(entry):
    """Say whether an entry is missing."""
    return entry is None or entry == "" or entry != entry


def filled(name, entries, fill):
    """Return entries with gaps filled; without anything to fill them with, refuse them."""
    if fill is None and any(map(gap, entries)):
        first = next(i for i, entry in enumerate(entries) if gap(entry))
        raise ValueError(f"column {name!r}: a missing entry in row {first + 1}")
    return [fill if gap(entry) else entry for entry in entries]


def numbers_of(name, entries, fill):
    """Return a column of numbers, (N, 1)."""
    words = {"true": 1.0, "false": 0.0}
    entries = [words.get(e.strip().lower(), e) if isinstance(e, str) else e for e in entries]
    return np.array([float(e) for e in filled(name, entries, fill)]).reshape(-1, 1)
'''
_LEVELS = '''

def text_of(entry):
    """Return how a level is written: whole numbers without a decimal point."""
    if isinstance(entry, (bool, np.bool_)):
        return str(bool(entry)).lower()
    if isinstance(entry, (float, np.floating)) and float(entry).is_integer():
        return str(int(entry))
    return str(entry)


def levels_of(name, entries, fill, levels, rows):
    """Return the row of each level, (N, k); the last one of levels that are not known."""
    at = {level: i for i, level in enumerate(levels)}
    found = [at.get(text_of(entry), -1) for entry in filled(name, entries, fill)]
    return np.array(rows, dtype=float)[found].reshape(len(found), -1)
'''
_TIMES = '''

DAY = 86_400_000_000


def microseconds(entry, zone, kind):
    """Return an instant as microseconds since 1970, a time since midnight, a duration as such."""
    if isinstance(entry, (int, np.integer)):
        return int(entry)
    if kind == "time":
        if isinstance(entry, str):
            entry = datetime.time.fromisoformat(entry)
        second = 3600 * entry.hour + 60 * entry.minute + entry.second
        return 1_000_000 * second + entry.microsecond
    if kind == "duration":
        return int(np.timedelta64(entry, "us").astype(np.int64))
    if isinstance(entry, str):
        entry = datetime.datetime.fromisoformat(entry)
    if getattr(entry, "tzinfo", None) is not None:
        entry = entry.astimezone(datetime.timezone.utc).replace(tzinfo=None)
    return int(np.datetime64(entry, "us").astype(np.int64))


def phase(at, period, zone):
    """Return how far into its day, week or year each instant lies, from 0 to 1."""
    if zone is not None:
        utc, start = datetime.timezone.utc, datetime.datetime(1970, 1, 1)
        moved = [
            (start + datetime.timedelta(microseconds=int(t))).replace(tzinfo=utc)
            .astimezone(zoneinfo.ZoneInfo(zone)).utcoffset()
            for t in at
        ]
        at = at + np.array([round(m.total_seconds() * 1e6) for m in moved], dtype=np.int64)
    if period == "year":
        year = at.view("M8[us]").astype("M8[Y]")
        first, last = (y.astype("M8[us]").view(np.int64) for y in (year, year + 1))
        return (at - first) / (last - first)
    length = {"day": DAY, "week": 7 * DAY}[period]
    return ((at - 4 * DAY * (period == "week")) % length) / length


def times_of(name, entries, fill, kind, start, zone, periods):
    """Return a column of dates, times of day or durations as numbers, (N, k)."""
    entries = filled(name, entries, fill)
    at = np.array([microseconds(entry, zone, kind) for entry in entries], dtype=np.int64)
    parts = []
    for period in periods:
        angle = 2 * np.pi * phase(at, period, zone)
        parts += [np.cos(angle), np.sin(angle)]
    if kind == "date":
        parts.insert(0, (at - start) / DAY)
    elif not parts:
        parts = [at / DAY * (24 if kind == "time" else 1)]
    return np.stack(parts, axis=1)
'''


def code_of(document: Mapping[str, Any]) -> tuple[str, str]:
    """Return the imports and the functions by which a table becomes the inputs of a model.

    Parameters
    ----------
    document : mapping
        A preparation as ``Preparation.to_json`` describes it.

    Raises
    ------
    NotExportable
        For dates that are written in an order of their own.
    """
    columns = Preparation.from_json(document).columns_
    calls = [_call(column) for column in columns]
    timed = any(column.clock is not None for column in columns)
    zones = any(column.clock is not None and column.clock.zone for column in columns)
    imports = ["import datetime"] * timed + ["import zoneinfo"] * zones
    names = [column.name for column in columns]
    parts = [f"COLUMNS = {names!r}\n\n\n{_READ.strip()}"]
    parts += [_LEVELS.strip()] if any(column.categories for column in columns) else []
    parts += [_TIMES.strip()] if timed else []
    inside = ",\n".join(calls)
    parts.append(
        "def matrix(table):\n"
        '    """Return the inputs of the model, (N, D), of a table with the columns it needs."""\n'
        "    columns = columns_of(table)\n"
        f"    return np.concatenate([\n{textwrap.indent(inside, ' ' * 8)},\n    ], axis=1)"
    )
    return "\n".join(imports), "\n\n\n".join(parts)


def _call(column: Column) -> str:
    """Return the expression that makes numbers of a column."""
    entries = f"{column.name!r}, columns[{column.name!r}]"
    if column.clock is not None:
        clock = column.clock
        if clock.order:
            raise NotExportable(
                f"column '{column.name}' holds dates written as {clock.order!r}, which the "
                "exported file does not read. Fit to dates as ISO 8601 writes them (2026-01-31), "
                "or export to '.onnx' or '.c', which take numbers."
            )
        fill = None if column.fill is None else int(float(column.fill))
        about = f"{column.kind!r}, {clock.start}, {clock.zone!r}, {clock.periods!r}"
        return f"times_of({entries}, {fill!r}, {about})"
    if not column.categories:
        return f"numbers_of({entries}, {column.fill!r})"
    n = len(column.categories)
    if column.statistics:
        rows = [list(row) for row in column.statistics]
    elif column.kind == "ordered":
        rows = [[float(i)] for i in (*range(n), -1)]
    else:
        rows = [[float(i == j) for j in range(n)] for i in (*range(n), -1)]
    return f"levels_of({entries}, {column.fill!r}, {list(column.categories)!r},\n    {rows!r})"

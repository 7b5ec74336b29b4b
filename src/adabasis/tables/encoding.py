"""One column as numbers: what a model remembers of it."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from .._runtime.errors import BadInput, counted
from . import dates, levels
from .calendars import written_dates
from .columns import MOST_CATEGORIES, kind_of, missing, numbers
from .dates import Clock

_OF_PYTHON = {
    "--encode (one-hot) or --drop it": "leave it out with Preparation(drop=…)",
    "or --drop it": "or leave it out with Preparation(drop=…)",
    "--drop it": "leave it out with Preparation(drop=…)",
    "--impute": "Preparation(impute=True)",
    "--target": "targets",
    "--weight": "weight",
    "--group": "group",
    "--categorical": "Preparation(categorical=…)",
    "--numeric": "Preparation(numeric=…)",
}
"""What options of the command line are called in Python."""


def _dates_as(clock: Clock | None) -> pa.DataType:
    """Return what a column of dates in text is read as: text where it is not ISO 8601."""
    if clock is not None and clock.order:
        return pa.string()
    return pa.timestamp("us", clock.zone if clock else None)


@dataclasses.dataclass(frozen=True)
class Column:
    """One input column: how its entries become numbers.

    Attributes
    ----------
    name : str
    kind : {"number", "bool", "text", "code", "ordered", "date", "time", "duration"}
        A code is a whole number that names a level; ordered categories count from 0.
    fill : float, str or None
        Stands in for missing entries (of dates: microseconds since 1970); ``None`` refuses them.
    categories : tuple of str
        Of text and codes: one 0/1 feature each, where there are no statistics.
    statistics : tuple of tuples of float
        The expected targets on each category, and last on any other.
    outputs : tuple of str
        What these are statistics of.
    clock : Clock or None
        Of dates and times.
    """

    name: str
    kind: str
    fill: float | str | None = None
    categories: tuple[str, ...] = ()
    statistics: tuple[tuple[float, ...], ...] = ()
    outputs: tuple[str, ...] = ()
    clock: Clock | None = None

    def told_of_gaps(self, gap: np.ndarray) -> str:
        """Return a sentence about the entries that were filled, empty where none was."""
        if not gap.any() or self.fill is None:
            return ""
        entries = f"{gap.sum():,} missing {'entry is' if gap.sum() == 1 else 'entries are'}"
        how = "the most frequent entry" if isinstance(self.fill, str) else "the median"
        value = f"{self.fill:.6g}" if isinstance(self.fill, float) else repr(self.fill)
        value = "" if self.clock is not None else f", {value}"
        return f"'{self.name}': {entries} filled with {how}{value}."

    @property
    def features(self) -> list[str]:
        """Names of the model inputs this column becomes."""
        if self.clock is not None:
            return self.clock.names(self.name, self.kind)
        if self.outputs:
            return [f"{self.name} ({output})" for output in self.outputs]
        if self.kind == "ordered":
            return [self.name]
        return [f"{self.name} = {c}" for c in self.categories] or [self.name]

    @property
    def type(self) -> pa.DataType:
        """The type that a text file's column is read as."""
        return {
            "number": pa.float64(),
            "code": pa.float64(),
            "bool": pa.bool_(),
            "date": _dates_as(self.clock),
            "time": pa.time64("us"),
            "duration": pa.duration("us"),
        }.get(self.kind, pa.string())

    def to_json(self) -> dict[str, Any]:
        """Return the column as plain lists and mappings, and of how many features it is."""
        return {**dataclasses.asdict(self), "features": len(self.features)}

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> Column:
        """Return what :meth:`to_json` described, in this version or an earlier one."""
        clock = document.get("clock")
        if clock is not None:
            clock = Clock(
                clock["start"], clock["zone"], tuple(clock["periods"]), clock.get("order", "")
            )
        return cls(
            document["name"],
            document["kind"],
            document["fill"],
            tuple(document["categories"]),
            tuple(map(tuple, document.get("statistics", ()))),
            tuple(document.get("outputs", ())),
            clock,
        )

    def encode(self, values: Any, first: int = 1) -> tuple[np.ndarray, np.ndarray]:
        """Return the features (N, k) and which entries are categories never seen (N,).

        Raises
        ------
        BadInput
            For entries of another kind, and for missing ones that nothing fills; rows are counted
            from ``first``.
        """
        if self.clock is not None:
            return self._times(values, self.clock, first)
        if self.categories:
            return self._levels(values, first)
        if kind_of(values.type) not in ("number", "bool"):
            raise BadInput(
                f"Column '{self.name}' holds {values.type}, but the model was fitted to numbers "
                "there."
            )
        x = numbers(values)
        bad = ~np.isfinite(x)
        if bad.any():
            self._refuse_missing(bad, first)
            x = np.where(bad, float(self.fill or 0.0), x)
        return x[:, None], np.zeros(len(x), bool)

    def level_index(self, values: Any, first: int = 1) -> np.ndarray:
        """Return which category each entry is, (N,); −1 for others."""
        gap = missing(values)
        if gap.any():
            self._refuse_missing(gap, first)
        at = levels.index_of(values, self.categories)
        return np.where(gap, self.categories.index(str(self.fill)), at) if gap.any() else at

    def _levels(self, values: Any, first: int) -> tuple[np.ndarray, np.ndarray]:
        at = self.level_index(values, first)
        if self.statistics:
            return np.array(self.statistics)[at], at < 0
        if self.kind == "ordered":
            return at[:, None].astype(float), at < 0
        return (at[:, None] == np.arange(len(self.categories))).astype(float), at < 0

    def _times(self, values: Any, clock: Clock, first: int) -> tuple[np.ndarray, np.ndarray]:
        if kind_of(values.type) == "text":
            written = written_dates(self.name, values, clock.order)
            values = None if written is None else written.values
        kind = None
        if values is not None and kind_of(values.type) == "date":
            kind = dates.kind_of_time(values.type)
        if kind != self.kind:
            raise BadInput(
                f"Column '{self.name}': the model was fitted to {dates.WORDS[self.kind]} there, "
                "and these are others (dates as text are read as 2026-01-31 or 2026-01-31 12:00, "
                "or as in training)."
            )
        dates.check_zone(self.name, clock.zone, values.type)
        at, gap = dates.instants(values)
        if gap.any():
            self._refuse_missing(gap, first)
            at = np.where(gap, int(self.fill or 0), at)
        return clock.numbers(at, self.kind), np.zeros(len(at), bool)

    def _refuse_missing(self, bad: np.ndarray, first: int) -> None:
        if self.fill is None:
            raise BadInput(
                f"Column '{self.name}': {gaps_of(bad, first)}. Fill them, or fit again with "
                "--impute."
            )


def gaps_of(bad: np.ndarray, first: int = 1) -> str:
    """Return how many entries are missing or infinite, and where the first of them is."""
    count = counted(int(bad.sum()), "missing or infinite entry", "missing or infinite entries")
    return f"{count}, the first in row {np.flatnonzero(bad)[0] + first:,}"


def kind_in(
    name: str,
    values: Any,
    y: np.ndarray | None,
    categorical: Sequence[str] = (),
    numeric: Sequence[str] = (),
) -> tuple[Any, str, str, str]:
    """Return a column, its kind ("other" for none), what was assumed, and how dates are written.

    Parameters
    ----------
    name : str
    values : array of Arrow
    y : array, shape (N, k), optional
        The target, by which whole numbers that are codes are known.
    categorical, numeric : sequences of str
        Columns of which the user says what whole numbers are.

    Raises
    ------
    BadInput
        For dates that may be others.
    """
    type_, kind = values.type, kind_of(values.type)
    if pa.types.is_dictionary(type_) and kind in ("text", "number", "bool"):
        if type_.ordered and name not in categorical:
            return values, "ordered", "", ""
        return values, "code" if kind == "number" else "text", "", ""
    if kind == "date":
        return values, dates.kind_of_time(type_), "", ""
    if kind == "text" and name not in categorical:
        written = written_dates(name, values)
        if written is not None:
            return written.values, "date", written.note, written.order
        return values, "text", "", ""
    if kind in ("number", "text") and name in categorical:
        return values, "code", "", ""
    if kind == "number" and y is not None and name not in numeric:
        found = numbers(values)
        known = np.isfinite(found)
        if known.any() and levels.looks_like_a_code(found[known], y[known]):
            assumed = (
                f"'{name}' holds {len(np.unique(found[known]))} whole numbers whose order says "
                "nothing of the target: taken as categories (--numeric takes them as numbers). "
            )
            return values, "code", assumed, ""
    return values, kind, "", ""


def learned(
    name: str, values: Any, kind: str, gap: np.ndarray, impute: bool, order: str = ""
) -> Column:
    """Learn a column of a kind, of which some entries are missing, from its rows."""
    if kind in dates.WORDS:
        at, _ = dates.instants(values)
        fill = float(np.median(at[~gap])) if impute else None
        clock = dataclasses.replace(dates.learn_clock(values), order=order)
        return Column(name, kind, fill, clock=clock)
    if kind in ("number", "bool"):
        middle = float(np.median(numbers(values)[~gap]))
        middle = float(middle >= 0.5) if kind == "bool" else middle
        return Column(name, kind, middle if impute else None)
    return Column(name, kind, _most_frequent(values) if impute else None, _categories(values, kind))


def _categories(values: Any, kind: str) -> tuple[str, ...]:
    """Return the categories of a column: those declared of ordered ones, else those met, sorted."""
    if kind == "ordered":
        return tuple(map(str, _one_chunk(values).dictionary.to_pylist()))
    met = {entry for entry in pc.unique(levels.written(values)).to_pylist() if entry is not None}
    return sorted_levels(met, kind)


def sorted_levels(met: Collection[str], kind: str) -> tuple[str, ...]:
    """Return categories in their order: that of numbers, for codes that are such."""
    as_numbers = kind == "code" and all(map(_is_number, met))
    return tuple(sorted(met, key=float) if as_numbers else sorted(met))


def _most_frequent(values: Any) -> str:
    """Return the category met most often."""
    counts = pc.value_counts(levels.written(values).drop_null()).to_pylist()
    return max(counts, key=lambda entry: (entry["counts"], entry["values"]))["values"]


def _one_chunk(values: Any) -> Any:
    if isinstance(values, pa.ChunkedArray):
        values = values.unify_dictionaries().combine_chunks()
    return values.chunk(0) if isinstance(values, pa.ChunkedArray) else values


def _is_number(entry: str) -> bool:
    try:
        return bool(np.isfinite(float(entry)))
    except ValueError:
        return False


def check_levels(
    column: Column, values: Any, max_one_hot: int, *, of_targets: bool, first: int = 1
) -> None:
    """Refuse many categories that are numbers, names of rows, or need a target to be told by.

    Raises
    ------
    BadInput
    """
    count, n_rows = len(column.categories), len(values)
    if count <= max(max_one_hot, 1) or column.kind == "ordered":
        return
    named = [i for i, entry in enumerate(column.categories) if not _is_number(entry)]
    if column.kind == "text" and len(named) < count / 2:
        stray = column.categories[named[0]] if named else ""
        row = int(np.argmax(column.level_index(values, first) == named[0])) + first if named else 0
        but = (
            f", but for '{stray}' in row {row:,}"
            if named
            else f", such as '{column.categories[0]}'"
        )
        raise BadInput(
            f"'{column.name}' holds numbers written as text{but}: make them numbers (in pandas: "
            "to_numeric), or say that they are categories with --categorical."
        )
    if 2 * count > n_rows:
        raise BadInput(
            f"'{column.name}' holds {column.kind} with {count} different entries in {n_rows:,} "
            "rows, more like a name than a category: --drop it."
        )
    if count > MOST_CATEGORIES and not of_targets:
        raise BadInput(
            f"'{column.name}' has {count} categories, too many for an input each (at most "
            f"{MOST_CATEGORIES}): give y, by which they are told, or --drop it."
        )


@contextlib.contextmanager
def in_python(**others: str) -> Iterator[None]:
    """Call the options of the command line what they are in Python, some of them otherwise."""
    named = _OF_PYTHON | {f"--{option}": words for option, words in others.items()}
    try:
        yield
    except BadInput as error:
        message = str(error)
        for option, parameter in named.items():
            message = message.replace(option, parameter)
        raise BadInput(message) from error


def names_of(names: Any) -> tuple[str, ...]:
    """Return names of columns that were given as a sequence, as one, or not at all."""
    if names is None:
        return ()
    return (names,) if isinstance(names, str) else tuple(map(str, names))

"""A table on disk as a source of record batches; numbers in text are read the same way in all."""

from __future__ import annotations

import abc
import contextlib
import hashlib
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from .._runtime.errors import BadInput, listed
from .columns import kind_of, texts
from .numerals import (
    SIGNS,
    Signs,
    Strays,
    are_codes,
    empty_as_missing,
    mostly_numbers,
    signs_of,
    to_numbers,
    told_thousands,
)
from .summaries import numbers_of, summed_up

BATCH_ROWS = 2**16


class AbstractSource(abc.ABC):
    """A table on disk; columns are asked for by name, so their order does not matter.

    Attributes
    ----------
    path : Path
    title : str
        The file and what in it, for messages.
    signs : Signs
        The decimal signs of numbers in text, once they are known.
    units : mapping of str to str
        Of columns, where the table states them.
    notes : list of str
        What was assumed, for people.
    """

    kind: str
    #: Whether text that holds whole numbers alone is more than a way of writing them.
    text_is_meant = True
    _points_may_group = False

    def __init__(self, path: Path, part: str | None = None) -> None:
        self.path, self.part = path, part
        self.title = path.name if part is None else f"{path.name}::{part}"
        self.signs = Signs()
        self.units: Mapping[str, str] = {}
        self.notes: list[str] = []
        with self._translated():
            raw = self._column_names()
        names = [name.strip() for name in raw]
        twice = [name for name, count in Counter(names).items() if count > 1]
        if twice:
            raise BadInput(
                f"{self.title}: the columns {listed(twice)} occur more than once; every column "
                "needs its own name in the first line."
            )
        self._raw = dict(zip(names, raw, strict=True))

    @property
    def names(self) -> list[str]:
        """Column names in the order of the file."""
        return list(self._raw)

    def __str__(self) -> str:
        return self.kind

    def reading(self) -> dict[str, Any]:
        """Return how the table was read, as plain values: another is read the same way."""
        signs, units = self.signs, dict(self.units)
        found = {"format": str(self), "decimal": signs.usual, "units": units}
        return found | ({"decimal_of": dict(signs.others)} if signs.others else {})

    def read(
        self, decimal: str | None = None, untouched: Collection[str] = (), *, encode: bool = False
    ) -> pa.Table:
        """Return the whole table; columns of text that hold numbers become numbers.

        Entries among them that are no numbers become missing, and the field of the column tells of
        them (:class:`~adabasis.tables.numerals.Strays`).

        Parameters
        ----------
        decimal : {".", ","}, optional
            The decimal sign of numbers in text; found from all entries where it is not given.
        untouched : collection of str
            Columns that are not used: they are left as they are, and prove nothing.
        encode : bool
            Leave numbers that recur among other entries what they are: categories.

        Raises
        ------
        BadInput
            If the file cannot be read, or does not tell its decimal sign.
        """
        with self._translated():
            table = self._read().rename_columns(self.names)
            written = self._written(table, Signs(decimal), untouched)
        self._settle(written, decimal)
        table, written = self._without_summary(table, written)
        read = []
        for name, entries in written.items():
            numbers = to_numbers(entries, self.signs.of(name))
            strays = Strays.among(entries, numbers)
            if strays and 2 * strays.count > strays.of and decimal:
                raise BadInput(
                    f"{self.title}: with --decimal {SIGNS[decimal]}, in column '{name}' {strays}."
                )
            if not are_codes(entries, strays, meant=self.text_is_meant, encode=encode):
                field = _field(name, strays)
                table = table.set_column(table.column_names.index(name), field, numbers)
                read.append(name)
        if read and self.text_is_meant:
            self.notes.append(f"Text read as numbers: {listed(read)}.")
        return table

    def _without_summary(
        self, table: pa.Table, written: dict[str, pa.Array]
    ) -> tuple[pa.Table, dict[str, pa.Array]]:
        """Leave out rows at the end that hold means or totals of the others."""

        def numbers() -> dict[str, np.ndarray]:
            read = {n: to_numbers(entries, self.signs.of(n)) for n, entries in written.items()}
            as_arrays = {n: one.to_numpy(zero_copy_only=False) for n, one in read.items()}
            return numbers_of(table, as_arrays)

        count, word, column = summed_up(table, numbers)
        if not count:
            return table, written
        rows = "the last row, which sums up the others" if count == 1 else (
            f"the last {count} rows, which sum up the others")  # fmt: skip
        self.notes.append(f"Left out: {rows} ('{word}' in '{column}').")
        kept = table.num_rows - count
        return table.slice(0, kept), {name: entries[:kept] for name, entries in written.items()}

    def decide(self, asked: str | None, reading: Mapping[str, Any] | None) -> None:
        """Find the decimal signs for batches: asked, told by the first rows, or as in training.

        Parameters
        ----------
        asked : {".", ","}, optional
        reading : mapping, optional
            How the table in training was read (:meth:`reading`).

        Raises
        ------
        BadInput
            If none of them tells.
        """
        found = reading or {}
        stored = Signs(found.get("decimal"), found.get("decimal_of", {}))
        with self._translated():
            batch = next(self._batches(list(self._raw.values()), {}), None)
            table = None if batch is None else pa.Table.from_batches([batch])
            known = Signs(asked) if asked else stored
            written = {} if table is None else self._written(table, known, (), head=True)
        self._settle(written, asked, stored)

    def _settle(
        self, written: Mapping[str, pa.Array], asked: str | None, stored: Signs | None = None
    ) -> None:
        points = self._points_may_group
        self.signs = signs_of(written, self.title, points=points, asked=asked, stored=stored)
        told = [f"decimal {SIGNS[sign]} in '{name}'" for name, sign in self.signs.others.items()]
        thousands = told_thousands(written, self.signs)
        self.notes += [f"Columns differ: {', '.join(told)}."] if told else []
        self.notes += [thousands] if thousands else []

    def pieces(self, n_rows: int) -> list[tuple[int | None, Any]]:
        """Return what can be read apart, of so many rows where that goes, each with its rows.

        ``None`` stands for all there is, and for a number of rows that nobody knows yet.
        """
        return [(None, None)]

    def head(self) -> pa.Table:
        """Return the first rows, none where there are none, of columns by their names."""
        with self._translated():
            batch = next(iter(self._batches(list(self._raw.values()), {})), None)
            table = self._read() if batch is None else pa.Table.from_batches([batch])
        return table.select(list(self._raw.values())).rename_columns(self.names)

    def batches(
        self, columns: Sequence[str], types: Mapping[str, pa.DataType], piece: Any = None
    ) -> Iterator[pa.RecordBatch]:
        """Yield some columns batch by batch, of a piece or of all; text is read as the given types.

        The field of a column tells of entries that are no numbers.
        """
        raw = [self._raw[name] for name in columns]
        with self._translated():
            wanted = {self._raw[name]: kind for name, kind in types.items()}
            rows = 0
            for batch in self._batches(raw, wanted) if piece is None else self._of(piece, raw):
                found = [
                    self._typed(name, batch.column(self._raw[name]), types.get(name), rows)
                    for name in columns
                ]
                rows += batch.num_rows
                schema = pa.schema([field for field, _ in found])
                yield pa.record_batch([values for _, values in found], schema=schema)

    def sha256(self) -> str:
        """Return the digest of the file."""
        with open(self.path, "rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()

    def _typed(
        self, name: str, values: pa.Array, kind: pa.DataType | None, first_row: int
    ) -> tuple[pa.Field, pa.Array]:
        if kind != pa.float64() or not _is_text(values.type):
            return pa.field(name, values.type), values
        entries = empty_as_missing(texts(values))
        numbers = to_numbers(entries, self.signs.of(name))
        return _field(name, Strays.among(entries, numbers, first_row)), numbers

    def _written(
        self, table: pa.Table, signs: Signs, untouched: Collection[str], *, head: bool = False
    ) -> dict[str, pa.Array]:
        """Return the columns whose numbers are text, as written; of the first batch alone: head."""
        written = {}
        for name, column in zip(self.names, table.columns, strict=True):
            if name not in untouched and _is_text(column.type):
                entries = empty_as_missing(texts(column))
                if mostly_numbers(entries):
                    written[name] = entries
        again = [n for n in self._in_doubt(table, written, signs) if n not in untouched]
        if again:
            raw = [self._raw[name] for name in again]
            batches = self._batches(raw, dict.fromkeys(raw, pa.string()))
            whole = pa.Table.from_batches([next(batches)] if head else batches)
            written |= dict(zip(again, map(texts, whole.select(raw).columns), strict=True))
        return written

    def _in_doubt(
        self, table: pa.Table, written: Mapping[str, pa.Array], signs: Signs
    ) -> list[str]:
        """Return columns of numbers whose text has to be looked at, too."""
        return []

    @contextlib.contextmanager
    def _translated(self) -> Iterator[None]:
        """Turn errors of pyarrow into ones that name the file."""
        try:
            yield
        except (pa.ArrowException, UnicodeDecodeError, OSError) as error:
            reason = str(error).splitlines()[0][:300]
            raise BadInput(
                f"{self.title} cannot be read as {self}: {reason}. Look at that place in the "
                f"file, or export the table again.{self._hint(reason)}"
            ) from error

    def _hint(self, reason: str) -> str:
        return ""

    def _of(self, piece: Any, columns: list[str]) -> Iterator[pa.RecordBatch]:
        raise NotImplementedError

    @abc.abstractmethod
    def _column_names(self) -> list[str]: ...

    @abc.abstractmethod
    def _read(self) -> pa.Table: ...

    @abc.abstractmethod
    def _batches(
        self, columns: list[str], types: Mapping[str, pa.DataType]
    ) -> Iterator[pa.RecordBatch]: ...


def _is_text(type_: pa.DataType) -> bool:
    return kind_of(type_) == "text" and not pa.types.is_dictionary(type_)


def _field(name: str, strays: Strays | None) -> pa.Field:
    field = pa.field(name, pa.float64())
    return strays.kept_in(field) if strays else field

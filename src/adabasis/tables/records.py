"""Tables whose rows are Python values: JSON lines, Excel workbooks, SQLite databases."""

from __future__ import annotations

import abc
import contextlib
import datetime
import difflib
import io
import itertools
import json
import sqlite3
import statistics
import warnings
from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from .._runtime.errors import BadInput, counted, listed
from .dialect import LINES, units_of
from .numerals import empty_as_missing
from .source import BATCH_ROWS, AbstractSource

_DATE = r"^\d{4}-\d\d-\d\d([T ]|$)"


class RecordSource(AbstractSource):
    """Rows of Python values; each column gets the type that all of its values have."""

    @abc.abstractmethod
    def _rows(self, columns: list[str]) -> Iterator[Sequence[Any]]:
        """Yield the values of some columns, row by row."""

    def _read(self) -> pa.Table:
        names = list(self._raw.values())
        return pa.table(_columns(names, list(self._rows(names))))

    def _batches(
        self, columns: list[str], types: Mapping[str, pa.DataType]
    ) -> Iterator[pa.RecordBatch]:
        rows = self._rows(columns)
        while chunk := list(itertools.islice(rows, BATCH_ROWS)):
            yield pa.RecordBatch.from_pydict(_columns(columns, chunk))


def _columns(names: Sequence[str], rows: Sequence[Sequence[Any]]) -> dict[str, pa.Array]:
    values = zip(*rows, strict=True) if rows else [()] * len(names)
    return {name: column_of(list(v)) for name, v in zip(names, values, strict=True)}


def column_of(values: Sequence[Any]) -> pa.Array:
    """Return values as an array: numbers, true and false, dates, or else text.

    Text that holds dates and times as ISO 8601 writes them becomes those. Numbers among text are
    written out in a way that has no decimal sign: 1050.5 is 10505e-1.
    """
    kinds = {type(value) for value in values} - {type(None)}
    if kinds == {float, int}:
        return pa.array([None if v is None else float(v) for v in values], pa.float64())
    if kinds == {str}:
        entries = empty_as_missing(pa.array(values, pa.string()))
        return _dated(entries) if entries.null_count < len(entries) else pa.nulls(len(entries))
    if kinds == {datetime.datetime, datetime.date}:
        midnight = datetime.time()
        combine = datetime.datetime.combine
        values = [combine(v, midnight) if type(v) is datetime.date else v for v in values]
    if len(kinds) == 1 or not kinds & {str, int, float, bool}:
        with contextlib.suppress(pa.ArrowException, OverflowError):
            return pa.array(values)
    if kinds == {int}:  # beyond 64 bits
        return pa.array([None if v is None else float(v) for v in values], pa.float64())
    return empty_as_missing(pa.array([None if v is None else _written(v) for v in values]))


def _written(value: Any) -> str:
    if isinstance(value, float):
        sign, digits, exponent = Decimal(repr(value)).as_tuple()
        if isinstance(exponent, int):
            whole = int(Decimal((sign, digits, 0)))
            return f"{value:.0f}" if value.is_integer() else f"{whole}e{exponent}"
    return str(value).lower() if isinstance(value, bool) else str(value)


def _dated(texts: pa.Array) -> pa.Array:
    if pc.all(pc.match_substring_regex(texts, _DATE)).as_py():
        for kind in (pa.timestamp("us"), pa.timestamp("us", "UTC")):
            with contextlib.suppress(pa.ArrowInvalid):
                return pc.cast(texts, kind)
    return texts


class JsonSource(RecordSource):
    """JSON: an object in each line, a list of them, or an object of columns; also compressed (.gz).

    The columns are the keys of all objects; those of an object inside are joined by points.
    """

    kind = "JSON lines"

    def _column_names(self) -> list[str]:
        return list(dict.fromkeys(key for record in self._objects() for key in record))

    def _rows(self, columns: list[str]) -> Iterator[Sequence[Any]]:
        for record in self._objects():
            yield [record.get(name) for name in columns]

    def _objects(self) -> Iterator[dict[str, Any]]:
        for place, record in self._values():
            if not isinstance(record, dict):
                raise BadInput(
                    f'{self.title}, {place}: expected an object such as {{"a": 1.5}}, got '
                    f"{str(record)[:30]}."
                )
            yield dict(_flat(record))

    def _values(self) -> Iterator[tuple[str, Any]]:
        with pa.input_stream(self.path) as file, io.BufferedReader(file) as stream:
            lines = ((i, line) for i, line in enumerate(stream, 1) if line.strip())
            first = next(lines, (1, b""))
            second = next(lines, None)
            if second is None or not _is_object(first[1]):
                rest = b"" if second is None else second[1] + stream.read()
                records = self._of_document(self._parsed(first[1] + rest, f"line {first[0]}"))
                yield from ((f"entry {i}", record) for i, record in enumerate(records, 1))
                return
            for i, line in itertools.chain([first, second], lines):
                yield f"line {i}", self._parsed(line, f"line {i}")

    def _of_document(self, document: Any) -> Sequence[Any]:
        """Return the records of a list, or of an object of columns."""
        if isinstance(document, list):
            return document
        columns = list(document.values()) if isinstance(document, dict) else []
        if all(isinstance(column, dict) for column in columns):
            keys = dict.fromkeys(key for column in columns for key in column)
            columns = [[column.get(key) for key in keys] for column in columns]
        if not columns or any(
            not isinstance(c, list) or len(c) != len(columns[0]) for c in columns
        ):
            return [document]
        return [dict(zip(document, row, strict=True)) for row in zip(*columns, strict=True)]

    def _parsed(self, text: bytes, place: str) -> Any:
        try:
            return json.loads(text.decode("utf-8-sig"))
        except ValueError as error:
            raise BadInput(
                f"{self.title}, {place}: not JSON ({error}). Expected one object in each line, or "
                "a list of objects."
            ) from error


def _is_object(line: bytes) -> bool:
    """Say whether a line is JSON of its own, but no list: the next line then is another."""
    text = line.removeprefix(b"\xef\xbb\xbf").strip()
    return text.startswith(b"{") and text.endswith(b"}")


def _flat(record: Mapping[str, Any], above: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in record.items():
        if isinstance(value, dict):
            yield from _flat(value, f"{above}{key}.")
        else:
            yield above + key, value


class ExcelSource(RecordSource):
    """A sheet of a workbook, read by openpyxl; titles above the names are left out.

    Raises
    ------
    BadInput
        Without openpyxl; for several sheets, if none is named; and for formulas whose values the
        program that wrote the file did not store: they would look like missing entries.
    """

    kind = "Excel"
    text_is_meant = False

    def __init__(self, path: Path, sheet: str | None) -> None:
        self.title = path.name if sheet is None else f"{path.name}::{sheet}"
        rows = [row for row in self._cells(path, sheet) if any(v is not None for v in row)]
        if len(rows) < 2:
            raise BadInput(f"{self.title}: expected a row of names and rows of numbers below it.")
        filled = [sum(value is not None for value in row) for row in rows]
        usual = statistics.median_high(filled[:LINES])
        head = next(i for i, count in enumerate(filled) if 2 * count > usual)
        wide = max(map(len, rows))
        rows = [[*row, *[None] * (wide - len(row))] for row in rows[head:]]
        used = [j for j in range(wide) if any(row[j] is not None for row in rows)]
        self._heads = ["" if rows[0][j] is None else str(rows[0][j]) for j in used]
        body = [[row[j] for j in used] for row in rows[1:]]
        names = [name.strip() for name in self._heads]
        shown = [["" if v is None else str(v) for v in row] for row in body[:LINES]]
        units, below = units_of(names, shown)
        self._body = body[below:]
        super().__init__(path, sheet)
        self.units = units
        if head:
            self.notes.append(f"Left out: {counted(head, 'row')} above the names.")

    def _column_names(self) -> list[str]:
        return self._heads

    def _rows(self, columns: list[str]) -> Iterator[Sequence[Any]]:
        at = [self._heads.index(name) for name in columns]
        return ([row[j] for j in at] for row in self._body)

    def _cells(self, path: Path, sheet: str | None) -> list[list[Any]]:
        """Return the values of a sheet."""
        try:
            import openpyxl
        except ImportError as error:
            raise BadInput(
                f"{path.name} is an Excel workbook, and reading one needs openpyxl. Install it "
                "with: pip install 'adabasis[excel]'. Or save the sheet as CSV."
            ) from error
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # about styles and extensions it leaves out
                values, formulas = (
                    openpyxl.load_workbook(path, read_only=True, data_only=stored)
                    for stored in (True, False)
                )
                with contextlib.closing(values), contextlib.closing(formulas):
                    name = self._chosen(values, sheet)
                    return list(self._values(values[name], formulas[name]))
        except BadInput:
            raise
        except Exception as error:  # openpyxl raises whatever a damaged part leads to
            raise BadInput(
                f"{self.title} cannot be read as Excel ({type(error).__name__}: {error}). Open it "
                "in a spreadsheet and save it again, or save the sheet as CSV."
            ) from error

    def _chosen(self, workbook: Any, sheet: str | None) -> str:
        names = [one.title for one in workbook.worksheets]
        if sheet is not None:
            if sheet not in names:
                raise BadInput(f"{self.title}: no such sheet; there are {listed(names)}.")
            return sheet
        filled = [one.title for one in workbook.worksheets if next(_filled(one), None)]
        if len(filled) > 1:
            raise BadInput(
                f"{self.title} has {len(filled)} sheets: {listed(filled)}. Name one: "
                f"'{self.title}::{filled[0]}'."
            )
        if not filled:
            raise BadInput(f"{self.title} is empty.")
        return filled[0]

    def _values(self, values: Any, formulas: Any) -> Iterator[list[Any]]:
        for row, written in zip(_all_rows(values), _all_rows(formulas), strict=True):
            for cell, formula in zip(row, written, strict=True):
                # A text of no letters that was stored has the type "str".
                if formula.data_type == "f" and cell.value is None and cell.data_type != "str":
                    raise BadInput(
                        f"{self.title}: cell {formula.coordinate} holds a formula whose value is "
                        "not stored. Open the workbook in a spreadsheet and save it again."
                    )
            yield [cell.value for cell in row]


def _all_rows(sheet: Any) -> Iterator[Any]:
    sheet.reset_dimensions()  # what a file states about its size may be wrong
    return sheet.iter_rows()


def _filled(sheet: Any) -> Iterator[bool]:
    return (True for row in _all_rows(sheet) if any(cell.value is not None for cell in row))


class SqliteSource(RecordSource):
    """A table, a view or a query of an SQLite database, which is opened for reading only.

    Raises
    ------
    BadInput
        For several tables, if none is named, and for statements that do more than read.
    """

    kind = "SQLite"
    _READING = ("SELECT", "READ", "FUNCTION", "RECURSIVE")

    def __init__(self, path: Path, part: str | None) -> None:
        self.path, self.title = path, path.name if part is None else f"{path.name}::{part}"
        with self._connection() as connection:
            self._query = self._meant(connection, part)
        super().__init__(path, part)

    @contextlib.contextmanager
    def _connection(self) -> Iterator[sqlite3.Connection]:
        address = f"{self.path.resolve().as_uri()}?mode=ro"
        try:
            with contextlib.closing(sqlite3.connect(address, uri=True)) as connection:
                allowed = [getattr(sqlite3, f"SQLITE_{action}") for action in self._READING]
                connection.set_authorizer(
                    lambda action, *_: sqlite3.SQLITE_DENY * (action not in allowed)
                )
                yield connection
        except (sqlite3.Error, sqlite3.Warning) as error:
            raise BadInput(
                f"{self.title} cannot be read: {error}. Expected the name of a table, or a query "
                "that reads (SELECT …)."
            ) from error

    def _meant(self, connection: sqlite3.Connection, part: str | None) -> str:
        kinds = "type IN ('table', 'view') AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\'"
        rows = connection.execute(f"SELECT name FROM sqlite_master WHERE {kinds} ORDER BY name")
        names = [name for (name,) in rows]
        if part is None and len(names) == 1:
            part = names[0]
        if part is not None and part in names:
            return 'SELECT * FROM "{}"'.format(part.replace('"', '""'))
        if part is not None and len(part.split()) > 1:
            return part
        if not names:
            raise BadInput(f"{self.title}: the database holds no tables.")
        near = difflib.get_close_matches(part or "", names, 1)
        wrong = "name a table" if part is None else "no such table"
        raise BadInput(
            f"{self.title}: {wrong}; there are {listed(names)}. For example: "
            f"'{self.path.name}::{(near or names)[0]}'."
        )

    def _column_names(self) -> list[str]:
        with self._connection() as connection:
            return self._names_of(connection.execute(self._query))

    def _names_of(self, cursor: sqlite3.Cursor) -> list[str]:
        if cursor.description is None:
            raise BadInput(f"{self.title}: expected a query that reads rows (SELECT …).")
        return [column[0] for column in cursor.description]

    def _rows(self, columns: list[str]) -> Iterator[Sequence[Any]]:
        with self._connection() as connection:
            cursor = connection.execute(self._query)
            names = self._names_of(cursor)
            at = [names.index(name) for name in columns]
            for row in cursor:
                yield [row[j] for j in at]

"""Text, Parquet, Feather and streams of Arrow, through pyarrow."""

from __future__ import annotations

import csv
import io
import itertools
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.ipc
import pyarrow.parquet

from .._runtime.errors import BadInput, counted
from .dialect import Dialect
from .numerals import MISSING, Signs
from .source import BATCH_ROWS, AbstractSource


class CsvSource(AbstractSource):
    """Text; delimiter, decimal sign and encoding are detected. It may be compressed (.gz)."""

    kind = "CSV"
    text_is_meant = False

    def __init__(self, path: Path, dialect: Dialect) -> None:
        self.dialect, self._comments = dialect, 0
        super().__init__(path)
        self.units, self._points_may_group = dialect.units, dialect.delimiter != ","
        above = dialect.above - bool(dialect.names)
        if dialect.trailing:
            columns = counted(dialect.trailing, "empty column")
            self.notes.append(f"Left out: {columns} without a name after the last delimiter.")
        if above:
            self.notes.append(f"Left out: {counted(above, 'line')} above the names.")

    def __str__(self) -> str:
        words = f"{self.kind}, {self.dialect}"
        return f"{words}, decimal comma" if self.signs.usual == "," else words

    def _options(self, **convert: Any) -> dict[str, Any]:
        return {
            # One thread: its errors name the row.
            "read_options": pa.csv.ReadOptions(
                use_threads=False,
                encoding=self.dialect.encoding,
                skip_rows=self.dialect.above,
                column_names=list(self.dialect.names),
                skip_rows_after_names=self.dialect.below,
            ),
            "parse_options": pa.csv.ParseOptions(
                delimiter=self.dialect.delimiter,
                newlines_in_values=True,
                invalid_row_handler=self._invalid,
            ),
            "convert_options": pa.csv.ConvertOptions(
                strings_can_be_null=True, null_values=list(MISSING), **convert
            ),
        }

    def _invalid(self, row: Any) -> str:
        """Leave comments out; a row with too few or too many fields is an error."""
        if not row.text.lstrip().startswith(self.dialect.comment):
            return "error"
        self._comments += 1
        return "skip"

    def _hint(self, reason: str) -> str:
        torn = re.search(r"Expected (\d+) columns, got (\d+): .*\d,\d{3}(?!\d)", reason)
        if self.dialect.delimiter != "," or not torn or int(torn[2]) < int(torn[1]):
            return ""
        return " Commas between thousands need quotes around the number, or another delimiter."

    def _file(self) -> Any:
        spaced = self.dialect.delimiter == " "
        return _SingleSpaces(pa.input_stream(self.path)) if spaced else self.path

    def _column_names(self) -> list[str]:
        # Not by pyarrow's reader: its thread reads ahead, and aborts a process that ends at once.
        end = -self.dialect.trailing or None
        if self.dialect.names:
            return list(self.dialect.names)[:end]
        encoding = "utf-8-sig" if self.dialect.encoding == "utf8" else self.dialect.encoding
        file = self._file()
        with pa.input_stream(file) if isinstance(file, Path) else file as stream:
            lines = io.TextIOWrapper(stream, encoding, newline="")
            rest = itertools.islice(lines, self.dialect.above, None)
            return next(filter(None, csv.reader(rest, delimiter=self.dialect.delimiter)))[:end]

    def _read(self) -> pa.Table:
        self._comments = 0
        table = pa.csv.read_csv(self._file(), **self._options())
        for column in table.columns[table.num_columns - self.dialect.trailing :]:
            if column.null_count < len(column):
                raise BadInput(
                    f"{self.title}: a column at the end has no name and few entries, the first in "
                    f"row {pc.index(column.is_valid(), True).as_py() + 1:,}. Name it, or take it "
                    "out of the file."
                )
        table = table.select(range(table.num_columns - self.dialect.trailing))
        if self._comments:
            self.notes.append(f"Left out: {counted(self._comments, 'comment')} between the rows.")
        return table

    def _batches(
        self, columns: list[str], types: Mapping[str, pa.DataType]
    ) -> Iterator[pa.RecordBatch]:
        # Numbers are read as text here: AbstractSource knows their decimal sign.
        kinds = {n: pa.string() if kind == pa.float64() else kind for n, kind in types.items()}
        options = self._options(include_columns=columns, column_types=kinds)
        with pa.csv.open_csv(self._file(), **options) as reader:
            yield from reader

    def _in_doubt(
        self, table: pa.Table, written: Mapping[str, pa.Array], signs: Signs
    ) -> list[str]:
        floats = {
            name: column
            for name, column in zip(self.names, table.columns, strict=True)
            if pa.types.is_floating(column.type)
        }
        doubt = any(
            pc.any(pc.match_substring(entries, ",")).as_py() for entries in written.values()
        )
        if signs.usual is None and self._points_may_group:
            doubt |= any(map(_may_be_thousands, floats.values()))
        return list(floats) if doubt or signs.others or signs.usual == "," else []


def _may_be_thousands(column: pa.ChunkedArray) -> bool:
    """Say whether all numbers have no or three decimals: 950 and 1.050 may be whole numbers."""
    values = column.drop_null().to_numpy()
    of_three = np.abs(values * 1000 - np.round(values * 1000)) < 1e-6
    size, whole = np.abs(values), values == np.round(values)
    return bool((of_three & (size < 1000) & ((size >= 1) | whole)).all() and whole.any())


class _SingleSpaces(io.RawIOBase):
    """Lines of a file with one space where it has several, and none at the ends."""

    def __init__(self, file: Any) -> None:
        self._file, self._begun, self._ready = file, b"", b""

    def readable(self) -> bool:
        """Say that this can be read."""
        return True

    def readinto(self, buffer: Any) -> int:
        """Fill a buffer."""
        while not self._ready:
            read = self._file.read(2**20)
            whole, ending, self._begun = (self._begun + read).rpartition(b"\n")
            if not read:
                whole, self._begun = self._begun, b""
            if not (whole or ending or read):
                return 0
            self._ready = b"".join(b" ".join(line.split()) + b"\n" for line in whole.splitlines())
        size = min(len(buffer), len(self._ready))
        buffer[:size], self._ready = self._ready[:size], self._ready[size:]
        return size

    def close(self) -> None:
        """Close the file."""
        self._file.close()
        super().close()


class ParquetSource(AbstractSource):
    """Parquet."""

    kind = "Parquet"

    def _column_names(self) -> list[str]:
        return list(pa.parquet.read_schema(self.path).names)

    def _read(self) -> pa.Table:
        with pa.parquet.ParquetFile(self.path) as file:
            return file.read()

    def _batches(
        self, columns: list[str], types: Mapping[str, pa.DataType]
    ) -> Iterator[pa.RecordBatch]:
        with pa.parquet.ParquetFile(self.path) as file:
            yield from file.iter_batches(BATCH_ROWS, columns=columns)

    def head(self) -> pa.Table:
        """Return no rows: the types are in the file."""
        return pa.parquet.read_schema(self.path).empty_table().rename_columns(self.names)

    def pieces(self, n_rows: int) -> list[tuple[int | None, Any]]:
        """Return row groups, small ones together."""
        with self._translated():
            about = pa.parquet.read_metadata(self.path)
        return _together([about.row_group(i).num_rows for i in range(about.num_row_groups)], n_rows)

    def _of(self, piece: Any, columns: list[str]) -> Iterator[pa.RecordBatch]:
        # Reading ahead into buffers pays where files are far away; here it is a tenth of the time.
        with pa.parquet.ParquetFile(self.path, pre_buffer=False) as file:
            yield from file.iter_batches(BATCH_ROWS, row_groups=list(piece), columns=columns)


def _together(sizes: list[int], n_rows: int) -> list[tuple[int | None, Any]]:
    """Return neighbours that have at most so many rows together, and larger ones alone."""
    found: list[tuple[int | None, Any]] = []
    count, first = 0, 0
    for i, size in enumerate(sizes):
        if count and count + size > n_rows:
            found.append((count, range(first, i)))
            count, first = 0, i
        count += size
    return [*found, (count, range(first, len(sizes)))] if sizes else []


class FeatherSource(AbstractSource):
    """Feather (version 2), the file format of Arrow."""

    kind = "Feather"

    def _column_names(self) -> list[str]:
        with pa.ipc.open_file(self.path) as file:
            return list(file.schema.names)

    def _read(self) -> pa.Table:
        with pa.ipc.open_file(self.path) as file:
            return file.read_all()

    def _batches(
        self, columns: list[str], types: Mapping[str, pa.DataType]
    ) -> Iterator[pa.RecordBatch]:
        with pa.ipc.open_file(self.path) as file:
            yield from self._of(range(file.num_record_batches), columns)

    def head(self) -> pa.Table:
        """Return no rows: the types are in the file."""
        with pa.ipc.open_file(self.path) as file:
            return file.schema.empty_table().rename_columns(self.names)

    def pieces(self, n_rows: int) -> list[tuple[int | None, Any]]:
        """Return record batches, small ones together."""
        with self._translated(), pa.memory_map(str(self.path)) as mapped:
            file = pa.ipc.open_file(mapped)
            sizes = [file.get_batch(i).num_rows for i in range(file.num_record_batches)]
        return _together(sizes, n_rows)

    def _of(self, piece: Any, columns: list[str]) -> Iterator[pa.RecordBatch]:
        with pa.ipc.open_file(self.path) as file:
            for i in piece:
                yield file.get_batch(i).select(columns)


class StreamSource(AbstractSource):
    """Record batches of Arrow one after the other, as programs send them to each other."""

    kind = "Arrow stream"
    _END = b"\xff\xff\xff\xff\0\0\0\0"

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        with open(path, "rb") as file:
            file.seek(-len(self._END), io.SEEK_END)
            if file.read() != self._END:
                # pyarrow reads such a file up to the last whole batch without a word.
                self.notes.append("The stream has no end mark: batches may be lost.")

    def _column_names(self) -> list[str]:
        with pa.OSFile(str(self.path)) as file, pa.ipc.open_stream(file) as stream:
            return list(stream.schema.names)

    def _read(self) -> pa.Table:
        with pa.OSFile(str(self.path)) as file, pa.ipc.open_stream(file) as stream:
            return stream.read_all()

    def _batches(
        self, columns: list[str], types: Mapping[str, pa.DataType]
    ) -> Iterator[pa.RecordBatch]:
        with pa.OSFile(str(self.path)) as file, pa.ipc.open_stream(file) as stream:
            for batch in stream:
                yield batch.select(columns)

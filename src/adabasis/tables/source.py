"""Tables as sources of record batches: CSV, Parquet and Feather through pyarrow."""

from __future__ import annotations

import abc
import contextlib
import hashlib
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.csv
import pyarrow.ipc
import pyarrow.parquet

from .._runtime.errors import BadInput, listed
from .dialect import Dialect, detect

SAMPLE = 2**18
BATCH_ROWS = 2**16
_SUFFIXES = {
    **dict.fromkeys([".csv", ".tsv", ".tab", ".txt", ".dat"], "CSV"),
    **dict.fromkeys([".parquet", ".pq"], "Parquet"),
    **dict.fromkeys([".feather", ".arrow", ".ipc"], "Feather"),
}
_MAGIC = {
    b"PAR1": "Parquet",
    b"ARROW1": "Feather",
    b"FEA1": "Feather version 1",
    b"PK\x03\x04": "an Excel workbook or another zip archive",
    b"\xd0\xcf\x11\xe0": "an old Excel workbook",
    b"\x89HDF": "HDF5",
    b"\x1f\x8b": "gzip",
}
_EXTRA_NULLS = ["?", "NAN", "<NA>"]


class AbstractSource(abc.ABC):
    """A table on disk; columns are asked for by name, so their order does not matter."""

    kind: str

    def __init__(self, path: Path) -> None:
        self.path = path
        with self._translated():
            raw = self._column_names()
        names = [name.strip() for name in raw]
        twice = [name for name, count in Counter(names).items() if count > 1]
        if twice:
            raise BadInput(
                f"{path.name}: the columns {listed(twice)} occur more than once; every column "
                "needs its own name in the first line."
            )
        self._raw = dict(zip(names, raw, strict=True))

    @property
    def names(self) -> list[str]:
        """Column names in the order of the file."""
        return list(self._raw)

    def __str__(self) -> str:
        return self.kind

    def read(self) -> pa.Table:
        """Return the whole table."""
        with self._translated():
            return self._read().rename_columns(self.names)

    def batches(
        self, columns: Sequence[str], types: Mapping[str, pa.DataType]
    ) -> Iterator[pa.RecordBatch]:
        """Yield some columns batch by batch; text files are read as the given types."""
        raw = [self._raw[name] for name in columns]
        with self._translated():
            wanted = {self._raw[name]: kind for name, kind in types.items()}
            for batch in self._batches(raw, wanted):
                yield batch.select(raw).rename_columns(list(columns))

    def sha256(self) -> str:
        """Return the digest of the file."""
        with open(self.path, "rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()

    @contextlib.contextmanager
    def _translated(self) -> Iterator[None]:
        """Turn errors of pyarrow into ones that name the file."""
        try:
            yield
        except (pa.ArrowException, UnicodeDecodeError) as error:
            reason = str(error).splitlines()[0][:300]
            raise BadInput(
                f"{self.path.name} cannot be read as {self}: {reason}. Look at that place in the "
                "file, or export the table again."
            ) from error

    @abc.abstractmethod
    def _column_names(self) -> list[str]: ...

    @abc.abstractmethod
    def _read(self) -> pa.Table: ...

    @abc.abstractmethod
    def _batches(
        self, columns: list[str], types: Mapping[str, pa.DataType]
    ) -> Iterator[pa.RecordBatch]: ...


class CsvSource(AbstractSource):
    """Text; delimiter, decimal sign and encoding are detected. It may be compressed (.gz)."""

    kind = "CSV"

    def __init__(self, path: Path, dialect: Dialect) -> None:
        self.dialect = dialect
        super().__init__(path)

    def __str__(self) -> str:
        return f"CSV, {self.dialect}"

    def _options(self, **convert: Any) -> dict[str, Any]:
        nulls = [*pa.csv.ConvertOptions().null_values, *_EXTRA_NULLS]
        return {
            # One thread: its errors name the row.
            "read_options": pa.csv.ReadOptions(use_threads=False, encoding=self.dialect.encoding),
            "parse_options": pa.csv.ParseOptions(
                delimiter=self.dialect.delimiter, newlines_in_values=True
            ),
            "convert_options": pa.csv.ConvertOptions(
                decimal_point=self.dialect.decimal,
                strings_can_be_null=True,
                null_values=nulls,
                **convert,
            ),
        }

    def _column_names(self) -> list[str]:
        with pa.csv.open_csv(self.path, **self._options()) as reader:
            return list(reader.schema.names)

    def _read(self) -> pa.Table:
        return pa.csv.read_csv(self.path, **self._options())

    def _batches(
        self, columns: list[str], types: Mapping[str, pa.DataType]
    ) -> Iterator[pa.RecordBatch]:
        options = self._options(include_columns=columns, column_types=dict(types))
        with pa.csv.open_csv(self.path, **options) as reader:
            yield from reader


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
            for i in range(file.num_record_batches):
                yield file.get_batch(i).select(columns)


def open_table(path: Path) -> AbstractSource:
    """Find out what a file holds and open it.

    Raises
    ------
    BadInput
        If there is no such file, it is no table, or its content is not what its name says.
    """
    sample = _sample(path)
    promised = _SUFFIXES.get(path.with_suffix("").suffix if _zipped(path) else path.suffix.lower())
    found = next((kind for magic, kind in _MAGIC.items() if sample.startswith(magic)), "CSV")
    if found not in _SUFFIXES.values():
        raise BadInput(
            f"{path.name} holds {found}: expected CSV, Parquet or Feather. Export the table as CSV."
        )
    if promised not in (None, found):
        raise BadInput(
            f"{path.name} is named like {promised} but holds {found}: give it the right name, or "
            "export it again."
        )
    if found == "CSV":
        return CsvSource(path, detect(sample, path.name))
    return ParquetSource(path) if found == "Parquet" else FeatherSource(path)


def _zipped(path: Path) -> bool:
    return path.suffix.lower() in (".gz", ".bz2", ".zst")


def _sample(path: Path) -> bytes:
    if path.is_dir():
        raise BadInput(f"{path} is a folder: expected a table (CSV, Parquet or Feather).")
    try:
        if _zipped(path):
            with pa.input_stream(path) as stream:
                return stream.read(SAMPLE)
        with open(path, "rb") as file:
            return file.read(SAMPLE)
    except FileNotFoundError as error:
        raise BadInput(f"{path}: no such file.") from error
    except (pa.ArrowException, OSError) as error:
        raise BadInput(f"{path} cannot be read: {error}.") from error


def steam_table() -> Path:
    """Return the path of the steam table: in the package, or in the repository it came from."""
    here = Path(__file__).resolve().parents[1]
    packaged = here / "data" / "steam.csv"
    return packaged if packaged.exists() else here.parents[1] / "examples" / "data" / "steam.csv"

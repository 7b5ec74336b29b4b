"""What a file holds, by its content and its name."""

from __future__ import annotations

import os
import re
import zipfile
from pathlib import Path

import pyarrow as pa

from .._runtime.errors import BadInput
from .dialect import detect
from .files import CsvSource, FeatherSource, ParquetSource, StreamSource
from .records import ExcelSource, JsonSource, SqliteSource
from .source import AbstractSource

SAMPLE = 2**18
KNOWN = "CSV, JSON lines, Excel, Parquet, Feather, Arrow or SQLite"
_TEXT, _ARROW = ("CSV", "JSON"), ("Feather", "Arrow stream")
SUFFIXES = {
    **dict.fromkeys([".csv", ".tsv", ".tab", ".txt", ".dat"], _TEXT),
    **dict.fromkeys([".jsonl", ".ndjson", ".json"], ("JSON",)),
    **dict.fromkeys([".parquet", ".pq"], ("Parquet",)),
    **dict.fromkeys([".feather", ".arrow", ".ipc"], _ARROW),
    **dict.fromkeys([".xlsx", ".xlsm"], ("Excel",)),
    **dict.fromkeys([".db", ".db3", ".sqlite", ".sqlite3"], ("SQLite",)),
    ".arrows": ("Arrow stream",),
}
_MAGIC = {
    b"PAR1": "Parquet",
    b"ARROW1": "Feather",
    b"\xff\xff\xff\xff": "Arrow stream",
    b"SQLite format 3\0": "SQLite",
    b"FEA1": "Feather version 1",
    b"PK\x03\x04": "a zip archive",
    b"\xd0\xcf\x11\xe0": "an old Excel workbook",
    b"\x89HDF": "HDF5",
    b"\x1f\x8b": "gzip",
}


def divided(table: str | os.PathLike[str]) -> tuple[Path, str | None]:
    """Return the file and what in it is meant: ``book.xlsx::Sheet``, ``data.db::query``.

    A file whose own name has two colons is taken as it is.
    """
    text = os.fspath(table)
    path, colons, part = text.partition("::")
    return (Path(path), part) if colons and not os.path.exists(text) else (Path(text), None)


def open_table(table: str | os.PathLike[str]) -> AbstractSource:
    """Find out what a file holds and open it.

    Parameters
    ----------
    table : str or path
        A file; of a workbook ``book.xlsx::Sheet``, of SQLite ``data.db::name`` of a table, or
        ``data.db::query``.

    Raises
    ------
    BadInput
        If there is no such file, it is no table, or its content is not what its name says.
    """
    path, part = divided(table)
    sample = _sample(path)
    promised = SUFFIXES.get(path.with_suffix("").suffix if _zipped(path) else path.suffix.lower())
    if not sample and promised is not None and "CSV" not in promised:
        raise BadInput(f"{path.name} is empty: there is no table in it. Leave it out.")
    found = _kind(path, sample)
    known = {kind for kinds in SUFFIXES.values() for kind in kinds}
    if found not in known:
        raise BadInput(f"{path.name} holds {found}: expected {KNOWN}. Export the table as CSV.")
    if promised is not None and found not in promised:
        raise BadInput(
            f"{path.name} is named like {promised[0]} but holds {found}: give it the right name, "
            "or export it again."
        )
    if part is not None and found not in ("Excel", "SQLite"):
        raise BadInput(
            f"{path.name}::{part}: only a workbook has sheets and only SQLite has tables, but this "
            f"is {found}. Leave out what follows the file."
        )
    if found == "CSV":
        return CsvSource(path, detect(sample, path.name))
    if found == "Excel":
        return ExcelSource(path, part)
    if found == "SQLite":
        return SqliteSource(path, part)
    if found == "JSON":
        return JsonSource(path)
    if found == "Arrow stream":
        return StreamSource(path)
    return ParquetSource(path) if found == "Parquet" else FeatherSource(path)


def _kind(path: Path, sample: bytes) -> str:
    found = next((kind for magic, kind in _MAGIC.items() if sample.startswith(magic)), "CSV")
    if found == "a zip archive" and zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            if "xl/workbook.xml" in archive.namelist():
                return "Excel"
            if "content.xml" in archive.namelist():
                return "an OpenDocument spreadsheet"
    if found == "CSV" and re.match(rb"(\xef\xbb\xbf)?\s*(\{|\[\s*\{)", sample):
        return "JSON"
    return found


def _zipped(path: Path) -> bool:
    return path.suffix.lower() in (".gz", ".bz2", ".zst")


def _sample(path: Path) -> bytes:
    if path.is_dir():
        raise BadInput(f"{path} is a folder: expected a table ({KNOWN}).")
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

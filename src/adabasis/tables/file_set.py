"""Many files as one table: named, put into an order, and of one kind in every column."""

from __future__ import annotations

import glob
import hashlib
import os
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from .._runtime.errors import BadInput, counted, listed
from .columns import kind_of, texts
from .numerals import mostly_numbers
from .opening import KNOWN, SUFFIXES, divided, open_table
from .source import AbstractSource

_PLAIN = {"number": pa.float64(), "bool": pa.bool_(), "text": pa.string()}


def files_of(tables: Any) -> list[str]:
    """Return the files that a path, a folder, a pattern or a sequence of these means, in order.

    Files of a folder are those whose names are of tables, in folders inside, too, but for hidden
    ones and those that begin with an underscore.

    Raises
    ------
    BadInput
        If there is none.
    """
    if not isinstance(tables, str | os.PathLike):
        found = [file for one in tables for file in files_of(one)]
        if not found:
            raise BadInput("expected files, got an empty list.")
        twice = [file for file, count in Counter(map(os.path.abspath, found)).items() if count > 1]
        if twice:
            raise BadInput(f"{listed(twice, 3)}: named more than once. Name each file once.")
        return found
    path, part = divided(tables)
    text = os.fspath(tables)
    if part is not None or os.path.isfile(text):
        return [text]
    if path.is_dir():
        # A link to nothing is a file that has gone, not one to leave out without a word.
        there = (p for p in path.rglob("*") if p.is_file() or (p.is_symlink() and not p.exists()))
        inside = sorted(p for p in there if _is_table(p, path))
        if not inside:
            raise BadInput(f"{path}: no table in this folder (expected {KNOWN}).")
        return [str(p) for p in inside]
    if glob.has_magic(text):
        matching = sorted(glob.glob(text, recursive=True))
        if not matching:
            raise BadInput(f"{text}: no file has such a name. Quote a pattern in the shell.")
        return [file for one in matching for file in files_of(one)]
    return [text]


def _is_table(path: Path, folder: Path) -> bool:
    inside = path.relative_to(folder).parts
    packed = path.suffix.lower() in (".gz", ".bz2", ".zst")
    suffix = Path(path.stem).suffix if packed else path.suffix
    return suffix.lower() in SUFFIXES and not any(part[0] in "._" for part in inside)


def _check_links(files: Sequence[str]) -> None:
    """Refuse files that are others by another name: rows held out would be trained on, too."""
    known: dict[str, str] = {}
    for file in files:
        whole = os.path.realpath(file)
        other = known.setdefault(whole, file)
        if other != file:
            raise BadInput(
                f"{file} is a link to the same file as {other}: its rows would count twice, and "
                "those held out be known. Leave one of both out."
            )


def open_tables(tables: Any) -> AbstractSource:
    """Open a file, or several as one table.

    Parameters
    ----------
    tables : str, path or sequence of these
        A file as for :func:`open_table`, a folder, a pattern such as ``part-*.parquet``, or several
        of these.

    Raises
    ------
    BadInput
        If there is none, one cannot be read, or lacks a column of the first.
    """
    files = files_of(tables)
    alone = len(files) == 1 and isinstance(tables, str | os.PathLike)
    if alone and files[0] == os.fspath(tables):
        return open_table(tables)
    return FilesSource(files, os.fspath(tables) if isinstance(tables, str | os.PathLike) else "")


class FilesSource(AbstractSource):
    """Files as one table, one after another.

    Columns are found by their names. Before any row is read, a column is of a kind that holds what
    every file has there: whole numbers and others are numbers; categories are text, whatever their
    order in one file; numbers and text are no one kind.

    Parameters
    ----------
    files : sequence of str
    asked : str
        What was asked for, for the title.
    """

    def __init__(self, files: Sequence[str], asked: str = "") -> None:
        self.files = [open_table(file) for file in files]
        _check_links(files)
        self.kind = self.files[0].kind
        self.text_is_meant = self.files[0].text_is_meant
        first, *others = self.files
        titles = [file.title for file in self.files]
        shown = asked or f"{titles[0]} … {titles[-1]}"
        self.path, self.part = first.path, None
        self.title = f"{shown} ({counted(len(files), 'file')})"
        self.notes: list[str] = []
        extra: dict[str, str] = {}
        for file in others:
            absent = [name for name in first.names if name not in file.names]
            if absent:
                raise BadInput(
                    f"{file.title} lacks {listed(absent)}, which {first.title} has. Its columns: "
                    f"{listed(file.names, 40)}. Mend the file, or leave it out."
                )
            for name in file.names:
                if name not in first.names:
                    extra.setdefault(name, file.title)
        for name, title in extra.items():
            self.notes.append(f"Left out: '{name}' of {title}, which {first.title} lacks.")
        self._raw = {name: name for name in first.names}
        self._heads: list[pa.Schema] | None = None
        self._kinds: dict[str, pa.DataType] = {}
        self.signs, self.units = first.signs, first.units

    @property
    def types(self) -> dict[str, pa.DataType]:
        """The type of each column that holds the entries of all files.

        Raises
        ------
        BadInput
            For a column that holds numbers in one file, and something else in another.
        """
        if not self._kinds:
            heads = [head_of(file) for file in self.files]
            for name in self.names:
                self._kinds[name] = self._promoted(name, [head.field(name).type for head in heads])
        return self._kinds

    def _promoted(self, name: str, types: Sequence[pa.DataType]) -> pa.DataType:
        known = [
            (kind_of(t), t, f) for t, f in zip(types, self.files, strict=True) if not _empty(t)
        ]
        if not known:
            return pa.float64()
        kinds = {kind for kind, *_ in known}
        if kinds == {"number", "bool"}:
            kinds = {"number"}
        if len(kinds) > 1:
            usual = known[0]
            other = next(one for one in known if one[0] != usual[0])
            raise BadInput(
                f"Column '{name}' holds {usual[1]} in {usual[2].title} and {other[1]} in "
                f"{other[2].title}: expected one kind of entries in all files. Mend that file, "
                "leave it out, or drop the column."
            )
        kind = next(iter(kinds))
        if kind in _PLAIN:
            ordered = {str(t) for _, t, _ in known if pa.types.is_dictionary(t) and t.ordered}
            if ordered:
                self.notes.append(f"'{name}': ordered categories are taken by value, unordered.")
            return _PLAIN[kind]
        zones = {getattr(t, "tz", None) for _, t, _ in known}
        if kind == "date" and len({str(t) for _, t, _ in known}) > 1:
            if len(zones) > 1:
                raise BadInput(
                    f"Column '{name}': times have the zones {listed(zones)} in different files. "
                    "Write all in one."
                )
            return pa.timestamp("us", next(iter(zones)))
        return known[0][1]

    def decide(self, asked: str | None, reading: Mapping[str, Any] | None) -> None:
        """Find the decimal signs of each file, as for one."""
        for file in self.files:
            file.decide(asked, reading)
        self.signs = self.files[0].signs

    def read(
        self, decimal: str | None = None, untouched: Collection[str] = (), *, encode: bool = False
    ) -> pa.Table:
        """Return the rows of all files, in one table."""
        read = []
        for file in self.files:
            table = file.read(decimal, untouched, encode=encode).select(self.names)
            self.notes += [note for note in file.notes if note not in self.notes]
            read.append(table)
        self.signs = self.files[0].signs
        types = {
            name: self._promoted(name, [table.schema.field(name).type for table in read])
            for name in self.names
        }
        return pa.concat_tables([promoted(table, types) for table in read])

    def batches(
        self,
        columns: Sequence[str],
        types: Mapping[str, pa.DataType],
        piece: Any = None,
    ) -> Iterator[pa.RecordBatch]:
        """Yield the rows of all files batch by batch."""
        for file in self.files:
            yield from file.batches(columns, types, piece)

    def sha256(self) -> str:
        """Return the digest of the digests of all files, in their order."""
        digests = "".join(file.sha256() for file in self.files)
        return hashlib.sha256(digests.encode()).hexdigest()

    def _column_names(self) -> list[str]:
        return list(self._raw)

    def _read(self) -> pa.Table:
        return self.read()

    def _batches(
        self, columns: list[str], types: Mapping[str, pa.DataType]
    ) -> Iterator[pa.RecordBatch]:
        return self.batches(columns, types)


def head_of(file: AbstractSource) -> pa.Schema:
    """Return the types of a file's columns by its schema, or by its first rows."""
    table = file.head()
    fields = []
    for name in file.names:
        column = table.column(name)
        kind = column.type
        text = kind_of(kind) == "text" and not pa.types.is_dictionary(kind)
        if text and 0 < len(column) == column.null_count:
            kind = pa.null()
        elif text and not file.text_is_meant and mostly_numbers(texts(column)):
            kind = pa.float64()
        fields.append(pa.field(name, kind))
    return pa.schema(fields)


def promoted(table: Any, types: Mapping[str, pa.DataType]) -> pa.Table:
    """Return a table or batch with columns of the given types, in their order."""
    arrays = []
    for name, kind in types.items():
        column = table.column(name)
        if column.type != kind:
            if pa.types.is_dictionary(column.type):
                column = texts(column) if kind == pa.string() else pc.cast(column, kind)
            column = texts(column) if kind == pa.string() else pc.cast(column, kind, safe=False)
        arrays.append(column)
    fields = [pa.field(name, kind) for name, kind in types.items()]
    return pa.Table.from_arrays(arrays, schema=pa.schema(fields))


def _empty(type_: pa.DataType) -> bool:
    return pa.types.is_null(type_)

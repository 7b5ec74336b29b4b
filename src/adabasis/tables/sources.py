"""Tables as rows that are read chunk by chunk: what :func:`adabasis.fit` goes over again and again.

One pass looks at every row before anything is fitted: it counts rows, gaps and categories, and
takes a sample, by which it is decided how columns become numbers.
"""

from __future__ import annotations

import dataclasses
import hashlib
import os
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from .. import rows
from .._runtime.errors import BadInput, counted, listed
from ..rows.sources import CHUNK_ROWS, Chunk
from ..rows.streams import OF_SAMPLE, scattered
from . import levels
from .columns import kind_of, missing, numbers, texts
from .encoding import in_python, sorted_levels
from .prepare import Preparation
from .several import FilesSource, files_of, promoted
from .source import AbstractSource
from .training import TrainingData, check_names, learn

#: Rows that tell how columns become numbers.
LEARNT_FROM = 100_000
#: Different entries up to which all of a column are remembered.
MOST_LEVELS = 1000


def open_rows(
    files: Any,
    targets: str | Sequence[str] | None = None,
    *,
    weight: str | None = None,
    group: str | None = None,
    drop: Sequence[str] = (),
    encode: bool = True,
    impute: bool = False,
    categorical: Sequence[str] = (),
    numeric: Sequence[str] = (),
    decimal: str | None = None,
) -> TableRows:
    r"""Open tables as rows to fit, whatever their number.

    Files are read twice by a chunk's worth of memory: once here, to learn how columns become
    numbers, and then as often as a fit needs. Columns are found by name.

    Parameters
    ----------
    files : str, path or sequence of these
        A file (Parquet, Feather, Arrow, CSV, JSON lines, Excel, SQLite as ``data.db::query``), a
        folder of such, a pattern such as ``"part-*.parquet"``, or several of these. They are read
        in the order of their names.
    targets : str or sequence of str
        The columns to predict.
    weight, group : str, optional
        A column of non-negative weights, and one of labels: rows of a label are held out together.
    drop : sequence of str
        Columns that are no inputs.
    encode : bool
        Take text as categories; otherwise it is refused.
    impute : bool
        Fill gaps with the median, or the most frequent category, and leave rows without a target
        out; otherwise they are refused, naming file and row.
    categorical, numeric : sequences of str
        Columns of whole numbers that are categories, or numbers whatever they look like.
    decimal : {".", ","}, optional
        The decimal sign of numbers in text, where files do not tell.

    Returns
    -------
    TableRows

    Raises
    ------
    BadInput
        Naming what cannot be used, in which file, and what to do about it.

    Examples
    --------
    >>> import pathlib, tempfile
    >>> folder = tempfile.TemporaryDirectory()
    >>> for k in range(2):
    ...     _ = pathlib.Path(folder.name, f"part-{k}.csv").write_text(f"x,y\n{k},1\n{k + 3},2\n")
    >>> source = open_rows(f"{folder.name}/part-*.csv", "y")
    >>> source.n_rows, source.n_inputs
    (4, 1)
    >>> next(source.chunks()).x.ravel()
    array([0., 3.])
    >>> folder.cleanup()
    """
    if targets is None:
        raise BadInput("open_rows(files, targets): which columns are to be predicted? Name them.")
    with in_python():
        return rows_of_files(
            FilesSource(files_of(files), _shown(files)),
            (targets,) if isinstance(targets, str) else tuple(targets),
            weight=weight,
            group=group,
            drop=drop,
            encode=encode,
            impute=impute,
            categorical=categorical,
            numeric=numeric,
            decimal=decimal,
        )


def rows_of_files(
    table: FilesSource,
    targets: Sequence[str],
    *,
    weight: str | None = None,
    group: str | None = None,
    drop: Sequence[str] = (),
    encode: bool = False,
    impute: bool = False,
    categorical: Sequence[str] = (),
    numeric: Sequence[str] = (),
    decimal: str | None = None,
) -> TableRows:
    """Do the work of :func:`open_rows`, with messages in the words of the command line."""
    check_names(table.names, targets, weight, drop, group)
    options: dict[str, Any] = {"encode": encode, "impute": impute}
    options |= {"categorical": tuple(categorical), "numeric": tuple(numeric)}
    roles = Roles(tuple(targets), weight, group, tuple(drop))
    return TableRows(table, roles, survey(table, roles, options, decimal))


def rows_of_tables(
    files: Any, targets: Any, *, weight: Any = None, group: Any = None, call: str = "fit"
) -> TableRows:
    """Open tables for a public function, whose arguments name columns."""
    for name, value in (("y", targets), ("sample_weight", weight), ("groups", group)):
        several = name == "y" and isinstance(value, list | tuple)
        sound = all(isinstance(v, str) for v in value) if several else isinstance(value, str)
        if not sound and not (value is None and name != "y"):
            raise BadInput(
                f"{call}(X=files, {name}=…): expected the name of a column of these files, got "
                f"{type(value).__name__}. For example: {call}('part-*.parquet', 'price')."
            )
    return open_rows(files, targets, weight=weight, group=group)


def _shown(files: Any) -> str:
    return os.fspath(files) if isinstance(files, str | os.PathLike) else ""


@dataclasses.dataclass(frozen=True)
class Roles:
    """What columns are for.

    Attributes
    ----------
    targets : tuple of str
    weight, group : str or None
    drop : tuple of str
    """

    targets: tuple[str, ...]
    weight: str | None = None
    group: str | None = None
    drop: tuple[str, ...] = ()

    def used(self, names: Sequence[str]) -> list[str]:
        """Return the columns that are read."""
        return [n for n in names if n not in self.drop or n == self.group]


@dataclasses.dataclass(frozen=True)
class Survey:
    """What one pass over the files found.

    Attributes
    ----------
    data : TrainingData
        The sample, and how its columns become numbers; categories are those of all rows.
    rows : tuple of int
        Of each file.
    stamps : tuple of pairs
        Size and time of change of each file, as they were then.
    """

    data: TrainingData
    rows: tuple[int, ...]
    stamps: tuple[tuple[int, int], ...]


def survey(
    table: FilesSource, roles: Roles, options: dict[str, Any], decimal: str | None = None
) -> Survey:
    """Look at all rows of the files once.

    Raises
    ------
    BadInput
        For gaps, naming file and row, and for what :func:`learn` refuses.
    """
    used = roles.used(table.names)
    stamps = tuple(_stamp(file) for file in table.files)
    types = {name: kind for name, kind in table.types.items() if name in used}
    table.decide(decimal, None)
    sample, found = _Sample(LEARNT_FROM, types), _Entries(roles, options)
    counts: list[int] = []
    for file in table.files:
        done = 0
        for batch in rows.read_ahead(file.batches(used, types)):
            found.add(batch, file.title, done)
            sample.add(batch, sum(counts) + done)
            done += batch.num_rows
        counts.append(done)
    if not sum(counts):
        raise BadInput(f"{table.title} has column names but no rows: there is nothing to fit.")
    found.check()
    empty = [file.title for file, count in zip(table.files, counts, strict=True) if not count]
    notes = [f"Without rows: {listed(empty)}."] if empty else []
    learnt = learn(
        sample.table(),
        roles.targets,
        weight=roles.weight,
        group=roles.group,
        drop=[name for name in roles.drop if name in used],
        **options,
    )
    if learnt.labels is not None:
        raise BadInput(
            f"--target '{roles.targets[0]}' holds classes: expected numbers. Read the table and "
            "use classify, or adabasis fit."
        )
    found.complete(learnt.preparation)
    learnt = dataclasses.replace(learnt, notes=(*table.notes, *notes, *learnt.notes))
    return Survey(learnt, tuple(counts), stamps)


def check_file(file: AbstractSource, stamp: tuple[int, int]) -> None:
    """Refuse a file that is gone, or is not what it was at the first pass.

    Raises
    ------
    BadInput
    """
    try:
        now = _stamp(file)
    except OSError as error:
        raise BadInput(
            f"{file.path} was there at the first pass and cannot be read now ({error.strerror}). "
            "Put it back and fit again."
        ) from error
    if now != stamp:
        raise BadInput(
            f"{file.path} has changed since the first pass. Fit again when nothing writes to it."
        )


def _stamp(file: AbstractSource) -> tuple[int, int]:
    about = os.stat(file.path)
    return about.st_size, about.st_mtime_ns


class _Sample:
    """Rows of the least hashes of their numbers: a random choice, however rows are cut."""

    def __init__(self, most: int, types: dict[str, pa.DataType]) -> None:
        self.most, self.types = most, types
        self.kept: list[pa.Table] = []
        self.order: list[np.ndarray] = []
        self.numbers: list[np.ndarray] = []
        self.top = 1.0

    def add(self, batch: pa.RecordBatch, first: int) -> None:
        """Look at a batch whose first row has a number."""
        number = np.arange(first, first + batch.num_rows)
        order = scattered(number, OF_SAMPLE)
        some = np.flatnonzero(order < self.top)
        if not len(some):
            return
        whole = len(some) == batch.num_rows
        table = promoted(batch if whole else batch.take(pa.array(some)), self.types)
        self.kept.append(table)
        self.order.append(order[some])
        self.numbers.append(number[some])
        if sum(map(len, self.order)) > 2 * self.most:
            self._thin()

    def _thin(self) -> None:
        order, number = np.concatenate(self.order), np.concatenate(self.numbers)
        table = pa.concat_tables(self.kept)
        if len(order) > self.most:
            kept = np.sort(np.argpartition(order, self.most - 1)[: self.most])
            self.top = float(order[kept].max())
            table, order, number = table.take(pa.array(kept)), order[kept], number[kept]
        self.kept, self.order, self.numbers = [table.combine_chunks()], [order], [number]

    def table(self) -> pa.Table:
        """Return the rows, in their order."""
        self._thin()
        return self.kept[0]


class _Entries:
    """Gaps and categories of all rows."""

    def __init__(self, roles: Roles, options: dict[str, Any]) -> None:
        self.roles, self.impute = roles, options["impute"]
        self.gaps: dict[str, tuple[int, str, int]] = {}
        self.levels: dict[str, set[str] | None] = {}

    def add(self, batch: pa.RecordBatch, title: str, first: int) -> None:
        """Look at a batch of a file."""
        for name, values in zip(batch.schema.names, batch.columns, strict=True):
            gap = missing(values)
            if gap.any():
                count, *where = self.gaps.get(name, (0, title, first + int(np.argmax(gap)) + 1))
                self.gaps[name] = (count + int(gap.sum()), *where)  # type: ignore[assignment]
            if self.levels.get(name, ()) is not None:
                self._note(name, values, gap)

    def _note(self, name: str, values: Any, gap: np.ndarray) -> None:
        kind, seen = kind_of(values.type), self.levels.setdefault(name, set())
        assert seen is not None
        entries = None
        if kind == "number":
            different = np.unique(numbers(values)[~gap])
            if len(different) <= MOST_LEVELS and (different == np.round(different)).all():
                entries = levels.written(pa.array(different)).to_pylist()
        elif kind == "text":
            entries = pc.unique(texts(values).drop_null()).to_pylist()
        if entries is None or len(seen.union(entries)) > MOST_LEVELS:
            self.levels[name] = None
        else:
            seen.update(entries)

    def check(self) -> None:
        """Refuse gaps that nothing fills.

        Raises
        ------
        BadInput
        """
        if self.impute:
            return
        told = [
            f"'{name}' ({count:,}, the first in row {row:,} of {title})"
            for name, (count, title, row) in self.gaps.items()
            if name != self.roles.group
        ]
        if told:
            raise BadInput(
                f"Missing or infinite entries, or such as are no numbers, in {', '.join(told)}: "
                "fill them or --impute."
            )

    def complete(self, preparation: Preparation) -> None:
        """Give columns of categories those that the sample did not show."""
        columns = []
        for column in preparation.columns_:
            met = self.levels.get(column.name)
            told = column.kind in ("text", "code") and column.categories and not column.outputs
            if told and met:
                known = sorted_levels({*met, *column.categories}, column.kind)
                column = dataclasses.replace(column, categories=known)
            columns.append(column)
        preparation.columns_ = tuple(columns)


@dataclasses.dataclass(frozen=True)
class TablePart(rows.AbstractPart):
    """Rows of a file: which, and how they become numbers."""

    file: AbstractSource
    stamp: tuple[int, int]
    piece: Any
    before: int
    first: int
    n_rows: int
    roles: Roles
    preparation: Preparation

    def place(self, row: int) -> str:
        """Return where one of its rows is."""
        return f"row {self.before + row + 1:,} of {self.file.title}"

    def keyed_chunks(self, n_rows: int = CHUNK_ROWS) -> Iterator[tuple[Chunk, np.ndarray]]:
        """Yield the rows in order; they must be those that were there at first.

        Raises
        ------
        BadInput
            If the file is gone or has changed, and for entries that are no numbers.
        """
        check_file(self.file, self.stamp)
        roles, done = self.roles, 0
        types = {**self.preparation.types, **dict.fromkeys(roles.targets, pa.float64())}
        types |= {roles.weight: pa.float64()} if roles.weight is not None else {}
        types |= {roles.group: pa.string()} if roles.group is not None else {}
        for batch in self.file.batches(list(types), types, self.piece):
            for start in range(0, batch.num_rows, n_rows):
                some = batch.slice(start, n_rows)
                if some.num_rows:
                    yield self._chunk(some, done + start)
            done += batch.num_rows

    def _chunk(self, batch: pa.RecordBatch, done: int) -> tuple[Chunk, np.ndarray]:
        roles = self.roles
        keys = self.first + done + np.arange(batch.num_rows)
        if roles.group is not None:
            keys = _hashed(batch.column(roles.group))
        y = np.stack([numbers(batch.column(name)) for name in roles.targets], axis=1)
        if self.preparation.impute and not (sound := np.isfinite(y).all(axis=1)).all():
            at = pa.array(np.flatnonzero(sound))
            batch, y, keys = batch.take(at), y[sound], keys[sound]
        try:
            x, _ = self.preparation.matrix(batch, self.before + done)
        except BadInput as error:
            raise BadInput(f"{self.file.title}: {error}") from error
        weight = np.ones(len(y))
        if roles.weight is not None:
            weight = numbers(batch.column(roles.weight))
        return Chunk(x, y, weight), keys


def _hashed(values: Any) -> np.ndarray:
    """Return integers for labels, equal for equal ones, the same in every process."""
    entries = pc.dictionary_encode(texts(values), null_encoding="encode")
    words = entries.dictionary.to_pylist()
    codes = [
        int.from_bytes(hashlib.blake2b(repr(word).encode(), digest_size=7).digest(), "big")
        for word in words
    ]
    return np.array(codes, dtype=np.int64)[entries.indices.to_numpy(zero_copy_only=False)]


class TableRows(rows.AbstractSource):
    """Rows of files, numbers by a preparation that was learnt from them.

    Attributes
    ----------
    table : FilesSource
    roles : Roles
    preparation : Preparation
    notes : tuple of str
        What was assumed of the columns.
    """

    def __init__(self, table: FilesSource, roles: Roles, found: Survey) -> None:
        self.table, self.roles, self.found = table, roles, found
        self.preparation, self.notes = found.data.preparation, found.data.notes
        self.n_rows = sum(found.rows)
        self.n_inputs, self.n_outputs = len(self.preparation.features), len(roles.targets)
        self.flat, self.grouped = len(roles.targets) == 1, roles.group is not None
        self._parts: dict[int, list[rows.AbstractPart]] = {}

    def __repr__(self) -> str:
        """Name the files, and the numbers of rows, inputs and targets."""
        return (
            f"<TableRows: {self.table.title}, {counted(self.n_rows, 'row')}, "
            f"{counted(self.n_inputs, 'input')}, {counted(self.n_outputs, 'target')}>"
        )

    def parts(self, n_rows: int = CHUNK_ROWS) -> Sequence[rows.AbstractPart]:
        """Return row groups or record batches of the files, or files where they have none."""
        if n_rows not in self._parts:
            self._parts[n_rows] = list(self._parts_of(n_rows))
        return self._parts[n_rows]

    def _parts_of(self, n_rows: int) -> Iterator[rows.AbstractPart]:
        done = 0
        of_files = zip(self.table.files, self.found.rows, self.found.stamps, strict=True)
        for file, rows_of_file, stamp in of_files:
            check_file(file, stamp)
            before = 0
            for count, piece in file.pieces(n_rows) if rows_of_file else ():
                count = rows_of_file if count is None else count
                about = (piece, before, done + before, count, self.roles, self.preparation)
                yield TablePart(file, stamp, *about)
                before += count
            done += rows_of_file

    @property
    def record_fields(self) -> dict[str, Any]:
        """Names of columns, and how they became numbers: what predicting for a table needs."""
        return {
            "input_names": tuple(self.preparation.features),
            "output_names": self.roles.targets,
            "preparation": self.preparation.to_json(),
            "reading": self.table.files[0].reading(),
        }

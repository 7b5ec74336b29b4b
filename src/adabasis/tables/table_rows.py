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
from .._runtime.errors import BadInput, counted
from ..rows.sources import CHUNK_ROWS, Chunk
from .columns import numbers, texts
from .encoding import in_python
from .file_set import FilesSource, files_of
from .prepare import Preparation
from .source import AbstractSource
from .survey import Roles, Survey, check_file, survey
from .training import check_names


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
    classify: bool = False,
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
    classify : bool
        Take the entries of the target as classes, for :func:`adabasis.classify`.

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
    with in_python(impute="open_rows(…, impute=True)"):
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
            classify=classify,
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
    classify: bool = False,
) -> TableRows:
    """Do the work of :func:`open_rows`, with messages in the words of the command line."""
    check_names(table.names, targets, weight, drop, group)
    options: dict[str, Any] = {"encode": encode, "impute": impute}
    options |= {"categorical": tuple(categorical), "numeric": tuple(numeric)}
    roles = Roles(tuple(targets), weight, group, tuple(drop), classify)
    return TableRows(table, roles, survey(table, roles, options, decimal))


def rows_of_tables(
    files: Any,
    targets: Any,
    *,
    weight: Any = None,
    group: Any = None,
    call: str = "fit",
    classify: bool = False,
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
    return open_rows(files, targets, weight=weight, group=group, classify=classify)


def _shown(files: Any) -> str:
    return os.fspath(files) if isinstance(files, str | os.PathLike) else ""


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
    classes: np.ndarray | None = None

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
        if self.classes is not None and self.classes.dtype.kind == "U":
            types[roles.targets[0]] = pa.string()
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
        y = np.stack([self._values(batch.column(name)) for name in roles.targets], axis=1)
        if self.preparation.impute and not (sound := np.isfinite(y).all(axis=1)).all():
            at = pa.array(np.flatnonzero(sound))
            batch, y, keys = batch.take(at), y[sound], keys[sound]
        try:
            x, _ = self.preparation.matrix(batch, self.before + done, "F")
        except BadInput as error:
            raise BadInput(f"{self.file.title}: {error}") from error
        weight = np.ones(len(y))
        if roles.weight is not None:
            weight = numbers(batch.column(roles.weight))
        return Chunk(x, y, weight), keys

    def _values(self, values: Any) -> np.ndarray:
        """Return a target as numbers: classes as their positions, NaN where there is none."""
        if self.classes is None:
            return numbers(values)
        if self.classes.dtype.kind == "U":
            at = pc.index_in(texts(values), value_set=pa.array(self.classes.tolist(), pa.string()))
            return pc.cast(at, pa.float64()).to_numpy(zero_copy_only=False)
        found, known = numbers(values), self.classes.astype(float)
        at = np.searchsorted(known, found).clip(0, len(known) - 1)
        return np.where(known[at] == found, at, np.nan)


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
    classes : array, shape (K,), or None
        Labels, where the target is one of classes: values are their positions.
    """

    def __init__(self, table: FilesSource, roles: Roles, found: Survey) -> None:
        self.table, self.roles, self.found = table, roles, found
        self.preparation, self.notes = found.data.preparation, found.data.notes
        self.n_rows = sum(found.rows)
        self.n_inputs, self.n_outputs = len(self.preparation.features), len(roles.targets)
        self.flat, self.grouped = len(roles.targets) == 1, roles.group is not None
        self.classes = found.classes
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
                yield TablePart(file, stamp, *about, self.classes)
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

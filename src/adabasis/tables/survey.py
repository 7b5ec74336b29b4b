"""One look at all rows of files, before anything is fitted: counts, gaps, categories, a sample."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from .. import rows
from .._runtime.errors import BadInput, listed
from ..rows.streams import OF_SAMPLE, scattered
from . import levels
from .columns import MOST_CATEGORIES, kind_of, missing, numbers, texts
from .encoding import sorted_levels
from .file_set import FilesSource, promoted
from .prepare import Preparation
from .source import AbstractSource
from .training import TrainingData, learn

#: Rows that tell how columns become numbers.
LEARNT_FROM = 100_000
#: Different entries up to which all of a column are remembered.
MOST_LEVELS = 1000


@dataclasses.dataclass(frozen=True)
class Roles:
    """What columns are for.

    Attributes
    ----------
    targets : tuple of str
    weight, group : str or None
    drop : tuple of str
    classify : bool
        Whether the target is one of classes.
    """

    targets: tuple[str, ...]
    weight: str | None = None
    group: str | None = None
    drop: tuple[str, ...] = ()
    classify: bool = False

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
    classes : array, shape (K,), or None
        Labels of all rows, where the target is one of classes.
    """

    data: TrainingData
    rows: tuple[int, ...]
    stamps: tuple[tuple[int, int], ...]
    classes: np.ndarray | None = None


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
    stamps = tuple(stamp_of(file) for file in table.files)
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
        classify=roles.classify,
        **options,
    )
    classes = None
    if roles.classify:
        assert learnt.labels is not None
        classes = found.classes(roles.targets[0], learnt.labels.dtype.kind)
    elif learnt.labels is not None:
        raise BadInput(
            f"--target '{roles.targets[0]}' holds classes: expected numbers. In Python, call "
            f"classify(files, '{roles.targets[0]}'); of few rows, adabasis fit does."
        )
    found.complete(learnt.preparation)
    learnt = dataclasses.replace(learnt, notes=(*table.notes, *notes, *learnt.notes))
    return Survey(learnt, tuple(counts), stamps, classes)


def check_file(file: AbstractSource, stamp: tuple[int, int]) -> None:
    """Refuse a file that is gone, or is not what it was at the first pass.

    Raises
    ------
    BadInput
    """
    try:
        now = stamp_of(file)
    except OSError as error:
        raise BadInput(
            f"{file.path} was there at the first pass and cannot be read now ({error.strerror}). "
            "Put it back and fit again."
        ) from error
    if now != stamp:
        raise BadInput(
            f"{file.path} has changed since the first pass. Fit again when nothing writes to it."
        )


def stamp_of(file: AbstractSource) -> tuple[int, int]:
    """Return size and time of change of a file."""
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
        self.light: str | None = None

    def add(self, batch: pa.RecordBatch, title: str, first: int) -> None:
        """Look at a batch of a file."""
        for name, values in zip(batch.schema.names, batch.columns, strict=True):
            gap = missing(values)
            if name == self.roles.weight and self.light is None:
                below = numbers(values) < 0
                if below.any():
                    row = int(np.argmax(below))
                    self.light = f"{numbers(values)[row]:g} in row {first + row + 1:,} of {title}"
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
        """Refuse weights below 0, and gaps that nothing fills.

        Raises
        ------
        BadInput
        """
        if self.light is not None:
            raise BadInput(
                f"--weight '{self.roles.weight}' holds {self.light}: expected numbers of at least "
                "0. Mend it, or leave the row out."
            )
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

    def classes(self, name: str, kind: str) -> np.ndarray:
        """Return the labels of a column, sorted, as NumPy's kind of those of the sample.

        Raises
        ------
        BadInput
            For numbers that are not whole, or more labels than there can be classes.
        """
        if kind == "b":
            return np.array([False, True])
        met = self.levels.get(name)
        if met is None or len(met) > MOST_CATEGORIES:
            count = f"{len(met):,}" if met else f"more than {MOST_LEVELS:,} or no whole"
            raise BadInput(
                f"--target '{name}' holds {count} different entries: too many to be classes (at "
                f"most {MOST_CATEGORIES}). Group them, or predict another column."
            )
        return np.array(sorted(met)) if kind == "U" else np.array(sorted(map(int, met)))

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

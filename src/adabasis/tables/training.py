"""A table as rows to fit: its targets, its weights, its inputs, and what was assumed of them."""

from __future__ import annotations

import copy
import dataclasses
import difflib
from collections.abc import Sequence

import numpy as np
import pyarrow as pa

from .._runtime.errors import BadInput, counted, listed
from .columns import kind_of, missing, numbers, wrong_column
from .encoding import gaps_of
from .numerals import Strays
from .prepare import Preparation
from .targets import (
    classes_as_numbers,
    few_whole_numbers,
    holds_classes,
    labels_of,
    mean_names,
    told_classes,
)

FEWEST_TO_COUNT = 20
"""A column 1, 2, 3, … of so many rows is taken for their numbering."""


@dataclasses.dataclass(frozen=True)
class TrainingData:
    """Numbers to fit: X (N, D), y (N, Q), weights (N,) or none; and what a person should know.

    ``labels`` (N,), if any, are the classes to predict; y then holds their numbers. Rows of one
    number in ``groups`` (N,), if any, belong together. ``table`` holds the rows as they were,
    ``rows`` (N,) their numbers in the table that was read, from 0.
    """

    preparation: Preparation
    x: np.ndarray
    y: np.ndarray
    weight: np.ndarray | None
    notes: tuple[str, ...]
    labels: np.ndarray | None = None
    groups: np.ndarray | None = None
    table: pa.Table | None = None
    rows: np.ndarray | None = None

    @property
    def places(self) -> np.ndarray:
        """X (N, D) as rows to predict for, to know which rows are alike."""
        return self.x if self.table is None else self.preparation.matrix(self.table)[0]

    @property
    def filled(self) -> dict[int, list[str]]:
        """The columns whose entry was missing and is filled in, by row of X."""
        found: dict[int, list[str]] = {}
        if self.table is None:
            return found
        for column in self.preparation.columns_:
            if column.fill is not None:
                for row in np.flatnonzero(missing(self.table.column(column.name))).tolist():
                    found.setdefault(row, []).append(column.name)
        return found

    def known_from(self, kept: np.ndarray) -> TrainingData:
        """Return the data as a model may see them that is fitted to some rows and judged on others.

        Where categories are told by means of the target, these are of the rows kept: for each of
        those of other ones among them, so that no row is told by its own target.
        """
        if self.table is None or not any(c.outputs for c in self.preparation.columns_):
            return self
        told = self.y if self.labels is None else classes_as_numbers(self.labels)[0]
        preparation = copy.copy(self.preparation)
        preparation.columns_, x = self.preparation.matrix_to_fit(
            self.table, told, self.weight, kept, self.groups
        )
        return dataclasses.replace(self, preparation=preparation, x=x)


def learn(
    table: pa.Table,
    targets: Sequence[str],
    *,
    weight: str | None = None,
    group: str | None = None,
    drop: Sequence[str] = (),
    encode: bool = False,
    impute: bool = False,
    classify: bool = False,
    categorical: Sequence[str] = (),
    numeric: Sequence[str] = (),
) -> TrainingData:
    """Learn from a table how its columns become numbers, and turn them into numbers.

    Parameters
    ----------
    table : pyarrow.Table
    targets : sequence of str
        Columns to predict.
    weight : str, optional
        A column of non-negative row weights.
    group : str, optional
        A column of labels: rows of one are held out together. It is no input.
    drop : sequence of str
        Columns to leave out.
    encode : bool
        Take text columns as categories instead of refusing them.
    impute : bool
        Fill missing inputs with the median (text: the most frequent entry) instead of refusing
        them, and leave out rows whose target is missing.
    classify : bool
        Take the numbers of the target as classes; text, true and false always are.
    categorical, numeric : sequences of str
        Columns of whole numbers that are categories, or numbers whatever they look like.

    Returns
    -------
    TrainingData

    Raises
    ------
    BadInput
        Naming every column that cannot be used, and what to do about it.
    """
    left_out = [*drop, *([group] if group is not None and group not in drop else [])]
    check_names(table.column_names, targets, weight, drop, group)
    if not table.num_rows:
        raise BadInput("The table has column names but no rows: there is nothing to fit.")
    notes = []
    classes = holds_classes(table, targets, classify)
    complete = _rows_with_targets(table, targets, impute)
    if len(complete) < table.num_rows:
        lost = table.num_rows - len(complete)
        notes.append(f"{counted(lost, 'row')} without a target left out.")
        notes += _strays(table, targets)
        table = table.take(complete)
    w = None if weight is None else _weights(table, weight)
    if w is not None and not w.all():
        notes.append(f"{counted(int((w == 0).sum()), 'row')} of weight 0 left out.")
        table, w, complete = table.take(np.flatnonzero(w)), w[w > 0], complete[w > 0]
    labels = labels_of(table.column(targets[0])) if classes else None
    if labels is None:
        y = np.stack([numbers(table.column(name)) for name in targets], axis=1)
        notes += few_whole_numbers(targets, y)
    else:
        names, y = np.unique(labels, return_inverse=True)
        y = y[:, None].astype(float)
        notes.append(told_classes(targets[0], names, table.column(targets[0])))
    used = [n for n in table.column_names if n not in {*targets, *left_out, weight}]
    told, outputs = (y, mean_names(targets)) if labels is None else classes_as_numbers(labels)
    preparation = Preparation(
        categorical=tuple(categorical),
        numeric=tuple(numeric),
        impute=impute,
        drop=tuple(left_out),
        targets=tuple(targets),
        weight=weight,
    )
    preparation.learn_columns(table, used, told, outputs, w, encode=encode)
    groups = None
    if group is not None:
        of_rows = [str(v) for v in table.column(group).to_pylist()]
        groups = np.unique(of_rows, return_inverse=True)[1]
        if groups.max() == 0:
            raise BadInput(f"--group '{group}' has one value alone: no group can be held out.")
    x, _ = preparation.matrix(table)
    notes += [*preparation.notes_, *_notes(table, preparation, x)]
    data = TrainingData(preparation, x, y, w, tuple(notes), labels, groups, table, complete)
    return data.known_from(np.arange(len(x)))


def check_names(
    names: Sequence[str],
    targets: Sequence[str],
    weight: str | None,
    drop: Sequence[str],
    group: str | None,
) -> None:
    """Refuse columns that a table does not have, that are named twice or have no name.

    Raises
    ------
    BadInput
        Naming the option, and the column that may be meant.
    """
    options = [("--target", t) for t in targets] + [("--drop", d) for d in drop]
    options += [("--weight", weight)] if weight is not None else []
    options += [("--group", group)] if group is not None and group not in drop else []
    for option, name in options:
        if name not in names:
            lower = {other.lower(): other for other in names}
            near = difflib.get_close_matches(name.lower(), lower, 1)
            hint = f" Did you mean '{lower[near[0]]}'?" if near else _header_hint(names)
            raise BadInput(
                f"{option} '{name}': the table has no such column. Its columns: "
                f"{listed(names, 40)}.{hint}"
            )
    chosen = [name for _, name in options]
    for name in chosen:
        by = [option for option, other in options if other == name]
        if len(by) > 1:
            several = " and ".join(dict.fromkeys(by))
            twice = f"by {several}" if len(set(by)) > 1 else f"twice by {several}"
            raise BadInput(
                f"Column '{name}' is named {twice}: a column is one thing. Leave out one of both."
            )
    if "" in names and "" not in chosen:
        raise BadInput(
            f"Column {names.index('') + 1} has no name. If it only numbers the rows, leave it out "
            "with --drop ''; otherwise name it in the first line."
        )


def _header_hint(names: Sequence[str]) -> str:
    if len(names) == 1:
        return " Is it delimited by a comma, semicolon, tab or bar? No other delimiter is known."
    try:
        list(map(float, names))
    except ValueError:
        return ""
    return " These look like numbers: the first line must name the columns."


def _rows_with_targets(table: pa.Table, targets: Sequence[str], impute: bool) -> np.ndarray:
    complete = np.ones(table.num_rows, bool)
    for name in targets:
        values = table.column(name)
        if kind_of(values.type) not in ("number", "bool", "text"):
            raise BadInput(f"--target {wrong_column(name, values, encode=True)}")
        bad = missing(values)
        if bad.all():
            raise BadInput(f"--target '{name}': not one entry is a finite number.")
        if bad.any() and not impute:
            strays = Strays.told_by(table.field(name))
            if strays is not None:
                raise BadInput(f"--target '{name}': {strays.advice}, and leaves such rows out.")
            raise BadInput(
                f"--target '{name}': {gaps_of(bad)}. Fill them, or leave those rows out with "
                "--impute."
            )
        complete &= ~bad
    if not complete.any():
        raise BadInput("No row has all targets: there is nothing to fit.")
    return np.flatnonzero(complete)


def _weights(table: pa.Table, name: str) -> np.ndarray:
    values = table.column(name)
    if kind_of(values.type) not in ("number", "bool"):
        raise BadInput(f"--weight '{name}' holds {values.type}: expected numbers of at least 0.")
    w = numbers(values)
    bad = np.flatnonzero(~(np.isfinite(w) & (w >= 0)))
    if len(bad) or not w.any():
        where = f"row {bad[0] + 1} holds {w[bad[0]]}" if len(bad) else "all are 0"
        raise BadInput(f"--weight '{name}': expected finite numbers of at least 0, but {where}.")
    return w


def _notes(table: pa.Table, preparation: Preparation, x: np.ndarray) -> list[str]:
    notes = _strays(table, [column.name for column in preparation.columns_])
    features = preparation.features
    still = [features[i] for i in np.flatnonzero(np.ptp(x, axis=0) == 0)]
    if still and len(x) > 1:
        notes.append(f"Constant, so without influence: {listed(still)}.")
    seen: dict[bytes, str] = {}
    same = [
        f
        for f, column in zip(features, x.T, strict=True)
        if seen.setdefault(column.tobytes(), f) != f and f not in still
    ]
    index = [
        c.name
        for c in preparation.columns_
        if c.kind == "number" and _numbers_the_rows(numbers(table.column(c.name)))
    ]
    if index:
        notes.append(f"Only numbers the rows, it seems: {listed(index)}. If so, --drop it.")
    if same and len(x) > 1:
        notes.append(f"Copies of other columns: {listed(same)}.")
    return notes


def _strays(table: pa.Table, names: Sequence[str]) -> list[str]:
    found = {name: Strays.told_by(table.field(name)) for name in names}
    return [f"'{name}': {said}: taken as missing." for name, said in found.items() if said]


def _numbers_the_rows(values: np.ndarray) -> bool:
    """Say whether values count up one by one; rows that were left out may make gaps."""
    steps = np.diff(values)
    counts = (steps >= 1).all() and (values == np.round(values)).all()
    return len(values) >= FEWEST_TO_COUNT and bool(counts and steps.mean() < 1.5)

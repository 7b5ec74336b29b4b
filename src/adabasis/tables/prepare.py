"""From columns to numbers: what a model remembers of the table it was fitted to."""

from __future__ import annotations

import dataclasses
import difflib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from .._runtime.errors import BadInput, counted, listed
from .columns import MOST_CATEGORIES, kind_of, missing, numbers, texts, wrong_column
from .numerals import Strays
from .targets import few_whole_numbers, holds_classes, labels_of, told_classes

FEWEST_TO_COUNT = 20
"""A column 1, 2, 3, … of so many rows is taken for their numbering."""


@dataclasses.dataclass(frozen=True)
class Column:
    """One input column: how its entries become numbers.

    Attributes
    ----------
    name : str
    kind : {"number", "bool", "text"}
    fill : float, str or None
        Stands in for missing entries; ``None`` refuses them.
    categories : tuple of str
        Of a text column: one 0/1 feature each.
    """

    name: str
    kind: str
    fill: float | str | None = None
    categories: tuple[str, ...] = ()

    @property
    def features(self) -> list[str]:
        """Names of the model inputs this column becomes."""
        return [f"{self.name} = {c}" for c in self.categories] or [self.name]

    @property
    def type(self) -> pa.DataType:
        """The type that a text file's column is read as."""
        return {"number": pa.float64(), "bool": pa.bool_(), "text": pa.string()}[self.kind]

    def encode(self, values: Any, first_row: int = 0) -> tuple[np.ndarray, np.ndarray]:
        """Return the features (N, k) and which entries are categories never seen (N,).

        Raises
        ------
        BadInput
            For entries of another kind, and for missing ones that nothing fills.
        """
        if self.kind == "text":
            return self._one_hot(values, first_row)
        if kind_of(values.type) not in ("number", "bool"):
            raise BadInput(
                f"Column '{self.name}' holds {values.type}, but the model was fitted to numbers "
                "there."
            )
        x = numbers(values)
        bad = ~np.isfinite(x)
        if bad.any():
            self._refuse_missing(bad, first_row)
            x = np.where(bad, float(self.fill or 0.0), x)
        return x[:, None], np.zeros(len(x), bool)

    def _one_hot(self, values: Any, first_row: int) -> tuple[np.ndarray, np.ndarray]:
        values = texts(values)
        if values.null_count:
            self._refuse_missing(missing(values), first_row)
            values = pc.fill_null(values, self.fill)
        index = pc.index_in(values, value_set=pa.array(self.categories, pa.string()))
        at = np.asarray(pc.fill_null(index, -1))
        return (at[:, None] == np.arange(len(self.categories))).astype(float), at < 0

    def _refuse_missing(self, bad: np.ndarray, first_row: int) -> None:
        if self.fill is None:
            raise BadInput(
                f"Column '{self.name}': {_gaps(bad, first_row)}. Fill them, or fit again with "
                "--impute."
            )


@dataclasses.dataclass(frozen=True)
class Preparation:
    """The columns a model was fitted to, in order, and what becomes of each.

    It is stored in the model file, so that a prediction reads any table that has these columns.

    Attributes
    ----------
    inputs : tuple of Column
    targets : tuple of str
    weight : str or None
    dropped : tuple of str
    """

    inputs: tuple[Column, ...]
    targets: tuple[str, ...]
    weight: str | None = None
    dropped: tuple[str, ...] = ()

    @property
    def features(self) -> list[str]:
        """Names of the D model inputs."""
        return [name for column in self.inputs for name in column.features]

    @property
    def types(self) -> dict[str, pa.DataType]:
        """The type each input column is read as from text."""
        return {column.name: column.type for column in self.inputs}

    def matrix(self, table: Any, first_row: int = 0) -> tuple[np.ndarray, np.ndarray]:
        """Return X (N, D) for a table or record batch that has the input columns.

        Also returns, for each row, whether it holds a category the model never saw.
        """
        parts = [c.encode(table.column(c.name), first_row) for c in self.inputs]
        x = np.concatenate([part for part, _ in parts], axis=1)
        return x, np.any([unseen for _, unseen in parts], axis=0)

    def check(self, names: Sequence[str], where: str) -> list[str]:
        """Return the columns of a table that the model does not use.

        Raises
        ------
        BadInput
            Naming the columns that are missing, and those that the model does not know.
        """
        known = {column.name for column in self.inputs}
        others = {*self.targets, *self.dropped, self.weight}
        unknown = [name for name in names if name not in known | others]
        absent = [column.name for column in self.inputs if column.name not in names]
        if absent:
            extra = (
                f" It has columns the model does not know: {listed(unknown)}." if unknown else ""
            )
            raise BadInput(
                f"{where} lacks columns the model was fitted to: {listed(absent)}.{extra} The "
                f"model needs {listed(c.name for c in self.inputs)}, in any order."
            )
        return unknown

    def to_json(self) -> dict[str, Any]:
        """Return the preparation as plain lists and mappings."""
        return dataclasses.asdict(self)

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> Preparation:
        """Return what :meth:`to_json` described."""
        inputs = tuple(
            Column(c["name"], c["kind"], c["fill"], tuple(c["categories"]))
            for c in document["inputs"]
        )
        targets, dropped = tuple(document["targets"]), tuple(document["dropped"])
        return cls(inputs, targets, document["weight"], dropped)


@dataclasses.dataclass(frozen=True)
class TrainingData:
    """Numbers to fit: X (N, D), y (N, Q), weights (N,) or none; and what a person should know.

    ``labels`` (N,), if any, are the classes to predict; y then holds their numbers. Rows of one
    number in ``groups`` (N,), if any, belong together. ``rows`` (N,) are their
    numbers in the table, from 0.
    """

    preparation: Preparation
    x: np.ndarray
    y: np.ndarray
    weight: np.ndarray | None
    notes: tuple[str, ...]
    labels: np.ndarray | None = None
    groups: np.ndarray | None = None
    rows: np.ndarray | None = None


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
        One-hot encode text columns instead of refusing them.
    impute : bool
        Fill missing inputs with the median (text: the most frequent entry) instead of refusing
        them, and leave out rows whose target is missing.
    classify : bool
        Take the numbers of the target as classes; text, true and false always are.

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
    if not used:
        raise BadInput("No input columns are left: the table needs one besides the target.")
    columns = _learn_columns(table, used, encode, impute)
    preparation = Preparation(tuple(columns), tuple(targets), weight, tuple(left_out))
    x, _ = preparation.matrix(table)
    notes += _notes(table, preparation, x)
    groups = None
    if group is not None:
        groups = np.unique([str(v) for v in table.column(group).to_pylist()], return_inverse=True)[
            1
        ]
        if groups.max() == 0:
            raise BadInput(f"--group '{group}' has one value alone: no group can be held out.")
    return TrainingData(preparation, x, y, w, tuple(notes), labels, groups, complete)


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
    twice = sorted({name for name in chosen if chosen.count(name) > 1})
    if twice:
        raise BadInput(
            f"{listed(twice)}: named more than once by --target, --weight, --group and --drop."
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
                f"--target '{name}': {_gaps(bad)}. Fill them, or leave those rows out with "
                "--impute."
            )
        complete &= ~bad
    if not complete.any():
        raise BadInput("No row has all targets: there is nothing to fit.")
    return np.flatnonzero(complete)


def _gaps(bad: np.ndarray, first_row: int = 0) -> str:
    """Return how many entries are missing or infinite, and where the first of them is."""
    count = counted(int(bad.sum()), "missing or infinite entry", "missing or infinite entries")
    return f"{count}, the first in row {np.flatnonzero(bad)[0] + first_row + 1:,}"


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


def _learn_columns(
    table: pa.Table, names: Sequence[str], encode: bool, impute: bool
) -> list[Column]:
    """Return the columns, or refuse with all that is wrong with all of them."""
    columns, problems, gaps = [], [], []
    for name in names:
        values = table.column(name)
        kind = kind_of(values.type)
        if kind not in ("number", "bool", "text") or (kind == "text" and not encode):
            problems.append(wrong_column(name, values, encode=encode))
            continue
        gap = missing(values)
        if gap.all():
            problems.append(f"'{name}' has no entries at all: --drop it.")
        elif (strays := Strays.told_by(table.field(name))) is not None and not impute:
            problems.append(f"'{name}': {strays.advice}. Or --drop it.")
        elif gap.any() and not impute:
            gaps.append(f"'{name}' ({gap.sum()}, the first in row {np.flatnonzero(gap)[0] + 1})")
        categories = _categories(values) if kind == "text" else ()
        if len(categories) > MOST_CATEGORIES:
            problems.append(
                f"'{name}' holds text with {len(categories)} different entries, more like a name "
                f"than a category (at most {MOST_CATEGORIES}): --drop it."
            )
        if not gap.all():
            fill = _fill(values, kind, gap) if impute else None
            columns.append(Column(name, kind, fill, categories))
    if gaps:
        problems.append(f"Missing or infinite entries in {', '.join(gaps)}: fill them or --impute.")
    if problems:
        raise BadInput("Columns that cannot be used as they are:\n  " + "\n  ".join(problems[:15]))
    return columns


def _categories(values: Any) -> tuple[str, ...]:
    return tuple(sorted(set(pc.unique(texts(values)).to_pylist()) - {None}))


def _fill(values: Any, kind: str, gap: np.ndarray) -> float | str:
    if kind != "text":
        return float(np.median(numbers(values)[~gap]))
    counts = pc.value_counts(texts(values).drop_null()).to_pylist()
    return max(counts, key=lambda entry: (entry["counts"], entry["values"]))["values"]


def _notes(table: pa.Table, preparation: Preparation, x: np.ndarray) -> list[str]:
    notes = []
    filled = {c.name: int(missing(table.column(c.name)).sum()) for c in preparation.inputs}
    if any(filled.values()):
        names = listed(name for name, count in filled.items() if count)
        notes.append(f"Missing entries filled: {sum(filled.values()):,} in {names}.")
    notes += _strays(table, [column.name for column in preparation.inputs])
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
        for c in preparation.inputs
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

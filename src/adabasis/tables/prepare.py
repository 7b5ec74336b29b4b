"""From columns to numbers: what a model remembers of the table it was fitted to."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any, Literal, Self

import numpy as np
import pyarrow as pa
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.utils.validation import (
    _check_feature_names,
    _check_n_features,
    check_consistent_length,
    check_is_fitted,
)

from .._runtime.errors import BadInput, listed
from . import dates, levels
from .columns import missing, wrong_column
from .encoding import Column, check_levels, in_python, kind_in, learned, names_of
from .frames import as_table, is_named
from .numerals import Strays
from .summaries import check_none_sums_up
from .targets import targets_as_numbers

FEW_ONE_HOT, MOST_ONE_HOT, ROWS_ONE_HOT = 10, 50, 20
"""Levels that always have an input each; the most that have; the rows of each that this takes.

Measured with a smooth function of two inputs plus what each of L levels adds (200 and 1,000 rows, 5
to 50 levels): where levels also change the slopes, means of the target have 1.7 to 4.5 times the
error of an input each from so many rows a level on, .9 times at half as many; where levels only
add, .5 to .8 times.
"""


class Preparation(TransformerMixin, BaseEstimator):
    """Turn the columns of a table into numbers, the same way for rows to come.

    Numbers, true and false stay what they are. A column of categories becomes a 0/1 input for each
    where they are few, and else the expected target on each (one input for each output or class),
    drawn to the mean of all where a category has few rows; of the rows fitted, that is taken from
    other rows. Ordered categories become 0, 1, 2, …. Dates become days since the first, with the
    cosine and sine of the time of day, week and year where the data span more than two of them;
    times of day hours, durations days. Text is taken as dates where every entry is one: as ISO 8601
    writes them, with named months, or 04/03/2021 if some entry tells which number is the day.

    Parameters
    ----------
    categorical : sequence of str
        Columns of whole numbers that name categories. Others are taken as numbers, unless their
        order says nothing of the target although their levels differ; ``notes_`` says so.
    numeric : sequence of str
        Columns of whole numbers that are numbers, whatever their order says.
    max_one_hot : int or "auto"
        Categories up to which each becomes an input. ``"auto"``: a twentieth of the rows, at least
        10 and at most 50.
    impute : bool
        Fill gaps with the median, or the most frequent category, instead of refusing them.
    drop : sequence of str
        Columns to leave out.
    targets : sequence of str
        Columns to predict, if they are in the table: they are no inputs.
    weight : str, optional
        A column of weights, likewise.
    target_type : {"auto", "continuous", "classes"}
        What the y given to ``fit`` is; ``"auto"`` takes text, true and false and up to ten
        different whole numbers as classes.
    random_state : int
        Of the parts of the rows whose statistics come from the others.

    Attributes
    ----------
    columns_ : tuple of Column
    notes_ : tuple of str
        What was assumed.
    n_features_in_ : int
        Columns of the table that are inputs.
    feature_names_in_ : array of str
        Their names, if they had some.

    Examples
    --------
    >>> import numpy as np
    >>> table = {"t": np.array(["2026-01-01", "2026-01-03"], "M8[D]"), "kind": ["hot", "cold"]}
    >>> preparation = Preparation().fit(table)
    >>> preparation.transform(table)
    array([[0., 0., 1.],
           [2., 1., 0.]])
    >>> preparation.get_feature_names_out().tolist()
    ['t (days since 2026-01-01)', 'kind = cold', 'kind = hot']
    """

    columns_: tuple[Column, ...]
    feature_names_in_: np.ndarray
    notes_: tuple[str, ...]

    def __init__(
        self,
        *,
        categorical: Sequence[str] = (),
        numeric: Sequence[str] = (),
        max_one_hot: int | str = "auto",
        impute: bool = False,
        drop: Sequence[str] = (),
        targets: Sequence[str] = (),
        weight: str | None = None,
        target_type: str = "auto",
        random_state: int = 0,
    ) -> None:
        self.categorical = categorical
        self.numeric = numeric
        self.max_one_hot = max_one_hot
        self.impute = impute
        self.drop = drop
        self.targets = targets
        self.weight = weight
        self.target_type = target_type
        self.random_state = random_state

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = self.impute
        return tags

    # --- As a transformer ------------------------------------------------------------------------

    def fit(self, X: Any, y: Any = None) -> Self:
        """Learn how the columns of a table become numbers.

        Parameters
        ----------
        X : data frame, table, mapping of columns or array, shape (N, D)
            Of pandas, polars or Arrow.
        y : array-like, shape (N,) or (N, Q), optional
            The target, which tells codes from numbers and what categories stand for.

        Returns
        -------
        self

        Raises
        ------
        BadInput
            Naming every column that cannot be used, and what to do about it.
        """
        self._fit_given(X, y)
        return self

    def fit_transform(self, X: Any, y: Any = None, **fit_params: Any) -> np.ndarray:
        """Fit, and return the numbers to fit a model to, (N, k).

        Statistics of the target come from other rows than the one they stand in.
        """
        table, values = self._fit_given(X, y)
        return self.matrix_to_fit(table, values, None)[1]

    def transform(self, X: Any) -> np.ndarray:
        """Return the numbers of a table that has the columns fitted, (N, k).

        Raises
        ------
        BadInput
            For columns of another kind, and for gaps if they were not to be filled.
        """
        table = self._checked(X)
        with in_python():
            return self._matrix(table, 0)[0]

    def unseen(self, X: Any) -> np.ndarray:
        """Say which rows of a table hold a category that was never seen, (N,)."""
        table = self._checked(X)
        with in_python():
            return self._matrix(table, 0)[1]

    def get_feature_names_out(self, input_features: Any = None) -> np.ndarray:
        """Return the names of the numbers, (k,)."""
        check_is_fitted(self)
        return np.array(self.features, dtype=object)

    def _fit_given(self, X: Any, y: Any) -> tuple[pa.Table, np.ndarray | None]:
        table = as_table(X, "Preparation.fit")
        check_none_sums_up("Preparation.fit(X)", X, table)
        left_out = self._left_out()
        absent = [name for name in names_of(self.drop) if name not in table.column_names]
        if absent:
            raise BadInput(
                f"Preparation(drop=…): {listed(absent)} is no column. The columns: "
                f"{listed(table.column_names, 40)}."
            )
        used = [name for name in table.column_names if name not in left_out]
        values: np.ndarray | None = None
        evidence: np.ndarray | None = None
        outputs: tuple[str, ...] = ()
        if y is not None:
            check_consistent_length(table.column(0), y)
            values, outputs, evidence = targets_as_numbers(y, self.target_type)
        with in_python():
            self.learn_columns(table, used, values, outputs, evidence=evidence, first=0)
        if hasattr(self, "feature_names_in_"):
            del self.feature_names_in_
        if is_named(X):
            self.feature_names_in_ = np.array(used, dtype=object)
            self.n_features_in_ = len(used)
        else:
            self.n_features_in_ = table.num_columns
        return table, values

    def _checked(self, X: Any) -> pa.Table:
        """Return a table by the names of the columns fitted."""
        check_is_fitted(self)
        table = as_table(X, "Preparation.transform")
        if not is_named(X):
            _check_feature_names(self, X, reset=False)
            _check_n_features(self, X, reset=False)
            named = hasattr(self, "feature_names_in_")
            return table.rename_columns(list(self.feature_names_in_)) if named else table
        if not self._left_out() and (hasattr(X, "iloc") or hasattr(X, "get_columns")):
            _check_feature_names(self, X, reset=False)
        self.check(table.column_names, "Preparation.transform(X): X")
        return table

    def _left_out(self) -> set[str]:
        return {*names_of(self.drop), *names_of(self.targets), *names_of(self.weight)}

    # --- As the part of a model that reads tables ------------------------------------------------

    def learn_columns(
        self,
        table: pa.Table,
        used: Sequence[str],
        y: np.ndarray | None,
        outputs: Sequence[str] = (),
        weight: np.ndarray | None = None,
        *,
        evidence: np.ndarray | None = None,
        encode: bool = True,
        first: int = 1,
    ) -> None:
        """Learn the columns of a table, or refuse with all that is wrong with all of them.

        Parameters
        ----------
        table : pyarrow.Table
        used : sequence of str
            The columns that are inputs.
        y : array, shape (N, k), optional
            Numbers to predict, or 0/1 for classes.
        outputs : sequence of str
            What the k columns of y are.
        weight : array, shape (N,), optional
        evidence : array, shape (N, q), optional
            By what whole numbers that are codes are known; y, if left out.
        encode : bool
            Take text as categories instead of refusing it.
        first : int
            The number of the first row, for messages.
        """
        if not used:
            raise BadInput("No input columns are left: the table needs one besides the target.")
        evidence = y if evidence is None else evidence
        most = self.max_one_hot
        if isinstance(most, str):
            most = max(FEW_ONE_HOT, min(MOST_ONE_HOT, len(table) // ROWS_ONE_HOT))
        columns, problems, gaps, notes = [], [], [], []
        for name in used:
            declared = (names_of(self.categorical), names_of(self.numeric))
            try:
                known = kind_in(name, table.column(name), evidence, *declared)
            except BadInput as error:
                problems.append(str(error))
                continue
            values, kind, assumed, order = known
            if kind == "other" or (kind == "text" and not encode):
                problems.append(wrong_column(name, values, encode=encode))
                continue
            gap = missing(values)
            if gap.all():
                problems.append(f"'{name}' has no entries at all: --drop it.")
                continue
            strays = Strays.told_by(table.field(name))
            if strays is not None and not self.impute:
                problems.append(f"'{name}': {strays.advice}. Or --drop it.")
                continue
            if gap.any() and not self.impute:
                gaps.append(f"'{name}' ({gap.sum()}, the first in row {np.argmax(gap) + first})")
                continue
            try:
                column = learned(name, values, kind, gap, self.impute, order)
                check_levels(column, values, most, of_targets=y is not None, first=first)
            except BadInput as error:
                problems.append(str(error))
                continue
            count = 0 if kind == "ordered" else len(column.categories)
            if count > most and y is not None:
                column = dataclasses.replace(column, outputs=tuple(outputs))
                assumed += (
                    f"'{name}' has {count} categories, more than {most}: each is told by the mean "
                    "of the target on its rows, not by an input of its own."
                )
            elif count > FEW_ONE_HOT:
                assumed += f"'{name}' has {count} categories: an input for each."
            if column.clock is not None:
                assumed += dates.told(name, kind, column.clock)
            assumed += column.told_of_gaps(gap)
            columns.append(column)
            notes += [assumed] if assumed else []
        if gaps:
            problems.append(
                f"Missing or infinite entries in {', '.join(gaps)}: fill them or --impute."
            )
        if problems:
            raise BadInput(
                "Columns that cannot be used as they are:\n  " + "\n  ".join(problems[:15])
            )
        self.columns_, self.notes_ = tuple(columns), tuple(notes)
        if y is not None:
            self.columns_ = self.matrix_to_fit(table, y, weight)[0]

    def matrix_to_fit(
        self,
        table: pa.Table,
        y: np.ndarray | None,
        weight: np.ndarray | None,
        kept: np.ndarray | None = None,
        groups: np.ndarray | None = None,
    ) -> tuple[tuple[Column, ...], np.ndarray]:
        """Return columns with statistics of y on some rows, and the numbers of all rows.

        Parameters
        ----------
        table : pyarrow.Table
        y : array, shape (N, k)
        weight : array, shape (N,), optional
        kept : array of int, optional
            Rows that a model is fitted to; all, if left out. Their statistics come from one
            another, those of the other rows from all of them.
        groups : array of int, shape (N,), optional
            Rows that share what their statistics come from; otherwise rows that are alike do.

        Returns
        -------
        columns : tuple of Column
        x : array, shape (N, D)
        """
        with_statistics = [c.outputs and c.clock is None for c in self.columns_]
        if y is None or not any(with_statistics):
            return self.columns_, self._matrix(table)[0]
        kept = np.arange(len(table)) if kept is None else kept
        weight = np.ones(len(table)) if weight is None else weight
        at = {
            c.name: c.level_index(table.column(c.name))
            for c, wanted in zip(self.columns_, with_statistics, strict=True)
            if wanted
        }
        plain = [c.encode(table.column(c.name))[0] for c in self.columns_ if c.name not in at]
        if groups is None:
            alike = np.concatenate([*plain, *(index[:, None] for index in at.values())], axis=1)
            groups = np.unique(alike[kept], axis=0, return_inverse=True)[1].ravel()
        else:
            groups = np.unique(groups[kept], return_inverse=True)[1]
        fold = levels.folds_of(groups, self.random_state)
        columns, parts = [], []
        for c in self.columns_:
            part = None
            if c.name in at:
                rows = at[c.name][kept], y[kept], weight[kept], len(c.categories)
                found = levels.statistics(*rows)
                unknown = np.bincount(rows[0], minlength=len(c.categories)) == 0
                found[:-1][unknown] = found[-1]
                c = dataclasses.replace(c, statistics=tuple(map(tuple, found.tolist())))
                part = found[at[c.name]]
                part[kept] = levels.out_of_fold(*rows, fold)
            columns.append(c)
            parts.append(c.encode(table.column(c.name))[0] if part is None else part)
        return tuple(columns), np.concatenate(parts, axis=1)

    @property
    def features(self) -> list[str]:
        """Names of the D model inputs."""
        return [name for column in self.columns_ for name in column.features]

    @property
    def types(self) -> dict[str, pa.DataType]:
        """The type each input column is read as from text."""
        return {column.name: column.type for column in self.columns_}

    def matrix(
        self, table: Any, first_row: int = 0, order: Literal["C", "F"] = "C"
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return X (N, D) for a table or record batch that has the input columns.

        Also returns, for each row, whether it holds a category the model never saw. In the order
        "F" of columns they are put together in a third of the time.
        """
        return self._matrix(table, first_row + 1, order)

    def _matrix(
        self, table: Any, first: int = 1, order: Literal["C", "F"] = "C"
    ) -> tuple[np.ndarray, np.ndarray]:
        parts = [c.encode(table.column(c.name), first) for c in self.columns_]
        with_levels = [
            unseen for c, (_, unseen) in zip(self.columns_, parts, strict=True) if c.categories
        ]
        unseen = np.any(with_levels, axis=0) if with_levels else np.zeros(len(parts[0][1]), bool)
        x = np.empty((len(unseen), sum(part.shape[1] for part, _ in parts)), order=order)
        return np.concatenate([part for part, _ in parts], axis=1, out=x), unseen

    def check(self, names: Sequence[str], where: str) -> list[str]:
        """Return the columns of a table that the model does not use.

        Raises
        ------
        BadInput
            Naming the columns that are missing, and those that the model does not know.
        """
        known = {column.name for column in self.columns_}
        unknown = [name for name in names if name not in known | self._left_out()]
        absent = [column.name for column in self.columns_ if column.name not in names]
        if absent:
            extra = (
                f" It has columns the model does not know: {listed(unknown)}." if unknown else ""
            )
            raise BadInput(
                f"{where} lacks columns the model was fitted to: {listed(absent)}.{extra} The "
                f"model needs {listed(c.name for c in self.columns_)}, in any order."
            )
        return unknown

    def to_json(self) -> dict[str, Any]:
        """Return the preparation as plain lists and mappings."""
        return {
            "inputs": [column.to_json() for column in self.columns_],
            "targets": list(names_of(self.targets)),
            "weight": self.weight,
            "dropped": list(names_of(self.drop)),
        }

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> Preparation:
        """Return what :meth:`to_json` described, in this version or an earlier one."""
        made = cls(
            targets=tuple(document["targets"]),
            weight=document["weight"],
            drop=tuple(document["dropped"]),
        )
        made.columns_ = tuple(map(Column.from_json, document["inputs"]))
        made.impute = any(column.fill is not None for column in made.columns_)
        made.notes_ = ()
        made.n_features_in_ = len(made.columns_)
        made.feature_names_in_ = np.array([c.name for c in made.columns_], dtype=object)
        return made

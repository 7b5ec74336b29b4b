"""What the command line does to compare two models on a table."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from rich.console import Console

from .._runtime.errors import BadInput, counted, listed
from ..evidence.split import checked_groups
from ..models.classifier import Classifier
from ..models.comparison import compared
from ..models.fitted import Fitted
from ..models.predictions import of_fitted, share_fitted_to, units_of
from ..models.verdicts import ModelComparison
from ..report.terminal import Screen
from ..tables import AbstractSource, Preparation, check_names, open_tables
from ..tables.columns import kind_of, missing, numbers, texts
from ..tables.targets import labels_of
from .tables import SIGNS, Outcome, read_model


def compare_models(
    paths: Sequence[Path],
    table: str,
    console: Console,
    *,
    level: float,
    weight: str | None,
    group: str | None,
    decimal: str | None,
    quiet: bool,
) -> Outcome:
    """Compare two models of the same target on the rows of a table.

    Raises
    ------
    BadInput
        For models of different targets or kinds, and tables that lack a column.
    """
    if not 0 < level < 1:
        raise BadInput(f"--level {level:g}: expected a number between 0 and 1, such as 0.05.")
    if Path(table).suffix == ".adabasis":
        raise BadInput(f"The table comes last: adabasis compare {table} {paths[1]} {paths[0]}")
    models = [read_model(path) for path in paths]
    preparations = [_preparation(model, path) for model, path in zip(models, paths, strict=True)]
    targets = _same_targets(models, preparations, paths)
    source = open_tables(table)
    for preparation in preparations:
        preparation.check(source.names, source.title)
    absent = [name for name in targets if name not in source.names]
    if absent:
        raise BadInput(
            f"{source.title} lacks {listed(absent)}, which the models predict: without it there is "
            "nothing to compare them by."
        )
    check_names(source.names, targets, weight, (), group)
    rows = _read(source, models[0], preparations, targets, [weight, group], SIGNS[decimal])
    view = Screen(console, quiet)
    truth, complete = _truth(rows, models[0], targets)
    lost = len(complete) - int(complete.sum())
    found = [
        of_fitted(model, preparation.matrix(rows)[0])
        for model, preparation in zip(models, preparations, strict=True)
    ]
    x = [preparation.matrix(rows)[0] for preparation in preparations]
    w = np.ones(len(x[0])) if weight is None else numbers(rows.column(weight))
    if not (np.isfinite(w) & (w >= 0)).all() or not w.any():
        raise BadInput(f"--weight '{weight}': expected finite numbers of at least 0, not all 0.")
    w = np.where(complete, w, 0.0)
    inside = w > 0
    groups = None if group is None else np.array([str(v) for v in rows.column(group).to_pylist()])
    try:
        units = units_of(
            np.hstack(x), w, checked_groups("--group", groups, len(w)), f"{source.title}"
        )
    except ValueError as error:
        raise BadInput(str(error)) from error
    digest = source.sha256()
    used = [
        1.0 if _was_fitted_to(model, digest) else share_fitted_to(model, one, inside)
        for model, one in zip(models, x, strict=True)
    ]
    result = compared(
        (found[0].at(inside), found[1].at(inside)),
        truth[inside],
        units,
        level=level,
        names=_names(paths),
        fitted_to=(used[0], used[1]),
        targets=targets,
    )
    _show(view, result, source, lost)
    extra = {"table": source.title, "target": list(targets), "rows_without_target": lost}
    return Outcome(result.to_json() | extra)


def _show(view: Screen, result: ModelComparison, source: AbstractSource, lost: int) -> None:
    for note in source.notes:
        view.line(f"  {note}", hang=2)
    if lost:
        view.line(f"  {counted(lost, 'row')} without a target left out", hang=2)
    for line in str(result).splitlines():
        view.line(line, hang=2)


def _preparation(model: Fitted, path: Path) -> Preparation:
    if model.record.preparation is None:
        raise BadInput(
            f"{path} was fitted from arrays, not from a table: use adabasis.compare in Python."
        )
    return Preparation.from_json(model.record.preparation)


def _same_targets(
    models: Sequence[Fitted], preparations: Sequence[Preparation], paths: Sequence[Path]
) -> list[str]:
    targets = [list(preparation.targets) for preparation in preparations]
    if sorted(targets[0]) != sorted(targets[1]) or targets[0] != targets[1]:
        said = [f"{path} predicts {listed(t)}" for path, t in zip(paths, targets, strict=True)]
        raise BadInput(f"{', '.join(said)}: compare models of the same target.")
    kinds = [isinstance(model, Classifier) for model in models]
    if kinds[0] != kinds[1]:
        said = [
            f"{path} predicts '{targets[0][0]}' as {'classes' if kind else 'a number'}"
            for path, kind in zip(paths, kinds, strict=True)
        ]
        raise BadInput(f"{', '.join(said)}: they have no error in common.")
    return targets[0]


def _read(
    source: AbstractSource,
    model: Fitted,
    preparations: Sequence[Preparation],
    targets: Sequence[str],
    others: Sequence[str | None],
    decimal: str | None,
) -> pa.Table:
    """Return the columns that are needed, read as the first model's table was."""
    source.decide(decimal, model.record.reading or {})
    types = {name: kind for one in preparations for name, kind in one.types.items()}
    for name in targets:
        if not isinstance(model, Classifier):
            types[name] = pa.float64()
        elif model.classes.dtype.kind in "UO":
            types[name] = pa.string()
    columns = [column.name for one in preparations for column in one.columns_]
    wanted = list(dict.fromkeys([*columns, *targets, *(name for name in others if name)]))
    if others[0]:
        types[others[0]] = pa.float64()
    batches = [batch for batch in source.batches(wanted, types) if batch.num_rows]
    if not batches:
        raise BadInput(f"{source.title} has column names but no rows: there is nothing to compare.")
    return pa.Table.from_batches([batch.cast(batches[0].schema) for batch in batches])


def _truth(rows: pa.Table, model: Fitted, targets: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
    """Return numbers (N, Q) or labels (N,), and which rows have them."""
    columns = [rows.column(name) for name in targets]
    complete = ~np.any([missing(column) for column in columns], axis=0)
    if not complete.any():
        raise BadInput(f"No row has {listed(targets)}: there is nothing to compare the models by.")
    if not isinstance(model, Classifier):
        for name, column in zip(targets, columns, strict=True):
            if kind_of(column.type) not in ("number", "bool"):
                raise BadInput(f"'{name}' holds {column.type} here, but numbers in training.")
        values = np.stack([numbers(column) for column in columns], axis=1)
        return np.where(complete[:, None], values, 0.0), complete
    if model.classes.dtype.kind in "UO":
        labels = np.array([str(entry) for entry in texts(columns[0]).to_pylist()])
        return labels, complete
    labels = np.empty(len(complete), dtype=model.classes.dtype)
    labels[~complete] = model.classes[0]
    labels[complete] = labels_of(columns[0].filter(pa.array(complete)))
    return labels, complete


def _was_fitted_to(model: Fitted, digest: str) -> bool:
    """Whether a model was made from this very file: all its rows were fitted in the end."""
    found: Any = (model.record.provenance or {}).get("table SHA-256")
    return found == digest


def _names(paths: Sequence[Path]) -> tuple[str, str]:
    """Return what to call two models: their files without suffix, or in full where these agree."""
    first, second = (path.stem for path in paths)
    if first != second:
        return first, second
    first, second = map(str, paths)
    return (first, second) if first != second else ("the first", "the second")

"""What the command line does to predict a table: values, bounds, and columns beside them."""

from __future__ import annotations

import itertools
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from rich.console import Console

from .._runtime.errors import BadInput, counted, listed
from .._runtime.progress import ProgressLine
from ..evidence.support import LOW
from ..report.terminal import Screen
from ..tables import AbstractSource, Preparation, divided, write_predictions
from ..tables.columns import kind_of, texts
from ..tables.numerals import Strays
from .tables import COUNTED, SIGNS, Outcome, open_tables, read_model, stem, writable
from .targets import checked_interval, predicted, predicted_columns

#: Words for columns to keep, where no column has such a name.
ALL, INPUTS = "all", "inputs"


def predict_table(
    model_path: Path,
    table: str,
    out: Path | None,
    force: bool,
    console: Console,
    *,
    quiet: bool,
    decimal: str | None = None,
    interval: float | None = None,
    keep: Sequence[str] = (),
) -> Outcome:
    """Predict every row of a table, batch by batch, beside the columns that are kept.

    Raises
    ------
    BadInput
        If the table's columns are not those fitted; nothing is written then.
    """
    path, _ = divided(table)
    if path.suffix == ".adabasis" and model_path.suffix != path.suffix:
        raise BadInput(f"The model comes first: adabasis predict {table} {model_path}")
    model = read_model(model_path)
    coverage = checked_interval(model, interval)
    if model.record.preparation is None:
        raise BadInput(
            f"{model_path} was fitted from arrays, not from a table: use adabasis.load in Python."
        )
    preparation = Preparation.from_json(model.record.preparation)
    source = open_tables(table)
    unused = preparation.check(source.names, source.title)
    out = writable(out or Path(f"{stem(table)}-predictions.csv"), "--out", force)
    fitted_to = model.record.reading or {}
    source.decide(SIGNS[decimal], fitted_to)
    columns = [column.name for column in preparation.columns_]
    kept = _kept(keep, source, columns)
    types = dict.fromkeys(kept, pa.string()) | preparation.types
    wanted = [*columns, *(name for name in kept if name not in columns)]
    view, counts = Screen(console, quiet), dict.fromkeys(COUNTED, 0)

    def count_strays(batch: pa.RecordBatch) -> None:
        """Count the entries that are no numbers, or refuse them where nothing fills them."""
        for column in preparation.columns_:
            found = Strays.told_by(batch.schema.field(column.name))
            if found and column.fill is None:
                raise BadInput(
                    f"Column '{column.name}', from row {found.row:,} on: entries that are no "
                    f"numbers ({found.shown}). Mend them, or fit again with --impute."
                )
            counts["strays"] += found.count if found else 0

    def blocks(
        batches: Iterable[pa.RecordBatch],
        types: Mapping[str, pa.DataType],
        line: ProgressLine | None,
    ) -> Iterator[tuple[list[Any], np.ndarray, np.ndarray]]:
        for batch in batches:
            if batch.num_rows:
                count_strays(batch)
                x, unseen = preparation.matrix(batch, counts["rows"])
                outside = model.outside(x) | unseen
                counts["rows"] += len(x)
                counts["outside"] += int(outside.sum())
                support = np.full(len(x), np.nan) if model.places is None else model.support(x)
                counts["unsupported"] += int(((support < LOW) & ~outside).sum())
                beside = [_as(batch.column(name), kind) for name, kind in types.items()]
                yield [*beside, *predicted(model, x, coverage)], outside, support
                if line:
                    line.show(f"predicting: {counted(counts['rows'], 'row')}")

    with view.working("predicting") as line, warnings.catch_warnings(record=True) as told:
        columns_of = predicted_columns(model, preparation.targets, coverage)
        batches = source.batches(wanted, types)
        first = list(itertools.islice(batches, 1)) if kept else []
        kept_types = {name: _type_of(first, name) for name in kept}
        beside = {_beside(name, columns_of): kind for name, kind in kept_types.items()}
        every = itertools.chain(first, batches)
        write_predictions(out, beside | columns_of, blocks(every, kept_types, line))
    view.line(f"{counted(counts['rows'], 'row')} predicted, in the order of {source.title}")
    for note in (*source.notes, *_other_units(source.units, fitted_to.get("units", {}))):
        view.line(f"  {note}", hang=2)
    for note in dict.fromkeys(str(warning.message) for warning in told):
        said = f"--interval {interval:g}: {note.partition('): ')[2]}" if interval else note
        view.line(f"  Careful: {said}", hang=2)
    if counts["strays"]:
        entries = counted(
            counts["strays"], "entry that is no number", "entries that are no numbers"
        )
        view.line(f"  {entries}: filled as in training", hang=2)
    if interval is not None and model.error_model is not None:
        view.line(f"  intervals: {model.error_model.scores.told(interval / 100)}", hang=2)
    unused = [name for name in unused if name not in kept]
    if unused:
        view.line(f"  columns not used: {listed(unused)}", hang=2)
    if counts["outside"]:
        view.line(
            f"  Careful: {counted(counts['outside'], 'row')} outside the range of the training "
            "data, marked in the column 'outside'. The model extrapolates there.",
            hang=2,
        )
    if counts["unsupported"]:
        view.line(
            f"  Careful: {counted(counts['unsupported'], 'row')} inside that range but far from "
            "all training rows: see the column 'support'. The model guesses there.",
            hang=2,
        )
    view.command(f"Written: {out}")
    return Outcome({**counts, "written": [str(out)], "unused_columns": unused})


def _other_units(found: Mapping[str, str], fitted_to: Mapping[str, str]) -> Iterator[str]:
    for name, unit in found.items():
        if fitted_to.get(name, unit) != unit:
            yield f"Careful: '{name}' is in {unit} here, but was in {fitted_to[name]} in training."


def _kept(keep: Sequence[str], source: AbstractSource, inputs: Sequence[str]) -> list[str]:
    """Return the names of the columns to keep beside predictions, each once, in the order asked.

    Raises
    ------
    BadInput
        For names of no column.
    """
    found: list[str] = []
    for name in keep:
        if name in source.names:
            found.append(name)
        elif name == ALL:
            found += source.names
        elif name == INPUTS:
            found += inputs
        else:
            raise BadInput(
                f"--keep {name}: {source.title} has no such column. Its columns are "
                f"{listed(source.names, 40)}; '{INPUTS}' keeps those the model uses, '{ALL}' all."
            )
    return list(dict.fromkeys(found))


def _type_of(first: Sequence[pa.RecordBatch], name: str) -> pa.DataType:
    """Return the type that a kept column is written as: text as it stands, other kinds as read."""
    kind = first[0].column(name).type if first else pa.string()
    return pa.string() if kind_of(kind) in ("text", "other") else kind


def _as(values: pa.Array, kind: pa.DataType) -> pa.Array:
    if kind == pa.string():
        return texts(values) if kind_of(values.type) != "other" else _shown(values)
    return values if values.type == kind else pc.cast(values, kind)


def _shown(values: pa.Array) -> pa.Array:
    """Return lists and the like as Python writes them."""
    return pa.array([None if v is None else str(v) for v in values.to_pylist()], pa.string())


def _beside(name: str, predicted: Mapping[str, Any]) -> str:
    """Return what a kept column is called: a target that the table holds is marked as given."""
    return f"{name} (given)" if name in predicted else name

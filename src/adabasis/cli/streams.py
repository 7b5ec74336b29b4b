"""Tables of many rows: fitted chunk by chunk, in memory that does not grow with them."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.console import Console

from .. import report
from .. import rows as sources
from .._runtime.errors import BadInput, counted
from ..classification.api import classify
from ..models.fitted import Fitted
from ..pou.api import fit_pounet
from ..regression.api import fit
from ..report import terminal as screen
from ..report.origin import verdict_of, with_origin
from ..report.terminal import Screen
from ..selection.prepared import SEARCH_ROWS
from ..tables import AbstractSource, TableRows, open_tables
from ..tables.columns import kind_of
from ..tables.file_set import FilesSource, files_of
from ..tables.table_rows import rows_of_files
from ..train import StopReason
from . import tables
from .options import FitOptions
from .tables import SIGNS, Outcome
from .targets import of_model, transforms

#: Rows, or bytes where rows are not counted in the file, from which a table is read chunk by chunk.
MANY_ROWS, MANY_BYTES = 1_000_000, 2**28
#: Rows held out that are drawn in the report.
DRAWN_ROWS = 5000


def fit_table(table: str, options: FitOptions, command: Sequence[str], console: Console) -> Outcome:
    """Fit a table: in memory, or chunk by chunk where it is large.

    Parameters
    ----------
    table : str
        A file, a folder or a pattern (:func:`adabasis.tables.open_tables`).
    options : FitOptions
    command : sequence of str
        What was typed, for the record.
    console : Console

    Raises
    ------
    BadInput
        Before anything is written.
    KeyboardInterrupt
        On Ctrl-C before there is anything to keep.
    """
    options.check()
    source = open_tables(table)
    if not options.stream and not _large(source):
        return tables.fit_table(table, options, command, console)
    _check(options)
    tables.check_columns(source, options)
    out, page = tables.to_write(table, options)
    view = Screen(console, options.quiet or options.as_json)
    files = source if isinstance(source, FilesSource) else FilesSource(files_of(table), table)
    given = _opened(files, options, view)
    data = given.found.data
    asked = options.asked("validation") | options.effort | transforms(data, options)
    asked["holdout"] = options.holdout or None
    with view.working("choosing among functions as drawn") as line:
        try:
            model = _fitted(given, options, {**asked, "callbacks": [line] if line else []})
        except ValueError as error:
            raise BadInput(str(error)) from error
    interrupted = model.stop_reason is StopReason.INTERRUPTED
    with view.working("computing the digest of the files"):
        read_as = f"{files.kind}.", *given.notes
        solved = f"solved chunk by chunk with {counted(given.n_rows, 'row')}"
        provenance = tables.provenance_of(files, read_as, given.n_rows, solved, options, command)
    verdict = None if interrupted else verdict_of(model)
    reading = files.files[0].reading()
    model = with_origin(model, given.preparation, verdict, provenance, reading)

    def draw(to: Path) -> None:
        evidence = _evidence(model, given, options)
        report.write(to, model, evidence=evidence, verdict=verdict, provenance=provenance)

    notes = [*data.notes, *model.notes]
    return tables.finished(view, model, out, page, draw, interrupted, options.holdout, notes)


def _large(source: AbstractSource) -> bool:
    """Whether a table has so many rows that it is read chunk by chunk."""
    files = source.files if isinstance(source, FilesSource) else [source]
    counts = [count for file in files for count, _ in file.pieces(MANY_ROWS)]
    if None not in counts:
        return sum(count for count in counts if count) > MANY_ROWS
    return sum(os.path.getsize(file.path) for file in files) > MANY_BYTES


def _check(options: FitOptions) -> None:
    """Refuse what needs all rows at once.

    Raises
    ------
    BadInput
    """
    asked = {
        "--loss": bool(options.losses),
        "--tol": options.tol is not None,
        "--holdout last": options.holdout == "last",
    }
    wrong = [option for option, given in asked.items() if given]
    if wrong:
        raise BadInput(
            f"{', '.join(wrong)}: not where a table is read chunk by chunk (more than "
            f"{MANY_ROWS:,} rows, or --stream). Leave it out, or fit a part of the rows."
        )


def _opened(files: FilesSource, options: FitOptions, view: Screen) -> TableRows:
    with view.working(f"reading {files.title}"):
        found = rows_of_files(
            files,
            options.target,
            weight=options.weight,
            group=options.group,
            drop=options.drop,
            encode=options.encode,
            impute=options.impute,
            categorical=options.categorical,
            numeric=options.numeric,
            decimal=SIGNS[options.decimal],
            classify=_of_classes(files, options),
        )
    sample = f"How columns become numbers is told by {counted(len(found.found.data.x), 'row')}."
    shown = dataclasses.replace(found.found.data, notes=(sample, *found.found.data.notes))
    screen.table_read(view, files.title, files.kind, len(files.names), shown, found.n_rows)
    return found


def _fitted(given: TableRows, options: FitOptions, asked: dict[str, Any]) -> Fitted:
    """Fit rows by ``--model``.

    Raises
    ------
    BadInput, ValueError
    """
    of_classes = given.classes is not None
    if options.model == "pounet":
        if of_classes:
            raise BadInput(
                f"--model pounet fits numbers, and {options.target[0]!r} holds classes. Leave "
                "--model out."
            )
        return fit_pounet(given, **(options.asked("n_partitions", "degree") | asked))
    n_rows = min(given.n_rows, SEARCH_ROWS)
    how = of_model(options.model, of_classes, n_rows, given.n_inputs)
    return (classify if of_classes else fit)(given, **how, **asked)


def _of_classes(files: FilesSource, options: FitOptions) -> bool:
    """Whether the target is one of classes: text, true and false, or numbers where asked."""
    kinds = [kind_of(files.types[name]) for name in options.target]
    return options.classify or bool({"text", "bool"} & {*kinds})


def _evidence(model: Fitted, given: TableRows, options: FitOptions) -> report.Evidence | None:
    """Return some of the rows that were held out of everything."""
    if not isinstance(options.holdout, float) or not options.holdout:
        return None
    split = sources.Split(0.0, options.holdout, options.random_state)
    found = sources.summary(given, [(split, DRAWN_ROWS)], options.random_state)[1][0].sample
    if found is None:
        return None
    label = f"{counted(len(found.keys), 'row')} of those the model had not seen"
    truth = found.rows.y if given.classes is None else given.classes[found.rows.y[:, 0].astype(int)]
    return report.Evidence.of(model, found.rows.x, truth, label)

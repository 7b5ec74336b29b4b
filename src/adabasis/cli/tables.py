"""What the command line does: fit a table, predict one, describe a model."""

from __future__ import annotations

import dataclasses
import datetime
import glob
import math
import os
import platform
import re
import shlex
import tempfile
from collections.abc import Callable, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console

from .. import report
from .._runtime.errors import BadInput, counted, listed
from ..evidence.split import split
from ..evidence.verdict import FEWEST_COMPARED
from ..geometry.maps import Coordinates
from ..models.classifier import Classifier
from ..models.files import ModelFileError
from ..models.fitted import Fitted
from ..models.loading import load
from ..pou.api import fit_pounet
from ..regression.tolerance import settled
from ..report import terminal as screen
from ..report.importance import found_for
from ..report.origin import verdict_of, with_origin
from ..report.terminal import Screen
from ..selection.holdout import claimed, kind_of
from ..tables import (
    AbstractSource,
    TrainingData,
    check_names,
    divided,
    learn,
    open_tables,
)
from ..train import StopReason
from .options import FitOptions
from .targets import (
    descended,
    fitted,
    in_table_rows,
    judged,
    recalibrated,
    refitted,
    rows_of,
    transforms,
    truth,
)

PACKAGES = ("adabasis", "jax", "numpy", "scipy")


@dataclasses.dataclass(frozen=True)
class Outcome:
    """What a command did: a JSON document, and whether Ctrl-C cut it short."""

    document: dict[str, Any]
    interrupted: bool = False


COUNTED = ("rows", "strays", "outside", "unsupported")
SIGNS = {"point": ".", "comma": ",", None: None}


def stem(table: str) -> str:
    """Return a table's name without its suffixes: ``wells`` for ``wells.csv.gz``.

    Of a pattern what it says: ``part`` for ``part-*.parquet``. Of a folder its name, also where it
    is said as ``.`` or ``..``.
    """
    path, _ = divided(table)
    if path.is_dir():
        return path.resolve().name or "table"
    if not path.exists() and glob.has_magic(path.name):
        names = [part.partition(".")[0] for part in reversed(path.parts)]
        said = [re.sub(r"\[.*?\]|[*?]", "", name).strip("-_ ") for name in names]
        return next(filter(None, said), "table")
    packed = path.suffix.lower() in (".gz", ".bz2", ".zst")
    return Path(path.stem).stem if packed else path.stem


def writable(path: Path, option: str, force: bool) -> Path:
    """Return ``path`` if a file can be written there, or say why not, before any work.

    Raises
    ------
    BadInput
    """
    if path.is_dir():
        raise BadInput(f"{option} {path}: this is a folder; name a file.")
    if path.exists() and not force:
        raise BadInput(f"{path} exists already. Overwrite it with --force, or choose {option}.")
    try:
        with tempfile.TemporaryFile(dir=path.parent):
            pass
    except OSError as error:
        raise BadInput(
            f"{option} {path}: cannot write there ({error.strerror}). Choose another folder."
        ) from error
    return path


def fit_table(table: str, options: FitOptions, command: Sequence[str], console: Console) -> Outcome:
    """Fit a table, judge the model on held-out rows, solve again with all, write what is asked for.

    Parameters
    ----------
    table : str
        A file, and what in it is meant (:func:`adabasis.tables.open_tables`).
    options : FitOptions
    command : sequence of str
        What was typed, for the record.
    console : Console
        For what a person reads.

    Raises
    ------
    BadInput
        Before anything is written.
    KeyboardInterrupt
        On Ctrl-C before there is anything to keep.
    """
    # What a person would mend first comes first: the table, its columns, the files to write.
    options.check()
    source = open_tables(table)
    check_columns(source, options)
    out, page = to_write(table, options)
    view = Screen(console, options.quiet or options.as_json)
    data = _read(source, options, view)
    transformed = transforms(data, options)
    turning = Coordinates.with_periods(data.x.shape[1], (transformed["periodic"] or {}).items())
    places = data.places if turning is None else turning.wrapped(data.places)
    rows = split(places, options.holdout, options.random_state, data.groups)
    data = data.known_from(rows[0])
    model = _fitted(options, data, rows[0], transformed, view)
    interrupted = model.stop_reason is StopReason.INTERRUPTED
    verdict = evidence = joint = None
    try:
        if not interrupted and len(rows[1]):
            with view.working("comparing with other models"):
                verdict = judged(model, data, rows, kind_of(options.holdout, data.groups))
            label = f"{counted(len(rows[1]), 'row')} the model had not seen"
            seen = data.x[rows[1]], truth(data)[rows[1]]
            evidence = report.Evidence.of(model, *seen, label, rows[1] + 1)
        elif not interrupted and options.holdout != 0 and len(data.x) >= FEWEST_COMPARED:
            verdict = verdict_of(model)  # each row left out in turn
        if page and not interrupted:
            with view.working("training by joint descent, to compare"):
                joint = descended(model, data, rows[0])
        if not interrupted:
            before = model
            with view.working("solving again with all rows"):
                model = refitted(model, data)
            if verdict is not None and model.record.outliers:
                verdict = verdict.blaming_outliers()
            if verdict and len(rows[1]):
                model = recalibrated(claimed(model, verdict), before, data, rows[1])
    except KeyboardInterrupt:
        interrupted = True
    solved = (
        "of the rows not held out: interrupted"
        if interrupted
        else f"solved again with all {counted(len(data.x), 'row')} after the verdict"
    )
    read_as = f"{source}.", *source.notes
    provenance = provenance_of(source, read_as, len(data.x), solved, options, command)
    provenance["assumed"] = list(data.notes)
    model = settled(in_table_rows(model, data))
    model = with_origin(model, data.preparation, verdict, provenance, source.reading())

    def draw(to: Path) -> None:
        report.write(
            to, model, evidence=evidence, joint=joint, verdict=verdict, provenance=provenance
        )

    notes = [*data.notes, *model.notes]
    return finished(view, model, out, page, draw, interrupted, options.holdout, notes)


def to_write(table: str, options: FitOptions) -> tuple[Path, Path | None]:
    """Return the files of the model and of the report that a fit writes.

    Raises
    ------
    BadInput
        Where one cannot be written, or both have one name.
    """
    out = writable(options.out or Path(f"{stem(table)}.adabasis"), "--out", options.force)
    page = None if options.no_report else options.report or Path(f"{stem(table)}.html")
    if page and out.resolve() == writable(page, "--report", options.force).resolve():
        raise BadInput(f"--out and --report both name {out}: choose two names.")
    return out, page


def provenance_of(
    source: AbstractSource,
    read_as: Sequence[str],
    n_rows: int,
    solved: str,
    options: FitOptions,
    command: Sequence[str],
) -> dict[str, Any]:
    """Return where a model comes from: what was typed, the table, its digest, versions.

    Parameters
    ----------
    source : AbstractSource
    read_as : sequence of str
        How the table was read.
    n_rows : int
    solved : str
        What the coefficients were solved from.
    options : FitOptions
    command : sequence of str
    """
    return {
        "command": shlex.join(["adabasis", *command]),
        "table": source.title,
        "table read as": " ".join(read_as),
        "table SHA-256": source.sha256(),
        "rows": n_rows,
        "held out": options.holdout,
        "coefficients": solved,
        "seed": options.random_state,
        "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "versions": ", ".join(f"{name} {version(name)}" for name in PACKAGES)
        + f", Python {platform.python_version()}",
    }


def finished(
    view: Screen,
    model: Fitted,
    out: Path,
    page: Path | None,
    draw: Callable[[Path], None],
    interrupted: bool,
    holdout: float | str,
    notes: Sequence[str],
) -> Outcome:
    """Write a model and its report, and say so. Ctrl-C ends the report alone.

    Parameters
    ----------
    view : Screen
    model : Fitted
    out, page : Path
        Their files; no report without a page.
    draw : callable
        Writes the report to a file.
    interrupted : bool
        Whether the fit was: there is no report then.
    holdout : float or str
    notes : sequence of str
        What was assumed and noticed.
    """
    model.save(out)
    screen.fit_done(view, model, interrupted, holdout)
    written = [out]
    if page and not interrupted:
        try:
            with view.working("drawing the report"):
                draw(page)
            written.append(page)
        except KeyboardInterrupt:
            interrupted = True
    screen.fit_written(view, *written)
    if page and interrupted:
        view.line(f"No report: interrupted{'; an older one stays' * page.exists()}.")
    document = summary(model) | {
        "written": [str(path) for path in written],
        "interrupted": interrupted,
        "notes": list(notes),
    }
    return Outcome(document, interrupted)


def check_columns(source: AbstractSource, options: FitOptions) -> None:
    """Refuse columns that a table does not have.

    Raises
    ------
    BadInput
    """
    if not options.target:
        raise BadInput(
            f"Which column is to be predicted? Name it with --target. The columns of "
            f"{source.title}: {listed(source.names, 40)}."
        )
    check_names(source.names, options.target, options.weight, options.drop, options.group)


def _read(source: AbstractSource, options: FitOptions, view: Screen) -> TrainingData:
    with view.working(f"reading {source.title}"):
        data = learn(
            source.read(SIGNS[options.decimal], options.drop, encode=options.encode),
            options.target,
            weight=options.weight,
            group=options.group,
            drop=options.drop,
            encode=options.encode,
            impute=options.impute,
            classify=options.classify,
            categorical=options.categorical,
            numeric=options.numeric,
        )
    units = [f"{name} in {unit}" for name, unit in source.units.items()]
    notes = [*source.notes, *([f"Units: {', '.join(units)}."] if units else []), *data.notes]
    data = dataclasses.replace(data, notes=tuple(notes))
    if options.model == "pounet" and data.labels is not None:
        raise BadInput(
            f"--model pounet fits numbers, and {options.target[0]!r} holds classes. "
            "Leave --model out."
        )
    if options.losses and data.labels is not None:
        raise BadInput(
            f"--loss is of numbers, and {options.target[0]!r} holds classes. Leave --loss, "
            "--robust and --quantile out."
        )
    screen.table_read(view, source.title, str(source), len(source.names), data)
    return data


def _fitted(
    options: FitOptions,
    data: TrainingData,
    kept: np.ndarray,
    transformed: dict[str, Any],
    view: Screen,
) -> Fitted:
    asked = options.asked("validation") | options.losses | transformed | options.effort
    if options.model != "pounet":
        with view.working("choosing among functions as drawn") as line:
            return fitted(data, kept, options.model, {**asked, "callbacks": [line] if line else []})
    asked |= options.asked("n_partitions", "degree")
    with view.working("looking for pieces") as line:
        try:
            return fit_pounet(**rows_of(data, kept), **asked, callbacks=[line] if line else [])
        except ValueError as error:
            raise BadInput(str(error)) from error


def summary(model: Fitted) -> dict[str, Any]:
    """Return what a model is, as plain values."""
    record, error = model.record, model.validation_error
    return {
        "basis": repr(model.basis),
        "functions": len(model.coefficients),
        "rank": model.rank,
        "status": model.status.name,
        "stop_reason": model.stop_reason.name,
        "validation_error": error if math.isfinite(error) else None,
        "validation_range": [end if math.isfinite(end) else None for end in model.validation_range],
        "validation_kind": model.validation_kind,
        "inputs": list(record.input_names),
        "targets": list(record.output_names),
        "classes": model.classes.tolist() if isinstance(model, Classifier) else None,
        "reliability": _reliability(model),
        "verdict": record.verdict,
        "reading": record.reading,
        "provenance": record.provenance,
        "timings": record.timings and record.timings.to_json(),
        "tolerance": record.tolerance and record.tolerance.to_json(),
        "trust": None if model.error_model is None else model.trust.to_json(),
        "candidates": list(model.candidates),
    }


def _reliability(model: Fitted) -> dict[str, Any] | None:
    found = model.reliability if isinstance(model, Classifier) else None
    return None if found is None else dataclasses.asdict(found)


def read_model(path: Path) -> Fitted:
    """Read a model file.

    Raises
    ------
    BadInput
        If there is no such file, or it is damaged.
    """
    try:
        return load(path)
    except (FileNotFoundError, IsADirectoryError) as error:
        raise BadInput(f"{path}: no such model file.") from error
    except ModelFileError as error:
        reason = str(error).removeprefix(f"load({os.fspath(path)!r}): ")
        raise BadInput(f"{path}: {reason}") from error


def show_model(path: Path, console: Console, *, quiet: bool = False) -> Outcome:
    """Say what a model file is and how it was made."""
    model = read_model(path)
    found = found_for(model)
    screen.model_shown(Screen(console, quiet), path.name, model, found)
    return Outcome(summary(model) | {"importance": found and found.to_json()})

"""What the command line does: fit a table, predict one, describe a model."""

from __future__ import annotations

import dataclasses
import datetime
import math
import os
import platform
import shlex
import tempfile
from collections.abc import Iterator, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console

from .. import report
from .._runtime.errors import BadInput, counted, listed
from .._runtime.progress import ProgressLine
from ..basis import FrozenFeatures
from ..evidence.verdict import Verdict, split
from ..models.classifier import Classifier
from ..models.fitted import Fitted, load
from ..models.storage import ModelFileError
from ..pou.api import fit_pounet
from ..report import terminal as screen
from ..report.terminal import Screen
from ..tables import AbstractSource, Preparation, TrainingData, learn, open_table, write_predictions
from ..train import History, StopReason
from .targets import (
    default_bases,
    descended,
    fitted,
    judged,
    predicted,
    predicted_columns,
    refitted,
)

MODELS = ("auto", "network", "frozen", "pounet")
PACKAGES = ("adabasis", "jax", "numpy", "scipy")


@dataclasses.dataclass(frozen=True)
class FitJob:
    """The arguments of ``adabasis fit``."""

    table: Path
    targets: tuple[str, ...]
    model: str = "auto"
    weight: str | None = None
    drop: tuple[str, ...] = ()
    encode: bool = False
    impute: bool = False
    classify: bool = False
    holdout: float = 0.2
    seed: int = 0
    max_seconds: float = math.inf
    out: Path | None = None
    report: Path | None = None
    no_report: bool = False
    force: bool = False
    command: Sequence[str] = ()
    pieces: int | None = None
    degree: int | None = None

    def check(self) -> None:
        """Refuse arguments that cannot be meant."""
        if self.model not in MODELS:
            raise BadInput(f"--model {self.model}: expected {listed(MODELS)}.")
        for option, number, least in (("pieces", self.pieces, 1), ("degree", self.degree, 0)):
            if number is not None and self.model != "pounet":
                raise BadInput(f"--{option} {number}: only with --model pounet.")
            if number is not None and number < least:
                raise BadInput(f"--{option} {number}: expected at least {least}.")
        if not 0 <= self.holdout < 1:
            raise BadInput(f"--holdout {self.holdout:g}: expected a share from 0 to below 1.")
        if not self.max_seconds > 0:
            raise BadInput(f"--max-seconds {self.max_seconds:g}: expected a positive number.")
        if self.seed < 0:
            raise BadInput(f"--seed {self.seed}: expected a whole number of at least 0.")
        if self.report and self.no_report:
            raise BadInput(f"--no-report and --report {self.report} exclude each other.")


@dataclasses.dataclass(frozen=True)
class Outcome:
    """What a command did: a JSON document, and whether Ctrl-C cut it short."""

    document: dict[str, Any]
    interrupted: bool = False


def stem(path: Path) -> str:
    """Return a table's name without its suffixes: ``wells`` for ``wells.csv.gz``."""
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


def fit_table(job: FitJob, console: Console, *, quiet: bool = False) -> Outcome:
    """Fit a table, judge the model on held-out rows, solve again with all, write what is asked for.

    Parameters
    ----------
    job : FitJob
    console : Console
        For what a person reads.
    quiet : bool
        Say nothing but errors.

    Raises
    ------
    BadInput
        Before anything is written.
    KeyboardInterrupt
        On Ctrl-C before there is anything to keep.
    """
    job.check()
    out = writable(job.out or Path(f"{stem(job.table)}.adabasis"), "--out", job.force)
    page = None if job.no_report else job.report or Path(f"{stem(job.table)}.html")
    if page and out.resolve() == writable(page, "--report", job.force).resolve():
        raise BadInput(f"--out and --report both name {out}: choose two names.")
    view = Screen(console, quiet)
    source, data = _read(job, view)
    rows = split(data.x, job.holdout, job.seed)
    model = _fitted(job, data, rows[0], view)
    interrupted = model.stop_reason is StopReason.INTERRUPTED
    verdict = evidence = joint = None
    try:
        if not interrupted and len(rows[1]):
            with view.working("comparing with other models"):
                verdict = judged(model, data, rows)
            label = f"{counted(len(rows[1]), 'row')} the model had not seen"
            truth = data.y if data.labels is None else data.labels
            evidence = report.Evidence.of(model, data.x[rows[1]], truth[rows[1]], label)
        if page and not interrupted:
            with view.working("training by joint descent, to compare"):
                joint = descended(model, data, rows[0])
        if not interrupted:
            with view.working("solving again with all rows"):
                model = refitted(model, data)
    except KeyboardInterrupt:
        interrupted = True
    provenance = _provenance(job, source.sha256(), len(data.x), interrupted)
    model = _labelled(model, data.preparation, verdict, provenance)
    model.save(out)
    screen.fit_done(view, model, verdict, interrupted, job.holdout)
    written = [out]
    if page and not interrupted:
        interrupted = not _reported(page, view, model, evidence, joint)
        written += [] if interrupted else [page]
    screen.fit_written(view, *written)
    if page and interrupted:
        view.line(f"No report: interrupted{'; an older one stays' * page.exists()}.")
    document = _summary(model) | {
        "written": [str(path) for path in written],
        "interrupted": interrupted,
        "notes": [*data.notes, *model.notes],
    }
    return Outcome(document, interrupted)


def _read(job: FitJob, view: Screen) -> tuple[AbstractSource, TrainingData]:
    source = open_table(job.table)
    if not job.targets:
        raise BadInput(
            f"Which column is to be predicted? Name it with --target. The columns of "
            f"{job.table.name}: {listed(source.names, 40)}."
        )
    with view.working(f"reading {job.table.name}"):
        data = learn(
            source.read(),
            job.targets,
            weight=job.weight,
            drop=job.drop,
            encode=job.encode,
            impute=job.impute,
            classify=job.classify,
        )
    if job.model == "pounet" and data.labels is not None:
        raise BadInput(
            f"--model pounet fits numbers, and {job.targets[0]!r} holds classes. Leave --model out."
        )
    screen.table_read(view, job.table, str(source), len(source.names), data)
    return source, data


def _reported(
    page: Path,
    view: Screen,
    model: Fitted,
    evidence: report.Evidence | None,
    joint: History | None,
) -> bool:
    """Write the report; Ctrl-C leaves it out."""
    verdict = model.record.verdict
    try:
        with view.working("drawing the report"):
            report.write(
                page,
                model,
                evidence=evidence,
                joint=joint,
                verdict=None if verdict is None else Verdict.from_json(verdict),
                provenance=model.record.provenance,
            )
    except KeyboardInterrupt:
        return False
    return True


def _fitted(job: FitJob, data: TrainingData, kept: np.ndarray, view: Screen) -> Fitted:
    frozen = job.model == "frozen"
    options: dict[str, Any] = {
        "sample_weight": None if data.weight is None else data.weight[kept],
        "max_seconds": job.max_seconds,
        "random_state": job.seed,
    }
    if job.model == "pounet":
        with view.working("looking for pieces") as line:
            x, y, watching = data.x[kept], data.y[kept], [line] if line else []
            asked = {"n_partitions": job.pieces, "degree": job.degree}
            options |= {name: number for name, number in asked.items() if number is not None}
            try:
                return fit_pounet(x, y, **options, callbacks=watching)
            except ValueError as error:
                raise BadInput(str(error)) from error
    options["method"] = "frozen" if frozen else "auto"
    bases = default_bases(data, len(kept)) if job.model != "auto" else []
    bases = [basis for basis in bases if isinstance(basis, FrozenFeatures) == frozen]
    with view.working("choosing among functions as drawn") as line:
        options["callbacks"] = [line] if line else []
        return fitted(data, kept, bases or None, options)


def _labelled(
    model: Fitted, preparation: Preparation, verdict: Verdict | None, provenance: dict[str, Any]
) -> Fitted:
    record = dataclasses.replace(
        model.record,
        input_names=tuple(preparation.features),
        output_names=tuple(preparation.targets),
        preparation=preparation.to_json(),
        verdict=None if verdict is None else verdict.to_json(),
        provenance=provenance,
    )
    return dataclasses.replace(model, record=record)


def _provenance(job: FitJob, digest: str, n_rows: int, interrupted: bool) -> dict[str, Any]:
    now = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
    return {
        "command": shlex.join(["adabasis", *job.command]),
        "table": job.table.name,
        "table SHA-256": digest,
        "rows": n_rows,
        "held out": job.holdout,
        "coefficients": (
            "of the rows not held out: interrupted"
            if interrupted
            else f"solved again with all {counted(n_rows, 'row')} after the verdict"
        ),
        "seed": job.seed,
        "date": now,
        "versions": ", ".join(f"{name} {version(name)}" for name in PACKAGES)
        + f", Python {platform.python_version()}",
    }


def _summary(model: Fitted) -> dict[str, Any]:
    return {
        "basis": repr(model.basis),
        "functions": len(model.coefficients),
        "rank": model.rank,
        "status": model.status.name,
        "stop_reason": model.stop_reason.name,
        "validation_error": (
            model.validation_error if math.isfinite(model.validation_error) else None
        ),
        "validation_kind": model.validation_kind,
        "inputs": list(model.record.input_names),
        "targets": list(model.record.output_names),
        "classes": model.classes.tolist() if isinstance(model, Classifier) else None,
        "verdict": model.record.verdict,
        "provenance": model.record.provenance,
    }


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


def predict_table(
    model_path: Path, table: Path, out: Path | None, force: bool, console: Console, *, quiet: bool
) -> Outcome:
    """Predict every row of a table, batch by batch.

    Raises
    ------
    BadInput
        If the table's columns are not those fitted; nothing is written then.
    """
    out = writable(out or Path(f"{stem(table)}-predictions.csv"), "--out", force)
    if table.suffix == ".adabasis" and model_path.suffix != table.suffix:
        raise BadInput(f"The model comes first: adabasis predict {table} {model_path}")
    model = read_model(model_path)
    if model.record.preparation is None:
        raise BadInput(
            f"{model_path} was fitted from arrays, not from a table: use adabasis.load in Python."
        )
    preparation = Preparation.from_json(model.record.preparation)
    source = open_table(table)
    unused = preparation.check(source.names, table.name)
    columns = [column.name for column in preparation.inputs]
    view, counts = Screen(console, quiet), {"rows": 0, "outside": 0}

    def blocks(line: ProgressLine | None) -> Iterator[tuple[list[np.ndarray], np.ndarray]]:
        for batch in source.batches(columns, preparation.types):
            if batch.num_rows:
                x, unseen = preparation.matrix(batch, counts["rows"])
                outside = model.outside(x) | unseen
                counts["rows"] += len(x)
                counts["outside"] += int(outside.sum())
                yield predicted(model, x), outside
                if line:
                    line.show(f"predicting: {counted(counts['rows'], 'row')}")

    with view.working("predicting") as line:
        write_predictions(out, predicted_columns(model, preparation.targets), blocks(line))
    view.line(f"{counted(counts['rows'], 'row')} predicted, in the order of {table.name}")
    if unused:
        view.line(f"  columns not used: {listed(unused)}", hang=2)
    if counts["outside"]:
        view.line(
            f"  Careful: {counted(counts['outside'], 'row')} outside the range of the training "
            "data, marked in the column 'outside'. The model extrapolates there.",
            hang=2,
        )
    view.command(f"Written: {out}")
    return Outcome({**counts, "written": [str(out)], "unused_columns": unused})


def show_model(path: Path, console: Console, *, quiet: bool = False) -> Outcome:
    """Say what a model file is and how it was made."""
    model = read_model(path)
    screen.model_shown(Screen(console, quiet), path.name, model)
    return Outcome(_summary(model))

"""What the command line does: fit a table, predict one, describe a model."""

from __future__ import annotations

import dataclasses
import datetime
import math
import platform
import shlex
import tempfile
from collections.abc import Iterator, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from rich import box
from rich.console import Console
from rich.table import Table

from . import report, select
from .basis import FrozenFeatures
from .errors import BadInput, counted, listed
from .fitted import Fitted, load
from .fitting import fit, refit
from .progress import ProgressLine
from .tables import Preparation, TrainingData, learn, open_table, write_predictions
from .train import StopReason
from .verdict import Verdict, judge, split

MODELS = ("auto", "network", "frozen")
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
    holdout: float = 0.2
    seed: int = 0
    max_seconds: float = math.inf
    out: Path | None = None
    report: Path | None = None
    force: bool = False
    command: Sequence[str] = ()

    def check(self) -> None:
        """Refuse arguments that cannot be meant."""
        if self.model not in MODELS:
            raise BadInput(f"--model {self.model}: expected {listed(MODELS)}.")
        if not 0 <= self.holdout < 1:
            raise BadInput(f"--holdout {self.holdout:g}: expected a share from 0 to below 1.")
        if not self.max_seconds > 0:
            raise BadInput(f"--max-seconds {self.max_seconds:g}: expected a positive number.")
        if self.seed < 0:
            raise BadInput(f"--seed {self.seed}: expected a whole number of at least 0.")


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
    """Fit a table, judge the model on held-out rows, solve again with all, write both files.

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
    page = writable(job.report or Path(f"{stem(job.table)}.html"), "--report", job.force)
    if out.resolve() == page.resolve():
        raise BadInput(f"--out and --report both name {out}: choose two names.")
    source = open_table(job.table)
    data = learn(
        source.read(),
        job.targets,
        weight=job.weight,
        drop=job.drop,
        encode=job.encode,
        impute=job.impute,
    )
    say = _Speaker(console, quiet)
    _describe_table(say, job.table, str(source), data)
    rows = split(data.x, job.holdout, job.seed)
    model = _fitted(job, data, rows[0], console, quiet)
    interrupted = model.stop_reason is StopReason.INTERRUPTED
    verdict = evidence = None
    try:
        if not interrupted and len(rows[1]):
            verdict = judge(model, data.x, data.y, data.weight, rows)
            label = f"{counted(len(rows[1]), 'row')} the model had not seen"
            evidence = report.Evidence.of(model, data.x[rows[1]], data.y[rows[1]], label)
        if not interrupted:
            model = refit(model, data.x, data.y, sample_weight=data.weight)
    except KeyboardInterrupt:
        interrupted = True
    provenance = _provenance(job, source.sha256(), len(data.x), interrupted)
    model = _labelled(model, data.preparation, verdict, provenance)
    model.save(out)
    written = [out]
    if not interrupted:
        report.write(page, model, evidence=evidence, verdict=verdict, provenance=provenance)
        written.append(page)
    _describe_fit(say, model, verdict, interrupted, job.holdout)
    say.line(f"Written: {' and '.join(map(str, written))}")
    document = _summary(model) | {
        "written": [str(path) for path in written],
        "interrupted": interrupted,
        "notes": [*data.notes, *model.notes],
    }
    return Outcome(document, interrupted)


def _fitted(
    job: FitJob, data: TrainingData, kept: np.ndarray, console: Console, quiet: bool
) -> Fitted:
    n_rows, n_inputs = len(kept), data.x.shape[1]
    bases = select.default_bases(n_rows, n_inputs) if job.model != "auto" else []
    frozen = job.model == "frozen"
    bases = [basis for basis in bases if isinstance(basis, FrozenFeatures) == frozen]
    y = data.y[kept]
    options: dict[str, Any] = {
        "sample_weight": None if data.weight is None else data.weight[kept],
        "max_seconds": job.max_seconds,
        "random_state": job.seed,
        "method": "frozen" if frozen else "auto",
    }
    if quiet:
        return fit(bases or None, data.x[kept], y, **options)
    with ProgressLine(None, Console(stderr=True)) as line:
        return fit(bases or None, data.x[kept], y, **options, callbacks=[line])


def _labelled(
    model: Fitted, preparation: Preparation, verdict: Verdict | None, provenance: dict[str, Any]
) -> Fitted:
    settings = {
        **model.settings,
        "input_names": preparation.features,
        "output_names": list(preparation.targets),
        "preparation": preparation.to_json(),
        "verdict": None if verdict is None else verdict.to_json(),
        "provenance": provenance,
    }
    return dataclasses.replace(model, settings=settings)


def _provenance(job: FitJob, digest: str, n_rows: int, interrupted: bool) -> dict[str, Any]:
    now = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
    return {
        "command": shlex.join(["adabasis", *job.command]),
        "table": job.table.name,
        "SHA-256 of the table": digest,
        "rows": n_rows,
        "held out": job.holdout,
        "coefficients": (
            "of the rows not held out: interrupted" if interrupted else "solved again with all rows"
        ),
        "seed": job.seed,
        "date": now,
        "versions": ", ".join(f"{name} {version(name)}" for name in PACKAGES)
        + f", Python {platform.python_version()}",
    }


class _Speaker:
    """Prints for a person, or not at all."""

    def __init__(self, console: Console, quiet: bool) -> None:
        self.console, self.quiet = console, quiet

    def line(self, text: Any = "") -> None:
        if not self.quiet:
            self.console.print(text, highlight=False, markup=False)


def _describe_table(say: _Speaker, path: Path, kind: str, data: TrainingData) -> None:
    columns = data.preparation.inputs
    n_inputs = data.x.shape[1]
    say.line(f"{path.name} ({kind}): {counted(len(data.x), 'row')}, {counted(n_inputs, 'input')}")
    kinds = {"number": "numbers", "bool": "true/false", "text": "categories"}
    for kind_name, words in kinds.items():
        names = [column.name for column in columns if column.kind == kind_name]
        if names:
            say.line(f"  {words}: {listed(names)}")
    say.line(f"  to predict: {listed(data.preparation.targets)}")
    for note in data.notes:
        say.line(f"  {note}")


def verdict_table(verdict: Verdict, targets: Sequence[str]) -> Table:
    """Return the scores as a table of at most 80 columns."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False)
    table.add_column(f"on {counted(verdict.rows_held_out, 'held-out row')}")
    table.add_column("relative error", justify="right")
    shown = list(targets[:2])
    for name in shown:
        short = name if len(name) <= 20 else name[:19] + "…"
        table.add_column(f"RMSE of {short}", justify="right")
    for score in verdict.scores:
        relative = f"{score.relative:.2g}" if math.isfinite(score.relative) else "–"
        table.add_row(score.name, relative, *(f"{e:.3g}" for e in score.rmse[: len(shown)]))
    return table


def _describe_fit(
    say: _Speaker, model: Fitted, verdict: Verdict | None, interrupted: bool, holdout: float
) -> None:
    say.line()
    if verdict is not None:
        say.line(verdict_table(verdict, model.settings["output_names"]))
        say.line()
        say.line(f"Verdict: {verdict.sentence}")
        for advice in verdict.advice:
            say.line(f"  {advice}")
    elif interrupted:
        say.line("Interrupted: the best model so far is kept, not judged.")
    elif holdout == 0:
        say.line("No verdict: --holdout 0 kept no rows aside to judge the model by.")
    else:
        say.line("No verdict: too few distinct rows to hold some out. Trust this with care.")
    for note in model.notes:
        say.line(f"  {note}")
    functions = len(model.coefficients)
    say.line(f"Model:   {select.describe(model.basis)}; rank {model.rank} of {functions}")
    if functions > model.settings["n_rows"]:
        say.line("         fewer rows than functions: regularised, the smallest solution taken")
    say.line(f"Stopped: {model.stop_reason}")
    if not interrupted:
        rows = counted(model.settings["n_rows"], "row")
        say.line(f"The written model's coefficients were then solved again with all {rows}.")


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
        "inputs": model.settings.get("input_names"),
        "targets": model.settings.get("output_names"),
        "verdict": model.settings.get("verdict"),
        "provenance": model.settings.get("provenance"),
    }


def read_model(path: Path) -> Fitted:
    """Read a model file.

    Raises
    ------
    BadInput
        If there is no such file; a damaged one raises ModelFileError.
    """
    try:
        return load(path)
    except (FileNotFoundError, IsADirectoryError) as error:
        raise BadInput(f"{path}: no such model file.") from error


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
    model = read_model(model_path)
    if "preparation" not in model.settings:
        raise BadInput(
            f"{model_path} was fitted from arrays, not from a table: use adabasis.load in Python."
        )
    preparation = Preparation.from_json(model.settings["preparation"])
    source = open_table(table)
    unused = preparation.check(source.names, table.name)
    columns = [column.name for column in preparation.inputs]
    counts = {"rows": 0, "outside": 0}

    def blocks() -> Iterator[tuple[np.ndarray, np.ndarray]]:
        for batch in source.batches(columns, preparation.types):
            if batch.num_rows:
                x, unseen = preparation.matrix(batch, counts["rows"])
                outside = model.outside(x) | unseen
                counts["rows"] += len(x)
                counts["outside"] += int(outside.sum())
                yield model(x).reshape(len(x), -1), outside

    write_predictions(out, preparation.targets, blocks())
    say = _Speaker(console, quiet)
    say.line(f"{counted(counts['rows'], 'row')} predicted: {out}")
    if unused:
        say.line(f"  columns not used: {listed(unused)}")
    if counts["outside"]:
        say.line(
            f"  Careful: {counted(counts['outside'], 'row')} outside the range of the training "
            "data, marked in the column 'outside'. The model extrapolates there."
        )
    return Outcome({**counts, "written": [str(out)], "unused_columns": unused})


def show_model(path: Path, console: Console, *, quiet: bool = False) -> Outcome:
    """Say what a model file is and how it was made."""
    model = read_model(path)
    say, settings = _Speaker(console, quiet), model.settings
    say.line(f"{path.name}: {select.describe(model.basis)}")
    say.line(f"  {counted(len(model.coefficients), 'function')}, rank {model.rank}")
    inputs = settings.get("input_names") or [f"x{i + 1}" for i in range(model.n_inputs)]
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False)
    for head in ("input", "fitted from", "to"):
        table.add_column(head, justify="left" if head == "input" else "right")
    for name, (low, high) in list(zip(inputs, model.box, strict=True))[:30]:
        table.add_row(name, f"{low:.6g}", f"{high:.6g}")
    say.line(table)
    say.line(f"Predicts: {listed(settings.get('output_names') or ['y'])}")
    say.line(f"Stopped:  {model.stop_reason}")
    if math.isfinite(model.validation_error):
        say.line(f"Error:    {model.validation_error:.2g} relative ({model.validation_kind})")
    if settings.get("verdict"):
        verdict = Verdict.from_json(settings["verdict"])
        say.line()
        say.line(verdict_table(verdict, settings["output_names"]))
        say.line(f"Verdict: {verdict.sentence}")
    for note in model.notes:
        say.line(note)
    if settings.get("provenance"):
        say.line()
        for key, value in settings["provenance"].items():
            say.line(f"{key}: {value}")
    return Outcome(_summary(model))

"""What the command line prints for a person: at most 80 columns, the verdict in plain words."""

from __future__ import annotations

import contextlib
import math
import shlex
import textwrap
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table

from .._runtime.errors import counted, listed, significant
from .._runtime.progress import ProgressLine
from ..evidence.verdict import Verdict
from ..lstsq import Status
from ..models.classifier import Classifier
from ..models.fitted import Fitted
from ..models.importance import Importance
from ..models.trust import noise_in_words
from ..tables import TrainingData
from .importance import lines_of
from .origin import ASSUMED, verdict_of
from .words import in_words

MOST_INPUTS = 30
KINDS = {
    "number": "numbers",
    "bool": "true/false",
    "text": "categories",
    "code": "numbers that are codes",
    "ordered": "ordered categories",
    "date": "dates",
    "time": "times of day",
    "duration": "durations",
}


class Screen:
    """Prints for a person, or not at all."""

    def __init__(self, console: Console, quiet: bool = False) -> None:
        self.console, self.quiet = console, quiet

    def line(self, text: Any = "", hang: int = 0) -> None:
        """Print a table as it is, or text: wrapped, later lines indented by ``hang`` more."""
        if self.quiet:
            return
        if isinstance(text, str):
            indent = len(text) - len(text.lstrip()) + hang
            text = textwrap.fill(
                text,
                self.console.width,
                subsequent_indent=" " * indent,
                break_long_words=False,
                break_on_hyphens=False,
            )
        self.console.print(text, highlight=False, markup=False, soft_wrap=isinstance(text, str))

    def text(self, text: str) -> None:
        """Print several lines, wrapped where they are too long."""
        if not self.quiet:
            self.console.print(text, highlight=False, markup=False)

    def command(self, text: str) -> None:
        """Print a line to be copied: never wrapped."""
        if not self.quiet:
            self.console.print(text, highlight=False, markup=False, soft_wrap=True)

    @contextlib.contextmanager
    def working(self, what: str) -> Iterator[ProgressLine | None]:
        """Show on standard error that something is going on."""
        if self.quiet:
            yield None
            return
        with ProgressLine(None, Console(stderr=True), what) as line:
            yield line


def table_read(
    screen: Screen,
    title: str,
    kind: str,
    columns: int,
    data: TrainingData,
    n_rows: int | None = None,
) -> None:
    """Say what was read: rows, of which the data may be some, columns, types."""
    preparation = data.preparation
    n_rows = len(data.x) if n_rows is None else n_rows
    screen.line(f"{title}: {kind}")
    screen.line(f"  {counted(n_rows, 'row')}, {counted(columns, 'column')}")
    parts = {
        words: [c.name for c in preparation.columns_ if c.kind == kind_name]
        for kind_name, words in KINDS.items()
    }
    parts["to predict"] = list(preparation.targets)
    parts["weights"] = [preparation.weight] if preparation.weight is not None else []
    parts["left out"] = list(preparation.drop)
    for words, names in parts.items():
        if names:
            screen.line(f"  {words}: {listed(names)}", hang=2)
    for note in data.notes:
        screen.line(f"  {note}", hang=2)


def scores(verdict: Verdict, targets: Sequence[str]) -> Table:
    """Return the scores as a table of at most 80 columns."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False)
    table.add_column(f"on {counted(verdict.rows_held_out, 'held-out row')}")
    table.add_column("wrong labels" if verdict.of_classes else "relative error", justify="right")
    shown = list(targets[:2])
    if verdict.of_classes:
        table.add_column("cross-entropy", justify="right")
        for score in verdict.scores:
            wrong = f"{significant(100 * score.relative, 2)} %"
            table.add_row(score.name, wrong, *map(significant, score.rmse))
        return table
    for name in shown:
        short = name if len(name) <= 20 else name[:19] + "…"
        table.add_column(f"RMSE of {short}", justify="right")
    for score in verdict.scores:
        relative = significant(score.relative, 2) if math.isfinite(score.relative) else "–"
        table.add_row(score.name, relative, *(significant(e) for e in score.rmse[: len(shown)]))
    return table


def judged(screen: Screen, verdict: Verdict, targets: Sequence[str]) -> None:
    """Show the scores and what they mean."""
    if all(score.rmse for score in verdict.scores):
        screen.line(scores(verdict, targets))
        if not verdict.of_classes:
            screen.line("relative error: RMSE over the standard deviation of the target")
        screen.line()
    screen.line(f"Verdict: {verdict.sentence}", hang=9)
    for advice in verdict.advice:
        screen.line(f"  {advice}", hang=2)


def fit_done(screen: Screen, model: Fitted, interrupted: bool, holdout: float | str) -> None:
    """Say how good the model is, what it is, and what was done last."""
    verdict, n_rows = verdict_of(model), model.record.n_rows or 0
    screen.line()
    if verdict is not None:
        judged(screen, verdict, model.record.output_names)
        noise = noise_in_words(model, verdict.scores[0].relative)
        if noise:
            screen.line(f"  {noise}", hang=2)
    elif interrupted:
        screen.line("Interrupted: the best model so far is kept, not judged.")
    elif holdout == 0:
        screen.line("No verdict: --holdout 0 kept no rows aside to judge the model by.")
    else:
        screen.line(
            f"No verdict: {counted(n_rows, 'row')}, too few distinct rows to hold some out. "
            "Nothing shows whether the model is right anywhere else: collect more rows before you "
            "trust it.",
            hang=12,
        )
    if model.record.tolerance:
        screen.line(f"{model.record.tolerance}")
    for note in model.notes:
        if note != Status.UNDERDETERMINED.advice:  # said below, in words of the command line
            screen.line(f"  {note}", hang=2)
    functions = len(model.coefficients)
    screen.line(f"Model:   {in_words(model.basis)}; rank {model.rank} of {functions}", hang=9)
    if functions > n_rows:
        screen.line("         fewer rows than functions: regularised, the smallest solution taken")
    screen.line(f"Stopped: {model.stop_reason}")
    if verdict is not None and not interrupted:
        rows = counted(n_rows, "row")
        screen.line(f"Refitted: the coefficients were then solved again with all {rows}.")


def fit_written(screen: Screen, out: Path, page: Path | None = None) -> None:
    """Say where everything is and how to go on."""
    screen.command(f"Written: {out}" + (f" and {page}" if page else ""))
    screen.command(f"Next:    adabasis predict {shlex.quote(str(out))} NEW_TABLE")


def model_shown(screen: Screen, name: str, model: Fitted, found: Importance | None = None) -> None:
    """Say what a model is, how it was made, and what its columns do."""
    record, verdict = model.record, verdict_of(model)
    screen.line(f"{name}: {in_words(model.basis)}", hang=2)
    screen.line(f"  {counted(len(model.coefficients), 'function')}, rank {model.rank}")
    inputs = record.input_names or [f"x{i + 1}" for i in range(model.n_inputs)]
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False)
    for head in ("input", "fitted from", "to"):
        table.add_column(head, justify="left" if head == "input" else "right")
    for input_name, ends in list(zip(inputs, model.box, strict=True))[:MOST_INPUTS]:
        table.add_row(input_name, *(significant(float(end), 6) for end in ends))
    screen.line(table)
    if len(inputs) > MOST_INPUTS:
        screen.line(f"  and {len(inputs) - MOST_INPUTS} more")
    classes = f": {listed(model.classes.tolist())}" if isinstance(model, Classifier) else ""
    screen.line(f"Predicts: {listed(record.output_names or ('y',))}{classes}", hang=2)
    screen.line(f"Stopped:  {model.stop_reason}")
    if model.timings:
        screen.line(f"Time:     {model.timings}", hang=10)
    if math.isfinite(model.validation_error):
        of = "of the frequencies' cross-entropy" if isinstance(model, Classifier) else "relative"
        error = f"{model.validation_error:.2g} {of} ({model.validation_kind})"
        screen.line(f"Error:    {error}", hang=10)
    if isinstance(model, Classifier) and model.reliability:
        screen.line(f"Labels:   {model.reliability}", hang=2)
    if found is not None:
        screen.line()
        screen.line(lines_of(found))
        screen.line(f"Shares over {found.over}; {found.how}.")
        for doubt in found.notes:
            screen.line(f"  {doubt}", hang=2)
    if verdict is not None:
        screen.line()
        judged(screen, verdict, record.output_names)
    for note in (*filter(None, [record.tolerance]), *model.notes):
        screen.line(f"  {note}", hang=2)
    if model.error_model is not None:
        screen.line()
        screen.line("How far to trust it:")
        for name, words in model.trust.rows():
            screen.line(f"  {name + ':':<19}{words}", hang=19)
    if record.provenance:
        screen.line()
        for key, value in record.provenance.items():
            if key != ASSUMED:
                screen.line(f"{key}: {value}", hang=2)
        for assumed in record.provenance.get(ASSUMED, ()):
            screen.line(f"assumed: {assumed}", hang=2)

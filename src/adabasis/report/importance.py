"""What a report, and a terminal, say of what each input does."""

from __future__ import annotations

import warnings
from collections.abc import Iterator

from rich import box
from rich.table import Table as Lines

from .. import plots
from .._runtime.errors import counted
from ..models.classifier import Classifier
from ..models.columns import columns_of
from ..models.fitted import Fitted
from ..models.importance import KNOWN_ROWS, Importance, importance
from .sections import Block, Evidence, Picture, Subject, Text, section

#: Evaluations of the function for a page or a terminal: shares of variance to about a hundredth.
SHOWN = 2**15
#: Rows from which columns are taken as they are distributed there, and not evenly over the box.
MANY = 100
#: Columns and letters of a bar in a terminal.
MOST_LINES, LETTERS = 20, 24


def found_for(model: Fitted, evidence: Evidence | None = None) -> Importance | None:
    """Return what the columns of a model do; ``None`` for one column, and of equations."""
    if model.solved_from == "an equation" or len(columns_of(model)) < 2:
        return None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # the notes say it
        if evidence is None:
            return importance(model, n_evaluations=SHOWN)
        x, y = evidence.x, evidence.y
        if isinstance(model, Classifier):
            known = y.sum(axis=1) > 0
            x, y = x[known], model.classes[y[known].argmax(axis=1)]
        if len(x) < 2:
            return importance(model, n_evaluations=SHOWN)
        over = "data" if len(x) >= MANY else "box"
        return importance(model, x, y, over=over, n_evaluations=SHOWN)


@section(Fitted, "What each input does", before="Measured and predicted")
def _importance(subject: Subject) -> Iterator[Block]:
    found = found_for(subject.model, subject.evidence)
    if found is None:
        return
    caption = (
        "Left: share of the variance of the values that would be left were all other columns known "
        f"(total Sobol index), over {found.over}; darker: what the column does by itself."
    )
    alt = ", ".join(f"{one.name} {one.total:.2g}" for one in found.ranked[:5])
    if found.n_rows:
        caption += (
            f" Right: what the error of {counted(found.n_rows, 'row')} grows by where the column "
            "is permuted, over the variance of the values (of classes: cross-entropy over that of "
            "their frequencies)."
        )
    caption += f" Lines: {100 * found.coverage:.0f} % ranges."
    yield Picture(plots.importance(found), caption, f"Shares of the variance: {alt}.")
    # The rows of a verdict were not seen, though the coefficients are solved again with them.
    told = [note for note in found.notes if note != KNOWN_ROWS or subject.verdict is None]
    for note in told:
        yield Text(note)


def lines_of(found: Importance) -> Lines:
    """Return a table of total indices with bars, for a terminal of 80 columns."""
    table = Lines(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False)
    table.add_column("column")
    table.add_column("share of the variance", justify="right")
    table.add_column("range", justify="right")
    table.add_column("")
    for one in found.ranked[:MOST_LINES]:
        low, high = one.total_range
        name = one.name if len(one.name) <= 24 else one.name[:23] + "…"
        ends = f"{low:.2f} to {high:.2f}" if high - low > 0.005 else ""
        table.add_row(name, f"{one.total:.2f}", ends, "█" * round(LETTERS * one.total))
    return table

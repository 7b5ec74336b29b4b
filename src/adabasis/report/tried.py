"""What a report says of the search: the candidates, their errors, and which was taken."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from .. import plots
from ..models.fitted import Fitted
from .sections import Block, Picture, Subject, Table, number, section

MOST_CANDIDATES = 20


@section(Fitted, "What was tried", before="What was assumed")
def _candidates(subject: Subject) -> Iterator[Block]:
    tried = subject.model.candidates
    errors = ("validation_error", "loo_error")
    known = [c for c in tried if any(c[name] is not None for name in errors)]
    if len(known) > 1:
        yield Picture(
            plots.candidates(subject.model),
            f"{_measured(subject)} {_taken(known)}",
            f"Errors of {len(known)} candidates, best first.",
        )
    if len(tried) > 1:
        caption = "Candidates, best first"
        if len(tried) > MOST_CANDIDATES:
            caption += f": {MOST_CANDIDATES} of {len(tried)}"
        rows = [
            (str(i), c["what"], *(number(c[name]) for name in errors), str(c["steps"]))
            for i, c in enumerate(tried[:MOST_CANDIDATES], 1)
        ]
        solved = subject.model.solved_from == "an equation"
        judged = "residual on fresh points" if solved else "held-out error"
        head = ("rank", "candidate", judged, "leave-one-out error", "steps")
        yield Table(caption, head, rows, folded=True)


def _measured(subject: Subject) -> str:
    """Say what the dots of candidates are."""
    if subject.model.solved_from == "an equation":
        return "Relative residuals of the candidates, on points that no solve has seen."
    return "Relative errors of the candidates, on rows that they were not fitted to."


def _taken(known: Sequence[Mapping[str, Any]]) -> str:
    """Say which candidate was taken, and why where another has a smaller error."""
    best = [min(c[n] for n in ("validation_error", "loo_error") if c[n] is not None) for c in known]
    if best[0] <= min(best):
        return "The circle marks the candidate that was taken."
    if "mean of" in known[0]["what"]:
        return (
            "The circle marks the candidate that was taken, a mean of models. Its error here is "
            "that of its members; the mean has a smaller one."
        )
    return (
        "The circle marks the candidate that was taken. Others with smaller errors are ahead by no "
        "more than chance, and are less simple or were judged on fewer rows."
    )

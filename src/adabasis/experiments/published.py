"""Published numbers beside ours: what the papers' figures show, and a verdict on each."""

from __future__ import annotations

import dataclasses
import textwrap
from collections.abc import Iterable, Iterator, Mapping

import numpy as np

from .registry import Record

TOLERANCE = 0.3
"""Decades within which two numbers agree; the published ones are read off figures, ±0.1."""
WIDTH = 80
"""Columns of what is printed: those of a terminal, and of a page on paper."""
FAILED = -1.0
"""A mean above it counts as failed training of sin 2πx: a straight line already has −0.4."""


@dataclasses.dataclass(frozen=True)
class Claim:
    """One published number: log10 of a mean squared error.

    Attributes
    ----------
    value : float or None
        ``None`` where the figure shows that training fails.
    size : int
        Steps that it was published for.
    reason : str
        Why ours differs, where it does.
    least : float, optional
        Where a figure shows a range for several runs and not which is whose: its lower end;
        ``value`` is its upper one.
    """

    value: float | None
    size: int
    reason: str = ""
    least: float | None = None

    def __str__(self) -> str:
        if self.value is None:
            return "fails"
        return str(self.value) + ("" if self.least is None else f" to {self.least}")

    def excess(self, mean: float) -> float:
        """Return by how many decades a mean is above what is claimed, negative if below."""
        assert self.value is not None
        least = self.value if self.least is None else self.least
        return mean - min(max(mean, least), self.value)


def compared(claims: Mapping[str, Claim], ours: Mapping[str, Record]) -> Record:
    """Return our numbers with the published ones beside them, and a verdict in words on each.

    Parameters
    ----------
    claims : mapping of what is measured to its claim
    ours : mapping of the same to records
        ``last``, the values of all seeds, ``best``, the best of every run, and ``steps``. What
        nobody has claimed anything about is listed, too.

    Returns
    -------
    record
        ``compared``, a list of records; ``verdict``, a list of lines to print: first how many of
        the comparisons agree.
    """
    rows = [_judged(what, claims.get(what), found) for what, found in ours.items()]
    return {"compared": rows, "verdict": [*counted_verdicts(rows), *_lines(rows)]}


def counted_verdicts(rows: Iterable[Record]) -> Iterator[str]:
    """Yield how many numbers stand beside a published one, and how many of them agree.

    Examples
    --------
    >>> from adabasis.experiments.published import counted_verdicts
    >>> print(*counted_verdicts([{"verdict": "agrees"}, {"verdict": "better"}, {"verdict": ""}]))
    Of 2 comparisons with published numbers 1 agrees, 1 is better here, 0 are worse.
    """
    judged = [row["verdict"] for row in rows if row["verdict"]]
    if not judged:
        return
    agree = sum(verdict in ("agrees", "fails, as published") for verdict in judged)
    better = sum(verdict in ("better", "does not fail") for verdict in judged)
    worse = sum(verdict == "worse" for verdict in judged)
    open_ = len(judged) - agree - better - worse
    said = [
        f"{agree} {'agrees' if agree == 1 else 'agree'}",
        f"{better} {'is' if better == 1 else 'are'} better here",
        f"{worse} {'is' if worse == 1 else 'are'} worse",
        *([f"{open_} had fewer steps than published"] if open_ else []),
    ]
    yield f"Of {len(judged)} comparisons with published numbers {', '.join(said)}."


def folded(lines: Iterable[str]) -> list[str]:
    """Return lines of at most :data:`WIDTH` columns; what goes on is indented by four more.

    Examples
    --------
    >>> from adabasis.experiments.published import folded
    >>> [len(line) for line in folded(["  " + 20 * "four "])]
    [76, 31]
    """
    found: list[str] = []
    for line in lines:
        indent = line[: len(line) - len(line.lstrip())]
        found += [line] if len(line) <= WIDTH else textwrap.wrap(
            line, WIDTH, subsequent_indent=indent + 4 * " ",
            break_long_words=False, break_on_hyphens=False,
        )  # fmt: skip
    return found


def _judged(what: str, claim: Claim | None, found: Record) -> Record:
    values, steps = found["last"], found["steps"]
    mean = float(np.mean(values))
    row = {
        "what": what,
        "mean": mean,
        "deviation": float(np.std(values)),
        "best": float(np.mean(found["best"])),
        "seeds": len(values),
        "verdict": "",
        "reason": "",
    }
    if claim is None:
        return row
    row |= {"published": str(claim)}
    verdict = _verdict(claim, mean)
    if steps < claim.size and verdict != "better":
        return row | {"verdict": f"{steps:,} of {claim.size:,} steps: no verdict"}
    deviates = verdict in ("better", "worse", "does not fail")
    return row | {"verdict": verdict, "reason": claim.reason if deviates else ""}


def _verdict(claim: Claim, mean: float) -> str:
    if claim.value is None:
        return "fails, as published" if mean > FAILED else "does not fail"
    excess = claim.excess(mean)
    if abs(excess) <= TOLERANCE:
        return "agrees"
    return "better" if excess < 0 else "worse"


def _lines(rows: Iterable[Record]) -> Iterator[str]:
    for row in rows:
        seeds = f"{row['seeds']} seed" + "s" * (row["seeds"] > 1)
        line = f"{row['what']}: {row['mean']:.2f} ± {row['deviation']:.2f} ({seeds}"
        if row["best"] < row["mean"] - TOLERANCE:
            line += f", best iterates {row['best']:.2f}"
        line += ")"
        if row["verdict"]:
            line += f"; published {row['published']}: {row['verdict']}"
        yield line
        if row["reason"]:
            yield from textwrap.wrap(row["reason"], WIDTH, initial_indent="    ",
                                     subsequent_indent="    ")  # fmt: skip

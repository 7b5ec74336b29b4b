"""Published numbers beside ours: what the papers' figures show, and a verdict on each."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping

import numpy as np

from .registry import Record

TOLERANCE = 0.3
"""Decades within which two numbers agree; the published ones are read off figures, ±0.1."""
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
    """

    value: float | None
    size: int
    reason: str = ""


def compared(claims: Mapping[str, Claim], ours: Mapping[str, tuple[list[float], int]]) -> Record:
    """Return the published numbers beside ours, with a verdict in words on each.

    Parameters
    ----------
    claims : mapping of what is measured to its claim
    ours : mapping of the same to the values of all seeds, and the steps that they took

    Returns
    -------
    record
        ``compared``, a list of records; ``verdict``, a list of lines to print.
    """
    rows = [_judged(what, claims[what], *ours[what]) for what in claims if what in ours]
    return {"compared": rows, "verdict": list(_lines(rows))}


def _judged(what: str, claim: Claim, values: list[float], steps: int) -> Record:
    mean, deviation = float(np.mean(values)), float(np.std(values))
    verdict = _verdict(claim, mean)
    if steps < claim.size and verdict != "better":
        verdict = f"{steps:,} of {claim.size:,} steps: no verdict"
    return {
        "what": what,
        "published": claim.value,
        "mean": mean,
        "deviation": deviation,
        "seeds": len(values),
        "verdict": verdict,
        "reason": claim.reason if verdict in ("better", "worse", "does not fail") else "",
    }


def _verdict(claim: Claim, mean: float) -> str:
    if claim.value is None:
        return "fails, as published" if mean > FAILED else "does not fail"
    if abs(mean - claim.value) <= TOLERANCE:
        return "agrees"
    return "better" if mean < claim.value else "worse"


def _lines(rows: Iterable[Record]) -> Iterable[str]:
    for row in rows:
        published = "fails" if row["published"] is None else f"{row['published']:.1f}"
        yield (
            f"{row['what']}: {row['mean']:.2f} ± {row['deviation']:.2f} "
            f"({row['seeds']} seeds; published {published}): {row['verdict']}"
        )
        if row["reason"]:
            yield f"    {row['reason']}"

"""Tables for people."""

from __future__ import annotations

import itertools
import math

from rich.console import Console
from rich.table import Table

from .records import Row, Spread
from .session import Session

COLUMNS = ("error", "× error", "run s", "× time", "compile s", "CPU s", "× CPU", "steps")


def show(console: Console, session: Session) -> None:
    """Print a case's rows, its bars and what the columns mean."""
    if session.skipped:
        console.print(f"{session.case.name}: skipped: {session.skipped}", soft_wrap=True)
        return
    if session.rows:
        console.print(table(session))
    for v in session.verdicts:
        word = "met" if v.met else "MISSED"
        what = f"{v.group}, {v.method}, {v.quantity}"
        console.print(f"bar: {what} {v.value:.3g} ≤ {v.limit:.3g}: {word}", highlight=False)
    cut = ", interrupted: the rows are what was measured until then" if session.interrupted else ""
    console.print(f"{session.seconds:.0f} s in all{cut}", highlight=False)


def table(session: Session) -> Table:
    """Return the rows as a table, a section for each group."""
    case = session.case
    built = Table(
        title=f"{case.name}: {case.summary}",
        caption=f"error: {case.error}; × to {case.reference}, pair by pair; medians",
    )
    built.add_column("", no_wrap=True)
    for name in COLUMNS:
        built.add_column(name, justify="right", no_wrap=True)
    built.add_column("status")
    for group, rows in itertools.groupby(
        sorted(session.rows, key=lambda row: _order(session, row)), key=lambda row: row.group
    ):
        built.add_section()
        built.add_row(f"[bold]{group}")
        for row in rows:
            built.add_row(row.method, *cells(row, case.reference), row.status)
    return built


def _order(session: Session, row: Row) -> int:
    return [m.group for m in session.measurements].index(row.group)


def cells(row: Row, reference: str) -> list[str]:
    """Return the numbers of a row as text, in the order of :data:`COLUMNS`."""
    is_reference = row.method == reference
    low, high = row.quartiles
    spread = f" ({low:.2f}–{high:.2f})" if row.runs > 3 and not is_reference else ""
    return [
        _spread(row.error),
        "" if is_reference else _number(row.error_ratio),
        _number(row.seconds),
        "" if is_reference else _number(row.time_ratio) + spread,
        _number(row.compile_seconds),
        _number(row.cpu_seconds),
        "" if is_reference else _number(row.cpu_ratio),
        "" if row.steps is None else f"{row.steps}",
    ]


def _spread(error: Spread | None) -> str:
    if error is None:
        return ""
    ends = f" ({error.least:.2g}–{error.most:.2g})" if error.least != error.most else ""
    return f"{_number(error.median)}{ends}"


def _number(value: float) -> str:
    if math.isnan(value):
        return ""
    return f"{value:.3g}" if value < 1e4 else f"{value:.1e}"

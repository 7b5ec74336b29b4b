"""Dates, times of day and durations as numbers: what runs on, and what comes round."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from .._runtime.errors import BadInput

MICROSECONDS = {"day": 86_400_000_000, "week": 7 * 86_400_000_000, "year": 31_556_952_000_000}
"""A day, a week, and the mean year of the calendar."""
ROUNDS = 2.0
"""Periods that the data must span: what came round once may as well be a trend."""
STEPS = 2.0
"""Steps between neighbours that a period must hold to be seen at all (Nyquist)."""
_PLAIN = pa.timestamp("us")
_MONDAY = 4 * 86_400_000_000
"""The first Monday after 1 January 1970."""


@dataclasses.dataclass(frozen=True)
class Clock:
    """How a column of dates or times becomes numbers.

    A date becomes days since ``start``; beside it stand the cosine and sine of every period, with
    the phase by the calendar and the clock of the column's own zone. A time of day becomes hours,
    or cosine and sine alone where the times go round midnight; a duration becomes days.

    Attributes
    ----------
    start : int
        Microseconds since 1970 (in UTC, if there is a zone) of the first date; 0 of times of day
        and durations.
    zone : str or None
        Of dates that have one.
    periods : tuple of {"year", "week", "day"}
    order : str
        How dates are written as text, see :class:`adabasis.tables.calendars.Written`.
    """

    start: int = 0
    zone: str | None = None
    periods: tuple[str, ...] = ()
    order: str = ""

    def names(self, name: str, kind: str) -> list[str]:
        """Return the names of the numbers that a column becomes."""
        round_ = [f"{name} ({f} of {period})" for period in self.periods for f in ("cos", "sin")]
        if kind == "date":
            first = _local(np.array([self.start]), self.zone).view("M8[us]").astype("M8[D]")[0]
            return [f"{name} (days since {first})", *round_]
        return round_ or [f"{name} ({'hours' if kind == 'time' else 'days'})"]

    def numbers(self, at: np.ndarray, kind: str) -> np.ndarray:
        """Return what :func:`instants` gives of a column, (N,), as the numbers (N, k)."""
        parts = []
        for period in self.periods:
            angle = 2 * np.pi * phases(at, period, self.zone)
            parts += [np.cos(angle), np.sin(angle)]
        if kind == "date":
            parts.insert(0, (at - self.start) / MICROSECONDS["day"])
        elif not parts:
            parts = [at / MICROSECONDS["day"] * (24 if kind == "time" else 1)]
        return np.stack(parts, axis=1)


def kind_of_time(type_: pa.DataType) -> str:
    """Return "date", "time" or "duration" for a temporal type."""
    if pa.types.is_time(type_):
        return "time"
    return "duration" if pa.types.is_duration(type_) else "date"


def zone_of(type_: pa.DataType) -> str | None:
    """Return the time zone of a type, if it has one."""
    return type_.tz if pa.types.is_timestamp(type_) else None


def instants(values: Any) -> tuple[np.ndarray, np.ndarray]:
    """Return a column as microseconds since 1970 (times: midnight), and which are missing."""
    kind, type_ = kind_of_time(values.type), values.type
    gap = values.is_null().to_numpy(zero_copy_only=False)
    if kind == "time":
        values = pc.cast(values, pa.time64("us"), safe=False)
    elif kind == "duration":
        values = pc.cast(values, pa.duration("us"), safe=False)
    else:
        values = pc.cast(values, pa.timestamp("us", zone_of(type_)), safe=False)
    whole = pc.fill_null(pc.cast(values, pa.int64()), 0)
    return whole.to_numpy(zero_copy_only=False), gap


def phases(at: np.ndarray, period: str, zone: str | None = None) -> np.ndarray:
    """Return how far into its day, week or year each instant lies, from 0 to 1."""
    at = _local(at, zone)
    if period == "year":
        year = at.view("M8[us]").astype("M8[Y]")
        first, last = (y.astype("M8[us]").view(np.int64) for y in (year, year + 1))
        return (at - first) / (last - first)
    length = MICROSECONDS[period]
    return ((at - _MONDAY * (period == "week")) % length) / length


def _local(at: np.ndarray, zone: str | None) -> np.ndarray:
    """Return what clocks in the zone show at instants, as microseconds since 1970 there."""
    if zone is None:
        return at
    instant = pc.cast(pa.array(at), pa.timestamp("us", zone))
    return pc.cast(pc.local_timestamp(instant), pa.int64()).to_numpy()


def learn_clock(values: Any) -> Clock:
    """Learn where the dates start and which periods they go round."""
    at, gap = instants(values)
    kind, at = kind_of_time(values.type), np.unique(at[~gap])
    span = int(at[-1] - at[0])
    if kind == "duration":
        return Clock()
    if kind == "time":
        return Clock(periods=("day",) if 2 * span > MICROSECONDS["day"] else ())
    zone = zone_of(values.type)
    step = float(np.median(np.diff(at))) if len(at) > 1 else 0.0
    round_ = tuple(
        period
        for period in ("year", "week", "day")
        if span > ROUNDS * (length := MICROSECONDS[period])
        and STEPS * step <= length
        and np.ptp(phases(at, period, zone)) > 0
    )
    return Clock(int(at[0]), zone, round_)


def told(name: str, kind: str, clock: Clock) -> str:
    """Say what a column of dates or times became."""
    new = clock.names(name, kind)
    return (
        f"'{name}' holds {WORDS[kind]}, taken as {', '.join(n[len(name) + 2 : -1] for n in new)}."
    )


WORDS = {"date": "dates", "time": "times of day", "duration": "durations"}


def check_zone(name: str, zone: str | None, type_: pa.DataType) -> None:
    """Refuse dates with a zone where those fitted had none, and the other way round.

    Raises
    ------
    BadInput
    """
    if (zone is None) != (zone_of(type_) is None):
        had, has = (f"the zone {z}" if z else "no time zone" for z in (zone, zone_of(type_)))
        raise BadInput(
            f"Column '{name}' has {has}, but the model was fitted to dates with {had}: instants "
            "cannot be compared. Give the dates that zone, or take it away."
        )

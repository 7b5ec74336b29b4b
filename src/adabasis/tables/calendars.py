"""Dates as people write them: what can be one date alone is read, else the user is asked."""

from __future__ import annotations

import dataclasses
import datetime
import re
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from .._runtime.errors import BadInput
from .columns import texts

_ISO = re.compile(r"\d{4}-\d\d-\d\d([ T]\d\d(:\d\d.*)?)?")
_PLAIN = pa.timestamp("us")
_TIME = r"(?:(?:,?\s+|T)(\d{1,2}):(\d\d)(?::(\d\d(?:\.\d{1,6})?))?(?:\s*([AP])\.?M\.?)?)?"
_NUMBERS = re.compile(rf"(\d{{1,4}})([./-])(\d{{1,2}})(?:\2(\d{{1,4}}))?{_TIME}", re.IGNORECASE)
_WEEKDAY = r"(?:(?:mon|tue|wed|thu|fri|sat|sun)[a-z]*[.,]*\s+)?"
_MONTH, _DAY = r"([a-z]{3,9})\.?", r"(\d{1,2})(?:st|nd|rd|th|\.)?"
_DAY_FIRST = re.compile(rf"{_WEEKDAY}{_DAY}[\s-]*{_MONTH}[\s,-]*(\d{{4}}){_TIME}", re.IGNORECASE)
_MONTH_FIRST = re.compile(rf"{_WEEKDAY}{_MONTH}\s*{_DAY},?\s+(\d{{4}}){_TIME}", re.IGNORECASE)
_MONTH_ALONE = re.compile(rf"{_MONTH}[\s,-]*(\d{{4}})", re.IGNORECASE)
_MONTHS = (
    *("january", "february", "march", "april", "may", "june", "july", "august", "september"),
    *("october", "november", "december"),
)
ORDERS = {"day": "day, month, year", "month": "month, day, year"}
LOOKED_AT = 1000
"""Entries of which one that is no date shows that a column holds none."""


@dataclasses.dataclass(frozen=True)
class Written:
    """A column of text as dates.

    Attributes
    ----------
    values : array of Arrow
        Timestamps.
    order : {"", "day", "month", "named"}
        Of which ``"day"`` and ``"month"`` say what comes first; ``"named"`` stands for what can be
        one date alone, ``""`` for ISO 8601.
    note : str
        What was assumed.
    """

    values: Any
    order: str = ""
    note: str = ""


@dataclasses.dataclass(frozen=True)
class _Parts:
    # A date as written: the numbers of which one is the day, the other the month, or which is what.
    year: int
    first: int
    second: int
    known: bool
    time: tuple[str | None, ...]

    def at(self, order: str) -> datetime.datetime | None:
        month, day = self.first, self.second
        if order == "day" and not self.known:
            month, day = day, month
        hour, minute, second, half = self.time
        h, s = int(hour or 0), float(second or 0.0)
        if half:
            if not 1 <= h <= 12:
                return None
            h = h % 12 + 12 * (half in "pP")
        try:
            whole = datetime.datetime(self.year, month, day, h, int(minute or 0), int(s))
        except ValueError:
            return None
        return whole + datetime.timedelta(microseconds=round((s - int(s)) * 1e6))


def written_dates(name: str, values: Any, order: str = "") -> Written | None:
    """Return a column of text as dates, if every entry is one.

    ISO 8601 is read, and years first (2021/03/04), and named months (Mar 4 2021). 03/04/2021 is
    two days: it is read if some entry of the column tells which number is the day.

    Parameters
    ----------
    name : str
        Of the column, for messages.
    values : array of Arrow
    order : str
        That of the column which the model was fitted to.

    Raises
    ------
    BadInput
        For dates that may be others, with what to do.
    """
    seen = texts(values)
    found = seen.drop_null()
    if not len(found):
        return None
    if all(map(_ISO.fullmatch, found[:LOOKED_AT].to_pylist())):
        for type_ in (_PLAIN, pa.timestamp("us", "UTC")):
            try:
                return Written(pc.cast(seen, type_))
            except pa.ArrowException:
                continue
    entries = pc.unique(found).to_pylist()
    parts: dict[str, _Parts] = {}
    short = 0
    for entry in entries:
        one, is_short = _parts(entry.strip())
        short += is_short
        if one is None and not is_short:
            return None
        if one is not None:
            parts[entry] = one
    if short:
        if short == len(entries) > 1:
            raise BadInput(
                f"'{name}' holds dates, it seems, whose years have two digits, such as "
                f"'{entries[0]}': write them as 2021-03-04. Or take them as categories with "
                "--categorical, or --drop it."
            )
        return None
    open_ = {entry: one for entry, one in parts.items() if not one.known}
    if open_:
        order = _proven(name, open_, order)
    at = {entry: one.at(order) for entry, one in parts.items()}
    if None in at.values():
        return None
    stamps = pa.array([at[entry] for entry in entries], _PLAIN)
    indices = pc.index_in(pc.cast(seen, pa.string()), pa.array(entries, pa.string()))
    note = ""
    if order in ORDERS and open_:
        telling = (entry for entry, one in open_.items() if max(one.first, one.second) > 12)
        first = next(telling, next(iter(open_)))
        note = f"'{name}' is written {ORDERS[order]}: '{first}' is {at[first]:%Y-%m-%d}. "
    return Written(stamps.take(indices), order if open_ else "named", note)


def _proven(name: str, open_: dict[str, _Parts], order: str) -> str:
    """Return which comes first, the day or the month, as the entries tell, or as in training."""
    day = next((entry for entry, one in open_.items() if one.first > 12), None)
    month = next((entry for entry, one in open_.items() if one.second > 12), None)
    if day is not None and month is not None:
        raise BadInput(
            f"'{name}' holds dates with the day first ('{day}') and with the month first "
            f"('{month}'): write them all as 2021-03-04. Or --drop it."
        )
    if day is None and month is None:
        if order in ORDERS:
            return order
        either_way = [(entry, one) for entry, one in open_.items() if one.first != one.second]
        if not either_way:
            return "named"
        entry, one = either_way[0]
        either = (one.at(which) for which in ORDERS)
        readings = " or ".join(f"{at:%Y-%m-%d}" for at in either if at is not None)
        raise BadInput(
            f"'{name}': is '{entry}' {readings}? No entry of the column tells which number is the "
            "day: write the dates as 2021-03-04. Or take them as categories with --categorical, or "
            "--drop it."
        )
    return "month" if day is None else "day"


def _parts(entry: str) -> tuple[_Parts | None, bool]:
    """Return the parts of a date, and whether its year has two digits."""
    if match := _NUMBERS.fullmatch(entry):
        a, sign, b, c, *time = match.groups()
        if c is None:  # 2021-03 is a month; 12.5 and 3/4 are none
            is_month = len(a) == 4 and sign == "-" and len(b) == 2 and time[0] is None
            return (
                _sound(_Parts(int(a), int(b), 1, True, tuple(time))) if is_month else None
            ), False
        if len(a) == 4 and len(c) <= 2:
            return _sound(_Parts(int(a), int(b), int(c), True, tuple(time))), False
        other = _sound(_Parts(int(c), int(a), int(b), False, tuple(time)))
        if len(a) > 2 or len(c) == 2:
            return None, len(a) <= 2 and other is not None
        return (other if len(c) == 4 else None), False
    for pattern, named, numbered in ((_DAY_FIRST, 1, 0), (_MONTH_FIRST, 0, 1)):
        if match := pattern.fullmatch(entry):
            both, year, at = match.groups()[:2], match[3], match.groups()[3:]
            month = _month(both[named])
            return _sound(_Parts(int(year), month, int(both[numbered]), True, at)), False
    if match := _MONTH_ALONE.fullmatch(entry):
        return _sound(_Parts(int(match[2]), _month(match[1]), 1, True, (None,) * 4)), False
    return None, False


def _sound(one: _Parts) -> _Parts | None:
    either = ("month",) if one.known else ("day", "month")
    return one if any(one.at(order) is not None for order in either) else None


def _month(name: str) -> int:
    """Return the number of a month, 0 for other words."""
    name = "sep" if name.lower() == "sept" else name.lower()
    which = [k for k, month in enumerate(_MONTHS, 1) if name in (month, month[:3])]
    return which[0] if which else 0

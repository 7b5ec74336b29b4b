"""How numbers are written in a table: decimal sign, thousands separators, entries that are none."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import re
from collections.abc import Mapping
from typing import Never

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv

from .._runtime.errors import BadInput, counted, listed

SIGNS = {".": "point", ",": "comma"}
MISSING = (*pyarrow.csv.ConvertOptions().null_values, "?", "NAN", "<NA>")
"""Entries of text that stand for a missing one."""
_NEUTRAL = "[ \u00a0\u2009\u202f'’]"
"""Between digits these can only separate thousands."""
_MINUS = "\u2212"
_SIGN = f"[+{_MINUS}-]?"
_POWER = rf"([eEdD][+{_MINUS}-]?\d+)?"
_CODES = 3
"""A number that recurs so often on average may be the code of a category."""
_NAMES = 10
"""So many different entries among numbers are names, such as A/5 21171 among ticket numbers."""
_STRAYS = 0.1
"""With up to this share of other entries a column is one of numbers, not of codes."""


@dataclasses.dataclass(frozen=True)
class Strays:
    """Entries of a column of numbers that are none.

    Attributes
    ----------
    count, of : int
        So many of so many entries.
    row : int
        Of the first, counted from 1.
    entries : tuple of str
        Some different ones.
    """

    count: int
    of: int
    row: int
    entries: tuple[str, ...]

    def __str__(self) -> str:
        verb, first = (
            ("is no number", " in") if self.count == 1 else ("are no numbers", ", the first in")
        )
        entries = "entry" if self.of == 1 else "entries"
        where = f"{first} row {self.row:,}"
        return f"{self.count:,} of {self.of:,} {entries} {verb} ({self.shown}){where}"

    @property
    def shown(self) -> str:
        """Some of the entries, in quotes."""
        return listed(map(_short, self.entries), 3)

    @property
    def advice(self) -> str:
        """Say what they are and what to do."""
        return f"{self}: --impute treats {'it' if self.count == 1 else 'them'} as missing"

    @classmethod
    def among(cls, entries: pa.Array, numbers: pa.Array, first_row: int = 0) -> Strays | None:
        """Return the entries that became no numbers, if there are any."""
        stray = pc.and_(pc.is_valid(entries), pc.is_null(numbers))
        count = pc.sum(stray).as_py() or 0
        if not count:
            return None
        different = tuple(pc.unique(entries.filter(stray)).slice(0, 20).to_pylist())
        row = pc.index(stray, True).as_py() + first_row + 1
        return cls(count, len(entries) - entries.null_count, row, different)

    def kept_in(self, field: pa.Field) -> pa.Field:
        """Return a field of a schema that tells of them."""
        return field.with_metadata({**(field.metadata or {}), b"strays": json.dumps(vars(self))})

    @classmethod
    def told_by(cls, field: pa.Field) -> Strays | None:
        """Return those that a field of a schema tells of."""
        found = (field.metadata or {}).get(b"strays")
        return None if found is None else cls(**json.loads(found))


def to_numbers(entries: pa.Array, decimal: str | None) -> pa.Array:
    """Return text as float64, null where it is no number.

    Parameters
    ----------
    entries : pyarrow.Array of strings
    decimal : {".", ",", None}
        The decimal sign; the other sign then separates thousands, in groups of three digits. With
        ``None`` the sign is not known: a point is read as one, a comma makes an entry no number.
        Spaces and apostrophes between groups of three always separate thousands.
        Exponents may be those of Fortran (1.0D+03).

    Examples
    --------
    >>> to_numbers(pa.array(["1.050,5", "1 050", "-"]), ",").to_pylist()
    [1050.5, 1050.0, None]
    """
    entries = pc.utf8_trim_whitespace(entries)
    if decimal != ",":
        with contextlib.suppress(pa.ArrowInvalid):
            return pc.cast(entries, pa.float64())
    either = f"{_SIGN}({_numeral(decimal)}){_POWER}|{_SIGN}(?i:inf|infinity|nan)"
    found = pc.match_substring_regex(entries, f"^({either})$")
    entries = pc.if_else(found, entries, pa.scalar(None, entries.type))
    groups = _NEUTRAL if decimal is None else f"{_NEUTRAL}|[{_other(decimal)}]"
    for pattern, by in ((groups, ""), (",", "."), (_MINUS, "-"), ("[dD]", "e")):
        entries = pc.replace_substring_regex(entries, pattern, by)
    return pc.cast(entries, pa.float64())


def _other(sign: str) -> str:
    return "," if sign == "." else "."


def _grouped(decimal: str | None) -> str:
    """Return a pattern of unsigned numbers whose thousands are separated."""
    d, groups, even = decimal or ".", _NEUTRAL, ""
    if decimal is not None:
        g = f"[{_other(decimal)}]"
        groups, even = f"({_NEUTRAL}|{g})", rf"|\d{{1,2}}({g}\d\d)+{g}\d{{3}}"  # lakh: 12,34,567
    return rf"(\d{{1,3}}({groups}\d{{3}})+{even})([{d}]\d*)?"


def _numeral(decimal: str | None) -> str:
    """Return a pattern of unsigned numbers that have this decimal sign."""
    d = decimal or "."
    return rf"\d+[{d}]?\d*|[{d}]\d+|{_grouped(decimal)}"


_EITHER = f"{_SIGN}({'|'.join(map(_numeral, SIGNS))}){_POWER}"


def is_number(text: str) -> bool:
    """Say whether text is a finite number, whatever its decimal sign."""
    return bool(re.fullmatch(_EITHER, text.strip()))


def is_mark(text: str) -> bool:
    """Say whether text is what people write where a measurement is missing."""
    return text.lower().strip("#! .") in _MARKS


def mostly_numbers(entries: pa.Array) -> bool:
    """Say whether more than half of a column's entries are numbers, written one way or another."""
    entries = pc.utf8_trim_whitespace(entries.drop_null())
    found = pc.sum(pc.match_substring_regex(entries, f"^{_EITHER}$")).as_py() or 0
    return 2 * found > len(entries)


def are_codes(entries: pa.Array, strays: Strays | None, *, meant: bool, encode: bool) -> bool:
    """Say whether a column of text that holds numbers is rather one of categories or names.

    It is where numbers recur, and other entries than marks of a missing one are many, or encoding
    is asked for: grades like 1, 2, 3, A. It is where many other entries are many different ones,
    too. Text that is ``meant`` to be text is if whole numbers alone recur.
    """
    entries = entries.drop_null()
    recurring = len(entries) >= _CODES * len(pc.unique(entries))
    if strays is None:
        return meant and recurring and pc.all(pc.match_substring_regex(entries, r"^\d+$")).as_py()
    many = strays.count > _STRAYS * strays.of
    named = many and len(strays.entries) >= _NAMES
    return named or ((many or encode) and recurring and not all(map(is_mark, strays.entries)))


_MARKS = {
    *("-", "--", "---", "–", "—", "*", "**", "x", "none", "missing", "error", "err", "n.d", "nd"),
    *("n.a", "n/a", "na", "nan", "null", "nil", "fail", "failed", "bad", "invalid", "unknown"),
    *("ref", "value", "div/0", "name", "num", "", "tbd", "offline", "no data", "nodata", "bdl"),
}
"""What people write where a measurement is missing, without points and capitals."""


def _short(entry: str) -> str:
    return entry if len(entry) <= 30 else entry[:30] + "…"


def empty_as_missing(entries: pa.Array) -> pa.Array:
    """Return text without the entries that stand for a missing one."""
    trimmed = pc.utf8_trim_whitespace(entries)
    empty = pc.is_in(trimmed, value_set=pa.array(MISSING, trimmed.type))
    return pc.if_else(empty, pa.scalar(None, trimmed.type), entries)


@dataclasses.dataclass(frozen=True)
class Signs:
    """The decimal signs of a table.

    Attributes
    ----------
    usual : {".", ",", None}
        Of its columns; ``None`` where none is known.
    others : mapping of str to str
        Of columns that prove another, by name.
    """

    usual: str | None = None
    others: Mapping[str, str] = dataclasses.field(default_factory=dict)

    def of(self, name: str) -> str | None:
        """Return the decimal sign of a column."""
        return self.others.get(name, self.usual)


def signs_of(
    columns: Mapping[str, pa.Array],
    where: str,
    *,
    points: bool,
    asked: str | None = None,
    stored: Signs | None = None,
) -> Signs:
    r"""Return the decimal signs that the columns prove.

    An entry proves that the comma is the decimal sign if it follows no group of three digits
    (1,5 and 0,125 and 1250,500), or if points or spaces separate thousands before it (1.050,5). It
    proves that the comma separates thousands if there are two (1,234,567) or a point follows
    (1,234.5). The same holds with points and commas exchanged. A column proves that the comma
    separates thousands, too, if whole numbers of three digits stand beside numbers with a comma
    that end in 0 (950 and 1,050): who writes decimals writes them all, or leaves out the 0. One
    column proves it for all, unless most entries of another column prove the opposite for that.

    Parameters
    ----------
    columns : mapping of str to pyarrow.Array
        Columns that are mostly numbers, as written.
    where : str
        The table, for messages.
    points : bool
        Whether points may separate thousands even if nothing but a mixture like 950 and 1.050
        tells: not where columns are separated by commas.
    asked : {".", ","}, optional
        The answer to the question: of columns that prove nothing, or both.
    stored : Signs, optional
        What holds where nothing is proven.

    Raises
    ------
    BadInput
        A question, if a comma may be either, or one entry contradicts another.
    """
    proven: dict[str, str] = {}
    for sign in SIGNS:
        for name in [n for n, entries in columns.items() if _first({n: entries}, _proof(sign))]:
            proven[name] = asked or _asks_which(columns, where) if name in proven else sign
    if len(set(proven.values())) == 2:
        if asked is None and not all(_mostly(columns[n], sign) for n, sign in proven.items()):
            _asks_which(columns, where)
        proven = {n: sign for n, sign in proven.items() if _mostly(columns[n], sign)}
    if asked is not None:
        return Signs(asked, {n: sign for n, sign in proven.items() if sign != asked})
    told = sorted(set(proven.values()))
    if stored is not None and (stored.others or (stored.usual and len(told) != 1)):
        return Signs(stored.usual, {**stored.others, **proven})
    if len(told) == 1:
        return Signs(told[0])
    unproven = {name: entries for name, entries in columns.items() if name not in proven}
    if not told and any(_mixed(entries, ",", r"[1-9]\d\d") for entries in columns.values()):
        return Signs(".")
    # A point is a decimal point unless something speaks for thousands.
    pointed = {n: e for n, e in unproven.items() if points and _mixed(e, ".", r"[1-9]\d{0,2}")}
    for sign, some in ((",", unproven), (".", pointed)):
        doubtful = _first(some, rf"^{_SIGN}[1-9]\d{{0,2}}[{sign}]\d{{3}}$")
        if doubtful:
            entry = pa.array([doubtful.entry])
            whole, broken = (to_numbers(entry, d)[0].as_py() for d in (_other(sign), sign))
            raise BadInput(
                f"{where}: is {doubtful} {whole:g} or {broken:g}? Nothing in the table tells. Say "
                f"--decimal {SIGNS[_other(sign)]} if it is {whole:g}, --decimal {SIGNS[sign]} if "
                f"it is {broken:g}."
            )
    return Signs("." if _first(unproven, "[.]") else None, proven)


def _asks_which(columns: Mapping[str, pa.Array], where: str) -> Never:
    by_point, by_comma = (_first(columns, _proof(sign)) for sign in SIGNS)
    raise BadInput(
        f"{where}: {by_point} has a decimal point, but {by_comma} a decimal comma. Which is meant? "
        "Say --decimal point or --decimal comma; entries written the other way are then no "
        "numbers. Or export the table again."
    )


def _mostly(entries: pa.Array, decimal: str) -> bool:
    """Say whether most numbers that have a point or comma prove this decimal sign."""

    def count(pattern: str) -> int:
        return pc.sum(pc.match_substring_regex(entries, pattern)).as_py() or 0

    entries = pc.utf8_trim_whitespace(entries)
    return 2 * count(_proof(decimal)) > count("[.,]")


@dataclasses.dataclass(frozen=True)
class _Place:
    entry: str
    column: str
    row: int

    def __str__(self) -> str:
        return f"'{self.entry}' in column '{self.column}' (row {self.row:,})"


def _first(columns: Mapping[str, pa.Array], pattern: str) -> _Place | None:
    for name, entries in columns.items():
        entries = pc.utf8_trim_whitespace(entries)
        row = pc.index(pc.match_substring_regex(entries, pattern), True).as_py()
        if row >= 0:
            return _Place(entries[row].as_py(), name, row + 1)
    return None


def _proof(decimal: str) -> str:
    """Return a pattern of numbers that can have no other decimal sign than this."""
    d, g = f"[{decimal}]", f"[{_other(decimal)}]"
    no_group = rf"\d+{d}(\d{{0,2}}|\d{{4,}})|(0\d*|\d{{4,}}){d}\d{{3}}|{d}\d+"
    power = rf"\d*{d}\d*[eEdD][+{_MINUS}-]?\d+"
    grouped = rf"\d{{1,3}}(({g}|{_NEUTRAL})\d{{3}})+{d}\d*|\d{{1,2}}({g}\d{{2,3}})+{g}\d{{3}}"
    many = rf"\d{{1,3}}({g}\d{{3}}){{2,}}"
    return rf"^{_SIGN}(({no_group}|{grouped}|{many}){_POWER}|{power})$"


def _mixed(entries: pa.Array, sign: str, whole: str) -> bool:
    """Say whether whole numbers and numbers like 1,050 stand side by side, but none like 1050."""

    def some(pattern: str) -> bool:
        found = pc.match_substring_regex(entries, f"^{_SIGN}{pattern}$")
        return bool(pc.any(found).as_py())

    entries = pc.utf8_trim_whitespace(entries)
    return some(rf"[1-9]\d{{0,2}}[{sign}]\d\d0") and some(whole) and not some(r"\d{4,}")


def told_thousands(columns: Mapping[str, pa.Array], signs: Signs) -> str | None:
    """Say which entries have thousands separators, and as what the first is read."""
    places = [
        _first({name: entries}, f"^{_SIGN}({_grouped(signs.of(name))}){_POWER}$")
        for name, entries in columns.items()
    ]
    found = [place for place in places if place is not None]
    if not found:
        return None
    value = to_numbers(pa.array([found[0].entry]), signs.of(found[0].column))[0].as_py()
    more = f", likewise in {counted(len(found) - 1, 'other column')}" if found[1:] else ""
    return f"Thousands separators: {found[0]} is read as {value:.12g}{more}."

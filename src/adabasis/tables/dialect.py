"""How a text table is laid out: its delimiter, its encoding, what stands around its names."""

from __future__ import annotations

import codecs
import csv
import dataclasses
import io
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

from .._runtime.errors import BadInput
from .numerals import MISSING, is_mark, is_number

DELIMITERS = {",": "comma", ";": "semicolon", "\t": "tab", "|": "bar", " ": "space"}
LINES = 100
"""Lines of the sample that are looked at."""
MOST_QUOTED = 20
"""Lines that one quoted field may have: a quote left open is taken for a letter beyond them."""
MOST_UNITS = 3
"""Rows below the names that may hold units and descriptions."""
_COMMENT = re.compile(r'\s*"?(#|%|//|!)+')
_STATED = re.compile(r'"?sep=(.)"?', re.IGNORECASE)
"""The first line in which spreadsheets state the delimiter."""
_LINE = re.compile(r"\r\n|\n|\r")
_NO_UNIT = {"", "1", "/", ".", "none"}
"""What stands in a row of units below a name that has none, beside marks of a missing entry."""


@dataclasses.dataclass(frozen=True)
class Dialect:
    """The layout of a text table.

    Attributes
    ----------
    delimiter, encoding : str
    above : int
        Lines above the one that names the columns, or above the first row if ``names`` are given.
    names : tuple of str
        Of the columns, where a comment names them.
    below : int
        Rows between the names and the first row: units.
    units : mapping of str to str
        Of columns.
    comment : str
        What lines begin with that hold comments.
    trailing : int
        Empty columns without a name at the end: a delimiter ends each line.
    """

    delimiter: str = ","
    encoding: str = "utf8"
    above: int = 0
    names: tuple[str, ...] = ()
    below: int = 0
    units: Mapping[str, str] = dataclasses.field(default_factory=dict)
    comment: str = "#"
    trailing: int = 0

    def __str__(self) -> str:
        words = [f"{DELIMITERS[self.delimiter]}-delimited"]
        if self.encoding != "utf8":
            words.append(self.encoding)
        if self.above:
            words.append(f"names in line {self.above + (not self.names)}")
        return ", ".join(words)


def detect(sample: bytes, name: str) -> Dialect:
    """Detect the dialect from the first bytes of a file.

    Raises
    ------
    BadInput
        If they are not text, or no delimiter divides them into columns.
    """
    text, encoding = _decoded(sample, name)
    lines = _lines(text)
    rows = [i for i, line in lines.items() if not _COMMENT.match(line)]
    stated = _STATED.fullmatch(lines[rows[0]].strip()) if rows else None
    rows = rows[bool(stated) :][:LINES]
    if not rows:
        raise BadInput(f"{name} {'holds comments alone' if text.strip() else 'is empty'}.")
    try:
        delimiter = stated[1] if stated else _delimiter([lines[i] for i in rows], name)
        if delimiter not in DELIMITERS:
            raise BadInput(f"{name} states the delimiter {delimiter!r}: expected {_known()}.")
        return _laid_out(lines, rows, delimiter, encoding)
    except csv.Error as error:
        raise BadInput(f"{name} is no table of text: {error}.") from error


def _lines(text: str) -> dict[int, str]:
    """Return the lines that are not empty by their index; one whose quotes are open goes on."""
    found: dict[int, str] = {}
    begun = None
    for i, line in enumerate(_LINE.split(text)):
        if begun is not None:
            found[begun] += f"\n{line}"
        elif line.strip():
            found[i] = line
        at = i if begun is None else begun
        if at in found and not _COMMENT.match(found[at]):
            quoted = found[at].count('"') % 2 == 1 and i - at < MOST_QUOTED
            begun = at if quoted else None
    return found


def _laid_out(
    lines: Mapping[int, str], rows: Sequence[int], delimiter: str, encoding: str
) -> Dialect:
    fields = {i: fields_of(lines[i], delimiter) for i in rows}
    columns = _usual(fields.values())
    first = next(i for i in rows if 2 * len(fields[i]) > columns)  # shorter ones are titles
    above = [line for i, line in lines.items() if i < first]
    mark = _COMMENT.match(above[-1]) if above else None
    names = []
    if mark and any(map(is_number, fields[first])):
        names = _names_in(above[-1][mark.end() :], mark[1], columns, delimiter)
    body = [fields_of(line, delimiter) for i, line in lines.items() if i > first][:LINES]
    body = [row for row in body if len(row) == columns]
    named = not names and len(fields[first]) == columns
    trailing = 0
    if not names:
        own = fields[first]
        header = [*own, *[""] * (columns - len(own))] if len(own) < columns else own
        trailing = _empty_at_end([header, *body]) if len(header) == columns and body else 0
        if trailing >= columns - len(own) > 0:  # below the names alone a delimiter ends each line
            names, first, named = header, first + 1, False
    units, below = units_of([n.strip() for n in fields[first]], body) if named else ({}, 0)
    comment = mark[1] if mark else "#"
    return Dialect(delimiter, encoding, first, tuple(names), below, units, comment, trailing)


def _empty_at_end(rows: Sequence[Sequence[str]]) -> int:
    """Return how many fields at the end are empty in all rows."""
    found = 0
    while found < len(rows[0]) - 1 and not any(row[-1 - found].strip() for row in rows):
        found += 1
    return found


def fields_of(line: str, delimiter: str) -> list[str]:
    """Divide a line into fields; several spaces are one delimiter."""
    if delimiter == " ":
        line = " ".join(line.split())
    return next(csv.reader(io.StringIO(line, newline=""), delimiter=delimiter), [])


def _usual(rows: Iterable[Sequence[str]]) -> int:
    """Return the most frequent number of fields."""
    return Counter(map(len, rows)).most_common(1)[0][0]


def _names_in(comment: str, mark: str, columns: int, delimiter: str) -> list[str]:
    """Return the names in a comment above the first row, if it holds one for each column."""
    for names in (fields_of(comment, delimiter), re.split(r"[,;\s]+", comment.strip())):
        if len(names) == columns and not any(map(is_number, names)):
            return [name.strip() or mark for name in names]
    return []


def units_of(names: Sequence[str], rows: Sequence[Sequence[str]]) -> tuple[dict[str, str], int]:
    """Return the units of columns, and how many rows below the names hold units.

    Such a row has no number in any column that holds numbers below it, and a unit in one.
    """
    units: dict[str, str] = {}
    for k, row in enumerate(rows[:MOST_UNITS]):
        of_numbers = [j for j in range(len(row)) if _numbers([r[j] for r in rows[k + 1 :]])]
        tokens = {names[j]: _bare(row[j]) for j in of_numbers}
        found = {n: t for n, t in tokens.items() if _is_unit(t)}
        if not found or any(
            t not in _NO_UNIT and not is_mark(t) for n, t in tokens.items() if n not in found
        ):
            return units, k
        units = units or found
    return units, min(len(rows), MOST_UNITS)


def _bare(unit: str) -> str:
    """Return a unit without brackets; the row may begin like a comment."""
    return re.sub(r"^(#|//|%(?=.))", "", unit.strip()).strip(" []()")


def _numbers(entries: Sequence[str]) -> bool:
    known = [entry for entry in entries if entry.strip() not in MISSING]
    return 2 * sum(map(is_number, known)) > len(known)


def _is_unit(text: str) -> bool:
    letters = any(c.isalpha() or c in "%°$€£‰" for c in text)
    return letters and len(text) <= 20 and not is_number(text) and not is_mark(text)


def _known() -> str:
    return ", ".join(DELIMITERS.values())


def _decoded(sample: bytes, name: str) -> tuple[str, str]:
    if sample.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        raise BadInput(f"{name} is text in UTF-16: save it as CSV in UTF-8.")
    if b"\0" in sample:
        raise BadInput(
            f"{name} holds binary data, not text: expected a table. Export it as CSV (from a "
            "spreadsheet: save as, CSV UTF-8)."
        )
    try:
        decoder = codecs.getincrementaldecoder("utf-8-sig")()  # a sample may end inside a letter
        return decoder.decode(sample), "utf8"
    except UnicodeDecodeError:
        return sample.decode("latin-1"), "latin-1"


def _delimiter(lines: Sequence[str], name: str) -> str:
    """Return the delimiter that divides most lines into the same number of columns.

    Of several, the one between whose fields there are most numbers: 1,5;2,5 has semicolons.
    """

    def score(delimiter: str) -> tuple[float, float, int]:
        rows = [fields_of(line, delimiter) for line in lines]
        columns = _usual(rows)
        alike = [row for row in rows if len(row) == columns]
        numbers = sum(is_number(field) for row in alike for field in row)
        share = len(alike) / len(rows) if columns > 1 else 0.0
        return share, numbers / (columns * len(alike)), columns

    scores = {d: score(d) for d in DELIMITERS if d != " "}
    best = max(scores, key=lambda d: scores[d])
    share, numbers, columns = score(" ")
    if columns > 1 and share == 1 and numbers > scores[best][1]:  # 1 2<tab>3
        return " "
    if scores[best][0] > 0:
        return best
    if columns == len(lines[0].split()) > 1 and share < 1:
        raise BadInput(
            f"{name}: the columns seem to be separated by spaces, but not every line has "
            f"{columns} of them. Write it with another delimiter ({_known()})."
        )
    return " " if columns > 1 and share == 1 else ","

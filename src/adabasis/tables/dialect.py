"""How a text table is written: its delimiter, its decimal sign, its encoding."""

from __future__ import annotations

import codecs
import csv
import dataclasses
import re
from collections.abc import Sequence

from .._runtime.errors import BadInput

DELIMITERS = {",": "comma", ";": "semicolon", "\t": "tab", "|": "bar"}
LINES = 100
"""Lines of the sample that are looked at."""
_DECIMAL_COMMA = re.compile(r"\s*[+-]?\d*,\d+([eE][+-]?\d+)?\s*")
_DECIMAL_POINT = re.compile(r"\s*[+-]?\d*\.\d+([eE][+-]?\d+)?\s*")


@dataclasses.dataclass(frozen=True)
class Dialect:
    """Delimiter, decimal sign and encoding of a text table."""

    delimiter: str = ","
    decimal: str = "."
    encoding: str = "utf8"

    def __str__(self) -> str:
        words = [f"{DELIMITERS[self.delimiter]}-delimited"]
        if self.decimal == ",":
            words.append("decimal comma")
        if self.encoding != "utf8":
            words.append(self.encoding)
        return ", ".join(words)


def detect(sample: bytes, name: str) -> Dialect:
    """Detect the dialect from the first bytes of a file.

    Raises
    ------
    BadInput
        If they are not text, or no delimiter divides them into columns.
    """
    text, encoding = _decoded(sample, name)
    lines = [line for line in text.splitlines() if line.strip()][:LINES]
    if not lines:
        raise BadInput(f"{name} is empty.")
    try:
        delimiter = _delimiter(lines, name)
        fields = [field for row in csv.reader(lines[1:], delimiter=delimiter) for field in row]
    except csv.Error as error:
        raise BadInput(f"{name} is no table of text: {error}.") from error
    commas = any(_DECIMAL_COMMA.fullmatch(field) for field in fields)
    points = any(_DECIMAL_POINT.fullmatch(field) for field in fields)
    return Dialect(delimiter, "," if commas and not points else ".", encoding)


def _decoded(sample: bytes, name: str) -> tuple[str, str]:
    if sample.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        raise BadInput(f"{name} is text in UTF-16: save it as CSV in UTF-8.")
    if b"\0" in sample:
        raise BadInput(
            f"{name} holds binary data, not text: expected CSV, Parquet or Feather. Export the "
            "table as CSV (from a spreadsheet: save as, CSV UTF-8)."
        )
    try:
        decoder = codecs.getincrementaldecoder("utf-8-sig")()  # a sample may end inside a letter
        return decoder.decode(sample), "utf8"
    except UnicodeDecodeError:
        return sample.decode("latin-1"), "latin-1"


def _delimiter(lines: Sequence[str], name: str) -> str:
    """Return the delimiter that occurs in every line as often as in the header."""

    def score(delimiter: str) -> tuple[float, int]:
        rows = list(csv.reader(lines, delimiter=delimiter))
        columns = len(rows[0])
        return (sum(len(row) == columns for row in rows) / len(rows), columns)

    scores = {d: score(d) for d in DELIMITERS if d in lines[0]}
    if scores:
        return max(scores, key=lambda d: scores[d])
    if all(len(line.split()) > 1 for line in lines[:5]):
        raise BadInput(
            f"{name}: the columns seem to be separated by spaces; expected "
            f"{', '.join(DELIMITERS.values())}. Write it with commas."
        )
    return ","

"""The error of the command line and of tables, and words for its messages."""

from __future__ import annotations

from collections.abc import Iterable


class BadInput(ValueError):
    """Something the user can mend: the message says what is wrong and what to do.

    The command line prints it without a traceback and exits with 2.
    """


class EngineError(RuntimeError):
    """Work given to others did not come back: no workers, no scheduler, other versions.

    The command line prints it without a traceback and exits with 1; what was saved before is whole.
    """


def listed(names: Iterable[object], most: int = 12) -> str:
    """Return names in quotes, separated by commas, at most so many of them."""
    quoted = [f"'{name}'" for name in names]
    more = len(quoted) - most
    return ", ".join(quoted[:most]) + (f" and {more} more" if more > 0 else "")


def counted(count: int, noun: str, plural: str = "") -> str:
    """Return a number with its noun, in the plural where it is one."""
    return f"{count:,} {noun if count == 1 else plural or noun + 's'}"


def significant(value: float, digits: int = 3) -> str:
    """Return a number in a few digits as people write it: 16,600 rather than 1.66e+04."""
    text = f"{value:.{digits}g}"
    return f"{float(text):,.0f}" if "e+" in text and abs(value) < 1e7 else text

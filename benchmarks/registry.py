"""Named cases: a function that yields measurements, under a decorator."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator

from .records import Measurement, Promise


class SkippedError(Exception):
    """A case cannot run here; the message says in one line what it needs."""


@dataclasses.dataclass(frozen=True)
class Settings:
    """What a person asked for, and how a case speaks to that person.

    Attributes
    ----------
    repeats : int
    quick : bool
        A reduced case, to see that everything runs.
    note : callable
        Prints a line that stays, and puts it into the record.
    doing : callable
        Shows what is being measured now.
    jobs : int
        Fits at a time, for errors: times are to be believed of one.
    """

    repeats: int
    quick: bool = False
    note: Callable[[str], None] = lambda line: None
    doing: Callable[[str], None] = lambda line: None
    jobs: int = 1


@dataclasses.dataclass(frozen=True)
class Case:
    """A named benchmark.

    Attributes
    ----------
    name, summary : str
    run : callable
        From settings to measurements.
    error : str
        What the error column means.
    repeats : int
        Unless the command line says otherwise.
    reference : str
        The method that ratios are taken to.
    bars : tuple of Promise
        What the project has promised.
    """

    name: str
    summary: str
    run: Callable[[Settings], Iterator[Measurement]]
    error: str
    repeats: int
    reference: str
    bars: tuple[Promise, ...] = ()


CASES: dict[str, Case] = {}
#: Names for several cases.
SUITES: dict[str, tuple[str, ...]] = {}


def case(
    name: str,
    summary: str,
    *,
    error: str,
    repeats: int,
    reference: str,
    bars: tuple[Promise, ...] = (),
) -> Callable[[Callable[[Settings], Iterator[Measurement]]], Case]:
    """Register the decorated generator of measurements as a case."""

    def register(run: Callable[[Settings], Iterator[Measurement]]) -> Case:
        if name in CASES:
            raise ValueError(f"case({name!r}): this name is taken; choose another.")
        CASES[name] = Case(name, summary, run, error, repeats, reference, bars)
        return CASES[name]

    return register

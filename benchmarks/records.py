"""Measurements, and the rows of medians and ratios that summarise them."""

from __future__ import annotations

import collections
import dataclasses
import math
from collections.abc import Iterable, Sequence
from typing import Protocol

import numpy as np


@dataclasses.dataclass(frozen=True)
class Measurement:
    """One run of one method on one problem.

    Attributes
    ----------
    group : str
        Problems of a group are summarised together (the splits of one table).
    problem, method : str
    repeat : int
    error : float
        NaN where the case measures time alone.
    seconds : float
        Wall-clock time of the run, without compilation.
    compile_seconds : float
    cpu_seconds : float
        Of all threads, compilation included.
    steps : int or None
    status : str
        Stop reason or warning.
    """

    group: str
    problem: str
    method: str
    repeat: int
    error: float
    seconds: float
    compile_seconds: float
    cpu_seconds: float
    steps: int | None = None
    status: str = ""


@dataclasses.dataclass(frozen=True)
class Spread:
    """Median and range of some numbers; those that are not finite count as infinite."""

    median: float
    least: float
    most: float

    @classmethod
    def of(cls, values: Iterable[float]) -> Spread:
        """Summarise; NaN where there is nothing."""
        numbers = np.array([v if math.isfinite(v) else math.inf for v in values])
        if not numbers.size:
            return cls(math.nan, math.nan, math.nan)
        return cls(float(_median(numbers)), float(numbers.min()), float(numbers.max()))


@dataclasses.dataclass(frozen=True)
class Row:
    """All measurements of a method in a group.

    ``error_ratio``, ``time_ratio`` and ``cpu_ratio`` are to the case's reference method, pair by
    pair (same problem, same repeat), so that what disturbs both cancels. ``quartiles`` are of
    ``time_ratio``.
    """

    group: str
    method: str
    runs: int
    error: Spread | None
    seconds: float
    compile_seconds: float
    cpu_seconds: float
    error_ratio: float
    time_ratio: float
    cpu_ratio: float
    quartiles: tuple[float, float]
    steps: int | None
    status: str

    @property
    def median_error(self) -> float:
        """The median of the error; NaN where the case measures time alone."""
        return self.error.median if self.error else math.nan

    def median(self, quantity: str) -> float:
        """Return the median of a quantity by its name, "error" among them."""
        value: float = self.median_error if quantity == "error" else getattr(self, quantity)
        return value


class Promise(Protocol):
    """Something that is measured, and may be at most so large: :class:`Bar`, :class:`BestOf`."""

    @property
    def group(self) -> str: ...
    @property
    def method(self) -> str: ...
    @property
    def label(self) -> str: ...
    @property
    def limit(self) -> float: ...

    def judge(self, rows: Sequence[Row]) -> tuple[float, bool] | None:
        """Return the measured value and whether it keeps the promise; None if not measured."""


@dataclasses.dataclass(frozen=True)
class Bar:
    """A promise: some quantity of a row stays at or below a limit.

    Attributes
    ----------
    group, method : str
    quantity : str
        "error" (its median), or the name of a row's field.
    limit : float
    to : str
        A method of the same group: medians are divided by its median.
    enough : float
        An error at or below this keeps the promise whatever the quantity is.
    stretch : bool
        No promise: what would be better still, and is said beside it.

    A method that failed in any of its runs keeps none.
    """

    group: str
    method: str
    quantity: str
    limit: float
    to: str = ""
    enough: float = -math.inf
    stretch: bool = False

    @property
    def label(self) -> str:
        """The quantity in words."""
        words = self.quantity.replace("_", " ") + " (stretch)" * self.stretch
        return f"{words} to {self.to}" if self.to else words

    def judge(self, rows: Sequence[Row]) -> tuple[float, bool] | None:
        """Return the measured value and whether it keeps the promise; None if not measured."""
        found = {row.method: row for row in rows if row.group == self.group}
        if self.method not in found or (self.to and self.to not in found):
            return None
        row = found[self.method]
        value = row.median(self.quantity)
        if self.to:
            value = _ratio(value, found[self.to].median(self.quantity))
        met = value <= self.limit or row.median_error <= self.enough
        return value, met and "failed" not in row.status


@dataclasses.dataclass(frozen=True)
class BestOf:
    """A promise: in so many groups a method errs no more than the best of some others.

    What is judged is the ratio of the group where so many keep it, just or not: with 3 of 4 groups
    the third in order. Others that were not measured are left aside.
    """

    groups: tuple[str, ...]
    method: str
    others: tuple[str, ...]
    least: int
    limit: float = 1.0
    quantity: str = "error"

    @property
    def group(self) -> str:
        """The groups in words."""
        return f"{self.least} of {', '.join(self.groups)}"

    @property
    def label(self) -> str:
        """The quantity in words."""
        return f"{self.quantity} to the best of {', '.join(self.others)}"

    def judge(self, rows: Sequence[Row]) -> tuple[float, bool] | None:
        """Return the ratio and whether it keeps the promise; None if not measured."""
        ratios = []
        for group in self.groups:
            found = {r.method: r.median(self.quantity) for r in rows if r.group == group}
            others = [found[name] for name in self.others if name in found]
            if self.method not in found or not others:
                return None
            ratios.append(found[self.method] / min(others))
        value = sorted(ratios)[self.least - 1]
        return value, value <= self.limit


def summarise(measurements: Sequence[Measurement], reference: str) -> list[Row]:
    """Return one row for each group and method, in order of appearance."""
    sets: dict[tuple[str, str], list[Measurement]] = collections.defaultdict(list)
    for m in measurements:
        sets[m.group, m.method].append(m)
    return [_row(found, sets.get((group, reference), [])) for (group, _), found in sets.items()]


def _row(found: Sequence[Measurement], reference: Sequence[Measurement]) -> Row:
    others = {(m.problem, m.repeat): m for m in reference}
    pairs = [(m, others[m.problem, m.repeat]) for m in found if (m.problem, m.repeat) in others]
    times = np.array([_ratio(m.seconds, r.seconds) for m, r in pairs])
    low, high = np.quantile(times, [0.25, 0.75]) if times.size else (math.nan, math.nan)
    steps = [m.steps for m in found if m.steps is not None]
    return Row(
        found[0].group,
        found[0].method,
        len(found),
        None if all(math.isnan(m.error) for m in found) else Spread.of(m.error for m in found),
        _median([m.seconds for m in found]),
        _median([m.compile_seconds for m in found]),
        _median([m.cpu_seconds for m in found]),
        _median([_ratio(m.error, r.error) for m, r in pairs]),
        _median(times),
        _median([_ratio(m.cpu_seconds, r.cpu_seconds) for m, r in pairs]),
        (float(low), float(high)),
        int(_median(steps)) if steps else None,
        _statuses([m.status for m in found]),
    )


def _median(values: Sequence[float] | np.ndarray) -> float:
    return float(np.median(values)) if len(values) else math.nan


def _ratio(a: float, b: float) -> float:
    return a / b if b and math.isfinite(a) and math.isfinite(b) else math.nan


def _statuses(statuses: Sequence[str]) -> str:
    """Join what was said, the most frequent first, with counts where runs differ."""
    counts = collections.Counter(s for s in statuses if s).most_common()
    if len(counts) == 1 and counts[0][1] == len(statuses):
        return counts[0][0]
    return ", ".join(f"{status} ×{count}" for status, count in counts)

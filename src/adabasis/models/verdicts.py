"""What a comparison of two models found, in fields and in words."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

from .._runtime.errors import counted, significant
from ..evidence.paired import PairedDifference

#: Share of the rows that may have been fitted to before nothing is claimed any more: of models that
#: err half as much on rows they know, so many shift the error by less than rows drawn anew do.
FITTED_TO = 0.05
#: Measures of numbers, the one that decides by default first.
OF_NUMBERS = ["RMSE", "MAE"]
#: Ratio of errors that is given as such; smaller ones in per cent.
TIMES = 2.0


@dataclasses.dataclass(frozen=True)
class ModelComparison:
    """Which of two models errs less on the same rows, by how much, with what certainty.

    Its text is a sentence; :meth:`to_json` gives all fields.

    Attributes
    ----------
    names : (str, str)
        Of the two models.
    n_rows, n_units : int
        Rows of positive weight; and how many groups of rows that belong together.
    level : float
        Probability of calling one of two models better that err alike.
    main : PairedDifference
        Of the measure that decides: for numbers the RMSE (of several targets the root mean square
        over them of RMSE over standard deviation), for classes the cross-entropy, or the share of
        wrong labels.
    others : tuple of PairedDifference
        Of each target, at level/Q; of classes the share of wrong labels. They do not decide.
    fitted_to : (float, float)
        Share of the rows that each model was fitted to, as far as it can be known; NaN where not.
    better : {"a", "b"} or None
        ``None``: no clear difference, or rows that a model was fitted to.
    notes : tuple of str
        What makes the comparison weaker than it looks.
    """

    names: tuple[str, str]
    n_rows: int
    n_units: int
    level: float
    main: PairedDifference
    others: tuple[PairedDifference, ...] = ()
    fitted_to: tuple[float, float] = (math.nan, math.nan)
    better: str | None = None
    notes: tuple[str, ...] = ()

    @property
    def sentence(self) -> str:
        """Which errs less, by how much, how sure that is."""
        rows = counted(self.n_rows, "row")
        if self.n_units < self.n_rows:
            rows += f" ({self.n_units:,} groups of them)"
        used = [n for n, s in zip(self.names, self.fitted_to, strict=True) if s > FITTED_TO]
        if used:
            share = max(s for s in self.fitted_to if s > FITTED_TO)
            about = "all" if share > 1 - FITTED_TO else f"about {100 * share:.0f} % of"
            return (
                f"Nothing is told of new rows: {about} these {rows} are among those that "
                f"{' and '.join(used)} {'were' if len(used) > 1 else 'was'} fitted to "
                f"({self._errors()}). Compare on others."
            )
        return self._said(self.main, self.better, rows)

    def _said(self, found: PairedDifference, better: str | None, rows: str) -> str:
        first, second = self.names
        sure = f"{100 * (1 - self.level):g} % certainty"
        if found.a == found.b and found.p_value == 1:
            return f"{first} and {second} err alike on {rows}: {self._errors()}."
        if better is None:
            span = _span(found, sure, first, second)
            return f"No clear difference on {rows}: {self._errors()}; {span}."
        one = found.swapped() if better == "a" else found  # how much more the worse one errs
        good, bad = (first, second) if better == "a" else (second, first)
        return f"{good} errs less than {bad} on {rows}: {self._errors()}, {_less(one, bad, sure)}."

    def _errors(self) -> str:
        found, (first, second) = self.main, self.names
        if found.measure == "wrong labels":
            a, b = (f"{significant(100 * one)} %" for one in (found.a, found.b))
        else:
            a, b = map(significant, (found.a, found.b))
        what = found.measure
        if what in OF_NUMBERS and self.others:
            what += f" over the standard deviation, all {len(self.others)} targets,"
        return f"{what} {a} of {first}, {b} of {second}"

    def __str__(self) -> str:
        """Return the sentence, that of each other measure, and the notes."""
        lines = [self.sentence]
        for one in self.others:
            about = f"{one.target}: " if one.target else ""
            lines.append(f"  {about}{_one_line(one, self.names)}")
        return "\n".join([*lines, *(f"  {note}" for note in self.notes)])

    def to_json(self) -> dict[str, Any]:
        """Return the fields as JSON holds them: what is not finite becomes ``None``."""
        return {
            "names": list(self.names),
            "n_rows": self.n_rows,
            "n_units": self.n_units,
            "level": self.level,
            "better": {"a": self.names[0], "b": self.names[1], None: None}[self.better],
            "sentence": self.sentence,
            "main": self.main.to_json(),
            "others": [one.to_json() for one in self.others],
            "fitted_to": [None if math.isnan(one) else one for one in self.fitted_to],
            "notes": list(self.notes),
        }


def _percent(share: float) -> str:
    return f"{100 * share:.2g}" if abs(share) < 0.995 else f"{100 * share:,.0f}"


def _less(found: PairedDifference, bad: str, sure: str) -> str:
    """Say how much less the better model errs; ``found.ratio`` is the other's error over its."""
    low, high = found.ratio_range
    if found.measure == "cross-entropy":
        a, b = found.difference_range
        return f"{found.difference:.2g} nats less ({a:.2g} to {b:.2g} at {sure})"
    if found.measure == "wrong labels":
        a, b = (max(0.0, 100 * end) for end in found.difference_range)
        return f"{100 * found.difference:.2g} % of all rows less ({a:.2g} to {b:.2g} at {sure})"
    if math.isinf(found.ratio):
        return "which makes none"
    if not found.ratio < TIMES:
        ends = f"{low:.3g} to {high:.3g} times" if math.isfinite(high) else f"at least {low:.3g}"
        return f"that of {bad} {found.ratio:.3g} times as large ({ends} at {sure})"
    said, least, most = (_percent(1 - 1 / ratio) for ratio in (found.ratio, low, high))
    return f"{said} % less ({least} to {most} % at {sure})"


def _span(found: PairedDifference, sure: str, first: str, second: str) -> str:
    """Say how far apart the models may be."""
    low, high = found.ratio_range
    if found.measure in OF_NUMBERS:
        if math.isnan(low):
            return "there is no error to compare"
        most = f"{_percent(high - 1)} % larger" if math.isfinite(high) else "many times larger"
        return (
            f"that of {first} may be from {_percent(1 - low)} % smaller to {most} than that of "
            f"{second} ({sure})"
        )
    unit, of = (100, "% of all rows") if found.measure == "wrong labels" else (1, "nats")
    low, high = (unit * end for end in found.difference_range)
    return f"the difference may be from {low:+.2g} to {high:+.2g} {of} ({sure})"


def _one_line(found: PairedDifference, names: tuple[str, str]) -> str:
    unit = 100 if found.measure == "wrong labels" else 1
    a, b = (significant(unit * one) + " %" * (unit > 1) for one in (found.a, found.b))
    best = {"a": f"{names[0]} errs less", "b": f"{names[1]} errs less"}
    said = best.get(found.better or "", "no clear difference")
    return f"{found.measure} {a} of {names[0]}, {b} of {names[1]}: {said} (p = {found.p_value:.2g})"

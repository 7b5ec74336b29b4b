"""Running one case: collect what it yields, survive Ctrl-C, summarise, judge."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable
from typing import Any

from .records import Measurement, Row, summarise
from .registry import Case, Settings, SkippedError


@dataclasses.dataclass(frozen=True)
class Verdict:
    """A bar and whether it was cleared."""

    group: str
    method: str
    quantity: str
    limit: float
    value: float
    met: bool


@dataclasses.dataclass
class Session:
    """A case with everything it has measured so far.

    Attributes
    ----------
    skipped : str
        Why the case could not run, empty if it did.
    interrupted : bool
    """

    case: Case
    repeats: int
    quick: bool
    jobs: int = 1
    measurements: list[Measurement] = dataclasses.field(default_factory=list)
    notes: list[str] = dataclasses.field(default_factory=list)
    seconds: float = 0.0
    skipped: str = ""
    interrupted: bool = False

    def run(self, note: Callable[[str], None], doing: Callable[[str], None]) -> None:
        """Run the case; what was measured before Ctrl-C is kept."""

        def keep(line: str) -> None:
            self.notes.append(line)
            note(line)

        settings = Settings(self.repeats, self.quick, keep, doing, self.jobs)
        start = time.perf_counter()
        try:
            for measurement in self.case.run(settings):
                self.measurements.append(measurement)
        except SkippedError as reason:
            self.skipped = str(reason)
        except KeyboardInterrupt:
            self.interrupted = True
        self.seconds = time.perf_counter() - start

    @property
    def rows(self) -> list[Row]:
        """Medians and ratios."""
        return summarise(self.measurements, self.case.reference)

    @property
    def verdicts(self) -> list[Verdict]:
        """The case's bars, as far as their rows were measured; none for a reduced case."""
        if self.quick:
            return []
        judged = [(bar, bar.judge(self.rows)) for bar in self.case.bars]
        return [
            Verdict(bar.group, bar.method, bar.label, bar.limit, *found)
            for bar, found in judged
            if found is not None
        ]

    @property
    def failed(self) -> bool:
        """Whether some method raised an error."""
        return any(m.status.startswith("failed") for m in self.measurements)

    def as_dict(self) -> dict[str, Any]:
        """Return everything worth storing."""
        return {
            "case": self.case.name,
            "error": self.case.error,
            "reference": self.case.reference,
            "repeats": self.repeats,
            "quick": self.quick,
            "jobs": self.jobs,
            "seconds": self.seconds,
            "skipped": self.skipped,
            "interrupted": self.interrupted,
            "notes": self.notes,
            "bars": [dataclasses.asdict(verdict) for verdict in self.verdicts],
            "rows": [dataclasses.asdict(row) for row in self.rows],
            "measurements": [dataclasses.asdict(m) for m in self.measurements],
        }

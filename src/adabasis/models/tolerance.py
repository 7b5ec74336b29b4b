"""Whether an error that was asked for is met and, if not, what stands in its way."""

from __future__ import annotations

import dataclasses
import enum
import math
from collections.abc import Mapping
from typing import Any, Self


class Reason(enum.StrEnum):
    """Why growth ended."""

    MET = "the tolerance is met"
    NOISE = "noise floor"
    FEW_ROWS = "too few rows"
    NOT_SMOOTH = "no smoothness"
    RANK = "rounding: of the data, or of functions that depend on each other"
    SIZE = "the largest bases that are tried"
    TIME = "time budget used up"
    INTERRUPTED = "interrupted"


@dataclasses.dataclass(frozen=True)
class Tolerance:
    """What became of ``fit_to_tolerance``.

    Attributes
    ----------
    tol : float
        The relative root mean square error that was asked for.
    error : float
        The unseen error that is claimed, ``Fitted.validation_error``; NaN where none is known.
    reason : Reason
    because : str
        What speaks for the reason, in words and numbers; empty where the tolerance is met.
    advice : str
        What to do next; empty where the tolerance is met.
    noise : float or None
        The floor that noise or rounding sets to the relative error, where it is known.
    half_rows_error : float or None
        The relative error of functions fitted to half of the rows, on the other half.
    all_rows_error : float or None
        That of the same kind of functions fitted to all, by leave-one-out.
    functions : int or None
        P of the largest basis that was tried.
    """

    tol: float
    error: float
    reason: Reason
    because: str = ""
    advice: str = ""
    noise: float | None = None
    half_rows_error: float | None = None
    all_rows_error: float | None = None
    functions: int | None = None

    @property
    def met(self) -> bool:
        """Whether the claimed error is at most the tolerance."""
        return self.reason is Reason.MET

    def __str__(self) -> str:
        """Say it in a sentence or two."""
        if self.met:
            return f"Tolerance {self.tol:.2g} is met: unseen error {self.error:.2g}."
        known = f"unseen error {self.error:.2g}" if self.error < math.inf else "error not known"
        told = f"Tolerance {self.tol:.2g} is not met ({known}), because of {self._about}."
        return " ".join(part for part in (told, self.because, self.advice) if part)

    @property
    def _about(self) -> str:
        articles = {
            Reason.NOISE: "a noise floor",
            Reason.FEW_ROWS: "too few rows",
            Reason.NOT_SMOOTH: "a target that is not smooth",
            Reason.RANK: "rounding",
            Reason.SIZE: "the size of the bases",
            Reason.TIME: "the time budget",
            Reason.INTERRUPTED: "an interrupt",
        }
        return articles.get(self.reason, str(self.reason))

    def to_json(self) -> dict[str, Any]:
        """Return the fields as JSON, the reason by its name, and the sentences."""
        fields = dataclasses.asdict(self) | {"reason": self.reason.name}
        plain = {
            name: None if isinstance(value, float) and not math.isfinite(value) else value
            for name, value in fields.items()
        }
        return plain | {"met": self.met, "sentence": str(self)}

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> Self:
        """Return what :meth:`to_json` described."""
        names = [field.name for field in dataclasses.fields(cls)]
        fields = {name: document[name] for name in names}
        fields["error"] = math.nan if fields["error"] is None else fields["error"]
        return cls(**fields | {"reason": Reason[document["reason"]]})

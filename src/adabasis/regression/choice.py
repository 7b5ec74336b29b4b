"""The transforms of targets and inputs that were chosen, as a record and in words."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from ..geometry.maps import Coordinates, Transform


@dataclasses.dataclass(frozen=True)
class Choice:
    """Coordinates of the inputs, a transform of each target, and what speaks for them.

    Attributes
    ----------
    coordinates : Coordinates
    transforms : tuple of Transform
    error, plain_error : float
        Relative root mean square errors of left-out rows, in the user's units.
    typical, plain_typical : float
        Medians of the left-out errors over the values; NaN where values are zero.
    """

    coordinates: Coordinates
    transforms: tuple[Transform, ...]
    error: float = math.nan
    plain_error: float = math.nan
    typical: float = math.nan
    plain_typical: float = math.nan

    @property
    def is_plain(self) -> bool:
        """Whether nothing is transformed."""
        return "log" not in self.coordinates.kinds and not self.transformed

    @property
    def transformed(self) -> bool:
        """Whether a target is."""
        return any(one.kind != "none" for one in self.transforms)

    def to_json(self) -> dict[str, Any]:
        """Return the choice for the record of a model."""
        numbers = {
            name: value if math.isfinite(value) else None
            for name, value in dataclasses.asdict(self).items()
            if isinstance(value, float)
        }
        return {
            "inputs": list(self.coordinates.kinds),
            "targets": [one.kind for one in self.transforms],
            **numbers,
        }


def in_words(
    chosen: Mapping[str, Any] | None, inputs: Sequence[str] = (), targets: Sequence[str] = ()
) -> Iterator[str]:
    """Say what was chosen and why.

    Parameters
    ----------
    chosen : mapping or None
        From :meth:`Choice.to_json`.
    inputs, targets : sequences of str, optional
        Names; numbers serve without them.
    """
    if chosen is None:
        return
    kinds = chosen["targets"]
    logs = _named("target", kinds, "log", targets)
    logs += _named("input", chosen["inputs"], "log", inputs)
    others = _named("target", kinds, "yeo-johnson", targets)
    said = []
    if logs:
        verb = "is" if len(logs) == 1 else "are"
        said.append(f"{_and(logs)} {verb} taken in logarithms")
    if others:
        said.append(f"the transform of Yeo and Johnson is applied to {_and(others)}")
    if not said:
        return
    text = "; ".join(said)
    compared = chosen["error"] != chosen["plain_error"]
    if compared and None not in (chosen["error"], chosen["plain_error"]):
        text += f": error of left-out rows {chosen['error']:.2g}"
        text += f" against {chosen['plain_error']:.2g} plain"
    if compared and None not in (chosen["typical"], chosen["plain_typical"]):
        typical, plain = 100 * chosen["typical"], 100 * chosen["plain_typical"]
        text += f", half of them within {typical:.2g} % of the value against {plain:.2g} %"
    yield f"{text[0].upper()}{text[1:]}."


def _named(what: str, kinds: Sequence[str], kind: str, names: Sequence[str]) -> list[str]:
    which = [k for k, own in enumerate(kinds) if own == kind]
    if names:
        return [repr(names[k]) for k in which]
    if what == "target" and len(kinds) == 1:
        return ["the target"] * len(which)
    return [f"{what} {k + 1}" for k in which]


def _and(names: Sequence[str]) -> str:
    return " and ".join(filter(None, [", ".join(names[:-1]), names[-1]]))

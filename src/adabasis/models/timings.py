"""Seconds of a call by kind, as models carry them."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Mapping
from typing import Any, Self, TypeVar

from .._runtime.timing import KINDS, Spent, timed

AnyFunction = TypeVar("AnyFunction", bound=Callable[..., Any])


@dataclasses.dataclass(frozen=True)
class Timings:
    """Seconds that a call took, each as ``(cpu, wall)``; the imports before it are not counted.

    Attributes
    ----------
    compile : Spent
        JAX's tracing, lowering and compiling of programs, or fetching them from the cache.
    solves : Spent
        Solves of the last layer and leave-one-out errors.
    steps : Spent
        Descent on ξ, less its compilation.
    other : Spent
        The rest: checks and preparation of data, evidence.
    """

    compile: Spent
    solves: Spent
    steps: Spent
    other: Spent

    @property
    def total(self) -> Spent:
        """All seconds."""
        spent = [getattr(self, kind) for kind in KINDS]
        return Spent(sum(one.cpu for one in spent), sum(one.wall for one in spent))

    def to_json(self) -> dict[str, Any]:
        """Return the seconds by kind and clock, and their total."""
        spent = {kind: getattr(self, kind) for kind in KINDS} | {"total": self.total}
        return {kind: one._asdict() for kind, one in spent.items()}

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> Self:
        """Return what :meth:`to_json` described."""
        return cls(**{kind: Spent(**document[kind]) for kind in KINDS})

    def __str__(self) -> str:
        """Name the processor's seconds of each kind, and the total."""
        each = ", ".join(f"{kind} {getattr(self, kind).cpu:.1f}" for kind in KINDS)
        return f"{self.total.cpu:.1f} CPU seconds: {each}"


def with_timings(function: AnyFunction) -> AnyFunction:
    """Let a public function tell in the record of its model where its seconds went."""

    @functools.wraps(function)
    def call(*args: Any, **named: Any) -> Any:
        with timed() as clock:
            model = function(*args, **named)
            timings = Timings(**clock.read())
        record = dataclasses.replace(model.record, timings=timings)
        return dataclasses.replace(model, record=record)

    return call  # type: ignore[return-value]

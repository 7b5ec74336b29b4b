"""Where the seconds of a call go: compilation, solves of the last layer, steps of descent, others.

Compilation is what JAX says of it (tracing, lowering, and compiling or fetching from the cache). It
tells when a program was ready, and how long that took by the wall's clock; the processor's seconds
are interpolated between the moments at which both clocks were read.
"""

from __future__ import annotations

import bisect
import contextlib
import functools
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple, ParamSpec, TypeVar

KINDS = ("compile", "solves", "steps", "other")


class Spent(NamedTuple):
    """Seconds of the processor, all threads of the process together, and of the wall's clock."""

    cpu: float
    wall: float


class Clock:
    """Seconds by kind since it was made; one kind is charged at any time."""

    def __init__(self) -> None:
        self.spent = dict.fromkeys(KINDS, (0.0, 0.0))
        self.kind = "other"
        self._marks = [(time.time(), time.process_time())]
        self._compiled: list[tuple[float, Spent]] = []

    def charge(self) -> None:
        """Charge what has passed since the last call to the kind that goes on."""
        (wall, cpu), now = self._marks[-1], (time.time(), time.process_time())
        self._marks.append(now)
        self._move(self.kind, Spent(now[1] - cpu, now[0] - wall))

    def compiled(self, start: float, end: float) -> None:
        """Count a span as compilation; spans of what it called inside are parts of it."""
        self.charge()
        start = max(start, self._marks[0][0])
        cpu, wall = self._cpu_at(end) - self._cpu_at(start), end - start
        within = [(0.0, Spent(0.0, 0.0))]
        while self._compiled and self._compiled[-1][0] >= start:
            within.append(self._compiled.pop())
        self._compiled.append((start, Spent(cpu, wall)))
        new = Spent(
            max(cpu - sum(one.cpu for _, one in within), 0.0),
            max(wall - sum(one.wall for _, one in within), 0.0),
        )
        self._move("compile", new)
        self._move(self.kind, Spent(-new.cpu, -new.wall))

    def _move(self, kind: str, more: Spent) -> None:
        cpu, wall = self.spent[kind]
        self.spent[kind] = cpu + more.cpu, wall + more.wall

    def _cpu_at(self, moment: float) -> float:
        k = min(max(bisect.bisect(self._marks, (moment, float("inf"))), 1), len(self._marks) - 1)
        (before, low), (after, high) = self._marks[k - 1 : k + 1]
        share = (moment - before) / (after - before) if after > before else 1.0
        return low + min(max(share, 0.0), 1.0) * (high - low)

    def read(self) -> dict[str, Spent]:
        """Return the seconds by kind up to now."""
        self.charge()
        return {kind: Spent(*(max(s, 0.0) for s in both)) for kind, both in self.spent.items()}


_here = threading.local()


def _clocks() -> list[Clock]:
    clocks: list[Clock] = _here.__dict__.setdefault("clocks", [])
    return clocks


@contextlib.contextmanager
def timed() -> Iterator[Clock]:
    """Time a block of this thread; blocks inside it have clocks of their own."""
    import jax

    clock, clocks = Clock(), _clocks()

    def listen(event: str, start_time: float, end_time: float, **_: Any) -> None:
        if event.startswith("/jax/core/compile/") and clock in _clocks():
            clock.compiled(start_time, end_time)

    jax.monitoring.register_event_time_span_listener(listen)
    clocks.append(clock)
    try:
        yield clock
    finally:
        clocks.remove(clock)
        jax.monitoring.unregister_event_time_span_listener(listen)


_Given = ParamSpec("_Given")
_Returned = TypeVar("_Returned")


def charged_to(kind: str) -> Callable[[Callable[_Given, _Returned]], Callable[_Given, _Returned]]:
    """Charge the seconds of a function to a kind, what is counted inside it apart."""

    def decorate(function: Callable[_Given, _Returned]) -> Callable[_Given, _Returned]:
        @functools.wraps(function)
        def call(*args: _Given.args, **named: _Given.kwargs) -> _Returned:
            clocks = list(_clocks())
            before = [clock.kind for clock in clocks]
            for clock in clocks:
                clock.charge()
                clock.kind = kind
            try:
                return function(*args, **named)
            finally:
                for clock, was in zip(clocks, before, strict=True):
                    clock.charge()
                    clock.kind = was

        return call

    return decorate

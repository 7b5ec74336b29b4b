"""Wall-clock, compile and CPU time of a block of code."""

from __future__ import annotations

import contextlib
import dataclasses
import gc
import time
from collections.abc import Iterator, Sequence
from typing import Any

import jax

Span = tuple[float, float]


@dataclasses.dataclass
class Timing:
    """Filled in when the block ends.

    Attributes
    ----------
    seconds : float
        Wall-clock time, less compilation.
    compile_seconds : float
        Wall-clock time that JAX spent tracing, lowering and compiling.
    cpu_seconds : float
        Of all threads of this process, compilation included.
    """

    seconds: float = 0.0
    compile_seconds: float = 0.0
    cpu_seconds: float = 0.0


@contextlib.contextmanager
def timed() -> Iterator[Timing]:
    """Time a block; results must be ready before it ends (``jax.block_until_ready``)."""
    spans: list[Span] = []

    def listen(event: str, start_time: float, end_time: float, **_: Any) -> None:
        if event.startswith("/jax/core/compile/"):
            spans.append((start_time, end_time))

    timing = Timing()
    jax.monitoring.register_event_time_span_listener(listen)
    wall, cpu = time.perf_counter(), time.process_time()
    try:
        yield timing
    finally:
        elapsed = time.perf_counter() - wall
        timing.cpu_seconds = time.process_time() - cpu
        jax.monitoring.unregister_event_time_span_listener(listen)
        timing.compile_seconds = min(covered(spans), elapsed)
        timing.seconds = elapsed - timing.compile_seconds


def covered(spans: Sequence[Span]) -> float:
    """Return the length of a union of intervals: compilations nest, and may overlap."""
    total, reached = 0.0, float("-inf")
    for start, end in sorted(spans):
        total += max(0.0, end - max(start, reached))
        reached = max(reached, end)
    return total


def start_afresh() -> None:
    """Empty JAX's compile caches, so that the next call pays what a first call pays."""
    jax.clear_caches()
    gc.collect()

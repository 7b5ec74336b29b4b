"""Float64 and one BLAS thread, for the time of a call and in its thread only.

Both are scoped because global flags break other code of the user's. The float64 setting of JAX is
thread-local: work handed to another thread enters its own scope. BLAS threads are capped because
small factorizations run up to a hundred times slower when several threads share them.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import jax
import threadpoolctl


@contextlib.contextmanager
def double_precision() -> Iterator[None]:
    """Compute in float64 inside the block."""
    with jax.enable_x64(True):
        yield


@contextlib.contextmanager
def numerics() -> Iterator[None]:
    """Compute in float64 with one BLAS thread inside the block."""
    with threadpoolctl.threadpool_limits(limits=1, user_api="blas"), double_precision():
        yield

"""Float64 and one BLAS thread, for the time of a call and in its thread only.

Both are scoped because global flags break other code of the user's. The float64 setting of JAX is
thread-local: work handed to another thread enters its own scope. BLAS threads are capped because
small factorizations run up to a hundred times slower when several threads share them.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
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


def check_precision(call: str, trees: Any) -> None:
    """Refuse single and double precision together, and double where JAX computes in single.

    Raises
    ------
    TypeError
    """
    # What JAX makes of an array of NumPy's depends on its scope, an array of its own stays.
    found = {
        leaf.dtype if isinstance(leaf, jax.Array) else jax.dtypes.canonicalize_dtype(leaf.dtype)
        for leaf in jax.tree.leaves(trees)
        if isinstance(leaf, jax.Array | np.ndarray) and jnp.issubdtype(leaf.dtype, jnp.floating)
    }
    if len(found) > 1 or found - {jax.dtypes.canonicalize_dtype(dtype) for dtype in found}:
        names = " and ".join(sorted(dtype.name for dtype in found))
        scope = "on" if jax.config.read("jax_enable_x64") else "off"
        raise TypeError(
            f"{call}: expected arrays of one precision, got {names} with JAX's double precision "
            f"{scope}. Make the parameters and the objective, and call {call}, inside "
            "`with adabasis.train.numerics():`."
        )

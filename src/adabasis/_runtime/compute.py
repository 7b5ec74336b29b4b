"""How computations run: in float64 on one BLAS thread, compiled in less time.

Precision and threads are scoped because global flags break other code of the user's. The float64
setting of JAX is thread-local: work handed to another thread enters its own scope. BLAS threads
are capped because small factorizations run up to a hundred times slower when several threads share
them.

Compilation: a fit by default runs some dozens of programs, most of them once or a few hundred
times, and their work is done by LAPACK and BLAS, which no compiler makes faster. On processors XLA
spends half its time in emitters and levels of optimisation that such programs never earn back: a
Gauss–Newton step of a network 16 wide and 2 deep on 900 rows compiles in 2.5 s instead of 5.3 and
takes as long; the draw of its parameters in .8 s instead of 2.9. Deep networks under thousands of
gradient steps do earn it: those are compiled as XLA sees fit.
"""

from __future__ import annotations

import contextlib
import functools
import os
import sys
from collections.abc import Callable, Iterator
from typing import Any, ParamSpec, TypeVar

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import threadpoolctl

from .cache import keeping

# Threads of JAX do not survive a fork: whoever waits for one in the child waits for ever.
_jax = {"used": False, "running": False, "lost": False}


def _before_fork() -> None:
    # JAX has no public name for this; others than we may have started it.
    asked = getattr(sys.modules.get("jax._src.xla_bridge"), "backends_are_initialized", None)
    _jax["running"] = asked() if asked else _jax["used"]


def _in_forked_child() -> None:
    _jax["lost"] |= _jax["running"]


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_before_fork, after_in_child=_in_forked_child)


@contextlib.contextmanager
def double_precision() -> Iterator[None]:
    """Compute in float64 inside the block, and keep what is compiled.

    Raises
    ------
    RuntimeError
        In a process forked from one that JAX was running in.
    """
    if _jax["lost"]:
        raise RuntimeError(
            "adabasis: JAX was running when this process was forked, and would wait here for ever. "
            "Fits, derivatives and activations of your own need processes of their own: "
            'multiprocessing.get_context("spawn") or ("forkserver") starts such, and so does '
            "joblib by default. Values and probabilities of a fitted model are had in forked "
            "processes, too."
        )
    _jax["used"] = True
    with keeping(), jax.enable_x64(True):
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


_Given = ParamSpec("_Given")
_Returned = TypeVar("_Returned")

_EMITTERS, _LEVEL = "xla_cpu_use_fusion_emitters", "xla_backend_optimization_level"
_SEVERAL: dict[str, Any] = {_EMITTERS: False, _LEVEL: 1}
_ONCE: dict[str, Any] = {_EMITTERS: False, _LEVEL: 0}


def quickly(
    jit: Callable[..., Any] = eqx.filter_jit, *, once: bool = False
) -> Callable[[Callable[_Given, _Returned]], Callable[_Given, _Returned]]:
    """Compile a function with less effort than usual, on processors and where XLA allows it.

    Inside another function that is being compiled or differentiated, to which alone such choices
    belong, the function is what it was.

    Parameters
    ----------
    jit : callable
        ``equinox.filter_jit``, or ``jax.jit`` with its static arguments.
    once : bool
        With least effort: the function runs once, or on few numbers.
    """

    def decorate(function: Callable[_Given, _Returned]) -> Callable[_Given, _Returned]:
        @functools.cache
        def compiled() -> Callable[_Given, _Returned]:
            options = _accepted(once)  # asks for the devices, which importing must not
            made: Callable[_Given, _Returned]
            made = jit(function, compiler_options=options) if options else jit(function)
            return made

        @functools.wraps(function)
        def call(*args: _Given.args, **keywords: _Given.kwargs) -> _Returned:
            traced = any(
                isinstance(leaf, jax.core.Tracer) for leaf in jax.tree.leaves((args, keywords))
            )
            return function(*args, **keywords) if traced else compiled()(*args, **keywords)

        return call

    return decorate


@functools.cache
def _accepted(once: bool) -> dict[str, Any] | None:
    # Return the options, or nothing on accelerators and where XLA no longer knows their names.
    if jax.default_backend() != "cpu":
        return None
    options = _ONCE if once else _SEVERAL
    try:
        jax.jit(jnp.negative, compiler_options=options)(0.0)
    except jax.errors.JaxRuntimeError:
        return None
    return options

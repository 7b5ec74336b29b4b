"""Compilation in less time, for functions that run for less time than theirs to compile.

A fit by default runs some dozens of programs, most of them once or a few hundred times, and their
work is done by LAPACK and BLAS, which no compiler makes faster. On processors XLA spends half its
time in emitters and levels of optimisation that such programs never earn back: a Gauss–Newton step
of a network 16 wide and 2 deep on 900 rows compiles in 2.5 s instead of 5.3 and takes as long; the
draw of its parameters in .8 s instead of 2.9. Deep networks under thousands of gradient steps do
earn it: those are compiled as XLA sees fit.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, ParamSpec, TypeVar

import equinox as eqx
import jax
import jax.numpy as jnp

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

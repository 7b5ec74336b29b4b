"""The arguments ``client`` and ``checkpoint`` of public functions that search."""

from __future__ import annotations

import contextlib
import functools
import inspect
from collections.abc import Callable
from typing import Any, TypeVar

from ..rows.dask_engine import engine_of
from ..rows.engine import using
from .checkpoints import Checkpoint, keeping

AnyFunction = TypeVar("AnyFunction", bound=Callable[..., Any])


def on_workers(function: AnyFunction) -> AnyFunction:
    """Give a public function the arguments ``client`` and ``checkpoint``.

    Independent work is done by the workers of the former; runs that are over, and the one that
    goes on, are kept in a file of the name of the latter.
    """
    signature = inspect.signature(function)

    @functools.wraps(function)
    def call(*args: Any, **named: Any) -> Any:
        client, path = named.pop("client", None), named.pop("checkpoint", None)
        name = function.__name__
        with contextlib.ExitStack() as blocks:
            if client is not None:
                blocks.enter_context(using(engine_of(name, client)))
            if path is not None:
                blocks.enter_context(keeping(Checkpoint(path, name)))
            return function(*args, **named)

    only = inspect.Parameter.KEYWORD_ONLY
    hidden = [inspect.Parameter(name, only, default=None) for name in ("client", "checkpoint")]
    shown = [*signature.parameters.values(), *hidden]
    call.__signature__ = signature.replace(parameters=shown)  # type: ignore[attr-defined]
    return call  # type: ignore[return-value]

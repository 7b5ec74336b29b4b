"""The argument ``client`` of public functions: who does what can be done apart."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Any, TypeVar

from ..rows.dask_engine import engine_of
from ..rows.engine import using

AnyFunction = TypeVar("AnyFunction", bound=Callable[..., Any])


def on_workers(function: AnyFunction) -> AnyFunction:
    """Give a public function the argument ``client``: its independent work is done there."""
    signature = inspect.signature(function)

    @functools.wraps(function)
    def call(*args: Any, **named: Any) -> Any:
        client = named.pop("client", None)
        if client is None:
            return function(*args, **named)
        with using(engine_of(function.__name__, client)):
            return function(*args, **named)

    hidden = inspect.Parameter("client", inspect.Parameter.KEYWORD_ONLY, default=None)
    shown = [*signature.parameters.values(), hidden]
    call.__signature__ = signature.replace(parameters=shown)  # type: ignore[attr-defined]
    return call  # type: ignore[return-value]

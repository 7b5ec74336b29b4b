"""Parts of long experiments, kept on disk until the whole is done.

An experiment at its published size takes hours. What it trains goes through :func:`kept`; stopped
and started again, it goes on after the last part that was finished.
"""

from __future__ import annotations

import contextlib
import contextvars
import dataclasses
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import ParamSpec, TypeVar

from joblib import Memory

_Given = ParamSpec("_Given")
_Returned = TypeVar("_Returned")


@dataclasses.dataclass
class Parts:
    """The parts of one experiment: where they are, and how many there have been.

    Attributes
    ----------
    memory : joblib.Memory
        Its keys are a function's source and its arguments.
    told : callable
        Called without arguments after each part.
    done, found : int
        Parts so far, and those of them that an earlier run had finished.
    """

    memory: Memory
    told: Callable[[], object]
    done: int = 0
    found: int = 0


_PARTS: contextvars.ContextVar[Parts | None] = contextvars.ContextVar("parts", default=None)


@contextlib.contextmanager
def keeping(folder: Path, told: Callable[[], object] = lambda: None) -> Iterator[Parts]:
    """Keep the results of :func:`kept` in a folder while the block runs."""
    parts = Parts(Memory(folder, verbose=0), told)
    token = _PARTS.set(parts)
    try:
        yield parts
    finally:
        _PARTS.reset(token)


def kept(
    function: Callable[_Given, _Returned], *args: _Given.args, **keywords: _Given.kwargs
) -> _Returned:
    """Return ``function(*args)``, of an earlier run where it has been kept."""
    parts = _PARTS.get()
    if parts is None:
        return function(*args, **keywords)
    cached = parts.memory.cache(function)
    parts.found += cached.check_call_in_cache(*args, **keywords)
    result: _Returned = cached(*args, **keywords)
    parts.done += 1
    parts.told()
    return result

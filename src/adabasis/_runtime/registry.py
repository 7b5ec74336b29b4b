"""What a module asks of one further down the path, by name.

A fitted function draws itself and writes its report, and a file names the kind of model that it
holds. Who does that comes later on the path, and is not imported from above: the package declares
it, once, in its ``__init__``.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from typing import Any

_PROVIDERS: dict[str, str] = {}


def declare(providers: Mapping[str, str]) -> None:
    """Say who provides what: ``"module:attribute"`` by name."""
    _PROVIDERS.update(providers)


def provided(name: str) -> Any:
    """Return what was declared under a name, importing its module on first use.

    Raises
    ------
    LookupError
        If nothing was.
    """
    if name not in _PROVIDERS:
        raise LookupError(f"nothing provides {name!r}; known are {', '.join(sorted(_PROVIDERS))}.")
    module, _, attribute = _PROVIDERS[name].partition(":")
    return getattr(importlib.import_module(module), attribute)

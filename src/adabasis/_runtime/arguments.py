"""Arguments that a public function does not have are told by the names of those it has."""

from __future__ import annotations

import difflib
import functools
import inspect
from collections.abc import Callable
from typing import Any, TypeVar

from .errors import listed

AnyFunction = TypeVar("AnyFunction", bound=Callable[..., Any])


def told_arguments(function: AnyFunction) -> AnyFunction:
    """Let a function name the arguments that may be meant where it is called with others.

    Raises
    ------
    TypeError
        By the function returned, for names that are no arguments of it, and for too few or too
        many arguments.
    """
    signature = inspect.signature(function)
    names = list(signature.parameters)

    @functools.wraps(function)
    def call(*args: Any, **named: Any) -> Any:
        unknown = [name for name in named if name not in names]
        if unknown:
            near = [n for word in unknown for n in difflib.get_close_matches(word, names, 2)]
            # Letters alone miss weights, which is part of sample_weight, and tolerance.
            part = [n for n in names for word in unknown if min(len(n), len(word)) > 2 and (
                word.rstrip("s") in n or n in word)]  # fmt: skip
            meant = list(dict.fromkeys([*near, *part]))
            hint = f"Did you mean {listed(meant)}?" if meant else f"It takes {', '.join(names)}."
            raise TypeError(f"{function.__name__}() has no argument {listed(unknown)}. {hint}")
        try:
            signature.bind(*args, **named)
        except TypeError as error:
            raise TypeError(f"{function.__name__}(): {error}.") from None
        return function(*args, **named)

    return call  # type: ignore[return-value]

"""Arguments that public functions take alike: the basis, and the trainer that a method names."""

from __future__ import annotations

import functools
import warnings
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from ..basis import AbstractBasis
from ..train import AbstractObjective, AbstractTrainer, named_trainers

AnyFunction = TypeVar("AnyFunction", bound=Callable[..., Any])


def basis_last(function: AnyFunction) -> AnyFunction:
    """Take the arguments of earlier versions, (basis, X, y), in the order (X, y, basis), too.

    A first argument that is a basis, a list of bases or ``None`` means the former.
    """

    @functools.wraps(function)
    def call(*args: Any, **named: Any) -> Any:
        if args and _is_basis(args[0]):
            warnings.warn(
                f"{function.__name__}(basis, X, y) is the order of earlier versions: write "
                f"{function.__name__}(X, y, basis).",
                FutureWarning,
                stacklevel=2,
            )
            args = (*args[1:3], args[0], *args[3:])
            if len(args) < 3:  # X or y stand by name
                named["basis"], args = args[-1], args[:-1]
        return function(*args, **named)

    return call  # type: ignore[return-value]


def _is_basis(argument: Any) -> bool:
    several = isinstance(argument, list | tuple) and len(argument) > 0
    listed = several and all(isinstance(one, AbstractBasis) for one in argument)
    return argument is None or isinstance(argument, AbstractBasis) or listed


def named_bases(basis: AbstractBasis | Sequence[AbstractBasis] | None) -> list[AbstractBasis]:
    """Return the bases that were named: one, several or none."""
    return [basis] if isinstance(basis, AbstractBasis) else list(basis or [])


def resolved_trainer(
    call: str,
    method: str | AbstractTrainer,
    bases: Sequence[AbstractBasis],
    objective: type[AbstractObjective],
) -> AbstractTrainer | str | None:
    """Return the trainer asked for, ``"frozen"``, or ``None`` where the method is open.

    Parameters
    ----------
    call : str
        The public function, for messages.
    method : str or AbstractTrainer
    bases : sequence of AbstractBasis
    objective : type
        What the trainer has to minimise.

    Raises
    ------
    ValueError
        For an unknown method, or one that cannot run with these bases.
    """
    if isinstance(method, str) and method == "auto":
        return None
    named = named_trainers(objective)
    own = isinstance(method, AbstractTrainer) and issubclass(objective, method.minimizes)
    if not own and method not in ("frozen", *named):
        raise ValueError(
            f"{call}(method={method!r}): expected 'auto', 'frozen', "
            f"{', '.join(map(repr, named))} or a trainer that minimises {objective.title}, such "
            "as GD(1e-3)."
        )
    if not bases:
        raise ValueError(
            f"{call}(basis=None, method={method!r}): only method='auto' chooses a basis."
        )
    frozen = [basis for basis in bases if not basis.trainable]
    if method != "frozen" and frozen:
        raise ValueError(
            f"{call}({frozen[0]!r}, method={method!r}): these functions are frozen. Use "
            "method='frozen', or a NeuralBasis to train."
        )
    return named[method]() if isinstance(method, str) and method in named else method

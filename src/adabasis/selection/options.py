"""What the front doors for numbers and for classes take alike: checked, recorded, handed on."""

from __future__ import annotations

import contextlib
import dataclasses
import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, TypeVar

from .._runtime.progress import ProgressLine
from ..basis import AbstractBasis
from ..train import AbstractTrainer, Callback
from .data import Prepared
from .search import AbstractSearch

AnySearch = TypeVar("AnySearch", bound=AbstractSearch)


@dataclasses.dataclass(frozen=True)
class Options:
    """How to fit.

    Attributes
    ----------
    call : str
        The front door, for messages.
    method, max_steps, max_seconds, tol, n_restarts, ensemble, ridge, random_state
        See :func:`adabasis.fit`.

    Raises
    ------
    ValueError
        For budgets that cannot be meant.
    """

    call: str
    method: str | AbstractTrainer
    max_steps: int | None
    max_seconds: float
    tol: float
    n_restarts: int
    ensemble: int | str
    ridge: float | str
    random_state: int

    def __post_init__(self) -> None:
        check_budgets(
            self.call, self.max_steps, self.max_seconds, self.tol, self.n_restarts,
            self.ensemble, self.ridge,
        )  # fmt: skip

    def trainer(
        self,
        bases: Sequence[AbstractBasis],
        named: Mapping[str, Callable[[], AbstractTrainer]],
        kinds: tuple[type[AbstractTrainer], ...],
        example: str,
    ) -> AbstractTrainer | str | None:
        """Return the trainer asked for, ``"frozen"``, or ``None`` where the method is open.

        Parameters
        ----------
        bases : sequence of AbstractBasis
        named : mapping
            Trainers by the names of methods.
        kinds : tuple of types
            Those that can run here.
        example : str
            One of them, for the message.
        """
        call, method = self.call, self.method
        if method == "auto":
            return None
        trainer = method
        if isinstance(method, str) and method in named:
            trainer = named[method]()
        elif method != "frozen" and not isinstance(method, kinds):
            raise ValueError(
                f"{call}(method={method!r}): expected 'auto', 'frozen', "
                f"{', '.join(map(repr, named))} or a trainer such as {example}."
            )
        if not bases:
            raise ValueError(
                f"{call}(basis=None, method={method!r}): only method='auto' chooses a basis."
            )
        frozen = [basis for basis in bases if not basis.trainable]
        if trainer != "frozen" and frozen:
            raise ValueError(
                f"{call}({frozen[0]!r}, method={method!r}): these functions are frozen. Use "
                "method='frozen', or a NeuralBasis to train."
            )
        return trainer

    def members(self, bases: Sequence[AbstractBasis], usual: int) -> int:
        """Return how many are averaged: the usual number where no basis is named."""
        if isinstance(self.ensemble, str):
            return 1 if bases else usual
        return int(self.ensemble)

    def settings(self, data: Prepared, **more: Any) -> dict[str, Any]:
        """Return the options as a model keeps them."""
        names = ("tol", "n_restarts", "ensemble", "ridge", "random_state")
        return {
            "method": self.method if isinstance(self.method, str) else repr(self.method),
            "max_steps": self.max_steps,
            "max_seconds": self.max_seconds if math.isfinite(self.max_seconds) else None,
            **{name: getattr(self, name) for name in names},
            **more,
            "n_rows": data.n_rows,
        }

    def search(
        self, kind: type[AnySearch], data: Prepared, callbacks: tuple[Callback, ...]
    ) -> AnySearch:
        """Return a search that begins now."""
        deadline = time.perf_counter() + self.max_seconds
        return kind(
            data, self.max_steps, self.tol, deadline, self.n_restarts, self.ridge, callbacks
        )


def named_bases(basis: AbstractBasis | Sequence[AbstractBasis] | None) -> list[AbstractBasis]:
    """Return the bases that were named: one, several or none."""
    return [basis] if isinstance(basis, AbstractBasis) else list(basis or [])


def check_budgets(
    call: str,
    max_steps: int | None,
    max_seconds: float,
    tol: float,
    n_restarts: int,
    ensemble: Any,
    ridge: Any,
) -> None:
    """Refuse budgets that cannot be meant, all of them in one message."""
    wrong = [
        text
        for ok, text in [
            (max_steps is None or max_steps >= 0, f"max_steps={max_steps}: at least 0"),
            (max_seconds > 0, f"max_seconds={max_seconds}: positive"),
            (tol >= 0, f"tol={tol}: at least 0"),
            (n_restarts >= 1, f"n_restarts={n_restarts}: at least 1"),
            (ensemble == "auto" if isinstance(ensemble, str) else ensemble >= 1,
             f"ensemble={ensemble!r}: 'auto' or at least 1"),
            (ridge == "auto" if isinstance(ridge, str) else 0 <= ridge < math.inf,
             f"ridge={ridge!r}: 'auto' or a number of at least 0"),
        ]
        if not ok
    ]  # fmt: skip
    if wrong:
        raise ValueError(f"{call}({'; '.join(wrong)}).")


@contextlib.contextmanager
def shown(verbose: bool, max_steps: int | None) -> Iterator[tuple[Callback, ...]]:
    """Show progress inside the block, where asked."""
    if not verbose:
        yield ()
        return
    with ProgressLine(max_steps) as line:
        yield (line,)

"""What steps on mini-batches need to know: how many rows, which optimiser, what rate."""

from __future__ import annotations

import dataclasses
import functools
import math
import numbers
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from .soap import scale_by_soap

if TYPE_CHECKING:  # it takes .1 s, and default fits of few rows need none of it
    import optax

#: Optimisers by name: of Adam's ε, directions without a rate that the step goes against.
OPTIMIZERS: dict[str, Callable[[float], optax.GradientTransformation]] = {
    "adam": lambda epsilon: _adam(epsilon),
    "soap": lambda epsilon: scale_by_soap(epsilon=epsilon),
}


def _adam(epsilon: float) -> optax.GradientTransformation:
    import optax

    return optax.scale_by_adam(eps=epsilon)


@dataclasses.dataclass(frozen=True)
class Batches:
    """What a trainer says of its steps on mini-batches.

    Attributes
    ----------
    call : str
        The trainer's name, for messages.
    size : int
        Rows of a batch.
    optimizer : str or optax.GradientTransformation
        A name in :data:`OPTIMIZERS`, or one of Optax's, whose updates are added.
    rate : float, Optax schedule or "auto"
        A number is the largest of the schedule; ``"auto"`` finds it by a short test.
    epsilon : float
        Adam's ε.
    """

    call: str
    size: int
    optimizer: Any
    rate: Any
    epsilon: float

    @property
    def transformation(self) -> optax.GradientTransformation:
        """What makes updates of gradients, to be added times the rate."""
        return _transformation(self.optimizer, self.epsilon)


@functools.cache
def _transformation(optimizer: Any, epsilon: float) -> optax.GradientTransformation:
    # The same object each time: compiled code belongs to it.
    if not isinstance(optimizer, str):
        return optimizer
    import optax

    return optax.chain(OPTIMIZERS[optimizer](epsilon), optax.scale(-1.0))


def check_batches(trainer: str, size: Any, optimizer: Any) -> None:
    """Refuse what is no number of rows, and what is no optimiser.

    Raises
    ------
    ValueError
    """
    whole = isinstance(size, numbers.Integral) and not isinstance(size, bool)
    if size is not None and not (whole and size >= 1):
        raise ValueError(
            f"{trainer}(batch_size={size!r}): expected a whole number of rows, at least 1, or None "
            "for steps on all rows."
        )
    known = optimizer in OPTIMIZERS if isinstance(optimizer, str) else _is_transformation(optimizer)
    if not known:
        raise ValueError(
            f"{trainer}(optimizer={optimizer!r}): expected {', '.join(map(repr, OPTIMIZERS))} or a "
            "transformation of Optax's, such as optax.lion(1.0), whose own rate the schedule "
            "multiplies."
        )
    if size is None and optimizer != "adam":
        raise ValueError(
            f"{trainer}(optimizer={optimizer!r}): optimisers are for steps on mini-batches. Give "
            "batch_size, such as 512, too."
        )


def _is_transformation(optimizer: Any) -> bool:
    return all(callable(getattr(optimizer, name, None)) for name in ("init", "update"))


def is_number(rate: Any) -> bool:
    """Whether a rate is one number."""
    return isinstance(rate, numbers.Real) and math.isfinite(rate)

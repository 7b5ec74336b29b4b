"""What a training run leaves behind: why it ended, its history, and snapshots on the way."""

from __future__ import annotations

import dataclasses
import enum
from typing import NamedTuple

import jax
import numpy as np

from .._runtime.notation import AnyArray, Parameters
from .._runtime.progress import Progress


class StopReason(enum.StrEnum):
    """Why a run ended."""

    SOLVED = "one least-squares solve: nothing to train"
    TOLERANCE = "tolerance reached"
    CONVERGED = "no step lowers the loss any further"
    VALIDATION = "held-out error stopped falling"
    MAX_STEPS = "step budget used up"
    MAX_SECONDS = "time budget used up"
    DIVERGED = "loss not finite: the best iterate before it was kept"
    INTERRUPTED = "interrupted: the best iterate so far was kept"
    CALLBACK = "stopped by a callback"


@dataclasses.dataclass(frozen=True)
class History:
    """One row per step; ``validation`` rows are the (step, error) pairs measured.

    Attributes
    ----------
    loss : array, shape (steps + 1,)
        Mean squared residual in the model's units; entry 0 is before the first step.
    rank, learning_rate : arrays, shape (steps + 1,)
    seconds : array, shape (steps + 1,)
        Since the start of the run, compile time included; a block shares its time evenly.
    validation_step, validation : arrays, shape (checks,)
        Held-out root mean square in the model's units.
    """

    loss: np.ndarray
    rank: np.ndarray
    learning_rate: np.ndarray
    seconds: np.ndarray
    validation_step: np.ndarray
    validation: np.ndarray

    def __len__(self) -> int:
        return len(self.loss)

    @classmethod
    def of_one_solve(cls, loss: float, rank: float) -> History:
        """Return the record of coefficients solved once, on functions that stayed as drawn."""
        nothing = np.zeros(1)
        return cls(
            np.array([loss]), np.array([rank]), nothing, nothing, np.zeros(0, int), np.zeros(0)
        )


#: Snapshots kept of a run: where there are more, every other one is dropped.
MOST_KEPT = 65


class Snapshot(NamedTuple):
    """ξ and c after some steps of training."""

    step: int
    parameters: Parameters
    coefficients: AnyArray


class Snapshots:
    """A callback that keeps what it is shown, every so often and evenly over the run: ``kept``."""

    def __init__(self) -> None:
        self.every, self.seen = 1, 0
        self.kept: list[Snapshot] = []

    def __call__(self, progress: Progress) -> None:
        """Keep the progress if its turn has come."""
        if self.seen % self.every == 0:
            self.kept.append(Snapshot(progress.step, progress.parameters, progress.coefficients))
        self.seen += 1
        if len(self.kept) == MOST_KEPT:
            self.kept, self.every = self.kept[::2], 2 * self.every

    def before(self, step: int, most: int = 12) -> tuple[Snapshot, ...]:
        """Return snapshots from before a step, evenly spread, as NumPy arrays."""
        found = [snapshot for snapshot in self.kept if snapshot.step < step]
        chosen = np.unique(np.linspace(0, len(found) - 1, most).astype(int)) if found else ()
        return tuple(
            Snapshot(found[k].step, *jax.tree.map(np.asarray, found[k][1:])) for k in chosen
        )

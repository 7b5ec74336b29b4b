"""What a training run leaves behind: its history, why it ended, and the tape to resume from."""

from __future__ import annotations

import dataclasses
import enum
from typing import Any, NamedTuple

import jax
import numpy as np
from jax import Array

from .._runtime.notation import AnyArray, Parameters
from .._runtime.progress import Progress
from .steps import Evaluation


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


MOST_KEPT = 65


class Snapshot(NamedTuple):
    """ξ and c after some steps of training."""

    step: int
    parameters: Parameters
    coefficients: AnyArray


class Snapshots:
    """A callback that keeps what it is shown, every so often and evenly over the run.

    Attributes
    ----------
    kept : list of Snapshot
        Where there are :data:`MOST_KEPT`, every other one is dropped.
    """

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


@dataclasses.dataclass(frozen=True)
class Tape:
    """All that a run has done and needs to go on, as if it had never stopped.

    Attributes
    ----------
    state : pytree
        The trainer's.
    best, now : Evaluation
        Of least loss, and the last.
    step : int
        Evaluations so far, one more than steps.
    records, seconds : tuples of arrays
        Loss, rank and rate, (3, n) a block; and the time of each.
    checks : tuple of (step, held-out error)
        Those that were due by the step count: a check because of a stop leaves no trace.
    kept : (Evaluation, step, error) or None
        The one of least held-out error among them.
    """

    state: Any
    best: Evaluation
    now: Evaluation
    step: int = 0
    records: tuple[np.ndarray, ...] = ()
    seconds: tuple[np.ndarray, ...] = ()
    checks: tuple[tuple[int, float], ...] = ()
    kept: tuple[Evaluation, int, float] | None = None

    @property
    def elapsed(self) -> float:
        """Seconds so far."""
        return float(self.seconds[-1][-1]) if self.seconds else 0.0

    def checked(self, error: float) -> Tape:
        """Add a held-out error, measured now."""
        done = self.step - 1
        kept = self.kept
        if kept is None or error < kept[2]:
            kept = (self.now, done, error)
        return dataclasses.replace(self, checks=(*self.checks, (done, error)), kept=kept)

    @property
    def best_step(self) -> int:
        """The step of least loss."""
        losses = np.concatenate([np.zeros(0), *(r[0] for r in self.records)])
        return int(np.where(np.isnan(losses), np.inf, losses).argmin()) if losses.size else 0

    @property
    def history(self) -> History:
        """The record, one row per step."""
        loss, rank, rate = np.concatenate([np.zeros((3, 0)), *self.records], axis=1)
        checks = np.array(self.checks).reshape(-1, 2)
        seconds = np.concatenate([np.zeros(0), *self.seconds])
        return History(loss, rank, rate, seconds, checks[:, 0].astype(int), checks[:, 1])


@dataclasses.dataclass(frozen=True)
class Run:
    """The end of a run: the best iterate, the record, and the tape to resume from."""

    parameters: Parameters
    coefficients: Array
    loss: float
    step: int
    validation: float | None
    history: History
    stop_reason: StopReason
    tape: Tape

    @property
    def state(self) -> Any:
        """The trainer's last state."""
        return self.tape.state

    @property
    def last(self) -> Evaluation:
        """The last evaluation."""
        return self.tape.now

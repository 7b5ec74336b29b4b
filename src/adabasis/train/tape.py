"""What a run has done and needs to go on: its tape; and what it ends with."""

from __future__ import annotations

import dataclasses
from typing import Any, NamedTuple

import numpy as np
from jax import Array

from .._runtime.notation import Parameters
from .base import Evaluation
from .exact import Solved
from .record import History, StopReason


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
    def last(self) -> Evaluation:
        """The last evaluation."""
        return self.now

    @property
    def elapsed(self) -> float:
        """Seconds so far."""
        return float(self.seconds[-1][-1]) if self.seconds else 0.0

    def checked(self, error: float) -> Tape:
        """Add a held-out error, measured now."""
        done, better = self.step - 1, self.kept is None or error < self.kept[2]
        kept = (self.now, done, error) if better else self.kept
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
class Iterate:
    """Where descent is: (ξ, c) and the optimiser's state, both in single precision.

    Attributes
    ----------
    variables : (pytree, array)
        ξ for standardised inputs, and the coefficients that belong to them.
    moments : pytree
    step : int
    over : float
        The share of the schedule that is over.
    """

    variables: Any
    moments: Any
    step: int = 0
    over: float = 0.0


class First(NamedTuple):
    """Where descent begins: ξ, the last layer solved there, its held-out error and its time."""

    parameters: Parameters
    solved: Solved
    error: float | None
    seconds: float


@dataclasses.dataclass(frozen=True)
class BatchTape:
    """All that a run on batches has done and needs to go on, as if it had never stopped.

    Attributes
    ----------
    first : First
    now, kept : Iterate
        The last, and that of least held-out error (of least loss where no rows are held out).
    seed : tuple of int
        Of the order of rows, with the number of the epoch.
    rate : float
        The largest of the schedule.
    error : float
        Of the iterate kept.
    losses, rates, seconds : tuples of arrays
        Of the steps, some at a time.
    checks : tuple of (step, held-out error)
    setbacks : int
        Returns to the best iterate because of a loss that was not finite.
    ends : int or None
        The step that the run ends at, where the held-out error has stopped falling.
    last : Evaluation or None
        The last iterate as it was when the run ended.
    """

    first: First
    now: Iterate
    kept: Iterate
    seed: tuple[int, ...]
    rate: float
    error: float
    losses: tuple[np.ndarray, ...] = ()
    rates: tuple[np.ndarray, ...] = ()
    seconds: tuple[np.ndarray, ...] = ()
    checks: tuple[tuple[int, float], ...] = ()
    setbacks: int = 0
    ends: int | None = None
    last: Evaluation | None = None

    @property
    def state(self) -> Any:
        """The optimiser's state."""
        return self.now.moments

    @property
    def elapsed(self) -> float:
        """Seconds so far."""
        return float(self.seconds[-1][-1]) if self.seconds else 0.0

    def history(self, rank: float) -> History:
        """Return the record: of the first solve, then of each step the loss of its batch."""
        begun = (self.first.solved.loss, 0.0, self.first.seconds)
        loss, rate, seconds = (
            np.concatenate([[first], *parts])
            for first, parts in zip(begun, (self.losses, self.rates, self.seconds), strict=True)
        )
        checks = np.array(self.checks).reshape(-1, 2)
        ranks = np.full(len(loss), rank)
        return History(loss, ranks, rate, seconds, checks[:, 0].astype(int), checks[:, 1])


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
    tape: Any

    @property
    def state(self) -> Any:
        """The trainer's last state."""
        return self.tape.state

    @property
    def setbacks(self) -> int:
        """How often it went back to the best iterate because of a loss that was not finite."""
        return getattr(self.tape, "setbacks", 0)

    @property
    def last(self) -> Evaluation:
        """The last evaluation."""
        assert self.tape.last is not None
        return self.tape.last

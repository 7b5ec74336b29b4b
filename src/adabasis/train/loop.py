"""The training loop: budgets, stop reasons, history, the best iterate, callbacks.

Steps run in compiled blocks whose length depends on the clock but whose arithmetic does not: the
same run cut into other blocks gives the same bits. Held-out error is taken at fixed step counts.
"""

from __future__ import annotations

import dataclasses
import enum
import time
from collections.abc import Callable, Iterable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from ..notation import AnyArray, Parameters, RandomKey
from .steps import AbstractTrainer, Evaluation, Objective

BLOCK = 100
"""Most steps in one compiled block, the length of its history buffers."""
BLOCK_SECONDS = 0.2
"""Blocks are cut to about this time, so that Ctrl-C and time limits act at once."""


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


@dataclasses.dataclass(frozen=True)
class Progress:
    """What callbacks see: a callback that returns true stops the run."""

    step: int
    loss: float
    validation: float | None
    best: float
    seconds: float
    parameters: Parameters
    coefficients: Array


Callback = Callable[[Progress], Any]


@dataclasses.dataclass(frozen=True)
class Budget:
    """When to stop.

    Attributes
    ----------
    max_steps : int
    max_seconds : float
        Compile time included; checked between blocks of about 0.2 s.
    tol : float
        Stop when the root mean square residual falls to ``tol`` times that of the data.
    check_every : int
        Steps between measurements of the held-out error and calls of the callbacks.
    patience : int
        Stop after this many steps without the held-out error falling by one per cent.
    """

    max_steps: int = 1000
    max_seconds: float = float("inf")
    tol: float = 0.0
    check_every: int = 20
    patience: int = 400

    @classmethod
    def of(cls, trainer: AbstractTrainer, max_steps: int | None = None, tol: float = 0.0) -> Budget:
        """Return the trainer's own pace, with the caller's limit on steps if there is one."""
        pace = trainer.pace
        steps = pace.steps if max_steps is None else max_steps
        return cls(steps, tol=tol, check_every=pace.check_every, patience=pace.patience)


@dataclasses.dataclass(frozen=True)
class Run:
    """The end of a run: the best iterate, the last state, the record."""

    parameters: Parameters
    coefficients: Array
    loss: float
    step: int
    validation: float | None
    state: Any
    last: Evaluation
    history: History
    stop_reason: StopReason


@eqx.filter_jit
def _block(
    trainer: AbstractTrainer, objective: Objective, state: Any, best: Evaluation, steps: Array
) -> tuple[Array, Any, Evaluation, Evaluation, tuple[Array, Array, Array]]:
    """Run ``steps`` ≤ BLOCK steps unless stuck, keeping the evaluation of least loss."""
    dtype = best.loss.dtype
    records = (jnp.zeros(BLOCK, dtype), jnp.zeros(BLOCK, dtype), jnp.zeros(BLOCK, dtype))

    def body(carry: Any) -> Any:
        i, state, best, _, records = carry
        state, now = trainer.step(objective, state)
        better = now.loss < best.loss
        best = jax.tree.map(lambda a, b: jnp.where(better, a, b), now, best)
        entries = (now.loss, now.rank.astype(dtype), now.rate)
        records = tuple(r.at[i].set(e) for r, e in zip(records, entries, strict=True))
        return i + 1, state, best, now, records

    unstuck = dataclasses.replace(best, stuck=jnp.asarray(False))
    carry = (jnp.zeros_like(steps), state, best, unstuck, records)
    done, state, best, now, records = jax.lax.while_loop(
        lambda c: (c[0] < steps) & ~c[3].stuck, body, carry
    )
    return done, state, best, now, records


def _nothing_yet(trainer: AbstractTrainer, objective: Objective, state: Any) -> Evaluation:
    """Return an evaluation of infinite loss, the shape of a real one, without compiling any."""
    shape = eqx.filter_eval_shape(trainer.step, objective, state)[1]
    zeros = jax.tree.map(lambda leaf: jnp.zeros(leaf.shape, leaf.dtype), shape)
    return dataclasses.replace(zeros, loss=jnp.full_like(zeros.loss, jnp.inf))


@eqx.filter_jit
def held_out_error(objective: Objective, parameters: Parameters, c: AnyArray) -> Array:
    """Return the root mean square of the rows' residual under given coefficients."""
    residual = objective.design(parameters) @ c - objective.targets
    return jnp.sqrt(jnp.sum(residual**2) / residual.shape[1])


def train(
    trainer: AbstractTrainer,
    objective: Objective,
    parameters: Parameters,
    *,
    key: RandomKey,
    budget: Budget | None = None,
    validation: Objective | None = None,
    callbacks: Iterable[Callback] = (),
) -> Run:
    """Train until a budget is used up, a tolerance is met or the held-out error stops falling.

    Parameters
    ----------
    trainer : AbstractTrainer
    objective : Objective
    parameters : pytree
        Initial ξ.
    key : random key
        For trainers that draw something (the last layer of joint training).
    budget : Budget, optional
    validation : Objective, optional
        Rows the coefficients never see. When given, the best iterate is the one with the least
        held-out error among those checked; otherwise the one of least loss among all.
    callbacks : iterable of callables
        Called with a :class:`Progress` at every check.

    Returns
    -------
    Run
    """
    return _Loop(
        trainer, objective, budget or Budget.of(trainer), validation, tuple(callbacks)
    ).run(trainer.init(objective, parameters, key))


class _Loop:
    """The mutable part of a run."""

    def __init__(
        self,
        trainer: AbstractTrainer,
        objective: Objective,
        budget: Budget,
        validation: Objective | None,
        callbacks: tuple[Callback, ...],
    ) -> None:
        self.trainer, self.objective, self.budget = trainer, objective, budget
        self.validation, self.callbacks = validation, callbacks
        self.start = time.perf_counter()
        self.records: list[np.ndarray] = []
        self.seconds: list[np.ndarray] = []
        self.checks: list[tuple[int, float]] = []
        self.step, self.block = 0, 1
        self.kept: tuple[Evaluation, int, float] | None = None
        self.target = (
            float(budget.tol**2 * jnp.sum(objective.targets**2)) / (objective.targets.shape[1])
        )

    def run(self, state: Any) -> Run:
        best = now = _nothing_yet(self.trainer, self.objective, state)
        reason = StopReason.INTERRUPTED
        try:
            while True:
                # Evaluations are one more than steps: the last block only evaluates.
                state, best, now = self._advance(state, best)
                found = self._look(now, best)
                if found is not None:
                    reason = found
                    break
        except KeyboardInterrupt:
            if not self.records:  # not even the first evaluation: there is nothing to keep
                raise
        chosen, step, error = self.kept or (best, self._best_step(), None)
        return Run(
            chosen.parameters,
            chosen.coefficients,
            float(chosen.loss),
            step,
            error,
            state,
            now,
            self._history(),
            reason,
        )

    def _advance(self, state: Any, best: Evaluation) -> tuple[Any, Evaluation, Evaluation]:
        every = self.budget.check_every
        until_check = every - (self.step - 1) % every if self.step else 1
        n = min(until_check, self.block, BLOCK, self.budget.max_steps + 1 - self.step)
        began = time.perf_counter()
        done, state, best, now, records = jax.block_until_ready(
            _block(self.trainer, self.objective, state, best, jnp.asarray(n))
        )
        ended, n = time.perf_counter(), int(done)
        self.records.append(np.stack([np.asarray(r)[:n] for r in records]))
        self.seconds.append(began - self.start + (ended - began) * np.arange(1, n + 1) / n)
        self.step += n
        if self.step > 1:  # the first block holds the compilation
            self.block = max(1, min(BLOCK, 2 * n, int(BLOCK_SECONDS * n / (ended - began))))
        return state, best, now

    def _look(self, now: Evaluation, best: Evaluation) -> StopReason | None:
        """Check the held-out error and callbacks when due, and say whether to stop."""
        done = self.step - 1
        loss, elapsed = float(now.loss), time.perf_counter() - self.start
        finished = self.step > self.budget.max_steps
        reached = float(best.loss) <= self.target
        late = elapsed > self.budget.max_seconds
        stuck = bool(now.stuck)
        due = done % self.budget.check_every == 0 or finished or reached or late or stuck
        error = self._check(now, done) if due and np.isfinite(loss) else None
        if due:
            top = float(best.loss) if self.kept is None else self.kept[2]
            progress = Progress(done, loss, error, top, elapsed, now.parameters, now.coefficients)
            answers = [callback(progress) for callback in self.callbacks]
            if any(answers):
                return StopReason.CALLBACK
        if not np.isfinite(loss):
            return StopReason.DIVERGED
        if reached:
            return StopReason.TOLERANCE
        if self._out_of_patience(done):
            return StopReason.VALIDATION
        if stuck:
            return StopReason.CONVERGED
        if finished:
            return StopReason.MAX_STEPS
        return StopReason.MAX_SECONDS if late else None

    def _check(self, now: Evaluation, done: int) -> float | None:
        if self.validation is None:
            return None
        error = float(held_out_error(self.validation, now.parameters, now.coefficients))
        self.checks.append((done, error))
        if self.kept is None or error < self.kept[2]:
            self.kept = (now, done, error)
        return error

    def _out_of_patience(self, done: int) -> bool:
        if not self.checks or done < self.budget.patience:
            return False
        recent = [e for s, e in self.checks if s > done - self.budget.patience]
        before = [e for s, e in self.checks if s <= done - self.budget.patience]
        return bool(before) and min(recent, default=np.inf) > 0.99 * min(before)

    def _best_step(self) -> int:
        losses = np.concatenate([r[0] for r in self.records]) if self.records else np.zeros(1)
        return int(np.nanargmin(losses)) if np.isfinite(losses).any() else 0

    def _history(self) -> History:
        empty = np.zeros((3, 0))
        loss, rank, rate = np.concatenate([empty, *self.records], axis=1)
        checks = np.array(self.checks).reshape(-1, 2)
        seconds = np.concatenate([np.zeros(0), *self.seconds])
        return History(loss, rank, rate, seconds, checks[:, 0].astype(int), checks[:, 1])

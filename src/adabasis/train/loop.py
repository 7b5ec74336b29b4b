"""The training loop: budgets, stop reasons, history, the best iterate, callbacks.

Steps run in compiled blocks whose length depends on the clock but whose arithmetic does not: the
same run cut into other blocks gives the same bits. Held-out error is taken at fixed step counts.
"""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Iterable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from ..notation import AnyArray, Parameters, RandomKey
from .cross_entropy import CrossEntropy
from .record import Callback, Progress, Run, StopReason, Tape
from .steps import AbstractTrainer, Evaluation, Objective

AnyObjective = Objective | CrossEntropy
BLOCK = 100
"""Most steps in one compiled block, the length of its history buffers."""
BLOCK_SECONDS = 0.2
"""Blocks are cut to about this time, so that Ctrl-C and time limits act at once."""


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


@eqx.filter_jit
def _block(
    trainer: AbstractTrainer,
    objective: AnyObjective,
    state: Any,
    best: Evaluation,
    steps: Array,
    target: Array,
) -> tuple[Array, Any, Evaluation, Evaluation, tuple[Array, Array, Array]]:
    """Run ``steps`` ≤ BLOCK steps unless stuck or at the target, keeping that of least loss."""
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
        lambda c: (c[0] < steps) & ~c[3].stuck & (c[2].loss > target), body, carry
    )
    return done, state, best, now, records


@eqx.filter_jit
def _begin(
    trainer: AbstractTrainer, objective: AnyObjective, parameters: Parameters, key: RandomKey
) -> tuple[Any, Evaluation]:
    """Return the first state, and an evaluation of infinite loss, the shape of a real one."""
    state = trainer.init(objective, parameters, key)
    shape = jax.eval_shape(lambda: trainer.step(objective, state))[1]
    zeros = jax.tree.map(lambda leaf: jnp.zeros(leaf.shape, leaf.dtype), shape)
    return state, dataclasses.replace(zeros, loss=jnp.full_like(zeros.loss, jnp.inf))


@eqx.filter_jit
def _goal(objective: AnyObjective, tol: Array) -> Array:
    return objective.goal(tol)


@eqx.filter_jit
def held_out_error(objective: AnyObjective, parameters: Parameters, c: AnyArray) -> Array:
    """Return the error of given coefficients: root mean square, of classes cross-entropy."""
    return objective.error(parameters, c)


def train(
    trainer: AbstractTrainer,
    objective: AnyObjective,
    parameters: Parameters,
    *,
    key: RandomKey,
    budget: Budget | None = None,
    validation: AnyObjective | None = None,
    callbacks: Iterable[Callback] = (),
    resume: Run | None = None,
) -> Run:
    """Train until a budget is used up, a tolerance is met or the held-out error stops falling.

    Parameters
    ----------
    trainer : AbstractTrainer
    objective : Objective or CrossEntropy
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
    resume : Run, optional
        A run of the same trainer, objective and validation to go on from: its history, but for
        seconds, is continued as if it had never stopped, bit for bit. The limit on steps counts
        its steps too, that on time does not count its time; ``parameters`` and ``key`` are not
        used.

    Returns
    -------
    Run
    """
    loop = _Loop(trainer, objective, budget or Budget.of(trainer), validation, tuple(callbacks))
    if resume is not None:
        return loop.run(resume.tape)
    state, nothing = _begin(trainer, objective, parameters, key)
    return loop.run(Tape(state, nothing, nothing))


class _Loop:
    """The mutable part of a run: ``tape`` is replaced as a whole, so that Ctrl-C finds no half."""

    tape: Tape

    def __init__(
        self,
        trainer: AbstractTrainer,
        objective: AnyObjective,
        budget: Budget,
        validation: AnyObjective | None,
        callbacks: tuple[Callback, ...],
    ) -> None:
        self.trainer, self.objective, self.budget = trainer, objective, budget
        self.validation, self.callbacks = validation, callbacks
        self.start, self.block = time.perf_counter(), 1
        self.final: tuple[Evaluation, int, float] | None = None
        self.final_check: tuple[int, float] | None = None
        self.target = _goal(objective, jnp.asarray(budget.tol))

    def run(self, tape: Tape) -> Run:
        self.tape, self.before = tape, tape.elapsed
        try:
            reason = self._look() if tape.step else None
            while reason is None:
                # Evaluations are one more than steps: the last block only evaluates.
                self._advance()
                reason = self._look()
        except KeyboardInterrupt:
            if not self.tape.records:  # not even the first evaluation: there is nothing to keep
                raise
            reason = StopReason.INTERRUPTED
        return self._ended(reason)

    def _ended(self, reason: StopReason) -> Run:
        tape = whole = self.tape
        if self.final_check is not None:
            whole = dataclasses.replace(tape, checks=(*tape.checks, self.final_check))
        chosen, step, error = self.final or tape.kept or (tape.best, tape.best_step, None)
        return Run(
            chosen.parameters,
            chosen.coefficients,
            float(chosen.loss),
            step,
            error,
            whole.history,
            reason,
            tape,
        )

    def _advance(self) -> None:
        tape = self.tape
        n = min(self._until_check(), self.block, max(1, self.budget.max_steps + 1 - tape.step))
        began = time.perf_counter()
        done, state, best, now, records = jax.block_until_ready(
            _block(self.trainer, self.objective, tape.state, tape.best, jnp.asarray(n), self.target)
        )
        ended, n = time.perf_counter(), int(done)
        shared = began + (ended - began) * np.arange(1, n + 1) / n
        self.tape = dataclasses.replace(
            tape,
            state=state,
            best=best,
            now=now,
            step=tape.step + n,
            records=(*tape.records, np.stack([np.asarray(r)[:n] for r in records])),
            seconds=(*tape.seconds, self.before + shared - self.start),
        )
        self.block = max(1, min(BLOCK, 8 * n, int(BLOCK_SECONDS * n / (ended - began))))

    def _until_check(self) -> int:
        """Return the steps until somebody wants to look."""
        every, step = self.budget.check_every, self.tape.step
        if not step:
            return 1
        watched = self.validation is not None or bool(self.callbacks)
        return every - (step - 1) % every if watched else BLOCK

    def _look(self) -> StopReason | None:
        """Check the held-out error and callbacks when due, and say whether to stop."""
        tape, now = self.tape, self.tape.now
        done, loss = tape.step - 1, float(now.loss)
        elapsed = time.perf_counter() - self.start
        finished = tape.step > self.budget.max_steps
        reached = float(tape.best.loss) <= float(self.target)
        late = elapsed > self.budget.max_seconds
        stuck = bool(now.stuck)
        regular = done % self.budget.check_every == 0
        if regular or finished or reached or late or stuck:
            error = self._check(done, regular) if np.isfinite(loss) else None
            if self._told_to_stop(error, elapsed + self.before):
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

    def _told_to_stop(self, error: float | None, elapsed: float) -> bool:
        tape, kept = self.tape, self.final or self.tape.kept
        now, top = tape.now, float(tape.best.loss) if kept is None else kept[2]
        seen = Progress(
            tape.step - 1, float(now.loss), error, top, elapsed, now.parameters, now.coefficients
        )
        answers = [callback(seen) for callback in self.callbacks]  # all of them are to see it
        return any(answers)

    def _check(self, done: int, regular: bool) -> float | None:
        if self.validation is None:
            return None
        if self.tape.checks and self.tape.checks[-1][0] == done:  # before the run was resumed
            return self.tape.checks[-1][1]
        now = self.tape.now
        error = float(held_out_error(self.validation, now.parameters, now.coefficients))
        checked = self.tape.checked(error)
        if regular:
            self.tape = checked
        else:
            self.final, self.final_check = checked.kept, (done, error)
        return error

    def _out_of_patience(self, done: int) -> bool:
        checks = [*self.tape.checks, *([self.final_check] if self.final_check else [])]
        if not checks or done < self.budget.patience:
            return False
        recent = [e for s, e in checks if s > done - self.budget.patience]
        before = [e for s, e in checks if s <= done - self.budget.patience]
        return bool(before) and min(recent, default=np.inf) > 0.99 * min(before)

"""The training loop: budgets, stop reasons, history, the best iterate, callbacks.

Steps run in blocks (:mod:`.blocks`); held-out error is taken at fixed step counts.
"""

from __future__ import annotations

import dataclasses
import functools
import time
from collections.abc import Iterable
from typing import Any

import numpy as np

from .. import rows
from .._runtime.compute import check_precision
from .._runtime.notation import Parameters, RandomKey
from .._runtime.progress import Callback, Progress
from .base import AbstractObjective, AbstractTrainer, Budget
from .batches import train_on_batches
from .blocks import BLOCK, Block, Compiled, InPython
from .chunked import OverParts
from .keeping import AbstractKeeper
from .record import StopReason
from .tape import Run, Tape

#: Blocks are cut to about this time, so that Ctrl-C and time limits act at once.
BLOCK_SECONDS = 0.2
#: Numbers in ξ times rows, or in the rows, with which the first block may be a whole one: where a
#: step takes milliseconds at most, cutting costs more than it gives.
SMALL = 10**6


def train(
    trainer: AbstractTrainer,
    objective: AbstractObjective,
    parameters: Parameters,
    *,
    key: RandomKey,
    budget: Budget | None = None,
    validation: AbstractObjective | None = None,
    callbacks: Iterable[Callback] = (),
    resume: Run | None = None,
    warm: bool = False,
    source: rows.AbstractSource | None = None,
    keeper: AbstractKeeper | None = None,
) -> Run:
    """Train until a budget is used up, a tolerance is met or the held-out error stops falling.

    Parameters
    ----------
    trainer : AbstractTrainer
    objective : AbstractObjective
    parameters : pytree
        Initial ξ.
    key : random key
        For trainers that draw something (the last layer of joint training).
    budget : Budget, optional
    validation : AbstractObjective, optional
        Rows the coefficients never see. When given, the best iterate is the one with the least
        held-out error among those checked; otherwise the one of least loss among all.
    callbacks : iterable of callables
        Called with a :class:`Progress` at every check.
    resume : Run, optional
        A run of the same trainer, objective and validation to go on from: its history, but for
        seconds, is continued as if it had never stopped, bit for bit. The limit on steps counts
        its steps too, that on time does not count its time; ``parameters`` and ``key`` are not
        used.
    warm : bool
        Whether ξ was trained before: steps on mini-batches then begin at coefficients solved for
        it, and elsewhere at 0. Trainers that solve for coefficients in each step always do.
    source : rows.AbstractSource, optional
        All rows, where those of the objective are some of them alone. Trainers that step on
        mini-batches take these from it, chunk by chunk, and solve the last layer on all of it.
        :class:`LSGN` and :class:`LM` go over all of it in each step, by the engine of the block
        (:func:`adabasis.rows.engine.using`).
    keeper : AbstractKeeper, optional
        Is shown the tape after every block of steps, and may have one of before to go on from.

    Returns
    -------
    Run

    Raises
    ------
    TypeError
        For a trainer that cannot minimise the objective, and for arrays of different precision,
        which would lose the better one in silence.
    """
    if not isinstance(objective, trainer.minimizes):
        raise TypeError(
            f"train({trainer!r}): expected an objective of the kind {trainer.minimizes.__name__}, "
            f"got {type(objective).__name__}. Use a trainer that minimises it."
        )
    check_precision("train", (objective, parameters if resume is None else resume.parameters))
    budget, callbacks = budget or Budget.of(trainer), tuple(callbacks)
    if trainer.batches is not None:
        return train_on_batches(
            trainer.batches,
            objective,
            parameters,
            key,
            budget,
            validation,
            callbacks,
            resume,
            warm,
            source,
            keeper,
        )
    loop = _Loop(trainer, objective, budget, validation, callbacks, source)
    if resume is not None:
        return loop.run(resume.tape)
    begun = functools.partial(loop.begun, parameters, key)
    if keeper is not None and not trainer.interpreted:  # those take seconds
        loop.keeper = keeper
        return loop.run(keeper.restored(begun) or begun())
    return loop.run(begun())


class _Loop:
    # The mutable part of a run: ``tape`` is replaced as a whole, so that Ctrl-C finds no half.
    # ``judged`` is the tape with a check that was not due too, which only the end of a run has.
    tape: Tape
    judged: Tape
    seen: Block
    keeper: AbstractKeeper | None = None

    def __init__(
        self,
        trainer: AbstractTrainer,
        objective: AbstractObjective,
        budget: Budget,
        validation: AbstractObjective | None,
        callbacks: tuple[Callback, ...],
        source: rows.AbstractSource | None = None,
    ) -> None:
        self.objective, self.budget = objective, budget
        self.validation, self.callbacks = validation, callbacks
        self.start = time.perf_counter()
        if source is not None and trainer.takes_sources:
            self.blocks: Any = InPython(trainer, objective, source)
        elif source is not None:
            self.blocks = OverParts(trainer, objective, source)
        else:
            self.blocks = (InPython if trainer.interpreted else Compiled)(trainer, objective)

    def begun(self, parameters: Parameters, key: RandomKey) -> Tape:
        # Return the tape before the first evaluation.
        state, nothing = self.blocks.begun(parameters, key)
        return Tape(state, nothing, nothing)

    def run(self, tape: Tape) -> Run:
        # Go on from a tape until there is a reason to stop.
        self.tape, self.judged, self.before = tape, tape, tape.elapsed
        small = self.blocks.numbers_at_once(tape.best.parameters) <= SMALL
        quick = small and self.budget.max_seconds > BLOCK_SECONDS
        self.block = BLOCK if quick else 1
        try:
            reason = self._resumed() if tape.step else None
            while reason is None:
                # Evaluations are one more than steps: the last block only evaluates.
                self._advance()
                reason = self._look()
                if self.keeper is not None and reason is None:
                    self.keeper.keep(self.tape)
        except KeyboardInterrupt:
            if not self.tape.records:  # not even the first evaluation: there is nothing to keep
                raise
            reason = StopReason.INTERRUPTED
        return self._ended(reason)

    def _resumed(self) -> StopReason | None:
        # Look at a tape as the run that left it did.
        tape = self.tape
        least, now = float(tape.best.loss), tape.now
        reached = least <= float(self.objective.goal(self.budget.tol))
        stuck, nothing = bool(now.stuck), np.zeros((3, 0))
        self.seen = Block(
            0, float(now.loss), least, stuck, reached, nothing, tape.state, tape.best, now
        )
        return self._look()

    def _ended(self, reason: StopReason) -> Run:
        tape, judged = self.tape, self.judged
        chosen, step, error = judged.kept or (tape.best, tape.best_step, None)
        loss, c = float(chosen.loss), chosen.coefficients
        return Run(chosen.parameters, c, loss, step, error, judged.history, reason, tape)

    def _advance(self) -> None:
        tape = self.tape
        n = min(self._until_check(), self.block, max(1, self.budget.max_steps + 1 - tape.step))
        began = time.perf_counter()
        seen = self.seen = self.blocks.run(tape.state, tape.best, n, self.budget.tol)
        ended, n = time.perf_counter(), seen.steps
        shared = began + (ended - began) * np.arange(1, n + 1) / n
        self.tape = self.judged = dataclasses.replace(
            tape,
            state=seen.state,
            best=seen.best,
            now=seen.now,
            step=tape.step + n,
            records=(*tape.records, seen.records),
            seconds=(*tape.seconds, self.before + shared - self.start),
        )
        self.block = max(1, min(BLOCK, 8 * n, int(BLOCK_SECONDS * n / (ended - began))))

    def _until_check(self) -> int:
        # Return the steps until somebody wants to look.
        every, step = self.budget.check_every, self.tape.step
        if self.validation is None and not self.callbacks:
            return BLOCK
        return every - (step - 1) % every if step else 1

    def _look(self) -> StopReason | None:
        # Check the held-out error and callbacks when due, and say whether to stop.
        done, loss = self.tape.step - 1, self.seen.loss
        elapsed = time.perf_counter() - self.start
        finished = self.tape.step > self.budget.max_steps
        late = elapsed > self.budget.max_seconds
        stuck, reached = self.seen.stuck, self.seen.reached
        regular = done % self.budget.check_every == 0
        if regular or finished or reached or late or stuck:
            error = self._check(done, regular) if np.isfinite(loss) else None
            if self._told_to_stop(error, elapsed + self.before):
                return StopReason.CALLBACK
        reasons = {
            StopReason.DIVERGED: not np.isfinite(loss),
            StopReason.TOLERANCE: reached,
            StopReason.VALIDATION: self._out_of_patience(done),
            StopReason.CONVERGED: stuck,
            StopReason.MAX_STEPS: finished,
            StopReason.MAX_SECONDS: late,
        }
        return next((reason for reason, holds in reasons.items() if holds), None)

    def _told_to_stop(self, error: float | None, elapsed: float) -> bool:
        if not self.callbacks:
            return False
        now, kept = self.tape.now, self.judged.kept
        top, step = self.seen.least if kept is None else kept[2], self.tape.step - 1
        seen = Progress(step, self.seen.loss, error, top, elapsed, now.parameters, now.coefficients)
        answers = [callback(seen) for callback in self.callbacks]  # all of them are to see it
        return any(answers)

    def _check(self, done: int, regular: bool) -> float | None:
        if self.validation is None:
            return None
        if self.tape.checks and self.tape.checks[-1][0] == done:  # before the run was resumed
            return self.tape.checks[-1][1]
        now = self.tape.now
        error = self.blocks.held_out(self.validation, now)
        self.judged = self.tape.checked(error)
        if regular:
            self.tape = self.judged
        return error

    def _out_of_patience(self, done: int) -> bool:
        since = done - self.budget.patience
        recent = [error for step, error in self.judged.checks if step > since]
        before = [error for step, error in self.judged.checks if step <= since]
        return bool(before) and min(recent, default=np.inf) > 0.99 * min(before)

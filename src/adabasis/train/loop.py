"""The training loop: budgets, stop reasons, history, the best iterate, callbacks.

Steps run in compiled blocks whose length depends on the clock but whose arithmetic does not: the
same run cut into other blocks gives the same bits. Held-out error is taken at fixed step counts.
"""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Iterable

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from .._runtime.notation import Parameters, RandomKey
from .._runtime.progress import Callback, Progress
from .blocks import BLOCK, AnyObjective, Work, advance, advance_few, begin, held_out_error
from .record import Run, StopReason, Tape
from .steps import AbstractTrainer, Evaluation

BLOCK_SECONDS = 0.2
"""Blocks are cut to about this time, so that Ctrl-C and time limits act at once."""
SMALL = 10**6
"""Numbers in ξ times rows, or in the rows, with which the first block may be a whole one: where a
step takes milliseconds at most, cutting costs more than it gives."""


FEW_STEPS = 300
"""Steps of a trainer's usual run up to which they are compiled quickly."""


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

    Raises
    ------
    TypeError
        For arrays of different precision, which would lose the better one in silence.
    """
    _check_precision(objective, parameters if resume is None else resume.parameters)
    loop = _Loop(trainer, objective, budget or Budget.of(trainer), validation, tuple(callbacks))
    return loop.run(loop.begun(parameters, key) if resume is None else resume.tape)


def _check_precision(objective: AnyObjective, parameters: Parameters) -> None:
    """Refuse single and double precision together, and double where JAX computes in single."""
    # What JAX makes of an array of NumPy's depends on its scope, an array of its own stays.
    leaves = [leaf for leaf in jax.tree.leaves((objective, parameters)) if eqx.is_array(leaf)]
    kinds = {(leaf.dtype, isinstance(leaf, jax.Array)) for leaf in leaves}
    found = {
        dtype if own else jax.dtypes.canonicalize_dtype(dtype)
        for dtype, own in kinds
        if jnp.issubdtype(dtype, jnp.floating)
    }
    if len(found) > 1 or found - {jax.dtypes.canonicalize_dtype(dtype) for dtype in found}:
        names = " and ".join(sorted(dtype.name for dtype in found))
        scope = "on" if jax.config.read("jax_enable_x64") else "off"
        raise TypeError(
            f"train: expected arrays of one precision, got {names} with JAX's double precision "
            f"{scope}. Make the parameters and the objective, and call train, inside "
            "`with adabasis._runtime.scope.numerics():`."
        )


@dataclasses.dataclass(frozen=True)
class _Seen:
    """What the loop asks about after a block, as numbers."""

    loss: float
    least: float
    stuck: bool
    reached: bool


class _Loop:
    """The mutable part of a run: ``tape`` is replaced as a whole, so that Ctrl-C finds no half."""

    tape: Tape
    seen: _Seen

    def __init__(
        self,
        trainer: AbstractTrainer,
        objective: AnyObjective,
        budget: Budget,
        validation: AnyObjective | None,
        callbacks: tuple[Callback, ...],
    ) -> None:
        self.objective, self.budget = objective, budget
        self.validation, self.callbacks = validation, callbacks
        self.start, self.work = time.perf_counter(), Work.of(trainer, objective)
        self.compiled = advance_few if trainer.pace.steps <= FEW_STEPS else advance
        self.final: tuple[Evaluation, int, float] | None = None
        self.final_check: tuple[int, float] | None = None

    def begun(self, parameters: Parameters, key: RandomKey) -> Tape:
        """Return the tape before the first evaluation."""
        state, nothing = begin(self.work.arrays, self.work.static, parameters, key)
        return Tape(state, nothing, nothing)

    def run(self, tape: Tape) -> Run:
        """Go on from a tape until there is a reason to stop."""
        self.tape, self.before = tape, tape.elapsed
        quick = self._is_small() and self.budget.max_seconds > BLOCK_SECONDS
        self.block = BLOCK if quick else 1
        try:
            reason = self._resumed() if tape.step else None
            while reason is None:
                # Evaluations are one more than steps: the last block only evaluates.
                self._advance()
                reason = self._look()
        except KeyboardInterrupt:
            if not self.tape.records:  # not even the first evaluation: there is nothing to keep
                raise
            reason = StopReason.INTERRUPTED
        return self._ended(reason)

    def _is_small(self) -> bool:
        n = sum(leaf.size for leaf in jax.tree.leaves(self.tape.best.parameters))
        rows = max((leaf.shape[0] for leaf in self.work.arrays if leaf.ndim), default=1)
        return max(n, 1) * rows <= SMALL and sum(a.size for a in self.work.arrays) <= SMALL

    def _resumed(self) -> StopReason | None:
        """Look at a tape as the run that left it did."""
        least, now = float(self.tape.best.loss), self.tape.now
        reached = least <= float(self.objective.goal(self.budget.tol))
        self.seen = _Seen(float(now.loss), least, bool(now.stuck), reached)
        return self._look()

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
        asked, records, state, best, now = self.compiled(
            self.work.arrays,
            self.work.static,
            tape.state,
            tape.best,
            np.asarray(n),
            np.asarray(self.budget.tol, tape.best.loss.dtype),
        )
        done, now_loss, least, stuck, reached = np.asarray(asked).tolist()
        ended, n, record = time.perf_counter(), int(done), np.asarray(records)
        shared = began + (ended - began) * np.arange(1, n + 1) / n
        self.seen = _Seen(now_loss, least, bool(stuck), bool(reached))
        self.tape = dataclasses.replace(
            tape,
            state=state,
            best=best,
            now=now,
            step=tape.step + n,
            records=(*tape.records, record[:, :n]),
            seconds=(*tape.seconds, self.before + shared - self.start),
        )
        self.block = max(1, min(BLOCK, 8 * n, int(BLOCK_SECONDS * n / (ended - began))))

    def _until_check(self) -> int:
        """Return the steps until somebody wants to look."""
        every, step = self.budget.check_every, self.tape.step
        if self.validation is None and not self.callbacks:
            return BLOCK
        return every - (step - 1) % every if step else 1

    def _look(self) -> StopReason | None:
        """Check the held-out error and callbacks when due, and say whether to stop."""
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
        if not self.callbacks:
            return False
        now, kept = self.tape.now, self.final or self.tape.kept
        top = self.seen.least if kept is None else kept[2]
        seen = Progress(
            self.tape.step - 1,
            self.seen.loss,
            error,
            top,
            elapsed,
            now.parameters,
            now.coefficients,
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

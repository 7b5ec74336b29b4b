"""The training loop: budgets, stop reasons, history, the best iterate, callbacks.

Steps run in compiled blocks whose length depends on the clock but whose arithmetic does not: the
same run cut into other blocks gives the same bits. Held-out error is taken at fixed step counts. A
trainer and an objective are taken apart into arrays and the rest once a run, not at every call of a
block: a short run takes milliseconds, and so would that.
"""

from __future__ import annotations

import dataclasses
import functools
import numbers
import time
from collections.abc import Iterable
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from .._runtime.compute import check_precision, quickly
from .._runtime.notation import AnyArray, Parameters, RandomKey
from .._runtime.progress import Callback, Progress
from .base import AbstractObjective, AbstractTrainer, Budget, Evaluation, choose
from .batches import train_on_batches
from .record import StopReason
from .tape import Run, Tape

#: Most steps in one compiled block, the length of its history buffers.
BLOCK = 100
#: Blocks are cut to about this time, so that Ctrl-C and time limits act at once.
BLOCK_SECONDS = 0.2
#: Numbers in ξ times rows, or in the rows, with which the first block may be a whole one: where a
#: step takes milliseconds at most, cutting costs more than it gives.
SMALL = 10**6
#: Steps of a trainer's usual run up to which they are compiled quickly.
FEW_STEPS = 300
#: Stands for an array among the leaves that are none.
_ARRAY = object()


class Static:
    """What compiled code depends on and is no array; its hash is taken once."""

    def __init__(self, leaves: tuple[Any, ...], structure: Any) -> None:
        self.leaves, self.structure = leaves, structure
        self._hash = hash((leaves, structure))

    def __hash__(self) -> int:
        return self._hash

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Static) and (
            self is other or (self.leaves, self.structure) == (other.leaves, other.structure)
        )


@dataclasses.dataclass(frozen=True)
class Work:
    """A trainer and an objective, taken apart once a run: every call of a block would otherwise."""

    arrays: list[Array]
    static: Static

    @classmethod
    def of(cls, trainer: AbstractTrainer, objective: AbstractObjective) -> Work:
        """Take the arrays out, and keep all the rest beside them.

        A ridge becomes an array, for code for one number to serve every other; no ridge at all
        stays what it is, since that takes less work.
        """
        if isinstance(objective.ridge, numbers.Real) and objective.ridge:
            dtype = jax.eval_shape(lambda: objective.targets).dtype
            ridge = np.asarray(objective.ridge, dtype)
            objective = dataclasses.replace(objective, ridge=ridge)
        leaves, structure = jax.tree.flatten((trainer, objective))
        arrays = _on_device([leaf for leaf in leaves if eqx.is_array(leaf)])
        rest = tuple(_ARRAY if eqx.is_array(leaf) else leaf for leaf in leaves)
        return cls(arrays, Static(rest, structure))


@jax.jit
def _on_device(arrays: list[AnyArray]) -> list[Array]:
    # Return arrays as JAX's own, in a fifth of the time that ``device_put`` takes.
    return [jnp.asarray(array) for array in arrays]


def _together(arrays: list[Array], static: Static) -> tuple[AbstractTrainer, AbstractObjective]:
    rest = iter(arrays)
    leaves = [next(rest) if leaf is _ARRAY else leaf for leaf in static.leaves]
    trainer, objective = jax.tree.unflatten(static.structure, leaves)
    return trainer, objective


def _advance(
    arrays: list[Array],
    static: Static,
    state: Any,
    best: Evaluation,
    steps: AnyArray,
    tol: AnyArray,
) -> tuple[Array, Array, Any, Evaluation, Evaluation]:
    # Run ``steps`` ≤ BLOCK steps unless stuck or at the goal, keeping that of least loss.
    #
    # Returns what the loop asks about (steps done, last and least loss, stuck, at the goal) as one
    # array, the record, state, best and last evaluation.
    trainer, objective = _together(arrays, static)
    dtype, goal = best.loss.dtype, objective.goal(tol)

    def body(carry: Any) -> Any:
        i, state, best, _, records = carry
        state, now = trainer.step(objective, state)
        best = choose(now.loss < best.loss, now, best)
        entries = jnp.stack([now.loss, now.rank.astype(dtype), now.rate.astype(dtype)])
        return i + 1, state, best, now, records.at[:, i].set(entries)

    unstuck = dataclasses.replace(best, stuck=jnp.asarray(False))
    carry = (jnp.zeros_like(steps), state, best, unstuck, jnp.zeros((3, BLOCK), dtype))
    done, state, best, now, records = jax.lax.while_loop(
        lambda c: (c[0] < steps) & ~c[3].stuck & (c[2].loss > goal), body, carry
    )
    asked = (done, now.loss, best.loss, now.stuck, best.loss <= goal)
    return jnp.stack([a.astype(dtype) for a in asked]), records, state, best, now


_jit = functools.partial(jax.jit, static_argnums=1)
advance = _jit(_advance)
#: The same for trainers that take few steps.
advance_few = quickly(_jit)(_advance)


@quickly(_jit, once=True)
def begin(
    arrays: list[Array], static: Static, parameters: Parameters, key: RandomKey
) -> tuple[Any, Evaluation]:
    """Return the first state, and an evaluation of infinite loss, the shape of a real one."""
    trainer, objective = _together(arrays, static)
    state = trainer.init(objective, parameters, key)
    shape = jax.eval_shape(lambda: trainer.step(objective, state))[1]
    zeros = jax.tree.map(lambda leaf: jnp.zeros(leaf.shape, leaf.dtype), shape)
    return state, dataclasses.replace(zeros, loss=jnp.full_like(zeros.loss, jnp.inf))


@quickly(once=True)
def held_out_error(objective: AbstractObjective, parameters: Parameters, c: AnyArray) -> Array:
    """Return the error of given coefficients: root mean square, of classes cross-entropy."""
    return objective.error(parameters, c)


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
            trainer.batches, objective, parameters, key, budget, validation, callbacks, resume, warm
        )
    loop = _Loop(trainer, objective, budget, validation, callbacks)
    return loop.run(loop.begun(parameters, key) if resume is None else resume.tape)


class _Seen(NamedTuple):
    # What the loop asks about after a block, as numbers.
    loss: float
    least: float
    stuck: bool
    reached: bool


class _Loop:
    # The mutable part of a run: ``tape`` is replaced as a whole, so that Ctrl-C finds no half.
    # ``judged`` is the tape with a check that was not due too, which only the end of a run has.
    tape: Tape
    judged: Tape
    seen: _Seen

    def __init__(
        self,
        trainer: AbstractTrainer,
        objective: AbstractObjective,
        budget: Budget,
        validation: AbstractObjective | None,
        callbacks: tuple[Callback, ...],
    ) -> None:
        self.objective, self.budget = objective, budget
        self.validation, self.callbacks = validation, callbacks
        self.start, self.work = time.perf_counter(), Work.of(trainer, objective)
        self.compiled = advance_few if trainer.pace.max_steps <= FEW_STEPS else advance

    def begun(self, parameters: Parameters, key: RandomKey) -> Tape:
        # Return the tape before the first evaluation.
        state, nothing = begin(self.work.arrays, self.work.static, parameters, key)
        return Tape(state, nothing, nothing)

    def run(self, tape: Tape) -> Run:
        # Go on from a tape until there is a reason to stop.
        self.tape, self.judged, self.before = tape, tape, tape.elapsed
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
        # Look at a tape as the run that left it did.
        least, now = float(self.tape.best.loss), self.tape.now
        reached = least <= float(self.objective.goal(self.budget.tol))
        self.seen = _Seen(float(now.loss), least, bool(now.stuck), reached)
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
        self.tape = self.judged = dataclasses.replace(
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
        error = float(held_out_error(self.validation, now.parameters, now.coefficients))
        self.judged = self.tape.checked(error)
        if regular:
            self.tape = self.judged
        return error

    def _out_of_patience(self, done: int) -> bool:
        since = done - self.budget.patience
        recent = [error for step, error in self.judged.checks if step > since]
        before = [error for step, error in self.judged.checks if step <= since]
        return bool(before) and min(recent, default=np.inf) > 0.99 * min(before)

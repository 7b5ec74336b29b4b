r"""Steps on mini-batches in single precision; the last layer solved on all rows at the end.

Coefficients move together with ξ: a batch tells both where to go. Rows are shuffled anew in every
epoch. The rate rises over the first twentieth of the run and falls as a cosine to zero at its end,
which is that of the budget: of steps, or of the seconds that steps turn out to take. The iterate of
least held-out error is kept; its last layer is then solved in double precision on all rows.

Where a basis has parameters for it, descent sees inputs of mean 0 and variance 1 (on kin40k the
error after 1,000 steps is .029 instead of .047 with inputs in the unit box). In those coordinates
a program serves any number of rows: it is given the batches, some at a time.
"""

from __future__ import annotations

import dataclasses
import math
import time
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from .. import rows
from .._runtime.notation import AnyArray, Parameters, RandomKey
from .._runtime.progress import Callback, Progress
from ..geometry.points import Points, pad_rows
from . import exact
from .base import AbstractObjective, Budget, Evaluation
from .descent import (
    Standard,
    double,
    first_moments,
    share_of_rate,
    single,
    steps_on_batches,
    watched_error,
)
from .feed import Batch, Feed
from .keeping import AbstractKeeper
from .optimizer import Batches, is_number
from .record import StopReason
from .steps import AS_ROWS_SAY
from .tape import BatchTape, First, Iterate, Run

#: Batches that the compiled program is given at once: some tenths of a second of steps.
AT_ONCE = 20
#: The range test: its first rate, the factor between stages, their steps and most of them.
FIRST_RATE, FACTOR, STAGE_STEPS, STAGES = 1e-4, 1.78, 10, 24
#: The range test ends where the loss of a stage is so many times the least.
RISEN = 2.0
#: Steps or share of the time under which there is no range test, and the rate taken then.
TESTED_STEPS, TESTED_SHARE = 1000, 0.1
USUAL_RATES = {"adam": 3e-3, "soap": 1e-2}
#: Held-out rows that are looked at on the way, and rows that the last layer is solved on before the
#: first step; all of them count at the end.
WATCHED = 20_000
#: Steps where nobody says, and epochs if those are more: of 36,000 rows in batches of 512 it is 35
#: epochs, of a million five.
LEAST_STEPS, EPOCHS = 2500, 5
#: Share of the schedule without a better held-out error after which the rate falls to zero within
#: another share, from the best iterate on; or the budget's patience, where that is more steps.
PATIENCE, COOLING = 0.3, 0.1
#: A loss so many times the first one is no better than one that is not finite.
BLOWN_UP = 100.0
#: Relative ridge of the coefficients that descent begins at where ξ was trained before: from ones
#: of thousands, which cancel, it fails.
MODEST = 1e-4
#: Share of the schedule that counts as all of it: shares are added up.
OVER = 1 - 1e-9
#: Returns to the best iterate, each with half the rate, before a run ends.
SETBACKS = 3
#: Share of the last solve's time, measured at the first one, that is kept back for it.
KEPT_BACK = 1.5


def train_on_batches(
    batches: Batches,
    objective: AbstractObjective,
    parameters: Parameters,
    key: RandomKey,
    budget: Budget,
    validation: AbstractObjective | None,
    callbacks: tuple[Callback, ...],
    resume: Run | None,
    warm: bool,
    source: rows.AbstractSource | None = None,
    keeper: AbstractKeeper | None = None,
) -> Run:
    """Train on mini-batches: what :func:`adabasis.train.train` does for trainers that have such.

    Where a source is given, batches are of its rows, and the last solve is: those of the objective
    are some of them.

    Raises
    ------
    TypeError
        For an objective that is not about rows of data alone.
    ValueError
        For batches of more rows than there are.
    """
    term = objective.data
    if term is None:
        raise TypeError(
            f"{batches.call}(batch_size={batches.size}): mini-batches are of rows of data; the "
            f"{objective.title} to lower here is about other terms, too. Leave batch_size out."
        )
    if source is None:
        points = term.points
        source = rows.ArraySource(*map(np.asarray, (points.x, term.data, points.weight)))
    n_rows = source.statistics().n_rows
    if batches.size > n_rows:
        raise ValueError(
            f"{batches.call}(batch_size={batches.size}): there are {n_rows:,} rows to train on, "
            "those held out not counted. Take batches of fewer."
        )
    loop = _Loop(batches, objective, parameters, key, budget, validation, callbacks, warm, source)
    if resume is None and keeper is not None:
        loop.keeper, tape = keeper, keeper.restored(loop.like)
        return loop.run(resume, tape)
    return loop.run(resume)


class _Loop:
    # ``tape`` is replaced as a whole, so that Ctrl-C finds no half.
    def __init__(
        self,
        batches: Batches,
        objective: AbstractObjective,
        parameters: Parameters,
        key: RandomKey,
        budget: Budget,
        validation: AbstractObjective | None,
        callbacks: tuple[Callback, ...],
        warm: bool,
        source: rows.AbstractSource,
    ) -> None:
        self.start = time.perf_counter()
        self.batches, self.objective, self.parameters = batches, objective, parameters
        self.validation, self.callbacks, self.warm = validation, callbacks, warm
        term = objective.data
        assert term is not None
        self.source = source
        weight = np.asarray(term.points.weight)
        used = slice(None) if (weight > 0).all() else weight > 0
        x, weight = np.asarray(term.points.x)[used], weight[used]
        self.standard = Standard.of(objective.basis, x, weight)
        self.seed = tuple(int(word) for word in np.asarray(jax.random.key_data(key)).ravel())
        self.feed = Feed(source, self.standard, self.seed, batches.size)
        self.budget = budget
        if budget.max_steps == AS_ROWS_SAY:
            steps = max(LEAST_STEPS, math.ceil(EPOCHS * self.feed.n_rows / batches.size))
            self.budget = dataclasses.replace(budget, max_steps=steps)
        self.optimizer = batches.transformation
        one = self.standard.points(x[:1]), single(np.asarray(term.data)[used][:1])
        self.skeleton = self._with_rows(objective, *one, np.ones(1, np.float32))
        self.watched = None if validation is None else self._watched_rows(validation)
        self.timed = self.timed_steps = 0.0
        self.reserve, self.done_before = 0.0, 0.0

    @staticmethod
    def _with_rows(
        objective: AbstractObjective, x: np.ndarray, y: np.ndarray, weight: np.ndarray
    ) -> AbstractObjective:
        # Return a loss of rows in single precision; a ridge becomes an array, to compile once.
        ridge = np.asarray(objective.ridge, np.float32)
        found: AbstractObjective = objective.of_rows(rows.Term(Points(x, weight), y))
        return dataclasses.replace(found, ridge=ridge)  # type: ignore[type-var]

    def _watched_rows(self, validation: AbstractObjective) -> AbstractObjective:
        term = validation.data
        assert term is not None
        x, y, weight = (np.asarray(a) for a in (term.points.x, term.data, term.points.weight))
        some = np.linspace(0, len(x) - 1, min(len(x), WATCHED)).round().astype(int)
        x = self.standard.points(x[some])
        return self._with_rows(validation, x, single(y[some]), single(weight[some]))

    keeper: AbstractKeeper | None = None

    def like(self) -> BatchTape:
        # Return a tape of the structure of all others.
        design = jax.eval_shape(self.skeleton.design, single(self.parameters))
        zero = np.zeros((design.shape[1], self.skeleton.n_outputs))
        variables = single(self.standard.inwards(self.parameters)), single(zero)
        start = Iterate(variables, first_moments(self.optimizer, variables))
        first = First(self.parameters, exact.Solved(zero, 0.0, 0.0), None, 0.0)
        return BatchTape(first, start, start, self.seed, math.nan, math.inf)

    def run(self, resume: Run | None, kept: BatchTape | None = None) -> Run:
        # Go on from a tape, or from the parameters given, until there is a reason to stop.
        reason, tape = None, kept if resume is None else resume.tape
        if tape is not None:
            self.tape, self.done_before = self._again(tape), tape.elapsed
        first = self._first() if tape is None else tape.first
        self.reserve = KEPT_BACK * first.seconds
        try:
            if tape is None:
                self._begin(first)
            while reason is None:
                reason = self._look()
                if reason is None:
                    self._advance()
                    if self.keeper is not None:
                        self.keeper.keep(self.tape)
        except KeyboardInterrupt:
            reason = StopReason.INTERRUPTED
        return self._ended(reason)

    def _again(self, tape: BatchTape) -> BatchTape:
        # Return a tape to go on from: where its schedule was over, with a new one from the best.
        if tape.now.over < OVER or self.budget.max_steps <= tape.now.step:
            return tape
        best = dataclasses.replace(tape.kept, step=tape.now.step, over=0.0)
        return dataclasses.replace(tape, now=best, ends=None)

    def _first(self) -> First:
        # Solve the last layer where descent begins, on some of the rows: the first answer. Twice,
        # since the second time tells how long all rows will take.
        some = self._some()
        design = jax.eval_shape(self.skeleton.design, single(self.parameters))
        zero = np.zeros((design.shape[1], self.skeleton.n_outputs))
        for _ in range(2):
            began = time.perf_counter()
            solved = exact.solved(some, self.parameters, zero)
            took = time.perf_counter() - began
        error = self._whole_error(self.parameters, solved.coefficients)
        return First(
            self.parameters, solved, error, took * self.feed.n_rows / len(some.data.points)
        )

    def _some(self) -> Any:
        # Return the objective on some of the rows.
        term = self.objective.data
        assert term is not None
        x, y, weight = (np.asarray(a) for a in (term.points.x, term.data, term.points.weight))
        seen = np.flatnonzero(weight > 0)
        some = seen[np.linspace(0, len(seen) - 1, min(len(seen), WATCHED)).round().astype(int)]
        return self.objective.of_rows(rows.Term(Points(x[some], weight[some]), y[some]))

    def _whole_error(self, parameters: Parameters, c: AnyArray) -> float | None:
        return None if self.validation is None else exact.error(self.validation, parameters, c)

    def _begin(self, first: First) -> None:
        inner = single(self.standard.inwards(self.parameters))
        c = np.zeros_like(first.solved.coefficients)
        if self.warm:  # from 0, what was learnt would be lost before c is found again
            c = exact.solved(self._some(), self.parameters, c, MODEST).coefficients
        variables = inner, single(c)
        start = Iterate(variables, first_moments(self.optimizer, variables))
        self.tape = BatchTape(first, start, start, self.seed, math.nan, math.inf)
        rate = self.batches.rate
        if rate == "auto":
            rate = self._found_rate(start)
        self.tape = dataclasses.replace(self.tape, rate=rate if is_number(rate) else math.nan)

    def _found_rate(self, start: Iterate) -> float:
        # Raise the rate stage by stage until the loss rises; take that of least loss.
        usual = USUAL_RATES.get(str(self.batches.optimizer))
        if usual is not None and self.budget.max_steps < TESTED_STEPS:
            return usual
        variables, moments = start.variables, start.moments
        rates = FIRST_RATE * FACTOR ** np.repeat(np.arange(STAGES), STAGE_STEPS)
        losses: list[float] = []
        order = self.feed.again(-1)
        for begin in range(0, len(rates), AT_ONCE):
            some = [next(order) for _ in range(AT_ONCE)]
            part = rates[begin : begin + AT_ONCE]
            variables, moments, values = self._call(variables, moments, some, part)
            stages = values.reshape(-1, STAGE_STEPS)[:, STAGE_STEPS // 2 :].mean(axis=1)
            losses += np.where(np.isfinite(stages), stages, np.inf).tolist()
            least = int(np.argmin(losses))
            took = time.perf_counter() - self.start
            if usual is not None and took > TESTED_SHARE * self.budget.max_seconds:
                return usual
            if losses[-1] > RISEN * losses[least]:
                break
        return float(rates[STAGE_STEPS * least])

    def _call(
        self, variables: Any, moments: Any, some: list[Batch], rates: np.ndarray
    ) -> tuple[Any, Any, np.ndarray]:
        # Take one step on each of some batches.
        count = len(some)
        x, y, weight = (pad_rows(np.stack(arrays), AT_ONCE) for arrays in zip(*some, strict=True))
        drawn = x, y, weight
        padded = pad_rows(rates.astype(np.float32), AT_ONCE)
        variables, moments, losses = steps_on_batches(
            self.skeleton, self.optimizer, variables, moments, drawn, padded, np.asarray(count)
        )
        return variables, moments, np.asarray(losses, float)[:count]

    def _advance(self) -> None:
        tape, now = self.tape, self.tape.now
        begun = time.perf_counter()
        due = self.budget.check_every - now.step % self.budget.check_every
        n = min(AT_ONCE, self.budget.max_steps - now.step, due)
        n = n if tape.ends is None else min(n, tape.ends - now.step)
        each = (1 - now.over) / max(self._steps_left(), n)
        if callable(self.batches.rate):
            steps = np.arange(now.step, now.step + n)
            rates = np.array([float(self.batches.rate(step)) for step in steps])
        else:
            rates = tape.rate * share_of_rate(now.over + each * (0.5 + np.arange(n)))
        rates *= 0.5**tape.setbacks
        some = [self.feed.at(step) for step in range(now.step, now.step + n)]
        variables, moments, losses = self._call(now.variables, now.moments, some, rates)
        ended = time.perf_counter()
        if tape.losses or self.batches.rate == "auto":  # compiled before
            self.timed, self.timed_steps = self.timed + ended - begun, self.timed_steps + n
        shared = begun + (ended - begun) * np.arange(1, n + 1) / n - self.start
        self.tape = dataclasses.replace(
            tape,
            now=Iterate(variables, moments, now.step + n, now.over + n * each),
            losses=(*tape.losses, losses),
            rates=(*tape.rates, rates),
            seconds=(*tape.seconds, self.done_before + shared),
        )
        self._set_back(losses)

    def _steps_left(self) -> float:
        # Return the steps until the end of the budget; before any is timed, no limit of time.
        tape = self.tape
        last = self.budget.max_steps if tape.ends is None else tape.ends
        left = last - tape.now.step
        if not self.timed_steps or math.isinf(self.budget.max_seconds):
            return left
        seconds = self.budget.max_seconds - self.reserve - (time.perf_counter() - self.start)
        return min(left, max(seconds, 0.0) * self.timed_steps / self.timed)

    def _set_back(self, losses: np.ndarray) -> None:
        # Return to the iterate kept, with half the rate, where the loss is lost.
        tape = self.tape
        first = tape.losses[0][0]
        if np.isfinite(losses).all() and losses.max() <= BLOWN_UP * max(first, 1e-30):
            return
        again = dataclasses.replace(tape.kept, step=tape.now.step)
        self.tape = dataclasses.replace(tape, now=again, setbacks=tape.setbacks + 1)

    def _look(self) -> StopReason | None:
        # Check the held-out error and callbacks when due, and say whether to stop.
        tape, step = self.tape, self.tape.now.step
        seconds = time.perf_counter() - self.start
        finished = step >= self.budget.max_steps or tape.now.over >= OVER
        late = seconds + self.reserve > self.budget.max_seconds
        due = step % self.budget.check_every == 0 or finished or late
        reached = stop = False
        if due and not (tape.checks and tape.checks[-1][0] == step):
            loss, error = self._check()
            reached = bool(step) and loss <= self._goal
            stop = self._told_to_stop(loss, error, seconds + self.done_before)
        self._cool()
        cooled = tape.ends is not None and step >= tape.ends
        reasons = {
            StopReason.CALLBACK: stop,
            StopReason.DIVERGED: tape.setbacks > SETBACKS,
            StopReason.TOLERANCE: reached,
            StopReason.VALIDATION: cooled,
            StopReason.MAX_STEPS: step >= self.budget.max_steps,
            StopReason.MAX_SECONDS: late or finished,
        }
        return next((reason for reason, holds in reasons.items() if holds), None)

    @property
    def _goal(self) -> float:
        return float(self.objective.goal(self.budget.tol)) if self.budget.tol else -math.inf

    def _check(self) -> tuple[float, float | None]:
        # Measure, and keep the iterate if it is the best. Returns loss and held-out error.
        tape, every = self.tape, self.budget.check_every
        recent = np.concatenate([np.zeros(0), *tape.losses[-math.ceil(every / AT_ONCE) :]])
        loss = float(np.mean(recent)) if recent.size else math.nan
        error = None
        if self.watched is not None:
            error = float(watched_error(self.watched, tape.now.variables))
        judged = error if error is not None else (loss if recent.size else math.inf)
        better = judged < tape.error or not tape.now.step
        self.tape = dataclasses.replace(
            tape,
            checks=tape.checks if error is None else (*tape.checks, (tape.now.step, error)),
            kept=tape.now if better else tape.kept,
            error=judged if better else tape.error,
        )
        return loss, error

    def _told_to_stop(self, loss: float, error: float | None, seconds: float) -> bool:
        if not self.callbacks:
            return False
        parameters, c = self._outwards(self.tape.now)
        step = self.tape.now.step
        seen = Progress(step, loss, error, self.tape.error, seconds, parameters, c)
        answers = [callback(seen) for callback in self.callbacks]  # all of them are to see it
        return any(answers)

    def _outwards(self, iterate: Iterate) -> tuple[Parameters, np.ndarray]:
        # Return ξ for the points as they are, and c, in double precision.
        parameters, c = double(iterate.variables)
        return self.standard.outwards(parameters), c

    def _cool(self) -> None:
        # Where the held-out error has stopped falling, let the rate fall soon, from the best on.
        tape, now = self.tape, self.tape.now
        if not tape.checks or not now.over or tape.ends is not None:
            return
        length = now.step / now.over
        patience = max(self.budget.patience, PATIENCE * length)
        recent = [error for step, error in tape.checks if step > now.step - patience]
        before = [error for step, error in tape.checks if step <= now.step - patience]
        ends = now.step + math.ceil(COOLING * length)
        if before and min(recent, default=math.inf) >= min(before) and ends < length:
            best = dataclasses.replace(tape.kept, step=now.step, over=now.over)
            self.tape = dataclasses.replace(tape, now=best, ends=ends)

    def _ended(self, reason: StopReason) -> Run:
        # Solve the last layer of the best iterate, unless where descent began is better.
        tape, kept = self.tape, self.tape.kept
        parameters, solved, error, _ = tape.first
        step = 0
        if kept.step:
            moved, c = self._outwards(kept)
            found = exact.solved(self.objective, moved, c, source=self.source)
            seen = self._whole_error(moved, found.coefficients)
            better = found.loss <= solved.loss if seen is None or error is None else seen <= error
            if better:
                parameters, solved, error, step = moved, found, seen, kept.step
        last, last_c = self._outwards(tape.now)
        loss = tape.losses[-1][-1] if tape.losses else solved.loss
        rate = tape.rates[-1][-1] if tape.rates else 0.0
        rank, top = jnp.asarray(float(solved.rank)), jnp.asarray(float(rate))
        last_loss, still = jnp.asarray(float(loss)), jnp.asarray(False)
        now = Evaluation(last_loss, last, jnp.asarray(last_c), rank, top, still)
        tape, history = dataclasses.replace(tape, last=now), tape.history(solved.rank)
        own = jnp.asarray(solved.coefficients)
        return Run(parameters, own, solved.loss, step, error, history, reason, tape)

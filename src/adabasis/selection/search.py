"""The search: budgets, interrupts, progress, and the candidates found so far.

A public function makes a *task* (what is fitted, how a candidate is made and judged, what the best
one becomes) and a *strategy* (what to try next, given what was found). The search is one class for
all of them: it ends when the strategy does, or time is up, or on Ctrl-C, with the best so far.
"""

from __future__ import annotations

import abc
import contextlib
import dataclasses
import functools
import math
import time
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, Generic, TypeVar

import jax
import numpy as np

from .._runtime.compute import numerics
from .._runtime.notation import Parameters
from .._runtime.progress import Callback, ProgressLine, Stage
from .._runtime.timing import charged_to
from ..basis import AbstractBasis
from ..evidence.errors import Unseen
from ..models.record import NO_RIDGE, Asked, Record, Ridge, Tried
from ..train import (
    AbstractObjective,
    AbstractTrainer,
    Budget,
    History,
    Run,
    StopReason,
    named_trainers,
    train,
)
from . import checkpoints

#: How many times less than a mean's member on the same rows a single candidate errs that goes
#: before the mean: 1e7 where it has the data's own functions; 2 for the luckiest of ten on tables.
FAR_BETTER = 10.0


@dataclasses.dataclass(frozen=True, eq=False)
class Candidate:
    """A basis with parameters, and how well it did on rows that its coefficients never saw.

    Attributes
    ----------
    basis : AbstractBasis
    parameters, initial : pytrees
        ξ, and ξ before training.
    label : str
    validation_error : float
        Relative error on the held-out rows; NaN where none were.
    loo_error : float
        Relative leave-one-out error; NaN for trained candidates.
    ridge : Ridge
    run : Run or None
        ``None`` for functions as drawn.
    mean_of : int
        How many other candidates it is the mean of, if it is.
    fold : int or None
        The number of the rows that were held out of its training.
    unseen : Unseen or None
        Its losses on rows that its coefficients never saw, where they are known.
    apart : Unseen or None
        Of a mean: the losses of its members, each on the rows that were held out of it.
    members : tuple of Candidate
        Of a mean: what it is of.
    overshoot : float
        How far its values between the rows are from the middle of theirs, in ranges.
    """

    basis: AbstractBasis
    parameters: Parameters
    initial: Parameters
    label: str
    validation_error: float = math.nan
    loo_error: float = math.nan
    ridge: Ridge = NO_RIDGE
    run: Run | None = None
    mean_of: int = 0
    fold: int | None = None
    unseen: Unseen | None = None
    apart: Unseen | None = None
    members: tuple[Candidate, ...] = ()
    overshoot: float = 0.5

    @property
    def errors(self) -> tuple[float, ...]:
        """What candidates are compared by: validation and leave-one-out error, loss; NaN last."""
        found = (self.validation_error, self.loo_error, self.run.loss if self.run else math.inf)
        return tuple(e if math.isfinite(e) else math.inf for e in found)

    @property
    def error(self) -> float:
        """Its validation error, or else its leave-one-out error."""
        return next((e for e in self.errors[:2] if math.isfinite(e)), math.inf)

    def far_better(self, mean: Candidate) -> bool:
        """Whether it errs far less than a mean does, and than the mean's member of the same fold.

        Rows of other folds may be harder: errors on different ones say nothing of the candidates.
        """
        least = FAR_BETTER * self.validation_error
        rivals = [one for one in mean.members if one.fold == self.fold]
        return all(least < one.validation_error for one in (mean, *rivals)) and bool(rivals)

    @property
    def light(self) -> Any:
        """The candidate without what only its run would need to go on."""
        return dataclasses.replace(self, run=self.run and dataclasses.replace(self.run, tape=None))

    @property
    def tried(self) -> Tried:
        """The candidate as a row of the record."""
        held_out, left_out = (e if math.isfinite(e) else None for e in self.errors[:2])
        return Tried(
            self.label,
            held_out,
            left_out,
            self.ridge,
            steps=0 if self.run is None else len(self.run.history.loss) - 1,
            stop=(self.run.stop_reason if self.run else StopReason.SOLVED).name,
        )


AnyCandidate = TypeVar("AnyCandidate", bound=Candidate)


def standing(candidate: Candidate, found: Sequence[Candidate]) -> tuple[bool, int]:
    """Return what goes before errors where candidates are compared: the less, the better."""
    means = [one for one in found if one.mean_of]
    alone = bool(means) and not candidate.mean_of and all(candidate.far_better(m) for m in means)
    return not alone, -candidate.mean_of


class AbstractTask(abc.ABC, Generic[AnyCandidate]):
    """What is fitted: how candidates are ordered, and what the best of them becomes.

    Attributes
    ----------
    asked : Asked
    usual_steps : int or None
        Of a training run where nobody says; ``None`` leaves it to the trainer.
    """

    asked: Asked
    usual_steps: int | None = None

    def ranked(self, found: Sequence[AnyCandidate]) -> list[AnyCandidate]:
        """Return candidates, best first; the mean of several stands before single ones.

        Each is judged by its own fold, and by luck one of them looks better than the mean: only one
        that is far better than the member of each mean that was judged by the same fold goes first.
        """
        return sorted(found, key=lambda candidate: (*standing(candidate, found), *candidate.errors))

    @abc.abstractmethod
    def finished(self, search: Search[AnyCandidate]) -> Any:
        """Return the model that the best candidate of a search becomes."""


class Search(Generic[AnyCandidate]):
    """One search; its clock starts when it is made.

    Attributes
    ----------
    asked : Asked
    deadline : float
        On the clock of ``time.perf_counter``.
    callbacks : tuple of callables
    task : AbstractTask
    found : list of Candidate
        Whatever is in it when the search ends is used.
    cut_short : StopReason or None
        Why the strategy was not followed to its end.
    stage : Stage or None
        Where the strategy is, if it says.
    stages : tuple of str
        Those that a strategy may go through, in its order.
    """

    def __init__(
        self, asked: Asked, callbacks: Iterable[Callback] = (), verbose: bool = False
    ) -> None:
        self.asked, self.callbacks, self.verbose = asked, tuple(callbacks), verbose
        self.deadline = time.perf_counter() + asked.max_seconds
        self.found: list[AnyCandidate] = []
        self.checkpoint = checkpoints.current()
        self.cut_short: StopReason | None = None
        self.stage: Stage | None = None
        self.stages: tuple[str, ...] = ()

    def __getstate__(self) -> dict[str, Any]:
        """Return what a worker needs of the search: when it ends, by the clock on the wall."""
        ends = time.time() + self.deadline - time.perf_counter()
        more = {"callbacks": (), "stage": None, "found": [one.light for one in self.found]}
        return {**self.__dict__, **more, "deadline": ends}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self.deadline = state["deadline"] - time.time() + time.perf_counter()

    def run(self, task: AbstractTask[AnyCandidate], strategy: Callable[[], object]) -> Any:
        """Follow a strategy as far as budgets allow and return what the best candidate becomes.

        Raises
        ------
        KeyboardInterrupt
            If Ctrl-C comes before there is any candidate.
        """
        self.task = task
        with numerics(), self._shown():
            try:
                strategy()
            except KeyboardInterrupt:
                if not self.found:
                    raise
                self.cut_short = StopReason.INTERRUPTED
            model = task.finished(self)
        for callback in self.callbacks:
            if hasattr(callback, "finished"):
                callback.finished(model)
        return model

    @contextlib.contextmanager
    def _shown(self) -> Iterator[None]:
        """Show progress inside the block, where asked."""
        if not self.verbose:
            yield
            return
        with ProgressLine(self.asked.max_steps) as line:
            self.callbacks = (*self.callbacks, line)
            yield

    def begin(self, what: str, seconds: float = math.nan, least: float = 0.0) -> None:
        """Announce one of :attr:`stages`, where anybody listens; parts of a later one are not.

        Parameters
        ----------
        what : str
        seconds, least : float
            See :class:`Stage`; no more time is expected than is left.
        """
        if what not in self.stages:
            self.stages = (*self.stages, what)
        number, most = self.stages.index(what) + 1, len(self.stages)
        if self.stage is not None and number <= self.stage.number:
            return
        left = max(self.deadline - time.perf_counter(), 0.0)
        error = self.best.error if self.found else math.nan
        before = math.nan if self.stage is None else self.stage.error
        self.stage = Stage(number, most, what, min(seconds, left), error, least, before)
        for callback in self.callbacks:
            if hasattr(callback, "begins"):
                callback.begins(self.stage)

    def _told(self, callback: Callback) -> Callback:
        """Return a callback that sees the stage, too."""
        return lambda progress: callback(dataclasses.replace(progress, stage=self.stage))

    @property
    def best(self) -> AnyCandidate:
        """The best candidate so far."""
        return self.ranked[0]

    @property
    def ranked(self) -> list[AnyCandidate]:
        """All candidates, best first."""
        return self.task.ranked(self.found)

    def add(self, candidate: AnyCandidate) -> AnyCandidate:
        """Add a candidate and return it."""
        self.found.append(candidate)
        return candidate

    def replace(self, candidate: AnyCandidate, **changes: Any) -> AnyCandidate:
        """Put a changed copy in the place of a candidate and return it."""
        changed = dataclasses.replace(candidate, **changes)
        self.found = [changed if other is candidate else other for other in self.found]
        return changed

    def late(self) -> bool:
        """Whether time is up or an interrupt came."""
        if time.perf_counter() > self.deadline:
            self.cut_short = self.cut_short or StopReason.MAX_SECONDS
        return self.cut_short is not None

    @charged_to("steps")
    def trained(
        self,
        trainer: AbstractTrainer,
        objective: Any,
        initial: Parameters,
        *,
        key: Any,
        validation: Any = None,
        tol: float | None = 0.0,
        max_steps: int | None = None,
        max_seconds: float = math.inf,
        warm: bool = False,
        run: Callable[..., Run] = train,
    ) -> Run:
        """Train within what is left of the budgets.

        Parameters
        ----------
        trainer, objective, initial, key, validation
            As for :func:`adabasis.train.train`.
        tol : float or None
            The least relative residual that a run need not go below, if the user's is not larger;
            ``None`` where the user's is no residual of these rows.
        max_steps, max_seconds
            Of this run, where nobody asked for fewer steps or less time.
        warm : bool
            Whether ``initial`` was trained before.
        run : callable
            What trains, instead of :func:`adabasis.train.train`.
        """
        asked = self.asked.max_steps
        usual = self.task.usual_steps if max_steps is None else max_steps
        steps = usual if asked is None else min(asked, asked if max_steps is None else max_steps)
        goal = 0.0 if tol is None else max(self.asked.tol or 0.0, tol)
        left = min(max(self.deadline - time.perf_counter(), 0.0), max_seconds)
        budget = dataclasses.replace(Budget.of(trainer, steps, goal), max_seconds=left)
        train_it = functools.partial(
            run,
            trainer,
            objective,
            initial,
            key=key,
            budget=budget,
            validation=validation,
            callbacks=tuple(map(self._told, self.callbacks)),
            **({"warm": True} if warm else {}),
        )
        kept, what = self.checkpoint, (trainer, objective, key, validation, steps, goal, warm)
        done = train_it() if kept is None else kept.run(train_it, *what, initial=initial)
        if done.stop_reason is StopReason.INTERRUPTED:
            self.cut_short = StopReason.INTERRUPTED
        return done

    def described(self, loss: float, rank: int) -> dict[str, Any]:
        """Return what every model takes from the best candidate.

        Parameters
        ----------
        loss, rank
            Of the last layer's solve: all there is to record of functions that were not trained.
        """
        best, run = self.best, self.best.run
        return {
            "basis": best.basis,
            "parameters": jax.tree.map(np.asarray, best.parameters),
            "initial_parameters": jax.tree.map(np.asarray, best.initial),
            "stop_reason": self.cut_short or (run.stop_reason if run else StopReason.SOLVED),
            "history": run.history if run else History.of_one_solve(loss, float(rank)),
        }

    def record(self, n_rows: int, ridge: Ridge, **more: Any) -> Record:
        """Return the record of the search."""
        tried = tuple(candidate.tried for candidate in self.ranked)
        return Record(self.asked, n_rows, ridge, tried, **more)


AnyFunction = TypeVar("AnyFunction", bound=Callable[..., Any])


def basis_last(function: AnyFunction) -> AnyFunction:
    """Take the arguments of earlier versions, (basis, X, y), in the order (X, y, basis), too.

    A first argument that is a basis, a list of bases or ``None`` means the former.
    """

    @functools.wraps(function)
    def call(*args: Any, **named: Any) -> Any:
        if args and _is_basis(args[0]):
            warnings.warn(
                f"{function.__name__}(basis, X, y) is the order of earlier versions: write "
                f"{function.__name__}(X, y, basis).",
                FutureWarning,
                stacklevel=2,
            )
            args = (*args[1:3], args[0], *args[3:])
            if len(args) < 3:  # X or y stand by name
                named["basis"], args = args[-1], args[:-1]
        return function(*args, **named)

    return call  # type: ignore[return-value]


def _is_basis(argument: Any) -> bool:
    several = isinstance(argument, list | tuple) and len(argument) > 0
    listed = several and all(isinstance(one, AbstractBasis) for one in argument)
    return argument is None or isinstance(argument, AbstractBasis) or listed


def named_bases(basis: AbstractBasis | Sequence[AbstractBasis] | None) -> list[AbstractBasis]:
    """Return the bases that were named: one, several or none."""
    return [basis] if isinstance(basis, AbstractBasis) else list(basis or [])


def resolved_trainer(
    call: str,
    method: str | AbstractTrainer,
    bases: Sequence[AbstractBasis],
    objective: type[AbstractObjective],
) -> AbstractTrainer | str | None:
    """Return the trainer asked for, ``"frozen"``, or ``None`` where the method is open.

    Parameters
    ----------
    call : str
        The public function, for messages.
    method : str or AbstractTrainer
    bases : sequence of AbstractBasis
    objective : type
        What the trainer has to minimise.

    Raises
    ------
    ValueError
        For an unknown method, or one that cannot run with these bases.
    """
    if isinstance(method, str) and method == "auto":
        return None
    named = named_trainers(objective)
    own = isinstance(method, AbstractTrainer) and issubclass(objective, method.minimizes)
    if not own and method not in ("frozen", *named):
        raise ValueError(
            f"{call}(method={method!r}): expected 'auto', 'frozen', "
            f"{', '.join(map(repr, named))} or a trainer that minimises {objective.title}, such "
            "as GD(1e-3)."
        )
    if not bases:
        raise ValueError(
            f"{call}(basis=None, method={method!r}): only method='auto' chooses a basis."
        )
    frozen = [basis for basis in bases if not basis.trainable]
    if method != "frozen" and frozen:
        raise ValueError(
            f"{call}({frozen[0]!r}, method={method!r}): these functions are frozen. Use "
            "method='frozen', or a NeuralBasis to train."
        )
    return named[method]() if isinstance(method, str) and method in named else method

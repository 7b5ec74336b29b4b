"""Candidates: what a search has found, and what all searches for a basis do alike."""

from __future__ import annotations

import dataclasses
import math
import time
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import jax
import jax.numpy as jnp
import numpy as np

from .. import rows
from .._runtime.notation import Parameters
from ..basis import AbstractBasis, Ensemble
from ..models.fitted import Fitted
from ..train import (
    AbstractTrainer,
    Budget,
    Callback,
    CrossEntropy,
    History,
    Objective,
    Run,
    StopReason,
    train,
)
from . import linear as select
from .data import Prepared, some_rows

SEARCH_ROWS = 20_000
"""Rows (a random subset) that decide between candidates; the chosen one is solved on all."""
NOTHING_LEARNT = 0.95
"""Relative error above which there is no use in more of the same."""

AnyFitted = TypeVar("AnyFitted", bound=Fitted)


@dataclasses.dataclass
class Candidate:
    """A basis with parameters, and how well it did on rows its coefficients never saw.

    Attributes
    ----------
    held_out : float
        Relative error on the held-out rows; NaN where none were.
    left_out : float
        Relative leave-one-out error; NaN for trained candidates.
    ridge : float
        The chosen ridge, relative (see :data:`adabasis.selection.linear.RIDGES`).
    penalty : float or None
        The ridge of a trained candidate instead, λ in the sum over rows.
    run : Run or None
        ``None`` for frozen functions.
    standing : tuple of float
        The order of a candidate that this one goes before, in place of its own.
    """

    basis: AbstractBasis
    parameters: Parameters
    initial: Parameters
    label: str
    held_out: float = math.nan
    left_out: float = math.nan
    ridge: float = 0.0
    penalty: float | None = None
    run: Run | None = None
    standing: tuple[float, ...] = ()

    @property
    def order(self) -> tuple[float, ...]:
        """Held-out error first, then leave-one-out error, then the loss; NaN last."""
        errors = (self.held_out, self.left_out, self.run.loss if self.run else math.inf)
        own = tuple(e if math.isfinite(e) else math.inf for e in errors)
        return (*self.standing[:-1], 0.0) if self.standing else (*own, 1.0)

    @property
    def summary(self) -> dict[str, Any]:
        """The candidate as a row of a table."""
        return {
            "what": self.label,
            "held_out": _number(self.held_out),
            "left_out": _number(self.left_out),
            "ridge": self.ridge,
            "penalty": self.penalty,
            "steps": 0 if self.run is None else len(self.run.history) - 1,
            "stop": (self.run.stop_reason if self.run else StopReason.SOLVED).name,
        }


def _number(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None


@dataclasses.dataclass
class AbstractSearch:
    """One search; ``found`` grows, and whatever is in it when time runs out is used.

    Attributes
    ----------
    data : Prepared
    max_steps : int or None
        Of each training run; ``None`` leaves it to the trainer.
    tol : float
    deadline : float
        On the clock of ``time.perf_counter``.
    n_restarts : int
    ridge : float or "auto"
        λ of the front door.
    callbacks : tuple of callables
    """

    data: Prepared
    max_steps: int | None
    tol: float
    deadline: float
    n_restarts: int
    ridge: float | str
    callbacks: tuple[Callback, ...]
    found: list[Candidate] = dataclasses.field(default_factory=list)
    cut_short: StopReason | None = None

    @property
    def best(self) -> Candidate:
        """The best candidate so far."""
        return self.ranked[0]

    @property
    def ranked(self) -> list[Candidate]:
        """All candidates, best first."""
        return sorted(self.found, key=lambda candidate: candidate.order)

    def interrupted(self) -> None:
        """Go on with what is there, or pass the interrupt on where there is nothing yet."""
        if not self.found:
            raise KeyboardInterrupt
        self.cut_short = StopReason.INTERRUPTED

    def result(
        self, kind: type[AnyFitted], solved: Any, loss: float, *, joint: bool, **about: Any
    ) -> AnyFitted:
        """Wrap the best candidate up.

        Parameters
        ----------
        kind : type
        solved : object with coefficients, rank and singular values
            The last layer on all rows.
        loss : float
            Its loss, which is all there is to record of functions that were not trained.
        joint : bool
            Whether training had coefficients of its own: those are the result then.
        about
            The other attributes of the model.
        """
        data, best, run = self.data, self.best, self.best.run
        coefficients = run.coefficients if run and joint else solved.coefficients
        return kind(
            basis=best.basis,
            parameters=jax.tree.map(np.asarray, best.parameters),
            coefficients=np.asarray(coefficients),
            input_map=data.input_map,
            box=data.box,
            rank=int(solved.rank),
            singular_values=np.asarray(solved.singular_values),
            stop_reason=self.cut_short or (run.stop_reason if run else StopReason.SOLVED),
            history=run.history if run else History.of_one_solve(loss, float(solved.rank)),
            initial_parameters=jax.tree.map(np.asarray, best.initial),
            candidates=tuple(candidate.summary for candidate in self.ranked),
            **about,
        )

    def _descent(
        self,
        trainer: AbstractTrainer,
        objective: Objective | CrossEntropy,
        initial: Parameters,
        restart: int,
        penalty: float,
        validation: Objective | CrossEntropy | None,
        unit: float,
        tol: float = 0.0,
    ) -> Candidate:
        """Train within what is left of the budgets; ``unit`` is that of the held-out error."""
        basis = objective.basis
        budget = Budget.of(trainer, self.max_steps, max(self.tol, tol))
        left = max(self.deadline - time.perf_counter(), 0.0)
        run = train(
            trainer,
            objective,
            initial,
            key=jax.random.fold_in(self.data.key(restart), 1),
            budget=dataclasses.replace(budget, max_seconds=left),
            validation=validation,
            callbacks=self.callbacks,
        )
        if run.stop_reason is StopReason.INTERRUPTED:
            self.cut_short = StopReason.INTERRUPTED
        label = f"{select.describe(basis)}, trained, restart {restart}"
        error = math.nan if run.validation is None else run.validation / unit
        return Candidate(basis, run.parameters, initial, label, error, penalty=penalty, run=run)

    def _join(
        self,
        first: Candidate,
        members: int,
        another: Callable[[int], Candidate],
        penalty: float,
        mean: Callable[[list[float]], float],
    ) -> None:
        """Find more candidates like the first, each without other rows, and add their mean.

        Parameters
        ----------
        first : Candidate
        members : int
        another : callable
            From the number of a member, 1 and up, to a candidate of the same kind.
        penalty : float
            λ in the sum over rows.
        mean : callable
            From the held-out errors of the members to the bound that they set to the mean's own.
        """
        standing, group = self.best.order, [first]
        for number in range(1, members):
            candidate = another(number)
            if math.isfinite(candidate.held_out):
                group.append(candidate)
            if self._late():
                break
        if len(group) == 1:
            return
        basis = Ensemble(first.basis, len(group))
        self.found.append(
            Candidate(
                basis,
                _stacked([candidate.parameters for candidate in group]),
                _stacked([candidate.initial for candidate in group]),
                select.describe(basis) + (", trained" if first.run else ""),
                mean([candidate.held_out for candidate in group]),
                penalty=penalty,
                run=first.run,
                standing=standing,
            )
        )

    def some(self, indices: np.ndarray) -> np.ndarray:
        """Return the rows, or a random choice where there are very many."""
        return some_rows(indices, SEARCH_ROWS, self.data.seed)

    def _late(self) -> bool:
        if time.perf_counter() > self.deadline:
            self.cut_short = self.cut_short or StopReason.MAX_SECONDS
        return self.cut_short is not None


def total_weight(term: rows.Term) -> float:
    """Return the sum of the weights of a term's rows."""
    return float(np.sum(np.asarray(term.points.weight)))


def _stacked(trees: Sequence[Parameters]) -> Parameters:
    """Return the leaves of several pytrees, one after another along a new first axis."""
    return jax.tree.map(lambda *leaves: jnp.stack(leaves), *trees)

"""The search: candidates on frozen functions, candidates from training, the best of them.

Frozen candidates are judged by leave-one-out error on all rows, which costs no rows. Where descent
on ξ takes part, some rows are held out; the best frozen candidate is then solved again without
them, so that both kinds are judged by the same rows.
"""

from __future__ import annotations

import dataclasses
import itertools
import math
import time
from collections.abc import Sequence
from typing import Any

import jax
import numpy as np

from . import rows, select
from .basis import AbstractBasis
from .notation import Parameters
from .prepared import Prepared
from .train import (
    LSGD,
    LSGN,
    AbstractTrainer,
    Budget,
    Callback,
    Objective,
    Run,
    StopReason,
    held_out_error,
    train,
)

GOOD_ENOUGH = 1e-4
"""Relative leave-one-out error of frozen features below which descent on ξ is not tried."""
MOST_PARAMETERS = 2000
"""Hidden parameters (times outputs) up to which a Gauss–Newton step is taken by QR."""
SEARCH_ROWS = 20_000
"""Rows (a random subset) that decide between candidates; the chosen one is solved on all."""


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
        The chosen ridge, relative (see :data:`adabasis.select.RIDGES`).
    run : Run or None
        ``None`` for frozen functions.
    """

    basis: AbstractBasis
    parameters: Parameters
    initial: Parameters
    label: str
    held_out: float = math.nan
    left_out: float = math.nan
    ridge: float = 0.0
    run: Run | None = None

    @property
    def order(self) -> tuple[float, ...]:
        """Held-out error first, then leave-one-out error, then the loss; NaN last."""
        errors = (self.held_out, self.left_out, self.run.loss if self.run else math.inf)
        return tuple(e if math.isfinite(e) else math.inf for e in errors)

    @property
    def summary(self) -> dict[str, Any]:
        """The candidate as a row of a table."""
        return {
            "what": self.label,
            "held_out": _number(self.held_out),
            "left_out": _number(self.left_out),
            "ridge": self.ridge,
            "steps": 0 if self.run is None else len(self.run.history) - 1,
            "stop": (self.run.stop_reason if self.run else StopReason.SOLVED).name,
        }


def _number(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None


@dataclasses.dataclass
class Search:
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

    def automatic(self, bases: Sequence[AbstractBasis]) -> None:
        """Try frozen functions and one solve, then descent while the held-out error falls."""
        n_inputs = self.data.x.shape[1]
        bases = bases or select.default_bases(len(self._some(self.data.all_rows)), n_inputs)
        trainable = [basis for basis in bases if basis.trainable]
        self.frozen([basis for basis in bases if not basis.trainable] or bases)
        unfinished = self.cut_short is None and self.best.left_out > GOOD_ENOUGH
        if not (trainable and unfinished and self.data.held_out and self.max_steps != 0):
            return
        self._hold_out(self.best)
        self.descend(None, trainable)

    def frozen(self, bases: Sequence[AbstractBasis]) -> None:
        """Fit each basis as drawn, in every restart, by leave-one-out error on all rows."""
        term = self.data.term(self._some(self.data.all_rows))
        spread = _spread(term)
        try:
            for restart in range(self.n_restarts):
                for fit in select.linear_fits(
                    bases,
                    term,
                    self.data.key(restart),
                    self.data.inner_box,
                    self._fixed_ridge(term),
                ):
                    left_out = math.hypot(fit.left_out_error, math.sqrt(self.data.scatter))
                    self.found.append(
                        Candidate(
                            fit.basis,
                            fit.parameters,
                            fit.parameters,
                            select.describe(fit.basis),
                            left_out=left_out / spread,
                            ridge=fit.ridge,
                        )
                    )
                    if self._late():
                        return
        except KeyboardInterrupt:
            self.interrupted()

    def descend(self, trainer: AbstractTrainer | None, bases: Sequence[AbstractBasis]) -> None:
        """Train each basis from each restart, until told to stop or out of time.

        Without a trainer, Gauss–Newton where its factorizations fit, else first-order descent.
        """
        term = self.data.term(self._some(self.data.training_rows))
        for basis, restart in itertools.product(bases, range(self.n_restarts)):
            key = self.data.key(restart)
            initial = select.draw(basis, key, self.data.inner_box)
            try:
                chosen = trainer or _trainer_for(initial, term)
                run = self._run(chosen, basis, initial, term, jax.random.fold_in(key, 1))
            except KeyboardInterrupt:
                self.interrupted()
                return
            label = f"{select.describe(basis)}, trained, restart {restart}"
            error = math.nan if run.validation is None else run.validation / self._held_out_spread()
            self.found.append(Candidate(basis, run.parameters, initial, label, error, run=run))
            if run.stop_reason is StopReason.INTERRUPTED:
                self.cut_short = StopReason.INTERRUPTED
            if self._late():
                return

    def _run(
        self,
        trainer: AbstractTrainer,
        basis: AbstractBasis,
        initial: Parameters,
        term: rows.Term,
        key: jax.Array,
    ) -> Run:
        held_out = self.data.held_out
        left = max(self.deadline - time.perf_counter(), 0.0)
        return train(
            trainer,
            Objective([term], self._fixed_ridge(term) or 0.0, basis),
            initial,
            key=key,
            budget=dataclasses.replace(
                Budget.of(trainer, self.max_steps, self.tol), max_seconds=left
            ),
            validation=Objective([held_out[1]], 0.0, basis) if held_out else None,
            callbacks=self.callbacks,
        )

    def _hold_out(self, candidate: Candidate) -> None:
        """Measure a frozen candidate on the held-out rows, solved without them."""
        assert self.data.held_out is not None
        term = self.data.term(self._some(self.data.training_rows))
        basis = select.canonical(candidate.basis)
        fit = select.linear_fit(basis, candidate.parameters, term, self._fixed_ridge(term))
        objective = Objective([self.data.held_out[1]], 0.0, basis)
        error = held_out_error(objective, candidate.parameters, fit.coefficients)
        candidate.held_out = float(error) / self._held_out_spread()

    def _fixed_ridge(self, term: rows.Term) -> float | None:
        """Return the user's λ for mean squares instead of sums; ``None`` if it is to be chosen."""
        if isinstance(self.ridge, str):
            return None
        return self.ridge / float(np.sum(np.asarray(term.points.weight)))

    def _held_out_spread(self) -> float:
        assert self.data.held_out is not None
        return _spread(self.data.held_out[1])

    def _some(self, indices: np.ndarray) -> np.ndarray:
        """Return the rows, or a random subset where there are very many."""
        if len(indices) <= SEARCH_ROWS:
            return indices
        rng = np.random.default_rng([self.data.seed, 1])
        return np.sort(rng.choice(indices, SEARCH_ROWS, replace=False))

    def _late(self) -> bool:
        if time.perf_counter() > self.deadline:
            self.cut_short = self.cut_short or StopReason.MAX_SECONDS
        return self.cut_short is not None

    def interrupted(self) -> None:
        """Go on with what is there, or pass the interrupt on where there is nothing yet."""
        if not self.found:
            raise KeyboardInterrupt
        self.cut_short = StopReason.INTERRUPTED


def _trainer_for(parameters: Parameters, term: rows.Term) -> AbstractTrainer:
    """Return Gauss–Newton where its matrix of N·Q rows and n columns is affordable."""
    n = sum(leaf.size for leaf in jax.tree.leaves(parameters))
    n_rows, outputs = np.shape(term.data)
    affordable = n_rows * outputs * n <= select.MOST_NUMBERS and n * outputs <= MOST_PARAMETERS
    return LSGN() if affordable else LSGD("auto")


def _spread(term: rows.Term) -> float:
    return select.spread(np.asarray(term.data), np.asarray(term.points.weight)) or 1.0

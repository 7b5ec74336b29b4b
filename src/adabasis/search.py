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
import jax.numpy as jnp
import numpy as np

from . import rows, select
from .basis import AbstractBasis, Ensemble, ProjectedFeatures
from .notation import Parameters
from .prepared import Prepared
from .train import (
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
"""Relative error on rows not seen below which no more is tried."""
SEARCH_ROWS = 20_000
"""Rows (a random subset) that decide between candidates; the chosen one is solved on all."""
MEMBERS = 10
"""Networks averaged by default."""
PRIOR = 1 / 40
"""Ridge over the variance of the noise: coefficients of some six standard deviations of y are
usual. The noise is guessed from the held-out error met so far, so that clean data get none."""
WORTH_AVERAGING = 1.5
"""Networks whose held-out error is within this factor of the best one's are averaged."""
NOTHING_LEARNT = 0.95
"""Relative error above which there is no use in more of the same."""
CLEAR = 0.03
"""Relative error of a network below which its gradients tell directions from noise."""
ROUNDS = 2


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

    def automatic(self, bases: Sequence[AbstractBasis], members: int) -> None:
        """Try frozen functions and one solve, then descent, each as far as the last fell short.

        Networks are trained while the held-out error falls; where one shows that the data vary
        along few directions, features of those; where a network stays the best, some more like
        it are trained on other rows and averaged.
        """
        trainable = [basis for basis in bases if basis.trainable]
        self.frozen([basis for basis in bases if not basis.trainable] or bases)
        if not (trainable and self.data.folds and self.max_steps != 0 and self._unfinished()):
            return
        self._hold_out(self.best)
        self.descend(None, trainable)
        if members > 1 and self.cut_short is None:
            self._project()
        if members > 1 and self._unfinished():
            self._average(members)

    def _unfinished(self) -> bool:
        """Whether there is time, and no error over all rows that is small enough.

        That of a network over one fold may be luck: the rows at the edges of the data decide.
        """
        left_out = self.best.left_out
        return self.cut_short is None and not left_out <= GOOD_ENOUGH

    def frozen(self, bases: Sequence[AbstractBasis]) -> None:
        """Fit each basis as drawn, in every restart, by leave-one-out error on all rows."""
        term = self.data.term(self._some(self.data.all_rows))
        for restart in range(self.n_restarts):
            key, ridge = self.data.key(restart), self._fixed_ridge(term)
            for fit in select.linear_fits(bases, term, key, self.data.inner_box, ridge):
                self.found.append(self._solved(fit, term))
                if self._late():
                    return

    def _solved(self, fit: select.LinearFit, term: rows.Term) -> Candidate:
        left_out = math.hypot(fit.left_out_error, math.sqrt(self.data.scatter)) / _spread(term)
        return Candidate(
            fit.basis,
            fit.parameters,
            fit.parameters,
            select.describe(fit.basis),
            left_out=left_out,
            ridge=fit.ridge,
        )

    def _left_out(self, basis: AbstractBasis, parameters: Parameters) -> Candidate:
        """Solve functions as they are, by leave-one-out error on all rows."""
        term = self.data.term(self._some(self.data.all_rows))
        fit = select.linear_fit(basis, parameters, term, self._fixed_ridge(term))
        return self._solved(fit, term)

    def descend(self, trainer: AbstractTrainer | None, bases: Sequence[AbstractBasis]) -> None:
        """Train each basis from each restart, until told to stop or out of time.

        Without a trainer, by Gauss–Newton steps with a ridge that the noise met so far calls for.
        """
        for basis, restart in itertools.product(bases, range(self.n_restarts)):
            if trainer is None:
                self.found.append(self._grown(basis, restart, 0))
            else:
                penalty = self._fixed_penalty
                self.found.append(self._trained(trainer, basis, restart, 0, penalty))
            if self._late():
                return

    def _grown(self, basis: AbstractBasis, restart: int, fold: int) -> Candidate:
        """Train a network of half the width, where there is one, and widen it."""
        narrower, initial = select.narrower(basis), None
        if narrower is not None and self.cut_short is None:
            start = self._grown(narrower, restart, fold)
            key = jax.random.fold_in(self.data.key(restart), 2)
            initial = select.widen(basis, start.parameters, key, self.data.inner_box)
        return self._trained(None, basis, restart, fold, self._penalty(), initial)

    def _trained(
        self,
        trainer: AbstractTrainer | None,
        basis: AbstractBasis,
        restart: int,
        fold: int | None,
        penalty: float,
        initial: Parameters = None,
    ) -> Candidate:
        """Train a basis without the rows of a fold, or on all rows."""
        kept, held_out = self.data.fold(fold) if fold is not None else (self.data.all_rows, None)
        term, key = self.data.term(self._some(kept)), self.data.key(restart)
        if initial is None:
            drawn = select.draw(basis, key, self.data.inner_box)
            initial = select.placed(basis, drawn, term.points)
        left = max(self.deadline - time.perf_counter(), 0.0)
        trainer = trainer or LSGN()
        run = train(
            trainer,
            Objective(rows.tied(term, basis), penalty / _total(term), basis),
            initial,
            key=jax.random.fold_in(key, 1),
            budget=dataclasses.replace(
                Budget.of(trainer, self.max_steps, self.tol), max_seconds=left
            ),
            validation=Objective([held_out], 0.0, basis) if held_out else None,
            callbacks=self.callbacks,
        )
        if run.stop_reason is StopReason.INTERRUPTED:
            self.cut_short = StopReason.INTERRUPTED
        label = f"{select.describe(basis)}, trained, restart {restart}"
        error = math.nan
        if held_out is not None and run.validation is not None:
            error = run.validation / _spread(held_out)
        return Candidate(basis, run.parameters, initial, label, error, penalty=penalty, run=run)

    def _project(self) -> None:
        """Look for few directions in the gradients of the best network, and train features of them.

        The trained features tell the number of directions better than the network did. The
        coefficients are then solved for some numbers of features and slopes, by leave-one-out
        error.
        """
        seen = min((c for c in self.found if c.run), key=lambda c: c.order, default=None)
        if seen is None or not seen.held_out < CLEAR:
            return
        term = self.data.term(self._some(self.data.fold(0)[0]))
        z = np.asarray(term.points.x)[: np.count_nonzero(term.points.weight)]
        rank = z.shape[1]
        bases: list[ProjectedFeatures] = []
        for _ in range(ROUNDS):
            assert seen.run is not None
            axes, variation = select.directions(
                seen.basis, seen.parameters, seen.run.coefficients, z
            )
            fewer = select.clear_rank(variation[:rank])
            if not fewer:
                break
            rank, bases = fewer, select.projected_bases(len(z), z.shape[1], fewer)
            if not bases:
                return
            start = bases[0].along(axes[:rank], z)
            seen = self._trained(None, bases[0], 0, 0, self._fixed_penalty, start)
            if self._late():
                break
        if bases and self.cut_short is None:
            # Few parameters, no noise: the end of the descent, not where a check ended it.
            last = self._trained(None, bases[0], 0, None, self._fixed_penalty, seen.parameters)
            solved = [self._left_out(basis, last.parameters) for basis in bases]
            best = min(solved, key=lambda candidate: candidate.left_out)
            best.initial, best.run = seen.initial, seen.run
            best.label += ", trained"
            self._hold_out(best)
            self.found.append(best)

    def _average(self, members: int) -> None:
        """Train more networks like a good one, each without other rows, and average them.

        The larger a network, the more of its error is chance that averaging takes away: the
        largest of those that do about as well is taken. Against other candidates the mean stands
        as the best single network.
        """
        best = self.best
        if best.run is None or isinstance(best.basis, ProjectedFeatures):
            return
        if best.held_out > NOTHING_LEARNT:
            return
        good = [c for c in self.found if c.run and c.held_out <= WORTH_AVERAGING * best.held_out]
        first = max(good, key=lambda c: (_size(c.parameters), -c.held_out))
        penalty, group = self._penalty(), [first]
        for number in range(1, members):
            candidate = self._grown(first.basis, self.n_restarts + number, number)
            if math.isfinite(candidate.held_out):
                group.append(candidate)
            if self._late():
                break
        if len(group) > 1:
            self.found.append(_mean(group, penalty, best.order))

    def _hold_out(self, candidate: Candidate) -> None:
        """Solve a candidate without the held-out rows, ridge chosen, and measure it on them."""
        kept, held_out = self.data.fold(0)
        assert held_out is not None
        term = self.data.term(self._some(kept))
        basis = select.canonical(candidate.basis)
        fit = select.linear_fit(basis, candidate.parameters, term, self._fixed_ridge(term))
        objective = Objective([held_out], 0.0, basis)
        error = held_out_error(objective, candidate.parameters, fit.coefficients)
        candidate.held_out, candidate.ridge = float(error) / _spread(held_out), fit.ridge

    def _penalty(self) -> float:
        """Return λ in the sum over rows: the user's, or what the noise met so far calls for."""
        if not isinstance(self.ridge, str):
            return self.ridge
        errors = [candidate.held_out for candidate in self.found if candidate.run]
        return PRIOR * min(errors, default=0.0) ** 2

    @property
    def _fixed_penalty(self) -> float:
        return 0.0 if isinstance(self.ridge, str) else self.ridge

    def _fixed_ridge(self, term: rows.Term) -> float | None:
        """Return the user's λ for mean squares instead of sums; ``None`` if it is to be chosen."""
        return None if isinstance(self.ridge, str) else self.ridge / _total(term)

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


def _size(parameters: Parameters) -> int:
    return sum(leaf.size for leaf in jax.tree.leaves(parameters))


def _mean(group: Sequence[Candidate], penalty: float, standing: tuple[float, ...]) -> Candidate:
    """Return the mean of networks of one kind; the mean of their squared errors bounds its own."""
    first = group[0]
    basis = Ensemble(first.basis, len(group))
    return Candidate(
        basis,
        stacked([candidate.parameters for candidate in group]),
        stacked([candidate.initial for candidate in group]),
        f"{select.describe(basis)}, trained",
        math.sqrt(np.mean([candidate.held_out**2 for candidate in group])),
        penalty=penalty,
        run=first.run,
        standing=standing,
    )


def stacked(trees: Sequence[Parameters]) -> Parameters:
    """Return the leaves of several pytrees, one after another along a new first axis."""
    return jax.tree.map(lambda *leaves: jnp.stack(leaves), *trees)


def _total(term: rows.Term) -> float:
    return float(np.sum(np.asarray(term.points.weight)))


def _spread(term: rows.Term) -> float:
    return select.spread(np.asarray(term.data), np.asarray(term.points.weight)) or 1.0

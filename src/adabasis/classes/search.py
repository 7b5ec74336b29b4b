"""The search behind :func:`adabasis.classify`: frozen functions, trained ones, the best of them."""

from __future__ import annotations

import dataclasses
import itertools
import math
import time
from collections.abc import Iterator, Sequence
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from .. import rows, select
from ..basis import AbstractBasis, Ensemble, FrozenFeatures, NeuralBasis
from ..notation import Parameters
from ..prepared import Prepared
from ..search import SEARCH_ROWS, Candidate, stacked
from ..train import (
    NGD,
    AbstractTrainer,
    Budget,
    Callback,
    CrossEntropy,
    LastLayer,
    StopReason,
    average_layers,
    held_out_error,
    newton,
    train,
)

RIDGES = np.logspace(0, -6, 7)
"""Ridges λ tried, from the strongest; each starts where the last one ended."""
USUAL_RIDGE = 1e-2
"""λ where no rows are held out to choose it by."""
NETWORKS = ((32, 1), (32, 2))
"""Width and depth of the networks that are trained by default."""
WIDEST = 512
SCALES = (1.0, 4.0, 16.0)
"""Factors on the slopes of frozen features: classes meet along edges, so they may be steep."""
MEMBERS = 5
"""Draws averaged by default."""
INDIFFERENCE = 0.01
"""The strongest ridge is taken whose held-out cross-entropy, relative to that of the frequencies,
is within this of the least: one row more or less in the held-out ones is worth more."""
GOOD_ENOUGH = 5e-3
"""Held-out cross-entropy, relative to that of the frequencies, that calls for no network."""
NOTHING_LEARNT = 0.95
"""The same, above which there is no use in more of the same."""
ROUGH = 1e-3
"""Accuracy of the Newton solves that ridges are compared by."""


def default_bases(
    n_rows: int,
    n_inputs: int,
    *,
    activation: Any = "tanh",
    residual: bool = False,
    init: Any = "box",
) -> list[AbstractBasis]:
    """Return the bases that are compared when none is named: frozen features, then networks."""
    widest = max(1, min(WIDEST, n_rows // 2 - n_inputs - 1))
    networks = [
        NeuralBasis(width, depth, activation=activation, residual=residual, init=init)
        for width, depth in NETWORKS
    ]
    return [FrozenFeatures(widest, activation=activation), *networks]


@dataclasses.dataclass
class ClassSearch:
    """Candidates on frozen functions, candidates from training, the best of them.

    Scale and ridge of frozen features, the end of training and the winner are chosen by
    cross-entropy on held-out rows.

    Attributes
    ----------
    data : Prepared
        Its values are the indicators.
    max_steps, tol, deadline, n_restarts, ridge, callbacks
        As in :class:`adabasis.search.Search`.
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
    def ranked(self) -> list[Candidate]:
        """All candidates, best first."""
        return sorted(self.found, key=lambda candidate: candidate.order)

    def run(
        self, trainer: AbstractTrainer | str | None, bases: Sequence[AbstractBasis], members: int
    ) -> None:
        """Try what the method asks for."""
        if isinstance(trainer, AbstractTrainer):
            self.descend(trainer, bases)
            return
        bases = bases or default_bases(min(len(self.data.x), SEARCH_ROWS), self.data.x.shape[1])
        trainable = [basis for basis in bases if basis.trainable]
        self.frozen([basis for basis in bases if not basis.trainable] or bases)
        if trainer == "frozen" or not self.data.folds or self.max_steps == 0:
            return
        if self.cut_short is None and not self.ranked[0].held_out <= GOOD_ENOUGH:
            self.descend(NGD(), trainable)
        if members > 1 and self.cut_short is None:
            self._average(members)

    def frozen(self, bases: Sequence[AbstractBasis]) -> None:
        """Solve each kind of basis as drawn, with the ridge of least held-out cross-entropy."""
        for restart, basis in itertools.product(range(self.n_restarts), bases):
            drawn = select.draw(basis, self.data.key(restart), self.data.inner_box)
            for scaled, parameters in _scaled(basis, drawn):
                self.found.append(self._solved(scaled, parameters))
                if self._late():
                    return

    def _solved(
        self, basis: AbstractBasis, parameters: Parameters, fold: int = 0, ridges: Any = RIDGES
    ) -> Candidate:
        kept, held_out = self.data.fold(fold)
        term = self.data.term(self.some(kept))
        candidate = Candidate(basis, parameters, parameters, select.describe(basis))
        ridges = ridges if self.ridge == "auto" and held_out is not None else [self.usual_ridge]
        tried, c = [], None
        for ridge in ridges:
            c = optimum(basis, parameters, term, ridge, c, tol=ROUGH).coefficients
            tried.append((self._held_out(basis, parameters, c, fold), float(ridge)))
            if tried[-1][0] > min(tried)[0] + INDIFFERENCE:
                break
        least = min(tried)[0]
        good = [pair for pair in tried if pair[0] <= least + INDIFFERENCE]
        candidate.held_out, candidate.penalty = good[0] if good else tried[0]
        return candidate

    def _held_out(self, basis: AbstractBasis, parameters: Parameters, c: Any, fold: int) -> float:
        held_out = self.data.fold(fold)[1]
        if held_out is None:
            return math.nan
        objective = CrossEntropy(held_out, 0.0, select.canonical(basis))
        return float(held_out_error(objective, parameters, c)) / self._entropy

    def descend(self, trainer: AbstractTrainer, bases: Sequence[AbstractBasis]) -> None:
        """Train each basis from each restart, with the ridge that suited frozen functions."""
        chosen = self.ranked[0].penalty if self.found else None
        penalty = self.usual_ridge if chosen is None else chosen
        for basis, restart in itertools.product(bases, range(self.n_restarts)):
            self.found.append(self._trained(trainer, basis, restart, 0, penalty))
            if self._late():
                return

    def _trained(
        self,
        trainer: AbstractTrainer,
        basis: AbstractBasis,
        restart: int,
        fold: int,
        penalty: float,
    ) -> Candidate:
        """Train a basis without the rows of a fold."""
        kept, held_out = self.data.fold(fold)
        term, key = self.data.term(self.some(kept)), self.data.key(restart)
        initial = select.draw(basis, key, self.data.inner_box)
        left = max(self.deadline - time.perf_counter(), 0.0)
        budget = Budget.of(trainer, self.max_steps, self.tol)
        run = train(
            trainer,
            CrossEntropy(term, penalty / _total(term), basis),
            initial,
            key=jax.random.fold_in(key, 1),
            budget=dataclasses.replace(budget, max_seconds=left),
            validation=CrossEntropy(held_out, 0.0, basis) if held_out else None,
            callbacks=self.callbacks,
        )
        if run.stop_reason is StopReason.INTERRUPTED:
            self.cut_short = StopReason.INTERRUPTED
        label = f"{select.describe(basis)}, trained, restart {restart}"
        error = math.nan if run.validation is None else run.validation / self._entropy
        return Candidate(basis, run.parameters, initial, label, error, penalty=penalty, run=run)

    def _average(self, members: int) -> None:
        """Draw more functions like the best ones, each without other rows, and average the scores.

        Cross-entropy is convex in the scores, so that the mean of the members' bounds their own.
        """
        best = self.ranked[0]
        if not best.held_out <= NOTHING_LEARNT:
            return
        group, penalty = [best], self.usual_ridge if best.penalty is None else best.penalty
        for number in range(1, members):
            restart = self.n_restarts + number
            if best.run is not None:
                one = self._trained(NGD(), best.basis, restart, number, penalty)
            else:
                drawn = select.draw(best.basis, self.data.key(restart), self.data.inner_box)
                one = self._solved(best.basis, drawn, number, [penalty])
            if math.isfinite(one.held_out):
                group.append(one)
            if self._late():
                break
        if len(group) > 1:
            self.found.append(_mean(group, penalty, best.order))

    @property
    def usual_ridge(self) -> float:
        """The user's λ, or the usual one."""
        return USUAL_RIDGE if isinstance(self.ridge, str) else float(self.ridge)

    @property
    def _entropy(self) -> float:
        """Cross-entropy of the class frequencies: what a model that looks at nothing has."""
        share = self.data.weight @ self.data.t / self.data.weight.sum()
        return float(-np.sum(share * np.log(np.where(share > 0, share, 1.0))))

    def some(self, indices: np.ndarray) -> np.ndarray:
        """Return the rows, or a random choice where there are very many."""
        return some_rows(indices, SEARCH_ROWS, self.data.seed)

    def _late(self) -> bool:
        if time.perf_counter() > self.deadline:
            self.cut_short = self.cut_short or StopReason.MAX_SECONDS
        return self.cut_short is not None

    def interrupted(self) -> None:
        """Go on with what is there, or pass the interrupt on where there is nothing yet."""
        if not self.found:
            raise KeyboardInterrupt
        self.cut_short = StopReason.INTERRUPTED


def _scaled(basis: AbstractBasis, drawn: Parameters) -> Iterator[tuple[AbstractBasis, Parameters]]:
    """Yield a basis as drawn; frozen features of no scale with each one that is tried."""
    if not (isinstance(basis, FrozenFeatures) and basis.scale == "auto"):
        yield basis, drawn
    elif basis.activation == "relu":  # a scaled ReLU is but a scaled column
        yield basis.replace(scale=1.0), drawn
    else:
        for scale in SCALES:
            yield basis.replace(scale=scale), drawn.times(scale)


def _mean(group: Sequence[Candidate], penalty: float, standing: tuple[float, ...]) -> Candidate:
    first, basis = group[0], Ensemble(group[0].basis, len(group))
    return Candidate(
        basis,
        stacked([candidate.parameters for candidate in group]),
        stacked([candidate.initial for candidate in group]),
        select.describe(basis) + (", trained" if first.run else ""),
        float(np.mean([candidate.held_out for candidate in group])),
        penalty=penalty,
        run=first.run,
        standing=standing,
    )


def some_rows(indices: np.ndarray, most: int, seed: int) -> np.ndarray:
    """Return the indices, or a random choice of so many."""
    if len(indices) <= most:
        return indices
    return np.sort(np.random.default_rng([seed, 1]).choice(indices, most, replace=False))


def _total(term: rows.Term) -> float:
    return float(np.sum(np.asarray(term.points.weight)))


@eqx.filter_jit
def _last_layer(
    objective: CrossEntropy, parameters: Parameters, start: Any, tol: Array
) -> LastLayer:
    phi = objective.design(parameters)
    if start is None:
        start = jnp.zeros((phi.shape[1], objective.n_outputs), phi.dtype)
    return newton(objective, phi, start, tol=tol)


def optimum(
    basis: AbstractBasis,
    parameters: Parameters,
    term: rows.Term,
    ridge: float,
    start: Any = None,
    tol: float = 0.0,
) -> LastLayer:
    """Return the optimum of the last layer with λ in the sum over rows.

    Parts of a basis are solved apart, and the scores are their mean.
    """
    solved = []
    for part, inside in basis.parts(parameters):
        part, share = select.canonical(part), jnp.asarray(ridge / _total(term))
        objective = CrossEntropy(term, share, part)
        solved.append(_last_layer(objective, inside, start, jnp.asarray(tol)))
    return solved[0] if len(solved) == 1 else average_layers(solved)

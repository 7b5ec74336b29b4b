"""The search behind :func:`adabasis.classify`: frozen functions, trained ones, the best of them."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence
from typing import Any

import jax.numpy as jnp
import numpy as np
from jax import Array

from .. import rows
from .._runtime.compiled import quickly
from .._runtime.notation import AnyArray, Parameters
from ..basis import AbstractBasis, FrozenFeatures, NeuralBasis
from ..selection import linear as select
from ..selection.search import NOTHING_LEARNT, SEARCH_ROWS, AbstractSearch, Candidate, total_weight
from ..train import (
    NGD,
    AbstractTrainer,
    CrossEntropy,
    LastLayer,
    average_layers,
    held_out_error,
    newton,
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


class ClassSearch(AbstractSearch):
    """A search for functions that Newton's method fits to classes; its data are their indicators.

    Scale and ridge of frozen features, the end of training and the winner are chosen by
    cross-entropy on held-out rows.
    """

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
        if self.cut_short is None and not self.best.held_out <= GOOD_ENOUGH:
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
        chosen = self.best.penalty if self.found else None
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
        term = self.data.term(self.some(kept))
        return self._descent(
            trainer,
            CrossEntropy(term, penalty / total_weight(term), basis),
            select.draw(basis, self.data.key(restart), self.data.inner_box),
            restart,
            penalty,
            CrossEntropy(held_out, 0.0, basis) if held_out else None,
            self._entropy,
        )

    def _average(self, members: int) -> None:
        """Draw more functions like the best ones, each without other rows, and average the scores.

        Cross-entropy is convex in the scores, so that the mean of the members' bounds their own.
        """
        best = self.best
        if not best.held_out <= NOTHING_LEARNT:
            return
        penalty = self.usual_ridge if best.penalty is None else best.penalty

        def another(number: int) -> Candidate:
            restart = self.n_restarts + number
            if best.run is not None:
                return self._trained(NGD(), best.basis, restart, number, penalty)
            drawn = select.draw(best.basis, self.data.key(restart), self.data.inner_box)
            return self._solved(best.basis, drawn, number, [penalty])

        self._join(best, members, another, penalty, _arithmetic_mean)

    @property
    def usual_ridge(self) -> float:
        """The user's λ, or the usual one."""
        return USUAL_RIDGE if isinstance(self.ridge, str) else float(self.ridge)

    @property
    def _entropy(self) -> float:
        """Cross-entropy of the class frequencies: what a model that looks at nothing has."""
        share = self.data.weight @ self.data.t / self.data.weight.sum()
        return float(-np.sum(share * np.log(np.where(share > 0, share, 1.0))))


def _scaled(basis: AbstractBasis, drawn: Parameters) -> Iterator[tuple[AbstractBasis, Parameters]]:
    """Yield a basis as drawn; frozen features of no scale with each one that is tried."""
    if not (isinstance(basis, FrozenFeatures) and basis.scale == "auto"):
        yield basis, drawn
    elif basis.activation == "relu":  # a scaled ReLU is but a scaled column
        yield basis.replace(scale=1.0), drawn
    else:
        for scale in SCALES:
            yield basis.replace(scale=scale), drawn.times(scale)


def _arithmetic_mean(errors: list[float]) -> float:
    return float(np.mean(errors))


@quickly()
def _last_layer(
    objective: CrossEntropy, parameters: Parameters, start: AnyArray, tol: Array
) -> LastLayer:
    return newton(objective, objective.design(parameters), jnp.asarray(start), tol=tol)


def optimum(
    basis: AbstractBasis,
    parameters: Parameters,
    term: rows.Term,
    ridge: float,
    start: AnyArray | None = None,
    tol: float = 0.0,
) -> LastLayer:
    """Return the optimum of the last layer with λ in the sum over rows.

    Parts of a basis are solved apart, and the scores are their mean.
    """
    solved = []
    for part, inside in basis.parts(parameters):
        part, share = select.canonical(part), jnp.asarray(ridge / total_weight(term))
        objective = CrossEntropy(term, share, part)
        if start is None:  # zeros of the same kind, so that both compile once
            start = np.zeros((part.size(term.points.x.shape[1]), objective.n_outputs))
        solved.append(_last_layer(objective, inside, jnp.asarray(start), jnp.asarray(tol)))
    return solved[0] if len(solved) == 1 else average_layers(solved)

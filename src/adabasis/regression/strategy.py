"""The search: candidates on frozen functions, candidates from training, the best of them.

Frozen candidates are judged by leave-one-out error on all rows, which costs no rows. Where descent
on ξ takes part, some rows are held out; the best frozen candidate is then solved again without
them, so that both kinds are judged by the same rows.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence

import jax
import numpy as np

from .. import rows
from .._runtime.notation import Parameters
from ..basis import AbstractBasis, ProjectedFeatures
from ..selection import linear as select
from ..selection.search import NOTHING_LEARNT, AbstractSearch, Candidate, total_weight
from ..train import LSGN, AbstractTrainer, Objective, held_out_error

GOOD_ENOUGH = 1e-4
"""Relative error on rows not seen below which no more is tried."""
MEMBERS = 10
"""Networks averaged by default."""
PRIOR = 1 / 40
"""Ridge over the variance of the noise: coefficients of some six standard deviations of y are
usual. The noise is guessed from the held-out error met so far, so that clean data get none."""
WORTH_AVERAGING = 1.5
"""Held-out errors within this factor are about the same: one fold tells no more."""
CLEAR = 0.03
"""Relative error of a network below which its gradients tell directions from noise."""
NOISY = 1e-3
"""Relative error met so far above which single precision does for the steps of descent."""
CONVERGED = 1e-8
"""Relative residual at which directions are known: up to 200 steps beyond it made the error on
unseen points smaller for one of four ridge functions, and larger for three."""
ROUNDS = 2


class Search(AbstractSearch):
    """A search for functions that least squares fits to numbers."""

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
        term = self.data.term(self.some(self.data.all_rows))
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
        term = self.data.term(self.some(self.data.all_rows))
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
        tol: float = 0.0,
    ) -> Candidate:
        """Train a basis without the rows of a fold, or on all rows."""
        kept, held_out = self.data.fold(fold) if fold is not None else (self.data.all_rows, None)
        term = self.data.term(self.some(kept))
        if initial is None:
            drawn = select.draw(basis, self.data.key(restart), self.data.inner_box)
            initial = select.placed(basis, drawn, term.points)
        return self._descent(
            trainer or self._steps(penalty),
            Objective(rows.tied(term, basis), penalty / total_weight(term), basis),
            initial,
            restart,
            penalty,
            Objective([held_out], 0.0, basis) if held_out else None,
            _spread(held_out) if held_out else 1.0,
            tol,
        )

    def _project(self) -> None:
        """Look for few directions in the gradients of the best network, and train features of them.

        The trained features tell the number of directions better than the network did. The
        coefficients are then solved for some numbers of features and slopes, and the smoothest
        that do well are taken, or those of least leave-one-out error. Among good ones that error
        is a matter of the few outermost rows, and beyond them smooth features err less.
        """
        seen = min((c for c in self.found if c.run), key=lambda c: c.order, default=None)
        if seen is None or not seen.held_out < CLEAR:
            return
        term = self.data.term(self.some(self.data.fold(0)[0]))
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
            few = min(bases, key=lambda basis: basis.width)  # enough to find the directions
            start = few.along(axes[:rank], z)
            seen = self._trained(None, few, 0, 0, self._fixed_penalty, start, CONVERGED)
            if self._late():
                break
        if bases and self.cut_short is None:
            # Few parameters, no noise: where residuals vanish, not where a check ended the descent.
            # From the axes anew, not from where the fewer features turned them to by chance.
            assert seen.run is not None
            axes, _ = select.directions(seen.basis, seen.parameters, seen.run.coefficients, z)
            start, penalty = bases[0].along(axes[:rank], z), self._fixed_penalty
            last = self._trained(None, bases[0], 0, None, penalty, start, CONVERGED)
            solved = []
            for basis in bases:
                solved.append(self._left_out(basis, last.parameters))
                if solved[-1].left_out <= GOOD_ENOUGH:
                    break
            best = min(solved, key=lambda candidate: candidate.left_out)
            best.initial, best.run = seen.initial, seen.run
            best.label += ", trained"
            self._hold_out(best)
            if self._as_good(best):
                best.standing = min(self.best.order, best.order)
            self.found.append(best)

    def _as_good(self, candidate: Candidate) -> bool:
        """Whether an error over all rows is small, and over one fold not clearly the larger."""
        enough = candidate.left_out <= GOOD_ENOUGH
        return enough and candidate.held_out <= WORTH_AVERAGING * self.best.held_out

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

        def another(number: int) -> Candidate:
            return self._grown(first.basis, self.n_restarts + number, number)

        self._join(first, members, another, self._penalty(), _root_mean_square)

    def _hold_out(self, candidate: Candidate) -> None:
        """Solve a candidate without the held-out rows, ridge chosen, and measure it on them."""
        kept, held_out = self.data.fold(0)
        assert held_out is not None
        term = self.data.term(self.some(kept))
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

    def _steps(self, penalty: float) -> LSGN:
        """Return the steps for a ridge: where it stands for noise, directions lose digits to it."""
        noisy = isinstance(self.ridge, str) and penalty > PRIOR * NOISY**2
        return LSGN(precision="single" if noisy else "double")

    @property
    def _fixed_penalty(self) -> float:
        return 0.0 if isinstance(self.ridge, str) else self.ridge

    def _fixed_ridge(self, term: rows.Term) -> float | None:
        """Return the user's λ for mean squares instead of sums; ``None`` if it is to be chosen."""
        return None if isinstance(self.ridge, str) else self.ridge / total_weight(term)


def _size(parameters: Parameters) -> int:
    return sum(leaf.size for leaf in jax.tree.leaves(parameters))


def _root_mean_square(errors: list[float]) -> float:
    """Bound the error of the mean of networks: its square is at most the mean of theirs."""
    return math.sqrt(np.mean(np.square(errors)))


def _spread(term: rows.Term) -> float:
    return select.spread(np.asarray(term.data), np.asarray(term.points.weight)) or 1.0

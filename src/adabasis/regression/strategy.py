"""What to try on numbers, in what order: frozen functions, trained ones, averages.

Frozen candidates are judged by leave-one-out error on all rows, which costs no rows. Where descent
on ξ takes part, some rows are held out; the best frozen candidate is then solved again without
them, so that both kinds are judged by the same rows.
"""

from __future__ import annotations

import dataclasses
import itertools
import math
from collections.abc import Iterator, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from .. import lstsq, rows
from .._runtime.compute import quickly
from .._runtime.notation import Parameters
from ..basis import AbstractBasis, Ensemble, PartitionBasis, ProjectedFeatures
from ..basis.pou.partition import hard_assignment
from ..evidence.errors import Unseen, spread
from ..evidence.verdict import left_out_verdict
from ..models.fitted import CHUNK_NUMBERS, Fitted
from ..models.record import Ridge
from ..selection.search import Candidate, Search
from ..selection.task import (
    FARTHEST,
    NOTHING_LEARNT,
    SEARCH_ROWS,
    DataTask,
    describe,
    padded_term,
    placed,
    some_rows,
)
from ..train import LSGN, AbstractTrainer, Objective
from . import bases as proposals

#: Relative error on rows not seen below which no more is tried.
GOOD_ENOUGH = 1e-4
#: Networks averaged by default.
MEMBERS = 10
#: Ridge over the variance of the noise: coefficients of some six standard deviations of y are
#: usual. The noise is guessed from the held-out error met so far, so that clean data get none.
PRIOR = 1 / 40
#: Held-out errors within this factor are about the same: one fold tells no more.
WORTH_AVERAGING = 1.5
#: Relative error of a network below which its gradients tell directions from noise.
CLEAR = 0.03
#: Relative error met so far above which single precision does for the steps of descent.
NOISY = 1e-3
#: Relative residual at which directions are known: up to 200 steps beyond it made the error on
#: unseen points smaller for one of four ridge functions, and larger for three.
CONVERGED = 1e-8
ROUNDS = 2
#: Rows up to which each row's functions are chosen anew without it: with more, luck is small.
MOST_CHOSEN_ANEW, MOST_LUCK = 1000, 3.0


class RegressionTask(DataTask):
    """Least squares: y ≈ Φ(x; ξ) c for rows of numbers.

    Attributes
    ----------
    trials : list of array, shape (K, N)
        Leave-one-out losses of functions as drawn, with each ridge tried.
    """

    def __init__(self, *about: Any, **named: Any) -> None:
        super().__init__(*about, **named)
        self.trials: list[np.ndarray] = []

    def objective(self, term: rows.Term, basis: AbstractBasis, ridge: float) -> Objective:
        """Return the mean square of the rows' residual, the ties of the basis and the ridge."""
        return Objective(rows.tied(term, basis), ridge / _total_weight(term), basis)

    def validation(self, term: rows.Term, basis: AbstractBasis) -> Objective:
        """Return the mean square of the residual alone."""
        return Objective([term], 0.0, basis)

    def unit(self) -> float:
        """Return the spread of the values."""
        return self.data.places.spread

    def relative(self, error: float, fold: int | None) -> float:
        """Return an error of means with the scatter about them: single rows are judged."""
        data = self.data
        if not data.out or fold is None:
            term = data.fold(0)[1]
            return error / (self.unit() if term is None else _spread_of(term))
        scatter = data.places.scatter[data.out[fold % len(data.out)]]
        return math.hypot(error, math.sqrt(scatter.mean())) / self.unit()

    def losses(self, values: np.ndarray, targets: np.ndarray, scatter: Any) -> np.ndarray:
        """Return the squared errors over the spread, squared, the mean over targets."""
        unit = self.unit() if scatter is not None else spread(targets)
        return (
            np.mean((values - targets) ** 2 + (0.0 if scatter is None else scatter), axis=1)
            / unit**2
        )

    def frozen(self, basis: AbstractBasis, parameters: Parameters) -> Candidate:
        """Solve functions as they are; their error is by leave-one-out on all rows."""
        ridge = self.asked.fixed_ridge
        found = proposals.linear_fit(basis, parameters, self.data, self.sampled, ridge)
        if len(self.sampled) <= MOST_CHOSEN_ANEW:
            self.trials.append(found.tried)
        return Candidate(
            basis,
            parameters,
            parameters,
            describe(basis),
            loo_error=found.unseen.error,
            ridge=found.ridge,
            unseen=found.unseen,
            overshoot=found.overshoot,
        )

    def held_out(self, candidate: Candidate) -> dict[str, Any]:
        """Solve a candidate without the held-out rows, ridge chosen, and measure it on them.

        Returns what changes about the candidate.
        """
        data = self.data
        kept = some_rows(data.fold(0)[0], SEARCH_ROWS, data.seed)
        found = proposals.linear_fit(
            candidate.basis, candidate.parameters, data, kept, self.asked.fixed_ridge
        )
        basis = candidate.basis.canonical()
        seen = self.unseen(dataclasses.replace(candidate, basis=basis, fold=0), found.coefficients)
        assert seen is not None
        return {"validation_error": seen.error, "ridge": found.ridge}

    def ranked(self, found: Sequence[Candidate]) -> list[Candidate]:
        """Return candidates, best first.

        Functions of trained directions have a leave-one-out error, too. Where that is small, over
        all rows, they go first unless they are clearly the worse over the one fold.
        """
        own = super().ranked(found)
        most = WORTH_AVERAGING * own[0].validation_error
        for best in own:
            near = best.validation_error <= most and self._stays(best)
            if best.run and best.loo_error <= GOOD_ENOUGH and near:
                return [best, *(other for other in own if other is not best)]
        return own

    def finished(self, search: Search[Candidate]) -> Fitted:
        """Solve the best candidate's coefficients on all rows and wrap it up.

        Joint training has coefficients of its own: those are the result there.
        """
        data, best, seen = self.data, *self.evidence(search.best, search.found)
        model = best.basis, best.parameters
        solved = solve_rows(model, data.source, best.ridge)
        status = lstsq.Status(int(solved.status))
        loss = float(np.mean(np.asarray(solved.residual_norm) ** 2))
        own = best.run if best.run and self.joint else solved
        verdict = None if seen is None else left_out_verdict(seen, data.places, data.x, search)
        error = math.nan if seen is None else seen.claim
        return Fitted(
            **search.described(loss, int(solved.rank)),
            coefficients=np.asarray(own.coefficients),
            input_map=data.input_map,
            output_map=data.output_map,
            box=data.box,
            rank=int(solved.rank),
            singular_values=np.asarray(solved.singular_values),
            status=status,
            validation_error=error,
            validation_range=(math.nan, math.nan) if seen is None else seen.range,
            validation_kind="none" if seen is None else seen.kind,
            record=search.record(data.n_rows, best.ridge, verdict=verdict and verdict.to_json()),
            notes=(*self._notes(status), *self._idle(best), *data.gaps()),
            places=data.kept_places,
            flat_output=data.flat,
        )

    def evidence(
        self, best: Candidate, found: Sequence[Candidate]
    ) -> tuple[Candidate, Unseen | None]:
        """Return a candidate, its ridge checked, and what its claim rests on: the worst there is.

        Of functions as drawn that is their leave-one-out error, each row's with the functions and
        the ridge that the others would have chosen. Of trained ones it is the fold held out of
        training, that of networks like them, and, over all rows, the last layer's leave-one-out
        errors: a few rows may miss what most errors come from. The ridge is what suits all members
        of a mean: one that each was trained with may not be for another.
        """
        if best.run is None and best.unseen is not None:
            return best, Unseen.worst([best.unseen, *self._chosen_anew(best.unseen)])
        if best.run is None or not self.data.folds:
            return best, best.unseen
        seen = best.unseen or self.unseen(best, best.run.coefficients)
        if seen is None or self.joint or not self.data.out:
            return best, seen
        ridge, left = self._left_out(best, best.ridge)
        if self.asked.fixed_ridge is None:
            own = {fit.ridge.value for fit in self._member_fits(best, None)}
            others = [self._left_out(best, Ridge(value)) for value in sorted(own)]
            ridge, left = min([(ridge, left), *others], key=lambda pair: pair[1].error)
        alike = [
            mean.unseen
            for mean in found
            if isinstance(mean.basis, Ensemble) and mean.basis.inner == best.basis and mean.unseen
        ]
        claims = [seen, left, *alike]
        return dataclasses.replace(best, ridge=ridge), Unseen.worst(claims)

    def _chosen_anew(self, seen: Unseen) -> Iterator[Unseen]:
        """Yield the losses of rows with the functions and ridge that the other rows choose.

        Of many that are tried, the one with the least error is so by luck in part: the more, the
        fewer the rows. It is not taken to be worth more than a factor: what one row alone would
        choose may be far off there.
        """
        tried = np.concatenate(self.trials) if self.trials else np.empty((0, 0))
        tried = tried[np.isfinite(tried).all(axis=1)]
        if len(tried) < 2 or tried.shape[1] != len(seen.losses):
            return
        weighted = tried * seen.weight
        group = np.unique(seen.group, return_inverse=True)[1].ravel()
        own = np.stack([np.bincount(group, row)[group] for row in weighted])
        best = np.argmin(weighted.sum(axis=1, keepdims=True) - own, axis=0)
        anew = dataclasses.replace(seen, losses=tried[best, np.arange(tried.shape[1])])
        much = max(anew.error / (MOST_LUCK * seen.error), 1.0) if seen.error > 0 else 1.0
        yield dataclasses.replace(anew, losses=anew.losses / much**2)

    def _left_out(self, best: Candidate, ridge: Ridge) -> tuple[Ridge, Unseen]:
        """Return a ridge and the leave-one-out losses with it: for a mean a bound, their mean."""
        fits = self._member_fits(best, ridge)
        losses = np.mean([fit.unseen.losses for fit in fits], axis=0)
        if max(fit.overshoot for fit in fits) > FARTHEST:
            losses = np.full_like(losses, np.inf)
        kind = f"{fits[0].unseen.kind}, of functions trained on these rows"
        return ridge, dataclasses.replace(fits[0].unseen, losses=losses, kind=kind)

    def _member_fits(self, best: Candidate, ridge: Ridge | None) -> list[proposals.LinearFit]:
        members = best.basis.members(best.parameters)
        return [proposals.linear_fit(*one, self.data, self.sampled, ridge) for one in members]

    def _notes(self, status: lstsq.Status) -> Iterator[str]:
        if np.ptp(self.data.y, axis=0).max() == 0:
            yield "The target is constant: so is the model."
        if status in (lstsq.Status.UNDERDETERMINED, lstsq.Status.NON_FINITE):
            yield status.advice

    def _idle(self, best: Candidate) -> Iterator[str]:
        """Say how many partitions of a partition of unity network own no row."""
        if not isinstance(best.basis, PartitionBasis):
            return
        owned = hard_assignment(best.basis.unity, best.parameters.partition, self.data.z)
        counts = np.bincount(owned, minlength=best.basis.n_partitions)
        empty = int(np.sum(counts == 0))
        if empty:
            chosen = self.asked.n_partitions == "auto"
            choose = "" if chosen else ", or let fit_pounet choose (n_partitions='auto')"
            yield (
                f"{empty} of {len(counts)} partitions own no row: the data show fewer pieces, or "
                f"training has emptied them. Ask for {len(counts) - empty}{choose}."
            )


class RegressionStrategy:
    """Ways to look for functions that least squares fits to numbers."""

    def __init__(self, search: Search[Candidate], task: RegressionTask) -> None:
        self.search, self.task = search, task
        self.n_restarts = task.asked.restarts(1)

    def automatic(self, bases: Sequence[AbstractBasis], members: int) -> None:
        """Try frozen functions and one solve, then descent, each as far as the last fell short.

        Networks are trained while the held-out error falls; where one shows that the data vary
        along few directions, features of those; where a network stays the best, some more like
        it are trained on other rows and averaged.
        """
        search, task = self.search, self.task
        trainable = [basis for basis in bases if basis.trainable]
        self.frozen([basis for basis in bases if not basis.trainable] or bases)
        steps = task.asked.max_steps
        if not (trainable and task.data.folds and steps != 0 and self._unfinished()):
            return
        search.replace(search.best, **task.held_out(search.best))
        self.descend(None, trainable)
        if members > 1 and search.cut_short is None:
            self._project()
        if members > 1 and self._unfinished():
            self._average(members)

    def _unfinished(self) -> bool:
        """Whether there is time, and no error over all rows that is small enough.

        That of a network over one fold may be luck: the rows at the edges of the data decide.
        """
        return self.search.cut_short is None and not self.search.best.loo_error <= GOOD_ENOUGH

    def frozen(self, bases: Sequence[AbstractBasis]) -> None:
        """Fit each basis as drawn, in every restart, by leave-one-out error on all rows."""
        task = self.task
        for restart in range(self.n_restarts):
            scales: Sequence[float] = proposals.SCALES
            for basis in bases:
                drawn = placed(basis, task.drawn(basis, restart), task.everything.points)
                tried = {}
                for scaled in basis.with_slopes(scales):
                    parameters = drawn if scaled is basis else scaled.sloped(drawn)
                    candidate = self.search.add(task.frozen(scaled, parameters))
                    tried[scaled.slope] = candidate.loo_error
                    if self.search.late():
                        return
                if len(tried) > 1:  # later bases try the best scale so far and its neighbours
                    middle = min(tried, key=lambda scale: tried[scale])
                    scales = [s for s in proposals.SCALES if middle / 2 <= s <= 2 * middle]

    def descend(self, trainer: AbstractTrainer | None, bases: Sequence[AbstractBasis]) -> None:
        """Train each basis from each restart, until told to stop or out of time.

        Without a trainer, by Gauss–Newton steps with a ridge that the noise met so far calls for.
        """
        for basis, restart in itertools.product(bases, range(self.n_restarts)):
            if trainer is None:
                self.search.add(self._grown(basis, restart, 0))
            else:
                ridge = self._fixed_ridge
                self.search.add(
                    self.task.trained(self.search, trainer, basis, ridge, restart=restart)
                )
            if self.search.late():
                return

    def _grown(self, basis: AbstractBasis, restart: int, fold: int) -> Candidate:
        """Train a network of half the width, where there is one, and widen it."""
        narrower, initial = basis.narrower(proposals.NARROWEST), None
        if narrower is not None and self.search.cut_short is None:
            start = self._grown(narrower, restart, fold)
            key = jax.random.fold_in(self.task.data.key(restart), 2)
            initial = proposals.widen(basis, start.parameters, key, self.task.data.inner_box)
        ridge = self._prior_ridge()
        return self.task.trained(
            self.search,
            self._steps(ridge),
            basis,
            ridge,
            restart=restart,
            fold=fold,
            initial=initial,
        )

    def _project(self) -> None:
        """Look for few directions in the gradients of the best network, and train features of them.

        The trained features tell the number of directions better than the network did. The
        coefficients are then solved for some numbers of features and slopes, and the smoothest
        that do well are taken, or those of least leave-one-out error. Among good ones that error
        is a matter of the few outermost rows, and beyond them smooth features err less.
        """
        search, task = self.search, self.task
        seen = min((c for c in search.found if c.run), key=lambda c: c.errors, default=None)
        if seen is None or not seen.validation_error < CLEAR:
            return
        term = task.some(task.data.fold(0)[0])
        z = np.asarray(term.points.x)[: np.count_nonzero(term.points.weight)]
        rank = z.shape[1]
        bases: list[ProjectedFeatures] = []
        for _ in range(ROUNDS):
            axes, variation = _directions(seen, z)
            fewer = proposals.clear_rank(variation[:rank])
            if not fewer:
                break
            rank, bases = fewer, proposals.projected_bases(len(z), z.shape[1], fewer)
            if not bases:
                return
            few = min(bases, key=lambda basis: basis.width)  # enough to find the directions
            seen = self._along(few, axes[:rank], z, fold=0)
            if search.late():
                break
        if not bases or search.cut_short is not None:
            return
        # Few parameters, no noise: where residuals vanish, not where a check ended the descent.
        # From the axes anew, not from where the fewer features turned them to by chance.
        last = self._along(bases[0], _directions(seen, z)[0][:rank], z, fold=None)
        solved = []
        for basis in bases:
            solved.append(task.frozen(basis, last.parameters))
            if solved[-1].loo_error <= GOOD_ENOUGH:
                break
        best = min(solved, key=lambda candidate: candidate.loo_error)
        label = f"{best.label}, trained"
        best = dataclasses.replace(best, initial=seen.initial, run=seen.run, label=label)
        search.add(dataclasses.replace(best, **task.held_out(best)))

    def _along(
        self, basis: ProjectedFeatures, axes: np.ndarray, z: np.ndarray, fold: int | None
    ) -> Candidate:
        """Train features of some directions, from there."""
        start, ridge = basis.along(axes, z), self._fixed_ridge
        steps = self._steps(ridge)
        return self.task.trained(
            self.search, steps, basis, ridge, fold=fold, initial=start, tol=CONVERGED
        )

    def _average(self, members: int) -> None:
        """Train more networks like a good one, each without other rows, and average them.

        The larger a network, the more of its error is chance that averaging takes away: the
        largest of those that do about as well is taken.
        """
        best = self.search.best
        if best.run is None or isinstance(best.basis, ProjectedFeatures):
            return
        if best.validation_error > NOTHING_LEARNT:
            return
        most = WORTH_AVERAGING * best.validation_error
        good = [c for c in self.search.found if c.run and c.validation_error <= most]
        first = max(good, key=lambda c: (_size(c.parameters), -c.validation_error))

        def another(number: int) -> Candidate:
            return self._grown(first.basis, self.n_restarts + number, number)

        # The square of the error of a mean of networks is at most the mean of theirs.
        self.task.average(
            self.search, first, members, another, lambda e: math.sqrt(np.mean(np.square(e)))
        )

    def _prior_ridge(self) -> float:
        """Return λ in the sum over rows: the user's, or what the noise met so far calls for."""
        if self.task.asked.fixed_ridge is not None:
            return self._fixed_ridge
        errors = [candidate.validation_error for candidate in self.search.found if candidate.run]
        return PRIOR * min(errors, default=0.0) ** 2

    def _steps(self, ridge: float) -> LSGN:
        """Return the steps for a ridge: where it stands for noise, directions lose digits to it."""
        noisy = self.task.asked.fixed_ridge is None and ridge > PRIOR * NOISY**2
        return LSGN(precision="single" if noisy else "double")

    @property
    def _fixed_ridge(self) -> float:
        ridge = self.task.asked.fixed_ridge
        return 0.0 if ridge is None else ridge.value


def _directions(seen: Candidate, z: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    assert seen.run is not None
    return proposals.directions(seen.basis, seen.parameters, seen.run.coefficients, z)


def _spread_of(term: rows.Term) -> float:
    weight = np.asarray(term.points.weight)
    return spread(np.asarray(term.data)[weight > 0], weight[weight > 0])


def _size(parameters: Parameters) -> int:
    return sum(leaf.size for leaf in jax.tree.leaves(parameters))


def _total_weight(term: rows.Term) -> float:
    return float(np.sum(np.asarray(term.points.weight)))


def solve_rows(
    model: tuple[AbstractBasis, Parameters], source: rows.AbstractSource, ridge: Ridge
) -> lstsq.Solution:
    """Reduce rows chunk by chunk, in the model's units, and solve; members apart, then their mean.

    Parameters
    ----------
    model : (AbstractBasis, pytree)
        The functions.
    source : rows.AbstractSource
        Rows in the model's units.
    ridge : Ridge
    """
    basis, parameters = model
    total = source.statistics().total_weight
    shrink = jnp.asarray(ridge.value if ridge.relative else ridge.value / total)
    solutions = []
    for part, inside in basis.members(parameters):
        part = part.canonical()
        at_once = max(64, CHUNK_NUMBERS // part.size(source.n_inputs))
        reduced = [
            _reduced(part, inside, padded_term(*chunk), total) for chunk in source.chunks(at_once)
        ]
        reduction = lstsq.combine(*reduced) if len(reduced) > 1 else reduced[0]
        solutions.append(_solved(reduction, shrink, relative=ridge.relative))
    return solutions[0] if len(solutions) == 1 else lstsq.average(solutions)


@quickly()
def _reduced(
    basis: AbstractBasis, parameters: Parameters, term: rows.Term, total: float
) -> lstsq.Reduction:
    weight = jnp.asarray(term.points.weight)
    data = lstsq.reduce(term.design(basis, parameters), term.targets, weight / total)
    _, *ties = rows.tied(term, basis)
    if not ties:
        return data
    root = jnp.sqrt(jnp.sum(weight) / total)  # the share of the rows that this chunk has
    block = rows.assemble(ties, basis, parameters)
    tied = lstsq.reduce(root * block.matrix, root * block.rhs)
    return lstsq.combine(data, dataclasses.replace(tied, n_rows=0))


@quickly(once=True)
def _solved(reduction: lstsq.Reduction, ridge: Array, *, relative: bool) -> lstsq.Solution:
    """Solve with a ridge, or one relative to the largest singular value of unit-norm columns.

    Rank, singular values and status are those of the rows alone: a ridge hides them.
    """
    absolute, share = (0.0, ridge) if relative else (ridge, 0.0)
    solution = lstsq.solve(reduction, ridge=absolute, relative_ridge=share)
    plain = lstsq.solve(reduction)
    return dataclasses.replace(
        solution, rank=plain.rank, singular_values=plain.singular_values, status=plain.status
    )

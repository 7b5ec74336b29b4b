"""Least squares on rows of numbers: how functions are solved, and what claims rest on."""

from __future__ import annotations

import dataclasses
import functools
import math
from collections.abc import Iterator, Sequence
from typing import Any

import jax
import numpy as np

from .. import lstsq, rows
from .._runtime.notation import Parameters
from .._runtime.timing import charged_to
from ..basis import AbstractBasis, Ensemble, GaussianKernels
from ..evidence.errors import Unseen, spread
from ..evidence.judge import left_out_verdict
from ..evidence.replicates import FEWEST, lack_of_fit
from ..evidence.split import told_by_order
from ..geometry.maps import TargetMap
from ..models.factor import Factor
from ..models.fitted import Fitted
from ..models.record import Ridge
from ..selection.prepared import FARTHEST, SEARCH_ROWS, some_rows
from ..selection.search import Candidate, Search
from ..selection.task import ALIKE, DataTask, describe, design
from ..train import Objective
from . import bases as proposals
from .choice import Choice, in_words
from .kriging import MOST_CENTERS, kriged
from .posterior import Functions
from .remarks import better_alone, idle, lonely
from .solve import reduce_rows, solved_factor
from .uncertainty import known_errors
from .units import in_units, smeared

#: Relative error on rows not seen below which no more is tried.
GOOD_ENOUGH = 1e-4
#: Held-out errors within this factor are about the same: one fold tells no more.
WORTH_AVERAGING = 1.5
#: Parts that rows are left out in where functions are chosen anew without them.
PARTS = 5
#: Relative error below which data are taken to be exact, and the lengths to have been fitted to it.
NEARLY_EXACT = 1e-3
#: Leave-one-out errors within this factor are about the same: the simplest functions are taken. Of
#: 1.05, 1.1, 1.15 and 1.2 the first two did best on 60 designed experiments.
SIMPLER = 1.07
#: Degrees of freedom from which the spread of replicates is known to within a tenth: 1/√(2 · 50).
FEWEST_REPLICATES = 50
#: Relative error below which none is less.
EXACT = 1e-13
#: Relative error below which residuals are those of arithmetic.
ROUND_OFF = 1e-10
#: Rows up to which each row's functions are chosen anew without it: with more, luck is small.
MOST_CHOSEN_ANEW, MOST_LUCK = 1000, 3.0
#: Entries of the functions evaluated last that are kept (32 MiB): to evaluate them anew, for the
#: last solve, the posterior and what the model says there, takes half of a first answer's time.
KEPT = 2**22


class RegressionTask(DataTask):
    """Least squares: y ≈ Φ(x; ξ) c for rows of numbers.

    Attributes
    ----------
    trials : list of array, shape (K, N)
        Leave-one-out losses of functions as drawn, with each ridge tried.
    likeliest : array or None
        Where the likelihood of Gaussians was greatest.
    others : list of pairs of float and array, shape (M, Q)
        Leave-one-out error of functions as drawn, and their values beside the rows.
    choice : Choice or None
        How targets and inputs are transformed, where that was asked.
    factor : Factor or None
        What all rows were reduced to for the last solve.
    """

    _small = GOOD_ENOUGH

    def __init__(self, *about: Any, choice: Choice | None = None, **named: Any) -> None:
        super().__init__(*about, **named)
        self.trials: list[np.ndarray] = []
        self.likeliest: np.ndarray | None = None
        self.others: list[tuple[float, np.ndarray]] = []
        self.choice = choice
        self.factor: Factor | None = None
        self._evaluated: tuple[Any, Parameters, np.ndarray | None] = (None, None, None)

    def objective(self, term: rows.Term, basis: AbstractBasis, ridge: float) -> Objective:
        """Return the mean square of the rows' residual, the ties of the basis and the ridge."""
        total = float(np.sum(np.asarray(term.points.weight)))
        return Objective(rows.tied(term, basis), ridge / total, basis)

    def validation(self, term: rows.Term, basis: AbstractBasis) -> Objective:
        """Return the mean square of the residual alone."""
        return Objective([term], 0.0, basis)

    @functools.cached_property
    def least_error(self) -> float:
        """The relative error of a model that knows all means: replicates differ by that. Else 0."""
        variance, freedom = self.data.places.noise
        if freedom < FEWEST_REPLICATES:
            return 0.0
        return math.sqrt(float(np.mean(variance))) / self.data.places.spread

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

    @charged_to("solves")
    def kriged(self, gaussians: GaussianKernels) -> Candidate:
        """Solve Gaussians at rows with the parameters and the ridge of greatest likelihood."""
        data = self.data
        basis, parameters, ridge, self.likeliest = kriged(
            data.places[self.sampled], gaussians.n_centers, data.seed, anova=gaussians.anova
        )
        ridge = dataclasses.replace(
            ridge, n_free=proposals.n_not_penalized(basis, self.data.places)
        )
        found = self.frozen(basis, parameters, self.asked.fixed_ridge or ridge)
        if found.unseen is None:
            return found
        # Lengths, τ and λ were chosen with the rows that are left out: on 60 designed experiments
        # of 8 to 60 runs this factor, of twice as many numbers as there are lengths, made the error
        # comparable with those of functions that are given.
        places = self.data.places
        n = float(places.count.sum()) if places.within else len(places)
        told = len(jax.tree.leaves((parameters.slopes, parameters.shares)))
        chosen = 2 * (told * len(parameters.slopes) + 1)
        optimism = n / max(n - chosen, 1)
        unseen = dataclasses.replace(found.unseen, losses=found.unseen.losses * optimism**2)
        return dataclasses.replace(found, unseen=unseen, loo_error=unseen.error)

    @charged_to("solves")
    def frozen(
        self, basis: AbstractBasis, parameters: Parameters, ridge: Ridge | None = None
    ) -> Candidate:
        """Solve functions as they are; their error is by leave-one-out on all rows."""
        ridge = ridge or self.asked.fixed_ridge
        found = proposals.linear_fit(basis, parameters, self.data, self.sampled, ridge)
        if len(self.sampled) <= MOST_CHOSEN_ANEW:
            self.trials.append(found.tried)
        self.others.append((found.unseen.error, found.beside))
        kept = found.functions if found.functions.size <= KEPT else None
        self._evaluated = (basis, parameters, kept)
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

    @charged_to("solves")
    def held_out(self, candidate: Candidate) -> dict[str, Any]:
        """Solve a candidate without the held-out rows, ridge chosen, and measure it on them.

        Returns what changes about the candidate.
        """
        data = self.data
        kept = some_rows(data.fold(0)[0], SEARCH_ROWS, data.seed)
        own = None if candidate.ridge.relative else candidate.ridge
        ridge = self.asked.fixed_ridge or own
        found = proposals.linear_fit(candidate.basis, candidate.parameters, data, kept, ridge)
        basis = candidate.basis.canonical()
        seen = self.unseen(dataclasses.replace(candidate, basis=basis, fold=0), found.coefficients)
        assert seen is not None
        return {"validation_error": seen.error, "ridge": found.ridge}

    def ranked(self, found: Sequence[Candidate]) -> list[Candidate]:
        """Return candidates, best first.

        Of functions that were not trained the simplest goes first whose error is about the least.
        Functions of trained directions have a leave-one-out error, too. Where that is small, over
        all rows, they go first unless they are clearly the worse over the one fold. Functions that
        were not trained go first where others may be better by chance.
        """
        own, far = super().ranked(found), self._farthest(found)
        if own[0].run is None and math.isnan(own[0].validation_error):
            least = SIMPLER * max(own[0].loo_error, EXACT)
            alike = [c for c in found if c.loo_error <= least and c.overshoot <= far]
            first = min([own[0], *alike], key=lambda c: c.basis.size(self.data.z.shape[1]))
            return [first, *(other for other in own if other is not first)]
        fixed = [candidate for candidate in own if candidate.run is None]
        stays = bool(fixed) and fixed[0].overshoot <= far
        if own[0].run and stays and self._by_chance(own[0], fixed[0]):
            return [fixed[0], *(other for other in own if other is not fixed[0])]
        most = WORTH_AVERAGING * own[0].validation_error
        for best in own:
            near = best.validation_error <= most and best.overshoot <= far
            if best.run and best.loo_error <= GOOD_ENOUGH and near:
                return [best, *(other for other in own if other is not best)]
        return own

    def _by_chance(self, trained: Candidate, fixed: Candidate) -> bool:
        """Whether a trained candidate is no better than one that was not, or may be so by chance.

        A mean's members were judged by all rows in turn, as leave-one-out does; another by one
        fold of n rows: the ratio of two root mean squares of n errors is off by 1/√n.
        """
        if trained.mean_of:
            return fixed.loo_error <= trained.validation_error
        if not self.data.out:
            return False
        off = 1 / math.sqrt(len(self.data.out[0]))
        return fixed.validation_error <= (1 + off) * trained.validation_error

    def finished(self, search: Search[Candidate]) -> Fitted:
        """Solve the best candidate's coefficients on all rows and wrap it up.

        Joint training has coefficients of its own: those are the result there.
        """
        data, best, seen = self.data, *self.evidence(search.best, search.found)
        functions = best.basis, best.parameters
        alone = tuple(better_alone(data, seen, search.found))
        solved = self.solved(best)
        status = lstsq.Status(int(solved.status))
        loss = float(np.mean(np.asarray(solved.residual_norm) ** 2))
        own = best.run if best.run and self.joint else solved
        coefficients = np.asarray(own.coefficients)
        output_map = data.output_map
        errors = known_errors(self, search.best, best, coefficients, seen)
        if isinstance(output_map, TargetMap):
            told = Functions(*functions, best.ridge, coefficients)
            output_map = smeared(seen, data, lambda z: told.at(z) @ coefficients)
            seen = None if seen is None else in_units(seen, data, output_map)
        verdict = None if seen is None else left_out_verdict(seen, data.as_given, data.x, search)
        error = math.nan if seen is None else seen.claim
        model = Fitted(
            **search.described(loss, int(solved.rank)),
            coefficients=coefficients,
            input_map=data.input_map,
            output_map=output_map,
            box=data.box,
            rank=int(solved.rank),
            singular_values=np.asarray(solved.singular_values),
            status=status,
            validation_error=error,
            validation_range=(math.nan, math.nan) if seen is None else seen.range,
            validation_kind="none" if seen is None else seen.kind,
            record=search.record(
                data.n_rows,
                best.ridge,
                verdict=verdict and verdict.to_json(),
                transforms=self.choice.to_json() if self.choice else None,
            ),
            notes=(
                *self._notes(status),
                *self._replicates(best, coefficients),
                *lonely(data, best),
                *idle(data, best, self.asked),
                *alone,
                *data.gaps(),
            ),
            places=data.kept_places,
            error_model=errors,
            flat_output=data.flat,
            factor=self.factor if own is solved else None,
        )
        if data.grouped or not error > ROUND_OFF:
            return model
        first, known = data.at[:SEARCH_ROWS], self.known_functions(best)
        if known is None or len(known) < len(data.z):
            values = model(data.x[first]).reshape(len(first), -1)
        else:
            values = output_map.inverse(known @ coefficients)[first]
        notes = told_by_order(data.x[data.at], (data.y[first] - values)[:, 0])
        return dataclasses.replace(model, notes=(*model.notes, *notes))

    def known_functions(self, candidate: Candidate) -> np.ndarray | None:
        """Return a candidate's functions at :attr:`sampled`, if they are those evaluated last."""
        basis, parameters, functions = self._evaluated
        same = candidate.basis is basis and candidate.parameters is parameters
        return functions if same else None

    @charged_to("solves")
    def solved(self, best: Candidate) -> lstsq.Solution:
        """Solve a candidate's coefficients on all rows; what these were reduced to is kept."""
        every = self.data.stream is None and len(self.sampled) == len(self.data.z)
        known = self.known_functions(best) if every else None
        self.factor = reduce_rows((best.basis, best.parameters), self.data.source, known)
        return solved_factor(self.factor, best.ridge)

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
            if self.data.places.count.sum() < 2:
                return best, None  # one row says nothing of others
            anew = [*self._chosen_anew(best.unseen), *self._kriged_anew(best)]
            return best, Unseen.worst([best.unseen, *anew])
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
        claims = [seen, left, *self._alike(best, found)]
        return dataclasses.replace(best, ridge=ridge), Unseen.worst(claims)

    def _alike(self, best: Candidate, found: Sequence[Candidate]) -> Iterator[Unseen]:
        """Yield the losses of networks like the best one on the rows that were held out of them.

        Of clean data a few rows at the edges have most of the error: of superheated steam the one
        fold of 148 rows said 2e-6, and the other nine 7e-5.
        """
        means = [c for c in found if isinstance(c.basis, Ensemble) and c.basis.inner == best.basis]
        yield from (mean.unseen for mean in means if mean.unseen)
        own = (None, best.fold)
        others = {c.fold: c for c in found if c.run and c.basis == best.basis and c.fold not in own}
        known = [one for one in map(self._member_unseen, others.values()) if one is not None]
        if known and not means:
            yield Unseen.joined(known, f"{self.data.held_out_kind}, of networks like it")

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

    def _kriged_anew(self, best: Candidate) -> Iterator[Unseen]:
        """Yield the losses of parts of the rows, Gaussians chosen anew by the others.

        Of exact data the lengths are fitted so closely that leaving a row out tells too little.
        """
        data, n = self.data, len(self.data.places)
        given = self.asked.fixed_ridge is not None
        alone = data.places.within or best.overshoot > FARTHEST
        most = MOST_CHOSEN_ANEW if best.loo_error <= NEARLY_EXACT else MOST_CENTERS
        if not isinstance(best.basis, GaussianKernels) or given or alone or n > most:
            return
        anova = best.basis.anova
        start = self.likeliest if anova else None
        group = np.unique(data.places.group, return_inverse=True)[1].ravel()
        part = np.random.default_rng(data.seed).permutation(group.max() + 1)[group] % PARTS
        losses = np.full(n, np.inf)
        for number in range(PARTS):
            out, kept = np.flatnonzero(part == number), np.flatnonzero(part != number)
            if len(kept) < proposals.FEWEST_CENTERS:
                return
            basis, parameters, ridge, _ = kriged(
                data.places[kept], best.basis.n_centers, data.seed, anova=anova, start=start
            )
            free = proposals.n_not_penalized(basis, data.places[kept])
            ridge = dataclasses.replace(ridge, n_free=free)
            fit = proposals.linear_fit(basis, parameters, data, kept, ridge)
            values = design(basis, parameters, data.z[out]) @ fit.coefficients
            losses[out] = self.losses(values, data.t[out], data.places.scatter[out])
        kind = f"{PARTS} parts of the rows left out in turn, lengths chosen anew"
        yield Unseen(data.all_rows, losses, data.weight, data.places.group, kind)

    def _left_out(self, best: Candidate, ridge: Ridge) -> tuple[Ridge, Unseen]:
        """Return a ridge and the leave-one-out losses with it: for a mean a bound, their mean."""
        fits = self._member_fits(best, ridge)
        losses = np.mean([fit.unseen.losses for fit in fits], axis=0)
        # How far functions go where no row is, training has decided: a ridge may not go farther.
        trained = max((one.overshoot for one in best.members), default=best.overshoot)
        if max(fit.overshoot for fit in fits) > max(FARTHEST, ALIKE * trained):
            losses = np.full_like(losses, np.inf)
        kind = f"{fits[0].unseen.kind}, of functions trained on these rows"
        known = [fit.unseen.residuals for fit in fits if fit.unseen.residuals is not None]
        residuals = np.mean(known, axis=0) if known else None
        changes = {"losses": losses, "kind": kind, "residuals": residuals}
        return ridge, dataclasses.replace(fits[0].unseen, **changes)

    @charged_to("solves")
    def _member_fits(self, best: Candidate, ridge: Ridge | None) -> list[proposals.LinearFit]:
        members = best.basis.members(best.parameters)
        return [proposals.linear_fit(*one, self.data, self.sampled, ridge) for one in members]

    def _notes(self, status: lstsq.Status) -> Iterator[str]:
        yield from in_words(self.choice.to_json() if self.choice else None)
        if np.ptp(self.data.y, axis=0).max() == 0:
            yield "The target is constant: so is the model."
        if status in (lstsq.Status.UNDERDETERMINED, lstsq.Status.NON_FINITE):
            yield status.advice

    def _replicates(self, best: Candidate, c: np.ndarray) -> Iterator[str]:
        """Say what replicates tell of the noise, and of what the model misses."""
        data, members = self.data, best.basis.members(best.parameters)
        few = len(data.places) <= SEARCH_ROWS and len(members) == 1
        if not few or data.places.count.sum() < len(data.places) + FEWEST:
            return
        fit = proposals.linear_fit(*members[0], data, data.all_rows, best.ridge)
        errors = data.t - design(best.basis, best.parameters, data.z) @ c
        scales = data.output_map.scale
        for k, scale in enumerate(scales):
            named = f"Target {k + 1}: " if len(scales) > 1 else ""
            if self.choice and self.choice.transforms[k].kind != "none":
                named += "In units of the transformed target: "
            of_one = dataclasses.replace(
                data.places, scatter=data.places.scatter[:, k : k + 1] * scale**2
            )
            told = lack_of_fit(of_one, errors[:, k] * scale, fit.effective)
            if told is not None:
                yield f"{named}{told}"


def _spread_of(term: rows.Term) -> float:
    weight = np.asarray(term.points.weight)
    return spread(np.asarray(term.data)[weight > 0], weight[weight > 0])

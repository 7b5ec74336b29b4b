"""What is fitted to classes: cross-entropy, candidates and what they show of labels not seen."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
from scipy.special import log_softmax, softmax

from .. import rows
from .._runtime.errors import counted, listed
from .._runtime.notation import Parameters
from .._runtime.timing import charged_to
from ..basis import AbstractBasis
from ..evidence.classes import ShareComparison
from ..evidence.errors import Unseen
from ..evidence.label_sets import HeldOutLabels
from ..evidence.verdict import OURS, Judged, Predictions, Verdict
from ..geometry.points import AffineMap
from ..lstsq import Status
from ..models.classifier import Classifier, logits
from ..models.record import Asked, Ridge
from ..selection.prepared import FEWEST_PLACES_TO_SPLIT, Prepared
from ..selection.search import Candidate, Search
from ..selection.task import DataTask, describe
from ..train import CrossEntropy
from .chunked import solve_source
from .solve import rough_path, scores, seen, solve_rows, status_of, surprise

#: Ridges λ tried, from the strongest; each starts where the last one ended.
RIDGES = np.logspace(1, -6, 8).tolist()
#: λ where no rows are held out to choose it by.
USUAL_RIDGE = 1e-2
#: The strongest ridge is taken whose held-out cross-entropy, relative to that of the frequencies,
#: is within this of the least: one row more or less in the held-out ones is worth more.
INDIFFERENCE = 0.01
#: A weaker ridge helps where it makes that error smaller by this share; one that does not is the
#: last to be tried.
HELPS = 0.02
#: Held-out rows of one fold that choose a ridge or a kind of functions; fewer do so by luck.
TELLING = 100
#: Calibration looks between these.
TEMPERATURES = (0.05, 20.0)
#: Logarithms of probabilities are cut here: one impossible label would be all that is seen.
LEAST_LIKELY = -34.5
#: Held-out rows that tell enough by themselves, and rows up to which each fold is solved apart.
ENOUGH, MOST_SOLVED = 500, 5000
#: A class of fewer rows cannot be learnt and checked.
FEW = 2


class Last(NamedTuple):
    """A last layer: its error on the rows held out (NaN where none are), λ and coefficients."""

    error: float
    ridge: float
    coefficients: np.ndarray


class ClassificationTask(DataTask):
    """Cross-entropy: p(y | x) = softmax(Φ(x; ξ) c) for rows whose values are class indicators.

    Attributes
    ----------
    classes : array, shape (K,)
    """

    _probed = _squared = False

    def __init__(
        self, asked: Asked, data: Prepared, classes: np.ndarray, joint: bool = False
    ) -> None:
        super().__init__(asked, data, joint)
        self.classes = classes

    def objective(self, term: rows.Term, basis: AbstractBasis, ridge: float) -> CrossEntropy:
        """Return the mean cross-entropy and the ridge."""
        total = float(np.sum(np.asarray(term.points.weight)))
        return CrossEntropy(term, ridge / total, basis)

    def validation(self, term: rows.Term, basis: AbstractBasis) -> CrossEntropy:
        """Return the mean cross-entropy alone."""
        return CrossEntropy(term, 0.0, basis)

    def unit(self) -> float:
        """Return the cross-entropy of the class frequencies over all rows."""
        share = self.data.weight @ self.data.t / self.data.weight.sum()
        return float(-np.sum(share * np.log(np.where(share > 0, share, 1.0))))

    def losses(self, values: np.ndarray, targets: np.ndarray, scatter: Any = None) -> np.ndarray:
        """Return the cross-entropies over that of the frequencies."""
        likely = log_softmax(logits(values), axis=1)
        return -np.sum(targets * np.maximum(likely, LEAST_LIKELY), axis=1) / self.unit()

    def surprise(self, values: np.ndarray, targets: np.ndarray) -> float:
        """Return the mean loss had each row been of the likeliest class that it is not of."""
        likely = np.where(targets > 0, -np.inf, log_softmax(logits(values), axis=1))
        others = np.eye(targets.shape[1])[likely.argmax(axis=1)]
        return float(self.losses(values, others).mean())

    @property
    def usual_ridge(self) -> float:
        """The user's λ, or the usual one."""
        ridge = self.asked.fixed_ridge
        return USUAL_RIDGE if ridge is None else ridge.value

    @charged_to("solves")
    def frozen(
        self,
        basis: AbstractBasis,
        parameters: Parameters,
        fold: int = 0,
        ridges: Sequence[float] | None = None,
    ) -> Candidate:
        """Solve functions as they are, with the ridge of least held-out cross-entropy."""
        last = self.last_layer(basis, parameters, fold, ridges)
        found = Candidate(basis, parameters, parameters, describe(basis), fold=fold)
        return self.ending_in(found, last)

    @charged_to("solves")
    def last_layer(
        self,
        basis: AbstractBasis,
        parameters: Parameters,
        fold: int = 0,
        ridges: Sequence[float] | None = None,
    ) -> Last:
        """Solve for the coefficients without the rows of a fold, with the ridge that suits those.

        Weaker ridges are tried while they help.
        """
        if ridges is None:
            chosen = self.asked.fixed_ridge is None and bool(self.data.folds)
            ridges = RIDGES if chosen else [self.usual_ridge]
        tried: list[Last] = []
        for last in self.path(basis, parameters, fold, ridges):
            tried.append(last)
            if len(tried) > 1 and last.error > (1 - HELPS) * tried[-2].error:
                break
        _, ridge = strongest([(last.error, last.ridge) for last in tried])
        return next(last for last in tried if last.ridge == ridge)

    @property
    def one_fold_tells(self) -> bool:
        """Whether the rows of one fold are enough to choose a ridge or a kind of functions by."""
        held_out = self.data.fold(0)[1]
        return held_out is not None and len(seen(held_out)[0]) >= TELLING

    def agreeing(self, group: Sequence[Candidate]) -> list[Candidate]:
        """Solve the last layers of candidates, each without its fold, with one ridge for all.

        It is the one that suits their folds together: where these have few rows, each alone
        chooses badly. Else it stays what it is.
        """
        if self.asked.fixed_ridge is not None or self.one_fold_tells:
            return list(group)
        paths = [self.path(c.basis, c.parameters, c.fold or 0, RIDGES) for c in group]
        tried: list[tuple[float, float]] = []
        found: list[tuple[Last, ...]] = []
        for lasts in zip(*paths, strict=True):
            found.append(lasts)
            tried.append((float(np.mean([last.error for last in lasts])), lasts[0].ridge))
            if len(tried) > 1 and tried[-1][0] > (1 - HELPS) * tried[-2][0]:
                break
        at = tried.index(strongest(tried))
        return [self.ending_in(c, last) for c, last in zip(group, found[at], strict=True)]

    def ending_in(self, candidate: Candidate, last: Last) -> Candidate:
        """Return a candidate with another last layer."""
        run, ridge = candidate.run, Ridge(last.ridge, relative=False)
        if run is not None:
            error = last.error * self.unit()
            c: Any = last.coefficients
            run = dataclasses.replace(run, coefficients=c, validation=error)
        return dataclasses.replace(
            candidate,
            run=run,
            ridge=ridge,
            validation_error=last.error,
            unseen=self.unseen(candidate, last.coefficients) if run is None else None,
        )

    def path(
        self, basis: AbstractBasis, parameters: Parameters, fold: int, ridges: Sequence[float]
    ) -> Iterator[Last]:
        """Yield last layers, solved without the rows of a fold, for one ridge after another."""
        kept, held_out = self.data.fold(fold)
        found = rough_path(basis, parameters, self.some(kept), ridges)
        for ridge, c in zip(ridges, found, strict=True):
            yield Last(self._error(basis, parameters, c, held_out), float(ridge), c)

    def _error(
        self, basis: AbstractBasis, parameters: Parameters, c: Any, held_out: rows.Term | None
    ) -> float:
        if held_out is None:
            return math.nan
        return surprise(scores(basis.canonical(), parameters, c, held_out), held_out) / self.unit()

    def finished(self, search: Search[Candidate]) -> Classifier:
        """Solve the best candidate's coefficients on all rows and wrap it up.

        Joint training has coefficients of its own: those are the result there.
        """
        data, best, ridge = self.data, search.best, search.best.ridge.value
        model = best.basis, best.parameters
        used = data.all_rows
        if data.stream is not None:
            solved = solve_source(model, data.source, self.everything, ridge)
        else:
            used, solved = solve_rows(model, data.z, data.t, data.weight, ridge, data.seed)
        n_scores, status = solved.coefficients.shape[1], status_of(solved, ridge)
        claims = self.claims(best)
        seen = Unseen.worst(claims) if claims else None
        labels = self._labels(claims, best)
        temperature = 1.0
        if self.asked.calibrate and len(labels.index):
            temperature = labels.temperature(TEMPERATURES)
            labels = labels.cooled(temperature)
        verdict = None if seen is None else self._verdict(seen, search)
        own = best.run if best.run and self.joint else solved
        return Classifier(
            **search.described(float(solved.loss), int(solved.rank)),
            coefficients=np.asarray(own.coefficients),
            input_map=data.input_map,
            output_map=AffineMap(np.zeros(n_scores), np.full(n_scores, 1 / temperature)),
            box=data.box,
            rank=int(solved.rank),
            singular_values=np.asarray(solved.singular_values),
            status=status,
            validation_error=math.nan if seen is None else seen.claim,
            validation_range=(math.nan, math.nan) if seen is None else seen.range,
            validation_kind="none" if seen is None else seen.kind,
            record=search.record(data.n_rows, best.ridge, verdict=verdict and verdict.to_json()),
            notes=(
                *self._notes(status, len(used)),
                *(self._untested() if seen is None else ()),
                *data.gaps(),
            ),
            places=data.kept_places,
            flat_output=n_scores == 1,
            classes=self.classes,
            temperature=temperature,
            held_out_labels=labels,
        )

    def _labels(self, claims: Sequence[Unseen], best: Candidate) -> HeldOutLabels:
        """Return labels not seen, with the probabilities there.

        Of functions as drawn, as many as there are; of trained ones, which may have seen some of
        them, those that the claim rests on.
        """
        if not claims or any(claim.residuals is None for claim in claims):
            return HeldOutLabels.none(len(self.classes))
        drawn = best.run is None
        seen = max(claims, key=lambda claim: len(claim.rows)) if drawn else Unseen.worst(claims)
        assert seen.residuals is not None
        plain = (seen.rows >= 0).all()
        targets = self.data.t[seen.rows] if plain else self.data.given_y[-1 - seen.rows]
        values = (targets - seen.residuals)[:, : 1 if targets.shape[1] == 2 else None]
        # Of several labels at one place each is a row.
        row, index = np.nonzero(targets > 0)
        return HeldOutLabels.of(
            softmax(logits(values), axis=1)[row],
            index,
            (seen.weight[:, None] * targets)[row, index],
            seen.group[row],
            seen.kind,
        )

    def claims(self, best: Candidate) -> list[Unseen]:
        """Return what is known of rows not seen, of which the claim is the worst.

        That is the folds held out of training; and, where they have few rows, all folds, the last
        layer solved without each.
        """
        data = self.data
        if not data.folds:
            return []
        known = best.unseen
        if known is None and best.run is not None:
            known = self.unseen(best, best.run.coefficients)
        if self.joint or (known is not None and len(known.rows) > ENOUGH):
            return [] if known is None else [known]
        claims = [] if known is None else [known]
        members = best.basis.members(best.parameters)
        parts = []
        for fold, (kept, _) in enumerate(data.folds if len(self.sampled) <= MOST_SOLVED else []):
            term, (part, inside) = self.some(kept), members[fold % len(members)]
            (c,) = rough_path(part, inside, term, [best.ridge.value])
            one = dataclasses.replace(best, basis=part, parameters=inside, fold=fold)
            found = self.unseen(one, c)
            parts.append(found) if found is not None else None
        if parts:
            claims.append(Unseen.joined(parts, _kind(data.folds, best)))
        return claims

    def _verdict(self, seen: Unseen, search: Search[Candidate]) -> Verdict:
        """Compare with the frequencies of the classes, whose loss is the unit, on rows not seen."""
        data, plain = self.data, seen.rows >= 0
        x = data.x[seen.rows] if plain.all() else np.zeros((len(seen.rows), 1))
        unit = np.log(np.maximum(data.weight @ data.t / data.weight.sum(), 1e-300))
        frequent = -(data.t[seen.rows] @ unit) / self.unit() if plain.all() else np.ones(len(x))
        judged = Judged(
            x, seen.weight, seen.group, data.n_rows, seen.kind, self.asked.method, search.cut_short
        )
        found = {OURS: seen.losses, "classes' frequencies": frequent}
        return ShareComparison(
            judged, {name: Predictions(losses, ()) for name, losses in found.items()}
        ).verdict()

    def _untested(self) -> Iterator[str]:
        """Say that rows are too few to hold some out, where that is why nothing is known."""
        n = self.data.n_distinct
        if self.asked.validation == "auto" and n < FEWEST_PLACES_TO_SPLIT:
            yield (
                f"Nothing is known of labels not seen: {counted(n, 'distinct row')} of fewer than "
                f"{FEWEST_PLACES_TO_SPLIT}, so none was held out. validation=0.2 holds some out."
            )

    def _notes(self, status: Status, n_used: int) -> Iterator[str]:
        rare = self.classes[(self.data.t > 0).sum(axis=0) < FEW].tolist()
        if rare:
            yield (
                f"Too few rows to learn and to check: {listed(rare)} "
                f"({'has' if len(rare) == 1 else 'have'} fewer than {FEW}). Collect more, or merge "
                "classes."
            )
        if status in (Status.SEPARABLE, Status.NON_FINITE):
            yield status.advice
        if n_used < len(self.data.x):
            yield (
                f"The coefficients were solved on {counted(n_used, 'row')} drawn from "
                f"{len(self.data.x):,}: all would not fit into memory."
            )


def strongest(tried: Sequence[tuple[float, float]]) -> tuple[float, float]:
    """Return the first of pairs (error, λ), strongest λ first, whose error is about the least."""
    least = min(tried)[0]
    return next((pair for pair in tried if pair[0] <= least + INDIFFERENCE), tried[0])


def _kind(folds: Sequence[Any], best: Candidate) -> str:
    trained = "" if best.run is None else ", of functions trained on some of these rows"
    return f"{len(folds)}-fold cross-validation of the last layer{trained}"

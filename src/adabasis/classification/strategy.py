"""What to try on classes, in what order: frozen functions, trained ones, the best of them.

Newton's method solves the last layer. Scale and ridge of frozen features, the end of training and
the winner are chosen by cross-entropy on held-out rows.
"""

from __future__ import annotations

import dataclasses
import itertools
import math
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax

from .. import rows
from .._runtime.errors import counted, listed
from .._runtime.notation import Parameters
from .._runtime.timing import charged_to
from ..basis import AbstractBasis, FrozenFeatures, NeuralBasis
from ..evidence.classes import ShareComparison
from ..evidence.errors import Unseen
from ..evidence.verdict import OURS, Judged, Predictions, Verdict
from ..geometry.boxes import AffineMap
from ..lstsq import Status
from ..models.classifier import Classifier, logits
from ..models.record import Asked, Ridge
from ..selection.prepared import FEWEST_PLACES_TO_SPLIT, Prepared
from ..selection.search import Candidate, Search
from ..selection.task import NOTHING_LEARNT, DataTask, describe
from ..train import NGD, AbstractTrainer, CrossEntropy
from .solve import optimum, rough_path, scores, solve_rows, status_of, surprise

#: Ridges λ tried, from the strongest; each starts where the last one ended.
RIDGES = np.logspace(0, -6, 7)
#: λ where no rows are held out to choose it by.
USUAL_RIDGE = 1e-2
#: Width and depth of the networks that are trained by default.
NETWORKS = ((32, 1), (32, 2))
WIDEST = 512
#: Factors on the slopes of frozen features: classes meet along edges, so they may be steep.
SCALES = (1.0, 4.0, 16.0)
#: Draws averaged by default.
MEMBERS = 5
#: The strongest ridge is taken whose held-out cross-entropy, relative to that of the frequencies,
#: is within this of the least: one row more or less in the held-out ones is worth more.
INDIFFERENCE = 0.01
#: Held-out cross-entropy, relative to that of the frequencies, that calls for no network.
GOOD_ENOUGH = 5e-3
#: Calibration looks between these.
TEMPERATURES = (0.05, 20.0)
#: Logarithms of probabilities are cut here: one impossible label would be all that is seen.
LEAST_LIKELY = -34.5
#: Held-out rows that tell enough by themselves, and rows up to which each fold is solved apart.
ENOUGH, MOST_SOLVED = 1000, 5000
#: A class of fewer rows cannot be learnt and checked.
FEW = 2


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
        self, basis: AbstractBasis, parameters: Parameters, fold: int = 0, ridges: Any = None
    ) -> Candidate:
        """Solve functions as they are, with the ridge of least held-out cross-entropy.

        Of ridges that do about as well the strongest is taken: one row more or less in the
        held-out ones is worth more.
        """
        kept, held_out = self.data.fold(fold)
        term = self.some(kept)
        if ridges is None:
            chosen = self.asked.fixed_ridge is None and held_out is not None
            ridges = RIDGES if chosen else [self.usual_ridge]
        tried: list[tuple[float, float]] = []
        path = rough_path(basis, parameters, term, ridges)
        for ridge, c in zip(ridges, path, strict=True):
            tried.append((self._error(basis, parameters, c, held_out), float(ridge)))
            if tried[-1][0] > min(tried)[0] + INDIFFERENCE:
                break
        least = min(tried)[0]
        error, ridge = next((pair for pair in tried if pair[0] <= least + INDIFFERENCE), tried[0])
        label, ridge_taken = describe(basis), Ridge(ridge, relative=False)
        return Candidate(basis, parameters, parameters, label, error, ridge=ridge_taken)

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
        used, solved = solve_rows(model, data.z, data.t, data.weight, ridge, data.seed)
        temperature = self._temperature(best) if self.asked.calibrate else 1.0
        n_scores, status = solved.coefficients.shape[1], status_of(solved, ridge)
        seen = self.evidence(best)
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
        )

    def evidence(self, best: Candidate) -> Unseen | None:
        """Return what the claim rests on: the worst of what is known of rows not seen.

        That is the fold held out of training; and, where it has few rows, all folds, the last layer
        solved without each.
        """
        data = self.data
        if not data.folds:
            return None
        seen = best.unseen
        if seen is None and best.run is not None:
            seen = self.unseen(best, best.run.coefficients)
        if self.joint or (seen is not None and best.mean_of == 0 and len(seen.rows) > ENOUGH):
            return seen
        claims = [] if seen is None else [seen]
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
        return Unseen.worst(claims) if claims else None

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

    def _temperature(self, best: Candidate) -> float:
        """Return the temperature of least cross-entropy on the held-out rows.

        ξ and c do not know those. It is that of the kept rows' coefficients; those of all rows
        differ little.
        """
        kept, held_out = self.data.fold(0)
        assert held_out is not None
        term = self.some(kept)
        c = np.asarray(optimum(best.basis, best.parameters, term, best.ridge.value).coefficients)
        values = scores(best.basis, best.parameters, c, held_out)

        def cooled(log_temperature: float) -> float:
            return surprise(values * math.exp(-log_temperature), held_out)

        low, high = map(math.log, TEMPERATURES)
        return math.exp(minimize_scalar(cooled, bounds=(low, high), method="bounded").x)

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


class ClassificationStrategy:
    """Ways to look for functions that Newton's method fits to classes."""

    def __init__(self, search: Search[Candidate], task: ClassificationTask) -> None:
        self.search, self.task = search, task
        self.n_restarts = task.asked.restarts(1)

    def automatic(self, bases: Sequence[AbstractBasis], members: int) -> None:
        """Try frozen functions, then descent, then the mean of several draws of the best."""
        search, task = self.search, self.task
        self.frozen([basis for basis in bases if not basis.trainable] or bases)
        if not task.data.folds or task.asked.max_steps == 0:
            return
        if search.cut_short is None and not search.best.validation_error <= GOOD_ENOUGH:
            self.descend(NGD(), [basis for basis in bases if basis.trainable])
        if members > 1 and search.cut_short is None:
            self._average(members)

    def frozen(self, bases: Sequence[AbstractBasis]) -> None:
        """Solve each kind of basis as drawn, frozen features at each scale."""
        for restart, basis in itertools.product(range(self.n_restarts), bases):
            drawn = self.task.drawn(basis, restart)
            for scaled in basis.with_slopes(SCALES):
                parameters = drawn if scaled is basis else scaled.sloped(drawn)
                self.search.add(self.task.frozen(scaled, parameters))
                if self.search.late():
                    return

    def descend(self, trainer: AbstractTrainer, bases: Sequence[AbstractBasis]) -> None:
        """Train each basis from each restart, with the ridge that suited frozen functions."""
        found = self.search.found
        ridge = self.search.best.ridge.value if found else self.task.usual_ridge
        for basis, restart in itertools.product(bases, range(self.n_restarts)):
            trained = self.task.trained(self.search, trainer, basis, ridge, restart=restart)
            self.search.add(trained)
            if self.search.late():
                return

    def _average(self, members: int) -> None:
        """Draw more functions like the best ones, each without other rows, and average the scores.

        Cross-entropy is convex in the scores, so that the mean of the members' bounds their own.
        """
        search, task, best = self.search, self.task, self.search.best
        if not best.validation_error <= NOTHING_LEARNT:
            return
        ridge = best.ridge.value

        def another(number: int) -> Candidate:
            restart = self.n_restarts + number
            if best.run is None:
                drawn = task.drawn(best.basis, restart)
                return task.frozen(best.basis, drawn, number, [ridge])
            return task.trained(search, NGD(), best.basis, ridge, restart=restart, fold=number)

        task.average(search, best, members, another, lambda errors: float(np.mean(errors)))


def _kind(folds: Sequence[Any], best: Candidate) -> str:
    trained = "" if best.run is None else ", of functions trained on some of these rows"
    return f"{len(folds)}-fold cross-validation of the last layer{trained}"

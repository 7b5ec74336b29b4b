"""What to try among partition of unity networks: segmentations, trained in all variants."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator, Sequence
from typing import Any

import jax.numpy as jnp
import numpy as np

from .._runtime.errors import counted
from ..basis import AbstractBasis, AbstractPartition, PartitionBasis
from ..basis.pou.named import PARTITIONS
from ..basis.pou.partition import hard_assignment
from ..basis.pou.partitioned import PartitionParams
from ..basis.pou.polynomial import dimension
from ..evidence.errors import Unseen
from ..geometry.points import unit_box
from ..models.fitted import Fitted
from ..regression.bases import MOST_NUMBERS
from ..regression.strategy import PRIOR, RegressionStrategy
from ..regression.task import GOOD_ENOUGH, RegressionTask
from ..selection.prepared import SEARCH_ROWS
from ..selection.search import Candidate, Search
from ..selection.task import draw
from ..train import AbstractTrainer, Run, Snapshots, StopReason
from .candidates import (
    HeldOut,
    Segmentation,
    different,
    ranked,
    replicated,
    segmentations,
    whole,
)
from .segmentation import LocalFits, picked
from .starts import SegmentationOptions, reseeded
from .variants import EXACT, variants

#: Gauss–Newton steps of a run by default.
STEPS = 60
#: Held-out errors within this factor do not tell free borders from tied ones: ties are fewer
#: degrees of freedom, and are taken.
BY_CHANCE = 1.1
#: Rows for each function of a fixed partition whose number is to be chosen.
GRID_ROWS = 2
#: Loss, relative to that of the best on held-out rows, of a fit that is preferred although its
#: held-out error is up to so many times as large.
NO_CHANCE, FEW_ROWS = 1e-8, 10.0
#: A relative loss with ties below that may be round-off: their weights are up to 1e4.
ROUND_OFF = 1e-6
#: Stages besides the training of each choice of pieces.
SOLVED, SEGMENTED = "pieces of growing number", "segmentation"


class POUNetTask(RegressionTask):
    """Least squares on the functions of partition of unity networks.

    Attributes
    ----------
    watched : list of (Run, Snapshots)
        What was seen of those that were trained.
    """

    usual_steps = STEPS

    def __init__(self, *about: Any, **named: Any) -> None:
        super().__init__(*about, **named)
        self.watched: list[tuple[Run, Snapshots]] = []

    def steps(self, usual: AbstractTrainer) -> AbstractTrainer:
        """Return what moves the borders: here Gauss–Newton steps."""
        return usual

    def points(self, term: Any) -> HeldOut | None:
        """Return points, values and weights of a term's rows without its padding."""
        if term is None:
            return None
        weight = np.asarray(term.points.weight)
        z, t, w = (np.asarray(a)[weight > 0] for a in (term.points.x, term.data, weight))
        return z, t, w

    def ranked(self, found: Sequence[Candidate]) -> list[Candidate]:
        """Return candidates, best first: exact fits and tied ones before those better by chance."""
        own = sorted(found, key=lambda candidate: candidate.errors)
        first = self.exact(own) or self._tied(own) or own[0]
        return [first, *(candidate for candidate in own if candidate is not first)]

    def exact(self, found: Sequence[Candidate]) -> Candidate | None:
        """Return an exact fit that others beat by a few held-out rows at most.

        A held-out row beside a jump may be on either side, and decides by itself what the error is:
        that of a blurred border is a little less. But what fits many more rows than it has numbers
        to choose, so much better than the best does, is no chance.
        """
        best, *others = sorted(found, key=lambda candidate: candidate.errors)
        loss = NO_CHANCE * best.run.loss if best.run else 0.0
        exact = [candidate for candidate in others if candidate.run and candidate.run.loss < loss]
        few = exact and exact[0].error <= FEW_ROWS * best.error
        return exact[0] if few else None

    def _tied(self, own: Sequence[Candidate]) -> Candidate | None:
        """Return the best tied candidate where free ones are better only by chance."""
        tied = [candidate for candidate in own if candidate.run and candidate.basis.tie_weight]
        alike = tied and tied[0].error <= BY_CHANCE * own[0].error
        return tied[0] if alike else None

    def trained(self, search: Search[Candidate], *about: Any, **named: Any) -> Candidate:
        """Train, and keep snapshots."""
        others, seen = search.callbacks, Snapshots()
        search.callbacks = (*others, seen)
        try:
            candidate = super().trained(search, *about, **named)
        finally:
            search.callbacks = others
        assert candidate.run is not None
        self.watched.append((candidate.run, seen))
        return candidate

    def finished(self, search: Search[Candidate]) -> Fitted:
        """Solve the best candidate's coefficients on all rows; add snapshots and notes."""
        model, run = super().finished(search), search.best.run
        notes = (*model.notes, *self._fewer(model))
        seen = next((seen for other, seen in self.watched if other is run), None)
        snapshots = seen.before(run.step) if seen and run else ()
        return dataclasses.replace(model, notes=notes, snapshots=snapshots)

    def evidence(
        self, best: Candidate, found: Sequence[Candidate]
    ) -> tuple[Candidate, Unseen | None]:
        """Return a candidate and what its claim rests on, the place of its borders included.

        Where pieces are free to jump, data tell a border up to the rows beside it: those count as
        if they were in the piece of their nearest neighbour. (Not where rows are held out within
        places: the claim is of these places only.)
        """
        best, seen = super().evidence(best, found)
        basis, data = best.basis, self.data
        n_rows = len(data.z)
        assert isinstance(basis, PartitionBasis)
        free = best.run is not None and not basis.tie_weight and basis.n_partitions > 1
        if seen is None or not free or n_rows > SEARCH_ROWS or data.places.within:
            return best, seen
        labels = hard_assignment(basis.unity, best.parameters.partition, data.z)
        labels = np.unique(labels, return_inverse=True)[1].ravel()
        fits = LocalFits(data.z, data.t, data.weight, basis.degree, basis.index_set)
        around = labels[fits.neighbours[:, 1 : 2 + data.z.shape[1]]]
        errors = fits.errors(fits.coefficients(labels))
        beside = np.mean([picked(errors, there) for there in around.T], axis=0)
        losses = beside / (data.t.shape[1] * self.unit() ** 2)
        kind = "all rows, each in the pieces of its neighbours"
        claim = Unseen(data.all_rows, losses, data.weight, data.places.group, kind)
        return best, Unseen.worst([seen, claim])

    def _fewer(self, model: Fitted) -> Iterator[str]:
        """Say why there are fewer partitions than were asked for."""
        assert isinstance(model.basis, PartitionBasis)
        asked, count = self.asked.n_partitions, model.basis.n_partitions
        if not isinstance(asked, int) or asked <= count:
            return
        size = model.basis.size(self.data.z.shape[1]) // count
        most = len(self.data.fold(0)[0]) // (2 * size)
        why = (
            f"each of {size} polynomials takes at least {2 * size} rows to be found"
            if asked > most
            else "more were not found in the rows"
        )
        yield f"{count} of the {asked} partitions asked for: {why}."


class POUNetStrategy(RegressionStrategy):
    """Ways to look for partition of unity networks.

    Attributes
    ----------
    wanted : SegmentationOptions
    partition : str or AbstractPartition
    """

    task: POUNetTask

    def __init__(
        self,
        search: Search[Candidate],
        task: POUNetTask,
        wanted: SegmentationOptions,
        partition: str | AbstractPartition,
    ) -> None:
        super().__init__(search, task)
        n_rows = float(task.data.places.count.sum())
        self.wanted, self.partition = dataclasses.replace(wanted, n_rows=n_rows), partition
        self.fold = 0 if task.data.folds else None
        self.seen = task.points(task.data.fold(0)[1])

    def run(self) -> None:
        """Segment the points, train the best, and give parts that own nothing a new place."""
        search = self.search
        if not _has_labels(self.partition):
            search.stages = (SOLVED,)
            search.begin(SOLVED)
            self._without_labels()
            return
        points = self.task.points(self.task.some(self.task.data.fold(0)[0]))
        assert points is not None
        places = self.task.data.places
        if self.fold is None and len(points) == 3 and len(points[0]) == len(places):
            points = (*points, places.scatter)
        search.stages = (SEGMENTED, "training")
        search.begin(SEGMENTED)
        segmented = self._segmented(points)
        tried = different(segmented, self.task.asked.effort or "auto")
        if replicated(segmented[0].fits, self.wanted):
            tried = tried[:1]  # what has numbers for all places leaves no error of rows but noise
        search.stages = (SEGMENTED, *map(_titled, tried))
        for segmentation in tried:
            search.begin(_titled(segmentation))
            done = self._train(segmentation)
            if done or search.best.error <= GOOD_ENOUGH:
                break
        self._reseed(segmented[0])

    def _segmented(self, points: HeldOut) -> list[Segmentation]:
        """Segmentation pieces; where that is interrupted, go on with what there is."""
        found: list[Segmentation] = []
        try:  # the list keeps what was segmented before an interrupt
            found.extend(iter(segmentations(points, self.seen, self.wanted)))
        except KeyboardInterrupt:
            self.search.cut_short = StopReason.INTERRUPTED
        return ranked(found or [whole(points, self.wanted)])

    def _without_labels(self) -> None:
        """Solve or train partitions that no labels say anything about, until it is late.

        Those that are fixed, in all numbers; and those of a kind that is not known here.
        """
        search, task, wanted = self.search, self.task, self.wanted
        n_rows, n_inputs = task.data.z.shape
        for degree in wanted.degrees(n_rows, n_inputs):
            size = dimension(n_inputs, degree, wanted.index_set)
            rows = min(n_rows, SEARCH_ROWS)
            most = min(rows // GRID_ROWS, MOST_NUMBERS // rows) // size
            counts = [2**k for k in range(16) if 2**k <= most] or [1]
            errors = [math.inf]
            for count in counts if wanted.count is None else [wanted.count]:
                basis = PartitionBasis(
                    count, degree, partition=self.partition, index_set=wanted.index_set
                )
                drawn = draw(basis, task.data.key(0), unit_box(n_inputs))
                drawn = basis.placed(drawn, jnp.asarray(task.data.z))
                solved = search.add(task.frozen(basis, drawn))
                errors.append(solved.loo_error)
                if basis.trainable and task.asked.max_steps != 0 and not search.late():
                    if self.fold == 0:
                        search.replace(solved, **task.held_out(solved))
                    search.add(self._trained(basis, drawn, self._prior_ridge()))
                if search.late() or search.best.loo_error < EXACT:
                    return
                if errors[-1] > errors[-2] > min(errors):  # twice worse
                    break

    def _trained(
        self, basis: AbstractBasis, initial: Any, ridge: float, label: str = ""
    ) -> Candidate:
        """Train a basis from given parameters."""
        return self.task.trained(
            self.search,
            self.task.steps(self._steps(ridge)),
            basis,
            ridge,
            fold=self.fold,
            initial=initial,
            label=label,
        )

    def _train(self, segmentation: Segmentation) -> bool:
        """Train a segmentation in all variants; say whether to stop."""
        search, task = self.search, self.task
        ridge = self._prior(segmentation)
        if segmentation.count == 1 or task.asked.max_steps == 0 or search.late():
            return self._solve(segmentation)
        # There may be no time for more than the first variant, which has ties.
        first = len(search.found) if math.isfinite(search.deadline) else None
        if first is not None:
            self._solve(segmentation)
        for basis, parameters in self._variants(segmentation):
            candidate = self._trained(basis, parameters, ridge, f", from {segmentation.start}")
            if self.fold is None:
                own = task.frozen(basis, candidate.parameters)
                assert candidate.run is not None
                # Functions as they are know nothing of ties, which may leave more; their weight
                # makes round-off large, which says nothing.
                least = task.relative(math.sqrt(candidate.run.loss), None)
                least = least if least > ROUND_OFF else 0.0
                candidate = dataclasses.replace(
                    candidate, loo_error=max(own.loo_error, least), unseen=own.unseen
                )
            search.add(candidate)
            if search.late():
                return True
            if first is not None:  # the next begins there
                del search.found[first]
                first = None
            if self._error() < EXACT:
                return True
        self._redraw(segmentation)
        return False

    def _variants(
        self, segmentation: Segmentation
    ) -> Iterator[tuple[PartitionBasis, PartitionParams]]:
        return variants(segmentation, self.partition, self.seen, self.wanted, self.task.data.key(0))

    def _redraw(self, segmentation: Segmentation) -> None:
        """Draw the borders of an exact fit anew, each held-out row in the piece that fits it."""
        first = self.task.exact(self.search.found)
        if self.seen is None or first is None or not _is_of(segmentation, first.basis):
            return
        assert isinstance(first.basis, PartitionBasis)
        more = segmentation.extended(*self.seen)
        if more.torn:
            return
        made = variants(more, first.basis.unity, None, self.wanted, self.task.data.key(0))
        parameters = next(found for basis, found in made if not basis.continuity)
        offers = [self.task.frozen(first.basis, p) for p in (first.parameters, parameters)]
        if offers[1].loo_error < offers[0].loo_error:
            self.search.replace(first, parameters=parameters)

    def _solve(self, segmentation: Segmentation) -> bool:
        """Solve polynomials where nothing is to be trained; say whether to stop."""
        basis, parameters = next(
            pair for pair in self._variants(segmentation) if not pair[0].continuity
        )
        candidate = self.task.frozen(basis, parameters)
        if self.fold == 0:
            candidate = dataclasses.replace(candidate, **self.task.held_out(candidate))
        self.search.add(candidate)
        return self.search.late()

    def _error(self) -> float:
        """Return the best candidate's error on held-out rows, or else on all rows."""
        best = self.search.best
        if best.run is None or math.isfinite(best.validation_error):
            return best.validation_error
        return math.sqrt(best.run.loss)

    def _prior(self, segmentation: Segmentation) -> float:
        """Return λ: the user's, or what the noise that the segmentation shows calls for."""
        if self.task.asked.fixed_ridge is not None:
            return self._fixed_ridge
        return (
            PRIOR
            * segmentation.fits.loo_error(segmentation.labels) ** 2
            * float(segmentation.fits.weight.mean())
        )

    def _reseed(self, segmentation: Segmentation) -> None:
        """Where a number of parts was asked for and some own nothing, put these elsewhere."""
        best, count = self.search.best, self.wanted.count
        if self.search.cut_short or count is None:
            return
        assert isinstance(best.basis, PartitionBasis)
        owned = hard_assignment(best.basis.unity, best.parameters.partition, segmentation.fits.x)
        if len(np.unique(owned)) >= count:
            return
        labels = reseeded(segmentation.fits, owned, count, self.wanted.seed)
        again = dataclasses.replace(segmentation, labels=segmentation.fits.settled(labels))
        if again.count > len(np.unique(owned)):
            self.seen = None
            self._train(again)


def _titled(segmentation: Segmentation) -> str:
    pieces = counted(segmentation.count, "piece")
    return f"training of {pieces} of degree {segmentation.fits.degree}"


def _is_of(segmentation: Segmentation, basis: AbstractBasis) -> bool:
    """Whether a basis has as many pieces as a segmentation, of its degree."""
    return isinstance(basis, PartitionBasis) and (
        (basis.n_partitions, basis.degree) == (segmentation.count, segmentation.fits.degree)
    )


def _has_labels(partition: str | AbstractPartition) -> bool:
    """Whether a partition can be had from labels of points."""
    if isinstance(partition, str):
        return partition == "auto" or PARTITIONS[partition](1).takes_labels
    return partition.takes_labels

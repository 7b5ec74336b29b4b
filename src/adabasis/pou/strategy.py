"""The search among partition of unity networks: drafts of pieces, trained in all variants."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator
from typing import Any

import jax.numpy as jnp
import numpy as np

from ..basis import AbstractBasis, AbstractPartition, PartitionBasis, PolynomialPartition
from ..basis.pou.partition import PARTITIONS, hard_assignment
from ..basis.pou.partitioned import Cells
from ..basis.pou.polynomial import dimension
from ..regression.strategy import GOOD_ENOUGH, PRIOR, Search
from ..selection import linear as select
from ..selection.search import SEARCH_ROWS, Candidate
from ..train import Snapshot, Snapshots, StopReason
from .borders import SHAPED, shaped, steepness
from .candidates import HeldOut, Segmentation, different, ranked, segmentations, whole
from .starts import SegmentationOptions, reseeded

LOGIT_DEGREES = (1, 2, 4)
"""Degrees of the logits that are compared in more than one input."""
BY_CHANCE = 1.1
"""Held-out errors within this factor do not tell free borders from tied ones: ties are fewer
degrees of freedom, and are taken."""
GRID_ROWS = 2
"""Rows for each function of a fixed partition whose number is to be chosen."""
ROWS_PER_LOGIT = 40
"""Rows for each coefficient of the logits, the least for degrees above 1."""
SHARES, FEW_POINTS = 5, 3000
"""Shares that points are left out in when degrees of logits are compared, and the most points for
which that is done besides held-out rows."""
EXACT = 1e-10
"""Relative held-out error below which no more is tried."""
NO_CHANCE, FEW_ROWS = 1e-8, 10.0
"""Loss, relative to that of the best on held-out rows, of a fit that is preferred although its
held-out error is up to so many times as large."""
HARD, SOFT = 1e9, 4.0
"""Slopes of logits at borders where they are to be sharp, and where points of both sides are to
be shared so that they pull; over the mean distance of points."""
TIED = {1: 1e4}
TIED_MORE = 1e2
"""Weights of the ties that make neighbouring polynomials meet, by the number of inputs."""
SLACK = 8
"""Points beyond the end of a piece within which it may meet the next, where data are noisy."""


@dataclasses.dataclass
class PieceSearch(Search):
    """A search among partition of unity networks.

    Attributes
    ----------
    watched : list of (Candidate, Snapshots)
        What was seen of those that were trained.
    """

    watched: list[tuple[Candidate, Snapshots]] = dataclasses.field(default_factory=list)

    @property
    def snapshots(self) -> tuple[Snapshot, ...]:
        """The best candidate on its way, before it became what it is."""
        best = self.best
        seen = [seen for candidate, seen in self.watched if candidate is best]
        return seen[0].before(best.run.step) if seen and best.run else ()

    def pieces(self, wanted: SegmentationOptions, partition: str | AbstractPartition) -> None:
        """Segment the points, train the best, and give parts that own nothing a new place."""
        if not _has_labels(partition):
            self._without_labels(partition, wanted)
            return
        kept, held_out = self.data.fold(0) if self.data.folds else (self.data.all_rows, None)
        some = self.some(kept)
        points = self.data.z[some], self.data.t[some], self.data.weight[some]
        seen: HeldOut | None = None
        if held_out is not None:
            weight = np.asarray(held_out.points.weight)
            true = weight > 0
            z, t, w = (np.asarray(a)[true] for a in (held_out.points.x, held_out.data, weight))
            seen = z, t, w
        drafted = self._drafted(points, seen, wanted)
        for draft in different(drafted):
            done = self._train(draft, partition, seen, wanted)
            if done or self.best.held_out <= GOOD_ENOUGH:
                break
        self._reseed(drafted[0], partition, wanted)

    def _drafted(
        self, points: HeldOut, seen: HeldOut | None, wanted: SegmentationOptions
    ) -> list[Segmentation]:
        """Segment the points; where that is interrupted, go on with what there is."""
        found: list[Segmentation] = []
        try:  # the list keeps what was drafted before an interrupt
            found.extend(iter(segmentations(*points, seen, wanted)))
        except KeyboardInterrupt:
            self.cut_short = StopReason.INTERRUPTED
        return ranked(found or [whole(*points, wanted)])

    def _without_labels(
        self, partition: AbstractPartition | str, wanted: SegmentationOptions
    ) -> None:
        """Solve or train partitions that no labels say anything about, until it is late.

        Those that are fixed, in all numbers; and those of a kind that is not known here.
        """
        n_rows, n_inputs = self.data.z.shape
        box = jnp.asarray(np.tile([0.0, 1.0], (n_inputs, 1)))
        for degree in wanted.degrees(n_rows, n_inputs):
            size = dimension(n_inputs, degree, wanted.index_set)
            rows = min(n_rows, SEARCH_ROWS)
            most = min(rows // GRID_ROWS, select.MOST_NUMBERS // rows) // size
            counts = [2**k for k in range(16) if 2**k <= most] or [1]
            errors = [math.inf]
            for count in counts if wanted.count is None else [wanted.count]:
                basis = PartitionBasis(
                    count, degree, partition=partition, index_set=wanted.index_set
                )
                drawn = select.draw(basis, self.data.key(0), box)
                drawn = basis.placed(drawn, jnp.asarray(self.data.z))
                self.found.append(self._left_out(basis, drawn))
                errors.append(self.found[-1].left_out)
                if basis.trainable and self.max_steps != 0 and not self._late():
                    fold = 0 if self.data.folds else None
                    if fold == 0:
                        self._hold_out(self.found[-1])
                    self.found.append(self._trained(None, basis, 0, fold, self._penalty(), drawn))
                if self._late() or self.best.left_out < EXACT:
                    return
                if errors[-1] > errors[-2] > min(errors):  # twice worse
                    break

    def _train(
        self,
        draft: Segmentation,
        partition: str | AbstractPartition,
        seen: HeldOut | None,
        wanted: SegmentationOptions,
    ) -> bool:
        """Train a draft in all variants; say whether to stop."""
        penalty = self._prior(draft)
        if draft.count == 1 or self.max_steps == 0 or self._late():
            return self._solve(draft, partition, seen, wanted)
        solved = len(self.found) if math.isfinite(self.deadline) else None
        if solved is not None:  # there may be no time for more than the first, which has ties
            self._solve(draft, partition, seen, wanted)
        for basis, parameters in variants(draft, partition, seen, wanted, self.data.key(0)):
            fold = 0 if self.data.folds else None
            self.found.append(self._trained(None, basis, 0, fold, penalty, parameters))
            self.found[-1].label += f", from {draft.start}"
            if fold is None:
                last = self.found[-1]
                last.left_out = self._left_out(basis, last.parameters).left_out
            if self._late():
                return True
            if solved is not None:  # the next begins there
                del self.found[solved]
                solved = None
            if self._error() < EXACT:
                return True
        if not self._prefer_exact(draft, seen, wanted):
            self._prefer_ties()
        return False

    def _prefer_ties(self) -> None:
        """Put the best tied candidate first where free ones are better only by chance."""
        best = self.best
        if best.standing:
            return
        tied = [c for c in self.ranked if c.run and c.basis.tie_weight]
        if tied and tied[0].held_out <= BY_CHANCE * best.held_out and tied[0] is not best:
            tied[0].standing = best.order

    def _prefer_exact(
        self, draft: Segmentation, seen: HeldOut | None, wanted: SegmentationOptions
    ) -> bool:
        """Put an exact fit of the draft first where others win by a few held-out rows at most.

        A held-out row beside a jump may be on either side, and decides by itself what the error is:
        that of a blurred border is a little less. But what fits many more rows than it has numbers
        to choose, so much better than the others do, is no chance. Borders are then drawn anew with
        the held-out rows, each in the piece that fits it. Say whether there was such a fit.
        """
        best = self.best
        most = NO_CHANCE * best.run.loss if best.run else 0.0
        exact = [c for c in self.ranked if c.run and c.run.loss < most and _is_of(draft, c.basis)]
        if seen is None or not exact or exact[0].held_out > FEW_ROWS * best.held_out:
            return False
        first = exact[0]
        first.standing = best.order
        assert isinstance(first.basis, PartitionBasis)
        more = draft.extended(*seen)
        if more.torn:
            return True
        made = variants(more, first.basis.unity, None, wanted, self.data.key(0))
        parameters = next(found for basis, found in made if not basis.continuity)
        offers = [self._left_out(first.basis, p) for p in (first.parameters, parameters)]
        if offers[1].left_out < offers[0].left_out:
            first.parameters = parameters
        return True

    def _solve(
        self,
        draft: Segmentation,
        partition: str | AbstractPartition,
        seen: HeldOut | None,
        wanted: SegmentationOptions,
    ) -> bool:
        """Solve a draft's polynomials where nothing is to be trained; say whether to stop."""
        made = variants(draft, partition, seen, wanted, self.data.key(0))
        basis, parameters = next(pair for pair in made if not pair[0].continuity)
        candidate = self._left_out(basis, parameters)
        if self.data.folds:
            self._hold_out(candidate)
        self.found.append(candidate)
        return self._late()

    def _descent(self, *about: Any) -> Candidate:
        """Train, and keep snapshots."""
        others, seen = self.callbacks, Snapshots()
        self.callbacks = (*others, seen)
        try:
            candidate = super()._descent(*about)
        finally:
            self.callbacks = others
        self.watched.append((candidate, seen))
        return candidate

    def _error(self) -> float:
        """Return the best candidate's error on held-out rows, or else on all rows."""
        best = self.best
        if best.run is None or math.isfinite(best.held_out):
            return best.held_out
        return math.sqrt(best.run.loss)

    def _prior(self, draft: Segmentation) -> float:
        """Return λ: the user's, or what the noise that the draft shows calls for."""
        if not isinstance(self.ridge, str):
            return self.ridge
        return PRIOR * draft.fits.loo_error(draft.labels) ** 2 * float(draft.fits.weight.mean())

    def _reseed(
        self, draft: Segmentation, partition: str | AbstractPartition, wanted: SegmentationOptions
    ) -> None:
        """Where a number of parts was asked for and some own nothing, put these elsewhere."""
        best = self.best
        if self.cut_short or wanted.count is None:
            return
        assert isinstance(best.basis, PartitionBasis)
        owned = hard_assignment(best.basis.unity, best.parameters.partition, draft.fits.x)
        if len(np.unique(owned)) >= wanted.count:
            return
        labels = reseeded(draft.fits, owned, wanted.count, wanted.seed)
        again = dataclasses.replace(draft, labels=draft.fits.settled(labels))
        if again.count > len(np.unique(owned)):
            self._train(again, partition, None, wanted)


def _is_of(draft: Segmentation, basis: AbstractBasis) -> bool:
    """Whether a basis has as many pieces as a draft, of its degree."""
    return isinstance(basis, PartitionBasis) and (
        (basis.n_partitions, basis.degree) == (draft.count, draft.fits.degree)
    )


def _has_labels(partition: str | AbstractPartition) -> bool:
    """Whether a partition can be had from labels of points."""
    if isinstance(partition, str):
        return partition == "auto" or isinstance(PARTITIONS[partition](1), SHAPED)
    return isinstance(partition, SHAPED)


def variants(
    draft: Segmentation,
    partition: str | AbstractPartition,
    seen: HeldOut | None,
    wanted: SegmentationOptions,
    key: Any,
) -> Iterator[tuple[PartitionBasis, Cells]]:
    """Yield bases and parameters that begin where the draft ends.

    Borders as sharp as can be, with polynomials that meet there and without; and soft ones, which
    points of both sides pull.
    """
    cloud, n_inputs = draft.fits, draft.fits.x.shape[1]
    spacing = len(cloud.x) ** (-1 / n_inputs)
    reach = 10 * spacing if n_inputs == 1 else min(0.15, 2 * spacing)
    plain = PartitionBasis(
        draft.count,
        cloud.degree,
        partition=_of_size(partition, draft, seen),
        index_set=wanted.index_set,
        reach=reach,
    )
    unity, box = plain.unity, jnp.asarray(np.tile([0.0, 1.0], (n_inputs, 1)))
    assert isinstance(unity, SHAPED)
    drawn = select.draw(unity, key, box)
    slack = 0 if draft.fits.loss(draft.labels) < EXACT**2 else SLACK
    found = shaped(unity, drawn, cloud, draft.labels, slack)
    if draft.count == 1:
        yield plain, plain.recentred(found, jnp.asarray(cloud.x))
        return
    steep = steepness(unity, found, cloud.x) or 1.0  # zero where logits tell nothing apart
    tied = plain.replace(continuity=TIED.get(n_inputs, TIED_MORE))
    for basis, slope in ((tied, HARD), (plain, HARD), (plain, SOFT)):
        sharpened = unity.sharpened(found, slope / spacing / steep)
        yield basis, basis.recentred(sharpened, jnp.asarray(cloud.x))


def _of_size(
    partition: str | AbstractPartition, draft: Segmentation, seen: HeldOut | None
) -> str | AbstractPartition:
    """Return a partition into as many parts as the draft has."""
    if isinstance(partition, AbstractPartition):
        return partition.replace(n_partitions=draft.count)
    if partition != "auto":
        return partition
    if draft.fits.x.shape[1] == 1 or draft.count == 1:
        return "affine"
    names = {1: "affine", 2: "quadratic", 4: "quartic"}
    rows, n_inputs = draft.fits.x.shape
    most = rows / (ROWS_PER_LOGIT * (draft.count - 1))
    degrees = [q for q in LOGIT_DEGREES if q == 1 or dimension(n_inputs, q) <= most]
    errors = {q: _classified(draft, q, seen) for q in degrees} if len(degrees) > 1 else {1: 0.0}
    return names[min(errors, key=lambda q: errors[q])]


def _classified(draft: Segmentation, degree: int, seen: HeldOut | None) -> float:
    """Return the squared error on points not seen with pieces told apart by such logits.

    Where there are few held-out rows one of them would decide: a share of the draft's own points
    after another is left out, too.
    """
    cloud, labels = draft.fits, draft.labels
    c, unity = cloud.coefficients(labels), PolynomialPartition(draft.count, degree)

    def wrong(kept: np.ndarray, points: HeldOut) -> float:
        z, t, w = points
        mine = cloud.x[kept], cloud.y[kept], cloud.weight[kept]
        weights = shaped(unity, None, cloud.at(*mine), labels[kept])
        errors = cloud.at(z, t, w).errors(c)
        return float(w @ errors[np.arange(len(z)), hard_assignment(unity, weights, z)])

    every = np.arange(len(labels))
    total = 0.0 if seen is None else wrong(every, seen)
    for share in range(SHARES if seen is None or len(labels) <= FEW_POINTS else 0):
        out, kept = every[share::SHARES], np.delete(every, np.s_[share::SHARES])
        if len(np.unique(labels[kept])) == draft.count:
            total += wrong(kept, (cloud.x[out], cloud.y[out], cloud.weight[out]))
    return total

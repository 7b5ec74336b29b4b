"""Candidate segmentations: from different degrees and numbers of segments, and their errors.

Nothing here is differentiated: a segmentation costs a few small least-squares fits, so that many
can be compared and only the best are handed to Gauss–Newton steps.
"""

from __future__ import annotations

import dataclasses
import functools
import math
from collections.abc import Callable, Iterable, Iterator

import numpy as np
from scipy.spatial import cKDTree

from .segmentation import FLOOR, LocalFits, best_of
from .starts import STARTS, SegmentationOptions

#: Numbers of segments compared in more than one input; in one, all numbers are.
COUNTS = (1, 2, 3, 4, 6, 8, 12, 16)
MOST_INTERVALS = 64
#: Scores within this factor count as equal, and the smaller segmentation goes first.
ALIKE = 1.15
#: Segmentations that are trained where numbers are to be chosen.
TRIED = {"fast": 1, "auto": 2, "thorough": 8}
#: A segmentation whose score is this many times the best one's is not trained.
WORSE = 3.0
#: Relative error of segments that need no higher degree, each point left out in turn.
EXACT = 1e-10
#: Share of the error beside borders that the error of the segments may be, if borders decide; and
#: factor within which such segmentations have borders that are as good.
HIDDEN, WITHIN = 0.01, 2.0
#: Rows below which a number of segments is not chosen: there is one. In an interval a segment has
#: few ends, and a criterion for each number of segments.
FEWEST_ROWS, FEWEST_ALONG = 40, 8
#: Rows for each place from which replicates tell the noise, where places are fewer than that.
REPLICATED = 2.0
#: Points around one that has no label yet, whose segments are offered to it.
NEARBY = 8
#: Points, values, weights and, where there are repeated measurements, their scatter.
HeldOut = tuple[np.ndarray, ...]


@dataclasses.dataclass(frozen=True)
class Segmentation:
    """Labels of points, and what they are worth.

    Attributes
    ----------
    fits : LocalFits
        The points.
    labels : array, shape (N,)
    score : float
        Geometric mean of two errors: of the segments, each point left out in turn, and on held-out
        points, each in the segment of the nearest point, which many segments make worse.
        (Alone the latter is that of points on the wrong side, whatever the segments.)
    start : str
    loo_error : float
        The error of the segments alone.
    """

    fits: LocalFits
    labels: np.ndarray
    score: float
    start: str
    loo_error: float = math.nan

    @property
    def count(self) -> int:
        """The number of segments."""
        return int(self.labels.max()) + 1

    def extended(self, *more: np.ndarray) -> Segmentation:
        """Return one of more points, each in that segment nearby which fits it best."""
        fits, nearby, x = self.fits, min(NEARBY, len(self.labels)), more[0]
        nearest = cKDTree(fits.x).query(x, nearby)[1].reshape(len(x), nearby)
        errors = fits.losses(self.labels, fits.at(*more))
        labels = np.append(self.labels, best_of(self.labels[nearest], errors)[0])
        own = (fits.x, fits.y, fits.weight, fits.scatter)
        both = zip(own, more, strict=False)
        extended = fits.at(*(np.append(a, b, axis=0) for a, b in both if a is not None))
        return dataclasses.replace(self, fits=extended, labels=labels)

    @property
    def torn(self) -> bool:
        """Whether a segment of an interval is in several runs."""
        return self.fits.x.shape[1] == 1 and self.fits.runs(self.labels).max() >= self.count

    @functools.cached_property
    def beside(self) -> float:
        """The root mean square error of points in the segment of their nearest neighbour."""
        fits = self.fits
        nearest = self.labels[fits.neighbours[:, min(1, len(self.labels) - 1)]]
        return fits.error_on(self.labels, fits, nearest)

    @property
    def hidden(self) -> bool:
        """Whether points on the wrong side of borders hide the error of the segments.

        Borders of an interval are single points, and cuts are too rough to tell.
        """
        return (
            self.fits.x.shape[1] > 1
            and self.start != "cuts"
            and self.loo_error < HIDDEN * self.beside
        )

    @property
    def grade(self) -> int:
        """The score in steps of ``ALIKE``: those of one step count as equal."""
        return round(math.log(self.score, ALIKE))


def ranked(found: Iterable[Segmentation]) -> list[Segmentation]:
    """Return segmentations, best first.

    Where borders hide the errors of segments, more segments only mean more borders: the fewest go
    first of those whose borders do about as well.
    """
    in_order = sorted(found, key=lambda each: (each.grade, each.count * each.fits.n_parameters))
    if not in_order[0].hidden:
        return in_order
    hidden = [each for each in in_order if each.hidden]
    most = WITHIN * min(each.beside for each in hidden)
    fewest = min((each for each in hidden if each.beside <= most), key=lambda each: each.count)
    return [fewest, *(each for each in in_order if each is not fewest)]


def different(in_order: list[Segmentation], effort: str = "auto") -> list[Segmentation]:
    """Return the best segmentations that differ in degree or number.

    One with more segments than another of its degree that is as good is left out, or than the first
    where borders decide; unless they come from cuts: those are rough, and only training tells what
    the segments are worth.
    """
    fewest: dict[tuple[int, int], int] = {}
    kinds: dict[tuple[int, int], Segmentation] = {}
    first = in_order[0]
    for each in in_order:
        if first.hidden and each.count > first.count:
            continue
        least = fewest.setdefault((each.fits.degree, each.grade), each.count)
        needed = each.count <= least or each.start == "cuts"
        if needed and each.score <= WORSE * first.score:
            kinds.setdefault((each.fits.degree, each.count), each)
    return list(kinds.values())[: TRIED[effort]]


def whole(points: HeldOut, options: SegmentationOptions) -> Segmentation:
    """Return what takes no time: one segment, its score that of the mean."""
    fits = options.fits(options.degrees(*points[0].shape)[0], *points)
    return Segmentation(fits, np.zeros(len(points[0]), dtype=int), 1.0, "one segment")


def segmentations(
    points: HeldOut, held_out: HeldOut | None, options: SegmentationOptions
) -> Iterator[Segmentation]:
    """Yield segmentations of all degrees and numbers of segments, until it is late."""
    x = points[0]
    start = options.start_for(x.shape[1])
    nearest = None if held_out is None else cKDTree(x).query(held_out[0])[1]
    for degree in options.degrees(*x.shape):
        fits = options.fits(degree, *points)
        for labels in _labels(fits, start, options):
            if replicated(fits, options):
                score = loo_error = _priced(fits, labels, options)
            else:
                score = loo_error = fits.loo_error(labels) + FLOOR
            if held_out is not None:
                unseen = fits.error_on(labels, fits.at(*held_out), labels[nearest])
                score = math.sqrt(loo_error * unseen)
            yield Segmentation(fits, labels, score + FLOOR, start, loo_error)
            if loo_error < EXACT or options.late():
                return


def _labels(fits: LocalFits, start: str, options: SegmentationOptions) -> Iterator[np.ndarray]:
    # Settled labels of each number of segments; for intervals the best number only.
    n_rows, n_inputs = fits.x.shape
    by_rows = replicated(fits, options)
    most = max(1, n_rows // (fits.size if by_rows else 2 * fits.size))
    counts = [1]
    if options.count is not None:
        counts = [min(options.count, most)]
    elif by_rows or n_rows >= (FEWEST_ALONG if n_inputs == 1 else FEWEST_ROWS):
        compared = range(1, MOST_INTERVALS + 1) if n_inputs == 1 else COUNTS
        counts = [count for count in compared if count <= most]
    path = {1: np.zeros(n_rows, dtype=int)}
    if max(counts) > 1:
        path |= STARTS[start](fits, max(counts), options)
    reached = [path[count] for count in counts if count in path] or [path[max(path)]]
    if n_inputs > 1:
        yield from map(fits.settled, reached)
        return
    criterion: Callable[[np.ndarray], float] = functools.partial(fits.criterion, left_out=True)
    if by_rows:  # each number of segments as it is: one place may be a segment
        yield min(reached, key=lambda labels: _priced(fits, labels, options))
        return
    if start == "segments":  # the best of every number: one of them is settled
        reached = [min(reached, key=criterion)]
    yield min([*reached, *map(fits.settled, reached)], key=criterion)


def replicated(fits: LocalFits, options: SegmentationOptions) -> bool:
    """Whether an interval has few places, and replicates enough to tell the noise by."""
    n_places, n_inputs = fits.x.shape
    few = n_inputs == 1 and 1 < n_places < FEWEST_ALONG and options.noise == "same"
    known = fits.scatter is not None and bool(fits.scatter.any())
    return few and known and options.n_rows >= REPLICATED * n_places


def _priced(fits: LocalFits, labels: np.ndarray, options: SegmentationOptions) -> float:
    """Return the root mean square error of rows, replicates in it, and a price for each number.

    That is of Schwarz's criterion over all rows, as an error: leaving out a place says nothing of
    a segment that has one place alone, but its replicates do.
    """
    assert fits.scatter is not None
    n, count = options.n_rows, int(labels.max()) + 1
    n_outputs = fits.y.shape[1]
    within = float(np.average(fits.scatter.sum(axis=1), weights=fits.weight))
    square = (fits.loss(labels) + within) / n_outputs + FLOOR**2
    parameters = (count * fits.n_parameters + count - 1) / n_outputs
    return math.sqrt(square) * math.exp(0.5 * parameters * math.log(n) / n)

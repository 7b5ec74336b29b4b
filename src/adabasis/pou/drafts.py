"""Drafts: labels of points from different starts, degrees and numbers of pieces, and their error.

Nothing here is differentiated: a draft costs a few small least-squares fits, so that many can be
compared and only the best are handed to Gauss–Newton steps.
"""

from __future__ import annotations

import dataclasses
import functools
import math
import time
from collections.abc import Callable, Iterable, Iterator

import numpy as np
from scipy.spatial import cKDTree

from ..basis.pou.polynomial import dimension
from . import cuts, insertion, merging
from . import intervals as segments
from .segmentation import FLOOR, Cloud, best_of, compact

STARTS = ("segments", "merging", "insertion", "cuts", "tree")
COUNTS = (1, 2, 3, 4, 6, 8, 12, 16)
"""Numbers of pieces compared in more than one input; in one, all numbers are."""
MOST_INTERVALS = 64
DEGREES = {1: (1, 2, 3, 5), 2: (1, 2, 4, 6, 8), 3: (1, 2, 3, 4, 6)}
HIGH = (1, 2, 3)
"""Degrees compared in more inputs than those listed."""
MOST_POLYNOMIALS = 400
ALIKE = 1.15
"""Scores within this factor count as equal, and the smaller draft goes first."""
TRIED = 2
"""Drafts that are trained where numbers are to be chosen."""
WORSE = 3.0
"""A draft whose score is this many times the best one's is not trained."""
EXACT = 1e-10
"""Relative error of pieces that need no higher degree, each point left out in turn."""
HIDDEN, WITHIN = 0.01, 2.0
"""Share of the error beside borders that the error of a draft's pieces may be, if borders decide;
and factor within which such drafts have borders that are as good."""
FEWEST_ROWS = 40
"""Rows below which a number of pieces is not chosen: there is one."""
FEW_INPUTS = 3
"""Inputs up to which cells of neighbouring points are small enough to be merged."""


NEARBY = 8
"""Points around one that has no label yet, whose pieces are offered to it."""


HeldOut = tuple[np.ndarray, np.ndarray, np.ndarray]
"""Points, values and weights that are not fitted."""


@dataclasses.dataclass(frozen=True)
class Wanted:
    """What is asked for: numbers, or ``None`` where they are to be chosen."""

    count: int | None = None
    degree: int | None = None
    index_set: str = "total"
    start: str = "auto"
    seed: int = 0
    deadline: float = float("inf")

    def late(self) -> bool:
        """Whether time is over."""
        return time.perf_counter() > self.deadline

    def degrees(self, n_rows: int, n_inputs: int) -> list[int]:
        """Return the degrees to compare: with four rows a polynomial, at least."""
        if self.degree is not None:
            return [self.degree]
        sizes = {m: dimension(n_inputs, m, self.index_set) for m in DEGREES.get(n_inputs, HIGH)}
        most = min(MOST_POLYNOMIALS, n_rows // 4)
        return [m for m, size in sizes.items() if size <= most] or [0]

    def starts(self, n_inputs: int) -> list[str]:
        """Return the starts to compare."""
        if self.start != "auto":
            return [self.start]
        if n_inputs == 1:
            return ["segments"]
        return ["merging"] if n_inputs <= FEW_INPUTS else ["cuts"]


@dataclasses.dataclass(frozen=True)
class Draft:
    """Labels of the points of a cloud, and what they are worth.

    Attributes
    ----------
    cloud : Cloud
    labels : array, shape (N,)
    score : float
        Geometric mean of two errors: of the pieces, each point left out in turn, and on held-out
        points, each in the piece of the nearest point of the cloud, which many pieces make worse.
        (Alone the latter is that of points on the wrong side, whatever the pieces.)
    start : str
    fit : float
        The error of the pieces alone.
    """

    cloud: Cloud
    labels: np.ndarray
    score: float
    start: str
    fit: float = math.nan

    @property
    def count(self) -> int:
        """The number of pieces."""
        return int(self.labels.max()) + 1

    @property
    def size(self) -> int:
        """The number of coefficients."""
        return self.count * self.cloud.size

    def extended(self, x: np.ndarray, y: np.ndarray, weight: np.ndarray) -> Draft:
        """Return the draft with more points, each in that piece nearby which fits it best."""
        cloud, nearby = self.cloud, min(NEARBY, len(self.labels))
        nearest = cKDTree(cloud.x).query(x, nearby)[1].reshape(len(x), nearby)
        errors = cloud.at(x, y, weight).errors(cloud.fit(self.labels))
        found = best_of(self.labels[nearest], errors)[0]
        both = ((cloud.x, x), (cloud.y, y), (cloud.weight, weight))
        whole = cloud.at(*(np.concatenate(pair) for pair in both))
        return dataclasses.replace(self, cloud=whole, labels=np.concatenate([self.labels, found]))

    @property
    def torn(self) -> bool:
        """Whether a piece of an interval is in several runs."""
        along = self.cloud.x.shape[1] == 1
        return along and int(self.cloud.runs(self.labels).max()) >= self.count

    @functools.cached_property
    def beside(self) -> float:
        """The root mean square error of points in the piece of their nearest neighbour."""
        cloud = self.cloud
        nearest = self.labels[cloud.neighbours[:, min(1, len(self.labels) - 1)]]
        return _score(cloud, self.labels, (cloud.x, cloud.y, cloud.weight), nearest)

    @property
    def hidden(self) -> bool:
        """Whether points on the wrong side of borders hide the error of the pieces.

        Borders of an interval are single points, and cuts are too rough to tell.
        """
        plane = self.cloud.x.shape[1] > 1 and self.start != "cuts"
        return plane and self.fit < HIDDEN * self.beside

    @property
    def grade(self) -> int:
        """The score in steps of ``ALIKE``: those of one step count as equal."""
        return round(math.log(self.score, ALIKE))


def ranked(found: Iterable[Draft]) -> list[Draft]:
    """Return drafts, best first.

    Where borders hide the errors of pieces, more pieces only mean more borders: the fewest go first
    of those whose borders do about as well.
    """
    drafted = sorted(found, key=lambda draft: (draft.grade, draft.size))
    if not drafted or not drafted[0].hidden:
        return drafted
    hidden = [draft for draft in drafted if draft.hidden]
    least = min(draft.beside for draft in hidden)
    good = [draft for draft in hidden if draft.beside <= WITHIN * least]
    fewest = min(good, key=lambda draft: draft.count)
    return [fewest, *(draft for draft in drafted if draft is not fewest)]


def different(drafted: list[Draft]) -> Iterator[Draft]:
    """Yield the best drafts that differ in degree or number.

    One with more pieces than another of its degree that is as good is left out, or than the first
    where borders decide; unless they come from cuts: those are rough, and only training tells what
    the pieces are worth.
    """
    seen: set[tuple[int, int]] = set()
    fewest: dict[tuple[int, int], int] = {}
    first = drafted[0]
    for draft in drafted:
        kind = (draft.cloud.degree, draft.count)
        alike = (draft.cloud.degree, draft.grade)
        good = draft.score <= WORSE * first.score
        if first.hidden and draft.count > first.count:
            continue
        needed = draft.count <= fewest.setdefault(alike, draft.count) or draft.start == "cuts"
        if good and needed and kind not in seen and len(seen) < TRIED:
            seen.add(kind)
            yield draft


def whole(x: np.ndarray, y: np.ndarray, weight: np.ndarray, wanted: Wanted) -> Draft:
    """Return the draft that takes no time: one piece, its score that of the mean."""
    cloud = Cloud(x, y, weight, wanted.degrees(*x.shape)[0], wanted.index_set)
    return Draft(cloud, np.zeros(len(x), dtype=int), 1.0, "one piece")


def drafts(
    x: np.ndarray,
    y: np.ndarray,
    weight: np.ndarray,
    held_out: HeldOut | None,
    wanted: Wanted,
) -> Iterator[Draft]:
    """Yield drafts of all degrees, starts and numbers of pieces, until it is late."""
    nearest = None if held_out is None else cKDTree(x).query(held_out[0])[1]
    for degree in wanted.degrees(*x.shape):
        cloud = Cloud(x, y, weight, degree, wanted.index_set)
        for start in wanted.starts(x.shape[1]):
            for labels in _labels(cloud, start, wanted):
                score = fit = cloud.left_out(labels) + FLOOR
                if held_out is not None and nearest is not None:
                    score = math.sqrt(fit * _score(cloud, labels, held_out, labels[nearest]))
                yield Draft(cloud, labels, score + FLOOR, start, fit)
                if fit < EXACT or wanted.late():
                    return


def _labels(cloud: Cloud, start: str, wanted: Wanted) -> Iterator[np.ndarray]:
    """Yield settled labels of each number of pieces; for intervals the best number only."""
    n_rows, n_inputs = cloud.x.shape
    most = max(1, n_rows // (2 * cloud.size))
    if wanted.count is not None:
        counts = [min(wanted.count, most)]
    elif n_rows < FEWEST_ROWS:
        counts = [1]
    elif n_inputs == 1:
        counts = list(range(1, min(MOST_INTERVALS, most) + 1))
    else:
        counts = [count for count in COUNTS if count <= most]
    criterion = functools.partial(cloud.criterion, left_out=True)
    path = {1: np.zeros(n_rows, dtype=int)}
    if max(counts) > 1:
        path |= started(cloud, start, max(counts), wanted.seed, wanted.late)
    reached = [path[count] for count in counts if count in path] or [path[max(path)]]
    if n_inputs == 1 and start == "segments":  # the best of every number: one of them is settled
        reached = [min(reached, key=criterion)]
    settled = (cloud.settled(labels) for labels in reached)
    yield from [min([*reached, *settled], key=criterion)] if n_inputs == 1 else settled


def started(
    cloud: Cloud, start: str, most: int, seed: int = 0, late: Callable[[], bool] = cuts.never
) -> dict[int, np.ndarray]:
    """Return the labels of a start by number of pieces, 1 to ``most`` or as far as it goes in time.

    Raises
    ------
    ValueError
        For an unknown start, or segments of more than one input.
    """
    if start == "merging":
        return merging.merged(cloud, 1, most)
    if start == "insertion":
        return insertion.inserted(cloud, most, late)
    if start == "cuts":
        return cuts.cut(cloud, most, np.random.default_rng(seed), late)
    if start == "tree":
        return cuts.cut(cloud, most, np.random.default_rng(seed), late, drawn=0)
    if start != "segments":
        raise ValueError(f"start={start!r}: expected 'auto' or one of {', '.join(STARTS)}.")
    if cloud.x.shape[1] != 1:
        raise ValueError(f"start='segments': for one input; these data have {cloud.x.shape[1]}.")
    order = np.argsort(cloud.x[:, 0], kind="stable")
    found = segments.segment(
        cloud.x[order, 0], cloud.y[order], cloud.degree, most, weight=cloud.weight[order]
    )
    return {len(at): _runs(order, at) for at in found}


def _runs(order: np.ndarray, starts: np.ndarray) -> np.ndarray:
    labels, jumps = np.empty(len(order), dtype=int), np.zeros(len(order), dtype=int)
    jumps[starts[1:]] = 1
    labels[order] = np.cumsum(jumps)
    return labels


def _score(cloud: Cloud, labels: np.ndarray, held_out: HeldOut, there: np.ndarray) -> float:
    z, t, weight = held_out
    errors = cloud.at(z, t, weight).errors(cloud.fit(labels))[np.arange(len(z)), there]
    return float(np.sqrt(weight @ errors / weight.sum() / t.shape[1]))


def reseeded(cloud: Cloud, labels: np.ndarray, count: int, seed: int = 0) -> np.ndarray:
    """Return labels in which pieces that own nothing get half of the piece that fits worst."""
    labels, rng = compact(labels), np.random.default_rng(seed)
    while int(labels.max()) + 1 < count:
        cutting = [cuts.best_cut(cloud, labels == k, rng) for k in range(int(labels.max()) + 1)]
        gain, side = max(cutting, key=lambda offer: offer[0])
        if not gain > 0:
            break
        labels = labels.copy()
        labels[side] = labels.max() + 1
    return labels

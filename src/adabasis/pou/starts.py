"""Where segmentations come from: dynamic programming, mergers, insertions, cuts, a tree.

A start takes :class:`LocalFits`, the most segments and :class:`SegmentationOptions`, and returns
the labels (N,) by number of segments. :data:`STARTS` has its name.

*Segments* of an interval: the classical method for functions of one variable that are smooth in
pieces [1]_ [2]_, exact on clean data, the baseline of POUnets and a start for them. *Insertion* is
as in growing neural gas [3]_. *Cuts* grow a regression tree with polynomial leaves [4]_.

References
----------
.. [1] Bellman, "On the approximation of curves by line segments using dynamic programming",
   Comm. ACM 4 (1961).
.. [2] Jackson et al., "An algorithm for optimal partitioning of data on an interval", IEEE Signal
   Processing Letters 12 (2005).
.. [3] Fritzke, "A growing neural gas network learns topologies", NIPS 7 (1995).
.. [4] Loh, "Fifty years of classification and regression trees", Int. Statistical Review 82 (2014).
"""

from __future__ import annotations

import dataclasses
import functools
import heapq
import itertools
import math
import time
from collections.abc import Callable
from typing import Any

import numpy as np
from scipy.spatial import cKDTree

from ..basis.pou.polynomial import dimension
from .segmentation import LocalFits, compact, picked
from .unequal import UnequalFits

DEGREES = {1: (0, 1, 2, 3, 5), 2: (1, 2, 4, 6, 8), 3: (1, 2, 3, 4, 6)}
#: Degrees compared in more inputs than those listed.
HIGH = (1, 2, 3)
MOST_POLYNOMIALS = 400
#: The start that does best, by the number of inputs: in more than three, cells of neighbouring
#: points are too large to be merged.
BEST_STARTS = {1: "segments", 2: "merging", 3: "merging"}
#: Places where a segment may end: every so many points where there are more.
MOST_PLACES = 1200
#: Points of a patch for each polynomial.
PATCH = 2
#: Directions drawn for a cut, besides those of the inputs.
DRAWN = 48
#: Shares of a segment's points on one side of a cut.
SHARES = (0.15, 0.3, 0.5, 0.7, 0.85)


@dataclasses.dataclass(frozen=True)
class SegmentationOptions:
    """What is asked for: numbers, or ``None`` where they are to be chosen.

    ``n_rows`` is how many rows the points stand for; 0 where that is not known.
    """

    count: int | None = None
    degree: int | None = None
    index_set: str = "total"
    start: str = "auto"
    seed: int = 0
    deadline: float = float("inf")
    noise: str = "same"
    n_rows: float = 0.0

    def late(self) -> bool:
        """Whether time is over."""
        return time.perf_counter() > self.deadline

    def degrees(self, n_rows: int, n_inputs: int) -> list[int]:
        """Return the degrees to compare: four rows a polynomial, constants and lines apart."""
        if self.degree is not None:
            return [self.degree]
        sizes = {m: dimension(n_inputs, m, self.index_set) for m in DEGREES.get(n_inputs, HIGH)}
        most = min(MOST_POLYNOMIALS, max(n_rows // 4, min(n_rows, n_inputs + 1)))
        return [m for m, size in sizes.items() if size <= most] or [0]

    def fits(self, degree: int, *points: Any) -> LocalFits:
        """Return points (x, y, weight, and scatter where known) with polynomials of a degree."""
        x, y, weight, *scatter = points
        kind = UnequalFits if self.noise == "parts" else LocalFits
        return kind(x, y, weight, degree, self.index_set, *scatter)

    def start_for(self, n_inputs: int) -> str:
        """Return the start asked for, or else the one that does best in so many inputs."""
        return BEST_STARTS.get(n_inputs, "cuts") if self.start == "auto" else self.start


#: Nothing asked for: all is chosen, in as much time as it takes.
DEFAULTS = SegmentationOptions()


def segments(
    fits: LocalFits, most: int, options: SegmentationOptions = DEFAULTS
) -> dict[int, np.ndarray]:
    """Cut an interval where the sum of squares is least, for every number of segments."""
    found = cheapest(fits, most)
    return {len(starts): fits.from_starts(starts) for starts in found}


def segment(
    x: np.ndarray, y: np.ndarray, degree: int, most: int, *, weight: np.ndarray | None = None
) -> list[np.ndarray]:
    """Return the least-squares segmentations into 1 … ``most`` polynomials.

    Parameters
    ----------
    x : array, shape (N,)
        In ascending order.
    y : array, shape (N, Q)
    degree : int
    most : int
    weight : array, shape (N,), optional

    Returns
    -------
    list of arrays
        For every number M of segments the indices where they start, (M,): 0 first. Fewer than
        asked where there are not degree + 1 points for each.

    Examples
    --------
    >>> x = np.linspace(0, 1, 21)
    >>> segment(x, np.abs(x - 0.42)[:, None], 1, 3)[1]
    array([0, 9])
    """
    w = np.ones(len(x)) if weight is None else weight
    return cheapest(LocalFits(x[:, None], y, w, degree), most)


def cheapest(fits: LocalFits, most: int) -> list[np.ndarray]:
    """Return, as :func:`segment`, the segmentations of an interval of the least price."""
    x, y, w = (values[fits.order] for values in (fits.x[:, 0], fits.y, fits.weight))
    within = np.zeros_like(y) if fits.scatter is None else fits.scatter[fits.order]
    step = -(-len(x) // MOST_PLACES)
    ends = np.append(np.arange(step, len(x), step), len(x))
    starts = np.concatenate([[0], ends[:-1]])

    def costs_from(a: int) -> np.ndarray:
        possible, squares = _squares(x[a:], y[a:], w[a:], fits.degree, ends - a)
        last = np.clip(ends - a, 1, len(x) - a) - 1
        rows = np.cumsum(w[a:])[last]
        squares += np.cumsum(w[a:, None] * within[a:], axis=0)[last]
        return np.where(possible & (rows >= fits.least), fits.price(squares, rows), np.inf)

    costs = np.stack([costs_from(a) for a in starts])
    best, places = costs[0], np.zeros((len(ends), 1), dtype=int)  # of segments up to each end
    found: list[np.ndarray] = []
    while len(found) < most and np.isfinite(best[-1]):
        found.append(places[-1])
        # All of the first k segments end at j' < j, the next covers starts[j'+1] … ends[j].
        total = np.full((len(ends), len(ends)), np.inf)
        total[1:] = best[:-1, None] + costs[1:]
        best, last = np.min(total, axis=0), np.argmin(total, axis=0)
        places = np.column_stack([places[last - 1], starts[last]])
    return found


def _squares(
    x: np.ndarray, y: np.ndarray, weight: np.ndarray, degree: int, ends: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    # Whether the first ``ends`` points are enough for a polynomial, (E,), and the sums of squares
    # about it, (E, Q). Moments are taken about the first point and rescaled to the length of each
    # segment, which keeps the normal equations of low degrees well conditioned.
    possible = ends > degree
    last = np.clip(ends, 1, len(x)) - 1
    length = np.where(x[last] > x[0], x[last] - x[0], 1.0)
    t, v, w = x - x[0], y - y[:1], weight[:, None]
    orders = np.arange(degree + 1)
    powers = np.cumsum(w * t[:, None] ** np.arange(2 * degree + 1), axis=0)[last]
    powers /= length[:, None] ** np.arange(2 * degree + 1)
    moments = [np.cumsum(w * t[:, None] ** k * v, axis=0)[last] for k in orders]
    rhs = np.stack(moments, axis=1) / length[:, None, None] ** orders[:, None]
    gram = powers[:, orders[:, None] + orders]
    gram[~possible] = np.eye(degree + 1)
    solved = np.linalg.solve(gram + 1e-14 * np.eye(degree + 1) * gram[:, :1, :1], rhs)
    squares = np.cumsum(w * v**2, axis=0)[last] - np.sum(solved * rhs, axis=1)
    return possible, np.maximum(squares, 0.0)


def merging(
    fits: LocalFits, most: int, options: SegmentationOptions = DEFAULTS
) -> dict[int, np.ndarray]:
    """Merge neighbouring cells of few points, those first whose union is fitted at the least cost.

    Each cell is known by the triangle of its rows, and the triangle of two cells is that of both
    triangles stacked (:mod:`adabasis.lstsq`), so that a merger costs nothing that grows with the
    rows.
    """
    labels = compact(cells(fits.x, fits.cell))
    merger, found = _Merger(fits, labels), {}
    while True:
        count = len(merger.triangles)
        if count <= most:
            found[count] = compact(merger.roots[labels])
        if count == 1:
            return found
        merger.merge()


def cells(x: np.ndarray, size: float) -> np.ndarray:
    """Halve the points along their longest side while halves have ``size`` points: labels."""
    labels, todo, count = np.zeros(len(x), dtype=int), [np.arange(len(x))], 1
    while todo:
        mine = todo.pop()
        if len(mine) < 2 * size:
            continue
        axis = np.argmax(np.ptp(x[mine], axis=0))
        order = mine[np.argsort(x[mine, axis], kind="stable")]
        halves = np.split(order, [len(order) // 2])
        labels[halves[1]], count = count, count + 1
        todo += halves
    return labels


class _Merger:
    # Cells under way to being merged; ``roots`` maps a first cell to the one that holds it.

    def __init__(self, fits: LocalFits, labels: np.ndarray) -> None:
        self.fits, self.roots = fits, np.arange(labels.max() + 1)
        rows = np.bincount(labels, fits.weight)
        self.rows = dict(enumerate(rows.tolist()))
        self.triangles = {k: _triangle(fits.rows_of(labels == k)) for k in self.rows}
        self.costs: dict[int, dict[int, float]] = {k: {} for k in self.triangles}
        self.heap: list[tuple[float, int, int]] = []
        around = zip(labels.tolist(), labels[fits.neighbours].tolist(), strict=True)
        for a, b in {frozenset((a, b)) for a, others in around for b in others if a != b}:
            self._offer(a, b)

    def merge(self) -> None:
        # Merge the two neighbours whose union costs least.
        if not any(self.costs.values()):  # islands: all are neighbours now
            for pair in itertools.combinations(self.triangles, 2):
                self._offer(*pair)
        cost, a, b = heapq.heappop(self.heap)
        while self.costs.get(a, {}).get(b) != cost:  # one of the two has changed since the offer
            cost, a, b = heapq.heappop(self.heap)
        self.triangles[a] = _triangle(np.concatenate([self.triangles[a], self.triangles.pop(b)]))
        self.rows[a] += self.rows.pop(b)
        self.roots[self.roots == b] = a
        for other in {*self.costs[a], *self.costs.pop(b)} - {a, b}:
            self.costs[other].pop(b, None)
            self._offer(a, other)
        del self.costs[a][b]

    def _offer(self, a: int, b: int) -> None:
        a, b = sorted((a, b))
        both = _triangle(np.concatenate([self.triangles[a], self.triangles[b]]))
        apart = sum(_price(self.fits, self.triangles[k], self.rows[k]) for k in (a, b))
        cost = _price(self.fits, both, self.rows[a] + self.rows[b]) - apart
        self.costs[a][b] = self.costs[b][a] = cost
        heapq.heappush(self.heap, (cost, a, b))


def insertion(
    fits: LocalFits, most: int, options: SegmentationOptions = DEFAULTS
) -> dict[int, np.ndarray]:
    """Put a segment more where the residual is largest, then let all borders settle, until late.

    The new segment takes from the one that holds the worst patch of points those that are nearer to
    the patch than to the middle of the old segment.
    """
    n = len(fits.x)
    size = min(n, PATCH * fits.size)
    patches = cKDTree(fits.x).query(fits.x, size)[1].reshape(n, size)
    labels = np.zeros(n, dtype=int)
    found = {1: labels}
    while len(found) < most and not options.late():
        grown = _grown(fits, labels, patches)
        if grown is None:
            break
        settled = fits.settled(grown)
        # Borders that settle may swallow a segment, which would be inserted again and again.
        labels = settled if settled.max() >= grown.max() else grown
        found[int(labels.max()) + 1] = labels
    return found


def _grown(fits: LocalFits, labels: np.ndarray, patches: np.ndarray) -> np.ndarray | None:
    # Labels with one segment more, or nothing where no segment can be parted.
    own = picked(fits.errors(fits.coefficients(labels)), labels)
    same = labels[patches] == labels[:, None]
    misfit = np.sum(same * (fits.weight * own)[patches], axis=1)
    for worst in np.argsort(-misfit)[: len(labels) // fits.size]:
        mine = np.flatnonzero(labels == labels[worst])
        there = fits.x[patches[worst][same[worst]]].mean(axis=0)
        middle = fits.x[mine].mean(axis=0)
        nearer = (fits.x[mine] - (there + middle) / 2) @ (there - middle) > 0
        if min(nearer.sum(), (~nearer).sum()) >= fits.size:
            return _parted(labels, mine[nearer])
    return None


def _parted(labels: np.ndarray, points: np.ndarray) -> np.ndarray:
    # Labels with some points in a new segment.
    parted = labels.copy()
    parted[points] = labels.max() + 1
    return parted


def cut(
    fits: LocalFits, most: int, options: SegmentationOptions = DEFAULTS, drawn: int = DRAWN
) -> dict[int, np.ndarray]:
    """Cut segments one by one along the hyperplane, of many drawn, that helps most, until late.

    With none drawn cuts are along the axes: a regression tree with polynomial leaves.
    """
    labels, rng = np.zeros(len(fits.x), dtype=int), np.random.default_rng(options.seed)
    found, offers = {1: labels}, {0: best_cut(fits, labels == 0, rng, options, drawn)}
    for count in range(1, most):
        parting = max(offers, key=lambda k: offers[k][0])
        gain, side = offers[parting]
        if options.late() or not gain > 0:
            break
        found[count + 1] = labels = _parted(labels, side)
        for k in (parting, count):
            offers[k] = best_cut(fits, labels == k, rng, options, drawn)
    return found


def best_cut(
    fits: LocalFits,
    mine: np.ndarray,
    rng: np.random.Generator,
    options: SegmentationOptions = DEFAULTS,
    drawn: int = DRAWN,
) -> tuple[float, np.ndarray]:
    """Return the fall of the sum of squares by the best cut of a segment, and the points cut off.

    Of the cuts tried until it is late.
    """
    inside = np.flatnonzero(mine)
    best, side, least = 0.0, inside[:0], max(2 * fits.size, math.ceil(fits.least))
    places = [round(share * len(inside)) for share in SHARES]
    places = [at for at in places if least <= at <= len(inside) - least]
    if not places:
        return best, side
    x, n_inputs = fits.x[inside], fits.x.shape[1]
    oblique = rng.normal(size=(drawn if n_inputs > 1 else 0, n_inputs))
    oblique /= np.linalg.norm(oblique, axis=1, keepdims=True)
    whole = _price_of(fits, inside)
    for direction in np.concatenate([np.eye(n_inputs), oblique]):
        if options.late():
            break
        order = np.argsort(x @ direction, kind="stable")
        for at in places:
            left, right = (_price_of(fits, inside[k]) for k in np.split(order, [at]))
            if whole - left - right > best:
                best, side = whole - left - right, inside[order[at:]]
    return best, side


def reseeded(fits: LocalFits, labels: np.ndarray, count: int, seed: int = 0) -> np.ndarray:
    """Return labels in which segments that own nothing get half of the one that fits worst."""
    labels, rng = compact(labels), np.random.default_rng(seed)
    while int(labels.max()) + 1 < count:
        cutting = [best_cut(fits, labels == k, rng) for k in range(int(labels.max()) + 1)]
        gain, side = max(cutting, key=lambda offer: offer[0])
        if not gain > 0:
            break
        labels = _parted(labels, side)
    return labels


#: What each name of a start does.
STARTS: dict[str, Callable[[LocalFits, int, SegmentationOptions], dict[int, np.ndarray]]] = {
    "segments": segments,
    "merging": merging,
    "insertion": insertion,
    "cuts": cut,
    "tree": functools.partial(cut, drawn=0),
}


def _triangle(rows: np.ndarray) -> np.ndarray:
    return np.asarray(np.linalg.qr(rows, mode="r"))


def _price(fits: LocalFits, triangle: np.ndarray, rows: float) -> float:
    # What points cost in one segment: the polynomials leave the last block of their triangle.
    return float(fits.price(np.sum(triangle[fits.size :, fits.size :] ** 2, axis=0), rows))


def _price_of(fits: LocalFits, points: np.ndarray) -> float:
    return _price(fits, _triangle(fits.rows_of(points)), float(fits.weight[points].sum()))

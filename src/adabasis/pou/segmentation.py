"""Data in segments: labels of points, a polynomial for each segment, the points' neighbours."""

from __future__ import annotations

import dataclasses
import functools
from typing import Any

import numpy as np
from scipy.spatial import cKDTree

from .. import lstsq
from ..basis.pou.polynomial import multi_indices, products

#: Relative residual that round-off leaves of an exact fit: smaller ones are no better.
FLOOR = 1e-11
#: Relative cut-off of singular values of a segment's rows, whose columns are not scaled: fits of
#: least norm to few points are to be those of the polynomials as they are.
RCOND = 1e-12
#: Most rounds of reassigning points; they settle in a few.
SWEEPS = 30
#: Squared error, in medians, of a point that no segment around it fits: every segment that touches
#: its own is offered to it too, and taken where the error is so many times less.
STRAY = 100.0
#: Points of a cell for each polynomial.
CELL = 2.0


def features(x: np.ndarray, degree: int, index_set: str = "total") -> np.ndarray:
    """Return products of Legendre polynomials of points in the unit box, (N, dim V)."""
    return products(2 * x - 1, multi_indices(x.shape[1], degree, index_set), orthonormal=False)


@dataclasses.dataclass(frozen=True)
class LocalFits:
    """Points with values and weights, and the polynomials that are fitted to segments of them.

    Attributes
    ----------
    x : array, shape (N, D)
        In the unit box.
    y : array, shape (N, Q)
    weight : array, shape (N,)
    degree : int
    index_set : str
    scatter : array, shape (N, Q), optional
        Mean squares of repeated measurements about their mean, the value.
    """

    x: np.ndarray
    y: np.ndarray
    weight: np.ndarray
    degree: int
    index_set: str = "total"
    scatter: np.ndarray | None = None

    def at(
        self, x: np.ndarray, y: np.ndarray, weight: np.ndarray, scatter: np.ndarray | None = None
    ) -> LocalFits:
        """Return other points with the same polynomials."""
        return dataclasses.replace(self, x=x, y=y, weight=weight, scatter=scatter)

    def __getitem__(self, rows: np.ndarray) -> LocalFits:
        """Return some of the points."""
        scatter = None if self.scatter is None else self.scatter[rows]
        return self.at(self.x[rows], self.y[rows], self.weight[rows], scatter)

    @property
    def cell(self) -> float:
        """Points that the smallest cells should have, which are merged later."""
        return CELL * self.size

    @property
    def least(self) -> float:
        """The fewest rows that a segment of an interval may stand for."""
        return 0.0

    @property
    def n_rows(self) -> float:
        """How many rows the points stand for, where they are told apart by their number."""
        return len(self.x)

    @property
    def n_parameters(self) -> int:
        """Numbers that each segment has of its own."""
        return self.size * self.y.shape[1]

    def price(self, squares: np.ndarray, rows: np.ndarray | float) -> np.ndarray:
        """Return what segments cost, (…,), where starts choose among them.

        Parameters
        ----------
        squares : array, shape (…, Q)
            Their sums of squares.
        rows : array, shape (…,)
            Their total weights.
        """
        return squares.sum(axis=-1)

    def rows_of(self, mine: np.ndarray) -> np.ndarray:
        """Return rows [A | b] whose triangle knows all about some points."""
        return self.rows[mine]

    def losses(self, labels: np.ndarray, at: LocalFits, used: np.ndarray | None = None) -> Any:
        """Return what every segment, fitted here, loses at other points, (N, M)."""
        return at.errors(self.coefficients(labels, used))

    def offers(self, labels: np.ndarray, used: np.ndarray) -> Any:
        """Return the losses by which points are given to segments, fitted to those ``used``."""
        return self.losses(labels, self, used)

    def error_on(self, labels: np.ndarray, at: LocalFits, there: np.ndarray) -> float:
        """Return the root mean square error at other points, each in the segment named for it."""
        square = at.mean_square(self.coefficients(labels), there)
        return float(np.sqrt(square / self.y.shape[1]))

    @functools.cached_property
    def features(self) -> np.ndarray:
        """The polynomials at the points, (N, V)."""
        return features(self.x, self.degree, self.index_set)

    @property
    def size(self) -> int:
        """V, the number of polynomials of a segment."""
        return self.features.shape[1]

    @functools.cached_property
    def rows(self) -> np.ndarray:
        """The rows [A | b] of least squares, weights in them: (N, V + Q)."""
        return np.sqrt(self.weight)[:, None] * np.concatenate([self.features, self.y], axis=1)

    @functools.cached_property
    def order(self) -> np.ndarray:
        """The points in ascending order of their first input."""
        return np.argsort(self.x[:, 0], kind="stable")

    @functools.cached_property
    def neighbours(self) -> np.ndarray:
        """The nearest points of each point, itself first: (N, k)."""
        n, n_inputs = self.x.shape
        if n_inputs == 1:  # on both sides, however wide the gaps
            around = np.clip(np.arange(n)[:, None] + [0, -1, 1, -2, 2, -3, 3], 0, n - 1)
            return self.order[around[np.argsort(self.order)]]
        count = min(n, 2 * n_inputs + 5)
        return cKDTree(self.x).query(self.x, count)[1].reshape(n, count)

    def coefficients(self, labels: np.ndarray, used: np.ndarray | None = None) -> np.ndarray:
        """Return the coefficients (M, V, Q) of least squares on every segment.

        Those on few points are of least norm: they fit there and stay tame elsewhere.
        """
        a, b = np.split(self.rows, [self.size], axis=1)
        out = np.zeros((int(labels.max()) + 1, a.shape[1], b.shape[1]))
        for k in range(len(out)):
            mine = labels == k
            if used is not None and np.sum(mine & used) >= 1.5 * self.size:
                mine &= used
            if mine.any():
                out[k] = lstsq.factorize(a[mine], RCOND, unit=False).solve(b[mine])
        return out

    def errors(self, c: np.ndarray) -> np.ndarray:
        """Return every segment's squared error at every point, (N, M)."""
        predicted = np.einsum("nv,mvq->nmq", self.features, c)
        return np.sum((predicted - self.y[:, None, :]) ** 2, axis=2)

    def mean_square(self, c: np.ndarray, labels: np.ndarray) -> float:
        """Return the weighted mean square of the residuals of polynomials on their segments."""
        return float(self.weight @ picked(self.errors(c), labels) / self.weight.sum())

    def loss(self, labels: np.ndarray) -> float:
        """Return the weighted mean square of the residuals, each segment fitted by itself."""
        return self.mean_square(self.coefficients(labels), labels)

    def loo_error(self, labels: np.ndarray) -> float:
        """Return the root mean square of residuals of fits that leave each point out in turn.

        Labels count as known. Points that alone determine a coefficient count with their values.
        """
        segments = range(int(labels.max()) + 1)
        total = sum(float(np.sum(self._left_out(labels == k) ** 2)) for k in segments)
        return float(np.sqrt(total / self.weight.sum() / self.y.shape[1]))

    def _left_out(self, mine: np.ndarray) -> np.ndarray:
        # Weighted residuals of a segment's points, each predicted by the others, (n, Q).
        a: Any
        b: Any
        a, b = np.split(self.rows[mine], [self.size], axis=1)
        factors = lstsq.factorize(a, RCOND, unit=False)
        return np.asarray(factors.loo_residuals(b, alone="itself", least=1e-9))

    def criterion(self, labels: np.ndarray, *, left_out: bool = False) -> float:
        """Return Schwarz's criterion for segments of an interval: their number against their fit.

        Of residuals, or of those where each point is left out: without noise, segments of hardly
        more points than coefficients win by fitting those.
        """
        n, count = self.n_rows, int(labels.max()) + 1
        parameters = count * self.n_parameters + count - 1
        square = self.loo_error(labels) ** 2 if left_out else self.loss(labels)
        return n * self.y.shape[1] * np.log(square + FLOOR**2) + parameters * np.log(n)

    def settled(self, labels: np.ndarray) -> np.ndarray:
        """Give points at borders to the neighbouring segment that fits them best, again and again.

        Segments are fitted to their inner points, those without neighbours of other segments, so
        that strays at the border do not count; of the labels met on the way the best are returned.
        """
        along = self.x.shape[1] == 1
        move = self._moved_ends if along else self._reassigned
        seen = [self.runs(labels) if along else compact(labels)]
        for _ in range(SWEEPS):
            labels = seen[-1]
            inner = np.all(labels[self.neighbours] == labels[:, None], axis=1)
            moved = move(labels, self.offers(labels, inner))
            if np.array_equal(moved, labels):
                break
            seen.append(compact(moved))
        return min(seen, key=self.loss)

    def runs(self, labels: np.ndarray) -> np.ndarray:
        """Return labels of an interval in order; a segment in several runs becomes several."""
        return self.from_starts(np.flatnonzero(np.diff(labels[self.order], prepend=-1)))

    def from_starts(self, starts: np.ndarray) -> np.ndarray:
        """Return labels of runs of an interval that start at these places of its order."""
        out = np.empty(len(self.order), dtype=int)
        out[self.order] = np.searchsorted(starts[1:], np.arange(len(out)), side="right")
        return out

    def _reassigned(self, labels: np.ndarray, errors: np.ndarray) -> np.ndarray:
        # One round, point by point. In a corner of a segment, a few points may have none but points
        # of another for neighbours.
        around = labels[self.neighbours]
        moved, error = best_of(around, errors)
        stray = error > STRAY * max(float(np.median(picked(errors, labels))), FLOOR**2)
        touching = np.zeros((errors.shape[1],) * 2, dtype=bool)
        touching[around, labels[:, None]] = True
        beside = np.where(touching[labels[stray]], errors[stray], np.inf)
        better = STRAY * beside.min(axis=1) < error[stray]
        moved[stray] = np.where(better, beside.argmin(axis=1), moved[stray])
        return moved

    def _moved_ends(self, labels: np.ndarray, errors: np.ndarray) -> np.ndarray:
        # One round of an interval: runs whose ends are the best for the given polynomials.
        cost = (self.weight[:, None] * errors)[self.order]
        starts = np.searchsorted(labels[self.order], np.arange(labels.max() + 2))
        for k in range(1, len(starts) - 1):
            a, b = starts[k - 1], starts[k + 1]
            left, right = np.cumsum(cost[a:b, k - 1]), np.cumsum(cost[a:b, k])
            starts[k] = a + 1 + np.argmin((left - right)[:-1]) if b - a > 1 else starts[k]
        return self.from_starts(starts[:-1])


def picked(table: np.ndarray, columns: np.ndarray) -> np.ndarray:
    """Return each row's entry (N,) in the column that is named for it."""
    return table[np.arange(len(table)), columns]


def best_of(offered: np.ndarray, errors: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the segment, of those offered (N, k), that fits each point best, and its error.

    ``errors`` are those of all segments, (N, M).
    """
    found = np.take_along_axis(errors, offered, axis=1)
    best = np.argmin(found, axis=1)
    return picked(offered, best), picked(found, best)


def compact(labels: np.ndarray) -> np.ndarray:
    """Return labels renumbered from 0 without gaps."""
    return np.unique(labels, return_inverse=True)[1].ravel()

"""Data cut into pieces: labels of points, a polynomial for each label, the points' neighbours."""

from __future__ import annotations

import dataclasses
import functools

import numpy as np
from scipy.spatial import cKDTree

from .. import lstsq
from ..basis.pou.polynomial import multi_indices, products

FLOOR = 1e-11
"""Relative residual that round-off leaves of an exact fit: smaller ones are no better."""
RCOND = 1e-12
"""Relative cut-off of singular values of a piece's rows, whose columns are not scaled: fits of
least norm to few points are to be those of the polynomials as they are."""
SWEEPS = 30
"""Most rounds of reassigning points; they settle in a few."""

STRAY = 100.0
"""Squared error, in medians, of a point that no piece around it fits: every piece that touches its
own is offered to it too, and taken where the error is so many times less."""


def features(x: np.ndarray, degree: int, index_set: str = "total") -> np.ndarray:
    """Return products of Legendre polynomials of points in the unit box, (N, dim V)."""
    indices = multi_indices(x.shape[1], degree, index_set)
    return products(2 * x - 1, indices, orthonormal=False)


@dataclasses.dataclass(frozen=True)
class Cloud:
    """Points with values and weights, and what pieces of them are fitted with.

    Attributes
    ----------
    x : array, shape (N, D)
        In the unit box.
    y : array, shape (N, Q)
    weight : array, shape (N,)
    degree : int
    index_set : str
    """

    x: np.ndarray
    y: np.ndarray
    weight: np.ndarray
    degree: int
    index_set: str = "total"

    def at(self, x: np.ndarray, y: np.ndarray, weight: np.ndarray) -> Cloud:
        """Return other points with the same polynomials."""
        return dataclasses.replace(self, x=x, y=y, weight=weight)

    @functools.cached_property
    def features(self) -> np.ndarray:
        """The polynomials at the points, (N, V)."""
        return features(self.x, self.degree, self.index_set)

    @property
    def size(self) -> int:
        """V, the number of polynomials of a piece."""
        return self.features.shape[1]

    @functools.cached_property
    def neighbours(self) -> np.ndarray:
        """The nearest points of each point, itself first: (N, k)."""
        n, n_inputs = self.x.shape
        if n_inputs == 1:  # on both sides, however wide the gaps
            order = np.argsort(self.x[:, 0], kind="stable")
            around = np.clip(np.arange(n)[:, None] + [0, -1, 1, -2, 2, -3, 3], 0, n - 1)
            return order[around[np.argsort(order)]]
        count = min(n, 2 * n_inputs + 5)
        return cKDTree(self.x).query(self.x, count)[1].reshape(n, count)

    def fit(self, labels: np.ndarray, used: np.ndarray | None = None) -> np.ndarray:
        """Return the coefficients (M, V, Q) of least squares on every piece.

        Those on few points are of least norm: they fit there and stay tame elsewhere.
        """
        root = np.sqrt(self.weight)[:, None]
        rows, values = root * self.features, root * self.y
        count = int(labels.max()) + 1
        out = np.zeros((count, rows.shape[1], values.shape[1]))
        for piece in range(count):
            mine = labels == piece
            if used is not None and np.sum(mine & used) >= 1.5 * rows.shape[1]:
                mine &= used
            if mine.any():
                factors = lstsq.factorize(rows[mine], RCOND, unit=False)
                out[piece] = factors.solve(values[mine])
        return out

    def errors(self, c: np.ndarray) -> np.ndarray:
        """Return every piece's squared error at every point, (N, M)."""
        predicted = np.einsum("nv,mvq->nmq", self.features, c)
        return np.sum((predicted - self.y[:, None, :]) ** 2, axis=2)

    def loss(self, labels: np.ndarray) -> float:
        """Return the weighted mean square of the residuals, each piece fitted by itself."""
        errors = self.errors(self.fit(labels))[np.arange(len(labels)), labels]
        return float(self.weight @ errors / self.weight.sum())

    def left_out(self, labels: np.ndarray) -> float:
        """Return the root mean square of residuals of fits that leave each point out in turn.

        Labels count as known. Points that alone determine a coefficient count with their values.
        """
        total = 0.0
        for piece in range(int(labels.max()) + 1):
            mine = labels == piece
            root = np.sqrt(self.weight[mine])[:, None]
            factors = lstsq.factorize(root * self.features[mine], RCOND, unit=False)
            out = factors.loo_residuals(root * self.y[mine], alone="itself", least=1e-9)
            total += float(np.sum(out**2))
        return float(np.sqrt(total / self.weight.sum() / self.y.shape[1]))

    def criterion(self, labels: np.ndarray, *, left_out: bool = False) -> float:
        """Return Schwarz's criterion for pieces of an interval: their number against their fit.

        Of residuals, or of those where each point is left out: without noise, pieces of hardly more
        points than coefficients win by fitting those.
        """
        n, count = len(labels), int(labels.max()) + 1
        parameters = count * self.size * self.y.shape[1] + count - 1
        square = self.left_out(labels) ** 2 if left_out else self.loss(labels)
        return n * self.y.shape[1] * np.log(square + FLOOR**2) + parameters * np.log(n)

    def settled(self, labels: np.ndarray) -> np.ndarray:
        """Give points at borders to the neighbouring piece that fits them best, again and again.

        Pieces are fitted to their inner points, those without neighbours of other pieces, so that
        strays at the border do not count; of the labels met on the way the best are returned.
        """
        labels = compact(labels) if self.x.shape[1] > 1 else self.runs(labels)
        best, least = labels, self.loss(labels)
        for _ in range(SWEEPS):
            inner = np.all(labels[self.neighbours] == labels[:, None], axis=1)
            errors = self.errors(self.fit(labels, inner))
            moved = self._reassigned(labels, errors)
            if np.array_equal(moved, labels):
                break
            labels = compact(moved)
            loss = self.loss(labels)
            if loss < least:
                best, least = labels, loss
        return best

    def runs(self, labels: np.ndarray) -> np.ndarray:
        """Return labels of an interval in order; a piece in several runs becomes several."""
        order = np.argsort(self.x[:, 0], kind="stable")
        out = np.empty_like(labels)
        out[order] = np.cumsum(np.append(0, np.diff(labels[order]) != 0))
        return out

    def _reassigned(self, labels: np.ndarray, errors: np.ndarray) -> np.ndarray:
        """Return labels after one round: point by point, but whole runs of an interval.

        In a corner of a piece, a few points may have none but points of another for neighbours.
        """
        if self.x.shape[1] == 1:
            return self._moved_ends(labels, errors)
        around = labels[self.neighbours]
        moved, error = best_of(around, errors)
        typical = max(float(np.median(errors[np.arange(len(labels)), labels])), FLOOR**2)
        stray = error > STRAY * typical
        touching = np.zeros((errors.shape[1],) * 2, dtype=bool)
        touching[around, labels[:, None]] = True
        beside = np.where(touching[labels[stray]], errors[stray], np.inf)
        better = STRAY * beside.min(axis=1) < error[stray]
        moved[stray] = np.where(better, beside.argmin(axis=1), moved[stray])
        return moved

    def _moved_ends(self, labels: np.ndarray, errors: np.ndarray) -> np.ndarray:
        """Return runs whose ends are the best for the given polynomials, one end after another."""
        order = np.argsort(self.x[:, 0], kind="stable")
        cost = (self.weight[:, None] * errors)[order]
        starts = np.append(np.searchsorted(labels[order], np.arange(labels.max() + 1)), len(order))
        for k in range(1, len(starts) - 1):
            a, b = starts[k - 1], starts[k + 1]
            left, right = np.cumsum(cost[a:b, k - 1]), np.cumsum(cost[a:b, k])
            starts[k] = a + 1 + np.argmin((left - right)[:-1]) if b - a > 1 else starts[k]
        out = np.empty_like(labels)
        out[order] = np.searchsorted(starts[1:-1], np.arange(len(order)), side="right")
        return out


def best_of(offered: np.ndarray, errors: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the piece of the offered (N, k) that fits each point best, and its error: (N,) twice.

    ``errors`` are those of all pieces, (N, M).
    """
    found = np.take_along_axis(errors, offered, axis=1)
    rows, best = np.arange(len(found)), np.argmin(found, axis=1)
    return offered[rows, best], found[rows, best]


def compact(labels: np.ndarray) -> np.ndarray:
    """Return labels renumbered from 0 without gaps."""
    return np.unique(labels, return_inverse=True)[1].ravel()

"""Segments whose noise differs: a variance for each, and prices that are likelihoods.

The least squares of a segment know its noise as well: of n rows with the sum of squares S about V
polynomials, s² = S/(n − V). Minus twice the logarithm of the likelihood is then n ln s² but for a
constant, where for one noise level it is S over that level. Segments that differ in their noise
alone are found by it, and segments of little noise count as much as those of much.
"""

from __future__ import annotations

import functools
import math
from typing import Any

import numpy as np

from .segmentation import FLOOR, LocalFits, best_of, picked

#: Rows besides two for each polynomial that the noise level of a segment is taken from: s is off by
#: a quarter with so few, and a segment of fewer would look exact by chance.
FEWEST_FOR_NOISE = 8
#: Largest logarithm of an error: it stands for anything that is worse.
MOST_LOG = 50.0


class UnequalFits(LocalFits):
    """Points and the polynomials of segments that have a noise level each.

    Errors are geometric means: that of levels s is exp(mean of ln s). Where all segments have the
    same level they are those of :class:`LocalFits`.
    """

    @property
    def cell(self) -> float:
        """Points of the smallest cells: enough to know their noise."""
        return max(super().cell, self.size + 2 * FEWEST_FOR_NOISE)

    @property
    def least(self) -> float:
        """The fewest rows of a segment."""
        return 2 * self.size + FEWEST_FOR_NOISE

    @property
    def n_rows(self) -> float:
        """The rows that the points are the means of."""
        return float(self.weight.sum())

    @property
    def n_parameters(self) -> int:
        """Coefficients and noise levels of a segment."""
        return (self.size + 1) * self.y.shape[1]

    def price(self, squares: np.ndarray, rows: np.ndarray | float) -> np.ndarray:
        """Return minus twice the logarithm of the likelihood of segments, but for a constant."""
        return np.asarray(rows) * np.log(self._variance(squares, rows)).sum(axis=-1)

    def _variance(self, squares: np.ndarray, rows: np.ndarray | float) -> np.ndarray:
        free = np.maximum(np.asarray(rows) - self.size, 1.0)[..., None]
        # Round-off is left of an exact fit: a level of 0 would be infinitely likely.
        return np.maximum(squares / free, FLOOR**2)

    @functools.cached_property
    def within(self) -> np.ndarray:
        """The scatter of repeated measurements, zero where there are none: (N, Q)."""
        return np.zeros_like(self.y) if self.scatter is None else self.scatter

    def rows_of(self, mine: np.ndarray) -> np.ndarray:
        """Return rows whose triangle has the scatter of repeated measurements as well."""
        if self.scatter is None:
            return self.rows[mine]
        root = np.sqrt(self.weight[mine] @ self.within[mine])
        below = np.hstack([np.zeros((len(root), self.size)), np.diag(root)])
        return np.concatenate([self.rows[mine], below])

    def squares(self, c: np.ndarray) -> np.ndarray:
        """Return every segment's squared error at every point, scatter included: (N, M, Q)."""
        predicted = np.einsum("nv,mvq->nmq", self.features, c)
        return (predicted - self.y[:, None, :]) ** 2 + self.within[:, None, :]

    def variances(self, labels: np.ndarray, c: np.ndarray) -> np.ndarray:
        """Return the noise variances of segments for coefficients of theirs, (M, Q)."""
        own = self.squares(c)[np.arange(len(labels)), labels]
        count = len(c)
        sums = [np.bincount(labels, self.weight * column, minlength=count) for column in own.T]
        return self._variance(np.stack(sums, axis=1), np.bincount(labels, self.weight, count))

    def losses(self, labels: np.ndarray, at: LocalFits, used: np.ndarray | None = None) -> Any:
        """Return minus twice the logarithm of each segment's density at other points, (N, M)."""
        c = self.coefficients(labels, used)
        variance = self.variances(labels, c)
        assert isinstance(at, UnequalFits)
        return np.sum(np.log(variance) + at.squares(c) / variance, axis=2)

    def offers(self, labels: np.ndarray, used: np.ndarray) -> Any:
        """Return the losses by which points are given to segments.

        One point says nothing of noise: in more than one input those around it say it together.
        """
        found = self.losses(labels, self, used)
        return found if self.x.shape[1] == 1 else found[self.neighbours].mean(axis=1)

    def _reassigned(self, labels: np.ndarray, errors: np.ndarray) -> np.ndarray:
        # One round, point by point.
        return best_of(labels[self.neighbours], errors)[0]

    def loss(self, labels: np.ndarray) -> float:
        """Return the geometric mean of the segments' variances, times the number of outputs."""
        variance = self.variances(labels, self.coefficients(labels))
        mean = np.average(np.log(variance)[labels].mean(axis=1), weights=self.weight)
        return float(np.exp(mean)) * self.y.shape[1]

    def loo_error(self, labels: np.ndarray) -> float:
        """Return the error of which rows left out in turn are as likely as they are here."""
        c = self.coefficients(labels)
        variance = self.variances(labels, c)
        squares = self.within.copy()
        for k in range(len(c)):
            mine = labels == k
            squares[mine] += self._left_out(mine) ** 2 / self.weight[mine, None]
        own = variance[labels]
        losses = np.mean(np.log(own) + squares / own - 1.0, axis=1)
        rms = math.sqrt(float(np.average(squares.mean(axis=1), weights=self.weight)))
        return least_error(losses, self.weight, rms)

    def error_on(self, labels: np.ndarray, at: LocalFits, there: np.ndarray) -> float:
        """Return the error of which other points are as likely as they are in these segments."""
        losses = picked(self.losses(labels, at), there) / self.y.shape[1] - 1.0
        return least_error(losses, at.weight, super().error_on(labels, at, there))


def least_error(losses: np.ndarray, weight: np.ndarray, error: float) -> float:
    """Return the error of which rows are as likely as they are, or the root mean square, if less.

    Where levels are far too low, as of exact data, of which one row lies on the wrong side of a
    border, the rows are likelier under one level for all.

    Parameters
    ----------
    losses : array, shape (N,)
        Minus twice the logarithm of densities, the mean over outputs, less ln 2π and one: 2 ln s in
        the mean, were s the error of every row.
    weight : array, shape (N,)
    error : float
        The root mean square.
    """
    return min(math.exp(min(0.5 * float(np.average(losses, weights=weight)), MOST_LOG)), error)

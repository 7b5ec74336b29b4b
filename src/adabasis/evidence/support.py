"""The support of the data: how a point lies among the rows, and how the functions see it."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy.spatial import cKDTree

from .. import lstsq

#: Rows that a model keeps (a random choice of more), in single precision.
KEPT_PLACES = 512
#: Quantile of the rows' own distances and leverages that counts as usual.
USUAL = 0.95
#: Ridge of the leverages, relative to the largest singular value squared: directions that the rows
#: tell no better than this are directions that they do not tell.
RIDGE = 1e-8
#: Rows, at most, whose distances from their neighbours say what is usual.
MOST_ASKED = 2000
#: Support below which a point lies in a gap, and share of the box that may without a word.
LOW, MUCH = 1 / 3, 0.2
#: Points of the box that tell how much of it lies far from all rows.
ASKED = 512
#: So many times as far as usual from the nearest row a point may lie by chance: of 250 rows drawn
#: from a line, less than one space between two is so wide that its middle does.
BY_CHANCE = 2.0
#: Distance from the nearest row, over the diagonal of the box, from which it counts as far. Of 300
#: rows drawn from a line some point is a hundredth of it from all, and bands had a spike there.
WIDE = 0.1


class Nearness:
    """How near the rows are to points, for a model that keeps some of them.

    Parameters
    ----------
    places : array, shape (M, D)
        In the unit box.
    """

    def __init__(self, places: np.ndarray) -> None:
        self.places = np.unique(np.asarray(places, dtype=float), axis=0)  # replicates are one
        self._tree = cKDTree(self.places)
        self.usual = 0.0
        if len(self.places) > 1:
            some = self.places[:: -(-len(self.places) // MOST_ASKED)]  # from all over the box
            self.usual = float(np.quantile(self._tree.query(some, 2)[0][:, 1], USUAL))

    def nearest(self, z: np.ndarray) -> np.ndarray:
        """Return the distance of points to the nearest row, (n,)."""
        if self.places.shape[1] == 1:  # by halving: several times as fast
            line, at = self.places[:, 0], z[:, 0]
            after = np.searchsorted(line, at).clip(0, len(line) - 1)
            return np.minimum(abs(at - line[after]), abs(at - line[np.maximum(after - 1, 0)]))
        return self._tree.query(z)[0]

    def support(self, z: np.ndarray) -> np.ndarray:
        """Return the usual distance between rows over that to the nearest row, at most 1, (n,)."""
        if not self.usual:
            return np.all(z == self.places, axis=1).astype(float)
        return np.minimum(1.0, self.usual / np.maximum(self.nearest(z), 1e-300))

    def remoteness(self, z: np.ndarray) -> np.ndarray:
        """Return 0 where a row is near, 1 where support is :data:`LOW` or less, (n,).

        Gaps that are narrow beside the box count for less: the rows on both sides tell what is
        between, and the posterior says how well.
        """
        if not self.usual:
            return 1.0 - self.support(z)
        distance = self.nearest(z)
        off = (distance / self.usual - BY_CHANCE) / (1 / LOW - BY_CHANCE)
        wide = distance / (WIDE * np.sqrt(self.places.shape[1]))
        return (np.clip(off, 0.0, 1.0) * np.clip(wide, 0.0, 1.0)) ** 2


def by_distance(places: np.ndarray, z: np.ndarray) -> np.ndarray:
    """Return the usual distance between rows over that to the nearest row, at most 1, (n,).

    Parameters
    ----------
    places : array, shape (M, D)
    z : array, shape (n, D)
        Both in the unit box.
    """
    return Nearness(places).support(z)


def by_leverage(at_places: Any, phi: np.ndarray) -> np.ndarray:
    """Return the usual standard deviation over that of the values, at most 1, (n,).

    The variance of a value φ·c is φᵀ (AᵀA)⁻¹ φ for noise of variance 1 in the rows: the leverage of
    the point. A row's own is that of the fit without it, h / (1 − h).

    Parameters
    ----------
    at_places : array, shape (M, P)
        A, the functions at the rows.
    phi : array, shape (n, P)
    """
    factors = lstsq.factorize(at_places)
    ridge = RIDGE * float(factors.s[0]) ** 2
    whiten = np.asarray(factors.vt).T / np.sqrt(np.asarray(factors.s) ** 2 + ridge)
    own = np.asarray(factors.leverages(ridge))
    usual = np.quantile(own / np.maximum(1 - own, 1e-12), USUAL)
    scaled = phi / np.asarray(factors.norms)
    inside = scaled @ np.asarray(factors.vt).T
    rest = np.sum(scaled**2, axis=1) - np.sum(inside**2, axis=1)  # what no row sees at all
    leverage = np.sum((scaled @ whiten) ** 2, axis=1) + np.maximum(rest, 0.0) / max(ridge, 1e-300)
    return np.minimum(1.0, np.sqrt(usual / np.maximum(leverage, 1e-300)))


def share_of_gaps(places: np.ndarray, z: np.ndarray) -> float:
    """Return the share of points that lie farther from any row than rows do from one another."""
    return float(np.mean(by_distance(places, z) < LOW))


def even_points(box: np.ndarray) -> np.ndarray:
    """Return points all over a box of shape (D, 2), the same at every call: (:data:`ASKED`, D)."""
    low, high = box.T
    return np.random.default_rng(0).uniform(low, high, (ASKED, len(box)))

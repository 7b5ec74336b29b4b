"""Triangles and tetrahedra: points in them, rules for integrals, distances from their sides."""

from __future__ import annotations

import dataclasses
import functools
import math
from typing import Any

import numpy as np

from .points import Points
from .surfaces import AbstractSurface, gauss_on

#: Pairs of points and facets whose distances are computed at once.
PAIRS = 2_000_000


@dataclasses.dataclass(frozen=True, eq=False)
class Simplices:
    """K simplices in D dimensions: segments, triangles or tetrahedra.

    Attributes
    ----------
    corners : array, shape (K, M + 1, D)
        M = D for cells, D − 1 for the facets of a boundary.
    """

    corners: np.ndarray

    @functools.cached_property
    def sizes(self) -> np.ndarray:
        """Lengths, areas or volumes, (K,)."""
        edges = self.corners[:, 1:] - self.corners[:, :1]
        gram = edges @ edges.swapaxes(1, 2)
        return np.sqrt(np.maximum(np.linalg.det(gram), 0.0)) / math.factorial(edges.shape[1])

    def chosen(self, u: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return points of simplices (N, D), spread as their sizes are, and the numbers of these.

        The first coordinate of u chooses the simplex, and what is left of it is used again.
        """
        ends = np.cumsum(self.sizes) / self.sizes.sum()
        number = np.minimum(np.searchsorted(ends, u[:, 0], side="right"), len(ends) - 1)
        before = np.concatenate([[0.0], ends])[number]
        rest = np.clip((u[:, 0] - before) / np.maximum(ends[number] - before, 1e-300), 0.0, 1.0)
        share = np.sort(np.concatenate([rest[:, None], u[:, 1:]], axis=1), axis=1)
        edges = np.pad(share, [(0, 0), (1, 1)], constant_values=((0, 0), (0.0, 1.0)))
        return np.einsum("nk,nkd->nd", np.diff(edges, axis=1), self.corners[number]), number

    def rule(self, n: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return points, weights and numbers of simplices of a rule by Gauss's in each direction.

        Collapsed coordinates: x = a + t₁ (b − a) + t₁ t₂ (c − b) + …
        """
        m = self.corners.shape[1] - 1
        side = max(1, math.ceil((n / len(self.corners)) ** (1 / m)))
        nodes, weights = gauss_on(0.0, 1.0, side, most=side)
        t = np.stack(np.meshgrid(*[nodes] * m, indexing="ij"), axis=-1).reshape(-1, m)
        w = np.stack(np.meshgrid(*[weights] * m, indexing="ij"), axis=-1).reshape(-1, m)
        products = np.cumprod(t, axis=1)
        jacobian = np.prod(t ** np.arange(m - 1, -1, -1), axis=1) * math.factorial(m)
        edges = np.diff(self.corners, axis=1)
        x = self.corners[:, :1] + np.einsum("nm,kmd->knd", products, edges)
        each = self.sizes[:, None] * (w.prod(axis=1) * jacobian)
        number = np.repeat(np.arange(len(x)), len(t))
        return x.reshape(-1, x.shape[2]), each.ravel(), number

    def nearest(self, x: np.ndarray) -> np.ndarray:
        """Return the distances of N points from the nearest segment or triangle, (N,)."""
        found = np.empty(len(x))
        step = max(1, PAIRS // len(self.corners))
        for i in range(0, len(x), step):
            found[i : i + step] = self._distances(x[i : i + step]).min(axis=1)
        return found

    def _distances(self, x: np.ndarray) -> np.ndarray:
        count = self.corners.shape[1]
        if count == 1:
            return np.linalg.norm(x[:, None] - self.corners[:, 0], axis=2)
        pairs = [(i, j) for i in range(count) for j in range(i + 1, count)]
        best = np.full((len(x), len(self.corners)), np.inf)
        for i, j in pairs:
            a, along = self.corners[:, i], self.corners[:, j] - self.corners[:, i]
            offset = x[:, None] - a
            t = np.einsum("nkd,kd->nk", offset, along) / np.sum(along**2, axis=1)
            away = offset - np.clip(t, 0.0, 1.0)[:, :, None] * along
            best = np.minimum(best, np.linalg.norm(away, axis=2))
        if count == 3:  # a triangle in space: above its inside the distance is that of its plane
            a = self.corners[:, 0]
            edges = self.corners[:, 1:] - a[:, None]
            normal = np.cross(edges[:, 0], edges[:, 1])
            inverse = np.linalg.pinv(edges)  # (K, 3, 2)
            offset = x[:, None] - a
            s, t = np.moveaxis(np.einsum("nkd,kde->nke", offset, inverse), 2, 0)
            inside = (s >= 0) & (t >= 0) & (s + t <= 1)
            height = np.abs(np.einsum("nkd,kd->nk", offset, normal))
            best = np.where(inside, height / np.linalg.norm(normal, axis=1), best)
        return best

    def winding(self, x: np.ndarray) -> np.ndarray:
        """Return how often the closed boundary goes round N points: 1 inside, 0 outside."""
        found = np.empty(len(x))
        step = max(1, PAIRS // len(self.corners))
        for i in range(0, len(x), step):
            found[i : i + step] = self._angles(x[i : i + step]).sum(axis=1)
        return found

    def _angles(self, x: np.ndarray) -> np.ndarray:
        rays = self.corners[None] - x[:, None, None]
        if rays.shape[3] == 2:
            (a, b), (c, d) = np.moveaxis(rays[:, :, 0], 2, 0), np.moveaxis(rays[:, :, 1], 2, 0)
            return np.arctan2(a * d - b * c, a * c + b * d) / (2 * np.pi)
        a, b, c = (rays[:, :, i] for i in range(3))
        la, lb, lc = (np.linalg.norm(one, axis=2) for one in (a, b, c))
        volume = np.einsum("nkd,nkd->nk", a, np.cross(b, c))
        below = (
            la * lb * lc
            + np.einsum("nkd,nkd->nk", a, b) * lc
            + np.einsum("nkd,nkd->nk", b, c) * la
            + np.einsum("nkd,nkd->nk", c, a) * lb
        )
        return np.arctan2(volume, below) / (2 * np.pi)


@dataclasses.dataclass(frozen=True, eq=False)
class Facets(AbstractSurface):
    """Segments in the plane or triangles in space, corners in the order that normals point out."""

    simplices: Simplices

    @property
    def unit_size(self) -> int:  # type: ignore[override]
        """D − 1."""
        return self.simplices.corners.shape[1] - 1

    @functools.cached_property
    def measure(self) -> float:
        """The sum of all."""
        return float(self.simplices.sizes.sum())

    @functools.cached_property
    def normals(self) -> np.ndarray:
        """Of each, (K, D)."""
        edges = np.diff(self.simplices.corners, axis=1)
        if edges.shape[2] == 2:
            normal = np.stack([edges[:, 0, 1], -edges[:, 0, 0]], axis=1)
        else:
            normal = np.cross(edges[:, 0], edges[:, 1])
        return np.asarray(normal / np.linalg.norm(normal, axis=1, keepdims=True))

    def from_unit(self, u: np.ndarray) -> Points:
        """Choose a facet, and a point of it."""
        x, number = self.simplices.chosen(u)
        return Points(x, np.full(len(u), self.measure), self.normals[number])

    def quadrature(self, n: int) -> Points:
        """Return Gauss's rule on each."""
        x, weight, number = self.simplices.rule(n)
        return Points(x, weight, self.normals[number])


def oriented(corners: np.ndarray) -> np.ndarray:
    """Return twice the area of triangles or six times the volume of tetrahedra, with sign."""
    edges: Any = corners[:, 1:] - corners[:, :1]
    return np.asarray(np.linalg.det(edges))

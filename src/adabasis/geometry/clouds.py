"""Bare points with weights, and boundary points with normals."""

from __future__ import annotations

import dataclasses
import functools
import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from .domains import AbstractDomain
from .pieces import Named
from .points import Points
from .shapes import coordinate_names
from .surfaces import AbstractSurface

#: Neighbours by which the room that a point has is told.
NEIGHBOURS = 8
#: One in so many points is kept for checks that no solve has seen.
KEPT = 3
#: Share of boundary points whose normals may point at points inside before that is an error.
ASTRAY = 0.02
#: A point inside lies ahead of a normal where the cosine of the angle exceeds this.
AHEAD = 0.5
#: Heights above a boundary point that are round-off, relative to the size of a cloud.
ROUND = 1e-9


def room(x: np.ndarray, d: int) -> np.ndarray:
    """Return the d-dimensional volume that each of N points stands for, from near neighbours."""
    from scipy.spatial import cKDTree

    k = min(NEIGHBOURS, len(x) - 1)
    if k < 1:
        return np.ones(len(x))
    reach = cKDTree(x).query(x, k=k + 1)[0][:, -1]
    ball = math.pi ** (d / 2) / math.gamma(d / 2 + 1)
    return np.asarray(ball * reach**d / k)


def split(n: int, unseen: bool | None) -> np.ndarray:
    """Return the rows of N that are seen, those that are not, or all."""
    rows = np.random.default_rng(n).permutation(n)
    if unseen is None or n < 2 * KEPT:
        return np.arange(n)
    return np.sort(rows[: n // KEPT] if unseen else rows[n // KEPT :])


@dataclasses.dataclass(frozen=True, eq=False)
class CloudSurface(AbstractSurface):
    """Points of a boundary with normals and weights."""

    x: np.ndarray
    weight: np.ndarray
    normal: np.ndarray
    unit_size = 1

    @property
    def measure(self) -> float:
        """The sum of the weights."""
        return float(self.weight.sum())

    def from_unit(self, u: np.ndarray) -> Points:
        """Take points in their order."""
        rows = np.minimum((u[:, 0] * len(self.x)).astype(int), len(self.x) - 1)
        return Points(self.x[rows], self.weight[rows] * len(self.x), self.normal[rows])

    def drawn(self, n: int, seed: int = 0) -> Points:
        """Return ``n`` of the points, each once; all of them if there are no more."""
        rows = np.random.default_rng(seed).permutation(len(self.x))[:n]
        share = self.measure / self.weight[rows].sum()
        return Points(self.x[rows], self.weight[rows] * share, self.normal[rows])

    def parted(self, unseen: bool | None) -> AbstractSurface:
        """Return the points that solves see, or those that they do not."""
        rows = split(len(self.x), unseen)
        return CloudSurface(self.x[rows], self.weight[rows], self.normal[rows])


@dataclasses.dataclass(frozen=True, init=False, eq=False, repr=False)
class PointCloud(AbstractDomain):
    """Points of a domain of which nothing else is known.

    Parameters
    ----------
    points : array-like, shape (N, D)
        Points inside.
    weights : array-like, shape (N,), optional
        The volume that each stands for; by default told by the distances of near points.
    boundary : mapping of str to (points, normals) or (points, normals, weights)
        Boundary points (M, D) with normals that point outwards, by the name of the piece. Normals
        are made unit vectors; weights are lengths or areas, by default told by distances.
    names : sequence of str, optional
        The coordinates; by default x, y, z, from four on x1, x2, …

    Notes
    -----
    One point in three is kept for the certificate and never solved with. Whether a place lies
    inside is told by the nearest boundary point's normal.

    Raises
    ------
    ValueError
        For other shapes, numbers that are not finite, weights that are not positive, normals of
        length 0, or normals that point at points inside.
    """

    x: np.ndarray
    weight: np.ndarray
    pieces: tuple[tuple[str, np.ndarray, np.ndarray, np.ndarray], ...]
    kind = "cloud"

    def __init__(
        self,
        points: Any,
        weights: Any = None,
        *,
        boundary: Mapping[str, Any] | None = None,
        names: Sequence[str] | None = None,
    ) -> None:
        x = _array("PointCloud(points)", points)
        n, d = x.shape
        if n < 2 * KEPT:
            raise ValueError(f"PointCloud(points): expected at least {2 * KEPT} points, got {n}.")
        self._set(
            coordinate_names("PointCloud(…)", names, d), None, x,
            _weights("PointCloud(weights)", weights, x, d), (), names is not None,
        )  # fmt: skip
        pieces = []
        for name, given in (boundary or {}).items():
            call = f"PointCloud(boundary={{{name!r}: …}})"
            if not isinstance(given, tuple | list) or len(given) not in (2, 3):
                raise ValueError(
                    f"{call}: expected (points, normals) or (points, normals, weights)."
                )
            at, normal = _array(call, given[0], d), _array(call, given[1], d)
            if normal.shape != at.shape:
                raise ValueError(
                    f"{call}: expected one normal for each of {len(at)} points, got {len(normal)}."
                )
            length = np.linalg.norm(normal, axis=1, keepdims=True)
            if (length == 0).any():
                raise ValueError(f"{call}: normal {int(np.argmin(length))} has length 0.")
            weight = _weights(call, given[2] if len(given) == 3 else None, at, d - 1)
            self._check_outward(call, at, normal / length)
            pieces.append((str(name), at, weight, normal / length))
        object.__setattr__(self, "pieces", tuple(pieces))

    def _set(self, *values: Any) -> None:
        fields = ("names", "label", "x", "weight", "pieces", "named_coordinates")
        for field, value in zip(fields, values, strict=True):
            object.__setattr__(self, field, value)

    def _check_outward(self, call: str, at: np.ndarray, normal: np.ndarray) -> None:
        from scipy.spatial import cKDTree

        away, near = cKDTree(self.x).query(at, k=1)
        ray = self.x[near] - at
        ahead = np.sum(ray * normal, axis=1) > AHEAD * np.maximum(away, 1e-300)
        wrong = np.flatnonzero(ahead & (away > 1e-9 * self.size))
        if len(wrong) > ASTRAY * len(at):
            i = wrong[0]
            place = ", ".join(f"{n} = {v:.4g}" for n, v in zip(self.names, at[i], strict=True))
            raise ValueError(
                f"{call}: {len(wrong)} of {len(at)} normals point at the nearest point inside, "
                f"the first of them at {place}. Normals point out of the domain: turn them round."
            )

    @property
    def unit_size(self) -> int:
        """How many numbers of the unit cube choose a point: one."""
        return 1

    @property
    def bounds(self) -> np.ndarray:
        """Of all points, (D, 2)."""
        x = np.concatenate([self.x, *(at for _, at, _, _ in self.pieces)])
        return np.stack([x.min(axis=0), x.max(axis=0)], axis=1)

    @property
    def volume(self) -> float:
        """The sum of the weights."""
        return float(self.weight.sum())

    @property
    def n_points(self) -> int:
        """How many points a solve can see."""
        return len(split(len(self.x), False))

    def from_unit(self, u: np.ndarray) -> Points:
        """Take points in their order."""
        rows = np.minimum((u[:, 0] * len(self.x)).astype(int), len(self.x) - 1)
        return Points(self.x[rows], self.weight[rows] * len(self.x))

    def interior(self, n: int, seed: int = 0, *, unseen: bool | None = None) -> Points:
        """Return ``n`` of the points, each once; all of them if there are no more."""
        rows = split(len(self.x), unseen)
        rows = rows[np.random.default_rng(seed).permutation(len(rows))[:n]]
        return Points(self.x[rows], self.weight[rows] * self.volume / self.weight[rows].sum())

    def parted(self, unseen: bool | None) -> AbstractDomain:
        """Return the points that solves see, or those that they do not."""
        made, rows = object.__new__(PointCloud), split(len(self.x), unseen)
        made._set(
            self.names, self.label, self.x[rows], self.weight[rows], self.pieces,
            self.named_coordinates,
        )  # fmt: skip
        return made

    def quadrature(self, n: int) -> Points:
        """Return all points."""
        return Points(self.x, self.weight)

    @functools.cached_property
    def _trees(self) -> tuple[Any, Any, np.ndarray]:
        from scipy.spatial import cKDTree

        inside = cKDTree(self.x)
        if not self.pieces:
            return inside, None, np.zeros(0)
        normal = np.concatenate([one for *_, one in self.pieces])
        return inside, cKDTree(np.concatenate([at for _, at, _, _ in self.pieces])), normal

    def distance(self, x: np.ndarray) -> np.ndarray:
        """Return the distance from the nearest boundary point, signed by its normal.

        Without boundary points it is the distance from the nearest point less the usual one
        between points.
        """
        inside, edge, normal = self._trees
        if edge is None:
            spacing = float(np.median(inside.query(self.x, k=2)[0][:, 1]))
            return np.asarray(inside.query(x)[0] - spacing)
        away, near = edge.query(x)
        height = np.sum((x - edge.data[near]) * normal[near], axis=1)
        return np.asarray(np.where(height > ROUND * self.size, away, np.minimum(height, 0.0)))

    def surfaces(self) -> Iterator[Named]:
        """Yield the pieces."""
        for name, at, weight, normal in self.pieces:
            yield name, self.kind, CloudSurface(at, weight, normal)

    def renamed(self, names: Sequence[str]) -> PointCloud:
        """Return it with other names of the coordinates."""
        made = object.__new__(PointCloud)
        made._set(tuple(names), self.label, self.x, self.weight, self.pieces, True)
        return made

    def named(self, label: str) -> PointCloud:
        """Return it with a name, which its pieces have no need of."""
        self._checked_label(label)
        made = object.__new__(PointCloud)
        made._set(self.names, label, self.x, self.weight, self.pieces, self.named_coordinates)
        return made

    def _identity(self) -> Any:
        pieces = tuple((name, *(a.tobytes() for a in arrays)) for name, *arrays in self.pieces)
        return self.names, self.x.tobytes(), self.weight.tobytes(), pieces

    def __repr__(self) -> str:
        edge = sum(len(at) for _, at, _, _ in self.pieces)
        return self._shown(f"PointCloud({len(self.x):,} points, {edge:,} on the boundary)")


def _array(call: str, given: Any, d: int | None = None) -> np.ndarray:
    x = np.asarray(given, dtype=float)
    if x.ndim != 2 or not x.shape[1] or (d is not None and x.shape[1] != d):
        raise ValueError(f"{call}: expected an array of shape (N, {d or 'D'}), got {x.shape}.")
    if not len(x) or not np.isfinite(x).all():
        raise ValueError(f"{call}: expected at least one point, and finite numbers only.")
    return x


def _weights(call: str, given: Any, x: np.ndarray, d: int) -> np.ndarray:
    if given is None:
        return room(x, d)
    weight = np.asarray(given, dtype=float)
    if weight.shape != (len(x),) or not (np.isfinite(weight).all() and (weight > 0).all()):
        raise ValueError(
            f"{call}: expected {len(x)} positive weights, one for each point, got shape "
            f"{weight.shape}."
        )
    return weight

"""Weights of points in a plane domain that integrate polynomials as its boundary says.

By the divergence theorem ∫ ∂F/∂x = ∮ F n_x ds, and boundaries are curves, on which Gauss's rule or
the trapezoidal one is right to many digits. Evenly spread points alone give integrals to three.
"""

from __future__ import annotations

import dataclasses

import numpy as np
from numpy.polynomial import legendre

from .points import Points

#: The highest degrees of polynomials, the first that does being taken. With 12, sin πx cos πy in a
#: square with a hole is integrated to 2e-10, with 20 to round-off.
DEGREES = (20, 16, 12, 8, 4, 1)
#: Points of a boundary.
ON_BOUNDARY = 2048
#: Normals of a closed curve have the integral 0: a rule that misses this, over the length, by more
#: is not that of curves.
CLOSED = 1e-5
#: Weights are changed by less than this share of their norm: more is round-off that is enlarged.
MOST = 0.2


def fitted(points: Points, edge: Points, bounds: np.ndarray) -> Points:
    """Return points of a plane domain with weights that fit the moments of its boundary.

    Of all such weights those that differ least from the ones given.

    Parameters
    ----------
    points : Points
        Inside, N of them; weights sum to the area, about.
    edge : Points
        Of the boundary, with outward normals and weights of a rule.
    bounds : array, shape (2, 2)
        Of a box around the domain.

    Returns
    -------
    Points
        The ones given, where the rule of the boundary is none, or N is too small.
    """
    ds, normal = np.asarray(edge.weight), np.asarray(edge.normal)
    if np.linalg.norm(ds @ normal) > CLOSED * ds.sum():
        return points
    for degree in DEGREES:
        if len(points) >= (degree + 1) * (degree + 2):  # twice as many as polynomials
            weight = _weights(points, edge, bounds, degree)
            if weight is not None:
                return dataclasses.replace(points, weight=weight)
    return points


def _weights(points: Points, edge: Points, bounds: np.ndarray, degree: int) -> np.ndarray | None:
    """Return weights that fit the moments up to a degree, unless they change too much."""
    x, w = np.asarray(points.x), np.asarray(points.weight)
    on, ds, normal = (np.asarray(a) for a in (edge.x, edge.weight, edge.normal))
    middle, half = bounds.mean(axis=1), np.ptp(bounds, axis=1) / 2
    a, b = np.array([(i, j) for i in range(degree + 1) for j in range(degree + 1 - i)]).T

    def tables(at: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        t = (at - middle) / half
        both = (legendre.legvander(t[:, axis], degree + 1) for axis in (0, 1))
        return next(both), next(both)

    p, q = tables(on)
    # ∫ P_a is (P_{a+1} − P_{a−1}) / (2a + 1), and t for a = 0.
    rising = half[0] * np.concatenate(
        [p[:, 1:2], (p[:, 2:] - p[:, :-2]) / (2 * np.arange(1, degree + 1) + 1)], axis=1
    )
    moments = (ds * normal[:, 0]) @ (rising[:, a] * q[:, b])
    p, q = tables(x)
    rows = (p[:, a] * q[:, b]).T
    w = w * (moments[0] / w.sum())
    root = np.sqrt(np.abs(w))
    change, *_ = np.linalg.lstsq(rows * root, moments - rows @ w, rcond=1e-13)
    too_much = np.linalg.norm(root * change) > MOST * np.linalg.norm(w)
    return None if too_much or not moments[0] > 0 else w + root * change

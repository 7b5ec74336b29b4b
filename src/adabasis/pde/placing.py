"""Where a residual is concentrated, and Gaussians that suit it there.

A peak, a front or a layer takes up a small part of a domain, and of functions that are spread over
all of it few are steep there. The residual of what such functions can do shows the place: Gaussians
are drawn where its square is large, with the lengths on which it changes there, in each direction.
"""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
from scipy.spatial import cKDTree

from ..geometry.boxes import Box
from ..geometry.points import AffineMap, Points, Sobol
from .collocation import ROWS_PER_FUNCTION, CollocationRows
from .problem import Problem
from .system import Misfit

#: A residual is concentrated whose square is on so small a share of the domain.
CONCENTRATED = 0.05
#: Neighbours over which lengths are averaged: with 40, which do not reach from the top of a peak of
#: width .02 to its sides, ten times as much is left of it.
NEIGHBOURS = 120
#: Those that slopes are told by, for each coordinate: with all of them, which reach too far where
#: points are few, nothing is gained on a peak of width .05 in a plate.
NEAREST = 6
#: Lengths over those of the residual, evenly spread on a logarithmic scale. With half of either end
#: a peak of width .02 has twice the error.
LENGTHS = (0.4, 3.0)
#: The longest length, over the sides of the box.
LONGEST = 1.0
#: Points that tell the share of a box that a domain is.
VOLUME = 4096
#: Numbers at once.
AT_ONCE = 2**21
#: A share of Gaussians that stand anywhere between the points of the equations.
ANYWHERE = 0.1
SEED = 60_623


def share(squares: np.ndarray, weights: np.ndarray) -> float:
    """Return the share of the domain that squares (N,) of weights (N,) are on.

    That is (∫ r²)² / ∫ r⁴ for squares that are weighted already: 1 for a constant.
    """
    density = squares / np.maximum(weights, 1e-300)
    total = float(np.sum(squares))
    fourth = float(np.sum(squares * density))
    return total**2 / fourth / float(weights.sum()) if 0 < fourth < np.inf else 1.0


def seen(fresh: CollocationRows, misfit: Misfit) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return points (N, D) of the equations, weights (N,) and residuals (N, E) there.

    Equations that hold elsewhere than the first one are left out.
    """
    first = np.asarray(fresh.terms[0].points.x)
    weights = np.asarray(fresh.terms[0].points.weight)
    weights = weights / weights.sum()
    columns = [
        residuals / np.sqrt(np.maximum(weights, 1e-300))
        for term, residuals in zip(fresh.terms[: fresh.n_equations], misfit.by_term, strict=False)
        if np.array_equal(term.points.x, first)
    ]
    return first, weights, np.stack(columns, axis=1)


def concentration(fresh: CollocationRows, misfit: Misfit) -> float:
    """Return the share of the domain that the residual is on."""
    _, weights, residuals = seen(fresh, misfit)
    return share(weights * np.sum(residuals**2, axis=1), weights)


def gaussians(
    fresh: CollocationRows, misfit: Misfit, count: int, seed: int = 0
) -> tuple[np.ndarray, np.ndarray]:
    """Draw places where residuals are large, and shapes that suit them.

    With r the residuals and ∇r by differences to neighbours, M = Σ ∇r ∇rᵀ / Σ r² over a point and
    its neighbours: its eigenvalues are squares of one over a length. A ridge has one that is 0.

    Parameters
    ----------
    fresh : CollocationRows
    misfit : Misfit
        On these.
    count : int
        K.
    seed : int

    Returns
    -------
    (centers, shapes) : arrays, shapes (K, D) and (K, D, D)
        In the unit box.
    """
    to_unit = AffineMap.onto_unit_box(fresh.problem.domain.bounds)
    x, weights, residuals = seen(fresh, misfit)
    z, rng = np.asarray(to_unit(x)), np.random.default_rng([SEED, seed])
    n, d = z.shape
    squares = weights * np.sum(residuals**2, axis=1)
    chance = (1 - ANYWHERE) * squares / squares.sum() + ANYWHERE * weights
    at = rng.choice(n, count, p=chance / chance.sum())
    tree = cKDTree(z)
    away, near = tree.query(z, k=min(n, NEIGHBOURS))
    slopes = _slopes(z, residuals, near[:, : NEAREST * d])
    around = near[at]
    squared = np.sum(residuals[around] ** 2, axis=(1, 2))
    steep = slopes[around]  # (K, neighbours, D, E)
    metric = np.einsum("knie,knje->kij", steep, steep) / np.maximum(squared, 1e-300)[:, None, None]
    sizes, axes = np.linalg.eigh(metric)
    # No length is told that is shorter than the distance of points.
    shortest = away[at, min(d + 1, away.shape[1] - 1)]
    sizes = np.clip(np.sqrt(np.maximum(sizes, 0.0)), 1 / LONGEST, 1 / shortest[:, None])
    shortest_of, longest_of = LENGTHS
    times = np.exp(-rng.uniform(np.log(shortest_of), np.log(longest_of), count))
    shapes = times[:, None, None] * sizes[:, :, None] * np.swapaxes(axes, 1, 2)
    moved = rng.normal(size=(count, d)) * (0.5 * shortest)[:, None]
    return np.clip(z[at] + moved, 0.0, 1.0), shapes


def denser(rows: CollocationRows, places: Any, seed: int = 0) -> CollocationRows:
    """Return rows with further points of the equations where Gaussians stand.

    Points are drawn from the Gaussians themselves. With points of weights w and m such, of density
    q, one counts as 1/(1/w + m q): weights still sum to integrals.

    Parameters
    ----------
    rows : CollocationRows
    places : (centers, shapes)
        In the unit box.
    seed : int
    """
    problem, (centers, shapes) = rows.problem, places
    to_unit = AffineMap.onto_unit_box(problem.domain.bounds)
    rng, count, d = np.random.default_rng([SEED, seed]), len(centers), centers.shape[1]
    home = rng.permutation(np.resize(np.arange(count), int(ROWS_PER_FUNCTION * count)))
    # exp(−|A z|²) is, but for a factor, the density of A⁻¹ times numbers of variance ½.
    drawn = rng.normal(size=(len(home), d, 1)) / 2**0.5
    z = centers[home] + np.linalg.solve(shapes[home], drawn)[..., 0]
    x = np.asarray(to_unit.inverse(z))
    inside = np.all((z > 0) & (z < 1), axis=1)
    inside[inside] = problem.domain.contains(x[inside])
    x, first = x[inside], rows.terms[0].points
    known, weights = np.asarray(first.x), np.asarray(first.weight) / np.sum(first.weight)
    both = np.concatenate([known, x])
    nearest = cKDTree(to_unit(known)).query(to_unit(x))[1]
    around = 1 / np.maximum(np.concatenate([weights, weights[nearest]]), 1e-300)
    total = len(home) * volume(problem) * _density(np.asarray(to_unit(both)), places)
    weight = 1 / (around + total)
    points = Points(both, weight / weight.sum())
    terms = []
    for term in rows.terms:
        if term.constraint.equation and np.array_equal(term.points.x, known):
            data = term.constraint.values(problem.domain, points)
            term = dataclasses.replace(term, points=points, data=data)
        terms.append(term)
    return dataclasses.replace(rows, terms=terms)


def volume(problem: Problem) -> float:
    """Return the share of the box around a domain that the domain is, about."""
    domain = problem.domain
    if isinstance(domain, Box):
        return 1.0
    x = np.asarray(Sobol().interior(domain.bounds, VOLUME).x)
    return float(np.mean(domain.contains(x)))


def _density(z: np.ndarray, places: Any) -> np.ndarray:
    """Return the mean of the Gaussians' densities at N points, (N,)."""
    centers, shapes = places
    d, found = centers.shape[1], []
    height = np.abs(np.linalg.det(shapes)) / np.pi ** (d / 2) / len(centers)
    at = np.einsum("kij,kj->ki", shapes, centers)
    for chunk in np.array_split(z, max(1, z.size * len(centers) // AT_ONCE)):
        away = np.tensordot(chunk, shapes, axes=(1, 2)) - at
        found.append(np.exp(-np.sum(away**2, axis=2)) @ height)
    return np.concatenate(found)


def _slopes(z: np.ndarray, values: np.ndarray, near: np.ndarray) -> np.ndarray:
    """Return gradients (N, D, E) of values (N, E) at scattered points, by planes through each."""
    steps = z[near[:, 1:]] - z[:, None]
    rises = values[near[:, 1:]] - values[:, None]
    gram = np.einsum("nki,nkj->nij", steps, steps)
    trace = np.trace(gram, axis1=1, axis2=2)[:, None, None]
    gram = gram + 1e-9 * trace * np.eye(z.shape[1])
    return np.linalg.solve(gram, np.einsum("nki,nke->nie", steps, rises))

"""Functions that are added to a basis where theory says what a solution is like.

Outside of holes a harmonic function is a smooth one and a sum of poles inside them; at corners
solutions are sums of powers of the distance; in balls they may depend on the radius alone, in boxes
of many coordinates be sums of functions of one. Each such function is a column more; a solution
that has no use for it gives it the coefficient 0.
"""

from __future__ import annotations

import math
from typing import Any

import jax.numpy as jnp
import numpy as np

from .._runtime.notation import Parameters
from ..basis import AbstractBasis, FrozenFeatures
from ..basis.enriched import AbstractAdded, Additive, Poles, Radial, Sources
from ..basis.layers import Affine
from ..geometry.boxes import Box
from ..geometry.domains import AbstractDomain, Product
from ..geometry.pieces import Piece
from ..geometry.points import AffineMap
from ..geometry.shapes import Ball
from .problem import Problem

#: The highest order of poles in a hole, and their number over all holes, at most.
POLES, ALL_POLES = 14, 320
#: Point sources in a hole in space, and where they lie over its radius.
SOURCES, INSIDE = 48, 0.5
#: Functions of a radius, their slopes over those of Box.
RADIAL, RADIAL_SLOPES = 240, (0.5, 2.0)
#: The degree of polynomials of single coordinates, in boxes of at least so many.
DEGREE, MANY = 12, 4
SEED = 41_113


def owned(problem: Problem) -> tuple[tuple[AbstractAdded, ...], tuple[int, ...]]:
    """Return what is added, and with regions the numbers of the unknowns that have each.

    A pole in the core of a shell is no function of what is in the core.
    """
    if not problem.regions:
        return added_functions(problem), ()
    if problem.order < 2 or not problem.linear:
        return (), ()
    found, owners = [], []
    for b, block in enumerate(problem.blocks):
        region = problem.regions[block.rpartition(" in ")[2]]
        each = [] if isinstance(region, Box) else holes(region)
        found += each
        owners += [b] * len(each)
    return tuple(found), tuple(owners)


def added_functions(problem: Problem) -> tuple[AbstractAdded, ...]:
    """Return what is added for a problem, which is nothing in plain boxes."""
    domain = problem.domain
    found: list[AbstractAdded] = []
    if problem.order >= 2 and not isinstance(domain, Box):
        found += holes(domain)
    found += radial(domain)
    if isinstance(domain, Box) and domain.n_inputs >= MANY:
        found.append(Additive(domain.bounds, DEGREE))
    return tuple(found)


def holes(domain: AbstractDomain) -> list[AbstractAdded]:
    """Return poles in the holes of a domain of two or three coordinates."""
    d = domain.n_inputs
    if d not in (2, 3):
        return []
    known = [hole for piece in domain.boundaries.values() if (hole := hole_in(domain, piece))]
    if not known:
        return []
    centers, radii = np.array([c for c, _ in known]), np.array([r for _, r in known])
    if d == 2:
        return [Poles(centers, radii, max(2, min(POLES, ALL_POLES // (2 * len(radii)))))]
    around = np.arange(SOURCES) + 0.5
    height, angle = 1 - 2 * around / SOURCES, math.pi * (1 + 5**0.5) * around
    flat = np.sqrt(1 - height**2)
    sphere = np.stack([flat * np.cos(angle), flat * np.sin(angle), height], axis=1)
    places = centers[:, None] + INSIDE * radii[:, None, None] * sphere
    return [Sources(np.concatenate([places.reshape(-1, 3), centers]))]


def hole_in(domain: AbstractDomain, piece: Piece) -> tuple[np.ndarray, float] | None:
    """Return a point in the hole that a piece goes round and its distance, if it is a hole."""
    edge = piece.quadrature(512)
    x, weight, normal = (np.asarray(a) for a in (edge.x, edge.weight, edge.normal))
    around = np.linalg.norm(weight @ normal) <= 1e-2 * weight.sum()
    centre = weight @ x / weight.sum()
    inward = weight @ np.sum(normal * (x - centre), axis=1) < 0
    away = float(domain.distance(centre[None])[0])
    return (centre, away) if around and inward and away > 0 else None


def radial(domain: AbstractDomain) -> list[AbstractAdded]:
    """Return functions of the radius, and of the time, in balls of three or more dimensions."""
    ball, others = domain, None
    if isinstance(domain, Product) and isinstance(domain.right, Box):
        ball, others = domain.left, domain.right
    if not isinstance(ball, Ball) or ball.n_inputs < 3:
        return []
    bounds = np.concatenate([[[0.0, 1.0]], *([] if others is None else [others.bounds])])
    rng, d = np.random.default_rng(SEED), len(bounds)
    point, normal = rng.uniform(size=(RADIAL, d)), rng.normal(size=(RADIAL, d))
    normal /= np.linalg.norm(normal, axis=1, keepdims=True)
    weight = normal * np.geomspace(*RADIAL_SLOPES, RADIAL)[rng.permutation(RADIAL), None]
    bias = -np.sum(weight * point, axis=1)
    return [Radial(ball.center, ball.radius, weight, bias, bounds[:, 0], np.ptp(bounds, axis=1))]


def through(domain: AbstractDomain, basis: AbstractBasis, drawn: Parameters) -> Parameters:
    """Return parameters of frozen functions whose planes go through points of the domain.

    They are drawn for the box around it, of which a ball in many dimensions is a small part.
    """
    if isinstance(domain, Box) or not isinstance(basis, FrozenFeatures):
        return drawn
    planes: Any = drawn
    count = np.shape(planes.bias)[0]
    x = np.asarray(domain.interior(2 * count, SEED).x)[:count]
    x = np.resize(x, (count, x.shape[1]))
    z = jnp.asarray(AffineMap.onto_unit_box(domain.bounds)(x))
    return Affine(planes.weight, -jnp.sum(planes.weight * z, axis=1))

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

from .._runtime.compute import double_precision
from .._runtime.notation import Parameters
from ..basis import AbstractBasis, FrozenFeatures
from ..basis.enriched import AbstractAdded, Additive, Corners, Layers, Poles, Radial, Sources
from ..basis.layers import Affine
from ..geometry.boxes import Box
from ..geometry.curves import Arcs, Segment
from ..geometry.domains import AbstractDomain, Product
from ..geometry.pieces import Piece
from ..geometry.points import AffineMap
from ..geometry.shapes import Ball
from ..geometry.surfaces import Reversed
from ..operators import AbstractOperator
from .problem import Problem

#: The highest order of poles in a hole, and their number over all holes, at most.
POLES, ALL_POLES = 14, 320
#: Point sources in a hole in space, and where they lie over its radius.
SOURCES, INSIDE = 48, 0.5
#: Functions of a radius, their slopes over those of Box.
RADIAL, RADIAL_SLOPES = 240, (0.5, 2.0)
#: The degree of polynomials of single coordinates, in boxes of at least so many.
DEGREE, MANY = 12, 4
#: Exponents at a corner; sides end at one point within this share of the domain's size, and the
#: domain is looked for at this one from there.
EXPONENTS, MEET, BESIDE = 6, 1e-5, 1e-3
#: Exponentials that change by more than e^±this over an interval are layers: others are smooth.
STEEP = 20.0
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
        found += holes(domain) + corners(domain)
    found += radial(domain) + layers(problem)
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


def corners(domain: AbstractDomain) -> list[AbstractAdded]:
    """Return powers of the distance from corners at which solutions are not smooth.

    With equal kinds of conditions on both sides of an angle ω solutions of Laplace's equation are
    sums of r^(kπ/ω) sin (kπ/ω)φ, with different kinds k is k − ½: both are added, and what r² times
    these makes of lower terms and sources.
    """
    if domain.n_inputs != 2:
        return []
    found = [one for one in corners_of(domain) if not _smooth(one[1])]
    if not found:
        return []
    places, angles, middles = (np.array(column) for column in zip(*found, strict=True))
    k = np.arange(1, 2 * EXPONENTS + 1) / 2
    waves = k * math.pi / angles[:, None]
    powers = np.concatenate([waves, waves + 2], axis=1)
    return [Corners(places, middles, angles, powers, np.tile(waves, 2), domain.size)]


def _smooth(angle: float) -> bool:
    """Whether powers of the distance are those of polynomials, or nearly: π/ω is whole."""
    return bool(abs(math.pi / angle - round(math.pi / angle)) < 1e-6 and angle < math.pi)


def corners_of(domain: AbstractDomain) -> list[tuple[np.ndarray, float, float]]:
    """Return where straight sides meet, the angle inside, and the direction of its middle."""
    ends = []
    for piece in domain.boundaries.values():
        for surface in piece.surfaces:
            ends += _ends(surface)
    found = []
    for i, (place, along) in enumerate(ends):
        for other, beyond in ends[i + 1 :]:
            if np.linalg.norm(place - other) > MEET * domain.size:
                continue
            first, second = (math.atan2(v[1], v[0]) for v in (along, beyond))
            width = (second - first) % (2 * math.pi)
            step = BESIDE * domain.size
            for start, angle in ((first, width), (second, 2 * math.pi - width)):
                middle = start + angle / 2
                probe = place + step * np.array([math.cos(middle), math.sin(middle)])
                if angle > 1e-6 and domain.distance(probe[None])[0] < 0:
                    if abs(angle - math.pi) > 1e-6:
                        found.append((place, angle, middle))
                    break
    return found


def _ends(surface: Any) -> list[tuple[np.ndarray, np.ndarray]]:
    """Return the ends of straight sides, with the directions in which the sides leave them."""
    inner = surface.inner if isinstance(surface, Reversed) else surface
    intervals: tuple[tuple[float, float], ...] = ((0.0, 1.0),)
    if isinstance(inner, Arcs):
        intervals, inner = inner.intervals, inner.inner
    inner = inner.inner if isinstance(inner, Reversed) else inner
    if not isinstance(inner, Segment):
        return []
    start, along = np.array(inner.start), np.subtract(inner.end, inner.start)
    return [
        end for a, b in intervals
        for end in ((start + a * along, along), (start + b * along, -along))
    ]  # fmt: skip


def layers(problem: Problem) -> list[AbstractAdded]:
    """Return exponential layers at the ends of an interval.

    With coefficients frozen at an end a, L e^{λ(x−a)} = p(λ) e^{λ(x−a)}, and the coefficients of p
    are what L makes of (x − a)^k / k! there. Its real roots, if they are steep and decay into the
    interval, are layers.
    """
    domain, operator = problem.domain, problem.operator
    if not isinstance(domain, Box) or domain.n_inputs != 1 or problem.n_blocks > 1:
        return []
    if not problem.linear or operator.order < 2:
        return []
    lower, upper = domain.sides[0]
    places, widths = [], []
    for end, inward in ((lower, -1.0), (upper, 1.0)):
        polynomial = _symbol(operator, end)
        if not np.isfinite(polynomial).all() or not polynomial.any():
            continue
        for root in np.roots(polynomial[::-1]):
            steep = float(root.real) * inward * (upper - lower)
            if abs(root.imag) <= 1e-9 * abs(root.real) and steep > STEEP:
                places.append(end)
                widths.append(1 / abs(float(root.real)))
    if not places:
        return []
    return [Layers((0,) * len(places), places, widths, domain.bounds)]


def _symbol(operator: AbstractOperator, end: float) -> np.ndarray:
    """Return the coefficients of p, ascending."""
    count = operator.order + 1

    def powers(x: Any) -> Any:
        return jnp.stack([(x[0] - end) ** k / math.factorial(k) for k in range(count)])

    with double_precision():
        return np.asarray(operator(powers)(jnp.array([end])), dtype=float)

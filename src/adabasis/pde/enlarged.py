"""What an enlarged basis says of a solution: what the rows leave open, and what the basis lacks.

The functions of a system that its rows see least stand beside new random ones, some of them
steeper, some of them where the residuals are large. On points that no solve has seen, the residuals
of a solution are a right-hand side for these: the function that removes them is what the solution
lacks, and its size is the error as far as the enlarged basis can see. Two bases of like slopes may
agree on a wrong function; a correction cannot hide, since it answers to the residuals.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from scipy.linalg import solve_triangular

from .. import lstsq
from .._runtime.compute import quickly
from .._runtime.notation import AnyArray, Parameters, PointX
from ..basis import AbstractBasis, FrozenFeatures
from ..basis.layers import Affine
from ..geometry.boxes import Box
from ..geometry.points import AffineMap, Points
from ..operators import AbstractOperator, Coupled, Linearised
from .collocation import FRESH_POINTS, CollocationRows
from .newton import linearised, reduced_at
from .places import rule_on
from .system import (
    CollocationSystem,
    Misfit,
    images,
    of_blocks,
)

#: New functions by number of inputs; four and more go as three.
BESIDE = {1: 200, 2: 400, 3: 500}
#: Their slopes over that of the solution's functions, evenly spread on a logarithmic scale.
SLOPES = (0.5, 4.0)
#: One in so many of them is placed where the residuals are large.
LOCAL = 3
#: The steepest of those change over three distances between points there.
RESOLVED = 0.3
#: Their mixtures below this share of the largest change between points.
TAME = 1e-2
#: Functions of the system that are kept: those that its rows see least.
KEPT = 64
#: Relative ridge of those: with less, round-off of their coefficients shows in their residuals.
STEADY = 1e-9
#: Directions of the enlarged rows below this share of the largest are round-off.
CUT_OFF = 1e-11
#: A function whose residual is this share of itself counts as a solution for data zero.
UNDETERMINED = 1e-5
#: A function of such a size for a residual of 1 is hardly seen.
WEAK = 10.0
#: Points of integrals over the domain.
PLACES = 2048
SEED = 90_001
#: Exponentials and waves beside them, each with two phases, at most; none with more than 20 turns
#: a side, which the points do not resolve. Faces that are points see
#: steep ones whatever their width; elsewhere one that changes between points seems free.
MODES, FASTEST, STEEPEST = 100, 40 * np.pi, 1e7
#: Points, besides the centre, at which coefficients are frozen for these.
FROZEN_AT = 3
RADIUS = 2 * np.pi
#: Exponents nearer than this are one: their difference would be round-off.
APART = 0.03


@dataclasses.dataclass(frozen=True, eq=False)
class Directions:
    """The functions of a system that its rows see least, each of residual 1.

    Attributes
    ----------
    triangle : array, shape (P, P)
        R of the columns with unit norm and a small ridge.
    rotated : array, shape (P, 1)
        Qᵀb.
    norms : array, shape (P,)
        Of the columns.
    parts : array, shape (P, K)
        Orthonormal: the functions have the coefficients R⁻¹ parts.
    sizes : array, shape (K,)
        Root mean squares of the functions, descending.
    rows : array, shape (rows, P)
        The weighted rows of the system's functions on fresh points.
    phi : array, shape (N, P)
        The functions at the equation's points there.
    """

    triangle: np.ndarray
    rotated: np.ndarray
    norms: np.ndarray
    parts: np.ndarray
    sizes: np.ndarray
    rows: np.ndarray
    phi: np.ndarray

    def coefficients(self, y: np.ndarray) -> np.ndarray:
        """Return those of the functions with rotated rows y, (P, K)."""
        return solve_triangular(self.triangle, y) / self.norms[:, None]

    @property
    def free(self) -> np.ndarray:
        """The parts of functions that the rows do not see, (P, F)."""
        return self.parts[:, self.sizes > 1 / UNDETERMINED]


def least(system: CollocationSystem, seen: Directions, c: np.ndarray | None = None) -> np.ndarray:
    """Return the coefficients (P, 1) of the solution of least size, or of c without what is free.

    Sizes are integrals by Gauss points, up to three coordinates.
    """
    if c is None:
        c = seen.coefficients(seen.rotated - seen.free @ (seen.free.T @ seen.rotated))
    domain = system.rows.problem.domain
    points = rule_on(domain, PLACES)
    x, weight = jnp.asarray(points.x), np.asarray(points.weight)
    blocks = system.n_blocks
    units = None if system.rows.scales is None else system.rows.units_at(np.asarray(points.x))
    root = np.sqrt(np.tile(weight, blocks))[:, None]
    null = seen.coefficients(seen.free)
    phi = np.asarray(evaluated(system.basis, system.parameters, x, units)) * root
    along, *_ = np.linalg.lstsq(phi @ null, phi @ c, rcond=None)
    return c - null @ along


@quickly()
def evaluated(
    basis: AbstractBasis, parameters: Parameters, x: Array, units: AnyArray | None = None
) -> Array:
    """Return Φ at N points, (N, P), or B unknowns over their units, (B·N, B·P)."""
    return of_blocks(basis, parameters, x, units)


@quickly()
def _ridged(
    reduction: lstsq.Reduction, units: AnyArray | None = None
) -> tuple[Array, Array, Array]:
    # What no row sees is free: its norm counts as the largest, unknowns being over their units.
    triangle = reduction.triangle
    each = 1.0 if units is None else jnp.repeat(units, triangle.shape[0] // units.shape[0])
    norms = lstsq.column_norms(triangle * each, unseen=None) / each
    norms = jnp.where(norms > 0, norms, 1.0)
    ridged = lstsq.with_ridge(reduction, (STEADY * norms) ** 2 * norms.shape[0])
    return ridged.triangle / norms, ridged.rotated, norms


def directions(
    system: CollocationSystem, coefficients: np.ndarray, fresh: CollocationRows
) -> Directions:
    """Return the functions that the rows of a system see least."""
    basis, xi = system.basis, system.parameters
    if system.rows.problem.linear:
        reduction = system.reduction
    else:
        reduction = reduced_at(system.terms, basis, xi, jnp.asarray(coefficients))
    given = None if fresh.scales is None else np.array(fresh.scales)
    triangle, rotated, norms = (np.asarray(a) for a in _ridged(reduction, given))
    terms = seen_at(system, coefficients, fresh)
    found = images(basis, xi, terms, fresh.places, fresh.units_there)
    rows, phi = (np.asarray(a) for a in found)
    u = phi / (norms * len(phi) ** 0.5)
    count = min(KEPT, len(norms))
    # Powers of M Mᵀ, M = R⁻ᵀ Uᵀ, on a random block: the largest of its singular vectors.
    block = np.random.default_rng(SEED).normal(size=(len(norms), min(count + 16, len(norms))))
    for _ in range(3):
        block, _ = np.linalg.qr(_through(triangle, u, block))
    values = u @ solve_triangular(triangle, block)
    _, sizes, vt = np.linalg.svd(values, full_matrices=False)
    parts, sizes = block @ vt.T[:, :count], sizes[:count]
    # What the ridge alone holds is round-off, unless no row sees it and it is large.
    held = STEADY * np.linalg.norm(solve_triangular(triangle, parts), axis=0) * len(norms) ** 0.5
    kept = (held < 0.5) | (sizes > 1 / UNDETERMINED)
    return Directions(triangle, rotated, norms, parts[:, kept], sizes[kept], rows, phi)


def seen_at(system: CollocationSystem, coefficients: np.ndarray, fresh: CollocationRows) -> Any:
    """Return the terms of fresh rows, linearised at a solution where they are not linear."""
    terms: Any = fresh.scaled()
    if fresh.problem.linear:
        return terms
    return _linearised(terms, system.basis, system.parameters, jnp.asarray(coefficients))


def _through(triangle: np.ndarray, u: np.ndarray, block: np.ndarray) -> np.ndarray:
    """Return M Mᵀ times a block."""
    return solve_triangular(triangle, u.T @ (u @ solve_triangular(triangle, block)), trans=1)


def _norms(a: np.ndarray) -> np.ndarray:
    """Return what columns are divided by, some of which, or all, may be 0."""
    norms = lstsq.column_norms(a, unseen=None)
    return np.where(norms > 0, norms, 1.0)


def _tamed(a: np.ndarray, rows: np.ndarray, width: int, blocks: int) -> np.ndarray:
    """Return columns a, those of local functions mixed so that none change between points.

    Differences of steep functions are steeper than any of them: what few rows see is left out.
    """
    each = a.shape[1] // blocks
    local = np.concatenate([b * each + np.arange(0, width, LOCAL) for b in range(blocks)])
    norms = _norms(rows[:, local])
    _, s, vt = np.linalg.svd(rows[:, local] / norms, full_matrices=False)
    mixture = vt[s > TAME * s[0]].T
    return np.concatenate([np.delete(a, local, axis=1), (a[:, local] / norms) @ mixture], axis=1)


@dataclasses.dataclass(frozen=True, eq=False)
class Enlarged:
    """Functions of the enlarged basis with orthogonal rows of length 1, the largest first.

    Attributes
    ----------
    rows : array, shape (rows, K)
        Orthonormal.
    sizes : array, shape (K,)
        Root mean squares of the functions, descending.
    """

    rows: np.ndarray
    sizes: np.ndarray

    @property
    def free(self) -> int:
        """How many of them count as solutions for data zero."""
        return int(np.sum(self.sizes > 1 / UNDETERMINED))

    def correction(self, misfit: Misfit) -> tuple[float, float, float]:
        """Return the size of what a solution lacks, the share of its residuals that stays, a bound.

        Free functions are left aside. Of those that are hardly seen the amounts are uncertain: rows
        are samples, and each function is seen up to the residual that stays over √rows.
        """
        residuals, sizes = np.concatenate(misfit.by_term), self.sizes[self.free :]
        whole = float(np.linalg.norm(residuals))
        bound = float(whole * sizes[0]) if len(sizes) else np.inf
        if not 0 < whole < np.inf or not len(sizes):
            return bound, 1.0, bound
        rows = self.rows[:, self.free :]
        parts = rows.T @ residuals
        stays = float(np.linalg.norm(residuals - rows @ parts))
        unseen = stays * float(np.linalg.norm(sizes[sizes > WEAK])) / len(residuals) ** 0.5
        lacking = float(np.linalg.norm(sizes * parts))
        return float(np.hypot(lacking, unseen)), stays / whole, bound


def enlarged(
    system: CollocationSystem,
    coefficients: np.ndarray,
    misfit: Misfit,
    fresh: CollocationRows,
    least_seen: Directions,
    slope: float,
) -> Enlarged:
    """Put new functions beside those that the rows of a system see least."""
    domain, d = fresh.problem.domain, fresh.problem.domain.n_inputs
    blocks = system.n_blocks
    terms = seen_at(system, coefficients, fresh)
    mixture = least_seen.coefficients(least_seen.parts)
    activation = "tanh" if "gaussian" in repr(system.basis) else "gaussian"
    plain = FrozenFeatures(int(BESIDE[min(d, 3)] / blocks**0.5), activation=activation)
    beside: Any = Beside(plain, AffineMap.onto_unit_box(domain.bounds))
    drawn = (
        _planes(beside, slope, fresh, misfit),
        passing([term.operator for term in terms[: fresh.n_equations]], beside.map, d, domain),
    )
    new = images(beside, drawn, terms, fresh.places, fresh.units_there)
    rows, u = (_tamed(np.asarray(a), np.asarray(new[0]), plain.width, blocks) for a in new)
    rows = np.concatenate([least_seen.rows @ mixture, rows], axis=1)
    u = np.concatenate([least_seen.phi @ mixture, u], axis=1)
    norms = _norms(rows)
    left, s, vt = np.linalg.svd(rows / norms, full_matrices=False)
    kept = s > CUT_OFF * s[0]
    values = (u / norms) @ (vt[kept].T / s[kept]) / len(u) ** 0.5
    _, sizes, turned = np.linalg.svd(values, full_matrices=False)
    return Enlarged(left[:, kept] @ turned.T, sizes)


_linearised = quickly()(linearised)


class Beside(eqx.Module):
    """Random features, and e^{a·z} times cosine and sine of b·z, at most 1 in the unit box."""

    plain: FrozenFeatures
    map: AffineMap

    def __call__(self, x: PointX, parameters: Parameters) -> Array:
        """Evaluate all at one point."""
        planes, (a, b) = parameters
        z = self.map(x)
        size, phase = jnp.exp(a @ z - jnp.sum(jnp.maximum(a, 0.0), axis=1)), b @ z
        waves = [size * jnp.cos(phase), size * jnp.sin(phase)]
        return jnp.concatenate([self.plain(z, planes), *waves])


def _planes(beside: Beside, slope: float, fresh: CollocationRows, misfit: Misfit) -> Parameters:
    """Draw new planes, some of them through points of large residuals."""
    d, width = fresh.problem.domain.n_inputs, beside.plain.width
    rng = np.random.default_rng(SEED)
    point, normal = rng.uniform(size=(width, d)), rng.normal(size=(width, d))
    reach = np.sum((np.maximum(np.sign(normal), 0.0) - point) * normal, axis=1)
    lengths = np.linalg.norm(normal, axis=1)
    per_length = np.minimum(1 / reach, 20 / lengths)  # the slopes of Box, the steepest cut
    steep = slope * rng.permutation(np.geomspace(*SLOPES, width))
    x = np.concatenate([np.asarray(term.points.x) for term in fresh.terms])
    squares = np.concatenate(misfit.by_term) ** 2
    if 0 < squares.sum() < np.inf:
        local = np.arange(0, width, LOCAL)
        at = rng.choice(len(x), len(local), p=squares / squares.sum())
        point[local] = np.asarray(beside.map(x[at]))
        between = np.concatenate([_distances(term.points, term.constraint.inside)
                                  for term in fresh.terms])[at]  # fmt: skip
        steepest = np.maximum(RESOLVED / between, slope)
        per_length[local] = 1 / lengths[local]
        steep[local] = slope * (steepest / slope) ** rng.uniform(size=len(local))
    weight = normal * (steep * per_length)[:, None]
    return Affine(jnp.asarray(weight), jnp.asarray(-np.sum(weight * point, axis=1)))


def _distances(points: Points, inside: bool) -> np.ndarray:
    """Return about how far each point is from the next, in units of the box."""
    weight, d = np.asarray(points.weight), np.asarray(points.x).shape[1]
    share = np.maximum(weight / weight.sum(), 1e-300)
    return share ** (1 / max(d if inside else d - 1, 1))


def passing(
    equations: Sequence[AbstractOperator],
    to_unit: AffineMap,
    d: int,
    domain: Any = None,
    fastest: float = FASTEST,
) -> tuple[np.ndarray, ...]:
    """Return a and b of exponentials and waves that the equations let through.

    With coefficients frozen at a point, L e^{λ·z} = p(λ) e^{λ·z}. Along one coordinate, the others
    carrying a given wave, p is a polynomial, and its roots are the modes: waves at resonance,
    what grows where a problem is ill-posed, boundary layers. Of several unknowns p is the
    determinant of the equations, where there are as many. None is ``fastest`` or more radians a
    side.
    """
    a, b = np.zeros((2, MODES, d))
    table = _table(equations)
    if not table:
        return a, b
    count, rng = _degree(table) + 1, np.random.default_rng(SEED)
    rays = [(axis, wave) for axis in range(d) for wave in _transverse(axis, d, rng)]
    circle = RADIUS * np.exp(2j * np.pi * np.arange(count) / count)
    exponents = np.array([1j * wave for _, wave in rays])[:, None].repeat(count, 1)
    for ray, (axis, _) in enumerate(rays):
        exponents[ray, :, axis] = circle
    at = to_unit.inverse(np.vstack([np.full(d, 0.5), rng.uniform(size=(FROZEN_AT, d))]))
    if domain is not None and not isinstance(domain, Box):
        at = np.asarray(domain.interior(1 + FROZEN_AT, SEED).x)
    flat = exponents.reshape(-1, d)
    arrays = [jnp.asarray(array) for array in (at, flat.real, flat.imag)]

    def symbol(operator: AbstractOperator | None) -> np.ndarray:
        if operator is None:
            return np.zeros((len(at), len(flat)), complex)
        found = np.asarray(_symbols(operator, to_unit, *arrays))
        return found[:, 0] + 1j * found[:, 1]

    every = np.stack([[symbol(one) for one in row] for row in table])
    every = np.moveaxis(every, (0, 1), (-2, -1))
    symbols = every[..., 0, 0] if len(table) == 1 else np.linalg.det(every)
    symbols = symbols.reshape(len(at), len(rays), count)
    polynomials = np.fft.fft(symbols, axis=2) / count  # of r over the radius, ascending
    steepest = STEEPEST if d == 1 else FRESH_POINTS ** (1 / d)
    found: dict[tuple[int, tuple[float, ...]], list[complex]] = {}
    for each in polynomials:
        for (axis, wave), p in zip(rays, each, strict=True):
            p = np.where(np.abs(p) > 1e-12 * np.abs(p).max(), p, 0.0)
            here = found.setdefault((axis, tuple(wave)), [])
            for root in RADIUS * np.roots(p[::-1]) if np.isfinite(p).all() else ():
                known = any(abs(root - r) <= APART * (1 + abs(r)) for r in here)
                if not known and abs(root.imag) <= fastest and abs(root.real) <= steepest:
                    here.append(root)
    modes = [(axis, wave, root) for (axis, wave), roots in found.items() for root in roots]
    modes = [modes[i] for i in sorted(rng.permutation(len(modes))[:MODES])]
    for row, (axis, wave, root) in enumerate(modes):
        b[row] = wave
        a[row, axis], b[row, axis] = root.real, root.imag
    return a, b


def turns(equations: Sequence[AbstractOperator], to_unit: AffineMap, d: int) -> float:
    """Return how often the fastest waves turn over along a side that the equations let through."""
    a, b = passing(equations, to_unit, d, fastest=np.inf)
    waves = b[np.abs(a).max(axis=1) < 1.0]
    return float(np.abs(waves).max(initial=0.0) / (2 * np.pi))


def _table(equations: Sequence[AbstractOperator]) -> list[Sequence[AbstractOperator | None]]:
    """Return operators by equation and unknown, none where they are not as many."""
    rows: list[Any] = []
    for one in equations:
        if isinstance(one, Linearised) and one.n_unknowns > 1:
            return []
        rows.append(one.operators if isinstance(one, Coupled) else (one,))
    return rows if all(len(row) == len(rows) for row in rows) else []


def _degree(table: Sequence[Sequence[AbstractOperator | None]]) -> int:
    """Return a bound of the degree of the determinant: by equations or by unknowns."""
    orders = np.array([[-1 if one is None else one.order for one in row] for row in table])
    return int(min(orders.max(axis=1).clip(0).sum(), orders.max(axis=0).clip(0).sum()))


def _transverse(axis: int, d: int, rng: np.random.Generator) -> np.ndarray:
    """Return waves in the coordinates besides one, (K, D): the lowest, at random from four on."""
    if d == 1:
        return np.zeros((1, 1))
    if d == 2:
        waves = np.zeros((25, 2))
        waves[:, 1 - axis] = np.pi / 2 * np.arange(25)
        return waves
    waves = np.pi * rng.integers(-4, 5, size=(45, d)).astype(float)
    waves[:, axis] = 0.0
    waves[0] = 0.0
    return np.unique(waves, axis=0)


@quickly(once=True)
def _symbols(
    operator: AbstractOperator, to_unit: AffineMap, at: Array, real: Array, imag: Array
) -> Array:
    """Return the images of exponentials at points, (N, 2, K): real and imaginary parts."""

    def image(x: Array) -> Array:
        def exponentials(y: Array) -> Array:
            z = to_unit(y) - to_unit(x)
            size, phase = jnp.exp(real @ z), imag @ z
            return jnp.concatenate([size * jnp.cos(phase), size * jnp.sin(phase)])

        return operator(exponentials)(x)

    return jax.vmap(image)(at).reshape(len(at), 2, -1)

"""What an enlarged basis says of a solution: what the rows leave open, and what the basis lacks.

The functions of a system that its rows see least stand beside new random ones, some of them
steeper, some of them where the residuals are large. On points that no solve has seen, the residuals
of a solution are a right-hand side for these: the function that removes them is what the solution
lacks, and its size is the error as far as the enlarged basis can see. Two bases of like slopes may
agree on a wrong function; a correction cannot hide, since it answers to the residuals.
"""

from __future__ import annotations

import dataclasses
from typing import Any

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jax import Array
from scipy.linalg import solve_triangular

from .. import lstsq
from .._runtime.compute import quickly
from .._runtime.notation import AnyArray, Parameters, PointX
from ..basis import AbstractBasis, FrozenFeatures
from ..basis.layers import Affine
from ..geometry.points import AffineMap, Points
from ..rows.closed_form import DERIVATIVES, images_of_features
from .collocation import CollocationRows
from .modes import passing
from .newton import linearised, reduced_at
from .places import rule_on
from .system import CollocationSystem, Misfit, images, of_blocks

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
    # Few weights of fitted rules are below 0.
    x, weight = jnp.asarray(points.x), np.maximum(np.asarray(points.weight), 0.0)
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
    if not np.isfinite(triangle).all():
        raise ValueError(
            f"solve({system.rows.problem!r}): no function was found at which the equations have "
            "values and slopes. √u, log u and 1/u have none where u is 0 or negative: use what "
            "has, such as np.sqrt(u**2 + 1e-12), or conditions that keep u away from there."
        )
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
    values : array, shape (B·N, K)
        The functions over √(B·N) sizes, at N points for each of B unknowns: orthonormal.
    places : array, shape (N, D)
        These points.
    """

    rows: np.ndarray
    sizes: np.ndarray
    values: np.ndarray
    places: np.ndarray = dataclasses.field(default_factory=lambda: np.zeros((0, 1)))

    @property
    def functions(self) -> np.ndarray:
        """The functions at the points, (B·N, K): one unknown after another."""
        return np.asarray(self.values * self.sizes * len(self.values) ** 0.5)

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
        parts, unseen, stays = self._lacking(residuals)
        lacking = float(np.hypot(np.linalg.norm(parts), np.linalg.norm(unseen)))
        return lacking, stays / whole, bound

    def by_block(self, misfit: Misfit, blocks: int) -> np.ndarray:
        """Return the size of what a solution lacks, unknown by unknown: (B,).

        Mean squares are over the points of all unknowns, so that squares sum to that of all.
        """
        residuals = np.concatenate(misfit.by_term)
        if not 0 < float(np.linalg.norm(residuals)) < np.inf or self.free == len(self.sizes):
            return np.full(blocks, self.correction(misfit)[2])
        parts, unseen, _ = self._lacking(residuals)
        each = self.values[:, self.free :].reshape(blocks, -1, len(parts))
        moved = np.linalg.norm(each @ parts, axis=1)
        return np.hypot(moved, np.sqrt(np.sum((each * unseen) ** 2, axis=(1, 2))))

    def _lacking(self, residuals: np.ndarray) -> tuple[np.ndarray, np.ndarray, float]:
        """Return the amounts of functions that are not free, what is uncertain, what stays."""
        rows, sizes = self.rows[:, self.free :], self.sizes[self.free :]
        parts = rows.T @ residuals
        stays = float(np.linalg.norm(residuals - rows @ parts))
        unseen = np.where(sizes > WEAK, stays * sizes, 0.0) / len(residuals) ** 0.5
        return sizes * parts, unseen, stays


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
    functions, sizes, turned = np.linalg.svd(values, full_matrices=False)
    return Enlarged(left[:, kept] @ turned.T, sizes, functions, np.asarray(fresh.places))


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

    def images(
        self, parameters: Any, a: np.ndarray, orders: np.ndarray, x: np.ndarray
    ) -> np.ndarray:
        """Return Σ a_β D^β of all at N points, (N, P): D^β e^{λ·z} = λ^β e^{λ·z}, λ = a + ib."""
        planes, (growth, turns) = parameters
        a = a / np.prod(np.asarray(self.map.scale) ** orders, axis=1)
        z = AffineMap(np.asarray(self.map.shift), np.asarray(self.map.scale))(x)
        level = np.sum(np.maximum(growth, 0.0), axis=1)
        powers = np.prod((growth + 1j * turns)[:, None, :] ** orders, axis=2).T
        waves = np.exp(z @ growth.T - level + 1j * (z @ turns.T)) * (a @ powers)
        activation = DERIVATIVES[self.plain.activation]
        plain = images_of_features(activation, planes, a, orders, z)
        return np.concatenate([plain, waves.real, waves.imag], axis=1)


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

"""Modes: exponentials and waves that equations let through, by their frozen coefficients."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from .._runtime.compute import quickly
from ..geometry.boxes import Box
from ..geometry.points import AffineMap
from ..operators import AbstractOperator, Coupled, Linearised
from .collocation import FRESH_POINTS

#: Exponentials and waves beside them, each with two phases, at most; none with more than 20 turns
#: a side, which the points do not resolve. Faces that are points see
#: steep ones whatever their width; elsewhere one that changes between points seems free.
MODES, FASTEST, STEEPEST = 100, 40 * np.pi, 1e7
#: Points, besides the centre, at which coefficients are frozen for these.
FROZEN_AT = 3
RADIUS = 2 * np.pi
#: Exponents nearer than this are one: their difference would be round-off.
APART = 0.03
SEED = 90_001


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

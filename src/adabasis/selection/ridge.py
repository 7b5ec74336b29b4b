"""Choices made from the data without training: ridge and feature scale.

One factorization of the rows gives the leave-one-out residuals of every ridge in closed form, so a
choice costs a few least-squares solves and needs no held-out rows.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from .. import lstsq, rows
from .._runtime.compute import quickly
from .._runtime.notation import Parameters
from ..basis import AbstractBasis

#: Ridges tried, relative to the largest singular value of the unit-norm columns, squared.
RIDGES = np.array([0.0, *np.logspace(-12, 1, 14)])
#: The largest ridge whose left-out error is within this share of the least one is taken: it costs
#: next to nothing on the data and keeps coefficients small in gaps between them.
INDIFFERENCE = 0.1
SCALES = (0.25, 0.5, 1.0, 2.0, 4.0, 8.0)
#: Entries of a design matrix the search will factorize: bounds memory at about 1 GB.
MOST_NUMBERS = 3 * 10**7


@quickly(once=True)
def _scores(
    basis: AbstractBasis, parameters: Parameters, term: rows.Term
) -> tuple[Array, Array, Array]:
    """Return the left-out error of every relative ridge, the best one and its coefficients."""
    block = rows.assemble([term], basis, parameters)
    factors = lstsq.factorize(block.matrix)
    ridges = jnp.asarray(RIDGES) * factors.s[0] ** 2

    def error(ridge: Array) -> Array:
        return _left_out_error(factors.loo_residuals(block.rhs, ridge))

    errors = jax.lax.map(error, ridges)
    errors = jnp.where(jnp.isfinite(errors), errors, jnp.inf)
    good = errors <= (1 + INDIFFERENCE) * jnp.min(errors)
    best = jnp.max(jnp.where(good, jnp.arange(len(RIDGES)), 0))
    return errors[best], best, factors.solve(block.rhs, ridges[best])


@quickly(once=True)
def _score_with(
    basis: AbstractBasis, parameters: Parameters, term: rows.Term, ridge: Array
) -> tuple[Array, Array]:
    """Return the left-out error and coefficients of one ridge on unscaled coefficients."""
    block = rows.assemble([term], basis, parameters)
    n, p = block.matrix.shape
    a = jnp.concatenate([block.matrix, jnp.sqrt(ridge) * jnp.eye(p, dtype=block.matrix.dtype)])
    b = jnp.concatenate([block.rhs, jnp.zeros((p, block.rhs.shape[1]), block.rhs.dtype)])
    factors = lstsq.factorize(a)
    return _left_out_error(factors.loo_residuals(b)[:n]), factors.solve(b)


def _left_out_error(residual: Array) -> Array:
    return jnp.sqrt(jnp.sum(residual**2) / residual.shape[1])


def linear_fit(
    basis: AbstractBasis, parameters: Parameters, term: rows.Term, ridge: float | None = None
) -> tuple[float, float, np.ndarray]:
    """Fit the coefficients on given functions.

    Parameters
    ----------
    basis : AbstractBasis
    parameters : pytree
    term : rows.Term
    ridge : float, optional
        λ in the weighted mean square plus λ‖c‖²; by default one of :data:`RIDGES` is chosen by
        leave-one-out error.

    Returns
    -------
    ridge, error : float
        The ridge taken, and the root mean square of the leave-one-out residuals.
    coefficients : array, shape (P, Q)
    """
    if ridge is None:
        error, best, c = _scores(basis.canonical(), parameters, term)
        ridge = float(RIDGES[int(best)])
    else:
        error, c = _score_with(basis.canonical(), parameters, term, jnp.asarray(ridge))
    return ridge, float(error), np.asarray(c)


def over_scales(
    basis: AbstractBasis, drawn: Parameters, scales: Sequence[float]
) -> Iterator[tuple[float, AbstractBasis, Parameters]]:
    """Yield a scale, the basis and its parameters: over all scales where its own is left open."""
    for scaled in basis.with_slopes(scales):
        yield scaled.slope, scaled, drawn if scaled is basis else scaled.sloped(drawn)

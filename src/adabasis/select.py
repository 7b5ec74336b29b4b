"""Choices made from the data without training: ridge, feature scale, number of features.

One factorization of the rows gives the leave-one-out residuals of every ridge in closed form, so a
choice costs a few least-squares solves and needs no held-out rows.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator, Sequence

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from . import lstsq, rows
from .basis import AbstractBasis, FrozenFeatures
from .notation import AnyArray, Parameters, RandomKey
from .points import Points

RIDGES = np.array([0.0, *np.logspace(-12, 1, 14)])
"""Ridges tried, relative to the largest singular value of the unit-norm columns, squared."""
SCALES = (0.25, 0.5, 1.0, 2.0, 4.0, 8.0)
WIDTHS = (16, 64, 256, 512, 1024)
MOST_NUMBERS = 3 * 10**7
"""Entries of a design matrix the search will factorize: bounds memory at about 1 GB."""


@dataclasses.dataclass(frozen=True)
class LinearFit:
    """A least-squares fit on fixed functions, its ridge chosen by leave-one-out error."""

    basis: AbstractBasis
    parameters: Parameters
    coefficients: np.ndarray
    ridge: float
    left_out_error: float
    rank: int
    singular_values: np.ndarray

    @property
    def label(self) -> str:
        """A few words for tables."""
        return describe(self.basis)


def describe(basis: AbstractBasis) -> str:
    """Return a basis's kind and its numbers in a few words."""
    numbers = {k: v for k, v in basis.config().items() if type(v) in (int, float)}
    return f"{type(basis).__name__} " + ", ".join(f"{k} {v:g}" for k, v in numbers.items())


@eqx.filter_jit
def _scores(basis: AbstractBasis, parameters: Parameters, term: rows.Term) -> tuple[Array, ...]:
    """Return the left-out error of every ridge, the coefficients of the best, rank, spectrum."""
    block = rows.assemble([term], basis, parameters)
    factors = lstsq.factorize(block.matrix)
    ridges = jnp.asarray(RIDGES) * factors.s[0] ** 2

    def error(ridge: Array) -> Array:
        return jnp.sqrt(jnp.sum(factors.left_out(block.rhs, ridge) ** 2) / block.rhs.shape[1])

    errors = jax.lax.map(error, ridges)
    best = jnp.argmin(jnp.where(jnp.isfinite(errors), errors, jnp.inf))
    return errors, best, factors.solve(block.rhs, ridges[best]), factors.rank, factors.s


def linear_fit(
    basis: AbstractBasis, parameters: Parameters, points: Points, y: AnyArray
) -> LinearFit:
    """Fit the coefficients on given functions, choosing the ridge by leave-one-out error."""
    errors, best, c, rank, s = _scores(canonical(basis), parameters, rows.Term(points, y))
    return LinearFit(
        basis,
        parameters,
        np.asarray(c),
        float(RIDGES[int(best)]),
        float(errors[best]),
        int(rank),
        np.asarray(s),
    )


def canonical(basis: AbstractBasis) -> AbstractBasis:
    """Return an equal basis that compiles once: the scale of frozen features enters only ξ."""
    return basis.replace(scale=1.0) if isinstance(basis, FrozenFeatures) else basis


def frozen_fits(
    templates: Sequence[FrozenFeatures],
    points: Points,
    y: AnyArray,
    key: RandomKey,
    box: np.ndarray,
) -> Iterator[LinearFit]:
    """Fit frozen features of each template, over all scales where a template leaves it open.

    Every scale is tried for the first template; later ones try the best so far and its
    neighbours. Yields fits one by one, so that a caller can stop early.
    """
    bounds = jnp.asarray(box)
    scales: Sequence[float] = SCALES
    for template in templates:
        tried = {}
        for scale in scales if template.scale == "auto" else [float(template.scale)]:
            basis = template.replace(scale=scale)
            fit = linear_fit(basis, basis.init(key, bounds), points, y)
            tried[scale] = fit.left_out_error
            yield fit
        if template.scale == "auto":
            middle = min(tried, key=lambda s: tried[s])
            scales = [s for s in SCALES if middle / 2 <= s <= 2 * middle]


def widths_for(n_rows: int, n_inputs: int) -> list[int]:
    """Return the feature counts worth trying for N rows: at most N/2 functions, within memory."""
    most = min(n_rows // 2, MOST_NUMBERS // max(n_rows, 1)) - n_inputs - 1
    fitting = [w for w in WIDTHS if w <= most]
    return fitting[1:] if len(fitting) > 1 else fitting or [max(1, most)]


def spread(y: np.ndarray, weight: np.ndarray) -> float:
    """Return the weighted root mean square of the columns of y about their means."""
    probability = weight / weight.sum()
    mean = probability @ y
    return math.sqrt(max(float(np.mean(probability @ (y - mean) ** 2)), 0.0))

"""The least-squares system of a problem on a basis: its rows, its solution, what it misses."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from .. import lstsq, rows
from .._runtime.compiled import quickly
from .._runtime.notation import AnyArray, Parameters
from ..basis import AbstractBasis
from ..basis import MappedBasis as OnDomain
from ..geometry.samplers import AbstractSampler, Sobol
from ..operators import Identity
from .problem import LinearProblem, Part, unit_map

RIDGE = 1e-13
"""Relative ridge on unit-norm columns: as accurate as a truncated SVD, several times cheaper."""
ROWS_PER_FUNCTION = 2.0
FRESH_SEED = 7_919
FRESH_POINTS = 2048


@dataclasses.dataclass(frozen=True, eq=False)
class Rows:
    """The terms of a problem at one set of points.

    Attributes
    ----------
    parts : list of Part
        The equation first.
    unit : float
        The scale of u.
    sampler : AbstractSampler
    """

    parts: list[Part]
    unit: float
    sampler: AbstractSampler

    @property
    def n_rows(self) -> int:
        """Rows of all terms."""
        return sum(len(p.data) for p in self.parts)

    def terms(self, kind: str, *, scaled: bool = False) -> list[rows.Term]:
        """Return the terms of the ``"equation"`` or the ``"condition"``s."""
        return [p.term(self.unit, scaled=scaled) for p in self.parts if p.kind == kind]

    def scaled(self) -> list[rows.Term]:
        """Return all terms in units of u, weights given being left aside."""
        return [*self.terms("equation", scaled=True), *self.terms("condition", scaled=True)]

    def weighted(self, weight: float) -> list[rows.Term]:
        """Return all terms, the conditions' unscaled weights times ``weight``²."""
        return [
            dataclasses.replace(
                part.term(self.unit),
                weight=jnp.asarray(part.weight * self._factor(part, weight)),
            )
            for part in self.parts
        ]

    def _factor(self, part: Part, weight: float) -> float:
        chosen = part.kind == "condition" and part.piece.weight is None
        return weight**2 if chosen else 1.0


def rows_for(problem: LinearProblem, width: int, sampler: AbstractSampler, seed: int = 0) -> Rows:
    """Return rows for a basis of ``width`` functions, twice as many inside, more on faces."""
    d = problem.domain.n_inputs
    n_face = max(2, int(3 * width ** ((d - 1) / d)))
    parts = problem.parts(sampler, int(ROWS_PER_FUNCTION * width), n_face, seed)
    return Rows(parts, problem.unit(parts), sampler)


def fresh_rows(problem: LinearProblem, unit: float) -> Rows:
    """Return rows at points no solve has seen."""
    n_face = 256 if problem.domain.n_inputs > 1 else 1
    return Rows(problem.parts(Sobol(), FRESH_POINTS, n_face, FRESH_SEED), unit, Sobol())


@quickly()
def reduced(
    basis: AbstractBasis, parameters: Parameters, terms: Sequence[rows.Term]
) -> lstsq.Reduction:
    """Return the reduction of the rows of terms."""
    block = rows.assemble(terms, basis, parameters)
    return lstsq.reduce(block.matrix, block.rhs)


@quickly()
def solved(
    basis: AbstractBasis, parameters: Parameters, terms: Sequence[rows.Term]
) -> tuple[Array, Array]:
    """Return coefficients (P, 1) and the triangle (P, P) of the columns scaled to unit norm."""
    reduction = reduced(basis, parameters, terms)
    return ridged(reduction), lstsq.unit_columns(reduction)[0].triangle


def ridged(reduction: lstsq.Reduction) -> Array:
    """Return coefficients with the relative ridge :data:`RIDGE`."""
    return lstsq.solve(reduction, relative_ridge=RIDGE**2, method="triangular").coefficients


@quickly()
def unit_triangle(
    basis: AbstractBasis, parameters: Parameters, terms: Sequence[rows.Term]
) -> Array:
    """Return the triangle (P, P) of the columns scaled to unit norm."""
    return lstsq.unit_columns(reduced(basis, parameters, terms))[0].triangle


@quickly(jax.jit)
def singular_values(triangle: Array) -> Array:
    """Return the singular values of a triangle (P, P)."""
    return jnp.linalg.svd(triangle, compute_uv=False)


@quickly()
def _misfits(
    basis: AbstractBasis, parameters: Parameters, terms: Sequence[rows.Term], c: AnyArray
) -> list[Array]:
    """Return the weighted residual of each row of each term."""
    return [t.root_weights * (_left_side(t, basis, parameters, c) - t.targets[:, 0]) for t in terms]


def _left_side(term: rows.Term, basis: AbstractBasis, parameters: Parameters, c: AnyArray) -> Array:
    """Return L[Φ c] at the term's points, (N,): by the matrix where L is linear, one GEMM."""
    if term.operator.linear:
        return (term.design(basis, parameters) @ c)[:, 0]
    return jax.vmap(term.point_values(basis, parameters, jnp.asarray(c)))(
        jnp.asarray(term.points.x)
    )[:, 0]


@quickly()
def values(basis: AbstractBasis, parameters: Parameters, x: AnyArray, c: AnyArray) -> Array:
    """Return u at N points, (N,)."""
    return (rows.evaluate(Identity(), basis, parameters, x) @ c)[:, 0]


@dataclasses.dataclass(frozen=True, eq=False)
class Misfit:
    """Residuals on fresh points, relative to u: what a candidate is judged by.

    Attributes
    ----------
    equation, conditions : float
        Root mean squares in units of u, over that of u.
    by_term : list of arrays
        Row by row, weighted so that the squares sum to the mean square.
    """

    equation: float
    conditions: float
    by_term: list[np.ndarray]

    @classmethod
    def relative(cls, found: Sequence[np.ndarray], level: float) -> Misfit:
        """Return it from the weighted residuals of each term and the root mean square of u."""
        level = float(level) or 1.0
        squares = [float(np.sum(m**2)) for m in found]
        first, others = np.sqrt(squares[0]), np.sqrt(sum(squares[1:]))
        return cls(first / level, others / level, [m / level for m in found])

    @property
    def score(self) -> float:
        """Both together."""
        total = float(np.hypot(self.equation, self.conditions))
        return total if np.isfinite(total) else np.inf


def misfit(fresh: Rows, basis: AbstractBasis, parameters: Parameters, c: AnyArray) -> Misfit:
    """Measure u = Φ c on fresh points."""
    found = [np.asarray(m) for m in _misfits(basis, parameters, fresh.scaled(), c)]
    u = np.asarray(values(basis, parameters, fresh.parts[0].piece.x, c))
    return Misfit.relative(found, np.sqrt(np.mean(u**2)))


def on_domain(problem: LinearProblem, basis: AbstractBasis) -> OnDomain:
    """Return a basis as functions of the problem's domain."""
    return OnDomain(basis, unit_map(problem.domain))

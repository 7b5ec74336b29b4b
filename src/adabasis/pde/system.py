"""The least-squares system of a problem on a basis: its rows, its solution, what it misses."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from .. import lstsq
from .._runtime.compute import quickly
from .._runtime.notation import AnyArray, Parameters
from ..basis import AbstractBasis
from ..basis.enriched import column_mask
from ..operators import Identity
from ..rows import AbstractTerm, Term, assemble, design, evaluate, spots, targets
from ..rows.closed_form import rows_in_closed_form
from .collocation import CollocationRows, fresh_rows

#: Relative ridge on unit-norm columns: as accurate as a truncated SVD, several times cheaper.
RIDGE = 1e-13
#: The same for several unknowns, where one is an order smoother than another and what is cut off
#: of the latter shows: on Stokes flow 519 functions each give u to 4e-10, p to 1e-7; with the ridge
#: of one unknown 7e-9 and 2e-6.
SEVERAL_RIDGE = 1e-15


def reduced(
    basis: AbstractBasis, parameters: Parameters, terms: Sequence[AbstractTerm]
) -> lstsq.Reduction:
    """Return the reduction of the rows of terms."""
    known = rows_in_closed_form(terms, basis, parameters)
    if known is None:
        return _reduced(basis, parameters, terms)
    return _reduced_rows(known, targets(terms))


@quickly()
def _reduced(
    basis: AbstractBasis, parameters: Parameters, terms: Sequence[AbstractTerm]
) -> lstsq.Reduction:
    block = assemble(terms, basis, parameters)
    return lstsq.reduce(block.matrix, block.rhs)


@quickly()
def _reduced_rows(matrix: AnyArray, rhs: AnyArray) -> lstsq.Reduction:
    return lstsq.reduce(jnp.asarray(matrix), rhs)


def solved(
    basis: AbstractBasis,
    parameters: Parameters,
    terms: Sequence[AbstractTerm],
    ridge: float,
    method: str = "triangular",
) -> tuple[Array, lstsq.Reduction]:
    """Return coefficients (P, 1) and the reduction that they are from.

    ``method="svd"`` truncates instead of the relative ridge.
    """
    reduction = reduced(basis, parameters, terms)
    return _ridged(reduction, ridge, method, several(terms)), reduction


def several(terms: Sequence[AbstractTerm]) -> bool:
    """Whether the terms are about several unknowns."""
    return any(operator.n_unknowns > 1 for term in terms for operator in term.used)


@quickly()
def _ridged(reduction: lstsq.Reduction, ridge: float, method: str, many: bool) -> Array:
    return ridged(reduction, ridge, method, many)


def ridged(
    reduction: lstsq.Reduction,
    ridge: float | Array,
    method: str = "triangular",
    many: bool = False,
) -> Array:
    """Return coefficients with a ridge λ‖c‖² besides the relative one, :data:`RIDGE`."""
    least = SEVERAL_RIDGE if many else RIDGE
    relative = least**2 if method == "triangular" else 0.0
    return lstsq.solve(reduction, ridge=ridge, relative_ridge=relative, method=method).coefficients


@quickly(jax.jit)
def _singular_values(triangle: Array) -> Array:
    return jnp.linalg.svd(triangle, compute_uv=False)


def images(
    basis: AbstractBasis,
    parameters: Parameters,
    terms: Sequence[AbstractTerm],
    x: AnyArray,
    units: AnyArray | None = None,
) -> tuple[AnyArray, Array]:
    """Return the weighted rows of terms, and Φ at N points, or :func:`of_blocks`."""
    known = rows_in_closed_form(terms, basis, parameters)
    if known is None:
        return _images(basis, parameters, terms, x, units)
    return known, _of_blocks(basis, parameters, x, units)


@quickly()
def _images(
    basis: AbstractBasis,
    parameters: Parameters,
    terms: Sequence[AbstractTerm],
    x: AnyArray,
    units: AnyArray | None,
) -> tuple[Array, Array]:
    return design(terms, basis, parameters), of_blocks(basis, parameters, x, units)


@quickly()
def _of_blocks(
    basis: AbstractBasis, parameters: Parameters, x: AnyArray, units: AnyArray | None
) -> Array:
    return of_blocks(basis, parameters, x, units)


def of_blocks(
    basis: AbstractBasis, parameters: Parameters, x: AnyArray, units: AnyArray | None
) -> Array:
    """Return Φ at N points, (N, P), or B unknowns over their units, one by one: (B·N, B·P)."""
    phi = evaluate(Identity(), basis, parameters, x)
    if units is None:
        return phi
    units = jnp.asarray(units)
    mask = column_mask(basis, units.shape[0])
    if mask is not None:
        parts = mask.reshape(units.shape[0], -1)
        each = jnp.broadcast_to(units.T, (phi.shape[0], units.shape[0])).T
        pairs = zip(each, parts, strict=True)
        return jax.scipy.linalg.block_diag(*(phi * part / one[:, None] for one, part in pairs))
    if units.ndim == 1:
        return jnp.kron(jnp.diag(1 / units), phi)
    return jax.scipy.linalg.block_diag(*(phi / one[:, None] for one in units))


@quickly()
def _misfits(
    basis: AbstractBasis, parameters: Parameters, terms: Sequence[Term], c: AnyArray
) -> list[Array]:
    """Return the weighted residual of each row of each term, some of which are not linear."""
    return [t.root_weights * (_left_side(t, basis, parameters, c) - t.targets[:, 0]) for t in terms]


def _left_side(term: Term, basis: AbstractBasis, parameters: Parameters, c: AnyArray) -> Array:
    """Return L[Φ c] at the term's points, (N,): by the matrix where L is linear, one GEMM."""
    if term.operator.linear:
        return (term.design(basis, parameters) @ c)[:, 0]
    return jax.vmap(term.point_values(basis, parameters, jnp.asarray(c)))(spots(term.points))[:, 0]


@quickly()
def values(
    basis: AbstractBasis,
    parameters: Parameters,
    x: AnyArray,
    c: AnyArray,
    units: AnyArray | None = None,
) -> Array:
    """Return u at N points, (N,), or several unknowns over their units, (N, B)."""
    phi = evaluate(Identity(), basis, parameters, x)
    if units is None:
        return (phi @ c)[:, 0]
    units = jnp.asarray(units)
    return phi @ jnp.asarray(c).reshape(units.shape[0], -1).T / units.T


@dataclasses.dataclass(frozen=True, eq=False)
class Misfit:
    """Residuals on fresh points, relative to u: what a candidate is judged by.

    Attributes
    ----------
    equation, conditions : float
        Root mean squares in units of u, over that of u.
    by_term : list of arrays
        Row by row, weighted so that the squares sum to the mean square.
    data : float
        Root mean square of all data.
    """

    equation: float
    conditions: float
    by_term: list[np.ndarray]
    data: float

    @classmethod
    def relative(
        cls,
        residuals: Sequence[np.ndarray],
        data: Sequence[np.ndarray],
        level: float,
        equations: int = 1,
    ) -> Misfit:
        """Return it from the weighted residuals and data of each term and the size of u."""
        nothing, level = level == 0, float(level) or 1.0
        squares = [float(np.sum(r**2)) for r in residuals]
        equation = np.sqrt(sum(squares[:equations]))
        conditions = np.sqrt(sum(squares[equations:]))
        given = float(np.sqrt(sum(float(np.sum(d**2)) for d in data)))
        each = [r / level for r in residuals]
        if nothing and equation + conditions > 0:  # u is 0, and no solution
            return cls(np.inf, np.inf, each, given)
        return cls(equation / level, conditions / level, each, given / level)

    @property
    def score(self) -> float:
        """Both together."""
        total = float(np.hypot(self.equation, self.conditions))
        return total if np.isfinite(total) else np.inf


def misfit(
    fresh: CollocationRows, basis: AbstractBasis, parameters: Parameters, c: AnyArray
) -> Misfit:
    """Measure u = Φ c on fresh points."""
    terms, units = fresh.scaled(), fresh.units
    given = [np.asarray(term.root_weights) * term.data[:, 0] for term in terms]
    if fresh.problem.linear:
        found = images(basis, parameters, terms, fresh.x, units)
        rows, phi = (np.asarray(a) @ c for a in found)
        ends = np.cumsum([len(d) for d in given])[:-1]
        residuals = [r - d for r, d in zip(np.split(rows[:, 0], ends), given, strict=True)]
    else:
        residuals = [np.asarray(r) for r in _misfits(basis, parameters, terms, c)]
        phi = np.asarray(values(basis, parameters, fresh.x, c, units))
    return Misfit.relative(residuals, given, np.sqrt(np.mean(phi**2)), fresh.n_equations)


@dataclasses.dataclass(frozen=True, eq=False)
class CollocationSystem:
    """The rows of a problem on functions; its factors are computed once, when asked for.

    Attributes
    ----------
    basis : AbstractBasis
        Its functions are those of the domain, canonical: they compile once for all slopes.
    parameters : pytree
    rows : CollocationRows
    weight : float
        The boundary weight.
    ridge : float
        λ in λ‖c‖², besides the one against round-off.
    known : lstsq.Reduction or None
        That of the rows, where a solve has left it.
    """

    basis: AbstractBasis
    parameters: Parameters
    rows: CollocationRows
    weight: float
    ridge: float = 0.0
    known: lstsq.Reduction | None = None

    @property
    def n_rows(self) -> int:
        """Rows of all terms."""
        return self.rows.n_rows

    @property
    def terms(self) -> list[AbstractTerm]:
        """The weighted terms, ties of the basis among them."""
        return self.rows.weighted(self.weight, self.basis)

    def values(self, x: np.ndarray, c: AnyArray) -> np.ndarray:
        """Return Φ c at N points, (N,), or several unknowns over their units, (N, B)."""
        units = None if self.rows.scales is None else self.rows.units_at(np.asarray(x))
        return np.asarray(values(self.basis, self.parameters, x, c, units))

    @property
    def n_blocks(self) -> int:
        """B."""
        return self.rows.problem.n_blocks

    @property
    def reduction(self) -> lstsq.Reduction:
        """The reduction of the rows of a linear problem."""
        return self.known or reduced(self.basis, self.parameters, self.terms)

    @functools.cached_property
    def singular_values(self) -> np.ndarray:
        """Those of the unit-norm columns, (P,), descending; NaN where L is not linear."""
        if not self.rows.problem.linear:
            return np.full(self.n_blocks * self.basis.size(self.rows.x.shape[1]), np.nan)
        return np.asarray(_singular_values(lstsq.unit_columns(self.reduction)[0].triangle))

    @property
    def rank(self) -> int:
        """Independent functions; all of them where the equation is not linear."""
        dependent = self.singular_values <= lstsq.RCOND * self.singular_values[0]
        return int(np.sum(~dependent))

    @functools.cached_property
    def factor(self) -> Factor:
        """What later right-hand sides are solved by."""
        fresh = fresh_rows(self.rows.problem, 1.0, self.rows.scales)
        arrays = self.basis, self.parameters, self.terms, self.ridge
        places = jnp.asarray(fresh.x), fresh.units
        return Factor(fresh, *_factored(*arrays, fresh.scaled(), *places))


@dataclasses.dataclass(frozen=True, eq=False)
class Factor:
    """An orthonormal factor of a system's rows, and the rows of its functions on fresh points.

    Attributes
    ----------
    fresh : CollocationRows
        Points that no solve has seen.
    roots : array, shape (N, 1)
        √(ε w / Σ w) of the rows.
    rows : lstsq.OrthonormalFactor
    unseen : list of arrays
        The weighted rows of each term there, (N_k, P).
    phi : array, shape (N, P)
        The functions at the equation's points there; of several unknowns one after another.
    """

    fresh: CollocationRows
    roots: Array
    rows: lstsq.OrthonormalFactor
    unseen: list[Array]
    phi: Array

    def solve(self, data: Sequence[np.ndarray]) -> np.ndarray:
        """Return the coefficients (P, K) for K right-hand sides: (N_k, K) for each term."""
        right = np.concatenate(data)
        ties = np.zeros((len(self.roots) - len(right), right.shape[1]))  # a basis may have some
        return np.asarray(self.rows.solve(self.roots * np.concatenate([right, ties])))

    def misfits(self, c: np.ndarray, data: Sequence[np.ndarray]) -> list[Misfit]:
        """Return the misfits of K right-hand sides.

        Parameters
        ----------
        c : array, shape (P, K)
        data : sequence of arrays, shapes (N_k, K)
            Unweighted, a term each.
        """
        u = np.asarray(self.phi) @ c
        roots = [np.asarray(term.root_weights)[:, None] for term in self.fresh.scaled()]
        given = [root * d for root, d in zip(roots, data, strict=True)]
        residuals = [np.asarray(a) @ c - d for a, d in zip(self.unseen, given, strict=True)]
        levels = np.sqrt(np.mean(u**2, axis=0))
        return [
            Misfit.relative(
                [r[:, k] for r in residuals], [d[:, k] for d in given], v, self.fresh.n_equations
            )
            for k, v in enumerate(levels)
        ]


@quickly()
def _factored(
    basis: AbstractBasis,
    parameters: Parameters,
    terms: Sequence[AbstractTerm],
    ridge: float,
    fresh: Sequence[Term],
    x: Array,
    units: AnyArray | None,
) -> tuple[Array, lstsq.OrthonormalFactor, list[Array], Array]:
    """Return the fields of a factor, but for the first."""
    roots = jnp.concatenate([term.root_weights for term in terms])[:, None]
    least = SEVERAL_RIDGE if several(terms) else RIDGE
    factor = lstsq.orthonormalize(design(terms, basis, parameters), least**2, ridge)
    unseen = [design([term], basis, parameters) for term in fresh]
    return roots, factor, unseen, of_blocks(basis, parameters, x, units)

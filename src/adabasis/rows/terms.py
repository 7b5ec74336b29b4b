"""From (operator, basis, points, data, weight) to rows of a weighted least-squares problem.

A *term* states ε Σ w_i |L[u](x_i) − data_i|² / Σ w. Its rows are √(ε w_i / Σ w) [LΦ(x_i) | data_i]:
the squared norm of all rows together is the multi-term loss (slides eq. 6 and 11). This is the only
module that maps a basis over points.

The component axis: a model has Q outputs. A :class:`Term` of *decoupled* components shares one
block A: (N, P) among Q right-hand sides. A :class:`CoupledTerm` (one of a system of equations)
names an operator for every (equation, unknown) pair; its block has E·N rows and P·Q columns, one
right-hand side, and unknown q owns columns q·P … (q+1)·P. All terms of one problem are of one kind.
"""

from __future__ import annotations

import abc
import dataclasses
import functools
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array
from jax.flatten_util import ravel_pytree

from .._runtime.notation import AnyArray, DesignMatrix, Parameters
from ..basis.base import AbstractBasis, OnePointBasis
from ..basis.enriched import column_mask
from ..geometry.points import Points
from ..operators import AbstractOperator, Identity


class AbstractTerm(abc.ABC):
    """One term of the loss, before weighting: subclasses are frozen dataclasses and pytrees."""

    points: Points
    weight: float | Array

    @abc.abstractmethod
    def design(self, basis: AbstractBasis, parameters: Parameters) -> Array:
        """Return the unweighted matrix; its rows are the points, once per equation."""

    @abc.abstractmethod
    def point_values(self, basis: OnePointBasis, parameters: Parameters, c: Array) -> Any:
        """Return the function x ↦ the rows of A c that belong to the point x, (Q,) or (E,).

        Points are those of :func:`spots`.
        """

    @property
    @abc.abstractmethod
    def targets(self) -> Array:
        """The unweighted right-hand sides, a row for each row of the matrix."""

    @property
    def used(self) -> Sequence[AbstractOperator]:
        """The operators applied to the model: none, unless a subclass names some."""
        return ()

    @property
    def order(self) -> int:
        """The highest derivative that the operators take."""
        return max((operator.order for operator in self.used), default=0)

    @property
    def linear(self) -> bool:
        """Whether all operators are."""
        return all(operator.linear for operator in self.used)

    @property
    def root_weights(self) -> Array:
        """√(ε w_i / Σ w) for each row."""
        w = jnp.asarray(self.points.weight)
        repeats = self.targets.shape[0] // w.shape[0]
        return jnp.tile(jnp.sqrt(self.weight * w / jnp.sum(w)), repeats)


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class Term(AbstractTerm):
    """One equation for each of Q independent outputs.

    Attributes
    ----------
    points : Points
        N points and their weights.
    data : array, shape (N, Q)
        Required values of L[u].
    operator : AbstractOperator
    weight : float
        ε, the weight of the term's mean square.
    """

    points: Points
    data: AnyArray
    operator: AbstractOperator = dataclasses.field(default_factory=Identity)
    weight: float | Array = 1.0

    def design(self, basis: AbstractBasis, parameters: Parameters) -> Array:
        """Return LΦ at the points, (N, P)."""
        return evaluate(self.operator, basis, parameters, spots(self.points))

    def point_values(self, basis: OnePointBasis, parameters: Parameters, c: Array) -> Any:
        """Return x ↦ L[Φ c](x), (Q,)."""

        def value(spot: Any) -> Array:
            here, point = at_spot(self.operator, spot)
            return here.combined(lambda x: basis(x, parameters), c)(point)

        return value

    @property
    def targets(self) -> Array:
        """The data, (N, Q)."""
        return jnp.asarray(self.data)

    @property
    def used(self) -> Sequence[AbstractOperator]:
        """The one."""
        return (self.operator,)


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class TieTerm(AbstractTerm):
    """What a basis wants of the coefficients besides the data: its ties vanish near the points.

    Attributes
    ----------
    points : Points
    outputs : int
        Q.
    weight : float
        ε, the weight of the mean square.
    """

    points: Points
    outputs: int = dataclasses.field(metadata={"static": True})
    weight: float | Array = 1.0

    def design(self, basis: AbstractBasis, parameters: Parameters) -> Array:
        """Return the ties at the points, (N, P)."""
        return jax.vmap(lambda x: basis.ties(x, parameters))(jnp.asarray(self.points.x))

    def point_values(self, basis: Any, parameters: Parameters, c: Array) -> Any:
        """Return x ↦ the ties of the fitted function there, (Q,)."""
        return lambda x: basis.ties(x, parameters) @ c

    @property
    def targets(self) -> Array:
        """Zeros, (N, Q)."""
        return jnp.zeros((len(self.points), self.outputs), jnp.asarray(self.points.x).dtype)


def tied(term: Term, basis: AbstractBasis) -> list[AbstractTerm]:
    """Return a term of data, and the ties that the basis has at its points, if any."""
    if not basis.tie_weight:
        return [term]
    return [term, TieTerm(term.points, jnp.shape(term.data)[1], basis.tie_weight)]


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class CoupledTerm(AbstractTerm):
    """E equations for Q unknowns that share them: Σ_q L_eq[u_q] = data_e.

    Attributes
    ----------
    points : Points
    data : array, shape (N, E)
    operators : table of AbstractOperator, E rows of Q entries
        ``None`` stands for the zero operator.
    weight : float
        ε, the weight of the mean square of all equations together.
    """

    points: Points
    data: AnyArray
    operators: Sequence[Sequence[AbstractOperator | None]]
    weight: float | Array = 1.0

    def design(self, basis: AbstractBasis, parameters: Parameters) -> Array:
        """Return the block matrix of all L_eq Φ, (E·N, P·Q)."""
        x = self.points.x
        shape = jax.eval_shape(lambda: evaluate(Identity(), basis, parameters, x))
        zero = jnp.zeros(shape.shape, shape.dtype)
        return jnp.block(
            [
                [zero if op is None else evaluate(op, basis, parameters, x) for op in equation]
                for equation in self.operators
            ]
        )

    def point_values(self, basis: OnePointBasis, parameters: Parameters, c: Array) -> Any:
        """Return x ↦ Σ_q L_eq[Φ c_q](x), (E,)."""
        parts = jnp.split(c[:, 0], len(self.operators[0]))
        unknowns = [functools.partial(_unknown, basis, parameters, part) for part in parts]

        def left_side(equation: Sequence[AbstractOperator | None], x: Array) -> Array:
            terms = [op(u)(x) for op, u in zip(equation, unknowns, strict=True) if op is not None]
            return jnp.sum(jnp.stack(terms)) if terms else jnp.zeros((), c.dtype)

        return lambda x: jnp.stack([left_side(equation, x) for equation in self.operators])

    @property
    def targets(self) -> Array:
        """The data equation after equation, (E·N, 1)."""
        return jnp.asarray(self.data).T.reshape(-1, 1)

    @property
    def used(self) -> Sequence[AbstractOperator]:
        """All that are not zero."""
        return [op for equation in self.operators for op in equation if op is not None]


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class Rows:
    """Weighted rows: ``matrix`` A (N, C) and ``rhs`` b (N, K), the loss being ‖A c − b‖²."""

    matrix: Array
    rhs: Array


def _unknown(basis: OnePointBasis, parameters: Parameters, c: Array, x: Array) -> Array:
    return basis(x, parameters) @ c


def evaluate(
    operator: AbstractOperator, basis: AbstractBasis, parameters: Parameters, x: Any
) -> DesignMatrix:
    """Return LΦ at N points, shape (N, P), or (N, B·P) for an operator of B unknowns.

    Points are an array (N, D), or a pair of it and normals (N, D): see :func:`spots`.
    """

    def row(spot: Any) -> Array:
        here, point = at_spot(operator, spot)
        return here.columns(lambda y: basis(y, parameters))(point)

    found = jax.vmap(row)(x if isinstance(x, tuple) else jnp.asarray(x))
    mask = column_mask(basis, operator.n_unknowns) if operator.n_unknowns > 1 else None
    return found if mask is None else found * mask


def spots(points: Points) -> Any:
    """Return points (N, D), those of a boundary in a pair with their normals (N, D)."""
    x = jnp.asarray(points.x)
    return x if points.normal is None else (x, jnp.asarray(points.normal))


def at_spot(operator: AbstractOperator, spot: Any) -> tuple[AbstractOperator, Array]:
    """Return an operator at one of :func:`spots`, and the point."""
    if not isinstance(spot, tuple):
        return operator, spot
    point, normal = spot
    return operator.facing(normal), point


def images_of(operator: AbstractOperator, u: Any, points: Points) -> Array:
    """Return L[u] at N points for a function u of one point."""

    def image(spot: Any) -> Array:
        here, point = at_spot(operator, spot)
        return here(u)(point)

    return jax.vmap(image)(spots(points))


def assemble(terms: Sequence[AbstractTerm], basis: AbstractBasis, parameters: Parameters) -> Rows:
    """Stack the weighted rows of all terms."""
    return Rows(design(terms, basis, parameters), targets(terms))


def design(terms: Sequence[AbstractTerm], basis: AbstractBasis, parameters: Parameters) -> Array:
    """Return the weighted matrix A of all terms: the part of the rows that depends on ξ.

    Neighbours that state the same operator are evaluated together, which compiles once.
    """
    return _stack(
        [
            _stack([t.root_weights for t in like])[:, None] * _design(like, basis, parameters)
            for like in alike(terms)
        ]
    )


def _design(like: Sequence[AbstractTerm], basis: AbstractBasis, parameters: Parameters) -> Array:
    first = like[0]
    if len(like) == 1 or not isinstance(first, Term):
        return first.design(basis, parameters)
    each = [spots(t.points) for t in like]
    x = jax.tree.map(lambda *parts: _stack(list(parts)), *each)
    return evaluate(first.operator, basis, parameters, x)


def alike(terms: Sequence[AbstractTerm]) -> list[list[AbstractTerm]]:
    """Return terms in groups of neighbours with the same operator, no array being part of it."""
    groups: list[list[AbstractTerm]] = []
    for term in terms:
        last = groups[-1][-1] if groups else None
        if isinstance(term, Term) and isinstance(last, Term):
            one, other = (jax.tree.flatten(each.operator) for each in (term, last))
            normals = (term.points.normal is None) == (last.points.normal is None)
            if not one[0] and not other[0] and one == other and normals:
                groups[-1].append(term)
                continue
        groups.append([term])
    return groups


def jacobian(
    terms: Sequence[AbstractTerm], basis: AbstractBasis, parameters: Parameters, c: Array
) -> Array:
    """Return ∂(A(ξ) c)/∂ξ at fixed c: (rows, outputs, n), n the number of entries of ξ.

    A row depends on one point only, so one reverse pass per point and output gives it. Kinks of
    the basis are averaged (:meth:`AbstractBasis.linearizable`) where no operator differentiates.
    """
    flat, unravel = ravel_pytree(parameters)
    blocks = []
    for term in terms:
        smooth = _linearizable(term, terms, basis, parameters)

        def values(
            flat: Array, x: Any, term: AbstractTerm = term, basis: OnePointBasis = smooth
        ) -> Array:
            return term.point_values(basis, unravel(flat), c)(x)

        block = jax.vmap(jax.jacrev(values), in_axes=(None, 0))(flat, spots(term.points))
        if term.targets.shape[0] != block.shape[0]:  # coupled: equation after equation
            block = block.swapaxes(0, 1).reshape(-1, 1, flat.shape[0])
        blocks.append(term.root_weights[:, None, None] * block)
    return _stack(blocks)


def predictions(
    terms: Sequence[AbstractTerm], basis: AbstractBasis, parameters: Parameters, c: Array
) -> Callable[[Parameters], Array]:
    """Return ξ ↦ A(ξ) c, (rows, outputs); its derivative at ``parameters`` is :func:`jacobian`."""
    smooth = [_linearizable(term, terms, basis, parameters) for term in terms]

    def predicted(parameters: Parameters) -> Array:
        blocks = []
        for term, basis in zip(terms, smooth, strict=True):
            block = jax.vmap(term.point_values(basis, parameters, c))(spots(term.points))
            if term.targets.shape[0] != block.shape[0]:
                block = block.T.reshape(-1, 1)
            blocks.append(term.root_weights[:, None] * block)
        return _stack(blocks)

    return predicted


def _linearizable(
    term: AbstractTerm, terms: Sequence[AbstractTerm], basis: AbstractBasis, parameters: Parameters
) -> Any:
    # Average kinks where no term differentiates.
    #
    # In an equation the kinks are to meet points exactly, and only the conditions' rows drive them:
    # with averages there, 14 of 16 advection layers are solved within 25 steps, without them all.
    x = jnp.asarray(term.points.x)
    return basis if any(t.order for t in terms) else basis.linearizable(parameters, x)


def targets(terms: Sequence[AbstractTerm]) -> Array:
    """Return the weighted right-hand sides b of all terms."""
    return _stack([t.root_weights[:, None] * t.targets for t in terms])


def _stack(blocks: list[Array]) -> Array:
    return blocks[0] if len(blocks) == 1 else jnp.concatenate(blocks)

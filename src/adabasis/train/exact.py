"""The last layer at given ξ, solved in float64 on all rows, which come chunk by chunk.

A chunk is stacked under the triangle of those before it and reduced with it: the matrix of all rows
is never in memory, and one program serves every chunk.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from .. import lstsq, rows
from .._runtime.compute import quickly
from .._runtime.notation import AnyArray, Parameters
from ..basis.base import AbstractBasis
from ..geometry.points import bucket
from ..rows.engine import current
from .base import AbstractObjective, CrossEntropy, Objective
from .last_layer import newton
from .passes import Pass, combined, data_rows, padded_rows, rows_at_once

#: Entries of the matrix that Newton's method has before it, which goes over all rows many times.
NEWTON_NUMBERS = 2**24
#: Share of the loss that the last Newton step must promise.
ACCURACY = 1e-6


class Solved(NamedTuple):
    """The last layer at given ξ: coefficients (P, Q), the objective's loss, and the rank."""

    coefficients: np.ndarray
    loss: float
    rank: float


def terms_of(source: rows.AbstractSource, most: int) -> Iterator[rows.Term]:
    """Yield the rows of a source, at most so many at a time, padded to one shape; reading ahead."""
    length = min(most, bucket(source.n_rows))
    chunks = source.chunks(most) if source.in_memory else rows.read_ahead(source.chunks(most))
    for chunk in chunks:
        yield padded_rows(*chunk, length)


def chunks(x: AnyArray, y: AnyArray, weight: AnyArray, most: int) -> Iterator[rows.Term]:
    """Yield all rows in order, ``most`` at a time, padded so that all chunks have one shape."""
    x, y, weight = (np.asarray(array) for array in (x, y, weight))
    for start in range(0, len(x), most):
        part, length = slice(start, start + most), min(most, bucket(len(x)))
        yield padded_rows(x[part], y[part], weight[part], length)


def reduced(
    basis: AbstractBasis, parameters: Parameters, terms: Iterable[rows.Term], total: float
) -> lstsq.Reduction:
    """Reduce the rows [Φ | y] of all chunks, weighted by their share of the total weight.

    What a basis ties is among the rows.
    """
    reduction = None
    for term in terms:
        if reduction is None:
            size = basis.size(term.points.x.shape[1])
            columns = size + np.shape(term.data)[1]
            reduction = lstsq.Reduction(jnp.zeros((columns, columns)), jnp.asarray(0), size)
        reduction = _with(reduction, basis, parameters, term, jnp.asarray(total))
    assert reduction is not None
    return reduction


def reduced_source(
    basis: AbstractBasis, parameters: Parameters, source: rows.AbstractSource, total: float
) -> lstsq.Reduction:
    """Reduce the rows [Φ | y] of a source, by the workers of the block's engine where it has some.

    Parameters
    ----------
    basis, parameters
    source : rows.AbstractSource
    total : float
        Of the weights of all rows.
    """
    size = basis.size(source.n_inputs)
    if not current().apart:
        return reduced(basis, parameters, terms_of(source, rows_at_once(size)), total)
    shared = basis, jax.tree.map(np.asarray, parameters), np.asarray(total)
    task = Pass(data_rows, combined, shared, rows_at_once(size))
    factor = current().map_reduce(task, source.parts(), combined)
    return lstsq.Reduction(jnp.asarray(factor), source.statistics().n_rows, size)


@quickly()
def _with(
    before: lstsq.Reduction,
    basis: AbstractBasis,
    parameters: Parameters,
    term: rows.Term,
    total: Array,
) -> lstsq.Reduction:
    weight = jnp.asarray(term.points.weight)
    root = jnp.sqrt(weight / total)[:, None]
    design = term.design(basis, parameters)
    blocks = [before.factor, jnp.concatenate([root * design, root * term.targets], axis=1)]
    _, *ties = rows.tied(term, basis)
    if ties:  # with the share of the rows that this chunk has
        block = rows.assemble(ties, basis, parameters)
        share = jnp.sqrt(jnp.sum(weight) / total)
        blocks.append(share * jnp.concatenate([block.matrix, block.rhs], axis=1))
    factor = lstsq.triangularize(jnp.concatenate(blocks))
    n_rows = before.n_rows + jnp.sum(weight > 0)
    return dataclasses.replace(before, factor=factor, n_rows=n_rows)


@quickly(once=True)
def _solution(reduction: lstsq.Reduction, ridge: Array, relative: Array) -> lstsq.Solution:
    return lstsq.solve(reduction, ridge=ridge, relative_ridge=relative)


@quickly()
def _newton(objective: CrossEntropy, parameters: Parameters, start: Array) -> Any:
    return newton(objective, objective.design(parameters), start, tol=ACCURACY)


def solved(
    objective: AbstractObjective,
    parameters: Parameters,
    start: AnyArray,
    relative: float = 0.0,
    source: rows.AbstractSource | None = None,
) -> Solved:
    """Solve the last layer of an objective about rows of data.

    Least squares goes over all rows chunk by chunk. Newton's method has as many before it as fit
    into a fixed memory, evenly spaced; rows are in no order that would matter, or so it is hoped.

    Parameters
    ----------
    objective : Objective or CrossEntropy
    parameters : pytree
    start : array, shape (P, Q)
        Where Newton's method begins.
    relative : float
        A ridge relative to the largest singular value of unit-norm columns, squared, besides.
    source : rows.AbstractSource, optional
        Rows to solve least squares on in place of the objective's.
    """
    term, basis = objective.data, objective.basis
    assert term is not None
    x, weight = np.asarray(term.points.x), np.asarray(term.points.weight)
    if isinstance(objective, Objective):
        if source is None:
            source = rows.ArraySource(x, np.asarray(term.data), weight)
        total = source.statistics().total_weight
        reduction = reduced_source(basis, parameters, source, total)
        found = _solution(reduction, jnp.asarray(objective.ridge, float), jnp.asarray(relative))
        squares = float(jnp.mean(found.residual_norm**2))
        return Solved(np.asarray(found.coefficients), squares, float(found.rank))
    assert isinstance(objective, CrossEntropy)
    most = max(64, NEWTON_NUMBERS // basis.size(x.shape[1]))
    some = np.linspace(0, len(x) - 1, min(len(x), most)).round().astype(int)
    part = padded_rows(x[some], np.asarray(term.data)[some], weight[some], bucket(len(some)))
    part_of: Any = objective.of_rows(part)
    ridge = jnp.asarray(objective.ridge, float) + relative
    part_of = dataclasses.replace(part_of, ridge=ridge)
    layer = _newton(part_of, parameters, jnp.asarray(start, float))
    return Solved(np.asarray(layer.coefficients), float(layer.loss), float(layer.rank))


@quickly()
def _error(objective: AbstractObjective, parameters: Parameters, c: AnyArray) -> Array:
    return objective.error(parameters, c)


def error(objective: AbstractObjective, parameters: Parameters, c: AnyArray) -> float:
    """Return the error of a model on rows of data, chunk by chunk."""
    term = objective.data
    assert term is not None
    size = objective.basis.size(term.points.x.shape[1])
    power = 2.0 if isinstance(objective, Objective) else 1.0
    total = mean = 0.0
    for part in chunks(term.points.x, term.data, term.points.weight, rows_at_once(size)):
        weight = float(np.sum(np.asarray(part.points.weight)))
        if weight:
            one = float(_error(objective.of_rows(part), parameters, c)) ** power
            total, mean = total + weight, mean + weight * one
    return float((mean / total) ** (1 / power))

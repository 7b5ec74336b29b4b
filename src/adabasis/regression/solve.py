"""The last solve: rows of data reduced chunk by chunk, with the ridge that was chosen."""

from __future__ import annotations

import dataclasses

import jax.numpy as jnp
import numpy as np
from jax import Array

from .. import lstsq, rows
from .._runtime.compute import quickly
from .._runtime.notation import Parameters
from ..basis import AbstractBasis
from ..geometry.boxes import bucket
from ..models.record import Ridge
from ..train.exact import padded_rows, reduced, rows_at_once


def solve_rows(
    model: tuple[AbstractBasis, Parameters], source: rows.AbstractSource, ridge: Ridge
) -> lstsq.Solution:
    """Reduce rows chunk by chunk, in the model's units, and solve; members apart, then their mean.

    Parameters
    ----------
    model : (AbstractBasis, pytree)
        The functions.
    source : rows.AbstractSource
        Rows in the model's units.
    ridge : Ridge
    """
    basis, parameters = model
    total = source.statistics().total_weight
    solutions = []
    for part, inside in basis.members(parameters):
        part = part.canonical()
        values = np.full(part.size(source.n_inputs), ridge.value)
        values[len(values) - ridge.n_free :] = 0.0
        shrink = jnp.asarray(values if ridge.relative else values / total)
        most = rows_at_once(part.size(source.n_inputs))
        length = min(most, bucket(source.n_rows))
        chunks = (padded_rows(*chunk, length) for chunk in source.chunks(most))
        reduction = reduced(part, inside, chunks, total)
        solutions.append(_solved(reduction, shrink, relative=ridge.relative))
    return solutions[0] if len(solutions) == 1 else lstsq.average(solutions)


@quickly(once=True)
def _solved(reduction: lstsq.Reduction, ridge: Array, *, relative: bool) -> lstsq.Solution:
    """Solve with a ridge, or one relative to the largest singular value of unit-norm columns.

    Rank, singular values and status are those of the rows alone: a ridge hides them.
    """
    absolute, share = (0.0, ridge) if relative else (ridge, 0.0)
    solution = lstsq.solve(reduction, ridge=absolute, relative_ridge=share)
    plain = lstsq.solve(reduction)
    return dataclasses.replace(
        solution, rank=plain.rank, singular_values=plain.singular_values, status=plain.status
    )

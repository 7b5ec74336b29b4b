"""The last solve: rows of data reduced chunk by chunk, with the ridge that was chosen."""

from __future__ import annotations

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np

from .. import lstsq, rows
from .._runtime.compute import quickly
from .._runtime.notation import AnyArray, Parameters
from .._runtime.timing import charged_to
from ..basis import AbstractBasis
from ..geometry.points import bucket
from ..lstsq.reduce import BLOCK_ROWS
from ..models.evaluation import CHUNK_NUMBERS
from ..models.record import Ridge
from ..train.exact import padded_rows, reduced, rows_at_once

#: Entries of a design matrix in memory at once in NumPy (8 MiB): blocks fit in the cache.
NUMPY_NUMBERS = 2**20


@charged_to("solves")
def solve_rows(
    model: tuple[AbstractBasis, Parameters],
    source: rows.AbstractSource,
    ridge: Ridge,
    known: np.ndarray | None = None,
) -> lstsq.Solution:
    """Reduce rows chunk by chunk, in the model's units, and solve; members apart, then their mean.

    Parameters
    ----------
    model : (AbstractBasis, pytree)
        The functions.
    source : rows.AbstractSource
        Rows in the model's units.
    ridge : Ridge
    known : array, shape (N, P), optional
        The functions at all rows, where they are known.
    """
    basis, parameters = model
    total = source.statistics().total_weight
    solutions = []
    for part, inside in basis.members(parameters):
        part = part.canonical()
        values = np.full(part.size(source.n_inputs), ridge.value)
        values[len(values) - ridge.n_free :] = 0.0
        shrink = values if ridge.relative else values / total
        size = part.size(source.n_inputs)
        if part.tie_weight == 0 and _in_numpy(source.n_rows * size):
            inside = jax.tree.map(np.asarray, inside)
            at_once, done, blocks = max(BLOCK_ROWS, NUMPY_NUMBERS // size), 0, []
            for x, y, weight in source.chunks(at_once):
                phi = part.values(x, inside) if known is None else known[done : done + len(x)]
                blocks.append(lstsq.reduce(phi, y, weight / total))
                done += len(x)
            reduction = lstsq.combine(*blocks) if len(blocks) > 1 else blocks[0]
            solutions.append(_with_ridge(reduction, shrink, relative=ridge.relative))
            continue
        most = rows_at_once(size)
        length = min(most, bucket(source.n_rows))
        chunks = (padded_rows(*chunk, length) for chunk in source.chunks(most))
        reduction = reduced(part, inside, chunks, total)
        solutions.append(_solved(reduction, jnp.asarray(shrink), relative=ridge.relative))
    return solutions[0] if len(solutions) == 1 else lstsq.average(solutions)


def _in_numpy(numbers: int) -> bool:
    """Whether to reduce a design matrix of so many entries in NumPy.

    It compiles nothing, and on processors does the same work; accelerators are not started for
    little of it.
    """
    return numbers <= CHUNK_NUMBERS or jax.default_backend() == "cpu"


def _with_ridge(reduction: lstsq.Reduction, ridge: AnyArray, *, relative: bool) -> lstsq.Solution:
    """Solve with a ridge, or one relative to the largest singular value of unit-norm columns.

    Rank, singular values and status are those of the rows alone: a ridge hides them.
    """
    absolute, share = (0.0, ridge) if relative else (ridge, 0.0)
    solution = lstsq.solve(reduction, ridge=absolute, relative_ridge=share)
    plain = lstsq.solve(reduction)
    return dataclasses.replace(
        solution, rank=plain.rank, singular_values=plain.singular_values, status=plain.status
    )


_solved = quickly(once=True)(_with_ridge)

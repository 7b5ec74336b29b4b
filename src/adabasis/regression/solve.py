"""The last solve: rows of data reduced chunk by chunk, with the ridge that was chosen."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence

import jax
import jax.numpy as jnp
import numpy as np

from .. import lstsq, rows
from .._runtime.compute import quickly
from .._runtime.notation import AnyArray, Parameters
from .._runtime.timing import charged_to
from ..basis import AbstractBasis
from ..lstsq.reduce import BLOCK_ROWS
from ..models.evaluation import CHUNK_NUMBERS
from ..models.factor import Factor
from ..models.record import Ridge
from ..rows.engine import current
from ..train.exact import reduced_source

#: Entries of a design matrix in memory at once in NumPy (8 MiB): blocks fit in the cache.
NUMPY_NUMBERS = 2**20

Members = Sequence[tuple[AbstractBasis, Parameters]]


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
    return solved_factor(reduce_rows(model, source, known), ridge)


def reduce_rows(
    model: tuple[AbstractBasis, Parameters],
    source: rows.AbstractSource,
    known: np.ndarray | None = None,
) -> Factor:
    """Reduce rows chunk by chunk: one pass for all members of a mean.

    Parameters are those of :func:`solve_rows`.
    """
    basis, parameters = model
    seen = source.statistics()
    members = [(part.canonical(), inside) for part, inside in basis.members(parameters)]
    in_numpy = all(
        part.tie_weight == 0 and _in_numpy(source.n_rows * part.size(source.n_inputs))
        for part, _ in members
    )
    reduce = _reduced_in_numpy if in_numpy else _reduced
    if in_numpy and known is None and current().apart:
        reduce = _reduced_by_workers
    reductions = tuple(reduce(members, source, seen.total_weight, known))
    return Factor(reductions, seen.total_weight, seen.n_rows)


def solved_factor(factor: Factor, ridge: Ridge) -> lstsq.Solution:
    """Solve from what rows were reduced to; members apart, then their mean."""
    solutions = []
    for reduction in factor.reductions:
        values = np.full(reduction.n_functions, ridge.value)
        values[len(values) - ridge.n_free :] = 0.0
        shrink = values if ridge.relative else values / factor.total
        if isinstance(reduction.factor, np.ndarray):
            solutions.append(_with_ridge(reduction, shrink, relative=ridge.relative))
        else:
            solutions.append(_solved(reduction, jnp.asarray(shrink), relative=ridge.relative))
    return solutions[0] if len(solutions) == 1 else lstsq.average(solutions)


def _reduced_in_numpy(
    members: Members, source: rows.AbstractSource, total: float, known: np.ndarray | None
) -> list[lstsq.Reduction]:
    """Reduce the rows of all members in one pass, nothing compiled."""
    at_once, done = _rows_at_once(members, source), 0
    folds = [lstsq.Fold() for _ in members]
    inner = [(part, jax.tree.map(np.asarray, inside)) for part, inside in members]
    for x, y, weight in _chunks(source, at_once):
        for fold, (part, inside) in zip(folds, inner, strict=True):
            phi = part.values(x, inside) if known is None else known[done : done + len(x)]
            fold.add(lstsq.reduce(phi, y, weight / total))
        done += len(x)
    return [fold.reduction for fold in folds]


def _reduced(
    members: Members, source: rows.AbstractSource, total: float, known: np.ndarray | None
) -> Iterator[lstsq.Reduction]:
    """Reduce the rows of one member after the other, each with a pass of its own."""
    for part, inside in members:
        yield reduced_source(part, inside, source, total)


def _reduced_by_workers(
    members: Members, source: rows.AbstractSource, total: float, known: np.ndarray | None
) -> list[lstsq.Reduction]:
    """Reduce the rows of all members in one pass, each part where the engine has it read."""
    plain = [(part, jax.tree.map(np.asarray, inside)) for part, inside in members]
    task = OfMembers(plain, total, _rows_at_once(members, source))
    found: list[lstsq.Reduction] = current().map_reduce(task, source.parts(), combined)
    return found


@dataclasses.dataclass(frozen=True)
class OfMembers:
    """The reductions of the rows of a part, one for each member, in NumPy."""

    members: Members
    total: float
    most: int

    def __call__(self, part: rows.AbstractPart) -> list[lstsq.Reduction]:
        """Read the part chunk by chunk, and reduce it."""
        folds = [lstsq.Fold() for _ in self.members]
        for x, y, weight in part.chunks(self.most):
            for fold, (basis, parameters) in zip(folds, self.members, strict=True):
                fold.add(lstsq.reduce(basis.values(x, parameters), y, weight / self.total))
        return [fold.reduction for fold in folds]


def _rows_at_once(members: Members, source: rows.AbstractSource) -> int:
    largest = max(part.size(source.n_inputs) for part, _ in members)
    return max(BLOCK_ROWS, NUMPY_NUMBERS // largest, 4 * largest)


def combined(*several: Sequence[lstsq.Reduction]) -> list[lstsq.Reduction]:
    """Combine the reductions of each member."""
    return [lstsq.combine(*ones) for ones in zip(*several, strict=True)]


def _chunks(source: rows.AbstractSource, most: int) -> Iterator[rows.Chunk]:
    chunks = source.chunks(most)
    return chunks if source.in_memory else rows.read_ahead(chunks)


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

"""Passes over all rows: functions of a chunk and a monoid, split among the devices of a process."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Iterator
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from .. import lstsq, rows
from .._runtime.compute import quickly
from ..basis.base import AbstractBasis
from ..geometry.points import Points, pad_rows
from ..rows.engine import current, joined

#: Entries of the matrix in memory at once (16 MiB): some blocks of the reduction.
CHUNK_NUMBERS = 2**21
#: Chunks of fewer rows are padded to so many: each shape is compiled anew.
LEAST_ROWS = 256
#: Rows for each device from which a chunk is split: starting them costs as much as fewer take.
ROWS_A_DEVICE = 256


def rows_at_once(size: int) -> int:
    """Return the rows of a chunk for P = ``size`` functions."""
    return max(64, CHUNK_NUMBERS // size)


def padded_rows(x: np.ndarray, y: np.ndarray, weight: np.ndarray, length: int) -> rows.Term:
    """Return the term of rows, padded to a length."""
    again = np.broadcast_to(x[:1], (max(length - len(x), 0), x.shape[1]))
    points = Points(np.concatenate([x, again]), pad_rows(weight, length))
    return rows.Term(points, pad_rows(y, length))


def on_devices(
    function: Callable[[Any, rows.Term], Array], join: Callable[[Array], Array]
) -> Callable[[Any, rows.Term], Array]:
    """Return the function of a pytree and of rows, these split among the devices of the process.

    Parameters
    ----------
    function : callable
        From a pytree and a term to an array; what is computed of padding, rows of weight 0, does
        not change what is joined.
    join : callable
        From the arrays of all devices, one after another along a new first axis, to one.
    """
    devices = jax.local_devices()
    if len(devices) == 1:
        return function
    mesh = jax.sharding.Mesh(np.array(devices), ("rows",))
    split, whole = jax.sharding.PartitionSpec("rows"), jax.sharding.PartitionSpec()

    def call(shared: Any, term: rows.Term) -> Array:
        if len(term.points) < ROWS_A_DEVICE * len(devices):
            return function(shared, term)
        arrays, rest = eqx.partition(shared, eqx.is_array)

        def here(arrays: Any, x: Array, y: Array, weight: Array) -> Array:
            some = rows.Term(Points(x, weight), y)
            return function(eqx.combine(arrays, rest), some)[None]

        specs = (whole, split, split, split)
        every = jax.shard_map(here, mesh=mesh, in_specs=specs, out_specs=split, check_vma=False)
        some: Any = (term.points.x, term.data, term.points.weight)
        return join(every(arrays, *some))

    return call


def stacked(factors: Array) -> Array:
    """Return the triangle of several, (K, C, C)."""
    return lstsq.triangularize(factors.reshape(-1, factors.shape[-1]))


def combined(*factors: np.ndarray) -> np.ndarray:
    """Return the triangle of several, in NumPy."""
    return np.asarray(lstsq.triangularize(np.concatenate(factors)))  # type: ignore[arg-type]


def summed(*arrays: np.ndarray) -> np.ndarray:
    """Return the sum of arrays, in their order."""
    return np.sum(arrays, axis=0)


def added(*arrays: np.ndarray) -> np.ndarray:
    """Return the sum of arrays, in their order; that of none, as of a part without rows, is 0."""
    return functools.reduce(np.add, arrays, np.asarray(0.0))


@dataclasses.dataclass(frozen=True)
class ChunkSums:
    """Sums over the rows of a part, chunk by chunk, in NumPy.

    Attributes
    ----------
    of_chunk : callable
        From a chunk to an array.
    most : int
        Rows of a chunk.
    """

    of_chunk: Callable[[rows.Chunk], np.ndarray]
    most: int

    def __call__(self, part: rows.AbstractPart) -> np.ndarray:
        """Return the sum of a part."""
        return added(*map(self.of_chunk, part.chunks(self.most)))


def total_over(
    source: rows.AbstractSource, of_chunk: Callable[[rows.Chunk], np.ndarray], most: int
) -> np.ndarray:
    """Return the sum of arrays over the chunks of a source, the next one being read meanwhile.

    Parts are left to the block's engine where it has several workers.

    Parameters
    ----------
    source : rows.AbstractSource
    of_chunk : callable
        From a chunk to an array, of one shape for all.
    most : int
        Rows of a chunk.
    """
    if current().apart:
        whole: np.ndarray = current().map_reduce(ChunkSums(of_chunk, most), source.parts(), added)
        return whole
    chunks = source.chunks(most) if source.in_memory else rows.read_ahead(source.chunks(most))
    return added(*map(of_chunk, chunks))


@dataclasses.dataclass(frozen=True)
class Pass:
    """What is computed of the rows of a part: a monoid's element, chunk by chunk.

    Attributes
    ----------
    of_chunk : callable
        From a pytree and a term to an array.
    combine : callable
    shared : pytree
        Basis, ξ, the total weight of all rows, and what else the function wants.
    most : int
        Rows of a chunk.
    """

    of_chunk: Callable[[Any, rows.Term], Array]
    combine: Callable[..., np.ndarray]
    shared: Any
    most: int

    def __call__(self, part: rows.AbstractPart) -> np.ndarray:
        """Return the element of a part."""
        found: np.ndarray = joined(map(self._of, self._terms(part)), self.combine)
        return found

    def _of(self, term: rows.Term) -> np.ndarray:
        return np.asarray(self.of_chunk(self.shared, term))

    def _terms(self, part: rows.AbstractPart) -> Iterator[rows.Term]:
        # Padded to few shapes, and to as many rows on each device.
        devices = len(jax.local_devices())
        for x, y, weight in part.chunks(self.most):
            length = min(max(LEAST_ROWS, 2 ** (len(x) - 1).bit_length()), max(self.most, len(x)))
            yield padded_rows(x, y, weight, -(-length // devices) * devices)


def of_unit_weight(basis: AbstractBasis, term: rows.Term, total: Array) -> tuple[Any, Array]:
    """Return terms of weight one, ties included, and the roots of their rows' shares of the total.

    What a term makes of its own weights is relative to their sum, which a chunk does not know.
    """
    weight = jnp.asarray(term.points.weight)
    points = dataclasses.replace(term.points, weight=jnp.ones_like(weight))
    terms = rows.tied(dataclasses.replace(term, points=points), basis)
    return terms, jnp.tile(jnp.sqrt(len(weight) * weight / total), len(terms))


def weighted(shared: Any, term: rows.Term) -> tuple[Any, Array, Array, Array]:
    """Return terms, roots of weights, A and b of a chunk; shared: basis, ξ, total weight, more."""
    basis, parameters, total = shared[:3]
    terms, root = of_unit_weight(basis, term, total)
    block = rows.assemble(terms, basis, parameters)
    return terms, root, root[:, None] * block.matrix, root[:, None] * block.rhs


def _data_rows(shared: Any, term: rows.Term) -> Array:
    _, _, a, b = weighted(shared, term)
    return lstsq.triangularize(jnp.concatenate([a, b], axis=1))


@quickly()
def data_rows(shared: Any, term: rows.Term) -> Array:
    """Reduce the rows [A | b] of a chunk; shared: basis, ξ, total weight."""
    return on_devices(_data_rows, stacked)(shared, term)

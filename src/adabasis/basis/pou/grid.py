"""The cells of a box as a partition of unity."""

from __future__ import annotations

import math
from typing import Any

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jax import Array

from ..._runtime.notation import BoxBounds, Functions, PointX, RandomKey
from ..base import in_model_files
from ..layers import sides
from .partition import AbstractPartition


def _whole_numbers(given: Any) -> tuple[int, ...] | None:
    return None if given is None else tuple(int(number) for number in given)


def _edges(given: Any) -> tuple[tuple[float, ...], ...] | None:
    return None if given is None else tuple(tuple(float(e) for e in along) for along in given)


@in_model_files
class GridPartition(AbstractPartition):
    """Characteristic functions of the cells of the box, equal ones by default: nothing to train.

    Points outside belong to the nearest cell at the border.

    Parameters
    ----------
    n_partitions : int
        Factored into numbers of cells along the inputs, its largest prime factors first, each to
        the input that has the fewest.
    counts : sequence of D int, optional
        Cells along each input, if they are to be other numbers; their product is the number.
    edges : sequence of D sequences of float, optional
        Where cells end along each input, as shares of the side of the box: rising from 0 to 1.

    Raises
    ------
    ValueError
        For no partitions, counts of another product, or edges that do not rise from 0 to 1.

    Examples
    --------
    >>> import numpy as np
    >>> from adabasis.basis import GridPartition
    >>> narrow = GridPartition(2, edges=[(0, 0.1, 1)])
    >>> narrow.cells(np.array([[0.05], [0.5]]), np.array([[0.0, 1.0]]))
    array([0, 1])
    """

    n_partitions: int = eqx.field(static=True, converter=int)
    counts: tuple[int, ...] | None = eqx.field(
        static=True, kw_only=True, default=None, converter=_whole_numbers
    )
    edges: tuple[tuple[float, ...], ...] | None = eqx.field(
        static=True, kw_only=True, default=None, converter=_edges
    )
    smoothness = -1  # the functions jump
    trainable = False

    def __check_init__(self) -> None:
        if self.counts is not None and (
            min(self.counts) < 1 or math.prod(self.counts) != self.n_partitions
        ):
            raise ValueError(
                f"GridPartition({self.n_partitions}, counts={self.counts}): expected whole numbers "
                f"of at least 1 whose product is {self.n_partitions}."
            )
        if self.edges is None:
            return
        rise = all(
            len(e) > 1 and e[0] == 0 and e[-1] == 1 and (np.diff(e) > 0).all() for e in self.edges
        )
        counts = tuple(len(e) - 1 for e in self.edges)
        if not rise or math.prod(counts) != self.n_partitions:
            raise ValueError(
                f"GridPartition({self.n_partitions}, edges={self.edges}): expected for every input "
                f"numbers that rise from 0 to 1, of {self.n_partitions} cells in all."
            )
        if self.counts not in (None, counts):
            raise ValueError(
                f"GridPartition(counts={self.counts}, edges={self.edges}): the edges make {counts} "
                "cells. Leave counts out."
            )

    def init(self, key: RandomKey, box: BoxBounds) -> BoxBounds:
        """Return the lower corner and the sides of the box, (D, 2); nothing is drawn."""
        return jnp.stack([box[:, 0], sides(box)], axis=1)

    def __call__(self, x: PointX, parameters: BoxBounds) -> Functions:
        """Evaluate φ at one point: one for the cell that it is in, zero elsewhere."""
        return (jnp.arange(self.n_partitions) == self.cell(x, parameters)).astype(x.dtype)

    def cell(self, x: PointX, parameters: BoxBounds) -> Array:
        """Return the number of the cell that one point is in."""
        counts = self.along(x.shape[0])
        place = (x - parameters[:, 0]) / parameters[:, 1]
        if self.edges is not None:
            found = [
                jnp.searchsorted(jnp.asarray(e[1:-1], x.dtype), z, side="right")
                for e, z in zip(self.edges, place, strict=True)
            ]
            return jnp.sum(jnp.stack(found) * jnp.asarray(_strides(counts)))
        place = place * jnp.asarray(counts, x.dtype)
        cell = jnp.clip(jnp.floor(place), 0, jnp.asarray(counts - 1, x.dtype)).astype(int)
        return jnp.sum(cell * jnp.asarray(_strides(counts)))

    def cells(self, x: np.ndarray, parameters: np.ndarray) -> np.ndarray:
        """Return the numbers of the cells that N points are in, (N,), in NumPy."""
        counts = self.along(x.shape[1])
        place = (x - parameters[:, 0]) / parameters[:, 1]
        if self.edges is not None:
            each = zip(self.edges, place.T, strict=True)
            number = [np.searchsorted(e[1:-1], z, side="right") for e, z in each]
            return np.asarray(np.stack(number, axis=1) @ _strides(counts))
        place = place * counts
        found: np.ndarray = np.clip(np.floor(place), 0, counts - 1).astype(int) @ _strides(counts)
        return found

    def along(self, n_inputs: int) -> np.ndarray:
        """Return the numbers of cells along each input, (D,).

        Raises
        ------
        ValueError
            If counts were given for another number of inputs.
        """
        counts = self.counts
        if self.edges is not None:
            counts = tuple(len(e) - 1 for e in self.edges)
        if counts is None:
            return cells_along(self.n_partitions, n_inputs)
        if len(counts) != n_inputs:
            raise ValueError(f"{self!r}: counts for {len(counts)} inputs, got {n_inputs}.")
        return np.array(counts)

    def slabs(self, n_inputs: int) -> tuple[int | tuple[float, ...], ...]:
        """Return how many equal slabs there are along each input, or the edges of slabs."""
        counts = tuple(self.along(n_inputs).tolist())
        return counts if self.edges is None else self.edges

    def values(self, x: np.ndarray, parameters: np.ndarray) -> np.ndarray:
        """Evaluate φ at N points, in NumPy."""
        number = self.cells(x, parameters)
        return (np.arange(self.n_partitions) == number[:, None]).astype(float)

    def middles(self, parameters: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the middles of all cells and half their sides, (N_part, D) each, in NumPy."""
        counts = self.along(len(parameters))
        places = np.stack(np.unravel_index(np.arange(self.n_partitions), counts), axis=1)
        lower, side = parameters.T
        if self.edges is None:
            half = np.broadcast_to(side / counts / 2, places.shape).copy()
            return lower + half * (2 * places + 1), half
        each = [np.array(e) for e in self.edges]
        first, last = (
            np.stack([e[p + k] for e, p in zip(each, places.T, strict=True)], axis=1)
            for k in (0, 1)
        )
        return lower + side * (first + last) / 2, side * (last - first) / 2

    def sharpened(self, parameters: BoxBounds, factor: float | Array) -> BoxBounds:
        """Return ξ: cells are sharp already."""
        return parameters


def cells_along(n_partitions: int, n_inputs: int) -> np.ndarray:
    """Factor a number of cells into numbers along each input, about equal, (D,)."""
    counts = np.ones(n_inputs, dtype=int)
    for factor in sorted(_prime_factors(n_partitions), reverse=True):
        counts[np.argmin(counts)] *= factor
    return counts


def _strides(counts: np.ndarray) -> np.ndarray:
    """Return by how much the number of a cell grows along each input, (D,)."""
    return np.append(np.cumprod(counts[:0:-1])[::-1], 1)


def _prime_factors(n: int) -> list[int]:
    for k in range(2, math.isqrt(n) + 1):
        if n % k == 0:
            return [k, *_prime_factors(n // k)]
    return [n] if n > 1 else []

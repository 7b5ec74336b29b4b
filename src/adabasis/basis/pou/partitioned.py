"""Partition of unity networks as bases: partitions times local polynomials."""

from __future__ import annotations

import math
from typing import Any, NamedTuple, Self

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from ..._runtime.notation import (
    AnyArray,
    BoxBounds,
    Functions,
    Parameters,
    PointsX,
    PointX,
    RandomKey,
)
from ..base import AbstractBasis, in_model_files, require_positive
from .grid import GridPartition
from .named import partition_named
from .partition import AbstractPartition, AbstractSoftmax, sample_of
from .polynomial import MOST_FUNCTIONS, check_space, dimension, multi_indices, products

#: Smallest local scale, as a share of the spread of all points: a partition may own one point.
LEAST_SCALE = 1e-3
#: Share of the largest number that products of local coordinates stay below: of coefficients and
#: norms there is room for.
OVERFLOW = 1e-9


class PartitionParams(NamedTuple):
    """Parameters of a :class:`PartitionBasis`.

    Attributes
    ----------
    partition : pytree
        ξ of the partition.
    centre, scale : arrays, shape (N_part, D)
        Of the local coordinates t = (x − centre)/scale. They change the basis of each local
        space, not the space, so no trainer moves them.
    """

    partition: Parameters
    centre: Array
    scale: Array


@in_model_files
class PartitionBasis(AbstractBasis):
    r"""A POUnet's functions Φ_{αβ}(x; ξ) = φ_α(x; ξ) P_β(x) (equations 16, 17 of the slides).

    φ is a partition of unity that training moves; P_β are products of Legendre polynomials in
    local coordinates of each partition, orthonormal over a box that its points fill. Function αβ
    has number α · dim V + β.

    Parameters
    ----------
    n_partitions : int
        N_part.
    degree : int
        m, of the polynomials.
    partition : str or AbstractPartition
        A name in ``adabasis.basis.PARTITIONS``: ``"rbf"``, ``"rbf-anisotropic"``, ``"affine"``
        (power diagram), ``"quadratic"`` (borders are conics), ``"quartic"``, ``"network"``,
        ``"resnet"`` (the slides' deep one), ``"grid"`` (fixed).
    index_set : {"total", "tensor", "hyperbolic"}
        Which products: of total degree ≤ m; of degree ≤ m in each input; those with
        ∏ (β_i + 1) ≤ m + 1, for many inputs.
    continuity : float
        Weight of the mean square of the differences between neighbouring polynomials at points
        of their common border (:meth:`ties`). With 0 the function may jump from part to part;
        large weights leave kinks only, which noise cannot bend apart.
    reach : float
        Distance from a border, in the basis's own units, up to which points vouch for it.

    Raises
    ------
    ValueError
        For no partitions, a negative degree or an unknown name; at :meth:`init`, for more than
        20,000 functions.

    Examples
    --------
    >>> import jax, jax.numpy as jnp
    >>> basis = PartitionBasis(4, 2, partition="rbf")
    >>> parameters = basis.init(jax.random.key(0), jnp.array([[0.0, 1.0], [0.0, 1.0]]))
    >>> basis(jnp.array([0.5, 0.5]), parameters).shape
    (24,)
    """

    n_partitions: int = eqx.field(static=True, converter=int)
    degree: int = eqx.field(static=True, converter=int)
    partition: str | AbstractPartition = eqx.field(static=True, kw_only=True, default="rbf")
    index_set: str = eqx.field(static=True, kw_only=True, default="total")
    continuity: float = eqx.field(static=True, kw_only=True, default=0.0, converter=float)
    reach: float = eqx.field(static=True, kw_only=True, default=0.02, converter=float)

    def __check_init__(self) -> None:
        require_positive(self, "n_partitions", "reach")
        if self.degree < 0 or not 0 <= self.continuity < math.inf:
            raise ValueError(
                f"PartitionBasis(degree={self.degree}, continuity={self.continuity!r}): expected "
                "two numbers of at least 0."
            )
        check_space(self.degree, self.index_set)
        _ = self.unity  # checks the name

    @property
    def unity(self) -> AbstractPartition:
        """The partition of unity, itself a basis."""
        return partition_named(self.partition, self.n_partitions)

    @property
    def on_a_grid(self) -> bool:
        """Whether the parts are cells of a grid: one function of each point is not zero."""
        return isinstance(self.unity, GridPartition)

    @property
    def smoothness(self) -> float:
        """That of the partition."""
        return self.unity.smoothness

    @property
    def trainable(self) -> bool:
        """That of the partition."""
        return self.unity.trainable

    def size(self, n_inputs: int) -> int:
        """Return N_part · dim V."""
        return self.n_partitions * dimension(n_inputs, self.degree, self.index_set)

    def replace(self, **changes: Any) -> Self:
        """Change some arguments; a partition that is an object follows their number."""
        wanted = changes.get("n_partitions", self.n_partitions)
        partition = changes.get("partition", self.partition)
        if isinstance(partition, AbstractPartition) and partition.n_partitions != wanted:
            changes["partition"] = partition.replace(n_partitions=wanted)
        return super().replace(**changes)

    def init(self, key: RandomKey, box: BoxBounds) -> PartitionParams:
        """Draw the partition, with local coordinates that suit points all over the box."""
        if not self.on_a_grid:  # equations on cells are solved cell by cell, and loaded by this
            self._check_size(box.shape[0])
        partition_key, sample_key = jax.random.split(key)
        drawn = self.unity.init(partition_key, box)
        return self.recentred(drawn, sample_of(sample_key, box))

    def _check_size(self, n_inputs: int) -> None:
        """Refuse more functions than are solved for together.

        Raises
        ------
        ValueError
        """
        if self.size(n_inputs) > MOST_FUNCTIONS:
            raise ValueError(
                f"{self!r}: {self.size(n_inputs):,} functions of {n_inputs} inputs, "
                f"{self.n_partitions} times {self.size(n_inputs) // self.n_partitions:,} "
                f"polynomials; at most {MOST_FUNCTIONS:,} are solved for. Lower the degree or the "
                "number of partitions, or take index_set='hyperbolic'."
            )

    def placed(self, parameters: PartitionParams, x: PointsX) -> PartitionParams:
        """Adjust the partition and its local coordinates to the points (N, D)."""
        self._check_size(x.shape[1])
        return self.recentred(self.unity.placed(parameters.partition, x), x)

    def recentred(self, partition: Parameters, x: PointsX) -> PartitionParams:
        """Return a partition with the local coordinates of the points that each part owns.

        Centre and scale are the mean and √3 standard deviations under the weights φ_α: a uniform
        stretch becomes [−1, 1].
        """
        phi = jax.vmap(lambda point: self.unity(point, partition))(x)
        middle, spread = jnp.mean(x, axis=0), jnp.std(x, axis=0)
        spread = jnp.where(spread > 0, spread, 1.0)
        # One point more, in the middle of all: a partition may own none.
        mass = jnp.sum(phi, axis=0)[:, None] + 1.0
        centre = (phi.T @ x + middle) / mass
        squares = phi.T @ (x - middle) ** 2 - (mass - 1.0) * (centre - middle) ** 2
        variance = (jnp.maximum(squares, 0.0) + LEAST_SCALE * spread**2) / mass
        scale = math.sqrt(3.0) * jnp.maximum(jnp.sqrt(variance), LEAST_SCALE * spread)
        return PartitionParams(partition, centre, scale)

    def __call__(self, x: PointX, parameters: PartitionParams) -> Functions:
        """Evaluate the P functions at one point; ValueError if it has another number of inputs."""
        local = self._local(x, parameters)
        return (self.unity(x, parameters.partition)[:, None] * local).reshape(-1)

    def values(self, x: np.ndarray, parameters: PartitionParams) -> np.ndarray:
        """Evaluate the P functions at N points, in NumPy."""
        phi = self.unity.values(x, parameters.partition)
        return (phi[:, :, None] * self.local_values(x, parameters)).reshape(len(x), -1)

    def sums(self, x: np.ndarray, parameters: PartitionParams, c: np.ndarray) -> np.ndarray:
        """Return Φ c at N points, in NumPy: cells of a grid by the functions of one cell each."""
        unity = self.unity
        if not isinstance(unity, GridPartition):
            return super().sums(x, parameters, c)
        cells, (indices, furthest) = unity.cells(x, parameters.partition), self._space(x)
        t = (x - parameters.centre[cells]) / parameters.scale[cells]
        local = products(np.clip(t, -furthest, furthest), indices)
        pieces = c.reshape(self.n_partitions, len(indices), -1)
        out = np.empty((len(x), pieces.shape[2]), np.result_type(local, c))
        # Cell by cell: the coefficients of one are a small matrix, and no array of all is made.
        order = np.argsort(cells, kind="stable")
        starts = np.flatnonzero(np.diff(cells[order], prepend=-1))
        for rows in np.split(order, starts[1:]):
            if len(rows):
                out[rows] = local[rows] @ pieces[cells[rows[0]]]
        return out

    def sum_at(self, x: PointX, parameters: PartitionParams, c: AnyArray) -> Array:
        """Return Φ c at one point, (Q,): in a cell of a grid by its functions alone."""
        unity = self.unity
        if not isinstance(unity, GridPartition):
            return super().sum_at(x, parameters, c)
        cell, (indices, furthest) = unity.cell(x, parameters.partition), self._space(x)
        t = (x - jnp.asarray(parameters.centre)[cell]) / jnp.asarray(parameters.scale)[cell]
        local = products(jnp.clip(t, -furthest, furthest), indices)
        return local @ jnp.asarray(c).reshape(self.n_partitions, len(indices), -1)[cell]

    def local_values(self, x: np.ndarray, parameters: PartitionParams) -> np.ndarray:
        """Evaluate every part's polynomials at N points, in NumPy: (N, N_part, dim V)."""
        indices, furthest = self._space(x)
        t = np.clip((x[:, None] - parameters.centre) / parameters.scale, -furthest, furthest)
        return products(t, indices)

    def pieces(self, x: PointX, parameters: PartitionParams, c: Array) -> Array:
        """Return the local polynomials at one point for coefficients (P, Q): (N_part, Q)."""
        local = self._local(x, parameters)
        return jnp.einsum("ab,abq->aq", local, c.reshape(*local.shape, -1))

    @property
    def tie_weight(self) -> float:
        """That of :meth:`ties`, where there are borders with a position."""
        soft = isinstance(self.unity, AbstractSoftmax) and self.n_partitions > 1
        return self.continuity if soft else 0.0

    def ties(self, x: PointX, parameters: PartitionParams) -> Functions:
        r"""Return the row whose product with c is the jump at the border nearest to x, (P,).

        With i and j the two largest logits at x and g = ℓ_i − ℓ_j, the border is near
        z = x − g ∇g/‖∇g‖², exactly there for affine logits. The row is that of √ω (p_i − p_j)(z),
        where ω = (1 − (‖x − z‖/reach)²)² and 0 further away. It does not change with the sharpness
        of the border, so that training cannot evade it.
        """
        unity = self.unity
        assert isinstance(unity, AbstractSoftmax)
        _, (i, j) = jax.lax.top_k(unity.logits(x, parameters.partition), 2)

        def gap(x: Array) -> Array:
            logits = unity.logits(x, parameters.partition)
            return logits[i] - logits[j]

        value, slope = jax.value_and_grad(gap)(x)
        steep = jnp.sum(slope**2)
        move = jnp.where(steep > 0, value / jnp.where(steep > 0, steep, 1.0), jnp.inf)
        distance = move**2 * steep / self.reach**2
        near = distance < 1
        border = x - jnp.where(near, move, 0.0) * slope
        signs = jax.nn.one_hot(i, self.n_partitions, dtype=x.dtype)
        signs = signs - jax.nn.one_hot(j, self.n_partitions, dtype=x.dtype)
        local = self._local(border, parameters)
        weight = jnp.where(near, 1 - jnp.where(near, distance, 0.0), 0.0)
        return (weight * signs[:, None] * local).reshape(-1)

    def _local(self, x: Array, parameters: PartitionParams) -> Array:
        """Return the polynomials of all parts at one point, (N_part, dim V)."""
        centre, scale = jax.lax.stop_gradient((parameters.centre, parameters.scale))
        if centre.shape[-1] != x.shape[0]:
            raise ValueError(
                f"{self!r}: parameters of {centre.shape[-1]} inputs, evaluated at a point of "
                f"{x.shape[0]}. Draw them by init(key, box) with a box of {x.shape[0]} sides."
            )
        indices, furthest = self._space(x)
        return products(jnp.clip((x - centre) / scale, -furthest, furthest), indices)

    def _space(self, x: AnyArray) -> tuple[np.ndarray, float]:
        """Return the multi-indices, and the largest local coordinate of which none overflows."""
        indices = multi_indices(x.shape[-1], self.degree, self.index_set)
        order = int(indices.sum(axis=1).max())
        # Of points so far away that polynomials overflow, 0 · ∞ would be NaN.
        return indices, (float(jnp.finfo(x.dtype).max) * OVERFLOW) ** (1 / (order + 1))

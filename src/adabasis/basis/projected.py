"""Frozen features of a few trained combinations of the inputs.

Many functions of many inputs vary, but for an affine part, along few directions V x only [1]_. With
r of them known, features of r coordinates do what thousands in all D could not; the directions are
the only hidden parameters, r (D + 1) numbers, and descent finds them.

References
----------
.. [1] Constantine, "Active subspaces", SIAM 2015.
"""

from __future__ import annotations

import functools

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from scipy.special import ndtri

from .._runtime.notation import BoxBounds, Functions, PointX, RandomKey
from .activations import activation_named
from .base import AbstractBasis
from .initialize import Affine, Box, cut_planes, random_normals


class ProjectedFeatures(AbstractBasis):
    """Random features σ(s·k (z − p)·n) of z = V x + v ∈ R^r, with 1 and x appended.

    ξ = (V, v). The features' points p and normals n are those of Box in [0, 1]^r, taken from a
    Kronecker sequence: they are part of the recipe, not drawn, and stay as they are.

    Parameters
    ----------
    width : int
        Number of features; P = width + 1 + D.
    rank : int
        r, the number of combinations.
    activation : str
    scale : float
        The factor s on all slopes.

    Raises
    ------
    ValueError
        For a width or rank below 1, a scale that is not positive, or an unknown activation.
    """

    width: int = eqx.field(static=True)
    rank: int = eqx.field(static=True)
    activation: str = eqx.field(static=True, kw_only=True)
    scale: float = eqx.field(static=True, kw_only=True)

    def __init__(
        self, width: int, rank: int, *, activation: str = "tanh", scale: float = 1.0
    ) -> None:
        if width < 1 or rank < 1:
            raise ValueError(
                f"ProjectedFeatures(width={width}, rank={rank}): both must be at least 1."
            )
        if not scale > 0:
            raise ValueError(f"ProjectedFeatures(scale={scale!r}): must be positive.")
        activation_named(activation)
        self.width, self.rank = int(width), int(rank)
        self.activation, self.scale = activation, float(scale)

    @property
    def smoothness(self) -> float:
        """Order of the highest continuous derivative, that of the activation."""
        return activation_named(self.activation).smoothness

    def init(self, key: RandomKey, box: BoxBounds) -> Affine:
        """Draw directions at random; they map ``box`` (D, 2) into [0, 1]^r."""
        side = jnp.where(box[:, 1] > box[:, 0], box[:, 1] - box[:, 0], 1.0)
        normals = random_normals(key, self.rank, box)
        lowest = jnp.minimum(normals, 0.0).sum(axis=1)
        reach = jnp.abs(normals).sum(axis=1)
        weight = normals / reach[:, None] / side
        return Affine(weight, -weight @ box[:, 0] - lowest / reach)

    def along(self, directions: np.ndarray, x: np.ndarray) -> Affine:
        """Return ξ for given directions (r, D): they map the points x (N, D) onto [0, 1]^r."""
        z = x @ directions.T
        lowest, highest = z.min(axis=0), z.max(axis=0)
        reach = np.where(highest > lowest, highest - lowest, 1.0)
        return Affine(jnp.asarray(directions / reach[:, None]), jnp.asarray(-lowest / reach))

    def __call__(self, x: PointX, parameters: Affine) -> Functions:
        """Evaluate the P functions at one point."""
        layer = _features(self.width, self.rank, x.dtype).times(self.scale)
        h = activation_named(self.activation)(layer(parameters(x)))
        return jnp.concatenate([h, jnp.ones((1,), h.dtype), x])


def _features(width: int, rank: int, dtype: np.dtype) -> Affine:
    p, n = _planes(width, rank)
    box = jnp.tile(jnp.array([0.0, 1.0], dtype), (rank, 1))
    limit = Box().max_slope if rank == 1 else np.inf
    return cut_planes(jnp.asarray(p, dtype), jnp.asarray(n, dtype), box, 1.0, limit)


@functools.cache
def _planes(width: int, rank: int) -> tuple[np.ndarray, np.ndarray]:
    """Return points in [0, 1]^r and unit normals from one sequence in 2 r dimensions.

    The steps are the powers of 1/g, g the positive root of g^(2r+1) = g + 1: a generalised
    golden ratio, whose multiples fill the cube evenly.
    """
    ratio = 2.0
    for _ in range(64):
        ratio = (1.0 + ratio) ** (1.0 / (2 * rank + 1))
    steps = ratio ** -np.arange(1.0, 2 * rank + 1)
    u = (0.5 + np.arange(1, width + 1)[:, None] * steps) % 1.0
    normals = ndtri(u[:, rank:])
    return u[:, :rank], normals / np.linalg.norm(normals, axis=1, keepdims=True)

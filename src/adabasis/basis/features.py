"""Random features: frozen cut planes, of all inputs or of a few trained combinations of them.

Many functions of many inputs vary, but for an affine part, along few directions V x only [1]_. With
r of them known, features of r coordinates do what thousands in all D could not; the directions are
the only hidden parameters, r (D + 1) numbers, and descent finds them.

References
----------
.. [1] Constantine, "Active subspaces", SIAM 2015.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jax import Array
from scipy.special import ndtri

from .._runtime.notation import BoxBounds, Functions, PointX, RandomKey
from ..geometry.boxes import unit_box
from .base import AbstractActivated, AbstractBasis, in_model_files, require_positive
from .layers import Affine, Architecture, BoxInit, cut_planes, random_normals, sides


def _number_or_auto(scale: float | str) -> float | str:
    return scale if isinstance(scale, str) else float(scale)


@in_model_files
class FrozenFeatures(AbstractActivated):
    """One hidden layer drawn by Box and kept, σ(s·k (x − p)·n), with 1 and x appended.

    On smooth targets this basis and one least-squares solve are often all that is needed. The
    affine functions 1, x make it exact on linear targets and tame beyond the data.

    Parameters
    ----------
    width : int
        Number of random functions; P = width + 1 + D.
    activation : str or callable
    scale : float or "auto"
        The factor s on all slopes: larger for rougher targets. ``"auto"`` lets the front doors
        choose it from the data by leave-one-out error; a bare :meth:`init` takes it as 1.

    Raises
    ------
    ValueError
        For a width below 1, a scale that is not positive, or an unknown activation.
    """

    width: int = eqx.field(static=True, converter=int)
    activation: str | Callable[[Array], Array] = eqx.field(
        static=True, kw_only=True, default="tanh"
    )
    scale: float | str = eqx.field(
        static=True, kw_only=True, default="auto", converter=_number_or_auto
    )
    trainable = False

    def __check_init__(self) -> None:
        require_positive(self, "width")
        if self.scale != "auto" and (isinstance(self.scale, str) or not self.scale > 0):
            raise ValueError(f"FrozenFeatures(scale={self.scale!r}): a positive number or 'auto'.")

    @property
    def slope(self) -> float:
        """The scale, which enters ξ only."""
        return 1.0 if isinstance(self.scale, str) else self.scale

    def canonical(self) -> AbstractBasis:
        """Return the features of scale 1."""
        return self.replace(scale=1.0)

    def with_slopes(self, tried: Sequence[float]) -> list[AbstractBasis]:
        """Return the features of each scale where theirs is left open; a scaled ReLU is the same.

        It is but a scaled column.
        """
        if self.scale != "auto":
            return [self]
        return [self.replace(scale=s) for s in ((1.0,) if self.sigma.homogeneous else tried)]

    def init(self, key: RandomKey, box: BoxBounds) -> Affine:
        """Draw stratified cut planes in ``box`` (D, 2) and multiply them by the scale."""
        (layer,) = BoxInit()(key, box, Architecture(self.width, 1, self.sigma, residual=False))
        return layer.times(self.slope)

    def __call__(self, x: PointX, parameters: Affine) -> Functions:
        """Evaluate the P functions at one point."""
        h = self.sigma(parameters(x))
        return jnp.concatenate([h, jnp.ones((1,), h.dtype), x])


@in_model_files
class ProjectedFeatures(AbstractActivated):
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

    width: int = eqx.field(static=True, converter=int)
    rank: int = eqx.field(static=True, converter=int)
    activation: str = eqx.field(static=True, kw_only=True, default="tanh")
    scale: float = eqx.field(static=True, kw_only=True, default=1.0, converter=float)

    def __check_init__(self) -> None:
        require_positive(self, "width", "rank", "scale")

    def init(self, key: RandomKey, box: BoxBounds) -> Affine:
        """Draw directions at random; they map ``box`` (D, 2) into [0, 1]^r."""
        normals = random_normals(key, self.rank, box)
        lowest = jnp.minimum(normals, 0.0).sum(axis=1)
        reach = jnp.abs(normals).sum(axis=1)
        weight = normals / reach[:, None] / sides(box)
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
        h = self.sigma(layer(parameters(x)))
        return jnp.concatenate([h, jnp.ones((1,), h.dtype), x])


def _features(width: int, rank: int, dtype: np.dtype) -> Affine:
    p, n = _planes(width, rank)
    box = jnp.asarray(unit_box(rank), dtype)
    limit = BoxInit().max_slope if rank == 1 else np.inf
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

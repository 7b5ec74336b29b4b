"""Bases without hidden parameters to train: polynomials, additive splines, Gaussians at the data.

They are what a plain model is made of, and candidates like any other.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jax import Array
from scipy.spatial.distance import cdist

from .._runtime.backend import namespace, uniform
from .._runtime.notation import AnyArray, AnyKey, BoxBounds, Functions, PointsX, PointX
from .base import AbstractBasis, in_model_files, require_positive
from .pou.polynomial import check_space, dimension, multi_indices, products

#: Numbers at once: so many stay in the cache of a processor.
CHUNK_NUMBERS = 2**16


class BoxParams(NamedTuple):
    """A box as its middle and half its sides, (D,): ``(x − middle) / half`` is in [−1, 1]^D."""

    middle: AnyArray
    half: AnyArray

    @classmethod
    def of(cls, box: BoxBounds) -> BoxParams:
        """Return those of bounds (D, 2); a side of no length counts as 2."""
        half = (box[:, 1] - box[:, 0]) / 2
        return cls(box.mean(axis=1), namespace(half).where(half > 0, half, 1.0))

    def __call__(self, x: Any) -> Any:
        """Map points of the box to [−1, 1]^D."""
        return (x - self.middle) / self.half


def beyond_affine(n_inputs: int, degree: int, index_set: str = "total") -> np.ndarray:
    """Return the multi-indices of a space without those of 1 and x."""
    indices = multi_indices(n_inputs, degree, index_set)
    return indices[indices.sum(axis=1) > 1]


@in_model_files
class Polynomial(AbstractBasis):
    """All polynomials of a degree: products of Legendre polynomials on the box of the data.

    The last functions are 1 and x, which no ridge chosen by ``fit`` shrinks.

    Parameters
    ----------
    degree : int
        m ≥ 0.
    index_set : {"total", "tensor", "hyperbolic"}
        The exponents β: β₁ + … + β_D ≤ m; max β_i ≤ m; ∏ (β_i + 1) ≤ m + 1.
    highest : int, optional
        The highest exponent of a single input: with 1, products of different inputs alone, which
        designs of two levels tell.

    Raises
    ------
    ValueError
        For a negative degree, an unknown index set or a highest exponent below 1.

    Examples
    --------
    >>> Polynomial(2).size(3)
    10
    """

    degree: int = eqx.field(static=True, converter=int)
    index_set: str = eqx.field(static=True, kw_only=True, default="total")
    highest: int | None = eqx.field(static=True, kw_only=True, default=None)
    smoothness = np.inf
    trainable = False

    def __check_init__(self) -> None:
        check_space(self.degree, self.index_set)
        if self.highest is not None:
            require_positive(self, "highest")

    def size(self, n_inputs: int) -> int:
        """Return the number of polynomials."""
        if self.highest is None:
            return dimension(n_inputs, self.degree, self.index_set)
        return len(self._higher(n_inputs)) + self.n_affine(n_inputs)

    def _higher(self, n_inputs: int) -> np.ndarray:
        indices = beyond_affine(n_inputs, self.degree, self.index_set)
        return indices if self.highest is None else indices[indices.max(axis=1) <= self.highest]

    def n_affine(self, n_inputs: int) -> int:
        """Return 1 + D, or 1 for the constant."""
        return 1 + n_inputs if self.degree else 1

    draws_in_numpy = True

    def init(self, key: AnyKey, box: BoxBounds) -> BoxParams:
        """Return the middle and half the sides of the box: nothing is drawn."""
        return BoxParams.of(box)

    def __call__(self, x: PointX, parameters: BoxParams) -> Functions:
        """Evaluate the P functions at one point."""
        t, one = parameters(x), jnp.ones((1,), x.dtype)
        if self.degree == 0:
            return one
        return jnp.concatenate([products(t, self._higher(len(x))), one, t])

    def values(self, x: np.ndarray, parameters: BoxParams) -> np.ndarray:
        """Evaluate the P functions at N points, in NumPy."""
        t, one = parameters(x), np.ones((len(x), 1), x.dtype)
        if self.degree == 0:
            return one
        return np.concatenate([products(t, self._higher(x.shape[1])), one, t], axis=1)


class SplineParams(NamedTuple):
    """Knots (D, K), and the lengths (D,) that distances from them are taken in."""

    knots: Array
    length: Array


@in_model_files
class AdditiveSplines(AbstractBasis):
    """Sums of cubic splines of one input each: |x_i − k|³ for K knots of every input, and 1, x.

    The knots lie at quantiles of the points.

    Parameters
    ----------
    n_knots : int
        K; P = D K + 1 + D.

    Raises
    ------
    ValueError
        For no knots.
    """

    n_knots: int = eqx.field(static=True, converter=int)
    smoothness = 2.0
    trainable = False

    def __check_init__(self) -> None:
        require_positive(self, "n_knots")

    def size(self, n_inputs: int) -> int:
        """Return D K + 1 + D."""
        return n_inputs * (self.n_knots + 1) + 1

    def n_affine(self, n_inputs: int) -> int:
        """Return 1 + D."""
        return 1 + n_inputs

    draws_in_numpy = True

    def init(self, key: AnyKey, box: BoxBounds) -> SplineParams:
        """Put the knots evenly into the box: nothing is drawn."""
        share, sides = self._shares(box), box[:, 1] - box[:, 0]
        length = namespace(sides).where(sides > 0, sides, 1.0)
        return SplineParams(box[:, :1] + share * sides[:, None], length)

    def placed(self, parameters: SplineParams, x: PointsX) -> SplineParams:
        """Move the knots to quantiles of the points (N, D)."""
        knots = namespace(x).quantile(x, self._shares(x), axis=0).T
        return SplineParams(knots, parameters.length)

    def _shares(self, like: AnyArray) -> Any:
        numbers = namespace(like).arange(1, self.n_knots + 1, dtype=like.dtype)
        return numbers / (self.n_knots + 1)

    def __call__(self, x: PointX, parameters: SplineParams) -> Functions:
        """Evaluate the P functions at one point."""
        away = (x[:, None] - parameters.knots) / parameters.length[:, None]
        return jnp.concatenate([(jnp.abs(away) * away**2).ravel(), jnp.ones((1,), x.dtype), x])

    def values(self, x: np.ndarray, parameters: SplineParams) -> np.ndarray:
        """Evaluate the P functions at N points, in NumPy."""
        away = (x[:, :, None] - parameters.knots) / parameters.length[:, None]
        cubes = (np.abs(away) * away**2).reshape(len(x), -1)
        return np.concatenate([cubes, np.ones((len(x), 1), x.dtype), x], axis=1)


class KernelParams(NamedTuple):
    """Centres (M, D), 1/lengths (D,), mixing (M, M), the weight of quadratics, box, shares (D,)."""

    centers: AnyArray
    slopes: AnyArray
    mixing: AnyArray
    quadratic: Any
    box: BoxParams
    shares: Any = None


def gaussians(x: np.ndarray, centers: Any, slopes: Any, shares: Any = None) -> np.ndarray:
    """Return the Gaussians k_j at N points, (N, M), in NumPy; see :class:`GaussianKernels`."""
    if shares is None:
        return np.exp(-0.5 * cdist(x * slopes, centers * slopes, "sqeuclidean"))
    found = np.ones((len(x), len(centers)), x.dtype)
    at_once = max(1, CHUNK_NUMBERS // len(centers))
    for start in range(0, len(x), at_once):
        part, rows = found[start : start + at_once], x[start : start + at_once]
        for own, at, slope, share in zip(rows.T, centers.T, slopes, shares, strict=True):
            one = own[:, None] - at
            one *= slope
            np.square(one, out=one)
            one *= -0.5
            np.exp(one, out=one)
            one *= share
            one += 1 - share
            part *= one
    return found


@in_model_files
class GaussianKernels(AbstractBasis):
    r"""Gaussians at rows of the data, k_j(x) = exp(−½ Σ_i s_i² (x_i − x_{ji})²), mixed; quadratics.

    Φ = [k M, τ q, 1, x] with q the products of degree 2. With M Mᵀ the inverse of the Gaussians'
    matrix at their centres, coefficients that are independent and of variance 1 make Φ c a Gaussian
    process with kernel k + τ² q·q about a line, and least squares with a ridge its mean: "kriging"
    [1]_. A bare :meth:`init` draws centres and mixes nothing; ``fit`` chooses s, τ and the ridge by
    their marginal likelihood.

    With ``anova`` there is a share h_i of each input, and k_j(x) = ∏_i [1 − h_i + h_i g_i] with the
    Gaussians g_i of single inputs [2]_. Multiplied out, it has a term for each set of inputs: where
    shares are small, few inputs act together, and a sum of functions of one or two of them is told
    by far fewer rows than a function of all. There are no quadratics then, Φ = [k M, 1, x]: where
    inputs nearly depend on each other, they go far off between the rows.

    Parameters
    ----------
    n_centers : int
        M; P = M + D (D + 1)/2 + 1 + D, with ``anova`` M + 1 + D.
    anova : bool
        Whether Gaussians have shares.

    Raises
    ------
    ValueError
        For no centres.

    References
    ----------
    .. [1] Rasmussen, Williams, "Gaussian processes for machine learning", MIT Press 2006, §2.7.
    .. [2] Durrande, Ginsbourger, Roustant, Carraro, "ANOVA kernels and RKHS of zero mean functions
       for model-based sensitivity analysis", J. Multivariate Analysis 115 (2013).
    """

    n_centers: int = eqx.field(static=True, converter=int)
    anova: bool = eqx.field(static=True, kw_only=True, default=False)
    smoothness = np.inf
    trainable = False

    def __check_init__(self) -> None:
        require_positive(self, "n_centers")

    def size(self, n_inputs: int) -> int:
        """Return M + D (D + 1)/2 + 1 + D, without quadratics M + 1 + D."""
        return self.n_centers + dimension(n_inputs, 1 if self.anova else 2)

    def n_affine(self, n_inputs: int) -> int:
        """Return 1 + D."""
        return 1 + n_inputs

    draws_in_numpy = True

    def init(self, key: AnyKey, box: BoxBounds) -> KernelParams:
        """Draw centres in the box; lengths are half its sides."""
        at, sides, xp = BoxParams.of(box), box[:, 1] - box[:, 0], namespace(box)
        share = uniform(key, (self.n_centers, len(box)), box.dtype)
        return KernelParams(
            box[:, 0] + share * sides,
            1 / at.half,
            xp.eye(self.n_centers, dtype=box.dtype),
            None if self.anova else xp.ones((), box.dtype),
            at,
            xp.full(len(box), 0.5, dtype=box.dtype) if self.anova else None,
        )

    def __call__(self, x: PointX, parameters: KernelParams) -> Functions:
        """Evaluate the P functions at one point."""
        squares = ((x - parameters.centers) * parameters.slopes) ** 2
        t, one = parameters.box(x), jnp.ones((1,), x.dtype)
        if self.anova:
            shares = parameters.shares
            near = jnp.prod(1 - shares + shares * jnp.exp(-0.5 * squares), axis=1)
            return jnp.concatenate([near @ parameters.mixing, one, t])
        mixed = jnp.exp(-0.5 * jnp.sum(squares, axis=1)) @ parameters.mixing
        second = parameters.quadratic * products(t, beyond_affine(len(x), 2))
        return jnp.concatenate([mixed, second, one, t])

    def values(self, x: np.ndarray, parameters: KernelParams) -> np.ndarray:
        """Evaluate the P functions at N points, in NumPy."""
        t, mixing = parameters.box(x), parameters.mixing
        beside = [np.ones((len(x), 1), x.dtype), t]
        if not self.anova:
            second = products(t, beyond_affine(x.shape[1], 2))
            beside.insert(0, parameters.quadratic * second)
        functions = np.empty((len(x), self.size(x.shape[1])), np.result_type(x, mixing))
        np.concatenate(beside, axis=1, out=functions[:, mixing.shape[1] :])
        at_once = max(1, CHUNK_NUMBERS // len(mixing))
        for start in range(0, len(x), at_once):  # of many rows copies are most of the memory
            rows = slice(start, start + at_once)
            near = gaussians(x[rows], parameters.centers, parameters.slopes, parameters.shares)
            np.matmul(near, mixing, out=functions[rows, : mixing.shape[1]])
        return functions

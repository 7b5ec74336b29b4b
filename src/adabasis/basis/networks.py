"""Networks as bases: plain and residual (slides eq. 9 and 10), frozen random features, projected.

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
from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from scipy.special import ndtri

from .._runtime.backend import namespace
from .._runtime.notation import AnyArray, AnyKey, BoxBounds, Functions, PointsX, PointX
from ..geometry.points import AffineMap, unit_box
from .activations import activation_named
from .base import (
    AbstractActivated,
    AbstractBasis,
    OnePointBasis,
    in_model_files,
    require_positive,
)
from .layers import (
    AbstractInitializer,
    Affine,
    Architecture,
    BoxInit,
    cut_planes,
    initializer_named,
    random_normals,
    sides,
)

#: Hidden layers unrolled in one compiled block: deeper networks compile as a loop of such.
UNROLL = 16
#: Mean gaps between the points' pre-activations over which a kink is averaged: 1 to 4 do alike.
GAPS = 2.0


class Network(NamedTuple):
    """Hidden parameters: the first layer, and the other L−1 stacked along a leading axis."""

    first: Affine
    hidden: Affine | None


def widened(wide: Network, narrower: Network) -> Network:
    """Return a network with a narrower one's units first, which see none of the others."""
    n, xp = narrower.first.bias.shape[0], namespace(wide.first.bias)
    first = jax.tree.map(
        lambda new, old: xp.concatenate([old, new[n:]]), wide.first, narrower.first
    )
    if wide.hidden is None or narrower.hidden is None:
        return Network(first, None)
    (weight, bias), (old, old_bias) = wide.hidden, narrower.hidden
    blind = xp.concatenate([old, xp.zeros_like(weight[:, :n, n:])], axis=2)
    return Network(
        first,
        Affine(
            xp.concatenate([blind, weight[:, n:]], axis=1),
            xp.concatenate([old_bias, bias[:, n:]], axis=1),
        ),
    )


@in_model_files
class NeuralBasis(AbstractActivated):
    r"""The last hidden layer of a network, seen as ``width`` basis functions.

    Plain:    Φ = σ∘T_L∘ … ∘σ∘T_1.
    Residual: Φ = (I + σ∘T_L)∘ … ∘(I + σ∘T_2)∘(σ∘T_1); depth 1 is the plain network.

    Parameters
    ----------
    width : int
        Units of every hidden layer.
    depth : int
        Hidden layers, L ≥ 1.
    activation : str or callable
        A name (``adabasis.basis.ACTIVATIONS``) or an elementwise function of an array in
        ``jax.numpy``. Models with such a function predict in JAX, others in NumPy, unless it is
        registered with its function of NumPy's (``Activation(…, numpy=np.arctan)``).
    residual : bool
        Whether layers add to what they get; a plain network replaces it.
    init : str or AbstractInitializer
        A name (``adabasis.basis.INITIALIZERS``); ``"box"`` keeps all functions independent at
        any depth of a residual network, He and Glorot do not.
    constant : bool
        Append the function 1, so that P = width + 1.

    Raises
    ------
    ValueError
        For a width or depth below 1 or an unknown name.

    Examples
    --------
    >>> import jax, jax.numpy as jnp
    >>> basis = NeuralBasis(8, 2, activation="relu", residual=True)
    >>> parameters = basis.init(jax.random.key(0), jnp.array([[0.0, 1.0]]))
    >>> basis(jnp.array([0.5]), parameters).shape
    (9,)
    """

    width: int = eqx.field(static=True)
    depth: int = eqx.field(static=True)
    activation: str | Callable[[Array], Array] = eqx.field(static=True, kw_only=True)
    residual: bool = eqx.field(static=True, kw_only=True)
    initializer: str | AbstractInitializer = eqx.field(static=True, kw_only=True)
    constant: bool = eqx.field(static=True, kw_only=True)

    def __init__(
        self,
        width: int,
        depth: int,
        *,
        activation: str | Callable[[Array], Array] = "tanh",
        residual: bool = False,
        init: str | AbstractInitializer = "box",
        constant: bool = True,
    ) -> None:
        self.width, self.depth = int(width), int(depth)
        self.activation, self.residual = activation, bool(residual)
        self.initializer, self.constant = init, bool(constant)

    def __check_init__(self) -> None:
        require_positive(self, "width", "depth")
        initializer_named(self.initializer)

    def size(self, n_inputs: int) -> int:
        """Return the width, and 1 more with the constant."""
        return self.width + self.constant

    def init(self, key: AnyKey, box: BoxBounds) -> Network:
        """Draw the layers for inputs in ``box`` (D, 2)."""
        net = Architecture(self.width, self.depth, activation_named(self.activation), self.residual)
        first, *rest = initializer_named(self.initializer)(key, box, net)
        xp = namespace(first.bias)
        hidden = jax.tree.map(lambda *layers: xp.stack(layers), *rest) if rest else None
        return Network(first, hidden)

    @property
    def draws_in_numpy(self) -> bool:
        """Whether the initialiser does."""
        return initializer_named(self.initializer).draws_in_numpy

    def narrower(self, least: int) -> AbstractBasis | None:
        """Return the network of half the width."""
        return None if self.width < 2 * least else self.replace(width=self.width // 2)

    def widened(self, narrower: Network, key: AnyKey, box: BoxBounds) -> Network:
        """Return parameters with the functions of a narrower network among their functions.

        The other units are drawn; in no layer do the narrower network's units see them.

        Raises
        ------
        ValueError
            For a network of another depth or a larger width.
        """
        drawn, n = self.init(key, box), narrower.first.bias.shape[0]
        depth = 1 if narrower.hidden is None else 1 + narrower.hidden.bias.shape[0]
        if depth != self.depth or n > self.width:
            raise ValueError(
                f"NeuralBasis({self.width}, {self.depth}).widened: expected a network of depth "
                f"{self.depth} and at most as wide; got width {n} and depth {depth}."
            )
        return widened(drawn, narrower)

    def after(self, parameters: Network, points: AffineMap) -> Network:
        """Return parameters of the same functions of mapped points: the first layer's."""
        weight = parameters.first.weight / points.scale
        first = Affine(weight, parameters.first.bias - weight @ points.shift)
        return parameters._replace(first=first)

    def __call__(self, x: PointX, parameters: Network) -> Functions:
        """Evaluate the P functions at one point."""
        return self._functions(x, parameters, None)

    def values(self, x: np.ndarray, parameters: Network) -> np.ndarray:
        """Evaluate the P functions at N points, in NumPy."""
        sigma = activation_named(self.activation)
        h = sigma.values(parameters.first.values(x))
        for layer in zip(*(parameters.hidden or ()), strict=True):
            out = sigma.values(Affine(*layer).values(h))
            h = h + out if self.residual else out
        return np.append(h, np.ones((len(h), 1), h.dtype), axis=1) if self.constant else h

    def linearizable(self, parameters: Network, x: PointsX) -> OnePointBasis:
        """Average the derivative of a kinked activation over the gaps between pre-activations.

        With the derivative of one side, a step stalls where a kink meets a point: at a loss
        half a decade above the best for 32 ReLU on sin 2πx, a tenth of one with averages.
        """
        if self.smoothness >= 1:
            return self
        reach = jax.vmap(lambda point: self._pre_activations(point, parameters))(x)
        gaps = GAPS * (reach.max(axis=0) - reach.min(axis=0)) / x.shape[0]

        def functions(point: Array, parameters: Network) -> Array:
            return self._functions(point, parameters, gaps)

        return functions

    def _functions(self, x: Array, parameters: Network, gaps: Array | None) -> Array:
        sigma = activation_named(self.activation)

        def units(h: Array, layer: tuple[Affine, Array | None]) -> Array:
            affine, gap = layer
            z = affine(h)
            return sigma(z) if gap is None else sigma.averaged(z, gap)

        def layer(h: Array, layer: tuple[Affine, Array | None]) -> tuple[Array, None]:
            out = units(h, layer)
            return (h + out if self.residual else out), None

        h = units(x, (parameters.first, None if gaps is None else gaps[0]))
        if parameters.hidden is not None:
            unroll = min(self.depth - 1, UNROLL)
            layers = (parameters.hidden, None if gaps is None else gaps[1:])
            h, _ = jax.lax.scan(layer, h, layers, unroll=unroll)
        return jnp.append(h, jnp.ones((), h.dtype)) if self.constant else h

    def _pre_activations(self, x: Array, parameters: Network) -> Array:
        """Return what every unit's activation is applied to: (depth, width)."""
        sigma = activation_named(self.activation)

        def layer(h: Array, affine: Affine) -> tuple[Array, Array]:
            z = affine(h)
            return (h + sigma(z) if self.residual else sigma(z)), z

        first = parameters.first(x)
        if parameters.hidden is None:
            return first[None]
        _, rest = jax.lax.scan(layer, sigma(first), parameters.hidden)
        return jnp.concatenate([first[None], rest])


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
        σ: a name in :data:`adabasis.basis.ACTIVATIONS`, or an elementwise function.
    scale : float or "auto"
        The factor s on all slopes: larger for rougher targets. With ``"auto"`` public functions
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
        return [
            self.replace(scale=s)
            for s in ((1.0,) if activation_named(self.activation).homogeneous else tried)
        ]

    def size(self, n_inputs: int) -> int:
        """Return the width + 1 + D."""
        return self.width + 1 + n_inputs

    def n_affine(self, n_inputs: int) -> int:
        """Return 1 + D."""
        return 1 + n_inputs

    draws_in_numpy = True

    def init(self, key: AnyKey, box: BoxBounds) -> Affine:
        """Draw stratified cut planes in ``box`` (D, 2) and multiply them by the scale."""
        (layer,) = BoxInit()(
            key, box, Architecture(self.width, 1, activation_named(self.activation), residual=False)
        )
        return layer.times(self.slope)

    def __call__(self, x: PointX, parameters: Affine) -> Functions:
        """Evaluate the P functions at one point."""
        h = activation_named(self.activation)(parameters(x))
        return jnp.concatenate([h, jnp.ones((1,), h.dtype), x])

    def values(self, x: np.ndarray, parameters: Affine) -> np.ndarray:
        """Evaluate the P functions at N points, in NumPy."""
        h = activation_named(self.activation).values(parameters.values(x))
        return np.concatenate([h, np.ones((len(x), 1), x.dtype), x], axis=1)


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
        σ: a name in :data:`adabasis.basis.ACTIVATIONS`.
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

    def size(self, n_inputs: int) -> int:
        """Return the width + 1 + D."""
        return self.width + 1 + n_inputs

    def n_affine(self, n_inputs: int) -> int:
        """Return 1 + D."""
        return 1 + n_inputs

    draws_in_numpy = True

    def init(self, key: AnyKey, box: BoxBounds) -> Affine:
        """Draw directions at random; they map ``box`` (D, 2) into [0, 1]^r."""
        normals = random_normals(key, self.rank, box)
        xp = namespace(normals)
        lowest = xp.minimum(normals, 0.0).sum(axis=1)
        reach = xp.abs(normals).sum(axis=1)
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
        planes, box = _planes(self.width, self.rank), unit_box(self.rank)
        layer = self._features(*(jnp.asarray(array, x.dtype) for array in (*planes, box)))
        h = activation_named(self.activation)(layer(parameters(x)))
        return jnp.concatenate([h, jnp.ones((1,), h.dtype), x])

    def values(self, x: np.ndarray, parameters: Affine) -> np.ndarray:
        """Evaluate the P functions at N points, in NumPy."""
        layer = self._features(*_planes(self.width, self.rank), unit_box(self.rank))
        h = activation_named(self.activation).values(layer.values(parameters.values(x)))
        return np.concatenate([h, np.ones((len(x), 1), x.dtype), x], axis=1)

    def _features(self, p: AnyArray, n: AnyArray, box: AnyArray) -> Affine:
        limit = BoxInit().max_slope if self.rank == 1 else np.inf
        return cut_planes(p, n, box, 1.0, limit).times(self.scale)  # type: ignore[arg-type]


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

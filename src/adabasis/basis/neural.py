"""Plain and residual networks as bases (slides eq. 9 and 10)."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
from jax import Array

from .._runtime.notation import BoxBounds, Functions, PointsX, PointX, RandomKey
from .base import (
    AbstractActivated,
    AbstractBasis,
    OnePointBasis,
    in_model_files,
    require_positive,
)
from .layers import AbstractInitializer, Affine, Architecture, initializer_named

#: Hidden layers unrolled in one compiled block: deeper networks compile as a loop of such.
UNROLL = 16
#: Mean gaps between the points' pre-activations over which a kink is averaged: 1 to 4 do alike.
GAPS = 2.0


class Network(NamedTuple):
    """Hidden parameters: the first layer, and the other L−1 stacked along a leading axis."""

    first: Affine
    hidden: Affine | None


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
        A name (``adabasis.basis.ACTIVATIONS``) or an elementwise function of an array.
    residual : bool
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

    def init(self, key: RandomKey, box: BoxBounds) -> Network:
        """Draw the layers for inputs in ``box`` (D, 2)."""
        net = Architecture(self.width, self.depth, self.sigma, self.residual)
        first, *rest = initializer_named(self.initializer)(key, box, net)
        hidden = jax.tree.map(lambda *layers: jnp.stack(layers), *rest) if rest else None
        return Network(first, hidden)

    def narrower(self, least: int) -> AbstractBasis | None:
        """Return the network of half the width."""
        return None if self.width < 2 * least else self.replace(width=self.width // 2)

    def widened(self, narrower: Network, key: RandomKey, box: BoxBounds) -> Network:
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
        first = jax.tree.map(lambda new, old: new.at[:n].set(old), drawn.first, narrower.first)
        if drawn.hidden is None or narrower.hidden is None:
            return Network(first, None)
        weight, bias = drawn.hidden
        weight = weight.at[:, :n, n:].set(0.0).at[:, :n, :n].set(narrower.hidden.weight)
        return Network(first, Affine(weight, bias.at[:, :n].set(narrower.hidden.bias)))

    def __call__(self, x: PointX, parameters: Network) -> Functions:
        """Evaluate the P functions at one point."""
        return self._functions(x, parameters, None)

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
        def sigma(z: Array, gap: Array | None) -> Array:
            return self.sigma(z) if gap is None else self.sigma.averaged(z, gap)

        def layer(h: Array, layer: tuple[Affine, Array | None]) -> tuple[Array, None]:
            affine, gap = layer
            out = sigma(affine(h), gap)
            return (h + out if self.residual else out), None

        h = sigma(parameters.first(x), None if gaps is None else gaps[0])
        if parameters.hidden is not None:
            unroll = min(self.depth - 1, UNROLL)
            layers = (parameters.hidden, None if gaps is None else gaps[1:])
            h, _ = jax.lax.scan(layer, h, layers, unroll=unroll)
        return jnp.append(h, jnp.ones((), h.dtype)) if self.constant else h

    def _pre_activations(self, x: Array, parameters: Network) -> Array:
        """Return what every unit's activation is applied to: (depth, width)."""

        def layer(h: Array, affine: Affine) -> tuple[Array, Array]:
            z = affine(h)
            return (h + self.sigma(z) if self.residual else self.sigma(z)), z

        first = parameters.first(x)
        if parameters.hidden is None:
            return first[None]
        _, rest = jax.lax.scan(layer, self.sigma(first), parameters.hidden)
        return jnp.concatenate([first[None], rest])

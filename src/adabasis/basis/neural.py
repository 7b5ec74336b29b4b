"""Plain and residual networks as bases (slides eq. 9 and 10)."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
from jax import Array

from ..notation import BoxBounds, Functions, PointX, RandomKey
from .activations import activation_named
from .base import AbstractBasis
from .initialize import AbstractInitializer, Affine, Architecture, initializer_named

UNROLL = 16
"""Hidden layers unrolled in one compiled block: deeper networks compile as a loop of such."""


class Network(NamedTuple):
    """Hidden parameters: the first layer, and the other L−1 stacked along a leading axis."""

    first: Affine
    hidden: Affine | None


class NeuralBasis(AbstractBasis):
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
        if width < 1 or depth < 1:
            raise ValueError(f"NeuralBasis(width={width}, depth={depth}): both must be at least 1.")
        activation_named(activation)
        initializer_named(init)
        self.width, self.depth = int(width), int(depth)
        self.activation, self.residual = activation, bool(residual)
        self.initializer, self.constant = init, bool(constant)

    @property
    def smoothness(self) -> float:
        """Order of the highest continuous derivative, that of the activation."""
        return activation_named(self.activation).smoothness

    def init(self, key: RandomKey, box: BoxBounds) -> Network:
        """Draw the layers for inputs in ``box`` (D, 2)."""
        net = Architecture(self.width, self.depth, activation_named(self.activation), self.residual)
        first, *rest = initializer_named(self.initializer)(key, box, net)
        hidden = jax.tree.map(lambda *layers: jnp.stack(layers), *rest) if rest else None
        return Network(first, hidden)

    def __call__(self, x: PointX, parameters: Network) -> Functions:
        """Evaluate the P functions at one point."""
        activation = activation_named(self.activation)

        def layer(h: Array, affine: Affine) -> tuple[Array, None]:
            out = activation(affine(h))
            return (h + out if self.residual else out), None

        h = activation(parameters.first(x))
        if parameters.hidden is not None:
            unroll = min(self.depth - 1, UNROLL)
            h, _ = jax.lax.scan(layer, h, parameters.hidden, unroll=unroll)
        return jnp.append(h, jnp.ones((), h.dtype)) if self.constant else h

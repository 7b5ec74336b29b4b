"""Frozen random features: one hidden layer of cut planes that descent leaves alone."""

from __future__ import annotations

from collections.abc import Callable

import equinox as eqx
import jax.numpy as jnp
from jax import Array

from .._runtime.notation import BoxBounds, Functions, PointX, RandomKey
from .activations import activation_named
from .base import AbstractBasis
from .initialize import Affine, Architecture, Box


class FrozenFeatures(AbstractBasis):
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

    width: int = eqx.field(static=True)
    activation: str | Callable[[Array], Array] = eqx.field(static=True, kw_only=True)
    scale: float | str = eqx.field(static=True, kw_only=True)

    def __init__(
        self,
        width: int,
        *,
        activation: str | Callable[[Array], Array] = "tanh",
        scale: float | str = "auto",
    ) -> None:
        if width < 1:
            raise ValueError(f"FrozenFeatures(width={width}): must be at least 1.")
        if scale != "auto" and not (not isinstance(scale, str) and scale > 0):
            raise ValueError(f"FrozenFeatures(scale={scale!r}): a positive number or 'auto'.")
        activation_named(activation)
        self.width, self.activation = int(width), activation
        self.scale = scale if isinstance(scale, str) else float(scale)

    @property
    def smoothness(self) -> float:
        """Order of the highest continuous derivative, that of the activation."""
        return activation_named(self.activation).smoothness

    @property
    def trainable(self) -> bool:
        """Frozen: no."""
        return False

    def size(self, n_inputs: int) -> int:
        """Return P, the number of functions, for D = ``n_inputs``."""
        return self.width + 1 + n_inputs

    def init(self, key: RandomKey, box: BoxBounds) -> Affine:
        """Draw stratified cut planes in ``box`` (D, 2) and multiply them by the scale."""
        net = Architecture(self.width, 1, activation_named(self.activation), residual=False)
        (layer,) = Box()(key, box, net)
        return layer.times(1.0 if isinstance(self.scale, str) else self.scale)

    def __call__(self, x: PointX, parameters: Affine) -> Functions:
        """Evaluate the P functions at one point."""
        h = activation_named(self.activation)(parameters(x))
        return jnp.concatenate([h, jnp.ones((1,), h.dtype), x])

"""Integrals and means as operators: of the whole domain, and along a coordinate."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
from jax import Array

from .._runtime.notation import PointX
from .base import AbstractOperator


class Averaged(AbstractOperator):
    """Lu = Σ_k w_k u(x_k), the same number at every point: a mean, or an integral.

    Parameters
    ----------
    points : array, shape (M, D)
    weights : array, shape (M,)
    name : str
        What it is called in print.
    """

    points: Any
    weights: Any
    name: str = "mean"
    order = 0

    def __call__(self, u: Any) -> Any:
        """Return the constant function."""

        def image(x: PointX) -> Array:
            values = jax.vmap(u)(jnp.asarray(self.points, x.dtype))
            return jnp.tensordot(jnp.asarray(self.weights, x.dtype), values, axes=1)

        return image

    def text(self, u: str) -> str:
        """Return mean(u)."""
        return f"{self.name}({u})"

    def __repr__(self) -> str:
        return self.text("u")

"""Functions of learned coordinates: Φ(x) = Ψ(ξ(x)) with ξ in the span of another basis."""

from __future__ import annotations

from typing import Any

import equinox as eqx
import jax.numpy as jnp
from jax import Array

from .._runtime.notation import AnyArray, BoxBounds, Functions, Parameters, PointX, RandomKey
from .base import AbstractBasis


class WarpedBasis(AbstractBasis):
    """An outer basis in coordinates ξ(x) = (Φ_inner(x) C − lower) / side, which stay as they are.

    Where ξ solves a transport equation, so does every function of ξ: a kink or a front along a
    curved characteristic becomes one at a point.

    Parameters
    ----------
    outer : AbstractBasis
        Its parameters are those of this basis; it sees the unit box of the ξ.
    inner : AbstractBasis
    inner_parameters : pytree
    coefficients : array, shape (P_inner, M)
        C, for M coordinates.
    box : array, shape (M, 2)
        Range of the coordinates.
    """

    outer: AbstractBasis
    inner: AbstractBasis
    inner_parameters: Parameters
    coefficients: AnyArray
    box: AnyArray

    @property
    def smoothness(self) -> float:
        """The lesser of both."""
        return min(self.outer.smoothness, self.inner.smoothness)

    @property
    def trainable(self) -> bool:
        """Whether the outer functions may be moved."""
        return self.outer.trainable

    def init(self, key: RandomKey, box: BoxBounds) -> Parameters:
        """Draw the outer parameters; the box of x is not used, the one of ξ is the unit box."""
        n = self.coefficients.shape[1]
        return self.outer.init(key, jnp.tile(jnp.array([0.0, 1.0], box.dtype), (n, 1)))

    def coordinates(self, x: PointX) -> Array:
        """Return ξ at one point, (M,)."""
        xi = self.inner(x, self.inner_parameters) @ jnp.asarray(self.coefficients)
        lower, upper = jnp.asarray(self.box).T
        return (xi - lower) / (upper - lower)

    def __call__(self, x: PointX, parameters: Parameters) -> Functions:
        """Evaluate the outer functions at ξ(x)."""
        return self.outer(self.coordinates(x), parameters)

    def with_outer(self, outer: AbstractBasis) -> WarpedBasis:
        """Return other functions of the same coordinates."""
        return eqx.tree_at(lambda b: b.outer, self, outer)

    def config(self) -> dict[str, Any]:
        """Refuse: the coordinates are arrays, which a basis's description in a file cannot hold."""
        raise ValueError(
            "WarpedBasis: its coordinates were learned for one problem, and model files do not "
            "hold them. Solve again where the solution is needed."
        )

    def __repr__(self) -> str:
        return f"WarpedBasis({self.outer!r} of coordinates along characteristics)"

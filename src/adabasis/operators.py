"""Linear operators on one-point functions.

An operator takes a function u of one point x: (D,) and returns the function Lu of one point.
Applied to a basis (a vector-valued function), it gives all columns of the design matrix at once.
"""

from __future__ import annotations

import abc

import equinox as eqx
import jax
import jax.numpy as jnp
from jax import Array

from .notation import OnePointFunction, PointX


class AbstractOperator(eqx.Module):
    """A linear map of functions: ``operator(u)`` is again a function of one point."""

    @property
    @abc.abstractmethod
    def order(self) -> int:
        """The highest derivative the operator takes."""

    @abc.abstractmethod
    def __call__(self, u: OnePointFunction) -> OnePointFunction:
        """Return Lu."""


class Identity(AbstractOperator):
    """Lu = u: regression is the linear problem with this operator."""

    @property
    def order(self) -> int:
        """Zero."""
        return 0

    def __call__(self, u: OnePointFunction) -> OnePointFunction:
        """Return u itself."""
        return u


class Partial(AbstractOperator):
    """Lu = ∂u/∂x_i, in forward mode.

    Parameters
    ----------
    index : int
        The coordinate i, counted from 0.
    """

    index: int = eqx.field(static=True)

    @property
    def order(self) -> int:
        """One."""
        return 1

    def __call__(self, u: OnePointFunction) -> OnePointFunction:
        """Return the directional derivative of u along coordinate ``index``."""

        def derivative(x: PointX) -> Array:
            direction = jnp.zeros_like(x).at[self.index].set(1.0)
            return jax.jvp(u, (x,), (direction,))[1]

        return derivative

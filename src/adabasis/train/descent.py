"""Steps of (ξ, c) on batches in single precision, for inputs of mean 0 and variance 1."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from .. import rows
from .._runtime.compute import quickly
from .._runtime.notation import AnyArray, Parameters
from ..basis.base import AbstractBasis
from ..geometry.points import AffineMap, Points
from .base import AbstractObjective

if TYPE_CHECKING:
    import optax

#: Share of the schedule in which the rate rises.
WARM_UP = 0.05


def share_of_rate(over: AnyArray) -> np.ndarray:
    """Return the share of the largest rate at shares of the schedule that are over."""
    over = np.asarray(over, float)
    falling = 0.5 + 0.5 * np.cos(np.pi * np.clip((over - WARM_UP) / (1 - WARM_UP), 0.0, 1.0))
    return np.where(over < WARM_UP, over / WARM_UP, falling)


@quickly()
def steps_on_batches(
    objective: AbstractObjective,
    optimizer: optax.GradientTransformation,
    variables: Any,
    moments: Any,
    batches: tuple[AnyArray, AnyArray, AnyArray],
    rates: AnyArray,
    count: AnyArray,
) -> tuple[Any, Any, Array]:
    """Take ``count`` steps, one on each of the first batches.

    Parameters
    ----------
    objective : AbstractObjective
        About any rows; its own are not used.
    optimizer : optax.GradientTransformation
    variables : (pytree, array)
    moments : pytree
    batches : three arrays
        Points (S, B, D), targets (S, B, Q), and weights (S, B) whose mean over all rows is 1.
    rates : array, shape (S,)
    count : integer

    Returns
    -------
    variables, moments, and the losses (S,) before each step
    """

    def loss(variables: Any, x: Array, y: Array, weight: Array) -> Array:
        # The rows' weights count with their sum: a batch that is heavier tells more.
        parameters, c = variables
        share = jnp.mean(weight)
        one = objective.of_rows(rows.Term(Points(x, weight), y))
        one = dataclasses.replace(one, ridge=one.ridge / share)
        return share * one.value(one.predicted(parameters, c), c)

    def body(i: Array, carry: Any) -> Any:
        variables, moments, losses = carry
        batch = [jnp.asarray(array)[i] for array in batches]
        value, gradient = jax.value_and_grad(loss)(variables, *batch)
        update, moments = optimizer.update(gradient, moments, variables)
        rate = jnp.asarray(rates)[i]
        variables = jax.tree.map(lambda v, u: v + rate * u, variables, update)
        return variables, moments, losses.at[i].set(value)

    losses = jnp.zeros(len(rates), jnp.asarray(rates).dtype)
    return jax.lax.fori_loop(0, count, body, (variables, moments, losses))


@quickly(once=True)
def first_moments(optimizer: optax.GradientTransformation, variables: Any) -> Any:
    """Return the optimiser's state before the first step."""
    return optimizer.init(variables)


@quickly()
def watched_error(objective: AbstractObjective, variables: Any) -> Array:
    """Return the error of (ξ, c) on rows held out."""
    return objective.error(*variables)


def single(tree: Any) -> Any:
    """Return a pytree with its numbers in single precision."""
    return jax.tree.map(lambda leaf: _cast(leaf, np.float32), tree)


def double(tree: Any) -> Any:
    """Return a pytree with its numbers in double precision."""
    return jax.tree.map(lambda leaf: _cast(leaf, np.float64), tree)


def _cast(leaf: Any, dtype: Any) -> Any:
    leaf = np.asarray(leaf)
    return leaf.astype(dtype) if np.issubdtype(leaf.dtype, np.floating) else leaf


def weighted_map(x: AnyArray, weight: AnyArray) -> AffineMap:
    """Return the map of weighted points (N, D) onto ones of mean 0 and variance 1."""
    x, share = np.asarray(x), np.asarray(weight) / np.sum(weight)
    mean = share @ x
    squares = [share @ (column - middle) ** 2 for column, middle in zip(x.T, mean, strict=True)]
    return AffineMap.standardize(mean, np.sqrt(squares))


#: Rows that are mapped at once: what is between fits in a cache.
ROWS_AT_ONCE = 2**12


def standardized(
    x: np.ndarray, map_: AffineMap | None, out: np.ndarray | None = None
) -> np.ndarray:
    """Map points (N, D), in single precision; some rows at once, which takes little memory."""
    out = np.empty(x.shape, np.float32) if out is None else out
    if map_ is None:
        out[:] = x
        return out
    for start in range(0, len(x), ROWS_AT_ONCE):
        some = slice(start, start + ROWS_AT_ONCE)
        moved = x[some] - map_.shift
        moved /= map_.scale
        out[some] = moved
    return out


@dataclasses.dataclass(frozen=True)
class Standard:
    """The map onto inputs of mean 0 and variance 1, where a basis has parameters for them.

    Attributes
    ----------
    basis : AbstractBasis
    map : AffineMap or None
    """

    basis: AbstractBasis
    map: AffineMap | None

    @classmethod
    def of(cls, basis: AbstractBasis, x: AnyArray, weight: AnyArray) -> Standard:
        """Take it from weighted points (N, D)."""
        return cls(basis, weighted_map(x, weight) if basis.takes_maps else None)

    def points(self, x: np.ndarray) -> np.ndarray:
        """Map points, in single precision."""
        return standardized(x, self.map)

    def following(self, before: AffineMap | None) -> AffineMap | None:
        """Return one map for two: another, which comes before, and this one."""
        if before is None or self.map is None:
            return before if self.map is None else self.map
        return self.map.after(before)

    def inwards(self, parameters: Parameters) -> Parameters:
        """Return the parameters for mapped points of ξ for points as they are."""
        if self.map is None:
            return parameters
        back = AffineMap(-self.map.shift / self.map.scale, 1 / self.map.scale)
        return self.basis.after(parameters, back)

    def outwards(self, parameters: Parameters) -> Parameters:
        """Return ξ for points as they are of those for mapped points."""
        return parameters if self.map is None else self.basis.after(parameters, self.map)

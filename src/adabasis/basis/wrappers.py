"""Bases around other bases: in other units, of learned coordinates, several draws side by side."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Self

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from .._runtime.backend import namespace, split
from .._runtime.notation import (
    AnyArray,
    AnyKey,
    BoxBounds,
    Functions,
    Parameters,
    PointsX,
    PointX,
)
from ..geometry.points import AffineMap, unit_box
from .base import AbstractBasis, AbstractWrapper, OnePointBasis, in_model_files, require_positive


class MappedBasis(AbstractWrapper):
    """A basis of the unit box, say, as functions of points in the user's units: Φ((x − a) / s).

    Parameters
    ----------
    inner : AbstractBasis
    map : AffineMap
        From x to the inputs of the inner basis.
    """

    inner: AbstractBasis
    map: AffineMap

    def to_inner(self, x: PointX) -> Array:
        """Map a point to the units of the inner basis."""
        return self.map(x)

    def inner_values(self, x: np.ndarray) -> np.ndarray:
        """Map N points, in NumPy."""
        return AffineMap(np.asarray(self.map.shift), np.asarray(self.map.scale))(x)

    def box_to_inner(self, box: BoxBounds) -> BoxBounds:
        """Map the bounds."""
        return self.map(box.T).T


class WarpedBasis(AbstractWrapper):
    """A basis in coordinates ξ(x) = (Φ(x) C − lower) / side, which stay as they are.

    Where ξ solves a transport equation, so does every function of ξ: a kink or a front along a
    curved characteristic becomes one at a point.

    Parameters
    ----------
    inner : AbstractBasis
        The functions of ξ: its parameters are those of this basis; it sees the unit box of the ξ.
    coordinate_basis : AbstractBasis
        Φ, whose span the coordinates are in.
    coordinate_parameters : pytree
    coefficients : array, shape (P, M)
        C, for M coordinates.
    box : array, shape (M, 2)
        Range of the coordinates.
    """

    inner: AbstractBasis
    coordinate_basis: AbstractBasis
    coordinate_parameters: Parameters
    coefficients: AnyArray
    box: AnyArray

    @property
    def smoothness(self) -> float:
        """The lesser of both."""
        return min(self.inner.smoothness, self.coordinate_basis.smoothness)

    def box_to_inner(self, box: BoxBounds) -> BoxBounds:
        """Return the unit box of the ξ; the box of x is not used."""
        return jnp.asarray(unit_box(self.coefficients.shape[1]), box.dtype)

    def to_inner(self, x: PointX) -> Array:
        """Return ξ at one point, (M,)."""
        functions = self.coordinate_basis(x, self.coordinate_parameters)
        lower, upper = jnp.asarray(self.box).T
        return (functions @ jnp.asarray(self.coefficients) - lower) / (upper - lower)

    def inner_values(self, x: np.ndarray) -> np.ndarray:
        """Return ξ at N points, (N, M), in NumPy."""
        known = jax.tree.map(np.asarray, self.coordinate_parameters)
        lower, upper = np.asarray(self.box).T
        xi = self.coordinate_basis.values(x, known) @ np.asarray(self.coefficients)
        return (xi - lower) / (upper - lower)

    def __repr__(self) -> str:
        return f"WarpedBasis({self.inner!r} of coordinates along characteristics)"


@in_model_files
class Ensemble(AbstractWrapper):
    """Several draws of one basis side by side: Φ = [Φ(·; ξ₁) … Φ(·; ξ_M)], P = M times that of one.

    Coefficients are solved member by member and divided by M, so that the model is the mean of
    its members. What each of them made of noise averages out; what they agree on stays.

    Parameters
    ----------
    inner : AbstractBasis
        What every member is.
    n_members : int
        M; the leaves of ξ have a leading axis of this length.

    Raises
    ------
    ValueError
        For no members.
    """

    inner: AbstractBasis = eqx.field(static=True)
    n_members: int = eqx.field(static=True, converter=int)
    draws_in_numpy = AbstractWrapper.draws_in_numpy

    def __check_init__(self) -> None:
        require_positive(self, "n_members")

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Self:
        """Construct it; in files of version 0.1 the arguments are called member and members."""
        renamed = {"member": "inner", "members": "n_members"}
        return cls(**{renamed.get(name, name): value for name, value in config.items()})

    def size(self, n_inputs: int) -> int:
        """Return M times that of a member."""
        return self.n_members * self.inner.size(n_inputs)

    def n_affine(self, n_inputs: int) -> int:
        """Return 0: the functions of members are solved apart."""
        return 0

    def init(self, key: AnyKey, box: BoxBounds) -> Parameters:
        """Draw every member by itself."""
        return _stacked([self.inner.init(k, box) for k in split(key, self.n_members)])

    def __call__(self, x: PointX, parameters: Parameters) -> Functions:
        """Evaluate the functions of all members at one point."""
        return jax.vmap(self.inner, in_axes=(None, 0))(x, parameters).reshape(-1)

    def values(self, x: np.ndarray, parameters: Parameters) -> np.ndarray:
        """Evaluate the functions of all members at N points, in NumPy."""
        leaves, structure = jax.tree.flatten(parameters)
        values, members = self.inner.values, zip(*leaves, strict=True)
        each = [values(x, jax.tree.unflatten(structure, member)) for member in members]
        return np.concatenate(each, axis=1)

    def linearizable(self, parameters: Parameters, x: PointsX) -> OnePointBasis:
        """Return this basis: members are trained apart, where their kinks are averaged."""
        return self

    def placed(self, parameters: Parameters, x: PointsX) -> Parameters:
        """Place every member."""
        return _stacked([self.inner.placed(xi, x) for _, xi in self.members(parameters)])

    def members(self, parameters: Parameters) -> list[tuple[AbstractBasis, Parameters]]:
        """Return the members with their parameters."""
        return [
            (self.inner, jax.tree.map(lambda leaf, k=k: leaf[k], parameters))
            for k in range(self.n_members)
        ]

    def ties(self, x: PointX, parameters: Parameters) -> Functions:
        """Return the rows of all members side by side: what the mean of the members ties."""
        return jax.vmap(self.inner.ties, in_axes=(None, 0))(x, parameters).reshape(-1)

    def widened(self, narrower: Parameters, key: AnyKey, box: BoxBounds) -> Parameters:
        """Widen every member."""
        keys, members = split(key, self.n_members), self.members(narrower)
        pairs = zip(keys, members, strict=True)
        return _stacked([self.inner.widened(xi, k, box) for k, (_, xi) in pairs])


def _stacked(members: list[Parameters]) -> Parameters:
    return jax.tree.map(lambda *leaves: namespace(leaves[0]).stack(leaves), *members)

"""Several draws of one basis side by side: networks trained apart, their predictions averaged."""

from __future__ import annotations

import equinox as eqx
import jax
import jax.numpy as jnp

from .._runtime.notation import BoxBounds, Functions, Parameters, PointX, RandomKey
from .base import AbstractBasis


class Ensemble(AbstractBasis):
    """The functions of all members: Φ = [Φ(·; ξ₁) … Φ(·; ξ_M)], P = M times that of one.

    Coefficients are solved member by member and divided by M, so that the model is the mean of
    its members. What each of them made of noise averages out; what they agree on stays.

    Parameters
    ----------
    member : AbstractBasis
    members : int
        M, their number.

    Raises
    ------
    ValueError
        For no members.
    """

    member: AbstractBasis = eqx.field(static=True)
    members: int = eqx.field(static=True)

    def __init__(self, member: AbstractBasis, members: int) -> None:
        if members < 1:
            raise ValueError(f"Ensemble(members={members}): must be at least 1.")
        self.member, self.members = member, int(members)

    @property
    def smoothness(self) -> float:
        """That of a member."""
        return self.member.smoothness

    @property
    def trainable(self) -> bool:
        """That of a member."""
        return self.member.trainable

    def init(self, key: RandomKey, box: BoxBounds) -> Parameters:
        """Draw every member by itself; the leaves of ξ get a leading axis of length M."""
        drawn = [self.member.init(k, box) for k in jax.random.split(key, self.members)]
        return jax.tree.map(lambda *leaves: jnp.stack(leaves), *drawn)

    def __call__(self, x: PointX, parameters: Parameters) -> Functions:
        """Evaluate the functions of all members at one point."""
        return jax.vmap(self.member, in_axes=(None, 0))(x, parameters).reshape(-1)

    def parts(self, parameters: Parameters) -> list[tuple[AbstractBasis, Parameters]]:
        """Return the members with their parameters."""
        return [
            (self.member, jax.tree.map(lambda leaf, k=k: leaf[k], parameters))
            for k in range(self.members)
        ]

"""Gaussians that stand at places, beside the functions of another basis."""

from __future__ import annotations

from typing import Any, NamedTuple

import equinox as eqx
import jax.numpy as jnp
import numpy as np

from .._runtime.backend import namespace, split, uniform
from .._runtime.notation import AnyArray, AnyKey, BoxBounds, Functions, Parameters, PointX
from .base import AbstractBasis, AbstractWrapper, in_model_files, require_positive

#: Entries of distances at once in NumPy.
AT_ONCE = 2**20
#: The length of Gaussians that are drawn, over the sides of the box.
LENGTH = 0.1


class PlacedParams(NamedTuple):
    """Those of the inner basis, centres (K, D), and the matrices A, (K, D, D)."""

    inner: Any
    centers: AnyArray
    shapes: AnyArray


@in_model_files
class PlacedGaussians(AbstractWrapper):
    r"""Gaussians exp(−|A_k (x − p_k)|²) before the functions of a basis.

    What is wanted in few places needs functions there. A matrix A_k may be steep in one direction
    and flat in the others, as layers are. A bare :meth:`init` draws places in the box, and takes a
    tenth of its sides for lengths; :func:`adabasis.pde.solve` places them where residuals are
    large.

    Parameters
    ----------
    inner : AbstractBasis
        The basis whose functions follow.
    count : int
        K; P is K more than that of the inner basis.

    Raises
    ------
    ValueError
        For no Gaussians.

    Examples
    --------
    >>> from adabasis.basis import FrozenFeatures
    >>> PlacedGaussians(FrozenFeatures(5), 20).size(2)
    28
    """

    inner: AbstractBasis = eqx.field(static=True)
    count: int = eqx.field(static=True, converter=int)
    trainable = False

    def __check_init__(self) -> None:
        require_positive(self, "count")

    def size(self, n_inputs: int) -> int:
        """Return the number of all functions."""
        return self.count + self.inner.size(n_inputs)

    def init(self, key: Any, box: BoxBounds) -> PlacedParams:
        """Draw the inner parameters and places in the box."""
        xp, sides, (own, other) = namespace(box), box[:, 1] - box[:, 0], split(key, 2)
        centers = box[:, 0] + uniform(own, (self.count, len(box)), box.dtype) * sides
        steep = 1 / (LENGTH * xp.where(sides > 0, sides, 1.0))
        shapes = xp.broadcast_to(xp.diag(steep), (self.count, len(box), len(box)))
        return PlacedParams(self.inner.init(other, box), centers, shapes)

    def __call__(self, x: PointX, parameters: PlacedParams) -> Functions:
        """Evaluate all functions at one point."""
        # A sum of products, not a product of stacks of matrices, which formulas do not know.
        away = jnp.sum(parameters.shapes * (x - parameters.centers)[:, None, :], axis=2)
        gaussians = jnp.exp(-jnp.sum(away**2, axis=1))
        return jnp.concatenate([gaussians, self.inner(x, parameters.inner)])

    def values(self, x: np.ndarray, parameters: PlacedParams) -> np.ndarray:
        """Evaluate all functions at N points, in NumPy."""
        shapes, centers = np.asarray(parameters.shapes), np.asarray(parameters.centers)
        at, found = np.einsum("kij,kj->ki", shapes, centers), []
        for chunk in np.array_split(x, max(1, x.shape[0] * shapes[..., 0].size // AT_ONCE)):
            away = np.tensordot(chunk, shapes, axes=(1, 2)) - at
            found.append(np.exp(-np.sum(away**2, axis=2)))
        return np.concatenate(
            [np.concatenate(found), self.inner.values(x, parameters.inner)], axis=1
        )

    def linearizable(self, parameters: PlacedParams, x: Any) -> Any:
        """Return this basis: no parameter of it is moved."""
        return self

    def members(self, parameters: PlacedParams) -> list[tuple[AbstractBasis, Parameters]]:
        """Return this basis: Gaussians belong to no member."""
        return [(self, parameters)]

    def ties(self, x: PointX, parameters: PlacedParams) -> Functions:
        """Return the row that the inner basis ties, 0 for Gaussians."""
        row = self.inner.ties(x, parameters.inner)
        return jnp.concatenate([jnp.zeros(self.count, row.dtype), row])

    def placed(self, parameters: PlacedParams, x: Any) -> PlacedParams:
        """Adjust the inner parameters to the points."""
        return parameters._replace(inner=self.inner.placed(parameters.inner, x))

    def sloped(self, drawn: PlacedParams) -> PlacedParams:
        """Return the same places with the inner parameters of this basis."""
        return drawn._replace(inner=self.inner.sloped(drawn.inner))

    def narrower(self, least: int) -> AbstractBasis | None:
        """There is none: places are not nested."""
        return None

    def widened(self, narrower: Parameters, key: AnyKey, box: BoxBounds) -> Parameters:
        """Refuse: there is no narrower kind."""
        raise NotImplementedError("PlacedGaussians has no narrower kind.")

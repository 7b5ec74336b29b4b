"""What keeps the parts of a partition of unity alive and makes them local while they are found."""

from __future__ import annotations

import dataclasses

import jax
import jax.numpy as jnp
from jax import Array

from ..basis import PartitionBasis
from ..basis.partition import AbstractSoftmax
from ..notation import AnyArray, Parameters, Scalar
from .steps import Objective


@dataclasses.dataclass(frozen=True)
class Locality:
    r"""A term of the loss that favours partitions whose parts are all used, and hardly overlap.

    .. math::

        -\frac{b}{N} \sum_\alpha \log(N \bar\varphi_\alpha)
        + s\, t^2\, \frac{\overline{H}}{\log N},
        \qquad \overline{H} = -\frac{1}{n} \sum_i \sum_\alpha \varphi_\alpha(x_i)
        \log \varphi_\alpha(x_i)

    with N parts, φ̄_α the mean of φ_α over the points, and t the share of the phase that is over.
    The first term is a barrier: a part that shrinks to nothing costs without bound, and even
    shares cost nothing. The second is the mean entropy of the shares, which is zero where every
    point belongs to one part; it grows with t, as in deterministic annealing [1]_, so that
    borders find their places while they are soft. Mutual information of points and parts, which
    discriminative clustering maximises [2]_, is a barrier and an entropy, too.

    Parameters
    ----------
    balance, sharpness : float
        b and s, for a loss that is a mean square of standardised values.

    Raises
    ------
    ValueError
        For a negative weight.

    References
    ----------
    .. [1] Rose, "Deterministic annealing for clustering, compression, classification, regression,
       and related optimization problems", Proc. IEEE 86 (1998).
    .. [2] Krause, Perona, Gomes, "Discriminative clustering by regularized information
       maximization", NeurIPS 2010.
    """

    balance: float = 0.3
    sharpness: float = 1.0

    def __post_init__(self) -> None:
        if not (self.balance >= 0 and self.sharpness >= 0):
            raise ValueError(
                f"Locality(balance={self.balance!r}, sharpness={self.sharpness!r}): expected "
                "numbers of at least 0."
            )

    def check(self, objective: Objective) -> None:
        """Refuse a basis that has no logits.

        Raises
        ------
        ValueError
        """
        basis = objective.basis
        if not (isinstance(basis, PartitionBasis) and isinstance(basis.unity, AbstractSoftmax)):
            raise ValueError(
                f"Locality: expected a PartitionBasis whose partition is trained, got {basis!r}."
            )

    def __call__(self, objective: Objective, parameters: Parameters, over: AnyArray) -> Scalar:
        """Return the term at ξ, ``over`` being the share of the phase that is over."""
        basis = objective.basis
        assert isinstance(basis, PartitionBasis)
        unity = basis.unity
        assert isinstance(unity, AbstractSoftmax)
        points = objective.terms[0].points
        x, weight = jnp.asarray(points.x), jnp.asarray(points.weight)
        logits = jax.vmap(lambda point: unity.logits(point, parameters.partition))(x)
        log_phi = jax.nn.log_softmax(logits, axis=1)
        means, count = weight / jnp.sum(weight), basis.n_partitions
        mean_log = jax.nn.logsumexp(log_phi + jnp.log(means)[:, None], axis=0)
        barrier = -jnp.mean(mean_log) - jnp.log(1.0 * count)
        entropy: Array = -means @ jnp.sum(jnp.exp(log_phi) * log_phi, axis=1)
        scale = jnp.log(1.0 * max(count, 2))
        return self.balance * barrier + self.sharpness * over**2 * entropy / scale

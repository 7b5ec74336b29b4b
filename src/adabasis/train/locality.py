"""What keeps the parts of a partition of unity alive and makes them local while they are found."""

from __future__ import annotations

import dataclasses
import math

import jax
import jax.numpy as jnp
from jax import Array

from .._runtime.notation import AnyArray, Parameters, Scalar
from ..basis import PartitionBasis
from ..basis.pou.partition import AbstractSoftmax
from .steps import Objective

LEAST_FACTOR, HALVINGS = 1e-9, 40
"""Of logits: the smallest factor looked for, and steps of the search."""


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
    release : float
        Mean of max φ that phase 2 begins with, where it is lower than that of the parts found:
        all logits are made smaller by one factor, which leaves every border where it is. Where
        parts are sharp, the loss has no slope in ξ, and descent would need long to soften them.

    Raises
    ------
    ValueError
        For a negative weight, or a release that is no share.

    References
    ----------
    .. [1] Rose, "Deterministic annealing for clustering, compression, classification, regression,
       and related optimization problems", Proc. IEEE 86 (1998).
    .. [2] Krause, Perona, Gomes, "Discriminative clustering by regularized information
       maximization", NeurIPS 2010.
    """

    balance: float = 0.3
    sharpness: float = 2.0
    release: float = 0.8

    def __post_init__(self) -> None:
        if not (self.balance >= 0 and self.sharpness >= 0 and 0 < self.release <= 1):
            raise ValueError(
                f"Locality(balance={self.balance!r}, sharpness={self.sharpness!r}, "
                f"release={self.release!r}): expected two numbers of at least 0 and a share, "
                "0 < release ≤ 1."
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
        basis, means, logits = _logits(objective, parameters)
        log_phi, count = jax.nn.log_softmax(logits, axis=1), basis.n_partitions
        mean_log = jax.nn.logsumexp(log_phi + jnp.log(means)[:, None], axis=0)
        barrier = -jnp.mean(mean_log) - jnp.log(1.0 * count)
        entropy: Array = -means @ jnp.sum(jnp.exp(log_phi) * log_phi, axis=1)
        scale = jnp.log(1.0 * max(count, 2))
        return self.balance * barrier + self.sharpness * over**2 * entropy / scale

    def released(self, objective: Objective, parameters: Parameters) -> Parameters:
        """Return ξ with all logits so much smaller that the mean of max φ is ``release``."""
        basis, means, logits = _logits(objective, parameters)

        def halved(_: int, bounds: tuple[Array, Array]) -> tuple[Array, Array]:
            low, high = bounds
            middle = (low + high) / 2
            phi = jax.nn.softmax(jnp.exp(middle) * logits, axis=1)
            soft = means @ jnp.max(phi, axis=1) < self.release
            return jnp.where(soft, middle, low), jnp.where(soft, high, middle)

        bounds = jnp.asarray(math.log(LEAST_FACTOR), logits.dtype), jnp.zeros((), logits.dtype)
        _, high = jax.lax.fori_loop(0, HALVINGS, halved, bounds)
        softer = basis.unity.sharpened(parameters.partition, jnp.exp(high))
        return parameters._replace(partition=softer)


def _logits(objective: Objective, parameters: Parameters) -> tuple[PartitionBasis, Array, Array]:
    """Return the basis, the weights of the points as shares (N,), and their logits (N, N_part)."""
    basis = objective.basis
    assert isinstance(basis, PartitionBasis)
    unity = basis.unity
    assert isinstance(unity, AbstractSoftmax)
    points = objective.terms[0].points
    x, weight = jnp.asarray(points.x), jnp.asarray(points.weight)
    logits = jax.vmap(lambda point: unity.logits(point, parameters.partition))(x)
    return basis, weight / jnp.sum(weight), logits

r"""The loss of classification: cross-entropy of the softmax of Q linear scores (slides eq. 3).

With scores z = Φ(x; ξ) c ∈ R^Q and a *link* E (Q, K), the probabilities of the K classes are
p = softmax(z E). Two classes need one score, E = [0 1], the log of their odds; more have one score
each, E = I. Targets are probabilities, of which labels are the corners.
"""

from __future__ import annotations

import dataclasses

import jax
import jax.numpy as jnp
from jax import Array

from .. import rows
from .._runtime.notation import AnyArray, Coefficients, Parameters, Scalar
from ..basis.base import AbstractBasis


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class CrossEntropy:
    """The loss Σ w_i H(y_i, p_i) / Σ w + ½ ridge ‖c‖² of a basis on labelled points.

    Attributes
    ----------
    term : rows.Term
        N points with weights; its data are the targets (N, K), each row a distribution.
    ridge : float
        λ/Σw: with the *sum* over rows the penalty is ½ λ‖c‖², scikit-learn's with C = 1/λ.
    basis : AbstractBasis
    """

    term: rows.Term
    ridge: float | Array
    basis: AbstractBasis

    def design(self, parameters: Parameters) -> Array:
        """Return the functions at the points, (N, P), not weighted."""
        return self.term.design(self.basis, parameters)

    def predicted(self, parameters: Parameters, c: Coefficients) -> Array:
        """Return the scores at the points, (N, Q)."""
        return self.design(parameters) @ c

    @property
    def targets(self) -> Array:
        """The probabilities to be met, (N, K)."""
        return self.term.targets

    @property
    def weight(self) -> Array:
        """The share of each row in the loss, (N,)."""
        w = jnp.asarray(self.term.points.weight)
        return w / jnp.sum(w)

    @property
    def link(self) -> Array:
        """E, (Q, K)."""
        return link(self.targets.shape[1], self.targets.dtype)

    @property
    def n_outputs(self) -> int:
        """Q: one score for two classes, K for more."""
        return n_scores(self.targets.shape[1])

    def value(self, scores: Array, c: Coefficients) -> Scalar:
        """Return the loss for scores Φ c, (N, Q)."""
        return self.surprise(scores) + 0.5 * self.ridge * jnp.sum(c**2)

    def surprise(self, scores: Array) -> Scalar:
        """Return the mean cross-entropy for scores (N, Q), in nats."""
        logits = scores @ self.link
        each = jax.nn.logsumexp(logits, axis=1) - jnp.sum(logits * self.targets, axis=1)
        return jnp.sum(self.weight * each)

    def slope(self, scores: Array) -> Array:
        """Return the derivative of :meth:`surprise` with respect to the scores, (N, Q)."""
        p = jax.nn.softmax(scores @ self.link, axis=1)
        return (self.weight[:, None] * (p - self.targets)) @ self.link.T

    def error(self, parameters: Parameters, c: AnyArray) -> Scalar:
        """Return the mean cross-entropy of a model on these points."""
        return self.surprise(self.predicted(parameters, jnp.asarray(c)))

    def goal(self, tol: AnyArray | float) -> Scalar:
        """Return the loss at which training may stop: ``tol`` times the classes' entropy."""
        frequency = self.weight @ self.targets
        return jnp.asarray(tol) * jnp.sum(jax.scipy.special.entr(frequency))


def n_scores(n_classes: int) -> int:
    """Return Q for K classes."""
    return 1 if n_classes == 2 else n_classes


def link(n_classes: int, dtype: jnp.dtype) -> Array:
    """Return E, (Q, K), for K classes."""
    return jnp.array([[0.0, 1.0]], dtype) if n_classes == 2 else jnp.eye(n_classes, dtype=dtype)

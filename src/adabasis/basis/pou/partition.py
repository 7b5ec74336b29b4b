r"""Partitions of unity: functions φ_α(x; ξ) ≥ 0 of one point with Σ_α φ_α = 1.

All but the fixed grid are φ = softmax of logits ℓ(x; ξ). The differences of logits say where the
border of two partitions is (where they are equal) and how sharp: a factor on all logits makes every
border sharper and leaves it where it is.
"""

from __future__ import annotations

import abc
import math
from collections.abc import Callable
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from ..._runtime.notation import BoxBounds, Functions, Parameters, PointsX, PointX, RandomKey
from ..activations import in_jax
from ..base import AbstractActivated, AbstractBasis, in_model_files, require_positive
from ..layers import Affine, sides, stratified
from ..networks import Network, NeuralBasis
from .polynomial import multi_indices, products

#: Random points of the box that stand for the data where there are none yet.
SAMPLE = 512
#: How often a drawn partition's logits change by one on the way to the next centre.
CROWDING = 2.0


class AbstractPartition(AbstractBasis):
    """A partition of unity: a basis of N_part functions that are non-negative and sum to one."""

    n_partitions: eqx.AbstractVar[int]
    takes_labels = False  # whether parameters can be had from labels of points

    def __check_init__(self) -> None:
        require_positive(self, "n_partitions")

    def log_shares(self, x: PointX, parameters: Parameters) -> Functions:
        """Return ln φ at one point, (N_part,): finite where φ is 0."""
        shares = self(x, parameters)
        return jnp.log(jnp.maximum(shares, jnp.finfo(shares.dtype).tiny))

    def log_share_values(self, x: np.ndarray, parameters: Parameters) -> np.ndarray:
        """Return ln φ at N points, in NumPy: (N, N_part)."""
        shares = self.values(x, parameters)
        return np.log(np.maximum(shares, np.finfo(shares.dtype).tiny))

    @abc.abstractmethod
    def sharpened(self, parameters: Parameters, factor: float | Array) -> Parameters:
        """Return ξ with all logits ``factor`` times as large; a partition without logits stays."""


class AbstractSoftmax(AbstractPartition):
    """Partitions that are the softmax of logits."""

    @abc.abstractmethod
    def logits(self, x: PointX, parameters: Parameters) -> Functions:
        """Return ℓ(x; ξ) at one point, (N_part,)."""

    def from_labels(
        self,
        drawn: Parameters,
        x: np.ndarray,
        labels: np.ndarray,
        classify: Callable[[np.ndarray], np.ndarray],
    ) -> Parameters:
        """Return ξ that tells the labels (N,) of points x (N, D) apart, if it ``takes_labels``.

        ``drawn`` are some parameters: what labels do not say stays as it is there. ``classify``
        returns logits (N_part, F) that tell the labels apart and are linear in features (N, F) of
        the points, the first of them the constant.
        """
        raise NotImplementedError(f"{type(self).__name__}: labels do not tell its parameters.")

    def logit_values(self, x: np.ndarray, parameters: Parameters) -> np.ndarray:
        """Return ℓ at N points, (N, N_part), as :meth:`values` needs them."""
        return in_jax(self.logits, x, parameters)

    def __call__(self, x: PointX, parameters: Parameters) -> Functions:
        """Evaluate φ at one point: (D,) → (N_part,)."""
        return jax.nn.softmax(self._bounded(x, parameters))

    def log_shares(self, x: PointX, parameters: Parameters) -> Functions:
        """Return ln φ at one point, (N_part,), from the logits."""
        return jax.nn.log_softmax(self._bounded(x, parameters))

    def _bounded(self, x: PointX, parameters: Parameters) -> Functions:
        # Far outside the data logits overflow: infinities would cancel to NaN in the softmax.
        most = float(jnp.finfo(x.dtype).max) / 8
        logits = jnp.nan_to_num(self.logits(x, parameters), nan=0.0, posinf=most, neginf=-most)
        return jnp.clip(logits, -most, most)

    def values(self, x: np.ndarray, parameters: Parameters) -> np.ndarray:
        """Evaluate φ at N points, in NumPy: (N, D) → (N, N_part)."""
        share = np.exp(self._below_largest(x, parameters))
        return share / share.sum(axis=1, keepdims=True)

    def log_share_values(self, x: np.ndarray, parameters: Parameters) -> np.ndarray:
        """Return ln φ at N points, in NumPy: (N, N_part)."""
        below = self._below_largest(x, parameters)
        return below - np.log(np.exp(below).sum(axis=1, keepdims=True))

    def _below_largest(self, x: np.ndarray, parameters: Parameters) -> np.ndarray:
        most = float(np.finfo(x.dtype).max) / 8
        logits = np.nan_to_num(self.logit_values(x, parameters), posinf=most, neginf=-most)
        logits = np.clip(logits, -most, most)
        return logits - logits.max(axis=1, keepdims=True)


def sample_of(key: RandomKey, box: BoxBounds, count: int = SAMPLE) -> Array:
    """Draw points of a box, (count, D), one in each of ``count`` slices of every side."""
    point_key, order_key = jax.random.split(key)
    drawn = stratified(point_key, order_key, (count, box.shape[0]), box.dtype)
    return box[:, 0] + sides(box) * drawn / count


class RBFParams(NamedTuple):
    """Centres (N_part, D), and inverse widths (N_part, D), or (N_part, 1) for round ones."""

    centre: Array
    sharpness: Array


@in_model_files
class RBFPartition(AbstractSoftmax):
    """Gaussians divided by their sum, ℓ_α = −Σ_d (s_αd (x_d − μ_αd))² (equation 19 of the slides).

    The slides' shape parameter ξ₂ is 1/s: it is what makes a partition local, not the centre ξ₁.

    Parameters
    ----------
    n_partitions : int
        How many parts.
    anisotropic : bool
        A width for every input instead of one for all.
    width : float, optional
        ξ₂ at first, in units of half the box's (mean) side; by default about half the distance
        between centres, so that the partitions are local from the start.

    Raises
    ------
    ValueError
        For no partitions or a width that is not positive.
    """

    n_partitions: int = eqx.field(static=True, converter=int)
    anisotropic: bool = eqx.field(static=True, kw_only=True, default=False, converter=bool)
    width: float | None = eqx.field(static=True, kw_only=True, default=None)
    smoothness = math.inf
    takes_labels = True

    def __check_init__(self) -> None:
        if self.width is not None:
            require_positive(self, "width")

    def init(self, key: RandomKey, box: BoxBounds) -> RBFParams:
        """Draw centres spread over the box."""
        reach = sides(box) if self.anisotropic else jnp.mean(sides(box), keepdims=True)
        if self.width is None:
            sharpness = CROWDING * self.n_partitions ** (1 / len(box)) / reach
        else:
            sharpness = 2 / (self.width * reach)
        centre = sample_of(key, box, self.n_partitions)
        return RBFParams(centre, jnp.tile(sharpness, (self.n_partitions, 1)))

    def logits(self, x: PointX, parameters: RBFParams) -> Functions:
        """Return minus the squared distances from the centres."""
        return -jnp.sum((parameters.sharpness * (x - parameters.centre)) ** 2, axis=1)

    def logit_values(self, x: np.ndarray, parameters: RBFParams) -> np.ndarray:
        """Return minus the squared distances of N points, in NumPy."""
        return -np.sum((parameters.sharpness * (x[:, None] - parameters.centre)) ** 2, axis=2)

    def from_labels(
        self, drawn: RBFParams, x: np.ndarray, labels: np.ndarray, classify: Any
    ) -> RBFParams:
        """Return Gaussians that sit on the points of their labels and are as wide as those."""
        segments = [x[labels == k] for k in range(self.n_partitions)]
        spread = np.stack([segment.std(axis=0) for segment in segments])
        if drawn.sharpness.shape[1] == 1:
            spread = spread.mean(axis=1, keepdims=True)
        least = 1e-3 * np.maximum(x.std(axis=0).max(), 1e-12)
        centre = np.stack([segment.mean(axis=0) for segment in segments])
        return RBFParams(jnp.asarray(centre), jnp.asarray(1 / np.maximum(spread, least)))

    def sharpened(self, parameters: RBFParams, factor: float | Array) -> RBFParams:
        """Narrow all bumps by √factor."""
        return parameters._replace(sharpness=factor**0.5 * parameters.sharpness)


@in_model_files
class PolynomialPartition(AbstractSoftmax):
    """Softmax of polynomials of the inputs: affine ones give a power diagram.

    Borders of affine logits (degree 1) are pieces of hyperplanes, those of degree 2 conics.

    Parameters
    ----------
    n_partitions : int
        How many parts.
    degree : int
        Of the logits, at least 1.

    Raises
    ------
    ValueError
        For no partitions or degree 0.
    """

    n_partitions: int = eqx.field(static=True, converter=int)
    degree: int = eqx.field(static=True, default=1, converter=int)
    smoothness = math.inf
    takes_labels = True

    def __check_init__(self) -> None:
        require_positive(self, "degree")

    def init(self, key: RandomKey, box: BoxBounds) -> Array:
        """Return the Voronoi cells of points spread over the box: weights (N_part, features)."""
        sharpness = CROWDING * self.n_partitions ** (1 / len(box)) / sides(box)
        return self.voronoi(sample_of(key, box, self.n_partitions), sharpness)

    def voronoi(self, centres: Array, sharpness: Array) -> Array:
        """Return ξ of the cells of points nearest to each centre (N_part, D).

        Of −Σ_d (s_d (x_d − μ_αd))² the part that all have in common, −Σ (s_d x_d)², is left out.
        """
        scaled = sharpness**2 * centres
        constant = -jnp.sum(scaled * centres, axis=1, keepdims=True)
        linear = 2 / math.sqrt(3.0) * scaled
        features = len(multi_indices(centres.shape[1], self.degree))
        rest = jnp.zeros((centres.shape[0], features - 1 - centres.shape[1]), centres.dtype)
        return jnp.concatenate([constant, linear, rest], axis=1)

    def logits(self, x: PointX, parameters: Array) -> Functions:
        """Return the polynomials, of Legendre products in the inputs."""
        return parameters @ products(x, multi_indices(x.shape[0], self.degree))

    def logit_values(self, x: np.ndarray, parameters: np.ndarray) -> np.ndarray:
        """Return the polynomials at N points, in NumPy."""
        return products(x, multi_indices(x.shape[1], self.degree)) @ parameters.T

    def from_labels(self, drawn: Any, x: np.ndarray, labels: np.ndarray, classify: Any) -> Array:
        """Return weights of the Legendre products, which the logits are linear in."""
        indices = multi_indices(x.shape[1], self.degree)
        norms = np.sqrt(np.prod(2 * indices + 1, axis=1))
        return jnp.asarray(classify(norms * products(x, indices, orthonormal=False)))

    def sharpened(self, parameters: Array, factor: float | Array) -> Array:
        """Multiply all weights."""
        return factor * parameters


class NetworkParams(NamedTuple):
    """A network, and the affine map from its last hidden layer to the logits."""

    hidden: Network
    readout: Affine


@in_model_files
class NetworkPartition(AbstractSoftmax, AbstractActivated):
    """Softmax of a network's outputs: the deep architecture of the slides.

    Logits are centred and scaled on the data at first. Without that, some partitions own nothing
    from the start and phase 1 of :class:`adabasis.train.TwoPhase` does not bring them back.

    Parameters
    ----------
    n_partitions : int
        How many parts.
    width : int, optional
        Of the hidden layers; by default 4 N_part.
    depth : int
        Hidden layers.
    activation : str or callable
        Of the hidden units.
    residual : bool
        Whether layers add to what they get.
    gain : float
        Standard deviation of the logits over the data at first.

    Raises
    ------
    ValueError
        For sizes below 1, a gain that is not positive or an unknown activation.
    """

    n_partitions: int = eqx.field(static=True, converter=int)
    width: int | None = eqx.field(static=True, kw_only=True, default=None)
    depth: int = eqx.field(static=True, kw_only=True, default=2, converter=int)
    activation: str | Callable[[Array], Array] = eqx.field(
        static=True, kw_only=True, default="tanh"
    )
    residual: bool = eqx.field(static=True, kw_only=True, default=False, converter=bool)
    gain: float = eqx.field(static=True, kw_only=True, default=2.0, converter=float)
    takes_labels = True

    def __check_init__(self) -> None:
        require_positive(self, "gain")
        _ = self.hidden  # checks the other arguments

    @property
    def hidden(self) -> NeuralBasis:
        """The network below the readout."""
        return NeuralBasis(
            4 * self.n_partitions if self.width is None else self.width,
            self.depth,
            activation=self.activation,
            residual=self.residual,
            constant=False,
        )

    def init(self, key: RandomKey, box: BoxBounds) -> NetworkParams:
        """Draw the network by Box and a random readout, normalised over the box."""
        hidden_key, readout_key, sample_key = jax.random.split(key, 3)
        hidden = self.hidden.init(hidden_key, box)
        shape = (self.n_partitions, self.hidden.width)
        weight = jax.random.normal(readout_key, shape, box.dtype)
        drawn = NetworkParams(hidden, Affine(weight, jnp.zeros(self.n_partitions, box.dtype)))
        return self.placed(drawn, sample_of(sample_key, box))

    def placed(self, parameters: NetworkParams, x: PointsX) -> NetworkParams:
        """Centre the logits on points (N, D) and scale them to the deviation ``gain``."""
        logits = _logits_at(self, x, parameters)
        mean, deviation = jnp.mean(logits, axis=0), jnp.std(logits, axis=0)
        factor = self.gain / jnp.where(deviation > 0, deviation, 1.0)
        weight, bias = parameters.readout
        readout = Affine(factor[:, None] * weight, factor * (bias - mean))
        return parameters._replace(readout=readout)

    def logits(self, x: PointX, parameters: NetworkParams) -> Functions:
        """Evaluate the network."""
        return parameters.readout(self.hidden(x, parameters.hidden))

    def logit_values(self, x: np.ndarray, parameters: NetworkParams) -> np.ndarray:
        """Evaluate the network at N points, in NumPy."""
        return parameters.readout.values(self.hidden.values(x, parameters.hidden))

    def from_labels(
        self, drawn: NetworkParams, x: np.ndarray, labels: np.ndarray, classify: Any
    ) -> NetworkParams:
        """Return a readout for the hidden layers as drawn."""
        hidden = jax.vmap(lambda point: self.hidden(point, drawn.hidden))(jnp.asarray(x))
        weights = classify(np.concatenate([np.ones((len(x), 1)), np.asarray(hidden)], axis=1))
        readout = Affine(jnp.asarray(weights[:, 1:]), jnp.asarray(weights[:, 0]))
        return drawn._replace(readout=readout)

    def sharpened(self, parameters: NetworkParams, factor: float | Array) -> NetworkParams:
        """Multiply the readout."""
        return parameters._replace(readout=parameters.readout.times(factor))


@eqx.filter_jit
def _logits_at(partition: AbstractSoftmax, x: PointsX, parameters: Parameters) -> Array:
    """Return the logits at points (N, D), compiled once for all draws of one network."""
    return jax.vmap(lambda point: partition.logits(point, parameters))(x)


def hard_assignment(partition: AbstractPartition, parameters: Any, x: np.ndarray) -> np.ndarray:
    """Return the part with the largest share at each point, (N,)."""
    # Logits where there are any: of shares several may round to the same.
    share = partition.logits if isinstance(partition, AbstractSoftmax) else partition
    values = jax.vmap(lambda point: share(point, parameters))(jnp.asarray(x))
    return np.asarray(jnp.argmax(values, axis=1))

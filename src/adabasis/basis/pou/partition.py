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
from ..activations import activation_named
from ..base import AbstractBasis
from ..initialize import Affine
from ..neural import Network, NeuralBasis
from .polynomial import multi_indices, products

SAMPLE = 512
"""Random points of the box that stand for the data where there are none yet."""
CROWDING = 2.0
"""How often a drawn partition's logits change by one on the way to the next centre."""


class AbstractPartition(AbstractBasis):
    """A partition of unity: a basis of N_part functions that are non-negative and sum to one."""

    n_partitions: eqx.AbstractVar[int]

    @abc.abstractmethod
    def sharpened(self, parameters: Parameters, factor: float | Array) -> Parameters:
        """Return ξ with all logits ``factor`` times as large; a partition without logits stays."""


class AbstractSoftmax(AbstractPartition):
    """Partitions that are the softmax of logits."""

    @abc.abstractmethod
    def logits(self, x: PointX, parameters: Parameters) -> Functions:
        """Return ℓ(x; ξ) at one point, (N_part,)."""

    def __call__(self, x: PointX, parameters: Parameters) -> Functions:
        """Evaluate φ at one point: (D,) → (N_part,)."""
        most = float(jnp.finfo(x.dtype).max) / 8
        # Far outside the data logits overflow: infinities would cancel to NaN in the softmax.
        logits = jnp.nan_to_num(self.logits(x, parameters), nan=0.0, posinf=most, neginf=-most)
        return jax.nn.softmax(jnp.clip(logits, -most, most))


def _checked(kind: str, n_partitions: int) -> int:
    if n_partitions < 1:
        raise ValueError(f"{kind}(n_partitions={n_partitions}): must be at least 1.")
    return int(n_partitions)


def _sides(box: BoxBounds) -> Array:
    return jnp.where(box[:, 1] > box[:, 0], box[:, 1] - box[:, 0], 1.0)


def sample_of(key: RandomKey, box: BoxBounds, count: int = SAMPLE) -> Array:
    """Draw points of a box, (count, D), one in each of ``count`` slices of every side."""
    point_key, order_key = jax.random.split(key)
    u = jax.random.uniform(point_key, (count, box.shape[0]), box.dtype)
    slices = jnp.argsort(jax.random.uniform(order_key, u.shape, box.dtype), axis=0)
    return box[:, 0] + _sides(box) * (slices.astype(u.dtype) + u) / count


class Bumps(NamedTuple):
    """Centres (N_part, D), and inverse widths (N_part, D), or (N_part, 1) for round ones."""

    centre: Array
    sharpness: Array


class RBFPartition(AbstractSoftmax):
    """Gaussians divided by their sum, ℓ_α = −Σ_d (s_αd (x_d − μ_αd))² (slides eq. 19).

    The slides' shape parameter ξ₂ is 1/s: it is what makes a partition local, not the centre ξ₁.

    Parameters
    ----------
    n_partitions : int
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

    n_partitions: int = eqx.field(static=True)
    anisotropic: bool = eqx.field(static=True, kw_only=True)
    width: float | None = eqx.field(static=True, kw_only=True)

    def __init__(
        self, n_partitions: int, *, anisotropic: bool = False, width: float | None = None
    ) -> None:
        if width is not None and not width > 0:
            raise ValueError(f"RBFPartition(width={width!r}): must be positive.")
        self.n_partitions = _checked("RBFPartition", n_partitions)
        self.anisotropic, self.width = bool(anisotropic), width

    @property
    def smoothness(self) -> float:
        """Analytic."""
        return math.inf

    def init(self, key: RandomKey, box: BoxBounds) -> Bumps:
        """Draw centres spread over the box."""
        n_inputs, sides = box.shape[0], _sides(box)
        reach = sides if self.anisotropic else jnp.mean(sides, keepdims=True)
        if self.width is None:
            sharpness = CROWDING * self.n_partitions ** (1 / n_inputs) / reach
        else:
            sharpness = 2 / (self.width * reach)
        centre = sample_of(key, box, self.n_partitions)
        return Bumps(centre, jnp.tile(sharpness, (self.n_partitions, 1)))

    def logits(self, x: PointX, parameters: Bumps) -> Functions:
        """Return minus the squared distances from the centres."""
        return -jnp.sum((parameters.sharpness * (x - parameters.centre)) ** 2, axis=1)

    def sharpened(self, parameters: Bumps, factor: float | Array) -> Bumps:
        """Narrow all bumps by √factor."""
        return parameters._replace(sharpness=factor**0.5 * parameters.sharpness)


class PolynomialPartition(AbstractSoftmax):
    """Softmax of polynomials of the inputs: affine ones give a power diagram.

    Borders of affine logits (degree 1) are pieces of hyperplanes, those of degree 2 conics.

    Parameters
    ----------
    n_partitions : int
    degree : int
        Of the logits, at least 1.

    Raises
    ------
    ValueError
        For no partitions or degree 0.
    """

    n_partitions: int = eqx.field(static=True)
    degree: int = eqx.field(static=True)

    def __init__(self, n_partitions: int, degree: int = 1) -> None:
        if degree < 1:
            raise ValueError(f"PolynomialPartition(degree={degree}): must be at least 1.")
        self.n_partitions = _checked("PolynomialPartition", n_partitions)
        self.degree = int(degree)

    @property
    def smoothness(self) -> float:
        """Analytic."""
        return math.inf

    def init(self, key: RandomKey, box: BoxBounds) -> Array:
        """Return the Voronoi cells of points spread over the box: weights (N_part, features)."""
        n_inputs = box.shape[0]
        sharpness = CROWDING * self.n_partitions ** (1 / n_inputs) / _sides(box)
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

    def sharpened(self, parameters: Array, factor: float | Array) -> Array:
        """Multiply all weights."""
        return factor * parameters


class Classifier(NamedTuple):
    """A network and the affine map from its last hidden layer to the logits."""

    hidden: Network
    readout: Affine

    def normalised(self, values: Array, gain: float) -> Classifier:
        """Return the one whose logits have mean 0 and deviation ``gain``, now being ``values``."""
        mean, deviation = jnp.mean(values, axis=0), jnp.std(values, axis=0)
        factor = gain / jnp.where(deviation > 0, deviation, 1.0)
        weight, bias = self.readout
        return self._replace(readout=Affine(factor[:, None] * weight, factor * (bias - mean)))


class NetworkPartition(AbstractSoftmax):
    """Softmax of a network's outputs: the deep architecture of the slides.

    Logits are centred and scaled on the data at first. Without that, some partitions own nothing
    from the start and phase 1 of :class:`adabasis.train.TwoPhase` does not bring them back.

    Parameters
    ----------
    n_partitions : int
    width : int, optional
        Of the hidden layers; by default 4 N_part.
    depth : int
    activation : str or callable
    residual : bool
    gain : float
        Standard deviation of the logits over the data at first.

    Raises
    ------
    ValueError
        For sizes below 1, a gain that is not positive or an unknown activation.
    """

    n_partitions: int = eqx.field(static=True)
    width: int | None = eqx.field(static=True, kw_only=True)
    depth: int = eqx.field(static=True, kw_only=True)
    activation: str | Callable[[Array], Array] = eqx.field(static=True, kw_only=True)
    residual: bool = eqx.field(static=True, kw_only=True)
    gain: float = eqx.field(static=True, kw_only=True)

    def __init__(
        self,
        n_partitions: int,
        *,
        width: int | None = None,
        depth: int = 2,
        activation: str | Callable[[Array], Array] = "tanh",
        residual: bool = False,
        gain: float = 2.0,
    ) -> None:
        if not gain > 0:
            raise ValueError(f"NetworkPartition(gain={gain!r}): must be positive.")
        self.n_partitions = _checked("NetworkPartition", n_partitions)
        self.width, self.depth = width, int(depth)
        self.activation, self.residual, self.gain = activation, bool(residual), float(gain)
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

    @property
    def smoothness(self) -> float:
        """That of the activation."""
        return activation_named(self.activation).smoothness

    def init(self, key: RandomKey, box: BoxBounds) -> Classifier:
        """Draw the network by Box and a random readout, normalised over the box."""
        hidden_key, readout_key, sample_key = jax.random.split(key, 3)
        hidden = self.hidden.init(hidden_key, box)
        shape = (self.n_partitions, self.hidden.width)
        weight = jax.random.normal(readout_key, shape, box.dtype)
        drawn = Classifier(hidden, Affine(weight, jnp.zeros(self.n_partitions, box.dtype)))
        return self.placed(drawn, sample_of(sample_key, box))

    def placed(self, parameters: Classifier, x: PointsX) -> Classifier:
        """Centre and scale the logits on points (N, D)."""
        return parameters.normalised(_logits_at(self, x, parameters), self.gain)

    def logits(self, x: PointX, parameters: Classifier) -> Functions:
        """Evaluate the network."""
        return parameters.readout(self.hidden(x, parameters.hidden))

    def sharpened(self, parameters: Classifier, factor: float | Array) -> Classifier:
        """Multiply the readout."""
        return parameters._replace(readout=parameters.readout.times(factor))


@eqx.filter_jit
def _logits_at(partition: AbstractSoftmax, x: PointsX, parameters: Parameters) -> Array:
    """Return the logits at points (N, D), compiled once for all draws of one network."""
    return jax.vmap(lambda point: partition.logits(point, parameters))(x)


class GridPartition(AbstractPartition):
    """Characteristic functions of the equal cells of the box: nothing to train.

    Points outside belong to the nearest cell at the border.

    Parameters
    ----------
    n_partitions : int
        Factored into numbers of cells along the inputs, its largest prime factors first, each to
        the input that has the fewest.

    Raises
    ------
    ValueError
        For no partitions.
    """

    n_partitions: int = eqx.field(static=True)

    def __init__(self, n_partitions: int) -> None:
        self.n_partitions = _checked("GridPartition", n_partitions)

    @property
    def smoothness(self) -> float:
        """The functions jump."""
        return -1

    @property
    def trainable(self) -> bool:
        """Nothing moves."""
        return False

    def init(self, key: RandomKey, box: BoxBounds) -> BoxBounds:
        """Return the lower corner and the sides of the box, (D, 2); nothing is drawn."""
        del key
        return jnp.stack([box[:, 0], _sides(box)], axis=1)

    def __call__(self, x: PointX, parameters: BoxBounds) -> Functions:
        """Evaluate φ at one point: one for the cell that it is in, zero elsewhere."""
        counts = cells_along(self.n_partitions, x.shape[0])
        place = (x - parameters[:, 0]) / parameters[:, 1] * jnp.asarray(counts, x.dtype)
        cell = jnp.clip(jnp.floor(place), 0, jnp.asarray(counts - 1, x.dtype))
        strides = np.append(np.cumprod(counts[:0:-1])[::-1], 1)
        number = jnp.sum(cell * jnp.asarray(strides, x.dtype))
        return (jnp.arange(self.n_partitions, dtype=x.dtype) == number).astype(x.dtype)

    def sharpened(self, parameters: BoxBounds, factor: float | Array) -> BoxBounds:
        """Return ξ: cells are sharp already."""
        del factor
        return parameters


def cells_along(n_partitions: int, n_inputs: int) -> np.ndarray:
    """Factor a number of cells into numbers along each input, about equal, (D,)."""
    counts = np.ones(n_inputs, dtype=int)
    for factor in sorted(_prime_factors(n_partitions), reverse=True):
        counts[np.argmin(counts)] *= factor
    return counts


def _prime_factors(n: int) -> list[int]:
    for k in range(2, math.isqrt(n) + 1):
        if n % k == 0:
            return [k, *_prime_factors(n // k)]
    return [n] if n > 1 else []


def hard_assignment(partition: AbstractPartition, parameters: Any, x: np.ndarray) -> np.ndarray:
    """Return the part with the largest share at each point, (N,)."""
    # Logits where there are any: of shares several may round to the same.
    share = partition.logits if isinstance(partition, AbstractSoftmax) else partition
    values = jax.vmap(lambda point: share(point, parameters))(jnp.asarray(x))
    return np.asarray(jnp.argmax(values, axis=1))


PARTITIONS: dict[str, Callable[[int], AbstractPartition]] = {
    "rbf": RBFPartition,
    "rbf-anisotropic": lambda n: RBFPartition(n, anisotropic=True),
    "affine": PolynomialPartition,
    "quadratic": lambda n: PolynomialPartition(n, 2),
    "quartic": lambda n: PolynomialPartition(n, 4),
    "network": NetworkPartition,
    "resnet": lambda n: NetworkPartition(n, depth=8, activation="relu", residual=True),
    "grid": GridPartition,
}
"""Kinds of partition by name; ``"resnet"`` is the slides' deep one."""


def partition_named(partition: Any, n_partitions: int) -> AbstractPartition:
    """Look a kind of partition up by name, or check one that is given.

    Raises
    ------
    ValueError
        For an unknown name, or a partition into another number.
    """
    if isinstance(partition, AbstractPartition):
        if partition.n_partitions != n_partitions:
            raise ValueError(
                f"PartitionBasis(n_partitions={n_partitions}, partition={partition!r}): the two "
                "numbers differ; give the same."
            )
        return partition
    if partition not in PARTITIONS:
        raise ValueError(
            f"partition={partition!r} is not known: expected one of {', '.join(PARTITIONS)}, or an "
            "AbstractPartition."
        )
    return PARTITIONS[partition](n_partitions)

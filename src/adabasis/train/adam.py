r"""Adam on mini-batches for classes, in NumPy and single precision.

Each row of a batch costs some six operations a weight, most of them in products of matrices: for
networks of some thousand weights nothing is gained by compiling that. All weights θ = (ξ, c) move
together, along gradients of the mean cross-entropy of a batch; the rate rises over the first
twentieth of the steps and falls to 0 by a cosine [1]_. The held-out cross-entropy, taken after
every epoch, tells which network to keep. Its last layer is then solved anew, with a ridge.

Inputs are divided by their standard deviations, or a quarter of their ranges where these are
larger: a pixel that is black but for few images would be all that the network saw.

References
----------
.. [1] Kingma, Ba, "Adam: a method for stochastic optimization", ICLR 2015; Loshchilov, Hutter,
   "SGDR: stochastic gradient descent with warm restarts", ICLR 2017.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from typing import Any, ClassVar

import equinox as eqx
import numpy as np

from .._runtime.backend import logsumexp, softmax
from .._runtime.notation import Parameters, RandomKey
from ..basis import NeuralBasis
from ..basis.networks import Network
from .base import AbstractTrainer, Budget, CrossEntropy, Evaluation, check_positive
from .levenberg_marquardt import Layout, Rows, fits

#: Largest rate, the share of the steps in which it is reached, Adam's decays and its ε.
RATE, WARM_UP, DECAYS, EPSILON = 5e-3, 0.05, (0.9, 0.99), 1e-8
#: Epochs of a run, and so many without a held-out error smaller by one per cent: the end.
EPOCHS, PATIENCE = 40, 12
#: Batches of an epoch, and the least and most rows of one.
BATCHES, FEWEST_ROWS, MOST_ROWS = 24, 16, 256
#: Inputs are divided by at least this share of their ranges.
LEAST_SCALE = 0.25


@dataclasses.dataclass(frozen=True, eq=False)
class State:
    """All that a run needs to go on.

    Attributes
    ----------
    rows : Rows
    layout : Layout
    theta, first, second : arrays of float32
        θ, and the moving means of its gradients and of their squares.
    epochs : int
        Done so far.
    """

    rows: Rows
    layout: Layout
    theta: np.ndarray
    first: np.ndarray
    second: np.ndarray
    epochs: int = 0


class Adam(AbstractTrainer):
    """One epoch of mini-batches a step; classes alone, and networks that NumPy can differentiate.

    Parameters
    ----------
    learning_rate : float
        The largest.
    epochs : int
        After which the rate is 0.
    seed : tuple of int
        Of the order of the rows.

    Raises
    ------
    ValueError
        For a rate or a number of epochs that is not positive.
    TypeError
        At the first step, where the basis is no network with an activation whose derivative is
        known in NumPy.
    """

    minimizes: ClassVar[type] = CrossEntropy
    interpreted: ClassVar[bool] = True

    learning_rate: float = eqx.field(static=True, default=RATE)
    epochs: int = eqx.field(static=True, default=EPOCHS)
    seed: tuple[int, ...] = eqx.field(static=True, default=(0,))

    def __check_init__(self) -> None:
        check_positive("Adam", learning_rate=self.learning_rate, epochs=self.epochs)

    @property
    def pace(self) -> Budget:
        """All epochs, while the held-out error falls."""
        return Budget(self.epochs, check_every=1, patience=PATIENCE)

    def init(self, objective: CrossEntropy, parameters: Parameters, key: RandomKey) -> State:
        """Begin at ``parameters`` with coefficients 0."""
        rows, basis = rows_of(objective), objective.basis
        if not fits(basis):
            raise TypeError(
                f"Adam(): expected a NeuralBasis whose activation has a derivative in NumPy "
                f"(Activation(…, numpy=…, slope=…)), got {basis!r}. Use NGD()."
            )
        assert isinstance(basis, NeuralBasis)
        layout = Layout(basis, rows.x.shape[1], objective.n_outputs)
        c = np.zeros((layout.shapes[-1][1], objective.n_outputs))
        theta = layout.packed(parameters, rows, c).astype(np.float32)
        return State(rows, layout, theta, np.zeros_like(theta), np.zeros_like(theta))

    def step(self, objective: CrossEntropy, state: State) -> tuple[State, Evaluation]:
        """Evaluate the loss, and go through all rows once."""
        rows, layout, link = state.rows, state.layout, objective.link.astype(np.float32)
        logits = layout.outputs(layout.layers(state.theta), rows.x) @ link
        each = logsumexp(logits) - (logits * rows.y).sum(axis=1)
        loss = float((rows.root[:, 0] ** 2) @ each.astype(float))
        network, c = layout.unpacked(state.theta.astype(float), rows)
        size = min(max(len(rows.x) // BATCHES, FEWEST_ROWS), MOST_ROWS, len(rows.x))
        count, epochs = len(rows.x) // size, self.epochs
        rates = self.learning_rate * _shares(state.epochs + np.arange(count + 1) / count, epochs)
        rate: Any = rates[0]
        now = Evaluation(loss, network, c, len(c), rate, not math.isfinite(loss))  # type: ignore[arg-type]
        theta, first, second = state.theta.copy(), state.first.copy(), state.second.copy()
        slope = np.empty_like(theta)
        order = np.random.default_rng([*self.seed, state.epochs]).permutation(len(rows.x))
        share = (rows.root**2 * len(rows.x) / size).astype(np.float32)
        for batch in range(count):
            some = order[batch * size : (batch + 1) * size]
            _gradient(layout, theta, rows.x[some], rows.y[some], share[some], link, slope)
            done = state.epochs * count + batch + 1
            _move(theta, first, second, slope, rates[batch + 1], done)
        after = dataclasses.replace(
            state, theta=theta, first=first, second=second, epochs=state.epochs + 1
        )
        return after, now

    def goal(self, objective: CrossEntropy, tol: float) -> float:
        """Return ``tol`` times the entropy of the classes' frequencies."""
        frequency = np.asarray(objective.weight @ objective.targets)
        seen = frequency[frequency > 0]
        return -tol * float(seen @ np.log(seen))

    def judge(self, objective: CrossEntropy) -> Callable[[Evaluation], float]:
        """Return what measures the mean cross-entropy on rows held out."""
        x, values = np.asarray(objective.term.points.x), objective.basis.values

        def surprise(now: Evaluation) -> float:
            functions = values(x, now.parameters)
            return float(objective.surprise(functions @ np.asarray(now.coefficients)))

        return surprise


def rows_of(objective: CrossEntropy) -> Rows:
    """Return the rows of a loss in single precision, inputs scaled, those of weight 0 left out."""
    term = objective.term
    weight = np.asarray(term.points.weight)
    seen = weight > 0
    z, t = np.asarray(term.points.x)[seen], np.asarray(term.data)[seen]
    share = weight[seen] / weight[seen].sum()
    mean = share @ z
    deviation = np.sqrt(share @ (z - mean) ** 2)
    scale = np.maximum(deviation, LEAST_SCALE * np.ptp(z, axis=0))
    varying = scale > 0
    scale = np.where(varying, scale, 1.0)
    # Of variance 1 in the mean over inputs, for the first sums to be of size 1.
    scale *= math.sqrt(np.mean((deviation / scale)[varying] ** 2)) if varying.any() else 1.0
    x, y, root = (a.astype(np.float32) for a in ((z - mean) / scale, t, np.sqrt(share)[:, None]))
    return Rows(x, y, root, mean, scale, 1.0)


def first_network(objective: CrossEntropy, seed: Any) -> Network:
    """Draw a network for the rows of a loss.

    Weights are N(0, 1/fan-in), the first biases uniform in [−1, 1], the others 0.
    """
    rows, rng, basis = rows_of(objective), np.random.default_rng(seed), objective.basis
    assert isinstance(basis, NeuralBasis)
    layout = Layout(basis, rows.x.shape[1], objective.n_outputs)
    theta = np.zeros(layout.size)
    for number, layer in enumerate(layout.layers(theta)[:-1]):
        fan_in = layer.shape[1] - 1
        layer[:, :-1] = rng.normal(size=(len(layer), fan_in)) / math.sqrt(fan_in)
        if number == 0:
            layer[:, -1] = rng.uniform(-1, 1, len(layer))
    return layout.unpacked(theta, rows)[0]


def _shares(done: np.ndarray, epochs: int) -> np.ndarray:
    """Return the shares of the largest rate after so many epochs."""
    over = np.minimum(done / epochs, 1.0)
    return np.minimum(1.0, over / WARM_UP) * (1 + np.cos(np.pi * over)) / 2


def _gradient(
    layout: Layout,
    theta: np.ndarray,
    x: np.ndarray,
    y: np.ndarray,
    share: np.ndarray,
    link: np.ndarray,
    out: np.ndarray,
) -> None:
    """Write the gradient of Σ share · cross-entropy in θ, by one pass forward and one back."""
    layers, slopes_of, width = layout.layers(theta), layout.layers(out), layout.width
    inputs, slopes, outputs = layout.values(layers, x)
    error = (share * (softmax(outputs @ link) - y)) @ link.T
    slopes_of[-1][:, :width] = error.T @ inputs[-1]
    if layout.constant:
        slopes_of[-1][:, width] = error.sum(axis=0)
    back = error @ layers[-1][:, :width]
    for number in range(layout.depth - 1, -1, -1):
        slope = back * slopes[number]
        slopes_of[number][:, :-1] = slope.T @ inputs[number]
        slopes_of[number][:, -1] = slope.sum(axis=0)
        if number:
            through = slope @ layers[number][:, :-1]
            back = back + through if layout.residual else through


def _move(
    theta: np.ndarray,
    first: np.ndarray,
    second: np.ndarray,
    slope: np.ndarray,
    rate: float,
    done: int,
) -> None:
    """Take Adam's step number ``done``, 1 and up, in place."""
    fading, slower = DECAYS
    first += np.float32(1 - fading) * (slope - first)
    second += np.float32(1 - slower) * (slope * slope - second)
    root = np.sqrt(second / np.float32(1 - slower**done))
    root += np.float32(EPSILON)
    theta -= np.float32(rate / (1 - fading**done)) * first / root

"""What experiments with classes share: problems, runs from a seed, mean and spread over runs."""

from __future__ import annotations

import dataclasses

import jax
import numpy as np

from .._runtime.compute import numerics
from ..basis import AbstractBasis
from ..geometry.points import AffineMap, bounding_box, unit_box
from ..models.classifier import indicators, logits
from ..selection.prepared import padded_term
from ..selection.task import draw
from ..train import AbstractTrainer, Budget, CrossEntropy, train
from .spirals import spirals

Labelled = tuple[np.ndarray, np.ndarray]


@dataclasses.dataclass(frozen=True)
class Outcome:
    """One run: the least loss up to each gradient, and the share of wrong labels held out."""

    losses: np.ndarray
    error: float


def problem(name: str, n_rows: int, seed: int) -> tuple[Labelled, Labelled]:
    """Return rows to fit and as many to judge: spirals of 3 turns, or digits of scikit-learn."""
    if name == "spirals":
        return spirals(n_rows, 3, 0.02, seed), spirals(n_rows, 3, 0.02, seed + 10_000)
    from sklearn.datasets import load_digits

    x, y = load_digits(return_X_y=True)
    order = np.random.default_rng(seed).permutation(len(x))
    fit, judge = order[:n_rows], order[n_rows : 2 * n_rows]
    return (x[fit], y[fit]), (x[judge], y[judge])


def run(
    data: tuple[Labelled, Labelled],
    basis: AbstractBasis,
    trainer: AbstractTrainer,
    steps: int,
    ridge: float,
    seed: int,
) -> Outcome:
    """Train once, for a fixed number of gradients; ``ridge`` is λ in the sum over rows."""
    (x, y), (x_out, y_out) = data
    scaled = AffineMap.onto_unit_box(bounding_box(x))
    with numerics():
        term = padded_term(scaled(x), indicators(y, int(y.max()) + 1), np.ones(len(x)))
        objective = CrossEntropy(term, ridge / len(x), basis)
        key = jax.random.key(seed, impl="rbg")
        initial = draw(basis, key, unit_box(x.shape[1]))
        trained = train(
            trainer, objective, initial, key=jax.random.fold_in(key, 1), budget=Budget(steps)
        )
        judged = padded_term(scaled(x_out), np.zeros((len(x_out), 1)), np.ones(len(x_out)))
        phi = np.asarray(judged.design(basis, trained.parameters))[: len(x_out)]
    predicted = logits(phi @ np.asarray(trained.coefficients)).argmax(axis=1)
    losses = np.minimum.accumulate(trained.history.loss)
    losses = np.pad(losses, (0, steps + 1 - len(losses)), mode="edge")
    return Outcome(losses, float(np.mean(predicted != y_out)))


def spread(values: np.ndarray) -> tuple[list[float], list[float]]:
    """Return mean and standard deviation over the runs (rows)."""
    return np.mean(values, axis=0).tolist(), np.std(values, axis=0).tolist()

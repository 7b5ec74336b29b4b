"""What the error of a model grows by where the entries of one column are dealt out anew."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from .._runtime.arrays import check_finite, floats
from ..evidence.paired import Units
from ..evidence.sobol import Function
from ..evidence.split import rows_together
from .classifier import Classifier, checked_labels, index_of
from .columns import Column
from .fitted import Fitted

#: Probabilities are cut here: one impossible label would be all that is seen.
LEAST_PROBABILITY = 1e-15


def permuted(
    model: Fitted,
    columns: list[Column],
    x: np.ndarray,
    y: Any,
    weight: np.ndarray,
    groups: np.ndarray | None,
    outputs: slice,
    settings: tuple[int, int, float],
) -> list[tuple[float, tuple[float, float]]]:
    """Return what the loss of rows grows by where each column is permuted."""
    n_repeats, seed, coverage = settings
    inside = weight > 0
    loss = _loss(model, y, inside, weight[inside], outputs)
    x, groups = x[inside], None if groups is None else groups[inside]
    units = Units(weight[inside], rows_together(x, groups))
    if units.count < 2:
        raise ValueError("importance(X, y): at least two rows, or groups of them, are needed.")
    usual, rng = loss(x), np.random.default_rng(seed)
    found: list[tuple[float, tuple[float, float]]] = []
    for column in columns:
        at, grown = list(column.inputs), np.zeros(len(x))
        for _ in range(n_repeats):
            dealt = x.copy()
            dealt[:, at] = x[rng.permutation(len(x))][:, at]
            grown += (loss(dealt) - usual) / n_repeats
        mean = units.mean(grown)
        reach = units.quantile(1 - coverage) * math.sqrt(units.covariance(grown, grown))
        found.append((mean, (mean - reach, mean + reach)))
    return found


def _loss(
    model: Fitted, y: Any, inside: np.ndarray, weight: np.ndarray, outputs: slice
) -> Function:
    """Return the relative loss of rows (n,) as a function of their inputs."""
    if isinstance(model, Classifier):
        index = index_of(checked_labels(y, "importance"), model.classes, "importance")[inside]
        known = np.maximum(index, 0)
        share = np.bincount(known, weight, len(model.classes)) / weight.sum()
        unit = -float(np.sum(share * np.log(np.where(share > 0, share, 1.0)))) or 1.0

        def surprise(x: np.ndarray) -> np.ndarray:
            given = model.probabilities(x)[np.arange(len(x)), known]
            given = np.where(index >= 0, given, 0.0)
            return -np.log(np.maximum(given, LEAST_PROBABILITY)) / unit

        return surprise
    values = floats("importance", "y", y)
    values = values.reshape(len(values), -1)
    if values.shape[1] != model.n_outputs:
        raise ValueError(
            f"importance(model, X, y): the model has {model.n_outputs} outputs, y has "
            f"{values.shape[1]} columns."
        )
    check_finite("importance", "y", values, y)
    truth = values[inside][:, outputs]
    middle = np.average(truth, axis=0, weights=weight)
    square = np.average((truth - middle) ** 2, axis=0, weights=weight)
    square = np.where(square > 0, square, 1.0)

    def squares(x: np.ndarray) -> np.ndarray:
        error = model(x).reshape(len(x), -1)[:, outputs] - truth
        return np.mean(error**2 / square, axis=1)

    return squares

"""From labels of points to the parameters of a partition that tells the labels apart."""

from __future__ import annotations

import functools
import warnings
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from scipy.optimize import brentq

from ..basis import PolynomialPartition
from ..basis.pou.partition import AbstractSoftmax
from .segmentation import LocalFits, features

SQRT3 = np.sqrt(3.0)
#: Mean square of a fit by which points may fit worse where a border passes over them: of jumps of
#: three standard deviations.
BY_NOISE = 9.0
#: Inverse ridge of the logistic regression: a border in the middle of the gap between segments.
STIFFNESS = 1e6


def breakpoints(fits: LocalFits, labels: np.ndarray, slack: int = 0) -> np.ndarray:
    """Return where each segment of one-dimensional data ends, (M − 1,).

    That is where the polynomials of both sides meet, if they do so between the last point of one
    and the first of the other; else half way. With noise it may be up to ``slack`` points further,
    inside these two segments, if the points in between fit the other one as well but for the noise.
    """
    labels, order = fits.runs(labels), fits.order
    c, x = fits.coefficients(labels), fits.x[order, 0]
    errors, noise = fits.errors(c)[order], fits.loss(labels)
    ends = np.flatnonzero(np.diff(labels[order]))
    bounds = np.concatenate([[0], ends, [len(x) - 1]])
    found = []
    for k, last in enumerate(ends):
        left, right = labels[order[last]], labels[order[last + 1]]
        apart, middle = c[left] - c[right], 0.5 * (x[last] + x[last + 1])
        near = _meeting(fits, apart, x[last], x[last + 1], middle)
        first = max(last - slack, bounds[k] + 1 if k else 0)
        final = min(last + 1 + slack, bounds[k + 2])
        far = _meeting(fits, apart, x[first], x[final], near)
        moved = (x > min(near, far)) & (x <= max(near, far))
        worse = (errors[moved, right] - errors[moved, left]) * (1 if far < near else -1)
        found.append(near if moved.any() and np.mean(worse) > BY_NOISE * noise else far)
    return np.array(found)


def _meeting(fits: LocalFits, apart: np.ndarray, low: float, high: float, middle: float) -> float:
    # The root in [low, high] of the output that differs most, or the middle.
    def gap(*x: float) -> np.ndarray:
        return features(np.array(x)[:, None], fits.degree) @ apart

    ends = gap(low, high)
    q = int(np.argmax(np.abs(ends).sum(axis=0)))
    if not ends[0, q] * ends[1, q] < 0:
        return middle
    return float(brentq(lambda x: gap(x)[0, q], low, high, xtol=1e-300, rtol=1e-15))


def interval_weights(breaks: np.ndarray, sharpness: float) -> np.ndarray:
    """Return affine logits (M, 2) of intervals: neighbours differ by sharpness · (x − break)."""
    offsets = -sharpness * np.append(0.0, np.cumsum(breaks))
    return np.stack([offsets, sharpness * np.arange(len(offsets)) / SQRT3], axis=1)


def labelled_weights(
    rows: np.ndarray, labels: np.ndarray, weight: np.ndarray, stiffness: float = STIFFNESS
) -> np.ndarray:
    """Return logits (M, F), linear in features ``rows`` (N, F), that classify the points.

    By logistic regression, the first feature being the constant; ``stiffness`` is the inverse of
    its ridge, for weights of mean one.
    """
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression

    count = int(labels.max()) + 1
    if count == 1:
        return np.zeros((1, rows.shape[1]))
    middle, spread = rows[:, 1:].mean(axis=0), rows[:, 1:].std(axis=0)
    spread = np.where(spread > 0, spread, 1.0)
    machine = LogisticRegression(C=stiffness, max_iter=300, tol=1e-5)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # labels that can be told apart
        machine.fit((rows[:, 1:] - middle) / spread, labels, sample_weight=weight / weight.mean())
    slopes = machine.coef_ / spread
    whole = np.concatenate([(machine.intercept_ - slopes @ middle)[:, None], slopes], axis=1)
    return np.concatenate([-whole, whole]) / 2 if count == 2 else whole


def shaped(
    partition: AbstractSoftmax, drawn: Any, fits: LocalFits, labels: np.ndarray, slack: int = 0
) -> Any:
    """Return parameters of a partition that tell the labels of points apart.

    ``drawn`` are some parameters of it: of networks the hidden layers are kept. The polynomial
    logits of an interval have their borders where neighbouring polynomials meet.
    """
    x, affine = fits.x, isinstance(partition, PolynomialPartition) and partition.degree == 1
    if affine and x.shape[1] == 1:
        return jnp.asarray(interval_weights(breakpoints(fits, labels, slack), 1.0))
    classify = functools.partial(labelled_weights, labels=labels, weight=fits.weight)
    return partition.from_labels(drawn, x, labels, classify)


def steepness(partition: AbstractSoftmax, parameters: Any, x: np.ndarray) -> float:
    """Return the median slope of the gap between the two largest logits, near borders."""

    def gap(point: jax.Array) -> jax.Array:
        first, second = jax.lax.top_k(partition.logits(point, parameters), 2)[0]
        return first - second

    values, slopes = jax.vmap(jax.value_and_grad(gap))(jnp.asarray(x))
    steep = np.linalg.norm(np.asarray(slopes), axis=1)
    near = np.argsort(np.asarray(values) / np.maximum(steep, 1e-300))[: max(8, len(x) // 20)]
    return float(np.median(steep[near]))

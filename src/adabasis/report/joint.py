"""Joint descent (GD) beside a trained classifier: what its solves of the last layer were worth."""

from __future__ import annotations

import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from .._runtime.compute import numerics
from ..geometry.maps import InputMap
from ..models.classifier import Classifier, index_of, indicators
from ..selection.prepared import SEARCH_ROWS, Prepared, some_rows
from ..train import GD, Budget, CrossEntropy, History, train

RATE = 1e-2
"""Learning rate of GD, which has to be given one."""


def joint_descent(
    model: Classifier, X: Any, y: Any, *, sample_weight: Any = None, max_seconds: float = math.inf
) -> History | None:
    """Train all parameters at once from where a classifier's training began.

    Rows, functions, ridge and number of gradients are those of the training whose history the
    model keeps.

    Parameters
    ----------
    model : Classifier
        Fitted to these rows by :func:`adabasis.classify`, which chose what to hold out.
    X, y, sample_weight
        As they were given to it.
    max_seconds : float

    Returns
    -------
    History or None
        ``None`` for a model whose functions stayed as drawn.
    """
    steps = len(model.history) - 1
    if steps < 1:
        return None
    targets = indicators(index_of(y, model.classes), len(model.classes))
    seed = model.record.asked.random_state
    data = Prepared(
        "classify", X, targets, sample_weight, "auto", seed, split_by_default=True,
        map_outputs=False,
        coordinates=model.input_map.coordinates if isinstance(model.input_map, InputMap) else None,
    )  # fmt: skip
    with numerics():
        initial = jax.tree.map(jnp.asarray, model.initial_parameters)
        basis, first = next(iter(model.basis.members(initial)))
        term = data.term(some_rows(data.fold(0)[0], SEARCH_ROWS, seed))
        ridge = model.record.ridge.value / float(np.sum(np.asarray(term.points.weight)))
        run = train(
            GD(RATE),
            CrossEntropy(term, ridge, basis),
            first,
            key=jax.random.fold_in(data.key(0), 1),
            budget=Budget(steps, max_seconds=max_seconds),
        )
    return run.history

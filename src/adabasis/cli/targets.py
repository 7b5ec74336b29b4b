"""What the command line does for numbers one way, and for classes another."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from .._runtime.errors import BadInput
from ..basis import AbstractBasis
from ..classification import strategy as class_search
from ..classification.api import classify, refit_classes
from ..evidence.classes import judge_classes
from ..evidence.verdict import Verdict, judge
from ..models.classifier import Classifier
from ..models.fitted import Fitted
from ..regression import bases as regression_bases
from ..regression.api import fit, refit
from ..report.joint import joint_descent
from ..tables import TrainingData
from ..train import History


def default_bases(data: TrainingData, n_rows: int) -> list[AbstractBasis]:
    """Return the bases that are compared for numbers, or for classes."""
    kind = regression_bases if data.labels is None else class_search
    return kind.default_bases(n_rows, data.x.shape[1])


def fitted(
    data: TrainingData,
    kept: np.ndarray,
    bases: list[AbstractBasis] | None,
    options: Mapping[str, Any],
) -> Fitted:
    """Fit some rows.

    Raises
    ------
    BadInput
        If one class alone is among them.
    """
    if data.labels is None:
        return fit(data.x[kept], data.y[kept], bases, **options)
    if len(np.unique(data.labels[kept])) < 2:
        raise BadInput(
            "Only one class is left to learn from: all rows of the others were held out to judge "
            "the model. Collect more of them, or fit with --holdout 0."
        )
    return classify(data.x[kept], data.labels[kept], bases, **options)


def judged(model: Fitted, data: TrainingData, rows: tuple[np.ndarray, np.ndarray]) -> Verdict:
    """Compare a model with others on the rows held out."""
    if isinstance(model, Classifier) and data.labels is not None:
        return judge_classes(model, data.x, data.labels, data.weight, rows)
    return judge(model, data.x, data.y, data.weight, rows)


def descended(model: Fitted, data: TrainingData, kept: np.ndarray) -> History | None:
    """Return how joint descent does on the rows a classifier was trained on, in its time."""
    if not isinstance(model, Classifier) or data.labels is None:
        return None
    weight = None if data.weight is None else data.weight[kept]
    seconds = float(model.history.seconds[-1])
    return joint_descent(
        model, data.x[kept], data.labels[kept], sample_weight=weight, max_seconds=seconds
    )


def refitted(model: Fitted, data: TrainingData) -> Fitted:
    """Solve the coefficients again with all rows, but for classes that were only held out."""
    if not isinstance(model, Classifier) or data.labels is None:
        return refit(model, data.x, data.y, sample_weight=data.weight)
    known = np.isin(data.labels, model.classes)
    weight = None if data.weight is None else data.weight[known]
    return refit_classes(model, data.x[known], data.labels[known], sample_weight=weight)


def predicted_columns(model: Fitted, targets: Sequence[str]) -> dict[str, pa.DataType]:
    """Return the columns of predictions: of classes, the label and the probability of each."""
    if not isinstance(model, Classifier):
        return dict.fromkeys(targets, pa.float64())
    chances = dict.fromkeys((f"{targets[0]} = {name}" for name in model.classes), pa.float64())
    return {targets[0]: pa.array(model.classes).type, **chances}


def predicted(model: Fitted, x: np.ndarray) -> list[np.ndarray]:
    """Return the predictions for some rows, an array for each column."""
    if not isinstance(model, Classifier):
        return list(model(x).reshape(len(x), -1).T)
    p = model.probabilities(x)
    return [model.classes[p.argmax(axis=1)], *p.T]

"""What models of any kind say of rows: fitted models, estimators of others, functions."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from .._runtime.arrays import check_finite, column_names, floats
from .._runtime.errors import counted, listed
from ..evidence.paired import Units
from ..evidence.split import rows_together
from .classifier import Classifier, checked_labels
from .fitted import Fitted

#: Share of the rows whose inputs occur once, from which equal inputs mean the same row.
MOSTLY_ONCE = 0.5


class Predicted(NamedTuple):
    """What a model says of some rows: numbers (N, Q), or labels, and chances (N, K) or none."""

    values: np.ndarray
    classes: np.ndarray | None = None
    chances: np.ndarray | None = None

    def at(self, rows: np.ndarray) -> Predicted:
        """Return what it says of some of the rows."""
        chances = None if self.chances is None else self.chances[rows]
        return Predicted(self.values[rows], self.classes, chances)


def units_of(X: Any, weight: np.ndarray, groups: np.ndarray | None, call: str) -> Units:
    """Return what is drawn at random among rows of positive weight.

    Rows of one group stay together; without groups, rows at one place and near-duplicates, where
    there are enough distinct places to tell anything of others.

    Raises
    ------
    ValueError
        For fewer than two units.
    """
    inside = weight > 0
    x = as_floats(X)
    if x is None or not np.isfinite(x).all():  # of such rows nothing tells which are alike
        x = np.arange(len(weight), dtype=float)[:, None]
    label = rows_together(x[inside], None if groups is None else groups[inside])
    if len(np.unique(label)) < 2:
        raise ValueError(
            f"{call}: fewer than two rows, or groups of them, have a weight: there is nothing to "
            "tell a difference by."
        )
    return Units(weight[inside], label)


def share_fitted_to(model: Any, X: Any, inside: np.ndarray) -> float:
    """Return the share of some rows that a model was fitted to, as far as it can know.

    A model keeps up to 512 of the places that it was fitted to: rows are compared with those, and
    what is found stands for the others. Inputs that occur often among the rows say nothing.
    """
    fitted = getattr(model, "fitted_", model)
    x = as_floats(X, fitted)
    if not isinstance(fitted, Fitted) or fitted.places is None or x is None:
        return math.nan
    x = x[inside]
    if x.shape[1] != fitted.n_inputs or not np.isfinite(x).all():
        return math.nan
    _, first, count = np.unique(x, axis=0, return_index=True, return_counts=True)
    once = first[count == 1]
    if len(once) < MOSTLY_ONCE * len(x):
        return math.nan
    known = {row.tobytes() for row in np.asarray(fitted.places, dtype=np.float32) + 0.0}
    z = fitted.input_map(x[once]).astype(np.float32) + 0.0  # −0 and 0 are one place
    met = sum(row.tobytes() in known for row in z)
    kept_share = len(known) / max(fitted.record.n_rows or 0, len(known))
    return min(1.0, met / kept_share / len(once))


def as_floats(X: Any, model: Any = None) -> np.ndarray | None:
    """Return rows as numbers, in the order of a model's inputs, or ``None`` where they are none."""
    try:
        names = getattr(getattr(model, "record", None), "input_names", ())
        given = column_names(X)
        if given and names and set(names) <= set(given):
            X = X.select(list(names)) if hasattr(X, "select") else X[list(names)]
        x = floats("compare", "X", X)
    except (TypeError, ValueError):
        return None
    return x if x.ndim == 2 else None


def check_model(model: Any, argument: str) -> None:
    """Refuse what is no model, nor a path of one.

    Raises
    ------
    TypeError
    """
    known = isinstance(model, Fitted) or hasattr(model, "predict") or callable(model)
    if not known or isinstance(model, type):
        what = f"the path {model!r}: read it by adabasis.load" if isinstance(model, str) else (
            f"{model!r}")  # fmt: skip
        raise TypeError(
            f"compare({argument}): expected a fitted model, a fitted scikit-learn estimator or a "
            f"function of X, got {what}."
        )


def predict_classes(models: Sequence[Any], y: Any) -> bool:
    """Whether labels are compared: models say so, or, where both are functions, y does.

    Raises
    ------
    ValueError
        Where one predicts classes and the other numbers.
    """
    kinds = [_kind(model) for model in models]
    known = {kind for kind in kinds if kind is not None}
    if len(known) > 1:
        said = ["classes" if kind else "numbers" for kind in kinds]
        raise ValueError(
            f"compare: model_a predicts {said[0]} and model_b {said[1]}: they have no error in "
            "common. Compare models of the same target."
        )
    return known.pop() if known else np.asarray(y).dtype.kind in "bOSU"


def _kind(model: Any) -> bool | None:
    """Return whether a model predicts classes; ``None`` for functions."""
    if isinstance(model, Fitted):
        return isinstance(model, Classifier)
    if not hasattr(model, "predict"):
        return None
    from sklearn.base import is_classifier, is_regressor

    try:
        if is_classifier(model) or is_regressor(model):
            return bool(is_classifier(model))
    except (AttributeError, TypeError):  # estimators of other libraries have no tags
        pass
    return True if hasattr(model, "predict_proba") else None


def numbers(name: str, values: Any, n_rows: int) -> np.ndarray:
    """Return numbers (N, Q), or say what is wrong with them."""
    call, _, argument = name.rstrip(")").partition("(")
    found = floats(call, argument, values)
    if found.ndim not in (1, 2) or len(found) != n_rows or not found.size:
        raise ValueError(f"{name}: expected shape ({n_rows},) or ({n_rows}, Q), got {found.shape}.")
    found = found.reshape(n_rows, -1)
    check_finite(call, argument, found, values)
    return found


def predicted(model: Any, argument: str, X: Any, truth: np.ndarray, of_classes: bool) -> Predicted:
    """Return what a model says of the rows, checked."""
    about, n_rows = f"compare({argument})", len(truth)
    says: Callable[[Any], Any] = model.predict if hasattr(model, "predict") else model
    try:
        if isinstance(model, Fitted):
            return of_fitted(model, X) if of_classes else _shaped(about, model(X), truth)
        values = says(X)
        chances = model.predict_proba(X) if hasattr(model, "predict_proba") else None
    except (TypeError, ValueError, KeyError, IndexError, AttributeError) as error:
        if str(error).startswith(about):
            raise
        raise ValueError(
            f"{about}: it cannot predict these rows ({type(error).__name__}: {error}). Give a "
            "fitted model, and rows with the columns that it was fitted to."
        ) from error
    if not of_classes:
        return _shaped(about, values, truth)
    values = np.asarray(values)
    classes = np.asarray(getattr(model, "classes_", np.unique(truth)))
    if chances is None and values.ndim == 2 and values.shape[1] > 1:
        chances = values
    if chances is None:
        if values.shape not in ((n_rows,), (n_rows, 1)):
            raise ValueError(f"{about}: expected {n_rows} labels, got shape {values.shape}.")
        return Predicted(checked_labels(values, about), classes)
    chances = np.asarray(chances, dtype=float)
    if chances.shape != (n_rows, len(classes)):
        raise ValueError(
            f"{about}: expected the chances of {len(classes)} classes {listed(classes)} for "
            f"{n_rows} rows, got shape {chances.shape}."
        )
    if not np.isfinite(chances).all() or (chances < 0).any():
        raise ValueError(f"{about}: its probabilities are not all finite and at least 0.")
    labels = values if values.ndim == 1 else classes[chances.argmax(axis=1)]
    return Predicted(labels, classes, chances)


def of_fitted(model: Fitted, X: Any) -> Predicted:
    """Return what a fitted model says of rows."""
    if isinstance(model, Classifier):
        chances = model.probabilities(X)
        return Predicted(model.classes[chances.argmax(axis=1)], model.classes, chances)
    values = model(X)
    return Predicted(values.reshape(len(values), -1))


def _shaped(about: str, values: Any, truth: np.ndarray) -> Predicted:
    values = np.asarray(values, dtype=float)
    columns = values.reshape(len(values), -1) if values.ndim in (1, 2) else values
    if columns.shape != truth.shape:
        raise ValueError(
            f"{about}: it predicts values of shape {values.shape}, and y has {truth.shape[1]} "
            f"{'column' if truth.shape[1] == 1 else 'columns'} and {len(truth)} rows. Compare "
            "models of the same targets."
        )
    bad = ~np.isfinite(columns).all(axis=1)
    if bad.any():
        raise ValueError(
            f"{about}: {counted(int(bad.sum()), 'prediction is', 'predictions are')} NaN or "
            f"infinite, the first in row {int(bad.argmax())}. Leave those rows out, or mend the "
            "model."
        )
    return Predicted(columns)


def checked_weight(sample_weight: Any, n_rows: int) -> np.ndarray:
    """Return weights (N,), 1 where none are given, or say what is wrong with them."""
    if sample_weight is None:
        return np.ones(n_rows)
    weight = floats("compare", "sample_weight", sample_weight)
    if weight.shape != (n_rows,):
        raise ValueError(f"compare(sample_weight): expected shape ({n_rows},), got {weight.shape}.")
    check_finite("compare", "sample_weight", weight)
    if (weight < 0).any() or not (weight > 0).any():
        raise ValueError("compare(sample_weight): weights must not be negative and not all zero.")
    return weight

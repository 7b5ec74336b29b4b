"""The result of a classification: scores, probabilities; labels in, names of classes out."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np
from scipy.special import softmax

from .._runtime.errors import counted, listed
from .fitted import Fitted


def learn_classes(
    y: Any, used: np.ndarray | None = None, call: str = "classify"
) -> tuple[np.ndarray, np.ndarray]:
    """Return the classes, sorted, and which of them each row has.

    Parameters
    ----------
    y : array-like, shape (N,)
        Strings, true and false, whole numbers or categories of a data frame.
    used : array of bool, shape (N,), optional
        Rows that count: classes of other rows alone are none. Their entry is −1.
    call : str
        The public function, for messages.

    Returns
    -------
    classes : array, shape (K,)
    index : array of int, shape (N,)

    Raises
    ------
    ValueError
        For missing labels, labels of several kinds, numbers that are not whole, or one class.
    """
    labels = checked_labels(y, call)
    try:
        classes = np.unique(labels if used is None else labels[used])
    except TypeError as error:
        raise _several_kinds(call, labels) from error
    if len(classes) < 2:
        shown = listed(classes)
        raise ValueError(
            f"{call}(y): only one class, {shown}, is present in the rows that count: there is "
            "nothing to tell apart. At least two classes are needed."
        )
    return classes, _positions(labels, classes)


def index_of(y: Any, classes: np.ndarray, call: str = "classify") -> np.ndarray:
    """Return which of the known classes each row has, −1 for labels never seen.

    Raises
    ------
    ValueError
        For missing labels.
    """
    return _positions(checked_labels(y, call), classes)


def indicators(index: np.ndarray, n_classes: int) -> np.ndarray:
    """Return rows that are 1 at the row's class and 0 elsewhere, (N, K)."""
    return (index[:, None] == np.arange(n_classes)).astype(float)


def checked_labels(y: Any, call: str = "classify") -> np.ndarray:
    """Return labels (N,), or say which row has none or one that is no class."""
    labels = np.asarray(y)
    if labels.dtype == object and labels.ndim:
        labels = _plain(labels)
    if labels.ndim == 2 and labels.shape[1] == 1:
        labels = labels[:, 0]
    if labels.ndim != 1:
        raise ValueError(f"{call}(y): expected labels of shape (N,), got {labels.shape}.")
    missing = np.zeros(len(labels), bool) if labels.dtype == object else labels != labels
    if labels.dtype.kind in "mM":
        raise ValueError(f"{call}(y): dates and times are no classes. Give labels, or fit numbers.")
    if labels.dtype == object:
        missing = np.array([_is_missing(label) for label in labels], bool)
    if np.any(missing):
        count = counted(int(np.sum(missing)), "label is missing", "labels are missing")
        raise ValueError(
            f"{call}(y): {count} (NaN or None), the first in row {np.flatnonzero(missing)[0]}. "
            "Fill them or drop those rows."
        )
    if labels.dtype == object and 0 < sum(isinstance(each, str) for each in labels) < len(labels):
        raise _several_kinds(call, labels)
    if labels.dtype.kind == "f" and np.any(labels != np.round(labels)):
        at = np.flatnonzero(labels != np.round(labels))[0]
        raise ValueError(
            f"{call}(y): Unknown label type: continuous. Classes are expected, but row {at} holds "
            f"{labels[at]}. For values to predict use fit, or AdaptiveBasisRegressor."
        )
    return labels


def _several_kinds(call: str, labels: np.ndarray) -> ValueError:
    kinds = np.array([type(label).__name__ for label in labels])
    found, first = np.unique(kinds, return_index=True)
    shown = ", ".join(
        f"'{kind}' ({labels[i]!r} in row {i})" for kind, i in zip(found, first, strict=True)
    )
    return ValueError(
        f"{call}(y): labels of one kind are expected, got {shown}. Turn all of them into strings."
    )


def _is_missing(label: Any) -> bool:
    # pandas' NA is neither equal nor unequal to anything.
    return label is None or type(label).__name__ == "NAType" or bool(label != label)


def _plain(labels: np.ndarray) -> np.ndarray:
    """Return true and false, or whole numbers, that stand among objects as what they are."""
    kinds = {type(label) for label in labels.ravel()}
    return np.array(labels.tolist()) if kinds in ({bool}, {int}) else labels


def _positions(labels: np.ndarray, classes: np.ndarray) -> np.ndarray:
    known = {label: i for i, label in enumerate(classes.tolist())}
    return np.array([known.get(label, -1) for label in labels.tolist()], dtype=int)


def _described_labels(classes: np.ndarray) -> dict[str, Any]:
    """Return the classes as JSON holds them.

    Raises
    ------
    ValueError
        For labels that are neither strings, numbers nor true and false.
    """
    kind = np.asarray(classes.tolist()).dtype.kind
    if kind not in "Ubif":
        raise ValueError(
            f"save: labels such as {classes[0]!r} cannot be written to a file. Fit to strings, "
            "numbers, or true and false."
        )
    dtype = "object" if classes.dtype == object else classes.dtype.str
    return {"dtype": dtype, "names": classes.tolist()}


def _restored_labels(description: dict[str, Any]) -> np.ndarray:
    """Return the classes that :func:`_described_labels` described."""
    return np.array(description["names"], dtype=description["dtype"])


@dataclasses.dataclass(frozen=True, eq=False, repr=False)
class Classifier(Fitted):
    """Probabilities p(X) = softmax(scores): a fitted function with Q scores, and class names.

    Calling it gives the scores, divided by the temperature: one for two classes, the log odds of
    the second; K for more, of which differences are log odds. Derivatives are those of the scores.
    ``validation_error`` is the cross-entropy on rows held out, over that of the class frequencies.

    Attributes
    ----------
    classes : array, shape (K,)
        Labels, sorted.
    temperature : float
        What calibration divided the scores by; 1 without.

    See Also
    --------
    adabasis.Fitted : the attributes and methods every fitted function has.
    """

    solved_from: ClassVar[str] = "classes"

    classes: np.ndarray = None  # type: ignore[assignment]
    temperature: float = 1.0

    def decision_function(self, X: Any) -> np.ndarray:
        """Return the scores at N points, as calling the model does: (N,) for two classes, (N, K).

        Of two classes that is the log odds of the second.
        """
        return self(X)

    def probabilities(self, X: Any) -> np.ndarray:
        """Return the probability of each class at N points: (N, K), rows that sum to one."""
        scores = self._logits(X, "Classifier.probabilities(X)")
        return softmax(scores, axis=1)

    def predict(self, X: Any, *, dtype: str = "float64") -> np.ndarray:
        """Return the likeliest label at N points, (N,), by scores in either precision."""
        scores = super().predict(X, dtype=dtype)
        return self.classes[logits(scores.reshape(len(scores), -1)).argmax(axis=1)]

    def _logits(self, X: Any, call: str) -> np.ndarray:
        x = self._inputs(X, call)
        return logits(self(x).reshape(len(x), -1))

    @classmethod
    def _restored(cls, document: Mapping[str, Any]) -> dict[str, Any]:
        about = document["labels"]
        classes = _restored_labels(dict(about["classes"]))
        return {"classes": classes, "temperature": float(about["temperature"])}

    def _document(self) -> dict[str, Any]:
        about = {"classes": _described_labels(self.classes), "temperature": self.temperature}
        return {**super()._document(), "labels": about}


def logits(scores: np.ndarray) -> np.ndarray:
    """Return one number for each class: of a single score (N, 1), the first class has 0."""
    return np.hstack([np.zeros_like(scores), scores]) if scores.shape[1] == 1 else scores

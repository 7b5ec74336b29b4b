"""Labels of classes: names in, distributions over the classes out."""

from __future__ import annotations

from typing import Any

import numpy as np

from .._runtime.errors import counted, listed


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
    labels = _checked(y, call)
    try:
        classes = np.unique(labels if used is None else labels[used])
    except TypeError as error:
        kinds = listed(sorted({type(label).__name__ for label in labels}))
        raise ValueError(
            f"{call}(y): labels of one kind are expected, got {kinds}. Turn all of them into "
            "strings."
        ) from error
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
    return _positions(_checked(y, call), classes)


def indicators(index: np.ndarray, n_classes: int) -> np.ndarray:
    """Return rows that are 1 at the row's class and 0 elsewhere, (N, K)."""
    return (index[:, None] == np.arange(n_classes)).astype(float)


def _checked(y: Any, call: str = "classify") -> np.ndarray:
    labels = np.asarray(y)
    if labels.ndim == 2 and labels.shape[1] == 1:
        labels = labels[:, 0]
    if labels.ndim != 1:
        raise ValueError(f"{call}(y): expected labels of shape (N,), got {labels.shape}.")
    missing = labels != labels
    if labels.dtype == object:
        missing = np.array([label is None or label != label for label in labels], bool)
    if np.any(missing):
        count = counted(int(np.sum(missing)), "label is missing", "labels are missing")
        raise ValueError(
            f"{call}(y): {count} (NaN or None), the first in row {np.flatnonzero(missing)[0]}. "
            "Fill them or drop those rows."
        )
    if labels.dtype.kind == "f" and np.any(labels != np.round(labels)):
        at = np.flatnonzero(labels != np.round(labels))[0]
        raise ValueError(
            f"{call}(y): Unknown label type: continuous. Classes are expected, but row {at} holds "
            f"{labels[at]}. For values to predict use fit, or AdaptiveBasisRegressor."
        )
    return labels


def _positions(labels: np.ndarray, classes: np.ndarray) -> np.ndarray:
    known = {label: i for i, label in enumerate(classes.tolist())}
    return np.array([known.get(label, -1) for label in labels.tolist()], dtype=int)


def described(classes: np.ndarray) -> dict[str, Any]:
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


def restored(description: dict[str, Any]) -> np.ndarray:
    """Return the classes that :func:`described` described."""
    return np.array(description["names"], dtype=description["dtype"])

"""The result of a classification: scores, probabilities; labels in, names of classes out."""

from __future__ import annotations

import dataclasses
import math
import warnings
from collections.abc import Mapping
from typing import Any, ClassVar, Self

import numpy as np
from scipy.special import softmax

from .._runtime.errors import counted, listed
from ..evidence.label_sets import (
    HeldOutLabels,
    Reliability,
    checked_coverage,
    fewest_units,
)
from ..evidence.split import rows_together
from .fitted import Fitted
from .uncertainty import known_errors

#: Rows held out of a search that make sets by themselves: of so many, sets of coverage .9 cover .87
#: to .93 in two of three draws. With fewer, those of its folds are taken, too.
ENOUGH_HELD_OUT = 100
#: What the arrays of ``held_out_labels`` are called in files.
HELD_OUT = "held_out_labels"


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
    held_out_labels : HeldOutLabels, optional
        Labels that no coefficient was fitted to, with the probabilities there: what sets of labels
        are made of. ``None`` in older files.

    See Also
    --------
    adabasis.Fitted : the attributes and methods every fitted function has.
    """

    solved_from: ClassVar[str] = "classes"

    classes: np.ndarray = None  # type: ignore[assignment]
    temperature: float = 1.0
    held_out_labels: HeldOutLabels | None = None

    def decision_function(self, X: Any) -> np.ndarray:
        """Return the scores at N points, as calling the model does: (N,) for two classes, (N, K).

        Of two classes that is the log odds of the second.
        """
        return self(X)

    def probabilities(self, X: Any) -> np.ndarray:
        """Return the probability of each class at N points: (N, K), rows that sum to one."""
        scores = self._logits(X, "Classifier.probabilities(X)")
        return softmax(scores, axis=1)

    def predict(self, X: Any, return_std: bool = False, *, dtype: str = "float64") -> Any:
        """Return the likeliest label at N points, (N,), by scores in either precision."""
        if return_std:
            known_errors(self, "predict(X, return_std=True)")  # which says that labels have none
        scores = super().predict(X, dtype=dtype)
        return self.classes[logits(scores.reshape(-1, self.n_outputs)).argmax(axis=1)]

    def _logits(self, X: Any, call: str) -> np.ndarray:
        x = self._inputs(X, call)
        return logits(self(x).reshape(-1, self.n_outputs))

    def predict_set(self, X: Any, coverage: float = 0.9, *, by_class: bool = False) -> np.ndarray:
        """Return sets of labels that hold the true one with a chance of ``coverage``.

        A label is in the set where its probability is at least as large as that of all but a share
        1 − coverage of labels that the model did not see (``held_out_labels``): conformal
        prediction. Where those rows, and models that did not see them, are like the new rows and
        this model, the chance is at least ``coverage`` whatever the probabilities are worth, over
        all rows; not for each of them.

        Parameters
        ----------
        X : array-like, shape (N, D)
        coverage : float
            Between 0 and 1.
        by_class : bool
            Keep the chance for the rows of each class by itself, which takes rows of each.

        Returns
        -------
        array of bool, shape (N, K)
            Which of ``classes`` are in the set of each row: the likeliest label always is.

        Raises
        ------
        ValueError
            For a coverage that is none, or if the file was written by an earlier version: it
            holds no labels that the model did not see.

        Warns
        -----
        UserWarning
            Where there are too few such rows for the coverage: every label is in every set.

        Examples
        --------
        >>> import numpy as np, adabasis as ab
        >>> rng = np.random.default_rng(0)
        >>> X = rng.normal(size=(300, 2))
        >>> y = np.where(X[:, 0] + 0.5 * rng.normal(size=300) > 0, "warm", "cold")
        >>> model = ab.classify(X, y, ab.FrozenFeatures(16), method="frozen")
        >>> [model.classes[row].tolist() for row in model.predict_set([[2.0, 0.0], [0.0, 0.0]])]
        [['warm'], ['cold', 'warm']]
        """
        call = f"{type(self).__name__}.predict_set(X"
        coverage = checked_coverage(call, coverage)
        known = self.held_out_labels
        if known is None:
            raise ValueError(
                f"{call}): this model holds no labels that it did not see, from which sets are "
                "made: its file was written by an earlier version, or it was made by hand. Fit "
                "again."
            )
        scores = self._logits(X, f"{call})")
        inside, lacking = known.sets(softmax(scores, axis=1), coverage, by_class)
        if lacking.any():
            self._tell_too_few(f"{call}, coverage={coverage:g})", coverage, lacking, by_class)
        return inside

    def knowing_labels(
        self,
        before: Classifier,
        X: Any,
        y: Any,
        sample_weight: np.ndarray | None = None,
        groups: np.ndarray | None = None,
    ) -> Self:
        """Return a model that makes sets of labels from rows that were held out of its search.

        Parameters
        ----------
        before : Classifier
            The model before its coefficients were solved with those rows, too.
        X, y : array-likes, shapes (N, D) and (N,)
        sample_weight, groups : arrays, shape (N,), optional
        """
        x = before._inputs(X, "Classifier.knowing_labels(before, X)")
        index, group = index_of(y, self.classes), rows_together(x, groups)
        kind = f"{len(x):,} rows held out"
        found = HeldOutLabels.of(before.probabilities(x), index, sample_weight, group, kind)
        known = before.held_out_labels
        if known is not None and found.n_units < min(ENOUGH_HELD_OUT, known.n_units):
            found = HeldOutLabels.joined([found, known], f"{kind}, and {known.kind}")
        return dataclasses.replace(self, held_out_labels=found)

    def _tell_too_few(
        self, call: str, coverage: float, lacking: np.ndarray, by_class: bool
    ) -> None:
        known = self.held_out_labels
        assert known is not None
        needed, noun = fewest_units(coverage), known.noun
        if by_class:
            which = f"{listed(self.classes[lacking].tolist())} in every set"
            fewer = "leave by_class out"
        else:
            which = f"every label in every set ({counted(known.n_units, noun)} held out)"
            fewer = f"ask for a coverage of at most {math.floor(1e3 * known.enough_for) / 1e3:g}"
            if not known.n_units:
                fewer = "hold some out (validation='auto', holdout=0.2)"
        at_least = f"at least {counted(needed, noun)}" + " of each class" * by_class
        if not by_class and known.n_units >= needed:  # weights differ, or labels are not known
            at_least = f"more {noun}s, of labels that the model knows and like weights"
        warnings.warn(
            f"{call}: {which}, as this coverage takes {at_least} that the model did not see. Fit "
            f"to more, or {fewer}.",
            stacklevel=3,
        )

    @property
    def reliability(self) -> Reliability | None:
        """How far probabilities are from shares on labels not seen; ``None`` without any."""
        known = self.held_out_labels
        return None if known is None or not len(known.index) else known.reliability

    @classmethod
    def _restored(
        cls, document: Mapping[str, Any], tensors: Mapping[str, np.ndarray]
    ) -> dict[str, Any]:
        about = document["labels"]
        found: dict[str, Any] = {
            "classes": _restored_labels(dict(about["classes"])),
            "temperature": float(about["temperature"]),
        }
        if about.get("held_out") is not None:
            first = f"{HELD_OUT}."
            arrays = {n.removeprefix(first): a for n, a in tensors.items() if n.startswith(first)}
            found["held_out_labels"] = HeldOutLabels.restored(about["held_out"], arrays)
        return found

    def _document(self) -> dict[str, Any]:
        known = self.held_out_labels
        about = {
            "classes": _described_labels(self.classes),
            "temperature": self.temperature,
            "held_out": None if known is None else known.kind,
        }
        return {**super()._document(), "labels": about}

    def _tensors(self) -> dict[str, np.ndarray]:
        known = {} if self.held_out_labels is None else self.held_out_labels.arrays()
        return super()._tensors() | {f"{HELD_OUT}.{name}": array for name, array in known.items()}


def logits(scores: np.ndarray) -> np.ndarray:
    """Return one number for each class: of a single score (N, 1), the first class has 0."""
    return np.hstack([np.zeros_like(scores), scores]) if scores.shape[1] == 1 else scores

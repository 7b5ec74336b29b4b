"""Targets that are classes: how they are recognised, and what is said about it."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from .._runtime.arrays import check_finite, floats
from .._runtime.errors import BadInput, listed
from .columns import MOST_CATEGORIES, kind_of, looks_decorated, numbers, texts, wrong_column

FEW_NUMBERS = 10
"""A target of up to so many whole numbers may be one of classes."""


def holds_classes(table: pa.Table, targets: Sequence[str], asked: bool) -> bool:
    """Whether the target is one of classes: text, true and false, or numbers where asked.

    Raises
    ------
    BadInput
        For several targets, numbers with units, and entries of one kind or of very many.
    """
    kinds = {name: kind_of(table.column(name).type) for name in targets}
    of_classes = [name for name, kind in kinds.items() if kind in ("text", "bool") or asked]
    if not of_classes:
        return False
    if len(targets) > 1:
        raise BadInput(
            f"--target '{of_classes[0]}' holds classes, and classes are predicted for one target "
            f"at a time, not for {listed(targets)} together. Fit each by itself."
        )
    values = table.column(targets[0])
    if kinds[targets[0]] == "text" and looks_decorated(values):
        raise BadInput(f"--target {wrong_column(targets[0], values, encode=True)}")
    if kinds[targets[0]] not in ("text", "bool", "number"):
        raise BadInput(f"--target {wrong_column(targets[0], values, encode=True)}")
    count = len(pc.unique(texts(values).drop_null()))
    if count > MOST_CATEGORIES:
        raise BadInput(
            f"--target '{targets[0]}' holds {count} different entries: too many to be classes (at "
            f"most {MOST_CATEGORIES}). Group them, or predict another column."
        )
    if count == 1:
        raise BadInput(
            f"--target '{targets[0]}' holds only one class: there is nothing to tell apart."
        )
    return True


def labels_of(values: Any) -> np.ndarray:
    """Return a column of classes: strings, true and false, or whole numbers.

    Raises
    ------
    BadInput
        For numbers that are not whole.
    """
    kind = kind_of(values.type)
    if kind == "text":
        return np.array(texts(values).to_pylist())
    found = numbers(values)
    if kind == "bool":
        return found.astype(bool)
    bad = np.flatnonzero(found != np.round(found))
    if len(bad):
        raise BadInput(
            f"--classify: the target holds {found[bad[0]]:g} in row {bad[0] + 1:,}, but classes "
            "are whole numbers, text, or true and false."
        )
    return found.astype(np.int64)


def targets_as_numbers(
    y: Any, target_type: str = "auto"
) -> tuple[np.ndarray, tuple[str, ...], np.ndarray]:
    """Return what categories are told by, (N, k), its names, and by what codes are known.

    That is numbers, or 0/1 for classes: of two classes there is one column, the second's. Up to ten
    different whole numbers may be either: categories are told by their shares, which tell the mean
    as well, and codes are known by the numbers.
    """
    if target_type not in ("auto", "continuous", "classes"):
        raise BadInput(
            f"Preparation(target_type={target_type!r}): expected 'auto', 'continuous' or 'classes'."
        )
    labels = np.asarray(y)
    if labels.ndim == 2 and labels.shape[1] == 1:
        labels = labels[:, 0]
    classes = target_type == "classes" or (target_type == "auto" and labels.dtype.kind in "bOSU")
    if labels.dtype == object and target_type == "auto":
        with contextlib.suppress(TypeError, ValueError):
            labels, classes = floats("Preparation.fit", "y", y), False
    if not classes:
        values = floats("Preparation.fit", "y", y)
        check_finite("Preparation.fit", "y", values, y)
        few = np.unique(values) if values.ndim == 1 else values
        classes = target_type == "auto" and values.ndim == 1 and len(few) <= FEW_NUMBERS
        if not classes or (few != np.round(few)).any():
            names = [str(name) for name in getattr(y, "columns", ())]
            values = values.reshape(len(values), -1)
            return values, mean_names(names or [""] * values.shape[1]), values
        return *classes_as_numbers(labels), values[:, None]
    shares, names_of_shares = classes_as_numbers(labels)
    return shares, names_of_shares, shares


def classes_as_numbers(labels: Any) -> tuple[np.ndarray, tuple[str, ...]]:
    """Return labels (N,) as 0/1 (N, K), of two classes the second's alone, and its names."""
    from ..models.classifier import checked_labels, indicators

    classes, index = np.unique(checked_labels(labels, "Preparation.fit"), return_inverse=True)
    values = indicators(index, len(classes))[:, 1 if len(classes) == 2 else 0 :]
    names = classes[1:] if len(classes) == 2 else classes
    return values, tuple(f"share of {name}" for name in names.tolist())


def mean_names(targets: Sequence[str]) -> tuple[str, ...]:
    """Return the names of what tells categories by the means of targets."""
    return tuple(f"mean of {name}" if name else "mean of the target" for name in targets)


def told_classes(name: str, classes: np.ndarray, values: Any) -> str:
    """Say that a target is one of classes, and which."""
    kind = {"text": "text", "bool": "true and false"}.get(kind_of(values.type), "numbers")
    shown = listed(classes.tolist(), 8)
    return f"'{name}' holds {kind}: its {len(classes)} entries are classes to tell apart, {shown}."


def few_whole_numbers(targets: Sequence[str], y: np.ndarray) -> list[str]:
    """Say that numbers that look like classes are predicted as numbers."""
    if len(targets) > 1 or len(y) < 10 * FEW_NUMBERS:
        return []
    found = np.unique(y)
    if len(found) > FEW_NUMBERS or (found != np.round(found)).any() or len(found) < 2:
        return []
    return [
        f"'{targets[0]}' holds {len(found)} different whole numbers and is predicted as a number; "
        "--classify takes them as classes."
    ]

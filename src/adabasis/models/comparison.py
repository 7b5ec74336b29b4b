"""Two models compared on rows that both may not have seen: models of any kind."""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from .._runtime.arguments import told_arguments
from .._runtime.arrays import column_names
from .._runtime.errors import counted, listed
from ..evidence.paired import FEW_UNITS, PairedDifference, Units, few_rows_decide
from ..evidence.split import checked_groups
from .classifier import checked_labels, index_of
from .predictions import (
    Predicted,
    check_model,
    checked_weight,
    numbers,
    predict_classes,
    predicted,
    share_fitted_to,
    units_of,
)
from .verdicts import FITTED_TO, OF_NUMBERS, ModelComparison

#: As of verdicts: one impossible label would be all that is seen.
LEAST_PROBABILITY = 1e-15


@told_arguments
def compare(
    model_a: Any,
    model_b: Any,
    X: Any,
    y: Any,
    *,
    sample_weight: Any = None,
    groups: Any = None,
    level: float = 0.05,
    measure: str = "auto",
    names: Sequence[str] | None = None,
) -> ModelComparison:
    r"""Compare two models on the same rows, which neither was fitted to.

    For numbers the mean of the differences of squared errors, d = Σ w (ρ_a² − ρ_b²)/Σ w, is divided
    by its standard error over rows (or groups of them): Student's test, made robust to heavy tails
    (:class:`~adabasis.evidence.paired.PairedTest`). The range is that of the ratios of RMSE that it
    does not reject. For classes the losses are cross-entropies; wrong labels are compared by
    McNemar's exact test.

    What is compared are these two functions, not the methods that made them: fitted to other rows
    they would be others.

    Parameters
    ----------
    model_a, model_b : Fitted, Classifier, estimator or callable
        A fitted scikit-learn estimator, or a function of X that returns numbers (N,) or (N, Q), or
        labels (N,), or the chances (N, K) of the sorted labels of y.
    X : array-like or data frame, shape (N, D)
        The rows to compare on; best ones that neither model was fitted to.
    y : array-like, shape (N,) or (N, Q)
        Numbers or labels.
    sample_weight : array-like, shape (N,), optional
        How much each row counts.
    groups : array-like, shape (N,), optional
        Rows of one label are drawn together. Without, rows at one place and near-duplicates are.
    level : float
        Probability in (0, 1) of calling one of two models better that err alike.
    measure : {"auto", "RMSE", "MAE", "cross-entropy", "wrong labels"}
        What decides. ``"auto"``: the root mean square error of numbers (``"MAE"`` is the mean
        absolute one), the cross-entropy of classes, or wrong labels where a model gives no
        probabilities.
    names : pair of str, optional
        What to call the models: "A" and "B".

    Returns
    -------
    ModelComparison

    Raises
    ------
    ValueError
        For models of different targets, shapes that do not fit, a level outside (0, 1), fewer than
        two rows or groups, missing values, or predictions that are not finite.
    TypeError
        For what is no model.

    Warns
    -----
    UserWarning
        Where rows are among those that a model was fitted to, as far as models know theirs: files
        hold up to 512 of them, other kinds of models and files of version 0.1 none.

    Examples
    --------
    >>> import numpy as np
    >>> rng = np.random.default_rng(0)
    >>> X = rng.normal(size=(1000, 1))
    >>> y = X[:, 0] + rng.normal(size=1000)
    >>> found = compare(lambda X: X[:, 0], lambda X: 0.5 * X[:, 0], X, y)
    >>> found.better
    'a'
    >>> print(found)  # doctest: +NORMALIZE_WHITESPACE
    A errs less than B on 1,000 rows: RMSE 1.02 of A, 1.16 of B, 12 % less (9.3 to 14 % at
    95 % certainty).
    """
    call = "compare(model_a, model_b, X, y)"
    if isinstance(level, bool) or not (isinstance(level, int | float) and 0 < level < 1):
        raise ValueError(f"compare(level={level!r}): expected a number between 0 and 1.")
    if names is not None and (isinstance(names, str) or len(names) != 2):
        raise ValueError(f"compare(names={names!r}): expected two names, such as ('new', 'old').")
    X = X if hasattr(X, "shape") or column_names(X) else np.asarray(X)
    n_rows = len(X) if np.ndim(X) or column_names(X) else 0
    if n_rows < 2 or np.ndim(y) == 0 or len(y) != n_rows:
        raise ValueError(
            f"{call}: expected at least two rows and as many values, got {n_rows} rows and "
            f"{len(y) if np.ndim(y) else 'no'} values."
        )
    models = [(model_a, "model_a"), (model_b, "model_b")]
    for model, argument in models:
        check_model(model, argument)
    of_classes = predict_classes([model for model, _ in models], y)
    truth = checked_labels(y, "compare") if of_classes else numbers("compare(y)", y, n_rows)
    found = [predicted(model, argument, X, truth, of_classes) for model, argument in models]
    weight = checked_weight(sample_weight, n_rows)
    inside = weight > 0
    result = compared(
        (found[0].at(inside), found[1].at(inside)),
        truth[inside],
        units_of(X, weight, checked_groups("compare", groups, n_rows), "compare"),
        level=level,
        measure=measure,
        names=("A", "B") if names is None else (str(names[0]), str(names[1])),
        fitted_to=(share_fitted_to(model_a, X, inside), share_fitted_to(model_b, X, inside)),
    )
    known = [share for share in result.fitted_to if share > 0]
    if known:
        warnings.warn(
            f"{call}: about {100 * max(known):.0f} % of these rows are among those a model was "
            "fitted to, where its error is too small. Compare on rows that neither has seen.",
            stacklevel=3,
        )
    return result


def compared(
    found: tuple[Predicted, Predicted],
    truth: np.ndarray,
    units: Units,
    *,
    level: float = 0.05,
    measure: str = "auto",
    names: tuple[str, str] = ("A", "B"),
    fitted_to: tuple[float, float] = (math.nan, math.nan),
    targets: Sequence[str] = (),
) -> ModelComparison:
    """Compare what two models say of the same rows; see :func:`compare`.

    Parameters
    ----------
    found : pair of Predicted
    truth : array, shape (N, Q) or (N,)
        Numbers or labels.
    units : Units
    level, measure, names, fitted_to
        See :func:`compare` and :class:`ModelComparison`.
    targets : sequence of str
        Names of the Q columns.
    """
    of_classes = truth.ndim == 1
    decides = _checked_measure(measure, found, of_classes)
    if of_classes:
        main, others, losses = _classes_compared(found, truth, units, level, decides)
    else:
        main, others, losses = _numbers_compared(found, truth, units, level, targets, decides)
    notes = [*_doubts(units, losses), *(_unknown(found, truth, names) if of_classes else ())]
    leaked = any(share > FITTED_TO for share in fitted_to)
    for name, share in zip(names, fitted_to, strict=True):
        if 0 < share <= FITTED_TO:
            n_used = max(1, round(share * len(units.weight)))
            notes.append(
                f"About {n_used:,} of these rows {'is' if n_used == 1 else 'are'} among those that "
                f"{name} was fitted to: its error is a little too small here."
            )
    better = None if leaked else main.better
    about = len(units.weight), units.count, level
    return ModelComparison(names, *about, main, others, fitted_to, better, tuple(notes))


def _checked_measure(measure: str, found: tuple[Predicted, Predicted], of_classes: bool) -> str:
    known = ["cross-entropy", "wrong labels"] if of_classes else OF_NUMBERS
    without = any(one.chances is None for one in found)
    if measure == "auto":
        return known[-1] if of_classes and without else known[0]
    if measure not in known:
        kind = "classes" if of_classes else "numbers"
        raise ValueError(f"compare(measure={measure!r}): for {kind}, expected 'auto' or "
                         f"{' or '.join(map(repr, known))}.")  # fmt: skip
    if measure == "cross-entropy" and without:
        raise ValueError(
            "compare(measure='cross-entropy'): one of the models gives labels alone, without "
            "probabilities. Use measure='wrong labels'."
        )
    return measure


def _numbers_compared(
    found: tuple[Predicted, Predicted],
    truth: np.ndarray,
    units: Units,
    level: float,
    targets: Sequence[str],
    measure: str,
) -> tuple[PairedDifference, tuple[PairedDifference, ...], tuple[np.ndarray, np.ndarray]]:
    errors, power = [one.values - truth for one in found], 2 if measure == "RMSE" else 1
    names = targets or [f"y{q + 1}" for q in range(truth.shape[1])]
    with np.errstate(over="ignore", under="ignore"):
        unit = np.abs(errors).max(axis=(0, 1))
        scaled = [error / np.where(unit > 0, unit, 1.0) for error in errors]
        if truth.shape[1] == 1:
            a, b = (np.abs(one[:, 0]) ** power for one in scaled)
            main = PairedDifference.of(units, (a, b), level, measure, scale=float(unit[0]) or 1.0)
            return main, (), (a, b)
        spread = _spread(truth, units.weight)
        varies = spread > 0
        if not varies.any():
            spread, varies = np.where(unit > 0, unit, 1.0), np.full(len(unit), True)
        a, b = (np.mean(np.abs(e[:, varies] / spread[varies]) ** power, axis=1) for e in errors)
    each = tuple(
        PairedDifference.of(
            units,
            (np.abs(scaled[0][:, q]) ** power, np.abs(scaled[1][:, q]) ** power),
            level / len(names),
            measure,
            str(name),
            float(unit[q]) or 1.0,
        )
        for q, name in enumerate(names)
    )
    return PairedDifference.of(units, (a, b), level, measure), each, (a, b)


def _spread(y: np.ndarray, weight: np.ndarray) -> np.ndarray:
    middle = np.average(y, axis=0, weights=weight)
    size = np.abs(y - middle).max(axis=0)
    safe = np.where(size > 0, size, 1.0)
    return safe * np.sqrt(np.average(((y - middle) / safe) ** 2, axis=0, weights=weight))


def _classes_compared(
    found: tuple[Predicted, Predicted],
    truth: np.ndarray,
    units: Units,
    level: float,
    decides: str,
) -> tuple[PairedDifference, tuple[PairedDifference, ...], tuple[np.ndarray, np.ndarray]]:
    wrong = tuple((one.values != truth).astype(float) for one in found)
    labels = PairedDifference.of(units, (wrong[0], wrong[1]), level, "wrong labels")
    if any(one.chances is None for one in found):
        return labels, (), (wrong[0], wrong[1])
    a, b = (_surprise(one, truth) for one in found)
    chances = PairedDifference.of(units, (a, b), level, "cross-entropy")
    if decides == "wrong labels":
        return labels, (chances,), (wrong[0], wrong[1])
    return chances, (labels,), (a, b)


def _unknown(
    found: tuple[Predicted, Predicted], truth: np.ndarray, names: tuple[str, str]
) -> Iterator[str]:
    """Say which labels a model cannot predict."""
    for one, name in zip(found, names, strict=True):
        if one.chances is None or one.classes is None:
            continue
        unknown = np.unique(truth[index_of(truth, one.classes, "compare") < 0])
        if len(unknown):
            shown = listed(unknown.tolist())
            yield f"{name} does not know the labels {shown}: they count as wrong."


def _surprise(found: Predicted, truth: np.ndarray) -> np.ndarray:
    """Return −log of the chance of each row's label; of a label that the model does not know, 0."""
    assert found.classes is not None
    assert found.chances is not None
    index = index_of(truth, found.classes, "compare")
    given = np.where(index >= 0, found.chances[np.arange(len(truth)), index], 0.0)
    return -np.log(np.clip(given, LEAST_PROBABILITY, 1.0))


def _doubts(units: Units, losses: tuple[np.ndarray, np.ndarray]) -> Iterator[str]:
    """Say what weakens the comparison."""
    noun = "row" if units.count == len(units.weight) else "group"
    if units.count < FEW_UNITS:
        yield (f"{counted(units.count, noun)} are few to compare by: take the certainty as rough.")
    few = few_rows_decide(units, losses)
    if few and units.count >= FEW_UNITS:
        yield (
            f"{counted(few, noun)} of {units.count:,} {'has' if few == 1 else 'have'} half of the "
            "loss: rare large errors decide, and other rows may hold others. Look at those rows."
        )

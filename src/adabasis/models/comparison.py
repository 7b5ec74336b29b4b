"""Two models compared on rows that both may not have seen: models of any kind."""

from __future__ import annotations

import dataclasses
import math
import warnings
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from .._runtime.arguments import told_arguments
from .._runtime.arrays import column_names
from .._runtime.errors import counted, significant
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

#: Share of the rows that may have been fitted to before nothing is claimed any more: of models that
#: err half as much on rows they know, so many shift the error by less than rows drawn anew do.
FITTED_TO = 0.05
#: As of verdicts: one impossible label would be all that is seen.
LEAST_PROBABILITY = 1e-15
#: Ratio of errors that is given as such; smaller ones in per cent.
TIMES = 2.0


@dataclasses.dataclass(frozen=True)
class ModelComparison:
    """Which of two models errs less on the same rows, by how much, with what certainty.

    Its text is a sentence; :meth:`to_json` gives all fields.

    Attributes
    ----------
    names : (str, str)
        Of the two models.
    n_rows, n_units : int
        Rows of positive weight; and how many groups of rows that belong together.
    level : float
        Probability of calling one of two models better that err alike.
    main : PairedDifference
        Of the measure that decides: for numbers the RMSE (of several targets the root mean square
        over them of RMSE over standard deviation), for classes the cross-entropy, or the share of
        wrong labels.
    others : tuple of PairedDifference
        Of each target, at level/Q; of classes the share of wrong labels. They do not decide.
    fitted_to : (float, float)
        Share of the rows that each model was fitted to, as far as it can be known; NaN where not.
    better : {"a", "b"} or None
        ``None``: no clear difference, or rows that a model was fitted to.
    notes : tuple of str
        What makes the comparison weaker than it looks.
    """

    names: tuple[str, str]
    n_rows: int
    n_units: int
    level: float
    main: PairedDifference
    others: tuple[PairedDifference, ...] = ()
    fitted_to: tuple[float, float] = (math.nan, math.nan)
    better: str | None = None
    notes: tuple[str, ...] = ()

    @property
    def sentence(self) -> str:
        """Which errs less, by how much, how sure that is."""
        rows = counted(self.n_rows, "row")
        if self.n_units < self.n_rows:
            rows += f" ({self.n_units:,} groups of them)"
        used = [n for n, s in zip(self.names, self.fitted_to, strict=True) if s > FITTED_TO]
        if used:
            share = max(s for s in self.fitted_to if s > FITTED_TO)
            about = "all" if share > 1 - FITTED_TO else f"about {100 * share:.0f} % of"
            return (
                f"Nothing is told of new rows: {about} these {rows} are among those that "
                f"{' and '.join(used)} {'were' if len(used) > 1 else 'was'} fitted to "
                f"({self._errors()}). Compare on others."
            )
        return self._said(self.main, self.better, rows)

    def _said(self, found: PairedDifference, better: str | None, rows: str) -> str:
        first, second = self.names
        sure = f"{100 * (1 - self.level):g} % certainty"
        if found.a == found.b and found.p_value == 1:
            return f"{first} and {second} err alike on {rows}: {self._errors()}."
        if better is None:
            span = _span(found, sure, first, second)
            return f"No clear difference on {rows}: {self._errors()}; {span}."
        one = found.swapped() if better == "a" else found  # how much more the worse one errs
        good, bad = (first, second) if better == "a" else (second, first)
        return f"{good} errs less than {bad} on {rows}: {self._errors()}, {_less(one, bad, sure)}."

    def _errors(self) -> str:
        found, (first, second) = self.main, self.names
        words = {"RMSE": "RMSE", "cross-entropy": "cross-entropy", "wrong labels": "wrong labels"}
        if found.measure == "wrong labels":
            a, b = (f"{significant(100 * one)} %" for one in (found.a, found.b))
        else:
            a, b = map(significant, (found.a, found.b))
        what = words[found.measure]
        if found.measure == "RMSE" and self.others:
            what += f" over the standard deviation, all {len(self.others)} targets,"
        return f"{what} {a} of {first}, {b} of {second}"

    def __str__(self) -> str:
        """Return the sentence, that of each other measure, and the notes."""
        lines = [self.sentence]
        for one in self.others:
            about = f"{one.target}: " if one.target else ""
            lines.append(f"  {about}{_one_line(one, self.names)}")
        return "\n".join([*lines, *(f"  {note}" for note in self.notes)])

    def to_json(self) -> dict[str, Any]:
        """Return the fields as JSON holds them: what is not finite becomes ``None``."""
        return {
            "names": list(self.names),
            "n_rows": self.n_rows,
            "n_units": self.n_units,
            "level": self.level,
            "better": {"a": self.names[0], "b": self.names[1], None: None}[self.better],
            "sentence": self.sentence,
            "main": self.main.to_json(),
            "others": [one.to_json() for one in self.others],
            "fitted_to": [None if math.isnan(one) else one for one in self.fitted_to],
            "notes": list(self.notes),
        }


def _percent(share: float) -> str:
    return f"{100 * share:.2g}" if abs(share) < 0.995 else f"{100 * share:,.0f}"


def _less(found: PairedDifference, bad: str, sure: str) -> str:
    """Say how much less the better model errs; ``found.ratio`` is the other's error over its."""
    low, high = found.ratio_range
    if found.measure == "cross-entropy":
        a, b = found.difference_range
        return f"{found.difference:.2g} nats less ({a:.2g} to {b:.2g} at {sure})"
    if found.measure == "wrong labels":
        a, b = (max(0.0, 100 * end) for end in found.difference_range)
        return f"{100 * found.difference:.2g} % of all rows less ({a:.2g} to {b:.2g} at {sure})"
    if math.isinf(found.ratio):
        return "which makes none"
    if not found.ratio < TIMES:
        ends = f"{low:.3g} to {high:.3g} times" if math.isfinite(high) else f"at least {low:.3g}"
        return f"that of {bad} {found.ratio:.3g} times as large ({ends} at {sure})"
    said, least, most = (_percent(1 - 1 / ratio) for ratio in (found.ratio, low, high))
    return f"{said} % less ({least} to {most} % at {sure})"


def _span(found: PairedDifference, sure: str, first: str, second: str) -> str:
    """Say how far apart the models may be."""
    low, high = found.ratio_range
    if found.measure == "RMSE":
        if math.isnan(low):
            return "there is no error to compare"
        most = f"{_percent(high - 1)} % larger" if math.isfinite(high) else "many times larger"
        return (
            f"that of {first} may be from {_percent(1 - low)} % smaller to {most} than that of "
            f"{second} ({sure})"
        )
    unit, of = (100, "% of all rows") if found.measure == "wrong labels" else (1, "nats")
    low, high = (unit * end for end in found.difference_range)
    return f"the difference may be from {low:+.2g} to {high:+.2g} {of} ({sure})"


def _one_line(found: PairedDifference, names: tuple[str, str]) -> str:
    unit = 100 if found.measure == "wrong labels" else 1
    a, b = (significant(unit * one) + " %" * (unit > 1) for one in (found.a, found.b))
    best = {"a": f"{names[0]} errs less", "b": f"{names[1]} errs less"}
    said = best.get(found.better or "", "no clear difference")
    return f"{found.measure} {a} of {names[0]}, {b} of {names[1]}: {said} (p = {found.p_value:.2g})"


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
    by its standard error over rows (or groups of them): Student's test, which keeps its level with
    heavy tails where both errors have the same distribution. The range is that of RMSE_a/RMSE_b at
    the same level, by Fieller's method. For classes the losses are cross-entropies; wrong labels
    are compared by McNemar's exact test.

    What is compared are these two functions, not the methods that made them: fitted to other rows
    they would be others.

    Parameters
    ----------
    model_a, model_b : Fitted, Classifier, estimator or callable
        A fitted scikit-learn estimator, or a function of X that returns numbers (N,) or (N, Q), or
        labels (N,), or the chances (N, K) of the sorted labels of y.
    X : array-like or data frame, shape (N, D)
    y : array-like, shape (N,) or (N, Q)
        Numbers or labels.
    sample_weight : array-like, shape (N,), optional
        How much each row counts.
    groups : array-like, shape (N,), optional
        Rows of one label are drawn together. Without, rows at one place and near-duplicates are.
    level : float
        Probability in (0, 1) of calling one of two models better that err alike.
    measure : {"auto", "RMSE", "cross-entropy", "wrong labels"}
        What decides. ``"auto"``: the RMSE of numbers, the cross-entropy of classes, or wrong labels
        where a model gives no probabilities.
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
    A errs less than B on 1,000 rows: RMSE 1.02 of A, 1.16 of B, 12 % less (9.4 to 14 % at
    95 % certainty).
    """
    call = "compare(model_a, model_b, X, y)"
    if isinstance(level, bool) or not (isinstance(level, int | float) and 0 < level < 1):
        raise ValueError(f"compare(level={level!r}): expected a number between 0 and 1.")
    if names is not None and (isinstance(names, str) or len(names) != 2):
        raise ValueError(f"compare(names={names!r}): expected two names, such as ('new', 'old').")
    X = X if hasattr(X, "shape") or column_names(X) else np.asarray(X)
    n_rows = len(X) if np.ndim(X) or column_names(X) else 0
    if n_rows < 2 or len(y) != n_rows:
        raise ValueError(
            f"{call}: expected at least two rows and as many values, got {n_rows} rows and "
            f"{len(y)} values."
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
            f"{call}: about {100 * max(known):.2g} % of these rows are among those a model was "
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
        main, others, losses = _numbers_compared(found, truth, units, level, targets)
    notes = [*_doubts(units, losses)]
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
    known = ["cross-entropy", "wrong labels"] if of_classes else ["RMSE"]
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
) -> tuple[PairedDifference, tuple[PairedDifference, ...], tuple[np.ndarray, np.ndarray]]:
    errors = [one.values - truth for one in found]
    names = targets or [f"y{q + 1}" for q in range(truth.shape[1])]
    with np.errstate(over="ignore", under="ignore"):
        unit = np.abs(errors).max(axis=(0, 1))
        scaled = [error / np.where(unit > 0, unit, 1.0) for error in errors]
        if truth.shape[1] == 1:
            a, b = (one[:, 0] ** 2 for one in scaled)
            main = PairedDifference.of(units, (a, b), level, "RMSE", scale=float(unit[0]) or 1.0)
            return main, (), (a, b)
        spread = _spread(truth, units.weight)
        varies = spread > 0
        if not varies.any():
            spread, varies = np.where(unit > 0, unit, 1.0), np.full(len(unit), True)
        a, b = (np.mean((one[:, varies] / spread[varies]) ** 2, axis=1) for one in errors)
    each = tuple(
        PairedDifference.of(
            units,
            (scaled[0][:, q] ** 2, scaled[1][:, q] ** 2),
            level / len(names),
            "RMSE",
            str(name),
            float(unit[q]) or 1.0,
        )
        for q, name in enumerate(names)
    )
    return PairedDifference.of(units, (a, b), level, "RMSE"), each, (a, b)


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

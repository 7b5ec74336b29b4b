"""What the command line does for numbers one way, and for classes another."""

from __future__ import annotations

import dataclasses
import itertools
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from .._runtime.errors import BadInput, counted, listed
from ..basis import AbstractBasis
from ..classification import strategy as class_search
from ..classification.api import classify
from ..evidence.classes import judge_classes
from ..evidence.judge import judge
from ..evidence.verdict import Verdict
from ..models.classifier import Classifier
from ..models.fitted import Fitted
from ..models.record import Outlier
from ..regression import bases as number_search
from ..regression import uncertainty
from ..regression.api import fit, refit
from ..regression.outliers import retold, told
from ..regression.reweighted import loss_of
from ..regression.tolerance import fit_to_tolerance
from ..report.joint import joint_descent
from ..tables import TrainingData
from ..train import History
from .options import FitOptions

#: Stands between the labels of a set.
SEPARATOR = " | "


def truth(data: TrainingData) -> np.ndarray:
    """Return what is to be predicted: numbers (N, Q) or labels (N,)."""
    return data.y if data.labels is None else data.labels


def rows_of(data: TrainingData, rows: np.ndarray) -> dict[str, Any]:
    """Return some rows, as the public functions take them."""
    weight = None if data.weight is None else data.weight[rows]
    groups = None if data.groups is None else data.groups[rows]
    groups = None if groups is None or len(np.unique(groups)) < 2 else groups
    return {"X": data.x[rows], "y": truth(data)[rows], "sample_weight": weight, "groups": groups}


def transforms(data: TrainingData, options: FitOptions) -> dict[str, Any]:
    """Return the transforms of inputs and targets, as the public functions take them.

    Raises
    ------
    BadInput
        For a transform of classes or of values that it does not take, or a period of what is no
        column of numbers.
    """
    names, periodic, asked = data.preparation.features, {}, options.target_transform
    for text in options.periodic:
        name, _, number = text.rpartition("=")
        if name not in names:
            raise BadInput(
                f"--periodic {text}: expected COLUMN=PERIOD with one of the inputs "
                f"{listed(names, 40)}."
            )
        try:
            period = float(number)
        except ValueError:
            period = math.nan
        if not 0 < period < math.inf:
            raise BadInput(
                f"--periodic {text}: expected a positive period, such as {name}=360 for degrees."
            )
        periodic[names.index(name)] = period
    inputs = _logs(data, options, periodic)
    found: dict[str, Any] = {"periodic": periodic or None, "input_transform": inputs or None}
    if data.labels is not None:
        if asked in ("log", "yeo-johnson"):
            raise BadInput(
                f"--target-transform {asked}: {options.target[0]!r} holds classes, which "
                "are no numbers. Leave it out."
            )
        return found
    for name, column in zip(options.target, data.y.T, strict=True):
        if asked == "log" and (column <= 0).any():
            raise BadInput(
                f"--target-transform log: {counted(int((column <= 0).sum()), 'value')} of "
                f"{name!r} not positive, such as {column.min():g}. Use yeo-johnson, which takes "
                "any number."
            )
    asked = asked or ("none" if options.model == "pounet" else "auto")
    if options.model != "pounet" and asked != "none":
        found["input_transform"] = dict.fromkeys(range(len(names)), "auto") | inputs
    return found | {"target_transform": None if asked == "none" else asked}


def _logs(
    data: TrainingData, options: FitOptions, periodic: Mapping[int, float]
) -> dict[int, str | None]:
    """Return the inputs that are to be in logarithms, and those that are not, by number.

    Raises
    ------
    BadInput
        For columns that are no inputs of numbers, or have no logarithms.
    """
    names, found = data.preparation.features, {}
    for option, kind, asked in (("--log", "log", options.log), ("--no-log", None, options.no_log)):
        for name in asked:
            about = f"{option} {name}"
            if name not in names:
                raise BadInput(f"{about}: expected one of the inputs {listed(names, 40)}.")
            at = names.index(name)
            if at in found or at in periodic:
                raise BadInput(f"{about}: another option says what becomes of this column.")
            column = data.x[:, at]
            if kind and ((column < 0).any() or not (column > 0).any()):
                raise BadInput(
                    f"{about}: expected positive numbers and zeros, got {column.min():g} among its "
                    "entries. Leave it as it is."
                )
            found[at] = kind
    return found


def fitted(data: TrainingData, kept: np.ndarray, model: str, options: Mapping[str, Any]) -> Fitted:
    """Fit some rows by ``--model`` auto, network or frozen.

    Raises
    ------
    BadInput
        If one class alone is among them.
    """
    if data.labels is not None and len(np.unique(data.labels[kept])) < 2:
        raise BadInput(
            "Only one class is left to learn from: all rows of the others were held out to judge "
            "the model. Collect more of them, or fit with --holdout 0."
        )
    if model == "auto" and data.labels is None and "tol" in options:
        decided = ("ridge", "validation")
        asked = {name: value for name, value in options.items() if name not in decided}
        return fit_to_tolerance(**rows_of(data, kept), **asked)
    front_door = fit if data.labels is None else classify
    how = of_model(model, data.labels is not None, len(kept), data.x.shape[1])
    return front_door(**how, **rows_of(data, kept), **options)


def of_model(model: str, of_classes: bool, n_rows: int, n_inputs: int) -> dict[str, Any]:
    """Return the bases and the method of ``--model`` auto, network or frozen."""
    frozen, bases = model == "frozen", None
    if model != "auto":
        kind = class_search if of_classes else number_search
        offered: list[AbstractBasis] = kind.default_bases(n_rows, n_inputs)
        bases = type(offered)(basis for basis in offered if basis.trainable != frozen)
    return {"basis": bases, "method": "frozen" if frozen else "auto"}


def judged(
    model: Fitted, data: TrainingData, rows: tuple[np.ndarray, np.ndarray], kind: str
) -> Verdict:
    """Compare a model with others on the rows held out."""
    by = judge if data.labels is None else judge_classes
    return by(model, data.x, truth(data), data.weight, rows, groups=data.groups, kind=kind)


def descended(model: Fitted, data: TrainingData, kept: np.ndarray) -> History | None:
    """Return how joint descent does on the rows a classifier was trained on, in its time."""
    if not isinstance(model, Classifier):
        return None
    x, labels, weight, _ = rows_of(data, kept).values()
    seconds = float(model.history.seconds[-1])
    return joint_descent(model, x, labels, sample_weight=weight, max_seconds=seconds)


def refitted(model: Fitted, data: TrainingData) -> Fitted:
    """Solve the coefficients again with all rows, but for classes that were only held out."""
    known = np.full(len(data.x), True)
    if isinstance(model, Classifier):
        known = np.isin(truth(data), model.classes)
    about = rows_of(data, known)
    return refit(model, about["X"], about["y"], sample_weight=about["sample_weight"])


def in_table_rows(model: Fitted, data: TrainingData) -> Fitted:
    """Return a model whose notes name outliers by their rows of the table, from 1."""
    rows = np.arange(len(data.x)) if data.rows is None else data.rows
    filled = data.filled

    def stands(one: Outlier) -> str:
        of = f", '{data.preparation.targets[one.output]}'" if data.y.shape[1] > 1 else ""
        guessed = f" (with {listed(filled[one.row])} filled in)" if one.row in filled else ""
        return f"row {rows[one.row] + 1:,}{of}{guessed}:"

    said = told(model.record.outliers, loss_of(model), stands, "--robust")
    return dataclasses.replace(model, notes=retold(model.notes, said))


def recalibrated(model: Fitted, before: Fitted, data: TrainingData, out: np.ndarray) -> Fitted:
    """Return a model that knows its errors on the rows that were held out of it."""
    weight = None if data.weight is None else data.weight[out]
    groups = None if data.groups is None else data.groups[out]
    if isinstance(model, Classifier) and isinstance(before, Classifier):
        return model.knowing_labels(before, data.x[out], truth(data)[out], weight, groups)
    return uncertainty.calibrated(model, before, data.x[out], truth(data)[out], weight, groups)


def checked_interval(model: Fitted, per_cent: float | None) -> float | None:
    """Return the coverage that was asked for, or say why there is none.

    Raises
    ------
    BadInput
    """
    if per_cent is None:
        return None
    if not 1 <= per_cent < 100:
        hint = f" For {100 * per_cent:g} % write {100 * per_cent:g}." if 0 < per_cent < 1 else ""
        raise BadInput(
            f"--interval {per_cent:g}: expected per cent from 1 to below 100, such as 90 for "
            f"intervals that hold nine new values in ten.{hint}"
        )
    if not isinstance(model, Classifier):
        if model.error_model is None:
            raise BadInput(
                "--interval: this model does not know its errors, for its file was written by an "
                "earlier version. Fit again."
            )
        return per_cent / 100
    if model.held_out_labels is None:
        raise BadInput(
            "--interval: this model holds no labels that it did not see, from which sets of labels "
            "are made: its file was written by an earlier version. Fit again."
        )
    return per_cent / 100


def predicted_columns(
    model: Fitted, targets: Sequence[str], coverage: float | None = None
) -> dict[str, pa.DataType]:
    """Return the columns of predictions: of classes, the label and the probability of each.

    With a coverage, numbers are followed by the bounds of their intervals, classes by the labels
    of their sets.
    """
    if not isinstance(model, Classifier):
        ends = () if coverage is None else ("lower", "upper")
        bounds = [f"{name} {end} {100 * (coverage or 0):g} %" for name in targets for end in ends]
        return dict.fromkeys([*targets, *bounds], pa.float64())
    chances = dict.fromkeys((f"{targets[0]} = {name}" for name in model.classes), pa.float64())
    sets = {} if coverage is None else {f"{targets[0]} set {100 * coverage:g} %": pa.string()}
    return {targets[0]: pa.array(model.classes).type, **chances, **sets}


def predicted(model: Fitted, x: np.ndarray, coverage: float | None = None) -> list[np.ndarray]:
    """Return the predictions for some rows, an array for each column."""
    if not isinstance(model, Classifier):
        values = list(model(x).reshape(len(x), -1).T)
        if coverage is None:
            return values
        ends = [end.reshape(len(x), -1).T for end in model.predict_interval(x, coverage)]
        return [*values, *(end[q] for q in range(len(values)) for end in ends)]
    p = model.probabilities(x)
    columns = [model.classes[p.argmax(axis=1)], *p.T]
    if coverage is not None:
        names = [str(name) for name in model.classes.tolist()]
        inside = model.predict_set(x, coverage)
        sets = [SEPARATOR.join(itertools.compress(names, row)) for row in inside]
        columns.append(np.array(sets, dtype=object))
    return columns

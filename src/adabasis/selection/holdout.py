"""Rows that a whole search never sees: the model is judged on them, then solved again with all."""

from __future__ import annotations

import dataclasses
import functools
import inspect
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import numpy as np

from .._runtime.arrays import check_finite, column_names, floats
from ..evidence.split import checked_groups, checked_holdout, split
from ..evidence.verdict import Verdict
from ..geometry.maps import Coordinates, input_transforms, periodic_columns
from ..models.fitted import Fitted
from ..train import StopReason

AnyFunction = TypeVar("AnyFunction", bound=Callable[..., Any])
Judge = Callable[..., Verdict]


def kind_of(holdout: float | str | None, groups: Any = None) -> str:
    """Return how rows were held out, in words that follow "n rows"."""
    if holdout == "last":
        return "held out (the last in order)"
    return "held out" if groups is None else "held out (groups kept together)"


def holding_out(
    judge: Judge,
    refit: Callable[..., Fitted],
    calibrated: Callable[..., Fitted] = lambda model, *others: model,
) -> Callable[[AnyFunction], AnyFunction]:
    """Give a public function the argument ``holdout``, and its models the names of columns.

    Parameters
    ----------
    judge : callable
        As :func:`adabasis.evidence.judge.judge`.
    refit : callable
        As :func:`adabasis.refit`.
    calibrated : callable
        As :func:`adabasis.regression.uncertainty.calibrated`.
    """

    def decorate(function: AnyFunction) -> AnyFunction:
        name, signature = function.__name__, inspect.signature(function)

        @functools.wraps(function)
        def call(*args: Any, **named: Any) -> Any:
            holdout = checked_holdout(name, named.pop("holdout", None))
            fitted = function if holdout is None else functools.partial(held_out, holdout)
            names = column_names(args[0] if args else named.get("X"))
            return _knowing(names, fitted(*args, **named))

        def held_out(holdout: float | str, *args: Any, **named: Any) -> Any:
            given = signature.bind(*args, **named).arguments
            x, y = floats(name, "X", given["X"]), np.asarray(given["y"])
            check_finite(name, "X", x, given["X"])
            if name != "classify":  # rows are counted before some are held out
                y = floats(name, "y", given["y"])
                check_finite(name, "y", y, given["y"])
            places = x
            if given.get("periodic") is not None:  # an array forgets the names of its columns
                periodic = dict(periodic_columns(name, given["X"], given["periodic"]))
                given["periodic"] = periodic
                turning = Coordinates.plain(x.shape[1]).replaced("periodic", periodic)
                places = turning.wrapped(places)
            if isinstance(given.get("input_transform"), Mapping):
                given["input_transform"] = input_transforms(
                    name, given["X"], given["input_transform"]
                )
            groups = checked_groups(name, given.get("groups"), len(x))
            seed = given.get("random_state", 0)
            rows = split(places, holdout, seed, groups)
            if not len(rows[1]):
                return function(**given)
            weight = given.get("sample_weight")
            weight = None if weight is None else np.asarray(weight, dtype=float)
            by_row = {"X": x, "y": y, "sample_weight": weight, "groups": groups}
            kept = {k: v if v is None else v[rows[0]] for k, v in by_row.items() if k in given}
            model = function(**{**given, **kept})
            if model.stop_reason is StopReason.INTERRUPTED:
                return model
            truth = y if y.ndim > 1 or model.solved_from == "classes" else y[:, None]
            verdict = judge(
                model, x, truth, weight, rows, groups=groups, kind=kind_of(holdout, groups)
            )
            again = claimed(refit(model, x, y, sample_weight=weight), verdict)
            apart = (v if v is None else v[rows[1]] for v in (x, truth, weight, groups))
            return calibrated(again, model, *apart)

        hidden = inspect.Parameter("holdout", inspect.Parameter.KEYWORD_ONLY, default=None)
        shown = [*signature.parameters.values(), hidden]
        call.__signature__ = signature.replace(parameters=shown)  # type: ignore[attr-defined]
        return call  # type: ignore[return-value]

    return decorate


def _knowing(names: tuple[str, ...], model: Fitted) -> Fitted:
    """Return a model that finds the columns of a frame by their names."""
    if not names:
        return model
    return dataclasses.replace(model, record=dataclasses.replace(model.record, input_names=names))


def claimed(model: Fitted, verdict: Verdict) -> Fitted:
    """Return a model that claims what rows held out of everything say, or less.

    What its own search found on other rows counts where it is worse: a few rows held out may miss
    where the errors are, such as a border between pieces.
    """
    if model.record.outliers:
        verdict = verdict.blaming_outliers()
    ours = verdict.scores[0]
    error, unit = ours.claim, 1.0
    if verdict.of_classes:  # cross-entropy over that of the frequencies
        unit = verdict.scores[-1].rmse[0]
    claim: dict[str, Any] = {
        "validation_error": error / unit,
        "validation_range": (ours.range[0] / unit, ours.range[1] / unit),
        "validation_kind": f"{verdict.rows_held_out:,} rows {verdict.kind}",
    }
    if model.validation_error > claim["validation_error"]:
        claim = {}
    return dataclasses.replace(
        model,
        **claim,
        record=dataclasses.replace(model.record, verdict=verdict.to_json()),
    )

"""Fits by losses that a few wild rows do not rule, and the list of such rows.

Functions are searched for with outliers set aside, so that none decides on a ridge, a width or the
end of training; the coefficients then lower the loss that was asked for over all rows, by the
reduction of every other fit with rows weighted anew (:mod:`adabasis.lstsq.losses`).
"""

from __future__ import annotations

import dataclasses
import functools
import inspect
import math
import time
from collections.abc import Callable
from typing import Any, TypeVar

import numpy as np

from .._runtime.compute import numerics
from .._runtime.errors import counted
from ..evidence.errors import Unseen, spread
from ..evidence.outliers import above_quantile, expected, far_off, parts, unexpected, unit_box
from ..evidence.peers import PEERS
from ..evidence.verdict import OURS, Judged, LossComparison, Predictions
from ..geometry.maps import TargetMap
from ..geometry.points import AffineMap
from ..lstsq.losses import Loss
from ..models.fitted import Fitted
from ..selection.prepared import checked_data
from ..train import AbstractTrainer, StopReason
from .outliers import noted
from .reweighted import BLIND, in_model_units, left_shares
from .transforms import checked_transforms

AnyFunction = TypeVar("AnyFunction", bound=Callable[..., Any])
#: Searches, the next where the last model shows that other rows are the outliers.
SEARCHES = 2
#: Share of the rows set aside that may be others by the model without another search.
FEW_OTHERS = 0.1
#: Relative error below which no row is far from the model.
ROUND_OFF = 1e-10


def taking_losses(refit: Callable[..., Fitted]) -> Callable[[AnyFunction], AnyFunction]:
    """Let a public function lower other losses than squares, and list outliers by all of them.

    Parameters
    ----------
    refit : callable
        As :func:`adabasis.refit`.
    """

    def decorate(function: AnyFunction) -> AnyFunction:
        name, signature = function.__name__, inspect.signature(function)

        @functools.wraps(function)
        def call(*args: Any, **named: Any) -> Any:
            given = signature.bind(*args, **named).arguments
            loss = Loss.asked(name, given.get("loss", "squared"), given.get("quantile", 0.5))
            if loss.plain:
                model = function(**given)
                if model.validation_error <= ROUND_OFF:
                    return model
                data = checked_data(name, given["X"], given["y"], given.get("sample_weight"))
                return noted(model, *data)
            return _searched(name, function, given, loss, refit)

        return call  # type: ignore[return-value]

    return decorate


def _searched(
    name: str,
    function: Callable[..., Fitted],
    given: dict[str, Any],
    loss: Loss,
    refit: Callable[..., Fitted],
) -> Fitted:
    """Search with outliers set aside, then solve with all rows."""
    method = given.get("method")
    if method == "gd" or (isinstance(method, AbstractTrainer) and method.joint):
        raise ValueError(
            f"{name}(method={method!r}, loss={loss.name!r}): joint training lowers squares alone. "
            "Take method='lsgd', or another that solves for the coefficients."
        )
    began, budget = time.perf_counter(), given.get("max_seconds", math.inf)
    x, y, weight = checked_data(name, given["X"], given["y"], given.get("sample_weight"))
    given, aside = _own_validation(given, x, y, weight), far_off(x, y, weight)
    kinds = checked_transforms(name, given.get("target_transform"), y.shape[1])
    for output, kind in enumerate(kinds):  # what is far in any units is far
        if kind in ("auto", "log") and (y[:, output] > 0).all():
            logs = far_off(x, np.log(y[:, output : output + 1]), weight)
            aside[:, output] = (aside[:, output] | (kind == "log")) & logs[:, 0]
    for last in range(SEARCHES):
        searched = weight * _shares(x, y, weight, aside, loss)
        left = max(budget - (time.perf_counter() - began), 1e-3)
        budgeted = {**given, "sample_weight": searched, "max_seconds": left}
        model = function(**budgeted)
        if "auto" in kinds and _beyond(model, y[weight > 0]):
            kinds = tuple("yeo-johnson" if kind == "auto" else kind for kind in kinds)
            model = function(**{**budgeted, "target_transform": kinds})
        late = time.perf_counter() - began > budget
        interrupted = model.stop_reason is StopReason.INTERRUPTED
        if loss.kinked or last == SEARCHES - 1 or late or interrupted:
            break
        with numerics():
            far = _far_from(model, x, y, weight)
        if (far != aside).sum() <= FEW_OTHERS * aside.sum():
            break
        aside = far
    if isinstance(model.output_map, TargetMap):
        # A quantile is that of any increasing function; a mean is one of all rows, later.
        plain = dataclasses.replace(model.output_map, residuals=np.zeros((1, y.shape[1])))
        model = dataclasses.replace(model, output_map=plain)
    try:
        solved = refit(model, given["X"], given["y"], sample_weight=given.get("sample_weight"))
    except KeyboardInterrupt:
        return dataclasses.replace(model, stop_reason=StopReason.INTERRUPTED)
    asked = dataclasses.replace(solved.record.asked, max_seconds=budget)
    record = dataclasses.replace(solved.record, asked=asked)
    with numerics():
        return _claimed(dataclasses.replace(solved, record=record), x, y, weight, loss)


def _own_validation(
    given: dict[str, Any], x: np.ndarray, y: np.ndarray, weight: np.ndarray
) -> dict[str, Any]:
    """Leave outliers out of rows that were given to validate by."""
    held_out = given.get("validation")
    if not isinstance(held_out, tuple):
        return given
    a, b = (np.asarray(part, dtype=float) for part in held_out)
    if a.shape[1:] != x.shape[1:] or b.reshape(len(b), -1).shape[1] != y.shape[1]:
        return given  # the search says what is wrong
    both = np.concatenate([x, a]), np.concatenate([y, b.reshape(len(b), -1)])
    far = far_off(*both, np.concatenate([weight, np.ones(len(a))]))[len(x) :].any(axis=1)
    return {**given, "validation": (a[~far], b[~far])}


def _shares(
    x: np.ndarray, y: np.ndarray, weight: np.ndarray, aside: np.ndarray, loss: Loss
) -> np.ndarray:
    """Return what the weights of rows are multiplied by in the search, (N,).

    Outliers do not count. For a quantile, squares of residuals above it count more or less than
    those below, so that their mean is the quantile where it does not vary (an expectile).
    """
    share = (~aside.any(axis=1)).astype(float)
    if not (share * weight).any():
        return np.ones_like(share)
    if loss.quantile == 0.5:
        return share
    used, z = share * weight > 0, unit_box(x)
    for t in y.T:
        off = t[used] - expected(z[used], t[used], weight[used]).values
        above = above_quantile(z[used], off, loss.quantile)
        beyond = np.abs(off - np.quantile(off, loss.quantile))
        pull = float(beyond[~above].sum()) / max(float(beyond[above].sum()), 1e-300)
        share[used] *= np.where(above, pull, 1.0) / math.sqrt(max(pull, 1e-300))
    return share


def _far_from(model: Fitted, x: np.ndarray, y: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """Say which values are far off by a model, (N, Q)."""
    far = np.zeros(y.shape, dtype=bool)
    used = np.flatnonzero(weight > 0)
    z, left = unit_box(x[used]), left_shares(model, x[used], weight[used])
    values = model(x[used]).reshape(-1, y.shape[1])
    if isinstance(model.output_map, TargetMap):
        y, values = model.output_map(y), in_model_units(model, x[used])
    for output, t in enumerate(y.T):
        for some in parts(len(z)):
            rows_of = used[some]
            of = z[some], t[rows_of], weight[rows_of], values[some, output], left[some]
            far[rows_of, output] = unexpected(*of).far
    return far


def _beyond(model: Fitted, y: np.ndarray) -> bool:
    """Whether the transforms, chosen without outliers, do not take one of these."""
    if not isinstance(model.output_map, TargetMap):
        return False
    try:
        model.output_map.check("", y)
    except ValueError:
        return True
    return False


def _claimed(model: Fitted, x: np.ndarray, y: np.ndarray, weight: np.ndarray, loss: Loss) -> Fitted:
    """Claim no less than the errors of rows left out of the last solve."""
    used = np.flatnonzero(weight > 0)
    kept = np.setdiff1d(used, [one.row for one in model.record.outliers]).astype(int)
    n_aside = len(used) - len(kept)
    at, t, w = x[kept], model.output_map(y[kept]), weight[kept]
    left, map_ = left_shares(model, at, w), model.output_map
    off = (t - in_model_units(model, at)) / left[:, None]
    if isinstance(map_, TargetMap):  # errors are those in the user's units
        if not loss.kinked:
            map_ = map_.smeared(np.where(left[:, None] > BLIND, off, np.nan), w)
            model = dataclasses.replace(model, output_map=map_)
        units = AffineMap.standardize(y[kept].mean(axis=0), y[kept].std(axis=0))
        apart = map_.inverse(t - off)
        t = units(y[kept])
        off = t - units(apart)
    kind = f", {counted(n_aside, 'outlier')} left aside" if n_aside else ""
    what, others = "leave-one-out", {}
    if loss.kinked:
        about = np.array([loss.constant(column, w) for column in t.T])
        unit = np.average(loss.values(t - about), axis=0, weights=w)
        unit = np.where(unit > 0, unit, 1.0)
        losses = np.mean(loss.values(off) / unit, axis=1)
        what += f", {loss.name} loss over that of a constant"
        for name in ("constant", "linear model"):
            apart = t - PEERS[name](at, t, w, loss)(at)
            others[name] = Predictions(np.mean(loss.values(apart) / unit, axis=1), ())
    else:
        losses = np.mean(off**2, axis=1) / spread(t, w) ** 2
    losses = np.where(left > BLIND, losses, np.inf)
    seen = Unseen(kept, losses, w, kept, what, root=not loss.kinked)
    changed: dict[str, Any] = {
        "validation_kind": model.validation_kind + ", of squares" * loss.kinked + kind
    }
    if not seen.claim <= model.validation_error:
        changed = {"validation_error": seen.claim, "validation_range": seen.range}
        changed["validation_kind"] = seen.kind + kind
    record, verdict = model.record, model.record.verdict
    if others:
        asked = record.asked.method
        judged = Judged(at, w, kept, len(used), what, asked, model.stop_reason)
        found = {OURS: Predictions(losses, ()), **others}
        verdict = LossComparison(judged, found).verdict().to_json()
    if verdict is not None and n_aside:
        words = (
            f"Errors are those of rows that are no outliers: {n_aside:,} of {len(used):,} are left "
            "aside."
        )
        verdict = {**verdict, "advice": [*verdict["advice"], words]}
    changed["record"] = dataclasses.replace(record, verdict=verdict)
    return dataclasses.replace(model, **changed)

"""The outliers among the rows of a model: listed in its record, and told in its notes."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TypeVar

import numpy as np

from .._runtime.compute import numerics
from .._runtime.errors import counted, significant
from ..evidence.outliers import PART_ROWS, expected, parts, suspicious, unexpected, unit_box
from ..evidence.verdict import Verdict
from ..geometry.maps import TargetMap
from ..lstsq.losses import Loss, robust_scale
from ..models.fitted import Fitted
from ..models.record import Outlier
from ..train import StopReason
from .reweighted import left_shares, loss_of

AnyFitted = TypeVar("AnyFitted", bound=Fitted)
#: Outliers that a sentence names.
NAMED = 5
#: A row is no outlier that the model meets, left out, within this share of what others miss it by.
KNOWS_BETTER = 0.5
#: Share of the values' range below which no residual is looked at.
NO_ERROR = 1e-9
#: Rows farthest from a model by squares that are looked at where there are very many.
FARTHEST_ROWS = 1000


def noted(model: AnyFitted, x: np.ndarray, y: np.ndarray, weight: np.ndarray) -> AnyFitted:
    """List the outliers among the rows that a model was solved on, in its record and its notes."""
    loss = loss_of(model)
    found: tuple[Outlier, ...] = ()
    if model.stop_reason is not StopReason.INTERRUPTED:
        with numerics():
            found = _listed(model, x, y, weight, loss)
    record = dataclasses.replace(model.record, outliers=found)
    if found and record.verdict is not None:
        verdict = Verdict.from_json(record.verdict).blaming_outliers().to_json()
        record = dataclasses.replace(record, verdict=verdict)
    return dataclasses.replace(model, record=record, notes=retold(model.notes, told(found, loss)))


def _listed(
    model: Fitted, x: np.ndarray, y: np.ndarray, weight: np.ndarray, loss: Loss
) -> tuple[Outlier, ...]:
    used = np.flatnonzero(weight > 0)
    x, given, weight = x[used], y[used], weight[used]
    y, values = given, model(x).reshape(given.shape)
    transformed = isinstance(model.output_map, TargetMap)
    if transformed:  # what is far there is far
        y, values = model.output_map(y), model.output_map(values)
    residual = y - values
    off = np.abs(residual).max(axis=0)
    quiet = (off <= NO_ERROR * np.ptp(y, axis=0)).all()
    if quiet or not (suspicious(residual) or suspicious(y)):
        return ()
    z, left, found = unit_box(model.input_map(x)), left_shares(model, x, weight), []
    for output, t in enumerate(y.T):
        looked_at = parts(len(t))
        if loss.plain and len(t) > PART_ROWS:  # a few that are far, among others to compare with
            farthest = np.argsort(-np.abs(residual[:, output]))[:FARTHEST_ROWS]
            looked_at = iter([np.union1d(farthest, next(looked_at))])
        scale = robust_scale(t, weight) or float(np.ptp(t)) or 1.0
        for some in looked_at:
            of = z[some], t[some], weight[some]
            fit, fitted = expected(*of), values[some, output]
            if loss.name == "huber":
                # Rows beside a border that the model has on the wrong side are none.
                far = unexpected(*of, fitted, left[some]).outlying & fit.far
            else:  # squares follow outliers: others say what is expected, unless it knows better
                off = np.abs(t[some] - fitted) / left[some]
                far = fit.outlying & (off >= KNOWS_BETTER * np.abs(t[some] - fit.values))
                fitted = fit.values
            for i in np.flatnonzero(far):
                at, of_others = some[i], float(fitted[i])
                distance = abs(float(t[at]) - of_others) / scale
                if transformed:
                    of_all = np.where(np.arange(y.shape[1]) == output, of_others, values[at])
                    of_others = float(model.output_map.inverse(of_all[None])[0, output])
                value = float(given[at, output])
                found.append((distance, Outlier(int(used[at]), output, value, of_others)))
    return tuple(one for _, one in sorted(found, key=lambda pair: -pair[0]))


def in_python(one: Outlier) -> str:
    """Return where an outlier stands, for the first of several targets the row alone."""
    return f"y[{one.row}, {one.output}] =" if one.output else f"y[{one.row}] ="


def told(
    outliers: Sequence[Outlier],
    loss: Loss,
    stands: Callable[[Outlier], str] = in_python,
    instead: str = "loss='huber'",
) -> Iterator[str]:
    """Say which rows are outliers, and what to do.

    Parameters
    ----------
    outliers : sequence of Outlier
    loss : Loss
    stands : callable
        From an outlier to the words before its value.
    instead : str
        What to use where squares were lowered.
    """
    if outliers:
        named = [
            f"{stands(one)} {significant(one.value, 4)} where {significant(one.expected)} is "
            "expected"
            for one in outliers[:NAMED]
        ]
        more = len(outliers) - NAMED
        rest = f" and {more:,} more" if more > 0 else ""
        what = (
            "Look at them: errors, or rows"
            if len(outliers) > 1
            else "Look at it: an error, or a row"
        )
        advice = f"{what} of a rare kind?" + f" Or use {instead}." * loss.plain
        yield f"{counted(len(outliers), 'outlier')}: {'; '.join(named)}{rest}. {advice}"


def retold(notes: Sequence[str], said: Iterable[str]) -> tuple[str, ...]:
    """Return notes with other words about outliers in the place of those there are."""
    return (*said, *(note for note in notes if not re.match(r"[\d,]+ outliers?: ", note)))

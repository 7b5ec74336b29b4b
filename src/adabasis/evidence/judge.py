"""Fitted models beside plain ones: on rows held out, and on rows left out in turn."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from typing import Any

import numpy as np

from .._runtime.errors import counted
from ..lstsq.losses import Loss
from .errors import LeftOut, Places, Unseen
from .outliers import far_off
from .peers import PEERS, USUAL
from .verdict import (
    OURS,
    Comparison,
    Judged,
    LossComparison,
    Model,
    Predictions,
    Verdict,
    few_of_spread,
)


def judge(
    model: Model,
    x: np.ndarray,
    y: np.ndarray,
    weight: np.ndarray | None,
    rows: tuple[np.ndarray, np.ndarray],
    peers: Iterable[str] = USUAL,
    *,
    groups: np.ndarray | None = None,
    kind: str = "held out",
) -> Verdict:
    """Compare a model that was fitted to some rows with peers fitted to the same ones.

    Parameters
    ----------
    model : Model
        Fitted to ``rows[0]``.
    x, y, weight : arrays, shapes (N, D), (N, Q) and (N,)
    rows : pair of index arrays
        Fitted and held out, from :func:`adabasis.evidence.split.split`.
    peers : iterable of str
        Names in :data:`PEERS`.
    groups : array of int, shape (N,), optional
    kind : str
        How rows were held out, in words.

    Returns
    -------
    Verdict
    """
    weight = np.ones(len(x)) if weight is None else weight
    loss = Loss(model.record.asked.loss, model.record.asked.quantile)
    if not loss.plain:  # by what all rows say, and not by this model
        outlying = np.asarray(far_off(x, y, weight, alarms=True).any(axis=1))
        n_aside = int(outlying[rows[1]].sum())
        rows = tuple(part[~outlying[part]] for part in rows)
        kind += f", {counted(n_aside, 'outlier')} left aside" if n_aside else ""
    fitted, (z, truth, w) = ((x[k], y[k], weight[k]) for k in rows)
    middle = np.average(truth, axis=0, weights=w)
    spread = np.sqrt(np.average((truth - middle) ** 2, axis=0, weights=w))
    varies = spread > 0
    about = np.array([loss.constant(column, w) for column in truth.T])
    unit = np.average(loss.values(truth - about), axis=0, weights=w)

    def judged(predicted: np.ndarray) -> Predictions:
        error = predicted.reshape(truth.shape) - truth
        if loss.kinked and varies.any():
            cost = loss.values(-error[:, varies]) / np.maximum(unit[varies], 1e-300)
            return Predictions(np.mean(cost, axis=1), ())
        rmse = tuple(map(float, np.sqrt(np.average(error**2, axis=0, weights=w))))
        losses = np.full(len(z), np.nan)
        if varies.any():
            losses = np.mean((error[:, varies] / spread[varies]) ** 2, axis=1)
        return Predictions(losses, rmse)

    found = {OURS: judged(model(z))} | {
        name: judged(PEERS[name](*fitted, loss)(z)) for name in peers
    }
    compare = LossComparison if loss.kinked else Comparison
    seen = judged_rows(model, x, weight, rows, groups, kind)
    if loss.plain and varies.any():
        square = ((y - middle)[:, varies] / spread[varies]) ** 2
        seen = dataclasses.replace(seen, few=few_of_spread(weight * square.mean(axis=1)))
    return compare(seen, found).verdict()


def judged_rows(
    model: Model,
    x: np.ndarray,
    weight: np.ndarray,
    rows: tuple[np.ndarray, np.ndarray],
    groups: np.ndarray | None,
    kind: str,
) -> Judged:
    """Return the rows held out of a fit; the arguments are those of :func:`judge`."""
    kept, out = rows
    group = out if groups is None else groups[out]
    asked = model.record.asked.method
    about = len(kept), kind, asked, model.stop_reason, model.validation_error, model.validation_kind
    return Judged(x[out], weight[out], group, *about)


def left_out_verdict(seen: Unseen, places: Places, x: np.ndarray, model: Any) -> Verdict:
    """Compare a model with a constant and a line on the rows that its claim rests on.

    Parameters
    ----------
    seen : Unseen
        The model's losses.
    places : Places
        All places; both others leave each out in turn.
    x : array, shape (N, D)
        The places in the user's units.
    model : Model
        What its search was asked and why it stopped are read.
    """
    ones = np.ones((len(places), 1))
    columns = {"constant": ones, "linear model": np.hstack([ones, places.z])}
    found = {OURS: Predictions(seen.losses, ())}
    rows = seen.rows
    if (rows >= 0).all():
        for name, matrix in columns.items():
            losses = LeftOut(places, matrix).losses()[rows]
            if np.isfinite(losses).all():
                found[name] = Predictions(losses, ())
    middle, count = np.average(places.t, axis=0, weights=places.weight), places.count.astype(int)
    square = places.weight * places.losses(places.t - middle) / count
    judged = Judged(
        x[rows] if len(found) > 1 else np.zeros((len(rows), 1)),
        seen.weight,
        seen.group,
        len(places) - (len(rows) if len(rows) < len(places) else 0),
        seen.kind,
        model.asked.method,
        model.cut_short,
        n_rows=int(places.count[rows].sum()) if (rows >= 0).all() else 0,
        left_out=len(rows) == len(places),
        few=few_of_spread(np.repeat(square, count)),
    )
    return Comparison(judged, found).verdict()

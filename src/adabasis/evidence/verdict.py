"""How good a model is: its error on rows nobody saw, beside three plain models on the same rows."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np

from ..models.fitted import Fitted
from ..train import StopReason

FEWEST_ROWS = 10
"""Below so many distinct rows none are held out: the error of two rows says nothing."""
FEW_HELD_OUT = 30
OURS = "this model"
CLEAR, _SURE = 2.0, 3.0
"""Standard errors by which mean squared errors, or counts of rows, must differ to count."""
_ALIKE = 1.02
"""Root mean square errors with a ratio below this are called alike, however sure it is."""
_ROUND_OFF = 1e-12
"""Errors below this share of the spread are alike: no one needs the better of them."""


@dataclasses.dataclass(frozen=True)
class Score:
    """One model's error on the held-out rows.

    Attributes
    ----------
    name : str
    relative : float
        Root mean square error over the standard deviation of the targets; of several targets,
        the root mean square over them. NaN where every target is constant.
    rmse : tuple of float
        In the units of each target.
    behind : float
        Standard errors by which its mean squared error exceeds that of this model, or, if that
        says more, by which the rows where it does worse outnumber those where it does better.
    """

    name: str
    relative: float
    rmse: tuple[float, ...]
    behind: float = 0.0


@dataclasses.dataclass(frozen=True)
class Verdict:
    """What the held-out rows say, in numbers and in words.

    Attributes
    ----------
    rows_fitted, rows_held_out : int
    scores : tuple of Score
        This model first.
    sentence : str
    advice : tuple of str
        What to try next.
    of_classes : bool
        Whether labels were predicted: see :func:`adabasis.evidence.classes.judge_classes`.
    """

    rows_fitted: int
    rows_held_out: int
    scores: tuple[Score, ...]
    sentence: str
    advice: tuple[str, ...]
    of_classes: bool = False

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> Verdict:
        """Return what :func:`dataclasses.asdict` described."""
        scores = tuple(
            Score(s["name"], _number(s["relative"]), tuple(s["rmse"]), s["behind"])
            for s in document["scores"]
        )
        fields = {**document, "scores": scores, "advice": tuple(document["advice"])}
        return cls(**fields)

    def to_json(self) -> dict[str, Any]:
        """Return the verdict as plain lists and mappings, without NaN."""
        document = dataclasses.asdict(self)
        for score in document["scores"]:
            score["relative"] = score["relative"] if math.isfinite(score["relative"]) else None
        return document


def _number(value: float | None) -> float:
    return math.nan if value is None else value


def split(x: np.ndarray, share: float, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Return indices of the rows to fit and of those to hold out.

    Rows with equal inputs stay together: a measurement repeated on both sides of the split would
    be an answer given away. With few distinct rows nothing is held out.
    """
    at = np.unique(x, axis=0, return_inverse=True)[1].ravel()
    places = at.max() + 1
    if share == 0 or places < FEWEST_ROWS:
        return np.arange(len(x)), np.arange(0)
    chosen = np.random.default_rng(seed).permutation(places)[: max(2, round(share * places))]
    out = np.isin(at, chosen)
    return np.flatnonzero(~out), np.flatnonzero(out)


Predictor = Callable[[np.ndarray], np.ndarray]
Peer = Callable[[np.ndarray, np.ndarray, np.ndarray], Predictor]


def _boosting(x: np.ndarray, y: np.ndarray, weight: np.ndarray) -> Predictor:
    from sklearn.ensemble import HistGradientBoostingRegressor

    middle = np.average(y, axis=0, weights=weight)
    scale = np.sqrt(np.average((y - middle) ** 2, axis=0, weights=weight))
    scale = np.where(scale > 0, scale, 1.0)  # its thresholds are absolute: y in units of 1e-12
    models = [
        HistGradientBoostingRegressor(random_state=0).fit(x, column, weight)
        for column in ((y - middle) / scale).T
    ]
    return lambda z: middle + scale * np.stack([m.predict(z) for m in models], axis=1)


def _linear(x: np.ndarray, y: np.ndarray, weight: np.ndarray) -> Predictor:
    from sklearn.linear_model import LinearRegression
    from sklearn.preprocessing import StandardScaler

    scaler = StandardScaler().fit(x)
    model = LinearRegression().fit(scaler.transform(x), y, weight)
    return lambda z: model.predict(scaler.transform(z))


def _neighbours(x: np.ndarray, y: np.ndarray, weight: np.ndarray) -> Predictor:
    from sklearn.neighbors import KNeighborsRegressor
    from sklearn.preprocessing import StandardScaler

    del weight
    scaler = StandardScaler().fit(x)
    model = KNeighborsRegressor(min(5, len(x))).fit(scaler.transform(x), y)
    return lambda z: model.predict(scaler.transform(z))


def _constant(x: np.ndarray, y: np.ndarray, weight: np.ndarray) -> Predictor:
    middle = np.average(y, axis=0, weights=weight)
    return lambda z: np.tile(middle, (len(z), 1))


PEERS: dict[str, Peer] = {
    "gradient boosting": _boosting,
    "linear model": _linear,
    "constant": _constant,
    "nearest neighbours": _neighbours,
}
USUAL = ("gradient boosting", "linear model", "constant")


def judge(
    model: Fitted,
    x: np.ndarray,
    y: np.ndarray,
    weight: np.ndarray | None,
    rows: tuple[np.ndarray, np.ndarray],
    peers: Iterable[str] = USUAL,
) -> Verdict:
    """Compare a model that was fitted to some rows with peers fitted to the same ones.

    Parameters
    ----------
    model : Fitted
        Fitted to ``rows[0]``.
    x, y, weight : arrays, shapes (N, D), (N, Q) and (N,)
    rows : pair of index arrays
        Fitted and held out, from :func:`split`.
    peers : iterable of str
        Names in :data:`PEERS`.

    Returns
    -------
    Verdict
    """
    kept, out = rows
    weight = np.ones(len(x)) if weight is None else weight
    held_out = _HeldOut(y[out], weight[out])
    ours = held_out.squares(model(x[out]))
    scores = [held_out.score(OURS, model(x[out]), ours)]
    for name in peers:
        predict = PEERS[name](x[kept], y[kept], weight[kept])
        scores.append(held_out.score(name, predict(x[out]), ours))
    sentence, advice = _sentence(scores), tuple(_advice(model, scores, x, len(out)))
    return Verdict(len(kept), len(out), tuple(scores), sentence, advice)


class _HeldOut:
    """Targets (n, Q) of the held-out rows and their weights, and errors in units of their spread.

    Targets that are constant there have no spread and do not count.
    """

    def __init__(self, y: np.ndarray, weight: np.ndarray) -> None:
        self.y, self.weight = y, weight
        middle = np.average(y, axis=0, weights=weight)
        self.spread = np.sqrt(np.average((y - middle) ** 2, axis=0, weights=weight))

    def squares(self, predicted: np.ndarray) -> np.ndarray:
        """Return each row's squared error over the spread, the mean over targets."""
        counts = self.spread > 0
        if not counts.any():
            return np.full(len(self.y), np.nan)
        error = predicted.reshape(self.y.shape) - self.y
        return np.mean((error[:, counts] / self.spread[counts]) ** 2, axis=1)

    def score(self, name: str, predicted: np.ndarray, ours: np.ndarray) -> Score:
        """Score predictions; ``ours`` are the squares of this model."""
        error = predicted.reshape(self.y.shape) - self.y
        rmse = np.sqrt(np.average(error**2, axis=0, weights=self.weight))
        squares = self.squares(predicted)
        least = _ROUND_OFF**2
        difference = np.maximum(squares, least) - np.maximum(ours, least)
        difference *= self.weight / self.weight.mean()
        behind = _standard_errors(difference)
        relative = math.sqrt(np.average(squares, weights=self.weight))
        return Score(name, relative, tuple(map(float, rmse)), behind)


def _standard_errors(difference: np.ndarray) -> float:
    """Return how clearly differences are not about zero: by their mean, or by their signs.

    A few large errors make the mean uncertain even where one model is ahead on nearly every row.
    Signs count only where they are very clear and say the same as the mean.
    """
    root = math.sqrt(len(difference))
    spread = difference.std()
    by_mean = float(difference.mean() / spread) * root if spread > 0 else 0.0
    by_signs = float(np.sign(difference).mean()) * root
    if by_mean * by_signs > 0 and abs(by_signs) >= _SURE:
        return max(by_mean, by_signs, key=abs)
    return by_mean


def _lag(score: Score, ours: Score) -> int:
    """Return 1 for a model that is clearly behind this one, −1 for one ahead, 0 for alike."""
    larger, smaller = max(score.relative, ours.relative), min(score.relative, ours.relative)
    if abs(score.behind) < CLEAR or larger <= _ALIKE * smaller:
        return 0
    return 1 if score.behind > 0 else -1


def _sentence(scores: list[Score]) -> str:
    ours, *others = scores
    if not others or not math.isfinite(ours.relative):
        return "The target does not vary on the held-out rows: there is nothing to compare."
    if _learned_nothing(scores):
        return "No better than a constant: there may be nothing to learn from these columns."
    best = min(others, key=lambda score: score.relative)
    lag = _lag(best, ours)
    if lag == 0:
        return f"No clear difference from the best of the others ({best.name})."
    if lag < 0:
        return (
            f"Better here: {best.name} (error {best.relative:.2g} against "
            f"{ours.relative:.2g}): use that."
        )
    ratio = best.relative / ours.relative if ours.relative > 0 else math.inf
    return f"{_times(ratio)} the accuracy of the best of the others ({best.name})."


def _times(ratio: float) -> str:
    return f"{ratio:.1f} times" if ratio < 10 else f"{ratio:,.0f} times"


def _learned_nothing(scores: list[Score]) -> bool:
    """Say whether a constant does as well, and nothing else does better than both."""
    ours, *others = scores
    lags = {score.name: _lag(score, ours) for score in others}
    ahead = min(others, key=lambda score: score.relative)
    return lags.get("constant", 1) <= 0 and (ahead.name == "constant" or lags[ahead.name] >= 0)


def _advice(model: Fitted, scores: list[Score], x: np.ndarray, n_out: int) -> Iterable[str]:
    lags = {score.name: _lag(score, scores[0]) for score in scores[1:]}
    n_rows, n_inputs = x.shape
    if not lags or not math.isfinite(scores[0].relative):
        return
    if n_out < FEW_HELD_OUT:
        yield f"{n_out} rows are few to judge by: take these errors as rough."
    if model.stop_reason is StopReason.MAX_SECONDS:
        yield "Give it more time: the fit was cut short."
    if model.stop_reason is StopReason.MAX_STEPS:
        yield "Training might go on: its steps ran out (in Python, fit takes max_steps)."
    if _learned_nothing(scores):
        yield "Look for columns that drive the target, and for mistakes in the table."
        return
    if lags.get("linear model", 1) <= 0:
        yield "A linear model does as well and is simpler."
    elif lags.get("gradient boosting", 1) < 0:
        yield (
            "Trees suit targets that jump or depend on thresholds: try scikit-learn's "
            "HistGradientBoosting or LightGBM."
        )
    if scores[0].relative > 0.05 and n_rows < 100 * n_inputs:
        yield f"More rows would help: {n_rows:,} are few for {n_inputs} inputs."
    if model.record.asked.method == "frozen" and scores[0].relative > 1e-3:
        yield "Let the functions adapt: --model network or auto."

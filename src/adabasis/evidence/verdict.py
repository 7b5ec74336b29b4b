"""How good a model is: its error on rows nobody saw, beside three plain models on the same rows."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, Protocol

import numpy as np

from ..train import StopReason

#: Below so many distinct rows none are held out: the error of two rows says nothing.
FEWEST_ROWS = 10
FEW_HELD_OUT = 30
OURS = "this model"
#: Standard errors by which mean losses, or counts of rows, must differ to count.
CLEAR, SURE = 2.0, 3.0


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
        scores = [{**s, "rmse": tuple(s["rmse"])} for s in document["scores"]]
        for score in scores:
            score["relative"] = math.nan if score["relative"] is None else score["relative"]
        found = {"scores": tuple(Score(**s) for s in scores), "advice": tuple(document["advice"])}
        return cls(**{**document, **found})

    def to_json(self) -> dict[str, Any]:
        """Return the verdict as plain lists and mappings, without NaN."""
        document = dataclasses.asdict(self)
        for score in document["scores"]:
            score["relative"] = score["relative"] if math.isfinite(score["relative"]) else None
        return document


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


class Model(Protocol):
    """What is asked of a fitted model; one of classes has ``classes`` and ``probabilities`` too."""

    @property
    def record(self) -> Any:
        """What was asked for: ``record.asked.method`` is read."""

    @property
    def stop_reason(self) -> StopReason:
        """What ended training."""

    def __call__(self, X: Any, /) -> np.ndarray:
        """Return the values at N points."""


class Comparison:
    """A model beside peers that are fitted to the same rows, all of them scored on rows held out.

    The loss of a row is its squared error over the spread, the mean over targets; targets that are
    constant on the rows held out have no spread and do not count.

    Parameters
    ----------
    model : Model
        Fitted to ``rows[0]``.
    x, y, weight : arrays, shapes (N, D), (N, …) and (N,)
    rows : pair of index arrays
        Fitted and held out, from :func:`split`.
    """

    of_classes = False
    simplest, linear, measure = "constant", "linear model", "errors"
    #: Losses below the first are alike: no one needs the better of errors below 1e-12 of the
    #: spread. So are scores with a ratio below the second, however sure it is that they differ.
    least, alike, sure = 1e-12**2, 1.02, SURE
    #: Advice by what ended training, where the linear peer does as well, and where boosting leads.
    cut_short: Mapping[StopReason, str] = {
        StopReason.MAX_SECONDS: "Give it more time: the fit was cut short.",
        StopReason.MAX_STEPS: "Training might go on: its steps ran out (in Python, fit takes "
        "max_steps).",
    }
    as_simple = "A linear model does as well and is simpler."
    for_trees = (
        "Trees suit targets that jump or depend on thresholds: try scikit-learn's "
        "HistGradientBoosting or LightGBM."
    )

    def __init__(
        self,
        model: Any,
        x: np.ndarray,
        y: np.ndarray,
        weight: np.ndarray | None,
        rows: tuple[np.ndarray, np.ndarray],
    ) -> None:
        weight = np.ones(len(x)) if weight is None else weight
        self.model, self.shape = model, x.shape
        self.fitted, self.held_out = ((x[k], y[k], weight[k]) for k in rows)

    def verdict(self, peers: Iterable[str]) -> Verdict:
        """Fit the peers, score all, and say what that means."""
        weight = self.held_out[2]
        predicted = {name: self._predicted(name) for name in (OURS, *peers)}
        losses = {name: self._losses(values) for name, values in predicted.items()}
        scores = []
        for name, values in predicted.items():
            gap = np.maximum(losses[name], self.least) - np.maximum(losses[OURS], self.least)
            behind = _standard_errors(gap * (weight / weight.mean()), self.sure)
            mean = float(np.average(losses[name], weights=weight))
            scores.append(Score(name, *self._measures(values, mean), behind))
        counts = len(self.fitted[0]), len(self.held_out[0])
        said = self._sentence(scores), tuple(self._advice(scores))
        return Verdict(*counts, tuple(scores), *said, self.of_classes)

    def _predicted(self, name: str) -> np.ndarray:
        # What the model or a peer predicts for the rows held out.
        x, y, _ = self.held_out
        model = self.model if name == OURS else PEERS[name](*self.fitted)
        return model(x).reshape(y.shape)

    def _losses(self, predicted: np.ndarray) -> np.ndarray:
        _, y, weight = self.held_out
        middle = np.average(y, axis=0, weights=weight)
        spread = np.sqrt(np.average((y - middle) ** 2, axis=0, weights=weight))
        varies = spread > 0
        if not varies.any():
            return np.full(len(y), np.nan)
        return np.mean(((predicted - y)[:, varies] / spread[varies]) ** 2, axis=1)

    def _measures(self, predicted: np.ndarray, loss: float) -> tuple[float, tuple[float, ...]]:
        # The relative error of predictions with a mean loss, and the errors in units.
        _, y, weight = self.held_out
        rmse = np.sqrt(np.average((predicted - y) ** 2, axis=0, weights=weight))
        return math.sqrt(loss), tuple(map(float, rmse))

    def _lag(self, score: Score, ours: Score) -> int:
        # 1 for a model that is clearly behind this one, −1 for one ahead, 0 for alike.
        smaller, larger = sorted((score.relative, ours.relative))
        if abs(score.behind) < CLEAR or larger <= self.alike * smaller:
            return 0
        return 1 if score.behind > 0 else -1

    def _learned_nothing(self, scores: Sequence[Score]) -> bool:
        # A constant does as well, and nothing else does better than both.
        lags = {score.name: self._lag(score, scores[0]) for score in scores[1:]}
        ahead = min(scores[1:], key=lambda score: score.relative).name
        return lags.get("constant", 1) <= 0 and (ahead == "constant" or lags[ahead] >= 0)

    def _linear_suffices(self, score: Score, ours: Score) -> bool:
        return self._lag(score, ours) <= 0

    def _sentence(self, scores: Sequence[Score]) -> str:
        ours, *others = scores
        if not others or not math.isfinite(ours.relative):
            return "The target does not vary on the held-out rows: there is nothing to compare."
        if self._learned_nothing(scores):
            return "No better than a constant: there may be nothing to learn from these columns."
        best = min(others, key=lambda score: score.relative)
        lag = self._lag(best, ours)
        if lag == 0:
            return f"No clear difference from the best of the others ({best.name})."
        if lag < 0:
            return (
                f"Better here: {best.name} (error {best.relative:.2g} against "
                f"{ours.relative:.2g}): use that."
            )
        ratio = best.relative / ours.relative if ours.relative > 0 else math.inf
        times = f"{ratio:.1f}" if ratio < 10 else f"{ratio:,.0f}"
        return f"{times} times the accuracy of the best of the others ({best.name})."

    def _advice(self, scores: Sequence[Score]) -> Iterator[str]:
        ours, others = scores[0], {score.name: score for score in scores[1:]}
        if not others or not math.isfinite(ours.relative):
            return
        n_out = len(self.held_out[0])
        if n_out < FEW_HELD_OUT:
            yield f"{n_out} rows are few to judge by: take these {self.measure} as rough."
        if self.model.stop_reason in self.cut_short:
            yield self.cut_short[self.model.stop_reason]
        if self._learned_nothing(scores):
            yield "Look for columns that drive the target, and for mistakes in the table."
            return
        if self.linear in others and self._linear_suffices(others[self.linear], ours):
            yield self.as_simple
        elif self._lag(others.get("gradient boosting", ours), ours) < 0:
            yield self.for_trees
        if self.of_classes:
            return
        n_rows, n_inputs = self.shape
        if ours.relative > 0.05 and n_rows < 100 * n_inputs:
            yield f"More rows would help: {n_rows:,} are few for {n_inputs} inputs."
        if self.model.record.asked.method == "frozen" and ours.relative > 1e-3:
            yield "Let the functions adapt: --model network or auto."


def _standard_errors(difference: np.ndarray, sure: float = SURE) -> float:
    """Return how clearly differences are not about zero: by their mean, or by their signs.

    A few large errors make the mean uncertain even where one model is ahead on nearly every row.
    Signs count only where they are very clear and say the same as the mean.
    """
    root = math.sqrt(len(difference))
    spread = difference.std()
    by_mean = float(difference.mean() / spread) * root if spread > 0 else 0.0
    by_signs = float(np.sign(difference).mean()) * root
    if by_mean * by_signs > 0 and abs(by_signs) >= sure:
        return max(by_mean, by_signs, key=abs)
    return by_mean


def scaled(model: Any, x: np.ndarray, y: np.ndarray, **weights: np.ndarray) -> Any:
    """Fit a model of scikit-learn to inputs of mean zero and variance one."""
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    return make_pipeline(StandardScaler(), model).fit(x, y, **weights)


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

    return scaled(LinearRegression(), x, y, linearregression__sample_weight=weight).predict


def _neighbours(x: np.ndarray, y: np.ndarray, weight: np.ndarray) -> Predictor:
    from sklearn.neighbors import KNeighborsRegressor

    return scaled(KNeighborsRegressor(min(5, len(x))), x, y).predict


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
    model: Model,
    x: np.ndarray,
    y: np.ndarray,
    weight: np.ndarray | None,
    rows: tuple[np.ndarray, np.ndarray],
    peers: Iterable[str] = USUAL,
) -> Verdict:
    """Compare a model that was fitted to some rows with peers fitted to the same ones.

    Parameters
    ----------
    model : Model
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
    return Comparison(model, x, y, weight, rows).verdict(peers)

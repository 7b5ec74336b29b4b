"""How good a classifier is: wrong labels on rows nobody saw, beside three plain models."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ..train import StopReason
from .verdict import CLEAR, OURS, Comparison, Score, Verdict, scaled

#: Cross-entropies are cut here: one impossible label would be all that is seen.
LEAST_PROBABILITY = 1e-15


def _boosting(x: np.ndarray, index: np.ndarray, weight: np.ndarray) -> Any:
    from sklearn.ensemble import HistGradientBoostingClassifier

    return HistGradientBoostingClassifier(random_state=0).fit(x, index, weight)


def _linear(x: np.ndarray, index: np.ndarray, weight: np.ndarray) -> Any:
    from sklearn.linear_model import LogisticRegression

    model = LogisticRegression(max_iter=1000)
    return scaled(model, x, index, logisticregression__sample_weight=weight)


def _frequencies(x: np.ndarray, index: np.ndarray, weight: np.ndarray) -> Any:
    from sklearn.dummy import DummyClassifier

    return DummyClassifier(strategy="prior").fit(x, index, weight)


PEERS = {
    "gradient boosting": _boosting,
    "logistic regression": _linear,
    "most frequent class": _frequencies,
}


def judge_classes(
    model: Any,
    x: np.ndarray,
    labels: np.ndarray,
    weight: np.ndarray | None,
    rows: tuple[np.ndarray, np.ndarray],
) -> Verdict:
    """Compare a classifier with peers fitted to the same rows.

    Parameters
    ----------
    model : Classifier
        Fitted to ``rows[0]``.
    x, labels, weight : arrays, shapes (N, D), (N,) and (N,)
    rows : pair of index arrays
        Fitted and held out, from :func:`adabasis.evidence.verdict.split`.

    Returns
    -------
    Verdict
        Of whose scores ``relative`` is the share of wrong labels and ``rmse`` holds the
        cross-entropy alone.
    """
    known = {label: i for i, label in enumerate(model.classes.tolist())}
    index = np.array([known.get(label, -1) for label in labels.tolist()], dtype=int)
    return _Labels(model, x, index, weight, rows).verdict(PEERS)


class _Labels(Comparison):
    # The loss of a row is 1 for a wrong label. Labels that were never seen have the number −1.
    of_classes = True
    simplest, linear, measure = "most frequent class", "logistic regression", "shares"
    least, alike, sure = 0.0, 0.0, math.inf
    cut_short: Mapping[StopReason, str] = {
        StopReason.MAX_SECONDS: Comparison.cut_short[StopReason.MAX_SECONDS]
    }
    as_simple = "Logistic regression does as well and is simpler."
    for_trees = (
        "Trees suit classes that hang on thresholds: try scikit-learn's HistGradientBoosting."
    )

    def _predicted(self, name: str) -> np.ndarray:
        x = self.held_out[0]
        if name == OURS:
            return self.model.probabilities(x)
        peer = PEERS[name](*self.fitted)
        p = np.zeros((len(x), len(self.model.classes)))  # a peer may not have seen some
        p[:, peer.classes_.astype(int)] = peer.predict_proba(x)
        return p

    def _losses(self, predicted: np.ndarray) -> np.ndarray:
        return (predicted.argmax(axis=1) != self.held_out[1]).astype(float)

    def _measures(self, predicted: np.ndarray, loss: float) -> tuple[float, tuple[float, ...]]:
        _, index, weight = self.held_out
        given = np.where(index >= 0, predicted[np.arange(len(index)), index], 0.0)
        surprise = -np.log(np.maximum(given, LEAST_PROBABILITY))
        return loss, (float(np.average(surprise, weights=weight)),)

    def _learned_nothing(self, scores: Sequence[Score]) -> bool:
        return scores[-1].behind < CLEAR

    def _linear_suffices(self, score: Score, ours: Score) -> bool:
        return score.behind <= 0

    def _sentence(self, scores: Sequence[Score]) -> str:
        best = min(scores[1:], key=lambda score: score.relative)
        ours, theirs = (f"{100 * (1 - score.relative):.3g} %" for score in (scores[0], best))
        right = f"{ours} of {len(self.held_out[0]):,} held-out labels are right"
        if self._learned_nothing(scores) and best.name == self.simplest:
            return f"{right}, no more than by naming the most frequent class always."
        lag = self._lag(best, scores[0])
        if lag == 0:
            return f"{right}: no clear difference from the best of the others ({best.name})."
        if lag < 0:
            return f"{right}. Better here: {best.name} ({theirs}): use that."
        return f"{right}; of the best of the others ({best.name}) {theirs}."

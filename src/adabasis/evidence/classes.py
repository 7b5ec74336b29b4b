"""How good a classifier is: wrong labels on rows nobody saw, beside three plain models."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ..train import StopReason
from .judge import judged_rows
from .peers import scaled
from .verdict import (
    CLEAR,
    FEW_HELD_OUT,
    OURS,
    Comparison,
    Predictions,
    Score,
    Verdict,
    ranged,
)

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
    *,
    groups: np.ndarray | None = None,
    kind: str = "held out",
) -> Verdict:
    """Compare a classifier with peers fitted to the same rows.

    Parameters
    ----------
    model : Classifier
        Fitted to ``rows[0]``.
    x, labels, weight : arrays, shapes (N, D), (N,) and (N,)
    rows : pair of index arrays
        Fitted and held out, from :func:`adabasis.evidence.split.split`.
    groups, kind
        See :func:`adabasis.evidence.judge.judge`.

    Returns
    -------
    Verdict
        Of whose scores ``relative`` is the share of wrong labels and ``rmse`` holds the
        cross-entropy alone, by which models are compared.
    """
    known = {label: i for i, label in enumerate(model.classes.tolist())}
    index = np.array([known.get(label, -1) for label in labels.tolist()], dtype=int)
    weight = np.ones(len(x)) if weight is None else weight
    fitted, (z, truth, w) = ((x[k], index[k], weight[k]) for k in rows)

    def judged(p: np.ndarray) -> Predictions:
        # Labels that were never seen have the number −1.
        given = np.where(truth >= 0, p[np.arange(len(truth)), truth], 0.0)
        losses = -np.log(np.maximum(given, LEAST_PROBABILITY))
        wrong = float(np.average(p.argmax(axis=1) != truth, weights=w))
        return Predictions(losses, (float(np.average(losses, weights=w)),), wrong)

    found = {OURS: judged(model.probabilities(z))}
    for name, fit in PEERS.items():
        peer = fit(*fitted)
        p = np.zeros((len(z), len(model.classes)))  # a peer may not have seen some
        p[:, peer.classes_.astype(int)] = peer.predict_proba(z)
        found[name] = judged(p)
    return LabelComparison(judged_rows(model, x, weight, rows, groups, kind), found).verdict()


class LabelComparison(Comparison):
    """Classifiers, compared by cross-entropy: shares of right labels hide rare classes."""

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

    def _lag(self, score: Score, ours: Score) -> int:
        return 0 if abs(score.behind) < CLEAR else int(math.copysign(1, score.behind))

    def _sentence(self, scores: Sequence[Score]) -> str:
        ours, *others = scores
        right = f"{_right(ours, self.n)} of {self.n:,} held-out labels are right"
        if not others:
            return f"{right}."
        best = min(others, key=lambda score: score.claim)
        if self._learned_nothing(scores) and best.name == self.simplest:
            return f"{right}; the probabilities tell no more than the classes' frequencies."
        lag = self._lag(best, ours)
        if lag == 0:
            return f"{right}: no clear difference from the best of the others ({best.name})."
        theirs = _right(best, self.n)
        if lag < 0 and f"{best.relative:.3g}" == f"{ours.relative:.3g}":
            costs = [f"{score.rmse[0]:.2g}" for score in (best, ours)]
            if costs[0] == costs[1]:
                return f"{right}, as of the best of the others ({best.name})."
            return (
                f"{right}, as of {best.name}, whose probabilities are better here (cross-entropy "
                f"{costs[0]} against {costs[1]}): use that."
            )
        if lag < 0:
            return f"{right}. Better here: {best.name} ({theirs}): use that."
        return f"{right}; of the best of the others ({best.name}) {theirs}."


class ShareComparison(LabelComparison):
    """Cross-entropies over that of the classes' frequencies, where labels are not counted."""

    simplest = "classes' frequencies"

    def _sentence(self, scores: Sequence[Score]) -> str:
        ours = scores[0]
        said = f"cross-entropy {ranged(ours)} of that of the classes' frequencies"
        seen = f"{said} on {self._rows()}."
        if self._learned_nothing(scores):
            return f"The probabilities tell no more than the classes' frequencies: {seen}"
        return seen[0].upper() + seen[1:]


def _right(score: Score, n: int) -> str:
    """Return the share of right labels, and what it is at least where n rows are few.

    With k of n right, the share is at least p with a chance of 95 %, where so many or more are
    right with a chance of 5 % (Clopper and Pearson: Biometrika 26, 1934).
    """
    share = f"{100 * (1 - score.relative):.3g} %"
    if n >= FEW_HELD_OUT:
        return share
    from scipy.stats import beta

    right = round((1 - score.relative) * n)
    least = beta.ppf(0.05, right, n - right + 1) if right else 0.0
    return f"{share} (at least {100 * least:.2g} % of all)"

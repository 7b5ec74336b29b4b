"""How good a classifier is: wrong labels on rows nobody saw, beside three plain models."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from ..models.classifier import Classifier
from ..models.labels import index_of
from ..train import StopReason
from .verdict import CLEAR, FEW_HELD_OUT, OURS, Score, Verdict

LEAST_PROBABILITY = 1e-15
"""Cross-entropies are cut here: one impossible label would be all that is seen."""

Chances = Callable[[np.ndarray], np.ndarray]
Peer = Callable[[np.ndarray, np.ndarray, np.ndarray, int], Chances]


def _padded(model: Any, n_classes: int) -> Chances:
    """Return probabilities of all classes from a model that may not have seen some."""

    def chances(x: np.ndarray) -> np.ndarray:
        p = np.zeros((len(x), n_classes))
        p[:, model.classes_.astype(int)] = model.predict_proba(x)
        return p

    return chances


def _boosting(x: np.ndarray, index: np.ndarray, weight: np.ndarray, n_classes: int) -> Chances:
    from sklearn.ensemble import HistGradientBoostingClassifier

    model = HistGradientBoostingClassifier(random_state=0).fit(x, index, weight)
    return _padded(model, n_classes)


def _linear(x: np.ndarray, index: np.ndarray, weight: np.ndarray, n_classes: int) -> Chances:
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    model = make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000))
    model.fit(x, index, logisticregression__sample_weight=weight)
    return _padded(model, n_classes)


def _frequencies(x: np.ndarray, index: np.ndarray, weight: np.ndarray, n_classes: int) -> Chances:
    share = np.bincount(index, weight, n_classes) / weight.sum()
    return lambda z: np.tile(share, (len(z), 1))


PEERS: dict[str, Peer] = {
    "gradient boosting": _boosting,
    "logistic regression": _linear,
    "most frequent class": _frequencies,
}


def judge_classes(
    model: Classifier,
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
    kept, out = rows
    weight = np.ones(len(x)) if weight is None else weight
    index, n_classes = index_of(labels, model.classes), len(model.classes)
    ours = model.probabilities(x[out])
    scores = [_score(OURS, ours, ours, index[out], weight[out])]
    for name, peer in PEERS.items():
        theirs = peer(x[kept], index[kept], weight[kept], n_classes)(x[out])
        scores.append(_score(name, theirs, ours, index[out], weight[out]))
    sentence = _sentence(scores, len(out))
    advice = tuple(_advice(model, scores, len(out)))
    return Verdict(len(kept), len(out), tuple(scores), sentence, advice, of_classes=True)


def _score(
    name: str, p: np.ndarray, ours: np.ndarray, index: np.ndarray, weight: np.ndarray
) -> Score:
    wrong = _wrong(p, index)
    given = np.where(index >= 0, p[np.arange(len(p)), index], 0.0)
    surprise = -np.log(np.maximum(given, LEAST_PROBABILITY))
    gap = (wrong.astype(float) - _wrong(ours, index)) * weight / weight.mean()
    spread = gap.std()
    behind = float(gap.mean() / spread * math.sqrt(len(gap))) if spread > 0 else 0.0
    share, entropy = (float(np.average(v, weights=weight)) for v in (wrong, surprise))
    return Score(name, share, (entropy,), behind)


def _wrong(p: np.ndarray, index: np.ndarray) -> np.ndarray:
    return p.argmax(axis=1) != index


def _sentence(scores: list[Score], n_out: int) -> str:
    ours, *others = scores
    best = min(others, key=lambda score: score.relative)
    right = f"{100 * (1 - ours.relative):.3g} % of {n_out:,} held-out labels are right"
    if others[-1].behind < CLEAR and best is others[-1]:
        return f"{right}, no more than by naming the most frequent class always."
    if abs(best.behind) < CLEAR:
        return f"{right}: no clear difference from the best of the others ({best.name})."
    if best.behind < 0:
        return f"{right}. Better here: {best.name} ({100 * (1 - best.relative):.3g} %): use that."
    return f"{right}; of the best of the others ({best.name}) {100 * (1 - best.relative):.3g} %."


def _advice(model: Classifier, scores: list[Score], n_out: int) -> Iterator[str]:
    behind = {score.name: score.behind for score in scores[1:]}
    if n_out < FEW_HELD_OUT:
        yield f"{n_out} rows are few to judge by: take these shares as rough."
    if model.stop_reason is StopReason.MAX_SECONDS:
        yield "Give it more time: the fit was cut short."
    if behind["most frequent class"] < CLEAR:
        yield "Look for columns that drive the target, and for mistakes in the table."
    elif behind["logistic regression"] <= 0:
        yield "Logistic regression does as well and is simpler."
    elif behind["gradient boosting"] <= -CLEAR:
        yield "Trees suit classes that hang on thresholds: try scikit-learn's HistGradientBoosting."

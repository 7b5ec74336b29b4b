"""The result of a classification: scores, probabilities, labels."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

import numpy as np
from scipy.special import softmax

from . import labels as names
from .fitted import Fitted


@dataclasses.dataclass(frozen=True, eq=False, repr=False)
class Classifier(Fitted):
    """Probabilities p(X) = softmax(scores): a fitted function with Q scores, and class names.

    Calling it gives the scores, divided by the temperature: one for two classes, the log odds of
    the second; K for more, of which differences are log odds. Derivatives are those of the scores.
    ``validation_error`` is the cross-entropy on rows held out, over that of the class frequencies.

    Attributes
    ----------
    classes : array, shape (K,)
        Labels, sorted.
    temperature : float
        What calibration divided the scores by; 1 without.

    See Also
    --------
    adabasis.Fitted : the attributes and methods every fitted function has.
    """

    classes: np.ndarray = None  # type: ignore[assignment]
    temperature: float = 1.0

    def decision_function(self, X: Any) -> np.ndarray:
        """Return the scores at N points, as calling the model does: (N,) for two classes, (N, K).

        Of two classes that is the log odds of the second.
        """
        return self(X)

    def probabilities(self, X: Any) -> np.ndarray:
        """Return the probability of each class at N points: (N, K), rows that sum to one."""
        scores = self._logits(X, "Classifier.probabilities(X)")
        return softmax(scores, axis=1)

    def predict(self, X: Any) -> np.ndarray:
        """Return the likeliest label at N points, (N,)."""
        best = self._logits(X, "Classifier.predict(X)").argmax(axis=1)
        return self.classes[best]

    def _logits(self, X: Any, call: str) -> np.ndarray:
        x = self._inputs(X, call)
        return logits(self(x).reshape(len(x), -1))

    @classmethod
    def _restored(cls, document: Mapping[str, Any]) -> dict[str, Any]:
        about = document["labels"]
        classes = names.restored(dict(about["classes"]))
        return {"classes": classes, "temperature": float(about["temperature"])}

    def _document(self) -> dict[str, Any]:
        about = {"classes": names.described(self.classes), "temperature": self.temperature}
        return {**super()._document(), "labels": about}


def logits(scores: np.ndarray) -> np.ndarray:
    """Return one number for each class: of a single score (N, 1), the first class has 0."""
    return np.hstack([np.zeros_like(scores), scores]) if scores.shape[1] == 1 else scores

"""The scikit-learn façade of classification."""

from __future__ import annotations

import functools
import math
from collections.abc import Mapping
from typing import Any, ClassVar, Self

import numpy as np
from sklearn.base import ClassifierMixin
from sklearn.utils._param_validation import StrOptions
from sklearn.utils.class_weight import compute_sample_weight
from sklearn.utils.multiclass import check_classification_targets

from .. import rows
from ..classification.api import classify
from ..classification.strategy import MEMBERS, default_bases
from ..classification.streamed import Labels
from ..models.classifier import checked_labels
from ..models.record import EFFORTS
from ..train import GD, NGD, AbstractTrainer
from .following import followed
from .regressor import AdaptiveEstimator, Trainers, keep


class AdaptiveBasisClassifier(ClassifierMixin, AdaptiveEstimator):
    """Classification with an adaptive basis: Newton for coefficients, descent for functions.

    By default nothing needs tuning: the basis, its scale, the ridge and the end of training are
    chosen from the data (see :func:`adabasis.classify`).

    Parameters
    ----------
    width, depth : int or "auto"
        Hidden units and layers. ``"auto"`` (both) compares random features of several widths
        with trained networks; a number for either asks for that network.
    activation : str or callable
        A name in ``adabasis.basis.ACTIVATIONS`` or an elementwise function.
    residual : bool
        Residual instead of plain layers.
    init : str or AbstractInitializer
        A name in ``adabasis.basis.INITIALIZERS``.
    method : {"auto", "frozen", "gd", "ngd"} or trainer
        See :func:`adabasis.classify`.
    learning_rate : float, optional
        For ``"gd"`` and ``"ngd"`` only. ``None``: 1e-3 for ``"gd"``; ``"ngd"`` needs none.
    max_steps : int, optional
        Most steps of each training run; ``None`` as in :func:`adabasis.classify`.
    max_seconds : float
        Wall-clock seconds after which the best model so far is returned.
    tol : float
        Cross-entropy, relative to that of the class frequencies, at which training stops.
    n_restarts : int
        Independent draws of the hidden parameters; the best one is kept.
    ensemble : int or "auto"
        Draws averaged by ``method="auto"``; ``"auto"``: 5 where width and depth are, else 1.
    ridge : float or "auto"
        λ, which is 1/C of scikit-learn's ``LogisticRegression``.
    validation : float, "auto" or None
        Share of the rows held out to choose and to stop training.
    calibrate : bool
        Divide the scores by the temperature that suits the held-out rows best.
    class_weight : mapping, "balanced" or None
        Weights of classes, which multiply those of the rows.
    holdout : float, "last" or None
        Rows that the whole fit never sees, to judge the model by: see :func:`adabasis.fit`.
    effort : {"fast", "auto", "thorough"}
        How much the search may spend, see :func:`adabasis.classify`.
    input_transform : "log", mapping of column to "log", or None
        Inputs to take in logarithms, all or those named: ``{"dose": "log"}``.
    periodic : mapping of column to period, optional
        Inputs such as angles, by number or name: ``{"angle": 360.0}``.
    random_state : int, RandomState or None
        The default, 0, makes fits repeatable; ``None`` draws a new seed each time.
    verbose : bool
        Show the stages of the search.

    Attributes
    ----------
    classes_ : array, shape (K,)
    fitted_ : Classifier
        Scores, probabilities, derivatives of scores, ``save``, ``plot``.
    history_ : History
    stop_reason_ : StopReason
    rank_ : int
        Independent functions on the training rows.
    n_iter_ : int
        Training steps taken.
    n_features_in_ : int

    Examples
    --------
    >>> import numpy as np
    >>> X = np.linspace(-1, 1, 100)[:, None]
    >>> model = AdaptiveBasisClassifier().fit(X, np.abs(X[:, 0]) < 0.5)
    >>> model.predict([[0.0], [0.9]]).tolist()
    [True, False]
    """

    _parameter_constraints: dict[str, list[Any]] = {  # noqa: RUF012 (scikit-learn's convention)
        **AdaptiveEstimator._parameter_constraints,
        "method": [StrOptions({"auto", "frozen", "gd", "ngd"}), AbstractTrainer],
        "calibrate": ["boolean"],
        "effort": [StrOptions(set(EFFORTS))],
        "class_weight": [None, StrOptions({"balanced"}), dict],
    }
    _with_rate: ClassVar[Trainers] = {"gd": GD, "ngd": NGD}

    def __init__(
        self,
        width: int | str = "auto",
        depth: int | str = "auto",
        *,
        activation: Any = "tanh",
        residual: bool = False,
        init: Any = "box",
        method: Any = "auto",
        learning_rate: float | None = None,
        max_steps: int | None = None,
        max_seconds: float = math.inf,
        tol: float = 0.0,
        n_restarts: int = 1,
        ensemble: int | str = "auto",
        ridge: float | str = "auto",
        validation: float | str | None = "auto",
        holdout: float | str | None = None,
        calibrate: bool = False,
        class_weight: Any = None,
        effort: str = "auto",
        input_transform: str | Mapping[int | str, str | None] | None = None,
        periodic: Mapping[int | str, float] | None = None,
        random_state: Any = 0,
        verbose: bool = False,
    ) -> None:
        keep(self, locals())

    @followed
    def fit(self, X: Any, y: Any = None, sample_weight: Any = None, groups: Any = None) -> Self:
        """Fit to X (N, D) and labels y (N,).

        Parameters
        ----------
        X : array-like or data frame, shape (N, D), or rows that are read chunk by chunk
            See :func:`adabasis.classify`.
        y : array-like, shape (N,), or the name of a column
            Strings, true and false, whole numbers, categories.
        sample_weight : array-like, shape (N,), or the name of a column, optional
        groups : array-like, shape (N,), or the name of a column, optional
            Rows of one label are held out together.

        Returns
        -------
        self

        Raises
        ------
        ValueError
            For bad data (see :func:`adabasis.classify`) or parameters out of range.
        """
        if self.class_weight is None or not hasattr(X, "shape"):
            source = Labels().source(f"{type(self).__name__}.fit", X, y, sample_weight, groups)
            if source is not None:
                return self._fitted_to(source)
        if y is not None:  # else scikit-learn says so
            y = checked_labels(y, f"{type(self).__name__}.fit").reshape(np.asarray(y).shape)
        X, y, weight = self._rows(X, y, sample_weight)
        check_classification_targets(y)
        settings = self._settings()
        by_class = compute_sample_weight(settings.pop("class_weight"), y)
        weight = by_class if weight is None else weight * by_class
        choices = functools.partial(default_bases, effort=self.effort)
        bases = self._bases(X, weight, choices)
        self._remember(classify(X, y, bases, sample_weight=weight, groups=groups, **settings))
        self.classes_ = self.fitted_.classes
        return self

    def _fitted_to(self, source: rows.AbstractSource) -> Self:
        if self.class_weight is not None:
            raise ValueError(
                f"{type(self).__name__}(class_weight={self.class_weight!r}).fit(source): weights "
                "of classes are known to rows in memory alone. Give a column of weights instead."
            )
        bases = self._bases_of(source, functools.partial(default_bases, effort=self.effort))
        settings = self._settings()
        del settings["class_weight"]
        self._remember(classify(source, None, bases, **settings))
        self.classes_ = self.fitted_.classes
        return self

    @property
    def _members(self) -> int:
        return MEMBERS[self.effort]

    def decision_function(self, X: Any) -> np.ndarray:
        """Return the log odds of the second of two classes, (N,), or K scores, (N, K)."""
        x = self._inputs(X)
        return self.fitted_(x)

    def predict_proba(self, X: Any) -> np.ndarray:
        """Return the probability of each class, in the order of ``classes_``: (N, K)."""
        x = self._inputs(X)
        return self.fitted_.probabilities(x)

    def predict_set(self, X: Any, coverage: float = 0.9, *, by_class: bool = False) -> np.ndarray:
        """Return sets of labels that hold the true one with a chance: bools (N, K).

        See :meth:`adabasis.Classifier.predict_set`.
        """
        x = self._inputs(X)
        return self.fitted_.predict_set(x, coverage, by_class=by_class)

    def predict(self, X: Any) -> np.ndarray:
        """Return the likeliest label for X (N, D): (N,)."""
        x = self._inputs(X)
        return self.fitted_.predict(x)

"""The scikit-learn façade of classification."""

from __future__ import annotations

import math
from typing import Any, Self

import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.utils._param_validation import StrOptions
from sklearn.utils.class_weight import compute_sample_weight
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import _check_sample_weight, check_is_fitted, validate_data

from .basis import AbstractBasis, NeuralBasis
from .class_search import MEMBERS, default_bases
from .classifying import classify
from .estimators import (
    DEFAULT_DEPTH,
    DEFAULT_WIDTH,
    AdaptiveBasisRegressor,
    remembering,
    seed_of,
)
from .search import SEARCH_ROWS
from .train import GD, NGD, AbstractTrainer


class AdaptiveBasisClassifier(ClassifierMixin, BaseEstimator):
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
    max_seconds : float
    tol : float
        Cross-entropy, relative to that of the class frequencies, at which training stops.
    n_restarts : int
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
    random_state : int, RandomState or None
        The default, 0, makes fits repeatable; ``None`` draws a new seed each time.
    verbose : bool

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
        **AdaptiveBasisRegressor._parameter_constraints,
        "method": [StrOptions({"auto", "frozen", "gd", "ngd"}), AbstractTrainer],
        "calibrate": ["boolean"],
        "class_weight": [None, StrOptions({"balanced"}), dict],
    }

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
        calibrate: bool = False,
        class_weight: Any = None,
        random_state: Any = 0,
        verbose: bool = False,
    ) -> None:
        self.width = width
        self.depth = depth
        self.activation = activation
        self.residual = residual
        self.init = init
        self.method = method
        self.learning_rate = learning_rate
        self.max_steps = max_steps
        self.max_seconds = max_seconds
        self.tol = tol
        self.n_restarts = n_restarts
        self.ensemble = ensemble
        self.ridge = ridge
        self.validation = validation
        self.calibrate = calibrate
        self.class_weight = class_weight
        self.random_state = random_state
        self.verbose = verbose

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> Self:
        """Fit to X (N, D) and labels y (N,).

        Parameters
        ----------
        X : array-like or data frame, shape (N, D)
        y : array-like, shape (N,)
            Strings, true and false, whole numbers, categories.
        sample_weight : array-like, shape (N,), optional

        Returns
        -------
        self

        Raises
        ------
        ValueError
            For bad data (see :func:`adabasis.classify`) or parameters out of range.
        """
        self._validate_params()
        X, y = validate_data(self, X, y, dtype=np.float64)
        check_classification_targets(y)
        weight = _check_sample_weight(sample_weight, X, dtype=np.float64, ensure_non_negative=True)
        weight = weight * compute_sample_weight(self.class_weight, y)
        self.fitted_ = classify(
            self._basis(X, weight),
            X,
            y,
            sample_weight=weight,
            method=self._trainer(),
            max_steps=self.max_steps,
            max_seconds=self.max_seconds,
            tol=self.tol,
            n_restarts=self.n_restarts,
            ensemble=MEMBERS if self.ensemble == "auto" and self._chooses else self.ensemble,
            ridge=self.ridge,
            validation=self.validation,
            calibrate=self.calibrate,
            random_state=seed_of(self.random_state),
            verbose=bool(self.verbose),
        )
        self.classes_ = self.fitted_.classes
        return remembering(self)

    def decision_function(self, X: Any) -> np.ndarray:
        """Return the log odds of the second of two classes, (N,), or K scores, (N, K)."""
        check_is_fitted(self)
        return self.fitted_(validate_data(self, X, dtype=np.float64, reset=False))

    def predict_proba(self, X: Any) -> np.ndarray:
        """Return the probability of each class, in the order of ``classes_``: (N, K)."""
        check_is_fitted(self)
        return self.fitted_.probabilities(validate_data(self, X, dtype=np.float64, reset=False))

    def predict(self, X: Any) -> np.ndarray:
        """Return the likeliest label for X (N, D): (N,)."""
        check_is_fitted(self)
        return self.fitted_.predict(validate_data(self, X, dtype=np.float64, reset=False))

    @property
    def _chooses(self) -> bool:
        """Whether the basis is left open."""
        return self.method == "auto" and self.width == "auto" and self.depth == "auto"

    def _basis(self, X: np.ndarray, weight: np.ndarray) -> list[AbstractBasis]:
        look: dict[str, Any] = {
            "activation": self.activation,
            "residual": self.residual,
            "init": self.init,
        }
        if self._chooses:
            places = len(np.unique(X[weight > 0], axis=0))
            return default_bases(min(places, SEARCH_ROWS), X.shape[1], **look)
        width = DEFAULT_WIDTH if self.width == "auto" else int(self.width)
        depth = DEFAULT_DEPTH if self.depth == "auto" else int(self.depth)
        return [NeuralBasis(width, depth, **look)]

    def _trainer(self) -> str | AbstractTrainer:
        if self.learning_rate is None:
            return self.method
        trainers = {"gd": GD, "ngd": NGD}
        if not isinstance(self.method, str) or self.method not in trainers:
            raise ValueError(
                f"AdaptiveBasisClassifier(learning_rate={self.learning_rate}): only method='gd' "
                f"and 'ngd' take a learning rate; method={self.method!r} needs none."
            )
        return trainers[self.method](float(self.learning_rate))

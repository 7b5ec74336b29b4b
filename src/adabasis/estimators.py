"""The scikit-learn façade: NumPy, pandas and polars in, NumPy out; all work is done below."""

from __future__ import annotations

import math
from numbers import Integral, Real
from typing import Any, Self

import numpy as np
from sklearn.base import BaseEstimator, MultiOutputMixin, RegressorMixin
from sklearn.utils import check_random_state
from sklearn.utils._param_validation import Interval, StrOptions
from sklearn.utils.validation import _check_sample_weight, check_is_fitted, validate_data

from . import select
from .basis import AbstractBasis, NeuralBasis
from .basis.initialize import AbstractInitializer
from .fitting import fit
from .search import MEMBERS, SEARCH_ROWS
from .train import GD, LSGD, AbstractTrainer

DEFAULT_WIDTH, DEFAULT_DEPTH = 64, 2


class AdaptiveBasisRegressor(MultiOutputMixin, RegressorMixin, BaseEstimator):
    """Regression with an adaptive basis: least squares for coefficients, descent for functions.

    By default nothing needs tuning: the basis, its scale, the ridge and the end of training are
    chosen from the data (see :func:`adabasis.fit`).

    Parameters
    ----------
    width, depth : int or "auto"
        Hidden units and layers. ``"auto"`` (both) compares random features of several widths
        with a trained network; a number for either asks for that network.
    activation : str or callable
        A name in ``adabasis.basis.ACTIVATIONS`` or an elementwise function.
    residual : bool
        Residual instead of plain layers.
    init : str or AbstractInitializer
        A name in ``adabasis.basis.INITIALIZERS``.
    method : {"auto", "frozen", "gd", "lsgd", "lsgn"} or trainer
        See :func:`adabasis.fit`.
    learning_rate : float, optional
        For ``"gd"`` and ``"lsgd"`` only. ``None``: 1e-3 for ``"gd"``; ``"lsgd"`` adjusts its own.
    max_steps : int, optional
    max_seconds : float
    tol : float
        Relative root mean square residual at which training stops.
    n_restarts : int
    ensemble : int or "auto"
        Networks averaged by ``method="auto"``; ``"auto"``: 10 where width and depth are, else 1.
    ridge : float or "auto"
    validation : float, "auto" or None
        Share of the rows held out to stop training.
    random_state : int, RandomState or None
        The default, 0, makes fits repeatable; ``None`` draws a new seed each time.
    verbose : bool

    Attributes
    ----------
    fitted_ : Fitted
        The fitted function: derivatives, ``save``, ``plot``.
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
    >>> X = np.linspace(0, 1, 100)[:, None]
    >>> model = AdaptiveBasisRegressor().fit(X, np.exp(X[:, 0]))
    >>> model.score(X, np.exp(X[:, 0])) > 0.999999
    True
    """

    _parameter_constraints: dict[str, list[Any]] = {  # noqa: RUF012 (scikit-learn's convention)
        "width": [StrOptions({"auto"}), Interval(Integral, 1, None, closed="left")],
        "depth": [StrOptions({"auto"}), Interval(Integral, 1, None, closed="left")],
        "activation": [str, callable],
        "residual": ["boolean"],
        "init": [str, AbstractInitializer],
        "method": [StrOptions({"auto", "frozen", "gd", "lsgd", "lsgn"}), AbstractTrainer],
        "learning_rate": [None, Interval(Real, 0, None, closed="neither")],
        "max_steps": [None, Interval(Integral, 0, None, closed="left")],
        "max_seconds": [Interval(Real, 0, None, closed="right")],
        "tol": [Interval(Real, 0, None, closed="left")],
        "n_restarts": [Interval(Integral, 1, None, closed="left")],
        "ensemble": [StrOptions({"auto"}), Interval(Integral, 1, None, closed="left")],
        "ridge": [StrOptions({"auto"}), Interval(Real, 0, None, closed="left")],
        "validation": [None, StrOptions({"auto"}), Interval(Real, 0, 1, closed="neither")],
        "random_state": ["random_state"],
        "verbose": ["verbose"],
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
        self.random_state = random_state
        self.verbose = verbose

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> Self:
        """Fit to X (N, D) and y (N,) or (N, Q).

        Parameters
        ----------
        X : array-like or data frame, shape (N, D)
        y : array-like, shape (N,) or (N, Q)
        sample_weight : array-like, shape (N,), optional

        Returns
        -------
        self

        Raises
        ------
        ValueError
            For bad data (see :func:`adabasis.fit`) or parameters out of range.
        """
        self._validate_params()
        X, y = validate_data(self, X, y, dtype=np.float64, multi_output=True, y_numeric=True)
        if sample_weight is not None:
            sample_weight = _check_sample_weight(
                sample_weight, X, dtype=np.float64, ensure_non_negative=True
            )
        self.fitted_ = fit(
            self._basis(X, np.size(y) // len(y), sample_weight),
            X,
            y,
            sample_weight=sample_weight,
            method=self._trainer(),
            max_steps=self.max_steps,
            max_seconds=self.max_seconds,
            tol=self.tol,
            n_restarts=self.n_restarts,
            ensemble=MEMBERS if self.ensemble == "auto" and self._chooses else self.ensemble,
            ridge=self.ridge,
            validation=self.validation,
            random_state=self._seed(),
            verbose=bool(self.verbose),
        )
        return remembering(self)

    def predict(self, X: Any) -> np.ndarray:
        """Predict for X (N, D): an array of shape (N,) or (N, Q), like the fitted y."""
        check_is_fitted(self)
        return self.fitted_(validate_data(self, X, dtype=np.float64, reset=False))

    @property
    def _chooses(self) -> bool:
        """Whether the basis is left open."""
        return self.method == "auto" and self.width == "auto" and self.depth == "auto"

    def _basis(
        self, X: np.ndarray, n_outputs: int, sample_weight: np.ndarray | None
    ) -> list[AbstractBasis]:
        if self._chooses:
            places = np.unique(X if sample_weight is None else X[sample_weight > 0], axis=0)
            return select.default_bases(
                min(len(places), SEARCH_ROWS),
                X.shape[1],
                n_outputs,
                activation=self.activation,
                residual=self.residual,
                init=self.init,
            )
        return [
            NeuralBasis(
                DEFAULT_WIDTH if self.width == "auto" else int(self.width),
                DEFAULT_DEPTH if self.depth == "auto" else int(self.depth),
                activation=self.activation,
                residual=self.residual,
                init=self.init,
            )
        ]

    def _trainer(self) -> str | AbstractTrainer:
        if self.learning_rate is None:
            return self.method
        trainers = {"gd": GD, "lsgd": LSGD}
        if not isinstance(self.method, str) or self.method not in trainers:
            raise ValueError(
                f"AdaptiveBasisRegressor(learning_rate={self.learning_rate}): only method='gd' "
                f"and 'lsgd' take a learning rate; method={self.method!r} needs none."
            )
        return trainers[self.method](float(self.learning_rate))

    def _seed(self) -> int:
        return seed_of(self.random_state)


def remembering(estimator: Any) -> Any:
    """Return an estimator with the attributes that all of them take from their model."""
    model = estimator.fitted_
    estimator.history_, estimator.stop_reason_ = model.history, model.stop_reason
    estimator.rank_, estimator.n_iter_ = model.rank, max(1, len(model.history) - 1)
    return estimator


def seed_of(random_state: Any) -> int:
    """Return a seed from what scikit-learn takes for one."""
    if isinstance(random_state, Integral):
        return int(random_state)
    return int(check_random_state(random_state).randint(2**31 - 1))

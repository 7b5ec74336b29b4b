"""The scikit-learn façade: NumPy, pandas and polars in, NumPy out; all work is done below."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Mapping
from numbers import Integral, Real
from typing import Any, ClassVar, Self

import numpy as np
from sklearn.base import BaseEstimator, MultiOutputMixin, RegressorMixin
from sklearn.callback import CallbackSupportMixin
from sklearn.utils import check_random_state
from sklearn.utils._param_validation import Interval, StrOptions
from sklearn.utils.validation import _check_sample_weight, check_is_fitted, validate_data

from .. import rows
from .._runtime.arrays import check_finite, explained, floats, refuse_times
from .._runtime.summaries import check_index
from ..basis import AbstractBasis, NeuralBasis
from ..basis.layers import AbstractInitializer
from ..evidence.intervals import checked_coverage
from ..geometry.maps import input_transforms, periodic_columns
from ..lstsq.losses import NAMES
from ..models.fitted import Fitted
from ..models.record import EFFORTS
from ..regression.api import add_rows, fit
from ..regression.bases import default_bases
from ..regression.strategy import MEMBERS
from ..regression.streamed import source_of
from ..regression.transforms import TRANSFORMS
from ..selection.prepared import SEARCH_ROWS
from ..train import GD, LSGD, AbstractTrainer
from .following import followed, followers

#: Trainers that take a learning rate, by method.
Trainers = Mapping[str, Callable[[float], AbstractTrainer]]
DEFAULT_WIDTH, DEFAULT_DEPTH = 64, 2
#: What every estimator takes, and within which limits.
BUDGETS: dict[str, list[Any]] = {
    "max_steps": [None, Interval(Integral, 0, None, closed="left")],
    "max_seconds": [Interval(Real, 0, None, closed="right")],
    "tol": [Interval(Real, 0, None, closed="left")],
    "ridge": [StrOptions({"auto"}), Interval(Real, 0, None, closed="left")],
    "holdout": [None, StrOptions({"last"}), Interval(Real, 0, 1, closed="neither")],
    "validation": [None, StrOptions({"auto"}), Interval(Real, 0, 1, closed="neither")],
    "periodic": [None, dict],
    "random_state": ["random_state"],
    "verbose": ["verbose"],
}
#: What estimators of numbers take besides.
TRANSFORMED: dict[str, list[Any]] = {
    "target_transform": [None, StrOptions(set(TRANSFORMS)), tuple, list],
    "input_transform": [None, StrOptions({"auto", "log"}), dict],
}

LOSSES: dict[str, list[Any]] = {
    "loss": [StrOptions(set(NAMES))],
    "quantile": [Interval(Real, 0, 1, closed="neither")],
}


def keep(estimator: BaseEstimator, parameters: Mapping[str, Any]) -> None:
    """Set the parameters of a constructor, ``locals()``, as attributes: as they were given."""
    vars(estimator).update(
        {name: value for name, value in parameters.items() if name not in ("self", "__class__")}
    )


class AbstractEstimator(CallbackSupportMixin, BaseEstimator):
    """What the estimators share: rows in float64, a model of them, its record as attributes.

    Attributes
    ----------
    fitted_ : Fitted
    """

    fitted_: Any

    _checks: ClassVar[Mapping[str, Any]] = {}

    def _rows(
        self, X: Any, y: Any, sample_weight: Any, reset: bool = True
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray | None]:
        # The rows to fit, once parameters and rows are known to be sound.
        self._validate_params()
        call = f"{type(self).__name__}.{'fit' if reset else 'partial_fit'}"
        refuse_times(call, "X", X)
        if y is not None and self._checks.get("y_numeric"):
            given, y = y, floats(call, "y", y)
            check_finite(call, "y", y, given)
        with explained(call, "X", X):
            checks = {**self._checks, "ensure_all_finite": False, "dtype": np.float64}
            x, y = validate_data(self, X, y, reset=reset, **checks)
        check_finite(call, "X", x, X)
        if y is not None and self._checks.get("y_numeric"):
            check_index(call, X, np.hstack([x, y.reshape(len(y), -1)]))
        X = x
        if sample_weight is not None:
            sample_weight = _check_sample_weight(
                sample_weight, X, dtype=np.float64, ensure_non_negative=True
            )
        return X, y, sample_weight

    def _settings(self) -> dict[str, Any]:
        # The parameters as the public function takes them.
        seed = self.random_state
        if not isinstance(seed, Integral):
            seed = check_random_state(seed).randint(2**31 - 1)
        given = self.get_params(deep=False)
        # The rows are an array by now, which has no names.
        about = type(self).__name__, np.empty((0, self.n_features_in_))
        names = getattr(self, "feature_names_in_", None)
        if given["periodic"] is not None:
            given["periodic"] = dict(periodic_columns(*about, given["periodic"], names))
        if "input_transform" in given:
            given["input_transform"] = input_transforms(*about, given["input_transform"], names)
        fixed = {"random_state": int(seed), "verbose": bool(self.verbose)}
        return {**given, **fixed, "callbacks": followers(self)}

    def _remember(self, model: Fitted) -> Self:
        # Keep the model, and of its record what users of scikit-learn look for.
        self.fitted_ = model
        self.history_, self.stop_reason_ = model.history, model.stop_reason
        self.rank_, self.n_iter_ = model.rank, max(1, len(model.history) - 1)
        return self

    def _inputs(self, X: Any) -> np.ndarray:
        # Rows to predict for, which must have the columns of those fitted.
        check_is_fitted(self)
        call = f"{type(self).__name__}.predict"
        refuse_times(call, "X", X)
        with explained(call, "X", X):
            x = validate_data(self, X, dtype=np.float64, reset=False, ensure_all_finite=False)
        check_finite(call, "X", x, X)
        return x


class AbstractRegressor(MultiOutputMixin, RegressorMixin, AbstractEstimator):
    """Estimators of numbers, one or several for each row."""

    _checks: ClassVar[Mapping[str, Any]] = {"multi_output": True, "y_numeric": True}

    def partial_fit(self, X: Any, y: Any, sample_weight: Any = None) -> Self:
        """Fit to the first rows; of later ones, solve the last layer for all rows so far.

        Functions are chosen on the rows of the first call, or of ``fit``: these should be many, and
        like those to come. Coefficients are those of all rows, from what the former were reduced
        to: rows gone by are not kept.

        Parameters
        ----------
        X : array-like or data frame, shape (n, D)
        y : array-like, shape (n,) or (n, Q)
        sample_weight : array-like, shape (n,), optional

        Returns
        -------
        self

        Raises
        ------
        ValueError
            For bad data, or another loss than squares.
        """
        if not hasattr(self, "fitted_"):
            found: Self = self.fit(X, y, sample_weight)
            return found
        x, y, weight = self._rows(X, y, sample_weight, reset=False)
        self.fitted_ = add_rows(self.fitted_, x, y, sample_weight=weight)
        self.rank_ = self.fitted_.rank
        return self

    def predict(self, X: Any, return_std: bool = False) -> Any:
        """Predict for X (N, D): an array of shape (N,) or (N, Q), like the fitted y.

        ``return_std=True`` returns the standard deviations of new values, too.
        """
        x = self._inputs(X)
        return self.fitted_.predict(x, return_std=True) if return_std else self.fitted_(x)

    def predict_interval(
        self, X: Any, coverage: float = 0.9, *, method: str = "auto"
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return lower and upper bounds of new values at X (N, D), each like the fitted y.

        A new value lies between them with the chance ``coverage``: see
        :meth:`adabasis.Fitted.predict_interval`, its methods, too.

        Raises
        ------
        ValueError
            Unless the coverage is between 0 and 1, and for a method that the model does not have.
        """
        coverage = checked_coverage(f"{type(self).__name__}.predict_interval", coverage)
        x = self._inputs(X)
        return self.fitted_.predict_interval(x, coverage, method=method)


def learn_columns(estimator: Any, source: rows.AbstractSource) -> None:
    """Give an estimator the number of columns of a source, and their names where it knows any."""
    estimator.n_features_in_ = source.n_inputs
    names = source.record_fields.get("input_names")
    if names:
        estimator.feature_names_in_ = np.array(names, dtype=object)


class AdaptiveEstimator(AbstractEstimator):
    """Estimators on a network or on functions that are chosen from the data."""

    _parameter_constraints: dict[str, list[Any]] = {  # noqa: RUF012 (scikit-learn's convention)
        **BUDGETS,
        "width": [StrOptions({"auto"}), Interval(Integral, 1, None, closed="left")],
        "depth": [StrOptions({"auto"}), Interval(Integral, 1, None, closed="left")],
        "activation": [str, callable],
        "residual": ["boolean"],
        "init": [str, AbstractInitializer],
        "learning_rate": [None, Interval(Real, 0, None, closed="neither")],
        "n_restarts": [Interval(Integral, 1, None, closed="left")],
        "ensemble": [StrOptions({"auto"}), Interval(Integral, 1, None, closed="left")],
    }
    _with_rate: ClassVar[Trainers] = {}

    @property
    def _members(self) -> int:
        # How many are averaged where the basis is left open.
        return MEMBERS

    @property
    def _chooses(self) -> bool:
        # Whether the basis is left open.
        return self.method == "auto" and self.width == "auto" and self.depth == "auto"

    def _bases(
        self,
        X: np.ndarray,
        weight: np.ndarray | None,
        choices: Callable[..., list[AbstractBasis]],
    ) -> list[AbstractBasis]:
        # The network asked for, or the choices for so many distinct rows.
        look = {name: getattr(self, name) for name in ("activation", "residual", "init")}
        if self._chooses:
            places = np.unique(X if weight is None else X[weight > 0], axis=0)
            return choices(min(len(places), SEARCH_ROWS), X.shape[1], **look)
        width = DEFAULT_WIDTH if self.width == "auto" else int(self.width)
        depth = DEFAULT_DEPTH if self.depth == "auto" else int(self.depth)
        return [NeuralBasis(width, depth, **look)]

    def _bases_of(
        self, source: rows.AbstractSource, choices: Callable[..., list[AbstractBasis]]
    ) -> list[AbstractBasis]:
        # Learn the columns of a source; return the network asked for, or the choices.
        self._validate_params()
        learn_columns(self, source)
        if not self._chooses:
            return self._bases(np.empty((0, source.n_inputs)), None, choices)
        look = {name: getattr(self, name) for name in ("activation", "residual", "init")}
        return choices(min(source.n_rows, SEARCH_ROWS), source.n_inputs, **look)

    def _settings(self) -> dict[str, Any]:
        of_basis = ("width", "depth", "activation", "residual", "init", "learning_rate")
        settings = {k: v for k, v in super()._settings().items() if k not in of_basis}
        if self.ensemble == "auto" and self._chooses:
            settings["ensemble"] = self._members
        return {**settings, "method": self._trainer()}

    def _trainer(self) -> str | AbstractTrainer:
        if self.learning_rate is None:
            return self.method
        if not isinstance(self.method, str) or self.method not in self._with_rate:
            raise ValueError(
                f"{type(self).__name__}(learning_rate={self.learning_rate}): only method="
                f"{' and '.join(map(repr, self._with_rate))} take a learning rate; "
                f"method={self.method!r} needs none."
            )
        return self._with_rate[self.method](float(self.learning_rate))


class AdaptiveBasisRegressor(AbstractRegressor, AdaptiveEstimator):
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
    loss : {"squared", "huber", "absolute", "quantile"}
        See :func:`adabasis.fit`: a few wild values do not matter to the last three.
    quantile : float
        Of ``loss="quantile"``.
    method : {"auto", "frozen", "gd", "lm", "lsgd", "lsgn"} or trainer
        See :func:`adabasis.fit`.
    learning_rate : float, optional
        For ``"gd"`` and ``"lsgd"`` only. ``None``: 1e-3 for ``"gd"``; ``"lsgd"`` adjusts its own.
    max_steps : int, optional
        Most steps of each training run; ``None`` as in :func:`adabasis.fit`.
    max_seconds : float
        Wall-clock seconds after which the best model so far is returned.
    tol : float
        Relative root mean square residual at which training stops.
    n_restarts : int
        Independent draws of the hidden parameters; the best one is kept.
    ensemble : int or "auto"
        Networks averaged by ``method="auto"``; ``"auto"``: 10 where width and depth are, else 1.
    ridge : float or "auto"
        λ, the weight of the squares of the coefficients; ``"auto"`` chooses it on unseen rows (see
        :func:`adabasis.fit`).
    validation : float, "auto" or None
        Share of the rows held out to stop training.
    holdout : float, "last" or None
        Rows that the whole fit never sees, to judge the model by: see :func:`adabasis.fit`.
    effort : {"fast", "auto", "thorough"}
        How much the search may spend, see :func:`adabasis.fit`.
    target_transform : {"log", "yeo-johnson", "auto"}, sequence of them, or None
        How targets are transformed; predictions are in their own units: see
        :func:`adabasis.fit`.
    input_transform : "auto", "log", None, or mapping of column to one of these
        Inputs that are taken in logarithms, by number or name: ``{"dose": "log"}``; ``"auto"``,
        where width and depth are, chooses among those over decades: see :func:`adabasis.fit`.
    periodic : mapping of column to period, optional
        Inputs such as angles, by number or name: ``{"angle": 360.0}``.
    random_state : int, RandomState or None
        The default, 0, makes fits repeatable; ``None`` draws a new seed each time.
    verbose : bool
        Show the stages of the search.

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
        **AdaptiveEstimator._parameter_constraints,
        **LOSSES,
        **TRANSFORMED,
        "method": [StrOptions({"auto", "frozen", "gd", "lm", "lsgd", "lsgn"}), AbstractTrainer],
        "effort": [StrOptions(set(EFFORTS))],
    }
    _with_rate: ClassVar[Trainers] = {"gd": GD, "lsgd": LSGD}

    def __init__(
        self,
        width: int | str = "auto",
        depth: int | str = "auto",
        *,
        activation: Any = "tanh",
        residual: bool = False,
        init: Any = "box",
        loss: str = "squared",
        quantile: float = 0.5,
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
        effort: str = "auto",
        target_transform: Any = None,
        input_transform: str | Mapping[int | str, str | None] | None = "auto",
        periodic: Mapping[int | str, float] | None = None,
        random_state: Any = 0,
        verbose: bool = False,
    ) -> None:
        keep(self, locals())

    @followed
    def fit(self, X: Any, y: Any = None, sample_weight: Any = None, groups: Any = None) -> Self:
        """Fit to X (N, D) and y (N,) or (N, Q).

        Parameters
        ----------
        X : array-like or data frame, shape (N, D), or rows to be read
            Files, arrays on disk, chunks: see :func:`adabasis.fit`.
        y : array-like, shape (N,) or (N, Q), or names of columns
        sample_weight : array-like, shape (N,), or the name of a column, optional
        groups : array-like, shape (N,), or the name of a column, optional
            Rows of one label are held out together.

        Returns
        -------
        self

        Raises
        ------
        ValueError
            For bad data (see :func:`adabasis.fit`) or parameters out of range.
        """
        source = source_of(f"{type(self).__name__}.fit", X, y, sample_weight, groups)
        if source is not None:
            return self._fitted_to(source)
        X, y, weight = self._rows(X, y, sample_weight)
        choices = functools.partial(default_bases, n_outputs=np.size(y) // len(y))
        bases, settings = self._bases(X, weight, choices), self._settings()
        if self._chooses and self.input_transform == "auto":  # though bases are named
            settings["input_transform"] = dict.fromkeys(range(X.shape[1]), "auto")
        return self._remember(fit(X, y, bases, sample_weight=weight, groups=groups, **settings))

    def _fitted_to(self, source: rows.AbstractSource) -> Self:
        choices = functools.partial(default_bases, n_outputs=source.n_outputs)
        bases = self._bases_of(source, choices)
        settings = self._settings()
        if self._chooses and self.input_transform == "auto":
            settings["input_transform"] = dict.fromkeys(range(source.n_inputs), "auto")
        return self._remember(fit(source, None, bases, **settings))

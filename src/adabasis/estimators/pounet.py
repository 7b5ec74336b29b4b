"""The scikit-learn façade of partition of unity networks."""

from __future__ import annotations

import math
import warnings
from collections.abc import Mapping
from numbers import Integral
from typing import Any, Self

from sklearn.utils._param_validation import Interval, StrOptions

from ..basis import PARTITIONS, AbstractPartition, PartitionBasis
from ..basis.pou.polynomial import INDEX_SETS
from ..models.record import EFFORTS
from ..pou.api import KINDS, fit_pounet
from ..pou.probabilistic import ProbabilisticPOUNet
from ..pou.starts import STARTS
from ..regression.streamed import source_of
from .following import followed
from .regressor import (
    BUDGETS,
    LOSSES,
    TRANSFORMED,
    AbstractRegressor,
    keep,
    learn_columns,
)


class POUNetRegressor(AbstractRegressor):
    """Regression with a partition of unity network: for targets that are smooth in pieces.

    Kinks and jumps in unknown places are found, the pieces are polynomials. Numbers that are
    left open are chosen by the error on rows held out (see :func:`adabasis.fit_pounet`).

    Parameters
    ----------
    n_partitions : int or "auto"
        Parts; where the rows do not fill them they end as fewer, with a warning.
    degree : int or "auto"
        Of the polynomials.
    partition : str or AbstractPartition
        Of what kind borders are. ``"auto"``, or a name in ``adabasis.basis.PARTITIONS``: "affine"
        (planes), "quadratic", "quartic", "rbf", "rbf-anisotropic", "network", "resnet", "grid".
    index_set : {"total", "tensor", "hyperbolic"}
        Which products of powers of several inputs are among the polynomials: those whose degrees
        have a sum, a maximum or a product up to a number; the last are the fewest.
    start : {"auto", "segments", "merging", "insertion", "cuts", "tree"}
        Where the pieces come from.
    noise : {"same", "parts"}
        ``"parts"``: every part has a noise level of its own, and parts are told apart by their
        noise, too; ``predict(X, return_std=True)`` knows it (see :func:`adabasis.fit_pounet`).
    loss : {"squared", "huber", "absolute", "quantile"}
        See :func:`adabasis.fit`: a few wild values do not matter to the last three.
    quantile : float
        Of ``loss="quantile"``.
    max_steps : int, optional
        Most Gauss–Newton steps of each training run; ``None`` is 60.
    max_seconds : float
        Wall-clock seconds after which the best model so far is returned.
    tol : float
        Relative root mean square residual at which training stops.
    ridge : float or "auto"
        λ, the weight of the coefficients' squares; what the noise calls for by default.
    validation : float, "auto" or None
        Share of the rows held out to choose by.
    holdout : float, "last" or None
        Rows that the whole fit never sees, to judge the model by: see :func:`adabasis.fit`.
    effort : {"fast", "auto", "thorough"}
        How much the search may spend, see :func:`adabasis.fit_pounet`.
    target_transform : {"log", "yeo-johnson", "auto"}, sequence of them, or None
        How targets are transformed; predictions are in their own units: see
        :func:`adabasis.fit`.
    input_transform : "auto", "log", None, or mapping of column to one of these
        Inputs that are taken in logarithms, by number or name: ``{"dose": "log"}``.
    periodic : mapping of column to period, optional
        Inputs such as angles, by number or name: ``{"angle": 360.0}``.
    random_state : int, RandomState or None
        The default, 0, makes fits repeatable; ``None`` draws a new seed each time.
    verbose : bool
        Show the stages of the search.

    Attributes
    ----------
    fitted_ : Fitted or ProbabilisticPOUNet
        The fitted function; its ``basis`` is a :class:`adabasis.PartitionBasis`, its ``notes`` say
        what the user should know. ``adabasis.plots.partitions`` draws the parts.
    n_partitions_, degree_ : int
        Those chosen.
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
    >>> X = np.linspace(0, 1, 200)[:, None]
    >>> model = POUNetRegressor().fit(X, np.where(X[:, 0] < 0.4, X[:, 0], 2.0))
    >>> model.n_partitions_, model.degree_
    (2, 1)
    """

    _parameter_constraints: dict[str, list[Any]] = {  # noqa: RUF012 (scikit-learn's convention)
        "n_partitions": [StrOptions({"auto"}), Interval(Integral, 1, None, closed="left")],
        "degree": [StrOptions({"auto"}), Interval(Integral, 0, None, closed="left")],
        "partition": [StrOptions({"auto", *PARTITIONS}), AbstractPartition],
        "index_set": [StrOptions(set(INDEX_SETS))],
        "start": [StrOptions({"auto", *STARTS})],
        "noise": [StrOptions(set(KINDS))],
        "effort": [StrOptions(set(EFFORTS))],
        **LOSSES,
        **BUDGETS,
        **TRANSFORMED,
    }

    def __init__(
        self,
        n_partitions: int | str = "auto",
        degree: int | str = "auto",
        *,
        partition: Any = "auto",
        index_set: str = "total",
        start: str = "auto",
        noise: str = "same",
        loss: str = "squared",
        quantile: float = 0.5,
        max_steps: int | None = None,
        max_seconds: float = math.inf,
        tol: float = 0.0,
        ridge: float | str = "auto",
        validation: float | str | None = "auto",
        holdout: float | str | None = None,
        effort: str = "auto",
        target_transform: Any = None,
        input_transform: str | Mapping[int | str, str | None] | None = None,
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
        X : array-like or data frame, shape (N, D), or rows that are read chunk by chunk
            See :func:`adabasis.fit_pounet`.
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
            For bad data, parameters out of range, or more coefficients than rows.
        """
        source = source_of(f"{type(self).__name__}.fit", X, y, sample_weight, groups)
        if source is None:
            X, y, weight = self._rows(X, y, sample_weight)
            about = {"sample_weight": weight, "groups": groups, **self._settings()}
            self._remember(fit_pounet(X, y, **about))
        else:
            self._validate_params()
            learn_columns(self, source)
            self._remember(fit_pounet(source, **self._settings()))
        basis = self.fitted_.basis
        assert isinstance(basis, PartitionBasis)
        self.n_partitions_, self.degree_ = basis.n_partitions, basis.degree
        if self.n_partitions != "auto" and self.n_partitions_ < self.n_partitions:
            warnings.warn("\n".join(self.fitted_.notes), stacklevel=2)
        return self

    def predict(self, X: Any, return_std: bool = False) -> Any:
        """Predict for X (N, D): an array of shape (N,) or (N, Q), like the fitted y.

        Parameters
        ----------
        X : array-like or data frame, shape (N, D)
        return_std : bool
            Return the standard deviation of a new value, too: of ``noise="parts"``.

        Raises
        ------
        ValueError
            For deviations that the model does not know.
        """
        if not return_std:
            return super().predict(X)
        x = self._inputs(X)
        if not isinstance(self.fitted_, ProbabilisticPOUNet):
            raise ValueError(
                f"POUNetRegressor.predict(X, return_std=True): noise={self.noise!r} has no levels "
                "of the parts. Fit with noise='parts'."
            )
        return self.fitted_.predict(x, return_std=True)

"""scikit-learn and SciPy: what a person would try first."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from scipy.interpolate import UnivariateSpline
from sklearn.compose import TransformedTargetRegressor
from sklearn.ensemble import HistGradientBoostingRegressor
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import RBF, ConstantKernel, WhiteKernel
from sklearn.linear_model import LinearRegression, RidgeCV
from sklearn.neighbors import KNeighborsRegressor
from sklearn.neural_network import MLPRegressor
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import PolynomialFeatures, StandardScaler

from ..fitting import Method, Outcome, Problem

CHEBYSHEV_DEGREE = 24


def estimator(name: str, make: Callable[[Problem, int], Any], *, scaled: bool = False) -> Method:
    """Return a scikit-learn estimator as a method, behind a scaler of inputs where asked."""

    def fit(problem: Problem, seed: int) -> Outcome:
        model = make(problem, seed)
        whole = make_pipeline(StandardScaler(), model) if scaled else model
        whole.fit(problem.x, problem.y)
        return Outcome(whole.predict, _iterations(model))

    return Method(name, fit)


def _iterations(model: Any) -> int | None:
    inner = getattr(model, "regressor_", model)
    count = getattr(inner, "n_iter_", None)
    return None if count is None else int(np.max(count))


def _gaussian_process(
    problem: Problem, noise: bool, length: float = 1.0
) -> GaussianProcessRegressor:
    kernel = ConstantKernel() * RBF(np.full(problem.x.shape[1], length))
    return GaussianProcessRegressor(
        kernel + WhiteKernel(1e-2) if noise else kernel, normalize_y=True
    )


def _restarted_process(problem: Problem, seed: int) -> GaussianProcessRegressor:
    lengths = RBF(np.full(problem.x.shape[1], 3.0), (1e-2, 1e3))  # long ones: planes and parabolas
    kernel = ConstantKernel(10.0, (1e-3, 1e6)) * lengths + WhiteKernel(1e-3, (1e-12, 1e1))
    return GaussianProcessRegressor(
        kernel, normalize_y=True, n_restarts_optimizer=20, random_state=seed
    )


def _quadratic_ridge(problem: Problem, seed: int) -> Pipeline:
    products = PolynomialFeatures(2, include_bias=False)
    penalties = np.logspace(-12, 4, 49)  # chosen by leave-one-out error
    return make_pipeline(products, StandardScaler(), RidgeCV(penalties, gcv_mode="svd"))


def _lbfgs(problem: Problem, seed: int) -> TransformedTargetRegressor:
    network = MLPRegressor(solver="lbfgs", max_iter=2000, random_state=seed)
    return TransformedTargetRegressor(network, transformer=StandardScaler())


def _chebyshev(problem: Problem, seed: int) -> Outcome:
    x = problem.x[:, 0]
    series = np.polynomial.Chebyshev.fit(x, problem.y, CHEBYSHEV_DEGREE)
    return Outcome(lambda points: series(points[:, 0]))


def _spline(problem: Problem, seed: int) -> Outcome:
    spline = UnivariateSpline(problem.x[:, 0], problem.y, k=5, s=0)
    return Outcome(lambda points: spline(points[:, 0]))


LINEAR = estimator("linear", lambda problem, seed: LinearRegression())
SCALED_LINEAR = estimator("linear", lambda problem, seed: LinearRegression(tol=1e-14), scaled=True)
QUADRATIC_RIDGE = estimator("quadratic ridge", _quadratic_ridge, scaled=True)
MLP = estimator("MLP as shipped", lambda problem, seed: MLPRegressor(random_state=seed))
SCALED_MLP = estimator(
    "MLP as shipped", lambda problem, seed: MLPRegressor(random_state=seed), scaled=True
)
MLP_LBFGS = estimator("MLP L-BFGS", _lbfgs, scaled=True)
NEIGHBOURS = estimator("5 neighbours", lambda problem, seed: KNeighborsRegressor(5), scaled=True)
BOOSTING = estimator(
    "HistGradientBoosting", lambda problem, seed: HistGradientBoostingRegressor(random_state=seed)
)
EXACT_PROCESS = estimator(
    "Gaussian process", lambda problem, seed: _gaussian_process(problem, noise=False), scaled=True
)
PROCESS = estimator(
    "Gaussian process ARD",
    lambda problem, seed: _gaussian_process(problem, noise=True),
    scaled=True,
)
SHORT_PROCESS = estimator(
    "Gaussian process, from length .1",  # from length 1 it calls a short wave noise
    lambda problem, seed: _gaussian_process(problem, noise=True, length=0.1),
    scaled=True,
)
RESTARTED_PROCESS = estimator("Gaussian process", _restarted_process, scaled=True)
CHEBYSHEV = Method(f"Chebyshev degree {CHEBYSHEV_DEGREE}", _chebyshev)
SPLINE = Method("spline k=5", _spline)

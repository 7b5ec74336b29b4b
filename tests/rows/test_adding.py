"""Rows that come later are added to a model without those gone by."""

import numpy as np
import pytest

from adabasis import AdaptiveBasisRegressor, NeuralBasis, POUNetRegressor, fit, load, refit
from adabasis.basis import Ensemble
from adabasis.regression.api import add_rows

RNG = np.random.default_rng(0)
X = RNG.uniform(size=(600, 2))
Y = np.sin(4 * X[:, 0]) + X[:, 1] + 0.1 * RNG.normal(size=600)
WEIGHT = RNG.uniform(0.5, 2, 600)


@pytest.mark.parametrize(
    "estimator",
    [
        AdaptiveBasisRegressor(20, 1, method="frozen", ridge=1e-3),
        POUNetRegressor(2, 1, max_steps=10),
    ],
    ids=["network", "POUNet"],
)
def test_partial_fit_solves_for_all_rows_so_far(estimator):
    estimator.partial_fit(X[:200], Y[:200], WEIGHT[:200])
    for k in (200, 300, 500):
        some = slice(k, min(k + 200, 600) if k != 200 else 300)
        estimator.partial_fit(X[some], Y[some], WEIGHT[some])
    model = estimator.fitted_
    again = refit(model, X, Y, sample_weight=WEIGHT)
    scale = np.abs(again.coefficients).max()
    assert np.abs(again.coefficients - model.coefficients).max() <= 1e-10 * scale
    assert model.record.n_rows == 600
    np.testing.assert_array_equal(model.box, again.box)


def test_a_mean_of_networks_takes_rows_too():
    model = fit(X[:300], Y[:300], [NeuralBasis(6, 1)], ensemble=2, max_seconds=60)
    if not isinstance(model.basis, Ensemble):
        pytest.skip("a single network did best")
    more = add_rows(model, X[300:], Y[300:])
    again = refit(model, X, Y)
    np.testing.assert_allclose(more.coefficients, again.coefficients, rtol=1e-6, atol=1e-9)


def test_a_model_without_its_factor_says_so(tmp_path):
    model = fit(X[:100], Y[:100], NeuralBasis(5, 1), method="frozen")
    model.save(tmp_path / "m.adabasis")
    with pytest.raises(ValueError, match="does not hold what its rows were reduced to"):
        add_rows(load(tmp_path / "m.adabasis"), X, Y)
    robust = AdaptiveBasisRegressor(5, 1, method="frozen", loss="huber").fit(X[:100], Y[:100])
    with pytest.raises(ValueError, match="Use refit with all rows"):
        robust.partial_fit(X, Y)

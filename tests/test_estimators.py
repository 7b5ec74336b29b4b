"""The scikit-learn façade: the library's own checks, and what users do with an estimator."""

import pickle

import joblib
import numpy as np
import pandas as pd
import polars as pl
import pytest
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks

from adabasis import LSGD, AdaptiveBasisRegressor, Fitted, POUNetRegressor, fit
from adabasis.basis import NeuralBasis

from .laws import assert_close, assert_same_bits

QUICK = {"width": 16, "depth": 1, "method": "frozen"}


@parametrize_with_checks([
    AdaptiveBasisRegressor(**QUICK), POUNetRegressor(n_partitions=1, max_steps=0),
])  # fmt: skip
def test_it_keeps_to_the_conventions(estimator, check):
    check(estimator)


@pytest.mark.slow
@parametrize_with_checks([
    AdaptiveBasisRegressor(), POUNetRegressor(), POUNetRegressor(max_steps=0),
])  # fmt: skip
def test_it_keeps_to_them_by_default(estimator, check):
    """Searches compile dozens of shapes for the many that the checks come up with."""
    check(estimator)


@pytest.fixture(scope="module")
def data():
    x = np.random.default_rng(0).uniform(-1, 3, (60, 2))
    return x, np.sin(x[:, 0]) * x[:, 1]


@pytest.fixture(scope="module")
def model(data):
    return AdaptiveBasisRegressor(**QUICK).fit(*data)


def test_it_is_the_front_door_in_other_clothes(data, model):
    same = fit(*data, NeuralBasis(16, 1), method="frozen")
    assert isinstance(model.fitted_, Fitted)
    assert_same_bits(model.predict(data[0]), same(data[0]))
    assert model.rank_ == same.rank
    assert model.stop_reason_ == same.stop_reason
    assert model.n_iter_ >= 1


def test_the_default_is_accurate_and_repeatable(data):
    x, y = data
    first, second = (AdaptiveBasisRegressor(max_steps=5).fit(x, y) for _ in range(2))
    assert first.score(x, y) > 0.9999
    assert_same_bits(first.predict(x), second.predict(x))


def test_frames_in_arrays_out(data, model):
    x, y = data
    for frame in (pd.DataFrame(x, columns=["a", "b"]), pl.DataFrame(x, schema=["a", "b"])):
        named = AdaptiveBasisRegressor(**QUICK).fit(frame, y)
        assert named.feature_names_in_.tolist() == ["a", "b"]
        assert type(named.predict(frame)) is np.ndarray
        assert_same_bits(named.predict(frame), model.predict(x))
        with pytest.raises(ValueError, match="feature names"):
            named.predict(frame[["b", "a"]])


def test_pickles_and_clones(data, model):
    x, y = data
    again = pickle.loads(pickle.dumps(model))
    assert_same_bits(again.predict(x), model.predict(x))
    fresh = clone(model)
    assert not hasattr(fresh, "fitted_")
    assert fresh.get_params() == model.get_params()
    assert_same_bits(fresh.fit(x, y).predict(x), model.predict(x))


def test_several_outputs_have_columns_of_their_own(data, model):
    x, y = data
    both = AdaptiveBasisRegressor(**QUICK, ridge=0.0).fit(x, np.c_[y, 1 - 3 * y])
    alone = AdaptiveBasisRegressor(**QUICK, ridge=0.0).fit(x, y)
    predicted = both.predict(x)
    assert predicted.shape == (60, 2)
    assert_close(predicted[:, 0], alone.predict(x), 1e-9)
    assert_close(predicted[:, 1], 1 - 3 * alone.predict(x), 1e-9)


def test_a_weight_of_two_is_the_row_twice_and_zero_is_none(data):
    x, y = data
    weight = np.tile([0.0, 1.0, 2.0], 20)
    settings = {**QUICK, "validation": None}
    weighted = AdaptiveBasisRegressor(**settings).fit(x, y, sample_weight=weight)
    kept = np.repeat(np.arange(60), weight.astype(int))
    repeated = AdaptiveBasisRegressor(**settings).fit(x[kept], y[kept])
    assert_close(weighted.predict(x), repeated.predict(x), 1e-7)


def test_pipelines_and_grid_search(data):
    x, y = data
    line = make_pipeline(StandardScaler(), AdaptiveBasisRegressor(**QUICK))
    search = GridSearchCV(line, {"adaptivebasisregressor__width": [1, 16]}, cv=3).fit(x, y)
    assert search.best_params_ == {"adaptivebasisregressor__width": 16}
    assert search.score(x, y) > 0.9


def test_fits_in_threads_equal_fits_in_a_row(data):
    """Precision is a setting of the thread: each must be given it anew."""
    x, y = data
    estimator = AdaptiveBasisRegressor(**QUICK)
    alone = cross_val_score(estimator, x, y, cv=4)
    with joblib.parallel_config("threading", n_jobs=4):
        threads = cross_val_score(estimator, x, y, cv=4)
    assert_same_bits(alone, threads)


def test_it_shows_itself_in_a_notebook(model):
    page = model._repr_html_()
    assert "AdaptiveBasisRegressor" in page
    assert "width" in page


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"width": 0}, "'width'"),
        ({"depth": "deep"}, "'depth'"),
        ({"method": "adam"}, "'method'"),
        ({"max_seconds": 0}, "'max_seconds'"),
        ({"validation": 1.0}, "'validation'"),
        ({"learning_rate": 0.1}, "method='auto' needs none"),
        ({"learning_rate": 0.1, "method": "lsgn"}, "method='lsgn' needs none"),
        ({"activation": "unknown"}, "unknown"),
        ({"init": "unknown"}, "unknown"),
    ],
)
def test_parameters_out_of_range_are_named(data, settings, message):
    with pytest.raises(ValueError, match=message):
        AdaptiveBasisRegressor(**settings).fit(*data)


def test_a_learning_rate_reaches_the_trainer(data):
    x, y = data
    settings = {"width": 8, "depth": 1, "max_steps": 3}
    by_name = AdaptiveBasisRegressor(method="lsgd", learning_rate=0.01, **settings).fit(x, y)
    by_trainer = AdaptiveBasisRegressor(method=LSGD(0.01), **settings).fit(x, y)
    assert_same_bits(by_name.predict(x), by_trainer.predict(x))
    assert by_name.n_iter_ == 3

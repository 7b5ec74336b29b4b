"""Noise, standard deviations and intervals of fitted functions."""

import dataclasses
import math
import pickle

import numpy as np
import pytest

import adabasis as ab
from adabasis.basis import Polynomial
from adabasis.evidence import noise
from adabasis.evidence.errors import Places
from adabasis.evidence.support import Nearness
from adabasis.models import error_model, trust
from adabasis.regression import uncertainty


def rows(seed, n=200, sigma=0.1):
    rng = np.random.default_rng(seed)
    x = rng.uniform(size=(n, 1))
    return x, np.sin(2 * np.pi * x[:, 0]) + sigma * rng.normal(size=n)


QUINTIC = ab.basis.Polynomial(5)


@pytest.fixture(scope="module")
def fitted():
    return ab.fit(*rows(0), QUINTIC, method="frozen")


@pytest.fixture(scope="module")
def network():
    return ab.fit(*rows(1), effort="fast")


def held(model, seed, coverage, **about):
    x, y = rows(1000 + seed, 2000, 0.1 if about.get("of") != "mean" else 0.0)
    lower, upper = model.predict_interval(x, coverage, **about)
    return np.mean((lower <= y) & (y <= upper))


def test_noise_and_intervals_over_draws_of_the_rows():
    models = [ab.fit(*rows(seed), QUINTIC, method="frozen") for seed in range(16)]
    sigma = [float(model.uncertainty([[0.5]]).noise[0]) for model in models]
    assert abs(np.mean(sigma) - 0.1) < 0.005
    assert max(abs(np.array(sigma) - 0.1)) < 0.02
    assert 0.86 < np.mean([held(model, k, 0.9) for k, model in enumerate(models)]) < 0.94
    assert 0.84 < np.mean([held(m, k, 0.9, of="mean") for k, m in enumerate(models)]) < 0.98


def test_a_network_knows_its_noise(network):
    sigma = network.uncertainty([[0.5]]).noise[0]
    assert 0.08 < sigma < 0.12
    assert 0.8 < held(network, 0, 0.9) < 0.97
    # all weights count, and not the last layer's alone
    assert network.error_model.effective > network.error_model.linear


def test_parts_add_up_and_values_are_those_of_predict(fitted):
    x, _ = rows(5, 50)
    found = fitted.uncertainty(x)
    values, deviation = fitted.predict(x, return_std=True)
    np.testing.assert_array_equal(values, fitted.predict(x))
    np.testing.assert_allclose(deviation, found.total)
    np.testing.assert_allclose(np.hypot(found.function, found.noise), found.total)
    assert deviation.shape == (50,)


def test_the_posterior_is_that_of_textbooks():
    x, y = rows(0, 60)
    model = ab.fit(x, y, ab.basis.Polynomial(2), method="frozen", ridge=0.0)
    known = dataclasses.replace(model.error_model, inflation=np.ones(1))
    a = np.column_stack([np.ones(60), x, x**2])
    found = dataclasses.replace(model, error_model=known).uncertainty(x)
    hat = np.einsum("np,pq,nq->n", a, np.linalg.inv(a.T @ a), a)
    residual = y - a @ np.linalg.lstsq(a, y)[0]
    sigma = np.sqrt(residual @ residual / (60 - 3))
    np.testing.assert_allclose(found.noise, sigma, rtol=1e-6)
    np.testing.assert_allclose(found.function, sigma * np.sqrt(hat), rtol=1e-5)


def test_in_other_units_and_for_two_targets_intervals_are_the_same():
    x, y = rows(2)
    one = ab.fit(x, y, QUINTIC, method="frozen")
    both = ab.fit(1000 * x - 5, np.column_stack([y, 7 - 1e6 * y]), QUINTIC, method="frozen")
    lower, upper = one.predict_interval(x[:9])
    low, high = both.predict_interval(1000 * x[:9] - 5)
    np.testing.assert_allclose(low[:, 0], lower, rtol=1e-5, atol=1e-7)
    np.testing.assert_allclose(high[:, 1], 7 - 1e6 * lower, rtol=1e-5)
    np.testing.assert_allclose(low[:, 1], 7 - 1e6 * upper, rtol=1e-5)


def test_repeated_rows_and_weights_mean_the_same():
    x, y = rows(3, 80)
    weighted = ab.fit(x, y, QUINTIC, method="frozen", ridge=0.0, sample_weight=np.full(80, 3.0))
    repeated = ab.fit(np.tile(x, (3, 1)), np.tile(y, 3), QUINTIC, method="frozen", ridge=0.0)
    for model in (weighted, repeated):
        assert model.error_model.noise_kind.startswith("residuals")
        assert 0.08 < model.uncertainty([[0.5]]).noise[0] < 0.12
    np.testing.assert_allclose(
        weighted.uncertainty(x).function, repeated.uncertainty(x).function, rtol=0.05
    )


def test_replicates_tell_the_noise_where_the_model_misses_more():
    x = np.repeat(np.linspace(0, 1, 12), 6)[:, None]
    y = np.sin(9 * x[:, 0]) + np.random.default_rng(0).normal(0, 0.05, 72)
    line = ab.fit(x, y, ab.basis.Polynomial(1), method="frozen")
    assert line.error_model.noise_kind == "replicates, 60 degrees of freedom"
    assert 0.035 < line.uncertainty([[0.5]]).noise[0] < 0.065
    assert line.trust.noise_share < 0.2  # most of the error is the line's


def test_noise_that_grows_is_found_and_constant_noise_is_not_taken_for_it():
    rng = np.random.default_rng(0)
    x = rng.uniform(size=(400, 1))
    y = 2 * x[:, 0] + (0.02 + 0.3 * x[:, 0]) * rng.normal(size=400)
    model = ab.fit(x, y, ab.basis.Polynomial(1), method="frozen")
    at = model.uncertainty([[0.1], [0.9]]).noise
    np.testing.assert_allclose(at, [0.05, 0.29], rtol=0.4)
    plain = [ab.fit(*rows(seed), QUINTIC, method="frozen") for seed in range(8)]
    assert sum(one.error_model.variations[0].form != "constant" for one in plain) <= 1


@pytest.mark.parametrize("switched_off", ["gap", "nothing"])
def test_in_a_gap_intervals_are_a_range_wide(monkeypatch, switched_off):
    if switched_off == "gap":
        monkeypatch.setattr(error_model, "OF_RANGE", 0.0)
    x, y = rows(4, 300)
    kept = (x[:, 0] < 0.35) | (x[:, 0] > 0.65)
    model = ab.fit(x[kept], y[kept], QUINTIC, method="frozen")
    lower, upper = model.predict_interval([[0.45], [0.5], [0.55]])
    wide = (upper - lower).min() >= np.ptp(y[kept])
    assert wide == (switched_off == "nothing")
    near = np.ptp(model.predict_interval(x[kept][:50]), axis=0)
    assert np.median(near) < 0.5  # where rows are, intervals are those of the noise


def test_off_the_cloud_intervals_are_a_range_wide():
    rng = np.random.default_rng(0)
    t = rng.uniform(-1, 1, 300)
    x = np.column_stack([t, t]) + rng.normal(0, 0.02, (300, 2))
    y = np.sin(3 * x[:, 0]) + rng.normal(0, 0.05, 300)
    model = ab.fit(x, y, ab.basis.Polynomial(2), method="frozen")
    lower, upper = model.predict_interval([[0.8, -0.8], [-0.6, 0.6], [0.3, -0.3]])
    assert (upper - lower).min() >= np.ptp(y)


def test_spaces_between_rows_drawn_by_chance_are_no_gaps():
    shares = [
        np.mean(Nearness(rows(seed, 250)[0]).remoteness(np.linspace(0.01, 0.99, 999)[:, None]))
        for seed in range(8)
    ]
    assert np.mean(shares) < 0.004


def test_values_that_are_transformed_have_quantiles_mapped_back():
    x, y = rows(6)
    logs = ab.fit(x, y, QUINTIC, method="frozen")
    model = ab.fit(x, np.exp(3 * y), QUINTIC, method="frozen", target_transform="log")
    at = x[:20]
    for coverage in (0.5, 0.9):
        lower, upper = model.predict_interval(at, coverage)
        low, high = logs.predict_interval(at, coverage)
        np.testing.assert_allclose(np.log(lower) / 3, low, atol=0.02)
        np.testing.assert_allclose(np.log(upper) / 3, high, atol=0.02)
    lower, upper = model.predict_interval(at, 0.683)
    # half of the distance between quantiles, one standard deviation to each side
    np.testing.assert_allclose(model.uncertainty(at).total, (upper - lower) / 2, rtol=0.2)


def test_few_rows_give_infinite_bounds_and_say_how_many_are_needed():
    model = ab.fit(*rows(0, 12), ab.basis.Polynomial(1), method="frozen")
    with pytest.warns(UserWarning, match=r"coverage=0.95\).*at least 19 rows not seen.* 12 rows"):
        lower, upper = model.predict_interval([[0.5]], 0.95)
    assert lower == -np.inf
    assert upper == np.inf
    assert np.isfinite(model.predict_interval([[0.5]], 0.9)).all()
    alone = ab.fit([[0.0]], [1.0])
    assert alone.predict([[0.5]], return_std=True)[1] == np.inf


def test_groups_count_and_the_guarantee_is_for_a_new_one():
    x, y = rows(7)
    group = np.repeat(np.arange(20), 10)
    model = ab.fit(
        x, y + np.random.default_rng(0).normal(0, 0.5, 20)[group], QUINTIC,
        method="frozen", groups=group,
    )  # fmt: skip
    assert "20 groups" in model.error_model.scores.told(0.9)
    assert "a group that is new" in model.error_model.scores.told(0.9)
    with pytest.warns(UserWarning, match="at least 33 groups not seen, and there are 20 groups"):
        assert np.isinf(model.predict_interval([[0.5]], 0.97)).all()


def test_constant_targets_have_intervals_of_no_width():
    x, y = rows(0)
    model = ab.fit(x, np.column_stack([y, np.ones(200)]), QUINTIC, method="frozen")
    lower, upper = model.predict_interval([[0.5], [0.6]])
    np.testing.assert_array_equal(lower[:, 1], 1.0)
    np.testing.assert_array_equal(upper[:, 1], 1.0)
    assert (upper[:, 0] - lower[:, 0] > 0.2).all()


def test_rows_held_out_give_split_conformal_intervals():
    x, y = rows(8)
    model = ab.fit(x, y, QUINTIC, method="frozen", holdout=0.3)
    scores = model.error_model.scores
    assert scores.kind == "split"
    assert len(scores) == 60
    assert "60 rows" in scores.told(0.9)
    assert "at least 90 %" in scores.told(0.9)


def test_refit_knows_the_errors_of_the_new_rows(network):
    x, y = rows(9, 150, 0.3)
    again = ab.refit(network, x, y)
    assert 0.24 < again.uncertainty([[0.5]]).noise[0] < 0.36
    assert (
        np.mean(np.abs(y - again.predict(x)) < np.ptp(again.predict_interval(x), axis=0) / 2) > 0.8
    )


def test_outliers_do_not_widen_a_robust_fit():
    x, y = rows(10)
    y[:6] += 50
    model = ab.fit(x, y, QUINTIC, method="frozen", loss="huber")
    found = model.uncertainty([[0.5]])
    assert found.noise[0] < 0.15
    assert found.function[0] < 0.1


def test_files_hold_what_is_known_of_errors(tmp_path, network, fitted):
    for model in (network, fitted):
        model.save(tmp_path / "m")
        again = ab.load(tmp_path / "m")
        for coverage in (0.5, 0.9):
            np.testing.assert_allclose(
                again.predict_interval([[0.3], [2.0]], coverage),
                model.predict_interval([[0.3], [2.0]], coverage),
                rtol=1e-5,
            )
        assert again.trust.to_json() == model.trust.to_json()
    assert pickle.loads(pickle.dumps(fitted)).trust == fitted.trust


def test_models_that_know_no_errors_say_so(fitted):
    old = dataclasses.replace(fitted, error_model=None)
    for ask in (old.uncertainty, old.predict_interval, lambda x: old.predict(x, return_std=True)):
        with pytest.raises(ValueError, match=r"does not know its errors.*earlier version"):
            ask([[0.5]])
    x, y = rows(0, 60)
    classes = ab.classify(x, y > 0, effort="fast")
    with pytest.raises(ValueError, match=r"Classifier.predict_interval\(X\): classes"):
        classes.predict_interval([[0.5]])


def test_arguments_that_cannot_be_meant_are_refused(fitted):
    with pytest.raises(ValueError, match=r"Fitted.predict_interval\(coverage=90\).*write 0.9"):
        fitted.predict_interval([[0.5]], 90)
    with pytest.raises(ValueError, match=r"of='median'.*'value' or 'mean'"):
        fitted.predict_interval([[0.5]], of="median")


def test_estimators_return_deviations_and_intervals():
    x, y = rows(11, 100)
    model = ab.AdaptiveBasisRegressor(width=8, depth=1, method="frozen")
    with pytest.raises(ValueError, match="not fitted"):
        model.predict_interval(x)
    model.fit(x, y)
    values, deviation = model.predict(x, return_std=True)
    lower, upper = model.predict_interval(x, 0.8)
    assert values.shape == deviation.shape == lower.shape == (100,)
    assert (lower < values).all()
    assert (values < upper).all()
    with pytest.raises(ValueError, match=r"AdaptiveBasisRegressor.predict_interval\(coverage=2"):
        model.predict_interval(x, 2.0)


def test_many_functions_are_stood_for_by_draws(monkeypatch):
    x, y = rows(12)
    basis = ab.FrozenFeatures(40)
    exact = ab.fit(x, y, basis, method="frozen").error_model
    monkeypatch.setattr("adabasis.regression.posterior.MOST_EXACT", 10)
    drawn = ab.fit(x, y, basis, method="frozen").error_model
    assert drawn.roots.shape[2] == error_model.DRAWS < exact.roots[0].size
    phi = ab.fit(x, y, basis, method="frozen").functions(x)
    ratio = np.sqrt(drawn.leverages(phi) / exact.leverages(phi))
    assert ratio.min() > 0.6
    assert ratio.max() < 1.5
    assert abs(ratio.mean() - 1) < 0.2


def test_large_matrices_are_factorized_by_their_gram_matrix(monkeypatch):
    x, y = rows(13)
    models = []
    for most in (1e9, 0.0):
        monkeypatch.setattr("adabasis.regression.posterior.MOST_BY_SVD", most)
        models.append(ab.fit(x, y, QUINTIC, method="frozen"))
    one, other = (model.uncertainty(x).function for model in models)
    np.testing.assert_allclose(one, other, rtol=1e-4)


def test_replicates_that_differ_by_more_than_unseen_errors_are_of_other_places():
    z = np.arange(40.0)[:, None]
    ones = np.ones((40, 1))
    places = Places(z, 0 * ones, np.full(40, 2.0), np.full(40, 2.0), 4 * ones, np.arange(40))
    errors = np.random.default_rng(0).normal(size=(40, 1))
    assert "replicates" in noise.level(places, errors, 3.0)[1]
    assert "residuals" in noise.level(places, errors, 3.0, most=np.array([2.0]))[1]


def test_functions_that_do_about_as_well_widen_the_mean(monkeypatch, fitted):
    found = ab.fit(*rows(0), effort="fast")
    monkeypatch.setattr(uncertainty, "_choice", lambda *about: np.zeros(1))
    alone = ab.fit(*rows(0), effort="fast")
    assert (found.error_model.inflation >= alone.error_model.inflation).all()
    assert found.error_model.inflation.max() > 1.02


def test_what_functions_miss_of_exact_rows_is_not_called_noise(network):
    """Residuals of 1e-4 may be either; replicates tell."""
    assert trust.NO_NOISE_TOLD == 1e-3
    exact = dataclasses.replace(network, validation_error=0.9e-3)
    assert math.isnan(exact.trust.noise_share)
    assert "is noise." not in exact.verdict
    assert "is noise." in dataclasses.replace(exact, validation_error=1.1e-3).verdict
    repeated = dataclasses.replace(network.error_model, noise_kind="replicates, 60 degrees")
    told = dataclasses.replace(exact, error_model=repeated)
    assert told.trust.noise_share > 0.5


def test_trust_says_what_is_known_and_one_thing_to_do(network):
    found = network.trust
    assert 0.5 < found.noise_share <= 1
    assert found.tried == len(network.candidates)
    assert found.error == network.validation_error
    assert found.next_step
    names = [name for name, _ in found.rows()]
    assert {"Relative error", "Noise", "90 % intervals", "Support", "Rank", "Next"} <= set(names)
    assert "is noise." in network.verdict
    assert "NaN" not in str(found.to_json())


def test_a_last_solve_that_errs_more_widens_the_intervals():
    """Rows held out before it are left out of it in turn: their larger error counts."""
    r = np.random.default_rng(0)
    x = r.uniform(size=(160, 1))
    y = np.sin(3 * x[:, 0]) + 0.05 * r.normal(size=160)
    before = ab.fit(x[:120], y[:120], Polynomial(4), method="frozen")
    worse = ab.refit(before, x, y + 0.5 * (x[:, 0] > 0.9))
    held_out = x[120:], y[120:, None]
    usual, wider = (
        uncertainty.calibrated(model, before, *held_out).error_model.scores
        for model in (before, worse)
    )
    assert wider.bounds(0.9)[1] > 1.2 * usual.bounds(0.9)[1]
    narrow, wide = (
        np.ptp(uncertainty.calibrated(m, before, *held_out).predict_interval(x), axis=0).mean()
        for m in (before, worse)
    )
    assert wide > 1.2 * narrow

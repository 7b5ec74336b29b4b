"""Plain candidates: tables on which a line, a quadratic or the means of places are right."""

import itertools

import jax
import numpy as np
import pytest

import adabasis as ab
from adabasis.basis import AdditiveSplines, GaussianKernels, Polynomial, plain
from adabasis.regression import kriging
from adabasis.regression.bases import plain_bases
from adabasis.selection.prepared import Prepared

from .evidence import tables
from .laws import assert_close


def normal(size, seed=0):
    return np.random.default_rng(seed).normal(size=size)


def spread(values):
    return np.std(values)


@pytest.mark.parametrize("levels", [(0.0, 1.0), (-7e3, 2e3), (1e-9, 3e-9)])
def test_two_levels_have_their_means(levels):
    x = np.array(levels)[np.random.default_rng(1).integers(0, 2, 200)]
    y = 3 + 4 * (x == levels[1]) + 0.1 * normal(200)
    at = ab.fit(x[:, None], y)(np.array(levels)[:, None])
    assert_close(at, [y[x == level].mean() for level in levels], 1e-12)


def test_two_replicates_of_two_doses_have_their_means():
    model = ab.fit([[30.0], [30], [90], [90]], [500.0, 540, 900, 860])
    assert_close(model([[30.0], [90.0]]), [520, 880], 1e-12)


@pytest.mark.parametrize("last", [10.0, 2.0])
def test_one_row_at_a_second_place_counts_where_replicates_tell_it_from_noise(last):
    y = [1.9, 2.0, 2.1, last]
    model = ab.fit([[0.0], [0.0], [0.0], [1.0]], y)
    expected = [2.0, 10.0] if last == 10 else [np.mean(y)] * 2
    np.testing.assert_allclose(model([[0.0], [1.0]]), expected, rtol=1e-12)
    assert any("rests on one row" in note for note in model.notes) == (last == 10)
    corners = ab.fit([[0, 0], [0, 0], [0, 0], [1, 0], [0, 1]], [1.0, 1.1, 0.9, 5, 3])
    np.testing.assert_allclose(corners([[0, 0], [1, 0], [0, 1]]), [1, 5, 3], rtol=1e-12)


@pytest.mark.parametrize("means", [(1, 5, 2), (4, 4, 4.5), (0, 10, 11, 3), (2, 1, 4, 1, 5)])
def test_few_levels_have_their_means_up_to_the_noise_of_these(means):
    level = np.repeat(np.arange(len(means)), 30)
    y = np.array(means)[level] + 0.1 * normal(len(level))
    off = ab.fit(level[:, None], y)(np.arange(len(means))[:, None]) - means
    assert np.abs(off).max() < 4 * 0.1 / np.sqrt(30)


def test_five_levels_with_four_replicates_are_no_constant():
    means, level = np.array([5, 9, 2, 7, 7.5]), np.repeat(np.arange(5), 4)
    y = means[level] + 0.5 * normal(20)
    model = ab.fit(level[:, None], y)
    assert np.abs(model(np.arange(5.0)[:, None]) - means).max() < 1


@pytest.mark.parametrize("n_factors", [2, 3, 4])
def test_factorial_designs_show_products_of_factors(n_factors):
    x = np.array(list(itertools.product([-1.0, 1.0], repeat=n_factors)) * 10)
    truth = 3 + 2 * x[:, 0] - x[:, 1] + 1.5 * x[:, 0] * x[:, 1]
    model = ab.fit(x, truth + 0.1 * normal(len(x)))
    assert spread(model(x) - truth) < 0.06
    assert abs(model(np.zeros((1, n_factors)))[0] - 3) < 0.1  # between them, no squares are made up


def test_twenty_runs_of_three_inputs_of_small_range():
    rng = np.random.default_rng(0)

    def runs(n):
        a, b, c = rng.uniform(0.05, 0.066, n), rng.uniform(0.8, 1.2, n), rng.uniform(45, 55, n)
        return np.stack([a, b, c], axis=1), 0.0205 + 0.002 * (a - 0.058) + 0.0015 * (
            b - 1
        ) ** 2 * c / 50

    model, (x, y) = ab.fit(*runs(20)), runs(1000)
    assert np.mean((model(x) - y) ** 2) < 0.005 * np.var(y)


@pytest.mark.parametrize("slope", [0.0, 1e-6, 2.0])
def test_a_line_is_found_at_a_few_places_with_noise(slope):
    x = np.repeat([0.0, 10, 20, 50, 100], 4)
    y = slope * x + normal(20) * 0.01
    line = np.polynomial.Polynomial.fit(x, y, 1)
    at = np.linspace(0, 100, 21)
    scale = max(0.01, slope)
    assert np.abs(ab.fit(x[:, None], y)(at[:, None]) - line(at)).max() < scale


@pytest.mark.parametrize("anova", [False, True])
def test_gaussians_are_kriging(anova):
    """The mean of a Gaussian process about a line, as its textbook formula has it."""
    rng = np.random.default_rng(3)
    x = rng.uniform(size=(15, 2))
    y = np.sin(4 * x[:, 0]) + x[:, 1]
    data = Prepared("fit", x, y, None, None, 0, split_by_default=False)
    basis, parameters, ridge, _ = kriging.kriged(data.places, anova=anova)
    z = data.places.z
    at = rng.uniform(size=(5, 2))

    def functions(points):
        with jax.enable_x64():
            return np.asarray(jax.vmap(basis, (0, None))(points, parameters))

    def kernel(a, b):
        near = np.exp(-0.5 * ((a[:, None] - b[None]) * parameters.slopes) ** 2)
        if anova:
            return np.prod(1 - parameters.shares + parameters.shares * near, axis=2)
        second = [functions(p)[:, len(z) : -3] for p in (a, b)]
        return np.prod(near, axis=2) + second[0] @ second[1].T

    line = [np.hstack([np.ones((len(p), 1)), p]) for p in (z, at)]
    c = kernel(z, z) + ridge.value * np.eye(len(z))
    inverse = np.linalg.inv(c)
    a = np.linalg.solve(line[0].T @ inverse @ line[0], line[0].T @ inverse @ data.places.t)
    mean = line[1] @ a + kernel(at, z) @ inverse @ (data.places.t - line[0] @ a)
    penalty = np.diag([ridge.value] * (basis.size(2) - 3) + [0.0] * 3)
    phi = functions(z)
    coefficients = np.linalg.lstsq(
        np.vstack([phi, np.sqrt(penalty)]),
        np.vstack([data.places.t, np.zeros((len(penalty), 1))]),
        rcond=1e-15,
    )[0]
    assert_close(functions(at) @ coefficients, mean, 1e-4)


@pytest.mark.parametrize(
    ("anova", "at"), [(False, [0.3, -0.4, -1.0, -3.0]), (True, [0.3, -0.4, -1.0, 0.5, -3.0])]
)
def test_the_likelihood_has_its_gradient(anova, at):
    rng = np.random.default_rng(0)
    x, y = rng.uniform(size=(12, 2)), rng.normal(size=(15, 2))
    x, weight = np.concatenate([x, x[:3]]), rng.integers(1, 4, 15).astype(float)
    data = Prepared("fit", x, y, weight, None, 0, split_by_default=False)
    likelihood = kriging._Likelihood(data.places, kriging.second_order(data.places.z), anova)
    at, steps = np.array(at), 1e-5 * np.eye(len(at))
    slopes = [(likelihood(at + h)[0] - likelihood(at - h)[0]) / 2e-5 for h in steps]
    assert_close(likelihood(at)[1], np.array(slopes), 1e-7)


def sum_of_two(n, seed=0):
    x = np.random.default_rng(seed).uniform(-1, 1, (n, 5))
    return x, np.sin(3 * x[:, 0] * x[:, 1]) + np.cos(4 * x[:, 4])


def test_sums_of_functions_of_few_inputs_are_told_by_few_rows():
    x, y = sum_of_two(120)
    at, truth = sum_of_two(1000, 1)
    errors = [
        spread(ab.fit(x, y, GaussianKernels(120, anova=anova), method="frozen")(at) - truth)
        for anova in (False, True)
    ]
    assert errors[1] < 0.5 * errors[0]
    assert errors[1] < 0.2 * np.std(truth)


def test_the_default_has_shares_from_a_hundred_rows_of_several_inputs_on():
    offered = [plain_bases(n, d)[-1] for n, d in ((99, 2), (100, 2), (100, 1), (5000, 3))]
    assert [basis.anova for basis in offered] == [False, True, False, True]
    assert offered[-1].n_centers == kriging.MOST_OF_ANOVA


def test_parameters_of_many_rows_are_sought_on_few_first_and_centers_among_more(monkeypatch):
    looked_at, among, pivots = [], [], kriging._pivots

    def likeliest(places, anova, start):
        looked_at.append(len(places))
        return np.array([0.5, 0.5, 0.0, 0.0, -4.0])

    def counted(z, *about):
        among.append(len(z))
        return pivots(z, *about)

    monkeypatch.setattr(kriging, "_likeliest", likeliest)
    monkeypatch.setattr(kriging, "_pivots", counted)
    x = np.random.default_rng(0).uniform(size=(2100, 2))
    data = Prepared("fit", x, x[:, 0], None, None, 0, split_by_default=False)
    for most in (kriging.MOST_OF_ANOVA, 390):
        kriging.kriged(data.places, most, anova=True)
    assert looked_at == [200, 500, 390]  # of twice as many, and no more, there is one stage
    assert among == [2000, 4 * 390]


def test_centers_are_no_more_than_the_noise_lets_tell():
    x, y = sum_of_two(200)
    noisy = ab.fit(x, y + 0.5 * normal(200), GaussianKernels(200, anova=True), method="frozen")
    assert noisy.basis.n_centers < 100


@pytest.mark.parametrize(
    "basis", [Polynomial(0), Polynomial(4), Polynomial(3, index_set="tensor"), AdditiveSplines(4)]
)
def test_named_plain_bases_fit_what_they_span(basis):
    rng = np.random.default_rng(0)
    x = rng.uniform(5, 9, size=(80, 2))
    y = 3.0 if basis == Polynomial(0) else x[:, 0] - 2 * x[:, 1] + 1
    model = ab.fit(x, np.broadcast_to(y, 80), basis, method="frozen", ridge=0.0)
    assert_close(model(x), np.broadcast_to(y, 80), 1e-10)


def test_gaussians_named_by_the_user_are_tuned():
    rng = np.random.default_rng(0)
    x = rng.uniform(size=(40, 2))
    model = ab.fit(x, np.sin(3 * x[:, 0] + x[:, 1]), GaussianKernels(40), method="frozen")
    at = rng.uniform(size=(100, 2))
    assert np.abs(model(at) - np.sin(3 * at[:, 0] + at[:, 1])).max() < 1e-3


def test_replicates_tell_the_noise_and_what_a_line_misses():
    x = np.repeat(np.linspace(0, 1, 6), 5)[:, None]
    noise = 0.1 * normal(30)
    told = ab.fit(x, 3 * x[:, 0] + noise).notes
    bent = ab.fit(x, 3 * np.abs(x[:, 0] - 0.5) + noise, Polynomial(1), method="frozen").notes
    pure = np.sqrt(sum(np.var(noise[k : k + 5]) * 5 for k in range(0, 30, 5)) / 24)
    assert any(f"by {pure:.2g} (standard" in note and "no more than noise" in note for note in told)
    assert any("misses more than that noise" in note for note in bent)


def test_the_lack_of_fit_of_a_constant_is_the_analysis_of_variance():
    from scipy.stats import f_oneway

    y = normal(30).reshape(6, 5) + 0.3 * np.arange(6)[:, None]
    x = np.repeat(np.arange(6.0), 5)[:, None]
    note = next(
        n for n in ab.fit(x, y.ravel(), Polynomial(0), method="frozen").notes if "F(5, 24)" in n
    )
    found = f_oneway(*y)
    assert f"F(5, 24) = {found.statistic:.2g}, p = {found.pvalue:.1g}" in note


def test_single_rows_left_out_of_two_places_are_as_many_as_they_are():
    x = np.repeat([0.0, 1.0], 100)
    y = 3 + 4 * x + 0.1 * normal(200)
    error = ab.fit(x[:, None], y).validation_error
    assert 0.1 / np.std(y) < error < 1.2 * 0.1 / np.std(y)


def test_complete_blocks_are_left_out_one_by_one():
    corners = np.array(list(itertools.product([-1.0, 1.0], repeat=3)))
    x, blocks = np.vstack([corners] * 4), np.repeat(range(4), 8)
    truth = 5 + x @ [2, 1, -1]
    model = ab.fit(x, truth + 0.1 * normal(32, 4), groups=blocks)
    assert spread(model(x) - truth) < 0.06
    assert model.validation_error < 0.2


def test_of_a_few_rows_no_factor_of_accuracy_is_claimed():
    assert "times" not in str(ab.fit([[0.0], [1.0]], [2.0, 4.0]).verdict)


def test_rows_that_are_left_out_in_turn_are_counted_once():
    x = np.random.default_rng(0).uniform(size=(90, 1))
    assert "90 different ones are few" in str(
        ab.fit(x, normal(90) + 3 * x[:, 0], Polynomial(1)).verdict
    )


@pytest.mark.parametrize("noise", [0.0, 0.05])
def test_the_middle_of_a_composite_design_keeps_its_rows_but_one(noise):
    """All other runs lie on a sphere: without the middle, squares and 1 are one function."""
    corners = np.array(list(itertools.product([-1.0, 1.0], repeat=3)))
    star = np.sqrt(3) * np.vstack([np.eye(3), -np.eye(3)])
    x = np.vstack([corners, star, np.zeros((6, 3))])
    truth = 1 + x[:, 0] - 2 * x[:, 1] ** 2 + x[:, 0] * x[:, 2]
    model = ab.fit(x, truth + noise * normal(20))
    assert spread(model(x) - truth) < max(noise, 1e-8)


@pytest.mark.parametrize(
    ("call", "options"),
    [
        (ab.fit, {"holdout": 0.2}),
        (ab.fit, {"loss": "huber"}),
        (ab.fit_pounet, {}),
        (ab.classify, {}),
        (ab.classify, {"holdout": 0.2}),
    ],
)
def test_columns_of_a_frame_are_found_by_their_names(call, options):
    import pandas as pd

    frame = pd.DataFrame(np.random.default_rng(0).uniform(size=(60, 2)), columns=["a", "b"])
    y = frame["a"] - 2 * frame["b"]
    model = call(frame, y > y.median() if call is ab.classify else y, max_steps=0, **options)
    assert np.array_equal(model.predict(frame[["b", "a"]]), model.predict(frame))
    assert np.array_equal(model.predict(frame.assign(c=1.0)), model.predict(frame.to_numpy()))
    again = ab.refit(model, frame[["b", "a"]], model.predict(frame))
    assert np.array_equal(again.box, model.box)
    with pytest.raises(ValueError, match="have no 'b'"):
        model.predict(frame.rename(columns={"b": "B"}))


def test_a_near_perfect_line_of_seven_rows_beats_a_constant():
    c = np.array([0.0, 1, 2, 5, 10, 20, 50])
    words = ab.fit(c[:, None], 0.02 + 0.031 * c + 0.003 * normal(7, 100)).verdict
    assert "constant" not in words
    assert "found nothing" not in words


def test_one_row_is_evidence_of_nothing():
    assert np.isnan(ab.fit([[1.0]], [2.0]).validation_error)


def test_rows_that_were_fitted_are_supported_where_they_are_replicates():
    x = np.repeat(np.arange(5.0), 4)[:, None]
    model = ab.fit(x, normal(20))
    for one in (model, ab.refit(model, x, normal(20, 1))):
        assert one.support(x).min() > 0.99


def test_gaussians_of_exact_data_are_judged_by_lengths_chosen_anew():
    outcome = tables.run(tables.CASES["two clusters in 4-D"])  # .14 without
    assert "chosen anew" in outcome.model.validation_kind
    assert outcome.ratio > 1 / 3


def test_inputs_that_add_up_but_for_rounding_leave_no_line_free():
    rng = np.random.default_rng(0)
    a, b = rng.uniform(size=(2, 60))
    x = np.column_stack([a, b, np.round(a + b, 4)])
    model = ab.fit(x, np.sin(3 * a) + b + 0.05 * normal(60))
    assert model.record.ridge.n_free == 0
    assert model.validation_error < 0.2
    off = x + np.array([0, 0, 0.01])  # beside what the rows show
    assert np.abs(model(off) - model(x)).max() < 1


@pytest.mark.parametrize("wave", [lambda x: np.cos(50 * np.pi * x), lambda x: np.sin(100 * x**2)])
def test_waves_of_many_periods_are_found_by_gaussians(wave, monkeypatch):
    x = np.random.default_rng(0).uniform(size=(200, 1))
    unseen = np.linspace(0.01, 0.99, 500)[:, None]
    model = ab.fit(x, wave(x[:, 0]))
    error = np.sqrt(np.mean((model(unseen) - wave(unseen[:, 0])) ** 2))
    assert error < 1e-3
    assert error < model.validation_error < 0.05
    monkeypatch.setattr("adabasis.regression.kriging.MOST_INPUTS_OF_WAVES", 0)
    model = ab.fit(x, wave(x[:, 0]))
    assert np.sqrt(np.mean((model(unseen) - wave(unseen[:, 0])) ** 2)) > 0.01


def test_the_search_for_lengths_ends_where_the_likelihood_hardly_rises(monkeypatch):
    """With a tolerance of 2e-9 it takes a third more evaluations for the same likelihood."""
    rng = np.random.default_rng(0)
    x = rng.uniform(size=(110, 4))
    y = np.sin(3 * x[:, 0] * x[:, 1]) + x[:, 2] + 0.05 * rng.normal(size=len(x))
    places = Prepared("fit", x, y, None, None, 0, split_by_default=False).places
    minimize, found = kriging.minimize, {}

    def counted(*given, **options):
        result = minimize(*given, **options)
        found[kriging.LEAST_RISE].append((result.nfev, result.fun))
        return result

    monkeypatch.setattr(kriging, "minimize", counted)
    assert kriging.LEAST_RISE == 1e-6
    for rise in (1e-6, 2e-9):
        found[rise] = []
        monkeypatch.setattr(kriging, "LEAST_RISE", rise)
        kriging.kriged(places, anova=True)
    (few, high), (many, higher) = (np.array(found[rise]).T for rise in found)
    assert few.sum() < 0.8 * many.sum()
    assert high.min() < higher.min() + 0.05


@pytest.mark.parametrize("anova", [False, True])
def test_gaussians_at_many_points_are_evaluated_some_at_a_time(monkeypatch, anova):
    x = np.random.default_rng(3).uniform(size=(40, 2))
    data = Prepared("fit", x, x.sum(axis=1) ** 2, None, None, 0, split_by_default=False)
    basis, parameters, *_ = kriging.kriged(data.places, 15, anova=anova)
    whole = basis.values(x, parameters)
    monkeypatch.setattr(plain, "CHUNK_NUMBERS", 100)
    assert_close(basis.values(x, parameters), whole, 1e-13)

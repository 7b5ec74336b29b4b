"""Jackknife+ and CV+: intervals from models that never saw a row."""

import numpy as np
import pytest

import adabasis as ab
from adabasis.basis.plain import Polynomial
from adabasis.evidence.left_out import LeftOutModels

RIDGE = 0.5


def rows(n=40, seed=0):
    rng = np.random.default_rng(seed)
    x = rng.uniform(-1, 1, (n, 2))
    y = np.sin(2 * x[:, 0]) + x[:, 1] ** 2
    return x, np.stack([y, 3 * x[:, 0] - y], axis=1) + rng.normal(0, 0.2, (n, 2))


def by_hand(centers, sizes, coverage):
    """Return both bounds for predictions (n, m, Q) without each row and its errors (n, Q)."""
    n, rounded = len(centers), 1e-9
    low = np.sort(centers - sizes[:, None], axis=0)[int((n + 1) * (1 - coverage) + rounded) - 1]
    high = np.sort(centers + sizes[:, None], axis=0)[int(np.ceil((n + 1) * coverage - rounded)) - 1]
    return low, high


@pytest.fixture(scope="module")
def fitted():
    x, y = rows()
    x[1], x[5] = x[0], x[4]  # measured again
    return x, y, ab.fit(x, y, Polynomial(2), ridge=RIDGE)


@pytest.mark.parametrize("coverage", [0.5, 0.8, 0.95])
def test_models_without_a_row_are_those_of_fits_without_it(fitted, coverage):
    x, y, model = fitted
    z = np.random.default_rng(1).uniform(-1, 1, (30, 2))
    phi, at, t = model.functions(x), model.functions(z), model.output_map(y)
    penalty, nothing = np.sqrt(RIDGE) * np.eye(phi.shape[1]), np.zeros((phi.shape[1], 2))
    centers, sizes = [], []
    for i in range(len(x)):
        kept = np.delete(np.arange(len(x)), i)
        known = np.concatenate([phi[kept], penalty]), np.concatenate([t[kept], nothing])
        c = np.linalg.lstsq(*known, rcond=None)[0]
        centers.append(at @ c)
        sizes.append(np.abs(t[i] - phi[i] @ c))
    ends = by_hand(np.array(centers), np.array(sizes), coverage)
    for found, end in zip(
        model.predict_interval(z, coverage, method="jackknife+"), ends, strict=True
    ):
        np.testing.assert_allclose(found, model.output_map.inverse(end), atol=1e-6)


def test_a_row_of_weight_two_is_left_out_as_two():
    x, y = rows(20)
    weight = np.ones(20)
    weight[3] = 2.0
    model = ab.fit(x, y[:, 0], Polynomial(1), ridge=RIDGE, sample_weight=weight)
    left = model.error_model.left_out
    phi, t = model.functions(x), model.output_map(y[:, :1])
    kept = np.delete(np.arange(20), 3)
    # Weights have the mean 1, and so has the ridge.
    gram = phi[kept].T @ phi[kept] + RIDGE * np.eye(phi.shape[1])
    c = np.linalg.solve(gram, phi[kept].T @ t[kept])
    np.testing.assert_allclose(left.errors[3], t[3] - phi[3] @ c, atol=1e-9)
    assert left.mass[3] == pytest.approx(2 * left.mass[4])


def test_each_row_asks_the_member_that_it_was_held_out_of():
    rng = np.random.default_rng(0)
    phi, values = rng.normal(size=(7, 6)), rng.normal(size=(7, 1))
    c, errors, member = rng.normal(size=(3, 2, 1)), rng.normal(size=(25, 1)), np.arange(25) % 3
    found = LeftOutModels.of_members(errors, np.ones(25), None, member, c)
    said = np.stack([phi[:, 2 * k : 2 * k + 2] @ c[k] for k in range(3)])
    ends = by_hand(said[member], np.abs(errors), 0.8)
    np.testing.assert_allclose(found.bounds(0.8, phi, values, None), np.hstack(ends))
    assert "25 rows" in found.told(0.8)
    assert "at least 60 %" in found.told(0.8)


def test_rows_of_a_group_count_as_one():
    errors = np.concatenate([np.full(90, 5.0), np.linspace(0.1, 1, 10)])[:, None]
    group = np.concatenate([np.zeros(90, int), np.arange(1, 11)])
    member = np.arange(100) % 2
    about = errors, np.ones(100), group, member, np.zeros((2, 1, 1))
    found = LeftOutModels.of_members(*about)
    assert found.n_groups == 11
    assert found.bounds(0.5, np.ones((1, 2)), np.zeros((1, 1)), None)[0, 1] == pytest.approx(0.6)


@pytest.mark.parametrize(("left", "known"), [(1e-12, False), (1e-8, True)])
def test_a_row_that_is_known_by_itself_alone_may_be_anywhere(left, known):
    x = np.concatenate([np.linspace(0, 1, 12), [5.0]])
    phi = np.stack([x < 2, x > 2], axis=1).astype(float)
    roots = np.diag([12**-0.5, np.sqrt(1 - left)])
    found = LeftOutModels.of_rows(phi, x[:, None], np.zeros((13, 1)), np.ones(13), roots)
    assert np.isfinite(found.errors[:-1]).all()
    assert np.isfinite(found.errors[-1, 0]) == known
    at = phi[-1:], np.zeros((1, 1)), found.moves(phi)
    assert np.isfinite(found.bounds(0.92, *at)).all() == known
    assert np.isfinite(found.bounds(0.8, *at)).all()


def test_members_of_a_mean_have_intervals_that_a_file_keeps(tmp_path):
    x, y = rows(300, seed=3)
    model = ab.fit(x, y[:, 0], ab.NeuralBasis(4, 1), ensemble=3, max_steps=20)
    left = model.error_model.left_out
    assert (left.kind, len(left.errors)) == ("cv+", 90)  # 30 rows of each of three folds of ten
    # Members are said with the coefficients that they had before all rows were solved for.
    by_member = model.functions(x).reshape(300, 3, -1)
    said = np.einsum("nkp,kpq->nkq", by_member, left.coefficients)
    off = np.abs(model.output_map(y[:, :1])[:, None] - said)[:, :, 0]
    for error, k in zip(np.abs(left.errors[:, 0]), left.member, strict=True):
        assert np.abs(off[:, k] - error).min() < 1e-9
    lower, upper = model.predict_interval(x, method="cv+")
    assert 0.8 < np.mean((lower < y[:, 0]) & (y[:, 0] < upper)) < 0.98
    model.save(tmp_path / "m.adabasis")
    again = ab.load(tmp_path / "m.adabasis").predict_interval(x, method="cv+")
    np.testing.assert_array_equal(again, (lower, upper))


def test_files_keep_what_leaves_rows_out(fitted, tmp_path):
    x, _, model = fitted
    model.save(tmp_path / "m.adabasis")
    again = ab.load(tmp_path / "m.adabasis")
    found = [m.predict_interval(x, method="jackknife+") for m in (model, again)]
    np.testing.assert_array_equal(*found)


def test_too_few_rows_have_bounds_that_are_infinite(fitted):
    x, _, model = fitted
    with pytest.warns(UserWarning, match=r"jackknife\+.*at least 99 rows.*there are 40 rows"):
        assert np.isinf(model.predict_interval(x[:2], 0.99, method="jackknife+")).all()


@pytest.mark.parametrize(
    ("about", "words"),
    [
        ({"method": "jackknife"}, r"predict_interval\(X, method='jackknife'\): expected 'auto'"),
        ({"method": "cv+"}, r"mean of members.*This model has 'jackknife\+'.*method='auto'"),
        ({"method": "jackknife+", "of": "mean"}, r"of='mean'\): it is of new values"),
    ],
)
def test_methods_that_a_model_does_not_have_are_named(fitted, about, words):
    x, _, model = fitted
    with pytest.raises(ValueError, match=words):
        model.predict_interval(x[:2], **about)


def test_estimators_pass_methods_on():
    x, y = rows()
    model = ab.AdaptiveBasisRegressor().fit(x, y[:, 0])
    lower, upper = model.predict_interval(x, method="jackknife+")
    assert np.mean((lower < y[:, 0]) & (y[:, 0] < upper)) > 0.8
    held = ab.fit(x, y[:, 0], Polynomial(1), ridge=RIDGE, holdout=0.3)
    with pytest.raises(ValueError, match="no holdout"):
        held.predict_interval(x, method="jackknife+")

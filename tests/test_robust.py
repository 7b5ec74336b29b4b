"""Losses that wild rows do not rule, and the list of such rows."""

import dataclasses

import numpy as np
import pytest
from sklearn.linear_model import QuantileRegressor

import adabasis as ab
from adabasis import lstsq
from adabasis._runtime.errors import BadInput
from adabasis.cli.options import FitOptions
from adabasis.evidence import outliers
from adabasis.evidence.outliers import expected
from adabasis.lstsq.losses import HUBER, Loss, robust_scale

pytestmark = pytest.mark.plain_scope
N, RNG = 120, np.random.default_rng(0)
X = RNG.uniform(size=(N, 1))
NOISE = 0.05 * RNG.normal(size=N)
GRID = np.linspace(0, 1, 120)[:, None]
WILD = [5, 40, 77]
BASIS = ab.FrozenFeatures(32)


def sine(x):
    return np.sin(2 * np.pi * x[:, 0])


def spoiled(y, rows=WILD, by=1000.0):
    return y + by * np.isin(np.arange(len(y)), rows)


def error(model, truth=sine):
    return np.sqrt(np.mean((model(GRID) - truth(GRID)) ** 2))


def rows_of(model):
    return sorted(one.row for one in model.record.outliers)


CLEAN = sine(X) + NOISE


@pytest.fixture(scope="module")
def clean():
    return ab.fit(X, CLEAN, BASIS)


@pytest.fixture(scope="module")
def huber():
    return ab.fit(X, spoiled(CLEAN), BASIS, loss="huber")


def test_wild_rows_do_not_matter_to_hubers_loss_and_are_listed(clean, huber):
    plain = ab.fit(X, spoiled(CLEAN), BASIS)
    assert error(plain) > 5
    assert error(huber) < 1.3 * error(clean)
    assert rows_of(plain) == rows_of(huber) == WILD
    assert rows_of(clean) == [] == list(clean.notes)
    assert "y[40] = 999.5 where" in plain.notes[0]
    assert plain.notes[0].endswith("Or use loss='huber'.")
    assert "in these columns" not in plain.verdict
    one = next(one for one in huber.record.outliers if one.row == 40)
    assert one.value == spoiled(CLEAN)[40]
    assert abs(one.expected - sine(X)[40]) < 0.1


def test_the_claim_is_that_of_the_other_rows(clean, huber):
    assert huber.validation_error == pytest.approx(clean.validation_error, rel=0.2)
    assert huber.validation_kind.endswith("3 outliers left aside")
    assert "3 of 120 are left aside" in huber.verdict
    judged = ab.fit(X, spoiled(CLEAN), BASIS, loss="huber", holdout=0.2)
    assert judged.validation_error < 0.3
    assert rows_of(judged) == WILD


@pytest.mark.parametrize("unit", [1e6, 1e-9])
def test_units_do_not_matter(huber, unit):
    scaled = ab.fit(X, unit * spoiled(CLEAN), BASIS, loss="huber")
    np.testing.assert_allclose(scaled(GRID), unit * huber(GRID), rtol=0, atol=1e-4 * unit)
    assert rows_of(scaled) == WILD


@pytest.mark.parametrize("loss", ["huber", "absolute"])
def test_exact_rows_have_no_scale(loss):
    assert error(ab.fit(X, spoiled(sine(X)), BASIS, loss=loss)) < 1e-5
    flat = ab.fit(X, spoiled(np.full(N, 2.0), [7]), BASIS, loss=loss)
    np.testing.assert_allclose(flat(GRID), 2.0, rtol=1e-9)
    assert rows_of(flat) == [7]


def test_replicates_targets_and_weights():
    # A wild reading among ten at one place, in one of two targets, by weights that count.
    x = np.repeat(np.linspace(0, 1, 12), 10)[:, None]
    y = np.stack([sine(x), np.cos(3 * x[:, 0])], axis=1)
    y += 0.05 * np.random.default_rng(1).normal(size=y.shape)
    y[35, 1] += 50.0
    weight = np.where(np.arange(N) < 60, 2.0, 1.0)
    model = ab.fit(x, y, BASIS, loss="huber", sample_weight=weight)
    assert [(one.row, one.output) for one in model.record.outliers] == [(35, 1)]
    assert "y[35, 1] = 5" in model.notes[0]
    assert np.abs(model(x) - np.stack([sine(x), np.cos(3 * x[:, 0])], axis=1)).max() < 0.15


def test_a_robust_model_is_refitted_and_stored_with_its_loss(huber, tmp_path):
    huber.save(tmp_path / "m.adabasis")
    loaded = ab.load(tmp_path / "m.adabasis")
    assert loaded.record == huber.record
    again = ab.refit(loaded, X, spoiled(CLEAN, [3], -500.0))
    assert error(again) < 0.05
    assert rows_of(again) == [3]
    assert sum("outlier" in note for note in again.notes) == 1


# Finding outliers ------------------------------------------------------------------------------


NOISES = {
    "normal": lambda rng: rng.normal(size=N),
    "uniform": lambda rng: rng.uniform(-1.7, 1.7, size=N),
    "t5": lambda rng: rng.standard_t(5, size=N) / 1.29,
    "exponential": lambda rng: rng.exponential(size=N) - 1,
    "uneven": lambda rng: rng.normal(size=N) * (0.2 + 2 * X[:, 0]),
}


def alarms(y, x=X):
    return np.flatnonzero(expected(x, y, np.ones(len(y))).outlying).tolist()


@pytest.mark.parametrize("noise", NOISES)
def test_clean_rows_seldom_alarm(noise):
    drawn = [NOISES[noise](np.random.default_rng(seed)) for seed in range(15)]
    assert sum(bool(alarms(sine(X) + 0.1 * e)) for e in drawn) <= 1


def test_few_normal_rows_are_set_aside():
    far = [expected(X, sine(X) + NOISES["normal"](np.random.default_rng(s)), np.ones(N)).far
           for s in range(8)]  # fmt: skip
    assert np.mean(far) < 0.002


@pytest.mark.parametrize(
    "truth",
    [
        lambda x: np.where(x < 0.37, 0.0, 1.0),
        lambda x: np.tanh(100 * (x - 0.5)),
        lambda x: (5 * x) % 1,
        lambda x: np.exp(8 * x),
        lambda x: np.exp(-(((x - 0.5) / 0.05) ** 2)),
    ],
    ids=["jump", "steep", "saw", "exponential", "peak"],
)
def test_what_no_smooth_function_follows_is_no_outlier(truth):
    y = truth(X[:, 0])
    assert alarms(y + 0.02 * np.ptp(y) * RNG.normal(size=N)) == []


def jump(x):
    return np.where(x < 0.37, 0.0, 1.0)


def jumps(x):
    return np.where(x < 0.37, 0.0, np.where(x < 0.7, 1 + x, -1.0))


@pytest.mark.parametrize(
    ("constant", "off", "truth", "noise", "n", "seed"),
    [
        ("BETWEEN", 2.0, jumps, 0.0, 120, 1),
        ("NEIGHBOURS_TELL", 0, jump, 0.0, 30, 2),
        ("ALIKE", 1.0, jump, 0.02, 120, 3),
        ("LEAST_SCALE", 1e-12, jump, 0.0, 120, 1),
    ],
)
def test_what_keeps_a_jump_from_alarming(monkeypatch, constant, off, truth, noise, n, seed):
    rng = np.random.default_rng(seed)
    x = rng.uniform(size=(n, 1))
    y = truth(x[:, 0])
    y += noise * np.ptp(y) * rng.normal(size=n)
    assert alarms(y, x) == []
    monkeypatch.setattr(outliers, constant, off)
    assert alarms(y, x) != []


@pytest.mark.parametrize(
    ("constant", "off", "speed", "noise", "n", "seed"),
    [("FEW", 0.0, 2 * np.pi, 0.1, 12, 7), ("SLOPES", (1.0,), 12.0, 0.0, 120, 2)],
)
def test_what_keeps_waves_and_few_rows_from_alarming(
    monkeypatch, constant, off, speed, noise, n, seed
):
    rng = np.random.default_rng(seed)
    x = rng.uniform(size=(n, 1))
    y = np.sin(speed * x[:, 0])
    y += noise * np.ptp(y) * rng.normal(size=n)
    x = outliers.unit_box(x)
    assert alarms(y, x) == []
    monkeypatch.setattr(outliers, constant, off)
    assert alarms(y, x) != []


@pytest.mark.parametrize("by", [2.0, 1e4])
@pytest.mark.parametrize("n_inputs", [1, 2, 5])
def test_outliers_are_found_at_the_edges_and_among_many(n_inputs, by):
    rng = np.random.default_rng(2)
    x = rng.uniform(size=(N, n_inputs))
    order = np.argsort(x[:, 0])
    wild = sorted([order[0], order[-1], *order[50:60:3]])
    y = sine(x / 2) + 0.05 * rng.normal(size=N)
    assert alarms(y + by * np.isin(np.arange(N), wild), x) == wild


# Losses on a given basis -----------------------------------------------------------------------

A = np.polynomial.legendre.legvander(2 * X[:, 0] - 1, 9)


def settled(loss, y=CLEAN):
    def solve(share, values):
        root = np.sqrt(share)[:, None]
        return (A @ lstsq.factorize(root * A).solve(root * values[:, None]))[:, 0]

    return loss.minimized(np.zeros(N), y, solve, lambda r: robust_scale(r, np.ones(N))).values


def test_hubers_loss_is_at_its_least():
    y = spoiled(CLEAN)
    residual = y - settled(Loss("huber"), y)
    most = HUBER * robust_scale(residual, np.ones(N))
    assert np.abs(A.T @ np.clip(residual, -most, most)).max() < 1e-3 * most


@pytest.mark.parametrize("quantile", [0.5, 0.1, 0.95])
def test_quantiles_are_those_of_a_linear_program(quantile):
    loss = Loss("quantile", quantile)
    best = QuantileRegressor(quantile=quantile, alpha=0, fit_intercept=False).fit(A, CLEAN)
    least = loss.values(CLEAN - best.predict(A)).mean()
    assert loss.values(CLEAN - settled(loss)).mean() < 1.01 * least


def test_quantiles_cover_rows_not_seen():
    def drawn(n, rng):
        x = rng.uniform(size=(n, 1))
        return x, sine(x) + (0.05 + 0.5 * x[:, 0]) * rng.normal(size=n)

    rng = np.random.default_rng(3)
    model = ab.fit(*drawn(400, rng), BASIS, loss="quantile", quantile=0.9)
    x, y = drawn(5000, rng)
    for half in (x[:, 0] < 0.5, x[:, 0] > 0.5):
        assert np.mean(y[half] < model(x[half])) == pytest.approx(0.9, abs=0.04)
    assert "of squares" in model.validation_kind or "quantile loss" in model.validation_kind
    assert "linear model" in model.verdict or "constant" in model.verdict
    assert 0.3 < model.validation_error < 1


# What cannot be meant --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"loss": "hubert"}, "expected one of 'squared', 'huber', 'absolute', 'quantile'"),
        ({"loss": "quantile", "quantile": 1.0}, "expected a number between 0 and 1"),
        ({"loss": "huber", "quantile": 0.9}, "only loss='quantile' has a quantile"),
        ({"loss": "huber", "method": "gd"}, "joint training lowers squares alone"),
    ],
)
def test_what_cannot_be_meant_is_refused(options, words):
    with pytest.raises(ValueError, match=r"^fit\(") as caught:
        ab.fit(X, CLEAN, ab.NeuralBasis(8, 1), **options)
    assert words in str(caught.value)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"loss": "hubert"}, "--loss hubert"),
        ({"robust": True, "loss": "absolute"}, "exclude each other"),
        ({"quantile": 0.9}, "only with --loss quantile"),
        ({"loss": "quantile", "quantile": 2.0}, "between 0 and 1"),
    ],
)
def test_options_that_cannot_be_meant_are_refused(options, words):
    with pytest.raises(BadInput, match=words):
        FitOptions(target=("y",), **options).check()
    assert FitOptions(robust=True).losses == {"loss": "huber"}


def test_estimators_take_losses(huber):
    model = ab.AdaptiveBasisRegressor(loss="huber", method="frozen", width=16, depth=1)
    assert rows_of(model.fit(X, spoiled(CLEAN)).fitted_) == WILD
    assert dataclasses.replace(huber.record.asked, loss="squared") != huber.record.asked


def test_outliers_of_a_target_in_logarithms_are_outliers_there():
    rng = np.random.default_rng(0)
    x = 10 ** rng.uniform(0, 3, (120, 1))
    y = 2 * x[:, 0] ** 1.5 * np.exp(0.05 * rng.normal(size=120))
    clean = ab.fit(x, y, target_transform="log")
    assert not clean.record.outliers
    y[7] *= 100
    (found,) = ab.fit(x, y, target_transform="log").record.outliers
    assert found.row == 7
    assert found.value == y[7]
    assert 0.5 < found.expected / (y[7] / 100) < 2


@pytest.mark.parametrize("loss", ["huber", "absolute", "quantile"])
def test_losses_are_those_of_a_transformed_target(loss):
    y = np.exp(3 * CLEAN)
    wild = y * np.where(np.isin(np.arange(N), WILD), 1e-4, 1.0)
    asked = {"loss": loss, **({"quantile": 0.8} if loss == "quantile" else {})}
    model = ab.fit(X, wild, BASIS, target_transform="log", **asked)
    logs = ab.fit(X, np.log(wild), BASIS, **asked)
    assert rows_of(model) == rows_of(logs) == WILD
    ratio = model(GRID) / np.exp(logs(GRID))
    if loss == "huber":  # the mean, by those of the other rows
        about = np.exp(np.average(np.log(ratio)))
        kept = np.setdiff1d(np.arange(N), WILD)
        assert abs(about / np.mean(y[kept] / np.exp(logs(X[kept]))) - 1) < 0.02
        ratio /= about
    np.testing.assert_allclose(ratio, 1.0, atol=1e-3)
    assert 0.02 < model.validation_error < 1
    with pytest.raises(ValueError, match="logarithm of target 1 is asked for"):
        ab.fit(X, -wild, BASIS, target_transform="log", **asked)


def test_a_transform_that_the_outliers_have_not_is_none():
    y = spoiled(np.exp(3 * CLEAN))
    y[WILD] *= -1
    # Functions as drawn may be ill suited to the transformed values, as those of seed 0 are.
    model = ab.fit(X, y, BASIS, loss="huber", target_transform="auto", random_state=1)
    assert model.record.transforms["targets"] == ["yeo-johnson"]
    assert error(model, lambda x: np.exp(3 * sine(x))) < 1.0
    assert rows_of(model) == WILD


def test_outliers_of_many_rows_are_those_that_all_neighbours_tell(monkeypatch):
    """Neighbours are looked for of few rows, and a random choice tells the tail: the same rows."""
    r = np.random.default_rng(0)
    z = r.uniform(size=(6000, 2))
    t = np.sin(5 * z[:, 0]) + 0.1 * r.standard_t(5, size=6000)
    wild = r.choice(6000, 300, replace=False)
    t[wild] += 3 * np.sign(r.normal(size=300))
    assert len(t) > 2 * outliers.TAIL_ROWS
    some = outliers.expected(z, t, np.ones(6000))
    monkeypatch.setattr(outliers, "TAIL_ROWS", 3000)
    every = outliers.expected(z, t, np.ones(6000))
    assert (some.far == every.far).all()
    assert (some.outlying != every.outlying).sum() <= 5
    assert some.outlying[wild].mean() > 0.95
    assert np.delete(some.outlying, wild).sum() < 10

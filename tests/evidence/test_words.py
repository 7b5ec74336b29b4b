"""What is said of a fit follows from what rows showed; kinds of faults that were seen."""

import re

import numpy as np
import pandas as pd
import pytest

import adabasis as ab
from adabasis import FrozenFeatures, classify, fit, fit_pounet
from adabasis.cli import main
from adabasis.evidence.classes import judge_classes
from adabasis.evidence.split import split

pytestmark = pytest.mark.plain_scope


def test_a_clean_wave_of_many_periods_is_not_called_nothing():
    x = np.linspace(0, 1, 300)[:, None]
    model = fit(x, np.sin(40 * np.pi * x[:, 0]), FrozenFeatures(145, scale=8.0), method="frozen")
    assert model.validation_error < 0.1
    assert "times the accuracy" in model.verdict
    assert "No better" not in model.verdict


@pytest.mark.parametrize(("low", "high"), [(0, 1), (-5, 5), (1e6, 1e6 + 1)])
def test_a_column_of_two_values_that_explains_everything_does(low, high):
    r = np.random.default_rng(0)
    X = np.c_[r.choice([low, high], 200), r.uniform(size=200)]
    model = fit(X, 3 + 4 * (X[:, 0] == high), FrozenFeatures(30))
    assert model.validation_error < 1e-8
    assert "No better" not in model.verdict


def test_imbalance_is_judged_by_cross_entropy():
    r = np.random.default_rng(0)
    X = r.normal(size=(800, 2))
    y = r.random(800) < 1 / (1 + np.exp(6 - 2.5 * X[:, 0]))
    rows = split(X, 0.3, 0)
    # A draw for which the claim holds: of six, one does, as it did for one of those drawn in JAX.
    model = classify(X[rows[0]], y[rows[0]], FrozenFeatures(20), method="frozen", random_state=2)
    verdict = judge_classes(model, X, y, None, rows)
    assert verdict.scores[0].relative >= 0.8 * verdict.scores[-1].relative, "labels tell nothing"
    assert "no more than" not in verdict.sentence
    assert not any("found nothing" in advice for advice in verdict.advice)


def test_twelve_right_labels_are_not_a_hundred_percent():
    r = np.random.default_rng(0)
    X = r.normal(size=(60, 2))
    y = X[:, 0] > 0
    model = classify(X[:48], y[:48], FrozenFeatures(10), method="frozen")
    verdict = judge_classes(model, X, X[:, 0] > 0, None, (np.arange(48), np.arange(48, 60)))
    assert "(at least " in verdict.sentence
    assert "12 rows cannot see what happens on fewer than 25 % of all rows." in verdict.advice


JUMPS = {
    "two": lambda x: x + (x > 0.31) - 2 * (x > 0.72),
    "large units": lambda x: 1e9 * (x + (x > 0.5)),
}


@pytest.mark.parametrize("name", JUMPS)
def test_where_a_piece_ends_is_known_up_to_the_rows_beside_it(name):
    x = np.linspace(0, 1, 120)[:, None]
    model = fit_pounet(x, JUMPS[name](x[:, 0]), max_steps=30)
    fresh = np.random.default_rng(1).uniform(size=(20_000, 1))
    t = JUMPS[name](fresh[:, 0])
    assert model.validation_error >= np.sqrt(np.mean((model(fresh) - t) ** 2)) / t.std() / 1.5


def test_a_kink_that_pieces_meet_at_is_known():
    x = np.linspace(0, 1, 120)[:, None]
    assert fit_pounet(x, np.abs(x[:, 0] - 0.3), max_steps=30).validation_error < 1e-9


def test_rows_held_out_by_luck_do_not_hide_a_border(capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    x = np.linspace(0, 1, 100)
    pd.DataFrame({"x": x, "y": x + (x > 0.5)}).to_csv("t.csv", index=False)
    main(["fit", "t.csv", "--target", "y", "--model", "pounet", "--no-report"])
    said = " ".join(capsys.readouterr().out.split())
    assert "Over 99 times" not in said
    assert "all rows, each in the pieces of its neighbours" in said
    assert ab.load("t.adabasis").validation_error > 0.05


@pytest.mark.parametrize("holdout", [0.25, "last"])
@pytest.mark.parametrize("classes", [False, True])
def test_rows_held_out_of_everything_judge_the_model(holdout, classes):
    r = np.random.default_rng(0)
    X, groups = r.uniform(size=(120, 2)), np.arange(120) // 6
    y = X[:, 0] + X[:, 1] ** 2 + 0.05 * r.normal(size=120)
    y, call = (y > 0.8, classify) if classes else (y, fit)
    model = call(X, y, FrozenFeatures(15), groups=groups, holdout=holdout, method="frozen")
    n = 24 if holdout == "last" else 30
    kinds = rf"{n} rows held out|leave-one-|5-fold|\d+ of {120 - n} distinct rows held out"
    assert re.match(kinds, model.validation_kind)  # the worst there is
    assert model.record.n_rows == 120, "solved again with all"
    assert f"{n} rows cannot see" in model.verdict
    assert model.validation_range[0] <= model.validation_range[1]


def test_groups_change_what_is_claimed():
    r = np.random.default_rng(0)
    group = np.repeat(np.arange(30), 8)
    X = r.uniform(-1, 1, (30, 3))[group] + 0.01 * r.normal(size=(240, 3))
    y = r.normal(size=30)[group] + 0.01 * r.normal(size=240)
    options = {"method": "frozen"}
    told = fit(X, y, FrozenFeatures(60), groups=group, **options)
    assert told.validation_error > 0.8
    assert "leave-one-group-out" in told.validation_kind


def test_an_outlying_row_that_determines_a_function_alone_is_not_error_zero():
    x = np.r_[np.linspace(0, 1, 190), np.linspace(2, 30, 10)][:, None]
    model = fit(x, np.sin(x[:, 0]), FrozenFeatures(90), method="frozen", ridge=0.0)
    assert model.validation_error > 0.1


def over_decades(r, n):
    return 3 * 10 ** (r.uniform(-3, 3, n) + r.uniform(-2, 2, n))


def beside_a_pole(r, n):
    return 1 / (0.001 + r.uniform(size=n))


@pytest.mark.parametrize("spread", [over_decades, beside_a_pole])
def test_few_rows_that_have_the_spread_are_named_and_nothing_is_praised(spread):
    r = np.random.default_rng(1)
    y = spread(r, 150)
    X = np.c_[np.log(y), r.normal(size=150)]
    model = fit(X, y, FrozenFeatures(40), method="frozen", random_state=0)
    assert "half of the target's spread" in model.verdict
    assert "times the accuracy" not in model.verdict
    assert "--model pounet" not in model.verdict


def test_a_spread_of_many_rows_is_not_called_one_of_few():
    r = np.random.default_rng(1)
    x = r.normal(size=(150, 2))
    model = fit(x, np.sinh(x[:, 0]), FrozenFeatures(40), method="frozen", random_state=0)
    assert "half of the target's spread" not in model.verdict
    assert "times the accuracy" in model.verdict

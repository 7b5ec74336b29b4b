"""The verdict: nothing is given away, and no difference is claimed that is not there."""

import json
import types

import numpy as np
import pytest

import adabasis as ab
from adabasis.evidence import verdict
from adabasis.evidence.judge import judge
from adabasis.evidence.peers import USUAL
from adabasis.evidence.split import split
from adabasis.models.record import Asked
from adabasis.train import StopReason

pytestmark = pytest.mark.plain_scope
RNG = np.random.default_rng(0)
X = RNG.uniform(-1, 1, (300, 2))
PLAIN = ("linear model", "constant")


def model(function, stop_reason=StopReason.CONVERGED, method="auto"):
    """Return what judge asks of a fitted model."""

    class Model(types.SimpleNamespace):
        def __call__(self, x):
            return function(x).reshape(len(x), -1)

    record = types.SimpleNamespace(asked=Asked("fit", method))
    own = {"validation_error": np.nan, "validation_kind": "none"}
    return Model(stop_reason=stop_reason, record=record, **own)


def judged(function, y, peers=PLAIN, weight=None, x=X, **options):
    rows = split(x, 0.2, 0)
    return judge(model(function, **options), x, y.reshape(len(x), -1), weight, rows, peers)


def curved(x):
    return np.sin(3 * x[:, 0]) + x[:, 1] ** 2


def noisy(scale, seed=1):
    return lambda x: curved(x) + scale * np.random.default_rng(seed).normal(size=len(x))


def test_the_split_has_the_asked_share_and_loses_no_row():
    kept, out = split(X, 0.2, 0)
    assert len(out) == 60
    assert sorted([*kept, *out]) == list(range(300))
    assert not np.array_equal(out, split(X, 0.2, 1)[1])


def test_repeated_measurements_stay_on_one_side():
    x = np.repeat(X[:50], 4, axis=0)
    kept, out = split(x, 0.2, 0)
    assert len(out) == 40
    assert not {tuple(row) for row in x[kept]} & {tuple(row) for row in x[out]}


@pytest.mark.parametrize(("rows", "share"), [(9, 0.2), (300, 0.0)])
def test_nothing_is_held_out_of_few_rows_or_if_not_wanted(rows, share):
    kept, out = split(X[:rows], share, 0)
    assert len(kept) == rows
    assert not len(out)


def test_errors_are_root_mean_squares_in_units_and_relative():
    y = curved(X)
    found = judged(lambda x: curved(x) + 0.5, y)
    out = split(X, 0.2, 0)[1]
    assert found.scores[0].rmse == pytest.approx((0.5,))
    assert found.scores[0].relative == pytest.approx(0.5 / y[out].std())
    assert [score.name for score in found.scores] == ["this model", *PLAIN]
    assert (found.rows_fitted, found.rows_held_out) == (240, 60)


def test_weights_weigh_the_errors():
    weight = np.where(X[:, 0] > 0, 1.0, 3.0)
    out = split(X, 0.2, 0)[1]
    found = judged(lambda x: curved(x) + (x[:, 0] > 0), curved(X), weight=weight)
    share = weight[out][X[out, 0] > 0].sum() / weight[out].sum()
    assert found.scores[0].rmse[0] == pytest.approx(np.sqrt(share))


@pytest.mark.parametrize(
    ("function", "y", "words"),
    [
        (
            noisy(1e-3),
            curved(X),
            "Over 99 times the accuracy of the best of the others (linear model)",
        ),
        (noisy(3.0), curved(X), "Better here: "),
        (lambda x: x @ [1.0, 2.0], X @ [1.0, 2.0], "No clear difference"),
        (lambda x: 0 * x[:, 0], RNG.normal(size=300), "No better than a constant"),
        (lambda x: 0 * x[:, 0], np.ones(300), "does not vary"),
    ],
)
def test_the_sentence_says_what_the_rows_say(function, y, words):
    assert words in judged(function, y).sentence


def test_equal_figures_are_not_called_better():
    a = RNG.chisquare(1, size=100)
    a *= 0.0158**2 / a.mean()
    rows = verdict.Judged(X[:100], np.ones(100), np.arange(100), 200)
    for more, words in ((1.05, "As good as the best"), (1.2, "Better here: linear model (error")):
        losses = {verdict.OURS: more * a, "linear model": a, "constant": 0 * a + 1}
        found = {name: verdict.Predictions(one, ()) for name, one in losses.items()}
        assert words in verdict.Comparison(rows, found).verdict().sentence


def test_a_constant_target_asks_for_no_other_columns():
    model = ab.fit(X[:20], np.full(20, 0.1))
    assert model.verdict == "The target does not vary on these rows: there is nothing to compare."


def test_few_rows_of_classes_say_that_nothing_is_known():
    (note,) = ab.classify(X[:12], np.where(X[:12, 0] > 0, "a", "b")).notes
    assert "12 distinct rows of fewer than 40" in note


def test_a_few_large_errors_of_another_do_not_hide_that_it_is_behind_everywhere():
    """By the mean alone twelve rows with one outlier would tell nothing."""
    difference = np.array([1.0] * 11 + [100.0])
    assert difference.mean() / difference.std() * np.sqrt(12) < 2
    assert verdict._standard_errors(difference) > 3
    assert verdict._standard_errors(-difference) < -3


def test_chance_makes_no_winner():
    """Two models of equal quality: in at most one run of ten a difference is claimed."""
    claims = 0
    for seed in range(100):
        errors = np.random.default_rng(seed).normal(size=(2, 200)) ** 2
        claims += abs(verdict._standard_errors(errors[0] - errors[1])) > verdict.CLEAR
    assert claims <= 10


@pytest.mark.parametrize(
    ("function", "y", "options", "words"),
    [
        (curved, curved(X), {"stop_reason": StopReason.MAX_SECONDS}, "Give it more time"),
        (curved, curved(X), {"stop_reason": StopReason.MAX_STEPS}, "max_steps"),
        (lambda x: x @ [1.0, 2.0], X @ [1.0, 2.0], {}, "A linear model does as well"),
        (lambda x: 0 * x[:, 0], RNG.normal(size=300), {}, "other columns or more rows may"),
        (noisy(0.1), curved(X), {"method": "frozen"}, "--model network"),
    ],
)
def test_it_says_what_to_try_next(function, y, options, words):
    assert any(words in advice for advice in judged(function, y, **options).advice)


def test_few_rows_are_said_to_be_few():
    found = judged(curved, curved(X[:40]), x=X[:40])
    assert any("8 rows are few to judge by" in advice for advice in found.advice)
    assert not any("few to judge" in advice for advice in judged(curved, curved(X)).advice)


def test_a_target_without_spread_gives_no_advice_and_survives_json():
    found = judged(lambda x: np.ones(len(x)), np.ones(300))
    assert found.advice == ()
    assert np.isnan(found.scores[0].relative)
    again = verdict.Verdict.from_json(json.loads(json.dumps(found.to_json(), allow_nan=False)))
    assert np.isnan(again.scores[0].relative)
    assert again.sentence == found.sentence


@pytest.mark.parametrize("unit", [1e-12, 1.0, 1e12])
def test_units_change_nothing_but_the_units(unit):
    y = curved(X)
    plain = judged(noisy(0.01), y, USUAL)
    scaled = judged(lambda x: unit * noisy(0.01)(x), unit * y, USUAL)
    for a, b in zip(plain.scores, scaled.scores, strict=True):
        assert b.relative == pytest.approx(a.relative, rel=1e-6)
        assert b.rmse[0] == pytest.approx(unit * a.rmse[0], rel=1e-6)
    assert plain.sentence == scaled.sentence


def test_no_ratio_is_claimed_that_the_rows_cannot_tell():
    y = curved(X)
    few = judged(noisy(0.3), y).scores
    best = min(few[1:], key=lambda score: score.relative)
    assert 1 < best.times < best.relative / few[0].relative
    low, high = few[0].range
    assert low < few[0].relative < high
    assert few[0].relative < few[0].claim < 1.3 * high


def test_rows_of_a_group_are_drawn_together():
    y, rows = curved(X), split(X, 0.2, 0)
    shared = np.arange(300) % 12
    about = model(noisy(0.1)), X, y[:, None], None, rows, PLAIN
    alone, together = (judge(*about, groups=g).scores[0] for g in (None, shared))
    assert together.range[1] - together.range[0] != alone.range[1] - alone.range[0]


def test_errors_in_one_place_are_said_to_be_there():
    y = curved(X)
    found = judged(lambda x: curved(x) + 0.8 * (np.abs(x[:, 1] - 0.4) < 0.04), y)
    assert any("beside input 2 ≈ 0.4" in one and "--model pounet" in one for one in found.advice)
    assert not any("beside input" in one for one in judged(noisy(0.1), y).advice)


def test_the_linear_model_sees_columns_of_any_size():
    """Scikit-learn's own cut-off drops the third of these, and says nothing."""
    x = RNG.normal(size=(300, 3)) * [1.0, 1e-5, 1e-9]
    y = x @ [1.0, 1e5, 1e9]
    scores = judged(lambda x: x @ [1.0, 1e5, 1e9], y, x=x).scores
    assert scores[1].name == "linear model"
    assert scores[1].relative < 1e-10

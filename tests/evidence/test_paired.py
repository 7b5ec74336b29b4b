"""Two models on the same rows: the test keeps its level, finds what is there, and says so."""

import warnings

import numpy as np
import pytest
from scipy.stats import binomtest, ttest_1samp
from sklearn.dummy import DummyClassifier, DummyRegressor
from sklearn.linear_model import LinearRegression, LogisticRegression

import adabasis as ab
from adabasis.evidence.paired import PairedDifference, PairedTest, Units, few_rows_decide
from adabasis.models import comparison, predictions

rng = np.random.default_rng(0)
X = rng.normal(size=(300, 2))
Y = X[:, 0] + rng.normal(size=300)
LABELS = np.where(Y > 0, "up", "down")


def rows(n):
    return Units(np.ones(n), np.arange(n))


def alarms(draw, n, draws=200, seed=1):
    rng = np.random.default_rng(seed)
    test = PairedTest(rows(n), 0.05)
    return sum(test.sign(a**2 - b**2) != 0 for a, b in (draw(rng, n) for _ in range(draws)))


def scaled_alike(rng, n):
    size = np.exp(1.5 * rng.normal(size=n))
    return size * rng.normal(size=n), size * rng.normal(size=n)


def shared(rng, n):
    both = rng.standard_t(3, size=n)
    return both + 0.3 * rng.normal(size=n), both + 0.3 * rng.normal(size=n)


@pytest.mark.parametrize(
    "draw",
    [
        lambda rng, n: rng.normal(size=(2, n)),
        lambda rng, n: rng.standard_t(2.5, size=(2, n)),
        lambda rng, n: rng.standard_cauchy(size=(2, n)),
        scaled_alike,
        shared,
    ],
    ids=["normal", "t of 2.5", "Cauchy", "lognormal sizes", "mostly shared"],
)
@pytest.mark.parametrize("n", [30, 1000])
def test_of_200_equal_pairs_at_most_16_seem_to_differ(draw, n):
    assert alarms(draw, n) <= 16


def test_a_tenth_less_error_is_found_in_four_fifths_of_draws_of_1000_rows():
    assert alarms(lambda rng, n: (rng.normal(size=n), 1.1 * rng.normal(size=n)), 1000) >= 160


def test_a_few_large_differences_that_say_what_most_others_say_hide_nothing():
    def draw(rng, n):
        return 0.3 * rng.normal(size=n), rng.standard_t(2, size=n) ** 2 - 1

    assert alarms(draw, 30) >= 190  # Student's test alone: 21
    against = rng.normal(size=100)  # others that say the contrary count in full
    against[:5] = -30
    assert PairedTest(rows(100), 0.05).sign(against**2 - 1.0) >= 0


def test_ten_rows_of_large_errors_in_one_model_raise_few_alarms():
    def draw(rng, n):
        size = np.where(rng.random(n) < 0.01, 10.0, 1.0) / np.sqrt(0.99 + 0.01 * 100)
        return rng.normal(size=n), size * rng.normal(size=n)

    assert alarms(draw, 1000) <= 24  # Student's test alone: 38


def test_the_test_is_students_and_ranges_end_where_it_does():
    a, b = rng.normal(size=(2, 200)) ** 2
    found = PairedDifference.of(rows(200), (a, b), 0.05, "RMSE")
    assert 0.9 * found.p_value == pytest.approx(ttest_1samp(a - b, 0).pvalue, rel=0.05)
    test = PairedTest(rows(200), 0.05)
    for ratio, difference in zip(found.ratio_range, found.difference_range, strict=True):
        assert test.p_value(a - ratio**2 * b) == pytest.approx(0.05, rel=0.01)
        assert test.p_value(a - b - difference) == pytest.approx(0.05, rel=0.01)
    assert found.a**2 - found.b**2 == pytest.approx(found.difference)
    back = PairedDifference.of(rows(200), (b, a), 0.05, "RMSE").swapped()
    assert back.ratio_range == pytest.approx(found.ratio_range)
    assert back.difference_range == pytest.approx(found.difference_range)


def test_repeated_rows_and_split_weights_change_nothing_where_they_are_one_group():
    a, b = rng.normal(size=(2, 60)) ** 2
    once = PairedDifference.of(rows(60), (a, b), 0.05, "RMSE")
    twice = Units(np.full(120, 0.5), np.tile(np.arange(60), 2))
    again = PairedDifference.of(twice, (np.tile(a, 2), np.tile(b, 2)), 0.05, "RMSE")
    for name in ("a", "b", "ratio_range", "difference_range", "p_value"):
        assert getattr(again, name) == pytest.approx(getattr(once, name))


def test_wrong_labels_of_single_rows_are_compared_exactly():
    a, b = (rng.random((2, 80)) < 0.3).astype(float)
    found = PairedDifference.of(rows(80), (a, b), 0.05, "wrong labels")
    only_a, only_b = int(((a > 0) & (b == 0)).sum()), int(((b > 0) & (a == 0)).sum())
    assert found.p_value == binomtest(only_a, only_a + only_b).pvalue


@pytest.mark.parametrize("size", [1e-200, 1e-5, 1.0, 1e150])
def test_units_do_not_matter(size):
    a, b = rng.normal(size=(2, 50, 1))
    zero = np.zeros((50, 1))
    found = comparison.compared(
        (predictions.Predicted(a * size), predictions.Predicted(b * size)), zero, rows(50)
    )
    plain = comparison.compared(
        (predictions.Predicted(a), predictions.Predicted(b)), zero, rows(50)
    )
    assert found.main.ratio_range == pytest.approx(plain.main.ratio_range)
    assert found.main.a == pytest.approx(plain.main.a * size)


def test_few_rows_that_decide_are_told():
    even, spiked = np.ones(100), np.r_[1e3, np.ones(99)]
    assert few_rows_decide(rows(100), (even, even)) == 0
    assert few_rows_decide(rows(100), (even, spiked)) == 1
    three = np.r_[np.full(3, 1e3), np.ones(97)]  # half of the sum in 2 of 100
    assert few_rows_decide(rows(100), (three, even)) == 2
    five = np.r_[np.full(5, 1e3), np.ones(95)]
    assert few_rows_decide(rows(100), (five, even)) == 0


@pytest.mark.parametrize(("n", "told"), [(29, True), (30, False)])
def test_thirty_rows_are_few_to_compare_by(n, told):
    found = ab.compare(lambda X: X[:, 0], lambda X: X[:, 1], X[:n], Y[:n])
    assert any("few" in note for note in found.notes) is told


def test_a_function_and_estimators_stand_side_by_side():
    line, flat = LinearRegression().fit(X, Y), DummyRegressor().fit(X, Y)
    found = ab.compare(line, flat, X, Y, names=("line", "mean"))
    assert found.better == "a"
    assert str(found).startswith("line errs less than mean on 300 rows: RMSE ")
    assert found.main.a == pytest.approx(np.sqrt(np.mean((line.predict(X) - Y) ** 2)))
    assert ab.compare(lambda X: X[:, 0], line, X, Y).better is None
    both = ab.compare(lambda X: X, lambda X: 2 * X, X, np.c_[Y, Y])
    assert [one.target for one in both.others] == ["y1", "y2"]
    assert both.better == "a"


def test_classes_are_compared_by_probabilities_and_by_labels():
    sure, flat = LogisticRegression().fit(X, LABELS), DummyClassifier().fit(X, LABELS)
    found = ab.compare(flat, sure, X, LABELS)
    assert (found.better, found.main.measure) == ("b", "cross-entropy")
    assert found.others[0].measure == "wrong labels"
    by_label = ab.compare(lambda X: np.where(X[:, 0] > 0, "up", "down"), sure, X, LABELS)
    assert (by_label.main.measure, by_label.better) == ("wrong labels", None)
    unknown = np.where(X[:, 1] > 1, "aside", LABELS)  # a label that neither knows
    told = ab.compare(flat, sure, X, unknown)
    assert np.isfinite(told.main.a)
    assert "B does not know the labels 'aside'" in str(told)


def test_equal_models_err_alike_and_perfect_ones_not_at_all():
    same = ab.compare(lambda X: X[:, 0], lambda X: X[:, 0], X, Y)
    assert (same.better, same.main.p_value, same.main.ratio) == (None, 1.0, 1.0)
    perfect = ab.compare(lambda X: X[:, 0], lambda X: X[:, 1], X, X[:, 0])
    assert (perfect.better, perfect.main.ratio) == ("a", 0.0)
    assert "which makes none" in str(perfect)
    both = ab.compare(lambda X: X[:, 0], lambda X: X[:, 0], X, X[:, 0])
    assert both.to_json()["main"]["ratio"] is None


def test_groups_and_weights_are_counted_as_units():
    groups = np.arange(300) // 10
    found = ab.compare(lambda X: X[:, 0], lambda X: X[:, 1], X, Y, groups=groups)
    assert found.n_units == 30
    weight = (np.arange(300) < 100).astype(float)
    some = ab.compare(lambda X: X[:, 0], lambda X: X[:, 1], X, Y, sample_weight=weight)
    part = ab.compare(lambda X: X[:, 0], lambda X: X[:, 1], X[:100], Y[:100])
    assert some.to_json() == part.to_json()
    twice = np.repeat(np.arange(150), 2)  # replicates are no more evidence than their places
    assert ab.compare(lambda X: X[:, 0], lambda X: X[:, 1], X[twice], Y[twice]).n_units == 150


@pytest.mark.parametrize(
    ("known", "n_told", "claimed"), [(0, 0, True), (5, 1, True), (40, 1, False)]
)
def test_rows_that_a_model_was_fitted_to_are_found(known, n_told, claimed):
    basis = ab.FrozenFeatures(8)
    model = ab.fit(X[:150], Y[:150], basis, method="frozen", ridge=1e-3)
    part = slice(150 - known, 300)
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        found = ab.compare(model, lambda X: -X[:, 0], X[part], Y[part])
    assert found.fitted_to[0] == pytest.approx(known / (150 + known))
    assert len(told) == n_told
    assert found.better == ("a" if claimed else None)
    assert ("Nothing is told of new rows" in str(found)) is not claimed


def test_inputs_that_occur_often_are_no_sign_of_a_leak():
    designs = np.round(X)
    model = ab.fit(designs[:150], Y[:150], ab.FrozenFeatures(4), method="frozen", ridge=1e-3)
    inside = np.full(150, True)
    assert np.isnan(predictions.share_fitted_to(model, designs[150:], inside))


@pytest.mark.parametrize(
    ("arguments", "options", "message"),
    [
        ((np.sum, np.sum, X, Y), {"level": 0.0}, "between 0 and 1"),
        ((np.sum, np.sum, X, Y), {"level": True}, "between 0 and 1"),
        (("a.adabasis", np.sum, X, Y), {}, "adabasis.load"),
        ((np.sum, LogisticRegression(), X, Y), {}, "not whole|continuous"),
        ((LinearRegression(), LogisticRegression(), X, Y), {}, "numbers and model_b classes"),
        ((lambda X: X[:, 0], lambda X: X, X, Y), {}, r"model_b.*shape \(300, 2\)"),
        ((lambda X: X[:, 0], lambda X: X[:, 0] / 0, X, Y), {}, "NaN or infinite"),
        ((LinearRegression(), np.sum, X, Y), {}, "model_a.*not fitted"),
        ((lambda X: X[:, 0],) * 2 + (X, Y[:9]), {}, "as many values"),
        ((lambda X: X[:, 0],) * 2 + (X, Y), {"groups": np.zeros(300)}, "one group"),
        ((lambda X: X[:, 0],) * 2 + (X, Y), {"measure": "accuracy"}, "'auto' or 'RMSE' or 'MAE'"),
        ((lambda X: X[:, 0],) * 2 + (X, Y), {"sample_weight": np.zeros(300)}, "not all zero"),
        ((lambda X: X[:, 0],) * 2 + (X, Y), {"names": "ab"}, "two names"),
    ],
)
@pytest.mark.filterwarnings("ignore:divide by zero")
def test_what_cannot_be_compared_is_told(arguments, options, message):
    with pytest.raises((TypeError, ValueError), match=message):
        ab.compare(*arguments, **options)


def test_absolute_errors_may_decide():
    found = ab.compare(lambda X: X[:, 0], lambda X: 0 * X[:, 0], X, Y, measure="MAE")
    assert found.main.a == pytest.approx(np.mean(np.abs(X[:, 0] - Y)))
    assert (found.better, found.main.measure) == ("a", "MAE")

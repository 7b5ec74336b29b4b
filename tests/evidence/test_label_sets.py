"""Sets of labels hold the true one as often as asked; probabilities are shares, or that is told."""

import pathlib

import numpy as np
import pytest
from sklearn.datasets import load_iris

import adabasis as ab
from adabasis.evidence import label_sets
from adabasis.evidence.label_sets import HeldOutLabels, fewest_units

BASIS = ab.FrozenFeatures(24)
OPTIONS = {"method": "frozen", "ridge": 0.1}


def drawn(n, seed, n_classes=4, sharp=2.0):
    """Probabilities, and labels drawn from others: the former are not exact."""
    rng = np.random.default_rng(seed)
    scores = rng.normal(size=(n, n_classes))
    p, truth = np.exp(sharp * scores), np.exp(scores + 0.3 * rng.normal(size=scores.shape))
    shares = np.cumsum(truth / truth.sum(axis=1, keepdims=True), axis=1)
    return p / p.sum(axis=1, keepdims=True), (rng.random((n, 1)) > shares).sum(axis=1)


def known(n, seed, weight=None, group=None, **options):
    return HeldOutLabels.of(*drawn(n, seed, **options), weight, group, "drawn")


@pytest.mark.parametrize("coverage", [0.8, 0.9])
@pytest.mark.parametrize("n", [19, 200])
def test_new_labels_are_covered_whatever_the_probabilities_are_worth(n, coverage):
    covered = []
    for seed in range(60):
        p, index = drawn(300, [seed, 1])
        inside, _ = known(n, [seed, 0]).sets(p, coverage)
        covered.append(inside[np.arange(300), index].mean())
    spread = np.sqrt(coverage * (1 - coverage) * (1 / n + 1 / 300) / 60)
    assert np.mean(covered) > coverage - 3 * spread
    assert np.mean(covered) < coverage + 3 * spread + 1 / n


def test_each_class_is_covered_by_itself_where_that_is_asked_for():
    held_out, (p, index) = known(2000, 0), drawn(4000, 1)
    p = p * [1, 1, 1, 0.2]  # of one class the probabilities are far too small
    held_out = HeldOutLabels.of(held_out.chances * [1, 1, 1, 0.2], held_out.index, None, None, "")
    plain, by_class = (held_out.sets(p, 0.9, each)[0] for each in (False, True))

    def share(inside):
        return [inside[index == k, k].mean() for k in range(4)]

    assert min(share(plain)) < 0.8
    assert min(share(by_class)) > 0.87


def test_the_threshold_is_the_score_of_the_order_that_the_theorem_says():
    p = np.array([[0.1 * k, 1 - 0.1 * k] for k in range(1, 10)])
    nine = HeldOutLabels.of(p, np.zeros(9, int), None, None, "")
    assert nine.threshold(0.9) == pytest.approx(0.1)  # the ninth of nine
    assert nine.threshold(0.8) == pytest.approx(0.2)
    assert np.isneginf(nine.threshold(0.91))
    assert (fewest_units(0.9), fewest_units(0.95), fewest_units(0.99)) == (9, 19, 99)
    assert nine.enough_for == pytest.approx(0.9)


def test_a_weight_of_two_is_two_rows_and_a_group_is_one():
    p, index = drawn(40, 0)
    plain = HeldOutLabels.of(p, index, None, None, "")
    twice = HeldOutLabels.of(
        np.tile(p, (2, 1)), np.tile(index, 2), None, np.tile(np.arange(40), 2), ""
    )
    assert twice.n_units == 40
    assert twice.threshold(0.9) == plain.threshold(0.9)
    one_group = np.r_[np.zeros(100, int), np.arange(1, 21)]
    p, index = drawn(120, 1)
    grouped = HeldOutLabels.of(p, index, None, one_group, "")
    assert (grouped.n_units, grouped.noun) == (21, "group")
    assert np.isneginf(grouped.threshold(0.96))
    weight = np.r_[np.full(60, 1e-9), np.ones(60)]
    weighted = HeldOutLabels.of(p, index, weight, None, "")
    part = HeldOutLabels.of(p[60:], index[60:], None, None, "")
    assert weighted.threshold(0.9) == part.threshold(0.9)


def test_labels_that_the_model_does_not_know_count_as_never_covered():
    p, index = drawn(50, 0)
    index[:6] = -1
    held_out = HeldOutLabels.of(p, index, None, None, "")
    assert held_out.threshold(0.8) < known(50, 0).threshold(0.8)
    assert np.isneginf(held_out.threshold(0.9))


def test_many_rows_are_thinned_and_many_bins_are_not_asked_of_few(monkeypatch):
    monkeypatch.setattr(label_sets, "MOST_KEPT", 100)
    assert len(known(300, 0).index) == 100
    few = known(15, 0)
    sure, right = few.chances.max(axis=1), few.chances.argmax(axis=1) == few.index
    assert few.reliability.error == pytest.approx(abs(sure.mean() - right.mean()), rel=1e-4)


def test_reliability_is_that_of_chance_for_exact_probabilities_and_not_for_others():
    rng = np.random.default_rng(0)
    p = rng.dirichlet(np.ones(3), 3000)
    index = (rng.random((3000, 1)) > np.cumsum(p, axis=1)).sum(axis=1)
    exact = HeldOutLabels.of(p, index, None, None, "").reliability
    assert exact.error < exact.by_chance < 0.03
    sharp = p**2 / np.sum(p**2, axis=1, keepdims=True)
    off = HeldOutLabels.of(sharp, index, None, None, "")
    assert off.reliability.error > 0.08
    assert "too sure" in str(off.reliability)
    temperature = off.temperature((0.05, 20.0))
    assert temperature == pytest.approx(2.0, rel=0.1)
    assert off.cooled(temperature).reliability.error < 0.02


def test_labels_that_are_all_right_do_not_make_a_model_certain():
    p = np.full((20, 2), [0.9, 0.1])
    sure = HeldOutLabels.of(p, np.zeros(20, int), None, None, "")
    assert sure.temperature((0.05, 20.0)) > 0.6  # else .05


@pytest.fixture(scope="module")
def iris():
    X, y = load_iris(return_X_y=True)
    return X, np.array(["setosa", "versicolor", "virginica"])[y]


@pytest.fixture(scope="module")
def model(iris):
    return ab.classify(*iris, BASIS, **OPTIONS)


def test_sets_survive_a_file_and_hold_the_likeliest_label(model, iris, tmp_path):
    X, y = iris
    inside = model.predict_set(X, 0.9)
    assert inside.shape == (150, 3)
    assert inside.dtype == bool
    assert inside[np.arange(150), model.probabilities(X).argmax(axis=1)].all()
    assert inside[y[:, None] == model.classes].mean() >= 0.9
    assert model.predict_set(X[:0]).shape == (0, 3)
    assert model.predict_set(X[:1] * np.nan).all()
    assert (model.predict_set(X, 0.99).sum(axis=1) >= inside.sum(axis=1)).all()
    model.save(tmp_path / "m.adabasis")
    again = ab.load(tmp_path / "m.adabasis")
    assert np.array_equal(again.predict_set(X, 0.9), inside)
    assert again.reliability == model.reliability


def test_labels_held_out_of_the_search_make_the_sets_where_they_are_enough(model, iris):
    X, y = iris
    held = ab.classify(X, y, BASIS, holdout=0.2, **OPTIONS)
    assert held.held_out_labels.kind.startswith("30 rows held out, and ")
    assert 100 < len(held.held_out_labels.index) <= 150
    more = held.knowing_labels(model, *(np.concatenate([v] * 2) for v in iris))
    assert more.held_out_labels.kind == "300 rows held out"


def test_groups_are_the_units_of_sets(iris):
    X, y = iris
    grouped = ab.classify(X, y, BASIS, groups=np.arange(150) // 3, **OPTIONS)
    assert 45 <= grouped.held_out_labels.n_units <= 50
    assert grouped.held_out_labels.noun == "group"


def test_the_estimator_gives_the_same_sets(iris):
    X, y = iris
    estimator = ab.AdaptiveBasisClassifier(width=12, depth=1, method="frozen", ridge=0.1).fit(X, y)
    assert np.array_equal(estimator.predict_set(X), estimator.fitted_.predict_set(X))


@pytest.mark.parametrize("coverage", [0, 1, 90, -0.1, "high", True, None, float("nan")])
def test_a_coverage_is_between_0_and_1(model, iris, coverage):
    with pytest.raises(ValueError, match=r"predict_set\(X, coverage=.*between 0 and 1"):
        model.predict_set(iris[0], coverage)
    if coverage == 90:
        with pytest.raises(ValueError, match=r"for 90 % say 0\.9"):
            model.predict_set(iris[0], coverage)


def test_too_few_rows_give_every_label_and_say_how_many_are_needed(model, iris):
    with pytest.warns(UserWarning, match=r"at least 999 rows.*coverage of at most 0\.99"):
        assert model.predict_set(iris[0][:5], 0.999).all()
    with pytest.warns(UserWarning, match=r"at least 99 rows of each class.*leave by_class out"):
        model.predict_set(iris[0][:5], 0.99, by_class=True)


def test_without_labels_held_out_every_label_is_in_every_set(iris, tmp_path):
    X, y = iris
    blind = ab.classify(X[::5], y[::5], BASIS, validation=None, **OPTIONS)
    assert blind.reliability is None
    with pytest.warns(UserWarning, match=r"0 rows held out.*at least 9 rows.*or hold some out"):
        assert blind.predict_set(X).all()
    few = ab.classify(X[45:60], y[45:60], BASIS, **OPTIONS)  # too few to hold some out
    few.save(tmp_path / "few.adabasis")
    with pytest.warns(UserWarning, match="0 rows held out"):
        assert ab.load(tmp_path / "few.adabasis").predict_set(X).all()


def test_older_files_hold_no_labels():
    old = ab.load(pathlib.Path(__file__).parents[1] / "data" / "0.1-classifier.adabasis")
    with pytest.raises(ValueError, match="earlier version"):
        old.predict_set(old.box.mean(axis=1)[None])


def test_rows_given_for_validation_make_sets_too(iris):
    X, y = iris
    given = ab.classify(X[::2], y[::2], BASIS, validation=(X[1::2], y[1::2]), **OPTIONS)
    assert len(given.held_out_labels.index) == 75
    p = given.held_out_labels.chances
    assert (p.argmax(axis=1) == given.held_out_labels.index).mean() > 0.9

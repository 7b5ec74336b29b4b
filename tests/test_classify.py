"""Classification: labels of every kind, data of every badness, results that can be kept."""

import json
import pickle

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone
from sklearn.datasets import load_iris
from sklearn.metrics import log_loss
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks

import adabasis as ab
from adabasis import AdaptiveBasisClassifier, Classifier, NeuralBasis, classify, refit_classes
from adabasis.cli import main
from adabasis.evidence.classes import judge_classes
from adabasis.experiments.spirals import spirals
from adabasis.lstsq import Status
from adabasis.models.record import Ridge
from adabasis.report.sections import Evidence
from adabasis.train import NGD

from .laws import assert_close, assert_derivative, assert_same_bits

QUICK = {"width": 8, "depth": 1, "method": "frozen"}
BASIS = NeuralBasis(8, 1)


@parametrize_with_checks([AdaptiveBasisClassifier(**QUICK)])
def test_it_keeps_to_the_conventions(estimator, check):
    check(estimator)


@pytest.mark.slow
@parametrize_with_checks([AdaptiveBasisClassifier()])
def test_it_keeps_to_the_conventions_by_default(estimator, check):
    check(estimator)


@pytest.fixture(scope="module")
def data():
    rng = np.random.default_rng(0)
    x = rng.uniform(-1, 1, (60, 2))
    return x, np.digitize(x[:, 0] + 0.3 * rng.normal(size=60), [-0.3, 0.4])


@pytest.fixture(scope="module")
def model(data):
    return classify(*data, BASIS, method="frozen")


NAMES = {
    "strings": np.array(["low", "mid", "high"]),
    "objects": np.array(["low", "mid", "high"], dtype=object),
    "numbers": np.array([3, 7, -1]),
    "floats": np.array([3.0, 7.0, -1.0]),
}


@pytest.mark.parametrize("kind", NAMES)
def test_names_of_classes_change_nothing_else(kind, data, model, tmp_path):
    x, y = data
    named = classify(x, NAMES[kind][y], BASIS, method="frozen")
    order = np.argsort(NAMES[kind])
    assert named.classes.tolist() == NAMES[kind][order].tolist()
    assert_close(named.probabilities(x), model.probabilities(x)[:, order], 1e-8)
    assert (named.predict(x) == NAMES[kind][model.predict(x)]).all()
    named.save(tmp_path / "model")
    again = ab.load(tmp_path / "model")
    assert isinstance(again, Classifier)
    assert again.classes.dtype == named.classes.dtype
    assert_same_bits(again.probabilities(x), named.probabilities(x))
    assert (again.predict(x) == named.predict(x)).all()


@pytest.mark.parametrize("labels", [
    lambda b: b, lambda b: b.tolist(), lambda b: pd.Series(b).astype("category"),
    lambda b: pd.Categorical(np.where(b, "yes", "no"), categories=["no", "yes", "never"]),
], ids=["bools", "list", "category", "unused category"])  # fmt: skip
def test_two_classes_have_one_score(labels, data):
    x, y = data
    model = classify(x, labels(y > 0), BASIS, method="frozen")
    assert len(model.classes) == 2
    scores, p = model(x), model.probabilities(x)
    assert scores.shape == (60,)
    np.testing.assert_allclose(np.log(p[:, 1] / p[:, 0]), scores, atol=1e-9)
    assert ((scores > 0) == (model.predict(x) == model.classes[1])).all()


def test_probabilities_sum_to_one_in_any_precision(data, model):
    """In float32 to four of its own round-offs, far outside the data too."""
    x = np.concatenate([data[0], 1e6 * data[0]])
    for p in (model.probabilities(x), model.probabilities(x.astype(np.float32))):
        assert np.isfinite(p).all()
        assert (p >= 0).all()
        assert np.abs(p.sum(axis=1) - 1).max() <= 4 * 3 * np.finfo(float).eps
        single = p.astype(np.float32)
        assert np.abs(single.sum(axis=1) - 1).max() <= 4 * 3 * np.finfo(np.float32).eps


@pytest.mark.parametrize(("y", "message"), [
    (["a"] * 60, "only one class, 'a'"),
    ([np.nan] + [1.0] * 59, "1 label is missing"),
    ([None] + ["a"] * 59, "1 label is missing"),
    (np.linspace(0, 1, 60), "continuous"),
    (["a", 1] * 30, "labels of one kind"),
    (np.eye(60), "expected labels of shape"),
])  # fmt: skip
def test_labels_that_cannot_be_classes(y, message, data):
    y = np.array(y, dtype=object) if isinstance(y, list) else y
    with pytest.raises(ValueError, match=message):
        classify(data[0], y, BASIS, method="frozen")


def test_missing_inputs_are_named(data):
    x, y = data
    with pytest.raises(ValueError, match=r"classify\(X\): 1 entry is NaN"):
        classify(np.where(np.arange(120).reshape(60, 2) == 7, np.nan, x), y, BASIS, method="frozen")


def test_a_class_of_weight_zero_is_none(data):
    x, y = data
    model = classify(x, y, BASIS, sample_weight=np.where(y == 1, 0.0, 1.0), method="frozen")
    assert model.classes.tolist() == [0, 2]
    with pytest.raises(ValueError, match="only one class"):
        classify(x, y, BASIS, sample_weight=np.where(y == 1, 1.0, 0.0), method="frozen")


def test_a_class_with_one_row_is_said_to_be_too_few(data):
    x, y = data
    lonely = np.where(np.arange(60) == 5, "rare", np.where(y > 0, "up", "down"))
    model = classify(x, lonely, BASIS, method="frozen")
    assert "rare" in model.classes.tolist()
    assert any("Too few rows" in note and "'rare'" in note for note in model.notes)


def test_labels_never_seen_are_counted_as_wrong(data, model):
    x, y = data
    strange = np.where(np.arange(60) < 10, 99, y)
    evidence = Evidence.of(model, x, strange)
    assert (evidence.y.sum(axis=1) == 0).sum() == 10
    verdict = judge_classes(model, x, strange, None, (np.arange(30, 60), np.arange(30)))
    assert verdict.scores[0].relative >= 10 / 30
    with pytest.raises(ValueError, match="99"):
        refit_classes(model, x, strange)
    with pytest.raises(ValueError, match="label 99"):
        classify(x, y, BASIS, validation=(x, strange))


def test_separable_classes_need_a_ridge_or_stop_and_say_which(data):
    x, _ = data
    y = x[:, 0] > 0
    free = classify(x, y, BASIS, method="frozen", ridge=0.0)
    assert free.status is Status.SEPARABLE
    assert any("separate the classes" in note for note in free.notes)
    assert np.isfinite(free.coefficients).all()
    held = classify(x, y, BASIS, method="frozen", ridge=1e-2)
    assert held.status is Status.FULL_RANK
    assert held.record.ridge == Ridge(1e-2, relative=False)
    assert np.abs(held.coefficients).max() < np.abs(free.coefficients).max()


def test_a_weight_of_two_is_the_row_twice_and_units_do_not_matter(data):
    x, y = data
    weight = np.tile([0.0, 1.0, 2.0], 20)
    kept = np.repeat(np.arange(60), weight.astype(int))
    options = {"method": "frozen", "validation": None}
    first = classify(x, y, BASIS, sample_weight=weight, **options)
    second = classify(x[kept], y[kept], BASIS, **options)
    assert_close(first.probabilities(x), second.probabilities(x), 1e-7)
    third = classify(1e3 * x[kept] - 5, y[kept], BASIS, **options)
    assert_close(third.probabilities(1e3 * x - 5), second.probabilities(x), 1e-7)


def test_class_weights_are_row_weights(data):
    x, y = data
    weight = np.array([1.0, 3.0, 0.5])
    by_class = AdaptiveBasisClassifier(**QUICK, class_weight=dict(enumerate(weight))).fit(x, y)
    by_row = AdaptiveBasisClassifier(**QUICK).fit(x, y, sample_weight=weight[y])
    assert_same_bits(by_class.predict_proba(x), by_row.predict_proba(x))
    balanced = AdaptiveBasisClassifier(**QUICK, class_weight="balanced").fit(x, y)
    assert not np.allclose(balanced.predict_proba(x), by_row.predict_proba(x))


def test_training_beats_functions_as_drawn_on_rows_not_seen():
    (x, y), (x_out, y_out) = spirals(400, 2, 0.02, 0), spirals(400, 2, 0.02, 1)
    drawn, trained = (
        classify(x, y, NeuralBasis(16, 2), method=method, max_steps=80, random_state=3)
        for method in ("frozen", "auto")
    )
    before, after = (log_loss(y_out, m.probabilities(x_out)) for m in (drawn, trained))
    assert after < 0.5 * before
    assert trained.validation_error < drawn.validation_error
    assert [c["steps"] > 0 for c in trained.candidates] == [True, False]


def test_calibration_lowers_the_cross_entropy_of_the_held_out_rows(data):
    x, y = data
    fold = (x[40:], y[40:])
    options = {"method": "frozen", "validation": fold, "ridge": 1e-4}
    plain, calibrated = (
        classify(x[:40], y[:40], BASIS, calibrate=c, **options) for c in (False, True)
    )
    before, after = (log_loss(fold[1], m.probabilities(fold[0])) for m in (plain, calibrated))
    assert calibrated.temperature > 1
    assert after < before
    assert_close(calibrated(x) * calibrated.temperature, plain(x), 1e-12)
    with pytest.raises(ValueError, match="no rows are held out"):
        classify(x, y, BASIS, method="ngd", calibrate=True)


def test_derivatives_are_those_of_the_scores(data, model):
    x = data[0][:5]
    for i, direction in enumerate(np.eye(2)):
        assert_derivative(model, model.gradient(x)[..., i], x, direction, 1e-6, 1e-7)


def test_the_estimator_is_the_front_door_in_other_clothes(data):
    x, y = data
    estimator = AdaptiveBasisClassifier(**QUICK).fit(x, y)
    same = classify(x, y, BASIS, method="frozen")
    assert_same_bits(estimator.predict_proba(x), same.probabilities(x))
    assert_same_bits(estimator.decision_function(x), same(x))
    again = pickle.loads(pickle.dumps(estimator))
    assert_same_bits(again.predict_proba(x), same.probabilities(x))
    assert_same_bits(clone(estimator).fit(x, y).predict_proba(x), same.probabilities(x))


def test_pipelines_and_grid_search():
    x, y = load_iris(return_X_y=True)
    line = make_pipeline(StandardScaler(), AdaptiveBasisClassifier(**QUICK))
    grid = {"adaptivebasisclassifier__ridge": [1e6, 1e-2]}
    search = GridSearchCV(line, grid, cv=3, scoring="neg_log_loss").fit(x, y)
    assert search.best_params_ == {"adaptivebasisclassifier__ridge": 1e-2}
    assert search.best_estimator_.score(x, y) > 0.95


@pytest.mark.parametrize("basis", [
    NeuralBasis(6, 3, residual=True, activation="relu"), ab.FrozenFeatures(6),
    ab.PartitionBasis(3, 1, partition="rbf"),
], ids=lambda basis: type(basis).__name__)  # fmt: skip
def test_any_basis_will_do(basis, data):
    x, y = data
    method = "auto" if basis.trainable else "frozen"
    model = classify(x, y, basis, method=method, max_steps=8)
    assert (model.predict(x) == y).mean() > 0.7
    assert np.abs(model.probabilities(x).sum(axis=1) - 1).max() <= 1e-14


def test_regions_need_two_inputs_and_few_classes(data, model):
    x, _ = data
    one = classify(x[:, :1], x[:, 0] > 0, BASIS, method="frozen", validation=None)
    with pytest.raises(ValueError, match="expected 2 inputs"):
        ab.plots.regions(one)
    assert len(ab.plots.regions(model, data=data).axes) == 1


@pytest.mark.parametrize(("options", "message"), [
    ({"method": "lsgn"}, "a trainer that minimises cross-entropy"),
    ({"method": "adam"}, "expected 'auto', 'frozen', 'gd', 'ngd'"),
    ({"basis": None, "method": "ngd"}, "only method='auto' chooses"),
    ({"basis": ab.FrozenFeatures(8), "method": "ngd"}, "frozen"),
    ({"ridge": -1.0}, "classify.*ridge"),
])  # fmt: skip
def test_arguments_that_cannot_be_meant(options, message, data):
    with pytest.raises(ValueError, match=message):
        classify(*data, options.pop("basis", BASIS), **options)


def test_the_iterations_of_a_learning_rate_reach_the_trainer(data):
    x, y = data
    settings = {"width": 8, "depth": 1, "max_steps": 3}
    by_name = AdaptiveBasisClassifier(method="ngd", learning_rate=0.01, **settings).fit(x, y)
    by_trainer = AdaptiveBasisClassifier(method=NGD(0.01), **settings).fit(x, y)
    assert_same_bits(by_name.predict_proba(x), by_trainer.predict_proba(x))
    assert by_name.n_iter_ == 3
    with pytest.raises(ValueError, match="needs none"):
        AdaptiveBasisClassifier(method="frozen", learning_rate=0.01).fit(x, y)


def table(path, y, n=90):
    rng = np.random.default_rng(0)
    x = rng.uniform(-1, 1, (n, 2))
    rows = [f"{a:.4f},{b:.4f},{y(a, b)}" for a, b in x]
    path.write_text("\n".join(["a,b,kind", *rows]) + "\n")
    return path


def test_the_command_line_takes_text_as_classes(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    table(tmp_path / "t.csv", lambda a, b: "plus" if a > 0.3 * b else "minus")
    assert main(["fit", "t.csv", "--target", "kind", "--model", "frozen"]) == 0
    said = capsys.readouterr().out
    assert "'kind' holds text: its 2 entries are classes" in said
    for words in ("wrong labels", "cross-entropy", "logistic regression", "held-out labels"):
        assert words in said
    page = (tmp_path / "t.html").read_text()
    for words in ("Confusion matrix", "Regions of the classes", "probability of the true label"):
        assert words in page
    assert main(["predict", "t.adabasis", "t.csv", "--json"]) == 0
    written = pd.read_csv(tmp_path / "t-predictions.csv")
    assert list(written.columns) == ["kind", "kind = minus", "kind = plus", "outside", "support"]
    np.testing.assert_allclose(written.iloc[:, 1:3].sum(axis=1), 1, atol=1e-12)
    assert (written["kind"] == pd.read_csv(tmp_path / "t.csv")["kind"]).mean() > 0.9
    capsys.readouterr()
    assert main(["show", "t.adabasis", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["classes"] == ["minus", "plus"]


@pytest.mark.parametrize(("entry", "options", "message"), [
    (lambda a, b: "same", (), "only one class"),
    (lambda a, b: f"{a:.2f} km", (), "without units"),
    (lambda a, b: f"w{1000 * a:.0f}", (), "too many to be classes"),
    (lambda a, b: f"{a:.3f}", ("--classify",), "too many to be classes"),
    (lambda a, b: 0.5 * (a > 0), ("--classify",), "whole numbers"),
])  # fmt: skip
def test_targets_that_are_no_classes(entry, options, message, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    table(tmp_path / "t.csv", entry, 300)
    assert main(["fit", "t.csv", "--target", "kind", *options]) == 2
    assert message in capsys.readouterr().err


def test_numbers_are_classes_where_asked(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    table(tmp_path / "t.csv", lambda a, b: int(a > 0) + int(b > 0), 120)
    quick = ("--model", "frozen", "--target", "kind", "--force")
    assert main(["fit", "t.csv", *quick]) == 0
    assert "3 different whole numbers and is predicted as a number" in capsys.readouterr().out
    assert main(["fit", "t.csv", *quick, "--classify"]) == 0
    assert ab.load(tmp_path / "t.adabasis").classes.tolist() == [0, 1, 2]


@pytest.mark.slow
def test_spirals_by_default():
    x, y = spirals(1000, 3, 0.02, 3)
    x_out, y_out = spirals(2000, 3, 0.02, 1003)
    assert AdaptiveBasisClassifier(random_state=3).fit(x, y).score(x_out, y_out) >= 0.99


def test_effort_says_how_many_networks_are_trained(data):
    """One for fast; five for auto; of thorough fifteen, two widths compared."""
    x, y = data
    rough = np.random.default_rng(0).permutation(y)  # that features as drawn do not explain

    def trained(effort):
        model = classify(x, np.where(x[:, 0] > 0, y, rough), max_steps=1, effort=effort)
        return [tried["what"] for tried in model.candidates if "trained" in tried["what"]]

    fast, usual, thorough = map(trained, ("fast", "auto", "thorough"))
    assert len(fast) == 1
    assert 1 < len(usual) < len(thorough)
    assert not any("width 128" in what for what in usual)
    assert any("width 128" in what for what in thorough)
    with pytest.raises(ValueError, match=r"classify\(effort='hasty'\).*'thorough'"):
        classify(x, y, effort="hasty")
    assert AdaptiveBasisClassifier(effort="fast")._members == 1 < AdaptiveBasisClassifier()._members

"""Labels that are read chunk by chunk: their last layer is that of the rows in memory."""

import itertools

import jax
import numpy as np
import pyarrow as pa
import pyarrow.parquet
import pytest

import adabasis as ab
from adabasis import rows
from adabasis.basis import Ensemble, FrozenFeatures
from adabasis.classification import chunked, solve, strategy
from adabasis.classification.chunked import solve_source
from adabasis.classification.streamed import LabelledSource, Labels
from adabasis.models.classifier import indicators
from adabasis.regression import streamed
from adabasis.rows.engine import LocalEngine, using
from adabasis.selection.prepared import padded_term
from adabasis.selection.task import draw
from adabasis.tables import open_rows
from adabasis.train import CrossEntropy, newton
from adabasis.train.feed import Feed
from adabasis.train.passes import total_over

N = 4000
RNG = np.random.default_rng(4)
X = RNG.uniform(-1, 1, (N, 2))
SCORE = np.sin(4 * X[:, 0]) + 2 * X[:, 1] + 0.5 * RNG.normal(size=N)
NUMBER = np.digitize(SCORE, [-0.8, 0.8])
NAMES = np.array(["low", "middle", "top"])
WEIGHT = RNG.uniform(0.5, 2, N) * (np.arange(N) % 9 > 0)
RIDGE = 0.5


@pytest.fixture(autouse=True)
def few_rows_are_a_sample(monkeypatch):
    for name, most in (("SAMPLE_ROWS", 1000), ("VALIDATION_ROWS", 200), ("JUDGED_ROWS", 300)):
        monkeypatch.setattr(streamed, name, most)


def cut(labels, size=333, *more):
    return [
        (X[k : k + size], labels[k : k + size], *(a[k : k + size] for a in more))
        for k in range(0, N, size)
    ]


def problem(n_classes):
    """Return functions, indicators, and the loss of all rows."""
    basis = FrozenFeatures(30)
    parameters = draw(basis, np.random.SeedSequence(1), np.array([[-1.0, 1.0]] * 2))
    targets = indicators(np.minimum(NUMBER, n_classes - 1), n_classes)
    term = padded_term(X, targets, WEIGHT)
    objective, phi = solve.problem_of(basis, parameters, term, RIDGE)
    return basis, parameters, targets, objective, phi


def of_all(objective, phi, c):
    return float(objective.value(phi @ c, c))


@pytest.mark.parametrize("n_classes", [2, 3])
def test_the_last_layer_of_chunks_is_the_optimum_of_all_rows(n_classes):
    basis, parameters, targets, objective, phi = problem(n_classes)
    best = newton(objective, phi, np.zeros((phi.shape[1], objective.n_outputs)))
    some = slice(600)
    sample = padded_term(X[some], targets[some], WEIGHT[some])
    source = rows.IterableSource(cut(targets, 333, WEIGHT))
    found = solve_source((basis, parameters), source, sample, RIDGE)
    began = solve.optimum(basis, parameters, sample, RIDGE * WEIGHT[some].sum() / WEIGHT.sum())
    far, near = (
        of_all(objective, phi, np.asarray(one.coefficients)) / best.loss - 1
        for one in (began, found)
    )
    assert far > 1e-3, "the sample's own optimum is another"
    assert -1e-12 <= near <= 2e-6
    assert found.loss == pytest.approx(of_all(objective, phi, found.coefficients), rel=1e-12)
    assert found.steps <= 8


def test_steps_that_go_too_far_are_halved_and_passes_are_bounded(monkeypatch):
    basis, parameters, targets, *_ = problem(3)
    few = slice(25)  # fewer rows than functions: their Hessian is far from that of all
    sample = padded_term(X[few], targets[few], WEIGHT[few] + 0.1)
    source = rows.IterableSource(cut(targets, 333, WEIGHT))
    losses = []
    told = chunked._Member.told

    def noted(one, loss, gradient):
        told(one, loss, gradient)
        losses.append((loss, one.loss))

    monkeypatch.setattr(chunked._Member, "told", noted)
    solve_source((basis, parameters), source, sample, RIDGE)
    kept = [own for _, own in losses]
    assert all(b <= a for a, b in itertools.pairwise(kept))
    assert any(loss > own for loss, own in losses), "a step was too long"
    assert len(losses) <= chunked.PASSES
    monkeypatch.setattr(chunked, "PASSES", 2)
    losses.clear()
    solve_source((basis, parameters), source, sample, RIDGE)
    assert len(losses) == 2


def test_members_are_solved_apart_in_the_same_passes(monkeypatch):
    basis, parameters, targets, *_ = problem(2)
    other = draw(basis, np.random.SeedSequence(2), np.array([[-1.0, 1.0]] * 2))
    both = jax.tree.map(lambda *a: np.stack(a), parameters, other)
    sample = padded_term(X[:600], targets[:600], WEIGHT[:600])
    source = rows.IterableSource(cut(targets, 333, WEIGHT))
    passes = []
    whole = source.chunks
    monkeypatch.setattr(source, "chunks", lambda *most: passes.append(most) or whole(*most))
    source.statistics()
    passes.clear()
    mean = solve_source((Ensemble(basis, 2), both), source, sample, RIDGE)
    n_passes = len(passes)
    each = [solve_source((basis, p), source, sample, RIDGE) for p in (parameters, other)]
    apart = np.concatenate([np.asarray(one.coefficients) for one in each]) / 2
    np.testing.assert_allclose(mean.coefficients, apart, rtol=1e-9, atol=1e-9)
    assert n_passes == max(int(one.steps) for one in each)


def test_sums_are_the_same_whoever_works_and_rows_without_weight_count_for_nothing():
    basis, parameters, targets, _, phi = problem(3)
    of_chunk = chunked.Sums([(basis, parameters, RNG.normal(size=(phi.shape[1], 3)))])
    source = rows.IterableSource(cut(targets, 9, np.where(np.arange(N) < 999, 0.0, WEIGHT)))
    here = total_over(source, of_chunk, 500)
    with using(LocalEngine(2)):
        there = total_over(source, of_chunk, 500)
    np.testing.assert_allclose(here, there, rtol=1e-12)
    late = rows.ArraySource(X[999:], targets[999:], WEIGHT[999:])
    np.testing.assert_allclose(here, total_over(late, of_chunk, 500), rtol=1e-12)


def classified(source, *about, **named):
    return ab.classify(
        source, *about, basis=FrozenFeatures(30), method="frozen", ridge=RIDGE, **named
    )


def test_chunks_of_names_are_classified_like_the_array():
    labels = NAMES[NUMBER]
    model, whole = classified(cut(labels)), classified(X, labels)
    assert model.classes.tolist() == NAMES.tolist()
    assert model.record.n_rows > 0.85 * N
    assert "were read chunk by chunk" in model.notes[0]
    assert np.abs(model.probabilities(X) - whole.probabilities(X)).mean() < 0.01
    assert model.validation_error == pytest.approx(whole.validation_error, rel=0.15)
    kept = classified(cut(labels), holdout=0.25)
    assert kept.record.n_rows == N
    assert kept.record.verdict["kind"] == "held out"
    assert kept.predict_set(X[:5]).shape == (5, 3)


def test_a_rare_class_that_the_sample_lacks_is_known():
    labels = NUMBER.astype(float)
    labels[[17, 3001]] = 7.0
    model = classified(cut(labels))
    assert model.classes.tolist() == [0, 1, 2, 7]
    assert (model.probabilities(X)[:, 3] < 0.05).all()


@pytest.mark.slow
def test_many_labelled_rows_train_networks_on_mini_batches_of_all(monkeypatch):
    monkeypatch.setattr(strategy, "MANY_ROWS", 2000)
    monkeypatch.setattr(strategy, "BATCHES", {"fast": ((16, 400),)})
    sizes = []
    draw_batches = Feed.at

    def at(feed, step):
        sizes.append(feed.n_rows)
        return draw_batches(feed, step)

    monkeypatch.setattr(Feed, "at", at)
    model = ab.classify(cut(NAMES[NUMBER]), effort="fast")
    assert set(sizes) == {model.record.n_rows}, "batches are of all rows that train"
    assert any("depth 3" in one.what for one in model.record.tried)
    assert model.validation_error < 0.5
    monkeypatch.setattr(strategy, "MANY_ROWS", 10 * N)
    few = ab.classify(cut(NAMES[NUMBER]), effort="fast")
    assert not any("depth 3" in one.what for one in few.record.tried)


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("labels")
    named = {"name": NAMES[NUMBER], "code": NUMBER * 10, "flag": NUMBER > 1, "real": SCORE}
    for part, some in enumerate(np.array_split(np.arange(N), 3)):
        columns = {"a": X[some, 0], "b": X[some, 1]}
        columns |= {name: values[some] for name, values in named.items()}
        pa.parquet.write_table(pa.table(columns), folder / f"part-{part}.parquet")
    return str(folder / "part-*.parquet")


@pytest.mark.parametrize(
    ("column", "classes"),
    [("name", NAMES.tolist()), ("code", [0, 10, 20]), ("flag", [False, True])],
)
def test_files_hold_classes_as_text_numbers_or_truths(files, column, classes):
    others = [name for name in ("name", "code", "flag", "real") if name != column]
    source = open_rows(files, column, drop=others, classify=True)
    model = classified(source)
    assert model.classes.tolist() == classes
    assert model.record.input_names == ("a", "b")
    assert model.record.output_names == (column,)
    truth = {"name": NAMES[NUMBER], "code": NUMBER * 10, "flag": NUMBER > 1}[column]
    assert (model.predict(X) == truth).mean() > 0.7
    with pytest.raises(ValueError, match=r"fit\(source\): its values are \d classes"):
        ab.fit(source)
    estimator = ab.AdaptiveBasisClassifier(method="frozen").fit(source)
    assert estimator.classes_.tolist() == classes
    assert estimator.feature_names_in_.tolist() == ["a", "b"]


def numbered(values):
    return cut(np.asarray(values))


@pytest.mark.parametrize(("given", "words"), [
    (lambda: numbered(SCORE), "continuous"),
    (lambda: numbered(np.ones(N)), "only one class"),
    (lambda: iter(numbered(NUMBER)), "can be read once"),
    (lambda: [(X[:5], ["a"] * 5), (X[:5], [1, 2, 3, 4, 5])], "labels of one kind"),
    (lambda: [(X[:5], NUMBER[:4]), (X, NUMBER)], "expected X of shape"),
    (lambda: rows.ArraySource(X, SCORE[:, None]), "whole numbers of at most 1,000"),
    (lambda: rows.ArraySource(X, X), "expected one label a row, got 2"),
])  # fmt: skip
def test_what_is_no_class_is_told(given, words):
    with pytest.raises(ValueError, match=words):
        classified(given())


def test_files_without_classes_are_told(files):
    for column, words in (("real", "too many to be classes"), ("kind", "no such column")):
        with pytest.raises(ValueError, match=words):
            classified(files, column)
    with pytest.raises(ValueError, match="expected the name of a column"):
        classified(files)
    with pytest.raises(ValueError, match=r"holds classes: expected numbers.*call classify"):
        ab.fit(files, "name")


def test_labels_on_disk_are_read_with_the_points(tmp_path):
    for name, array in (("x", X), ("y", NUMBER.astype(np.int8))):
        np.save(tmp_path / f"{name}.npy", array)
    x, y = (np.load(tmp_path / f"{name}.npy", mmap_mode="r") for name in "xy")
    for labels in (y, NAMES[NUMBER]):
        source = Labels().source("classify", x, labels, None, None)
        assert isinstance(source, LabelledSource)
        chunk = next(source.chunks())
        assert np.array_equal(chunk.y.argmax(axis=1), NUMBER)
        assert source.as_given(chunk.y)[:3].tolist() == source.classes[NUMBER[:3]].tolist()


def test_weights_of_classes_are_for_rows_in_memory(tmp_path):
    np.save(tmp_path / "x.npy", X[:200])
    mapped = np.load(tmp_path / "x.npy", mmap_mode="r")
    model = ab.AdaptiveBasisClassifier(method="frozen", width=4, depth=1, class_weight="balanced")
    assert len(model.fit(mapped, NUMBER[:200]).classes_) == 3
    with pytest.raises(ValueError, match="weights of classes are known to rows in memory alone"):
        model.fit(cut(NUMBER))


def test_a_label_that_was_not_there_at_first_is_told():
    class Changing:
        later = 0

        def __iter__(self):
            yield X, np.minimum(NUMBER + self.later, 3).astype(float)

    given = Changing()
    source = Labels().source("classify", rows.IterableSource(given), None, None, None)
    given.later = 2
    with pytest.raises(ValueError, match="holds -1, which none held at the first pass"):
        list(source.chunks())


def test_pieces_are_found_on_a_sample_and_solved_on_all_rows():
    x = X[:, :1]
    y = np.abs(x[:, 0] - 0.2) + 0.05 * RNG.normal(size=N)
    chunks = [(x[k : k + 500], y[k : k + 500]) for k in range(0, N, 500)]
    estimator = ab.POUNetRegressor(2, 1, max_steps=0).fit(chunks)
    model = estimator.fitted_
    assert (estimator.n_partitions_, estimator.n_features_in_) == (2, 1)
    kept = rows.Split(0.1, 1.0, 0).holds(np.arange(N))
    assert model.record.n_rows == kept.sum()
    functions, values = model.functions(x[kept]), model.output_map(y[kept, None])
    best = np.linalg.lstsq(functions, values, rcond=None)[0]
    least, own = (np.mean((functions @ c - values) ** 2) for c in (best, model.coefficients))
    assert least <= own <= 1.01 * least, "but for ties of the pieces"
    with pytest.raises(ValueError, match="noise levels of parts are not found chunk by chunk"):
        ab.fit_pounet(chunks, noise="parts")


def test_the_objective_of_a_chunk_is_that_of_its_rows():
    # Sums of weighted rows, over the total, are the loss that memory has.
    basis, parameters, targets, objective, phi = problem(3)
    c = RNG.normal(size=(phi.shape[1], 3))
    sums = chunked.Sums([(basis, parameters, c)])(rows.Chunk(X, targets, WEIGHT)) / WEIGHT.sum()
    plain = CrossEntropy(objective.term, 0.0, basis)
    assert sums[0] == pytest.approx(float(plain.surprise(phi @ c)), rel=1e-12)
    np.testing.assert_allclose(
        sums[1:].reshape(c.shape), phi.T @ plain.slope(phi @ c), rtol=1e-9, atol=1e-14
    )

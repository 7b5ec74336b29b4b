"""Fits to rows that are read chunk by chunk: those to the same rows in memory, in less of it."""

import jax
import numpy as np
import pytest

import adabasis as ab
from adabasis import rows
from adabasis.basis import Ensemble, FrozenFeatures, NeuralBasis
from adabasis.regression import streamed
from adabasis.regression.solve import solve_rows
from adabasis.selection.stream import mapped
from adabasis.train import LSGD

N = 4000
RNG = np.random.default_rng(3)
X = RNG.uniform(-1, 1, (N, 2))
Y = np.sin(3 * X[:, 0]) + X[:, 1] ** 2


def cut(n_chunks, x=X, y=Y):
    ends = np.random.default_rng(5).choice(np.arange(1, N), n_chunks - 1, replace=False)
    return [(x[some], y[some]) for some in np.split(np.arange(N), np.sort(ends))]


@pytest.fixture(autouse=True)
def few_rows_are_a_sample(monkeypatch):
    for name, most in (("SAMPLE_ROWS", 600), ("VALIDATION_ROWS", 200), ("JUDGED_ROWS", 200)):
        monkeypatch.setattr(streamed, name, most)


def frozen(source, **named):
    return ab.fit(source, basis=FrozenFeatures(40), method="frozen", **named)


def test_coefficients_are_those_of_the_array_whatever_the_chunks():
    whole = frozen(rows.ArraySource(X, Y[:, None]), ridge=1.0)
    parts = frozen(cut(1000), ridge=1.0)
    scale = np.abs(whole.coefficients).max()
    assert np.abs(whole.coefficients - parts.coefficients).max() <= 1e-10 * scale
    assert whole.record.n_rows == parts.record.n_rows > 0.85 * N
    assert whole.validation_error == pytest.approx(parts.validation_error, rel=1e-9)


def test_the_last_solve_is_on_all_rows_that_train():
    model = frozen(cut(30))
    split = rows.Split(0.1, 1.0, 0)
    kept = split.holds(np.arange(N))
    functions = model.functions(X[kept])
    values = model.output_map(Y[kept, None])
    ridge = model.record.ridge
    assert model.record.n_rows == kept.sum()
    c = np.linalg.lstsq(functions, values, rcond=None)[0]
    least = np.mean((functions @ c - values) ** 2)
    own = np.mean((functions @ model.coefficients - values) ** 2)
    assert (1 - 1e-6) * least <= own < least + 10 * ridge.value + 1e-6, "to its cut-off"
    assert "were read chunk by chunk" in model.notes[0]


def test_rows_held_out_are_judged_and_then_learnt_from():
    model = frozen(cut(30), holdout=0.25)
    assert model.record.n_rows == N
    scores = {one["name"]: one["relative"] for one in model.record.verdict["scores"]}
    true = np.sqrt(np.mean((model(X) - Y) ** 2)) / Y.std()
    assert true / 3 < next(iter(scores.values())) < 3 * true
    assert model.record.verdict["kind"] == "held out"


def test_functions_that_are_known_at_the_sample_are_not_those_of_all_rows():
    places = np.tile(X[:40], (N // 40, 1))  # merged, they are fewer than any sample
    values = np.sin(3 * places[:, 0])
    model = ab.fit(cut(30, places, values), basis=FrozenFeatures(10), method="frozen")
    assert model.record.n_rows > 0.85 * N
    assert np.abs(model(places) - values).max() < 0.1


def test_few_rows_are_read_and_fitted_as_arrays():
    few = slice(500)
    model = frozen([(X[few], Y[few])])
    again = frozen_array(X[few], Y[few])
    assert np.array_equal(model.coefficients, again.coefficients)
    assert model(X[:3]).shape == (3,)


def frozen_array(x, y):
    return ab.fit(x, y, FrozenFeatures(40), method="frozen")


def test_networks_step_on_batches_of_all_rows(monkeypatch):
    monkeypatch.setattr("adabasis.train.feed.WINDOW_NUMBERS", 4 * 800)
    monkeypatch.setattr("adabasis.train.feed.FEWEST_ROWS", 800)
    basis = NeuralBasis(16, 1, activation="silu", init="normal")
    trainer = LSGD(batch_size=64, optimizer="soap")
    model = ab.fit(cut(40), basis=basis, method=trainer, max_steps=300, validation=0.1)
    assert len(model.history) - 1 == 300
    assert model.validation_error < 0.1
    assert model.record.n_rows > 0.85 * N


def test_groups_are_kept_together_and_weights_count():
    weight = np.where(np.arange(N) < N // 2, 0.0, 2.0)
    chunks = [(X[k : k + 500], Y[k : k + 500], weight[k : k + 500]) for k in range(0, N, 500)]
    model = frozen(chunks)
    half = X[N // 2 :]
    assert model.record.n_rows < N / 2
    np.testing.assert_allclose(model.box, np.stack([half.min(0), half.max(0)], 1), atol=0.02)


def test_a_mean_of_members_is_solved_in_one_pass(monkeypatch):
    members = [frozen_array(X[:400], Y[:400]), frozen_array(X[400:800], Y[400:800])]
    basis = Ensemble(members[0].basis, 2)
    parameters = jax.tree.map(lambda *a: np.stack(a), *[m.parameters for m in members])
    source = mapped(rows.IterableSource(cut(9)), members[0].input_map, members[0].output_map)
    passes = []
    whole = source.chunks
    monkeypatch.setattr(source, "chunks", lambda most: passes.append(most) or whole(most))
    solve_rows((basis, parameters), source, members[0].record.ridge)
    assert len(passes) == 1


@pytest.mark.parametrize(("named", "words"), [
    ({"y": Y}, r"fit\(source, y=…\): a source holds targets"),
    ({"holdout": "last"}, "are held out by a hash"),
    ({"loss": "huber"}, "squares alone are lowered chunk by chunk"),
    ({"holdouts": 0.1}, "has no argument 'holdouts'"),
    ({"validation": 1.0}, r"fit\(validation=1\.0\): a share between 0 and 1"),
    ({"validation": "all"}, r"fit\(validation='all'\): a share between 0 and 1"),
    ({"random_state": -1}, r"fit\(random_state=-1\): expected a whole number"),
])  # fmt: skip
def test_what_does_not_go_with_a_source_is_told(named, words):
    with pytest.raises((TypeError, ValueError), match=words):
        ab.fit(rows.ArraySource(X, Y[:, None]), **named)


def test_arrays_need_their_targets():
    for given in (X, [], [(X[:, 0], Y)]):
        with pytest.raises(TypeError, match=r"missing a required argument: 'y'\. Without it, X is"):
            ab.fit(given)


def test_names_of_columns_go_with_files():
    for given in (X, [], [None]):
        with pytest.raises(ValueError, match="the name of a column goes with files"):
            ab.fit(given, "y")


def test_what_it_takes_is_said_before_the_run(capsys):
    frozen(cut(20), verbose=True)
    assert "4,000 rows of 2 inputs, read chunk by chunk: about" in capsys.readouterr().err

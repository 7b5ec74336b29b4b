"""A fitted model predicts without JAX: in a forked child, and in a process that only loads it."""

import contextlib
import dataclasses
import multiprocessing
import os
import pathlib
import subprocess
import sys
import time
import tracemalloc

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import adabasis as ab
from adabasis.basis.layers import Affine
from adabasis.basis.networks import Network
from adabasis.basis.wrappers import Ensemble
from adabasis.geometry.points import AffineMap
from adabasis.models import loading
from adabasis.models.files import ModelFileError, read_model, write_model

from .registry import FUNCTIONS, fitted, points

DATA = pathlib.Path(__file__).parent / "data"
OLD = sorted(DATA.glob("0.1-*.adabasis"))

pytestmark = [
    pytest.mark.plain_scope,
    pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork"),
    pytest.mark.filterwarnings("ignore:os.fork:RuntimeWarning"),
    pytest.mark.filterwarnings("ignore:This process:DeprecationWarning"),
]


def in_child(function, seconds=30):
    """Return what a function returns or raises in a forked child, and how long that took."""
    jnp.zeros(1).block_until_ready()  # JAX is running
    context = multiprocessing.get_context("fork")
    here, there = context.Pipe()

    def attempt():
        began = time.monotonic()
        try:
            found = function()
        except Exception as error:
            found = error
        there.send((found, time.monotonic() - began))

    process = context.Process(target=attempt)
    process.start()
    try:
        assert here.poll(seconds), "the child hangs"
        return here.recv()
    finally:
        process.kill()
        process.join()


@pytest.mark.parametrize("path", OLD, ids=lambda path: path.stem)
def test_a_model_answers_in_a_forked_child(path):
    model = ab.load(path)
    x = np.random.default_rng(0).uniform(*model.box.T, (5, model.n_inputs))
    expected = model(x)
    for ask in (lambda: model(x), lambda: ab.load(path)(x)):
        np.testing.assert_allclose(in_child(ask)[0], expected, rtol=1e-14)


def test_everything_that_is_made_of_values_answers_there(tmp_path):
    rng = np.random.default_rng(0)
    model = fitted(FUNCTIONS["frozen tanh"], None, places=rng.random((80, 2), np.float32))
    x, classes, estimator = points(model.box), ab.load(OLD[0]), ab.AdaptiveBasisRegressor()
    vars(estimator).update(fitted_=model, n_features_in_=2)
    inside = rng.uniform(*classes.box.T, (9, classes.n_inputs))
    asked = {
        "support": lambda: model.support(x),
        "outside": lambda: model.outside(x),
        "functions": lambda: model.functions(x),
        "saved": lambda: (model.save(tmp_path / "m"), ab.load(tmp_path / "m")(x))[1],
        "estimator": lambda: estimator.predict(x),
        "predict": lambda: classes.predict(inside),
        "probabilities": lambda: classes.probabilities(inside),
        "scores": lambda: classes.decision_function(inside),
    }
    expected = {name: ask() for name, ask in asked.items()}
    got, _ = in_child(lambda: {name: ask() for name, ask in asked.items()})
    assert not isinstance(got, Exception), got
    for name in asked:
        np.testing.assert_array_equal(got[name], expected[name])


with jax.enable_x64(True):
    USERS = fitted(ab.NeuralBasis(8, 1, activation=jnp.arctan))
X = np.linspace(0, 1, 20)[:, None]
WAVE = ab.pde.LinearProblem(
    ab.Box(x=(0, 1)), ab.operators.Laplacian(), 1.0, [ab.pde.Dirichlet(0.0)]
)


@pytest.mark.parametrize(
    "ask",
    [
        lambda: ab.load(OLD[0]).gradient(np.zeros((2, ab.load(OLD[0]).n_inputs))),
        lambda: USERS(np.zeros((1, 2))),
        lambda: ab.fit(X, X[:, 0]),
        lambda: ab.fit(X, X[:, 0], ab.FrozenFeatures(4)),
        lambda: ab.fit_pounet(X, X[:, 0]),
        lambda: ab.classify(X, X[:, 0] > 0.5),
        lambda: ab.AdaptiveBasisRegressor().fit(X, X[:, 0]),
        lambda: ab.refit(ab.load(DATA / "0.1-frozen.adabasis"), np.hstack([X, X]), X[:, 0]),
        lambda: ab.solve(WAVE),
    ],
    ids=["gradient", "a user's", "fit", "basis", "pounet", "classes", "estimator", "refit", "pde"],
)
def test_what_needs_jax_says_so_at_once(ask):
    error, seconds = in_child(ask)
    assert isinstance(error, RuntimeError), error
    assert '"spawn"' in str(error)
    assert seconds < 1


def test_a_model_that_is_loaded_and_asked_starts_no_jax():
    code = f"""
import sys, numpy as np, adabasis as ab
for path in {[str(path) for path in OLD]}:
    model = ab.load(path)
    assert np.isfinite(model(np.zeros((3, model.n_inputs)))).all()
from jax._src import xla_bridge
assert not xla_bridge.backends_are_initialized()
import os
pid = os.fork()  # JAX was not started: the child starts its own
if not pid:
    ab.load({str(DATA / "0.1-frozen.adabasis")!r}).gradient(np.zeros((1, {
        ab.load(DATA / "0.1-frozen.adabasis").n_inputs
    })))
    os._exit(7)
assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 7
"""
    subprocess.run([sys.executable, "-c", code], check=True, timeout=120)


def test_many_rows_take_little_memory():
    rng = np.random.default_rng(0)
    layer, many = Affine(rng.random((128, 10)), rng.random(128)), rng.random((200_000, 10))
    model = dataclasses.replace(
        fitted(FUNCTIONS["frozen tanh"], initial_parameters=None),
        basis=ab.NeuralBasis(128, 1),
        parameters=Network(layer, None),
        coefficients=np.ones((129, 2)),
        input_map=AffineMap.identity(10),
        box=many[:2].T,
    )
    tracemalloc.start()
    out = model(many)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak - out.nbytes < 50e6  # 205 MB of functions
    np.testing.assert_allclose(model(many[-3:]), out[-3:], rtol=1e-13)


def test_terms_that_cancel_may_differ_by_their_round_off_and_no_more(tmp_path, monkeypatch):
    one = fitted(FUNCTIONS["frozen tanh"], initial_parameters=None)
    model = dataclasses.replace(
        one,
        basis=Ensemble(one.basis, 2),
        parameters=jax.tree.map(lambda leaf: np.stack([leaf, leaf]), one.parameters),
        coefficients=1e9 * np.vstack([one.coefficients, -one.coefficients]),
    )
    path = tmp_path / "m.adabasis"
    model.save(path)
    document, tensors = read_model(path)
    del document["sha256"]
    terms = np.abs(model.functions(points(model.box))) @ np.abs(model.coefficients)
    for share, refused in ((1e-15, False), (1e-12, True)):
        moved = tensors["probe"] + share * np.max(terms * model.output_map.scale)
        write_model(path, document, {**tensors, "probe": moved})
        with pytest.raises(ModelFileError) if refused else contextlib.nullcontext():
            ab.load(path)
        monkeypatch.setattr(loading, "CANCELLED", 0.0)
        with pytest.raises(ModelFileError):
            ab.load(path)
        monkeypatch.undo()


def test_a_row_does_not_depend_on_the_others():
    model = fitted(FUNCTIONS["frozen tanh"])
    x = points(model.box)
    np.testing.assert_allclose(np.concatenate([model(row[None]) for row in x]), model(x), 1e-14)


SINGLE = np.linspace(0, 1, 300)[:, None]


def test_single_precision_is_had_on_request():
    x = np.random.default_rng(0).uniform(size=(300, 2))
    for basis in (ab.NeuralBasis(12, 2, residual=True), ab.FrozenFeatures(20)):
        model = ab.fit(x, np.sin(3 * x[:, 0]) + x[:, 1], basis, method="frozen", ridge=1e-6)
        exact, single = model.predict(x), model.predict(x, dtype="float32")
        assert exact.dtype == np.float64
        assert np.array_equal(exact, model(x))
        assert single.dtype == np.float32
        assert single.shape == exact.shape
        assert 0 < np.abs(single - exact).max() < 1e-4
        assert model.predict(x[:0], dtype="float32").shape == (0,)
    classes = ab.classify(x, x[:, 0] > x[:, 1], ab.FrozenFeatures(20), method="frozen")
    assert np.mean(classes.predict(x, dtype="float32") == classes.predict(x)) > 0.99


def test_single_precision_says_where_it_does_not_do():
    model = ab.fit(SINGLE, np.sin(30 * SINGLE[:, 0]), ab.FrozenFeatures(100), ridge=0.0)
    with pytest.warns(UserWarning, match=r"float32'\): values are off by up to .*cancel"):
        model.predict(SINGLE, dtype="float32")


def test_other_precisions_are_refused():
    with pytest.raises(
        ValueError, match=r"Fitted.predict\(X, dtype='float16'\): expected 'float64'"
    ):
        fitted(FUNCTIONS["frozen tanh"]).predict(points(), dtype="float16")

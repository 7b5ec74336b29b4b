"""Quick compilation: the same functions, and no more than a wish."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import adabasis as ab
from adabasis import rows
from adabasis._runtime import compute as compiled
from adabasis.basis.wrappers import Ensemble
from adabasis.geometry import unit_box
from adabasis.models.record import Ridge
from adabasis.regression import solve

from .laws import assert_close


def function(x, power):
    """Return a vector and a number that XLA has to compute."""
    return jnp.tanh(x) ** power, jnp.linalg.norm(x)


@pytest.fixture
def forgetful():
    """Forget before and after what XLA accepts."""
    compiled._accepted.cache_clear()
    yield
    compiled._accepted.cache_clear()


@pytest.mark.parametrize("once", [False, True])
def test_functions_compiled_quickly_are_the_same_functions(once):
    x = np.linspace(-2.0, 2.0, 50)
    got = compiled.quickly(once=once)(function)(x, power=3)
    for quick, usual in zip(got, jax.jit(function, static_argnames="power")(x, 3), strict=True):
        assert_close(quick, usual, 1e-14)
    assert compiled.quickly()(function).__doc__ == function.__doc__


def test_the_compiler_is_told(monkeypatch, forgetful):
    monkeypatch.setitem(compiled._SEVERAL, compiled._LEVEL, 1)  # tests compile with least effort
    told = []

    def jit(function, compiler_options):
        told.append(compiler_options)
        return function

    for once in (False, True):
        compiled.quickly(jit, once=once)(function)(np.ones(3), power=2)
    assert told == [compiled._SEVERAL, compiled._ONCE]
    assert told[0] != told[1]


def test_inside_other_compiled_functions_they_are_what_they_were():
    quick = compiled.quickly()(function)

    def norm(x):
        return quick(x, power=2)[1]

    x = np.array([3.0, 4.0])
    assert_close(jax.jit(norm)(x), 5.0, 1e-14)
    assert_close(jax.grad(norm)(x), x / 5.0, 1e-14)
    assert_close(jax.vmap(norm)(np.stack([x, 2 * x])), [5.0, 10.0], 1e-14)


def test_options_that_xla_does_not_know_are_left_out(monkeypatch, forgetful):
    monkeypatch.setattr(compiled, "_SEVERAL", {"xla_no_such_option": True})
    assert compiled._accepted(False) is None
    assert_close(compiled.quickly()(function)(np.ones(3), power=2)[1], np.sqrt(3.0), 1e-14)


def test_accelerators_choose_for_themselves(monkeypatch, forgetful):
    monkeypatch.setattr(jax, "default_backend", lambda: "gpu")
    assert compiled._accepted(True) is None


@pytest.mark.plain_scope
def test_a_fit_that_trains_nothing_compiles_nothing():
    """Draws, solves, leave-one-out errors and evidence are NumPy's."""
    x = np.random.default_rng(0).uniform(-1, 1, (120, 3))
    y = np.sin(3 * x[:, 0] * x[:, 1]) + x[:, 2]
    seen = []

    def listen(event, *_, **__):
        seen.append(event)

    jax.monitoring.register_event_duration_secs_listener(listen)
    try:
        model = ab.fit(x, y, max_steps=0)
        ab.fit(x, y, ab.NeuralBasis(8, 3), method="frozen", holdout=0.2).predict(x)
    finally:
        jax.monitoring.unregister_event_duration_listener(listen)
    assert len(model.candidates) > 6
    assert "/jax/core/compile/backend_compile_duration" not in seen


def test_the_last_solve_in_numpy_is_that_in_jax(monkeypatch):
    x = np.random.default_rng(0).uniform(size=(2500, 2))
    source = rows.ArraySource(x, np.sin(x @ np.ones((2, 1))), np.arange(2500) % 3.0)
    basis = ab.NeuralBasis(6, 2)
    model = Ensemble(basis, 2), Ensemble(basis, 2).init(np.random.SeedSequence(0), unit_box(2))
    for ridge in (Ridge(1e-6, relative=False), Ridge(1e-9, n_free=1)):
        monkeypatch.setattr(solve, "NUMPY_NUMBERS", 1)  # in three chunks
        ours = solve.solve_rows(model, source, ridge)
        monkeypatch.setattr(solve, "_in_numpy", lambda numbers: False)
        theirs = solve.solve_rows(model, source, ridge)
        monkeypatch.undo()
        assert isinstance(ours.coefficients, np.ndarray)
        assert_close(ours.coefficients, theirs.coefficients, 1e-7)
        assert_close(ours.singular_values, theirs.singular_values, 1e-12)
        assert (ours.rank, ours.status) == (theirs.rank, theirs.status)

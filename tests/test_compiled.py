"""Quick compilation: the same functions, and no more than a wish."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from adabasis import compiled

from .laws import assert_close


def function(x, power):
    """Return a vector and a number that XLA has to compute."""
    return jnp.tanh(x) ** power, jnp.linalg.norm(x)


@pytest.mark.parametrize("once", [False, True])
def test_functions_compiled_quickly_are_the_same_functions(once):
    x = np.linspace(-2.0, 2.0, 50)
    got = compiled.quickly(once=once)(function)(x, power=3)
    for quick, usual in zip(got, jax.jit(function, static_argnames="power")(x, 3), strict=True):
        assert_close(quick, usual, 1e-14)
    assert compiled.quickly()(function).__doc__ == function.__doc__


def test_options_that_xla_does_not_know_are_left_out(monkeypatch):
    monkeypatch.setattr(compiled, "_SEVERAL", {"xla_no_such_option": True})
    compiled._accepted.cache_clear()
    assert compiled._accepted(False) is None
    assert compiled.quickly()(function)(np.ones(3), power=2)[1] == np.sqrt(3.0)
    monkeypatch.undo()
    compiled._accepted.cache_clear()
    assert compiled._accepted(False) == compiled._SEVERAL


def test_accelerators_choose_for_themselves(monkeypatch):
    monkeypatch.setattr(jax, "default_backend", lambda: "gpu")
    compiled._accepted.cache_clear()
    assert compiled._accepted(True) is None
    compiled._accepted.cache_clear()

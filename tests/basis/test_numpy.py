"""What every basis says in NumPy is what it says in JAX; predictions are made of it."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from adabasis.basis import (
    ACTIVATIONS,
    Activation,
    FrozenFeatures,
    MappedBasis,
    NeuralBasis,
    PolynomialPartition,
    layers,
)
from adabasis.basis.layers import Affine, activation_named
from adabasis.basis.networks import Network

from ..laws import assert_close
from ..registry import FUNCTIONS, WIDTH, design, draw, points
from .test_wrappers import UNITS, WRAPPERS

each_function = pytest.mark.parametrize("name", FUNCTIONS)


def drawn(basis):
    return jax.tree.map(np.asarray, draw(basis))


@pytest.fixture
def without_jax(monkeypatch):
    def refuse():
        raise AssertionError("JAX was called")

    monkeypatch.setattr(layers, "double_precision", refuse)


@each_function
def test_values_in_numpy_are_those_in_jax(name, without_jax):
    values = FUNCTIONS[name].values(points(), drawn(FUNCTIONS[name]))
    assert type(values) is np.ndarray
    assert values.dtype == np.float64
    assert_close(values, design(name), 1e-14)


@pytest.mark.parametrize("kind", WRAPPERS)
@each_function
def test_wrappers_hand_them_on(name, kind, without_jax):
    wrap, _, to_inner = WRAPPERS[kind]
    inner, parameters = FUNCTIONS[name], drawn(FUNCTIONS[name])
    x = UNITS.inverse(points()) if kind == "mapped" else points()
    images = np.asarray(jax.vmap(to_inner)(jnp.asarray(x)))
    stacked = jax.tree.map(lambda leaf: leaf[None], parameters) if "one" in kind else parameters
    assert_close(wrap(inner).values(x, stacked), inner.values(images, parameters), 1e-12)


@pytest.mark.parametrize("name", [*ACTIVATIONS, "a user's"])
def test_activations_agree_over_their_whole_range(name):
    sigma = activation_named(name if name in ACTIVATIONS else jnp.arctan)
    z = np.concatenate([np.linspace(-40, 40, 1001), [-750.0, -1e3, 1e3, 1e-300, 1e9, np.nan]])
    with np.errstate(all="ignore"):
        values = sigma.values(z[:, None])[:, 0]
    np.testing.assert_allclose(values, sigma(jnp.asarray(z)), rtol=1e-13, atol=1e-300)


@pytest.mark.parametrize("name", ["round bumps", "power diagram", "classifying net", "grid",
                                  "pou of bumps", "pou of cells"])  # fmt: skip
def test_far_away_partitions_agree(name):
    basis, far = FUNCTIONS[name], np.array([[1e9, -1e9], [1e160, 1e160], [-1e300, 1e300], [9, 0]])
    expected = jax.vmap(lambda x: basis(x, draw(basis)))(jnp.asarray(far))
    with np.errstate(all="ignore"):
        got = basis.values(far, drawn(basis))
    np.testing.assert_allclose(got, expected, rtol=1e-12)
    assert np.isfinite(got).all()


def test_a_function_that_numpy_does_not_know_is_computed_in_jax():
    basis = NeuralBasis(WIDTH, 2, activation=lambda z: jnp.cbrt(jnp.sin(z)), residual=True)
    parameters, x = drawn(basis), points()
    expected = jax.vmap(lambda point: basis(point, parameters))(jnp.asarray(x))
    assert_close(basis.values(x, parameters), expected, 1e-14)


def test_a_users_activation_may_say_what_it_is_in_numpy(without_jax, monkeypatch):
    known = Activation(jnp.arctan, lambda lo, hi: (jnp.arctan(lo), jnp.arctan(hi)), numpy=np.arctan)
    monkeypatch.setitem(ACTIVATIONS, "arctan, also in NumPy", known)
    basis = NeuralBasis(WIDTH, 1, activation="arctan, also in NumPy", constant=False)
    rng, x = np.random.default_rng(0), points()
    weight, bias = rng.normal(size=(WIDTH, 2)), rng.normal(size=WIDTH)
    parameters = Network(Affine(weight, bias), None)
    assert_close(basis.values(x, parameters), np.arctan(x @ weight.T + bias), 1e-15)


class Squares(FrozenFeatures):
    def __call__(self, x, parameters):
        return super().__call__(x, parameters) ** 2


class Turned(MappedBasis):
    def to_inner(self, x):
        return super().to_inner(x)[::-1]


class Sharper(PolynomialPartition):
    def logits(self, x, parameters):
        return 3 * super().logits(x, parameters)


@pytest.mark.parametrize(
    "basis", [Squares(WIDTH), Turned(FrozenFeatures(WIDTH), UNITS), Sharper(3)], ids=repr
)
def test_a_subclass_with_functions_of_its_own_does_not_keep_those_of_its_parent(basis):
    parameters, x = drawn(basis), points()
    expected = jax.vmap(lambda point: basis(point, parameters))(jnp.asarray(x))
    assert_close(basis.values(x, parameters), expected, 1e-13)


def test_rows_do_not_depend_on_one_another():
    basis, x = FUNCTIONS["residual tanh"], points()
    parameters = drawn(basis)
    alone = np.concatenate([basis.values(row[None], parameters) for row in x])
    assert_close(alone, basis.values(x, parameters), 1e-15)

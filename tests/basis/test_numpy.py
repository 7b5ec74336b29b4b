"""What every basis says in NumPy is what it says in JAX; predictions are made of it."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from adabasis._runtime.backend import split
from adabasis.basis import (
    ACTIVATIONS,
    INITIALIZERS,
    Activation,
    FrozenFeatures,
    MappedBasis,
    NeuralBasis,
    PolynomialPartition,
    activations,
)
from adabasis.basis.activations import activation_named
from adabasis.basis.layers import Affine, Architecture, BoxInit, layer_image, stratified
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

    monkeypatch.setattr(activations, "double_precision", refuse)


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


SEED = np.random.SeedSequence([3, 1])
NETWORKS = {
    f"{name} {activation}{' residual' if residual else ''}": NeuralBasis(
        6, 3, init=name, activation=activation, residual=residual
    )
    for name, activation, residual in [
        *((name, "tanh", False) for name in INITIALIZERS),
        *(("box", activation, False) for activation in ACTIVATIONS),
        ("box", "relu", True),
        ("box-eq16", "relu", True),
        ("box-alg3", "relu", True),
    ]
}
BOX = np.array([[-1.0, 3.0], [2.0, 2.5]])


@pytest.mark.parametrize("name", NETWORKS)
def test_networks_drawn_in_numpy_are_numpys_and_the_same_for_a_seed(name):
    basis = NETWORKS[name]
    first, again = (basis.init(np.random.SeedSequence([3, 1]), BOX) for _ in range(2))
    other = basis.init(np.random.SeedSequence([3, 2]), BOX)
    expected = jax.eval_shape(basis.init, jax.random.key(0), jnp.asarray(BOX))
    for one, two, three, like in zip(
        *map(jax.tree.leaves, (first, again, other, expected)), strict=True
    ):
        assert type(one) is np.ndarray
        assert (one.shape, one.dtype) == (like.shape, like.dtype)
        assert np.array_equal(one, two)
        assert not np.array_equal(one, three) or not one.any()


def test_box_planes_drawn_in_numpy_keep_to_the_box():
    """The largest value of each unit over its box is 1, and each slice of a side holds a point."""
    net = Architecture(40, 2, activation_named("tanh"), residual=False)
    first, second = BoxInit()(SEED, BOX, net)
    for layer, box in ((first, BOX), (second, layer_image(first, BOX, net.activation))):
        highest = np.maximum(layer.weight, 0) @ box[:, 1] + np.minimum(layer.weight, 0) @ box[:, 0]
        assert_close(highest + layer.bias, np.ones(40), 1e-12)
    points = np.sort(stratified(*split(SEED, 2), (40, 2), np.float64), axis=0)
    assert np.array_equal(np.floor(points), np.arange(40.0)[:, None] * np.ones(2))


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_images_of_boxes_are_the_same_in_numpy(activation):
    rng = np.random.default_rng(0)
    layer, box = Affine(rng.normal(size=(9, 2)), rng.normal(size=9)), BOX
    in_jax = Affine(*map(jnp.asarray, layer))
    image = layer_image(layer, box, activation_named(activation))
    assert type(image) is np.ndarray
    assert_close(image, layer_image(in_jax, jnp.asarray(box), activation_named(activation)), 1e-14)


@pytest.mark.parametrize("name", [n for n, basis in FUNCTIONS.items() if basis.draws_in_numpy])
def test_what_is_drawn_in_numpy_has_the_form_of_what_jax_draws(name):
    basis = FUNCTIONS[name]
    box = np.array([[0.0, 1.0]] * points().shape[1])
    ours, theirs = basis.init(SEED, box), basis.init(jax.random.key(0), jnp.asarray(box))
    assert jax.tree.structure(ours) == jax.tree.structure(theirs)
    placed, there = basis.placed(ours, points()), basis.placed(theirs, jnp.asarray(points()))
    for leaf, like in zip(jax.tree.leaves(placed), jax.tree.leaves(there), strict=True):
        assert isinstance(leaf, np.ndarray | np.generic)
        assert leaf.shape == like.shape
    assert np.isfinite(basis.values(points(), placed)).all()


def test_a_wider_network_of_numpys_holds_the_narrower():
    narrow, wide = NeuralBasis(4, 3), NeuralBasis(9, 3)
    inner = narrow.init(SEED, BOX)
    outer = wide.widened(inner, np.random.SeedSequence(7), BOX)
    x = np.random.default_rng(0).uniform(size=(5, 2))
    assert all(type(leaf) is np.ndarray for leaf in jax.tree.leaves(outer))
    assert_close(wide.values(x, outer)[:, :4], narrow.values(x, inner)[:, :4], 1e-14)


def test_who_draws_in_a_way_of_their_own_is_asked_in_jax():
    class Own(NeuralBasis):
        def init(self, key, box):
            return super().init(jax.random.fold_in(key, 1), box)

    class OwnInit(BoxInit):
        def __call__(self, key, box, net):
            return super().__call__(jax.random.fold_in(key, 1), box, net)

    assert NeuralBasis(3, 1).draws_in_numpy
    assert not Own(3, 1).draws_in_numpy
    assert not NeuralBasis(3, 1, init=OwnInit()).draws_in_numpy


@pytest.mark.parametrize("kind", WRAPPERS)
def test_wrappers_draw_in_numpy_what_the_inner_basis_draws(kind):
    wrap, box, _ = WRAPPERS[kind]
    basis = wrap(NeuralBasis(5, 2))
    assert basis.draws_in_numpy
    drawn = basis.init(SEED, box)
    assert all(type(leaf) is np.ndarray for leaf in jax.tree.leaves(drawn))
    assert np.isfinite(basis.values(box.mean(axis=1)[None], drawn)).all()

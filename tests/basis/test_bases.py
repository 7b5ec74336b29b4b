"""What every basis obeys: one value in all modes of JAX, its size, equality, its recipe."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import adabasis.basis
from adabasis import rows
from adabasis.basis import (
    ACTIVATIONS,
    BASES,
    INITIALIZERS,
    AbstractPartition,
    AdditiveSplines,
    BoxInit,
    EnrichedBasis,
    Ensemble,
    FrozenFeatures,
    GaussianKernels,
    GridPartition,
    NeuralBasis,
    PartitionBasis,
    PlacedGaussians,
    Polynomial,
    ProjectedFeatures,
)
from adabasis.basis.base import description, from_description
from adabasis.basis.pou.polynomial import multi_indices
from adabasis.operators import Identity

from ..laws import assert_close, assert_same_bits
from ..registry import BOXES, DEPTH, FUNCTIONS, REGISTRY, ROWS, WIDTH, draw, evaluate, key, points

pytestmark = pytest.mark.strict_promotion

each_function = pytest.mark.parametrize("name", FUNCTIONS)
each_basis = pytest.mark.parametrize("name", REGISTRY)


def test_the_registry_covers_all_kinds_activations_and_initialisers():
    bases = REGISTRY.values()
    assert {type(basis).__name__ for basis in bases} == set(BASES)
    named = {getattr(basis, "activation", None) for basis in bases}
    assert named - {None} == set(ACTIVATIONS)
    nets = [basis for basis in bases if isinstance(basis, NeuralBasis)]
    assert {net.initializer for net in nets if isinstance(net.initializer, str)} == set(
        INITIALIZERS
    )


@each_function
def test_jit_vmap_and_eager_agree(name):
    basis, x = FUNCTIONS[name], points()
    parameters = draw(basis)
    mapped = rows.evaluate(Identity(), basis, parameters, x)
    compiled = eqx.filter_jit(rows.evaluate)(Identity(), basis, parameters, x)
    one_by_one = [basis(jnp.asarray(point), parameters) for point in x[:3]]
    assert mapped.shape == (ROWS, basis.size(2))
    assert mapped.dtype == np.float64
    assert np.all(np.isfinite(mapped))
    assert_close(compiled, mapped, 1e-14)
    assert_close(np.stack(one_by_one), mapped[:3], 1e-14)


def test_drawing_agrees_under_jit_and_vmap():
    """Under vmap with JAX' default keys: from a batch of "rbg" keys it draws otherwise."""
    basis, box = FUNCTIONS["one layer tanh"], jnp.asarray(BOXES["unit 2-D"])
    compiled, eager = jax.jit(basis.init)(key(), box), basis.init(key(), box)
    for a, b in zip(jax.tree.leaves(compiled), jax.tree.leaves(eager), strict=True):
        assert_close(a, b, 1e-13)
    keys = jax.random.split(jax.random.key(0), 2)
    mapped = jax.vmap(lambda k: basis.init(k, box))(keys)
    for i in range(2):
        eager = jax.tree.leaves(basis.init(keys[i], box))
        for a, b in zip(jax.tree.leaves(mapped), eager, strict=True):
            assert_close(a[i], b, 1e-13)


@each_basis
def test_a_draw_is_finite_repeatable_and_depends_on_the_key(name):
    basis = REGISTRY[name]
    first = draw(basis)
    assert_same_bits(first, draw(basis))
    leaves, others = jax.tree.leaves(first), jax.tree.leaves(draw(basis, seed=1))
    moved = any(not np.array_equal(a, b) for a, b in zip(leaves, others, strict=True))
    draws_nothing = isinstance(basis, GridPartition | Polynomial | AdditiveSplines)
    assert moved != draws_nothing
    assert all(np.all(np.isfinite(leaf)) for leaf in leaves)
    assert all(leaf.dtype == np.float64 for leaf in leaves)


@each_basis
def test_size_is_the_number_of_functions(name):
    basis = REGISTRY[name]
    for n_inputs in (1, 2, 10):
        if isinstance(basis, EnrichedBasis):
            assert basis.size(n_inputs) == basis.n_added + basis.inner.size(n_inputs)
        elif isinstance(basis, PlacedGaussians):
            assert basis.size(n_inputs) == basis.count + basis.inner.size(n_inputs)
        elif isinstance(basis, Ensemble):
            assert basis.size(n_inputs) == basis.n_members * basis.inner.size(n_inputs)
        elif isinstance(basis, NeuralBasis):
            assert basis.size(n_inputs) == basis.width + basis.constant
        elif isinstance(basis, AbstractPartition):
            assert basis.size(n_inputs) == basis.n_partitions
        elif isinstance(basis, Polynomial):
            indices = multi_indices(n_inputs, basis.degree, basis.index_set)
            highest = basis.highest or basis.degree
            assert basis.size(n_inputs) == np.sum(indices.max(axis=1, initial=0) <= highest)
        elif isinstance(basis, AdditiveSplines):
            assert basis.size(n_inputs) == n_inputs * (basis.n_knots + 1) + 1
        elif isinstance(basis, GaussianKernels):
            second = 0 if basis.anova else n_inputs * (n_inputs + 1) // 2
            assert basis.size(n_inputs) == basis.n_centers + second + 1 + n_inputs
        elif isinstance(basis, PartitionBasis):
            assert basis.size(n_inputs) == basis.n_partitions * len(
                multi_indices(n_inputs, basis.degree, basis.index_set)
            )
        else:
            assert basis.size(n_inputs) == basis.width + 1 + n_inputs


@each_basis
def test_a_recipe_is_hashable_and_equal_to_its_copy(name):
    basis = REGISTRY[name]
    copy = type(basis)(**basis.config())
    assert copy == basis
    assert hash(copy) == hash(basis)
    assert copy.config() == basis.config()
    assert not jax.tree.leaves(basis), "a recipe holds no arrays"
    sizes = ("n_partitions", "n_members", "width", "degree", "n_knots", "n_centers", "count")
    if isinstance(basis, EnrichedBasis):
        assert basis.with_inner(FrozenFeatures(4)) != basis
        return
    name = next(n for n in sizes if n in basis.config())
    size = getattr(basis, name)
    wider = basis.replace(**{name: size + 1})
    assert wider != basis
    assert getattr(wider, name) == size + 1
    assert wider.replace(**{name: size}) == basis
    others = [other for other in REGISTRY.values() if other is not basis]
    assert basis not in others
    assert repr(basis) == repr(copy)
    assert f"{name}={size}" in repr(basis)


def test_float32_is_kept():
    basis = FUNCTIONS["frozen tanh"]
    parameters = basis.init(key(), jnp.asarray(BOXES["unit 2-D"], np.float32))
    out = basis(jnp.zeros(2, np.float32), parameters)
    assert {leaf.dtype for leaf in [*jax.tree.leaves(parameters), out]} == {np.dtype("f4")}


@pytest.mark.parametrize("residual", [False, True])
@pytest.mark.parametrize("depth", [2, 20])
def test_a_net_is_the_loop_over_its_layers(residual, depth):
    """Depth 20 is more than one unrolled block and no multiple of it."""
    basis = NeuralBasis(WIDTH, depth, residual=residual)
    parameters, x = draw(basis), points()
    h = np.tanh(x @ parameters.first.weight.T + parameters.first.bias)
    assert len(parameters.hidden.weight) == depth - 1
    for weight, bias in zip(*parameters.hidden, strict=True):
        out = np.tanh(h @ np.asarray(weight).T + np.asarray(bias))
        h = h + out if residual else out
    expected = np.concatenate([h, np.ones((ROWS, 1))], axis=1)
    assert_close(evaluate(Identity(), basis, parameters, x), expected, 1e-13)


def test_frozen_features_are_a_scaled_layer_with_affine_functions():
    x = points()
    unit, doubled = (draw(FrozenFeatures(WIDTH, scale=scale)) for scale in ("auto", 2.0))
    assert_same_bits(doubled, jax.tree.map(lambda leaf: 2.0 * leaf, unit))
    basis = FrozenFeatures(WIDTH, scale=2.0)
    expected = np.concatenate(
        [np.tanh(x @ doubled.weight.T + doubled.bias), np.ones((ROWS, 1)), x], axis=1
    )
    assert_close(evaluate(Identity(), basis, doubled, x), expected, 1e-14)
    assert not basis.trainable
    assert NeuralBasis(WIDTH, 1).trainable


def test_smoothness_is_that_of_the_activation():
    assert FUNCTIONS["residual relu"].smoothness == 0
    assert FUNCTIONS["residual elu"].smoothness == 1
    assert FUNCTIONS["frozen tanh"].smoothness == np.inf


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: NeuralBasis(0, 1), ["NeuralBasis", "width=0", "at least 1"]),
        (lambda: NeuralBasis(1, 0), ["NeuralBasis", "depth=0", "at least 1"]),
        (lambda: NeuralBasis(8, 1, activation="rellu"), ["activation='rellu'", "relu", "tanh"]),
        (lambda: NeuralBasis(8, 1, init="boxx"), ["init='boxx'", "box", "glorot"]),
        (lambda: FrozenFeatures(0), ["FrozenFeatures", "width=0"]),
        (lambda: FrozenFeatures(8, activation="rellu"), ["activation='rellu'"]),
        (lambda: FrozenFeatures(8, scale=0.0), ["scale=0.0", "positive"]),
        (lambda: FrozenFeatures(8, scale=-1.0), ["scale=-1.0", "positive"]),
        (lambda: FrozenFeatures(8, scale=float("nan")), ["scale=nan", "positive"]),
        (lambda: FrozenFeatures(8, scale="large"), ["scale='large'", "'auto'"]),
        (lambda: ProjectedFeatures(0, 1), ["ProjectedFeatures", "width=0"]),
        (lambda: ProjectedFeatures(8, 0), ["ProjectedFeatures", "rank=0"]),
        (lambda: ProjectedFeatures(8, 1, scale=0.0), ["scale=0.0", "positive"]),
        (lambda: ProjectedFeatures(8, 1, activation="rellu"), ["activation='rellu'"]),
        (lambda: Ensemble(NeuralBasis(8, 1), 0), ["Ensemble", "n_members=0"]),
        (lambda: BoxInit(variant="eq17"), ["variant='eq17'", "eq16", "alg3"]),
    ],
)
def test_bad_arguments_are_named(make, words):
    with pytest.raises(ValueError, match=r"expected|must|positive") as caught:
        make()
    for word in words:
        assert word in str(caught.value)


def test_hidden_layers_are_stacked():
    parameters = draw(NeuralBasis(WIDTH, DEPTH))
    assert parameters.hidden.weight.shape == (DEPTH - 1, WIDTH, WIDTH)
    assert draw(NeuralBasis(WIDTH, 1)).hidden is None


@each_function
def test_the_function_to_linearise_has_the_values_of_the_basis(name):
    basis, x = FUNCTIONS[name], jnp.asarray(points())
    parameters = draw(basis)
    twin = basis.linearizable(parameters, x)
    for point in x[:3]:
        assert_close(twin(point, parameters), basis(point, parameters), 1e-15)


def test_a_kink_is_averaged_over_the_gap_between_points():
    """The derivative in the bias of one ReLU: the share of [z − h, z + h] that is positive."""
    basis = NeuralBasis(1, 1, activation="relu", constant=False)
    x = jnp.linspace(0.0, 1.0, 101)[:, None]
    parameters = basis.init(key(), jnp.array([[0.0, 1.0]]))
    twin = basis.linearizable(parameters, x)
    z = jax.vmap(parameters.first)(x)[:, 0]
    got = jax.vmap(jax.grad(lambda p, x: twin(x, p)[0]), in_axes=(None, 0))(parameters, x)
    half = (z.max() - z.min()) / 101
    expected = np.clip((z + half) / (2 * half), 0, 1)
    assert np.sum((expected > 0) & (expected < 1)) in (1, 2, 3)
    np.testing.assert_allclose(got.first.bias[:, 0], expected, atol=1e-12)


def test_an_ensemble_is_its_members_side_by_side():
    basis, x = FUNCTIONS["three nets"], jnp.asarray([0.2, 0.7])
    parameters = draw(basis)
    apart = [part(x, inside) for part, inside in basis.members(parameters)]
    assert_close(basis(x, parameters), np.concatenate(apart), 1e-15)


def test_projected_features_see_the_projection_only():
    basis = FUNCTIONS["projected tanh"]
    parameters, x = draw(basis), jnp.asarray([0.2, 0.7])
    along = jnp.array([-parameters.weight[0, 1], parameters.weight[0, 0]])
    moved = basis(x + 0.1 * along / jnp.linalg.norm(along), parameters)
    assert_close(moved[:WIDTH], basis(x, parameters)[:WIDTH], 1e-14)


@pytest.mark.parametrize("rank", [1, 3])
def test_directions_map_the_points_onto_the_unit_box(rank):
    x = points(BOXES["mixed 10-D"])
    directions = np.random.default_rng(0).normal(size=(rank, 10))
    z = jax.vmap(ProjectedFeatures(WIDTH, rank).along(directions, x))(x)
    np.testing.assert_allclose(z.min(axis=0), 0, atol=1e-13)
    np.testing.assert_allclose(z.max(axis=0), 1, atol=1e-13)


@pytest.mark.parametrize("name", ["plain relu", "one layer tanh", "deep residual tanh"])
def test_a_widened_network_has_the_functions_of_the_narrower_one(name):
    wide = FUNCTIONS[name]
    narrow = wide.replace(width=WIDTH // 2)
    few, x = draw(narrow), points()
    many = wide.widened(few, key(1), jnp.asarray(BOXES["unit 2-D"]))
    expected = evaluate(Identity(), narrow, few, x)[:, : narrow.width]
    found = evaluate(Identity(), wide, many, x)
    assert_close(found[:, : narrow.width], expected, 1e-13)
    assert np.linalg.matrix_rank(found) > np.linalg.matrix_rank(expected)


def test_only_a_narrower_network_of_the_same_depth_is_widened():
    wide = FUNCTIONS["plain tanh"]
    for other in (wide.replace(width=2 * WIDTH), wide.replace(depth=1)):
        with pytest.raises(ValueError, match="at most as wide"):
            wide.widened(draw(other), key(), jnp.asarray(BOXES["unit 2-D"]))


def test_names_of_version_0_1_are_still_read():
    net = {"kind": "NeuralBasis", "config": {"width": 8, "depth": 1, "init": {"kind": "Box"}}}
    old = {"kind": "Ensemble", "config": {"member": net, "members": 3}}
    expected = Ensemble(NeuralBasis(8, 1, init=BoxInit()), 3)
    assert from_description(old) == expected
    assert from_description(description(expected)) == expected
    with pytest.warns(FutureWarning, match="BoxInit"):
        assert adabasis.basis.Box is BoxInit

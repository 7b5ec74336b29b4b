"""Partitions of unity and local polynomials: the laws, beside formulas written out here."""

import itertools
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from adabasis import lstsq
from adabasis.basis import (
    PARTITIONS,
    GridPartition,
    NetworkPartition,
    PartitionBasis,
    PolynomialPartition,
    RBFPartition,
)
from adabasis.basis.pou.grid import cells_along
from adabasis.basis.pou.polynomial import INDEX_SETS, dimension, multi_indices, products
from adabasis.operators import Identity

from ..laws import assert_close
from ..registry import BOXES, draw, evaluate, key, points

pytestmark = pytest.mark.strict_promotion
PARTS, MANY = 4, 33
LOCAL = PartitionBasis(PARTS, 2, partition="quadratic")


def unity(name, dtype, box="unit 2-D", seed=0, parts=PARTS):
    """Return a kind of partition and its parameters in a precision."""
    partition = PartitionBasis(parts, 0, partition=name).unity
    return partition, partition.init(key(seed), jnp.asarray(BOXES[box], dtype))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("name", PARTITIONS)
def test_a_partition_sums_to_one_and_is_not_negative_anywhere(name, dtype):
    """Inside, far outside the box, and with borders so sharp that nothing is shared."""
    partition, parameters = unity(name, dtype, parts=MANY)
    near = points().astype(dtype)
    x = np.concatenate([near, 1e3 * (near - 0.5), 1e12 * (near - 0.5), 1e30 * (near - 0.5)])
    for factor in (1.0, 1e12):
        phi = jax.vmap(partition, in_axes=(0, None))(x, partition.sharpened(parameters, factor))
        assert phi.dtype == dtype
        assert np.all(phi >= 0)
        eps = np.finfo(dtype).eps
        np.testing.assert_allclose(phi.sum(axis=1), 1, rtol=0, atol=4 * MANY * eps)


@pytest.mark.parametrize("name", PARTITIONS)
def test_every_part_owns_points_from_the_start(name):
    """More than a hundredth of the points, whatever the seed."""
    x = jnp.asarray(points(BOXES["unit 1-D"], 256))
    for seed in range(4):
        partition, drawn = unity(name, np.float64, "unit 1-D", seed)
        parameters = partition.placed(drawn, x)
        phi = jax.vmap(partition, in_axes=(0, None))(x, parameters)
        assert np.mean(phi, axis=0).min() > 0.01
        assert np.mean(phi, axis=0).max() < 0.9


@pytest.mark.parametrize("name", PARTITIONS)
def test_sharper_partitions_keep_their_borders(name):
    partition, parameters = unity(name, np.float64)
    x = points()
    sharp = jax.vmap(partition, in_axes=(0, None))(x, partition.sharpened(parameters, 50.0))
    soft = jax.vmap(partition, in_axes=(0, None))(x, parameters)
    np.testing.assert_array_equal(np.argmax(sharp, axis=1), np.argmax(soft, axis=1))
    assert np.all(sharp.max(axis=1) >= soft.max(axis=1) - 1e-15)


def test_bumps_are_those_of_the_formula():
    partition = RBFPartition(3)
    centre, sharpness = np.array([[0.1, 0.2], [0.9, 0.4], [0.3, 0.8]]), np.array([[2.0], [3], [5]])
    parameters = draw(partition)._replace(centre=centre, sharpness=sharpness)
    x = points()
    width = 1 / sharpness[:, 0]
    squares = ((x[:, None, :] - centre) ** 2).sum(axis=2)
    expected = np.exp(-squares / width**2)
    expected /= expected.sum(axis=1, keepdims=True)
    got = jax.vmap(partition, in_axes=(0, None))(jnp.asarray(x), parameters)
    assert_close(got, expected, 1e-14)


@pytest.mark.parametrize("degree", [1, 2])
def test_voronoi_cells_hold_the_points_nearest_to_their_centres(degree):
    partition = PolynomialPartition(PARTS, degree)
    centres = points(n=PARTS, seed=3)
    x = points(n=256)
    parameters = partition.voronoi(jnp.asarray(centres), jnp.array([7.0, 7.0]))
    phi = jax.vmap(partition, in_axes=(0, None))(jnp.asarray(x), parameters)
    nearest = np.argmin(((x[:, None, :] - centres) ** 2).sum(axis=2), axis=1)
    np.testing.assert_array_equal(np.argmax(phi, axis=1), nearest)


def test_logits_of_a_network_are_centred_and_scaled_on_the_data():
    partition, box = NetworkPartition(3, width=8, gain=1.5), BOXES["unit 2-D"]
    x = jnp.asarray(0.1 * points(box))
    parameters = partition.placed(draw(partition, box), x)
    logits = jax.vmap(partition.logits, in_axes=(0, None))(x, parameters)
    np.testing.assert_allclose(np.mean(logits, axis=0), 0, atol=1e-12)
    np.testing.assert_allclose(np.std(logits, axis=0), 1.5, rtol=1e-12)


@pytest.mark.parametrize(
    ("count", "inputs", "along"),
    [(8, 2, [2, 4]), (12, 3, [2, 2, 3]), (7, 2, [1, 7]), (1, 4, [1] * 4)],
)
def test_a_grid_has_equal_cells(count, inputs, along):
    assert sorted(cells_along(count, inputs)) == along
    grid, box = GridPartition(count), np.tile([0.0, 1.0], (inputs, 1))
    centres = [(np.arange(n) + 0.5) / n for n in cells_along(count, inputs)]
    x = np.array(list(itertools.product(*centres)))
    phi = jax.vmap(grid, in_axes=(0, None))(jnp.asarray(x), draw(grid, box))
    np.testing.assert_array_equal(phi, np.eye(count))


@pytest.mark.parametrize("index_set", INDEX_SETS)
@pytest.mark.parametrize("n_inputs", [1, 2, 3])
@pytest.mark.parametrize("degree", [0, 1, 4])
def test_index_sets_are_those_of_their_definition(n_inputs, degree, index_set):
    inside = {
        "total": lambda b: sum(b) <= degree,
        "tensor": lambda b: max(b) <= degree,
        "hyperbolic": lambda b: math.prod(k + 1 for k in b) <= degree + 1,
    }[index_set]
    every = itertools.product(range(degree + 1), repeat=n_inputs)
    expected = {b for b in every if inside(b)}
    got = [tuple(b) for b in multi_indices(n_inputs, degree, index_set)]
    assert len(got) == len(set(got)) == dimension(n_inputs, degree, index_set)
    assert set(got) == expected


def test_products_are_legendre_polynomials_orthonormal_over_the_cube():
    nodes, weights = np.polynomial.legendre.leggauss(8)
    x = np.array(list(itertools.product(nodes, repeat=2)))
    w = np.array([a * b for a, b in itertools.product(weights, repeat=2)]) / 4
    indices = multi_indices(2, 4)
    values = np.asarray(products(jnp.asarray(x), indices))
    np.testing.assert_allclose(values.T @ (w[:, None] * values), np.eye(len(indices)), atol=1e-13)
    for column, orders in zip(values.T, indices, strict=True):
        factors = [np.polynomial.legendre.Legendre.basis(k)(x[:, i]) * math.sqrt(2 * k + 1)
                   for i, k in enumerate(orders)]  # fmt: skip
        assert_close(column, factors[0] * factors[1], 1e-13)


def test_spaces_of_many_inputs_are_listed_or_refused_with_their_size():
    assert multi_indices(990, 1).sum() == 990
    assert len(multi_indices(1500, 1, "hyperbolic")) == dimension(1500, 1, "hyperbolic") == 1501
    with pytest.raises(ValueError, match="1,128,751 functions"):
        multi_indices(1500, 3, "hyperbolic")


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("name", PARTITIONS)
def test_functions_are_finite_wherever_a_number_is(name, dtype):
    basis = PartitionBasis(PARTS, 3, partition=name)
    parameters = basis.init(key(), jnp.asarray(BOXES["unit 2-D"], dtype))
    for far in (1e6, 1e20, float(np.finfo(dtype).max)):
        assert np.all(np.isfinite(basis(jnp.array([far, -far], dtype), parameters)))


@pytest.mark.parametrize("name", PARTITIONS)
def test_another_number_of_inputs_is_named(name):
    basis = PartitionBasis(PARTS, 1, partition=name)
    with pytest.raises(ValueError, match="parameters of 2 inputs, evaluated at a point of 1"):
        basis(jnp.array([0.5]), draw(basis))


def test_functions_are_partitions_times_polynomials():
    parameters, x = draw(LOCAL), jnp.asarray(points())
    c = np.random.default_rng(0).normal(size=(LOCAL.size(2), 2))
    phi = jax.vmap(LOCAL.unity, in_axes=(0, None))(x, parameters.partition)
    pieces = jax.vmap(lambda p: LOCAL.pieces(p, parameters, jnp.asarray(c)))(x)
    values = evaluate(Identity(), LOCAL, parameters, x) @ c
    assert_close(values, jnp.einsum("na,naq->nq", phi, pieces), 1e-13)


@pytest.mark.parametrize("box", ["unit 2-D", "long 2-D"])
def test_a_polynomial_is_in_the_span_to_round_off(box):
    """The sum of one polynomial over all parts is that polynomial."""
    x = points(BOXES[box], 256)
    parameters = draw(LOCAL, BOXES[box])
    u = (x - x.mean(axis=0)) / x.std(axis=0)
    y = 1 + u[:, :1] - 3 * u[:, :1] * u[:, 1:] + u[:, 1:] ** 2
    a = evaluate(Identity(), LOCAL, parameters, x)
    solution = lstsq.solve(lstsq.reduce(a, jnp.asarray(y)))
    assert_close(a @ solution.coefficients, y, 1e-12)


def test_local_coordinates_follow_the_points_and_move_no_function_space():
    """A third of the unit square moved into a corner: same span, coordinates of the corner."""
    drawn, x = draw(LOCAL), jnp.asarray(0.3 * points(n=256))
    moved = LOCAL.placed(drawn, x)
    inside = jax.vmap(LOCAL.unity, in_axes=(0, None))(x, moved.partition)
    mass = np.asarray(inside.sum(axis=0))
    middle = (inside.T @ x) / mass[:, None]
    assert np.sum(mass > 50) >= 1
    assert np.abs(moved.centre - middle)[mass > 50].max() < 0.01
    a, b = (evaluate(Identity(), LOCAL, p, x) for p in (drawn, moved))
    b = np.asarray(b)
    back, *_ = np.linalg.lstsq(b, np.asarray(a), rcond=1e-13)
    assert_close(b @ back, a, 1e-9)


def test_a_part_without_points_keeps_finite_coordinates():
    partition = draw(LOCAL).partition
    lonely = partition.at[0, 0].add(-1e6)
    cells = LOCAL.recentred(lonely, jnp.asarray(points()))
    assert np.all(np.isfinite(cells.centre))
    assert np.all(np.asarray(cells.scale) > 0)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: PartitionBasis(0, 1), ["PartitionBasis", "n_partitions=0"]),
        (lambda: PartitionBasis(2, -1), ["PartitionBasis", "degree=-1"]),
        (lambda: PartitionBasis(2, 1, partition="rbff"), ["partition='rbff'", "rbf", "affine"]),
        (lambda: PartitionBasis(2, 1, partition=RBFPartition(3)), ["RBFPartition", "differ"]),
        (lambda: PartitionBasis(2, 1, index_set="all"), ["index_set='all'", "hyperbolic"]),
        (lambda: draw(PartitionBasis(9, 12), BOXES["unit 10-D"]), ["5,819,814", "hyperbolic"]),
        (lambda: multi_indices(10, 12), ["646,646", "degree 12 in 10 inputs"]),
        (lambda: RBFPartition(0), ["RBFPartition(n_partitions=0)"]),
        (lambda: RBFPartition(2, width=0.0), ["RBFPartition(width=0.0)", "positive"]),
        (lambda: PolynomialPartition(2, 0), ["PolynomialPartition(degree=0)"]),
        (lambda: NetworkPartition(2, depth=0), ["depth=0"]),
        (lambda: NetworkPartition(2, activation="rellu"), ["activation='rellu'"]),
        (lambda: NetworkPartition(2, gain=0.0), ["gain=0.0", "positive"]),
        (lambda: GridPartition(0), ["GridPartition(n_partitions=0)"]),
    ],
)
def test_bad_arguments_are_named(make, words):
    with pytest.raises(ValueError, match=words[0].replace("(", r"\(").replace(")", r"\)")) as error:
        make()
    for word in words:
        assert word in str(error.value)

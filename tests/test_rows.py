"""Rows of the least-squares problem: weights, padding, terms, systems, derivatives."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.flatten_util import ravel_pytree

from adabasis import lstsq, rows
from adabasis.geometry.points import Points, bucket, pad_points, pad_rows, padded
from adabasis.operators import Identity, Partial

from .laws import assert_close, assert_derivative, assert_same_rows
from .registry import FUNCTIONS, ROWS, design, draw, evaluate, jacobian, points, smooth_functions

pytestmark = pytest.mark.strict_promotion

NAME = "plain tanh"
BASIS = FUNCTIONS[NAME]


@pytest.fixture
def parameters():
    return draw(BASIS)


def data(n=ROWS, q=2, seed=1):
    return np.random.default_rng(seed).normal(size=(n, q))


def weights(n=ROWS, seed=2):
    return np.random.default_rng(seed).uniform(0.1, 3.0, n)


def test_a_terms_rows_are_its_weighted_mean_square(parameters):
    w, y, c = weights(), data(), data(BASIS.size(2))
    term = rows.Term(Points(points(), w), y, weight=0.3)
    block = rows.assemble([term], BASIS, parameters)
    root = np.sqrt(0.3 * w / w.sum())[:, None]
    assert_close(block.matrix, root * design(NAME), 1e-14)
    assert_close(block.rhs, root * y, 1e-14)
    loss = 0.3 * np.sum(w[:, None] * (design(NAME) @ c - y) ** 2) / w.sum()
    assert_close(np.sum((block.matrix @ c - block.rhs) ** 2), loss, 1e-13)


def test_the_loss_of_several_terms_is_their_weighted_sum(parameters):
    x, c = points(), data(BASIS.size(2))
    terms = [
        rows.Term(Points(x, weights()), data(), weight=0.3),
        rows.Term(Points(points(seed=5), np.ones(ROWS)), data(seed=6), Partial(1), weight=7.0),
    ]
    block = rows.assemble(terms, BASIS, parameters)
    assert block.matrix.shape == (2 * ROWS, BASIS.size(2))
    expected = 0.0
    for term in terms:
        values = evaluate(term.operator, BASIS, parameters, term.points.x) @ c
        squares = np.sum((values - term.data) ** 2, axis=1)
        expected += term.weight * np.average(squares, weights=term.points.weight)
    assert_close(np.sum((block.matrix @ c - block.rhs) ** 2), expected, 1e-13)
    assert_close(rows.design(terms, BASIS, parameters), block.matrix, 1e-15)
    assert_close(rows.targets(terms), block.rhs, 1e-15)


def test_padding_changes_nothing(parameters):
    n = 41
    x, y, w = points(n=n), data(n), weights(n)
    bare = rows.assemble([rows.Term(Points(x, w), y)], BASIS, parameters)
    more = rows.Term(padded(x, w), pad_rows(y, bucket(n)))
    full = rows.assemble([more], BASIS, parameters)
    assert len(more.points) == bucket(n) > n
    assert_close(full.matrix[:n], bare.matrix, 1e-15)
    assert not np.asarray(full.matrix[n:]).any()
    assert not np.asarray(full.rhs[n:]).any()
    reductions = [lstsq.reduce(block.matrix, block.rhs) for block in (bare, full)]
    assert_same_rows(reductions[1].factor, reductions[0].factor)


def test_padding_is_harmless_where_data_there_are_arbitrary(parameters):
    """Zero weight, not the zeros padded with, makes a row count for nothing."""
    n = 41
    more = padded(points(n=n), weights(n))
    y = pad_rows(data(n), bucket(n))
    wild = y.copy()
    wild[n:] = 1e30
    blocks = [rows.assemble([rows.Term(more, values)], BASIS, parameters) for values in (y, wild)]
    assert np.array_equal(blocks[0].rhs, blocks[1].rhs)


def test_buckets_waste_at_most_a_quarter_and_are_few():
    sizes = [bucket(n) for n in range(1, 5000)]
    assert all(size >= n for n, size in enumerate(sizes, start=1))
    assert all(size <= 1.25 * n + 1 for n, size in enumerate(sizes, start=1) if n > 64)
    assert sizes == sorted(sizes)
    assert len(set(sizes)) <= 27
    assert bucket(64) == 64
    assert all(bucket(size) == size for size in set(sizes))


def test_padded_points_repeat_a_point_that_is_there():
    x = points(n=41) + 5.0
    more = pad_points(x)
    assert np.array_equal(more[:41], x)
    assert np.array_equal(more[41:], np.tile(x[0], (bucket(41) - 41, 1)))
    assert pad_points(np.zeros((0, 3))).shape == (64, 3)
    assert np.array_equal(padded(x).weight, np.arange(64) < 41)


def test_a_coupled_term_is_the_block_matrix_of_the_system(parameters):
    """u_x + v = f, v_y = g, in the unknowns u, v: two equations, two blocks of columns each."""
    x, w, y = points(), weights(), data()
    operators = [[Partial(0), Identity()], [None, Partial(1)]]
    term = rows.CoupledTerm(Points(x, w), y, operators, weight=0.3)
    block = rows.assemble([term], BASIS, parameters)
    phi = design(NAME)
    phi_x, phi_y = (np.asarray(evaluate(Partial(i), BASIS, parameters, x)) for i in (0, 1))
    expected = np.block([[phi_x, phi], [np.zeros_like(phi), phi_y]])
    root = np.tile(np.sqrt(0.3 * w / w.sum()), 2)[:, None]
    assert_close(block.matrix, root * expected, 1e-14)
    assert_close(block.rhs, root * np.concatenate([y[:, :1], y[:, 1:]]), 1e-14)
    c = data(2 * phi.shape[1], 1)
    u, v = np.split(c[:, 0], 2)
    squares = (phi_x @ u + phi @ v - y[:, 0]) ** 2 + (phi_y @ v - y[:, 1]) ** 2
    loss = 0.3 * np.average(squares, weights=w)
    assert_close(np.sum((block.matrix @ c - block.rhs) ** 2), loss, 1e-13)


def test_a_coupled_system_with_a_known_solution_is_solved(parameters):
    x = points()
    u, v = data(BASIS.size(2), 2).T
    operators = [[Partial(0), Identity()], [Identity(), None], [None, Identity()]]
    phi, phi_x = design(NAME), np.asarray(evaluate(Partial(0), BASIS, parameters, x))
    y = np.stack([phi_x @ u + phi @ v, phi @ u, phi @ v], axis=1)
    term = rows.CoupledTerm(Points(x, np.ones(ROWS)), y, operators)
    block = rows.assemble([term], BASIS, parameters)
    c = np.asarray(lstsq.solve(lstsq.reduce(block.matrix, block.rhs)).coefficients)
    assert_close(block.matrix @ c, block.rhs, 1e-12)
    values = np.stack([phi @ part for part in np.split(c[:, 0], 2)], axis=1)
    assert_close(values, y[:, 1:], 1e-11)


@pytest.mark.parametrize("name", smooth_functions())
def test_partial_derivatives_are_finite_differences(name):
    basis = FUNCTIONS[name]
    parameters, x = draw(basis), points()[2:]

    def phi(x):
        return evaluate(Identity(), basis, parameters, x)

    tolerance = 1e-7 if basis.smoothness > 1 else 1e-4  # where ELU's kink is straddled
    for i, direction in enumerate(np.eye(2)):
        derivative = evaluate(Partial(i), basis, parameters, x)
        assert derivative.shape == (len(x), basis.size(2))
        assert_derivative(phi, derivative, x, direction, 1e-5, tolerance)


def numeric_jacobian(terms, parameters, c):
    """Return ∂(A(ξ) c)/∂ξ of the assembled rows, in forward mode, (rows, outputs, n)."""
    flat, unravel = ravel_pytree(parameters)
    return jax.jacfwd(lambda flat: rows.design(terms, BASIS, unravel(flat)) @ c)(flat)


def test_the_jacobian_in_the_hidden_parameters_is_that_of_all_rows(parameters):
    c = data(BASIS.size(2))
    terms = [
        rows.Term(Points(points(), weights()), data(), weight=0.3),
        rows.Term(Points(points(seed=5), np.ones(ROWS)), data(seed=6), Partial(1), weight=7.0),
    ]
    got = jacobian(terms, BASIS, parameters, jnp.asarray(c))
    assert_close(got, numeric_jacobian(terms, parameters, c), 1e-12)


def test_the_jacobian_of_a_coupled_system_is_that_of_all_rows(parameters):
    c = data(2 * BASIS.size(2), 1)
    operators = [[Partial(0), Identity()], [None, Partial(1)]]
    terms = [rows.CoupledTerm(Points(points(), weights()), data(), operators, weight=0.3)]
    got = jacobian(terms, BASIS, parameters, jnp.asarray(c))
    assert_close(got, numeric_jacobian(terms, parameters, c), 1e-12)


def test_operators_know_their_order():
    assert (Identity().order, Partial(0).order) == (0, 1)
    assert Identity()(abs) is abs


def test_jit_and_eager_agree(parameters):
    term = rows.Term(Points(points(), weights()), data(), Partial(0), weight=0.3)
    eager = rows.assemble([term], BASIS, parameters)
    compiled = jax.jit(lambda t: rows.assemble([t], BASIS, parameters))(term)
    assert_close(compiled.matrix, eager.matrix, 1e-14)
    assert_close(compiled.rhs, eager.rhs, 1e-15)

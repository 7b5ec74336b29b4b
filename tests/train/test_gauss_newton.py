"""Gauss–Newton with the coefficients projected out: its Jacobian, and that it never climbs."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.flatten_util import ravel_pytree

from adabasis._runtime.compute import numerics
from adabasis.basis import NeuralBasis
from adabasis.geometry.points import Points
from adabasis.operators import Identity, Partial
from adabasis.rows import Term
from adabasis.train import LSGN, Objective, gauss_newton, matrix_free
from adabasis.train.base import Projection

from ..laws import assert_close, assert_same_bits
from ..registry import draw
from .problems import BASIS, FRAGILE, PLAIN, augmented, objective, projected, run
from .test_steps import states


def residual_jacobian(problem, parameters):
    """Return ρ(ξ) = A c(ξ) − b, (rows, Q), and its Jacobian (rows, Q, n), by projection."""
    flat, unravel = ravel_pytree(parameters)

    def residual(flat):
        a, b = augmented(problem, unravel(flat))
        q, _ = jnp.linalg.qr(a)
        return q @ (q.T @ b) - b

    return np.asarray(residual(flat)), np.asarray(jax.jit(jax.jacfwd(residual))(flat))


@pytest.mark.parametrize("ridge", [0.0, 1e-3])
def test_the_full_jacobian_is_that_of_the_projected_residual(ridge):
    """The system is kept up to a rotation of its rows, so Gram matrices are compared."""
    problem, parameters = objective(ridge=ridge), draw(BASIS)
    assert np.linalg.cond(augmented(problem, parameters)[0]) < 1e6
    rho, jacobian = residual_jacobian(problem, parameters)
    ((state, _),) = states(LSGN(jacobian="golub-pereyra"), problem, 1)
    j = jacobian.reshape(-1, jacobian.shape[2])
    assert_close(state.system[:, :-1].T @ state.system[:, :-1], j.T @ j / 2, 1e-6)
    assert_close(state.system[:, :-1].T @ state.system[:, -1], j.T @ rho.ravel() / 2, 1e-6)
    assert_close(np.sum(np.square(state.system[:, -1])), np.sum(rho**2) / 2, 1e-9)


@pytest.mark.parametrize("ridge", [0.0, 1e-3])
def test_kaufmans_jacobian_has_the_right_gradient(ridge):
    problem, parameters = objective(ridge=ridge), draw(BASIS)
    value, gradient = projected(problem, parameters)
    ((state, evaluation),) = states(LSGN(), problem, 1)
    got = 2 * state.system[:, :-1].T @ state.system[:, -1]
    assert_close(got, ravel_pytree(gradient)[0], 1e-5)
    assert_close(state.loss, value, 1e-9)
    assert_same_bits(evaluation.parameters, parameters)


@pytest.mark.parametrize("solver", ["qr", "iterative"])
def test_accepted_steps_never_raise_the_loss_and_rejected_ones_are_taken_back(solver):
    problem, before, kinds = objective(), None, set()
    for state, evaluation in states(LSGN(solver=solver), problem, 60):
        if before is not None:
            accepted = bool(evaluation.loss < before.loss)
            kinds.add(accepted)
            if accepted:
                assert state.loss <= evaluation.loss  # the ridge may fall, and the loss with it
                assert state.damping <= 2 * before.damping
            else:
                assert_same_bits((state.good, state.loss), (before.good, before.loss))
                assert state.damping > before.damping
        before = state
    assert kinds == {True, False}


def test_single_precision_blurs_the_direction_and_nothing_else():
    problem, steps = objective(ridge=1e-3), {}
    for precision in ("single", "double"):
        ((state, evaluation),) = states(LSGN(precision=precision), problem, 1)
        steps[precision] = ravel_pytree(state.trial)[0] - state.good
        exact = states(LSGN(), problem, 1)
        assert_same_bits(evaluation, next(iter(exact))[1])
        assert state.good.dtype == state.loss.dtype == state.system.dtype == np.float64
    error = np.linalg.norm(steps["single"] - steps["double"]) / np.linalg.norm(steps["double"])
    assert 1e-12 < error < 1e-3


@pytest.mark.parametrize("ridge", [0.0, 1e-3])
@pytest.mark.parametrize("basis", [BASIS, FRAGILE])
def test_products_with_the_jacobian_are_those_of_its_matrix(ridge, basis):
    """K by its columns, Kᵀ by its rows, and their Gram matrix, that of the factored system."""
    problem, parameters = objective(basis, ridge=ridge), draw(basis)
    flat, unravel = ravel_pytree(parameters)
    here = Projection.of(problem, parameters, jnp.asarray(1e-8))
    forward, backward = matrix_free.products(problem, unravel, flat, here.c, here.span)
    columns = jax.vmap(forward)(jnp.eye(len(flat)))
    k = np.asarray(columns).reshape(len(flat), -1).T
    units = jnp.eye(k.shape[0]).reshape(-1, *columns.shape[1:])
    assert_close(jax.vmap(backward)(units), k, 1e-12)
    ((state, _),) = states(LSGN(), problem, 1)
    assert_close(k.T @ k, state.system[:, :-1].T @ state.system[:, :-1], 1e-9)


def test_conjugate_gradients_solve_the_damped_problem(monkeypatch):
    monkeypatch.setattr(matrix_free, "ACCURACY", 1e-12)
    rng = np.random.default_rng(0)
    k, b = rng.normal(size=(40, 12)), rng.normal(size=(40, 1))
    t, image = matrix_free.cgls(
        lambda t: (k @ t)[:, None], lambda u: k.T @ u[:, 0], jnp.asarray(b), jnp.asarray(0.3)
    )
    below = np.concatenate([k, np.sqrt(0.3) * np.eye(12)])
    expected = np.linalg.lstsq(below, np.concatenate([b[:, 0], np.zeros(12)]))[0]
    assert_close(t, expected, 1e-10)
    assert_close(image[:, 0], k @ expected, 1e-10)


def test_column_norms_are_guessed_within_a_factor():
    rng = np.random.default_rng(0)
    k = rng.normal(size=(200, 10)) * np.logspace(-3, 3, 10)
    guessed = matrix_free.estimated_norms(lambda u: k.T @ u, (200,), np.float64)
    ratio = np.asarray(guessed) / np.linalg.norm(k, axis=0)
    assert np.all((ratio > 0.25) & (ratio < 4))  # a mean of eight squares


def test_the_solver_is_chosen_by_the_cost_of_a_factorization():
    trainer = LSGN()
    assert not trainer._iterates((2000, 17), 400, 1)
    assert trainer._iterates((2000, 33), 1408, 1)
    assert trainer._iterates((10**6, 17), 400, 1)
    assert LSGN(solver="iterative")._iterates((64, 9), 24, 1)
    assert not LSGN(jacobian="golub-pereyra")._iterates((10**6, 17), 400, 1)


@pytest.mark.parametrize("options", [{"solver": "cg"}, {"solver": "iterative"}])
def test_what_the_solvers_cannot_do_is_named(options):
    with pytest.raises(ValueError, match="solver"):
        LSGN(jacobian="golub-pereyra", **options)


def test_it_goes_further_than_descent():
    assert run(LSGN(), max_steps=60).loss <= 0.5 * run(PLAIN, max_steps=60).loss


def test_an_unknown_jacobian_is_named():
    with pytest.raises(ValueError, match=r"LSGN\(jacobian='full'\).*kaufman.*golub-pereyra"):
        LSGN(jacobian="full")
    with pytest.raises(ValueError, match=r"LSGN\(precision='half'\).*double.*single"):
        LSGN(precision="half")


@pytest.mark.parametrize("damping", [0.0, -1.0, np.inf, np.nan])
def test_a_damping_is_positive(damping):
    with pytest.raises(ValueError, match=r"LSGN\(damping=.*positive"):
        LSGN(damping=damping)


@pytest.mark.parametrize(
    ("activation", "operator", "damping"),
    [
        ("tanh", Partial(0), 1e-2),
        ("relu", Identity(), 1e-2),
        ("relu", Partial(0), 30.0),
    ],
)
@pytest.mark.parametrize("solver", ["qr", "iterative"])
def test_the_first_step_is_cautious_where_kinks_make_residuals_jump(
    activation, operator, damping, solver
):
    x = np.linspace(0, 1, 9)[:, None]
    with numerics():
        basis = NeuralBasis(3, 1, activation=activation)
        objective = Objective([Term(Points(x, np.ones(9)), x, operator)], 0.0, basis)
        initial = basis.init(jax.random.key(0), jnp.array([[0.0, 1.0]]))

        def first(**options):
            trainer = LSGN(solver=solver, **options)
            return float(trainer.init(objective, initial, jax.random.key(1)).damping)

        assert first() == damping
        assert first(damping=0.5) == 0.5


@pytest.mark.parametrize("n", [1, 2, 5, 8])
@pytest.mark.parametrize("more", [0, 3])
def test_rows_over_a_diagonal_are_reduced_as_all_rows_are(n, more):
    rng = np.random.default_rng(n)
    over = rng.normal(size=(n + 1 + more, n + 1))
    over = over if more else np.triu(over)
    diagonal = rng.uniform(0.1, 1.0, n)
    triangle = np.asarray(gauss_newton._under(jnp.asarray(over), jnp.asarray(diagonal)))
    whole = np.vstack([over, np.pad(np.diag(diagonal), ((0, 0), (0, 1)))])
    assert np.array_equal(np.tril(triangle[:, :n], -1), np.zeros((n, n)))
    assert_close(triangle[:, :n].T @ triangle, whole[:, :n].T @ whole, 1e-13)

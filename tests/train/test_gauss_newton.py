"""Gauss–Newton with the coefficients projected out: its Jacobian, and that it never climbs."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.flatten_util import ravel_pytree

from adabasis.train import LSGN

from ..laws import assert_close, assert_same_bits
from ..registry import draw
from .problems import BASIS, PLAIN, augmented, objective, projected, run
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


def test_accepted_steps_never_raise_the_loss_and_rejected_ones_are_taken_back():
    problem, before, kinds = objective(), None, set()
    for state, evaluation in states(LSGN(), problem, 60):
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


def test_it_goes_further_than_descent():
    assert run(LSGN(), max_steps=60).loss <= 0.5 * run(PLAIN, max_steps=60).loss


def test_an_unknown_jacobian_is_named():
    with pytest.raises(ValueError, match=r"LSGN\(jacobian='full'\).*kaufman.*golub-pereyra"):
        LSGN(jacobian="full")

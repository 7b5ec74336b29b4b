"""Newton for the last layer, and NGD: the optimum is one, whoever looks for it, and however."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from adabasis.basis import NeuralBasis
from adabasis.geometry.points import Points
from adabasis.models.classifier import indicators
from adabasis.rows import Term
from adabasis.train import GD, NGD, Budget, CrossEntropy, StopReason, newton, train

from ..laws import assert_close, assert_derivative, assert_same_bits
from ..registry import ROWS, draw, key, points

BASIS = NeuralBasis(8, 1)
SOLVERS = {"reduction": np.inf, "products": 0.0}


def problem(n_classes, ridge=1e-3, seed=0, basis=BASIS):
    """Return a loss on overlapping classes, with weights, and Φ there."""
    rng = np.random.default_rng(seed)
    x = points()
    index = (np.digitize(x.sum(axis=1), np.linspace(0.6, 1.4, n_classes - 1))) % n_classes
    index = np.where(rng.random(ROWS) < 0.2, rng.integers(0, n_classes, ROWS), index)
    weight = rng.uniform(0.5, 2.0, ROWS)
    weight[-5:] = 0
    term = Term(Points(x, weight), indicators(index, n_classes))
    objective = CrossEntropy(term, ridge / weight.sum(), basis)
    return objective, objective.design(draw(basis)), index, weight


def zeros(objective, phi):
    return jnp.zeros((phi.shape[1], objective.n_outputs))


@pytest.fixture(params=SOLVERS)
def solver(request, monkeypatch):
    monkeypatch.setattr("adabasis.train.last_layer.DIRECT_WORK", SOLVERS[request.param])
    return request.param


@pytest.mark.parametrize("n_classes", [2, 3])
@pytest.mark.parametrize("ridge", [1.0, 1e-4])
def test_the_optimum_is_that_of_logistic_regression(solver, n_classes, ridge):
    objective, phi, index, weight = problem(n_classes, ridge)
    solved = newton(objective, phi, zeros(objective, phi))
    assert solved.gradient * weight.sum() <= 1e-10
    theirs = LogisticRegression(
        C=1 / ridge, fit_intercept=False, tol=1e-12, solver="newton-cholesky", max_iter=1000
    ).fit(phi, index, weight)
    np.testing.assert_allclose(solved.coefficients, theirs.coef_.T, rtol=0, atol=1e-6)


@pytest.mark.parametrize("n_classes", [2, 4])
def test_the_start_does_not_matter(n_classes):
    objective, phi, *_ = problem(n_classes)
    first = newton(objective, phi, zeros(objective, phi))
    away = 10 * np.random.default_rng(1).normal(size=first.coefficients.shape)
    assert_close(newton(objective, phi, away).coefficients, first.coefficients, 1e-8)


def test_targets_may_be_distributions():
    """A place with several labels is one row with their shares, at the sum of their weights."""
    objective, phi, index, weight = problem(3)
    twice = np.concatenate([phi, phi])
    other = (index + 1) % 3
    both = Term(
        Points(np.zeros((2 * ROWS, 2)), np.concatenate([0.7 * weight, 0.3 * weight])),
        np.concatenate([indicators(index, 3), indicators(other, 3)]),
    )
    shares = 0.7 * indicators(index, 3) + 0.3 * indicators(other, 3)
    merged = dataclasses.replace(objective, term=dataclasses.replace(objective.term, data=shares))
    apart = dataclasses.replace(objective, term=both)
    first = newton(merged, phi, zeros(merged, phi))
    second = newton(apart, jnp.asarray(twice), zeros(merged, phi))
    assert_close(first.coefficients, second.coefficients, 1e-8)


@pytest.mark.parametrize("n_classes", [2, 3])
def test_separable_classes_have_no_optimum_without_a_ridge(n_classes):
    x = points()
    index = np.argsort(np.argsort(x[:, 0])) * n_classes // ROWS
    objective = CrossEntropy(
        Term(Points(x, np.ones(ROWS)), indicators(index, n_classes)), 0.0, BASIS
    )
    phi = jnp.stack([jnp.ones(ROWS), x[:, 0], x[:, 0] ** 2], axis=1)
    loose = newton(objective, phi, zeros(objective, phi))
    assert np.all(np.isfinite(loose.coefficients))
    assert loose.loss < 1e-7
    held = dataclasses.replace(objective, ridge=1e-2 / ROWS)
    firm = newton(held, phi, zeros(objective, phi))
    assert firm.gradient * ROWS <= 1e-10
    assert np.abs(firm.coefficients).max() < 0.1 * np.abs(loose.coefficients).max()


def test_dependent_functions_get_the_smallest_coefficients():
    objective, phi, *_ = problem(3)
    once = newton(objective, phi, zeros(objective, phi))
    doubled = jnp.concatenate([phi, phi], axis=1)
    two = newton(
        dataclasses.replace(objective, ridge=2 * objective.ridge),
        doubled,
        zeros(objective, doubled),
    )
    assert two.rank == once.rank
    assert_close(phi @ (two.coefficients[:9] + two.coefficients[9:]), phi @ once.coefficients, 1e-7)
    assert_close(two.coefficients[:9], two.coefficients[9:], 1e-7)


@pytest.mark.parametrize("n_classes", [2, 3])
def test_the_gradient_of_the_projected_loss_is_a_derivative(n_classes):
    """F(ξ) = min_c L(ξ, c): a central difference of optima, c solved anew."""
    objective, *_ = problem(n_classes, 1e-2)
    flat, unravel = jax.flatten_util.ravel_pytree(draw(BASIS))
    direction = np.random.default_rng(2).normal(size=flat.shape)

    @jax.jit
    def projected(flat):
        phi = objective.design(unravel(flat))
        return newton(objective, phi, zeros(objective, phi))

    c = projected(flat).coefficients
    slope = jax.jvp(
        lambda f: objective.value(objective.design(unravel(f)) @ c, c), (flat,), (direction,)
    )[1]
    assert_derivative(lambda f: projected(f).loss, slope, flat, direction, 1e-5, 1e-6)


@pytest.mark.parametrize("trainer", [NGD(), NGD(1e-2), GD(1e-2)], ids=str)
def test_training_lowers_the_loss_and_repeats(trainer):
    objective, *_ = problem(3, 1e-2)

    def again():
        return train(trainer, objective, draw(BASIS), key=key(), budget=Budget(12))

    first = again()
    assert first.loss < first.history.loss[0]
    assert np.isfinite(first.history.loss).all()
    assert_same_bits(first.history.loss, again().history.loss)


def test_the_quasi_newton_step_needs_far_fewer_gradients_than_joint_descent():
    objective, *_ = problem(3, 1e-2)
    ours, theirs = (
        train(t, objective, draw(BASIS), key=key(), budget=Budget(12)) for t in (NGD(), GD(1e-2))
    )
    assert ours.history.loss[0] < theirs.history.loss[-1]


def test_batches_are_drawn_anew_and_see_no_row_of_weight_zero():
    objective, *_ = problem(2, 1e-1)
    run = train(NGD(1e-2, batch=16), objective, draw(BASIS), key=key(), budget=Budget(12))
    assert len(set(run.history.loss.tolist())) == 13
    assert run.stop_reason is StopReason.MAX_STEPS
    marked = np.where(objective.term.points.weight[:, None] > 0, objective.term.data, np.nan)
    poisoned = dataclasses.replace(
        objective, term=dataclasses.replace(objective.term, data=np.nan_to_num(marked, nan=7.0))
    )
    other = train(NGD(1e-2, batch=16), poisoned, draw(BASIS), key=key(), budget=Budget(12))
    assert_same_bits(run.history.loss, other.history.loss)


@pytest.mark.parametrize(
    "arguments", [{"learning_rate": 0.0}, {"learning_rate": "fast"}, {"batch": 10},
                  {"learning_rate": 0.1, "batch": 0}]
)  # fmt: skip
def test_rates_and_batches_that_cannot_be_meant(arguments):
    with pytest.raises(ValueError, match="NGD"):
        NGD(**arguments)


def test_a_stopped_run_goes_on_as_if_it_had_not_stopped():
    objective, *_ = problem(3, 1e-2)
    whole = train(NGD(), objective, draw(BASIS), key=key(), budget=Budget(8))
    part = train(NGD(), objective, draw(BASIS), key=key(), budget=Budget(3))
    rest = train(NGD(), objective, draw(BASIS), key=key(), budget=Budget(8), resume=part)
    assert_same_bits(rest.history.loss, whole.history.loss)

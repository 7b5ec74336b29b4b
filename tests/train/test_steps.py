"""One step: its loss, its gradient, its arithmetic."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from adabasis.train import (
    GD,
    LSGD,
    NGD,
    AbstractTrainer,
    CrossEntropy,
    Evaluation,
    Objective,
    named_trainers,
)
from adabasis.train.steps import FIRST_RATE

from ..laws import assert_close, assert_same_bits
from ..registry import draw, key
from .problems import (
    BASIS,
    CONTROLLED,
    JOINT,
    PLAIN,
    TRAINERS,
    adam,
    augmented,
    objective,
    projected,
    run,
)

step = eqx.filter_jit(lambda trainer, problem, state: trainer.step(problem, state))


def states(trainer, problem, steps, seed=0):
    """Yield (state after, evaluation) of single steps."""
    state = trainer.init(problem, draw(problem.basis), key(seed))
    for _ in range(steps):
        state, evaluation = step(trainer, problem, state)
        yield state, evaluation


@pytest.mark.parametrize("ridge", [0.0, 1e-3])
def test_lsgd_descends_the_projected_loss(ridge):
    """Adam's first moment after one step is a tenth of the gradient."""
    problem = objective(ridge=ridge)
    parameters = draw(BASIS)
    a, b = map(np.asarray, augmented(problem, parameters))
    assert np.linalg.cond(a) < 1e6, "the law is one of full rank"
    value, gradient = projected(problem, parameters)
    ((_, moments, _), evaluation) = next(states(PLAIN, problem, 1))
    assert_close(evaluation.loss, value, 1e-10)
    for moment, expected in zip(
        jax.tree.leaves(moments.mu), jax.tree.leaves(gradient), strict=True
    ):
        assert_close(10 * moment, expected, 1e-6)
    c = np.linalg.lstsq(a, b)[0]
    assert_close(evaluation.coefficients, c, 1e-8)
    assert_close(evaluation.loss, np.sum((a @ c - b) ** 2) / 2, 1e-10)
    assert evaluation.rank == BASIS.size(2)
    assert_same_bits(evaluation.parameters, parameters)


@pytest.mark.parametrize("epsilon", [1e-8, 1e-2])
def test_two_lsgd_steps_are_adam_by_hand(epsilon):
    trainer = LSGD(0.1, epsilon=epsilon)
    problem, parameters = objective(), draw(BASIS)
    leaves, structure = jax.tree.flatten(parameters)

    def gradients(variables):
        at = jax.tree.unflatten(structure, [jnp.asarray(v) for v in variables])
        return [np.asarray(g) for g in jax.tree.leaves(projected(problem, at)[1])]

    *_, ((moved, _, count), evaluation) = states(trainer, problem, 2)
    expected = adam([np.asarray(leaf) for leaf in leaves], gradients, 0.1, 2, epsilon)
    for got, by_hand in zip(jax.tree.leaves(moved), expected, strict=True):
        assert_close(got, by_hand, 1e-8)
    assert count == 2
    assert evaluation.rate == 0.1


@pytest.mark.parametrize("epsilon", [1e-8, 1e-2])
def test_two_joint_steps_are_adam_by_hand(epsilon):
    trainer, problem = GD(1e-2, epsilon=epsilon), objective()
    variables, *_ = trainer.init(problem, draw(BASIS), key())
    leaves, structure = jax.tree.flatten(variables)
    b = problem.targets

    @jax.jit
    def gradient(leaves):
        def loss(variables):
            parameters, c = variables
            return jnp.sum((problem.design(parameters) @ c - b) ** 2) / 2

        return jax.tree.leaves(jax.grad(loss)(jax.tree.unflatten(structure, leaves)))

    def gradients(arrays):
        return [np.asarray(g) for g in gradient([jnp.asarray(v) for v in arrays])]

    *_, ((moved, _, count), _) = states(trainer, problem, 2)
    expected = adam([np.asarray(leaf) for leaf in leaves], gradients, 1e-2, 2, epsilon)
    for got, by_hand in zip(jax.tree.leaves(moved), expected, strict=True):
        assert_close(got, by_hand, 1e-10)
    assert count == 2


def test_the_joint_start_is_a_last_layer_of_he():
    problem = objective()
    (parameters, c), *_ = JOINT.init(problem, draw(BASIS), key(0))
    (_, other), *_ = JOINT.init(problem, draw(BASIS), key(1))
    assert_same_bits(parameters, draw(BASIS))
    reach = np.sqrt(6 / BASIS.size(2))
    assert 0.8 * reach < np.abs(c).max() <= reach
    assert not np.array_equal(c, other)


@pytest.mark.parametrize("name", TRAINERS)
def test_entry_zero_of_the_history_is_the_loss_before_the_first_step(name):
    problem, trainer = objective(), TRAINERS[name]
    first = run(trainer, max_steps=3).history.loss[0]
    a, b = np.asarray(problem.design(draw(BASIS))), np.asarray(problem.targets)
    if name == "gd":
        (_, c), *_ = trainer.init(problem, draw(BASIS), key())
    else:
        c = np.linalg.lstsq(a, b)[0]
    assert_close(first, np.sum((a @ c - b) ** 2) / 2, 1e-10)


@pytest.mark.parametrize("name", TRAINERS)
def test_training_lowers_the_loss(name):
    history = run(TRAINERS[name], max_steps=60).history
    assert history.loss.min() <= 0.5 * history.loss[0]


def test_the_controlled_rate_never_accepts_a_higher_loss():
    problem = objective()
    good, evaluations, rates = [], [], []
    for (_, _, (_, _, value), rate), evaluation in states(CONTROLLED, problem, 120):
        good.append(float(value))
        evaluations.append(float(evaluation.loss))
        rates.append(float(rate))
    assert np.all(np.diff(good) <= 0)
    accepted = np.array(evaluations) <= np.concatenate([[np.inf], good[:-1]])
    assert np.array_equal(np.array(good)[accepted], np.array(evaluations)[accepted])
    assert 0 < np.sum(~accepted) < 60, "both kinds of step must occur"
    growth = np.array(rates) / np.concatenate([[FIRST_RATE], rates[:-1]])
    np.testing.assert_allclose(growth, np.where(accepted, 1.05, 0.5), rtol=1e-12)


def test_the_controlled_rate_goes_back_to_the_last_good_point():
    problem = objective()
    before = None
    for state, evaluation in states(CONTROLLED, problem, 120):
        trial, moments, (good, gradient, value), rate = state
        if before is not None and not evaluation.loss <= before[2]:
            break
        before = state[2]
    assert_same_bits((good, gradient, value), before)
    assert_close(projected(problem, good)[0], value, 1e-8)
    assert moments.count == 1, "Adam starts afresh"
    direction = jax.tree.map(lambda a, b: (a - b) / rate, good, trial)
    for got, g in zip(jax.tree.leaves(direction), jax.tree.leaves(gradient), strict=True):
        np.testing.assert_allclose(got, g / (np.abs(g) + 1e-8), atol=1e-8)


def test_a_schedule_is_followed():
    schedule = optax.linear_schedule(1e-2, 1e-3, 10)
    history = run(GD(schedule), max_steps=12).history
    expected = [float(schedule(i)) for i in range(13)]
    np.testing.assert_allclose(history.learning_rate, expected, rtol=1e-12)


@pytest.mark.parametrize("trainer", [GD, LSGD])
@pytest.mark.parametrize("rate", [0.0, -1.0, float("nan"), float("inf"), "fast"])
def test_bad_rates_are_named(trainer, rate):
    with pytest.raises(ValueError, match=rf"{trainer.__name__}\(learning_rate=.*positive number"):
        trainer(rate)


def test_a_controlled_step_has_its_epsilon():
    """The first step is rate · g / (|g| + ε)."""
    trainer, problem = LSGD("auto", epsilon=1e-2), objective()
    ((trial, _, (good, gradient, _), rate), _) = next(states(trainer, problem, 1))
    leaves = map(jax.tree.leaves, (trial, good, gradient))
    for there, here, g in zip(*leaves, strict=True):
        np.testing.assert_allclose((here - there) / rate, g / (np.abs(g) + 1e-2), atol=1e-8)


@pytest.mark.parametrize("trainer", [GD, LSGD])
@pytest.mark.parametrize("epsilon", [0.0, -1.0, float("nan"), float("inf"), "small"])
def test_a_bad_epsilon_is_named(trainer, epsilon):
    with pytest.raises(ValueError, match=rf"{trainer.__name__}\(epsilon=.*positive number"):
        trainer(1e-2, epsilon=epsilon)


def test_only_lsgd_adjusts_its_rate():
    with pytest.raises(ValueError, match=r"GD\(learning_rate='auto'\)"):
        GD("auto")
    assert LSGD("auto") == LSGD("auto")


def test_a_new_trainer_is_one_class():
    """Its class attributes say what it can do: no list of names knows it."""

    class Sign(AbstractTrainer):
        name = "sign"

        def init(self, objective, parameters, key):
            return parameters

        def step(self, objective, state):
            value, gradient = projected(objective, state)
            moved = jax.tree.map(lambda p, g: p - 1e-3 * jnp.sign(g), state, gradient)
            c = jnp.zeros((BASIS.size(2), 2))
            nothing = jnp.asarray(0.0)
            return moved, Evaluation(value, state, c, nothing, nothing, jnp.asarray(False))

    try:
        assert list(named_trainers(Objective)) == ["gd", "lm", "lsgd", "lsgn", "sign"]
        assert list(named_trainers(CrossEntropy)) == ["gd", "ngd"]
        found = run(named_trainers(Objective)["sign"](), max_steps=10)
    finally:
        Sign.name = ""
    assert found.loss < found.history.loss[0]


def test_a_trainer_is_refused_what_it_cannot_minimise():
    with pytest.raises(TypeError, match=r"NGD.*expected.*CrossEntropy, got Objective"):
        run(NGD(), max_steps=1)

"""Two phases: a ridge that fades where the loss stands still, then none."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from adabasis.basis import PartitionBasis
from adabasis.geometry.points import Points
from adabasis.pou.borders import interval_weights
from adabasis.rows import Term
from adabasis.train import GD, LSGD, LSGN, Budget, Locality, Objective, StopReason, TwoPhase, train

from ..laws import assert_close
from ..registry import draw, key
from .problems import BASIS, augmented, objective, run

LAM = 0.5
INNER = {"lsgd": LSGD(1e-3), "lsgn": LSGN()}


def states(trainer, steps, basis=BASIS):
    """Yield the state before each step, and the evaluation made there."""
    problem = objective(basis)
    state, step = trainer.init(problem, draw(basis), key()), jax.jit(trainer.step)
    for _ in range(steps):
        before, (state, now) = state, step(problem, state)
        yield before, now


def total(problem):
    return float(np.sum(problem.terms[0].points.weight))


@pytest.mark.parametrize(
    ("name", "basis"),
    [*((name, BASIS) for name in INNER), ("lsgd", PartitionBasis(3, 1, partition="rbf"))],
    ids=[*INNER, "rbf"],
)
def test_phase_one_solves_with_the_ridge_of_sums_and_phase_two_without(name, basis):
    trainer = TwoPhase(INNER[name], lam=LAM, rho=0.5, n_stag=100, pre_steps=2, steps=3)
    problem = objective(basis)
    for k, (_, now) in enumerate(states(trainer, 4, basis)):
        ridge = LAM / total(problem) if k < 2 else 0.0
        a, b = augmented(dataclasses.replace(problem, ridge=ridge), now.parameters)
        expected = np.linalg.lstsq(np.asarray(a), np.asarray(b))[0]
        assert_close(a @ now.coefficients, a @ expected, 1e-6)  # LSGN adds a ridge of its own
        assert_close(now.loss, np.sum((a @ now.coefficients - b) ** 2) / 2, 1e-6)


def test_lambda_falls_by_rho_where_the_loss_stands_still():
    still = TwoPhase(LSGD(1e-12), lam=LAM, rho=0.5, n_stag=3, pre_steps=10, steps=5)
    lam = [float(before.lam) for before, _ in states(still, 12)]
    # The first loss falls from infinity; three that do not fall follow.
    assert lam == [LAM] * 4 + [LAM / 2] * 4 + [LAM / 4] * 2 + [0.0] * 2


def test_lambda_stays_while_the_loss_falls():
    falling = TwoPhase(LSGD(0.1), lam=LAM, rho=0.5, n_stag=2, pre_steps=6, steps=5)
    evaluated = list(states(falling, 5))
    losses = np.array([float(now.loss) for _, now in evaluated])
    assert np.all(np.diff(losses) < -1e-3 * losses[:-1])
    assert {float(before.lam) for before, _ in evaluated} == {LAM}


def test_phase_two_starts_from_the_best_parameters_with_a_fresh_trainer():
    trainer = TwoPhase(LSGD(1.0), lam=LAM, rho=0.5, n_stag=50, pre_steps=6, steps=3)
    evaluated = [now for _, now in states(trainer, 7)]
    best = min(evaluated[:6], key=lambda now: float(now.loss))
    assert best is not evaluated[5]
    for a, b in zip(
        jax.tree.leaves(evaluated[6].parameters), jax.tree.leaves(best.parameters), strict=True
    ):
        np.testing.assert_array_equal(a, b)


def test_the_ridge_fades_and_goes_in_one_run():
    trainer = TwoPhase(LSGN(), lam=1.0, rho=0.9, n_stag=2, pre_steps=40, steps=40)
    done = run(trainer, max_steps=80, patience=1000)
    assert done.stop_reason is StopReason.MAX_STEPS
    assert len(done.history) == 81
    assert done.history.loss[39] < 0.9 * done.history.loss[0]
    assert min(done.history.loss[40:]) < 0.1 * done.history.loss[39]


def test_without_phase_one_it_is_the_trainer():
    alone = run(LSGD(0.1), max_steps=5)
    wrapped = run(TwoPhase(LSGD(0.1), pre_steps=0, steps=5), max_steps=5)
    assert_close(wrapped.history.loss, alone.history.loss, 1e-12)


def test_its_pace_is_both_phases():
    pace = TwoPhase(LSGD(0.1), pre_steps=300, steps=70).pace
    assert pace.max_steps == 370
    assert pace.patience == 300 + LSGD(0.1).pace.patience


@pytest.mark.parametrize(
    "settings",
    [{"lam": 0.0}, {"lam": np.inf}, {"rho": 1.0}, {"rho": -0.1}, {"n_stag": 0}, {"pre_steps": -1}],
)
def test_bad_numbers_are_named(settings):
    with pytest.raises(ValueError, match=next(iter(settings))):
        TwoPhase(LSGN(), **settings)
    with pytest.raises(ValueError, match="solves for the coefficients"):
        TwoPhase(GD(0.1))


def test_steps_agree_under_jit():
    trainer, problem = TwoPhase(LSGN(), n_stag=1, pre_steps=2), objective()
    state = trainer.init(problem, draw(BASIS), key())
    eager, compiled = trainer.step(problem, state), jax.jit(trainer.step)(problem, state)
    assert_close(eager[1].loss, compiled[1].loss, 1e-12)
    assert jnp.isinf(state.least)


CELLS = PartitionBasis(3, 1, partition="affine")
INTERVAL = Points(np.linspace(0, 1, 60)[:, None], np.linspace(0.5, 1.5, 60))


def cells_problem():
    return Objective([Term(INTERVAL, np.sin(6 * INTERVAL.x))], 0.0, CELLS)


def term_at(weights, over, **settings):
    parameters = CELLS.recentred(jnp.asarray(weights), jnp.asarray(INTERVAL.x))
    return float(Locality(**settings)(cells_problem(), parameters, jnp.asarray(over)))


def thirds(sharpness):
    """Affine logits of three parts whose shares by weight are even."""
    total = np.cumsum(INTERVAL.weight) / INTERVAL.weight.sum()
    return interval_weights(np.interp([1 / 3, 2 / 3], total, INTERVAL.x[:, 0]), sharpness)


def test_locality_costs_nothing_where_parts_are_even_and_sharp():
    assert abs(term_at(thirds(1e5), 1.0)) < 1e-3


def starved(shift, sharpness=60.0):
    """The same with a second part that is lower by a shift."""
    return thirds(sharpness) - np.array([[0, 0], [shift, 0], [0, 0]])


def test_the_barrier_grows_without_bound_as_a_part_empties():
    costs = [term_at(starved(shift), 0.0, balance=1.0) for shift in (50, 500)]
    assert costs[1] > 2 * costs[0] > 0


def test_the_entropy_is_one_of_even_shares_and_grows_with_the_phase():
    even = np.zeros((3, 2))
    for over in (0.0, 0.5, 1.0):
        assert abs(term_at(even, over, sharpness=2.0) - 2.0 * over**2) < 1e-12


def test_locality_keeps_parts_that_the_ridge_alone_leaves_empty():
    """From logits that leave the second part empty, in phase 1; in phase 2 the term is gone."""
    initial = CELLS.recentred(jnp.asarray(starved(40.0)), jnp.asarray(INTERVAL.x))
    owned = {}
    for locality in (None, Locality(1.0, 0.5)):
        trainer = TwoPhase(LSGD(0.3), pre_steps=200, steps=0, locality=locality)
        done = train(trainer, cells_problem(), initial, key=key(), budget=Budget(200))
        phi = jax.vmap(CELLS.unity, (0, None))(
            jnp.asarray(INTERVAL.x), done.last.parameters.partition
        )
        owned[locality] = np.bincount(np.argmax(phi, axis=1), minlength=3)
    assert owned[None].min() == 0
    assert owned[Locality(1.0, 0.5)].min() >= 60 // 12
    second = TwoPhase(LSGD(0.1), pre_steps=0, steps=5, locality=Locality())
    plain = TwoPhase(LSGD(0.1), pre_steps=0, steps=5)
    losses = [
        train(t, cells_problem(), initial, key=key(), budget=Budget(5)).history.loss
        for t in (second, plain)
    ]
    assert_close(*losses, 1e-12)


def parts(parameters):
    phi = jax.vmap(CELLS.unity, (0, None))(jnp.asarray(INTERVAL.x), parameters.partition)
    return np.asarray(phi)


def mean_of_largest(parameters):
    return np.average(parts(parameters).max(axis=1), weights=INTERVAL.weight)


def test_parts_are_released_to_the_share_asked_for_and_keep_their_borders():
    sharp = CELLS.recentred(jnp.asarray(thirds(1e3)), jnp.asarray(INTERVAL.x))
    soft = Locality(release=0.7).released(cells_problem(), sharp)
    assert abs(mean_of_largest(soft) - 0.7) < 1e-6 < 0.25 < mean_of_largest(sharp) - 0.7
    np.testing.assert_array_equal(parts(soft).argmax(axis=1), parts(sharp).argmax(axis=1))
    again = Locality(release=0.9).released(cells_problem(), soft)  # nothing becomes sharper
    np.testing.assert_array_equal(parts(again), parts(soft))


def test_with_locality_phase_two_starts_from_the_last_parameters_softened():
    trainer = TwoPhase(LSGD(0.1), pre_steps=3, steps=2, locality=Locality(0.1, 0.1, release=0.6))
    problem = cells_problem()
    sharp = CELLS.recentred(jnp.asarray(thirds(1e3)), jnp.asarray(INTERVAL.x))
    state, step, seen = trainer.init(problem, sharp, key()), jax.jit(trainer.step), []
    for _ in range(4):
        state, now = step(problem, state)
        seen.append(now.parameters)
    expected = trainer.locality.released(problem, seen[2])
    assert_close(parts(seen[3]), parts(expected), 1e-12)


def test_locality_is_refused_where_it_cannot_be():
    with pytest.raises(ValueError, match=r"release=1\.5"):
        Locality(release=1.5)
    with pytest.raises(ValueError, match="needs LSGD"):
        TwoPhase(LSGN(), locality=Locality())
    with pytest.raises(ValueError, match="balance=-1"):
        Locality(balance=-1)
    with pytest.raises(ValueError, match="expected a PartitionBasis"):
        TwoPhase(LSGD(0.1), locality=Locality()).init(objective(), draw(BASIS), key())

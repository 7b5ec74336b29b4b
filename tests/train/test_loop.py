"""The loop: why it stops, what it keeps, what it records, and that its bits repeat."""

import dataclasses
import functools
import time

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from adabasis.train import GD, LSGD, Budget, History, Progress, Snapshots, StopReason, train
from adabasis.train import loop as loop_module
from adabasis.train.blocks import Work

from ..laws import assert_close, assert_same_bits
from ..registry import draw, key
from .problems import BASIS, FRAGILE, PLAIN, TRAINERS, objective, projected, run

each_trainer = pytest.mark.parametrize("name", TRAINERS)


def assert_usable(result):
    assert np.isfinite(result.loss)
    assert np.all(np.isfinite(result.coefficients))
    assert all(np.all(np.isfinite(leaf)) for leaf in result.parameters.first)


def without_seconds(result):
    history = dataclasses.replace(result.history, seconds=np.zeros(len(result.history)))
    return dataclasses.replace(result, history=dataclasses.asdict(history))


def as_tree(result):
    names = {field.name for field in dataclasses.fields(result)} - {"tape"}
    return {name: getattr(result, name) for name in names} | {
        "state": result.state,
        "last": dataclasses.asdict(result.last),
    }


@each_trainer
@pytest.mark.parametrize("max_steps", [0, 1, 20])
def test_the_step_budget_is_kept_exactly(name, max_steps):
    result = run(TRAINERS[name], max_steps=max_steps)
    assert result.stop_reason is StopReason.MAX_STEPS
    assert len(result.history) == max_steps + 1
    for field in ("loss", "rank", "learning_rate", "seconds"):
        assert getattr(result.history, field).shape == (max_steps + 1,)
    assert np.all(np.diff(result.history.seconds) > 0)
    assert_usable(result)


@each_trainer
def test_the_best_iterate_is_kept(name):
    losses = run(TRAINERS[name], max_steps=60).history.loss
    best_so_far = np.minimum.accumulate(losses)
    # End where the loss has just risen; GD at its small rate never does.
    rises = np.flatnonzero(losses > best_so_far)
    assert len(rises) or name == "gd", "this rate must overshoot for the test to say something"
    end = int(rises[0]) if len(rises) else 60
    result = run(TRAINERS[name], max_steps=end)
    assert_same_bits(result.history.loss, losses[: end + 1])
    assert result.loss == best_so_far[end]
    assert result.step == losses[: end + 1].argmin()
    assert result.last.loss == losses[end]
    problem = objective()
    a = np.asarray(problem.design(result.parameters))
    residual = a @ result.coefficients - problem.targets
    # What round-off in large products that cancel can do: LSGN's reach 1e8 times eps.
    terms = np.linalg.norm(np.abs(a) @ np.abs(result.coefficients))
    slack = 4 * np.finfo(float).eps * terms / np.linalg.norm(residual)
    assert slack < 1e-6
    assert_close(np.sum(np.square(residual)) / 2, result.loss, 1e-9 + slack)
    if name != "gd":
        assert_close(projected(problem, result.parameters)[0], result.loss, 1e-9 + slack)


@each_trainer
def test_the_same_run_gives_the_same_bits_however_it_is_cut(name, monkeypatch):
    expected = as_tree(without_seconds(run(TRAINERS[name], max_steps=50)))
    for block, seconds in ((100, 0.2), (100, 0.0), (7, 1e9)):
        monkeypatch.setattr(loop_module, "BLOCK", block)
        monkeypatch.setattr(loop_module, "BLOCK_SECONDS", seconds)
        assert_same_bits(as_tree(without_seconds(run(TRAINERS[name], max_steps=50))), expected)


@each_trainer
def test_a_resumed_run_is_the_undisturbed_one(name):
    """Stopped at ten random steps, by budget or by Ctrl-C in a callback, on or off the checks."""
    problem, options = objective(noise=0.1), {"check_every": 5, "patience": 1000}
    held_out = {"validation": objective(noise=0.1, seed=1)}

    def trained(max_steps, resume=None, callbacks=()):
        budget = Budget(max_steps, **options)
        return train(
            TRAINERS[name],
            problem,
            draw(BASIS),
            key=key(),
            budget=budget,
            callbacks=callbacks,
            resume=resume,
            **held_out,
        )

    def interrupt(moment, progress):
        if progress.step >= moment:
            raise KeyboardInterrupt

    expected = trained(40)
    for stop in np.random.default_rng(0).choice(40, 5, replace=False):
        part = trained(int(stop))
        assert len(part.history) == stop + 1
        again = trained(40, resume=part)
        assert_same_bits(as_tree(without_seconds(again)), as_tree(without_seconds(expected)))
        assert np.all(np.diff(again.history.seconds) > 0)
    for moment in (0, 3, 11, 20, 38):
        part = trained(40, callbacks=[functools.partial(interrupt, moment)])
        assert part.stop_reason is StopReason.INTERRUPTED
        again = trained(40, resume=part)
        assert_same_bits(as_tree(without_seconds(again)), as_tree(without_seconds(expected)))


def test_the_key_matters_to_joint_training_only():
    for name, matters in (("gd", True), ("lsgd", False)):
        losses = [run(TRAINERS[name], max_steps=3, seed=seed).loss for seed in (0, 1)]
        assert (losses[0] != losses[1]) is matters


def test_the_tolerance_is_relative_to_the_data():
    problem = objective()
    free = run(PLAIN, max_steps=60)
    goal = np.sqrt(free.history.loss[0] * free.loss)
    tol = float(np.sqrt(goal / (np.sum(np.asarray(problem.targets) ** 2) / 2)))
    result = run(PLAIN, max_steps=60, tol=tol)
    assert result.stop_reason is StopReason.TOLERANCE
    assert result.loss <= goal < result.history.loss[0]
    assert len(result.history) < 61
    assert_same_bits(result.history.loss, free.history.loss[: len(result.history)])
    at_once = run(PLAIN, max_steps=60, tol=1.0)
    assert (at_once.stop_reason, len(at_once.history)) == (StopReason.TOLERANCE, 1)


def test_the_time_budget_is_kept():
    run(PLAIN, max_steps=1)  # compiled
    began = time.perf_counter()
    result = run(PLAIN, max_steps=10**7, max_seconds=0.5)
    elapsed = time.perf_counter() - began
    assert result.stop_reason is StopReason.MAX_SECONDS
    assert 0.5 <= elapsed < 5.0
    assert result.history.seconds[-1] <= elapsed
    assert_usable(result)
    at_once = run(PLAIN, max_seconds=0.0)
    assert (at_once.stop_reason, len(at_once.history)) == (StopReason.MAX_SECONDS, 1)


def test_training_stops_when_the_held_out_error_no_longer_falls():
    noisy, unseen = objective(noise=1.0), objective(noise=1.0, seed=1)
    result = run(
        PLAIN, problem=noisy, validation=unseen, max_steps=3000, check_every=5, patience=20
    )
    assert result.stop_reason is StopReason.VALIDATION
    history = result.history
    last = len(history) - 1
    assert 20 <= last < 3000
    assert np.array_equal(history.validation_step, np.arange(0, last + 1, 5))
    recent = history.validation_step > last - 20
    assert history.validation[recent].min() > 0.99 * history.validation[~recent].min()
    assert result.validation == history.validation.min()
    assert result.step == history.validation_step[history.validation.argmin()]
    a, b = unseen.design(result.parameters), unseen.targets
    error = np.sqrt(np.sum((np.asarray(a) @ result.coefficients - b) ** 2) / 2)
    assert_close(error, result.validation, 1e-9)


def test_the_end_of_a_run_is_checked_too():
    result = run(PLAIN, validation=objective(seed=1), max_steps=33)
    assert np.array_equal(result.history.validation_step, [0, 20, 33])


def test_callbacks_see_every_check_and_may_stop():
    seen = []

    def watch(progress):
        seen.append(progress)
        return progress.step >= 40

    result = run(PLAIN, max_steps=1000, callbacks=[watch])
    assert result.stop_reason is StopReason.CALLBACK
    assert [progress.step for progress in seen] == [0, 20, 40]
    assert len(result.history) == 41
    for progress in seen:
        assert progress.loss == result.history.loss[progress.step]
        assert progress.best == result.history.loss[: progress.step + 1].min()
        assert progress.validation is None
    assert np.all(np.diff([progress.seconds for progress in seen]) > 0)


def test_an_interrupt_returns_the_best_iterate():
    def interrupt(progress):
        if progress.step >= 20:
            raise KeyboardInterrupt

    result = run(PLAIN, max_steps=1000, callbacks=[interrupt])
    assert result.stop_reason is StopReason.INTERRUPTED
    assert len(result.history) == 21
    assert result.loss == result.history.loss.min()
    assert_usable(result)


def test_snapshots_spread_evenly_over_any_run():
    for steps in (0, 1, 30, 200):
        seen = Snapshots()
        for step in range(steps):
            seen(Progress(step, 1.0, None, 1.0, 0.0, {"w": jnp.full(2, step)}, jnp.ones((1, 1))))
        kept = seen.before(steps)
        found = [snapshot.step for snapshot in kept]
        assert len(found) == min(steps, 12)
        assert found[:1] == [0][:steps]
        gaps = np.diff(found)
        assert not len(gaps) or gaps.max() <= 2 * max(gaps.min(), 4)
        assert all(snapshot.parameters["w"][0] == snapshot.step for snapshot in kept)
    assert [snapshot.step for snapshot in seen.before(9)] == [0, 4, 8]


def test_other_errors_of_a_callback_are_passed_on():
    def fail(progress):
        raise RuntimeError("mine")

    with pytest.raises(RuntimeError, match="mine"):
        run(PLAIN, max_steps=10, callbacks=[fail])


@pytest.mark.parametrize("trainer", [LSGD(1e200), GD(1e200)], ids=["lsgd", "gd"])
def test_divergence_keeps_the_best_finite_iterate(trainer):
    result = run(trainer, problem=objective(FRAGILE), max_steps=50)
    assert result.stop_reason is StopReason.DIVERGED
    assert_usable(result)
    assert result.step == 0
    assert result.loss == result.history.loss[0]
    assert not np.isfinite(result.history.loss[-1])
    assert_same_bits(result.parameters, draw(FRAGILE))


def test_a_rate_too_large_never_returns_worse_than_the_start():
    result = run(LSGD(1e6), max_steps=30)
    assert_usable(result)
    assert result.loss <= result.history.loss[0]


def test_data_that_are_not_finite_are_not_called_a_success():
    problem = objective()
    bad = np.asarray(problem.terms[0].data).copy()
    bad[3, 0] = np.nan
    problem = dataclasses.replace(problem, terms=[dataclasses.replace(problem.terms[0], data=bad)])
    result = run(PLAIN, problem=problem, max_steps=20)
    assert result.stop_reason is StopReason.DIVERGED
    assert not np.isfinite(result.loss)


def test_the_record_of_a_run_has_a_length():
    assert len(History(*(np.zeros(3),) * 6)) == 3
    assert BASIS.size(2) == run(PLAIN, max_steps=1).history.rank[0]


def test_precisions_that_do_not_go_together_are_refused():
    parameters, problem = draw(BASIS), objective()
    with jax.enable_x64(False):
        single = jax.tree.map(lambda leaf: jnp.asarray(np.asarray(leaf)), parameters)
        with pytest.raises(TypeError, match=r"train: .* float32 and float64 .*numerics"):
            train(PLAIN, problem, parameters, key=key())
    with pytest.raises(TypeError, match=r"train: .* float32 and float64 .*numerics"):
        train(PLAIN, problem, single, key=key())
    with jax.enable_x64(False):  # all of it in single precision is somebody's choice
        assert train(PLAIN, problem, single, key=key(), budget=Budget(2)).loss > 0


def test_another_ridge_needs_no_other_code():
    small, large = (Work.of(PLAIN, objective(ridge=ridge)) for ridge in (1e-3, 1e-2))
    assert small.static == large.static
    assert Work.of(PLAIN, objective()).static != large.static  # none at all takes less work
    for name in ("lsgd", "gd", "lsgn"):
        trainer, problem = TRAINERS[name], objective(ridge=1e-3)
        loss = run(trainer, problem=problem, max_steps=1).history.loss[0]
        state = trainer.init(problem, draw(BASIS), key(0))
        assert_close(loss, trainer.step(problem, state)[1].loss, 1e-12)

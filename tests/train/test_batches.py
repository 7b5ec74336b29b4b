"""Steps on mini-batches: what they learn, keep, go back to and go on from."""

import dataclasses
import functools
import math
import pickle

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from adabasis import LSGD, NGD, NeuralBasis, PartitionBasis, classify, fit, rows
from adabasis.geometry.points import AffineMap, Points, unit_box
from adabasis.models.record import Asked
from adabasis.regression.task import RegressionTask
from adabasis.selection.prepared import Prepared
from adabasis.selection.search import Search
from adabasis.train import Budget, CrossEntropy, Objective, StopReason, TwoPhase, numerics, train
from adabasis.train import batches as module
from adabasis.train.descent import WARM_UP, share_of_rate
from adabasis.train.passes import CHUNK_NUMBERS, rows_at_once

from ..laws import assert_close, assert_same_bits
from ..registry import draw, key

NET = NeuralBasis(16, 2, activation="silu", init="normal")
N, SIZE = 400, 32
SOAP = LSGD(1e-2, batch_size=SIZE, optimizer="soap")


def target(x):
    return np.stack([np.sin(5 * x[:, 0] + 3 * x[:, 1]), np.cos(4 * x[:, 0] * x[:, 1])], axis=1)


@functools.cache
def table(seed, n=N):
    rng = np.random.default_rng(seed)
    x = rng.uniform(size=(n, 2))
    return x, target(x), rng.uniform(0.5, 2.0, n)


def objective(seed=0, basis=NET, ridge=0.0, weight=None):
    x, y, given = table(seed)
    weight = given if weight is None else weight
    return Objective([rows.Term(Points(x, weight), y)], ridge, basis)


def run(trainer=SOAP, problem=None, *, steps=60, every=20, **options):
    problem = objective() if problem is None else problem
    budget = Budget(steps, check_every=every, **options.pop("budget", {}))
    options.setdefault("validation", objective(1, problem.basis))
    start = options.pop("parameters", None)
    start = draw(problem.basis) if start is None else start
    return train(trainer, problem, start, key=key(), budget=budget, **options)


def exact(problem, parameters):
    """Return the minimiser over all rows, by NumPy."""
    term = problem.terms[0]
    root = np.sqrt(np.asarray(term.points.weight))[:, None]
    a = problem.basis.values(np.asarray(term.points.x), jax.tree.map(np.asarray, parameters))
    return a, np.linalg.lstsq(root * a, root * np.asarray(term.data), rcond=1e-13)[0]


RATES = {"soap": 1e-2, "adam": 3e-2, optax.sgd(1.0, momentum=0.9): 3e-2}


@pytest.mark.parametrize("optimizer", RATES, ids=["soap", "adam", "sgd"])
def test_a_smooth_function_is_learnt_and_solved_on_all_rows(optimizer):
    trainer = LSGD(RATES[optimizer], batch_size=SIZE, optimizer=optimizer)
    found = run(trainer, steps=200)
    first = found.history.loss[0]
    assert found.loss < 0.3 * first
    assert found.stop_reason is StopReason.MAX_STEPS
    a, c = exact(objective(), found.parameters)
    assert found.coefficients.dtype == np.float64
    assert_close(a @ found.coefficients, a @ c, 1e-8)
    assert len(found.history) == 201 == len(found.history.learning_rate)


def test_chunks_give_the_coefficients_of_all_rows(monkeypatch):
    whole = run(steps=0)
    monkeypatch.setattr("adabasis.train.passes.CHUNK_NUMBERS", 64 * 17)
    assert rows_at_once(17) == 64
    parts = run(steps=0)
    assert_close(parts.coefficients, whole.coefficients, 1e-7)
    assert parts.validation == pytest.approx(whole.validation, rel=1e-9)
    assert whole.step == 0
    assert whole.validation == pytest.approx(
        float(objective(1).error(whole.parameters, whole.coefficients)), rel=1e-9
    )


def test_a_run_goes_on_bit_for_bit_as_if_it_had_never_stopped():
    whole = run()
    part = run(callbacks=[lambda seen: seen.step == 40])
    assert part.stop_reason is StopReason.CALLBACK
    assert len(part.history) == 41
    rest = run(resume=part)
    assert_same_bits(rest.coefficients, whole.coefficients)
    assert_same_bits(rest.tape.now.variables, whole.tape.now.variables)
    for name in ("loss", "learning_rate", "validation_step", "validation"):
        assert_same_bits(getattr(rest.history, name), getattr(whole.history, name))


def test_a_run_that_has_ended_goes_on_with_a_new_schedule():
    part = run()
    more = run(resume=pickle.loads(pickle.dumps(part)), steps=120)
    assert len(more.history) == 121
    assert_same_bits(more.history.loss[:61], part.history.loss)
    rates = more.history.learning_rate
    assert rates[61] < rates[66] == pytest.approx(rates[61:].max(), rel=0.1)
    assert more.validation <= part.validation
    assert len(run(resume=part).history) == 61


def test_steps_follow_the_rows_where_nobody_says(monkeypatch):
    monkeypatch.setattr(module, "LEAST_STEPS", 40)
    problem, start = objective(), draw(NET)
    found = train(SOAP, problem, start, key=key())
    assert len(found.history) == 1 + math.ceil(module.EPOCHS * N / SIZE) == 64
    assert module.EPOCHS == 5
    monkeypatch.setattr(module, "LEAST_STEPS", 80)
    assert len(train(SOAP, problem, start, key=key()).history) == 81


def test_the_best_iterate_is_kept_and_stagnation_ends_a_run(monkeypatch):
    errors = iter([0.5, 0.4, 0.2, *[0.9] * 100])
    monkeypatch.setattr(module, "watched_error", lambda *_: next(errors))
    found = run(steps=2000, budget={"patience": 60})
    assert found.stop_reason is StopReason.VALIDATION
    assert found.tape.kept.step == 40 == found.step
    # Without a better error for .3 of the schedule, the rate falls to 0 within another tenth.
    assert found.tape.ends == found.tape.now.step
    assert 40 + 0.3 * 2000 + 0.1 * 2000 <= found.tape.now.step <= 40 + 0.3 * 2000 + 0.1 * 2000 + 40
    rates = found.history.learning_rate
    assert rates[-250] > 0.5 * rates.max()
    assert rates[-1] < 1e-3 * rates.max()


def test_a_loss_that_is_not_finite_goes_back_to_the_best_iterate():
    wild = run(LSGD(1e30, batch_size=SIZE), steps=200)
    assert wild.stop_reason is StopReason.DIVERGED
    assert wild.tape.setbacks == module.SETBACKS + 1
    assert np.isfinite(wild.coefficients).all()
    assert wild.validation <= run(steps=0).validation
    assert wild.setbacks == wild.tape.setbacks
    halved = run(LSGD(lambda step: 1e30 if step < 20 else 1e-3, batch_size=SIZE), steps=40)
    assert halved.stop_reason is StopReason.MAX_STEPS
    assert halved.setbacks == 1
    assert halved.history.learning_rate[-1] == 5e-4
    calm = run(LSGD(0.8, batch_size=SIZE, optimizer="soap"), steps=300)
    assert np.isfinite(calm.coefficients).all()
    assert calm.loss <= calm.history.loss[0]


def test_interrupts_and_budgets_return_the_best_so_far():
    def interrupt(seen):
        if seen.step == 20:
            raise KeyboardInterrupt

    stopped = run(callbacks=[interrupt])
    assert stopped.stop_reason is StopReason.INTERRUPTED
    assert stopped.tape.now.step == 20
    late = run(steps=10**6, budget={"max_seconds": 1e-9})
    assert late.stop_reason is StopReason.MAX_SECONDS
    assert late.step == 0
    timed = run(steps=10**6, budget={"max_seconds": 1.5})
    assert timed.stop_reason is StopReason.MAX_SECONDS
    assert timed.history.learning_rate[-1] < 0.3 * timed.history.learning_rate.max()
    reached = run(steps=400, budget={"tol": 0.9})
    assert reached.stop_reason is StopReason.TOLERANCE


def test_the_range_test_finds_a_rate_that_learns():
    found = run(LSGD(batch_size=SIZE, optimizer="soap"), steps=module.TESTED_STEPS, every=100)
    rate = found.history.learning_rate.max()
    assert 1e-3 < rate < 0.3
    assert rate != pytest.approx(module.USUAL_RATES["soap"], rel=1e-2)
    assert found.loss < 0.1 * found.history.loss[0]
    few = run(LSGD(batch_size=SIZE, optimizer="soap"), steps=20)
    assert 0.9e-2 < few.history.learning_rate.max() <= module.USUAL_RATES["soap"]


def test_the_rate_rises_and_falls_over_the_budget():
    share = share_of_rate(np.linspace(0, 1, 101))
    assert share[0] == 0
    assert share.argmax() == 100 * WARM_UP
    assert share.max() == 1
    assert (np.diff(share[5:]) < 0).all()
    assert share[-1] == pytest.approx(0)
    rates = run(steps=100).history.learning_rate[1:]
    assert_close(rates, 1e-2 * share_of_rate((np.arange(100) + 0.5) / 100), 1e-12)


def test_heavier_rows_count_as_several():
    x, y, _ = table(0)
    weight = np.where(x[:, 0] > 0.5, 1.0, 1e-9)
    problem = Objective([rows.Term(Points(x, weight), y)], 0.0, NET)
    heavy = run(problem=problem, steps=200, validation=None)
    values = NET.values(x, jax.tree.map(np.asarray, heavy.parameters)) @ heavy.coefficients
    off = np.abs(values - y).max(axis=1)
    assert np.median(off[weight == 1]) < 0.3 * np.median(off[weight < 1])


def test_classes_and_partitions_take_mini_batches_too():
    x, y, weight = table(0)
    labels = np.eye(3)[(y[:, 0] > 0).astype(int) + (y[:, 1] > 0.9)]
    problem = CrossEntropy(rows.Term(Points(x, weight), labels), 1e-4, NET)
    found = run(
        NGD(2e-2, batch_size=SIZE, optimizer="soap"), problem, steps=200, validation=problem
    )
    assert found.loss < 0.5 * found.history.loss[0]
    assert found.validation < 0.6 * float(problem.error(draw(NET), np.zeros((17, 3))))
    pieces = PartitionBasis(4, 1, partition="affine", continuity=0.1)
    problem = dataclasses.replace(objective(basis=pieces))
    problem = dataclasses.replace(problem, terms=rows.tied(problem.terms[0], pieces))
    found = run(SOAP, problem, steps=200)
    assert found.loss < found.history.loss[0]


def test_parameters_for_mapped_points_give_the_same_functions():
    x, _, _ = table(0)
    drawn, points = draw(NET), AffineMap(np.array([0.3, -2.0]), np.array([0.1, 7.0]))
    moved = jax.tree.map(np.asarray, NET.after(drawn, points))
    assert_close(
        NET.values(x, moved), NET.values(points(x), jax.tree.map(np.asarray, drawn)), 1e-12
    )
    assert not PartitionBasis(4, 1).takes_maps
    with pytest.raises(NotImplementedError, match="PartitionBasis"):
        PartitionBasis(4, 1).after(None, points)


def test_public_functions_train_on_all_rows(monkeypatch):
    x, y, _ = table(0)
    monkeypatch.setattr("adabasis.selection.task.SEARCH_ROWS", 50)
    seen = []
    spied = module.train_on_batches

    def spy(batches, problem, *about):
        seen.append(len(problem.data.points))
        return spied(batches, problem, *about)

    monkeypatch.setattr("adabasis.train.loop.train_on_batches", spy)
    model = fit(x, y, NET, method=SOAP, max_steps=60, validation=0.1)
    assert seen == [360]
    assert model.validation_error < 0.5
    labels = np.where(y[:, 0] > 0, "up", "down")
    method = NGD(1e-2, batch_size=SIZE, optimizer="soap")
    classes = classify(x, labels, NET, method=method, max_steps=60, validation=0.1)
    assert seen == [360, 360]
    assert np.mean(classes.predict(x) == labels) > 0.9


def test_a_search_trains_within_the_limits_of_a_stage():
    x, y, _ = table(0)
    asked = Asked("fit")
    data = Prepared("fit", x, y, None, 0.1, 0, split_by_default=True)
    search, task = Search(asked), RegressionTask(asked, data)
    search.task = task
    with numerics():
        found = task.trained(search, SOAP, NET, 0.0, max_steps=60)
        again = task.trained(search, SOAP, NET, 0.0, initial=found.parameters, max_steps=40)
        timed = task.trained(search, SOAP, NET, 0.0, max_steps=10**6, max_seconds=0.5)
    assert [len(one.run.history) for one in (found, again)] == [61, 41]
    assert again.validation_error <= found.validation_error < 0.5
    # Functions that were trained begin with their coefficients, those just drawn with 0.
    losses = [one.run.history.loss for one in (found, again)]
    assert losses[0][1] > 0.5
    assert losses[1][1] < 0.05 * losses[0][1]
    assert timed.run.stop_reason is StopReason.MAX_SECONDS
    diverged = dataclasses.replace(SOAP, learning_rate=1e30)
    with numerics():
        assert "not finite" in task.trained(search, diverged, NET, 0.0, max_steps=60).label


BAD = {
    "whole number": [{"batch_size": b} for b in (0, -3, 2.5, True, "512", np.nan)],
    "expected 'adam', 'soap' or": [{"batch_size": 8, "optimizer": o} for o in ("SOAP", None, 3)],
    "Give batch_size": [{"optimizer": "soap"}],
    "expected a positive number": [{"batch_size": 8, "learning_rate": r} for r in (0, -1, "fast")],
}


@pytest.mark.parametrize("trainer", [LSGD, NGD])
@pytest.mark.parametrize(
    ("words", "arguments"), [(words, one) for words, some in BAD.items() for one in some], ids=str
)
def test_bad_arguments_are_named(trainer, words, arguments):
    with pytest.raises(ValueError, match=words) as caught:
        trainer(**arguments)
    assert str(caught.value).startswith(trainer.__name__)


def test_what_cannot_be_run_says_why():
    with pytest.raises(ValueError, match=r"LSGD\(batch_size=401\): there are 400 rows"):
        run(LSGD(batch_size=401))
    with pytest.raises(TypeError, match="Leave batch_size out"):
        run(TwoPhase(SOAP, pre_steps=1, steps=1))
    with pytest.raises(ValueError, match="Give one of them"):
        NGD(1e-2, batch=16, batch_size=16)


@pytest.mark.parametrize("name", ["CHUNK_NUMBERS"])
def test_chunks_are_some_megabytes(name):
    assert 2**17 <= CHUNK_NUMBERS <= 2**23


def test_steps_are_taken_in_single_precision():
    found = run(steps=20)
    kinds = {leaf.dtype for leaf in jax.tree.leaves(found.tape.now.variables)}
    assert kinds == {jnp.dtype("float32")}
    box = unit_box(2)
    assert {leaf.dtype for leaf in jax.tree.leaves(NET.init(key(), box))} == {jnp.dtype("float64")}

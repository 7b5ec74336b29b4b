"""The numbers that decide a run on mini-batches: each is missed if it is another."""

import math
import time
import types

import numpy as np
import pytest

from adabasis import LSGD
from adabasis.train import StopReason, batches, exact, passes
from adabasis.train.optimizer import Batches

from .test_batches import SIZE, N, objective, run

LONG = {"patience": 10**6}


def faked(monkeypatch, loss):
    """Let steps cost nothing and change nothing; their losses are a function of the rate."""
    seen = []

    def steps(_, __, variables, moments, drawn, rates, count):
        seen.extend(rates[: int(count)])
        return variables, moments, np.array([loss(float(rate)) for rate in rates])

    monkeypatch.setattr(batches, "steps_on_batches", steps)
    monkeypatch.setattr(batches, "watched_error", lambda *_: 0.5)
    return seen


def test_the_range_test_takes_the_rate_of_least_loss(monkeypatch):
    seen = faked(monkeypatch, lambda rate: 1 + math.log10(rate / 2e-2) ** 2 if rate else 1.0)
    found = run(LSGD(batch_size=SIZE, optimizer="soap"), steps=1000, every=100, budget=LONG)
    sweep = np.array(seen[:-1000])
    stages = len(sweep) // 10
    np.testing.assert_allclose(sweep, np.repeat(1e-4 * 1.78 ** np.arange(stages), 10), rtol=1e-6)
    rate = found.tape.rate
    assert rate == pytest.approx(1e-4 * 1.78**9)
    assert abs(math.log(rate / 2e-2)) < math.log(1.78)
    # The last stage, or that before it in the same call, is the first with twice the least loss.
    risen = 1 + np.log10(1e-4 * 1.78 ** np.arange(stages) / 2e-2) ** 2
    assert risen[-1] > 2 > risen[9:-2].max()
    assert batches.STAGES == 24


def test_short_runs_take_the_usual_rate(monkeypatch):
    seen = faked(monkeypatch, lambda rate: 1.0)
    for name, usual in (("adam", 3e-3), ("soap", 1e-2)):
        found = run(LSGD(batch_size=SIZE, optimizer=name), steps=999, every=100, budget=LONG)
        assert found.tape.rate == usual
    assert len(seen) == 2 * 999
    # So does a run that would spend more than a tenth of its time on the test.
    clock = iter(np.arange(10_000.0))
    monkeypatch.setattr(batches, "time", types.SimpleNamespace(perf_counter=lambda: next(clock)))
    budget = {"max_seconds": 60.0}
    found = run(LSGD(batch_size=SIZE, optimizer="soap"), steps=1000, every=100, budget=budget)
    assert found.tape.rate == 1e-2


def test_time_is_kept_back_for_the_last_solve(monkeypatch):
    faked(monkeypatch, lambda rate: 1.0)
    known = exact.solved

    def slow(*about):
        time.sleep(0.2)
        return known(*about)

    monkeypatch.setattr(exact, "solved", slow)
    late = run(
        LSGD(1e-2, batch_size=SIZE), steps=10**5, budget={"max_seconds": 0.75, "patience": 10**9}
    )
    steps_until = late.history.seconds[-1]
    assert late.stop_reason is StopReason.MAX_SECONDS
    assert steps_until < 0.75 - 0.2


def test_a_loss_a_hundred_times_the_first_is_a_setback(monkeypatch):
    for factor, setbacks in ((80.0, 0), (150.0, 1)):
        losses = iter([1.0] * 20 + [factor] * 20 + [1.0] * 1000)
        faked(monkeypatch, lambda rate, losses=losses: next(losses))
        assert run(LSGD(1e-2, batch_size=SIZE), steps=60).setbacks == setbacks
    assert batches.SETBACKS == 3


def test_coefficients_begin_at_modest_solved_ones_where_functions_were_trained(monkeypatch):
    faked(monkeypatch, lambda rate: 1.0)
    begun = {
        warm: run(LSGD(1e-2, batch_size=SIZE), steps=20, warm=warm).tape.now.variables[1]
        for warm in (False, True)
    }
    assert not begun[False].any()
    solved = run(LSGD(1e-2, batch_size=SIZE), steps=0).coefficients
    assert 0 < 10 * np.abs(begun[True]).max() < np.abs(solved).max()
    assert 1e-5 < batches.MODEST < 1e-3


def test_weights_that_vanish_in_single_precision_do_no_harm():
    for one in (1e-300, 1.0):
        weight = np.where(np.arange(N) < 5, 1.0, one)
        problem = objective(weight=weight)
        found = run(LSGD(1e-2, batch_size=SIZE), problem, steps=20, validation=None)
        assert np.isfinite(found.history.loss).all()


def test_rows_looked_at_on_the_way_are_some_of_those_held_out(monkeypatch):
    assert batches.WATCHED == 20_000
    monkeypatch.setattr(batches, "WATCHED", 100)
    seen = []
    faked(monkeypatch, lambda rate: 1.0)
    monkeypatch.setattr(
        batches, "watched_error", lambda problem, _: seen.append(len(problem.data.points)) or 0.5
    )
    whole = run(LSGD(1e-2, batch_size=SIZE), steps=20)
    assert set(seen) == {100}
    expected = float(objective(1).error(whole.parameters, whole.coefficients))
    assert whole.validation == pytest.approx(expected, rel=1e-9)


def test_memory_is_bounded_by_numbers_of_entries():
    assert passes.CHUNK_NUMBERS == 2**21
    assert exact.NEWTON_NUMBERS == 2**24
    assert passes.rows_at_once(128) == 2**14
    assert passes.rows_at_once(10**9) == 64


def test_compiled_steps_serve_every_run_of_an_optimiser():
    one, other = (Batches("LSGD", 8, "soap", "auto", 1e-8).transformation for _ in range(2))
    assert one is other

"""Where the seconds of a call go: every second is counted once, and models carry the result."""

import json
import pathlib
import time

import jax
import numpy as np
import pytest

import adabasis
from adabasis import pde
from adabasis._runtime import timing
from adabasis.basis import FrozenFeatures, Polynomial
from adabasis.models.record import Asked, Record
from adabasis.models.timings import Spent, Timings

pytestmark = pytest.mark.plain_scope
OLD = pathlib.Path(__file__).parent / "data" / "0.1-frozen.adabasis"


@pytest.fixture
def hand(monkeypatch):
    """Clocks that are set by hand; the processor runs at half the wall's speed."""

    class Hand:
        now = 1000.0

        def time(self):
            return self.now

        def process_time(self):
            return self.now / 2

    hand = Hand()
    monkeypatch.setattr(timing, "time", hand)
    return hand


def spent(clock):
    return {kind: both.wall for kind, both in clock.read().items()}


def test_one_kind_is_charged_at_a_time(hand):
    @timing.charged_to("solves")
    def solve():
        hand.now += 2

    @timing.charged_to("steps")
    def train():
        hand.now += 4
        solve()
        hand.now += 8

    with timing.timed() as clock:
        hand.now += 1
        train()
        hand.now += 16
    assert spent(clock) == {"compile": 0, "solves": 2, "steps": 12, "other": 17}
    assert clock.read()["steps"] == Spent(6, 12)


def test_a_failure_ends_the_kind(hand):
    @timing.charged_to("steps")
    def fail():
        hand.now += 1
        raise KeyboardInterrupt

    with timing.timed() as clock:
        with pytest.raises(KeyboardInterrupt):
            fail()
        hand.now += 2
    assert spent(clock) == {"compile": 0, "solves": 0, "steps": 1, "other": 2}


def test_spans_of_compilation_nest_and_are_counted_once(hand):
    with timing.timed() as clock:
        hand.now += 1

        @timing.charged_to("steps")
        def train():
            hand.now += 3
            clock.compiled(hand.now - 2, hand.now)  # within the next
            hand.now += 2
            clock.compiled(hand.now - 1, hand.now)  # within the next, too
            hand.now += 1
            clock.compiled(hand.now - 5.5, hand.now)
            hand.now += 4
            clock.compiled(hand.now - 3, hand.now)

        train()
    found = clock.read()
    assert spent(clock) == {"compile": 8.5, "solves": 0, "steps": 1.5, "other": 1}
    assert found["compile"].cpu == pytest.approx(4.25)
    assert found["steps"].cpu == pytest.approx(0.75)


def test_what_began_before_the_block_is_not_counted(hand):
    with timing.timed() as clock:
        hand.now += 1
        clock.compiled(0.0, hand.now)
    assert spent(clock) == {"compile": 1, "solves": 0, "steps": 0, "other": 0}


def test_jax_tells_of_its_compilation():
    with timing.timed() as clock, timing.timed() as inner:
        jax.jit(lambda x: jax.numpy.cos(x) + 3.25)(1.0)
        time.sleep(0.01)
    for one in (clock, inner):
        found = one.read()
        assert 0 < found["compile"].wall < found["compile"].wall + found["other"].wall
        assert found["other"].wall >= 0.01


def told(model):
    found = model.timings
    assert found.total.cpu > 0
    assert all(s >= 0 for kind in timing.KINDS for s in getattr(found, kind))
    assert str(found).startswith(f"{found.total.cpu:.1f} CPU seconds: compile ")
    document = json.loads(json.dumps(model.record.to_json(), default=float))
    assert Record.from_json(document).timings == found
    return found


def test_models_carry_them(tmp_path):
    x = np.random.default_rng(0).uniform(size=(60, 2))
    y = np.sin(x[:, 0]) + x[:, 1]
    began = time.perf_counter()
    model = adabasis.fit(x, y, FrozenFeatures(10), method="frozen", holdout=0.2)
    wall = time.perf_counter() - began
    found = told(model)
    assert found.solves.cpu > 0
    assert 0.5 * wall < found.total.wall <= wall
    model.save(tmp_path / "m.adabasis")
    assert adabasis.load(tmp_path / "m.adabasis").timings == found
    model.report(tmp_path / "m.html")
    assert str(found) in (tmp_path / "m.html").read_text("utf-8")
    assert (
        told(adabasis.fit_pounet(x[:, :1], y, n_partitions=2, degree=1, max_steps=1)).steps.cpu > 0
    )
    classes = adabasis.classify(x, y > 1.0, Polynomial(1), method="frozen")
    assert told(classes).solves.cpu > 0
    solution = adabasis.solve(
        pde.catalog.problem("poisson-1d"), FrozenFeatures(20), method="frozen"
    )
    assert told(solution).solves.cpu > 0


def test_files_of_earlier_versions_have_none():
    assert adabasis.load(OLD).timings is None
    document = Record(Asked("fit")).to_json()
    document.pop("timings")
    assert Record.from_json(document).timings is None


def test_records_of_the_same_search_are_equal():
    """Two runs take other times, and are the same otherwise."""
    one, two = (Timings(*[Spent(k, k)] * 4) for k in (1.0, 2.0))
    assert Record(Asked("fit"), timings=one) == Record(Asked("fit"), timings=two)

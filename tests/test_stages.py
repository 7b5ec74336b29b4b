"""A search announces its stages: what it tries, what it may gain, and about how long it takes."""

import io
import math
import re
import sys
import types

import numpy as np
import pytest
from rich.console import Console

import adabasis as ab
from adabasis import pde
from adabasis._runtime.progress import Progress, ProgressLine, Stage
from adabasis.regression import strategy
from adabasis.regression.task import FEWEST_REPLICATES
from adabasis.selection.search import Search


def rows(n=300):
    x = np.random.default_rng(0).uniform(-1, 1, (n, 3))
    y = np.sin(3 * x[:, 0] * x[:, 1]) + x[:, 2]
    return x, y + 0.1 * np.random.default_rng(1).normal(size=n)


def problem():
    return pde.catalog.problem("poisson-1d")


CALLS = {
    "fit": lambda **named: ab.fit(*rows(), max_steps=3, **named),
    "fit, one basis": lambda **named: ab.fit(*rows(), ab.NeuralBasis(4, 1), max_steps=3, **named),
    "classify": lambda **named: ab.classify(rows()[0], rows()[1] > 0, max_steps=3, **named),
    "fit_pounet": lambda **named: ab.fit_pounet(
        rows()[0][:, :1], np.abs(rows()[0][:, 0]), max_steps=0, **named
    ),
    "solve": lambda **named: ab.solve(problem(), **named),
}


@pytest.mark.parametrize("call", CALLS)
def test_each_stage_is_announced_once_and_in_order(call, monkeypatch):
    said = []
    monkeypatch.setattr(ProgressLine, "begins", lambda self, stage: said.append(stage))
    CALLS[call](verbose=True)
    assert len(said) > (call == "fit")
    assert [stage.number for stage in said] == sorted({stage.number for stage in said})
    assert all(stage.number <= stage.most for stage in said)
    assert math.isnan(said[0].error)


def test_callbacks_see_the_stage():
    seen = []
    CALLS["fit"](callbacks=[lambda progress: seen.append(progress.stage)])
    assert {stage.what for stage in seen} >= {strategy.SIZES, strategy.MEAN}
    of_the_mean = next(stage for stage in seen if stage.what == strategy.MEAN)
    assert of_the_mean.seconds > 0


def test_a_stage_is_expected_to_take_no_more_time_than_is_left():
    search = Search(ab.models.record.Asked("fit", max_seconds=5.0))
    search.stages = ("first", "second")
    search.begin("second", 60.0)
    assert 4.0 < search.stage.seconds <= 5.0
    search.begin("first")  # a part of the second
    assert search.stage.what == "second"


@pytest.mark.parametrize("ensemble", [1, 2])
@pytest.mark.parametrize("steps", [0, None])
@pytest.mark.parametrize("call", [ab.fit, ab.classify])
def test_named_bases_go_through_stages_too(call, steps, ensemble):
    x, y = rows(60)
    model = call(x, y > 0, ab.FrozenFeatures(8), max_steps=steps, ensemble=ensemble)
    assert model.candidates


def test_a_stage_in_words():
    first = Stage(1, 4, "plain functions")
    assert str(first) == "stage 1 of at most 4: plain functions"
    later = str(Stage(2, 4, "networks", 6.3, 0.123, 0.05))
    assert "about 6 s" in later
    assert ".12" in later
    assert "at best 0.05" in later
    assert "about" not in str(Stage(2, 4, "networks", 0.2))


def test_lines_off_a_terminal_are_few_and_say_what_is_left():
    out = io.StringIO()
    with ProgressLine(None, Console(file=out, width=200)) as line:
        line.begins(Stage(1, 2, "networks", 60.0, 0.5))
        for _ in range(20):
            for step in (0, 10):
                line(Progress(step, 1e-4, 0.02, 0.02, 0.0, None, None))
    shown = out.getvalue().splitlines()
    assert shown[0].startswith("stage 1 of at most 2: networks, about 60 s")
    assert shown[1:] == ["1 stage in 0 s"]


def test_a_stage_that_takes_long_shows_that_it_goes_on(monkeypatch):
    out, clock = io.StringIO(), iter(range(0, 10_000, 7))
    monkeypatch.setattr("adabasis._runtime.progress.time.monotonic", lambda: next(clock))
    with ProgressLine(None, Console(file=out, width=200)) as line:
        line.begins(Stage(1, 2, "networks", 600.0, 0.5))
        for step in range(40):
            line(Progress(step, 1e-4, 0.02, 0.02, 0.0, None, None))
    shown = out.getvalue().splitlines()
    assert 2 < len(shown) < 12
    assert re.search(r"training run 1, step \d+ .* about \d+ s left", shown[1])


def test_a_stage_says_what_the_one_before_gained():
    assert "0.1, lowered from 0.2 by the stage before" in str(
        Stage(2, 3, "b", error=0.1, before=0.2)
    )
    assert "0.2, not lowered by the stage before" in str(Stage(2, 3, "b", error=0.2, before=0.2))
    assert "before" not in str(Stage(2, 3, "b", error=0.1))


def test_a_notebook_shows_stages_and_a_line_that_changes_in_place(monkeypatch):
    shown = []

    class Handle:
        def update(self, data, raw):
            shown[-1] = data["text/plain"]

    def display(data, raw, display_id):
        shown.append(data["text/plain"])
        return Handle()

    module = types.ModuleType("IPython.display")
    module.display = display
    monkeypatch.setitem(sys.modules, "IPython", types.ModuleType("IPython"))
    monkeypatch.setitem(sys.modules, "IPython.display", module)
    out = io.StringIO()
    with ProgressLine(None, Console(file=out, force_jupyter=True)) as line:
        line.begins(Stage(1, 2, "plain"))
        line.begins(Stage(2, 2, "networks", 60.0, 0.5))
        line(Progress(3, 1e-4, 0.02, 0.02, 0.0, None, None))
    assert len(shown) == 1
    assert shown[0].splitlines()[:2] == [
        "stage 1 of at most 2: plain",
        "stage 2 of at most 2: networks, about 60 s; relative error so far 0.5",
    ]
    assert shown[0].splitlines()[-1] == "2 stages in 0 s"
    assert not out.getvalue()


def test_what_replicates_differ_by_ends_the_search():
    """No model is better: networks are not tried where a plain one is as good as that."""
    r = np.random.default_rng(0)
    places = r.uniform(-1, 1, (200, 2))
    x = np.repeat(places, 3, axis=0)
    y = x @ [1.0, 2.0] + r.normal(size=len(x))
    assert len(x) - len(places) >= FEWEST_REPLICATES
    assert not any("Neural" in tried["what"] for tried in ab.fit(x, y).candidates)
    wave = np.sin(9 * x[:, 0]) * np.cos(7 * x[:, 1]) + 0.1 * y
    assert any("Neural" in tried["what"] for tried in ab.fit(x, wave, max_steps=1).candidates)

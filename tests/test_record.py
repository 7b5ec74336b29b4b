"""The record of a model: checked, saved and read by field; what 0.1 wrote is read as one."""

import dataclasses
import json
import math
import pathlib
import re

import numpy as np
import pytest

import adabasis as ab
from adabasis.models.record import Asked, Record, Ridge, Tried

from .laws import assert_close, assert_same_bits

DATA = pathlib.Path(__file__).parent / "data"
OLD = sorted(DATA.glob("0.1-*.adabasis"))
X = np.random.default_rng(0).uniform(-1, 1, (60, 2))
Y = np.sin(2 * X[:, 0]) + 0.3 * X[:, 1]
FEW = ab.FrozenFeatures(6)
CALLS = {
    "fit": lambda **budget: ab.fit(X, Y, FEW, **budget),
    "classify": lambda **budget: ab.classify(X, Y > 0, FEW, **budget),
    "fit_pounet": lambda **budget: ab.fit_pounet(X, Y, **budget),
    "solve": lambda **budget: ab.solve(ab.pde.catalog.problem("poisson-1d"), FEW, **budget),
}
BAD = {
    "max_steps": [-1, 1.5, "many"],
    "max_seconds": [0, -1.0, math.nan, "long"],
    "tol": [-1e-3, math.nan],
    "n_restarts": [0, -1, 1.5, "few", None],
    "ridge": [-1.0, math.inf, math.nan, "some", None],
    "random_state": [-1, 0.5, None],
}


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize(("name", "value"), [(n, v) for n, values in BAD.items() for v in values])
def test_a_budget_that_cannot_be_meant_is_named_with_the_call(call, name, value):
    with pytest.raises(ValueError, match=re.escape(f"{call}({name}={value!r}): expected ")):
        CALLS[call](**{name: value})


def test_all_that_is_wrong_stands_in_one_message():
    with pytest.raises(
        ValueError, match=r"^fit\(max_steps=-1\): .*; fit\(tol=-2\): expected at least 0\.$"
    ):
        ab.fit(X, Y, FEW, max_steps=-1, tol=-2)


def test_a_record_is_read_as_it_was_written():
    record = Record(
        Asked("fit", "lsgn", 10, tol=1e-3, ensemble=3, ridge=0.5, standardize=True),
        60,
        Ridge(0.5, relative=False),
        (Tried("one", 0.1, None, Ridge(1e-8), 3, "MAX_STEPS"), Tried("two", functions=4)),
        ("a", "b"),
        ("y",),
        {"inputs": []},
        {"sentence": "…"},
        {"rows": 60},
    )
    document = json.loads(json.dumps(record.to_json(), allow_nan=False))
    assert Record.from_json(document) == record
    assert Record.from_json(Record(Asked("fit")).to_json()).asked.max_seconds == math.inf


def test_tables_for_people_decide_nothing():
    """Once a model's ridge was read from the table of what was tried, and lost with it."""
    noisy = Y + 0.1 * np.random.default_rng(1).normal(size=60)
    model = ab.fit(X, noisy, ab.FrozenFeatures(50), method="frozen")
    assert model.record.ridge.value > 0
    bare = dataclasses.replace(model, record=dataclasses.replace(model.record, tried=()))
    assert bare.candidates == ()
    assert_same_bits(ab.refit(bare, X, noisy).coefficients, ab.refit(model, X, noisy).coefficients)


def test_the_rows_of_the_table_are_those_of_the_record():
    model = ab.fit(X, Y, FEW, method="frozen", n_restarts=2)
    assert [row["loo_error"] for row in model.candidates] == [
        tried.loo_error for tried in model.record.tried
    ]
    errors = [float(f"{tried.loo_error:.3g}") for tried in model.record.tried]
    assert errors == sorted(errors)
    assert model.record.ridge == model.record.tried[0].ridge


def test_refit_takes_classifiers_and_refuses_solutions_of_equations():
    model = ab.classify(X, Y > 0, FEW, method="frozen")
    by_name = ab.refit_classes(model, X[:40], Y[:40] > 0)
    assert_same_bits(ab.refit(model, X[:40], Y[:40] > 0).coefficients, by_name.coefficients)
    with pytest.raises(ValueError, match="is not one of the model's"):
        ab.refit(model, X, np.full(60, "red"))
    solution = ab.solve(ab.pde.catalog.problem("poisson-1d"), FEW, method="frozen")
    with pytest.raises(ValueError, match="solved from an equation"):
        ab.refit(solution, [[0.5]], [1.0])


@pytest.mark.parametrize("path", OLD, ids=lambda path: path.stem)
def test_model_files_of_0_1_are_read(path, tmp_path):
    model = ab.load(path)  # compares its answers with those stored
    assert isinstance(model, ab.Classifier) == ("classifier" in path.stem)
    assert model.record.tried
    assert model.record.n_rows >= 12
    assert (model.record.preparation is not None) == ("table" in path.stem)
    again = tmp_path / "again.adabasis"
    model.save(again)
    assert ab.load(again).record == model.record


def test_the_ridge_of_a_file_of_0_1_is_kept():
    asked = ab.load(DATA / "0.1-network.adabasis")
    assert asked.record.ridge == Ridge(1e-6, relative=False)
    again = ab.refit(asked, X, np.c_[Y, Y**2])
    assert_close(again(X), asked(X), 1e-9)
    frozen = ab.load(DATA / "0.1-frozen.adabasis")
    assert frozen.record.ridge.relative
    assert_close(ab.refit(frozen, X, Y)(X), frozen(X), 1e-9)
    assert not ab.load(DATA / "0.1-classifier.adabasis").record.ridge.relative


def test_the_order_of_earlier_versions_works_with_a_warning():
    options = {"method": "frozen", "random_state": 3}
    now = ab.fit(X, Y, FEW, **options)
    for old in (
        lambda: ab.fit(FEW, X, Y, **options),
        lambda: ab.fit([FEW], X, Y, **options),
        lambda: ab.fit(FEW, X, y=Y, **options),
        lambda: ab.fit(FEW, X=X, y=Y, **options),
    ):
        with pytest.warns(FutureWarning, match=r"write fit\(X, y, basis\)"):
            assert_same_bits(old().coefficients, now.coefficients)
    with pytest.warns(FutureWarning, match="earlier versions"):
        ab.fit(None, X, Y, max_steps=0)
    with pytest.warns(FutureWarning, match=r"classify\(X, y, basis\)"):
        ab.classify(FEW, X, Y > 0, method="frozen")


@pytest.mark.parametrize("call", ["fit", "classify", "fit_pounet"])
def test_an_interrupt_keeps_the_best_so_far_or_is_passed_on(call, monkeypatch):
    seen = []

    def interrupt(progress):
        seen.append(progress.step)
        raise KeyboardInterrupt

    options = {} if call == "fit_pounet" else {"method": "auto"}
    trained = {"fit": ab.NeuralBasis(4, 1), "classify": ab.NeuralBasis(4, 1)}
    given = {"basis": trained[call]} if call in trained else {"n_partitions": 2, "degree": 1}
    hard = np.sin(5 * X[:, 0]) * X[:, 1] > 0  # no four functions as drawn tell the classes apart
    function, y = getattr(ab, call), hard if call == "classify" else np.sign(Y)
    model = function(X, y, callbacks=[interrupt], **given, **options)
    assert seen
    assert model.stop_reason.name == "INTERRUPTED"
    assert np.isfinite(model(X)).all()

"""Growth to a tolerance: it is met on points not seen, or the reason is the right one."""

import dataclasses
import itertools
import json
import math
import re

import numpy as np
import pytest

import adabasis as ab
from adabasis.basis import GaussianKernels, Polynomial
from adabasis.evidence.errors import Unseen
from adabasis.models.record import Asked
from adabasis.models.tolerance import Reason, Tolerance
from adabasis.regression import rungs
from adabasis.regression.rungs import Rung
from adabasis.regression.shortfall import Shortfall, replicate_noise, rounding
from adabasis.regression.task import RegressionTask
from adabasis.regression.tolerance import Climb, ToleranceTask, settled
from adabasis.selection.prepared import Prepared
from adabasis.selection.search import Candidate, Search

from .cli.calls import refused, run


def drawn(n, d, seed=0):
    return np.random.default_rng(seed).uniform(-1, 1, (n, d))


def noise(n, size):
    return size * np.random.default_rng(5).normal(size=n)


SMOOTH = {
    "sine": (1, 500, lambda x: np.sin(6 * x[:, 0])),
    "exponential": (1, 500, lambda x: np.exp(2 * x[:, 0])),
    "runge": (1, 1200, lambda x: 1 / (1 + 25 * x[:, 0] ** 2)),
    "product in a cosine": (2, 1000, lambda x: np.cos(4 * x[:, 0] * x[:, 1])),
    "product": (3, 1500, lambda x: np.sin(x[:, 0]) * np.cos(x[:, 1]) * np.exp(x[:, 2])),
}


@pytest.mark.parametrize("name", SMOOTH)
def test_smooth_functions_meet_a_hundred_millionth_on_points_not_seen(name):
    d, n, function = SMOOTH[name]
    x, unseen = drawn(n, d), drawn(3000, d, 1)
    model = ab.fit_to_tolerance(x, function(x), 1e-8)
    error = np.sqrt(np.mean((model(unseen) - function(unseen)) ** 2)) / function(unseen).std()
    assert model.record.tolerance == Tolerance(1e-8, model.validation_error, Reason.MET)
    assert max(error, model.validation_error) <= 1e-8


REASONS = {
    "kink": (1, 200, 1e-8, lambda x: abs(x[:, 0]), Reason.NOT_SMOOTH),
    "step": (1, 200, 1e-8, lambda x: 1.0 * (x[:, 0] > 0.2), Reason.NOT_SMOOTH),
    "root at the edge": (1, 300, 1e-8, lambda x: np.sqrt(x[:, 0] + 1), Reason.NOT_SMOOTH),
    "noise": (1, 300, 1e-4, lambda x: np.sin(6 * x[:, 0]) + noise(len(x), 1e-3), Reason.NOISE),
    "noise alone": (2, 200, 1e-3, lambda x: noise(len(x), 1.0), Reason.NOISE),
    "kink and noise": (1, 300, 1e-4, lambda x: abs(x[:, 0]) + noise(len(x), 0.02), Reason.NOISE),
    "noise at one end": (
        1, 400, 1e-3, lambda x: np.sin(3 * x[:, 0]) + noise(len(x), 0.1) * (x[:, 0] > 0.8),
        Reason.NOISE,
    ),
    "few rows": (2, 60, 1e-8, lambda x: np.cos(4 * x[:, 0] * x[:, 1]), Reason.FEW_ROWS),
    "waves": (1, 150, 1e-6, lambda x: np.sin(40 * x[:, 0]), Reason.FEW_ROWS),
    "five rows": (1, 5, 1e-3, lambda x: np.sin(6 * x[:, 0]), Reason.FEW_ROWS),
    "three digits": (1, 200, 1e-8, lambda x: np.round(np.sin(6 * x[:, 0]), 3), Reason.RANK),
    "single precision": (
        1, 200, 1e-10, lambda x: np.sin(6 * x[:, 0]).astype(np.float32), Reason.RANK,
    ),
    "beyond doubles": (1, 200, 1e-17, lambda x: np.sin(6 * x[:, 0]), Reason.RANK),
    "far from zero": (1, 200, 1e-12, lambda x: 1e8 + np.sin(6 * x[:, 0]), Reason.RANK),
}  # fmt: skip


@pytest.mark.parametrize("name", REASONS)
def test_where_a_tolerance_is_not_met_the_reason_is_the_right_one(name):
    d, n, tol, function, reason = REASONS[name]
    x = drawn(n, d)
    model = ab.fit_to_tolerance(x, function(x), tol, max_seconds=60)
    found = model.record.tolerance
    assert found.reason is reason, str(found)
    assert model.validation_error > tol
    assert found.because
    assert found.advice


MET = {
    "noise below it": (1, 1e-2, lambda x: np.sin(6 * x[:, 0]) + noise(len(x), 1e-3)),
    "a constant": (2, 1e-12, lambda x: 3.0 + 0 * x[:, 0]),
    "a cubic": (3, 1e-10, lambda x: 1 + x[:, 0] ** 3 - 2 * x[:, 1] * x[:, 2]),
    "above 1": (1, 2.0, lambda x: np.sin(6 * x[:, 0])),
    "two targets": (2, 1e-6, lambda x: np.column_stack([np.sin(x[:, 0]), 100 * np.exp(x[:, 1])])),
}


@pytest.mark.parametrize("name", MET)
def test_what_can_be_met_is_met_by_few_functions(name):
    d, tol, function = MET[name]
    x = drawn(300, d)
    model = ab.fit_to_tolerance(x, function(x), tol)
    assert model.record.tolerance.met
    assert len(model.coefficients) <= 60
    np.testing.assert_allclose(model(x).std(axis=0), function(x).std(axis=0), rtol=2)


def test_weights_groups_and_periods_are_those_of_fit():
    x = drawn(300, 1) * 180
    y = np.cos(np.deg2rad(x[:, 0]))
    wild = np.where(np.arange(300) % 3 == 0, 50.0, y)
    weight = 1.0 * (np.arange(300) % 3 > 0)
    group = np.arange(300) % 30
    model = ab.fit_to_tolerance(
        x, wild, 1e-8, sample_weight=weight, groups=group, periodic={0: 360.0}
    )
    assert model.record.tolerance.met
    assert model.validation_kind == "leave-one-group-out"
    np.testing.assert_allclose(model([[200.0]]), np.cos(np.deg2rad(200)), rtol=1e-6)


def test_replicates_tell_the_noise_before_anything_else():
    x = np.repeat(drawn(40, 1), 4, axis=0)
    y = np.sin(x[:, 0]) + noise(160, 0.05)
    found = ab.fit_to_tolerance(x, y, 1e-3).record.tolerance
    assert found.reason is Reason.NOISE
    assert found.because.startswith("Replicates differ")
    assert 0.5 * 0.05 / y.std() < found.noise < 1.2 * 0.05 / y.std()


def test_a_budget_shorter_than_the_first_answer_gives_the_best_plain_function():
    x = drawn(200, 1)
    model = ab.fit_to_tolerance(x, np.sin(2 * x[:, 0]), 1e-8, max_seconds=1e-9)
    found = model.record.tolerance
    assert found.reason is Reason.TIME
    assert "3 plain functions alone" in found.because
    assert isinstance(model.basis, ab.basis.Polynomial)
    assert model.validation_error < 0.5  # a line, not the constant


def test_rows_held_out_of_everything_have_to_meet_it_too():
    x = drawn(400, 1)
    met = ab.fit_to_tolerance(x, np.sin(6 * x[:, 0]), 1e-6, holdout=0.25)
    assert met.record.tolerance.met
    assert met.record.tolerance.error == met.validation_error
    worse = settled(dataclasses.replace(met, validation_error=2e-6))
    assert worse.record.tolerance.reason is Reason.FEW_ROWS
    assert "held out of everything" in str(worse.record.tolerance)
    assert worse.stop_reason is not met.stop_reason


@pytest.mark.parametrize("tol", [0, -1e-3, math.nan, math.inf, "1e-3", None, True, [1e-3]])
def test_a_tolerance_that_cannot_be_meant_is_refused(tol):
    with pytest.raises(ValueError, match=re.escape(f"fit_to_tolerance(tol={tol!r}): expected a")):
        ab.fit_to_tolerance(drawn(20, 1), np.zeros(20), tol)


def test_what_became_of_it_is_saved_and_read(tmp_path):
    x = drawn(200, 1)
    for y in (np.sin(x[:, 0]), np.round(x[:, 0] ** 2, 2)):
        model = ab.fit_to_tolerance(x, y, 1e-9)
        model.save(tmp_path / "m.adabasis")
        again = ab.load(tmp_path / "m.adabasis").record.tolerance
        assert again == model.record.tolerance
        assert again.to_json()["sentence"] == str(model.record.tolerance)


def table(y):
    x = drawn(len(y), 1)
    lines = [f"{a!r},{b!r}" for a, b in zip(x[:, 0].tolist(), y.tolist(), strict=True)]
    with open("t.csv", "w") as file:
        file.write("\n".join(["x,y", *lines]))


def test_the_command_line_grows_to_a_tolerance_and_says_what_became_of_it(
    capsys, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    table(np.sin(5 * drawn(300, 1)[:, 0]))
    code, out, _ = run(capsys, "fit", "t.csv", "--target", "y", "--tol", "1e-6", "--json")
    told = json.loads(out)["tolerance"]
    assert (code, told["reason"], told["met"]) == (0, "MET", True)
    assert told["error"] == json.loads(out)["validation_error"] <= 1e-6
    assert told["sentence"] in (tmp_path / "t.html").read_text()
    _, shown, _ = run(capsys, "show", "t.adabasis")
    assert told["sentence"] in " ".join(shown.split())
    table(drawn(300, 1)[:, 0] ** 2 + noise(300, 0.1))
    _, out, _ = run(
        capsys, "fit", "t.csv", "--target", "y", "--tol", "1e-6", "--force", "--no-report"
    )
    assert "because of a noise floor" in " ".join(out.split())


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--tol", "0"], "--tol 0: expected a positive number"),
        (["--tol", "nan"], "--tol nan: expected at least 0"),
        (["--tol", "1e-3", "--ridge", "1"], "--tol and --ridge exclude each other"),
        (["--tol", "1e-3", "--robust"], "--tol and --robust exclude each other"),
    ],
)
def test_the_command_line_refuses_what_cannot_be_meant(
    capsys, tmp_path, monkeypatch, options, words
):
    monkeypatch.chdir(tmp_path)
    table(drawn(20, 1)[:, 0])
    assert words in refused(capsys, "fit", "t.csv", "--target", "y", *options)


def prepared(x, y):
    return Prepared("fit", x, y, None, "auto", 0, split_by_default=True)


def tried(degree, error, seen=None):
    basis = Polynomial(degree)
    candidate = Candidate(basis, None, None, "", loo_error=error, unseen=seen)
    return Rung("total polynomials", basis.size(1), candidate)


def shortfall(errors, tol=1e-8, x=None, seen=None):
    """Return what polynomials of some degrees and errors tell, (degree, error) of each."""
    x = np.linspace(0, 1, 200)[:, None] if x is None else x
    task = RegressionTask(Asked("fit"), prepared(x, np.sin(x[:, 0])))
    return Shortfall(task, [tried(*pair, seen) for pair in errors], {}, tol)


def test_degrees_grow_by_a_quarter_of_the_functions_up_to_the_last_that_fits():
    sizes = [basis.size(2) for basis in rungs.polynomials(2, 200, "total")]
    assert sizes == [10, 15, 21, 28, 36, 45, 66, 91, 120, 153, 190]
    assert all(b >= 1.25 * a for a, b in itertools.pairwise(sizes[:-1]))
    found = [tried(8, 1e-6), tried(12, 1e-8), tried(18, 1e-7)]
    degrees = [basis.degree for basis in rungs.between(found, "total", 1e-7)]
    assert degrees == [11, 13, 10, 14, 9, 15, 16, 17]
    assert list(rungs.between(found, "total", 0.9e-8)) == []
    assert list(rungs.between([], "tensor", 1.0)) == []
    assert [basis.width for basis in rungs.features(300, 2)] == [64, 128, 297]


@pytest.mark.parametrize(
    ("values", "error", "words", "coarse"),
    [
        (lambda x: np.round(x, 2), 0.01 / math.sqrt(12), "multiples of 0.01", True),
        (lambda x: x.astype(np.float32), 2.0**-24 / 3**0.5, "single precision", True),
        (lambda x: x, 2.0**-53, "16 digits", False),
        (lambda x: np.round(x), 2.0**-53, "16 digits", False),  # three levels, no digits
        (lambda x: 1000 * np.round(x, 1), 100 / 577 / 12**0.5, "multiples of 100", True),
    ],
)
def test_digits_of_the_values_are_seen(values, error, words, coarse):
    x = drawn(400, 1)
    found = rounding(prepared(x, values(x[:, 0])))
    assert words in found.words
    assert found.coarse is coarse
    unit = 1.0 if "100" in words else values(x[:, 0]).std()
    assert 0.3 * error < found.error * unit < 3 * error


@pytest.mark.parametrize(
    ("fall", "like"),
    [
        (lambda m: m**-1.5, True),  # a kink
        (lambda m: 0.7**m, False),
        (lambda m: 0.5 * m**-0.3, False),  # not fallen by a factor 4
        (lambda m: np.where(m < 20, m**-1.5, 1e-9), False),
    ],
)
def test_a_power_of_the_degree_is_told_from_a_geometric_fall(fall, like):
    degrees = np.array([3, 4, 6, 8, 11, 15, 20, 28])
    pairs = zip(degrees.tolist(), fall(degrees.astype(float)).tolist(), strict=True)
    assert shortfall(pairs)._like_a_power() is like


@pytest.mark.parametrize(("last", "falls"), [(0.69, True), (0.71, False), (1.2, False)])
def test_the_last_size_falls_where_it_errs_clearly_less(last, falls):
    assert shortfall([(3, 2.0), (6, 1.0), (12, last)])._falls is falls


def test_errors_at_few_rows_beside_each_other_inside_are_a_jump():
    x = np.linspace(0, 1, 200)[:, None]

    def few(rows):
        losses = np.full(200, 1e-9)
        losses[rows] = 1.0
        seen = Unseen(np.arange(200), losses, np.ones(200), np.arange(200), "leave-one-out")
        return shortfall([(3, 1.0), (6, 0.5)], x=x, seen=seen)._few_neighbours()

    assert "at 9 of 200 rows beside each other, near input 1 ≈ 0.52" in few(np.arange(100, 110))
    assert few(np.arange(0, 200, 20)) == ""  # scattered: outliers
    assert few([0, 1, 2, 197, 198, 199]) == ""  # the edges
    assert few(np.arange(50, 110)) == ""  # many


def test_replicates_are_heard_from_three_degrees_of_freedom():
    x = np.array([0.0, 0.0, 0.0, 1.0, 1.0, 2.0, 3.0])[:, None]
    y = np.array([0.0, 0.1, -0.1, 1.0, 1.1, 2.0, 3.0])
    assert 0 < replicate_noise(prepared(x, y)) < 0.1 / y.std()
    assert replicate_noise(prepared(x[2:], y[2:])) == 0.0


def test_what_takes_longer_than_is_left_is_not_begun():
    x = drawn(200, 1)
    asked = Asked("fit_to_tolerance", max_seconds=100.0, tol=1e-8)
    search = Search(asked)
    climb = Climb(search, ToleranceTask(asked, prepared(x, np.sin(x[:, 0]))), 1e-8)
    climb.rungs = [dataclasses.replace(tried(6, 0.1), seconds=0.1)]
    assert climb._affordable("total polynomials", 14)
    climb.rungs = [dataclasses.replace(tried(6, 0.1), seconds=10.0)]
    assert not climb._affordable("total polynomials", 14)
    assert climb.ended["total polynomials"] == "time"
    climb.rungs = [dataclasses.replace(tried(m, 0.1), seconds=1.0) for m in (3, 5, 10)]
    assert not climb._affordable("total polynomials", 14)  # not one has helped
    fast = ((3, 0.1), (5, 1e-3), (10, 1e-7))
    climb.rungs = [dataclasses.replace(tried(*pair), seconds=1.0) for pair in fast]
    assert climb._affordable("total polynomials", 14)
    assert isinstance(next(rungs.gaussians(200, 1)), GaussianKernels)

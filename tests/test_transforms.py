"""Transformed targets, inputs in logarithms, periodic inputs: values in the user's units."""

import functools
import json

import jax
import numpy as np
import pandas as pd
import pytest

import adabasis as ab
from adabasis.basis import FrozenFeatures, Polynomial
from adabasis.cli import main
from adabasis.geometry.maps import Coordinates, InputMap, TargetMap, Transform, periodic_columns
from adabasis.models.record import Asked
from adabasis.operators import Laplacian, Partial
from adabasis.regression.decades import over_decades
from adabasis.regression.transforms import Chooser, Trial, offered_to, with_transforms
from adabasis.selection.prepared import Prepared

FEW = {"basis": FrozenFeatures(60), "method": "frozen"}  # compiled once for all tests
TRANSFORMS = [
    Transform("log"),
    Transform("log", -1.0),
    *(Transform("yeo-johnson", 3.0, power) for power in (0.0, 0.5, 1.5, 2.0)),
]


def decades(n, seed=0, columns=2):
    return 10 ** np.random.default_rng(seed).uniform(-2, 2, (n, columns))


def power_law(x):
    return 3 * x[:, 0] ** 1.5 / x[:, 1]


def noise(n, size, seed=9):
    return np.exp(size * np.random.default_rng(seed).normal(size=n))


def chosen(x, y, asked="auto"):
    prepared = functools.partial(Prepared, "fit", x, y, None, None, 0, split_by_default=False)
    return with_transforms(
        prepared, Asked("fit", target_transform=asked, input_transform="auto"), [FEW["basis"]]
    )[1]


@pytest.mark.parametrize("one", TRANSFORMS)
def test_a_transform_is_inverted_on_the_line_and_its_slope_is_the_derivative(one):
    y = np.linspace(0.1, 30, 9) * (-1 if one.unit < 0 else 1)
    y = np.concatenate([-y, [0.0], y]) if one.kind == "yeo-johnson" else y
    np.testing.assert_allclose(one.inverse(one(y)), y, rtol=1e-12)
    slope = (one(y * (1 + 1e-6) + 1e-9) - one(y * (1 - 1e-6) - 1e-9)) / (2e-6 * y + 2e-9)
    np.testing.assert_allclose(np.exp(one.log_slope(y)), slope, rtol=1e-5)
    assert np.all(np.isfinite(one.inverse(np.array([-50.0, 50.0]))))
    with jax.enable_x64(True):  # at 0, where the halves of the function meet, too
        t = one(y)
        derivative = jax.vmap(jax.grad(one.inverse))(jax.numpy.asarray(t))
    np.testing.assert_allclose(derivative * np.exp(one.log_slope(y)), 1.0, rtol=1e-10)


def test_logarithms_go_on_as_a_line_below_the_least_positive_entry():
    one = Coordinates(("log", "plain"), (0.5, 0.0))
    np.testing.assert_allclose(
        one(np.array([[1.0, 7.0], [0.5, 7.0], [0.0, 7.0], [-1.0, 7.0]]))[:, 0],
        np.log(0.5) + np.array([np.log(2), 0.0, -1.0, -3.0]),
    )
    slope = jax.grad(lambda x: one(jax.numpy.array([x, 0.0]))[0])
    assert [float(slope(x)) for x in (0.5, 0.25, 1.0)] == [2.0, 2.0, 1.0]


def test_a_law_over_decades_is_found_to_round_off():
    x, new = decades(150), decades(1000, 1)
    model = ab.fit(x, power_law(x), target_transform="auto", **FEW)
    inside = ~model.outside(new)
    p, y = model(new)[inside], power_law(new)[inside]
    assert np.median(np.abs(p / y - 1)) < 1e-12
    assert (p > 0).all()
    assert model.validation_error < 1e-10
    assert model.record.transforms["inputs"] == ["log", "log"]
    assert "taken in logarithms" in model.notes[0]
    at = new[inside][:20]
    exact = np.stack([1.5 * power_law(at) / at[:, 0], -power_law(at) / at[:, 1]], axis=1)
    np.testing.assert_allclose(model.gradient(at), exact, rtol=1e-7)
    second = 0.75 * power_law(at) / at[:, 0] ** 2 + 2 * power_law(at) / at[:, 1] ** 2
    np.testing.assert_allclose(model.apply(Laplacian(), at), second, rtol=1e-5)
    assert model.support(x).min() > 0.5


@pytest.mark.parametrize("n", [12, 150])
def test_a_law_holds_beyond_the_rows_and_for_few_of_them(n):
    x, new = decades(150)[:n], decades(1000, 1) / [3, 10]
    model = ab.fit(x, power_law(x), target_transform="auto")
    np.testing.assert_allclose(model(new), power_law(new), rtol=1e-10)


def sigmoid(dose):
    return 1 + 9 / (1 + np.exp(-2.2 * (np.log10(dose) - 0.7)))


STEPS = 10.0 ** np.arange(-2, 4)


@pytest.mark.parametrize(
    ("doses", "law", "kind"),
    [
        (np.repeat(STEPS, 3), sigmoid, "log"),
        (np.repeat([0.0, *STEPS[1:]], 3), lambda d: 1 + 9 * d / (d + 8), "log"),
        (np.repeat([1.0, 3, 10, 30, 100], 2), lambda d: 9 * d / (d + 8), "log"),
        (np.repeat(STEPS, 3), lambda d: 3 + 4 * d, "plain"),
        (STEPS, lambda d: 3 + 4 * d, "plain"),
    ],
)
def test_doses_of_a_few_steps_are_taken_in_logarithms_where_these_suit(doses, law, kind):
    y = law(doses) + 0.02 * np.ptp(law(doses)) * np.random.default_rng(0).normal(size=len(doses))
    model = ab.fit(doses[:, None], y)
    assert model.record.transforms["inputs"] == [kind]
    new = np.geomspace(doses[doses > 0].min(), doses.max(), 50)
    assert np.sqrt(np.mean((model(new[:, None]) - law(new)) ** 2)) < 0.1 * np.ptp(law(new))


def test_logarithms_of_inputs_are_taken_and_left_as_told(tmp_path):
    x = decades(24)
    y = np.log(x[:, 0]) + x[:, 1] / 50
    frame = pd.DataFrame(x, columns=["dose", "b"])
    told = {"dose": "log", "b": None}
    model = ab.fit(frame, y, basis=Polynomial(1), input_transform=told)
    assert model.record.transforms["inputs"] == ["log", "plain"]
    assert model.notes[0] == "Input 1 is taken in logarithms."
    assert model.validation_error < 1e-10
    model.save(tmp_path / "m.adabasis")
    again = ab.load(tmp_path / "m.adabasis")
    assert again.record.asked.input_transform == ((0, "log"), (1, None))
    np.testing.assert_array_equal(again(frame), model(frame))
    few = {"method": "auto", "max_steps": 0, "ensemble": 1}
    for asked, kinds in (("log", ["log", "log"]), (None, None), ("auto", ["log", "plain"])):
        estimator = ab.AdaptiveBasisRegressor(input_transform=asked, **few).fit(frame, y)
        found = estimator.fitted_.record.transforms
        assert (found and found["inputs"]) == kinds
    held = ab.fit(frame, y, input_transform={"dose": None}, holdout=0.2, max_steps=0)
    assert held.record.asked.input_transform == ((0, None),)
    assert held.record.transforms is None or held.record.transforms["inputs"][0] == "plain"
    label = np.where(x[:, 0] > 1, "high", "low")
    classes = ab.classify(
        frame, label, Polynomial(1), method="frozen", input_transform={"dose": "log"}
    )
    assert classes.input_map.coordinates.kinds == ("log", "plain")


def test_the_command_line_takes_logarithms_as_told(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    x = decades(60)
    pd.DataFrame({"dose": x[:, 0], "b": x[:, 1] - 1, "y": np.log(x[:, 0])}).to_csv(
        "d.csv", index=False
    )
    fit = ["fit", "d.csv", "--target", "y", "--no-report", "--max-steps", "0", "--force", "--json"]
    for asked, kinds in (("--log", ["log", "plain"]), ("--no-log", ["plain", "plain"])):
        assert main([*fit, asked, "dose"]) == 0, capsys.readouterr()
        assert ab.load("d.adabasis").record.transforms["inputs"] == kinds
    wrong = {
        "--log b: expected positive numbers and zeros, got -0.9": ["--log", "b"],
        "--log c: expected one of the inputs 'dose', 'b'": ["--log", "c"],
        "--no-log dose: another option": ["--log", "dose", "--no-log", "dose"],
    }
    for message, options in wrong.items():
        capsys.readouterr()
        assert main([*fit, *options]) == 2
        assert message in " ".join(capsys.readouterr().err.split())


def test_without_a_transform_such_a_law_is_not_found():
    x, new = decades(150), decades(1000, 1)
    p = ab.fit(x, power_law(x), **FEW)(new)
    assert np.median(np.abs(p / power_law(new) - 1)) > 1


def unit(n=300, seed=0):
    return np.random.default_rng(seed).uniform(size=(n, 2))


def smooth(x):
    return np.sin(4 * x[:, 0]) + x[:, 1] ** 2


CASES = {
    "5 % noise": lambda x, u, e: (x, power_law(x) * np.exp(0.05 * e), "log log", "log"),
    "negative": lambda x, u, e: (x, -power_law(x) * np.exp(0.05 * e), "log log", "log"),
    "noise of one size": lambda x, u, e: (x, x[:, 0] + 2 * x[:, 1] + e, "plain plain", "none"),
    "smooth": lambda x, u, e: (u, smooth(u) + 3, "plain plain", "none"),
    "noisy": lambda x, u, e: (u, smooth(u) + 3 + 0.1 * e, "plain plain", "none"),
    "exponential": lambda x, u, e: (u, np.exp(3 * smooth(u) + 0.1 * e), "plain plain", "log"),
    "offset": lambda x, u, e: (u, 1000 + smooth(u) + 0.1 * e, "plain plain", "none"),
    "outliers": lambda x, u, e: (u, smooth(u) + 0.1 * e / u[:, 1], "plain plain", "none"),
    "zeros": lambda x, u, e: (
        u,
        np.maximum(np.exp(4 * smooth(u) + 0.1 * e) - 3, 0),
        "plain plain",
        "yeo-johnson",
    ),
    "counts": lambda x, u, e: (
        u,
        np.random.default_rng(0).poisson(np.exp(2 * smooth(u) - 2)),
        "plain plain",
        "none",
    ),
    "saturation": lambda x, u, e: (
        np.where(x < 0.015, 0.0, x),
        x[:, 0] / (x[:, 0] + 1) + x[:, 1] / (x[:, 1] + 1) + 0.01 * e,
        "log log",
        "none",
    ),
    "twelve rows": lambda x, u, e: (x[:12], power_law(x[:12]), "log log", "log"),
    "constant": lambda x, u, e: (u, np.full(300, 3.0), "plain plain", "none"),
}


@pytest.mark.parametrize("case", CASES)
def test_the_transform_is_the_one_with_errors_of_one_size(case):
    e = np.random.default_rng(7).normal(size=300)
    x, y, inputs, target = CASES[case](decades(300), unit(), e)
    choice = chosen(x, y)
    assert " ".join(choice.coordinates.kinds) == inputs
    assert choice.transforms[0].kind == target
    if target != "none" and np.isfinite(choice.error):
        assert choice.error < 1.1 * choice.plain_error
    scaled = chosen(1e3 * x, 1e-6 * y)  # units are no reason
    assert [scaled.coordinates.kinds, scaled.transforms[0].kind] == [
        choice.coordinates.kinds,
        target,
    ]


def test_what_is_a_line_nearly_is_not_offered():
    assert offered_to(np.linspace(1, 2, 50), "auto") == [Transform()]
    assert len(offered_to(np.linspace(1, 20, 50), "auto")) > 1


@pytest.mark.parametrize(
    ("usual_size", "one_row", "less"),
    [(0.5, 17.0, True), (0.5, 60.0, False), (1.05, 1.05, False), (0.9, 0.9, True)],
)
def test_one_row_alone_does_not_speak_against_a_transform(usual_size, one_row, less):
    x = unit(100)
    data = Prepared("fit", x, smooth(x), None, None, 0, split_by_default=False)
    errors = np.full(100, usual_size)
    errors[0] = one_row
    size = float(np.sqrt(np.mean(errors**2)))
    usual = Trial(Transform(), np.zeros(100), np.ones(100), 1.0)
    trial = Trial(Transform("log"), np.zeros(100), errors, size)
    assert Chooser(data, [FEW["basis"]], ("auto",))._errs_less(trial, usual) is less


def test_columns_spread_evenly_are_not_over_decades():
    x = np.random.default_rng(0).uniform(0, 1, (2000, 1))
    assert not over_decades(x, Coordinates.plain(1))
    assert over_decades(decades(200, columns=1), Coordinates.plain(1))
    assert not over_decades(-decades(200, columns=1), Coordinates.plain(1))
    assert not over_decades(decades(200, columns=1), Coordinates(("periodic",), (1.0,)))


@pytest.mark.parametrize("kind", ["log", "yeo-johnson"])
def test_values_are_means_and_not_medians(kind):
    x, factor = unit(600)[:, :1], noise(600, 0.8)
    y = np.exp(1 + x[:, 0]) * factor
    model = ab.fit(x, y, target_transform=kind, **FEW)
    at = np.linspace(0.1, 0.9, 9)[:, None]
    ratio = float(np.mean(model(at) / np.exp(1 + at[:, 0])))
    assert abs(ratio / factor.mean() - 1) < 0.1  # the median would be 0.7 of it
    assert abs(model(x).mean() / y.mean() - 1) < 0.05


def test_the_correction_is_nil_without_noise():
    bent = TargetMap(np.ones(1), np.ones(1), np.zeros((1, 1)), (Transform("log"),))
    same = bent.smeared(np.zeros((5, 1)), np.ones(5))
    assert same.inverse(np.zeros(1)) == np.exp(1)
    known = bent.smeared(np.array([[np.inf], [0.5], [-0.5]]), np.ones(3))
    np.testing.assert_allclose(known.inverse(np.zeros(1)), np.exp(1) * np.cosh(0.5))


def test_claims_are_about_errors_in_the_users_units():
    x, new = decades(200), decades(4000, 1)
    y, truth = power_law(x) * noise(200, 0.3), power_law(new) * noise(4000, 0.3, 3)
    model = ab.fit(x, y, target_transform="log", **FEW)
    inside = ~model.outside(new)
    error = np.sqrt(np.mean((model(new) - truth)[inside] ** 2)) / truth[inside].std()
    low, high = model.validation_range
    assert low < error < 1.5 * high
    assert 0.5 < model.validation_error / error < 3
    judged = ab.fit(x, y, target_transform="log", holdout=0.3, **FEW)
    assert judged.record.verdict["rows_held_out"] == 60
    assert 0.1 < judged.validation_error < 3
    model = ab.fit(x, y, target_transform="log", ridge=0.0, **FEW)
    again = ab.refit(model, x, 2 * y)
    np.testing.assert_allclose(again(x), 2 * model(x), rtol=1e-6)


def test_targets_have_a_transform_each_and_derivatives_their_usual_shapes(tmp_path):
    x = unit(200)
    y = np.stack([np.exp(3 * smooth(x)), smooth(x), np.sinh(3 * smooth(x) - 2)], axis=1)
    model = ab.fit(x, y, target_transform=("log", None, "yeo-johnson"), **FEW)
    at, step = x[:7], 1e-4 * np.eye(2)
    for i in range(2):
        slope = (model(at + step[i]) - model(at - step[i])) / 2e-4
        np.testing.assert_allclose(model.apply(Partial(i), at), slope, rtol=1e-4, atol=1e-4)
    assert model.gradient(at).shape == (7, 3, 2)
    path = tmp_path / "m.adabasis"
    model.save(path)
    loaded = ab.load(path)
    assert (loaded(x) == model(x)).all()
    assert loaded.record == model.record
    assert loaded.output_map.transforms == model.output_map.transforms
    choice = chosen(x, y)
    assert [one.kind for one in choice.transforms][:2] == ["log", "none"]


def angles(n=240, seed=0):
    x = np.random.default_rng(seed).uniform((0, 0), (360, 1), (n, 2))
    return x, np.sin(np.deg2rad(x[:, 0])) * (1 + x[:, 1])


def test_a_periodic_input_has_no_seam(tmp_path):
    x, y = angles()
    x[:2, 0] = 0.0, 360.0  # one place
    x[1, 1], y[:2] = x[0, 1], 0.0
    model = ab.fit(x, y, periodic={0: 360}, **FEW)
    assert model.input_map.coordinates.kinds == ("periodic", "plain")
    seam = np.array([[359.9, 0.3], [0.0, 0.5], [0.1, 0.3], [-90.0, 0.5], [3690.0, 0.5]])
    np.testing.assert_allclose(
        model(seam), np.sin(np.deg2rad(seam[:, 0])) * (1 + seam[:, 1]), atol=1e-5
    )
    turned = x + np.array([720, 0])
    np.testing.assert_allclose(model(turned), model(x), atol=1e-9)
    np.testing.assert_allclose(model.gradient(turned), model.gradient(x), atol=1e-9)
    np.testing.assert_allclose(model.support(turned), model.support(x), rtol=1e-6)
    assert not model.outside(turned).any()
    assert model.outside(x + np.array([0, 2])).all()
    slope = np.deg2rad(1) * np.cos(np.deg2rad(seam[:, 0])) * (1 + seam[:, 1])
    np.testing.assert_allclose(model.apply(Partial(0), seam), slope, atol=1e-6)
    model.save(tmp_path / "m.adabasis")
    assert (ab.load(tmp_path / "m.adabasis")(turned) == model(turned)).all()
    assert not [note for note in model.notes if "of the box" in note]  # the inside of a circle


def test_rows_a_period_apart_are_one_place():
    x, y = angles(60)
    twice = np.concatenate([x, x + np.array([360, 0])])
    data = Prepared(
        "fit", twice, np.tile(y, 2), None, None, 0, split_by_default=False,
        coordinates=Coordinates.with_periods(2, [(0, 360.0)]),
    )  # fmt: skip
    assert len(data.x) == 60
    assert ((data.z >= 0) & (data.z <= 1)).all()
    assert np.allclose(np.linalg.norm(data.probes[:, :2] - 0.5, axis=1), 0.5)


def test_classes_and_pieces_can_be_periodic():
    x, y = angles(120)
    labels = ab.classify(x, y > 0, FrozenFeatures(60), method="frozen", periodic={0: 360})
    assert labels.predict([[350.0 + 360, 0.5], [10.0 - 720, 0.5]]).tolist() == [False, True]
    pieces = ab.fit_pounet(x, y, n_partitions=1, degree=2, periodic={0: 360}, max_steps=2)
    np.testing.assert_allclose(pieces(x + np.array([360, 0])), pieces(x), atol=1e-9)
    np.testing.assert_allclose(pieces(x), y, atol=1e-6)


def test_the_unit_of_a_circle_is_no_matter():
    x, y = angles()
    degrees = ab.fit(x, y, periodic={0: 360}, **FEW)
    hours = ab.fit(x / [15, 1], y, periodic={0: 24}, **FEW)
    np.testing.assert_allclose(hours(x / [15, 1]), degrees(x), atol=1e-9)
    assert InputMap.onto_unit(Coordinates.with_periods(2, [(0, 360.0)]), x).shift[0] == -1


WRONG = {
    "not positive, the first -1 in row 3": {"target_transform": "log"},
    "expected None, 'log', 'yeo-johnson' or 'auto'": {"target_transform": "square"},
    "2 transforms for 1 targets": {"target_transform": ["log", "log"]},
    "expected a positive period": {"periodic": {0: 0.0}},
    "there is no such column; those of X have no names: 0 to 1": {"periodic": {"angle": 360}},
    "no such column": {"periodic": {2: 360}},
    "expected a mapping": {"periodic": [360]},
    "expected 'auto', 'log', None, or a mapping": {"input_transform": {0: "sqrt"}},
    "no such column; those of X": {"input_transform": {"dose": "log"}},
    "is periodic, too": {"input_transform": {0: "log"}, "periodic": {0: 360}},
    "expected positive numbers and zeros, got -7": {"input_transform": {1: "log"}},
}


@pytest.mark.parametrize("message", WRONG)
def test_messages_say_what_to_do(message):
    x = unit(20)
    y = smooth(x) + 2
    y[3], x[3, 1] = -1, -7
    with pytest.raises(ValueError, match=message) as caught:
        ab.fit(x, y, **WRONG[message], **FEW)
    assert str(caught.value).startswith("fit(")


def test_columns_have_the_names_of_a_frame():
    frame = pd.DataFrame({"angle": [0.0, 90.0], "z": [0.0, 1.0]})
    assert periodic_columns("fit", frame, {"z": 2}) == ((1, 2.0),)
    with pytest.raises(ValueError, match="are named 'angle', 'z'"):
        periodic_columns("fit", frame, {"Angle": 360})
    with pytest.raises(ValueError, match="named twice"):
        periodic_columns("fit", frame, {"angle": 360, 0: 360})
    x, y = angles()
    frame = pd.DataFrame(x, columns=["angle", "z"])
    model = ab.AdaptiveBasisRegressor(
        method="frozen", width=20, depth=1, periodic={"angle": 360.0}, target_transform="auto"
    )
    model.set_params(method="auto", max_steps=0, width="auto", depth="auto").fit(frame, y)
    turned = pd.DataFrame(x + np.array([360, 0]), columns=["angle", "z"])
    np.testing.assert_allclose(model.predict(turned), y, atol=1e-6)
    held = ab.fit(frame, y, periodic={"angle": 360.0}, holdout=0.2, **FEW)
    assert held.record.asked.periodic == ((0, 360.0),)


def test_the_command_line_takes_the_transform_that_suits(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    x = decades(150)
    table = pd.DataFrame({"a": x[:, 0], "b": x[:, 1], "y": power_law(x), "z": power_law(x) - 1})
    table["c"] = np.where(x[:, 0] > 1, "high", "low")
    table.to_csv("h.csv", index=False)
    about = ["fit", "h.csv", "--model", "frozen", "--no-report"]
    fit = [*about, "--drop", "z", "--drop", "c", "--target", "y"]
    assert main([*fit, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["validation_error"] < 1e-4
    assert any("'y', 'a' and 'b' are taken in logarithms" in note for note in found["notes"])
    model = ab.load("h.adabasis")
    assert np.median(np.abs(model(x).ravel() / power_law(x) - 1)) < 1e-12
    assert main([*fit, "--force", "--json", "--target-transform", "none"]) == 0
    assert json.loads(capsys.readouterr().out)["validation_error"] > 0.1
    refused = {
        "--periodic c=3": "expected COLUMN=PERIOD with one of the inputs 'a', 'b'",
        "--periodic a=-1": "expected a positive period, such as a=360",
        "--target-transform log --target z --drop c": "of 'z' not positive",
        "--target-transform log --target c --drop z": "holds classes",
    }
    for options, message in refused.items():
        own = about if "--drop" in options else fit
        assert main([*own, "--force", *options.split()]) == 2
        assert message in capsys.readouterr().err

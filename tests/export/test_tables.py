"""Files of Python take the columns of the table a model was fitted to; the command line writes."""

import dataclasses
import json
import warnings

import numpy as np
import pandas as pd
import pytest

import adabasis
from adabasis.export import NotExportable, export
from adabasis.tables import Preparation

from ..cli.calls import FAST, frame, refused, run, write
from .tools import run_here


@pytest.fixture(autouse=True)
def inside(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def mixed(n=240, seed=0):
    """A table of every kind of column."""
    rng = np.random.default_rng(seed)
    start = np.datetime64("2024-01-01T00:00")
    table = pd.DataFrame(
        {
            "size": rng.uniform(0, 1, n),
            "open": rng.random(n) < 0.5,
            "colour": rng.choice(["red", "green", "blue"], n),
            "town": rng.choice([f"town {i}" for i in range(15)], n),
            "day": start + (np.arange(n) * 7 * 3600 * 1000).astype("m8[ms]"),
        }
    )
    table["y"] = np.sin(3 * table["size"]) + 0.3 * table["open"] + (table["colour"] == "red")
    return table


def model_of(table, **options):
    """Fit a table as the command does, with gaps filled."""
    preparation = Preparation(impute=True, **options)
    inputs = table.drop(columns="y")
    x = preparation.fit_transform(inputs, table["y"])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = adabasis.fit(x, table["y"].to_numpy(), adabasis.FrozenFeatures(8, scale=1.0))
    record = dataclasses.replace(
        model.record,
        preparation=preparation.to_json(),
        input_names=tuple(preparation.features),
        output_names=("y",),
    )
    return dataclasses.replace(model, record=record), preparation


@pytest.fixture(scope="module")
def fitted():
    return model_of(mixed())


def loaded(path="m.py"):
    space = {}
    with open(path, encoding="utf-8") as file:
        exec(file.read(), space)
    return space


def test_a_file_of_python_takes_the_table(fitted):
    model, preparation = fitted
    found = export(model, "m.py")
    assert found.difference.round_off
    predict = loaded()["predict"]
    rows = mixed(30, seed=1)
    rows.loc[3, "size"] = np.nan
    rows.loc[4, "colour"] = "violet"
    rows.loc[5, "town"] = None
    truth = model(preparation.transform(rows.drop(columns="y")))
    dates = [d.isoformat() for d in rows["day"]]
    for given in (
        rows,
        rows.to_dict("list"),
        rows.to_dict("records"),
        rows.assign(day=dates, open=[str(o).lower() for o in rows["open"]]).to_dict("list"),
    ):
        np.testing.assert_allclose(predict(given), truth, rtol=1e-12)
    x = preparation.transform(rows.drop(columns="y"))
    np.testing.assert_allclose(predict(x), truth, rtol=1e-12)


def test_missing_columns_and_entries_are_refused_by_name(fitted):
    model, _ = fitted
    export(model, "m.py")
    with pytest.raises(ValueError, match="lacks columns the model was fitted to: town"):
        loaded()["predict"](mixed(3).drop(columns="town"))
    plain = mixed().drop(columns=["day", "town"])
    preparation = Preparation()
    x = preparation.fit_transform(plain.drop(columns="y"), plain["y"])
    alone = dataclasses.replace(
        adabasis.fit(x, plain["y"].to_numpy(), adabasis.FrozenFeatures(4, scale=1.0)),
    )
    record = dataclasses.replace(alone.record, preparation=preparation.to_json())
    export(dataclasses.replace(alone, record=record), "n.py")
    with pytest.raises(ValueError, match="'size': a missing entry in row 2"):
        loaded("n.py")["predict"](plain.head(3).assign(size=[1.0, np.nan, 1.0]))


@pytest.mark.parametrize("zone", [None, "Europe/Berlin"])
@pytest.mark.parametrize("kind", ["date", "time", "duration"])
def test_times_of_every_kind_are_the_same_numbers(kind, zone):
    n = 500
    at = pd.Series(pd.Timestamp("2023-03-01") + pd.to_timedelta(np.arange(n) * 61, unit="h"))
    if zone is not None and kind != "date":
        pytest.skip("only dates have a zone")
    if kind == "time":
        at = pd.Series([t.time() for t in at])
    if kind == "duration":
        at = pd.Series(pd.to_timedelta(np.arange(n) * 3, unit="h"))
    if zone is not None:
        at = at.dt.tz_localize("UTC").dt.tz_convert(zone)
    table = pd.DataFrame({"at": at})
    preparation = Preparation().fit(table)
    from adabasis.export.table import code_of

    imports, code = code_of(preparation.to_json())
    space = {}
    exec(f"import numpy as np\n{imports}\n{code}", space)
    np.testing.assert_allclose(space["matrix"](table), preparation.transform(table), atol=1e-9)


def test_dates_in_an_order_of_their_own_are_refused():
    texts = [f"{d:02d}/{m:02d}/2024" for m in range(1, 13) for d in range(1, 28)]
    preparation = Preparation().fit(pd.DataFrame({"at": texts}))
    from adabasis.export.table import code_of

    with pytest.raises(NotExportable, match="'at' holds dates written as"):
        code_of(preparation.to_json())


def test_the_command_writes_and_says_how_far_off(capsys):
    write(frame())
    assert run(capsys, "fit", "t.csv", "--target", "y", *FAST, "--no-report")[0] == 0
    for suffix in run_here(".py", ".onnx", ".c", ".js", ".tex", ".sympy", ".jax"):
        code, out, err = run(capsys, "export", "t.adabasis", f"t{suffix}")
        assert code == 0, err
        assert "largest difference from the model" in out.replace("\n  ", " ")
        assert f"Written: t{suffix}" in out
    found = loaded("t.py")["predict"](frame(5).to_dict("list"))
    truth = adabasis.load("t.adabasis")(frame(5)[["a", "b"]].to_numpy())
    np.testing.assert_allclose(found, truth, rtol=1e-8)  # Gaussians whose sums cancel
    code, out, _ = run(capsys, "export", "t.adabasis", "t.onnx", "--single", "--force", "--json")
    document = json.loads(out)
    assert document["difference"]["relative"] > 1e-9
    assert document["written"] == ["t.onnx"]
    assert "exists already" in refused(capsys, "export", "t.adabasis", "t.py")
    assert "The model comes first" in refused(capsys, "export", "t.py", "t.adabasis")
    assert "that of no format" in refused(capsys, "export", "t.adabasis", "t.docx")
    assert "--single: only ONNX" in refused(capsys, "export", "t.adabasis", "u.py", "--single")
    assert "no such model file" in refused(capsys, "export", "none.adabasis", "u.py")


def test_solutions_are_functions_like_any_other():
    from adabasis import pde

    u = pde.unknowns("u")
    problem = pde.Problem(
        domain=adabasis.Box(x=(0.0, 1.0)),
        equations=[-adabasis.operators.Laplacian()(u) == 1.0],
        conditions=[pde.Dirichlet(0.0)],
    )
    solution = adabasis.solve(problem, adabasis.FrozenFeatures(12, scale=1.0))
    assert export(solution, "u.py").difference.round_off
    found = loaded("u.py")["predict"](np.array([[0.5]]))
    np.testing.assert_allclose(found, solution([[0.5]]), rtol=1e-9)

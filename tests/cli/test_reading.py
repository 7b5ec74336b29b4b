"""How a table is written is found out, said, stored, and used again for predictions."""

import contextlib
import pathlib
import sqlite3

import numpy as np
import pandas as pd
import pytest

import adabasis

from .calls import fitted, frame, refused, run, write

pytestmark = pytest.mark.plain_scope


def thousands(table):
    """A column of whole numbers up to 20,000, written 950 and 1,050."""
    return table.assign(a=[f"{round(20_000 * a):,}" for a in table["a"]])


def test_thousands_are_read_and_a_later_table_is_read_the_same_way(capsys):
    write(thousands(frame()), sep=";")
    out = " ".join(fitted(capsys).split())
    assert "Thousands separators: '" in out
    model = adabasis.load("t.adabasis")
    assert model.record.reading == {
        "format": "CSV, semicolon-delimited", "decimal": ".", "units": {}
    }  # fmt: skip
    assert "Thousands separators" in model.record.provenance["table read as"]
    assert model.box[0][1] > 15_000
    new = frame(5, seed=1).assign(a=["1,055", "2,345", "17,999", "12,001", "3,333"])
    write(new[["a"]].assign(b=1), "new.csv", sep=";")  # this table alone would not tell
    assert run(capsys, "predict", "t.adabasis", "new.csv")[0] == 0
    x = np.stack([[1055, 2345, 17_999, 12_001, 3333], np.ones(5)], axis=1)
    expected = model(x.astype(float)).reshape(-1)
    np.testing.assert_array_equal(pd.read_csv("new-predictions.csv")["y"], expected)
    assert run(capsys, "predict", "t.adabasis", "new.csv", "--force", "--decimal", "comma")[0] == 0
    x[:, 0] /= 1000
    expected = model(x).reshape(-1)
    np.testing.assert_array_equal(pd.read_csv("new-predictions.csv")["y"], expected)


def test_an_answer_to_the_question_is_taken(capsys):
    write(frame().assign(a=lambda t: [f"{1 + a:.3f}".replace(".", ",") for a in t["a"]]), sep=";")
    table = pathlib.Path("t.csv").read_text().replace(".", ",")
    pathlib.Path("t.csv").write_text(table)
    fitted(capsys)  # the other columns tell
    assert adabasis.load("t.adabasis").record.reading["decimal"] == ","
    write(frame().assign(a=lambda t: [f"{1 + a:.3f}".replace(".", ",") for a in t["a"]], b=1, y=2))
    asked = refused(capsys, "fit", "t.csv", "--target", "y", "--force")
    assert "Say --decimal point if it is 1" in asked
    fitted(capsys, "--force", "--decimal", "comma")
    assert adabasis.load("t.adabasis").box[0][1] < 2.1


@pytest.mark.parametrize(("column", "mend"), [("b", "treats it as missing."), ("y", "leaves such")])
def test_one_stray_entry_is_named_with_its_row(capsys, column, mend):
    table = frame().astype(object)
    table.loc[7, column] = "-"
    write(table)
    for options in ([], ["--encode"]):
        err = refused(capsys, "fit", "t.csv", "--target", "y", *options)
        assert f"'{column}': 1 of 60 entries is no number ('-') in row 8: --impute treats it" in err
        assert mend in err
    out = " ".join(fitted(capsys, "--impute").split())
    assert f"'{column}': 1 of 60 entries is no number ('-') in row 8: taken as missing." in out
    assert adabasis.load("t.adabasis").n_inputs == 2
    new = frame(5, seed=1).astype(object)
    new.loc[2, "b"] = "n.d."
    write(new, "new.csv")
    code, out, _ = run(capsys, "predict", "t.adabasis", "new.csv")
    assert code == 0
    assert "1 entry that is no number: filled as in training" in out


def test_a_stray_entry_is_refused_where_nothing_fills_it(capsys):
    write(frame())
    fitted(capsys)
    new = frame(50_000, seed=1).astype(object)
    new.loc[49_998, "b"] = "1.5 m"
    write(new, "new.csv")
    err = refused(capsys, "predict", "t.adabasis", "new.csv")
    assert "'b', from row 49,999 on: entries that are no numbers ('1.5 m')" in err


def test_units_are_told_kept_and_compared(capsys):
    units = pd.DataFrame([{"a": "kW", "b": "-", "y": "degC"}])
    write(pd.concat([units, frame()]))
    assert "Units: a in kW, y in degC." in fitted(capsys)
    assert adabasis.load("t.adabasis").record.reading["units"] == {"a": "kW", "y": "degC"}
    write(pd.concat([units.assign(a="MW"), frame(5)]), "new.csv")
    out = run(capsys, "predict", "t.adabasis", "new.csv")[1]
    assert "Careful: 'a' is in MW here, but was in kW in training." in " ".join(out.split())
    assert len(pd.read_csv("new-predictions.csv")) == 5


def test_a_query_is_a_table_and_its_name_no_path(capsys):
    with contextlib.closing(sqlite3.connect("runs.db")) as connection:
        frame().to_sql("june", connection)
    query = "runs.db::SELECT a, b, y FROM june WHERE y > 0 -- not 'x//y'"
    fitted(capsys, name=query)
    model = adabasis.load("runs.adabasis")
    assert model.record.provenance["table"] == query
    code, out, _ = run(capsys, "predict", "runs.adabasis", "runs.db")
    assert code == 0
    assert "60 rows predicted, in the order of runs.db" in out
    x = frame()[["a", "b"]].to_numpy()
    np.testing.assert_array_equal(pd.read_csv("runs-predictions.csv")["y"], model(x).reshape(-1))


FIRST = {  # each call is wrong in several ways: the one to mend first is told
    "no table": (["fit", "none.csv"], "none.csv: no such file"),
    "no target": (["fit", "t.csv", "--out", "x/m"], "Which column is to be predicted?"),
    "a wrong target": (["fit", "t.csv", "--target", "z", "--weight", "w"], "--target 'z'"),
    "a wrong column": (["fit", "t.csv", "--target", "y", "--drop", "z"], "--drop 'z'"),
    "a wrong option": (["fit", "t.csv", "--holdout", "2"], "--holdout 2"),
    "a file that is there": (["fit", "t.csv", "--target", "y"], "t.adabasis exists already"),
    "no model": (["predict", "none.adabasis", "none.csv"], "none.adabasis: no such model file"),
    "no new table": (["predict", "m.adabasis", "none.csv"], "none.csv: no such file"),
    "other columns": (["predict", "m.adabasis", "other.csv"], "lacks columns"),
    "predictions that are there": (["predict", "m.adabasis", "t.csv"], "exists already"),
}


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    x, y = frame()[["a", "b"]].to_numpy(), frame()["y"]
    path = tmp_path_factory.mktemp("model") / "m.adabasis"
    write(frame(), str(path.with_suffix(".csv")))
    from adabasis.cli import main

    asked = ["--target", "y", "--model", "frozen", "--holdout", "0", "--no-report", "--quiet"]
    assert main(["fit", str(path.with_suffix(".csv")), *asked, "--out", str(path)]) == 0
    assert adabasis.load(path)(x).size == y.size
    return path.read_bytes()


@pytest.mark.parametrize("name", FIRST)
def test_the_most_basic_mistake_is_told_first(capsys, model, name):
    tokens, words = FIRST[name]
    write(frame())
    write(frame()[["a"]], "other.csv")
    for there in ("t.adabasis", "t-predictions.csv", "other-predictions.csv", "none.html"):
        pathlib.Path(there).write_text("precious")
    pathlib.Path("m.adabasis").write_bytes(model)
    assert words in refused(capsys, *tokens)
    assert pathlib.Path("t.adabasis").read_text() == "precious"


def test_two_rows_are_fitted_with_a_word(capsys):
    write(frame(2))
    out = " ".join(fitted(capsys).split())
    assert "No verdict: 2 rows, too few distinct rows to hold some out. Nothing shows" in out
    assert "collect more rows before you trust it" in out

"""The command line as a person meets it: exit codes, messages of one screen, files whole or absent.

Most tests call ``main`` in this process; a few start the real command.
"""

import json
import os
import pathlib
import signal
import subprocess
import sys
import time

import jax
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.feather
import pytest

import adabasis
from adabasis.cli import main

pytestmark = pytest.mark.plain_scope
FAST = ["--model", "frozen", "--max-seconds", "20"]


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("ADABASIS_CACHE", jax.config.values["jax_compilation_cache_dir"])
    monkeypatch.setenv("COLUMNS", "80")
    return tmp_path


def frame(n=60, seed=0):
    x = np.random.default_rng(seed).uniform(0, 1, (n, 2))
    return pd.DataFrame({"a": x[:, 0], "b": x[:, 1], "y": np.sin(3 * x[:, 0]) + x[:, 1] ** 2})


def write(table, name="t.csv", **options):
    table.to_csv(name, index=False, **options)
    return name


def run(capsys, *tokens):
    code = main([str(token) for token in tokens])
    out, err = capsys.readouterr()
    assert "Traceback" not in out + err
    assert len(err.splitlines()) <= 24
    return code, out, err


def refused(capsys, *tokens):
    before = sorted(os.listdir())
    code, out, err = run(capsys, *tokens)
    assert code == 2
    assert out == ""
    assert err.startswith("adabasis: ")
    assert sorted(os.listdir()) == before
    return err


def fitted(capsys, *options, name="t.csv"):
    code, out, err = run(capsys, "fit", name, "--target", "y", *FAST, *options)
    assert code == 0, err
    return out


def test_fit_writes_a_model_and_a_report_and_says_how_good_it_is(capsys):
    write(frame())
    out = fitted(capsys)
    assert "60 rows, 2 inputs" in out
    for words in ("this model", "gradient boosting", "linear model", "constant", "Verdict:"):
        assert words in out
    assert "again with all 60 rows" in out
    assert max(map(len, out.splitlines())) <= 80
    assert sorted(os.listdir()) == ["t.adabasis", "t.csv", "t.html"]
    model = adabasis.load("t.adabasis")
    assert model.settings["provenance"]["command"].startswith("adabasis fit t.csv --target y")
    x = frame()[["a", "b"]].to_numpy()
    assert np.abs(model(x)[:, 0] - frame()["y"]).max() < 1e-3
    assert "<script src" not in pathlib.Path("t.html").read_text()


def test_predict_gives_the_models_values_whatever_the_order_of_columns(capsys):
    write(frame())
    fitted(capsys)
    new = frame(17, seed=1)
    write(new[["b", "a"]].assign(c=1.0), "new.csv")
    code, out, _ = run(capsys, "predict", "t.adabasis", "new.csv")
    assert code == 0
    assert "17 rows predicted" in out
    assert "columns not used: 'c'" in out
    predicted = pd.read_csv("new-predictions.csv")
    model = adabasis.load("t.adabasis")
    np.testing.assert_array_equal(predicted["y"], model(new[["a", "b"]].to_numpy())[:, 0])


def test_rows_outside_the_training_box_are_counted_and_marked(capsys):
    write(frame())
    fitted(capsys)
    new = frame(9, seed=1)
    new.loc[:2, "a"] = 5.0
    write(new, "new.csv")
    code, out, _ = run(capsys, "predict", "t.adabasis", "new.csv", "--out", "p.parquet")
    assert code == 0
    assert "3 rows outside the range" in out.replace("\n", " ")
    marked = pd.read_parquet("p.parquet")["outside"]
    assert marked[:3].all()
    assert marked.sum() >= 3


@pytest.mark.parametrize("kind", ["parquet", "feather", "csv.gz", "semicolon"])
def test_tables_of_every_kind_give_the_same_model(capsys, kind):
    table = frame()
    write(table)
    fitted(capsys, "--json")
    if kind == "parquet":
        table.to_parquet("k.parquet")
    elif kind == "feather":
        pyarrow.feather.write_feather(pa.table(table), "k.feather")
    elif kind == "csv.gz":
        table.to_csv("k.csv.gz", index=False)
    else:
        table.to_csv("k.csv", index=False, sep=";", decimal=",")
    name = next(n for n in os.listdir() if n.startswith("k."))
    fitted(capsys, name=name)
    x = table[["a", "b"]].to_numpy()
    np.testing.assert_array_equal(adabasis.load("t.adabasis")(x), adabasis.load("k.adabasis")(x))


def test_json_is_one_document_and_quiet_is_silent(capsys):
    write(frame())
    document = json.loads(fitted(capsys, "--json"))
    assert document["written"] == ["t.adabasis", "t.html"]
    assert document["verdict"]["scores"][0]["name"] == "this model"
    assert fitted(capsys, "--quiet", "--force") == ""
    code, out, _ = run(capsys, "show", "t.adabasis", "--json")
    assert code == 0
    assert json.loads(out)["inputs"] == ["a", "b"]


def test_show_says_what_a_model_is_and_how_it_was_made(capsys):
    write(frame())
    fitted(capsys)
    code, out, _ = run(capsys, "show", "t.adabasis")
    assert code == 0
    for words in ("FrozenFeatures", "rank", "Verdict", "SHA-256", "command: adabasis fit t.csv"):
        assert words in out


def test_several_targets_weights_and_dropped_columns(capsys):
    write(frame().assign(z=lambda t: t["a"] * t["b"], w=1.0, name="x"))
    code, out, _ = run(
        capsys, "fit", "t.csv", "--target", "y", "--target", "z", "--weight", "w",
        "--drop", "name", *FAST,
    )  # fmt: skip
    assert code == 0
    assert "'y', 'z'" in out
    assert run(capsys, "predict", "t.adabasis", "t.csv")[0] == 0
    assert list(pd.read_csv("t-predictions.csv").columns) == ["y", "z", "outside"]


def test_categories_and_gaps_are_stored_in_the_model(capsys):
    table = frame().assign(kind=lambda t: np.where(t["a"] > 0.5, "hot", "cold"))
    table.loc[3, "b"] = np.nan
    write(table)
    out = fitted(capsys, "--encode", "--impute")
    assert "categories: 'kind'" in out
    new = table[:5].copy()
    new.loc[4, "kind"] = "boiling"
    write(new, "new.csv")
    assert run(capsys, "predict", "t.adabasis", "new.csv")[0] == 0
    predicted = pd.read_csv("new-predictions.csv")
    assert predicted["y"].notna().all()
    assert predicted["outside"][4] == 1


def spoiled(row, column, value):
    table = frame().astype(object)
    table.loc[row, column] = value
    return table


BAD_TABLES = {
    "the target is not there": (frame().drop(columns="y"), "--target 'y'", "'a', 'b'"),
    "a column of text": (frame().assign(kind="hot"), "'kind'", "--encode"),
    "a missing value": (spoiled(7, "b", np.nan), "'b' (1, the first in row 8)", "--impute"),
    "an infinite value": (spoiled(4, "a", "inf"), "'a' (1, the first in row 5)", "--impute"),
    "no rows": (frame()[:0], "no rows"),
    "only the target": (frame()[["y"]], "No input columns"),
    "a target of text": (frame().assign(y="high"), "--target", "'y'"),
    "a missing target": (spoiled(2, "y", np.nan), "'y'", "row 3"),
    "a numbering without a name": (frame().rename(columns={"a": ""}), "Column 1 has no name"),
    "two columns of one name": (frame().rename(columns={"a": "b"}), "'b'", "more than once"),
}


@pytest.mark.parametrize("name", BAD_TABLES)
def test_a_bad_table_is_refused_with_its_place_and_its_mend(capsys, name):
    table, *words = BAD_TABLES[name]
    write(table)
    err = refused(capsys, "fit", "t.csv", "--target", "y")
    for word in words:
        assert word in err


BAD_FILES = {
    "binary": (b"\x00\x01\x02" * 100, "binary data"),
    "a zip archive": (b"PK\x03\x04" + bytes(50), "zip"),
    "parquet in disguise": (b"PAR1" + bytes(50), "named like CSV but holds Parquet"),
    "empty": (b"", "empty"),
    "ragged": (b"a,b,y\n1,2,3\n1,2\n", "Row #3"),
    "spaces": (b"a b y\n1 2 3\n4 5 6\n", "spaces"),
}


@pytest.mark.parametrize("name", BAD_FILES)
def test_a_file_that_is_no_table_is_refused(capsys, name):
    content, word = BAD_FILES[name]
    pathlib.Path("t.csv").write_bytes(content)
    assert word in refused(capsys, "fit", "t.csv", "--target", "y")


BAD_CALLS = {
    "a missing file": (["fit", "none.csv", "--target", "y"], "no such file"),
    "a folder": (["fit", ".", "--target", "y"], "folder"),
    "no target": (["fit", "t.csv"], "--target"),
    "no such option": (["fit", "t.csv", "--target", "y", "--fast"], "--fast"),
    "no such command": (["train", "t.csv"], "train"),
    "no such model": (["fit", "t.csv", "--target", "y", "--model", "svm"], "--model svm"),
    "a share of two": (["fit", "t.csv", "--target", "y", "--holdout", "2"], "--holdout 2"),
    "no time": (["fit", "t.csv", "--target", "y", "--max-seconds", "0"], "--max-seconds 0"),
    "a bad seed": (["fit", "t.csv", "--target", "y", "--seed", "-1"], "--seed -1"),
    "a folder to write to": (["fit", "t.csv", "--target", "y", "--out", "d"], "folder"),
    "no folder to write to": (["fit", "t.csv", "--target", "y", "--out", "x/m"], "cannot write"),
    "two files of one name": (
        ["fit", "t.csv", "--target", "y", "--out", "m", "--report", "m"], "both name",
    ),
    "the target twice": (["fit", "t.csv", "--target", "y", "--drop", "y"], "more than once"),
    "no such model file": (["predict", "m.adabasis", "t.csv"], "no such model file"),
    "a table for a model": (["predict", "t.csv", "t.csv"], "not a whole adabasis model"),
    "nothing to show": (["show", "m.adabasis"], "no such model file"),
}  # fmt: skip


@pytest.mark.parametrize("name", BAD_CALLS)
def test_a_call_that_cannot_be_meant_is_refused(capsys, name):
    tokens, word = BAD_CALLS[name]
    write(frame())
    os.mkdir("d")
    assert word in refused(capsys, *tokens)


@pytest.mark.parametrize("there", ["t.adabasis", "t.html"])
def test_files_are_overwritten_only_by_force(capsys, there):
    write(frame())
    pathlib.Path(there).write_text("precious")
    assert "--force" in refused(capsys, "fit", "t.csv", "--target", "y")
    assert pathlib.Path(there).read_text() == "precious"
    fitted(capsys, "--force")
    assert pathlib.Path(there).read_bytes() != b"precious"


GOOD_TABLES = {
    "one row": (frame(1), "too few distinct rows"),
    "two rows": (frame(2), "too few distinct rows"),
    "fewer rows than functions": (frame(12), "rank"),
    "a constant target": (frame().assign(y=2.5), "constant"),
    "a constant column": (frame().assign(c=1.0), "without influence: 'c'"),
    "a column twice": (frame().assign(c=lambda t: t["a"]), "Copies of other columns: 'c'"),
    "integers and booleans": (frame().assign(c=range(60), d=[True, False] * 30), "true/false: 'd'"),
    "units of 1e12": (frame().assign(a=lambda t: 1e12 * t["a"]), "Verdict"),
    "units of 1e-12": (frame() * 1e-12, "Verdict"),
}


@pytest.mark.parametrize("name", GOOD_TABLES)
def test_an_odd_table_is_fitted_and_remarked_on(capsys, name):
    table, words = GOOD_TABLES[name]
    write(table)
    assert words in fitted(capsys)
    predicted = adabasis.load("t.adabasis")(table.drop(columns="y").to_numpy(float))
    assert np.isfinite(predicted).all()


def test_a_table_of_other_columns_is_named(capsys):
    write(frame())
    fitted(capsys)
    write(frame().rename(columns={"b": "c"}), "new.csv")
    err = refused(capsys, "predict", "t.adabasis", "new.csv")
    assert "lacks columns the model was fitted to: 'b'" in err
    assert "does not know: 'c'" in err


def test_a_bad_row_late_in_the_table_leaves_no_predictions_behind(capsys):
    write(frame())
    fitted(capsys)
    write(spoiled(59, "a", np.nan), "new.csv")
    assert "row 60" in refused(capsys, "predict", "t.adabasis", "new.csv")


def test_an_interrupt_before_anything_is_found_writes_nothing(capsys, monkeypatch):
    def interrupted(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr("adabasis.commands.fit", interrupted)
    write(frame())
    code, _out, err = run(capsys, "fit", "t.csv", "--target", "y")
    assert code == 130
    assert "nothing was written" in err
    assert os.listdir() == ["t.csv"]


def test_an_unforeseen_failure_is_one_line_and_exit_code_1(capsys, monkeypatch):
    def broken(*_, **__):
        raise RuntimeError("out of luck")

    monkeypatch.setattr("adabasis.commands.fit", broken)
    write(frame())
    code, _out, err = run(capsys, "fit", "t.csv", "--target", "y")
    assert code == 1
    assert "out of luck" in err
    assert os.listdir() == ["t.csv"]


def test_doctor_finds_nothing_wrong_here(capsys):
    code, out, _ = run(capsys, "doctor")
    assert code == 0
    assert "Nothing is wrong" in out
    assert f"adabasis {adabasis.__version__}" in " ".join(out.split())


def test_a_home_that_cannot_be_written_is_no_error(capsys, monkeypatch):
    pathlib.Path("file").touch()
    monkeypatch.setenv("ADABASIS_CACHE", "file/cache")
    write(frame())
    fitted(capsys)


def started(*tokens):
    command = [sys.executable, "-m", "adabasis", *tokens]
    pipe = subprocess.PIPE
    return subprocess.Popen(command, stdout=pipe, stderr=pipe, text=True, start_new_session=True)


SLOW_FIT = ["fit", "t.csv", "--target", "y", "--model", "network"]


def rough(n=400):
    x = np.random.default_rng(0).uniform(0, 1, (n, 3))
    noise = np.random.default_rng(1).normal(size=n)
    return pd.DataFrame({"a": x[:, 0], "b": x[:, 1], "c": x[:, 2], "y": noise})


def test_ctrl_c_in_mid_fit_keeps_the_best_iterate():
    write(rough(2000))
    process = started(*SLOW_FIT)
    assert "step" in process.stderr.readline()
    os.killpg(process.pid, signal.SIGINT)
    out, err = process.communicate(timeout=120)
    assert process.returncode == 130, err
    assert "Interrupted" in out
    assert "Traceback" not in err
    assert sorted(os.listdir()) == ["t.adabasis", "t.csv"]
    assert np.isfinite(adabasis.load("t.adabasis")(rough()[["a", "b", "c"]].to_numpy())).all()


@pytest.mark.slow
def test_kill_at_any_moment_leaves_no_corrupt_file():
    write(rough(100))
    began = time.monotonic()
    process = started(*SLOW_FIT, "--max-seconds", "4")
    process.communicate()
    whole = time.monotonic() - began
    for moment in np.random.default_rng(0).uniform(0.2, 1.05, 10) * whole:
        process = started(*SLOW_FIT, "--max-seconds", "4", "--force")
        time.sleep(moment)
        process.kill()
        process.communicate()
        adabasis.load("t.adabasis")
        assert pathlib.Path("t.html").read_text().rstrip().endswith("</html>")


def test_help_is_light():
    code = "import sys; sys.argv = ['adabasis', '--help']; from adabasis.cli import main; main()"
    code += "; heavy = {'jax', 'sklearn', 'numpy', 'pyarrow', 'matplotlib', 'pandas'}"
    code += "; print(sorted(heavy & set(sys.modules)), file=sys.stderr)"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "predict" in out.stdout
    assert out.stderr.strip() == "[]"

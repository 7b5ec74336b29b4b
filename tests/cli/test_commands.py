"""The command line as a person meets it: what is asked for happens and is said."""

import json
import os
import pathlib
import subprocess
import sys

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.feather
import pytest

import adabasis

from .calls import FAST, fitted, frame, refused, reported, run, started, write

pytestmark = pytest.mark.plain_scope


def test_fit_writes_a_model_and_a_report_and_says_how_good_it_is(capsys):
    write(frame())
    out = reported(capsys)
    for words in ("t.csv: CSV, comma-delimited", "60 rows, 3 columns", "numbers: 'a', 'b'"):
        assert words in out
    for words in ("this model", "gradient boosting", "linear model", "constant", "Verdict:"):
        assert words in out
    assert "again with all 60 rows" in out
    assert "Stopped: one least-squares solve" in out
    assert "rank" in out
    assert "adabasis predict t.adabasis" in out
    assert max(map(len, out.splitlines())) <= 80
    assert sorted(os.listdir()) == ["t.adabasis", "t.csv", "t.html"]
    model = adabasis.load("t.adabasis")
    assert model.record.provenance["command"].startswith("adabasis fit t.csv --target y")
    x = frame()[["a", "b"]].to_numpy()
    assert np.abs(model(x) - frame()["y"]).max() < 1e-3
    assert "<script src" not in pathlib.Path("t.html").read_text()


def test_pieces_are_found_on_request(capsys):
    table = frame()
    write(table.assign(y=np.where(table["a"] < table["a"].median(), table["b"], 3.0)))
    asked = ("--model", "pounet", "--n-partitions", "2", "--degree", "1")
    code, out, _ = run(capsys, "fit", "t.csv", "--target", "y", *asked)
    assert code == 0
    assert "polynomials of degree 1 on 2 parts" in out
    asked = adabasis.load("t.adabasis").record.asked
    assert (asked.method, asked.n_partitions, asked.degree) == ("pounet", 2, 1)
    assert ">Partitions</h2>" in pathlib.Path("t.html").read_text("utf-8")


def test_predict_gives_the_models_values_whatever_the_order_of_columns(capsys):
    write(frame())
    fitted(capsys)
    new = frame(17, seed=1)
    write(new[["b", "a"]].assign(c=1.0), "new.csv")
    code, out, _ = run(capsys, "predict", "t.adabasis", "new.csv")
    assert code == 0
    assert "17 rows predicted, in the order of new.csv" in out
    assert "columns not used: 'c'" in out
    predicted = pd.read_csv("new-predictions.csv")
    model = adabasis.load("t.adabasis")
    np.testing.assert_array_equal(predicted["y"], model(new[["a", "b"]].to_numpy()))


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
    document = json.loads(reported(capsys, "--json"))
    assert document["written"] == ["t.adabasis", "t.html"]
    assert document["verdict"]["scores"][0]["name"] == "this model"
    assert fitted(capsys, "--quiet", "--force") == ""
    assert json.loads(fitted(capsys, "--json", "--force"))["written"] == ["t.adabasis"]
    code, out, _ = run(capsys, "show", "t.adabasis", "--json")
    assert code == 0
    assert json.loads(out)["inputs"] == ["a", "b"]


def test_show_says_what_a_model_is_and_how_it_was_made(capsys):
    write(frame())
    fitted(capsys)
    code, out, _ = run(capsys, "show", "t.adabasis")
    assert code == 0
    for words in ("Gaussians at", "rank", "Verdict", "SHA-256", "command: adabasis fit t.csv"):
        assert words in out
    assert "[]" not in out  # nothing was assumed


def test_several_targets_weights_and_dropped_columns(capsys):
    write(frame().assign(z=lambda t: t["a"] * t["b"], w=1.0, name="x"))
    code, out, _ = run(
        capsys, "fit", "t.csv", "--target", "y", "--target", "z", "--weight", "w",
        "--drop", "name", "--no-report", *FAST,
    )  # fmt: skip
    assert code == 0
    for words in ("to predict: 'y', 'z'", "weights: 'w'", "left out: 'name'"):
        assert words in out
    assert run(capsys, "predict", "t.adabasis", "t.csv")[0] == 0
    assert list(pd.read_csv("t-predictions.csv").columns) == ["y", "z", "outside", "support"]


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


def test_doctor_finds_nothing_wrong_here(capsys):
    code, out, _ = run(capsys, "doctor")
    assert code == 0
    assert "Nothing is wrong" in out
    assert f"adabasis {adabasis.__version__}" in " ".join(out.split())


def test_a_home_that_cannot_be_written_is_no_error(monkeypatch):
    pathlib.Path("file").touch()
    monkeypatch.delenv("ADABASIS_CACHE")
    monkeypatch.setenv("HOME", "file")
    monkeypatch.setenv("XDG_CACHE_HOME", "")
    write(frame())
    process = started("fit", "t.csv", "--target", "y", *FAST, "--holdout", "0")
    out, err = process.communicate(timeout=300)
    assert process.returncode == 0, err
    assert "Written" in out
    process = started("doctor")
    out, err = process.communicate(timeout=300)
    assert process.returncode == 0, err
    assert "set ADABASIS_CACHE" in out


def test_compiled_code_is_kept_for_the_next_command(monkeypatch, tmp_path):
    monkeypatch.setenv("ADABASIS_CACHE", str(tmp_path / "kept"))
    write(frame())
    process = started(
        "fit", "t.csv", "--target", "y", *FAST, "--quiet", "--no-report", "--holdout", "0"
    )
    assert process.communicate(timeout=300) == ("", "")
    assert process.returncode == 0
    assert os.listdir("kept")


def test_help_is_light():
    code = "import sys; sys.argv = ['adabasis', '--help']; from adabasis.cli import main; main()"
    code += "; heavy = {'jax', 'sklearn', 'numpy', 'pyarrow', 'matplotlib', 'pandas'}"
    code += "; print(sorted(heavy & set(sys.modules)), file=sys.stderr)"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "predict" in out.stdout
    assert out.stderr.strip() == "[]"


def test_out_and_report_name_the_files_in_other_folders(capsys):
    os.mkdir("d")
    write(frame())
    out = reported(capsys, "--out", "d/m.model", "--report", "d/page.htm")
    assert "d/m.model" in out
    assert sorted(os.listdir("d")) == ["m.model", "page.htm"]
    assert sorted(os.listdir()) == ["d", "t.csv"]
    assert run(capsys, "predict", "d/m.model", "t.csv", "--out", "d/p.csv")[0] == 0
    assert len(pd.read_csv("d/p.csv")) == 60


def test_weights_count_and_are_no_input(capsys):
    table = frame()
    wrong = table.assign(y=table["y"] + 1e3)
    table = pd.concat([table.assign(w=1.0), wrong[::7].assign(w=0.0)])
    write(table)
    assert "9 rows of weight 0 left out" in fitted(capsys, "--weight", "w")
    model = adabasis.load("t.adabasis")
    assert model.record.input_names == ("a", "b")
    assert np.abs(model(frame()[["a", "b"]].to_numpy()) - frame()["y"]).max() < 1e-2


def test_a_seed_gives_the_same_model_again_and_another_one_another(capsys):
    write(frame())
    models = []
    for option, seed in (("--random-state", 3), ("--seed", 3), ("--random-state", 4)):
        fitted(capsys, option, seed, "--force")
        models.append(adabasis.load("t.adabasis"))
    assert np.array_equal(models[0].coefficients, models[1].coefficients)
    assert models[0].coefficients.shape != models[2].coefficients.shape or not np.array_equal(
        models[0].coefficients, models[2].coefficients
    )


def test_options_of_the_search_are_handed_on_by_their_names_in_python(capsys):
    write(frame())
    asked = ("--ridge", "1e-3", "--validation", "0.3", "--max-steps", "3", "--tol", "1e-4")
    fitted(capsys, *asked, "--n-restarts", "2")
    asked = adabasis.load("t.adabasis").record.asked
    assert (asked.ridge, asked.validation, asked.max_steps) == (1e-3, 0.3, 3)
    assert (asked.tol, asked.n_restarts) == (1e-4, 2)


def test_a_networks_time_is_limited_and_the_verdict_says_so(capsys):
    write(frame().assign(y=lambda t: t["y"] + np.random.default_rng(1).normal(size=len(t))))
    code, out, _ = run(
        capsys, "fit", "t.csv", "--target", "y", "--model", "network", "--max-seconds", "1e-3"
    )
    assert code == 0
    assert "network of " in out
    assert "Stopped: time budget used up" in out
    assert "Give it more time" in out


def test_without_held_out_rows_there_is_no_verdict(capsys):
    write(frame())
    assert "No verdict: --holdout 0" in fitted(capsys, "--holdout", "0")
    assert "Verdict: " not in run(capsys, "show", "t.adabasis")[1]
    fitted(capsys, "--holdout", "0.5", "--force")
    assert adabasis.load("t.adabasis").record.verdict["rows_held_out"] == 30


def test_names_are_printed_as_they_are_and_lines_stay_short(capsys):
    names = ["[red]a[/red]", "b" * 70]
    write(frame().set_axis([*names, "y"], axis=1))
    out = fitted(capsys)
    assert "'[red]a[/red]'" in out
    out = run(capsys, "show", "t.adabasis")[1]
    assert "[red]a[/red]" in out


def test_predictions_are_overwritten_only_by_force(capsys):
    write(frame())
    fitted(capsys)
    pathlib.Path("t-predictions.csv").write_text("precious")
    assert "--force" in refused(capsys, "predict", "t.adabasis", "t.csv")
    assert pathlib.Path("t-predictions.csv").read_text() == "precious"
    assert run(capsys, "predict", "t.adabasis", "t.csv", "--force", "--json")[0] == 0
    assert len(pd.read_csv("t-predictions.csv")) == 60


@pytest.mark.parametrize("kind", ["csv", "parquet", "feather"])
def test_many_batches_give_what_one_gives(capsys, kind):
    write(frame())
    fitted(capsys)
    new = frame(100_000, seed=1)
    if kind == "csv":
        write(new, "new.csv")
    elif kind == "parquet":
        new.to_parquet("new.parquet")
    else:
        pyarrow.feather.write_feather(pa.table(new), "new.feather")
    assert run(capsys, "predict", "t.adabasis", f"new.{kind}", "--quiet") == (0, "", "")
    x = new[["a", "b"]].to_numpy()
    predicted = pd.read_csv("new-predictions.csv")["y"]
    # Gaussians are mixed with numbers of up to 3e7; chunks of other sizes round otherwise.
    np.testing.assert_allclose(predicted, adabasis.load("t.adabasis")(x), rtol=1e-8)


MEMORY = """
import sys
from adabasis.cli import main
assert main(sys.argv[1:]) == 0
print(next(line.split()[1] for line in open("/proc/self/status") if line.startswith("VmHWM")))
"""


@pytest.mark.slow
@pytest.mark.skipif(not os.path.exists("/proc/self/status"), reason="reads Linux's own numbers")
def test_ten_times_the_rows_take_no_more_memory(capsys):
    """The larger table alone would be 160 MB of numbers."""
    write(frame())
    fitted(capsys)
    peaks = []
    for n in (10**6, 10**7):
        write(pd.concat([frame(10**6, seed=1)] * (n // 10**6)), "new.csv", float_format="%.4f")
        tokens = ["predict", "t.adabasis", "new.csv", "--quiet", "--force"]
        command = [sys.executable, "-c", MEMORY, *tokens]
        out = subprocess.run(command, capture_output=True, text=True, check=True).stdout
        peaks.append(int(out) / 1024)  # megabytes
    assert peaks[1] < peaks[0] + 50, peaks

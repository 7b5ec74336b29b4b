"""Several files as one table, and tables that are read chunk by chunk, on the command line."""

import json

import numpy as np
import pandas as pd
import pytest

from adabasis.cli import streams
from adabasis.cli.tables import stem

from .calls import FAST, frame, refused, run


@pytest.fixture
def parts(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    table = frame(120)
    for k in range(3):
        table[40 * k : 40 * k + 40].to_parquet(f"part-{k}.parquet", index=False)
    return table


@pytest.mark.parametrize("given", ["part-*.parquet", "."])
def test_a_pattern_or_a_folder_is_one_table(capsys, parts, given):
    more = [*FAST, "--no-report", "--out", "m.adabasis"]
    code, out, err = run(capsys, "fit", given, "--target", "y", *more)
    assert code == 0, err
    assert "3 files" in out
    assert "120 rows" in out
    code, out, err = run(capsys, "predict", "m.adabasis", "part-*.parquet", "--out", "p.parquet")
    assert code == 0, err
    predicted = pd.read_parquet("p.parquet")["y"]
    assert np.corrcoef(predicted, parts["y"])[0, 1] > 0.99


def test_rows_are_read_chunk_by_chunk(capsys, parts, monkeypatch):
    monkeypatch.setattr("adabasis.regression.streamed.SAMPLE_ROWS", 60)
    asked = ["--target", "y", "--stream", "--max-steps", "0", "--json"]
    code, out, err = run(capsys, "fit", "part-*.parquet", *asked)
    assert code == 0, err
    found = json.loads(out)
    assert found["written"] == ["part.adabasis", "part.html"]
    assert any("were read chunk by chunk" in note for note in found["notes"])
    assert found["provenance"]["rows"] == 120
    assert found["verdict"]["kind"] == "held out"
    code, out, _ = run(capsys, "predict", "part.adabasis", "part-1.parquet")
    assert code == 0
    assert "40 rows predicted" in out


@pytest.mark.parametrize(
    ("kind", "basis"), [("frozen", "GaussianKernels"), ("pounet", "PartitionBasis")]
)
def test_models_of_a_kind_are_read_chunk_by_chunk(capsys, parts, monkeypatch, kind, basis):
    monkeypatch.setattr("adabasis.regression.streamed.SAMPLE_ROWS", 60)
    asked = ["--target", "y", "--stream", "--max-steps", "0", "--json", "--model", kind]
    code, out, err = run(capsys, "fit", "part-*.parquet", "--no-report", *asked)
    assert code == 0, err
    assert basis in json.loads(out)["basis"]


def test_classes_are_read_chunk_by_chunk(capsys, parts, monkeypatch):
    monkeypatch.setattr("adabasis.regression.streamed.SAMPLE_ROWS", 60)
    for k in range(3):
        some = parts[40 * k : 40 * k + 40].copy()
        some["high"] = np.where(some.pop("y") > parts["y"].median(), "high", "low")
        some.to_parquet(f"part-{k}.parquet", index=False)
    asked = ["--target", "high", "--stream", "--max-steps", "0", "--json"]
    code, out, err = run(capsys, "fit", "part-*.parquet", *asked)
    assert code == 0, err
    found = json.loads(out)
    assert found["classes"] == ["high", "low"]
    assert any("were read chunk by chunk" in note for note in found["notes"])
    code, out, err = run(capsys, "predict", "part.adabasis", "part-1.parquet", "--out", "p.csv")
    assert code == 0, err
    truth = pd.read_parquet("part-1.parquet")["high"]
    assert (pd.read_csv("p.csv")["high"] == truth).mean() > 0.8


def test_a_large_table_is_read_so_without_being_asked(capsys, parts, monkeypatch):
    monkeypatch.setattr(streams, "MANY_ROWS", 100)
    err = refused(capsys, "fit", "part-*.parquet", "--target", "y", "--tol", "1e-3")
    assert "--tol: not where a table is read chunk by chunk (more than 100 rows" in err
    monkeypatch.setattr(streams, "MANY_BYTES", 100)
    parts.to_csv("t.csv", index=False)
    err = refused(capsys, "fit", "t.csv", "--target", "y", "--classify", "--loss", "huber")
    assert "--loss: not where a table is read chunk by chunk" in err


def test_gaps_name_file_and_row(capsys, parts):
    table = pd.read_parquet("part-1.parquet")
    table.loc[7, "a"] = np.nan
    table.to_parquet("part-1.parquet", index=False)
    err = refused(capsys, "fit", "part-*.parquet", "--target", "y", "--stream")
    assert "'a' (1, the first in row 8 of part-1.parquet): fill them or --impute" in " ".join(
        err.split()
    )
    err = refused(capsys, "fit", "q-*.parquet", "--target", "y")
    assert "q-*.parquet: no file has such a name" in err


@pytest.mark.parametrize(("table", "name"), [
    ("part-*.parquet", "part"), ("d/2026-[01]*.csv.gz", "2026"), ("d/*.csv", "d"),
    ("*.csv", "table"), ("wells.csv.gz", "wells"), ("a.db::SELECT *", "a"),
])  # fmt: skip
def test_files_are_called_after_what_a_pattern_says(table, name):
    assert stem(table) == name


def test_models_of_a_folder_are_named_after_it(tmp_path, monkeypatch):
    folder = tmp_path / "wells.2026"
    (folder / "more").mkdir(parents=True)
    monkeypatch.chdir(folder / "more")
    assert [stem(name) for name in (".", "..", "../more")] == ["more", "wells.2026", "more"]
    assert stem("/") == "table"

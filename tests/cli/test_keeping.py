"""Columns of the table beside its predictions: ids as they are written, inputs, or all."""

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest

import adabasis

from .calls import FAST, frame, refused, run, write


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("keeping")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(path)
        write(frame())
        from adabasis.cli import main

        assert main(["fit", "t.csv", "--target", "y", *FAST, "--no-report", "--quiet"]) == 0
        rows = frame(20, seed=1)
        rows.insert(0, "id", [f"00{i}" for i in range(20)])
        rows["note"] = ["", "3"] * 10
        write(rows, "new.csv")
        rows.to_parquet("new.parquet")
    return path


@pytest.fixture(autouse=True)
def inside(folder, monkeypatch):
    monkeypatch.chdir(folder)


def predicted(capsys, *options, table="new.csv", out="p.csv"):
    code, said, err = run(capsys, "predict", "t.adabasis", table, "--out", out, "--force", *options)
    assert code == 0, err
    return said


def test_ids_stay_as_they_are_written(capsys):
    predicted(capsys, "--keep", "id", "--keep", "note")
    found = pd.read_csv("p.csv", dtype=str, keep_default_na=False)
    assert list(found) == ["id", "note", "y", "outside", "support"]
    assert found["id"].tolist() == [f"00{i}" for i in range(20)]
    assert found["note"].tolist() == ["", "3"] * 10
    x = frame(20, seed=1)[["a", "b"]].to_numpy()
    truth = adabasis.load("t.adabasis")(x)
    np.testing.assert_allclose(found["y"].astype(float), truth, rtol=1e-9)


@pytest.mark.parametrize(("words", "names"), [
    (["inputs"], ["a", "b"]),
    (["all"], ["id", "a", "b", "y (given)", "note"]),
    (["b", "inputs", "b"], ["b", "a"]),
])  # fmt: skip
def test_words_for_several_columns(capsys, words, names):
    predicted(capsys, *(token for word in words for token in ("--keep", word)))
    found = pd.read_csv("p.csv")
    assert list(found) == [*names, "y", "outside", "support"]
    np.testing.assert_allclose(found["a"], frame(20, seed=1)["a"], rtol=1e-15)


def test_a_parquet_file_keeps_its_types(capsys):
    predicted(capsys, "--keep", "all", table="new.parquet", out="p.parquet")
    kinds = {field.name: str(field.type) for field in pq.read_schema("p.parquet")}
    assert kinds["a"] == "double"
    assert kinds["id"] == "string"


def test_a_column_that_is_not_there_is_refused_with_those_that_are(capsys):
    err = refused(capsys, "predict", "t.adabasis", "new.csv", "--out", "q.csv", "--keep", "well")
    assert "--keep well" in err
    assert "'inputs' keeps those the model uses" in " ".join(err.split())
    assert "note" in err

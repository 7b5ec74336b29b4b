"""Intervals of numbers on the command line, and what is known of errors."""

import dataclasses
import json

import numpy as np
import pandas as pd
import pytest

import adabasis as ab

from .calls import FAST, frame, refused, run, write


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """Return the path of a model of noisy rows, and what fitting it said."""
    folder = tmp_path_factory.mktemp("intervals")
    table = frame(200)
    table["y"] += np.random.default_rng(1).normal(0, 0.05, 200)
    table.to_csv(folder / "t.csv", index=False)
    from adabasis.cli import main

    out = folder / "m.adabasis"
    tokens = ["fit", str(folder / "t.csv"), "--target", "y", *FAST]
    assert main([*tokens, "--out", str(out), "--report", str(folder / "r.html"), "--quiet"]) == 0
    return out


def test_bounds_are_columns_that_hold_new_values(capsys, model, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    new = frame(300, 7)
    new["y"] += np.random.default_rng(2).normal(0, 0.05, 300)
    write(new, "new.csv")
    _, out, _ = run(capsys, "predict", model, "new.csv", "--interval", "90")
    assert "split-conformal, from 40 rows" in " ".join(out.split())
    found = pd.read_csv("new-predictions.csv")
    assert list(found.columns) == ["y", "y lower 90 %", "y upper 90 %", "outside", "support"]
    held = (found["y lower 90 %"] <= new["y"]) & (new["y"] <= found["y upper 90 %"])
    assert 0.78 < held.mean() < 0.99
    expected = ab.load(model).predict_interval(new[["a", "b"]].to_numpy(), 0.9)
    np.testing.assert_allclose(found["y upper 90 %"], expected.upper)


def test_too_few_rows_for_a_coverage_are_told(capsys, model, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write(frame(20, 7), "new.csv")
    _, out, _ = run(capsys, "predict", model, "new.csv", "--interval", "99")
    assert "at least 99 rows" in " ".join(out.split())
    assert np.isinf(pd.read_csv("new-predictions.csv")["y lower 99 %"]).all()


def test_a_share_is_translated_and_an_older_file_refused(capsys, model, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write(frame(20, 7), "new.csv")
    assert "write 90" in refused(capsys, "predict", model, "new.csv", "--interval", "0.9")
    dataclasses.replace(ab.load(model), error_model=None).save("old.adabasis")
    said = refused(capsys, "predict", "old.adabasis", "new.csv", "--interval", "90")
    assert "does not know its errors" in said


def test_what_is_known_of_errors_is_in_the_report_in_show_and_in_json(capsys, model):
    page = (model.parent / "r.html").read_text("utf-8")
    assert "How far to trust it" in page
    _, out, _ = run(capsys, "show", model)
    assert "How far to trust it:" in out
    found = json.loads(run(capsys, "show", model, "--json")[1])
    assert 0.03 < found["trust"]["noise"][0] < 0.08
    assert found["trust"]["next_step"]
    assert found["candidates"][0]["what"]

"""Predictions of classes with sets of labels."""

import json

import numpy as np
import pandas as pd
import pytest

from .calls import FAST, fitted, frame, refused, run, write


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return tmp_path_factory.mktemp("models") / "c.adabasis"


@pytest.fixture
def classes(capsys, model):
    """A model of noisy classes, fitted once, and a table to predict."""
    table = frame(200)
    noise = np.random.default_rng(1).normal(0, 0.3, 200)
    table["kind"] = np.where(table["y"] + noise > 1, "hot", "cold")
    if not model.exists():
        write(table.drop(columns="y"))
        options = ["--target", "kind", *FAST, "--no-report", "--out", model]
        assert run(capsys, "fit", "t.csv", *options)[0] == 0
    write(table.drop(columns=["y", "kind"]), "new.csv")
    return model


def test_a_column_holds_the_labels_of_the_set(capsys, classes):
    code, _, err = run(capsys, "predict", classes, "new.csv", "--interval", "90")
    assert (code, err) == (0, "")
    found = pd.read_csv("new-predictions.csv")
    assert set(found["kind set 90 %"]) == {"cold", "hot", "cold | hot"}
    sure = found[["kind = cold", "kind = hot"]].max(axis=1)
    several = found["kind set 90 %"] == "cold | hot"
    assert sure[several].max() < sure[~several].min() + 0.2
    run(capsys, "predict", classes, "new.csv", "--force")
    assert "kind set 90 %" not in pd.read_csv("new-predictions.csv")


def test_too_few_rows_are_told(capsys, classes):
    out = " ".join(run(capsys, "predict", classes, "new.csv", "--interval", "99.9")[1].split())
    assert "--interval 99.9: every label in every set" in out
    assert "at least 999 rows" in out
    assert (pd.read_csv("new-predictions.csv")["kind set 99.9 %"] == "cold | hot").all()


@pytest.mark.parametrize("percent", ["0.9", "100", "-5"])
def test_an_interval_is_per_cent(capsys, classes, percent):
    assert "per cent" in refused(capsys, "predict", classes, "new.csv", "--interval", percent)


def test_how_reliable_probabilities_are_is_shown(capsys, classes):
    assert "Labels: probabilities are off by" in " ".join(run(capsys, "show", classes)[1].split())
    found = json.loads(run(capsys, "show", classes, "--json")[1])["reliability"]
    assert 0 < found["error"] < 0.3
    write(frame(30))
    fitted(capsys)
    assert json.loads(run(capsys, "show", "t.adabasis", "--json")[1])["reliability"] is None

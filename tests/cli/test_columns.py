"""Columns of a table that are no plain numbers: codes, categories, dates, from fit to predict."""

import json

import numpy as np
import pandas as pd

import adabasis
from adabasis.tables import Preparation

from .calls import fitted, refused, run, write

RNG = np.random.default_rng(0)
N = 240
TOWN = RNG.integers(0, 20, N)
MACHINE = RNG.integers(1, 9, N)
OF_TOWN, OF_MACHINE = RNG.normal(size=20), RNG.normal(size=9)


def table():
    days = pd.date_range("2019-01-01", periods=N, freq="5D")
    a = RNG.uniform(size=N)
    return pd.DataFrame(
        {
            "a": a,
            "town": [f"town {i}" for i in TOWN],
            "machine": MACHINE,
            "day": days,
            "y": a + OF_TOWN[TOWN] + OF_MACHINE[MACHINE] + np.cos(days.day_of_year / 58),
        }
    )


def test_dates_codes_and_many_categories_are_learned_told_and_stored(capsys):
    rows = table()
    write(rows)
    assert "--encode" in refused(capsys, "fit", "t.csv", "--target", "y")
    out = " ".join(fitted(capsys, "--encode").split())
    for words in (
        "dates: 'day'", "numbers that are codes: 'machine'", "'town' has 20 categories",
        "each is told by the mean of the target", "8 whole numbers whose order says nothing",
        "days since 2019-01-01, cos of year, sin of year",
    ):  # fmt: skip
        assert words in out
    model = adabasis.load("t.adabasis")
    assert model.record.input_names[:2] == ("a", "town (mean of y)")
    assert model.n_inputs == 2 + 8 + 3
    new = rows[:5].copy()
    new.loc[1, "town"], new.loc[2, "machine"] = "elsewhere", 99
    new.loc[3, "day"] = pd.Timestamp("2030-01-01 12:30")
    write(new, "new.csv")
    assert run(capsys, "predict", "t.adabasis", "new.csv")[0] == 0
    predicted = pd.read_csv("new-predictions.csv")
    assert predicted["outside"].tolist() == [0, 1, 1, 1, 0]
    # The same file prepares frames in Python.
    preparation = Preparation.from_json(model.record.preparation)
    read = new.astype({"day": "datetime64[us]"}).drop(columns="y")
    np.testing.assert_allclose(model(preparation.transform(read)), predicted["y"], rtol=1e-12)


def test_what_a_column_of_whole_numbers_is_can_be_said(capsys):
    write(table().drop(columns=["town", "day"]))
    document = json.loads(fitted(capsys, "--numeric", "machine", "--json"))
    assert document["inputs"] == ["a", "machine"]
    document = json.loads(fitted(capsys, "--categorical", "machine", "--json", "--force"))
    assert document["inputs"] == ["a", *(f"machine = {i}" for i in range(1, 9))]


def test_the_rows_held_out_know_nothing_of_their_own_target(capsys):
    """Categories that say nothing: held-out rows must not look told by them."""
    noise = pd.DataFrame({"a": RNG.uniform(size=N), "y": RNG.normal(size=N)})
    write(noise.assign(kind=[f"k{i}" for i in RNG.permutation(np.arange(N) % 80)]))
    document = json.loads(fitted(capsys, "--encode", "--json"))
    assert document["validation_error"] > 0.9

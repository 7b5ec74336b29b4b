"""Two model files compared on a table."""

import json

import pytest

from .calls import fitted, frame, refused, run, write


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    return tmp_path_factory.mktemp("models")


@pytest.fixture
def pair(capsys, models):
    """Two models of one table, fitted once."""
    paths = models / "one.adabasis", models / "two.adabasis"
    if not paths[0].exists():
        write(frame(80))
        fitted(capsys, "--out", paths[0])
        fitted(capsys, "--drop", "b", "--out", paths[1])
    return paths


def test_new_rows_tell_which_errs_less(capsys, pair):
    write(frame(100, seed=1), "new.csv")
    code, out, err = run(capsys, "compare", *pair, "new.csv")
    assert (code, err) == (0, "")
    assert " ".join(out.split()).startswith("one errs less than two on 100 rows: RMSE ")
    code, out, _ = run(capsys, "compare", *pair[::-1], "new.csv", "--json")
    found = json.loads(out)
    assert (found["better"], found["main"]["better"]) == ("one", "b")


def test_the_table_of_the_fit_tells_nothing(capsys, pair):
    write(frame(80))
    assert "Nothing is told of new rows: all" in run(capsys, "compare", *pair, "t.csv")[1]
    write(frame(80).iloc[:40], "half.csv")  # another file with some of the rows
    assert "Nothing is told of new rows: all" in run(capsys, "compare", *pair, "half.csv")[1]


def test_rows_without_a_target_are_left_out(capsys, pair):
    table = frame(100, seed=1)
    table.loc[:9, "y"] = None
    write(table, "new.csv")
    out = run(capsys, "compare", *pair, "new.csv")[1]
    assert "10 rows without a target left out" in out
    assert "on 90 rows" in out


def test_what_cannot_be_compared_is_told(capsys, pair):
    write(frame(20, seed=2).drop(columns="y"), "bare.csv")
    assert "lacks 'y'" in refused(capsys, "compare", *pair, "bare.csv")
    write(frame(20, seed=2), "new.csv")
    assert "--level 2" in refused(capsys, "compare", *pair, "new.csv", "--level", "2")
    assert "The table comes last" in refused(capsys, "compare", "new.csv", *pair)
    assert "no such column" in refused(capsys, "compare", *pair, "new.csv", "--group", "run")
    write(frame(20, seed=2).assign(run=1), "one.csv")
    assert "one group" in refused(capsys, "compare", *pair, "one.csv", "--group", "run")

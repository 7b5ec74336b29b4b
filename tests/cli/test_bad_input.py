"""Bad input: exit code 2, a message of one screen with place and mend, nothing written or lost."""

import os
import pathlib

import numpy as np
import pytest

import adabasis

from .calls import fitted, frame, refused, reported, run, spoiled, write

pytestmark = pytest.mark.plain_scope

BAD_TABLES = {
    "the target is not there": (frame().drop(columns="y"), "--target 'y'", "'a', 'b'"),
    "the target in other letters": (frame().rename(columns={"y": "Yield"}), "--target 'y'"),
    "numbers with units": (frame().assign(a="1.5 m"), "'1.5 m'", "plain numbers"),
    "thousands or decimals": (frame().astype(int).assign(a="1,234"), "point if it is 1234"),
    "dates to predict": (frame().assign(y="2020-01-31"), "--target 'y'", "dates"),
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
    "another delimiter": (b"a:b:y\n1:2:3\n4:5:6\n", "No other delimiter is known"),
    "no header": (b"1,2,3\n4,5,6\n", "first line must name the columns"),
    "text in UTF-16": ("a,b,y\n1,2,3\n".encode("utf-16"), "UTF-16"),
    "spaces": (b"a b y\n1 2 3\n4 5\n", "spaces"),
}


@pytest.mark.parametrize("name", BAD_FILES)
def test_a_file_that_is_no_table_is_refused(capsys, name):
    content, word = BAD_FILES[name]
    pathlib.Path("t.csv").write_bytes(content)
    assert word in refused(capsys, "fit", "t.csv", "--target", "y")


BAD_CALLS = {
    "a missing file": (["fit", "none.csv", "--target", "y"], "no such file"),
    "a folder without tables": (["fit", "d", "--target", "y"], "no table in this folder"),
    "no target": (["fit", "t.csv"], "The columns of t.csv: 'a', 'b', 'y'"),
    "the target's name in capitals": (["fit", "t.csv", "--target", "Y"], "Did you mean 'y'?"),
    "no such weight": (["fit", "t.csv", "--target", "y", "--weight", "w"], "--weight 'w'"),
    "nothing to drop": (["fit", "t.csv", "--target", "y", "--drop", "c"], "--drop 'c'"),
    "a word for a number": (["fit", "t.csv", "--target", "y", "--holdout", "x"], "--holdout"),
    "no table": (["fit"], "TABLE"),
    "the model last": (["predict", "t.csv", "m.adabasis"], "The model comes first"),
    "no such option": (["fit", "t.csv", "--target", "y", "--faster"], "--faster"),
    "fast frozen": (["fit", "t.csv", "--target", "y", "--fast", "--model", "frozen"], "--fast"),
    "no such command": (["train", "t.csv"], "train"),
    "no such model": (["fit", "t.csv", "--target", "y", "--model", "svm"], "--model svm"),
    "a share of two": (["fit", "t.csv", "--target", "y", "--holdout", "2"], "--holdout 2"),
    "no time": (["fit", "t.csv", "--target", "y", "--max-seconds", "0"], "--max-seconds 0"),
    "a bad seed": (["fit", "t.csv", "--target", "y", "--seed", "-1"], "--random-state -1"),
    "a bad state": (["fit", "t.csv", "--target", "y", "--random-state", "-1"], "-1: expected a"),
    "no share": (["fit", "t.csv", "--target", "y", "--validation", "1"], "--validation 1"),
    "a negative ridge": (["fit", "t.csv", "--target", "y", "--ridge", "-1"], "--ridge -1"),
    "no restarts": (["fit", "t.csv", "--target", "y", "--n-restarts", "0"], "--n-restarts 0"),
    "negative steps": (["fit", "t.csv", "--target", "y", "--max-steps", "-1"], "--max-steps -1"),
    "a folder to write to": (["fit", "t.csv", "--target", "y", "--out", "d"], "folder"),
    "no folder to write to": (["fit", "t.csv", "--target", "y", "--out", "x/m"], "cannot write"),
    "two files of one name": (
        ["fit", "t.csv", "--target", "y", "--out", "m", "--report", "m"], "both name",
    ),
    "a report and none": (
        ["fit", "t.csv", "--target", "y", "--report", "r", "--no-report"], "exclude each other",
    ),
    "the target twice": (
        ["fit", "t.csv", "--target", "y", "--drop", "y"],
        "is named by --target and --drop",
    ),
    "the target for a weight": (
        ["fit", "t.csv", "--target", "y", "--weight", "y"], "is named by --target and --weight",
    ),
    "a column twice": (["fit", "t.csv", "--target", "y", "--target", "y"], "named twice by"),
    "no such model file": (["predict", "m.adabasis", "t.csv"], "no such model file"),
    "a table for a model": (["predict", "t.csv", "t.csv"], "nor the begin of one"),
    "a table to show": (["show", "t.csv"], "adabasis fit TABLE --target COLUMN"),
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
    reported(capsys, "--force")
    assert pathlib.Path(there).read_bytes() != b"precious"


GOOD_TABLES = {
    "one row": (frame(1), "too few distinct rows"),
    "two rows": (frame(2), "too few distinct rows"),
    "fewer rows than functions": (frame(12), "rank"),
    "a constant target": (frame().assign(y=2.5), "constant"),
    "a constant column": (frame().assign(c=1.0), "without influence: 'c'"),
    "a numbering": (frame().assign(c=range(60)), "Only numbers the rows, it seems: 'c'"),
    "a column twice": (frame().assign(c=lambda t: t["a"]), "Copies of other columns: 'c'"),
    "integers and booleans": (frame().assign(c=range(60), d=[True, False] * 30), "true/false: 'd'"),
    "units of 1e12": (frame().assign(a=lambda t: 1e12 * t["a"]), "Verdict"),
    "a bar for delimiter": (frame(), "bar-delimited", {"sep": "|"}),
    "a decimal comma": (frame(), "decimal comma", {"sep": ";", "decimal": ","}),
    "old encodings": (frame().assign(ä=lambda t: t["a"] ** 2), "latin-1", {"encoding": "latin-1"}),
    "units of 1e-12": (frame() * 1e-12, "Verdict"),
}


def test_an_outlier_with_entries_filled_in_says_so(capsys):
    table = spoiled(5, "a", "-")
    table.loc[5, "y"] = 500
    write(table)
    said = " ".join(reported(capsys, "--impute", "--no-report").split())
    assert "row 6 (with 'a' filled in): 500 where" in said


@pytest.mark.parametrize("name", GOOD_TABLES)
def test_an_odd_table_is_fitted_and_remarked_on(capsys, name):
    table, words, options = *GOOD_TABLES[name][:2], dict(*GOOD_TABLES[name][2:])
    write(table, **options)
    assert words in reported(capsys)
    predicted = adabasis.load("t.adabasis")(table.drop(columns="y").to_numpy(float))
    assert np.isfinite(predicted).all()


def test_a_table_of_other_columns_is_named(capsys):
    write(frame())
    fitted(capsys)
    assert "cannot write" in refused(capsys, "predict", "t.adabasis", "t.csv", "--out", "x/p.csv")
    write(frame().rename(columns={"b": "c"}), "new.csv")
    err = refused(capsys, "predict", "t.adabasis", "new.csv")
    assert "lacks columns the model was fitted to: 'b'" in err
    assert "does not know: 'c'" in err


def test_a_bad_row_late_in_the_table_leaves_no_predictions_behind(capsys):
    write(frame())
    fitted(capsys)
    write(spoiled(59, "a", np.nan), "new.csv")
    assert "row 60" in refused(capsys, "predict", "t.adabasis", "new.csv")


def test_one_screen_is_enough_for_a_hundred_bad_columns(capsys):
    write(frame().assign(**{f"name {i}": "hot" for i in range(100)}))
    refused(capsys, "fit", "t.csv", "--target", "y")


def test_the_output_is_refused_before_the_rows_are_read(capsys):
    write(spoiled(7, "b", np.nan))
    assert "cannot write" in refused(capsys, "fit", "t.csv", "--target", "y", "--out", "x/m")


@pytest.mark.parametrize("command", [["show"], ["predict"]])
def test_a_damaged_model_is_refused_in_one_line(capsys, command):
    write(frame())
    fitted(capsys)
    content = pathlib.Path("t.adabasis").read_bytes()
    flipped = bytearray(content)
    flipped[len(content) // 2] ^= 4
    tokens = [*command, "t.adabasis", *(["t.csv"] * (command == ["predict"]))]
    for bad in (content[:-1], content[:100], b"", bytes(flipped)):
        pathlib.Path("t.adabasis").write_bytes(bad)
        err = refused(capsys, *tokens)
        assert "t.adabasis: not a whole adabasis model file" in err
        assert len(err.splitlines()) == 1


def test_a_bad_entry_is_found_in_any_batch(capsys):
    write(frame())
    fitted(capsys)
    new = frame(100_000)
    new.loc[99_998, "b"] = np.nan
    write(new, "new.csv")
    assert "row 99,999" in refused(capsys, "predict", "t.adabasis", "new.csv")


def test_text_where_numbers_were_is_refused(capsys):
    write(frame())
    fitted(capsys)
    write(spoiled(59, "a", "high"), "new.csv")
    assert "high" in refused(capsys, "predict", "t.adabasis", "new.csv")


def test_a_model_of_arrays_is_no_model_of_a_table(capsys):
    x = frame()[["a", "b"]].to_numpy()
    basis = adabasis.FrozenFeatures(8, scale=1.0)
    adabasis.fit(x, frame()["y"], basis, method="frozen").save("m.adabasis")
    write(frame())
    assert "from arrays" in refused(capsys, "predict", "m.adabasis", "t.csv")
    assert run(capsys, "show", "m.adabasis")[0] == 0


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--n-partitions", "2"), "--n-partitions 2: only with --model pounet"),
        (("--pieces", "2"), "--n-partitions 2: only with --model pounet"),
        (("--model", "pounet", "--pieces", "0"), "expected at least 1"),
        (("--model", "pounet", "--degree", "-1"), "expected at least 0"),
    ],
)
def test_numbers_of_pieces_that_cannot_be_meant_are_refused(capsys, options, words):
    write(frame())
    assert words in refused(capsys, "fit", "t.csv", "--target", "y", *options)


def test_more_coefficients_than_rows_are_refused_with_their_number(capsys):
    write(frame())
    asked = ("--target", "y", "--model", "pounet", "--degree", "60")
    code, _, err = run(capsys, "fit", "t.csv", *asked)
    assert code == 2
    assert "1,891 coefficients for" in err


def test_pieces_of_a_target_of_classes_are_refused(capsys):
    write(frame().assign(y=np.where(np.arange(len(frame())) % 2, "hot", "cold")))
    assert "fits numbers" in refused(capsys, "fit", "t.csv", "--target", "y", "--model", "pounet")

"""Files as rows: one table whatever their number, the order of their columns and their types."""

import os
import pickle
import sqlite3

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.feather
import pyarrow.parquet
import pytest

import adabasis as ab
from adabasis import rows
from adabasis._runtime.errors import BadInput
from adabasis.tables import open_rows, open_table, open_tables

FILES, EACH = 40, 25
RNG = np.random.default_rng(0)
COLUMNS = {
    "x": RNG.uniform(size=FILES * EACH),
    "n": RNG.integers(0, 50, FILES * EACH),
    "kind": RNG.choice(["a", "b", "d"], FILES * EACH),
}
COLUMNS["y"] = COLUMNS["x"] + 0.1 * COLUMNS["n"] + (COLUMNS["kind"] == "b")


def part(k):
    return {name: values[k * EACH : (k + 1) * EACH].tolist() for name, values in COLUMNS.items()}


def write(k, table=None, suffix="parquet"):
    table = pa.table(part(k) if table is None else table)
    name = f"part-{k:02}.{suffix}"
    if suffix == "parquet":
        pyarrow.parquet.write_table(table, name, row_group_size=10)
    elif suffix == "feather":
        pyarrow.feather.write_feather(table, name, chunksize=10)
    else:
        pyarrow.csv.write_csv(table, name)
    return name


@pytest.fixture
def files(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return [write(k) for k in range(FILES)]


def refused(words, *about, **named):
    with pytest.raises(BadInput, match=words):
        open_rows(*(about or ("part-*.parquet", "y")), **named)


def both(source):
    x, y, _ = (np.concatenate(a) for a in zip(*source.chunks(7), strict=True))
    return x, y


@pytest.mark.parametrize("suffix", ["parquet", "feather", "csv"])
def test_files_are_one_table(tmp_path, monkeypatch, suffix):
    monkeypatch.chdir(tmp_path)
    for k in range(FILES):
        write(k, suffix=suffix)
    source = open_rows(f"part-*.{suffix}", "y")
    x, y = both(source)
    kinds = np.stack([COLUMNS["kind"] == k for k in "abd"], axis=1)
    np.testing.assert_array_equal(x, np.column_stack([COLUMNS["x"], COLUMNS["n"], kinds]))
    np.testing.assert_array_equal(y[:, 0], COLUMNS["y"])
    parts = source.parts(10)
    assert len(parts) == FILES * (3 if suffix != "csv" else 1)
    assert [p.first for p in parts] == np.cumsum([0, *(p.n_rows for p in parts)])[:-1].tolist()
    again = [pickle.loads(pickle.dumps(p)).read() for p in parts]
    np.testing.assert_array_equal(np.concatenate([c.x for c in again]), x)
    assert len(pickle.dumps(parts[0])) < 5000


@pytest.mark.parametrize("given", [
    "part-*.parquet", ".", ["part-*.parquet"], [f"part-{k:02}.parquet" for k in range(FILES)],
])  # fmt: skip
def test_a_pattern_a_folder_and_a_list_mean_the_same(files, given):
    source = open_rows(given, "y")
    assert source.n_rows == FILES * EACH
    assert open_tables(given).read().num_rows == FILES * EACH


def test_another_order_type_and_other_categories_in_one_file(files):
    table = part(37)
    table["kind"][3] = "zz"
    other = {
        "y": table["y"],
        "kind": pa.array(table["kind"]).dictionary_encode(),
        "n": pa.array(table["n"], pa.int8()),
        "x": pa.array(table["x"], pa.float32()),
    }
    write(37, other)
    write(38, {**part(38), "more": part(38)["x"]})
    source = open_rows("part-*.parquet", "y")
    assert source.preparation.features == [
        "x",
        "n",
        *(f"kind = {k}" for k in ("a", "b", "d", "zz")),
    ]
    x, _ = both(source)
    np.testing.assert_allclose(x[:, 0], COLUMNS["x"], rtol=1e-6)
    np.testing.assert_array_equal(x[:, 1], COLUMNS["n"])
    assert x[37 * EACH + 3].tolist()[2:] == [0, 0, 0, 1]
    assert any("'more' of part-38.parquet" in note for note in source.notes)


def test_categories_that_the_sample_does_not_show(files, monkeypatch):
    monkeypatch.setattr("adabasis.tables.survey.LEARNT_FROM", 60)
    write(39, {**part(39), "kind": ["rare", *part(39)["kind"][1:]]})
    source = open_rows("part-*.parquet", "y")
    assert "kind = rare" in source.preparation.features
    assert both(source)[0].sum(axis=0)[-1] == 1
    assert len(source.found.data.x) == 60


def test_gaps_name_file_and_row(files):
    table = part(37)
    table["x"][12] = float("nan")
    write(37, table)
    refused(r"'x' \(1, the first in row 13 of part-37.parquet\): fill them")
    source = open_rows("part-*.parquet", "y", impute=True)
    assert abs(both(source)[0][37 * EACH + 12, 0] - 0.5) < 0.1
    table["y"][4] = None
    write(37, table)
    refused(r"'y' \(1, the first in row 5 of part-37.parquet\)")
    source = open_rows("part-*.parquet", "y", impute=True)
    assert len(both(source)[1]) == FILES * EACH - 1


@pytest.mark.parametrize(("table", "words"), [
    ({**part(37), "x": ["q"] * EACH}, "'x' holds double in part-00.parquet and string in part-37"),
    ({"x": [1.0], "y": [2.0]}, "part-37.parquet lacks 'n', 'kind', which part-00.parquet has"),
])  # fmt: skip
def test_a_file_of_another_kind_is_named_before_any_row_is_read(files, table, words):
    write(37, table)
    refused(words)


def test_files_without_rows_are_none(files):
    write(5, pa.table(part(5)).slice(0, 0))
    source = open_rows("part-*.parquet", "y")
    assert source.n_rows == (FILES - 1) * EACH
    assert any("Without rows: 'part-05.parquet'" in note for note in source.notes)
    open("part-06.parquet", "w").close()
    refused("part-06.parquet is empty")


def test_a_file_that_vanishes_or_changes_between_passes(files):
    source = open_rows("part-*.parquet", "y")
    parts = source.parts()
    os.remove("part-20.parquet")
    with pytest.raises(BadInput, match=r"part-20.parquet was there at the first pass and cannot"):
        [part.read() for part in parts]
    write(20, part(19))
    with pytest.raises(BadInput, match=r"part-20.parquet has changed since the first pass"):
        [part.read() for part in parts]


def test_names_that_are_none_are_told(files):
    refused("targets 'q': the table has no such column", "part-*.parquet", "q")
    refused("no file has such a name", "*.csv", "y")
    refused("part-00.parquet': named more than once", ["part-0*", "part-00.parquet"], "y")
    refused("which columns are to be predicted", "part-*.parquet")
    with pytest.raises(BadInput, match=r"fit\(X=files, y=…\): expected the name of a column"):
        ab.fit("part-*.parquet", COLUMNS["y"])


def test_groups_are_held_out_together(files):
    source = open_rows("part-*.parquet", "y", group="kind")
    keys = np.concatenate([key for part in source.parts() for _, key in part.keyed_chunks(9)])
    for kind in "abd":
        assert len(set(keys[COLUMNS["kind"] == kind])) == 1
    assert len(set(keys)) == 3
    assert source.n_inputs == 2


def test_a_query_of_a_database_in_chunks(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with sqlite3.connect("d.db") as connection:
        connection.execute("CREATE TABLE t (x REAL, n INTEGER, y REAL)")
        rows_of = zip(*(COLUMNS[name].tolist() for name in ("x", "n", "y")), strict=True)
        connection.executemany("INSERT INTO t VALUES (?, ?, ?)", rows_of)
    connection.close()
    source = open_rows("d.db::SELECT x, n, y FROM t WHERE n < 25", "y")
    assert next(source.chunks(100)).x.shape == (100, 2)
    np.testing.assert_array_equal(both(source)[0][:, 0], COLUMNS["x"][COLUMNS["n"] < 25])


def test_a_model_of_files_knows_their_columns(files):
    basis = ab.FrozenFeatures(20)
    model = ab.fit("part-*.parquet", "y", basis, method="frozen")
    assert model.record.input_names == ("x", "n", "kind = a", "kind = b", "kind = d")
    assert model.record.output_names == ("y",)
    assert model.record.preparation["targets"] == ["y"]
    assert model(np.zeros((2, 5))).shape == (2,)
    assert isinstance(open_rows("part-*.parquet", "y"), rows.AbstractSource)
    assert open_table("part-00.parquet").pieces(1000)[0][0] == EACH


def test_links_are_no_second_files_and_links_to_nothing_are_no_files(files):
    os.symlink("part-02.parquet", "part-99.parquet")
    for given in ("part-*.parquet", "."):
        refused("part-99.parquet is a link to the same file as .*part-02.parquet", given, "y")
    os.remove("part-99.parquet")
    os.remove("part-02.parquet")
    os.symlink("nowhere.parquet", "part-02.parquet")
    for given in ("part-*.parquet", "."):
        refused("part-02.parquet: no such file", given, "y")


def test_a_weight_below_nothing_names_file_and_row(files):
    for k in range(FILES):
        weight = [1.0] * EACH
        weight[7] = -2.0 if k == 37 else 0.0
        write(k, {**part(k), "w": weight})
    words = "weight 'w' holds -2 in row 8 of part-37.parquet: expected numbers of at least 0"
    refused(words, "part-*.parquet", "y", weight="w")


def test_what_was_assumed_of_files_is_told_by_the_model(files):
    write(38, {**part(38), "more": part(38)["x"]})
    model = ab.fit("part-*.parquet", "y", ab.FrozenFeatures(8), method="frozen")
    assert any("'more' of part-38.parquet" in note for note in model.notes)
    refused(r"fill them or open_rows\(…, impute=True\)", write_gap(), "y")


def write_gap():
    table = part(3)
    table["x"][5] = None
    return write(3, table)

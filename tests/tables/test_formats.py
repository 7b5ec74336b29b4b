"""Excel, JSON lines, Arrow and SQLite: the numbers of the file, or a word about what is missing."""

import datetime
import functools
import json
import sqlite3
import sys
import zipfile

import numpy as np
import pandas
import polars
import pyarrow as pa
import pyarrow.feather
import pyarrow.parquet
import pytest

from adabasis._runtime.errors import BadInput
from adabasis.tables import learn, open_table
from adabasis.tables.numerals import Strays
from adabasis.tables.records import column_of

ROWS = {"a": [1, 2, 3], "b": [0.5, None, 2.5], "y": [1.5, 2.5, 3.5]}
DAYS = [datetime.datetime(2020, 1, day) for day in (1, 2, 3)]


def columns(source, **options):
    table = source.read(**options)
    return {
        name: column.to_pylist() for name, column in zip(table.column_names, table, strict=True)
    }


def streamed(source, names):
    """The columns as predictions get them: as numbers, batch by batch."""
    batches = list(source.batches(names, dict.fromkeys(names, pa.float64())))
    return {n: [v for b in batches for v in b.column(n).to_pylist()] for n in names}


@pytest.mark.parametrize(
    ("values", "kind", "expected"),
    [
        ([1, None, 2], pa.int64(), [1, None, 2]),
        ([1, 2.5, None], pa.float64(), [1, 2.5, None]),
        ([1, 2**70], pa.float64(), [1, 2.0**70]),
        ([None, None], pa.null(), [None, None]),
        (["", "NA"], pa.null(), [None, None]),
        ([True, None], pa.bool_(), [True, None]),
        ([1.5, -0.25, 2.0, "x"], pa.string(), ["15e-1", "-25e-2", "2", "x"]),
        ([DAYS[0], DAYS[1].date()], pa.timestamp("us"), DAYS[:2]),
        (["2020-01-01", None, "2020-01-03T00:00"], pa.timestamp("us"), [DAYS[0], None, DAYS[2]]),
        (["2020-01-01", "soon"], pa.string(), ["2020-01-01", "soon"]),
        ([DAYS[0], "soon"], pa.string(), ["2020-01-01 00:00:00", "soon"]),
        ([b"\0", None], pa.binary(), [b"\0", None]),
    ],
)
def test_values_of_one_column_get_the_type_of_all(values, kind, expected):
    found = column_of(values)
    assert found.type == kind
    assert found.to_pylist() == expected


# JSON


@pytest.mark.parametrize("name", ["t.jsonl", "t.ndjson", "t.json", "t.txt", "t.csv", "t.data"])
@pytest.mark.parametrize("form", ["lines", "list", "columns", "columns by row"])
def test_json_is_known_by_its_content(tmp_path, name, form):
    records = [dict(zip(ROWS, row, strict=True)) for row in zip(*ROWS.values(), strict=True)]
    lines = [json.dumps(record) for record in records]
    text = {
        "lines": "\n".join(["", *lines, ""]),
        "list": json.dumps(records, indent=1),
        "columns": json.dumps(ROWS, indent=1),
        "columns by row": json.dumps({n: dict(enumerate(v)) for n, v in ROWS.items()}),
    }[form]
    (tmp_path / name).write_text(text)
    source = open_table(tmp_path / name)
    assert source.kind == "JSON lines"
    assert columns(source) == ROWS
    assert streamed(source, ["y", "a"]) == {"y": ROWS["y"], "a": ROWS["a"]}


def test_keys_may_come_late_be_absent_or_lie_inside_others(tmp_path):
    (tmp_path / "t.jsonl").write_text(
        '{"a": 1, "at": {"x": 2, "y": NaN}}\n{"b": true, "at": {"x": 3}}\n'
    )
    assert str(columns(open_table(tmp_path / "t.jsonl"))) == str(
        {"a": [1, None], "at.x": [2, 3], "at.y": [float("nan"), None], "b": [None, True]}
    )


def test_numbers_dates_and_strays_in_json_text(tmp_path):
    when = [day.isoformat() for day in DAYS]
    records = [{"a": "1,050.5", "t": when[0]}, {"a": 7, "t": when[1]}, {"a": "-", "t": when[2]}]
    (tmp_path / "t.jsonl").write_text("\n".join(map(json.dumps, records)))
    source = open_table(tmp_path / "t.jsonl")
    table = source.read()
    assert table.column("a").to_pylist() == [1050.5, 7, None]
    assert Strays.told_by(table.schema.field("a")).row == 3
    assert table.column("t").to_pylist() == DAYS
    assert "Text read as numbers: 'a'." in source.notes


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('{"a": 1}\n{"a": }\n', "line 2: not JSON"),
        ('{"a": 1}\n[1, 2]\n', "line 2: expected an object"),
        ('[{"a": 1}, 2]', "entry 2: expected an object"),
        ('[{"a": 1},', "line 1: not JSON"),
        ('{"a": 1,\n"b"}', "line 1: not JSON"),
    ],
)
def test_what_is_not_json_is_named_by_its_place(tmp_path, text, words):
    (tmp_path / "t.jsonl").write_text(text)
    with pytest.raises(BadInput, match=words):
        open_table(tmp_path / "t.jsonl")


# Excel


def workbook(path, rows, **others):
    openpyxl = pytest.importorskip("openpyxl")
    book = openpyxl.Workbook()
    book.active.title = "Runs"
    for row in rows:
        book.active.append(row)
    for name, row in others.items():
        book.create_sheet(name).append(row)
    book.save(path)
    return path


def rewritten(path, *changes):
    """Change the first sheet's XML, as another program would have written it."""
    with zipfile.ZipFile(path) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    for before, after in changes:
        sheet = parts["xl/worksheets/sheet1.xml"]
        assert before.encode() in sheet
        parts["xl/worksheets/sheet1.xml"] = sheet.replace(before.encode(), after.encode())
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in parts.items():
            archive.writestr(name, content)


def test_a_sheet_is_read_with_what_stands_around_it(tmp_path):
    rows = [["Runs of June"], [], ["a", "b", "y", "t"], ["kW", "m", None, None]]
    body = zip(*ROWS.values(), DAYS, strict=True)
    path = workbook(tmp_path / "b.xlsx", [*rows, *map(list, body), [], [4, "-", 4.5, DAYS[0]]])
    source = open_table(path)
    found = columns(source)
    assert found == {n: [*v, e] for (n, v), e in zip(ROWS.items(), [4, None, 4.5], strict=True)} | {
        "t": [*DAYS, DAYS[0]]
    }
    assert source.units == {"a": "kW", "b": "m"}
    assert "Left out: 1 row above the names." in source.notes
    assert streamed(source, ["b"])["b"] == [0.5, None, 2.5, None]


def test_a_sheet_is_named_if_there_are_several(tmp_path):
    rows = [["a", "y"], [1, 2], [3, 4]]
    path = workbook(tmp_path / "b.xlsx", rows, Notes=["remarks"])
    with pytest.raises(BadInput, match=r"2 sheets: 'Runs', 'Notes'\. Name one: 'b\.xlsx::Runs'"):
        open_table(path)
    assert columns(open_table(f"{path}::Runs")) == {"a": [1, 3], "y": [2, 4]}
    with pytest.raises(BadInput, match=r"b\.xlsx::Run: no such sheet; there are 'Runs', 'Notes'"):
        open_table(f"{path}::Run")


def test_a_formula_without_a_stored_value_is_no_missing_entry(tmp_path):
    """openpyxl gives None for it, as for an empty cell; so does a text without letters."""
    path = workbook(tmp_path / "b.xlsx", [["a", "y"], [1, "=A2*2"], [3, "=A3*2"]])
    with pytest.raises(BadInput, match="cell B2 holds a formula whose value is not stored"):
        open_table(path)
    stored = (
        ("<f>A2*2</f><v />", "<f>A2*2</f><v>2</v>"),
        ("<f>A3*2</f><v />", "<f>A3*2</f><v>6</v>"),
    )
    rewritten(path, *stored)
    assert columns(open_table(path)) == {"a": [1, 3], "y": [2, 6]}
    empty = '<c r="B3" t="str"><f>A3*2</f><v></v></c>'
    rewritten(path, ('<c r="B3"><f>A3*2</f><v>6</v></c>', empty))
    assert columns(open_table(path)) == {"a": [1, 3], "y": [2, None]}


def test_a_wrong_statement_of_a_sheets_size_cuts_nothing_off(tmp_path):
    """Read-only mode believes it otherwise; other programs write A1."""
    path = workbook(tmp_path / "b.xlsx", [["a", "y"], [1, 2], [3, 4]])
    rewritten(path, ('<dimension ref="A1:B3"', '<dimension ref="A1"'))
    assert columns(open_table(path)) == {"a": [1, 3], "y": [2, 4]}


def test_numbers_among_text_in_cells_prove_no_decimal_sign(tmp_path):
    rows = [["a", "y"], [1050.5, 1], ["2.345,5", 2], [-0.125, 3], ["1.050", 4]]
    path = workbook(tmp_path / "b.xlsx", rows)
    assert columns(open_table(path))["a"] == [1050.5, 2345.5, -0.125, 1050]


def test_errors_of_a_spreadsheet_are_strays(tmp_path):
    rows = [["a", "y"], [1.5, 1], ["#DIV/0!", 2], [2.5, 3]]
    table = open_table(workbook(tmp_path / "b.xlsx", rows)).read()
    assert str(Strays.told_by(table.schema.field("a"))).startswith("1 of 3 entries is no number")


def test_a_damaged_workbook_is_refused_in_words(tmp_path):
    path = workbook(tmp_path / "b.xlsx", [["a", "y"], [1, 2]])
    rewritten(path, ("<sheetData>", "<sheetData><row"))
    with pytest.raises(BadInput, match="cannot be read as Excel"):
        open_table(path)


def test_without_openpyxl_a_workbook_is_refused_with_what_to_install(tmp_path, monkeypatch):
    with zipfile.ZipFile(tmp_path / "b.xlsx", "w") as archive:
        archive.writestr("xl/workbook.xml", "")
    monkeypatch.setitem(sys.modules, "openpyxl", None)
    with pytest.raises(BadInput, match=r"pip install 'adabasis\[excel\]'"):
        open_table(tmp_path / "b.xlsx")


def test_a_spreadsheet_of_another_kind_is_named(tmp_path):
    with zipfile.ZipFile(tmp_path / "b.ods", "w") as archive:
        archive.writestr("content.xml", "")
    with pytest.raises(BadInput, match="holds an OpenDocument spreadsheet"):
        open_table(tmp_path / "b.ods")


# Arrow


def stream(path, table, rows=2):
    with pa.ipc.new_stream(path, table.schema) as out:
        for batch in table.to_batches(rows):
            out.write_batch(batch)
    return path.read_bytes()


@pytest.mark.parametrize("name", ["t.arrow", "t.ipc", "t.arrows", "t.data"])
def test_a_stream_of_arrow_is_known_by_its_content(tmp_path, name):
    stream(tmp_path / name, pa.table(ROWS))
    source = open_table(tmp_path / name)
    assert source.kind == "Arrow stream"
    assert columns(source) == ROWS
    assert streamed(source, ["b", "a"]) == {"b": ROWS["b"], "a": ROWS["a"]}
    assert not source.notes


def test_a_stream_that_was_cut_off_is_refused_or_remarked_on(tmp_path):
    """Cut between two batches it is valid: pyarrow reads what is left without a word."""
    path = tmp_path / "t.arrows"
    whole, first = stream(path, pa.table(ROWS)), len(stream(path, pa.table(ROWS)[:2]))
    path.write_bytes(whole[: first - 8])
    source = open_table(path)
    assert columns(source)["a"] == [1, 2]
    assert "The stream has no end mark: batches may be lost." in source.notes
    path.write_bytes(whole[:-20])
    with pytest.raises(BadInput, match="cannot be read as Arrow stream"):
        open_table(path).read()


@pytest.mark.parametrize("kind", ["parquet", "feather", "arrows"])
def test_text_in_a_typed_file_becomes_numbers_where_it_is_no_code(tmp_path, kind):
    path = tmp_path / f"t.{kind}"
    table = pa.table({"s": ["1.5", "-", "1,050"] * 3, "code": ["1", "2", "3"] * 3})
    if kind == "arrows":
        stream(path, table)
    else:
        write = {"parquet": pa.parquet.write_table, "feather": pa.feather.write_feather}[kind]
        write(table, path)
    source = open_table(path)
    assert columns(source) == {"s": [1.5, None, 1050] * 3, "code": ["1", "2", "3"] * 3}
    assert streamed(source, ["s"])["s"] == [1.5, None, 1050] * 3


def test_categories_of_polars_are_text(tmp_path):
    """They are dictionaries of string views, for which pyarrow has no kernel of ``take``."""
    table = polars.DataFrame({"c": ["x", "y", "x"], "y": [1.0, 2.0, 3.0]})
    table.with_columns(polars.col("c").cast(polars.Categorical)).write_ipc_stream(
        tmp_path / "t.arrows"
    )
    table = open_table(tmp_path / "t.arrows").read()
    x = learn(table, ["y"], encode=True).x
    assert x.tolist() == [[1, 0], [0, 1], [1, 0]]


# SQLite


@pytest.fixture
def database(tmp_path):
    path = tmp_path / "runs of june.db"
    connection = sqlite3.connect(path)
    connection.execute("CREATE TABLE runs (a, b REAL, y, t TEXT, gap)")
    rows = zip(*ROWS.values(), [d.date().isoformat() for d in DAYS], [None] * 3, strict=True)
    connection.executemany("INSERT INTO runs VALUES (?, ?, ?, ?, ?)", rows)
    connection.execute("CREATE TABLE [other runs] (a, y)")
    connection.execute("INSERT INTO [other runs] VALUES (?, ?)", (np.int64(7), "-"))
    connection.execute("CREATE VIEW half AS SELECT a / 2.0 AS a, y FROM runs")
    connection.commit()
    connection.close()
    return path


def test_a_table_a_view_and_a_query_are_read(database):
    found = columns(source := open_table(f"{database}::runs"))
    assert found == ROWS | {"t": DAYS, "gap": [None] * 3}
    assert source.read().schema.field("gap").type == pa.null()
    assert columns(open_table(f"{database}::half"))["a"] == [0.5, 1.0, 1.5]
    query = "SELECT a AS x, y FROM runs WHERE t LIKE '2020-%' AND a > 1 -- 'x//y'"
    source = open_table(f"{database}::{query}")
    assert columns(source) == {"x": [2, 3], "y": [2.5, 3.5]}
    assert streamed(source, ["y"]) == {"y": [2.5, 3.5]}
    assert source.title.endswith(query)


def test_numpy_integers_in_sqlite_are_bytes_and_named(database):
    table = open_table(f"{database}::other runs").read()
    with pytest.raises(BadInput, match=r"'a' holds bytes.*int\(n\)"):
        learn(table.append_column("z", [[1.0]]), ["z"], drop=["y"])


@pytest.mark.parametrize(
    ("part", "words"),
    [
        ("", "name a table; there are 'half', 'other runs', 'runs'"),
        ("::run", "no such table; .* For example: 'runs of june.db::runs'"),
        ("::SELECT * FROM", "incomplete input"),
        ("::SELECT z FROM runs", "no such column: z"),
        ("::DELETE FROM runs", "not authorized"),
        ("::DROP TABLE runs", "not authorized"),
        ("::ATTACH 'new.db' AS n", "not authorized"),
        ("::SELECT a, y AS a FROM runs", "'a' occur more than once"),
    ],
)
def test_what_is_no_reading_of_a_table_is_refused(database, part, words):
    before = database.read_bytes()
    with pytest.raises(BadInput, match=words):
        open_table(f"{database}{part}").read()
    assert database.read_bytes() == before
    assert [path.name for path in database.parent.iterdir()] == [database.name]


def test_only_workbooks_and_databases_have_parts(tmp_path):
    (tmp_path / "t.csv").write_text("a,y\n1,2\n")
    with pytest.raises(BadInput, match="only a workbook has sheets"):
        open_table(f"{tmp_path / 't.csv'}::a")
    (tmp_path / "odd::name.csv").write_text("a,y\n1,2\n")
    assert columns(open_table(tmp_path / "odd::name.csv")) == {"a": [1], "y": [2]}


KINDS = {
    "csv": lambda t, path: t.to_csv(path, index=False),
    "txt": lambda t, path: t.to_csv(path, index=False, sep=" "),
    "json": lambda t, path: path.write_text(json.dumps(t.to_dict("records"))),
    "ndjson": lambda t, path: polars.from_pandas(t).write_ndjson(path),
    "arrows": lambda t, path: stream(path, pa.table(t)),
    "parquet": lambda t, path: t.to_parquet(path),
    "db": lambda t, path: t.to_sql("t", sqlite3.connect(path)),
    "xlsx": lambda t, path: workbook(path, [list(t), *t.to_numpy().tolist()]),
}


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_gives_the_same_bits(tmp_path, kind):
    values = np.random.default_rng(0).normal(size=(50, 2)) * [1e-12, 1e9]
    table = pandas.DataFrame(values, columns=["a", "y"])
    KINDS[kind](table, path := tmp_path / f"t.{kind}")
    source = open_table(path)
    data = learn(source.read(untouched=["index"]).select(["a", "y"]), ["y"])
    found = np.stack([data.x[:, 0], data.y[:, 0]], axis=1)
    # openpyxl writes 16 digits.
    close = functools.partial(np.testing.assert_allclose, rtol=5e-16 if kind == "xlsx" else 0)
    close(found, values)
    again = streamed(source, ["y", "a"])
    close(np.stack([again["a"], again["y"]], axis=1), values)

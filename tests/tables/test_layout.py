"""What stands around the rows of a text table: comments, titles, names, units, delimiters."""

import gzip

import pyarrow as pa
import pytest

from adabasis._runtime.errors import BadInput
from adabasis.tables import open_table

ROWS = {"a": [1, 2], "b": [2, 3], "y": [3, 4]}
LAID_OUT = {
    "nothing": "a,b,y\n1,2,3\n2,3,4\n",
    "comments": "# made by x, y, z\n#\n\na,b,y\n1,2,3\n2,3,4\n",
    "percents": "% made\na;b;y\n1;2;3\n2;3;4\n",
    "slashes": "// made, by\n// me\na\tb\ty\n1\t2\t3\n2\t3\t4\n",
    "exclamation marks": "! made\n!by\na|b|y\n1|2|3\n2|3|4\n",
    "a quoted comment": '"# made, by, me"\na,b,y\n1,2,3\n2,3,4\n',
    "comments between and below": "# made\na,b,y\n1,2,3\n# pause\n2,3,4\n# end, of run\n",
    "names in a comment": "# made by x, y\n# a,b,y\n1,2,3\n2,3,4\n",
    "names in a comment, in spaces": "#a b  y\n1 2 3\n2 3 4\n",
    "names in a comment, in other delimiters": "# a b y\n1,2,3\n2,3,4\n",
    "a comment as long as a row": "# x, y, z\na,b,y\n1,2,3\n2,3,4\n",
    "titles": "Runs of June\nby me, with care\n\na,b,y,c\n1,2,3,x\n2,3,4,x\n",
    "a stated delimiter": "sep=;\na;b;y\n1;2;3\n2;3;4\n",
    "spaces": "  a   b y\n  1   2 3\n 2   3   4\n",
    "spaces and a tab": "a b\ty\n1 2\t3\n2 3\t4\n",
    "a byte order mark": "\ufeff# made\na,b,y\n1,2,3\n2,3,4\n",
    "lines of Windows": "# made\r\n\r\na,b,y\r\n1,2,3\r\n2,3,4\r\n",
    "lines of old Macs": "# made\ra,b,y\r1,2,3\r2,3,4\r",
    "commas inside semicolons": "a;b;y\n1,0;2,0;3,0\n2,0;3,0;4,0\n",
    "commas in names, too": "a;b;y;c,d\n1,0;2,0;3,0;5\n2,0;3,0;4,0;5\n",
    "a name in two lines": 'a,b,y,"c\nd"\n1,2,3,4\n2,3,4,5\n',
    "a quote left open in a comment": '# 5" pipe\na,b,y\n1,2,3\n2,3,4\n',
    "an empty column at the end": "a,b,y,\n1,2,3,\n2,3,4,\n",
    "several": "# made\na;b;y;;\n1;2;3;;\n2;3;4;;\n",
    "a delimiter that ends each row": "a,b,y\n1,2,3,\n2,3,4,\n",
    "units": "a,b,y\nkW,degC,-\n1,2,3\n2,3,4\n",
}


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("name", LAID_OUT)
def test_rows_are_found_whatever_stands_around_them(tmp_path, name, packed):
    path = tmp_path / ("t.txt.gz" if packed else "t.txt")
    content = LAID_OUT[name].encode()
    path.write_bytes(gzip.compress(content) if packed else content)
    source = open_table(path)
    table = source.read()
    assert {n: table.column(n).to_pylist() for n in ROWS} == ROWS
    source.decide(None, None)
    batches = list(source.batches(list(ROWS), dict.fromkeys(ROWS, table.schema.field("a").type)))
    assert {n: [v for b in batches for v in b.column(n).to_pylist()] for n in ROWS} == ROWS


UNITS = {
    "plain": ("kW,degC,-", {"a": "kW", "b": "degC"}),
    "in brackets": ("[kW],(m/s),[-]", {"a": "kW", "b": "m/s"}),
    "signs": ("%,°C,€", {"a": "%", "b": "°C", "y": "€"}),
    "of one column": (",,m", {"y": "m"}),
    "one for none": ("kW,1,m", {"a": "kW", "y": "m"}),
    "in a comment": ("# kW,m,s", {"a": "kW", "b": "m", "y": "s"}),
    "and how it was averaged": ("kW,m,s\nAvg,Avg,Smp", {"a": "kW", "b": "m", "y": "s"}),
    "with powers": ("m^2,W/m2,10^3 kg", {"a": "m^2", "b": "W/m2", "y": "10^3 kg"}),
}


@pytest.mark.parametrize("name", UNITS)
def test_units_below_the_names_are_units(tmp_path, name):
    row, units = UNITS[name]
    (tmp_path / "t.csv").write_text(f"a,b,y\n{row}\n1.5,2,3\n2.5,3,4\n", encoding="utf-8")
    source = open_table(tmp_path / "t.csv")
    assert source.read().column("a").to_pylist() == [1.5, 2.5]
    assert source.units == units
    assert source.reading()["units"] == units


NO_UNITS = {
    "a row with a number": "high,2,3",
    "missing entries": "-,n.d.,",
    "numbers": "1,2,3",
}


@pytest.mark.parametrize("name", NO_UNITS)
def test_a_first_row_that_is_data_is_not_left_out(tmp_path, name):
    (tmp_path / "t.csv").write_text(f"a,b,y\n{NO_UNITS[name]}\n1,2,3\n2,3,4\n3,4,5\n")
    source = open_table(tmp_path / "t.csv")
    assert source.read().num_rows == 4
    assert not source.units


SUMMED_UP = {
    "Mean,.5,{a},{y}": 1,
    "Mean:,.5,{a},{y}\nstd,1,1,1": 2,
    ",,,\nTotal,,,15": 2,
    "r,6,7,8": 0,
}


@pytest.mark.parametrize("numbered", [True, False])
@pytest.mark.parametrize("end", SUMMED_UP)
def test_rows_that_sum_up_the_others_are_left_out(tmp_path, numbered, end):
    rows = [(1 if numbered else "r", 1.5 * k, k * k % 7, k) for k in range(1, 6)]
    a, y = (sum(row[j] for row in rows) / 5 for j in (2, 3))
    text = "\n".join(",".join(map(str, row)) for row in rows)
    path = tmp_path / "t.csv"
    path.write_text(f"run,x,a,y\n{text}\n{end.format(a=a, y=y)}\n")
    source = open_table(path)
    proven = numbered or "std" not in end  # a word alone proves nothing where text is usual
    count = SUMMED_UP[end] * proven
    table = source.read()
    assert table.num_rows == 5 + end.count("\n") + 1 - count
    assert any("sum" in note for note in source.notes) == bool(count)
    if count == 2 and numbered:
        assert table.schema.field("run").type == pa.float64()


def test_a_category_called_total_is_none_that_sums_up(tmp_path):
    path = tmp_path / "t.csv"
    path.write_text("kind,x,y\npart,1,2\npart,2,3\ntotal,1,9\n")
    assert open_table(path).read().num_rows == 3


def test_a_late_entry_without_a_name_is_no_empty_column(tmp_path):
    path = tmp_path / "t.csv"
    path.write_text("x,y,\n" + "1,2,\n" * 150 + "1,2,3\n")
    with pytest.raises(BadInput, match=r"no name and few entries, the first in row 151"):
        open_table(path).read()


def test_one_column_of_words_has_no_delimiter(tmp_path):
    (tmp_path / "t.csv").write_text("digit\nDigit 2\nDigit 7\n0\n")
    assert open_table(tmp_path / "t.csv").read().column("digit").to_pylist()[0] == "Digit 2"


def test_what_is_left_out_is_told(tmp_path):
    (tmp_path / "t.csv").write_text("# made\n\na,b\n1,2\n# pause\n3,4\n# end, of, run\n")
    source = open_table(tmp_path / "t.csv")
    source.read()
    assert source.notes == [
        "Left out: 2 lines above the names.", "Left out: 2 comments between the rows."
    ]  # fmt: skip


def test_units_stand_beside_columns_of_text_and_dates(tmp_path):
    text = "when,site,y\n,,kW\n2020-01-01,north,1\n2020-01-02,south,2\n"
    (tmp_path / "t.csv").write_text(text)
    table = open_table(tmp_path / "t.csv").read()
    assert [str(kind) for kind in table.schema.types] == ["date32[day]", "string", "int64"]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("# a\n# b\n", "comments alone"),
        ("\n \n", "empty"),
        ("sep=:\na:b\n1:2\n", "states the delimiter ':'"),
        ("a b c\n1 2 3\n4 5\n6 7 8\n", "not every line has 3"),
        ("# made\na,b\n1,2\n3\n", "Row #4"),
        ("a,y\n950,1\n1,050,2\n2,3\n", "Commas between thousands need quotes"),
        ("a,b,y\n1,2,3,4\n2,3,4,5\n", "Expected 3 columns, got 4"),
    ],
)
def test_what_is_no_table_is_refused_with_its_reason(tmp_path, text, words):
    (tmp_path / "t.txt").write_text(text)
    with pytest.raises(BadInput, match=words):
        open_table(tmp_path / "t.txt").read()

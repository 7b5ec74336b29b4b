"""Numbers as people write them: read right, asked about, or counted as none; never guessed."""

import numpy as np
import pyarrow as pa
import pytest

from adabasis._runtime.errors import BadInput
from adabasis.tables import open_table
from adabasis.tables.numerals import Strays, to_numbers

WRITTEN = {
    "point": (["1.5", ".5", "5.", "-2e3", "+1E-2", " 7 "], ".", [1.5, 0.5, 5, -2000, 0.01, 7]),
    "comma": (["1,5", ",5", "-2,5e3", "7"], ",", [1.5, 0.5, -2500, 7]),
    "commas between thousands": (["1,050", "1,234,567.5", "950"], ".", [1050, 1234567.5, 950]),
    "points between thousands": (["1.050", "1.234.567,5", "950"], ",", [1050, 1234567.5, 950]),
    "lakhs": (["12,34,567", "1,050"], ".", [1234567, 1050]),
    "spaces": (["1 050", "1\u00a0234\u202f567", "12 345.5"], None, [1050, 1234567, 12345.5]),
    "apostrophes": (["1'050", "1’050.5"], None, [1050, 1050.5]),
    "Fortran": (["1.0D+03", "2.5d-1", "1,050.5D0"], ".", [1000, 0.25, 1050.5]),
    "a minus of typesetters": (["\u22121.5", "1e\u22122", "x"], ".", [-1.5, 0.01, None]),
    "no groups of three": (["1,05", "1,0505", "10 50", "1050,000"], ".", [None] * 4),
    "a point where commas are": (["1.5", "1.0505", "0.5"], ",", [None] * 3),
    "a comma of unknown meaning": (["1,050", "1,5", "2.5"], None, [None, None, 2.5]),
    "words": (["-", "n.d.", "<0.1", "(5)", "1.5 m", "1.5.2", "1_050"], ".", [None] * 7),
    "none finite": (["inf", "-Infinity", "x"], ".", [np.inf, -np.inf, None]),
}


@pytest.mark.parametrize("name", WRITTEN)
def test_text_becomes_the_number_it_says_or_none(name):
    entries, decimal, numbers = WRITTEN[name]
    assert to_numbers(pa.array(entries), decimal).to_pylist() == numbers


def read(folder, text, decimal=None, untouched=()):
    (folder / "t.csv").write_text(text, encoding="utf-8")
    source = open_table(folder / "t.csv")
    return source, source.read(decimal, untouched)


PROVEN = {
    "a quoted thousand": ('a,y\n"950",1\n"1,050",2\n"12,345",3\n', [950, 1050, 12345]),
    "semicolons": ("a;y\n950;1\n1,050;2\n12,345;3\n", [950, 1050, 12345]),
    "tabs": ("a\ty\n950\t1\n1,050\t2\n12,345\t3\n", [950, 1050, 12345]),
    "a million": ('a,y\n"1,234,567",1\n"1,055",2\n', [1234567, 1055]),
    "a point as well": ('a,y\n"1,234.5",1\n"1,055",2\n', [1234.5, 1055]),
    "a point in another column": ('a,y\n"1,055",0.5\n"2,345",2\n', [1055, 2345]),
    "a comma in another column": ("a;y\n1,055;0,5\n2,345;2\n", [1.055, 2.345]),
    "two decimals": ("a;y\n1,05;1\n2,345;2\n", [1.05, 2.345]),
    "a leading zero": ("a;y\n0,950;1\n2,345;2\n", [0.95, 2.345]),
    "four digits": ("a;y\n1050,500;1\n2,345;2\n", [1050.5, 2.345]),
    "an exponent": ("a;y\n1,050e3;1\n2,345;2\n", [1050, 2.345]),
    "points and a comma": ("a;y\n1.050,5;1\n12.345;2\n950;3\n", [1050.5, 12345, 950]),
    "points, a comma elsewhere": ("a;y\n1.050;0,5\n12.345;2\n", [1050, 12345]),
    "spaces and a comma": ("a;y\n1 050,500;1\n12 345;2\n", [1050.5, 12345]),
    "three decimals": ("a;y\n1.050;1\n12.345;2\n", [1.05, 12.345]),
    "three decimals with commas between": ("a,y\n1.050,1\n9,2\n", [1.05, 9]),
}


@pytest.mark.parametrize("name", PROVEN)
def test_the_table_proves_what_separates_thousands(tmp_path, name):
    text, numbers = PROVEN[name]
    source, table = read(tmp_path, text)
    assert table.column("a").to_pylist() == numbers
    grouped = max(numbers) >= 1000 and "1050,500" not in text and "e3" not in text
    assert any("Thousands separators" in note for note in source.notes) == grouped


ASKED = {  # what it is by --decimal point and by --decimal comma
    "three digits throughout": ('a,y\n"1,055",1\n"2,345",2\n', [1055, 2345], [1.055, 2.345]),
    "no proof beside whole numbers": ("a;y\n950;1\n1,055;2\n", [950, 1055], [950, 1.055]),
    "round thousands": ("a;y\n1,000;1\n2,000;2\n", [1000, 2000], [1, 2]),
    "points beside whole numbers": ("a;y\n950;1\n1.050;2\n", [950, 1.05], [950, 1050]),
}


@pytest.mark.parametrize("name", ASKED)
def test_what_the_table_does_not_tell_is_asked(tmp_path, name):
    text, by_point, by_comma = ASKED[name]
    with pytest.raises(BadInput, match=r"Say --decimal (point|comma) if it is 1\d\d\d, --decimal"):
        read(tmp_path, text)
    assert read(tmp_path, text, ".")[1].column("a").to_pylist() == by_point
    assert read(tmp_path, text, ",")[1].column("a").to_pylist() == by_comma
    assert read(tmp_path, text, untouched=["a"])[1].column("y").to_pylist() == [1, 2]


@pytest.mark.parametrize("text", ["a;y\n1,5;1\n2.5;2\n", "a;y\n1,5;0.5\n2,555;1\n3,555;1\n"])
def test_entries_that_contradict_each_other_are_a_question(tmp_path, text):
    """In one column, or in two where one of them proves little."""
    with pytest.raises(BadInput, match=r"has a decimal point, but '1,5' in column 'a' \(row 1\)"):
        read(tmp_path, text)


def test_an_answer_that_most_entries_contradict_is_refused_others_are_strays(tmp_path):
    text = "a;y\n1,5;1\n2,5;2\n0.5;3\n"
    _, table = read(tmp_path, text, ",")
    assert told(table) == {"a": "1 of 3 entries is no number ('0.5') in row 3"}
    with pytest.raises(
        BadInput, match=r"--decimal point, in column 'a' 2 of 3 .* \('1,5', '2,5'\)"
    ):
        read(tmp_path, text, ".")


def test_columns_that_differ_are_read_each_its_own_way(tmp_path):
    """As programs write them that read a column with commas as text."""
    text = "a;b;c;y\n1,5;10.0;1;0,5\n2,555;20.0;2;1,5\n3,25;;3;2,5\n"
    source, table = read(tmp_path, text)
    assert table.column("a").to_pylist() == [1.5, 2.555, 3.25]
    assert table.column("b").to_pylist() == [10, 20, None]
    assert "decimal point in 'b'" in source.notes[0]
    later = "b;a\n1.555;1,555\n"  # alone this would be a question
    (tmp_path / "new.csv").write_text(later)
    new = open_table(tmp_path / "new.csv")
    new.decide(None, source.reading())
    (batch,) = new.batches(["a", "b"], dict.fromkeys("ab", pa.float64()))
    assert batch.to_pydict() == {"a": [1.555], "b": [1.555]}
    with pytest.raises(BadInput, match="is '1,555' in column 'c'"):
        read(tmp_path, text.replace(";1;", ";1,555;").replace(";2;", ";950;").replace(";3;", ";7;"))


def test_a_mixture_proves_thousands_only_where_no_decimals_give_it(tmp_path):
    """950 beside 1,050: the 0 would not have been written. Beside 1,055, 9, 0 or 1050 it may be."""
    assert read(tmp_path, "a;y\n950;1\n1,050;2\n")[1].column("a").to_pylist() == [950, 1050]
    for entries in (
        "950;1\n1,055;2\n",
        "9;1\n1,050;2\n",
        "000;1\n1,050;2\n",
        "950;1\n1050;2\n\u22121,050;3\n",
    ):
        with pytest.raises(BadInput, match="Nothing in the table tells"):
            read(tmp_path, f"a;y\n{entries}")


def test_a_column_beside_it_answers_for_points_that_may_separate_thousands(tmp_path):
    text = "a;b;y\n950;0.5;1\n1.050;2;2\n"
    assert read(tmp_path, text)[1].column("a").to_pylist() == [950, 1.05]


def test_names_dates_and_addresses_ask_nothing(tmp_path):
    text = 'n,d,i,a,y\n"x, y",31.12.2020,10.1.2.3,$5,1\n"1,055",01.01.2021,10.1.2.4,$6,2\nz,,,,3\n'
    _, table = read(tmp_path, text)
    assert table.column("n").to_pylist() == ["x, y", "1,055", "z"]
    assert table.schema.types[1:4] == [pa.string()] * 3


def told(table):
    return {f.name: str(Strays.told_by(f)) for f in table.schema if Strays.told_by(f)}


@pytest.mark.parametrize("mark", ["-", "n.d.", "#DIV/0!", "<0.1", "(5)", "high", "1.5 m"])
def test_a_stray_entry_is_counted_and_missing(tmp_path, mark):
    entries = [*(f"{i}.5" for i in range(7)), mark, *(f"{i}.5" for i in range(52))]
    _, table = read(tmp_path, "a,y\n" + "".join(f"{e},1\n" for e in entries))
    assert told(table) == {"a": f"1 of 60 entries is no number ('{mark}') in row 8"}
    assert table.column("a").null_count == 1
    assert told(table.take([0, 1])) == told(table)


def test_many_strays_are_numbers_still_if_they_mark_what_is_missing(tmp_path):
    _, table = read(tmp_path, "a,y\n" + "".join(f"{'n.d.' if i % 3 else i},1\n" for i in range(5)))
    assert table.column("a").type == pa.string()  # most of them
    rows = [f"{'n.d.' if i % 3 == 0 else i % 4}" for i in range(40)]
    _, table = read(tmp_path, "a,y\n" + "".join(f"{e},1\n" for e in rows))
    assert told(table) == {"a": "14 of 40 entries are no numbers ('n.d.'), the first in row 1"}


def test_few_strays_among_recurring_numbers_are_no_codes_nor_are_many_in_few_rows(tmp_path):
    for entries in ([*"123" * 19, *"AAA"], [*"12345", "A"]):
        _, table = read(tmp_path, "a,y\n" + "".join(f"{e},1\n" for e in entries))
        assert list(told(table)) == ["a"]


def test_names_among_numbers_are_text_and_codes_are_if_encoding_is_asked_for(tmp_path):
    names = [*range(80), *(f"A/5 {i}" for i in range(20))]
    _, table = read(tmp_path, "a,y\n" + "".join(f"{e},1\n" for e in names))
    assert table.column("a").type == pa.string()
    quarters = "a,y\n" + "1,1\n2,2\n3,3\n4,4\n" * 30 + "1OT,5\n"
    assert list(told(read(tmp_path, quarters)[1])) == ["a"]
    table = open_table(tmp_path / "t.csv").read(encode=True)
    assert table.column("a").type == pa.string()


def test_recurring_codes_stay_text(tmp_path):
    _, table = read(tmp_path, "a,y\n" + "".join(f"{'123A'[i % 4]},1\n" for i in range(40)))
    assert table.column("a").type == pa.string()
    assert not told(table)


@pytest.mark.parametrize(
    ("text", "stored", "numbers"),
    [
        ('a;y\n"1,055";1\n', ".", [1055]),  # as in training
        ('a;y\n"1,055";1\n', ",", [1.055]),
        ("a;y\n1.055;1\n", ",", [1055]),
        ("a;y\n1.055;1\n", None, [1.055]),
        ("a;y\n1,55;1\n", ".", [1.55]),  # the table proves another sign than in training
        ("a;y\n1.55;1\n", ",", [1.55]),
        ("a;y\n1 055;1\n-;2\n", None, [1055, None]),
    ],
)
def test_a_table_to_predict_is_read_as_the_one_in_training_unless_it_proves_another(
    tmp_path, text, stored, numbers
):
    (tmp_path / "t.csv").write_text(text)
    source = open_table(tmp_path / "t.csv")
    source.decide(None, {"decimal": stored})
    (batch,) = source.batches(["a"], {"a": pa.float64()})
    assert batch.column("a").to_pylist() == numbers


def test_batches_ask_where_neither_training_nor_the_table_tells(tmp_path):
    (tmp_path / "t.csv").write_text('a;y\n"1,055";1\n')
    source = open_table(tmp_path / "t.csv")
    with pytest.raises(BadInput, match="--decimal point if it is 1055"):
        source.decide(None, None)
    source.decide(".", None)
    assert next(source.batches(["a"], {"a": pa.float64()})).column("a").to_pylist() == [1055]


def test_strays_of_a_later_batch_have_the_rows_of_the_table(tmp_path):
    lines = "".join("1.5,2\n" for _ in range(400_000))
    (tmp_path / "t.csv").write_text(f"a,y\n{lines}-,2\n")
    batches = list(open_table(tmp_path / "t.csv").batches(["a"], {"a": pa.float64()}))
    assert len(batches) > 1
    assert Strays.told_by(batches[-1].schema.field("a")).row == 400_001

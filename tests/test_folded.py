"""What ``adabasis reproduce`` prints, and what pages show of it, fits into 80 columns."""

import pathlib

import pytest

from adabasis.experiments.published import WIDTH, Claim, compared, folded

FIGURES = pathlib.Path(__file__).parents[1] / "docs" / "_static" / "figures"
RECORD = {"last": [-3.0], "best": [-3.0], "steps": 10}


@pytest.mark.parametrize("record", sorted(FIGURES.glob("*.txt")), ids=lambda path: path.stem)
def test_records_are_80_columns_wide(record):
    assert max(map(len, record.read_text("utf-8").splitlines())) <= WIDTH == 80


def test_folding_moves_words_to_further_lines_and_changes_none():
    lines = ["short", "  " + "word " * 40 + "end", "word " * 30 + "x" * 100]
    found = folded(lines)
    assert " ".join(found).split() == " ".join(lines).split()
    assert found[0] == "short"
    assert found[1].startswith("  word")
    assert found[2].startswith("      word")
    assert [line for line in found if len(line) > WIDTH] == ["    " + "x" * 100]


def test_a_verdict_begins_with_how_many_numbers_agree():
    claims = {"a": Claim(-3.1, 10), "b": Claim(-5.0, 10), "c": Claim(-2.0, 10), "d": Claim(-2, 99)}
    ours = dict.fromkeys([*claims, "without a claim"], RECORD)
    ours["d"] = RECORD | {"last": [-1.0]}
    assert compared(claims, ours)["verdict"][0] == (
        "Of 4 comparisons with published numbers 1 agrees, 1 is better here, 1 is worse, "
        "1 had fewer steps than published."
    )
    assert "comparisons" not in compared({}, ours)["verdict"][0]

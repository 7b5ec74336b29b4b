"""The benchmark harness: medians, ratios pair by pair, bars, JSON, and what cannot run."""

import json

import numpy as np
import pytest

from benchmarks import __main__ as command
from benchmarks.fitting import Method, Outcome, Problem, compare
from benchmarks.measure import covered
from benchmarks.records import Bar
from benchmarks.registry import CASES, Case

pytestmark = pytest.mark.plain_scope
X = np.linspace(0, 1, 20)[:, None]
PROBLEM = Problem("line", "line", X, X[:, 0], X, X[:, 0], 1.0)


def method(name, error):
    return Method(name, lambda problem, seed: Outcome(lambda x: x[:, 0] + error, steps=seed))


def broken(problem, seed):
    raise RuntimeError("out of luck")


def tiny(*methods, **options):
    return Case(
        "tiny", "a line", lambda settings: compare([PROBLEM], methods, settings),
        error="RMSE", repeats=3, reference="ours", **options,
    )  # fmt: skip


def run(monkeypatch, capsys, tmp_path, case):
    monkeypatch.setitem(CASES, "tiny", case)
    path = tmp_path / "out" / "tiny.json"
    code = command.main(["tiny", "--json", str(path)])
    return code, capsys.readouterr().out, json.loads(path.read_text())


def test_peers_stand_side_by_side_in_a_table_and_in_json(monkeypatch, capsys, tmp_path):
    bars = (Bar("line", "ours", "error", 0.2), Bar("line", "theirs", "error", 0.2))
    case = tiny(method("ours", 0.1), method("theirs", 0.4), bars=bars)
    code, out, stored = run(monkeypatch, capsys, tmp_path, case)
    assert code == 0
    for words in ("ours", "theirs", "error 0.1 ≤ 0.2: met", "error 0.4 ≤ 0.2: MISSED"):
        assert words in out
    (found,) = stored["cases"]
    ours, theirs = found["rows"]
    assert theirs["error_ratio"] == pytest.approx(4)
    assert ours["runs"] == theirs["runs"] == 3
    assert [m["method"] for m in found["measurements"]] == ["ours", "theirs"] * 3
    assert stored["machine"]["versions"]["adabasis"]
    assert "/" not in json.dumps(stored["machine"]["blas"])


def test_a_method_that_fails_has_a_row_and_the_run_an_exit_code(monkeypatch, capsys, tmp_path):
    case = tiny(method("ours", 0.1), Method("theirs", broken))
    code, out, stored = run(monkeypatch, capsys, tmp_path, case)
    assert code == 1
    assert "failed: RuntimeError: out of luck" in out
    assert stored["cases"][0]["measurements"][1]["error"] is None


def test_external_tables_are_skipped_in_one_line(monkeypatch, capsys, tmp_path):
    monkeypatch.delenv("ADABASIS_DATA", raising=False)
    assert command.main(["tables", "--json", str(tmp_path / "t.json")]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[-1] == "tables: skipped: set ADABASIS_DATA to the folder that holds yacht.csv.gz"
    assert len(lines) <= 3  # the machine, and peers that are not installed


def test_the_promised_cases_are_there_and_others_are_named(capsys):
    assert command.main(["--list"]) == 0
    listed = capsys.readouterr().out
    assert {"sine", "tables", "step-ratio"} <= {line.split()[0] for line in listed.splitlines()}
    assert command.main(["sines"]) == 2
    assert "sine, steam" in capsys.readouterr().out


def test_overlapping_compilations_count_once():
    assert covered([(0, 2), (1, 3), (5, 6), (5.2, 5.4)]) == 4

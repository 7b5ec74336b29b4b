"""The benchmark harness: medians, ratios pair by pair, bars, JSON, and what cannot run."""

import json
import subprocess
import sys

import numpy as np
import pytest

from benchmarks import __main__ as command
from benchmarks import gpu, growth_figure
from benchmarks.cases import growth_curves, prediction
from benchmarks.fitting import Method, Outcome, Problem, compare
from benchmarks.measure import covered
from benchmarks.methods.alone import Alone, checkout
from benchmarks.records import Bar, BestOf, Measurement, summarise
from benchmarks.registry import CASES, SUITES, Case

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
    bars = (
        Bar("line", "ours", "error", 0.2),
        Bar("line", "theirs", "error", 0.2),
        Bar("line", "theirs", "error_ratio", 5.0),
    )
    case = tiny(method("ours", 0.1), method("theirs", 0.4), bars=bars)
    code, out, stored = run(monkeypatch, capsys, tmp_path, case)
    assert code == 0
    for words in ("ours", "theirs", "error 0.1 ≤ 0.2: met", "error 0.4 ≤ 0.2: MISSED"):
        assert words in out
    assert "theirs, error ratio 4 ≤ 5: met" in out
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


def rows(*found):
    """Return rows of (group, method, error, CPU seconds[, status])."""
    measured = [
        Measurement(group, "p", name, 0, error, 1.0, 0.0, cpu, None, *status)
        for group, name, error, cpu, *status in found
    ]
    return summarise(measured, "old")


def test_bars_compare_medians_with_a_named_method():
    found = rows(("a", "ours", 0.3, 2.0), ("a", "old", 0.2, 8.0))
    assert Bar("a", "ours", "cpu_seconds", 0.25, "old").judge(found) == (0.25, True)
    assert Bar("a", "ours", "error", 1.03, "old").judge(found) == (pytest.approx(1.5), False)
    assert Bar("a", "ours", "error", 1.03, "old", enough=0.4).judge(found)[1]
    assert Bar("a", "ours", "error", 1.03, "theirs").judge(found) is None
    assert Bar("a", "ours", "cpu_seconds", 0.25, "old").label == "cpu seconds to old"


def test_a_method_that_failed_keeps_no_promise():
    found = rows(("a", "ours", float("nan"), 0.1, "failed: RuntimeError"))
    assert Bar("a", "ours", "cpu_seconds", 5.0).judge(found) == (0.1, False)


@pytest.mark.parametrize(("least", "met"), [(1, True), (2, True), (3, False)])
def test_the_best_of_others_is_met_in_so_many_groups(least, met):
    ours = [("a", "ours", 0.1, 1.0), ("b", "ours", 0.2, 1.0), ("c", "ours", 0.3, 1.0)]
    theirs = [("a", "x", 0.2, 1.0), ("b", "x", 0.1, 1.0), ("b", "y", 0.25, 1.0)]
    theirs += [("c", "x", 0.4, 1.0), ("c", "y", 0.5, 1.0)]
    found = rows(*ours, *theirs)
    assert BestOf(("a", "b", "c"), "ours", ("x", "y"), least).judge(found)[1] is met
    assert BestOf(("a", "d"), "ours", ("x", "y"), least).judge(found) is None


def test_a_suite_runs_its_cases(monkeypatch, capsys, tmp_path):
    monkeypatch.setitem(SUITES, "all-of-it", ("tiny",))
    run(monkeypatch, capsys, tmp_path, tiny(method("ours", 0.1)))
    path = tmp_path / "suite.json"
    assert command.main(["all-of-it", "--json", str(path)]) == 0
    assert [case["case"] for case in json.loads(path.read_text())["cases"]] == ["tiny"]
    assert all(name in CASES for name in SUITES["growth"])


def test_the_lower_left_hull_has_the_corners_that_no_mixture_of_others_beats():
    corners = [(1.0, 1.0), (10.0, 0.01), (1000.0, 0.001)]
    others = [(1.0, 2.0), (3.0, 0.5), (100.0, 0.009), (2000.0, 0.001), (5.0, float("nan"))]
    assert growth_curves.on_the_hull(others + corners) == corners


def test_tables_without_a_corner_of_the_hull_are_counted_and_drawn(tmp_path):
    found = [("a", "adabasis: 1 s", 0.1, 1.0), ("a", "MLP", 0.2, 5.0)]
    found += [("b", "adabasis: 1 s", 0.3, 6.0), ("b", "MLP", 0.2, 5.0)]
    bar = growth_curves.OnHull(("a", "b"), "adabasis", 1.0)
    assert bar.judge(rows(*found)) == (1.0, True)
    assert bar.judge(rows(*found[:1])) is None
    measured = [
        {"group": g, "problem": "p", "method": m, "repeat": 0, "error": e, "seconds": 1.0,
         "compile_seconds": 0.0, "cpu_seconds": c, "steps": None, "status": ""}
        for g, m, e, c in found
    ]  # fmt: skip
    stored, out = tmp_path / "r.json", tmp_path / "out.svg"
    case = {"case": "growth-curves", "reference": "adabasis", "measurements": measured}
    stored.write_text(json.dumps({"cases": [case]}))
    assert growth_figure.main([str(stored), str(out)]) == 0
    assert out.read_text().count("<svg") == 1
    assert "MLP" in out.read_text()


def test_fits_in_their_own_process_count_imports():
    predicted, record = Alone("mlp", options={"max_iter": 2}).run(PROBLEM, 0)
    assert predicted.shape == PROBLEM.y_test.shape
    assert record["steps"] == 2
    assert record["cpu_seconds"] > 0.1  # scikit-learn alone takes longer to import
    assert record["memory"] > 2**24


def test_an_adabasis_from_elsewhere_is_refused(tmp_path):
    with pytest.raises(RuntimeError, match="was to come from the folder"):
        Alone("adabasis", source=tmp_path).run(PROBLEM, 0)


def test_a_commit_that_is_not_there_is_said():
    source, why = checkout("0" * 40)
    assert source is None
    assert why == f"this copy of the repository has no commit {'0' * 40}"


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


AT_ONCE = """
import jax
import numpy as np
from benchmarks.fitting import Method, Outcome, Problem, compare
from benchmarks.registry import Settings

x = np.linspace(0, 1, 20)[:, None]
problems = [Problem(f"line {k}", "line", x, k * x[:, 0], x, k * x[:, 0], 1.0) for k in range(3)]
double = jax.jit(lambda y: 2 * y)
start = float(double(0.5))  # by now this process holds threads of JAX

def method(k):
    return Method(f"{k} off", lambda p, seed: Outcome(lambda x: p.y + k * double(start)))

methods = [method(k) for k in range(2)]
for jobs in (1, 2):
    done = compare(problems, methods, Settings(2, jobs=jobs))
    print([(m.problem, m.method, m.repeat, m.error) for m in done])
"""


def test_fits_in_processes_of_their_own_come_back_in_order():
    asked = [sys.executable, "-c", AT_ONCE]
    done = subprocess.run(asked, capture_output=True, text=True, check=True)
    alone, at_once = done.stdout.splitlines()
    assert at_once == alone
    assert alone.count("line") == 12


def test_overlapping_compilations_count_once():
    assert covered([(0, 2), (1, 3), (5, 6), (5.2, 5.4)]) == 4


def test_the_benchmark_of_accelerators_writes_json_and_stops_in_time(monkeypatch, tmp_path):
    monkeypatch.setattr(gpu.machine, "facts", dict)
    monkeypatch.setattr(gpu, "PARTS", {"one": lambda quick: {"quick": quick}})
    monkeypatch.setenv("ADABASIS_CACHE", "")
    path = tmp_path / "gpu.json"
    assert gpu.main(["--quick", "--json", str(path)]) == 0
    assert json.loads(path.read_text())["one"] == {"quick": True}
    monkeypatch.setattr(gpu, "BUDGET", 0.0)
    assert gpu.main(["--json", str(path)]) == 0
    assert json.loads(path.read_text())["one"] == {"skipped": "no time was left"}


def test_predictions_are_those_of_numpy_in_chunks():
    network = prediction.model()
    x = np.random.default_rng(0).uniform(-1, 1, (3000, prediction.INPUTS))
    np.testing.assert_allclose(prediction.by_numpy(network, x), network.predict(x), atol=1e-10)

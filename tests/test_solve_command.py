"""``adabasis solve`` and the page about a solution."""

import json

import meshio
import numpy as np
import pytest

import adabasis as ab
from adabasis._runtime.errors import BadInput
from adabasis.cli import main
from adabasis.cli.equations import find

pytestmark = pytest.mark.plain_scope

FILE = """
import adabasis as ab
(x,) = ab.pde.coordinates("x")
problem = ab.pde.LinearProblem(
    ab.Box(x=(0, 1)), -ab.operators.Laplacian(), 1.0, [ab.pde.Dirichlet(0.0)], exact=x * (1 - x) / 2
)
"""


def test_a_file_is_solved_with_a_report(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "bar.py").write_text(FILE)
    assert main(["solve", "bar.py", "--report", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["solved"]
    assert found["error"] <= 1e-9
    assert found["written"] == ["bar.html"]
    page = (tmp_path / "bar.html").read_text("utf-8")
    assert "Solved: relative error" in page
    assert "Dirichlet on x = 0" in page
    assert main(["solve", "bar.py", "--report"]) == 2
    assert "--force" in capsys.readouterr().err


SYSTEM = """
import adabasis as ab
x, y = ab.pde.coordinates("x", "y")
u, v = ab.pde.unknowns("u", "v")
L = ab.operators.Laplacian()
problem = ab.pde.Problem(
    ab.Box(x=(0, 1), y=(0, 1)), [L(u) == 0.0, L(v) == 0.0],
    [ab.pde.Dirichlet((x, x * y), of=(u, v))], exact=(x, x * y)
)
"""


def test_systems_are_saved_and_written_on_a_grid(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "two.py").write_text(SYSTEM)
    given = ["--save", "two.adabasis", "--save", "two.vtu"]
    assert main(["solve", "two.py", *given, "--max-seconds", "5", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["written"] == ["two.adabasis", "two.vtu"]
    assert set(found["error_estimates"]) == {"u", "v"}
    at = [[0.25, 0.5]]
    np.testing.assert_allclose(ab.load("two.adabasis")(at), [[0.25, 0.125]], atol=1e-8)
    mesh = meshio.read("two.vtu")
    expected = np.stack([mesh.points[:, 0], mesh.points[:, 0] * mesh.points[:, 1]], axis=1)
    np.testing.assert_allclose(mesh.point_data["uv"][:, :2], expected, atol=1e-8)
    assert main(["solve", "two.py", *given]) == 2
    assert "--force" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("u.stl", "--save u.stl: .adabasis keeps a solution; of grids, .stl is no format"),
        ("u", "no suffix is no format that keeps the values"),
        ("u.npz", "use one of .vtu"),
        ("none/u.adabasis", "cannot write there"),
    ],
)
def test_what_cannot_be_saved_is_refused_before_work(path, message, capsys, monkeypatch):
    monkeypatch.setattr("adabasis.cli.equations.solve", None)
    assert main(["solve", "poisson-1d", "--save", path]) == 2
    assert message in " ".join(capsys.readouterr().err.split())


def test_the_certificate_is_printed_and_nothing_is_written(capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(["solve", "poisson-1d"]) == 0
    text = capsys.readouterr().out
    assert "Solved: relative error" in text
    assert "true relative error" in text
    assert not list(tmp_path.iterdir())


def test_options_are_those_of_python_under_their_old_names_too(capsys, monkeypatch):
    seen = []

    def noted(problem, **options):
        assert len(options.pop("callbacks")) == 1  # what shows progress
        seen.append(options)
        raise BadInput("enough")

    monkeypatch.setattr("adabasis.cli.equations.solve", noted)
    asked = ["--max-steps", "7", "--tol", "1e-3", "--n-restarts", "2", "--max-seconds", "9"]
    asked += ["--ridge", "1e-6"]
    for name in ("--random-state", "--seed"):
        assert main(["solve", "poisson-1d", *asked, name, "4"]) == 2
    budgets = {"max_steps": 7, "tol": 1e-3, "n_restarts": 2, "max_seconds": 9.0, "ridge": 1e-6}
    assert seen == [{"random_state": 4, **budgets}] * 2


def test_the_catalogue_is_listed(capsys):
    assert main(["solve", "--list"]) == 0
    assert "biharmonic" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nothing"], "nor in the catalogue: 'advection-constant'"),
        (["nothing.py"], "no such file"),
        (["poisson-1d", "--max-seconds", "0"], "a positive number"),
        (["poisson-1d", "--seed", "-1"], "at least 0"),
        (["poisson-1d", "--random-state", "-1"], "--random-state -1: expected a whole number"),
        (["poisson-1d", "--n-restarts", "0"], "--n-restarts 0: expected at least 1"),
    ],
)
def test_bad_input_is_named(arguments, message, capsys):
    assert main(["solve", *arguments]) == 2
    assert message in " ".join(capsys.readouterr().err.split())


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("x = 1\nproblem = (", "broken.py, line 2: SyntaxError"),
        ("import adabasis as ab\nab.Box(x=(1, 0))", "broken.py, line 2: ValueError: Box(x=(1, 0))"),
        ("def problem():\n    return 1 / 0", "broken.py, line 2: ZeroDivisionError"),
        ("import nothing_of_this_name", "broken.py, line 1: ModuleNotFoundError"),
        ("raise SystemExit(3)", "broken.py, line 1: SystemExit: 3"),
    ],
)
def test_a_file_that_fails_is_named_with_its_line(text, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "broken.py").write_text(text)
    with pytest.raises(BadInput) as caught:
        find("broken.py")
    assert str(caught.value).startswith(message)


def test_a_file_without_a_problem_is_told_what_it_lacks(tmp_path):
    path = tmp_path / "empty.py"
    path.write_text("")
    with pytest.raises(BadInput, match="to set `problem`"):
        find(str(path))

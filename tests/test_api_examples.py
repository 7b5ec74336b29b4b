"""Every public name has an example on its page of the documentation, and the example runs."""

import doctest
import importlib
import importlib.util
import inspect
import pathlib
import re
import types

import pytest

import adabasis as ab

DOCS = pathlib.Path(__file__).parents[1] / "docs"
SPEC = importlib.util.spec_from_file_location("examples_of_names", DOCS / "examples_of_names.py")
module = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(module)
EXAMPLES = module.examples()
FLAGS = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE


def public_names():
    """Return the names that the pages of the API list."""
    text = (DOCS / "api.rst").read_text("utf-8")
    found = []
    for part in text.split(".. currentmodule:: ")[1:]:
        home = part.split()[0]
        listed = part.split(":toctree: names")[1]
        found += [f"{home}.{name}" for name in re.findall(r"^   (\S+)$", listed, re.MULTILINE)]
    return found


def test_every_public_name_has_an_example():
    import adabasis

    names = public_names()
    assert sorted(EXAMPLES) == sorted(["", *names])
    modules = {
        "basis",
        "callbacks",
        "export",
        "geometry",
        "lstsq",
        "operators",
        "pde",
        "plots",
        "rows",
    }
    modules |= {"tables", "train", "__version__"}
    listed = {name.rpartition(".")[2] for name in names}
    assert {name for name in adabasis.__all__ if name not in modules} - listed <= LATER


def test_an_example_is_that_of_its_name_alone():
    """Methods and functions elsewhere may have the last part of a name, too."""
    read = []
    env = types.SimpleNamespace(note_dependency=read.append)
    app = types.SimpleNamespace(examples=EXAMPLES, env=env)
    for name, has in {
        "adabasis.solve": "ab.solve(rod)",
        "adabasis.lstsq.solve": "lstsq",
        "adabasis.plots.importance": "plots",
        "adabasis.AdaptiveBasisRegressor.fit": "",
        "adabasis.lstsq.Factorization.solve": "",
    }.items():
        lines = []
        module._add(app, "function", name, None, None, lines)
        assert (has in "\n".join(lines)) if has else lines == []
    assert set(read) == {str(module.TEXT)}


def written(function):
    """Return how many letters a signature has without its types."""
    known = inspect.signature(function)
    bare = [one.replace(annotation=one.empty) for one in known.parameters.values()]
    return len(str(known.replace(parameters=bare, return_annotation=known.empty)))


def test_signatures_are_text():
    plain = module._plain
    assert plain(0, 0, 0, 0, 0, "(*names, dtype=<class 'float'>)", "") == (
        "(*names, dtype=float)",
        "",
    )
    assert plain(0, 0, 0, 0, 0, "(by=<factory>)", "") == ("(by=…)", "")
    assert plain(0, 0, 0, 0, 0, f"({'a' * module.LONGEST})", "")[0] == "(…)"
    assert max(map(written, (ab.fit, ab.classify, ab.fit_pounet))) < module.LONGEST
    assert written(ab.Fitted) > module.LONGEST


@pytest.mark.parametrize("name", sorted(set(public_names())))
def test_every_parameter_is_described(name):
    """As numpydoc reads it: an indented line below each name, names in one line."""
    home, _, last = name.rpartition(".")
    doc = inspect.getdoc(getattr(importlib.import_module(home), last)) or ""
    listed = re.search(r"^Parameters\n-+\n(.*?)(?=^\w[\w ]*\n-{3,}$|\Z)", doc, re.M | re.S)
    lines = listed[1].rstrip().splitlines() if listed else []
    heads = [(k, line) for k, line in enumerate(lines) if line and not line.startswith(" ")]
    for k, line in heads:
        assert not line.endswith(","), line
        assert k + 1 < len(lines), line
        assert lines[k + 1].startswith("    "), line


LATER = set()
"""Names that have no page yet."""


@pytest.mark.slow
@pytest.mark.plain_scope
@pytest.mark.filterwarnings("ignore:.*are among those a model was fitted to")
def test_examples_print_what_they_say(capsys):
    parser, runner, scope = doctest.DocTestParser(), doctest.DocTestRunner(optionflags=FLAGS), {}
    for name, code in EXAMPLES.items():
        test = parser.get_doctest(code + "\n", dict(scope), name or "before", None, 0)
        runner.run(test, clear_globs=False)
        scope = scope or test.globs
    assert runner.failures == 0, capsys.readouterr().out
    assert runner.tries >= len(EXAMPLES)

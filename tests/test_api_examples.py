"""Every public name has an example on its page of the documentation, and the example runs."""

import doctest
import importlib.util
import pathlib
import re

import pytest

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

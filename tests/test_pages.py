"""What is done to pages after they were built, and how they are checked."""

import ast
import importlib.util
import pathlib
import re

import pytest

ROOT = pathlib.Path(__file__).parents[1]


def loaded(path):
    spec = importlib.util.spec_from_file_location(path.stem, path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


finished = loaded(ROOT / "docs" / "finished_pages.py")
check = loaded(ROOT / "scripts" / "check_pages.py")


@pytest.mark.parametrize(
    ("link", "mended"),
    [
        ("names/adabasis.basis.Spline.html#adabasis.Spline.knots",
         "names/adabasis.basis.Spline.html#adabasis.basis.Spline.knots"),
        ("names/adabasis.solve.html#adabasis.solve", "names/adabasis.solve.html#adabasis.solve"),
        ("names/adabasis.fit.html#other", "names/adabasis.fit.html#other"),
    ],
)  # fmt: skip
def test_links_from_sources_lead_to_the_anchor_of_the_name(link, mended):
    assert finished.mended(f'<a href="../{link}">') == f'<a href="../{mended}">'


def test_headings_get_a_level_and_sidebars_a_name_once():
    page = '<p role="heading"><aside class="sidebar-drawer"><aside class="toc-drawer">'
    once = finished.mended(page)
    assert once == finished.mended(once)
    assert 'aria-level="2"' in once
    assert once.count("aria-label=") == 2


def test_references_are_no_list_without_items():
    page = '<div role="list" class="citation-list"><div class="citation" role="doc-biblioentry">'
    assert finished.mended(page) == '<div class="citation-list"><div class="citation">'


def test_a_link_to_nothing_and_a_page_of_elsewhere_are_found(tmp_path):
    page = tmp_path / "page.html"
    page.write_text(
        '<a href="#there">a</a><i id="there"></i><a href="#gone">b</a><a href="no.html">c</a>'
        '<a href="https://example.org">d</a><script src="https://example.org/x.js"></script>'
    )
    assert check.broken([page]) == [
        "page.html: no place #gone",
        "page.html: no file no.html",
        "page.html: loads https://example.org/x.js",
    ]


#: Columns that a block of code shows without a scroll bar on a page, and on that of a name, at the
#: size of letters that docs/_static/plain.css sets.
PAGE, NAME = 98, 93


@pytest.mark.parametrize(
    ("files", "widest"),
    [
        (sorted((ROOT / "docs").glob("*.md")), PAGE),
        (sorted((ROOT / "examples").glob("*/plot_*.py")), PAGE + 1),
        ([ROOT / "docs" / "api-examples.txt"], NAME),
    ],
)
def test_code_is_no_wider_than_its_page(files, widest):
    assert files
    for file in files:
        text = file.read_text("utf-8")
        if file.suffix == ".md":
            blocks = re.findall(r"```(?:python|py|sh|text|console)\n(.*?)```", text, re.DOTALL)
            lines = "\n".join(blocks).splitlines()
        else:
            lines = [line for line in text.splitlines() if not line.startswith("# ")]
        assert [line for line in lines if len(line) > widest] == [], file.name


def test_no_summary_of_a_name_ends_in_the_middle():
    """The list of names shows a docstring up to its first full stop and space."""
    names = re.findall(r"^   (?:\w+\.)*(\w+)$", (ROOT / "docs" / "api.rst").read_text(), re.M)
    known = {}
    for file in (ROOT / "src" / "adabasis").rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text("utf-8"))):
            if isinstance(node, ast.ClassDef | ast.FunctionDef) and node.name in names:
                known[file.stem, node.name] = ast.get_docstring(node) or ""
    assert len(known) >= len(set(names)) // 2
    cut = {at: text for at, text in known.items() if re.match(r"[^\n]*\b(?:eq|Eq|cf|vs)\. ", text)}
    assert cut == {}

"""The report page: whole, offline, escaped, and about the rows it says it is about."""

import dataclasses
import html.parser
import re

import numpy as np
import pytest

from adabasis import report
from adabasis.basis import FrozenFeatures
from adabasis.evidence.verdict import Score, Verdict
from adabasis.models.fitted import NO_RECORD, Fitted
from adabasis.models.record import Tried
from adabasis.plots import style
from adabasis.regression.api import fit
from adabasis.report import sections

from .registry import FUNCTIONS, fitted, points

VERDICT = Verdict(
    48, 12, (Score("this model", 0.0123, (0.5, 0.6)), Score("other", 0.3, (7.0, 8.0), 9.0)),
    "24 times the accuracy.", ("Give it more time.",),
)  # fmt: skip
VOID = {"input", "meta", "link", "br", "hr", "img", "path", "use", "image", "rect", "circle"}


def changed(model, **fields):
    return dataclasses.replace(model, **fields)


def recorded(model, **fields):
    return changed(model, record=dataclasses.replace(model.record, **fields))


def small(n_inputs, n_rows=64):
    """Return a frozen model of a few functions."""
    x = np.random.default_rng(0).uniform(0, 1, (n_rows, n_inputs))
    x[0], x[1] = 0, 1
    return fit(x, np.sin(x.sum(axis=1)), FrozenFeatures(8, scale=1.0), method="frozen")


class Page(html.parser.HTMLParser):
    """Reads a page, checks that tags nest, and collects what tests ask for."""

    def __init__(self, text):
        super().__init__()
        self.open, self.tags, self.words, self.source = [], [], [], text
        self.feed(text)
        assert self.open == []

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))

    def handle_endtag(self, tag):
        if tag not in VOID:
            assert self.open.pop() == tag

    def handle_data(self, text):
        if self.open[-1:] not in (["style"], ["script"]):
            self.words.append(" ".join(text.split()))

    def all(self, tag):
        return [attributes for name, attributes in self.tags if name == tag]

    @property
    def text(self):
        return " ".join(self.words)


def evidence_of(model, n=40):
    x = points(model.box, n)
    y = np.asarray(model(x)).reshape(n, -1) + 1e-3
    return report.Evidence.of(model, x, y, f"{n} rows of a test")


@pytest.fixture
def model():
    return fitted(FUNCTIONS["plain tanh"])


def page_of(tmp_path, model, **options):
    path = tmp_path / "page.html"
    report.write(path, model, **options)
    return Page(path.read_text("utf-8"))


def titles(page):
    return re.findall(r"<h2[^>]*>(.*?)</h2>", page.source)


@pytest.fixture
def page(tmp_path, model):
    return page_of(
        tmp_path,
        model,
        evidence=evidence_of(model),
        verdict=VERDICT,
        provenance={"command": "adabasis fit t.csv", "table SHA-256": "ab" * 32},
    )


def test_the_verdict_comes_first_and_provenance_last(page):
    assert titles(page) == [
        "Verdict",
        "The fitted function",
        "What each input does",
        "Try it",
        "Measured and predicted",
        "Error while training",
        "Basis functions",
        "Independence of the functions",
        "What was tried",
        "How it was made",
    ]
    text = page.text
    for words in ("24 times the accuracy.", "0.0123", "Give it more time.", "40 rows of a test",
                  "adabasis fit t.csv", "ab" * 32, "Ω ≠ ∅: a note.", "method='lsgd'"):  # fmt: skip
        assert words in text, words
    assert text.index("24 times") < text.index("The fitted function")


def test_nothing_is_fetched_and_nothing_runs_but_the_sliders(page):
    assert page.all("script") == [{}]
    assert not re.search(r"fetch\(|XMLHttpRequest|WebSocket|import\(|sendBeacon", page.source)
    assert "url(http" not in page.source
    assert "@import" not in page.source
    for tag, attributes in page.tags:
        for name in ("src", "href", "xlink:href"):
            assert attributes.get(name, "#").startswith(("#", "data:")), (tag, attributes)
        assert not [name for name in attributes if name.startswith("on")]


def test_ids_are_unique_and_every_reference_has_one(page):
    ids = [attributes["id"] for _, attributes in page.tags if "id" in attributes]
    assert len(ids) == len(set(ids))
    used = re.findall(r'(?:href="#|url\(#|aria-labelledby=")([^")]+)', page.source)
    assert used
    assert set(used) <= set(ids)


def test_a_screen_reader_finds_its_way(page):
    assert page.all("html") == [{"lang": "en"}]
    assert len(page.all("h1")) == len(page.all("main")) == 1
    drawings = page.all("svg")
    assert len(drawings) == len(page.all("figure")) == len(page.all("figcaption")) > 8
    assert all(svg["role"] == "img" and "viewbox" in svg for svg in drawings)
    alts = re.findall(r"<svg[^>]*><title[^>]*>(.*?)</title>", page.source)
    assert len(alts) == len(drawings)
    assert all(len(alt) > 20 for alt in alts)
    assert all(th["scope"] in ("row", "col") for th in page.all("th"))


def test_figures_take_their_colours_from_the_page(page):
    """So they can be read in the light, in the dark and on paper."""
    drawings = "".join(re.findall(r"<svg.*?</svg>", page.source, re.DOTALL))
    for colour in (style.INK, style.FAINT, style.BLUE, style.ORANGE, style.RED):
        assert colour not in drawings
    used = set(re.findall(r"var\((--\w+)\)", page.source))
    css = page.source[: page.source.index("</style>")]
    light, dark = (css.count(f"{name}: #") for name in ("--ink", "--paper"))
    assert light == dark == 2
    assert all(css.count(f"{name}: #") == 2 for name in used)
    assert "prefers-color-scheme: dark" in css
    assert "@media print" in css


@pytest.mark.parametrize("name", ["<script>alert(1)</script>", '"><img src=x onerror=y>', "a & b"])
def test_names_are_text_and_never_markup(tmp_path, model, name):
    asked = dataclasses.replace(model.record.asked, method=name)
    names = {"input_names": [name, name], "output_names": [name, "b"]}
    tried = (Tried(name),) * 2
    named = recorded(changed(model, notes=(name,)), asked=asked, tried=tried, **names)
    verdict = dataclasses.replace(VERDICT, sentence=name, advice=(name,))
    evidence = dataclasses.replace(evidence_of(named), label=name)
    page = page_of(tmp_path, named, evidence=evidence, verdict=verdict, provenance={name: name})
    assert name in page.text
    assert page.all("script") == [{}]
    assert not [attributes for _, attributes in page.tags if "onerror" in attributes]


def test_errors_are_those_of_the_evidence_not_of_a_model_refitted_since(tmp_path, model):
    """The command line judges a model on held-out rows, then solves again with all rows."""
    x = points(model.box, 30)
    y = np.asarray(model(x))
    predicted = y + np.linspace(0, 2.0, 30)[:, None]
    evidence = report.Evidence(x, y, predicted, "rows")
    page = page_of(tmp_path, model, evidence=evidence)
    rms = np.sqrt(np.mean((predicted - y) ** 2))
    assert f"root mean square error {rms:.3g}" in page.source
    assert "largest 2." in page.source
    worst = page.text[page.text.index("The largest errors") :]
    assert f"{y[29, 0]:.6g}" in worst[:300]
    assert f"{predicted[29, 0]:.6g}" in worst[:300]


def test_a_row_is_described_in_the_words_of_its_table(model):
    table = [
        {"name": "length", "kind": "number", "categories": []},
        {"name": "kind", "kind": "text", "categories": ["cold", "hot"]},
        {"name": "on", "kind": "bool", "categories": []},
    ]
    about = {"input_names": list("abcd"), "preparation": {"inputs": table}}
    place = sections.place(recorded(model, **about), np.array([0.25, 0, 1, 1]))
    assert place == "length = 0.25, kind = hot, on = true"
    place = sections.place(recorded(model, **about), np.array([16600.0, 0, 0, 0]))
    assert place == "length = 16,600, kind = another, on = false"


def test_the_same_model_gives_the_same_page(tmp_path, model):
    for name in "ab":
        report.write(tmp_path / name, model, evidence=evidence_of(model), verdict=VERDICT)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_a_page_that_fails_leaves_the_old_one(tmp_path, model):
    path = tmp_path / "page.html"
    path.write_text("old")
    broken = changed(model, singular_values=None)
    with pytest.raises(TypeError):
        report.write(path, broken)
    assert path.read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["page.html"]


def test_many_rows_make_no_huge_page(tmp_path, model):
    path = tmp_path / "page.html"
    report.write(path, model, evidence=evidence_of(model, 20_000), verdict=VERDICT)
    assert path.stat().st_size < 1_500_000


@pytest.mark.parametrize("n_inputs", [1, 2, 3])
@pytest.mark.parametrize("n_rows", [0, 1, 2])
def test_few_rows_of_evidence_are_enough(tmp_path, n_inputs, n_rows):
    model = small(n_inputs)
    x = np.full((n_rows, n_inputs), 0.5)
    page = page_of(tmp_path, model, evidence=report.Evidence.of(model, x, model(x)))
    assert ("Measured and predicted" in titles(page)) == (n_rows > 0)
    assert ("Basis functions" in titles(page)) == (n_inputs < 3)
    assert "rows not seen" in page.text  # the verdict of the fit itself


def test_a_model_that_knows_little_of_itself_still_has_a_page(tmp_path, model):
    bare = changed(
        model, initial_parameters=None, record=NO_RECORD, notes=(),
        validation_error=float("nan"), singular_values=np.full(8, np.nan),
    )  # fmt: skip
    page = page_of(tmp_path, bare)
    assert "how good the model is elsewhere is not known" in page.text
    assert titles(page) == [
        "Verdict",
        "The fitted function",
        "What each input does",
        "Try it",
        "Error while training",
        "How it was made",
    ]


def test_many_outputs_are_cut_and_said_to_be(tmp_path):
    x = np.random.default_rng(0).uniform(0, 1, (40, 2))
    model = fit(x, x @ np.ones((2, 9)), FrozenFeatures(8, scale=1.0), method="frozen")
    page = page_of(tmp_path, model)
    assert "The first 4 of 9 outputs are shown." in page.text


def test_fitted_report_takes_rows_with_answers(tmp_path):
    model = small(2)
    x = points(model.box, 20)
    model.report(tmp_path / "a.html", x, model(x))
    assert "20 rows given" in (tmp_path / "a.html").read_text()
    model.report(str(tmp_path / "b.html"))
    assert "Measured" not in (tmp_path / "b.html").read_text()
    with pytest.raises(ValueError, match="both or neither"):
        model.report(tmp_path / "c.html", x)
    with pytest.raises(ValueError, match=r"expected y of shape \(20, 1\), got \(19,\)"):
        model.report(tmp_path / "c.html", x, model(x)[:19])
    assert not (tmp_path / "c.html").exists()


def test_other_kinds_of_result_add_their_sections(tmp_path, model, monkeypatch):
    class Solved(Fitted):
        pass

    monkeypatch.setattr(sections, "_SECTIONS", list(sections._SECTIONS))

    @sections.section(Solved, "Certificate")
    def certificate(subject):
        yield sections.Text(f"Rank {subject.model.rank}.")

    @sections.section(Solved, "Nothing to say")
    def nothing(subject):
        yield from ()

    fields = {f.name: getattr(model, f.name) for f in dataclasses.fields(model)}
    page = page_of(tmp_path, Solved(**fields))
    assert titles(page)[-1] == "Certificate"
    assert "Rank 5." in page.text
    assert "Certificate" not in titles(page_of(tmp_path, model))

"""Questions that people asked in public are answered on pages two clicks from the front."""

import pathlib
import re

DOCS = pathlib.Path(__file__).parents[1] / "docs"
FAQ = (DOCS / "faq.md").read_text("utf-8")
ENTRIES = re.split(r"\n\n(?=[A-Z][^\n]*\n: )", FAQ)[1:]


def places(page):
    """Return the anchors of a page's headings, as the documentation makes them."""
    titles = re.findall(r"^##? (.+)$", (DOCS / page).read_text("utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


def test_there_are_ten_questions_with_their_sources():
    assert len(ENTRIES) >= 10
    for entry in ENTRIES:
        assert re.search(r"https://github\.com/\S+/(issues|pull)/\d+", entry), entry


def test_every_answer_leads_to_a_place_that_exists():
    assert "[](faq.md)" in (DOCS / "index.md").read_text("utf-8")  # the first click
    for entry in ENTRIES:
        (link,) = re.findall(r"\]\(((?!https)[^)]+)\)", entry)  # the second
        page, _, place = link.partition("#")
        assert (DOCS / page).is_file(), link
        assert not place or place in places(page), link


def section_of(link):
    """Return the text of the section that a link leads to: up to the next one of its level."""
    page, _, place = link.partition("#")
    parts = re.split(r"^(?=##? )", (DOCS / page).read_text("utf-8"), flags=re.MULTILINE)
    titled = {}
    for part in parts:
        title = re.match(r"##? (.+)", part)
        if title:
            titled[re.sub(r"[^\w\- ]", "", title[1].lower()).replace(" ", "-")] = part
    return titled[place] if place else "".join(parts)


#: What the section behind a question has to say for its answer.
SAID = {
    "weights of the loss terms": "There are no weights to tune",
    "loss is very small": "size of a correction",
    "depend on the units": "pascals beside velocities",
    "solve a system": "pde.MeanValue(0.0, of=p)",
    "Two materials meet": "pde.Interface(",
    "converges for a few periods": "many short pieces of a",
    "the gradient of a solution": "u.apply(operator, X)",
    "gradient of a fitted network": "fitted.gradient(",
    "rows count differently": "sample_weight",
    "runs out of memory": "triangles of chunks",
}


def test_the_place_behind_every_answer_says_it():
    assert len(SAID) == len(ENTRIES)
    for entry in ENTRIES:
        (words,) = [said for question, said in SAID.items() if question in entry.split("\n")[0]]
        (link,) = re.findall(r"\]\(((?!https)[^)]+)\)", entry)
        assert words in section_of(link), (entry.split("\n")[0], link)


def test_pages_are_listed():
    index = (DOCS / "index.md").read_text("utf-8")
    for page in DOCS.glob("*.md"):
        assert page.stem == "index" or f"\n{page.stem}\n" in index, page.name

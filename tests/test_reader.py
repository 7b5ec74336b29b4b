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


def test_pages_are_listed():
    index = (DOCS / "index.md").read_text("utf-8")
    for page in DOCS.glob("*.md"):
        assert page.stem == "index" or f"\n{page.stem}\n" in index, page.name

"""What built pages lack: links from sources to names, and what a screen reader asks for.

- A module has names of several public places, such as ``adabasis.NeuralBasis`` and
  ``adabasis.basis.ProjectedFeatures``; ``sphinx.ext.viewcode`` links all of them as the first one.
  The page of a name is called after it, so that the anchor follows from the page.
- Captions of the list of pages have the role of a heading without its level, and the two sidebars
  of the theme have no names.
"""

import pathlib
import re

LINK = re.compile(r"(names/((?:\w+\.)*(\w+))\.html)#[\w.]*?\b\3\b")
NAMED = {
    'role="heading">': 'role="heading" aria-level="2">',
    '<aside class="sidebar-drawer">': '<aside class="sidebar-drawer" aria-label="Pages">',
    '<aside class="toc-drawer">': '<aside class="toc-drawer" aria-label="On this page">',
}


def mended(text):
    """Return a page with links that lead somewhere, levels of headings and names of sidebars."""
    text = LINK.sub(lambda found: f"{found[1]}#{found[2]}", text)
    for before, after in NAMED.items():
        text = text.replace(before, after)
    return text


def _mend(app, error):
    if error is not None or app.builder.format != "html":
        return
    for page in pathlib.Path(app.outdir).rglob("*.html"):
        text = page.read_text("utf-8")
        better = mended(text)
        if better != text:
            page.write_text(better, "utf-8")


def setup(app):
    """Register with Sphinx."""
    app.connect("build-finished", _mend)
    return {"parallel_read_safe": True}

"""What built pages lack: links from sources to names, and what a screen reader asks for.

- A module has names of several public places, such as ``adabasis.NeuralBasis`` and
  ``adabasis.basis.ProjectedFeatures``; ``sphinx.ext.viewcode`` links all of them as the first one.
  The page of a name is called after it, so that the anchor follows from the page.
- Captions of the list of pages have the role of a heading without its level, the two sidebars of
  the theme have no names, wide blocks of code cannot be scrolled by keys, heads of tables
  are empty, links of the gallery's pictures have no words, and references have roles that lists of
  today lack.
"""

import pathlib
import re

LINK = re.compile(r"(names/((?:\w+\.)*(\w+))\.html)#[\w.]*?\b\3\b")
#: Of a picture of the gallery, whose words are hidden.
PICTURED = re.compile(
    r'(<a class="reference internal" href="[^"]+")(><span class="doc">([^<]+)</span></a></p>\s*'
    r'<div class="sphx-glr-thumbnail-title">)'
)
NAMED = {
    'role="heading">': 'role="heading" aria-level="2">',
    '<aside class="sidebar-drawer">': '<aside class="sidebar-drawer" aria-label="Pages">',
    '<aside class="toc-drawer">': '<aside class="toc-drawer" aria-label="On this page">',
    "<pre>": '<pre tabindex="0">',
    '<th class="head"><p></p></th>': '<td class="head"></td>',
    '<div role="list" class="citation-list">': '<div class="citation-list">',
    ' role="doc-biblioentry"': "",
}


def mended(text):
    """Return a page with links that lead somewhere, levels of headings and names of sidebars."""
    text = LINK.sub(lambda found: f"{found[1]}#{found[2]}", text)
    text = PICTURED.sub(lambda found: f'{found[1]} aria-label="{found[3]}"{found[2]}', text)
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

"""Examples of public names, read from ``api-examples.txt`` and added to their pages.

Signatures lose what is no text for a reader: factories, classes, and the defaults of results, which
nobody calls. Fields of named tuples are described by their class.
"""

import pathlib
import re

TEXT = pathlib.Path(__file__).with_name("api-examples.txt")
#: Letters from which a signature is that of a result: of what is called the longest has 600.
LONGEST = 700


def examples():
    """Return the code of each name; that of "" comes before all others."""
    parts = re.split(r"^== (.*?) ?==$", TEXT.read_text("utf-8"), flags=re.MULTILINE)
    return {name: code.strip() for name, code in zip(parts[1::2], parts[2::2], strict=True)}


def _add(app, what, name, obj, options, lines):
    app.env.note_dependency(str(TEXT))  # else a page keeps an example that has changed
    if name in app.examples and name:
        heading = [] if ".. rubric:: Examples" in lines else [".. rubric:: Example", ""]
        lines += ["", *heading, *app.examples[name].splitlines(), ""]


def _plain(app, what, name, obj, options, signature, returned):
    if not signature:
        return None
    if len(signature) > LONGEST:
        signature = "(…)"
    signature = re.sub(r"<class '([\w.]+)'>", r"\1", signature.replace("<factory>", "…"))
    return signature, returned


def _skip(app, what, name, obj, skip, options):
    return True if (getattr(obj, "__doc__", "") or "").startswith("Alias for field") else None


def setup(app):
    """Register with Sphinx."""
    app.examples = examples()
    app.connect("autodoc-process-docstring", _add, priority=900)
    app.connect("autodoc-process-signature", _plain)
    app.connect("autodoc-skip-member", _skip)
    return {"parallel_read_safe": True}

"""Examples of public names, read from ``api-examples.txt`` and added to their pages."""

import pathlib
import re

TEXT = pathlib.Path(__file__).with_name("api-examples.txt")


def examples():
    """Return the code of each name; that of "" comes before all others."""
    parts = re.split(r"^== (.*?) ?==$", TEXT.read_text("utf-8"), flags=re.MULTILINE)
    return {name: code.strip() for name, code in zip(parts[1::2], parts[2::2], strict=True)}


def _add(app, what, name, obj, options, lines):
    home = getattr(obj, "__module__", "") or ""
    for known, code in app.examples.items():
        path, _, last = known.rpartition(".")
        same = last == name.rpartition(".")[2] and home.startswith(path.split(".")[0])
        if (
            known
            and same
            and (known == name or name.startswith(path + ".") or home.startswith(path))
        ):
            lines += ["", ".. rubric:: Example", "", *code.splitlines(), ""]
            return


def setup(app):
    """Register with Sphinx."""
    app.examples = examples()
    app.connect("autodoc-process-docstring", _add, priority=900)
    return {"parallel_read_safe": True}

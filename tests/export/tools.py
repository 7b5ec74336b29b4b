"""Which formats can be run and compared here: some need a compiler or Node.js."""

import shutil

from adabasis.export.c import compiler

NEEDED = {
    ".c": compiler,
    ".js": lambda: shutil.which("node"),
    ".html": lambda: shutil.which("node"),
}


def run_here(*suffixes):
    """Return those of some formats that can be run here."""
    return [suffix for suffix in suffixes if NEEDED.get(suffix, lambda: True)()]

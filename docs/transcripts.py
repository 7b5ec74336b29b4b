"""What the documentation shows of the command line, run anew so that no number goes stale.

``TRANSCRIPTS`` are commands; their output is written below ``_build`` before the pages are read,
unless the package has not changed since. The report of the tutorial is published beside the pages.
"""

import os
import pathlib
import shlex
import shutil
import subprocess
import sys
import tempfile
import textwrap

HERE = pathlib.Path(__file__).parent
TEXTS, PAGES = HERE / "_build" / "transcripts", HERE / "_build" / "pages"
DATA = HERE.parent / "examples" / "data"
TRANSCRIPTS = {
    "target": "adabasis fit readings.csv --target enthalpy",
    "fit": "adabasis fit readings.csv --target enthalpy_kJ_per_kg",
    "predict": "adabasis predict readings.adabasis new-states.csv",
    "predictions": "head -4 new-states-predictions.csv",
    "show": "adabasis show readings.adabasis",
}


def stale():
    """Say whether anything has changed since the transcripts were written."""
    files = [
        *HERE.parent.joinpath("src").rglob("*.py"),
        *DATA.glob("*.csv"),
        pathlib.Path(__file__),
    ]
    changed = max(file.stat().st_mtime for file in files)
    written = [TEXTS / f"{name}.txt" for name in TRANSCRIPTS]
    return not all(text.exists() and text.stat().st_mtime > changed for text in written)


def run(command, folder):
    """Return a command with its output, as a person sees it at 80 columns."""
    tokens = shlex.split(command)
    if tokens[0] == "adabasis":
        tokens = [sys.executable, "-m", *tokens]
    done = subprocess.run(
        tokens, cwd=folder, capture_output=True, text=True, env=os.environ | {"COLUMNS": "80"}
    )
    shown = done.stdout  # progress is left out
    if not shown:
        lines = done.stderr.splitlines()
        shown = "\n".join(textwrap.fill(line, 80, subsequent_indent="  ") for line in lines)
    return f"$ {command}\n{shown.rstrip()}\n"


def write(_app):
    """Run the commands in a folder that holds the readings of steam."""
    if not stale():
        return
    for folder in (TEXTS, PAGES):
        folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        for table in ("readings.csv", "new-states.csv"):
            shutil.copy(DATA / table, folder / table)
        for name, command in TRANSCRIPTS.items():
            (TEXTS / f"{name}.txt").write_text(run(command, folder))
        shutil.copy(folder / "readings.html", PAGES / "readings-report.html")


def setup(app):
    """Register with Sphinx."""
    app.connect("builder-inited", write)
    return {"parallel_read_safe": True}

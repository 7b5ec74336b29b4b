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
STEAM = HERE.parent / "examples" / "data" / "steam.csv"
TRANSCRIPTS = {
    "target": "adabasis fit steam.csv --target enthalpy",
    "fit": "adabasis fit steam.csv --target enthalpy_kJ_per_kg --drop pressure_bar",
    "predict": "adabasis predict steam.adabasis new.csv",
    "predictions": "head -4 new-predictions.csv",
    "show": "adabasis show steam.adabasis",
}
NEW = """temperature_C,log10_pressure_bar
200,0
350,1
900,1
"""


def stale():
    """Say whether anything has changed since the transcripts were written."""
    files = [*HERE.parent.joinpath("src").rglob("*.py"), STEAM, pathlib.Path(__file__)]
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
    """Run the commands in a folder that holds the steam of superheated states."""
    if not stale():
        return
    for folder in (TEXTS, PAGES):
        folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        head, *rows = STEAM.read_text().splitlines()
        rows = [row.rpartition(",")[0] for row in rows if row.endswith(",1")]
        lines = [head.rpartition(",")[0], *rows]
        (folder / "steam.csv").write_text("\n".join(lines) + "\n")
        (folder / "new.csv").write_text(NEW)
        for name, command in TRANSCRIPTS.items():
            (TEXTS / f"{name}.txt").write_text(run(command, folder))
        shutil.copy(folder / "steam.html", PAGES / "steam-report.html")


def setup(app):
    """Register with Sphinx."""
    app.connect("builder-inited", write)
    return {"parallel_read_safe": True}

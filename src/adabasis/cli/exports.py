"""What the command line does to export a model."""

from __future__ import annotations

import dataclasses
from pathlib import Path

from rich.console import Console

from .._runtime.errors import BadInput
from ..export import NotExportable, export
from ..report.terminal import Screen
from .tables import Outcome, read_model, writable


def export_model(
    model_path: Path, out: Path, console: Console, *, single: bool, force: bool, quiet: bool
) -> Outcome:
    """Write a model to a file that needs no adabasis.

    Raises
    ------
    BadInput
        For a file that exists, and models that the format cannot hold.
    """
    if single and out.suffix != ".onnx":
        raise BadInput(f"--single: only ONNX is written in single precision, not {out.suffix}.")
    model = read_model(model_path)
    out = writable(out, "FILE", force)
    view = Screen(console, quiet)
    try:
        with view.working("exporting"):
            found = export(model, out, dtype="float32" if single else None)
    except NotExportable as error:
        raise BadInput(str(error)) from error
    _, *lines = found.lines()
    for line in lines:
        view.line(f"  {line}", hang=2)
    view.command(f"Written: {out} ({found.format})")
    difference = found.difference and dataclasses.asdict(found.difference)
    return Outcome(
        {
            "written": [str(out)],
            "format": found.format,
            "difference": difference,
            "checked_by": found.by,
            "notes": list(found.notes),
        }
    )

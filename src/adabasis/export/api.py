"""Exporting a model: one file in a format that needs no adabasis, compared with the model."""

from __future__ import annotations

import dataclasses
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ..models.files import write_atomic
from ..models.fitted import Fitted
from . import c, files, formula, javascript, page
from .check import Difference, compared
from .trace import NotExportable

#: What each suffix holds.
FORMATS: dict[str, tuple[str, Callable[..., files.Written]]] = {
    ".py": ("Python that needs NumPy only", files.in_python),
    ".onnx": ("ONNX", files.in_onnx),
    ".c": ("C", files.in_c),
    ".js": ("JavaScript", files.in_javascript),
    ".html": ("a page that evaluates the model", page.in_html),
    ".jax": ("JAX's own format (StableHLO)", files.by_jax),
    ".tex": ("a formula in LaTeX", formula.in_latex),
    ".sympy": ("a formula for SymPy", formula.in_sympy),
}


@dataclasses.dataclass(frozen=True)
class Exported:
    """What was written, and how far it is from the model.

    Attributes
    ----------
    path : pathlib.Path
    format : str
        In words.
    difference : Difference or None
        From the values of the model; ``None`` where nothing on this machine runs the file.
    by : str
        What ran it, or why nothing did.
    notes : tuple of str
        What the file does not hold, and what it needs.
    """

    path: Path
    format: str
    difference: Difference | None
    by: str
    notes: tuple[str, ...]

    def __str__(self) -> str:
        """Say all of it."""
        return "\n".join(self.lines())

    def lines(self) -> list[str]:
        """Return what there is to say, a line each."""
        checked = (
            f"not checked: {self.by}"
            if self.difference is None
            else f"{self.by}: {self.difference}"
        )
        return [f"{self.path}: {self.format}", checked, *self.notes]


def export(model: Fitted, path: str | os.PathLike[str], *, dtype: str | None = None) -> Exported:
    """Write a model to a file that needs no adabasis, and compare it with the model.

    Parameters
    ----------
    model : Fitted
    path : path
        Its suffix chooses the format: ``.py``, ``.onnx``, ``.c``, ``.js``, ``.html``, ``.jax``,
        ``.tex`` or ``.sympy``.
    dtype : {"float64", "float32"}, optional
        Of ONNX alone; the others are in double precision.

    Returns
    -------
    Exported

    Raises
    ------
    NotExportable
        Where a format cannot hold the model: what it lacks, and what to do.
    RuntimeError
        If the file does not have the values of the model; nothing is written then.
    """
    path = Path(path)
    call = f"export({path.name!r})"
    if path.suffix not in FORMATS:
        raise ValueError(
            f"{call}: the suffix {path.suffix!r} is that of no format: expected one of "
            f"{', '.join(FORMATS)}."
        )
    if dtype not in (None, "float64", "float32"):
        raise ValueError(f"{call}, dtype={dtype!r}: expected 'float64' or 'float32'.")
    if dtype == "float32" and path.suffix != ".onnx":
        raise ValueError(
            f"{call}, dtype='float32': only ONNX is written in single precision. Leave dtype out."
        )
    title, write = FORMATS[path.suffix]
    options: dict[str, Any] = {"name": _identifier(path.stem), "dtype": dtype}
    try:
        _check_kind(model)
        written = write(model, options)
    except NotExportable as error:
        raise NotExportable(f"{call}: {error}") from error
    difference = None if written.called is None else compared(model, written.called)
    if difference is not None and not (
        difference.round_off or difference.relative <= written.tolerated
    ):
        raise RuntimeError(
            f"{call}: what was made differs from the model by more than round-off ({difference}; "
            f"{written.by}). Nothing was written. Please report this with the model file."
        )
    write_atomic(path, written.data)
    return Exported(path, title, difference, written.by, written.notes)


def _check_kind(model: Fitted) -> None:
    """Refuse models whose values are not those of one function."""
    regions = getattr(model, "regions", None)
    if regions:
        names = ", ".join(f'solution["{name}"]' for name in model.record.output_names)
        raise NotExportable(
            f"this solution has functions of its own in each of {len(regions)} regions, which no "
            f"format chooses between. Export them one by one: {names}."
        )


def _identifier(stem: str) -> str:
    """Return the name of a function after that of its file: none that C or JavaScript has."""
    name = re.sub(r"\W+", "_", stem, flags=re.ASCII).strip("_") or "model"
    taken = {*c.RESERVED.split(), *javascript.RESERVED.split()} - {"model"}
    return f"model_{name}" if name[0].isdigit() or name in taken else name

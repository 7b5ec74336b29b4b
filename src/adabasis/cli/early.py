"""What can be refused before anything heavy is imported: files that are not there, bad options.

The commands check again, and more; here a mistake costs a tenth of a second instead of five.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from .._runtime.errors import BadInput

#: Suffixes of the files that models are exported to, as in ``adabasis.export.FORMATS``.
SUFFIXES = (".py", ".onnx", ".c", ".js", ".html", ".jax", ".tex", ".sympy")
_SEVERAL = "*?[{,"


def check(command: str, arguments: Mapping[str, Any]) -> None:
    """Refuse the arguments of a command that cannot be meant, in the words of the command.

    Raises
    ------
    BadInput
    """
    options = arguments.get("options")
    if options is not None:
        options.check()
    if command == "export" and Path(arguments["file"]).suffix not in SUFFIXES:
        _check_suffix(arguments)
    for name in ("model", "model_a", "model_b"):
        path = arguments.get(name)
        swapped = any(
            str(value).endswith(".adabasis") for key, value in arguments.items() if key != name
        )
        if (
            isinstance(path, Path)
            and not path.is_file()
            and not (swapped and path.suffix != ".adabasis")
        ):
            raise BadInput(f"{path}: no such model file.")
    table = str(arguments.get("table") or "")
    several = "::" in table or any(c in table for c in _SEVERAL)
    # Of a model in the place of the table the command says what comes first.
    if table and not several and not table.endswith(".adabasis") and not Path(table).exists():
        raise BadInput(f"{table}: no such file.")
    what = arguments.get("what", "")
    if command == "solve" and what.endswith(".py") and not Path(what).is_file():
        raise BadInput(f"{what}: no such file.")


def _check_suffix(arguments: Mapping[str, Any]) -> None:
    out, model = Path(arguments["file"]), Path(arguments["model"])
    if out.suffix == ".adabasis" and model.suffix != out.suffix:
        raise BadInput(f"The model comes first: adabasis export {out} {model}")
    raise BadInput(
        f"{out}: the suffix '{out.suffix}' is that of no format: expected one of "
        f"{', '.join(SUFFIXES)}."
    )

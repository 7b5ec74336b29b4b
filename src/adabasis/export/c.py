"""A model as C: one function of one point."""

from __future__ import annotations

import ctypes
import math
import os
import shutil
import subprocess
import tempfile
import textwrap
from collections.abc import Callable
from pathlib import Path

import numpy as np

from .loops import Language, LoopWriter
from .program import Program

RESERVED = (
    "auto break case char const continue default do double else enum extern float for goto if int "
    "long register return short signed sizeof static struct switch typedef union unsigned void "
    "volatile while inline restrict s main exp log tanh sin cos tan pow sqrt floor erf erfc fabs "
    "expm1 log1p sinh cosh atan atan2 trunc larger smaller sigmoid sign_of j0 j1 jn y0 y1 yn gamma"
)
_MATH = "exp expm1 log log1p tanh sin cos tan atan sinh cosh sqrt floor erf erfc pow atan2 trunc"
_HELPERS = {
    "logistic": "static double sigmoid(double z) { return 1.0 / (1.0 + exp(-z)); }",
    "max": "static double larger(double a, double b) { return a > b || a != a ? a : b; }",
    "min": "static double smaller(double a, double b) { return a < b || a != a ? a : b; }",
    "sign": "static double sign_of(double z) { return (z > 0) - (z < 0); }",
}
_ALSO = {"largest": "max", "least": "min"}


def _number(value: float) -> str:
    if math.isnan(value):
        return "NAN"
    if math.isinf(value):
        return "INFINITY" if value > 0 else "(-INFINITY)"
    return repr(float(value)) if value >= 0 else f"({float(value)!r})"


C = Language(
    functions={name: name for name in _MATH.split()}
    | {"abs": "fabs", "max": "larger", "min": "smaller", "sign": "sign_of", "logistic": "sigmoid"},
    array=lambda name, size: f"double {name}[{size}];",
    loop=lambda counter, size: f"for (int {counter} = 0; {counter} < {size}; {counter}++)",
    number=_number,
    declare="double",
    whole="(int) ({})",
    reserved=RESERVED,
)


def source(program: Program, name: str, about: str) -> str:
    """Return the source of ``void name(const double *x, double *out, …)``."""
    writer = LoopWriter(program, C)
    outputs = list(program.outputs)
    used = {_ALSO.get(node.op, node.op) for node in program.nodes()}
    arguments = ", ".join(["const double x[]", *(f"double {one}_out[]" for one in outputs)])
    body = list(writer.lines)
    for one in outputs:
        node = program.outputs[one]
        value = writer.entry(node, ["0" if n == 1 else "i0" for n in node.shape])
        loop = "" if node.size == 1 else f"{C.loop('i0', node.size)} "
        body.append(f"{loop}{one}_out[{'0' if node.size == 1 else 'i0'}] = {value};")
    parts = [
        "/* " + "\n   ".join(textwrap.wrap(about.replace("*/", "* /"), 92)) + " */",
        "#include <math.h>",
        "\n".join(_HELPERS[op] for op in sorted(used & set(_HELPERS))),
        "\n".join(_constant(*pair) for pair in writer.constants.items()),
        f"void {name}({arguments})\n{{\n" + textwrap.indent("\n".join(body), "    ") + "\n}",
    ]
    return "\n\n".join(filter(None, parts)) + "\n"


def _constant(name: str, array: np.ndarray) -> str:
    kind = "double" if array.dtype.kind == "f" else "int"
    entries = [_number(v) if kind == "double" else str(int(v)) for v in array.ravel().tolist()]
    lines = textwrap.wrap(", ".join(entries), 94, break_long_words=False, break_on_hyphens=False)
    inside = "\n    ".join(lines)
    return f"static const {kind} {name}[{array.size}] = {{\n    {inside}\n}};"


def compiler() -> str | None:
    """Return the C compiler of this machine: ``$CC``, or cc, gcc or clang."""
    names = [os.environ.get("CC", ""), "cc", "gcc", "clang"]
    return next((found for name in names if name and (found := shutil.which(name))), None)


def compiled(text: str, name: str, program: Program) -> Callable[[np.ndarray], list[np.ndarray]]:
    """Compile the source and return its function of rows (N, D), the outputs in their order.

    Raises
    ------
    RuntimeError
        If the compiler refuses it.
    """
    command = compiler()
    assert command is not None
    with tempfile.TemporaryDirectory() as folder:
        path, library = Path(folder) / "model.c", Path(folder) / "model.so"
        path.write_text(text, encoding="utf-8")
        options = ["-std=c99", "-O1", "-ffp-contract=off", "-shared", "-fPIC"]
        done = subprocess.run(
            [command, *options, str(path), "-o", str(library), "-lm"],
            capture_output=True,
            text=True,
        )
        if done.returncode:
            raise RuntimeError(f"{command} refuses the exported source: {done.stderr[:500]}")
        function = getattr(ctypes.CDLL(str(library)), name)
    pointer = ctypes.POINTER(ctypes.c_double)

    def of_rows(x: np.ndarray) -> list[np.ndarray]:
        x = np.ascontiguousarray(x, dtype=float)
        found = [np.empty((len(x), node.size)) for node in program.outputs.values()]
        for i in range(len(x)):
            function(x[i].ctypes.data_as(pointer), *(f[i].ctypes.data_as(pointer) for f in found))
        return found

    return of_rows

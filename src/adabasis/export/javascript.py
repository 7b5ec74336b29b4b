"""A model as JavaScript: one function of one point, for browsers."""

from __future__ import annotations

import math
import textwrap

import numpy as np

from .loops import Language, LoopWriter
from .program import Program

RESERVED = (
    "abstract arguments await boolean break byte case catch char class const continue debugger "
    "default delete do double else enum eval export extends false final finally float for function "
    "goto if implements import in instanceof int interface let long native new null package "
    "private protected public return short static super switch this throw true try typeof var "
    "void volatile while with yield s math number array sigmoid erf erfc infinity nan name values"
)
_MATH = (
    "exp expm1 log log1p tanh sin cos tan atan sinh cosh sqrt floor pow atan2 trunc abs max min "
    "sign"
)
# Both series of the error function converge: that of Taylor about 0 (all terms positive), and the
# continued fraction of the complement, which 60 terms suffice for beyond 2.
_ERFC = """function erfc(z) {
    if (z < 0) return 2 - erfc(-z);
    if (z !== z) return z;
    if (z > 27) return 0;
    if (z < 2) {
        let term = z, sum = z;
        for (let k = 1; Math.abs(term) > 1e-17 * sum; k++) {
            term *= 2 * z * z / (2 * k + 1);
            sum += term;
        }
        return 1 - 2 / Math.sqrt(Math.PI) * Math.exp(-z * z) * sum;
    }
    let tail = z;
    for (let k = 60; k > 0; k--) tail = z + k / 2 / tail;
    return Math.exp(-z * z) / Math.sqrt(Math.PI) / tail;
}"""
_HELPERS = {
    "logistic": "function sigmoid(z) { return 1 / (1 + Math.exp(-z)); }",
    "erfc": _ERFC,
    "erf": _ERFC + "\nfunction erf(z) { return 1 - erfc(z); }",
}


def _number(value: float) -> str:
    if math.isnan(value):
        return "NaN"
    if math.isinf(value):
        return "Infinity" if value > 0 else "(-Infinity)"
    return repr(float(value)) if value >= 0 else f"({float(value)!r})"


JAVASCRIPT = Language(
    functions={name: f"Math.{name}" for name in _MATH.split()}
    | {"logistic": "sigmoid", "erf": "erf", "erfc": "erfc"},
    array=lambda name, size: f"const {name} = new Float64Array({size});",
    loop=lambda counter, size: f"for (let {counter} = 0; {counter} < {size}; {counter}++)",
    number=_number,
    declare="let",
    whole="({})",
    reserved=RESERVED,
)


def source(program: Program, name: str, about: str) -> str:
    """Return the source of ``name(x)``, which returns an object of arrays, one for each output."""
    writer = LoopWriter(program, JAVASCRIPT)
    used = {node.op for node in program.nodes()}
    helpers = [_HELPERS["erf" if "erf" in used else "erfc"]] if used & {"erf", "erfc"} else []
    helpers += [_HELPERS["logistic"]] if "logistic" in used else []
    body = list(writer.lines)
    found = []
    for one, node in program.outputs.items():
        value = writer.entry(node, ["0" if n == 1 else "i" for n in node.shape])
        body.append(f"const {one}_out = Array.from({{length: {node.size}}}, (_, i) => {value});")
        found.append(f"{one}: {one}_out")
    body.append(f"return {{{', '.join(found)}}};")
    constants = [
        f"const {key} = {'Float64Array' if array.dtype.kind == 'f' else 'Int32Array'}.from([\n"
        + textwrap.indent(_entries(array), "    ")
        + "\n]);"
        for key, array in writer.constants.items()
    ]
    inside = [
        *helpers,
        *constants,
        f"function {name}(x) {{",
        textwrap.indent("\n".join(body), "    "),
        "}",
    ]
    lines = "\n".join(f"// {line}" for line in textwrap.wrap(about, 95))
    return (
        f"{lines}\nconst {name} = (() => {{\n" + "\n".join(inside) + f"\nreturn {name};\n}})();\n"
    )


def _entries(array: np.ndarray) -> str:
    values = array.ravel().tolist()
    said = [_number(v) if array.dtype.kind == "f" else str(int(v)) for v in values]
    return textwrap.fill(", ".join(said), 94, break_long_words=False, break_on_hyphens=False)

"""A model as one file of Python that needs NumPy only."""

from __future__ import annotations

import keyword
import math
import re
import textwrap
from collections.abc import Iterable
from typing import Any

import numpy as np

from .program import COMPARISONS, Node, Program

#: Longest expression that is written inside another.
INLINE = 60
WIDTH = 98

_OPERATORS = {
    "add": ("+", 4),
    "sub": ("-", 4),
    "mul": ("*", 5),
    "div": ("/", 5),
    "matmul": ("@", 5),
    "pow": ("**", 7),
    "eq": ("==", 2),
    "ne": ("!=", 2),
    "lt": ("<", 2),
    "le": ("<=", 2),
    "gt": (">", 2),
    "ge": (">=", 2),
}
_FUNCTIONS = {
    "max": "np.maximum",
    "min": "np.minimum",
    "atan": "np.arctan",
    "atan2": "np.arctan2",
    "and": "np.logical_and",
    "or": "np.logical_or",
    "not": "np.logical_not",
    "select": "np.where",
    "logistic": "sigmoid",
    "erf": "erf",
    "erfc": "erfc",
}
_METHODS = {"sum": "sum", "prod": "prod", "largest": "max", "least": "min"}
_HELPERS = {
    "logistic": "def sigmoid(z):\n    return 1 / (1 + np.exp(-z))\n",
    "erf": "erf = np.vectorize(math.erf, otypes=[float])\n",
    "erfc": "erfc = np.vectorize(math.erfc, otypes=[float])\n",
}


_TAKEN = (
    "np math x columns matrix predict evaluate scores probabilities main erf erfc sigmoid inputs "
    "outputs classes table datetime zoneinfo gap filled phase"
)


class Names:
    """Gives each name out once, as languages take them."""

    def __init__(self, taken: Iterable[str] = ()) -> None:
        self.taken = {*taken, *keyword.kwlist}

    def new(self, wanted: str) -> str:
        """Return a name like the one wanted that nothing else has."""
        wanted = re.sub(r"\W+", "_", wanted, flags=re.ASCII).strip("_").lower() or "value"
        wanted = f"v_{wanted}" if wanted[0].isdigit() else wanted
        name, k = wanted, 1
        while name in self.taken:
            k += 1
            name = f"{wanted}_{k}"
        self.taken.add(name)
        return name


def number(value: Any, infinity: str = "np.inf") -> str:
    """Return a number with all of its digits."""
    value = value.item() if isinstance(value, np.generic) else value
    if isinstance(value, bool):
        return str(value)
    if isinstance(value, float) and not math.isfinite(value):
        return (
            infinity.replace("inf", "nan")
            if math.isnan(value)
            else ("-" if value < 0 else "") + infinity
        )
    return repr(value)


def array_text(array: np.ndarray) -> str:
    """Return an array as nested lists, in lines of :data:`WIDTH`."""

    def nested(part: np.ndarray) -> str:
        if part.ndim == 0:
            return number(part[()])
        inside = [nested(one) for one in part]
        return f"[{', '.join(inside)}]"

    if not array.size:
        return f"np.zeros({array.shape})"
    text = nested(array)
    if len(text) > WIDTH - 30:
        lines = textwrap.wrap(text, WIDTH - 4, break_long_words=False, break_on_hyphens=False)
        text = "\n    " + "\n    ".join(lines) + "\n"
    return f"np.array({text})"


def wrapped(before: str, text: str) -> str:
    """Return a statement, in parentheses and several lines where it is long."""
    if len(before) + len(text) <= WIDTH - 8:
        return before + text
    lines = textwrap.wrap(text, WIDTH - 12, break_long_words=False, break_on_hyphens=False)
    return "\n".join([f"{before}(", *(f"    {line}" for line in lines), ")"])


class Writer:
    """Writes the lines of a function of rows x (N, D)."""

    def __init__(self, program: Program) -> None:
        self.program, self.uses = program, program.uses()
        self.names = Names(_TAKEN.split())
        self.constants: dict[str, np.ndarray] = {}
        self.known: dict[int, tuple[str, int]] = {}
        self.lines: list[str] = []
        self.count = 0
        self.helpers = sorted({n.op for n in program.nodes()} & set(_HELPERS))
        for node in program.nodes():
            self.known[id(node)] = self._said(node)

    def output(self, name: str) -> str:
        """Return the expression of an output."""
        return self.known[id(self.program.outputs[name])][0]

    def _said(self, node: Node) -> tuple[str, int]:
        if node.op == "input":
            return "x", 9
        if node.op == "constant":
            return self._constant(node)
        text, rank = self._expression(node)
        again = self.uses[id(node)] > 1 or len(text) > INLINE
        if not again or node.op == "expand":
            return text, rank
        self.count += 1
        name = self.names.new(f"v{self.count}")
        self.lines.append(wrapped(f"{name} = ", text))
        return name, 9

    def _constant(self, node: Node) -> tuple[str, int]:
        if node.shape == () and (not node.name or node.kind != "f"):
            text = number(node.value[()])
            return text, 9 if not text.startswith("-") else 6
        name = self.names.new(node.name or "numbers")
        self.constants[name] = node.value
        return name, 9

    def _arg(self, node: Node, above: int) -> str:
        text, rank = self.known[id(node)]
        return text if rank >= above else f"({text})"

    def _expression(self, node: Node) -> tuple[str, int]:
        op, args, shape = node.op, node.args, node.shape
        if op in _OPERATORS:
            sign, rank = _OPERATORS[op]
            left = rank + (op == "matmul")  # sums, products and quotients in parentheses
            return f"{self._arg(args[0], left)} {sign} {self._arg(args[1], rank + 1)}", rank
        if op == "neg":
            return f"-{self._arg(args[0], 6)}", 6
        if op == "power":
            return f"{self._arg(args[0], 8)} ** {node.about}", 7
        if op in _METHODS:
            axes = [axis + 1 for axis in node.about]
            axis = axes[0] if len(axes) == 1 else tuple(axes)
            return f"{self._arg(args[0], 9)}.{_METHODS[op]}(axis={axis})", 9
        if (
            op in _FUNCTIONS
            or op in ("exp", "log", "tanh")
            or (hasattr(np, op) and op not in MOVED)
        ):
            function = _FUNCTIONS.get(op, f"np.{op}")
            return f"{function}({', '.join(self._arg(arg, 0) for arg in args)})", 9
        first = self._arg(args[0], 9)
        if op == "cast":
            return f"{first}.astype({ {'f': 'float', 'i': 'int', 'b': 'bool'}[node.kind] })", 9
        if op == "pick":
            return f"{first}[{self._arg(args[1], 0)}]", 9
        if op == "reshape":
            return self._reshaped(first, args[0].shape, shape), 9
        if op == "transpose":
            return f"{first}.transpose({(0, *(axis + 1 for axis in node.about))})", 9
        if op == "expand":
            sizes = ", ".join(map(str, shape))
            return f"np.broadcast_to({self._arg(args[0], 0)}, (len(x), {sizes},))", 9
        if op == "slice":
            cuts = [
                ":" if pair == (0, n) else f"{pair[0]}:{pair[1]}"
                for pair, n in zip(node.about, args[0].shape, strict=True)
            ]
            return f"{first}[:, {', '.join(cuts)}]", 9
        if op == "take":
            return self._taken(first, args[0], node.about), 9
        assert op == "concatenate", op
        sides = ", ".join(self._with_rows(arg) for arg in args)
        return f"np.concatenate([{sides}], axis={node.about + 1})", 9

    def _with_rows(self, node: Node) -> str:
        """Return a value that has the axis of rows, also of what is the same in all."""
        text = self._arg(node, 0)
        if node.varies and node.op != "expand":
            return text
        sizes = ", ".join(map(str, node.shape))
        return text if node.op == "expand" else f"np.broadcast_to({text}, (len(x), {sizes},))"

    def _reshaped(self, first: str, old: tuple[int, ...], new: tuple[int, ...]) -> str:
        """Return a reshape: of axes of length 1 as an index."""
        if [n for n in old if n != 1] == [n for n in new if n != 1]:
            if len(new) > len(old) and _inserted(old, new) is not None:
                return f"{first}[:, {', '.join(_inserted(old, new) or [])}]"
            if len(new) < len(old) and _inserted(new, old) is not None:
                cuts = ["0" if c == "None" else ":" for c in _inserted(new, old) or []]
                return f"{first}[:, {', '.join(cuts)}]"
        return f"{first}.reshape({', '.join(map(str, ('len(x)', *new)))})"

    def _taken(self, first: str, arg: Node, indices: np.ndarray) -> str:
        name = self.names.new("places")
        self.constants[name] = indices
        flat = first if len(arg.shape) == 1 else f"{first}.reshape(len(x), {arg.size})"
        return f"{flat}[:, {name}]"


MOVED = {"reshape", "transpose", "take", "concatenate", "expand", "slice", "cast", "pick"}


def _inserted(old: tuple[int, ...], new: tuple[int, ...]) -> list[str] | None:
    """Return the index by which axes of length 1 come between others: ":" and "None"."""
    found, i = [], 0
    for n in new:
        if i < len(old) and old[i] == n:
            found.append(":")
            i += 1
        elif n == 1:
            found.append("None")
        else:
            return None
    return found if i == len(old) else None


def definitions(writer: Writer) -> str:
    """Return the constants and helpers, in order."""
    helpers = "\n\n".join(_HELPERS[op] for op in writer.helpers)
    constants = "\n".join(f"{name} = {array_text(a)}" for name, a in writer.constants.items())
    return "\n\n".join(filter(None, [helpers.rstrip(), constants]))


def function(writer: Writer, name: str, output: str, about: str) -> str:
    """Return a function of rows with the value of one output."""
    body = [
        f'"""{about}"""',
        "x = np.asarray(x, dtype=float)",
        "# Far from the data exponentials overflow, to what they tend to.",
        'with np.errstate(all="ignore"):',
        *(textwrap.indent(line, "    ") for line in writer.lines),
        textwrap.indent(wrapped("return ", writer.output(output)), "    "),
    ]
    return f"def {name}(x):\n" + textwrap.indent("\n".join(body), "    ")


assert not COMPARISONS & set(_METHODS)


def wrapped_text(text: str) -> str:
    """Return a paragraph for a docstring."""
    safe = text.replace("\\", "/").replace('"""', "'''")
    first, *rest = textwrap.wrap(safe, WIDTH - 4)
    return "\n".join([first, *rest])

"""A model as loops over numbers, one point at a time: what C and JavaScript have in common."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import numpy as np

from .program import ELEMENTWISE, MOVES, REDUCTIONS, Node, Program
from .python import Names

#: Operations entry by entry that are written inside another expression, at most.
DEEPEST = 8

_SIGNS = {
    "add": "+",
    "sub": "-",
    "mul": "*",
    "div": "/",
    "eq": "==",
    "ne": "!=",
    "lt": "<",
    "le": "<=",
    "gt": ">",
    "ge": ">=",
    "and": "&&",
    "or": "||",
}


@dataclasses.dataclass(frozen=True)
class Language:
    """How a language writes what loops need.

    Attributes
    ----------
    functions : mapping of str to str
        Operations entry by entry by the names of functions.
    array : callable
        (name, size) ↦ the declaration of an array of numbers.
    loop : callable
        (counter, size) ↦ the head of a loop.
    number : callable
        A number with all of its digits.
    declare : str
        Before a number that is changed later.
    whole : str
        Around an expression that is an index, with {} for it.
    reserved : str
        Words that are no names.
    """

    functions: dict[str, str]
    array: Callable[[str, int], str]
    loop: Callable[[str, int], str]
    number: Callable[[float], str]
    declare: str
    whole: str
    reserved: str


class LoopWriter:
    """Writes the body of a function from x[D] to its outputs, and the constants that it reads.

    Parameters
    ----------
    program : Program
    language : Language
    """

    def __init__(self, program: Program, language: Language) -> None:
        self.program, self.language, self.uses = program, language, program.uses()
        self.names = Names(f"x y n i0 i1 i2 i3 i4 i5 i6 {language.reserved}".split())
        self.constants: dict[str, np.ndarray] = {}
        self.lines: list[str] = []
        self.places: dict[int, str] = {}
        self.depth: dict[int, int] = {}
        self.tables: dict[int, str] = {}
        self.by_number: set[int] = set()
        self.count = 0
        needed = self._in_memory()
        for node in program.nodes():
            self._visit(node, id(node) in needed)

    def _in_memory(self) -> set[int]:
        """Return which values are written to arrays instead of into expressions."""
        needed = set(map(id, self.program.outputs.values()))
        for node in self.program.nodes():
            for arg in node.args:
                same_size = arg.size == node.size or node.op in REDUCTIONS
                if node.op in ("take", "reshape"):
                    self.by_number.add(id(arg))
                if node.op in ("matmul", "pick", *MOVES) or not same_size:
                    needed.add(id(arg))
                if self.uses[id(arg)] > 1:
                    needed.add(id(arg))
        return needed

    def _visit(self, node: Node, wanted: bool) -> None:
        if node.op == "input":
            self.places[id(node)] = "x"
            return
        if node.op == "constant":
            if node.number is None or node.size > 1:
                name = self.names.new(node.name or "numbers")
                self.constants[name], self.places[id(node)] = node.value, name
            return
        self.depth[id(node)] = 1 + max(self.depth.get(id(arg), 0) for arg in node.args)
        if node.op in MOVES:
            written = any(node is one for one in self.program.outputs.values())
            written |= id(node) in self.by_number and node.op != "reshape"
        else:
            written = wanted or not (node.op in ELEMENTWISE or node.op in ("power", "cast"))
            written |= self.depth[id(node)] > DEEPEST
        if written:
            self._write(node)

    def _write(self, node: Node) -> None:
        self.depth[id(node)] = 0
        self.count += 1
        name = self.names.new(f"v{self.count}")
        self.lines.append(self.language.array(name, node.size))
        getattr(self, f"_write_{node.op}", self._write_entries)(node, name)
        self.places[id(node)] = name

    def _loops(
        self, shape: tuple[int, ...], inside: Callable[[list[str]], list[str]], first: int = 0
    ) -> list[str]:
        """Return loops over the entries of a shape; axes of length 1 have none."""
        index, heads = [], []
        for axis, size in enumerate(shape, first):
            index.append("0" if size == 1 else f"i{axis}")
            if size != 1:
                heads.append(self.language.loop(f"i{axis}", size))
        body = inside(index)
        if not heads:
            return body if len(body) == 1 else ["{", *(f"    {line}" for line in body), "}"]
        if len(body) == 1:
            return [" ".join(heads), f"    {body[0]}"]
        return [" ".join(heads) + " {", *(f"    {line}" for line in body), "}"]

    def _write_entries(self, node: Node, name: str) -> None:
        def inside(index: list[str]) -> list[str]:
            return [f"{name}[{flat(index, node.shape)}] = {self.entry(node, index, True)};"]

        self.lines += self._loops(node.shape, inside)

    def _write_concatenate(self, node: Node, name: str) -> None:
        start, axis = 0, node.about
        for arg in node.args:

            def inside(index: list[str], arg: Node = arg, start: int = start) -> list[str]:
                at = list(index)
                at[axis] = f"{start} + {at[axis]}" if at[axis] != "0" else str(start)
                return [f"{name}[{flat(at, node.shape)}] = {self.entry(arg, index)};"]

            self.lines += self._loops(arg.shape, inside)
            start += arg.shape[axis]

    def _write_matmul(self, node: Node, name: str) -> None:
        a, b = node.args
        inner = a.shape[-1]

        def inside(index: list[str]) -> list[str]:
            counter = f"i{len(node.shape)}"
            k = counter if inner != 1 else "0"
            at_a, at_b = [*index[:-1], k], [*index[:-2], k, index[-1]]
            left, right = self.entry(a, at_a), self.entry(b, at_b)
            return self._summed("sum", node, name, index, [(counter, inner)], f"{left} * {right}")

        self.lines += self._loops(node.shape, inside)

    def _reduced(self, node: Node, name: str) -> None:
        (arg,), axes = node.args, node.about

        def inside(index: list[str]) -> list[str]:
            rest, at = iter(index), []
            counters: list[tuple[str, int]] = []
            for axis, size in enumerate(arg.shape):
                if axis not in axes:
                    at.append(next(rest))
                    continue
                counter = f"i{len(node.shape) + len(counters)}"
                counters.append((counter, size))
                at.append(counter if size != 1 else "0")
            return self._summed(node.op, node, name, index, counters, self.entry(arg, at))

        self.lines += self._loops(node.shape, inside)

    _write_sum = _write_prod = _write_largest = _write_least = _reduced

    def _summed(
        self,
        op: str,
        node: Node,
        name: str,
        index: list[str],
        counters: list[tuple[str, int]],
        term: str,
    ) -> list[str]:
        language = self.language
        start = {"sum": "0.0", "prod": "1.0"}.get(op) or language.number(
            -np.inf if op == "largest" else np.inf
        )
        step = {"sum": f"s += {term};", "prod": f"s *= {term};"}.get(op)
        if step is None:
            chosen = language.functions["max" if op == "largest" else "min"]
            step = f"s = {chosen}(s, {term});"
        heads = " ".join(language.loop(c, size) for c, size in counters if size != 1)
        target = f"{name}[{flat(index, node.shape)}]"
        return [f"{language.declare} s = {start};", f"{heads} {step}".strip(), f"{target} = s;"]

    def _write_pick(self, node: Node, name: str) -> None:
        table, number = node.args
        at = self.language.whole.format(self.entry(number, []))

        def inside(index: list[str]) -> list[str]:
            place = f"{at} * {node.size} + {flat(index, node.shape)}"
            entry = self.language.number(table.number or 0.0)
            if id(table) in self.places:
                entry = f"{self.places[id(table)]}[{place}]"
            return [f"{name}[{flat(index, node.shape)}] = {entry};"]

        self.lines += self._loops(node.shape, inside)

    # --- Expressions -----------------------------------------------------------------------------

    def entry(self, node: Node, index: list[str], here: bool = False) -> str:
        """Return the expression of one entry; ``here``: even of what is to be in memory."""
        if not here and id(node) in self.places:
            return f"{self.places[id(node)]}[{flat(index, node.shape)}]"
        op, args = node.op, node.args
        if op == "constant":
            return self.language.number(float(node.value.flat[0]))
        if op in ELEMENTWISE:
            return self._called(op, [self.entry(a, _fitting(a, index)) for a in args])
        if op == "power":
            base, exponent = self.entry(args[0], index), node.about
            simple = "(" not in base and " " not in base
            if simple and 1 <= exponent <= 4:
                return f"({' * '.join([base] * exponent)})"
            return (
                f"{self.language.functions['pow']}({base}, {self.language.number(float(exponent))})"
            )
        if op == "cast":
            inner = self.entry(args[0], index)
            if node.kind == "i" and args[0].kind == "f":
                return f"{self.language.functions['trunc']}({inner})"
            return f"({inner} ? 1.0 : 0.0)" if args[0].kind == "b" else inner
        if op == "expand":
            return self.entry(args[0], _fitting(args[0], index))
        if op == "transpose":
            at = [""] * len(index)
            for i, axis in zip(index, node.about, strict=True):
                at[axis] = i
            return self.entry(args[0], at)
        if op == "slice":
            at = [
                i if a == 0 else f"{a}" if i == "0" else f"{a} + {i}"
                for i, (a, _) in zip(index, node.about, strict=True)
            ]
            return self.entry(args[0], at)
        if op == "reshape":
            return self._flat_entry(args[0], flat(index, node.shape))
        assert op == "take", op
        if id(node) not in self.tables:
            self.tables[id(node)] = self.names.new("places")
            self.constants[self.tables[id(node)]] = node.about
        return self._flat_entry(args[0], f"{self.tables[id(node)]}[{flat(index, node.shape)}]")

    def _flat_entry(self, node: Node, number: str) -> str:
        """Return the entry with a number in the flattened value."""
        while node.op == "reshape" and id(node) not in self.places:
            node = node.args[0]
        if node.op == "constant" and id(node) not in self.places:
            return self.language.number(float(node.value.flat[0]))
        return f"{self.places[id(node)]}[{number}]"

    def _called(self, op: str, args: list[str]) -> str:
        if op in _SIGNS:
            return f"({args[0]} {_SIGNS[op]} {args[1]})"
        if op == "neg":
            return f"(-{args[0]})"
        if op == "not":
            return f"(!{args[0]})"
        if op == "select":
            return f"({args[0]} ? {args[1]} : {args[2]})"
        return f"{self.language.functions[op]}({', '.join(args)})"


def _fitting(node: Node, index: list[str]) -> list[str]:
    """Return the index of an argument that is repeated along axes of length 1."""
    if not node.shape:
        return []
    return ["0" if n == 1 else i for n, i in zip(node.shape, index, strict=True)]


def flat(index: list[str], shape: tuple[int, ...]) -> str:
    """Return the number of an entry in row-major order, as an expression."""
    terms, stride = [], 1
    for i, size in zip(reversed(index), reversed(shape), strict=True):
        if i != "0":
            inner = f"({i})" if " " in i and stride != 1 else i
            terms.append(inner if stride == 1 else f"{inner} * {stride}")
        stride *= size
    return " + ".join(reversed(terms)) or "0"

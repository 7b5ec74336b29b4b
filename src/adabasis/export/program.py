"""A model as a short program of array operations of one point, from which every format is written.

Values have no axis of rows: those that depend on the point are computed for one row at a time (C,
JavaScript), or have the rows as an axis before all others (NumPy, ONNX).
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from scipy import special

#: Operations entry by entry, in NumPy.
ELEMENTWISE: dict[str, Callable[..., Any]] = {
    "neg": np.negative,
    "exp": np.exp,
    "expm1": np.expm1,
    "log": np.log,
    "log1p": np.log1p,
    "tanh": np.tanh,
    "logistic": special.expit,
    "sin": np.sin,
    "cos": np.cos,
    "tan": np.tan,
    "atan": np.arctan,
    "sinh": np.sinh,
    "cosh": np.cosh,
    "sqrt": np.sqrt,
    "abs": np.abs,
    "sign": np.sign,
    "floor": np.floor,
    "erf": special.erf,
    "erfc": special.erfc,
    "not": np.logical_not,
    "add": np.add,
    "sub": np.subtract,
    "mul": np.multiply,
    "div": np.divide,
    "max": np.maximum,
    "min": np.minimum,
    "pow": np.power,
    "atan2": np.arctan2,
    "eq": np.equal,
    "ne": np.not_equal,
    "lt": np.less,
    "le": np.less_equal,
    "gt": np.greater,
    "ge": np.greater_equal,
    "and": np.logical_and,
    "or": np.logical_or,
    "select": np.where,
}
COMPARISONS = {"eq", "ne", "lt", "le", "gt", "ge", "and", "or", "not"}
REDUCTIONS: dict[str, Callable[..., Any]] = {
    "sum": np.sum,
    "prod": np.prod,
    "largest": np.max,
    "least": np.min,
}
#: Operations that move entries and compute nothing.
MOVES = {"reshape", "transpose", "expand", "slice", "take"}

Shape = tuple[int, ...]


@dataclasses.dataclass(frozen=True, eq=False)
class Node:
    """One value: the operation that makes it, and of what.

    Attributes
    ----------
    op : str
        "input" (the point), "constant", one of :data:`ELEMENTWISE`, :data:`REDUCTIONS` or
        :data:`MOVES`, "power" (a whole one), "cast", "matmul", "concatenate", or "pick" (a row of
        a constant by a number that is computed).
    args : tuple of Node
    shape : tuple of int
        Without the axis of rows.
    kind : {"f", "i", "b"}
        Real, whole, or true and false.
    varies : bool
        Whether it depends on the point.
    about : Any
        Axes, sizes, indices, a power; of a constant its array.
    name : str
        What a constant is called in the model.
    """

    op: str
    args: tuple[Node, ...]
    shape: Shape
    kind: str
    varies: bool
    about: Any = None
    name: str = ""

    @property
    def size(self) -> int:
        """Number of entries."""
        return math.prod(self.shape)

    @property
    def value(self) -> np.ndarray:
        """The array of a constant."""
        assert self.op == "constant"
        array: np.ndarray = self.about
        return array

    @property
    def number(self) -> float | None:
        """The number that all entries of a constant are, if they are one."""
        if self.op != "constant" or not self.size:
            return None
        first = self.value.flat[0]
        return float(first) if np.all(self.value == first) else None


@dataclasses.dataclass(frozen=True)
class Program:
    """What a model computes of one point.

    Attributes
    ----------
    n_inputs : int
    outputs : mapping of str to Node
        Vectors by name: "values", or "scores" and "probabilities".
    mapped : Node
        The inputs in the units of the basis.
    """

    n_inputs: int
    outputs: dict[str, Node]
    mapped: Node

    def nodes(self) -> list[Node]:
        """Return all values, each after those that it is made of."""
        order: list[Node] = []
        seen: set[int] = set()
        pending = [(node, False) for node in reversed(self.outputs.values())]
        while pending:
            node, ready = pending.pop()
            if ready:
                order.append(node)
            elif id(node) not in seen:
                seen.add(id(node))
                pending.append((node, True))
                pending += [(arg, False) for arg in reversed(node.args)]
        return order

    def uses(self) -> dict[int, int]:
        """Return how often each value is used, by ``id``."""
        count = dict.fromkeys(map(id, self.outputs.values()), 1)
        for node in self.nodes():
            for arg in node.args:
                count[id(arg)] = count.get(id(arg), 0) + 1
        return count


class Builder:
    """Makes nodes: what does not vary is computed at once, and equal values are made once."""

    def __init__(self, n_inputs: int) -> None:
        self.known: dict[Any, Node] = {}
        self.input = Node("input", (), (n_inputs,), "f", True)

    def constant(self, value: Any, name: str = "") -> Node:
        """Return an array as a value."""
        array = np.asarray(value)
        kind = {"b": "b", "i": "i", "u": "i"}.get(array.dtype.kind, "f")
        array = array.astype({"b": bool, "i": np.int64, "f": float}[kind])
        key = ("constant", kind, array.shape, array.tobytes())
        if key not in self.known:
            self.known[key] = Node("constant", (), array.shape, kind, False, array, name)
        return self.known[key]

    def elementwise(self, op: str, *args: Node) -> Node:
        """Apply an operation entry by entry; arguments of size 1 along an axis are repeated."""
        shape = np.broadcast_shapes(*(arg.shape for arg in args))
        ones = (1,) * len(shape)
        alike = [self.reshape(a, ones) if a.varies and not a.shape else a for a in args]
        inner = tuple(_unexpanded(arg, len(shape)) for arg in alike)
        kind = "b" if op in COMPARISONS else inner[-1].kind
        if op in ("div", "exp", "log", "pow", "tanh"):
            kind = "f"
        same = self._simpler(op, inner)
        small = np.broadcast_shapes(*(arg.shape for arg in inner))
        found = self._made(op, inner, small, kind) if same is None else same
        return self.expand(found, shape)

    def _simpler(self, op: str, args: tuple[Node, ...]) -> Node | None:
        """Return an argument that is the result already: exactly, whatever the others are."""
        if op in ("mul", "div"):
            for one, other in ((1, 0), (0, 1)):
                if args[one].number == 1.0 and (op == "mul" or one == 1):
                    return args[other] if args[other].kind == "f" else None
        if op == "select" and args[0].number is not None:
            return args[1] if args[0].number else args[2]
        return None

    def power(self, arg: Node, exponent: int) -> Node:
        """Raise to a whole power."""
        return self._made("power", (arg,), arg.shape, arg.kind, exponent)

    def cast(self, arg: Node, kind: str) -> Node:
        """Turn a value into one of another kind."""
        if arg.kind == kind:
            return arg
        if not arg.varies:
            whole = self.constant(_array(arg).astype({"b": bool, "i": np.int64, "f": float}[kind]))
            return whole if whole.number is None else self.expand(whole, arg.shape)
        return self._made("cast", (arg,), arg.shape, kind)

    def reduce(self, op: str, arg: Node, axes: Sequence[int]) -> Node:
        """Sum, multiply or compare the entries along some axes."""
        left = tuple(n for axis, n in enumerate(arg.shape) if axis not in axes)
        return self._made(op, (arg,), left, arg.kind, tuple(axes)) if axes else arg

    def reshape(self, arg: Node, shape: Shape) -> Node:
        """Give the entries, in their order, another shape."""
        if arg.op == "reshape":
            arg = arg.args[0]
        return arg if arg.shape == shape else self._made("reshape", (arg,), shape, arg.kind)

    def transpose(self, arg: Node, order: Sequence[int]) -> Node:
        """Reorder the axes."""
        if list(order) == sorted(order):
            return arg
        shape = tuple(arg.shape[axis] for axis in order)
        return self._made("transpose", (arg,), shape, arg.kind, tuple(order))

    def expand(self, arg: Node, shape: Shape) -> Node:
        """Repeat along axes of length 1, of which there are as many as in ``shape``."""
        if arg.shape == shape:
            return arg
        if arg.op == "constant" and arg.number is not None:
            arg = self.constant(arg.value.flat[0], arg.name)
            return Node("expand", (arg,), shape, arg.kind, False)
        if len(arg.shape) < len(shape):
            arg = self.reshape(arg, (1,) * (len(shape) - len(arg.shape)) + arg.shape)
        return Node("expand", (arg,), shape, arg.kind, arg.varies)

    def slice(self, arg: Node, start: Sequence[int], stop: Sequence[int]) -> Node:
        """Return a box of entries."""
        bounds = tuple(zip(start, stop, strict=True))
        if all(pair == (0, n) for pair, n in zip(bounds, arg.shape, strict=True)):
            return arg
        shape = tuple(b - a for a, b in bounds)
        return self._made("slice", (arg,), shape, arg.kind, bounds)

    def take(self, arg: Node, indices: np.ndarray) -> Node:
        """Return entries by their numbers in the flattened value."""
        return self._made("take", (arg,), indices.shape, arg.kind, indices)

    def concatenate(self, args: Sequence[Node], axis: int) -> Node:
        """Put values side by side along an axis."""
        if len(args) == 1:
            return args[0]
        shape = list(args[0].shape)
        shape[axis] = sum(arg.shape[axis] for arg in args)
        return self._made("concatenate", tuple(args), tuple(shape), args[0].kind, axis)

    def matmul(self, a: Node, b: Node) -> Node:
        """Return products of matrices: (…, M, K) times (…, K, N), or (K,) times (K, N)."""
        return self._made("matmul", (a, b), (*a.shape[:-1], b.shape[-1]), "f")

    def pick(self, table: Node, number: Node) -> Node:
        """Return the row of a constant table that has a number, one of those there are."""
        return self._made("pick", (table, number), table.shape[1:], table.kind)

    def _made(
        self, op: str, args: tuple[Node, ...], shape: Shape, kind: str, about: Any = None
    ) -> Node:
        if not any(arg.varies for arg in args):
            named = [arg.name for arg in args if arg.name]
            value = computed(op, [_array(arg) for arg in args], shape, about)
            return self.constant(value, named[0] if named else "")
        said = about.tobytes() if isinstance(about, np.ndarray) else about
        key = (op, tuple(map(id, args)), shape, kind, said)
        if key not in self.known:
            self.known[key] = Node(op, args, shape, kind, True, about)
        return self.known[key]


def _unexpanded(arg: Node, rank: int) -> Node:
    """Return what an argument repeats, where broadcasting repeats it anyway."""
    return arg.args[0] if arg.op == "expand" and len(arg.shape) == rank else arg


def _array(node: Node) -> np.ndarray:
    if node.op == "expand":
        return np.broadcast_to(_array(node.args[0]), node.shape)
    return node.value


def computed(op: str, args: list[np.ndarray], shape: Shape, about: Any) -> np.ndarray:
    """Apply an operation to arrays of one point."""
    first = args[0]
    with np.errstate(all="ignore"):
        if op in ELEMENTWISE:
            return np.asarray(ELEMENTWISE[op](*args))
        if op in REDUCTIONS:
            return np.asarray(REDUCTIONS[op](first, axis=about))
        if op == "power":
            return np.asarray(first.astype(float) ** about)
        if op == "matmul":
            return first @ args[1]
        if op == "pick":
            return np.asarray(first[int(args[1])])
        if op == "transpose":
            return first.transpose(about)
        if op == "slice":
            return first[tuple(slice(a, b) for a, b in about)]
        if op == "take":
            return first.reshape(-1)[about]
        if op == "concatenate":
            return np.concatenate(args, axis=about)
    assert op == "reshape"
    return first.reshape(shape)

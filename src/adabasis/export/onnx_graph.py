"""A model as ONNX, by the onnx package alone, in double precision.

Runtimes have no Erf, Atan or Softplus of double precision; these are written by operators that they
have.
"""

from __future__ import annotations

import functools
import math
from typing import Any

import numpy as np

from .program import Node, Program
from .python import Names

#: The oldest set of operators that has all that is used here, which most runtimes read.
OPSET, IR_VERSION = 17, 8
#: Terms of the Chebyshev series of ln(erfc(z) exp(z²)) in 4/(z + 2) − 1, and of arctan z / z in
#: 2 z² / tan²(π/8) − 1: both reach round-off.
ERFC_TERMS, ATAN_TERMS = 28, 12
_SAME = {
    "neg": "Neg",
    "exp": "Exp",
    "log": "Log",
    "tanh": "Tanh",
    "sin": "Sin",
    "cos": "Cos",
    "sqrt": "Sqrt",
    "abs": "Abs",
    "sign": "Sign",
    "floor": "Floor",
    "logistic": "Sigmoid",
    "not": "Not",
    "add": "Add",
    "sub": "Sub",
    "mul": "Mul",
    "div": "Div",
    "pow": "Pow",
    "eq": "Equal",
    "lt": "Less",
    "le": "LessOrEqual",
    "gt": "Greater",
    "ge": "GreaterOrEqual",
    "and": "And",
    "or": "Or",
    "select": "Where",
    "matmul": "MatMul",
}


class OnnxWriter:
    """Makes the graph of a program; rows are the first axis of whatever varies.

    Parameters
    ----------
    program : Program
    dtype : {float, numpy.float32}
    """

    def __init__(self, program: Program, dtype: Any = float) -> None:
        self.program, self.dtype = program, np.dtype(dtype)
        self.names = Names(["x", *program.outputs])
        self.nodes: list[Any] = []
        self.weights: list[Any] = []
        self.known: dict[int, str] = {}
        self.numbers: dict[Any, str] = {}
        for node in program.nodes():
            self.known[id(node)] = self._said(node)

    def model(self, about: str) -> Any:
        """Return the model, checked by the onnx package."""
        import onnx
        from onnx import TensorProto, helper

        kind = TensorProto.DOUBLE if self.dtype == float else TensorProto.FLOAT
        outputs = []
        for name, node in self.program.outputs.items():
            self.nodes.append(helper.make_node("Identity", [self.known[id(node)]], [name]))
            outputs.append(helper.make_tensor_value_info(name, kind, ["rows", node.size]))
        inputs = [helper.make_tensor_value_info("x", kind, ["rows", self.program.n_inputs])]
        graph = helper.make_graph(self.nodes, "adabasis", inputs, outputs, self.weights)
        made = helper.make_model(
            graph,
            opset_imports=[helper.make_opsetid("", OPSET)],
            ir_version=IR_VERSION,
            producer_name="adabasis",
            doc_string=about,
        )
        onnx.checker.check_model(made, full_check=True)
        return made

    def op(self, kind: str, *inputs: str, **about: Any) -> str:
        """Add a node of the graph and return the name of its output."""
        from onnx import helper

        out = self.names.new(kind.lower())
        self.nodes.append(helper.make_node(kind, list(inputs), [out], **about))
        return out

    def weight(self, array: Any, name: str = "numbers") -> str:
        """Return the name of a constant of the graph."""
        from onnx import numpy_helper

        array = np.asarray(array)
        array = array.astype(self.dtype) if array.dtype.kind == "f" else array
        key = (array.dtype.str, array.shape, array.tobytes())
        if key not in self.numbers:
            self.numbers[key] = self.names.new(name)
            self.weights.append(
                numpy_helper.from_array(
                    np.ascontiguousarray(array).reshape(array.shape), self.numbers[key]
                )
            )
        return self.numbers[key]

    def _said(self, node: Node) -> str:
        if node.op == "input":
            return "x"
        if node.op == "constant":
            return self.weight(node.value, node.name or "numbers")
        args = [self.known[id(arg)] for arg in node.args]
        if node.op in _SAME:
            return self.op(_SAME[node.op], *args)
        found: str = getattr(self, f"_{node.op}")(node, *args)
        return found

    def _shape(self, *sizes: int) -> str:
        return self.weight(np.array(sizes, dtype=np.int64), "sizes")

    def _number(self, value: float) -> str:
        return self.weight(np.array(value, dtype=float), "number")

    # --- Entry by entry --------------------------------------------------------------------------

    def _ne(self, node: Node, a: str, b: str) -> str:
        return self.op("Not", self.op("Equal", a, b))

    def _max(self, node: Node, a: str, b: str) -> str:
        return self.op("Max", a, b)

    def _min(self, node: Node, a: str, b: str) -> str:
        return self.op("Min", a, b)

    def _power(self, node: Node, a: str) -> str:
        # Repeated products: powers of negative numbers are none of theirs in every runtime.
        exponent, base, found = abs(node.about), a, ""
        while exponent:
            if exponent & 1:
                found = self.op("Mul", found, base) if found else base
            exponent >>= 1
            base = self.op("Mul", base, base) if exponent else base
        if not found:
            return self.op("Add", self.op("Mul", a, self._number(0.0)), self._number(1.0))
        return self.op("Div", self._number(1.0), found) if node.about < 0 else found

    def _cast(self, node: Node, a: str) -> str:
        from onnx import TensorProto

        real = TensorProto.DOUBLE if self.dtype == float else TensorProto.FLOAT
        return self.op(
            "Cast", a, to={"f": real, "i": TensorProto.INT64, "b": TensorProto.BOOL}[node.kind]
        )

    def _log1p(self, node: Node, a: str) -> str:
        """ln(1 + a) = a ln(w)/(w − 1) with w the rounded 1 + a (Kahan): no digit is lost."""
        one = self._number(1.0)
        w = self.op("Add", a, one)
        away = self.op("Sub", w, one)
        same = self.op("Equal", away, self._number(0.0))
        quotient = self.op("Div", self.op("Log", w), self.op("Where", same, one, away))
        huge = self.op("Equal", w, self._number(math.inf))
        near = self.op("Where", same, a, self.op("Mul", a, quotient))
        return self.op("Where", huge, w, near)

    def _expm1(self, node: Node, a: str) -> str:
        """e^a − 1 = 2 tanh(a/2) / (1 − tanh(a/2)) near 0, the difference elsewhere."""
        one, two = self._number(1.0), self._number(2.0)
        half = self.op("Tanh", self.op("Div", a, two))
        near = self.op("Div", self.op("Mul", two, half), self.op("Sub", one, half))
        far = self.op("Sub", self.op("Exp", a), one)
        small = self.op("Less", self.op("Abs", a), one)
        return self.op("Where", small, near, far)

    def _sinh(self, node: Node, a: str) -> str:
        half = self.op("Mul", self._number(0.5), a)
        up, down = self.op("Exp", half), self.op("Exp", self.op("Neg", half))
        far = self.op(
            "Mul",
            self.op("Sub", self.op("Mul", up, up), self.op("Mul", down, down)),
            self._number(0.5),
        )
        t = self.op("Tanh", half)
        near = self.op(
            "Div",
            self.op("Mul", self._number(2.0), t),
            self.op("Sub", self._number(1.0), self.op("Mul", t, t)),
        )
        return self.op("Where", self.op("Less", self.op("Abs", a), self._number(1.0)), near, far)

    def _cosh(self, node: Node, a: str) -> str:
        both = self.op("Add", self.op("Exp", a), self.op("Exp", self.op("Neg", a)))
        return self.op("Mul", both, self._number(0.5))

    def _tan(self, node: Node, a: str) -> str:
        return self.op("Div", self.op("Sin", a), self.op("Cos", a))

    def _series(self, t: str, coefficients: np.ndarray) -> str:
        """Return a Chebyshev series at t, by Clenshaw's recurrence."""
        twice = self.op("Add", t, t)
        above, above_that = "", ""
        for c in coefficients[:0:-1]:
            here = self._number(c)
            if above:
                here = self.op("Add", here, self.op("Mul", twice, above))
            if above_that:
                here = self.op("Sub", here, above_that)
            above, above_that = here, above
        first = self.op("Add", self._number(coefficients[0]), self.op("Mul", t, above))
        return self.op("Sub", first, above_that)

    def _erfc(self, node: Node, a: str) -> str:
        size = self.op("Abs", a)
        t = self.op("Div", self._number(2.0), self.op("Add", self._number(2.0), size))
        at = self.op("Sub", self.op("Add", t, t), self._number(1.0))
        exponent = self.op("Sub", self._series(at, _erfc_series()), self.op("Mul", size, size))
        upper = self.op("Mul", t, self.op("Exp", exponent))
        lower = self.op("Sub", self._number(2.0), upper)
        return self.op("Where", self.op("Less", a, self._number(0.0)), lower, upper)

    def _erf(self, node: Node, a: str) -> str:
        return self.op("Sub", self._number(1.0), self._erfc(node, a))

    def _atan(self, node: Node, a: str) -> str:
        one = self._number(1.0)
        return self._angle(self.op("Abs", a), one, self.op("Sign", a))

    def _angle(self, up: str, along: str, sign: str) -> str:
        """Return the angle of (along, up), both not negative, with a sign."""
        least, most = self.op("Min", up, along), self.op("Max", up, along)
        zero, one = self._number(0.0), self._number(1.0)
        nothing = self.op("Equal", most, zero)
        ratio = self.op("Div", least, self.op("Where", nothing, one, most))
        # From [0, 1] to |·| ≤ tan(π/8): arctan r = π/4 + arctan((r − 1)/(r + 1)).
        corner = math.tan(math.pi / 8)
        far = self.op("Greater", ratio, self._number(corner))
        moved = self.op("Div", self.op("Sub", ratio, one), self.op("Add", ratio, one))
        r = self.op("Where", far, moved, ratio)
        square = self.op("Mul", self.op("Mul", r, r), self._number(2.0 / corner**2))
        near = self.op("Mul", r, self._series(self.op("Sub", square, one), _atan_series()))
        eighth = self.op("Where", far, self._number(math.pi / 4), zero)
        found = self.op("Add", eighth, near)
        steep = self.op("Greater", up, along)
        quarter = self.op("Sub", self._number(math.pi / 2), found)
        return self.op("Mul", sign, self.op("Where", steep, quarter, found))

    def _atan2(self, node: Node, y: str, x: str) -> str:
        one, zero = self._number(1.0), self._number(0.0)
        angle = self._angle(self.op("Abs", y), self.op("Abs", x), one)
        left = self.op("Less", x, zero)
        turned = self.op("Where", left, self.op("Sub", self._number(math.pi), angle), angle)
        return self.op("Where", self.op("Less", y, zero), self.op("Neg", turned), turned)

    # --- Axes ------------------------------------------------------------------------------------

    def _sum(self, node: Node, a: str) -> str:
        axes = self._shape(*(axis + 1 for axis in node.about))
        return self.op("ReduceSum", a, axes, keepdims=0)

    def _reduced(self, kind: str, node: Node, a: str) -> str:
        return self.op(kind, a, axes=[axis + 1 for axis in node.about], keepdims=0)

    def _prod(self, node: Node, a: str) -> str:
        return self._reduced("ReduceProd", node, a)

    def _largest(self, node: Node, a: str) -> str:
        return self._reduced("ReduceMax", node, a)

    def _least(self, node: Node, a: str) -> str:
        return self._reduced("ReduceMin", node, a)

    def _reshape(self, node: Node, a: str) -> str:
        # 0: as many rows as there are; also none.
        return self.op("Reshape", a, self._shape(0, *node.shape))

    def _transpose(self, node: Node, a: str) -> str:
        return self.op("Transpose", a, perm=[0, *(axis + 1 for axis in node.about)])

    def _expand(self, node: Node, a: str) -> str:
        if node.args[0].varies:
            return self.op("Expand", a, self._shape(1, *node.shape))
        return self._with_rows(node, a)

    def _with_rows(self, node: Node, a: str) -> str:
        """Return a constant once for each row."""
        rows = self.op("Slice", self.op("Shape", "x"), self._shape(0), self._shape(1))
        return self.op("Expand", a, self.op("Concat", rows, self._shape(*node.shape), axis=0))

    def _slice(self, node: Node, a: str) -> str:
        cut = [(i + 1, pair) for i, pair in enumerate(node.about)]
        start, stop = (self._shape(*(pair[k] for _, pair in cut)) for k in (0, 1))
        return self.op("Slice", a, start, stop, self._shape(*(axis for axis, _ in cut)))

    def _take(self, node: Node, a: str) -> str:
        flat = self.op("Reshape", a, self._shape(0, node.args[0].size))
        return self.op("Gather", flat, self.weight(node.about.astype(np.int64), "places"), axis=1)

    def _concatenate(self, node: Node, *args: str) -> str:
        each = [
            said if arg.varies else self._with_rows(arg, said)
            for arg, said in zip(node.args, args, strict=True)
        ]
        return self.op("Concat", *each, axis=node.about + 1)

    def _pick(self, node: Node, table: str, number: str) -> str:
        return self.op("Gather", table, number, axis=0)


@functools.cache
def _erfc_series() -> np.ndarray:
    """Return the series of ln(erfc(z) e^(z²) / t), t = 2/(2 + z), in 2 t − 1, for z ≥ 0."""
    from scipy.special import erfcx

    def of(u: np.ndarray) -> np.ndarray:
        t = (u + 1) / 2
        z = 2 / np.maximum(t, 1e-300) - 2
        return np.where(t < 1e-8, -0.5 * math.log(math.pi) - math.log(2), np.log(erfcx(z) / t))

    return np.polynomial.chebyshev.chebinterpolate(of, ERFC_TERMS - 1)


@functools.cache
def _atan_series() -> np.ndarray:
    """Return the series of arctan(r)/r in 2 r² / tan²(π/8) − 1."""
    corner = math.tan(math.pi / 8)

    def of(u: np.ndarray) -> np.ndarray:
        r = corner * np.sqrt((u + 1) / 2)
        return np.where(r > 0, np.arctan(r) / np.where(r > 0, r, 1.0), 1.0)

    return np.polynomial.chebyshev.chebinterpolate(of, ATAN_TERMS - 1)

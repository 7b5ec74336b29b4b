"""A small model as a formula: definitions and sums, for SymPy and in LaTeX.

Affine maps and local polynomials are multiplied out; functions and quotients get names.
"""

from __future__ import annotations

import functools
import math
import re
from collections.abc import Callable, Mapping
from keyword import iskeyword
from typing import Any

import numpy as np

from ..models.classifier import Classifier
from ..models.fitted import Fitted
from . import files
from .check import Difference, compared
from .program import ELEMENTWISE, REDUCTIONS, Node, Program, computed
from .sums import MOST_TERMS, Sum, joined, letter, term, too_long
from .trace import NotExportable, program_of

#: Numbers beyond which clipping is a guard against overflow, which a formula leaves out.
GUARD = 1e50
#: Digits of the numbers in LaTeX, if so many tell the values to READ of the largest; all of them.
DIGITS, READ, ALL_DIGITS = 6, 1e-4, 17
#: Difference, relative to the largest value, that multiplying polynomials out may make.
TOLERATED = 1e-9

_SYMPY = {
    "exp": "exp({})",
    "log": "log({})",
    "tanh": "tanh({})",
    "sin": "sin({})",
    "cos": "cos({})",
    "tan": "tan({})",
    "atan": "atan({})",
    "sinh": "sinh({})",
    "cosh": "cosh({})",
    "sqrt": "sqrt({})",
    "abs": "Abs({})",
    "sign": "sign({})",
    "floor": "floor({})",
    "erf": "erf({})",
    "erfc": "erfc({})",
    "logistic": "1/(1 + exp(-({})))",
    "max": "Max({}, {})",
    "min": "Min({}, {})",
    "pow": "({})**({})",
    "atan2": "atan2({}, {})",
    "inverse": "1/({})",
    "select": "Piecewise(({1}, {0}), ({2}, True))",
    "gt": "{} > {}",
    "ge": "{} >= {}",
    "lt": "{} < {}",
    "le": "{} <= {}",
    "copy": "{}",
}
_LATEX = {
    "exp": r"\exp\left({}\right)",
    "log": r"\log\left({}\right)",
    "tanh": r"\tanh\left({}\right)",
    "sin": r"\sin\left({}\right)",
    "cos": r"\cos\left({}\right)",
    "tan": r"\tan\left({}\right)",
    "atan": r"\arctan\left({}\right)",
    "sinh": r"\sinh\left({}\right)",
    "cosh": r"\cosh\left({}\right)",
    "sqrt": r"\sqrt{{{}}}",
    "abs": r"\left|{}\right|",
    "sign": r"\operatorname{{sign}}\left({}\right)",
    "floor": r"\left\lfloor {} \right\rfloor",
    "erf": r"\operatorname{{erf}}\left({}\right)",
    "erfc": r"\operatorname{{erfc}}\left({}\right)",
    "logistic": r"\frac{{1}}{{1 + \exp\left(-\left({}\right)\right)}}",
    "max": r"\max\left({}, {}\right)",
    "min": r"\min\left({}, {}\right)",
    "pow": r"\left({}\right)^{{{}}}",
    "atan2": r"\operatorname{{atan2}}\left({}, {}\right)",
    "inverse": r"\frac{{1}}{{{}}}",
    "select": r"\begin{{cases}} {1} & {0} \\ {2} & \text{{else}} \end{{cases}}",
    "gt": "{} > {}",
    "ge": r"{} \ge {}",
    "lt": "{} < {}",
    "le": r"{} \le {}",
    "copy": "{}",
}
_LETTERS = {"inverse": "s", "copy": "z", "exp": "w"}
_NUMPY: dict[str, Any] = {
    "Abs": np.abs,
    "Max": np.maximum,
    "Min": np.minimum,
    "atan": np.arctan,
    "atan2": np.arctan2,
    "Piecewise": lambda first, other: np.where(first[1], first[0], other[0]),
    **{
        name: getattr(np, name)
        for name in [
            "exp",
            "log",
            "tanh",
            "sin",
            "cos",
            "tan",
            "sinh",
            "cosh",
            "sqrt",
            "sign",
            "floor",
        ]
    },
    "erf": lambda z: ELEMENTWISE["erf"](np.asarray(z, dtype=float)),
    "erfc": lambda z: ELEMENTWISE["erfc"](np.asarray(z, dtype=float)),
}


class Formula:
    """The definitions that make the outputs of a program, in order.

    Parameters
    ----------
    program : Program
    names : sequence of str
        Of the inputs.
    guarded : bool
        Whether softmax subtracts its largest argument, which changes nothing but what overflows.
    """

    def __init__(self, program: Program, names: list[str], guarded: bool = False) -> None:
        self.names, self.guarded = names, guarded
        self.variables = set(names)
        self.definitions: list[tuple[str, str, tuple[Sum, ...]]] = []
        self.known: dict[Any, str] = {}
        self.values: dict[int, np.ndarray] = {}
        for node in program.nodes():
            found = self._value(node)
            if node is program.mapped and node.op != "input":
                found = self._each(lambda s: self._named("copy", s), found)
                self.variables |= {name for name, op, _ in self.definitions if op == "copy"}
            self.values[id(node)] = found
        self.outputs = {
            n: list(self.values[id(node)].ravel()) for n, node in program.outputs.items()
        }
        sums = [s for _, _, args in self.definitions for s in args]
        count = sum(len(s.terms) for s in [*sums, *(s for o in self.outputs.values() for s in o)])
        if count > MOST_TERMS:
            raise too_long(count)

    @staticmethod
    def _each(function: Callable[..., Any], *arrays: np.ndarray) -> np.ndarray:
        return np.asarray(np.frompyfunc(function, len(arrays), 1)(*arrays), dtype=object)

    def _named(self, op: str, *args: Sum) -> Sum:
        """Return a new value by its name: the same one for the same arguments."""
        key = (op, *(tuple(sorted(a.terms.items())) for a in args))
        if op == "copy" and len(args[0].terms) == 1 and list(args[0].terms.values()) == [1.0]:
            return args[0]
        if key not in self.known:
            letter = _LETTERS.get(op, "h")
            number = 1 + sum(name.rstrip("0123456789") == letter for name, _, _ in self.definitions)
            self.known[key] = f"{letter}{number}"
            self.definitions.append((self.known[key], op, args))
        return Sum({((self.known[key], 1),): 1.0})

    def _value(self, node: Node) -> np.ndarray:
        if node.op == "input":
            return np.array([Sum({((name, 1),): 1.0}) for name in self.names], dtype=object)
        if node.op == "constant":
            if node.size > MOST_TERMS and node.kind == "f":
                raise too_long(node.size)
            return self._each(lambda v: Sum({(): float(v)}), node.value)
        args = [self.values[id(arg)] for arg in node.args]
        if node.op == "matmul":
            a, b = args
            products = self._each(
                Sum.__mul__, a[..., :, None], b[None] if a.ndim == 1 and b.ndim < 2 else b
            )
            return self._total(products, -2)
        if node.op == "sum":
            return self._total(args[0], node.about)
        if node.op == "prod":
            return np.asarray(np.multiply.reduce(args[0], axis=node.about[0]), dtype=object)
        if node.op in REDUCTIONS:
            if not self.guarded:
                return np.full(node.shape, Sum({}), dtype=object)
            pair = "max" if node.op == "largest" else "min"
            moved = np.moveaxis(args[0], node.about[0], 0)
            return functools.reduce(
                lambda a, b: self._each(lambda *s: self._applied(pair, *s), a, b), moved
            )
        if node.op == "power":
            return self._each(lambda s: self._power(s, node.about), args[0])
        if node.op == "cast":
            return args[0]
        if node.op == "expand":
            return np.broadcast_to(args[0], node.shape)
        if node.op == "pick":
            raise NotExportable(
                "the cells of a grid have no formula: which of them a point is in is computed. "
                "Export to '.py' or '.c', or fit with another partition."
            )
        if node.op not in ELEMENTWISE:
            return np.asarray(computed(node.op, args, node.shape, node.about), dtype=object)
        return self._each(lambda *s: self._applied(node.op, *s), *args)

    def _total(self, values: np.ndarray, axes: Any) -> np.ndarray:
        moved = np.moveaxis(values, axes, tuple(range(len(axes))) if isinstance(axes, tuple) else 0)
        count = len(axes) if isinstance(axes, tuple) else 1
        flat = moved.reshape(-1, *moved.shape[count:])
        return np.asarray(sum(flat[1:], start=flat[0]), dtype=object)

    def _power(self, base: Sum, exponent: int) -> Sum:
        found = Sum({(): 1.0})
        for _ in range(abs(exponent)):
            found = found * base
        return self._quotient(Sum({(): 1.0}), found) if exponent < 0 else found

    def _quotient(self, a: Sum, b: Sum) -> Sum:
        if b.number is not None:
            return a.times(1 / b.number)
        return a * self._named("inverse", b)

    def _applied(self, op: str, *args: Sum) -> Sum:
        first, numbers = args[0], [arg.number for arg in args]
        if op == "add":
            return first + args[1]
        if op == "sub":
            return first + args[1].times(-1.0)
        if op == "neg":
            return first.times(-1.0)
        if op == "mul":
            return first * args[1]
        if op == "div":
            return self._quotient(*args)
        if op in ("eq", "ne") and (first is args[1] or first.terms == args[1].terms):
            return Sum({(): float(op == "eq")})  # of numbers alone: none is NaN
        if op in ("eq", "ne") and any(n is not None and math.isinf(n) for n in numbers):
            return Sum({(): float(op == "ne")})
        if op in ("max", "min"):
            for one, other in ((0, 1), (1, 0)):
                guard = numbers[one]
                if guard is not None and abs(guard) >= GUARD:
                    return args[other]
        if op == "select" and numbers[0] is not None:
            return args[1] if numbers[0] else args[2]
        unit = Sum({(): 1.0})
        if op == "log1p":
            return self._named("log", unit + first)
        if op == "expm1":
            return self._named("exp", first) + unit.times(-1.0)
        if all(n is not None for n in numbers):
            return Sum({(): float(ELEMENTWISE[op](*map(np.float64, numbers)))})
        if op not in _SYMPY:
            raise NotExportable(f"a formula has no '{op}'. Export to '.py' or '.c', which have it.")
        return self._named(op, *args)

    # --- As text ---------------------------------------------------------------------------------

    def sympy(self, digits: int = 17) -> list[tuple[str, str]]:
        """Return assignments, in order, as SymPy and Python read them."""
        found = [
            (name, _SYMPY[op].format(*(self._sum(s, digits) for s in args)))
            for name, op, args in self.definitions
        ]
        for output, sums in self.outputs.items():
            found += [(f"{output}_{q}", self._sum(s, digits)) for q, s in enumerate(sums, 1)]
        return found

    def latex(self, digits: int) -> list[tuple[str, str]]:
        """Return the sides of equations, in order."""
        found = [
            (letter(name), _LATEX[op].format(*(self._sum(s, digits, True) for s in args)))
            for name, op, args in self.definitions
        ]
        for output, sums in self.outputs.items():
            short = {"values": "u", "scores": "f", "probabilities": "p"}[output]
            lone = len(sums) == 1
            found += [
                (short if lone else f"{short}_{{{q}}}", self._sum(s, digits, True))
                for q, s in enumerate(sums, 1)
            ]
        return found

    def _sum(self, s: Sum, digits: int, latex: bool = False) -> str:
        """Return a sum: what multiplies the same functions stands in one pair of parentheses."""
        groups: dict[Any, dict[Any, float]] = {}
        for key, value in s.terms.items():
            functions = tuple(pair for pair in key if pair[0] not in self.variables)
            rest = tuple(pair for pair in key if pair[0] in self.variables)
            groups.setdefault(functions, {})[rest] = value
        texts = []
        for functions, inner in groups.items():
            ordered = sorted(inner.items(), key=lambda kv: (sum(p for _, p in kv[0]), kv[0]))
            terms = [term(v, key, digits, latex) for key, v in ordered]
            if not functions:
                texts += terms
            elif len(terms) == 1:
                texts.append(term(ordered[0][1], (*functions, *ordered[0][0]), digits, latex))
            else:
                left, right = (r"\left(", r"\right)") if latex else ("(", ")")
                by = term(1.0, functions, digits, latex)
                texts.append(f"{by}{' ' if latex else '*'}{left}{joined(terms)}{right}")
        return joined(texts) if texts else "0"


_TAKEN = {*_NUMPY, "Symbol", "symbols", "pi", "E", "I", "S", "N", "O", "Q", "lambda"}


def _formula(model: Fitted, digits: int) -> tuple[Formula, files.Called, Difference, list[str]]:
    """Return a formula, what it computes with so many digits, how far off that is, and notes."""
    inputs, outputs = files.names_of(model)
    plain = all(re.fullmatch(r"[A-Za-z][A-Za-z_]*\d*", name) for name in inputs)
    clash = any(re.fullmatch(r"[hswz]\d+", n) or n in _TAKEN or iskeyword(n) for n in inputs)
    symbols = inputs if plain and not clash else [f"x{i}" for i in range(1, len(inputs) + 1)]
    program = program_of(model)
    notes = [f"{s}: {name}" for s, name in zip(symbols, inputs, strict=True) if s != name]
    if isinstance(model, Classifier):
        listed = enumerate(model.classes.tolist(), 1)
        notes += [f"probability {q}: {label}" for q, label in listed]
    elif outputs != ["y"]:
        notes += [f"value {q}: {name}" for q, name in enumerate(outputs, 1)]
    formula = Formula(program, symbols)
    if not compared(model, _called(formula, program, ALL_DIGITS)).relative <= TOLERATED:
        formula = Formula(program, symbols, guarded=True)
    called = _called(formula, program, digits)
    return formula, called, compared(model, called), notes


def _called(formula: Formula, program: Program, digits: int) -> files.Called:
    """Return what the text computes: it is read by Python, with the functions of NumPy."""
    lines = [f"{name} = {text}" for name, text in formula.sympy(digits)]
    code = compile("\n".join(lines), "formula", "exec")

    def called(x: np.ndarray) -> dict[str, np.ndarray]:
        space: dict[str, Any] = dict(_NUMPY)
        # Exponentials that no double holds are those of a formula, which has no largest number.
        space.update(zip(formula.names, x.T.astype(np.longdouble), strict=True))
        with np.errstate(all="ignore"):
            exec(code, space)
        found = {}
        for name, node in program.outputs.items():
            columns = [space[f"{name}_{q}"] for q in range(1, node.size + 1)]
            found[name] = np.stack([np.broadcast_to(c, len(x)) for c in columns], axis=1)
        return found

    return called


def in_sympy(model: Fitted, options: Mapping[str, Any]) -> files.Written:
    """Return assignments that make SymPy's expressions when Python runs them."""
    formula, called, _, notes = _formula(model, ALL_DIGITS)
    lines = formula.sympy()
    used = sorted(name for name in _NUMPY if any(f"{name}(" in text for _, text in lines))
    head = [f"# {line}" for line in (files.about(model), *notes)]
    head.append(f"from sympy import {', '.join([*used, 'symbols'])}")
    comma = "," * (len(formula.names) == 1)
    head.append(f"{', '.join(formula.names)}{comma} = symbols({' '.join(formula.names)!r})")
    text = "\n".join([*head, "", *(f"{name} = {text}" for name, text in lines)]) + "\n"
    notes_ = files.numbers_only(model)
    by = "its text, evaluated in NumPy"
    return files.Written(text.encode(), called, by, notes_, tolerated=TOLERATED)


def in_latex(model: Fitted, options: Mapping[str, Any]) -> files.Written:
    """Return equations to be put into a document, with as many digits as they need."""
    for digits in (DIGITS, 9, 12, ALL_DIGITS):
        formula, called, difference, notes = _formula(model, digits)
        if difference.relative <= READ:
            break
    rows = [f"{left} &= {right}" for left, right in formula.latex(digits)]
    comments = [f"% {line}" for line in (files.about(model), *notes)]
    body = " \\\\\n".join(map(_in_lines, rows))
    text = "\n".join([*comments, r"\begin{align*}", body, r"\end{align*}"]) + "\n"
    note = f"numbers are rounded to {digits} digits, to be read: a .sympy file has all"
    by = "its numbers, as rounded, evaluated in NumPy"
    both = (note, *files.numbers_only(model))
    return files.Written(text.encode(), called, by, both, tolerated=READ)


def _in_lines(row: str, longest: int = 110) -> str:
    """Break a long equation at signs that are in no pair of braces or parentheses."""
    out, line, depth = [], "", 0
    for part in re.split(r"( [+-] )", row):
        if part in (" + ", " - ") and depth == 0 and len(line) > longest:
            out.append(line)
            line = r"&\quad" + part
            continue
        depth += part.count(r"\left") + part.count("{") - part.count(r"\right") - part.count("}")
        line += part
    return " \\\\\n".join([*out, line])

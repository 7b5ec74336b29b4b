"""Expressions in coordinates as people write them: 2π² sin(π x) sin(π y)."""

from __future__ import annotations

import fractions
import math
from typing import Any

#: How tightly what is written with an operator holds together; functions and names the most.
COMPARED, ADDED, MULTIPLIED, RAISED, ATOM = range(5)
_COMPARISONS = {
    "greater": ">",
    "greater_equal": "≥",
    "less": "<",
    "less_equal": "≤",
    "equal": "==",
    "not_equal": "!=",
}
#: Powers of π that numbers are multiples of, and the largest divisor of such a multiple.
POWERS_OF_PI, MOST_PARTS = {1: "π", 2: "π²", 3: "π³", 4: "π⁴"}, 12
#: A number is a multiple if it differs by this share: a few roundings.
ROUND_OFF = 1e-14


def number(value: complex) -> str:
    """Return a number, in multiples of π where it is one: 19.739… is 2π²."""
    if isinstance(value, complex) or not math.isfinite(value) or value == int(value):
        return f"{value:g}"
    for power, name in POWERS_OF_PI.items():
        share = value / math.pi**power
        near = fractions.Fraction(share).limit_denominator(MOST_PARTS)
        if near and abs(share - near) <= ROUND_OFF * abs(share):
            times = {1: "", -1: "-"}.get(near.numerator, str(near.numerator))
            return f"{times}{name}" + ("" if near.denominator == 1 else f"/{near.denominator}")
    return f"{value:g}"


def text_of(field: Any, within: int = COMPARED) -> str:
    """Return a field in words, in brackets where it stands in something that binds more tightly."""
    level, text = _written(field)
    return f"({text})" if level < within else text


def _written(field: Any) -> tuple[int, str]:
    kind, parts = field.kind, field.arguments
    if kind == "constant":
        text = number(parts[0])
        if "/" in text or isinstance(parts[0], complex):
            return ADDED, text
        return (MULTIPLIED if text.startswith("-") else ATOM), text
    if kind == "coordinate":
        return ATOM, str(parts[0])
    if kind == "normal":
        return ATOM, f"n_{parts[0]}"
    if kind == "function":
        return ATOM, getattr(parts[0], "__name__", "function")
    if kind == "piecewise":
        each = zip(parts[0], parts[1:], strict=True)
        return ATOM, f"piecewise({', '.join(f'{name}={text_of(one)}' for name, one in each)})"
    if kind in ("add", "subtract"):
        sign = "+" if kind == "add" else "-"
        left, right = text_of(parts[0], ADDED), text_of(parts[1], MULTIPLIED)
        if right.startswith("-"):
            sign, right = ("-" if sign == "+" else "+"), right[1:]
        return ADDED, f"{left} {sign} {right}"
    if kind == "multiply":
        return MULTIPLIED, _product(parts[0], parts[1])
    if kind in ("divide", "true_divide"):
        return MULTIPLIED, f"{text_of(parts[0], MULTIPLIED)} / {text_of(parts[1], RAISED)}"
    if kind == "power":
        return RAISED, f"{text_of(parts[0], ATOM)}^{text_of(parts[1], ATOM)}"
    if kind == "negative":
        return MULTIPLIED, f"-{text_of(parts[0], RAISED)}"
    if kind in _COMPARISONS:
        sides = (text_of(one, ADDED) for one in parts)
        return COMPARED, f" {_COMPARISONS[kind]} ".join(sides)
    return ATOM, f"{kind}({', '.join(map(text_of, parts))})"


def _product(one: Any, other: Any) -> str:
    left, right = text_of(one, MULTIPLIED), text_of(other, MULTIPLIED)
    if right.startswith("-"):
        right = f"({right})"
    if left in ("1", "-1"):
        return right if left == "1" else f"-{right}"
    return f"{left} · {right}" if right[0].isdigit() or " / " in left else f"{left} {right}"

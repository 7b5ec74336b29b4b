"""Complex equations as pairs of real ones: u = Re u + i Im u, coefficients and operators split."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ..geometry.fields import Field, maybe_complex, parts
from .base import AbstractOperator, Composed, Identity, Scaled, Shifted, Sum
from .expressions import Expression

#: Real and imaginary part; ``None`` is 0.
Pair = tuple[Expression | None, Expression | None]
OperatorPair = tuple[AbstractOperator | None, AbstractOperator | None]


def pair_of(unknown: Expression) -> tuple[Expression, Expression]:
    """Return the two real unknowns of a complex one."""
    name, _, number = unknown.arguments
    real, imaginary = (
        Expression("unknown", (f"{part} {name}", "float", number + share))
        for part, share in (("Re", 0.0), ("Im", 0.5))
    )
    return real, imaginary


def any_complex(expression: Expression) -> bool:
    """Whether a complex number is stated in an expression; what functions return is not known."""
    if expression.kind == "given":
        return maybe_complex(expression.arguments[0], functions=False)
    own = expression.kind == "applied" and _complex(expression.arguments[0])
    return own or any(map(any_complex, expression.parts))


def _complex(operator: AbstractOperator) -> bool:
    own = isinstance(operator, Scaled) and maybe_complex(operator.coefficient, functions=False)
    return own or any(map(_complex, operator.operands))


def parts_of(expression: Expression) -> Pair:
    """Return the real and the imaginary part of an expression.

    Raises
    ------
    ValueError
        For a function of complex unknowns whose parts are not known here.
    """
    kind, arguments = expression.kind, expression.arguments
    if kind == "unknown":
        return pair_of(expression) if expression.is_complex else (expression, None)
    if kind == "given":
        first, second = parts(arguments[0])
        return _given(first), None if second is None else _given(second)
    if kind == "applied":
        return _applied(*arguments)
    if kind == "power" and arguments[0].kind == "absolute" and _is_number(arguments[1], 2):
        return _squared(parts_of(arguments[0].arguments[0])), None
    pairs = [parts_of(part) for part in arguments]
    (a, b), (c, d) = pairs[0], pairs[1] if len(pairs) > 1 else (None, None)
    if kind in ("add", "subtract"):
        sign = 1 if kind == "add" else -1
        return _sum(a, c, sign), _sum(b, d, sign)
    if kind in ("negative", "positive"):
        return _sum(None, a, -1 if kind == "negative" else 1), _sum(
            None, b, -1 if kind == "negative" else 1
        )
    if kind == "multiply":
        return _product((a, b), (c, d))
    if kind == "divide":
        if d is None and c is not None:
            return None if a is None else a / c, None if b is None else b / c
        size = _squared((c, d))
        real, imaginary = _product((a, b), (c, _sum(None, d, -1)))
        return (
            None if real is None or size is None else real / size,
            None if imaginary is None or size is None else imaginary / size,
        )
    if kind in ("conjugate", "conj"):
        return a, _sum(None, b, -1)
    if kind in ("real", "imag"):
        return (a if kind == "real" else b), None
    if kind == "absolute":
        size = _squared((a, b))
        return (None if size is None else np.sqrt(size)), None
    if kind == "exp" and b is not None:
        factor = 1.0 if a is None else np.exp(a)
        return factor * np.cos(b), factor * np.sin(b)
    exponent = _whole(arguments[1]) if kind in ("power", "float_power") else 2
    if kind in ("power", "square") and exponent is not None:
        product: Pair = (a, b)
        for _ in range(exponent - 1):
            product = _product(product, (a, b))
        return product
    if any(imaginary is not None for _, imaginary in pairs):
        raise ValueError(
            f"{expression!r}: the parts of {kind} of complex unknowns are not known. State the "
            "equation in two real unknowns, or by u.real and u.imag."
        )
    return Expression(kind, tuple(_given(0.0) if r is None else r for r, _ in pairs)), None


def _given(value: float | Field) -> Expression:
    field = value if isinstance(value, Field) else Field("constant", (value,))
    return Expression("given", (field,))


def _whole(exponent: Expression) -> int | None:
    value = exponent.arguments[0].arguments[0] if exponent.kind == "given" else None
    whole = isinstance(value, float) and value == round(value) and value >= 1
    return int(value) if isinstance(value, float) and whole else None


def _is_number(expression: Expression, number: float) -> bool:
    return expression.kind == "given" and expression.arguments[0] == Field("constant", (number,))


def _sum(a: Expression | None, b: Expression | None, sign: int) -> Expression | None:
    if b is None:
        return a
    if a is None:
        return b if sign > 0 else -b
    return a + b if sign > 0 else a - b


def _times(a: Expression | None, b: Expression | None) -> Expression | None:
    if a is None or b is None:
        return None
    if a.kind == "given" and b.kind == "given":
        return _given(a.arguments[0] * b.arguments[0])
    return a * b


def _product(one: Pair, other: Pair) -> Pair:
    (a, b), (c, d) = one, other
    return _sum(_times(a, c), _times(b, d), -1), _sum(_times(a, d), _times(b, c), 1)


def _squared(pair: Pair) -> Expression | None:
    return _sum(_times(pair[0], pair[0]), _times(pair[1], pair[1]), 1)


def _applied(operator: AbstractOperator, inner: Expression) -> Pair:
    real, imaginary = parts_of(inner)
    a, b = split(operator)
    if imaginary is not None and not operator.linear:
        raise ValueError(
            f"{operator!r} of a complex unknown: it is not linear, and its real part is not known. "
            "Write it as an expression, or state two real equations."
        )

    def image(one: AbstractOperator | None, e: Expression | None) -> Expression | None:
        if one is None or e is None:
            return None
        return e if isinstance(one, Identity) else e.under(one)

    return (
        _sum(image(a, real), image(b, imaginary), -1),
        _sum(image(a, imaginary), image(b, real), 1),
    )


def split(operator: AbstractOperator) -> OperatorPair:
    """Return the real operators A, B of A + iB."""
    if not _complex(operator):
        return operator, None
    if isinstance(operator, Scaled):
        (f, g), (a, b) = parts(operator.coefficient), split(operator.operator)
        return (
            _added([_scaled(f, a), _negative(_scaled(g, b))]),
            _added([_scaled(f, b), _scaled(g, a)]),
        )
    if isinstance(operator, Sum):
        pairs = [split(one) for one in operator.summands]
        return _added([a for a, _ in pairs]), _added([b for _, b in pairs])
    if isinstance(operator, Composed):
        (a, b), (c, d) = split(operator.outer), split(operator.inner)
        return (
            _added([_composed(a, c), _negative(_composed(b, d))]),
            _added([_composed(a, d), _composed(b, c)]),
        )
    if isinstance(operator, Shifted):
        a, b = split(operator.operator)
        return (
            None if a is None else Shifted(operator.shift, a),
            None if b is None else Shifted(operator.shift, b),
        )
    raise ValueError(f"{operator!r}: the real and imaginary parts of this operator are not known.")


def _scaled(field: Field | None, one: AbstractOperator | None) -> AbstractOperator | None:
    zero = field is None or field == Field("constant", (0.0,))
    return None if zero or one is None else field * one


def _negative(one: AbstractOperator | None) -> AbstractOperator | None:
    return None if one is None else -one


def _composed(
    outer: AbstractOperator | None, inner: AbstractOperator | None
) -> AbstractOperator | None:
    return None if outer is None or inner is None else outer @ inner


def _added(found: Sequence[AbstractOperator | None]) -> AbstractOperator | None:
    known = [one for one in found if one is not None]
    return sum(known[1:], start=known[0]) if known else None

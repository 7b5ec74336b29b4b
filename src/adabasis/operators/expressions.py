"""Expressions in unknowns, as people write equations: ``-L(u) + d(x)(p) == 0``.

An :class:`Expression` is a value: unknowns, images of operators, fields of the coordinates, and
NumPy's functions of these. Whether it is affine in the unknowns is read off its structure, never
guessed from test functions.
"""

from __future__ import annotations

import dataclasses
import functools
import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, TypeAlias

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from numpy.lib.mixins import NDArrayOperatorsMixin

from .._runtime.compute import double_precision
from ..geometry.field_text import ATOM, MULTIPLIED, RAISED, text_of
from ..geometry.fields import Field, as_field, at_point
from .base import AbstractOperator, Composed, Identity, Scaled, added, bracketed
from .several import Component, Known, Pointwise

#: What is no function of an unknown that an equation may hold, and what to do.
REFUSED = {
    "greater": ">", "less": "<", "greater_equal": ">=", "less_equal": "<=",
    "logical_and": "and", "logical_or": "or", "logical_not": "not", "floor": "floor",
    "ceil": "ceil", "rint": "round", "remainder": "%", "floor_divide": "//", "sign": "sign",
}  # fmt: skip
ZERO = Field("constant", (0.0,))
_numbers = itertools.count()
#: The operators of each unknown, and the term without unknowns.
Affine: TypeAlias = tuple[dict[str, AbstractOperator], Field]


@dataclasses.dataclass(frozen=True, eq=False, repr=False)
class Expression(NDArrayOperatorsMixin):
    """An expression in unknowns; :func:`unknowns` makes the first ones.

    Python's operators and NumPy's functions build others, operators of
    :mod:`adabasis.operators` are applied to it, and ``==`` states an :class:`Equation`.

    Attributes
    ----------
    kind : str
        ``"unknown"`` (arguments: name, dtype, number), ``"applied"`` (operator, expression),
        ``"given"`` (a field of the coordinates), or the name of a NumPy function of the arguments.
    arguments : tuple
    """

    kind: str
    arguments: tuple[Any, ...]

    def under(self, operator: AbstractOperator) -> Expression:
        """Return the image under an operator."""
        return Expression("applied", (operator, self))

    def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Any, **options: Any) -> Any:
        """Let NumPy's functions build expressions: ``np.sin(u)``."""
        if method != "__call__" or options:
            return NotImplemented
        return _combined(ufunc.__name__, inputs)

    def __ne__(self, other: object) -> bool:
        """Say whether the structure is another one."""
        return not _same(self, other)

    def __hash__(self) -> int:
        """Return the hash of the structure."""
        return hash(self._key)

    def __bool__(self) -> bool:
        """Refuse: an expression in unknowns is neither true nor false."""
        raise TypeError(
            f"{self!r} is an expression in unknowns and neither true nor false. Equations are "
            "stated by ==, such as u - v == 0."
        )

    @property
    def real(self) -> Expression:
        """The real part, for complex unknowns."""
        return Expression("real", (self,))

    @property
    def imag(self) -> Expression:
        """The imaginary part, for complex unknowns."""
        return Expression("imag", (self,))

    @property
    def name(self) -> str:
        """The name of an unknown; what is written, of anything else."""
        return str(self.arguments[0]) if self.kind == "unknown" else repr(self)

    @property
    def is_complex(self) -> bool:
        """Whether it is an unknown with complex values."""
        return self.kind == "unknown" and self.arguments[1] == "complex"

    @property
    def parts(self) -> list[Expression]:
        """The expressions that this one is made of."""
        return [a for a in self.arguments if isinstance(a, Expression)]

    @functools.cached_property
    def unknowns(self) -> tuple[Expression, ...]:
        """The unknowns in it, each once."""
        if self.kind == "unknown":
            return (self,)
        return distinct(u for part in self.parts for u in part.unknowns)

    @property
    def operators(self) -> Iterator[AbstractOperator]:
        """The operators that are applied in it."""
        if self.kind == "applied":
            yield self.arguments[0]
        for part in self.parts:
            yield from part.operators

    @property
    def _key(self) -> tuple[Any, ...]:
        if self.kind == "unknown":
            return ("unknown", *self.arguments[:2])
        return (self.kind, *(a._key if isinstance(a, Expression) else repr(a)
                             for a in self.arguments))  # fmt: skip

    def __repr__(self) -> str:
        return _text(self)


@dataclasses.dataclass(frozen=True, eq=False, repr=False)
class Equation:
    """left == right, for all points of where it is stated.

    Attributes
    ----------
    left, right : Expression
    """

    left: Expression
    right: Expression

    @property
    def unknowns(self) -> tuple[Expression, ...]:
        """The unknowns in it, each once."""
        return distinct([*self.left.unknowns, *self.right.unknowns])

    def __bool__(self) -> bool:
        """Say whether both sides are the same expression: what ``u in [u, v]`` asks."""
        return _same(self.left, self.right)

    def __eq__(self, other: object) -> bool:
        """Say whether the other one is the same equation."""
        if not isinstance(other, Equation):
            return NotImplemented
        return _same(self.left, other.left) and _same(self.right, other.right)

    def __hash__(self) -> int:
        return hash((self.left, self.right))

    def __repr__(self) -> str:
        return f"{self.left!r} = {self.right!r}"


def unknowns(*names: str, dtype: Any = float) -> Any:
    """Return named unknowns, to be used in equations and conditions.

    Parameters
    ----------
    *names : str
        What the unknowns are called.
    dtype : float or complex
        Of the values.

    Returns
    -------
    Expression, or a tuple of them for several names

    Raises
    ------
    ValueError
        For a name that is no identifier, one given twice, or another dtype.

    Examples
    --------
    >>> from adabasis.operators import Laplacian, Partial
    >>> u, p = unknowns("u", "p")
    >>> -Laplacian()(u) + Partial("x")(p) == 0.0
    -Δ u + p_x = 0
    """
    valid = all(isinstance(n, str) and n.isidentifier() for n in names)
    if not names or not valid or len(set(names)) < len(names):
        raise ValueError(f"unknowns{names!r}: expected different names such as unknowns('u', 'p').")
    kinds = {float: "float", complex: "complex", "float": "float", "complex": "complex"}
    if dtype not in kinds:
        raise ValueError(f"unknowns(dtype={dtype!r}): expected float or complex.")
    made = [Expression("unknown", (name, kinds[dtype], next(_numbers))) for name in names]
    return made[0] if len(made) == 1 else tuple(made)


def distinct(found: Any) -> tuple[Expression, ...]:
    """Return unknowns each once, in the order in which they were made."""
    ordered = sorted(found, key=lambda u: u.arguments[2])
    return tuple({u.name: u for u in reversed(ordered)}.values())[::-1]


def as_expression(value: Any) -> Expression:
    """Return an expression, or what :func:`adabasis.geometry.fields.as_field` takes, as one.

    Raises
    ------
    TypeError
        For anything else.
    """
    return value if isinstance(value, Expression) else Expression("given", (as_field(value),))


def affine(expression: Expression) -> Affine | None:
    """Return the operators of the unknowns and the term without any; ``None`` if not linear."""
    kind, arguments = expression.kind, expression.arguments
    if kind == "unknown":
        return {expression.name: Identity()}, ZERO
    if kind == "given":
        return {}, arguments[0]
    if kind == "applied":
        return _applied(*arguments)
    parts = [affine(part) for part in arguments]
    if any(part is None for part in parts):
        return None
    found: Any = parts
    known = [field for _, field in found]
    if kind in ("add", "subtract"):
        return _sum(found[0], _times(Field("constant", (-1.0,)), found[1])
                    if kind == "subtract" else found[1])  # fmt: skip
    if kind == "negative":
        return _times(Field("constant", (-1.0,)), found[0])
    if kind == "positive":
        return found[0]
    if kind == "multiply" and not (found[0][0] and found[1][0]):
        return _times(known[1], found[0]) if found[0][0] else _times(known[0], found[1])
    if kind in ("divide", "true_divide") and not found[1][0]:
        return _times(1.0 / known[1], found[0])
    if kind == "power" and not found[1][0] and known[1] == Field("constant", (1.0,)):
        return found[0]
    return None


def _applied(operator: AbstractOperator, inner: Expression) -> Affine | None:
    found = affine(inner) if operator.linear else None
    if found is None:
        return None
    operators, field = found
    return (
        {name: composed(operator, one) for name, one in operators.items()},
        field if field == ZERO else Image("image", (operator, field)),
    )


def composed(outer: AbstractOperator, inner: AbstractOperator) -> AbstractOperator:
    """Return outer ∘ inner, in the shortest form."""
    if isinstance(inner, Identity):
        return outer
    if isinstance(outer, Identity):
        return inner
    if isinstance(inner, Scaled) and inner.coefficient.kind == "constant":
        return inner.coefficient * composed(outer, inner.operator)
    return Composed(outer, inner)


def _sum(a: Affine, b: Affine) -> Affine:
    operators = dict(a[0])
    for name, one in b[0].items():
        operators[name] = operators[name] + one if name in operators else one
    fields = [f for f in (a[1], b[1]) if f != ZERO]
    return operators, sum(fields[1:], start=fields[0]) if fields else ZERO


def _times(field: Field, of: Affine) -> Affine:
    operators = {name: _scaled(field, one) for name, one in of[0].items()}
    return operators, of[1] if of[1] == ZERO else field * of[1]


def _scaled(field: Field, operator: AbstractOperator) -> AbstractOperator:
    if isinstance(operator, Scaled):
        field, operator = field * operator.coefficient, operator.operator
    return operator if field == Field("constant", (1.0,)) else field * operator


def separated(expression: Expression) -> tuple[Expression | None, Field]:
    """Return the terms with unknowns, if any, and the sum of those without."""
    kind, arguments = expression.kind, expression.arguments
    if kind == "given":
        return None, arguments[0]
    if kind not in ("add", "subtract"):
        return expression, ZERO
    (left, known), (right, other) = map(separated, arguments)
    sign = -1.0 if kind == "subtract" else 1.0
    if other != ZERO:
        known = sign * other if known == ZERO else known + sign * other
    if left is None or right is None:
        alone = right if right is None or sign > 0 else Expression("negative", (right,))
        return (alone if left is None else left), known
    return Expression(kind, (left, right)), known


def operator_of(expression: Expression, names: Sequence[str]) -> AbstractOperator:
    """Return an operator of the unknowns named, as one of the vector of all if they are several."""
    kind, arguments = expression.kind, expression.arguments
    if kind == "unknown":
        return Identity() if len(names) == 1 else Component(list(names).index(expression.name))
    if kind == "given":
        return Known(arguments[0])
    if kind == "applied":
        return composed(arguments[0], operator_of(arguments[1], names))
    inner = [operator_of(part, names) for part in arguments]
    if kind == "add" and not any(isinstance(one, Known) for one in inner):
        return inner[0] + inner[1]
    if kind == "subtract" and not any(isinstance(one, Known) for one in inner):
        return inner[0] - inner[1]
    if kind == "negative":
        return -inner[0]
    if kind == "multiply" and isinstance(inner[0], Known):
        return _scaled(inner[0].field, inner[1])
    if kind == "multiply" and isinstance(inner[1], Known):
        return _scaled(inner[1].field, inner[0])
    return Pointwise(kind, inner)


@dataclasses.dataclass(frozen=True, repr=False)
class Image(Field):
    """The image of a field under a linear operator, exact derivatives among them."""

    def evaluate(self, columns: dict[str, Any], numpy: Any) -> Any:
        """Return the value for named coordinates."""
        names, (operator, field) = tuple(columns), self.arguments
        image = operator.bind(names)(lambda p: at_point(field, names, p))
        if numpy is not np:
            return image(jnp.stack([*columns.values()]))
        with double_precision():
            points = np.stack(np.broadcast_arrays(*columns.values()), axis=-1).astype(float)
            flat = jax.vmap(image)(jnp.asarray(points.reshape(-1, len(names))))
            return np.asarray(flat).reshape(points.shape[:-1])

    def __repr__(self) -> str:
        return str(self.arguments[0].text(repr(self.arguments[1])))


def mapped(
    expression: Expression, function: Callable[[Expression], Expression | None]
) -> Expression:
    """Return the expression with parts replaced where the function returns something."""
    found = function(expression)
    if found is not None:
        return found
    arguments = tuple(
        mapped(a, function) if isinstance(a, Expression) else a for a in expression.arguments
    )
    return Expression(expression.kind, arguments)


def _combined(kind: str, given: Sequence[Any]) -> Any:
    if any(isinstance(a, np.ndarray) and a.ndim for a in given):
        raise TypeError(
            "an array of numbers and an expression in unknowns: expected numbers, functions of the "
            "coordinates, or expressions. Values at points are stated by pde.Observe(X, y)."
        )
    if kind in REFUSED:
        raise TypeError(
            f"{REFUSED[kind]!r} of an unknown jumps, and has no derivative. Write a smooth "
            "function, such as (1 + np.tanh(u / width)) / 2."
        )
    try:
        arguments = tuple(as_expression(a) for a in given)
    except TypeError:
        return NotImplemented
    if kind == "equal":
        return Equation(*arguments)
    if not hasattr(jnp, kind):
        raise TypeError(f"np.{kind} of an unknown: jax.numpy has no function of this name.")
    return Expression("divide" if kind == "true_divide" else kind, arguments)


def _same(a: Any, b: Any) -> bool:
    if isinstance(a, Expression) and isinstance(b, Expression):
        if a.kind == "unknown" or b.kind == "unknown":
            return a._key == b._key
        return (
            a.kind == b.kind
            and len(a.arguments) == len(b.arguments)
            and all(map(_same, a.arguments, b.arguments))
        )
    if isinstance(a, AbstractOperator) and isinstance(b, AbstractOperator):
        return bool(eqx.tree_equal(a, b))
    if isinstance(a, Field) and isinstance(b, Field):
        return a == b
    return a is b


def _within(e: Expression, level: int) -> str:
    """Return an expression as part of a product, a quotient or a power, in brackets if need be."""
    return text_of(e.arguments[0], level) if e.kind == "given" else bracketed(_text(e))


_BINARY: Mapping[str, str] = {"multiply": " ", "divide": " / ", "power": "^"}


def _text(e: Expression) -> str:
    kind, arguments = e.kind, e.arguments
    if kind == "unknown":
        return str(arguments[0])
    if kind == "given":
        return repr(arguments[0])
    if kind == "applied":
        return arguments[0].text(_text(arguments[1]))
    texts = [_text(a) for a in arguments]
    if kind == "add":
        return added(texts)
    if kind == "subtract":
        last = _within(arguments[1], MULTIPLIED)
        return f"{texts[0]} + {last[1:]}" if last.startswith("-") else f"{texts[0]} - {last}"
    if kind == "negative":
        inner = texts[0] if arguments[0].kind == "multiply" else _within(arguments[0], MULTIPLIED)
        return inner[1:] if inner.startswith("-") else f"-{inner}"
    if kind == "multiply" and texts[0] in ("1", "-1"):
        return ("-" if texts[0] == "-1" else "") + _within(arguments[1], MULTIPLIED)
    if kind in _BINARY:
        most = {"multiply": MULTIPLIED, "divide": RAISED, "power": ATOM}[kind]
        left, right = (_within(one, most) for one in arguments)
        if kind != "multiply" and arguments[0].kind in _BINARY:
            left = f"({left})"
        if kind != "multiply" and arguments[1].kind in _BINARY:
            right = f"({right})"
        return f"{left}{_BINARY[kind]}{right}"
    if kind == "absolute":
        return f"|{texts[0]}|"
    return f"{kind}({', '.join(texts)})"

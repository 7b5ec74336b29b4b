"""What an operator is, and the algebra: sums, multiples, compositions, shifts."""

from __future__ import annotations

import abc
import functools
from collections.abc import Callable, Sequence
from typing import Any, Self

import equinox as eqx
import jax
import jax.numpy as jnp
from jax import Array

from .._runtime.notation import OnePointFunction, PointX
from ..geometry.field_text import MULTIPLIED, text_of
from ..geometry.fields import (
    Field,
    as_field,
    at_point,
    has_normal,
    on_plane,
    symbolic,
    unknown_names,
)


class AbstractOperator(eqx.Module):
    """A linear map of functions: ``operator(u)`` is again a function of one point.

    Operators made of others hold them in their fields: what :meth:`bind` and :meth:`facing` do to
    such an operator, its order and whether it is linear follow from them.

    Of an expression in unknowns (:func:`adabasis.pde.unknowns`) it makes another one.
    """

    def __init_subclass__(cls, **keywords: Any) -> None:
        """Let the operators of a subclass take expressions, too."""
        super().__init_subclass__(**keywords)
        if "__call__" in vars(cls):
            cls.__call__ = _of_expressions_too(cls.__call__)  # type: ignore[method-assign]

    @abc.abstractmethod
    def __call__(self, u: Any) -> Any:
        """Return Lu."""

    @property
    def n_unknowns(self) -> int:
        """How many unknowns u has: of several, u(x) is a vector (B,)."""
        return 1

    def columns(self, phi: OnePointFunction) -> OnePointFunction:
        """Return x ↦ the row of coefficients, (P,), of several unknowns (B·P,), for functions Φ."""
        return self(phi)

    def combined(self, phi: OnePointFunction, c: Any) -> OnePointFunction:
        """Return x ↦ L[Φ c](x), (Q,), for coefficients (P, Q), of several unknowns (B·P, 1)."""
        return self(lambda x: phi(x) @ c)

    def text(self, u: str) -> str:
        """Return the image of what ``u`` names, as people write it."""
        return repr(self) if u == "u" else f"[{self!r}]({u})"

    @property
    def order(self) -> int:
        """The highest derivative the operator takes; one made of no others states it."""
        return max(operator.order for operator in self.operands)

    @property
    def linear(self) -> bool:
        """Whether the operator is known to be linear."""
        return all(operator.linear for operator in self.operands)

    @property
    def operands(self) -> list[AbstractOperator]:
        """The operators this one is made of."""
        leaves = jax.tree.leaves(self, is_leaf=self._is_operand)
        return [leaf for leaf in leaves if isinstance(leaf, AbstractOperator)]

    def bind(self, names: Sequence[str]) -> AbstractOperator:
        """Return the operator with names of coordinates replaced by their numbers."""
        return self._over(lambda operator: operator.bind(names))

    def facing(self, normal: Any) -> AbstractOperator:
        """Return the operator where the outward normal is this: a tuple on a face, (D,) traced."""
        return self._over(lambda operator: operator.facing(normal))

    def _over(self, function: Callable[[AbstractOperator], AbstractOperator]) -> Self:
        """Return the operator made of the images of the operators that this one is made of."""

        def image(leaf: Any) -> Any:
            return function(leaf) if isinstance(leaf, AbstractOperator) else leaf

        return jax.tree.map(image, self, is_leaf=self._is_operand)

    def _is_operand(self, node: Any) -> bool:
        return isinstance(node, AbstractOperator) and node is not self

    def __add__(self, other: AbstractOperator) -> AbstractOperator:
        if not isinstance(other, AbstractOperator):
            return NotImplemented
        return Sum((self, other))

    def __sub__(self, other: AbstractOperator) -> AbstractOperator:
        return self + -1.0 * other

    def __neg__(self) -> AbstractOperator:
        return -1.0 * self

    # NumPy's numbers and expressions in the coordinates leave products with operators to these.
    __array_ufunc__ = None

    def __rmul__(self, coefficient: Any) -> AbstractOperator:
        field = as_field(coefficient)
        if isinstance(self, Scaled) and not self.names:
            return Scaled(field * self.coefficient, self.operator)
        return Scaled(field, self)

    def __matmul__(self, other: AbstractOperator) -> AbstractOperator:
        if not isinstance(other, AbstractOperator):
            return NotImplemented
        return Composed(self, other)


def _of_expressions_too(call: Callable[..., Any]) -> Callable[..., Any]:
    # Expressions come after operators on the path: they say themselves what an image of theirs is.
    @functools.wraps(call)
    def either(self: AbstractOperator, u: Any) -> Any:
        under = getattr(u, "under", None)
        return call(self, u) if under is None else under(self)

    return either


def bracketed(text: str) -> str:
    """Return a sum in brackets, anything else as it is."""
    depth = 0
    for i, letter in enumerate(text):
        depth += (letter == "(") - (letter == ")")
        if depth == 0 and letter in "+-" and text[i - 1 : i] == " ":
            return f"({text})"
    return f"({text})" if text.startswith("-") else text


def added(texts: Sequence[str]) -> str:
    """Return a sum: a term that begins with a minus is subtracted."""
    first, *others = texts
    return first + "".join(f" - {t[1:]}" if t.startswith("-") else f" + {t}" for t in others)


class Identity(AbstractOperator):
    """Lu = u: regression is the linear problem with this operator."""

    order = 0

    def __call__(self, u: Any) -> Any:
        """Return u itself."""
        return u

    def text(self, u: str) -> str:
        """Return u."""
        return u

    def __repr__(self) -> str:
        return "u"


class Sum(AbstractOperator):
    """Lu = Σ L_i u."""

    summands: tuple[AbstractOperator, ...]

    def __init__(self, summands: Sequence[AbstractOperator]) -> None:
        flat = [s.summands if isinstance(s, Sum) else (s,) for s in summands]
        self.summands = tuple(s for group in flat for s in group)

    def __call__(self, u: Any) -> Any:
        """Return the sum of the images of u."""
        images = [operator(u) for operator in self.summands]
        return lambda x: sum((image(x) for image in images[1:]), start=images[0](x))

    def text(self, u: str) -> str:
        """Return the sum of the images."""
        return added([one.text(u) for one in self.summands])

    def __repr__(self) -> str:
        return self.text("u")


class Scaled(AbstractOperator):
    """Lu = a(x) Mu for a number or function a.

    Parameters
    ----------
    coefficient : number, function or expression
        A function names the coordinates it takes: ``lambda x, t: x * t``.
    operator : AbstractOperator
        M.
    """

    coefficient: Field = eqx.field(static=True, converter=as_field)
    operator: AbstractOperator
    names: tuple[str, ...] = eqx.field(static=True, default=())
    normal: Any = None

    def facing(self, normal: Any) -> AbstractOperator:
        """Let the coefficient know the normal, too, a constant one or that of a point."""
        inner = self.operator.facing(normal)
        if not has_normal(self.coefficient):
            return Scaled(self.coefficient, inner, self.names, self.normal)
        if isinstance(normal, tuple):
            return Scaled(on_plane(self.coefficient, self.names, normal), inner, self.names)
        return Scaled(self.coefficient, inner, self.names, normal)

    def bind(self, names: Sequence[str]) -> AbstractOperator:
        """Bind coefficient and operator."""
        missing = unknown_names(self.coefficient, names)
        if missing:
            raise ValueError(
                f"coefficient {self.coefficient!r}: there is no coordinate "
                f"{', '.join(map(repr, missing))}; the domain has {', '.join(names)}."
            )
        field = symbolic(self.coefficient, names)
        return Scaled(field, self.operator.bind(names), tuple(names))

    def __call__(self, u: Any) -> Any:
        """Return x ↦ a(x) (Mu)(x)."""
        image = self.operator(u)
        return lambda x: self.number_at(x) * image(x)

    def number_at(self, x: PointX) -> Any:
        """Return the coefficient at a point."""
        if not self.names and unknown_names(self.coefficient, ()):
            raise ValueError(
                f"coefficient {self.coefficient!r}: the order of the coordinates is not known "
                "here. Bind the operator first: operator.bind(domain.names)."
            )
        names = self.names or [f"x{i}" for i in range(x.shape[0])]
        value = at_point(self.coefficient, names, x, self.normal)
        if jnp.iscomplexobj(value):
            raise ValueError(
                f"coefficient {self.coefficient!r} is complex, and what it multiplies is real. "
                "Complex equations are about complex unknowns: pde.unknowns('u', dtype=complex)."
            )
        if jnp.ndim(value):
            raise ValueError(
                f"coefficient {self.coefficient!r} returned shape {jnp.shape(value)} at a point: "
                "expected one number."
            )
        return value

    def text(self, u: str) -> str:
        """Return the product."""
        signs = {"1": "", "-1": "-"}
        inner, factor = bracketed(self.operator.text(u)), text_of(self.coefficient, MULTIPLIED)
        return signs.get(factor, f"{factor} ") + inner

    def __repr__(self) -> str:
        return self.text("u")


class Composed(AbstractOperator):
    """Lu = A(Bu)."""

    outer: AbstractOperator
    inner: AbstractOperator

    @property
    def order(self) -> int:
        """The sum of both."""
        return self.outer.order + self.inner.order

    def __call__(self, u: Any) -> Any:
        """Return A(B(u))."""
        return self.outer(self.inner(u))

    def text(self, u: str) -> str:
        """Return the outer image of the inner one."""
        return self.outer.text(self.inner.text(u))

    def __repr__(self) -> str:
        return f"{self.outer!r} ∘ {self.inner!r}"


class Shifted(AbstractOperator):
    """Lu = (Mu)(x + s): what periodic conditions compare.

    Parameters
    ----------
    shift : sequence of D numbers
        s.
    operator : AbstractOperator
        M.
    """

    shift: tuple[float, ...] = eqx.field(static=True)
    operator: AbstractOperator

    def __call__(self, u: Any) -> Any:
        """Return x ↦ (Mu)(x + s)."""
        image = self.operator(u)
        return lambda x: image(x + jnp.asarray(self.shift, x.dtype))

    def text(self, u: str) -> str:
        """Return the image, and where it is taken."""
        shift = ", ".join(f"{s:g}" for s in self.shift)
        return f"{bracketed(self.operator.text(u))} at x + ({shift})"

    def __repr__(self) -> str:
        return self.text("u")


class UserOperator(AbstractOperator):
    """An operator written as a function (u, x) → value, linear or not.

    Parameters
    ----------
    function : callable
        Takes a function u of one point and a point x: (D,), and returns L[u](x). It must use
        ``jax.numpy``; other operators may be applied inside it: ``Partial(0)(u)(x)``.
    order : int
        The highest derivative it takes.
    linear : bool
        Whether it is linear in u. A claim of True is checked where a problem is made; with False
        the problem is solved by Gauss–Newton on its linearised rows.

    Examples
    --------
    >>> from adabasis.operators import Partial
    >>> burgers = UserOperator(lambda u, x: u(x) * Partial(0)(u)(x), order=1, linear=False)
    >>> float(burgers(lambda x: x[0] ** 2)(jnp.array([2.0])))
    16.0
    """

    function: Callable[[OnePointFunction, PointX], Array] = eqx.field(static=True)
    order: int = eqx.field(static=True, default=0)
    linear: bool = eqx.field(static=True, default=True)

    def __init__(
        self,
        function: Callable[[OnePointFunction, PointX], Array],
        order: int,
        *,
        linear: bool = True,
    ) -> None:
        self.function, self.order, self.linear = function, int(order), bool(linear)

    def __call__(self, u: Any) -> Any:
        """Return x ↦ function(u, x)."""
        return lambda x: self.function(u, x)

    def text(self, u: str) -> str:
        """Return the function's name and what it is applied to."""
        return f"{getattr(self.function, '__name__', 'function')}({u}, x)"

    def __repr__(self) -> str:
        return self.text("u")

"""Operators of several unknowns, and those that are not linear, as expressions state them.

A function of B unknowns has a vector (B,) of values at a point. All unknowns are made of the same
functions Φ, each with coefficients of its own: unknown b owns columns b·P … (b+1)·P of a row.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
from jax import Array

from .._runtime.notation import OnePointFunction, PointX
from ..geometry.fields import Field, as_field
from .base import AbstractOperator, Identity, Scaled, Sum, added


def combined(operator: AbstractOperator, phi: OnePointFunction, c: Any) -> OnePointFunction:
    """Return x ↦ L[Φ c](x) of an operator of B unknowns, whose coefficients follow each other."""
    if operator.n_unknowns == 1:
        return operator(lambda x: phi(x) @ c)
    each = c.reshape(operator.n_unknowns, -1)
    image = operator(lambda x: each @ phi(x))
    return lambda x: image(x)[None]


class Component(AbstractOperator):
    """Lu = u_b, one of several unknowns.

    Parameters
    ----------
    index : int
        b, counted from 0.
    """

    index: int = eqx.field(static=True)
    order = 0

    def __call__(self, u: Any) -> Any:
        """Return the unknown."""
        return lambda x: u(x)[self.index]

    def __repr__(self) -> str:
        return f"u{self.index}"


class Coupled(AbstractOperator):
    """Lu = Σ_b L_b u_b: one linear equation in several unknowns.

    Parameters
    ----------
    operators : sequence of AbstractOperator or None
        L_b; ``None`` where the equation lacks the unknown, but not everywhere.
    """

    operators: tuple[AbstractOperator | None, ...]

    def __init__(self, operators: Sequence[AbstractOperator | None]) -> None:
        self.operators = tuple(operators)

    @property
    def n_unknowns(self) -> int:
        """B."""
        return len(self.operators)

    def _each(self, image: Callable[[int, AbstractOperator], Any]) -> list[Any]:
        return [image(b, one) for b, one in enumerate(self.operators) if one is not None]

    def __call__(self, u: Any) -> Any:
        """Return the sum of the images."""
        images = self._each(lambda b, operator: operator(lambda x: u(x)[b]))
        return lambda x: sum((image(x) for image in images[1:]), start=images[0](x))

    def columns(self, phi: OnePointFunction) -> OnePointFunction:
        """Return the images of Φ side by side."""
        images = self._each(lambda b, operator: operator(phi))

        def row(x: PointX) -> Array:
            found = iter([image(x) for image in images])
            zero = jnp.zeros_like(jax.eval_shape(phi, x))
            return jnp.concatenate([zero if one is None else next(found) for one in self.operators])

        return row

    def combined(self, phi: OnePointFunction, c: Any) -> OnePointFunction:
        """Return the image of Φ c."""
        return combined(self, phi, c)

    def __repr__(self) -> str:
        parts = [one.text(f"u{b}") for b, one in enumerate(self.operators) if one is not None]
        return added(parts)


class Known(AbstractOperator):
    """Lu = a(x), whatever u is: a term of an equation that is not linear.

    Parameters
    ----------
    field : number, function or expression in the coordinates
    """

    scaled: Scaled
    order = 0
    linear = False

    def __init__(self, field: Any) -> None:
        self.scaled = field if isinstance(field, Scaled) else Scaled(as_field(field), Identity())

    @property
    def field(self) -> Field:
        """A."""
        return self.scaled.coefficient

    def __call__(self, u: Any) -> Any:
        """Return a."""
        return self.scaled(lambda x: jnp.ones((), x.dtype))

    def _over(self, function: Callable[[AbstractOperator], AbstractOperator]) -> Any:
        changed = function(self.scaled)
        assert isinstance(changed, Scaled)
        return Known(changed)

    def __repr__(self) -> str:
        return repr(self.field)


class Pointwise(AbstractOperator):
    """Lu = g(M₁u, M₂u, …): a product, a power, a sine of operators' images.

    Parameters
    ----------
    kind : str
        The name of a function of NumPy.
    arguments : sequence of AbstractOperator
    """

    kind: str = eqx.field(static=True)
    arguments: tuple[AbstractOperator, ...]

    def __init__(self, kind: str, arguments: Sequence[AbstractOperator]) -> None:
        self.kind, self.arguments = kind, tuple(arguments)

    @property
    def linear(self) -> bool:
        """No: what is linear is a sum or a multiple."""
        return False

    def __call__(self, u: Any) -> Any:
        """Return x ↦ g((M₁u)(x), …)."""
        images = [one(u) for one in self.arguments]
        return lambda x: self.of([image(x) for image in images])

    def of(self, values: Sequence[Any]) -> Any:
        """Return g of the values of the arguments."""
        if self.kind == "power" and isinstance(self.arguments[1], Known):
            exponent = self.arguments[1].field
            number = exponent.arguments[0] if exponent.kind == "constant" else 0.5
            if number == round(number):  # z**3.0 has no derivative where z ≤ 0
                return values[0] ** int(number)
        return getattr(jnp, self.kind)(*values)

    def __repr__(self) -> str:
        return f"{self.kind}({', '.join(map(repr, self.arguments))})"


class Joint(AbstractOperator):
    """Lu for several unknowns, where it is not linear.

    Parameters
    ----------
    operator : AbstractOperator
        Of the vector of all unknowns: :class:`Component` picks one.
    n_unknowns : int
        B.
    """

    operator: AbstractOperator
    count: int = eqx.field(static=True)

    @property
    def n_unknowns(self) -> int:
        """B."""
        return self.count

    def __call__(self, u: Any) -> Any:
        """Return Lu."""
        return self.operator(u)

    def columns(self, phi: OnePointFunction) -> OnePointFunction:
        """Refuse: only a linearised equation has rows."""
        raise ValueError(f"{self!r} is not linear: it has no rows until it is linearised.")

    def combined(self, phi: OnePointFunction, c: Any) -> OnePointFunction:
        """Return the image of Φ c."""
        return combined(self, phi, c)

    def __repr__(self) -> str:
        return repr(self.operator)


class Form(NamedTuple):
    """An operator as g(M₁u, M₂u, …), the M being linear.

    Attributes
    ----------
    parts : list of AbstractOperator
        M_j.
    value : function
        g, of the values of the parts (J,) and a point.
    """

    parts: list[AbstractOperator]
    value: Callable[[Array, PointX], Array]


def pointwise(operator: AbstractOperator) -> Form | None:
    """Return the form of an operator that differentiates no products, ``None`` of another one."""
    parts: list[AbstractOperator] = []

    def form(one: AbstractOperator) -> Callable[[Array, PointX], Any] | None:
        if isinstance(one, Joint):
            return form(one.operator)
        if isinstance(one, Known):
            return lambda w, x: one.scaled(lambda y: jnp.ones((), y.dtype))(x)
        if isinstance(one, Sum | Pointwise | Scaled):
            inner = [form(each) for each in one.operands]
            known = [each for each in inner if each is not None]
            if len(known) < len(inner):
                return None
            if isinstance(one, Sum):
                return lambda w, x: sum((f(w, x) for f in known[1:]), start=known[0](w, x))
            if isinstance(one, Scaled):
                return lambda w, x: one.number_at(x) * known[0](w, x)
            return lambda w, x: one.of([f(w, x) for f in known])
        if not one.linear:
            return None
        number = len(parts)
        parts.append(one)
        return lambda w, x: w[number]

    value = form(operator)
    return None if value is None else Form(parts, value)


def _blocks(operator: AbstractOperator) -> list[int]:
    """Return the unknowns of a linear part: the first one where there is no other."""
    if isinstance(operator, Component):
        return [operator.index]
    inner = sorted({b for one in operator.operands for b in _blocks(one)})
    return inner or ([] if isinstance(operator, Component) else [0])


def _of_block(
    operator: AbstractOperator, block: int, count: int, phi: OnePointFunction
) -> OnePointFunction:
    """Return the image of the functions Φ of one of several unknowns, (P,)."""
    if count == 1:
        return operator(phi)

    def placed(x: PointX) -> Array:
        values = phi(x)
        return jnp.zeros((count, *values.shape), values.dtype).at[block].set(values)

    return operator(placed)


class Linearised(AbstractOperator):
    """Lv = d/dε N[u + ε v] at ε = 0: the derivative of an operator at a function u.

    Parameters
    ----------
    operator : AbstractOperator
        N.
    at : callable pytree
        u, from a point x: (D,) to a number. Arrays in it are traced: a new u compiles nothing.

    Examples
    --------
    >>> square = UserOperator(lambda u, x: u(x) ** 2, order=0, linear=False)
    >>> L = Linearised(square, jax.tree_util.Partial(lambda x: 3.0 * x[0]))
    >>> float(L(lambda x: x[0])(jnp.array([2.0])))
    24.0
    """

    operator: AbstractOperator
    at: OnePointFunction
    linear = True

    @property
    def n_unknowns(self) -> int:
        """That of the operator."""
        return self.operator.n_unknowns

    def __call__(self, u: Any) -> Any:
        """Return Lu; of many functions in one reverse pass."""
        if self.n_unknowns > 1:
            return self._along(u)

        def image(x: PointX) -> Array:
            def along(steps: Array) -> Array:
                return self.operator(lambda y: self.at(y) + jnp.sum(steps * u(y)))(x)

            shape = jax.eval_shape(u, x)
            return jax.grad(along)(jnp.zeros(shape.shape, shape.dtype))

        return image

    def _along(self, u: OnePointFunction) -> OnePointFunction:
        def image(x: PointX) -> Array:
            def moved(step: Array) -> Array:
                return self.operator(lambda y: self.at(y) + step * u(y))(x)

            zero = jnp.zeros((), x.dtype)
            return jax.jvp(moved, (zero,), (jnp.ones_like(zero),))[1]

        return image

    def columns(self, phi: OnePointFunction) -> OnePointFunction:
        """Return the derivatives along all coefficients, unknown after unknown."""
        form = pointwise(self.operator)
        if form is not None:
            return self._by_chain_rule(form, phi)
        if self.n_unknowns == 1:
            return self(phi)

        def row(x: PointX) -> Array:
            def along(steps: Array) -> Array:
                return self.operator(lambda y: self.at(y) + steps @ phi(y))(x)

            shape = jax.eval_shape(phi, x)
            steps = jnp.zeros((self.n_unknowns, *shape.shape), shape.dtype)
            return jax.grad(along)(steps).reshape(-1)

        return row

    def _by_chain_rule(self, form: Form, phi: OnePointFunction) -> OnePointFunction:
        # Σ_j ∂g/∂w_j M_j Φ for g(M_1 u, M_2 u, …): no derivative is taken of derivatives of Φ.
        count = self.n_unknowns
        images = [one(self.at) for one in form.parts]
        moves = [[(b, _of_block(one, b, count, phi)) for b in _blocks(one)] for one in form.parts]

        def row(x: PointX) -> Array:
            values = jnp.stack([image(x) for image in images])
            slopes = jax.grad(form.value)(values, x)
            shape = jax.eval_shape(phi, x)
            each = [jnp.zeros(shape.shape, shape.dtype)] * count
            for slope, pieces in zip(slopes, moves, strict=True):
                for b, piece in pieces:
                    each[b] = each[b] + slope * piece(x)
            return jnp.concatenate(each)

        return row

    def combined(self, phi: OnePointFunction, c: Any) -> OnePointFunction:
        """Return the image of Φ c."""
        return combined(self, phi, c)

    def __repr__(self) -> str:
        return f"{self.operator!r}, linearised"

"""Operators of several unknowns, and those that are not linear, as expressions state them.

A function of B unknowns has a vector (B,) of values at a point. All unknowns are made of the same
functions Φ, each with coefficients of its own: unknown b owns columns b·P … (b+1)·P of a row.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jax import Array

from .._runtime.notation import OnePointFunction, PointX
from ..geometry.fields import Field, as_field
from .base import AbstractOperator, Identity, Scaled, added, combined


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
        images, function = [one(u) for one in self.arguments], getattr(jnp, self.kind)
        if self.kind == "power" and isinstance(self.arguments[1], Known):
            exponent = self.arguments[1].field
            if exponent.kind == "constant" and exponent.arguments[0] == round(
                exponent.arguments[0]
            ):
                whole = int(exponent.arguments[0])  # z**3.0 has no derivative where z ≤ 0
                return lambda x: images[0](x) ** whole
        return lambda x: function(*(image(x) for image in images))

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

"""Derivatives: partial, directional, normal, Laplacian, biharmonic.

All in nested forward mode on a vector-valued function, one pass for all its components. JAX's
Taylor mode is slower at the orders of equations (300 tanh features, order 4: 1.6 times as long to
compile, 2.4 times to run), knows no loops, no functions with derivatives of their own and not all
others, and gives NaN for z ** 3.0 where z < 0.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jax import Array

from .._runtime.notation import OnePointFunction, PointX
from ..geometry.fields import Field
from .base import AbstractOperator

#: A coordinate by number, by name, or as made by :func:`adabasis.pde.coordinates`.
Coordinate = int | str | Field


class Partial(AbstractOperator):
    """Lu = ∂ᵏu/∂x_iᵏ.

    Parameters
    ----------
    index : int, str or coordinate
        The coordinate i, counted from 0, or its name.
    order : int
        k ≥ 1.

    Raises
    ------
    ValueError
        For an order below 1, or a coordinate that is none.
    """

    index: int | str = eqx.field(static=True)
    order: int = eqx.field(static=True, default=1)

    def __init__(self, index: Coordinate, order: int = 1) -> None:
        self.index, self.order = coordinate_given("Partial", index), _order("Partial", order)

    def bind(self, names: Sequence[str]) -> AbstractOperator:
        """Replace the coordinate's name by its number."""
        return Partial(number_of("Partial", self.index, names), self.order)

    def __call__(self, u: Any) -> Any:
        """Return the derivative of u along coordinate ``index``."""
        return lambda x: _derivative(u, x, _axis(x, self.index), self.order)

    def text(self, u: str) -> str:
        """Return u_xx."""
        return f"{_single(u)}_{str(self.index) * self.order}"

    def __repr__(self) -> str:
        return self.text("u")


class Directional(AbstractOperator):
    """Lu = (v·∇)ᵏu for a constant vector v.

    Parameters
    ----------
    direction : sequence of D numbers
        v; not normalised.
    order : int
        k ≥ 1.
    """

    direction: tuple[float, ...] = eqx.field(static=True)
    order: int = eqx.field(static=True, default=1)

    def __init__(self, direction: Sequence[float], order: int = 1) -> None:
        self.direction = tuple(float(v) for v in direction)
        self.order = _order("Directional", order)

    def bind(self, names: Sequence[str]) -> AbstractOperator:
        """Check the number of components."""
        if len(names) != len(self.direction):
            raise ValueError(
                f"Directional({self.direction}): expected {len(names)} components, for "
                f"{', '.join(names)}."
            )
        return self

    def __call__(self, u: Any) -> Any:
        """Return the derivative of u along the direction."""
        return lambda x: _derivative(u, x, jnp.asarray(self.direction, x.dtype), self.order)

    def text(self, u: str) -> str:
        """Return (v·∇)^k u."""
        power = "" if self.order == 1 else f"^{self.order}"
        return f"({', '.join(f'{v:g}' for v in self.direction)})·∇{power} {_single(u)}"

    def __repr__(self) -> str:
        return self.text("u")


class Along(AbstractOperator):
    """Lu = v·∇u for a vector v: (D,) that may be traced, such as the normal at a point."""

    direction: Any
    order = 1

    def __call__(self, u: OnePointFunction) -> OnePointFunction:
        """Return the derivative of u along the vector."""
        return lambda x: _derivative(u, x, jnp.asarray(self.direction, x.dtype), 1)

    def __repr__(self) -> str:
        return "∂u/∂n"


class AbstractOverCoordinates(AbstractOperator):
    """An operator that takes derivatives along the coordinates named, or along all."""

    coordinates: eqx.AbstractVar[tuple[int | str, ...]]

    def bind(self, names: Sequence[str]) -> AbstractOperator:
        """Replace names by numbers."""
        kind: Any = type(self)
        return kind(*(number_of(kind.__name__, c, names) for c in self.coordinates))


class Laplacian(AbstractOverCoordinates):
    """Lu = Σ ∂²u/∂x_i², over the coordinates named, or all.

    Parameters
    ----------
    *coordinates : int, str or coordinate
        Name the spatial ones where time is a coordinate too.
    """

    coordinates: tuple[int | str, ...] = eqx.field(static=True)
    order = 2

    def __init__(self, *coordinates: Coordinate) -> None:
        self.coordinates = tuple(coordinate_given("Laplacian", c) for c in coordinates)

    def __call__(self, u: Any) -> Any:
        """Return the sum of second derivatives."""

        def laplacian(x: PointX) -> Array:
            axes = self.coordinates or range(x.shape[0])
            return jnp.sum(jnp.stack([_derivative(u, x, _axis(x, i), 2) for i in axes]), axis=0)

        return laplacian

    def text(self, u: str) -> str:
        """Return Δu."""
        return f"Δ{''.join(map(str, self.coordinates))} {_single(u)}"

    def __repr__(self) -> str:
        return self.text("u")


class Biharmonic(AbstractOverCoordinates):
    r"""Lu = Δ²u, over the coordinates named, or all.

    Mixed derivatives come from pure ones along the diagonals:
    ∂ᵢ²∂ⱼ² = [(∂ᵢ+∂ⱼ)⁴ + (∂ᵢ−∂ⱼ)⁴ − 2∂ᵢ⁴ − 2∂ⱼ⁴] / 12.

    Parameters
    ----------
    *coordinates : int, str or coordinate
        Name the spatial ones where time is a coordinate too.
    """

    coordinates: tuple[int | str, ...] = eqx.field(static=True)
    order = 4

    def __init__(self, *coordinates: Coordinate) -> None:
        self.coordinates = tuple(coordinate_given("Biharmonic", c) for c in coordinates)

    def __call__(self, u: Any) -> Any:
        """Return the sum of fourth derivatives."""

        def biharmonic(x: PointX) -> Array:
            axes = list(self.coordinates or range(x.shape[0]))
            # Σᵢ ∂ᵢ⁴ + 2 Σ_{i<j} ∂ᵢ²∂ⱼ², each axis being in (number − 1) pairs.
            pure = jnp.stack([_derivative(u, x, _axis(x, i), 4) for i in axes])
            total = (1 - (len(axes) - 1) / 3) * jnp.sum(pure, axis=0)
            for a, i in enumerate(axes):
                for j in axes[a + 1 :]:
                    for sign in (1.0, -1.0):
                        diagonal = _axis(x, i) + sign * _axis(x, j)
                        total = total + _derivative(u, x, diagonal, 4) / 6
            return total

        return biharmonic

    def text(self, u: str) -> str:
        """Return Δ²u."""
        return f"Δ²{''.join(map(str, self.coordinates))} {_single(u)}"

    def __repr__(self) -> str:
        return self.text("u")


class NormalDerivative(AbstractOperator):
    """Lu = ∂u/∂n on a boundary: the direction comes from the face it is applied on."""

    order = 1

    def facing(self, normal: Any) -> AbstractOperator:
        """Return the derivative along the outward normal, of a face or at a point."""
        return Directional(normal) if isinstance(normal, tuple) else Along(normal)

    def __call__(self, u: Any) -> Any:
        """Refuse: without a face there is no normal."""
        raise ValueError(
            "NormalDerivative()(u): there is no normal here. Use it in conditions (Neumann, "
            "Robin), or Directional((...)) with the components of the normal."
        )

    def text(self, u: str) -> str:
        """Return ∂u/∂n."""
        return f"∂{_single(u)}/∂n"

    def __repr__(self) -> str:
        return self.text("u")


def _single(u: str) -> str:
    """Return what a derivative is taken of: a name, or anything else in brackets."""
    return u if u.replace("_", "").isalnum() else f"({u})"


def _derivative(u: OnePointFunction, x: PointX, v: Array, order: int) -> Array:
    """Return the order-th derivative of u at x along v."""
    if order == 0:
        return u(x)
    return jax.jvp(lambda y: _derivative(u, y, v, order - 1), (x,), (v,))[1]


def _axis(x: PointX, index: int | str) -> Array:
    if isinstance(index, str):
        raise ValueError(
            f"Partial({index!r}): the number of this coordinate is not known here. Bind the "
            "operator first: operator.bind(domain.names)."
        )
    if not -x.shape[0] <= index < x.shape[0]:
        raise ValueError(f"Partial({index}): points have {x.shape[0]} coordinates, from 0.")
    return jnp.zeros_like(x).at[index].set(1.0)


def coordinate_given(call: str, coordinate: Coordinate) -> int | str:
    """Return the name or number of what is given as a coordinate."""
    if isinstance(coordinate, Field) and coordinate.kind == "coordinate":
        return str(coordinate.arguments[0])
    if isinstance(coordinate, int | str) and not isinstance(coordinate, bool):
        return coordinate
    raise ValueError(f"{call}({coordinate!r}): expected a coordinate, its name or its number.")


def number_of(call: str, coordinate: int | str, names: Sequence[str]) -> int:
    """Return the number of a coordinate, counted from 0."""
    if isinstance(coordinate, str):
        if coordinate not in names:
            raise ValueError(
                f"{call}({coordinate!r}): there is no such coordinate; the domain has "
                f"{', '.join(names)}."
            )
        return list(names).index(coordinate)
    if not 0 <= coordinate < len(names):
        raise ValueError(
            f"{call}({coordinate}): the domain has {len(names)} coordinates, counted from 0."
        )
    return coordinate


def _order(call: str, order: int) -> int:
    if int(order) != order or order < 1:
        raise ValueError(f"{call}(order={order!r}): expected a whole number of at least 1.")
    return int(order)

"""Integrals and means as operators: of the whole domain, and along a coordinate."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from .._runtime.notation import PointX
from ..geometry.boxes import Box
from ..geometry.points import Gauss, Sobol
from .base import AbstractOperator
from .derivatives import coordinate_given, number_of

#: Gauss points of an integral along a coordinate where nobody says: exact to degree 127.
NODES = 64


class Averaged(AbstractOperator):
    """Lu = Σ_k w_k u(x_k), the same number at every point: a mean, or an integral.

    Parameters
    ----------
    points : array, shape (M, D)
    weights : array, shape (M,)
    name : str
        What it is called in print.
    """

    points: Any
    weights: Any
    name: str = eqx.field(static=True, default="mean")
    order = 0

    def __call__(self, u: Any) -> Any:
        """Return the constant function."""

        def image(x: PointX) -> Array:
            values = jax.vmap(u)(jnp.asarray(self.points, x.dtype))
            return jnp.tensordot(jnp.asarray(self.weights, x.dtype), values, axes=1)

        return image

    def text(self, u: str) -> str:
        """Return mean(u)."""
        return f"{self.name}({u})"

    def __repr__(self) -> str:
        return self.text("u")


class Along(AbstractOperator):
    """Lu = ∫ₐᵇ K(x, s) u(…, s, …) ds along one coordinate, by Gauss points.

    Parameters
    ----------
    coordinate : int, str or coordinate
    lower, upper : numbers, or "here"
        ``"here"`` is the point's own coordinate: an integral of Volterra's kind.
    kernel : function of two numbers, optional
        K of the point's coordinate and of the variable of integration; it must use ``jax.numpy``.
    nodes : int
        Gauss points.
    """

    coordinate: int | str = eqx.field(static=True)
    lower: float | str = eqx.field(static=True)
    upper: float | str = eqx.field(static=True)
    kernel: Callable[[Array, Array], Array] | None = eqx.field(static=True, default=None)
    nodes: int = eqx.field(static=True, default=NODES)
    order = 0

    def bind(self, names: Sequence[str]) -> AbstractOperator:
        """Replace the coordinate's name by its number."""
        axis = number_of("Integral", self.coordinate, names)
        return Along(axis, self.lower, self.upper, self.kernel, self.nodes)

    def __call__(self, u: Any) -> Any:
        """Return the integral as a function of the point."""
        z, w = np.polynomial.legendre.leggauss(self.nodes)
        if isinstance(self.coordinate, str):
            raise ValueError(
                f"{self!r}: the number of the coordinate is not known here. Bind the operator "
                "first: operator.bind(domain.names)."
            )
        axis = self.coordinate

        def image(x: PointX) -> Array:
            low, high = (
                x[axis] if isinstance(end, str) else jnp.asarray(end, x.dtype)
                for end in (self.lower, self.upper)
            )
            half = (high - low) / 2
            s = low + half * (1 + jnp.asarray(z, x.dtype))
            values = jax.vmap(lambda at: u(x.at[axis].set(at)))(s)
            weights = half * jnp.asarray(w, x.dtype)
            if self.kernel is not None:
                weights = weights * jnp.broadcast_to(self.kernel(x[axis], s), s.shape)
            return jnp.tensordot(weights, values, axes=1)

        return image

    def text(self, u: str) -> str:
        """Return ∫ u dx with its bounds."""
        name = self.coordinate
        ends = [str(name) if e == "here" else f"{e:g}" for e in (self.lower, self.upper)]
        kernel = "" if self.kernel is None else f"{getattr(self.kernel, '__name__', 'kernel')} "
        return f"∫[{ends[0]}, {ends[1]}] {kernel}{u} d{name}"

    def __repr__(self) -> str:
        return self.text("u")


def Integral(
    u: Any,
    over: Any,
    lower: Any = None,
    upper: Any = None,
    *,
    kernel: Callable[[Array, Array], Array] | None = None,
    nodes: int = NODES,
) -> Any:
    """Return the integral of an expression, as a term of an equation.

    Parameters
    ----------
    u : Expression or function
        What is integrated; as with any operator, an expression in unknowns gives another one.
    over : Box, or (coordinate, lower, upper)
        The whole domain, or an interval of one coordinate, the others staying those of the point.
        A bound that is the coordinate itself is that of the point: ``over=(t, 0.0, t)`` is
        Volterra's integral ∫₀ᵗ, ``over=(x, 0.0, 1.0)`` Fredholm's.
    kernel : function, optional
        K(x, s) of the point's coordinate and the variable of integration, in ``jax.numpy``:
        ∫ K(x, s) u(s) ds. Of the integral along a coordinate.
    nodes : int
        Gauss points along each coordinate. Kernels with kinks need more.

    Raises
    ------
    TypeError, ValueError
        For something that is neither, no nodes, or a kernel over a whole domain.

    Examples
    --------
    >>> from adabasis.pde import unknowns, coordinates
    >>> (t,), u = coordinates("t"), unknowns("u")
    >>> u + Integral(u, over=(t, 0.0, t)) == 1.0
    u + ∫[0, t] u dt = 1
    """
    if not isinstance(nodes, int) or nodes < 1:
        raise ValueError(f"Integral(nodes={nodes!r}): expected a whole number of at least 1.")
    if isinstance(over, Box):
        if kernel is not None:
            raise ValueError(
                "Integral(over=domain, kernel=…): a kernel goes with an integral along one "
                "coordinate, over=(x, 0.0, 1.0)."
            )
        return _whole(over, nodes)(u)
    if lower is not None or upper is not None:
        over = (over, lower, upper)
    if not isinstance(over, tuple) or len(over) != 3:
        raise TypeError(
            f"Integral(over={over!r}): expected a domain, or (coordinate, lower, upper) such as "
            "(x, 0.0, 1.0) or (t, 0.0, t)."
        )
    name = coordinate_given("Integral", over[0])
    low, high = (_end(name, end) for end in over[1:])
    return Along(name, low, high, kernel, nodes)(u)


def _end(name: int | str, end: Any) -> float | str:
    if not isinstance(end, int | float | np.number) or isinstance(end, bool):
        if coordinate_given("Integral", end) != name:
            raise ValueError(
                f"Integral: the bound {end!r} is neither a number nor the coordinate {name}."
            )
        return "here"
    return float(end)


def _whole(domain: Box, nodes: int) -> Averaged:
    d = domain.n_inputs
    sampler: Any = Gauss(nodes) if d == 1 else Gauss() if d <= 3 else Sobol()
    points = sampler.interior(domain.bounds, 2048)
    volume = float(np.prod(domain.bounds[:, 1] - domain.bounds[:, 0]))
    return Averaged(np.asarray(points.x), volume * np.asarray(points.weight), "integral")

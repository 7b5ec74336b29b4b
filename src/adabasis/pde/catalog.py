"""Problems with known solutions, by name: for tests, benchmarks and first steps.

``PROBLEMS[name]()`` makes one; its ``exact`` is verified in the tests by applying its operator.
The smooth ones (:data:`SMOOTH`) are solved to 1e-6 by default settings.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import numpy as np

from ..geometry import Box, coordinates
from ..operators import Biharmonic, Identity, Laplacian, Partial, unknowns
from .conditions import Condition, Dirichlet, Initial, Neumann
from .problem import LinearProblem, Problem

x, y, z, t = coordinates("x", "y", "z", "t")
pi = np.pi


def bump(s: Any, centre: float = 0.5, width: float = 0.1) -> Any:
    """Return exp(−((s − centre)/width)²)."""
    return np.exp(-(((s - centre) / width) ** 2))


def tent(s: Any, centre: float = 0.2, half_width: float = 0.1) -> Any:
    """Return the tent of height 1."""
    return np.maximum(0.0, 1.0 - np.abs((s - centre) / half_width))


def advection(
    velocity: Any, origin: Any, start: Callable[[Any], Any], *, times: float = 1.0
) -> LinearProblem:
    """Return u_t + a u_x = 0 on the unit square with inflow 0 at x = 0.

    Parameters
    ----------
    velocity : number or expression
        a(x, t).
    origin : expression
        Where the characteristic through (x, t) starts: u = start(origin).
    start : function
        u at t = 0.
    """
    return LinearProblem(
        Box(x=(0, 1), t=(0, times)),
        Partial(t) + velocity * Partial(x),
        0.0,
        [Initial(start(x), at=(t, 0.0)), Dirichlet(start(origin), on=(x, 0.0))],
        exact=start(origin),
    )


def _advection_rotating() -> LinearProblem:
    # Turn a Gaussian by a quarter about the origin; inflow wherever the velocity points in.
    rate = pi / 2
    back_x, back_y = (
        np.cos(rate * t) * x + np.sin(rate * t) * y,
        np.cos(rate * t) * y - np.sin(rate * t) * x,
    )
    exact = np.exp(-((((back_x - 0.3) ** 2) + back_y**2) / 0.25))
    inflow = [
        Dirichlet(exact, on=(x, 1.0), where=y > 0),
        Dirichlet(exact, on=(x, -1.0), where=y < 0),
        Dirichlet(exact, on=(y, 1.0), where=x < 0),
        Dirichlet(exact, on=(y, -1.0), where=x > 0),
    ]
    return LinearProblem(
        Box(x=(-1, 1), y=(-1, 1), t=(0, 1)),
        Partial(t) - rate * y * Partial(x) + rate * x * Partial(y),
        0.0,
        [Initial(np.exp(-(((x - 0.3) ** 2 + y**2) / 0.25)), at=(t, 0.0)), *inflow],
        exact=exact,
    )


def _heat() -> LinearProblem:
    k = 0.1
    exact = np.exp(-k * pi**2 * t) * np.sin(pi * x) + 0.5 * np.exp(-9 * k * pi**2 * t) * np.sin(
        3 * pi * x
    )
    return LinearProblem(
        Box(x=(0, 1), t=(0, 1)),
        Partial(t) - k * Partial(x, 2),
        0.0,
        [Initial(np.sin(pi * x) + 0.5 * np.sin(3 * pi * x), at=(t, 0.0)), Dirichlet(0.0, on=x)],
        exact=exact,
    )


def _wave() -> LinearProblem:
    # A standing wave with a harmonic, over one period.
    exact = np.sin(pi * x) * np.cos(2 * pi * t) + 0.3 * np.sin(2 * pi * x) * np.sin(4 * pi * t)
    return LinearProblem(
        Box(x=(0, 1), t=(0, 1)),
        Partial(t, 2) - 4.0 * Partial(x, 2),
        0.0,
        [
            Initial(np.sin(pi * x), at=(t, 0.0), velocity=1.2 * pi * np.sin(2 * pi * x)),
            Dirichlet(0.0, on=x),
        ],
        exact=exact,
    )


def poisson(*names: str) -> LinearProblem:
    """Return −Δu = D π² Π sin(π x_i) on the unit box, u = 0 on its boundary."""
    product = functools.reduce(lambda a, b: a * b, [np.sin(pi * c) for c in coordinates(*names)])
    return LinearProblem(
        Box(**dict.fromkeys(names, (0.0, 1.0))),
        -Laplacian(),
        len(names) * pi**2 * product,
        [Dirichlet(0.0)],
        exact=product,
    )


def _helmholtz() -> LinearProblem:
    # K = 10 with 6² + 8² = k²: sin 6x cos 8y and y cos kx solve the equation.
    k = 10.0
    exact = np.sin(6 * x) * np.cos(8 * y) + np.cos(k * x) * y
    return LinearProblem(
        Box(x=(0, 1), y=(0, 1)),
        Laplacian() + k**2 * Identity(),
        0.0,
        [Dirichlet(exact)],
        exact=exact,
    )


def _advection_diffusion() -> LinearProblem:
    # −ε u″ + u′ = 1 with ε = 0.01: a boundary layer at x = 1.
    eps = 0.01
    layer = (np.exp((x - 1) / eps) - np.exp(-1 / eps)) / (1 - np.exp(-1 / eps))
    return LinearProblem(
        Box(x=(0, 1)),
        Partial(x) - eps * Partial(x, 2),
        1.0,
        [Dirichlet(0.0)],
        exact=x - layer,
    )


def _biharmonic() -> LinearProblem:
    # A clamped plate: u = ∂u/∂n = 0 on the boundary.
    # Δ²(f(x) f(y)) with f = sin²(πs): f″ = 2π² cos 2πs, f⁗ = −8π⁴ cos 2πs.
    fx, fy = np.sin(pi * x) ** 2, np.sin(pi * y) ** 2
    cx, cy = np.cos(2 * pi * x), np.cos(2 * pi * y)
    return LinearProblem(
        Box(x=(0, 1), y=(0, 1)),
        Biharmonic(),
        8 * pi**4 * (cx * cy - cx * fy - fx * cy),
        [Dirichlet(0.0), Neumann(0.0)],
        exact=fx * fy,
    )


def _beam() -> LinearProblem:
    # A vibrating Euler–Bernoulli beam, simply supported: u_tt + u_xxxx = 0.
    exact = np.sin(pi * x) * np.cos(pi**2 * t)
    return LinearProblem(
        Box(x=(0, 1), t=(0, 1)),
        Partial(t, 2) + Partial(x, 4),
        0.0,
        [
            Initial(np.sin(pi * x), at=(t, 0.0), velocity=0.0),
            Dirichlet(0.0, on=x),
            Condition(Partial(x, 2), 0.0, on=x),
        ],
        exact=exact,
    )


def _burgers() -> Problem:
    # Viscous Burgers with a travelling front: not linear in u.
    nu, speed, u = 0.05, 0.5, unknowns("u")
    exact = speed - speed * np.tanh(speed * (x - speed * t) / (2 * nu))
    return Problem(
        Box(x=(-1, 1), t=(0, 1)),
        [Partial(t)(u) + u * Partial(x)(u) - nu * Partial(x, 2)(u) == 0.0],
        [
            Initial(speed - speed * np.tanh(speed * x / (2 * nu)), at=(t, 0.0)),
            Dirichlet(exact, on=x),
        ],
        exact=exact,
    )


PROBLEMS: dict[str, Callable[[], Problem]] = {
    "advection-constant": lambda: advection(1.0, x - t, functools.partial(bump, centre=0.2)),
    "advection-variable": lambda: advection(x, x * np.exp(-t), bump),
    "advection-constant-tent": lambda: advection(1.0, x - t, tent),
    "advection-variable-tent": lambda: advection(x, x * np.exp(-t), tent),
    "advection-rotating": _advection_rotating,
    "heat": _heat,
    "wave": _wave,
    "poisson-1d": lambda: poisson("x"),
    "poisson-2d": lambda: poisson("x", "y"),
    "poisson-3d": lambda: poisson("x", "y", "z"),
    "helmholtz": _helmholtz,
    "advection-diffusion": _advection_diffusion,
    "biharmonic": _biharmonic,
    "beam": _beam,
    "burgers": _burgers,
}
SMOOTH = [name for name in PROBLEMS if "tent" not in name and name != "burgers"]


@functools.cache
def problem(name: str) -> Problem:
    """Return a problem of the catalogue; the same object each time.

    Raises
    ------
    KeyError
        For a name that is not in it.
    """
    if name not in PROBLEMS:
        raise KeyError(f"{name!r} is not in the catalogue: {', '.join(PROBLEMS)}.")
    made = PROBLEMS[name]()
    made.name = name
    return made


def describe(name: str) -> str:
    """Return a problem's equation in one line."""
    return problem(name).equation


__all__ = [
    "PROBLEMS",
    "SMOOTH",
    "advection",
    "bump",
    "describe",
    "poisson",
    "problem",
    "tent",
]

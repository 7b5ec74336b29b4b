"""Ten equations of each kind that certificates once were wrong about, with those of the suite.

Loads, layers and what is ill-posed have ten in :mod:`tests.evidence.equations`; here are more near
resonance, free up to functions, easy ones of which too little was claimed, and narrow ones.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np

import adabasis as ab
from adabasis import operators as op
from adabasis import pde
from adabasis._runtime.compute import numerics

from .equations import LINE, SQUARE, STRIP, ZERO, Case, L, d, linear, pi, t, x, y

I = op.Identity()  # noqa: E741
CASES: dict[str, Case] = {}
ENDS = pde.Neumann(0.0)


def image(operator, exact, names):
    """Return the operator's image of a formula, as a function of the coordinates."""
    bound = operator.bind(names)

    def u(point):
        return exact.evaluate(dict(zip(names, point, strict=True)), jnp)

    def values(*columns):
        with numerics():
            points = np.stack(np.broadcast_arrays(*columns), axis=-1)
            return np.asarray(jax.vmap(bound(u))(points.reshape(-1, len(names)))).reshape(
                points.shape[:-1]
            )

    return {  # coordinates are told by the names of arguments
        "x": lambda x: values(x),
        "t": lambda t: values(t),
        "xy": lambda x, y: values(x, y),
        "xt": lambda x, t: values(x, t),
    }["".join(names)]


def add(name, exact, operator, *conditions, words="", box=LINE):
    """Register u with the source and the values that belong to it."""

    def make():
        return linear(box, operator, image(operator, exact, box.names), *conditions)

    def known(points):
        columns = dict(zip(box.names, points.T, strict=True))
        return np.broadcast_to(exact.evaluate(columns, np), len(points))

    CASES[name] = Case(make, known, words=words)


# Near resonance: a mode of size 1/δ goes with the residual δ.
add("rod, 1e-3 from resonance", np.cos(2 * pi * x), d(x, 2) + (pi**2 + 1e-3) * I, ENDS)
add("string, 1e-3 from resonance", np.sin(2 * pi * x), d(x, 2) + (pi**2 + 1e-3) * I, ZERO)
add("string, .01 from the third", x * (1 - x), d(x, 2) + (9 * pi**2 + 1e-2) * I, ZERO)
add(
    "ring, 1e-3 from resonance",
    np.cos(4 * pi * x),
    d(x, 2) + (4 * pi**2 + 1e-3) * I,
    pde.Periodic(x),
)
add(
    "plate, .01 from a double mode",
    np.sin(pi * x) * np.sin(pi * y),
    L + (5 * pi**2 + 1e-2) * I,
    ZERO,
    box=SQUARE,
)
add(
    "plate with insulated sides, .01 from resonance",
    np.cos(2 * pi * x) * np.cos(pi * y),
    L + (2 * pi**2 + 1e-2) * I,
    ENDS,
    box=SQUARE,
)
add(
    "beam, 1e-3 from resonance",
    np.sin(2 * pi * x),
    d(x, 4) - (pi**4 + 1e-3) * I,
    ZERO,
    pde.Condition(d(x, 2), 0.0, on=x),
)

# Free up to functions, and equations whose source does not balance.
add(
    "rod with a coefficient",
    np.cos(pi * x),
    -(d(x) @ ((1 + x) * d(x))),
    ENDS,
    words="Not determined",
)
add(
    "two free waves",
    np.sin(4 * pi * x),
    d(x, 2) + 4 * pi**2 * I,
    pde.Periodic(x),
    words="Not determined",
)
add(
    "free beam",
    np.cos(2 * pi * x),
    d(x, 4),
    pde.Condition(d(x, 2), -4 * pi**2, on=x),
    pde.Condition(d(x, 3), 0.0, on=x),
    words="Not determined",
)
for _name, _problem in {
    "free beam with weight": lambda: linear(
        LINE, d(x, 4), 1.0, pde.Condition(d(x, 2), 0.0, on=x), pde.Condition(d(x, 3), 0.0, on=x)
    ),
    "rod with a coefficient, heated": lambda: linear(LINE, -(d(x) @ ((1 + x) * d(x))), 1.0, ENDS),
    "plate with insulated sides, heated in a spot": lambda: linear(
        SQUARE, -L, np.exp(-20 * (x**2 + y**2)), ENDS
    ),
}.items():
    CASES[_name] = Case(_problem, None, words="Contradictory")

# Easy ones: to claim much less than is true is wrong, too.
add("a polynomial", x**3 - x, d(x, 2), ZERO)
add("exponential", np.exp(x), d(x) - I, pde.Dirichlet(1.0, on=(x, 0.0)))
add("spring", np.cos(12 * t), d(t, 2) + 144 * I, pde.Initial(1.0, at=(t, 0.0), velocity=0.0),
    box=ab.Box(t=(0, 2)))  # fmt: skip
add("screened plate", np.exp(x) * np.cos(2 * y), L - 25 * I,
    pde.Dirichlet(np.exp(x) * np.cos(2 * y)), box=SQUARE)  # fmt: skip
add(
    "wind over a plate",
    np.sin(pi * x) * np.sin(pi * y),
    -L + 10 * d(x) - 3 * d(y),
    ZERO,
    box=SQUARE,
)
add(
    "heat with a source",
    np.sin(2 * pi * x) * np.cos(3 * t),
    d(t) - d(x, 2),
    pde.Initial(np.sin(2 * pi * x), at=(t, 0.0)),
    pde.Dirichlet(0.0, on=x),
    box=STRIP,
)
add("a plate twice as long", np.sin(pi * x) * np.cos(y), -L,
    pde.Dirichlet(np.sin(pi * x) * np.cos(y)), box=ab.Box(x=(0, 2), y=(0, 1)))  # fmt: skip
add("kelvin and millimetres", 300 + 5 * np.sin(2000 * pi * x), d(x, 2), pde.Dirichlet(300.0),
    box=ab.Box(x=(0, 1e-3)))  # fmt: skip

# Narrow along one coordinate, or along a diagonal.
add("layer of .01 along y", np.exp(-y / 0.01) * np.sin(pi * x), -L + I,
    pde.Dirichlet(np.exp(-y / 0.01) * np.sin(pi * x)), box=SQUARE)  # fmt: skip
add("front along x", np.tanh((x - 0.4) / 0.01), d(x, 2), pde.Dirichlet(np.tanh((x - 0.4) / 0.01)))
add("front across a plate", np.tanh((x - 0.4) / 0.02) * y, -L,
    pde.Dirichlet(np.tanh((x - 0.4) / 0.02) * y), box=SQUARE)  # fmt: skip
add(
    "diagonal front",
    np.tanh((x + y - 1) / 0.1),
    -L,
    pde.Dirichlet(np.tanh((x + y - 1) / 0.1)),
    box=SQUARE,
)

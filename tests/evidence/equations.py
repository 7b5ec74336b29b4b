"""Equations with known solutions, easy and hard: what a certificate claims, beside the truth."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np
from scipy.special import erf

import adabasis as ab
from adabasis import operators as op
from adabasis import pde
from adabasis.pde import catalog

x, y, z, t = pde.coordinates("x", "y", "z", "t")
pi, L, d = np.pi, op.Laplacian(), op.Partial
LINE, SQUARE = ab.Box(x=(0, 1)), ab.Box(x=(0, 1), y=(0, 1))
STRIP, ZERO = ab.Box(x=(0, 1), t=(0, 1)), pde.Dirichlet(0.0)
CASES: dict[str, Case] = {}


@dataclasses.dataclass(frozen=True)
class Case:
    """An equation and what is known about it.

    Attributes
    ----------
    make : function
        Returns the problem.
    exact : function or None
        Of points (N, D); ``None`` where there is no solution, or more than one.
    near : function or None
        Returns further points of the measure, where something steep is.
    words : str
        What the verdict has to start with, if only some are right; several are divided by "|".
    fast : bool
        Whether the ordinary tests solve it.
    rare : bool
        Whether the truth differs only where no row lies.
    """

    make: Callable[[], pde.LinearProblem]
    exact: Callable[[np.ndarray], np.ndarray] | None
    near: Callable[[], np.ndarray] | None = None
    words: str = ""
    fast: bool = False
    rare: bool = False

    def error(self, u: Any) -> float:
        """Return the relative l2 error on dense points, NaN where nothing is known."""
        if self.exact is None:
            return float("nan")
        points = dense(u.problem.domain.bounds)
        if self.near is not None:
            points = np.concatenate([points, self.near()])
        true = self.exact(points)
        return float(np.linalg.norm(u(points) - true) / np.linalg.norm(true))


def dense(bounds: np.ndarray) -> np.ndarray:
    """Return 20,001 even points of an interval, 32,768 random ones of other boxes."""
    if len(bounds) == 1:
        return np.linspace(*bounds[0], 20_001)[:, None]
    return np.random.default_rng(3).uniform(*bounds.T, (2**15, len(bounds)))


def case(name: str, exact: Any, near: Any = None, words: str = "", **about: bool) -> Any:
    """Register what makes a problem; ``exact`` is an expression, or a function of points."""

    def register(make: Callable[[], pde.LinearProblem]) -> Callable[[], pde.LinearProblem]:
        found = exact
        if exact == "its own":
            found = lambda points: make().exact_values(points)  # noqa: E731
        elif isinstance(exact, pde_field):
            names = make().domain.names
            found = lambda points: evaluated(exact, names, points)  # noqa: E731
        CASES[name] = Case(make, found, near, words, **about)
        return make

    return register


pde_field = type(x)


def evaluated(field: Any, names: Any, points: np.ndarray) -> np.ndarray:
    columns = dict(zip(names, points.T, strict=True))
    return np.broadcast_to(field.evaluate(columns, np), (len(points),))


def linear(domain: ab.Box, operator: Any, source: Any, *conditions: Any) -> pde.LinearProblem:
    return pde.LinearProblem(domain, operator, source, conditions)


# --- Smooth ones ---------------------------------------------------------------------------------

for name in catalog.PROBLEMS:
    steep = name in ("advection-constant-tent", "advection-variable-tent", "burgers")
    case(
        name,
        "its own",
        words="" if steep else "Solved",
        fast=name == "poisson-1d",
    )(lambda name=name: catalog.problem(name))


@case("poisson 16 half-waves", np.sin(16 * pi * x) * np.sin(16 * pi * y))
def _():
    f = 512 * pi**2 * np.sin(16 * pi * x) * np.sin(16 * pi * y)
    return linear(SQUARE, -L, f, ZERO)


@case("sine of 40 half-waves", np.sin(40 * pi * x))
def _():
    return linear(LINE, -d(x, 2), 1600 * pi**2 * np.sin(40 * pi * x), ZERO)


@case("helmholtz k = 40", np.sin(24 * x) * np.sin(32 * y))
def _():
    exact = np.sin(24 * x) * np.sin(32 * y)
    return linear(SQUARE, L + 1600 * op.Identity(), 0.0, pde.Dirichlet(exact))


def scaled_heat(length, time, height):
    mode = height * np.sin(pi * x / length)
    rate = 0.1 * length**2 / time
    return pde.LinearProblem(
        ab.Box(x=(0, length), t=(0, time)),
        d(t) - rate * d(x, 2),
        0.0,
        [pde.Initial(mode, at=(t, 0.0)), pde.Dirichlet(0.0, on=x)],
        exact=mode * np.exp(-0.1 * pi**2 * t / time),
    )


case("heat, tiny lengths", "its own")(lambda: scaled_heat(1e-6, 3e7, 1e5))
case("heat, tiny times", "its own")(lambda: scaled_heat(1e6, 1e-9, 1e-12))


ROOT = 0.8603335890193797  # s tan s = 1


@case("Robin heat", np.cos(ROOT * x) * np.exp(-(ROOT**2) * t), words="Solved")
def _():
    return linear(
        STRIP,
        d(t) - d(x, 2),
        0.0,
        pde.Initial(np.cos(ROOT * x), at=(t, 0.0)),
        pde.Neumann(0.0, on=(x, 0.0)),
        pde.Robin(0.0, on=(x, 1.0)),
    )


@case("Robin heat, quick", np.cos(ROOT * x) * np.exp(-10 * (ROOT**2) * t))
def _():
    return linear(
        STRIP,
        d(t) - 10 * d(x, 2),
        0.0,
        pde.Initial(np.cos(ROOT * x), at=(t, 0.0)),
        pde.Neumann(0.0, on=(x, 0.0)),
        pde.Robin(0.0, on=(x, 1.0)),
    )


@case("periodic with a reaction", np.exp(np.sin(2 * pi * x)), words="Solved", fast=True)
def _():
    u, s, c = np.exp(np.sin(2 * pi * x)), np.sin(2 * pi * x), np.cos(2 * pi * x)
    return linear(LINE, -d(x, 2) + op.Identity(), u - 4 * pi**2 * (c * c - s) * u, pde.Periodic(x))


@case("heat in a square", np.sin(pi * x) * np.sin(2 * pi * y) * np.exp(-5 * 0.05 * pi**2 * t))
def _():
    start = np.sin(pi * x) * np.sin(2 * pi * y)
    box = ab.Box(x=(0, 1), y=(0, 1), t=(0, 1))
    operator = d(t) - 0.05 * op.Laplacian("x", "y")
    return linear(box, operator, 0.0, pde.Initial(start, at=(t, 0.0)), ZERO)


@case("heat, 20 half-waves", np.sin(20 * pi * x) * np.sin(pi * y) * np.exp(-1.0016 * t))
def _():
    start = np.sin(20 * pi * x) * np.sin(pi * y)
    box = ab.Box(x=(0, 1), y=(0, 1), t=(0, 5))
    operator = d(t) - (1 / (500 * pi) ** 2) * d(x, 2) - (1 / pi**2) * d(y, 2)
    return linear(box, operator, 0.0, pde.Initial(start, at=(t, 0.0)), ZERO)


# --- Layers --------------------------------------------------------------------------------------


def near(*places, width, lower=0.0, upper=1.0):
    """Return points within ten widths of places on a line."""
    steps = width * np.linspace(-10, 10, 401)
    at = np.concatenate([p + steps for p in places])
    return at[(at >= lower) & (at <= upper)][:, None]


def layer(eps):
    def exact(p):
        return p[:, 0] - np.exp((p[:, 0] - 1) / eps)

    def make():
        return linear(LINE, d(x) - eps * d(x, 2), 1.0, ZERO)

    # Relative to the outer solution, at which the error of one that lacks the layer shows.
    case(f"layer of {eps:g}", exact)(make)


def two_layers(eps):
    def make():
        return linear(LINE, -(eps**2) * d(x, 2) + op.Identity(), 1.0, ZERO)

    def exact(p):
        s = p[:, 0]
        return 1 - (np.exp(-s / eps) + np.exp((s - 1) / eps)) / (1 + np.exp(-1 / eps))

    case(f"two layers of {eps:g}", exact, fast=eps == 1e-1)(make)


def turning(eps):
    def make():
        return linear(
            ab.Box(x=(-1, 1)),
            eps * d(x, 2) + x * d(x),
            0.0,
            pde.Dirichlet(-1.0, on=(x, -1.0)),
            pde.Dirichlet(1.0, on=(x, 1.0)),
        )

    case(f"inner layer of {eps:g}", lambda p: erf(p[:, 0] / np.sqrt(2 * eps)))(make)


for eps in (1e-3, 1e-4, 1e-5):
    layer(eps)
for eps in (1e-1, 1e-2, 1e-3, 1e-4):
    two_layers(eps)
for eps in (1e-2, 1e-4, 1e-6):
    turning(eps)


@case("layer of 0.001 in a square", lambda p: p[:, 0] - np.exp((p[:, 0] - 1) / 1e-3))
def _():
    free = [pde.Neumann(0.0, on=(y, v)) for v in (0.0, 1.0)]
    return linear(SQUARE, d(x) - 1e-3 * L, 1.0, pde.Dirichlet(0.0, on=x), *free)


# --- Loads ---------------------------------------------------------------------------------------


def sunk(p, width, centre, n):
    """Return the n-th antiderivative of a Gaussian load: that of J is (s J + J₋₁/2) / n."""
    s = (p[:, 0] - centre) / width
    before, now = 2 / np.sqrt(pi) * np.exp(-(s**2)), erf(s)
    for k in range(1, n):
        before, now = now, (s * now + before / 2) / k
    return np.sqrt(pi) / 2 * width**n * now


def hanging(p, width, centre):
    """Return the solution of −u″ = load, u = 0 at both ends."""
    ends = np.array([[0.0], [1.0]])
    left, right = -sunk(ends, width, centre, 2)
    return -sunk(p, width, centre, 2) - left - (right - left) * p[:, 0]


def bending(p, width, centre):
    """Return the solution of u⁗ = load on a beam that rests on both ends."""
    ends, s = np.array([[0.0], [1.0]]), p[:, 0]
    a, b = -sunk(ends, width, centre, 2)  # moments
    cubic = a * s**2 / 2 + (b - a) * s**3 / 6
    left, right = sunk(ends, width, centre, 4)
    right = right + a / 2 + (b - a) / 6
    return sunk(p, width, centre, 4) + cubic - left - (right - left) * s


def load(width, centre=0.3791, height=1.0):
    return height * np.exp(-(((x - centre) / width) ** 2))


for width in (1e-1, 1e-2, 1e-3, 1e-5):
    case(
        f"string under a load of {width:g}",
        lambda p, width=width: hanging(p, width, 0.3791),
    )(lambda width=width: linear(LINE, -d(x, 2), load(width), ZERO))


@case("beam under a load of 0.001", lambda p: 1e3 * bending(p, 1e-3, 0.3791))
def _():
    moments = pde.Condition(d(x, 2), 0.0, on=x)
    return linear(LINE, d(x, 4), load(1e-3, height=1e3), ZERO, moments)


def two_loads(width):
    """Return a wide load with a narrow one of the same mass."""
    return linear(LINE, -d(x, 2), load(0.2, 0.5) + load(width, height=0.2 / width), ZERO)


case(
    "string under two loads",
    lambda p: hanging(p, 0.2, 0.5) + 1000 * hanging(p, 2e-4, 0.3791),
)(lambda: two_loads(2e-4))


@case("a kick in time", lambda p: erf((p[:, 0] - 0.3791) / 1e-4) + 1)
def _():
    kick = 2 / np.sqrt(pi) * 1e4 * np.exp(-(((t - 0.3791) / 1e-4) ** 2))
    return linear(ab.Box(t=(0, 1)), d(t), kick, pde.Initial(0.0, at=(t, 0.0)))


def hot_spot(width):
    spot = np.exp(-(((x - 0.37) ** 2 + (y - 0.61) ** 2) / width**2))
    far = ((x - 0.37) ** 2 + (y - 0.61) ** 2) / width**2
    made = linear(SQUARE, -L, 4 / width**2 * (1 - far) * spot, pde.Dirichlet(spot))
    return made, spot


def cloud(*centre, width):
    return np.array(centre) + width * np.random.default_rng(5).normal(size=(4000, len(centre)))


for width in (0.1, 0.02, 0.002):
    case(
        f"hot spot of {width:g}",
        hot_spot(width)[1],
        lambda width=width: cloud(0.37, 0.61, width=width),
    )(lambda width=width: hot_spot(width)[0])


@case(
    "hot spot in a cube",
    np.exp(-(((x - 0.4) ** 2 + (y - 0.6) ** 2 + (z - 0.3) ** 2) / 0.05**2)),
    lambda: cloud(0.4, 0.6, 0.3, width=0.05),
)
def _():
    far = ((x - 0.4) ** 2 + (y - 0.6) ** 2 + (z - 0.3) ** 2) / 0.05**2
    box = ab.Box(x=(0, 1), y=(0, 1), z=(0, 1))
    return linear(box, -L, (6 - 4 * far) / 0.05**2 * np.exp(-far), ZERO)


# --- Resonance -----------------------------------------------------------------------------------


def resonant(delta):
    """Return a plate shaken near the frequency of two of its modes."""
    s, m = np.sin(pi * x) * np.sin(pi * y), np.sin(3 * pi * x) * np.sin(11 * pi * y)
    f = delta * m + (128 * pi**2 + delta) * s
    return linear(SQUARE, L + (130 * pi**2 + delta) * op.Identity(), f, ZERO), s + m


for delta in (1e-3, 10.0):
    case(f"plate, {delta:g} from resonance", resonant(delta)[1], words="Not" if delta < 1 else "")(
        lambda delta=delta: resonant(delta)[0]
    )


@case(
    "string, 1e-6 from resonance",
    np.sin(5 * pi * x) + np.sin(pi * x),
    words="Approximate|Not",
    fast=True,
)
def _():
    f = 1e-6 * np.sin(5 * pi * x) + (24 * pi**2 + 1e-6) * np.sin(pi * x)
    return linear(LINE, d(x, 2) + (25 * pi**2 + 1e-6) * op.Identity(), f, ZERO)


@case("string at resonance, no solution", None, words="Contradictory")
def _():
    f = np.sin(3 * pi * x) + x
    return linear(LINE, d(x, 2) + 9 * pi**2 * op.Identity(), f, ZERO)


@case("string at resonance, many solutions", None, words="Not determined")
def _():
    return linear(LINE, d(x, 2) + 9 * pi**2 * op.Identity(), np.sin(pi * x), ZERO)


@case("plate at resonance, no solution", None, words="Contradictory")
def _():
    f = np.sin(pi * x) * np.sin(2 * pi * y)
    return linear(SQUARE, L + 5 * pi**2 * op.Identity(), f, ZERO)


# --- Singular ones -------------------------------------------------------------------------------


@case("insulated plate", np.cos(pi * x) * np.cos(2 * pi * y), words="Not determined")
def _():
    f = 5 * pi**2 * np.cos(pi * x) * np.cos(2 * pi * y)
    return linear(SQUARE, -L, f, pde.Neumann(0.0))


@case("heated plate without outlet", None, words="Contradictory")
def _():
    return linear(SQUARE, -L, 1.0, pde.Neumann(0.0))


@case("rod between two fluxes", lambda p: p[:, 0] - 0.5, words="Not determined")
def _():
    ends = [pde.Neumann(-1.0, on=(x, 0.0)), pde.Neumann(1.0, on=(x, 1.0))]
    return linear(LINE, d(x, 2), 0.0, *ends)


@case("rod between fluxes that do not balance", None, words="Contradictory")
def _():
    ends = [pde.Neumann(1.0, on=(x, 0.0)), pde.Neumann(1.0, on=(x, 1.0))]
    return linear(LINE, d(x, 2), 1.0, *ends)


@case("ring", np.sin(2 * pi * x), words="Not determined", fast=True)
def _():
    return linear(LINE, -d(x, 2), 4 * pi**2 * np.sin(2 * pi * x), pde.Periodic(x))


@case("heated ring", None, words="Contradictory")
def _():
    return linear(LINE, -d(x, 2), 1 + np.sin(2 * pi * x), pde.Periodic(x))


@case("torus", np.sin(2 * pi * x) * np.cos(2 * pi * y), words="Not determined")
def _():
    f = 8 * pi**2 * np.sin(2 * pi * x) * np.cos(2 * pi * y)
    return linear(SQUARE, -L, f, pde.Periodic(x), pde.Periodic(y))


# --- Conditions that are missing, contradictory or ill-posed -------------------------------------


@case("rod with a free end", lambda p: p[:, 0], words="Not determined", fast=True)
def _():
    return linear(LINE, d(x, 2), 0.0, pde.Dirichlet(0.0, on=(x, 0.0)))


@case("plate without a face", np.sin(pi * x) * np.sinh(pi * y), words="Not determined")
def _():
    faces = [pde.Dirichlet(0.0, on=x), pde.Dirichlet(0.0, on=(y, 0.0))]
    return linear(SQUARE, L, 0.0, *faces)


@case("wave without a velocity", np.sin(pi * x) * np.cos(pi * t), words="Not determined")
def _():
    start = pde.Initial(np.sin(pi * x), at=(t, 0.0))
    return linear(STRIP, d(t, 2) - d(x, 2), 0.0, start, pde.Dirichlet(0.0, on=x))


@case("slope with two ends", None, words="Contradictory|Not solved")
def _():
    return linear(LINE, d(x), 1.0, ZERO)


@case("two values on one face", None, words="Contradictory")
def _():
    return linear(LINE, -d(x, 2), 1.0, ZERO, pde.Dirichlet(1.0, on=(x, 1.0)))


@case("heat backwards", np.sin(pi * x) * np.exp(pi**2 * t), words="Not")
def _():
    start = pde.Initial(np.sin(pi * x), at=(t, 0.0))
    return linear(STRIP, d(t) + d(x, 2), 0.0, start, pde.Dirichlet(0.0, on=x))


@case("heat from its end", np.sin(pi * x) * np.exp(-(pi**2) * t / 10), words="Not")
def _():
    end = pde.Initial(np.sin(pi * x) * np.exp(-(pi**2) / 10), at=(t, 1.0))
    return linear(STRIP, d(t) - 0.1 * d(x, 2), 0.0, end, pde.Dirichlet(0.0, on=x))


@case("Cauchy data for Laplace", np.sin(3 * x) * np.cosh(3 * y), words="Not")
def _():
    side = (y, 0.0)
    return linear(SQUARE, L, 0.0, pde.Dirichlet(np.sin(3 * x), on=side), pde.Neumann(0.0, on=side))


def series(p, n=400):
    """Return heat from 1 with ends kept at 0."""
    k = np.arange(1, 2 * n, 2) * pi
    modes = np.exp(-0.1 * k[None] ** 2 * p[:, 1:]) * np.sin(k[None] * p[:, :1])
    return (modes * 4 / k).sum(axis=1)


@case("heat whose start and ends differ", series)
def _():
    start = pde.Initial(1.0, at=(t, 0.0))
    return linear(STRIP, d(t) - 0.1 * d(x, 2), 0.0, start, pde.Dirichlet(0.0, on=x))


# --- Jumps and corners ---------------------------------------------------------------------------


@case("string, half of it under a load", lambda p: half_loaded(p[:, 0]))
def _():
    return linear(LINE, -d(x, 2), lambda x: np.where(x < 0.4321, 1.0, 0.0), ZERO)


def half_loaded(s, a=0.4321):
    slope = a - a**2 / 2
    return np.where(s < a, slope * s - s**2 / 2, slope * a - a**2 / 2 + (s - a) * (slope - a))


@case("absorber in one half", lambda p: absorbed(p[:, 0]))
def _():
    rate = lambda x: 100.0 * (x > 0.4321)  # noqa: E731
    return linear(LINE, -d(x, 2) + rate * op.Identity(), 0.0, pde.Dirichlet(1.0))


def absorbed(s, a=0.4321, k=10.0):
    # 1 + b s on the left; A e^{ks} + B e^{−ks} on the right.
    ea, e1 = np.exp(k * a), np.exp(k)
    rows = np.array([[-a, ea, 1 / ea], [-1, k * ea, -k / ea], [0, e1, 1 / e1]])
    b, p, q = np.linalg.solve(rows, [1.0, 0.0, 1.0])
    return np.where(s < a, 1 + b * s, p * np.exp(k * s) + q * np.exp(-k * s))


def polar(p):
    r, angle = np.hypot(p[:, 0], p[:, 1]), np.arctan2(p[:, 1], p[:, 0])
    return np.sqrt(r) * np.sin(angle / 2)


@case("crack tip", polar)
def _():
    box = ab.Box(x=(-1, 1), y=(0, 1))
    r = np.sqrt(x**2 + y**2)
    exact = np.sqrt(np.maximum(r - x, 0.0) / 2)  # √r sin(θ/2)
    return linear(box, L, 0.0, pde.Dirichlet(exact))


@case("steep conductivity", lambda p: conducted(p[:, 0]))
def _():
    k = 1.2 + np.tanh((x - 0.5) / 0.02)
    return linear(
        LINE,
        d(x) @ (k * d(x)),
        0.0,
        pde.Dirichlet(0.0, on=(x, 0.0)),
        pde.Dirichlet(1.0, on=(x, 1.0)),
    )


def conducted(s):
    at = np.linspace(0, 1, 200_001)
    flow = 1 / (1.2 + np.tanh((at - 0.5) / 0.02))
    whole = np.concatenate([[0], np.cumsum((flow[1:] + flow[:-1]) / 2)])
    return np.interp(s, at, whole / whole[-1])


# --- Not linear ----------------------------------------------------------------------------------


def bratu_theta():
    from scipy.optimize import brentq

    return brentq(lambda a: a - np.sqrt(2.0) * np.cosh(a / 4), 0.0, 3.0)


@case("Bratu", lambda p: bratu(p[:, 0]))
def _():
    operator = op.UserOperator(lambda u, p: d(0, 2)(u)(p) + jnp_exp(u(p)), 2, linear=False)
    return linear(LINE, operator, 0.0, ZERO)


def bratu(s):
    a = bratu_theta()
    return -2 * np.log(np.cosh((s - 0.5) * a / 2) / np.cosh(a / 4))


def jnp_exp(v):
    import jax.numpy as jnp

    return jnp.exp(v)


@case("slope of size one", None, words="Not")
def _():
    operator = op.UserOperator(lambda u, p: d(0)(u)(p) ** 2, 1, linear=False)
    return linear(LINE, operator, 1.0, ZERO)


@case("cubic reaction", np.sin(3 * x), words="Solved")
def _():
    operator = op.UserOperator(lambda u, p: u(p) ** 3 - d(0, 2)(u)(p), 2, linear=False)
    f = 9 * np.sin(3 * x) + np.sin(3 * x) ** 3
    return linear(LINE, operator, f, pde.Dirichlet(np.sin(3 * x)))


@case("cubic reaction in a square", np.sin(2 * x) * np.cos(3 * y))
def _():
    u = np.sin(2 * x) * np.cos(3 * y)
    operator = op.UserOperator(lambda v, p: v(p) ** 3 - op.Laplacian()(v)(p), 2, linear=False)
    return linear(SQUARE, operator, 13 * u + u**3, pde.Dirichlet(u))

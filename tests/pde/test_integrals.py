"""Integral terms of equations, and mean values."""

import jax.numpy as jnp
import numpy as np
import pytest

import adabasis as ab
from adabasis import operators as op
from adabasis import pde
from adabasis.basis import FrozenFeatures

x, t = pde.coordinates("x", "t")
u = pde.unknowns("u")
LINE, FEW = ab.Box(x=(0, 1)), FrozenFeatures(32, scale=1.0)
POINTS = np.linspace(0, 1, 9)[:, None]


def solved(equation, conditions=(), domain=LINE):
    solution = ab.solve(pde.Problem(domain, [equation], conditions), FEW)
    assert solution.certificate.verdict.startswith("Solved")
    return solution(POINTS)


def test_an_integral_equation_of_fredholm_is_solved():
    """u − ∫₀¹ e^{x−s} u(s) ds / 2 = e^x / 2: u = e^x."""
    term = pde.Integral(u, over=(x, 0.0, 1.0), kernel=lambda a, s: jnp.exp(a - s), nodes=12)
    values = solved(u - 0.5 * term == 0.5 * np.exp(x))
    np.testing.assert_allclose(values, np.exp(POINTS[:, 0]), rtol=1e-9)


def test_an_integral_equation_of_volterra_is_solved():
    """u + ∫₀ˣ (x − s) u(s) ds = x: u = sin x."""
    term = pde.Integral(u, over=(x, 0.0, x), kernel=lambda a, s: a - s, nodes=12)
    np.testing.assert_allclose(solved(u + term == x), np.sin(POINTS[:, 0]), atol=1e-9)


def test_an_equation_with_derivatives_and_an_integral_is_solved():
    """u′ + ∫₀ᵗ u = 0, u(0) = 1: u = cos t."""
    equation = op.Partial(t)(u) + pde.Integral(u, over=(t, 0.0, t), nodes=12) == 0.0
    values = solved(equation, [pde.Initial(1.0, at=(t, 0.0))], ab.Box(t=(0, 1)))
    np.testing.assert_allclose(values, np.cos(POINTS[:, 0]), atol=1e-9)


def test_the_integral_over_the_domain_is_a_condition():
    """u″ = 2, u(0) = 0, ∫ u = 1: u = x² + 4x/3."""
    conditions = [
        pde.Dirichlet(0.0, on=(x, 0.0)),
        pde.Condition(pde.Integral(u, over=LINE) == 1.0, on=(x, 1.0)),
    ]
    values = solved(op.Partial(x, 2)(u) == 2.0, conditions)
    np.testing.assert_allclose(values, POINTS[:, 0] ** 2 + 4 / 3 * POINTS[:, 0], atol=1e-9)


@pytest.mark.parametrize(
    ("over", "options", "error", "message"),
    [
        (x, {}, TypeError, r"\(coordinate, lower, upper\)"),
        ((x, 0.0, t), {}, ValueError, "neither a number nor the coordinate x"),
        (LINE, {"kernel": lambda a, s: a}, ValueError, "along one coordinate"),
        ((x, 0.0, 1.0), {"nodes": 0}, ValueError, "at least 1"),
    ],
)
def test_bad_integrals_are_refused_in_words(over, options, error, message):
    with pytest.raises(error, match=message):
        pde.Integral(u, over=over, **options)

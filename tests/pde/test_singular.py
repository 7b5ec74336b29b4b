"""Corners and layers: functions that are added where theory knows what a solution is like."""

import numpy as np
import pytest

import adabasis as ab
from adabasis.geometry import Box, Disk
from adabasis.pde import Dirichlet, LinearProblem, Neumann
from adabasis.pde.added import corners_of

FUNCTIONS = ab.FrozenFeatures(60, scale=1.0)
L_SHAPE = Box(x=(-1, 1), y=(-1, 1)) - Box(x=(0, 1), y=(-1, 0))


def angle(x, y):
    turned = np.arctan2(y, x)
    return np.where(turned < -1e-9, turned + 2 * np.pi, turned)


def power(x, y):
    """Return r^(2/3) sin ⅔θ."""
    return (x**2 + y**2) ** (1 / 3) * np.sin(2 / 3 * angle(x, y))


def mixed(x, y):
    """Return r^(1/3) sin ⅓θ: 0 where θ = 0, no flux where θ = 3π/2."""
    return (x**2 + y**2) ** (1 / 6) * np.sin(angle(x, y) / 3)


@pytest.mark.parametrize("exact", [power, mixed])
def test_a_re_entrant_corner(exact):
    pieces = L_SHAPE.boundaries
    others = [piece for name, piece in pieces.items() if name != "x=0"]
    flux = (
        [Neumann(0.0, on=pieces["x=0"])] if exact is mixed else [Dirichlet(exact, on=pieces["x=0"])]
    )
    problem = LinearProblem(
        L_SHAPE, ab.operators.Laplacian(), 0.0, [Dirichlet(exact, on=others), *flux], exact=exact
    )
    solution = ab.solve(problem, FUNCTIONS)
    assert solution.error() < 1e-8
    assert solution.certificate.solved


def test_corners_have_the_angle_of_the_domain():
    found = {tuple(place.round(9)): inside for place, inside, _ in corners_of(L_SHAPE)}
    assert len(found) == 6
    assert found.pop((0.0, 0.0)) == pytest.approx(1.5 * np.pi)
    assert list(found.values()) == pytest.approx([np.pi / 2] * 5)
    assert not corners_of(Disk((0, 0), 1.0))
    plate = Box(x=(-1, 1), y=(-1, 1)) - Disk((0, 0), 0.3)
    assert len(corners_of(plate)) == 4


@pytest.mark.parametrize("width", [1e-3, 1e-4])
def test_an_exponential_layer(width):
    def exact(x):
        return x - np.exp((x - 1) / width)

    (x,) = ab.pde.coordinates("x")
    d = ab.operators.Partial
    problem = LinearProblem(
        Box(x=(0, 1)), -width * d(x, 2) + d(x), 1.0, [Dirichlet(0.0)], exact=exact
    )
    solution = ab.solve(problem, ab.FrozenFeatures(24, scale=1.0))
    within = np.linspace(1 - 10 * width, 1, 200)
    np.testing.assert_allclose(solution(within[:, None]), exact(within), atol=1e-8)
    assert solution.certificate.solved

"""Equations on shapes: exact solutions, conditions by piece, normals, what is refused."""

import numpy as np
import pytest

import adabasis as ab
from adabasis.geometry import Ball, Box, Disk, ImplicitDomain, PointCloud
from adabasis.pde import Condition, Dirichlet, LinearProblem, Neumann, Robin

x, y, z = ab.pde.coordinates("x", "y", "z")
n_x, n_y = ab.pde.normal("x", "y")
FUNCTIONS = ab.FrozenFeatures(200, scale=1.0)
SQUARE = Box(x=(-1, 1), y=(-1, 1))
PLATE = SQUARE - Disk((0.2, 0.1), 0.3).named("hole")
LAPLACIAN = ab.operators.Laplacian()
U = np.exp(x) * np.sin(y) + x * y**2
SOURCE = 2 * x
U_X, U_Y = np.exp(x) * np.sin(y) + y**2, np.exp(x) * np.cos(y) + 2 * x * y
FLUX = n_x * U_X + n_y * U_Y


def outer(domain):
    return [domain.boundaries[name] for name in domain.boundaries if "=" in name]


def solved(domain, conditions, functions=FUNCTIONS):
    return ab.solve(LinearProblem(domain, LAPLACIAN, SOURCE, conditions, exact=U), functions)


@pytest.fixture(scope="module")
def plate():
    return solved(
        PLATE, [Dirichlet(U, on=outer(PLATE)), Neumann(FLUX, on=PLATE.boundaries["hole"])]
    )


def test_a_flux_on_a_hole(plate):
    """The normal points into the hole: with the other sign u would be another function."""
    assert plate.error() < 1e-7
    assert plate.certificate.verdict.startswith("Solved")
    assert "Neumann on hole" in plate.certificate.terms


def test_the_certificate_is_no_better_than_the_error(plate):
    assert plate.error() <= 3 * plate.certificate.error_estimate


def test_what_lies_in_a_hole_is_outside(plate):
    assert plate.outside([(0.2, 0.1), (0.9, 0.9), (1.2, 0)]).tolist() == [True, False, True]


def test_components_of_the_normal_make_the_normal_derivative(plate):
    """Robin, written with components, on all pieces at once."""
    d = ab.operators.Partial
    operator = ab.operators.Identity() + n_x * d("x") + n_y * d("y")
    whole = solved(PLATE, [Condition(operator, U + FLUX)])
    assert whole.error() < 1e-6
    named = solved(PLATE, [Robin(U + FLUX)])
    points = PLATE.interior(50).x
    np.testing.assert_allclose(whole(points), named(points), atol=1e-6)


def test_on_a_box_components_of_the_normal_are_numbers():
    box = Box(x=(0, 1), y=(0, 1))
    flux = Condition(n_x * ab.operators.Partial("x") + n_y * ab.operators.Partial("y"), FLUX, on=x)
    assert solved(box, [flux, Dirichlet(U, on=y)]).error() < 1e-7


def ring():
    shape = (SQUARE & Disk((0, 0), 0.9)) - Disk((0, 0), 0.4)
    inside, angle = shape.interior(1500), 2 * np.pi * (np.arange(300) + 0.5) / 300
    out = np.stack([np.cos(angle), np.sin(angle)], axis=1)
    return PointCloud(inside.x, boundary={"outer": (0.9 * out, out), "inner": (0.4 * out, -out)})


SHAPES = {
    "disk": lambda: Disk((0.1, 0.2), 0.8),
    "ellipse": lambda: ImplicitDomain(x**2 + 4 * y**2 - 1, x=(-1.1, 1.1), y=(-0.6, 0.6)),
    "cloud": ring,
    "bite": lambda: SQUARE - Disk((1, 0), 0.5),
    "polygon": lambda: pytest.importorskip("shapely") and ab.Polygon([(0, 0), (1, 0), (0.3, 1)]),
    "mesh": lambda: ab.Mesh([(0, 0), (1, 0), (1, 1), (0, 1)], [(0, 1, 2), (0, 2, 3)]),
}


@pytest.mark.parametrize("name", SHAPES)
def test_values_on_all_of_the_boundary(name):
    assert solved(SHAPES[name](), [Dirichlet(U)]).error() < 1e-6


def test_a_point_cloud_with_a_flux():
    domain = ring()
    conditions = [
        Dirichlet(U, on=domain.boundaries["outer"]),
        Neumann(FLUX, on=domain.boundaries["inner"]),
    ]
    assert solved(domain, conditions).error() < 1e-6


def test_a_ball_in_a_cube():
    domain = Box(x=(-1, 1), y=(-1, 1), z=(-1, 1)) - Ball((0, 0, 0.1), 0.4)
    exact = np.sin(x + y) * np.cosh(2**0.5 * z)
    conditions = [
        Dirichlet(exact, on=outer(domain)),
        Dirichlet(exact, on=domain.boundaries["ball1"]),
    ]
    problem = LinearProblem(domain, LAPLACIAN, 0.0, conditions, exact=exact)
    assert ab.solve(problem, ab.FrozenFeatures(400, scale=0.5)).error() < 1e-4


def test_poles_make_what_is_around_a_hole():
    """log r, which no polynomial and few smooth functions are near."""
    r2 = (x - 0.2) ** 2 + (y - 0.1) ** 2
    around = SQUARE - Disk((0.2, 0.1), 0.05).named("wire")
    exact = np.log(r2) + (x - 0.2) / r2
    problem = LinearProblem(around, LAPLACIAN, 0.0, [Dirichlet(exact)], exact=exact)
    solution = ab.solve(problem, ab.FrozenFeatures(40, scale=1.0))
    assert solution.error() < 1e-9


def test_functions_of_the_radius_solve_what_depends_on_it():
    domain = Ball((0,) * 5, 1.0)
    square = sum(c**2 for c in ab.pde.coordinates(*domain.names))
    exact = np.exp(square / 2)
    problem = LinearProblem(
        domain, LAPLACIAN, (5 + square) * exact, [Dirichlet(exact)], exact=exact
    )
    assert ab.solve(problem, ab.FrozenFeatures(40, scale=1.0)).error() < 1e-8


def test_coefficients_may_be_anything_in_a_hole():
    """1/r² has no value in the middle of the hole, and needs none."""
    domain = SQUARE - Disk((0, 0), 0.3)
    r2 = x**2 + y**2
    problem = LinearProblem(
        domain, LAPLACIAN + (1 / r2) * ab.operators.Identity(), (4 * r2 + r2) / r2,
        [Dirichlet(r2)], exact=r2,
    )  # fmt: skip
    solution = ab.solve(problem, FUNCTIONS)
    assert solution.error() < 1e-7
    assert not problem.notes


def test_solutions_on_shapes_are_saved_and_loaded(plate, tmp_path):
    plate.save(tmp_path / "plate.adabasis")
    again = ab.load(tmp_path / "plate.adabasis")
    assert again.domain == PLATE
    points = PLATE.interior(20).x
    np.testing.assert_array_equal(again(points), plate(points))
    assert again.with_problem(plate.problem).residual(points).shape == (20,)


def test_resolving_on_a_shape(plate):
    v = np.cos(x) * np.sinh(y)
    flux = -n_x * np.sin(x) * np.sinh(y) + n_y * np.cos(x) * np.cosh(y)
    conditions = [Dirichlet(v, on=outer(PLATE)), Neumann(flux, on=PLATE.boundaries["hole"])]
    (again,) = plate.resolve([plate.problem.with_data(0.0, conditions)])
    points = PLATE.interior(50).x
    exact = np.cos(points[:, 0]) * np.sinh(points[:, 1])
    np.testing.assert_allclose(again(points), exact, atol=1e-6)


def test_a_claimed_solution_is_checked_on_a_shape(plate):
    assert plate.problem.check(U).verdict.startswith("Solved")
    assert plate.problem.check(plate).verdict.startswith("Solved")
    assert plate.problem.check(U + 0.1 * x**2).verdict.startswith("Not solved")


@pytest.mark.parametrize(
    ("conditions", "message"),
    [
        (
            lambda: [Dirichlet(0.0, on=Disk((0, 0), 0.1).named("q").boundaries["q"])],
            "no piece.*hole",
        ),
        (lambda: [Dirichlet(0.0, on=(x, 3.0))], "lies outside the domain"),
        (lambda: [Dirichlet(0.0, on="q")], "no coordinate 'q'"),
        (lambda: [Dirichlet(0.0, on=3)], "expected a place"),
    ],
)
def test_conditions_on_nothing_are_refused(conditions, message):
    with pytest.raises(ValueError, match=message):
        LinearProblem(PLATE, LAPLACIAN, 0.0, conditions())


def test_pieces_without_a_condition_are_named():
    problem = LinearProblem(PLATE, LAPLACIAN, SOURCE, [Dirichlet(U, on=[(x, -1.0), y])])
    verdict = ab.solve(problem, FUNCTIONS).certificate.verdict
    assert verdict.startswith("Not determined")
    assert "x=1" in verdict
    assert "hole" in verdict


def test_a_normal_belongs_to_a_boundary():
    with pytest.raises(ValueError, match="Normals are those of boundaries"):
        LinearProblem(PLATE, n_x * LAPLACIAN, 0.0)

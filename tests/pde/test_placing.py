"""Gaussians where the residual is: where they stand, rows beside them, what they gain."""

import numpy as np
import pytest

import adabasis as ab
from adabasis import pde
from adabasis.basis import PlacedGaussians
from adabasis.geometry.points import AffineMap, default_sampler
from adabasis.models.record import Asked
from adabasis.pde import placing
from adabasis.pde.strategy import EquationTask

x, y = pde.coordinates("x", "y")
PLATE = ab.Box(x=(0, 2), y=(0, 1)) - ab.Disk((1.4, 0.3), 0.15).named("hole")
CENTRE, WIDTH = (0.74, 0.61), 0.1
FEW = ab.FrozenFeatures(80, scale=1.0)


def peak():
    """Return −Δu = f on a plate with a hole for a peak that is one twentieth of a side wide."""
    far = ((x - CENTRE[0]) ** 2 + (y - CENTRE[1]) ** 2) / WIDTH**2
    u = np.exp(-far)
    source = 4 / WIDTH**2 * (1 - far) * u
    return pde.LinearProblem(
        PLATE, -1.0 * ab.operators.Laplacian(), source, [pde.Dirichlet(u)], exact=u
    )


@pytest.fixture(scope="module")
def before():
    """Return a task, and what 80 smooth functions make of the peak."""
    problem = peak()
    task = EquationTask(Asked("solve", "auto"), problem, default_sampler(2))
    return task, task.frozen(FEW, 1.0, "few")


def turned(task, first, count=80):
    """Return a candidate after one turn of placing."""
    task.fresh = task.fresh_anywhere
    places = placing.gaussians(task.fresh, first.misfit, count)
    task.look_at(places, first)
    return places, task.frozen(PlacedGaussians(FEW, count), 1.0, "placed", places)


def test_gaussians_stand_where_the_residual_is(before):
    task, first = before
    assert placing.concentration(task.fresh_anywhere, first.misfit) < placing.CONCENTRATED
    centers, shapes = placing.gaussians(task.fresh_anywhere, first.misfit, 200)
    at = AffineMap.onto_unit_box(PLATE.bounds).inverse(centers)
    away = np.linalg.norm(at - np.array(CENTRE), axis=1)
    assert np.median(away) < 1.5 * WIDTH
    near = away < WIDTH
    # Lengths in units of the box, whose sides are 2 and 1.
    lengths = 1 / np.sqrt(np.linalg.eigvalsh(np.swapaxes(shapes, 1, 2) @ shapes)[near])
    assert 0.02 < np.median(lengths) < 0.15


def test_they_pay_where_a_residual_is_concentrated(before):
    task, first = before
    _, second = turned(task, first)
    assert second.misfit.score < 0.15 * first.judged_on(task.fresh).misfit.score


@pytest.mark.parametrize(
    ("constant", "value"), [("NEIGHBOURS", 4), ("NEAREST", 60), ("LENGTHS", (4.0, 30.0))]
)
def test_how_they_are_shaped_matters(before, monkeypatch, constant, value):
    task, first = before
    _, usual = turned(task, first)
    monkeypatch.setattr(placing, constant, value)
    _, other = turned(task, first)
    assert other.misfit.score > 1.5 * usual.misfit.score


def test_rows_are_denser_where_they_stand_and_integrals_stay(before):
    task, first = before
    turned(task, first)
    points = task.fresh.terms[0].points
    assert len(points) > len(task.fresh_anywhere.terms[0].points) + 50
    assert PLATE.contains(points.x).all()
    weight = np.asarray(points.weight)
    assert weight.sum() == pytest.approx(1.0)
    even = PLATE.quadrature(4000)
    for f in (lambda p: p[:, 0], lambda p: np.sin(3 * p[:, 1]), lambda p: np.exp(-(p[:, 0] ** 2))):
        mean = np.sum(f(even.x) * even.weight) / np.sum(even.weight)
        assert np.sum(f(points.x) * weight) == pytest.approx(mean, rel=0.02)
    assert len(task.fresh.terms[1].data) == len(task.fresh_anywhere.terms[1].data)


def test_a_constant_is_everywhere_and_a_point_nearly_nowhere():
    weights = np.full(1000, 1e-3)
    assert placing.share(weights * 4.0, weights) == pytest.approx(1.0)
    assert placing.share(np.eye(1, 1000)[0], weights) == pytest.approx(1e-3)
    assert placing.share(np.zeros(1000), weights) == 1.0


def test_candidates_are_judged_on_the_points_that_there_are(before):
    task, first = before
    turned(task, first)
    again = first.judged_on(task.fresh)
    assert len(again.misfit.by_term[0]) == len(task.fresh.terms[0].data)
    assert again.misfit.score == pytest.approx(first.misfit.score, rel=0.3)
    assert again.judged_on(task.fresh) is again


@pytest.mark.slow
def test_a_peak_on_a_plate_is_solved_by_default(tmp_path):
    """Without placed functions: 5e-3, not solved, in twice the time."""
    solution = ab.solve(peak())
    assert "Gaussians" in solution.candidates[0]["what"]
    assert solution.error() < 1e-4
    assert solution.error() <= solution.certificate.error_estimate
    solution.save(tmp_path / "peak.adabasis")
    points = PLATE.interior(50).x
    np.testing.assert_array_equal(ab.load(tmp_path / "peak.adabasis")(points), solution(points))
    assert solution.convergence_study([100, 300]).errors[-1] < 1e-3

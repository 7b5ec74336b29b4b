"""Cells of several widths: layers, peaks and jumps, and what is claimed of them."""

import numpy as np
import pytest

import adabasis as ab
from adabasis import operators as op
from adabasis import pde
from adabasis.basis import GridPartition
from adabasis.pde import cell_growth, cells
from adabasis.pde.cell_growth import halved
from adabasis.pde.cell_rows import CellProblem

from .test_cells import EXACT

x, y = pde.coordinates("x", "y")
d = op.Partial
UNEVEN = (0.0, 0.1, 0.15, 0.7, 1.0)


def error_on(problem, along, degree):
    """Return the largest error on points of the box, relative to the largest value."""
    function = CellProblem(problem).system(along, degree).function()
    bounds, rng = problem.domain.bounds, np.random.default_rng(0)
    at = rng.uniform(*bounds.T, (400, len(bounds)))
    found = function.derivatives(at, np.zeros((1, len(bounds)), int))[:, 0, 0]
    named = dict(zip(problem.domain.names, at.T, strict=True))
    truth = np.broadcast_to(problem.exact.evaluate(named, np), (len(at),))
    return np.abs(found - truth).max() / np.abs(truth).max()


@pytest.mark.parametrize("name", EXACT)
def test_smooth_solutions_are_found_on_uneven_slabs(name):
    problem, counts, degree = EXACT[name]
    along = tuple(UNEVEN if i == 0 else n for i, n in enumerate(counts))
    assert error_on(problem, along, degree) < 1e-4
    assert error_on(problem, along, degree + 4) < 1e-6


def test_equal_slabs_are_the_same_however_they_are_said():
    problem, _, degree = next(iter(EXACT.values()))
    counts = (2,) * problem.domain.n_inputs
    edges = ((0.0, 0.5, 1.0),) * len(counts)
    one, other = (CellProblem(problem).system(a, degree).coefficients for a in (counts, edges))
    assert np.abs(one - other).max() < 1e-9 * np.abs(one).max()


@pytest.mark.parametrize("n_inputs", [1, 2, 3])
def test_a_partition_has_the_edges_it_was_given(n_inputs):
    edges = (UNEVEN, (0.0, 0.3, 1.0), (0.0, 1.0))[:n_inputs]
    counts = tuple(len(e) - 1 for e in edges)
    grid = GridPartition(int(np.prod(counts)), edges=edges)
    at = np.random.default_rng(1).uniform(size=(300, n_inputs))
    box = np.stack([np.zeros(n_inputs), np.ones(n_inputs)], axis=1)
    place = [np.digitize(z, e[1:-1]) for z, e in zip(at.T, edges, strict=True)]
    assert (grid.cells(at, box) == np.ravel_multi_index(place, counts)).all()
    assert [int(grid.cell(one, box)) for one in at[:9]] == grid.cells(at[:9], box).tolist()
    middles, half = grid.middles(box)
    assert (grid.cells(middles, box) == np.arange(grid.n_partitions)).all()
    assert np.prod(2 * half, axis=1).sum() == pytest.approx(1)
    assert GridPartition(**grid.config()) == grid


@pytest.mark.parametrize(
    "edges", [[(0, 0.5)], [(0, 0.5, 0.5, 1)], [(0.1, 1)], [(1,)], [(0, 0.2, 0.6, 1)], [(1, 0.5, 0)]]
)
def test_edges_that_are_none_are_refused(edges):
    with pytest.raises(ValueError, match=r"GridPartition\(2, edges=.*rise from 0 to 1"):
        GridPartition(2, edges=edges)


def test_edges_and_counts_agree():
    assert GridPartition(2, counts=(2,), edges=[(0, 0.2, 1)]).along(1).tolist() == [2]
    with pytest.raises(ValueError, match="Leave counts out"):
        GridPartition(4, counts=(2, 2), edges=[(0, 1), (0, 0.1, 0.2, 0.3, 1)])


def peak(width=1e-3):
    """Return −u″ = a narrow load, and its largest value."""
    load = np.exp(-(((x - 0.3791) / width) ** 2))
    return pde.LinearProblem(ab.Box(x=(0, 1)), -d(x, 2), load, [pde.Dirichlet(0.0)])


def at_the_peak(width=1e-3, a=0.3791):
    """Return u there: the load's integral times a (1 − a), less what its width takes off."""
    mass = width * np.sqrt(np.pi)
    return mass * a * (1 - a) - width**2 / 2


def test_a_narrow_load_is_found_and_its_claim_holds(tmp_path):
    u = ab.solve(peak())
    assert u.verdict.startswith("Solved")
    assert "graded cells" in u.record.tried[0].what
    off = abs(float(u(np.array([[0.3791]]))[0]) / at_the_peak() - 1)
    assert off < 1e-6
    assert off < 3 * u.certificate.error_estimate + 1e-9
    u.save(tmp_path / "u.adabasis")
    again, at = ab.load(tmp_path / "u.adabasis"), np.linspace(0, 1, 50)[:, None]
    assert np.abs(again(at) - u(at)).max() <= 1e-12 * np.abs(u(at)).max()


@pytest.mark.parametrize(
    ("constant", "off"), [("FEW", 0.0), ("PATIENCE", 1), ("BULK", 1.0), ("NARROW_OPERATIONS", 0.0)]
)
def test_narrow_loads_need_edges_where_residuals_are(monkeypatch, constant, off):
    """With the constant switched off, the search stops before it has seen the load."""
    monkeypatch.setattr(cell_growth, constant, off)
    growth, found = steps_on(peak())
    assert found[-1].misfit.score > 1e-3
    assert not growth.settled


def fresh_of(problem):
    """Return the fresh points that candidates are judged on."""
    from adabasis.geometry import Sobol
    from adabasis.models.record import Asked
    from adabasis.pde.strategy import EquationTask

    return EquationTask(Asked("solve(...)"), problem, Sobol()).fresh


def steps_on(problem, most=16):
    """Return the search on cells after its steps, and its candidates."""
    from adabasis.pde.on_cells import solved_on_cells

    fresh = fresh_of(problem)
    growth, found = cell_growth.CellGrowth(problem), []
    wanted = growth.first
    while wanted is not None and len(found) < most:
        found.append(solved_on_cells(CellProblem(problem), fresh, *wanted))
        wanted = growth.after(found)
    return growth, found


def test_what_jumps_is_judged_inside_every_cell(monkeypatch):
    """Between fresh points of the whole box a narrow cell would hide the jump of a source."""
    string = pde.LinearProblem(ab.Box(x=(0, 1)), -d(x, 2), 1.0 * (x > 0.4321), [pde.Dirichlet(0.0)])
    _, found = steps_on(string)
    assert min(one.misfit.score for one in found) > 1e-6
    # Narrower slabs would only show the round-off of the second derivative.
    least = min(np.diff(one.system.grid.shares[0]).min() for one in found)
    assert least >= 0.9 * (np.finfo(float).eps / cell_growth.ROUND_OFF_SEEN) ** (1 / 1.5)
    monkeypatch.setattr(cells.CellGrid, "equal", property(lambda self: True))
    _, blind = steps_on(string)
    assert min(one.misfit.score for one in blind) < 1e-8


def bump(width=0.1):
    """Return heat that starts from a bump: narrow in time at first, and not resolved in space."""
    t = pde.coordinates("x", "t")[1]
    start = pde.Initial(np.exp(-(((x - 0.4) / width) ** 2)), at=(t, 0.0))
    box = ab.Box(x=(0, 1), t=(0, 0.1))
    return pde.LinearProblem(box, d(t) - d(x, 2), 0.0, [pde.Dirichlet(0.0, on=x), start])


def certified(problem, most):
    from adabasis.pde.on_cells import certified_on_cells

    found, fresh = steps_on(problem, most)[1], fresh_of(problem)
    ranked = sorted(found, key=lambda one: one.validation_error)
    return certified_on_cells(ranked, fresh)["certificate"].verdict


def test_what_is_narrow_along_one_coordinate_is_resolved_along_the_others(monkeypatch):
    assert steps_on(bump())[1][-1].misfit.score < 1e-6
    monkeypatch.setattr(cell_growth, "ALIKE", np.inf)
    assert steps_on(bump())[1][-1].misfit.score > 1e-2


def test_conditions_that_are_not_resolved_yet_are_no_contradiction():
    assert certified(bump(0.02), most=4).startswith("Not solved")
    twice = [pde.Dirichlet(value, on=(x, 0)) for value in (0.0, 1.0)]
    clash = pde.LinearProblem(
        ab.Box(x=(0, 1)), d(x, 2), 0.0, [*twice, pde.Dirichlet(0.0, on=(x, 1))]
    )
    assert certified(clash, most=4).startswith("Contradictory")


def test_of_many_runs_of_strips_the_heavy_ones_are_cut_out(monkeypatch):
    sums = np.zeros(48)
    sums[[10, 11, 30, 40]] = 5.0, 4.0, 3.0, 0.9
    edges = np.array([0.0, 0.5, 0.75, 0.8, 0.85, 0.9, 1.0])
    ends = cell_growth._around_the_bulk(sums, edges)
    assert len(ends) == 4
    monkeypatch.setattr(cell_growth, "RUN", 0.5)
    assert len(cell_growth._around_the_bulk(sums, edges)) == 2


def test_few_slabs_are_halved_alone_and_many_all_together():
    assert halved(4, np.array([True, False, False, False])) == (0.0, 0.125, 0.25, 0.5, 0.75, 1.0)
    assert halved(4, np.array([True, True, True, False])) == 8
    assert halved((0.0, 0.25, 1.0), np.array([True, True])) == (0.0, 0.125, 0.25, 0.625, 1.0)


def test_a_layer_in_a_square_is_cut_out_along_its_coordinate():
    eps = 1e-2
    layer = np.exp((x - 1) / eps)
    made = pde.LinearProblem(
        ab.Box(x=(0, 1), y=(0, 1)),
        d(x) - eps * (d(x, 2) + d(y, 2)),
        1.0,
        [pde.Dirichlet(x - layer)],
        exact=x - layer,
    )
    _, found = steps_on(made)
    across, along = found[-1].system.grid.counts
    assert across > along
    assert found[-1].misfit.score < 1e-5

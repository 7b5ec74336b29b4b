"""Polynomials on cells: exact solutions, what they refuse, what is claimed of them."""

import numpy as np
import pytest

import adabasis as ab
from adabasis import operators as op
from adabasis import pde
from adabasis._runtime.compute import numerics
from adabasis.basis import GridPartition, PartitionBasis
from adabasis.basis.pou.partitioned import PartitionParams
from adabasis.geometry.fields import evaluate
from adabasis.operators.coefficients import (
    differential_coefficients,
    differential_orders,
    is_differential,
    linearisation,
)
from adabasis.pde.cell_growth import CellGrowth
from adabasis.pde.cell_newton import solved_by_slabs
from adabasis.pde.cell_rows import CellProblem
from adabasis.pde.collocation import fresh_rows
from adabasis.pde.on_cells import (
    CellCandidate,
    certified_on_cells,
    grows,
    solved_on_cells,
    stateable,
)

pytestmark = pytest.mark.plain_scope
x, y, t = pde.coordinates("x", "y", "t")
pi, d = np.pi, op.Partial
v = pde.unknowns("v")
a, b = pde.unknowns("a", "b")
square = ab.Box(x=(0, 1), y=(0, 1))


def membrane(k=3, source=1.0):
    exact = source * np.sin(k * pi * x) * np.sin(pi * y)
    return pde.LinearProblem(
        square,
        -1.0 * op.Laplacian(),
        (k**2 + 1) * pi**2 * exact,
        [pde.Dirichlet(0.0)],
        exact=exact,
    )


def error_on(problem, counts, degree):
    with numerics():
        system = CellProblem(problem).system(counts, degree)
        c = system.coefficients
    basis, parameters = system.basis()
    bounds = problem.domain.bounds
    points = np.random.default_rng(0).uniform(*bounds.T, (500, len(bounds)))
    unit = (points - bounds[:, 0]) / (bounds[:, 1] - bounds[:, 0])
    exact = problem.exact_values(points)
    off = basis.sums(unit, parameters, c)[:, 0] - exact
    return np.linalg.norm(off) / np.linalg.norm(exact)


EXACT = {
    "rod": (
        pde.LinearProblem(
            ab.Box(x=(0, 2)),
            d(x, 2) - 25.0 * op.Identity(),
            0.0,
            [pde.Dirichlet(1.0, on=(x, 0)), pde.Neumann(-5 * np.exp(-10.0), on=(x, 2))],
            exact=np.exp(-5 * x),
        ),
        (4,),
        12,
    ),
    "membrane": (membrane(), (3, 2), 10),
    "coefficient under a derivative": (
        pde.LinearProblem(
            square,
            d(x) @ ((1 + x * y) * d(x)) + d(y, 2),
            y * np.exp(x) + (1 + x * y) * np.exp(x),
            [pde.Dirichlet(np.exp(x))],
            exact=np.exp(x),
        ),
        (2, 2),
        9,
    ),
    "flux that depends on the place": (
        pde.LinearProblem(
            square,
            op.Laplacian() - op.Identity(),
            0.0,
            [
                pde.Dirichlet(np.exp(x), on=[(x, 0), (y, 0)]),
                pde.Robin((2 + y) * np.exp(1.0), on=(x, 1), alpha=1 + y),
                pde.Neumann(0.0, on=(y, 1)),
            ],
            exact=np.exp(x),
        ),
        (2, 3),
        9,
    ),
    "wave around a ring": (
        pde.LinearProblem(
            ab.Box(x=(0, 1), t=(0, 1)),
            d(t) + d(x),
            0.0,
            [pde.Periodic(x), pde.Initial(np.sin(2 * pi * x), at=(t, 0.0))],
            exact=np.sin(2 * pi * (x - t)),
        ),
        (3, 2),
        12,
    ),
    "heat in units of its own": (
        pde.LinearProblem(
            ab.Box(x=(0, 1e-3), t=(0, 1e-2)),
            d(t) - 1e-5 * d(x, 2),
            0.0,
            [pde.Dirichlet(0.0, on=x), pde.Initial(300 * np.sin(1e3 * pi * x), at=(t, 0.0))],
            exact=300 * np.sin(1e3 * pi * x) * np.exp(-10 * pi**2 * t),
        ),
        (2, 2),
        12,
    ),
}


@pytest.mark.parametrize("name", EXACT)
def test_smooth_solutions_are_found_to_many_digits(name):
    problem, counts, degree = EXACT[name]
    assert stateable(problem)
    assert error_on(problem, counts, degree) < 1e-6
    assert error_on(problem, counts, degree + 2) < 0.2 * error_on(problem, counts, degree) + 1e-11


@pytest.mark.parametrize(
    ("constant", "off"),
    [("cells.SETTLED", 1e-4), ("cell_rows.ON_FACES", 1e-3), ("cell_rows.KEPT_EQUATIONS", 1e3)],
)
def test_errors_are_larger_without(monkeypatch, constant, off):
    plain = error_on(*EXACT["heat in units of its own"])
    monkeypatch.setattr(f"adabasis.pde.{constant}", off)
    assert error_on(*EXACT["heat in units of its own"]) > 5 * plain


def test_cells_that_are_alike_are_condensed_once():
    system = CellProblem(membrane()).system((5, 5), 5)
    assert len(set(map(id, system.cells))) == 9  # corners, sides, the inside


def test_a_default_solution_knows_how_good_it_is_and_is_solved_again(tmp_path):
    u = ab.solve(membrane())
    assert isinstance(u.finalists[0], CellCandidate)
    assert u.error() < 1e-8
    assert u.verdict.startswith("Solved")
    assert u.error() < u.certificate.error_estimate < 1e-5
    points = np.random.default_rng(1).uniform(0.05, 0.95, (20, 2))
    residual = u.residual(points)
    assert np.abs(residual).max() < 1e-5
    np.testing.assert_allclose(
        u.gradient(points)[:, 0],
        3 * pi * np.cos(3 * pi * points[:, 0]) * np.sin(pi * points[:, 1]),
        atol=1e-6,
    )
    again, twice = u.resolve([membrane(source=1.0), membrane(source=-2.0)])
    np.testing.assert_allclose(again(points), u(points), atol=1e-9)
    np.testing.assert_allclose(twice(points), -2 * u(points), atol=1e-9)
    assert twice.verdict.startswith("Solved")
    u.save(tmp_path / "u.adabasis")
    np.testing.assert_allclose(ab.load(tmp_path / "u.adabasis")(points), u(points), rtol=1e-14)


def test_its_convergence_study_raises_the_degree():
    u = ab.solve(membrane(1))
    study = u.convergence_study([4, 6, 8])
    assert list(study.widths) == [15, 28, 45]
    assert study.errors[2] < 1e-2 * study.errors[0]


def test_what_cells_cannot_state_is_left_to_others():
    line = ab.Box(x=(0, 1))
    start = [pde.Dirichlet(1.0, on=(x, 0))]
    weighted = pde.LinearProblem(line, d(x), 0.0, [pde.Dirichlet(1.0, on=(x, 0), weight=3.0)])
    measured = pde.LinearProblem(line, d(x), 0.0, start, [pde.Observe([[0.5]], [1.0])])
    elsewhere = op.UserOperator(lambda u, p: u(1.0 - p), order=0)
    mirrored = pde.LinearProblem(line, d(x) + elsewhere, 0.0, start)
    four = ab.Box(a=(0, 1), b=(0, 1), c=(0, 1), d=(0, 1))
    many = pde.LinearProblem(four, op.Laplacian(), 0.0, [pde.Dirichlet(0.0)])
    for problem in (weighted, measured, mirrored, many):
        assert not stateable(problem)
    assert stateable(pde.LinearProblem(line, d(x), 0.0, start))


def test_coefficients_of_an_operator_give_its_images():
    operator = (d(x) @ ((1 + x * y) * d(x)) + 3.0 * d(y, 2) + np.sin(x) * op.Identity()).bind("xy")
    points = np.random.default_rng(0).uniform(size=(7, 2))
    orders = differential_orders(operator, 2)
    each = differential_coefficients(operator, points).T
    found = dict(zip(map(tuple, orders.tolist()), each, strict=True))
    np.testing.assert_allclose(found[1, 0], points[:, 1], atol=1e-14)
    np.testing.assert_allclose(found[2, 0], 1 + points[:, 0] * points[:, 1], atol=1e-14)
    np.testing.assert_allclose(found[0, 2], 3.0)
    np.testing.assert_allclose(found[0, 0], np.sin(points[:, 0]), atol=1e-14)
    assert np.all(found[0, 1] == 0)
    assert np.all(found[1, 1] == 0)
    bounds = np.array([[0.0, 1.0], [0.0, 1.0]])
    assert is_differential(operator, bounds)
    assert not is_differential(op.base.Shifted((1.0, 0.0), op.Identity()), bounds)


def test_slopes_of_an_operator_are_the_coefficients_of_its_linearisation():
    problem = pde.Problem(
        square,
        [d(x)(a) * b + np.sin(a) == 0.0, d(y)(b) - a == 0.0],
        [pde.Dirichlet(0.0, of=(a, b))],
    )
    operator = problem.constraints[0].operator
    points = np.random.default_rng(0).uniform(size=(3, 2))
    jets = np.random.default_rng(1).normal(size=(3, 2, 3))  # a, b: value, ∂x, ∂y
    values, slopes = linearisation(operator, points, jets)
    one, other = jets[:, 0], jets[:, 1]
    np.testing.assert_allclose(values, one[:, 1] * other[:, 0] + np.sin(one[:, 0]), rtol=1e-14)
    np.testing.assert_allclose(slopes[:, 0, 0], np.cos(one[:, 0]), rtol=1e-14)
    np.testing.assert_allclose(slopes[:, 0, 1], other[:, 0], rtol=1e-14)
    np.testing.assert_allclose(slopes[:, 1, 0], one[:, 1], rtol=1e-14)
    assert np.all(slopes[:, 1, 1:] == 0)


def test_elasticity_and_a_front_are_solved_on_cells():
    one, other = np.sin(pi * x) * np.sin(2 * pi * y), np.exp(x) * np.cos(y)
    cross = 2 * pi**2 * np.cos(pi * x) * np.cos(2 * pi * y)
    sheet = pde.Problem(
        square,
        [
            op.Laplacian()(a) + d(x)(d(x)(a) + d(y)(b)) == -6 * pi**2 * one - np.exp(x) * np.sin(y),
            op.Laplacian()(b) + d(y)(d(x)(a) + d(y)(b)) == cross - other,
        ],
        [pde.Dirichlet((one, other), of=(a, b))],
        exact=(one, other),
    )
    found = ab.solve(sheet, PartitionBasis(4, 12, partition=GridPartition(4, counts=(2, 2))))
    assert found.error() < 1e-7
    assert found.error() < 1.5 * found.certificate.error_estimate < 1e3 * found.error()
    u = ab.solve(pde.catalog.problem("burgers"))
    assert isinstance(u.finalists[0], CellCandidate)
    assert u.error() < 1e-8
    assert u.error() < 1.5 * u.certificate.error_estimate < 1e3 * u.error()


def prey(end):
    return pde.Problem(
        ab.Box(t=(0, end)),
        [d(t)(a) == 1.5 * a - a * b, d(t)(b) == -3.0 * b + a * b],
        [pde.Initial((10.0, 5.0), at=(t, 0.0), of=(a, b))],
    )


def test_slabs_of_time_lead_to_long_times(monkeypatch):
    from scipy.integrate import solve_ivp

    with numerics():
        cells = CellProblem(prey(10.0), (10.0, 10.0))
        system, right = solved_by_slabs(cells, (32,), 20, 0)
        assert right
        assert not solved_by_slabs(cells, (2,), 20, 0)[1]
        monkeypatch.setattr("adabasis.pde.cell_newton.AMPLIFIED", np.inf)
        assert solved_by_slabs(cells, (2,), 20, 0)[1]  # small residuals beside prey without end
    times = np.linspace(0, 10, 101)
    rates = lambda _, z: [1.5 * z[0] - z[0] * z[1], -3 * z[1] + z[0] * z[1]]  # noqa: E731
    exact = solve_ivp(rates, (0, 10), [10, 5], "DOP853", times, rtol=1e-12, atol=1e-12).y.T
    u = system.function().derivatives(times[:, None], np.zeros((1, 1), int))[:, :, 0]
    assert np.abs(u - exact).max() < 1e-7


def test_what_has_no_start_in_time_and_is_not_linear_is_left_to_others():
    bent = pde.Problem(ab.Box(t=(0, 1)), [d(t)(v) == v**2], [pde.Initial(0.5, at=(t, 0.0))])
    ends = pde.Problem(ab.Box(t=(0, 1)), [d(t)(v) == v**2], [pde.Initial(0.5, at=(t, 1.0))])
    still = pde.Problem(ab.Box(x=(0, 1)), [d(x)(v) == v**2], [pde.Dirichlet(0.5, on=(x, 0))])
    assert stateable(bent)
    assert not stateable(ends)
    assert not stateable(still)


def test_waves_are_resolved_at_once_and_a_higher_degree_ends_the_search():
    wave = np.cos(60 * (0.6 * x + 0.8 * y))
    problem = pde.LinearProblem(
        square, op.Laplacian() + 3600.0 * op.Identity(), 0.0, [pde.Dirichlet(wave)], exact=wave
    )
    assert CellGrowth(problem).waves().round() == pytest.approx([60, 60], abs=1)
    u = ab.solve(problem)
    assert len(u.record.tried) <= 7
    assert u.error() < 1e-8
    assert u.error() < 1.5 * u.certificate.error_estimate < 1e3 * u.error()


def test_residuals_of_each_coordinate_count_in_claims(monkeypatch):
    """Residuals of a beam on more cells of time fall by 30, and errors, of its length, by 2."""
    beam = pde.catalog.problem("beam")
    with numerics():
        fresh = fresh_rows(beam, 1.0)
        found = [solved_on_cells(CellProblem(beam), fresh, (1, n), 16) for n in (8, 4, 2)]
    exact = evaluate(beam.exact, beam.domain.names, fresh.x)
    error = np.linalg.norm(found[0].u[:, 0] - exact) / np.linalg.norm(exact)

    def claimed(*which):
        ranked = [found[k] for k in which]
        return certified_on_cells(ranked, fresh)["certificate"].error_estimate

    assert error < 1.5 * claimed(0, 1, 2) < 5 * error
    assert error < 1.5 * claimed(0, 1) < 10 * error
    monkeypatch.setattr("adabasis.pde.on_cells.TOLD_BY_ONE", 0.0)
    assert 1.5 * claimed(0, 1) < error
    monkeypatch.setattr("adabasis.pde.on_cells.CLOSE", 0.0)
    assert 1.5 * claimed(0, 1, 2) < error


def test_heat_from_its_end_is_not_solved(monkeypatch):
    """Functions with a small residual grow with the degree: 1/γ is 2 at degree 10, 44 at 16."""
    strip = ab.Box(x=(0, 1), t=(0, 1))
    end = pde.Initial(np.sin(pi * x) * np.exp(-(pi**2) / 10), at=(t, 1.0))
    problem = pde.LinearProblem(strip, d(t) - 0.1 * d(x, 2), 0.0, [end, pde.Dirichlet(0.0, on=x)])
    with numerics():
        fresh = fresh_rows(problem, 1.0)
        low, high = (solved_on_cells(CellProblem(problem), fresh, (1, 1), m) for m in (10, 16))
        assert grows(low, high)
        monkeypatch.setattr("adabasis.pde.on_cells.GROWS", 100.0)
        assert not grows(low, high)


def test_no_less_than_round_off_is_claimed(monkeypatch):
    exact = np.exp(x)
    growth = d(x) - op.Identity()
    start = pde.Dirichlet(1.0, on=(x, 0.0))
    problem = pde.LinearProblem(ab.Box(x=(0, 1)), growth, 0.0, [start], exact=exact)
    u = ab.solve(problem)
    assert u.error() < u.certificate.error_estimate <= u.certificate.error_bound
    monkeypatch.setattr("adabasis.pde.on_cells.LEAST_CLAIM", 0.0)
    assert ab.solve(problem).certificate.error_estimate < 1e-15


def test_round_off_that_a_mode_enlarges_is_claimed(monkeypatch):
    """A ring near resonance: what errs along the mode shows in no residual."""
    wave = np.cos(4 * pi * x)
    ring = d(x, 2) + (4 * pi**2 + 1e-3) * op.Identity()
    source = (1e-3 - 12 * pi**2) * wave
    line = ab.Box(x=(0, 1))
    problem = pde.LinearProblem(line, ring, source, [pde.Periodic(x)], exact=wave)
    u = ab.solve(problem)
    assert u.error() < 3 * u.certificate.error_estimate
    monkeypatch.setattr("adabasis.pde.on_cells.ROUND_OFF_OF_U", 0.0)
    assert 3 * ab.solve(problem).certificate.error_estimate < u.error()


def test_sums_on_a_grid_are_those_of_all_functions():
    basis = PartitionBasis(6, 2, partition=GridPartition(6, counts=(2, 3)))
    box = np.array([[0.0, 1.0], [0.0, 1.0]])
    middles, half = basis.unity.middles(box)  # lower corners and sides are the bounds here
    parameters = PartitionParams(box, middles, np.broadcast_to(half, middles.shape))
    points = np.random.default_rng(0).uniform(size=(50, 2))
    c = np.random.default_rng(1).normal(size=(36, 2))
    np.testing.assert_allclose(
        basis.sums(points, parameters, c), basis.values(points, parameters) @ c, atol=1e-12
    )
    np.testing.assert_allclose(
        [basis.sum_at(p, parameters, c) for p in points[:5]],
        basis.sums(points[:5], parameters, c),
        rtol=1e-5,
        atol=1e-5,
    )


def test_counts_of_a_grid_have_the_product_that_was_said():
    with pytest.raises(ValueError, match=r"GridPartition\(6, counts=\(2, 2\)\).*product is 6"):
        GridPartition(6, counts=(2, 2))
    with pytest.raises(ValueError, match="counts for 2 inputs, got 3"):
        GridPartition(6, counts=(2, 3)).along(3)


def test_cells_may_be_asked_for():
    u = ab.solve(membrane(), PartitionBasis(6, 10, partition=GridPartition(6, counts=(3, 2))))
    assert u.error() < 1e-5
    assert u.error() < u.certificate.error_estimate < 300 * u.error()
    assert [one.functions for one in u.record.tried] == [396, 270]
    bent = pde.Problem(ab.Box(x=(0, 1)), [d(x)(v) == v**2], [pde.Dirichlet(0.5, on=(x, 0))])
    with pytest.raises(ValueError, match=r"cells take .* FrozenFeatures"):
        ab.solve(bent, PartitionBasis(4, 5, partition="grid"))


def test_solutions_of_many_cells_are_saved_loaded_and_reported(tmp_path):
    u = ab.solve(membrane(), PartitionBasis(900, 6, partition="grid"))
    assert len(u.coefficients) == 25_200  # more than are solved for together elsewhere
    u.save(tmp_path / "u.adabasis")
    loaded = ab.load(tmp_path / "u.adabasis")
    points = np.random.default_rng(0).uniform(size=(9, 2))
    np.testing.assert_allclose(loaded(points), u(points), rtol=1e-14)
    u.report(tmp_path / "u.html")
    page = (tmp_path / "u.html").read_text("utf-8")
    assert "coarser cells" in page
    assert "Partitions" not in page
    with pytest.raises(ValueError, match="at most 20,000 are solved for"):
        ab.fit(points, points[:, 0], u.basis)


def test_without_a_better_witness_the_claim_is_the_difference_at_least():
    """Two solutions beside a kink: neither residual is much smaller than the other."""
    kinked = pde.LinearProblem(
        ab.Box(x=(0, 1)), d(x), np.sign(x - 0.4), [pde.Dirichlet(0.0, on=(x, 0))],
        exact=np.abs(x - 0.4) - 0.4,
    )  # fmt: skip
    with numerics():
        fresh = fresh_rows(kinked, 1.0)
        found = [solved_on_cells(CellProblem(kinked), fresh, (1,), m) for m in (6, 8)]
    ranked = sorted(found, key=lambda one: one.errors)
    claimed = certified_on_cells(ranked, fresh)["certificate"].error_estimate
    apart = np.linalg.norm(found[0].u - found[1].u) / np.linalg.norm(ranked[0].u)
    exact = kinked.exact_values(fresh.x)
    assert claimed > apart
    assert claimed > np.linalg.norm(ranked[0].u[:, 0] - exact) / np.linalg.norm(exact)

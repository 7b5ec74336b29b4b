"""Solutions: against exact ones, against each other, and that certificates do not overclaim."""

import dataclasses
import itertools

import jax
import jax.numpy as jnp
import meshio
import numpy as np
import pytest

import adabasis as ab
from adabasis import operators as op
from adabasis import pde
from adabasis._runtime.compute import numerics
from adabasis.geometry.points import Cartesian, Gauss
from adabasis.models.record import Ridge
from adabasis.pde import catalog, strategy

from ..laws import assert_close

x, t = pde.coordinates("x", "t")
LINE = ab.Box(x=(0, 1))
FEW = ab.FrozenFeatures(64, scale=2.0)


def ode(operator, source, conditions, exact, basis=FEW, **options):
    made = pde.LinearProblem(LINE, operator, source, conditions, exact=exact, **options)
    return ab.solve(made, basis)


MINUS_U2 = -op.Partial(x, 2)
SINE = np.sin(3 * x)
ODES = {
    "Dirichlet": (MINUS_U2, 9 * SINE, [pde.Dirichlet(SINE)]),
    "Neumann": (
        MINUS_U2,
        9 * SINE,
        [pde.Dirichlet(0.0, on=(x, 0.0)), pde.Neumann(3 * np.cos(3.0), on=(x, 1.0))],
    ),
    "Robin": (
        MINUS_U2,
        9 * SINE,
        [
            pde.Dirichlet(0.0, on=(x, 0.0)),
            pde.Robin(2 * np.sin(3.0) + 3 * np.cos(3.0), on=(x, 1.0), alpha=2.0),
        ],
    ),
    "Condition": (
        MINUS_U2 @ MINUS_U2,
        81 * SINE,
        [pde.Dirichlet(SINE), pde.Condition(MINUS_U2, 9 * SINE)],
    ),
    "variable coefficient": (
        (lambda x: 1 + x) * op.Partial(x) + op.Identity(),
        3 * (1 + x) * np.cos(3 * x) + SINE,
        [pde.Dirichlet(0.0, on=(x, 0.0))],
    ),
}


@pytest.mark.parametrize("name", ODES)
def test_conditions_of_every_kind_determine_the_solution(name):
    operator, source, conditions = ODES[name]
    u = ode(operator, source, conditions, SINE)
    assert u.error() <= 1e-9
    assert u.error() <= u.certificate.error_estimate
    assert u.certificate.solved, str(u.certificate)


def test_periodic_solutions():
    exact = np.cos(2 * np.pi * x)
    source = (4 * np.pi**2 + 1) * exact
    u = ode(MINUS_U2 + op.Identity(), source, [pde.Periodic(x)], exact)
    assert u.error() <= 1e-9


def test_an_observation_can_take_the_place_of_a_condition():
    data = [pde.Observe([[0.7]], [np.sin(2.1)])]
    u = ode(MINUS_U2, 9 * SINE, [pde.Dirichlet(0.0, on=(x, 0.0))], SINE, data=data)
    assert u.error() <= 1e-9


def test_operators_of_the_solution_are_in_the_users_units():
    u = ode(MINUS_U2, 9 * SINE, ODES["Dirichlet"][2], SINE)
    at = np.linspace(0, 1, 7)[:, None]
    np.testing.assert_allclose(u.apply(op.Partial("x"), at), 3 * np.cos(3 * at[:, 0]), atol=1e-7)
    assert np.abs(u.residual(at)).max() <= 1e-6
    assert u.residual(at).shape == (7,)


@pytest.mark.parametrize("name", ["poisson-2d", "wave", "advection-constant"])
def test_certificates_do_not_overclaim(name):
    u = ab.solve(catalog.problem(name), ab.FrozenFeatures(120, scale=2.0))
    assert u.error() <= u.certificate.error_estimate <= 100 * max(u.error(), 1e-12)
    assert u.certificate.error_bound >= u.error()
    assert set(u.certificate.terms) == {c.label for c in catalog.problem(name).constraints}
    assert max(u.certificate.regions.values()) >= u.certificate.residual


def heat(length, time, height):
    """Return the same heat equation in other units."""
    position, clock = pde.coordinates("x", "t")
    mode = height * np.sin(np.pi * position / length)
    rate = 0.1 * length**2 / time
    return pde.LinearProblem(
        ab.Box(x=(0, length), t=(0, time)),
        op.Partial(clock) - rate * op.Partial(position, 2),
        0.0,
        [pde.Initial(mode, at=(clock, 0.0)), pde.Dirichlet(0.0, on=position)],
        exact=mode * np.exp(-0.1 * np.pi**2 * clock / time),
    )


def test_units_change_nothing():
    basis = ab.FrozenFeatures(100, scale=1.0)
    errors = [
        ab.solve(heat(*units), basis).error()
        for units in ((1.0, 1.0, 1.0), (1e-6, 3.15e7, 1e5), (1e6, 1e-9, 1e-12))
    ]
    assert max(errors) <= 1e-5
    assert max(errors) <= 2 * min(errors)


@pytest.mark.slow
def test_the_parts_of_a_pounet_move_to_where_a_layer_is():
    layer = catalog.problem("advection-diffusion")
    pounet = ab.PartitionBasis(9, 5, partition="rbf")
    drawn, moved = (
        ab.solve(layer, pounet, method=method, max_steps=20) for method in ("frozen", "lsgn")
    )
    assert moved.error() <= 1e-4 * drawn.error()
    assert moved.error() <= moved.certificate.error_estimate


def test_the_ties_of_a_basis_hold_inside_a_solution():
    """A wrapper once lost them on the way, without a word."""
    problem = pde.LinearProblem(
        LINE, op.Partial(x, 2), lambda x: np.where(x < 0.45, 0.0, 3.0), [pde.Dirichlet(0.0, on=x)]
    )
    jumps = []
    for continuity in (0.0, 1e4):
        basis = ab.PartitionBasis(3, 3, partition="affine", continuity=continuity, reach=0.1)
        u = ab.solve(problem, basis, method="frozen", points=Gauss(24))
        places = jnp.linspace(0.01, 0.99, 60)[:, None]
        rows = jax.vmap(lambda z, u=u: u.basis.ties(z, u.parameters))(places)
        jumps.append(float(np.sqrt(np.mean((np.asarray(rows) @ u.coefficients) ** 2))))
        (again,) = u.resolve([problem.with_data()])
        assert_close(again.coefficients, u.coefficients, 1e-7)
    assert jumps[1] < 1e-2 * jumps[0]


def test_an_equation_in_time_alone_has_no_characteristics():
    (t,) = pde.coordinates("t")
    root = pde.LinearProblem(
        ab.Box(t=(0, 1)),
        op.Partial(t),
        lambda t: np.sqrt(np.abs(t - 0.377)),
        [pde.Initial(1.0, at=(t, 0.0))],
    )
    u = ab.solve(root, points=Gauss(32), max_steps=2, n_restarts=1)
    end = 1 + (0.377**1.5 + 0.623**1.5) / 1.5
    assert abs(float(u([[1.0]])[0]) - end) < 1e-2


def test_other_right_hand_sides_cost_no_new_solve_and_give_the_same():
    made = pde.LinearProblem(LINE, MINUS_U2, 1.0, [pde.Dirichlet(0.0)])
    other = made.with_data(9 * SINE, [pde.Dirichlet(SINE)])
    (again,) = ab.solve(made, FEW).resolve([other])
    at = np.linspace(0, 1, 50)[:, None]
    np.testing.assert_allclose(again(at), np.sin(3 * at[:, 0]), atol=1e-9)
    assert ab.solve(made, FEW).resolve([]) == []
    with pytest.raises(ValueError, match="expected conditions"):
        again.resolve([made.with_data(1.0, [pde.Dirichlet(0.0, on=(x, 1.0))])])


def robin(alpha, weight=None):
    return pde.Robin(0.0, on=(x, 0.0), alpha=alpha, weight=weight)


def slope(conditions, *, domain=LINE, operator=None, data=()):
    operator = op.Partial(x) if operator is None else operator
    return pde.LinearProblem(domain, operator, np.cos(x), conditions, data)


def on_the_left(u):
    return [pde.Dirichlet(u, on=(x, 0.0))]


STATED_OTHERWISE = {
    "domain": (slope(on_the_left(0.0)), slope(on_the_left(0.0), domain=ab.Box(x=(0, 3)))),
    "another operator": (slope(on_the_left(0.0)), slope(on_the_left(0.0), operator=MINUS_U2)),
    "Robin.*another operator": (slope([robin(1.0)]), slope([robin(5.0)])),
    "weight is 2.0": (slope([robin(1.0, 1.0)]), slope([robin(1.0, 2.0)])),
    "other points": tuple(
        slope([], data=[pde.Observe([[place]], [0.0])]) for place in (0.0, 1.0)
    ),
}  # fmt: skip


@pytest.mark.parametrize("what", STATED_OTHERWISE)
def test_a_factor_refuses_what_it_is_not_one_of(what):
    solved, asked = STATED_OTHERWISE[what]
    with pytest.raises(ValueError, match=what):
        ab.solve(solved, FEW).resolve([asked])


def test_operators_stated_anew_are_the_same_operators():
    first, again = (
        slope([robin(lambda x: 1 + x)], operator=op.Partial(x) + (lambda x: x**2) * op.Identity())
        for _ in range(2)
    )
    assert ab.solve(first, FEW).resolve([again])[0].certificate.solved


def test_other_right_hand_sides_have_certificates_of_their_own():
    made = pde.LinearProblem(LINE, MINUS_U2, 1.0, [pde.Dirichlet(0.0)])
    hard = made.with_data(4900 * np.sin(70 * x), [pde.Dirichlet(np.sin(70 * x))])
    easy = made.with_data(9 * SINE, [pde.Dirichlet(SINE)])
    first = ab.solve(made, FEW)
    found = first.resolve([easy, hard])
    at = np.linspace(0, 1, 400)[:, None]
    for u, frequency in zip(found, (3, 70), strict=True):
        exact = np.sin(frequency * at[:, 0])
        error = np.linalg.norm(u(at) - exact) / np.linalg.norm(exact)
        assert error <= u.certificate.error_estimate
    assert found[0].certificate.solved
    assert not found[1].certificate.solved
    direct = ab.solve(easy, FEW).certificate
    assert found[0].certificate.residual <= 10 * direct.residual + 1e-10
    (once_more,) = found[1].resolve([easy])
    np.testing.assert_allclose(once_more(at), found[0](at), atol=1e-9)
    assert once_more.finalists[0].label == found[0].finalists[0].label


def test_of_two_answers_the_one_of_smaller_residuals_is_returned():
    made = pde.LinearProblem(LINE, MINUS_U2, 1.0, [pde.Dirichlet(0.0)])
    first = ab.solve(made, method="frozen")
    steep = made.with_data(3600 * np.sin(60 * x), [pde.Dirichlet(np.sin(60 * x))])
    (u,) = first.resolve([steep])
    assert len(u.finalists) == 2
    assert u.validation_error == min(one.misfit.score for one in u.finalists)
    smooth = first.finalists[0].label + ", other data"
    assert u.finalists[0].label != smooth, "the smooth one won the first"
    at = np.linspace(0, 1, 400)[:, None]
    exact = np.sin(60 * at[:, 0])
    error = np.linalg.norm(u(at) - exact) / np.linalg.norm(exact)
    assert error <= u.certificate.error_estimate
    assert (u.singular_values.shape, u.rank) == ((len(u.coefficients),), u.certificate.rank)


def test_other_right_hand_sides_that_contradict_each_other_say_so():
    made = pde.LinearProblem(LINE, op.Identity(), 0.0, [pde.Dirichlet(0.0), pde.Dirichlet(0.0)])
    clash = made.with_data(0.0, [pde.Dirichlet(0.0), pde.Dirichlet(1.0)])
    (again,) = ab.solve(made, FEW).resolve([clash])
    assert "contradict each other" in again.certificate.verdict


def test_a_problem_that_lacks_a_condition_says_so():
    u = ode(MINUS_U2, 9 * SINE, [pde.Dirichlet(0.0, on=(x, 0.0))], SINE)
    assert u.certificate.stability.undetermined == 1
    assert "no condition on x = 1" in u.certificate.verdict
    assert not u.certificate.solved
    assert u.status is ab.lstsq.Status.UNDERDETERMINED


def test_conditions_that_contradict_each_other_are_named():
    clash = [pde.Dirichlet(0.0), pde.Dirichlet(1.0, on=(x, 1.0))]
    u = ode(MINUS_U2, 9 * SINE, clash, SINE)
    assert "contradict each other" in u.certificate.verdict
    assert "Dirichlet on x = 1" in u.certificate.verdict
    assert not u.certificate.solved


def test_an_equation_that_is_not_linear_goes_through_the_same_door():
    cubic = op.UserOperator(lambda u, p: u(p) ** 3 - op.Partial(0, 2)(u)(p), 2, linear=False)
    u = ode(cubic, 9 * SINE + SINE**3, [pde.Dirichlet(SINE)], SINE)
    assert u.error() <= 1e-9
    assert u.error() <= u.certificate.error_estimate
    with pytest.raises(ValueError, match="not linear"):
        u.resolve([u.problem])


@pytest.mark.parametrize("trainer", [ab.LSGN(), pytest.param(ab.GD(1e-2), marks=pytest.mark.slow)])
def test_functions_are_moved_for_an_equation_that_is_not_linear(trainer):
    cubic = op.UserOperator(lambda u, p: u(p) ** 3 - op.Partial(0, 2)(u)(p), 2, linear=False)
    made = pde.LinearProblem(LINE, cubic, 9 * SINE + SINE**3, [pde.Dirichlet(SINE)], exact=SINE)
    moved = ab.solve(made, ab.NeuralBasis(6, 1), method=trainer, max_steps=40, n_restarts=1)
    losses = moved.history.loss
    assert 2 <= len(losses) <= 41
    assert moved.finalists[0].run.loss < 0.1 * losses[0]
    assert moved.error() < 1e-2


def test_points_given_limit_the_functions():
    u = ab.solve(catalog.problem("poisson-1d"), points=Cartesian(20))
    assert max(c["functions"] for c in u.candidates) <= 22 // 2 + 2
    assert u.record.n_rows == 22


@pytest.mark.parametrize(
    ("arguments", "options", "error", "message"),
    [
        ((3,), {}, TypeError, "expected a LinearProblem"),
        ((None, None), {"method": "adam"}, ValueError, "expected 'auto'"),
        ((None, None), {"method": "lsgn"}, ValueError, "only method='auto' chooses a basis"),
        ((None, FEW), {"method": "lsgn"}, ValueError, "these functions are frozen"),
        (
            (None, ab.NeuralBasis(8, 1, activation="relu")),
            {},
            ValueError,
            "order 2.*smoother activation, such as tanh",
        ),
    ],
)
def test_bad_calls_are_refused(arguments, options, error, message):
    made, *rest = arguments
    with pytest.raises(error, match=message):
        ab.solve(catalog.problem("poisson-1d") if made is None else made, *rest, **options)


def test_the_same_seed_gives_the_same_bits():
    made = catalog.problem("poisson-1d")
    first, second = (ab.solve(made, FEW).coefficients for _ in range(2))
    assert np.array_equal(first, second)


def test_a_study_finds_the_order_of_convergence():
    study = ab.solve(catalog.problem("poisson-1d"), FEW).convergence_study([8, 16, 32])
    assert study.errors[-1] < study.errors[0]
    assert study.order > 2
    assert "exact solution" in str(study)
    assert study.plot().axes


@pytest.fixture(scope="module")
def sine():
    return ode(MINUS_U2, 9 * SINE, ODES["Dirichlet"][2], SINE)


def test_a_solution_is_read_from_a_file_with_its_certificate(tmp_path, sine):
    sine.save(tmp_path / "u.adabasis")
    u = ab.load(tmp_path / "u.adabasis")
    at = np.linspace(0, 1, 5)[:, None]
    assert type(u) is ab.Solution
    assert (u.certificate, u.domain, u.equation) == (sine.certificate, LINE, sine.equation)
    assert str(u.certificate) == str(sine.certificate)
    assert u.record == sine.record
    for evaluated in (
        lambda v: v(at),
        lambda v: v.apply(op.Partial("x"), at),
        lambda v: v.gradient(at),
    ):
        np.testing.assert_array_equal(evaluated(u), evaluated(sine))
    u.report(tmp_path / "u.html")
    assert u.certificate.verdict in (tmp_path / "u.html").read_text("utf-8")


def test_certificates_in_files_may_hold_numbers_that_are_none(tmp_path, sine):
    odd = dataclasses.replace(sine.certificate, error_estimate=np.nan, error_bound=np.inf)
    dataclasses.replace(sine, certificate=odd).save(tmp_path / "u.adabasis")
    read = ab.load(tmp_path / "u.adabasis").certificate
    assert np.isnan(read.error_estimate)
    assert read.error_bound == np.inf
    assert read.stability == odd.stability


def test_what_a_file_does_not_hold_is_named_with_what_to_do(tmp_path, sine):
    sine.save(tmp_path / "u.adabasis")
    u, at = ab.load(tmp_path / "u.adabasis"), np.linspace(0, 1, 5)[:, None]
    for asked in (lambda: u.residual(at), u.error, lambda: u.to_vtk(tmp_path / "u.vtu")):
        with pytest.raises(ValueError, match=r"solution\.with_problem\(problem\)"):
            asked()
    for asked in (lambda: u.resolve([sine.problem]), u.convergence_study):
        with pytest.raises(ValueError, match=r"solve\(problem\)"):
            asked()
    known = u.with_problem(sine.problem)
    np.testing.assert_array_equal(known.residual(at), sine.residual(at))
    assert known.error() == sine.error()
    with pytest.raises(ValueError, match=r"expected .* in Box\(x=\(0, 1\)\), got"):
        u.with_problem(pde.LinearProblem(ab.Box(x=(0, 2)), MINUS_U2, 9 * SINE))


@pytest.mark.parametrize("trials", [0, 1])
def test_an_interrupt_leaves_the_best_so_far(monkeypatch, trials):
    """Ctrl-C while a candidate is judged: the ones before it count."""
    judged, count = strategy.misfit, itertools.count()

    def interrupting(*arrays):
        if next(count) == trials:
            raise KeyboardInterrupt
        return judged(*arrays)

    monkeypatch.setattr(strategy, "misfit", interrupting)
    if not trials:
        with pytest.raises(KeyboardInterrupt):
            ab.solve(catalog.problem("poisson-1d"), FEW)
        return
    u = ab.solve(catalog.problem("poisson-1d"), FEW)
    assert u.stop_reason is ab.train.StopReason.INTERRUPTED
    assert len(u.candidates) == 1
    assert u.certificate.solved


def test_a_ridge_of_the_users_is_that_of_all_solves():
    made = pde.LinearProblem(LINE, MINUS_U2, 9 * SINE, [pde.Dirichlet(SINE)])
    u = ab.solve(made, FEW, ridge=1e-4)
    system = u.finalists[0].system
    with numerics():
        a = np.asarray(ab.rows.design(system.terms, system.basis, system.parameters))
        b = np.asarray(ab.rows.targets(system.terms))
    c = np.linalg.solve(a.T @ a + 1e-4 * np.eye(len(a.T)), a.T @ b)
    np.testing.assert_allclose(u.coefficients, c, atol=1e-9 * np.abs(c).max())
    (again,) = u.resolve([made])
    np.testing.assert_allclose(again.coefficients, c, atol=1e-9 * np.abs(c).max())
    assert u.record.ridge == u.record.tried[0].ridge == Ridge(1e-4, relative=False)


def test_callbacks_see_training_and_may_stop_it():
    seen = []
    u = ab.solve(
        catalog.problem("poisson-1d"),
        ab.NeuralBasis(4, 1),
        method="lsgn",
        n_restarts=1,
        points=Gauss(20),
        callbacks=[lambda progress: seen.append(progress.step) or True],
    )
    assert len(seen) == 1
    assert u.stop_reason is ab.train.StopReason.CALLBACK
    assert len(u.history) <= seen[0] + 1


def test_vtk_files_hold_the_solution(tmp_path):
    u = ode(MINUS_U2, 9 * SINE, ODES["Dirichlet"][2], SINE)
    for suffix in (".vtk", ".vtu"):
        path = tmp_path / f"u{suffix}"
        u.to_vtk(path, per_side=9)
        mesh = meshio.read(path)
        np.testing.assert_allclose(mesh.point_data["u"], np.sin(3 * mesh.points[:, 0]), atol=1e-9)
    with pytest.raises(ValueError, match="no format that keeps the values"):
        u.to_vtk(tmp_path / "u.unknown")
    assert {path.suffix for path in tmp_path.iterdir()} == {".vtk", ".vtu"}


@pytest.mark.parametrize("d", [1, 2, 3])
def test_grids_have_cells_of_positive_volume(d):
    from adabasis.pde.meshes import grid

    points, cells = grid(np.tile([0.0, 2.0], (d, 1)), 4)
    assert len(points) == 4**d
    assert cells.shape == (3**d, 2**d)
    first, last = points[cells[:, 0]], points[cells[:, {1: 1, 2: 2, 3: 6}[d]]]
    np.testing.assert_allclose(last - first, 2 / 3)


@pytest.mark.slow
@pytest.mark.parametrize("name", catalog.SMOOTH)
def test_smooth_problems_are_solved_to_six_digits_by_default(name):
    u = ab.solve(catalog.problem(name))
    assert u.error() <= 1e-6
    assert u.error() <= u.certificate.error_estimate
    assert u.certificate.solved, str(u.certificate)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "bar"), [("advection-constant-tent", 1e-6), ("advection-variable-tent", 1e-3)]
)
def test_kinks_are_carried_along_by_default(name, bar):
    u = ab.solve(catalog.problem(name))
    assert u.error() <= bar
    assert u.error() <= u.certificate.error_estimate


@pytest.mark.slow
def test_poisson_on_the_points_of_the_peers():
    u = ab.solve(catalog.problem("poisson-2d"), points=Cartesian(30))
    assert u.record.n_rows == 900 + 120
    assert u.error() <= 1e-9

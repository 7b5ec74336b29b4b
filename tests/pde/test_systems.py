"""Several unknowns: equations and conditions in blocks, units, certificates, files."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import adabasis as ab
from adabasis import operators as op
from adabasis import pde
from adabasis.basis import FrozenFeatures
from adabasis.pde.balance import balanced
from adabasis.pde.system import Misfit
from adabasis.pde.verdict import Stability, verdict_of

x, t = pde.coordinates("x", "t")
u, v, w = pde.unknowns("u", "v", "w")
d = op.Partial
LINE, SPAN = ab.Box(x=(0, 1)), ab.Box(t=(0, 1))
FEW = FrozenFeatures(48)


def oscillator(unit=1.0, factor=1.0, **options):
    """u′ = −v/unit, v′ = unit u: u = cos t, v = unit sin t, all times a factor."""
    return pde.Problem(
        SPAN,
        [d(t)(u) == -1.0 / unit * v, d(t)(v) == unit * u],
        [pde.Initial((factor, 0.0), at=(t, 0.0), of=(u, v))],
        exact=(factor * np.cos(t), factor * unit * np.sin(t)),
        **options,
    )


@pytest.fixture(scope="module")
def circle():
    return ab.solve(oscillator(), FEW)


def test_a_first_order_system_is_solved_and_certified(circle):
    assert circle.certificate.verdict.startswith("Solved")
    assert circle.error() <= 1e-9
    assert circle.error() <= circle.certificate.error_estimate
    assert set(circle.certificate.terms) == {
        "Equation 1",
        "Equation 2",
        "Initial value of u at t = 0",
        "Initial value of v at t = 0",
    }


def claims_are_kept(solution):
    """Each unknown's error is claimed by its name, the worst as that of all."""
    claimed, true = solution.certificate.by_unknown, solution.errors()
    assert list(claimed) == list(true) == list(solution.unknowns)
    assert all(true[name] <= claimed[name] for name in true)
    assert solution.certificate.error_estimate == max(claimed.values())
    for name, error in claimed.items():
        assert f"{name} {error:.0e}" in solution.certificate.verdict
        assert f"estimated error of {name}" in str(solution.certificate)


def test_each_unknown_has_an_error_estimate(circle):
    claims_are_kept(circle)


def test_values_of_a_certificate_are_in_one_column(circle):
    long = {"Condition of n_x ((u_x + v_y) + 2 u_x) + n_y (u_y + v_x) = 0 on x = 0": 1e-9}
    terms = {**circle.certificate.terms, **long}
    listed = str(dataclasses.replace(circle.certificate, terms=terms)).splitlines()
    rows = [line for line in listed[1:] if "Condition" not in line and "where" not in line]
    starts = {len(line) - len(line.split("  ")[-1].strip()) for line in rows}
    assert len(rows) >= 10
    assert len(starts) == 1
    assert max(map(len, rows)) <= 60  # the long name does not push the others


def test_a_solution_on_cells_has_no_number_of_functions_to_compare_with_waves(circle):
    said = verdict_of(
        circle.problem,
        Misfit(0.5, 0.5, [], 1.0),
        Stability(1.0, 0, 0.0),
        0.5,
        0.0,
        {"Equation": 0.5},
    )
    assert "smooth" in said
    assert "0 functions" not in said


def test_an_unknown_that_is_worse_says_so():
    """v is a thousandth of what it is made of, and so its error is a thousand times that of u."""
    wave = np.sin(20 * t) / 1000
    problem = pde.Problem(
        SPAN,
        [d(t)(u) == 1.0, d(t)(v) - d(t)(u) == 0.02 * np.cos(20 * t) - 1.0],
        [pde.Initial((0.0, 0.0), at=(t, 0.0), of=(u, v))],
        exact=(t, wave),
    )
    solution = ab.solve(problem, FrozenFeatures(16))
    claims_are_kept(solution)
    assert solution.certificate.by_unknown["v"] > 100 * solution.certificate.by_unknown["u"]


def test_each_unknown_has_an_error_estimate_on_cells():
    claims_are_kept(ab.solve(oscillator(unit=100.0)))


def test_values_come_by_name_and_by_column(circle):
    points = np.linspace(0, 1, 7)[:, None]
    assert circle.unknowns == ("u", "v")
    assert circle(points).shape == (7, 2)
    for name, column in zip("uv", circle(points).T, strict=True):
        np.testing.assert_allclose(circle[name](points), column, rtol=1e-12, atol=1e-15)
    assert circle[u](points).shape == (7,)
    with pytest.raises(KeyError, match="the unknowns are u, v"):
        circle["p"]


def test_expressions_are_evaluated_on_a_solution(circle):
    points = np.linspace(0, 1, 7)[:, None]
    energy = circle.apply(u**2 + v**2, points)
    np.testing.assert_allclose(energy, 1.0, rtol=1e-9)
    assert np.abs(circle.apply(d(t)(u) + v, points)).max() <= 1e-9
    assert circle.apply(d(t), points).shape == (7, 2)
    assert np.abs(circle.residual(points)).max() <= 1e-9
    with pytest.raises(ValueError, match="w, which is in no equation"):
        circle.apply(w, points)


def test_files_keep_systems(circle, tmp_path):
    circle.save(tmp_path / "circle.adabasis")
    back = ab.load(tmp_path / "circle.adabasis")
    points = np.linspace(0, 1, 7)[:, None]
    np.testing.assert_allclose(back["v"](points), circle["v"](points), rtol=1e-12, atol=1e-15)
    assert back.certificate == circle.certificate
    assert back.with_problem(oscillator()).error() == pytest.approx(circle.error(), rel=1e-3)


def test_the_same_system_for_other_data_is_solved_by_the_factor(circle):
    (other,) = circle.resolve([oscillator(factor=3.0)])
    assert other.error() <= 1e-9
    with pytest.raises(ValueError, match="another operator"):
        circle.resolve([oscillator(unit=2.0)])


@pytest.mark.parametrize(("unit", "factor"), [(1e6, 1.0), (1e-7, 1e4)])
def test_units_of_each_unknown_change_nothing(circle, unit, factor):
    other = ab.solve(oscillator(unit, factor), FEW)
    assert other.error() <= 1e-9
    assert other.certificate.error_estimate <= 1e-12


def test_balanced_units_follow_the_units_of_unknowns_equations_and_data():
    plain = np.array(balanced(oscillator()))
    np.testing.assert_allclose(balanced(oscillator(1e3, 5.0)), plain * [5.0, 5e3], rtol=1e-9)


def test_a_mean_value_settles_the_constant_of_a_pressure():
    p, q = pde.unknowns("p", "q")
    equations = [d(x)(p) + d(x, 2)(q) == 1.0, d(x, 2)(q) == 0.0]
    ends = [pde.Dirichlet(0.0, of=q)]
    settled = ab.solve(pde.Problem(LINE, equations, [*ends, pde.MeanValue(2.0, of=p)]), FEW)
    points = np.linspace(0, 1, 5)[:, None]
    np.testing.assert_allclose(settled["p"](points), points[:, 0] + 1.5, atol=1e-9)
    free = ab.solve(pde.Problem(LINE, equations, ends), FEW)
    assert "Any constant may be added to p" in free.verdict


def test_conditions_are_equations_between_unknowns_too():
    """u″ = 0, v′ = 0; u(0) = 0, u(1) + v(1) = 3, u′(0) = v(0): u = 1.5 x, v = 1.5."""
    problem = pde.Problem(
        LINE,
        [d(x, 2)(u) == 0.0, d(x)(v) == 0.0],
        [
            pde.Condition(u == 0.0, on=(x, 0.0)),
            pde.Condition(u + v == 3.0, on=(x, 1.0)),
            pde.Condition(d(x)(u) - v == 0.0, on=(x, 0.0)),
        ],
    )
    values = ab.solve(problem, FEW)(np.array([[0.4], [1.0]]))
    np.testing.assert_allclose(values, [[0.6, 1.5], [1.5, 1.5]], atol=1e-9)


def test_an_equation_in_one_unknown_is_the_linear_problem():
    sine = np.sin(np.pi * x)
    one = pde.LinearProblem(LINE, -d(x, 2), np.pi**2 * sine, [pde.Dirichlet(0.0)])
    two = pde.Problem(LINE, [-d(x, 2)(u) == np.pi**2 * sine], [pde.Dirichlet(0.0)])
    points = np.linspace(0, 1, 9)[:, None]
    np.testing.assert_array_equal(ab.solve(one, FEW)(points), ab.solve(two, FEW)(points))
    moved = pde.Problem(LINE, [-d(x, 2)(u) - np.pi**2 * sine == 0.0], [pde.Dirichlet(0.0)])
    np.testing.assert_allclose(ab.solve(moved, FEW)(points), ab.solve(two, FEW)(points), atol=1e-12)


@pytest.mark.parametrize("k", [1, 3])
def test_operators_of_textbooks_are_linear(k):
    """u″ + (kπ)² u = 0 with u = cos kπx: what the test waves of the size do not see."""
    exact = np.cos(k * np.pi * x)
    conditions = [pde.Dirichlet(1.0, on=(x, 0.0)), pde.Neumann(0.0, on=(x, 0.0))]
    problem = pde.LinearProblem(
        LINE, d(x, 2) + (k * np.pi) ** 2 * op.Identity(), 0.0, conditions, exact=exact
    )
    assert problem.constraints[0].size > 1.0
    assert ab.solve(problem, FEW).error() <= 1e-8


def test_a_claim_of_linearity_is_tested_where_no_textbook_looks():
    both = [lambda w, q: d(0, 2)(w)(q) + np.pi**2 * w(q), lambda w, q: d(0, 2)(w)(q) + w(q) ** 2]
    pde.LinearProblem(LINE, op.UserOperator(both[0], 2), 0.0)
    with pytest.raises(ValueError, match="not linear"):
        pde.LinearProblem(LINE, op.UserOperator(both[1], 2), 0.0)


def test_a_linear_problem_that_is_none_is_told_of_problem():
    with pytest.warns(FutureWarning, match="Use Problem"):
        pde.LinearProblem(LINE, op.UserOperator(lambda w, q: w(q) ** 2, 0, linear=False), 1.0)


COUPLED = [d(x, 2)(u) + v == 0.0, d(x, 2)(v) == 1.0]


@pytest.mark.parametrize(
    ("equations", "conditions", "error", "message"),
    [
        ([d(x)(u) == 0.0, u is v], [], TypeError, "entry 1 is False"),
        ([d(x)(u) == 0.0, lambda s: s], [], TypeError, "entry 1 is .*function"),
        ([d(x)(u)], [], TypeError, "entry 0 is u_x, an expression"),
        ([d(x)], [], TypeError, "apply it to an unknown"),
        ([], [], ValueError, "at least one"),
        ([d(x)(u) + v == 0.0], [], ValueError, r"1 for 2 unknowns \(u, v\)"),
        (COUPLED, [pde.Dirichlet(0.0)], ValueError, "unknowns u, v; say which"),
        (COUPLED, [pde.Dirichlet(0.0, of=w)], ValueError, "w is in no equation.*u, v"),
        (COUPLED, [pde.Dirichlet(0.0, of="u")], TypeError, "expected unknowns among u, v"),
        (COUPLED, [pde.Dirichlet((0.0, 1.0), of=u)], ValueError, "one value, or one for each"),
        (COUPLED, [pde.Condition(u == w)], ValueError, "about w"),
        (COUPLED, [pde.Condition(u == v, 3.0)], ValueError, "leave value and of out"),
        (COUPLED, [pde.Condition(False, 3.0)], TypeError, "True or False, and none"),
        (COUPLED, [u == v], TypeError, r"Condition\(lhs == rhs"),
    ],
)
def test_bad_systems_are_refused_in_words(equations, conditions, error, message):
    with pytest.raises(error, match=message):
        pde.Problem(LINE, equations, conditions)


@pytest.fixture(scope="module")
def prey():
    """Lotka–Volterra, from (10, 5) to t = 0.5."""
    a, b = pde.unknowns("a", "b")
    problem = pde.Problem(
        ab.Box(t=(0, 0.5)),
        [d(t)(a) == 1.5 * a - a * b, d(t)(b) == -3.0 * b + a * b],
        [pde.Initial((10.0, 5.0), at=(t, 0.0), of=(a, b))],
    )
    return ab.solve(problem, FEW)


def test_systems_that_are_not_linear_are_solved_by_newton_steps(prey):
    end = prey(np.array([[0.5]]))[0]
    ivp = pytest.importorskip("scipy.integrate").solve_ivp
    exact = ivp(
        lambda _, z: [1.5 * z[0] - z[0] * z[1], -3 * z[1] + z[0] * z[1]],
        (0, 0.5), [10.0, 5.0], method="DOP853", rtol=1e-13, atol=1e-13,
    ).y[:, -1]  # fmt: skip
    np.testing.assert_allclose(end, exact, rtol=1e-5)
    assert prey.certificate.verdict.startswith("Solved")


@pytest.mark.parametrize(
    "operator",
    [
        op.Pointwise("multiply", [op.Component(0), d(0) @ op.Component(1)]),
        op.Pointwise("power", [op.Component(1), op.Known(3.0)]) + d(0) @ op.Component(0),
        d(0) @ op.Pointwise("sin", [op.Component(0)]),
    ],
)
def test_derivatives_along_coefficients_are_those_of_differences(operator):
    """By the chain rule where no product is differentiated, by reverse mode elsewhere."""
    joint = op.Joint(operator.bind(("x",)), 2)
    with jax.enable_x64(True):
        phi = lambda q: jnp.stack([jnp.sin(q[0]), jnp.cos(q[0]), q[0]])  # noqa: E731
        c, place = jnp.asarray([[0.3, 0.2, 1.1], [-0.4, 0.9, 0.5]]), jnp.asarray([0.7])
        row = op.Linearised(joint, lambda q: c @ phi(q)).columns(phi)(place)
        want = jax.grad(lambda e: joint(lambda q: e @ phi(q))(place))(c)
    np.testing.assert_allclose(np.asarray(row), np.asarray(want).ravel(), rtol=1e-12)


def test_complex_unknowns_are_pairs(tmp_path):
    """i u′ = −k u with u(0) = 1: u = e^{ikx}."""
    z, k = pde.unknowns("z", dtype=complex), 4.0
    wave = np.exp(1j * k * x)
    conditions = [pde.Dirichlet(1.0, on=(x, 0.0))]
    problem = pde.Problem(LINE, [1j * d(x)(z) == -k * z], conditions, exact=wave)
    assert problem.blocks == ("Re z", "Im z")
    solution = ab.solve(problem, FEW)
    points = np.linspace(0, 1, 5)[:, None]
    np.testing.assert_allclose(solution(points), np.exp(4j * points[:, 0]), atol=1e-9)
    np.testing.assert_allclose(solution.apply(abs(z) ** 2, points), 1.0, atol=1e-9)
    np.testing.assert_allclose(solution.apply(d(x), points), 4j * solution(points), atol=1e-8)
    assert solution.error() <= 1e-9
    assert solution["z"](points).dtype == complex
    assert solution.output_names == ("Re z", "Im z")
    both = solution.outputs(points)
    np.testing.assert_allclose(both[:, 0] + 1j * both[:, 1], solution(points))
    solution.report(tmp_path / "wave.html")  # both parts are drawn, and the larger residual


def test_complex_numbers_need_complex_unknowns():
    phase = np.exp(2j * x)
    with pytest.raises(ValueError, match=r"Make them complex: pde\.unknowns\('u', dtype=complex\)"):
        pde.Problem(LINE, [d(x)(u) == 1j * u])
    with pytest.raises(ValueError, match="dtype=complex"):
        pde.LinearProblem(LINE, d(x), 0.0, [pde.Dirichlet(phase)])
    with pytest.raises(ValueError, match="dtype=complex"):
        pde.LinearProblem(LINE, d(x), lambda x: np.exp(2j * x))
    with pytest.raises(ValueError, match="dtype=complex"):
        pde.LinearProblem(LINE, d(x), 0.0, [], [pde.Observe([[0.5]], np.array([1j]))])
    z = pde.unknowns("z", dtype=complex)
    with pytest.raises(ValueError, match=r"u\.real and u\.imag"):
        pde.Problem(LINE, [d(x)(z) == np.tanh(z)])


def test_products_of_complex_expressions_are_those_of_numbers():
    from adabasis.operators.complex_parts import parts_of

    z = pde.unknowns("z", dtype=complex)
    formula = lambda a: (2 - 1j) * a**3 / (1 + a) + np.conjugate(a) * np.exp(1j * a)  # noqa: E731
    real, imaginary = parts_of(formula(z))
    at = {"Re z": 0.3, "Im z": -0.7}

    def value(e):
        if e.kind == "unknown":
            return at[e.name]
        if e.kind == "given":
            return e.arguments[0].evaluate({}, np)
        return getattr(np, e.kind)(*map(value, e.arguments))

    want = formula(0.3 - 0.7j)
    assert value(real) == pytest.approx(want.real, rel=1e-12)
    assert value(imaginary) == pytest.approx(want.imag, rel=1e-12)


def test_claimed_solutions_of_systems_are_checked(circle):
    made = oscillator()
    assert made.check((np.cos(t), np.sin(t))).verdict.startswith("Solved")
    assert made.check(circle).verdict.startswith("Solved")
    assert made.check((np.cos(t), np.cos(t))).verdict.startswith("Not solved")
    with pytest.raises(ValueError, match="each of u, v"):
        made.check(np.cos(t))


@pytest.mark.parametrize("linear", [True, False])
def test_an_operator_with_several_values_is_refused_in_words(linear):
    gradient = op.UserOperator(lambda f, q: jnp.stack([d(0)(f)(q)] * 2), 1, linear=linear)
    with pytest.raises(ValueError, match=r"returned shape \(2,\) at a point: expected one number"):
        pde.Problem(LINE, [gradient(u) == 0.0])


@pytest.mark.parametrize(
    ("rate", "exact", "basis"),
    [
        (lambda u: -np.sqrt(u), (1 - t / 2) ** 2, None),
        (lambda u: 1 / u, np.sqrt(1 + 2 * t), FrozenFeatures(32, scale=1.0)),
    ],
)
def test_what_has_no_slope_at_zero_starts_from_the_conditions(rate, exact, basis):
    """√u has no slope at u = 0, from which Newton steps start else, and none below."""
    problem = pde.Problem(SPAN, [d(t)(u) == rate(u)], [pde.Initial(1.0, at=(t, 0.0))], exact=exact)
    solution = ab.solve(problem, basis)
    assert solution.error() <= 1e-8
    assert solution.certificate.solved


def test_what_has_no_value_anywhere_is_said():
    problem = pde.Problem(SPAN, [d(t)(u) == np.sqrt(-u)], [pde.Initial(1.0, at=(t, 0.0))])
    with pytest.raises(ValueError, match="no function was found at which the equations have"):
        ab.solve(problem, FrozenFeatures(8, scale=1.0))

"""Expressions in unknowns: what they say, how they print, what is read off them."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import adabasis as ab
from adabasis import operators as op
from adabasis import pde
from adabasis.operators.expressions import affine, operator_of, separated

x, y = pde.coordinates("x", "y")
u, v, p = pde.unknowns("u", "v", "p")
d, L = op.Partial, op.Laplacian()


@pytest.mark.parametrize(
    ("equation", "text"),
    [
        (-L(u) + d(x)(p) == 0.0, "-Δ u + p_x = 0"),
        (d(x)(u) - 0.1 * d(x, 2)(u) == 1.0, "u_x - 0.1 u_xx = 1"),
        (d(x)(u) + -0.1 * d(x, 2)(u) == 1.0, "u_x - 0.1 u_xx = 1"),
        (u * d(x)(u) + v**2 - 1 == x, "u u_x + v^2 - 1 = x"),
        (d(x)((1 + x) * d(x)(u)) == 0.0, "((1 + x) u_x)_x = 0"),
        (u - (v - p) == 0.0, "u - (v - p) = 0"),
        (np.sin(u) / v == 0.0, "sin(u) / v = 0"),
        (op.NormalDerivative()(u) == 0.0, "∂u/∂n = 0"),
    ],
)
def test_equations_print_as_people_write_them(equation, text):
    assert repr(equation) == text


def test_operators_print_differences():
    assert repr(d("t") - 0.1 * d("x", 2)) == "u_t - 0.1 u_xx"
    assert repr(2.0 * (d("t") + op.Identity())) == "2 (u_t + u)"


def test_equality_states_equations_and_asks_for_structure():
    assert isinstance(u == 0.0, pde.Equation)
    assert isinstance(u == 0.0, pde.Equation)
    assert isinstance(x == u, pde.Equation)
    assert isinstance(np.equal(u, v), pde.Equation)
    assert u in [v, u]
    assert u not in [v, p]
    assert d(x)(u) + v == d(x)(u) + v
    assert d(x)(u) != d(y)(u)
    assert hash(u) == hash(pde.unknowns("u"))
    assert (u == v) == (u == v)
    assert (u == v) != (v == u)


def test_what_is_no_expression_is_refused_in_words():
    with pytest.raises(TypeError, match="neither true nor false"):
        bool(u + v)
    with pytest.raises(TypeError, match="jumps"):
        np.greater(u, 0)
    with pytest.raises(TypeError, match="Observe"):
        np.equal(u, np.ones(3))
    with pytest.raises(TypeError):
        u + "a"
    with pytest.raises(ValueError, match="different names"):
        pde.unknowns("u", "u")
    with pytest.raises(ValueError, match="float or complex"):
        pde.unknowns("u", dtype=int)


def test_unknowns_come_in_the_order_in_which_they_were_made():
    problem = pde.Problem(
        ab.Box(x=(0, 1), y=(0, 1)),
        [-L(u) + d(x)(p) == 0.0, -L(v) + d(y)(p) == 0.0, d(x)(u) + d(y)(v) == 0.0],
    )
    assert problem.blocks == ("u", "v", "p")
    assert problem.linear


@pytest.mark.parametrize(
    ("expression", "linear"),
    [
        (x * d(x)(u) + np.pi**2 * u - 3.0, True),
        ((u + 1.0) * (2.0 + x) / 3.0, True),
        (d(x)(x * (u - v) + x**2), True),
        (u**1, True),
        (u * v, False),
        (1.0 / u, False),
        (d(x)(u**2), False),
        (op.UserOperator(lambda w, q: w(q) ** 2, 0, linear=False)(u), False),
    ],
)
def test_linearity_is_read_off_the_structure(expression, linear):
    assert (affine(expression) is not None) == linear


def test_the_affine_form_is_the_expression():
    """Of all unknowns together, at a point, against autodiff of the formula."""
    expression = d(x)(x * (u - 2.0 * v) + x**2 * np.sin(y)) - (u + 3.0) * y
    operators, known = affine(expression)
    at = jnp.array([0.3, 0.7])
    with jax.enable_x64(True):
        at = jnp.asarray(np.array([0.3, 0.7]))
        made = op.Coupled([operators["u"], operators["v"]]).bind(("x", "y"))
        functions = lambda q: jnp.stack([jnp.sin(q[0] * q[1]), q[0] ** 3])  # noqa: E731

        def formula(q):
            a, b = functions(q)
            return q[0] * (a - 2 * b) + q[0] ** 2 * jnp.sin(q[1])

        want = jax.grad(formula)(at)[0] - (functions(at)[0] + 3.0) * at[1]
        rest = known.evaluate({"x": np.array([0.3]), "y": np.array([0.7])}, np)[0]
        assert float(made(functions)(at)) + rest == pytest.approx(float(want), rel=1e-12)


def test_an_expression_that_is_not_linear_is_an_operator_of_all_unknowns():
    rest, known = separated(u * d(x)(v) + d(x)(u * u) - x**2)
    assert repr(known) == "-x^2"
    made = op.Joint(operator_of(rest, ("u", "v")), 2).bind(("x",))
    with jax.enable_x64(True):
        functions = lambda q: jnp.stack([q[0] ** 2, jnp.exp(q[0])])  # noqa: E731
        value = made(functions)(jnp.asarray(np.array([0.5])))
    assert float(value) == pytest.approx(0.25 * np.exp(0.5) + 4 * 0.5**3, rel=1e-12)

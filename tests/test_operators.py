"""The algebra of operators: each against formulas or differences of a function it did not make."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from adabasis import operators as op
from adabasis.geometry.fields import as_field, at_point, coordinates, evaluate, symbolic

NAMES = ("x", "t")
x, t = coordinates(*NAMES)
POINTS = np.random.default_rng(0).uniform(0.2, 1.0, (6, 2))


def u(p):
    """sin 2x · e^t and x⁴t², as one vector-valued function."""
    return jnp.stack([jnp.sin(2 * p[0]) * jnp.exp(p[1]), p[0] ** 4 * p[1] ** 2])


def table(*columns):
    return np.stack(np.broadcast_arrays(*columns), axis=1)


X, T = POINTS.T
S, C, E = np.sin(2 * X), np.cos(2 * X), np.exp(T)
IMAGES = {
    "identity": (op.Identity(), 0, table(S * E, X**4 * T**2)),
    "partial by name": (op.Partial("x"), 1, table(2 * C * E, 4 * X**3 * T**2)),
    "partial by coordinate": (op.Partial(t, 2), 2, table(S * E, 2 * X**4)),
    "third order": (op.Partial(0, 3), 3, table(-8 * C * E, 24 * X * T**2)),
    "directional": (
        op.Directional((3.0, -1.0)),
        1,
        table((6 * C - S) * E, 12 * X**3 * T**2 - 2 * X**4 * T),
    ),
    "laplacian": (op.Laplacian(), 2, table(-3 * S * E, 12 * X**2 * T**2 + 2 * X**4)),
    "laplacian of some": (op.Laplacian(x), 2, table(-4 * S * E, 12 * X**2 * T**2)),
    "biharmonic": (op.Biharmonic(), 4, table((16 - 8 + 1) * S * E, 24 * T**2 + 48 * X**2)),
    "composition": (op.Partial(x) @ op.Partial(t), 2, table(2 * C * E, 8 * X**3 * T)),
    "sum with coefficients": (
        op.Partial(t) + x * np.sin(t) * op.Partial(x) - 0.5 * op.Identity(),
        1,
        table(
            S * E + X * np.sin(T) * 2 * C * E - 0.5 * S * E,
            2 * X**4 * T + X * np.sin(T) * 4 * X**3 * T**2 - 0.5 * X**4 * T**2,
        ),
    ),
    "function with named coordinates": (
        (lambda t: t**2) * op.Partial(x),
        1,
        table(T**2 * 2 * C * E, T**2 * 4 * X**3 * T**2),
    ),
    "function of the point": (
        (lambda p: p[..., 0] * p[..., 1]) * op.Identity(),
        0,
        table(X * T * S * E, X**5 * T**3),
    ),
    "negated": (-op.Partial(x), 1, table(-2 * C * E, -4 * X**3 * T**2)),
    "shifted": (
        op.Shifted((0.5, 0.0), op.Identity()),
        0,
        table(np.sin(2 * X + 1) * E, (X + 0.5) ** 4 * T**2),
    ),
    "of a user": (
        op.UserOperator(lambda u, p: p[0] * op.Partial(1)(u)(p), order=1),
        1,
        table(X * S * E, X * 2 * X**4 * T),
    ),
}


@pytest.mark.parametrize("name", IMAGES)
def test_images_are_those_of_the_formula(name):
    operator, order, expected = IMAGES[name]
    bound = operator.bind(NAMES)
    assert operator.order == bound.order == order
    got = jax.vmap(bound(u))(jnp.asarray(POINTS))
    np.testing.assert_allclose(got, expected, rtol=1e-12, atol=1e-12)


def test_multiples_of_multiples_are_one_multiple():
    once = (-(2.0 * op.Partial(x))).bind(NAMES)
    assert repr(once) == "-2 u_0"
    assert repr(op.Partial(t) + x * op.Partial(x)) == "u_t + x u_x"


def test_a_normal_derivative_needs_a_face():
    faced = (2.0 * op.NormalDerivative()).facing((-1.0, 0.0))
    got = jax.vmap(faced(u))(jnp.asarray(POINTS))
    np.testing.assert_allclose(got, -2 * IMAGES["partial by name"][2], rtol=1e-12)
    with pytest.raises(ValueError, match="there is no normal here"):
        op.NormalDerivative()(u)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: op.Partial("z").bind(NAMES), "no such coordinate; the domain has x, t"),
        (lambda: op.Partial(2).bind(NAMES), "has 2 coordinates"),
        (lambda: op.Partial("x")(u)(jnp.zeros(2)), "Bind the operator first"),
        (lambda: op.Partial(x, 0), "at least 1"),
        (lambda: op.Partial(1.5), "expected a coordinate"),
        (lambda: op.Directional((1.0,)).bind(NAMES), "expected 2 components"),
        (lambda: (coordinates("z")[0] * op.Identity()).bind(NAMES), "no coordinate 'z'"),
    ],
)
def test_bad_operators_are_named(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_an_operator_adds_only_to_operators():
    with pytest.raises(TypeError):
        op.Partial(x) + 1.0
    with pytest.raises(TypeError):
        "x" * op.Partial(x)


def test_equal_expressions_are_one_value():
    first, second = (np.exp(-((x - t) ** 2)) / 2 for _ in range(2))
    assert first == second
    assert hash(first) == hash(second)
    assert first != np.exp(-((x - t) ** 2))
    value = evaluate(first, NAMES, POINTS)
    np.testing.assert_allclose(value, np.exp(-((X - T) ** 2)) / 2, rtol=1e-14)
    traced = jax.vmap(lambda p: at_point(first, NAMES, p))(jnp.asarray(POINTS))
    np.testing.assert_allclose(traced, value, rtol=1e-14)


def test_a_users_function_becomes_an_expression_where_it_can():
    field = symbolic(as_field(lambda x, t: 1 + x * np.sin(t)), NAMES)
    assert repr(field) == "1 + x sin(t)"
    kept = symbolic(as_field(lambda x: jnp.sin(x)), NAMES)
    assert kept.kind == "function"


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (lambda x: x[:2], "shape"),
        (lambda x: 1 / (x - X[3]), "at x = .*finite on the whole domain"),
    ],
)
def test_bad_functions_are_named(function, message):
    with pytest.raises(ValueError, match=message):
        evaluate(as_field(function), NAMES, POINTS)


def test_parameters_must_name_coordinates():
    with pytest.raises(TypeError, match="name the coordinates it takes; here they are x, t"):
        evaluate(as_field(lambda a, b: a), NAMES, POINTS)


def test_a_linearised_operator_is_the_slope_of_the_operator():
    burgers = op.UserOperator(lambda v, p: v(p) * op.Partial(0)(v)(p) - op.Partial(0, 2)(v)(p), 2,
                              linear=False)  # fmt: skip

    def at(p):
        return jnp.cos(3 * p[0]) + p[1]

    found = jax.vmap(op.Linearised(burgers, jax.tree_util.Partial(at))(u))(jnp.asarray(POINTS))
    for k in range(2):

        def image(step, k=k):
            moved = burgers(lambda p: at(p) + step * u(p)[k])
            return np.asarray(jax.vmap(moved)(jnp.asarray(POINTS)))

        slope = (image(1e-4) - image(-1e-4)) / 2e-4  # exact: the operator is quadratic
        np.testing.assert_allclose(found[:, k], slope, rtol=1e-9, atol=1e-9)

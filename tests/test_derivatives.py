"""Derivatives of orders 0 to 4 of every activation, registered or a user's, at fifty digits."""

import jax
import jax.numpy as jnp
import mpmath as mp
import numpy as np
import pytest

import adabasis as ab
from adabasis.basis import ACTIVATIONS, Ensemble, ProjectedFeatures
from adabasis.geometry.points import AffineMap
from adabasis.operators import Biharmonic, Directional, Partial
from adabasis.pde import Dirichlet, LinearProblem, Neumann

from .registry import fitted, points


@jax.custom_jvp
def ripple(z):
    return z * jnp.sin(z)


@ripple.defjvp
def _(primals, tangents):
    (z,), (dz,) = primals, tangents
    return ripple(z), (jnp.sin(z) + z * jnp.cos(z)) * dz


def logistic(z):
    return 1 / (1 + mp.exp(-z))


def gelu(z):
    return z * (1 + mp.erf(z / mp.sqrt(2))) / 2


def gelu_by_tanh(z):
    return z * (1 + mp.tanh(mp.sqrt(2 / mp.pi) * (z + mp.mpf(0.044715) * z**3))) / 2


EXACT = {
    "relu": lambda z: max(z, 0),
    "tanh": mp.tanh,
    "sine": mp.sin,
    "gelu": gelu,
    "silu": lambda z: z * logistic(z),
    "softplus": lambda z: mp.log(1 + mp.exp(z)),
    "sigmoid": logistic,
    "elu": lambda z: z if z > 0 else mp.expm1(z),
    "gaussian": lambda z: mp.exp(-(z**2)),
}
#: Functions of a user's: how JAX knows them, and what they are.
USERS = {
    "cbrt": (jnp.cbrt, lambda z: mp.sign(z) * mp.cbrt(abs(z))),
    "tan": (jnp.tan, mp.tan),
    "arctan": (jnp.arctan, mp.atan),
    "exp2": (jnp.exp2, lambda z: mp.power(2, z)),
    "float power": (lambda z: z**3.0, lambda z: z**3),
    "arcsinh": (jnp.arcsinh, mp.asinh),
    "sinc": (jnp.sinc, mp.sincpi),
    "gelu by tanh": (jax.nn.gelu, gelu_by_tanh),
    "mish": (jax.nn.mish, lambda z: z * mp.tanh(mp.log(1 + mp.exp(z)))),
    "where": (lambda z: jnp.where(z > 0, z**2, jnp.sin(z)), lambda z: z**2 if z > 0 else mp.sin(z)),
    "a derivative of its own": (ripple, lambda z: z * mp.sin(z)),
    "a loop": (
        lambda z: jax.lax.fori_loop(0, 2, lambda _, s: jnp.sin(s), z),
        lambda z: mp.sin(mp.sin(z)),
    ),
    "compiled": (jax.jit(jnp.cosh), mp.cosh),
}
AT = [-1.3, -0.7, -0.2, 0.4, 1.1]


@pytest.mark.parametrize("order", range(5))
def test_derivatives_are_exact(order):
    """All functions are components of one: one program for each order."""
    assert set(EXACT) == set(ACTIVATIONS)
    functions = {name: (ACTIVATIONS[name].function, EXACT[name]) for name in EXACT} | USERS

    def u(x):
        return jnp.stack([function(x[1]) for function, _ in functions.values()])

    image = Partial(1, order)(u) if order else u
    got = jax.jit(jax.vmap(image))(jnp.array([[7.0, z] for z in AT]))
    with mp.workdps(50):
        for k, (name, (_, exact)) in enumerate(functions.items()):
            expected = [float(mp.diff(exact, mp.mpf(z), order)) for z in AT]
            np.testing.assert_allclose(got[:, k], expected, 1e-11, 1e-13, err_msg=name)


def assert_derivatives_are_those_of_the_values(basis, tolerance):
    """The values along a line are those of a polynomial, which is differentiated."""
    units = AffineMap(np.zeros(1), np.ones(1))
    model = fitted(basis, None, output_map=units)
    x, steps = points(model.box)[2:5], np.array([20.0, -40.0])
    for order in (3, 4):
        got = model.apply(Directional(steps, order), x)
        lines = [
            np.polynomial.Chebyshev.interpolate(
                lambda t, point=point: model(point + t[:, None] * steps), 12, [-1, 1]
            )
            for point in x
        ]
        expected = [line.deriv(order)(0.0) for line in lines]
        np.testing.assert_allclose(got, expected, rtol=0, atol=tolerance * np.abs(expected).max())


@pytest.mark.parametrize("activation", ["softplus", jnp.arctan, lambda z: z**3.0, ripple])
def test_a_models_high_derivatives_are_those_of_its_values(activation):
    basis = ab.NeuralBasis(8, 2, activation=activation, residual=True)
    assert_derivatives_are_those_of_the_values(basis, 1e-5)


@pytest.mark.parametrize(
    "basis",
    [
        ab.PartitionBasis(2, 2),
        ProjectedFeatures(8, 1, scale=8.0),
        Ensemble(ab.NeuralBasis(8, 2), 2),
    ],
    ids=lambda basis: type(basis).__name__,
)
def test_so_are_those_of_other_kinds(basis):
    assert_derivatives_are_those_of_the_values(basis, 1e-5)


@pytest.mark.parametrize("activation", ["softplus", jnp.arctan])
def test_equations_of_fourth_order_are_solved_with_any_activation(activation):
    beam = LinearProblem(ab.Box(x=(0, 1)), Biharmonic(), 24.0, [Dirichlet(0.0), Neumann(0.0)])
    u = ab.solve(beam, ab.FrozenFeatures(60, activation=activation, scale=1.0))
    x = np.linspace(0, 1, 9)[:, None]
    np.testing.assert_allclose(u(x), (x[:, 0] * (1 - x[:, 0])) ** 2, atol=1e-8)
    np.testing.assert_allclose(u.apply(Partial("x", 4), x), 24.0, rtol=1e-5)

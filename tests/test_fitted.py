"""A fitted function: values and derivatives in the user's units, shapes, where it extrapolates."""

import jax
import numpy as np
import pytest

from adabasis import rows
from adabasis.basis import FrozenFeatures, base
from adabasis.geometry.points import AffineMap, bounding_box
from adabasis.models import evaluation
from adabasis.operators import Identity, Partial

from .laws import assert_close, assert_derivative, assert_same_bits
from .registry import FUNCTIONS, evaluate, fitted, points

pytestmark = pytest.mark.strict_promotion

NAME = "frozen tanh"
BASIS = FUNCTIONS[NAME]


@pytest.fixture
def model():
    return fitted(BASIS)


def inside(model, n=64):
    return points(model.box, n)


def test_values_are_the_maps_around_the_basis(model):
    x = inside(model)
    z = (x - model.input_map.shift) / model.input_map.scale
    phi = np.asarray(evaluate(Identity(), BASIS, model.parameters, z))
    expected = 7.0 + np.array([1e-3, 2e-3]) * (phi @ model.coefficients)
    assert_close(model(x), expected, 1e-14)
    assert_same_bits(model.apply(Identity(), x), model(x))
    assert_close(model.functions(x), phi, 1e-14)
    initial = evaluate(Identity(), BASIS, model.initial_parameters, z)
    assert_close(model.functions(x, initial=True), initial, 1e-14)


@pytest.mark.parametrize("name", ["frozen tanh", "plain tanh"])
def test_derivatives_are_finite_differences_in_the_users_units(name):
    model = fitted(FUNCTIONS[name])
    x = inside(model)[2:]
    gradient = model.gradient(x)
    assert gradient.shape == (len(x), 2, 2)
    for i, direction in enumerate(np.eye(2)):
        # u holds a constant 7 and moves by some 1e-3: 1e-15·7/(1e-3·step) of round-off
        assert_derivative(lambda x: model(x) - 7.0, gradient[:, :, i], x, direction, 1e-2, 1e-5)
        assert_same_bits(model.apply(Partial(i), x), gradient[:, :, i])


def test_a_flat_model_answers_without_the_output_axis():
    flat, column = fitted(BASIS, None), fitted(BASIS, 1)
    x = inside(flat)
    assert_same_bits(flat(x), column(x)[:, 0])
    assert_same_bits(flat.gradient(x), column.gradient(x)[:, 0])
    assert flat.gradient(x).shape == (64, 2)
    assert (flat.n_inputs, flat.n_outputs) == (2, 1)


@pytest.mark.parametrize("n", [0, 1, 64, 65, 200])
def test_any_number_of_points_is_evaluated_alike(model, n, monkeypatch):
    x = inside(model, 200)
    expected = model(x)[:n]
    assert model(x[:n]).shape == (n, 2)
    np.testing.assert_allclose(model(x[:n]), expected, rtol=1e-14)
    slopes = model.gradient(x)[:n]
    assert_same_bits(model.gradient(x[:n]), slopes)
    monkeypatch.setattr(base, "CACHED_NUMBERS", 0)  # chunks of 64 points
    monkeypatch.setattr(evaluation, "CHUNK_NUMBERS", 0)
    np.testing.assert_allclose(model(x[:n]), expected, rtol=1e-14)
    assert_same_bits(model.gradient(x[:n]), slopes)


def test_answers_are_numpy_float64(model):
    x = inside(model)
    for out in (model(x), model.gradient(x), model.functions(x), model(x.tolist())):
        assert type(out) is np.ndarray
        assert out.dtype == np.float64
    assert_close(model(x.astype(np.float32)), model(x.astype(np.float32).astype(float)), 1e-15)


@pytest.mark.plain_scope
def test_answers_do_not_depend_on_the_users_precision():
    with jax.enable_x64(True):
        model = fitted(BASIS)
        expected = model(inside(model))
    assert not jax.config.jax_enable_x64
    assert_same_bits(model(inside(model)), expected)
    assert not jax.config.jax_enable_x64


def test_outside_is_outside_the_training_box(model):
    x = inside(model)
    assert not model.outside(x).any()
    moved = x[:5].copy()
    moved[0, 0], moved[1, 1], moved[2, 0] = 500.001, 99.999, -1e9
    moved[3], moved[4] = [-500.0, 2100.0], [500.0, 100.0]  # corners belong to the box
    assert model.outside(moved).tolist() == [True, True, True, False, False]


@pytest.mark.parametrize("shape", [(3,), (3, 1), (3, 3), (3, 2, 1), ()])
@pytest.mark.parametrize("call", ["__call__", "gradient", "outside", "apply", "functions"])
def test_other_shapes_are_refused(model, call, shape):
    arguments = (Partial(0), np.zeros(shape)) if call == "apply" else (np.zeros(shape),)
    with pytest.raises(ValueError, match=r"expected an \(N, 2\) array, got shape"):
        getattr(model, call)(*arguments)


def test_points_that_are_not_numbers_do_not_spread(model):
    x = inside(model)
    expected = model(x)
    x[3, 0] = np.nan
    got = model(x)
    assert np.all(np.isnan(got[3]))
    assert_same_bits(np.delete(got, 3, axis=0), np.delete(expected, 3, axis=0))


def test_affine_maps_are_inverted_by_their_inverse():
    x = points(np.array([[-1e9, 1e9], [3.0, 3.0 + 1e-9]]))
    box = bounding_box(x)
    to_unit = AffineMap.onto_unit_box(box)
    z = to_unit(x)
    assert np.array_equal(bounding_box(z), [[0, 1], [0, 1]])
    assert_close(to_unit.inverse(z), x, 1e-15)
    assert np.array_equal(AffineMap.identity(2)(x), x)


def test_a_side_without_length_is_mapped_to_zero():
    x = np.array([[5.0, 1.0], [5.0, 2.0]])
    z = AffineMap.onto_unit_box(bounding_box(x))(x)
    assert np.array_equal(z, [[0.0, 0.0], [0.0, 1.0]])


def standardized(y, weight):
    seen = rows.ArraySource(np.zeros_like(y), y, weight).statistics()
    return AffineMap.standardize(seen.mean, seen.spread)


@pytest.mark.parametrize("unit", [1e-300, 1e-9, 1.0, 1e9, 1e300])
@pytest.mark.parametrize("level", [0.0, 1.0, 1e3])
def test_standardised_outputs_have_mean_zero_and_variance_one(unit, level):
    rng = np.random.default_rng(0)
    y, w = unit * (level + rng.normal(size=(50, 2))), rng.integers(0, 4, 50).astype(float)
    z = standardized(y, w)(y)
    mean = np.average(z, axis=0, weights=w)
    variance = np.average((z - mean) ** 2, axis=0, weights=w)
    assert np.abs(mean).max() <= 1e-12 * max(1.0, level)
    np.testing.assert_allclose(variance, 1.0, rtol=1e-12 * max(1.0, level))


def test_a_constant_output_is_only_shifted():
    y = np.full((5, 1), 0.1)
    output_map = standardized(y, np.ones(5))
    assert output_map.scale == [1.0]
    assert np.abs(output_map(y)).max() <= 1e-16


def test_the_frozen_default_is_the_affine_function_beyond_the_data():
    """tanh saturates: far away only 1 and x are left."""
    model = fitted(FrozenFeatures(8, scale=2.0))
    far = np.array([[1e7, 3e7], [2e7, 6e7]])
    slope = model.output_map.scale * model.coefficients[-2:] / model.input_map.scale[:, None]
    assert_close(np.diff(model(far), axis=0), np.diff(far, axis=0) @ slope, 1e-6)

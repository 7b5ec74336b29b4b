"""Box initialisation: cut planes pass through their points, layers reach their stated maximum."""

import dataclasses
import functools
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from adabasis.basis import ACTIVATIONS, BoxInit, NeuralBasis
from adabasis.basis import layers as initialize_module
from adabasis.basis.layers import Architecture, cut_planes, initializer_named, layer_image
from adabasis.operators import Identity

from ..laws import EPS, assert_same_bits
from ..registry import BOXES, WIDTH, draw, evaluate, key, points

pytestmark = pytest.mark.strict_promotion

DEPTH = 3  # the first at which the bounds of residual layers differ from each other
VARIANTS = {
    "default": BoxInit(),
    "independent": BoxInit(stratified=False),
    "eq16": BoxInit(variant="eq16"),
    "alg3": BoxInit(variant="alg3"),
}
NETS = {
    "plain relu": Architecture(WIDTH, DEPTH, ACTIVATIONS["relu"], residual=False),
    "plain tanh": Architecture(WIDTH, DEPTH, ACTIVATIONS["tanh"], residual=False),
    "residual relu": Architecture(WIDTH, DEPTH, ACTIVATIONS["relu"], residual=True),
    "residual tanh": Architecture(WIDTH, DEPTH, ACTIVATIONS["tanh"], residual=True),
}
ONE_VALUED = {"relu": lambda z: np.maximum(z, 0.0), "tanh": np.tanh}

each_box = pytest.mark.parametrize("box", BOXES.values(), ids=BOXES)
each_variant = pytest.mark.parametrize("variant", VARIANTS.values(), ids=VARIANTS)
each_net = pytest.mark.parametrize("net", NETS.values(), ids=NETS)


def as_numpy(layer):
    return np.asarray(layer.weight), np.asarray(layer.bias)


def reach(layer, box):
    """Return the least and the greatest pre-activation over the box, and their round-off."""
    weight, bias = as_numpy(layer)
    ends = weight[:, :, None] * box
    size = np.abs(ends).max(axis=2).sum(axis=1) + np.abs(bias)
    lowest, highest = ends.min(axis=2).sum(axis=1) + bias, ends.max(axis=2).sum(axis=1) + bias
    return lowest, highest, 16 * EPS * size


def received(variant, net, box, layers):
    """Yield (layer, the box its points are drawn in, its stated maximum): FACTS §1.3."""
    depth = net.depth
    sigma = ONE_VALUED["relu" if net.activation is ACTIVATIONS["relu"] else "tanh"]
    for level, layer in enumerate(layers, start=1):
        inside, bound = box, 1.0
        if net.residual and level > 1:
            if variant.variant == "eq16":
                side = (1 + 1 / depth) ** (level - 1)
                inside, bound = np.tile([0.0, side], (WIDTH, 1)), side / depth
            elif variant.variant == "alg3":
                side = (1 + 1 / (depth - 1)) ** level
                inside, bound = np.tile([0.0, side], (WIDTH, 1)), 1 / (depth - 1)
            else:
                bound = (1 + 1 / (depth - 1)) ** (level - 2) / (depth - 1)
        yield layer, inside, bound
        lowest, highest, _ = reach(layer, box)
        image = np.stack([sigma(lowest), sigma(highest)], axis=1)
        box = box + image if net.residual and level > 1 else image


@each_net
@each_variant
@each_box
def test_the_maximum_over_the_box_is_the_stated_bound(box, variant, net):
    uncapped = dataclasses.replace(variant, max_slope=math.inf)
    layers = uncapped(key(), jnp.asarray(box), net)
    assert len(layers) == DEPTH
    for layer, inside, bound in received(uncapped, net, box, layers):
        lowest, highest, round_off = reach(layer, inside)
        assert np.all(np.abs(highest - bound) <= round_off + 1e-14 * bound)
        assert np.all(lowest <= round_off), "a cut plane misses its box"


@each_variant
@each_box
def test_the_slope_cap_acts_in_one_dimension_only_and_only_downwards(box, variant):
    net = NETS["plain relu"]
    capped = dataclasses.replace(variant, max_slope=2.0)(key(), jnp.asarray(box), net)
    free = dataclasses.replace(variant, max_slope=math.inf)(key(), jnp.asarray(box), net)
    if len(box) > 1:
        assert_same_bits(capped, free)
        return
    side = box[0, 1] - box[0, 0]
    slope, slope_free = (np.abs(layers[0].weight[:, 0]) * side for layers in (capped, free))
    np.testing.assert_allclose(slope, np.minimum(slope_free, 2.0), rtol=1e-14)
    assert (slope_free > 2.0).any(), "the draw must hold a slope to cap"
    lowest, highest, round_off = reach(capped[0], box)
    assert np.all(highest <= 1.0 + round_off)
    assert np.all((lowest <= round_off) & (highest >= -round_off))


@each_variant
@each_box
def test_every_cut_plane_passes_through_its_point_and_the_point_is_in_the_box(
    box, variant, monkeypatch
):
    seen = []

    def spy(p, n, inside, bound, max_slope):
        layer = cut_planes(p, n, inside, bound, max_slope)
        seen.append((p, n, inside, layer))
        return layer

    monkeypatch.setattr(initialize_module, "cut_planes", spy)
    variant(key(), jnp.asarray(box), NETS["residual relu"])
    assert len(seen) == DEPTH
    for p, n, inside, layer in seen:
        p, n, inside = map(np.asarray, (p, n, inside))
        assert np.all((p >= 0) & (p <= 1))
        np.testing.assert_allclose(np.linalg.norm(n, axis=1), 1.0, rtol=1e-14)
        point = inside[:, 0] + p * (inside[:, 1] - inside[:, 0])
        weight, bias = as_numpy(layer)
        value = np.sum(weight * point, axis=1) + bias
        assert np.all(np.abs(value) <= reach(layer, inside)[2])
        # the normal is the drawn one in the coordinates of the unit box
        scaled = weight * (inside[:, 1] - inside[:, 0])
        cosine = np.sum(scaled * n, axis=1) / np.linalg.norm(scaled, axis=1)
        np.testing.assert_allclose(cosine, 1.0, rtol=1e-14)


@each_box
def test_stratified_points_hit_each_slice_once(box, monkeypatch):
    seen = []

    def spy(p, *rest):
        seen.append(np.asarray(p))
        return cut_planes(p, *rest)

    monkeypatch.setattr(initialize_module, "cut_planes", spy)
    for variant in (BoxInit(), BoxInit(stratified=False)):
        variant(key(), jnp.asarray(box), NETS["plain relu"])
    slices = np.floor(seen[0] * WIDTH)
    assert np.array_equal(np.sort(slices, axis=0), np.tile(np.arange(WIDTH)[:, None], len(box)))
    if len(box) > 1:  # coordinates are shuffled independently of each other
        assert len({tuple(column) for column in slices.T}) > 1
    independent = np.floor(seen[DEPTH] * WIDTH)
    assert not np.array_equal(np.sort(independent, axis=0), np.sort(slices, axis=0))


@pytest.mark.parametrize("size", [1, 2, 8])
def test_with_the_slides_sign_of_the_bias_planes_miss_the_box(size):
    """b = +k p·n, as printed, is refuted: FACTS §1.1."""
    p = jax.random.uniform(key(1), (2000, size))
    n = jax.random.normal(key(2), (2000, size))
    n = n / jnp.linalg.norm(n, axis=1, keepdims=True)
    box = np.tile([0.0, 1.0], (size, 1))
    right = cut_planes(p, n, jnp.asarray(box), 1.0, math.inf)
    printed = right._replace(bias=-right.bias)

    def missed(layer):
        lowest, highest, round_off = reach(layer, box)
        return np.mean((lowest > round_off) | (highest < -round_off))

    assert missed(right) == 0.0
    assert missed(printed) == 1.0 if size == 1 else missed(printed) > 0.2
    assert reach(printed, box)[1].max() > 5.0


def test_a_box_without_extent_gives_finite_layers_below_the_bound():
    flat = np.array([[2.0, 2.0], [0.0, 1.0]])
    for variant in VARIANTS.values():
        layers = variant(key(), jnp.asarray(flat), NETS["plain relu"])
        lowest, highest, round_off = reach(layers[0], flat)
        assert np.all(np.isfinite(lowest))
        assert np.all(highest <= 1.0 + round_off)


@pytest.mark.parametrize("depth", [DEPTH, 20])
@pytest.mark.parametrize("residual", [False, True])
def test_relu_outputs_stay_in_their_interval(depth, residual):
    basis = NeuralBasis(WIDTH, depth, activation="relu", residual=residual, constant=False)
    box = BOXES["long 2-D"]
    top = np.e if residual else 1.0
    for seed in range(4):
        parameters = draw(basis, box, seed)
        phi = np.asarray(evaluate(Identity(), basis, parameters, points(box, seed=seed)))
        assert np.all(phi >= 0)
        assert np.all(phi <= top * (1 + 1e-12))
        assert phi.max() > 0.1


@each_variant
def test_a_residual_net_of_depth_one_is_plain(variant):
    x = points()
    plain, residual = (
        NeuralBasis(WIDTH, 1, activation="relu", residual=flag, init=variant)
        for flag in (False, True)
    )
    assert_same_bits(draw(plain), draw(residual))
    assert_same_bits(
        evaluate(Identity(), plain, draw(plain), x),
        evaluate(Identity(), residual, draw(residual), x),
    )


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_the_image_of_an_interval_is_exact(name):
    """Against dense samples: nothing sticks out, and both ends are attained."""
    activation = ACTIVATIONS[name]
    rng = np.random.default_rng(0)
    ends = np.sort(rng.normal(0, 1, (40, 2)) * rng.choice([0.1, 1.0, 4.0], (40, 1)), axis=1)
    lowest, highest = map(np.asarray, activation.image(jnp.asarray(ends[:, 0]), ends[:, 1]))
    z = ends[:, :1] + (ends[:, 1:] - ends[:, :1]) * np.linspace(0, 1, 4001)
    values = np.asarray(activation(jnp.asarray(z)))
    slack = 1e-15 + 0.5 * ((z[:, 1] - z[:, 0]) ** 2)  # of a curvature of at most 2, half a step off
    assert np.all(values.min(axis=1) >= lowest - 1e-15)
    assert np.all(values.max(axis=1) <= highest + 1e-15)
    assert np.all(values.min(axis=1) <= lowest + slack)
    assert np.all(values.max(axis=1) >= highest - slack)


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_a_layers_image_holds_every_value_and_is_attained(name):
    activation, box = ACTIVATIONS[name], BOXES["unit 2-D"]
    net = Architecture(WIDTH, 1, activation, residual=False)
    (layer,) = BoxInit()(key(), jnp.asarray(box), net)
    image = np.asarray(layer_image(layer, jnp.asarray(box), activation))
    side = np.linspace(0, 1, 65)
    grid = np.stack(np.meshgrid(side, side), axis=-1).reshape(-1, 2)
    weight, bias = as_numpy(layer)
    values = np.asarray(activation(jnp.asarray(grid @ weight.T + bias)))
    slack = 0.02 * (image[:, 1] - image[:, 0])
    for found, stated, sign in (
        (values.min(axis=0), image[:, 0], 1.0),
        (values.max(axis=0), image[:, 1], -1.0),
    ):
        inward = sign * (found - stated)
        assert np.all(inward >= -1e-14)
        assert np.all(inward <= slack)


def test_a_custom_activation_has_a_sampled_image():
    def cubic(z):
        return z**3

    basis = NeuralBasis(WIDTH, DEPTH, activation=cubic, constant=False)
    parameters = draw(basis)
    phi = np.asarray(evaluate(Identity(), basis, parameters, points()))
    assert np.all(np.abs(phi) <= 1.0)  # the last layer has maximum 1; its image ends at 1


@functools.cache
def fan_scaled_layers(name):
    net = Architecture(200, 2, ACTIVATIONS["relu"], residual=False)
    box = jnp.asarray(BOXES["unit 10-D"])
    return [as_numpy(layer) for layer in initializer_named(name)(key(), box, net)]


@pytest.mark.parametrize(
    ("name", "gain", "average", "normal", "uniform_bias"),
    [
        ("he", 2.0, False, False, False),
        ("he-uniform-bias", 2.0, False, False, True),
        ("glorot", 1.0, True, False, False),
        ("normal", 1.0, False, True, True),
        ("uniform", 1 / 3, False, False, True),
    ],
)
def test_fan_scaled_weights_have_the_stated_distribution(name, gain, average, normal, uniform_bias):
    inputs = 10
    for weight, bias in fan_scaled_layers(name):
        assert weight.shape == (200, inputs)
        variance = gain / ((inputs + 200) / 2 if average else inputs)
        kurtosis = 3.0 if normal else 1.8
        deviation = math.sqrt((kurtosis - 1) / weight.size)
        assert abs(np.mean(weight**2) / variance - 1) <= 5 * deviation
        assert abs(weight.mean()) <= 5 * math.sqrt(variance / weight.size)
        end = np.abs(weight).max() / math.sqrt(3 * variance)
        assert end > 1.1 if normal else 0.99 < end <= 1.0
        if uniform_bias:
            largest = np.abs(bias).max() * math.sqrt(inputs)
            assert 0.9 < largest <= 1.0
            assert bias.min() < 0 < bias.max()
        else:
            assert not bias.any()
        inputs = 200

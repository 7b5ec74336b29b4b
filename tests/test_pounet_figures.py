"""Figures of partition of unity networks: the error estimate holds, rates are those fitted."""

import dataclasses
import json

import numpy as np
import pytest

from adabasis.experiments import EXPERIMENTS, cross_sine, error_estimate

from .test_experiments import assert_written

CONFIG = error_estimate.Config((1, 3), (0, 1), 1, 3)


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    experiment = dataclasses.replace(EXPERIMENTS["error-estimate"], quick=CONFIG)
    return experiment.reproduce(tmp_path_factory.mktemp("figures"), full=False)


@pytest.fixture(scope="module")
def cells(written):
    return json.loads(written[0].read_text())["cells"]


def test_the_record_and_the_pictures_are_written(written):
    """As :mod:`tests.test_experiments` asks of the other figures."""
    assert_written(written, CONFIG)


def test_the_estimate_lies_above_the_measurement_everywhere(cells):
    assert {cell["kind"] for cell in cells} == set(error_estimate.KINDS)
    for cell in cells:
        assert 0 < cell["rms"] <= cell["estimate"], cell


def test_the_estimate_of_a_grid_is_that_of_its_widest_cell(cells):
    x = error_estimate.DATA[0][:, 0]
    for cell in (cell for cell in cells if cell["kind"] == "grid"):
        n, m = cell["partitions"], cell["degree"]
        widest = max(np.ptp(x[np.minimum(np.floor(x * n), n - 1) == k]) for k in range(n))
        assert cell["tau"] == 0.0
        expected = error_estimate.taylor_constant(m) * widest ** (m + 1)
        np.testing.assert_allclose(cell["estimate"], expected, rtol=1e-12)


def test_the_estimate_never_exceeds_that_of_one_partition(cells):
    """At τ = 0 every support is at most Ω."""
    for cell in cells:
        bound = error_estimate.taylor_constant(cell["degree"])
        assert cell["estimate"] <= bound * (1 + 1e-12)


def test_no_threshold_does_better_than_the_one_taken():
    """Two sharp sigmoids: the effective supports overlap in a strip that depends on τ."""
    x = np.linspace(0, 1, 201)
    right = 1 / (1 + np.exp(-60 * (x - 0.5)))
    phi = np.stack([1 - right, right], axis=1)
    found = error_estimate.estimate(phi, x, 1)
    for tau in np.geomspace(1e-14, 0.4, 25):
        widest = max(np.ptp(x[column > tau]) for column in phi.T)
        bound = error_estimate.taylor_constant(1) * (widest**2 + 2 * tau)
        assert found["estimate"] <= 1.02 * bound
    assert 0.3 < found["estimate"] / error_estimate.taylor_constant(1) < 0.6


def test_rates_of_known_errors_are_found():
    n = np.array([1, 2, 4, 8, 16])
    rate, misfit = cross_sine.exponential_rate(n, 10.0 ** -(0.7 * n + 0.1))
    assert (rate, misfit) == pytest.approx((0.7, 0.0), abs=1e-10)
    sides = np.array([3, 5, 9, 17])
    assert cross_sine.algebraic_rate(sides, 2.0 * sides**-3.0) == pytest.approx(3.0)


@pytest.mark.parametrize("depth", [1, 2])
def test_a_network_has_as_many_numbers_to_choose_as_it_is_given_or_just_fewer(depth):
    net = cross_sine.Net("tanh", depth, "LSGN")
    width = net.basis(72).width
    assert net.count(width) <= 72 < net.count(width + 1)


def test_data_and_unseen_points_lie_on_the_cross_and_differ():
    for x, y in (cross_sine.SEEN, cross_sine.UNSEEN):
        assert x.shape == (1002, 2)
        np.testing.assert_array_equal(np.min(np.abs(x), axis=1), 0)
        np.testing.assert_allclose(y[:, 0], np.sin(2 * np.pi * x).sum(axis=1), atol=1e-14)
    gaps = np.abs(cross_sine.SEEN[0][:501, :1] - cross_sine.UNSEEN[0][:501, 0])
    assert gaps.min() > 1e-7

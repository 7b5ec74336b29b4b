"""POUNets of few rows of one input: steps, tents, lines, replicates."""

import numpy as np
import pytest

import adabasis as ab


def noise(size, seed=0):
    return np.random.default_rng(seed).normal(size=size)


def tent(x):
    return 10 * np.minimum(x, 1 - x)


def rms(model, truth, at):
    return float(np.sqrt(np.mean((model(at[:, None]) - truth(at)) ** 2)))


def test_a_tent_at_eight_places_with_replicates():
    x = np.repeat(np.linspace(0, 1, 8), 6)
    model = ab.fit_pounet(x[:, None], tent(x) + 0.1 * noise(48))
    assert model.basis.n_partitions == 2
    assert rms(model, tent, x) < 0.1
    assert np.isfinite(model.validation_error)


def test_a_noisy_tent_of_48_rows():
    x = np.sort(np.random.default_rng(0).uniform(size=48))
    model = ab.fit_pounet(x[:, None], tent(x) + 0.2 * noise(48, 1))
    assert model.basis.n_partitions == 2
    assert rms(model, tent, np.linspace(0, 1, 200)) < 0.2


@pytest.mark.parametrize("deviation", [0.0, 0.05])
def test_four_steps_of_sixteen_rows(deviation):
    def steps(x):
        return np.floor(np.minimum(4 * x, 3))

    x = np.linspace(0, 1, 16)
    model = ab.fit_pounet(x[:, None], steps(x) + deviation * noise(16))
    assert model.basis.n_partitions == 4
    assert rms(model, steps, x) < 0.1


@pytest.mark.parametrize("n_places", [3, 5, 6])
def test_a_line_at_a_few_places(n_places):
    x = np.repeat(np.linspace(0, 1, n_places), 3)
    model = ab.fit_pounet(x[:, None], 3 * x - 1)
    assert rms(model, lambda x: 3 * x - 1, np.linspace(0, 1, 11)) < 1e-10


def test_noise_of_twenty_rows_has_one_piece():
    x = np.sort(np.random.default_rng(2).uniform(size=20))
    model = ab.fit_pounet(x[:, None], noise(20, 3))
    assert model.basis.n_partitions == 1

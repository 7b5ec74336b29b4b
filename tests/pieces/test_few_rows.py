"""POUNets of few rows of one input: steps, tents, lines, replicates."""

import numpy as np
import pytest

import adabasis as ab
from adabasis.pou.candidates import replicated
from adabasis.pou.segmentation import LocalFits
from adabasis.pou.starts import SegmentationOptions


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


STEPS = np.array([0.0, 3, 1, 4, 2, 6])


@pytest.mark.parametrize(("places", "replicates", "pieces"), [(4, 4, 2), (3, 5, 3), (5, 3, 5)])
def test_steps_at_few_places_with_replicates(places, replicates, pieces):
    """Replicates tell the noise, and so that no line fits; four means lie on two lines."""
    at = np.arange(places) / places
    x, y = np.repeat(at, replicates), np.repeat(STEPS[:places], replicates)
    model = ab.fit_pounet(x[:, None], y + 0.1 * noise(len(x)))
    assert model.basis.n_partitions == pieces
    assert np.sqrt(np.mean((model(at[:, None]) - STEPS[:places]) ** 2)) < 0.1
    assert 0.08 < model.validation_error * y.std() < 0.2
    line = ab.fit_pounet(x[:, None], 3 * x + 0.1 * noise(len(x)))
    assert (line.basis.n_partitions, line.basis.degree) == (1, 1)


@pytest.mark.parametrize(("n_rows", "known"), [(8, True), (7, False)])
def test_two_rows_for_each_place_tell_the_noise(n_rows, known):
    x = np.linspace(0, 1, 4)[:, None]
    fits = LocalFits(x, x, np.ones(4), 0, scatter=np.ones((4, 1)))
    assert replicated(fits, SegmentationOptions(n_rows=n_rows)) is known
    assert not replicated(fits, SegmentationOptions(n_rows=n_rows, noise="parts"))


def test_a_tied_fit_errs_no_less_than_it_leaves():
    """Steps that are tied to each other are one constant."""
    x = np.repeat(np.linspace(0, 1, 3), 5)
    y = np.repeat(STEPS[:3], 5) + 0.1 * noise(15)
    model = ab.fit_pounet(x[:, None], y, n_partitions=3, degree=0)
    assert np.std(y - model(x[:, None])) < 1.5 * model.validation_error * np.std(y) < 0.3

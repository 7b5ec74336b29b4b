"""How the variance of noise is told, and what decides whether it changes."""

import numpy as np
import pytest

from adabasis.evidence import noise


def drawn(seed, slope=0.0, n=150, wild=0):
    rng = np.random.default_rng(seed)
    z = rng.uniform(size=(n, 1))
    errors = rng.normal(size=n) * np.exp(slope * z[:, 0])
    edge = np.argsort(z[:, 0])[n - wild :]
    errors[edge] *= 10.0
    return z, z[:, 0], errors**2, np.zeros(n), float(np.mean(errors**2)), np.ones(n), np.arange(n)


def forms(n_draws=24, **about):
    return [noise.variation(*drawn(seed, **about)).form for seed in range(n_draws)]


def changing(found):
    return sum(form != "constant" for form in found)


def test_noise_that_changes_by_a_factor_is_found():
    assert changing(forms(8, slope=2.0)) == 8
    found = noise.variation(*drawn(0, slope=2.0, n=1000))
    at = found(np.array([[0.1], [0.9]]), np.array([0.1, 0.9]))
    assert np.sqrt(at[1] / at[0]) == pytest.approx(np.exp(1.6), rel=0.25)


def test_constant_noise_is_taken_for_constant():
    assert changing(forms()) <= 2


def test_changes_that_may_be_chance_are_none(monkeypatch):
    clear = changing(forms(12, slope=0.5))
    monkeypatch.setattr(noise, "CLEARLY", 0.0)
    assert changing(forms(12, slope=0.5)) > clear + 2


def test_few_rows_tell_no_change(monkeypatch):
    few = noise.FEWEST_TO_VARY - 1
    assert changing(forms(8, slope=3.0, n=few)) == 0
    monkeypatch.setattr(noise, "FEWEST_TO_VARY", few)
    assert changing(forms(8, slope=3.0, n=few)) > 0


def test_a_changed_level_is_scaled_and_elsewhere_not_exceeded():
    found = noise.variation(*drawn(0, slope=2.0, n=400)).scaled(3.0)
    beyond = np.array([[-5.0], [9.0]])
    inside = np.linspace(0, 1, 99)[:, None]
    low, high = (f(found(inside, inside[:, 0])) for f in (np.min, np.max))
    at = found(beyond, beyond[:, 0])
    assert at.min() > 0.5 * low
    assert at.max() < 2 * high


def test_rows_of_groups_are_left_out_together():
    # Of rows copied many times those left out alone would be known by their copies.
    alone = drawn(3, n=40)
    copies = [np.repeat(a, 10, axis=0) if isinstance(a, np.ndarray) else a for a in alone]
    assert noise.variation(*copies).form == "constant"

"""Noisy observations of a solution: its posterior is that of regression where that is known."""

import dataclasses
import re

import numpy as np
import pytest

from adabasis import Box, load, pde, solve
from adabasis.basis import FrozenFeatures
from adabasis.operators import Identity, Laplacian, Partial, UserOperator
from adabasis.pde import posterior as module

from ..laws import assert_close, assert_same_bits

INTERVAL = Box(x=(0, 1))
FEW = FrozenFeatures(32, scale=1.0)
AT = np.array([[0.1], [0.5], [0.9]])
LINES = np.hstack([np.ones_like(AT), AT])
NOISE = 0.1


def rows(n=40, seed=0, noise=NOISE):
    rng = np.random.default_rng(seed)
    x = rng.random((n, 1))
    return x, 1 + 2 * x[:, 0] + noise * rng.normal(size=n)


def straight(*data, conditions=()):
    """Return u″ = 0 with observations: u is a line."""
    problem = pde.LinearProblem(INTERVAL, Laplacian(), 0.0, conditions, data)
    return solve(problem, FEW, method="frozen")


def regression(x, y, weight):
    """Return the line of weighted least squares, and its covariance."""
    a = np.hstack([np.ones_like(x), x])
    covariance = np.linalg.inv((a.T * weight) @ a)
    return covariance @ (a.T * weight) @ y, covariance


def deviation(covariance, at=LINES):
    return np.sqrt(np.einsum("ni,ij,nj->n", at, covariance, at))


@pytest.fixture(scope="module")
def line():
    return straight(pde.Observe(*rows(), noise=NOISE))


def test_what_the_equation_leaves_free_is_linear_regression(line):
    x, y = rows()
    c, covariance = regression(x, y, np.full(40, NOISE**-2))
    u, size = line.predict(AT, return_std=True)
    assert_close(u, LINES @ c, 2e-3)
    assert np.all(np.abs(size / deviation(covariance) - 1) < 0.02)
    slope = line.std(Partial("x"), AT)
    assert np.all(np.abs(slope / np.sqrt(covariance[1, 1]) - 1) < 0.02)
    assert_same_bits(line.std(Identity(), AT), size)
    assert np.abs(line.residual(AT)).max() < 1e-3


def test_its_verdict_is_about_the_noise(line):
    assert line.verdict.startswith("Approximate: relative standard deviation about")
    assert "what the noise of 40 observations leaves open: 0.1." in line.verdict
    size = float(np.mean(line.predict(np.linspace(0, 1, 99)[:, None], return_std=True)[1]))
    assert size / 4 < line.certificate.error_estimate < size


def test_sets_count_by_their_noise():
    first, second = rows(20), rows(30, seed=1, noise=0.4)
    found = straight(pde.Observe(*first, noise=0.1), pde.Observe(*second, noise=np.full(30, 0.4)))
    x, y = (np.concatenate(pair) for pair in zip(first, second, strict=True))
    c, covariance = regression(x, y, np.repeat([0.1**-2, 0.4**-2], [20, 30]))
    u, size = found.predict(AT, return_std=True)
    assert_close(u, LINES @ c, 3e-3)
    assert np.all(np.abs(size / deviation(covariance) - 1) < 0.03)
    assert found.posterior.noise == pytest.approx((0.1, 0.4))


def test_noise_that_nobody_gives_is_found():
    """By likelihood: 40 rows tell it to 11 %."""
    x, y = rows()
    found = straight(pde.Observe(x, y, noise="estimate"))
    c, _ = regression(x, y, np.ones(40))
    s = np.sqrt(np.sum((y - np.hstack([np.ones_like(x), x]) @ c) ** 2) / 38)
    assert abs(found.posterior.noise[0] / s - 1) < 0.06
    assert found.posterior.estimated == (True,)
    assert "(estimated)" in found.verdict


def test_observations_of_derivatives_count_too():
    """A slope that is known leaves the height to the mean of the rest."""
    x, y = rows()
    found = straight(
        pde.Observe(x, y, noise=NOISE), pde.Observe([[0.5]], [2.0], Partial("x"), noise=1e-5)
    )
    assert_close(found.apply(Partial("x"), AT), np.full(3, 2.0), 1e-3)
    expected = np.full(3, NOISE / np.sqrt(40))
    assert np.all(np.abs(found.std(Identity(), AT) / expected - 1) < 0.02)


def test_exact_values_leave_nothing_to_noisy_ones():
    ends = [pde.Dirichlet(1.0, on=("x", 0.0)), pde.Dirichlet(3.0, on=("x", 1.0))]
    x, y = rows()
    found = straight(pde.Observe(x, y + 5.0, noise=NOISE), conditions=ends)
    u, size = found.predict(AT, return_std=True)
    assert_close(u, LINES @ [1.0, 2.0], 1e-3)
    assert size.max() < 1e-2 * NOISE
    assert found.verdict.startswith("Contradictory: observations lie")
    assert not straight(pde.Observe(x, y, noise=NOISE), conditions=ends).verdict.startswith("Contr")


def test_one_known_end_leaves_the_other():
    x, y = rows()
    found = straight(pde.Observe(x, y, noise=NOISE), conditions=[pde.Dirichlet(1.0, on=("x", 0.0))])
    size = found.predict([[0.0], [1.0]], return_std=True)[1]
    expected = NOISE / np.sqrt(np.sum(x**2))
    assert size[0] < 1e-2 * expected
    assert abs(size[1] / expected - 1) < 0.02


def test_it_is_saved_and_read_with_what_is_open(line, tmp_path):
    line.save(tmp_path / "u.adabasis")
    again = load(tmp_path / "u.adabasis")
    assert_same_bits(again.predict(AT, return_std=True)[1], line.predict(AT, return_std=True)[1])
    assert again.posterior.noise == line.posterior.noise


def test_the_root_is_that_of_the_covariance(line):
    moved = line.functions(AT) @ line.posterior.root * line.output_map.scale
    assert_close(np.linalg.norm(moved, axis=1), line.std(Identity(), AT), 1e-12)
    function, noise = line.variances(AT)
    assert_close(function[:, 0], line.std(Identity(), AT) ** 2, 1e-14)
    assert not noise.any()


@pytest.mark.parametrize(
    ("noise", "words"),
    [
        (0.0, "expected a positive number"),
        (-1.0, "got -1. Values without errors are given without noise"),
        (np.inf, "got inf"),
        (np.nan, "got nan"),
        (True, "got True"),
        ("much", "Observe(noise='much'): expected a positive number, 40 of them"),
        (np.ones(3), "got shape (3,)"),
        (np.append(np.ones(39), 0.0), "got 0."),
        ([[1.0]], "got shape (1, 1)"),
    ],
)
def test_noise_that_is_none_is_named(noise, words):
    with pytest.raises(ValueError, match=re.escape(words)):
        straight(pde.Observe(*rows(), noise=noise))


def test_one_value_does_not_tell_its_noise():
    with pytest.raises(ValueError, match="4 observations do not tell how far they are off"):
        straight(pde.Observe(*rows(4), noise="estimate"))


def test_values_below_their_noise_do_not_tell_that_there_is_nothing():
    """The likeliest scale of the coefficients is 0 then."""
    x, _ = rows()
    zero, covariance = np.zeros(40), regression(x, np.zeros(40), np.full(40, NOISE**-2))[1]
    size = straight(pde.Observe(x, zero, noise=NOISE)).predict(AT, return_std=True)[1]
    assert np.all(size > 0.4 * deviation(covariance))


def test_exact_values_may_have_their_noise_estimated_all_the_same():
    x, y = rows(noise=0.0)
    found = straight(pde.Observe(x, y, noise="estimate"))
    assert found.posterior.noise[0] < 1e-4
    assert_close(found(AT), LINES @ [1.0, 2.0], 1e-4)
    assert not found.verdict.startswith("Contradictory")


def test_noise_and_weight_do_not_go_together():
    with pytest.raises(ValueError, match=re.escape("Observe(weight=2.0, noise=0.1)")):
        straight(pde.Observe(*rows(), weight=2.0, noise=0.1))


def test_equations_that_are_not_linear_have_no_posterior_of_this_kind():
    bent = UserOperator(lambda u, x: u(x) ** 2, 0, linear=False)
    with pytest.raises(ValueError, match=r"linear\. Leave noise out"):
        pde.LinearProblem(INTERVAL, bent, 1.0, [], [pde.Observe(*rows(), noise=0.1)])


def test_deviations_are_asked_of_solutions_that_have_them(line):
    exact = straight(conditions=[pde.Dirichlet(1.0)])
    with pytest.raises(ValueError, match="Say how large it is: Observe"):
        exact.predict(AT, return_std=True)
    bent = UserOperator(lambda u, x: u(x) ** 2, 0, linear=False)
    with pytest.raises(ValueError, match="that of linear operators"):
        line.std(bent, AT)
    with pytest.raises(ValueError, match="resolve: the problem has observations with noise"):
        line.resolve([line.problem])


# --- Numbers that decide ---------------------------------------------------------------------


def weighed(system, observed, **changes):
    found = module.posterior(system, observed, 0.0)
    return dataclasses.replace(found, **changes)


def test_the_tolerance_is_far_below_the_noise(line, monkeypatch):
    system, observed = line.finalists[0].system, line.problem.observed
    strict, unit = weighed(system, observed), line.output_map.scale[0]
    assert unit * strict.tolerance == pytest.approx(module.EXACTLY * NOISE / np.sqrt(40), rel=1e-6)
    monkeypatch.setattr(module, "EXACTLY", 1e2)
    loose = weighed(system, observed)
    assert loose.deviation(line.functions(AT)) > 1.5 * strict.deviation(line.functions(AT))


def test_scales_are_averaged(line, monkeypatch):
    """One observation hardly tells how large coefficients are."""
    system, observed = line.finalists[0].system, line.problem.observed
    few = dataclasses.replace(
        observed[0], data=observed[0].data[:1], at=type(observed[0].at)(rows()[0][:1], np.ones(1))
    )
    wide = weighed(system, [few])
    monkeypatch.setattr(module, "NODES", np.ones(1))
    far = line.functions([[0.0], [1.0]])
    assert abs(wide.deviation(far) / weighed(system, [few]).deviation(far) - 1) > 0.02

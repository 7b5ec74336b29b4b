"""Parts with a noise level each: laws of the mixture, regimes that are found, bad input."""

import dataclasses
import re
import types

import numpy as np
import pytest
from scipy.stats import norm

from adabasis import POUNetRegressor, fit_pounet, load, plots, refit, rows
from adabasis.basis import PartitionBasis
from adabasis.geometry.boxes import Points
from adabasis.pou import noisy, unequal
from adabasis.pou.borders import interval_weights
from adabasis.pou.em import EM, MixtureEvaluation
from adabasis.pou.mixture import Mixture, Sample
from adabasis.pou.noisy import MixtureTask
from adabasis.pou.segmentation import FLOOR
from adabasis.pou.starts import cheapest, merging
from adabasis.pou.strategy import POUNetTask
from adabasis.pou.unequal import UnequalFits
from adabasis.train import Objective

from .laws import assert_close, assert_same_bits
from .registry import draw

some = types.SimpleNamespace
LEVELS = (0.02, 0.2)
HALVES = np.array([[0.25], [0.75]])
QUICK = {"noise": "parts", "max_steps": 0, "degree": 1}


def regimes(n=400, seed=0, n_inputs=1):
    rng = np.random.default_rng(seed)
    x = rng.random((n, n_inputs))
    return x, x[:, 0] + np.where(x[:, 0] < 0.5, *LEVELS) * rng.normal(size=n)


@pytest.fixture(scope="module")
def model():
    return fit_pounet(*regimes(), noise="parts", degree=1)


def test_regimes_that_differ_in_their_noise_alone_are_found(model):
    mean, deviation = model.predict(HALVES, return_std=True)
    assert_close(mean, HALVES[:, 0], 0.05)
    assert np.all(np.abs(deviation / LEVELS - 1) < 0.2)
    assert_same_bits(mean, model(HALVES))
    plain = fit_pounet(*regimes(), degree=1, max_steps=0)
    assert plain.basis.n_partitions == 1  # least squares sees one line


def test_a_level_that_differs_inside_a_disk_is_found():
    rng = np.random.default_rng(0)
    x = rng.random((600, 2))
    level = np.where(np.sum((x - 0.5) ** 2, axis=1) < 0.1, *LEVELS)
    options = {**QUICK, "degree": 0, "n_partitions": 2, "partition": "quadratic"}
    found = fit_pounet(x, level * rng.normal(size=600), **options)
    deviation = found.predict([[0.5, 0.5], [0.05, 0.05]], return_std=True)[1]
    assert np.all(np.abs(deviation / LEVELS - 1) < 0.3)


def some_mixture(n_outputs=2):
    rng = np.random.default_rng(3)
    basis = PartitionBasis(3, 1, partition="affine")
    parameters = draw(basis)
    parameters = parameters._replace(**{
        name: np.asarray(getattr(parameters, name)) for name in ("partition", "centre", "scale")
    })  # fmt: skip
    c, s2 = rng.normal(size=(basis.size(2), n_outputs)), rng.uniform(0.1, 1, (3, n_outputs))
    return Mixture(basis, parameters, c, s2)


def test_the_density_is_that_of_the_sum_of_gaussians():
    mixture, rng = some_mixture(), np.random.default_rng(4)
    x, y = rng.random((6, 2)), rng.normal(size=(6, 2))
    phi, means = np.exp(mixture.log_shares(x)), mixture.means(x)
    each = norm.pdf(y[:, None], means, np.sqrt(mixture.variances)).prod(axis=2)
    sample = Sample(x, y, np.ones(6), np.zeros_like(y))
    assert_close(
        mixture.moments(sample).log_likelihood, np.log((phi * each).sum(axis=1)).sum(), 1e-9
    )
    assert_close(phi.sum(axis=1), np.ones(6), 1e-14)
    whole = mixture.basis.values(x, mixture.parameters) @ mixture.coefficients
    assert_close(np.einsum("na,naq->nq", phi, means), whole, 1e-12)


def test_variances_are_those_of_draws_of_the_mixture(model):
    """Where parts overlap: Σ φ (σ² + p²) − (Σ φ p)²."""
    mixture = some_mixture(1)
    z = np.full((1, 2), 0.4)
    soft = dataclasses.replace(
        model,
        basis=mixture.basis,
        parameters=mixture.parameters,
        coefficients=mixture.coefficients,
        input_map=type(model.input_map).identity(2),
        output_map=type(model.output_map).identity(1),
        box=np.tile([0.0, 1.0], (2, 1)),
        noise_levels=np.sqrt(mixture.variances),
        roots=np.zeros((3, 1, 3, 3)),
    )
    rng, n = np.random.default_rng(5), 200_000
    part = rng.choice(3, n, p=np.exp(mixture.log_shares(z))[0])
    drawn = mixture.means(z)[0, part, 0] + np.sqrt(mixture.variances[part, 0]) * rng.normal(size=n)
    function, noise = soft.variances(z)
    assert_close(noise[0, 0], drawn.var(), 0.02 * drawn.var())
    assert function[0, 0] == 0


def test_the_function_varies_as_in_linear_regression():
    """One part, one level: s² xᵀ(XᵀX)⁻¹x, but for the weak prior."""
    rng = np.random.default_rng(0)
    x = rng.random((60, 1))
    y = 1 + 2 * x[:, 0] + 0.3 * rng.normal(size=60)
    found = fit_pounet(x, y, n_partitions=1, **QUICK)
    a = np.hstack([np.ones_like(x), x])
    c, (rest,), *_ = np.linalg.lstsq(a, y)
    variance = rest / 58
    at = np.array([[1.0, 0.1], [1.0, 0.9]])
    expected = variance * np.einsum("ni,ij,nj->n", at, np.linalg.inv(a.T @ a), at)
    function, noise = found.variances(at[:, 1:])
    assert_close(noise[:, 0], np.full(2, variance), 1e-2 * variance)
    assert np.all(np.abs(function[:, 0] / expected - 1) < 2e-2)
    assert_close(found(at[:, 1:]), at @ c, 1e-2)


def test_steps_make_rows_likelier_and_end_where_they_do_not():
    x, y = regimes()
    found = fit_pounet(x, y, n_partitions=2, degree=1, partition="rbf", noise="parts")
    loss = found.history.loss
    assert len(loss) > 3
    assert loss[-1] < loss[0]
    assert np.all(np.diff(loss) < 1e-3 * loss[:-1])
    assert found.stop_reason.name == "CONVERGED"


def test_densities_integrate_to_one(model):
    y = np.linspace(-2, 3, 20_001)
    for x in (0.25, 0.498, 0.9):
        density = np.exp(model.log_density(np.full((len(y), 1), x), y))
        assert_close(np.trapezoid(density, y), 1.0, 1e-6)


def test_it_is_saved_and_read_with_its_levels(model, tmp_path):
    model.save(tmp_path / "m.adabasis")
    again = load(tmp_path / "m.adabasis")
    assert type(again) is type(model)
    for one, other in zip(again.variances(HALVES), model.variances(HALVES), strict=True):
        assert_same_bits(one, other)


def test_the_same_seed_gives_the_same_bits(model):
    again = fit_pounet(*regimes(), noise="parts", degree=1)
    assert_same_bits(again.noise_levels, model.noise_levels)


def test_units_and_weights_scale_levels_and_change_nothing_else():
    x, y = regimes()
    one = fit_pounet(x, y, **QUICK)
    other = fit_pounet(
        1e3 * x, 1e6 * y - 1e7, sample_weight=np.full(len(x), 1e-6), **QUICK
    )  # fmt: skip
    assert_close(1e-6 * other.noise_levels, one.noise_levels, 1e-6)
    assert_close(other.variances(1e3 * HALVES)[0], 1e12 * one.variances(HALVES)[0], 1e-4 * 1e12)


def test_weights_are_numbers_of_rows():
    x, y = regimes(150)
    options = {**QUICK, "validation": None}
    twice = fit_pounet(np.repeat(x, 2, axis=0), np.repeat(y, 2), **options)
    weighted = fit_pounet(x, y, sample_weight=np.full(150, 2.0), **options)
    assert_close(twice.noise_levels, weighted.noise_levels, 1e-8)


def test_replicates_tell_the_noise_at_few_places():
    rng = np.random.default_rng(0)
    x = np.repeat(np.linspace(0, 1, 8), 40)[:, None]
    y = x[:, 0] + np.where(x[:, 0] < 0.5, *LEVELS) * rng.normal(size=320)
    found = fit_pounet(x, y, **QUICK)
    deviation = found.predict(HALVES, return_std=True)[1]
    assert np.all(np.abs(deviation / LEVELS - 1) < 0.2)


def test_every_target_has_levels():
    rng = np.random.default_rng(0)
    x, y = regimes()
    found = fit_pounet(x, np.stack([y, 5 + 0.1 * rng.normal(size=len(y))], axis=1), **QUICK)
    deviation = found.predict(HALVES, return_std=True)[1]
    assert deviation.shape == (2, 2)
    assert np.all(np.abs(deviation[:, 0] / LEVELS - 1) < 0.2)
    assert np.all(np.abs(deviation[:, 1] / 0.1 - 1) < 0.2)


def test_levels_of_exact_data_end_at_round_off():
    x = np.random.default_rng(0).random((200, 1))
    y = np.where(x[:, 0] < 0.4, x[:, 0], 2.0)
    found = fit_pounet(x, y, **QUICK)
    assert_close(found(x), y, 1e-12)
    assert np.all(found.noise_levels == pytest.approx(FLOOR * y.std()))
    constant = fit_pounet(x, np.ones(200), **QUICK)
    assert np.all(constant.predict(x, return_std=True)[1] < 1e-9)


def test_rows_that_coefficients_go_through_say_nothing_of_noise():
    found = fit_pounet([[0.0], [1.0]], [1.0, 2.0], degree=1, noise="parts")
    assert np.isinf(found.predict([[0.5]], return_std=True)[1]).all()
    assert "The noise is not known" in " ".join(found.notes)


def test_new_rows_have_new_levels(model):
    x, y = regimes(seed=1)
    again = refit(model, x, 3 * y)
    assert np.all(np.abs(again.predict(HALVES, return_std=True)[1] / LEVELS / 3 - 1) < 0.2)
    assert np.isfinite(fit_pounet(x, y, holdout=0.2, **QUICK).noise_levels).all()
    with pytest.raises(ValueError, match="expected 1 inputs and 1 outputs"):
        refit(model, np.ones((4, 2)), np.ones(4))


def test_the_estimator_knows_deviations():
    x, y = regimes()
    found = POUNetRegressor(noise="parts", max_steps=0, degree=1).fit(x, y)
    mean, deviation = found.predict(HALVES, return_std=True)
    assert mean.shape == deviation.shape == (2,)
    assert_same_bits(found.predict(HALVES), mean)


def test_bands_are_drawn(model):
    below = plots.partitions(model).axes[1]
    assert len(below.collections) == 2
    assert [text.get_text() for text in below.get_legend().get_texts()] == [
        "90 % of new values",
        "90 % of means",
    ]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"noise": "part"}, "noise='part'): expected 'same' or 'parts'"),
        ({"noise": ["parts"]}, "noise=['parts']): expected 'same' or 'parts'"),
        ({"noise": None}, "noise=None): expected"),
        ({"noise": "parts", "loss": "huber"}, "loss='huber'): noise levels are those of Gaussians"),
        ({"noise": "parts", "target_transform": "log"}, "Leave target_transform out"),
    ],
)
def test_what_cannot_be_meant_is_named(options, words):
    with pytest.raises(ValueError, match=re.escape(words)):
        fit_pounet(*regimes(30), **options)


def test_values_of_another_shape_have_no_density(model):
    with pytest.raises(ValueError, match=r"expected y of 2 rows and 1 targets, got shape \(3,\)"):
        model.log_density(HALVES, np.ones(3))


# --- Numbers that decide ---------------------------------------------------------------------


def fits_of(n=60, degree=1, seed=0):
    x, y = regimes(n, seed)
    return UnequalFits(x, y[:, None], np.ones(n), degree)


def test_segments_have_rows_enough_for_a_level(monkeypatch):
    fits = fits_of()
    sizes = [np.diff(np.append(s, 60)).min() for s in cheapest(fits, 4)]
    assert min(sizes) >= fits.least == 12
    monkeypatch.setattr(unequal, "FEWEST_FOR_NOISE", -2)
    assert min(np.diff(np.append(s, 60)).min() for s in cheapest(fits, 4)) < 12


def test_cells_have_points_enough_for_a_level(monkeypatch):
    x, y = regimes(400, n_inputs=2)
    fits = UnequalFits(x, y[:, None], np.ones(400), 1)
    assert fits.cell == 19
    assert len(merging(fits, 4)) == 4
    monkeypatch.setattr(unequal, "FEWEST_FOR_NOISE", 0)
    assert fits.cell == 6


def test_one_row_on_the_wrong_side_does_not_decide():
    """Its density is that of a Gaussian 1e11 deviations away."""
    x = np.linspace(0, 1, 50)[:, None]
    y = np.where(x < 0.5, 0.0, 1.0)
    fits = UnequalFits(x, y, np.ones(50), 0)
    labels = (x[:, 0] < 0.5).astype(int)
    there = labels.copy()
    there[24] = 0
    assert_close(fits.error_on(labels, fits, there), np.sqrt(1 / 50), 1e-9)
    assert unequal.least_error(np.full(3, 1e9), np.ones(3), 0.5) == 0.5


def test_a_prior_holds_polynomials_that_few_rows_tell_of(monkeypatch):
    x, y = regimes(40)
    plain = fit_pounet(x, y, n_partitions=1, **QUICK)
    monkeypatch.setattr("adabasis.pou.mixture.PRIOR", 1e3)
    assert np.ptp(fit_pounet(x, y, n_partitions=1, **QUICK)(x)) < 0.9 * np.ptp(plain(x))


def test_the_trainer_moves_borders_that_have_a_slope(monkeypatch):
    found = []
    finished = POUNetTask.finished
    monkeypatch.setattr(
        POUNetTask, "finished", lambda task, s: (found.extend(s.found), finished(task, s))[1]
    )
    x, y = regimes()
    fit_pounet(x, y, n_partitions=2, degree=1, partition="rbf", noise="parts")
    moved = [
        np.abs(one.initial.partition.centre - one.parameters.partition.centre).max()
        for one in found
        if one.run
    ]
    assert max(moved) > 1e-3
    # Candidates are compared by likelihoods: levels of .02 and .2 are .063 in the mean, .14 by rms.
    assert min(one.error for one in found) * np.std(y) < 0.1
    assert EM(None, 1.0, lambda term: np.zeros(1), lambda z: z[:, None], 1.0).pace.max_steps == 60


def sharp(slope=1e9):
    """Return two halves around zero with the levels."""
    basis = PartitionBasis(2, 0, partition="affine")
    drawn = draw(basis, ((0.0, 1.0),))
    parameters = drawn._replace(partition=interval_weights(np.array([0.5]), slope))
    return Mixture(basis, parameters, np.zeros((2, 1)), np.square(LEVELS)[:, None])


def test_a_row_not_seen_does_not_tell_where_a_border_is():
    """One of the noisier part, a little on the side of the quieter one, is 10 deviations off."""
    x = np.array([[0.49], [0.2], [0.8]])
    sample = Sample(x, np.array([[0.2], [0.0], [0.0]]), np.ones(3), np.zeros((3, 1)))
    around = np.stack([x, x], axis=1)
    around[0, 1] = 0.51
    mixture = sharp()
    known = norm.logpdf([0.0, 0.0], 0, LEVELS).sum()
    beside = np.log(0.5 * norm.pdf(0.2, 0, LEVELS).sum())
    assert_close(mixture.unseen_likelihood(sample, around), known + beside, 1e-9)
    assert mixture.moments(sample).log_likelihood < known + beside - 40


def test_rows_seen_and_unseen_tell_which_mixture_is_likelier():
    rng = np.random.default_rng(0)
    x = rng.random((100, 1))
    y = np.where(x < 0.5, *LEVELS) * rng.normal(size=(100, 1))
    term = rows.Term(Points(x, np.ones(100)), y)
    trainer = EM(None, 1.0, lambda term: np.zeros((100, 1)), lambda z: z[:, None], 900.0)
    judge = trainer.judge(Objective([term], 0.0, sharp().basis))
    mixture = sharp()
    of_rows = -2 * mixture.moments(trainer.sample(term)).log_likelihood
    alike = np.exp((of_rows / 100 - np.log(2 * np.pi) - 1) / 2)

    def judged(loss):
        about = mixture.parameters, mixture.coefficients, 2, 0.0, False, mixture
        return judge(MixtureEvaluation(loss, *about))

    # Two coefficients, two levels and a border cost half a ln 1000 each.
    expected = np.log(alike) * 0.1 + np.log(0.05) * 0.9 + 5 * np.log(1000) / 2000
    assert_close(np.log(judged(0.05**2)), expected, 1e-9)
    assert judged(np.inf) == np.inf


@pytest.mark.parametrize(("worse", "first"), [(1.0, 1), (3.0, 0)])
def test_of_mixtures_as_likely_the_one_with_soft_borders_goes_first(monkeypatch, worse, first):
    """As likely is: but for two in the logarithm of the likelihood."""
    task = object.__new__(MixtureTask)
    z = np.linspace(0, 1, 50)[:, None]
    places = some(count=np.ones(50), z=z)
    task.data = some(places=places, some_places=np.arange(50))
    found = [
        some(run=sharp(slope=slope), error=error)
        for slope, error in [(1e9, 0.1), (10.0, 0.1 * np.exp(worse / 50))]
    ]
    monkeypatch.setattr(noisy, "_mixture_of", lambda run: run)
    assert task._tied(found) is found[first]


def test_a_border_is_known_up_to_eight_rows():
    task = object.__new__(MixtureTask)
    z = np.linspace(0, 1, 50)[:, None]
    task.data = some(places=some(z=z), fold=lambda number: (np.arange(1, 50), None))
    assert task.around(z[:1]).shape == (1, 9, 1)
    assert_close(np.sort(task.around(z[:1])[0, :, 0]), z[:9, 0], 1e-12)

"""What the defaults choose, and how good it is, on functions with a known answer."""

import contextlib

import numpy as np
import pytest

from adabasis.basis import Ensemble, NeuralBasis, ProjectedFeatures
from adabasis.regression import strategy
from adabasis.regression.api import fit, refit
from adabasis.regression.bases import clear_rank, directions, projected_bases
from adabasis.regression.projection import Projection
from adabasis.regression.strategy import LOST
from adabasis.train import LSGN

from .laws import assert_close, relative_error
from .test_published import GRID, SINE

INPUTS = 6


def along_two(x):
    """Return a function of six inputs that varies along two directions and is affine beside."""
    a, b, affine = np.random.default_rng(0).normal(size=(3, INPUTS)) / np.sqrt(INPUTS)
    return np.sin(3 * x @ a) + 0.5 * (x @ b) ** 2 + x @ affine


def data(n, seed=0):
    return np.random.default_rng(seed).uniform(-1, 1, (n, INPUTS))


@pytest.fixture(scope="module")
def few():
    x = data(500)
    return fit(x, along_two(x), [NeuralBasis(8, 1)], ensemble=2)


def error_of(predict):
    fresh = data(1000, seed=1)
    return relative_error(predict(fresh), along_two(fresh))


def test_few_directions_are_found_and_used(few):
    model = few
    assert isinstance(model.basis, ProjectedFeatures)
    assert model.basis == projected_bases(500, INPUTS, 2)[0]  # the smoothest, which do well
    assert error_of(model) <= 1e-3
    _, _, vt = np.linalg.svd(model.parameters.weight / model.input_map.scale)
    a, b = np.random.default_rng(0).normal(size=(3, INPUTS))[:2]
    for direction in (a, b):
        inside = np.linalg.norm(vt[:2] @ direction) / np.linalg.norm(direction)
        assert inside >= 1 - 1e-6


def test_the_axes_of_few_directions_are_not_a_matter_of_round_off(few):
    x = data(500)
    again = fit(1e-9 * x, 1e9 * along_two(x), [NeuralBasis(8, 1)], ensemble=2)
    assert_close(again.parameters.weight, few.parameters.weight, 1e-2)
    assert 0.5 <= error_of(lambda fresh: again(1e-9 * fresh) / 1e9) / error_of(few) <= 2


def test_signs_of_eigenvectors_are_set(few, monkeypatch):
    """LAPACK leaves them to round-off."""
    given, x = (few.basis, few.parameters, few.coefficients), data(50)
    axes, variation = directions(*given, x)
    eigh = np.linalg.eigh
    monkeypatch.setattr(np.linalg, "eigh", lambda matrix: (eigh(matrix)[0], -eigh(matrix)[1]))
    turned, same = directions(*given, x)
    assert_close(turned, axes, 1e-14)
    assert_close(same, variation, 1e-14)


def test_features_of_few_directions_are_compared_from_smooth_to_steep():
    bases = projected_bases(2000, 10, 2)
    assert [basis.scale for basis in bases] == sorted(basis.scale for basis in bases)
    assert bases[0].width == max(basis.width for basis in bases)


@pytest.mark.parametrize(
    ("variation", "rank"),
    [
        ([1.0, 0.5, 1e-8, 1e-9], 2),
        ([1.0, 0.8, 0.3, 1e-5, 3e-6, 1e-6], 3),
        ([1.0, 1e-4, 1e-5], 1),
        ([1.0, 0.5, 0.02, 0.01], 0),  # a cliff, but what follows is not small
        ([1.0, 0.1, 0.01, 1e-3, 1e-4, 1e-5], 0),
        ([1.0] * 5 + [1e-9], 0),  # five are too many
        ([1.0, 0.5], 0),
        ([1.0], 0),
        ([0.0, 0.0, 0.0], 0),
    ],
)
def test_directions_count_up_to_a_cliff(variation, rank):
    assert clear_rank(np.array(variation)) == rank


def wave(beside, seed=0):
    """Return a fit of a wave along one direction of four inputs, and of something beside it."""
    x = np.random.default_rng(seed).uniform(-1, 1, (350, 4))
    return fit(x, np.sin(3 * (x[:, 0] + x[:, 1])) + beside * x[:, 2] ** 2)


def test_gaussians_show_directions_before_a_network_is_trained():
    model = wave(0.0, seed=1)
    assert isinstance(model.basis, ProjectedFeatures)
    assert model.basis.rank == 1
    assert not any("NeuralBasis" in row["what"] for row in model.candidates)
    of_gaussians = next(row for row in model.candidates if "Gaussian" in row["what"])
    assert model.candidates[0]["loo_error"] < 0.1 * of_gaussians["loo_error"]


@pytest.mark.parametrize(("lost", "projects"), [(LOST, False), (1e3, True)])
def test_directions_that_lose_more_than_gaussians_err_are_left_alone(monkeypatch, lost, projects):
    """They lose 250 errors of the Gaussians here, and would be trained in vain."""

    class Projected(Exception):
        pass

    def along(*_, **__):
        raise Projected

    monkeypatch.setattr(strategy, "LOST", lost)
    monkeypatch.setattr(Projection, "_along", along)
    with pytest.raises(Projected) if projects else contextlib.nullcontext():
        wave(0.01)


@pytest.fixture(scope="module")
def noisy():
    x = data(300)
    y = along_two(x) + 0.3 * np.random.default_rng(2).normal(size=len(x))
    bases = [NeuralBasis(8, 1), NeuralBasis(4, 1)]
    return x, y, fit(x, y, bases, ensemble=3, max_steps=20)


def test_noise_is_averaged_away(noisy):
    x, y, model = noisy
    assert isinstance(model.basis, Ensemble)
    assert model.basis.n_members == 3
    assert model.coefficients.shape == (27, 1)
    kinds = "30 of 300 distinct rows held out, others for each member", "leave-one-out"
    assert model.validation_kind.startswith(kinds)
    alone = fit(x, y, [NeuralBasis(8, 1)], max_steps=20)
    fresh = data(2000, seed=1)
    assert relative_error(model(fresh), along_two(fresh)) <= 1.05 * relative_error(
        alone(fresh), along_two(fresh)
    )


def test_an_ensemble_is_refitted_member_by_member_with_its_own_ridge(noisy):
    x, y, model = noisy
    again = refit(model, x, y)
    assert_close(again.coefficients, model.coefficients, 1e-8)
    t = model.output_map(y[:, None])[:, 0]
    penalty = model.record.ridge.value
    assert penalty > 0
    phi = model.functions(x)
    for member in range(3):
        inside = slice(9 * member, 9 * member + 9)
        below = np.sqrt(penalty) * np.eye(9)
        expected = np.linalg.lstsq(
            np.concatenate([phi[:, inside], below]), np.concatenate([t, np.zeros(9)])
        )[0]
        assert_close(3 * model.coefficients[inside, 0], expected, 1e-6)


def test_an_ensemble_survives_its_file(noisy, tmp_path):
    from adabasis import load

    x, _, model = noisy
    model.save(tmp_path / "model.adabasis")
    again = load(tmp_path / "model.adabasis")
    assert again.basis == model.basis
    assert np.array_equal(again(x), model(x))


@pytest.mark.parametrize("members", [0, "many"])
def test_a_bad_number_of_members_is_named(members):
    with pytest.raises(ValueError, match="ensemble"):
        fit(data(50), along_two(data(50)), ensemble=members)


@pytest.mark.slow
@pytest.mark.parametrize(("width", "bar"), [(4, -2.65), (8, -3.82), (16, -4.93), (32, -6.08)])
def test_relu_layers_come_near_the_bound_of_free_knots(width, bar):
    """Median of 16 seeds, best of 4 restarts each; the bound, 0.15 above it but for 4 units."""
    basis, errors = NeuralBasis(width, 1, activation="relu"), []
    for seed in range(16):
        options = {"method": LSGN(), "n_restarts": 4, "standardize": False}
        model = fit(GRID, SINE, basis, random_state=seed, **options)
        errors.append(np.mean((model(GRID) - SINE) ** 2))
    print(f"\nwidth {width}: median log10 MSE {np.median(np.log10(errors)):.3f}")
    assert np.median(np.log10(errors)) <= bar


@pytest.mark.slow
@pytest.mark.parametrize(("width", "bar"), [(16, -18), (32, -24)])
def test_gauss_newton_reaches_machine_precision(width, bar):
    errors = []
    for seed in range(16):
        options = {"method": "lsgn", "max_steps": 100}
        model = fit(GRID, SINE, NeuralBasis(width, 1), random_state=seed, **options)
        errors.append(np.mean((model(GRID) - SINE) ** 2))
    print(f"\nwidth {width}: mean log10 MSE {np.mean(np.log10(errors)):.2f}")
    assert np.mean(np.log10(errors)) <= bar

"""Adam in NumPy, and last layers solved roughly: the gradient is one, and so is the optimum."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from adabasis.basis import FrozenFeatures, NeuralBasis
from adabasis.geometry.points import Points
from adabasis.models.classifier import indicators
from adabasis.rows import Term
from adabasis.train import Budget, CrossEntropy, adam, newton, train
from adabasis.train.adam import Adam, first_network, rows_of
from adabasis.train.last_layer import nearly, ridge_path
from adabasis.train.levenberg_marquardt import Layout

from ..laws import assert_same_bits

N = 90


def loss(n_classes, basis=None, seed=0):
    """Return a loss on noisy classes, with weights, the last rows of weight zero."""
    rng = np.random.default_rng(seed)
    x = rng.uniform(-1, 1, (N, 2))
    index = np.digitize(x[:, 0] * x[:, 1] + 0.1 * rng.normal(size=N), [-0.1, 0.1][: n_classes - 1])
    weight = rng.uniform(0.5, 2.0, N)
    weight[-5:] = 0
    term = Term(Points(x, weight), indicators(index, n_classes))
    return CrossEntropy(term, 0.0, basis or NeuralBasis(5, 2))


@pytest.mark.parametrize("n_classes", [2, 3])
@pytest.mark.parametrize(
    "basis", [NeuralBasis(5, 1, constant=False), NeuralBasis(4, 3, residual=True)], ids=str
)
def test_the_gradient_is_that_of_the_loss(n_classes, basis):
    objective = loss(n_classes, basis)
    rows, link = rows_of(objective), objective.link
    rows = dataclasses.replace(rows, x=rows.x.astype(float), root=rows.root.astype(float))
    layout = Layout(basis, 2, objective.n_outputs)
    theta = 0.5 * np.random.default_rng(1).normal(size=layout.size)
    slope = np.empty_like(theta)
    adam._gradient(layout, theta, rows.x, rows.y, rows.root**2, link, slope)

    def value(theta):
        network, c = layout.unpacked(theta, rows)
        z = objective.term.points.x
        return float(objective.surprise(basis.values(z, network) @ c))

    for k in range(0, layout.size, 3):
        step = np.zeros(layout.size)
        step[k] = 1e-5
        numeric = (value(theta + step) - value(theta - step)) / 2e-5
        assert abs(numeric - slope[k]) <= 1e-7


def test_training_lowers_the_loss_repeats_and_keeps_the_best_epoch():
    objective, unseen = loss(3), loss(3, seed=1)
    start = first_network(objective, [0])

    def again(seed):
        trainer = Adam(3e-2, epochs=15, seed=(seed,))
        return train(trainer, objective, start, key=None, validation=unseen)

    first = again(0)
    assert first.history.loss[-1] < 0.9 * first.history.loss[0]
    assert first.validation == min(first.history.validation)
    assert_same_bits(first.history.loss, again(0).history.loss)
    assert not np.array_equal(first.history.loss, again(1).history.loss)
    assert first.history.learning_rate[0] == 0
    assert first.history.learning_rate[-1] <= 1e-6


def test_a_stopped_run_goes_on_as_if_it_had_not_stopped():
    objective = loss(2)
    start, trainer = first_network(objective, [0]), Adam(epochs=6)
    whole = train(trainer, objective, start, key=None, budget=Budget(6))
    part = train(trainer, objective, start, key=None, budget=Budget(2))
    rest = train(trainer, objective, start, key=None, budget=Budget(6), resume=part)
    assert_same_bits(rest.history.loss, whole.history.loss)


def test_an_input_that_hardly_ever_varies_does_not_rule_the_others(monkeypatch):
    """Divided by its deviation, an input that is 1 in one row of 90 would be 9 there."""
    objective = loss(2)
    rare = np.column_stack([objective.term.points.x, np.arange(N) == 3])
    term = dataclasses.replace(objective.term, points=Points(rare, objective.term.points.weight))
    largest = []
    for least in (adam.LEAST_SCALE, 0.0):
        monkeypatch.setattr(adam, "LEAST_SCALE", least)
        x = rows_of(dataclasses.replace(objective, term=term)).x
        largest.append(np.abs(x[:, 2]).max() / np.abs(x[:, :2]).max())
    assert largest[0] < 3 < largest[1]


@pytest.mark.parametrize("arguments", [{"learning_rate": 0.0}, {"epochs": 0}, {"epochs": "many"}])
def test_rates_and_epochs_that_cannot_be_meant(arguments):
    with pytest.raises(ValueError, match=r"Adam\("):
        Adam(**arguments)


def test_functions_that_numpy_cannot_differentiate_are_refused():
    features = FrozenFeatures(5)
    for basis in (features, NeuralBasis(5, 1, activation=jnp.arctan)):
        drawn = basis.init(np.random.SeedSequence(0), np.array([[-1.0, 1.0]] * 2))
        with pytest.raises(TypeError, match=r"Adam\(\): expected a NeuralBasis"):
            train(Adam(), loss(2, basis), drawn, key=None)


@pytest.mark.parametrize("n_classes", [2, 3])
def test_rough_last_layers_are_near_the_optimum(n_classes):
    """In either precision, one ridge after another, and whatever library computes it."""
    objective = loss(n_classes)
    z = objective.term.points.x
    phi = FrozenFeatures(20).values(
        z, FrozenFeatures(20).init(np.random.SeedSequence(0), np.array([[-1.0, 1.0]] * 2))
    )
    start = np.zeros((phi.shape[1], objective.n_outputs))
    ridges = [1.0 / N, 1e-2 / N]
    rough = ridge_path(objective, phi.astype(np.float32), ridges, None, 1e-4)
    fine = ridge_path(objective, phi, ridges, None, 1e-10)
    for ridge, single, double in zip(ridges, rough, fine, strict=True):
        ridged = dataclasses.replace(objective, ridge=ridge)
        exact = newton(ridged, phi, start)
        compiled = newton(ridged, jnp.asarray(phi), jnp.asarray(start))
        assert isinstance(compiled.loss, jax.Array)
        assert isinstance(exact.coefficients, np.ndarray)
        np.testing.assert_allclose(exact.coefficients, compiled.coefficients, atol=1e-8)
        np.testing.assert_allclose(double, exact.coefficients, atol=1e-5)
        assert single.dtype == np.float32
        excess = float(ridged.value(phi @ single.astype(float), single.astype(float)))
        assert excess <= (1 + 1e-4) * float(exact.loss)
        near = nearly(ridged, phi, 1e-4)
        assert float(near.loss) <= (1 + 1e-4) * float(exact.loss)
        assert near.rank == exact.rank
        np.testing.assert_allclose(near.singular_values, exact.singular_values, rtol=1e-10)

"""Each clever step of the searches is missed where it is switched off.

Every test looks at what a step changes in the results of ``fit``, ``fit_pounet`` and ``solve``;
``scripts/switch_off.py`` switches the steps off one after the other and asks that a test here
fails.
"""

import functools

import numpy as np
import pytest

from adabasis import (
    LSGN,
    Box,
    FrozenFeatures,
    NeuralBasis,
    fit,
    fit_pounet,
    operators,
    pde,
    solve,
)
from adabasis.basis import Ensemble, PartitionBasis, ProjectedFeatures, WarpedBasis
from adabasis.geometry.points import Cartesian
from adabasis.pde import catalog

from .laws import relative_error

x, t = pde.coordinates("x", "t")
LINE = Box(x=(0, 1))
FEW = Cartesian(20)
"""Points that limit the functions of two inputs to 220, so that candidates cost little."""


def rows(solution, *words):
    """Return the candidates whose label has all words."""
    return [row for row in solution.candidates if all(word in row["what"] for word in words)]


def least(candidates):
    return min(row["validation_error"] for row in candidates)


# --- Equations -----------------------------------------------------------------------------------


def test_a_weight_of_the_conditions_that_lowers_the_residuals_is_taken():
    """Few functions cannot turn within the layer: meeting both conditions spoils the equation.

    It is too wide for an exponential of its own.
    """
    layer = pde.LinearProblem(
        LINE, operators.Partial(x) - 1 / 18 * operators.Partial(x, 2), 1.0, [pde.Dirichlet(0.0)]
    )
    u = solve(layer, FrozenFeatures(3, scale=1.0))
    plain, other = (
        [row for row in u.candidates if (row["weight"] == 1.0) == as_is] for as_is in (True, False)
    )
    assert u.candidates[0] in other
    assert least(other) < 0.65 * least(plain)
    assert u.validation_error == least(other)


def test_functions_are_added_while_the_residual_asks_for_it():
    waves = np.sin(150 * x)
    u = solve(
        pde.LinearProblem(
            LINE,
            -operators.Partial(x, 2),
            150**2 * waves,
            [pde.Dirichlet(waves)],
            exact=waves,
        ),
        method="frozen",
        points=Cartesian(400),
    )
    widths = sorted({row["functions"] for row in u.candidates})
    assert len(widths) == 2
    assert u.candidates[0]["functions"] == widths[1] > 1.5 * widths[0]
    first, second = ([r for r in u.candidates if r["functions"] == width] for width in widths)
    assert least(second) < 0.3 * least(first)
    assert u.error() < 1e-4


def carried(source, start, inflow, exact):
    """Return u_t + x u_x = f, whose characteristics are bent."""
    return pde.LinearProblem(
        Box(x=(0, 1), t=(0, 1)),
        operators.Partial(t) + x * operators.Partial(x),
        source,
        [pde.Initial(start, at=(t, 0.0)), pde.Dirichlet(inflow, on=(x, 0.0))],
        exact=exact,
    )


def test_planes_of_kinks_are_moved_to_the_kink():
    plane = x - 0.5 * t - 0.3
    u = solve(
        carried((x - 0.5) * np.sign(plane), np.abs(x - 0.3), 0.5 * t + 0.3, np.abs(plane)),
        points=FEW,
        max_steps=60,
        n_restarts=3,
        tol=0.022,
    )
    assert u.candidates[0] == rows(u, "moved")[0]
    assert u.candidates[0]["steps"] > 0
    assert u.basis == NeuralBasis(32, 1, activation="relu")
    assert least(rows(u, "moved")) < 0.7 * least(rows(u, "frozen"))


def test_functions_of_coordinates_along_bent_characteristics_are_tried():
    start = functools.partial(catalog.bump, width=0.07)
    u = solve(
        carried(0.0, start(x), start(0 * t), start(x * np.exp(-t))),
        points=FEW,
        max_steps=1,
        n_restarts=1,
        tol=0.1,
    )
    assert isinstance(u.basis, WarpedBasis)
    along = rows(u, "along characteristics")
    others = [row for row in u.candidates if row not in along]
    assert least(along) < 0.4 * least(others)


# --- Data ----------------------------------------------------------------------------------------


def wavy(z):
    return np.sin(2 * z[:, 0]) + 0.5 * np.cos(3 * z[:, 1])


@pytest.fixture(scope="module")
def noisy():
    z = np.random.default_rng(0).uniform(-1, 1, (200, 2))
    y = wavy(z) + 0.3 * np.random.default_rng(2).normal(size=len(z))
    options = {"basis": NeuralBasis(4, 1), "n_restarts": 2, "max_steps": 10}
    return z, y, options, fit(X=z, y=y, ensemble=2, **options)


def restart(model, number):
    (row,) = rows(model, f"trained, restart {number}")
    return row


def test_noise_that_was_met_calls_for_a_ridge(noisy):
    *_, model = noisy
    first, second = (restart(model, number) for number in range(2))
    assert first["relative"] is second["relative"] is False
    assert first["ridge"] == 0.0, "no noise met so far"
    assert second["ridge"] == pytest.approx(first["validation_error"] ** 2 / 40)


def test_steps_under_noise_are_of_single_precision(noisy):
    """The second run, whose ridge stands for noise, is that of such steps to the last bit."""
    z, y, options, model = noisy
    fixed = {"ridge": restart(model, 1)["ridge"], "validation": 0.1}
    single, double = (
        restart(fit(X=z, y=y, method=LSGN(precision=kind), **fixed, **options), 1)[
            "validation_error"
        ]
        for kind in ("single", "double")
    )
    assert restart(model, 1)["validation_error"] == single != double
    assert single == pytest.approx(double, rel=1e-2)


def test_networks_are_averaged_under_noise(noisy):
    *_, model = noisy
    assert isinstance(model.basis, Ensemble)
    assert model.candidates[0] == rows(model, "mean of 2")[0]
    assert model.candidates[0]["validation_error"] < restart(model, 0)["validation_error"]


def test_features_of_the_directions_that_gradients_show_are_trained():
    def ridge_function(z):
        return np.sin(2 * z @ [1.0, -2.0])

    z, unseen = (np.random.default_rng(s).uniform(-1, 1, (320, 2)) for s in range(2))
    model = fit(X=z, y=ridge_function(z), basis=NeuralBasis(8, 1), ensemble=2, max_steps=40)
    assert isinstance(model.basis, ProjectedFeatures)
    alone = restart(model, 0)["validation_error"]
    assert relative_error(model(unseen), ridge_function(unseen)) < 0.1 * alone


# --- Pieces --------------------------------------------------------------------------------------


def test_ties_find_the_kink_between_two_points():
    z = np.random.default_rng(0).random((60, 1))
    model = fit_pounet(z, abs(z[:, 0] - 0.37), n_partitions=2, degree=1)
    assert isinstance(model.basis, PartitionBasis)
    assert model.basis.continuity > 0
    assert abs(model([[0.37]])[0]) < 1e-9


def test_where_borders_hide_the_error_of_pieces_the_fewest_are_taken():
    z = np.random.default_rng(3).random((450, 2))
    below = z[:, 0] + 0.5 * z[:, 1] < 0.6
    y = np.where(below, 2 + z[:, 0] * z[:, 1], np.cos(3 * z[:, 0]) + z[:, 1] ** 2)
    assert fit_pounet(z, y, degree=4, max_steps=0).basis.n_partitions == 2

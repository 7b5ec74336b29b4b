"""What inputs do: shares of variance against closed forms, derivatives, permutation, and doubts."""

import json
import warnings

import numpy as np
import pytest

import adabasis as ab
from adabasis.basis import Polynomial
from adabasis.evidence import sobol
from adabasis.evidence.sobol import Marginals, estimated, strongest_dependence
from adabasis.models import columns, importance

A, B = 7.0, 0.1
#: Total and first-order indices of the Ishigami function, by hand.
VARIANCE = A**2 / 8 + B * np.pi**4 / 5 + B**2 * np.pi**8 / 18 + 0.5
FIRST = np.array([0.5 * (1 + B * np.pi**4 / 5) ** 2, A**2 / 8, 0.0]) / VARIANCE
INTERACTION = B**2 * np.pi**8 * 8 / 225 / VARIANCE
TOTAL = FIRST + np.array([INTERACTION, 0.0, INTERACTION])
rng = np.random.default_rng(0)
X = rng.uniform(-1, 1, (300, 3))
Y = X[:, 0] + X[:, 0] * X[:, 1] + 0.5 * X[:, 2] ** 2


def ishigami(x):
    return (np.sin(x[:, 0]) + A * np.sin(x[:, 1]) ** 2 + B * x[:, 2] ** 4 * np.sin(x[:, 0]))[
        :, None
    ]


def even(model):
    found = columns.columns_of(model)
    return Marginals(model.n_inputs, [c.inputs for c in found], list(model.box))


def test_indices_of_the_ishigami_function_are_found_within_their_ranges():
    box = Marginals(3, [(0,), (1,), (2,)], [np.array([-np.pi, np.pi])] * 3)
    found = estimated(ishigami, box, 2**15, 0.99)
    for (value, low, high), truth in ((found.total, TOTAL), (found.first, FIRST)):
        assert np.abs(value - truth).max() < 0.02
        assert (low - 1e-3 <= truth).all()
        assert (truth <= high + 1e-3).all()
    assert found.variance == pytest.approx(VARIANCE, rel=0.02)
    fewer = estimated(ishigami, box, 2**11, 0.99)
    assert (fewer.total[2] - fewer.total[1]).mean() > 2 * (found.total[2] - found.total[1]).mean()


@pytest.fixture(scope="module")
def cubic():
    return ab.fit(X, Y, Polynomial(3))


@pytest.mark.parametrize(
    "basis",
    [
        Polynomial(3),
        Polynomial(2, index_set="tensor"),
        Polynomial(3, highest=2),
        ab.PartitionBasis(1, 3),
        ab.basis.plain.AdditiveSplines(5),
    ],
    ids=repr,
)
def test_closed_forms_are_what_quasi_monte_carlo_finds(basis):
    model = ab.fit(X, Y, basis, method="frozen")
    found = ab.importance(model)
    assert found.how.startswith("closed form")
    function = importance._function(model, None)[0]
    other = estimated(function, even(model), 2**15, 0.9)
    for name, (values, _, _) in (("total", other.total), ("first", other.first)):
        exact = [getattr(one, name) for one in found.columns]
        assert exact == pytest.approx(values, abs=0.01)
        assert [getattr(one, f"{name}_range") for one in found.columns] == [(v, v) for v in exact]


def test_a_polynomial_solved_again_with_other_rows_is_orthogonal_over_their_box(cubic):
    wider = ab.refit(cubic, 2 * X + 1, Y)  # the same values on a box twice as wide
    found, before = ab.importance(wider), ab.importance(cubic)
    totals = [[one.total for one in each.columns] for each in (found, before)]
    assert totals[0] == pytest.approx(totals[1], abs=1e-6)


def test_functions_that_are_no_polynomials_are_integrated(cubic):
    assert ab.importance(cubic, X, over="data").how.startswith("quasi-Monte Carlo")
    logs = ab.fit(X, np.exp(Y), Polynomial(2), target_transform="log")
    assert ab.importance(logs, n_evaluations=2**10).how.startswith("quasi-Monte Carlo")
    two = ab.fit(X, Y, ab.PartitionBasis(2, 1), method="frozen")
    assert ab.importance(two, n_evaluations=2**10).how.startswith("quasi-Monte Carlo")


def test_of_a_linear_function_all_three_say_the_same():
    y = 2 * X[:, 0] - X[:, 1]
    model = ab.fit(X[:150], y[:150], Polynomial(1))
    found = ab.importance(model, X[150:], y[150:], n_repeats=20)
    for one, share in zip(found.columns, (0.8, 0.2, 0.0), strict=True):
        assert one.total == pytest.approx(share, abs=0.02)
        assert one.first == pytest.approx(one.total, abs=1e-9)
        assert one.gradient == pytest.approx(one.total, abs=0.02)
        low, high = one.permutation_range
        assert low - 0.05 < 2 * share < high + 0.05
    assert (found.n_rows, found.notes) == (150, ())


def test_derivatives_bound_the_total_index(cubic):
    for one in ab.importance(cubic).columns:
        assert one.total <= 12 / np.pi**2 * one.gradient_range[1]


def test_columns_of_several_outputs_and_of_classes_are_summed():
    both = ab.fit(X, np.c_[X[:, 0], 100 * X[:, 1]], Polynomial(1))
    assert [round(one.total, 2) for one in ab.importance(both).columns] == [0.5, 0.5, 0.0]
    assert [round(one.total, 2) for one in ab.importance(both, output=1).columns] == [0, 1, 0]
    labels = np.where(X[:, 1] > 0, "up", "down")
    model = ab.classify(X[:200], labels[:200], ab.FrozenFeatures(12), method="frozen", ridge=1.0)
    found = ab.importance(model, X[200:], labels[200:], n_evaluations=2**11)
    assert found.ranked[0].name == "x2"
    assert found.ranked[0].permutation_range[0] > max(one.permutation for one in found.ranked[1:])


def test_rows_that_the_model_was_fitted_to_are_told(cubic):
    assert ab.importance(cubic, X, Y, n_repeats=1).notes == (importance.KNOWN_ROWS,)


def test_groups_and_weights_count(cubic):
    weight = (np.arange(300) < 100).astype(float)
    groups = np.arange(300) // 30
    part = ab.importance(cubic, X[:100], Y[:100], n_repeats=2)
    some = ab.importance(cubic, X, Y, sample_weight=weight, n_repeats=2)
    assert some.columns == part.columns
    grouped = ab.importance(cubic, X, Y, groups=groups, n_repeats=2)
    assert grouped.columns[0].permutation == pytest.approx(some.columns[0].permutation, rel=0.5)


@pytest.mark.parametrize(("share", "told"), [(0.65, False), (0.76, True)])
def test_columns_that_share_half_of_what_they_say_are_told(cubic, share, told):
    z = X.copy()
    z[:, 1] = share * X[:, 0] + np.sqrt(1 - share**2) * X[:, 1]
    model = ab.fit(z, Y, Polynomial(1))
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        found = ab.importance(model, z)
    assert ("strongly dependent" in str(found)) is told
    assert bool(seen) is told


def test_a_dependence_that_no_correlation_shows_is_told():
    angle = rng.uniform(0, 2 * np.pi, 300)
    ring = np.c_[np.cos(angle), np.sin(angle)]
    model = ab.fit(ring, ring[:, 0], Polynomial(1))
    with pytest.warns(UserWarning, match="combinations lie far from all rows"):
        ab.importance(model)


def test_dependence_of_categories_is_not_that_of_chance():
    codes = np.eye(8)[rng.integers(8, size=60)]
    x = np.c_[codes, rng.normal(size=60)]
    assert strongest_dependence(x, [tuple(range(8)), (8,)])[0] < 0.2
    x[:, 8] = codes @ np.arange(8) + 0.1 * rng.normal(size=60)
    assert strongest_dependence(x, [tuple(range(8)), (8,)])[0] > 0.9


def test_a_constant_function_hangs_on_nothing():
    for basis in (Polynomial(1), ab.basis.plain.AdditiveSplines(3)):
        found = ab.importance(ab.fit(X, np.full(300, 3.0), basis))
        assert [one.total for one in found.columns] == [0, 0, 0]
        assert "constant" in found.notes[0]
    flat = estimated(lambda x: np.ones((len(x), 1)), even(ab.fit(X, Y, Polynomial(1))), 2**9, 0.9)
    assert flat.variance == 0


def test_results_are_printed_drawn_and_stored(cubic):
    found = ab.importance(cubic, X, Y, n_repeats=1)
    text = str(found).splitlines()
    assert text[0].split()[:2] == ["column", "total"]
    assert [line.split()[0] for line in text[1:4]] == [one.name for one in found.ranked]
    stored = json.loads(json.dumps(found.to_json(), allow_nan=False))
    assert stored["columns"][0]["total"] == found.columns[0].total
    assert len(found.plot().axes) == 2
    assert len(ab.importance(cubic).plot().axes) == 1


def test_between_few_and_many_points_are_taken(monkeypatch):
    asked = []
    monkeypatch.setattr(
        sobol,
        "_scramble",
        lambda f, m, power, seed: asked.append(power) or (1.0, np.ones(1), np.ones(1), 1.0),
    )
    box = Marginals(1, [(0,)], [np.array([0.0, 1.0])])
    for n in (1, 2**11, 2**30):
        estimated(ishigami, box, n, 0.9)
    assert (len(asked), asked[0], asked[8], asked[16]) == (24, 5, 6, 13)


@pytest.mark.parametrize(
    ("arguments", "options", "message"),
    [
        ((), {"y": Y}, "rows X are needed"),
        ((), {"over": "data"}, "rows X are needed"),
        ((X,), {"over": "rows"}, "'box' or 'data'"),
        ((X[:, :2],), {}, r"an \(N, 3\) array"),
        ((X, Y[:9]), {}, "300 rows and 9 values"),
        ((X, np.c_[Y, Y]), {}, "1 outputs, y has 2"),
        ((X * np.nan,), {}, "NaN"),
        ((), {"coverage": 90}, "say 0.9"),
        ((), {"output": 1}, "from 0 to 0"),
        ((), {"n_repeats": 0}, "at least 1"),
        ((X, Y), {"sample_weight": np.zeros(300)}, "not all zero"),
    ],
)
def test_bad_input_is_told(cubic, arguments, options, message):
    with pytest.raises(ValueError, match=message):
        ab.importance(cubic, *arguments, **options)


def test_other_models_are_told_where_to_look():
    with pytest.raises(TypeError, match=r"sklearn\.inspection"):
        ab.importance(ishigami, X)

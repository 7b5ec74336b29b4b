"""Support is high among the rows, low in gaps, and values there stay near those of the rows."""

import numpy as np
import pytest

import adabasis as ab
from adabasis.evidence import support
from adabasis.models.loading import load

pytestmark = pytest.mark.plain_scope


def cloud():
    r = np.random.default_rng(0)
    a = r.uniform(-1, 1, 300)
    X = np.c_[a, a + 0.02 * r.normal(size=300)]
    return X, np.sin(4 * X[:, 0]) * np.exp(X[:, 1]), [[0.9, -0.9], [-0.9, 0.9]]


def gap():
    x = np.r_[np.linspace(0, 1, 60), np.linspace(9, 10, 60)]
    return x[:, None], 100 + 3 * x + 0.5 * np.sin(6 * x), [[5.0], [3.0], [7.0]]


def ring():
    r = np.random.default_rng(0)
    angle, radius = r.uniform(0, 2 * np.pi, 250), r.uniform(0.9, 1.0, 250)
    X = radius[:, None] * np.c_[np.cos(angle), np.sin(angle)]
    return X, np.sin(3 * angle) + radius, [[0.0, 0.0], [0.9, 0.9]]


@pytest.mark.parametrize("make", [cloud, gap, ring])
def test_gaps_have_little_support_and_no_explosion(make, tmp_path):
    X, y, empty = make()
    model = ab.fit(X, y, ab.FrozenFeatures(100), n_restarts=2)
    assert np.quantile(model.support(X), 0.1) > 0.5
    assert model.support(empty).max() < support.LOW
    axes = [np.linspace(low, high, 41) for low, high in model.box]
    box = np.stack(np.meshgrid(*axes), axis=-1).reshape(-1, X.shape[1])
    middle, reach = (y.min() + y.max()) / 2, np.ptp(y)
    assert np.abs(model(box) - middle).max() <= 3 * reach
    (note,) = [note for note in model.notes if "farther from every row" in note]
    of_box = np.mean(model._nearness.support(model.input_map(box)) < support.LOW)
    assert abs(int(note.split()[0]) / 100 - of_box) < 0.1
    assert dict(model.trust.rows())["Support"].split()[:2] == note.split()[:2]  # the same share
    model.save(tmp_path / "m.adabasis")
    np.testing.assert_allclose(load(tmp_path / "m.adabasis").support(empty), model.support(empty))


def test_rows_that_fill_the_box_leave_no_gap_to_speak_of():
    X = np.random.default_rng(0).uniform(size=(200, 3))
    model = ab.fit(X, X.sum(axis=1), ab.FrozenFeatures(30))
    assert not any("farther from every row" in note for note in model.notes)
    fresh = np.random.default_rng(1).uniform(size=(500, 3))
    assert np.median(model.support(fresh)) > 0.9


def test_a_direction_that_no_row_tells_has_no_leverage_support():
    A = np.random.default_rng(0).normal(size=(50, 4))
    A[:, 3] = 0.0
    got = support.by_leverage(A, np.array([[1.0, 0, 0, 0], [0, 0, 0, 1.0]]))
    assert got[0] == 1
    assert got[1] < 1e-3


def test_who_has_no_rows_says_so():
    model = ab.fit(np.linspace(0, 1, 50)[:, None], np.linspace(0, 1, 50), ab.FrozenFeatures(8))
    import dataclasses

    with pytest.raises(ValueError, match="does not know where its rows lie"):
        dataclasses.replace(model, places=None).support([[0.5]])


def test_a_model_that_is_solved_again_is_supported_by_the_new_rows():
    x = np.linspace(0, 1, 100)[:, None]
    model = ab.fit(x, np.sin(x[:, 0]), ab.FrozenFeatures(8))
    again = ab.refit(model, x + 1, np.sin(x[:, 0] + 1))
    assert model.support([[1.8]])[0] < support.LOW < again.support([[1.8]])[0]
    assert again.support([[0.2]])[0] < support.LOW


def test_some_rows_tell_what_distance_is_usual(monkeypatch):
    rng = np.random.default_rng(0)
    places, z = rng.uniform(size=(3000, 2)), rng.uniform(-0.2, 1.2, size=(500, 2))
    some = support.by_distance(places, z)
    monkeypatch.setattr(support, "MOST_ASKED", 10**9)
    assert not np.array_equal(some, support.by_distance(places, z))
    assert np.abs(some - support.by_distance(places, z)).max() < 0.1


def test_gaps_that_are_narrow_beside_the_box_are_not_remote():
    """A point may be far beside how rows usually lie, and near beside the box."""
    line = np.linspace(0, 1, 301)[:, None]
    for width, low, high in ((0.03, 0.0, 0.1), (0.3, 0.99, 1.0)):
        places = line[np.abs(line[:, 0] - 0.5) > width / 2]
        nearness = support.Nearness(places)
        assert nearness.support(np.array([[0.5]]))[0] < 1 / 3
        assert low <= nearness.remoteness(np.array([[0.5]]))[0] <= high

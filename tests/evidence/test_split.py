"""Rows that belong together are held out together, and others are not."""

import tracemalloc

import numpy as np
import pytest

from adabasis.evidence import split as s
from adabasis.selection.places import distinct
from adabasis.selection.prepared import Prepared

RNG = np.random.default_rng(0)


def around(places, each, jitter, d, scale=1.0):
    """Return rows beside places, and the place of each."""
    at = np.repeat(np.arange(places), each)
    x = RNG.uniform(-1, 1, (places, d))[at] + jitter * RNG.normal(size=(places * each, d))
    return scale * x, at


@pytest.mark.parametrize("jitter", [1e-12, 1e-7, 1e-4])
@pytest.mark.parametrize(("places", "each", "d"), [(40, 2, 3), (20, 7, 2), (60, 3, 1), (25, 4, 5)])
@pytest.mark.parametrize("scale", [1.0, 1e9])
def test_near_duplicates_are_one_place(places, each, d, jitter, scale):
    if d == 1 and jitter > 1e-5:
        pytest.skip("60 places on a line are nearer than that")
    x, at = around(places, each, jitter, d, scale)
    label, why = s.kept_together(x, np.arange(len(x)), None)
    assert why == "near-duplicates kept together"
    # Places that happen to lie near each other may be one, but none is in two.
    assert all(len(set(label[at == place])) == 1 for place in range(places))
    assert label.max() + 1 >= 0.8 * places


@pytest.mark.parametrize("d", [1, 2, 5])
@pytest.mark.parametrize("draw", ["uniform", "standard_normal", "standard_cauchy"])
def test_rows_that_are_drawn_evenly_have_hardly_any(d, draw):
    x = getattr(RNG, draw)(size=(300, d))
    assert s.near_duplicates(x / np.ptp(x, axis=0)).max() + 1 >= 285


def test_a_patch_with_most_of_the_rows_is_no_place():
    x = np.r_[np.linspace(0, 1, 190), np.linspace(2, 30, 10)][:, None] / 30
    assert len(np.unique(s.near_duplicates(x))) == 200


def test_few_clusters_are_left_apart():
    """Two or three places would leave nothing to hold out."""
    x, _ = around(5, 20, 1e-7, 2)
    assert len(np.unique(s.near_duplicates(x))) == 100


def test_groups_join_places_and_places_join_groups():
    x = np.array([0.0, 0.0, 1.0, 2.0, 3.0, 4.0])[:, None]
    at = np.array([0, 0, 1, 2, 3, 4])
    groups = np.array([0, 1, 1, 2, 2, 3])
    label, why = s.kept_together(x, at, groups)
    assert label.tolist() == [0, 0, 1, 1, 2]
    assert why == "groups kept together"


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9])
def test_no_group_is_on_both_sides(share):
    x, groups = around(30, 5, 0.1, 3)
    kept, out = s.split(x, share, 0, groups)
    assert sorted([*kept, *out]) == list(range(150))
    assert not set(groups[kept]) & set(groups[out])
    assert len(set(groups[out])) == round(30 * share)


def test_the_last_rows_are_the_last_ones():
    kept, out = s.split(RNG.normal(size=(50, 2)), "last", 0)
    assert out.tolist() == list(range(40, 50))
    assert kept.tolist() == list(range(40))


def test_folds_hold_every_label_out_at_most_once():
    out = list(s.folds(47, 0.1, 0))
    assert len(out) == 9
    assert len(np.unique(np.concatenate(out))) == 45


@pytest.mark.parametrize("holdout", ["first", 1.0, -0.1, True, 2])
def test_what_cannot_be_held_out_is_refused(holdout):
    with pytest.raises(ValueError, match=r"fit\(holdout="):
        s.checked_holdout("fit", holdout)


@pytest.mark.parametrize("groups", [np.zeros(5), np.arange(4), np.ones((5, 1))])
def test_groups_that_cannot_be_kept_apart_are_refused(groups):
    with pytest.raises(ValueError, match=r"fit\(groups\)"):
        s.checked_groups("fit", groups, 5)


def test_groups_may_have_any_labels():
    for labels in (["b", "a", "b"], [None, "x", None], [2.5, -1.0, 2.5], [10, 3, 10]):
        numbered = s.checked_groups("fit", labels, 3)
        assert numbered[0] == numbered[2] != numbered[1]


def test_rows_in_order_of_a_column_are_told():
    x = np.c_[RNG.normal(size=200), np.arange(200)]
    (said,) = s.told_by_order(x, RNG.normal(size=200))
    assert "in order of input 2" in said
    assert "--holdout last" in said
    assert list(s.told_by_order(x[RNG.permutation(200)], RNG.normal(size=200))) == []
    assert list(s.told_by_order(x[:, 1:], np.cumsum(RNG.normal(size=200)))) == []


def test_errors_of_neighbours_in_the_table_that_are_alike_are_told():
    x, steps = RNG.normal(size=(200, 2)), RNG.normal(size=200)
    (said,) = s.told_by_order(x, np.cumsum(steps))
    assert "they are a series, or in groups" in said
    assert list(s.told_by_order(x, steps)) == []
    assert list(s.told_by_order(x[:39], np.cumsum(steps)[:39])) == []
    assert list(s.told_by_order(x, np.zeros(200))) == []


@pytest.mark.parametrize("n_inputs", [1, 2, 3])
def test_distinct_rows_are_those_that_numpy_finds(n_inputs):
    r = np.random.default_rng(n_inputs)
    for x in (r.normal(size=(50, n_inputs)), r.integers(-1, 2, (50, n_inputs)) * -1.0):
        first, at = distinct([*x.T])
        _, numpy_first, numpy_at = np.unique(x, axis=0, return_index=True, return_inverse=True)
        np.testing.assert_array_equal(first, numpy_first)
        np.testing.assert_array_equal(at, numpy_at.ravel())


def test_rows_are_prepared_in_little_memory():
    """Inputs in order and in the unit box are two copies of the data; none for each fold."""
    x = np.random.default_rng(0).uniform(size=(40_000, 10))
    y = x.sum(axis=1)
    tracemalloc.start()
    data = Prepared("fit", x, y, None, "auto", 0, split_by_default=True)
    held, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert len(data.folds) == 10
    assert held < 3.2 * (x.nbytes + y.nbytes)
    assert peak < 4 * (x.nbytes + y.nbytes)
    kept, out = data.folds[3]
    assert len(kept) + np.count_nonzero(out.points.weight) == len(x)
    assert data.fold(13)[0] is kept

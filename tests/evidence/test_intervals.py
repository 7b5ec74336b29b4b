"""Conformal scores: how many rows a coverage needs, what they promise, and groups."""

import numpy as np
import pytest

from adabasis.evidence.intervals import Scores, checked_coverage, fewest_rows


def test_the_least_number_of_rows_is_the_one_from_which_bounds_are_finite():
    for coverage in (0.5, 0.8, 0.9, 0.95, 0.99):
        n = fewest_rows(coverage)
        for size, finite in ((n, True), (n - 1, False)):
            scores = Scores.of(np.linspace(1, 2, size)[:, None], "split")
            assert np.isfinite(scores.bounds(coverage)).all() == finite


def test_the_right_one_of_the_sizes_is_taken():
    scores = Scores.of(np.arange(1.0, 10.0)[:, None] * (-1.0) ** np.arange(9)[:, None], "split")
    np.testing.assert_array_equal(scores.bounds(0.9), [[-9.0], [9.0]])
    np.testing.assert_array_equal(scores.bounds(0.5), [[-5.0], [5.0]])
    # 1, 3, 5, 7, 9 are above: of ten places, two tails of a tenth each leave the outermost out.
    np.testing.assert_array_equal(scores.bounds(0.8, signed=True), [[-8.0], [9.0]])


@pytest.mark.parametrize("draw", ["normal", "standard_cauchy", "exponential"])
def test_new_scores_lie_within_the_bounds_as_often_as_promised(draw):
    rng, held = np.random.default_rng(0), []
    for _ in range(400):
        values = getattr(rng, draw)(size=30)
        bounds = Scores.of(values[:29, None], "split").bounds(0.8)
        held.append(bounds[0, 0] <= values[29] <= bounds[1, 0])
    # of 400 draws, 0.8 ± three standard errors
    assert abs(np.mean(held) - 0.8) < 3 * np.sqrt(0.16 / 400)


def test_a_group_counts_once_whatever_its_rows():
    rng, held, pooled = np.random.default_rng(0), [], []
    sizes = np.array([200] + [2] * 19)
    group = np.repeat(np.arange(20), sizes)
    for _ in range(200):
        wild = rng.exponential(size=21) ** 2
        values = rng.normal(size=len(group)) * wild[group]
        new = rng.normal() * wild[20]
        for found, label in ((held, group), (pooled, None)):
            low, high = Scores.of(values[:, None], "split", group=label).bounds(0.8)[:, 0]
            found.append(low <= new <= high)
    assert np.mean(held) >= 0.8 - 3 * np.sqrt(0.16 / 200)
    assert np.mean(pooled) < np.mean(held)  # where the large group decides


def test_few_groups_of_many_rows_bound_nothing():
    scores = Scores.of(np.ones((800, 1)), "split", group=np.arange(800) % 8)
    assert np.isinf(scores.bounds(0.9)).all()
    assert np.isfinite(scores.bounds(0.85)).all()
    assert scores.enough_for == pytest.approx(8 / 9)
    assert "8 groups" in scores.told(0.85)


def test_a_row_of_weight_two_is_two_rows():
    rng = np.random.default_rng(1)
    values, weight = rng.normal(size=(40, 1)), rng.integers(1, 4, 40).astype(float)
    twice = Scores.of(np.repeat(values, weight.astype(int), axis=0), "split")
    weighted = Scores.of(values, "split", weight)
    # 40 rows know less than 80: at most one of the sizes farther out
    assert np.abs(weighted.bounds(0.8)[1] - twice.bounds(0.8)[1]) < 0.3
    none = Scores.of(values, "split", np.where(np.arange(40) < 3, 0.0, weight))
    assert len(none) == 37


@pytest.mark.parametrize("bad", [0, 1, 0.0, 1.0, -0.1, 90, 1.5, np.nan, "0.9", True, None, [0.9]])
def test_what_is_no_coverage_is_refused(bad):
    with pytest.raises(ValueError, match=r"f\(coverage=.*between 0 and 1"):
        checked_coverage("f", bad)


def test_per_cent_are_translated():
    with pytest.raises(ValueError, match=r"For 90 % write 0.9"):
        checked_coverage("f", 90)

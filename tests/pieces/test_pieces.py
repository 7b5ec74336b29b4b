"""Pieces of data: every start against brute force or against data made of known pieces."""

import dataclasses
import itertools

import numpy as np
import pytest

from adabasis import fit_pounet
from adabasis.basis import NetworkPartition, PolynomialPartition, RBFPartition
from adabasis.basis.pou.partition import hard_assignment
from adabasis.pou.borders import breakpoints, interval_weights, shaped, steepness
from adabasis.pou.candidates import Segmentation, different, ranked, segmentations
from adabasis.pou.segmentation import LocalFits, features
from adabasis.pou.starts import (
    STARTS,
    SegmentationOptions,
    cells,
    insertion,
    merging,
    reseeded,
    segment,
)

from ..laws import assert_close
from ..registry import draw

BREAKS = np.array([0.2, 0.37, 0.61, 0.8])


def continuous(x):
    """Quadratic pieces that meet at BREAKS with kinks."""
    bend = np.maximum(x - BREAKS, 0.0) * (np.arange(4) % 2 * 2 - 1) * (30, 25, 20, 35)
    return (1 + 3 * x - x**2)[:, 0] + bend.sum(axis=1)


def interval(n=400, seed=0, noise=0.0, degree=2):
    rng = np.random.default_rng(seed)
    x = np.sort(rng.random(n))[:, None]
    y = continuous(x) + noise * rng.normal(size=n)
    return LocalFits(x, ((y - y.mean()) / y.std())[:, None], np.ones(n), degree)


def plane(n=900, seed=0, degree=2):
    """Two quadratics on the two sides of a circle, and the true labels."""
    x = np.random.default_rng(seed).random((n, 2))
    inside = np.sum((x - 0.5) ** 2, axis=1) < 0.1
    y = np.where(inside, 2 - x[:, 0] ** 2, x[:, 0] * x[:, 1])
    return LocalFits(x, y[:, None], np.ones(n), degree), inside.astype(int)


def same_pieces(a, b):
    """Two labellings are one up to their numbers."""
    pairs = {(int(i), int(j)) for i, j in zip(a, b, strict=True)}
    return len(pairs) == len({i for i, _ in pairs}) == len({j for _, j in pairs})


def test_segments_are_the_best_of_all():
    """Sums of squares against all ways of cutting 12 weighted points of two outputs."""
    rng = np.random.default_rng(0)
    x, y, w = np.sort(rng.random(12)), rng.normal(size=(12, 2)), rng.uniform(0.5, 2, 12)

    def cost(a, b):
        root = np.sqrt(w[a:b])[:, None]
        rows = root * np.vander(x[a:b], 2)
        c = np.linalg.lstsq(rows, root * y[a:b])[0]
        return np.sum((rows @ c - root * y[a:b]) ** 2)

    for count, starts in enumerate(segment(x, y, 1, 4, weight=w), 1):
        ways = itertools.combinations(range(2, 11), count - 1)
        ends = [(0, *way, 12) for way in ways]
        possible = [e for e in ends if np.diff(e).min() >= 2]
        best = min(sum(itertools.starmap(cost, itertools.pairwise(e))) for e in possible)
        assert len(starts) == count
        found = sum(itertools.starmap(cost, itertools.pairwise((*starts, 12))))
        assert found <= best * (1 + 1e-9)


def test_segments_stop_where_points_run_out():
    x = np.linspace(0, 1, 7)
    found = segment(x, np.sin(9 * x)[:, None], 2, 9)
    assert [len(starts) for starts in found] == [1, 2]


@pytest.mark.parametrize("start", ["segments", "merging", "insertion"])
@pytest.mark.parametrize("seed", range(3))
def test_pieces_of_an_interval_are_found_exactly(start, seed):
    fits = interval(seed=seed)
    labels = fits.settled(STARTS[start](fits, 5)[5])
    assert np.sqrt(fits.loss(labels)) < 1e-12
    assert same_pieces(labels, np.searchsorted(BREAKS, fits.x[:, 0]))
    assert np.abs(breakpoints(fits, labels) - BREAKS).max() < 1e-11


def test_schwarz_criterion_finds_the_number_of_pieces_under_noise():
    fits = interval(noise=0.05)
    found = STARTS["segments"](fits, 12)
    best = min(found.values(), key=fits.criterion)
    assert best.max() + 1 == 5


@pytest.mark.parametrize("start", ["merging", "insertion"])
@pytest.mark.parametrize("seed", range(3))
def test_both_sides_of_a_circle_are_found(start, seed):
    fits, true = plane(seed=seed)
    assert same_pieces(fits.settled(STARTS[start](fits, 2)[2]), true)


@pytest.mark.parametrize("start", ["merging", "insertion"])
def test_a_start_goes_through_every_number_of_pieces(start):
    fits, _ = plane()
    found = STARTS[start](fits, 9)
    assert sorted(found) == list(range(1, 10))
    for count, labels in found.items():
        assert sorted(set(labels)) == list(range(count))
    losses = [fits.loss(found[count]) for count in sorted(found)]
    assert np.all(np.diff(losses) <= 1e-15)


def test_a_piece_is_inserted_where_the_residual_is_largest():
    """Two kinks, of which the second is ten times the first."""
    x = np.random.default_rng(0).random((300, 1))
    y = np.abs(x - 0.3) + 10 * np.abs(x - 0.8)
    labels = insertion(LocalFits(x, y, np.ones(300), 1), 3)
    assert same_pieces(labels[3], np.searchsorted([0.3, 0.8], x[:, 0]))
    border = x[labels[2] == labels[2][np.argmin(x)]].max()
    assert abs(border - 0.8) < abs(border - 0.3)


def test_insertion_stops_where_points_run_out():
    x = np.linspace(0, 1, 9)[:, None]
    found = insertion(LocalFits(x, np.sin(40 * x), np.ones(9), 2), 9)
    assert sorted(found) == [1, 2, 3][: len(found)]


@pytest.mark.parametrize("seed", range(10))
def test_merging_crosses_gaps_between_islands(seed):
    rng = np.random.default_rng(seed)
    x = np.concatenate([0.1 * rng.random((30, 2)) + (j / 4, 0.5 * (j % 2)) for j in range(4)])
    y = 5.0 * (x[:, :1] > 0.45) + 0.3 * rng.normal(size=(120, 1))
    assert sorted(merging(LocalFits(x, y, np.ones(120), 1), 3)) == [1, 2, 3]


def test_cells_are_halves_of_halves():
    x = np.random.default_rng(0).random((500, 3))
    counts = np.bincount(cells(x, 20))
    assert counts.sum() == 500
    assert counts.min() >= 20
    assert counts.max() < 40


def test_cuts_find_a_plane_in_five_inputs():
    rng = np.random.default_rng(0)
    x, a = rng.random((1000, 5)), np.array([3.0, -2, 1, 0, 1]) / np.sqrt(15)
    side = (x - 0.5) @ a > 0
    fits = LocalFits(x, np.where(side, 4 * (x - 0.5) @ a, 0.0)[:, None], np.ones(1000), 1)
    path = STARTS["cuts"](fits, 2)
    agree = np.mean(path[2] == side)
    assert max(agree, 1 - agree) > 0.75
    assert fits.loss(path[2]) < 0.5 * fits.loss(path[1])


def test_a_tree_cuts_along_the_axes_and_has_polynomial_leaves():
    x = np.random.default_rng(0).random((400, 2))
    high = x[:, 1] > 0.5
    fits = LocalFits(x, np.where(high, x @ [1.0, 2.0], 3 - x[:, 0])[:, None], np.ones(400), 1)
    labels = STARTS["tree"](fits, 2)[2]
    below = labels == labels[np.argmin(x[:, 1])]
    assert x[below, 1].max() < x[~below, 1].min()
    assert np.mean(below == high) < 0.03  # it cuts off one of a few shares of the points


@pytest.mark.parametrize("count", [2, 5, 9])
def test_settling_never_raises_the_loss(count):
    fits = interval(noise=0.1)
    labels = merging(fits, count)[count]
    assert fits.loss(fits.settled(labels)) <= fits.loss(labels)


def test_a_corner_whose_points_have_only_strangers_around_is_settled():
    fits, inside = plane()
    corner = np.all(fits.x > 0.8, axis=1)
    true = inside | corner
    values = np.where(true, 2 - fits.x[:, 0] ** 2, fits.x[:, 0] * fits.x[:, 1])
    fits = dataclasses.replace(fits, y=values[:, None])
    assert np.sum(corner) > fits.neighbours.shape[1]
    assert same_pieces(fits.settled(inside), true)


@pytest.mark.parametrize("seed", range(3))
def test_settling_with_noise_moves_only_borders(seed):
    fits, true = plane(seed=seed)
    y = fits.y + np.random.default_rng(seed).standard_t(3, fits.y.shape) * 0.3
    far = np.all(true[fits.neighbours] == true[:, None], axis=1)
    labels = dataclasses.replace(fits, y=y).settled(true)
    assert np.mean((labels == true)[far]) > 0.98


def test_left_out_errors_are_those_of_fits_without_each_point():
    fits, labels = plane(n=60)
    out = 0.0
    for i in range(60):
        kept = (np.arange(60) != i) & (labels == labels[i])
        c = np.linalg.lstsq(fits.features[kept], fits.y[kept])[0]
        out += np.sum((fits.features[i] @ c - fits.y[i]) ** 2)
    assert_close(1 + fits.loo_error(labels), 1 + np.sqrt(out / 60), 1e-9)
    noisy = LocalFits(fits.x, fits.y + np.sin(99 * fits.x[:, :1]), fits.weight, 2)
    out = 0.0
    for i in range(60):
        kept = (np.arange(60) != i) & (labels == labels[i])
        c = np.linalg.lstsq(noisy.features[kept], noisy.y[kept])[0]
        out += np.sum((noisy.features[i] @ c - noisy.y[i]) ** 2)
    assert_close(noisy.loo_error(labels), np.sqrt(out / 60), 1e-9)


@pytest.mark.parametrize(
    "partition",
    [PolynomialPartition(2, 2), PolynomialPartition(2, 4), NetworkPartition(2, width=32, depth=1)],
)
def test_a_shaped_partition_tells_the_labels_apart(partition):
    fits, labels = plane()
    parameters = shaped(partition, draw(partition), fits, labels)
    owned = hard_assignment(partition, parameters, fits.x)
    assert np.mean(owned == labels) > 0.99
    assert steepness(partition, parameters, fits.x) > 1


def test_intervals_have_their_borders_where_they_are_told():
    partition = PolynomialPartition(5)
    weights = interval_weights(BREAKS, 70.0)
    x = np.linspace(0, 1, 333)[:, None]
    np.testing.assert_array_equal(
        hard_assignment(partition, weights, x), np.searchsorted(BREAKS, x[:, 0])
    )
    assert_close(steepness(partition, weights, x), 70.0, 1e-9)


def test_bumps_sit_on_their_pieces():
    fits, labels = plane()
    bumps = shaped(RBFPartition(2), draw(RBFPartition(2)), fits, labels)
    for k in range(2):
        assert_close(bumps.centre[k], fits.x[labels == k].mean(axis=0), 1e-12)


def test_segmentations_are_ranked_and_prefer_the_smaller_of_equals():
    fits, true = plane()
    held = tuple(a[::9] for a in (fits.x, fits.y, fits.weight))
    rest = np.arange(len(fits.x)) % 9 > 0
    kept = (fits.x[rest], fits.y[rest], fits.weight[rest])
    found = ranked(segmentations(kept, held, SegmentationOptions(degree=2)))
    assert found[0].count == 2
    assert same_pieces(found[0].labels, true[rest])
    assert found[0].score < 0.01 * found[-1].score


def test_an_exact_fit_needs_no_higher_degree():
    fits = interval()
    (first, *_) = found = ranked(
        segmentations((fits.x, fits.y, fits.weight), None, SegmentationOptions())
    )
    assert first.fits.degree == 2
    assert max(each.fits.degree for each in found) == 2


@pytest.mark.parametrize("start", ["cuts", "insertion"])
def test_no_more_pieces_are_made_when_it_is_late(start):
    fits, _ = plane()
    assert list(STARTS[start](fits, 4, SegmentationOptions(deadline=0.0))) == [1]
    (only,) = segmentations(
        (fits.x, fits.y, fits.weight),
        None,
        SegmentationOptions(degree=2, start=start, deadline=0.0),
    )
    assert only.count == 1


def test_pieces_that_own_nothing_get_a_new_place():
    fits, true = plane()
    labels = reseeded(fits, 7 * np.zeros_like(true), 3)
    assert sorted(set(labels)) == [0, 1, 2]
    assert fits.loss(labels) < fits.loss(np.zeros_like(true))


def test_features_are_products_over_the_unit_box():
    x = np.random.default_rng(0).random((5, 2))
    expected = np.stack([np.ones(5), 2 * x[:, 0] - 1, 2 * x[:, 1] - 1], axis=1)
    assert_close(features(x, 1), expected, 1e-15)


def test_unknown_starts_are_named():
    fits, _ = plane(n=50)
    with pytest.raises(ValueError, match="expected 'auto' or one of segments, merging"):
        fit_pounet(fits.x, fits.y, start="luck")
    with pytest.raises(ValueError, match="of one input; these data have 2"):
        fit_pounet(fits.x, fits.y, start="segments")


def test_pieces_that_do_not_help_are_not_trained():
    fits = {degree: plane(n=60, degree=degree)[0] for degree in (1, 2)}

    def made(degree, count, score):
        return Segmentation(fits[degree], np.arange(60) % count, score, "merging")

    found = [made(2, 2, 1e-3), made(2, 3, 1.01e-3), made(2, 4, 2e-3), made(1, 8, 2.5e-3)]
    tried = [(d.fits.degree, d.count) for d in different(ranked(found))]
    assert tried == [(2, 2), (2, 4)]
    assert len(different(ranked(found), "fast")) == 1

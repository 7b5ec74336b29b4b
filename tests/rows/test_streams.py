"""Sources made of others: what is held out, sampled and handed out is a matter of rows alone."""

import pickle
import threading

import numpy as np
import pytest

from adabasis import rows
from adabasis.basis import NeuralBasis
from adabasis.geometry import AffineMap
from adabasis.rows.streams import scattered
from adabasis.train import feed
from adabasis.train.descent import Standard
from adabasis.train.feed import Feed

N = 1000
RNG = np.random.default_rng(0)
X, Y = RNG.normal(size=(N, 3)), RNG.normal(size=(N, 2))
WEIGHT = RNG.uniform(0.5, 2, N) * (np.arange(N) % 7 > 0)
SPLITS = [(rows.Split(0.2, 1.0, 5), 40), (rows.Split(0.0, 0.2, 5), 30), (None, N + 1)]


def cut(seed, n_chunks=60):
    """Return the same rows in uneven chunks."""
    ends = np.random.default_rng(seed).choice(np.arange(1, N), n_chunks - 1, replace=False)
    at = np.split(np.arange(N), np.sort(ends))
    return rows.IterableSource([(X[some], Y[some], WEIGHT[some]) for some in at])


def values(source):
    return [np.concatenate(arrays) for arrays in zip(*source.chunks(), strict=True)]


def test_hashes_are_even_and_of_the_key_alone():
    keys = np.arange(100_000)
    found = scattered(keys, 3)
    assert np.array_equal(found[::-1], scattered(keys[::-1], 3))
    assert abs(np.histogram(found, 10, (0, 1))[0] / 10_000 - 1).max() < 0.05
    assert abs(np.corrcoef(found, scattered(keys, 4))[0, 1]) < 0.02
    assert abs(np.corrcoef(found[1:], found[:-1])[0, 1]) < 0.02


@pytest.mark.parametrize("seed", [0, 1])
def test_one_pass_learns_the_same_however_rows_are_cut(seed):
    whole = rows.summary(rows.ArraySource(X, Y, WEIGHT), SPLITS, 7)
    parts = rows.summary(cut(seed), SPLITS, 7)
    assert parts[0] == whole[0] == N
    for one, other, (split, most) in zip(parts[1], whole[1], SPLITS, strict=True):
        assert np.array_equal(one.sample.numbers, other.sample.numbers)
        for array, expected in zip(one.sample.rows, other.sample.rows, strict=True):
            assert np.array_equal(array, expected)
        used = WEIGHT > 0
        if split is not None:
            used &= split.holds(np.arange(N))
        assert one.statistics.n_rows == used.sum()
        assert len(one.sample.keys) == min(used.sum(), most)
        assert np.isin(one.sample.numbers, np.flatnonzero(used)).all()
        np.testing.assert_allclose(one.statistics.spread, other.statistics.spread, rtol=1e-12)


def test_a_split_divides_rows_and_a_change_maps_them():
    source = cut(2)
    change = rows.Mapped(lambda x: x + 1, lambda y: 2 * y)
    kept, out = (rows.DerivedSource(source, split, change) for split, _ in SPLITS[:2])
    assert kept.n_rows + out.n_rows == (WEIGHT > 0).sum()
    x, y, weight = values(kept)
    some = SPLITS[0][0].holds(np.arange(N))
    assert np.array_equal(x, X[some] + 1)
    assert np.array_equal(y, 2 * Y[some])
    assert np.array_equal(weight, WEIGHT[some])
    assert 0.7 < some.mean() < 0.9


def test_parts_of_derived_sources_are_sent():
    part = rows.DerivedSource(cut(2), SPLITS[0][0]).parts()[3]
    again = pickle.loads(pickle.dumps(part))
    assert all(np.array_equal(a, b) for a, b in zip(part.read(), again.read(), strict=True))
    assert len(pickle.dumps(part)) < 600 + 8 * 6 * part.n_rows


def test_a_value_that_a_change_has_not_is_named():
    source = rows.DerivedSource(
        rows.ArraySource(X, np.abs(Y) * (Y > -2)), None, rows.Mapped(lambda x: x, np.log)
    )
    with pytest.raises(ValueError, match=r"transform of target .* has no value for 0"):
        list(source.chunks())


@pytest.mark.parametrize(("spoil", "words"), [
    (lambda x, y, w: x.__setitem__((777, 1), np.nan), "X: row 777 .from 0., column 1, holds nan"),
    (lambda x, y, w: y.__setitem__((3, 0), np.inf), "y: row 3 .from 0., column 0, holds inf"),
    (lambda x, y, w: w.__setitem__(5, -1.0), "sample_weight: row 5 .from 0. holds -1"),
])  # fmt: skip
def test_a_row_that_is_no_number_is_named(spoil, words):
    arrays = X.copy(), Y.copy(), WEIGHT.copy()
    spoil(*arrays)
    source = rows.IterableSource([tuple(a[k : k + 10] for a in arrays) for k in range(0, N, 10)])
    with pytest.raises(ValueError, match=words):
        rows.summary(source, SPLITS, 0)


def test_reading_is_ahead_by_one_and_hands_errors_on():
    made, gate = [], threading.Event()

    def items():
        for k in range(3):
            made.append(k)
            if k == 1:
                gate.set()
            yield k
        raise OSError("gone")

    ahead = rows.read_ahead(items())
    assert next(ahead) == 0
    assert gate.wait(5), "the second item is made while the first is worked on"
    assert [next(ahead), next(ahead)] == [1, 2]
    with pytest.raises(OSError, match="gone"):
        next(ahead)


def small_feed(source, monkeypatch, window=200, size=32):
    monkeypatch.setattr(feed, "WINDOW_NUMBERS", window * 6)
    monkeypatch.setattr(feed, "FEWEST_ROWS", window)
    basis = NeuralBasis(4, 1)
    standard = Standard.of(basis, X, WEIGHT)
    return Feed(source, standard, (1, 2), size), standard


@pytest.mark.parametrize("size", [150, 500])
def test_a_batch_may_be_longer_than_a_window(size, monkeypatch):
    found, standard = small_feed(cut(3), monkeypatch, size=size)
    assert found.n_batches == len(WEIGHT[WEIGHT > 0]) // size
    known = {tuple(row) for row in standard.points(X[WEIGHT > 0])}
    for step in range(2 * found.n_batches):
        seen = {tuple(row) for row in found.at(step)[0]}
        assert len(seen) == size
        assert seen <= known


@pytest.mark.parametrize("window", [200, 10**6])
def test_points_are_mapped_once_as_by_two_maps_in_turn(window, monkeypatch):
    first = AffineMap(np.array([0.2, -3.0, 1e3]), np.array([0.5, 7.0, 1e-2]))
    source = rows.DerivedSource(cut(3), change=rows.Mapped(first, lambda y: 2 * y))
    monkeypatch.setattr(feed, "WINDOW_NUMBERS", window * 6)
    monkeypatch.setattr(feed, "FEWEST_ROWS", 200)
    standard = Standard.of(NeuralBasis(4, 1), first(X), WEIGHT)
    found = Feed(source, standard, (1, 2), 32)
    assert (found.kept is None) == (window == 200)
    assert found.rows.change.inputs is None, "the points come as they were read"
    x = np.concatenate([found.at(step)[0] for step in range(found.n_batches)])
    known = standard.points(first(X))
    nearest = np.abs(x[:, None] - known[None]).max(axis=2).min(axis=1)
    assert nearest.max() < 1e-6 * np.abs(known).max()


def test_an_epoch_of_batches_is_every_row_once(monkeypatch):
    found, standard = small_feed(cut(3), monkeypatch)
    assert found.kept is None
    epochs = []
    for epoch in range(2):
        steps = range(epoch * found.n_batches, (epoch + 1) * found.n_batches)
        epochs.append(np.concatenate([found.at(step)[0] for step in steps]))
    known = standard.points(X[WEIGHT > 0])
    assert found.n_batches == len(known) // 32
    rest = {tuple(row) for row in known}
    for x in epochs:
        seen = {tuple(row) for row in x}
        assert len(seen) == len(x) == 32 * found.n_batches
        assert seen <= rest
    assert not np.array_equal(*epochs)


def test_a_batch_is_that_of_its_step(monkeypatch):
    found, _ = small_feed(cut(3), monkeypatch)
    kept, _ = small_feed(rows.ArraySource(X, Y, WEIGHT), monkeypatch)
    assert kept.kept is not None
    for one in (found, kept):
        in_turn = [one.at(step) for step in range(40)]
        for step in (37, 3, 4, 30):
            assert all(
                np.array_equal(a, b) for a, b in zip(one.at(step), in_turn[step], strict=True)
            )


def test_rows_that_have_gone_are_missed(monkeypatch):
    class Shrinking:
        n_chunks = 20

        def __iter__(self):
            yield from ((X[k * 50 : k * 50 + 50], Y[:50]) for k in range(self.n_chunks))

    given = Shrinking()
    source = rows.IterableSource(given)
    found, _ = small_feed(source, monkeypatch)
    given.n_chunks = 10
    with pytest.raises(ValueError, match="have changed: 1,000 at the first pass, 500 now"):
        list(map(found.at, range(found.n_batches)))

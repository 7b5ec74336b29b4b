"""Sources of rows: chunks are the rows, whatever their length, and as often as asked."""

import pickle

import jax.numpy as jnp
import numpy as np
import pytest

from adabasis import lstsq, rows

from ..laws import assert_close, assert_same_rows

N, D, Q = 57, 3, 2
LENGTHS = [1, 2, 10, N - 1, N, 10 * N]


def source(seed=0, offset=0.0, unit=1.0):
    rng = np.random.default_rng(seed)
    weight = rng.uniform(0.5, 2.0, N) * (np.arange(N) % 5 > 0)
    y = offset + unit * rng.normal(size=(N, Q))
    return rows.ArraySource(rng.normal(size=(N, D)), y, weight)


def together(chunks):
    return [np.concatenate(arrays) for arrays in zip(*chunks, strict=True)]


@pytest.mark.parametrize("length", LENGTHS)
def test_chunks_are_the_rows_in_order_every_time(length):
    given = source()
    for _ in range(2):
        chunks = list(given.chunks(length))
        assert [len(c.x) for c in chunks[:-1]] == [length] * (len(chunks) - 1)
        for got, expected in zip(together(chunks), given.rows, strict=True):
            assert np.array_equal(got, expected)
    assert (given.n_rows, given.n_inputs, given.n_outputs) == (N, D, Q)


def test_two_passes_at_a_time_do_not_disturb_each_other():
    first, second = source().chunks(10), source().chunks(10)
    next(first)
    assert np.array_equal(next(second).x, source().rows.x[:10])


@pytest.mark.parametrize("length", LENGTHS)
@pytest.mark.parametrize(("offset", "unit"), [(0.0, 1.0), (1e9, 1.0), (0.0, 1e200), (0.0, 1e-200)])
def test_statistics_are_those_of_numpy(monkeypatch, length, offset, unit):
    given = source(offset=offset, unit=unit)
    x, y, weight = given.rows
    used, chunks = weight > 0, given.chunks
    monkeypatch.setattr(given, "chunks", lambda: chunks(length))
    found = given.statistics()
    assert np.array_equal(found.box, np.stack([x[used].min(0), x[used].max(0)], axis=1))
    exact = (y - offset) / unit
    mean = np.average(exact, axis=0, weights=weight)
    spread = np.sqrt(np.average((exact - mean) ** 2, axis=0, weights=weight))
    assert np.all(abs((found.mean - offset) / unit - mean) <= 1e-14 * (1 + abs(offset / unit)))
    # Means of chunks are rounded to eps · 1e9; from sums of squares nothing would be left.
    assert_close(found.spread / unit, spread, 1e-13 if offset == 0 else 1e-7)
    assert_close(found.total_weight, weight.sum(), 1e-14)
    assert found.n_rows == used.sum()


@pytest.mark.parametrize("length", LENGTHS)
def test_reducing_all_is_combining_chunks_of_a_source(length):
    given = source()
    parts = [
        lstsq.reduce(jnp.asarray(c.x), jnp.asarray(c.y), c.weight) for c in given.chunks(length)
    ]
    apart, whole = lstsq.combine(*parts), lstsq.reduce(*map(jnp.asarray, given.rows))
    assert_same_rows(apart.factor, whole.factor)
    assert apart.n_rows == whole.n_rows


def test_rows_without_weights_weigh_one():
    x, y, _ = source().rows
    assert rows.ArraySource(x, y).statistics().total_weight == N


def test_what_is_no_rows_is_named():
    x, y, weight = source().rows
    for arrays in ((x[:, 0], y), (x, y[:, 0]), (x, y[1:]), (x, y, weight[1:]), (x, y, y)):
        with pytest.raises(ValueError, match=r"ArraySource: expected x of shape \(N, D\)"):
            rows.ArraySource(*arrays)
    with pytest.raises(ValueError, match="positive weight"):
        rows.ArraySource(x, y, 0 * weight).statistics()


@pytest.mark.parametrize("length", LENGTHS)
def test_parts_are_the_rows_wherever_they_are_read(length):
    given = source()
    parts = [pickle.loads(pickle.dumps(part)) for part in given.parts(length)]
    assert [part.first for part in parts] == list(range(0, N, length))
    for got, expected in zip(together(part.read() for part in parts), given.rows, strict=True):
        assert np.array_equal(got, expected)
    keys = [key for part in parts for _, key in part.keyed_chunks(7)]
    assert np.array_equal(np.concatenate(keys), np.arange(N))
    if length < N:
        assert len(pickle.dumps(parts[0])) < 600 + 8 * length * (D + Q + 1)

"""Numbers that rule how rows are read, cut, waited for and kept: each is missed when it is off."""

import itertools
import types

import jax
import numpy as np
import pyarrow as pa
import pytest

from adabasis import rows
from adabasis._runtime.errors import EngineError
from adabasis.basis import FrozenFeatures, NeuralBasis
from adabasis.classification import chunked
from adabasis.classification.streamed import Labels
from adabasis.regression import streamed
from adabasis.rows import engine
from adabasis.rows.streams import scattered
from adabasis.selection import checkpoints
from adabasis.tables import survey
from adabasis.train import feed, passes
from adabasis.train.descent import Standard
from adabasis.train.feed import Feed

MIB = 2**20
some = types.SimpleNamespace


def plain(n, d=3):
    rng = np.random.default_rng(0)
    return rng.normal(size=(n, d)), rng.normal(size=(n, 1))


# --- Cutting and joining --------------------------------------------------------------------------


def test_a_million_chunks_are_seven_joins_deep_and_few_elements_are_held():
    depth = held = most = 0
    alive: dict[int, int] = {}

    def element(level):
        nonlocal held, most
        held += 1
        most = max(most, held)
        return level

    def combine(*levels):
        nonlocal held, depth
        held -= len(levels)
        depth = max(depth, max(levels) + 1)
        return element(max(levels) + 1)

    engine.joined((element(0) for _ in range(10**5)), combine)
    assert depth <= 6, "8^6 > 10^5: at most six joins, each of which rounds once"
    assert most <= 8 * 6, "the elements held are those of a level each"
    assert not alive


@pytest.mark.parametrize("n_workers", [1, 2, 100])
@pytest.mark.parametrize("n_parts", [4096, 10**5, 10**6])
def test_each_worker_gets_some_tasks_and_no_thousands(n_parts, n_workers):
    tasks = len(engine.subtrees(range(n_parts), n_workers)) / n_workers
    assert min(4, n_parts / n_workers) <= tasks <= 33


def test_a_chunk_of_a_pass_is_sixteen_mebibytes_or_64_rows():
    for size in (8, 64, 1000):
        n = passes.rows_at_once(size)
        assert 8 * MIB <= 8 * n * size <= 16 * MIB
    assert passes.rows_at_once(10**6) == 64


def test_a_chunk_where_nobody_says_is_some_mebibytes():
    x, y = plain(300_000, d=8)
    sizes = [8 * (chunk.x.size + 2 * len(chunk.x)) for chunk in rows.ArraySource(x, y).chunks()]
    assert MIB <= max(sizes) <= 8 * MIB


def test_parts_of_all_lengths_are_padded_to_few_shapes():
    x, y = plain(1500)
    task = passes.Pass(None, None, None, most=1024)
    shapes = set()
    for n in (1, 2, 7, 100, 255, 256, 257, 511, 700, 1024, 1300):
        part = rows.sources.ArrayPart(rows.Chunk(x[:n], y[:n], np.ones(n)))
        shapes |= {len(term.points) for term in task._terms(part)}
    assert shapes <= {256, 512, 1024}


def test_few_rows_are_not_split_among_devices(monkeypatch):
    split = []
    monkeypatch.setattr(jax, "local_devices", lambda: jax.devices() * 8)
    monkeypatch.setattr(jax, "shard_map", lambda *_, **__: split.append(1) or (lambda *a: a))
    call = passes.on_devices(lambda shared, term: len(term.points), lambda every: every)
    for n, divided in ((8 * 256 - 8, 0), (8 * 256, 1)):
        x, y = plain(n)
        call((), passes.padded_rows(x, y, np.ones(n), n))
        assert len(split) == divided


def test_a_chunk_of_newtons_passes_is_eight_mebibytes(monkeypatch):
    seen = []

    def total(source, of_chunk, most):
        seen.append(most)
        (_, _, c), *_ = of_chunk.trials
        return np.zeros(1 + c.size)

    monkeypatch.setattr(chunked, "total_over", total)
    x, _ = plain(300)
    y = np.eye(2)[(x[:, 0] > 0).astype(int)]
    basis = FrozenFeatures(60)
    inside = basis.init(np.random.SeedSequence(0), np.array([[-3.0, 3.0]] * 3))
    source = rows.ArraySource(x, y)
    chunked.solve_source((basis, inside), source, next(_terms(x, y)), 1.0)
    assert 4 * MIB <= 8 * seen[0] * basis.size(3) <= 8 * MIB


def _terms(x, y):
    yield passes.padded_rows(x, y, np.ones(len(x)), len(x))


# --- Samples and batches --------------------------------------------------------------------------


def test_a_sample_is_a_random_choice_of_a_split_not_its_beginning():
    n, split = 20_000, rows.Split(0.1, 1.0, 7)
    x, y = plain(n)
    (found,) = rows.summary(rows.ArraySource(x, y), [(split, 500)], 7)[1]
    hashes = scattered(found.sample.numbers, 7)
    assert abs(hashes.mean() - 0.55) < 0.05, "least hashes of another kind than those of the split"


def test_a_window_holds_parts_from_several_places_in_sixteen_mebibytes():
    x, y = plain(4, d=8)
    found = Feed(rows.ArraySource(x, y), Standard.of(NeuralBasis(4, 1), x, np.ones(4)), (1,), 2)
    assert 4 * found.window * 10 <= 16 * MIB
    assert found.window >= 4 * feed.PART_ROWS, "rows of several parts meet in a batch"
    assert feed.PART_ROWS >= 2**14, "a part is opened once for many rows"
    wide, y = plain(4, d=5000)
    standard = Standard.of(NeuralBasis(4, 1), wide, np.ones(4))
    of_many_columns = Feed(rows.ArraySource(wide, y), standard, (1,), 2)
    assert 32 * 512 <= of_many_columns.window <= 64 * 512
    assert 8 * 5000 * of_many_columns.read <= 32 * MIB, "rows are read some at a time"
    assert found.read == 2**14, "what is made of them at once fits in a cache: 1 MiB"


def test_a_batch_of_rows_that_hardly_count_still_has_a_loss():
    x, y = plain(64)
    weight = np.where(np.arange(64) < 32, 1.0, 1e-60)
    standard = Standard.of(NeuralBasis(4, 1), x, weight)
    found = Feed(rows.ArraySource(x, y, weight), standard, (1,), 2)
    shares = np.concatenate([found.at(step)[2] for step in range(found.n_batches)])
    assert (shares > 0).all()
    assert np.isfinite(1 / shares.min() ** 3), "as what is divided by it in single precision"
    assert shares.min() < 1e-9


@pytest.mark.parametrize(("n_rows", "streamed_"), [(100_000, False), (100_001, True)])
def test_up_to_a_hundred_thousand_rows_are_arrays(monkeypatch, n_rows, streamed_):
    class Counted(rows.ArraySource):
        n_rows = 0

        def __init__(self):
            super().__init__(*plain(3))
            self.n_rows = n_rows

    asked = []

    def summary(source, splits, *_):
        asked.extend(most for _, most in splits)
        raise InterruptedError

    def read(*_):
        raise ConnectionError

    monkeypatch.setattr(streamed.rows, "summary", summary)
    monkeypatch.setattr(streamed, "_read", read)
    from adabasis import fit

    with pytest.raises(InterruptedError if streamed_ else ConnectionError):
        fit(Counted())
    assert asked == [100_000, 20_000, 100_000] * streamed_


@pytest.mark.parametrize(("n_inputs", "low", "high"), [(8, 1000, 1536), (100, 1900, 4096)])
def test_memory_is_foreseen(capsys, n_inputs, low, high):
    # Bounds: what `make bench ARGS="rows"` measured for 8 inputs, and its bar.
    streamed._said(some(n_inputs=n_inputs, n_outputs=1, n_rows=10**7))
    said = capsys.readouterr().err
    mib = float(said.split("about ")[1].split(" MiB")[0].replace(",", ""))
    assert low <= mib <= high


# --- Tables and labels ----------------------------------------------------------------------------


def test_a_thousand_different_entries_are_remembered_and_no_more():
    for n, known in ((1000, True), (1001, False)):
        found = survey._Entries(survey.Roles(("y",)), {"impute": False})
        for part in np.array_split(np.arange(n), 3):
            values = pa.array([f"level {k}" for k in part])
            found.add(pa.record_batch({"text": values, "code": pa.array(part)}), "t", 0)
        assert (found.levels["text"] is not None) == known
        assert (found.levels["code"] is not None) == known


def test_columns_are_learnt_from_a_hundred_thousand_rows():
    sample = survey._Sample(survey.LEARNT_FROM, {"a": pa.float64()})
    for k in range(6):
        values = pa.array(np.arange(50_000.0) + 50_000 * k)
        sample.add(pa.record_batch({"a": values}), 50_000 * k)
    taken = sample.table()["a"].to_numpy()
    assert len(taken) == 100_000
    assert np.all(np.diff(taken) > 0)
    assert np.histogram(taken, 6, (0, 3e5))[0].min() > 15_000


@pytest.mark.parametrize(("n", "refused"), [(1000, False), (1001, True)])
def test_numbers_of_more_than_a_thousand_kinds_are_no_labels(n, refused):
    source = rows.ArraySource(np.zeros((n, 1)), np.arange(float(n))[:, None])
    if refused:
        with pytest.raises(ValueError, match="at most 1,000"):
            Labels().source("classify", source, None, None, None)
    else:
        assert len(Labels().source("classify", source, None, None, None).classes) == n


# --- Waiting and keeping --------------------------------------------------------------------------


class Clock:
    """A clock that tests set."""

    def __init__(self):
        self.now = 1000.0

    def monotonic(self):
        return self.now


@pytest.fixture
def alone(monkeypatch):
    """Return an engine without a cluster, and its clock."""
    pytest.importorskip("distributed")
    from adabasis.rows import dask_engine

    clock = Clock()
    monkeypatch.setattr(dask_engine, "time", clock)
    found = object.__new__(dask_engine.DaskEngine)
    found.address, found._alone_since = "tcp://nowhere:1", None
    found.patience = dask_engine.DaskEngine.__init__.__kwdefaults__["patience"]
    return found, clock


def test_a_minute_without_workers_is_waited_for(alone):
    found, clock = alone
    found._ask = lambda *_: {}
    found._look()
    clock.now += 59
    found._look()
    clock.now += 2
    with pytest.raises(EngineError, match="no workers for 60 s"):
        found._look()
    found._ask = lambda *_: {"w": 1}
    found._look()
    assert found._alone_since is None


def test_the_scheduler_is_asked_every_second_and_has_ten_to_answer(alone):
    found, _ = alone
    waited, asked = [], []

    class Future:
        status = "pending"

        def result(self, timeout):
            waited.append(timeout)
            if len(waited) < 4:
                raise TimeoutError
            return b"done"

    def sync(function, callback_timeout):
        asked.append(callback_timeout)
        return {"w": 1}

    found.client = some(status="running", sync=sync, scheduler=some(ncores=None))
    assert found._result(Future()) == b"done"
    assert sum(waited) <= 5
    assert len(asked) == 3
    assert all(5 <= seconds <= 20 for seconds in asked)


@pytest.mark.parametrize(("given_up", "ends"), [(2, True), (3, False)])
def test_work_that_dask_gave_up_is_sent_twice_more(alone, given_up, ends):
    from distributed.scheduler import KilledWorker

    found, _ = alone
    found._ask = lambda *_: {"w": 1}
    sent = itertools.count(1)

    def result(number):
        if number <= given_up:
            raise KilledWorker("task", some(address="w"), 3)
        return engine.packed(number)

    found._result = result
    if ends:
        assert found._results(lambda: [next(sent)]) == [3]
    else:
        with pytest.raises(EngineError, match="died or lost their work again and again"):
            found._results(lambda: [next(sent)])


def test_a_run_that_goes_on_is_written_every_half_minute(tmp_path, monkeypatch):
    clock = Clock()
    monkeypatch.setattr(checkpoints, "time", clock)
    kept = checkpoints.Checkpoint(tmp_path / "c", "fit")
    clock.now += 29
    assert not kept.due()
    clock.now += 2
    assert kept.due()
    kept._write()
    assert not kept.due()

"""Engines: one answer whoever works, however many of them, and whoever of them dies."""

import logging
import os
import random
import signal
import threading
import time

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from adabasis import lstsq
from adabasis._runtime.compute import numerics
from adabasis._runtime.errors import EngineError
from adabasis.rows import engine
from adabasis.rows.engine import ARITY, LocalEngine, joined, subtrees

PARTS = list(range(83))


def chunk(number):
    """Return the reduction of some rows, told by a number."""
    x = np.random.default_rng(number).uniform(-1, 1, (40 + number, 3))
    return lstsq.reduce(np.cos(np.outer(x[:, 0], np.arange(6))) + x[:, 1:2], np.sin(x[:, :1]))


def slow_chunk(number):
    time.sleep(0.03)
    return chunk(number)


def spoiling(part):
    part[:] = -1.0
    return part.sum()


def precision(part):
    return str(part.dtype), str(jnp.zeros(()).dtype), part


def failing(part):
    raise ZeroDivisionError(f"row {part}")


def tell(*words):
    return f"({''.join(words)})"


def same_bits(one, other):
    return np.array_equal(np.asarray(one.factor), np.asarray(other.factor))


@pytest.mark.parametrize("n", [1, 2, ARITY, ARITY + 1, ARITY**2, 83, 2 * ARITY**2 + 3])
def test_the_tree_depends_on_the_number_of_parts_alone(n):
    leaves = [chr(97 + k % 26) for k in range(n)]
    whole = joined(iter(leaves), tell)
    assert whole.replace("(", "").replace(")", "") == "".join(leaves)
    for workers in (1, 2, 40):
        groups = subtrees(leaves, workers)
        assert sum(map(len, groups)) == n
        assert joined([joined(group, tell) for group in groups], tell) == whole


def test_many_parts_go_in_subtrees_of_enough_tasks():
    groups = subtrees(list(range(1000)), 2)
    assert engine.TASKS_A_WORKER * 2 <= len(groups) < 1000


def test_serial_work_and_threads_give_the_same_bits():
    serial = LocalEngine().map_reduce(chunk, iter(PARTS), lstsq.combine)
    threads = LocalEngine(2).map_reduce(chunk, iter(PARTS), lstsq.combine)
    assert same_bits(serial, threads)
    whole = np.concatenate([np.asarray(chunk(k).factor) for k in PARTS])
    gram = np.asarray(serial.factor).T @ np.asarray(serial.factor)
    assert np.abs(gram - whole.T @ whole).max() <= 1e-13 * np.linalg.norm(whole) ** 2
    assert serial.n_rows == sum(40 + k for k in PARTS)


def test_a_reduction_goes_on_from_an_element():
    first = LocalEngine().map_reduce(chunk, PARTS[:5], lstsq.combine)
    both = LocalEngine().map_reduce(chunk, PARTS[5:], lstsq.combine, init=first)
    assert both.n_rows == sum(40 + k for k in PARTS)
    assert LocalEngine(2).map_reduce(chunk, [], lstsq.combine, init=first) is first
    with pytest.raises(ValueError, match="at least one part"):
        LocalEngine().map_reduce(chunk, [], lstsq.combine)


@pytest.mark.parametrize(("options", "word"), [((0,), "number of jobs"), ((1, "gpu"), "'threads'")])
def test_what_no_engine_is_is_refused(options, word):
    with pytest.raises(ValueError, match=word):
        LocalEngine(*options)


def test_work_goes_to_the_engine_of_the_block():
    assert engine.current().n_workers == 1
    with engine.using(LocalEngine(2)) as given:
        assert engine.current() is given
    assert engine.current().n_workers == 1


def test_a_worker_of_other_versions_refuses():
    wanted = {**engine.versions(), "jax": "0.0.1"}
    with pytest.raises(EngineError, match=r"has jax .* instead of 0\.0\.1"):
        engine.worked(wanted, engine.packed(abs), engine.packed(-1))


@pytest.mark.plain_scope
def test_a_worker_in_single_precision_refuses():
    assert str(jnp.zeros(()).dtype) == "float32"
    with pytest.raises(EngineError, match="float32"):
        engine.check_double()
    with numerics():
        engine.check_double()


# --- Dask -----------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def client():
    distributed = pytest.importorskip("distributed")
    logging.getLogger("distributed").setLevel(logging.CRITICAL)
    options = {"n_workers": 2, "threads_per_worker": 1, "host": "127.0.0.1"}
    quiet = {"dashboard_address": None, "silence_logs": logging.CRITICAL}
    with (
        distributed.LocalCluster(**options, **quiet) as cluster,
        distributed.Client(cluster, set_as_default=False) as client,
    ):
        yield client


@pytest.fixture(scope="module")
def dask(client):
    from adabasis.rows.dask_engine import DaskEngine

    return DaskEngine(client, patience=60)


@pytest.mark.timeout(120)
def test_two_workers_give_the_bits_of_one_process(dask):
    assert dask.n_workers == 2
    serial = LocalEngine().map_reduce(chunk, PARTS, lstsq.combine)
    assert same_bits(dask.map_reduce(chunk, PARTS, lstsq.combine), serial)
    placed = dask.place(PARTS[:9])
    few = LocalEngine().map_reduce(chunk, PARTS[:9], lstsq.combine)
    assert same_bits(dask.map_reduce(chunk, placed, lstsq.combine), few)
    assert dask.map(abs, [-3]) == [3]  # fewer parts than workers
    assert dask.map(abs, []) == []


@pytest.mark.timeout(120)
def test_arrays_stay_double_on_workers_and_arguments_are_not_shared(dask):
    with numerics():
        part = jnp.linspace(0.0, 1.0, 3)
    ((arrived, made, back),) = dask.map(precision, [part])
    assert (arrived, made, str(back.dtype)) == ("float64", "float64", "float64")
    assert isinstance(back, jax.Array)
    ours = np.ones(4)
    placed = dask.place([ours])
    assert dask.map(spoiling, [*placed, ours]) == [-4.0, -4.0]
    assert dask.map(spoiling, placed) == [-4.0]
    assert dask.map(np.sum, [*placed, ours]) == [4.0, 4.0]


@pytest.mark.timeout(120)
def test_an_error_of_the_work_arrives_as_it_is(dask):
    with pytest.raises(ZeroDivisionError, match="row 7"):
        dask.map(failing, [7])
    with pytest.raises(ZeroDivisionError, match="row 0"):
        dask.map_reduce(failing, [0], max)


@pytest.mark.timeout(60)
def test_without_workers_or_scheduler_the_wait_ends_with_one_line():
    distributed = pytest.importorskip("distributed")
    from adabasis.rows.dask_engine import DaskEngine

    logging.getLogger("distributed").setLevel(logging.CRITICAL)
    none = {"n_workers": 0, "processes": False, "dashboard_address": ":0"}
    cluster = distributed.LocalCluster(**none, silence_logs=logging.CRITICAL)
    with distributed.Client(cluster, set_as_default=False) as client:
        lonely = DaskEngine(client, patience=0.5)
        with pytest.raises(EngineError, match=r"no workers for 0\.5 s\. Start some: dask worker"):
            lonely.map(abs, [1])
        cluster.close()
        with pytest.raises(EngineError, match="is gone or does not answer"):
            lonely.map(abs, [1])
    with pytest.raises(TypeError, match=r"distributed\.Client"):
        DaskEngine(3)


@pytest.mark.timeout(60)
def test_a_scheduler_that_is_nowhere_is_said_so(monkeypatch):
    pytest.importorskip("distributed")
    from adabasis.rows import dask_engine

    monkeypatch.setattr(dask_engine, "ANSWER", 1.0)
    with pytest.raises(EngineError, match="No Dask scheduler answers at tcp://127"):
        dask_engine.DaskEngine("tcp://127.0.0.1:9")


def alive(client, gone=(), seconds=300):
    """Return the process ids of two workers or more, those that are gone not counted.

    Until the scheduler has noticed a death it counts the dead. Dask replaces them, but for some
    that die as they start, or start too slowly: others are added then.
    """
    began = time.monotonic()
    patience = began + 60
    while time.monotonic() < began + seconds:
        found = set(client.run(os.getpid, on_error="ignore").values()) - set(gone)
        if len(found) >= 2:
            return sorted(found)
        if time.monotonic() > patience:
            client.cluster.scale(len(client.cluster.worker_spec) + 1)
            patience += 60
        time.sleep(0.2)
    raise AssertionError(f"{len(found)} of 2 workers after {seconds} s")


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_workers_killed_at_random_moments_change_no_bit(dask, client):
    serial = LocalEngine().map_reduce(slow_chunk, PARTS, lstsq.combine)
    moments = random.Random(0)

    def kill(pid, seconds):
        time.sleep(seconds)
        os.kill(pid, signal.SIGKILL)

    killed = []
    for _ in range(10):
        killed.append(moments.choice(alive(client, killed)))
        killer = threading.Thread(target=kill, args=(killed[-1], moments.uniform(0.0, 2.0)))
        killer.start()
        assert same_bits(dask.map_reduce(slow_chunk, PARTS, lstsq.combine), serial)
        killer.join()

"""Clusters whose workers and scheduler die, on loopback: processes that the tests start."""

import contextlib
import json
import logging
import os
import pathlib
import random
import signal
import subprocess
import sys
import threading
import time

import numpy as np
import pandas as pd
import pytest

from adabasis.models.record import Ridge
from adabasis.regression.solve import solve_rows
from adabasis.rows.engine import using
from adabasis.selection.checkpoints import Checkpoint
from tests.test_engine import alive
from tests.train import test_chunked as chunked

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]
ROWS, PARTS = 12_000, 1000


@contextlib.contextmanager
def cluster(folder):
    """Start a scheduler and two workers as Dask's users do; yield its process and its address."""
    pytest.importorskip("distributed")
    told = pathlib.Path(folder) / "scheduler.json"
    command = [sys.executable, "-m", "dask"]
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    environment = os.environ | {"JAX_ENABLE_X64": "1", "OMP_NUM_THREADS": "1"}
    options = ["--host", "127.0.0.1", "--port", "0", "--no-dashboard", "--scheduler-file", told]
    scheduler = subprocess.Popen([*command, "scheduler", *options], env=environment, **quiet)
    workers = None
    try:
        deadline = time.monotonic() + 60
        while not told.exists():
            assert time.monotonic() < deadline, "no scheduler"
            time.sleep(0.1)
        time.sleep(0.2)
        address = json.loads(told.read_text())["address"]
        options = ["--nworkers", "2", "--nthreads", "1", "--no-dashboard", "--death-timeout", "60"]
        workers = subprocess.Popen(
            [*command, "worker", address, *options], env=environment, cwd=folder, **quiet
        )
        yield scheduler, address
    finally:
        for process in (workers, scheduler):
            if process is not None and process.poll() is None:
                process.terminate()
                try:
                    process.wait(20)
                except subprocess.TimeoutExpired:
                    process.kill()
                    process.wait()


@pytest.fixture(scope="module")
def client():
    distributed = pytest.importorskip("distributed")
    logging.getLogger("distributed").setLevel(logging.CRITICAL)
    options = {"n_workers": 2, "threads_per_worker": 1, "host": "127.0.0.1"}
    quiet = {"dashboard_address": None, "silence_logs": logging.CRITICAL}
    with (
        distributed.LocalCluster(**options, **quiet) as local,
        distributed.Client(local, set_as_default=False) as found,
    ):
        yield found


@pytest.fixture(scope="module")
def dask(client):
    from adabasis.rows.dask_engine import DaskEngine

    return DaskEngine(client, patience=120)


def uneven(n_parts):
    class Cut(chunked.Uneven):
        def parts(self, n_rows=0):
            cuts = np.random.default_rng(2).choice(np.arange(1, self.n_rows), n_parts - 1, False)
            ends = [0, *np.sort(cuts).tolist(), self.n_rows]
            return [
                chunked.ArrayPart(chunked.rows.Chunk(*(a[i:j] for a in self.rows)), i)
                for i, j in chunked.itertools.pairwise(ends)
            ]

    return Cut


def coefficients(source):
    *_, initial = chunked.begun(*chunked.table(ROWS))
    solved = solve_rows((chunked.BASIS, initial), source, Ridge(0.0, relative=True))
    return np.asarray(solved.coefficients)


def test_a_thousand_parts_on_two_workers_are_the_array(dask):
    data = chunked.table(ROWS)
    whole = coefficients(chunked.rows.ArraySource(*data))
    with using(dask):
        apart = coefficients(uneven(PARTS)(*data))
    assert np.abs(apart - whole).max() <= 1e-10 * np.abs(whole).max()


def test_twenty_gauss_newton_steps_on_two_workers_end_at_the_same_loss(dask):
    whole = chunked.trained(None)
    with using(dask):
        apart = chunked.trained(chunked.Uneven)
    assert len(apart.history) - 1 == len(whole.history) - 1 == 20
    assert apart.loss == pytest.approx(whole.loss, rel=1e-6)
    assert apart.history.loss[0] == pytest.approx(whole.history.loss[0], rel=1e-10)


def test_workers_killed_between_steps_change_no_bit_of_them(dask, client):
    with using(dask):
        undisturbed = chunked.trained(chunked.Uneven, steps=6)
    moments, stopping = random.Random(1), threading.Event()
    killed = []

    def kill():
        while not stopping.wait(moments.uniform(0.2, 1.5)) and len(killed) < 3:
            killed.append(moments.choice(alive(client, killed)))
            os.kill(killed[-1], signal.SIGKILL)

    alive(client)
    killer = threading.Thread(target=kill)
    killer.start()
    try:
        with using(dask):
            for _ in range(3):
                again = chunked.trained(chunked.Uneven, steps=6)
                assert np.array_equal(again.history.loss, undisturbed.history.loss)
    finally:
        stopping.set()
        killer.join()
    assert killed


def test_a_scheduler_that_dies_in_mid_step_ends_the_command_with_one_line(tmp_path):
    distributed = pytest.importorskip("distributed")
    rng = np.random.default_rng(0)
    x = rng.uniform(-1, 1, (1500, 3))
    table = pd.DataFrame(x, columns=["a", "b", "c"])
    table["y"] = np.sin(3 * x[:, 0]) * x[:, 1] + 0.1 * rng.normal(size=len(x))
    table.to_parquet(tmp_path / "t.parquet", index=False)
    asked = ["fit", "t.parquet", "--target", "y", "--no-report", "--force", "--json"]
    asked += ["--fast", "--checkpoint", "run.ckpt"]
    command = [sys.executable, "-m", "adabasis", *asked]
    common = {"cwd": tmp_path, "capture_output": True, "text": True}
    with cluster(tmp_path) as (scheduler, address):
        client = distributed.Client(address, set_as_default=False, timeout=60)
        client.wait_for_workers(2, timeout=120)

        def members(dask_scheduler):
            return [str(key) for key in dask_scheduler.tasks if "member" in str(key)]

        def kill():
            while not client.run_on_scheduler(members):
                time.sleep(0.05)
            os.kill(scheduler.pid, signal.SIGKILL)

        killer = threading.Thread(target=kill, daemon=True)
        killer.start()
        done = subprocess.run([*command, "--scheduler", address], timeout=300, **common)
        killer.join(5)
        with contextlib.suppress(Exception):
            client.close(timeout=1)
    assert done.returncode == 1, done.stderr
    said = " ".join(done.stderr.split())
    assert f"The scheduler {address} is gone or does not answer" in said
    assert "Traceback" not in done.stderr
    assert not list(tmp_path.glob("*.adabasis"))
    kept = Checkpoint(tmp_path / "run.ckpt", "fit")
    assert kept.done, "runs of before are kept"
    again = subprocess.run(command, timeout=300, **common)  # goes on here
    assert again.returncode == 0, again.stderr
    fresh = subprocess.run(
        [*command[:-1], "fresh.ckpt", "--out", "f.adabasis"], timeout=300, **common
    )
    assert fresh.returncode == 0, fresh.stderr
    ours, theirs = (json.loads(one.stdout) for one in (again, fresh))
    assert ours["validation_error"] == theirs["validation_error"]
    assert ours["candidates"] == theirs["candidates"]

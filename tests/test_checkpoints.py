"""Checkpoints: a call that was cut short goes on as if it had never stopped; its file is whole."""

import errno
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

import adabasis as ab
from adabasis.selection import checkpoints
from adabasis.train import LSGD, LSGN, StopReason

BASIS = ab.NeuralBasis(5, 1)
RNG = np.random.default_rng(0)
X = RNG.uniform(-1, 1, (200, 2))
Y = np.sin(3 * X[:, 0]) * X[:, 1] + 0.01 * RNG.normal(size=200)


def fitted(method, steps, checkpoint=None, **more):
    options = {"n_restarts": 2, "max_steps": steps, **more}
    return ab.fit(X, Y, BASIS, method=method, checkpoint=checkpoint, validation=0.2, **options)


def stopping(at):
    """Return a callback that is Ctrl-C at its n-th call."""
    left = [at]

    def call(_):
        left[0] -= 1
        if not left[0]:
            raise KeyboardInterrupt

    return call


@pytest.mark.parametrize(
    ("method", "steps"), [(LSGN(), 12), (LSGD(1e-2, batch_size=32), 240)], ids=["lsgn", "batches"]
)
@pytest.mark.parametrize("at", [2, 6])
def test_a_call_cut_short_goes_on_bit_for_bit(tmp_path, method, steps, at):
    path = tmp_path / "run.ckpt"
    whole = fitted(method, steps)
    cut = fitted(method, steps, path, callbacks=[stopping(at)])
    assert cut.stop_reason is StopReason.INTERRUPTED
    again = fitted(method, steps, path)
    assert np.array_equal(again.coefficients, whole.coefficients)
    assert np.array_equal(again.history.loss, whole.history.loss)
    assert [one.validation_error for one in again.record.tried] == [
        one.validation_error for one in whole.record.tried
    ]
    known = fitted(method, steps, path)  # all runs are there
    assert np.array_equal(known.coefficients, whole.coefficients)


def test_a_search_takes_its_runs_from_the_file(tmp_path, monkeypatch):
    path = tmp_path / "run.ckpt"
    first = ab.fit(X, Y, effort="fast", checkpoint=path)

    def never(*_, **__):
        raise AssertionError("trained again")

    monkeypatch.setattr("adabasis.train.loop._Loop.run", never)
    again = ab.fit(X, Y, effort="fast", checkpoint=path)
    assert np.array_equal(again.coefficients, first.coefficients)
    errors = [[one.validation_error for one in m.record.tried] for m in (first, again)]
    assert errors[0] == errors[1]


def test_a_full_disk_leaves_the_last_one_whole(tmp_path, monkeypatch):
    path = tmp_path / "run.ckpt"
    monkeypatch.setattr(checkpoints, "EVERY", 0.0)
    sync, left, seen = os.fsync, [2], []

    def full(handle):
        left[0] -= 1
        if left[0] < 0:
            seen.append(path.read_bytes())
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        sync(handle)

    monkeypatch.setattr(os, "fsync", full)
    with pytest.warns(RuntimeWarning, match=r"could not be renewed \(No space left"):
        model = fitted(LSGN(), 6, path)
    monkeypatch.undo()
    assert model.stop_reason is not StopReason.INTERRUPTED
    assert len(set(seen)) == 1
    assert path.read_bytes() == seen[0]
    assert os.listdir(tmp_path) == ["run.ckpt"]
    assert np.array_equal(fitted(LSGN(), 6, path).coefficients, model.coefficients)


def test_a_file_of_something_else_is_refused(tmp_path):
    path = tmp_path / "run.ckpt"
    fitted(LSGN(), 2, path, n_restarts=1)
    with pytest.raises(ValueError, match="of another call or of other rows"):
        fitted(LSGN(), 3, path, n_restarts=1)
    path.write_bytes(b"a,b\n1,2\n")
    with pytest.raises(ValueError, match="not a checkpoint of adabasis"):
        fitted(LSGN(), 2, path)
    with pytest.raises(OSError, match="No such file"):
        fitted(LSGN(), 2, tmp_path / "nowhere" / "run.ckpt")


CODE = """
import sys
from adabasis.selection import checkpoints
from tests import test_checkpoints as t
checkpoints.EVERY = 0.0
say = lambda _: print(flush=True)
t.fitted(t.LSGN(), 60, sys.argv[1], n_restarts=1, callbacks=[say])
"""


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_a_killed_process_leaves_a_file_to_go_on_from(tmp_path):
    path = tmp_path / "run.ckpt"
    process = subprocess.Popen([sys.executable, "-c", CODE, path], stdout=subprocess.PIPE)
    for _ in range(3):
        process.stdout.readline()
    time.sleep(0.05)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    assert checkpoints.Checkpoint(path, "fit").partial is not None
    again = fitted(LSGN(), 60, path, n_restarts=1)
    assert np.array_equal(again.coefficients, fitted(LSGN(), 60, n_restarts=1).coefficients)

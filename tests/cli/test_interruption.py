"""Ctrl-C, kill and failures: what is written is whole, and it is said what was lost."""

import os
import pathlib
import signal
import time

import numpy as np
import pandas as pd
import pytest

import adabasis
from adabasis.train import StopReason

from .calls import FAST, frame, run, started, write

pytestmark = pytest.mark.plain_scope


def test_an_interrupt_before_anything_is_found_writes_nothing(capsys, monkeypatch):
    def interrupted(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr("adabasis.cli.targets.fit", interrupted)
    write(frame())
    code, _out, err = run(capsys, "fit", "t.csv", "--target", "y")
    assert code == 130
    assert "nothing was written" in err
    assert os.listdir() == ["t.csv"]


def test_an_unforeseen_failure_is_one_line_and_exit_code_1(capsys, monkeypatch):
    def broken(*_, **__):
        raise RuntimeError("out of luck")

    monkeypatch.setattr("adabasis.cli.targets.fit", broken)
    write(frame())
    code, _out, err = run(capsys, "fit", "t.csv", "--target", "y")
    assert code == 1
    assert "out of luck" in err
    assert os.listdir() == ["t.csv"]


SLOW_FIT = ["fit", "t.csv", "--target", "y", "--model", "network"]


def rough(n=400):
    x = np.random.default_rng(0).uniform(0, 1, (n, 3))
    noise = np.random.default_rng(1).normal(size=n)
    return pd.DataFrame({"a": x[:, 0], "b": x[:, 1], "c": x[:, 2], "y": noise})


def test_ctrl_c_in_mid_fit_keeps_the_best_iterate():
    write(rough(2000))
    process = started(*SLOW_FIT)
    assert any("training run" in line or "networks" in line for line in process.stderr)
    os.killpg(process.pid, signal.SIGINT)
    out, err = process.communicate(timeout=120)
    assert process.returncode == 130, err
    assert "Interrupted" in out
    assert "Traceback" not in err
    assert sorted(os.listdir()) == ["t.adabasis", "t.csv"]
    assert np.isfinite(adabasis.load("t.adabasis")(rough()[["a", "b", "c"]].to_numpy())).all()


def test_ctrl_c_between_two_candidates_keeps_the_best(capsys, monkeypatch):
    def interrupted(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr("adabasis.regression.task.RegressionTask.held_out", interrupted)
    write(rough(100))
    code, out, _ = run(capsys, "fit", "t.csv", "--target", "y")
    assert code == 130
    assert "Written: t.adabasis" in out
    assert adabasis.load("t.adabasis").stop_reason is StopReason.INTERRUPTED


def test_ctrl_c_during_the_imports_waits_for_their_end(capsys, monkeypatch):
    """Compiled modules do not survive one in the midst of their import."""
    steps = []

    def importing():
        os.kill(os.getpid(), signal.SIGINT)
        time.sleep(0.05)
        steps.append("imported")

    monkeypatch.setattr("adabasis.cli.app.use_compile_cache", importing)
    write(frame())
    code, out, err = run(capsys, "fit", "t.csv", "--target", "y")
    assert (code, out, err) == (130, "", "adabasis: Interrupted: nothing was written.\n")
    assert steps == ["imported"]
    assert os.listdir() == ["t.csv"]
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_ctrl_c_that_falls_where_exceptions_are_lost_comes_again(capsys, monkeypatch):
    began = time.monotonic()

    class Swallows:
        def __del__(self):
            raise KeyboardInterrupt

    def busy(*_, **__):
        Swallows()
        while time.monotonic() < began + 20:
            time.sleep(0.01)

    monkeypatch.setattr("adabasis.cli.targets.fit", busy)
    write(frame())
    assert run(capsys, "fit", "t.csv", "--target", "y")[0] == 130
    assert time.monotonic() - began < 15


def test_ctrl_c_while_the_report_is_drawn_keeps_the_model(capsys, monkeypatch):
    def interrupted(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr("adabasis.report.write", interrupted)
    write(frame())
    code, out, _ = run(capsys, "fit", "t.csv", "--target", "y", *FAST)
    assert code == 130
    assert "Written: t.adabasis" in out
    assert "No report: interrupted" in out
    assert sorted(os.listdir()) == ["t.adabasis", "t.csv"]
    assert adabasis.load("t.adabasis").record.verdict


@pytest.mark.slow
def test_ctrl_c_at_any_moment_leaves_whole_files():
    write(rough(100))
    for moment in np.random.default_rng(1).uniform(0.5, 8, 10):
        process = started(*SLOW_FIT, "--max-seconds", "4", "--force")
        time.sleep(moment)
        os.killpg(process.pid, signal.SIGINT)
        out, err = process.communicate(timeout=120)
        done = process.returncode == 0 or (process.returncode == -signal.SIGINT and "Next:" in out)
        assert done or process.returncode == 130, (moment, err)
        assert "Traceback" not in out + err
        if done or "Written" in out:
            adabasis.load("t.adabasis")
        assert not [name for name in os.listdir() if name.startswith(".")]


@pytest.mark.slow
def test_kill_at_any_moment_leaves_no_corrupt_file():
    write(rough(100))
    began = time.monotonic()
    process = started(*SLOW_FIT, "--max-seconds", "4")
    process.communicate()
    whole = time.monotonic() - began
    for moment in np.random.default_rng(0).uniform(0.2, 1.05, 10) * whole:
        process = started(*SLOW_FIT, "--max-seconds", "4", "--force")
        time.sleep(moment)
        process.kill()
        process.communicate()
        adabasis.load("t.adabasis")
        assert pathlib.Path("t.html").read_text().rstrip().endswith("</html>")

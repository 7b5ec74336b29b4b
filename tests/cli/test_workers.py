"""Options that say where work is done and kept."""

import pytest

from .calls import fitted, frame, run, write


def test_a_scheduler_that_does_not_answer_is_one_line(capsys, monkeypatch):
    pytest.importorskip("distributed")
    from adabasis.rows import dask_engine

    monkeypatch.setattr(dask_engine, "ANSWER", 0.5)
    write(frame())
    code, out, err = run(
        capsys, "fit", "t.csv", "--target", "y", "--scheduler", "tcp://127.0.0.1:9"
    )
    assert (code, out) == (1, "")
    (line,) = err.splitlines()
    assert line.startswith("adabasis: No Dask scheduler answers at tcp://127.0.0.1:9 (")
    assert line.endswith("Start one: dask scheduler --host 127.0.0.1 --port 8786")


def test_a_checkpoint_of_something_else_is_refused(capsys):
    write(frame())
    code, _, err = run(capsys, "fit", "t.csv", "--target", "y", "--checkpoint", "t.csv")
    assert code == 2
    assert "not a checkpoint of adabasis" in err
    fitted(capsys, "--checkpoint", "run.ckpt")

"""Tables, and calls of the command line that check what holds for every call."""

import os
import subprocess
import sys

import numpy as np
import pandas as pd

from adabasis.cli import main

FAST = ["--model", "frozen", "--max-seconds", "20"]


def frame(n=60, seed=0):
    x = np.random.default_rng(seed).uniform(0, 1, (n, 2))
    return pd.DataFrame({"a": x[:, 0], "b": x[:, 1], "y": np.sin(3 * x[:, 0]) + x[:, 1] ** 2})


def spoiled(row, column, value):
    table = frame().astype(object)
    table.loc[row, column] = value
    return table


def write(table, name="t.csv", **options):
    table.to_csv(name, index=False, **options)
    return name


def run(capsys, *tokens):
    """Call ``main``: no traceback, and errors of one screen."""
    code = main([str(token) for token in tokens])
    out, err = capsys.readouterr()
    assert "Traceback" not in out + err
    assert len(err.splitlines()) <= 24
    return code, out, err


def refused(capsys, *tokens):
    """Call ``main``: bad input, said on standard error only, and no file is made or lost."""
    before = sorted(os.listdir())
    code, out, err = run(capsys, *tokens)
    assert code == 2
    assert out == ""
    assert any(line.startswith("adabasis: ") for line in err.splitlines())  # after its progress
    assert sorted(os.listdir()) == before
    return err


def reported(capsys, *options, name="t.csv"):
    """Fit a table; a model and a page are written."""
    code, out, err = run(capsys, "fit", name, "--target", "y", *FAST, *options)
    assert code == 0, err
    return out


def fitted(capsys, *options, name="t.csv"):
    """Fit a table; a model is written."""
    return reported(capsys, *options, "--no-report", name=name)


def started(*tokens):
    """Start the real command."""
    command = [sys.executable, "-m", "adabasis", *tokens]
    pipe = subprocess.PIPE
    return subprocess.Popen(command, stdout=pipe, stderr=pipe, text=True, start_new_session=True)

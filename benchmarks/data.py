"""Tables: the steam of the repository, and external ones from $ADABASIS_DATA."""

from __future__ import annotations

import functools
import os
import pathlib

import numpy as np

from .fitting import Problem
from .registry import SkippedError

VARIABLE = "ADABASIS_DATA"
STEAM = pathlib.Path(__file__).parents[1] / "examples" / "data" / "steam.csv"


def external(filename: str) -> pathlib.Path:
    """Return the path of an external file, or say how to get there."""
    folder = os.environ.get(VARIABLE)
    if not folder:
        raise SkippedError(f"set {VARIABLE} to the folder that holds {filename}")
    path = pathlib.Path(folder) / filename
    if not path.is_file():
        raise SkippedError(f"the folder that {VARIABLE} names holds no {filename}")
    return path


@functools.cache
def _table(name: str) -> tuple[np.ndarray, np.ndarray]:
    """Return a table (the last column is y) and its test masks, one column a split."""
    rows = np.loadtxt(external(f"{name}.csv.gz"), delimiter=",")
    masks = np.loadtxt(external(f"{name}.test_mask.csv.gz"), delimiter=",")
    if len(rows) != len(masks):
        raise SkippedError(
            f"{name}.csv.gz has {len(rows)} rows and its mask {len(masks)}; get both again"
        )
    return rows, masks > 0


def table_split(name: str, split: int) -> Problem:
    """Return one split of an external table; errors relative to the spread of the training y."""
    rows, masks = _table(name)
    test = masks[:, split]
    x, y = rows[:, :-1], rows[:, -1]
    return Problem(
        name, f"{name} split {split}", x[~test], y[~test], x[test], y[test], float(y[~test].std())
    )


def steam_split(seed: int, phases: str = "superheated") -> Problem:
    """Return superheated steam or "all" phases, four fifths to fit.

    Errors are relative to the spread of the test y.
    """
    columns = np.genfromtxt(STEAM, delimiter=",", names=True)
    if phases == "superheated":
        columns = columns[columns["superheated"] == 1]
    x = np.stack([columns["temperature_C"], columns["log10_pressure_bar"]], axis=1)
    y = columns["enthalpy_kJ_per_kg"]
    order = np.random.default_rng(seed).permutation(len(x))
    train, test = np.split(order, [round(0.8 * len(x))])
    return Problem(
        "steam", f"steam split {seed}", x[train], y[train], x[test], y[test], float(y[test].std())
    )

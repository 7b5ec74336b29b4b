"""Inputs over decades: which columns may be taken in logarithms, and where these end."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ..geometry.maps import Coordinates
from ..models.record import Asked

#: Inputs over decades: the 95 % quantile of their positive entries over the 5 % one. That of
#: numbers spread evenly above 0 is 19, over two decades 63.
DECADES = 30.0
#: How far logarithms go on below the least entry, for laws to hold there, before they are lines.
BEYOND = 1e3
#: Ratio of the largest to the smallest step, in logarithms, up to which entries go up by about
#: equal factors: 1, 2, 5, 10 have 1.32, and 1, 3, 10 have 1.1. Numbers drawn at random have more.
EVEN_STEPS = 1.5


def over_decades(x: np.ndarray, plain: Coordinates) -> dict[int, float]:
    """Return the columns of x (N, D) over decades, with where their logarithms end.

    That is at the least positive entry where zeros are among them, else far below it. Negative
    numbers are in none.
    """
    found = {}
    for j, column in enumerate(x.T):
        positive = column[column > 0]
        if plain.kinds[j] == "plain" and len(positive) > 1 and (column >= 0).all():
            low, high = np.quantile(positive, (0.05, 0.95))
            if high >= DECADES * low:
                found[j] = _end(column)
    return found


def _end(column: np.ndarray) -> float:
    positive = column[column > 0]
    least = float(positive.min())
    return least if len(positive) < len(column) else least / BEYOND


def by_equal_factors(column: np.ndarray) -> bool:
    """Whether the positive entries (N,) are a few that go up by about equal factors."""
    steps = np.diff(np.log(np.unique(column[column > 0])))
    return len(steps) > 1 and bool(steps.max() <= EVEN_STEPS * steps.min())


def as_told(asked: Asked, x: np.ndarray, inputs: Sequence[str | None]) -> Coordinates:
    """Return the coordinates of columns of x (N, D) that are periodic or in logarithms as told.

    Parameters
    ----------
    asked : Asked
        Its call is that of messages, its periods those of columns.
    x : array, shape (N, D)
    inputs : sequence of str or None, length D
        "log" for those to be in logarithms.

    Raises
    ------
    ValueError
        For columns asked to be in logarithms that are periodic, have negative entries or none
        above zero.
    """
    told = Coordinates.with_periods(x.shape[1], asked.periodic) or Coordinates.plain(x.shape[1])
    logs = {}
    for j in (j for j, kind in enumerate(inputs) if kind == "log"):
        call, column = f"{asked.call}(input_transform={{{j}: 'log'}})", x[:, j]
        if told.kinds[j] == "periodic":
            raise ValueError(f"{call}: this column is periodic, too. Leave out one of both.")
        if (column < 0).any() or not (column > 0).any():
            raise ValueError(
                f"{call}: expected positive numbers and zeros, got {column.min():g} among the "
                "entries of this column. Leave it as it is, or shift it before."
            )
        logs[j] = _end(column)
    return told.replaced("log", logs)

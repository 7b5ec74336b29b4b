"""Errors of single rows that a fit did not see, by how they were kept from it."""

from __future__ import annotations

import dataclasses

import numpy as np

from ..evidence.errors import Unseen
from ..selection.prepared import Prepared, some_rows
from .posterior import MOST_LEVERAGE, MOST_ROWS, Data, Functions, Posterior

#: The error of a mean is at least this share of that of its members, squared.
LEAST_SHARE = 0.25


@dataclasses.dataclass(frozen=True, eq=False)
class Seen:
    """Errors of rows that coefficients, or functions too, were found without.

    Attributes
    ----------
    z, values, residuals : arrays, shapes (n, D), (n, Q), (n, Q)
        The points; what the model says there; single rows' values less predictions for them.
    weight, group : arrays, shape (n,)
    kind : str
        See :data:`adabasis.evidence.intervals.KINDS`.
    leverages : array, shape (n,), optional
        Of rows that the posterior knows, which are left out of it here.
    apart : array, shape (n, Q), optional
        What was predicted for these rows, less the values.
    """

    z: np.ndarray
    values: np.ndarray
    residuals: np.ndarray
    weight: np.ndarray
    group: np.ndarray
    kind: str
    leverages: np.ndarray | None = None
    apart: np.ndarray | None = None


def errors_of(
    data: Data,
    functions: Functions,
    posterior: Posterior,
    unseen: Unseen | None,
    trained: bool,
    given: tuple[np.ndarray, np.ndarray] | None,
) -> Seen | None:
    """Return the errors of single rows that were not seen."""
    places, c = data.places, functions.coefficients
    if unseen is None or unseen.residuals is None or not len(unseen.rows):
        return None
    residuals = unseen.residuals
    if (unseen.rows < 0).all():
        if given is None:
            return None
        z, t = (part[-1 - unseen.rows] for part in given)
        return Seen(z, t - residuals, residuals, unseen.weight, unseen.group, "validation")
    if (unseen.rows < 0).any():
        return None
    numbers, known = unseen.rows, np.isfinite(residuals).all(axis=1)
    numbers, residuals = numbers[known], residuals[known]
    if not len(numbers):
        return None
    leverages, gain = None, np.ones(len(numbers))
    if not trained:
        leverages = np.zeros(len(places))
        leverages[posterior.some] = posterior.leverages
        leverages = leverages[numbers]
        if places.within:
            gain = 1 / (1 - np.minimum(leverages / places.count[numbers], MOST_LEVERAGE))
    rows, errors = data.rows_of(numbers, residuals, gain)
    position = np.zeros(len(places), int)
    position[numbers] = np.arange(len(numbers))
    k = position[data.at[rows]]
    at = numbers[k]
    if len(rows) > MOST_ROWS:
        few = some_rows(np.arange(len(rows)), MOST_ROWS, data.seed)
        rows, errors, k, at = rows[few], errors[few], k[few], at[few]
    values = functions.at(places.z[at]) @ c
    return Seen(
        places.z[at],
        values,
        errors,
        data.weight[rows],
        places.group[at],
        "folds" if trained else "jackknife",
        None if leverages is None else leverages[k],
        data.each[rows] - errors - values,
    )


def left_out(
    data: Data, functions: Functions, posterior: Posterior, more: np.ndarray | float, kind: str
) -> Seen:
    """Return the errors of rows left out of the last solve, times a factor."""
    some, blank = posterior.some, np.ones(len(posterior.some))
    unseen = Unseen(some, blank, blank, some, "", residuals=posterior.left_out * more)
    seen = errors_of(data, functions, posterior, unseen, False, None)
    assert seen is not None
    return dataclasses.replace(seen, kind=kind)


def given_rows(prepared: Prepared) -> tuple[np.ndarray, np.ndarray] | None:
    """Return the rows that were given for validation, mapped."""
    if not prepared.folds or prepared.out:
        return None
    term = prepared.fold(0)[1]
    assert term is not None
    shown = np.asarray(term.points.weight) > 0
    return np.asarray(term.points.x)[shown], np.asarray(term.data)[shown]


def of_mean(functions: Functions, seen: Seen) -> float:
    """Return the error of a mean over that of its members.

    A member's squared error is that of the mean of very many and its own distance from it, which
    shows on the rows that it did not see. (On rows that it saw, members differ by less.)
    """
    n_members = len(functions.members)
    if n_members == 1 or seen.apart is None:
        return 1.0
    own = float(mean_square(seen.apart, seen.weight).mean())
    error = float(mean_square(seen.residuals, seen.weight).mean())
    off = (1 - 1 / n_members) * own / error if error > 0 else 0.0
    return float(np.sqrt(max(1 - off, LEAST_SHARE)))


def mean_square(errors: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """Return the weighted mean square of errors (n, Q), (Q,)."""
    return np.average(errors**2, axis=0, weights=weight)

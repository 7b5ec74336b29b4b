r"""Conformal intervals: from errors of rows that a model never saw, whatever their distribution.

Errors of rows not seen, each over the standard deviation that the model says it has there, are
*scores*. Where a new row and those rows are exchangeable (any order of them is as likely), the
score of the new one is among the ⌈(n + 1) c⌉ smallest of n with a chance of at least c
(split-conformal prediction [1]_). Of groups, each counts as much as another, whatever the number
of its rows: so it is for a new row of a new group [2]_. Errors of rows left out in turn
(leave-one-out, folds) are used likewise [3]_; their models are not quite the one that predicts.

References
----------
.. [1] Lei, G'Sell, Rinaldo, Tibshirani, Wasserman, "Distribution-free predictive inference for
   regression", J. Am. Stat. Assoc. 113 (2018).
.. [2] Dunn, Wasserman, Ramdas, "Distribution-free prediction sets for two-layer hierarchical
   models", J. Am. Stat. Assoc. 118 (2023).
.. [3] Barber, Candès, Ramdas, Tibshirani, "Predictive inference with the jackknife+", Ann. Stat.
   49 (2021).
"""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import numpy as np

#: How rows were kept from the coefficients, and what intervals from their errors guarantee. Where
#: models without a row are as good as the one that predicts, "jackknife" and "folds" have about
#: the coverage asked for; for jackknife+ the chance is at least 1 - 2 (1 - c), whatever the model.
KINDS = {
    "split": (
        "split-conformal, from {n} that the model had not seen before its last solve. The interval "
        "of the model without them holds a new row like them with a chance of at least {c:.4g} %, "
        "whatever the distribution. The model solved again with them keeps about that chance"
    ),
    "validation": (
        "conformal, from {n} given for validation, which chose the model. The interval holds a new "
        "row like them with a chance of about {c:.4g} %"
    ),
    "jackknife": (
        "jackknife, from {n} left out in turn. The interval holds a new row like them with a "
        "chance of about {c:.4g} %, if one row more or less hardly changes the model"
    ),
    "refit": (
        "jackknife, from {n} left out in turn of a model whose functions were chosen before; their "
        "errors are enlarged as those of unseen rows were then. The interval holds a new row like "
        "them with a chance of about {c:.4g} %"
    ),
    "trained": (
        "jackknife of the last solve, from {n} left out in turn, on which the functions were "
        "trained; their errors are enlarged by the number of weights. This guarantees nothing: "
        "hold rows out (holdout, validation) for intervals that hold a new row with a chance of "
        "{c:.4g} %"
    ),
    "folds": (
        "cross-conformal, from {n}, each judged by a model of other rows. The interval holds a new "
        "row like them with a chance of about {c:.4g} %, if these models are about as good as the "
        "one that predicts"
    ),
}
#: Round-off of a level: the ⌈(n + 1) c⌉-th of 9 scores at .9 is the ninth.
ROUNDED = 1e-9


@dataclasses.dataclass(frozen=True, eq=False)
class Scores:
    """Errors of rows not seen over their expected size, and what each counts for.

    Attributes
    ----------
    values : array, shape (n, Q)
        Signed: the value less its prediction, over the standard deviation predicted.
    mass : array, shape (n,)
        What each row counts for; the new row counts 1. Rows of one group share 1.
    kind : str
        A key of :data:`KINDS`.
    n_groups : int
        How many groups of rows there are; 0 where each row is one.
    """

    values: np.ndarray
    mass: np.ndarray
    kind: str
    n_groups: int = 0

    @classmethod
    def of(
        cls,
        values: np.ndarray,
        kind: str,
        weight: np.ndarray | None = None,
        group: np.ndarray | None = None,
    ) -> Scores:
        """Return scores of rows with weights, which count as rows, and of groups.

        Parameters
        ----------
        values : array, shape (n, Q)
        kind : str
        weight : array, shape (n,), optional
            Their mean is taken to be 1, that of a new row.
        group : array of int, shape (n,), optional
        """
        known = np.isfinite(values).all(axis=1)
        weight = np.ones(len(values)) if weight is None else weight
        known &= weight > 0
        values, weight = values[known], weight[known]
        if group is None:
            return cls(values, weight / weight.mean() if len(weight) else weight, kind)
        label = np.unique(group[known], return_inverse=True)[1].ravel()
        total = np.bincount(label, weight)
        return cls(values, weight / total[label], kind, len(total))

    def __len__(self) -> int:
        return len(self.values)

    @property
    def enough_for(self) -> float:
        """The largest coverage that so many rows have finite bounds for."""
        total = float(self.mass.sum())
        return total / (total + 1)

    def bounds(self, coverage: float, *, signed: bool = False) -> np.ndarray:
        """Return the lower and the upper bound of new scores, (2, Q); infinite of too few rows.

        Parameters
        ----------
        coverage : float
        signed : bool
            Whether both tails have the same chance; by default sizes are bounded, and the bounds
            are ∓ one number.
        """
        found = np.empty((2, self.values.shape[1]))
        for q, scores in enumerate(self.values.T):
            if signed:
                tail = (1 + coverage) / 2
                found[:, q] = -self._least(-scores, tail), self._least(scores, tail)
            else:
                most = self._least(np.abs(scores), coverage)
                found[:, q] = -most, most
        return found

    def _least(self, scores: np.ndarray, level: float) -> float:
        """Return the least number below which a new score lies with that chance."""
        order = np.argsort(scores)
        share = np.cumsum(self.mass[order]) / (float(self.mass.sum()) + 1)
        at = int(np.searchsorted(share, level - ROUNDED))
        return float(scores[order[at]]) if at < len(scores) else math.inf

    def told(self, coverage: float) -> str:
        """Say where intervals of a coverage come from, and what they guarantee."""
        n, groups = len(self), self.n_groups
        rows = f"{n:,} rows" if not groups else f"{n:,} rows of {groups:,} groups"
        words = KINDS[self.kind].format(n=rows, c=100 * coverage)
        return words + "." + (" The new row is one of a group that is new." if groups else "")


def checked_coverage(call: str, coverage: Any) -> float:
    """Return a coverage, or say what is wrong with it.

    Raises
    ------
    ValueError
        Unless it is a number between 0 and 1.
    """
    real = isinstance(coverage, int | float | np.number) and not isinstance(coverage, bool)
    if not (real and 0 < coverage < 1):
        hint = ""
        if real and 1 < coverage < 100:
            hint = f" For {coverage:g} % write {coverage / 100:g}."
        raise ValueError(
            f"{call}(coverage={coverage!r}): expected a number between 0 and 1, such as 0.9 for "
            f"intervals that hold nine new values in ten.{hint}"
        )
    return float(coverage)


def fewest_rows(coverage: float) -> int:
    """Return the least number of rows, or of groups, that bounds of a coverage are finite for.

    Of n scores the ⌈(n + 1) c⌉-th is taken, which there is from n = c / (1 − c) on.

    Examples
    --------
    >>> [fewest_rows(c) for c in (0.5, 0.9, 0.95, 0.99)]
    [1, 9, 19, 99]
    """
    return max(1, math.ceil(coverage / (1 - coverage) - ROUNDED))

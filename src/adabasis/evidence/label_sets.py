r"""Label sets that hold the true label with a chance: from labels that a model never saw.

Of n rows held out, s = 1 − p is what the probability p of the true label misses of certainty. Where
a new row and those are exchangeable, its s is among the ⌈(n + 1) c⌉ smallest with a chance of at
least c: the labels with 1 − p below that are the set [1]_ (least ambiguous sets, without random
choices). Of groups each counts as much as another, whatever its rows, as for a row of a new group
[2]_.

References
----------
.. [1] Sadinle, Lei, Wasserman, "Least ambiguous set-valued classifiers with bounded error levels",
   J. Am. Stat. Assoc. 114 (2019), 223–234.
.. [2] Dunn, Wasserman, Ramdas, "Distribution-free prediction sets for two-layer hierarchical
   models", J. Am. Stat. Assoc. 118 (2023).
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from typing import Any, Self

import numpy as np
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax

from .._runtime.errors import counted

#: Rows that a model keeps, a random choice of more: coverage by so many is off by half a per cent.
MOST_KEPT = 4096
#: Bins of equally many rows that probabilities are compared with shares in, and the fewest rows of
#: one.
BINS, FEWEST_IN_BIN = 10, 10
#: Round-off of a level: the ⌈(n + 1) c⌉-th of 9 scores at .9 is the ninth.
ROUNDED = 1e-9


@dataclasses.dataclass(frozen=True)
class Reliability:
    """Whether probabilities are shares: the predicted label's, on rows not seen.

    Attributes
    ----------
    error : float
        Expected calibration error: mean difference between the probability of the predicted label
        and the share of labels that are right, over bins of equally many rows.
    by_chance : float
        What it would be, on so many rows, of probabilities that are exact.
    bias : float
        Mean probability less the share: positive where the model is too sure.
    brier : float
        Mean square of probabilities less 1 for the true label, 0 for others.
    n_rows : int
    """

    error: float
    by_chance: float
    bias: float
    brier: float
    n_rows: int

    def __str__(self) -> str:
        """Say how far probabilities are from shares."""
        chance = f"by chance alone {100 * self.by_chance:.2g} %"
        off = f"off by {100 * self.error:.2g} % on average ({chance})"
        trend = ""
        if self.error > 2 * self.by_chance and abs(self.bias) > self.error / 2:
            trend = ", too sure" if self.bias > 0 else ", not sure enough"
        return f"probabilities are {off}{trend}, on {counted(self.n_rows, 'row')} not seen"


@dataclasses.dataclass(frozen=True, eq=False)
class HeldOutLabels:
    """Labels that a model did not see, with the probabilities that it, or ones like it, gave.

    Attributes
    ----------
    chances : array of float32, shape (n, K)
    index : array of int, shape (n,)
        The true class, −1 for one that the model does not know.
    weight : array, shape (n,)
    group : array of int, shape (n,)
        Equal for rows that belong together.
    kind : str
        How the labels were kept from the model, in words.
    """

    chances: np.ndarray
    index: np.ndarray
    weight: np.ndarray
    group: np.ndarray
    kind: str

    @classmethod
    def of(
        cls,
        chances: np.ndarray,
        index: np.ndarray,
        weight: np.ndarray | None,
        group: np.ndarray | None,
        kind: str,
    ) -> Self:
        """Return rows of positive weight, a random choice where they are very many."""
        weight = np.ones(len(index)) if weight is None else weight
        group = np.arange(len(index)) if group is None else group
        some = np.flatnonzero(weight > 0)
        if len(some) > MOST_KEPT:
            some = np.sort(np.random.default_rng(0).choice(some, MOST_KEPT, replace=False))
        group = np.unique(group[some], return_inverse=True)[1].ravel()
        arrays = chances[some].astype(np.float32), index[some].astype(np.int64)
        return cls(*arrays, weight[some].astype(float), group, kind)

    @classmethod
    def none(cls, n_classes: int) -> Self:
        """Return no rows: none were held out."""
        return cls.of(np.zeros((0, n_classes)), np.zeros(0, int), None, None, "none")

    @classmethod
    def joined(cls, parts: list[HeldOutLabels], kind: str) -> HeldOutLabels:
        """Return all rows of several; groups of one have nothing to do with those of another."""
        first = np.cumsum([0, *(part.group.max(initial=-1) + 1 for part in parts)])
        groups = [part.group + start for part, start in zip(parts, first[:-1], strict=True)]
        return cls.of(
            np.concatenate([part.chances for part in parts]),
            np.concatenate([part.index for part in parts]),
            np.concatenate([part.weight for part in parts]),
            np.concatenate(groups),
            kind,
        )

    def temperature(self, limits: tuple[float, float]) -> float:
        """Return what scores are divided by for the least cross-entropy of these labels.

        One row more counts as of the likeliest class that it is not of: labels that are all as
        expected do not show how rare others are (Laplace), and certainty would have no limit.
        """
        known = self.index >= 0
        likely = np.log(np.maximum(self.chances[known].astype(float), 1e-300))
        own = np.arange(len(likely)), self.index[known]
        others = likely.copy()
        others[own] = -np.inf
        other = np.arange(len(likely)), others.argmax(axis=1)
        weight = self.weight[known] / max(self.weight[known].sum(), 1e-300)
        n = self._effective(known)[1]

        def cost(log_temperature: float) -> float:
            cooled = log_softmax(likely * math.exp(-log_temperature), axis=1)
            return -float(weight @ (n * cooled[own] + cooled[other])) / (n + 1)

        low, high = map(math.log, limits)
        return math.exp(minimize_scalar(cost, bounds=(low, high), method="bounded").x)

    def cooled(self, temperature: float) -> Self:
        """Return them with scores over a temperature: logarithms of probabilities are scores."""
        if temperature == 1:
            return self
        powers = np.maximum(self.chances.astype(float), 1e-300) ** (1 / temperature)
        chances = (powers / powers.sum(axis=1, keepdims=True)).astype(np.float32)
        return dataclasses.replace(self, chances=chances)

    @property
    def n_units(self) -> int:
        """Rows, or groups of them: what counts as one."""
        return len(np.unique(self.group))

    @property
    def noun(self) -> str:
        """What the units are called."""
        return "row" if self.n_units == len(self.index) else "group"

    @property
    def enough_for(self) -> float:
        """The largest coverage that so many rows have sets for that leave a label out."""
        n = self._effective(np.full(len(self.index), True))[1]
        return n / (n + 1)

    def _effective(self, of: np.ndarray) -> tuple[np.ndarray, float]:
        """Return what each of some rows counts for, and the effective number (Σw)²/Σw² of units.

        Rows of one group share what a row of another group has.
        """
        if not of.any():
            return np.zeros(0), 0.0
        group = np.unique(self.group[of], return_inverse=True)[1].ravel()
        total = np.bincount(group, self.weight[of])
        if len(total) == len(group):
            mass = self.weight[of]
            return mass, float(mass.sum() ** 2 / (mass @ mass))
        return self.weight[of] / total[group], float(len(total))

    def threshold(self, coverage: float, of_class: int | None = None) -> float:
        """Return the least probability of a label of the set; −∞ of too few rows.

        Parameters
        ----------
        coverage : float
        of_class : int, optional
            Rows of this class alone.
        """
        of = np.full(len(self.index), True) if of_class is None else self.index == of_class
        mass, n = self._effective(of)
        given = np.where(
            self.index[of] >= 0, self.chances[of][np.arange(of.sum()), self.index[of]], -np.inf
        )
        order = np.argsort(-given, kind="stable")
        share = np.cumsum(mass[order]) / max(mass.sum(), 1e-300) * (n / (n + 1))
        at = int(np.searchsorted(share, coverage - ROUNDED))
        return float(given[order[at]]) if at < len(order) else -math.inf

    def sets(
        self, chances: np.ndarray, coverage: float, by_class: bool = False
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return which labels are in the sets of N rows (N, K), and which classes lack rows (K,).

        The likeliest label is in every set.
        """
        n_classes = chances.shape[1]
        if by_class:
            least = np.array([self.threshold(coverage, k) for k in range(n_classes)])
        else:
            least = np.full(n_classes, self.threshold(coverage))
        # As they are held here: equal probabilities stay equal.
        inside = ~(chances.astype(np.float32) < least)  # nothing is known of NaN: all are inside
        inside[np.arange(len(chances)), chances.argmax(axis=1)] = True
        return inside, np.isneginf(least)

    @property
    def reliability(self) -> Reliability:
        """How far the probabilities are from the shares."""
        sure = self.chances.max(axis=1).astype(float)
        right = (self.chances.argmax(axis=1) == self.index).astype(float)
        w, total = self.weight, self.weight.sum()
        order = np.argsort(sure, kind="stable")
        n_bins = max(1, min(BINS, len(order) // FEWEST_IN_BIN))
        error = by_chance = 0.0
        for part in np.array_split(order, n_bins):
            size = w[part].sum()
            mean, share = (float(np.average(v[part], weights=w[part])) for v in (sure, right))
            error += size / total * abs(mean - share)
            effective = size**2 / float(w[part] @ w[part])
            spread = float(np.average(sure[part] * (1 - sure[part]), weights=w[part]))
            by_chance += size / total * math.sqrt(2 / math.pi * spread / effective)
        truth = np.zeros(self.chances.shape)
        known = np.flatnonzero(self.index >= 0)
        truth[known, self.index[known]] = 1.0
        squares = np.sum((self.chances - truth) ** 2, axis=1)
        bias = float(np.average(sure - right, weights=w))
        brier = float(np.average(squares, weights=w))
        return Reliability(float(error), float(by_chance), bias, brier, len(w))

    def arrays(self) -> dict[str, np.ndarray]:
        """Return what a file holds besides the kind."""
        names = ("chances", "index", "weight", "group")
        return {name: getattr(self, name) for name in names}

    @classmethod
    def restored(cls, kind: str, arrays: Mapping[str, np.ndarray]) -> Self:
        """Return what :meth:`arrays` described."""
        return cls(**arrays, kind=kind)


def fewest_units(coverage: float) -> int:
    """Return how many rows or groups sets of a coverage take: n ≥ c / (1 − c)."""
    return math.ceil(coverage / (1 - coverage) - ROUNDED)


def checked_coverage(call: str, coverage: Any) -> float:
    """Return a coverage between 0 and 1, or say what is wrong with it."""
    try:
        value = math.nan if isinstance(coverage, str | bool) else float(coverage)
    except (TypeError, ValueError):
        value = math.nan
    if not 0 < value < 1:
        meant = f": for {value:g} % say {value / 100:g}" if 2 <= value < 100 else ""
        raise ValueError(
            f"{call}, coverage={coverage!r}): expected a number between 0 and 1{meant}."
        )
    return value

"""Errors on rows that the coefficients never saw, with a range; leave-one-out in closed form."""

from __future__ import annotations

import dataclasses
import functools
import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from scipy.special import gammaincinv, ndtri

from .. import lstsq

#: Resamplings of the groups, and the quantiles that the range spans.
RESAMPLED, RANGE = 400, (0.05, 0.95)
#: Groups that are drawn one by one: more are drawn in so many blocks, which vary as they do.
BLOCKS = 2000
#: Chance with which a claim may be too low, were errors normal: that of the range's upper end.
CHANCE = 0.05
#: Distance of a leverage from 1 that is round-off.
ALONE = 1e-9
#: n rows miss, with a chance of 5 %, whatever happens on fewer than 3/n of all: (1 − 3/n)^n ≈ e⁻³.
RULE_OF_THREE = 3.0


@dataclasses.dataclass(frozen=True, eq=False)
class Unseen:
    """Losses of rows that no coefficient was fitted to.

    Attributes
    ----------
    rows : array of int, shape (n,)
        Which places they are; negative for rows that were given besides.
    losses : array, shape (n,)
        Relative: squared errors over the squared spread, of classes cross-entropies over that of
        the frequencies. Infinite where nothing is known.
    weight : array, shape (n,)
    group : array, shape (n,)
        Equal for rows that were left out together.
    kind : str
        How it came about.
    root : bool
        Whether the error is the root of the mean loss.
    surprise : float
        Mean loss of the rows had they been otherwise than expected: labelled with the likeliest
        class that they are not of.
    count : array, shape (n,), or None
        Of how many rows each is the mean loss, each having been left out by itself.
    residuals : array, shape (n, Q), optional
        Values less predictions, in the model's units, where they are known.
    """

    rows: np.ndarray
    losses: np.ndarray
    weight: np.ndarray
    group: np.ndarray
    kind: str
    root: bool = True
    surprise: float = 0.0
    count: np.ndarray | None = None
    residuals: np.ndarray | None = None

    @functools.cached_property
    def error(self) -> float:
        """The weighted mean loss, or its root."""
        return float(self._error(np.average(self.losses, weights=self.weight)))

    @functools.cached_property
    def claim(self) -> float:
        """The error with a margin for what so few groups of rows can tell.

        A mean of squares of n normal errors is that of all, times χ²(n)/n: the claim is too low
        with a chance of :data:`CHANCE`. The effective number n comes from the spread of the groups'
        losses, whose variance over their squared mean is 2/n_g for normal errors: where few rows
        have most of the error, it is small.
        """
        if not 0 < self.error < math.inf or (self.rows < 0).all():
            return self.error  # rows that were given to judge by are what is asked about
        weight, sums = self._grouped(self.losses)
        mean = sums / weight
        about = np.average((mean / np.average(mean, weights=weight) - 1) ** 2, weights=weight)
        most = len(mean) if self.count is None else float(self.count.sum())
        n = min(most, max(1.0, 2 * len(mean) / max(float(about), 1e-300)))
        if self.root:
            return self.error * math.sqrt(n / (2 * gammaincinv(n / 2, CHANCE)))
        # Rows that are all as expected do not show how rare others are (Laplace: with a chance of
        # 1/(n + 1) the next one is not).
        error = self.error + (self.surprise - self.error) / (len(self.losses) + 1)
        return error * (1 + ndtri(1 - CHANCE) * math.sqrt(float(about) / len(mean)))

    @functools.cached_property
    def range(self) -> tuple[float, float]:
        """Quantiles of the error, groups of rows drawn anew with replacement; the claim inside."""
        if not math.isfinite(self.error):
            return self.error, self.error
        low, high = np.quantile(self._error(self._drawn(self.losses)), RANGE)
        return float(low), max(float(high), self.claim)

    def least_ratio(self, others: np.ndarray) -> float:
        """Return the lower end of the range of this error over that of other losses (n,)."""
        if not np.isfinite(self.losses).all() or not np.isfinite(others).all():
            return math.nan
        drawn = self._drawn(self.losses) / np.maximum(self._drawn(others), 1e-300)
        return float(np.quantile(self._error(drawn), RANGE[0]))

    def _drawn(self, losses: np.ndarray) -> np.ndarray:
        """Return the mean loss of groups drawn anew, with replacement, the same for all losses."""
        sums = self._grouped(losses)
        if sums.shape[1] > BLOCKS:
            block = np.random.default_rng(1).permutation(sums.shape[1]) % BLOCKS
            sums = np.stack([np.bincount(block, row) for row in sums])
        weight, loss = sums @ _counts(sums.shape[1]).T
        return loss / weight

    def _grouped(self, losses: np.ndarray) -> np.ndarray:
        """Return the groups' weights and weighted losses, (2, G)."""
        group = np.unique(self.group, return_inverse=True)[1].ravel()
        sums = np.stack([np.bincount(group, self.weight), np.bincount(group, self.weight * losses)])
        return sums[:, sums[0] > 0]

    def _error(self, loss: float | np.ndarray) -> np.ndarray:
        return np.sqrt(loss) if self.root else np.asarray(loss)

    @classmethod
    def joined(cls, parts: Sequence[Unseen], kind: str) -> Unseen:
        """Return the losses of all."""
        names: tuple[str, ...] = ("rows", "losses", "weight", "group")
        if all(part.residuals is not None for part in parts):
            names = (*names, "residuals")
        arrays = {name: np.concatenate([getattr(p, name) for p in parts]) for name in names}
        surprise = float(np.mean([part.surprise for part in parts]))
        return cls(**arrays, kind=kind, root=parts[0].root, surprise=surprise)

    @classmethod
    def worst(cls, claims: Sequence[Unseen]) -> Unseen:
        """Return the evidence of the largest error.

        Not that of the largest claim: the margin of a few rows is no evidence of an error.
        """
        return max(claims, key=lambda evidence: evidence.error)


@functools.lru_cache(maxsize=2)
def _counts(n: int) -> np.ndarray:
    """Return how often each of n groups is among n drawn with replacement, many times over."""
    share = np.full(n, 1 / n)
    counts = np.random.default_rng(0).multinomial(n, share, RESAMPLED).astype(float)
    counts.flags.writeable = False  # others get the same array
    return counts


def spread(t: np.ndarray, weight: Any = None, scatter: float | np.ndarray = 0.0) -> float:
    """Return the root mean square over targets of their standard deviation; 1 where none varies."""
    mean = np.average(t, axis=0, weights=weight)
    square = np.average((t - mean) ** 2 + scatter, axis=0, weights=weight)
    return math.sqrt(float(square.mean())) or 1.0


@dataclasses.dataclass(frozen=True, eq=False)
class Places:
    """Distinct places, what was measured there, and which are held out together.

    Attributes
    ----------
    z : array, shape (N, D)
    t : array, shape (N, Q)
        Mean values.
    weight, count : arrays, shape (N,)
        Total weight, and number of rows.
    scatter : array, shape (N, Q)
        Weighted mean square about the means.
    group : array of int, shape (N,)
    within : bool
        Whether single rows are left out of their place, and not whole places.
    """

    z: np.ndarray
    t: np.ndarray
    weight: np.ndarray
    count: np.ndarray
    scatter: np.ndarray
    group: np.ndarray
    within: bool = False

    def __getitem__(self, indices: np.ndarray) -> Places:
        arrays = {f.name: getattr(self, f.name) for f in dataclasses.fields(self)}
        within = arrays.pop("within")
        return Places(**{name: a[indices] for name, a in arrays.items()}, within=within)

    def __len__(self) -> int:
        return len(self.z)

    @functools.cached_property
    def spread(self) -> float:
        """The spread of all rows, see :func:`spread`."""
        return spread(self.t, self.weight, self.scatter)

    @functools.cached_property
    def noise(self) -> tuple[np.ndarray, int]:
        """The variance (Q,) that replicates show about their means, and its degrees of freedom."""
        freedom = int(np.sum(np.maximum(self.count - 1, 0)))
        return self.count @ self.scatter / max(freedom, 1), freedom

    def losses(self, error: np.ndarray, gain: float | np.ndarray = 1.0) -> np.ndarray:
        """Return the relative loss of errors (N, Q) in the means, that of the scatter included."""
        scatter = self.scatter * np.square(gain) if np.any(self.scatter) else 0.0
        return np.mean(error**2 + scatter, axis=1) / self.spread**2


@dataclasses.dataclass(frozen=True, eq=False)
class LeftOut:
    """Linear least squares on the columns A of some rows, each left out of it in turn.

    Parameters
    ----------
    places : Places
    matrix : array, shape (N, P)
    ridge : float
        λ in the weighted mean square plus λ‖c‖², on unscaled coefficients.
    n_free : int
        So many of the last columns are not penalised.
    """

    places: Places
    matrix: np.ndarray
    ridge: float = 0.0
    n_free: int = 0

    @functools.cached_property
    def factors(self) -> lstsq.Factorization:
        """Those of the weighted rows, the ridge's below them."""
        (n, p), root = self.matrix.shape, self._root[:, None]
        if not self.ridge:
            return lstsq.factorize(root * self.matrix, n_free=self.n_free)
        rows = np.zeros((n + p - self.n_free, p))
        np.multiply(root, self.matrix, out=rows[:n])
        rows[n:][np.diag_indices(p - self.n_free)] = math.sqrt(self.ridge)
        return lstsq.factorize_full_rank(rows, overwrite=True)

    @functools.cached_property
    def _root(self) -> np.ndarray:
        return np.sqrt(self.places.weight / self.places.weight.sum())

    @functools.cached_property
    def _rhs(self) -> Any:
        b = self._root[:, None] * self.places.t
        below = self.factors.u.shape[0] - len(b)
        return np.concatenate([b, np.zeros((below, b.shape[1]))])

    @functools.cached_property
    def _some_together(self) -> bool:
        return len(np.unique(self.places.group)) < len(self.places)

    def losses(self, relative: float = 0.0) -> np.ndarray:
        """Return the loss of each row where it is left out, (N,).

        Parameters
        ----------
        relative : float
            A ridge relative to the largest singular value of the unit-norm columns, squared.
        """
        return self.places.losses(*self.residuals(relative))

    def residuals(self, relative: float = 0.0) -> tuple[np.ndarray, float | np.ndarray]:
        """Return the means less their predictions without them (N, Q), and the gain of scatter.

        By the latter the scatter about a mean grows where a row is left out of its place.
        """
        places, factors, n = self.places, self.factors, len(self.places)
        ridge = relative * float(self.factors.largest) ** 2
        leverages, groups = factors.leverages(ridge), None
        # A place without which nothing is known there, the middle of a design, keeps all of its
        # rows but one.
        unknown = 1 - leverages[:n] < ALONE
        alone = (places.count > 1) & unknown
        share = np.ones(len(leverages))
        share[:n] = np.where(places.within | alone, 1 / places.count, 1.0)
        gain = np.where(share < 1, 1 / np.maximum(1 - share * leverages, 1e-150), 1.0)[:n, None]
        if not places.within and self._some_together:
            groups = np.append(places.group, places.group.max() + 1 + np.arange(len(leverages) - n))
        out = factors.loo_residuals(self._rhs, ridge, groups=groups, share=share)[:n]
        out = out / self._root[:, None]
        variance, freedom = places.noise
        lonely = places.within & unknown & (places.count <= 1)
        if lonely.any() and lonely.sum() <= freedom:
            # One row of a place that the model goes through: the next would differ from it as
            # replicates differ elsewhere, which tell this of so many places at most.
            out[lonely] = np.sqrt(2 * variance)
        return out, gain

    def leverages(self, relative: float = 0.0) -> np.ndarray:
        """Return the leverages of the rows, (N,)."""
        leverages = self.factors.leverages(relative * float(self.factors.largest) ** 2)
        return np.asarray(leverages[: len(self.places)])

    def effective(self, relative: float = 0.0) -> float:
        """Return the effective number of parameters, the trace of the hat matrix."""
        leverages = self.factors.leverages(relative * float(self.factors.largest) ** 2)
        return float(leverages[: len(self.places)].sum())

    def solve(self, relative: float = 0.0) -> np.ndarray:
        """Return the coefficients, (P, Q)."""
        return self.factors.solve(self._rhs, relative * float(self.factors.largest) ** 2)


def left_out_kind(places: Places) -> str:
    """Return how rows are left out, in words."""
    if places.within:
        return f"leave-one-out at these {len(places)} places only"
    if len(np.unique(places.group)) < len(places):
        return "leave-one-group-out"
    return "leave-one-out"


def unseen_share(n_rows: int) -> str:
    """Return what so many rows cannot see, in words."""
    share = min(1.0, RULE_OF_THREE / max(n_rows, 1))
    percent = 100 * share
    if share == 1.0:
        return f"{n_rows:,} rows cannot see what happens at any other place."
    return f"{n_rows:,} rows cannot see what happens on fewer than {percent:.2g} % of all rows."

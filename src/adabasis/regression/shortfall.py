"""Why the error on unseen rows does not fall any further: noise, rows, smoothness or rounding.

What is asked, in this order: do replicates differ by more than is wanted; is the error as small as
rounding; do bases still help at the largest size that rows, memory or time allow; do the errors sit
at few neighbouring rows (a jump or a kink); do functions fitted to half of the rows err as little
as those fitted to all (noise) or by much more (too few rows); does the error of polynomials fall
like a power of their degree (a singularity) or geometrically.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from scipy.spatial import cKDTree
from scipy.special import chdtri

from ..models.tolerance import Reason, Tolerance
from ..selection.prepared import Prepared
from ..selection.task import design
from . import bases as proposals
from .rungs import Rung
from .task import RegressionTask

#: Degrees of freedom from which replicates are heard, and the chance that their variance is less.
FEWEST, CHANCE = 3, 0.05
#: Rounding of doubles and of single precision, relative.
DOUBLE, SINGLE = 2.0**-53, 2.0**-24
#: Error over that of rounding from which rounding is what stops it; fewer different values than
#: that are levels, and not rounded numbers.
AS_ROUNDED, FEWEST_VALUES = 3.0, 20
#: Error below which solves in doubles gain nothing more: their cut-off of singular values is 1e-13,
#: and rows at the edges multiply it.
SOLVED = 1e-10
#: Factor by which the last size of a family errs less than the one before, where it still falls.
FALLING = 0.7
#: Share of the squared errors, and of the rows that have them where they sit at few: of normal
#: errors 80 % are in a third of the rows.
MOST_OF_IT, FEW_OF_ALL = 0.8, 0.2
#: Share of those rows that have another one for a neighbour; of rows where noise is large a third.
BESIDE = 0.6
#: Rows nearer to an end of an input, by rank, are at the edge: there functions that are smooth err
#: most, too.
EDGE = 0.02
#: Error of functions fitted to half the rows over that of those fitted to all, from which rows are
#: what is missing. With p functions a row, noise alone gives √((1 + 2p)/(1 + p)), at most 1.15.
FEWER_ROWS = 1.25
#: Share that is left of the noise by its estimate from the residuals, RSS/(N − p), where bases with
#: so many times the functions do not lower it: it is noise, and not what few functions miss.
STEADY, MORE = 0.85, 1.5
#: Share of the error on rows not seen that it has to be, or else it is not what makes the error.
EXPLAINS = 0.5
#: Correlation of the residuals of neighbours from which they are no noise, if it is so many of its
#: standard errors, 1/√N.
ALIKE, SURE = 0.25, 2.5
#: Rows that tell noise from too few rows, and sizes that are fitted to halves.
FEWEST_ROWS, HALVED = 20, 6
#: Functions over those of the best basis that show whether more of them help, where time is short.
CLEARLY_MORE = 3.0
#: Share of the time of all solves that some of them may take again, to tell the reason.
AGAIN = 0.05
#: Degrees that tell how the error falls, and the share of the misfit of a geometric fall that that
#: of a power may have.
FEWEST_DEGREES, POWER = 5, 0.5
#: Factor by which the error has to have fallen for that.
FALLEN = 4.0
#: Factor by which a degree errs less than all before it, to be one of these.
BETTER = 0.95


@dataclasses.dataclass(frozen=True)
class Rounding:
    """How finely values are given: the relative error that it makes, and how they are rounded."""

    error: float
    words: str
    coarse: bool


def rounding(data: Prepared) -> Rounding:
    """Return the relative error that rounding of the values and the inputs makes, in words too.

    Values may be decimals of few digits, or of single precision. Doubles far from zero, such as
    1e9 and 1e9 + 1, have few digits left of what differs.
    """
    squares, coarse, words = [], False, "Doubles hold 16 digits"
    for column in data.each.T:
        spread = float(column.std())
        if spread == 0:
            continue
        size = float(np.sqrt(np.mean(column**2)))
        square = (DOUBLE * size / spread) ** 2 / 3
        if len(np.unique(column)) >= FEWEST_VALUES:
            step = _decimal_step(column)
            if step:
                square, coarse = (step / spread) ** 2 / 12, True
                words = f"The values are multiples of {step:g}"
            elif np.array_equal(column, column.astype(np.float32)):
                square, coarse = (SINGLE * size / spread) ** 2 / 3, True
                words = "The values have single precision, seven digits"
        squares.append(square)
    of_values = math.sqrt(np.mean(squares)) if squares else 0.0
    extent = np.ptp(data.x, axis=0)
    share = np.abs(data.x).max(axis=0)[extent > 0] / extent[extent > 0]
    of_inputs = DOUBLE * float(share.max(initial=0.0))
    if of_inputs > of_values and of_inputs > 10 * DOUBLE:
        words = "The inputs differ in their last digits only: doubles hold 16"
    return Rounding(max(of_values, of_inputs), words, coarse)


def _decimal_step(column: np.ndarray) -> float:
    """Return the power of ten that all values are multiples of, or 0 where doubles are finer."""
    largest = float(np.abs(column).max())
    for k in range(-3, 13):
        scaled = column * 10.0**k
        if 1e4 * 8 * DOUBLE * largest * 10.0**k > 1:
            return 0.0
        if np.abs(scaled - np.round(scaled)).max() <= 8 * DOUBLE * largest * 10.0**k:
            return float(10.0**-k)
    return 0.0


def replicate_noise(data: Prepared) -> float:
    """Return the least relative error that replicates leave, or 0 where they are too few."""
    variance, freedom = data.places.noise
    if freedom < FEWEST:
        return 0.0
    least = freedom / float(chdtri(freedom, CHANCE))
    return math.sqrt(float(np.mean(variance)) * least) / data.places.spread


class Shortfall:
    """What the bases that were tried tell of why a tolerance is not met.

    Parameters
    ----------
    task : RegressionTask
    rungs : sequence of Rung
        Functions as drawn, in the order in which they were tried.
    ended : mapping of str to str
        Why each family ended: ``"rows"``, ``"size"``, ``"time"`` or ``""``.
    """

    def __init__(
        self, task: RegressionTask, rungs: Sequence[Rung], ended: dict[str, str], tol: float
    ) -> None:
        self.task, self.rungs, self.ended, self.tol = task, list(rungs), ended, tol
        self.data = task.data
        self.best = min(self.rungs, key=lambda rung: rung.error)
        self.largest = max(rung.size for rung in self.rungs)
        self.claim = 0.0

    def told(self, error: float, best_error: float) -> Tolerance:
        """Return the reason for a claimed error above the tolerance.

        Parameters
        ----------
        error : float
            What the model claims.
        best_error : float
            The error of the best candidate, networks among them.
        """
        self.claim = error if math.isfinite(error) else 0.0
        because, about = self._why(min(best_error, self.best.error))
        numbers = {"functions": self.largest, **about}
        return Tolerance(self.tol, error, because[0], *because[1:], **numbers)

    def _why(self, error: float) -> tuple[tuple[Reason, str, str], dict[str, Any]]:
        data, n = self.data, len(self.data.places)
        noise = replicate_noise(data)
        if noise > self.tol:
            freedom = data.places.noise[1]
            return self._noisy(
                noise,
                f"Replicates differ from their place's mean by at least {noise:.2g} of the spread "
                f"({freedom} degrees of freedom): no model predicts single values better.",
            )
        digits = rounding(data)
        if error <= AS_ROUNDED * digits.error or (error <= SOLVED and not self._falls):
            return self._rounded(digits, error)
        ended = self.ended.get(self.best.family)
        if self._falls and ended in ("size", "time"):
            return self._budget(ended == "time")
        few = self._few_neighbours()
        if few and n >= FEWEST_ROWS:
            return (
                Reason.NOT_SMOOTH,
                f"{few}; the error falls slowly with the number of functions.",
                _PIECES,
            ), {}
        if n < FEWEST_ROWS:
            text = f"{n} distinct rows do not tell what the function does between them."
            return (Reason.FEW_ROWS, text, "Collect more rows."), {}
        if "time" in self.ended.values() and self.largest < CLEARLY_MORE * self.best.size:
            return self._budget(of_time=True)
        half, full = self._learning_curve()
        about = {"half_rows_error": half, "all_rows_error": full}
        now, more = self._by_residuals()
        alike = self._correlation() > max(ALIKE, SURE / math.sqrt(n))
        explains = now >= EXPLAINS * self.best.error and not alike
        steady = explains and STEADY * now <= more < math.inf
        falling = not steady and (more < math.inf or not explains or half >= FEWER_ROWS * full)
        if falling and self._like_a_power():
            text = (
                "The error of polynomials falls like a power of their degree, as at a kink, a jump "
                f"or a root: {self._path()}."
            )
            return (Reason.NOT_SMOOTH, text, _PIECES), about
        if falling or self._falls:
            return self._few_rows(half, full), about
        text = (
            f"More functions do not help: errors of {self._path()}. By the residuals the noise is "
            f"{now:.2g}"
            + (
                f", and as much ({more:.2g}) by those of more functions. "
                if more < math.inf
                else ". "
            )
            + f"From half of the rows the error is {half:.2g}."
        )
        if full > 0.5:
            text += " So varies a target that these inputs do not tell, or one that varies faster "
            text += "than the rows lie."
        found, floor = self._noisy(now, text)
        return found, floor | about

    @property
    def _family(self) -> list[Rung]:
        return [rung for rung in self.rungs if rung.family == self.best.family]

    @property
    def _falls(self) -> bool:
        """Whether the largest basis of the best family is clearly better than the one before."""
        family = sorted(self._family, key=lambda rung: rung.size)
        last, before = family[-1], [r.error for r in family if r.size < 0.8 * family[-1].size]
        return self.best.size == last.size and bool(before) and last.error < FALLING * min(before)

    def _path(self) -> str:
        """Say how the error went with the number of functions."""
        several = len({rung.size for rung in self._family}) > 1
        family = sorted(self._family if several else self.rungs, key=lambda rung: rung.size)
        least: dict[int, float] = {}
        for rung in family:
            least[rung.size] = min(rung.error, least.get(rung.size, math.inf))
        sizes = list(least)
        some = sizes[-4:] if self.best.size in sizes[-4:] else [self.best.size, *sizes[-3:]]
        return ", ".join(f"{least[size]:.2g} with {size:,}" for size in some) + " functions"

    def _budget(self, of_time: bool) -> tuple[tuple[Reason, str, str], dict[str, Any]]:
        text = f"The error still falls with the number of functions: {self._path()}."
        if of_time:
            if not self._falls:
                text = f"There was no time for many more functions: errors of {self._path()}."
            return (Reason.TIME, text, "Give it more time (max_seconds)."), {}
        advice = "Cut the inputs into smaller boxes, and fit each."
        return (Reason.SIZE, text, advice), {}

    def _rounded(
        self, digits: Rounding, error: float
    ) -> tuple[tuple[Reason, str, str], dict[str, Any]]:
        floor = max(digits.error, DOUBLE)
        words = f"{digits.words}, which is {floor:.2g} of the spread"
        if not error <= AS_ROUNDED * digits.error:
            chosen = self.best.candidate
            words = (
                f"{words}, and functions that nearly depend on each other lose some of them: the "
                f"best of {chosen.basis.size(self.data.z.shape[1])} err by {error:.2g}"
            )
        advice = f"Ask for a tolerance above {4 * error:.1g}"
        advice += ", or give the values with more digits." if digits.coarse else "."
        return (Reason.RANK, f"{words}.", advice), {"noise": floor}

    def _noisy(self, floor: float, text: str) -> tuple[tuple[Reason, str, str], dict[str, Any]]:
        return (Reason.NOISE, text, quieter(max(self.claim, floor))), {"noise": floor}

    def _few_rows(self, half: float, full: float) -> tuple[Reason, str, str]:
        n = len(self.data.places)
        text = (
            f"From half of the {n:,} rows the error is {half:.2g}, from all of them {full:.2g}: it "
            "falls with the number of rows."
        )
        advice, rate = "Collect more rows.", math.log2(max(half / full, 1.0 + 1e-9))
        error = max(full, self.claim)
        needed = n * (error / self.tol) ** (1 / rate) if rate > 0.2 else math.inf
        if 1.2 * n < needed < 1e6:
            digits = 10 ** (math.floor(math.log10(needed)) - 1)
            advice = f"Collect more rows: at this rate about {round(needed / digits) * digits:,}."
        return Reason.FEW_ROWS, text, advice

    def _few_neighbours(self) -> str:
        """Say where the errors sit, if that is at few rows beside each other inside the box."""
        seen = self.best.candidate.unseen
        if seen is None or not np.isfinite(seen.losses).all() or not (seen.losses > 0).any():
            return ""
        losses, z = seen.weight * seen.losses, self.data.z[seen.rows]
        order = np.argsort(losses)[::-1]
        total = np.cumsum(losses[order])
        top = order[: 1 + int(np.searchsorted(total, MOST_OF_IT * total[-1]))]
        share = len(top) / len(z)
        if share > FEW_OF_ALL or len(top) < 2:
            return ""
        ordered = np.sort(z, axis=0)
        ends = [  # shares of the rows below and above each, equal ones not counted
            (np.searchsorted(o, c), len(z) - np.searchsorted(o, c, "right"))
            for o, c in zip(ordered.T, z.T, strict=True)
        ]
        edge = np.array(ends).min(axis=(0, 1)) < EDGE * len(z)
        if losses[top][edge[top]].sum() > 0.5 * losses[top].sum():
            return ""
        is_top: np.ndarray = np.zeros(len(z), bool)
        is_top[top] = True
        nearest = cKDTree(z).query(z[top], 2)[1][:, 1]
        if is_top[nearest].mean() < max(BESIDE, 2 * share):
            return ""
        text = f"{100 * MOST_OF_IT:.0f} % of the squared error sits at {len(top)} of {len(z):,} "
        text += "rows beside each other"
        x = self.data.x[seen.rows]
        near = np.ptp(x[top], axis=0) / np.maximum(np.ptp(x, axis=0), 1e-300)
        at = int(np.argmin(near))
        return text + (
            f", near input {at + 1} ≈ {np.median(x[top, at]):.3g}" if near[at] < FEW_OF_ALL else ""
        )

    def _correlation(self) -> float:
        """Return the correlation of left-out residuals with those of the nearest other row."""
        seen = self.best.candidate.unseen
        if seen is None or seen.residuals is None or not np.isfinite(seen.residuals).all():
            return 0.0
        r, z = seen.residuals, self.data.z[seen.rows]
        nearest = cKDTree(z).query(z, 2)[1][:, 1]
        return float(np.sum(r * r[nearest])) / max(float(np.sum(r * r)), 1e-300)

    def _learning_curve(self) -> tuple[float, float]:
        """Return the errors of functions fitted to half of the rows, and to all.

        Bases have at most half as many functions as there are rows, both times; the best one is
        taken each time.
        """
        data, task = self.data, self.task
        group = np.unique(data.places.group[task.sampled], return_inverse=True)[1].ravel()
        side = np.random.default_rng([data.seed, 7]).permutation(group.max() + 1)[group] % 2
        halves = [task.sampled[side == k] for k in (0, 1)]
        fits = [r for r in self.rungs if 2 * r.size <= len(halves[0])]
        fits = self._cheap(sorted(fits, key=lambda rung: rung.error)[:HALVED])
        errors = []
        for rung in fits:
            basis, parameters = rung.candidate.basis.canonical(), rung.candidate.parameters
            found, weights = [], []
            for kept, out in (halves, halves[::-1]):
                fit = proposals.linear_fit(basis, parameters, data, kept)
                values = design(basis, parameters, data.z[out]) @ fit.coefficients
                found.append(task.losses(values, data.t[out], data.places.scatter[out]))
                weights.append(data.weight[out])
            both = np.concatenate(found), np.concatenate(weights)
            errors.append(math.sqrt(float(np.average(both[0], weights=both[1]))))
        return min(errors, default=math.inf), self.best.error

    def _by_residuals(self) -> tuple[float, float]:
        """Return the noise by residuals of the best basis, and of the best of larger ones.

        Each is the root of RSS/(N − p), p being the effective number of parameters, relative to the
        spread; infinite where there are no larger bases.
        """
        larger = [r for r in self.rungs if r.size >= MORE * self.best.size]
        some = self._cheap(sorted(larger, key=lambda rung: rung.error)[:HALVED])
        return self._residual(self.best), min(map(self._residual, some), default=math.inf)

    def _cheap(self, rungs: list[Rung]) -> list[Rung]:
        """Return the first of some bases, and those after it that are solved in little time."""
        left, kept = AGAIN * sum(rung.seconds for rung in self.rungs), rungs[:1]
        for rung in rungs[1:]:
            left -= rung.seconds
            if left >= 0:
                kept.append(rung)
        return kept

    def _residual(self, rung: Rung) -> float:
        data, rows, chosen = self.data, self.task.sampled, rung.candidate
        fit = proposals.linear_fit(chosen.basis, chosen.parameters, data, rows, chosen.ridge)
        values = design(chosen.basis.canonical(), chosen.parameters, data.z[rows])
        left = np.mean((values @ fit.coefficients - data.t[rows]) ** 2, axis=1)
        freedom = max(len(rows) - fit.effective, 1.0) / len(rows)
        square = float(np.average(left, weights=data.weight[rows])) / freedom
        return math.sqrt(square) / data.places.spread

    def _like_a_power(self) -> bool:
        """Whether the error of polynomials falls like a power of their degree."""
        least, ladder = 1.0, []
        for rung in sorted(self.rungs, key=lambda r: r.degree()):
            if (
                rung.degree() and 0 < rung.error < BETTER * least
            ):  # even functions gain by every other degree alone
                least = rung.error
                ladder.append((rung.degree(), least))
        degree, error = np.array(ladder).reshape(-1, 2).T
        if len(error) < FEWEST_DEGREES or error[0] < FALLEN * error[-1]:
            return False
        misfits = []
        for along in (np.log(degree), degree):
            columns = np.column_stack([np.ones_like(along), along])
            rest = np.log(error) - columns @ np.linalg.lstsq(columns, np.log(error))[0]
            misfits.append(float(rest @ rest))
        return misfits[0] < POWER * misfits[1]


def quieter(error: float) -> str:
    """Say what to do about noise, where such an error is claimed."""
    return (
        f"Ask for a tolerance above {error:.2g}, or measure more exactly: the mean of four "
        "readings has half the noise."
    )


#: What to do where a function is smooth in pieces.
_PIECES = "Try fit_pounet(X, y) (--model pounet), which looks for the pieces."

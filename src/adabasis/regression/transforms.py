"""How targets and inputs are transformed.

Models are compared by the rows that they leave out, at the price of a few linear fits.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from scipy.special import ndtr, stdtrit

from .._runtime.compute import numerics
from ..basis import AbstractBasis, FrozenFeatures
from ..evidence.errors import LeftOut, Unseen
from ..evidence.verdict import CLEAR, SURE
from ..geometry.maps import Coordinates, InputMap, TargetMap, Transform
from ..geometry.points import unit_box
from ..models.record import Asked
from ..selection.prepared import Prepared, merged, some_rows
from ..selection.task import design, draw, placed
from . import bases as proposals
from .choice import Choice
from .decades import as_told, by_equal_factors, over_decades

TRANSFORMS = ("auto", "log", "yeo-johnson")
#: Transforms whose slope changes by less, between those quantiles of the target, are lines nearly:
#: what they gain is luck, or the functions' that decide.
BENT = 3.0
#: Rows that decide, and the fewest places that can.
DECIDING_ROWS, FEWEST_PLACES = 2000, 3
#: No transform may make the root mean square error larger by the first factor, or by the second
#: where a few rows may have done so; below 1 over the first it counts as made smaller.
WORSE, MOST_WORSE = 1.1, 2.0
#: Residuals below this share of the spread are those of arithmetic: nothing is better than that.
ROUND_OFF = 1e-12
#: Inputs that are taken out of logarithms, or into them, one by one.
MOST_SINGLE = 8
#: Quantiles of |y| from which Yeo and Johnson's function may bend; its powers for positive values,
#: those for negative ones being 2 less these.
BENDS, POWERS = (0.05, 0.25, 0.75), (0.0, 0.5)


def offered_to(y: np.ndarray, kind: str | None) -> list[Transform]:
    """Return the transforms to compare for values (N,): the plain one first under "auto".

    Yeo and Johnson's bends where a quantile of |y| says: a change of the user's unit changes
    nothing.
    """
    signed = [Transform("log", sign) for sign in (1.0, -1.0) if (sign * y > 0).all()]
    if kind is None or (kind == "auto" and np.ptp(y) == 0):
        return [Transform()]
    if kind == "log":
        return [Transform("log")]
    powers = [power for power in POWERS if (y > 0).any()]
    powers += [2.0 - power for power in POWERS if (y < 0).any()]
    units = np.unique(np.quantile(np.abs(y[y != 0]), BENDS)).tolist() if y.any() else []
    bent = [Transform("yeo-johnson", unit, power) for unit in units for power in powers]
    if kind == "auto":
        ends = np.quantile(y, (0.05, 0.95))
        return [Transform(), *(one for one in (*signed, *bent) if _bends(one, ends))]
    return bent or [Transform()]


def _bends(one: Transform, ends: np.ndarray) -> bool:
    return bool(np.ptp(one.log_slope(ends)) >= math.log(BENT))


def likeliest(y: np.ndarray, weight: np.ndarray, offered: list[Transform]) -> Transform:
    """Return the transform that makes a target (N,) most nearly normal, inputs left aside."""

    def minus_likelihood(one: Transform) -> float:
        t = one(y)
        variance = np.average((t - np.average(t, weights=weight)) ** 2, weights=weight)
        slope = np.average(one.log_slope(y), weights=weight)
        return 0.5 * math.log(max(float(variance), 1e-300)) - float(slope)

    return min(offered, key=minus_likelihood)


def checked_transforms(call: str, asked: Any, n_outputs: int) -> tuple[str | None, ...]:
    """Return what is asked for each target.

    Raises
    ------
    ValueError
        For names that are not known, or another number of them than there are targets.
    """
    several = isinstance(asked, list | tuple)
    each = tuple(asked) if several else (asked,) * n_outputs
    if len(each) != n_outputs:
        raise ValueError(
            f"{call}(target_transform={asked!r}): {len(each)} transforms for {n_outputs} targets. "
            "Give one for all, or one for each."
        )
    unknown = [one for one in each if one is not None and one not in TRANSFORMS]
    if unknown:
        raise ValueError(
            f"{call}(target_transform={asked!r}): expected None, 'log', 'yeo-johnson' or 'auto', "
            "or one of these for each target."
        )
    return each


@dataclasses.dataclass(frozen=True, eq=False)
class Trial:
    """One transform of one target with some coordinates: how rows left out fare.

    Attributes
    ----------
    transform : Transform
    likelihood : array, shape (n,)
        Logarithm of the density of each row's value in the user's units, were left-out errors
        normal in transformed units (Box and Cox, J. R. Stat. Soc. B 26, 1964).
    errors : array, shape (n,)
        Of values in the user's units, over the spread.
    rms : float
    """

    transform: Transform
    likelihood: np.ndarray
    errors: np.ndarray
    rms: float


class Chooser:
    """Compares transforms by the rows that linear fits leave out.

    One is taken if values of left-out rows are clearly likelier with it (Vuong, Econometrica
    57, 1989), and their errors in the user's units smaller: the root mean square, or those of
    clearly more than half of the rows while the root mean square, which the largest values rule,
    does not grow for sure. The likelihood asks for transformed errors of one size: for those in
    per cent of the value the logarithm wins, for those of one size none does. A tie leaves things
    plain; but entries of an input that go up by about equal factors, as doses do, were chosen in
    logarithms, and are taken so unless the plain ones are likelier.
    """

    def __init__(
        self,
        data: Prepared,
        bases: Sequence[AbstractBasis],
        asked: Any,
        inputs: Sequence[int] | None = None,
    ) -> None:
        self.data, self.asked = data, asked
        self.inputs = range(data.x.shape[1]) if inputs is None else inputs
        self.rows = some_rows(data.all_rows, DECIDING_ROWS, data.seed)
        self.places = data.places[self.rows]
        self.weight = self.places.weight / self.places.weight.mean()
        self.group = np.unique(self.places.group, return_inverse=True)[1].ravel()
        offered = [*bases, *proposals.default_bases(data.n_distinct, data.z.shape[1])]
        features = (basis for basis in offered if isinstance(basis, FrozenFeatures))
        self.basis = next(features, None)  # of a few rows none
        self.in_steps = {j for j, column in enumerate(data.x.T) if by_equal_factors(column)}
        self.maps = self._offered()

    def choice(self, plain: Coordinates) -> Choice:
        """Return what is best.

        Parameters
        ----------
        plain : Coordinates
            Those of the columns as they are, periodic, or in logarithms as told.
        """
        few = self.group.max() + 1 < FEWEST_PLACES
        open_ = any(one == "auto" for one in self.asked)
        logs = {j: a for j, a in over_decades(self.data.x, plain).items() if j in self.inputs}
        if few or not (open_ or logs):
            return self._fixed(plain)
        usual = self._trials(plain)
        usual_error = self._rms([own[0] for own in usual])
        if usual_error < ROUND_OFF and open_:
            return self._fixed(plain)
        variants = {plain: usual}

        def scored(coordinates: Coordinates) -> list[Trial]:
            if coordinates not in variants:
                variants[coordinates] = self._trials(coordinates)
            return [
                self._best(own, min((v[q][0] for v in variants.values()), key=lambda one: one.rms))
                for q, own in enumerate(variants[coordinates])
            ]

        if logs:
            scored(plain.replaced("log", logs))
        best, found = plain, scored(plain)
        trials = [logs] if logs else []
        singles = [{j: logs[j]} for j in logs] if 1 < len(logs) <= MOST_SINGLE else []
        for trial in (*trials, *singles):
            other = _flipped(plain, best, trial)
            now = scored(other)
            if self._clearly(now, found) or (
                set(trial) <= self.in_steps and self._gain(now, found).sum() > 0
            ):
                best, found = other, now
        before = [own[0] for own in usual]
        return Choice(
            best,
            tuple(trial.transform for trial in found),
            self._rms(found),
            usual_error,
            self._typical(found),
            self._typical(before),
        )

    def _fixed(self, plain: Coordinates) -> Choice:
        kinds = [None if one == "auto" else one for one in self.asked]
        pairs = zip(self.data.each.T, kinds, strict=True)
        weight = self.data.row_weight
        return Choice(plain, tuple(likeliest(y, weight, offered_to(y, k)) for y, k in pairs))

    def _offered(self) -> list[tuple[TargetMap, np.ndarray, np.ndarray]]:
        """Return maps of the targets with the rows' values and scatter: of each kind there is."""
        pairs = zip(self.data.each.T, self.asked, strict=True)
        columns = [offered_to(y, kind) for y, kind in pairs]
        sets = [
            tuple(own[min(k, len(own) - 1)] for own in columns)
            for k in range(max(map(len, columns)))
        ]
        return [self.data.transformed(one) for one in sets]

    def _trials(self, coordinates: Coordinates) -> list[list[Trial]]:
        """Return the trials of each target, the plain one first."""
        data, n_outputs = self.data, len(self.asked)
        t = np.concatenate([t[self.rows] for _, t, _ in self.maps], axis=1)
        scatter = np.concatenate([s[self.rows] for *_, s in self.maps], axis=1)
        places = dataclasses.replace(self.places, t=t, scatter=scatter)
        weight = places.weight / places.weight.sum()
        least, kept = np.full(t.shape[1], np.inf), np.full(t.shape, np.nan)
        losses = np.full(t.shape, np.inf)
        n_affine = len(coordinates.kinds) + len(coordinates.circles) + 1
        n_free = n_affine if 3 * n_affine <= 2 * len(places) else 0
        for matrix in self._matrices(coordinates):
            fit = LeftOut(places, matrix, n_free=n_free)
            for ridge in proposals.RIDGES:
                residuals, gain = fit.residuals(float(ridge))
                squares = residuals**2 + scatter * np.square(gain)
                mean = weight @ squares
                better = np.isfinite(mean) & (mean < least)
                least[better] = mean[better]
                kept[:, better], losses[:, better] = residuals[:, better], squares[:, better]
        found: list[list[Trial]] = [[] for _ in range(n_outputs)]
        known = data.y[self.rows]
        for k, (map_, *_) in enumerate(self.maps):
            own = slice(k * n_outputs, (k + 1) * n_outputs)
            with np.errstate(all="ignore"):
                values = map_.smeared(kept[:, own], weight).inverse(t[:, own] - kept[:, own])
            slopes = self._log_slopes(map_.transforms)
            for q, one in enumerate(map_.transforms):
                if k and found[q] and one == found[q][-1].transform:
                    continue
                square = losses[:, own][:, q]
                sigma2 = max(float(weight @ square), ROUND_OFF**2)
                with np.errstate(invalid="ignore"):  # where nothing is known of any row
                    likelihood = slopes[:, q] - 0.5 * np.log(sigma2) - 0.5 * square / sigma2
                likelihood -= np.log(map_.scale[q])
                errors = (values[:, q] - known[:, q]) / data.units.scale[q]
                with np.errstate(all="ignore"):
                    rms = float(np.sqrt(weight @ errors**2))
                found[q].append(Trial(one, likelihood, errors, rms if rms == rms else math.inf))
        return found

    def _log_slopes(self, transforms: tuple[Transform, ...]) -> np.ndarray:
        data, pairs = self.data, enumerate(transforms)
        slopes = np.stack([one.log_slope(data.each[:, q]) for q, one in pairs], axis=1)
        at = data.at[:, None].astype(float)
        return merged(at, slopes, data.row_weight)[1][self.rows]

    def _matrices(self, coordinates: Coordinates) -> Iterator[np.ndarray]:
        """Yield the columns of a line, of a quadratic, and of features with every slope."""
        data = self.data
        z = InputMap.onto_unit(coordinates, data.x)(data.x)[self.rows]
        n, d = z.shape
        line = np.hstack([np.ones((n, 1)), z])  # the last columns, as of features: not shrunk
        yield line
        first, second = np.triu_indices(d)
        if line.shape[1] + len(first) <= n // 2:
            yield np.hstack([z[:, first] * z[:, second], line])
        basis = self.basis
        if basis is None or basis.width > n // 2:
            return
        drawn = draw(basis, data.key_for(basis, 0), unit_box(d))
        drawn = placed(basis, drawn, data.term(self.rows).points)
        for scaled in basis.with_slopes(proposals.SCALES):
            parameters = drawn if scaled is basis else scaled.sloped(drawn)
            matrix = design(scaled.canonical(), parameters, z)
            if np.isfinite(matrix).all():
                yield matrix

    def _best(self, offered: list[Trial], usual: Trial) -> Trial:
        """Return the simplest trial that none is clearly better than.

        Parameters
        ----------
        offered : list of Trial
        usual : Trial
            The plain one with those coordinates that suit it best.
        """
        by_kind: dict[str, list[Trial]] = {}
        for trial in offered:
            by_kind.setdefault(trial.transform.kind, []).append(trial)
        first, *others = (max(own, key=self._mean_likelihood) for own in by_kind.values())
        for trial in others:
            if self._clearly([trial], [first]) and self._errs_less(trial, usual):
                first = trial
        return first

    def _mean_likelihood(self, trial: Trial) -> float:
        return float(np.average(trial.likelihood, weights=self.weight))

    def _errs_less(self, trial: Trial, usual: Trial) -> bool:
        """Whether errors in the user's units are smaller: see the class."""
        if WORSE * trial.rms <= usual.rms:
            return True
        nearer = self.weight * np.sign(np.abs(usual.errors) - np.abs(trial.errors))
        share = float(np.mean(np.bincount(self.group, nearer)))
        if share * math.sqrt(self.group.max() + 1) <= CLEAR:
            return False
        if trial.rms <= WORSE * usual.rms:
            return True
        squares, weight = trial.errors**2, self.weight
        seen = Unseen(self.rows, squares, weight, self.group, "left out")
        sure = not seen.least_ratio(usual.errors**2) <= 1
        return trial.rms <= MOST_WORSE * usual.rms and not sure

    def _clearly(self, new: list[Trial], old: list[Trial]) -> bool:
        """Whether values are clearly likelier: as :data:`SURE` standard errors of many are."""
        each = self._gain(new, old)
        error = float(each.std(ddof=1)) / math.sqrt(len(each))
        mean = float(each.mean())
        return mean > 0 and mean > stdtrit(len(each) - 1, ndtr(SURE)) * error

    def _gain(self, new: list[Trial], old: list[Trial]) -> np.ndarray:
        """Return by how much the values of each group are likelier."""
        gain = sum(a.likelihood - b.likelihood for a, b in zip(new, old, strict=True))
        return np.bincount(self.group, self.weight * gain)

    def _rms(self, trials: Iterable[Trial]) -> float:
        """Return the relative root mean square error, in the user's units."""
        return math.sqrt(np.mean([trial.rms**2 for trial in trials]))

    def _typical(self, trials: Iterable[Trial]) -> float:
        y = np.abs(self.data.y[self.rows])
        if not (y > 0).all():
            return math.nan
        errors = np.stack([np.abs(trial.errors) for trial in trials], axis=1)
        return float(np.median(errors * self.data.units.scale / y))


def with_transforms(
    prepared: Callable[..., Prepared], asked: Asked, bases: Sequence[AbstractBasis]
) -> tuple[Prepared, Choice | None]:
    """Return rows transformed as was asked for, or as is best, and how that was chosen.

    Parameters
    ----------
    prepared : callable
        Makes :class:`Prepared` of the call's rows, given coordinates and transforms.
    asked : Asked
    bases : sequence of AbstractBasis
        Those of the call, if any were named.
    """
    data = prepared()
    size, n_outputs = data.x.shape[1], data.y.shape[1]
    kinds = checked_transforms(asked.call, asked.target_transform, n_outputs)
    inputs = asked.of_inputs(size, auto=any(kinds) or not bases)
    told = as_told(asked, data.x, inputs)
    if not told.are_plain:
        data = prepared(coordinates=told)
    free = [j for j, kind in enumerate(inputs) if kind == "auto"]
    decades = [j for j in over_decades(data.x, told) if j in free]
    if not any(kinds) and not decades:
        plain = Choice(told, (Transform(),) * n_outputs)
        return data, None if plain.is_plain else plain
    with numerics():
        choice = Chooser(data, bases, kinds, free).choice(told)
    if choice.is_plain:
        return data, choice
    coordinates = None if choice.coordinates.are_plain else choice.coordinates
    transforms = choice.transforms if choice.transformed else ()
    return prepared(coordinates=coordinates, transforms=transforms), choice


def _flipped(plain: Coordinates, now: Coordinates, which: Mapping[int, float]) -> Coordinates:
    """Return coordinates with some columns taken into logarithms, or out of them."""
    inside = {j: about for j, about in which.items() if now.kinds[j] != "log"}
    outside = {j: plain.about[j] for j in which if now.kinds[j] == "log"}
    return now.replaced("log", inside).replaced("plain", outside)

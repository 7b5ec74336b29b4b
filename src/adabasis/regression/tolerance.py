"""Growth to an error that is asked for: more functions until unseen rows err by no more.

Families of functions are climbed from few to many: plain ones, polynomials, Gaussians at the data,
frozen features, then networks. Each is judged by leave-one-out error; the first whose *claim* is
within the tolerance is the result. A family ends where more functions no longer help, or with so
many that rows do not tell them.
"""

from __future__ import annotations

import dataclasses
import functools
import math
import numbers
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, TypeVar

from .._runtime.arguments import told_arguments
from .._runtime.timing import charged_to
from ..basis import AbstractBasis, GaussianKernels, NeuralBasis
from ..evidence.judge import judge
from ..geometry.maps import TargetMap, input_transforms, periodic_columns
from ..models.fitted import Fitted
from ..models.record import Asked
from ..models.timings import with_timings
from ..models.tolerance import Reason, Tolerance
from ..selection.holdout import holding_out
from ..selection.prepared import FARTHEST, Prepared
from ..selection.search import Candidate, Search
from ..selection.task import placed
from ..selection.workers import on_workers
from ..train import Callback, StopReason
from . import rungs
from .api import refit
from .bases import MOST_NUMBERS, SCALES
from .kriging import MOST_CENTERS
from .rungs import DENSE, MOST_FUNCTIONS, Rung
from .shortfall import FALLING, Shortfall, quieter, rounding
from .strategy import MEMBERS, RegressionStrategy
from .task import GOOD_ENOUGH, RegressionTask
from .transforms import with_transforms
from .uncertainty import calibrated

AnyFunction = TypeVar("AnyFunction", bound=Callable[..., Fitted])
#: Plain bases that are solved whatever the time: the answer, where there is time for no other.
FIRST_ANSWER = 3
#: Factor of the tolerance within which the degrees that were left out beside the best are tried.
NEAR = 100.0
#: So many sizes that do not help by the share end a family.
IN_VAIN, HELPS = 4, 0.05
#: Error above which nothing has been found yet, so that in vain means nothing.
UNFOUND = 0.5
#: Seconds from which a solve has to promise something: with so many times the rate at which the
#: error has fallen, the tolerance would be met.
DEAR, ACCELERATES = 1.0, 3.0
#: Share of the time that is left for the reason and the last solve, which take so many times as
#: long as a solve of the same functions, it included; and seconds that Gaussians take.
AT_LAST, AFTERWARDS, KRIGED = 0.2, 3.0, 1.5
#: Inputs up to which noise that polynomials and features see is taken to be noise.
FEW_INPUTS = 3


def judged_again(function: AnyFunction) -> AnyFunction:
    """Let a public function's word on the tolerance follow from the error that is claimed last."""

    @functools.wraps(function)
    def call(*args: Any, **named: Any) -> Any:
        return settled(function(*args, **named))

    return call  # type: ignore[return-value]


def settled(model: Fitted) -> Fitted:
    """Return a model whose word on the tolerance is that of its claim, rows held out among it."""
    found = model.record.tolerance
    if found is None or model.validation_error == found.error:
        return model
    found = dataclasses.replace(found, error=model.validation_error)
    if found.met and not model.validation_error <= found.tol:
        found = dataclasses.replace(
            found,
            reason=Reason.FEW_ROWS,
            because="Rows left out in turn were met by it; those that were held out of everything "
            f"err by {model.validation_error:.2g}.",
            advice="Collect more rows, above all where the errors are.",
        )
        model = dataclasses.replace(model, stop_reason=StopReason.SOLVED)
    return dataclasses.replace(model, record=dataclasses.replace(model.record, tolerance=found))


@told_arguments
@on_workers
@with_timings
@judged_again
@holding_out(judge, refit, calibrated)
def fit_to_tolerance(
    X: Any,
    y: Any,
    tol: float,
    *,
    sample_weight: Any = None,
    groups: Any = None,
    max_seconds: float = math.inf,
    random_state: int = 0,
    callbacks: Iterable[Callback] = (),
    verbose: bool = False,
    standardize: bool = True,
    target_transform: str | Sequence[str | None] | None = None,
    input_transform: str | Mapping[int | str, str | None] | None = None,
    periodic: Mapping[int | str, float] | None = None,
) -> Fitted:
    r"""Fit with as many functions as an error takes: on rows not seen, relative to their spread.

    Polynomials, Gaussians at the data, frozen features and networks of growing size are fitted
    until ``validation_error`` ≤ ``tol``. Where it stays above, ``record.tolerance`` says why.

    Parameters
    ----------
    X : array-like, shape (N, D)
        Inputs.
    y : array-like, shape (N,) or (N, Q)
        Targets.
    tol : float
        The relative root mean square error on rows not seen: 1e-3 is a thousandth of the standard
        deviation of the target. Values are compared as they were measured: of noisy ones it
        cannot be below the noise.
    sample_weight, groups, holdout
        See :func:`adabasis.fit`. With ``holdout`` those rows have to meet the tolerance, too.
    max_seconds : float
        Budget of wall-clock time. Where there is time for nothing else, the best of a constant, a
        line and the products of inputs is returned.
    random_state, callbacks, verbose, client, checkpoint
        See :func:`adabasis.fit`.
    standardize, target_transform, input_transform, periodic
        See :func:`adabasis.fit`.

    Returns
    -------
    Fitted
        The simplest that meets the tolerance, or the best. ``record.tolerance`` has the
        ``reason``: ``MET``, ``NOISE``, ``FEW_ROWS``, ``NOT_SMOOTH``, ``RANK`` (rounding),
        ``SIZE``, ``TIME`` or ``INTERRUPTED``; what speaks for it; and advice.

    Raises
    ------
    ValueError
        For a tolerance that is no positive number, and as :func:`adabasis.fit` does.

    Examples
    --------
    >>> import numpy as np
    >>> X = np.linspace(0, 1, 200)[:, None]
    >>> model = fit_to_tolerance(X, np.sin(6 * X[:, 0]), 1e-10)
    >>> model.record.tolerance.met, bool(model.validation_error <= 1e-10)
    (True, True)
    """
    tol = checked_tolerance(tol)
    asked = Asked(
        "fit_to_tolerance",
        max_seconds=max_seconds,
        tol=tol,
        ensemble="auto",
        validation="auto",
        random_state=random_state,
        standardize=standardize,
        target_transform=tuple(target_transform)
        if isinstance(target_transform, list)
        else target_transform,
        input_transform=input_transforms(
            "fit_to_tolerance", X, input_transform if standardize else None
        ),
        periodic=periodic_columns("fit_to_tolerance", X, periodic),
    )
    search: Search[Candidate] = Search(asked, callbacks, verbose)
    if math.isfinite(max_seconds):
        search.deadline -= AT_LAST * max_seconds
    prepared = functools.partial(
        Prepared,
        "fit_to_tolerance",
        X,
        y,
        sample_weight,
        "auto",
        random_state,
        split_by_default=True,
        standardize=standardize,
        groups=groups,
    )
    data, choice = with_transforms(prepared, asked, [])
    task = ToleranceTask(asked, data, choice=choice)
    return search.run(task, Climb(search, task, tol).run)


def checked_tolerance(tol: Any) -> float:
    """Return a tolerance as a number.

    Raises
    ------
    ValueError
        Unless it is positive and finite.
    """
    real = isinstance(tol, numbers.Real) and not isinstance(tol, bool)
    if not (real and 0 < tol < math.inf):
        raise ValueError(
            f"fit_to_tolerance(tol={tol!r}): expected a positive number, such as 1e-3 for errors "
            "of a thousandth of the target's standard deviation."
        )
    return float(tol)


class ToleranceTask(RegressionTask):
    """Least squares whose best candidate is the one that meets a tolerance, if one does."""

    meets: Candidate | None = None
    climb: Climb

    def ranked(self, found: Sequence[Candidate]) -> list[Candidate]:
        """Return candidates, best first; the one that meets the tolerance before all others."""
        own = super().ranked(found)
        if self.meets is None or all(one is not self.meets for one in own):
            return own
        return [self.meets, *(one for one in own if one is not self.meets)]

    def finished(self, search: Search[Candidate]) -> Fitted:
        """Return the best candidate's model, with what became of the tolerance."""
        return self.climb.finished(super().finished)


class Climb:
    """Families of functions, each from few to many, until a tolerance is met.

    Parameters
    ----------
    search : Search
    task : ToleranceTask
    tol : float
    """

    def __init__(self, search: Search[Candidate], task: ToleranceTask, tol: float) -> None:
        self.search, self.task, self.tol = search, task, tol
        task.climb = self
        self.rungs: list[Rung] = []
        self.ended: dict[str, str] = {}
        self.model: Fitted | None = None
        self.why: Tolerance | None = None
        self.floor = rounding(task.data).error
        self.n_rows = len(task.sampled)
        self.rows = min(task.data.n_distinct, self.n_rows) // 2
        self.most = max(min(self.rows, MOST_FUNCTIONS, MOST_NUMBERS // self.n_rows), 1)

    def run(self) -> None:
        """Climb one family after another, as long as the tolerance is not met."""
        n_inputs = self.task.data.z.shape[1]
        others = "tensor" if n_inputs <= FEW_INPUTS else "hyperbolic"
        dense = min(int(2 * DENSE * self.rows), MOST_FUNCTIONS, MOST_NUMBERS // self.n_rows)
        families = [("plain", rungs.plain(self.n_rows, n_inputs))]
        for kind in ("total", others)[: 1 + (n_inputs > 1)]:
            family = f"{kind} polynomials"
            between = rungs.between(self.rungs, kind, NEAR * self.tol)
            families += [(family, rungs.polynomials(n_inputs, dense, kind)), (family, between)]
        families += [
            ("Gaussians", rungs.gaussians(self.n_rows, n_inputs)),
            ("features", rungs.features(self.most, n_inputs)),
        ]
        for number, (family, bases) in enumerate(families):
            self._climbed(family, bases, FIRST_ANSWER if number == 0 else 0)
            if self.model is not None or self.search.late() or self._rounded():
                return
        if self._networks_may_help():
            self._networks()

    def _rounded(self) -> bool:
        return min(rung.error for rung in self.rungs) <= 2 * self.floor

    def _climbed(self, family: str, bases: Iterator[AbstractBasis], first: int) -> None:
        """Solve bases of growing size while that helps, costs little, or may meet the tolerance."""
        self.ended[family] = "rows" if self.most == self.rows else "size"
        least, in_vain = math.inf, 0
        scales: tuple[float, ...] = SCALES
        for number, basis in enumerate(bases):
            size = basis.size(self.task.data.z.shape[1])
            if number >= first and not self._affordable(family, size):
                return
            tried = {}
            for scaled in basis.with_slopes(scales):
                rung = self._solved(family, scaled, size)
                tried[scaled.slope] = rung.error
                if self.model is not None:
                    return
                if number >= first and self.search.late():
                    self.ended[family] = "time"
                    return
            if len(tried) > 1:
                middle = min(tried, key=lambda scale: tried[scale])
                scales = tuple(s for s in SCALES if middle / 2 <= s <= 2 * middle)
            error = min(tried.values())
            in_vain = 0 if error < (1 - HELPS) * least else in_vain + 1
            least = min(least, error)
            hopeless = in_vain >= IN_VAIN and least < UNFOUND and family != "plain"
            if hopeless or least <= 2 * self.floor:
                self.ended[family] = ""
                return

    def _affordable(self, family: str, size: int) -> bool:
        """Whether there is time for a basis of a size, and enough that it may gain."""
        own = [rung for rung in self.rungs if rung.family == family]
        left = self.search.deadline - time.perf_counter()
        if not own:
            centers = min(self.n_rows, MOST_CENTERS) / MOST_CENTERS
            seconds = KRIGED * centers**2 if family == "Gaussians" else 0.0
            if left < AFTERWARDS * seconds:
                self.ended[family] = "time"
                return False
            return not self.search.late()
        last = [rung for rung in own if rung.size == own[-1].size]
        grown = size / own[-1].size
        seconds = sum(rung.seconds for rung in last) * grown**2.5
        if left < AFTERWARDS * seconds:
            self.ended[family] = "time"
            return False
        half = [rung.error for rung in own if 2 * rung.size <= own[-1].size]
        if seconds < DEAR or not half:
            return True
        now = min(rung.error for rung in own)
        rate = math.log2(max(min(half) / max(now, 1e-300), 1.0))  # of twice as many functions
        promised = now * (max(self.most, size) / own[-1].size) ** (-ACCELERATES * rate)
        if promised > self.tol:
            self.ended[family] = "rows" if now < FALLING * min(half) else ""
        return promised <= self.tol

    def _solved(self, family: str, basis: AbstractBasis, size: int) -> Rung:
        """Solve one basis, note it, and make a model of it if it meets the tolerance."""
        task, start = self.task, time.perf_counter()
        if isinstance(basis, GaussianKernels):
            candidate = task.kriged(basis)
        else:
            drawn = placed(basis.canonical(), task.drawn(basis.canonical()), task.everything.points)
            drawn = basis.sloped(drawn) if basis.slope != 1.0 else drawn
            candidate = task.frozen(basis, drawn)
        self.search.add(candidate)
        rung = Rung(family, size, candidate, time.perf_counter() - start)
        self.rungs.append(rung)
        transformed = isinstance(task.data.output_map, TargetMap)
        low_enough = candidate.loo_error <= self.tol * (3.0 if transformed else 1.0)
        if low_enough and candidate.overshoot <= FARTHEST:
            self._met_by(candidate)
        return rung

    def _met_by(self, candidate: Candidate) -> None:
        """Make a model of a candidate, and keep it if its claim is within the tolerance."""
        self.task.meets = candidate
        model = RegressionTask.finished(self.task, self.search)
        if model.validation_error <= self.tol:
            self.model = model
        else:
            self.task.meets = None

    def _networks_may_help(self) -> bool:
        data = self.task.data
        best = min(rung.error for rung in self.rungs)
        if not data.folds or best <= GOOD_ENOUGH:
            return False
        if data.z.shape[1] > FEW_INPUTS:
            return True
        self.why = self._shortfall().told(best, best)
        return self.why.reason not in (Reason.NOISE, Reason.RANK)

    @charged_to("steps")
    def _networks(self) -> None:
        """Train networks as ``fit`` does, which grow, are averaged, or show few directions."""
        search, task = self.search, self.task
        RegressionStrategy(search, task).automatic([NeuralBasis(16, 1)], MEMBERS, grow=True)
        if search.best.error <= self.tol:
            self._met_by(search.best)

    def _shortfall(self) -> Shortfall:
        return Shortfall(self.task, self.rungs, self.ended, self.tol)

    def finished(self, solved: Callable[[Search[Candidate]], Fitted]) -> Fitted:
        """Return the model with what became of the tolerance."""
        search = self.search
        if self.model is not None:
            model, found = self.model, Tolerance(self.tol, self.model.validation_error, Reason.MET)
            model = dataclasses.replace(model, stop_reason=StopReason.TOLERANCE)
        else:
            model = solved(search)
            found = self._told(model.validation_error)
        return dataclasses.replace(model, record=dataclasses.replace(model.record, tolerance=found))

    def _told(self, error: float) -> Tolerance:
        if error <= self.tol:
            return Tolerance(self.tol, error, Reason.MET)
        if self.search.cut_short is StopReason.INTERRUPTED or not self.rungs:
            text = "Ctrl-C ended the growth; the best so far is kept."
            return Tolerance(self.tol, error, Reason.INTERRUPTED, text)
        if self.search.cut_short is StopReason.MAX_SECONDS and len(self.rungs) <= FIRST_ANSWER:
            n = len(self.rungs)
            text = f"There was time for {n} plain functions alone; the best of them is the model."
            return Tolerance(self.tol, error, Reason.TIME, text, "Give it more time (max_seconds).")
        if self.why is not None and self.search.best.run is None:
            found = dataclasses.replace(self.why, error=error)
            if found.reason is Reason.NOISE and math.isfinite(error):
                found = dataclasses.replace(found, advice=quieter(error))
            return found
        return self._shortfall().told(error, self.search.best.error)

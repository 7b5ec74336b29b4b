"""The search over frozen functions: activation, slope, width and boundary weight, all blind.

Every candidate is one least-squares solve, judged by its residuals on fresh points. A small width
decides the activation, the slope and the weight; wider ones start from there, with steeper slopes,
until the residual is small or time is up.
"""

from __future__ import annotations

import dataclasses
import functools
import math
import time
from collections.abc import Sequence
from typing import Any

import jax
import numpy as np

from .. import lstsq
from .._runtime.notation import Parameters
from .._runtime.timing import charged_to
from ..basis import AbstractBasis, EnrichedBasis, FrozenFeatures, MappedBasis, PlacedGaussians
from ..basis.placed import PlacedParams
from ..geometry.points import AbstractSampler, AffineMap, unit_box
from ..models.record import NO_RIDGE, Asked
from ..selection.search import AbstractTask, Search
from ..selection.task import draw
from ..train import Objective, Run
from .added import owned, through
from .balance import balanced
from .candidate import EquationCandidate, lets_waves_through
from .certificate import certified, settled
from .collocation import CollocationRows, fresh_rows, rows_for
from .newton import newton
from .on_cells import apart, certified_on_cells
from .other_solutions import other_solutions
from .placing import denser
from .posterior import Posterior, posterior
from .problem import Problem
from .solution import Solution
from .starts import constants, fitted, meeting_conditions
from .system import (
    CollocationSystem,
    Misfit,
    misfit,
    solved,
)

#: Widths by number of inputs; four and more go as three.
WIDTHS = {1: (128, 384, 1000), 2: (300, 900, 2000), 3: (500, 1500, 3000)}
#: The score at which the first and the second width are wide enough: a wider one costs more and
#: must be worth it.
GOALS = (1e-9, 1e-7)
#: The same for several unknowns, where wider ones cost most.
SEVERAL_GOALS = (1e-8, 1e-5)
FIRST = {"tanh": (0.5, 1.0, 2.0, 4.0, 8.0), "gaussian": (1.0, 2.0, 4.0, 8.0)}
#: Instead, for several unknowns whose equations let waves through: sines of many wave numbers. On a
#: plane wave of twenty radians a side, 636 of them leave 1e-11, as many Gaussians 1e-7.
WAVY = {"sine": (4.0, 8.0, 12.0, 16.0)}
#: Slopes tried at the second and at the third width, relative to the best so far.
STEEPER = ((1.0, 2.0, 0.5), (1.0, 1.5))
#: Boundary weights tried besides 1.
WEIGHTS = (10.0, 0.1)
#: A weight other than 1 must lower the score by this factor.
BETTER = 0.7
#: The first stage, and that between the second number of frozen functions and the third.
CELLS, MOVED_FUNCTIONS = "polynomials on cells", "moved functions"
PLACED = "Gaussians where the residual is large"
#: A runner-up whose score is within this factor of the best one's says how far both are off.
SIMILAR = 1e3
#: An unknown counts as this share of the largest one, each in its balanced unit, at least: one
#: that is 0 has no size of its own.
LEAST_LEVEL = 1e-3
#: Score below which a solution of an equation that is not linear is one to start others from.
KNOWN = 0.1
#: Ridge of problems with regions: functions of which no row sees more than about 1e-17 would have
#: coefficients of any size, and do nothing.
FAINT = 1e-34
#: Relative cut-off of the solve that tells the units: what is left free stays 0.
CLEAR = 1e-10
#: Functions that are drawn and solved for, and not moved.
FROZEN = (FrozenFeatures, PlacedGaussians)
#: Share of the error that noise leaves at which residuals no longer matter.
OF_NOISE = 1e-2


class EquationTask(AbstractTask[EquationCandidate]):
    """A problem, to be solved on functions yet to be found.

    Attributes
    ----------
    asked : Asked
    problem : Problem
    sampler : AbstractSampler
    unit : float
        The scale of u; 1 for several unknowns.
    scales : tuple of float, or None
        Those of several unknowns.
    fresh, fresh_anywhere : CollocationRows
        Points that no solve sees: those of the second, and more where Gaussians stand.
    widest : int or None
        As many functions as half the rows, where those are fixed.
    """

    def __init__(self, asked: Asked, problem: Problem, sampler: AbstractSampler) -> None:
        self.asked, self.problem, self.sampler = asked, problem, sampler
        self.n_inputs = problem.domain.n_inputs
        self.scales = balanced(problem) if problem.n_blocks > 1 else None
        first = rows_for(problem, 64, sampler, scales=self.scales)
        self.unit, self.fresh = first.unit, fresh_rows(problem, first.unit, self.scales)
        self.fresh_anywhere = self.fresh
        fixed = sampler.count(self.n_inputs)
        self.widest = None if fixed is None else max(8, first.n_rows // 2)
        self.ridge = asked.fixed_ridge or NO_RIDGE
        self.sampler_given = False
        self._last_rows = 64, first
        self._last_near: tuple[Any, Any, Any] = None, None, None
        self.added, self.owners = owned(problem)
        self._known: tuple[float, Any] = KNOWN, None
        self._last_drawn: tuple[AbstractBasis | None, Parameters] = None, None

    @property
    def least_ridge(self) -> float:
        """The ridge, which functions that live outside of their region cannot do without."""
        return max(self.ridge.value, FAINT if self.problem.regions else 0.0)

    @functools.cached_property
    def key(self) -> Any:
        """The random key of all draws."""
        return jax.random.key(self.asked.random_state, impl="rbg")

    def rows(self, width: int) -> CollocationRows:
        """Return the rows for so many functions; the last ones are kept for the next slope."""
        if self._last_rows[0] != width:
            rows = rows_for(self.problem, width, self.sampler, self.unit, self.scales)
            self._last_rows = width, rows
        return self._last_rows[1]

    def measure(self, basis: AbstractBasis) -> None:
        """Solve once on these functions, and take what comes out for the units of the unknowns.

        An unknown that is 0 keeps a share of the unit that balances its equations.
        """
        found = self.frozen(basis, 1.0, "units of the unknowns")
        c = found.coefficients
        if found.system.known is not None:  # what the equations leave free is no size of anything
            rows: Any = np.asarray(found.system.known.factor)
            known = lstsq.Reduction(rows, len(rows), len(c))
            c = np.asarray(lstsq.solve(known, rcond=CLEAR).coefficients)
        values = found.system.values(self.fresh.x, c)
        levels = np.sqrt(np.mean(values**2, axis=0))
        if not np.isfinite(levels).all() or not levels.any():
            return
        units = np.array(self.scales) * np.maximum(levels, LEAST_LEVEL * levels.max())
        self.scales = tuple(map(float, units))
        self.fresh = dataclasses.replace(self.fresh, scales=self.scales)
        self.fresh_anywhere = self.fresh
        self._last_rows = 0, self._last_rows[1]

    def on_domain(self, basis: AbstractBasis) -> AbstractBasis:
        """Return a basis of the unit box as functions of the problem's domain."""
        to_unit = AffineMap.onto_unit_box(self.problem.domain.bounds)
        if self.added:
            basis = EnrichedBasis(basis, self.added, to_unit.shift, to_unit.scale, self.owners)
        return MappedBasis(basis, to_unit)

    def near(self, places: Any, rows: CollocationRows) -> CollocationRows:
        """Return rows with further points where Gaussians stand; those of the last are kept."""
        if self._last_near[0] is not places or self._last_near[1] is not rows:
            self._last_near = places, rows, denser(rows, places)
        return self._last_near[2]

    def look_at(self, places: Any, best: EquationCandidate) -> None:
        """Judge candidates from now on where Gaussians are to stand, too."""
        self.fresh = denser(self.fresh_anywhere, places, 1)
        if self._known[1] is not None:
            values = best.system.values(self.fresh.x, best.coefficients) * self._units
            self._known = self._known[0], values

    @charged_to("solves")
    def frozen(
        self, basis: AbstractBasis, weight: float, label: str, places: Any = None
    ) -> EquationCandidate:
        """Draw functions, solve, judge; ``places`` are the centres and shapes of Gaussians."""
        began = time.perf_counter()
        canonical = basis.canonical()
        inner = canonical.inner if isinstance(canonical, PlacedGaussians) else canonical
        if self._last_drawn[0] != inner:  # once for all slopes
            drawn = draw(inner, self.key, unit_box(self.n_inputs))
            self._last_drawn = inner, through(self.problem.domain, inner, drawn)
        functions = self.on_domain(canonical)
        drawn, rows = self._last_drawn[1], self.rows(functions.size(self.n_inputs))
        if places is not None:
            rows = self.near(places, rows)
        xi = basis.sloped(drawn if places is None else PlacedParams(drawn, *places))
        system = CollocationSystem(functions, xi, rows, weight, self.least_ridge)
        return self.judged(basis, system, label, began)

    def judged(
        self,
        basis: AbstractBasis,
        system: CollocationSystem,
        label: str,
        began: float,
        run: Run | None = None,
        **about: Any,
    ) -> EquationCandidate:
        """Solve a system and judge what came out on fresh points.

        Parameters
        ----------
        basis : AbstractBasis
            As it is to be shown; the system has it on the domain.
        system : CollocationSystem
        label : str
        began : float
            On the clock of ``time.perf_counter``.
        run : Run, optional
            Of training: functions that were moved may depend on each other.
        about
            Further attributes of the candidate.
        """
        functions, xi = system.basis, system.parameters
        if self.problem.linear:
            method = "svd" if run else "triangular"
            solution, reduction = solved(functions, xi, system.terms, system.ridge, method)
            system = dataclasses.replace(system, known=reduction)
        else:
            objective = Objective(system.terms, system.ridge, functions)
            solution = newton(objective, xi, run.coefficients if run else self._start(system))
        c = np.asarray(solution)
        found, error, weighed = misfit(self.fresh, functions, xi, c), 0.0, None
        starts = [meeting_conditions, self._constants] if not self.problem.linear else []
        for other_start in starts if np.isfinite(found.score) else starts[::-1]:
            if run or found.score <= KNOWN:
                break
            other = np.asarray(newton(objective, xi, other_start(system)))
            measured = misfit(self.fresh, functions, xi, other)
            if measured.score < found.score:
                c, found = other, measured
        if not self.problem.linear and found.score < self._known[0]:
            self._known = found.score, system.values(self.fresh.x, c) * self._units
        if self.problem.observed:
            weighed = self._weighed(system, c, found)
            c, error = weighed.coefficients, weighed.error / self._level(system, weighed)
            found = misfit(self.fresh, functions, xi, c)
        return EquationCandidate(
            basis=basis,
            parameters=xi,
            label=label,
            validation_error=math.hypot(found.score, error),
            ridge=self.ridge,
            system=system,
            posterior=weighed,
            coefficients=c,
            misfit=found,
            seconds=time.perf_counter() - began,
            run=run,
            **{"initial": xi, **about},
        )

    @property
    def _units(self) -> Any:
        return 1.0 if self.scales is None else np.array(self.scales)

    def _start(self, system: CollocationSystem) -> np.ndarray | None:
        """Return coefficients (B·P, 1) of the best function so far, to go on from by Newton steps.

        From 0, steps on many functions often end at another minimum than those on few.
        """
        if self._known[1] is None:
            return None
        return fitted(system, self._known[1], self.fresh.x)

    def _constants(self, system: CollocationSystem) -> np.ndarray | None:
        return constants(system, self.fresh.x)

    def _level(self, system: CollocationSystem, weighed: Posterior) -> float:
        """Return the root mean square of u, in its unit."""
        u = system.values(self.fresh.x, weighed.coefficients)
        return float(np.sqrt(np.mean(u**2))) or 1.0

    def _weighed(self, system: CollocationSystem, c: Any, found: Misfit) -> Posterior:
        """Return the posterior; equation and conditions are held as well as these functions can."""
        u = system.values(self.fresh.x, c)
        tolerance = found.score * float(np.sqrt(np.mean(u**2)))
        return posterior(system, self.problem.observed, tolerance)

    def finished(self, search: Search[EquationCandidate]) -> Solution:
        """Certify the best candidate, beside the best one on other functions."""
        on_cells, ranked = apart(search.ranked)
        if on_cells and on_cells[0] is search.best:
            attributes = certified_on_cells(on_cells, self.fresh_anywhere)
            return self._solution(search, on_cells[0], attributes)
        fresh = self.fresh
        best, *others = ranked
        most = SIMILAR * max(best.misfit.score, 1e-12)
        similar = [
            other for other in others
            if other.parameters is not best.parameters and other.misfit.score <= most
        ]  # fmt: skip
        best, *similar = (one.judged_on(fresh) for one in (best, *similar[:1]))
        best, examination = settled(best, fresh)
        several = (
            other_solutions(self.problem, fresh, ranked, self.asked.restarts(3))
            if not self.problem.linear
            else []
        )
        attributes = certified([best, *similar], fresh, examination, several)
        return self._solution(search, best, attributes)

    def _solution(self, search: Search[Any], best: Any, attributes: dict[str, Any]) -> Solution:
        attributes["stop_reason"] = search.cut_short or attributes["stop_reason"]
        domain = self.problem.domain
        return Solution(
            **attributes,
            input_map=AffineMap.onto_unit_box(domain.bounds),
            output_map=AffineMap(
                np.zeros(self.problem.n_blocks), np.full(self.problem.n_blocks, self.unit)
            ),
            box=domain.bounds,
            validation_kind="residual on fresh points",
            record=search.record(
                best.system.n_rows,
                self.ridge,
                input_names=domain.names,
                output_names=self.problem.blocks,
            ),
            flat_output=self.problem.n_blocks == 1,
            posterior=best.posterior,
            regions=self.problem.regions,
            domain=domain,
            equation=self.problem.equation,
            task=self,
        )


class EquationStrategy:
    """What to try on a problem as drawn, in what order.

    Attributes
    ----------
    search : Search
    task : EquationTask
    level : int
        Widths done.
    """

    def __init__(self, search: Search[EquationCandidate], task: EquationTask) -> None:
        self.search, self.task, self.level = search, task, 1
        search.task = task
        widths, widest = WIDTHS[min(task.n_inputs, 3)], task.widest or math.inf
        share = task.problem.n_blocks**-0.5  # columns are as many times more, their cost the cube
        self.widths = sorted({int(min(share * width, widest)) for width in widths})
        first, *more = map(_frozen, self.widths)
        search.stages = (CELLS, first, PLACED, *more[:1], MOVED_FUNCTIONS, *more[1:])

    def good(self, goal: float) -> bool:
        """Whether the best candidate is good enough: for the user, or else for the goal."""
        tol, best = self.search.asked.tol, self.search.best
        if best.posterior and tol is None:
            goal = max(goal, OF_NOISE * best.validation_error)
        return best.shortfall <= goal if tol is None else best.validation_error <= tol

    def frozen(self) -> None:
        """Search among frozen functions."""
        self.start()
        self.grow(len(self.widths))

    def start(self) -> None:
        """Try activations and slopes at the first width, and weights on the best of them."""
        self.search.begin(_frozen(self.widths[0]))
        if self.task.scales:
            self.task.measure(FrozenFeatures(self.widths[0]))
        for activation, slopes in (
            WAVY if self.task.scales and lets_waves_through(self.task.problem) else FIRST
        ).items():
            features = FrozenFeatures(self.widths[0], activation=activation)
            self._each([features.replace(scale=slope) for slope in slopes], 1.0)
        self._weigh()

    def grow(self, most: int) -> None:
        """Try wider bases of the best kind while the residual asks for it, at most so many."""
        for level in range(self.level, min(self.level + most, len(self.widths))):
            goal = (SEVERAL_GOALS if self.task.scales else GOALS)[level - 1]
            if self.good(goal) or self.search.late():
                return
            self.level = level + 1
            self.search.begin(_frozen(self.widths[level]))
            best = next(c for c in self.search.ranked if isinstance(c.basis, FROZEN))
            basis: Any = best.basis
            steeper = STEEPER[level - 1]
            slopes = [basis.slope * share for share in steeper]
            inner: Any = basis.inner if isinstance(basis, PlacedGaussians) else basis
            wider = [inner.replace(width=self.widths[level], scale=slope) for slope in slopes]
            if inner is not basis:
                wider = [PlacedGaussians(one, basis.count) for one in wider]
            self._each(wider, best.system.weight, best.places)

    def one(self, basis: AbstractBasis) -> None:
        """Solve on a basis as drawn, over all slopes where its own is open."""
        if self.task.scales:
            self.task.measure(basis)
        self._each(basis.with_slopes(FIRST["tanh"]), 1.0)
        self._weigh()

    def _each(self, bases: Sequence[AbstractBasis], weight: float, places: Any = None) -> None:
        for basis in bases:
            if self.search.found and self.search.late():
                return
            self.search.add(self.task.frozen(basis, weight, _described(basis), places))

    def _weigh(self) -> None:
        """Try other boundary weights on the best candidate."""
        best = self.search.best
        rows = best.system.rows
        if not self.task.problem.linear or len(rows.terms) == rows.n_equations:
            return
        for weight in WEIGHTS:
            if self.search.late():
                return
            began, label = time.perf_counter(), f"{best.label}, boundary weight {weight:g}"
            system = dataclasses.replace(best.system, weight=weight)
            changed = self.task.judged(best.basis, system, label, began)
            if changed.validation_error < BETTER * self.search.best.validation_error:
                self.search.add(changed)


def _frozen(width: int) -> str:
    return f"{width:,} frozen functions"


def _described(basis: AbstractBasis) -> str:
    if isinstance(basis, FrozenFeatures):
        return f"{basis.width} frozen {basis.activation}, slope {basis.slope:.3g}"
    if isinstance(basis, PlacedGaussians):
        return f"{_described(basis.inner)}, {basis.count} Gaussians where the residual is large"
    return repr(basis)

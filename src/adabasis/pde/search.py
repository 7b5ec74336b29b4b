"""The search over frozen functions: activation, slope, width and boundary weight, all blind.

Every candidate is one least-squares solve, judged by its residuals on fresh points. A small width
decides the activation, the slope and the weight; wider ones start from there, with steeper slopes,
until the residual is small or time is up.
"""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Iterable, Sequence
from typing import Any

import jax
import numpy as np

from .._runtime.notation import Parameters
from ..basis import AbstractBasis, FrozenFeatures
from ..geometry import unit_box
from ..geometry.samplers import AbstractSampler, default_sampler
from ..lstsq import Status
from ..lstsq.solve import RCOND
from ..models.record import Tried
from ..selection.task import draw
from ..train import History, StopReason
from .newton import newton
from .problem import LinearProblem
from .system import (
    Misfit,
    OnDomain,
    Rows,
    fresh_rows,
    misfit,
    on_domain,
    rows_for,
    singular_values,
    solved,
    unit_triangle,
)

WIDTHS = {1: (128, 384, 1000), 2: (300, 900, 2000), 3: (500, 1500, 3000)}
"""Widths by number of inputs; four and more go as three."""
GOALS = (1e-9, 1e-7, 1e-6)
"""The score at which each width is wide enough: a wider one costs more and must be worth it."""
FIRST = {"tanh": (0.5, 1.0, 2.0, 4.0, 8.0), "gaussian": (1.0, 2.0, 4.0, 8.0)}
STEEPER = ((1.0, 2.0, 0.5), (1.0, 1.5))
"""Slopes tried at the second and at later widths, relative to the best so far."""
WEIGHTS = (1.0, 10.0, 0.1)
BETTER = 0.7
"""A weight other than 1 must lower the score by this factor."""


@dataclasses.dataclass(eq=False)
class Trial:
    """A candidate: functions, coefficients in the unit of u, and how well they do.

    Attributes
    ----------
    basis : OnDomain
    parameters : pytree
    coefficients : array, shape (P, 1)
    rows : Rows
        What was solved.
    weight : float
        The boundary weight.
    found : Misfit
    label : str
    run : Run or None
        Of training, if there was any.
    initial : pytree
    seconds : float
    factor : Factor or None
        Of the rows, from the first time that other data were asked for.
    triangle : array, shape (P, P), or None
        That of the unit-norm columns, kept of the best trial only.
    spectrum : array, shape (P,), or None
        Its singular values, once somebody has asked.
    """

    basis: OnDomain
    parameters: Parameters
    coefficients: Any
    rows: Rows
    weight: float
    found: Misfit
    label: str
    run: Any = None
    initial: Parameters = None
    seconds: float = 0.0
    factor: Any = None
    triangle: Any = None
    spectrum: Any = None

    @property
    def score(self) -> float:
        """Residuals on fresh points, relative to u."""
        return self.found.score

    @property
    def summary(self) -> Tried:
        """The trial as a row of the record."""
        return Tried(
            self.label,
            self.score if np.isfinite(self.score) else None,
            steps=0 if self.run is None else len(self.run.history) - 1,
            functions=int(np.shape(self.coefficients)[0]),
            weight=self.weight,
            seconds=round(self.seconds, 3),
        )


@dataclasses.dataclass
class FrozenSearch:
    """A search in progress; ``trials`` grows and whatever is in it when time runs out is used.

    Attributes
    ----------
    problem : LinearProblem
    sampler : AbstractSampler
    key : random key
    deadline : float
        On the clock of ``time.perf_counter``.
    tol : float or None
        A score that is good enough; ``None``: :data:`GOALS`.
    """

    problem: LinearProblem
    sampler: AbstractSampler
    key: Any
    deadline: float
    tol: float | None = None
    trials: list[Trial] = dataclasses.field(default_factory=list)
    level: int = 1
    last_drawn: tuple[AbstractBasis, Parameters] | None = None

    def __post_init__(self) -> None:
        self.n_inputs = self.problem.domain.n_inputs
        first = rows_for(self.problem, 64, self.sampler)
        self.unit = first.unit
        self.fresh = fresh_rows(self.problem, self.unit)
        fixed = self.sampler.count(self.n_inputs)
        self.widest = None if fixed is None else max(8, first.n_rows // 2)

    @classmethod
    def like(cls, solution: Any) -> FrozenSearch:
        """Return a search under the conditions of the one that found a solution."""
        key = jax.random.key(solution.record.asked.random_state, impl="rbg")
        return cls(solution.problem, solution.trial.rows.sampler, key, np.inf)

    @property
    def best(self) -> Trial:
        """The trial of least score."""
        return min(self.trials, key=lambda trial: trial.score)

    @property
    def late(self) -> bool:
        """Whether time is up."""
        return time.perf_counter() > self.deadline

    def good(self, goal: float) -> bool:
        """Whether the best trial is good enough."""
        return bool(self.trials) and self.best.score <= (goal if self.tol is None else self.tol)

    def widths(self) -> list[int]:
        """Return the widths to try, at most half the rows where those are fixed."""
        found = WIDTHS[min(self.n_inputs, 3)]
        if self.widest is None:
            return list(found)
        return sorted({min(w, self.widest) for w in found})

    def start(self) -> None:
        """Try activations and slopes at the first width, and weights on the best of them."""
        width = self.widths()[0]
        for activation, scales in FIRST.items():
            self._slopes(width, activation, scales, 1.0)
        self._weigh()

    def grow(self, levels: int | None = None) -> None:
        """Try wider bases of the best kind while the residual asks for it, from where it stopped.

        ``levels`` is the most widths to try now.
        """
        goals = (*GOALS, GOALS[-1])
        widths = self.widths()
        end = len(widths) if levels is None else min(self.level + levels, len(widths))
        for level in range(self.level, end):
            width = widths[level]
            if self.good(goals[level - 1]) or self.late:
                return
            self.level = level + 1
            best = min(
                (t for t in self.trials if isinstance(t.basis.inner, FrozenFeatures)),
                key=lambda t: t.score,
            )
            inner: Any = best.basis.inner
            steeper = STEEPER[min(level - 1, len(STEEPER) - 1)]
            slopes = [inner.scale * s for s in steeper]
            self._slopes(width, str(inner.activation), slopes, best.weight)

    def one(self, basis: AbstractBasis) -> None:
        """Solve on a basis as drawn; frozen features over all slopes where theirs is open."""
        if isinstance(basis, FrozenFeatures) and basis.scale == "auto":
            scales = FIRST["tanh"] if basis.activation != "relu" else (1.0,)
            self._slopes(basis.width, basis.activation, scales, 1.0)
        else:
            self.add(basis, 1.0, repr(basis))
        self._weigh()

    def _slopes(self, width: int, activation: Any, scales: Iterable[float], weight: float) -> None:
        for scale in scales:
            if self.trials and self.late:
                return
            basis = FrozenFeatures(width, activation=activation, scale=scale)
            self.add(basis, weight, f"{width} frozen {activation}, slope {scale:.3g}")

    def add(self, basis: AbstractBasis, weight: float, label: str) -> Trial:
        """Draw, solve, judge."""
        began = time.perf_counter()
        canonical = basis.canonical()
        parameters = basis.sloped(self._drawn(canonical))
        held = on_domain(self.problem, canonical)
        rows = self._rows(basis.size(self.n_inputs))
        triangle = None
        if self.problem.linear:
            c, triangle = solved(held, parameters, rows.weighted(weight))
        else:
            c = newton(held, parameters, rows, weight)
        found = misfit(self.fresh, held, parameters, c)
        shown = dataclasses.replace(held, inner=basis)
        trial = Trial(shown, parameters, np.asarray(c), rows, weight, found, label)
        trial.initial, trial.triangle = parameters, triangle
        trial.seconds = time.perf_counter() - began
        self.keep(trial)
        return trial

    def _drawn(self, canonical: AbstractBasis) -> Parameters:
        """Draw parameters, once for all slopes."""
        if self.last_drawn is None or self.last_drawn[0] != canonical:
            box = unit_box(self.n_inputs)
            self.last_drawn = canonical, draw(canonical, self.key, box)
        return self.last_drawn[1]

    def keep(self, trial: Trial) -> None:
        """Add a trial, and let go of the triangles of all but the best."""
        self.trials.append(trial)
        best = self.best
        for other in self.trials:
            other.triangle = other.triangle if other is best else None

    def _rows(self, width: int) -> Rows:
        rows = rows_for(self.problem, width, self.sampler)
        return dataclasses.replace(rows, unit=self.unit)

    def _weigh(self) -> None:
        """Try other boundary weights on the best trial."""
        best = self.best
        if not self.problem.linear or len(best.rows.parts) < 2:
            return
        held = on_domain_without_slope(best)
        for weight in WEIGHTS[1:]:
            c, triangle = solved(held, best.parameters, best.rows.weighted(weight))
            found = misfit(self.fresh, held, best.parameters, c)
            if found.score < BETTER * self.best.score:
                label = f"{best.label}, boundary weight {weight:g}"
                changed = dataclasses.replace(
                    best, coefficients=np.asarray(c), weight=weight, found=found, label=label
                )
                changed.triangle = triangle
                self.keep(changed)


def on_domain_without_slope(trial: Trial) -> AbstractBasis:
    """Return a trial's basis on the domain, compiled once for all slopes."""
    return trial.basis.canonical()


def sampler_for(problem: LinearProblem, points: AbstractSampler | None) -> AbstractSampler:
    """Return the sampler given, or the default one."""
    return points or default_sampler(problem.domain.n_inputs)


def described(trial: Trial) -> dict[str, Any]:
    """Return what a solution takes from its trial."""
    return {
        "basis": trial.basis.inner,
        "parameters": jax.tree.map(np.asarray, trial.parameters),
        "initial_parameters": jax.tree.map(np.asarray, trial.initial),
        "coefficients": np.asarray(trial.coefficients),
        "history": trial.run.history if trial.run else _history_of(trial),
        "validation_error": trial.score,
        "stop_reason": trial.run.stop_reason if trial.run else StopReason.SOLVED,
        "trial": trial,
    }


def _history_of(trial: Trial) -> History:
    loss = trial.found.equation**2 + trial.found.conditions**2
    return History.of_one_solve(loss, float(len(trial.coefficients)))


def spectrum_of(trial: Trial) -> dict[str, Any]:
    """Return singular values, rank and status of a trial of a linear equation."""
    if trial.spectrum is None:
        if trial.triangle is None:
            basis, terms = on_domain_without_slope(trial), trial.rows.weighted(trial.weight)
            trial.triangle = unit_triangle(basis, trial.parameters, terms)
        trial.spectrum, trial.triangle = np.asarray(singular_values(trial.triangle)), None
    found = trial.spectrum
    rank = int(np.sum(found > RCOND * found[0]))
    status = Status.FULL_RANK if rank == len(found) else Status.RANK_DEFICIENT
    return {"singular_values": found, "rank": rank, "status": status}


def best_first(trials: Sequence[Trial]) -> list[Trial]:
    """Return trials by score."""
    return sorted(trials, key=lambda trial: trial.score)

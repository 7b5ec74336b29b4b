"""What a solution can prove about itself: residuals, stability, an error estimate, words."""

from __future__ import annotations

import dataclasses
import itertools
import math
from collections.abc import Mapping, Sequence
from typing import Any

import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.scipy.linalg import solve_triangular

from .. import lstsq
from .._runtime.compiled import quickly
from .._runtime.notation import Parameters
from ..basis import AbstractBasis
from ..operators import Identity
from ..rows import evaluate
from .newton import reduced_at
from .problem import LinearProblem
from .search import Trial, on_domain_without_slope
from .system import RIDGE, Rows, reduced, values

UNDETERMINED = 1e-5
"""A function whose residual is this share of itself counts as a solution for data zero."""
CONTRADICTION = 0.02
"""Share of the conditions' data that no function of the basis meets: they contradict each other."""
SOLVED, FAILED = 1e-5, 1e-2
"""Estimated relative error: below the first a problem counts as solved, above the second not."""


@dataclasses.dataclass(frozen=True)
class Stability:
    """How the rows see functions of a moderate basis.

    Attributes
    ----------
    constant : float
        γ, the least residual of a function of size 1: errors are at most residual / γ (in the
        span of that basis).
    undetermined : int
        Functions the problem leaves free.
    contradiction : float
        What remains of the conditions when nothing else is asked, over their data.
    """

    constant: float
    undetermined: int
    contradiction: float


@dataclasses.dataclass(frozen=True)
class Certificate:
    """Checks of a solution on points that no solve has seen; ``print`` it.

    Attributes
    ----------
    residual : float
        Root mean square residual of the equation, in units of u and relative to u.
    boundary_violation : float
        The same for the conditions.
    terms : mapping
        Term by term.
    regions : mapping
        The equation's residual by halves of each coordinate.
    stability : Stability
    error_estimate : float
        Relative error: the geometric mean of ``error_bound`` and the difference from the runner-up
        of the search, where there is one of similar quality, else ``error_bound``.
    error_bound : float
        (residual and violation) / γ.
    rank, n_functions : int
    verdict : str
    """

    residual: float
    boundary_violation: float
    terms: Mapping[str, float]
    regions: Mapping[str, float]
    stability: Stability
    error_estimate: float
    error_bound: float
    rank: int
    n_functions: int
    verdict: str

    @property
    def solved(self) -> bool:
        """Whether the estimated relative error is below 1e-5 and nothing is left free."""
        free = self.stability.undetermined > 0
        return not free and self.error_estimate <= SOLVED

    def __str__(self) -> str:
        lines = [
            self.verdict,
            f"  residual of the equation  {self.residual:.1e}",
            f"  violation of conditions   {self.boundary_violation:.1e}",
            f"  estimated relative error  {self.error_estimate:.1e}",
            f"  stability constant        {self.stability.constant:.1e}",
            f"  rank                      {self.rank} of {self.n_functions}",
        ]
        lines += [f"  {name + ':':<34}{value:.1e}" for name, value in self.terms.items()]
        worst = max(self.regions, key=lambda r: self.regions[r], default=None)
        if worst is not None and len(self.regions) > 1:
            lines.append(f"  largest residual where {worst}: {self.regions[worst]:.1e}")
        return "\n".join(lines)


@quickly(once=True)
def _free_functions(
    basis: AbstractBasis, parameters: Parameters, equation: Any, conditions: Any, x: Array
) -> tuple[Array, Array]:
    """Return the ratios |u| / |residual| (singular values), and the conditions' own residual.

    With R the triangle of the rows (and a small ridge) and U the values at N points over √N, the
    largest singular value of U R⁻¹ is the largest |u| for a residual of 1.
    """
    both = equation if conditions is None else lstsq.combine(equation, conditions)
    norms = lstsq.column_norms(both.triangle, unseen=None)  # a function that no row sees is free
    ridge = (RIDGE * norms) ** 2 * norms.shape[0]
    triangle = lstsq.with_ridge(both, ridge).triangle
    u = evaluate(Identity(), basis, parameters, x) / jnp.sqrt(x.shape[0])
    ratios = solve_triangular(triangle, lstsq.triangularize(u).T, trans=1, lower=False)
    spectrum = jnp.linalg.svd(ratios, compute_uv=False)
    if conditions is None:
        return spectrum, jnp.zeros(())
    return spectrum, unmet(conditions)


@quickly(once=True)
def unmet(conditions: lstsq.Reduction) -> Array:
    """Return what remains of the conditions where nothing else is asked, over their data."""
    alone = lstsq.solve(conditions, rcond=1e-10).residual_norm[0]
    data = jnp.linalg.norm(conditions.factor[:, -1])
    return alone / jnp.where(data > 0, data, 1.0)


def stability(problem: LinearProblem, trial: Trial, fresh: Rows) -> Stability:
    """Examine the rows on a trial's basis, best one of a moderate width."""
    basis = on_domain_without_slope(trial)
    x = jnp.asarray(fresh.parts[0].piece.x)
    if problem.linear:
        equation, conditions = (trial.rows.terms(kind) for kind in ("equation", "condition"))
        reductions = (
            reduced(basis, trial.parameters, equation),
            reduced(basis, trial.parameters, conditions) if conditions else None,
        )
    else:  # the linearised equation
        terms, c = trial.rows.weighted(1.0), jnp.asarray(trial.coefficients)
        reductions = (reduced_at(terms, basis, trial.parameters, c), None)
    spectrum, alone = _free_functions(basis, trial.parameters, *reductions, x)
    ratios = np.asarray(spectrum)
    return Stability(1 / float(ratios[0]), int(np.sum(ratios > 1 / UNDETERMINED)), float(alone))


def certify(
    problem: LinearProblem,
    best: Trial,
    difference: float,
    fresh: Rows,
    examined: Stability,
    rank: int,
) -> Certificate:
    """Return the certificate of the best trial; :func:`refinement` gives the difference."""
    labels = [p.label for p in fresh.parts]
    terms = {
        label: float(np.sqrt(np.sum(rows**2)))
        for label, rows in zip(labels, best.found.by_term, strict=True)
    }
    gamma = examined.constant
    bound = best.score / gamma if math.isfinite(gamma) else math.nan
    # Solutions of two bases may share an error, iterates of Newton's method even more so; the bound
    # takes the worst function for granted. Between linear solves the truth lies between both.
    known = problem.linear and math.isfinite(difference)
    estimate = max(difference, math.sqrt(difference * bound)) if known else bound
    return Certificate(
        best.found.equation,
        best.found.conditions,
        terms,
        _regions(problem, best, fresh),
        examined,
        estimate,
        bound,
        rank,
        int(np.shape(best.coefficients)[0]),
        _verdict(problem, best, examined, estimate, terms),
    )


def runner_up(best: Trial, trials: Sequence[Trial]) -> Trial | None:
    """Return the best trial of similar quality on other functions, if there is one."""
    similar = [
        t for t in trials
        if t.parameters is not best.parameters and t.score <= 1e3 * max(best.score, 1e-12)
    ]  # fmt: skip
    return min(similar, key=lambda t: t.score, default=None)


def refinement(best: Trial, trials: Sequence[Trial], fresh: Rows) -> float:
    """Return the relative difference of the best trial from the runner-up; NaN if there is none."""
    other = runner_up(best, trials)
    if other is None:
        return math.nan
    x = fresh.parts[0].piece.x
    u, v = (
        np.asarray(values(on_domain_without_slope(t), t.parameters, x, t.coefficients))
        for t in (best, other)
    )
    return float(np.linalg.norm(u - v) / (np.linalg.norm(u) or 1.0))


def _regions(problem: LinearProblem, best: Trial, fresh: Rows) -> dict[str, float]:
    """Return the equation's root mean square residual in every corner of halves."""
    names, bounds = problem.domain.names[:3], problem.domain.bounds
    x, rows = fresh.parts[0].piece.x, best.found.by_term[0]
    middle = bounds.mean(axis=1)
    found = {}
    for sides in itertools.product((False, True), repeat=len(names)):
        inside = np.all((x[:, : len(names)] > middle[: len(names)]) == np.array(sides), axis=1)
        if not inside.any():
            continue
        where = ", ".join(
            f"{n} {'>' if up else '<'} {m:.3g}"
            for n, up, m in zip(names, sides, middle, strict=False)
        )
        found[where] = float(np.sqrt(np.mean(rows[inside] ** 2) * len(x)))
    return found


def _verdict(
    problem: LinearProblem,
    best: Trial,
    examined: Stability,
    estimate: float,
    terms: Mapping[str, float],
) -> str:
    if examined.undetermined:
        return (
            f"Not determined: {examined.undetermined} or more independent functions satisfy the "
            f"equation and all conditions with data zero.{_missing(problem)} The solution of "
            "least size was taken."
        )
    worst = max(terms, key=lambda name: terms[name])
    if examined.contradiction > CONTRADICTION and best.found.conditions > CONTRADICTION:
        two = sorted((n for n in terms if n != "Equation"), key=lambda n: -terms[n])[:2]
        return (
            f"The conditions contradict each other: no function meets them all (what remains is "
            f"{examined.contradiction:.0%} of the data). The most violated: {' and '.join(two)}."
        )
    if estimate <= SOLVED:
        return f"Solved: relative error about {estimate:.0e}."
    if estimate <= FAILED:
        return (
            f"Approximate: relative error about {estimate:.0e}. The largest residual is that of "
            f"'{worst}'."
        )
    return (
        f"Not solved: relative error about {estimate:.0e}, the largest residual being that of "
        f"'{worst}'. The solution may not be smooth, or a condition may contradict the equation."
    )


def _missing(problem: LinearProblem) -> str:
    """Return which faces carry no condition, in words."""
    names = problem.domain.names
    given = {p.label.rpartition(" on ")[2].rpartition(" at ")[2] for p in problem._probe[1:]}
    faces = [
        f"{name} = {v:g}" for name, side in zip(names, problem.domain.sides, strict=True)
        for v in side
    ]  # fmt: skip
    bare = [f for f in faces if f not in given]
    held = " Conditions of a higher order may be missing on the others." if not bare else ""
    return (f" There is no condition on {', '.join(bare)}." if bare else "") + held


__all__ = ["Certificate", "Stability", "certify", "stability"]

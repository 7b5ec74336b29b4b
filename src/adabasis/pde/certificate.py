"""What a solution can prove about itself: residuals, stability, an error estimate, words."""

from __future__ import annotations

import dataclasses
import itertools
import math
from collections.abc import Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.scipy.linalg import solve_triangular

from .. import lstsq
from .._runtime.compute import quickly
from .._runtime.notation import Parameters
from ..basis import AbstractBasis
from ..operators import Identity
from ..rows import evaluate
from ..train import History, StopReason
from .newton import reduced_at
from .problem import LinearProblem
from .system import RIDGE, CollocationRows, CollocationSystem, Misfit, reduced

#: A function whose residual is this share of itself counts as a solution for data zero.
UNDETERMINED = 1e-5
#: Share of the conditions' data that no function of the basis meets: they contradict each other.
CONTRADICTION = 0.02
#: Estimated relative error: below the first a problem counts as solved, above the second not.
SOLVED, FAILED = 1e-5, 1e-2


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
        return not self.stability.undetermined and self.error_estimate <= SOLVED

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


def stability(
    system: CollocationSystem, coefficients: np.ndarray, fresh: CollocationRows
) -> Stability:
    """Examine a system, best one of a moderate width."""
    arrays = system.basis, system.parameters
    if system.rows.problem.linear:
        equation, *conditions = system.rows.weighted()
        alone = reduced(*arrays, conditions) if conditions else None
        reductions = reduced(*arrays, [equation]), alone
    else:  # the linearised equation
        c = jnp.asarray(coefficients)
        reductions = reduced_at(system.rows.weighted(), *arrays, c), None
    spectrum, unmet_share = _free_functions(*arrays, *reductions, jnp.asarray(fresh.x))
    ratios = np.asarray(spectrum)
    undetermined = int(np.sum(ratios > 1 / UNDETERMINED))
    return Stability(1 / float(ratios[0]), undetermined, float(unmet_share))


def certified(
    finalists: Sequence[Any], fresh: CollocationRows, difference: float, examined: Stability
) -> dict[str, Any]:
    """Return what a solution takes from its best candidate, the certificate among it.

    Parameters
    ----------
    finalists : sequence of EquationCandidate
        The best one first.
    fresh : CollocationRows
        Those of the misfit, for the problem solved.
    difference : float
        From the runner-up, see :func:`relative_difference`; NaN if there is none.
    examined : Stability
    """
    best, misfit, problem = finalists[0], finalists[0].misfit, fresh.problem
    p, run, rank = len(best.coefficients), best.run, best.system.rank
    norms = [float(np.sqrt(np.sum(residuals**2))) for residuals in misfit.by_term]
    terms = dict(zip([term.constraint.label for term in fresh.terms], norms, strict=True))
    gamma = examined.constant
    bound = misfit.score / gamma if math.isfinite(gamma) else math.nan
    # Solutions of two bases may share an error, iterates of Newton's method even more so; the bound
    # takes the worst function for granted. Between linear solves the truth lies between both.
    known = problem.linear and math.isfinite(difference)
    estimate = max(difference, math.sqrt(difference * bound)) if known else bound
    certificate = Certificate(
        misfit.equation,
        misfit.conditions,
        terms,
        _regions(fresh, misfit.by_term[0]),
        examined,
        estimate,
        bound,
        rank,
        p,
        _verdict(problem, misfit, examined, estimate, terms),
    )
    status = lstsq.Status.FULL_RANK if rank == p else lstsq.Status.RANK_DEFICIENT
    loss = misfit.equation**2 + misfit.conditions**2
    return {
        "basis": best.basis,
        "parameters": jax.tree.map(np.asarray, best.parameters),
        "initial_parameters": jax.tree.map(np.asarray, best.initial),
        "coefficients": best.coefficients,
        "rank": rank,
        "singular_values": best.system.singular_values,
        "status": lstsq.Status.UNDERDETERMINED if examined.undetermined else status,
        "stop_reason": run.stop_reason if run else StopReason.SOLVED,
        "history": run.history if run else History.of_one_solve(loss, float(p)),
        "validation_error": best.validation_error,
        "notes": (certificate.verdict,),
        "problem": problem,
        "certificate": certificate,
        "finalists": tuple(finalists),
    }


def relative_difference(u: np.ndarray, v: np.ndarray) -> float:
    """Return ‖u − v‖ / ‖u‖."""
    return float(np.linalg.norm(u - v) / (np.linalg.norm(u) or 1.0))


def _regions(fresh: CollocationRows, residuals: np.ndarray) -> dict[str, float]:
    """Return the equation's root mean square residual in every corner of halves."""
    names = fresh.problem.domain.names[:3]
    x, middle = fresh.x[:, : len(names)], fresh.problem.domain.bounds.mean(axis=1)[: len(names)]
    regions = {}
    for sides in itertools.product((False, True), repeat=len(names)):
        inside = np.all((x > middle) == np.array(sides), axis=1)
        if inside.any():
            where = ", ".join(
                f"{n} {'>' if up else '<'} {m:.3g}"
                for n, up, m in zip(names, sides, middle, strict=True)
            )
            regions[where] = float(np.sqrt(np.mean(residuals[inside] ** 2) * len(x)))
    return regions


def _verdict(
    problem: LinearProblem,
    misfit: Misfit,
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
    if min(examined.contradiction, misfit.conditions) > CONTRADICTION:
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
    places = [c.label.rpartition(" on ")[2].rpartition(" at ")[2] for c in problem.constraints[1:]]
    domain = problem.domain
    faces = [f"{name} = {v:g}" for name, side in zip(domain.names, domain.sides, strict=True)
             for v in side]  # fmt: skip
    bare = [face for face in faces if face not in places]
    if bare:
        return f" There is no condition on {', '.join(bare)}."
    return " Conditions of a higher order may be missing on the others."

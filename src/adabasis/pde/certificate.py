"""What a solution can prove about itself: residuals, stability, an error estimate, words."""

from __future__ import annotations

import dataclasses
import itertools
import math
from collections.abc import Mapping, Sequence
from typing import Any

import jax
import numpy as np

from .. import lstsq
from ..train import History, StopReason
from .collocation import CollocationRows
from .columns import columns_of
from .enlarged import Directions, Enlarged, directions, enlarged, least
from .problem import Problem
from .system import CollocationSystem, Misfit, misfit, reduced
from .verdict import CONTRADICTION, Stability, of_noise, verdict_of

#: What an enlarged basis sees of an error is right to such a factor.
SAFETY = 2.0
#: Names up to this length share a column in the table of a certificate. Longer ones stand out of
#: it, such as those of conditions that are equations: a terminal of 80 columns wraps few lines.
WIDEST = 48
#: Least relative error that is claimed: values are sums of many terms, each rounded. Solutions
#: right to the last digit err by up to 3.4e-15, that of u′ = u.
LEAST_CLAIM = 16 * float(np.finfo(float).eps)
#: An unknown below this share of the largest, each in its unit, has no size of its own.
NOTHING = 1e-3


@dataclasses.dataclass(frozen=True)
class Certificate:
    """Checks of a solution on points that no solve has seen; ``print`` it.

    Attributes
    ----------
    residual : float
        Of the equation, as an error of u and relative to u: root mean square residual times the
        size of the functions that residuals like these stand for.
    boundary_violation : float
        The same for the conditions.
    terms : mapping
        Term by term.
    regions : mapping
        The equation's residual by halves of each coordinate.
    stability : Stability
    error_estimate : float
        Relative error, of several unknowns that of the worst. The residuals are solved for on an
        enlarged basis: the size of the function that removes them, over the share of them that it
        removes, and at most ``error_bound``. Infinite where functions are left free or data
        contradict each other.
    error_bound : float
        (residual and violation) / γ, in units of u; free functions are left aside.
    rank, n_functions : int
    verdict : str
        Starts with "Solved", "Approximate", "Not solved", "Not determined" or "Contradictory".
    by_unknown : mapping
        The estimated relative error of each of several unknowns, by name; with regions of each in
        its region. Empty for one unknown.
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
    by_unknown: Mapping[str, float] = dataclasses.field(default_factory=dict)

    @property
    def solved(self) -> bool:
        """Whether the verdict is "Solved": the estimated relative error is below 1e-5."""
        return self.verdict.startswith("Solved")

    def __str__(self) -> str:
        return self.with_rows()

    def with_rows(self, *further: tuple[str, str]) -> str:
        """Return the verdict and a table of what it rests on, with further names and values."""
        rows = [
            ("residual of the equation", f"{self.residual:.1e}"),
            ("violation of conditions", f"{self.boundary_violation:.1e}"),
            ("estimated relative error", f"{self.error_estimate:.1e}"),
            *((f"estimated error of {n}", f"{e:.1e}") for n, e in self.by_unknown.items()),
            ("stability constant", f"{self.stability.constant:.1e}"),
            ("rank", f"{self.rank} of {self.n_functions}"),
            *((name, f"{value:.1e}") for name, value in self.terms.items()),
            *further,
        ]
        width = max(len(name) for name, _ in rows if len(name) <= WIDEST)
        lines = [self.verdict, *(f"  {name:<{width}}  {value}" for name, value in rows)]
        worst = max(self.regions, key=lambda r: self.regions[r], default=None)
        if worst is not None and len(self.regions) > 1:
            lines.append(f"  largest residual where {worst}: {self.regions[worst]:.1e}")
        return "\n".join(lines)


@dataclasses.dataclass(frozen=True, eq=False)
class Examination:
    """What is known of a system, whatever the data."""

    least_seen: Directions
    beside: Enlarged

    @property
    def constant(self) -> float:
        """The stability constant."""
        return 1 / float(self.beside.sizes[0])

    def constants_free(self, blocks: Sequence[str]) -> list[str]:
        """Return the unknowns whose constants are all that the rows leave free."""
        seen = self.least_seen
        free = seen.phi @ seen.coefficients(seen.free)
        if free.shape[1] != 1:
            return []
        each, size = free.reshape(len(blocks), -1), np.abs(free).max()
        if np.ptp(each, axis=1).max() > 1e-3 * size:
            return []
        return [n for n, u in zip(blocks, each, strict=True) if np.abs(u).max() > 1e-3 * size]

    @property
    def undetermined(self) -> int:
        """How many functions count as solutions for data zero."""
        return max(self.least_seen.free.shape[1], self.beside.free)


def settled(candidate: Any, fresh: CollocationRows) -> tuple[Any, Examination]:
    """Return a candidate and its examination, kept with its system.

    Where the rows leave functions free, the candidate's coefficients become those of the solution
    of least size.
    """
    system, kept = candidate.system, vars(candidate.system)
    known = kept.setdefault("least_seen", None) or directions(system, candidate.coefficients, fresh)
    kept["least_seen"] = known
    if known.free.shape[1] and fresh.problem.linear and not fresh.problem.observed:
        own = fresh.problem is system.rows.problem
        c = least(system, known, None if own else candidate.coefficients)
        found = misfit(fresh, system.basis, system.parameters, c)
        candidate = dataclasses.replace(candidate, coefficients=c, misfit=found)
    if "examination" not in kept:
        slope = getattr(candidate.basis, "slope", 1.0)
        arrays = system, candidate.coefficients, candidate.misfit
        kept["examination"] = Examination(known, enlarged(*arrays, fresh, known, slope))
    return candidate, kept["examination"]


def contradiction(system: CollocationSystem, problem: Problem) -> float:
    """Return what remains of the conditions together, but not of each alone, over their data."""
    count = system.rows.n_equations
    if not problem.linear or len(system.rows.terms) == count:
        return 0.0
    data = zip(system.rows.terms, system.rows.data(problem), strict=True)
    terms = [dataclasses.replace(term, data=values) for term, values in data]
    conditions = dataclasses.replace(system.rows, terms=terms).weighted()[count:]

    def remains(of: Sequence[Any]) -> tuple[float, float]:
        rows = reduced(system.basis, system.parameters, of)
        left = lstsq.solve(rows, rcond=1e-10).residual_norm[0]
        return float(left), float(np.linalg.norm(rows.factor[:, -1]))

    # What a condition leaves by itself is beyond these functions, and no contradiction.
    left, data_size = remains(conditions)
    alone = sum(remains([one])[0] ** 2 for one in conditions) if len(conditions) > 1 else left**2
    return math.sqrt(max(left**2 - alone, 0.0)) / (data_size or 1.0)


def certified(
    finalists: Sequence[Any],
    fresh: CollocationRows,
    examination: Examination,
    notes: Sequence[str] = (),
) -> dict[str, Any]:
    """Return what a solution takes from its best candidate, the certificate among it.

    Parameters
    ----------
    finalists : sequence of EquationCandidate
        The best one first.
    fresh : CollocationRows
        Those of the misfit, for the problem solved.
    examination : Examination
        Of the best one.
    notes : sequence of str
        What the verdict says besides.
    """
    best, misfit, problem = finalists[0], finalists[0].misfit, fresh.problem
    p, run, rank = len(best.coefficients), best.run, best.system.rank
    clash = misfit.conditions > CONTRADICTION
    examined = Stability(
        examination.constant,
        examination.undetermined,
        contradiction(best.system, problem) if clash else 0.0,
    )
    lacking, stays, bound = examination.beside.correction(misfit)
    # What the enlarged basis removes tells how large functions with such residuals are.
    estimate = min(bound, SAFETY * lacking / (1 - stays)) if stays < 1 else bound
    # Values are sums of terms as large as the coefficients, whose round-off no residual shows.
    level = float(np.sqrt(np.mean((examination.least_seen.phi @ best.coefficients) ** 2)))
    terms_of_u = best.coefficients.reshape(problem.n_blocks, -1)
    if fresh.scales is not None:
        terms_of_u = terms_of_u / np.array(fresh.scales)[:, None]
    by_round_off = SAFETY * np.finfo(float).eps * np.linalg.norm(terms_of_u, axis=1)
    each: dict[str, float] = {}
    if problem.n_blocks > 1:
        u = (examination.least_seen.phi @ best.coefficients).reshape(problem.n_blocks, -1)
        lacks = SAFETY * examination.beside.by_block(misfit, len(u)) / max(1 - stays, 1e-300)
        lacks = np.minimum(lacks, bound) * level * len(u) ** 0.5
        each = by_unknown(problem, np.hypot(lacks, by_round_off), np.sqrt(np.mean(u**2, axis=1)))
        estimate = max(each.values())
    else:
        estimate = max(estimate, float(by_round_off[0]) / (level or 1.0), LEAST_CLAIM)
    bound = max(bound, estimate)
    known = 0 < misfit.score < math.inf and math.isfinite(estimate)
    as_error = estimate / misfit.score if known else 1.0
    norms = [as_error * float(np.sqrt(np.sum(residuals**2))) for residuals in misfit.by_term]
    terms = dict(zip([term.constraint.label for term in fresh.terms], norms, strict=True))
    deviation = 0.0
    if best.posterior is not None:
        deviation = best.posterior.deviation(examination.least_seen.phi) / (level or 1.0)
        # What the equation leaves free, new functions beside its own change at will: of those that
        # the observations settle, the residual is what is known.
        numbers = misfit.score if examined.undetermined else estimate
        estimate = math.hypot(numbers, deviation)
    verdict = " ".join(
        [
            of_noise(problem, best.posterior, deviation, estimate, examined.undetermined)
            or verdict_of(
                problem,
                misfit,
                examined,
                estimate,
                stays,
                terms,
                examination.constants_free(problem.blocks),
                p,
                each,
            ),
            *problem.notes,
            *notes,
        ]
    )
    return {
        **claimed(
            fresh,
            misfit,
            (estimate, bound),
            as_error,
            terms,
            examined,
            (rank, p),
            verdict,
            run,
            each,
        ),
        "basis": best.whole,
        "parameters": jax.tree.map(np.asarray, best.parameters),
        "initial_parameters": jax.tree.map(np.asarray, best.initial),
        "coefficients": best.coefficients.reshape(problem.n_blocks, -1).T,
        "singular_values": best.system.singular_values,
        "validation_error": best.validation_error,
        "finalists": tuple(finalists),
    }


def by_unknown(problem: Problem, errors: np.ndarray, levels: np.ndarray) -> dict[str, float]:
    """Return relative errors by the unknown's name, both parts of a complex one together.

    Parameters
    ----------
    problem : Problem
    errors, levels : arrays, shape (B,)
        Root mean squares, in units of the unknowns. One that is 0 counts as the largest one.
    """
    found = {}
    for name, k in columns_of(problem.blocks).items():
        error, level = float(np.linalg.norm(errors[k])), float(np.linalg.norm(levels[k]))
        level = level if level > NOTHING * levels.max() else float(levels.max())
        found[name] = max(error / (level or 1.0), LEAST_CLAIM)
    return found


def claimed(
    fresh: CollocationRows,
    misfit: Misfit,
    errors: tuple[float, float],
    as_error: float,
    terms: Mapping[str, float],
    examined: Stability,
    rank: tuple[int, int],
    verdict: str,
    run: Any = None,
    each: Mapping[str, float] | None = None,
) -> dict[str, Any]:
    """Return what is said of a solution, whatever its functions are.

    Parameters
    ----------
    fresh : CollocationRows
    misfit : Misfit
        On these.
    errors : (float, float)
        The estimate and the bound.
    as_error : float
        What a residual of 1 stands for as an error of u.
    terms : mapping
        Such errors, term by term.
    examined : Stability
    rank : (int, int)
        Independent functions, and all.
    verdict : str
    run : Run, optional
        Of training.
    each : mapping, optional
        The estimate for each of several unknowns.
    """
    estimate, bound = errors
    no_claim = verdict.startswith(("Not determined", "Contradictory"))
    certificate = Certificate(
        as_error * misfit.equation,
        as_error * misfit.conditions,
        terms,
        by_regions(fresh, as_error, misfit),
        examined,
        math.inf if no_claim else estimate,
        bound,
        *rank,
        verdict,
        dict.fromkeys(each or {}, math.inf) if no_claim else dict(each or {}),
    )
    independent = rank[0] == rank[1]
    status = lstsq.Status.FULL_RANK if independent else lstsq.Status.RANK_DEFICIENT
    loss = misfit.equation**2 + misfit.conditions**2
    return {
        "rank": rank[0],
        "status": lstsq.Status.UNDERDETERMINED if examined.undetermined else status,
        "stop_reason": run.stop_reason if run else StopReason.SOLVED,
        "history": run.history if run else History.of_one_solve(loss, float(rank[1])),
        "notes": (verdict,),
        "problem": fresh.problem,
        "certificate": certificate,
    }


def by_regions(fresh: CollocationRows, as_error: float, misfit: Misfit) -> dict[str, float]:
    """Return the equations' root mean square residual in every corner of halves."""
    each = [r for r in misfit.by_term[: fresh.n_equations] if len(r) == len(fresh.x)]
    if not each:  # equations of regions, each with points of its own
        return {}
    residuals = as_error * np.sqrt(sum(r**2 for r in each)) if len(each) > 1 else as_error * each[0]
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

"""What is known of a solution, in words: whatever is worst decides."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from typing import Any

from .._runtime.errors import counted
from ..geometry.boxes import Box
from ..geometry.points import AffineMap
from .modes import turns
from .places import bare_pieces
from .problem import Problem
from .system import Misfit

#: Share of the conditions' data that no function of the basis meets: they contradict each other.
CONTRADICTION = 0.02
#: Share of all data that stays where functions are free: none of them balances it.
INCOMPATIBLE = 1e-3
#: Estimated relative error: below the first a problem counts as solved, above the second not.
SOLVED, FAILED = 1e-5, 1e-2
#: An error of at most so many of the standard deviations that noise leaves is due to noise.
MOSTLY = 1.5
#: Functions along a side that a turn of a wave takes: random ones are about half as good as
#: polynomials, which take π.
PER_TURN = 8.0
#: Observations that lie farther away than so many deviations of their noise contradict the rest,
#: and so many deviations of the mean of their squares, 1/√(2n), are no chance.
DISCREPANT, SURE = 1.3, 4.0


@dataclasses.dataclass(frozen=True)
class Stability:
    """How the rows see functions: those of the solution's basis, and new ones beside them.

    Attributes
    ----------
    constant : float
        γ, the least residual of a function of size 1: errors are at most residual / γ (in the
        span of the enlarged basis).
    undetermined : int
        Functions the problem leaves free.
    contradiction : float
        What remains of the conditions when nothing else is asked, over their data; 0 where the
        solution meets them.
    """

    constant: float
    undetermined: int
    contradiction: float


def of_noise(problem: Problem, posterior: Any, deviation: float, estimate: float, free: int) -> str:
    """Say what noisy observations leave open, where that is most of the error.

    Or where they alone settle functions, which the equation leaves ``free``.
    """
    if posterior is None:
        return ""
    count = sum(len(one.data) for one in problem.observed)
    if posterior.discrepancy > DISCREPANT + SURE / math.sqrt(2 * count):
        return (
            f"Contradictory: observations lie {posterior.discrepancy:.2g} times their noise away "
            "from all that the equation and the conditions allow: one of these does not hold, or "
            "the noise is larger than given (noise='estimate' finds it)."
        )
    by_noise = estimate <= MOSTLY * deviation
    if not by_noise and not free:
        return ""
    levels = ", ".join(f"{noise:.2g}" for noise in posterior.noise)
    found = " (estimated)" if any(posterior.estimated) else ""
    begins = "Approximate" if by_noise or estimate <= FAILED else "Not solved"
    begins = "Solved" if estimate <= SOLVED else begins
    begins = "Not determined" if deviation > 1 else begins
    return (
        f"{begins}: relative standard deviation about {deviation:.0e}, which is what the noise of "
        f"{counted(count, 'observation')} leaves open: {levels}{found}."
        + ("" if by_noise else f" Besides, residuals are about {estimate:.0e} of u.")
    )


def verdict_of(
    problem: Problem,
    misfit: Misfit,
    examined: Stability,
    estimate: float,
    stays: float,
    terms: Mapping[str, float],
    constants: Sequence[str] = (),
    count: int = 0,
    each: Mapping[str, float] | None = None,
) -> str:
    """Return the verdict in words, of whatever is worst; ``each`` of several unknowns is named."""
    names = ", ".join(f"{name} {error:.0e}" for name, error in (each or {}).items())
    names = f" ({names})" if names else ""
    conditions = {term.label for term in problem.constraints if not term.equation}
    worst = max(terms, key=lambda name: terms[name])
    if min(examined.contradiction, misfit.conditions) > CONTRADICTION:
        two = sorted((n for n in terms if n in conditions), key=lambda n: -terms[n])[:2]
        return (
            "Contradictory: the conditions contradict each other: no function meets them all (what "
            f"remains is {examined.contradiction:.0%} of the data). The most violated: "
            f"{' and '.join(two)}."
        )
    remains = stays * misfit.score > INCOMPATIBLE * misfit.data
    if examined.undetermined and remains and problem.linear:
        return (
            "Contradictory: The data are incompatible: the source and fluxes have to balance: "
            f"{examined.undetermined} or more functions satisfy the equation and all conditions "
            f"with data zero, and {stays * misfit.score / misfit.data:.1%} of the data is met by "
            "no function. Change the source, or the values of the conditions."
        )
    if examined.undetermined and not remains:
        return (
            f"Not determined: {examined.undetermined} or more independent functions satisfy the "
            f"equation and all conditions with data zero.{_missing(problem, constants)} The "
            "solution of least size was taken; apart from what is free, its error is about "
            f"{estimate:.0e}{names}."
        )
    if estimate <= SOLVED:
        return f"Solved: relative error about {estimate:.0e}{names}."
    if estimate <= FAILED:
        return (
            f"Approximate: relative error about {estimate:.0e}{names}. The largest residual is "
            f"that of '{worst}'."
        )
    about = f"about {estimate:.0e}" if math.isfinite(estimate) else "unknown"
    return (
        f"Not solved: relative error {about}{names}, the largest residual being that of '{worst}'. "
        + (
            _too_many_turns(problem, count)
            or "The solution may not be smooth, or a condition may contradict the equation."
        )
    )


def _too_many_turns(problem: Problem, count: int) -> str:
    """Say that waves of the equations turn over more often than so many functions can tell."""
    if not problem.linear or not count:  # cells are as many as the waves ask for
        return ""
    domain = problem.domain
    equations = [one.operator for one in problem.constraints if one.equation]
    often = turns(equations, AffineMap.onto_unit_box(domain.bounds), domain.n_inputs)
    if (PER_TURN * often) ** domain.n_inputs <= count / problem.n_blocks:
        return ""
    return (
        f"The equation lets waves through that turn over some {often:.2g} times along a side, more "
        f"than {count // problem.n_blocks:,} functions can tell. Take a smaller domain, or solve "
        "it in parts."
    )


def _missing(problem: Problem, constants: Sequence[str]) -> str:
    """Return what the conditions lack, in words; none is due where times end."""
    if constants and problem.n_blocks > 1:
        name = " and ".join(constants)
        return f" Any constant may be added to {name}: a value or MeanValue would settle it."
    if constants:
        return " Any constant may be added: a value or a mean of u would settle it."
    if not isinstance(problem.domain, Box):
        pieces = [c.piece for c in problem.constraints]
        bare = bare_pieces(problem.domain, pieces, problem.times)
        if bare:
            return f" There is no condition on {', '.join(bare)}."
        return " A condition of a higher order may be missing, such as a velocity at the start."
    faces = problem.domain.sides
    held = {c.face for c in problem.constraints}
    held |= {(c.face[0], faces[c.face[0]][1]) for c in problem.constraints
             if c.face and c.label.startswith("Periodic")}  # fmt: skip
    bare = [
        f"{name} = {value:g}"
        for axis, name in enumerate(problem.domain.names)
        for value in faces[axis]
        if name not in problem.times and (axis, value) not in held
    ]
    if bare:
        return f" There is no condition on {', '.join(bare)}."
    return " A condition of a higher order may be missing, such as a velocity at the start."

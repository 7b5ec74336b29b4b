"""Equations that are not linear may have several solutions: restarts look for another one."""

from __future__ import annotations

from collections.abc import Sequence

import jax.numpy as jnp
import numpy as np

from ..train import Objective
from .candidate import EquationCandidate
from .collocation import CollocationRows
from .enlarged import evaluated
from .newton import newton
from .problem import Problem
from .system import misfit
from .verdict import SOLVED

#: Another solution has a score that counts as solved, or within this factor, and differs by this
#: share.
ALIKE, DIFFERENT = 100.0, 1e-2
#: Sizes of bumps to start from, the first at which the equation is not linear; steps to tell.
SIZES, STEP = tuple(4.0**k for k in range(-10, 16)), 1e-4


def other_solutions(
    problem: Problem,
    fresh: CollocationRows,
    ranked: Sequence[EquationCandidate],
    n_restarts: int,
) -> list[str]:
    """Say whether an equation that is not linear has another solution that restarts find.

    They start from minus the solution and from bumps of both signs, as large as makes the
    equation depart from its derivative at 0.
    """
    one = min(ranked, key=lambda each: len(each.coefficients))
    system, c = one.system, one.coefficients
    blocks, places = problem.n_blocks, (jnp.asarray(fresh.x), fresh.units)
    phi = np.asarray(evaluated(system.basis, system.parameters, *places))
    bounds = problem.domain.bounds
    z = (fresh.x - bounds[:, 0]) / (bounds[:, 1] - bounds[:, 0])
    hill = np.tile(np.prod(4 * z * (1 - z), axis=1), blocks)[:, None]
    bump = np.linalg.lstsq(phi, hill, rcond=1e-8)[0]

    level = float(np.sqrt(np.mean((phi @ bump) ** 2)))

    def image(size: float) -> np.ndarray:
        found = misfit(fresh, system.basis, system.parameters, size * bump)
        return found.by_term[0] * (size * level or 1.0)  # they are relative to u

    def departs(size: float) -> bool:
        with np.errstate(invalid="ignore"):  # 1/u has no value at 0
            straight = (image(STEP * size) - image(0.0)) / STEP
            bent = image(size) - image(0.0) - straight
        return bool(np.linalg.norm(bent) > np.linalg.norm(straight))

    size = next((s for s in SIZES if departs(s)), 0.0)
    objective = Objective(system.terms, system.ridge, system.basis)
    for start in [-c, size * bump, -size * bump][:n_restarts]:
        found = np.asarray(newton(objective, system.parameters, start))
        score = misfit(fresh, system.basis, system.parameters, found).score
        away, size_of_u = np.linalg.norm(phi @ (found - c)), np.linalg.norm(phi @ c)
        apart = float(away) / (float(size_of_u) or 1.0)
        if score <= max(ALIKE * one.misfit.score, SOLVED) and apart > DIFFERENT:
            return [f"Restarts found another solution, which differs by {apart:.0%} of this."]
    return []

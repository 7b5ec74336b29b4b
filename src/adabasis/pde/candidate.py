"""A candidate of the search for a solution, and what kinds of functions suit a problem."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np

from ..basis import AbstractBasis, EnrichedBasis, PlacedGaussians
from ..geometry.points import AffineMap
from ..models.record import Tried
from ..selection.search import Candidate
from .collocation import CollocationRows
from .modes import passing
from .posterior import Posterior
from .problem import Problem
from .system import CollocationSystem, Misfit, misfit

#: Equations let waves through where this share of the modes is waves of so many radians a side,
#: growing by less than e.
WAVE_SHARE, RADIANS = 0.1, 3 * np.pi


@dataclasses.dataclass(frozen=True, eq=False, kw_only=True)
class SolvedCandidate(Candidate):
    """Functions and coefficients; the validation error is the score of the misfit.

    Attributes
    ----------
    system : CollocationSystem or CellSystem
        What was solved.
    coefficients : array, shape (P, 1)
        In the unit of u.
    misfit : Misfit
        On fresh points.
    seconds : float
    posterior : Posterior or None
        Where there are observations with noise.
    """

    system: Any
    coefficients: np.ndarray
    misfit: Misfit
    seconds: float
    posterior: Posterior | None = None

    @property
    def shortfall(self) -> float:
        """What more functions could do something about: noise is not of it."""
        return self.misfit.score if self.posterior else self.validation_error

    @property
    def tried(self) -> Tried:
        """The candidate as a row of the record."""
        return dataclasses.replace(
            super().tried,
            functions=len(self.coefficients),
            weight=self.system.weight,
            seconds=round(self.seconds, 3),
        )


@dataclasses.dataclass(frozen=True, eq=False, kw_only=True)
class EquationCandidate(SolvedCandidate):
    """Functions of the whole domain."""

    system: CollocationSystem

    @property
    def places(self) -> Any:
        """The centres and shapes of its Gaussians, if it has some."""
        return self.parameters[1:] if isinstance(self.basis, PlacedGaussians) else None

    def judged_on(self, fresh: CollocationRows) -> EquationCandidate:
        """Return it with its misfit on these points, if it has that on others."""
        if len(self.misfit.by_term[0]) == len(fresh.terms[0].data):
            return self
        system = self.system
        found = misfit(fresh, system.basis, system.parameters, self.coefficients)
        return dataclasses.replace(self, misfit=found)

    @property
    def whole(self) -> AbstractBasis:
        """The basis with what was added to it."""
        inner = self.system.basis.inner  # type: ignore[attr-defined]
        return inner.with_inner(self.basis) if isinstance(inner, EnrichedBasis) else self.basis


def lets_waves_through(problem: Problem) -> bool:
    """Whether the equations are linear and many of their modes are waves."""
    if not problem.linear:
        return False
    domain = problem.domain
    equations = [one.operator for one in problem.constraints if one.equation]
    unit = AffineMap.onto_unit_box(domain.bounds)
    a, b = passing(equations, unit, domain.n_inputs, domain)
    modes = np.any(a != 0, axis=1) | np.any(b != 0, axis=1)
    wavy = (np.abs(a).max(axis=1) < 1.0) & (np.abs(b).max(axis=1) >= RADIANS)
    return bool(wavy.sum() >= WAVE_SHARE * max(modes.sum(), 1))

"""Where constraints are asked for: terms at collocation points, rows of all of them."""

from __future__ import annotations

import dataclasses

import jax.numpy as jnp
import numpy as np

from ..basis import AbstractBasis
from ..geometry.points import AbstractSampler, Points, Sobol
from ..rows import AbstractTerm, Term, TieTerm
from .constraints import Constraint
from .problem import Problem

ROWS_PER_FUNCTION = 2.0
FRESH_SEED = 7_919
FRESH_POINTS = 2048


@dataclasses.dataclass(frozen=True, eq=False)
class CollocationTerm:
    """A constraint at its collocation points: one term of the loss.

    Attributes
    ----------
    constraint : Constraint
    points : Points
    data : array, shape (N,)
        In the user's units.
    """

    constraint: Constraint
    points: Points
    data: np.ndarray

    def term(
        self,
        unit: float,
        factor: float = 1.0,
        *,
        scales: tuple[float, ...] | None = None,
        scaled: bool = False,
    ) -> Term:
        """Return the term of the rows for u in a unit, or several unknowns in units of their own.

        Its weight ε_k is the user's or, if there is none or it is to be ``scaled``, the one that
        makes the residual one in units of u, times ``factor``.
        """
        constraint = self.constraint
        given = None if scaled else constraint.weight
        weight = factor / constraint.size_in(scales) ** 2 if given is None else given
        data = self.data[:, None] / unit
        return Term(self.points, data, constraint.operator, jnp.asarray(weight))


def collocate(
    problem: Problem,
    sampler: AbstractSampler,
    n: int,
    n_face: int,
    seed: int = 0,
    *,
    unseen: bool = False,
) -> list[CollocationTerm]:
    """Return the equation at about ``n`` points and the conditions at ``n_face`` a face."""
    terms = []
    for constraint in problem.constraints:
        points = constraint.points(problem.domain, sampler, n, n_face, seed, unseen=unseen)
        data = constraint.values(problem.domain, points)
        if len(data):
            terms.append(CollocationTerm(constraint, points, data))
    return terms


@dataclasses.dataclass(frozen=True, eq=False)
class CollocationRows:
    """The terms of a problem at one set of points.

    Attributes
    ----------
    problem : Problem
    terms : list of CollocationTerm
        The equation first.
    unit : float
        The scale of u; 1 for several unknowns.
    scales : tuple of B floats, or None
        Those of several unknowns.
    """

    problem: Problem
    terms: list[CollocationTerm]
    unit: float
    scales: tuple[float, ...] | None = None

    @property
    def x(self) -> np.ndarray:
        """The equation's points, (N, D); with regions those of all of them."""
        if self.problem.regions:
            each = {one.points.x.tobytes(): one.points.x for one in self.terms[: self.n_equations]}
            return np.concatenate(list(each.values()))
        return np.asarray(self.terms[0].points.x)

    @property
    def places(self) -> np.ndarray:
        """Points at which the size of functions is taken: fewer for several unknowns."""
        return self.x[:: self.problem.n_blocks]

    @property
    def units_there(self) -> np.ndarray | None:
        """The scales at :attr:`places`."""
        return None if self.scales is None else self.units_at(self.places)

    @property
    def n_rows(self) -> int:
        """Rows of all terms."""
        return sum(len(term.data) for term in self.terms)

    def scaled(self) -> list[Term]:
        """Return all terms in units of u, weights given being left aside."""
        return [term.term(self.unit, scales=self.scales, scaled=True) for term in self.terms]

    @property
    def units(self) -> np.ndarray | None:
        """The scales as an array, (B,), or ``None`` for one unknown."""
        return None if self.scales is None else self.units_at(self.x)

    def units_at(self, x: np.ndarray) -> np.ndarray:
        """Return the scales (B,); with regions by points (B, N), infinite where u is another one.

        The mean square over all points is that over the points of the region then.
        """
        scales, regions = np.array(self.scales), list(self.problem.regions)
        if not regions:
            return scales
        home = self.problem.homes(x)
        found = np.full((len(scales), len(x)), np.inf)
        for b, name in enumerate(self.problem.blocks):
            here = home == regions.index(name.rpartition(" in ")[2])
            found[b, here] = scales[b] * np.sqrt(max(here.mean(), 1e-300))
        return found

    @property
    def n_equations(self) -> int:
        """How many of the terms are equations: the first ones."""
        return sum(term.constraint.equation for term in self.terms)

    def data(self, problem: Problem) -> list[np.ndarray]:
        """Return the data of a problem with the same constraints at these points, a term each."""
        numbers = [self.problem.constraints.index(term.constraint) for term in self.terms]
        return [
            problem.constraints[number].values(problem.domain, term.points)
            for number, term in zip(numbers, self.terms, strict=True)
        ]

    def weighted(
        self, weight: float = 1.0, basis: AbstractBasis | None = None
    ) -> list[AbstractTerm]:
        """Return all terms, the weights of conditions times ``weight``² where none was given.

        A basis adds its ties at the equation's points, if it has any.
        """
        count = self.n_equations
        equations = [term.term(self.unit, scales=self.scales) for term in self.terms[:count]]
        others = [
            term.term(self.unit, weight**2, scales=self.scales) for term in self.terms[count:]
        ]
        tied = basis is not None and basis.tie_weight
        ties = [TieTerm(self.terms[0].points, 1, tied)] if tied else []
        return [*equations, *others, *ties]


def rows_for(
    problem: Problem,
    width: int,
    sampler: AbstractSampler,
    unit: float | None = None,
    scales: tuple[float, ...] | None = None,
) -> CollocationRows:
    """Return rows for ``width`` functions, twice as many inside, more on faces.

    The unit of u is by default the largest root mean square of data over the size of the operator;
    it is 1 where the operator is not linear, and would not carry a factor through, and where
    several unknowns have scales of their own.
    """
    d = problem.domain.n_inputs
    n_face = max(2, int(3 * width ** ((d - 1) / d)))
    terms = collocate(problem, sampler, int(ROWS_PER_FUNCTION * width), n_face)
    if unit is None and problem.linear and problem.n_blocks == 1:
        given = [(term.constraint, term.data) for term in terms]
        given += [(one, np.asarray(one.data)) for one in problem.observed]
        unit = max(float(np.sqrt(np.mean(data**2))) / one.size for one, data in given)
    return CollocationRows(problem, terms, unit or 1.0, scales)


def fresh_rows(
    problem: Problem, unit: float, scales: tuple[float, ...] | None = None
) -> CollocationRows:
    """Return rows at points no solve has seen."""
    n_face = 256 if problem.domain.n_inputs > 1 else 1
    terms = collocate(problem, Sobol(), FRESH_POINTS, n_face, FRESH_SEED, unseen=True)
    return CollocationRows(problem, terms, unit, scales)

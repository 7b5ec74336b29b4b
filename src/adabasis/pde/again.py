"""The same equation with other data: one factor solves for all, another one checks them."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from .. import lstsq, rows
from .._runtime.compiled import quickly
from .._runtime.notation import Parameters
from .._runtime.scope import numerics
from ..basis import AbstractBasis
from ..geometry.samplers import Sobol
from ..operators import Identity
from .certificate import CONTRADICTION, certify, runner_up, unmet
from .conditions import Piece
from .problem import LinearProblem, on_waves, values_at
from .search import Trial, described, on_domain_without_slope, spectrum_of
from .system import RIDGE, Misfit, Rows, fresh_rows, reduced

if TYPE_CHECKING:
    from .solution import Solution

PROBE = (Sobol(), 64, 64)
"""Points at which problems are compared."""
SAME = 1e-12
"""Relative difference of two operators' images that round-off makes."""
OTHER = ", other data"
"""What the label of a trial says of those solved again."""


@dataclasses.dataclass(frozen=True, eq=False)
class Factor:
    """An orthonormal factor of a trial's rows, and the rows of its functions on fresh points.

    Attributes
    ----------
    roots : list of arrays
        √(ε w / Σ w) of the rows, a term each.
    factor : lstsq.OrthonormalFactor
    fresh : Rows
        Points that no solve has seen.
    unseen : list of arrays
        The weighted rows of each term there, (N_k, P).
    phi : array, shape (N, P)
        The functions at the equation's points there.
    """

    roots: list[np.ndarray]
    factor: lstsq.OrthonormalFactor
    fresh: Rows
    unseen: list[np.ndarray]
    phi: np.ndarray

    @classmethod
    def of(cls, problem: LinearProblem, trial: Trial) -> Factor:
        """Factor a trial's rows."""
        basis, xi = on_domain_without_slope(trial), trial.parameters
        terms, fresh = trial.rows.weighted(trial.weight), fresh_rows(problem, 1.0)
        x = jnp.asarray(fresh.parts[0].piece.x)
        unseen, phi = _on_points(basis, xi, fresh.scaled(), x)
        return cls(
            [np.asarray(term.root_weights) for term in terms],
            _orthonormal(basis, xi, terms),
            fresh,
            [np.asarray(rows) for rows in unseen],
            np.asarray(phi),
        )

    def solve(self, data: Sequence[np.ndarray]) -> np.ndarray:
        """Return the coefficients (P, K) for K right-hand sides: (N_k, K) for each term."""
        right = np.concatenate([r[:, None] * d for r, d in zip(self.roots, data, strict=True)])
        return np.asarray(_substituted(self.factor, jnp.asarray(right)))

    def misfits(self, c: np.ndarray, data: Sequence[np.ndarray]) -> tuple[list[Misfit], np.ndarray]:
        """Return the misfits of K right-hand sides and u at the equation's points, (N, K).

        Parameters
        ----------
        c : array, shape (P, K)
        data : sequence of arrays, shapes (N_k, K)
            Unweighted, a term each.
        """
        u = self.phi @ c
        found = [
            a @ c - np.asarray(term.root_weights)[:, None] * d
            for a, term, d in zip(self.unseen, self.fresh.scaled(), data, strict=True)
        ]
        levels = np.sqrt(np.mean(u**2, axis=0))
        each = [Misfit.relative([f[:, k] for f in found], v) for k, v in enumerate(levels)]
        return each, u


@quickly()
def _orthonormal(
    basis: AbstractBasis, parameters: Parameters, terms: list[rows.Term]
) -> lstsq.OrthonormalFactor:
    return lstsq.orthonormalize(rows.design(terms, basis, parameters), RIDGE**2)


@quickly(jax.jit)
def _substituted(factor: lstsq.OrthonormalFactor, right: Array) -> Array:
    return factor.solve(right)


@quickly()
def _on_points(
    basis: AbstractBasis, parameters: Parameters, terms: list[rows.Term], x: Array
) -> tuple[list[Array], Array]:
    weighted = [t.root_weights[:, None] * t.design(basis, parameters) for t in terms]
    return weighted, rows.evaluate(Identity(), basis, parameters, x)


def resolved(solution: Solution, wanted: Sequence[LinearProblem]) -> list[Solution]:
    """Solve by two trials, certify the better; see :meth:`adabasis.pde.Solution.resolve`.

    Raises
    ------
    ValueError
        If domains, operators, places or weights differ, or the equation is not linear.
    """
    with numerics():
        _refuse_others(solution.problem, wanted)
    if not wanted:
        return []
    second = runner_up(solution.trial, solution.trials)
    trials = [solution.trial] if second is None else [solution.trial, second]
    with numerics():
        for trial in trials:
            trial.factor = trial.factor or Factor.of(solution.problem, trial)
        unseen = _data(wanted, solution.trial.factor.fresh)
        solved = [_Solved.of(trial, wanted, unseen) for trial in trials]
        return [_certified(solution, p, solved, k) for k, p in enumerate(wanted)]


def _refuse_others(first: LinearProblem, wanted: Sequence[LinearProblem]) -> None:
    if not first.linear:
        raise ValueError(f"resolve: {first.operator!r} is not linear; use solve.")
    known = first.pieces(*PROBE)
    for other in wanted:
        named, bounds = other.domain.names, other.domain.bounds
        if named != first.domain.names or not np.array_equal(bounds, first.domain.bounds):
            raise ValueError(
                f"resolve: expected the domain {first.domain!r}, got {other.domain!r}. "
                "Another domain needs another solve."
            )
        pieces = other.pieces(*PROBE)
        for mine, theirs in zip(known, pieces, strict=False):
            same_name = mine.label == theirs.label
            what = _difference(bounds, mine, theirs) if same_name else ""
            if what:
                raise ValueError(
                    f"resolve: {theirs.label}: {what} than in the problem solved. Only the source "
                    "and the values of conditions may be others; else solve again."
                )
        if [p.label for p in pieces] != [p.label for p in known]:
            raise ValueError(
                f"resolve: expected conditions {[p.label for p in known]}, "
                f"got {[p.label for p in pieces]}."
            )


def _difference(bounds: np.ndarray, mine: Piece, theirs: Piece) -> str:
    """Say what is different, but for data; operators are compared by what they do to waves."""
    if not np.array_equal(mine.x, theirs.x):
        return "it holds at other points"
    if mine.weight != theirs.weight:
        return f"its weight is {theirs.weight!r} rather than {mine.weight!r}, other"
    if eqx.tree_equal(mine.operator, theirs.operator):
        return ""
    if mine.operator.order != theirs.operator.order or not theirs.operator.linear:
        return f"it has another operator, {theirs.operator!r},"
    (u, *_), (v, *_) = (on_waves(p.operator, bounds, jnp.asarray(mine.x)) for p in (mine, theirs))
    same = jnp.max(jnp.abs(u - v)) <= SAME * jnp.max(jnp.abs(u))
    return "" if same else f"it has another operator, {theirs.operator!r},"


def _data(wanted: Sequence[LinearProblem], at: Rows) -> list[np.ndarray]:
    """Return the data of K problems on the points of rows, (N_k, K) for each term."""
    places = [part.piece for part in at.parts]
    found = [[values_at(p.domain, piece) for piece in p.pieces_at(places)] for p in wanted]
    return [np.stack(columns, axis=1) for columns in zip(*found, strict=True)]


@dataclasses.dataclass(frozen=True, eq=False)
class _Solved:
    """A trial with its factor; data, coefficients (P, K), misfits, u (N, K) for K problems."""

    trial: Trial
    data: list[np.ndarray]
    coefficients: np.ndarray
    misfits: list[Misfit]
    u: np.ndarray

    @classmethod
    def of(
        cls, trial: Trial, wanted: Sequence[LinearProblem], unseen: Sequence[np.ndarray]
    ) -> _Solved:
        data = _data(wanted, trial.rows)
        c = trial.factor.solve(data)
        return cls(trial, data, c, *trial.factor.misfits(c, unseen))

    def one(self, k: int) -> Trial:
        """Return the trial as it is for one of the right-hand sides."""
        held = self.trial.rows
        parts = [
            dataclasses.replace(part, data=data[:, k].copy())
            for part, data in zip(held.parts, self.data, strict=True)
        ]
        return dataclasses.replace(
            self.trial,
            coefficients=self.coefficients[:, [k]] / held.unit,
            found=self.misfits[k],
            rows=dataclasses.replace(held, parts=parts),
            label=f"{self.trial.label.removesuffix(OTHER)}{OTHER}",
        )


def _certified(
    solution: Solution, problem: LinearProblem, solved: Sequence[_Solved], k: int
) -> Solution:
    order = sorted(solved, key=lambda s: s.misfits[k].score)
    trials, first = tuple(s.one(k) for s in order), order[0].trial
    best, difference = trials[0], math.nan
    if len(order) > 1:
        u, v = (s.u[:, k] for s in order)
        difference = float(np.linalg.norm(u - v) / (np.linalg.norm(u) or 1.0))
    known = solution.certificate.stability
    if best.found.conditions > CONTRADICTION:
        conditions = best.rows.terms("condition")
        alone = reduced(on_domain_without_slope(best), best.parameters, conditions)
        known = dataclasses.replace(known, contradiction=float(unmet(alone)))
    changed = {} if first is solution.trial else spectrum_of(first)
    if known.undetermined:
        changed["status"] = lstsq.Status.UNDERDETERMINED
    rank = changed.get("rank", solution.rank)
    certificate = certify(problem, best, difference, best.factor.fresh, known, rank)
    return dataclasses.replace(
        solution,
        **described(best),
        **changed,
        problem=problem,
        certificate=certificate,
        notes=(certificate.verdict,),
        trials=trials,
        record=dataclasses.replace(solution.record, tried=tuple(trial.summary for trial in trials)),
    )

"""The same equation for other data: its rows are factored once, right-hand sides come later."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from .._runtime.compute import numerics
from ..geometry.points import Sobol
from ..operators import AbstractOperator, Coupled
from .cell_rows import CellProblem
from .certificate import certified, settled
from .collocation import CollocationRows, CollocationTerm, collocate, fresh_rows
from .on_cells import CellCandidate, certified_on_cells, solved_again
from .problem import Problem
from .sizes import on_waves

#: Points at which problems are compared.
PROBE = (Sobol(), 64, 64)
#: Relative difference of two operators' images that round-off makes.
SAME = 1e-12
#: What the label of a candidate says of those solved again.
OTHER = ", other data"


def resolved(solution: Any, wanted: Sequence[Problem]) -> list[Any]:
    """Solve on the systems of both finalists, certify the better answer.

    See :meth:`adabasis.pde.Solution.resolve`.

    Raises
    ------
    ValueError
        If domains, operators, places or weights differ, or the equation is not linear.
    """
    if isinstance(solution.finalists[0], CellCandidate):
        return _on_cells(solution, wanted)
    first = solution.finalists[0].system
    if first.rows.problem.observed:
        raise ValueError(
            "resolve: the problem has observations with noise, which are weighed for each source "
            "anew; use solve."
        )
    with numerics():
        _refuse_others(first.rows.problem, wanted)
        if not wanted:
            return []
        unseen = _data(wanted, first.factor.fresh)
        answers = [_answers(candidate, wanted, unseen) for candidate in solution.finalists]
        return [
            _certified(solution, problem, [one[k] for one in answers])
            for k, problem in enumerate(wanted)
        ]


def _on_cells(solution: Any, wanted: Sequence[Problem]) -> list[Any]:
    """Solve on the cells of the finalists, by their factors."""
    found = []
    with numerics():
        _refuse_others(solution.problem, wanted)
        for problem in wanted:
            fresh, cells = (
                fresh_rows(problem, float(solution.output_map.scale[0]), solution.task.scales),
                CellProblem(problem, solution.task.scales),
            )
            answers: list[Any] = [solved_again(one, cells, fresh) for one in solution.finalists]
            answers = [
                dataclasses.replace(one, label=f"{one.label.removesuffix(OTHER)}{OTHER}")
                for one in sorted(answers, key=lambda candidate: candidate.errors)
            ]
            tried = tuple(candidate.tried for candidate in answers)
            found.append(
                dataclasses.replace(
                    solution,
                    **certified_on_cells(answers, fresh),
                    record=dataclasses.replace(solution.record, tried=tried),
                )
            )
    return found


def _answers(candidate: Any, wanted: Sequence[Problem], unseen: list[np.ndarray]) -> list[Any]:
    """Solve K problems on a candidate's system, each answer a candidate."""
    system, label = candidate.system, candidate.label.removesuffix(OTHER)
    c = system.factor.solve(_data(wanted, system.rows))
    misfits = system.factor.misfits(c, unseen)
    return [
        dataclasses.replace(
            candidate,
            coefficients=c[:, [k]] / system.rows.unit,
            misfit=misfit,
            validation_error=misfit.score,
            label=f"{label}{OTHER}",
        )
        for k, misfit in enumerate(misfits)
    ]


def _data(wanted: Sequence[Problem], at: CollocationRows) -> list[np.ndarray]:
    """Return the data of K problems at the points of rows, (N_k, K) for each term."""
    each = [at.data(problem) for problem in wanted]
    return [np.stack(columns, axis=1) for columns in zip(*each, strict=True)]


def _refuse_others(first: Problem, wanted: Sequence[Problem]) -> None:
    if not first.linear:
        raise ValueError(f"resolve: {first.equation} is not linear; use solve.")
    known = collocate(first, *PROBE)
    labels = [term.constraint.label for term in known]
    for other in wanted:
        if other.domain != first.domain:
            raise ValueError(
                f"resolve: expected the domain {first.domain!r}, got {other.domain!r}. "
                "Another domain needs another solve."
            )
        terms = collocate(other, *PROBE)
        for mine, theirs in zip(known, terms, strict=False):
            same_name = mine.constraint.label == theirs.constraint.label
            what = _difference(first, mine, theirs) if same_name else ""
            if what:
                raise ValueError(
                    f"resolve: {theirs.constraint.label}: {what} than in the problem solved. Only "
                    "the source and the values of conditions may be others; else solve again."
                )
        given = [term.constraint.label for term in terms]
        if given != labels:
            raise ValueError(f"resolve: expected conditions {labels}, got {given}.")


def _difference(problem: Problem, mine: CollocationTerm, theirs: CollocationTerm) -> str:
    """Say what is different, but for data; operators are compared by what they do to waves."""
    first, second = mine.constraint, theirs.constraint
    if not np.array_equal(mine.points.x, theirs.points.x):
        return "it holds at other points"
    if first.weight != second.weight:
        return f"its weight is {second.weight!r} rather than {first.weight!r}, other"
    same = eqx.tree_equal(first.operator, second.operator)
    if not same and first.operator.order == second.operator.order and second.operator.linear:
        bounds, x = problem.domain.bounds, jax.tree.map(jnp.asarray, mine.points)
        same = all(
            _alike(*pair, bounds, x)
            for pair in zip(_each(first.operator), _each(second.operator), strict=True)
        )
    return "" if same else f"it has another operator, {second.operator!r},"


def _each(operator: AbstractOperator) -> Sequence[AbstractOperator | None]:
    return operator.operators if isinstance(operator, Coupled) else (operator,)


def _alike(one: Any, other: Any, bounds: np.ndarray, x: Any) -> bool:
    if one is None or other is None:
        return one is other
    u, v = (on_waves(operator, bounds, x)[:, :-2] for operator in (one, other))
    return bool(jnp.max(jnp.abs(u - v)) <= SAME * jnp.max(jnp.abs(u)))


def _certified(solution: Any, problem: Problem, answers: list[Any]) -> Any:
    """Return the better one of two answers, with its certificate."""
    finalists = sorted(answers, key=lambda candidate: candidate.errors)
    system = finalists[0].system
    fresh = dataclasses.replace(system.factor.fresh, problem=problem, unit=system.rows.unit)
    finalists[0], examination = settled(finalists[0], fresh)
    tried = tuple(candidate.tried for candidate in finalists)
    return dataclasses.replace(
        solution,
        **certified(finalists, fresh, examination),
        record=dataclasses.replace(solution.record, tried=tried),
    )

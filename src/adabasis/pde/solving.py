"""The front door for equations: a problem in, a solution with a certificate out."""

from __future__ import annotations

import dataclasses
import math
import time
from typing import Any

import jax
import numpy as np

from .._runtime.scope import numerics
from ..basis import AbstractBasis, FrozenFeatures
from ..geometry.domains import AffineMap
from ..geometry.samplers import AbstractSampler
from ..lstsq import Status
from ..models.record import Asked, Record
from ..train import AbstractTrainer, Objective, StopReason, named_trainers
from .adapt import adapt, train_on
from .certificate import certify, refinement, stability
from .problem import LinearProblem, unit_map
from .search import FrozenSearch, Trial, best_first, described, sampler_for, spectrum_of
from .solution import Solution

ROUGH, SMOOTH_FALL = 1e-2, 0.2
"""Score after the first width above which moved functions are tried before wider frozen ones, if
the next width does not lower it to this share: it does for steep solutions, not for kinks."""


def solve(
    problem: LinearProblem,
    basis: AbstractBasis | None = None,
    *,
    method: str | AbstractTrainer = "auto",
    points: AbstractSampler | None = None,
    max_steps: int | None = None,
    max_seconds: float = math.inf,
    tol: float | None = None,
    n_restarts: int = 3,
    random_state: int = 0,
) -> Solution:
    """Solve L[u] = f with its conditions by least squares on adaptive functions.

    Frozen functions and one least-squares solve come first; activation, slope, width and the
    weight of the conditions are chosen by residuals on points that no solve has seen. Where the
    residual stays, functions are moved by Gauss–Newton.

    Parameters
    ----------
    problem : LinearProblem
    basis : AbstractBasis, optional
        The functions; by default they are searched for.
    method : {"auto", "frozen", "lsgn", "lsgd", "gd"} or AbstractTrainer
        ``"frozen"`` moves nothing; a trainer, or its name, trains ``basis``.
    points : AbstractSampler, optional
        Where the equation is asked for: ``samplers.Cartesian(30)``. By default Gauss points on
        an interval, a Sobol sequence elsewhere, twice as many as functions.
    max_steps : int, optional
        Of every training run.
    max_seconds : float
        The best candidate by then is returned.
    tol : float, optional
        Relative residual that is good enough to stop the search.
    n_restarts : int
        Draws of moved functions, at most.
    random_state : int

    Returns
    -------
    Solution
        ``solution.certificate`` says how good it is.

    Raises
    ------
    TypeError, ValueError
        For something that is no problem, unknown methods, or functions less smooth than the
        equation needs.
    """
    trainer = _checked(problem, basis, method)
    asked = Asked(
        "solve",
        str(method),
        max_steps,
        max_seconds,
        tol,
        n_restarts,
        random_state=random_state,
    )
    with numerics():
        key = jax.random.key(random_state, impl="rbg")
        deadline = time.perf_counter() + max_seconds
        search = FrozenSearch(problem, sampler_for(problem, points), key, deadline, tol)
        if trainer is not None:
            assert basis is not None
            train_on(search, basis, trainer, max_steps, n_restarts)
        elif basis is not None:
            search.one(basis)
            if method == "auto" and basis.trainable:
                train_on(search, basis, None, max_steps, n_restarts)
        else:
            search.start()
            before = search.best.score
            if before > ROUGH and method == "auto":
                search.grow(levels=1)
                if search.best.score > SMOOTH_FALL * before:
                    adapt(search, max_steps, n_restarts)
            search.grow()
        return _finished(search, asked)


def _checked(
    problem: LinearProblem, basis: AbstractBasis | None, method: Any
) -> AbstractTrainer | None:

    if not isinstance(problem, LinearProblem):
        raise TypeError(
            f"solve(problem={problem!r}): expected a LinearProblem; pde.catalog.problem(name) has "
            "examples."
        )
    trainers = named_trainers(Objective)
    trainer = method if isinstance(method, AbstractTrainer) else None
    if isinstance(method, str) and method in trainers:
        trainer = trainers[method]()
    elif trainer is None and method not in ("auto", "frozen"):
        raise ValueError(
            f"solve(method={method!r}): expected 'auto', 'frozen', "
            f"{', '.join(map(repr, trainers))} or a trainer such as LSGD(1e-3)."
        )
    if basis is not None and basis.smoothness < problem.order - 1:
        raise ValueError(
            f"solve(problem, {basis!r}): the equation takes derivatives of order {problem.order}, "
            f"which these functions lack: theirs end at {basis.smoothness + 1:g}. Use a smoother "
            "activation, such as tanh."
        )
    if trainer is not None and (basis is None or not basis.trainable):
        raise ValueError(
            f"solve(problem, {basis!r}, method={method!r}): a trainer needs functions to move, "
            "such as NeuralBasis(32, 1)."
        )
    return trainer


def _finished(search: FrozenSearch, asked: Asked) -> Solution:
    problem, trials = search.problem, best_first(search.trials)
    best = trials[0]
    found = spectrum_of(best) if problem.linear else {}
    rank = found.get("rank", len(best.coefficients))
    examined = stability(problem, _moderate(trials), search.fresh)
    difference = refinement(best, trials[1:], search.fresh)
    certificate = certify(problem, best, difference, search.fresh, examined, rank)
    if examined.undetermined:
        found["status"] = Status.UNDERDETERMINED
    if search.late:
        found["stop_reason"] = StopReason.MAX_SECONDS
    return dataclasses.replace(
        solved_on(search, best),
        **found,
        record=Record(
            asked,
            best.rows.n_rows,
            tried=tuple(t.summary for t in trials),
            input_names=problem.domain.names,
            output_names=("u",),
        ),
        notes=(certificate.verdict,),
        certificate=certificate,
        trials=tuple(trials),
    )


def solved_on(search: FrozenSearch, trial: Trial) -> Solution:
    """Return a trial as a solution, without certificate."""
    problem = search.problem
    return Solution(
        **described(trial),
        input_map=unit_map(problem.domain),
        output_map=AffineMap(np.zeros(1), np.full(1, search.unit)),
        box=problem.domain.bounds,
        rank=len(trial.coefficients),
        singular_values=np.full(len(trial.coefficients), np.nan),
        status=Status.FULL_RANK,
        validation_kind="residual on fresh points",
        flat_output=True,
        problem=problem,
    )


def _moderate(trials: list[Trial]) -> Trial:
    """Return the best trial among those of the smallest frozen width."""
    frozen = [t for t in trials if isinstance(t.basis.inner, FrozenFeatures)] or trials
    width = min(len(t.coefficients) for t in frozen)
    return next(t for t in frozen if len(t.coefficients) == width)

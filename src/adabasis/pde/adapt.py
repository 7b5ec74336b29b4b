"""Moved functions, where the residual of frozen ones stays localised.

Two ways for equations of first order, whose solutions keep the kinks of their data:

* one ReLU layer, its planes moved by Gauss–Newton: exact where characteristics are straight;
* coordinates ξ along the characteristics, L ξ = 0 with ξ = x at the start: a smooth problem that
  frozen functions solve to many digits. Every function of ξ then solves the equation, and kinks on
  curves are kinks at points of ξ.

Elsewhere a tanh layer is moved.
"""

from __future__ import annotations

import dataclasses
import time
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from .. import lstsq
from .._runtime.compiled import quickly
from ..basis import AbstractBasis, FrozenFeatures, NeuralBasis, WarpedBasis
from ..geometry import coordinates, unit_box
from ..train import GD, LSGN, AbstractTrainer, Budget, Objective, train
from ..train.gauss_newton import FIRST_DAMPING
from .conditions import Initial, coordinate_name
from .newton import newton, train_in_rounds
from .problem import LinearProblem
from .search import FrozenSearch, Trial
from .system import OnDomain, misfit, on_domain, rows_for, values

TRAINING_WIDTH = 2000
"""Training sees the rows that so many frozen functions would: kinks need points near them."""
FRACTION_SOLVED = 1e-6
MOVED = 32
ALONG = (64, 256)
SLOPES = (2.0, 8.0, 32.0)


def adapt(search: FrozenSearch, max_steps: int | None, n_restarts: int) -> None:
    """Try moved functions; what they find joins the search's trials."""
    problem = search.problem
    if not problem.linear:
        return
    first_order = problem.operator.order == 1
    activation = "relu" if first_order else "tanh"
    layer = NeuralBasis(MOVED, 1, activation=activation)
    train_on(search, layer, None, max_steps, n_restarts)
    if first_order and search.best.score > FRACTION_SOLVED and not search.late:
        along_characteristics(search, max_steps, n_restarts)


def train_on(
    search: FrozenSearch,
    basis: AbstractBasis,
    trainer: AbstractTrainer | None,
    max_steps: int | None,
    n_restarts: int,
) -> None:
    """Train a basis from several draws until one solves the problem, then solve once more."""
    chosen = trainer or LSGN()
    held = on_domain(search.problem, basis)
    found = rows_for(search.problem, TRAINING_WIDTH, search.sampler)
    found = dataclasses.replace(found, unit=search.unit)
    for restart in range(n_restarts):
        began = time.perf_counter()
        key = jax.random.fold_in(search.key, restart)
        initial = basis.init(key, jnp.asarray(unit_box(search.n_inputs)))
        objective = Objective(found.weighted(1.0), 0.0, held)
        left = max(search.deadline - began, 1.0)
        budget = dataclasses.replace(Budget.of(chosen, max_steps), max_seconds=left)
        fit_key = jax.random.fold_in(key, 1)
        if search.problem.linear or isinstance(chosen, GD):
            run = train(chosen, objective, initial, key=fit_key, budget=budget)
        else:
            run = train_in_rounds(
                chosen, objective, initial, found=found, key=fit_key, budget=budget
            )
        if search.problem.linear:
            c = np.asarray(_resolved(objective, run.parameters))
        else:
            c = np.asarray(newton(held, run.parameters, found, 1.0, run.coefficients))
        measured = misfit(search.fresh, held, run.parameters, c)
        label = f"{basis!r}, moved by {type(chosen).__name__}, restart {restart}"
        trial = Trial(held, run.parameters, c, found, 1.0, measured, label, run, initial)
        trial.seconds = time.perf_counter() - began
        search.keep(trial)
        if search.good(FRACTION_SOLVED) or search.late:
            return


@quickly()
def _resolved(objective: Objective, parameters: Any) -> Any:
    reduction = lstsq.reduce(objective.design(parameters), objective.targets)
    return lstsq.solve(reduction).coefficients


def along_characteristics(search: FrozenSearch, max_steps: int | None, n_restarts: int) -> None:
    """Learn coordinates ξ with L ξ = 0, then solve on functions of them, frozen and moved."""
    warp = characteristics(search)
    if warp is None:
        return
    for width in ALONG:
        for slope in SLOPES:
            outer = FrozenFeatures(width, scale=slope)
            label = f"{width} frozen tanh along characteristics, slope {slope:g}"
            search.add(warp.with_inner(outer), 1.0, label)
    if not search.good(FRACTION_SOLVED):
        moved = warp.with_inner(NeuralBasis(MOVED, 1, activation="relu"))
        # Functions of ξ solve the equation wherever their kinks are: its residual does not jump.
        train_on(search, moved, LSGN(damping=FIRST_DAMPING), max_steps, n_restarts)


def characteristics(search: FrozenSearch) -> WarpedBasis | None:
    """Return a basis of functions of ξ, or ``None`` where the problem has no such coordinates.

    It has them where the operator has no term without derivatives and there is an initial value.
    """
    problem = search.problem
    start = next((c for c in problem.conditions if isinstance(c, Initial)), None)
    if start is None or not _kills_constants(problem):
        return None
    time_name = coordinate_name(start.at[0])
    space = [name for name in problem.domain.names if name != time_name]
    inner: Trial | None = None
    columns = []
    for name in space:
        (coordinate,) = coordinates(name)
        other = LinearProblem(
            problem.domain, problem.operator, 0.0, [Initial(coordinate, at=start.at)]
        )
        smooth = FrozenSearch(other, search.sampler, search.key, search.deadline)
        if inner is None:
            smooth.start()
            smooth.grow()
            inner = smooth.best
        else:
            inner_basis: Any = inner.basis.inner
            smooth.add(inner_basis, inner.weight, "the same")
        columns.append(np.asarray(smooth.best.coefficients[:, 0]) * smooth.unit)
    assert inner is not None
    return _warped(problem, inner, np.stack(columns, axis=1))


def _warped(problem: LinearProblem, inner: Trial, c: np.ndarray) -> WarpedBasis:
    held: Any = inner.basis.inner
    basis = OnDomain(held.replace(scale=1.0), inner.basis.map)
    x = np.concatenate([p.piece.x for p in inner.rows.parts])
    xi = np.stack([np.asarray(values(basis, inner.parameters, x, c[:, [i]]))
                   for i in range(c.shape[1])], axis=1)  # fmt: skip
    box = np.stack([xi.min(axis=0), xi.max(axis=0)], axis=1)
    outer = NeuralBasis(MOVED, 1, activation="relu")
    return WarpedBasis(outer, held.replace(scale=1.0), inner.parameters, c, box)


def _kills_constants(problem: LinearProblem) -> bool:
    x = jnp.asarray(problem._probe[0].x)
    image = jax.vmap(problem.operator(lambda y: jnp.ones(1, y.dtype)))(x)
    return bool(jnp.all(image == 0))

"""Equations that are not linear in u: Gauss–Newton, one linear problem after another.

At a function u_k the operator is N[u_k] + L_k[u − u_k], L_k its derivative there: the next iterate
solves L_k u = f − N[u_k] + L_k u_k, whose rows are reduced and solved as any others. On frozen
functions a step moves the coefficients; a trainer moves ξ as well, in rounds of some steps on the
rows of one linearisation.
"""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Sequence
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from .. import lstsq, rows
from .._runtime.compiled import quickly
from .._runtime.notation import AnyArray, Parameters, PointX
from ..basis import AbstractBasis
from ..operators import Linearised
from ..train import AbstractTrainer, Budget, History, Objective, Run, StopReason, train
from .system import Rows, ridged

MOST_STEPS = 30
HALVINGS = 6
CONVERGED = 1e-2
"""Relative fall of the loss below which a step was the last one."""
ROUNDS = 12
"""Linearisations that a trainer's usual number of steps is shared among; after a round that did not
lower the loss, rounds are half as long."""


class Expansion(eqx.Module):
    """The function Φ(x; ξ) c, a number, its arrays traced."""

    basis: AbstractBasis
    parameters: Parameters
    coefficients: Array

    def __call__(self, x: PointX) -> Array:
        """Evaluate at one point."""
        return (self.basis(x, self.parameters) @ self.coefficients)[0]


def linearised(
    terms: Sequence[rows.Term], basis: AbstractBasis, parameters: Parameters, c: Array
) -> list[rows.Term]:
    """Return terms whose operators are linear, those of the equation at u = Φ c."""
    u = Expansion(basis, parameters, c)

    def at_u(term: rows.Term) -> rows.Term:
        if term.operator.linear:
            return term
        derivative, x = Linearised(term.operator, u), jnp.asarray(term.points.x)
        values, images = jax.vmap(term.operator(u))(x), jax.vmap(derivative(u))(x)
        data = jnp.asarray(term.data) + (images - values)[:, None]
        return dataclasses.replace(term, operator=derivative, data=data)

    return [at_u(term) for term in terms]


@quickly()
def _terms(
    terms: Sequence[rows.Term], basis: AbstractBasis, parameters: Parameters, c: Array
) -> list[rows.Term]:
    return linearised(terms, basis, parameters, c)


@quickly()
def loss_of(
    terms: Sequence[rows.Term], basis: AbstractBasis, parameters: Parameters, c: Array
) -> Array:
    """Return Σ of the terms' mean squares at u = Φ c, nothing linearised."""
    predicted = rows.predictions(terms, basis, parameters, c)(parameters)
    return jnp.sum((predicted - rows.targets(terms)) ** 2)


@quickly()
def reduced_at(
    terms: Sequence[rows.Term], basis: AbstractBasis, parameters: Parameters, c: Array
) -> lstsq.Reduction:
    """Return the reduced rows at u = Φ c."""
    block = rows.assemble(linearised(terms, basis, parameters, c), basis, parameters)
    return lstsq.reduce(block.matrix, block.rhs)


_solved = quickly()(ridged)


def newton(
    basis: AbstractBasis,
    parameters: Parameters,
    found: Rows,
    weight: float,
    start: AnyArray | None = None,
) -> Array:
    """Return coefficients (P, 1) that minimise the loss, from u = 0 or a start by damped steps."""
    terms = found.weighted(weight)
    n = jax.eval_shape(lambda: terms[-1].design(basis, parameters)).shape[1]
    c = jnp.zeros((n, 1)) if start is None else jnp.asarray(start)
    loss = float(loss_of(terms, basis, parameters, c))
    for _ in range(MOST_STEPS):
        move, before = _solved(reduced_at(terms, basis, parameters, c)) - c, loss
        for halving in range(HALVINGS):
            trial = c + 0.5**halving * move
            loss = float(loss_of(terms, basis, parameters, trial))
            if loss < before:
                break
        else:
            return c
        c = trial
        if loss > (1 - CONVERGED) * before:
            break
    return c


def train_in_rounds(
    trainer: AbstractTrainer,
    objective: Objective,
    initial: Parameters,
    *,
    found: Rows,
    key: Any,
    budget: Budget,
) -> Run:
    """Train ξ on the rows of one linearisation after another.

    The coefficients start from Newton's on the initial functions. A round is kept if the loss of
    the equation itself fell; the losses of the history are those of its linearisations.
    """
    basis, terms = objective.basis, found.weighted(1.0)
    c, steps, done = newton(basis, initial, found, 1.0), trainer.pace.steps // ROUNDS, 0
    parameters, loss = initial, float(loss_of(terms, basis, initial, c))
    deadline, runs, reason = time.perf_counter() + budget.max_seconds, [], None
    while reason is None:
        at_u = dataclasses.replace(objective, terms=_terms(terms, basis, parameters, c))
        steps = min(steps, budget.max_steps - done)
        left = max(deadline - time.perf_counter(), 0.0)
        one = dataclasses.replace(budget, max_steps=steps, max_seconds=left)
        run = train(trainer, at_u, parameters, key=key, budget=one)
        runs.append(run)
        solved = newton(basis, run.parameters, found, 1.0, run.coefficients)
        before, after = loss, float(loss_of(terms, basis, run.parameters, solved))
        done += steps
        if after < before:
            parameters, c, loss = run.parameters, solved, after
        else:
            steps //= 2
        reason = _ended(run, done, steps, budget)
        if reason is None and 0 <= before - after < CONVERGED * before:
            reason = StopReason.CONVERGED
    return dataclasses.replace(
        run,
        parameters=parameters,
        coefficients=c,
        loss=loss,
        history=joined([run.history for run in runs]),
        stop_reason=reason,
    )


def _ended(run: Run, done: int, steps: int, budget: Budget) -> StopReason | None:
    """Return why there is no further round, if there is none."""
    if run.stop_reason in (StopReason.MAX_SECONDS, StopReason.INTERRUPTED):
        return run.stop_reason
    if done >= budget.max_steps:
        return StopReason.MAX_STEPS
    return None if steps else StopReason.CONVERGED


def joined(histories: Sequence[History]) -> History:
    """Return histories one after another, each without its first entry but the first one's."""
    arrays = {}
    for name in ("loss", "rank", "learning_rate", "seconds"):
        parts = [getattr(history, name)[min(i, 1) :] for i, history in enumerate(histories)]
        arrays[name] = np.concatenate(parts)
    starts = np.cumsum([0.0, *[history.seconds[-1] for history in histories[:-1]]])
    shifts = [np.full(len(h) - min(i, 1), starts[i]) for i, h in enumerate(histories)]
    arrays["seconds"] = arrays["seconds"] + np.concatenate(shifts)
    return History(**arrays, validation_step=np.zeros(0, int), validation=np.zeros(0))

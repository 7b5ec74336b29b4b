"""Equations that are not linear in u: Gauss–Newton, one linear problem after another.

At a function u_k the operator is N[u_k] + L_k[u − u_k], L_k its derivative there: the next iterate
solves L_k u = f − N[u_k] + L_k u_k, whose rows are reduced and solved as any others. On frozen
functions a step moves the coefficients; a trainer moves ξ as well, in rounds of some steps on the
rows of one linearisation.
"""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Iterable, Sequence
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from .. import lstsq, rows
from .._runtime.compute import quickly
from .._runtime.notation import AnyArray, Parameters, PointX
from ..basis import AbstractBasis
from ..operators import Linearised
from ..train import (
    AbstractTrainer,
    Budget,
    Callback,
    History,
    Objective,
    Run,
    StopReason,
    train,
)
from .system import ridged, several

MOST_STEPS, HALVINGS = 30, 6
#: Relative fall of the loss below which a step was the last one.
CONVERGED = 1e-2
#: Linearisations that a trainer's usual number of steps is shared among; after a round that did
#: not lower the loss, rounds are half as long.
ROUNDS = 12


class Expansion(eqx.Module):
    """The function Φ(x; ξ) c, a number, or a vector of B unknowns; its arrays are traced."""

    basis: AbstractBasis
    parameters: Parameters
    coefficients: Array
    blocks: int = eqx.field(static=True, default=1)

    def __call__(self, x: PointX) -> Array:
        """Evaluate at one point."""
        phi = self.basis(x, self.parameters)
        if self.blocks == 1:
            return (phi @ self.coefficients)[0]
        return self.coefficients.reshape(self.blocks, -1) @ phi


def linearised(
    terms: Sequence[Any], basis: AbstractBasis, parameters: Parameters, c: Array
) -> list[rows.Term]:
    """Return terms whose operators are linear, those of the equation at u = Φ c."""
    blocks = max(operator.n_unknowns for term in terms for operator in term.used)
    u = Expansion(basis, parameters, c, blocks)

    def at_u(term: rows.Term) -> rows.Term:
        if term.linear:
            return term
        derivative = Linearised(term.operator, u)
        values, images = (
            rows.images_of(one, u, term.points) for one in (term.operator, derivative)
        )
        data = jnp.asarray(term.data) + (images - values)[:, None]
        return dataclasses.replace(term, operator=derivative, data=data)

    return [at_u(term) for term in terms]


@quickly()
def reduced_at(
    terms: Sequence[Any], basis: AbstractBasis, parameters: Parameters, c: Array
) -> lstsq.Reduction:
    """Return the reduced rows at u = Φ c."""
    block = rows.assemble(linearised(terms, basis, parameters, c), basis, parameters)
    return lstsq.reduce(block.matrix, block.rhs)


@quickly()
def _loss(objective: Objective, parameters: Parameters, c: Array) -> Array:
    """Return the loss at u = Φ c, nothing linearised."""
    return objective.value(objective.predictions(parameters, c)(parameters), c)


_linearised, _ridged = quickly()(linearised), quickly()(ridged)


def newton(objective: Objective, parameters: Parameters, start: AnyArray | None = None) -> Array:
    """Return coefficients (P, 1) that minimise the loss, from u = 0 or a start by damped steps."""
    terms, basis = objective.terms, objective.basis
    n = jax.eval_shape(lambda: terms[-1].design(basis, parameters)).shape[1]
    c = jnp.zeros((n, 1)) if start is None else jnp.asarray(start)
    loss, many = float(_loss(objective, parameters, c)), several(terms)
    for _ in range(MOST_STEPS):
        reduction = reduced_at(terms, basis, parameters, c)
        solution = _ridged(reduction, objective.ridge, many=many)
        move, before = solution - c, loss
        for halving in range(HALVINGS):
            trial = c + 0.5**halving * move
            loss = float(_loss(objective, parameters, trial))
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
    key: Any,
    budget: Budget,
    validation: None = None,
    callbacks: Iterable[Callback] = (),
) -> Run:
    """Train ξ on the rows of one linearisation after another.

    The coefficients start from Newton's on the initial functions. A round is kept if the loss of
    the equation itself fell; the losses of the history are those of its linearisations.
    """
    steps, done = trainer.pace.max_steps // ROUNDS, 0
    parameters, c = initial, newton(objective, initial)
    loss = float(_loss(objective, initial, c))
    deadline, runs, reason = time.perf_counter() + budget.max_seconds, [], None
    while reason is None:
        terms = _linearised(objective.terms, objective.basis, parameters, c)
        at_u = dataclasses.replace(objective, terms=terms)
        steps = min(steps, budget.max_steps - done)
        left = max(deadline - time.perf_counter(), 0.0)
        one = dataclasses.replace(budget, max_steps=steps, max_seconds=left)
        run = train(trainer, at_u, parameters, key=key, budget=one, callbacks=callbacks)
        runs.append(run)
        improved = newton(objective, run.parameters, run.coefficients)
        before, after = loss, float(_loss(objective, run.parameters, improved))
        done += steps
        if after < before:
            parameters, c, loss = run.parameters, improved, after
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
        history=_joined([run.history for run in runs]),
        stop_reason=reason,
    )


def _ended(run: Run, done: int, steps: int, budget: Budget) -> StopReason | None:
    """Return why there is no further round, if there is none."""
    if run.stop_reason in (StopReason.MAX_SECONDS, StopReason.INTERRUPTED, StopReason.CALLBACK):
        return run.stop_reason
    if done >= budget.max_steps:
        return StopReason.MAX_STEPS
    return None if steps else StopReason.CONVERGED


def _joined(histories: Sequence[History]) -> History:
    """Return histories one after another, each without its first entry but the first one's."""
    joined, start = [], 0.0
    for i, h in enumerate(histories):
        joined.append(
            np.stack([h.loss, h.rank, h.learning_rate, h.seconds + start])[:, min(i, 1) :]
        )
        start += h.seconds[-1]
    loss, rank, rate, seconds = np.concatenate(joined, axis=1)
    return History(loss, rank, rate, seconds, np.zeros(0, int), np.zeros(0))

r"""Gauss–Newton steps over all rows of a source, which come in parts, wherever these are read.

The steps are those of :mod:`.gauss_newton`. What they ask of the rows are three passes, each a
function of a chunk and a monoid:

1. rows [A | b] at the trial to their triangle, which tells coefficients and loss;
2. where the trial is accepted, rows [A V/√(S²+λ) | J | ρ] to theirs;
3. for the acceleration, the sums :math:`\hat A^T \rho''` and :math:`J^T \rho''` along the step.

Parts go to the engine of the block (:func:`adabasis.rows.engine.using`); a chunk is split among the
devices of the process that reads it, whose triangles are reduced together there.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.flatten_util import ravel_pytree
from jax.scipy.linalg import solve_triangular

from .. import lstsq, rows
from .._runtime.compute import quickly
from .._runtime.notation import Parameters, RandomKey
from ..rows.engine import current
from .base import AbstractObjective, AbstractTrainer, Evaluation, Projection
from .blocks import Block, held_out_error
from .gauss_newton import (
    LSGN,
    NO_PROGRESS,
    GaussNewtonState,
    _accept,
    _LinearStep,
    _propose,
    _systems,
)
from .passes import Pass, combined, data_rows, on_devices, rows_at_once, stacked, summed, weighted


def _model_rows(shared: Any, term: rows.Term) -> Array:
    basis, parameters, _, c, inverse_root, single = shared
    terms, root, a, b = weighted(shared, term)
    jacobian = root[:, None, None] * rows.jacobian(terms, basis, parameters, c)
    every = [a @ inverse_root, jacobian.reshape(len(root), -1), a @ c - b]
    model = jnp.concatenate(every, axis=1)
    return lstsq.triangularize(model.astype(jnp.float32) if single else model)


def _acceleration(shared: Any, term: rows.Term) -> Array:
    basis, parameters, _, c, inverse_root, s, change = shared
    terms, root, a, _ = weighted(shared, term)
    flat, unravel = ravel_pytree(parameters)

    def values(flat: Array, c: Array) -> Array:
        return root[:, None] * (rows.design(terms, basis, unravel(flat)) @ c)

    def slope(flat: Array, c: Array) -> Array:
        return jax.jvp(values, (flat, c), (s, change))[1]

    second = jax.jvp(slope, (flat, c), (s, change))[1]
    _, back = jax.vjp(lambda flat: values(flat, c), flat)
    inside = (a @ inverse_root).T @ second
    return jnp.concatenate([inside.reshape(-1), back(second)[0]])


@quickly()
def model_rows(shared: Any, term: rows.Term) -> Array:
    """Reduce the rows [A V/√(S²+λ) | J | ρ] of a chunk; shared: …, c, V/√(S²+λ), precision."""
    return on_devices(_model_rows, stacked)(shared, term)


@quickly()
def acceleration(shared: Any, term: rows.Term) -> Array:
    """Return sums over a chunk along (s, change); shared: …, c, V/√(S²+λ), s, change."""
    return on_devices(_acceleration, lambda sums: jnp.sum(sums, axis=0))(shared, term)


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class _Ridge:
    # All that a projection asks of an objective.
    ridge: Any


def _projection(factor: Array, ridge: Any, mu: Array, p: int) -> Projection:
    # Return the projection of rows by their triangle, which stands for them.
    factors = lstsq.factorize(factor[:p, :p], 0.0, unit=False)
    found = Projection(factor[:, :p], factor[:, p:], factors, factor[:p, p:], mu)
    objective: Any = _Ridge(ridge)
    return found.ridged(objective, mu)


@quickly()
def _evaluated(factor: Array, ridge: Any, mu: Array, p: int) -> tuple[Array, Array, Array]:
    found = _projection(factor, ridge, mu, p)
    return found.loss, found.c, found.rank


@quickly()
def _arrived(
    state: GaussNewtonState, loss: Array, factor: Array, ridge: Any, p: int
) -> tuple[GaussNewtonState, Array, Array, Array]:
    # Accept a trial; return also c, V/√(S²+λ) and the ridge's rows at its new ridge.
    state = _accept(state, loss)
    here = _projection(factor, ridge, state.ridge, p)
    state = dataclasses.replace(state, loss=jnp.minimum(state.loss, here.loss))
    v, root = here.inverse_root, jnp.sqrt(here.ridge)
    n = state.good.shape[0] * here.c.shape[1]
    extra = jnp.concatenate([root * v, jnp.zeros((p, n)), root * here.c], axis=1)
    return state, here.c, v, extra


@quickly()
def _linearized(
    trainer: LSGN, state: GaussNewtonState, triangle: Array, p: int, outputs: int
) -> tuple[GaussNewtonState, _LinearStep]:
    system = _systems(triangle.astype(state.good.dtype), p, outputs)
    scale = jnp.maximum(state.scale, jnp.linalg.norm(system[:, :-1], axis=0))
    state = dataclasses.replace(state, system=system, scale=scale)
    return state, _LinearStep.of(state, trainer._rough)


@quickly()
def _along(
    triangle: Array, v: Array, linear: _LinearStep, p: int, outputs: int
) -> tuple[Array, Array]:
    # Return the direction s, one long, and c′ along it.
    s = linear.step / linear.length
    leading, inside = triangle[:p, :p], triangle[:p, p : p + outputs * s.shape[0]]
    along = inside.reshape(p, outputs, -1) @ s
    return s, -v @ solve_triangular(leading, along)


@quickly()
def _bent(
    state: GaussNewtonState, triangle: Array, sums: Array, p: int, outputs: int
) -> GaussNewtonState:
    n = state.good.shape[0]
    within, whole = sums[: p * outputs].reshape(p, outputs), sums[p * outputs :]
    leading, inside = triangle[:p, :p], triangle[:p, p : p + outputs * n]
    solved = solve_triangular(leading, within, trans=1)
    bend = (whole - jnp.einsum("pqk,pq->k", inside.reshape(p, outputs, n), solved)) / outputs
    return dataclasses.replace(state, bend=jnp.where(jnp.isfinite(bend), bend, 0.0))


@quickly()
def _proposed(state: GaussNewtonState, linear: _LinearStep) -> GaussNewtonState:
    return _propose(state, ravel_pytree(state.trial)[1], linear)


@quickly()
def _rejected(trainer: LSGN, state: GaussNewtonState) -> GaussNewtonState:
    damping, growth = state.damping * state.growth, 2 * state.growth
    state = dataclasses.replace(state, damping=damping, growth=growth)
    linear = _LinearStep.of(state, trainer._rough)
    return _propose(state, ravel_pytree(state.trial)[1], linear)


class OverParts:
    """LSGN on all rows of a source: what :class:`.blocks.Compiled` is for those of an objective.

    Parameters
    ----------
    trainer : LSGN
    objective : Objective
        Of rows of data, of which a few do: the source has all.
    source : rows.AbstractSource

    Raises
    ------
    TypeError
        For another trainer, or an objective about other terms.
    ValueError
        For the full Jacobian or steps without a matrix, which are for rows in memory.
    """

    def __init__(
        self, trainer: AbstractTrainer, objective: AbstractObjective, source: rows.AbstractSource
    ) -> None:
        if not isinstance(trainer, LSGN) or objective.data is None:
            raise TypeError(
                f"train({trainer!r}, source=…): steps over all rows of a source are those of LSGN "
                "and LM, on values alone, and those on mini-batches: LSGD(batch_size=512)."
            )
        if trainer.jacobian != "kaufman" or trainer.solver == "iterative":
            raise ValueError(
                f"train({trainer!r}, source=…): rows of a source are reduced by QR, with "
                "jacobian='kaufman'. Many weights are for LSGD(batch_size=512)."
            )
        self.trainer = dataclasses.replace(trainer, solver="qr")
        self.objective: Any = objective
        self.basis = objective.basis
        self.total = np.asarray(source.statistics().total_weight)
        self.p = self.basis.size(source.n_inputs)
        self.outputs = objective.n_outputs
        self.ridge = np.asarray(objective.ridge, float)
        self.source = source
        self.parts: list[Any] | None = None
        self.square = 0.0

    def begun(self, parameters: Parameters, key: RandomKey) -> tuple[Any, Evaluation]:
        """Return the first state, and an evaluation of infinite loss."""
        state = self.trainer.init(self.objective, parameters, key)
        c = np.zeros((self.p, self.outputs))
        none = Evaluation(np.inf, parameters, c, 0, 0.0, False)  # type: ignore[arg-type]
        return state, none

    def numbers_at_once(self, parameters: Parameters) -> float:
        """Return that blocks are to be cut by the clock from the first step on."""
        return np.inf

    def run(self, state: Any, best: Evaluation, steps: int, tol: float) -> Block:
        """Take so many steps, or fewer where the run ends."""
        records, now, reached = [], best, False
        for _ in range(steps):
            state, now = self._step(state)
            best = now if now.loss < best.loss else best
            records.append((now.loss, now.rank, now.rate))
            reached = bool(best.loss <= tol**2 * self.square)
            if now.stuck or reached:
                break
        record = np.array(records, dtype=float).T
        loss, least = float(now.loss), float(best.loss)
        return Block(len(records), loss, least, bool(now.stuck), reached, record, state, best, now)

    def held_out(self, objective: AbstractObjective, now: Evaluation) -> float:
        """Return the error on rows held out."""
        return float(held_out_error(objective, now.parameters, now.coefficients))

    def _over_rows(
        self,
        of_chunk: Callable[[Any, rows.Term], Array],
        combine: Callable[..., np.ndarray],
        columns: int,
        parameters: Parameters,
        *more: Any,
        init: np.ndarray | None = None,
    ) -> Any:
        engine = current()
        if self.parts is None:
            self.parts = engine.place(self.source.parts())
        shared = (self.basis, jax.tree.map(np.asarray, parameters), self.total, *more)
        task = Pass(of_chunk, combine, shared, rows_at_once(columns))
        label = of_chunk.__name__.replace("_", "-")
        return engine.map_reduce(task, self.parts, combine, init=init, label=label)

    def _step(self, state: GaussNewtonState) -> tuple[GaussNewtonState, Evaluation]:
        p, outputs, trial = self.p, self.outputs, state.trial
        factor = self._over_rows(data_rows, combined, p + outputs, trial)
        self.square = float(np.sum(factor[:, p:] ** 2)) / outputs
        loss, c, rank = _evaluated(factor, self.ridge, state.ridge, p)
        if loss < state.loss:
            state = self._linearize(*_arrived(state, loss, factor, self.ridge, p))
        else:
            state = _rejected(self.trainer, state)
        stuck = not state.predicted > NO_PROGRESS * state.loss
        return state, Evaluation(loss, trial, c, rank, state.damping, stuck)  # type: ignore[arg-type]

    def _linearize(
        self, state: GaussNewtonState, c: Array, v: Array, extra: Array
    ) -> GaussNewtonState:
        p, outputs, good = self.p, self.outputs, state.trial
        single = self.trainer.precision == "single"
        ridge = combined(np.asarray(extra, np.float32 if single else float))
        given = np.asarray(c), np.asarray(v)
        columns = ridge.shape[1]
        triangle = self._over_rows(
            model_rows, combined, columns, good, *given, single, init=ridge
        ).astype(float)
        state, linear = _linearized(self.trainer, state, triangle, p, outputs)
        if self.objective.smoothness >= 1:
            s, change = _along(triangle, v, linear, p, outputs)
            more = np.asarray(s), np.asarray(change)
            sums = self._over_rows(acceleration, summed, columns, good, *given, *more)
            state = _bent(state, triangle, sums, p, outputs)
        return _proposed(state, linear)

"""Blocks of training steps, compiled: the inside of the loop.

A trainer and an objective are taken apart into arrays and the rest once a run, not at every call:
a short run takes milliseconds, and so would that.
"""

from __future__ import annotations

import dataclasses
import functools
import numbers
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from .._runtime.compiled import quickly
from .._runtime.notation import AnyArray, Parameters, RandomKey
from .cross_entropy import CrossEntropy
from .steps import AbstractTrainer, Evaluation, Objective, choose

AnyObjective = Objective | CrossEntropy
BLOCK = 100
"""Most steps in one compiled block, the length of its history buffers."""


class Static:
    """What compiled code depends on and is no array; its hash is taken once."""

    def __init__(self, leaves: tuple[Any, ...], structure: Any) -> None:
        self.leaves, self.structure = leaves, structure
        self._hash = hash((leaves, structure))

    def __hash__(self) -> int:
        return self._hash

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Static) and (
            self is other or (self.leaves, self.structure) == (other.leaves, other.structure)
        )


@dataclasses.dataclass(frozen=True)
class Work:
    """A trainer and an objective, taken apart once a run: every call of a block would otherwise."""

    arrays: list[Array]
    static: Static

    @classmethod
    def of(cls, trainer: AbstractTrainer, objective: AnyObjective) -> Work:
        """Take the arrays out, and keep all the rest beside them."""
        objective = _of_any_ridge(objective)
        leaves, structure = jax.tree.flatten((trainer, objective))
        arrays = _on_device([leaf for leaf in leaves if eqx.is_array(leaf)])
        rest = tuple(_ARRAY if eqx.is_array(leaf) else leaf for leaf in leaves)
        return cls(arrays, Static(rest, structure))


def _of_any_ridge(objective: AnyObjective) -> AnyObjective:
    """Return the objective with its ridge an array: code for one number serves every other.

    No ridge at all stays what it is, since that takes less work.
    """
    if not (isinstance(objective.ridge, numbers.Real) and objective.ridge):
        return objective
    dtype = jax.eval_shape(lambda: objective.targets).dtype
    ridge: Any = np.asarray(objective.ridge, dtype)
    return dataclasses.replace(objective, ridge=ridge)


@jax.jit
def _on_device(arrays: list[AnyArray]) -> list[Array]:
    """Return arrays as JAX's own, in a fifth of the time that ``device_put`` takes."""
    return [jnp.asarray(array) for array in arrays]


_ARRAY = object()
"""Stands for an array among the leaves that are none."""


def _together(arrays: list[Array], static: Static) -> tuple[AbstractTrainer, AnyObjective]:
    rest = iter(arrays)
    leaves = [next(rest) if leaf is _ARRAY else leaf for leaf in static.leaves]
    trainer, objective = jax.tree.unflatten(static.structure, leaves)
    return trainer, objective


def _advance(
    arrays: list[Array],
    static: Static,
    state: Any,
    best: Evaluation,
    steps: AnyArray,
    tol: AnyArray,
) -> tuple[Array, Array, Any, Evaluation, Evaluation]:
    """Run ``steps`` ≤ BLOCK steps unless stuck or at the goal, keeping that of least loss.

    Returns what the loop asks about (steps done, last and least loss, stuck, at the goal) as one
    array, the record, state, best and last evaluation.
    """
    trainer, objective = _together(arrays, static)
    dtype, goal = best.loss.dtype, objective.goal(tol)

    def body(carry: Any) -> Any:
        i, state, best, _, records = carry
        state, now = trainer.step(objective, state)
        best = choose(now.loss < best.loss, now, best)
        entries = jnp.stack([now.loss, now.rank.astype(dtype), now.rate.astype(dtype)])
        return i + 1, state, best, now, records.at[:, i].set(entries)

    unstuck = dataclasses.replace(best, stuck=jnp.asarray(False))
    carry = (jnp.zeros_like(steps), state, best, unstuck, jnp.zeros((3, BLOCK), dtype))
    done, state, best, now, records = jax.lax.while_loop(
        lambda c: (c[0] < steps) & ~c[3].stuck & (c[2].loss > goal), body, carry
    )
    asked = (done, now.loss, best.loss, now.stuck, best.loss <= goal)
    return jnp.stack([a.astype(dtype) for a in asked]), records, state, best, now


_jit = functools.partial(jax.jit, static_argnums=1)
advance = _jit(_advance)
advance_few = quickly(_jit)(_advance)
"""The same for trainers that take few steps."""


@quickly(_jit, once=True)
def begin(
    arrays: list[Array], static: Static, parameters: Parameters, key: RandomKey
) -> tuple[Any, Evaluation]:
    """Return the first state, and an evaluation of infinite loss, the shape of a real one."""
    trainer, objective = _together(arrays, static)
    state = trainer.init(objective, parameters, key)
    shape = jax.eval_shape(lambda: trainer.step(objective, state))[1]
    zeros = jax.tree.map(lambda leaf: jnp.zeros(leaf.shape, leaf.dtype), shape)
    return state, dataclasses.replace(zeros, loss=jnp.full_like(zeros.loss, jnp.inf))


@quickly(once=True)
def held_out_error(objective: AnyObjective, parameters: Parameters, c: AnyArray) -> Array:
    """Return the error of given coefficients: root mean square, of classes cross-entropy."""
    return objective.error(parameters, c)

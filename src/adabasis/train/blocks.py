"""How steps of a trainer are run: as compiled blocks, or one by one in Python.

Compiled blocks have a length that depends on the clock but an arithmetic that does not: the same
run cut into other blocks gives the same bits. A trainer and an objective are taken apart into
arrays and the rest once a run, not at every call of a block: a short run takes milliseconds, and so
would that. Trainers whose steps are calls of LAPACK need no compilation, which takes as long as all
of their steps on few rows: they run in Python.
"""

from __future__ import annotations

import dataclasses
import functools
import numbers
from collections.abc import Callable
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from .._runtime.compute import quickly
from .._runtime.notation import AnyArray, Parameters, RandomKey
from .base import AbstractObjective, AbstractTrainer, Evaluation, choose

#: Most steps in one compiled block, the length of its history buffers.
BLOCK = 100
#: Steps of a trainer's usual run up to which they are compiled quickly.
FEW_STEPS = 300
#: Stands for an array among the leaves that are none.
_ARRAY = object()


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
    def of(cls, trainer: AbstractTrainer, objective: AbstractObjective) -> Work:
        """Take the arrays out, and keep all the rest beside them.

        A ridge becomes an array, for code for one number to serve every other; no ridge at all
        stays what it is, since that takes less work.
        """
        if isinstance(objective.ridge, numbers.Real) and objective.ridge:
            dtype = jax.eval_shape(lambda: objective.targets).dtype
            ridge = np.asarray(objective.ridge, dtype)
            objective = dataclasses.replace(objective, ridge=ridge)
        leaves, structure = jax.tree.flatten((trainer, objective))
        arrays = _on_device([leaf for leaf in leaves if eqx.is_array(leaf)])
        rest = tuple(_ARRAY if eqx.is_array(leaf) else leaf for leaf in leaves)
        return cls(arrays, Static(rest, structure))


@jax.jit
def _on_device(arrays: list[AnyArray]) -> list[Array]:
    # Return arrays as JAX's own, in a fifth of the time that ``device_put`` takes.
    return [jnp.asarray(array) for array in arrays]


def _together(arrays: list[Array], static: Static) -> tuple[AbstractTrainer, AbstractObjective]:
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
    # Run ``steps`` ≤ BLOCK steps unless stuck or at the goal, keeping that of least loss.
    #
    # Returns what the loop asks about (steps done, last and least loss, stuck, at the goal) as one
    # array, the record, state, best and last evaluation.
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
#: The same for trainers that take few steps.
advance_few = quickly(_jit)(_advance)


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
def held_out_error(objective: AbstractObjective, parameters: Parameters, c: AnyArray) -> Array:
    """Return the error of given coefficients: root mean square, of classes cross-entropy."""
    return objective.error(parameters, c)


class Block(NamedTuple):
    """What came of some steps.

    Attributes
    ----------
    steps : int
    loss, least : float
        The last loss, and the least of the run.
    stuck, reached : bool
        Whether no step lowers the loss, and whether it is at the goal.
    records : array, shape (3, steps)
        Loss, rank and rate of each.
    state : pytree
    best, now : Evaluation
        Of least loss, and the last.
    """

    steps: int
    loss: float
    least: float
    stuck: bool
    reached: bool
    records: np.ndarray
    state: Any
    best: Evaluation
    now: Evaluation


class Compiled:
    """A trainer and an objective whose steps are compiled, up to :data:`BLOCK` in one program."""

    def __init__(self, trainer: AbstractTrainer, objective: AbstractObjective) -> None:
        self.work = Work.of(trainer, objective)
        self.advance = advance_few if trainer.pace.max_steps <= FEW_STEPS else advance

    def begun(self, parameters: Parameters, key: RandomKey) -> tuple[Any, Evaluation]:
        """Return the first state, and an evaluation of infinite loss."""
        return begin(self.work.arrays, self.work.static, parameters, key)

    def numbers_at_once(self, parameters: Parameters) -> int:
        """Return how many numbers a step works on, by which the first block is cut."""
        n = sum(leaf.size for leaf in jax.tree.leaves(parameters))
        rows = max((leaf.shape[0] for leaf in self.work.arrays if leaf.ndim), default=1)
        return max(max(n, 1) * rows, sum(a.size for a in self.work.arrays))

    def run(self, state: Any, best: Evaluation, steps: int, tol: float) -> Block:
        """Take so many steps, or fewer where the run ends."""
        asked, records, state, best, now = self.advance(
            self.work.arrays,
            self.work.static,
            state,
            best,
            np.asarray(steps),
            np.asarray(tol, best.loss.dtype),
        )
        done, loss, least, stuck, reached = np.asarray(asked).tolist()
        records = np.asarray(records)[:, : int(done)]
        return Block(int(done), loss, least, bool(stuck), bool(reached), records, state, best, now)

    def held_out(self, objective: AbstractObjective, now: Evaluation) -> float:
        """Return the error on rows held out."""
        return float(held_out_error(objective, now.parameters, now.coefficients))


class InPython:
    """A trainer of plain rows in calls of LAPACK, :attr:`AbstractTrainer.interpreted`.

    Parameters
    ----------
    trainer : AbstractTrainer
    objective : AbstractObjective
    source : rows.AbstractSource, optional
        All rows, where those of the objective are some of them alone.
    """

    def __init__(
        self, trainer: AbstractTrainer, objective: AbstractObjective, source: Any = None
    ) -> None:
        self.trainer, self.objective, self.source = trainer, objective, source
        # Bound methods of modules of Equinox take as long as a step of a small network.
        self.step = functools.partial(type(trainer).step, trainer)
        self.judge: tuple[AbstractObjective, Callable[[Evaluation], float]] | None = None

    def begun(self, parameters: Parameters, key: RandomKey) -> tuple[Any, Evaluation]:
        """Return the first state, and an evaluation of infinite loss."""
        more = () if self.source is None else (self.source,)
        state = self.trainer.init(self.objective, parameters, key, *more)
        term = self.objective.data  # the targets of the objective are JAX's, and compiled
        assert term is not None
        n_functions = self.objective.basis.size(np.shape(term.points.x)[1])
        nothing = np.zeros((n_functions, np.shape(term.data)[1]))
        none = Evaluation(np.inf, parameters, nothing, 0, 0.0, False)  # type: ignore[arg-type]
        return state, none

    def numbers_at_once(self, parameters: Parameters) -> float:
        """Return that blocks are to be cut by the clock from the first step on."""
        return np.inf

    def run(self, state: Any, best: Evaluation, steps: int, tol: float) -> Block:
        """Take so many steps, or fewer where the run ends."""
        goal = self.trainer.goal(self.objective, tol) if tol else 0.0
        records, now, reached, objective = [], best, False, self.objective
        for _ in range(steps):
            state, now = self.step(objective, state)
            best = now if now.loss < best.loss else best
            records.append((now.loss, now.rank, now.rate))
            reached = bool(best.loss <= goal)
            if now.stuck or reached:
                break
        record = np.array(records, dtype=float).T
        done, stuck = len(records), bool(now.stuck)
        loss, least = float(now.loss), float(best.loss)
        return Block(done, loss, least, stuck, reached, record, state, best, now)

    def held_out(self, objective: AbstractObjective, now: Evaluation) -> float:
        """Return the error on rows held out."""
        if self.judge is None or self.judge[0] is not objective:
            self.judge = objective, self.trainer.judge(objective)
        return self.judge[1](now)

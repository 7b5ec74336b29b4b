r"""Newton for the last layer, descent for ξ: the alternation for classification.

With c(ξ) the optimum of the last layer, F(ξ) = min_c L(ξ, c) has the gradient ∂L/∂ξ at c(ξ): that
of a network's backward pass, the last layer held still [1]_. Without a rate of its own the step on
ξ is a quasi-Newton one: the direction of L-BFGS [2]_, halved until F falls as Armijo's rule
demands. Every trial is a step of the training loop, so that equal numbers of steps are equal
numbers of gradients.

References
----------
.. [1] Patel, Trask, Gulian, Cyr, "A block coordinate descent optimizer for classification problems
   exploiting convexity", arXiv:2006.10123.
.. [2] Liu, Nocedal, "On the limited memory BFGS method for large scale optimization", Math.
   Programming 45 (1989).
"""

from __future__ import annotations

import dataclasses
from typing import Any, ClassVar

import equinox as eqx
import jax
import jax.numpy as jnp
from jax import Array
from jax.flatten_util import ravel_pytree

from .. import rows
from .._runtime.notation import Parameters, RandomKey
from ..geometry.points import Points
from .base import (
    AbstractTrainer,
    Budget,
    CrossEntropy,
    Evaluation,
    Rate,
    check_positive,
    choose,
)
from .last_layer import ARMIJO, LastLayer, newton
from .optimizer import Batches, check_batches
from .steps import BATCH_PACE, adam_step, batches_of, begun, check_whole

#: Pairs of steps and gradients that L-BFGS keeps.
MEMORY = 20
#: Share of the loss that a Newton step must promise to be followed by another, in training.
ACCURACY = 1e-6
#: Predicted relative fall of the loss below which the run has converged.
NO_PROGRESS = 1e-12


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class DescentState:
    """Everything a run needs to go on.

    Attributes
    ----------
    trial : pytree
        ξ to be evaluated next.
    good, gradient : arrays, shape (n,)
        The best ξ so far, flat, and the gradient there; ``loss`` is the loss.
    coefficients : array, shape (P, Q)
        Of the best ξ: where Newton's method starts next.
    direction : array, shape (n,)
        ``trial`` is ``good`` − ``length`` · ``direction``.
    slope : scalar
        gradient · direction > 0.
    memory : pytree
        Optax's, of L-BFGS.
    """

    trial: Parameters
    good: Array
    gradient: Array
    loss: Array
    coefficients: Array
    direction: Array
    length: Array
    slope: Array
    memory: Any


class NGD(AbstractTrainer):
    """Newton's method for the coefficients, one descent step for ξ; nothing to tune.

    Parameters
    ----------
    learning_rate : "auto", float or Optax schedule
        ``"auto"`` steps along L-BFGS directions, shortened until the loss falls. A number takes
        Adam's step of that rate, as the paper does.
    batch : int, optional
        Rows drawn for each step, with a rate only: descent sees other rows in every step, so that
        a step costs the same however many there are. The losses recorded are those of the batches.
    batch_size, optimizer
        Steps on mini-batches that move the coefficients too, as in :class:`LSGD`; Newton's method
        solves the last layer at the end. This is the one for many rows.

    Raises
    ------
    ValueError
        For a rate that is not positive, a batch without one, a batch size that is no whole number
        of rows, or an unknown optimiser.
    """

    name: ClassVar[str] = "ngd"
    minimizes: ClassVar[type] = CrossEntropy
    learning_rate: Rate | str = eqx.field(static=True, default="auto")
    batch: int | None = eqx.field(static=True, default=None, kw_only=True)
    batch_size: int | None = eqx.field(static=True, default=None, kw_only=True)
    optimizer: Any = eqx.field(static=True, default="adam", kw_only=True)

    def __check_init__(self) -> None:
        check_positive("NGD", allowed=("auto",), learning_rate=self.learning_rate)
        check_batches("NGD", self.batch_size, self.optimizer)
        if self.batch is not None and self.batch_size is not None:
            raise ValueError(
                f"NGD(batch={self.batch}, batch_size={self.batch_size}): the last layer is solved "
                "in every step, or at the end. Give one of them."
            )
        if self.batch is not None and (self.batch < 1 or self.learning_rate == "auto"):
            raise ValueError(
                f"NGD({self.learning_rate!r}, batch={self.batch}): a batch of at least 1 row, and "
                "a learning rate: the lengths of 'auto' are judged by the loss of all rows."
            )

    @property
    def pace(self) -> Budget:
        """Quasi-Newton steps are few; those of Adam are many."""
        if self.batch_size is not None:
            return BATCH_PACE
        return Budget(300, check_every=2, patience=30) if self.learning_rate == "auto" else Budget()

    @property
    def batches(self) -> Batches | None:
        """How it steps on mini-batches, where it does."""
        return batches_of(self)

    def init(self, objective: CrossEntropy, parameters: Parameters, key: RandomKey) -> Any:
        """Start at ``parameters``; the key draws batches."""
        check_whole(self)
        design = jax.eval_shape(objective.design, parameters)
        c = jnp.zeros((design.shape[1], objective.n_outputs), design.dtype)
        if self.learning_rate != "auto":
            return begun(parameters), c, jax.random.key_data(key)
        import optax

        flat, _ = ravel_pytree(parameters)
        zero = jnp.zeros_like(flat)
        infinite, one = jnp.asarray(jnp.inf, flat.dtype), jnp.ones((), flat.dtype)
        memory = optax.scale_by_lbfgs(MEMORY).init(flat)
        memory = memory._replace(weights_memory=memory.weights_memory.astype(flat.dtype))
        return DescentState(parameters, flat, zero, infinite, c, zero, one, one, memory)

    def step(self, objective: CrossEntropy, state: Any) -> tuple[Any, Evaluation]:
        """Solve the last layer, evaluate, and take one step on ξ."""
        if self.learning_rate == "auto":
            return self._quasi_newton(objective, state)
        (parameters, _, count), c, key = state
        if self.batch is not None:
            objective = _drawn(objective, self.batch, key, count)
        solved, gradient = _projected(objective, parameters, c)
        adam, rate = adam_step(self.learning_rate, state[0], gradient, solved.loss.dtype)
        c, still = solved.coefficients, jnp.asarray(False)
        now = Evaluation(solved.loss, parameters, c, solved.rank, rate, still)
        return (adam, c, key), now

    def _quasi_newton(
        self, objective: CrossEntropy, state: DescentState
    ) -> tuple[DescentState, Evaluation]:
        parameters, (trial, unravel) = state.trial, ravel_pytree(state.trial)
        solved, gradient = _projected(objective, parameters, state.coefficients)
        gradient, _ = ravel_pytree(gradient)
        enough = state.loss - ARMIJO * state.length * state.slope
        accepted = (solved.loss <= enough) | jnp.isinf(state.loss)
        moved = _turned(state, trial, solved, gradient)
        state = choose(accepted, moved, _shortened(state, solved.loss))
        trial = unravel(state.good - state.length * state.direction)
        state = dataclasses.replace(state, trial=trial)
        stuck = ~(state.length * state.slope > NO_PROGRESS * state.loss)
        c, rank = solved.coefficients, solved.rank
        return state, Evaluation(solved.loss, parameters, c, rank, state.length, stuck)


def _projected(
    objective: CrossEntropy, parameters: Parameters, start: Array
) -> tuple[LastLayer, Parameters]:
    # Return the last layer's optimum and the gradient of F: one pass forward, one back.
    phi, pull_back = jax.vjp(objective.design, parameters)
    solved = newton(objective, phi, start, tol=ACCURACY)
    slope = objective.slope(phi @ solved.coefficients)
    return solved, pull_back(slope @ solved.coefficients.T)[0]


def _turned(state: DescentState, trial: Array, solved: LastLayer, gradient: Array) -> DescentState:
    # Move to the trial and choose the next direction; without curvature, forget the past.
    import optax

    lbfgs = optax.scale_by_lbfgs(MEMORY)
    bent = jnp.vdot(trial - state.good, gradient - state.gradient) > 0
    fresh = jax.tree.map(jnp.zeros_like, state.memory)
    turned = lbfgs.update(gradient, choose(bent, state.memory, fresh), trial)
    downhill = jnp.vdot(turned[0], gradient) > 0
    direction, memory = choose(downhill, turned, lbfgs.update(gradient, fresh, trial))
    return dataclasses.replace(
        state,
        good=trial,
        gradient=gradient,
        loss=solved.loss,
        coefficients=solved.coefficients,
        direction=direction,
        length=jnp.ones_like(state.length),
        slope=jnp.vdot(direction, gradient),
        memory=memory,
    )


def _shortened(state: DescentState, loss: Array) -> DescentState:
    # Return to the good point; the length is that of the parabola's bottom, within reason.
    t, slope = state.length, state.slope
    bottom = slope * t**2 / (2 * (loss - state.loss + slope * t))
    length = jnp.clip(jnp.where(jnp.isfinite(bottom), bottom, 0.0), 0.1 * t, 0.5 * t)
    return dataclasses.replace(state, length=length)


def _drawn(objective: CrossEntropy, batch: int, key: Array, count: Array) -> CrossEntropy:
    # Return the loss on some rows drawn at random, with replacement.
    points = objective.term.points
    drawn = jax.random.fold_in(jax.random.wrap_key_data(key, impl="rbg"), count)
    some = jax.random.randint(drawn, (batch,), 0, len(points))
    x, weight = jnp.asarray(points.x)[some], jnp.asarray(points.weight)[some]
    weight = weight + jnp.where(jnp.sum(weight) > 0, 0.0, 1.0)
    term = rows.Term(Points(x, weight), objective.targets[some])
    return dataclasses.replace(objective, term=term)

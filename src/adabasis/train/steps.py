"""Adam's steps: on coefficients and hidden parameters jointly, or on the latter alone.

References
----------
.. [1] Cyr, Gulian, Patel, Perego, Trask, "Robust training and initialization of deep neural
   networks: an adaptive basis viewpoint", MSML 2020, arXiv:1912.04862, Algorithm 1 (LSGD).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, ClassVar

import equinox as eqx
import jax
import jax.numpy as jnp
from jax import Array

from .. import lstsq
from .._runtime.notation import Parameters, RandomKey
from .base import (
    AbstractObjective,
    AbstractTrainer,
    Budget,
    Evaluation,
    Objective,
    Rate,
    check_positive,
    choose,
)
from .optimizer import Batches, check_batches

#: Steps of a run on mini-batches whose number nobody says: the rows do.
AS_ROWS_SAY = 2**62
#: How often held-out rows are looked at: every half second or so.
BATCH_PACE = Budget(AS_ROWS_SAY, check_every=100, patience=400)
#: Adam's ε where nobody says: that of the libraries.
EPSILON = 1e-8
#: Where the controlled rate starts: the control finds its own level within some tens of steps.
FIRST_RATE = 1e-3


def begun(variables: Any) -> tuple[Any, Any, Array]:
    """Return the state of Adam before its first step: variables, moments, steps so far."""
    import optax

    return variables, optax.scale_by_adam().init(variables), jnp.asarray(0)


def adam_step(
    rate: Any, state: Any, gradient: Any, dtype: Any, epsilon: float = EPSILON
) -> tuple[Any, Array]:
    """Return the state after a step of Adam, and the rate that it had."""
    import optax

    variables, moments, count = state
    direction, moments = optax.scale_by_adam(eps=epsilon).update(gradient, moments)
    rate = jnp.asarray(rate(count) if callable(rate) else rate, dtype)
    return (_moved(variables, rate, direction), moments, count + 1), rate


def batches_of(trainer: Any) -> Batches | None:
    """Return what a trainer says of steps on mini-batches, if it was given their size."""
    if trainer.batch_size is None:
        return None
    call, size = type(trainer).__name__, int(trainer.batch_size)
    epsilon = getattr(trainer, "epsilon", EPSILON)
    return Batches(call, size, trainer.optimizer, trainer.learning_rate, epsilon)


def check_whole(trainer: Any) -> None:
    """Refuse a trainer on mini-batches where steps on all rows are wanted.

    Raises
    ------
    TypeError
    """
    if trainer.batch_size is not None:
        raise TypeError(
            f"{type(trainer).__name__}(batch_size={trainer.batch_size}): steps on mini-batches are "
            "a run of their own, no part of another trainer's. Leave batch_size out here."
        )


def _moved(variables: Any, rate: Array, direction: Any) -> Any:
    return jax.tree.map(lambda v, d: v - rate * d, variables, direction)


class GD(AbstractTrainer):
    """Adam on hidden parameters and coefficients jointly: the baseline of the papers.

    The last layer starts uniform on ±√(6/P) like a He layer.

    Parameters
    ----------
    learning_rate : float or Optax schedule
        The rate of Adam.
    epsilon : float
        Adam's ε, see :class:`LSGD`.
    """

    name: ClassVar[str] = "gd"
    minimizes: ClassVar[type] = AbstractObjective
    joint: ClassVar[bool] = True
    learning_rate: Rate = eqx.field(static=True)
    epsilon: float = eqx.field(static=True, default=EPSILON, kw_only=True)

    def __check_init__(self) -> None:
        check_positive("GD", learning_rate=self.learning_rate, epsilon=self.epsilon)

    @classmethod
    def usual(cls) -> GD:
        """Return the trainer at the rate 1e-3."""
        return cls(1e-3)

    def init(self, objective: AbstractObjective, parameters: Parameters, key: RandomKey) -> Any:
        """Draw the last layer and start Adam."""
        design = jax.eval_shape(objective.design, parameters)
        shape = (design.shape[1], objective.n_outputs)
        reach = math.sqrt(6.0 / shape[0])
        c = jax.random.uniform(key, shape, design.dtype, -reach, reach)
        return begun((parameters, c))

    def step(self, objective: AbstractObjective, state: Any) -> tuple[Any, Evaluation]:
        """One Adam step on (ξ, c)."""

        def loss(variables: Any) -> Array:
            return objective.value(objective.predicted(*variables), variables[1])

        parameters, c = state[0]
        value, gradient = jax.value_and_grad(loss)(state[0])
        state, rate = adam_step(self.learning_rate, state, gradient, value.dtype, self.epsilon)
        rank, still = jnp.asarray(c.shape[0]), jnp.asarray(False)
        return state, Evaluation(value, parameters, c, rank, rate, still)


class LSGD(AbstractTrainer):
    """Least squares for the coefficients, one Adam step for ξ.

    Algorithm 1 of Cyr et al., arXiv:1912.04862.

    One forward pass per step serves both: the least-squares problem is solved from Φ(ξ), and
    its residual is pulled back through the same linearisation. (The gradient of the loss with
    respect to c vanishes at the solution, so c counts as constant.)

    Parameters
    ----------
    learning_rate : float, Optax schedule, or "auto"
        ``"auto"`` controls the rate: a step that raises the loss is taken back, the rate halved
        and Adam restarted from the last good point; every accepted step raises it by 5 %. The
        loss of accepted points never rises.
    solver : {"auto", "svd", "triangular", "gram"}
        See :func:`adabasis.lstsq.solve`; ``"auto"`` is safe on dependent functions.
    rcond : float, optional
        The solve's cut-off of singular values, by default that of :func:`adabasis.lstsq.solve`.
        At a constant rate on smooth activations a coarser one, 1e-6, keeps the coefficients
        small enough for descent to be meaningful: ``adabasis reproduce lsgd-vs-gd`` shows it.
    epsilon : float
        Adam's ε. A step is rate · m / (√v + ε) with m and v the means of the gradient and of its
        square: where gradients, in units of the loss, are far below ε, steps shrink with them and
        Adam comes to rest. With the usual 1e-8 and a constant rate they often do not, and a
        very good fit can be lost again: ``adabasis reproduce lsgd-vs-gd`` shows where 1e-6 keeps
        it. It is not better everywhere: where descent is slow already, it becomes slower.
    batch_size : int, optional
        Rows of a mini-batch: for many rows. ξ and the coefficients then take steps together, in
        single precision, on batches that go through all rows in a new order each epoch. The rate
        rises and falls over the budget of steps, or of time where that ends first; ``"auto"``
        finds its largest value by a short test. The iterate of least held-out error is kept, and
        its coefficients are solved in double precision on all rows. ``solver`` and ``rcond`` have
        no part in it.
    optimizer : {"adam", "soap"} or optax.GradientTransformation
        Of the steps on mini-batches. ``"soap"``
        (:func:`adabasis.train.soap.scale_by_soap`) is the faster one for wide deep networks. The
        updates of one of Optax's are added times the rate: ``optax.lion(1.0)``.

    Raises
    ------
    ValueError
        For a rate that is not positive, a batch that is no whole number of rows, or an unknown
        optimiser.

    Examples
    --------
    >>> LSGD(batch_size=512, optimizer="soap").batch_size
    512
    """

    name: ClassVar[str] = "lsgd"
    takes_prior: ClassVar[bool] = True
    learning_rate: Rate | str = eqx.field(static=True, default="auto")
    solver: str = eqx.field(static=True, default="auto", kw_only=True)
    rcond: float | None = eqx.field(static=True, default=None, kw_only=True)
    epsilon: float = eqx.field(static=True, default=EPSILON, kw_only=True)
    batch_size: int | None = eqx.field(static=True, default=None, kw_only=True)
    optimizer: Any = eqx.field(static=True, default="adam", kw_only=True)

    def __check_init__(self) -> None:
        rate = self.learning_rate
        check_positive("LSGD", allowed=("auto",), learning_rate=rate, epsilon=self.epsilon)
        check_batches("LSGD", self.batch_size, self.optimizer)

    @classmethod
    def usual(cls) -> LSGD:
        """Return the trainer that controls its rate."""
        return cls("auto")

    @property
    def batches(self) -> Batches | None:
        """How it steps on mini-batches, where it does."""
        return batches_of(self)

    @property
    def pace(self) -> Budget:
        """Steps on mini-batches are quicker, and more."""
        return Budget() if self.batch_size is None else BATCH_PACE

    def init(self, objective: Objective, parameters: Parameters, key: RandomKey) -> Any:
        """Start Adam at ``parameters``; the key is not used."""
        del key
        check_whole(self)
        state = begun(parameters)
        if self.learning_rate != "auto":
            return state
        dtype = jax.tree.leaves(parameters)[0].dtype
        still = jax.tree.map(jnp.zeros_like, parameters)
        infinite, first_rate = jnp.full((), jnp.inf, dtype), jnp.full((), FIRST_RATE, dtype)
        return *state[:2], (parameters, still, infinite), first_rate

    def step(
        self,
        objective: Objective,
        state: Any,
        prior: Callable[[Parameters], Array] | None = None,
    ) -> tuple[Any, Evaluation]:
        """Solve, evaluate, and take one Adam step on ξ: on the loss, and a term in ξ alone."""
        parameters = state[0]
        a, pull_back = jax.vjp(objective.design, parameters)
        b = objective.targets
        solution = lstsq.solve(
            lstsq.reduce(a, b), ridge=objective.ridge, rcond=self.rcond, method=self.solver
        )
        c = solution.coefficients
        residual = a @ c - b
        value = objective.value(a @ c, c)
        (gradient,) = pull_back(2 / b.shape[1] * residual @ c.T)
        if prior is not None:
            more, slope = jax.value_and_grad(prior)(parameters)
            value, gradient = value + more, jax.tree.map(jnp.add, gradient, slope)
        if self.learning_rate == "auto":
            state, rate = self._controlled(state, value, gradient)
        else:
            state, rate = adam_step(self.learning_rate, state, gradient, value.dtype, self.epsilon)
        return state, Evaluation(value, parameters, c, solution.rank, rate, jnp.asarray(False))

    def _controlled(self, state: Any, value: Array, gradient: Parameters) -> tuple[Any, Array]:
        import optax

        parameters, moments, (good, good_gradient, good_value), rate = state
        adam = optax.scale_by_adam(eps=self.epsilon)
        accepted = value <= good_value
        good, good_gradient, good_value, moments = choose(
            accepted,
            (parameters, gradient, value, moments),
            (good, good_gradient, good_value, adam.init(parameters)),
        )
        rate = jnp.where(accepted, 1.05 * rate, 0.5 * rate)
        direction, moments = adam.update(good_gradient, moments)
        trial = _moved(good, rate, direction)
        return (trial, moments, (good, good_gradient, good_value), rate), rate

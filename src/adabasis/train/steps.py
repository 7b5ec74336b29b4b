"""Training steps: what happens to ξ once the coefficients are known.

A trainer makes a state from initial parameters and advances it by one step. Every step *first*
evaluates the loss at the parameters it was given (with the coefficients that belong to them) and
then moves, so that entry 0 of a history is the loss before the first step.

References
----------
.. [1] Cyr, Gulian, Patel, Perego, Trask, "Robust training and initialization of deep neural
   networks: an adaptive basis viewpoint", MSML 2020, arXiv:1912.04862, Algorithm 1 (LSGD).
"""

from __future__ import annotations

import abc
import dataclasses
import math
from collections.abc import Callable, Sequence
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import optax
from jax import Array

from .. import lstsq, rows
from .._runtime.notation import AnyArray, Coefficients, Parameters, RandomKey, Scalar
from ..basis.base import AbstractBasis

Rate = float | Callable[[Array], Array]
"""A learning rate, or an Optax schedule of the step count."""


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class Objective:
    """The loss ‖A(ξ) c − b‖²/Q + ridge ‖c‖² of a basis under the terms of a problem."""

    terms: Sequence[rows.AbstractTerm]
    ridge: float | Array
    basis: AbstractBasis

    @property
    def smoothness(self) -> float:
        """Order of the highest continuous derivative of A(ξ) in ξ, taken to be that in x."""
        return self.basis.smoothness - max(term.order for term in self.terms)

    def design(self, parameters: Parameters) -> Array:
        """Return the weighted rows A(ξ)."""
        return rows.design(self.terms, self.basis, parameters)

    def jacobian(self, parameters: Parameters, c: Coefficients) -> Array:
        """Return ∂(A(ξ) c)/∂ξ at fixed c, flat in ξ: (N, Q, n)."""
        return rows.jacobian(self.terms, self.basis, parameters, c)

    def predictions(self, parameters: Parameters, c: Coefficients) -> Callable[[Parameters], Array]:
        """Return ξ ↦ A(ξ) c at fixed c, to be linearised at ``parameters``."""
        return rows.predictions(self.terms, self.basis, parameters, c)

    def predicted(self, parameters: Parameters, c: Coefficients) -> Array:
        """Return A(ξ) c, or what stands in its place where an operator is not linear."""
        if all(term.linear for term in self.terms):
            return self.design(parameters) @ c
        return self.predictions(parameters, c)(parameters)

    @property
    def targets(self) -> Array:
        """The weighted right-hand sides b."""
        return rows.targets(self.terms)

    @property
    def n_outputs(self) -> int:
        """Q, the columns of c."""
        return self.targets.shape[1]

    def value(self, predicted: Array, c: Array) -> Scalar:
        """Return the loss for the rows A c."""
        return self.loss(predicted - self.targets, c)

    def error(self, parameters: Parameters, c: AnyArray) -> Scalar:
        """Return the root mean square of the rows' residual."""
        residual = self.design(parameters) @ c - self.targets
        return jnp.sqrt(jnp.sum(residual**2) / residual.shape[1])

    def goal(self, tol: AnyArray | float) -> Scalar:
        """Return the loss at which training may stop: ``tol``² times the data's mean square."""
        return jnp.asarray(tol) ** 2 * jnp.sum(self.targets**2) / self.targets.shape[1]

    def loss(self, residual: Array, c: Array) -> Scalar:
        """Return the loss for the rows' residual A c − b."""
        outputs = residual.shape[1]
        return jnp.sum(residual**2) / outputs + self.ridge * jnp.sum(c**2) / outputs


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class Evaluation:
    """A loss, and the parameters, coefficients and rank it belongs to.

    ``rate`` is the learning rate or damping; ``stuck`` says that no step would lower the loss.
    """

    loss: Array
    parameters: Parameters
    coefficients: Coefficients
    rank: Array
    rate: Array
    stuck: Array


@dataclasses.dataclass(frozen=True)
class Pace:
    """Numbers of steps: in a run, between checks, and without progress before giving up."""

    steps: int = 1000
    check_every: int = 20
    patience: int = 400


class AbstractTrainer(eqx.Module):
    """A way of moving ξ; hyperparameters only, so that it may be closed over by compiled code."""

    @property
    def pace(self) -> Pace:
        """How many steps a run takes and how often it is looked at, where nobody says."""
        return Pace()

    @abc.abstractmethod
    def init(self, objective: Any, parameters: Parameters, key: RandomKey) -> Any:
        """Return the state that holds everything a run needs to go on, at ``parameters``."""

    @abc.abstractmethod
    def step(self, objective: Any, state: Any) -> tuple[Any, Evaluation]:
        """Evaluate the state's parameters, then move them once."""


def check_rate(name: str, rate: Any, allowed: tuple[str, ...] = ()) -> None:
    """Refuse what is no learning rate."""
    if callable(rate) or rate in allowed:
        return
    if isinstance(rate, str) or not 0 < rate < math.inf:
        words = "".join(f", or {word!r}" for word in allowed)
        raise ValueError(
            f"{name}(learning_rate={rate!r}): a positive number or a schedule of the step{words}."
        )


EPSILON = 1e-8
"""Adam's ε where nobody says: that of the libraries."""


def _check_epsilon(name: str, epsilon: Any) -> None:
    if isinstance(epsilon, str) or not 0 < epsilon < math.inf:
        raise ValueError(f"{name}(epsilon={epsilon!r}): expected a positive number, Adam's ε.")


class GD(AbstractTrainer):
    """Adam on hidden parameters and coefficients jointly: the baseline of the papers.

    The last layer starts uniform on ±√(6/P) like a He layer.

    Parameters
    ----------
    learning_rate : float or Optax schedule
    epsilon : float
        Adam's ε, see :class:`LSGD`.
    """

    learning_rate: Rate = eqx.field(static=True)
    epsilon: float = eqx.field(static=True, default=EPSILON, kw_only=True)

    def __check_init__(self) -> None:
        check_rate("GD", self.learning_rate)
        _check_epsilon("GD", self.epsilon)

    @property
    def _adam(self) -> optax.GradientTransformation:
        return optax.adam(self.learning_rate, eps=self.epsilon)

    def init(self, objective: Objective, parameters: Parameters, key: RandomKey) -> Any:
        """Draw the last layer and start Adam."""
        design = jax.eval_shape(objective.design, parameters)
        shape = (design.shape[1], objective.n_outputs)
        reach = math.sqrt(6.0 / shape[0])
        c = jax.random.uniform(key, shape, design.dtype, -reach, reach)
        variables = (parameters, c)
        return variables, self._adam.init(variables), jnp.asarray(0)

    def step(self, objective: Objective, state: Any) -> tuple[Any, Evaluation]:
        """One Adam step on (ξ, c)."""
        variables, moments, count = state

        def loss(variables: Any) -> Array:
            parameters, c = variables
            return objective.value(objective.predicted(parameters, c), c)

        value, gradient = jax.value_and_grad(loss)(variables)
        updates, moments = self._adam.update(gradient, moments)
        moved = optax.apply_updates(variables, updates)
        parameters, c = variables
        rate = rate_at(self.learning_rate, count, value.dtype)
        evaluation = Evaluation(
            value, parameters, c, jnp.asarray(c.shape[0]), rate, jnp.asarray(False)
        )
        return (moved, moments, count + 1), evaluation


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
    """

    learning_rate: Rate | str = eqx.field(static=True)
    solver: str = eqx.field(static=True, default="auto", kw_only=True)
    rcond: float | None = eqx.field(static=True, default=None, kw_only=True)
    epsilon: float = eqx.field(static=True, default=EPSILON, kw_only=True)

    def __check_init__(self) -> None:
        check_rate("LSGD", self.learning_rate, allowed=("auto",))
        _check_epsilon("LSGD", self.epsilon)

    @property
    def _adam(self) -> optax.GradientTransformation:
        """Adam, its rate left out where that is controlled."""
        if self.learning_rate == "auto":
            return optax.scale_by_adam(eps=self.epsilon)
        return optax.adam(self.learning_rate, eps=self.epsilon)

    def init(self, objective: Objective, parameters: Parameters, key: RandomKey) -> Any:
        """Start Adam at ``parameters``; the key is not used."""
        del key
        if self.learning_rate == "auto":
            moments = self._adam.init(parameters)
            still = jax.tree.map(jnp.zeros_like, parameters)
            infinite = jnp.full((), jnp.inf, _dtype(parameters))
            first_rate = jnp.full((), FIRST_RATE, _dtype(parameters))
            return parameters, moments, (parameters, still, infinite), first_rate
        return parameters, self._adam.init(parameters), jnp.asarray(0)

    def step(self, objective: Objective, state: Any) -> tuple[Any, Evaluation]:
        """Solve, evaluate, and take one Adam step on ξ."""
        return self.step_with(objective, state, None)

    def step_with(
        self, objective: Objective, state: Any, prior: Callable[[Parameters], Array] | None
    ) -> tuple[Any, Evaluation]:
        """Take a step on the sum of the loss and a term in ξ alone."""
        parameters = state[0]
        a, pull_back = jax.vjp(objective.design, parameters)
        b = objective.targets
        solution = lstsq.solve(
            lstsq.reduce(a, b), ridge=objective.ridge, rcond=self.rcond, method=self.solver
        )
        c = solution.coefficients
        residual = a @ c - b
        value = objective.loss(residual, c)
        (gradient,) = pull_back(2 / b.shape[1] * residual @ c.T)
        if prior is not None:
            more, slope = jax.value_and_grad(prior)(parameters)
            value, gradient = value + more, jax.tree.map(jnp.add, gradient, slope)
        move = self._controlled if self.learning_rate == "auto" else self._plain
        state, rate = move(state, value, gradient)
        return state, Evaluation(value, parameters, c, solution.rank, rate, jnp.asarray(False))

    def _plain(self, state: Any, value: Array, gradient: Parameters) -> tuple[Any, Array]:
        parameters, moments, count = state
        updates, moments = self._adam.update(gradient, moments)
        rate = rate_at(self.learning_rate, count, value.dtype)
        return (optax.apply_updates(parameters, updates), moments, count + 1), rate

    def _controlled(self, state: Any, value: Array, gradient: Parameters) -> tuple[Any, Array]:
        parameters, moments, (good, good_gradient, good_value), rate = state
        adam = self._adam
        accepted = value <= good_value
        restarted = adam.init(parameters)
        good, good_gradient, moments = choose(
            accepted, (parameters, gradient, moments), (good, good_gradient, restarted)
        )
        good_value = jnp.where(accepted, value, good_value)
        rate = jnp.where(accepted, 1.05 * rate, 0.5 * rate)
        direction, moments = adam.update(good_gradient, moments)
        trial = jax.tree.map(lambda p, d: p - rate * d, good, direction)
        return (trial, moments, (good, good_gradient, good_value), rate), rate


FIRST_RATE = 1e-3
"""Where the controlled rate starts: the control finds its own level within some tens of steps."""


def _dtype(parameters: Parameters) -> Any:
    return jax.tree.leaves(parameters)[0].dtype


def rate_at(rate: Any, count: Array, dtype: Any) -> Array:
    """Return the rate of a step."""
    return jnp.asarray(rate(count) if callable(rate) else rate, dtype)


def choose(condition: Array, yes: Any, no: Any) -> Any:
    """Return one of two pytrees."""
    return jax.tree.map(lambda a, b: jnp.where(condition, a, b), yes, no)

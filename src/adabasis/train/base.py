"""What the training loop knows of losses and of trainers: their abstract classes, and both losses.

A trainer makes a state from initial parameters and advances it by one step. Every step *first*
evaluates the loss at the parameters it was given (with the coefficients that belong to them) and
then moves, so that entry 0 of a history is the loss before the first step.
"""

from __future__ import annotations

import abc
import dataclasses
import functools
import math
from collections.abc import Callable, Sequence
from typing import Any, ClassVar

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from .. import lstsq, rows
from .._runtime.backend import logsumexp, softmax
from .._runtime.notation import AnyArray, Coefficients, Parameters, RandomKey, Scalar
from ..basis.base import AbstractBasis
from ..operators import Identity
from .optimizer import Batches

#: A learning rate, or an Optax schedule of the step count.
Rate = float | Callable[[Array], Array]
#: Relative ridge μ of the last Gauss–Newton steps: functions below it count as dependent. A ridged
#: loss is differentiable in ξ where functions become dependent; a truncated one is not.
LAST_RIDGE = 1e-13


class AbstractObjective(abc.ABC):
    """A loss of the parameters ξ and the coefficients c: subclasses are frozen dataclasses.

    Attributes
    ----------
    title : str
        What it is called in messages.
    ridge : float
    basis : AbstractBasis
    """

    title: ClassVar[str]
    ridge: float | Array
    basis: AbstractBasis

    @abc.abstractmethod
    def design(self, parameters: Parameters) -> Array:
        """Return the matrix A(ξ) whose product with c the loss is a function of."""

    def predicted(self, parameters: Parameters, c: Coefficients) -> Array:
        """Return A(ξ) c, or what stands in its place where an operator is not linear."""
        return self.design(parameters) @ c

    @property
    @abc.abstractmethod
    def targets(self) -> Array:
        """What is to be met, a row for each row of A."""

    @property
    def n_outputs(self) -> int:
        """Q, the columns of c."""
        return self.targets.shape[1]

    @abc.abstractmethod
    def value(self, predicted: Array, c: Array) -> Scalar:
        """Return the loss for the rows A c."""

    @abc.abstractmethod
    def error(self, parameters: Parameters, c: AnyArray) -> Scalar:
        """Return what held-out rows are judged by."""

    @abc.abstractmethod
    def goal(self, tol: AnyArray | float) -> Scalar:
        """Return the loss at which training may stop."""

    @property
    def data(self) -> rows.Term | None:
        """The rows of data that batches may be drawn from, where the loss is about such alone."""
        return None

    def of_rows(self, term: rows.Term) -> Any:
        """Return the same loss of other rows of data."""
        raise TypeError(f"{type(self).__name__}: its rows are no table that parts can be taken of.")


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class Objective(AbstractObjective):
    """The loss ‖A(ξ) c − b‖²/Q + ridge ‖c‖²/Q of a basis under the terms of a problem.

    Its error is the root mean square of the rows' residual; training may stop at ``tol``² times the
    data's mean square.
    """

    title: ClassVar[str] = "least squares"
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

    def value(self, predicted: Array, c: Array) -> Scalar:
        """Return the loss for the rows A c."""
        square = jnp.sum((predicted - self.targets) ** 2)
        return square / c.shape[1] + self.ridge * jnp.sum(c**2) / c.shape[1]

    def error(self, parameters: Parameters, c: AnyArray) -> Scalar:
        """Return the root mean square of the rows' residual."""
        residual = self.design(parameters) @ c - self.targets
        return jnp.sqrt(jnp.sum(residual**2) / residual.shape[1])

    def goal(self, tol: AnyArray | float) -> Scalar:
        """Return ``tol``² times the data's mean square."""
        return jnp.asarray(tol) ** 2 * jnp.sum(self.targets**2) / self.targets.shape[1]

    @property
    def data(self) -> rows.Term | None:
        """The rows of data, where the loss is about values there and ties of the basis alone."""
        first, *rest = self.terms
        if not isinstance(first, rows.Term) or not isinstance(first.operator, Identity):
            return None
        return first if all(isinstance(term, rows.TieTerm) for term in rest) else None

    def of_rows(self, term: rows.Term) -> Objective:
        """Return the same loss of other rows of data, with ties where there are any."""
        terms = [term] if len(self.terms) == 1 else rows.tied(term, self.basis)
        return dataclasses.replace(self, terms=terms)


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class CrossEntropy(AbstractObjective):
    r"""The loss Σ w_i H(y_i, p_i) / Σ w + ½ ridge ‖c‖² on labelled points (the slides' equation 3).

    With scores z = Φ(x; ξ) c ∈ R^Q and a *link* E (Q, K), the probabilities of the K classes are
    p = softmax(z E). Two classes need one score, E = [0 1], the log of their odds; more have one
    score each, E = I. Targets are probabilities, of which labels are the corners.

    Attributes
    ----------
    term : rows.Term
        N points with weights; its data are the targets (N, K), each row a distribution.
    ridge : float
        λ/Σw: with the *sum* over rows the penalty is ½ λ‖c‖², scikit-learn's with C = 1/λ.
    basis : AbstractBasis
    """

    title: ClassVar[str] = "cross-entropy"
    term: rows.Term
    ridge: float | Array
    basis: AbstractBasis

    def design(self, parameters: Parameters) -> Array:
        """Return the functions at the points, (N, P), not weighted: A c are the scores."""
        return self.term.design(self.basis, parameters)

    @property
    def targets(self) -> Any:
        """The probabilities to be met, (N, K)."""
        return self.term.data

    @property
    def weight(self) -> Any:
        """The share of each row in the loss, (N,)."""
        w = self.term.points.weight
        return w / w.sum()

    @property
    def link(self) -> np.ndarray:
        """E, (Q, K)."""
        one, n_classes = np.array([[0.0, 1.0]]), self.targets.shape[1]
        return (one if n_classes == 2 else np.eye(n_classes)).astype(self.targets.dtype)

    @property
    def n_outputs(self) -> int:
        """Q: one score for two classes, K for more."""
        return 1 if self.targets.shape[1] == 2 else self.targets.shape[1]

    def value(self, predicted: Array, c: Coefficients) -> Scalar:
        """Return the loss for scores Φ c, (N, Q)."""
        return self.surprise(predicted) + 0.5 * self.ridge * (c**2).sum()

    def surprise(self, scores: Array) -> Scalar:
        """Return the mean cross-entropy for scores (N, Q), in nats."""
        logits = scores @ self.link
        each = logsumexp(logits) - (logits * self.targets).sum(axis=1)
        return (self.weight * each).sum()

    def slope(self, scores: Array) -> Array:
        """Return the derivative of :meth:`surprise` with respect to the scores, (N, Q)."""
        p = softmax(scores @ self.link)
        return (self.weight[:, None] * (p - self.targets)) @ self.link.T

    def error(self, parameters: Parameters, c: AnyArray) -> Scalar:
        """Return the mean cross-entropy of a model on these points."""
        return self.surprise(self.predicted(parameters, jnp.asarray(c)))

    def goal(self, tol: AnyArray | float) -> Scalar:
        """Return ``tol`` times the entropy of the classes' frequencies."""
        frequency = self.weight @ self.targets
        return jnp.asarray(tol) * jnp.sum(jax.scipy.special.entr(frequency))

    @property
    def data(self) -> rows.Term:
        """The labelled points."""
        return self.term

    def of_rows(self, term: rows.Term) -> CrossEntropy:
        """Return the same loss of other rows."""
        return dataclasses.replace(self, term=term)


@dataclasses.dataclass(frozen=True)
class Projection:
    """The coefficients of an objective projected out at one ξ (variable projection).

    The ridge λ is that of the objective and (μ σ₁)², a share of the largest singular value.
    """

    a: Array
    b: Array
    factors: lstsq.Factorization
    rotated: Array
    ridge: Array

    @classmethod
    def of(cls, objective: Objective, parameters: Parameters, mu: Array) -> Projection:
        """Reduce [A | b] and take the SVD of the triangle: coefficients for every ridge."""
        a, b = objective.design(parameters), objective.targets
        reduction = lstsq.reduce(a, b)
        factors = lstsq.factorize(reduction.triangle, 0.0, unit=False)
        return cls(a, b, factors, reduction.rotated, mu).ridged(objective, mu)

    def ridged(self, objective: Objective, mu: Array) -> Projection:
        """Return the same for another relative ridge μ."""
        return dataclasses.replace(self, ridge=(mu * self.factors.s[0]) ** 2 + objective.ridge)

    @functools.cached_property
    def c(self) -> Array:
        """The minimiser, (P, Q)."""
        return self.factors.solve(self.rotated, self.ridge)

    @functools.cached_property
    def residual(self) -> Array:
        """A c − b, (N, Q)."""
        return self.a @ self.c - self.b

    @functools.cached_property
    def loss(self) -> Array:
        """(‖A c − b‖² + λ ‖c‖²)/Q."""
        squares = jnp.sum(self.residual**2) + self.ridge * jnp.sum(self.c**2)
        return squares / self.residual.shape[1]

    @property
    def rank(self) -> Array:
        """Functions independent to the last ridge."""
        return jnp.sum(self.factors.s > LAST_RIDGE * self.factors.s[0])

    @property
    def inverse_root(self) -> Array:
        """V/√(S²+λ), (P, P)."""
        return self.factors.vt.T / jnp.sqrt(self.factors.s**2 + self.ridge)

    @functools.cached_property
    def span(self) -> Array:
        """An orthonormal basis of the span of A's columns with the ridge's rows, (N + P, P)."""
        v = self.inverse_root
        return jnp.concatenate([self.a @ v, jnp.sqrt(self.ridge) * v])

    @property
    def whole(self) -> Array:
        """The residual ρ with the ridge's rows, (N + P, Q)."""
        return jnp.concatenate([self.residual, jnp.sqrt(self.ridge) * self.c])

    def with_jacobian(self, jacobian: Array) -> Array:
        """Return the rows [basis | J_1 … J_Q | ρ_1 … ρ_Q]; ``jacobian`` is (N, Q, n)."""
        blocks = jacobian.reshape(jacobian.shape[0], -1)
        blocks = jnp.pad(blocks, ((0, self.c.shape[0]), (0, 0)))
        return jnp.concatenate([self.span, blocks, self.whole], axis=1)


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
class Budget:
    """When to stop.

    Attributes
    ----------
    max_steps : int
    max_seconds : float
        Compile time included; checked between blocks of about 0.2 s.
    tol : float
        Stop when the root mean square residual falls to ``tol`` times that of the data.
    check_every : int
        Steps between measurements of the held-out error and calls of the callbacks.
    patience : int
        Stop after this many steps without the held-out error falling by one per cent.
    """

    max_steps: int = 1000
    max_seconds: float = float("inf")
    tol: float = 0.0
    check_every: int = 20
    patience: int = 400

    @classmethod
    def of(cls, trainer: AbstractTrainer, max_steps: int | None = None, tol: float = 0.0) -> Budget:
        """Return the trainer's own pace, with the caller's limit on steps if there is one."""
        steps = trainer.pace.max_steps if max_steps is None else max_steps
        return dataclasses.replace(trainer.pace, max_steps=steps, tol=tol)


class AbstractTrainer(eqx.Module):
    """A way of moving ξ; hyperparameters only, so that it may be closed over by compiled code.

    A new trainer is one class with ``init`` and ``step``. What else is asked about it are its class
    attributes.

    Attributes
    ----------
    name : str
        By which ``method`` may call it with its usual hyperparameters (:meth:`usual`); empty for
        none, see :func:`named_trainers`.
    minimizes : type
        The objectives that it can minimise: instances of this class.
    joint : bool
        Whether coefficients are moved together with ξ: those of the run are the result then.
        Elsewhere each step solves for them, and so may anybody later.
    sets_ridge : bool
        Whether it chooses the ridge of its steps: no other schedule of ridges can take them.
    takes_prior : bool
        Whether ``step`` takes a term in ξ alone, ``prior``, which is added to the loss.
    interpreted : bool
        Whether its steps are Python and calls of LAPACK, on NumPy's arrays: nothing is compiled.
        Such a trainer says itself what the goal and the held-out error are.
    takes_sources : bool
        Whether ``init`` takes a source of rows, over all of which steps then go.
    """

    name: ClassVar[str] = ""
    minimizes: ClassVar[type] = Objective
    joint: ClassVar[bool] = False
    sets_ridge: ClassVar[bool] = False
    takes_prior: ClassVar[bool] = False
    interpreted: ClassVar[bool] = False
    takes_sources: ClassVar[bool] = False

    @property
    def pace(self) -> Budget:
        """How many steps a run takes and how often it is looked at, where nobody says."""
        return Budget()

    @property
    def batches(self) -> Batches | None:
        """How it steps on mini-batches, in place of :meth:`init` and :meth:`step`; or ``None``."""
        return None

    @classmethod
    def usual(cls) -> AbstractTrainer:
        """Return the trainer with its usual hyperparameters."""
        return cls()

    @abc.abstractmethod
    def init(self, objective: Any, parameters: Parameters, key: RandomKey) -> Any:
        """Return the state that holds everything a run needs to go on, at ``parameters``."""

    @abc.abstractmethod
    def step(self, objective: Any, state: Any) -> tuple[Any, Evaluation]:
        """Evaluate the state's parameters, then move them once."""

    def goal(self, objective: Any, tol: float) -> float:
        """Return the loss at which training may stop."""
        return float(objective.goal(tol))

    def judge(self, objective: Any) -> Callable[[Evaluation], float]:
        """Return what measures the error of an evaluation on rows held out, for every step."""
        return lambda now: float(objective.error(now.parameters, now.coefficients))


def named_trainers(objective: type[AbstractObjective]) -> dict[str, Callable[[], AbstractTrainer]]:
    """Return by name, in its order, what makes the trainers that minimise such an objective."""
    kinds = sorted(AbstractTrainer.__subclasses__(), key=lambda kind: kind.name)
    return {k.name: k.usual for k in kinds if k.name and issubclass(objective, k.minimizes)}


def check_positive(trainer: str, *, allowed: tuple[str, ...] = (), **given: Any) -> None:
    """Refuse hyperparameters that are no positive numbers; a learning rate may be a schedule."""
    for name, value in given.items():
        of_steps = name == "learning_rate"
        if of_steps and (callable(value) or value in allowed):
            continue
        if isinstance(value, str) or not 0 < value < math.inf:
            kinds = ["a positive number", *["a schedule of the step"] * of_steps]
            words = " or ".join([*kinds, *map(repr, allowed)])
            raise ValueError(f"{trainer}({name}={value!r}): expected {words}.")


def choose(condition: Array, yes: Any, no: Any) -> Any:
    """Return one of two pytrees."""
    return jax.tree.map(lambda a, b: jnp.where(condition, a, b), yes, no)

"""The advection problems of the slides (eq. 14): terms, exact solutions, runs of trainers.

J = ε mean (u_t + a u_x)² + mean (u(x, 0) − u₀)² + mean u(0, t)² on Cartesian clouds; u₀ is a tent
of height 1 at 0.2, half as wide as 0.2. The non-conservative form: its solution is the stated one.
"""

from __future__ import annotations

import dataclasses
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax

from .. import lstsq, rows
from .._runtime.compute import numerics
from ..basis import AbstractBasis, NeuralBasis
from ..geometry.points import Points
from ..operators import AbstractOperator, Identity, Partial
from ..pde.catalog import tent
from ..train import GD, LSGD, LSGN, AbstractTrainer, Budget, Objective, Run, train

SEEN = 20_000


@dataclasses.dataclass(frozen=True)
class Advection:
    """u_t + a u_x = 0 on the unit square.

    Attributes
    ----------
    variable : bool
        a = x instead of a constant.
    speed : float
        The constant a.
    per_side : int
        Points along each side of the cloud.
    epsilon : float
        ε, the weight of the equation beside the conditions.
    """

    variable: bool = False
    speed: float = 1.0
    per_side: int = 101
    epsilon: float = 1.0

    @property
    def operator(self) -> AbstractOperator:
        """∂_t + a ∂_x on (x, t)."""
        velocity: Any = (lambda x: x) if self.variable else self.speed
        return (Partial(1) + velocity * Partial(0)).bind(("x", "t"))

    def exact(self, x: np.ndarray) -> np.ndarray:
        """Return the solution at N points, (N,)."""
        space, time = x.T
        return tent(space * np.exp(-time) if self.variable else space - self.speed * time)

    @property
    def level(self) -> float:
        """Root mean square of the solution: what errors are relative to."""
        return float(np.sqrt(np.mean(self.exact(_seen()) ** 2)))

    def terms(self) -> list[rows.Term]:
        """Return the three terms of J."""
        side = np.linspace(0, 1, self.per_side)
        inside = np.stack(np.meshgrid(side, side), axis=-1).reshape(-1, 2)
        bottom, left = (np.stack(pair, axis=1) for pair in ((side, 0 * side), (0 * side, side)))
        return [
            _term(inside, np.zeros(len(inside)), self.operator, self.epsilon),
            _term(bottom, tent(side), Identity(), 1.0),
            _term(left, np.zeros(len(side)), Identity(), 1.0),
        ]


def _seen() -> np.ndarray:
    return np.random.default_rng(1).random((SEEN, 2))


def _term(x: np.ndarray, data: np.ndarray, operator: AbstractOperator, weight: float) -> rows.Term:
    points = Points(x, np.ones(len(x)))
    return rows.Term(points, data[:, None], operator, jnp.asarray(weight))


@dataclasses.dataclass(frozen=True, eq=False)
class Outcome:
    """A run with its solution.

    Attributes
    ----------
    run : Run
    loss : float
        Least loss of any iterate; of LSGN that of a truncated solve at the end.
    error, last_error : float
        Relative l2 errors on random points: best and last iterate.
    """

    run: Run
    loss: float
    error: float
    last_error: float


def trainer_named(name: str, steps: int) -> AbstractTrainer:
    """Return ``gd``, ``lsgd`` (both at the published rate), ``lsgd-cosine`` or ``lsgn``."""
    return {
        "gd": lambda: GD(5e-3),
        "lsgd": lambda: LSGD(5e-3, solver="svd"),
        "lsgd-cosine": lambda: LSGD(optax.cosine_decay_schedule(1e-2, steps), solver="svd"),
        "lsgn": lambda: LSGN(),
    }[name]()


def layer(
    width: int, depth: int = 1, activation: str = "relu", *, constant: bool = False
) -> NeuralBasis:
    """Return the published network: Box with independent draws, no constant column."""
    return NeuralBasis(
        width, depth, activation=activation, init="box-independent", constant=constant
    )


def run(
    problem: Advection, basis: AbstractBasis, trainer: AbstractTrainer, steps: int, seed: int
) -> Outcome:
    """Train once and measure."""
    with numerics():
        objective = Objective(problem.terms(), 0.0, basis)
        key = jax.random.key(seed)
        initial = basis.init(key, jnp.array([[0.0, 1.0], [0.0, 1.0]]))
        budget = Budget(max_steps=steps, check_every=steps + 1)
        found = train(trainer, objective, initial, key=jax.random.fold_in(key, 1), budget=budget)
        c, loss = found.coefficients, found.loss
        if isinstance(trainer, LSGN):  # its steps carry a ridge; the solution needs none
            c = _solved(objective, found.parameters)
            loss = float(_loss(objective, found.parameters, c))
        error = _error(problem, basis, found.parameters, c)
        last = _error(problem, basis, found.last.parameters, found.last.coefficients)
        return Outcome(found, loss, error, last)


def error(
    problem: Advection, basis: AbstractBasis, trainer: AbstractTrainer, steps: int, seed: int
) -> float:
    """Train once and return the least relative l2 error of any iterate."""
    return run(problem, basis, trainer, steps, seed).error


@eqx.filter_jit
def _solved(objective: Objective, parameters: Any) -> Any:
    reduction = lstsq.reduce(objective.design(parameters), objective.targets)
    return lstsq.solve(reduction).coefficients


@eqx.filter_jit
def _loss(objective: Objective, parameters: Any, c: Any) -> Any:
    return objective.value(objective.design(parameters) @ c, c)


def values(basis: AbstractBasis, parameters: Any, c: Any, x: np.ndarray) -> np.ndarray:
    """Return u at N points, (N,)."""
    return np.asarray(_values(basis, parameters, c, x))


@eqx.filter_jit
def _values(basis: AbstractBasis, parameters: Any, c: Any, x: Any) -> Any:
    return (rows.evaluate(Identity(), basis, parameters, x) @ c)[:, 0]


def _error(problem: Advection, basis: AbstractBasis, parameters: Any, c: Any) -> float:
    x = _seen()
    exact = problem.exact(x)
    found = values(basis, parameters, jnp.asarray(c), x)
    return float(np.linalg.norm(found - exact) / np.linalg.norm(exact))

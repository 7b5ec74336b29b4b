"""POUnets trained from several draws of their partitions, or solved on a partition as it is."""

from __future__ import annotations

from collections.abc import Iterable

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from .. import lstsq, rows
from .._runtime.compute import numerics
from .._runtime.notation import Parameters
from ..basis import AbstractBasis, PartitionBasis, RBFPartition
from ..geometry.points import Points
from ..operators import Identity
from ..train import AbstractTrainer, Budget, Objective, Run, train

Data = tuple[np.ndarray, np.ndarray]
"""Points (N, D) and values (N, 1)."""
SHAPE = 1.0
"""ξ₂ of all Gaussians at first, in units of half the domain's side, as published."""


def gaussians(n_partitions: int, degree: int, width: float | None = SHAPE) -> PartitionBasis:
    """Return the slides' RBF POUnet (eq. 19)."""
    return PartitionBasis(n_partitions, degree, partition=RBFPartition(n_partitions, width=width))


def drawn(basis: AbstractBasis, seed: int, box: np.ndarray, x: np.ndarray) -> Parameters:
    """Draw ξ in a box (D, 2) and place it on points (N, D)."""
    with numerics():
        parameters = basis.init(jax.random.key(seed), jnp.asarray(box))
        return basis.placed(parameters, jnp.asarray(x))


def trained(
    basis: AbstractBasis,
    trainer: AbstractTrainer,
    steps: int,
    starts: Iterable[Parameters],
    data: Data,
) -> list[Run]:
    """Train from every start; return the runs, that of least loss first."""
    x, y = data
    budget = Budget(max_steps=steps, check_every=steps + 1, patience=steps + 1)
    with numerics():
        objective = Objective([rows.Term(Points(x, np.ones(len(x))), y)], 0.0, basis)
        runs = [
            train(trainer, objective, start, key=jax.random.key(seed), budget=budget)
            for seed, start in enumerate(starts)
        ]
    return sorted(runs, key=lambda run: run.loss)


def solved(basis: AbstractBasis, parameters: Parameters, data: Data) -> Array:
    """Return the coefficients (P, 1) at fixed ξ.

    Functions that vanish at all points, as those of empty cells do, have coefficient zero and take
    no part in the solve.
    """
    x, y = data
    phi = matrix(basis, parameters, x)
    used = np.flatnonzero(np.any(phi != 0, axis=0))
    c = np.zeros((phi.shape[1], y.shape[1]))
    with numerics():
        reduced = lstsq.reduce(jnp.asarray(phi[:, used]), jnp.asarray(y))
        c[used] = np.asarray(lstsq.solve(reduced).coefficients)
        return jnp.asarray(c)


def rms(basis: AbstractBasis, parameters: Parameters, c: Array, data: Data) -> float:
    """Return the root mean square of Φ c − y at points."""
    x, y = data
    return float(np.sqrt(np.mean((matrix(basis, parameters, x) @ np.asarray(c) - y) ** 2)))


def matrix(basis: AbstractBasis, parameters: Parameters, x: np.ndarray) -> np.ndarray:
    """Return Φ at points, (N, P)."""
    with numerics():
        return np.asarray(_matrix(basis, parameters, jnp.asarray(x)))


@eqx.filter_jit
def _matrix(basis: AbstractBasis, parameters: Parameters, x: Array) -> Array:
    return rows.evaluate(Identity(), basis, parameters, x)

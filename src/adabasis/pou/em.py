"""Expectation–maximisation as a trainer: polynomials and levels in closed form, then the borders.

The expected likelihood of the partition is moved uphill by some steps of L-BFGS each time (a
generalised M-step: any rise will do). Sharp borders have no slope and stay where they are.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from typing import Any, ClassVar, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import scipy.optimize
from jax import Array
from jax.flatten_util import ravel_pytree

from .. import rows
from .._runtime.compute import quickly
from .._runtime.notation import Parameters, RandomKey
from ..basis import AbstractPartition
from ..train import AbstractTrainer, Budget, Evaluation, Objective
from .mixture import LOG_2PI, Mixture, Sample, normalized
from .segmentation import FLOOR
from .unequal import MOST_LOG, least_error

#: Steps of a run, which ends where one changes the loss by less than this share.
STEPS, CHANGE = 60, 1e-7
#: Steps of L-BFGS in each, and the slope below which none is taken.
INNER, FLAT = 20, 1e-12
Scatter = Callable[[rows.Term], np.ndarray]


class Step(NamedTuple):
    """Where a run is.

    Attributes
    ----------
    mixture : Mixture
    fixed : bool
        Whether the borders have no slope.
    ties : array or None
        Those that belong to the borders.
    loss : float
        The last.
    """

    mixture: Mixture
    fixed: bool
    ties: np.ndarray | None
    loss: float = math.inf


@dataclasses.dataclass(frozen=True)
class MixtureEvaluation(Evaluation):
    """One with the mixture that it is of."""

    mixture: Mixture


class EM(AbstractTrainer):
    """Expectation–maximisation for probabilistic partition of unity networks.

    Its loss is the geometric mean of squares: with N rows of Q outputs of the density p it is
    exp(−2 Σ ln p / (N Q)) / 2πe, the variance where that is the same everywhere.

    Parameters
    ----------
    ridge : float or None
        λ in the sum over rows; ``None``: as the noise of each part calls for.
    per_weight : float
        Rows that one unit of weight stands for.
    scatter : callable
        From a term to the mean squares (N, Q) of what its data are means of.
    around : callable
        From points not seen (N, D) to those and seen ones around each, (N, k, D).
    n_rows : float
        How many rows are seen.
    """

    minimizes: ClassVar[type] = Objective
    joint: ClassVar[bool] = True
    interpreted: ClassVar[bool] = True
    ridge: float | None = eqx.field(static=True)
    per_weight: float = eqx.field(static=True)
    scatter: Scatter = eqx.field(static=True)
    around: Callable[[np.ndarray], np.ndarray] = eqx.field(static=True)
    n_rows: float = eqx.field(static=True)

    @property
    def pace(self) -> Budget:
        """Few steps, looked at one by one."""
        return Budget(max_steps=STEPS, check_every=1, patience=STEPS)

    def init(self, objective: Objective, parameters: Parameters, key: RandomKey) -> Any:
        """Start from the shares of the partition alone."""
        del key
        basis: Any = objective.basis
        mixture = Mixture(basis, jax.tree.map(np.asarray, parameters))
        return Step(self.levelled(objective, mixture), fixed=False, ties=None)

    def levelled(self, objective: Objective, mixture: Mixture) -> Mixture:
        """Return a mixture with polynomials and levels of the shares that it has."""
        sample, ties = self.sample(objective.terms[0]), ties_of(objective, mixture)
        return mixture.maximized(mixture.moments(sample), self.ridge, ties)

    def sample(self, term: Any) -> Sample:
        """Return the rows of a term without its padding."""
        weight = np.asarray(term.points.weight)
        seen = weight > 0
        x, y, w = (np.asarray(a)[seen] for a in (term.points.x, term.data, weight))
        return Sample(x, y, self.per_weight * w, self.scatter(term))

    def step(self, objective: Objective, state: Step) -> tuple[Step, Evaluation]:
        """Evaluate; then take the polynomials, the levels and the borders by turns."""
        sample, mixture = self.sample(objective.terms[0]), state.mixture
        moments = mixture.moments(sample)
        n = float(sample.weight.sum()) * sample.y.shape[1]
        exponent = -2 * moments.log_likelihood / n - LOG_2PI - 1.0
        loss = math.exp(exponent) if exponent < math.log(np.finfo(float).max) else math.inf
        stuck = math.isfinite(state.loss) and abs(state.loss - loss) <= CHANGE * loss
        assert mixture.coefficients is not None
        now = MixtureEvaluation(
            loss,  # type: ignore[arg-type]
            mixture.parameters,
            mixture.coefficients,  # type: ignore[arg-type]
            len(mixture.coefficients),  # type: ignore[arg-type]
            0.0,  # type: ignore[arg-type]
            stuck,  # type: ignore[arg-type]
            mixture,
        )
        if stuck:
            return state, now
        ties = ties_of(objective, mixture) if state.ties is None else state.ties
        moved, fixed = mixture.maximized(moments, self.ridge, ties), state.fixed
        if not fixed and mixture.n_parts > 1 and mixture.basis.trainable:
            shares = sample.weight[:, None] * normalized(mixture.joint(sample))[0]
            partition = uphill(mixture.basis.unity, mixture.parameters.partition, sample.x, shares)
            fixed = partition is None
            if partition is not None:
                parameters = mixture.parameters._replace(partition=partition)
                moved = dataclasses.replace(moved, parameters=parameters)
        return Step(moved, fixed, ties if fixed else None, loss), now

    def goal(self, objective: Objective, tol: float) -> float:
        """Return ``tol``² times the data's mean square; rows may always be likelier yet."""
        if not tol:
            return 0.0
        sample = self.sample(objective.terms[0])
        squares = np.average(np.mean(sample.y**2, axis=1), weights=sample.weight)
        return tol**2 * float(squares)

    def judge(self, objective: Objective) -> Callable[[Evaluation], float]:
        """Return what measures the error of which rows, seen or not, are as likely as they are.

        Few rows not seen tell levels and borders by chance; of those that are seen, which are many
        more, each number of the mixture costs what Schwarz's criterion says, ½ ln N.
        """
        sample = self.sample(objective.terms[0])
        around, unseen = self.around(sample.x), float(sample.weight.sum())

        def error(now: Evaluation) -> float:
            assert isinstance(now, MixtureEvaluation)
            mixture, n_rows = now.mixture, self.n_rows + unseen
            if not 0 < now.loss < math.inf:
                return math.inf
            of_seen = 0.5 * self.n_rows * math.log(now.loss)
            of_unseen = unseen * math.log(max(error_of(mixture, sample, around), FLOOR))
            price = 0.5 * math.log(n_rows) * mixture.n_numbers / sample.y.shape[1]
            return math.exp(min((of_seen + of_unseen + price) / n_rows, MOST_LOG))

        return error


def error_of(mixture: Mixture, sample: Sample, around: np.ndarray) -> float:
    """Return the error of which rows are as likely as they are, or the root mean square if less.

    See :meth:`Mixture.unseen_likelihood`.
    """
    moments = mixture.moments(sample)
    total, n_outputs = float(sample.weight.sum()), sample.y.shape[1]
    log_likelihood = mixture.unseen_likelihood(sample, around)
    loss = -2 * log_likelihood / total / n_outputs - LOG_2PI - 1.0
    rms = math.sqrt(float(moments.squares.mean()) / total)
    return least_error(np.array([loss]), np.ones(1), rms)


def ties_of(objective: Objective, mixture: Mixture) -> np.ndarray | None:
    """Return the triangle of an objective's ties for the sum over rows, if it has any."""
    if len(objective.terms) == 1:
        return None
    term: Any = objective.terms[1]
    n_rows = np.count_nonzero(np.asarray(term.points.weight))
    return math.sqrt(n_rows) * np.asarray(_ties(objective.basis, mixture.parameters, term))


@quickly()
def _ties(basis: Any, parameters: Parameters, term: rows.TieTerm) -> Array:
    tied = term.root_weights[:, None] * term.design(basis, parameters)
    return jnp.linalg.qr(tied, mode="r")


def uphill(
    unity: AbstractPartition, parameters: Parameters, x: np.ndarray, shares: np.ndarray
) -> Parameters | None:
    """Return ξ of a larger expected likelihood Σ shares ln φ; ``None`` where it has no slope.

    Parameters
    ----------
    unity : AbstractPartition
    parameters : pytree
    x : array, shape (N, D)
    shares : array, shape (N, N_part)
        Of every part in every row, times the row's weight.
    """
    flat, unravel = ravel_pytree(jax.tree.map(jnp.asarray, parameters))
    share = shares / shares.sum()

    def lost(flat: np.ndarray) -> tuple[float, np.ndarray]:
        value, slope = _surprise(unity, unravel(jnp.asarray(flat)), x, share)
        found = np.asarray(ravel_pytree(slope)[0], dtype=float)
        return float(value), np.where(np.isfinite(found), found, 0.0)

    start = np.asarray(flat, dtype=float)
    first, slope = lost(start)
    if np.abs(slope * np.maximum(np.abs(start), 1.0)).max(initial=0.0) <= FLAT:
        return None
    # Logits are large where borders are sharp: each number moves in shares of its size.
    size = np.maximum(np.abs(start), 1.0)

    def scaled(z: np.ndarray) -> tuple[float, np.ndarray]:
        value, slope = lost(size * z)
        return value, size * slope

    found = scipy.optimize.minimize(
        scaled, start / size, jac=True, method="L-BFGS-B", options={"maxiter": INNER}
    )
    better = found.fun < first and np.isfinite(found.x).all()
    moved = unravel(jnp.asarray(size * found.x if better else start))
    return jax.tree.map(np.asarray, moved)


@quickly()
def _surprise(
    unity: Any, parameters: Parameters, x: np.ndarray, share: np.ndarray
) -> tuple[Array, Any]:
    def lost(parameters: Parameters) -> Array:
        logs = jax.vmap(unity.log_shares, in_axes=(0, None))(jnp.asarray(x), parameters)
        return -jnp.sum(jnp.where(share > 0, share * logs, 0.0))

    return jax.value_and_grad(lost)(parameters)

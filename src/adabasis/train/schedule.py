"""Training in two phases: with a ridge on the coefficients that fades, then without.

What keeps the parts of a partition of unity alive, and makes them local, belongs to the first.
"""

from __future__ import annotations

import dataclasses
import math
from typing import Any, ClassVar

import equinox as eqx
import jax
import jax.numpy as jnp
from jax import Array

from .._runtime.notation import AnyArray, Parameters, RandomKey, Scalar
from ..basis import PartitionBasis
from ..basis.pou.partition import AbstractSoftmax
from .base import AbstractTrainer, Budget, Evaluation, Objective, choose

#: Of logits: the smallest factor looked for, and steps of the search.
LEAST_FACTOR, HALVINGS = 1e-9, 40
#: A relative fall of the loss below which a step counts as standing still.
LEAST_FALL = 1e-3


@dataclasses.dataclass(frozen=True)
class Locality:
    r"""A term of the loss that favours partitions whose parts are all used, and hardly overlap.

    .. math::

        -\frac{b}{N} \sum_\alpha \log(N \bar\varphi_\alpha)
        + s\, t^2\, \frac{\overline{H}}{\log N},
        \qquad \overline{H} = -\frac{1}{n} \sum_i \sum_\alpha \varphi_\alpha(x_i)
        \log \varphi_\alpha(x_i)

    with N parts, φ̄_α the mean of φ_α over the points, and t the share of the phase that is over.
    The first term is a barrier: a part that shrinks to nothing costs without bound, and even
    shares cost nothing. The second is the mean entropy of the shares, which is zero where every
    point belongs to one part; it grows with t, as in deterministic annealing [1]_, so that
    borders find their places while they are soft. Mutual information of points and parts, which
    discriminative clustering maximises [2]_, is a barrier and an entropy, too.

    Parameters
    ----------
    balance, sharpness : float
        b and s, for a loss that is a mean square of standardised values.
    release : float
        Mean of max φ that phase 2 begins with, where it is lower than that of the parts found:
        all logits are made smaller by one factor, which leaves every border where it is. Where
        parts are sharp, the loss has no slope in ξ, and descent would need long to soften them.

    Raises
    ------
    ValueError
        For a negative weight, or a release that is no share.

    References
    ----------
    .. [1] Rose, "Deterministic annealing for clustering, compression, classification, regression,
       and related optimization problems", Proc. IEEE 86 (1998).
    .. [2] Krause, Perona, Gomes, "Discriminative clustering by regularized information
       maximization", NeurIPS 2010.
    """

    balance: float = 0.3
    sharpness: float = 2.0
    release: float = 0.8

    def __post_init__(self) -> None:
        if not (self.balance >= 0 and self.sharpness >= 0 and 0 < self.release <= 1):
            raise ValueError(
                f"Locality(balance={self.balance!r}, sharpness={self.sharpness!r}, "
                f"release={self.release!r}): expected two numbers of at least 0 and a share, "
                "0 < release ≤ 1."
            )

    def check(self, objective: Objective) -> None:
        """Refuse a basis that has no logits.

        Raises
        ------
        ValueError
        """
        basis = objective.basis
        if not (isinstance(basis, PartitionBasis) and isinstance(basis.unity, AbstractSoftmax)):
            raise ValueError(
                f"Locality: expected a PartitionBasis whose partition is trained, got {basis!r}."
            )

    def __call__(self, objective: Objective, parameters: Parameters, over: AnyArray) -> Scalar:
        """Return the term at ξ, ``over`` being the share of the phase that is over."""
        basis, means, logits = _logits(objective, parameters)
        log_phi, count = jax.nn.log_softmax(logits, axis=1), basis.n_partitions
        mean_log = jax.nn.logsumexp(log_phi + jnp.log(means)[:, None], axis=0)
        barrier = -jnp.mean(mean_log) - jnp.log(1.0 * count)
        entropy: Array = -means @ jnp.sum(jnp.exp(log_phi) * log_phi, axis=1)
        scale = jnp.log(1.0 * max(count, 2))
        return self.balance * barrier + self.sharpness * over**2 * entropy / scale

    def released(self, objective: Objective, parameters: Parameters) -> Parameters:
        """Return ξ with all logits so much smaller that the mean of max φ is ``release``."""
        basis, means, logits = _logits(objective, parameters)

        def halved(_: int, bounds: tuple[Array, Array]) -> tuple[Array, Array]:
            low, high = bounds
            middle = (low + high) / 2
            phi = jax.nn.softmax(jnp.exp(middle) * logits, axis=1)
            soft = means @ jnp.max(phi, axis=1) < self.release
            return jnp.where(soft, middle, low), jnp.where(soft, high, middle)

        bounds = jnp.asarray(math.log(LEAST_FACTOR), logits.dtype), jnp.zeros((), logits.dtype)
        _, high = jax.lax.fori_loop(0, HALVINGS, halved, bounds)
        softer = basis.unity.sharpened(parameters.partition, jnp.exp(high))
        return parameters._replace(partition=softer)


def _logits(objective: Objective, parameters: Parameters) -> tuple[PartitionBasis, Array, Array]:
    # Return the basis, the weights of the points as shares (N,), and their logits (N, N_part).
    basis = objective.basis
    assert isinstance(basis, PartitionBasis)
    unity = basis.unity
    assert isinstance(unity, AbstractSoftmax)
    points = objective.terms[0].points
    x, weight = jnp.asarray(points.x), jnp.asarray(points.weight)
    logits = jax.vmap(lambda point: unity.logits(point, parameters.partition))(x)
    return basis, weight / jnp.sum(weight), logits


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class TwoPhaseState:
    """Everything a run needs to go on.

    Attributes
    ----------
    inner : pytree
        The trainer's own.
    lam : scalar
        λ now.
    least : scalar
        Smallest loss since λ changed last.
    still, count : integers
        Steps since the loss fell, and in all.
    best : pytree
        Parameters of the smallest loss since λ changed last, where phase 2 starts.
    """

    inner: Any
    lam: Array
    least: Array
    still: Array
    count: Array
    best: Parameters


class TwoPhase(AbstractTrainer):
    r"""Two-phase training of partition of unity networks (Algorithm 2 of the slides).

    Phase 1 minimises ‖A c − y‖² + λ ‖c‖², summed over the rows with y in the model's
    (standardised) units. Where the loss has not fallen for ``n_stag`` steps, λ ← ρ λ. The ridge
    keeps any partition from shrinking to nothing while its coefficients grow. Phase 2 starts
    from the best parameters found, with λ = 0.

    Parameters
    ----------
    trainer : LSGD or LSGN
        What takes the steps. (Adam's moments go on over changes of λ and are reset for phase 2.)
    lam : float
        λ at first.
    rho : float
        0 ≤ ρ < 1.
    n_stag : int
        Of LSGD steps a hundred or so, of LSGN steps a few.
    pre_steps, steps : int
        Of phases 1 and 2.
    locality : Locality, optional
        A term of phase 1 that keeps all parts in use and makes them local, for LSGD only. As its
        weight grows, losses cannot be compared: phase 2 starts from the last parameters then,
        softened. The published algorithm has no such term: its ridge alone leaves some parts
        empty and others wide.

    Raises
    ------
    ValueError
        For numbers out of range, GD, whose coefficients are not solved for, or locality with
        another trainer than LSGD or without a trained partition.
    """

    sets_ridge: ClassVar[bool] = True
    trainer: AbstractTrainer = eqx.field(static=True)
    lam: float = eqx.field(static=True, default=0.1)
    rho: float = eqx.field(static=True, default=0.99)
    n_stag: int = eqx.field(static=True, default=100)
    pre_steps: int = eqx.field(static=True, default=1000)
    steps: int = eqx.field(static=True, default=1000)
    locality: Locality | None = eqx.field(static=True, default=None, kw_only=True)

    def __check_init__(self) -> None:
        if self.trainer.joint or self.trainer.sets_ridge:
            raise ValueError(
                f"TwoPhase({self.trainer!r}): expected a trainer that solves for the coefficients, "
                "LSGD or LSGN."
            )
        if self.locality is not None and not self.trainer.takes_prior:
            raise ValueError(
                f"TwoPhase({self.trainer!r}, locality={self.locality!r}): the term is no sum of "
                "squares, so it needs LSGD."
            )
        good = 0 < self.lam < math.inf and 0 <= self.rho < 1
        if not (good and self.n_stag >= 1 and self.pre_steps >= 0 and self.steps >= 0):
            raise ValueError(
                f"TwoPhase(lam={self.lam}, rho={self.rho}, n_stag={self.n_stag}, "
                f"pre_steps={self.pre_steps}, steps={self.steps}): expected lam > 0, 0 ≤ rho < 1, "
                "n_stag ≥ 1 and steps of at least 0."
            )

    @property
    def pace(self) -> Budget:
        """Both phases; held-out error may end the second only."""
        inner, steps = self.trainer.pace, self.pre_steps + self.steps
        patience = self.pre_steps + inner.patience
        return dataclasses.replace(inner, max_steps=steps, patience=patience)

    def init(self, objective: Objective, parameters: Parameters, key: RandomKey) -> Any:
        """Start phase 1 at ``parameters``."""
        if self.locality is not None:
            self.locality.check(objective)
        dtype = objective.targets.dtype
        first = self.lam if self.pre_steps else 0.0
        return TwoPhaseState(
            inner=self.trainer.init(objective, parameters, key),
            lam=jnp.asarray(first, dtype),
            least=jnp.asarray(jnp.inf, dtype),
            still=jnp.asarray(0),
            count=jnp.asarray(0),
            best=parameters,
        )

    def step(self, objective: Objective, state: Any) -> tuple[Any, Evaluation]:
        """Take a step with the present λ, then see whether it is to change."""
        ridge = objective.ridge + state.lam / _total(objective)
        ridged = dataclasses.replace(objective, ridge=ridge)
        inner, now = self._inner_step(ridged, state)
        better = now.loss < state.least
        best = choose(better, now.parameters, state.best)
        fell = now.loss < (1 - LEAST_FALL) * state.least
        still, count = jnp.where(fell, 0, state.still + 1), state.count + 1
        pretraining = state.count < self.pre_steps
        fades = pretraining & ((still >= self.n_stag) | now.stuck)
        starts = count == self.pre_steps
        start = self._start(objective, now, best, starts)
        fresh = self.trainer.init(objective, start, jax.random.key(0))
        inner = choose(starts | (fades & now.stuck), fresh, inner)
        lam = jnp.where(fades, self.rho * state.lam, state.lam)
        changed = fades | starts
        state = TwoPhaseState(
            inner=inner,
            lam=jnp.where(count >= self.pre_steps, 0.0, lam),
            least=jnp.where(changed, jnp.inf, jnp.minimum(now.loss, state.least)),
            still=jnp.where(changed, 0, still),
            count=count,
            best=best,
        )
        return state, dataclasses.replace(now, stuck=now.stuck & ~pretraining)

    def _start(
        self, objective: Objective, now: Evaluation, best: Parameters, starts: Array
    ) -> Parameters:
        # Return where the trainer begins afresh.
        term = self.locality
        if term is None:
            return best
        return jax.lax.cond(starts, lambda: term.released(objective, now.parameters), lambda: best)

    def _inner_step(self, objective: Objective, state: TwoPhaseState) -> tuple[Any, Evaluation]:
        if self.locality is None:
            return self.trainer.step(objective, state.inner)
        term, over = self.locality, state.count / max(self.pre_steps, 1)

        def prior(parameters: Parameters) -> Array:
            return jax.lax.cond(
                state.count < self.pre_steps,
                lambda: term(objective, parameters, over),
                lambda: jnp.zeros((), over.dtype),
            )

        # Only trainers that take a prior are let in beside one.
        taking: Any = self.trainer
        return taking.step(objective, state.inner, prior)


def _total(objective: Objective) -> Array:
    # Return the number of rows, by their weights: λ is to be one of sums, rows are means.
    return jnp.sum(jnp.stack([jnp.sum(jnp.asarray(t.points.weight)) for t in objective.terms]))

"""Training in two phases: first with a ridge on the coefficients that fades, then without."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jax import Array

from .._runtime.notation import Parameters, RandomKey
from .locality import Locality
from .steps import GD, LSGD, AbstractTrainer, Evaluation, Objective, Pace

LEAST_FALL = 1e-3
"""A relative fall of the loss below which a step counts as standing still."""


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

    trainer: AbstractTrainer = eqx.field(static=True)
    lam: float = eqx.field(static=True, default=0.1)
    rho: float = eqx.field(static=True, default=0.99)
    n_stag: int = eqx.field(static=True, default=100)
    pre_steps: int = eqx.field(static=True, default=1000)
    steps: int = eqx.field(static=True, default=1000)
    locality: Locality | None = eqx.field(static=True, default=None, kw_only=True)

    def __check_init__(self) -> None:
        if isinstance(self.trainer, GD | TwoPhase):
            raise ValueError(
                f"TwoPhase({self.trainer!r}): expected a trainer that solves for the coefficients, "
                "LSGD or LSGN."
            )
        if self.locality is not None and not isinstance(self.trainer, LSGD):
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
    def pace(self) -> Pace:
        """Both phases; held-out error may end the second only."""
        inner = self.trainer.pace
        steps = self.pre_steps + self.steps
        return Pace(steps, inner.check_every, self.pre_steps + inner.patience)

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
        best = _choose(better, now.parameters, state.best)
        fell = now.loss < (1 - LEAST_FALL) * state.least
        still, count = jnp.where(fell, 0, state.still + 1), state.count + 1
        pretraining = state.count < self.pre_steps
        fades = pretraining & ((still >= self.n_stag) | now.stuck)
        starts = count == self.pre_steps
        start = self._start(objective, now, best, starts)
        fresh = self.trainer.init(objective, start, jax.random.key(0))
        inner = _choose(starts | (fades & now.stuck), fresh, inner)
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
        """Return where the trainer begins afresh."""
        term = self.locality
        if term is None:
            return best
        return jax.lax.cond(starts, lambda: term.released(objective, now.parameters), lambda: best)

    def _inner_step(self, objective: Objective, state: TwoPhaseState) -> tuple[Any, Evaluation]:
        if self.locality is None:
            return self.trainer.step(objective, state.inner)
        assert isinstance(self.trainer, LSGD)
        term, over = self.locality, state.count / max(self.pre_steps, 1)

        def prior(parameters: Parameters) -> Array:
            return jax.lax.cond(
                state.count < self.pre_steps,
                lambda: term(objective, parameters, over),
                lambda: jnp.zeros((), over.dtype),
            )

        return self.trainer.step_with(objective, state.inner, prior)


def _total(objective: Objective) -> Array:
    """Return the number of rows, by their weights: λ is to be one of sums, rows are means."""
    return jnp.sum(jnp.stack([jnp.sum(jnp.asarray(t.points.weight)) for t in objective.terms]))


def _choose(condition: Array, yes: Any, no: Any) -> Any:
    return jax.tree.map(lambda a, b: jnp.where(condition, a, b), yes, no)

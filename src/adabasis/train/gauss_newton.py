r"""Gauss–Newton on ξ with the coefficients projected out (variable projection).

With c(ξ) the (ridged) least-squares solution, the loss is F(ξ) = min_c ‖A(ξ) c − b‖² + λ‖c‖². Its
Gauss–Newton matrix is the part of J = ∂(A(ξ) c)/∂ξ outside the span of the columns (Kaufman's
simplification of Golub–Pereyra [1]_ [2]_): P⊥J. Two passes of the one primitive give it without
normal equations:

1. reduce [A | b]; the SVD U S Vᵀ of its triangle gives c for every ridge;
2. reduce [A V/√(S²+λ) | J | ρ] (with the rows of the ridge below). The first block has orthonormal
   columns, so the trailing triangle is that of (P⊥J, ρ).

The damped step solves the small triangular system with the rows √damping·D appended.

References
----------
.. [1] Golub, Pereyra, "The differentiation of pseudo-inverses and nonlinear least squares
   problems whose variables separate", SIAM J. Numer. Anal. 10 (1973).
.. [2] Kaufman, "A variable projection method for solving separable nonlinear least squares
   problems", BIT 15 (1975).
.. [3] Nielsen, "Damping parameter in Marquardt's method", IMM-REP-1999-05.
"""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jax import Array
from jax.flatten_util import ravel_pytree

from .. import lstsq
from ..notation import Parameters, RandomKey
from .steps import AbstractTrainer, Evaluation, Objective, Pace

FIRST_RIDGE, LAST_RIDGE = 1e-8, 1e-13
"""Relative ridge of the first and of the last steps, as a share of the largest singular value.

The ridged loss is differentiable in ξ where functions become dependent; a truncated one is not.
"""
RIDGE_FALL = 1 / 3
FIRST_DAMPING = 1e-2
LEAST_DAMPING = 1e-15
NO_PROGRESS = 1e-15
"""A predicted relative fall of the loss that round-off would hide: the run has converged."""


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class GaussNewtonState:
    """Everything a run needs to go on.

    Attributes
    ----------
    trial : pytree
        Parameters to be evaluated next.
    good : array, shape (n,)
        The best parameters so far, flat, whose linearisation ``system`` is.
    loss : scalar
        Regularised loss there, with the present ridge.
    ridge : scalar
        Relative ridge μ.
    system : array, shape (rows, n + 1)
        Rows of the projected linear model of the residual, (P⊥J | ρ).
    scale : array, shape (n,)
        D: the largest column norms met so far (1978, MINPACK).
    damping, growth : scalars
        Levenberg–Marquardt damping, and its factor at the next rejection [3]_.
    predicted : scalar
        Fall of the loss that the linear model promises for ``trial``.
    """

    trial: Parameters
    good: Array
    loss: Array
    ridge: Array
    system: Array
    scale: Array
    damping: Array
    growth: Array
    predicted: Array


class LSGN(AbstractTrainer):
    """Least squares for the coefficients, one damped Gauss–Newton step for ξ; nothing to tune.

    A step is accepted only if the regularised loss falls; otherwise the damping rises and the next
    trial starts from the same point, whose linear model is kept. A step costs one factorization of
    N × (P + n) numbers, n being the number of hidden parameters; memory is a few times that.

    Parameters
    ----------
    jacobian : {"kaufman", "golub-pereyra"}
        The full Golub–Pereyra Jacobian adds the change of the projector's range. It costs P more
        reverse passes and seldom pays.
    """

    jacobian: str = eqx.field(static=True, default="kaufman", kw_only=True)

    def __check_init__(self) -> None:
        if self.jacobian not in ("kaufman", "golub-pereyra"):
            raise ValueError(
                f"LSGN(jacobian={self.jacobian!r}): expected 'kaufman' or 'golub-pereyra'."
            )

    @property
    def pace(self) -> Pace:
        """Gauss–Newton steps are few and costly."""
        return Pace(steps=200, check_every=2, patience=50)

    def init(self, objective: Objective, parameters: Parameters, key: RandomKey) -> Any:
        """Start at ``parameters``; the key is not used."""
        del key
        flat, _ = ravel_pytree(parameters)
        n, shape = flat.shape[0], jax.eval_shape(objective.design, parameters)
        outputs = objective.targets.shape[1]
        n_rows = outputs**2 * (n + 1)
        if self.jacobian == "golub-pereyra":
            n_rows += outputs * shape.shape[1]

        def number(value: float) -> Array:
            return jnp.asarray(value, flat.dtype)

        return GaussNewtonState(
            trial=parameters,
            good=flat,
            loss=number(jnp.inf),
            ridge=number(FIRST_RIDGE),
            system=jnp.zeros((n_rows, n + 1), flat.dtype),
            scale=jnp.zeros(n, flat.dtype),
            damping=number(FIRST_DAMPING),
            growth=number(2.0),
            predicted=number(1.0),
        )

    def step(self, objective: Objective, state: Any) -> tuple[Any, Evaluation]:
        """Evaluate the trial, accept or reject it, and propose the next."""
        trial = state.trial
        a, b = objective.design(trial), objective.targets
        spectrum = _Spectrum.of(a, b)
        ridge = spectrum.weight(state.ridge, objective.ridge)
        c = spectrum.coefficients(ridge)
        loss = _loss(a @ c - b, c, ridge)
        state = jax.lax.cond(
            loss < state.loss,
            lambda s: self._accept(objective, s, a, spectrum, loss),
            lambda s: dataclasses.replace(s, damping=s.damping * s.growth, growth=2 * s.growth),
            state,
        )
        state = _propose(state, ravel_pytree(trial)[1])
        stuck = ~(state.predicted > NO_PROGRESS * state.loss)
        return state, Evaluation(loss, trial, c, spectrum.rank, state.damping, stuck)

    def _accept(
        self,
        objective: Objective,
        state: GaussNewtonState,
        a: Array,
        spectrum: _Spectrum,
        loss: Array,
    ) -> GaussNewtonState:
        """Move to the trial, lower the ridge and linearise there."""
        flat, unravel = ravel_pytree(state.trial)
        gain = (state.loss - loss) / state.predicted
        easier = jnp.clip(1 - (2 * gain - 1) ** 3, 1 / 3, 2.0)
        first = jnp.isinf(state.loss)
        damping = jnp.where(
            first, state.damping, jnp.maximum(state.damping * easier, LEAST_DAMPING)
        )
        mu = jnp.where(first, state.ridge, jnp.maximum(state.ridge * RIDGE_FALL, LAST_RIDGE))
        ridge = spectrum.weight(mu, objective.ridge)
        c = spectrum.coefficients(ridge)
        residual = a @ c - objective.targets
        jacobian = objective.jacobian(unravel(flat), c)
        system = _projected(a, jacobian, residual, c, spectrum, ridge)
        if self.jacobian == "golub-pereyra":
            system = jnp.concatenate(
                [system, _range_rows(objective, state.trial, residual, spectrum, ridge)]
            )
        scale = jnp.maximum(state.scale, jnp.linalg.norm(system[:, :-1], axis=0))
        return dataclasses.replace(
            state,
            good=flat,
            loss=jnp.minimum(loss, _loss(residual, c, ridge)),  # but for round-off, the latter
            ridge=mu,
            system=system,
            scale=scale,
            damping=damping,
            growth=jnp.full_like(state.growth, 2.0),
        )


def _loss(residual: Array, c: Array, ridge: Array) -> Array:
    return (jnp.sum(residual**2) + ridge * jnp.sum(c**2)) / residual.shape[1]


def _propose(state: GaussNewtonState, unravel: Any) -> GaussNewtonState:
    """Solve the damped linear model for the next trial."""
    jacobian, residual = state.system[:, :-1], state.system[:, -1:]
    scale = jnp.where(state.scale > 0, state.scale, 1.0)
    rows_of_damping = jnp.diag(jnp.sqrt(state.damping) * scale)
    reduction = lstsq.reduce(
        jnp.concatenate([jacobian, rows_of_damping]),
        jnp.concatenate([-residual, jnp.zeros((scale.shape[0], 1), residual.dtype)]),
    )
    step = jax.scipy.linalg.solve_triangular(reduction.triangle, reduction.rotated)
    # ‖ρ‖² − ‖ρ + J s‖², without cancellation: s solves (JᵀJ + damping D²) s = −Jᵀρ.
    fall = jnp.sum((jacobian @ step) ** 2) + 2 * jnp.sum((rows_of_damping @ step) ** 2)
    return dataclasses.replace(state, trial=unravel(state.good + step[:, 0]), predicted=fall)


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class _Spectrum:
    """The SVD of the triangle of [A | b]: coefficients for every ridge."""

    s: Array
    vt: Array
    inside: Array

    @classmethod
    def of(cls, a: Array, b: Array) -> _Spectrum:
        reduction = lstsq.reduce(a, b)
        u, s, vt = jnp.linalg.svd(reduction.triangle, full_matrices=False)
        return cls(s, vt, u.T @ reduction.rotated)

    @property
    def rank(self) -> Array:
        return jnp.sum(self.s > LAST_RIDGE * self.s[0])

    def weight(self, mu: Array, ridge: float | Array) -> Array:
        """Return λ for a relative ridge μ and the objective's own."""
        return (mu * self.s[0]) ** 2 + ridge

    def coefficients(self, ridge: Array) -> Array:
        return self.vt.T @ ((self.s / (self.s**2 + ridge))[:, None] * self.inside)

    def orthonormal(self, a: Array, ridge: Array) -> Array:
        """Return an orthonormal basis of the span of the columns of A and of the ridge's rows."""
        v = self.vt.T / jnp.sqrt(self.s**2 + ridge)
        return jnp.concatenate([a @ v, jnp.sqrt(ridge) * v])


def _projected(
    a: Array, jacobian: Array, residual: Array, c: Array, spectrum: _Spectrum, ridge: Array
) -> Array:
    """Return rows (P⊥J | ρ) of all outputs: their triangle, the columns' span removed.

    ``jacobian`` is (N, Q, n). One QR of [basis | J_1 … J_Q | ρ_1 … ρ_Q] serves all outputs.
    """
    n_rows, outputs, n = jacobian.shape
    p = a.shape[1]
    blocks = jnp.concatenate([jacobian.reshape(n_rows, outputs * n), residual], axis=1)
    below = jnp.concatenate([jnp.zeros((p, outputs * n), a.dtype), jnp.sqrt(ridge) * c], axis=1)
    stacked = jnp.concatenate([blocks, below])
    triangle = lstsq.triangularize(
        jnp.concatenate([spectrum.orthonormal(a, ridge), stacked], axis=1)
    )
    trailing = triangle[p:, p:]
    systems = [
        jnp.concatenate(
            [trailing[:, q * n : (q + 1) * n], trailing[:, outputs * n + q, None]], axis=1
        )
        for q in range(outputs)
    ]
    return jnp.concatenate(systems) / math.sqrt(outputs)


def _range_rows(
    objective: Objective,
    parameters: Parameters,
    residual: Array,
    spectrum: _Spectrum,
    ridge: Array,
) -> Array:
    """Return the rows that the full Jacobian adds: −(A⁺)ᵀ ∂(Aᵀρ)/∂ξ, in coordinates of the span.

    With ρ = −P⊥b: dρ = P⊥ dA c − (A⁺)ᵀ dAᵀ ρ, and the two parts are orthogonal.
    """

    def correlation(parameters: Parameters) -> Array:
        return objective.design(parameters).T @ residual

    outputs = residual.shape[1]
    tree = jax.jacrev(correlation)(parameters)
    flat = jnp.concatenate(
        [leaf.reshape(*leaf.shape[:2], -1) for leaf in jax.tree.leaves(tree)], axis=2
    )
    inverse = spectrum.vt / jnp.sqrt(spectrum.s**2 + ridge)[:, None]
    added = -jnp.einsum("kp,pqn->qkn", inverse, flat).reshape(-1, flat.shape[2])
    return jnp.pad(added / math.sqrt(outputs), ((0, 0), (0, 1)))

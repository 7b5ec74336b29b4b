r"""Gauss–Newton on ξ with the coefficients projected out (variable projection).

With c(ξ) the (ridged) least-squares solution, the loss is F(ξ) = min_c ‖A(ξ) c − b‖² + λ‖c‖². Its
Gauss–Newton matrix is the part of J = ∂(A(ξ) c)/∂ξ outside the span of the columns (Kaufman's
simplification of Golub–Pereyra [1]_ [2]_): P⊥J. Two passes of the one primitive give it without
normal equations:

1. reduce [A | b]; the SVD U S Vᵀ of its triangle gives c for every ridge;
2. reduce [A V/√(S²+λ) | J | ρ] (with the rows of the ridge below). The first block has orthonormal
   columns, so the trailing triangle is that of (P⊥J, ρ).

The damped step s solves the small triangular system with the rows √damping·D appended. To it is
added half the geodesic acceleration [4]_, the step that undoes the residual's second derivative
along s, ρ″ = P⊥(A″c + 2A′c′) with c′ = −A⁺A′c (Kaufman's, again), but not where A(ξ) has kinks. It
costs one second derivative in one direction; on sin 2πx with 8 functions it takes the steps to 1e-9
from 25 to 16 in the mean. A rejected step tries again with more damping, and takes ρ″ along the
first, as a square of the length.

References
----------
.. [1] Golub, Pereyra, "The differentiation of pseudo-inverses and nonlinear least squares
   problems whose variables separate", SIAM J. Numer. Anal. 10 (1973).
.. [2] Kaufman, "A variable projection method for solving separable nonlinear least squares
   problems", BIT 15 (1975).
.. [3] Nielsen, "Damping parameter in Marquardt's method", IMM-REP-1999-05.
.. [4] Transtrum, Sethna, "Improvements to the Levenberg–Marquardt algorithm for nonlinear
   least-squares minimization", arXiv:1201.5885 (2012).
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
from jax import Array
from jax.flatten_util import ravel_pytree

from .. import lstsq
from .._runtime.notation import Parameters, RandomKey
from . import matrix_free
from .project import (
    FIRST_RIDGE,
    NO_PROGRESS,
    Spectrum,
    damped,
    first_damping,
    lowered,
    projected_loss,
)
from .steps import AbstractTrainer, Evaluation, Objective, Pace

MOST_BENT = 0.375
"""Half the acceleration is cut to this share of the step where it is longer: .2 to .7 do alike."""
MOST_WORK = 5e9
"""Multiplications of a step's factorization above which it is avoided: some 1,000 hidden
parameters on 2,000 rows, where both solvers reach a loss in about the same time."""
MOST_NUMBERS = 10**8
"""Entries of the matrix that is factored, likewise: 0.8 GB, and as much again to work on."""


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
    bend : array, shape (n,)
        (P⊥J)ᵀρ″ along a step from ``good`` that was one long: a step of length ‖D s‖ has that
        squared times it.
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
    bend: Array


class LSGN(AbstractTrainer):
    """Least squares for the coefficients, one damped Gauss–Newton step for ξ; nothing to tune.

    A step is accepted only if the regularised loss falls; otherwise the damping rises and the next
    trial starts from the same point. With n hidden parameters and Q outputs a step costs one
    factorization of N × (P + Q n) numbers, and memory a few times that; where ξ is large it is
    solved without that matrix, by conjugate gradients on products with it, in the memory of the
    network's values at the points (:mod:`adabasis.train.matrix_free`).

    Parameters
    ----------
    jacobian : {"kaufman", "golub-pereyra"}
        The full Golub–Pereyra Jacobian adds the change of the projector's range. It costs P more
        reverse passes and seldom pays.
    solver : {"auto", "qr", "iterative"}
        ``"auto"`` takes the iterative one where a factorization would cost more than
        :data:`MOST_WORK` multiplications or hold more than :data:`MOST_NUMBERS` numbers.
    precision : {"double", "single"}
        In which the second pass is reduced and the damped step solved. Coefficients, loss and
        acceptance are in the data's precision always: ``"single"`` costs the last digits of a
        direction, which data with noise above 1e-3 do not have, and saves a third of the time; on
        clean data the loss may stall orders of magnitude higher, and the run call that converged.
    damping : float, optional
        Of the first step: 1e-2, and 30 for kinks under a differential operator
        (:data:`adabasis.train.project.FIRST_OVER_JUMPS`).

    Raises
    ------
    ValueError
        For an unknown name, a damping that is not positive, or the full Jacobian with the
        iterative solver.
    """

    jacobian: str = eqx.field(static=True, default="kaufman", kw_only=True)
    solver: str = eqx.field(static=True, default="auto", kw_only=True)
    precision: str = eqx.field(static=True, default="double", kw_only=True)
    damping: float | None = eqx.field(static=True, default=None, kw_only=True)

    def __check_init__(self) -> None:
        if self.jacobian not in ("kaufman", "golub-pereyra"):
            raise ValueError(
                f"LSGN(jacobian={self.jacobian!r}): expected 'kaufman' or 'golub-pereyra'."
            )
        if self.solver not in ("auto", "qr", "iterative"):
            raise ValueError(f"LSGN(solver={self.solver!r}): expected 'auto', 'qr', 'iterative'.")
        if self.precision not in ("double", "single"):
            raise ValueError(f"LSGN(precision={self.precision!r}): expected 'double' or 'single'.")
        if self.damping is not None and not 0 < self.damping < math.inf:
            raise ValueError(f"LSGN(damping={self.damping!r}): expected a positive number.")
        if self.solver == "iterative" and self.jacobian != "kaufman":
            raise ValueError(
                "LSGN(jacobian='golub-pereyra', solver='iterative'): the full Jacobian needs its "
                "matrix. Use solver='qr'."
            )

    @property
    def pace(self) -> Pace:
        """Gauss–Newton steps are few and costly.

        A patience of 30 was measured on tables with noise, whose steps are single; 50 otherwise.
        """
        patience = 30 if self.precision == "single" else 50
        return Pace(steps=200, check_every=2, patience=patience)

    def init(self, objective: Objective, parameters: Parameters, key: RandomKey) -> Any:
        """Start at ``parameters``; the key is not used."""
        del key
        flat, _ = ravel_pytree(parameters)
        n, shape = flat.shape[0], jax.eval_shape(objective.design, parameters)
        damping = first_damping(objective.smoothness) if self.damping is None else self.damping
        if self._iterates(shape.shape, n, objective.targets.shape[1]):
            return matrix_free.start(parameters, damping)
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
            damping=number(damping),
            growth=number(2.0),
            predicted=number(1.0),
            bend=jnp.zeros_like(flat),
        )

    def _iterates(self, shape: tuple[int, ...], n: int, outputs: int) -> bool:
        """Whether steps are solved without the matrix."""
        if self.solver != "auto" or self.jacobian != "kaufman":
            return self.solver == "iterative"
        n_rows, columns = shape[0] + shape[1], shape[1] + outputs * (n + 1)
        numbers = max(n_rows, columns) * columns
        return numbers > MOST_NUMBERS or 2 * numbers * columns > MOST_WORK

    def step(self, objective: Objective, state: Any) -> tuple[Any, Evaluation]:
        """Evaluate the trial, accept or reject it, and propose the next."""
        if isinstance(state, matrix_free.MatrixFreeState):
            return matrix_free.step(objective, state)
        trial = state.trial
        a, b = objective.design(trial), objective.targets
        spectrum = Spectrum.of(a, b)
        ridge = spectrum.weight(state.ridge, objective.ridge)
        c = spectrum.coefficients(ridge)
        loss = projected_loss(a @ c - b, c, ridge)
        unravel = ravel_pytree(trial)[1]
        state = jax.lax.cond(
            loss < state.loss,
            lambda s: self._accept(objective, s, a, spectrum, loss),
            lambda s: _propose(_reject(s), unravel, _LinearStep.of(_reject(s), self._rough)),
            state,
        )
        stuck = ~(state.predicted > NO_PROGRESS * state.loss)
        return state, Evaluation(loss, trial, c, spectrum.rank, state.damping, stuck)

    def _accept(
        self,
        objective: Objective,
        state: GaussNewtonState,
        a: Array,
        spectrum: Spectrum,
        loss: Array,
    ) -> GaussNewtonState:
        """Move to the trial, lower the ridge, linearise there and propose the next."""
        flat, unravel = ravel_pytree(state.trial)
        first = jnp.isinf(state.loss)
        damping = damped(state.damping, (state.loss - loss) / state.predicted, first)
        mu = lowered(state.ridge, first)
        ridge = spectrum.weight(mu, objective.ridge)
        c = spectrum.coefficients(ridge)
        residual = a @ c - objective.targets
        jacobian = objective.jacobian(unravel(flat), c)
        rows_of_model = _rows_of_model(a, jacobian, residual, c, spectrum, ridge)
        triangle = lstsq.triangularize(self._rough(rows_of_model)).astype(a.dtype)
        system = _systems(triangle, a.shape[1], residual.shape[1])
        if self.jacobian == "golub-pereyra":
            system = jnp.concatenate(
                [system, _range_rows(objective, state.trial, residual, spectrum, ridge)]
            )
        scale = jnp.maximum(state.scale, jnp.linalg.norm(system[:, :-1], axis=0))
        state = dataclasses.replace(
            state,
            good=flat,
            # Of the two losses the latter is the smaller, but for round-off.
            loss=jnp.minimum(loss, projected_loss(residual, c, ridge)),
            ridge=mu,
            system=system,
            scale=scale,
            damping=damping,
            growth=jnp.full_like(state.growth, 2.0),
        )
        linear = _LinearStep.of(state, self._rough)
        if objective.smoothness < 1:  # at a kink there is no second derivative
            return _propose(state, unravel, linear)
        span = spectrum.orthonormal(a, ridge)
        bend = _bend(objective, unravel, flat, c, jacobian, spectrum, ridge, span, triangle, linear)
        return _propose(dataclasses.replace(state, bend=bend), unravel, linear)

    def _rough(self, rows: Array) -> Array:
        """Return rows in the precision that they are to be reduced in."""
        return rows.astype(jnp.float32) if self.precision == "single" else rows


def _reject(state: GaussNewtonState) -> GaussNewtonState:
    """Stay, and damp the next step more."""
    return dataclasses.replace(state, damping=state.damping * state.growth, growth=2 * state.growth)


class _LinearStep(NamedTuple):
    """The minimiser s of the damped linear model, and what else is asked about it."""

    step: Array
    triangle: Array
    fall: Array
    length: Array

    @classmethod
    def of(cls, state: GaussNewtonState, rough: Callable[[Array], Array]) -> _LinearStep:
        """Solve for the state's damping, in the precision that ``rough`` makes of rows."""
        jacobian, residual = state.system[:, :-1], state.system[:, -1:]
        scale = _unit(state)
        damping = jnp.sqrt(state.damping) * scale
        model = rough(jnp.concatenate([jacobian, -residual], axis=1))
        factor = _under(model, rough(damping))
        triangle, rotated = factor[:, :-1], factor[:, -1:]
        step = jax.scipy.linalg.solve_triangular(triangle, rotated).astype(residual.dtype)
        triangle = triangle.astype(residual.dtype)
        # ‖ρ‖² − ‖ρ + J s‖², without cancellation: s solves (JᵀJ + damping D²) s = −Jᵀρ.
        fall = jnp.sum((jacobian @ step) ** 2) + 2 * jnp.sum((damping[:, None] * step) ** 2)
        step = step[:, 0]
        return cls(step, triangle, fall, jnp.linalg.norm(scale * step))


def _under(rows: Array, diagonal: Array) -> Array:
    """Return the triangle (n, n + 1) of rows of n + 1 columns with a diagonal (n,) below.

    One output's rows are a triangle already.
    """
    n = diagonal.shape[0]
    if rows.shape[0] == n + 1:
        return lstsq.over_diagonal(rows[:n], diagonal, panels=2)[:n]
    below = jnp.pad(jnp.diag(diagonal), ((0, 0), (0, 1)))
    return lstsq.triangularize(jnp.concatenate([rows, below]))[:n]


def _unit(state: GaussNewtonState) -> Array:
    return jnp.where(state.scale > 0, state.scale, 1.0)


def _propose(state: GaussNewtonState, unravel: Any, linear: _LinearStep) -> GaussNewtonState:
    """Take the linear model's step and half its acceleration for the next trial."""
    step, triangle, fall, length = linear
    half = -0.5 * length**2 * _solve_normal(triangle, state.bend)
    ratio = jnp.linalg.norm(_unit(state) * half) / length
    half = half * jnp.minimum(1.0, MOST_BENT / ratio)
    # Nothing to add to no step, nor where a product overflowed.
    step = step + jnp.where(jnp.isfinite(half), half, 0.0)
    return dataclasses.replace(state, trial=unravel(state.good + step), predicted=fall)


def _solve_normal(triangle: Array, right: Array) -> Array:
    """Return (RᵀR)⁻¹ times a vector: to a few digits, which is all that a correction needs."""
    inner = jax.scipy.linalg.solve_triangular(triangle, right, trans=1)
    return jax.scipy.linalg.solve_triangular(triangle, inner)


def _bend(
    objective: Objective,
    unravel: Any,
    flat: Array,
    c: Array,
    jacobian: Array,
    spectrum: Spectrum,
    ridge: Array,
    span: Array,
    triangle: Array,
    linear: _LinearStep,
) -> Array:
    """Return (P⊥J)ᵀρ″ along the step, for a step one long.

    ``span`` is Q̂T with T the leading block of ``triangle`` and Q̂ orthonormal.
    """
    s = linear.step / linear.length
    n_rows, outputs, n = jacobian.shape
    p = span.shape[1]
    leading, inside = triangle[:p, :p], triangle[:p, p : p + outputs * n]

    def solve(right: Array, trans: int = 0) -> Array:
        return jax.scipy.linalg.solve_triangular(leading, right, trans=trans)

    along = inside.reshape(p, outputs, n) @ s
    change = -(spectrum.vt.T / jnp.sqrt(spectrum.s**2 + ridge)) @ solve(along)

    # Directional derivatives at ξ itself, not along t ↦ ξ + t s: so the network's values are seen
    # to be those of the Jacobian, and a step takes a fifth less.
    def slope(flat: Array, c: Array) -> Array:
        return jax.jvp(lambda f, c: objective.predicted(unravel(f), c), (flat, c), (s, change))[1]

    second = jax.jvp(slope, (flat, c), (s, change))[1]
    second = jnp.concatenate([second, jnp.zeros((span.shape[0] - n_rows, outputs), flat.dtype)])
    for _ in range(2):  # the first pass leaves what round-off has of a large part inside
        second = second - span @ solve(solve(span.T @ second, trans=1))
    bend = jnp.einsum("nqk,nq->k", jacobian, second[:n_rows]) / outputs
    return jnp.where(jnp.isfinite(bend), bend, 0.0)


def _rows_of_model(
    a: Array, jacobian: Array, residual: Array, c: Array, spectrum: Spectrum, ridge: Array
) -> Array:
    """Return the rows [basis | J_1 … J_Q | ρ_1 … ρ_Q]; ``jacobian`` is (N, Q, n)."""
    n_rows, outputs, n = jacobian.shape
    p = a.shape[1]
    blocks = jnp.concatenate([jacobian.reshape(n_rows, outputs * n), residual], axis=1)
    below = jnp.concatenate([jnp.zeros((p, outputs * n), a.dtype), jnp.sqrt(ridge) * c], axis=1)
    stacked = jnp.concatenate([blocks, below])
    return jnp.concatenate([spectrum.orthonormal(a, ridge), stacked], axis=1)


def _systems(triangle: Array, p: int, outputs: int) -> Array:
    """Return rows (P⊥J | ρ) of all outputs from that triangle, the basis' span removed."""
    trailing = triangle[p:, p:]
    n = trailing.shape[1] // outputs - 1
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
    spectrum: Spectrum,
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

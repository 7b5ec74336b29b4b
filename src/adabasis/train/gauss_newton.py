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
from collections.abc import Callable
from typing import Any, ClassVar, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
from jax import Array
from jax.flatten_util import ravel_pytree
from jax.scipy.linalg import solve_triangular

from .. import lstsq
from .._runtime.notation import Parameters, RandomKey
from . import matrix_free
from .base import (
    LAST_RIDGE,
    AbstractTrainer,
    Budget,
    Evaluation,
    Objective,
    Projection,
    check_positive,
)

#: Relative ridge μ of the first steps, and its factor at every accepted one.
FIRST_RIDGE, RIDGE_FALL = 1e-8, 1 / 3
#: Damping of the first step; the latter where residuals jump as kinks cross points. There long
#: first steps are rejected or throw planes out of the domain, from where none comes back. On a
#: layer of 32 ReLU under transport 1e-12 is reached in 13 steps instead of 15 to 16 (medians of 16
#: draws at two velocities); after 25 steps 7 of 384 draws of three layers are unsolved, and 10 of
#: those that begin with 1e-2.
FIRST_DAMPING, FIRST_OVER_JUMPS = 1e-2, 30.0
LEAST_DAMPING = 1e-15
#: A predicted relative fall of the loss that round-off would hide: the run has converged.
NO_PROGRESS = 1e-15
#: Half the acceleration is cut to this share of the step where it is longer: .2 to .7 do alike.
MOST_BENT = 0.375
#: Multiplications of a step's factorization above which it is avoided: some 1,000 hidden parameters
#: on 2,000 rows, where both solvers reach a loss in about the same time.
MOST_WORK = 5e9
#: Entries of the matrix that is factored, likewise: 0.8 GB, and as much again to work on.
MOST_NUMBERS = 10**8
CHOICES = {
    "jacobian": ("kaufman", "golub-pereyra"),
    "solver": ("auto", "qr", "iterative"),
    "precision": ("double", "single"),
}


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class GaussNewtonState:
    """Everything a run needs to go on.

    Attributes
    ----------
    trial : pytree
        Parameters to be evaluated next.
    good : array, shape (n,)
        The best so far, flat; ``loss`` is the regularised loss there with the present ridge.
    ridge : scalar
        Relative ridge μ.
    scale : array, shape (n,)
        D: the largest column norms met so far (1978, MINPACK).
    damping, growth : scalars
        Levenberg–Marquardt damping, and its factor at the next rejection [3]_.
    predicted : scalar
        Fall of the loss that the linear model promises for ``trial``.
    system : array, shape (rows, n + 1), or None
        Rows of the linear model at ``good``, (P⊥J | ρ). Without the matrix it is made again there.
    bend : array, shape (n,), or None
        (P⊥J)ᵀρ″ along a step from ``good`` that was one long: a step of length ‖D s‖ has that
        squared times it.
    """

    trial: Parameters
    good: Array
    loss: Array
    ridge: Array
    scale: Array
    damping: Array
    growth: Array
    predicted: Array
    system: Any
    bend: Any


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
        (:data:`FIRST_OVER_JUMPS`).

    Raises
    ------
    ValueError
        For an unknown name, a damping that is not positive, or the full Jacobian with the
        iterative solver.
    """

    name: ClassVar[str] = "lsgn"
    jacobian: str = eqx.field(static=True, default="kaufman", kw_only=True)
    solver: str = eqx.field(static=True, default="auto", kw_only=True)
    precision: str = eqx.field(static=True, default="double", kw_only=True)
    damping: float | None = eqx.field(static=True, default=None, kw_only=True)

    def __check_init__(self) -> None:
        for name, words in CHOICES.items():
            if getattr(self, name) not in words:
                raise ValueError(
                    f"LSGN({name}={getattr(self, name)!r}): expected {', '.join(map(repr, words))}."
                )
        if self.damping is not None:
            check_positive("LSGN", damping=self.damping)
        if self.solver == "iterative" and self.jacobian != "kaufman":
            raise ValueError(
                "LSGN(jacobian='golub-pereyra', solver='iterative'): the full Jacobian needs its "
                "matrix. Use solver='qr'."
            )

    @property
    def pace(self) -> Budget:
        """Gauss–Newton steps are few and costly.

        A patience of 30 was measured on tables with noise, whose steps are single; 50 otherwise.
        """
        return Budget(200, check_every=2, patience=30 if self.precision == "single" else 50)

    def init(self, objective: Objective, parameters: Parameters, key: RandomKey) -> Any:
        """Start at ``parameters``; the key is not used."""
        del key
        flat, _ = ravel_pytree(parameters)
        n, outputs = flat.shape[0], objective.n_outputs
        shape = jax.eval_shape(objective.design, parameters).shape
        n_rows = outputs**2 * (n + 1)
        if self.jacobian == "golub-pereyra":
            n_rows += outputs * shape[1]
        damping = FIRST_DAMPING if objective.smoothness >= 0 else FIRST_OVER_JUMPS
        iterates = self._iterates(shape, n, outputs)

        def number(value: float) -> Array:
            return jnp.asarray(value, flat.dtype)

        return GaussNewtonState(
            trial=parameters,
            good=flat,
            loss=number(jnp.inf),
            ridge=number(FIRST_RIDGE),
            scale=jnp.zeros_like(flat),
            damping=number(damping if self.damping is None else self.damping),
            growth=number(2.0),
            predicted=number(1.0),
            system=None if iterates else jnp.zeros((n_rows, n + 1), flat.dtype),
            bend=None if iterates else jnp.zeros_like(flat),
        )

    def _iterates(self, shape: tuple[int, ...], n: int, outputs: int) -> bool:
        # Whether steps are solved without the matrix.
        if self.solver != "auto" or self.jacobian != "kaufman":
            return self.solver == "iterative"
        n_rows, columns = shape[0] + shape[1], shape[1] + outputs * (n + 1)
        numbers = max(n_rows, columns) * columns
        return numbers > MOST_NUMBERS or 2 * numbers * columns > MOST_WORK

    def step(self, objective: Objective, state: Any) -> tuple[Any, Evaluation]:
        """Evaluate the trial, accept or reject it, and propose the next."""
        trial, unravel = state.trial, ravel_pytree(state.trial)[1]
        found = Projection.of(objective, trial, state.ridge)
        accepted = found.loss < state.loss

        def on(state: GaussNewtonState) -> GaussNewtonState:
            moved = _accept(state, found.loss)
            return moved if state.system is None else self._linearize(objective, moved, found)

        def back(state: GaussNewtonState) -> GaussNewtonState:
            damping, growth = state.damping * state.growth, 2 * state.growth
            state = dataclasses.replace(state, damping=damping, growth=growth)
            if state.system is None:
                return state
            return _propose(state, unravel, _LinearStep.of(state, self._rough))

        state = jax.lax.cond(accepted, on, back, state)
        if state.system is None:
            state = _propose_iteratively(objective, state, unravel, accepted)
        stuck = ~(state.predicted > NO_PROGRESS * state.loss)
        return state, Evaluation(found.loss, trial, found.c, found.rank, state.damping, stuck)

    def _linearize(
        self, objective: Objective, state: GaussNewtonState, found: Projection
    ) -> GaussNewtonState:
        # Linearise at a good point with its new ridge, and propose the next trial.
        _, unravel = ravel_pytree(state.trial)
        here = found.ridged(objective, state.ridge)
        jacobian = objective.jacobian(unravel(state.good), here.c)
        triangle = lstsq.triangularize(self._rough(here.with_jacobian(jacobian)))
        triangle = triangle.astype(here.a.dtype)
        system = _systems(triangle, here.a.shape[1], here.c.shape[1])
        if self.jacobian == "golub-pereyra":
            system = jnp.concatenate([system, _range_rows(objective, state.trial, here)])
        state = dataclasses.replace(
            state,
            # Of the two losses the latter is the smaller, but for round-off.
            loss=jnp.minimum(state.loss, here.loss),
            system=system,
            scale=jnp.maximum(state.scale, jnp.linalg.norm(system[:, :-1], axis=0)),
        )
        linear = _LinearStep.of(state, self._rough)
        if objective.smoothness >= 1:  # at a kink there is no second derivative
            bend = _bend(objective, unravel, state.good, jacobian, here, triangle, linear)
            state = dataclasses.replace(state, bend=bend)
        return _propose(state, unravel, linear)

    def _rough(self, rows: Array) -> Array:
        # Return rows in the precision that they are to be reduced in.
        return rows.astype(jnp.float32) if self.precision == "single" else rows


def _accept(state: GaussNewtonState, loss: Array) -> GaussNewtonState:
    # Move to the trial, lower the ridge, and damp by Nielsen's rule.
    #
    # That is by a third where the linear model was right, up to twice as much where it was not.
    first, gain = jnp.isinf(state.loss), (state.loss - loss) / state.predicted
    easier = state.damping * jnp.clip(1 - (2 * gain - 1) ** 3, 1 / 3, 2.0)
    lower = jnp.maximum(state.ridge * RIDGE_FALL, LAST_RIDGE)
    return dataclasses.replace(
        state,
        good=ravel_pytree(state.trial)[0],
        loss=loss,
        ridge=jnp.where(first, state.ridge, lower),
        damping=jnp.where(first, state.damping, jnp.maximum(easier, LEAST_DAMPING)),
        growth=jnp.full_like(state.growth, 2.0),
    )


def _propose_iteratively(
    objective: Objective,
    state: GaussNewtonState,
    unravel: Callable[[Array], Parameters],
    accepted: Array,
) -> GaussNewtonState:
    # Linearise at the good point and solve the damped problem there without its matrix.
    here = Projection.of(objective, unravel(state.good), state.ridge)
    rho = here.whole / jnp.sqrt(1.0 * here.c.shape[1])
    linear = matrix_free.products(objective, unravel, state.good, here.c, here.span)
    grown = jnp.maximum(state.scale, matrix_free.estimated_norms(linear[1], rho.shape, rho.dtype))
    scale = jnp.where(accepted, grown, state.scale)
    step, fall = matrix_free.damped_step(*linear, rho, _unit(scale), state.damping)
    loss = jnp.where(accepted, jnp.minimum(state.loss, here.loss), state.loss)
    trial = unravel(state.good + step)
    return dataclasses.replace(state, trial=trial, loss=loss, scale=scale, predicted=fall)


def _unit(scale: Array) -> Array:
    return jnp.where(scale > 0, scale, 1.0)


class _LinearStep(NamedTuple):
    # The minimiser s of the damped linear model, and what else is asked about it.
    step: Array
    triangle: Array
    fall: Array
    length: Array

    @classmethod
    def of(cls, state: GaussNewtonState, rough: Callable[[Array], Array]) -> _LinearStep:
        # Solve for the state's damping, in the precision that ``rough`` makes of rows.
        jacobian, residual = state.system[:, :-1], state.system[:, -1:]
        scale = _unit(state.scale)
        damping = jnp.sqrt(state.damping) * scale
        model = rough(jnp.concatenate([jacobian, -residual], axis=1))
        factor = _under(model, rough(damping))
        triangle, rotated = factor[:, :-1], factor[:, -1:]
        step = solve_triangular(triangle, rotated).astype(residual.dtype)
        triangle = triangle.astype(residual.dtype)
        # ‖ρ‖² − ‖ρ + J s‖², without cancellation: s solves (JᵀJ + damping D²) s = −Jᵀρ.
        fall = jnp.sum((jacobian @ step) ** 2) + 2 * jnp.sum((damping[:, None] * step) ** 2)
        step = step[:, 0]
        return cls(step, triangle, fall, jnp.linalg.norm(scale * step))


def _under(rows: Array, diagonal: Array) -> Array:
    # Return the triangle (n, n + 1) of rows of n + 1 columns with a diagonal (n,) below.
    #
    # One output's rows are a triangle already.
    n = diagonal.shape[0]
    if rows.shape[0] == n + 1:
        return lstsq.over_diagonal(rows[:n], diagonal, panels=2)[:n]
    below = jnp.pad(jnp.diag(diagonal), ((0, 0), (0, 1)))
    return lstsq.triangularize(jnp.concatenate([rows, below]))[:n]


def _propose(state: GaussNewtonState, unravel: Any, linear: _LinearStep) -> GaussNewtonState:
    # Take the linear model's step and half its acceleration for the next trial.
    step, triangle, fall, length = linear
    half = -0.5 * length**2 * lstsq.solve_normal(triangle, state.bend)
    ratio = jnp.linalg.norm(_unit(state.scale) * half) / length
    half = half * jnp.minimum(1.0, MOST_BENT / ratio)
    # Nothing to add to no step, nor where a product overflowed.
    step = step + jnp.where(jnp.isfinite(half), half, 0.0)
    return dataclasses.replace(state, trial=unravel(state.good + step), predicted=fall)


def _bend(
    objective: Objective,
    unravel: Any,
    flat: Array,
    jacobian: Array,
    here: Projection,
    triangle: Array,
    linear: _LinearStep,
) -> Array:
    # Return (P⊥J)ᵀρ″ along the step, for a step one long.
    #
    # The span is Q̂T with T the leading block of ``triangle`` and Q̂ orthonormal.
    c, span = here.c, here.span
    s = linear.step / linear.length
    n_rows, outputs, n = jacobian.shape
    p = span.shape[1]
    leading, inside = triangle[:p, :p], triangle[:p, p : p + outputs * n]

    def solve(right: Array, trans: int = 0) -> Array:
        return solve_triangular(leading, right, trans=trans)

    along = inside.reshape(p, outputs, n) @ s
    change = -here.inverse_root @ solve(along)

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


def _systems(triangle: Array, p: int, outputs: int) -> Array:
    # Return rows (P⊥J | ρ) of all outputs from that triangle, the basis' span removed.
    trailing = triangle[p:, p:]
    n = trailing.shape[1] // outputs - 1
    systems = [
        jnp.concatenate(
            [trailing[:, q * n : (q + 1) * n], trailing[:, outputs * n + q, None]], axis=1
        )
        for q in range(outputs)
    ]
    return jnp.concatenate(systems) / outputs**0.5


def _range_rows(objective: Objective, parameters: Parameters, here: Projection) -> Array:
    # Return the rows that the full Jacobian adds: −(A⁺)ᵀ ∂(Aᵀρ)/∂ξ, in coordinates of the span.
    #
    # With ρ = −P⊥b: dρ = P⊥ dA c − (A⁺)ᵀ dAᵀ ρ, and the two parts are orthogonal.
    def correlation(parameters: Parameters) -> Array:
        return objective.design(parameters).T @ here.residual

    tree = jax.jacrev(correlation)(parameters)
    flat = jnp.concatenate(
        [leaf.reshape(*leaf.shape[:2], -1) for leaf in jax.tree.leaves(tree)], axis=2
    )
    added = -jnp.einsum("pk,pqn->qkn", here.inverse_root, flat).reshape(-1, flat.shape[2])
    return jnp.pad(added / here.c.shape[1] ** 0.5, ((0, 0), (0, 1)))

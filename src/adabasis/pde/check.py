"""What can be said of a claimed solution: a formula, a fitted function, a table of values.

Derivatives of formulas are exact; those of tables come from polynomials through the nearest rows,
of three degrees: where these disagree, the table is too coarse to say anything.
"""

from __future__ import annotations

import dataclasses
import itertools
import math
from collections.abc import Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from .._runtime.compute import numerics, quickly
from ..geometry.fields import as_field, at_point, symbolic
from ..geometry.points import Points, Sobol
from ..operators import AbstractOperator, Identity
from ..rows import images_of
from .conditions import Problem
from .constraints import Constraint, within

#: Residuals relative to u: below the first a function solves the problem, above the second not.
#: The second is coarse: residuals of an approximate solution exceed its error.
SOLVED, FAILED = 1e-5, 1e-1
#: Points of the domain and of a face; rows of a table at which derivatives are fitted.
INSIDE, FACE, ROWS = 2048, 256, 500
SEED = 77
#: Degrees of local polynomials above the order of an operator, and rows for each coefficient.
ABOVE, ROWS_PER_COEFFICIENT = (2, 3, 4), 2
#: A residual counts where it is so many times the difference of these polynomials; this share of
#: rows must have such to refute a table.
CLEAR, REFUTED = 10.0, 0.1
#: Points of a piece of a boundary, and how near to one of them a row lies on it, over the domain.
EDGE, ON_PIECE = 20_000, 1e-3


@dataclasses.dataclass(frozen=True)
class Check:
    """Whether a function solves a problem; ``print`` it.

    Attributes
    ----------
    residual, violation : float
        Root mean squares of the equation and of the conditions, in units of u (by the size of
        operators on waves of one half turn) and relative to u.
    uncertainty : float
        Of these, where derivatives come from a table; else 0.
    terms : mapping
        Term by term.
    verdict : str
        Starts with "Solved", "Approximate", "Not solved" or "Not determined".
    """

    residual: float
    violation: float
    uncertainty: float
    terms: Mapping[str, float]
    verdict: str

    def __str__(self) -> str:
        lines = [
            self.verdict,
            f"  residual of the equation  {self.residual:.1e}",
            f"  violation of conditions   {self.violation:.1e}",
            f"  known to                  {self.uncertainty:.1e}",
        ]
        return "\n".join(lines + [f"  {k + ':':<34}{v:.1e}" for k, v in self.terms.items()])


def checked(problem: Problem, function: Any, values: Any = None) -> Check:
    """Check a formula, a fitted function or a table; see :meth:`Problem.check`."""
    with numerics():
        measure = (
            _Formula(problem, function) if values is None else _Table(problem, function, values)
        )
        found = [(c.label, *measure.residuals(c)) for c in problem.constraints]
    equations = [c.label for c in problem.constraints if c.equation]
    seen = [(label, x, r, off) for label, x, r, off in found if len(r)]
    level = measure.level or 1.0
    terms = {label: _rms(r) / level for label, _, r, _ in seen}
    unknown = max((_rms(off) / level for *_, off in seen), default=math.inf)
    stated = [v for k, v in terms.items() if k in equations]
    residual = math.hypot(*stated) if stated else math.nan
    violation = math.hypot(*(v for k, v in terms.items() if k not in equations))
    verdict = _verdict(problem, seen, terms, unknown, level)
    return Check(residual, violation, unknown, terms, verdict)


def _verdict(
    problem: Problem,
    seen: Sequence[tuple[str, np.ndarray, np.ndarray, np.ndarray]],
    terms: Mapping[str, float],
    unknown: float,
    level: float,
) -> str:
    names = problem.domain.names
    if not any(c.equation and c.label in terms for c in problem.constraints):
        return "Not determined: no row lies where the equation holds."
    for label, x, r, _ in seen:
        wrong = np.flatnonzero(~np.isfinite(r))
        if len(wrong):
            place = ", ".join(f"{n} = {v:.4g}" for n, v in zip(names, x[wrong[0]], strict=True))
            return f"Not determined: the residual of '{label}' is not finite at {place}."
    clear = [np.mean(np.abs(r) > CLEAR * off + FAILED * level) for _, _, r, off in seen]
    worst = max(terms, key=lambda label: terms[label])
    total = math.hypot(*terms.values())
    _, x, r, off = next(term for term in seen if term[0] == worst)
    if unknown > FAILED and max(clear) < REFUTED:
        _, x, _, off = max(seen, key=lambda term: _rms(term[3]))
        at = x[np.argmax(off)]
        place = ", ".join(f"{n} = {v:.4g}" for n, v in zip(names, at, strict=True))
        return (
            f"Not determined: the rows are too coarse for the derivatives, which are known to "
            f"{unknown:.0e} of u only; the worst place is {place}."
        )
    reached = max(total, unknown)
    if reached <= SOLVED:
        return f"Solved: the function satisfies equation and conditions to {reached:.0e} of u."
    if reached <= FAILED:
        return (
            f"Approximate: the function satisfies equation and conditions to {reached:.0e} of u; "
            f"the largest residual is that of '{worst}'."
        )
    at = x[np.argmax(np.abs(r))]
    place = ", ".join(f"{n} = {v:.4g}" for n, v in zip(names, at, strict=True))
    return (
        f"Not solved: the function misses '{worst}' by {terms[worst]:.0e} of u, the most at "
        f"{place}. It is no solution of this problem."
    )


def _rms(values: np.ndarray) -> float:
    return float(np.sqrt(np.mean(np.square(values)))) if len(values) else 0.0


def along_normals(image_of: Any, operator: AbstractOperator, points: Points) -> np.ndarray:
    """Return L[u] on a boundary, given images at points: operators are affine in the normal."""
    x, normal = np.asarray(points.x), np.asarray(points.normal)
    d = x.shape[1]
    still = np.asarray(image_of(operator.facing((0.0,) * d), x))
    image = still
    for axis in range(d):
        unit = tuple(float(i == axis) for i in range(d))
        image = image + normal[:, axis] * (np.asarray(image_of(operator.facing(unit), x)) - still)
    return image


class _Formula:
    """A function of the coordinates, one for each unknown, or a fitted one."""

    def __init__(self, problem: Problem, function: Any) -> None:
        self.problem, names = problem, problem.domain.names
        self.fitted = function if hasattr(function, "apply") else None
        several, self.scales = problem.n_blocks > 1, None
        given = function if isinstance(function, tuple | list) else (function,)
        if several and self.fitted is not None:
            given = (0.0,) * problem.n_blocks
        if any(u.is_complex for u in problem.unknowns) or len(given) != problem.n_blocks:
            raise ValueError(
                f"check(function): expected one function of the coordinates for each of "
                f"{', '.join(problem.blocks)} (complex unknowns cannot be checked), got "
                f"{len(given)}."
            )
        fields = [symbolic(as_field(0.0 if self.fitted else one), names) for one in given]
        self.u = lambda p: jnp.stack([jnp.asarray(at_point(f, names, p), float) for f in fields])
        points = within(problem.domain, Sobol(), INSIDE, SEED)
        x = np.asarray(points.x)
        if not several:
            self.level = _rms(self.image(Identity(), points))
            return
        # Sizes of operators are taken for unknowns as large as these; relative to them all is 1.
        values = self.fitted(x) if self.fitted else np.asarray(jax.vmap(self.u)(jnp.asarray(x)))
        levels = np.sqrt(np.mean(values**2, axis=0))
        largest = float(levels.max()) or 1.0
        self.scales = tuple(float(v) for v in np.where(levels > 0, levels, largest))
        self.level = 1.0

    def image(self, operator: AbstractOperator, points: Points) -> np.ndarray:
        if self.fitted is not None:
            alone = operator.n_unknowns == 1
            image = self.fitted.apply if alone else self.fitted.joint
            if points.normal is None:
                return np.asarray(image(operator, np.asarray(points.x)))
            return along_normals(image, operator, points)
        try:
            found = np.asarray(images_of(operator, self.u, points))
        except jax.errors.TracerArrayConversionError as error:
            raise TypeError(
                "check(function): the function calls NumPy on a number that JAX is tracing, and "
                "has no derivatives. Use jax.numpy there, or give a table: "
                "problem.check(X, values)."
            ) from error
        return found[:, 0] if found.ndim > 1 else found

    def residuals(self, constraint: Constraint) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        domain = self.problem.domain
        points = constraint.points(domain, Sobol(), INSIDE, FACE, SEED)
        x = np.asarray(points.x)
        left = self.image(constraint.operator, points) - constraint.values(domain, points)
        return x, left / constraint.size_in(self.scales), np.zeros(len(x))


class _Table:
    """Values at points, differentiated by local polynomials."""

    def __init__(self, problem: Problem, points: Any, values: Any) -> None:
        x, u = np.asarray(points, dtype=float), np.asarray(values, dtype=float)
        d = problem.domain.n_inputs
        if problem.n_blocks > 1:
            raise ValueError(
                "check(X, values): a table has the values of one real unknown. Give functions: "
                f"check(({', '.join(problem.blocks)}))."
            )
        if x.ndim != 2 or x.shape[1] != d or u.shape != (len(x),):
            raise ValueError(
                f"check(X, values): expected shapes (N, {d}) and (N,), got {x.shape} and {u.shape}."
            )
        inside = problem.domain.contains(x)
        if not (np.isfinite(x).all() and np.isfinite(u).all()) or not inside.any():
            raise ValueError("check(X, values): expected finite numbers, rows inside the domain.")
        self.problem, self.x, self.u = problem, x[inside], u[inside]
        # A step along each coordinate is one from value to value, so that grids look square.
        levels = [len(np.unique(np.round(column, 12))) for column in self.x.T]
        per_side = [min(n, max(2, len(x) ** (1 / d))) if n == len(x) else n for n in levels]
        self.step = np.ptp(self.x, axis=0) / np.maximum(np.array(per_side) - 1.0, 1.0)
        self.step[self.step == 0] = 1.0
        self.level = _rms(self.u)

    def residuals(self, constraint: Constraint) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        from scipy.spatial import cKDTree

        domain, rng = self.problem.domain, np.random.default_rng(SEED)
        at = self.x
        if constraint.face is not None:
            axis, value = constraint.face
            at = at[np.abs(at[:, axis] - value) <= 1e-9 * np.ptp(domain.bounds[axis])]
        if constraint.at is not None:
            at = np.asarray(constraint.at.x)
        if constraint.piece is not None:
            # Rows know no normals: values alone can be compared there.
            edge = constraint.piece.points(EDGE)
            near = cKDTree(edge.x).query(at)[0] <= ON_PIECE * np.ptp(domain.bounds)
            at = at[near & (constraint.operator.order == 0)]
        at = at[rng.permutation(len(at))[:ROWS]]
        if constraint.where is not None:
            here = constraint.where.evaluate(dict(zip(domain.names, at.T, strict=True)), np)
            at = at[np.broadcast_to(np.asarray(here, dtype=bool), len(at))]
        if not len(at):
            return at, np.zeros(0), np.zeros(0)
        data = constraint.values(domain, Points(at, np.ones(len(at))))
        tree = cKDTree(self.x / self.step)
        images = []
        for above in ABOVE:
            degree = constraint.operator.order + above if constraint.operator.order else above
            powers = _powers(domain.n_inputs, degree)
            count = min(len(self.x), ROWS_PER_COEFFICIENT * len(powers))
            near = np.atleast_2d(tree.query(at / self.step, k=count)[1])
            z = (self.x[near] - at[:, None]) / self.step
            reach = np.abs(z).max(axis=(1, 2), keepdims=True)
            rows = np.prod((z / reach)[:, :, None, :] ** powers, axis=3)
            c = np.linalg.pinv(rows, rcond=1e-10) @ self.u[near][:, :, None]
            scale = self.step * reach[:, 0]
            images.append(np.asarray(_image(constraint.operator, powers, c[:, :, 0], at, scale)))
        off = np.abs(np.diff(images, axis=0)).max(axis=0) / constraint.size
        return at, (images[-1] - data) / constraint.size, off


def _powers(d: int, degree: int) -> np.ndarray:
    """Return the exponents of all monomials up to a degree, (M, D)."""
    every = itertools.product(range(degree + 1), repeat=d)
    return np.array([each for each in every if sum(each) <= degree])


def _image(
    operator: AbstractOperator, powers: np.ndarray, c: np.ndarray, at: np.ndarray, scale: np.ndarray
) -> Array:
    """Return the images of local polynomials at their own points, (N,)."""

    @quickly(jax.jit)
    def images(c: Array, at: Array, scale: Array) -> Array:
        def one(c: Array, x: Array, s: Array) -> Array:
            def polynomial(y: Array) -> Array:
                z = jnp.broadcast_to((y - x) / s, (int(powers.max()), len(x)))
                table = jnp.concatenate([jnp.ones((1, len(x))), jnp.cumprod(z, axis=0)])
                monomials = jnp.prod(table[powers, jnp.arange(len(x))], axis=1)
                return jnp.sum(c * monomials, keepdims=True)

            return operator(polynomial)(x)[0]

        return jax.vmap(one)(c, at, scale)

    return images(jnp.asarray(c), jnp.asarray(at), jnp.asarray(scale))

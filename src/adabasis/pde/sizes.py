"""The size of an operator: root mean square of its images of waves of amplitude 1.

Waves turn over once along the box (wave number π per side, eight directions, both phases). Where
these are what an operator annihilates, as Δ + π² does, others measure it. Whether an operator is
linear is read off its structure; a user's own function that says it is gets asked on waves whose
numbers no textbook has.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from .._runtime.compute import double_precision, quickly
from ..geometry.fields import Field
from ..geometry.points import Points
from ..operators import AbstractOperator, Coupled, UserOperator
from ..operators.base import Composed, Scaled
from ..rows import images_of

DIRECTIONS = 8
WAVE_NUMBER = np.pi
#: Another one, no simple multiple of π: no equation of a textbook annihilates its waves.
ODD_NUMBER = 1.2739 * np.pi
#: An operator that is smaller on the first waves than this share of what it is on the others
#: annihilates them, or nearly.
ANNIHILATED = 0.1
#: So many times the median of its images, one that is larger is that of a pole.
POLE = 1e3
#: Relative departure from linearity on test functions that is taken for round-off.
LINEARITY = 1e-8


def waves(bounds: Any, x: Array, number: Any = WAVE_NUMBER) -> Array:
    """Return the test waves at one point: cosines and sines in fixed directions."""
    rng = np.random.default_rng(0)
    n = rng.normal(size=(DIRECTIONS, len(bounds)))
    n = number * n / np.linalg.norm(n, axis=1, keepdims=True)
    phase = n @ ((x - bounds[:, 0]) / (bounds[:, 1] - bounds[:, 0]))
    return jnp.concatenate([jnp.cos(phase), jnp.sin(phase)])


@quickly(once=True)
def on_waves(
    operator: AbstractOperator, bounds: Any, x: Any, number: Any = WAVE_NUMBER, scales: Any = None
) -> Array:
    """Return L applied to each wave at N points, to 2w₁ + 3w₂ and to 0, (N, 18).

    Each of several unknowns of an operator that is not linear is another wave.
    """
    n, several = 2 * DIRECTIONS, operator.n_unknowns
    mixtures = jnp.eye(n, n + 2).at[:2, n].set(jnp.array([2.0, 3.0]))

    points = x if isinstance(x, Points) else Points(x, jnp.ones(len(x)))

    def at(mixture: Array) -> Array:
        return images_of(operator, lambda y: waves(bounds, y, number) @ mixture, points)

    # What is linear takes all functions at once.
    if several > 1:
        each = jnp.stack([jnp.roll(mixtures, 3 * b, axis=0) for b in range(several)], axis=2)
        units = jnp.ones(several) if scales is None else scales
        return jnp.stack([at(m * units) for m in each.transpose(1, 0, 2)], axis=1)
    return at(mixtures) if operator.linear else jnp.stack([at(m) for m in mixtures.T], axis=1)


def measured(
    operator: AbstractOperator, bounds: np.ndarray, x: Any, scales: Any = None
) -> tuple[float, np.ndarray | None]:
    """Return the size of an operator, and a point where it is not finite, if there is one.

    Raises
    ------
    TypeError
        If a coefficient calls NumPy on a number that JAX is tracing.
    ValueError
        If it claims to be linear and is not.
    """
    if isinstance(operator, Coupled):
        total, units = 0.0, np.ones(operator.n_unknowns) if scales is None else np.asarray(scales)
        for unit, one in zip(units, operator.operators, strict=True):
            if one is not None and unit:
                size, wrong = measured(one, bounds, x)
                if wrong is not None:
                    return size, wrong
                total += (unit * size) ** 2
        return float(np.sqrt(total)), None
    given = None if scales is None else jnp.asarray(scales)
    with double_precision():
        try:
            _refuse_vectors(operator, len(bounds))
            found, odd = (
                np.asarray(on_waves(operator, bounds, jax.tree.map(jnp.asarray, x), number, given))
                for number in (WAVE_NUMBER, ODD_NUMBER)
            )
        except jax.errors.TracerArrayConversionError as error:
            raise TypeError(
                f"a coefficient of {operator!r} calls NumPy on a number that JAX is tracing. Use "
                "jax.numpy there, or write it with NumPy functions of the coordinates."
            ) from error
    finite = np.isfinite(found[:, :-2])
    # What is not linear may have no value for waves that are negative, as √u has none.
    wrong = np.flatnonzero(~(finite.all(axis=1) if operator.linear else finite.any(axis=1)))
    if len(wrong):
        return np.nan, np.asarray(x.x if isinstance(x, Points) else x)[wrong[0]]
    if operator.linear and any(claims(operator)):
        _refuse_wrong_claim(operator, odd)
    size, other = (_root_mean_square(a[:, :-2]) for a in (found, odd))
    return (other if size < ANNIHILATED * other < np.inf else size) or 1.0, None


def _root_mean_square(images: np.ndarray) -> float:
    """Return that of images on waves of amplitude 1, those that are not finite left out.

    One over a wave is as large as one likes where the wave is nearly 0: that is no size.
    """
    known = np.abs(images[np.isfinite(images)])
    usual = float(np.median(known)) if known.size else 0.0
    known = np.minimum(known, POLE * usual) if usual else known
    return float(np.sqrt(np.mean(2 * known**2))) if known.size else np.nan


def _refuse_vectors(operator: AbstractOperator, n_inputs: int) -> None:
    """Refuse an operator whose image of a function is no number at a point.

    Raises
    ------
    ValueError
    """
    if not any(claims(operator)):
        return
    several = operator.n_unknowns

    def u(x: Array) -> Array:
        value = jnp.sin(jnp.sum(x))
        return value if several == 1 else jnp.stack([value] * several)

    found = jax.eval_shape(operator(u), jax.ShapeDtypeStruct((n_inputs,), float))
    if found.shape:
        raise ValueError(
            f"{operator!r} returned shape {found.shape} at a point: expected one number. An "
            "equation is one number; state one for each component."
        )


def _refuse_wrong_claim(operator: AbstractOperator, found: np.ndarray) -> None:
    images, mixed, zero = np.split(found, [-2, -1], axis=1)
    terms = np.abs(images[:, :2]) @ [2.0, 3.0]
    off = max(np.abs(mixed[:, 0] - images[:, :2] @ [2.0, 3.0]).max(), np.abs(zero).max())
    if off > LINEARITY * max(np.abs(mixed).max(), np.abs(images).max(), terms.max()):
        raise ValueError(
            f"{operator!r} is not linear in u (found on test functions). Move terms without u to "
            "the source; declare a nonlinear operator as UserOperator(function, order, "
            "linear=False)."
        )


def claims(operator: AbstractOperator) -> Iterator[AbstractOperator]:
    """Yield the operators whose linearity is claimed, not known: functions and users' classes."""
    known = type(operator).__module__.startswith("adabasis.operators")
    if isinstance(operator, UserOperator) or not known:
        yield operator
    for inner in operator.operands:
        yield from claims(inner)


def coefficients(operator: AbstractOperator, under: bool = False) -> Iterator[tuple[Field, bool]]:
    """Yield the coefficients of an operator, and whether what they multiply is differentiated."""
    if isinstance(operator, Composed):
        yield from coefficients(operator.outer, under)
        yield from coefficients(operator.inner, under or operator.outer.order > 0)
        return
    if isinstance(operator, Scaled):
        yield operator.coefficient, under
    for inner in operator.operands:
        yield from coefficients(inner, under)


def has_functions(field: Field) -> bool:
    """Whether a user's function is part of a field: what it does is not known before a call."""
    inner = [a for a in field.arguments if isinstance(a, Field)]
    return field.kind in ("function", "image") or any(map(has_functions, inner))


def transparent(operator: AbstractOperator) -> bool:
    """Whether all that an operator does is known from its structure: no user's code is in it."""
    return not any(claims(operator)) and not any(
        has_functions(field) for field, _ in coefficients(operator)
    )


Measure = Callable[[tuple[float, ...] | None], float]


def orders_of(operator: AbstractOperator, block: int) -> int:
    """Return the highest derivative that an operator takes of an unknown, −1 where it has none."""
    if isinstance(operator, Coupled):
        one = operator.operators[block]
        return -1 if one is None else one.order
    return operator.order


def names_in_words(names: Sequence[str]) -> str:
    """Return names as a list for people."""
    return ", ".join(names)

"""Coefficients by losses other than squares: rows weighted anew until they settle."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import Any

import jax.numpy as jnp
import numpy as np

from .. import lstsq, rows
from ..evidence.errors import LeftOut, Places
from ..evidence.outliers import LEAST
from ..geometry.points import AffineMap
from ..lstsq.losses import LAST_ROUNDED, LEAST_SCALE, Loss, robust_scale
from ..models.fitted import Fitted
from ..models.record import Ridge
from ..selection.prepared import SEARCH_ROWS, some_rows
from ..selection.task import design
from .solve import solve_rows

#: Steps on all rows where the weights have settled on many of them.
FEW_STEPS = 5
#: Rows times P² up to which weights settle on all of them, or else rows for each function.
SETTLING_WORK, ROWS_EACH = 1e9, 4
#: 1 minus a leverage of at most this is nothing: without the row some direction is unknown.
BLIND = 1e-9


def loss_of(model: Fitted) -> Loss:
    """Return the loss that a model's coefficients were solved by."""
    return Loss(model.record.asked.loss, model.record.asked.quantile)


def in_model_units(model: Fitted, x: np.ndarray) -> np.ndarray:
    """Return a model's values Φ c at rows x (N, D), before targets are mapped back, (N, Q)."""
    inner: dict[str, Any] = {"output_map": AffineMap.identity(model.n_outputs)}
    return np.asarray(dataclasses.replace(model, **inner, flat_output=False)(x))


@dataclasses.dataclass(frozen=True, eq=False)
class Matrices:
    """A model's functions at some rows; of an ensemble those of each member, and means are taken.

    Attributes
    ----------
    parts : list of array, shape (N, P)
    ridge : Ridge
    weight : array, shape (N,)
    """

    parts: list[np.ndarray]
    ridge: Ridge
    weight: np.ndarray

    @classmethod
    def of(cls, model: Fitted, x: np.ndarray, weight: np.ndarray) -> Matrices:
        """Evaluate a model's functions at rows x (N, D) in the user's units."""
        members, z = model.basis.members(model.parameters), model.input_map(x)
        parts = [design(part.canonical(), inside, z) for part, inside in members]
        return cls(parts, model.record.ridge, weight)

    def _fits(self, share: np.ndarray, values: np.ndarray) -> Iterator[tuple[LeftOut, float]]:
        # Least squares on reweighted rows, and a ridge relative to the functions as they are.
        weight, n = self.weight * share, len(self.weight)
        none = np.zeros((n, 1))
        places = Places(none, values[:, None], weight, np.ones(n), none, np.arange(n))
        given = self.ridge.value
        relative = given * float(self.weight.sum() / weight.sum()) if self.ridge.relative else 0.0
        absolute = 0.0 if self.ridge.relative else given / float(weight.sum())
        for part in self.parts:
            yield LeftOut(places, part, absolute, self.ridge.n_free), relative

    def solve(self, share: np.ndarray, values: np.ndarray) -> np.ndarray:
        """Return the values of the least-squares solution, (N,)."""
        fits = zip(self.parts, self._fits(share, values), strict=True)
        return np.mean([part @ fit.solve(ridge) for part, (fit, ridge) in fits], axis=0)[:, 0]

    def left(self) -> np.ndarray:
        """Return 1 minus the leverage of each row, (N,)."""
        none = np.zeros(len(self.weight))
        each = [fit.leverages(ridge) for fit, ridge in self._fits(none + 1.0, none)]
        return np.maximum(1 - np.mean(each, axis=0), BLIND)


def left_shares(model: Fitted, x: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """Return 1 minus the leverage of each row, (N,); 1 where there are very many."""
    some = some_rows(np.arange(len(x)), SEARCH_ROWS, model.record.asked.random_state)
    left = np.ones(len(x))
    left[some] = Matrices.of(model, x[some], weight[some]).left()
    return left


def solve(model: Fitted, x: np.ndarray, y: np.ndarray, weight: np.ndarray) -> lstsq.Solution:
    """Solve a model's coefficients by its loss, each output with weights of its own.

    Parameters
    ----------
    model : Fitted
        Its values are where the steps begin.
    x, y, weight : arrays, shapes (N, D), (N, Q) and (N,)
        In the user's units.
    """
    used = weight > 0
    x, weight = x[used], weight[used]
    t = model.output_map(y[used])
    began = model.output_map(model(x).reshape(t.shape))
    solved = [_solve_one(model, x, *of, weight) for of in zip(t.T, began.T, strict=True)]
    return dataclasses.replace(
        solved[0],
        coefficients=jnp.concatenate([one.coefficients for one in solved], axis=1),
        residual_norm=jnp.concatenate([one.residual_norm for one in solved]),
        status=max(one.status for one in solved),
    )


def _solve_one(
    model: Fitted, x: np.ndarray, target: np.ndarray, began: np.ndarray, weight: np.ndarray
) -> lstsq.Solution:
    # The weights settle on a sample where there are very many rows, and then on all of them.
    loss, z = loss_of(model), model.input_map(x)
    size = len(model.coefficients) / len(model.basis.members(model.parameters))
    most = min(SEARCH_ROWS, round(max(ROWS_EACH * size, SETTLING_WORK / size**2)))
    some = some_rows(np.arange(len(x)), most, model.record.asked.random_state)
    whole = len(some) == len(x) and not model.basis.tie_weight
    sample = Matrices.of(model, x[some], weight[some])
    left, least = sample.left(), LEAST_SCALE * max(float(np.abs(began).max()), 1.0)

    def scale(residual: np.ndarray) -> float:
        residual = residual[some] if len(residual) == len(x) else residual
        return max(robust_scale(residual / left, weight[some], LEAST), least)

    last: list[lstsq.Solution] = []

    def all_rows(share: np.ndarray, values: np.ndarray) -> np.ndarray:
        w, ridge = weight * share, model.record.ridge
        if ridge.relative:
            value = ridge.value * float(weight.sum() / w.sum())
            ridge = dataclasses.replace(ridge, value=value)
        source = rows.ArraySource(z, values[:, None], w)
        last[:] = [solve_rows((model.basis, model.parameters), source, ridge)]
        c = {"coefficients": np.asarray(last[0].coefficients), "flat_output": True}
        plain = dataclasses.replace(model, output_map=AffineMap.identity(1), **c)  # type: ignore[arg-type]
        return plain(x)

    settled = loss.minimized(began[some], target[some], sample.solve, scale)
    if whole:
        all_rows(settled.weights, target + settled.shift)
        return last[0]
    start = began.copy()
    start[some] = settled.values
    if len(some) < len(x):
        share = np.zeros(len(x))
        share[some] = settled.weights
        shift = np.zeros(len(x))
        shift[some] = settled.shift
        start = all_rows(share, target + shift)
    loss.minimized(start, target, all_rows, scale, rounded=LAST_ROUNDED, steps=FEW_STEPS)
    return last[0]

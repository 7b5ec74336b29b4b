r"""Losses that a few wild rows do not rule, as least squares on rows that are weighted anew.

Each is bounded above by a parabola that touches it at the residuals met last,

    ℓ(r) ≤ ½ w (r + shift)² + const,

so that a weighted least-squares solve lowers it: Σ w_i ((y_i + shift_i) − Φ(x_i) c)² is the
problem of the next step (iteratively reweighted least squares [1]_; for quantiles [2]_).

References
----------
.. [1] Huber, "Robust estimation of a location parameter", Ann. Math. Statist. 35 (1964).
.. [2] Hunter, Lange, "Quantile regression via an MM algorithm", J. Comput. Graph. Stat. 9 (2000).
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from typing import Self

import numpy as np

NAMES = ("squared", "huber", "absolute", "quantile")
#: Residuals beyond so many scales count linearly: 95 % of the efficiency of least squares where
#: the noise is normal.
HUBER = 1.345
#: Median absolute deviation of a normal variable times this is its standard deviation.
NORMAL = 1.4826
#: Kinks are rounded within so many scales: at first, at last, and from one step to the next.
ROUNDED, LAST_ROUNDED, SHARPER = 0.5, 1e-3, 0.85
#: Most steps, and the change in scales at which they end.
STEPS, SETTLED = 150, 1e-4
#: Least scale, relative to that of the values: residuals below are those of arithmetic.
LEAST_SCALE = 1e-11


@dataclasses.dataclass(frozen=True)
class Loss:
    """What residuals cost.

    Attributes
    ----------
    name : {"squared", "huber", "absolute", "quantile"}
    quantile : float
        The share of rows that is to lie below, of ``"quantile"``.
    """

    name: str = "squared"
    quantile: float = 0.5

    @classmethod
    def asked(cls, call: str, name: object, quantile: object) -> Self:
        """Return the loss of a call's arguments, or say what is wrong with them."""
        if name not in NAMES:
            raise ValueError(
                f"{call}(loss={name!r}): expected one of {', '.join(map(repr, NAMES))}."
            )
        real = isinstance(quantile, int | float | np.number) and not isinstance(quantile, bool)
        if not real or not 0 < float(quantile) < 1:  # type: ignore[arg-type]
            raise ValueError(f"{call}(quantile={quantile!r}): expected a number between 0 and 1.")
        if quantile != 0.5 and name != "quantile":
            raise ValueError(
                f"{call}(quantile={quantile}, loss={name!r}): only loss='quantile' has a quantile."
            )
        return cls(str(name), float(quantile))  # type: ignore[arg-type]

    @property
    def plain(self) -> bool:
        """Whether it is that of least squares."""
        return self.name == "squared"

    @property
    def kinked(self) -> bool:
        """Whether it is piecewise linear, with a kink at 0."""
        return self.name in ("absolute", "quantile")

    def values(self, residual: np.ndarray) -> np.ndarray:
        """Return what residuals y − Φ c cost: twice the pinball loss, or their squares."""
        if not self.kinked:
            return residual**2
        return 2 * np.maximum(self.quantile * residual, (self.quantile - 1) * residual)

    def constant(self, values: np.ndarray, weight: np.ndarray) -> float:
        """Return the best constant: the mean, or a quantile."""
        if not self.kinked:
            return float(np.average(values, weights=weight))
        return weighted_quantile(values, weight, self.quantile)

    def parabola(
        self, residual: np.ndarray, scale: float, rounded: float
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return weights, of order 1, and shifts of the values for the next step.

        Parameters
        ----------
        residual : array, shape (N,)
        scale : float
            The standard deviation of normal noise.
        rounded : float
            Within how many scales a kink is rounded.
        """
        size = np.abs(residual)
        if not self.kinked:
            return HUBER * scale / np.maximum(size, HUBER * scale), np.zeros_like(size)
        size = np.maximum(size, rounded * scale)
        return scale / size, (2 * self.quantile - 1) * size

    def minimized(
        self,
        values: np.ndarray,
        targets: np.ndarray,
        solve: Callable[[np.ndarray, np.ndarray], np.ndarray],
        scale: Callable[[np.ndarray], float],
        *,
        rounded: float = ROUNDED,
        steps: int = STEPS,
    ) -> Settled:
        """Lower the loss step by step.

        Parameters
        ----------
        values, targets : arrays, shape (N,)
            Where to begin, and what is to be met.
        solve : callable
            From weights and targets, (N,) each, to the values of the least-squares solution.
        scale : callable
            From residuals (N,) to their scale.
        rounded : float
            Within how many scales a kink is rounded at first.
        steps : int
            At most.
        """
        rounded = rounded if self.kinked else LAST_ROUNDED
        settled = Settled(values, np.ones_like(targets), np.zeros_like(targets))
        for _ in range(steps):
            residual = targets - settled.values
            size = scale(residual)
            weights, shift = self.parabola(residual, size, rounded)
            before = settled.values
            settled = Settled(solve(weights, targets + shift), weights, shift)
            moved = float(np.abs(settled.values - before).max())
            if moved <= SETTLED * size and rounded <= LAST_ROUNDED:
                break
            rounded = max(SHARPER * rounded, LAST_ROUNDED)
        return settled


SQUARES = Loss()


@dataclasses.dataclass(frozen=True, eq=False)
class Settled:
    """Where a loss no longer falls: values, and the weights and shifts that they solve, (N,)."""

    values: np.ndarray
    weights: np.ndarray
    shift: np.ndarray


def weighted_quantile(values: np.ndarray, weight: np.ndarray, quantile: float) -> float:
    """Return a value that has this share of the weight on one side; the middle of two such."""
    order = np.argsort(values)
    total = np.cumsum(weight[order])
    low, high = np.searchsorted(total, total[-1] * (quantile + np.array([-1e-12, 1e-12])))
    return float(values[order[low]] + values[order[min(high, len(order) - 1)]]) / 2


def median(values: np.ndarray, weight: np.ndarray) -> float:
    """Return the weighted median."""
    return weighted_quantile(values, weight, 0.5)


def robust_scale(values: np.ndarray, weight: np.ndarray, beyond: float = math.inf) -> float:
    """Return the standard deviation that normal values of this median deviation would have.

    Values beyond so many of it are then left out: a fifth of wild ones widens it by a third.
    """
    off = np.abs(values - median(values, weight))
    scale = NORMAL * median(off, weight)
    if scale <= 0 or math.isinf(beyond):
        return scale
    near = off <= beyond * scale
    return scale if near.all() else robust_scale(values[near], weight[near])

r"""The variance of the noise: its level, and whether and how it changes with x.

The level is σ² = ‖ρ‖² / (N − p), ρ the residuals of the fit and p the effective number of its
parameters, or, where rows repeat, what they differ by at one x (pure error).

How it changes is a second small fit: squared errors r² of rows not seen have the mean
v(x) = a(x) + σ² exp(b(x)·θ), a the variance of the fitted function; θ lowers
½ Σ (log v + r²/v), the negative logarithm of a normal likelihood, by Fisher's scoring [1]_. Forms
of b are compared by the likelihood of rows left out, and none is taken unless that is clearly
larger with it.

References
----------
.. [1] Davidian, Carroll, "Variance function estimation", J. Am. Stat. Assoc. 82 (1987).
"""

from __future__ import annotations

import dataclasses
from typing import Self

import numpy as np

from .errors import Places
from .replicates import LackOfFit, lack_of_fit

#: Degrees of freedom of replicates from which they alone tell the noise: its standard deviation is
#: then known to 1/√(2·20) = 16 %.
ENOUGH_PURE = 20
#: Chance below which residuals are more than noise, whatever few replicates there are.
MISFIT = 0.01
#: Rows from which a change of the noise is looked for, and rows that are looked at.
FEWEST_TO_VARY, MOST_LOOKED_AT = 60, 2000
#: Parts of the rows for the likelihood of those left out, and the standard errors by which it has
#: to be larger.
PARTS, CLEARLY = 5, 2.0
#: Scoring steps, and the penalty on θ (a normal prior of variance 1 on standardised features).
STEPS, PENALTY = 12, 1.0
#: Squared errors beyond so many standard deviations of a constant noise count as that many: a few
#: wild values are no noise that changes.
WILD = 4.0
#: Inputs up to which the noise may change with their squares.
MOST_SQUARED = 10
#: What the logarithm of the variance is linear in: the fitted value; each input; their squares.
FORMS = ("level", "linear", "quadratic")


def level(
    places: Places, errors: np.ndarray, effective: float, most: np.ndarray | float = np.inf
) -> tuple[np.ndarray, str]:
    """Return the variance of the noise of each target, (Q,), and how it is known.

    Parameters
    ----------
    places : Places
    errors : array, shape (N, Q)
        Of the places' means, by the model.
    effective : float
        Effective number of the model's parameters.
    most : array, shape (Q,), optional
        Mean square error of rows not seen, which is noise and more. Replicates that differ by more
        are of places where the noise is larger than elsewhere.
    """
    n_rows = float(places.count.sum())
    weight = places.weight * (n_rows / places.weight.sum())  # that of a row is 1 in the mean
    square = weight @ (errors**2 + places.scatter)
    left = n_rows - max(effective, 1.0)  # the mean was taken from the rows, at least
    residual = square / left if left > 0 else np.full(errors.shape[1], np.nan)
    pure, freedom = places.noise
    # A row of weight k, or copied k times, is k rows that do not differ: no replicates.
    told = freedom > 0 and (pure > 0).any() and not (pure > most).any()
    if told and freedom >= ENOUGH_PURE:
        return pure, f"replicates, {freedom:,} degrees of freedom"
    few = told and any(
        one is not None and one.p_value < MISFIT
        for one in (_misfit(places, errors, effective, q) for q in range(errors.shape[1]))
    )
    if told and (few or not left > 0):
        return pure, f"replicates, {freedom:,} degrees of freedom"
    if not left > 0:
        return residual, "none: as many parameters as rows"
    return residual, f"residuals, {left:,.0f} degrees of freedom"


def _misfit(places: Places, errors: np.ndarray, effective: float, q: int) -> LackOfFit | None:
    of_one = dataclasses.replace(places, scatter=places.scatter[:, q : q + 1])
    return lack_of_fit(of_one, errors[:, q], effective)


@dataclasses.dataclass(frozen=True, eq=False)
class Variation:
    """How the noise changes: its variance is σ² exp(b(x)·θ).

    Attributes
    ----------
    form : str
        One of :data:`FORMS`, or ``"constant"``.
    theta : array, shape (m,)
    mean, scale : arrays, shape (m,)
        Of the features, which are standardised; the first is 1.
    low, high : float
        Of b·θ on the rows: not exceeded elsewhere.
    """

    form: str = "constant"
    theta: np.ndarray = dataclasses.field(default_factory=lambda: np.zeros(0))
    mean: np.ndarray = dataclasses.field(default_factory=lambda: np.zeros(0))
    scale: np.ndarray = dataclasses.field(default_factory=lambda: np.ones(0))
    low: float = 0.0
    high: float = 0.0

    def __call__(self, z: np.ndarray, values: np.ndarray) -> np.ndarray:
        """Return exp(b·θ) at points z (n, D) where the model's values are (n,)."""
        if self.form == "constant":
            return np.ones(len(z))
        b = (_features(self.form, z, values) - self.mean) / self.scale
        return np.exp(np.clip(self.theta[0] + b @ self.theta[1:], self.low, self.high))

    def scaled(self, factor: float) -> Self:
        """Return the variation times a factor."""
        if self.form == "constant":
            return self
        by = float(np.log(factor))
        theta = self.theta + np.append(by, np.zeros(len(self.theta) - 1))
        return dataclasses.replace(self, theta=theta, low=self.low + by, high=self.high + by)


CONSTANT = Variation()


def variation(
    z: np.ndarray,
    values: np.ndarray,
    squares: np.ndarray,
    function: np.ndarray,
    variance: float,
    weight: np.ndarray,
    group: np.ndarray,
    seed: int = 0,
) -> Variation:
    """Return how the noise of one target changes, where rows left out clearly say that it does.

    Parameters
    ----------
    z : array, shape (n, D)
        Rows that the model did not see, in the unit box.
    values, squares, function : arrays, shape (n,)
        What the model says there, the squares of its errors, the variance of the fitted function.
    variance : float
        Of the noise, where it is constant.
    weight : array, shape (n,)
    group : array of int, shape (n,)
        Rows of one group are left out together.
    seed : int
    """
    known = np.isfinite(squares) & (weight > 0)
    some = np.flatnonzero(known)
    if len(some) < FEWEST_TO_VARY or not variance > 0:
        return CONSTANT
    if len(some) > MOST_LOOKED_AT:
        some = np.random.default_rng(seed).choice(some, MOST_LOOKED_AT, replace=False)
    z, values, function = z[some], values[some], function[some]
    expected = function + variance
    squares = np.minimum(squares[some], WILD**2 * expected)
    if not squares.sum() > 0:
        return CONSTANT
    squares = squares * (expected.sum() / squares.sum())  # how they vary, not their level
    weight = weight[some] / weight[some].mean()
    label = np.unique(group[some], return_inverse=True)[1].ravel()
    part = (np.random.default_rng(seed).permutation(label.max() + 1) % PARTS)[label]
    plain = 0.5 * (np.log(expected) + squares / expected)
    best, gained = CONSTANT, 0.0
    for form in FORMS:
        if form == "quadratic" and z.shape[1] > MOST_SQUARED:
            continue
        apart = np.empty(len(z))
        for number in range(PARTS):
            out = part == number
            if not out.any() or out.all():
                return CONSTANT
            of = z[~out], values[~out], squares[~out], function[~out], weight[~out]
            apart[out] = function[out] + variance * _fit(form, *of, variance)(z[out], values[out])
        gain = weight * (plain - 0.5 * (np.log(apart) + squares / apart))
        sums = np.bincount(label, gain)
        error = float(sums.std()) * len(sums) ** 0.5
        if sums.sum() > max(CLEARLY * error, gained):
            best, gained = _fit(form, z, values, squares, function, weight, variance), sums.sum()
    return best


def _features(form: str, z: np.ndarray, values: np.ndarray) -> np.ndarray:
    if form == "level":
        return np.column_stack([values, values**2])
    if form == "linear":
        return np.column_stack([z, values])
    return np.column_stack([z, z**2, values, values**2])


def _fit(
    form: str,
    z: np.ndarray,
    values: np.ndarray,
    squares: np.ndarray,
    function: np.ndarray,
    weight: np.ndarray,
    variance: float,
) -> Variation:
    features = _features(form, z, values)
    mean, scale = features.mean(axis=0), features.std(axis=0)
    scale = np.where(scale > 1e-12, scale, np.inf)  # a column that does not vary has no part
    b = np.column_stack([np.ones(len(z)), (features - mean) / scale])
    penalty = np.full(b.shape[1], PENALTY)
    penalty[0] = 0.0
    theta = np.zeros(b.shape[1])
    for _ in range(STEPS):
        noise = variance * np.exp(np.clip(b @ theta, -12, 12))
        total = function + noise
        share = noise / total
        slope = b.T @ (0.5 * weight * share * (squares / total - 1)) - penalty * theta
        curvature = (b.T * (0.5 * weight * share**2)) @ b + np.diag(penalty + 1e-9)
        step = np.linalg.solve(curvature, slope)
        theta = theta + step / max(1.0, float(np.abs(step).max()))
        if np.abs(step).max() < 1e-4:
            break
    inner = b @ theta
    finite = np.where(np.isfinite(scale), scale, 1e300)
    return Variation(form, theta, mean, finite, float(inner.min()), float(inner.max()))

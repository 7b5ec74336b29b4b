"""What replicates tell: the noise, and whether a model misses more than it."""

from __future__ import annotations

import dataclasses

import numpy as np
from scipy.special import fdtrc

from .errors import Places

#: Degrees of freedom of the replicates from which they are heard, and chance below which a misfit
#: is told.
FEWEST, CHANCE = 3, 0.01


@dataclasses.dataclass(frozen=True)
class LackOfFit:
    """Pure error, and the misfit of the places' means beside it.

    Attributes
    ----------
    deviation : float
        Standard deviation of replicates about their place's mean, in the units of the values.
    freedom : tuple of float
        Degrees of freedom of the misfit and of the replicates.
    ratio : float
        F, the mean square of the misfit over that of the replicates; NaN without a degree of
        freedom, and where replicates do not differ.
    """

    deviation: float
    freedom: tuple[float, float]
    ratio: float

    @property
    def p_value(self) -> float:
        """The chance of so large a ratio where the model misses nothing."""
        return float(fdtrc(*self.freedom, self.ratio))

    def __str__(self) -> str:
        misfit, pure = self.freedom
        told = (
            f"Replicates differ from their place's mean by {self.deviation:.2g} (standard "
            f"deviation, {pure:.0f} degrees of freedom)"
        )
        if np.isnan(self.ratio):
            return f"{told}: that is the noise."
        test = f"lack of fit: F({misfit:.0f}, {pure:.0f}) = {self.ratio:.2g}"
        if self.p_value >= CHANCE:
            return f"{told}; {test}, p = {self.p_value:.2g}: the model misses no more than noise."
        return (
            f"{told}; {test}, p = {self.p_value:.1g}: the model misses more than that noise, at "
            "these places."
        )


def lack_of_fit(places: Places, errors: np.ndarray, effective: float) -> LackOfFit | None:
    """Return what replicates tell of a model, or ``None`` where there are too few.

    Parameters
    ----------
    places : Places
        Of rows of weight 1.
    errors : array, shape (N,)
        Of the places' means, in the units of the values of one target.
    effective : float
        Effective number of the model's parameters.

    Examples
    --------
    >>> z, one = np.arange(4.0)[:, None], np.ones((4, 1))
    >>> of_two = Places(z, 0 * one, np.full(4, 2.0), np.full(4, 2.0), one, np.arange(4))
    >>> lack_of_fit(of_two, np.ones(4), 2.0).ratio
    2.0
    """
    pure = float(np.sum(places.count - 1))
    if pure < FEWEST or not np.array_equal(places.count, places.weight):
        return None
    square = float(np.sum(places.weight * places.scatter[:, 0])) / pure
    misfit = len(places) - effective
    ratio = np.nan
    if misfit >= 1 and square > 0:
        ratio = float(np.sum(places.weight * errors**2)) / misfit / square
    return LackOfFit(float(np.sqrt(square)), (misfit, pure), ratio)

r"""Sobol indices of a function of independent inputs: which of them its variance comes from.

The first-order index of column j is Var(E[f | x_j]) / Var f, what it does by itself; the total
index is E(Var[f | all others]) / Var f, what it does with all others [1]_. They are estimated on
pairs of points that differ in one column [2]_, from scrambled Sobol sequences; independent ones
tell how sure that is. Of several outputs numerators and variances are summed.

References
----------
.. [1] Sobol', "Global sensitivity indices for nonlinear mathematical models", Math. Comput. Simul.
   55 (2001), 271–280. Homma, Saltelli, Reliab. Eng. Syst. Saf. 52 (1996), 1–17.
.. [2] Jansen, "Analysis of variance designs for model output", Comput. Phys. Commun. 117 (1999),
   35–43. Saltelli and others, Comput. Phys. Commun. 181 (2010), 259–270.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from scipy.stats import qmc, t

#: Independent scrambles: their spread gives ranges, with seven degrees of freedom.
SCRAMBLES = 8
#: Points of one scramble: between two powers of two.
FEWEST, MOST = 5, 13
#: Variance, relative to the square of the size, that is round-off.
ROUND_OFF = 1e-24
Function = Callable[[np.ndarray], np.ndarray]
#: A value for each column, with the ends of its range.
WithRange = tuple[np.ndarray, np.ndarray, np.ndarray]


@dataclasses.dataclass(frozen=True, eq=False)
class Marginals:
    """Columns that are drawn each by itself, from levels that are as likely or evenly in a range.

    Attributes
    ----------
    n_inputs : int
        D.
    inputs : sequence of tuple of int
        Which of the inputs each column is, C of them.
    levels : sequence of array
        (k, number of inputs) for a column of levels; (2,), its ends, for one that is even.
    """

    n_inputs: int
    inputs: Sequence[tuple[int, ...]]
    levels: Sequence[np.ndarray]

    def __call__(self, u: np.ndarray) -> np.ndarray:
        """Map points (n, C) of the unit cube to inputs (n, D)."""
        x = np.zeros((len(u), self.n_inputs))
        for at, levels, share in zip(self.inputs, self.levels, u.T, strict=True):
            if levels.ndim == 1:
                x[:, at[0]] = levels[0] + share * (levels[1] - levels[0])
            else:
                number = np.minimum((share * len(levels)).astype(int), len(levels) - 1)
                x[:, list(at)] = levels[number]
        return x


@dataclasses.dataclass(frozen=True, eq=False)
class Indices:
    """Total and first-order indices of C columns, each with a range.

    Attributes
    ----------
    total, first : (array, array, array), each (C,)
        Value, lower and upper end.
    variance : float
        Of the function, summed over outputs.
    how : str
        How they were found, in words.
    """

    total: WithRange
    first: WithRange
    variance: float
    how: str


def exact(total: np.ndarray, first: np.ndarray, variance: float, how: str) -> Indices:
    """Return indices that have no error of their own."""
    return Indices((total, total, total), (first, first, first), variance, how)


def estimated(
    function: Function, marginals: Marginals, n_evaluations: int, coverage: float, seed: int = 0
) -> Indices:
    """Return indices by quasi-Monte Carlo, with about so many evaluations of the function.

    Parameters
    ----------
    function : callable
        From (n, D) to (n, Q).
    marginals : Marginals
    n_evaluations : int
    coverage : float
        Of the ranges.
    seed : int
    """
    n_columns = len(marginals.inputs)
    each = n_evaluations / (SCRAMBLES * (n_columns + 2))
    power = int(np.clip(math.floor(math.log2(max(each, 1.0))), FEWEST, MOST))
    found = [_scramble(function, marginals, power, [seed, k]) for k in range(SCRAMBLES)]
    variances = np.array([variance for variance, *_ in found])
    variance = float(variances.mean())
    size = float(max(largest for *_, largest in found))
    how = f"quasi-Monte Carlo, {SCRAMBLES} × {2**power:,} points"
    if not variance > ROUND_OFF * size**2:
        zero = np.zeros(n_columns)
        return exact(zero, zero, 0.0, how)
    total, first = (
        _with_range(np.array(parts) / variance, variances / variance, coverage)
        for parts in zip(*((total, first) for _, total, first, _ in found), strict=True)
    )
    return Indices(total, first, variance, how)


def _scramble(
    function: Function, marginals: Marginals, power: int, seed: list[int]
) -> tuple[float, np.ndarray, np.ndarray, float]:
    """Return the variance, those of the parts (C,), and the largest value of one scramble."""
    n = len(marginals.inputs)
    points = qmc.Sobol(2 * n, scramble=True, rng=np.random.default_rng(seed)).random_base2(power)
    first, second = points[:, :n], points[:, n:]
    a, b = function(marginals(first)), function(marginals(second))
    both = np.concatenate([a, b])
    variance = float(both.var(axis=0).sum())
    total, main = np.zeros(n), np.zeros(n)
    for j in range(n):
        mixed = first.copy()
        mixed[:, j] = second[:, j]
        c = function(marginals(mixed))
        total[j] = 0.5 * float(np.mean((a - c) ** 2, axis=0).sum())
        main[j] = variance - 0.5 * float(np.mean((b - c) ** 2, axis=0).sum())
    return variance, total, main, float(np.abs(both).max())


def _with_range(parts: np.ndarray, variances: np.ndarray, coverage: float) -> WithRange:
    """Return the mean of estimates (R, C) and its range; the mean of the variances is 1."""
    middle = parts.mean(axis=0)
    # A ratio of means: what is common to a part and its variance is no error.
    error = (parts - middle * variances[:, None]).std(axis=0, ddof=1) / math.sqrt(len(parts))
    reach = float(t.isf((1 - coverage) / 2, len(parts) - 1)) * error
    clipped = (np.clip(v, 0.0, 1.0) for v in (middle, middle - reach, middle + reach))
    return tuple(clipped)


def of_coefficients(indices: np.ndarray, squares: np.ndarray) -> Indices:
    """Return the indices of Σ c_β P_β, the P_β being orthonormal products for independent inputs.

    Parameters
    ----------
    indices : array of int, shape (P, C)
        β.
    squares : array, shape (P,)
        c_β², summed over outputs.
    """
    order = (indices > 0).sum(axis=1)
    size, squares = float(squares.max()), np.where(order > 0, squares, 0.0)
    variance = float(squares.sum())
    if not variance > ROUND_OFF * size:
        squares, variance = np.zeros_like(squares), 0.0
    unit = variance or 1.0
    total = np.array([squares[indices[:, j] > 0].sum() for j in range(indices.shape[1])]) / unit
    alone = [squares[(order == 1) & (indices[:, j] > 0)].sum() for j in range(indices.shape[1])]
    how = "closed form: products of Legendre polynomials are orthogonal over the box"
    return exact(total, np.array(alone) / unit, variance, how)


def strongest_dependence(x: np.ndarray, inputs: Sequence[tuple[int, ...]]) -> Any:
    """Return the largest canonical correlation, squared, of two columns, and which they are.

    Numbers are taken by rank. The square is less what so few rows have by chance.

    Parameters
    ----------
    x : array, shape (n, D)
    inputs : sequence of tuple of int
    """
    from scipy.stats import rankdata

    n, bases = len(x), []
    for at in inputs:
        part = x[:, list(at)]
        part = rankdata(part, axis=0) if len(at) == 1 else part
        u, s, _ = np.linalg.svd(part - part.mean(axis=0), full_matrices=False)
        bases.append(u[:, s > 1e-9 * max(s.max(initial=0.0), 1e-300)])
    best: tuple[float, int, int] = (0.0, 0, 0)
    for i, first in enumerate(bases):
        for j, second in enumerate(bases[:i]):
            size = first.shape[1] + second.shape[1]
            if not first.shape[1] or not second.shape[1] or n <= size + 1:
                continue
            square = float(np.linalg.norm(first.T @ second, 2)) ** 2
            square = 1 - (1 - square) * (n - 1) / (n - size)
            best = max(best, (square, j, i))
    return best

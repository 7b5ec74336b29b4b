r"""Gaussians at rows of the data: their lengths and their ridge by the marginal likelihood.

With K(s, h) the Gaussians' matrix, τ² times that of the quadratics and weights w of the rows,
values t ~ N(T a, σ² C), C = K + τ² q·q + λ W⁻¹, with a flat prior on a of the line T = [1 x] have
the restricted likelihood [1]_; Gaussians with shares h stand without quadratics. Up to constants,
with T orthonormal, m rows beyond its columns and

    P = C⁻¹ − C⁻¹ T (Tᵀ C⁻¹ T)⁻¹ Tᵀ C⁻¹,

    −2 log p = (m + n) log(tᵀ P t + s/λ) + log det C + log det Tᵀ C⁻¹ T + n log λ,

σ² being the best there is. Replicates, with s the weighted sum of squares about their means and n
degrees of freedom, tell the noise. A few rows do not tell the lengths of many inputs, so the
logarithms of the slopes have a normal prior. Nothing here is compiled: a fit of 60 rows takes
30 ms, and one of 500 rows half a second.

References
----------
.. [1] Patterson, Thompson, "Recovery of inter-block information when block sizes are unequal",
   Biometrika 58, 1971.
.. [2] Fine, Scheinberg, "Efficient SVM training using low-rank kernel representations", J. Machine
   Learning Research 2 (2001): the Cholesky factor with pivots.
"""

from __future__ import annotations

import math

import numpy as np
from scipy.linalg import blas, lapack
from scipy.optimize import minimize

from ..basis import GaussianKernels
from ..basis.plain import BoxParams, KernelParams, beyond_affine, gaussians
from ..basis.pou.polynomial import products
from ..evidence.errors import Places
from ..models.record import Ridge

#: Rows whose Gaussians are taken, and from which all parameters are chosen.
MOST_CENTERS = 200
#: The same of Gaussians with shares; and rows that their search begins with, which shows the way.
MOST_OF_ANOVA, FIRST_OF_ANOVA = 500, 200
#: Rows from which Gaussians have shares: there are twice as many numbers to be told.
FEWEST_OF_ANOVA = 100
#: Mean and standard deviation of the logarithms of the slopes in the unit box: of 0, ±1 and ±1.5
#: about 0, −½ and −1, these gave the least error on unseen points for ten functions of 2 to 5
#: inputs, 12 to 60 rows with 5 % noise.
SLOPES = (-0.5, 1.0)
#: The same where Gaussians have shares, and of log h/(1 − h), the odds of the shares: hardly any
#: prior. With that for few rows, many-humped inputs of energy and concrete are missed.
SLOPES_OF_ANOVA, ODDS = (0.75, 1.5), (0.0, 3.0)
#: Share of the trace of C that its Cholesky factor may need on the diagonal.
ROUND_OFF = 4 * np.finfo(float).eps
#: Bounds of the logarithms of slopes, of odds, of τ² and of λ. Below e⁻²⁸ of the variance, noise is
#: the round-off of the Cholesky factor.
SLOPE_RANGE, ODDS_RANGE, QUADRATIC_RANGE = (-4.0, 4.0), (-8.0, 8.0), (-12.0, 6.0)
RIDGE_RANGE = (-28.0, 4.0)
#: Where the search for the greatest likelihood begins: logarithms of slopes, of τ² and of λ.
STARTS = ((-0.5, -2.0, -2.0), (1.0, -2.0, -8.0), (-0.5, -2.0, -14.0))
#: Of up to so many inputs also at Gaussians as narrow as two distances between rows, with little
#: noise: from the others, the search does not find waves of many periods. Of three inputs 200 rows
#: tell no such waves.
MOST_INPUTS_OF_WAVES, DISTANCES, OF_WAVES = 2, 2.0, (-2.0, -8.0)
#: The same of Gaussians with shares, logarithms of their odds in the middle.
STARTS_OF_ANOVA = ((0.5, -1.0, -4.0), (0.5, -2.0, -2.0))
STEPS, LATER_STEPS = 100, 15
#: The search ends with a step that raises the likelihood by less than this share: on four tables it
#: was within .03 of that by 2e-9, in 40 to 90 % of the time; ten functions erred as much as before.
LEAST_RISE = 1e-6
#: Share of the largest eigenvalue of the Gaussians' matrix below which a combination of them is
#: left out: their coefficients would be round-off.
DEPENDENT = 1e-15
#: Rows that each centre is chosen among.
ROWS_A_CENTER = 4
#: Centres are enough where the mean variance that they leave is this share of that of the noise.
ENOUGH = 0.01


def kriged(
    places: Places,
    most: int = MOST_CENTERS,
    seed: int = 0,
    *,
    anova: bool = False,
    start: np.ndarray | None = None,
) -> tuple[GaussianKernels, KernelParams, Ridge, np.ndarray]:
    """Return Gaussians at some places, parameters and ridge of greatest likelihood, and where.

    Parameters
    ----------
    places : Places
        Of the unit box.
    most : int
        Centres, and places that parameters are chosen from, at most.
    seed : int
        Of the choice of places.
    anova : bool
        Whether Gaussians have shares.
    start : array, optional
        Where to begin: what this returned for other places.
    """
    order = np.random.default_rng(seed).permutation(len(places))
    n_inputs = places.z.shape[1]
    rows = np.sort(order[:most])
    stages = [rows]
    if anova and start is None and len(rows) > 2 * FIRST_OF_ANOVA:
        stages.insert(0, np.sort(order[:FIRST_OF_ANOVA]))
    best = start
    for stage in stages:
        best = _likeliest(places[stage], anova, best)
    assert best is not None
    slopes = np.exp(best[:n_inputs])
    shares = 1 / (1 + np.exp(-best[n_inputs : 2 * n_inputs])) if anova else None
    ridge = math.exp(best[-1])
    z = places.z[rows]
    if anova:
        among = places.z[np.sort(order[: ROWS_A_CENTER * most])]
        z = among[_pivots(among, slopes, shares, most, ENOUGH * ridge)]
    values, vectors = np.linalg.eigh(gaussians(z, z, slopes, shares))
    clear = values > DEPENDENT * values[-1]
    mixing = vectors * np.where(clear, 1 / np.sqrt(np.where(clear, values, 1.0)), 0.0)
    box = BoxParams(np.full(n_inputs, 0.5), np.full(n_inputs, 0.5))  # the unit box
    quadratic = None if anova else np.asarray(np.exp(0.5 * best[-2]))
    parameters = KernelParams(z, slopes, mixing, quadratic, box, shares)
    # λ W⁻¹ is for weights of mean 1.
    own = Ridge(float(ridge * places.weight.mean()), relative=False)
    return GaussianKernels(len(z), anova=anova), parameters, own, best


def _likeliest(places: Places, anova: bool, start: np.ndarray | None) -> np.ndarray:
    """Return the logarithms of slopes, odds, τ² and λ of greatest likelihood."""
    n_inputs = places.z.shape[1]
    likelihood = _Likelihood(places, second_order(places.z), anova)
    others = [ODDS_RANGE] * n_inputs if anova else [QUADRATIC_RANGE]
    bounds = [*[SLOPE_RANGE] * n_inputs, *others, RIDGE_RANGE]
    starts = [start] if start is not None else []
    if start is None:
        given = STARTS_OF_ANOVA if anova else STARTS
        if not anova and n_inputs <= MOST_INPUTS_OF_WAVES:
            given = (*given, (math.log(len(places) ** (1 / n_inputs) / DISTANCES), *OF_WAVES))
        for slope, other, ridge in given:
            starts.append(np.array([*[slope] * n_inputs, *[other] * len(others), ridge]))
    steps = STEPS if start is None else LATER_STEPS
    found = [
        minimize(
            likelihood,
            begin,
            jac=True,
            method="L-BFGS-B",
            bounds=bounds,
            options={"maxiter": steps, "ftol": LEAST_RISE},
        )
        for begin in starts
    ]
    best: np.ndarray = min(found, key=lambda each: each.fun).x
    return best


def _pivots(
    z: np.ndarray, slopes: np.ndarray, shares: np.ndarray | None, most: int, enough: float
) -> np.ndarray:
    """Return places, each where those before leave most variance, until the mean is small [2]_."""
    n, most = len(z), min(most, len(z))
    left, factor, chosen = np.ones(n), np.empty((most, n)), []
    for k in range(most):
        at = int(np.argmax(left))
        if left[at] <= DEPENDENT * n or left.mean() <= enough:
            break
        column = gaussians(z, z[at : at + 1], slopes, shares)[:, 0]
        column -= factor[:k, at] @ factor[:k]
        factor[k] = column / math.sqrt(left[at])
        left = np.maximum(left - factor[k] ** 2, 0.0)
        left[at] = 0.0
        chosen.append(at)
    return np.sort(chosen)


def second_order(z: np.ndarray) -> np.ndarray:
    """Return the products of degree 2 in the unit box, (N, D (D + 1)/2)."""
    return products(2 * z - 1, beyond_affine(z.shape[1], 2))


class _Likelihood:
    """−log p and its gradient, as a function of the logarithms (s, τ², λ) or (s, odds of h, λ)."""

    def __init__(self, places: Places, second: np.ndarray, anova: bool = False) -> None:
        n = len(places)
        affine = np.hstack([np.ones((n, 1)), places.z])
        u, s, _ = np.linalg.svd(affine, full_matrices=False)
        rank = int(np.sum(s > 1e-10 * s[0])) if 3 * affine.shape[1] <= 2 * n else 0
        self.line, self.t = np.asfortranarray(u[:, :rank]), np.asfortranarray(places.t)
        self.anova, self.n_beyond = anova, (n - rank) * places.t.shape[1]
        # Pairs of places, each once: nothing changes on the diagonal.
        self.pairs = np.tril_indices(n, -1)
        first, other = self.pairs
        self.square = [(z[first] - z[other]) ** 2 for z in places.z.T]
        d = places.z.shape[1]
        self.priors = [(slice(d), SLOPES_OF_ANOVA if anova else SLOPES)]
        self.priors += [(slice(d, 2 * d), ODDS)] if anova else []
        self.second = np.asfortranarray(second)
        self.noise = places.weight.mean() / places.weight
        self.freedom = float(np.sum(places.count - 1)) * places.t.shape[1]
        self.pure = float(np.sum(places.weight @ places.scatter)) / places.weight.mean()

    def __call__(self, logarithms: np.ndarray) -> tuple[float, np.ndarray]:
        d, (n, q), line = len(self.square), self.t.shape, self.line
        slopes, ridge = np.exp(logarithms[:d]), math.exp(logarithms[-1])
        tau = 0.0 if self.anova else math.exp(logarithms[-2])
        near = [
            np.exp(-0.5 * slope**2 * square)
            for slope, square in zip(slopes, self.square, strict=True)
        ]
        if self.anova:
            shares = 1 / (1 + np.exp(-logarithms[d : 2 * d]))
            factors = [1 - h + h * one for h, one in zip(shares, near, strict=True)]
        else:
            shares, factors = np.ones(d), near
        gaussians = np.ones(len(self.pairs[0]))
        for factor in factors:
            gaussians *= factor
        c = np.zeros((n, n), order="F") if self.anova else blas.dsyrk(tau, self.second, lower=1)
        c[self.pairs] += gaussians
        c[np.diag_indices(n)] += 1 + ridge * self.noise
        c[np.diag_indices(n)] += ROUND_OFF * np.trace(c)
        factor, failed = lapack.dpotrf(c, lower=1, overwrite_a=1)
        if failed:
            return 1e25, np.zeros_like(logarithms)
        value = q * float(np.sum(np.log(np.diag(factor))))
        solved, a = (lapack.dpotrs(factor, b, lower=1)[0] for b in (line, self.t))
        inverse = lapack.dpotri(factor, lower=1, overwrite_c=1)[0]
        if line.shape[1]:
            small, failed = lapack.dpotrf(line.T @ solved, lower=1, clean=1)
            if failed:
                return 1e25, np.zeros_like(logarithms)
            value += q * float(np.sum(np.log(np.diag(small))))
            along = blas.dtrsm(1.0, small, solved, side=1, lower=1, trans_a=1)
            inverse = blas.dsyrk(-1.0, along, beta=1.0, c=inverse, lower=1, overwrite_c=1)
            a = a - along @ (along.T @ self.t)
        total, beyond = float(np.sum(self.t * a)) + self.pure / ridge, self.n_beyond + self.freedom
        variance = max(total, 1e-300) / beyond
        value += 0.5 * beyond * np.log(variance) + 0.5 * self.freedom * logarithms[-1]
        # The derivative in C; its lower triangle.
        inner = blas.dsyrk(-0.5 / variance, a, beta=0.5 * q, c=inverse, lower=1, overwrite_c=1)
        gradient = np.empty_like(logarithms)
        weighted = 2 * inner[self.pairs] * gaussians
        for i, (slope, share) in enumerate(zip(slopes, shares, strict=True)):
            without = weighted / np.maximum(factors[i], 1e-300) if self.anova else weighted
            with_it = without * near[i] if self.anova else weighted
            gradient[i] = -share * slope**2 * float(with_it @ self.square[i])
            if self.anova:
                gradient[d + i] = share * (1 - share) * float(with_it.sum() - without.sum())
        on = np.diag(inner)
        if not self.anova:
            turned = blas.dsymm(1.0, inner, self.second, lower=1)
            gradient[-2] = tau * float(np.sum(turned * self.second))
        gradient[-1] = ridge * float(on @ self.noise)
        gradient[-1] += 0.5 * (self.freedom - self.pure / ridge / variance)
        for part, (mean, deviation) in self.priors:
            off = (logarithms[part] - mean) / deviation
            gradient[part] += off / deviation
            value += 0.5 * off @ off
        return float(value), gradient

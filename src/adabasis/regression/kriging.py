r"""Gaussians at rows of the data: their lengths and their ridge by the marginal likelihood.

With K(s, τ) the Gaussians' matrix and τ² times that of the quadratics, weights w of the rows, and
Z an orthonormal basis of what is orthogonal to 1 and x, values t ~ N(T a, σ² (K + λ W⁻¹)) with a
flat prior on a have the restricted likelihood of Zᵀt [1]_. Up to constants, with m rows in Zᵀ,

    −2 log p = (m + n) log(yᵀ C⁻¹ y + s/λ) + log det C + n log λ,

y = Zᵀ t and C = Zᵀ (K + λ W⁻¹) Z, σ² being the best there is. Replicates, with s the weighted sum
of squares about their means and n degrees of freedom, tell the noise. A few rows do not tell the
lengths of many inputs, so the logarithms of the slopes have a normal prior. Nothing here is
compiled: a fit of 60 rows takes 30 ms.

References
----------
.. [1] Patterson, Thompson, "Recovery of inter-block information when block sizes are unequal",
   Biometrika 58, 1971.
"""

from __future__ import annotations

import numpy as np
from scipy.linalg import lapack
from scipy.optimize import minimize

from ..basis import GaussianKernels
from ..basis.plain import BoxParams, KernelParams, beyond_affine
from ..basis.pou.polynomial import products
from ..evidence.errors import Places
from ..models.record import Ridge

#: Rows whose Gaussians are taken, and from which all parameters are chosen.
MOST_CENTERS = 200
#: Mean and standard deviation of the logarithms of the slopes in the unit box: of 0, ±1 and ±1.5
#: about 0, −½ and −1, these gave the least error on unseen points for ten functions of 2 to 5
#: inputs, 12 to 60 rows with 5 % noise.
SLOPES = (-0.5, 1.0)
#: Bounds of the logarithms of slopes, of τ² and of λ. Below e⁻²⁸ of the variance, noise is the
#: round-off of the Cholesky factor.
SLOPE_RANGE, QUADRATIC_RANGE, RIDGE_RANGE = (-4.0, 4.0), (-12.0, 6.0), (-28.0, 4.0)
#: Where the search for the greatest likelihood begins: logarithms of slopes and of λ.
STARTS = ((-0.5, -2.0), (1.0, -8.0), (-0.5, -14.0))
STEPS = 100
#: Share of the largest eigenvalue of the Gaussians' matrix below which a combination of them is
#: left out: their coefficients would be round-off.
DEPENDENT = 1e-15


def kriged(places: Places) -> tuple[GaussianKernels, KernelParams, Ridge]:
    """Return Gaussians at some places, their parameters and the ridge of greatest likelihood.

    Parameters
    ----------
    places : Places
        Of the unit box, at most :data:`MOST_CENTERS` of them.
    """
    z, n_inputs = places.z, places.z.shape[1]
    likelihood = _Likelihood(places, second_order(z))
    bounds = [*[SLOPE_RANGE] * n_inputs, QUADRATIC_RANGE, RIDGE_RANGE]
    found = [
        minimize(
            likelihood,
            [*[slope] * n_inputs, -2.0, ridge],
            jac=True,
            method="L-BFGS-B",
            bounds=bounds,
            options={"maxiter": STEPS},
        )
        for slope, ridge in STARTS
    ]
    best = min(found, key=lambda each: each.fun).x
    slopes = np.exp(best[:n_inputs])
    values, vectors = np.linalg.eigh(likelihood.gaussians(slopes))
    clear = values > DEPENDENT * values[-1]
    mixing = vectors * np.where(clear, 1 / np.sqrt(np.where(clear, values, 1.0)), 0.0)
    quadratic = np.exp(0.5 * best[-2])
    box = BoxParams(np.full(n_inputs, 0.5), np.full(n_inputs, 0.5))  # the unit box
    parameters = KernelParams(z, slopes, mixing, np.asarray(quadratic), box)
    # λ W⁻¹ is for weights of mean 1.
    ridge = Ridge(float(np.exp(best[-1]) * places.weight.mean()), relative=False)
    return GaussianKernels(len(z)), parameters, ridge


def second_order(z: np.ndarray) -> np.ndarray:
    """Return the products of degree 2 in the unit box, (N, D (D + 1)/2)."""
    return products(2 * z - 1, beyond_affine(z.shape[1], 2))


class _Likelihood:
    """−log p and its gradient, as a function of the logarithms (s, τ², λ)."""

    def __init__(self, places: Places, second: np.ndarray) -> None:
        n = len(places)
        affine = np.hstack([np.ones((n, 1)), places.z])
        u, s, _ = np.linalg.svd(affine, full_matrices=True)
        rank = int(np.sum(s > 1e-10 * s[0])) if 3 * affine.shape[1] <= 2 * n else 0
        self.z = u[:, rank:]
        self.y = self.z.T @ places.t
        self.square = (places.z[:, None, :] - places.z[None, :, :]) ** 2
        projected = self.z.T @ second
        self.quadratic = projected @ projected.T
        self.noise = (self.z.T * (places.weight.mean() / places.weight)) @ self.z
        self.freedom = float(np.sum(places.count - 1)) * places.t.shape[1]
        self.pure = float(np.sum(places.weight @ places.scatter)) / places.weight.mean()

    def gaussians(self, slopes: np.ndarray) -> np.ndarray:
        """Return the matrix of the Gaussians at their centres."""
        return np.exp(-0.5 * self.square @ slopes**2)

    def __call__(self, logarithms: np.ndarray) -> tuple[float, np.ndarray]:
        d, (m, q) = len(logarithms) - 2, self.y.shape
        slopes = np.exp(logarithms[:d])
        tau, ridge = np.exp(logarithms[d:])
        gaussians = self.gaussians(slopes)
        c = self.z.T @ gaussians @ self.z + tau * self.quadratic + ridge * self.noise
        factor, failed = lapack.dpotrf(c, lower=1, clean=1)
        if failed:
            return 1e25, np.zeros_like(logarithms)
        inverse = lapack.dpotri(factor, lower=1)[0]
        inverse = np.tril(inverse) + np.tril(inverse, -1).T
        a = inverse @ self.y
        total, n = float(np.sum(self.y * a)) + self.pure / ridge, m * q + self.freedom
        variance = max(total, 1e-300) / n
        value = 0.5 * n * np.log(variance) + q * np.sum(np.log(np.diag(factor)))
        value += 0.5 * self.freedom * logarithms[-1]
        inner = 0.5 * q * inverse - 0.5 / variance * a @ a.T
        weighted = (self.z @ inner @ self.z.T) * gaussians
        gradient = np.empty_like(logarithms)
        gradient[:d] = -np.einsum("ij,ijd->d", weighted, self.square) * slopes**2
        gradient[d] = tau * np.sum(inner * self.quadratic)
        gradient[d + 1] = ridge * np.sum(inner * self.noise)
        gradient[d + 1] += 0.5 * (self.freedom - self.pure / ridge / variance)
        mean, deviation = SLOPES
        off = (logarithms[:d] - mean) / deviation
        gradient[:d] += off / deviation
        return float(value + 0.5 * off @ off), gradient

"""The result of a fit with a noise level for each part: means, variances, densities."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np

from ..models.fitted import Fitted
from .mixture import CHUNK_ROWS, LOG_2PI, Mixture, normalized


@dataclasses.dataclass(frozen=True, eq=False, repr=False)
class ProbabilisticPOUNet(Fitted):
    """A partition of unity network whose parts are Gaussians: y at x has the density of a mixture.

    The density is Σ_α φ_α(x) N(y; p_α(x), σ_α²), see :mod:`adabasis.pou.mixture`; calling the model
    gives its mean, as of any other.

    Attributes
    ----------
    noise_levels : array, shape (N_part, Q)
        σ_α of every part and output, in the user's units: the standard deviation of one row of
        weight one, where the mean weight is one.
    roots : array, shape (N_part, Q, dim V, dim V)
        W with W Wᵀ the covariance of a part's coefficients, in the model's units.

    See Also
    --------
    adabasis.Fitted : the attributes and methods every fitted function has.

    Examples
    --------
    >>> import numpy as np
    >>> from adabasis import fit_pounet
    >>> rng = np.random.default_rng(0)
    >>> X = np.sort(rng.random((400, 1)), axis=0)
    >>> noise = np.where(X[:, 0] < 0.5, 0.02, 0.2)
    >>> model = fit_pounet(X, X[:, 0] + noise * rng.normal(size=400), noise="parts")
    >>> mean, std = model.predict([[0.2], [0.8]], return_std=True)
    >>> bool(abs(std[0] - 0.02) < 0.004), bool(abs(std[1] - 0.2) < 0.04)
    (True, True)
    """

    solved_from: ClassVar[str] = "parts with noise"

    noise_levels: np.ndarray = None  # type: ignore[assignment]
    roots: np.ndarray = None  # type: ignore[assignment]

    @property
    def mixture(self) -> Mixture:
        """The mixture, in the model's units."""
        variances = (self.noise_levels / self.output_map.scale) ** 2
        basis: Any = self.basis
        return Mixture(basis, self.parameters, self.coefficients, variances)

    def predict(self, X: Any, return_std: bool = False, *, dtype: str = "float64") -> Any:
        """Return the mean at N points, and the standard deviation of a new value if asked.

        Parameters
        ----------
        X : array-like, shape (N, D)
        return_std : bool
            Of a new value: of the noise, of what parts differ by where they overlap, and of the
            uncertainty of the polynomials.
        dtype : {"float64", "float32"}
            As of :meth:`Fitted.predict`.

        Returns
        -------
        array, or two arrays, shapes (N, Q), or (N,) where y was one-dimensional
        """
        mean = super().predict(X, dtype=dtype)
        if not return_std:
            return mean
        function, noise = self.variances(X)
        return mean, np.sqrt(function + noise).reshape(mean.shape)

    def variances(self, X: Any) -> tuple[np.ndarray, np.ndarray]:
        """Return the variance of the function and that of the noise at N points, both (N, Q).

        With v_α the variance of part α's polynomial, the former is Σ φ_α v_α; the latter is
        Σ φ_α (σ_α² + p_α²) − (Σ φ_α p_α)². Both are in the user's units, squared.
        """
        x = self._inputs(X, f"{type(self).__name__}.variances(X)")
        z, n_outputs = self.input_map(x), self.n_outputs
        function, noise = np.empty((len(z), n_outputs)), np.empty((len(z), n_outputs))
        mixture, scale = self.mixture, self.output_map.scale**2
        for start in range(0, len(z), CHUNK_ROWS):
            some = slice(start, start + CHUNK_ROWS)
            phi, means = np.exp(mixture.log_shares(z[some])), mixture.means(z[some])
            with np.errstate(all="ignore"):
                local = mixture.basis.local_values(z[some], self.parameters)
            moved = np.einsum("nav,aqvw->naqw", local, self.roots)
            mean = np.einsum("na,naq->nq", phi, means)
            # About the mean, of which squares lose no digits.
            apart = mixture.variances + (means - mean[:, None]) ** 2
            noise[some] = scale * np.einsum("na,naq->nq", phi, apart)
            function[some] = scale * np.einsum("na,naqw,naqw->nq", phi, moved, moved)
        return function, noise

    def log_density(self, X: Any, y: Any) -> np.ndarray:
        """Return the logarithm of the density of values (N,) or (N, Q) at N points: (N,).

        Of Σ φ_α N(y; p_α, σ_α² + v_α), the uncertainty of the polynomials in it; in the user's
        units.

        Raises
        ------
        ValueError
            For y of another shape.
        """
        call = f"{type(self).__name__}.log_density(X, y)"
        x, y = self._inputs(X, call), np.asarray(y, dtype=float)
        if y.shape not in ((len(x), self.n_outputs), (len(x),)[: 2 - (self.n_outputs > 1)]):
            raise ValueError(
                f"{call}: expected y of {len(x)} rows and {self.n_outputs} targets, got shape "
                f"{y.shape}."
            )
        z, t = self.input_map(x), self.output_map(y.reshape(len(x), -1))
        mixture, found = self.mixture, np.empty(len(z))
        for start in range(0, len(z), CHUNK_ROWS):
            some = slice(start, start + CHUNK_ROWS)
            with np.errstate(all="ignore"):
                local = mixture.basis.local_values(z[some], self.parameters)
            moved = np.einsum("nav,aqvw->naqw", local, self.roots)
            variance = mixture.variances + np.sum(moved**2, axis=3)
            squares = (mixture.means(z[some]) - t[some][:, None]) ** 2
            ratio = squares / variance + np.log(variance) + LOG_2PI
            found[some] = normalized(mixture.log_shares(z[some]) - 0.5 * ratio.sum(axis=2))[1]
        return found - np.log(self.output_map.scale).sum()

    def _tensors(self) -> dict[str, np.ndarray]:
        own = {"noise_levels": self.noise_levels, "roots": np.ascontiguousarray(self.roots)}
        return {**super()._tensors(), **own}

    @classmethod
    def _restored(
        cls, document: Mapping[str, Any], tensors: Mapping[str, np.ndarray]
    ) -> dict[str, Any]:
        return {"noise_levels": tensors["noise_levels"], "roots": tensors["roots"]}

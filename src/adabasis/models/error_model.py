r"""What is known of a fitted function's errors: noise, how well it is determined, unseen rows.

In the model's units a new value of target q at x is t_q(x) + noise. The variance of the fitted
function is taken to be

    s_q²(x) = κ_q (σ_q² ‖φ(x) C‖² + v_q(x)) + g_q²(x),

with C Cᵀ = (AᵀA + Λ)⁻¹ the posterior covariance of the coefficients over σ² (ridge Λ as prior; of
members, their mean), v the variance of the members about their mean, κ ≥ 1 what other functions
that do about as well, and the errors of rows not seen, say it has to be in the mean, and g half of
the range of the values where no row is near. The noise has the variance σ_q² exp(b(x)·θ).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any, NamedTuple, Self

import numpy as np

from ..evidence.intervals import Scores
from ..evidence.left_out import LeftOutModels
from ..evidence.noise import CONSTANT, Variation
from ..evidence.support import Nearness

#: Functions of one member above which the covariance of their coefficients is stood for by so many
#: draws of them: the standard deviation is then right to 1/√(2·64) = 9 %, and files stay small.
MOST_EXACT, DRAWS = 96, 64
#: Where no row is near, the function may be anywhere in the range of the values: of so many
#: standard deviations.
OF_RANGE = 0.5
#: Scores that a model keeps (a random choice of more).
KEPT_SCORES = 1000
#: What they are called in files.
ERRORS = "error_model"
ARRAYS = ("roots", "noise", "inflation", "span", "box", "error", "optimism")


class Uncertainty(NamedTuple):
    """Standard deviations at N points, in the user's units: each (N,) or (N, Q).

    Attributes
    ----------
    function : array
        Of the fitted function: how well the rows determine the mean (epistemic).
    noise : array
        Of values about that mean (aleatoric).
    total : array
        Of a new value: the root of the sum of both squares.
    """

    function: np.ndarray
    noise: np.ndarray
    total: np.ndarray


@dataclasses.dataclass(frozen=True, eq=False)
class ErrorModel:
    """What is known of a model's errors, in its own units.

    Attributes
    ----------
    roots : array, shape (M, P, R)
        C of each of M members with P functions.
    noise : array, shape (Q,)
        σ².
    noise_kind : str
        How it is known.
    inflation : array, shape (Q,)
        κ.
    variations : tuple of Variation, length Q
    scores : Scores
        Errors of rows not seen over √(s² + σ² exp(b·θ)).
    span : array, shape (Q,)
        Range of the values.
    box : array, shape (D, 2)
        Bounds of the rows, mapped.
    effective, linear : float
        Effective number of parameters: of all, and of the coefficients alone.
    n_rows : int
        N.
    error : array, shape (Q,)
        Mean square error of rows not seen; NaN where there are none.
    optimism : array, shape (Q,)
        Error of rows not seen over that of rows left out of the last solve alone.
    left_out : LeftOutModels, optional
        The models without a row each, where there are any.
    """

    roots: np.ndarray
    noise: np.ndarray
    noise_kind: str
    inflation: np.ndarray
    variations: tuple[Variation, ...]
    scores: Scores
    span: np.ndarray
    box: np.ndarray
    effective: float
    linear: float
    n_rows: int
    error: np.ndarray
    optimism: np.ndarray
    left_out: LeftOutModels | None = None

    @property
    def noise_share(self) -> np.ndarray:
        """The standard deviation of the noise over the error of rows not seen, (Q,), at most 1."""
        with np.errstate(all="ignore"):
            return np.minimum(np.sqrt(self.noise / self.error), 1.0)

    def raw(self, phi: np.ndarray, c: np.ndarray) -> np.ndarray:
        """Return σ² ‖φ C‖² + v at points, (n, Q), of functions (n, M P) and coefficients."""
        leverage = self.leverages(phi)
        found = leverage[:, None] * self.noise
        if len(self.roots) > 1:
            found = found + member_variance(phi, c, len(self.roots))
        return found

    def leverages(self, phi: np.ndarray) -> np.ndarray:
        """Return ‖φ C‖² at points, (n,): the mean over members."""
        n_members, size, _ = self.roots.shape
        by_member = phi.astype(np.float32).reshape(len(phi), n_members, size).transpose(1, 0, 2)
        inner = by_member @ self.roots
        return np.einsum("knr,knr->n", inner, inner).astype(float) / n_members

    def far(self, z: np.ndarray, nearness: Nearness) -> np.ndarray:
        """Return g² at points z, (n, Q): of half the range where no row is near, more beyond."""
        low, high = self.box.T
        side = np.where(high > low, high - low, 1.0)
        beyond = np.maximum(np.maximum(low - z, z - high), 0.0) / side
        outside = np.sqrt(np.sum(beyond**2, axis=1))
        share = nearness.remoteness(z) * (1 + 2 * outside)
        return (OF_RANGE * share[:, None] * self.span) ** 2

    def variances(
        self,
        phi: np.ndarray,
        c: np.ndarray,
        z: np.ndarray,
        nearness: Nearness,
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return s² less g², g² and the variance of the noise at points, each (n, Q).

        Parameters
        ----------
        phi : array, shape (n, M P)
            The functions there.
        c : array, shape (M P, Q)
        z : array, shape (n, D)
            The points, mapped.
        nearness : Nearness
            How near the rows are.
        """
        values, function = phi @ c, self.inflation * self.raw(phi, c)
        noise = [
            s * one(z, v) for s, one, v in zip(self.noise, self.variations, values.T, strict=True)
        ]
        return function, self.far(z, nearness), np.stack(noise, axis=1)

    def to_json(self) -> dict[str, Any]:
        """Return what is no array."""
        return {
            "noise_kind": self.noise_kind,
            "forms": [one.form for one in self.variations],
            "limits": [[one.low, one.high] for one in self.variations],
            "effective": self.effective,
            "linear": self.linear,
            "n_rows": self.n_rows,
            "scores": {"kind": self.scores.kind, "n_groups": self.scores.n_groups},
            "left_out": self.left_out and self.left_out.to_json(),
        }

    def arrays(self) -> dict[str, np.ndarray]:
        """Return the arrays by name, for a file."""
        found = {name: getattr(self, name) for name in ARRAYS}
        found["scores"] = self.scores.values.astype(np.float32)
        if (self.scores.mass != 1).any():
            found["mass"] = self.scores.mass
        for q, one in enumerate(self.variations):
            if one.form != CONSTANT.form:
                found |= {f"{name}.{q}": getattr(one, name) for name in ("theta", "mean", "scale")}
        return found if self.left_out is None else found | self.left_out.arrays()

    @classmethod
    def restored(cls, about: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> Self:
        """Return what :meth:`to_json` and :meth:`arrays` described."""
        variations = []
        for q, (form, (low, high)) in enumerate(zip(about["forms"], about["limits"], strict=True)):
            if form == CONSTANT.form:
                variations.append(CONSTANT)
                continue
            theta, mean, scale = (arrays[f"{name}.{q}"] for name in ("theta", "mean", "scale"))
            variations.append(Variation(form, theta, mean, scale, low, high))
        known: dict[str, Any] = {name: arrays[name] for name in ARRAYS}
        known |= {name: about[name] for name in ("noise_kind", "effective", "linear", "n_rows")}
        values = arrays["scores"].astype(float)
        mass = arrays.get("mass", np.ones(len(values)))
        scores = Scores(values, mass, **about["scores"])
        about_left = about.get("left_out")
        left_out = None if about_left is None else LeftOutModels.restored(about_left, arrays)
        return cls(**known, variations=tuple(variations), scores=scores, left_out=left_out)


def member_variance(phi: np.ndarray, c: np.ndarray, n_members: int) -> np.ndarray:
    """Return the variance of the members of a mean about it at points, (n, Q)."""
    size = len(c) // n_members
    by_member = phi.reshape(len(phi), n_members, size).transpose(1, 0, 2)
    each = by_member @ (n_members * c.reshape(n_members, size, -1))
    return each.var(axis=0, ddof=1)

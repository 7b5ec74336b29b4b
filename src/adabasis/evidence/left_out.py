r"""Intervals from models without a row: jackknife+ and CV+.

Of every row i there is a model that never saw it, alone (jackknife+) or with the other rows of its
fold (CV+): its prediction μ₋ᵢ(x) for a new row, and its error Rᵢ = |yᵢ − μ₋ᵢ(xᵢ)|. The interval is

    [the ⌊(n + 1) α⌋-th smallest of μ₋ᵢ(x) − Rᵢ,  the ⌈(n + 1)(1 − α)⌉-th of μ₋ᵢ(x) + Rᵢ],

which holds a new row that is exchangeable with the others with a chance of at least 1 − 2α,
whatever the distribution and the model, if that is made of the rows without regard to their order
[1]_; of K folds of n rows the bound is lower by up to (1 − K/n)/(K + 1). Usually it is about 1 − α.

Of functions φ with coefficients of least squares the model without row i of weight w needs no fit:
with G = (ΦᵀWΦ + Λ)⁻¹ and residual ρ,

    μ₋ᵢ(x) = μ(x) − φ(x)ᵀ G φᵢ w rᵢ,   rᵢ = yᵢ − μ₋ᵢ(xᵢ) = ρᵢ / (1 − w φᵢᵀ G φᵢ).

References
----------
.. [1] Barber, Candès, Ramdas, Tibshirani, "Predictive inference with the jackknife+", Ann. Stat.
   49 (2021).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any, Self

import numpy as np

from .intervals import ROUNDED, Scores

JACKKNIFE, FOLDS = "jackknife+", "cv+"
#: What intervals may come from; "auto" is what :mod:`adabasis.evidence.intervals` says.
METHODS = ("auto", JACKKNIFE, FOLDS)
WORDS = {
    JACKKNIFE: (
        "jackknife+, from {n}, each left out in turn of the last solve. For functions that were "
        "fixed before the rows were seen, the interval holds a new row like them with a chance of "
        "at least {least:.4g} %, whatever the distribution, and usually of about {c:.4g} %. This "
        "does not account for functions or a ridge that the same rows chose"
    ),
    FOLDS: (
        "CV+, from {n}, each held out of the member that is asked about it. The interval holds a "
        "new row like them with a chance of at least {least:.4g} %, whatever the distribution, and "
        "usually of about {c:.4g} %. This does not account for the number of folds, nor for what "
        "the held-out rows decide: when training ends"
    ),
}
#: Below so much of 1 − leverage a row alone has determined what is said of it: it may be anywhere.
ALONE = 1e-10


@dataclasses.dataclass(frozen=True, eq=False)
class LeftOutModels:
    """Models without a row each, or without a fold, in the units of the model that predicts.

    Attributes
    ----------
    kind : {"jackknife+", "cv+"}
    errors : array, shape (n, Q)
        rᵢ, signed; infinite where a row alone determines what is said of it.
    mass : array, shape (n,)
        What each row counts for; see :class:`adabasis.evidence.intervals.Scores`.
    n_groups : int
        Of CV+: how many groups of rows there are; 0 where each row is one.
    z, weight : arrays, shapes (n, D) and (n,)
        Of jackknife+: the rows' points, mapped, and their weights in rows.
    roots : array, shape (P, R)
        Of jackknife+: C with C Cᵀ = G.
    member : array of int, shape (n,)
        Of CV+: which member each row was held out of.
    coefficients : array, shape (M, P, Q)
        Of CV+: those of the members without their folds.
    """

    kind: str
    errors: np.ndarray
    mass: np.ndarray
    n_groups: int = 0
    z: np.ndarray | None = None
    weight: np.ndarray | None = None
    roots: np.ndarray | None = None
    member: np.ndarray | None = None
    coefficients: np.ndarray | None = None

    @classmethod
    def of_rows(
        cls,
        phi: np.ndarray,
        z: np.ndarray,
        residuals: np.ndarray,
        weight: np.ndarray,
        roots: np.ndarray,
    ) -> Self:
        """Return those of functions (n, P) at rows, for residuals (n, Q) and weights in rows."""
        left = 1 - weight * np.sum((phi @ roots) ** 2, axis=1)
        with np.errstate(all="ignore"):
            errors = np.where((left > ALONE)[:, None], residuals / left[:, None], np.inf)
        return cls(
            JACKKNIFE, errors, weight / weight.mean(), z=z.astype(np.float32), weight=weight,
            roots=roots,
        )  # fmt: skip

    @classmethod
    def of_members(
        cls,
        errors: np.ndarray,
        weight: np.ndarray,
        group: np.ndarray | None,
        member: np.ndarray,
        coefficients: np.ndarray,
    ) -> Self:
        """Return those of members, each without a fold of the rows."""
        known = Scores.of(errors, FOLDS, weight, group)
        return cls(
            FOLDS, errors, known.mass, known.n_groups, member=member, coefficients=coefficients
        )

    def moves(self, phi: np.ndarray) -> np.ndarray:
        """Return M (R, n) for rows (n, P) of functions: without row i, φ(x)ᵀ C Mᵢ rᵢ is gone."""
        assert self.roots is not None
        assert self.weight is not None
        return (self.weight[:, None] * (phi @ self.roots)).T

    def bounds(
        self, coverage: float, phi: np.ndarray, values: np.ndarray, moves: np.ndarray | None
    ) -> np.ndarray:
        """Return the ends of intervals at m points, (m, 2 Q): all lower ones first.

        Parameters
        ----------
        coverage : float
            1 − α.
        phi : array, shape (m, P), or (m, M P) of members
            The functions there.
        values : array, shape (m, Q)
            What the model says there.
        moves : array, shape (R, n), or None
            Of jackknife+: see :meth:`moves`.
        """
        lower, upper = np.empty_like(values), np.empty_like(values)
        shift = None if moves is None else phi @ self.roots @ moves
        for q in range(values.shape[1]):
            error = self.errors[:, q]
            size = np.abs(error)
            if shift is not None:
                known = np.isfinite(error)
                center = values[:, q : q + 1] - shift * np.where(known, error, 0.0)
            else:
                assert self.coefficients is not None
                assert self.member is not None
                n_members, p, _ = self.coefficients.shape
                by_member = phi.reshape(len(phi), n_members, p)
                said = np.einsum("mkp,kp->mk", by_member, self.coefficients[:, :, q])
                center = said[:, self.member]
            lower[:, q] = -self._least(size - center, coverage)
            upper[:, q] = self._least(size + center, coverage)
        return np.hstack([lower, upper])

    def _least(self, ends: np.ndarray, level: float) -> np.ndarray:
        """Return of each row of ends (m, n) the least below which a new one lies by this count."""
        order = np.argsort(ends, axis=1)
        share = np.cumsum(self.mass[order], axis=1) / (float(self.mass.sum()) + 1)
        at = np.sum(share < level - ROUNDED, axis=1)
        there = np.minimum(at, ends.shape[1] - 1)
        found = np.take_along_axis(np.take_along_axis(ends, order, 1), there[:, None], 1)[:, 0]
        return np.where(at < ends.shape[1], found, np.inf)

    @property
    def enough_for(self) -> float:
        """The largest coverage that so many rows have finite bounds for."""
        total = float(self.mass.sum())
        return total / (total + 1)

    def __len__(self) -> int:
        return len(self.errors)

    def told(self, coverage: float) -> str:
        """Say where intervals of a coverage come from, and what they guarantee."""
        n, groups = len(self), self.n_groups
        rows = f"{n:,} rows" if not groups else f"{n:,} rows of {groups:,} groups"
        least = max(0.0, 2 * coverage - 1)
        words = WORDS[self.kind].format(n=rows, least=100 * least, c=100 * coverage)
        return words + "." + (" The new row is one of a group that is new." if groups else "")

    def to_json(self) -> dict[str, Any]:
        """Return what is no array."""
        return {"kind": self.kind, "n_groups": self.n_groups}

    def arrays(self) -> dict[str, np.ndarray]:
        """Return the arrays by name, for a file."""
        names = ("errors", "mass", "z", "weight", "roots", "member", "coefficients")
        found = {name: getattr(self, name) for name in names}
        return {f"left_out.{k}": a for k, a in found.items() if a is not None}

    @classmethod
    def restored(cls, about: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> Self:
        """Return what :meth:`to_json` and :meth:`arrays` described."""
        start = "left_out."
        own: dict[str, Any] = {
            k.removeprefix(start): a for k, a in arrays.items() if k.startswith(start)
        }
        return cls(**about, **own)

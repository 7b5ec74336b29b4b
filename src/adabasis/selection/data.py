"""Data in memory: checked, mapped to the model's units, split, padded to terms of a loss."""

from __future__ import annotations

from typing import Any

import jax
import numpy as np

from .. import rows
from .._runtime.notation import RandomKey
from ..geometry.domains import AffineMap, bounding_box, unit_box
from ..geometry.points import bucket, pad_rows, padded

HELD_OUT, FEWEST_HELD_OUT = 0.1, 20
"""Share of the rows held out, and the number that it is raised to, up to twice the share."""
FEWEST_PLACES_TO_SPLIT = 40


class Prepared:
    """Checked data, the maps, and the split: what every method starts from.

    Rows of weight zero are dropped, and rows at the same place x are merged into one with their
    total weight and mean value: the same least-squares problem with fewer rows. Repeated
    measurements cannot leak into held-out rows, and a row of weight 2 means exactly two rows.
    ``scatter`` is the mean square about those means (model's units), which no function can fit.
    """

    def __init__(
        self,
        call: str,
        X: Any,
        y: Any,
        sample_weight: Any,
        validation: Any,
        seed: int,
        *,
        split_by_default: bool,
        standardize: bool = True,
        map_outputs: bool = True,
    ) -> None:
        self.call = call
        x, values, weight = checked_data(call, X, y, sample_weight)
        self.n_rows = int(np.count_nonzero(weight))
        self.x, self.y, self.weight, about = merged(x, values, weight)
        self.flat, self.seed, self.split_by_default = np.ndim(y) == 1, seed, split_by_default
        self.box = bounding_box(self.x)
        n_inputs, n_outputs = self.x.shape[1], self.y.shape[1]
        if standardize:
            self.input_map = AffineMap.onto_unit_box(self.box)
            self.output_map = AffineMap.standardize(self.y, self.weight)
            self.inner_box = unit_box(n_inputs)
        else:
            self.input_map = AffineMap.identity(n_inputs)
            self.output_map = AffineMap.identity(n_outputs)
            self.inner_box = self.box
        if not map_outputs:
            self.output_map = AffineMap.identity(n_outputs)
        self.scatter = float(np.mean(about / self.output_map.scale**2))
        self.z, self.t = self.input_map(self.x), self.output_map(self.y)
        self.held_out_kind = "none"
        self.folds = self._folds(validation)

    def _folds(self, validation: Any) -> list[tuple[np.ndarray, rows.Term]]:
        """Return the ways of holding rows out: the indices trained on, the term of the others.

        A share s gives up to 1/s folds, no row being held out twice; given data are one fold.
        """
        if isinstance(validation, tuple):
            x, y, weight = self._checked_validation(*validation)
            self.held_out_kind = f"{len(x)} rows given for validation"
            everything = np.arange(len(self.x))
            return [(everything, padded_term(self.input_map(x), self.output_map(y), weight))]
        if validation == "auto":
            splits = self.split_by_default and len(self.x) >= FEWEST_PLACES_TO_SPLIT
            share = min(max(HELD_OUT, FEWEST_HELD_OUT / len(self.x)), 2 * HELD_OUT)
            validation = share if splits else None
        if validation is None or len(self.x) < 2:
            return []
        if isinstance(validation, str) or not 0 < validation < 1:
            raise ValueError(
                f"{self.call}(validation={validation!r}): a share between 0 and 1, a pair (X, y), "
                "'auto' or None."
            )
        order = np.random.default_rng(self.seed).permutation(len(self.x))
        n_out = min(max(1, round(validation * len(self.x))), len(self.x) - 1)
        self.held_out_kind = f"{n_out} of {len(order)} distinct rows held out"
        starts = range(0, len(order) - n_out + 1, n_out)
        return [self._fold(order, start, n_out) for start in starts]

    def _fold(self, order: np.ndarray, start: int, n_out: int) -> tuple[np.ndarray, rows.Term]:
        out = np.sort(order[start : start + n_out])
        return np.setdiff1d(self.all_rows, out), self.term(out)

    def _checked_validation(self, X: Any, y: Any) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        try:
            x, values, weight = checked_data(self.call, X, y, None)
        except ValueError as error:
            raise ValueError(f"{self.call}(validation=(X, y)): in these data, {error}") from error
        for name, given, fitted in (("X", x, self.x), ("y", values, self.y)):
            if given.shape[1] != fitted.shape[1]:
                raise ValueError(
                    f"{self.call}(validation=(X, y)): its {name} has {given.shape[1]} columns, "
                    f"that of the data to fit {fitted.shape[1]}. Give the same columns in the same "
                    "order."
                )
        return x, values, weight

    def term(self, indices: np.ndarray) -> rows.Term:
        """Return the padded term of some rows."""
        return padded_term(self.z[indices], self.t[indices], self.weight[indices])

    @property
    def all_rows(self) -> np.ndarray:
        """Indices of all rows."""
        return np.arange(len(self.x))

    def fold(self, number: int) -> tuple[np.ndarray, rows.Term | None]:
        """Return the indices trained on, and the term held out, if any; numbers wrap around."""
        return self.folds[number % len(self.folds)] if self.folds else (self.all_rows, None)

    def key(self, restart: int) -> RandomKey:
        """Return the random key of one restart.

        The generator is XLA's own, which compiles in a quarter of the default one's time.
        """
        return jax.random.fold_in(jax.random.key(self.seed, impl="rbg"), restart)


def padded_term(z: np.ndarray, t: np.ndarray, weight: np.ndarray) -> rows.Term:
    """Return rows in the model's units as a term, padded to a bucket's length."""
    return rows.Term(padded(z, weight), pad_rows(t, bucket(len(z))))


def merged(
    x: np.ndarray, y: np.ndarray, weight: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Return distinct places, their mean values and total weights, and the scatter (Q,) lost.

    Rows of weight zero are dropped.
    """
    x, y, weight = (array[weight > 0] for array in (x, y, weight))
    places, at = np.unique(x, axis=0, return_inverse=True)
    at = at.ravel()
    total = np.bincount(at, weight)
    first = np.empty_like(y, shape=(len(places), y.shape[1]))
    first[at] = y
    # Means of differences from one of the values: exact where all agree, and no cancellation.
    offset = np.stack([np.bincount(at, weight * d) for d in (y - first[at]).T], axis=1)
    mean = first + offset / total[:, None]
    return places, mean, total, weight @ (y - mean[at]) ** 2 / weight.sum()


def checked_data(
    call: str, X: Any, y: Any, sample_weight: Any
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return X (N, D), y (N, Q) and weights (N,) in float64, or say what is wrong with them."""
    x, values = np.asarray(X, dtype=float), np.asarray(y, dtype=float)
    if x.ndim != 2 or values.ndim not in (1, 2) or len(x) != len(values) or not x.size:
        raise ValueError(
            f"{call}(X, y): expected X of shape (N, D) and y of shape (N,) or (N, Q) with N, D ≥ "
            f"1, got {x.shape} and {values.shape}."
        )
    values = values.reshape(len(values), -1)
    weight = np.ones(len(x)) if sample_weight is None else np.asarray(sample_weight, dtype=float)
    if weight.shape != (len(x),):
        raise ValueError(f"{call}(sample_weight): expected shape ({len(x)},), got {weight.shape}.")
    for name, array in (("X", x), ("y", values), ("sample_weight", weight)):
        bad = np.argwhere(~np.isfinite(array))
        if len(bad):
            where = ", ".join(map(str, bad[0]))
            raise ValueError(
                f"{call}({name}): {len(bad)} entries are NaN or infinite, the first at [{where}]. "
                "Fill them or drop those rows."
            )
    if (weight < 0).any() or not (weight > 0).any():
        raise ValueError(f"{call}(sample_weight): weights must not be negative and not all zero.")
    return x, values, weight


def some_rows(indices: np.ndarray, most: int, seed: int) -> np.ndarray:
    """Return the indices, or a random choice of so many."""
    if len(indices) <= most:
        return indices
    return np.sort(np.random.default_rng([seed, 1]).choice(indices, most, replace=False))

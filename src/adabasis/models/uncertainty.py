"""Standard deviations and intervals of a fitted function: what it asks its error model for."""

from __future__ import annotations

import dataclasses
import functools
import warnings
from typing import Any, NamedTuple

import numpy as np
from scipy.special import ndtri

from ..evidence.intervals import checked_coverage, fewest_rows
from ..evidence.left_out import METHODS
from ..evidence.support import Nearness
from ..geometry.maps import TargetMap
from ..geometry.points import AffineMap
from .error_model import MOST_EXACT, ErrorModel, Uncertainty
from .evaluation import in_chunks

#: What a model lacks that has no intervals of a method.
_LACKING = {
    "jackknife+": (
        f"it takes at most {MOST_EXACT} functions that were not trained on the rows, squared "
        "errors, and rows that are left out one by one: no groups, no holdout."
    ),
    "cv+": "it takes a mean of members, each trained without a fold of the rows, and no holdout.",
}


class Interval(NamedTuple):
    """Bounds at N points, in the user's units: each (N,) or (N, Q)."""

    lower: np.ndarray
    upper: np.ndarray


class WithUncertainty:
    """What a fitted function says of its errors; mixed into :class:`adabasis.Fitted`."""

    @functools.cached_property
    def _nearness(self: Any) -> Nearness:
        return Nearness(self.places)

    def uncertainty(self: Any, X: Any) -> Uncertainty:
        """Return standard deviations at N points: of the function, of the noise, of a new value.

        That of the function is its posterior's, wider by what the members of a mean differ by,
        by what the choice among functions and errors of rows not seen call for, and where no row
        is near. Of a transformed target it is half the distance between the quantiles of one
        standard deviation to both sides, mapped back.

        Parameters
        ----------
        X : array-like, shape (N, D)

        Returns
        -------
        Uncertainty
            ``function``, ``noise`` and ``total``, each (N,), or (N, Q) like the values.

        Raises
        ------
        ValueError
            If the model does not know its errors: it is of classes, the solution of an equation,
            made by hand or from an older file.
        """
        t, *variances = in_model_units(self, X, "uncertainty(X)")
        return _in_units(self, t, *variances)

    def predict_interval(
        self: Any, X: Any, coverage: float = 0.9, *, of: str = "value", method: str = "auto"
    ) -> Interval:
        """Return intervals at N points that hold a new value, or the mean, with a chance.

        Intervals of new values come from the errors of rows not seen, each over the standard
        deviation expected there: they are as wide as those say, whatever the distribution of the
        noise, and wider where the model knows less. ``model.error_model.scores.told(coverage)``
        says which rows these are and what that guarantees. Intervals of the mean, the fitted
        function without noise, are those of a normal distribution.

        Parameters
        ----------
        X : array-like, shape (N, D)
        coverage : float
            The chance, between 0 and 1.
        of : {"value", "mean"}
        method : {"auto", "jackknife+", "cv+"}
            Where intervals of new values come from. ``"auto"``: as above, as wide as the model
            knows less. ``"jackknife+"`` and ``"cv+"``: from the predictions of models without a
            row each, or without a fold (:mod:`adabasis.evidence.left_out`), which hold a new value
            with a chance of at least 1 − 2 (1 − ``coverage``), usually about the coverage.
            Jackknife+ takes functions that were not trained, 96 at most; CV+ a mean of members
            without a fold each. ``model.error_model.left_out.told(coverage)`` says it.

        Returns
        -------
        Interval
            ``lower`` and ``upper``, each (N,), or (N, Q) like the values. Infinite, with a
            warning, where there were too few rows for the coverage.

        Raises
        ------
        ValueError
            For a coverage that is none, a method that this model does not have, or if the model
            does not know its errors (see :meth:`uncertainty`).

        Examples
        --------
        >>> import numpy as np, adabasis as ab
        >>> rng = np.random.default_rng(0)
        >>> X = rng.uniform(size=(200, 1))
        >>> model = ab.fit(X, 2 * X[:, 0] + rng.normal(0, 0.1, 200))
        >>> lower, upper = model.predict_interval([[0.5]], coverage=0.9)
        >>> bool(0.2 < (upper - lower)[0] < 0.5)
        True
        """
        call = f"{type(self).__name__}.predict_interval(X"
        coverage = checked_coverage(call[:-2], coverage)
        if of not in ("value", "mean"):
            raise ValueError(f"{call}, of={of!r}): expected 'value' or 'mean'.")
        if method != "auto":
            return _without_rows(self, X, coverage, of, method)
        t, function, far, noise = in_model_units(self, X, "predict_interval(X)")
        known: ErrorModel = self.error_model
        normal = ndtri((1 + coverage) / 2)
        if of == "mean":
            size = normal * np.sqrt(function + far)
            return Interval(*_shaped(self, _sorted(*(self.output_map.inverse(t + side * size)
                                                     for side in (-1, 1)))))  # fmt: skip
        kinked = self.record.asked.loss in ("absolute", "quantile")
        low, high = known.scores.bounds(coverage, signed=kinked)
        if not (np.isfinite(low).all() and np.isfinite(high).all()):
            _too_few(call, known.scores, coverage, kinked)
        with np.errstate(all="ignore"):
            # Scores say how wide errors are where rows are; where none is near, g says it.
            size, gap = np.sqrt(function + noise), normal * np.sqrt(far)
            lower, upper = (np.where(np.isfinite(b), b * size, b) for b in (low, high))
            ends = t + lower - gap, t + upper + gap
            plain = _plain(self.output_map)
            return Interval(*_shaped(self, _sorted(*map(plain.inverse, ends))))


def _without_rows(model: Any, X: Any, coverage: float, of: str, method: str) -> Interval:
    """Return intervals of jackknife+ or CV+, wider where no row is near, as others are."""
    call = f"{type(model).__name__}.predict_interval(X, method={method!r}"
    if method not in METHODS:
        raise ValueError(f"{call}): expected {', '.join(map(repr, METHODS[:-1]))} or 'cv+'.")
    if of != "value":
        raise ValueError(f"{call}, of={of!r}): it is of new values. Leave method out.")
    known = known_errors(model, "predict_interval(X)")
    left = known.left_out
    if left is None or left.kind != method:
        has = "" if left is None else f" This model has {left.kind!r}."
        raise ValueError(
            f"{call}): {_LACKING[method]}{has} Use method='auto', which any model has."
        )
    if coverage > left.enough_for:
        _too_few(f"{call}", left, coverage, False)
    x, c, outputs = model._inputs(X, f"{call})"), model.coefficients, model.n_outputs
    moves, nearness = None, model._nearness
    if left.z is not None:
        moves = left.moves(model.basis.values(left.z.astype(float), model.parameters))

    def parts(phi: np.ndarray, z: np.ndarray) -> np.ndarray:
        gap = ndtri((1 + coverage) / 2) * np.sqrt(known.far(z, nearness))
        return left.bounds(coverage, phi, phi @ c, moves) + np.hstack([-gap, gap])

    ends = np.split(in_chunks(model.basis, model._parts(), x, parts), [outputs], axis=1)
    with np.errstate(all="ignore"):
        return Interval(*_shaped(model, _sorted(*map(_plain(model.output_map).inverse, ends))))


def in_model_units(model: Any, X: Any, call: str = "uncertainty(X)") -> list[np.ndarray]:
    """Return values and the variances of function, gaps and noise, each (N, Q), in model units.

    Raises
    ------
    ValueError
        If the model does not know its errors.
    """
    known, call = known_errors(model, call), f"{type(model).__name__}.{call}"
    x, nearness = model._inputs(X, call), model._nearness
    c, outputs = model.coefficients, model.n_outputs

    def parts(phi: np.ndarray, z: np.ndarray) -> np.ndarray:
        variances = np.hstack(known.variances(phi, c, z, nearness))
        return np.hstack([phi @ c, np.nan_to_num(variances, nan=np.inf, posinf=np.inf)])

    found = in_chunks(model.basis, model._parts(), x, parts)
    return np.split(found, [outputs, 2 * outputs, 3 * outputs], axis=1)


def known_errors(model: Any, call: str) -> ErrorModel:
    """Return what a model knows of its errors, or say why it knows nothing.

    Raises
    ------
    ValueError
    """
    if model.error_model is not None:
        return model.error_model
    call = f"{type(model).__name__}.{call}"
    if model.solved_from == "classes":
        raise ValueError(f"{call}: classes have no intervals of numbers. Use probabilities(X).")
    if model.solved_from != "numbers":
        raise ValueError(
            f"{call}: the coefficients are solved from {model.solved_from}, not from rows of data, "
            "whose errors would tell. See certificate.error_estimate."
        )
    raise ValueError(
        f"{call}: this model does not know its errors. It was made by hand, or read from a file of "
        "an earlier version. Fit again."
    )


def deviations(model: Any, X: Any, call: str) -> tuple[np.ndarray, np.ndarray]:
    """Return values and the standard deviations of new values, each (N,) or (N, Q)."""
    t, *variances = in_model_units(model, X, call)
    values, total = model.output_map.inverse(t), _in_units(model, t, *variances).total
    return (values[:, 0] if model.flat_output else values), total


def _in_units(
    model: Any, t: np.ndarray, function: np.ndarray, far: np.ndarray, noise: np.ndarray
) -> Uncertainty:
    """Return standard deviations in the user's units, each (N,) or (N, Q)."""
    plain, function = _plain(model.output_map), function + far
    found = []
    for variance in (function, noise, function + noise):
        size = np.sqrt(variance)
        if isinstance(plain, TargetMap):
            with np.errstate(all="ignore"):
                size = 0.5 * np.abs(plain.inverse(t + size) - plain.inverse(t - size))
            size = np.nan_to_num(size, nan=np.inf)
        else:
            size = size * np.abs(plain.scale)
        found.append(size)
    return Uncertainty(*_shaped(model, found))


def _plain(map_: AffineMap) -> AffineMap:
    """Return the map of the targets without the mean over residuals: quantiles map to quantiles."""
    if not isinstance(map_, TargetMap):
        return map_
    return dataclasses.replace(map_, residuals=np.zeros((1, len(map_.transforms))))


def _sorted(one: np.ndarray, other: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the lesser and the greater; what has no value is unbounded."""
    low, high = np.minimum(one, other), np.maximum(one, other)
    return np.nan_to_num(low, nan=-np.inf, posinf=np.inf, neginf=-np.inf), np.nan_to_num(
        high, nan=np.inf, posinf=np.inf, neginf=-np.inf
    )


def _shaped(model: Any, arrays: Any) -> list[np.ndarray]:
    return [array[:, 0] if model.flat_output else array for array in arrays]


def _too_few(call: str, scores: Any, coverage: float, signed: bool) -> None:
    tail = (1 + coverage) / 2 if signed else coverage
    least = fewest_rows(tail)
    have = f"{scores.n_groups:,} groups" if scores.n_groups else f"{len(scores):,} rows"
    what = "groups" if scores.n_groups else "rows"
    warnings.warn(
        f"{call}, coverage={coverage:g}): bounds are infinite: intervals of this coverage take the "
        f"errors of at least {least:,} {what} not seen, and there are {have}. Fit more rows, or "
        f"ask for a coverage of at most {scores.enough_for:.3g}.",
        stacklevel=4,
    )

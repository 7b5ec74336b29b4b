"""Sobol indices in closed form, of functions whose bases are orthogonal or additive."""

from __future__ import annotations

import numpy as np
from scipy.stats import qmc

from ..basis import PartitionBasis
from ..basis.plain import AdditiveSplines, Polynomial
from ..basis.pou.polynomial import multi_indices, products
from ..evidence.sobol import ROUND_OFF, Indices, Marginals, exact, of_coefficients
from ..geometry.points import AffineMap
from .classifier import Classifier
from .fitted import Fitted

#: Polynomials whose coefficients over the box are solved for, in a second or so.
MOST_POLYNOMIALS = 2000
#: Points for each polynomial.
OVERSAMPLED = 3
#: Gauss points on each piece of a spline: products of two cubics are integrated exactly.
GAUSS = 4


def closed_form(model: Fitted, marginals: Marginals, unit: np.ndarray) -> Indices | None:
    """Return the indices over the box where they have a closed form, else ``None``.

    That is where values are polynomials in the columns, or sums of splines of one column each.

    Parameters
    ----------
    model : Fitted
    marginals : Marginals
        Even over the box.
    unit : array, shape (Q,)
        Values are divided by it before variances are summed.
    """
    plain = type(model.input_map) is AffineMap and type(model.output_map) is AffineMap
    single = [at[0] for at in marginals.inputs if len(at) == 1]
    even = all(levels.ndim == 1 for levels in marginals.levels)
    if not plain or not even or single != list(range(model.n_inputs)):
        return None
    if isinstance(model, Classifier):
        return None
    if isinstance(model.basis, AdditiveSplines):
        return _of_splines(model, unit)
    indices = _space(model)
    return None if indices is None else _of_polynomials(model, indices, unit)


def _space(model: Fitted) -> np.ndarray | None:
    """Return the multi-indices of the polynomials that a model's values are among."""
    basis, n_inputs = model.basis, model.n_inputs
    if not isinstance(basis, Polynomial | PartitionBasis):
        return None
    if isinstance(basis, PartitionBasis) and basis.n_partitions > 1:
        return None
    if basis.size(n_inputs) > MOST_POLYNOMIALS:
        return None
    indices = multi_indices(n_inputs, basis.degree, basis.index_set)
    if isinstance(basis, Polynomial) and basis.highest is not None:
        indices = indices[indices.max(axis=1) <= basis.highest]
    return indices


def _of_polynomials(model: Fitted, indices: np.ndarray, unit: np.ndarray) -> Indices:
    """Return the indices from the coefficients of Legendre products over the box of the rows.

    The model's own polynomials may be orthogonal over another box, that of the rows before it was
    refitted: the same function in those of this box is found from its values, exactly.
    """
    low, side = model.box[:, 0], np.ptp(model.box, axis=1)
    power = max(4, int(np.ceil(np.log2(OVERSAMPLED * len(indices)))))
    u = qmc.Sobol(model.n_inputs, scramble=True, rng=np.random.default_rng(0)).random_base2(power)
    values = model(low + u * side).reshape(len(u), -1) / unit
    coefficients = np.linalg.lstsq(products(2 * u - 1, indices), values, rcond=1e-14)[0]
    # A column that is constant has no part in anything.
    squares = coefficients**2
    squares[(indices[:, side == 0] > 0).any(axis=1)] = 0.0
    return of_coefficients(indices, squares.sum(axis=1))


def _of_splines(model: Fitted, unit: np.ndarray) -> Indices:
    """Return the indices of a sum of splines, piece by piece: its variance is the sum of theirs."""
    nodes, weights = np.polynomial.legendre.leggauss(GAUSS)
    knots = np.asarray(model.parameters.knots)
    variances = np.zeros((model.n_inputs, model.n_outputs))
    middle = model.box.mean(axis=1)[None]
    for j, (low, high) in enumerate(model.box):
        if not high > low:
            continue
        inner = model.input_map.shift[j] + model.input_map.scale[j] * knots[j]
        ends = np.concatenate([[low], np.sort(inner[(inner > low) & (inner < high)]), [high]])
        half = np.diff(ends)[:, None] / 2
        at = (ends[:-1, None] + half * (1 + nodes)).ravel()
        share = (half * weights).ravel() / (high - low)
        x = np.repeat(middle, len(at), axis=0)
        x[:, j] = at
        values = model(x).reshape(len(at), -1) / unit
        variances[j] = share @ (values - share @ values) ** 2
    parts = variances.sum(axis=1)
    total = float(parts.sum())
    if not total > ROUND_OFF * float(np.sum((model(middle).ravel() / unit) ** 2)):
        parts, total = np.zeros_like(parts), 0.0
    shares = parts / (total or 1.0)
    return exact(shares, shares, total, "closed form: a sum of functions of one column each")

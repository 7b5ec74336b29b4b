"""Where the estimated error of a solution is, and where it misses its equation."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
from scipy.spatial import cKDTree

from ..geometry.fields import evaluate
from .on_cells import CellCandidate, image_of
from .regions import without_region

if TYPE_CHECKING:
    from .solution import Solution

ErrorField = Callable[[np.ndarray], np.ndarray]
#: Points that tell the error between them, each by the inverse square of its distance: with fewer
#: a map of it has seams.
NEAR = 12


def error_field(solution: Solution) -> ErrorField | None:
    """Return the size of the estimated error of each output, as a function of points.

    On cells it is the difference from the solution on other cells. On functions of the whole
    domain it is the certificate's correction e = Σ_k (r·q_k) v_k, the function of the enlarged
    basis that removes the residuals r, at the points of the certificate; between them, the mean of
    the logarithm at near ones. Both are scaled so that the root mean square over these points,
    relative to u, is ``certificate.error_estimate``: the picture and the number say the same.

    Parameters
    ----------
    solution : Solution
        As solved here: a file holds nothing of its certificate but numbers.

    Returns
    -------
    function of (N, D) points to (N, Q) sizes, or None
        In the units of u; Q columns as in ``solution.output_names``. ``None`` where no error is
        estimated, or nothing is known of where it is.

    Examples
    --------
    >>> from adabasis.pde import catalog, solve
    >>> from adabasis.pde.error_field import error_field
    >>> field = error_field(solve(catalog.problem("poisson-1d")))
    >>> field([[0.25], [0.5]]).shape
    (2, 1)
    """
    if not solution.finalists or not math.isfinite(solution.certificate.error_estimate):
        return None
    on_cells = isinstance(solution.finalists[0], CellCandidate)
    return _on_cells(solution) if on_cells else _on_features(solution)


def residual_sizes(solution: Solution, x: np.ndarray) -> np.ndarray | None:
    """Return the largest |L[u] − f| of the equations that hold at points, (N,), in their units.

    On cells in NumPy: to compile polynomials of degree ten in each of three coordinates takes
    longer than to solve for them. ``None`` without a problem.
    """
    if solution.problem is None:
        return None
    best = solution.finalists[0] if solution.finalists else None
    function = best.system.function() if isinstance(best, CellCandidate) else None
    names, largest = solution.domain.names, np.zeros(len(x))
    for one in solution.problem.constraints:
        if not one.equation:
            continue
        if function is None:
            image = solution.joint(one.operator, x)
        else:
            image = image_of(function, one.operator, x)
        missed = np.abs(image - evaluate(one.data, names, x))
        if one.region is not None:  # elsewhere its functions mean nothing
            missed = np.where(one.region.contains(x), missed, 0.0)
        if one.where is not None:
            missed = np.where(evaluate(one.where, names, x) != 0, missed, 0.0)
        largest = np.maximum(largest, missed)
    return largest


def _on_cells(solution: Solution) -> ErrorField | None:
    best, *others = solution.finalists
    other = next((one for one in others if isinstance(one, CellCandidate)), None)
    if other is None or other.u.shape != best.u.shape:
        return None
    apart = float(np.sqrt(np.mean((best.u - other.u) ** 2)))
    level = float(np.sqrt(np.mean(best.u**2)))
    if not apart > 0:
        return None
    share = solution.certificate.error_estimate * level / apart
    functions = [one.system.function() for one in (best, other)]

    def error(x: np.ndarray) -> np.ndarray:
        x = np.asarray(x, dtype=float)
        orders = np.zeros((1, x.shape[1]), dtype=int)
        one, two = (function.derivatives(x, orders)[:, :, 0] for function in functions)
        return np.asarray(np.abs(one - two) * share)

    return error


def _on_features(solution: Solution) -> ErrorField | None:
    best = solution.finalists[0]
    examination = vars(best.system).get("examination")
    if examination is None:
        return None
    beside, seen = examination.beside, examination.least_seen
    residuals = np.concatenate(best.misfit.by_term)
    if len(residuals) != len(beside.rows):  # other data, of other points
        return None
    parts = beside.rows[:, beside.free :].T @ residuals
    places, shape = beside.places, beside.functions[:, beside.free :] @ parts
    size = float(np.sqrt(np.mean(shape**2)))
    if not 0 < size < math.inf:
        return None
    level = float(np.sqrt(np.mean((seen.phi @ best.coefficients) ** 2)))
    error = np.abs(shape) * (solution.certificate.error_estimate * level / size)
    return _between(places, _by_output(solution, places, error.reshape(-1, len(places)).T))


def _by_output(solution: Solution, x: np.ndarray, error: np.ndarray) -> np.ndarray:
    """Return errors (N, B) of blocks, in their units, as columns of outputs in the user's."""
    if solution.task.scales is None:
        error = error * solution.output_map.scale[0]
    else:  # a block has no unit, an infinite one, where u is another block: in other regions
        units = np.broadcast_to(np.transpose(solution.task.fresh.units_at(x)), error.shape)
        known = np.isfinite(units)
        error = np.where(known, error * np.where(known, units, 0.0), 0.0)
    columns = list(solution.output_names)
    sums = np.zeros((len(x), len(columns)))
    for b, name in enumerate(solution.record.output_names or ("u",)):
        sums[:, columns.index(without_region(name))] += error[:, b]
    return sums


def _between(places: np.ndarray, error: np.ndarray) -> ErrorField:
    low, high = places.min(axis=0), places.max(axis=0)
    unit = np.where(high > low, high - low, 1.0)
    tree, logarithm = cKDTree((places - low) / unit), np.log(np.maximum(error, 1e-300))
    count = min(NEAR, len(places))

    def field(x: np.ndarray) -> np.ndarray:
        distance, near = tree.query((np.asarray(x, dtype=float) - low) / unit, k=count)
        distance, near = distance.reshape(-1, count), near.reshape(-1, count)
        weight = 1 / np.maximum(distance, 1e-12) ** 2
        weight /= weight.sum(axis=1, keepdims=True)
        return np.asarray(np.exp(np.einsum("nk,nkq->nq", weight, logarithm[near])))

    return field

"""The last layer of a classifier: its optimum on all rows, rough ones to choose ridges by.

All of it is NumPy: a program would take longer to compile than most of these solves take.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator

import numpy as np

from .. import rows
from .._runtime.notation import Parameters
from .._runtime.timing import charged_to
from ..basis import AbstractBasis
from ..geometry.points import Points
from ..lstsq import Status
from ..selection.prepared import padded_term, some_rows
from ..selection.task import design
from ..train import CrossEntropy, LastLayer, average_layers, newton
from ..train.last_layer import SEPARATED, nearly, ridge_path

#: Entries of Φ in the last solve: more rows than fit are left out of it (a random choice).
SOLVED_NUMBERS = 10**8
#: Entries of Φ times scores up to which that solve is exact: a tenth of a second's work. Beyond,
#: rows are so many that what single precision leaves of the gradient is far below their noise.
EXACT_NUMBERS = 5 * 10**5
#: Shares of the loss that a step must promise to be taken: of solves that ridges are compared by
#: (a tenth of it changed held-out cross-entropies by less than their fourth digit), and of the
#: last solve in single precision.
ROUGH, NEAR = 1e-2, 1e-3


@charged_to("solves")
def solve_rows(
    model: tuple[AbstractBasis, Parameters],
    z: np.ndarray,
    targets: np.ndarray,
    weight: np.ndarray,
    ridge: float,
    seed: int,
) -> tuple[np.ndarray, LastLayer]:
    """Return the rows used, all that fit into memory, and the optimum there.

    ``ridge`` is λ in the sum over all rows: it shrinks with the share of those used.
    """
    basis, parameters = model
    most = max(64, SOLVED_NUMBERS // basis.size(z.shape[1]))
    used = some_rows(np.arange(len(z)), most, seed)
    term = padded_term(z[used], targets[used], weight[used])
    share = weight[used].sum() / weight.sum()
    return used, optimum(basis, parameters, term, ridge * share)


def status_of(solved: LastLayer, ridge: float) -> Status:
    """Return what a solve of the last layer has to say about itself."""
    if not np.isfinite(solved.loss):
        return Status.NON_FINITE
    if ridge == 0 and float(solved.loss) < SEPARATED:
        return Status.SEPARABLE
    full = int(solved.rank) == len(solved.singular_values)
    return Status.FULL_RANK if full else Status.RANK_DEFICIENT


def optimum(
    basis: AbstractBasis, parameters: Parameters, term: rows.Term, ridge: float
) -> LastLayer:
    """Return the optimum of the last layer with λ in the sum over rows.

    Parts of a basis are solved apart, and the scores are their mean.
    """
    solved = []
    for part, inside in basis.members(parameters):
        objective, phi = problem_of(part, inside, term, ridge)
        if ridge and phi.size * objective.n_outputs > EXACT_NUMBERS:
            solved.append(nearly(objective, phi, NEAR))
        else:
            start = np.zeros((phi.shape[1], objective.n_outputs))
            solved.append(newton(objective, phi, start))  # type: ignore[arg-type]
    return solved[0] if len(solved) == 1 else average_layers(solved)


def rough_path(
    basis: AbstractBasis,
    parameters: Parameters,
    term: rows.Term,
    ridges: Iterable[float],
    start: np.ndarray | None = None,
) -> Iterator[np.ndarray]:
    """Yield rough optima (P, Q) for one λ after another, each from where the last one ended.

    A λ of 0 yields the exact one.
    """
    ridges = list(ridges)
    if min(ridges) == 0:
        for ridge in ridges:
            yield np.asarray(optimum(basis, parameters, term, ridge).coefficients)
        return
    objective, phi = problem_of(basis, parameters, term)
    total = float(np.sum(np.asarray(term.points.weight)))
    relative = (ridge / total for ridge in ridges)
    yield from ridge_path(objective, phi.astype(np.float32), relative, start, ROUGH)


def scores(
    basis: AbstractBasis, parameters: Parameters, c: np.ndarray, term: rows.Term
) -> np.ndarray:
    """Return the scores Φ c (n, Q) at the rows of a term that count."""
    return design(basis, parameters, seen(term)[0]) @ c


def surprise(values: np.ndarray, term: rows.Term) -> float:
    """Return the mean cross-entropy of scores (n, Q) at the rows of a term that count, in nats."""
    z, t, w = seen(term)
    objective = CrossEntropy(rows.Term(Points(z, w), t), 0.0, None)  # type: ignore[arg-type]
    found = float(objective.surprise(values))  # type: ignore[arg-type]
    return found if math.isfinite(found) else math.inf


def seen(term: rows.Term) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return points, targets and weights of a term without its padding."""
    weight = np.asarray(term.points.weight)
    counts = weight > 0
    return np.asarray(term.points.x)[counts], np.asarray(term.data)[counts], weight[counts]


def problem_of(
    basis: AbstractBasis, parameters: Parameters, term: rows.Term, ridge: float = 0.0
) -> tuple[CrossEntropy, np.ndarray]:
    """Return the loss with λ in the sum over rows, and Φ."""
    z, t, w = seen(term)
    basis = basis.canonical()
    objective = CrossEntropy(rows.Term(Points(z, w), t), ridge / w.sum(), basis)
    return objective, design(basis, parameters, z)

"""Methods for functions that are smooth in pieces: POUnets, and the classical ones."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from scipy.interpolate import make_smoothing_spline
from scipy.optimize import least_squares

from adabasis import LSGN, FrozenFeatures, PartitionBasis, fit, fit_pounet
from adabasis.pou.segmentation import LocalFits, features
from adabasis.pou.starts import segment

from ..fitting import Method, Outcome, Problem
from .classical import PROCESS
from .ours import fitted_outcome

MOST_SEGMENTS = 40
ROWS_OF_A_PROCESS = 2000
FROZEN = FrozenFeatures(256)


def pounet(name: str, count: Any = "auto", degree: Any = "auto", **options: Any) -> Method:
    """Return ``adabasis.fit_pounet`` as a method; the repeat is the seed."""

    def made(problem: Problem, seed: int) -> Outcome:
        model = fit_pounet(
            problem.x, problem.y, n_partitions=count, degree=degree, random_state=seed, **options
        )
        basis = model.basis
        assert isinstance(basis, PartitionBasis)
        size = basis.size(model.n_inputs)
        found = f"{basis.n_partitions} × degree {basis.degree}, rank {model.rank} of {size}"
        outcome = fitted_outcome(model)
        return Outcome(model, outcome.steps, f"{outcome.status}, {found}")

    return Method(name, made)


def coefficients(status: str) -> int:
    """Return the number of coefficients that the status of a POUnet tells."""
    return int(status.rpartition(" of ")[2])


def gaussians(name: str, count: int, degree: int) -> Method:
    """Return Gaussian partitions trained from a random start as a method."""

    def made(problem: Problem, seed: int) -> Outcome:
        basis = PartitionBasis(count, degree, partition="rbf-anisotropic")
        return fitted_outcome(
            fit(problem.x, problem.y, basis, method=LSGN(), max_steps=60, random_state=seed)
        )

    return Method(name, made)


def _least_squares(problem: Problem, size: int) -> Outcome:
    """Fit a polynomial of the total degree that has at most so many coefficients."""
    n_inputs = problem.x.shape[1]
    degree = 0
    while math.comb(n_inputs + degree + 1, n_inputs) <= size:
        degree += 1
    c = np.linalg.lstsq(features(problem.x, degree), problem.y, rcond=1e-13)[0]
    return Outcome(lambda x: features(x, degree) @ c, status=f"degree {degree}")


def one_polynomial(name: str, size: int) -> Method:
    """Return one global polynomial with at most so many coefficients as a method."""
    return Method(name, lambda problem, seed: _least_squares(problem, size))


def _segmented(problem: Problem, degree: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return x in order, y, and the starts of the segments that Schwarz's criterion prefers."""
    order = np.argsort(problem.x[:, 0])
    x, y = problem.x[order, 0], problem.y[order]
    found = segment(x, y[:, None], degree, MOST_SEGMENTS)
    fits = LocalFits(x[:, None], y[:, None] / y.std(), np.ones(len(x)), degree)
    return x, y, min(found, key=lambda starts: fits.criterion(_labels(len(x), starts)))


def _labels(n: int, starts: np.ndarray) -> np.ndarray:
    return np.searchsorted(starts, np.arange(n), side="right") - 1


def _segments(problem: Problem, degree: int) -> Outcome:
    """Fit discontinuous segments, each apart; they end half way between points."""
    x, y, starts = _segmented(problem, degree)
    fits = LocalFits(x[:, None], y[:, None], np.ones(len(x)), degree)
    c = fits.coefficients(_labels(len(x), starts))
    breaks = (x[starts[1:] - 1] + x[starts[1:]]) / 2

    def predict(points: np.ndarray) -> np.ndarray:
        there = np.searchsorted(breaks, points[:, 0])
        return np.einsum("nv,nvq->nq", features(points, degree), c[there])[:, 0]

    return Outcome(predict, status=f"{len(starts)} segments")


def _free_knots(problem: Problem, seed: int) -> Outcome:
    """Fit continuous quadratics whose knots move from where the segments ended."""
    del seed
    x, y, starts = _segmented(problem, 2)

    def rows(points: np.ndarray, knots: np.ndarray) -> np.ndarray:
        beyond = np.maximum(points[:, None] - knots, 0.0)
        return np.concatenate([np.vander(points, 3), beyond, beyond**2], axis=1)

    def solved(knots: np.ndarray) -> np.ndarray:
        return np.linalg.lstsq(rows(x, knots), y, rcond=1e-12)[0]

    knots = x[starts[1:]]
    if len(knots):
        knots = least_squares(lambda b: rows(x, b) @ solved(b) - y, knots, x_scale=1e-3).x
    c = solved(knots)
    return Outcome(lambda points: rows(points[:, 0], knots) @ c, status=f"{len(knots)} knots")


def _smoothing(problem: Problem, seed: int) -> Outcome:
    del seed
    # Points about one apart: SciPy looks for λ on a scale of its own.
    x, first = np.unique(problem.x[:, 0], return_index=True)
    scale = (len(x) - 1) / (x[-1] - x[0])
    spline = make_smoothing_spline(scale * x, problem.y[first])
    return Outcome(lambda points: spline(scale * points[:, 0]))


def _some_process(problem: Problem, seed: int) -> Outcome:
    """Fit a Gaussian process to some of the rows: its time grows with their cube."""
    some = np.random.default_rng(seed).permutation(len(problem.x))[:ROWS_OF_A_PROCESS]
    fewer = Problem(
        problem.group,
        problem.name,
        problem.x[some],
        problem.y[some],
        problem.x_test,
        problem.y_test,
        problem.scale,
    )
    return PROCESS.fit(fewer, seed)


SEGMENTS = {
    degree: Method("segments, Schwarz", lambda problem, seed, degree=degree: _segments(
        problem, degree)) for degree in (1, 2)
}  # fmt: skip
FREE_KNOTS = Method("continuous free knots", _free_knots)
SMOOTHING = Method("smoothing spline", _smoothing)
SOME_PROCESS = Method(f"Gaussian process, {ROWS_OF_A_PROCESS:,} rows", _some_process)
POLYNOMIAL = one_polynomial("one polynomial", 400)

"""Which cells to try next: a higher degree, or more of them, whichever gains more for its cost.

Polynomials on one cell come first. Where the coefficients do not decay, the solution is not
resolved: cells are halved along the coordinates in which they decay least, or made as small as the
waves of the equation ask for. Where they decay, the rate says what a higher degree will gain, and
halves of cells: the better one for its operations is next. Kinks and singular points gain little
by either: the search among other functions goes on from there.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence

import numpy as np

from ..basis.pou.polynomial import dimension
from ..geometry.points import AffineMap
from .certificate import SAFETY
from .enlarged import passing
from .on_cells import WORTH_IT, CellCandidate, distance, error_beside
from .problem import Problem

#: A grid: how many cells along each coordinate, and the degree.
Step = tuple[tuple[int, ...], int]

#: Degrees on one cell, the least one of several, and the highest, by the number of coordinates.
ALONE = {1: (16, 32), 2: (10, 16), 3: (6, 10)}
SEVERAL = {1: 20, 2: 14, 3: 11}
HIGHEST = {1: 40, 2: 24, 3: 16}
#: At most so much higher at once, and this share of it on halves: one cell of degree 24 is worth
#: four of degree 14.
HIGHER, ON_HALVES = 6, 0.75
#: The search ends at an error that is larger where the next step takes more operations: 1e10 are
#: about a second. What is as good as the last number ends it where no step is feasible.
ENOUGH = ((0.0, 1e-9), (3e10, 1e-7), (2e11, 1e-6), (1e12, 1e-5))
AT_THE_LIMIT = 1e-4
#: It ends, too, when a step lowers the score to no less than the share WORTH_IT: twice, or once
#: below this score.
SMALL = 1e-6
#: Where the highest degrees have such a share of all coefficients, cells resolve nothing yet.
UNRESOLVED = 0.1
#: Radians of a wave that a cell of the least degree resolves to two digits.
RADIANS = 13.0
#: Along a coordinate whose share of the highest coefficients is within this factor of the largest,
#: cells are halved.
ALIKE = 0.3
#: Slabs of time of which Newton steps fail in one, at most: the solution may end there.
MOST_SLABS = 256
#: Shares of coefficients below this are round-off.
ROUND_OFF = 1e-15
#: Operations: of condensing a cell over the cube of its functions, and of the fronts of a square of
#: cells over the cube of the unknowns along a side.
CONDENSING, FRONTS = 20.0, 150.0
#: Unknowns of the last front and of all, at most: some 300 MB each; and operations, some minutes.
WIDEST, MOST_UNKNOWNS, MOST_OPERATIONS = 5_000, 150_000, 2e12


class CellGrowth:
    """Which cells to try next.

    Attributes
    ----------
    problem : Problem
    n_inputs : int
    settled : bool
        Whether the last answer of :meth:`after` was that nothing more is needed.
    """

    settled = False

    def __init__(self, problem: Problem) -> None:
        self.problem, self.n_inputs = problem, problem.domain.n_inputs
        self.alone: list[Step] = [((1,) * self.n_inputs, m) for m in ALONE[self.n_inputs]]
        self._waves: np.ndarray | None = None

    @property
    def first(self) -> Step:
        """Counts and degree to begin with."""
        return self.alone[0]

    def after(self, found: Sequence[CellCandidate]) -> Step | None:
        """Return counts and degree of the next step, ``None`` where the search ends."""
        last, error = found[-1], foreseen_error(found)
        self.settled = error <= ENOUGH[0][1]
        if self.settled:
            return None
        if _idle(found):  # at round-off, if two agree
            self.settled = min(one.misfit.score for one in found) < SMALL and (
                distance(*found[-2:]) <= ENOUGH[0][1]
            )
            return None
        if len(found) < len(self.alone):
            return self.alone[len(found)]
        options = [one for one in self._options(last, error) if _feasible(last, *one[0])]
        worth = [(gain / operations(last, *step), step) for step, gain in options if gain > 0]
        if not worth:
            self.settled = error <= AT_THE_LIMIT
            return None
        _, step = max(worth)
        cost = operations(last, *step)
        self.settled = error <= max(enough for least, enough in ENOUGH if cost >= least)
        return None if self.settled else step

    def _options(self, last: CellCandidate, error: float) -> list[tuple[Step, float]]:
        """Return steps, and the logarithms of what they gain, as much as is asked for."""
        counts, degree = last.system.grid.counts, last.system.space.degree
        shares, d = coefficients_at_the_end(last), self.n_inputs
        if max(shares) >= UNRESOLVED:
            far = np.array(shares) >= ALIKE * max(shares)
            by_waves = np.ceil(self.waves() / RADIANS).astype(int)
            needed = np.maximum(np.array(counts) * np.where(far, 2, 1), by_waves)
            if math.isinf(last.misfit.score) and max(counts) >= MOST_SLABS:
                return []
            return [((tuple(needed.tolist()), SEVERAL[d]), 1.0)]
        error = error if math.isfinite(error) else SAFETY * max(shares)
        wanted = max(math.log(error / ENOUGH[0][1]), 1.0)
        profiles = _profiles(last)
        now = _truncated(profiles, degree)
        highest = min(degree + HIGHER, HIGHEST[d])
        found = [
            ((counts, higher), _truncated(profiles, higher) - now)
            for higher in range(degree + 2, highest + 1)
        ]
        lower = max(math.ceil(ON_HALVES * degree), SEVERAL[d])
        for halves in list(itertools.product((1, 2), repeat=d))[1:]:
            more = tuple(n * k for n, k in zip(counts, halves, strict=True))
            finer = [_halved(p) if k == 2 else p for p, k in zip(profiles, halves, strict=True)]
            found += [((more, m), _truncated(finer, m) - now) for m in {lower, max(degree, lower)}]
        return [(step, min(gain, wanted)) for step, gain in found]

    def waves(self) -> np.ndarray:
        """Return radians a side, along each coordinate, of waves that the equation lets through."""
        if self._waves is None:
            bounds = self.problem.domain.bounds
            unit = AffineMap.onto_unit_box(bounds)
            linear = self.problem.linear
            equations = [one.operator for one in self.problem.constraints if one.equation]
            a, b = passing(equations if linear else [], unit, self.n_inputs, fastest=np.inf)
            here = np.abs(a).max(axis=1) < 1.0
            self._waves = np.abs(b[here]).max(axis=0, initial=0.0)
        return self._waves


def _idle(found: Sequence[CellCandidate]) -> bool:
    """Whether the last steps have gained little."""
    scores = [max(one.validation_error, 1e-300) for one in found]
    # Waves that cells do not resolve gain nothing until they do: they count for no failure.
    idle = [
        after > WORTH_IT * before and max(coefficients_at_the_end(one)) < UNRESOLVED
        for before, after, one in zip(scores, scores[1:], found[1:], strict=False)
    ]
    return bool(idle and idle[-1] and (min(scores) < SMALL or (all(idle[-2:]) and len(idle) > 1)))


def _open(last: CellCandidate, degree: int) -> float:
    """Return the unknowns of a cell of another degree, about."""
    system = last.system
    a_cell = max(system.n_open, 1) / system.grid.n_cells
    return a_cell * (degree / system.space.degree) ** (len(system.grid.counts) - 1)


def _feasible(last: CellCandidate, counts: Sequence[int], degree: int) -> bool:
    """Whether a step differs from the last one, and memory and time are enough for it."""
    system, a_cell = last.system, _open(last, degree)
    across = math.prod(counts) / max(counts)
    return (
        (tuple(counts), degree) != (system.grid.counts, system.space.degree)
        and 2 * a_cell * across <= WIDEST
        and a_cell * math.prod(counts) <= MOST_UNKNOWNS
        and operations(last, counts, degree) <= MOST_OPERATIONS
    )


def operations(last: CellCandidate, counts: Sequence[int], degree: int) -> float:
    """Return how many operations a step takes, about."""
    system, n_cells, d = last.system, math.prod(counts), len(counts)
    # Corners, sides and insides are alike each, unless coefficients vary.
    alone = len(set(map(id, system.cells))) > math.prod(min(n, 3) for n in system.grid.counts)
    kinds = n_cells if alone else math.prod(min(n, 3) for n in counts)
    long, *across = sorted(counts, reverse=True)
    blocks = long / across[0] if across else long
    fronts = FRONTS * _open(last, degree) ** 3 * blocks * math.prod(across) ** 3
    return CONDENSING * kinds * (len(system.scales) * dimension(d, degree)) ** 3 + fronts


def foreseen_error(found: Sequence[CellCandidate]) -> float:
    """Return the relative error of the last candidate by the one before it, infinite without."""
    if len(found) < 2:
        return math.inf
    before, last = found[-2:]
    foreseen = error_beside(before, last)
    return math.inf if foreseen is None else SAFETY * foreseen


def coefficients_at_the_end(candidate: CellCandidate) -> list[float]:
    """Return the share of the highest degrees in the coefficients, for each coordinate."""
    space = candidate.system.space
    squares = _squares(candidate)
    total = space.indices.sum(axis=1)
    high = total >= space.degree - 1
    shares = space.indices[high] / total[high, None]
    whole = float(squares.sum()) or 1.0
    if not math.isfinite(whole * candidate.misfit.score):
        return [1.0] * shares.shape[1]
    return [float(np.sqrt(np.sum(squares[high] * share**2) / whole)) for share in shares.T]


def _profiles(candidate: CellCandidate) -> list[np.ndarray]:
    """Return −log of the share of coefficients with each degree, for every coordinate.

    (m + 1,) each; two neighbouring degrees together: one may be 0 by symmetry.
    """
    space, squares = candidate.system.space, _squares(candidate)
    whole, found = float(squares.sum()) or 1.0, []
    for orders in space.indices.T:
        by_degree = np.bincount(orders, weights=squares, minlength=space.degree + 1) / whole
        by_degree[:-1] += by_degree[1:]
        found.append(-np.log(np.maximum(by_degree, ROUND_OFF**2)) / 2)
    return found


def _slope(profile: np.ndarray) -> float:
    """Return how fast coefficients fall at the highest degrees, 0 at least."""
    span = max(1, (len(profile) - 1) // 3)
    return max(0.0, float(profile[-1] - profile[-1 - span]) / span)


def _halved(profile: np.ndarray) -> np.ndarray:
    """Return what a profile becomes on halves of cells, less where coefficients hardly fall."""
    return np.asarray(profile + np.arange(len(profile)) * math.log(2) * min(1.0, _slope(profile)))


def _truncated(profiles: Sequence[np.ndarray], degree: int) -> float:
    """Return −log of the largest coefficient beyond a total degree.

    As if coefficients were products: those of waves, exponentials and products of functions of
    single coordinates are.
    """
    whole = np.zeros(1)
    for profile in profiles:
        beyond = np.arange(1, degree + 2)
        longer = np.concatenate([profile, profile[-1] + _slope(profile) * beyond])[: degree + 2]
        pairs = whole[:, None] + longer
        total = np.arange(len(whole))[:, None] + np.arange(degree + 2)
        least = np.full(degree + 2, np.inf)
        np.minimum.at(least, np.minimum(total, degree + 1).ravel(), pairs.ravel())
        whole = least
    return float(whole[-1])


def _squares(candidate: CellCandidate) -> np.ndarray:
    """Return sums of squares over all cells, function by function, (P,)."""
    system, c = candidate.system, candidate.coefficients
    pieces = (c / system.scales).reshape(-1, len(system.space.indices), c.shape[1])
    return np.asarray(np.sum(pieces**2, axis=(0, 2)))

"""Which cells to try next: a higher degree, or more of them, whichever gains more for its cost.

Polynomials on one cell come first. Where the coefficients do not decay, the solution is not
resolved: cells are halved along the coordinates in which they decay least, or made as small as the
waves of the equation ask for. Where they decay, the rate says what a higher degree will gain, and
halves of cells: the better one for its operations is next. Kinks and singular points gain little
by either: the search among other functions goes on from there.

Layers, peaks and corners are narrow: where residuals are large in a few strips alone, slabs are
divided at the ends of these strips, and where only a few slabs have slowly decaying coefficients,
only those are halved.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence

import numpy as np

from ..basis.pou.polynomial import dimension
from ..geometry.points import AffineMap
from .cells import Along, CellGrid
from .certificate import SAFETY
from .modes import passing
from .on_cells import STRIPS, WORTH_IT, CellCandidate, distance, error_beside
from .problem import Problem

#: A grid: how many equal slabs along each coordinate or their edges, and the degree.
Step = tuple[Along, int]

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
#: Residuals above ROUGH are looked at: a share BULK of their squares in a share FEW of all strips
#: is narrow. Strips next to each other are cut out together if they have a share RUN of it.
ROUGH, BULK, FEW, RUN = 1e-2, 0.9, 0.25, 0.2
#: Such steps end where so many have not lowered the score, or one takes more operations.
PATIENCE, NARROW_OPERATIONS = 4, 5e10
#: Round-off of an m-th derivative on a share s of a side is ε s⁻ᵐ, and √s of it is seen: that is to
#: be no more than ROUND_OFF_SEEN.
ROUND_OFF_SEEN, NARROWEST = 1e-6, 1e-9
#: Only slabs whose highest coefficients are at least such a share of the largest are halved, unless
#: those are more than half of them: equal cells share their factors.
OTHERS = 0.03
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
            low = min(one.misfit.score for one in found) < SMALL
            self.settled = low and distance(*found[-2:]) <= ENOUGH[0][1]
            return None if low else self._narrower(found)
        if len(found) < len(self.alone):
            return self.alone[len(found)]
        if last.misfit.score > ROUGH and (step := self._narrower(found)):
            return step
        options = [one for one in self._options(last, error) if _feasible(last, *one[0])]
        worth = [(gain / operations(last, *step), step) for step, gain in options if gain > 0]
        if not worth:
            self.settled = error <= AT_THE_LIMIT
            return None
        _, step = max(worth)
        cost = operations(last, *step)
        self.settled = error <= max(enough for least, enough in ENOUGH if cost >= least)
        return None if self.settled else step

    def _narrower(self, found: Sequence[CellCandidate]) -> Step | None:
        """Return cells with more edges around the few strips that have most of the residual."""
        last, scores = found[-1], [one.misfit.score for one in found]
        grid, order = last.system.grid, max(one.operator.order for one in self.problem.constraints)
        if not self.problem.linear or min(scores[-PATIENCE:]) > min(scores):
            return None
        eps = float(np.finfo(float).eps)
        least = max(NARROWEST, (eps / ROUND_OFF_SEEN) ** (1 / max(order - 0.5, 0.5)))
        along = list(grid.along)
        for axis, (shares, sums) in enumerate(zip(grid.shares, last.places, strict=True)):
            ends = _around_the_bulk(sums, shares)
            if added := [e for e in ends if np.abs(shares - e).min() > least]:
                along[axis] = tuple(sorted({*shares.tolist(), *added}))
        if along == list(grid.along):
            return None
        # What is narrow along one coordinate, as heat at its start, may be unresolved along others.
        unresolved = coefficients_at_the_end(last)
        for axis, each in enumerate(slabs_at_the_end(last)):
            if along[axis] == grid.along[axis] and unresolved[axis] >= ALIKE * max(unresolved):
                along[axis] = halved(grid.along[axis], each >= OTHERS * each.max())
        step = tuple(along), SEVERAL[self.n_inputs]
        small = operations(last, *step) <= NARROW_OPERATIONS
        return step if small and _feasible(last, *step) else None

    def _options(self, last: CellCandidate, error: float) -> list[tuple[Step, float]]:
        """Return steps, and the logarithms of what they gain, as much as is asked for."""
        grid, degree = last.system.grid, last.system.space.degree
        shares, d = coefficients_at_the_end(last), self.n_inputs
        by_slab = slabs_at_the_end(last)
        if max(shares) >= UNRESOLVED:
            if math.isinf(last.misfit.score) and max(grid.counts) >= MOST_SLABS:
                return []
            by_waves = np.ceil(self.waves() / RADIANS).astype(int).tolist()
            needed = [
                max(least, 2 * n if share >= ALIKE * max(shares) else n)
                if isinstance(one, int)
                else halved(one, ends >= ALIKE * max(shares))
                for one, n, ends, share, least in zip(
                    grid.along, grid.counts, by_slab, shares, by_waves, strict=True
                )
            ]
            return [((tuple(needed), SEVERAL[d]), 1.0)]
        error = error if math.isfinite(error) else SAFETY * max(shares)
        wanted = max(math.log(error / ENOUGH[0][1]), 1.0)
        profiles = _profiles(last)
        now = _truncated(profiles, degree)
        highest = min(degree + HIGHER, HIGHEST[d])
        found: list[tuple[Step, float]] = [
            ((grid.along, higher), _truncated(profiles, higher) - now)
            for higher in range(degree + 2, highest + 1)
        ]
        lower = max(math.ceil(ON_HALVES * degree), SEVERAL[d])
        finer_slabs = [
            halved(one, ends >= OTHERS * ends.max())
            for one, ends in zip(grid.along, by_slab, strict=True)
        ]
        for halves in list(itertools.product((1, 2), repeat=d))[1:]:
            each = zip(grid.along, finer_slabs, halves, strict=True)
            more = tuple(fine if k == 2 else one for one, fine, k in each)
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


def _feasible(last: CellCandidate, along: Along, degree: int) -> bool:
    """Whether a step differs from the last one, and memory and time are enough for it."""
    system, a_cell = last.system, _open(last, degree)
    counts = CellGrid(system.grid.bounds, along).counts
    across = math.prod(counts) / max(counts)
    return (
        (along, degree) != (system.grid.along, system.space.degree)
        and 2 * a_cell * across <= WIDEST
        and a_cell * math.prod(counts) <= MOST_UNKNOWNS
        and operations(last, along, degree) <= MOST_OPERATIONS
    )


def operations(last: CellCandidate, along: Along, degree: int) -> float:
    """Return how many operations a step takes, about."""
    system, grid = last.system, CellGrid(last.system.grid.bounds, along)
    counts, n_cells, d = grid.counts, grid.n_cells, len(along)
    # Corners, sides and insides are alike each, unless coefficients vary or shapes do.
    alone = len(set(map(id, system.cells))) > math.prod(min(n, 3) for n in system.grid.counts)
    kinds = n_cells if alone or not grid.equal else math.prod(min(n, 3) for n in counts)
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


def slabs_at_the_end(candidate: CellCandidate) -> list[np.ndarray]:
    """Return the share of the highest degrees in the coefficients, slab by slab of a coordinate."""
    system, c = candidate.system, candidate.coefficients
    space, grid = system.space, system.grid
    total = space.indices.sum(axis=1)
    high = total >= space.degree - 1
    pieces = (c / system.scales).reshape(grid.n_cells, len(total), c.shape[1])
    squares = np.sum(pieces[:, high] ** 2, axis=2)
    whole, found = float(np.sum(pieces**2)) or 1.0, []
    for axis, count in enumerate(grid.counts):
        share = space.indices[high, axis] / total[high]
        each = np.bincount(grid.places[:, axis], squares @ share**2, count)
        found.append(np.sqrt(each / whole))
    return found


def halved(one: int | tuple[float, ...], marked: np.ndarray) -> int | tuple[float, ...]:
    """Return slabs of which those marked are halved: all of them, where those are most."""
    if 2 * np.sum(marked) > len(marked):
        if isinstance(one, int):
            return 2 * one
        marked = np.ones(len(marked), dtype=bool)
    edges = np.linspace(0.0, 1.0, one + 1) if isinstance(one, int) else np.array(one)
    middles = ((edges[:-1] + edges[1:]) / 2)[marked & (np.diff(edges) > NARROWEST)]
    return tuple(np.sort(np.concatenate([edges, middles])).tolist())


def _around_the_bulk(sums: np.ndarray, edges: np.ndarray) -> list[float]:
    """Return where the fewest strips that have most of the sum end, none if these are many."""
    order = np.argsort(-sums, kind="stable")
    needed = 1 + int(np.searchsorted(np.cumsum(sums[order]), BULK * sums.sum()))
    if not sums.any() or needed > FEW * len(sums):
        return []
    start = edges[:-1, None] + np.diff(edges)[:, None] * np.arange(STRIPS) / STRIPS
    ends = np.append(start.ravel(), edges[-1])
    bulk = np.zeros(len(sums) + 2, dtype=int)
    bulk[order[:needed] + 1] = 1
    starts, stops = np.flatnonzero(np.diff(bulk) == 1), np.flatnonzero(np.diff(bulk) == -1)
    parts = np.array([sums[a:b].sum() for a, b in zip(starts, stops, strict=True)]) / sums.sum()
    chosen = parts >= min(RUN, parts.max())
    return [float(e) for e in (*ends[starts[chosen]], *ends[stops[chosen]])]


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

"""Fields seen densely: sources and coefficients that vary where samples do not look, or jump.

A field is evaluated on a fine grid of blocks. Cells between which it varies are divided, and again:
the differences of what is smooth shrink on the way down, those of a jump do not. Where integrals of
a field and of its square are not those of samples, the blocks that carry the difference are
collocated at every one of their cells.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import numpy as np

from ..geometry.points import Points, Sobol, tensor_grid

#: Blocks a side, and cells a side of a block, by number of coordinates; more are not divided.
GRID = {1: (1024, 64), 2: (32, 8), 3: (10, 4)}
#: Parts a side of a cell that is divided, how often, and how many cells at a time.
PARTS, LEVELS, CELLS = {1: 8, 2: 4, 3: 3}, 8, 64
#: How often the distance of two neighbours is halved: by a million.
HALVINGS = 20
#: Differences of neighbours above this share of a field's range are followed down.
STEEP = 0.2
#: Relative difference of integrals that samples do not account for.
UNSEEN = 0.1
#: Samples that integrals are compared with, and blocks collocated densely, at most.
SAMPLES, DENSE = 2048, 24


@dataclasses.dataclass(frozen=True, eq=False)
class Seen:
    """What a dense look at a field shows.

    Attributes
    ----------
    jump : array, shape (D,), or None
        A place where differences do not shrink.
    narrow : array, shape (D,), or None
        A place of what samples miss.
    blocks : array of int, shape (B,)
        Blocks to be collocated densely.
    points : Points
        Their cells; weights are shares of the whole.
    """

    jump: np.ndarray | None
    narrow: np.ndarray | None
    blocks: np.ndarray
    points: Points


@dataclasses.dataclass(frozen=True, eq=False)
class Dense:
    """Blocks of a box, or of a face of it, that are collocated at all of their cells.

    Attributes
    ----------
    bounds : array, shape (D, 2)
    axes : list of int
        Those that are not fixed.
    blocks : array of int
    points : Points
    """

    bounds: np.ndarray
    axes: list[int]
    blocks: np.ndarray
    points: Points

    def merged(self, points: Points) -> Points:
        """Return points of the box with those in the blocks replaced by their cells."""
        x, weight = np.asarray(points.x), np.asarray(points.weight)
        home = block_of(x[:, self.axes], self.bounds[self.axes])
        kept = ~np.isin(home, self.blocks)
        outside = weight[kept] / weight[kept].sum() * (1 - self.points.weight.sum())
        return Points(
            np.concatenate([x[kept], self.points.x]), np.concatenate([outside, self.points.weight])
        )


def block_of(x: np.ndarray, bounds: np.ndarray) -> np.ndarray:
    """Return the number of the block that each of N points is in, (N,)."""
    side = GRID[len(bounds)][0]
    z = (x - bounds[:, 0]) / (bounds[:, 1] - bounds[:, 0])
    index = np.clip((z * side).astype(int), 0, side - 1)
    return np.ravel_multi_index(tuple(index.T), (side,) * len(bounds))


#: Where differences at a thousandth of a distance are still such a share of those at the distance,
#: in the mean of so many places, and that distance such a share of the range, a field is rough
#: everywhere: smooth ones have a thousandth.
ROUGH, CLOSER, ROUGH_PLACES = 0.1, 1e-3, 64


def look(values: Callable[[np.ndarray], np.ndarray], bounds: np.ndarray) -> Seen:
    """Look at a function of N points of a box densely; it is NaN where the domain is not.

    Raises
    ------
    ValueError
        What ``values`` raises, as it does where they are not finite.
    """
    d, sides = len(bounds), bounds[:, 1] - bounds[:, 0]
    samples = np.asarray(Sobol().interior(bounds, SAMPLES).x)
    sampled = values(samples)
    nothing = Seen(None, None, np.zeros(0, int), Points(np.zeros((0, d)), np.zeros(0)))
    if d not in GRID:
        return nothing
    blocks, cells = GRID[d]
    lattice = np.arange(1, blocks * cells // 4) * 4 / (blocks * cells)
    values(bounds[:, 0] + sides * tensor_grid(*[lattice] * d))  # simple fractions may be singular
    n = blocks * cells
    x = bounds[:, 0] + sides * tensor_grid(*[(np.arange(n) + 0.5) / n] * d)
    v = values(x)
    if not np.isfinite(v).any() or _range(v) <= 1e-9 * np.nanmax(np.abs(v)):
        return nothing  # a constant, but for round-off
    steps, width = _steps(v.reshape((1,) + (n,) * d)), np.full(len(v), 1.0 / n)
    inwards = np.where(samples > bounds.mean(axis=1), -1.0, 1.0) * sides / n
    if _rough(values, samples, inwards, _range(v)):
        return nothing  # what jumps everywhere tells of no place: round-off of terms that cancel
    jump = _jump(values, x, v, n)
    for _ in range(LEVELS):
        steep = np.flatnonzero(steps > STEEP * _range(v))
        if not len(steep):
            break
        steep = steep[np.argsort(-steps[steep], kind="stable")[:CELLS]]
        parts = PARTS[d]
        inside = tensor_grid(*[(np.arange(parts) + 0.5) / parts - 0.5] * d)
        new = (x[steep][:, None] + width[steep][:, None, None] * sides * inside).reshape(-1, d)
        fresh = values(new)
        differences = _steps(fresh.reshape((len(steep),) + (parts,) * d))
        kept = np.ones(len(v), dtype=bool)
        kept[steep] = False
        steps = np.concatenate([np.where(kept, 0.0, steps)[kept], differences])
        width = np.concatenate([width[kept], np.repeat(width[steep] / parts, parts**d)])
        x, v = np.concatenate([x[kept], new]), np.concatenate([v[kept], fresh])
    inside, volume = np.isfinite(v), width**d
    x, v, volume = x[inside], v[inside], volume[inside] / volume[inside].sum()
    sampled = sampled[np.isfinite(sampled)]
    if not _missed(v, volume, sampled):
        return dataclasses.replace(nothing, jump=jump)
    home = block_of(x, bounds)
    spread = np.bincount(home, volume * v**2) - np.bincount(home, volume * v) ** 2 * blocks**d
    chosen = np.argsort(-spread, kind="stable")[:DENSE]
    chosen = chosen[spread[chosen] > 1e-3 * spread[chosen[0]]]
    here = np.isin(home, chosen)
    narrow = x[here][np.argmax(np.abs(v[here] - np.median(v[here])))]
    return Seen(jump, narrow, chosen, Points(x[here], volume[here]))


def _range(v: np.ndarray) -> float:
    """Return the largest value less the smallest, of those that are known."""
    return float(np.nanmax(v) - np.nanmin(v))


def _steps(v: np.ndarray) -> np.ndarray:
    """Return the largest difference of each cell of K grids from its neighbours, flat."""
    largest = np.zeros_like(v)
    for axis in range(1, v.ndim):
        step = np.nan_to_num(np.abs(np.diff(v, axis=axis)))
        before = np.pad(step, [(0, int(i == axis)) for i in range(v.ndim)])
        after = np.pad(step, [(int(i == axis), 0) for i in range(v.ndim)])
        largest = np.maximum(largest, np.maximum(before, after))
    return largest.ravel()


def _rough(
    values: Callable[[np.ndarray], np.ndarray], x: np.ndarray, apart: np.ndarray, whole: float
) -> bool:
    """Whether differences do not shrink with distances, in the mean of some places."""
    x, apart = x[:ROUGH_PLACES], apart[:ROUGH_PLACES]
    here, near, next_cell = (values(x + share * apart) for share in (0.0, CLOSER, 1.0))
    far, close = np.abs(next_cell - here), np.abs(near - here)
    return bool(np.nansum(close) > ROUGH * max(np.nansum(far), len(x) * ROUGH * whole))


def _jump(
    values: Callable[[np.ndarray], np.ndarray], x: np.ndarray, v: np.ndarray, n: int
) -> np.ndarray | None:
    """Return a place where the difference of neighbours stays while their distance is halved."""
    d = x.shape[1]
    number, grid = np.arange(len(v)).reshape((n,) * d), v.reshape((n,) * d)
    pairs = []
    for axis in range(d):
        at = np.abs(np.diff(grid, axis=axis)) > STEEP * _range(v)
        first = np.delete(number, -1, axis=axis)[at]
        pairs.append(np.stack([first, np.delete(number, 0, axis=axis)[at]], axis=1))
    both = np.concatenate(pairs)
    both = both[np.linspace(0, len(both) - 1, min(len(both), CELLS)).astype(int)]
    if not len(both):
        return None
    (a, b), (low, high) = x[both.T], v[both.T]
    before = np.abs(high - low)
    for _ in range(HALVINGS):
        middle = (a + b) / 2
        value = values(middle)
        left = np.abs(value - low) >= np.abs(high - value)
        a, low = np.where(left[:, None], a, middle), np.where(left, low, value)
        b, high = np.where(left[:, None], middle, b), np.where(left, value, high)
    stays = np.abs(high - low) / before
    return middle[np.argmax(stays)] if stays.max() > 0.5 else None


def _missed(v: np.ndarray, volume: np.ndarray, sampled: np.ndarray) -> bool:
    """Whether the integral of |v| or v² is another one for samples."""
    if not len(sampled):
        return False
    for power in (1, 2):
        whole = float(np.sum(volume * np.abs(v) ** power))
        if abs(float(np.mean(np.abs(sampled) ** power)) - whole) > UNSEEN * whole:
            return True
    return False

"""Rows whose values are far from what all others say of them.

A few plain functions of the inputs, and random features of two slopes, are fitted by reweighted
rows: Huber's weights first, then Tukey's, which drop what is far off. Each row is judged by what it
differs from the others' fit (its residual where it is left out, in its standard deviations), so
that a row that pulls the fit to itself, at the edge of the data, does not hide. It is an outlier
where

- the residual is beyond what the tail of all residuals, the noise of the neighbours and the number
  of rows let expect: heavy tails and uneven noise are no outliers; and
- every function that does about as well says so: what one cannot follow is no outlier; and
- it does not lie between its neighbours' values where their residuals are large, too: jumps and
  steep slopes are no outliers.

Several neighbours that are off together look like a narrow peak, and the other way round. Who
reads the list has to look at the rows.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator

import numpy as np
from scipy.spatial import cKDTree

from .. import lstsq
from ..lstsq.losses import HUBER, NORMAL, median, robust_scale

#: Rows that are looked at together, and those of them that the functions are fitted to.
PART_ROWS, FITTED_ROWS = 20_000, 1000
#: Random features, their slopes over the box, and ridges; rows for each coefficient at least.
WIDTH, SLOPES, RIDGES, ROWS_EACH = 64, (1.0, 4.0), (1e-8, 1e-3), 2
#: Steps with Huber's weights, then with Tukey's; where those end, in scales.
STEPS, TUKEY = (8, 4), 6.0
#: Share of the rows, those with the least residuals, that functions are compared by, and what is
#: about as good as the best.
MOST_ROWS, ALIKE = 0.75, 2.0
#: Beyond so many scales a residual may be an outlier, and beyond the latter it may whatever the
#: tail, which outliers are part of. Few rows tell less of the tail: the least is raised by a share
#: of so many over N.
LEAST, MOST, FEW = 4.0, 15.0, 10.0
#: Rate of false alarms, of data sets, that the tail is extended to; and a margin of the extension.
FALSE_ALARMS, MARGIN = 0.01, 1.5
#: Scales of the residuals count as at least this share of that of the values.
LEAST_SCALE = 0.005
#: Neighbours that noise is compared with (a share of the rows, within limits), that values are to
#: lie between, and whose residuals tell a poor fit; how large those are then, in scales.
SHARE, FEWEST, LARGEST, AMONG, NEAR, POOR = 0.1, 10, 40, 12, 6, 2.5
#: Of the neighbours on either side of a value, the share that means "between".
BETWEEN = 0.45
#: With so many rows or fewer an outlier is farther off than its nearest neighbours' values.
NEIGHBOURS_TELL = 50
#: Neighbours that a quantile is that of.
FEWEST_BESIDE, MOST_BESIDE = 30, 100
#: Rows that tell the tail of the residuals, where there are twice as many or more: its upper tenth
#: is known to a few per cent by 200 of them.
TAIL_ROWS = 2000
#: Residuals beyond so many scales are worth a look.
SUSPICIOUS = 4.0


@dataclasses.dataclass(frozen=True, eq=False)
class Expected:
    """What the other rows say of each row.

    Attributes
    ----------
    values : array, shape (N,)
        Expected.
    far, outlying : arrays of bool, shape (N,)
        Far off, were the noise normal; and so far that no tail like that of the others explains it.
    """

    values: np.ndarray
    far: np.ndarray
    outlying: np.ndarray


def suspicious(residual: np.ndarray) -> bool:
    """Say whether some residuals are so far from the rest that outliers may be among them."""
    for values in residual.T:
        off = np.abs(values - np.median(values))
        if off.max() > SUSPICIOUS * NORMAL * np.median(off):
            return True
    return False


def expected(z: np.ndarray, y: np.ndarray, weight: np.ndarray) -> Expected:
    """Fit plain functions so that outliers do not matter, and say which rows are.

    Parameters
    ----------
    z : array, shape (N, D)
        In the unit box.
    y, weight : arrays, shape (N,)
        Weights are positive.
    """
    middle = median(y, weight)
    spread = robust_scale(y, weight) or float(np.ptp(y)) or 1.0
    t = (y - middle) / spread
    rng = np.random.default_rng(0)
    some = np.sort(rng.permutation(len(t))[:FITTED_ROWS])
    found = []
    for columns, ridge in _functions(z, len(some), rng):
        fit = _Robust(columns[some], t[some], weight[some], ridge)
        values = columns @ fit.coefficients
        left = np.ones(len(t))
        left[some] = fit.left
        off = (t - values) / left  # where left out
        score = np.sort(np.abs(off))[: 1 + int(MOST_ROWS * (len(t) - 1))]
        studentized = off * np.sqrt(left)
        centred = studentized - median(studentized, weight)
        found.append((math.sqrt(np.mean(score**2)), centred, values))
    found.sort(key=lambda one: one[0])
    most = ALIKE * found[0][0]
    alike = np.stack([off for error, off, _ in found if error <= most])
    return Expected(middle + spread * found[0][2], *_outlying(z, t, weight, found[0][2], alike))


def unit_box(x: np.ndarray) -> np.ndarray:
    """Return inputs from 0 to 1, (N, D)."""
    low, reach = x.min(axis=0), np.ptp(x, axis=0)
    return (x - low) / np.where(reach > 0, reach, 1.0)


def far_off(
    x: np.ndarray, y: np.ndarray, weight: np.ndarray, *, alarms: bool = False
) -> np.ndarray:
    """Say which values are far from what all others say, (N, Q); or which are outliers.

    Parameters
    ----------
    x, y, weight : arrays, shapes (N, D), (N, Q) and (N,)
        In the user's units; rows of weight 0 do not count.
    alarms : bool
        Outliers alone: see :class:`Expected`.
    """
    found, used = np.zeros(y.shape, dtype=bool), np.flatnonzero(weight > 0)
    z = unit_box(x[used])
    for some in parts(len(used)):
        rows = used[some]
        for output, t in enumerate(y.T):
            seen = expected(z[some], t[rows], weight[rows])
            found[rows, output] = seen.outlying if alarms else seen.far
    return found


def parts(n_rows: int) -> Iterator[np.ndarray]:
    """Yield the indices of rows that are looked at together: all, or random parts of very many."""
    order = np.arange(n_rows)
    if n_rows > PART_ROWS:
        order = np.random.default_rng(0).permutation(n_rows)
    yield from map(np.sort, np.array_split(order, math.ceil(n_rows / PART_ROWS)))


def above_quantile(z: np.ndarray, residual: np.ndarray, quantile: float) -> np.ndarray:
    """Say which residuals lie above a quantile of their neighbours', (N,)."""
    k = min(len(z), max(FEWEST_BESIDE, round(SHARE * len(z))), MOST_BESIDE)
    near = cKDTree(z).query(z, k)[1].reshape(len(z), -1)
    return residual > np.quantile(residual[near], quantile, axis=1)


def unexpected(
    z: np.ndarray, y: np.ndarray, weight: np.ndarray, values: np.ndarray, left: np.ndarray
) -> Expected:
    """Say which rows are outliers from a model's values.

    Parameters
    ----------
    z, y, weight
        As in :func:`expected`.
    values : array, shape (N,)
        The model's.
    left : array, shape (N,)
        1 minus each row's leverage.
    """
    middle = median(y, weight)
    spread = robust_scale(y, weight) or float(np.ptp(y)) or 1.0
    t, fit = (y - middle) / spread, (values - middle) / spread
    off = (t - fit) / np.sqrt(np.maximum(left, 1e-6))
    return Expected(values, *_outlying(z, t, weight, fit, (off - median(off, weight))[None]))


def _functions(
    z: np.ndarray, n_rows: int, rng: np.random.Generator
) -> Iterator[tuple[np.ndarray, float]]:
    # Yield columns (N, P) and relative ridges: a constant, a line, a parabola, random features.
    n_inputs = z.shape[1]
    one, centred = np.ones((len(z), 1)), 2 * z - 1
    line = np.hstack([one, centred])
    yield one, 0.0
    first, second = np.triu_indices(n_inputs)
    for columns in (line, np.hstack([line, centred[:, first] * centred[:, second]])):
        if ROWS_EACH * columns.shape[1] <= n_rows and columns.shape[1] <= WIDTH:
            yield columns, 0.0
    width = min(WIDTH, n_rows // (ROWS_EACH + 1))
    if width < n_inputs + 2:
        return
    for slope in SLOPES:
        normal = rng.normal(size=(width, n_inputs))
        normal /= np.linalg.norm(normal, axis=1, keepdims=True)
        through = np.sum(normal * rng.uniform(size=(width, n_inputs)), axis=1)
        steep = 4 * slope * rng.uniform(0.2, 1.0, size=width)
        features = np.hstack([line, np.tanh((z @ normal.T - through) * steep)])
        for ridge in RIDGES:
            yield features, ridge


class _Robust:
    # A fit to columns A whose far rows count less and less. The scale is that of residuals where
    # rows are left out; `left` is 1 minus each row's leverage.

    def __init__(self, a: np.ndarray, t: np.ndarray, weight: np.ndarray, ridge: float) -> None:
        share = np.ones_like(t)
        for step in range(sum(STEPS)):
            root = np.sqrt(weight * share)
            factors = lstsq.factorize(root[:, None] * a)
            damping = ridge * factors.s[0] ** 2
            self.coefficients = factors.solve((root * t)[:, None], damping)[:, 0]
            residual = t - a @ self.coefficients
            self.left = np.maximum(1 - factors.leverages(damping), 1e-3)
            off = residual if step == 0 else residual / self.left
            scale = max(robust_scale(off, weight), 1e-10)
            if step < STEPS[0]:
                share = HUBER * scale / np.maximum(np.abs(off), HUBER * scale)
            else:
                share = np.clip(1 - (off / (TUKEY * scale)) ** 2, 1e-6, 1.0) ** 2


def _outlying(
    z: np.ndarray, t: np.ndarray, weight: np.ndarray, fit: np.ndarray, alike: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    # Return which rows are far off, and which are outliers; `alike` (K, N) are the residuals of
    # functions that do about as well, the best first.
    n, off = len(t), alike[0]
    if n < FEWEST:
        return np.zeros(n, dtype=bool), np.zeros(n, dtype=bool)
    size = np.abs(off)
    same = (np.sign(alike) == np.sign(off)).all(axis=0)
    least = np.where(same, np.abs(alike).min(axis=0), 0.0)
    whole = max(NORMAL * median(size, weight), LEAST_SCALE)
    # No scale is below whole/√3, see below: few rows can be far. Of very many, neighbours are
    # looked for of those, and of some that tell the tail.
    may_be = np.flatnonzero(least > LEAST * (1 + FEW / n) * max(whole / math.sqrt(3), LEAST_SCALE))
    if not len(may_be):
        return np.zeros(n, dtype=bool), np.zeros(n, dtype=bool)
    some = drawn = np.arange(n)
    if n > 2 * TAIL_ROWS:
        drawn = np.random.default_rng(0).choice(n, TAIL_ROWS, replace=False)
        some = np.union1d(may_be, drawn)
    tail = np.isin(some, drawn)
    k = min(max(FEWEST, round(SHARE * n)), LARGEST, n - 1)
    near = cKDTree(z).query(z[some], k + 1)[1][:, 1:]
    far, outlying = np.zeros(n, dtype=bool), np.zeros(n, dtype=bool)
    far[some], outlying[some] = _among_neighbours(
        n, t, fit, size, least, off, whole, near, some, tail
    )
    return far, outlying


def _among_neighbours(
    n: int,
    t: np.ndarray,
    fit: np.ndarray,
    size: np.ndarray,
    least: np.ndarray,
    off: np.ndarray,
    whole: float,
    near: np.ndarray,
    some: np.ndarray,
    tail: np.ndarray,
) -> tuple[np.ndarray, np.ndarray]:
    # Say which of some rows are far off, and which are outliers; `near` (len(some), k) are their
    # neighbours among all. Those in `tail` are a random choice, which the others are not.
    mine, own = t[some], size[some]
    local = NORMAL * np.median(size[near], axis=1)
    smaller = np.sqrt(whole * np.maximum(local, whole / 3))
    scale = np.maximum(np.where(local > whole, local, smaller), LEAST_SCALE)
    slack, around = own / 2, t[near[:, :AMONG]]
    above = (around >= (mine - slack)[:, None]).mean(axis=1)
    below = (around <= (mine + slack)[:, None]).mean(axis=1)
    poor = np.median(size[near[:, :NEAR]], axis=1) > POOR * whole
    between = (np.minimum(above, below) >= BETWEEN) & poor
    apart = np.abs(t[near[:, :NEAR]] - fit[some, None])
    differ = np.sort(apart, axis=1)[:, (apart.shape[1] - 1) // 2]  # a mean of two may be wild
    mine = least[some]
    alone = ~between & (mine > differ * min(1.0, NEIGHBOURS_TELL / n))
    far = alone & (mine / scale > LEAST * (1 + FEW / n))
    return far, far & (mine / scale > _tails(off[some] / scale, n, tail))


def _tails(off: np.ndarray, n: int, tail: np.ndarray) -> np.ndarray:
    # How far residuals on the side of each may be, (N,). The tail of a side is taken to be
    # exp(−(r/b)^a), through its median and its upper tenth, and extended to one row in all n.
    most = np.full(len(off), MOST)
    least = LEAST * (1 + FEW / n)
    for side in (off > 0, off < 0):
        ordered = np.sort(np.abs(off[side & tail]))
        if len(ordered) < 4:
            continue
        half, tenth = ordered[len(ordered) // 2], ordered[int(0.9 * (len(ordered) - 1))]
        steeper = math.log(max(tenth / max(half, 1e-300), 1.01))
        power = math.log(math.log(10) / math.log(2)) / steeper
        extended = tenth * (math.log(n / FALSE_ALARMS) / math.log(10)) ** (1 / power)
        most[side] = np.clip(MARGIN * (1 + FEW / n) * extended, least, MOST)
    return most

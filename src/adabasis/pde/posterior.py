r"""What noisy observations say of a solution: the Gaussian posterior of the coefficients.

Before any observation the coefficients are Gaussian, c ~ N(0, s² I), and hold the equation and the
exact conditions up to a residual τ far below the noise: rows A c = b of variance τ². Observations
y = L[Φ c](x) + noise of the deviation σ are weighed against those by likelihood, so that exact
values count as exact, and data decide what the equation leaves free. With A = U S Vᵀ and a = Vᵀ c,

    a | A c = b  ~  N(a₀, D),   D = (S²/τ² + 1/s²)⁻¹,   a₀ = D S Uᵀ b / τ²,
    y            ~  N(Ψ a₀, σ² I + Ψ D Ψᵀ),             Ψ = LΦ(x) V.

The latter is the evidence [1]_; the scale s, and every σ that is not given, maximise it. The
posterior of a is that of the least squares of all rows: a triangle R with the covariance (RᵀR)⁻¹.

References
----------
.. [1] MacKay, "Bayesian interpolation", Neural Computation 4 (1992).
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from typing import Any, NamedTuple, Self

import numpy as np
import scipy.linalg
import scipy.optimize
from jax import Array

from .._runtime.compute import quickly
from .._runtime.notation import AnyArray, Parameters
from ..basis import AbstractBasis
from ..operators import AbstractOperator
from ..rows import evaluate
from .constraints import Constraint
from .system import CollocationSystem

#: τ in units of the noise of the mean of all observations: what the equation leaves then adds
#: nothing to what they leave.
EXACTLY = 1e-5
#: The noise to begin with where none is given, as a share of the spread of the values.
FIRST_NOISE = 0.1
#: Scales s of the coefficients that are tried, in units of u; and the least noise that is
#: estimated, in spreads of the values: below, equation and data agree to round-off.
SCALES, LEAST_NOISE = 10.0 ** np.arange(-2.0, 7.0), 1e-9
#: Scales, over the likeliest one, that the posterior is the mean of; shares that do not matter.
NODES, LEAST_SHARE = 10.0 ** np.arange(-1.0, 2.1, 0.5), 1e-4
#: The evidence is known to a few hundredths of its logarithm, and so are scales and levels.
ENOUGH, FIRST_STEP = {"maxfev": 150, "xatol": 0.03, "fatol": 0.03}, 0.7
#: Directions of a smaller deviation, relative to the largest, are left out of what is kept.
NEGLIGIBLE = 1e-6
#: Directions that move no observation by more, in deviations of its noise, tell nothing of it.
UNSEEN = 1e-8
#: Tolerance below which round-off of the rows would count as an equation, over their largest
#: singular value; and the largest scale that is called for by noise alone, in that noise.
ROUND_OFF, MOST_SMALLEST = 1e-12, 10.0
#: Largest logarithm of a scale or an error: it stands for anything that is larger.
MOST_LOG = 50.0
LOG_2PI = math.log(2 * math.pi)


@dataclasses.dataclass(frozen=True, eq=False)
class Posterior:
    """The posterior of a solution's coefficients.

    Attributes
    ----------
    coefficients : array, shape (P, 1)
        Their mean, in the unit of u.
    root : array, shape (P, R)
        W, the covariance being W Wᵀ, in the unit of u.
    noise : tuple of float
        σ of every set of observations, in the units of their values; of a set whose rows have
        their own, the root of their mean square.
    estimated : tuple of bool
        Whether it was estimated.
    scale : float
        s.
    error : float
        The error (geometric mean) of which the observations are as likely as they are, in the
        unit of u.
    tolerance : float
        τ, in the unit of u.
    discrepancy : float
        Root mean square distance of the mean from observations, in deviations of their noise: the
        largest of the sets whose noise is given.
    """

    coefficients: np.ndarray
    root: np.ndarray
    noise: tuple[float, ...]
    estimated: tuple[bool, ...]
    scale: float
    error: float
    tolerance: float
    discrepancy: float

    def to_json(self) -> dict[str, Any]:
        """Return what is no array."""
        arrays = ("coefficients", "root")
        found = {f.name: getattr(self, f.name) for f in dataclasses.fields(self)}
        return {name: value for name, value in found.items() if name not in arrays}

    @classmethod
    def restored(cls, about: dict[str, Any], coefficients: np.ndarray, root: np.ndarray) -> Self:
        """Return what :meth:`to_json` described."""
        lists: dict[str, Any] = {name: tuple(about[name]) for name in ("noise", "estimated")}
        return cls(coefficients, root, **{**about, **lists})

    def deviation(self, phi: Any) -> float:
        """Return the root mean square deviation of u at points, for functions (N, P) there."""
        return float(np.sqrt(np.sum((np.asarray(phi) @ self.root) ** 2) / len(phi)))


class _Set(NamedTuple):
    # Reduced rows of one set of observations, each over its own deviation δ where that is given:
    # the noise is f δ, with f = 1 then, and f to be found elsewhere, where δ = 1.
    psi: np.ndarray
    y: np.ndarray
    rest: float
    n_rows: int
    log_deviation: float
    spread: float
    open: bool


def posterior(
    system: CollocationSystem, observed: Sequence[Constraint], residual: float
) -> Posterior:
    """Return the posterior of a system's coefficients, given observations.

    Parameters
    ----------
    system : CollocationSystem
        The equation and the exact conditions, linear.
    observed : sequence of Constraint
        Observations with noise, each at its own points.
    residual : float
        Root mean square by which the functions miss the equation and the exact conditions.
    """
    reduction, unit = system.reduction, system.rows.unit
    u, s, vt = np.linalg.svd(np.asarray(reduction.triangle))
    exact = s, u.T @ np.asarray(reduction.rotated)[:, 0]
    sets = [_reduced(system, one, vt.T) for one in observed]
    opened = np.array([one.open for one in sets])
    least = np.log([LEAST_NOISE * one.spread if one.open else 1.0 for one in sets])
    factors = np.log([FIRST_NOISE * one.spread if one.open else 1.0 for one in sets])
    n_rows = sum(one.n_rows for one in sets)

    smallest = -math.inf

    def split(z: np.ndarray) -> tuple[float, np.ndarray]:
        logs = factors.copy()
        logs[opened] = np.maximum(z[1:], least[opened])
        return math.exp(min(max(z[0], smallest), MOST_LOG)), np.exp(logs)

    z = np.append(0.0, factors[opened])
    for _ in range(2 if opened.any() else 1):  # τ belongs to the noise that is found
        each = split(z)[1] * np.exp([one.log_deviation / one.n_rows for one in sets])
        tau = max(residual, EXACTLY * float(each.min()) / math.sqrt(n_rows), ROUND_OFF * s[0])
        most = MOST_SMALLEST * max(1.0, float(each.max()))
        smallest = math.log(_smallest(sets, s, tau, split(z)[1], most))

        def lost(z: np.ndarray, tau: float = tau) -> float:
            return -_log_evidence(sets, *exact, tau, *split(z))

        z = min((np.append(math.log(scale), z[1:]) for scale in SCALES), key=lost)
        around = z + np.vstack([np.zeros(len(z)), FIRST_STEP * np.eye(len(z))])
        options = {**ENOUGH, "initial_simplex": around}
        z = scipy.optimize.minimize(lost, z, method="Nelder-Mead", options=options).x
    scale, noise = split(z)
    a, root = _averaged(sets, exact, tau, scale, noise)
    off = _residuals(sets, a)
    if (opened & (off > noise)).any():  # nothing is known better than it is met
        noise = np.where(opened, np.maximum(noise, off), noise)
        a, root = _averaged(sets, exact, tau, scale, noise)
        off = _residuals(sets, a)
    return Posterior(
        vt.T @ a,
        vt.T @ root,
        tuple(
            float(unit * f * math.exp(one.log_deviation / one.n_rows))
            for one, f in zip(sets, noise, strict=True)
        ),
        tuple(one.open for one in sets),
        scale,
        math.exp(min(lost(z) / n_rows - 0.5 * (LOG_2PI + 1), MOST_LOG)),
        tau,
        float(max((off / noise)[~opened], default=0.0)),
    )


def _reduced(system: CollocationSystem, one: Constraint, v: np.ndarray) -> _Set:
    """Return the rows of observations in the directions v, orthogonally reduced where many."""
    assert one.at is not None
    unit, x = system.rows.unit, np.asarray(one.at.x)
    y = np.asarray(one.data, dtype=float) / unit
    phi = np.asarray(_images(system.basis, system.parameters, one.operator, x))
    opened = isinstance(one.noise, str)
    deviation = np.ones(len(y))
    if not opened:
        deviation = np.broadcast_to(np.asarray(one.noise, dtype=float), y.shape) / unit
    rows, rest = np.column_stack([phi @ v, y]) / deviation[:, None], 0.0
    (n, p), spread = (len(y), v.shape[1]), float(y.std()) or float(np.abs(y).max()) or 1.0
    if n > p + 1:
        rows = np.asarray(np.linalg.qr(rows, mode="r"))
        rest, rows = float(rows[p, p] ** 2), rows[:p]
    logs = float(np.log(deviation).sum())
    return _Set(rows[:, :p], rows[:, p], rest, n, logs, spread, opened)


def _residuals(sets: Sequence[_Set], a: np.ndarray) -> np.ndarray:
    """Return the root mean square distance of each set from a solution, over δ."""
    squares = [one.rest + np.sum((one.y - one.psi @ a[:, 0]) ** 2) for one in sets]
    return np.sqrt([square / one.n_rows for square, one in zip(squares, sets, strict=True)])


def _smallest(
    sets: Sequence[_Set], s: np.ndarray, tau: float, noise: np.ndarray, most: float
) -> float:
    """Return the least scale at which values may lie as far from 0 as their noise is large.

    Values that are less than their noise do not tell that there is nothing.
    """
    for scale in SCALES:
        root = np.sqrt(_prior(s, np.zeros_like(s), tau, scale)[1])
        square = sum(
            float(np.sum((one.psi * root) ** 2)) / f**2 for one, f in zip(sets, noise, strict=True)
        )
        if scale >= most or square >= sum(one.n_rows for one in sets):
            return float(scale)
    return float(SCALES[-1])


def _prior(s: np.ndarray, rotated: np.ndarray, tau: float, scale: float) -> tuple[Any, Any]:
    """Return a₀ and D, of what the equation and exact conditions say."""
    variance = 1 / (s**2 / tau**2 + 1 / scale**2)
    return variance * s * rotated / tau**2, variance


def _log_evidence(
    sets: Sequence[_Set],
    s: np.ndarray,
    rotated: np.ndarray,
    tau: float,
    scale: float,
    noise: np.ndarray,
) -> float:
    mean, variance = _prior(s, rotated, tau, scale)
    pairs = list(zip(sets, noise, strict=True))
    psi = np.concatenate([one.psi / f for one, f in pairs])
    off = np.concatenate([one.y / f for one, f in pairs]) - psi @ mean
    moved = psi * np.sqrt(variance)
    moved = moved[:, np.linalg.norm(moved, axis=0) > UNSEEN]
    # ln det(I + BᵀB) and the squares from a triangle: the matrix itself may be singular to
    # round-off where much is free.
    size = moved.shape[1]
    below = np.column_stack([np.eye(size), np.zeros(size)])
    whole = np.asarray(np.linalg.qr(np.vstack([np.column_stack([moved, off]), below]), mode="r"))
    squares = float(whole[size, size] ** 2) + sum(one.rest / f**2 for one, f in pairs)
    logs = sum(one.n_rows * (math.log(f) + 0.5 * LOG_2PI) + one.log_deviation for one, f in pairs)
    return -0.5 * squares - float(np.log(np.abs(np.diag(whole)[:size])).sum()) - logs


def _averaged(
    sets: Sequence[_Set],
    exact: tuple[np.ndarray, np.ndarray],
    tau: float,
    scale: float,
    noise: np.ndarray,
) -> tuple[np.ndarray, np.ndarray]:
    """Return the mean (P, 1) of the directions' coefficients, and a root (P, R) of the covariance.

    Few observations tell the scale to a power of ten: the posterior is the mean over such scales,
    each with the weight of its evidence.
    """
    scales = scale * NODES
    logs = np.array([_log_evidence(sets, *exact, tau, one, noise) for one in scales])
    share = np.exp(logs - logs.max())
    share /= share.sum()
    parts = [
        (w, *_solved(sets, *exact, tau, one, noise))
        for w, one in zip(share, scales, strict=True)
        if w > LEAST_SHARE
    ]
    mean = np.sum([w * a for w, a, _ in parts], axis=0)
    spread = [math.sqrt(w) * (a - mean) for w, a, _ in parts] if len(parts) > 1 else []
    rows = np.concatenate([*(math.sqrt(w) * root for w, _, root in parts), *spread], axis=1)
    left, sizes, _ = np.linalg.svd(rows, full_matrices=False)
    kept = sizes > NEGLIGIBLE * sizes[0]
    return mean, left[:, kept] * sizes[kept]


def _solved(
    sets: Sequence[_Set],
    s: np.ndarray,
    rotated: np.ndarray,
    tau: float,
    scale: float,
    noise: np.ndarray,
) -> tuple[np.ndarray, np.ndarray]:
    """Return the mean (P, 1) and a root (P, R) of the covariance for one scale."""
    mean, variance = _prior(s, rotated, tau, scale)
    root = np.sqrt(variance)
    free = np.flatnonzero(root > NEGLIGIBLE * root.max())
    # In units of what each direction may be before the observations: columns of like size.
    rows = [np.column_stack([np.eye(len(free)), np.zeros(len(free))])]
    for one, f in zip(sets, noise, strict=True):
        off = one.y - one.psi @ mean
        rows.append(np.column_stack([one.psi[:, free] * root[free], off]) / f)
    whole = np.asarray(np.linalg.qr(np.concatenate(rows), mode="r"))
    p = len(free)
    inverse = scipy.linalg.solve_triangular(whole[:p, :p], np.eye(p))
    moved, scaled = np.zeros_like(mean), np.zeros((len(mean), p))
    moved[free] = root[free] * (inverse @ whole[:p, p])
    scaled[free] = root[free, None] * inverse
    return (mean + moved)[:, None], scaled


@quickly()
def _images(
    basis: AbstractBasis, parameters: Parameters, operator: AbstractOperator, x: AnyArray
) -> Array:
    return evaluate(operator, basis, parameters, x)

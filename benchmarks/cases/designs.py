"""Small designed experiments: what the simplest right model gives, ours should give by default."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Callable, Iterator, Sequence

import numpy as np
from scipy.stats import qmc

from ..fitting import Problem, compare
from ..methods import classical, ours
from ..records import Measurement
from ..registry import Settings, case

UNSEEN = 2_000
EQUAL = 1e-6
"""Errors below this share of the spread count as equal."""
Function = Callable[[np.ndarray], np.ndarray]


# Designs, in coded units: the low level of an input is −1, the high level 1.


def factorial(k: int, *, fraction: bool = False) -> np.ndarray:
    """Return all corners, or the half of them whose signs multiply to 1."""
    corners = np.array(list(itertools.product((-1.0, 1.0), repeat=k)))
    return corners[np.prod(corners, axis=1) > 0] if fraction else corners


def centred(design: np.ndarray, n_centre: int) -> np.ndarray:
    """Return a design with replicates of its centre."""
    return np.vstack([design, np.zeros((n_centre, design.shape[1]))])


def composite(k: int, arm: float, n_centre: int, *, fraction: bool = False) -> np.ndarray:
    """Return a central composite design: corners, a pair of points on each axis, the centre."""
    arms = np.vstack([arm * np.eye(k), -arm * np.eye(k)])
    return centred(np.vstack([factorial(k, fraction=fraction), arms]), n_centre)


def box_behnken(k: int, n_centre: int) -> np.ndarray:
    """Return a factorial on every pair of inputs (of six: on six triples), others at the centre."""
    triples = [tuple((i + j) % 6 for j in (0, 1, 3)) for i in range(6)]
    blocks = triples if k == 6 else list(itertools.combinations(range(k), 2))
    runs = []
    for block in blocks:
        runs.append(np.zeros((2 ** len(block), k)))
        runs[-1][:, list(block)] = factorial(len(block))
    return centred(np.vstack(runs), n_centre)


def latin(n: int, k: int, seed: int) -> np.ndarray:
    """Return a Latin hypercube of low discrepancy on [−1, 1]^k."""
    drawn = qmc.LatinHypercube(k, optimization="random-cd", rng=np.random.default_rng(seed))
    return 2 * drawn.random(n) - 1


# Truths, as functions of the coded units; the coefficients are drawn.


def linear(k: int, rng: np.random.Generator) -> Function:
    slopes = rng.normal(size=k)
    return lambda u: u @ slopes


def interactions(k: int, rng: np.random.Generator) -> Function:
    """Return a linear function and products of two inputs: what two levels can tell."""
    slopes, products = rng.normal(size=k), np.triu(rng.normal(size=(k, k)), 1)
    return lambda u: u @ slopes + np.einsum("ni,ij,nj->n", u, products, u)


def quadratic(k: int, rng: np.random.Generator) -> Function:
    slopes, products = rng.normal(size=k), np.triu(rng.normal(size=(k, k)))
    return lambda u: u @ slopes + np.einsum("ni,ij,nj->n", u, products, u)


def _direction(k: int, rng: np.random.Generator, length: float) -> np.ndarray:
    drawn = rng.normal(size=k)
    return length * drawn / np.linalg.norm(drawn)


def exponential(k: int, rng: np.random.Generator) -> Function:
    """Return a rate by Arrhenius' law near a working point."""
    slopes = _direction(k, rng, 1.5)
    return lambda u: np.exp(u @ slopes)


def saturation(k: int, rng: np.random.Generator) -> Function:
    """Return Michaelis and Menten's law of the first input; the others move its parameters."""
    of_limit, of_half = _direction(k, rng, 0.4), _direction(k, rng, 0.4)
    of_limit[0] = of_half[0] = 0.0

    def law(u: np.ndarray) -> np.ndarray:
        s = 1.2 + u[:, 0]
        return (1 + u @ of_limit) * s / (np.exp(u @ of_half) + s)

    return law


def waves(k: int, rng: np.random.Generator) -> Function:
    """Return half a wave of each input, their sizes falling."""
    phase, size = rng.uniform(0, 2 * np.pi, k), 0.6 ** np.arange(k)
    return lambda u: np.sin(1.8 * u + phase) @ size


def peak(k: int, rng: np.random.Generator) -> Function:
    """Return an optimum somewhere within the limits."""
    place, width = rng.uniform(-0.4, 0.4, k), rng.uniform(0.7, 1.4, k)
    return lambda u: np.exp(-0.5 * np.sum(((u - place) / width) ** 2, axis=1))


def logistic(k: int, rng: np.random.Generator) -> Function:
    """Return a dose and response."""
    slopes = _direction(k, rng, 2.5)
    return lambda u: 1 / (1 + np.exp(-u @ slopes))


def power(k: int, rng: np.random.Generator) -> Function:
    """Return a power law of inputs that vary by a factor of three."""
    exponents = rng.uniform(-1.5, 1.5, k)
    return lambda u: np.prod((2 + u) ** exponents, axis=1)


def resonance(k: int, rng: np.random.Generator) -> Function:
    """Return a Lorentz curve across one direction."""
    slopes = _direction(k, rng, 1.2)
    return lambda u: 1 / (1 + (u @ slopes - 0.3) ** 2)


def friction(k: int, rng: np.random.Generator) -> Function:
    """Return the logarithm of one mixture times the root of another."""
    one, other = np.abs(_direction(k, rng, 1.0)), np.abs(_direction(k, rng, 1.0))
    return lambda u: np.log(1.5 * np.sqrt(k) + u @ one) * np.sqrt(1.5 * np.sqrt(k) - u @ other)


@dataclasses.dataclass(frozen=True)
class Experiment:
    """A design, the truth that it asks about, and the noise as a share of the truth's spread.

    Attributes
    ----------
    group, name : str
    design : array, shape (N, D)
        In coded units.
    truth : callable
        One of the functions above, which draws its coefficients.
    noise : float
    radius : float
        The domain is the part of the cube [−limit, limit]^D within this distance of the centre.
    limit : float
    """

    group: str
    name: str
    design: np.ndarray
    truth: Callable[[int, np.random.Generator], Function]
    noise: float
    radius: float = np.inf
    limit: float = 1.0

    def problem(self, seed: int) -> Problem:
        """Return rows and clean unseen values, the inputs in units with ranges of their own."""
        rng = np.random.default_rng(seed)
        k = self.design.shape[1]
        truth = self.truth(k, rng)
        middle, half = rng.uniform(-1, 1, k), 10 ** rng.uniform(-2, 3, k)
        level, size = rng.normal(), 10 ** rng.uniform(-2, 3)
        unseen = self._unseen(rng)
        clean = truth(unseen)
        y = truth(self.design) + self.noise * clean.std() * rng.normal(size=len(self.design))
        x, x_unseen = ((3 * middle + u) * half for u in (self.design, unseen))
        y, clean = size * (level + y), size * (level + clean)
        return Problem(self.group, self.name, x, y, x_unseen, clean, float(clean.std()))

    def _unseen(self, rng: np.random.Generator) -> np.ndarray:
        points = rng.uniform(-self.limit, self.limit, (20 * UNSEEN, self.design.shape[1]))
        return points[np.linalg.norm(points, axis=1) <= self.radius][:UNSEEN]


def _experiment(
    group: str,
    name: str,
    design: np.ndarray,
    truth: Callable[[int, np.random.Generator], Function],
    noise: float,
    **domain: float,
) -> Experiment:
    words = f"{name}, {len(design)} runs, {truth.__name__}{f', noise {noise}' if noise else ''}"
    return Experiment(group, words, design, truth, noise, **domain)


def _two_levels(
    k: int,
    truth: Callable[[int, np.random.Generator], Function],
    noise: float,
    *,
    replicates: int = 1,
    n_centre: int = 0,
    fraction: bool = False,
) -> Experiment:
    runs = np.tile(factorial(k, fraction=fraction), (replicates, 1))
    name = f"2^({k}−1)" if fraction else f"2^{k}"
    name += f" × {replicates}" if replicates > 1 else ""
    name += f" + {n_centre}" if n_centre else ""
    return _experiment("factorial", name, centred(runs, n_centre), truth, noise)


def _composite(
    k: int,
    truth: Callable[[int, np.random.Generator], Function],
    noise: float,
    *,
    n_centre: int = 3,
    spherical: bool = False,
    fraction: bool = False,
) -> Experiment:
    group = "central composite"
    arm = float(np.sqrt(k)) if spherical else 1.0
    design = composite(k, arm, n_centre, fraction=fraction)
    if spherical:
        return _experiment(
            group, f"{group} in a ball {k}", design, truth, noise, radius=arm, limit=arm
        )
    return _experiment(group, f"{group} in a cube {k}", design, truth, noise)


def _box_behnken(
    k: int, truth: Callable[[int, np.random.Generator], Function], noise: float, n_centre: int = 3
) -> Experiment:
    radius = float(np.sqrt(3 if k == 6 else 2))
    design, group = box_behnken(k, n_centre), "Box–Behnken"
    return _experiment(group, f"{group} {k}", design, truth, noise, radius=radius)


def _latin(
    n: int,
    k: int,
    truth: Callable[[int, np.random.Generator], Function],
    noise: float,
    seed: int,
) -> Experiment:
    group = "Latin hypercube"
    return _experiment(group, f"{group} {k}", latin(n, k, seed), truth, noise)


def first() -> list[Experiment]:
    """Return the thirty that the bars are about."""
    return [
        _two_levels(2, linear, 0.05, replicates=3),
        _two_levels(2, interactions, 0.05, replicates=5),
        _two_levels(3, linear, 0.0),
        _two_levels(3, interactions, 0.0, n_centre=4),
        _two_levels(3, interactions, 0.05, replicates=2),
        _two_levels(4, linear, 0.05),
        _two_levels(4, interactions, 0.0, n_centre=4),
        _two_levels(5, interactions, 0.05, n_centre=3),
        _two_levels(6, linear, 0.05, fraction=True),
        _composite(2, quadratic, 0.0),
        _composite(2, quadratic, 0.05, n_centre=5, spherical=True),
        _composite(3, quadratic, 0.05),
        _composite(3, quadratic, 0.0, n_centre=6, spherical=True),
        _composite(3, linear, 0.05),
        _composite(4, quadratic, 0.05),
        _composite(5, quadratic, 0.0, n_centre=4, fraction=True),
        _box_behnken(3, quadratic, 0.0),
        _box_behnken(3, quadratic, 0.05),
        _box_behnken(4, quadratic, 0.05),
        _latin(12, 2, linear, 0.05, 1),
        _latin(12, 4, linear, 0.0, 2),
        _latin(20, 2, peak, 0.0, 3),
        _latin(20, 3, quadratic, 0.05, 4),
        _latin(20, 3, exponential, 0.0, 5),
        _latin(30, 2, waves, 0.05, 6),
        _latin(30, 3, saturation, 0.0, 7),
        _latin(40, 4, exponential, 0.05, 8),
        _latin(40, 5, quadratic, 0.0, 9),
        _latin(60, 6, linear, 0.05, 10),
        _latin(60, 4, waves, 0.05, 11),
    ]


def second() -> list[Experiment]:
    """Return thirty others, of other truths, which nobody has tuned anything on."""
    return [
        _two_levels(2, interactions, 0.0, n_centre=3),
        _two_levels(2, linear, 0.05, replicates=4, n_centre=4),
        _two_levels(3, linear, 0.05, replicates=2),
        _two_levels(3, interactions, 0.05, replicates=3, n_centre=3),
        _two_levels(4, interactions, 0.05),
        _two_levels(4, linear, 0.0, fraction=True),
        _two_levels(5, linear, 0.05, fraction=True),
        _two_levels(5, interactions, 0.0),
        _two_levels(6, interactions, 0.05, fraction=True),
        _composite(2, quadratic, 0.05),
        _composite(2, quadratic, 0.0, n_centre=4, spherical=True),
        _composite(2, linear, 0.0),
        _composite(3, quadratic, 0.05, n_centre=6, spherical=True),
        _composite(4, quadratic, 0.0),
        _composite(4, linear, 0.05, n_centre=4, spherical=True),
        _composite(5, quadratic, 0.05, n_centre=6, fraction=True),
        _box_behnken(3, linear, 0.05),
        _box_behnken(4, quadratic, 0.0),
        _box_behnken(6, quadratic, 0.05, n_centre=6),
        _latin(12, 2, power, 0.0, 21),
        _latin(12, 3, linear, 0.05, 22),
        _latin(16, 2, quadratic, 0.05, 23),
        _latin(20, 2, resonance, 0.05, 24),
        _latin(20, 5, linear, 0.0, 25),
        _latin(25, 3, friction, 0.0, 26),
        _latin(30, 2, logistic, 0.0, 27),
        _latin(30, 4, quadratic, 0.0, 28),
        _latin(40, 3, power, 0.05, 29),
        _latin(50, 5, logistic, 0.05, 30),
        _latin(60, 6, friction, 0.05, 31),
    ]


OURS = ours.by_fit("adabasis")
PEERS = (classical.SCALED_LINEAR, classical.QUADRATIC_RIDGE, classical.RESTARTED_PROCESS)


def compare_all(
    experiments: Sequence[Experiment], seed: int, settings: Settings
) -> Iterator[Measurement]:
    """Fit every experiment by every method, and note ratios to the best of the peers."""
    problems = [experiment.problem(seed + i) for i, experiment in enumerate(experiments)]
    if settings.quick:
        problems = problems[::15]
    measured: dict[str, Measurement] = {}
    ratios, seconds = [], dict.fromkeys((OURS.name, *(peer.name for peer in PEERS)), 0.0)
    for m in compare(problems, [OURS, *PEERS], settings):
        measured[m.method] = m
        seconds[m.method] += m.cpu_seconds
        yield m
        if m.method == PEERS[-1].name:  # interleaved: this problem is done
            errors = {name: found.error for name, found in measured.items()}
            ratios.append(ratio(errors))
            others = ", ".join(f"{peer.name} {errors[peer.name]:.2g}" for peer in PEERS)
            settings.note(f"{m.problem}: {errors[OURS.name]:.2g} ({others}): {ratios[-1]:.2f}")
    for line in summary(ratios):
        settings.note(line)
    settings.note("CPU s: " + ", ".join(f"{name} {cpu:.1f}" for name, cpu in seconds.items()))


def ratio(errors: dict[str, float]) -> float:
    """Return our error over the least of the peers'; one that failed is infinite."""
    known = {k: EQUAL if e < EQUAL else e if np.isfinite(e) else np.inf for k, e in errors.items()}
    return known.pop(OURS.name) / min(known.values())


def summary(ratios: Sequence[float]) -> Iterator[str]:
    """Yield the three figures beside what was promised of thirty experiments."""
    values = np.asarray(ratios)
    for limit, least in ((1.1, 24), (1.5, 28)):
        yield f"at most {limit}: {np.sum(values <= limit)} of {len(values)} (bar {least} of 30)"
    yield f"geometric mean {np.exp(np.mean(np.log(values))):.3f} (bar 1.1)"


@case(
    "designs",
    "30 small designed experiments: factorials, central composite, Box–Behnken, Latin hypercubes",
    error="RMSE against the clean truth / its spread, on the domain of the design",
    repeats=1,
    reference="adabasis",
)
def run(settings: Settings) -> Iterator[Measurement]:
    """Compare on the experiments that the bars are about."""
    yield from compare_all(first(), 1000, settings)


@case(
    "designs-2",
    "30 others, of other truths and seeds: was anything tuned on the first?",
    error="RMSE against the clean truth / its spread, on the domain of the design",
    repeats=1,
    reference="adabasis",
)
def run_second(settings: Settings) -> Iterator[Measurement]:
    """Compare on the others."""
    yield from compare_all(second(), 2000, settings)

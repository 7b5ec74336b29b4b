"""Triangle and quadratic waves in pieces: POUnets by two-phase LSGD, beside residual networks.

The wave of frequency f is 2|fx − ⌊fx + ½⌋| − 1 (slides eq. 23) or its square. On [0, 1] the first
has 2f linear pieces, the second f smooth ones. Which of the two counts the published "pieces" are
is not certain, so both readings are run.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from scipy.interpolate import CubicSpline

from .. import rows
from ..basis import AbstractBasis, NetworkPartition, NeuralBasis, PartitionBasis
from ..plots.style import BLUE, GREEN, INK, ORANGE, RED, styled
from ..points import Points
from ..scope import numerics
from ..train import (
    LSGD,
    AbstractTrainer,
    Budget,
    Callback,
    Locality,
    Objective,
    Progress,
    Run,
    TwoPhase,
    train,
)
from .curves import PUBLISHED_MARK, shared_legend
from .kept import kept
from .pounets import matrix
from .rates import Cosine
from .registry import Experiment, Record, register
from .sine import EPSILON

POINTS = np.linspace(0, 1, 1024)[:, None]
UNSEEN = (np.arange(8192)[:, None] + 0.5) / 8192
ZOOM = (0.5, 0.625)
RATE, RIDGE, FADING, STAGNATION = 1e-3, 0.1, 0.99, 100
"""Learning rate and λ up to :data:`FEW` pieces, ρ and n_stag: not published, a working choice."""
WARMING, LEAST_RATE = 500, 0.02
"""Steps in which the rate rises, and what part of it a cosine then falls to."""
FEW = 8
"""Pieces up to which rate and λ stay the same, and from which on the number of steps does.

At 32 pieces 1e-3 has given one part everything after 200 steps. And what λ weighs grows: pieces a
quarter as long have second derivatives 16 times as large.
"""
PER_PIECE = 96
"""Points for every piece, if that is more than there are in :data:`POINTS`.

The spline through 1,024 points of 32 quadratic pieces has an error of 7e-3 between them, three
times the published one; of 16 pieces 2.5e-3.
"""
MANY = 16
"""Pieces from which on a run takes minutes."""
PUBLISHED = {
    "POUnet": {2: 2.1e-3, 4: 3.4e-3, 8: 4.0e-3, 16: 3.2e-3, 32: 2.4e-3},
    "ResNet": {2: 2.2e-2, 4: 3e-2, 8: 4e-2, 16: 0.25, 32: 0.6},
}
"""Relative l2 errors on quadratic waves, read off a figure (Trask et al., MSML 2022, figure 4)."""
LOCALITY, GAIN = Locality(), 8.0
"""What keeps parts in use and makes them local in phase 1, and the deviation of logits that it
starts from."""
LOCAL_ENOUGH, LEAST_SHARE = 0.9, 0.25
"""Mean of max φ, and share of the smallest part in an even one, of partitions worth the name."""
TWO_PHASES, ONE_PHASE, RESNET = "POUnet, two phases", "POUnet, one phase", "ResNet"
LOCAL = "POUnet, two phases, kept local"
SPLINE = "cubic spline through the points"
STYLES = {
    TWO_PHASES: (ORANGE, "o-"),
    LOCAL: (RED, "D-."),
    ONE_PHASE: (BLUE, "s--"),
    RESNET: (GREEN, "^:"),
}


@dataclasses.dataclass(frozen=True)
class Target:
    """A wave for n pieces: the frequency is ``per_piece`` n."""

    power: int
    per_piece: float

    @property
    def name(self) -> str:
        """What it is, in words."""
        kind = {1: "triangle", 2: "quadratic"}[self.power]
        return f"{kind}, f = n" + ("" if self.per_piece == 1 else f" · {self.per_piece:g}")

    def __call__(self, x: np.ndarray, pieces: int) -> np.ndarray:
        """Evaluate at points (N, 1), to (N, 1)."""
        phase = self.per_piece * pieces * x
        return (2 * np.abs(phase - np.floor(phase + 0.5)) - 1) ** self.power


@dataclasses.dataclass(frozen=True)
class Config:
    """Numbers of pieces n, waves, steps of both phases, seeds; width 4n, depth 8 as published.

    ``steps`` are those of :data:`FEW` pieces or more, see :func:`steps_of`. From :data:`MANY`
    pieces on, the rows beside the two phases have ``few`` seeds.
    """

    pieces: tuple[int, ...]
    targets: tuple[Target, ...]
    pre_steps: int = 1000
    steps: int = 4000
    seeds: int = 5
    depth: int = 8
    few: int = 2

    def rows(self, pieces: int) -> Iterator[tuple[str, int]]:
        """Yield methods and their seeds; none is kept local where that has been no help."""
        many = pieces >= MANY
        for method in STYLES:
            if method != LOCAL or not many:
                yield method, self.few if many and method != TWO_PHASES else self.seeds


@dataclasses.dataclass(frozen=True, eq=False)
class Trained:
    """A basis trained on a wave, and the affine map of its values."""

    basis: AbstractBasis
    run: Run
    shift: float
    scale: float

    def __call__(self, x: np.ndarray) -> np.ndarray:
        """Evaluate the best iterate at points (N, 1), to (N,)."""
        phi = matrix(self.basis, self.run.parameters, x)
        return (phi @ np.asarray(self.run.coefficients))[:, 0] * self.scale + self.shift

    def error(self, target: Target, pieces: int, x: np.ndarray = UNSEEN) -> float:
        """Return the relative l2 error at points (N, 1), by default unseen ones."""
        return _relative(self(x), target(x, pieces)[:, 0])


def points(pieces: int) -> np.ndarray:
    """Return the even points that a wave is known at."""
    return np.linspace(0, 1, max(len(POINTS), PER_PIECE * pieces))[:, None]


def _relative(found: np.ndarray, exact: np.ndarray) -> float:
    return float(np.linalg.norm(found - exact) / np.linalg.norm(exact))


def interpolation(target: Target, pieces: int) -> float:
    """Return the error at unseen points of the cubic spline through those trained on.

    What lies between two points is not known to it, as it is not to anything that is fitted to
    values alone and does not know of kinks.
    """
    x = points(pieces)
    spline = CubicSpline(x[:, 0], target(x, pieces)[:, 0])
    return _relative(spline(UNSEEN[:, 0]), target(UNSEEN, pieces)[:, 0])


@dataclasses.dataclass(frozen=True, eq=False)
class Phases:
    """A POUnet trained in two phases: φ at the points after each, (N, N_part)."""

    trained: Trained
    phi: tuple[np.ndarray, np.ndarray]

    @property
    def localisation(self) -> list[float]:
        """The mean of max φ after each phase: 1 where parts do not overlap."""
        return [float(phi.max(axis=1).mean()) for phi in self.phi]

    @property
    def least_share(self) -> list[float]:
        """The points that the smallest part owns after each phase, in even shares."""
        owned = [np.bincount(phi.argmax(axis=1), minlength=phi.shape[1]) for phi in self.phi]
        return [float(n.min() * len(n) / n.sum()) for n in owned]


def pounet(pieces: int, degree: int, depth: int, *, local: bool = False) -> PartitionBasis:
    """Return the published architecture: softmax of a residual ReLU network of width 4n."""
    network = NetworkPartition(
        pieces, depth=depth, activation="relu", residual=True, gain=GAIN if local else 2.0
    )
    return PartitionBasis(pieces, degree, partition=network)


def fitted(
    basis: AbstractBasis,
    trainer: AbstractTrainer,
    x: np.ndarray,
    y: np.ndarray,
    seed: int,
    steps: int,
    *,
    look_every: int | None = None,
    callbacks: Sequence[Callback] = (),
) -> Trained:
    """Train on standardised values (N, 1) at points (N, 1)."""
    shift, scale = float(y.mean()), float(y.std())
    with numerics():
        term = rows.Term(Points(x, np.ones(len(x))), (y - shift) / scale)
        objective = Objective([term], 0.0, basis)
        key = jax.random.key(seed)
        initial: Any = basis.init(key, jnp.array([[0.0, 1.0]]))
        if isinstance(basis, PartitionBasis):
            initial = basis.placed(initial, jnp.asarray(x))
        budget = Budget(max_steps=steps, check_every=look_every or steps + 1)
        run = train(
            trainer,
            objective,
            initial,
            key=jax.random.fold_in(key, 1),
            budget=budget,
            callbacks=callbacks,
        )
    return Trained(basis, run, shift, scale)


def lsgd(pieces: int, steps: int) -> LSGD:
    """Return the descent on a wave in n pieces: its rate rises, then falls over the steps."""
    rate = RATE * min(1.0, FEW / pieces) ** 0.5
    return LSGD(Cosine(rate, steps, WARMING, LEAST_RATE), epsilon=EPSILON)


def steps_of(config: Any, pieces: int) -> int:
    """Return the steps of phase 2: the small networks of few pieces take more, which cost less."""
    steps: int = config.steps * max(1, FEW // pieces)
    return steps


def ridge(pieces: int, degree: int) -> float:
    """Return λ for n pieces of a degree: the m-th derivative of a wave grows as n^m."""
    return RIDGE * min(1.0, FEW / pieces) ** (2 * degree)


def two_phase(config: Any, target: Target, pieces: int, *, local: bool = False) -> TwoPhase:
    """Return Algorithm 2 around LSGD, as published or with parts kept local.

    Both phases begin a schedule that is as long as the second.
    """
    steps = steps_of(config, pieces)
    return TwoPhase(
        lsgd(pieces, steps),
        ridge(pieces, target.power),
        FADING,
        STAGNATION,
        config.pre_steps,
        steps,
        locality=LOCALITY if local else None,
    )


def in_phases(config: Any, target: Target, pieces: int, seed: int, *, local: bool) -> Phases:
    """Train in two phases and keep the partition after each.

    The first is the one that phase 2 starts from, before it is softened.
    """
    basis, between = pounet(pieces, target.power, config.depth, local=local), []
    x = points(pieces)
    last = config.pre_steps - local

    def look(progress: Progress) -> None:
        if progress.step == last:
            between.append(progress.parameters)

    trained = fitted(
        basis,
        two_phase(config, target, pieces, local=local),
        x,
        target(x, pieces),
        seed,
        config.pre_steps + steps_of(config, pieces),
        look_every=max(last, 1),
        callbacks=[look],
    )
    first, second = (
        matrix(basis.unity, parameters.partition, x)
        for parameters in (between[0], trained.run.parameters)
    )
    return Phases(trained, (first, second))


def run(config: Config) -> Record:
    """Train every method on every wave, number of pieces and seed."""
    table, shown, most = [], {}, max(config.pieces)
    for target in config.targets:
        zoom = {"x": _zoomed()[:, 0].tolist(), "wave": target(_zoomed(), most)[:, 0].tolist()}
        for pieces in config.pieces:
            for method, seeds in config.rows(pieces):
                one = dataclasses.replace(config, pieces=(pieces,), targets=(target,), few=1)
                row, values = _row(one, method, seeds)
                table.append(row)
                if pieces == most:
                    zoom[method] = values
        shown[target.name] = zoom
    return {"table": table, "zoom": shown, "most": most, "verdict": list(_lines(table))}


def _zoomed() -> np.ndarray:
    return np.linspace(*ZOOM, 400)[:, None]


def _row(config: Config, method: str, seeds: int) -> tuple[Record, Sequence[float]]:
    """Return the errors and shapes of all seeds, and the values in the zoom of the first."""
    alone = dataclasses.replace(config, seeds=1)
    runs = [kept(trained_once, alone, method, seed) for seed in range(seeds)]
    errors = [found["error"] for found in runs]
    row = {
        "target": config.targets[0].name,
        "pieces": config.pieces[0],
        "method": method,
        "errors": errors,
        "median": float(np.median(errors)),
        "worst": max(errors),
        "spline": interpolation(config.targets[0], config.pieces[0]),
    }
    shapes = {
        key: [found[key] for found in runs] for key in runs[0] if key not in ("error", "zoom")
    }
    return row | shapes, runs[0]["zoom"]


def trained_once(config: Config, method: str, seed: int) -> Record:
    """Train one method from one seed on a configuration's only wave.

    Returns its errors at unseen points and at those trained on, its values in the zoom and, of two
    phases, what the first one left.
    """
    (target,), (pieces,) = config.targets, config.pieces
    trained, first = _trained(config, target, pieces, method, seed)
    zoom = trained(_zoomed()).tolist()
    errors = {
        "error": trained.error(target, pieces),
        "at_points": trained.error(target, pieces, points(pieces)),
    }
    return errors | {"zoom": zoom} | first


def _trained(
    config: Config, target: Target, pieces: int, method: str, seed: int
) -> tuple[Trained, Record]:
    """Return the fit, and what it says about phase 1 if there is one."""
    if method in (TWO_PHASES, LOCAL):
        phases = in_phases(config, target, pieces, seed, local=method == LOCAL)
        first = {"localisation": phases.localisation[0], "least_share": phases.least_share[0]}
        return phases.trained, first
    basis: AbstractBasis = pounet(pieces, target.power, config.depth)
    if method == RESNET:
        basis = NeuralBasis(4 * pieces, config.depth, activation="relu", residual=True)
    total = config.pre_steps + steps_of(config, pieces)
    x = points(pieces)
    return fitted(basis, lsgd(pieces, total), x, target(x, pieces), seed, total), {}


def _lines(table: Sequence[Record]) -> Iterator[str]:
    for row in table:
        unseen, known = row["median"], float(np.median(row["at_points"]))
        line = (
            f"{row['target']}, {row['pieces']} pieces, {row['method']}: median {unseen:.1e} (at "
            f"points trained on {known:.1e}), worst {row['worst']:.1e} of {len(row['errors'])}"
        )
        claim = _claim(row)
        if claim:
            there, here = ("at or below" if e <= claim else "above" for e in (unseen, known))
            line += f"; published {claim:.1e}: {there} it" + (
                "" if here == there else f", {here} it at the points"
            )
        yield line + _shape(row)
        if row["method"] == TWO_PHASES:
            yield f"{row['target']}, {row['pieces']} pieces, {SPLINE}: {row['spline']:.1e}"


def _shape(row: Record) -> str:
    """Say how many seeds have parts that are local and in use after phase 1."""
    if "localisation" not in row:
        return ""
    local, share = np.array(row["localisation"]), np.array(row["least_share"])
    good = np.sum((local >= LOCAL_ENOUGH) & (share >= LEAST_SHARE))
    return (
        f"; after phase 1 mean of max φ {np.median(local):.2f} (least {local.min():.2f}), smallest "
        f"part {np.median(share):.2f} (least {share.min():.2f}) of an even share: {good} of "
        f"{len(local)} seeds local and in use"
    )


def _claim(row: Record) -> float | None:
    kind = row["method"].split(",")[0]
    quadratic = row["target"].startswith("quadratic")
    return PUBLISHED[kind].get(row["pieces"]) if quadratic else None


@styled
def plot(record: Record) -> Figure:
    """Draw errors against pieces, and the approximants of the first seed in the zoom."""
    names = list(record["zoom"])
    figure = Figure(figsize=(7.6, 2.6 * len(names)), layout="constrained")
    for (left, right), name in zip(
        np.atleast_2d(figure.subplots(len(names), 2)), names, strict=True
    ):
        _errors(left, [row for row in record["table"] if row["target"] == name])
        _approximants(right, record["zoom"][name])
        left.set_title(name)
        right.set_title(f"{record['most']} pieces")
    shared_legend(figure, columns=3)
    return figure


def _errors(ax: Axes, table: Sequence[Record]) -> None:
    for method, (colour, dash) in STYLES.items():
        found = [row for row in table if row["method"] == method]
        pieces, medians = [r["pieces"] for r in found], [r["median"] for r in found]
        ax.plot(pieces, medians, dash, color=colour, label=method)
        for row in found:
            x = [row["pieces"]] * len(row["errors"])
            ax.plot(x, row["errors"], ".", color=colour, alpha=0.4, markersize=4)
        claims = [(r["pieces"], c) for r in found if (c := _claim(r))]
        if claims and method in (TWO_PHASES, RESNET):
            ax.plot(*zip(*claims, strict=True), **PUBLISHED_MARK | {"markeredgecolor": colour})
    ax.set(xscale="log", yscale="log", xlabel="pieces n", ylabel="relative error")
    splines = {row["pieces"]: row["spline"] for row in table}
    ax.plot(list(splines), list(splines.values()), color=INK, linewidth=1, label=SPLINE)
    pieces = sorted(splines)
    ax.set_xticks(pieces, [str(n) for n in pieces])
    ax.minorticks_off()
    if table[0]["target"].startswith("quadratic"):
        ax.plot([], [], **PUBLISHED_MARK | {"clip_on": True}, label="published")


def _approximants(ax: Axes, shown: Record) -> None:
    ax.plot(shown["x"], shown["wave"], color=INK, linewidth=3.0, alpha=0.35)
    for method, (colour, dash) in STYLES.items():
        if method in shown:
            ax.plot(shown["x"], shown[method], dash.strip("osD^"), color=colour, linewidth=1.2)
    ax.set(xlabel="x", ylabel="y", xlim=ZOOM)


QUADRATIC, TRIANGLE = (Target(2, 1.0), Target(2, 0.5)), (Target(1, 0.5), Target(1, 1.0))
register(
    Experiment(
        "waves",
        "Triangle and quadratic waves in 2 to 32 pieces: POUnets beside residual networks",
        Config((2, 4, 8), QUADRATIC),
        Config((2, 4, 8, 16, 32), QUADRATIC + TRIANGLE),
        run,
        plot,
    )
)

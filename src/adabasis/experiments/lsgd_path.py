"""The illustration of LSGD, computed: paths of GD, LSGD and LSGN in the plane (ξ, c).

The model is c sin(ξ x), one function with one hidden parameter; the data are sin 2πx, so that the
minimum is (2π, 1). GD starts at a drawn coefficient, and that is the black dot; the others move
at once from there to the curve c = LS(ξ).
"""

from __future__ import annotations

import dataclasses
from itertools import pairwise
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from .. import rows
from .._runtime.compute import numerics
from .._runtime.notation import BoxBounds, Functions, PointX, RandomKey
from ..basis import AbstractBasis
from ..geometry.points import Points
from ..plots.style import BLUE, FAINT, GREEN, INK, ORANGE, RED, figure_of, new_axes, styled
from ..train import GD, LSGD, LSGN, AbstractTrainer, Budget, Objective, Progress, train
from . import sine
from .registry import Experiment, Record, register

WINDOW = ((3.0, 8.0), (-0.6, 2.0))
"""Ranges of ξ and of c that are drawn."""
SIDE = 101


class Wave(AbstractBasis):
    """One function, sin(ξ x)."""

    @property
    def smoothness(self) -> float:
        """Analytic."""
        return float("inf")

    def init(self, key: RandomKey, box: BoxBounds) -> Any:
        """Draw ξ uniformly between 2 and 8."""
        del box
        return jax.random.uniform(key, (), float, 2.0, 8.0)

    def __call__(self, x: PointX, parameters: Any) -> Functions:
        """Evaluate at one point."""
        return jnp.sin(parameters * x)


@dataclasses.dataclass(frozen=True)
class Config:
    """Where ξ starts, rates, steps, and the seed of the first coefficient."""

    start: float = 3.9
    seed: int = 0
    gd_rate: float = 0.03
    gd_steps: int = 400
    lsgd_rate: float = 0.5
    lsgd_steps: int = 60
    newton_steps: int = 10


def run(config: Config) -> Record:
    """Follow every trainer from the same point; evaluate loss and least squares on grids."""
    trainers = {
        "GD": (GD(config.gd_rate), config.gd_steps),
        "LSGD": (LSGD(config.lsgd_rate, solver="svd"), config.lsgd_steps),
        "LSGN": (LSGN(), config.newton_steps),
    }
    frequency, coefficient = (np.linspace(*ends, SIDE) for ends in WINDOW)
    phi = np.sin(sine.POINTS * frequency)
    best = (phi.T @ sine.VALUES)[:, 0] / np.sum(phi**2, axis=0)
    residual = phi[..., None] * coefficient - sine.VALUES[..., None]
    paths = {name: _path(trainer, steps, config) for name, (trainer, steps) in trainers.items()}
    ends = {name: path[-1] for name, path in paths.items()}
    return {
        "frequency": frequency.tolist(),
        "coefficient": coefficient.tolist(),
        "loss": np.mean(residual**2, axis=0).T.tolist(),
        "least_squares": best.tolist(),
        "start": paths["GD"][0],
        "paths": paths,
        "verdict": [
            f"{name}: ends at ({end[0]:.6f}, {end[1]:.6f}) after {len(paths[name]) - 1} moves; "
            f"the minimum is ({2 * np.pi:.6f}, 1)"
            for name, end in ends.items()
        ],
    }


def _path(trainer: AbstractTrainer, steps: int, config: Config) -> list[list[float]]:
    """Return the points (ξ, c) of a run; of LSGN those accepted, the loss falling at each."""
    found: list[tuple[float, list[float]]] = []

    def follow(seen: Progress) -> None:
        point = [float(seen.parameters), float(seen.coefficients[0, 0])]
        if not isinstance(trainer, LSGN) or not found or seen.loss < found[-1][0]:
            found.append((seen.loss, point))

    with numerics():
        points = Points(sine.POINTS, np.ones(len(sine.POINTS)))
        train(
            trainer,
            Objective([rows.Term(points, sine.VALUES)], 0.0, Wave()),
            jnp.asarray(config.start),
            key=jax.random.key(config.seed),
            budget=Budget(max_steps=steps, check_every=1),
            callbacks=[follow],
        )
    return [point for _, point in found]


@styled
def plot(record: Record) -> Figure:
    """Draw the paths over contours of the loss and the curve c = LS(ξ)."""
    ax = new_axes(6.0, 4.2)
    frequency, coefficient = record["frequency"], record["coefficient"]
    loss = np.log10(record["loss"])
    ax.contour(frequency, coefficient, loss, levels=np.arange(-2.0, 1.01, 0.25), colors=FAINT,
               linewidths=0.8, linestyles="solid", zorder=0)  # fmt: skip
    ax.plot(frequency, record["least_squares"], color=RED, linewidth=2.5, label="c = LS(ξ)")
    gd, newton = np.array(record["paths"]["GD"]), np.array(record["paths"]["LSGN"])
    ax.plot(*gd.T, color=BLUE, label="GD")
    _stairs(ax, record["start"], np.array(record["paths"]["LSGD"]))
    ax.plot(*newton.T, "o", color=ORANGE, markersize=7, markerfacecolor="none",
            markeredgewidth=1.8, label="LSGN", zorder=5)  # fmt: skip
    ax.plot(*record["start"], "o", color=INK, markersize=9, label="start", zorder=6)
    ax.plot(2 * np.pi, 1.0, "*", color=INK, markersize=14, label="minimum", zorder=6)
    ax.set(xlim=WINDOW[0], ylim=WINDOW[1], xlabel="hidden parameter ξ", ylabel="coefficient c")
    ax.grid(False)
    ax.legend(loc="lower right", ncols=2)
    return figure_of(ax)


def _stairs(ax: Axes, start: list[float], path: np.ndarray) -> None:
    """Draw steps on ξ solid and solves for c dashed."""
    points = np.concatenate([[start], path])
    for before, after in pairwise(points):
        corner = (after[0], before[1])
        ax.plot(*zip(before, corner, strict=True), color=GREEN, linewidth=1.5)
        ax.plot(*zip(corner, after, strict=True), color=GREEN, linewidth=1.5, linestyle=(0, (2, 1)))
    ax.plot([], [], color=GREEN, label="LSGD")


register(
    Experiment(
        "lsgd-path",
        "Paths of GD, LSGD and LSGN in the plane of one hidden parameter and one coefficient",
        Config(),
        Config(),
        run,
        plot,
    )
)

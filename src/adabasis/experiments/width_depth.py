"""Accuracy over width and depth on sin 2πx, with the bound of free knots drawn in."""

from __future__ import annotations

import dataclasses

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from scipy.integrate import quad

from ..basis import NeuralBasis
from ..plots.style import COLOURMAP, INK, styled
from ..train import LSGD, LSGN, AbstractTrainer
from . import sine
from .curves import PUBLISHED_MARK, label_published, shades, shared_legend
from .published import Claim, compared
from .rates import Cosine
from .registry import Experiment, Record, register

DEEP = 4
"""Deeper networks are trained for fewer steps, which cost more."""


@dataclasses.dataclass(frozen=True)
class Config:
    """Widths, depths, seeds, steps (others for one layer and beyond four), the rate of one layer.

    Neither rates nor steps are published; here the rate falls by a cosine from ``rate`` divided by
    the squared depth, and at least ``least_rate`` divided by the width: a step of Adam in every
    weight of a layer moves what comes out of it in proportion to the width.
    The last layer has a constant: without it two ReLUs end at −0.6, not at −1.4 as published.
    """

    widths: tuple[int, ...]
    depths: tuple[int, ...]
    seeds: int
    first_steps: int
    steps: int
    deep_steps: int
    newton_depths: tuple[int, ...]
    newton_steps: int
    rate: float = 1.5e-2
    least_rate: float = 4.8e-3

    def basis(self, width: int, depth: int) -> NeuralBasis:
        """Return the network."""
        init = sine.PUBLISHED_BOX
        return NeuralBasis(width, depth, activation="relu", residual=True, init=init)

    def lsgd(self, width: int, depth: int) -> LSGD:
        """Return the trainer."""
        rate = max(self.rate / depth**2, self.least_rate / width)
        return LSGD(Cosine(rate, self.steps_of(depth)), solver="svd")

    def steps_of(self, depth: int) -> int:
        """Return the number of steps."""
        if depth == 1:
            return self.first_steps
        return self.steps if depth <= DEEP else self.deep_steps


def free_knot_bound(pieces: int) -> float:
    r"""Return log10 of the least mean squared error of a piecewise-linear function.

    Asymptotically ‖f″‖_{2/5} / (√720 N²) in L², with N pieces. W kinks make W + 1 pieces; but a
    layer of W ReLUs and a constant has 2W + 1 numbers to choose, which is enough for W pieces and
    not for W + 1. Deeper networks have more pieces and may fall below.
    """
    power, _ = quad(lambda x: abs(4 * np.pi**2 * np.sin(2 * np.pi * x)) ** 0.4, 0, 1, points=[0.5])
    return float(2 * np.log10(power**2.5 / (np.sqrt(720) * pieces**2)))


def run(config: Config) -> Record:
    """Train every width and depth by LSGD, and some depths by LSGN."""
    trainings: list[tuple[int, int, AbstractTrainer, int]] = [
        *(
            (width, depth, config.lsgd(width, depth), config.steps_of(depth))
            for depth in config.depths
            for width in config.widths
        ),
        *(
            (width, depth, LSGN(), config.newton_steps)
            for depth in config.newton_depths
            for width in config.widths
        ),
    ]
    found: list[Record] = [
        {
            "width": width,
            "depth": depth,
            "method": type(trainer).__name__,
            **sine.runs(config.basis(width, depth), trainer, steps, config.seeds),
        }
        for width, depth, trainer, steps in trainings
    ]
    return {
        "cells": found,
        "bound": {
            "W + 1 pieces": [free_knot_bound(width + 1) for width in config.widths],
            "W pieces": [free_knot_bound(width) for width in config.widths],
        },
        **compared(PUBLISHED, _ours(found)),
    }


def _ours(found: list[Record]) -> dict[str, Record]:
    """Return what is judged: all cells, and the best seeds of those for which one is published."""
    ours = {_name(e["width"], e["depth"], e["method"]): e for e in found}
    best = {
        f"{what}, best seed": entry | {"last": [min(entry["last"])], "best": [min(entry["last"])]}
        for what, entry in ours.items()
        if f"{what}, best seed" in PUBLISHED
    }
    return ours | best


def _name(width: int, depth: int, method: str = "LSGD") -> str:
    return f"Width {width}, depth {depth}: {method}"


@styled
def plot(record: Record) -> Figure:
    """Draw error against width for every depth with the bound, and a map of all means."""
    figure = Figure(figsize=(8.8, 5.0), layout="constrained")
    left, right = figure.subplots(1, 2, width_ratios=[1.15, 1])
    _draw_lines(left, record)
    _draw_map(right, record)
    shared_legend(figure, columns=4)
    return figure


def _draw_lines(ax: Axes, record: Record) -> None:
    widths, depths = record["config"]["widths"], record["config"]["depths"]
    for depth, colour in zip(depths, shades(len(depths)), strict=True):
        ax.plot(widths, _means(record, "LSGD", depth), "o-", color=colour, markersize=4,
                label=f"L = {depth}")  # fmt: skip
        if depth in record["config"]["newton_depths"]:
            ax.plot(widths, _means(record, "LSGN", depth), "x:", color=colour, markersize=7,
                    label=f"L = {depth}, LSGN")  # fmt: skip
        marks = [
            (w, PUBLISHED[_name(w, depth)].value) for w in widths if _name(w, depth) in PUBLISHED
        ]
        if marks:
            ax.plot(*zip(*marks, strict=True), **PUBLISHED_MARK | {"markeredgecolor": colour})
    for (name, bound), dash in zip(record["bound"].items(), ("--", "-."), strict=True):
        ax.plot(widths, bound, dash, color=INK, linewidth=1, label=f"bound, {name}")
    label_published(ax)
    ax.set_xscale("log", base=2)
    ax.set_xticks(widths, [str(width) for width in widths])
    ax.set(xlabel="width W", ylabel="log$_{10}$ mean squared error")


def _means(record: Record, method: str, depth: int) -> list[float]:
    cells = [c for c in record["cells"] if (c["method"], c["depth"]) == (method, depth)]
    return [float(np.mean(c["last"])) for c in cells]


def _draw_map(ax: Axes, record: Record) -> None:
    widths, depths = record["config"]["widths"], record["config"]["depths"]
    table = np.array([_means(record, "LSGD", depth) for depth in depths]).T
    ax.imshow(table, cmap=COLOURMAP + "_r", aspect="auto", origin="lower")
    middle = (table.min() + table.max()) / 2
    for (i, j), value in np.ndenumerate(table):
        colour = INK if value < middle else "white"
        ax.text(j, i, f"{value:.1f}".replace("-", "−"), ha="center", va="center", color=colour)
    ax.set_xticks(range(len(depths)), [str(depth) for depth in depths])
    ax.set_yticks(range(len(widths)), [str(width) for width in widths])
    ax.set(xlabel="depth L", ylabel="width W", title="LSGD, mean of all seeds")
    ax.grid(False)


_NARROW = "A seed that stays at the error of depth 1 raises the mean; the best seed is better."
STEPS = 10_000
"""Fewer are not compared: the published ones are not stated."""
PUBLISHED = {
    _name(2, 1): Claim(-1.4, STEPS),
    _name(32, 1): Claim(-6.2, STEPS),
    _name(32, 4): Claim(-7.5, STEPS),
    _name(32, 32): Claim(-7.5, STEPS),
    _name(2, 32): Claim(-4.2, STEPS, _NARROW),
    f"{_name(2, 32)}, best seed": Claim(-4.2, STEPS, _NARROW),
}
"""log10 of the mean squared error, read off the published figure."""

register(
    Experiment(
        "width-depth",
        "Accuracy over width and depth on sin 2πx, and the bound of free knots",
        Config((2, 4, 8, 16), (1, 2, 4), 2, 500, 500, 500, (1,), 40),
        Config((2, 4, 8, 16, 32), (1, 2, 4, 8, 16, 32), 16, 20_000, 40_000, 10_000, (1, 4), 100),
        run,
        plot,
    )
)

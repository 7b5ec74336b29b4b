"""Deep residual networks that classify: Box against He, by depth."""

from __future__ import annotations

import dataclasses

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullLocator

from ..basis import NeuralBasis
from ..plots.style import BLUE, ORANGE, RED, styled
from ..train import NGD
from . import classes
from .registry import Experiment, Record, register

LOOKS = {
    "box": ("Box", BLUE, "o-"),
    "he": ("He", ORANGE, "s--"),
    "he-uniform-bias": ("He, uniform bias", RED, "^:"),
}
RIDGE = 1e-3


@dataclasses.dataclass(frozen=True)
class Config:
    """Depths, runs, gradients, width, rows to fit (and as many to judge)."""

    depths: tuple[int, ...]
    runs: int
    steps: int
    width: int = 16
    n_rows: int = 600


def run(config: Config) -> Record:
    """Train residual ReLU networks on spirals by NGD; keep the first and the last loss."""
    curves: Record = {}
    for init in LOOKS:
        first, last, error = [], [], []
        for depth in config.depths:
            basis = NeuralBasis(config.width, depth, activation="relu", residual=True, init=init)
            outcomes = [
                classes.run(
                    classes.problem("spirals", config.n_rows, seed),
                    basis, NGD(), config.steps, RIDGE, seed,
                )
                for seed in range(config.runs)
            ]  # fmt: skip
            first.append([float(np.log10(o.losses[0])) for o in outcomes])
            last.append([float(np.log10(o.losses[-1])) for o in outcomes])
            error.append([o.error for o in outcomes])
        curves[init] = {"first": first, "last": last, "error": error}
    return {"depths": list(config.depths), "curves": curves}


@styled
def plot(record: Record) -> Figure:
    """Draw the loss of the first Newton solve and after training, mean ± standard deviation."""
    figure = Figure(figsize=(8.6, 3.2), layout="constrained")
    panels = figure.subplots(1, 2, sharey=True)
    titles = {"first": "as drawn, after one Newton solve", "last": "trained"}
    for ax, (key, title) in zip(panels, titles.items(), strict=True):
        for init, curve in record["curves"].items():
            label, colour, style = LOOKS[init]
            values = np.array(curve[key])
            mean, deviation = values.mean(axis=1), values.std(axis=1)
            middle = 10**mean
            reach = [middle - 10 ** (mean - deviation), 10 ** (mean + deviation) - middle]
            ax.errorbar(
                record["depths"], middle, reach, fmt=style, color=colour, capsize=3, label=label
            )
        ax.set(xscale="log", yscale="log", xlabel="hidden layers", title=title)
        ax.set_xticks(record["depths"], [str(depth) for depth in record["depths"]])
        ax.xaxis.set_minor_locator(NullLocator())
    panels[0].yaxis.set_major_locator(LogLocator(subs=(1, 2, 3, 5)))
    panels[0].yaxis.set_major_formatter("{x:g}")
    panels[0].yaxis.set_minor_locator(NullLocator())
    panels[0].set_ylabel("loss")
    panels[0].legend()
    return figure


register(
    Experiment(
        "classes-depth",
        "Classification by deep residual networks: Box against He",
        Config((2, 8), 2, 40),
        Config((2, 4, 8, 16, 32), 16, 100),
        run,
        plot,
    )
)

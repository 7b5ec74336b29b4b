"""Advection with a = x: error against width, for weights of the conditions ε = W^−α."""

from __future__ import annotations

import dataclasses

import numpy as np
from matplotlib.figure import Figure

from ..plots.style import BLUE, GREEN, ORANGE, RED, styled
from ..train import LSGD
from . import advection
from .kept import kept
from .registry import Experiment, Record, register

RATES = {"relu": 1e-3, "tanh": 1e-2}
COLOURS = (BLUE, ORANGE, GREEN, RED)


@dataclasses.dataclass(frozen=True)
class Config:
    """Widths, exponents α, activations, depth, steps, seeds, cloud."""

    widths: tuple[int, ...]
    alphas: tuple[float, ...]
    steps: int
    seeds: int
    depth: int = 2
    per_side: int = 101
    activations: tuple[str, ...] = ("relu", "tanh")


def run(config: Config) -> Record:
    """Train by LSGD; keep the mean error over seeds of every width, and the fitted slopes."""
    curves: list[Record] = []
    for activation in config.activations:
        for alpha in config.alphas:
            errors = [_error(config, activation, alpha, width) for width in config.widths]
            slope = float(np.polyfit(np.log(config.widths), np.log(errors), 1)[0])
            curves.append(
                {"activation": activation, "alpha": alpha, "error": errors, "slope": slope}
            )
    lines = [
        f"{c['activation']}, ε = W^{0 - c['alpha']:g}: error falls as W^{c['slope']:.2f}, "
        f"to {c['error'][-1]:.1e}; published, at ε = W^-0.5 (captions: W^0.5): W^-0.5"
        for c in curves
    ]
    return {"widths": list(config.widths), "curves": curves, "verdict": lines}


def _error(config: Config, activation: str, alpha: float, width: int) -> float:
    problem = advection.Advection(variable=True, per_side=config.per_side, epsilon=width**-alpha)
    basis = advection.layer(width, config.depth, activation)
    trainer = LSGD(RATES[activation])
    errors = [
        kept(advection.error, problem, basis, trainer, config.steps, seed)
        for seed in range(config.seeds)
    ]
    return float(np.exp(np.mean(np.log(errors))))


def _weight(alpha: float) -> str:
    return f"ε = $W^{{{-alpha:g}}}$" if alpha else "ε = 1"


@styled
def plot(record: Record) -> Figure:
    """Draw error against width, a panel for each activation."""
    names = list(dict.fromkeys(c["activation"] for c in record["curves"]))
    figure = Figure(figsize=(4.2 * len(names), 3.0), layout="constrained")
    for ax, name in zip(np.atleast_1d(figure.subplots(1, len(names))), names, strict=True):
        for colour, curve in zip(
            COLOURS, (c for c in record["curves"] if c["activation"] == name), strict=False
        ):
            label = f"{_weight(curve['alpha'])}: slope {curve['slope']:.2f}"
            ax.loglog(record["widths"], curve["error"], "o-", color=colour, label=label)
        ax.set(xlabel="width W", ylabel="relative error")
        ax.set_title(name)
        ax.set_xticks(record["widths"], [str(w) for w in record["widths"]])
        ax.xaxis.minorticks_off()
        ax.legend(loc="upper center", bbox_to_anchor=(0.5, -0.22), ncols=2)
    return figure


register(
    Experiment(
        "advection-width",
        "Advection with a = x: convergence with width, ε = W^-α",
        Config((4, 8, 16), (0.0, 0.5), steps=100, seeds=1, per_side=41),
        Config((4, 8, 16, 32), (-0.5, 0.0, 0.5, 1.0), steps=3000, seeds=2, depth=4, per_side=51),
        run,
        plot,
    )
)

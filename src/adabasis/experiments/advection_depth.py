"""Advection with a = x: error against depth, GD against LSGD over realisations."""

from __future__ import annotations

import dataclasses

import numpy as np
from matplotlib.figure import Figure

from ..plots.style import BLUE, RED, figure_of, new_axes, styled
from ..train import GD, LSGD
from . import advection
from .kept import kept
from .registry import Experiment, Record, register

COLOURS = {"GD": RED, "LSGD": BLUE}


@dataclasses.dataclass(frozen=True)
class Config:
    """Depths, seeds, steps; width 32, tanh, learning rate 1e-2, ε = W^−1/2 as published."""

    depths: tuple[int, ...]
    seeds: int
    steps: int
    width: int = 32
    rate: float = 1e-2
    per_side: int = 101


def run(config: Config) -> Record:
    """Train every depth and seed by both trainers."""
    problem = advection.Advection(
        variable=True, per_side=config.per_side, epsilon=config.width**-0.5
    )
    errors: dict[str, list[list[float]]] = {}
    for name, trainer in (("GD", GD(config.rate)), ("LSGD", LSGD(config.rate))):
        errors[name] = [
            [
                kept(
                    advection.error, problem, advection.layer(config.width, depth, "tanh"),
                    trainer, config.steps, seed,
                )
                for seed in range(config.seeds)
            ]
            for depth in config.depths
        ]  # fmt: skip
    logs = np.log(np.array(errors["LSGD"])).mean(axis=1)
    slope = float(np.polyfit(np.log(config.depths), logs, 1)[0])
    least = float(np.exp(logs.min()))
    return {
        "depths": list(config.depths),
        "error": errors,
        "slope": slope,
        "verdict": [
            f"LSGD: error falls as depth^{slope:.2f} (published: second order), to {least:.1e}; "
            f"as a root mean square {least * problem.level:.1e} (published, probably so: 8e-3)"
        ],
    }


@styled
def plot(record: Record) -> Figure:
    """Draw the realisations and their geometric means."""
    ax = new_axes(4.6, 3.2)
    depths = record["depths"]
    for name, table in record["error"].items():
        values = np.array(table)
        label = f"{name}, slope {record['slope']:.2f}" if name == "LSGD" else name
        ax.loglog(depths, np.exp(np.log(values).mean(axis=1)), "-", color=COLOURS[name],
                  label=label)  # fmt: skip
        for depth, row in zip(depths, values, strict=True):
            ax.plot([depth] * len(row), row, ".", color=COLOURS[name], alpha=0.6)
    ax.set(xlabel="depth", ylabel="relative error")
    ax.set_xticks(depths, [str(d) for d in depths])
    ax.xaxis.minorticks_off()
    ax.legend()
    return figure_of(ax)


register(
    Experiment(
        "advection-depth",
        "Advection with a = x: GD against LSGD over realisations",
        Config((1, 2, 3), seeds=1, steps=100, per_side=41),
        Config((1, 2, 4, 8), seeds=2, steps=5000, per_side=71),  # 51 leave 2.2e-2, not 1.5e-2
        run,
        plot,
    )
)

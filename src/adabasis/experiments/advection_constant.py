"""Advection with constant velocity: loss histories of GD, LSGD and LSGN, and solutions."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from ..plots.style import BLUE, COLOURMAP, GREEN, ORANGE, RED, drawable, styled
from ..scope import numerics
from . import advection
from .registry import Experiment, Record, register

NAMES = {
    "gd": "GD",
    "lsgd": "LSGD",
    "lsgd-cosine": "LSGD, cosine decay",
    "lsgn": "LSGN, then one solve without ridge",
}
COLOURS = {"gd": RED, "lsgd": BLUE, "lsgd-cosine": GREEN, "lsgn": ORANGE}
SOLVED = 1e-20
SIDE = 61


@dataclasses.dataclass(frozen=True)
class Config:
    """Seeds, steps by trainer, width of the one ReLU layer, velocity."""

    seeds: int
    steps: tuple[tuple[str, int], ...]
    width: int = 32
    speed: float = 1.0


def run(config: Config) -> Record:
    """Train every seed by every trainer."""
    problem, basis = advection.Advection(speed=config.speed), advection.layer(config.width)
    side = np.linspace(0, 1, SIDE)
    grid = np.stack(np.meshgrid(side, side), axis=-1).reshape(-1, 2)
    found: dict[str, Any] = {}
    for name, steps in config.steps:
        trainer = advection.trainer_named(name, steps)
        outcomes = [advection.run(problem, basis, trainer, steps, s) for s in range(config.seeds)]
        last = outcomes[0].run.last
        with numerics():
            shown = advection.values(basis, last.parameters, last.coefficients, grid)
        losses = [o.loss for o in outcomes]
        found[name] = {
            "steps": steps,
            "loss": losses,
            "error": [o.error for o in outcomes],
            "solved": int(np.sum(np.array(losses) <= SOLVED)),
            "history": outcomes[0].run.history.loss.tolist(),
            "solution": shown.reshape(SIDE, SIDE).tolist(),
        }
    return {"trainers": found, "exact": problem.exact(grid).reshape(SIDE, SIDE).tolist()}


@styled
def plot(record: Record) -> Figure:
    """Draw the loss histories of the first seed, and its solutions."""
    trainers = record["trainers"]
    figure = Figure(figsize=(9.0, 4.6), layout="constrained")
    top, bottom = figure.subfigures(2, 1, squeeze=False)[:, 0]
    ax = top.subplots()
    for name, entry in trainers.items():
        label = f"{NAMES[name]}: {entry['solved']} of {len(entry['loss'])} seeds at 1e-20"
        steps = np.arange(1, len(entry["history"]) + 1)
        ax.loglog(steps, drawable(entry["history"]), color=COLOURS[name], label=label)
    ax.set(xlabel="iterations", ylabel="loss")
    ax.legend()
    shown = [
        *(
            (f"{NAMES[n].partition(', then')[0]}\n{e['steps']:,} steps", e["solution"])
            for n, e in trainers.items()
        ),
        ("exact", record["exact"]),
    ]
    for ax, (title, values) in zip(bottom.subplots(1, len(shown), sharey=True), shown, strict=True):
        ax.imshow(values, origin="lower", extent=(0, 1, 0, 1), vmin=0, vmax=1, cmap=COLOURMAP)
        ax.set_title(title, fontsize=8)
        ax.set_xlabel("x")
        ax.grid(False)
    return figure


def _title(name: str, steps: int) -> str:
    return f"{NAMES[name].partition(', then')[0]}\n{steps:,} steps"


register(
    Experiment(
        "advection-constant",
        "Advection with constant velocity: GD, LSGD, LSGN",
        Config(2, (("gd", 500), ("lsgd", 200), ("lsgn", 25))),
        Config(16, (("gd", 5000), ("lsgd", 500), ("lsgd-cosine", 500), ("lsgn", 25))),
        run,
        plot,
    )
)

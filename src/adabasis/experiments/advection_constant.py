"""Advection with constant velocity: loss histories of GD, LSGD and LSGN, and solutions.

The slides do not say whether a constant stands beside the 32 functions: both layers are run, at
the velocity that the slides state, 1, and at that of their figure, 0.6.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from .._runtime.compute import numerics
from ..basis import NeuralBasis
from ..plots.style import BLUE, COLOURMAP, GREEN, ORANGE, RED, drawable, styled
from . import advection
from .kept import kept
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
NARROW_STEPS = 200


@dataclasses.dataclass(frozen=True)
class Setting:
    """A velocity, and whether the layer has a constant column beside its functions."""

    speed: float
    constant: bool

    @property
    def name(self) -> str:
        """What it is, in words."""
        return f"a = {self.speed:g}, {'with a' if self.constant else 'no'} constant"

    def layer(self, width: int) -> NeuralBasis:
        """Return the layer."""
        return advection.layer(width, constant=self.constant)


@dataclasses.dataclass(frozen=True)
class Config:
    """Seeds, steps by trainer, width of the one ReLU layer, settings; the first is drawn.

    A layer of ``narrow`` functions has one to spare: how many draws, at most ``restarts``, until
    one of them is solved?
    """

    seeds: int
    steps: tuple[tuple[str, int], ...]
    width: int = 32
    settings: tuple[Setting, ...] = (Setting(1.0, True),)
    narrow: int = 4
    restarts: int = 0


def run(config: Config) -> Record:
    """Train every seed by every trainer, in every setting."""
    found = {setting: _trainers(config, setting) for setting in config.settings}
    narrow = {setting: _draws(config, setting) for setting in config.settings if config.restarts}
    lines = [
        line
        for setting in config.settings
        for line in (*_lines(setting, found[setting]), *_narrow_lines(config, setting, narrow))
    ]
    first, *others = config.settings
    shown = ("history", "solution")
    told = {
        setting.name: {
            name: {k: v for k, v in entry.items() if k not in shown}
            for name, entry in found[setting].items()
        }
        for setting in others
    }
    exact = advection.Advection(speed=first.speed).exact(_grid()).reshape(SIDE, SIDE).tolist()
    return {
        "trainers": found[first],
        "other_settings": told,
        "narrow": {setting.name: losses for setting, losses in narrow.items()},
        "exact": exact,
        "verdict": lines,
    }


def _grid() -> np.ndarray:
    side = np.linspace(0, 1, SIDE)
    return np.stack(np.meshgrid(side, side), axis=-1).reshape(-1, 2)


def _trainers(config: Config, setting: Setting) -> dict[str, Any]:
    """Return losses, errors and the first seed's history and solution for every trainer."""
    table: dict[str, Any] = {}
    for name, steps in config.steps:
        runs = [
            kept(trained_once, setting, config.width, name, steps, seed)
            for seed in range(config.seeds)
        ]
        losses = [found["loss"] for found in runs]
        table[name] = {
            "steps": steps,
            "loss": losses,
            "error": [found["error"] for found in runs],
            "solved": int(np.sum(np.array(losses) <= SOLVED)),
            "history": runs[0]["history"],
            "solution": runs[0]["solution"],
        }
    return table


def trained_once(setting: Setting, width: int, name: str, steps: int, seed: int) -> Record:
    """Train once; return loss, error, history and the last iterate on a grid."""
    problem, basis = advection.Advection(speed=setting.speed), setting.layer(width)
    outcome = advection.run(problem, basis, advection.trainer_named(name, steps), steps, seed)
    last = outcome.run.last
    with numerics():
        solution = advection.values(basis, last.parameters, last.coefficients, _grid())
    return {
        "loss": outcome.loss,
        "error": outcome.error,
        "history": outcome.run.history.loss.tolist(),
        "solution": solution.reshape(SIDE, SIDE).tolist(),
    }


def _draws(config: Config, setting: Setting) -> list[float]:
    """Return the losses of LSGN on narrow layers, draw by draw, until one is solved."""
    losses: list[float] = []
    for seed in range(config.restarts):
        found = kept(trained_once, setting, config.narrow, "lsgn", NARROW_STEPS, seed)
        losses.append(found["loss"])
        if losses[-1] <= SOLVED:
            break
    return losses


def _lines(setting: Setting, table: dict[str, Any]) -> Iterator[str]:
    for name, entry in table.items():
        losses = entry["loss"]
        yield (
            f"{setting.name}, {NAMES[name]}, {entry['steps']:,} steps: {entry['solved']} of "
            f"{len(losses)} seeds at {SOLVED:.0e}, losses {min(losses):.1e} to {max(losses):.1e}, "
            f"relative errors up to {max(entry['error']):.1e}"
        )


def _narrow_lines(
    config: Config, setting: Setting, narrow: dict[Setting, list[float]]
) -> Iterator[str]:
    for loss in narrow.get(setting, [])[-1:]:
        yield (
            f"{setting.name}, width {config.narrow}, LSGN: draw {len(narrow[setting])} of at most "
            f"{config.restarts} ends at {loss:.1e}"
        )


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


register(
    Experiment(
        "advection-constant",
        "Advection with constant velocity: GD, LSGD, LSGN",
        Config(2, (("gd", 500), ("lsgd", 200), ("lsgn", 25))),
        Config(
            16,
            (("gd", 5000), ("lsgd", 500), ("lsgd-cosine", 500), ("lsgn", 25)),
            settings=tuple(Setting(a, constant) for constant in (True, False) for a in (1.0, 0.6)),
            restarts=20,
        ),
        run,
        plot,
    )
)

"""The functions of networks of width 8 as drawn: plain and residual, He and Box, by depth."""

from __future__ import annotations

import dataclasses

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ..basis import NeuralBasis
from ..plots.style import BLUE, GREEN, ORANGE, RED, styled
from . import sine
from .curves import compact
from .image_collapse import ranks
from .registry import Experiment, Record, register

INITS = {"he": "He", "he-uniform-bias": "He,\nuniform biases", "box": "Box"}
POINTS = np.linspace(0, 1, 201)[:, None]
COLOURS = (BLUE, ORANGE, GREEN, RED)
LINES = ("-", (0, (4, 1.5)))


@dataclasses.dataclass(frozen=True)
class Config:
    """Width, depths, the seed that is drawn and the number of seeds of the ranks."""

    depths: tuple[int, ...]
    seeds: int
    width: int = 8
    seed: int = 0

    def basis(self, init: str, residual: bool, depth: int) -> NeuralBasis:
        """Return the network."""
        return NeuralBasis(
            self.width, depth, activation="relu", residual=residual, init=init, constant=False
        )


def run(config: Config) -> Record:
    """Draw the functions of every network, and count those that are independent."""
    panels = []
    for residual in (False, True):
        for init in INITS:
            for depth in config.depths:
                basis = config.basis(init, residual, depth)
                functions = sine.functions(basis, [config.seed], POINTS)[0]
                panels.append(
                    {
                        "residual": residual,
                        "init": init,
                        "depth": depth,
                        "rank": ranks(basis, config.seeds),
                        "functions": functions.T.tolist(),
                    }
                )
    return {"panels": panels, "verdict": _lines(config, panels)}


def _lines(config: Config, panels: list[Record]) -> list[str]:
    lines = [
        f"Independent functions of {config.width}, median of {config.seeds} seeds",
        f"  {'L':29s}" + "".join(f"{depth:6d}" for depth in config.depths),
    ]
    for residual in (False, True):
        for init, name in INITS.items():
            same = [p for p in panels if (p["residual"], p["init"]) == (residual, init)]
            cells = "".join(f"{np.median(p['rank']):6g}" for p in same)
            kind = "residual" if residual else "plain"
            lines.append(f"  {' '.join(name.split()) + ', ' + kind:29s}{cells}")
    return lines


@styled
def plot(record: Record) -> Figure:
    """Draw a panel for every network: plain above, residual below."""
    depths = record["config"]["depths"]
    figure = Figure(figsize=(8.4, 9.6), layout="constrained")
    parts = figure.subfigures(2, 1, squeeze=False)[:, 0]
    for part, residual in zip(parts, (False, True), strict=True):
        shown = [panel for panel in record["panels"] if panel["residual"] == residual]
        part.suptitle("Residual" if residual else "Plain", x=0.01, ha="left", fontsize=11)
        axes = part.subplots(len(INITS), len(depths), sharex=True)
        for ax, panel in zip(axes.ravel(), shown, strict=True):
            _draw(ax, panel, record["config"]["seed"])
        for ax, name in zip(axes[:, 0], INITS.values(), strict=True):
            ax.set_ylabel(name)
        for ax, depth in zip(axes[-1], depths, strict=True):
            ax.set_xlabel(f"x;  L = {depth}")
    return figure


def _draw(ax: Axes, panel: Record, seed: int) -> None:
    functions = np.array(panel["functions"])
    top = float(np.abs(functions).max())
    scaled = functions / top if top > 0 else functions
    for i, values in enumerate(scaled):
        colour = COLOURS[i % len(COLOURS)]
        ax.plot(POINTS[:, 0], values, color=colour, linestyle=LINES[i // len(COLOURS) % 2],
                linewidth=1.1)  # fmt: skip
    ax.set(ylim=(-0.05, 1.08), xticks=(0, 1), yticks=(0, 1))
    ax.set_yticklabels(["0", compact(top)])
    ax.set_title(f"rank {panel['rank'][seed]}", fontsize=8, loc="right", pad=2)


register(
    Experiment(
        "basis-functions",
        "The functions of networks of width 8 as drawn: He and Box, plain and residual",
        Config((1, 2, 4, 8, 16), 16),
        Config((1, 2, 4, 8, 16), 16),
        run,
        plot,
    )
)

"""LSGD against GD on sin 2πx from He initialization: four networks, and LSGN beside them."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ..basis import NeuralBasis
from ..plots.style import BLUE, GREEN, ORANGE, PURPLE, RED, styled
from ..train import GD, LSGD, LSGN, AbstractTrainer
from . import sine
from .curves import band, published_end, shared_legend
from .published import Claim, compared
from .registry import Experiment, Record, register

GD_RATE, LSGD_RATE = 5e-4, 5e-3
COARSE = 1e-6
"""The cut-off of singular values with which LSGD ends where the published runs do."""
STYLES = {
    "GD": (RED, "--"),
    "LSGD": (BLUE, "-"),
    "LSGD, cut-off 1e-13": (GREEN, "-."),
    "LSGD, controlled rate": (PURPLE, "--"),
    "LSGN": (ORANGE, ":"),
}


@dataclasses.dataclass(frozen=True)
class Panel:
    """A network, and the steps and seeds of its runs."""

    activation: str
    residual: bool
    width: int
    depth: int
    steps: int
    seeds: int = 16
    newton_steps: int = 100
    newton_seeds: int = 16

    @property
    def title(self) -> str:
        """What the panel shows, in words."""
        name = {"relu": "ReLU", "tanh": "tanh"}[self.activation]
        kind = "residual" if self.residual else "plain"
        return f"{name}, {kind}, width {self.width}, depth {self.depth}"

    @property
    def basis(self) -> NeuralBasis:
        """The network, drawn by He: uniform weights and no biases."""
        return NeuralBasis(
            self.width, self.depth, activation=self.activation, residual=self.residual,
            init="he", constant=False,
        )  # fmt: skip

    def methods(self) -> Iterator[tuple[str, AbstractTrainer, int, int]]:
        """Yield every trainer with its name, steps and seeds."""
        yield "GD", GD(GD_RATE), self.steps, self.seeds
        yield "LSGD", LSGD(LSGD_RATE, solver="svd", rcond=COARSE), self.steps, self.seeds
        if self.activation == "tanh":  # with ReLU the cut-off changes little
            yield "LSGD, cut-off 1e-13", LSGD(LSGD_RATE, solver="svd"), self.steps, self.seeds
        yield "LSGD, controlled rate", LSGD("auto", solver="svd"), self.steps, self.seeds
        yield "LSGN", LSGN(), self.newton_steps, self.newton_seeds


@dataclasses.dataclass(frozen=True)
class Config:
    """The panels."""

    panels: tuple[Panel, ...]


def run(config: Config) -> Record:
    """Train every panel by every method."""
    panels: list[Record] = [
        {
            "title": panel.title,
            "methods": {
                name: sine.runs(panel.basis, trainer, steps, seeds)
                for name, trainer, steps, seeds in panel.methods()
            },
        }
        for panel in config.panels
    ]
    ours = {
        f"{panel['title']}: {name}": (found["last"], found["steps"])
        for panel in panels
        for name, found in panel["methods"].items()
    }
    return {"panels": panels, **compared(PUBLISHED, ours)}


@styled
def plot(record: Record) -> Figure:
    """Draw mean and deviation of every method, and where the published runs end."""
    figure = Figure(figsize=(8.4, 6.0), layout="constrained")
    axes = figure.subplots(2, 2).ravel()
    for ax, panel in zip(axes, record["panels"], strict=False):
        _draw(ax, panel)
    for ax in axes[2:]:
        ax.set_xlabel("iterations")
    for ax in axes[::2]:
        ax.set_ylabel("log$_{10}$ mean squared error")
    shared_legend(figure, columns=5)
    return figure


def _draw(ax: Axes, panel: Record) -> None:
    for name, found in panel["methods"].items():
        colour, dash = STYLES[name]
        band(ax, found, colour, dash, name)
        published_end(ax, PUBLISHED.get(f"{panel['title']}: {name}"), colour)
    ax.set_title(panel["title"])
    ax.set_xscale("log")


_RANK_ONE = (
    "On [0, 1] a network with ReLU and no biases starts with rank 1; where its kinks go first is "
    "chance, and seeds settle at different plateaus."
)
PUBLISHED = {
    "ReLU, plain, width 32, depth 4: GD": Claim(-2.0, 10_000, _RANK_ONE),
    "ReLU, plain, width 32, depth 4: LSGD": Claim(-3.4, 10_000, _RANK_ONE),
    "ReLU, residual, width 32, depth 4: GD": Claim(-5.0, 100_000, _RANK_ONE),
    "ReLU, residual, width 32, depth 4: LSGD": Claim(-5.6, 100_000, _RANK_ONE),
    "tanh, plain, width 40, depth 6: GD": Claim(-5.5, 3000),
    "tanh, plain, width 40, depth 6: LSGD": Claim(-13.2, 3000),
    "tanh, residual, width 64, depth 8: GD": Claim(-5.0, 10_000),
    "tanh, residual, width 64, depth 8: LSGD": Claim(-16.0, 10_000),
}
"""log10 of the mean squared error at the end, read off the published figure."""

register(
    Experiment(
        "lsgd-vs-gd",
        "LSGD against GD on sin 2πx: ReLU and tanh, plain and residual",
        Config(
            (
                Panel("relu", False, 32, 4, 1000, 4, 30, 2),
                Panel("relu", True, 32, 4, 1000, 4, 30, 2),
                Panel("tanh", False, 40, 6, 600, 3, 20, 2),
                Panel("tanh", True, 64, 8, 300, 2, 5, 2),
            )
        ),
        Config(
            (
                Panel("relu", False, 32, 4, 10_000),
                Panel("relu", True, 32, 4, 100_000),
                Panel("tanh", False, 40, 6, 3000),
                Panel("tanh", True, 64, 8, 10_000, newton_steps=20, newton_seeds=4),
            )
        ),
        run,
        plot,
    )
)

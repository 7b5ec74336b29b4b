"""He against Box initialization: LSGD on sin 2πx with residual ReLU networks of depth 8 to 128."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator
from typing import Any

from matplotlib.figure import Figure

from ..basis import NeuralBasis
from ..plots.style import styled
from ..train import LSGD, LSGN, AbstractTrainer
from . import sine
from .curves import band, published_end, shades, shared_legend
from .published import Claim, compared
from .registry import Experiment, Record, register

WIDTH = 32
INITS: dict[str, Any] = {
    "He": "he",
    "He, uniform biases": "he-uniform-bias",
    "Box": sine.PUBLISHED_BOX,
}
"""Biases of He are zero in the papers."""


@dataclasses.dataclass(frozen=True)
class Depth:
    """A depth L and numbers of seeds: of LSGD, of it from He with biases, and of LSGN."""

    depth: int
    seeds: int = 16
    biased_seeds: int = 0
    newton_seeds: int = 0

    @property
    def rate(self) -> float:
        """The published learning rate: 2^−(k+3) for L = 2^k."""
        return 2.0 ** -(math.log2(self.depth) + 3)

    def basis(self, init: str) -> NeuralBasis:
        """Return the network."""
        return NeuralBasis(
            WIDTH, self.depth, activation="relu", residual=True, init=INITS[init], constant=False
        )


@dataclasses.dataclass(frozen=True)
class Config:
    """Depths, and steps of LSGD and LSGN."""

    depths: tuple[Depth, ...]
    steps: int
    newton_steps: int

    def methods(self, depth: Depth, init: str) -> Iterator[tuple[str, AbstractTrainer, int, int]]:
        """Yield every trainer with its name, steps and seeds, where there are any."""
        seeds = depth.biased_seeds if init == "He, uniform biases" else depth.seeds
        if seeds:
            yield "LSGD", LSGD(depth.rate, solver="svd"), self.steps, seeds
        if depth.newton_seeds:
            yield "LSGN", LSGN(), self.newton_steps, depth.newton_seeds


def run(config: Config) -> Record:
    """Train every depth from every initialization."""
    found = [
        {
            "init": init,
            "depth": depth.depth,
            "method": method,
            **sine.runs(depth.basis(init), trainer, steps, seeds),
        }
        for init in INITS
        for depth in config.depths
        for method, trainer, steps, seeds in config.methods(depth, init)
    ]
    return {"curves": found, **compared(PUBLISHED, dict(_ours(found)))}


def _ours(found: list[Record]) -> Iterator[tuple[str, Record]]:
    for curve in found:
        name = _name(curve["init"], curve["depth"], curve["method"])
        yield name, curve
        if (start := f"{name} before the first step") in PUBLISHED:
            yield start, curve | {"last": curve["first"], "best": curve["first"]}


def _name(init: str, depth: int, method: str = "LSGD") -> str:
    return f"{init}, L = {depth}: {method}"


@styled
def plot(record: Record) -> Figure:
    """Draw mean and deviation for every depth, a panel for each initialization."""
    curves = record["curves"]
    inits = list(dict.fromkeys(curve["init"] for curve in curves))
    depths = sorted({curve["depth"] for curve in curves})
    colours = dict(zip(depths, shades(len(depths)), strict=True))
    figure = Figure(figsize=(2.6 * len(inits) + 0.6, 3.6), layout="constrained")
    axes = figure.subplots(1, len(inits), sharex=True, sharey=True, squeeze=False)[0]
    for ax, init in zip(axes, inits, strict=True):
        for curve in (c for c in curves if c["init"] == init):
            newton, depth = curve["method"] == "LSGN", curve["depth"]
            label = f"L = {depth}" + (", LSGN" if newton else "")
            band(ax, curve, colours[depth], ":" if newton else "-", label)
            published_end(ax, PUBLISHED.get(_name(init, depth)), colours[depth])
        ax.set_title(init)
        ax.set(xlabel="iterations", xscale="log")
    axes[0].set_ylabel("log$_{10}$ mean squared error")
    shared_legend(figure, columns=4)
    return figure


STEPS = 2000
_STUCK = (
    "All functions are linear at first, and values grow with depth; seeds settle at −0.9 or −2.5 "
    "by chance, and L = 64 is halfway to the failure of L = 128."
)
_JUMPS = (
    "The error jumps at a constant rate. For one seed 8,000 steps, a cosine decay, the variant of "
    "Algorithm 3 and a cut-off at 1e-6 end between −5.4 and −6.6."
)
PUBLISHED = {
    **{_name("He", depth): Claim(-3.0, STEPS, _STUCK) for depth in (8, 16, 32, 64)},
    _name("He", 128): Claim(None, STEPS),
    _name("Box", 8) + " before the first step": Claim(-4.3, 0),
    _name("Box", 8): Claim(-6.5, STEPS),
    _name("Box", 128): Claim(-7.4, STEPS, _JUMPS),
}
"""log10 of the mean squared error, read off the published figure; its steps are not stated."""

register(
    Experiment(
        "he-vs-box",
        "He against Box initialization: LSGD on residual networks of depth 8 to 128",
        Config((Depth(8, 4, 2, 1), Depth(16, 2, 1), Depth(32, 1, 1)), 300, 20),
        Config(
            (
                Depth(8, 16, 4, 4),
                Depth(16, 4, 4),
                Depth(32, 4, 4),
                Depth(64, 2),
                Depth(128, 2),
            ),
            STEPS,
            100,
        ),
        run,
        plot,
    )
)

"""Images of the unit square under L hidden layers, and the rank of Φ against depth."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ..basis import NeuralBasis
from ..plots.style import BLUE, GREEN, INK, ORANGE, RED, styled
from . import sine
from .curves import compact
from .registry import Experiment, Record, register

SQUARE = np.array([[0.0, 1.0], [0.0, 1.0]])
LINES, ALONG = 11, 41
"""Lines of the drawn net each way, and points along a line."""
LOWEST = -0.2
RCOND = 1e-13
FLAT = 1e-2
"""σ₂/σ₁ of a collapsed image is below."""
NAMES = {
    "glorot": "Glorot",
    "he": "He",
    "he-uniform-bias": "He, uniform biases",
    "box": "Box",
}
STYLES = {
    "glorot": (RED, "v:"),
    "he": (ORANGE, "s--"),
    "he-uniform-bias": (GREEN, "^-."),
    "box": (BLUE, "o-"),
}
PUBLISHED = {"he": "collapses", "glorot": "collapses", "box": "keeps its area"}
"""What the published images of deep residual networks show."""


@dataclasses.dataclass(frozen=True)
class Config:
    """Depths and seed of the images; depths, width and seeds of the ranks."""

    depths: tuple[int, ...]
    seeds: int
    width: int = 32
    seed: int = 0
    image_depths: tuple[int, ...] = (1, 2, 4, 8, 16)
    images: tuple[str, ...] = ("glorot", "he", "box")


def run(config: Config) -> Record:
    """Draw images for one seed, and count the independent functions for all."""
    images = [
        _image(init, residual, depth, config)
        for residual in (True, False)
        for init in config.images
        for depth in config.image_depths
    ]
    counted = [
        {
            "init": init,
            "residual": residual,
            "rank": [
                ranks(_net(config.width, depth, residual, init), config.seeds)
                for depth in config.depths
            ],
        }
        for residual in (True, False)
        for init in NAMES
    ]
    flatness = _flatness(config)
    return {
        "images": images,
        "ranks": counted,
        "flatness": flatness,
        "verdict": list(_lines(config, images, counted, flatness)),
    }


def ranks(basis: NeuralBasis, seeds: int) -> list[int]:
    """Return the number of singular values of Φ above 1e-13 of the largest, for every seed."""
    s = np.linalg.svd(sine.functions(basis, range(seeds), sine.POINTS), compute_uv=False)
    return np.sum(s > RCOND * s[:, :1], axis=1).tolist()


def _net(width: int, depth: int, residual: bool, init: str) -> NeuralBasis:
    return NeuralBasis(
        width, depth, activation="relu", residual=residual, init=init, constant=False
    )


def _image(init: str, residual: bool, depth: int, config: Config) -> Record:
    """Return the images of the lines of a square net, (2, LINES, ALONG, 2), and H."""
    across, along = np.linspace(0, 1, LINES), np.linspace(0, 1, ALONG)
    first = np.stack(np.meshgrid(across, along, indexing="ij"), axis=-1)
    net = np.stack([first, first[..., ::-1]])
    basis = _net(2, depth, residual, init)
    mapped = sine.functions(basis, [config.seed], net.reshape(-1, 2), SQUARE)
    return {
        "init": init,
        "residual": residual,
        "depth": depth,
        "H": float(mapped.max()),
        "net": np.round(mapped, 6).reshape(net.shape).tolist(),
    }


def _flatness(config: Config) -> list[Record]:
    """Return σ₂/σ₁ of the two functions on the square for all seeds: 0 on a line through 0."""
    side = np.linspace(0, 1, 33)
    x = np.stack(np.meshgrid(side, side), axis=-1).reshape(-1, 2)
    return [
        {
            "init": init,
            "residual": residual,
            "depth": depth,
            "ratio": _ratios(_net(2, depth, residual, init), config.seeds, x),
        }
        for residual in (True, False)
        for init in config.images
        for depth in config.image_depths
    ]


def _ratios(basis: NeuralBasis, seeds: int, x: np.ndarray) -> list[float]:
    s = np.linalg.svd(sine.functions(basis, range(seeds), x, SQUARE), compute_uv=False)
    return (s[:, 1] / np.where(s[:, 0] > 0, s[:, 0], 1.0)).tolist()


def _lines(
    config: Config, images: list[Record], ranks: list[Record], flatness: list[Record]
) -> Iterator[str]:
    """Yield H, σ₂/σ₁ and ranks as tables, a line for each initialization."""
    yield "H, the largest value, of the images of seed " + str(config.seed)
    yield from _cells("L", config.image_depths)
    yield from _table(images, lambda entry: compact(entry["H"]))
    yield f"σ₂/σ₁ of the two functions, median of {config.seeds} seeds; 0 is a line through 0"
    yield from _cells("L", config.image_depths)
    yield from _table(flatness, lambda entry: f"{np.median(entry['ratio']):.1e}")
    yield (
        f"Rank of {config.width} functions on 256 points of [0, 1]: least/median/greatest of "
        f"{config.seeds} seeds"
    )
    yield from _cells("L", config.depths)
    for entry in ranks:
        cells = [f"{min(r)}/{np.median(r):g}/{max(r)}" for r in entry["rank"]]
        yield from _cells(_title(entry), cells)
    for init, claim in PUBLISHED.items():
        yield f"{NAMES[init]}, residual: published {claim}; {_verdict(init, flatness)}"


def _verdict(init: str, flatness: list[Record]) -> str:
    ratios = [np.median(e["ratio"]) for e in flatness if e["init"] == init and e["residual"]]
    words = "agrees" if (ratios[-1] < FLAT) == (init != "box") else "differs"
    return f"here σ₂/σ₁ goes from {ratios[0]:.2g} to {ratios[-1]:.2g}: {words}"


def _table(entries: list[Record], cell: Callable[[Record], str]) -> Iterator[str]:
    for residual in (True, False):
        for init in dict.fromkeys(entry["init"] for entry in entries):
            same = [e for e in entries if (e["init"], e["residual"]) == (init, residual)]
            yield from _cells(_title(same[0]), [cell(entry) for entry in same])


def _title(entry: Record) -> str:
    return f"{NAMES[entry['init']]}, {'residual' if entry['residual'] else 'plain'}"


def _cells(title: str, values: Iterable[object]) -> Iterator[str]:
    """Yield a name and its values, below it where there is no room beside it."""
    head, row = f"  {title}", "  " + "".join(f"{value!s:>11s}" for value in values)
    if row[: len(head) + 1].isspace():
        yield head + row[len(head) :]
    else:
        yield from (head, row)


@styled
def plot(record: Record) -> Figure:
    """Draw the images of residual networks, those of plain ones, and ranks against depth."""
    images = record["images"]
    depths = sorted({image["depth"] for image in images})
    figure = Figure(figsize=(8.4, 12.4), layout="constrained")
    parts = figure.subfigures(3, 1, height_ratios=[5, 5, 3], squeeze=False)[:, 0]
    for part, residual in zip(parts, (True, False), strict=False):
        kind = "Residual" if residual else "Plain"
        part.suptitle(f"{kind}: images of the unit square", x=0.01, ha="left", fontsize=11)
        shown = [image for image in images if image["residual"] == residual]
        axes = part.subplots(len(shown) // len(depths), len(depths))
        for ax, image in zip(axes.ravel(), shown, strict=True):
            _draw_image(ax, image, depths)
    _draw_ranks(parts[2], record)
    return figure


def _draw_image(ax: Axes, image: Record, depths: list[int]) -> None:
    top = max(image["H"], 1e-12)
    for lines, colour in zip(np.array(image["net"]), (BLUE, ORANGE), strict=True):
        ax.plot(*lines.transpose(2, 1, 0), color=colour, linewidth=0.7, rasterized=True)
    ax.set(xlim=(LOWEST * top, 1.05 * top), ylim=(LOWEST * top, 1.05 * top), aspect="equal")
    ax.set_xticks([0], [])
    ax.set_yticks([0], [])
    ax.set_title(f"H = {compact(image['H'])}", fontsize=9)
    if np.ptp(np.array(image["net"]), axis=(0, 1, 2)).max() <= FLAT**2 * top:
        ax.plot(*image["net"][0][0][0], "o", color=INK, markersize=4)
        ax.text(0.58, 0.8, "one point", transform=ax.transAxes, ha="center", fontsize=8)
    if image["depth"] == depths[0]:
        ax.set_ylabel(NAMES[image["init"]])
    if image["init"] == "box":
        ax.set_xlabel(f"L = {image['depth']}")


def _draw_ranks(part: Any, record: Record) -> None:
    part.suptitle(
        f"Rank of {record['config']['width']} functions on 256 points of [0, 1]: median, least "
        f"and greatest of {record['config']['seeds']} seeds", x=0.01, ha="left", fontsize=11,
    )  # fmt: skip
    axes = part.subplots(1, 2, sharey=True)
    depths = record["config"]["depths"]
    for entry in record["ranks"]:
        ax, rank = axes[0 if entry["residual"] else 1], np.array(entry["rank"])
        colour, line = STYLES[entry["init"]]
        ax.plot(depths, np.median(rank, axis=1), line, color=colour, label=NAMES[entry["init"]],
                markerfacecolor="none", markersize=9 if line[0] == "v" else 6)  # fmt: skip
        ax.fill_between(depths, rank.min(axis=1), rank.max(axis=1), color=colour, alpha=0.15)
    for ax, title in zip(axes, ("residual", "plain"), strict=True):
        ax.set_xscale("log", base=2)
        ax.set_xticks(depths, [str(depth) for depth in depths])
        ax.set(xlabel="depth L", title=title)
    axes[0].set_ylabel("rank")
    axes[0].legend(loc="center")


register(
    Experiment(
        "image-collapse",
        "Images of the unit square under L layers; the rank of the functions against depth",
        Config((1, 2, 4, 8, 16, 32), 16),
        Config((1, 2, 4, 8, 16, 32, 64), 16, image_depths=(1, 2, 4, 8, 16, 32)),
        run,
        plot,
    )
)

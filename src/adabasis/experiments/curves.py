"""Drawing of summaries of runs: a mean with its band, a published value at its end."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib import colormaps
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ..plots.style import COLOURMAP, INK
from .published import Claim
from .registry import Record

PUBLISHED_MARK: dict[str, Any] = {
    "marker": "D", "color": "white", "markeredgecolor": INK, "markersize": 6,
    "markeredgewidth": 1.5, "linestyle": "none", "zorder": 5, "clip_on": False,
}  # fmt: skip


def band(
    ax: Axes, found: Record, colour: str, dash: str, label: str, *, shaded: bool = True
) -> None:
    """Draw the mean of log10 loss over runs, and, if shaded, one standard deviation about it.

    Step 0 is drawn at iteration 1, the first that a logarithmic scale has.
    """
    at = np.array(found["step"]) + 1
    mean, deviation = np.array(found["mean"]), np.array(found["deviation"])
    if shaded:
        edges = mean - deviation, mean + deviation
        ax.fill_between(at, *edges, color=colour, alpha=0.18, linewidth=0)
    ax.plot(at, mean, dash, color=colour, label=label)


def published_end(ax: Axes, claim: Claim | None, colour: Any) -> None:
    """Mark a published value where its runs end, if there is one."""
    if claim is None or claim.value is None:
        return
    ax.plot([claim.size], [claim.value], **PUBLISHED_MARK | {"markeredgecolor": colour})
    if "published" not in ax.get_legend_handles_labels()[1]:
        label_published(ax)


def label_published(ax: Axes) -> None:
    """Add the mark to the legend; clipped, or the layout would make room for no point at all."""
    ax.plot([], [], **PUBLISHED_MARK | {"clip_on": True}, label="published")


def shared_legend(figure: Figure, columns: int) -> None:
    """Put one legend of all axes, every label once, below them."""
    handles: dict[str, Artist] = {}
    for ax in figure.axes:
        found, names = ax.get_legend_handles_labels()
        handles |= dict(zip(names, found, strict=True))
    labels = sorted(handles, key=lambda label: label == "published")  # the last one
    figure.legend(
        [handles[label] for label in labels], labels, loc="outside lower center", ncols=columns
    )


def compact(value: float) -> str:
    """Return a positive number in three figures, with no exponent where it is large."""
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def shades(n: int) -> list[Any]:
    """Return n colours from dark to light, in the order of what they stand for."""
    return list(colormaps[COLOURMAP](np.linspace(0.0, 0.88, n)))

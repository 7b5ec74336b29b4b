"""Figures of what each input does to the values of a model."""

from __future__ import annotations

import math

import numpy as np
from matplotlib.figure import Figure

from ..models.importance import Importance
from .style import BLUE, INK, ORANGE, WIDTH, short, styled

MOST_BARS = 12
#: Height of a column's bars, in inches, and what is above and below them.
BAR, ROUND = 0.36, 0.9


@styled
def importance(found: Importance) -> Figure:
    """Draw total indices as bars with ranges, and what the error grows by, the largest first.

    Within each bar the darker part is the first-order index: what a column does by itself.

    Parameters
    ----------
    found : Importance
        From :func:`adabasis.importance`.

    Returns
    -------
    Figure
    """
    shown = found.ranked[:MOST_BARS]
    permuted = any(math.isfinite(one.permutation) for one in shown)
    figure = Figure(figsize=(WIDTH * (1.5 if permuted else 1), ROUND + BAR * len(shown)),
                    layout="constrained")  # fmt: skip
    axes = figure.subplots(1, 2 if permuted else 1, sharey=True, squeeze=False)[0]
    at = np.arange(len(shown))[::-1]
    total = np.array([one.total for one in shown])
    ends = np.array([one.total_range for one in shown]).T
    first = np.array([one.first for one in shown])
    bars = {"height": 0.62, "color": BLUE}
    axes[0].barh(at, total, alpha=0.45, **bars)
    axes[0].barh(at, np.minimum(first, total), **bars)
    _ranges(axes[0], at, total, ends)
    axes[0].set_yticks(at, [short(one.name, 24) for one in shown])
    axes[0].set(xlabel="share of the variance", xlim=(0, max(1.0, float(ends[1].max()) * 1.02)))
    axes[0].grid(axis="y", visible=False)
    if permuted:
        grown = np.array([one.permutation for one in shown])
        axes[1].barh(at, grown, height=0.62, color=ORANGE)
        _ranges(axes[1], at, grown, np.array([one.permutation_range for one in shown]).T)
        axes[1].set(xlabel="error grows by, if permuted")
        axes[1].grid(axis="y", visible=False)
    return figure


def _ranges(ax: object, at: np.ndarray, value: np.ndarray, ends: np.ndarray) -> None:
    off = np.maximum(np.stack([value - ends[0], ends[1] - value]), 0.0)
    style = {"fmt": "none", "ecolor": INK, "elinewidth": 1.0, "capsize": 2.5}
    ax.errorbar(value, at, xerr=off, **style)  # type: ignore[attr-defined]

"""Figures of how good a fit is and how it came about."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from ..models.fitted import Fitted
from .style import (
    BLUE,
    GREEN,
    HEIGHT,
    INK,
    ORANGE,
    RED,
    WIDTH,
    drawable,
    figure_of,
    many,
    new_axes,
    short,
    some_of,
    styled,
)


@styled
def parity(y: Any, predicted: Any, name: str = "y") -> Figure:
    """Draw predictions against true values: a perfect model's lie on the diagonal."""
    ax = new_axes()
    y, predicted = np.ravel(y), np.ravel(predicted)
    some = some_of(len(y))
    ends = [min(y.min(), predicted.min()), max(y.max(), predicted.max())]
    ax.plot(ends, ends, color=INK, linewidth=0.8)
    dots: dict[str, Any] = {"color": BLUE, "markersize": 4, "alpha": 0.6, "rasterized": many(some)}
    ax.plot(y[some], predicted[some], ".", **dots)
    ax.xaxis.set_major_locator(MaxNLocator(5))
    ax.set(xlabel=f"{short(name, 30)}, measured", ylabel=f"{short(name, 30)}, predicted")
    return figure_of(ax)


@styled
def residuals(y: Any, predicted: Any, name: str = "y") -> Figure:
    """Draw errors against predictions, and how they are distributed."""
    y, predicted = np.ravel(y), np.ravel(predicted)
    some, error = some_of(len(y)), predicted - y
    figure = Figure(figsize=(WIDTH, HEIGHT), layout="constrained")
    left, right = figure.subplots(1, 2, sharey=True, width_ratios=[3, 1])
    left.axhline(0, color=INK, linewidth=0.8)
    dots: dict[str, Any] = {"color": BLUE, "markersize": 4, "alpha": 0.6, "rasterized": many(some)}
    left.plot(predicted[some], error[some], ".", **dots)
    left.xaxis.set_major_locator(MaxNLocator(5))
    left.set(xlabel=f"{short(name, 24)}, predicted", ylabel="predicted − measured")
    right.hist(error, bins=min(40, max(5, len(error) // 5)), orientation="horizontal", color=BLUE)
    right.set(xlabel="rows")
    return figure


@styled
def history(model: Fitted) -> Figure:
    """Draw the training error and the held-out error over the steps, the kept iterate marked."""
    ax, record = new_axes(), model.history
    marker = "o" if len(record) == 1 else ""
    ax.semilogy(
        np.arange(len(record)), drawable(np.sqrt(record.loss)), color=BLUE, marker=marker,
        label="rows trained on",
    )  # fmt: skip
    if len(record.validation):
        ax.semilogy(
            record.validation_step, drawable(record.validation), ".-", color=RED, markersize=4,
            label="rows held out",
        )  # fmt: skip
        least = int(np.argmin(record.validation))
        ax.semilogy(
            record.validation_step[least], drawable(record.validation)[least], "o", color=RED,
            fillstyle="none", markersize=9, label="kept",
        )  # fmt: skip
    ax.set(xlabel="steps", ylabel="root mean square error\n(standardised outputs)")
    ax.legend()
    return figure_of(ax)


@styled
def histories(
    runs: Mapping[str, Sequence[np.ndarray]], ylabel: str = "mean squared error"
) -> Figure:
    """Draw several runs of each method: every run thin, the geometric mean thick."""
    ax = new_axes()
    lines = zip(runs.items(), (ORANGE, BLUE, GREEN, RED), ("--", "-", "-.", ":"), strict=False)
    for (label, losses), colour, dash in lines:
        for loss in losses:
            ax.semilogy(drawable(loss), color=colour, alpha=0.3, linewidth=0.7)
        shortest = min(map(len, losses))
        mean = np.exp2(np.mean([np.log2(drawable(loss[:shortest])) for loss in losses], axis=0))
        ax.semilogy(mean, color=colour, linestyle=dash, linewidth=2, label=label)
    ax.set(xlabel="steps", ylabel=ylabel)
    ax.legend()
    return figure_of(ax)


@styled
def candidates(model: Fitted) -> Figure:
    """Draw the errors of everything that was tried, best first (as in ``model.candidates``)."""
    ax = new_axes()
    solved = model.solved_from == "an equation"
    for key, marker, colour, label in (
        ("validation_error", "o", BLUE, "fresh points" if solved else "held-out rows"),
        ("loo_error", "D", ORANGE, "leave one out"),
    ):
        found = [(i, c[key]) for i, c in enumerate(model.candidates, 1) if c.get(key) is not None]
        if found:
            at, errors = zip(*found, strict=True)
            ax.semilogy(at, drawable(errors), marker, color=colour, markersize=5, label=label)
            if at[0] == 1:
                ax.semilogy(1, drawable(errors)[0], "o", color=INK, fillstyle="none", markersize=11)
            ax.legend()
    ax.xaxis.set_major_locator(MaxNLocator(integer=True))
    ax.set(xlabel="candidate, best first", ylabel=f"relative {'residual' if solved else 'error'}")
    return figure_of(ax)

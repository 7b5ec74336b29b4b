"""Figures of the dependence on each column of a table, averaged over the others."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from ..models.fitted import Fitted
from .style import (
    BLUE,
    INK,
    WIDTH,
    Column,
    columns_of,
    names_of,
    one_output,
    short,
    some_of,
    value,
)

MOST_CURVES = 8
BACKGROUND = 200
"""Rows that the dependence is averaged over."""
NINETY = 1.645
"""Standard deviations to both sides of a mean that hold 90 % of a normal distribution."""
NARROW = 22
"""Letters of category names that fit below an axes side by side."""


def dependence(model: Fitted, data: Any, output: int) -> Figure:
    """Draw the mean over a background as one column runs over its range (partial dependence).

    A column of categories is one variable: all its 0/1 inputs change together.
    """
    background, columns = _background(model, data), columns_of(model)
    means = [_means(model, background, column, output) for column in columns]
    most = sorted(range(len(columns)), key=lambda i: -np.ptp(means[i][1]))[:MOST_CURVES]
    rows = math.ceil(len(most) / 2)
    figure = Figure(figsize=(WIDTH, 1.5 * rows), layout="constrained")
    axes = figure.subplots(rows, 2, sharey=True, squeeze=False).ravel()
    for ax, i in zip(axes, most, strict=False):
        at, mean, deviation = means[i]
        ax.set_xlabel(short(columns[i].name, 24))
        if columns[i].categories:
            ax.plot(at, mean, "o", color=BLUE, markersize=4)
            if deviation is not None:
                ax.vlines(at, mean - deviation, mean + deviation, color=BLUE, alpha=0.5)
            _name_categories(ax, columns[i].categories)
        else:
            ax.plot(at, mean, color=BLUE)
            if deviation is not None:
                ax.fill_between(
                    at, mean - deviation, mean + deviation, color=BLUE, alpha=0.25, linewidth=0
                )
            ax.xaxis.set_major_locator(MaxNLocator(3))
    for ax in axes[len(most) :]:
        ax.set_axis_off()
    figure.supylabel(short(names_of(model)[1][output], 40), fontsize=10, color=INK)
    return figure


def _background(model: Fitted, data: Any) -> np.ndarray:
    if data is not None:
        return np.asarray(data[0])[some_of(len(data[0]), BACKGROUND)]
    low, high = model.box.T
    return np.random.default_rng(0).uniform(low, high, (BACKGROUND, model.n_inputs))


def _means(
    model: Fitted, background: np.ndarray, column: Column, output: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray | None]:
    """Return where a column is set, its value or its category's number, and the means there.

    Their standard deviations, where they are known, are those of the function, averaged: no mean
    is less certain than its parts are.
    """
    settings, at = column.settings, np.arange(len(column.settings))
    if not column.categories:
        low, high = model.box[column.inputs[0]]
        at = np.linspace(low, high, 41)
        settings = at[:, None]
    x = np.tile(background, (len(settings), 1, 1))
    x[:, :, list(column.inputs)] = settings[:, None]
    points = x.reshape(-1, model.n_inputs)
    values, deviation = value(model, points, output), None
    if model.error_model is not None:
        found = one_output(model.uncertainty(points).function, len(points), output)
        # The median: where the background has no such rows, one alone would say too much.
        deviation = NINETY * np.median(found.reshape(len(settings), -1), axis=1)
    return at, values.reshape(len(settings), -1).mean(axis=1), deviation


def _name_categories(ax: Axes, categories: tuple[str, ...]) -> None:
    some = range(0, len(categories), math.ceil(len(categories) / MOST_CURVES))
    names = [short(categories[i], 12) for i in some]
    upright = sum(map(len, names)) > NARROW
    options: dict[str, Any] = (
        {"rotation": 30, "ha": "right", "rotation_mode": "anchor"} if upright else {}
    )
    ax.set_xticks(list(some), names, **options)
    ax.set_xlim(-0.5, len(categories) - 0.5)

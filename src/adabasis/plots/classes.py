"""Figures of classifiers: regions, confusion, calibration, cross-entropy over the steps."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import ListedColormap
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from ..models.classifier import Classifier
from ..train import History
from .functions import grid
from .style import (
    BLUE,
    INK,
    ORANGE,
    RED,
    drawable,
    figure_of,
    names_of,
    new_axes,
    short,
    some_of,
    styled,
)

COLOURS = ("#0072b2", "#e69f00", "#009e73", "#d55e00", "#56b4e9", "#cc79a7", "#f0e442", "#7f7f7f")
MARKERS = "os^Dv<>P"
SIDE = 241
BINS = 10
MOST_CLASSES = 20
"""Classes whose names and counts a matrix can hold."""
FEW = 500
"""Points drawn on the regions."""


@styled
def regions(model: Classifier, *, data: Any = None, ax: Axes | None = None) -> Figure:
    """Draw which class is likeliest where, over two inputs; paler where it is less sure.

    Parameters
    ----------
    model : Classifier
        Of two inputs.
    data : pair (X, index), optional
        Points to draw, and which class each has.
    ax : matplotlib Axes, optional
        Where to draw.

    Raises
    ------
    ValueError
        If the model has not two inputs or more than eight classes.
    """
    if model.n_inputs != 2 or len(model.classes) > len(COLOURS):
        raise ValueError(
            f"plots.regions: expected 2 inputs and at most {len(COLOURS)} classes, got "
            f"{model.n_inputs} and {len(model.classes)}."
        )
    ax = new_axes() if ax is None else ax
    inputs, _ = names_of(model)
    first, second, x = grid(model.box, SIDE)
    p = model.probabilities(x)
    likeliest, sure = p.argmax(axis=1), (p.max(axis=1) * p.shape[1] - 1) / (p.shape[1] - 1)
    colours = ListedColormap(COLOURS[: len(model.classes)])
    shade = colours(likeliest)[:, :3]
    shade = 1 - (0.15 + 0.3 * sure[:, None]) * (1 - shade)
    ends = (first[0], first[-1], second[0], second[-1])
    ax.imshow(shade.reshape(SIDE, SIDE, 3), origin="lower", extent=ends, aspect="auto")
    if data is not None:
        _points(ax, model, *data)
    ax.grid(False)
    ax.set(xlabel=short(inputs[0]), ylabel=short(inputs[1]), xlim=ends[:2], ylim=ends[2:])
    return figure_of(ax)


def _points(ax: Axes, model: Classifier, x: Any, index: Any) -> None:
    some = some_of(len(x), FEW)
    x, index = np.asarray(x)[some], np.asarray(index)[some]
    for k, name in enumerate(model.classes):
        dots: dict[str, Any] = {"color": COLOURS[k], "markersize": 3.5, "markeredgecolor": INK}
        label = short(str(name), 16)
        here = x[index == k]
        ax.plot(*here.T, MARKERS[k], label=label, markeredgewidth=0.4, **dots)
    ax.legend(loc="center left", bbox_to_anchor=(1.0, 0.5))


@styled
def confusion(index: Any, predicted: Any, names: list[str]) -> Figure:
    """Draw how many rows of each class were given each label, shaded by the share of the class."""
    n = len(names)
    counts = np.zeros((n, n), int)
    np.add.at(counts, (np.asarray(index), np.asarray(predicted)), 1)
    share = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    size = min(6.0, max(2.8, 1.6 + 0.38 * n))
    ax = new_axes(size + 0.6, size)
    shaded = ax.imshow(share, cmap="Blues", vmin=0, vmax=1)
    for (i, j), count in np.ndenumerate(counts):
        if count:
            colour = "white" if share[i, j] > 0.5 else INK
            ax.text(j, i, f"{count:,}", ha="center", va="center", color=colour, fontsize=8)
    labels = [short(name, 12) for name in names]
    turned = 90 if max(map(len, labels)) > 3 else 0
    ax.set_xticks(range(n), labels, rotation=turned)
    ax.set_yticks(range(n), labels)
    ax.set(xlabel="predicted", ylabel="true")
    ax.grid(False)
    figure_of(ax).colorbar(shaded, ax=ax, label="share of the true class", shrink=0.8)
    return figure_of(ax)


@styled
def calibration(index: Any, probabilities: Any) -> Figure:
    """Draw how often the predicted label is right against how sure the model is of it."""
    probabilities = np.asarray(probabilities)
    sure = probabilities.max(axis=1)
    right = probabilities.argmax(axis=1) == np.asarray(index)
    edges = np.linspace(1 / probabilities.shape[1], 1, BINS + 1)
    at = np.clip(np.digitize(sure, edges) - 1, 0, BINS - 1)
    counts = np.bincount(at, minlength=BINS)
    used = counts > 0
    mean = np.bincount(at, sure, BINS)[used] / counts[used]
    share = np.bincount(at, right, BINS)[used] / counts[used]
    error = np.sqrt(np.maximum(share * (1 - share), 1 / 4 / counts[used]) / counts[used])
    figure = Figure(figsize=(4.2, 3.4), layout="constrained")
    top, bottom = figure.subplots(2, 1, sharex=True, height_ratios=[3, 1])
    top.plot([edges[0], 1], [edges[0], 1], color=INK, linewidth=0.8)
    top.errorbar(mean, share, error, fmt="o", color=BLUE, capsize=3, markersize=4)
    top.set(ylabel="share of right labels", ylim=(-0.03, 1.06))
    bottom.bar(edges[:-1], counts, np.diff(edges), align="edge", color=BLUE, edgecolor="white")
    bottom.set(xlabel="probability of the predicted label", ylabel="rows")
    bottom.yaxis.set_major_locator(MaxNLocator(3, integer=True))
    return figure


@styled
def cross_entropies(model: Classifier, joint: History | None = None) -> Figure:
    """Draw the cross-entropy of the rows trained on and of those held out over the gradients.

    Parameters
    ----------
    model : Classifier
        Trained by NGD.
    joint : History, optional
        Of joint descent on the same rows, to compare.
    """
    ax, record = new_axes(), model.history
    ax.semilogy(drawable(record.loss), color=BLUE, label="rows trained on, with the ridge")
    if len(record.validation):
        ax.semilogy(
            record.validation_step, drawable(record.validation), ".-", color=RED, markersize=4,
            label="rows held out",
        )  # fmt: skip
    if joint is not None:
        ax.semilogy(
            drawable(joint.loss), "--", color=ORANGE, label="the same by joint descent (GD)"
        )
    ax.set(xlabel="gradients", ylabel="cross-entropy (nats)")
    ax.legend()
    return figure_of(ax)

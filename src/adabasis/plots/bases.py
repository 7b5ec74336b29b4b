"""Figures of basis functions, before and after training, and of their independence."""

from __future__ import annotations

import math
from collections.abc import Mapping

import jax
import numpy as np
from matplotlib.figure import Figure

from ..models.fitted import Fitted
from .functions import grid
from .style import BLUE, COLOURMAP, HEIGHT, RED, WIDTH, figure_of, names_of, new_axes, short, styled

TILE = 48
"""Pixels along a side of a small picture."""
RCOND = 1e-13
"""The cut-off of singular values, relative to the largest (that of ``lstsq.solve``)."""


@styled
def basis_functions(model: Fitted, most: int | None = None) -> Figure:
    """Draw the basis functions of one or two inputs, as drawn at random and as trained.

    Shown are those with the largest share in the fitted function, each divided by its largest
    value: what counts is their span.

    Raises
    ------
    ValueError
        For more than two inputs.
    """
    if model.n_inputs > 2:
        raise ValueError(
            f"plots.basis_functions: drawn for 1 or 2 inputs, this model has {model.n_inputs}."
        )
    stages = {"as drawn": True} | ({"as trained": False} if _moved(model) else {})
    if model.n_inputs == 1:
        return _basis_curves(model, stages, most or 32)
    return _basis_tiles(model, stages, most or 8)


def _moved(model: Fitted) -> bool:
    pairs = zip(
        jax.tree.leaves(model.initial_parameters), jax.tree.leaves(model.parameters), strict=True
    )
    return not all(np.array_equal(before, after) for before, after in pairs)


def _strongest(model: Fitted, phi: np.ndarray, most: int) -> np.ndarray:
    share = np.linalg.norm(model.coefficients, axis=1) * phi.std(axis=0)
    return np.sort(np.argsort(-share)[:most])


def _basis_curves(model: Fitted, stages: Mapping[str, bool], most: int) -> Figure:
    low, high = model.box[0]
    x = np.linspace(low, high, 401)
    chosen = _strongest(model, model.functions(x[:, None]), most)
    figure = Figure(figsize=(WIDTH, HEIGHT * 0.6 * len(stages) + 0.6), layout="constrained")
    axes = figure.subplots(len(stages), 1, sharex=True, squeeze=False).ravel()
    for ax, (title, initial) in zip(axes, stages.items(), strict=True):
        phi = model.functions(x[:, None], initial=initial)[:, chosen]
        largest = np.abs(phi).max(axis=0)
        ax.plot(x, phi / np.where(largest > 0, largest, 1.0), color=BLUE, linewidth=0.8, alpha=0.7)
        ax.set_title(f"{title}: {len(chosen)} of {model.coefficients.shape[0]} functions")
    axes[-1].set_xlabel(short(names_of(model)[0][0]))
    return figure


def _basis_tiles(model: Fitted, stages: Mapping[str, bool], most: int) -> Figure:
    x = grid(model.box, TILE)[2]
    phi = {title: model.functions(x, initial=initial) for title, initial in stages.items()}
    chosen = _strongest(model, list(phi.values())[-1], most)
    rows = math.ceil(len(chosen) / 4)
    figure = Figure(figsize=(WIDTH, (1.15 * rows + 0.35) * len(stages)), layout="constrained")
    parts = figure.subfigures(len(stages), 1, squeeze=False).ravel()
    for part, (title, values) in zip(parts, phi.items(), strict=True):
        part.suptitle(
            f"{title}: {len(chosen)} of {values.shape[1]} functions", x=0.01, ha="left", fontsize=10
        )
        axes = part.subplots(rows, 4, squeeze=False).ravel()
        for ax in axes:
            ax.set_axis_off()
        for ax, i in zip(axes, chosen, strict=False):
            tile = values[:, i].reshape(TILE, TILE)
            ax.imshow(tile, origin="lower", aspect="auto", cmap=COLOURMAP)
    return figure


@styled
def singular_values(model: Fitted) -> Figure:
    """Draw the singular values of the functions on the data, with the cut-off of the solve."""
    ax, s = new_axes(), np.asarray(model.singular_values)
    relative = np.maximum(s / max(s.max(initial=0.0), 1e-300), 1e-20)
    index = np.arange(1, len(s) + 1)
    ax.semilogy(index, relative, ".-" if len(s) <= 64 else "-", color=BLUE, markersize=5)
    ax.axhline(RCOND, color=RED, linestyle="--", linewidth=1)
    ax.annotate(
        "cut-off", (1, RCOND), xytext=(2, 4), textcoords="offset points", color=RED, fontsize=9
    )
    ax.set(xlabel="index", ylabel="singular value / largest")
    ax.set_ylim(bottom=min(RCOND / 30, relative.min() / 3))
    return figure_of(ax)

"""Figures of fitted functions: curves, surfaces, dependence on each input, errors."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure
from matplotlib.path import Path
from matplotlib.ticker import MaxNLocator
from scipy.spatial import ConvexHull, QhullError

from ..geometry import tensor_grid
from ..models.fitted import Fitted
from .dependence import dependence
from .style import (
    BLUE,
    COLOURMAP,
    ORANGE,
    SMALLEST,
    figure_of,
    many,
    names_of,
    new_axes,
    one_output,
    short,
    some_of,
    styled,
    value,
)

SIDE = 61
"""Points along a side of the grid that a surface is drawn from."""
LEVELS = 16
BAND = 0.9
"""Coverage of the bands that are shaded."""


@styled
def fitted(model: Fitted, *, ax: Axes | None = None, data: Any = None, output: int = 0) -> Figure:
    """Draw the fitted function: a curve, a surface, or its dependence on each input.

    Parameters
    ----------
    model : Fitted
        What is drawn.
    ax : matplotlib Axes, optional
        Where to draw; of one and two inputs only.
    data : pair of arrays (X, y), optional
        Of one input: drawn as points. Of two: drawn, and the surface ends at their convex hull.
        Of more: the background that the dependence is averaged over.
    output : int
        Which of several outputs.

    Returns
    -------
    Figure

    Raises
    ------
    ValueError
        If ``ax`` is given and the model has more than two inputs.
    """
    if model.n_inputs > 2:
        if ax is not None:
            raise ValueError(
                f"plots.fitted(ax=...): one axis cannot hold {model.n_inputs} inputs; leave ax out."
            )
        return dependence(model, data, output)
    ax = new_axes() if ax is None else ax
    draw = _curve if model.n_inputs == 1 else _surface
    draw(model, ax, data, output)
    return figure_of(ax)


def grid(box: np.ndarray, n: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the two axes of a grid on a 2-D box, and its points (n², 2), x varying fastest."""
    first, second = (np.linspace(lower, upper, n) for lower, upper in box)
    return first, second, tensor_grid(second, first)[:, ::-1]


def _curve(model: Fitted, ax: Axes, data: Any, output: int) -> None:
    (inputs, outputs), (low, high) = names_of(model), model.box[0]
    if data is not None:
        some = some_of(len(data[0]))
        x, y = np.asarray(data[0])[some, 0], one_output(data[1], len(data[0]), output)[some]
        ax.plot(x, y, ".", color=ORANGE, markersize=4, label="data")
    x = np.linspace(low, high, 801)
    ax.plot(x, value(model, x[:, None], output), color=BLUE, label="model")
    _bands(model, ax, x, output)
    ax.set(xlabel=short(inputs[0]), ylabel=short(outputs[output]))
    if data is not None:
        ax.legend()


def _bands(model: Fitted, ax: Axes, x: np.ndarray, output: int) -> None:
    """Shade where new values lie, and the mean: 90 % each, where errors are known."""
    if model.error_model is None or not len(model.error_model.scores):
        return
    with warnings.catch_warnings():  # of few rows bounds are infinite: nothing is shaded then
        warnings.simplefilter("ignore")
        shown = {"mean": 0.35, "value": 0.15}
        bounds = {of: model.predict_interval(x[:, None], BAND, of=of) for of in shown}
    limits = ax.get_ylim()
    for of, alpha in shown.items():
        lower, upper = (one_output(end, len(x), output) for end in bounds[of])
        if np.isfinite(lower).all() and np.isfinite(upper).all():
            what = f"{100 * BAND:.0f} % of new values" if of == "value" else None
            ax.fill_between(x, lower, upper, color=BLUE, alpha=alpha, linewidth=0, label=what)
    # What is far off where no row is would hide the rest.
    reach = limits[1] - limits[0]
    ax.set_ylim(*np.clip(ax.get_ylim(), limits[0] - reach, limits[1] + reach))


def _surface(model: Fitted, ax: Axes, data: Any, output: int) -> None:
    inputs, outputs = names_of(model)
    first, second, x = grid(model.box, SIDE)
    z = value(model, x, output)
    hull = None if data is None else _hull(np.asarray(data[0], dtype=float))
    beyond = model.outside(x)  # holes of the domain of an equation, and what is around it
    if hull is None:
        low, high = _usual_range(model, z[~beyond], output)
    else:
        seen = z[hull.contains_points(x)]
        low, high = seen.min(initial=z.max()), seen.max(initial=z.min())
    z = np.where(beyond, np.nan, np.clip(z, low, high)).reshape(SIDE, SIDE)
    filled = ax.contourf(first, second, z, levels=LEVELS, cmap=COLOURMAP)
    if hull is not None:
        filled.set_clip_path(hull, transform=ax.transData)
        some = some_of(len(data[0]), 500)
        ax.plot(*np.asarray(data[0])[some].T, ".", color="white", markersize=2, alpha=0.6)
    bar = figure_of(ax).colorbar(filled, ax=ax, label=short(outputs[output]))
    bar.locator = MaxNLocator(6)
    bar.update_ticks()
    ax.grid(False)
    if beyond.any():
        ax.set_aspect("equal")
    if model.solved_from == "an equation" and "t" not in inputs:  # lengths, the same in both
        ax.set_aspect("equal")
    ax.set(xlabel=short(inputs[0]), ylabel=short(inputs[1]))


def _hull(x: np.ndarray) -> Path | None:
    """Return the convex hull of points in the plane; ``None`` for points on one line.

    Beyond it the model extrapolates, and a corner without data would take all colours.
    """
    try:
        corners = ConvexHull(x).vertices
    except QhullError:
        return None
    return Path(x[np.append(corners, corners[0])], closed=True)


def _usual_range(model: Fitted, z: np.ndarray, output: int) -> tuple[float, float]:
    """Return the range of values, cut at five standard deviations where those are known."""
    to_units = model.output_map
    low, high = float(z.min()), float(z.max())
    if (to_units.shift[output], to_units.scale[output]) == (0.0, 1.0):
        return low, high  # the identity knows nothing of the data
    five = np.full(len(to_units.shift), 5.0)
    least, most = (float(to_units.inverse(end)[output]) for end in (-five, five))
    return max(low, least), min(high, most)


@styled
def error_map(model: Fitted, X: Any, y: Any, *, predicted: Any = None, output: int = 0) -> Figure:
    """Draw points of two inputs coloured by the size of the error there.

    Parameters
    ----------
    model : Fitted
        Of two inputs.
    X : array-like, shape (N, 2)
        Where.
    y : array-like, shape (N,) or (N, Q)
        The true values.
    predicted : array-like, shape (N,) or (N, Q), optional
        Predictions to judge: by default those of ``model``.
    output : int
        Which of several outputs.

    Returns
    -------
    Figure
    """
    x = np.asarray(X, dtype=float)
    some = some_of(len(x))
    values = value(model, x, output) if predicted is None else one_output(predicted, len(x), output)
    error = np.abs(values - one_output(y, len(x), output))[some]
    ax, (inputs, outputs) = new_axes(), names_of(model)
    order = np.argsort(error)  # the largest on top
    floor = max(error.max(initial=0.0) * 1e-6, SMALLEST)
    colours = LogNorm(floor, max(error.max(initial=0.0), 10 * floor))
    first, second = x[some][order].T
    dots = ax.scatter(
        first, second, c=np.maximum(error, floor)[order], s=12, cmap=COLOURMAP, norm=colours,
        rasterized=many(some),
    )  # fmt: skip
    figure_of(ax).colorbar(dots, ax=ax, label=f"absolute error of\n{short(outputs[output], 24)}")
    ax.set(xlabel=short(inputs[0]), ylabel=short(inputs[1]))
    return figure_of(ax)

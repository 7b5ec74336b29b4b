"""Figures of what a partition of unity network learned: its parts and their polynomials."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from matplotlib.colors import ListedColormap
from matplotlib.figure import Figure

from .._runtime.compute import double_precision
from ..basis import PartitionBasis
from ..models.fitted import Fitted
from ..pou.probabilistic import ProbabilisticPOUNet
from .functions import grid
from .style import BLUE, COLOURMAP, GREEN, HEIGHT, INK, ORANGE, RED, WIDTH, names_of, styled

POINTS = 2001
SIDE = 241
"""Points along an interval, and along a side of a map."""
#: Standard deviations to each side that hold 90 % of a normal distribution.
WITHIN_90 = 1.6449
COLOURS = (BLUE, ORANGE, GREEN, RED, "#56b4e9", "#cc79a7", "#f0e442")
"""For parts that are neighbours of each other: Okabe and Ito's, which can all be told apart."""


def shares(model: Fitted, X: np.ndarray) -> np.ndarray:
    """Return φ, the share of every part at N points in the user's units: (N, N_part).

    Raises
    ------
    ValueError
        For a model that is no partition of unity network.
    """
    unity = _basis(model).unity
    with double_precision():
        z = jnp.asarray(model.input_map(np.asarray(X, dtype=float)))
        return np.asarray(jax.vmap(unity, in_axes=(0, None))(z, model.parameters.partition))


def pieces(model: Fitted, X: np.ndarray, output: int = 0) -> np.ndarray:
    """Return every part's polynomial at N points, in the user's units: (N, N_part)."""
    basis = _basis(model)
    with double_precision():
        z, c = jnp.asarray(model.input_map(np.asarray(X, dtype=float))), model.coefficients
        inside = jax.vmap(lambda x: basis.pieces(x, model.parameters, jnp.asarray(c)))(z)
    return model.output_map.inverse(np.asarray(inside))[:, :, output]


def breaks(model: Fitted) -> np.ndarray:
    """Return where one part of an interval gives way to the next, in the user's units."""
    low, high = model.box[0]
    x = np.linspace(low, high, 16 * POINTS)
    owner = np.argmax(shares(model, x[:, None]), axis=1)
    found = []
    for i in np.flatnonzero(np.diff(owner)):
        left, right = x[i], x[i + 1]
        for _ in range(60):  # bisection
            middle = 0.5 * (left + right)
            if np.argmax(shares(model, np.array([[middle]]))) == owner[i]:
                left = middle
            else:
                right = middle
        found.append(0.5 * (left + right))
    return np.array(found)


def _basis(model: Fitted) -> PartitionBasis:
    if not isinstance(model.basis, PartitionBasis):
        raise ValueError(
            f"plots.partitions: expected a partition of unity network, got {model.basis!r}."
        )
    return model.basis


@styled
def partitions(model: Fitted, output: int = 0) -> Figure:
    """Draw the parts: curves and local polynomials of one input, maps of two.

    Where parts have noise levels (``fit_pounet(noise="parts")``) a band about the sum holds 90 % of
    new values, and a map of two inputs shows the standard deviation in place of the overlap.

    Parameters
    ----------
    model : Fitted
        Of a :class:`adabasis.PartitionBasis`.
    output : int
        Which of several outputs the polynomials are drawn for.

    Raises
    ------
    ValueError
        For another kind of model, or more than two inputs.
    """
    _basis(model)
    if model.n_inputs > 2:
        raise ValueError(
            f"plots.partitions: drawn for 1 or 2 inputs, this model has {model.n_inputs}."
        )
    return _curves(model, output) if model.n_inputs == 1 else _maps(model, output)


def _curves(model: Fitted, output: int) -> Figure:
    low, high = model.box[0]
    x = np.linspace(low, high, POINTS)[:, None]
    phi, local = shares(model, x), pieces(model, x, output)
    figure = Figure(figsize=(WIDTH, 1.6 * HEIGHT), layout="constrained")
    above, below = figure.subplots(2, 1, sharex=True, height_ratios=(1, 2))
    for part in range(phi.shape[1]):
        colour = COLOURS[part % len(COLOURS)]
        above.plot(x, phi[:, part], color=colour)
        inside = np.where(phi[:, part] > 1e-3, local[:, part], np.nan)
        below.plot(x, inside, color=colour, linewidth=2.5)
    whole = np.asarray(model(x)).reshape(len(x), -1)[:, output]
    if isinstance(model, ProbabilisticPOUNet):
        _band(below, model, x, whole, output)
    below.plot(x, whole, color=INK, linewidth=0.8)
    above.set(ylabel="partition φ", ylim=(-0.05, 1.05), title="Partitions")
    inputs, outputs = names_of(model)
    below.set(xlabel=inputs[0], ylabel=outputs[output], title="Their polynomials, and the sum")
    return figure


def _band(axes: Any, model: ProbabilisticPOUNet, x: np.ndarray, whole: np.ndarray, q: int) -> None:
    """Shade where 90 % of new values lie, were the noise normal, the uncertainty in it darker."""
    function, noise = (variance[:, q] for variance in model.variances(x))
    for variance, alpha, label in (
        (function + noise, 0.15, "90 % of new values"),
        (function, 0.3, "90 % of means"),
    ):
        size = WITHIN_90 * np.sqrt(variance)
        axes.fill_between(
            x[:, 0], whole - size, whole + size, color=INK, alpha=alpha, linewidth=0, label=label
        )
    axes.legend(loc="best")


def _maps(model: Fitted, output: int) -> Figure:
    *sides, x = grid(model.box, SIDE)
    phi = shares(model, x).reshape(SIDE, SIDE, -1)
    owner, overlap = np.argmax(phi, axis=2), 1 - phi.max(axis=2)
    figure = Figure(figsize=(2 * WIDTH, 1.2 * HEIGHT), layout="constrained")
    left, right = figure.subplots(1, 2, sharey=True)
    count = phi.shape[2]
    palette = ListedColormap([COLOURS[k % len(COLOURS)] for k in range(count)])
    options = {"shading": "nearest", "rasterized": True}
    limits = {"vmin": -0.5, "vmax": count - 0.5}
    left.pcolormesh(*sides, owner, cmap=palette, alpha=0.6, **limits, **options)
    if isinstance(model, ProbabilisticPOUNet):
        variance = sum(model.variances(x))
        deviation = np.sqrt(np.asarray(variance)[:, output]).reshape(SIDE, SIDE)
        title, label = "Noise", "standard deviation of a new value"
        shown = right.pcolormesh(*sides, deviation, cmap=COLOURMAP, vmin=0, **options)
    else:
        title, label = "Overlap", "1 − largest share"
        shown = right.pcolormesh(*sides, overlap, cmap=COLOURMAP, vmin=0, vmax=0.5, **options)
    for part in range(count if count > 1 else 0):
        left.contour(*sides, owner == part, levels=[0.5], colors=INK, linewidths=0.8)
        if np.any(owner == part):
            ys, xs = np.nonzero(owner == part)
            nearest = np.argmin((ys - np.median(ys)) ** 2 + (xs - np.median(xs)) ** 2)
            left.text(sides[0][xs[nearest]], sides[1][ys[nearest]], str(part + 1), ha="center")
    figure.colorbar(shown, ax=right, label=label)
    inputs, _ = names_of(model)
    left.set(xlabel=inputs[0], ylabel=inputs[1], title="Part with the largest share")
    right.set(xlabel=inputs[0], title=title)
    for ax in (left, right):
        ax.grid(False)
    return figure

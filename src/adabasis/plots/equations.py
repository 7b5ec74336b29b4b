"""Figures of solutions of differential equations: residuals, convergence."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure

from .functions import grid
from .style import BLUE, COLOURMAP, ORANGE, drawable, figure_of, names_of, new_axes, short, styled

if TYPE_CHECKING:
    from ..pde.solution import Solution
    from ..pde.study import Study

SIDE = 81
DECADES = 1e-6


@styled
def convergence(study: Study) -> Figure:
    """Draw error and residual against the number of functions, on logarithmic scales."""
    ax = new_axes()
    ax.loglog(study.widths, drawable(study.errors), "o-", color=BLUE, label="error")
    ax.loglog(study.widths, drawable(study.residuals), "s--", color=ORANGE, label="residual")
    ax.set(xlabel="functions", ylabel="relative")
    ax.set_xticks(study.widths, [f"{w:,}" for w in study.widths])
    ax.minorticks_off()
    ax.set_title(f"error ~ functions$^{{-{study.order:.1f}}}$")
    ax.legend()
    return figure_of(ax)


@styled
def residual_map(solution: Solution) -> Figure:
    """Draw ``|L[u] − f|`` in the user's units: a curve, or a map of the first two coordinates.

    Of several equations the largest is drawn. Further coordinates stay in the middle of their
    range.
    """
    names, _ = names_of(solution)
    ax = new_axes()
    middle = solution.box.mean(axis=1)
    if solution.n_inputs == 1:
        x = np.linspace(solution.box[0, 0], solution.box[0, 1], 801)[:, None]
        ax.semilogy(x[:, 0], drawable(_largest(solution, x)), color=BLUE)
        ax.set(xlabel=short(names[0]), ylabel="|residual|")
        return figure_of(ax)
    first, second, plane = grid(solution.box[:2], SIDE)
    x = np.tile(middle, (len(plane), 1))
    x[:, :2] = plane
    values = _largest(solution, x)
    values[solution.outside(x)] = np.nan
    values = values.reshape(SIDE, SIDE)
    top = max(float(np.nanmax(values, initial=0.0)), 1e-300)
    colours: Any = LogNorm(max(DECADES * top, 1e-300), top)
    shown = ax.pcolormesh(
        first, second, np.maximum(values, DECADES * top), cmap=COLOURMAP, norm=colours,
        rasterized=True,
    )  # fmt: skip
    figure_of(ax).colorbar(shown, ax=ax, label="|residual|")
    ax.grid(False)
    if "t" not in names[:2]:  # lengths: a metre is as long in both
        ax.set_aspect("equal")
    ax.set(xlabel=short(names[0]), ylabel=short(names[1]))
    return figure_of(ax)


def _largest(solution: Solution, x: np.ndarray) -> np.ndarray:
    """Return the largest absolute residual of all equations at N points, (N,)."""
    return np.asarray(np.abs(solution.residual(x)).reshape(len(x), -1).max(axis=1))

"""Pictures of a solution: its values, residual and estimated error side by side, and over time."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LogNorm, Normalize
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, MaxNLocator, NullFormatter

from ..geometry import tensor_grid
from ..pde.error_field import error_field, residual_sizes
from ..pde.solution import Solution
from ..plots.style import BLUE, COLOURMAP, FAINT, ORANGE, RED, drawable, names_of, short, styled

SIDE = 81
"""Points along a side of a map."""
CURVE = 401
"""Points of a curve."""
FRAMES = 9
"""Moments that the slider over time has."""
DECADES = 1e-6
"""Share of the largest residual, or error, below which it is not told apart."""
FEW_DECADES = 1e2
"""Ratio of the ends of a scale below which thirds of decades are labelled, too."""
RESIDUAL, ERROR = "|residual|", "estimated error"
WIDE, HIGH = 2.9, 2.6
"""Inches of one of several panels in a row."""


@dataclasses.dataclass(frozen=True)
class Field:
    """One thing to draw over the domain.

    Attributes
    ----------
    title : str
    values : array, shape (N,)
        At the points of a map or a curve; not a number outside of the domain.
    size : bool
        Whether it is a size, drawn on a logarithmic scale.
    """

    title: str
    values: np.ndarray
    size: bool = False


def time_of(solution: Solution) -> int | None:
    """Return the coordinate that is a time: the one with initial values, or one called t."""
    names = list(solution.domain.names)
    if solution.problem is not None and len(solution.problem.times) == 1:
        return names.index(solution.problem.times[0])
    return names.index("t") if solution.problem is None and "t" in names else None


class Views:
    """Draws one output of a solution, again and again with the same scales.

    Parameters
    ----------
    solution : Solution
    output : int
        Its column in :meth:`Solution.outputs`.
    """

    def __init__(self, solution: Solution, output: int) -> None:
        self.solution, self.output = solution, output
        self.names, outputs = names_of(solution)
        self.name = short(outputs[output], 24)
        self.time = time_of(solution)
        self._error = error_field(solution)

    @property
    def titles(self) -> list[str]:
        """What is known, and drawn."""
        known = [RESIDUAL] if self.solution.problem is not None else []
        return [self.name, *known, *([ERROR] if self._error is not None else [])]

    def fields(self, x: np.ndarray) -> list[Field]:
        """Return values, residual and estimated error at points, as far as they are known."""
        here = np.where(self.solution.outside(x), np.nan, 1.0)
        found = [Field(self.name, self.solution.outputs(x)[:, self.output] * here)]
        missed = residual_sizes(self.solution, x)
        if missed is not None:
            found.append(Field(RESIDUAL, missed * here, size=True))
        if self._error is not None:
            error = self._error(x)[:, self.output]
            found.append(Field(ERROR, error * here, size=True))
        return found

    def over(self, axes: tuple[int, ...], at: float | None = None) -> tuple[list[Any], np.ndarray]:
        """Return the grids of one or two coordinates, and points there.

        Other coordinates stay in the middle of their range; the time is ``at``, if that is given.
        """
        box = self.solution.box
        n = CURVE if len(axes) == 1 else SIDE
        grids = [np.linspace(box[axis, 0], box[axis, 1], n) for axis in axes]
        plane = grids[0][:, None] if len(axes) == 1 else tensor_grid(*grids[::-1])[:, ::-1]
        x = np.tile(box.mean(axis=1), (len(plane), 1))
        x[:, list(axes)] = plane
        if at is not None and self.time is not None:
            x[:, self.time] = at
        return grids, x

    @property
    def places(self) -> tuple[int, ...]:
        """The coordinates of a frame: the first one or two that are no time."""
        others = [axis for axis in range(self.solution.n_inputs) if axis != self.time]
        return tuple(others[:2])

    @styled
    def picture(self) -> Figure:
        """Draw the fields over all of the domain: curves, or maps of the first coordinates."""
        axes = tuple(range(self.solution.n_inputs))[:2]
        return self._drawn(axes, self.fields(self.over(axes)[1]))

    def film(self) -> Iterator[tuple[str, Figure]]:
        """Yield what each moment is called, and the fields there, on the scales of all moments."""
        assert self.time is not None
        first, last = self.solution.box[self.time]
        times, axes = np.linspace(first, last, FRAMES), self.places
        every = self.fields(np.concatenate([self.over(axes, at)[1] for at in times]))
        scales = [_scale(field.values, field.size) for field in every]
        for k, at in enumerate(times):
            fields = [
                dataclasses.replace(field, values=np.split(field.values, FRAMES)[k])
                for field in every
            ]
            yield f"{self.names[self.time]} = {at:.4g}", self._frame(axes, fields, scales)

    @styled
    def _frame(self, axes: tuple[int, ...], fields: list[Field], scales: list[Any]) -> Figure:
        return self._drawn(axes, fields, scales)

    def _drawn(
        self, axes: tuple[int, ...], fields: list[Field], whole: list[Any] | None = None
    ) -> Figure:
        scales = whole or [_scale(field.values, field.size) for field in fields]
        grids, _ = self.over(axes)
        high = HIGH
        if len(axes) == 2 and self.time not in axes:  # a panel as high as its map
            sides = [grid[-1] - grid[0] for grid in grids]
            high = float(np.clip(0.9 + 0.6 * WIDE * sides[1] / sides[0], 1.6, 2 * HIGH))
        figure = Figure(figsize=(WIDE * len(fields) + 0.3, high), layout="constrained")
        panels = figure.subplots(1, len(fields), squeeze=False)[0]
        colours = [BLUE, ORANGE, RED]
        for ax, field, scale, colour in zip(panels, fields, scales, colours, strict=False):
            ax.set_title(field.title)
            ax.set_xlabel(short(self.names[axes[0]], 24))
            if len(axes) == 1:
                _curve(ax, grids[0], field, scale, colour)
            else:
                self._map(ax, grids, field, scale, axes)
        return figure

    def _map(
        self, ax: Axes, grids: list[Any], field: Field, scale: Any, axes: tuple[int, ...]
    ) -> None:
        values = field.values.reshape(len(grids[1]), len(grids[0]))
        if field.size:
            values = np.maximum(values, scale.vmin)
        ends = (*grids[0][[0, -1]], *grids[1][[0, -1]])
        lengths = self.time not in axes  # a metre is as long in both
        shown = ax.imshow(
            values, extent=ends, origin="lower", cmap=COLOURMAP, norm=scale,
            aspect="equal" if lengths else "auto",
        )  # fmt: skip
        bar = ax.figure.colorbar(shown, ax=ax)
        if field.size:  # labels of all minor ticks would lie on each other
            few = scale.vmax < FEW_DECADES * scale.vmin
            bar.ax.yaxis.set_major_locator(LogLocator(subs=(1.0, 3.0) if few else (1.0,)))
            bar.ax.yaxis.set_minor_formatter(NullFormatter())
        else:
            bar.locator = MaxNLocator(5)
            bar.update_ticks()
        ax.grid(False)
        ax.set_ylabel(short(self.names[axes[1]], 24))


def _curve(ax: Axes, x: np.ndarray, field: Field, scale: Any, colour: str) -> None:
    if field.size:
        ax.semilogy(x, drawable(np.maximum(field.values, scale.vmin)), color=colour)
        ax.set_ylim(scale.vmin, 2 * scale.vmax)
        return
    ax.axhline(0.0, color=FAINT, linewidth=0.8)
    ax.plot(x, field.values, color=colour)
    margin = 0.05 * (scale.vmax - scale.vmin)
    ax.set_ylim(scale.vmin - margin, scale.vmax + margin)


def _scale(values: np.ndarray, size: bool) -> Any:
    """Return the range of values, logarithmic for sizes."""
    known = values[np.isfinite(values)]
    low, high = (float(known.min()), float(known.max())) if len(known) else (0.0, 1.0)
    if size:
        top = max(high, 1e-300)
        return LogNorm(max(DECADES * top, low, 1e-300) if low < top else top / 10, top)
    return Normalize(low, high if high > low else low + 1.0)

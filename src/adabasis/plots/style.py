"""The look of all figures, and what several of them need."""

from __future__ import annotations

import functools
import re
from collections.abc import Callable
from typing import Any, ParamSpec

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import Formatter, LogFormatterMathtext

from ..models.columns import Column, columns_of, names_of
from ..models.fitted import Fitted

__all__ = ["Column", "columns_of", "names_of"]
INK, FAINT = "#1b1b1a", "#d8d8d5"
BLUE, ORANGE, GREEN, RED, PURPLE = "#0072b2", "#e69f00", "#009e73", "#d55e00", "#cc79a7"
"""Colours of Okabe and Ito, told apart with every kind of colour vision."""
COLOURMAP = "viridis"
WIDTH, HEIGHT = 4.2, 2.8
SMALLEST = 2.0**-332
"""Errors of zero are drawn here, at about 1e-100, on logarithmic scales."""
MOST_POINTS = 2000
"""Points drawn in a scatter plot: a random subset where there are more."""
STYLE: dict[Any, Any] = {
    "axes.edgecolor": INK, "axes.labelcolor": INK, "axes.titlecolor": INK, "text.color": INK,
    "xtick.color": INK, "ytick.color": INK, "grid.color": FAINT, "grid.linewidth": 0.6,
    "axes.grid": True, "axes.axisbelow": True, "axes.spines.top": False,
    "axes.spines.right": False, "axes.titlesize": 10, "axes.titlelocation": "left",
    "axes.labelsize": 10, "xtick.labelsize": 9, "ytick.labelsize": 9, "legend.fontsize": 9,
    "legend.frameon": False, "lines.linewidth": 1.5, "savefig.dpi": 160,
    "svg.fonttype": "none", "svg.hashsalt": "adabasis", "axes.formatter.useoffset": False,
}  # fmt: skip
_SUPERSCRIPTS = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")
P = ParamSpec("P")


class Powers(Formatter):
    """Labels of a logarithmic axis as plain text: 10⁻³, 1, 2×10⁴.

    To typeset them as formulas takes longer than to draw the rest of a figure.

    Parameters
    ----------
    inner : LogFormatterMathtext
        Which ticks have labels, and with which numbers.
    """

    def __init__(self, inner: LogFormatterMathtext) -> None:
        self.inner = inner

    def __call__(self, x: float, pos: int | None = None) -> str:
        """Return the label of a tick."""
        return as_text(self.inner(x, pos))

    def set_axis(self, axis: Any) -> None:
        """Tell the inner formatter, too."""
        super().set_axis(axis)
        self.inner.set_axis(axis)

    def set_locs(self, locs: Any) -> None:
        """Tell the inner formatter, too."""
        super().set_locs(locs)
        self.inner.set_locs(locs)


def as_text(label: str) -> str:
    r"""Return a label of a logarithmic axis without TeX.

    Examples
    --------
    >>> from adabasis.plots.style import as_text
    >>> as_text(r"$\mathdefault{2\times10^{-3}}$")
    '2×10⁻³'
    """
    found = re.fullmatch(r"\$\\mathdefault\{(.*)\}\$", label)
    if found is None:
        return label
    text = found[1].replace(r"\times", "×").replace("×10^{0}", "").replace("10^{0}", "1")
    return re.sub(r"\^\{(-?\d+)\}", lambda power: power[1].translate(_SUPERSCRIPTS), text)


def plainly_labelled(figure: Figure) -> Figure:
    """Label the logarithmic axes of a figure by :class:`Powers`."""
    for ax in figure.axes:
        for axis in (ax.xaxis, ax.yaxis):
            for get, put in (
                (axis.get_major_formatter, axis.set_major_formatter),
                (axis.get_minor_formatter, axis.set_minor_formatter),
            ):
                formatter = get()
                if isinstance(formatter, LogFormatterMathtext):
                    put(Powers(formatter))
    return figure


def styled(draw: Callable[P, Figure]) -> Callable[P, Figure]:
    """Draw with the package's style, whatever the user's is; of an estimator, what it fitted."""

    @functools.wraps(draw)
    def styled(*args: P.args, **kwargs: P.kwargs) -> Figure:
        with matplotlib.rc_context():
            matplotlib.rcdefaults()
            matplotlib.rcParams.update(STYLE)
            model, *others = args or (None,)
            if args and hasattr(model, "fitted_"):
                args = (model.fitted_, *others)  # type: ignore[assignment]
            return plainly_labelled(draw(*args, **kwargs))

    return styled


def new_axes(width: float = WIDTH, height: float = HEIGHT) -> Axes:
    """Return the one axes of a new figure."""
    return Figure(figsize=(width, height), layout="constrained").add_subplot()


def figure_of(ax: Axes) -> Figure:
    """Return the figure that an axes belongs to."""
    figure = ax.get_figure(root=True)
    assert isinstance(figure, Figure)
    return figure


def some_of(n: int, most: int = MOST_POINTS) -> np.ndarray:
    """Return indices of at most so many of n points, chosen at random."""
    if n <= most:
        return np.arange(n)
    return np.sort(np.random.default_rng(0).choice(n, most, replace=False))


def many(points: np.ndarray) -> bool:
    """Say whether these are so many points that a picture of them is smaller than the points."""
    return len(points) > 500


def drawable(values: Any) -> np.ndarray:
    """Return values that a logarithmic scale can show: zeros lifted to :data:`SMALLEST`."""
    return np.maximum(np.asarray(values, dtype=float), SMALLEST)


def one_output(values: np.ndarray, n: int, output: int) -> np.ndarray:
    """Return one column of outputs that may be flat."""
    return np.asarray(values).reshape(n, -1)[:, output]


def value(model: Fitted, x: np.ndarray, output: int) -> np.ndarray:
    """Evaluate one output of a model."""
    return model.outputs(x)[:, output]


def short(name: str, most: int = 36) -> str:
    """Return a name as a label: on one line, cut short, its dollar signs no mathematics."""
    name = " ".join(name.split())
    name = name if len(name) <= most else name[: most - 1] + "…"
    return name.replace("$", r"\$")

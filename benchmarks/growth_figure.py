"""Draw error against CPU seconds: ``python -m benchmarks.growth_figure [RESULTS.json] [OUT.svg]``.

It reads what ``make bench ARGS="growth-curves"`` has stored. The line is the lower left hull.
"""

from __future__ import annotations

import argparse
import json
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

from matplotlib.figure import Figure

from adabasis.plots.style import BLUE, GREEN, INK, ORANGE, PURPLE, RED, styled

from .cases.growth import BOOSTING, CAT, LIGHT, MLP, OURS
from .cases.growth_curves import curves, on_the_hull
from .records import Measurement, Row, summarise
from .store import RESULTS

PICTURE = pathlib.Path(__file__).parents[1] / "docs" / "_static" / "figures" / "growth-curves.svg"
COLOURS = {OURS: BLUE, MLP: ORANGE, BOOSTING: GREEN, CAT: RED, LIGHT: PURPLE}
MARKERS = {OURS: "o", MLP: "s", BOOSTING: "^", CAT: "D", LIGHT: "v"}


def rows_of(stored: Mapping[str, Any]) -> list[Row]:
    """Return the medians of stored measurements."""
    case = next(case for case in stored["cases"] if case["case"] == "growth-curves")
    fields: list[dict[str, Any]] = [
        {k: float("nan") if v is None and k != "steps" else v for k, v in m.items()}
        for m in case["measurements"]
    ]
    return summarise([Measurement(**m) for m in fields], case["reference"])


@styled
def picture(rows: Sequence[Row]) -> Figure:
    """Return one panel for each table."""
    groups = list(dict.fromkeys(row.group for row in rows))
    figure = Figure(figsize=(3.2 * len(groups), 3.2), layout="constrained")
    for axes, group in zip(figure.subplots(1, len(groups), squeeze=False)[0], groups, strict=True):
        found = curves(rows, group)
        hull = on_the_hull([p for points in found.values() for p in points])
        axes.plot(*zip(*hull, strict=True), color=INK, linewidth=0.8, zorder=1)
        for name, points in found.items():
            style = {"color": COLOURS.get(name, INK), "marker": MARKERS.get(name, "x")}
            axes.plot(*zip(*sorted(points), strict=True), **style, linestyle="", label=name)
        axes.set(xscale="log", yscale="log", title=group, xlabel="CPU seconds")
    figure.axes[0].set_ylabel("test RMSE / std of y")
    handles, labels = figure.axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=len(labels))
    return figure


def main(arguments: Sequence[str] | None = None) -> int:
    """Draw the stored results."""
    parser = argparse.ArgumentParser("python -m benchmarks.growth_figure", description=__doc__)
    parser.add_argument(
        "results", nargs="?", type=pathlib.Path, default=RESULTS / "growth-curves.json"
    )
    parser.add_argument("out", nargs="?", type=pathlib.Path, default=PICTURE)
    options = parser.parse_args(arguments)
    if not options.results.is_file():
        parser.error(f'{options.results}: no such file; make bench ARGS="growth-curves" writes it')
    rows = rows_of(json.loads(options.results.read_text("utf-8")))
    options.out.parent.mkdir(parents=True, exist_ok=True)
    picture(rows).savefig(options.out, metadata={"Date": None})
    return 0


if __name__ == "__main__":
    raise SystemExit(main())

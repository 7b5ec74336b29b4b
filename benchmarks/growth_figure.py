"""Draw error against CPU seconds: ``python -m benchmarks.growth_figure [RESULTS.json] [OUT.svg]``.

It reads what ``make bench ARGS="growth-curves"`` has stored, unless ``RESULTS`` is another file.
``python -m benchmarks.growth_figure front`` draws the figure of the README from what ``make bench
ARGS="front"`` has stored, and writes its numbers beside it. The line is the lower left hull.
"""

from __future__ import annotations

import argparse
import json
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

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
    case = stored["cases"][0]
    fields: list[dict[str, Any]] = [
        {k: float("nan") if v is None and k != "steps" else v for k, v in m.items()}
        for m in case["measurements"]
    ]
    return summarise([Measurement(**m) for m in fields], case["reference"])


def table(rows: Sequence[Row], stored: Mapping[str, Any]) -> str:
    """Return the points of the figure as text, and where they come from."""
    machine = stored.get("machine", {})
    lines = [f"{'':34}{'error':>9}{'CPU s':>8}"]
    for group in dict.fromkeys(row.group for row in rows):
        lines += ["", group]
        for row in rows:
            if row.group == group:
                lines.append(f"  {row.method:32}{row.median_error:9.2g}{row.cpu_seconds:8.1f}")
    runs = max(row.runs for row in rows)
    lines += ["", f"error: {stored['cases'][0].get('error', 'relative')}"]
    lines += ["CPU s: of the whole process, imports and compilation included, on one core"]
    lines += ["behind a name: effort, most epochs of training, number of trees"]
    lines += [f"median of {runs}" if runs > 1 else "one random split of each table"]
    lines += [f"measured by make bench ARGS={stored['cases'][0]['case']}"]
    if {"architecture", "python"} <= set(machine):
        lines[-1] += f" on {machine['architecture']}, Python {machine['python']}"
    return "\n".join(lines) + "\n"


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
        for axis in (axes.xaxis, axes.yaxis):
            axis.set_major_locator(LogLocator(subs=(1, 2, 5)))
            axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
            axis.set_minor_locator(NullLocator())
    figure.axes[0].set_ylabel("test RMSE / std of y")
    handles, labels = figure.axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=len(labels))
    return figure


def main(arguments: Sequence[str] | None = None) -> int:
    """Draw the stored results."""
    parser = argparse.ArgumentParser("python -m benchmarks.growth_figure", description=__doc__)
    parser.add_argument(
        "results", nargs="?", type=pathlib.Path, default=pathlib.Path("growth-curves")
    )
    parser.add_argument("out", nargs="?", type=pathlib.Path)
    options = parser.parse_args(arguments)
    results, out = options.results, options.out
    if not results.suffix:  # the name of a case
        results, out = RESULTS / f"{results}.json", out or PICTURE.with_stem(str(results))
    out = out or PICTURE
    if not results.is_file():
        parser.error(f'{results}: no such file; make bench ARGS="{results.stem}" writes it')
    stored = json.loads(results.read_text("utf-8"))
    rows = rows_of(stored)
    out.parent.mkdir(parents=True, exist_ok=True)
    picture(rows).savefig(out, metadata={"Date": None})
    out.with_suffix(".txt").write_text(table(rows, stored), "utf-8")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())

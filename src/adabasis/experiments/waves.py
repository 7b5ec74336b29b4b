"""Triangle and quadratic waves in pieces: POUnets by two-phase LSGD, beside residual networks."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ..basis import NeuralBasis
from ..plots.style import BLUE, GREEN, INK, ORANGE, RED, styled
from .curves import PUBLISHED_MARK, shared_legend
from .kept import kept
from .phases import (
    FEW,
    MANY,
    Target,
    Trained,
    fitted,
    in_phases,
    interpolation,
    lsgd,
    parts_used,
    points,
    pounet,
    steps_of,
)
from .pounets import matrix
from .registry import Experiment, Record, register

ZOOM = (0.5, 0.625)
PUBLISHED = {
    "POUnet": {2: 2.1e-3, 4: 3.4e-3, 8: 4.0e-3, 16: 3.2e-3, 32: 2.4e-3},
    "ResNet": {2: 2.2e-2, 4: 3e-2, 8: 4e-2, 16: 0.25, 32: 0.6},
}
"""Relative l2 errors on quadratic waves, read off a figure (Trask et al., MSML 2022, figure 4)."""
LOCAL_ENOUGH, LEAST_SHARE = 0.9, 0.25
"""Mean of max φ, and share of the smallest part in an even one, of partitions worth the name."""
TWO_PHASES, ONE_PHASE, RESNET = "POUnet, two phases", "POUnet, one phase", "ResNet"
LOCAL = "POUnet, two phases, kept local"
SPLINE = "cubic spline through the points"
STYLES = {
    TWO_PHASES: (ORANGE, "o-"),
    LOCAL: (RED, "D-."),
    ONE_PHASE: (BLUE, "s--"),
    RESNET: (GREEN, "^:"),
}


@dataclasses.dataclass(frozen=True)
class Config:
    """Numbers of pieces n, waves, steps of both phases, seeds; width 4n, depth 8 as published.

    ``steps`` are those of :data:`FEW` pieces or more, see :func:`steps_of`. The two phases have
    ``seeds`` seeds, kept local ``local_seeds`` and no more than :data:`FEW` pieces, since that
    takes the most steps; the rows beside have ``few``, and one at :data:`MANY` pieces, where a run
    takes minutes.
    """

    pieces: tuple[int, ...]
    targets: tuple[Target, ...]
    pre_steps: int = 1000
    steps: int = 4000
    seeds: int = 5
    local_seeds: int = 5
    few: int = 2
    depth: int = 8

    def rows(self, pieces: int) -> Iterator[tuple[str, int]]:
        """Yield methods and their seeds."""
        yield TWO_PHASES, self.seeds
        if pieces <= FEW:
            yield LOCAL, self.local_seeds
        beside = self.few if pieces < MANY else 1
        yield ONE_PHASE, beside
        yield RESNET, beside

    def alone(self, target: Target, pieces: int) -> Config:
        """Return the same for one wave in so many pieces: what a part of the whole is kept by."""
        return dataclasses.replace(
            self, pieces=(pieces,), targets=(target,), seeds=1, local_seeds=1, few=1
        )


def run(config: Config) -> Record:
    """Train every method on every wave, number of pieces and seed."""
    table, shown, most = [], {}, max(config.pieces)
    for target in config.targets:
        zoom = {"x": _zoomed()[:, 0].tolist(), "wave": target(_zoomed(), most)[:, 0].tolist()}
        for pieces in config.pieces:
            for method, seeds in config.rows(pieces):
                row, values = _row(config.alone(target, pieces), method, seeds)
                table.append(row)
                if pieces == most:
                    zoom[method] = values
        shown[target.name] = zoom
    return {"table": table, "zoom": shown, "most": most, "verdict": list(_lines(table))}


def _zoomed() -> np.ndarray:
    return np.linspace(*ZOOM, 400)[:, None]


def _row(config: Config, method: str, seeds: int) -> tuple[Record, Sequence[float]]:
    """Return the errors and shapes of all seeds, and the values in the zoom of the first."""
    runs = [kept(trained_once, config, method, seed) for seed in range(seeds)]
    errors = [found["error"] for found in runs]
    row = {
        "target": config.targets[0].name,
        "pieces": config.pieces[0],
        "method": method,
        "errors": errors,
        "median": float(np.median(errors)),
        "worst": max(errors),
        "spline": interpolation(config.targets[0], config.pieces[0]),
    }
    shapes = {
        key: [found[key] for found in runs] for key in runs[0] if key not in ("error", "zoom")
    }
    return row | shapes, runs[0]["zoom"]


def trained_once(config: Config, method: str, seed: int) -> Record:
    """Train one method from one seed on a configuration's only wave.

    Returns its errors at unseen points and at those trained on, its values in the zoom, its rank
    (the functions that are independent, of all) and, of POUnets, the parts that own a point in the
    end, and what phase 1 left if there was one.
    """
    (target,), (pieces,) = config.targets, config.pieces
    trained, partitions = _trained(config, target, pieces, method, seed)
    return {
        "error": trained.error(target, pieces),
        "at_points": trained.error(target, pieces, points(pieces)),
        "zoom": trained(_zoomed()).tolist(),
        "rank": trained.rank,
        "functions": len(trained.run.coefficients),
        **partitions,
    }


def _trained(
    config: Config, target: Target, pieces: int, method: str, seed: int
) -> tuple[Trained, Record]:
    """Return the fit, and what its partition is like."""
    if method in (TWO_PHASES, LOCAL):
        phases = in_phases(config, target, pieces, seed, local=method == LOCAL)
        first = {"localisation": phases.localisation[0], "least_share": phases.least_share[0]}
        return phases.trained, first | {"parts": parts_used(phases.phi[1])}
    x, total = points(pieces), config.pre_steps + steps_of(config, target, pieces)
    if method == RESNET:
        network = NeuralBasis(4 * pieces, config.depth, activation="relu", residual=True)
        return fitted(network, lsgd(pieces, total), x, target(x, pieces), seed, total), {}
    basis = pounet(pieces, target.power, config.depth)
    trained = fitted(basis, lsgd(pieces, total), x, target(x, pieces), seed, total)
    phi = matrix(basis.unity, trained.run.parameters.partition, x)
    return trained, {"parts": parts_used(phi)}


def _lines(table: Sequence[Record]) -> Iterator[str]:
    for row in table:
        unseen, known = row["median"], float(np.median(row["at_points"]))
        line = (
            f"{row['target']}, {row['pieces']} pieces, {row['method']}: median {unseen:.1e} (at "
            f"points trained on {known:.1e}), worst {row['worst']:.1e} of {len(row['errors'])}"
        )
        claim = _claim(row)
        if claim:
            there, here = ("at or below" if e <= claim else "above" for e in (unseen, known))
            whose = "published" if _published(row) else "published of quadratic waves"
            line += f"; {whose} {claim:.1e}: {there} it" + (
                "" if here == there else f", {here} it at the points"
            )
        yield line + _size(row) + _shape(row)
        if row["method"] == TWO_PHASES:
            yield f"{row['target']}, {row['pieces']} pieces, {SPLINE}: {row['spline']:.1e}"
    for method in (ONE_PHASE, LOCAL):
        for target in dict.fromkeys(row["target"] for row in table):
            yield _which_wins(method, target, table)


def _size(row: Record) -> str:
    used = f"rank {min(row['rank'])} to {max(row['rank'])} of {row['functions'][0]}"
    if "parts" in row:
        used = f"{min(row['parts'])} to {max(row['parts'])} parts own points, {used}"
    return f"; {used}"


def _which_wins(method: str, target: str, table: Sequence[Record]) -> str:
    """Say at which numbers of pieces a method has a lower median than the two phases."""
    medians = {
        (row["method"], row["pieces"]): row["median"] for row in table if row["target"] == target
    }
    both = [n for found, n in medians if found == method]
    lower = [str(n) for n in both if medians[method, n] < medians[TWO_PHASES, n]]
    where = "nowhere" if not lower else f"at {', '.join(lower)}"
    return f"{target}: {method} has a lower median error than {TWO_PHASES} {where} of {both} pieces"


def _shape(row: Record) -> str:
    """Say how many seeds have parts that are local and in use after phase 1."""
    if "localisation" not in row:
        return ""
    local, share = np.array(row["localisation"]), np.array(row["least_share"])
    good = np.sum((local >= LOCAL_ENOUGH) & (share >= LEAST_SHARE))
    return (
        f"; after phase 1 mean of max φ {np.median(local):.2f} (least {local.min():.2f}), smallest "
        f"part {np.median(share):.2f} (least {share.min():.2f}) of an even share: {good} of "
        f"{len(local)} seeds local and in use"
    )


def _published(row: Record) -> bool:
    return row["target"].startswith("quadratic")


def _claim(row: Record) -> float | None:
    return PUBLISHED[row["method"].split(",")[0]].get(row["pieces"])


@styled
def plot(record: Record) -> Figure:
    """Draw errors against pieces, and the approximants of the first seed in the zoom."""
    names = list(record["zoom"])
    figure = Figure(figsize=(7.6, 2.6 * len(names)), layout="constrained")
    for (left, right), name in zip(
        np.atleast_2d(figure.subplots(len(names), 2)), names, strict=True
    ):
        _errors(left, [row for row in record["table"] if row["target"] == name])
        _approximants(right, record["zoom"][name])
        left.set_title(name)
        right.set_title(f"{record['most']} pieces")
    shared_legend(figure, columns=3)
    return figure


def _errors(ax: Axes, table: Sequence[Record]) -> None:
    for method, (colour, dash) in STYLES.items():
        found = [row for row in table if row["method"] == method]
        pieces, medians = [r["pieces"] for r in found], [r["median"] for r in found]
        ax.plot(pieces, medians, dash, color=colour, label=method)
        for row in found:
            x = [row["pieces"]] * len(row["errors"])
            ax.plot(x, row["errors"], ".", color=colour, alpha=0.4, markersize=4)
        claims = [(r["pieces"], c) for r in found if _published(r) and (c := _claim(r))]
        if claims and method in (TWO_PHASES, RESNET):
            ax.plot(*zip(*claims, strict=True), **PUBLISHED_MARK | {"markeredgecolor": colour})
    ax.set(xscale="log", yscale="log", xlabel="pieces n", ylabel="relative error")
    splines = {row["pieces"]: row["spline"] for row in table}
    ax.plot(list(splines), list(splines.values()), color=INK, linewidth=1, label=SPLINE)
    pieces = sorted(splines)
    ax.set_xticks(pieces, [str(n) for n in pieces])
    ax.minorticks_off()
    if _published(table[0]):
        ax.plot([], [], **PUBLISHED_MARK | {"clip_on": True}, label="published")


def _approximants(ax: Axes, shown: Record) -> None:
    ax.plot(shown["x"], shown["wave"], color=INK, linewidth=3.0, alpha=0.35)
    for method, (colour, dash) in STYLES.items():
        if method in shown:
            ax.plot(shown["x"], shown[method], dash.strip("osD^"), color=colour, linewidth=1.2)
    ax.set(xlabel="x", ylabel="y", xlim=ZOOM)


# Which of the two counts the published "pieces" are is not certain: both.
QUADRATIC, TRIANGLE = (Target(2, 1.0), Target(2, 0.5)), (Target(1, 0.5), Target(1, 1.0))
register(
    Experiment(
        "waves",
        "Triangle and quadratic waves in 2 to 32 pieces: POUnets beside residual networks",
        Config((2, 4, 8), QUADRATIC + TRIANGLE, local_seeds=2, few=1),
        Config((2, 4, 8, 16, 32), QUADRATIC + TRIANGLE),
        run,
        plot,
    )
)

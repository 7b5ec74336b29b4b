r"""The error estimate of POUnets (slides eq. 20), corrected, against measurement.

As printed, the estimate bounds the squared root mean square by C max_α diam(supp φ_α)^{m+1}. Taylor
polynomials give the root mean square itself; and Gaussians and every softmax have all of Ω for
support, so that what is printed says the same for all N_part. With the effective support {φ_α > τ},
and a Taylor polynomial about one point of it for each partition,

    RMS ≤ C (diam_τ^{m+1} + N_part τ diam(Ω)^{m+1}),   C = ‖y‖_{C^{m+1}} d^{(m+1)/2} / (m+1)!

for every τ ≥ 0: at each point Σ_α φ_α ≤ 1 over the partitions above τ, and at most N_part τ over
the others. Diameters are taken among the data, where the error is measured, and τ is the best of a
grid. It remains an upper bound: Gaussians that LSGN has trained overlap widely, so that no τ makes
their effective supports small, and their error is many decades below.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from .._runtime.notation import Parameters
from ..basis import PartitionBasis
from ..plots.style import styled
from ..train import LSGN
from . import pounets, sine
from .curves import shades, shared_legend
from .registry import Experiment, Record, register

DATA = (sine.POINTS, sine.VALUES)
THRESHOLDS = np.concatenate([[0.0], np.geomspace(1e-16, 0.5, 160)])
KINDS = {"grid": "fixed grid", "drawn": "Gaussians as drawn", "trained": "Gaussians, LSGN"}


@dataclasses.dataclass(frozen=True)
class Config:
    """Partitions and degrees; draws and steps of the trained ones."""

    partitions: tuple[int, ...]
    degrees: tuple[int, ...]
    draws: int
    steps: int = 60


def taylor_constant(degree: int) -> float:
    """Return C for sin 2πx on [0, 1]: its derivative of order m + 1 is at most (2π)^{m+1}."""
    return (2 * math.pi) ** (degree + 1) / math.factorial(degree + 1)


def estimate(phi: np.ndarray, x: np.ndarray, degree: int) -> dict[str, float]:
    """Return the least corrected estimate over τ for partitions φ (N, N_part) at points x (N,)."""
    bounds = np.array([_bound(phi, x, degree, tau) for tau in THRESHOLDS])
    best = int(np.argmin(bounds))
    return {"estimate": taylor_constant(degree) * bounds[best], "tau": float(THRESHOLDS[best])}


def _bound(phi: np.ndarray, x: np.ndarray, degree: int, tau: float) -> float:
    inside = phi > tau
    reach = np.where(inside, x[:, None], -np.inf).max(axis=0)
    reach = reach - np.where(inside, x[:, None], np.inf).min(axis=0)
    widest = max(reach.max(), 0.0)  # of a partition that is nowhere above τ it is −∞
    return float(widest ** (degree + 1) + phi.shape[1] * tau * np.ptp(x) ** (degree + 1))


def run(config: Config) -> Record:
    """Measure and estimate for every kind of partition, number and degree."""
    cells = [
        {"kind": kind, "partitions": n, "degree": degree, **_cell(config, kind, n, degree)}
        for kind in KINDS
        for degree in config.degrees
        for n in config.partitions
    ]
    return {"cells": cells, "verdict": [*_lines(config, cells)]}


def _cell(config: Config, kind: str, n: int, degree: int) -> Record:
    if kind == "grid":
        basis = PartitionBasis(n, degree, partition="grid")
    else:
        basis = pounets.gaussians(n, degree, width=None)
    starts = [pounets.drawn(basis, s, sine.BOX, DATA[0]) for s in range(config.draws)]
    chosen = starts[0]
    if kind == "trained" and n > 1:
        chosen = pounets.trained(basis, LSGN(), config.steps, starts, DATA)[0].parameters
    return _measured(basis, chosen)


def _measured(basis: PartitionBasis, parameters: Parameters) -> Record:
    c = pounets.solved(basis, parameters, DATA)
    phi = pounets.matrix(basis.unity, parameters.partition, DATA[0])
    found = estimate(phi, DATA[0][:, 0], basis.degree)
    return {"rms": pounets.rms(basis, parameters, c, DATA), **found}


def _series(cells: list[Record], kind: str, degree: int, what: str) -> np.ndarray:
    return np.array([c[what] for c in cells if (c["kind"], c["degree"]) == (kind, degree)])


def _lines(config: Config, cells: list[Record]) -> Iterator[str]:
    """Yield whether the estimate holds, and how far above it is."""
    above = sum(cell["estimate"] >= cell["rms"] for cell in cells)
    yield f"The corrected estimate lies above the measured RMS in {above} of {len(cells)} cases"
    for kind, name in KINDS.items():
        for degree in config.degrees:
            rms, bound = (_series(cells, kind, degree, what) for what in ("rms", "estimate"))
            yield (
                f"{name}, m = {degree}: RMS {rms[0]:.1e} to {rms[-1]:.1e}, "
                f"estimate {bound[0]:.1e} to {bound[-1]:.1e} at N_part = {config.partitions[0]} "
                f"to {config.partitions[-1]}; orders {_order(config, rms)} and "
                f"{_order(config, bound)}; {np.log10(bound[-1] / rms[-1]):.1f} decades apart"
            )
    printed = ", ".join(
        f"{math.sqrt((2 * math.pi) ** (degree + 1)):.2g}" for degree in config.degrees
    )
    yield (
        f"Eq. (20) as printed is vacuous for Gaussians and softmax: all supports are Ω, so it "
        f"says RMS ≤ {printed} for m = {', '.join(map(str, config.degrees))}, whatever N_part"
    )


def _order(config: Config, errors: np.ndarray) -> str:
    n, last = np.log(config.partitions), slice(-3, None)
    return f"{-np.polyfit(n[last], np.log(np.maximum(errors[last], 1e-300)), 1)[0]:.2f}"


@styled
def plot(record: Record) -> Figure:
    """Draw measurement and estimate against N_part, a panel for each kind of partition."""
    figure = Figure(figsize=(10.0, 3.8), layout="constrained")
    axes = figure.subplots(1, len(KINDS), sharey=True)
    for ax, kind in zip(axes, KINDS, strict=True):
        _draw(ax, record, kind)
    axes[0].set_ylabel("root mean square error")
    shared_legend(figure, columns=len(record["config"]["degrees"]))
    return figure


def _draw(ax: Axes, record: Record, kind: str) -> None:
    config = record["config"]
    colours = shades(len(config["degrees"]))
    for degree, colour in zip(config["degrees"], colours, strict=True):
        for what, mark, label in (("rms", "o-", "measured"), ("estimate", "s--", "estimate")):
            ax.plot(config["partitions"], _series(record["cells"], kind, degree, what), mark,
                    color=colour, markersize=4, label=f"m = {degree}, {label}",
                    markerfacecolor=colour if what == "rms" else "white")  # fmt: skip
    ax.set_xscale("log", base=2)
    ax.set_yscale("log")
    ax.set_xticks(config["partitions"], [str(n) for n in config["partitions"]])
    ax.set(xlabel="partitions $N_{\\mathrm{part}}$", title=KINDS[kind])


register(
    Experiment(
        "error-estimate",
        "The error estimate of POUnets, corrected, against measurement",
        Config((1, 2, 4, 8, 16), (1, 3), 1),
        Config((1, 2, 4, 8, 16, 32), (0, 1, 2, 3, 4), 4),
        run,
        plot,
    )
)

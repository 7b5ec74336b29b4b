"""Two-phase training watched: the partitions after each phase, and what they add up to."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ..plots.style import INK, ORANGE, styled
from .curves import shades
from .phases import Target, in_phases, points
from .registry import Experiment, Record, register

DRAWN = 4
"""Every so many points are drawn."""


@dataclasses.dataclass(frozen=True)
class Config:
    """Waves with their pieces, ways to train, steps of both phases, the seed.

    Kept local, phase 1 keeps all parts in use and makes them local
    (:class:`adabasis.train.Locality`); without it the algorithm is the published one.
    """

    waves: tuple[tuple[Target, int], ...]
    local: tuple[bool, ...] = (False, True)
    pre_steps: int = 1000
    steps: int = 2000
    seed: int = 0
    depth: int = 8


def run(config: Config) -> Record:
    """Train a POUnet on every wave, and keep its partitions after each phase."""
    waves = [
        _watched(config, target, pieces, local)
        for target, pieces in config.waves
        for local in config.local
    ]
    x = _drawn(config.waves[0][1])[:, 0].tolist()
    return {"x": x, "waves": waves, "verdict": list(_lines(waves))}


def _drawn(pieces: int) -> np.ndarray:
    return points(pieces)[::DRAWN]


def _watched(config: Config, target: Target, pieces: int, local: bool) -> Record:
    found = in_phases(config, target, pieces, config.seed, local=local)
    how = "kept local" if local else "as published"
    return {
        "what": f"{target.name.split(',')[0]}, {pieces} pieces, {how}",
        "phases": [phi[::DRAWN].T.tolist() for phi in found.phi],
        "least_share": found.least_share,
        "localisation": found.localisation,
        "wave": target(_drawn(pieces), pieces)[:, 0].tolist(),
        "approximant": found.trained(_drawn(pieces)).tolist(),
        "error": found.trained.error(target, pieces),
    }


def _lines(waves: Sequence[Record]) -> Iterator[str]:
    for wave in waves:
        for phase in range(2):
            yield (
                f"{wave['what']}, after phase {phase + 1}: mean of max φ "
                f"{wave['localisation'][phase]:.2f}, smallest partition "
                f"{wave['least_share'][phase]:.2f} of an even share"
            )
        yield f"{wave['what']}: relative error {wave['error']:.1e} on unseen points"


@styled
def plot(record: Record) -> Figure:
    """Draw a row for each wave: both partitions, then the wave with its approximant."""
    waves = record["waves"]
    figure = Figure(figsize=(8.4, 1.9 * len(waves)), layout="constrained")
    table = np.atleast_2d(figure.subplots(len(waves), 3, sharex=True))
    for (first, second, last), wave in zip(table, waves, strict=True):
        for ax, phi in zip((first, second), wave["phases"], strict=True):
            _draw_partition(ax, record["x"], phi)
        first.set_title(wave["what"])
        first.set_ylabel("φ after phase 1")
        second.set_ylabel("φ after phase 2")
        last.plot(record["x"], wave["wave"], color=INK, linewidth=3.0, alpha=0.35)
        last.plot(record["x"], wave["approximant"], color=ORANGE, linewidth=1.2)
        last.set_title(f"relative error {wave['error']:.1e}")
    for ax in table[-1]:
        ax.set_xlabel("x")
    return figure


def _draw_partition(ax: Axes, x: Sequence[float], phi: Sequence[Sequence[float]]) -> None:
    for colour, values in zip(shades(len(phi)), phi, strict=True):
        ax.plot(x, values, color=colour, linewidth=1.2)
    ax.set(xlim=(0, 1), ylim=(-0.03, 1.03))


WAVES = tuple((target, n) for target in (Target(1, 0.5), Target(2, 1.0)) for n in (2, 8))
register(
    Experiment(
        "two-phase",
        "Partitions after each phase of training: waves of two and eight pieces",
        Config(WAVES),
        Config(WAVES, pre_steps=2000, steps=4000),
        run,
        plot,
    )
)

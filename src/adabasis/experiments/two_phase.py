"""Two-phase training watched: the partitions after each phase, and what they add up to."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ..basis import PartitionBasis
from ..plots.style import INK, ORANGE, styled
from ..scope import numerics
from ..train import Progress
from .curves import shades
from .registry import Experiment, Record, register
from .waves import POINTS, UNSEEN, Target, fitted, pounet, two_phase

DRAWN = 4
"""Every so many points are drawn."""


@dataclasses.dataclass(frozen=True)
class Config:
    """Waves with their pieces, steps of both phases, the seed.

    ``local`` keeps all parts in use and makes them local in phase 1
    (:class:`adabasis.train.Locality`); without it the algorithm is the published one.
    """

    waves: tuple[tuple[Target, int], ...]
    local: bool = True
    pre_steps: int = 1000
    steps: int = 2000
    seed: int = 0
    depth: int = 8


def run(config: Config) -> Record:
    """Train a POUnet on every wave, and keep its partitions after each phase."""
    waves = [_watched(config, target, pieces) for target, pieces in config.waves]
    x = POINTS[::DRAWN, 0].tolist()
    return {"x": x, "waves": waves, "verdict": list(_lines(waves))}


def _watched(config: Config, target: Target, pieces: int) -> Record:
    basis, between = pounet(pieces, target.power, config.depth, local=config.local), []

    def look(progress: Progress) -> None:
        if progress.step == config.pre_steps:  # where phase 2 starts
            between.append(progress.parameters)

    trained = fitted(
        basis,
        two_phase(config, local=config.local),
        target(POINTS, pieces),
        config.seed,
        config.pre_steps + config.steps,
        look_every=config.pre_steps,
        callbacks=[look],
    )
    phases = [_partition(basis, p) for p in (between[0], trained.run.parameters)]
    exact = target(UNSEEN, pieces)[:, 0]
    error = np.linalg.norm(trained(UNSEEN) - exact) / np.linalg.norm(exact)
    return {
        "what": f"{target.name.split(',')[0]}, {pieces} pieces",
        "phases": [phi[::DRAWN].T.tolist() for phi in phases],
        "least_share": [_least_share(phi) for phi in phases],
        "localisation": [float(phi.max(axis=1).mean()) for phi in phases],
        "wave": target(POINTS[::DRAWN], pieces)[:, 0].tolist(),
        "approximant": trained(POINTS[::DRAWN]).tolist(),
        "error": float(error),
    }


def _partition(basis: PartitionBasis, parameters: Any) -> np.ndarray:
    """Return φ at the points, (N, N_part)."""
    with numerics():
        phi = jax.vmap(lambda x: basis.unity(x, parameters.partition))
        return np.asarray(phi(jnp.asarray(POINTS)))


def _least_share(phi: np.ndarray) -> float:
    """Return the points that the smallest partition owns, times N_part, over all points."""
    owned = np.bincount(phi.argmax(axis=1), minlength=phi.shape[1])
    return float(owned.min() * phi.shape[1] / len(phi))


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
        first.set_ylabel("φ")
        first.set_title(f"{wave['what']}: after phase 1")
        second.set_title("after phase 2")
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

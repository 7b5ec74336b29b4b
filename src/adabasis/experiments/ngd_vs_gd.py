"""Newton with descent (NGD) against joint descent (GD): spirals and digits."""

from __future__ import annotations

import dataclasses

import numpy as np
from matplotlib.figure import Figure

from ..basis import NeuralBasis
from ..plots.style import BLUE, GREEN, ORANGE, styled
from ..train import GD, NGD, AbstractTrainer
from . import classes
from .registry import Experiment, Record, register

RATE = 1e-2
TRAINERS: dict[str, AbstractTrainer] = {
    "GD": GD(RATE),
    "NGD, Adam": NGD(RATE),
    "NGD, quasi-Newton": NGD(),
}
LOOKS = {"GD": (ORANGE, "--"), "NGD, Adam": (GREEN, "-."), "NGD, quasi-Newton": (BLUE, "-")}
PROBLEMS = {"spirals": (NeuralBasis(32, 2), 1e-3), "digits": (NeuralBasis(64, 1), 1e-1)}
"""Network and ridge λ of each problem."""


@dataclasses.dataclass(frozen=True)
class Config:
    """Runs, gradients, rows to fit (and as many to judge)."""

    runs: int
    steps: int
    n_rows: int


def run(config: Config) -> Record:
    """Train every run by every trainer: other data, other initial functions."""
    found: Record = {}
    for name, (basis, ridge) in PROBLEMS.items():
        found[name] = {}
        for label, trainer in TRAINERS.items():
            outcomes = [
                classes.run(
                    classes.problem(name, config.n_rows, seed),
                    basis, trainer, config.steps, ridge, seed,
                )
                for seed in range(config.runs)
            ]  # fmt: skip
            losses = np.log10([outcome.losses for outcome in outcomes])
            mean, deviation = classes.spread(losses)
            errors = [outcome.error for outcome in outcomes]
            found[name][label] = {"mean": mean, "deviation": deviation, "error": errors}
    return {"problems": found}


@styled
def plot(record: Record) -> Figure:
    """Draw mean and one standard deviation of log10 of the loss, a panel for each problem."""
    problems = record["problems"]
    figure = Figure(figsize=(4.4 * len(problems), 3.9), layout="constrained")
    for ax, (name, curves) in zip(
        np.atleast_1d(figure.subplots(1, len(problems))), problems.items(), strict=True
    ):
        for label, curve in curves.items():
            colour, dash = LOOKS[label]
            mean, deviation = np.array(curve["mean"]), np.array(curve["deviation"])
            steps, error = np.arange(1, len(mean) + 1), curve["error"]
            wrong = f"{100 * np.mean(error):.1f} ± {100 * np.std(error):.1f} % wrong"
            ax.fill_between(
                steps, 10 ** (mean - deviation), 10 ** (mean + deviation), color=colour,
                alpha=0.2, linewidth=0,
            )  # fmt: skip
            ax.plot(steps, 10**mean, color=colour, linestyle=dash, label=f"{label}: {wrong}")
        ax.set(xscale="log", yscale="log", xlabel="gradients", title=name)
        ax.legend(loc="upper left", bbox_to_anchor=(0.0, -0.2))
    figure.axes[0].set_ylabel("least loss so far")
    return figure


register(
    Experiment(
        "ngd-vs-gd",
        "Classification: Newton with descent against joint descent",
        Config(4, 60, 600),
        Config(16, 300, 898),
        run,
        plot,
    )
)

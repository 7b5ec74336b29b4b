"""The cost of one LSGD step against one GD step: same network, same process, no compilation."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from adabasis import GD, LSGD, NeuralBasis, lstsq
from adabasis._runtime.compute import numerics
from adabasis.geometry.points import Points
from adabasis.lstsq.solve import BACK_SUBSTITUTION_LIMIT, condition_bound
from adabasis.rows import Term
from adabasis.train import AbstractTrainer, Objective

from ..measure import Timing, timed
from ..records import Bar, Measurement
from ..registry import Settings, case

RATE = 2.0**-6
STEPS_PER_BLOCK = {256: 50, 10_000: 6}
TRAINERS: dict[str, AbstractTrainer] = {
    "GD": GD(RATE),
    "LSGD svd": LSGD(RATE, solver="svd"),
    "LSGD auto": LSGD(RATE, solver="auto"),
    "LSGD triangular": LSGD(RATE, solver="triangular"),
}
LIMITS = {"LSGD svd": 1.6, "LSGD auto": 1.3, "LSGD triangular": 1.3}
"""Rank-safe, and where the condition allows back-substitution (see the status column)."""


def group(n: int) -> str:
    """Return the name of the rows for N points."""
    return f"N={n:,}"


@eqx.filter_jit
def _block(trainer: AbstractTrainer, objective: Objective, state: Any, steps: int) -> Any:
    """Take some steps; the losses and ranks are kept, as the training loop keeps them."""

    def body(state: Any, _: None) -> Any:
        state, evaluation = trainer.step(objective, state)
        return state, (evaluation.loss, evaluation.rank)

    return jax.lax.scan(body, state, None, length=steps)


@dataclasses.dataclass
class Contestant:
    """A trainer with the state that each of its blocks starts from."""

    name: str
    trainer: AbstractTrainer
    objective: Objective
    state: Any
    steps: int
    compile_seconds: float = 0.0

    @classmethod
    def ready(cls, name: str, objective: Objective, parameters: Any, steps: int) -> Contestant:
        """Compile and warm up."""
        trainer = TRAINERS[name]
        state = trainer.init(objective, parameters, jax.random.key(1))
        contestant = cls(name, trainer, objective, state, steps)
        contestant.compile_seconds = contestant.block()[0].compile_seconds
        return contestant

    def block(self) -> tuple[Timing, str]:
        """Run one block; return its time and what happened in it."""
        with numerics(), timed() as timing:
            _, (losses, ranks) = jax.block_until_ready(
                _block(self.trainer, self.objective, self.state, self.steps)
            )
        finite = np.isfinite(np.asarray(losses)).all()
        return timing, f"rank {np.asarray(ranks).min()}" if finite else "loss not finite"


def setting(n: int) -> tuple[Objective, Any]:
    """Return sin 2πx on N points and a residual ReLU network of width 32 and depth 8 from Box."""
    x = np.linspace(0, 1, n)[:, None]
    basis = NeuralBasis(32, 8, activation="relu", residual=True, constant=False)
    objective = Objective([Term(Points(x, np.ones(n)), np.sin(2 * np.pi * x))], 0.0, basis)
    return objective, basis.init(jax.random.key(0), jnp.array([[0.0, 1.0]]))


def may_substitute(objective: Objective, parameters: Any) -> bool:
    """Whether the bound of the condition number allows back-substitution at the start."""
    a = objective.design(parameters)
    rows = lstsq.reduce(a / jnp.linalg.norm(a, axis=0), objective.targets)
    return bool(condition_bound(rows.triangle) < BACK_SUBSTITUTION_LIMIT)


@case(
    "step-ratio",
    "time of an LSGD step against a GD step, width 32, depth 8",
    error="none: time alone",
    repeats=40,
    reference="GD",
    bars=tuple(
        Bar(group(n), name, "time_ratio", limit)
        for n in STEPS_PER_BLOCK
        for name, limit in LIMITS.items()
    ),
)
def run(settings: Settings) -> Iterator[Measurement]:
    """Time blocks of steps, the trainers taking turns."""
    for n in [256] if settings.quick else STEPS_PER_BLOCK:
        settings.doing(f"{group(n)}: compiling")
        contestants = _contestants(n, settings)
        for repeat in range(settings.repeats):
            settings.doing(f"{group(n)}: block {repeat} of each trainer")
            for contestant in contestants:
                yield _per_step(contestant, n, repeat)


def _contestants(n: int, settings: Settings) -> list[Contestant]:
    with numerics():
        objective, parameters = setting(n)
        allowed = "allows" if may_substitute(objective, parameters) else "forbids"
        settings.note(f"{group(n)}: the condition number {allowed} back-substitution")
        return [
            Contestant.ready(name, objective, parameters, STEPS_PER_BLOCK[n]) for name in TRAINERS
        ]


def _per_step(contestant: Contestant, n: int, repeat: int) -> Measurement:
    timing, status = contestant.block()
    return Measurement(
        group(n),
        group(n),
        contestant.name,
        repeat,
        float("nan"),
        timing.seconds / contestant.steps,
        contestant.compile_seconds,
        timing.cpu_seconds / contestant.steps,
        contestant.steps,
        status,
    )

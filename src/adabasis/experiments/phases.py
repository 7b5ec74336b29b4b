"""Waves in pieces, and POUnets trained on them in two phases: what is published, and their parts.

The wave of frequency f is 2|fx − ⌊fx + ½⌋| − 1 (slides eq. 23) or its square. On [0, 1] the first
has 2f linear pieces, the second f smooth ones.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from scipy.interpolate import CubicSpline

from .. import rows
from .._runtime.compute import numerics
from ..basis import AbstractBasis, NetworkPartition, PartitionBasis
from ..geometry.points import Points
from ..train import (
    LSGD,
    AbstractTrainer,
    Budget,
    Callback,
    Locality,
    Objective,
    Progress,
    Run,
    TwoPhase,
    train,
)
from .pounets import matrix
from .rates import Cosine
from .sine import EPSILON

POINTS = np.linspace(0, 1, 1024)[:, None]
UNSEEN = (np.arange(8192)[:, None] + 0.5) / 8192
RATE, RIDGE, FADING, STAGNATION = 1e-3, 0.1, 0.99, 100
"""Learning rate and λ up to :data:`FEW` pieces, ρ and n_stag: not published, a working choice."""
WARMING, LEAST_RATE = 500, 0.02
"""Steps in which the rate rises, and what part of it a cosine then falls to."""
FEW = 8
"""Pieces up to which rate and λ stay the same, and from which on the number of steps does.

At 32 pieces 1e-3 has given one part everything after 200 steps. And what λ weighs grows: pieces a
quarter as long have second derivatives 16 times as large.
"""
LONGER = 3
"""Times as many steps in phase 2 where phase 1 leaves parts local: their borders move slowly."""
MANY = 32
PER_PIECE = 96
"""Points for every piece, if that is more than there are in :data:`POINTS`.

The spline through 1,024 points of 32 quadratic pieces has an error of 7e-3 between them, three
times the published one; of 16 pieces 2.5e-3.
"""
LOCALITY, GAIN = Locality(), 8.0
"""What keeps parts in use and makes them local in phase 1, and the deviation of logits that it
starts from."""


@dataclasses.dataclass(frozen=True)
class Target:
    """A wave for n pieces: the frequency is ``per_piece`` n."""

    power: int
    per_piece: float

    @property
    def name(self) -> str:
        """What it is, in words."""
        kind = {1: "triangle", 2: "quadratic"}[self.power]
        return f"{kind}, f = n" + ("" if self.per_piece == 1 else f" · {self.per_piece:g}")

    @property
    def per_part(self) -> float:
        """Smooth pieces for each of n parts: a triangle has two to a period."""
        return self.per_piece * (2 if self.power == 1 else 1)

    def __call__(self, x: np.ndarray, pieces: int) -> np.ndarray:
        """Evaluate at points (N, 1), to (N, 1)."""
        phase = self.per_piece * pieces * x
        return (2 * np.abs(phase - np.floor(phase + 0.5)) - 1) ** self.power


@dataclasses.dataclass(frozen=True, eq=False)
class Trained:
    """A basis trained on a wave, and the affine map of its values."""

    basis: AbstractBasis
    run: Run
    shift: float
    scale: float

    def __call__(self, x: np.ndarray) -> np.ndarray:
        """Evaluate the best iterate at points (N, 1), to (N,)."""
        phi = matrix(self.basis, self.run.parameters, x)
        return (phi @ np.asarray(self.run.coefficients))[:, 0] * self.scale + self.shift

    @property
    def rank(self) -> int:
        """Functions of the best iterate that are independent at the points."""
        return int(self.run.history.rank[self.run.step])

    def error(self, target: Target, pieces: int, x: np.ndarray = UNSEEN) -> float:
        """Return the relative l2 error at points (N, 1), by default unseen ones."""
        return _relative(self(x), target(x, pieces)[:, 0])


def points(pieces: int) -> np.ndarray:
    """Return the even points that a wave is known at."""
    return np.linspace(0, 1, max(len(POINTS), PER_PIECE * pieces))[:, None]


def _relative(found: np.ndarray, exact: np.ndarray) -> float:
    return float(np.linalg.norm(found - exact) / np.linalg.norm(exact))


def interpolation(target: Target, pieces: int) -> float:
    """Return the error at unseen points of the cubic spline through those trained on.

    What lies between two points is not known to it, as it is not to anything that is fitted to
    values alone and does not know of kinks.
    """
    x = points(pieces)
    spline = CubicSpline(x[:, 0], target(x, pieces)[:, 0])
    return _relative(spline(UNSEEN[:, 0]), target(UNSEEN, pieces)[:, 0])


@dataclasses.dataclass(frozen=True, eq=False)
class Phases:
    """A POUnet trained in two phases: φ at the points after each, (N, N_part)."""

    trained: Trained
    phi: tuple[np.ndarray, np.ndarray]

    @property
    def localisation(self) -> list[float]:
        """The mean of max φ after each phase: 1 where parts do not overlap."""
        return [float(phi.max(axis=1).mean()) for phi in self.phi]

    @property
    def least_share(self) -> list[float]:
        """The points that the smallest part owns after each phase, in even shares."""
        counts = [_owned(phi) for phi in self.phi]
        return [float(n.min() * len(n) / n.sum()) for n in counts]


def _owned(phi: np.ndarray) -> np.ndarray:
    """Count the points at which each part is the largest: (N, N_part) → (N_part,)."""
    return np.bincount(phi.argmax(axis=1), minlength=phi.shape[1])


def parts_used(phi: np.ndarray) -> int:
    """Count the parts that own a point, of φ (N, N_part)."""
    return int(np.count_nonzero(_owned(phi)))


def pounet(pieces: int, degree: int, depth: int, *, local: bool = False) -> PartitionBasis:
    """Return the published architecture: softmax of a residual ReLU network of width 4n."""
    network = NetworkPartition(
        pieces, depth=depth, activation="relu", residual=True, gain=GAIN if local else 2.0
    )
    return PartitionBasis(pieces, degree, partition=network)


def fitted(
    basis: AbstractBasis,
    trainer: AbstractTrainer,
    x: np.ndarray,
    y: np.ndarray,
    seed: int,
    steps: int,
    *,
    look_every: int | None = None,
    callbacks: Sequence[Callback] = (),
) -> Trained:
    """Train on standardised values (N, 1) at points (N, 1)."""
    shift, scale = float(y.mean()), float(y.std())
    with numerics():
        term = rows.Term(Points(x, np.ones(len(x))), (y - shift) / scale)
        objective = Objective([term], 0.0, basis)
        key = jax.random.key(seed)
        initial: Any = basis.init(key, jnp.array([[0.0, 1.0]]))
        if isinstance(basis, PartitionBasis):
            initial = basis.placed(initial, jnp.asarray(x))
        budget = Budget(max_steps=steps, check_every=look_every or steps + 1)
        run = train(
            trainer,
            objective,
            initial,
            key=jax.random.fold_in(key, 1),
            budget=budget,
            callbacks=callbacks,
        )
    return Trained(basis, run, shift, scale)


def lsgd(pieces: int, steps: int) -> LSGD:
    """Return the descent on a wave in n pieces: its rate rises, then falls over the steps."""
    rate = RATE * min(1.0, FEW / pieces) ** 0.5
    return LSGD(Cosine(rate, steps, WARMING, LEAST_RATE), epsilon=EPSILON)


def steps_of(config: Any, target: Target, pieces: int, *, local: bool = False) -> int:
    """Return the steps of phase 2: more where networks are small, and where parts are too few.

    Steps of few pieces cost little. And a part that has two pieces to serve needs twice as many;
    at :data:`MANY` pieces, where they take minutes, errors are small enough without. Kept local,
    there are :data:`LONGER` times as many.
    """
    crowded = target.per_part > 1 and pieces < MANY
    steps: int = config.steps * max(1, FEW // pieces) * (1 + crowded) * (LONGER if local else 1)
    return steps


def ridge(pieces: int, degree: int) -> float:
    """Return λ for n pieces of a degree: the m-th derivative of a wave grows as n^m."""
    return RIDGE * min(1.0, FEW / pieces) ** (2 * degree)


def two_phase(config: Any, target: Target, pieces: int, *, local: bool = False) -> TwoPhase:
    """Return Algorithm 2 around LSGD, as published or with parts kept local.

    Both phases begin a schedule that is as long as the second.
    """
    steps = steps_of(config, target, pieces, local=local)
    return TwoPhase(
        lsgd(pieces, steps),
        ridge(pieces, target.power),
        FADING,
        STAGNATION,
        config.pre_steps,
        steps,
        locality=LOCALITY if local else None,
    )


def in_phases(config: Any, target: Target, pieces: int, seed: int, *, local: bool) -> Phases:
    """Train in two phases and keep the partition after each.

    The first is the one that phase 2 starts from, before it is softened.
    """
    basis, between = pounet(pieces, target.power, config.depth, local=local), []
    x = points(pieces)
    last = config.pre_steps - local

    def look(progress: Progress) -> None:
        if progress.step == last:
            between.append(progress.parameters)

    trained = fitted(
        basis,
        two_phase(config, target, pieces, local=local),
        x,
        target(x, pieces),
        seed,
        config.pre_steps + steps_of(config, target, pieces, local=local),
        look_every=max(last, 1),
        callbacks=[look],
    )
    first, second = (
        matrix(basis.unity, parameters.partition, x)
        for parameters in (between[0], trained.run.parameters)
    )
    return Phases(trained, (first, second))

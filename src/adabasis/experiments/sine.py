"""sin 2πx on 256 even points of [0, 1], the regression of Part II: runs and their summaries.

As published: inputs and outputs as they are, no constant function, mean squared error, and the
current iterate of every step, not the best so far.
"""

from __future__ import annotations

from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np

from .. import rows
from .._runtime.compute import numerics
from ..basis import AbstractBasis, BoxInit
from ..geometry.points import Points
from ..train import LSGN, AbstractTrainer, Budget, Objective, train
from .kept import kept
from .registry import Record

POINTS = np.linspace(0, 1, 256)[:, None]
VALUES = np.sin(2 * np.pi * POINTS)
BOX = np.array([[0.0, 1.0]])
PUBLISHED_BOX = BoxInit(variant="eq16", stratified=False)
"""Box initialization as the papers have it; what the package draws by default starts better."""
EPSILON = 1e-6
"""Adam's ε in LSGD, which the papers do not state. With the usual 1e-8 a constant rate has steps
of constant size, and errors jump; with this one steps shrink with the gradient."""
DRAWN = 160
"""Steps of a history that are kept, evenly spread over the logarithm."""
SMALLEST = 1e-300


def log_losses(basis: AbstractBasis, trainer: AbstractTrainer, steps: int, seed: int) -> np.ndarray:
    """Train once; return log10 of the mean squared error before each step and at the end.

    Shape (steps + 1,). A run that stops earlier keeps its last loss. LSGN evaluates trials that
    it then rejects: its current iterate is the best so far.
    """
    with numerics():
        points = Points(POINTS, np.ones(len(POINTS)))
        objective = Objective([rows.Term(points, VALUES)], 0.0, basis)
        key = jax.random.key(seed)
        run = train(
            trainer,
            objective,
            basis.init(key, jnp.asarray(BOX)),
            key=jax.random.fold_in(key, 1),
            budget=Budget(max_steps=steps, check_every=steps + 1),
        )
    loss = run.history.loss
    loss = np.minimum.accumulate(loss) if isinstance(trainer, LSGN) else loss
    logs = np.log10(np.maximum(loss, SMALLEST))
    return np.pad(logs, (0, steps + 1 - len(logs)), mode="edge")


def runs(basis: AbstractBasis, trainer: AbstractTrainer, steps: int, seeds: int) -> Record:
    """Train from every seed; return the summary of all."""
    logs = [kept(log_losses, basis, trainer, steps, seed) for seed in range(seeds)]
    return summary(np.stack(logs))


def summary(logs: np.ndarray) -> Record:
    """Return mean and standard deviation over runs (seeds, steps + 1) at some of the steps."""
    steps = logs.shape[1] - 1
    at = np.unique(np.round(np.geomspace(1, steps + 1, DRAWN)).astype(int)) - 1
    return {
        "steps": steps,
        "step": at.tolist(),
        "mean": logs[:, at].mean(axis=0).tolist(),
        "deviation": logs[:, at].std(axis=0).tolist(),
        "first": logs[:, 0].tolist(),
        "last": logs[:, -1].tolist(),
        "best": logs.min(axis=1).tolist(),
    }


def functions(
    basis: AbstractBasis, seeds: Sequence[int], x: np.ndarray, box: np.ndarray = BOX
) -> np.ndarray:
    """Return Φ as drawn, for every seed at N points of a box: (seeds, N, P).

    Each network is evaluated once only, so that compiling its layers would be most of the time.
    """
    with numerics():
        keys = jnp.stack([jax.random.key(seed) for seed in seeds])
        drawn = jax.vmap(basis.init, (0, None))(keys, jnp.asarray(box))
        with jax.disable_jit():
            at_points = jax.vmap(basis, (0, None))
            return np.asarray(jax.vmap(at_points, (None, 0))(jnp.asarray(x), drawn))

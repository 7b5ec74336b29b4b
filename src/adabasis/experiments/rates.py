"""A learning rate that falls: two with equal numbers are equal, as Optax's functions are not.

What is compiled or kept for one seed is therefore found again for the next.
"""

from __future__ import annotations

import dataclasses

import optax
from jax import Array


@dataclasses.dataclass(frozen=True)
class Cosine:
    """A rate that falls by a cosine to ``least`` within so many steps, and rises first.

    Attributes
    ----------
    rate : float
        The highest.
    steps : int
        All steps; afterwards the rate stays as it is.
    rising : int
        Steps of ``steps`` in which it rises linearly from ``least``.
    least : float
        What it starts from and falls to, as a part of ``rate``.
    """

    rate: float
    steps: int
    rising: int = 0
    least: float = 0.0

    def __call__(self, count: Array) -> Array:
        """Return the rate of a step."""
        low = self.least * self.rate
        steps = max(self.steps, self.rising + 1)
        schedule = optax.warmup_cosine_decay_schedule(low, self.rate, self.rising, steps, low)
        found: Array = schedule(count)
        return found

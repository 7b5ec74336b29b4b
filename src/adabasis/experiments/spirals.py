"""Two spirals: points along two arms that wind into each other."""

from __future__ import annotations

import numpy as np


def spirals(n: int, turns: float, noise: float, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Draw points of two spirals in the unit disc, evenly by area.

    Parameters
    ----------
    n : int
    turns : float
        Of each arm.
    noise : float
        Standard deviation of both coordinates.
    seed : int

    Returns
    -------
    x : array, shape (n, 2)
    arm : array of 0 and 1, shape (n,)
    """
    rng = np.random.default_rng(seed)
    radius, arm = np.sqrt(rng.random(n)), rng.integers(0, 2, n)
    angle = np.pi * (2 * turns * radius + arm)
    x = radius[:, None] * np.stack([np.cos(angle), np.sin(angle)], axis=1)
    return x + noise * rng.normal(size=(n, 2)), arm

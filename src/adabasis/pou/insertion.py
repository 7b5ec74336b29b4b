"""A piece more where the residual is largest, then all borders settle, again and again.

As in growing neural gas [1]_: the new piece takes from the one that holds the worst patch of
points those that are nearer to the patch than to the middle of the old piece.

References
----------
.. [1] Fritzke, "A growing neural gas network learns topologies", NIPS 7 (1995).
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from scipy.spatial import cKDTree

from .cuts import never
from .segmentation import Cloud

PATCH = 2
"""Points of a patch for each polynomial."""


def inserted(cloud: Cloud, most: int, late: Callable[[], bool] = never) -> dict[int, np.ndarray]:
    """Insert pieces one by one, until it is late.

    Returns
    -------
    dict
        Labels (N,) by number of pieces, from 1 to at most ``most``.
    """
    n = len(cloud.x)
    size = min(n, PATCH * cloud.size)
    patches = cKDTree(cloud.x).query(cloud.x, size)[1].reshape(n, size)
    labels = np.zeros(n, dtype=int)
    found = {1: labels}
    while len(found) < most and not late():
        grown = _grown(cloud, labels, patches)
        if grown is None:
            break
        settled = cloud.settled(grown)
        # Borders that settle may swallow a piece, which would be inserted again and again.
        labels = settled if settled.max() >= grown.max() else grown
        found[int(labels.max()) + 1] = labels
    return found


def _grown(cloud: Cloud, labels: np.ndarray, patches: np.ndarray) -> np.ndarray | None:
    """Return labels with one piece more, or nothing where no piece can be parted."""
    own = cloud.errors(cloud.fit(labels))[np.arange(len(labels)), labels]
    same = labels[patches] == labels[:, None]
    misfit = np.sum(same * (cloud.weight * own)[patches], axis=1)
    for worst in np.argsort(-misfit)[: len(labels) // cloud.size]:
        mine = np.flatnonzero(labels == labels[worst])
        there, middle = (
            cloud.x[patches[worst][same[worst]]].mean(axis=0),
            cloud.x[mine].mean(axis=0),
        )
        apart = cloud.x[mine] - (there + middle) / 2
        nearer = apart @ (there - middle) > 0
        if min(nearer.sum(), (~nearer).sum()) >= cloud.size:
            grown = labels.copy()
            grown[mine[nearer]] = labels.max() + 1
            return grown
    return None

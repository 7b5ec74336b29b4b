"""Over-partition, then merge: cells of few points, and the two that fit together best become one.

Each cell is known by the triangle of its rows, and the triangle of two cells is that of both
triangles stacked (:mod:`adabasis.lstsq`), so that a merger costs nothing that grows with the rows.
"""

from __future__ import annotations

import heapq

import numpy as np

from .segmentation import Cloud, compact

CELL = 2.0
"""Points of a cell for each polynomial."""


def cells(x: np.ndarray, size: float) -> np.ndarray:
    """Halve the points along their longest side while halves have ``size`` points: labels."""
    labels, todo, count = np.zeros(len(x), dtype=int), [np.arange(len(x))], 1
    while todo:
        mine = todo.pop()
        if len(mine) < 2 * size:
            continue
        axis = np.argmax(np.ptp(x[mine], axis=0))
        order = mine[np.argsort(x[mine, axis], kind="stable")]
        halves = np.split(order, [len(order) // 2])
        labels[halves[1]], count = count, count + 1
        todo += halves
    return labels


def merged(cloud: Cloud, fewest: int = 1, most: int = 64) -> dict[int, np.ndarray]:
    """Merge neighbouring cells, those first whose union is fitted at the least cost.

    Returns
    -------
    dict
        Labels (N,) by number of pieces, from ``most`` (or the number of cells) to ``fewest``.
    """
    labels = compact(cells(cloud.x, CELL * cloud.size))
    forest = _Forest(cloud, labels)
    found = {}
    while True:
        if forest.count <= most:
            found[forest.count] = compact(forest.roots[labels])
        if forest.count <= fewest or not forest.merge():
            return found


class _Forest:
    """Cells under way to being merged; ``roots`` maps a first cell to the one that holds it."""

    def __init__(self, cloud: Cloud, labels: np.ndarray) -> None:
        self.n = cloud.size
        rows = np.sqrt(cloud.weight)[:, None] * np.concatenate([cloud.features, cloud.y], axis=1)
        self.count = int(labels.max()) + 1
        self.roots = np.arange(self.count)
        self.factors = {k: _triangle(rows[labels == k]) for k in range(self.count)}
        self.ages = dict.fromkeys(self.factors, 0)
        around = labels[cloud.neighbours]
        pairs = {(a, b) for a, row in zip(labels, around, strict=True) for b in row if a != b}
        self.beside: dict[int, set[int]] = {k: set() for k in self.factors}
        for a, b in pairs:
            self.beside[a].add(b)
            self.beside[b].add(a)
        self.heap = [self._offer(a, b) for a in self.beside for b in self.beside[a] if a < b]
        heapq.heapify(self.heap)

    def merge(self) -> bool:
        """Merge the best pair of neighbours; say whether there was one."""
        if self._merged():
            return True
        roots = sorted(self.factors)  # islands: all are neighbours now
        self.beside = {a: {b for b in roots if b != a} for a in roots}
        self.heap = [self._offer(a, b) for a in roots for b in roots if a < b]
        heapq.heapify(self.heap)
        return self._merged()

    def _merged(self) -> bool:
        """Merge the best pair on offer, if both are still what they were when it was made."""
        while self.heap:
            _, a, b, *ages = heapq.heappop(self.heap)
            if [self.ages.get(a), self.ages.get(b)] == ages:
                self._join(a, b)
                return True
        return False

    def _join(self, a: int, b: int) -> None:
        self.factors[a] = _triangle(np.concatenate([self.factors[a], self.factors.pop(b)]))
        self.ages[a] += 1
        del self.ages[b]
        self.roots[self.roots == b] = a
        self.count -= 1
        for other in self.beside.pop(b):
            self.beside[other].discard(b)
            if other != a:
                self.beside[other].add(a)
                self.beside[a].add(other)
        for other in self.beside[a]:
            heapq.heappush(self.heap, self._offer(*sorted((a, other))))

    def _offer(self, a: int, b: int) -> tuple[float, int, int, int, int]:
        both = _triangle(np.concatenate([self.factors[a], self.factors[b]]))
        apart = self._misfit(self.factors[a]) + self._misfit(self.factors[b])
        return (self._misfit(both) - apart, a, b, self.ages[a], self.ages[b])

    def _misfit(self, factor: np.ndarray) -> float:
        return float(np.sum(factor[self.n :, self.n :] ** 2))


def _triangle(rows: np.ndarray) -> np.ndarray:
    return np.asarray(np.linalg.qr(rows, mode="r"))

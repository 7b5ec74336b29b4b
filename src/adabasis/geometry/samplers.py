"""Points of a box and of its faces, with quadrature weights.

A sampler knows how to place points; how many are wanted is said by the caller, unless the sampler
is one of fixed size (a Cartesian cloud of n per side).
"""

from __future__ import annotations

import abc
import dataclasses
import math

import numpy as np

from .points import Points, tensor_grid


class AbstractSampler(abc.ABC):
    """A way of placing points in the unit box; frozen dataclasses."""

    per_side: int | None = None

    @abc.abstractmethod
    def unit(self, n: int, n_inputs: int, seed: int) -> Points:
        """Return about ``n`` points of [0, 1]^D with weights that sum to one."""

    def interior(self, box: np.ndarray, n: int, seed: int = 0) -> Points:
        """Return about ``n`` points of a (D, 2) box."""
        points = self.unit(n, len(box), seed)
        lower, upper = box.T
        return Points(lower + (upper - lower) * points.x, points.weight)

    def face(self, box: np.ndarray, axis: int, value: float, n: int, seed: int = 0) -> Points:
        """Return about ``n`` points of the part of the plane x_axis = value inside the box."""
        others = np.delete(box, axis, axis=0)
        if not len(others):
            return Points(np.array([[value]]), np.ones(1))
        points = self.interior(others, n, seed)
        return Points(np.insert(np.asarray(points.x), axis, value, axis=1), points.weight)

    def count(self, n_inputs: int) -> int | None:
        """Return the number of points in D dimensions, ``None`` where the caller says."""
        return None if self.per_side is None else self.per_side**n_inputs


@dataclasses.dataclass(frozen=True)
class Sobol(AbstractSampler):
    """A scrambled Sobol sequence, with equal weights."""

    def unit(self, n: int, n_inputs: int, seed: int) -> Points:
        """Return exactly ``n`` points."""
        from scipy.stats import qmc

        drawn = qmc.Sobol(n_inputs, rng=np.random.default_rng(seed))
        x = drawn.random_base2(math.ceil(math.log2(max(n, 2))))[:n]
        return Points(x, np.full(n, 1 / n))


@dataclasses.dataclass(frozen=True)
class Gauss(AbstractSampler):
    """Tensor Gauss–Legendre points with their weights.

    Parameters
    ----------
    per_side : int, optional
        Points along each side; by default as many as make up the number wanted.
    """

    per_side: int | None = None

    def unit(self, n: int, n_inputs: int, seed: int) -> Points:
        """Return per_side^D points; the seed is not used."""
        side = self.per_side or max(1, round(n ** (1 / n_inputs)))
        nodes, weights = np.polynomial.legendre.leggauss(side)
        return _tensor((nodes + 1) / 2, weights / 2, n_inputs)


@dataclasses.dataclass(frozen=True)
class Cartesian(AbstractSampler):
    """The slides' point clouds: a Cartesian grid with equal weights.

    Parameters
    ----------
    per_side : int
        Points along each side, the ends included; faces have as many.
    """

    per_side: int

    def __post_init__(self) -> None:
        if self.per_side < 2:
            raise ValueError(f"Cartesian({self.per_side}): expected at least 2 points a side.")

    def unit(self, n: int, n_inputs: int, seed: int) -> Points:
        """Return per_side^D points; the number wanted and the seed are not used."""
        nodes = np.linspace(0.0, 1.0, self.per_side)
        return _tensor(nodes, np.full(self.per_side, 1 / self.per_side), n_inputs)


def default_sampler(n_inputs: int) -> AbstractSampler:
    """Return Gauss points on an interval, a Sobol sequence in more dimensions."""
    return Gauss() if n_inputs == 1 else Sobol()


def _tensor(nodes: np.ndarray, weights: np.ndarray, n_inputs: int) -> Points:
    return Points(tensor_grid(*[nodes] * n_inputs), tensor_grid(*[weights] * n_inputs).prod(axis=1))

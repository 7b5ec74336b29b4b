"""All weights of a network as one vector θ, and the derivatives in them, in NumPy."""

from __future__ import annotations

import dataclasses
import functools
import math
import operator
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np

from ..basis import NeuralBasis
from ..basis.activations import Activation, activation_named
from ..basis.layers import Affine
from ..basis.networks import Network
from ..rows import AbstractPart, AbstractSource, Statistics, read_ahead
from ..rows.engine import current
from ..rows.sources import CHUNK_ROWS
from .base import Objective

#: Entries of J formed at once: few enough to stay in the cache of a processor.
CHUNK_NUMBERS = 2**20


@dataclasses.dataclass(frozen=True, eq=False)
class Rows:
    """Rows of an objective in NumPy, inputs standardised, those of weight 0 left out.

    Attributes
    ----------
    x, y, root : arrays, shapes (N, D), (N, Q), (N, 1)
        Inputs, targets, and √(w/Σw).
    mean, scale : arrays, shape (D,)
        x = (inputs − mean)/scale.
    spread : float
        Root mean square of the targets.
    """

    x: np.ndarray
    y: np.ndarray
    root: np.ndarray
    mean: np.ndarray
    scale: np.ndarray
    spread: float

    @classmethod
    def of(cls, objective: Objective) -> Rows:
        """Return the rows of an objective of one term."""
        (term,) = objective.terms
        weight = np.asarray(term.points.weight)
        z, t = np.asarray(term.points.x), np.asarray(term.data)  # type: ignore[attr-defined]
        seen = weight > 0
        return cls.of_arrays(z[seen], t[seen], weight[seen])

    @classmethod
    def of_arrays(cls, z: np.ndarray, t: np.ndarray, weight: np.ndarray) -> Rows:
        """Return rows of inputs (N, D), targets (N, Q) and positive weights (N,)."""
        share = weight / weight.sum()
        mean = share @ z
        # The spread of equal entries about their mean is round-off, and no scale.
        scale = np.where(np.ptp(z, axis=0) > 0, np.sqrt(share @ (z - mean) ** 2), 1.0)
        spread = math.sqrt(float(share @ np.mean(t**2, axis=1)))
        return cls((z - mean) / scale, t, np.sqrt(share)[:, None], mean, scale, spread)

    @property
    def n_rows(self) -> int:
        """How many there are."""
        return len(self.x)

    def chunks(self, most: int, dtype: Any) -> Iterator[tuple[np.ndarray, ...]]:
        """Yield inputs, targets and roots of so many rows at a time."""
        for start in range(0, len(self.x), most):
            part = slice(start, start + most)
            yield tuple(a[part].astype(dtype) for a in (self.x, self.y, self.root))

    def total(self, of_rows: Callable[[Rows], Any]) -> Any:
        """Return a sum over all rows, or several, that a function takes of some in chunks."""
        return of_rows(self)


@dataclasses.dataclass(frozen=True, eq=False)
class SourceRows(Rows):
    """Rows of a source, read chunk by chunk as often as sums over them are taken.

    The arrays are those of a few of them, which tell how inputs are standardised.

    Attributes
    ----------
    source : AbstractSource
    part : AbstractPart or None
        Of which the rows are, where they are not all.
    """

    source: AbstractSource
    part: AbstractPart | None = None

    @classmethod
    def of_source(cls, objective: Objective, source: AbstractSource) -> SourceRows:
        """Return the rows of a source, of which some are those of an objective of one term."""
        few = Rows.of(objective)
        return cls(few.x, few.y, few.root, few.mean, few.scale, few.spread, source)

    @property
    def n_rows(self) -> int:
        """How many there are in the source."""
        return self.source.statistics().n_rows

    def chunks(self, most: int, dtype: Any) -> Iterator[tuple[np.ndarray, ...]]:
        """Yield inputs, targets and roots of so many rows at a time, the next being read."""
        total = self.source.statistics().total_weight
        whole = self.source if self.part is None else self.part
        for x, y, weight in read_ahead(whole.chunks(CHUNK_ROWS)):
            seen = weight > 0
            z, root = (x[seen] - self.mean) / self.scale, np.sqrt(weight[seen] / total)[:, None]
            rows = dataclasses.replace(self, x=z, y=y[seen], root=root)
            yield from Rows.chunks(rows, most, dtype)

    def total(self, of_rows: Callable[[Rows], Any]) -> Any:
        """Return a sum over all rows, or several; parts are left to the block's engine."""
        if not current().apart:
            return of_rows(self)
        self.source.statistics()
        task = _OfPart(of_rows, dataclasses.replace(self, source=_Known.of(self.source)))
        return current().map_reduce(task, self.source.parts(), _sums)


class _Known(NamedTuple):
    # What a part needs to know of its source.
    seen: Statistics

    @classmethod
    def of(cls, source: AbstractSource) -> Any:
        return cls(source.statistics())

    def statistics(self) -> Statistics:
        return self.seen


@dataclasses.dataclass(frozen=True)
class _OfPart:
    of_rows: Callable[[Rows], Any]
    rows: SourceRows

    def __call__(self, part: AbstractPart) -> Any:
        return self.of_rows(dataclasses.replace(self.rows, part=part))


def _sums(*several: Any) -> Any:
    if not isinstance(several[0], tuple):
        return functools.reduce(operator.add, several)
    return tuple(functools.reduce(operator.add, each) for each in zip(*several, strict=True))


class Layout:
    """Where the weights of a network stand in θ: a layer after another, then each output.

    A row of a layer's matrix holds a unit's weights and its bias, the last.

    Attributes
    ----------
    shapes : list of (int, int)
        The shape of each layer's matrix, the last for the outputs.
    starts : list of int
        Where each layer starts, and the end.
    """

    def __init__(self, basis: NeuralBasis, n_inputs: int, n_outputs: int) -> None:
        # Attributes of modules of Equinox take microseconds each, steps of small networks few more.
        self.width, self.depth, self.n_outputs = basis.width, basis.depth, n_outputs
        self.residual, self.constant = basis.residual, basis.constant
        self.sigma: Activation = activation_named(basis.activation)
        w, last = self.width, self.width + self.constant
        self._kept: np.ndarray | None = None
        self.shapes = [(w, n_inputs + 1), *[(w, w + 1)] * (self.depth - 1), (n_outputs, last)]
        self.starts = [0, *np.cumsum([rows * columns for rows, columns in self.shapes]).tolist()]

    @property
    def size(self) -> int:
        """How many weights there are."""
        return int(self.starts[-1])

    def layers(self, theta: np.ndarray) -> list[np.ndarray]:
        """Return views of the layers' matrices."""
        starts = self.starts
        return [
            theta[starts[k] : starts[k + 1]].reshape(shape) for k, shape in enumerate(self.shapes)
        ]

    def packed(self, network: Network, rows: Rows, c: np.ndarray) -> np.ndarray:
        """Return θ for parameters in the units of the rows' inputs and coefficients (P, Q)."""
        weight, bias = (np.asarray(a, float) for a in network.first)
        first = np.column_stack([weight * rows.scale, bias + weight @ rows.mean])
        hidden = [np.asarray(a, float) for a in network.hidden or ()]
        rest = [np.column_stack(layer) for layer in zip(*hidden, strict=True)]
        return np.concatenate([np.ravel(layer) for layer in (first, *rest, c.T)])

    def unpacked(self, theta: np.ndarray, rows: Rows) -> tuple[Network, np.ndarray]:
        """Return the parameters and the coefficients (P, Q)."""
        first, *rest, c = self.layers(theta)
        weight = first[:, :-1] / rows.scale
        hidden = None
        if rest:
            stacked = np.stack(rest)
            hidden = Affine(stacked[..., :-1].copy(), stacked[..., -1].copy())  # type: ignore[arg-type]
        affine = Affine(weight, first[:, -1] - weight @ rows.mean)
        return Network(affine, hidden), c.T.copy()

    def values(
        self, layers: list[np.ndarray], x: np.ndarray
    ) -> tuple[list[np.ndarray], list[np.ndarray], np.ndarray]:
        """Return each layer's input, its slopes σ′, and the outputs (n, Q).

        Columns lie one after another in memory, (n, w) in the order of Fortran: what follows works
        along rows of data, which are many, and not along units, which are few.
        """
        sigma = self.sigma
        assert sigma.slope is not None
        inputs, slopes = [np.asfortranarray(x)], []
        for number, matrix in enumerate(layers[:-1]):
            h = inputs[-1]
            z = (matrix[:, :-1] @ h.T).T
            z += matrix[:, -1]
            out = sigma.values(z)
            slopes.append(sigma.slope(z, out))
            inputs.append(h + out if number and self.residual else out)
        return inputs, slopes, self._outputs(layers[-1], inputs[-1])

    def outputs(self, layers: list[np.ndarray], x: np.ndarray) -> np.ndarray:
        """Return the outputs (n, Q) alone."""
        sigma, h = self.sigma, x
        for number, matrix in enumerate(layers[:-1]):
            z = (matrix[:, :-1] @ h.T).T
            z += matrix[:, -1]
            out = sigma.values(z)
            h = h + out if number and self.residual else out
        return self._outputs(layers[-1], h)

    def _outputs(self, c: np.ndarray, h: np.ndarray) -> np.ndarray:
        width = self.width
        out = h @ c[:, :width].T
        return out + c[:, width] if self.constant else out

    def _buffer(self, rows: int, columns: int, dtype: Any) -> np.ndarray:
        """Return an array to write into, the same one as before: new memory costs as much time."""
        if self._kept is None or self._kept.shape != (rows, columns) or self._kept.dtype != dtype:
            self._kept = np.empty((rows, columns), dtype)
        return self._kept

    def last_layer(self, theta: np.ndarray, rows: Rows) -> tuple[np.ndarray, np.ndarray]:
        """Return the Gram matrix of the functions, and their products with the targets."""
        layers, size = self.layers(theta), self.shapes[-1][1]
        gram, right = np.zeros((size, size)), np.zeros((size, self.n_outputs))
        for x, y, root in rows.chunks(max(64, CHUNK_NUMBERS // self.width), float):
            h = self.values(layers, x)[0][-1]
            h = root * (np.append(h, np.ones((len(h), 1)), axis=1) if self.constant else h)
            gram += h.T @ h
            right += h.T @ (root * y)
        return gram, right

    def jacobian(
        self,
        layers: list[np.ndarray],
        inputs: list[np.ndarray],
        slopes: list[np.ndarray],
        root: np.ndarray,
        output: int,
    ) -> np.ndarray:
        """Return the derivatives of one output in ξ and its own coefficients, times the roots.

        Its columns lie one after another in memory, (n, P) in the order of Fortran.
        """
        n, starts = len(root), self.starts
        hidden, width = starts[-2], self.width
        across = self._buffer(hidden + self.shapes[-1][1], n, root.dtype)
        share = root[:, 0]
        np.multiply(inputs[-1].T, share, out=across[hidden : hidden + width])
        if self.constant:
            across[-1] = share
        back = np.multiply.outer(layers[-1][output, :width], share)
        for number in range(self.depth - 1, -1, -1):
            slope = back * slopes[number].T
            rows, size = self.shapes[number]
            block = across[starts[number] : starts[number + 1]].reshape(rows, size, n)
            np.multiply(slope[:, None, :], inputs[number].T[None, :, :], out=block[:, :-1])
            block[:, -1] = slope
            if number:
                through = layers[number][:, :-1].T @ slope
                back = back + through if self.residual else through
        return across.T

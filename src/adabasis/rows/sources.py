"""Where rows come from: points, values and weights in chunks, read again as often as asked.

Whatever needs rows asks a source for chunks. A source is a list of *parts*: small descriptions that
can be sent elsewhere (pickled) and read there. Passes that any part may be left to any worker in
go over parts; what they find is combined in the order of the parts, so that it has the same bits
wherever each was read.
"""

from __future__ import annotations

import abc
import dataclasses
import functools
from collections.abc import Iterator, Sequence
from typing import Any, ClassVar, NamedTuple

import numpy as np

from ..geometry.points import AffineMap
from .engine import current

#: Rows of a chunk where nobody says: some megabytes.
CHUNK_ROWS = 2**16


class Chunk(NamedTuple):
    """Some rows: points x (n, D), values y (n, Q) and weights (n,), NumPy arrays."""

    x: np.ndarray
    y: np.ndarray
    weight: np.ndarray


@dataclasses.dataclass(frozen=True)
class Statistics:
    """What is known of rows after one pass; rows of weight zero count for nothing.

    Attributes
    ----------
    box : array, shape (D, 2)
        The smallest that holds the points.
    mean, spread : arrays, shape (Q,)
        Weighted mean and standard deviation of the values.
    total_weight : float
    n_rows : int
        Those of positive weight.
    """

    box: np.ndarray
    mean: np.ndarray
    spread: np.ndarray
    total_weight: float
    n_rows: int

    @classmethod
    def of(cls, chunk: Chunk) -> Statistics:
        """Return those of one chunk, at least one row of which has weight.

        Values are taken from the first and in units of their reach: extreme ones neither cancel nor
        overflow.
        """
        x, y, weight = (array[chunk.weight > 0] for array in chunk)
        reach = np.abs(y - y[0]).max(axis=0)
        unit, total = (y - y[0]) / np.where(reach > 0, reach, 1.0), weight.sum()
        mean = weight / total @ unit
        spread = np.sqrt(weight / total @ (unit - mean) ** 2) * reach
        box = np.stack([x.min(axis=0), x.max(axis=0)], axis=1)
        return cls(box, y[0] + mean * reach, spread, float(total), len(x))

    def joined(self, other: Statistics) -> Statistics:
        """Return those of the rows of both (Chan, Golub, LeVeque: Am. Stat. 37, 1983)."""
        total = self.total_weight + other.total_weight
        share, step = other.total_weight / total, other.mean - self.mean
        within = np.hypot(np.sqrt(1 - share) * self.spread, np.sqrt(share) * other.spread)
        low, high = np.minimum(self.box, other.box), np.maximum(self.box, other.box)
        return Statistics(
            np.stack([low[:, 0], high[:, 1]], axis=1),
            self.mean + share * step,
            np.hypot(within, np.sqrt(share * (1 - share)) * step),
            total,
            self.n_rows + other.n_rows,
        )


class AbstractPart(abc.ABC):
    """Some rows of a source, described: small, picklable, and read where it is.

    Attributes
    ----------
    n_rows : int
    first : int
        The number of its first row in the source, from 0.
    """

    n_rows: int
    first: int

    def place(self, row: int) -> str:
        """Return where one of its rows is, in words."""
        return f"row {self.first + row:,} (from 0)"

    @abc.abstractmethod
    def keyed_chunks(self, n_rows: int = CHUNK_ROWS) -> Iterator[tuple[Chunk, np.ndarray]]:
        """Yield the rows in order, at most ``n_rows`` at a time, each chunk with a key of each row.

        Keys are integers (n,): those of rows that belong together are equal. Where nothing is said
        of groups they are the numbers of the rows in the source.
        """

    def chunks(self, n_rows: int = CHUNK_ROWS) -> Iterator[Chunk]:
        """Yield the rows in order, at most ``n_rows`` at a time."""
        for chunk, _ in self.keyed_chunks(n_rows):
            yield chunk

    def read(self) -> Chunk:
        """Return all rows of the part."""
        chunks = list(self.chunks(max(self.n_rows, 1)))
        return (
            chunks[0]
            if len(chunks) == 1
            else Chunk(*map(np.concatenate, zip(*chunks, strict=True)))
        )


class AbstractSource(abc.ABC):
    """Rows that come in chunks; a new kind of data is a new source, not a new path.

    Attributes
    ----------
    n_rows, n_inputs, n_outputs : int
        N, D and Q.
    in_memory : bool
        Whether the rows are in memory anyhow.
    flat : bool
        Whether y was one-dimensional, or the only target of a table.
    grouped : bool
        Whether keys are those of groups, and not numbers of rows.
    classes : array, shape (K,), or None
        Labels, where values are their numbers: 0 for the first.
    """

    n_rows: int
    n_inputs: int
    n_outputs: int
    in_memory: ClassVar[bool] = False
    flat: bool = False
    grouped: bool = False
    classes: np.ndarray | None = None
    _known: Statistics | None = None

    @abc.abstractmethod
    def parts(self, n_rows: int = CHUNK_ROWS) -> Sequence[AbstractPart]:
        """Return descriptions of all rows in order, of at most ``n_rows`` rows where that goes.

        A part of a kind of data that can only be read from its beginning, such as a file of text,
        has more, and yields them in chunks.
        """

    def chunks(self, n_rows: int = CHUNK_ROWS) -> Iterator[Chunk]:
        """Yield all rows in order, at most ``n_rows`` at a time.

        Each call begins again at the first row.
        """
        for part in self.parts(n_rows):
            yield from part.chunks(n_rows)

    def without_map(self) -> tuple[AbstractSource, AffineMap | None]:
        """Return rows and the map of their points that makes them those of this source.

        Whoever maps them once more applies one map instead of two. There is none where the points
        are as they were read.
        """
        return self, None

    def as_given(self, y: np.ndarray) -> np.ndarray:
        """Return values (n, Q) of its rows as the user gave them: (n,) where they were flat."""
        return y[:, 0] if self.flat else y

    @property
    def record_fields(self) -> dict[str, Any]:
        """What the record of a model of these rows holds of them, by field."""
        return {}

    def statistics(self) -> Statistics:
        """Return bounds, mean, spread and weight, in one pass; they are kept.

        Raises
        ------
        ValueError
            If no row has a positive weight.
        """
        if self._known is None:
            self._known = self._seen()
        return self._known

    def _seen(self) -> Statistics:
        if not current().apart:
            seen = [Statistics.of(chunk) for chunk in self.chunks() if (chunk.weight > 0).any()]
        else:
            each = current().map(_statistics_of, self.parts(), label="statistics")
            seen = [one for one in each if one is not None]
        if not seen:
            raise ValueError("statistics: expected a row of positive weight, got none.")
        return functools.reduce(Statistics.joined, seen)


def _statistics_of(part: AbstractPart) -> Statistics | None:
    seen = [Statistics.of(chunk) for chunk in part.chunks() if (chunk.weight > 0).any()]
    return functools.reduce(Statistics.joined, seen) if seen else None


@dataclasses.dataclass(frozen=True)
class ArrayPart(AbstractPart):
    """Rows in memory: views of the arrays, of which a copy is sent where the part is sent."""

    rows: Chunk
    first: int = 0

    @property
    def n_rows(self) -> int:  # type: ignore[override]
        """How many."""
        return len(self.rows.x)

    def keyed_chunks(self, n_rows: int = CHUNK_ROWS) -> Iterator[tuple[Chunk, np.ndarray]]:
        """Yield slices: nothing is copied."""
        for start in range(0, self.n_rows, n_rows):
            chunk = Chunk(*(array[start : start + n_rows] for array in self.rows))
            yield chunk, np.arange(self.first + start, self.first + start + len(chunk.x))


class ArraySource(AbstractSource):
    """Arrays in memory.

    Parameters
    ----------
    x : array, shape (N, D)
        Inputs.
    y : array, shape (N, Q)
        Values.
    weight : array, shape (N,), optional
        How much each row counts; not negative.

    Raises
    ------
    ValueError
        For arrays of different lengths or other shapes.
    """

    in_memory = True

    def __init__(self, x: np.ndarray, y: np.ndarray, weight: np.ndarray | None = None) -> None:
        weight = np.ones(len(x)) if weight is None else weight
        shapes = np.shape(x), np.shape(y), np.shape(weight)
        if [len(shape) for shape in shapes] != [2, 2, 1] or len({s[0] for s in shapes}) > 1:
            raise ValueError(
                "ArraySource: expected x of shape (N, D), y of shape (N, Q) and weights of shape "
                f"(N,), got {', '.join(map(str, shapes))}."
            )
        self.rows = Chunk(x, y, weight)
        (self.n_rows, self.n_inputs), self.n_outputs = x.shape, y.shape[1]

    def parts(self, n_rows: int = CHUNK_ROWS) -> list[ArrayPart]:
        """Return slices of the arrays: nothing is copied."""
        return [
            ArrayPart(Chunk(*(array[start : start + n_rows] for array in self.rows)), start)
            for start in range(0, self.n_rows, n_rows)
        ]

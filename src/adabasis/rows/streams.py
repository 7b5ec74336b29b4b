"""Sources made of other sources: mapped, split, sampled, read ahead of the work.

A row is held out, or taken into a sample, by a hash of its key: the number of the row, or that of
its group. So it does not matter how rows are cut into chunks, nor who reads which of them.
"""

from __future__ import annotations

import concurrent.futures
import dataclasses
import functools
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, NamedTuple, TypeVar

import numpy as np

from ..geometry.points import AffineMap
from .sources import CHUNK_ROWS, AbstractPart, AbstractSource, Chunk, Statistics

Item = TypeVar("Item")
#: Added to the seed of a hash that has to be another than that of the split.
OF_SAMPLE = 0x5851F42D


def scattered(keys: np.ndarray, seed: int) -> np.ndarray:
    """Return numbers in [0, 1) for integer keys (n,): equal for equal keys, else as if random.

    The hash is splitmix64 (Steele, Lea, Flood: OOPSLA 2014).
    """
    with np.errstate(over="ignore"):
        step = np.uint64(0x9E3779B97F4A7C15)
        z = np.asarray(keys).astype(np.uint64) + step * np.uint64(2 * seed + 1)
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        z = z ^ (z >> np.uint64(31))
    return (z >> np.uint64(11)).astype(float) / 2.0**53


def read_ahead(items: Iterable[Item]) -> Iterator[Item]:
    """Yield the items, the next one being made in a thread while the last one is worked on."""
    following = iter(items)
    nothing: Any = object()
    with concurrent.futures.ThreadPoolExecutor(1, "adabasis-reading") as thread:
        waiting = thread.submit(next, following, nothing)
        while (item := waiting.result()) is not nothing:
            waiting = thread.submit(next, following, nothing)
            yield item


@dataclasses.dataclass(frozen=True)
class Split:
    """Which rows: those whose hash is in [low, high).

    Attributes
    ----------
    low, high : float
    seed : int
    """

    low: float
    high: float
    seed: int = 0

    def holds(self, keys: np.ndarray) -> np.ndarray:
        """Say which keys are in, (n,)."""
        found = scattered(keys, self.seed)
        return (self.low <= found) & (found < self.high)


class DerivedPart(AbstractPart):
    """A part whose chunks are made of those of another."""

    def __init__(self, part: AbstractPart, split: Split | None, change: Any) -> None:
        self.part, self.split, self.change = part, split, change
        self.first, self.n_rows = part.first, part.n_rows

    def __str__(self) -> str:
        return str(self.part)

    def keyed_chunks(self, n_rows: int = CHUNK_ROWS) -> Iterator[tuple[Chunk, np.ndarray]]:
        """Yield the rows that are in, changed."""
        for chunk, keys in self.part.keyed_chunks(n_rows):
            if self.split is not None:
                kept = self.split.holds(keys)
                if not kept.any():
                    continue
                if not kept.all():
                    chunk, keys = Chunk(*(array[kept] for array in chunk)), keys[kept]
            yield chunk if self.change is None else self.change(chunk), keys


class DerivedSource(AbstractSource):
    """A source of some rows of another, changed chunk by chunk.

    Parameters
    ----------
    source : AbstractSource
    split : Split, optional
        Which rows; all, if left out.
    change : callable, optional
        From a chunk to one of as many rows; it is sent along with the parts.
    known : Statistics, optional
        Those of its rows, where they are known before any pass.
    shape : pair of int, optional
        D and Q after the change, where they are others.
    """

    def __init__(
        self,
        source: AbstractSource,
        split: Split | None = None,
        change: Callable[[Chunk], Chunk] | None = None,
        known: Statistics | None = None,
        shape: tuple[int, int] | None = None,
    ) -> None:
        self.source, self.split, self.change = source, split, change
        self._known = known
        self.grouped = source.grouped
        self.n_inputs, self.n_outputs = shape or (source.n_inputs, source.n_outputs)

    @property
    def n_rows(self) -> int:  # type: ignore[override]
        """Rows of the source, or of the split where it was counted."""
        if self.split is None:
            return self.source.n_rows
        return self.statistics().n_rows

    @property
    def record_fields(self) -> dict[str, Any]:
        """What the source says of its columns."""
        return self.source.record_fields

    def without_map(self) -> tuple[AbstractSource, AffineMap | None]:
        """Return the rows before an affine map of their points, and that map."""
        if not isinstance(self.change, Mapped) or not isinstance(self.change.inputs, AffineMap):
            return self, None
        change, shape = Mapped(None, self.change.outputs), (self.n_inputs, self.n_outputs)
        source = DerivedSource(self.source, self.split, change, self._known, shape)
        return source, self.change.inputs

    def parts(self, n_rows: int = CHUNK_ROWS) -> Sequence[AbstractPart]:
        """Return the parts of the source, each with what becomes of its rows."""
        return [DerivedPart(part, self.split, self.change) for part in self.source.parts(n_rows)]


@dataclasses.dataclass(frozen=True)
class Mapped:
    """The change of a chunk to a model's units: a function of points, if any, and one of values."""

    inputs: Any
    outputs: Any

    def __call__(self, chunk: Chunk) -> Chunk:
        """Return the chunk with both applied.

        Raises
        ------
        ValueError
            For values that have none: a logarithm of 0.
        """
        with np.errstate(all="ignore"):
            values = self.outputs(chunk.y)
        bad = ~np.isfinite(values)
        if bad.any():
            row, column = np.argwhere(bad)[0]
            raise ValueError(
                f"y: the transform of target {column + 1} has no value for {chunk.y[row, column]}, "
                "which no row of the sample holds. Take target_transform='yeo-johnson' or None."
            )
        x = chunk.x if self.inputs is None else self.inputs(chunk.x)
        return Chunk(x, values, chunk.weight)


class Sample(NamedTuple):
    """Rows of the least hashes so far, as a random choice: rows, keys, hashes and their numbers."""

    rows: Chunk
    keys: np.ndarray
    order: np.ndarray
    numbers: np.ndarray

    @classmethod
    def of(
        cls, chunk: Chunk, keys: np.ndarray, numbers: np.ndarray, most: int, seed: int
    ) -> Sample:
        """Return those of a chunk whose rows have these numbers in the source."""
        used = chunk.weight > 0
        order = scattered(numbers, seed + OF_SAMPLE)
        return cls(chunk, keys, order, numbers)._chosen(used, most)

    def joined(self, other: Sample, most: int) -> Sample:
        """Return those of the rows of both, in the order of the source."""
        rows = Chunk(*(np.concatenate(pair) for pair in zip(self.rows, other.rows, strict=True)))
        rest = (np.concatenate(pair) for pair in zip(self[1:], other[1:], strict=True))
        both = Sample(rows, *rest)
        return both._chosen(np.ones(len(both.order), bool), most)

    def _chosen(self, used: np.ndarray, most: int) -> Sample:
        kept = np.flatnonzero(used)
        if len(kept) > most:
            kept = kept[np.argpartition(self.order[kept], most - 1)[:most]]
        kept = kept[np.argsort(self.numbers[kept], kind="stable")]
        if len(kept) == len(self.order):
            return self
        return Sample(Chunk(*(a[kept] for a in self.rows)), *(a[kept] for a in self[1:]))


class Summary(NamedTuple):
    """What one pass learns of the rows in a split: their statistics, and a sample of them.

    Summaries are a monoid: those of two parts are joined to that of both.
    """

    statistics: Statistics | None
    sample: Sample | None
    most: int

    def joined(self, other: Summary) -> Summary:
        """Return that of the rows of both."""
        statistics, sample = self.statistics or other.statistics, self.sample or other.sample
        if self.statistics is not None and other.statistics is not None:
            statistics = self.statistics.joined(other.statistics)
        if self.sample is not None and other.sample is not None:
            sample = self.sample.joined(other.sample, self.most)
        return Summary(statistics, sample, self.most)


def summarized(
    part: AbstractPart, splits: Sequence[tuple[Split | None, int]], seed: int
) -> tuple[int, list[Summary]]:
    """Return the number of rows of a part, and a summary of each split with so many rows at most.

    Raises
    ------
    ValueError
        For entries that are not finite numbers and for negative weights, naming part and row.
    """
    found = [Summary(None, None, most) for _, most in splits]
    done = 0
    for chunk, keys in read_ahead(part.keyed_chunks()):
        check_rows(chunk, part, done)
        numbers = part.first + done + np.arange(len(chunk.x))
        done += len(chunk.x)
        for k, (split, most) in enumerate(splits):
            kept = chunk.weight > 0
            if split is not None:
                kept = kept & split.holds(keys)
            if not kept.any():
                continue
            some = chunk if kept.all() else Chunk(*(array[kept] for array in chunk))
            sample = Sample.of(some, keys[kept], numbers[kept], most, seed)
            found[k] = found[k].joined(Summary(Statistics.of(some), sample, most))
    return done, found


def check_rows(chunk: Chunk, part: AbstractPart, done: int) -> None:
    """Refuse rows that hold what is no finite number, and negative weights.

    Raises
    ------
    ValueError
    """
    for what, array in zip(("X", "y", "sample_weight"), chunk, strict=True):
        sound = np.isfinite(array)
        if what == "sample_weight":
            sound &= array >= 0
        if sound.all():
            continue
        at = tuple(int(i) for i in np.argwhere(~sound)[0])
        column = f", column {at[1]}," if len(at) > 1 else ""
        wanted = "a finite number" if what != "sample_weight" else "a finite weight of at least 0"
        raise ValueError(
            f"{what}: {part.place(done + at[0])}{column} holds {array[at]}: expected {wanted}. "
            "Mend it, or leave the row out."
        )


def summary(
    source: AbstractSource,
    splits: Sequence[tuple[Split | None, int]],
    seed: int,
    engine: Any = None,
) -> tuple[int, list[Summary]]:
    """Return the number of all rows, and a summary of each split, in one pass over the parts.

    Parts are left to an engine (:mod:`adabasis.rows.engine`) that has several workers.
    """
    of_part = functools.partial(summarized, splits=splits, seed=seed)
    if engine is not None and engine.apart:
        found: tuple[int, list[Summary]] = engine.map_reduce(of_part, source.parts(), _together)
        return found
    return functools.reduce(_both, map(of_part, source.parts()))  # one sample at a time


def _together(*several: tuple[int, list[Summary]]) -> tuple[int, list[Summary]]:
    return functools.reduce(_both, several)


def _both(
    one: tuple[int, list[Summary]], other: tuple[int, list[Summary]]
) -> tuple[int, list[Summary]]:
    pairs = zip(one[1], other[1], strict=True)
    return one[0] + other[0], [first.joined(second) for first, second in pairs]

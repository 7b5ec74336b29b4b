"""Rows in batches, in another random order in every epoch, from a source of any length.

As many rows as a window holds are read and handed out in a random order; of a source that fits into
one, they stay, and the order is a random one of all rows. Of a longer one parts come in a random
order, some of them together in a window: rows that are far from each other in the source meet in a
batch, and memory is bounded by the window. The next window is read while steps are taken on the
last.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from .. import rows
from .descent import Standard, single, standardized

Batch = tuple[np.ndarray, np.ndarray, np.ndarray]
#: Numbers of a window (16 MiB in single precision), its rows at least, and those of a part.
WINDOW_NUMBERS, FEWEST_ROWS, PART_ROWS = 2**22, 2**14, 2**16
#: Rows that are read at once, of many columns fewer: what is made of them on their way into a
#: window fits in a cache.
READ_ROWS = 2**14
#: Weight, relative to the mean, that rows count with at least: a batch without any tells nothing.
LEAST_WEIGHT = np.float32(1e-12)


class Feed:
    """Batches of the rows of a source that have weight.

    Parameters
    ----------
    source : rows.AbstractSource
    standard : Standard
        The map of the points.
    seed : sequence of int
        Of the order of rows, with the number of the epoch.
    size : int
        Rows of a batch.
    """

    def __init__(
        self, source: rows.AbstractSource, standard: Standard, seed: Sequence[int], size: int
    ) -> None:
        self.source, self.standard, self.seed, self.size = source, standard, seed, size
        known = source.statistics()
        self.n_rows, self.mean = known.n_rows, known.total_weight / known.n_rows
        columns = source.n_inputs + source.n_outputs + 1
        self.window = max(WINDOW_NUMBERS // columns, FEWEST_ROWS, size)
        self.read = min(READ_ROWS, max(WINDOW_NUMBERS // columns, 1))
        self.kept: Batch | None = None
        self.rows, before = source.without_map()
        self.map = standard.following(before)
        if source.in_memory or self.n_rows <= self.window:
            chunks = [self._ready(chunk) for chunk in self.rows.chunks()]
            x, y, share = (np.concatenate(arrays) for arrays in zip(*chunks, strict=True))
            self.kept = x, y, share
        self.next = -2
        self.going: Iterator[Batch] = iter(())

    @property
    def n_batches(self) -> int:
        """Batches of an epoch: the last rows that fill none wait for another."""
        return self.n_rows // self.size

    def at(self, step: int) -> Batch:
        """Return the batch of a step; steps that follow each other are cheap."""
        if step != self.next:
            epoch, skipped = divmod(step, self.n_batches)
            self.going = self._from(epoch)
            for _ in range(skipped if self.kept is None else 0):
                next(self.going)
            if self.kept is not None:
                self.going = self._from(epoch, skipped)
        self.next = step + 1
        return next(self.going)

    def again(self, epoch: int) -> Iterator[Batch]:
        """Yield the batches of one epoch over and over."""
        while True:
            yield from self._of(epoch)

    def _from(self, epoch: int, skipped: int = 0) -> Iterator[Batch]:
        while True:
            yield from self._of(epoch, skipped)
            epoch, skipped = epoch + 1, 0

    def _of(self, epoch: int, skipped: int = 0) -> Iterator[Batch]:
        rng = np.random.default_rng([*self.seed, epoch + 1])
        if self.kept is not None:
            order = rng.permutation(self.n_rows)
            for i in range(skipped, self.n_batches):
                some = order[i * self.size : (i + 1) * self.size]
                yield _of_rows(self.kept, some)
            return
        left = self.n_batches
        for window, order in rows.read_ahead(self._windows(rng)):
            for start in range(0, len(order) - self.size + 1, self.size):
                if not left:
                    return
                left -= 1
                yield _of_rows(window, order[start : start + self.size])
        if left:
            raise ValueError(
                f"The rows have changed: {self.n_rows:,} at the first pass, and "
                f"{left * self.size:,} fewer now. Fit again when nothing writes to them."
            )

    def _windows(self, rng: np.random.Generator) -> Iterator[tuple[Batch, np.ndarray]]:
        # Yield windows and orders of their rows; what fills no batch goes into the next one. One is
        # filled while batches are taken from the other: two take turns.
        length = self.window + self.read
        shapes = (length, self.source.n_inputs), (length, self.source.n_outputs), (length,)
        windows = [tuple(np.empty(shape, np.float32) for shape in shapes) for _ in range(2)]
        parts = self.rows.parts(PART_ROWS)
        held, turn = 0, 0
        for number in rng.permutation(len(parts)):
            for chunk in parts[int(number)].chunks(self.read):
                held += self._fill(windows[turn], held, chunk)
                if held >= self.window:
                    window, order = _as_batch(windows[turn], held), rng.permutation(held)
                    whole = held // self.size * self.size
                    yield window, order[:whole]
                    # Only now are all batches taken from the other, which the rest goes into.
                    turn, held = 1 - turn, held - whole
                    for new, old in zip(windows[turn], window, strict=True):
                        new[:held] = old[order[whole:]]
        yield _as_batch(windows[turn], held), rng.permutation(held)

    def _fill(self, window: tuple[np.ndarray, ...], held: int, chunk: rows.Chunk) -> int:
        # Write the rows of a chunk that have weight behind those held; return how many.
        x, y, weight = _of_weight(chunk)
        new = slice(held, held + len(weight))
        standardized(x, self.map, window[0][new])
        window[1][new] = y
        window[2][new] = self._share(weight)
        return len(weight)

    def _ready(self, chunk: rows.Chunk) -> Batch:
        x, y, weight = _of_weight(chunk)
        return standardized(x, self.map), single(y), self._share(weight)

    def _share(self, weight: np.ndarray) -> np.ndarray:
        return np.maximum(single(weight / self.mean), LEAST_WEIGHT)


def _of_weight(chunk: rows.Chunk) -> rows.Chunk:
    used = chunk.weight > 0
    return chunk if used.all() else rows.Chunk(*(array[used] for array in chunk))


def _as_batch(window: tuple[np.ndarray, ...], length: int) -> Batch:
    x, y, share = (array[:length] for array in window)
    return x, y, share


def _of_rows(batch: Batch, some: np.ndarray) -> Batch:
    x, y, weight = batch
    # A sixth of the time of x[some], which does not copy row by row.
    return np.take(x, some, axis=0), np.take(y, some, axis=0), np.take(weight, some)

"""Arrays on disk and chunks that a program makes, as rows."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np

from .sources import CHUNK_ROWS, AbstractPart, AbstractSource, Chunk


def chunk_of(x: Any, y: Any, weight: Any = None) -> Chunk:
    """Return rows in float64, y (n,) as one column and weights of 1 where there are none."""
    x, y = _floats("X", x), _floats("y", y)
    y = y[:, None] if y.ndim == 1 else y
    weight = np.ones(len(x)) if weight is None else _floats("weights", weight)
    shapes = x.shape, y.shape, weight.shape
    if [len(shape) for shape in shapes] != [2, 2, 1] or len({shape[0] for shape in shapes}) > 1:
        raise ValueError(
            "a chunk of rows: expected X of shape (n, D), y of shape (n,) or (n, Q) and weights of "
            f"shape (n,), got {', '.join(map(str, shapes))}."
        )
    return Chunk(x, y, weight)


def _floats(name: str, values: Any) -> np.ndarray:
    """Return numbers in float64; complex ones, dates and words are none."""
    array = np.asarray(values)
    try:
        if array.dtype.kind in "cmM":
            raise ValueError(f"of type {array.dtype}")
        return array.astype(float, copy=False)
    except (TypeError, ValueError) as error:
        raise ValueError(
            f"a chunk of rows: {name} holds entries that are no real numbers ({error}). Turn them "
            "into numbers before; labels are for classify(chunks)."
        ) from error


@dataclasses.dataclass(frozen=True)
class Stored:
    """Where an array on disk is, and how it is opened there.

    Attributes
    ----------
    kind : {"memory map", "HDF5", "Zarr", "array"}
    path : str
    about : tuple
        The name inside of the file; of a memory map its type, offset, shape and order; of an array
        in memory the array.
    """

    kind: str
    path: str
    about: tuple[Any, ...]

    @classmethod
    def of(cls, array: Any) -> Stored:
        """Describe an array.

        Raises
        ------
        ValueError
            For a store that has no place that another process could open.
        """
        if isinstance(array, np.memmap) and array.filename is not None:
            base = _map_of(array)
            if base is not None:
                offset = base.offset + _address(array) - _address(base)
                layout = array.dtype.str, offset, array.shape, array.strides
                return cls("memory map", os.fspath(array.filename), layout)
        module = type(array).__module__.partition(".")[0]
        if module == "h5py":
            return cls("HDF5", array.file.filename, (array.name,))
        if module == "zarr":
            path = getattr(array.store, "root", None)
            if path is None:
                raise ValueError(
                    f"X: this Zarr array is in {type(array.store).__name__}; expected one in a "
                    "folder. Save it there, or read it into memory."
                )
            return cls("Zarr", os.fspath(path), (array.path,))
        return cls("array", "", (np.asarray(array),))

    def rows(self, start: int, stop: int) -> np.ndarray:
        """Return some rows as numbers in memory.

        Raises
        ------
        FileNotFoundError
            If the file is gone.
        """
        if self.kind == "array":
            return np.asarray(self.about[0][start:stop])
        if not os.path.exists(self.path):
            raise FileNotFoundError(
                f"{self.path}: the {self.kind} file was there at the first pass and is gone. Put "
                "it back and fit again."
            )
        if self.kind == "memory map":
            dtype, offset, shape, strides = self.about
            return _mapped_rows(self.path, np.dtype(dtype), offset, shape, strides, start, stop)
        if self.kind == "HDF5":
            import h5py  # type: ignore[import-untyped, unused-ignore]

            with h5py.File(self.path, "r") as file:
                return np.asarray(file[self.about[0]][start:stop])
        import zarr

        group = zarr.open(self.path, mode="r")
        array = group[self.about[0]] if self.about[0] else group
        return np.asarray(array[start:stop])  # type: ignore[index]


def _address(array: np.ndarray) -> int:
    return int(array.__array_interface__["data"][0])


def _map_of(array: Any) -> Any:
    """Return the memory map that an array is a view of: the one whose base is no array."""
    while isinstance(array, np.ndarray) and isinstance(array.base, np.ndarray):
        array = array.base
    return array if isinstance(array, np.memmap) else None


def _mapped_rows(
    path: str,
    dtype: np.dtype,
    offset: int,
    shape: tuple[int, ...],
    strides: tuple[int, ...],
    start: int,
    stop: int,
) -> np.ndarray:
    if min(strides) < 0:
        raise ValueError(f"{path}: a memory map in reverse order. Give it as it is in the file.")
    stop = min(stop, shape[0])
    first = offset + start * strides[0]
    extent = dtype.itemsize + sum(
        (n - 1) * step for n, step in zip((max(stop - start, 1), *shape[1:]), strides, strict=True)
    )
    if os.path.getsize(path) < first + extent:
        raise ValueError(
            f"{path}: fewer bytes than at the first pass. Fit again when nothing writes to it."
        )
    raw = np.memmap(path, np.uint8, "r", first, (extent,))
    view = np.ndarray((stop - start, *shape[1:]), dtype, raw, 0, strides)
    return np.array(view)  # a copy: pages of the map do not stay in memory


@dataclasses.dataclass(frozen=True)
class StoredPart(AbstractPart):
    """Rows of arrays on disk."""

    x: Stored
    y: Stored
    weight: Stored | None
    first: int
    n_rows: int
    groups: np.ndarray | None = None

    def keyed_chunks(self, n_rows: int = CHUNK_ROWS) -> Iterator[tuple[Chunk, np.ndarray]]:
        """Yield the rows in order."""
        last = self.first + self.n_rows
        for start in range(self.first, last, n_rows):
            stop = min(start + n_rows, last)
            weight = None if self.weight is None else self.weight.rows(start, stop)
            chunk = chunk_of(self.x.rows(start, stop), self.y.rows(start, stop), weight)
            if self.groups is not None:
                yield chunk, self.groups[start - self.first : stop - self.first]
            else:
                yield chunk, np.arange(start, stop)


class StoredSource(AbstractSource):
    """Arrays on disk: memory maps of NumPy, data sets of HDF5 (h5py), arrays of Zarr.

    Parameters
    ----------
    X : array on disk, shape (N, D)
        Inputs.
    y : array on disk or in memory, shape (N,) or (N, Q)
        Values.
    weight : array on disk or in memory, shape (N,), optional
        How much each row counts; not negative.
    groups : array in memory, shape (N,), optional
        Labels: rows of one are held out together.
    """

    def __init__(self, X: Any, y: Any, weight: Any = None, groups: Any = None) -> None:
        shapes = tuple(X.shape), np.shape(y), None if weight is None else np.shape(weight)
        n = shapes[0][0] if shapes[0] else 0
        sound = len(shapes[0]) == 2 and len(shapes[1]) in (1, 2) and shapes[1][0] == n
        if not sound or shapes[2] not in (None, (n,)):
            raise ValueError(
                "StoredSource(X, y): expected X of shape (N, D), y of shape (N,) or (N, Q) and "
                f"weights of shape (N,), got {', '.join(map(str, filter(None, shapes)))}."
            )
        self.n_rows, self.n_inputs = shapes[0]
        self.flat = len(shapes[1]) == 1
        self.n_outputs = 1 if self.flat else shapes[1][1]
        self.arrays = Stored.of(X), Stored.of(y), None if weight is None else Stored.of(weight)
        for array in (X, y):
            _check_whole(array)
        self.grouped, self.groups = groups is not None, None
        if groups is not None:
            if np.shape(groups) != (n,):
                raise ValueError(f"groups: expected shape ({n},), got {np.shape(groups)}.")
            self.groups = np.unique(np.asarray(groups), return_inverse=True)[1]

    def parts(self, n_rows: int = CHUNK_ROWS) -> Sequence[AbstractPart]:
        """Return ranges of rows."""
        starts = range(0, self.n_rows, n_rows)
        return [self._part(start, min(n_rows, self.n_rows - start)) for start in starts]

    def _part(self, first: int, n_rows: int) -> StoredPart:
        groups = None if self.groups is None else self.groups[first : first + n_rows]
        return StoredPart(*self.arrays, first, n_rows, groups)


def _check_whole(array: Any) -> None:
    """Refuse a Zarr array of which chunks are not there: they read as zeros without a word."""
    if type(array).__module__.partition(".")[0] == "zarr":
        there, all_ = array.nchunks_initialized, array.nchunks
        if there < all_:
            raise ValueError(
                f"X or y: {all_ - there:,} of the {all_:,} chunks of Zarr array {array.path!r} are "
                "not there and would read as its fill value. Copy it again, or write them."
            )


def is_stored(X: Any) -> bool:
    """Whether X is an array on disk."""
    module = type(X).__module__.partition(".")[0]
    return isinstance(X, np.memmap) or (module in ("h5py", "zarr") and hasattr(X, "shape"))


def stored(call: str, X: Any, y: Any, weight: Any, groups: Any = None) -> StoredSource:
    """Return rows of arrays on disk.

    Raises
    ------
    TypeError, ValueError
    """
    if y is None:
        raise TypeError(f"{call}(): missing a required argument: 'y'.")
    y, weight = (a if a is None or is_stored(a) else np.asarray(a, float) for a in (y, weight))
    return StoredSource(X, y, weight, groups)


class IterableSource(AbstractSource):
    """Chunks that a program makes: whatever can be iterated again and again.

    Parameters
    ----------
    chunks : iterable of (X, y) or (X, y, weight)
        A sequence, or an object whose ``__iter__`` begins again.

    Raises
    ------
    ValueError
        For a generator, which can be read once only, and for no chunks.
    """

    def __init__(self, chunks: Iterable[Any]) -> None:
        if iter(chunks) is chunks:
            raise ValueError(
                "a source of chunks is read several times, and a generator can be read once. Give "
                "a list, or an object whose __iter__ starts again."
            )
        self.given: Any = chunks
        self.lengths: list[int] = []
        for item in chunks:
            chunk = self._chunk(item)
            if not self.lengths:
                self.n_inputs, self.n_outputs = chunk.x.shape[1], chunk.y.shape[1]
                self.flat = np.ndim(item[1]) == 1
            if (chunk.x.shape[1], chunk.y.shape[1]) != (self.n_inputs, self.n_outputs):
                raise ValueError(
                    f"chunk {len(self.lengths)}: {chunk.x.shape[1]} inputs and {chunk.y.shape[1]} "
                    f"targets, where the first has {self.n_inputs} and {self.n_outputs}."
                )
            self.lengths.append(len(chunk.x))
        if not self.lengths:
            raise ValueError("a source of chunks: expected pairs (X, y), got no chunk.")
        self.n_rows = sum(self.lengths)

    def _chunk(self, item: Any) -> Chunk:
        try:
            return chunk_of(*item)
        except TypeError as error:
            raise ValueError(
                "a source of chunks: expected pairs (X, y) or triples (X, y, weight), got "
                f"{type(item).__name__}."
            ) from error

    def parts(self, n_rows: int = CHUNK_ROWS) -> Sequence[AbstractPart]:
        """Return the chunks of a sequence one by one, and those of another iterable as one part."""
        starts = np.cumsum([0, *self.lengths])
        if hasattr(self.given, "__getitem__"):
            numbers = [(i, i + 1) for i in range(len(self.lengths))]
        else:
            numbers = [(0, len(self.lengths))]
        return [
            IterablePart(self.given, i, j, int(starts[i]), int(starts[j] - starts[i]))
            for i, j in numbers
        ]


class IterablePart(AbstractPart):
    """Some chunks of an iterable; where a sequence is sent elsewhere, only its own item is."""

    def __init__(self, given: Any, start: int, stop: int, first: int, n_rows: int) -> None:
        self.given, self.start, self.stop = given, start, stop
        self.first, self.n_rows = first, n_rows

    def __getstate__(self) -> dict[str, Any]:
        state = dict(self.__dict__)
        if hasattr(self.given, "__getitem__"):
            state["given"] = [self.given[i] for i in range(self.start, self.stop)]
            state["start"], state["stop"] = 0, self.stop - self.start
        return state

    def keyed_chunks(self, n_rows: int = CHUNK_ROWS) -> Iterator[tuple[Chunk, np.ndarray]]:
        """Yield the rows in order."""
        done = 0
        if hasattr(self.given, "__getitem__"):
            items: Iterable[Any] = (self.given[i] for i in range(self.start, self.stop))
        else:
            items = self.given
        for item in items:
            chunk = chunk_of(*item)
            for begin in range(0, len(chunk.x), n_rows):
                some = Chunk(*(array[begin : begin + n_rows] for array in chunk))
                at = self.first + done + begin
                yield some, np.arange(at, at + len(some.x))
            done += len(chunk.x)
        if done != self.n_rows:
            raise ValueError(
                f"the rows have changed: {self.n_rows:,} at the first pass, {done:,} now. Fit "
                "again when nothing writes to them."
            )

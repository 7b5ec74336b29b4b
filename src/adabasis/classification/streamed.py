"""Labelled rows of a source: functions are chosen on some, the last layer is solved on all.

What is the same for numbers and for labels is in :mod:`adabasis.regression.streamed`: here labels
become indicators of classes, and errors are cross-entropies.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import numpy as np

from .. import rows
from .._runtime.compute import numerics
from .._runtime.errors import listed
from .._runtime.registry import provided
from ..evidence.classes import judge_classes
from ..models.classifier import Classifier, checked_labels, index_of, indicators, learn_classes
from ..regression.streamed import Numbers, claiming_at_least, is_files, of_chunks, source_of
from ..rows.sources import CHUNK_ROWS
from ..rows.streams import Sample
from ..selection.holdout import claimed, kind_of
from ..selection.prepared import SEARCH_ROWS, padded_term, some_rows
from ..selection.stream import mapped
from ..train.passes import total_over
from .chunked import solve_source
from .solve import status_of
from .task import LEAST_LIKELY

#: Classes of a source whose labels are learnt in a pass: of more, targets are numbers or names.
MOST_CLASSES = 1000


@dataclasses.dataclass(frozen=True)
class Indicators:
    """The change of a chunk whose values are numbers of classes to indicators (n, K)."""

    n_classes: int

    def __call__(self, chunk: rows.Chunk) -> rows.Chunk:
        """Return the chunk; a row of weight 0 may be of no class."""
        x, y, weight = chunk
        found = indicators(y[:, 0], self.n_classes)
        lost = np.flatnonzero((found.sum(axis=1) == 0) & (weight > 0))
        if len(lost):
            raise ValueError(
                f"y: a row holds {y[lost[0], 0]:g}, which none held at the first pass. Fit again "
                "when nothing writes to the rows."
            )
        return rows.Chunk(x, found, weight)


@dataclasses.dataclass(frozen=True)
class Numbered:
    """The change of a chunk whose values are labels, as numbers, to their positions (n, 1)."""

    labels: np.ndarray

    def __call__(self, chunk: rows.Chunk) -> rows.Chunk:
        """Return the chunk; other labels get the number −1."""
        x, y, weight = chunk
        at = np.searchsorted(self.labels, y[:, 0]).clip(0, len(self.labels) - 1)
        index = np.where(self.labels[at] == y[:, 0], at, -1.0)
        return rows.Chunk(x, index[:, None], weight)


class LabelledSource(rows.DerivedSource):
    """Rows whose values are indicators of classes, (n, K).

    Parameters
    ----------
    source : rows.AbstractSource
        Its values are numbers of classes.
    classes : array, shape (K,)
    """

    def __init__(self, source: rows.AbstractSource, classes: np.ndarray) -> None:
        shape = source.n_inputs, len(classes)
        super().__init__(source, change=Indicators(len(classes)), shape=shape)
        self.classes, self.flat = classes, True

    def as_given(self, y: np.ndarray) -> np.ndarray:
        """Return the labels of indicators (n, K)."""
        assert self.classes is not None
        return self.classes[y.argmax(axis=1)]


class _Encoded:
    # Chunks of labels as chunks of their numbers, as often as asked.
    def __init__(self, chunks: Iterable[Any], classes: np.ndarray) -> None:
        self.chunks, self.classes = chunks, classes

    def __iter__(self) -> Iterator[Any]:
        return map(self._numbered, self.chunks)

    def _numbered(self, item: Any) -> Any:
        x, y, *weight = item
        return (x, index_of(y, self.classes).astype(float), *weight)


class _EncodedSequence(_Encoded):
    # The same where each is at hand: those of a part alone are sent to a worker.
    def __getitem__(self, number: int) -> Any:
        return self._numbered(self.chunks[number])  # type: ignore[index]

    def __len__(self) -> int:
        return len(self.chunks)  # type: ignore[arg-type]


class Labels(Numbers):
    """What is done with rows of a source whose values are labels."""

    def source(
        self, call: str, X: Any, y: Any, weight: Any, groups: Any
    ) -> rows.AbstractSource | None:
        """Return labelled rows, or ``None`` for what is in memory.

        Raises
        ------
        BadInput, ValueError
            For what is no source, one class, and numbers that are no classes.
        """
        if is_files(X):
            found = provided("rows of tables")(
                X, y, weight=weight, group=groups, call=call, classify=True
            )
            return LabelledSource(found, found.classes)
        if rows.is_stored(X) and y is not None and not _stored_numbers(y):
            classes, index = learn_classes(np.asarray(y[:] if hasattr(y, "shape") else y))
            source: rows.AbstractSource = rows.stored(call, X, index.astype(float), weight, groups)
            return LabelledSource(source, classes)
        if y is None and weight is None and groups is None and of_chunks(X):
            return _of_chunks(X)
        plain = source_of(call, X, y, weight, groups)
        if plain is None or isinstance(plain, LabelledSource):
            return plain
        if plain.classes is not None:
            return LabelledSource(plain, plain.classes)
        return _learnt(call, plain)

    def check(self, call: str, given: Mapping[str, Any]) -> None:
        """Refuse nothing: cross-entropy is a sum over rows."""

    def claiming(self, model: Classifier, held_out: rows.AbstractSource) -> Classifier:
        """Return a model that claims its cross-entropy on all rows held out, if that is worse."""
        known = held_out.statistics()
        share = known.mean
        unit = float(-np.sum(share * np.log(np.where(share > 0, share, 1.0))))
        total = total_over(held_out, functools.partial(_surprise, model), CHUNK_ROWS)
        if not unit > 0:
            return model
        error = float(total[0]) / known.total_weight / unit
        found: Classifier = claiming_at_least(model, error, known.n_rows)
        return found

    def judged(
        self,
        model: Classifier,
        source: rows.AbstractSource,
        sample: Sample,
        apart: Sample,
        holdout: float | str | None,
    ) -> Classifier:
        """Judge a model on rows held out of everything, then solve it again with all rows."""
        x, y, weight = (np.concatenate(pair) for pair in zip(sample.rows, apart.rows, strict=True))
        groups = np.concatenate([sample.keys, apart.keys]) if source.grouped else None
        n, seed, labels = len(sample.keys), model.record.asked.random_state, source.as_given(y)
        at, kind = (np.arange(n), np.arange(n, len(x))), kind_of(holdout, groups)
        verdict = judge_classes(model, x, labels, weight, at, groups=groups, kind=kind)
        some, ridge = some_rows(np.arange(n), SEARCH_ROWS, seed), model.record.ridge.value
        with numerics():
            everything = mapped(source, model.input_map, lambda y: y)
            term = padded_term(model.input_map(x[some]), y[some], weight[some])
            solved = solve_source((model.basis, model.parameters), everything, term, ridge)
        again = dataclasses.replace(
            model,
            coefficients=np.asarray(solved.coefficients),
            rank=int(solved.rank),
            singular_values=np.asarray(solved.singular_values),
            status=status_of(solved, ridge),
            record=dataclasses.replace(model.record, n_rows=source.statistics().n_rows),
            box=source.statistics().box,
        )
        of_apart = apart.rows.x, labels[n:], apart.rows.weight
        told: Any = claimed(again, verdict)
        found: Classifier = told.knowing_labels(
            model, *of_apart, apart.keys if source.grouped else None
        )
        return found


def _stored_numbers(y: Any) -> bool:
    """Whether labels are numbers on disk, to be read with the points."""
    return rows.is_stored(y) and np.dtype(y.dtype).kind in "iuf"


def _of_chunks(chunks: Any) -> LabelledSource:
    """Return chunks (X, y) or (X, y, weight) whose y holds labels of any kind."""
    if iter(chunks) is chunks:
        rows.IterableSource(chunks)  # says that a generator is read once
    seen: set[Any] = set()
    for number, item in enumerate(chunks):
        if isinstance(item, list | tuple) and len(item) in (2, 3):
            try:
                seen.update(checked_labels(item[1]).tolist())
            except ValueError as error:
                raise ValueError(f"chunk {number} (from 0): {error}") from error
    classes, _ = learn_classes(np.array(sorted(seen, key=str), dtype=object))
    encoded = _EncodedSequence if hasattr(chunks, "__getitem__") else _Encoded
    return LabelledSource(rows.IterableSource(encoded(chunks, classes)), classes)


def _learnt(call: str, source: rows.AbstractSource) -> LabelledSource:
    """Return rows whose values are whole numbers, and the labels are those that occur.

    Raises
    ------
    ValueError
        For several values a row, numbers that are not whole, very many, or a single one.
    """
    if source.n_outputs != 1:
        raise ValueError(
            f"{call}(source): expected one label a row, got {source.n_outputs} values."
        )
    found = np.zeros(0)
    for part in source.parts():
        done = 0
        for chunk in part.chunks():
            rows.check_rows(chunk, part, done)
            done += len(chunk.x)
            found = np.union1d(found, chunk.y[chunk.weight > 0, 0])
            if len(found) > MOST_CLASSES or (found != np.round(found)).any():
                raise ValueError(
                    f"{call}(source): labels are whole numbers of at most {MOST_CLASSES:,} "
                    f"different values; these hold {listed(found[:4].tolist())} … For values to "
                    "predict use fit(source)."
                )
    labels, _ = learn_classes(found.astype(np.int64), call=call)
    return LabelledSource(rows.DerivedSource(source, change=Numbered(labels)), labels)


def _surprise(model: Classifier, chunk: rows.Chunk) -> np.ndarray:
    """Return the weighted cross-entropies of the rows of a chunk, (1,)."""
    x, y, weight = chunk
    likely = np.log(np.maximum(model.probabilities(x), np.exp(LEAST_LIKELY)))
    return np.array([-weight @ (y * likely).sum(axis=1)])

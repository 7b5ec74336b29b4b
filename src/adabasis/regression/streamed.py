"""Fits to rows of a source: functions are chosen on some rows, and coefficients solved on all.

One pass learns the statistics of the rows and takes a sample of them; rows are held out by a hash
of their number or group. The search is that of rows in memory, on the sample, but for what goes
over all rows chunk by chunk: steps on mini-batches, the last solve, and the error that is claimed.
Of few rows there is no stream: they are read, and are arrays.
"""

from __future__ import annotations

import dataclasses
import functools
import inspect
import math
import os
from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeVar

import numpy as np

from .. import lstsq, rows
from .._runtime.compute import numerics
from .._runtime.errors import counted, listed
from .._runtime.progress import ProgressLine
from .._runtime.registry import provided
from ..evidence.judge import judge
from ..evidence.split import checked_holdout
from ..models.fitted import Fitted
from ..models.record import Asked
from ..rows.engine import current
from ..rows.sources import CHUNK_ROWS
from ..rows.streams import Sample
from ..selection.holdout import claimed, kind_of
from ..selection.prepared import HELD_OUT
from ..selection.stream import JUDGED_ROWS, SAMPLE_ROWS, VALIDATION_ROWS, Stream, mapped
from ..train import StopReason
from ..train.passes import total_over
from .solve import reduce_rows, solved_factor
from .uncertainty import calibrated

AnyFunction = TypeVar("AnyFunction", bound=Callable[..., Any])
#: What choosing functions on a sample takes, in bytes: what is compiled and the functions at 20,000
#: rows, some times; and copies of each number of the sample. Measured: 590 to 1,310 MiB (D = 8).
WORK, COPIES = 5 * 2**28, 12


def source_of(
    call: str, X: Any, y: Any = None, weight: Any = None, groups: Any = None
) -> rows.AbstractSource | None:
    """Return rows to be read chunk by chunk, or ``None`` for what is in memory.

    Parameters
    ----------
    call : str
        For messages.
    X : rows.AbstractSource, path, pattern, sequence of paths, array on disk, or re-iterable
        Files hold the targets, and the weights and groups, as columns; a re-iterable yields pairs
        (X, y) or triples with weights.
    y, weight, groups
        Names of columns, or arrays on disk besides X.

    Raises
    ------
    BadInput
        For files that cannot be read.
    ValueError
        For targets, weights or groups that do not go with the source.
    """
    if isinstance(X, rows.AbstractSource):
        given = {"y": y, "sample_weight": weight, "groups": groups}
        besides = [name for name, value in given.items() if value is not None]
        if besides:
            raise ValueError(
                f"{call}(source, {besides[0]}=…): a source holds targets, weights and groups. Name "
                "them where it is made."
            )
        return X
    if is_files(X):
        found: rows.AbstractSource = provided("rows of tables")(
            X, y, weight=weight, group=groups, call=call
        )
        return found
    if isinstance(y, str):
        raise ValueError(
            f"{call}(X, y={y!r}): the name of a column goes with files, such as "
            f"{call}('part-*.parquet', {y!r}), and X is {_described_kind(X)}. Give the values of "
            "the targets, or a file."
        )
    if rows.is_stored(X):
        return rows.stored(call, X, y, weight, groups)
    if y is None and of_chunks(X):
        if weight is not None or groups is not None:
            raise ValueError(
                f"{call}(chunks, …): weights stand in the chunks, as triples (X, y, weight), and "
                "groups are not known to such. Use files, or arrays on disk."
            )
        return rows.IterableSource(X)
    return None


def _described_kind(X: Any) -> str:
    length = f" of {counted(len(X), 'entry', 'entries')}" if hasattr(X, "__len__") else ""
    return f"a {type(X).__name__}{length}"


def is_files(X: Any) -> bool:
    """Whether something is a path, a pattern, or several of these."""
    return _is_path(X) or (isinstance(X, list | tuple) and len(X) > 0 and all(map(_is_path, X)))


def of_chunks(X: Any) -> bool:
    """Whether something yields chunks (X, y): a list of numbers, or of rows of them, does not."""
    if not isinstance(X, list | tuple):
        return isinstance(X, Iterable) and not hasattr(X, "shape")
    first = X[0] if len(X) else None
    if not isinstance(first, list | tuple) or len(first) not in (2, 3):
        return False
    inputs = first[0]
    of_lists = isinstance(inputs, list | tuple) and len(inputs) and np.ndim(inputs[0]) == 1
    return bool(of_lists) or getattr(inputs, "ndim", 0) == 2


def _is_path(X: Any) -> bool:
    return isinstance(X, str | os.PathLike)


class Numbers:
    """What is done with rows of a source beside the search on a sample, where values are numbers.

    Other kinds of values are subclasses: see :class:`adabasis.classification.streamed.Labels`.
    """

    def source(
        self, call: str, X: Any, y: Any, weight: Any, groups: Any
    ) -> rows.AbstractSource | None:
        """Return rows to be read chunk by chunk, or ``None`` for what is in memory.

        Raises
        ------
        BadInput, ValueError
            For what is no source, and for labels.
        """
        found = source_of(call, X, y, weight, groups)
        if found is not None and found.classes is not None:
            raise ValueError(
                f"{call}(source): its values are {len(found.classes)} classes, "
                f"{listed(found.classes.tolist(), 4)}, and numbers are expected. Call "
                "classify(source), or open the rows without classify=True."
            )
        return found

    def check(self, call: str, given: Mapping[str, Any]) -> None:
        """Refuse what is asked of more rows than are in memory at once.

        Raises
        ------
        ValueError
        """
        if given.get("loss", "squared") != "squared":
            raise ValueError(
                f"{call}(source, loss={given['loss']!r}): of more than {SAMPLE_ROWS:,} rows "
                "squares alone are lowered chunk by chunk. Fit a part of them in memory, or leave "
                "loss out."
            )

    def claiming(self, model: Any, held_out: rows.AbstractSource) -> Any:
        """Return a model that claims its error on all rows held out, where that is the worse."""
        known = held_out.statistics()
        varies = known.spread > 0
        total = total_over(held_out, functools.partial(_squares, model), CHUNK_ROWS)
        if not varies.any():
            return model
        squares = total[varies] / known.total_weight / known.spread[varies] ** 2
        return claiming_at_least(model, math.sqrt(float(np.mean(squares))), known.n_rows)

    def judged(
        self,
        model: Any,
        source: rows.AbstractSource,
        sample: Sample,
        apart: Sample,
        holdout: float | str | None,
    ) -> Any:
        """Judge a model on rows held out of everything, then solve it again with all rows."""
        return _judged(model, source, sample, apart, holdout)


def taking_sources(
    search: Callable[..., Fitted], kind: Numbers | None = None
) -> Callable[[AnyFunction], AnyFunction]:
    """Let a public function take rows that are read chunk by chunk.

    Parameters
    ----------
    search : callable
        The function's work, without what it adds for rows in memory; it takes a ``stream``, too.
    kind : Numbers
        What is done with the rows besides.
    """
    kind = kind or Numbers()

    def decorate(function: AnyFunction) -> AnyFunction:
        name, signature = function.__name__, inspect.signature(function)

        @functools.wraps(function)
        def call(*args: Any, **named: Any) -> Any:
            given = signature.bind(*args, **named).arguments
            about = (given.get(key) for key in ("y", "sample_weight", "groups"))
            X = given["X"]
            source = kind.source(name, X, *about)
            if source is None:
                if given.get("y") is None:
                    raise TypeError(
                        f"{name}(): missing a required argument: 'y'. Without it, X is files, "
                        "a source, or chunks (X, y) with X of shape (n, D)."
                    )
                return function(*args, **named)
            for key in ("X", "y", "sample_weight", "groups"):
                given.pop(key, None)
            told = tuple(getattr(source, "notes", ())) if is_files(X) else ()
            model = _fitted(name, function, search, kind, source, given)
            return dataclasses.replace(model, notes=(*model.notes, *told))

        return call  # type: ignore[return-value]

    return decorate


def _fitted(
    name: str,
    function: Callable[..., Fitted],
    search: Callable[..., Fitted],
    kind: Numbers,
    source: rows.AbstractSource,
    given: dict[str, Any],
) -> Fitted:
    holdout = checked_holdout(name, given.pop("holdout", None))
    seed, validation = _checked(name, given)
    if source.n_rows <= SAMPLE_ROWS:
        return _read(function, source, given, holdout)
    if holdout == "last":
        raise ValueError(
            f"{name}(source, holdout='last'): rows of a source beyond {SAMPLE_ROWS:,} are held out "
            "by a hash. Give a share, or leave the last files out and judge the model on them."
        )
    kind.check(name, given)
    apart = holdout if isinstance(holdout, float) else 0.0
    share = HELD_OUT if validation == "auto" else validation
    share = 0.0 if share is None or isinstance(share, tuple) else float(share) * (1 - apart)
    splits = [
        (rows.Split(apart + share, 1.0, seed), SAMPLE_ROWS),
        (rows.Split(apart, apart + share, seed), VALIDATION_ROWS),
        (rows.Split(0.0, apart, seed), JUDGED_ROWS),
    ]
    told = _said(source) if given.get("verbose") else ()
    n_rows, found = rows.summary(source, splits, seed, current())
    training, held_out, judged = (
        None if one.statistics is None or one.sample is None else rows.DerivedSource(
            source, split, known=one.statistics
        )
        for (split, _), one in zip(splits, found, strict=True)
    )  # fmt: skip
    sample = found[0].sample
    if training is None or sample is None:
        raise ValueError(f"{name}(source): no row of positive weight is left to train on.")
    stream = Stream(training, held_out, sample, found[1].sample, n_rows, source.classes)
    model = search(**_rows_of(sample, source), **given, stream=stream)
    if model.stop_reason is StopReason.INTERRUPTED:
        return _described(model, source, stream, told)
    if held_out is not None:
        model = kind.claiming(model, held_out)
    if judged is not None and found[2].sample is not None:
        model = kind.judged(model, source, sample, found[2].sample, holdout)
    return _described(model, source, stream, told)


def _checked(name: str, given: Mapping[str, Any]) -> tuple[int, Any]:
    """Return the seed and how rows are held out, which a source needs before the search does."""
    validation = given.get("validation", "auto")
    plain = validation is None or validation == "auto" or isinstance(validation, tuple)
    if not plain and not (isinstance(validation, float | int) and 0 < validation < 1):
        raise ValueError(
            f"{name}(validation={validation!r}): a share between 0 and 1, a pair (X, y), 'auto' or "
            "None."
        )
    asked = Asked(name, "auto", random_state=given.get("random_state", 0))
    return asked.random_state, validation


def _read(
    function: Callable[..., Fitted],
    source: rows.AbstractSource,
    given: dict[str, Any],
    holdout: float | str | None,
) -> Fitted:
    """Fit rows that are few enough to be in memory, as arrays."""
    chunks, keys, done = [], [], 0
    for part in source.parts():
        for chunk, key in part.keyed_chunks():
            rows.check_rows(chunk, part, done)
            done += len(chunk.x)
            chunks.append(chunk)
            keys.append(key)
        done = 0
    if not chunks:
        raise ValueError(f"{function.__name__}(source): it has no rows.")
    whole = rows.Chunk(*(np.concatenate(arrays) for arrays in zip(*chunks, strict=True)))
    numbers = np.concatenate(keys)
    sample = Sample(whole, numbers, numbers.astype(float), numbers)
    model = function(**_rows_of(sample, source), **given, holdout=holdout)
    return dataclasses.replace(
        model, record=dataclasses.replace(model.record, **source.record_fields)
    )


def _rows_of(sample: Sample, source: rows.AbstractSource) -> dict[str, Any]:
    """Return rows as the arguments of a public function."""
    x, y, weight = sample.rows
    found: dict[str, Any] = {"X": x, "y": source.as_given(y)}
    if not (weight == 1).all():
        found["sample_weight"] = weight
    if source.grouped:
        found["groups"] = np.unique(sample.keys, return_inverse=True)[1]
    return found


def claiming_at_least(model: Any, error: float, n_rows: int) -> Any:
    """Return a model that claims an error on so many rows held out, where that is the worse."""
    if not error > model.validation_error:
        return model
    low, high = model.validation_range
    return dataclasses.replace(
        model,
        validation_error=error,
        validation_range=(low, max(high, error)),
        validation_kind=f"{n_rows:,} rows held out by a hash",
    )


def _squares(model: Fitted, chunk: rows.Chunk) -> np.ndarray:
    """Return the weighted squared errors of the rows of a chunk, (Q,)."""
    x, y, weight = chunk
    found: np.ndarray = weight @ (model.outputs(x) - y) ** 2
    return found


def _judged(
    model: Fitted,
    source: rows.AbstractSource,
    sample: Sample,
    apart: Sample,
    holdout: float | str | None,
) -> Fitted:
    """Judge a model on rows held out of everything, then solve it again with all rows."""
    x, y, weight = (np.concatenate(pair) for pair in zip(sample.rows, apart.rows, strict=True))
    groups = np.concatenate([sample.keys, apart.keys]) if source.grouped else None
    n = len(sample.keys)
    at = np.arange(n), np.arange(n, len(x))
    verdict = judge(model, x, y, weight, at, groups=groups, kind=kind_of(holdout, groups))
    with numerics():
        everything = mapped(source, model.input_map, model.output_map)
        factor = reduce_rows((model.basis, model.parameters), everything)
        solved = solved_factor(factor, model.record.ridge)
    again = dataclasses.replace(
        model,
        coefficients=np.asarray(solved.coefficients),
        rank=int(solved.rank),
        singular_values=np.asarray(solved.singular_values),
        status=lstsq.Status(int(solved.status)),
        record=dataclasses.replace(model.record, n_rows=source.statistics().n_rows),
        box=source.statistics().box,
        factor=factor,
    )
    of_apart = apart.rows.x, apart.rows.y, apart.rows.weight
    groups = apart.keys if source.grouped else None
    return calibrated(claimed(again, verdict), model, *of_apart, groups)


def _described(
    model: Fitted, source: rows.AbstractSource, stream: Stream, told: Iterable[str]
) -> Fitted:
    n = len(stream.sample.keys)
    note = (
        f"{counted(stream.n_rows, 'row')} were read chunk by chunk: functions were chosen on "
        f"{n:,} of them, and coefficients solved on {model.record.n_rows:,}."
    )
    record = dataclasses.replace(model.record, **source.record_fields)
    return dataclasses.replace(model, record=record, notes=(note, *model.notes, *told))


def _said(source: rows.AbstractSource) -> tuple[str, ...]:
    """Say, before the work, what it takes."""
    numbers = source.n_inputs + source.n_outputs + 1
    mib = (SAMPLE_ROWS * numbers * 8 * COPIES + WORK) / 2**20
    with ProgressLine(None) as line:
        line._say(
            f"{counted(source.n_rows, 'row')} of {counted(source.n_inputs, 'input')}, read chunk "
            f"by chunk: about {mib:,.0f} MiB at most, whatever their number"
        )
    return ()

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
from .._runtime.errors import counted
from .._runtime.progress import ProgressLine
from .._runtime.registry import provided
from ..evidence.judge import judge
from ..evidence.split import checked_holdout
from ..models.fitted import Fitted
from ..rows.engine import current
from ..rows.streams import Sample
from ..selection.holdout import claimed, kind_of
from ..selection.prepared import HELD_OUT
from ..selection.stream import JUDGED_ROWS, SAMPLE_ROWS, VALIDATION_ROWS, Stream, mapped
from ..train import StopReason
from .solve import reduce_rows, solved_factor
from .uncertainty import calibrated

AnyFunction = TypeVar("AnyFunction", bound=Callable[..., Any])
#: What choosing functions on a sample takes, in bytes: what is compiled and the functions at 20,000
#: rows, some times; and copies of each number of the sample. Measured: 590 to 1,020 MiB (D = 8).
WORK, COPIES = 2**30, 12


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
    if _is_path(X) or (isinstance(X, list | tuple) and len(X) and all(map(_is_path, X))):
        found: rows.AbstractSource = provided("rows of tables")(
            X, y, weight=weight, group=groups, call=call
        )
        return found
    if rows.is_stored(X):
        return rows.stored(call, X, y, weight, groups)
    if y is None and _of_chunks(X):
        if weight is not None or groups is not None:
            raise ValueError(
                f"{call}(chunks, …): weights stand in the chunks, as triples (X, y, weight), and "
                "groups are not known to such. Use files, or arrays on disk."
            )
        return rows.IterableSource(X)
    return None


def _of_chunks(X: Any) -> bool:
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


def taking_sources(
    search: Callable[..., Fitted],
) -> Callable[[AnyFunction], AnyFunction]:
    """Let a public function take rows that are read chunk by chunk.

    Parameters
    ----------
    search : callable
        The function's work, without what it adds for rows in memory; it takes a ``stream``, too.
    """

    def decorate(function: AnyFunction) -> AnyFunction:
        name, signature = function.__name__, inspect.signature(function)

        @functools.wraps(function)
        def call(*args: Any, **named: Any) -> Any:
            given = signature.bind(*args, **named).arguments
            about = (given.get(key) for key in ("y", "sample_weight", "groups"))
            source = source_of(name, given["X"], *about)
            if source is None:
                if given.get("y") is None:
                    raise TypeError(f"{name}(): missing a required argument: 'y'.")
                return function(*args, **named)
            for key in ("X", "y", "sample_weight", "groups"):
                given.pop(key, None)
            return _fitted(name, function, search, source, given)

        return call  # type: ignore[return-value]

    return decorate


def _fitted(
    name: str,
    function: Callable[..., Fitted],
    search: Callable[..., Fitted],
    source: rows.AbstractSource,
    given: dict[str, Any],
) -> Fitted:
    holdout = checked_holdout(name, given.pop("holdout", None))
    seed, validation = given.get("random_state", 0), given.get("validation", "auto")
    _check(name, given, holdout, source)
    apart = holdout if isinstance(holdout, float) else 0.0
    share = HELD_OUT if validation == "auto" else validation
    share = 0.0 if share is None or isinstance(share, tuple) else float(share) * (1 - apart)
    splits = [
        (rows.Split(apart + share, 1.0, seed), SAMPLE_ROWS),
        (rows.Split(apart, apart + share, seed), VALIDATION_ROWS),
        (rows.Split(0.0, apart, seed), JUDGED_ROWS),
    ]
    if source.n_rows <= SAMPLE_ROWS:
        return _read(function, source, given, holdout)
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
    stream = Stream(training, held_out, sample, found[1].sample, n_rows)
    model = search(**_rows_of(sample, source), **given, stream=stream)
    if model.stop_reason is StopReason.INTERRUPTED:
        return _described(model, source, stream, told)
    if held_out is not None:
        model = _claiming(model, held_out)
    if judged is not None and found[2].sample is not None:
        model = _judged(model, source, sample, found[2].sample, holdout)
    return _described(model, source, stream, told)


def _check(
    name: str, given: Mapping[str, Any], holdout: float | str | None, source: rows.AbstractSource
) -> None:
    if source.n_rows <= SAMPLE_ROWS:
        return
    if holdout == "last":
        raise ValueError(
            f"{name}(source, holdout='last'): rows of a source beyond {SAMPLE_ROWS:,} are held out "
            "by a hash. Give a share, or leave the last files out and judge the model on them."
        )
    if given.get("loss", "squared") != "squared":
        raise ValueError(
            f"{name}(source, loss={given['loss']!r}): of more than {SAMPLE_ROWS:,} rows squares "
            "alone are lowered chunk by chunk. Fit a part of them in memory, or leave loss out."
        )


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
    found: dict[str, Any] = {"X": x, "y": y[:, 0] if source.flat else y}
    if not (weight == 1).all():
        found["sample_weight"] = weight
    if source.grouped:
        found["groups"] = np.unique(sample.keys, return_inverse=True)[1]
    return found


def _claiming(model: Fitted, held_out: rows.AbstractSource) -> Fitted:
    """Return a model that claims its error on all rows held out, where that is the worse."""
    known, of_part = held_out.statistics(), functools.partial(_squares, model)
    if current().apart:
        total = current().map_reduce(of_part, held_out.parts(), _sum)
    else:
        with numerics():
            total = _sum(*map(of_part, held_out.parts()))
    varies = known.spread > 0
    if not varies.any():
        return model
    squares = total[varies] / known.total_weight / known.spread[varies] ** 2
    error = math.sqrt(float(np.mean(squares)))
    if not error > model.validation_error:
        return model
    low, high = model.validation_range
    kind = f"{known.n_rows:,} rows held out by a hash"
    return dataclasses.replace(
        model,
        validation_error=error,
        validation_range=(low, max(high, error)),
        validation_kind=kind,
    )


def _squares(model: Fitted, part: rows.AbstractPart) -> np.ndarray:
    """Return the weighted squared errors of the rows of a part, (Q,)."""
    total = np.zeros(model.n_outputs)
    for x, y, weight in rows.read_ahead(part.chunks()):
        total += weight @ (model.outputs(x) - y) ** 2
    return total


def _sum(*several: np.ndarray) -> np.ndarray:
    return np.sum(several, axis=0)


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

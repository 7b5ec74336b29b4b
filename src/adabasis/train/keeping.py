"""What a run needs to go on, as arrays and numbers: tapes written and read, exactly."""

from __future__ import annotations

import abc
import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

import jax
import numpy as np

from .exact import Solved
from .record import History, StopReason
from .tape import BatchTape, First, Iterate, Run, Tape

Arrays = dict[str, np.ndarray]


class AbstractKeeper(abc.ABC):
    """Who keeps the tape of a run on its way, and may have one of before."""

    @abc.abstractmethod
    def restored(self, like: Callable[[], Any]) -> Any:
        """Return the tape kept before, or ``None``; ``like`` returns one before the first step."""

    @abc.abstractmethod
    def keep(self, tape: Any) -> None:
        """Keep a tape, if it is time to."""


def _flat(name: str, tree: Any) -> Arrays:
    found = {f"{name}.{k}": np.asarray(leaf) for k, leaf in enumerate(jax.tree.leaves(tree))}
    if any(array.dtype == object for array in found.values()):
        raise TypeError(f"{name}: not all of it are numbers.")
    return found


def _filled(name: str, arrays: Mapping[str, np.ndarray], like: Any) -> Any:
    leaves, structure = jax.tree.flatten(like)
    found = [arrays[f"{name}.{k}"] for k in range(len(leaves))]
    return jax.tree.unflatten(structure, found)


def _joined(parts: Any, rows: int | None = None) -> np.ndarray:
    nothing = np.zeros(0) if rows is None else np.zeros((rows, 0))
    return np.concatenate([nothing, *parts], axis=-1)


def encoded(tape: Any) -> tuple[dict[str, Any], Arrays]:
    """Return a tape as numbers (for JSON) and arrays."""
    checks = np.array(tape.checks, dtype=float).reshape(-1, 2)
    seconds = _joined(tape.seconds)
    if isinstance(tape, Tape):
        kept = None if tape.kept is None else [tape.kept[1], float(tape.kept[2])]
        arrays = {"records": _joined(tape.records, 3), "seconds": seconds, "checks": checks}
        for name in ("state", "best", "now"):
            arrays |= _flat(name, getattr(tape, name))
        if tape.kept is not None:
            arrays |= _flat("kept", tape.kept[0])
        return {"step": tape.step, "kept": kept}, arrays
    first = tape.first
    numbers = {
        "first": [first.solved.loss, first.solved.rank, first.error, first.seconds],
        "now": [tape.now.step, tape.now.over],
        "kept": [tape.kept.step, tape.kept.over],
        **{name: getattr(tape, name) for name in ("seed", "rate", "error", "setbacks", "ends")},
    }
    arrays = {"seconds": seconds, "checks": checks}
    arrays |= {"losses": _joined(tape.losses), "rates": _joined(tape.rates)}
    arrays |= _flat("first", (first.parameters, first.solved.coefficients))
    for name in ("now", "kept"):
        iterate = getattr(tape, name)
        arrays |= _flat(name, (iterate.variables, iterate.moments))
    return numbers, arrays


def decoded(numbers: Mapping[str, Any], arrays: Mapping[str, np.ndarray], like: Any) -> Any:
    """Return the tape that :func:`encoded` described, of the structure of another one."""
    checks = tuple((int(step), float(error)) for step, error in arrays["checks"])
    seconds = (arrays["seconds"],) if arrays["seconds"].size else ()
    if isinstance(like, Tape):
        kept = numbers["kept"]
        return Tape(
            _filled("state", arrays, like.state),
            _filled("best", arrays, like.best),
            _filled("now", arrays, like.now),
            numbers["step"],
            (arrays["records"],) if seconds else (),
            seconds,
            checks,
            None if kept is None else (_filled("kept", arrays, like.best), kept[0], kept[1]),
        )
    loss, rank, error, spent = numbers["first"]
    parts = like.first.parameters, like.first.solved.coefficients
    parameters, coefficients = _filled("first", arrays, parts)
    where = like.now.variables, like.now.moments

    def iterate(name: str) -> Iterate:
        return Iterate(*_filled(name, arrays, where), *numbers[name])

    return BatchTape(
        First(parameters, Solved(coefficients, loss, rank), error, spent),
        iterate("now"),
        iterate("kept"),
        tuple(numbers["seed"]),
        numbers["rate"],
        numbers["error"],
        (arrays["losses"],) if seconds else (),
        (arrays["rates"],) if seconds else (),
        seconds,
        checks,
        numbers["setbacks"],
        numbers["ends"],
    )


@dataclasses.dataclass(frozen=True)
class _Setbacks:
    # All that is asked of the tape of a run that is over.
    setbacks: int


def encoded_run(run: Run) -> tuple[dict[str, Any], Arrays]:
    """Return a run that is over as numbers and arrays; it cannot go on."""
    numbers = {
        "loss": float(run.loss),
        "step": int(run.step),
        "validation": None if run.validation is None else float(run.validation),
        "stop": run.stop_reason.name,
        "setbacks": run.setbacks,
    }
    history = {f"history.{k}": np.asarray(v) for k, v in dataclasses.asdict(run.history).items()}
    c = {"coefficients": np.asarray(run.coefficients)}
    return numbers, {**_flat("parameters", run.parameters), **history, **c}


def decoded_run(
    numbers: Mapping[str, Any], arrays: Mapping[str, np.ndarray], parameters: Any
) -> Run:
    """Return the run that :func:`encoded_run` described; ``parameters`` are those it began at."""
    names = [field.name for field in dataclasses.fields(History)]
    coefficients: Any = arrays["coefficients"]
    return Run(
        _filled("parameters", arrays, parameters),
        coefficients,
        numbers["loss"],
        numbers["step"],
        numbers["validation"],
        History(*(arrays[f"history.{name}"] for name in names)),
        StopReason[numbers["stop"]],
        _Setbacks(numbers["setbacks"]),
    )

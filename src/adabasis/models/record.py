"""What was asked, tried and found: the record of a model, saved and read by field.

Numbers that a model needs later (its ridge, its seed, how its columns were prepared) are fields
here. Tables for people are made from the record, and nothing is read back from a table.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from typing import Any, Self

from .timings import Timings
from .tolerance import Tolerance


@dataclasses.dataclass(frozen=True)
class Ridge:
    """The ridge of a solve of the last layer.

    Attributes
    ----------
    value : float
    relative : bool
        True: relative to the largest singular value of the unit-norm columns, squared. False: λ in
        the sum over rows, in the model's units.
    n_free: int = 0
        So many of the last functions are not penalised: 1 and x, where rows are enough.
    """

    value: float = 0.0
    relative: bool = True
    n_free: int = 0


NO_RIDGE = Ridge()


@dataclasses.dataclass(frozen=True)
class Asked:
    """The arguments of a call, checked; those that a function does not have are ``None``.

    Attributes
    ----------
    call : str
        The public function, for messages.
    method : str
        A name, or what a trainer prints as.
    max_steps, max_seconds, tol, n_restarts, ensemble, ridge, validation, random_state
        See :func:`adabasis.fit`.
    target_transform, input_transform, periodic
        As asked for, the latter two, where they were mappings, as pairs of the number of an input
        and what is said of it.
    standardize, calibrate, n_partitions, degree, partition, index_set, start, loss, quantile
        See :func:`adabasis.fit`, :func:`adabasis.classify` and :func:`adabasis.fit_pounet`.

    Raises
    ------
    ValueError
        For budgets that cannot be meant, all of them in one message.
    """

    call: str
    method: str = "auto"
    max_steps: int | None = None
    max_seconds: float = math.inf
    tol: float | None = 0.0
    n_restarts: int | str = "auto"
    ensemble: int | str | None = None
    ridge: float | str = "auto"
    validation: float | str | None = None
    random_state: int = 0
    standardize: bool | None = None
    calibrate: bool | None = None
    n_partitions: int | str | None = None
    degree: int | str | None = None
    partition: str | None = None
    index_set: str | None = None
    start: str | None = None
    noise: str | None = None
    loss: str = "squared"
    quantile: float = 0.5
    target_transform: Any = None
    input_transform: Any = None
    periodic: tuple[tuple[int, float], ...] = ()
    effort: str | None = None

    def __post_init__(self) -> None:
        wrong = [
            f"{self.call}({name}={getattr(self, name)!r}): expected {what}"
            for name, (sound, what) in _SOUND.items()
            if not _holds(sound, getattr(self, name))
        ]
        if wrong:
            raise ValueError(f"{'; '.join(wrong)}.")

    def restarts(self, usual: int) -> int:
        """Return how many independent draws to make, ``usual`` where that is left open."""
        return usual if isinstance(self.n_restarts, str) else self.n_restarts

    def of_inputs(self, size: int, auto: bool = True) -> list[str | None]:
        """Return "log", "auto" or ``None`` for each of so many inputs.

        Parameters
        ----------
        size : int
        auto : bool
            Whether "auto" for all means that, or, as where a basis is named, that nothing is done.
        """
        if not isinstance(self.input_transform, tuple):
            asked = self.input_transform
            return [None if asked == "auto" and not auto else asked] * size
        pairs = dict(self.input_transform)
        return [pairs.get(j, "auto" if auto else None) for j in range(size)]

    @property
    def fixed_ridge(self) -> Ridge | None:
        """The user's ridge, or ``None`` where it is to be chosen."""
        return None if isinstance(self.ridge, str) else Ridge(float(self.ridge), relative=False)


#: How much a search may spend, by name.
EFFORTS = ("fast", "auto", "thorough")
# Every budget of every public function, and what it has to be.
_SOUND: dict[str, tuple[Any, str]] = {
    "max_steps": (lambda n: n is None or (_whole(n) and n >= 0), "at least 0"),
    "max_seconds": (lambda s: s > 0, "a positive number"),
    "tol": (lambda tol: tol is None or tol >= 0, "at least 0"),
    "n_restarts": (lambda n: n == "auto" or (_whole(n) and n >= 1), "'auto' or at least 1"),
    "ensemble": (lambda n: n in (None, "auto") or (_whole(n) and n >= 1), "'auto' or at least 1"),
    "ridge": (lambda r: r == "auto" or 0 <= r < math.inf, "'auto' or a number of at least 0"),
    "effort": (lambda e: e in (None, *EFFORTS), "'fast', 'auto' or 'thorough'"),
    "random_state": (lambda n: _whole(n) and n >= 0, "a whole number of at least 0"),
}


def _whole(number: Any) -> bool:
    return not isinstance(number, bool | str) and float(number).is_integer()


def _holds(sound: Any, value: Any) -> bool:
    """Whether an argument is sound; one of a type that cannot be compared is not."""
    try:
        return bool(sound(value))
    except (TypeError, ValueError, OverflowError):
        return False


@dataclasses.dataclass(frozen=True)
class Tried:
    """A candidate of a search, for people.

    Attributes
    ----------
    what : str
    validation_error, loo_error : float or None
        Relative, on held-out rows and by leave-one-out (of equations: residual on fresh points).
    ridge : Ridge
    steps : int
    stop : str
    functions : int or None
        P, for equations.
    weight : float or None
        Boundary weight, for equations.
    seconds : float or None
        For equations.
    """

    what: str
    validation_error: float | None = None
    loo_error: float | None = None
    ridge: Ridge = NO_RIDGE
    steps: int = 0
    stop: str = "SOLVED"
    functions: int | None = None
    weight: float | None = None
    seconds: float | None = None

    @property
    def row(self) -> dict[str, Any]:
        """The candidate as a row of a table: the ridge as a number, and what is known besides."""
        found = dataclasses.asdict(self) | dataclasses.asdict(self.ridge)
        found["ridge"] = found.pop("value")
        always = ("validation_error", "loo_error")
        return {name: v for name, v in found.items() if v is not None or name in always}


@dataclasses.dataclass(frozen=True)
class Outlier:
    """A row whose value is far from what the others say of it.

    Attributes
    ----------
    row, output : int
        From 0, as in ``y[row, output]``.
    value, expected : float
    """

    row: int
    output: int
    value: float
    expected: float


@dataclasses.dataclass(frozen=True)
class Record:
    """How a model came about.

    Attributes
    ----------
    asked : Asked
    n_rows : int or None
        Rows of positive weight that its coefficients were solved on.
    ridge : Ridge
        Of that solve.
    tried : tuple of Tried
        All candidates, best first; restarts included.
    input_names, output_names : tuple of str
        Columns of the table, or coordinates; empty where they have no names.
    preparation : mapping or None
        How the columns of a table become inputs (``adabasis.tables.Preparation``, as JSON).
    reading : mapping or None
        How the numbers of a table were written, and its units (``adabasis.tables``, as JSON).
    verdict : mapping or None
        What the rows held out by the command line say (``adabasis.evidence``, as JSON).
    provenance : mapping or None
        Command, table, versions.
    outliers : tuple of Outlier
        Among the rows that the coefficients were solved on, the farthest first.
    transforms : mapping or None
        Of each input and each target, and the errors of left-out rows that speak for them.
    timings : Timings or None
        Seconds of the call by kind; ``None`` in files of earlier versions.
    tolerance : Tolerance or None
        What became of the error that :func:`adabasis.fit_to_tolerance` was asked for.
    """

    asked: Asked
    n_rows: int | None = None
    ridge: Ridge = NO_RIDGE
    tried: tuple[Tried, ...] = ()
    input_names: tuple[str, ...] = ()
    output_names: tuple[str, ...] = ()
    preparation: Mapping[str, Any] | None = None
    reading: Mapping[str, Any] | None = None
    verdict: Mapping[str, Any] | None = None
    provenance: Mapping[str, Any] | None = None
    outliers: tuple[Outlier, ...] = ()
    transforms: Mapping[str, Any] | None = None
    timings: Timings | None = dataclasses.field(default=None, compare=False)
    tolerance: Tolerance | None = None

    def to_json(self) -> dict[str, Any]:
        """Return the record as mappings and lists of JSON: infinite budgets become ``None``."""
        document = dataclasses.asdict(self)
        if math.isinf(self.asked.max_seconds):
            document["asked"]["max_seconds"] = None
        document["timings"] = self.timings and self.timings.to_json()
        document["tolerance"] = self.tolerance and self.tolerance.to_json()
        return document

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> Self:
        """Return the record that :meth:`to_json` described."""
        asked = dict(document["asked"])
        if asked["max_seconds"] is None:
            asked["max_seconds"] = math.inf
        asked["periodic"] = tuple(map(tuple, asked.get("periodic", ())))
        if isinstance(asked.get("target_transform"), list):
            asked["target_transform"] = tuple(asked["target_transform"])
        if isinstance(asked.get("input_transform"), list):
            asked["input_transform"] = tuple(map(tuple, asked["input_transform"]))
        tried = (Tried(**{**one, "ridge": Ridge(**one["ridge"])}) for one in document["tried"])
        changed = {
            "asked": Asked(**asked),
            "ridge": Ridge(**document["ridge"]),
            "tried": tuple(tried),
            "input_names": tuple(document["input_names"]),
            "output_names": tuple(document["output_names"]),
            "timings": (timings := document.get("timings")) and Timings.from_json(timings),
            "outliers": tuple(Outlier(**one) for one in document.get("outliers", ())),
            "tolerance": (asked_for := document.get("tolerance"))
            and Tolerance.from_json(asked_for),
        }
        return cls(**{**document, **changed})

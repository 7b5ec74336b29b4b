"""Who does independent pieces of work: this process, its threads or processes, or Dask's workers.

An *engine* maps a function over parts, and reduces what comes out. A reduction is a tree of one
fixed shape: parts are joined :data:`ARITY` at a time in their order, then what came out of those,
until one is left. The shape depends on the number of parts alone, so neither the number of workers
nor the loss of one changes a bit of the result on machines of one kind.

What leaves this process is packed as bytes and unpacked inside the worker's scope of double
precision. Otherwise arrays of JAX arrive there in single precision without a word, and tasks that
share an argument could write into it.
"""

from __future__ import annotations

import abc
import contextlib
import contextvars
import functools
import importlib.metadata
import itertools
import multiprocessing
import os
import pickle
import platform
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, TypeVar

from .._runtime.cache import keeping
from .._runtime.compute import numerics
from .._runtime.errors import EngineError

Part = TypeVar("Part")
Element = TypeVar("Element")

#: Elements joined at once: a triangle of 8 stacked ones costs less than seven of two, and a chain
#: of 1e6 chunks is seven joins deep.
ARITY = 8
#: Tasks for each worker that a reduction is cut into at least: the slowest of few holds up all.
TASKS_A_WORKER = 4
BACKENDS = ("threads", "processes")


def joined(elements: Iterable[Any], combine: Callable[..., Any]) -> Any:
    """Join elements in the fixed tree; at most ``ARITY`` of each level are held.

    Parameters
    ----------
    elements : iterable
        At least one.
    combine : callable
        Associative: from two to ``ARITY`` elements in order to one.

    Returns
    -------
    element

    Examples
    --------
    >>> joined("abcdefghijk", lambda *some: f"({''.join(some)})")
    '((abcdefgh)(ijk))'
    """
    levels: list[list[Any]] = []

    def push(level: int, element: Any) -> None:
        if level == len(levels):
            levels.append([])
        levels[level].append(element)
        if len(levels[level]) == ARITY:
            group, levels[level] = levels[level], []
            push(level + 1, combine(*group))

    for element in elements:
        push(0, element)
    level = 0
    while level < len(levels):
        group, levels[level] = levels[level], []
        if group and level + 1 == len(levels) and len(group) == 1:
            return group[0]
        if group:
            push(level + 1, group[0] if len(group) == 1 else combine(*group))
        level += 1
    raise ValueError("joined: expected at least one element, got none.")


def subtrees(parts: Sequence[Part], n_workers: int) -> list[Sequence[Part]]:
    """Cut parts into whole subtrees of the fixed tree, enough of them for so many workers."""
    size = 1
    while len(parts) >= ARITY * size * TASKS_A_WORKER * max(n_workers, 1):
        size *= ARITY
    return [parts[start : start + size] for start in range(0, len(parts), size)]


class AbstractEngine(abc.ABC):
    """Who works: subclasses say how one function is called for many parts.

    Functions are called with one part each, at most once at a time, in any order, on any worker,
    and again where a worker was lost: they depend on nothing but their part, and write nothing.
    """

    @property
    def apart(self) -> bool:
        """Whether parts are worked on elsewhere or at once, so that it pays to hand them over."""
        return True

    @property
    @abc.abstractmethod
    def n_workers(self) -> int:
        """How many parts are worked on at once."""

    @abc.abstractmethod
    def map(
        self, function: Callable[[Any], Any], parts: Iterable[Any], *, label: str = "map"
    ) -> list[Any]:
        """Return ``function(part)`` of all parts, in their order.

        Parameters
        ----------
        function : callable
            Of one part, picklable where work leaves this process.
        parts : iterable
        label : str
            What the work is called, in a single word.

        Raises
        ------
        EngineError
            Where work was lost for good.
        """

    def map_reduce(
        self,
        function: Callable[[Any], Any],
        parts: Iterable[Any],
        combine: Callable[..., Any],
        *,
        init: Any = None,
        label: str = "reduce",
    ) -> Any:
        """Return the elements ``function(part)`` of a monoid, joined in the fixed tree.

        Parameters
        ----------
        function : callable
            From one part to an element.
        parts : iterable
            At least one, where ``init`` is not given.
        combine : callable
            From two to :data:`ARITY` elements, in order, to one; associative.
        init : element, optional
            Joined with the result, before it.
        label : str

        Raises
        ------
        EngineError
            Where work was lost for good.
        """
        groups = subtrees(list(parts), self.n_workers)
        if not groups:
            if init is None:
                raise ValueError("map_reduce: expected at least one part, got none.")
            return init
        task = functools.partial(reduced, function, combine)
        whole = joined(self.map(task, groups, label=label), combine)
        return whole if init is None else combine(init, whole)

    def place(self, parts: Iterable[Any]) -> list[Any]:
        """Return stand-ins for parts that several calls will need: they are sent once."""
        return list(parts)


def reduced(
    function: Callable[[Any], Any], combine: Callable[..., Any], parts: Iterable[Any]
) -> Any:
    """Return the elements of some parts, joined in the fixed tree."""
    return joined(map(function, parts), combine)


class LocalEngine(AbstractEngine):
    """One part after another, or some at once in threads or processes, by joblib.

    Parameters
    ----------
    n_jobs : int
        How many at once; −1 for all processors.
    backend : {"threads", "processes"}
        Threads share memory and wait for each other in Python, not in NumPy or compiled code.
        Processes take seconds to start.

    Raises
    ------
    ValueError
        For no jobs, or an unknown backend.

    Examples
    --------
    >>> LocalEngine().map_reduce(abs, [-3, 4], max)
    4
    """

    def __init__(self, n_jobs: int = 1, backend: str = "threads") -> None:
        if n_jobs < 1 and n_jobs != -1:
            raise ValueError(f"LocalEngine({n_jobs}): expected a number of jobs, or -1 for all.")
        if backend not in BACKENDS:
            expected = " or ".join(map(repr, BACKENDS))
            raise ValueError(f"LocalEngine(backend={backend!r}): expected {expected}.")
        self.n_jobs, self.backend = n_jobs, backend

    @property
    def apart(self) -> bool:
        """Whether there is more than one job."""
        return self.n_workers > 1

    @property
    def n_workers(self) -> int:
        """The number of jobs."""
        return self.n_jobs if self.n_jobs > 0 else os.cpu_count() or 1

    def map(
        self, function: Callable[[Any], Any], parts: Iterable[Any], *, label: str = "map"
    ) -> list[Any]:
        """Return ``function(part)`` of all parts, in their order."""
        if not self.apart:
            return [function(part) for part in parts]
        import joblib

        if self.backend == "threads":
            run = joblib.Parallel(n_jobs=self.n_workers, prefer="threads")
            found: list[Any] = run(joblib.delayed(_scoped)(function, part) for part in parts)
            return found
        task, wanted = packed(function), versions()
        run = joblib.Parallel(n_jobs=self.n_workers, prefer="processes")
        sent = run(joblib.delayed(worked)(wanted, task, packed(part)) for part in parts)
        return [unpacked(one) for one in sent]

    def map_reduce(
        self,
        function: Callable[[Any], Any],
        parts: Iterable[Any],
        combine: Callable[..., Any],
        *,
        init: Any = None,
        label: str = "reduce",
    ) -> Any:
        """Return the elements of all parts, joined in the fixed tree; one part at a time by one."""
        parts = iter(parts)
        first = list(itertools.islice(parts, 1))
        if self.apart or not first:
            return super().map_reduce(function, [*first, *parts], combine, init=init, label=label)
        whole = reduced(function, combine, itertools.chain(first, parts))
        return whole if init is None else combine(init, whole)


def _scoped(function: Callable[[Any], Any], part: Any) -> Any:
    with numerics():
        return function(part)


def packed(thing: Any) -> bytes:
    """Return anything as bytes, functions of a script included."""
    import cloudpickle

    content: bytes = cloudpickle.dumps(thing, protocol=pickle.HIGHEST_PROTOCOL)
    return content


def unpacked(content: bytes) -> Any:
    """Return what was packed, its arrays in double precision where they were."""
    with numerics():
        return pickle.loads(content)


def worked(wanted: dict[str, str], task: bytes, *parts: bytes) -> bytes:
    """Return ``task(*parts)``, all of them packed: what a worker does.

    Raises
    ------
    EngineError
        On a worker of other versions, or one that does not compute in double precision.
    """
    found = versions()
    if found != wanted:
        differ = [
            f"{name} {found.get(name, 'none')} instead of {wanted[name]}"
            for name in wanted
            if found.get(name) != wanted[name]
        ]
        raise EngineError(
            f"A worker on {platform.node()} has {', '.join(differ)}. Start workers from the "
            "environment that the call is made in."
        )
    _stay()
    with numerics():
        check_double()
        function = pickle.loads(task)
        return packed(function(*map(pickle.loads, parts)))


@functools.cache
def _stay() -> None:
    # Let a worker's own process keep what it compiles as long as it lives.
    #
    # To open the folder of compiled code lists it, which takes a tenth of a second for 10,000
    # entries: as long as many tasks.
    if multiprocessing.parent_process() is not None:
        _held.enter_context(keeping())


_held = contextlib.ExitStack()


def check_double() -> None:
    """Refuse to work in single precision, which JAX falls back to without a word.

    Raises
    ------
    EngineError
    """
    import jax.numpy as jnp

    found = jnp.zeros(()).dtype
    if found != "float64":
        raise EngineError(
            f"A worker on {platform.node()} computes in {found}. Start workers with "
            "JAX_ENABLE_X64=1 in their environment, on processors that have double precision."
        )


@functools.cache
def versions() -> dict[str, str]:
    """Return the versions that have to be the same wherever parts of one result are computed."""
    names = ("adabasis", "jax", "numpy")
    found = {name: importlib.metadata.version(name) for name in names}
    return {"python": ".".join(platform.python_version_tuple()[:2]), **found}


_engine: contextvars.ContextVar[AbstractEngine] = contextvars.ContextVar("engine")
_serial = LocalEngine()


def current() -> AbstractEngine:
    """Return the engine that work inside this block of :func:`using` is given to."""
    return _engine.get(_serial)


@contextlib.contextmanager
def using(engine: AbstractEngine) -> Iterator[AbstractEngine]:
    """Give independent work inside the block to an engine."""
    token = _engine.set(engine)
    try:
        yield engine
    finally:
        _engine.reset(token)

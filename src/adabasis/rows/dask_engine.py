"""Work given to the workers of a Dask cluster, which may come, go and die.

Dask runs the tasks of a worker that died on others, as long as its scheduler lives. Three things it
leaves to its users are done here: every wait has a timeout, after which workers are counted, since
tasks without any worker wait for ever; a task that was on several workers as they died, which Dask
gives up, is tried again; and a scheduler that is gone is said so.
"""

from __future__ import annotations

import functools
import itertools
import time
import uuid
from collections.abc import Callable, Iterable
from typing import Any

from .._runtime.errors import EngineError
from .engine import (
    AbstractEngine,
    joined,
    packed,
    reduced,
    subtrees,
    unpacked,
    versions,
    worked,
)

#: Seconds between two looks at the workers while waiting.
LOOK = 1.0
#: Seconds without any worker after which the work is given up.
PATIENCE = 60.0
#: Seconds for an answer of the scheduler; and to find it.
ANSWER = 10.0
#: Times that tasks are sent where Dask gave them up: each has been on four workers that died.
ATTEMPTS = 3
#: What a wait that is over raises: the latter where distributed 2026.8 cancels its own waiting.
CUT_SHORT = (TimeoutError, UnboundLocalError)


class Placed:
    """A part that is on the workers.

    Attributes
    ----------
    future : distributed.Future
    """

    def __init__(self, future: Any) -> None:
        self.future = future


class DaskEngine(AbstractEngine):
    """The workers of a cluster, by a client of Dask distributed.

    Parameters
    ----------
    client : distributed.Client or str
        Or the address of a scheduler, such as ``"tcp://127.0.0.1:8786"``.
    patience : float
        Seconds to go on waiting where there is no worker.

    Raises
    ------
    EngineError
        Where no scheduler answers.
    TypeError
        For something else than a client or an address.
    """

    def __init__(self, client: Any, *, patience: float = PATIENCE) -> None:
        import distributed

        if isinstance(client, str):
            client = _connected(client)
        if not isinstance(client, distributed.Client) or client.asynchronous:
            raise TypeError(
                f"client={client!r}: expected a distributed.Client that is not asynchronous, or "
                "the address of a scheduler."
            )
        self.client, self.patience = client, patience
        self.address = _address(client)
        self._alone_since: float | None = None

    @property
    def n_workers(self) -> int:
        """The threads of all workers."""
        return max(1, sum(self._ask().values()))

    def map(
        self, function: Callable[[Any], Any], parts: Iterable[Any], *, label: str = "map"
    ) -> list[Any]:
        """Return ``function(part)`` of all parts, in their order."""
        parts = [part if isinstance(part, Placed) else packed(part) for part in parts]

        def sent() -> list[Any]:
            submit = self._submitter(function, label)
            return [submit(part) for part in parts]

        return self._results(sent)

    def map_reduce(
        self,
        function: Callable[[Any], Any],
        parts: Iterable[Any],
        combine: Callable[..., Any],
        *,
        init: Any = None,
        label: str = "reduce",
    ) -> Any:
        """Return the elements of all parts, joined in the fixed tree on the workers."""
        parts = list(parts)
        if not parts:
            return super().map_reduce(function, parts, combine, init=init, label=label)
        task, groups = function, parts
        if not any(isinstance(part, Placed) for part in parts):
            task = functools.partial(reduced, function, combine)
            groups = [packed(group) for group in subtrees(parts, self.n_workers)]

        def sent() -> list[Any]:
            each, join = self._submitter(task, label), self._submitter(combine, "combine")
            return [joined(map(each, groups), join)]

        (whole,) = self._results(sent)
        return whole if init is None else combine(init, whole)

    def place(self, parts: Iterable[Any]) -> list[Any]:
        """Send parts to the workers; the scheduler keeps a copy, for the case that one dies."""
        with _large_graphs():
            return [
                Placed(self.client.submit(_kept, packed(part), key=_key("part", number)))
                for number, part in enumerate(parts)
            ]

    def _submitter(self, function: Callable[..., Any], label: str) -> Callable[..., Any]:
        # Return what sends one call of a function, which is itself sent once.
        #
        # Keys are new ones: by usual keys a call that was made before would not be made again.
        client, name = self.client, f"{label}-{uuid.uuid4().hex[:12]}"
        with _large_graphs():
            task = client.submit(_kept, packed(function), key=_key("function", 0))
        wanted, count = versions(), itertools.count()

        def submit(*parts: Any) -> Any:
            given = [part.future if isinstance(part, Placed) else part for part in parts]
            with _large_graphs():
                return client.submit(worked, wanted, task, *given, key=(name, next(count)))

        return submit

    def _results(self, sent: Callable[[], list[Any]]) -> list[Any]:
        from distributed import CancelledError
        from distributed.scheduler import KilledWorker

        for attempt in range(ATTEMPTS):
            self._alone_since = None
            self._look()
            futures = sent()
            try:
                return [unpacked(self._result(future)) for future in futures]
            except (KilledWorker, CancelledError) as error:
                self._look(str(error))
                if attempt == ATTEMPTS - 1:
                    raise EngineError(
                        f"The workers of {self.address} died or lost their work again and again: "
                        f"{error}. Look at their memory, and at the size of chunks."
                    ) from error
        raise AssertionError

    def _result(self, future: Any) -> Any:
        # Wait for one result, and look at the workers now and then.
        while True:
            try:
                return future.result(timeout=LOOK)
            except CUT_SHORT:
                if future.status == "error":  # the function's own
                    raise
            self._look()

    def _look(self, reason: str = "") -> None:
        # Raise where the scheduler does not answer, or there have been no workers for too long.
        workers = self._ask(reason)
        if workers:
            self._alone_since = None
            return
        now = time.monotonic()
        if self._alone_since is None:
            self._alone_since = now
        if now - self._alone_since > self.patience:
            raise EngineError(
                f"The scheduler {self.address} has had no workers for {self.patience:g} s. Start "
                f"some: dask worker {self.address} --nworkers 2 --nthreads 1"
            )

    def _ask(self, reason: str = "") -> Any:
        # Return the threads of each worker, which the scheduler knows.
        scheduler: Any = self.client.scheduler
        if self.client.status == "running":
            try:
                return self.client.sync(scheduler.ncores, callback_timeout=ANSWER)
            except (OSError, *CUT_SHORT) as error:
                reason = reason or str(error)
        said = f": {reason}" if reason else ""
        raise EngineError(
            f"The scheduler {self.address} is gone or does not answer{said}. Start it again, and "
            "the call; what was saved before is whole."
        )


def _kept(content: bytes) -> bytes:
    # A task rather than data sent to a worker: the scheduler can have it done again.
    return content


def _key(name: str, number: int) -> tuple[str, int]:
    return f"{name}-{uuid.uuid4().hex[:12]}", number


def _large_graphs() -> Any:
    import dask

    return dask.config.set({"distributed.admin.large-graph-warning-threshold": "1 TiB"})


def _address(client: Any) -> str:
    scheduler = getattr(client, "scheduler", None)
    return str(scheduler.address if scheduler is not None else "of a closed client")


def _connected(address: str) -> Any:
    import distributed

    try:
        return distributed.Client(address, timeout=ANSWER, set_as_default=False)
    except (OSError, TimeoutError, ValueError) as error:
        raise EngineError(
            f"No Dask scheduler answers at {address} ({error}). Start one: dask scheduler --host "
            "127.0.0.1 --port 8786"
        ) from None


def engine_of(call: str, client: Any) -> AbstractEngine:
    """Return the engine that the argument ``client`` of a public function stands for.

    Parameters
    ----------
    call : str
        The function, for messages.
    client : distributed.Client, str or AbstractEngine
        A client, the address of a scheduler, or an engine.

    Raises
    ------
    TypeError
        For anything else.
    EngineError
        Where no scheduler answers.
    """
    if isinstance(client, AbstractEngine):
        return client
    try:
        return DaskEngine(client)
    except ModuleNotFoundError as error:
        raise EngineError(
            f"{call}(client={client!r}): Dask is not installed. "
            "pip install 'adabasis[dask]' brings it."
        ) from error
    except TypeError as error:
        raise TypeError(f"{call}: {error}") from None

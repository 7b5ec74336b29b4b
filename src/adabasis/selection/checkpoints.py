"""Checkpoints of long searches: the runs that are over, and the tape of the one that goes on.

A search is decided by its arguments and its seed. Called again with the same checkpoint it takes
the runs that are there from it, each found by a digest of all that it depends on, and goes on with
the one that was cut short as if it had never stopped. The file is whole at any moment: a new one is
written beside it and takes its place.
"""

from __future__ import annotations

import contextlib
import contextvars
import hashlib
import inspect
import os
import re
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import jax
import numpy as np

from .._runtime.errors import BadInput
from ..models.files import ModelFileError, read_model, write_model
from ..train import Run, StopReason
from ..train.keeping import AbstractKeeper, decoded, decoded_run, encoded, encoded_run

#: Seconds between two writes while a run goes on.
EVERY = 30.0
#: Of a call in the text of a function or an object.
_ADDRESS = re.compile(r" at 0x[0-9a-f]+")
#: Reasons for which a run may go on at another call.
_CUT = (StopReason.INTERRUPTED, StopReason.MAX_SECONDS)

Entry = tuple[dict[str, Any], dict[str, np.ndarray]]


def digest(*things: Any) -> str:
    """Return a digest of pytrees: of all numbers in them, and of the text of the rest."""
    found = hashlib.blake2b(digest_size=16)
    leaves, structure = jax.tree.flatten(things)
    found.update(_ADDRESS.sub("", str(structure)).encode())
    for leaf in leaves:
        if isinstance(leaf, jax.Array) and jax.dtypes.issubdtype(leaf.dtype, jax.dtypes.prng_key):
            leaf = jax.random.key_data(leaf)
        if isinstance(leaf, jax.Array | np.ndarray | np.generic | float | int):
            array = np.asarray(leaf, order="C")
            found.update(f"{array.dtype}{array.shape}".encode())
            found.update(array.tobytes())
        else:
            found.update(_ADDRESS.sub("", repr(leaf)).encode())
    return found.hexdigest()


class Checkpoint:
    """The runs of a call, kept in a file.

    Parameters
    ----------
    path : path
        Of a file that a call like this one left, or of none yet.
    call : str
        The function, for messages.
    every : float, optional
        Seconds between two writes while a run goes on; by default :data:`EVERY`.

    Raises
    ------
    BadInput
        For a file of something else (a ValueError).
    OSError
        Where no file can be written.
    """

    def __init__(self, path: str | os.PathLike[str], call: str, every: float | None = None) -> None:
        self.path, self.call = Path(path), call
        self.every = EVERY if every is None else every
        self.done: dict[str, Entry] = {}
        self.partial: tuple[str, Entry] | None = None
        self.asked, self.written, self.said = False, time.monotonic(), False
        if self.path.exists():
            self._read()
        else:
            self._write()

    def __getstate__(self) -> dict[str, Any]:
        """Return what a worker needs: runs of before. It writes nothing."""
        return {**self.__dict__, "path": None, "partial": None, "every": float("inf")}

    def run(self, function: Callable[..., Run], *what: Any, initial: Any, **how: Any) -> Run:
        """Return the run of a function, from the file where it is there.

        Parameters
        ----------
        function : callable
            :func:`adabasis.train.train` or one like it.
        what : objects
            All that the run depends on.
        initial : pytree
            ξ that it begins at.
        how : keywords
            Of the function, beside ``keeper``.
        """
        name = digest(*what, initial)
        known = name in self.done or (self.partial is not None and self.partial[0] == name)
        if not self.asked and not known and (self.done or self.partial):
            raise BadInput(
                f"{self.call}(checkpoint={str(self.path)!r}): the file holds runs of another call "
                "or of other rows. Name another file, or delete this one."
            )
        self.asked = True
        if name in self.done:
            return decoded_run(*self.done[name], initial)
        if "keeper" in inspect.signature(function).parameters:  # others start anew
            how["keeper"] = _Keeper(self, name)
        found = function(**how)
        if found.stop_reason in _CUT:
            if self.path is not None and found.tape is not None:
                # A tape of another kind cannot be kept: such runs take seconds.
                with contextlib.suppress(AttributeError, TypeError):
                    self.partial = name, encoded(found.tape)
        else:
            self.done[name] = encoded_run(found)
            self.partial = None
        self._write()
        return found

    def added(self, entries: dict[str, Entry]) -> None:
        """Keep the runs of workers."""
        self.done |= entries
        self._write()

    def due(self) -> bool:
        """Whether it is time to write."""
        return self.path is not None and time.monotonic() - self.written >= self.every

    def keep(self, name: str, tape: Any) -> None:
        """Write the tape of a run that goes on."""
        self.partial = name, encoded(tape)
        self._write()

    def _read(self) -> None:
        try:
            document, tensors = read_model(self.path)
            runs, partial = document["checkpoint"]["runs"], document["checkpoint"]["partial"]
        except (ModelFileError, KeyError, OSError) as error:
            raise BadInput(
                f"{self.call}(checkpoint={str(self.path)!r}): not a checkpoint of adabasis "
                f"({error}). Name another file, or delete this one."
            ) from error

        def entry(name: str, numbers: dict[str, Any]) -> Entry:
            prefix = f"{name}/"
            arrays = {k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)}
            return numbers, arrays

        self.done = {name: entry(name, numbers) for name, numbers in runs.items()}
        if partial is not None:
            self.partial = partial["name"], entry("partial", partial["numbers"])

    def _write(self) -> None:
        if self.path is None:
            return
        runs = {name: numbers for name, (numbers, _) in self.done.items()}
        every = dict(self.done)
        partial = None
        if self.partial is not None:
            partial = {"name": self.partial[0], "numbers": self.partial[1][0]}
            every["partial"] = self.partial[1]
        tensors = {
            f"{name}/{key}": array
            for name, (_, arrays) in every.items()
            for key, array in arrays.items()
        }
        self.written = time.monotonic()
        try:
            write_model(self.path, {"checkpoint": {"runs": runs, "partial": partial}}, tensors)
        except OSError as error:
            if not self.path.exists():  # there has been none: better said before the work
                raise
            if not self.said:
                warnings.warn(
                    f"{self.call}: the checkpoint {self.path} could not be renewed "
                    f"({error.strerror}); the last one is whole, and the work goes on.",
                    RuntimeWarning,
                    stacklevel=2,
                )
            self.said = True


class _Keeper(AbstractKeeper):
    def __init__(self, checkpoint: Checkpoint, name: str) -> None:
        self.checkpoint, self.name = checkpoint, name

    def restored(self, like: Callable[[], Any]) -> Any:
        partial = self.checkpoint.partial
        if partial is None or partial[0] != self.name:
            return None
        return decoded(*partial[1], like())

    def keep(self, tape: Any) -> None:
        if self.checkpoint.due():
            self.checkpoint.keep(self.name, tape)


_checkpoint: contextvars.ContextVar[Checkpoint | None] = contextvars.ContextVar(
    "checkpoint", default=None
)


def current() -> Checkpoint | None:
    """Return the checkpoint of the block, if there is one."""
    return _checkpoint.get()


@contextlib.contextmanager
def keeping(checkpoint: Checkpoint) -> Iterator[Checkpoint]:
    """Keep the runs of searches inside the block."""
    token = _checkpoint.set(checkpoint)
    try:
        yield checkpoint
    finally:
        _checkpoint.reset(token)

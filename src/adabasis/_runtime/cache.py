"""Compiled code, kept between processes: JAX's persistent cache, switched on inside our calls only.

The folder is that of the user's cache, or what the variable ``ADABASIS_CACHE`` names; ``off``
there keeps nothing. A folder that the user has given to JAX (``jax_compilation_cache_dir``) goes
before it, and after a call JAX's settings are as they were.

Nothing here may make a call fail. A folder that cannot be made is not used; one that cannot be
written, or whose disk is full, is only read. JAX writes entries in place, so a process that is
killed leaves half of one behind, which JAX then reads in vain and never replaces. Such a folder is
emptied when that is noticed. Several processes may share a folder: at worst one compiles what
another is about to write. JAX's warnings about entries are not shown meanwhile.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import math
import os
import platform
import shutil
import tempfile
import threading
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import jax
from jax.experimental.compilation_cache import compilation_cache

VARIABLE = "ADABASIS_CACHE"
OFF = ("0", "off", "no", "none", "false")
#: Free bytes below which a disk counts as full: some hundred entries.
ROOM = 2**26
#: Bytes of entries above which the oldest are deleted, and those left then.
MOST, LEFT = 2**29, 2**28
_FOLDER, _LEAST = "jax_compilation_cache_dir", "jax_persistent_cache_min_compile_time_secs"
_SIZE, _ENABLED = "jax_persistent_cache_min_entry_size_bytes", "jax_enable_compilation_cache"
_SUFFIX, _MISSED = "-cache", "/jax/compilation_cache/cache_misses"
_TROUBLE = "Error (reading|writing) persistent compilation cache"


class Folder(NamedTuple):
    """Where compiled code is kept, if anywhere.

    Attributes
    ----------
    path : Path or None
    writable : bool
    why : str
        What is the matter where nothing is kept, or nothing more.
    """

    path: Path | None
    writable: bool = False
    why: str = ""


def folder() -> Folder:
    """Return the folder that calls use; it is made on first use."""
    named = os.environ.get(VARIABLE, "").strip()
    if named.lower() in OFF:
        return Folder(None, why=f"{VARIABLE}={named}")
    try:
        base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "adabasis"
        return _opened(os.path.abspath(Path(named).expanduser() if named else base))
    except (RuntimeError, OSError, ValueError) as error:  # no home, or a name that cannot be one
        return Folder(None, why=f"there is no folder for it ({error})")


def given_to_jax() -> str | None:
    """Return the folder in JAX's own settings, which is the user's, or ours within a call."""
    path: str | None = getattr(jax.config, _FOLDER)
    return path


@functools.cache
def _opened(base: str) -> Folder:
    path = Path(base) / _machine()
    try:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
    except (OSError, ValueError) as error:
        return Folder(None, why=f"{base} cannot be made ({_reason(error)})")
    try:
        with tempfile.TemporaryFile(dir=path) as file:
            file.write(bytes(4096))
            file.flush()
        _prune(path, MOST, LEFT)
        if shutil.disk_usage(path).free < ROOM:
            return Folder(path, why=f"the disk of {base} is full")
    except OSError as error:
        return Folder(path, why=f"{base} cannot be written ({_reason(error)})")
    return Folder(path, writable=True)


def _reason(error: Exception) -> str:
    return getattr(error, "strerror", None) or str(error)


def _machine() -> str:
    # Code for one processor may not run on another, and homes are shared among machines.
    known = platform.machine() + platform.processor()
    with contextlib.suppress(OSError), open("/proc/cpuinfo", encoding="utf-8") as lines:
        known += next((line for line in lines if line.lower().startswith(("flags", "feat"))), "")
    return f"xla-{hashlib.sha256(known.encode()).hexdigest()[:12]}"


def _entries(path: Path) -> list[tuple[str, os.stat_result]]:
    """Return the entries and what the file system knows of them."""
    found = []
    with contextlib.suppress(OSError), os.scandir(path) as entries:
        for entry in entries:
            with contextlib.suppress(OSError):  # another process has deleted it
                if entry.name.endswith(_SUFFIX):
                    found.append((entry.path, entry.stat()))
    return found


def _prune(path: Path, most: int, left: int) -> None:
    """Delete the entries not used for longest, down to ``left`` bytes, if there are too many."""
    entries = sorted(_entries(path), key=lambda one: -max(one[1].st_mtime, one[1].st_atime))
    if sum(about.st_size for _, about in entries) <= most:
        return
    for name, about in entries:
        left -= about.st_size
        if left < 0:
            with contextlib.suppress(OSError):
                os.unlink(name)


class _Use:
    """The folder in use, and what has to be put back afterwards."""

    def __init__(self, found: Folder) -> None:
        assert found.path is not None
        self.path, self.missed = found.path, 0
        self.found = [name for name, _ in _entries(self.path)]
        # Nothing is written where that would fail, or leave half an entry behind.
        ours = {_FOLDER: str(found.path), _LEAST: 0.0 if found.writable else math.inf, _SIZE: -1}
        # JAX looks once whether anything is kept, and where: what it saw may have changed.
        compilation_cache.reset_cache()
        self.settings = {name: (getattr(jax.config, name), value) for name, value in ours.items()}
        for name, value in ours.items():
            jax.config.update(name, value)
        warnings.filterwarnings("ignore", _TROUBLE)
        self.filter = warnings.filters[0]
        jax.monitoring.register_event_listener(self._count)

    def _count(self, event: str, **_: Any) -> None:
        self.missed += event == _MISSED

    def end(self) -> None:
        jax.monitoring.unregister_event_listener(self._count)
        with contextlib.suppress(ValueError):
            warnings.filters.remove(self.filter)  # type: ignore[attr-defined]
        for name, (before, ours) in self.settings.items():
            if getattr(jax.config, name) == ours:
                jax.config.update(name, before)
        compilation_cache.reset_cache()  # which else goes on with the folder it has opened
        if self.missed and len(_entries(self.path)) < len(self.found) + self.missed:
            # Something was compiled and not kept: an entry of its name is there and is broken.
            for name in self.found:
                with contextlib.suppress(OSError):
                    os.unlink(name)


_lock = threading.Lock()
_depth, _use = 0, None


@contextlib.contextmanager
def keeping() -> Iterator[None]:
    """Keep what is compiled inside the block, and take from there what was compiled before."""
    global _depth, _use
    entered = 0
    try:  # Ctrl-C may come at any line: what was counted is taken back
        with _lock:
            entered, _depth = 1, _depth + 1
            if _depth == 1 and getattr(jax.config, _ENABLED) and not given_to_jax():
                found = folder()
                _use = _Use(found) if found.path else None
        yield
    finally:
        with _lock:
            _depth -= entered
            if _depth == 0 and _use is not None:
                _use.end()
                _use = None

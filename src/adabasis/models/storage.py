"""Files that are either whole or refused: atomic writes, checked reads.

A model file is a safetensors file whose metadata holds one JSON document. The document carries a
SHA-256 of the *whole file* (taken with its own 64 digits set to zero), so any flipped or missing
byte is found, wherever it is.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import safetensors
import safetensors.numpy

FORMAT = 2
_KEY = "adabasis"
_BLANK = "0" * 64


class ModelFileError(ValueError):
    """A model file that is damaged, of another kind, or from a newer version."""


@contextlib.contextmanager
def replacing(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Yield a temporary name beside ``path``; it takes its place when the block ends well.

    So ``path`` never shows anything but the old or the new content.
    """
    path = Path(path)
    handle, name = tempfile.mkstemp(prefix=f".{path.stem}.", suffix=path.suffix, dir=path.parent)
    os.close(handle)
    temporary = Path(name)
    try:
        yield temporary
        mask = os.umask(0)
        os.umask(mask)
        temporary.chmod(0o666 & ~mask)
        os.replace(temporary, path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def write_atomic(path: str | os.PathLike[str], content: bytes) -> None:
    """Write a file so that its name never shows anything but the old or the new content."""
    with replacing(path) as temporary, open(temporary, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def write_model(
    path: str | os.PathLike[str], document: dict[str, Any], tensors: dict[str, np.ndarray]
) -> None:
    """Write a JSON document and named arrays as one checked file, atomically."""
    # Its digits come first. Numbers of NumPy among the arguments of a call become plain ones.
    about = {"sha256": _BLANK, "format": FORMAT, **document}
    text = json.dumps(about, default=lambda number: number.item())
    arrays = {name: np.asarray(array, order="C") for name, array in tensors.items()}
    content = safetensors.numpy.save(arrays, metadata={_KEY: text})
    digest = hashlib.sha256(content).hexdigest()
    write_atomic(path, content.replace(_BLANK.encode(), digest.encode(), 1))


def read_model(path: str | os.PathLike[str]) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """Read a file of :func:`write_model`.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ModelFileError
        If the file is not a model, is damaged, or has a newer format.
    """
    content = Path(path).read_bytes()
    try:
        length = int.from_bytes(content[:8], "little")
        if length > len(content) - 8:
            raise ValueError("shorter than its header says")
        metadata = json.loads(content[8 : 8 + length])["__metadata__"]
        document = json.loads(metadata[_KEY])
        digest = document["sha256"]
        blank = content.replace(digest.encode(), _BLANK.encode(), 1)
        if len(digest) != 64 or hashlib.sha256(blank).hexdigest() != digest:
            raise ValueError("its checksum does not match")
        version = document["format"]
        tensors = safetensors.numpy.load(content) if version <= FORMAT else {}
    except (
        AttributeError,
        KeyError,
        RecursionError,
        TypeError,
        ValueError,
        safetensors.SafetensorError,
    ) as error:
        raise ModelFileError(
            f"load({str(path)!r}): not a whole adabasis model file ({error or 'unreadable'}). "
            "Fit again, or fetch the file again from where it was written."
        ) from error
    if version > FORMAT:
        raise ModelFileError(
            f"load({str(path)!r}): written in format {version}, this version reads up to "
            f"{FORMAT}. Upgrade adabasis."
        )
    return document, tensors

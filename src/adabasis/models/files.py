"""Files that are either whole or refused: atomic writes, checked reads.

A model file is a safetensors file whose metadata holds one JSON document. The document carries a
SHA-256 of the *whole file* (taken with its own 64 digits set to zero), so any flipped or missing
byte is found, wherever it is.

Files of format 1, written by 0.1, hold untyped settings, which become a record.
"""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import json
import math
import os
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import safetensors
import safetensors.numpy

from .record import Asked, Record, Ridge, Tried

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
    try:
        handle, name = tempfile.mkstemp(path.suffix, f".{path.stem}.", path.parent)
    except OSError as error:  # which names the temporary file
        raise OSError(error.errno, error.strerror, os.fspath(path)) from error
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
        if content[8:9] not in (b"{", b"") and Path(path).suffix != ".adabasis":
            raise ModelFileError(
                f"load({str(path)!r}): not a whole adabasis model file, nor the begin of one: "
                "expected what model.save or 'adabasis fit TABLE --target COLUMN' wrote, "
                "TABLE.adabasis by default."
            ) from error
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


def upgraded(document: Mapping[str, Any]) -> dict[str, Any]:
    """Return a document of format 1 as one of format 2.

    The ridge of the last solve was that of the first candidate, or the user's, or, of classes, a
    setting. Solutions of equations were stored without certificate: they stay plain functions.
    """
    settings = dict(document["settings"])
    names = {field.name for field in dataclasses.fields(Asked)} & set(settings)
    asked = {name: settings[name] for name in names}
    if asked.get("max_seconds", 0.0) is None:
        asked["max_seconds"] = math.inf
    candidates = document["candidates"]
    solved = any("functions" in candidate for candidate in candidates)
    call = "classify" if "labels" in document else "solve" if solved else "fit"
    record = Record(
        Asked(call="fit_pounet" if settings.get("method") == "pounet" else call, **asked),
        settings.get("n_rows"),
        _ridge(settings, candidates[0] if candidates else {}),
        tuple(_tried(candidate) for candidate in candidates),
        tuple(settings.get("input_names") or ()),
        tuple(settings.get("output_names") or ()),
        preparation=settings.get("preparation"),
        verdict=settings.get("verdict"),
        provenance=settings.get("provenance"),
    )
    rest = {name: document[name] for name in document if name not in ("settings", "candidates")}
    kind = "Classifier" if "labels" in document else "Fitted"
    return {**rest, "kind": kind, "record": record.to_json()}


def flat_output(document: Mapping[str, Any], coefficients: np.ndarray) -> bool:
    """Whether answers are one-dimensional: so are those for one column of a table.

    Files of earlier versions say (N, 1) of a table's only target, which subtracts wrongly from a
    column of values, (N,): every row from every other.
    """
    of_table = document["record"]["preparation"] or {}
    of_one = len(of_table.get("targets", ())) == 1 and coefficients.shape[1] == 1
    return bool(document["flat_output"] or of_one)


def _ridge(settings: Mapping[str, Any], chosen: Mapping[str, Any]) -> Ridge:
    given = settings.get("ridge", "auto")
    own = chosen.get("penalty") if isinstance(given, str) else float(given)
    penalty = settings.get("penalty", own)
    if penalty is None:
        return Ridge(float(chosen.get("ridge", 0.0)))
    return Ridge(float(penalty), relative=False)


def _tried(candidate: Mapping[str, Any]) -> Tried:
    found = {name: candidate.get(name) for name in ("functions", "weight", "seconds")}
    return Tried(
        candidate["what"],
        candidate["held_out"],
        candidate["left_out"],
        _ridge({}, candidate),
        candidate["steps"],
        candidate.get("stop", "SOLVED"),
        **found,
    )

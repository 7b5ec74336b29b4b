"""Results as JSON files, written whole or not at all."""

from __future__ import annotations

import json
import math
import os
import pathlib
from typing import Any

FORMAT = 1
RESULTS = pathlib.Path(__file__).with_name("results")


def write(path: pathlib.Path, content: dict[str, Any]) -> None:
    """Write JSON through a temporary file beside the target; numbers that are none become null."""
    path.parent.mkdir(parents=True, exist_ok=True)
    text = json.dumps(plain({"format": FORMAT, **content}), indent=1, allow_nan=False)
    partial = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        partial.write_text(text + "\n", encoding="utf-8")
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def plain(value: Any) -> Any:
    """Return the value with NaN and infinities replaced by None, all the way down."""
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value

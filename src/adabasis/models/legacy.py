"""Model files of format 1, written by 0.1: their untyped settings become a record."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from typing import Any

from .record import Asked, Record, Ridge, Tried


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
        *(settings.get(name) for name in ("preparation", "verdict", "provenance")),
    )
    rest = {name: document[name] for name in document if name not in ("settings", "candidates")}
    kind = "Classifier" if "labels" in document else "Fitted"
    return {**rest, "kind": kind, "record": record.to_json()}


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

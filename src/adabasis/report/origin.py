"""What the command line adds to the record of a fit: where a model of a table comes from."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any, TypeVar

from ..evidence.verdict import Verdict
from ..models.fitted import Fitted
from ..regression.choice import in_words
from ..tables import Preparation

AnyFitted = TypeVar("AnyFitted", bound=Fitted)

ASSUMED = "assumed"
"""In the provenance of a model of a table: what reading it took for granted, a sentence each."""


def with_origin(
    model: AnyFitted,
    preparation: Preparation,
    verdict: Verdict | None,
    provenance: Mapping[str, Any],
    reading: Mapping[str, Any] | None = None,
) -> AnyFitted:
    """Return a model that knows how its table was prepared, its verdict and how it was made.

    One target is a column of its table: the model's values then have shape (N,), not (N, 1).
    """
    record = dataclasses.replace(
        model.record,
        input_names=tuple(preparation.features),
        output_names=tuple(preparation.targets),
        preparation=preparation.to_json(),
        reading=reading,
        verdict=None if verdict is None else verdict.to_json(),
        provenance=provenance,
    )
    names = record.input_names, record.output_names
    by_number, by_name = in_words(record.transforms), in_words(record.transforms, *names)
    renamed = dict(zip(by_number, by_name, strict=True))
    notes = tuple(renamed.get(note, note) for note in model.notes)
    flat = model.flat_output or (len(preparation.targets) == 1 and model.n_outputs == 1)
    return dataclasses.replace(model, record=record, notes=notes, flat_output=flat)


def verdict_of(model: Fitted) -> Verdict | None:
    """Return what the rows held out by the command line say, if there were any."""
    found = model.record.verdict
    return None if found is None else Verdict.from_json(found)

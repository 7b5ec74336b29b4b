"""Rows beyond memory: what of them a search looks at, and what of them is read again and again."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np

from .. import rows
from ..rows.streams import Sample

#: Rows that a search decides on: so many are in memory. Of fewer there is no stream.
SAMPLE_ROWS = 100_000
#: Rows held out that end the training of networks and choose among functions; all of them are read
#: once, for the error that is claimed.
VALIDATION_ROWS = 20_000
#: Rows held out of everything that the model is judged on beside plain ones.
JUDGED_ROWS = 100_000


@dataclasses.dataclass(frozen=True)
class Stream:
    """The rows of a source, divided by a hash of their number or group.

    Attributes
    ----------
    training : rows.AbstractSource
        What coefficients are solved from, and batches taken from.
    held_out : rows.AbstractSource or None
        What ends training and chooses.
    sample, validation : Sample or None
        A random choice of the rows of either.
    n_rows : int
        All, those of weight zero and those held out of everything, too.
    classes : array, shape (K,), or None
        Labels of all rows, where values are their indicators.
    """

    training: rows.AbstractSource
    held_out: rows.AbstractSource | None
    sample: Sample
    validation: Sample | None
    n_rows: int
    classes: np.ndarray | None = None

    def mapped(self, inputs: Any, outputs: Any) -> rows.AbstractSource:
        """Return the training rows in a model's units: in memory there is a chunk of them."""
        return mapped(self.training, inputs, outputs)


def mapped(source: rows.AbstractSource, inputs: Any, outputs: Any) -> rows.AbstractSource:
    """Return a source whose points and values are mapped; weights and numbers of rows stay."""
    known, unknown = source.statistics(), np.full(source.n_outputs, np.nan)
    box = np.full((source.n_inputs, 2), np.nan)
    known = dataclasses.replace(known, box=box, mean=unknown, spread=unknown)
    return rows.DerivedSource(source, change=rows.Mapped(inputs, outputs), known=known)

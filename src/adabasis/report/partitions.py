"""What a report says of a partition of unity network: its parts, and how they came about."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from .. import plots
from ..basis import PartitionBasis
from ..models.fitted import Fitted
from ..plots.partitions import breaks, shares
from .sections import Block, Film, Picture, Subject, Table, Text, number, section

MOST_PARTS = 20
"""That are listed unfolded."""
SAMPLED = 4096
"""Points of the training box that tell how much of it each part owns."""


@section(Fitted, "Partitions", before="Independence of the functions")
def _partitions(subject: Subject) -> Iterator[Block]:
    model = subject.model
    if not isinstance(model.basis, PartitionBasis) or model.basis.on_a_grid:
        return
    if model.n_inputs <= 2:
        yield Picture(
            plots.partitions(model),
            "The parts of the partition of unity, and the polynomial of each."
            if model.n_inputs == 1
            else "The part with the largest share, and where parts share the value.",
            f"Partition of the inputs into {model.basis.n_partitions} parts.",
        )
    yield from _parts(model)


@section(Fitted, "Partitions while training", before="Independence of the functions")
def _film(subject: Subject) -> Iterator[Block]:
    model = subject.model
    if not (isinstance(model.basis, PartitionBasis) and model.snapshots and model.n_inputs <= 2):
        return
    frames = [
        _frame(model.at(snapshot), f"After {snapshot.step:,} steps") for snapshot in model.snapshots
    ]
    yield Film(
        "partitions", "Moments of training, the model last", [*frames, _frame(model, "The model")]
    )


def _frame(moment: Fitted, when: str) -> Picture:
    return Picture(plots.partitions(moment), f"{when}.", f"{when}: the parts and their values.")


def _parts(model: Fitted) -> Iterator[Block]:
    """List the parts: what they own of the training box, and where intervals end."""
    low, high = model.box.T
    seen = np.random.default_rng(0).uniform(low, high, (SAMPLED, model.n_inputs))
    phi = shares(model, seen)
    own = np.bincount(np.argmax(phi, axis=1), minlength=phi.shape[1]) / SAMPLED
    rows = [
        (str(k + 1), f"{100 * own[k]:.3g} %", number(phi[:, k].mean())) for k in range(len(own))
    ]
    head = ("part", "owns of the box", "mean share")
    yield Table("Parts", head, rows, folded=len(rows) > MOST_PARTS)
    if model.n_inputs == 1 and len(own) > 1:
        yield Text(f"Breakpoints: {', '.join(number(float(b), 6) for b in breaks(model))}.")
